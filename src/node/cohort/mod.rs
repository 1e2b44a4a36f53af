//! Cohorts: one question about many persons, as a job that a kill only interrupts.
//!
//! A party sends a text of ppids, one a line. Each line gets one verdict, in order,
//! and the whole one signed summary. A job is a folder `cohorts/<id>`:
//!
//! | file | what | when durable |
//! |---|---|---|
//! | `input` | the lines as received | before the job exists |
//! | `job` | who asked what | with it the job exists |
//! | `verdicts` | JSON lines, [`work::CHUNK`] a record | record by record |
//! | `summary` | the signed summary | last: with it the job is done |
//!
//! All but the summary is sealed under a key of the vault. How far a job has come
//! stands nowhere but in the length of `verdicts`: a start cuts off what broke and
//! goes on with the next line. A job is its party's alone and ends after [`KEEP_MS`],
//! or with the wrapping epoch in which it began.
//!
//! Lacks, on purpose: ppids in the verdicts (the party has its own file), and any
//! rule: every verdict goes through [`Inner::check`], as an evaluation does.

mod lines;
mod records;
mod work;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cbor;
use crate::ledger::cohort::Asked;
use crate::ledger::hash;
use crate::model::decision::Question;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::clock;
use crate::node::folder;
use crate::node::folder::io_at;
use crate::node::lane::Lane;
use crate::vault;
use crate::vault::Key;

use lines::Counter;
use records::Part;
use records::Reader;
use records::Writer;

pub(in crate::node) use work::run;

/// How long a job is kept, ms: a week.
pub const KEEP_MS: u64 = 7 * 24 * 3_600_000;
/// Jobs of one party that are kept at a time.
pub const MOST_JOBS: usize = 16;
/// Bytes of the input that are sealed together.
const PIECE: usize = 64 << 10;
/// How often expired jobs are looked for while there is nothing to do.
const IDLE: Duration = Duration::from_secs(60);

/// Names one cohort: drawn, so that nobody guesses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CohortId(pub [u8; 16]);

impl CohortId {
    /// Reads 32 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        crate::model::id::Ppid::from_hex(text).map(|id| Self(id.0))
    }
}

impl std::fmt::Display for CohortId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What `job` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Job {
    v: u8,
    party: PartyId,
    asked: Asked,
    lines: u64,
    bytes: u64,
    begun: u64,
    #[serde(with = "serde_bytes")]
    input: [u8; 32],
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Its turn has not come, or the node cannot vouch for its state: a later start goes on.
    Waiting,
    /// Verdicts are being made.
    Running,
    /// All verdicts and the summary stand.
    Done,
    /// It cannot go on: its files are damaged, or the party may no longer ask.
    Failed,
}

impl Progress {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What the owner is told of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohortStatus {
    /// Where it stands.
    pub progress: Progress,
    /// Lines asked.
    pub lines: u64,
    /// Lines with a durable verdict.
    pub done: u64,
    /// When the lines had arrived.
    pub begun: Timestamp,
    /// When it is removed.
    pub expires: Timestamp,
}

/// A job in memory.
#[derive(Debug)]
struct Entry {
    id: CohortId,
    folder: PathBuf,
    job: Job,
    stands: Mutex<(Progress, u64)>,
}

impl Entry {
    fn stands(&self) -> (Progress, u64) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, progress: Progress, done: u64) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = (progress, done);
    }

    const fn expires(&self) -> Timestamp {
        Timestamp(self.job.begun).plus_ms(KEEP_MS)
    }
}

#[derive(Debug, Default)]
struct Desk {
    jobs: BTreeMap<CohortId, Arc<Entry>>,
    queue: VecDeque<Arc<Entry>>,
    /// Inputs on their way in, by party.
    arriving: BTreeMap<PartyId, usize>,
    closing: bool,
}

/// All jobs of a node.
#[derive(Debug, Default)]
pub(in crate::node) struct Cohorts {
    desk: Mutex<Desk>,
    bell: Condvar,
}

impl Cohorts {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the worker after the record it is at.
    pub(in crate::node) fn close(&self) {
        self.desk().closing = true;
        self.bell.notify_all();
    }

    /// Whether the node is closing.
    pub(in crate::node) fn closing(&self) -> bool {
        self.desk().closing
    }

    /// The next job; waits for one, a while, if `wait`.
    fn next(&self, wait: bool) -> Option<Arc<Entry>> {
        let mut desk = self.desk();
        if wait && desk.queue.is_empty() && !desk.closing {
            let waited = self.bell.wait_timeout(desk, IDLE);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.queue.pop_front()
    }

    fn enter(&self, entry: Arc<Entry>) {
        let mut desk = self.desk();
        if entry.stands().0 == Progress::Waiting {
            desk.queue.push_back(Arc::clone(&entry));
        }
        desk.jobs.insert(entry.id, entry);
        drop(desk);
        self.bell.notify_all();
    }

    /// Whether a job stands: neither removed nor replaced.
    fn has(&self, entry: &Arc<Entry>) -> bool {
        self.desk().jobs.get(&entry.id).is_some_and(|known| Arc::ptr_eq(known, entry))
    }

    /// Removes what has expired.
    fn sweep(&self, now: Timestamp) {
        let mut desk = self.desk();
        let (kept, over) = std::mem::take(&mut desk.jobs).into_iter().partition(|(_, e)| now < e.expires());
        desk.jobs = kept;
        desk.queue.retain(|entry| now < entry.expires());
        drop(desk);
        let over: BTreeMap<CohortId, Arc<Entry>> = over;
        over.values().for_each(|entry| remove(&entry.folder));
    }
}

/// What cannot be removed now is found again by the next start.
fn remove(folder: &Path) {
    if let Err(cause) = fs::remove_dir_all(folder) {
        tracing::warn!(%cause, "the folder of a cohort could not be removed");
    }
}

/// Why a cohort is not taken in.
#[derive(Debug)]
pub enum NoCohort {
    /// The party has [`MOST_JOBS`] already.
    TooMany,
    /// The node takes nothing in.
    Stopped(Stop),
    /// Ours.
    Node(Error),
}

impl From<Error> for NoCohort {
    fn from(error: Error) -> Self {
        Self::Node(error)
    }
}

/// An input on its way in: gone without a trace unless it is finished.
#[derive(Debug)]
pub struct Upload {
    inner: Arc<Inner>,
    id: CohortId,
    folder: PathBuf,
    input: Writer,
    piece: Vec<u8>,
    counter: Counter,
    hash: hash::Running,
    bytes: u64,
    party: PartyId,
    asked: Asked,
    kept: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.folder);
        }
        if let Some(n) = self.inner.cohorts.desk().arriving.get_mut(&self.party) {
            *n = n.saturating_sub(1);
        }
    }
}

impl Upload {
    /// Takes the next bytes in.
    ///
    /// # Errors
    /// The disk; [`Error::Stopped`] if the node takes nothing in any more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(stop) = self.inner.refuses(Lane::Open) {
            return Err(Error::Stopped(stop));
        }
        self.counter.update(bytes);
        self.hash.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.input.append(&std::mem::take(&mut self.piece))?;
        }
        Ok(())
    }

    /// All has come: durable from here on, and in the queue.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(mut self) -> Result<CohortId, Error> {
        if !self.piece.is_empty() {
            self.input.append(&std::mem::take(&mut self.piece))?;
        }
        self.input.sync()?;
        let root = self.inner.cohort_folder();
        folder::sync(&root)?;
        folder::sync(&self.inner.settings.data)?;
        let job = Job {
            v: 1,
            party: self.party.clone(),
            asked: self.asked.clone(),
            lines: self.counter.lines(),
            bytes: self.bytes,
            begun: self.inner.now().0,
            input: self.hash.clone().finish(),
        };
        let sealed =
            self.inner.cohort_key(self.id).seal(Part::Job.as_str().as_bytes(), &cbor::encode(&job)?)?;
        folder::put(&self.folder, Part::Job.as_str(), &sealed)?;
        // At this point the job exists.
        self.kept = true;
        let (id, folder) = (self.id, self.folder.clone());
        let entry = Entry { id, folder, job, stands: Mutex::new((Progress::Waiting, 0)) };
        self.inner.cohorts.enter(Arc::new(entry));
        Ok(id)
    }
}

/// Verdicts of a job from one line on, as far as they stand.
#[derive(Debug)]
pub struct Verdicts {
    reader: Option<Reader>,
    /// Lines of the first record to leave out.
    skip: usize,
    /// Records that stood when this was made.
    records: u64,
}

impl Verdicts {
    /// The next JSON lines, each with its line feed; none at the end.
    ///
    /// # Errors
    /// The disk; damage.
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(reader) = self.reader.as_mut().filter(|_| self.records > 0) else { return Ok(None) };
        self.records -= 1;
        let Some(record) = reader.next()? else { return Ok(None) };
        let ends = record.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1);
        let from = match std::mem::take(&mut self.skip) {
            0 => 0,
            skip => ends.into_iter().nth(skip - 1).unwrap_or(record.len()),
        };
        Ok(Some(record.get(from..).unwrap_or_default().to_vec()))
    }
}

impl Inner {
    fn cohort_key(&self, id: CohortId) -> Key {
        self.vault.derived("cohort", &id.0)
    }

    /// Ends all jobs: their keys have ended with the wrapping epoch.
    pub(in crate::node) fn cohorts_end(&self) {
        let mut desk = self.cohorts.desk();
        let over = std::mem::take(&mut desk.jobs);
        desk.queue.clear();
        drop(desk);
        over.values().for_each(|entry| remove(&entry.folder));
    }

    fn cohort_folder(&self) -> PathBuf {
        self.settings.data.join("cohorts")
    }

    /// An input's place, if the party has room for one more job.
    pub(in crate::node) fn cohort_begin(
        self: &Arc<Self>,
        party: &PartyId,
        question: &Question,
    ) -> Result<Upload, NoCohort> {
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(NoCohort::Stopped(stop));
        }
        self.cohorts.sweep(self.now());
        let mut desk = self.cohorts.desk();
        let standing = desk.jobs.values().filter(|entry| entry.job.party == *party).count();
        let arriving = desk.arriving.entry(party.clone()).or_default();
        if standing + *arriving >= MOST_JOBS {
            return Err(NoCohort::TooMany);
        }
        *arriving += 1;
        drop(desk);
        let begun = self.cohort_file(party, question);
        if begun.is_err()
            && let Some(n) = self.cohorts.desk().arriving.get_mut(party)
        {
            *n = n.saturating_sub(1);
        }
        Ok(begun?)
    }

    fn cohort_file(self: &Arc<Self>, party: &PartyId, question: &Question) -> Result<Upload, Error> {
        let id = CohortId(clock::random().map_err(Error::Randomness)?);
        let folder = self.cohort_folder().join(id.to_string());
        fs::create_dir_all(&folder).map_err(io_at(&folder))?;
        let input = Writer::create(folder.join(Part::Input.as_str()), self.cohort_key(id), Part::Input)?;
        Ok(Upload {
            inner: Arc::clone(self),
            id,
            folder,
            input,
            piece: Vec::with_capacity(PIECE),
            counter: Counter::default(),
            hash: hash::Running::default(),
            bytes: 0,
            party: party.clone(),
            asked: asked_of(question),
            kept: false,
        })
    }

    /// The party's job of that name; another's is none.
    fn cohort_of(&self, party: &PartyId, id: CohortId) -> Option<Arc<Entry>> {
        let now = self.now();
        let entry = self.cohorts.desk().jobs.get(&id).cloned();
        entry.filter(|entry| entry.job.party == *party && now < entry.expires())
    }

    /// Where a job stands, to the party that asked.
    #[must_use]
    pub fn cohort_status(&self, party: &PartyId, id: CohortId) -> Option<CohortStatus> {
        let entry = self.cohort_of(party, id)?;
        let (progress, done) = entry.stands();
        let (begun, expires) = (Timestamp(entry.job.begun), entry.expires());
        Some(CohortStatus { progress, lines: entry.job.lines, done, begun, expires })
    }

    /// The verdicts after a line, as far as they stand.
    ///
    /// # Errors
    /// The disk; damage.
    pub fn cohort_verdicts(
        &self,
        party: &PartyId,
        id: CohortId,
        after: u64,
    ) -> Result<Option<Verdicts>, Error> {
        let Some(entry) = self.cohort_of(party, id) else { return Ok(None) };
        let (_, done) = entry.stands();
        if done <= after {
            return Ok(Some(Verdicts { reader: None, skip: 0, records: 0 }));
        }
        let path = entry.folder.join(Part::Verdicts.as_str());
        let mut reader = Reader::open(&path, self.cohort_key(id), Part::Verdicts)?;
        let first = after / work::CHUNK;
        reader.skip(first)?;
        let skip = usize::try_from(after % work::CHUNK).unwrap_or_default();
        let records = done.div_ceil(work::CHUNK) - first;
        Ok(Some(Verdicts { reader: Some(reader), skip, records }))
    }

    /// The signed summary, once the job is done: outer none if there is no such job of this party.
    ///
    /// # Errors
    /// The disk.
    pub fn cohort_summary(&self, party: &PartyId, id: CohortId) -> Result<Option<Option<Vec<u8>>>, Error> {
        let Some(entry) = self.cohort_of(party, id) else { return Ok(None) };
        if entry.stands().0 != Progress::Done {
            return Ok(Some(None));
        }
        let path = entry.folder.join(work::SUMMARY);
        Ok(Some(Some(fs::read(&path).map_err(io_at(&path))?)))
    }

    /// Finds the jobs of earlier runs: goes on with them, removes what never became one or has expired.
    pub(in crate::node) fn cohorts_recover(&self) -> Result<(), Error> {
        let mut found = Vec::new();
        for folder in folder::list(&self.cohort_folder())? {
            let folder = folder?.path();
            let name = folder.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(CohortId::from_hex) else { continue };
            match self.cohort_load(id, &folder) {
                Ok(Some(entry)) if self.now() < entry.expires() => found.push(entry),
                // Of an ended wrapping epoch: a rotation that was broken off has left it.
                Ok(_) | Err(Error::Vault(vault::Error::Unsealed { .. })) => remove(&folder),
                Err(error) => tracing::warn!(cause = %error, "the job of a cohort cannot be read"),
            }
        }
        found.sort_by_key(|entry| (entry.job.begun, entry.id));
        found.into_iter().for_each(|entry| self.cohorts.enter(Arc::new(entry)));
        Ok(())
    }

    fn cohort_load(&self, id: CohortId, folder: &Path) -> Result<Option<Entry>, Error> {
        let Some(sealed) = folder::read(&folder.join(Part::Job.as_str()))? else { return Ok(None) };
        let plain = self.cohort_key(id).open(Part::Job.as_str().as_bytes(), &sealed, "job of a cohort")?;
        let job: Job = cbor::decode(&plain)?;
        let done = folder.join(work::SUMMARY).exists();
        let stands = if done { (Progress::Done, job.lines) } else { (Progress::Waiting, 0) };
        Ok(Some(Entry { id, folder: folder.to_owned(), job, stands: Mutex::new(stands) }))
    }
}

/// The question in the words of the summary.
fn asked_of(question: &Question) -> Asked {
    Asked {
        controller: question.controller.as_str().to_owned(),
        action: question.action.as_str().to_owned(),
        purpose: question.purpose.clone(),
        class: question.class.as_str().to_owned(),
        categories: question.categories.clone(),
        recipient: question.recipient.as_ref().map(|r| r.as_str().to_owned()),
        jurisdiction: question.jurisdiction.clone(),
    }
}
