//! What all threads of a node share, and who may change which part of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use arc_swap::Guard;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use crate::consent::PackFile;
use crate::consent::Register;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::terms::Vocabulary;
use crate::node::Error;
use crate::node::Figures;
use crate::node::MAX_ATTACHMENT;
use crate::node::Settings;
use crate::node::Stop;
use crate::node::arrival::Lives;
use crate::node::arrival::Receiving;
use crate::node::attachment_blob;
use crate::node::clock::Clock;
use crate::node::clock::Steady;
use crate::node::cohort::Cohorts;
use crate::node::domains::Domains;
use crate::node::erase::OnTheWay;
use crate::node::events::Tail;
use crate::node::exception::Uses;
use crate::node::export::Exports;
use crate::node::incidents::Book;
use crate::node::lane::Lane;
use crate::node::lane::LaneQueue;
use crate::node::meter::Commits;
use crate::node::meter::Meter;
use crate::node::owed::Named;
use crate::node::people::People;
use crate::node::publish;
use crate::node::publish::Published;
use crate::node::read_pack;
use crate::node::rebinds::Rebinds;
use crate::node::sequencer::Job;
use crate::node::signers::Signers;
use crate::node::token::Tokens;
use crate::node::transfer::DueQueue;
use crate::node::uselog::UseLog;
use crate::outbound::Calls;
use crate::store::Name;
use crate::store::Store;
use crate::vault::Pointed;
use crate::vault::Vault;

/// How many statements are in flight, and how many may be.
#[derive(Debug)]
pub(in crate::node) struct Admission {
    open: AtomicUsize,
    closing: AtomicUsize,
    most: usize,
}

impl Admission {
    pub(in crate::node) const fn new(most: usize) -> Self {
        Self { open: AtomicUsize::new(0), closing: AtomicUsize::new(0), most }
    }

    const fn counter(&self, lane: Lane) -> &AtomicUsize {
        match lane {
            Lane::Open => &self.open,
            Lane::Closing => &self.closing,
        }
    }

    fn admit(&self, lane: Lane) -> bool {
        let counter = self.counter(lane);
        let taken = counter.fetch_add(1, Ordering::AcqRel) < self.most;
        if !taken {
            counter.fetch_sub(1, Ordering::AcqRel);
        }
        taken
    }

    pub(in crate::node) fn release(&self, lane: Lane) {
        self.counter(lane).fetch_sub(1, Ordering::AcqRel);
    }

    fn in_flight(&self) -> [usize; 2] {
        [self.open.load(Ordering::Acquire), self.closing.load(Ordering::Acquire)]
    }
}

/// What all threads share. Its public methods are what a running instance answers.
pub struct Inner {
    pub(in crate::node) settings: Settings,
    pub(in crate::node) clock: Clock,
    pub(in crate::node) store: Arc<dyn Store>,
    pub(in crate::node) vault: Vault,
    pub(in crate::node) signers: Signers,
    pub(in crate::node) vocabulary: Arc<Vocabulary>,
    pub(in crate::node) people: People,
    pub(in crate::node) domains: Domains,
    pub(in crate::node) cohorts: Cohorts,
    /// Persons with an export under way.
    pub(in crate::node) exports: Exports,
    /// Public keys read lately, by the SHA-256 of their SPKI.
    pub(in crate::node) keys: Cache<[u8; 32], Arc<PublicKey>>,
    pub(in crate::node) decoy: crate::consent::Person,
    pub(in crate::node) sequence: LaneQueue<Job>,
    pub(in crate::node) admission: Arc<Admission>,
    pub(in crate::node) tokens: Tokens,
    pub(in crate::node) register: ArcSwap<Register>,
    pub(in crate::node) published: RwLock<Arc<Published>>,
    pub(in crate::node) size: watch::Sender<TreeSize>,
    pub(in crate::node) sequenced: AtomicU64,
    /// Tells of each growth of `sequenced`.
    pub(in crate::node) head: watch::Sender<TreeSize>,
    pub(in crate::node) tail: Mutex<Tail>,
    pub(in crate::node) grew: (Mutex<()>, Condvar),
    pub(in crate::node) stop: OnceLock<Stop>,
    pub(in crate::node) disk_low: AtomicBool,
    pub(in crate::node) meter: Meter,
    /// When the newest checkpoint began to be served, ms.
    pub(in crate::node) served_at: AtomicU64,
    pub(in crate::node) accepted: Mutex<BTreeMap<Kind, u64>>,
    pub(in crate::node) excepted: Uses,
    /// Whose grants and claims name which party.
    pub(in crate::node) named: Named,
    pub(in crate::node) rebinds: Rebinds,
    /// Set once all else is loaded, if the settings ask for it.
    pub(in crate::node) uses: OnceLock<UseLog>,
    /// Incidents found so far, by number.
    pub(in crate::node) incidents: Book,
    /// Who has demanded erasure and is not erased yet.
    pub(in crate::node) erasing: Mutex<Vec<Pointed>>,
    /// What goes with certificates that are not carried out yet.
    pub(in crate::node) on_the_way: OnTheWay,
    /// Slots that certificates made here name.
    pub(in crate::node) tags: Mutex<HashMap<SubjectId, Pointed>>,
    /// Entries that a start does not replay: what they said is erased.
    pub(in crate::node) tombstones: Mutex<BTreeSet<u64>>,
    /// Who calls parties, once it is told: without it nothing is carried.
    pub(in crate::node) calls: OnceLock<Arc<dyn Calls>>,
    /// One pass of the carrier at a time.
    pub(in crate::node) carrying: Mutex<()>,
    /// When which demand is looked at.
    pub(in crate::node) due: Mutex<DueQueue>,
    /// One source is asked at a time.
    pub(in crate::node) pulling: Mutex<()>,
    /// Who this service is to the logs that deliver to it, once it is told.
    pub(in crate::node) receiving: OnceLock<Receiving>,
    /// When something that has arrived is over.
    pub(in crate::node) lives: Lives,
    /// One arrival is told at a time.
    pub(in crate::node) arriving: Mutex<()>,
    /// One rotation of the wrapping epoch at a time.
    pub(in crate::node) rotating: Mutex<()>,
    pub(in crate::node) operator: Option<Box<dyn Signer>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("origin", &self.settings.origin).finish_non_exhaustive()
    }
}

/// Whether a node takes statements, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not.
    NotReady(Stop),
}

impl Inner {
    /// The register as of the newest sequenced entry.
    #[must_use]
    pub fn register(&self) -> Arc<Register> {
        self.register.load_full()
    }

    /// The same for one look on one thread: touches no count that other cores touch. Not to be kept.
    pub(in crate::node) fn glance(&self) -> Guard<Arc<Register>> {
        self.register.load()
    }

    pub(in crate::node) fn set_register(&self, register: Register) {
        // Where it is read entry by entry it may name a key of the past that nobody holds any more.
        self.signers.turn(&register);
        self.register.store(Arc::new(register));
    }

    /// The newest checkpoint and what serves it.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::node) fn serve(&self, published: Published) {
        let size = published.size;
        self.served_at.store(self.clock.now().0, Ordering::Release);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
        self.size.send_replace(size);
    }

    /// Waits until a checkpoint covers `index`; `false` if the node is gone first.
    pub async fn covered(&self, index: u64) -> bool {
        let mut size = self.size.subscribe();
        size.wait_for(|size| *size > index).await.is_ok()
    }

    /// Entries sequenced: what a check reflects.
    #[must_use]
    pub fn sequenced(&self) -> TreeSize {
        self.sequenced.load(Ordering::Acquire)
    }

    pub(in crate::node) fn set_sequenced(&self, next: TreeSize) {
        self.sequenced.store(next, Ordering::Release);
        drop(self.grew.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.grew.1.notify_all();
        self.head.send_replace(next);
    }

    /// Waits until `size` entries are sequenced, at most `limit`.
    pub(in crate::node) fn wait_sequenced(&self, size: TreeSize, limit: Duration) -> bool {
        let guard = self.grew.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.grew.1.wait_timeout_while(guard, limit, |()| self.sequenced() < size);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.sequenced() >= size
    }

    pub(in crate::node) fn stopped(&self) -> Option<Stop> {
        self.stop.get().copied()
    }

    /// Stops writing; the first reason stays.
    pub(in crate::node) fn stop(&self, stop: Stop) {
        self.stop.get_or_init(|| stop);
    }

    /// Why a lane takes nothing now, if it does not.
    pub(in crate::node) fn refuses(&self, lane: Lane) -> Option<Stop> {
        let low = self.disk_low.load(Ordering::Acquire) && lane == Lane::Open;
        self.stopped().or_else(|| low.then_some(Stop::Disk))
    }

    pub(in crate::node) fn admit(&self, lane: Lane) -> bool {
        self.admission.admit(lane)
    }

    /// Whether the node takes statements.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.refuses(Lane::Open).map_or(Readiness::Ready, Readiness::NotReady)
    }

    /// Free space below the reserve leaves room to closing acts only.
    pub(in crate::node) fn look_at_disk(&self) {
        let free = rustix::fs::statvfs(&self.settings.data)
            .map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
        self.disk_low.store(free < self.settings.disk_reserve, Ordering::Release);
    }

    pub(in crate::node) fn count_accepted(&self, kind: Kind) {
        let mut counts = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += 1;
    }

    /// Statements accepted since the start, by type.
    #[must_use]
    pub fn accepted_by_kind(&self) -> BTreeMap<Kind, u64> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sizes for metrics.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            sequenced: self.sequenced(),
            published: self.published().size,
            in_flight: self.admission.in_flight(),
            disk_bytes: self.store.disk_bytes(),
            checkpoint_age_ms: self.clock.now().0.saturating_sub(self.served_at.load(Ordering::Acquire)),
        }
    }

    /// The commits since the start.
    #[must_use]
    pub fn commits(&self) -> Commits {
        self.meter.read()
    }

    /// The node's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time of the node's clock that only runs forwards, from now on.
    #[must_use]
    pub fn steady(&self) -> Steady {
        self.clock.steady()
    }

    /// What the node was told at start.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The published vocabulary this build knows.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(in crate::node) fn person_of_key(&self, key: &KeyHash) -> Result<Option<Pointed>, Error> {
        self.people.locate(&Name::Key(key.0), self.store.as_ref(), &self.vault)
    }

    /// Whether a key stands in some person's key set.
    ///
    /// # Errors
    /// The store.
    pub fn knows_key(&self, key: &KeyHash) -> Result<bool, Error> {
        Ok(self.person_of_key(key)?.is_some())
    }

    /// An attachment by its hash.
    ///
    /// # Errors
    /// The store, or bytes that are not what the hash says.
    pub fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Error> {
        let Some(bytes) = self.store.get(&attachment_blob(hash))? else { return Ok(None) };
        if crate::ledger::hash::sha256(&[&bytes]) != hash.0 || bytes.len() > MAX_ATTACHMENT {
            return Err(Error::Damaged(format!("attachment {hash}")));
        }
        Ok(Some(bytes))
    }

    /// The packs of these hashes, as stored.
    ///
    /// # Errors
    /// The store; [`Error::Damaged`] if one is gone: nothing could be judged as it was.
    pub(in crate::node) fn pack_files(&self, hashes: &[Hash]) -> Result<Vec<PackFile>, Error> {
        let lost = |hash| Error::Damaged(format!("attachment {hash}, a policy pack, is missing"));
        hashes.iter().map(|hash| read_pack(&self.attachment(hash)?.ok_or_else(|| lost(hash))?)).collect()
    }

    /// The files of the packs a public statement names.
    ///
    /// # Errors
    /// As [`Inner::pack_files`], or a file is no pack.
    pub(in crate::node) fn packs_named_by(&self, statement: &Statement) -> Result<Vec<PackFile>, Error> {
        self.pack_files(&Register::packs_named_by(statement))
    }

    /// A hash tile of the published size.
    ///
    /// # Errors
    /// The store.
    pub fn tile(&self, level: u8, index: u64, width: Option<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.published().tile(self.store.as_ref(), level, index, width)
    }

    /// An entry bundle of the published size.
    ///
    /// # Errors
    /// The store.
    pub fn bundle(&self, index: u64, width: Option<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.published().bundle(self.store.as_ref(), index, width)
    }

    /// Sequenced entries `[from, until)`.
    ///
    /// # Errors
    /// The store, or a missing entry.
    pub fn entries(&self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, Error> {
        publish::entries(self.store.as_ref(), from, until)
    }

    /// The receipt of consistency from an older published size to the newest.
    ///
    /// # Errors
    /// A tile is missing.
    pub fn consistency_receipt(&self, old: TreeSize) -> Result<Option<Vec<u8>>, Error> {
        self.published().consistency(self.store.as_ref(), old)
    }

    /// The folder of the data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.settings.data
    }

    /// Forgets what need not be in memory, so that the next read asks the store: a test's way to look.
    pub fn forget_caches(&self) {
        self.people.empty();
    }
}
