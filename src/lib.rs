//! Naru (나루, a ferry landing): a personal-data consent ledger.
//!
//! Parts, in the order data flows; who may import whom is a table in
//! `tests/architecture.rs`:
//!
//! - [`model`]: the words; pure.
//! - [`ledger`]: bytes, hashes, proofs; pure; does not know what consent is.
//! - [`identity`]: who says so; pure.
//! - [`consent`]: the fold with authority, and the decision; pure.
//! - [`portability`]: what a person carries away; pure.
//! - [`reidentification`]: from use lines to findings and dossiers; pure.
//! - [`audit`]: what a stranger checks; over a source.
//! - [`vault`]: person keys and sealing.
//! - [`store`]: durable bytes.
//! - [`outbound`]: the one HTTP client.
//! - [`node`]: a running instance.
//! - [`http`], [`web`], [`cli`]: the edges.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unreachable
    )
)]

pub mod audit;
pub mod cli;
pub mod config;
pub mod consent;
pub mod http;
pub mod identity;
pub mod ledger;
pub mod model;
pub mod node;
pub mod outbound;
pub mod portability;
pub mod reidentification;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod web;
