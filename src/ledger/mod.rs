//! PURE. Bytes, hashes, proofs. Does not know what consent is.
//!
//! In the order a relying party meets them:
//!
//! - [`hash`]: SHA-256, HMAC, RFC 9162 leaf and node hashes;
//! - [`cbor`]: the gate (RFC 8949 section 4.2.1) and the only door to `serde_cbor`;
//! - [`key`]: public keys, signatures, signers; [`chain`]: which of them speak for a log;
//! - [`cose`]: signed items and the *proof* half of them;
//! - [`entry`]: what the tree holds, and the commitment that hides a sealed statement;
//! - [`merkle`], [`tile`]: the tree, its proofs, and its C2SP shape;
//! - [`note`], [`checkpoint`]: the signed head;
//! - [`promise`], [`receipt`]: what the log owes and what it has proven;
//! - [`cohort`]: one signature over many answers;
//! - [`evidence`]: all of it in one file that a stranger checks.
//!
//! Lacks, on purpose: clock, randomness, I/O, logging, and any word of the domain
//! (person, party, consent). Trusts nothing it is given: every parser takes
//! arbitrary bytes and answers with a value or an error, never a panic.

pub mod cbor;
pub mod chain;
pub mod checkpoint;
pub mod cohort;
pub mod cose;
pub mod entry;
pub mod evidence;
pub mod hash;
pub mod key;
pub mod merkle;
pub mod note;
pub mod promise;
pub mod receipt;
pub mod tile;
