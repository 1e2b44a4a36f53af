//! What is asked of an archive, what it proves, and why it does not. Lacks the checks.

use std::collections::BTreeSet;

use crate::audit::decision;
use crate::audit::moving;
use crate::identity;
use crate::ledger::chain::LogKeys;
use crate::ledger::checkpoint;
use crate::ledger::entry;
use crate::ledger::evidence;
use crate::model::id::KeyHash;
use crate::portability;
use crate::portability::Head;

/// Why an archive proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Container, manifest or a file.
    #[error(transparent)]
    Archive(#[from] portability::Error),
    /// The checkpoint is not the log's.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// Evidence of a statement.
    #[error("evidence of a statement: {0}")]
    Evidence(#[from] evidence::Error),
    /// An entry.
    #[error("an entry: {0}")]
    Entry(#[from] entry::Error),
    /// Evidence of a decision.
    #[error("evidence of a use: {0}")]
    Decision(#[from] decision::Error),
    /// The person's signature.
    #[error("signature of a statement: {0}")]
    Identity(#[from] identity::Error),
    /// A file is not JSON.
    #[error("a list is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Where a statement says it came from.
    #[error("`{path}`: {cause}")]
    Moved {
        /// Which.
        path: String,
        /// What is wrong.
        #[source]
        cause: moving::Error,
    },
    /// A file proves something else than it should.
    #[error("`{path}`: {what}")]
    Wrong {
        /// Which.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// What an archive has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Which log, at which checkpoint.
    pub head: Head,
    /// Files, the manifest apart.
    pub files: usize,
    /// Statements.
    pub statements: usize,
    /// Statements that say they came from another log: in all, and those that are proven to.
    pub moved: (usize, usize),
    /// Consent records whose state follows from them.
    pub consents: usize,
    /// Use lines with evidence.
    pub uses: usize,
    /// Use lines that are listed without.
    pub unproven_uses: usize,
    /// Incidents that name uses of hers: as the archive says, for the log shows them to others alone.
    pub incidents: usize,
    /// Complaints of hers, each signed; how far they have come is as the archive says.
    pub complaints: usize,
    /// Items that sources brought: originals are what the list says, forms follow from them.
    pub sources: usize,
    /// Who signed the use batches: compare with the operator's key in genesis.
    pub signers: BTreeSet<KeyHash>,
    /// What is not inside, and why: as the archive says.
    pub withheld: Vec<(String, String)>,
    /// Files whose meaning this version does not know: their hashes hold.
    pub unknown: Vec<String>,
    /// Lists too large to be read: their hashes hold.
    pub unread: Vec<String>,
}

/// What else is asked of an archive.
#[derive(Clone, Copy, Default)]
pub struct Also<'a> {
    /// The log that statements say they came from: its keys and its name.
    pub first: Option<(&'a dyn LogKeys, &'a str)>,
    /// Keep what its person can say again elsewhere.
    pub hold: bool,
}
