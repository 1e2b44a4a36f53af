//! The fold with authority and the decision: rule by rule, role by type, against the table, and
//! against a naive second implementation.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

#[path = "consent/decisions.rs"]
mod decisions;
#[path = "consent/duty.rs"]
mod duty;
#[path = "consent/exception.rs"]
mod exception;
#[path = "consent/hold.rs"]
mod hold;
#[path = "consent/incident.rs"]
mod incident;
#[path = "consent/keys.rs"]
mod keys;
#[path = "consent/law.rs"]
mod law;
#[path = "consent/matrix.rs"]
mod matrix;
#[path = "consent/naive.rs"]
mod naive;
#[path = "consent/person.rs"]
mod person;
#[path = "consent/register.rs"]
mod register;
#[path = "consent/right.rs"]
mod right;
#[path = "consent/server.rs"]
mod server;
#[path = "consent/table.rs"]
mod table;
#[path = "consent/transfer.rs"]
mod transfer;
#[path = "consent/value.rs"]
mod value;
#[path = "consent/world.rs"]
mod world;
