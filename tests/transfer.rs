//! Transfers carried from an example bank to an example wallet: in process with a clock set by
//! hand, and by the real binary, killed at every call; and to a second service as the receiver.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

#[path = "../examples/holder/bank.rs"]
mod bank;
#[path = "transfer/carried.rs"]
mod carried;
#[path = "../examples/holder/end.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "each binary uses its own part")]
mod end;
#[path = "transfer/ended.rs"]
mod ended;
#[path = "transfer/killed.rs"]
mod killed;
#[path = "transfer/received.rs"]
mod received;
#[path = "transfer/service.rs"]
mod service;
mod support;
#[path = "../examples/holder/wallet.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "each binary uses its own part")]
mod wallet;
