//! Public statements of the log itself: `log.*`, `use.batch`, `erasure.certify`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::model::id::{Hash, PartyId, SubjectId, Timestamp};
use crate::model::statement::statement;

/// One of the first regulators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstRegulator {
    /// Its name in the log.
    pub id: PartyId,
    /// Its key, SPKI DER.
    pub spki: ByteBuf,
    /// Its field of supervision.
    pub scope: Vec<String>,
}

/// A pack in force from index 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstPack {
    /// Name.
    pub name: String,
    /// Version.
    pub version: u32,
    /// SHA-256 of the pack file.
    pub hash: Hash,
}

statement! {
    /// Genesis, index 0 only: by the log key, endorsed by the operator key.
    LogCreate {
        /// Origin of the log: a schema-less URL prefix.
        origin: String,
        /// Grain of public times, ms.
        grain: u64,
        /// Log key, SPKI DER.
        log: ByteBuf,
        /// Operator key, SPKI DER.
        operator: ByteBuf,
        /// Key that signs access tokens, SPKI DER.
        token: ByteBuf,
        /// The first regulators.
        regulators: Vec<FirstRegulator>,
        /// Packs in force from index 0.
        packs: Vec<FirstPack>,
    }
}

/// What a server key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKey {
    /// Signs checkpoints, receipts, promises.
    Log,
    /// Signs access tokens.
    Token,
    /// Signs webhooks.
    Webhook,
    /// Cosigns other logs.
    Cosigner,
    /// A second operator's: rebinds, erasures under a legal order and rotations then need both.
    Operator,
}

statement! {
    /// Replaces or adds a server key: by the log key, endorsed by the new one; then by both operator keys
    /// once there are two, by the one there is if it adds the second.
    LogRotate {
        /// What the key is for.
        server_key: ServerKey,
        /// The new key, SPKI DER.
        new: ByteBuf,
        /// The old one still signs checkpoints beside the new one before this instant.
        overlap_until: Timestamp,
    }
}

/// An interval `[from, until)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// First instant inside.
    pub from: Timestamp,
    /// First instant after.
    pub until: Timestamp,
}

statement! {
    /// Root over use lines of an interval. No counts, no names.
    UseBatch {
        /// Number of the batch, from 0 without holes.
        number: u64,
        /// First instant inside.
        from: Timestamp,
        /// First instant after.
        until: Timestamp,
        /// RFC 9162 root over the leaves.
        root: Hash,
        /// Intervals whose lines may be lost.
        gaps: Vec<Interval>,
    }
}

statement! {
    /// Persons were erased, or records are past their term; tags name slots, not people.
    ErasureCertify {
        /// Random tags of the erased slots; none if only records of the living went.
        tags: Vec<SubjectId>,
        /// Case number, where a legal order demanded it: then a regulator endorses.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<String>,
        /// Whether they went by their term, and nobody demanded it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        scheduled: bool,
        /// How many records became tombstones.
        records: u64,
        /// RFC 9162 root over the tombstones' indices.
        tombstones: Hash,
    }
}
