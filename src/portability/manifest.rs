//! The manifest: every file with its length and hash, and the checkpoint, signed by the log.
//!
//! A `COSE_Sign1` of the log key, typ `application/naru-archive+cbor`, kid
//! SHA-256(SPKI). It says that the log made these files, not that they are all.

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteArray;

use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::hash::Hash;
use crate::ledger::key::Signer;
use crate::model::statement::V1;
use crate::portability::Error;

/// Which log, at which checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Name of the log. The reader compares it with the one it expects.
    pub origin: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Its RFC 9162 root.
    pub root: Hash,
}

impl Head {
    /// Where a file of the bag stands in the zip: below one folder.
    pub(in crate::portability) fn path_of(&self, path: &str) -> String {
        format!("mydata-{}/{path}", self.size)
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands in the archive.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash,
}

impl Listed {
    pub(in crate::portability) fn hex(&self) -> String {
        self.sha256.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// The signed manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version.
    v: V1,
    origin: String,
    size: u64,
    root: ByteArray<32>,
    /// Path, bytes, SHA-256: in the order of the archive.
    files: Vec<(String, u64, ByteArray<32>)>,
}

impl Manifest {
    pub(in crate::portability) fn new(head: Head, listed: Vec<Listed>) -> Self {
        let row = |l: Listed| (l.path, l.bytes, ByteArray::new(l.sha256));
        let files = listed.into_iter().map(row).collect();
        Self { v: V1, origin: head.origin, size: head.size, root: ByteArray::new(head.root), files }
    }

    /// Which log, at which checkpoint.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { origin: self.origin.clone(), size: self.size, root: self.root.into_array() }
    }

    /// Every file but the manifest itself, in the order of the archive.
    pub fn files(&self) -> impl Iterator<Item = Listed> {
        let listed = |(path, bytes, sha256): &(String, u64, ByteArray<32>)| Listed {
            path: path.clone(),
            bytes: *bytes,
            sha256: sha256.into_array(),
        };
        self.files.iter().map(listed)
    }

    /// Signs the manifest as the log.
    ///
    /// # Errors
    /// The signer.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        let payload = cbor::encode(self)?;
        Ok(cose::sign(signer, cose::ARCHIVE, &signer.public().hash(), &payload)?)
    }
}

/// Checks the log's signature and opens a manifest.
///
/// # Errors
/// [`Error::Cose`], [`Error::Cbor`].
pub fn open(bytes: &[u8], keys: &dyn LogKeys) -> Result<Manifest, Error> {
    let item = cose::parse(bytes)?;
    if item.typ != cose::ARCHIVE {
        return Err(cose::Error::Typ { expected: cose::ARCHIVE }.into());
    }
    let payload = item.payload.as_deref().ok_or(cose::Error::Payload)?;
    let manifest: Manifest = cbor::decode_exact(payload)?;
    // At this point the size is a claim: it chooses the keys under which the claim must hold.
    let key = keys.named(&item.kid, manifest.size).ok_or(cose::Error::Kid)?;
    item.verify(key)?;
    Ok(manifest)
}
