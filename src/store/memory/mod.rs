//! A store in memory that forgets and fails on demand: for tests, and for a look.
//!
//! A [`Memory`] is one process's handle on a shared world. [`Memory::reopen`] ends
//! that process as a power loss would: what was not synced is gone (projections,
//! forgets, un-synced blobs), what was is there (appends, heads, synced blobs). It
//! is the harshest store the contract allows, so code that stands on it stands on
//! the real ones.
//!
//! [`Faults`] makes it worse: state that lags, answers that are lost, another
//! writer's batch in front of ours, errors before, in and after each call. After a
//! write has failed every further write fails until the store is reopened, as in
//! the engines, and is counted.
//!
//! Lacks durability. Trusted: nothing is; it only tests.

mod fault;
mod tables;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::fault::Plan;
pub use self::fault::{Call, Fault, Faults, Lag, When};
use self::tables::Tables;
use super::{
    Append, Batch, BatchId, Body, Commit, Epoch, Error, Gate, Head, Holder, Integrate, Item, Located,
    MAX_PART, Name, PersonRows, Project, Recovered, Row, Store, is_item, sound,
};
use crate::model::id::{StatementId, SubjectId};

/// One process's handle on a world of rows. Clones are the same process.
#[derive(Clone, Debug)]
pub struct Memory {
    world: Arc<Mutex<World>>,
    process: u64,
}

/// What outlives a process, and what does not.
#[derive(Debug, Default)]
struct World {
    /// Survives a reopen.
    durable: Tables,
    /// What reads see. INVARIANT: whatever `durable` holds, `live` held when it was written.
    live: Tables,
    process: u64,
    epoch: Option<Epoch>,
    lag: Lag,
    held_back: Vec<(u64, Vec<Row>)>,
    foreign: Vec<Batch>,
    doubt: Option<BatchId>,
    failed: bool,
    plan: Plan,
}

impl Memory {
    /// An empty world and its first process.
    #[must_use]
    pub fn new() -> Self {
        Self { world: Arc::default(), process: 0 }
    }

    /// Ends this process without a word and starts the next over the same world: what
    /// was not durable is gone. Older handles answer `Fenced` and `Locked` from now on.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let mut world = lock(&self.world);
        world.process += 1;
        world.live = world.durable.clone();
        world.held_back.clear();
        (world.epoch, world.doubt, world.failed) = (None, None, false);
        Self { world: Arc::clone(&self.world), process: world.process }
    }

    /// Makes everything visible durable: what an orderly stop does before a reopen.
    pub fn sync(&self) {
        lock(&self.world).sync();
    }

    /// The switches.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults { world: Arc::clone(&self.world) }
    }

    /// A read: the world, if this process lives and no fault is planned.
    fn read(&self, call: Call) -> Result<MutexGuard<'_, World>, Error> {
        let mut world = lock(&self.world);
        if world.process != self.process {
            return Err(Error::Locked);
        }
        match world.plan.strike(call) {
            Some((_, fault)) => Err(fault.error()),
            None => Ok(world),
        }
    }

    /// A write: the world and the fault planned for it, if this epoch leads.
    fn write(&self, call: Call, epoch: Epoch) -> Result<(MutexGuard<'_, World>, Struck), Gate> {
        let mut world = lock(&self.world);
        if world.process != self.process || world.epoch != Some(epoch) {
            return Err(Gate::Fenced);
        }
        world.alive().map_err(Gate::Failed)?;
        let struck = world.plan.strike(call);
        if matches!(struck, Some((_, Fault::Fenced))) {
            world.epoch = None;
            return Err(Gate::Fenced);
        }
        if let Some((When::Before, fault)) = struck.filter(|(_, f)| !in_doubt(call, *f)) {
            return Err(Gate::Failed(world.fail(fault)));
        }
        Ok((world, struck))
    }

    fn try_append(&self, epoch: Epoch, batch: &Batch) -> Result<Option<u64>, Gate> {
        let (mut world, struck) = self.write(Call::Append, epoch)?;
        sound(batch).map_err(|cause| Gate::Failed(refused(cause)))?;
        if world.doubt.is_some() {
            return Err(Gate::Failed(refused("an append before the batch in doubt was settled")));
        }
        if let Some((When::Middle, fault)) = struck.filter(|(_, f)| !in_doubt(Call::Append, *f)) {
            world.live.append_torn(batch);
            return Err(Gate::Failed(world.fail(fault)));
        }
        for foreign in std::mem::take(&mut world.foreign) {
            world.both(|tables| tables.append(&foreign));
        }
        match struck {
            None => Ok(Some(world.both(|tables| tables.append(batch)))),
            Some((_, Fault::InDoubt { persisted })) => {
                if persisted {
                    world.both(|tables| tables.append(batch));
                }
                world.doubt = Some(batch.id);
                Ok(None)
            }
            Some((_, fault)) => {
                world.both(|tables| tables.append(batch));
                Err(Gate::Failed(world.fail(fault)))
            }
        }
    }

    fn try_settle(&self, epoch: Epoch, id: BatchId) -> Result<Option<u64>, Gate> {
        let (mut world, struck) = self.write(Call::Settle, epoch)?;
        if let Some((_, fault)) = struck {
            return Err(Gate::Failed(world.fail(fault)));
        }
        world.doubt = None;
        Ok(world.live.find(id))
    }

    fn try_integrate(&self, epoch: Epoch, old: &Head, new: &Head, note: &[u8]) -> Result<Option<Head>, Gate> {
        let (mut world, struck) = self.write(Call::Integrate, epoch)?;
        let stored = world.live.head;
        if stored != *old {
            return Ok(Some(stored));
        }
        if new.size < old.size || new.size > world.live.tail().0 {
            return Err(Gate::Failed(refused("a head must not shrink, nor stand above the log")));
        }
        let set = |tables: &mut Tables| (tables.head, tables.note) = (*new, note.to_vec());
        set(&mut world.live);
        if !matches!(struck, Some((When::Middle, _))) {
            set(&mut world.durable);
        }
        world.answer(struck)?;
        Ok(None)
    }

    fn try_project(&self, epoch: Epoch, upto: u64, rows: &[Row]) -> Result<(), Gate> {
        let (mut world, struck) = self.write(Call::Project, epoch)?;
        if upto > world.live.tail().0 {
            return Err(Gate::Failed(refused("a projection must not stand above the log")));
        }
        let fits = |row: &Row| !matches!(row, Row::Person { part, .. } if part.len() > MAX_PART);
        if !rows.iter().all(fits) {
            return Err(Gate::Failed(refused("the part of a state row is at most 64 bytes")));
        }
        if let Some((When::Middle, _)) = struck {
            world.live.project(0, rows.split_at(rows.len().div_ceil(2)).0);
        } else if world.lag == Lag::On {
            world.held_back.push((upto, rows.to_vec()));
        } else {
            world.live.project(upto, rows);
            if struck.is_some() {
                // One journal: what is durable has everything before it.
                world.sync();
            }
        }
        world.answer(struck)
    }

    fn try_forget(&self, epoch: Epoch, subject: &SubjectId, names: &[Name]) -> Result<(), Gate> {
        let (mut world, struck) = self.write(Call::Forget, epoch)?;
        if let Some((When::Middle, _)) = struck {
            world.live.forget_bodies(subject);
            return world.answer(struck);
        }
        world.live.forget(subject, names);
        for (_, rows) in &mut world.held_back {
            rows.retain(|row| match row {
                Row::Person { subject: whose, .. } => whose != subject,
                Row::Name { name, .. } => !names.contains(name),
                Row::Register { .. } => true,
            });
        }
        if struck.is_some() {
            world.durable.forget(subject, names);
        }
        world.answer(struck)
    }

    fn try_keep(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Item],
        (drop, names): (&[Vec<u8>], &[Name]),
    ) -> Result<(), Gate> {
        let (mut world, struck) = self.write(Call::Keep, epoch)?;
        if !put.iter().all(is_item) {
            return Err(Gate::Failed(refused("the name of an item is 1 to 64 bytes")));
        }
        if let Some((When::Middle, _)) = struck {
            world.live.keep(subject, put.split_at(put.len().div_ceil(2)).0, (&[], &[]));
            return world.answer(struck);
        }
        world.live.keep(subject, put, (drop, names));
        for (_, rows) in &mut world.held_back {
            rows.retain(|row| !matches!(row, Row::Name { name, .. } if names.contains(name)));
        }
        if struck.is_some() {
            // One journal: what is durable has everything before it.
            world.sync();
        }
        world.answer(struck)
    }
}

impl Memory {
    fn try_rewrite(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Body],
        drop: &[StatementId],
    ) -> Result<(), Gate> {
        let (mut world, struck) = self.write(Call::Rewrite, epoch)?;
        if let Some((When::Middle, _)) = struck {
            // All or nothing, but not durable.
            world.live.rewrite(subject, put, drop);
            return world.answer(struck);
        }
        world.live.rewrite(subject, put, drop);
        if struck.is_some() {
            world.durable.rewrite(subject, put, drop);
        }
        world.answer(struck)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Does the same to what is visible and to what is durable.
    fn both<T>(&mut self, mut change: impl FnMut(&mut Tables) -> T) -> T {
        change(&mut self.durable);
        change(&mut self.live)
    }

    fn sync(&mut self) {
        self.durable = self.live.clone();
    }

    fn alive(&mut self) -> Result<(), Error> {
        if self.failed {
            self.plan.after_failure += 1;
            return Err(refused("an earlier write failed; reopen"));
        }
        Ok(())
    }

    fn fail(&mut self, fault: Fault) -> Error {
        self.failed = true;
        fault.error()
    }

    fn answer(&mut self, struck: Struck) -> Result<(), Gate> {
        match struck {
            None => Ok(()),
            Some((_, fault)) => Err(Gate::Failed(self.fail(fault))),
        }
    }

    fn catch_up(&mut self) {
        for (upto, rows) in std::mem::take(&mut self.held_back) {
            self.live.project(upto, &rows);
        }
    }
}

impl Store for Memory {
    fn lead(&self, _: &Holder) -> Result<(Epoch, Recovered), Error> {
        let mut world = lock(&self.world);
        if world.process != self.process {
            return Err(Error::Locked);
        }
        world.alive()?;
        let struck = world.plan.strike(Call::Lead);
        if let Some((When::Before, fault)) = struck {
            return Err(world.fail(fault));
        }
        let epoch = world.live.epoch.max(world.durable.epoch) + 1;
        world.live.epoch = epoch;
        if !matches!(struck, Some((When::Middle, _))) {
            world.durable.epoch = epoch;
        }
        (world.epoch, world.doubt) = (Some(Epoch(epoch)), None);
        if let Some((_, fault)) = struck {
            return Err(world.fail(fault));
        }
        let (next, at) = world.live.tail();
        let Tables { head: integrated, note, projected, .. } = &world.live;
        let recovered =
            Recovered { next, at, integrated: *integrated, note: note.clone(), projected: *projected };
        Ok((Epoch(epoch), recovered))
    }

    fn append(&self, epoch: Epoch, batch: &Batch) -> Append {
        match self.try_append(epoch, batch) {
            Ok(Some(first)) => Append::Sequenced { first },
            Ok(None) => Append::InDoubt,
            Err(gate) => gate.into(),
        }
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
        Ok(self.read(Call::Items)?.live.items(subject, prefix, after, most))
    }

    fn item(&self, subject: &SubjectId, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read(Call::Items)?.live.item(subject, name))
    }

    fn commits(&self, range: Range<u64>) -> Result<Vec<Commit>, Error> {
        Ok(self.read(Call::Commits)?.live.commits(&range))
    }

    fn bodies(&self, subject: &SubjectId, ids: &[StatementId]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let world = self.read(Call::Bodies)?;
        Ok(ids.iter().map(|id| world.live.body(subject, id)).collect())
    }

    fn ids(&self, subject: &SubjectId) -> Result<Vec<StatementId>, Error> {
        Ok(self.read(Call::Bodies)?.live.ids(subject))
    }

    fn rows(&self, subject: &SubjectId) -> Result<PersonRows, Error> {
        Ok(self.read(Call::Rows)?.live.rows(subject))
    }

    fn register(&self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        Ok(self.read(Call::Register)?.live.register.clone())
    }

    fn locate(&self, name: &Name) -> Result<Option<Located>, Error> {
        Ok(self.read(Call::Locate)?.live.locate(name))
    }

    /// What is held back is among them: it will be visible one day.
    fn names(&self, after: Option<&Name>, most: usize) -> Result<Vec<(Name, Located)>, Error> {
        let world = self.read(Call::Names)?;
        if world.held_back.is_empty() {
            return Ok(world.live.names(after, most));
        }
        let mut whole = world.live.clone();
        world.held_back.iter().for_each(|(upto, rows)| whole.project(*upto, rows));
        Ok(whole.names(after, most))
    }

    fn barrier(&self) -> Result<(), Error> {
        let mut world = lock(&self.world);
        if world.process != self.process {
            return Err(Error::Locked);
        }
        world.alive()?;
        let struck = world.plan.strike(Call::Barrier);
        if !matches!(struck, Some((When::Before | When::Middle, _))) {
            world.sync();
        }
        struck.map_or(Ok(()), |(_, fault)| Err(world.fail(fault)))
    }

    fn put(&self, name: &str, bytes: &[u8], synced: bool) -> Result<(), Error> {
        let mut world = lock(&self.world);
        if world.process != self.process {
            return Err(Error::Locked);
        }
        world.alive()?;
        let struck = world.plan.strike(Call::Put);
        if let Some((When::Before, fault)) = struck {
            return Err(world.fail(fault));
        }
        if world.live.blobs.get(name).is_some_and(|old| old != bytes) {
            return Err(Error::Exists { name: name.to_owned() });
        }
        world.live.blobs.insert(name.to_owned(), bytes.to_vec());
        if matches!(struck, Some((When::After, _))) || (synced && struck.is_none()) {
            world.durable.blobs.insert(name.to_owned(), bytes.to_vec());
        }
        struck.map_or(Ok(()), |(_, fault)| Err(world.fail(fault)))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut world = lock(&self.world);
        if world.process != self.process {
            return Err(Error::Locked);
        }
        world.alive()?;
        world.live.blobs.insert(name.to_owned(), bytes.to_vec());
        world.durable.blobs.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read(Call::Get)?.live.blobs.get(name).cloned())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// The fault planned for a call, if any.
type Struck = Option<(When, Fault)>;

/// A lost answer is no failure, and only an append can lose one.
fn in_doubt(call: Call, fault: Fault) -> bool {
    call == Call::Append && matches!(fault, Fault::InDoubt { .. })
}

fn refused(cause: &str) -> Error {
    Error::Engine { engine: "memory", cause: cause.to_owned() }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
