//! Making a log, and opening one: the way to a `Node`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::thread;

use arc_swap::ArcSwap;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::consent::PackFile;
use crate::consent::Person;
use crate::consent::Register;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::key::Signer;
use crate::ledger::merkle::Tree;
use crate::model::id::Hash;
use crate::model::pack::Pack;
use crate::model::terms::Vocabulary;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Settings;
use crate::node::Stop;
use crate::node::arrival::Lives;
use crate::node::backup::restore;
use crate::node::clock::Clock;
use crate::node::cohort;
use crate::node::cohort::Cohorts;
use crate::node::domains::Domains;
use crate::node::erase::OnTheWay;
use crate::node::events::Tail;
use crate::node::exception::Uses;
use crate::node::incidents::Book;
use crate::node::lane::Lane;
use crate::node::lane::LaneQueue;
use crate::node::mark::Mark;
use crate::node::meter::Meter;
use crate::node::owed::Named;
use crate::node::people::People;
use crate::node::publish;
use crate::node::publish::Published;
use crate::node::publish::Publisher;
use crate::node::rebinds::Rebinds;
use crate::node::sequencer::Sequencer;
use crate::node::signers::Signers;
use crate::node::state::Admission;
use crate::node::token::Tokens;
use crate::node::uselog::Keepers;
use crate::node::verify_loop;
use crate::store::Holder;
use crate::store::Store;
use crate::vault::Vault;

/// The private keys a running node needs.
pub struct Keys {
    /// Signs checkpoints, receipts and promises.
    pub log: Box<dyn Signer>,
    /// Log keys before or after that one, where a rotation is under way: which signs, the log says.
    pub logs: Vec<Box<dyn Signer>>,
    /// Signs access tokens.
    pub token: Box<dyn Signer>,
    /// The operator's: signs use batches. Without it lines are kept and never batched.
    pub operator: Option<Box<dyn Signer>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Texts of the packs that this build carries: the home rule, and those a log may adopt beside it.
pub const CARRIED_PACKS: [&str; 2] = [crate::model::pack::kcern_2018(), crate::model::pack::kr_pipa_2026()];

/// A pack as read from its file's bytes.
///
/// # Errors
/// It is not text, or no pack: with line and column.
pub fn read_pack(bytes: &[u8]) -> Result<PackFile, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Pack("the file is not UTF-8".into()))?;
    let pack = Pack::parse(text).map_err(|e| Error::Pack(e.to_string()))?;
    Ok(PackFile { hash: Hash(hash::sha256(&[bytes])), pack: Arc::new(pack) })
}

/// The packs that this build carries.
///
/// # Errors
/// A carried pack does not parse: a defect of the build.
pub fn carried_packs() -> Result<Vec<PackFile>, Error> {
    CARRIED_PACKS.iter().map(|text| read_pack(text.as_bytes())).collect()
}

/// The packs a genesis names where nothing else is said: the home rule.
///
/// # Errors
/// As [`carried_packs`].
pub fn home_packs() -> Result<Vec<PackFile>, Error> {
    Ok(vec![read_pack(crate::model::pack::kcern_2018().as_bytes())?])
}

impl Node {
    /// Begins a log with its genesis item, publishes the first checkpoint and writes the first anchor.
    ///
    /// # Errors
    /// [`Error::Genesis`] if the store is not empty, or the item is no genesis of this origin.
    pub fn create(
        settings: Settings,
        store: Arc<dyn Store>,
        vault: Vault,
        keys: Keys,
        clock: Clock,
        genesis: Vec<u8>,
    ) -> Result<Self, Error> {
        let node = Self::start(settings, store, vault, keys, clock, true)?;
        for text in CARRIED_PACKS {
            node.attach(text.as_bytes())?;
        }
        match node.record(vec![genesis]).pop() {
            Some(Ok(_)) => {}
            Some(Err(refusal)) => {
                tracing::error!(cause = %refusal, "genesis was refused");
                return Err(Error::Genesis("the genesis statement was refused"));
            }
            None => return Err(Error::Genesis("the genesis statement got no answer")),
        }
        node.agrees()?;
        node.tick().map_err(Error::Stopped)?;
        Ok(node)
    }

    /// Opens a log that `create` began.
    ///
    /// Where the data turns out older than it was, the node serves reads and refuses writes.
    ///
    /// # Errors
    /// Damage, another process, wrong keys, an empty store.
    pub fn open(
        settings: Settings,
        store: Arc<dyn Store>,
        vault: Vault,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, Error> {
        Self::start(settings, store, vault, keys, clock, false)
    }

    fn start(
        settings: Settings,
        store: Arc<dyn Store>,
        vault: Vault,
        keys: Keys,
        clock: Clock,
        empty: bool,
    ) -> Result<Self, Error> {
        if empty && settings.authzen_fixture {
            return Err(Error::Fixture);
        }
        let holder = Holder(super::clock::random().map_err(Error::Randomness)?);
        let (epoch, found) = store.lead(&holder)?;
        if empty != (found.next == 0) {
            return Err(Error::Genesis(if empty {
                "the data folder holds a log already"
            } else {
                "the data folder holds no log; run `naru init`"
            }));
        }
        let mark_path = settings.data.join("mark");
        let (mark, marked) =
            Mark::open(&mark_path).map_err(|cause| Error::File { path: mark_path, cause })?;
        let tree = publish::load_tree(store.as_ref(), found.next)?;
        let inner = Arc::new(Inner::new(settings, store, vault, keys, clock)?);
        inner.take_log_key(&found)?;
        let integrated = inner.published_at(&found)?;
        // Reads are served from here on; writes only if the data is as new as it was.
        if !inner.mark_holds(marked, &found)? {
            inner.stop(Stop::Mark);
        }
        let published = inner.published();
        if !empty && !inner.anchor_holds(&published, found.next)? {
            inner.stop(Stop::Anchor);
        }
        if let Some(lost) = restore::unaccepted(inner.store.as_ref())? {
            tracing::error!(
                from = lost.from,
                until = lost.until,
                "sealed statements are lost; see `naru restore`"
            );
            inner.stop(Stop::Lost);
        }
        let certified = inner.unhonoured(&found)?;
        inner.load_waiting()?;
        inner.load_kept()?;
        inner.load_state(&found, epoch)?;
        inner.load_holds()?;
        inner.honour(certified, &found, epoch)?;
        if inner.settings.authzen_fixture {
            inner.begin_fixture()?;
        }
        let mut publisher = Publisher::new(tree, integrated);
        publisher.waiting_from(&inner, found.next);
        inner.look_at_disk();
        if inner.settings.use_log {
            inner.open_uses()?;
        }
        inner.cohorts_recover()?;
        let sequencer = Sequencer::new(Arc::clone(&inner), epoch, (found.next, found.at), mark, publisher);
        Self::spawn(inner, sequencer)
    }

    fn spawn(inner: Arc<Inner>, sequencer: Sequencer) -> Result<Self, Error> {
        let thread_failed = |cause| Error::File { path: "thread".into(), cause };
        let intake = Arc::new(LaneQueue::new());
        let count = match inner.settings.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let mut threads = Vec::with_capacity(count + 1);
        for n in 0..count {
            // Half of the pool prefers closing acts, half the rest; one alone prefers closing.
            let first = if n % 2 == 0 { Lane::Closing } else { Lane::Open };
            let (inner, intake) = (Arc::clone(&inner), Arc::clone(&intake));
            let thread = thread::Builder::new()
                .name(format!("verify-{n}"))
                .spawn(move || verify_loop(&inner, &intake, first))
                .map_err(thread_failed)?;
            threads.push(thread);
        }
        let shared = Arc::clone(&inner);
        let cohorts = thread::Builder::new()
            .name("cohorts".into())
            .spawn(move || cohort::run(&shared))
            .map_err(thread_failed)?;
        threads.push(cohorts);
        let sequencer = thread::Builder::new()
            .name("sequencer".into())
            .spawn(move || sequencer.run())
            .map_err(thread_failed)?;
        let keepers = Keepers::start(&inner, &intake).map_err(thread_failed)?;
        Ok(Self {
            inner,
            intake,
            threads: Mutex::new(threads),
            keepers,
            sequencer: Mutex::new(Some(sequencer)),
        })
    }
}

impl Inner {
    fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        vault: Vault,
        keys: Keys,
        clock: Clock,
    ) -> Result<Self, Error> {
        let vocabulary = Arc::new(Vocabulary::embedded().map_err(|e| Error::Pack(e.to_string()))?);
        let register = Register::new(Arc::clone(&vocabulary), carried_packs()?);
        let (decoy, _) = vault.decoy();
        let empty = Published::empty(&settings.origin, keys.log.as_ref())?;
        Ok(Self {
            people: People::new(settings.persons, settings.persons.saturating_mul(2)),
            domains: Domains::default(),
            cohorts: Cohorts::default(),
            exports: crate::node::export::Exports::default(),
            keys: Cache::new((settings.persons / 2).max(64)),
            decoy: Person::decoy(decoy.subject),
            sequence: LaneQueue::new(),
            admission: Arc::new(Admission::new(settings.queue)),
            tokens: Tokens::new(keys.token, clock.now()),
            register: ArcSwap::from_pointee(register),
            published: RwLock::new(Arc::new(empty)),
            size: watch::Sender::new(0),
            sequenced: AtomicU64::new(0),
            head: watch::Sender::new(0),
            tail: Mutex::new(Tail::new(0, settings.told)),
            grew: (Mutex::new(()), Condvar::new()),
            stop: OnceLock::new(),
            disk_low: AtomicBool::new(false),
            meter: Meter::new(),
            served_at: AtomicU64::new(clock.now().0),
            accepted: Mutex::new(BTreeMap::new()),
            excepted: Uses::new(clock.now()),
            named: Named::default(),
            rebinds: Rebinds::default(),
            uses: OnceLock::new(),
            incidents: Book::default(),
            erasing: Mutex::default(),
            on_the_way: OnTheWay::default(),
            tags: Mutex::default(),
            tombstones: Mutex::default(),
            rotating: Mutex::default(),
            calls: OnceLock::new(),
            carrying: Mutex::default(),
            due: Mutex::default(),
            pulling: Mutex::default(),
            receiving: OnceLock::new(),
            lives: Lives::default(),
            arriving: Mutex::default(),
            operator: keys.operator,
            signers: Signers::new(keys.log, keys.logs),
            vocabulary,
            settings,
            clock,
            store,
            vault,
        })
    }

    /// Serves the checkpoint that was integrated last; refuses a root that the entries do not have.
    fn published_at(&self, found: &crate::store::Recovered) -> Result<crate::store::Head, Error> {
        let head = found.integrated;
        if head.size == 0 {
            return Ok(crate::store::Head { size: 0, root: hash::empty_root() });
        }
        let tree: Tree = publish::load_tree(self.store.as_ref(), head.size)?;
        if tree.root() != head.root {
            return Err(Error::Damaged(format!(
                "the entries below {} have another root than published",
                head.size
            )));
        }
        let note = String::from_utf8(found.note.clone())
            .map_err(|_| Error::Damaged("the stored checkpoint is not text".into()))?;
        let checkpoint = crate::ledger::checkpoint::open(
            note.as_bytes(),
            self.signers.chain().as_ref(),
            &self.settings.origin,
        )?;
        if checkpoint.size != head.size || checkpoint.root != head.root {
            return Err(Error::Damaged("the stored checkpoint is of another head".into()));
        }
        self.serve(Published::of(&self.settings.origin, self.signers.now().as_ref(), &tree, note)?);
        Ok(head)
    }

    /// Register and projection up to everything sequenced.
    fn load_state(&self, found: &crate::store::Recovered, epoch: crate::store::Epoch) -> Result<(), Error> {
        match self.load_register()? {
            Some((register, _)) => {
                let files = self.pack_files(&register.pack_hashes())?;
                self.set_register(register.attach(Arc::clone(&self.vocabulary), files));
            }
            None if found.projected > 0 => self.replay_register(found.projected)?,
            None => {}
        }
        self.load_rebinds()?;
        // Neither sequencer nor check runs before the projection has caught up.
        self.replay(found.projected..found.next, epoch)?;
        *self.tail.lock().unwrap_or_else(PoisonError::into_inner) = Tail::new(found.next, self.settings.told);
        self.set_sequenced(found.next);
        if found.next == 0 { Ok(()) } else { self.agrees() }
    }

    /// Shuts the ledger behind the certification fixture: with it no person ever comes in.
    fn begin_fixture(&self) -> Result<(), Error> {
        let mut next = 0;
        loop {
            let commits = self.store.commits(next..u64::MAX)?;
            for commit in &commits {
                next = commit.first + commit.entries.len() as u64;
                for entry in &commit.entries {
                    if matches!(Entry::parse(entry)?, Entry::Sealed { .. }) {
                        return Err(Error::Fixture);
                    }
                }
            }
            if commits.is_empty() {
                break;
            }
        }
        self.stop(Stop::Fixture);
        tracing::warn!(
            "danger_authzen_fixture: permission checks are answered by the certification fixture              `authzen-cert`, not by the ledger; nothing is written"
        );
        Ok(())
    }

    /// Genesis says what the settings say: one origin, one grain, one log key.
    fn agrees(&self) -> Result<(), Error> {
        let register = self.register();
        let same = register.origin() == Some(self.settings.origin.as_str())
            && register.grain() == Some(self.settings.grain_ms)
            && register.log_key().is_some_and(|key| key.0 == self.log_key().hash());
        let other =
            Error::Genesis("the log was begun with another origin, grain or log key than the settings say");
        if same { Ok(()) } else { Err(other) }
    }
}
