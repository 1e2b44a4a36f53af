//! Entry by entry: shape, order, signatures, authority of what is public.
//!
//! [`Replay`] is what `audit` runs over a stranger's log and `fsck` over one's
//! own: the register it ends with is the one the log implies.

use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::Finding;
use crate::audit::Place;
use crate::audit::Unread;
use crate::audit::What;
use crate::audit::adoption::Report;
use crate::consent::Effect;
use crate::consent::PackFile;
use crate::consent::Register;
use crate::identity;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::pack::Pack;
use crate::model::statement::PackAdopt;
use crate::model::statement::Statement;
use crate::model::statement::UseBatch;
use crate::model::terms::Vocabulary;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries in all.
    pub entries: u64,
    /// Public statements whose signatures held.
    pub public: u64,
    /// Public statements that had their effect.
    pub applied: u64,
    /// Sealed entries: nothing of them can be checked without openings.
    pub sealed: u64,
    /// Attachments read and found to be what their hash says.
    pub attachments: u64,
    /// Use batches.
    pub use_batches: u64,
    /// Certificates of erasure.
    pub erasures: u64,
    /// Those among them that went by schedule.
    pub scheduled: u64,
    /// Records that they account for.
    pub erased: u64,
}

/// How attachments are read.
pub type Attachments<'a> = dyn FnMut(&Hash) -> Result<Option<Vec<u8>>, Unread> + 'a;

/// The public fold over entries in order.
#[derive(Debug)]
pub struct Replay {
    register: Register,
    first_key: Option<[u8; 32]>,
    origin: String,
    seen: HashMap<StatementId, LeafIndex>,
    last_t: u64,
    batch_until: Option<Timestamp>,
    counts: Counts,
}

impl Replay {
    /// Begins before entry 0 of the log of this name, which this key (its hash) began; whichever did, if none
    /// is given.
    #[must_use]
    pub fn new(first_key: Option<[u8; 32]>, origin: &str) -> Self {
        Self {
            register: Register::default(),
            first_key,
            origin: origin.to_owned(),
            seen: HashMap::new(),
            last_t: 0,
            batch_until: None,
            counts: Counts::default(),
        }
    }

    /// The register so far.
    #[must_use]
    pub const fn register(&self) -> &Register {
        &self.register
    }

    /// Public time of the newest entry, ms.
    #[must_use]
    pub const fn newest_t(&self) -> u64 {
        self.last_t
    }

    /// What was read so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What was read.
    #[must_use]
    pub fn into_counts(self) -> Counts {
        self.counts
    }

    /// An entry that cannot be read stands here.
    pub const fn skip(&mut self) {
        self.counts.entries += 1;
    }

    /// Takes the next entry; answers what is wrong with it. The time of its commit is its own `t`.
    ///
    /// # Errors
    /// [`Unread`]: an attachment could not be read.
    pub fn entry(&mut self, bytes: &[u8], attachments: &mut Attachments<'_>) -> Result<Vec<Finding>, Unread> {
        self.entry_at(bytes, None, attachments)
    }

    /// As [`Self::entry`], with the exact time of the commit where it is known.
    ///
    /// # Errors
    /// [`Unread`]: an attachment could not be read.
    pub fn entry_at(
        &mut self,
        bytes: &[u8],
        at: Option<Timestamp>,
        attachments: &mut Attachments<'_>,
    ) -> Result<Vec<Finding>, Unread> {
        let index = self.counts.entries;
        self.counts.entries += 1;
        let mut findings = Findings { index, list: Vec::new() };
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(error) => {
                findings.push(What::Malformed(error.to_string()));
                return Ok(findings.list);
            }
        };
        let t = entry.t();
        match entry {
            Entry::Sealed { .. } => {
                self.counts.sealed += 1;
                if index == 0 {
                    findings.push(What::Genesis { what: "entry: it is sealed" });
                }
            }
            Entry::Public { item, .. } => {
                self.public(&item, at.unwrap_or(Timestamp(t)), &mut findings, attachments)?;
            }
        }
        // Genesis brings the grain, so times are judged after it.
        let on_grain = self.register.grain().is_none_or(|grain| Timestamp(t).rounded_to(grain).0 == t);
        if t < self.last_t || !on_grain {
            findings.push(What::Time { t, last: self.last_t });
        }
        self.last_t = self.last_t.max(t);
        Ok(findings.list)
    }

    fn public(
        &mut self,
        item: &[u8],
        at: Timestamp,
        findings: &mut Findings,
        attachments: &mut Attachments<'_>,
    ) -> Result<(), Unread> {
        let verified = match identity::open(item) {
            Ok(verified) => verified,
            Err(error) => {
                findings.push(What::Malformed(error.to_string()));
                return Ok(());
            }
        };
        self.counts.public += 1;
        if let Some(first) = self.seen.insert(verified.id(), findings.index) {
            findings.push(What::Duplicate { first });
        }
        let statement = verified.value();
        if !statement.kind().is_public() {
            findings.push(What::Exposed);
        }
        let packs = self.attachments(statement, findings, attachments)?;
        self.numbers(statement, findings);
        match self.register.apply_with(&verified.at(findings.index, at), &packs) {
            Effect::Applied(_) => self.counts.applied += 1,
            Effect::Inert(why) => findings.push(What::Inert(why)),
        }
        if findings.index == 0 {
            self.genesis(findings);
        }
        Ok(())
    }

    /// Every attachment is there and is what its hash says; answers the packs: what is judged by.
    fn attachments(
        &mut self,
        statement: &Statement,
        findings: &mut Findings,
        attachments: &mut Attachments<'_>,
    ) -> Result<Vec<PackFile>, Unread> {
        let named = Register::packs_named_by(statement);
        let mut packs = Vec::new();
        for hash in Register::attachments_of(statement) {
            let place = Place::Attachment(hash);
            let Some(bytes) = attachments(&hash)? else {
                findings.list.push(Finding::new(place, What::Missing));
                continue;
            };
            if hash::sha256(&[&bytes]) != hash.0 {
                findings.list.push(Finding::new(place, What::AttachmentBytes));
                continue;
            }
            self.counts.attachments += 1;
            if let Some(adoption) = replayed(statement, &hash)
                && !Report::parse(&bytes).is_ok_and(|report| report.agrees(adoption))
            {
                let what = What::Replay { adoption: findings.index };
                findings.list.push(Finding::new(place, what));
                continue;
            }
            if !named.contains(&hash) {
                continue;
            }
            match std::str::from_utf8(&bytes).map_err(|e| e.to_string()).and_then(parse_pack) {
                Ok(pack) => packs.push(PackFile { hash, pack: Arc::new(pack) }),
                Err(error) => findings.list.push(Finding::new(place, What::Malformed(error))),
            }
        }
        if matches!(statement, Statement::LogCreate(_)) && findings.index == 0 {
            match Vocabulary::embedded() {
                Ok(vocabulary) => self.register = Register::new(Arc::new(vocabulary), packs.clone()),
                Err(error) => findings.push(What::Malformed(error.to_string())),
            }
        }
        Ok(packs)
    }

    /// Genesis is of the log that is known.
    fn genesis(&self, findings: &mut Findings) {
        if self.register.origin() != Some(self.origin.as_str()) {
            findings.push(What::Genesis { what: "origin" });
        }
        let first = self.register.first_log_key().map(|key| key.0);
        if first.is_none() || self.first_key.is_some_and(|key| first != Some(key)) {
            findings.push(What::Genesis { what: "log key" });
        }
    }

    /// Use batches are numbered without holes and leave out no time; erased records are counted.
    fn numbers(&mut self, statement: &Statement, findings: &mut Findings) {
        match statement {
            Statement::UseBatch(batch) => self.batch(batch, findings),
            Statement::ErasureCertify(certificate) => {
                self.counts.erasures += 1;
                self.counts.scheduled += u64::from(certificate.scheduled);
                self.counts.erased = self.counts.erased.saturating_add(certificate.records);
            }
            _ => {}
        }
    }

    fn batch(&mut self, batch: &UseBatch, findings: &mut Findings) {
        let expected = self.counts.use_batches;
        if batch.number != expected {
            findings.push(What::BatchOrder { found: batch.number, expected });
        }
        if batch.until < batch.from || self.batch_until.is_some_and(|until| until != batch.from) {
            findings.push(What::BatchInterval);
        }
        self.batch_until = Some(batch.until);
        self.counts.use_batches += 1;
    }
}

/// The adoption that names this attachment as its replay.
fn replayed<'a>(statement: &'a Statement, hash: &Hash) -> Option<&'a PackAdopt> {
    let Statement::PackAdopt(s) = statement else { return None };
    s.replay.as_ref().filter(|replay| replay.report == *hash).map(|_| s.as_ref())
}

fn parse_pack(text: &str) -> Result<Pack, String> {
    Pack::parse(text).map_err(|error| error.to_string())
}

struct Findings {
    index: LeafIndex,
    list: Vec<Finding>,
}

impl Findings {
    fn push(&mut self, what: What) {
        self.list.push(Finding::new(Place::Entry(self.index), what));
    }
}
