//! The store contract over any ordered key-value engine with atomic batches.
//!
//! fjall and sled differ in how they write, sync and fail; what a commit, a head
//! or a projection means is here, once. Lacks: faults, lag, doubt (an embedded
//! engine answers or fails, so `append` never says `InDoubt` here).
//!
//! Trusted: that the engine applies a batch wholly or not at all, that `Sync::Now`
//! returns after the bytes are durable, and that one process has the folder.
//! Not trusted: its bytes. Commits, meta rows and blobs carry a check, commits must
//! follow one another without a gap, and the head may not stand above the log.
//!
//! # Design
//!
//! *Next index.* It is read from the last commit row and stored nowhere else, so
//! no second copy can disagree.
//!
//! *Never backwards, without a read.* Every state row was written by `project`,
//! which keeps a durable *ceiling* above all their indices. A row at or above the
//! ceiling cannot be older than what is stored; only a row below it is compared.
//! In normal running all rows are new, so the hot path reads nothing.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::row::{self, Table};
use super::{
    Append, Batch, BatchId, Body, COMMITS_BYTES, Commit, Epoch, Error, Gate, Head, Holder, Integrate, Item,
    Located, MAX_PART, Name, NameAt, PersonRows, Project, Recovered, Row, Rows, Snapshot, Store,
};
use crate::model::id::{StatementId, SubjectId};

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Sees one row and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error> + 'a;

/// When a write must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before the call returns.
    Now,
    /// With a later one.
    Later,
}

/// Rows to write as one: `None` drops the row. One entry a key, so that an engine
/// never has to say which of two writes in one batch wins.
#[derive(Debug, Default)]
pub struct Changes(BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>);

impl Changes {
    pub(super) fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.0.insert((table, key.into()), Some(value));
    }

    pub(super) fn drop(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.0.insert((table, key.into()), None);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows, sorted by table and key.
    pub fn into_rows(self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> {
        self.0.into_iter().map(|((table, key), value)| (table, key, value))
    }
}

/// An ordered key-value engine with atomic batches over all tables.
pub trait Engine: Send + std::marker::Sync {
    /// Its name in errors.
    fn name(&self) -> &'static str;

    /// Reads one row.
    ///
    /// # Errors
    /// What the engine says.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The last row whose key is not above `key`.
    ///
    /// # Errors
    /// What the engine says.
    fn floor(&self, table: Table, key: &[u8]) -> Result<Option<Pair>, Error>;

    /// Visits rows in key order from `from` on.
    ///
    /// # Errors
    /// What the engine or the visitor says.
    fn walk(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;

    /// A meta row and the state rows under `prefix`: as of one moment, or the meta row first.
    ///
    /// # Errors
    /// What the engine says.
    fn person(&self, meta: &[u8], prefix: &[u8]) -> Result<(Option<Vec<u8>>, Vec<Pair>), Error>;

    /// Writes all changes or none.
    ///
    /// # Errors
    /// What the engine says; whether the changes are there is then unknown until a restart.
    fn write(&self, changes: Changes, sync: Sync) -> Result<(), Error>;

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// What the engine says.
    fn sync(&self) -> Result<(), Error>;

    /// Rows that were dropped or replaced leave the files.
    ///
    /// # Errors
    /// What the engine says.
    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Every row as of now.
    ///
    /// # Errors
    /// What the engine says; an engine without snapshots refuses.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Err(super::no_snapshot(self.name()))
    }

    /// Bytes on disk.
    fn disk_bytes(&self) -> u64;
}

/// The store contract over an [`Engine`].
#[derive(Debug)]
pub struct Keyed<E> {
    pub(super) engine: E,
    writer: Mutex<Writer>,
    pub(super) blobs: Mutex<()>,
    /// INVARIANT: once true, never false, and nothing is written.
    pub(super) stopped: AtomicBool,
}

/// What the leader knows; `epoch` is none before the first `lead` of this process.
#[derive(Debug, Default)]
pub(super) struct Writer {
    epoch: Option<Epoch>,
    next: u64,
    head: Option<Head>,
    projected: u64,
    ceiling: u64,
}

impl<E: Engine> Keyed<E> {
    pub(super) fn new(engine: E) -> Self {
        Self { engine, writer: Mutex::default(), blobs: Mutex::default(), stopped: AtomicBool::new(false) }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the current leader in, and nobody else.
    pub(super) fn enter(&self, epoch: Epoch) -> Result<MutexGuard<'_, Writer>, Gate> {
        let writer = self.writer();
        if writer.epoch != Some(epoch) {
            return Err(Gate::Fenced);
        }
        self.alive().map_err(Gate::Failed)?;
        Ok(writer)
    }

    pub(super) fn alive(&self) -> Result<(), Error> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(self.refused("an earlier write failed; restart"));
        }
        Ok(())
    }

    pub(super) fn refused(&self, cause: &str) -> Error {
        Error::Engine { engine: self.engine.name(), cause: cause.to_owned() }
    }

    /// Writes, and stops all writing if that failed.
    pub(super) fn write(&self, changes: Changes, sync: Sync) -> Result<(), Error> {
        self.engine.write(changes, sync).inspect_err(|_| self.stopped.store(true, Ordering::Release))
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let row = self.engine.get(Table::Meta, key)?;
        row.map(|r| row::unchecked(Table::Meta, key, &r).map(<[u8]>::to_vec)).transpose()
    }

    fn meta_pair(&self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Error> {
        self.meta(key)?.map(|value| parse_pair(key, &value)).transpose()
    }

    /// The commit that holds `index` or stands last before it, with its batch's name.
    fn commit_at(&self, index: u64) -> Result<Option<([u8; 16], Commit, u64)>, Error> {
        let Some((key, value)) = self.engine.floor(Table::Commits, &row::commit_key(index))? else {
            return Ok(None);
        };
        let (id, commit) = row::open_commit(&key, &value)?;
        let until = until(&commit)?;
        Ok(Some((id, commit, until)))
    }

    /// `(next, at)` from the last commit, after a look back that no commit of the tail is missing.
    fn tail(&self) -> Result<(u64, u64), Error> {
        let Some((_, last, next)) = self.commit_at(u64::MAX)? else {
            return Ok((0, 0));
        };
        let (mut first, mut seen) = (last.first, bytes_of(&last));
        while let Some(below) = first.checked_sub(1) {
            if seen > TAIL_BYTES {
                break;
            }
            let before = self.commit_at(below)?;
            let Some((_, commit, _)) = before.filter(|(_, _, until)| *until == first) else {
                return Err(Error::Corrupt { what: format!("the log has a gap below {first}") });
            };
            seen += bytes_of(&commit).max(64);
            first = commit.first;
        }
        Ok((next, last.at))
    }

    fn recover(&self) -> Result<(Writer, Recovered), Error> {
        let (next, at) = self.tail()?;
        let (integrated, note) = match self.meta(row::HEAD)? {
            None => (Head::EMPTY, Vec::new()),
            Some(value) => row::split_head(&value)
                .map(|(head, note)| (head, note.to_vec()))
                .ok_or_else(|| row::damaged(Table::Meta, row::HEAD))?,
        };
        let (projected, ceiling) = self.progress()?;
        if integrated.size > next || projected > next {
            let what = format!(
                "the log ends at {next}, but a head of {} and a projection of {projected} are stored",
                integrated.size
            );
            return Err(Error::Corrupt { what });
        }
        let writer = Writer { epoch: None, next, head: Some(integrated), projected, ceiling };
        Ok((writer, Recovered { next, at, integrated, note, projected }))
    }

    fn progress(&self) -> Result<(u64, u64), Error> {
        let Some((projected, rest)) = self.meta_pair(row::PROJECTED)? else {
            return Ok((0, 0));
        };
        let ceiling =
            <[u8; 8]>::try_from(rest.as_slice()).map_err(|_| row::damaged(Table::Meta, row::PROJECTED));
        Ok((projected, u64::from_be_bytes(ceiling?)))
    }

    fn try_lead(&self, holder: &Holder) -> Result<(Epoch, Recovered), Error> {
        let mut writer = self.writer();
        self.alive()?;
        let last = self.meta_pair(row::LEAD)?.map_or(0, |(epoch, _)| epoch);
        let epoch = Epoch(last.checked_add(1).ok_or_else(|| row::damaged(Table::Meta, row::LEAD))?);
        let (recovered_writer, recovered) = self.recover()?;
        let lead = [epoch.0.to_be_bytes().as_slice(), &holder.0].concat();
        self.write(meta_change(row::LEAD, lead), Sync::Now)?;
        // At this point earlier epochs are fenced.
        *writer = Writer { epoch: Some(epoch), ..recovered_writer };
        Ok((epoch, recovered))
    }

    fn try_append(&self, epoch: Epoch, batch: &Batch) -> Result<u64, Gate> {
        let mut writer = self.enter(epoch)?;
        let first = writer.next;
        let (next, changes) = batch_changes(first, batch).map_err(|c| Gate::Failed(self.refused(c)))?;
        self.write(changes, Sync::Now).map_err(Gate::Failed)?;
        // At this point the batch is sequenced.
        writer.next = next;
        Ok(first)
    }

    fn try_settle(&self, epoch: Epoch, id: BatchId) -> Result<Option<u64>, Gate> {
        let writer = self.enter(epoch)?;
        // The barrier: whatever was on its way is durable or gone, and nothing passes while the lock is held.
        if let Err(error) = self.engine.sync() {
            self.stopped.store(true, Ordering::Release);
            return Err(Gate::Failed(error));
        }
        let mut below = writer.next;
        while let Some(index) = below.checked_sub(1) {
            match self.commit_at(index).map_err(Gate::Failed)? {
                Some((found, commit, _)) if found == id.0 => return Ok(Some(commit.first)),
                Some((_, commit, _)) => below = commit.first,
                None => break,
            }
        }
        Ok(None)
    }

    fn try_integrate(&self, epoch: Epoch, old: &Head, new: &Head, note: &[u8]) -> Result<Option<Head>, Gate> {
        let mut writer = self.enter(epoch)?;
        let stored = writer.head.unwrap_or(Head::EMPTY);
        if stored != *old {
            return Ok(Some(stored));
        }
        if new.size < old.size || new.size > writer.next {
            return Err(Gate::Failed(self.refused("a head must not shrink, nor stand above the log")));
        }
        self.write(meta_change(row::HEAD, row::head(new, note)), Sync::Now).map_err(Gate::Failed)?;
        writer.head = Some(*new);
        Ok(None)
    }

    fn try_project(&self, epoch: Epoch, upto: u64, rows: &[Row]) -> Result<(), Gate> {
        let mut writer = self.enter(epoch)?;
        if upto > writer.next {
            return Err(Gate::Failed(self.refused("a projection must not stand above the log")));
        }
        let (changes, ceiling) = self.projection(writer.ceiling, rows).map_err(Gate::Failed)?;
        let (projected, ceiling) = (writer.projected.max(upto), writer.ceiling.max(ceiling).max(upto));
        if changes.is_empty() && projected == writer.projected {
            return Ok(());
        }
        let mut changes = changes;
        let progress = [projected.to_be_bytes(), ceiling.to_be_bytes()].concat();
        changes.put(Table::Meta, row::PROJECTED, row::checked(row::PROJECTED, progress));
        self.write(changes, Sync::Later).map_err(Gate::Failed)?;
        (writer.projected, writer.ceiling) = (projected, ceiling);
        Ok(())
    }

    /// The rows that are not older than what is there, and the ceiling above them.
    fn projection(&self, ceiling: u64, rows: &[Row]) -> Result<(Changes, u64), Error> {
        let mut changes = Changes::default();
        let mut above = 0;
        for row in rows {
            let (table, key, index, plain) = match row {
                Row::Person { subject, part, index, sealed } => {
                    if part.len() > MAX_PART {
                        return Err(self.refused("the part of a state row is at most 64 bytes"));
                    }
                    (Table::State, row::state_key(subject, part), Some(*index), sealed)
                }
                Row::Register { index, bytes } => (Table::Meta, row::REGISTER.to_vec(), Some(*index), bytes),
                Row::Name { name, sealed, index } => (Table::Names, row::name_key(name), *index, sealed),
            };
            let fresh = table != Table::Names && index >= Some(ceiling);
            let pending = changes.0.get(&(table, key.clone()));
            let old = match pending {
                Some(value) => value.clone(),
                None if fresh => None,
                None => self.engine.get(table, &key)?,
            };
            if let Some(old) = old {
                let old = if table == Table::Meta { row::unchecked(table, &key, &old)? } else { &old };
                if row::split_indexed(table, old)?.0 > index {
                    continue;
                }
            }
            if table != Table::Names {
                above = above.max(index.map_or(0, |i| i.saturating_add(1)));
            }
            let value = row::indexed(index, plain);
            let value = if table == Table::Meta { row::checked(&key, value) } else { value };
            changes.put(table, key, value);
        }
        Ok((changes, above))
    }
}

impl<E: Engine> Store for Keyed<E> {
    fn lead(&self, holder: &Holder) -> Result<(Epoch, Recovered), Error> {
        self.try_lead(holder)
    }

    fn append(&self, epoch: Epoch, batch: &Batch) -> Append {
        self.try_append(epoch, batch).map_or_else(Append::from, |first| Append::Sequenced { first })
    }

    fn settle(&self, epoch: Epoch, id: BatchId) -> Append {
        match self.try_settle(epoch, id) {
            Ok(Some(first)) => Append::Sequenced { first },
            Ok(None) => Append::Absent,
            Err(gate) => gate.into(),
        }
    }

    fn integrate(&self, epoch: Epoch, old: &Head, new: &Head, note: &[u8]) -> Integrate {
        match self.try_integrate(epoch, old, new, note) {
            Ok(None) => Integrate::Integrated,
            Ok(Some(stored)) => Integrate::Conflict(stored),
            Err(gate) => gate.into(),
        }
    }

    fn project(&self, epoch: Epoch, upto: u64, rows: &[Row]) -> Project {
        self.try_project(epoch, upto, rows).map_or_else(Project::from, |()| Project::Projected)
    }

    fn forget(&self, epoch: Epoch, subject: &SubjectId, names: &[Name]) -> Project {
        self.try_forget(epoch, subject, names).map_or_else(Project::from, |()| Project::Projected)
    }

    fn rewrite(&self, epoch: Epoch, subject: &SubjectId, put: &[Body], drop: &[StatementId]) -> Project {
        self.try_rewrite(epoch, subject, put, drop).map_or_else(Project::from, |()| Project::Projected)
    }

    fn keep(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Item],
        drop: &[Vec<u8>],
        names: &[Name],
    ) -> Project {
        self.try_keep(epoch, subject, put, (drop, names)).map_or_else(Project::from, |()| Project::Projected)
    }

    fn items(
        &self,
        subject: &SubjectId,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Item>, Error> {
        super::item::items(&self.engine, subject, (prefix, after), most)
    }

    fn item(&self, subject: &SubjectId, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.engine.get(Table::Items, &row::item_key(subject, name))
    }

    fn commits(&self, range: Range<u64>) -> Result<Vec<Commit>, Error> {
        let mut out = Vec::new();
        if range.is_empty() {
            return Ok(out);
        }
        // The last commit at or below the start: it holds the start, or the log ends before it.
        let (start, mut expected) = match self.engine.floor(Table::Commits, &row::commit_key(range.start))? {
            Some((key, _)) => (key, None),
            None => (Vec::new(), Some(0)),
        };
        let mut bytes = 0usize;
        let mut visit = |key: &[u8], value: &[u8]| {
            let (_, commit) = row::open_commit(key, value)?;
            if expected.is_some_and(|e| e != commit.first) {
                return Err(Error::Corrupt { what: format!("the log has a gap below {}", commit.first) });
            }
            if commit.first >= range.end || bytes >= COMMITS_BYTES {
                return Ok(ControlFlow::Break(()));
            }
            let until = until(&commit)?;
            expected = Some(until);
            if until > range.start {
                bytes += bytes_of(&commit);
                out.push(commit);
            }
            Ok(ControlFlow::Continue(()))
        };
        self.engine.walk(Table::Commits, &start, &mut visit)?;
        Ok(out)
    }

    fn bodies(&self, subject: &SubjectId, ids: &[StatementId]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        ids.iter().map(|id| self.engine.get(Table::Bodies, &row::body_key(subject, id))).collect()
    }

    fn ids(&self, subject: &SubjectId) -> Result<Vec<StatementId>, Error> {
        super::whole::ids(&self.engine, subject)
    }

    fn rows(&self, subject: &SubjectId) -> Result<PersonRows, Error> {
        let prefix = subject.as_bytes();
        let (progress, pairs) = self.engine.person(row::PROJECTED, prefix)?;
        let upto = match progress {
            None => 0,
            Some(row) => parse_pair(row::PROJECTED, row::unchecked(Table::Meta, row::PROJECTED, &row)?)?.0,
        };
        let read = |(key, value): Pair| {
            let part = key.get(prefix.len()..).unwrap_or_default().to_vec();
            let (index, sealed) = row::split_indexed(Table::State, &value)?;
            Ok((part, index.ok_or_else(|| row::damaged(Table::State, &[]))?, sealed.to_vec()))
        };
        Ok(PersonRows { rows: pairs.into_iter().map(read).collect::<Result<_, Error>>()?, upto })
    }

    fn register(&self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        self.meta_pair(row::REGISTER)
    }

    fn locate(&self, name: &Name) -> Result<Option<Located>, Error> {
        let row = self.engine.get(Table::Names, &row::name_key(name))?;
        row.map(|value| row::located(&value)).transpose()
    }

    fn names(&self, after: Option<&Name>, most: usize) -> Result<Vec<(Name, Located)>, Error> {
        super::whole::names(&self.engine, after, most)
    }

    fn barrier(&self) -> Result<(), Error> {
        self.alive()?;
        self.engine.sync().inspect_err(|_| self.stopped.store(true, Ordering::Release))
    }

    fn put(&self, name: &str, bytes: &[u8], synced: bool) -> Result<(), Error> {
        self.try_put(name, bytes, synced)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.try_replace(name, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = row::blob_key(name);
        let row = self.engine.get(Table::Blobs, &key)?;
        row.map(|r| row::unchecked(Table::Blobs, &key, &r).map(<[u8]>::to_vec)).transpose()
    }

    fn compact(&self) -> Result<(), Error> {
        self.engine.compact()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        self.engine.snapshot()
    }

    fn refill(&self, rows: &mut Rows<'_>) -> Result<(), Error> {
        self.try_refill(rows)
    }

    fn disk_bytes(&self) -> u64 {
        self.engine.disk_bytes()
    }
}

/// Runs a call into an engine: its errors become ours, and so do its panics, which
/// damaged files can cause.
pub(super) fn caught<T, X>(
    doing: &str,
    call: impl FnOnce() -> Result<T, X>,
    ours: impl FnOnce(X) -> Error,
) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(ours),
        Err(_) => Err(Error::Corrupt { what: format!("the engine panicked while {doing}") }),
    }
}

/// The rows of a batch that will stand at `first`, and the index after it; or what is wrong with it.
fn batch_changes(first: u64, batch: &Batch) -> Result<(u64, Changes), &'static str> {
    let n = super::sound(batch)?;
    let next = first.checked_add(n).ok_or("the log is full")?;
    let commit = row::commit(batch).ok_or("an entry is too long")?;
    let mut changes = Changes::default();
    for NameAt { name, sealed, index } in super::names_at(first, batch) {
        changes.put(Table::Names, row::name_key(name), row::indexed(index, sealed));
    }
    for body in &batch.bodies {
        changes.put(Table::Bodies, row::body_key(&body.subject, &body.id), body.sealed.clone());
    }
    let key = row::commit_key(first);
    changes.put(Table::Commits, key, row::checked(&key, commit));
    Ok((next, changes))
}

fn meta_change(key: &[u8], value: Vec<u8>) -> Changes {
    let mut changes = Changes::default();
    changes.put(Table::Meta, key, row::checked(key, value));
    changes
}

/// A meta value that begins with a number.
fn parse_pair(key: &[u8], value: &[u8]) -> Result<(u64, Vec<u8>), Error> {
    let (number, rest) = value.split_first_chunk::<8>().ok_or_else(|| row::damaged(Table::Meta, key))?;
    Ok((u64::from_be_bytes(*number), rest.to_vec()))
}

/// The index after a commit.
fn until(commit: &Commit) -> Result<u64, Error> {
    u64::try_from(commit.entries.len())
        .ok()
        .and_then(|n| commit.first.checked_add(n))
        .ok_or_else(|| row::damaged(Table::Commits, &row::commit_key(commit.first)))
}

/// What a commit counts towards a limit.
fn bytes_of(commit: &Commit) -> usize {
    commit.entries.iter().map(|e| e.len() + StatementId::LEN).sum()
}

/// How far back a start looks for gaps: more than the engine's journal holds un-flushed.
const TAIL_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::store::BatchId;

    type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

    /// Rows in a map, which a test may damage, and a switch that makes writes fail.
    #[derive(Debug, Default)]
    struct Shelf {
        rows: Mutex<Rows>,
        full: AtomicBool,
    }

    impl Engine for Shelf {
        fn name(&self) -> &'static str {
            "shelf"
        }

        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.rows.lock().unwrap().get(&(table, key.to_vec())).cloned())
        }

        fn floor(&self, table: Table, key: &[u8]) -> Result<Option<Pair>, Error> {
            let rows = self.rows.lock().unwrap();
            let last = rows.range((table, vec![])..=(table, key.to_vec())).next_back();
            Ok(last.map(|((_, key), value)| (key.clone(), value.clone())))
        }

        fn walk(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
            let rows = self.rows.lock().unwrap().clone();
            for ((_, key), value) in
                rows.range((table, from.to_vec())..).take_while(|((t, _), _)| *t == table)
            {
                if visit(key, value)? == ControlFlow::Break(()) {
                    break;
                }
            }
            Ok(())
        }

        fn person(&self, meta: &[u8], _: &[u8]) -> Result<(Option<Vec<u8>>, Vec<Pair>), Error> {
            Ok((self.get(Table::Meta, meta)?, vec![]))
        }

        fn write(&self, changes: Changes, _: Sync) -> Result<(), Error> {
            if self.full.load(Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::StorageFull).into());
            }
            let mut rows = self.rows.lock().unwrap();
            for (table, key, value) in changes.into_rows() {
                match value {
                    Some(value) => rows.insert((table, key), value),
                    None => rows.remove(&(table, key)),
                };
            }
            Ok(())
        }

        fn sync(&self) -> Result<(), Error> {
            Ok(())
        }

        fn disk_bytes(&self) -> u64 {
            0
        }
    }

    const HOLDER: Holder = Holder([0; 16]);

    fn batch(id: u8) -> Batch {
        Batch {
            id: BatchId([id; 16]),
            at: 1,
            entries: vec![vec![id; 9]; 2],
            ids: vec![StatementId([id; 32]); 2],
            names: vec![],
            bodies: vec![],
        }
    }

    /// Three commits of two entries, and a head over all.
    fn filled() -> (Keyed<Shelf>, Epoch) {
        let store = Keyed::new(Shelf::default());
        let (epoch, _) = store.lead(&HOLDER).unwrap();
        for id in 0..3 {
            assert!(matches!(store.append(epoch, &batch(id)), Append::Sequenced { .. }));
        }
        let head = Head { size: 6, root: [1; 32] };
        assert!(matches!(store.integrate(epoch, &Head::EMPTY, &head, b"n"), Integrate::Integrated));
        (store, epoch)
    }

    fn damaged<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
        match answer {
            Err(Error::Corrupt { what }) => what,
            other => panic!("not noticed: {other:?}"),
        }
    }

    #[test]
    fn a_missing_commit_is_a_gap_and_not_a_shorter_answer() {
        let (store, _) = filled();
        store.engine.rows.lock().unwrap().remove(&(Table::Commits, row::commit_key(2).to_vec()));
        assert!(damaged(store.lead(&HOLDER)).contains("gap below 4"));
        assert!(damaged(store.commits(0..6)).contains("gap below 4"));
        assert!(damaged(store.commits(2..3)).contains("gap below 4"));
        assert_eq!(store.commits(4..6).unwrap().len(), 1);
    }

    #[test]
    fn a_missing_first_commit_is_a_gap() {
        let (store, _) = filled();
        store.engine.rows.lock().unwrap().remove(&(Table::Commits, row::commit_key(0).to_vec()));
        damaged(store.lead(&HOLDER));
        damaged(store.commits(0..2));
    }

    #[test]
    fn a_log_shorter_than_its_head_is_refused() {
        let (store, _) = filled();
        store.engine.rows.lock().unwrap().remove(&(Table::Commits, row::commit_key(4).to_vec()));
        assert!(damaged(store.lead(&HOLDER)).contains("ends at 4"));
    }

    #[test]
    fn every_flipped_bit_of_a_checked_row_is_damage() {
        let (store, epoch) = filled();
        store.put("a", b"blob", true).unwrap();
        let register = Row::Register { index: 1, bytes: b"register".to_vec() };
        assert!(matches!(store.project(epoch, 6, &[register]), Project::Projected));
        let whole = store.engine.rows.lock().unwrap().clone();
        for ((table, key), value) in &whole {
            for bit in 0..value.len() * 8 {
                let mut rows = whole.clone();
                rows.get_mut(&(*table, key.clone())).unwrap()[bit / 8] ^= 1 << (bit % 8);
                *store.engine.rows.lock().unwrap() = rows;
                let noticed = [
                    store.lead(&HOLDER).map(drop),
                    store.commits(0..6).map(drop),
                    store.register().map(drop),
                    store.get("a").map(drop),
                ];
                assert!(
                    noticed.iter().any(|n| matches!(n, Err(Error::Corrupt { .. }))),
                    "{table:?} {key:?} {bit}"
                );
            }
        }
    }

    #[test]
    fn a_failed_write_is_the_last() {
        let (store, epoch) = filled();
        store.engine.full.store(true, Ordering::Relaxed);
        match store.append(epoch, &batch(9)) {
            Append::Failed(Error::Io(io)) => assert_eq!(io.kind(), io::ErrorKind::StorageFull),
            other => panic!("{other:?}"),
        }
        store.engine.full.store(false, Ordering::Relaxed);
        assert!(matches!(store.append(epoch, &batch(9)), Append::Failed(Error::Engine { .. })));
        assert!(matches!(store.settle(epoch, BatchId([9; 16])), Append::Failed(_)));
        assert!(matches!(store.project(epoch, 6, &[]), Project::Failed(_)));
        assert!(store.put("a", b"", false).is_err() && store.lead(&HOLDER).is_err());
        assert_eq!(store.commits(0..9).unwrap().len(), 3, "reading goes on");
    }

    #[test]
    fn a_panic_of_the_engine_is_an_error() {
        let answer =
            caught("testing", || -> Result<(), io::Error> { panic!("as damaged files may") }, Error::Io);
        assert!(damaged(answer).contains("while testing"));
    }
}
