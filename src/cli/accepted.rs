//! What a 201 carries, and what its promise is worth.

use serde::Deserialize;
use serde::Serialize;

use crate::audit::Source;
use crate::audit::Unread;
use crate::cli::open::LogKey;
use crate::cli::say::is_code;
use crate::ledger::cbor;
use crate::ledger::checkpoint;
use crate::ledger::cose;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::ledger::promise;
use crate::ledger::promise::Promise;
use crate::ledger::tile;
use crate::ledger::tile::Hashes;
use crate::ledger::tile::Path;

/// The map of a 201.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Accepted {
    pub(in crate::cli) at: u64,
    #[serde(with = "serde_bytes")]
    pub(in crate::cli) id: [u8; 32],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) k1: Option<serde_bytes::ByteArray<32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) k2: Option<serde_bytes::ByteArray<32>>,
    /// Of a demand of erasure: what is kept for a regulator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::cli) held: Vec<Held>,
    pub(in crate::cli) path: Vec<serde_bytes::ByteArray<32>>,
    pub(in crate::cli) entry: serde_bytes::ByteBuf,
    pub(in crate::cli) index: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) inert: Option<String>,
    /// Of a request: where a person opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) address: Option<String>,
    /// Of a demand of erasure, once it is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) erasure: Option<Erasure>,
    pub(in crate::cli) promise: serde_bytes::ByteBuf,
}

/// What is kept from an erasure for a regulator, and until when at most.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Held {
    pub(in crate::cli) until: u64,
    pub(in crate::cli) records: Vec<serde_bytes::ByteArray<32>>,
    pub(in crate::cli) regulator: String,
}

/// Since when nothing can be read here, by which certificate, and until when at most in older copies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct Erasure {
    pub(in crate::cli) at: u64,
    pub(in crate::cli) index: u64,
    pub(in crate::cli) backups: u64,
}

/// Whether a log shows what it promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Kept {
    /// The entry stands at its index in the signed tree of this size.
    At(u64),
    /// Another entry stands there, though the log signed both: it is convicted.
    Broken(u64),
    /// The checkpoint shown is of this size and does not reach the entry.
    NotReached(u64),
}

/// Why a promise could not be compared with a log.
#[derive(Debug)]
pub(in crate::cli) enum Unkept {
    /// The log shown is not what it claims.
    Log(String),
    /// It could not be read.
    Unread(Unread),
}

impl Accepted {
    pub(in crate::cli) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let accepted: Self = cbor::decode_exact(bytes).map_err(text)?;
        if accepted.inert.as_deref().is_some_and(|why| !is_code(why)) {
            return Err("why it is inert is no code".into());
        }
        Ok(accepted)
    }

    /// Whether the promise names another key than those known: a log may have rotated its key since.
    pub(in crate::cli) fn is_by_other_key(&self, log: &LogKey) -> bool {
        let known = |kid: &[u8]| log.keys.keys().any(|key| key.hash() == kid);
        cose::parse(&self.promise).is_ok_and(|promise| !known(&promise.kid))
    }

    /// The log's promise, if it is the log's, of this time, and covers the entry.
    pub(in crate::cli) fn promise_of(&self, log: &LogKey) -> Result<Promise, String> {
        let promise = promise::open(&self.promise, &log.keys).map_err(text)?;
        if promise.origin != log.origin {
            return Err(format!("the promise is of another log, `{}`", promise.origin));
        }
        if promise.at != self.at {
            return Err("the promise is of another time".into());
        }
        let path: Vec<[u8; 32]> = self.path.iter().map(|hash| **hash).collect();
        promise.verify_entry(&self.entry, self.index, &path).map_err(text)?;
        Ok(promise)
    }

    /// Compares the promise with what a log shows.
    pub(in crate::cli) fn kept(&self, source: &dyn Source, log: &LogKey) -> Result<Kept, Unkept> {
        let note = source.checkpoint().map_err(Unkept::Unread)?;
        let head =
            checkpoint::open(note.as_bytes(), &log.keys, &log.origin).map_err(|e| Unkept::Log(text(e)))?;
        if self.index >= head.size {
            return Ok(Kept::NotReached(head.size));
        }
        let of_log = |error: merkle::Error| Unkept::Log(text(error));
        let path = merkle::prove_inclusion(&Tiles(source), self.index, head.size).map_err(of_log)?;
        if merkle::verify_inclusion(&hash::leaf(&self.entry), self.index, head.size, &path, &head.root)
            .is_ok()
        {
            return Ok(Kept::At(head.size));
        }
        // Only tiles that make the signed root convict: others prove nothing.
        match merkle::root_at(&Tiles(source), head.size) {
            Ok(root) if root == head.root => Ok(Kept::Broken(head.size)),
            Ok(_) => Err(Unkept::Log("its tiles do not make the root it signed".into())),
            Err(error) => Err(of_log(error)),
        }
    }
}

/// A source as hashes to prove from.
struct Tiles<'a>(&'a dyn Source);

impl Hashes for Tiles<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let read = self.0.tile(Path::Tile { level, index, width });
        let bytes = read.map_err(|error| tile::Error::Source(Box::new(error)))?;
        bytes.ok_or(tile::Error::Missing { level, index, width })
    }
}

pub(in crate::cli) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
