//! PURE. Who says so: item forms, logins, client assertions, `Verified<T>`.
//!
//! Bytes come in, a [`Verified`] goes out. This module knows no authority (who
//! may sign what is a rule of `consent`), no clock and no network.

pub mod item;
pub mod jwk;
pub mod login;
pub mod passkey;
pub mod possession;
pub mod provider;
pub mod request;
mod verified;

use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::key;

pub use item::Unverified;
pub use item::open;
pub use item::reload;
pub use passkey::Relying;
pub use verified::Recorded;
pub use verified::Signed;
pub use verified::Verified;

/// Why an item, a login or an assertion is not taken: always the sender's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not the CBOR we read.
    #[error("malformed statement: {0}")]
    Cbor(#[from] cbor::Error),
    /// Not the COSE we read.
    #[error("malformed signature envelope: {0}")]
    Cose(#[from] cose::Error),
    /// Not a key we take.
    #[error("malformed or unsupported key: {0}")]
    Key(#[from] key::Error),
    /// A signature does not hold.
    #[error("the signature does not hold over these bytes")]
    Signature,
    /// The header names an algorithm of another kind of key.
    #[error("the algorithm in the header is not the key's")]
    AlgorithmOfOtherKey,
    /// A signed envelope without content.
    #[error("the envelope has no payload")]
    NoPayload,
    /// A media type that does not belong here.
    #[error("media type `{found}` does not belong here")]
    Typ {
        /// What it said.
        found: String,
    },
    /// Another spelling of the same content.
    #[error("the statement is not written as its type is")]
    Spelling,
    /// Too many layers.
    #[error("more than {limit} layers of signatures")]
    TooManyLayers {
        /// At most so many.
        limit: usize,
    },
    /// Too many bytes.
    #[error("{bytes} bytes, at most {limit} are taken")]
    TooLarge {
        /// How many came.
        bytes: usize,
        /// How many may.
        limit: usize,
    },
    /// A passkey's assertion.
    #[error("passkey assertion: {0}")]
    Passkey(passkey::Refused),
    /// A login or assertion for somebody else.
    #[error("made for another service")]
    OtherAudience,
    /// A login or assertion too old, too early or too long-lived.
    #[error("expired, not yet valid, or valid for more than 60 s; check the clock and sign again")]
    OutOfTime,
    /// Not a JWT with these claims under this key.
    #[error("not a valid signed token")]
    Jwt,
}
