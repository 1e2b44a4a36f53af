//! What restored data must go through before a node opens it.
//!
//! *Catching up*: entries of the public log that the data does not have are appended
//! from there, each checked against the signed head, so that the log goes on where the
//! public saw it end. Public statements come back whole. Of a sealed one the public log
//! has the commitment alone: it is recorded as *lost*, under an id that says so
//! ([`lost_id`]), and never invented. *Acceptance*: while the loss is not accepted, the
//! node serves reads and refuses writes and checks. *Certificates*: whoever is named
//! by the tag of her slot in an `erasure.certify` entry is forgotten again, by the code of
//! a start (`node::erase::honour`), so that a restored copy brings nobody back.
//!
//! Trusted: the log's key. Not trusted: the data, the public log's tiles.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::audit::Finding;
use crate::audit::Place;
use crate::audit::Signed;
use crate::audit::Source;
use crate::audit::What;
use crate::audit::chain;
use crate::audit::mirror::Stopped;
use crate::audit::mirror::attachments_of;
use crate::identity;
use crate::ledger::cbor;
use crate::ledger::chain::Chain;
use crate::ledger::checkpoint;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::ledger::tile;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Stop;
use crate::node::attachment_blob;
use crate::node::clock;
use crate::node::erase::Ground;
use crate::node::erase::honour;
use crate::node::erase::honour::register_of;
use crate::node::fsck::Data;
use crate::node::mark;
use crate::node::mark::Mark;
use crate::node::publish;
use crate::store::Append;
use crate::store::Batch;
use crate::store::BatchId;
use crate::store::Epoch;
use crate::store::Head;
use crate::store::Holder;
use crate::store::Integrate;
use crate::store::Name;
use crate::store::NameRow;
use crate::store::Recovered;
use crate::store::Store;

/// The id under which a sealed entry stands whose statement is lost: no statement has it.
#[must_use]
pub fn lost_id(index: LeafIndex, entry: &[u8]) -> StatementId {
    StatementId(hash::sha256(&[b"naru-lost/v1", &[0], &index.to_be_bytes(), &hash::leaf(entry)]))
}

/// Entries `[from, until)`, among them sealed ones whose statements are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Index of the first lost one.
    pub from: LeafIndex,
    /// Index after the last.
    pub until: LeafIndex,
}

/// What catching up came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// Entries the data had.
    pub from: u64,
    /// Entries of the public log.
    pub until: u64,
    /// Public statements that came back whole.
    pub public: u64,
    /// Indices of the sealed entries that are lost now.
    pub lost: Vec<LeafIndex>,
}

/// Why catching up stopped.
#[derive(Debug, thiserror::Error)]
pub enum Uncaught {
    /// The public log does not answer, or is another.
    #[error(transparent)]
    Log(Stopped),
    /// The data.
    #[error(transparent)]
    Data(#[from] Error),
}

impl From<Stopped> for Uncaught {
    fn from(stopped: Stopped) -> Self {
        Self::Log(stopped)
    }
}

fn fork(size: u64) -> Uncaught {
    Uncaught::Log(Stopped::Log(Finding::new(Place::Checkpoint, What::Fork { size })))
}

fn lead(store: &dyn Store) -> Result<(Epoch, Recovered), Error> {
    let holder = Holder(clock::random().map_err(Error::Randomness)?);
    Ok(store.lead(&holder)?)
}

/// Appends what the public log has and the data has not. `progress` hears entries done and in all.
///
/// Afterwards the projection lags: [`crate::node::fsck::rebuild`] writes it.
///
/// # Errors
/// [`Uncaught::Log`] with [`What::Fork`] if the data is another history than the public log.
pub fn catch_up(
    data: &Data<'_>,
    source: &dyn Source,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Caught, Uncaught> {
    let note = source.checkpoint().map_err(Stopped::from)?;
    let keys = chain::follow(data.log, data.origin, &source.rotations().map_err(Stopped::from)?)
        .map_err(|error| Stopped::Log(Finding::new(Place::Rotations, What::Keys(error.to_string()))))?;
    let head = checkpoint::open(note.as_bytes(), &keys, data.origin).map_err(|error| {
        Stopped::Log(Finding::new(Place::Checkpoint, What::Checkpoint(error.to_string())))
    })?;
    let (epoch, found) = lead(data.store)?;
    let tree = publish::load_tree(data.store, found.next)?;
    let mut caught = Caught { from: found.next, until: head.size, ..Caught::default() };
    if head.size <= found.next {
        if publish::root_at(data.store, &tree, head.size)? != head.root {
            return Err(fork(head.size));
        }
    } else {
        let signed = Signed::new(source, None, &head)?;
        let there = merkle::root_at(&signed, found.next).map_err(crate::audit::stopped)?;
        if there != tree.root() {
            return Err(fork(found.next));
        }
        let run = Run { data, source, epoch, next: found.next, at: found.at, held: Held::default() };
        run.all(&signed, &head, &mut caught, progress)?;
    }
    integrate(data.store, epoch, &found, &head, &note)?;
    Ok(caught)
}

/// The public log's checkpoint becomes the data's, if it is newer.
fn integrate(
    store: &dyn Store,
    epoch: Epoch,
    found: &Recovered,
    head: &Checkpoint,
    note: &str,
) -> Result<(), Error> {
    if head.size <= found.integrated.size {
        return Ok(());
    }
    let new = Head { size: head.size, root: head.root };
    match store.integrate(epoch, &found.integrated, &new, note.as_bytes()) {
        Integrate::Integrated => Ok(()),
        Integrate::Conflict(_) | Integrate::Fenced => Err(Error::Stopped(Stop::OtherLeader)),
        Integrate::Failed(error) => Err(error.into()),
    }
}

/// Entries of one public time, not yet appended: a commit has one instant.
#[derive(Default)]
struct Held {
    t: u64,
    entries: Vec<Vec<u8>>,
    ids: Vec<StatementId>,
    names: Vec<NameRow>,
    lost: Vec<LeafIndex>,
}

struct Run<'a> {
    data: &'a Data<'a>,
    source: &'a dyn Source,
    epoch: Epoch,
    next: u64,
    at: u64,
    held: Held,
}

impl Run<'_> {
    fn all(
        mut self,
        signed: &Signed<'_>,
        head: &Checkpoint,
        caught: &mut Caught,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Uncaught> {
        let wide = u64::from(tile::WIDTH);
        let mut next = self.next;
        for number in next / wide..head.size.div_ceil(wide) {
            let width = u16::try_from((head.size - number * wide).min(wide)).unwrap_or(tile::WIDTH);
            let bundle = signed.bundle(number, width)?;
            for hash in attachments_of(&bundle) {
                self.attachment(&hash)?;
            }
            let entries = tile::unbundle(&bundle).map_err(Error::from)?;
            for (index, entry) in (number * wide..).zip(entries).filter(|(index, _)| *index >= next) {
                self.one(index, entry, head.size, caught)?;
            }
            next = number * wide + u64::from(width);
            progress(next, head.size);
        }
        self.flush(head.size, caught)?;
        Ok(())
    }

    /// What cannot be had is for `fsck` to tell.
    fn attachment(&self, hash: &Hash) -> Result<(), Uncaught> {
        let name = attachment_blob(hash);
        if self.data.store.get(&name).map_err(Error::from)?.is_some() {
            return Ok(());
        }
        let bytes = self.source.attachment(hash).map_err(Stopped::from)?;
        if let Some(bytes) = bytes.filter(|bytes| hash::sha256(&[bytes]) == hash.0) {
            self.data.store.put(&name, &bytes, true).map_err(Error::from)?;
        }
        Ok(())
    }

    fn one(&mut self, index: LeafIndex, entry: &[u8], until: u64, caught: &mut Caught) -> Result<(), Error> {
        let parsed = Entry::parse(entry)?;
        if parsed.t() != self.held.t || self.held.entries.len() >= MOST {
            self.flush(until, caught)?;
        }
        self.held.t = parsed.t();
        let position = u32::try_from(self.held.entries.len()).unwrap_or(u32::MAX);
        let id = match parsed {
            Entry::Public { item, .. } => {
                let (_, signed) = identity::reload(&item)?;
                let name = Name::Statement(signed.id.0);
                self.held.names.push(NameRow { name, sealed: Vec::new(), entry: Some(position) });
                caught.public += 1;
                signed.id
            }
            Entry::Sealed { .. } => {
                self.held.lost.push(index);
                lost_id(index, entry)
            }
        };
        self.held.ids.push(id);
        self.held.entries.push(entry.to_vec());
        Ok(())
    }

    fn flush(&mut self, until: u64, caught: &mut Caught) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        if held.entries.is_empty() {
            return Ok(());
        }
        if let Some(from) = held.lost.first().filter(|_| caught.lost.is_empty()) {
            // Before the entry: a crash in between leaves a node that refuses, not one that forgot.
            note_loss(self.data.store, Lost { from: *from, until })?;
        }
        let leaves: Vec<_> = held.entries.iter().map(|entry| hash::leaf(entry)).collect();
        let batch = Batch {
            id: BatchId(clock::random().map_err(Error::Randomness)?),
            at: self.at.max(held.t),
            entries: held.entries,
            ids: held.ids,
            names: held.names,
            bodies: Vec::new(),
        };
        match self.data.store.append(self.epoch, &batch) {
            Append::Sequenced { first } if first == self.next => {}
            Append::Failed(error) => return Err(error.into()),
            Append::Sequenced { .. } | Append::Fenced | Append::InDoubt | Append::Absent => {
                return Err(Error::Stopped(Stop::OtherLeader));
            }
        }
        self.next += batch.ids.len() as u64;
        self.at = batch.at;
        caught.lost.extend(held.lost);
        // An older mark may know a commit that is cut otherwise now.
        let path = self.data.folder.join("mark");
        let (mark, _) = Mark::open(&path).map_err(|cause| Error::File { path, cause })?;
        mark.set(self.next, self.at, &merkle::root(&leaves));
        Ok(())
    }
}

/// Most entries in one commit.
const MOST: usize = 256;

fn lost_blob(number: u64) -> String {
    format!("lost/{number}")
}

fn accepted_blob(number: u64) -> String {
    format!("lost/{number}/accepted")
}

/// Every loss recorded, with its number and whether it is accepted.
fn losses(store: &dyn Store) -> Result<Vec<(u64, Lost, bool)>, Error> {
    let mut all = Vec::new();
    for number in 0.. {
        let Some(bytes) = store.get(&lost_blob(number))? else { break };
        let accepted = store.get(&accepted_blob(number))?.is_some();
        all.push((number, cbor::decode_exact(&bytes)?, accepted));
    }
    Ok(all)
}

fn note_loss(store: &dyn Store, lost: Lost) -> Result<(), Error> {
    let all = losses(store)?;
    let open = all.last().filter(|(.., accepted)| !accepted);
    let number = open.map_or(all.len() as u64, |(number, ..)| *number);
    let from = open.map_or(lost.from, |(_, before, _)| before.from.min(lost.from));
    Ok(store.replace(&lost_blob(number), &cbor::encode(&Lost { from, ..lost })?)?)
}

/// The loss that nobody has accepted yet.
///
/// # Errors
/// The store.
pub fn unaccepted(store: &dyn Store) -> Result<Option<Lost>, Error> {
    Ok(losses(store)?.into_iter().find(|(.., accepted)| !accepted).map(|(_, lost, _)| lost))
}

/// Records that the operator knows what is lost and goes on without; answers what was accepted.
///
/// # Errors
/// The store.
pub fn accept(store: &dyn Store) -> Result<Vec<Lost>, Error> {
    let open: Vec<_> = losses(store)?.into_iter().filter(|(.., accepted)| !accepted).collect();
    for (number, ..) in &open {
        store.put(&accepted_blob(*number), b"accepted", true)?;
    }
    Ok(open.into_iter().map(|(_, lost, _)| lost).collect())
}

/// Tags that certificates among these statements name.
#[must_use]
pub fn certified_tags<'a>(statements: impl IntoIterator<Item = &'a Statement>) -> BTreeSet<SubjectId> {
    let tags = |statement: &'a Statement| match statement {
        Statement::ErasureCertify(certificate) => certificate.tags.as_slice(),
        _ => &[],
    };
    statements.into_iter().flat_map(tags).copied().collect()
}

/// Forgets everybody whose erasure the log certifies: rows, bodies, names, slot; answers how many there were.
///
/// # Errors
/// The store; the key file.
pub fn honour_certificates(data: &Data<'_>) -> Result<u64, Error> {
    let (epoch, found) = lead(data.store)?;
    let register = register_of(data.store)?;
    let ground = Ground { store: data.store, vault: data.vault, origin: data.origin, register: &register };
    let all = honour::standing(data.store, 0, found.next)?;
    let carried = honour::carry_out(&ground, epoch, &all)?;
    // What only the next start can find, it looks for.
    let honoured = carried.unlisted.first().map_or(found.next, |one| one.index);
    data.vault.set_honoured(honoured)?;
    Ok(carried.slots)
}

/// The anchor beside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchored {
    /// None is configured.
    Unset,
    /// It cannot be read.
    Missing,
    /// The data has all it says.
    Holds,
    /// The data is older: so many entries were published.
    Ahead(u64),
    /// Another history, or not this log's.
    Other,
}

/// Compares the data with its anchor.
///
/// # Errors
/// The store.
pub fn anchored(data: &Data<'_>) -> Result<Anchored, Error> {
    let Some(path) = data.anchor else { return Ok(Anchored::Unset) };
    let Ok(note) = mark::read_anchor(path) else { return Ok(Anchored::Missing) };
    // What the data knows of its keys; of one that came later the anchor tells by its own signature.
    let register = register_of(data.store)?;
    let known = |chain: &Chain| chain.keys().any(|key| key == data.log);
    let keys = chain::of_register(&register).filter(known).unwrap_or_else(|| Chain::new(data.log.clone()));
    let opened = checkpoint::open(note.as_bytes(), &keys, data.origin)
        .or_else(|_| checkpoint::open(note.as_bytes(), data.log, data.origin));
    let Ok(anchor) = opened else {
        return Ok(Anchored::Other);
    };
    let (_, found) = lead(data.store)?;
    if anchor.size > found.integrated.size {
        return Ok(Anchored::Ahead(anchor.size));
    }
    let tree = publish::load_tree(data.store, found.next)?;
    let same = publish::root_at(data.store, &tree, anchor.size)? == anchor.root;
    Ok(if same { Anchored::Holds } else { Anchored::Other })
}

/// Writes the data's own checkpoint as the anchor: only after the public log was compared with it.
///
/// # Errors
/// The store; the file.
pub fn anchor_again(data: &Data<'_>) -> Result<(), Error> {
    let Some(path) = data.anchor else { return Ok(()) };
    let (_, found) = lead(data.store)?;
    let note =
        String::from_utf8(found.note).map_err(|_| Error::Damaged("the checkpoint is not text".into()))?;
    mark::write_anchor(path, &note).map_err(|cause| Error::File { path: path.to_owned(), cause })
}
