//! What a person carries away: everything of hers under one checkpoint, in one pass.
//!
//! Every file depends on her items and the checkpoint alone, so two exports of one
//! state are the same bytes, whatever others did in between. Bodies, lines and deposits are
//! opened, written and dropped: what stays in memory is her state as it is in any check, for each
//! statement its id and what it did, and of uses and deposits nothing but a row a list.
//! Nobody's private key is inside, no secret of a party, nothing of another person
//! but what she was shown already. Source: design §11.
//!
//! Lacks: the zip and its page (`portability`), the suites of encryption (`vault`).

mod complaints;
mod incidents;
mod link;
mod lists;
mod owed;
mod part;
mod sources;
mod statements;

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::ledger::entry::Entry;
use crate::model::id::KeyHash;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::people::Loaded;
use crate::node::publish::Covering;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::Head;
pub use link::LINK_MS;
pub use link::Link;
pub use link::MOST_LINKS;
pub use part::Measured;

pub use crate::vault::receiver::Content;
pub use crate::vault::receiver::Receiver;
pub use crate::vault::receiver::Refused;

/// Persons with an export under way: one each at a time; and who makes a link takes turns.
#[derive(Debug, Default)]
pub(in crate::node) struct Exports(Mutex<HashSet<SubjectId>>, Mutex<()>);

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum NoExport {
    /// No person has the key.
    #[error("no person has this key")]
    Unknown,
    /// One of hers is under way.
    #[error("an export of this person is under way")]
    Busy,
    /// The size is beyond the newest checkpoint, or too small to prove anything.
    #[error("there is no checkpoint of this size")]
    Size,
    /// The node.
    #[error(transparent)]
    Node(#[from] Error),
}

/// An export that may begin. While it lives no other of the same person does.
pub struct Export {
    node: Arc<Inner>,
    loaded: Arc<Loaded>,
    covering: Covering,
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("size", &self.covering.size).finish_non_exhaustive()
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        let mut under_way = self.node.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.loaded.who.subject);
    }
}

impl Node {
    /// Everything of the person with this key under the newest checkpoint, or under an older size.
    ///
    /// # Errors
    /// [`NoExport`].
    pub fn export(&self, key: &KeyHash, at: Option<TreeSize>) -> Result<Export, NoExport> {
        let node = Arc::clone(&self.inner);
        let who = node.person_of_key(key)?.ok_or(NoExport::Unknown)?;
        let loaded = node.people.load(who, node.store.as_ref(), &node.vault)?;
        node.begin_export(loaded, at)
    }
}

impl Inner {
    /// The newest checkpoint, or an older size of it.
    fn covering_of(&self, at: Option<TreeSize>) -> Result<Covering, NoExport> {
        let published = self.published();
        let signer = self.signers.now();
        let signs = (self.settings.origin.as_str(), signer.as_ref());
        let covering = published.covering(self.store.as_ref(), signs, at.unwrap_or(published.size))?;
        covering.ok_or(NoExport::Size)
    }

    /// Begins an export of a person, if none of hers is under way.
    fn begin_export(self: &Arc<Self>, loaded: Arc<Loaded>, at: Option<TreeSize>) -> Result<Export, NoExport> {
        let covering = self.covering_of(at)?;
        let begun = {
            let mut under_way = self.exports.0.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.insert(loaded.who.subject)
        };
        if begun { Ok(Export { node: Arc::clone(self), loaded, covering }) } else { Err(NoExport::Busy) }
    }
}

impl Export {
    /// Entries under the checkpoint it is of.
    #[must_use]
    pub const fn size(&self) -> TreeSize {
        self.covering.size
    }

    /// Writes the archive. After an error what was written is no archive: it lacks its end.
    ///
    /// # Errors
    /// The store, damage, the writer.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), Error> {
        let Covering { size, root, .. } = self.covering;
        let as_of = self.as_of()?;
        let head = Head { origin: self.node.settings.origin.clone(), size, root };
        let mut archive = Archive::new(out, head);
        let mut complete = Completeness::default();
        archive.file(portability::CHECKPOINT, self.covering.note.as_bytes())?;
        let told = self.statements(&mut archive, &mut complete)?;
        self.consents(&told, as_of, &mut archive, &mut complete)?;
        self.transfers(&told, &mut archive, &mut complete)?;
        let (suspect, used) = self.uses(&mut archive, &mut complete)?;
        self.owed(&told, as_of, &mut archive, &mut complete)?;
        self.value(&told, (&used, as_of), &mut archive, &mut complete)?;
        self.exceptions(&told, as_of, &mut archive, &mut complete)?;
        self.parties(&mut archive, &mut complete)?;
        self.sources(&mut archive, &mut complete)?;
        self.incidents(&suspect, &told, &mut archive, &mut complete)?;
        self.complaints(&mut archive, &mut complete)?;
        self.withheld(&mut complete);
        archive.complete(&complete)?;
        Ok(archive.finish(as_of, self.node.signers.now().as_ref())?)
    }

    /// Writes the archive sealed for a receiver. As [`Self::write`], but never twice the same bytes.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_for(&self, receiver: &Receiver, out: &mut dyn Write) -> Result<(), Error> {
        let mut sealing = receiver.begin(out).map_err(portability::Error::from)?;
        self.write(&mut sealing)?;
        Ok(sealing.finish().map_err(portability::Error::from)?)
    }

    /// Time of the last entry under the checkpoint: what expiry is computed at.
    fn as_of(&self) -> Result<Timestamp, Error> {
        let size = self.covering.size;
        let last = self.node.entries(size - 1, size)?.pop();
        let last = last.ok_or_else(|| Error::Damaged(format!("entry {} is missing", size - 1)))?;
        Ok(Timestamp(Entry::parse(&last)?.t()))
    }
}
