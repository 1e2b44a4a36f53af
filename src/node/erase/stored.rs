//! What stands where a statement's body stood, and what it says.
//!
//! Under a person a body is her statement as it was signed; once it is past its term, what
//! destroyed statements left of their slot stands in the place of the last of them. In a
//! slot of its own stands a record of somebody erased that is held for a case. Each opens
//! under its own kind only.

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

use crate::consent::Slot;
use crate::consent::SlotKey;
use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::node::Error;
use crate::store::Name;
use crate::vault;
use crate::vault::PersonKey;
use crate::vault::Sealed;

/// What destroyed statements left of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::node) struct Rest {
    /// All of them, in order: the last is the one in whose place this stands.
    pub(in crate::node) gone: Vec<(LeafIndex, StatementId)>,
    pub(in crate::node) left: Slot,
    pub(in crate::node) slot: SlotKey,
    /// By which she was named in them: rows that lead from these are made from statements.
    pub(in crate::node) ppids: Vec<Ppid>,
}

/// A record of somebody erased, held for a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::node) struct Record {
    pub(in crate::node) k1: ByteArray<32>,
    pub(in crate::node) k2: ByteArray<32>,
    pub(in crate::node) case: Nonce,
    pub(in crate::node) item: ByteBuf,
    /// Where its entry stands.
    pub(in crate::node) index: LeafIndex,
    /// Other cases for which it was held when it was kept.
    pub(in crate::node) others: Vec<Nonce>,
}

impl Record {
    /// The look-up name of a record held for a case: among the names of keys, of which it is none.
    pub(in crate::node) fn name(case: &Nonce, id: &StatementId) -> Name {
        Name::Key(hash::sha256(&[b"naru-held", &[0], &case.0, &id.0]))
    }

    /// Names that lead a start to all of them, from 0 and without a hole.
    pub(in crate::node) fn numbered(number: u64) -> Name {
        Name::Key(hash::sha256(&[b"naru-held-number", &[0], &number.to_be_bytes()]))
    }
}

/// A body as it is found.
#[derive(Clone, Debug)]
pub(in crate::node) enum Stored {
    /// The statement, as it was signed.
    Item(Vec<u8>),
    /// It is past its term, and so is all of its slot before it.
    Rest(Box<Rest>),
    /// It is somebody's who is erased.
    Held(Box<Record>),
}

impl Stored {
    /// Opens what stands under a statement's id.
    ///
    /// # Errors
    /// Damage: what it says is that of a body.
    pub(in crate::node) fn open(
        key: &PersonKey,
        subject: &SubjectId,
        id: &StatementId,
        sealed: &[u8],
    ) -> Result<Self, Error> {
        let broken = match key.open(Sealed::Body, subject, &id.0, sealed) {
            Ok(item) => return Ok(Self::Item(item)),
            Err(broken @ vault::Error::Unsealed { .. }) => broken,
            Err(error) => return Err(error.into()),
        };
        if let Ok(plain) = key.open(Sealed::Rest, subject, &id.0, sealed) {
            return Ok(Self::Rest(Box::new(cbor::decode(&plain)?)));
        }
        match key.open(Sealed::Held, subject, &id.0, sealed) {
            Ok(plain) => Ok(Self::Held(Box::new(cbor::decode(&plain)?))),
            Err(_) => Err(broken.into()),
        }
    }

    /// The statement, if it is there.
    pub(in crate::node) fn item(self) -> Option<Vec<u8>> {
        match self {
            Self::Item(item) => Some(item),
            Self::Rest(_) | Self::Held(_) => None,
        }
    }
}
