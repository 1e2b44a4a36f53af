//! A world with an oracle beside it, and a store whose appends can be held.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::SubjectId;
use naru::model::statement::Statement;
use naru::node::Error;
use naru::node::Node;
use naru::node::Outcome;
use naru::node::Readiness;
use naru::node::Refusal;
use naru::node::Settings;
use naru::node::Stop;
use naru::store;
use naru::store::Append;
use naru::store::Batch;
use naru::store::BatchId;
use naru::store::Body;
use naru::store::Commit;
use naru::store::Epoch;
use naru::store::Head;
use naru::store::Holder;
use naru::store::Integrate;
use naru::store::Located;
use naru::store::Name;
use naru::store::PersonRows;
use naru::store::Project;
use naru::store::Recovered;
use naru::store::Row;
use naru::store::Store;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::Memory;
use naru::store::memory::When;
use naru::vault::Vault;

use crate::oracle::Oracle;
use crate::support::*;

/// One fault: at which call, how many of them pass first, where in it, what.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    pub call: Call,
    pub skip: u64,
    pub when: When,
    pub fault: Fault,
}

impl Strike {
    pub const fn next(call: Call, when: When, fault: Fault) -> Self {
        Self { call, skip: 0, when, fault }
    }
}

/// A world under an oracle's eye.
pub struct Story {
    pub world: World,
    pub oracle: Oracle,
    planned: Option<Strike>,
    seen: u64,
    hold: Option<Arc<Hold>>,
}

impl Drop for Story {
    /// A test that failed leaves no append waiting: the node joins its threads.
    fn drop(&mut self) {
        if let Some(hold) = &self.hold {
            hold.open();
        }
    }
}

impl Story {
    pub fn new() -> Self {
        Self::of(World::new())
    }

    pub fn of(world: World) -> Self {
        let mut story = Self { world, oracle: Oracle::default(), planned: None, seen: 0, hold: None };
        story.check();
        story
    }

    /// Over a store whose appends can be held, with one verifying thread and a small queue.
    pub fn held(queue: usize) -> (Self, Arc<Hold>) {
        let memory = Memory::new();
        let hold = Arc::new(Hold::default());
        let store = Arc::new(Held { memory: memory.clone(), hold: Arc::clone(&hold) });
        let mut world = World::bare(memory, Arc::clone(&store) as Arc<dyn Store>);
        world.populate();
        drop(world.node.take());
        let store = Held { memory: world.memory.reopen(), hold: Arc::clone(&hold) };
        let settings = Settings { queue, threads: 1, ..settings(&world.dir) };
        world.node = Some(open_over(&world, Arc::new(store), settings).unwrap());
        let mut story = Self::of(world);
        story.hold = Some(Arc::clone(&hold));
        (story, hold)
    }

    /// Plans a fault; it strikes a call of the story, never one of the oracle's.
    pub fn plan(&mut self, strike: Strike) {
        self.planned = Some(strike);
        self.arm();
    }

    fn arm(&mut self) {
        if let Some(s) = self.planned {
            let faults = self.world.memory.faults();
            self.seen = faults.seen(s.call);
            faults.fail_after(s.call, s.skip, s.when, s.fault);
        }
    }

    /// Whether the planned fault is still to come.
    pub fn is_pending(&mut self) -> bool {
        if self.planned.is_some() && self.world.memory.faults().left() == 0 {
            self.planned = None;
        }
        self.planned.is_some()
    }

    /// Asks the oracle, with the faults put away.
    pub fn check(&mut self) {
        if self.is_pending()
            && let Some(strike) = &mut self.planned
        {
            let faults = self.world.memory.faults();
            strike.skip -= faults.seen(strike.call) - self.seen;
            faults.clear();
        }
        self.oracle.check(&self.world);
        self.arm();
    }

    /// Sends items as one batch; the oracle hears the answers.
    pub fn send(&mut self, items: Vec<Vec<u8>>) -> Vec<Outcome> {
        let ids: Vec<_> = items.iter().map(|item| self.oracle.send(item)).collect();
        let outcomes = self.world.node().record(items);
        for (id, outcome) in ids.into_iter().zip(&outcomes) {
            self.oracle.hear(id, outcome);
        }
        self.settle();
        self.check();
        outcomes
    }

    pub fn send_one(&mut self, statement: &Statement, n: u64) -> Outcome {
        self.send(vec![sign(statement, &person_key(n))]).pop().unwrap()
    }

    /// A statement without effect goes through the sequencer: what was before it is done, projection and all.
    pub fn settle(&self) {
        let Some((n, ppid)) = self.oracle.anybody() else { return };
        let stale = self.world.grant(ppid, Some(StatementId([0xee; 32])));
        assert!(self.world.submit(sign(&stale.into(), &person_key(n))).is_err());
    }

    /// Enrols person `n` and asks for her ppid at the bank; `None` if either is refused.
    pub fn enrol(&mut self, n: u64) -> Option<Ppid> {
        let create = self.world.key_create();
        self.send_one(&create, n).ok()?;
        let ppid = self.world.node().ppid(&key_hash(&person_key(n)), Some(&party("bank"))).ok()??;
        self.oracle.name(n, ppid);
        self.check();
        Some(ppid)
    }

    /// Refused by the verifying thread, one if there is one: what was sent before is queued then.
    pub fn wait_for_pool(&self) {
        let (n, ppid) = self.oracle.anybody().unwrap();
        let mut late = self.world.grant(ppid, None);
        late.iat = late.iat.minus_ms(2 * DAY);
        let outcome = self.world.submit(sign(&late.into(), &person_key(n)));
        assert!(matches!(outcome, Err(Refusal::Window { .. })), "{outcome:?}");
    }

    pub fn ppid(&self, n: u64) -> Option<Ppid> {
        self.oracle.ppid(n)
    }

    /// A grant as its signer sees the slot.
    pub fn grant(&mut self, n: u64) -> Outcome {
        let grant = self.granting(n);
        self.send(vec![grant]).pop().unwrap()
    }

    pub fn granting(&self, n: u64) -> Vec<u8> {
        let over = self.oracle.last(n);
        let grant = self.world.grant(self.ppid(n).unwrap(), over);
        sign(&grant.into(), &person_key(n))
    }

    pub fn withdraw(&mut self, n: u64) -> Outcome {
        let item = self.withdrawing(n);
        self.send(vec![item]).pop().unwrap()
    }

    pub fn withdrawing(&self, n: u64) -> Vec<u8> {
        sign(&self.world.withdraw(self.ppid(n).unwrap()), &person_key(n))
    }

    /// A tick by hand.
    pub fn tick(&mut self) -> Result<(), Stop> {
        let done = self.world.node().tick();
        self.check();
        done
    }

    /// The process dies: what it did not sync is gone, what it still tries is refused.
    pub fn kill(&mut self) {
        self.planned = None;
        self.world.memory.faults().clear();
        let next = self.world.memory.reopen();
        drop(self.world.node.take());
        self.world.memory = next;
    }

    /// A start, which may be refused.
    pub fn try_open(&mut self) -> Result<(), Error> {
        self.world.node = Some(self.world.open()?);
        Ok(())
    }

    /// A start that succeeds and serves.
    pub fn open(&mut self) {
        self.try_open().unwrap();
        assert_eq!(self.world.node().readiness(), Readiness::Ready);
        self.check();
    }

    /// Every acknowledged item again: the same answer as then.
    pub fn repeat_all(&mut self) {
        for (id, item) in self.oracle.acked_items() {
            let outcome = self.world.submit(item);
            assert!(outcome.as_ref().is_ok_and(|a| a.duplicate), "{outcome:?}");
            self.oracle.hear(id, &outcome);
        }
    }
}

pub fn open_over(world: &World, store: Arc<dyn Store>, settings: Settings) -> Result<Node, Error> {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    Node::open(settings, store, vault, keys(), world.clock.clone())
}

/// What is done in between, once a name is looked for.
pub type AtLocate = (Name, Box<dyn FnOnce() + Send>);

/// Holds appends while it is shut; may hide commits, and let something happen while a name is looked for.
#[derive(Default)]
pub struct Hold {
    /// (shut, an append waits)
    state: Mutex<(bool, bool)>,
    changed: Condvar,
    pub hides_commits: AtomicBool,
    /// Done once, before the name is found.
    pub at_locate: Mutex<Option<AtLocate>>,
}

impl Hold {
    pub fn shut(&self) {
        self.state.lock().unwrap().0 = true;
    }

    pub fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    /// Waits until an append stands at the gate.
    pub fn wait_for_append(&self) {
        // The limit only ends a test in which the append was refused before.
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, Duration::from_secs(60), |(_, waits)| !*waits);
        let timeout = waited.unwrap().1;
        assert!(!timeout.timed_out(), "nothing came to be appended");
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if state.0 {
            state.1 = true;
            self.changed.notify_all();
            state = self.changed.wait_while(state, |(shut, _)| *shut).unwrap();
            state.1 = false;
        }
    }
}

/// A memory store behind a [`Hold`].
pub struct Held {
    pub memory: Memory,
    pub hold: Arc<Hold>,
}

impl Store for Held {
    fn lead(&self, holder: &Holder) -> Result<(Epoch, Recovered), store::Error> {
        self.memory.lead(holder)
    }
    fn append(&self, epoch: Epoch, batch: &Batch) -> Append {
        self.hold.pass();
        self.memory.append(epoch, batch)
    }
    fn settle(&self, epoch: Epoch, id: BatchId) -> Append {
        self.memory.settle(epoch, id)
    }
    fn integrate(&self, epoch: Epoch, old: &Head, new: &Head, note: &[u8]) -> Integrate {
        self.memory.integrate(epoch, old, new, note)
    }
    fn project(&self, epoch: Epoch, upto: u64, rows: &[Row]) -> Project {
        self.memory.project(epoch, upto, rows)
    }
    fn rewrite(&self, epoch: Epoch, subject: &SubjectId, put: &[Body], drop: &[StatementId]) -> Project {
        self.memory.rewrite(epoch, subject, put, drop)
    }

    fn forget(&self, epoch: Epoch, subject: &SubjectId, names: &[Name]) -> Project {
        self.memory.forget(epoch, subject, names)
    }
    fn keep(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[store::Item],
        drop: &[Vec<u8>],
        names: &[Name],
    ) -> Project {
        self.memory.keep(epoch, subject, put, drop, names)
    }
    fn items(
        &self,
        subject: &SubjectId,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<store::Item>, store::Error> {
        self.memory.items(subject, prefix, after, most)
    }
    fn item(&self, subject: &SubjectId, name: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.memory.item(subject, name)
    }
    fn commits(&self, range: Range<u64>) -> Result<Vec<Commit>, store::Error> {
        if self.hold.hides_commits.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        self.memory.commits(range)
    }
    fn bodies(&self, subject: &SubjectId, ids: &[StatementId]) -> Result<Vec<Option<Vec<u8>>>, store::Error> {
        self.memory.bodies(subject, ids)
    }
    fn ids(&self, subject: &SubjectId) -> Result<Vec<StatementId>, store::Error> {
        self.memory.ids(subject)
    }
    fn rows(&self, subject: &SubjectId) -> Result<PersonRows, store::Error> {
        self.memory.rows(subject)
    }
    fn register(&self) -> Result<Option<(u64, Vec<u8>)>, store::Error> {
        self.memory.register()
    }
    fn locate(&self, name: &Name) -> Result<Option<Located>, store::Error> {
        let planned = self.hold.at_locate.lock().unwrap().take_if(|(at, _)| at == name);
        if let Some((_, act)) = planned {
            act();
        }
        self.memory.locate(name)
    }
    fn names(&self, after: Option<&Name>, most: usize) -> Result<Vec<(Name, Located)>, store::Error> {
        self.memory.names(after, most)
    }
    fn barrier(&self) -> Result<(), store::Error> {
        self.memory.barrier()
    }
    fn put(&self, name: &str, bytes: &[u8], synced: bool) -> Result<(), store::Error> {
        self.memory.put(name, bytes, synced)
    }
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), store::Error> {
        self.memory.replace(name, bytes)
    }
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, store::Error> {
        self.memory.get(name)
    }
    fn disk_bytes(&self) -> u64 {
        self.memory.disk_bytes()
    }
}
