//! `fsck`: one's own data, read whole and derived again.
//!
//! Walks the store from entry 0: commits without a gap, every entry's name, body,
//! id, openings and signatures, the public fold (`audit`'s own), every person's
//! fold, then the derived things: tree against checkpoint, anchor and mark, tiles,
//! the register's row, every person's rows, what sources brought of them. What is wrong is named by entry.
//!
//! Lacks: a running node (it takes the lead, so none may run), and repair of what
//! is primary: entries, bodies, keys and attachments come from a backup or not at
//! all. [`rebuild`] writes what is derived: tiles and projection.

mod adopted;
mod items;
mod past;
mod sealed;
mod state;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::Path;

use crate::audit;
use crate::audit::Counts;
use crate::audit::Replay;
use crate::audit::Unread;
use crate::audit::What;
use crate::audit::chain;
use crate::consent;
use crate::consent::Past;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::SlotKey;
use crate::consent::Trial;
use crate::identity;
use crate::ledger::chain::Chain;
use crate::ledger::checkpoint;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::ledger::merkle;
use crate::ledger::merkle::FullTile;
use crate::ledger::merkle::Tree;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::attachment_blob;
use crate::node::backup::restore::lost_id;
use crate::node::clock;
use crate::node::erase::Keep;
use crate::node::erase::again_blob;
use crate::node::erase::honour;
use crate::node::erase::honour::Standing;
use crate::node::erase::kept_in;
use crate::node::erase::parse_tombstones;
use crate::node::erase::root_of;
use crate::node::erase::tombstones_blob;
use crate::node::mark;
use crate::node::mark::Mark;
use crate::node::mark::Marked;
use crate::node::people::Loaded;
use crate::node::publish::tile_blob;
use crate::node::uselog;
use crate::store;
use crate::store::Commit;
use crate::store::Epoch;
use crate::store::Holder;
use crate::store::Name;
use crate::store::Recovered;
use crate::store::Row;
use crate::store::Store;
use crate::vault::Vault;

pub use adopted::Checked;
pub use adopted::check_adopted;
pub use adopted::replay;
pub use past::Asked;
pub use past::replay_uses;

/// The data of one log, and what its operator knows of it.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The person keys.
    pub vault: &'a Vault,
    /// The log's public key.
    pub log: &'a PublicKey,
    /// The log's name.
    pub origin: &'a str,
    /// Folder of the data: holds the mark.
    pub folder: &'a Path,
    /// Where the anchor is, if there is one.
    pub anchor: Option<&'a Path>,
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `entry 17`, `tile/0/000`, `checkpoint`, `anchor`, `mark`, `register`.
    pub place: String,
    /// What.
    pub what: String,
}

impl Fault {
    /// Whether an entry is not what it was: then what is made of the entries would be wrong.
    fn is_of_entry(&self) -> bool {
        self.place.starts_with("entry") && self.what != LOST_NAME
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What a check came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was read.
    pub counts: Counts,
    /// Persons folded.
    pub persons: u64,
    /// Entries under the newest checkpoint.
    pub published: u64,
    /// Entries the projection has still to catch up with: the next start does.
    pub lag: u64,
    /// Full tiles that are not kept, though a checkpoint covers them: the next start derives them.
    pub tiles_missing: u64,
    /// Sealed entries whose statements were lost before a restore: told then, and no fault now.
    pub lost: u64,
    /// Sealed entries that a certificate names and nothing is left of.
    pub erased: u64,
    /// Sealed entries that a certificate names and that are still here: the next start forgets them.
    pub unerased: u64,
    /// Sealed entries of the erased that are kept for a case which holds them.
    pub held: u64,
    /// Items that sources brought.
    pub items: u64,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    fn fault(&mut self, place: impl Into<String>, what: impl std::fmt::Display) {
        self.faults.push(Fault { place: place.into(), what: what.to_string() });
    }

    fn entry(&mut self, index: LeafIndex, what: impl std::fmt::Display) {
        self.fault(format!("entry {index}"), what);
    }
}

/// Checks everything. `progress` hears entries read and entries in all.
///
/// # Errors
/// The store does not open, or belongs to another process.
pub fn check(data: &Data<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, Error> {
    let mut walk = Walk::begin(data)?;
    walk.entries(progress);
    walk.heads();
    walk.compare_state();
    walk.items();
    Ok(walk.report)
}

/// Writes tiles and projection again, from the entries; then the data is worth another [`check`].
///
/// # Errors
/// The store does not open, belongs to another process, or does not write; [`Error::Damaged`] if an entry
/// cannot be read: then nothing is written.
pub fn rebuild(data: &Data<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
    let mut walk = Walk::begin(data)?;
    walk.entries(progress);
    // A state made without a lost withdrawal would be a grant: only a whole log is projected.
    if let Some(fault) = walk.report.faults.iter().find(|fault| fault.is_of_entry()) {
        return Err(Error::Damaged(format!("{fault}; a state built without it would be wrong")));
    }
    walk.write()
}

/// Whether the data has use lines to ask of.
#[must_use]
pub fn has_uses(data: &Data<'_>) -> bool {
    uselog::is_kept(data.folder)
}

/// Walks the log as [`check`] does and asks `trial`, after every act of a person in `[from, until)`, what
/// the notices of its slot suggest. Answers the entries that could not be read: nothing of them was asked.
///
/// Reading: with no use line at hand, an act is the occasion of a question; what was really asked, and how
/// often, only use lines know: see [`replay_uses`].
///
/// # Errors
/// The store does not open, or belongs to another process.
pub fn replay_packs(
    data: &Data<'_>,
    trial: &mut Trial<'_>,
    (from, until): (Timestamp, Timestamp),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Error> {
    let mut walk = Walk::begin(data)?;
    walk.asking = Some(Box::new(|register, person, slot, at| {
        if from <= at && at < until {
            for question in &consent::questions_of(register, slot) {
                let person = Some(person);
                trial.ask(Past { register, person, question, at, counted: false, decision: None });
            }
        }
    }));
    walk.entries(progress);
    Ok(std::mem::take(&mut walk.report))
}

/// A name row of a ppid can be made again from its statement.
const LOST_NAME: &str = "the name row of its ppid is missing";

/// A person as her entries make her.
struct Folded {
    loaded: Loaded,
    /// Her newest entry.
    last: LeafIndex,
}

/// Hears every act of a person that touched a slot: register and person as it left them, the slot, when.
type Asking<'a> = dyn FnMut(&Register, &Person, &SlotKey, Timestamp) + 'a;

struct Walk<'a> {
    data: Data<'a>,
    asking: Option<Box<Asking<'a>>>,
    waiting: Option<past::Waiting<'a>>,
    epoch: Epoch,
    found: Recovered,
    tree: Tree,
    /// Full tiles as the entries make them, where the store holds others or none.
    wrong_tiles: Vec<FullTile>,
    /// Names of ppids that the store does not hold.
    lost_names: Vec<Row>,
    replay: Replay,
    certified: Vec<Standing>,
    /// Entries that certificates name.
    tombstones: BTreeSet<LeafIndex>,
    /// Records of the erased that are kept for a case.
    kept: Vec<Keep>,
    people: HashMap<SubjectId, Folded>,
    /// Index of the newest public entry.
    public_last: Option<LeafIndex>,
    /// Roots asked for while the tree grows: at a size.
    roots: HashMap<u64, [u8; 32]>,
    wanted: Vec<u64>,
    marked: Option<Marked>,
    mark_held: bool,
    /// The anchor's note; by which keys it is checked, the entries say.
    anchor: Option<Result<String, String>>,
    report: Report,
}

impl<'a> Walk<'a> {
    fn begin(data: &Data<'a>) -> Result<Self, Error> {
        let holder = Holder(clock::random().map_err(Error::Randomness)?);
        let (epoch, found) = data.store.lead(&holder)?;
        let path = data.folder.join("mark");
        let (_, marked) = Mark::open(&path).map_err(|cause| Error::File { path, cause })?;
        let anchor = data.anchor.map(|path| {
            let note = mark::read_anchor(path).map_err(|cause| format!("cannot be read: {cause}"))?;
            Ok(note)
        });
        let size_of = |note: &String| {
            let text = note.split_inclusive("\n\n").next().and_then(|text| text.strip_suffix('\n'));
            Checkpoint::parse_body(text?).ok().map(|claimed| claimed.size)
        };
        let certified = honour::standing(data.store, 0, found.next).unwrap_or_default();
        let tombstones = honour::tombstones(data.store, &certified)?;
        let kept = kept_in(data.store, data.vault)?.0;
        let mut wanted = vec![found.integrated.size];
        wanted.extend(anchor.iter().flatten().filter_map(size_of));
        let report = Report {
            published: found.integrated.size,
            lag: found.next - found.projected,
            ..Report::default()
        };
        Ok(Self {
            data: *data,
            asking: None,
            waiting: None,
            epoch,
            tree: Tree::new(),
            wrong_tiles: Vec::new(),
            lost_names: Vec::new(),
            replay: Replay::new(None, data.origin),
            certified,
            tombstones,
            kept,
            people: HashMap::new(),
            public_last: None,
            roots: HashMap::from([(0, hash::empty_root())]),
            wanted,
            mark_held: marked.is_none_or(|marked| marked.next == 0),
            marked,
            anchor,
            report,
            found,
        })
    }

    fn entries(&mut self, progress: &mut dyn FnMut(u64, u64)) {
        self.commits(progress);
        self.erasures();
        self.report.counts = self.replay.counts().clone();
        let persons = self.people.values().filter(|folded| folded.loaded.person.request().is_none());
        self.report.persons = persons.count() as u64;
    }

    /// Each certificate's list is what it says; only where a restore has lost entries it may be shorter.
    /// Where a copy is from before and has no list, what was destroyed again is listed as one.
    fn erasures(&mut self) {
        let (mut missing, mut again, mut first) = (0u64, 0u64, None);
        for one in &self.certified {
            let get = |blob: String| self.data.store.get(&blob);
            let lists = get(tombstones_blob(&one.says.tombstones.0))
                .and_then(|list| Ok((list, get(again_blob(one.index))?)));
            let (list, other) = match lists {
                Ok(lists) => lists,
                Err(error) => {
                    self.report
                        .faults
                        .push(Fault { place: format!("entry {}", one.index), what: error.to_string() });
                    continue;
                }
            };
            let Some(list) = list.map(|list| parse_tombstones(&list)) else {
                first.get_or_insert(one.index);
                missing = missing.saturating_add(one.says.records);
                again = again.saturating_add(other.map_or(0, |list| parse_tombstones(&list).len() as u64));
                continue;
            };
            let whole = list.len() as u64 == one.says.records;
            let holds = if whole { root_of(&list) == one.says.tombstones.0 } else { self.report.lost > 0 };
            if !holds {
                let what = "the list of its tombstones is not what it says".to_owned();
                self.report.faults.push(Fault { place: format!("entry {}", one.index), what });
            }
        }
        let Some(first) = first.filter(|_| again != missing && self.report.lost == 0) else { return };
        if again < missing && self.data.vault.honoured() <= first {
            // The next start destroys them again; until then they are told.
            self.report.unerased = self.report.unerased.saturating_add(missing - again);
        } else {
            self.report.entry(first, "the list of its tombstones is missing");
        }
    }

    /// Reads every commit in order.
    fn commits(&mut self, progress: &mut dyn FnMut(u64, u64)) {
        let (mut next, until, mut last_at) = (0, self.found.next, 0);
        while next < until {
            let commits = match self.data.store.commits(next..until) {
                Ok(commits) => commits,
                Err(error) => return self.report.entry(next, error),
            };
            let before = next;
            for commit in commits {
                if commit.first != next || commit.ids.len() != commit.entries.len() {
                    return self
                        .report
                        .entry(next, format!("the commit at {} does not follow", commit.first));
                }
                if commit.at < last_at {
                    self.report.entry(next, "its commit is earlier than the one before");
                }
                last_at = commit.at;
                next += commit.entries.len() as u64;
                self.commit(&commit);
            }
            if next == before {
                return self.report.entry(next, "is missing");
            }
            progress(next, until);
        }
    }

    fn commit(&mut self, commit: &Commit) {
        let leaves: Vec<_> = commit.entries.iter().map(|entry| hash::leaf(entry)).collect();
        let end = commit.first + commit.entries.len() as u64;
        if let Some(marked) = self.marked.filter(|marked| marked.next == end) {
            self.mark_held = merkle::root(&leaves) == marked.root;
        }
        let entries = commit.entries.iter().zip(&commit.ids);
        for ((index, (entry, id)), leaf) in (commit.first..).zip(entries).zip(leaves) {
            self.tree.push(leaf);
            if self.wanted.contains(&self.tree.size()) {
                self.roots.insert(self.tree.size(), self.tree.root());
            }
            self.tiles();
            self.recall(index);
            self.entry(index, Timestamp(commit.at), *id, entry);
        }
    }

    /// Compares the tiles that this entry completed.
    fn tiles(&mut self) {
        for tile in self.tree.take_full_tiles() {
            let (level, index, bytes) = &tile;
            let name = tile_blob(*level, *index);
            match self.data.store.get(&name) {
                Ok(Some(kept)) if kept == *bytes => continue,
                Ok(Some(_)) => self.report.fault(name, "differs from what the entries make"),
                Ok(None) if self.tree.size() <= self.found.integrated.size => self.report.tiles_missing += 1,
                Ok(None) => {}
                Err(error) => self.report.fault(name, error),
            }
            self.wrong_tiles.push(tile);
        }
    }

    fn entry(&mut self, index: LeafIndex, at: Timestamp, id: StatementId, bytes: &[u8]) {
        let store = self.data.store;
        let mut attachments = |hash: &_| {
            let name = attachment_blob(hash);
            store.get(&name).map_err(|error| Unread { what: name, cause: error.to_string() })
        };
        match self.replay.entry_at(bytes, Some(at), &mut attachments) {
            Ok(findings) => {
                for finding in findings {
                    let place = match finding.place {
                        // What somebody said of the past: no state rests on it.
                        audit::Place::Attachment(hash) if matches!(finding.what, What::Replay { .. }) => {
                            format!("attachment {hash}")
                        }
                        audit::Place::Attachment(hash) => format!("entry {index}, attachment {hash}"),
                        place => place.to_string(),
                    };
                    self.report.fault(place, finding.what);
                }
            }
            Err(unread) => self.report.entry(index, unread),
        }
        let Ok(entry) = Entry::parse(bytes) else { return };
        let grain = self.replay.register().grain().unwrap_or(1);
        if at.rounded_to(grain).0 != entry.t() {
            self.report.entry(index, format!("its time {} is not that of its commit", entry.t()));
        }
        let checked = match &entry {
            Entry::Public { item, .. } => self.public(index, id, item),
            Entry::Sealed { .. } if id == lost_id(index, bytes) => {
                self.report.lost += 1;
                Ok(())
            }
            Entry::Sealed { commitment, .. } => self.sealed(index, at, id, commitment),
        };
        if let Err(what) = checked {
            self.report.entry(index, what);
        }
    }

    fn public(&mut self, index: LeafIndex, id: StatementId, item: &[u8]) -> Result<(), String> {
        self.public_last = Some(index);
        // A malformed item is among the findings already.
        if let Ok((_, signed)) = identity::reload(item)
            && signed.id != id
        {
            return Err("its id in the commit is another statement's".into());
        }
        let row = self.name(&Name::Statement(id.0), "its name row")?;
        if row.index == Some(index) { Ok(()) } else { Err("its name row leads elsewhere".into()) }
    }

    pub(super) fn is_left(&self, name: &Name) -> Result<bool, String> {
        self.data.store.locate(name).map(|row| row.is_some()).map_err(|error| error.to_string())
    }

    fn name(&self, name: &Name, what: &str) -> Result<store::Located, String> {
        let row = self.data.store.locate(name).map_err(|error| error.to_string())?;
        row.ok_or_else(|| format!("{what} is missing"))
    }

    /// Tree against checkpoint, anchor and mark.
    fn heads(&mut self) {
        let head = self.found.integrated;
        let keys = match chain::of_register(self.replay.register()) {
            Some(chain) if chain.keys().any(|key| key == self.data.log) => chain,
            Some(_) | None => {
                let what = "names another log key than the one known, and so does no rotation";
                if self.found.next > 0 {
                    self.report.fault("entry 0", format!("genesis {what}"));
                }
                Chain::new(self.data.log.clone())
            }
        };
        let anchored = self.anchor.as_ref().map(|note| {
            let note = note.as_ref().map_err(Clone::clone)?;
            checkpoint::open(note.as_bytes(), &keys, self.data.origin).map_err(|error| error.to_string())
        });
        if self.roots.get(&head.size) != Some(&head.root) {
            self.report.fault("checkpoint", format!("the entries below {} make another root", head.size));
        }
        if head.size > 0 {
            match checkpoint::open(&self.found.note, &keys, self.data.origin) {
                Ok(signed) if (signed.size, signed.root) == (head.size, head.root) => {}
                Ok(_) => {
                    self.report.fault("checkpoint", "the signed note is of another head than the stored")
                }
                Err(error) => self.report.fault("checkpoint", error),
            }
        }
        match &anchored {
            None => {}
            Some(Err(error)) => self.report.fault("anchor", error.clone()),
            Some(Ok(anchored)) if anchored.size > head.size => {
                let what = format!("says {}, the data {}: this is an old copy", anchored.size, head.size);
                self.report.fault("anchor", what);
            }
            Some(Ok(anchored)) if self.roots.get(&anchored.size) == Some(&anchored.root) => {}
            Some(Ok(anchored)) => {
                let what = format!("another root at size {}: another history", anchored.size);
                self.report.fault("anchor", what);
            }
        }
        match self.marked {
            Some(marked) if marked.next > self.found.next => {
                let what =
                    format!("knows {} entries, the store {}: some are lost", marked.next, self.found.next);
                self.report.fault("mark", what);
            }
            Some(_) if !self.mark_held => self.report.fault("mark", "is of another commit than the store's"),
            _ => {}
        }
    }
}
