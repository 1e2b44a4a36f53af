//! The stories of `tests/node.rs` over a store that holds every projection back.

#[path = "node.rs"]
mod node;
