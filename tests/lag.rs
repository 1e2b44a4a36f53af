//! The stories of `tests/node.rs`, `tests/node_acts.rs`, `tests/parties.rs` and of key sets over a store that holds every projection back.
#![expect(clippy::duplicate_mod, reason = "each file of stories brings its own world")]

#[path = "identity/keyset.rs"]
mod keyset;
#[path = "node.rs"]
mod node;
#[path = "node_acts.rs"]
mod node_acts;
#[path = "parties.rs"]
mod parties;
mod support;
