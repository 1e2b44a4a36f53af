//! THE NOUN: a running instance. The list of everything it can do is [`Node`].
//!
//! bytes → `identity::open` → whose → seal → queue → sequencer: judge → **append**
//! → state → promise → answer → project → tree → checkpoint → receipt.
//!
//! One sequencer thread owns all writes; a pool of as many threads as cores opens
//! and seals; `check` answers on the caller's own thread. Lacks, on purpose: HTTP,
//! configuration files, the terminal.

pub mod arrival;
pub mod backup;
mod check;
pub mod clock;
mod cohort;
pub mod deposit;
mod domain;
mod domains;
mod erase;
mod events;
mod evidence;
pub mod exception;
mod export;
mod folder;
pub mod fsck;
mod handover;
pub mod incidents;
mod intake;
mod judge;
mod lane;
mod mark;
mod meter;
pub mod owed;
pub mod own;
mod people;
mod publish;
pub mod rebinds;
mod recent;
mod recover;
mod request;
mod rotate;
mod search;
mod sequencer;
mod signers;
mod start;
mod state;
mod ticket;
pub mod token;
mod transfer;
mod uselog;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::identity;
use crate::identity::Relying;
use crate::identity::Unverified;
use crate::identity::Verified;
use crate::ledger;
use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::TreeSize;
use crate::model::statement::Bearing;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::intake::Intake;
use crate::node::lane::Lane;
use crate::node::sequencer::Job;
use crate::portability;
use crate::store;
use crate::vault;

pub use check::{Answer, Asked, Asker, Resource, Told, Untold, is_bounded};
pub use cohort::CohortId;
pub use cohort::CohortStatus;
pub use cohort::KEEP_MS;
pub use cohort::MOST_JOBS;
pub use cohort::NoCohort;
pub use cohort::Progress;
pub use cohort::Upload;
pub use cohort::Verdicts;
pub use domain::own_domain;
pub use domain::party_domain;
pub use erase::Erased;
pub use erase::Expired;
pub use events::{Event, Page as EventPage, WALK};
pub use evidence::Place;
pub use evidence::Shown;
pub use export::{Content, Export, LINK_MS, Link, MOST_LINKS, Measured, NoExport, Receiver, Refused};
pub use handover::Handover;
pub use handover::Wanted;
pub use intake::IAT_FUTURE_MS;
pub use intake::IAT_PAST_MS;
pub use meter::Commits;
pub use meter::Spread;
pub use publish::Published;
pub use request::Answer as RequestAnswer;
pub use request::Asking;
pub use request::Standing;
pub use rotate::Rotated;
pub use search::Capacity;
pub use search::Found;
pub use search::Listing;
pub use search::MAX_PAGE;
pub use start::CARRIED_PACKS;
pub use start::Keys;
pub use start::carried_packs;
pub use start::home_packs;
pub use start::read_pack;
pub use state::Inner;
pub use state::Readiness;
pub use ticket::Accepted;
pub use ticket::Outcome;
pub use ticket::Refusal;
pub use ticket::Ticket;
pub use token::Caller;
pub use token::Claims;
pub use token::Denied;
pub use token::TOKEN_LIFE_S;
pub use transfer::{Carrying, Demanded};
pub use uselog::Batch;
pub use uselog::Note;
pub use uselog::Page;
pub use uselog::Seen;
pub use uselog::Use;

/// What a node is told at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origin of the log: a schema-less URL prefix.
    pub origin: String,
    /// Where its citizens' passkeys live.
    pub relying: Relying,
    /// Grain of public times, ms (as in genesis).
    pub grain_ms: u64,
    /// One tick at most publishes one checkpoint, ms.
    pub tick_ms: u64,
    /// Folder of the data: mark, vault, engine.
    pub data: PathBuf,
    /// Where the newest checkpoint is kept outside the data folder; required in production.
    pub anchor: Option<PathBuf>,
    /// Statements in flight, closing acts apart.
    pub queue: usize,
    /// Persons kept in memory.
    pub persons: usize,
    /// Persons in parties' own domains that searches keep in memory, about 25 bytes each.
    pub listed: usize,
    /// Acts kept in memory for the feeds of parties; what is older is walked.
    pub told: usize,
    /// Verifying threads; 0 means one a core.
    pub threads: usize,
    /// Free bytes below which only closing acts are written.
    pub disk_reserve: u64,
    /// The AuthZEN certification fixture answers in place of the ledger: opens only a log that
    /// holds no person, and nothing is written while it is on.
    pub authzen_fixture: bool,
    /// Whether every answer to an asker leaves a use line. Without it no limited grant can be used.
    pub use_log: bool,
    /// A use batch is made this often, ms.
    pub use_batch_ms: u64,
    /// A segment of the use log is full at this many bytes.
    pub use_segment_bytes: u64,
}

impl Settings {
    /// Safe defaults for an origin and a data folder.
    #[must_use]
    pub fn new(origin: &str, data: PathBuf) -> Self {
        Self {
            origin: origin.to_owned(),
            relying: Relying::of_log(origin),
            grain_ms: 5_000,
            tick_ms: 1_000,
            data,
            anchor: None,
            queue: 16_384,
            persons: 200_000,
            listed: 5_000_000,
            told: 16_384,
            threads: 0,
            disk_reserve: 256 << 20,
            authzen_fixture: false,
            use_log: false,
            use_batch_ms: 60_000,
            use_segment_bytes: 64 << 20,
        }
    }
}

/// Why a node does not write. The closed list of `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Not yet loaded.
    Loading,
    /// The anchor is ahead, of another log, missing or not writable.
    Anchor,
    /// The store lost entries that the mark knows.
    Mark,
    /// Sealed statements are lost, and the operator has not accepted it.
    Lost,
    /// An I/O error on the write path.
    Io,
    /// Free space is below the reserve: only closing acts are written.
    Disk,
    /// The certification fixture answers in place of the ledger.
    Fixture,
    /// Another process leads.
    OtherLeader,
    /// The queue is full; passes by itself.
    Busy,
    /// Shutting down.
    Closing,
}

impl Stop {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Loading,
        Self::Anchor,
        Self::Mark,
        Self::Lost,
        Self::Io,
        Self::Disk,
        Self::Fixture,
        Self::OtherLeader,
        Self::Busy,
        Self::Closing,
    ];

    /// Stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Anchor => "anchor",
            Self::Mark => "mark",
            Self::Lost => "lost",
            Self::Io => "io",
            Self::Disk => "disk",
            Self::Fixture => "authzen-fixture",
            Self::OtherLeader => "other-leader",
            Self::Busy => "busy",
            Self::Closing => "closing",
        }
    }

    /// Whether the state may be behind what was acknowledged: then no check is answered.
    #[must_use]
    pub const fn doubts_state(self) -> bool {
        matches!(self, Self::Loading | Self::Anchor | Self::Mark | Self::Lost | Self::Io | Self::OtherLeader)
    }

    const fn ends_publishing(self) -> bool {
        matches!(self, Self::Anchor | Self::Mark | Self::Lost | Self::Io | Self::OtherLeader)
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What goes wrong inside: ours.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// A backup.
    #[error("backup: {0}")]
    Backup(#[from] backup::frame::Error),
    /// Bytes of the store are not what the node wrote.
    #[error("the data is damaged: {0}; run `naru fsck`")]
    Damaged(String),
    /// Bytes of the store do not open.
    #[error("stored statement: {0}")]
    Identity(#[from] identity::Error),
    /// An encoding.
    #[error("stored encoding: {0}")]
    Cbor(#[from] ledger::cbor::Error),
    /// An entry.
    #[error("stored entry: {0}")]
    Entry(#[from] ledger::entry::Error),
    /// A proof or tile.
    #[error("tree: {0}")]
    Merkle(#[from] ledger::merkle::Error),
    /// A tile.
    #[error("tile: {0}")]
    Tile(#[from] ledger::tile::Error),
    /// A checkpoint.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] ledger::checkpoint::Error),
    /// A receipt.
    #[error("receipt: {0}")]
    Receipt(#[from] ledger::receipt::Error),
    /// A promise.
    #[error("promise: {0}")]
    Promise(#[from] ledger::promise::Error),
    /// An archive.
    #[error("archive: {0}")]
    Archive(#[from] portability::Error),
    /// Evidence.
    #[error("evidence: {0}")]
    Evidence(#[from] ledger::evidence::Error),
    /// A signature.
    #[error("signing: {0}")]
    Key(#[from] ledger::key::Error),
    /// A file beside the store.
    #[error("file `{path}`: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(getrandom::Error),
    /// A pack does not parse.
    #[error("pack: {0}")]
    Pack(String),
    /// The certification fixture, on a log that is in use.
    #[error("`danger_authzen_fixture` opens only a log that is begun and holds no person")]
    Fixture,
    /// Copies made now would not open later.
    #[error(
        "the wrapping epoch is changing: what is copied now opens for nobody later; try again in a while"
    )]
    Rotating,
    /// The node does not write.
    #[error("the node does not write: {0}")]
    Stopped(Stop),
    /// The log has no genesis entry, or has one already.
    #[error("{0}")]
    Genesis(&'static str),
}

/// Blob name of an attachment.
pub(in crate::node) fn attachment_blob(hash: &Hash) -> String {
    format!("attachment/{hash}")
}

/// Largest attachment, bytes.
pub const MAX_ATTACHMENT: usize = 1 << 20;

/// One item on its way to the verifying pool.
struct Raw {
    item: Item,
    place: ticket::Place,
}

/// Signatures still to be checked, or checked by the caller.
enum Item {
    Unverified(Unverified),
    Verified(Verified<Statement>),
}

impl Item {
    fn kind(&self) -> Kind {
        match self {
            Self::Unverified(item) => item.kind(),
            Self::Verified(item) => item.value().kind(),
        }
    }
}

/// A running instance.
///
/// Dropping it stops taking statements in, answers what waits, publishes a last
/// checkpoint and joins its threads.
pub struct Node {
    inner: Arc<Inner>,
    intake: Arc<lane::LaneQueue<Vec<Raw>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    keepers: uselog::Keepers,
    sequencer: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("origin", &self.inner.settings.origin).finish_non_exhaustive()
    }
}

impl std::ops::Deref for Node {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// Items in one piece of work of the pool.
const PIECE: usize = 16;

impl Node {
    /// Takes items in; the ticket tells what becomes of each, in order.
    ///
    /// Closing acts go by their own lane, a batch only if all its items close.
    #[must_use]
    pub fn submit(&self, items: Vec<Vec<u8>>) -> Ticket {
        let (ticket, places) = Ticket::new(items.len());
        let mut raws = Vec::with_capacity(items.len());
        let mut ceremonies = identity::passkey::Ceremonies::default();
        for (item, place) in items.into_iter().zip(places) {
            match Unverified::parse_among(item, &mut ceremonies) {
                Ok(item) => raws.push(Raw { item: Item::Unverified(item), place }),
                Err(error) => place.fill(Err(Refusal::Malformed(error))),
            }
        }
        self.enqueue(raws);
        ticket
    }

    /// As [`Node::submit`], for statements whose signatures the caller has checked.
    #[must_use]
    pub fn submit_verified(&self, items: Vec<Verified<Statement>>) -> Ticket {
        let (ticket, places) = Ticket::new(items.len());
        let raw = |(item, place)| Raw { item: Item::Verified(item), place };
        self.enqueue(items.into_iter().zip(places).map(raw).collect());
        ticket
    }

    fn enqueue(&self, raws: Vec<Raw>) {
        enqueue(&self.inner, &self.intake, raws);
    }

    /// Takes items in and waits on this thread.
    #[must_use]
    pub fn record(&self, items: Vec<Vec<u8>>) -> Vec<Outcome> {
        self.submit(items).wait()
    }

    /// Begins to take a cohort in. The question's person and use are each line's; whether the party may
    /// ask in the controller's domain is the caller's to see to.
    ///
    /// # Errors
    /// [`NoCohort`].
    pub fn cohort(
        &self,
        party: &PartyId,
        question: &crate::model::decision::Question,
    ) -> Result<Upload, NoCohort> {
        self.inner.cohort_begin(party, question)
    }

    /// Publishes now if anything is new: a tick by hand.
    ///
    /// # Errors
    /// The node does not write.
    pub fn tick(&self) -> Result<(), Stop> {
        let (done, wait) = oneshot::channel();
        self.ask(Job::Tick(done), wait)
    }

    /// A person's ppid of today in a party's domain, or in the log's own; writes the row that leads from it to her.
    fn name_ppid(&self, who: vault::Pointed, party: Option<&PartyId>) -> Result<Ppid, Error> {
        let (ppid, known) = self.inner.named_ppid(who, party)?;
        if !known {
            self.write_names(&[(store::Name::Ppid(ppid.0), who)])?;
        }
        Ok(ppid)
    }

    /// Stores an attachment, durable before it answers; create-only by its hash.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if the node does not write.
    pub fn attach(&self, bytes: &[u8]) -> Result<Hash, Error> {
        if let Some(stop) = self.inner.refuses(Lane::Open) {
            return Err(Error::Stopped(stop));
        }
        let hash = Hash(ledger::hash::sha256(&[bytes]));
        match self.inner.store.put(&attachment_blob(&hash), bytes, true) {
            Ok(()) => Ok(hash),
            Err(error @ store::Error::Exists { .. }) => Err(error.into()),
            // What the disk holds is not known before a restart: nothing more is written.
            Err(error) => {
                self.inner.stop(Stop::Io);
                Err(error.into())
            }
        }
    }

    /// Everything in flight, answered; no new statement is taken in. Dropping does the same.
    pub fn close(&self) {
        self.inner.cohorts.close();
        // First, while what they wait for is still answered.
        self.keepers.stop();
        self.intake.shut();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has answered its places by dropping them.
            drop(thread.join());
        }
        self.inner.sequence.shut();
        let sequencer = self.sequencer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = sequencer {
            drop(thread.join());
        }
        self.inner.close_uses();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.close();
    }
}

/// Where the verifying pool takes its work from.
type Queue = lane::LaneQueue<Vec<Raw>>;

fn enqueue(inner: &Inner, intake: &Queue, raws: Vec<Raw>) {
    // The type is read before the signature.
    let closes = |raw: &Raw| raw.item.kind().bearing() == Bearing::Closing;
    let lane = if raws.iter().all(closes) { Lane::Closing } else { Lane::Open };
    if let Some(stop) = inner.refuses(lane) {
        raws.into_iter().for_each(|raw| raw.place.fill(Err(Refusal::Unavailable(stop))));
        return;
    }
    let mut piece = Vec::with_capacity(PIECE);
    for raw in raws {
        if !inner.admit(lane) {
            raw.place.fill(Err(Refusal::Unavailable(Stop::Busy)));
            continue;
        }
        let place = raw.place.counted(Arc::clone(&inner.admission), lane);
        piece.push(Raw { place, item: raw.item });
        if piece.len() == PIECE {
            hand_over(intake, lane, std::mem::take(&mut piece));
        }
    }
    if !piece.is_empty() {
        hand_over(intake, lane, piece);
    }
}

fn hand_over(intake: &Queue, lane: Lane, piece: Vec<Raw>) {
    // A shut queue gives the piece back; dropping it answers each place.
    drop(intake.push(lane, piece));
}

/// One verifying thread.
fn verify_loop(inner: &Arc<Inner>, intake: &lane::LaneQueue<Vec<Raw>>, first: Lane) {
    while let Some(piece) = intake.take(first) {
        let mut ready = Vec::with_capacity(piece.len());
        for Raw { item, place } in piece {
            match inner.prepare(item) {
                Ok(Intake::Ready(prepared)) => {
                    let closes = prepared.verified.value().kind().bearing() == Bearing::Closing;
                    let lane = if closes { Lane::Closing } else { Lane::Open };
                    ready.push((lane, Job::Record(prepared, place)));
                }
                Ok(Intake::Duplicate(id, kind, index)) => place.fill(inner.again(id, kind, index)),
                Err(refusal) => place.fill(Err(refusal)),
            }
        }
        // A shut queue gives the jobs back; dropping one answers its place.
        drop(inner.sequence.push_all(ready));
    }
}

/// Sizes and bytes of a node, for metrics and `--json`.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Entries sequenced.
    pub sequenced: TreeSize,
    /// Entries under the newest checkpoint.
    pub published: TreeSize,
    /// Statements in flight: opening acts, closing acts.
    pub in_flight: [usize; 2],
    /// Since this process has served the newest checkpoint, ms.
    pub checkpoint_age_ms: u64,
    /// Bytes of the engine on disk.
    pub disk_bytes: u64,
}
