//! `Verified` and `Recorded`: trust as a type.
//!
//! A [`Verified`] says: these bytes carry a good signature of this key. It does
//! not say that the signer may; that is a rule of the folds in `consent`. Only
//! [`crate::identity::open`] makes one. A [`Recorded`] is a verified statement
//! with its place in the log; reloading one's own store makes it by
//! [`Recorded::assertion`], so that review finds every such place.

use std::sync::Arc;

use crate::model::id::{KeyHash, LeafIndex, StatementId, Timestamp};
use crate::model::statement::Statement;

/// Who signed a statement: nothing here is checked against any rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Id over statement and innermost signer.
    pub id: StatementId,
    /// The innermost signer.
    pub signer: KeyHash,
    /// Who endorses, from the inside out; at most three.
    pub endorsers: Vec<KeyHash>,
}

/// A value whose signatures were checked, with the bytes they were checked over.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: Arc<T>,
    signed: Signed,
    /// Public keys (SPKI DER): signer first, then the endorsers.
    spkis: Vec<Vec<u8>>,
    /// The statement's bytes as received.
    statement: Vec<u8>,
    /// The whole item as received.
    item: Vec<u8>,
}

impl<T> Verified<T> {
    /// Only `identity::open` and its like call this, after the signatures held.
    pub(in crate::identity) fn new(
        value: T,
        signed: Signed,
        spkis: Vec<Vec<u8>>,
        statement: Vec<u8>,
        item: Vec<u8>,
    ) -> Self {
        Self { value: Arc::new(value), signed, spkis, statement, item }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Who signed it.
    #[must_use]
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }

    /// The statement's id.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.signed.id
    }

    /// The innermost signer.
    #[must_use]
    pub const fn signer(&self) -> KeyHash {
        self.signed.signer
    }

    /// Public keys (SPKI DER): signer first, then the endorsers.
    #[must_use]
    pub fn spkis(&self) -> &[Vec<u8>] {
        &self.spkis
    }

    /// The statement's bytes as received.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// The whole item as received.
    #[must_use]
    pub fn item(&self) -> &[u8] {
        &self.item
    }
}

impl Verified<Statement> {
    /// Gives the statement its place in the log.
    #[must_use]
    pub fn at(&self, index: LeafIndex, at: Timestamp) -> Recorded {
        Recorded { statement: Arc::clone(&self.value), signed: self.signed.clone(), index, at }
    }
}

/// A statement with its place in the log: what the folds take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    statement: Arc<Statement>,
    signed: Signed,
    index: LeafIndex,
    at: Timestamp,
}

impl Recorded {
    /// A statement whose signatures somebody else vouches for: one's own store, or a test.
    #[must_use]
    pub fn assertion(statement: Statement, signed: Signed, index: LeafIndex, at: Timestamp) -> Self {
        Self { statement: Arc::new(statement), signed, index, at }
    }

    /// What was signed.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Who signed it.
    #[must_use]
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.signed.id
    }

    /// Where it stands.
    #[must_use]
    pub const fn index(&self) -> LeafIndex {
        self.index
    }

    /// When its commit was made, by the node's clock.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}
