//! Terms: what is past them is found, certified in batches, and destroyed. Source: design §8.
//!
//! A round goes through the key slots a page at a time and looks at each person on the
//! caller's thread; whoever has something past its term is handed to the sequencer, a few
//! at a time, between two commits. That looks again (something may stand now), makes
//! one `erasure.certify` over what is due, and destroys. What destroyed statements left of
//! their slot comes with the certificate, in one commit ([`Rest`]); then their bodies go. A
//! crash in between leaves tombstones whose bodies the next start drops; a round
//! broken off is begun again. Requests that nobody answered, and those whose answers
//! all go now, are certified by the tag of their slot, as persons are.
//!
//! What stays: the leaves, the names of statements (a duplicate is found at any age), and
//! where each slot stands. How long: the longest term of the packs that apply to the slot's
//! controller now; of all packs where none is named. Lacks: terms of use lines (`uselog` drops
//! whole segments), and of a person's keys and delegations, which have none but hers.

use std::collections::BTreeSet;
use std::collections::HashMap;

use tokio::sync::oneshot;

use crate::consent::Bounds;
use crate::consent::SlotKey;
use crate::consent::Spent;
use crate::identity;
use crate::identity::Recorded;
use crate::ledger::cbor;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::pack::Kept;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Stop;
use crate::node::erase::Beside;
use crate::node::erase::MOST_TAGS;
use crate::node::erase::stored::Rest;
use crate::node::erase::stored::Stored;
use crate::node::lane::Lane;
use crate::node::people;
use crate::node::people::Loaded;
use crate::node::request::link_name;
use crate::node::sequencer::Job;
use crate::node::sequencer::Sequencer;
use crate::store::Body;
use crate::store::Epoch;
use crate::store::Name;
use crate::store::Project;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::SlotNumber;

/// Slots looked at between two looks at whether the node stops.
const PAGE: usize = 256;
/// Persons handed to the sequencer at once.
const AT_ONCE: usize = 16;
/// A certificate takes in no further person once it has so many records.
const MOST_RECORDS: usize = 1_024;

/// How often the keeper makes a round, ms.
const ROUND_MS: u64 = 24 * 3_600_000;

/// What a round destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Entries whose bodies are gone.
    pub records: u64,
    /// Requests among them, with their keys.
    pub requests: u64,
    /// Certificates that say so.
    pub certificates: u64,
    /// Items that other logs had delivered and whose data life is over: they stand in no log.
    pub items: u64,
}

impl Expired {
    fn add(&mut self, other: Self) {
        self.records = self.records.saturating_add(other.records);
        self.requests = self.requests.saturating_add(other.requests);
        self.certificates = self.certificates.saturating_add(other.certificates);
        self.items = self.items.saturating_add(other.items);
    }
}

/// What of a slot is destroyed, and what it leaves.
#[derive(Clone, Debug)]
pub(in crate::node) struct Cut {
    pub(in crate::node) who: Pointed,
    /// The entries that become tombstones.
    pub(in crate::node) indices: Vec<LeafIndex>,
    /// Bodies that go: all but the last, in whose place the rest stands.
    pub(in crate::node) drop: Vec<StatementId>,
    pub(in crate::node) rest: Body,
}

/// What is past its term of one person, or of a request.
#[derive(Debug, Default)]
pub(in crate::node) struct Due {
    pub(in crate::node) cuts: Vec<Cut>,
    pub(in crate::node) requests: Vec<Pointed>,
}

/// A person's statements, opened.
#[derive(Default)]
struct Opened {
    said: Vec<Recorded>,
    rests: Vec<Rest>,
    /// The request that a statement answers.
    links: HashMap<StatementId, Name>,
}

impl Node {
    /// Destroys and certifies what is past its term; again does nothing.
    ///
    /// # Errors
    /// The disk, the store; [`Error::Genesis`] without the operator's key. What was done stands.
    pub fn expire(&self) -> Result<Expired, Error> {
        let items = self.inner.end_lives(&|| true)?;
        Ok(Expired { items, ..self.inner.expire(&|| true)? })
    }
}

/// When a round was last made.
#[derive(Debug, Default)]
pub(in crate::node) struct Rounds(Option<Timestamp>);

impl Rounds {
    /// One a day, and one after the start; broken off as soon as `goes_on` says no.
    pub(in crate::node) fn look(&mut self, node: &Inner, goes_on: &dyn Fn() -> bool) {
        let now = node.clock.now();
        let due = self.0.is_none_or(|last| last.plus_ms(ROUND_MS) <= now);
        if !due || node.operator.is_none() || node.stopped().is_some() {
            return;
        }
        match node.expire(goes_on) {
            Ok(_) => self.0 = Some(now),
            Err(error) => tracing::error!(cause = %error, "what is past its term waits for the next round"),
        }
    }
}

impl Inner {
    /// One round.
    fn expire(&self, goes_on: &dyn Fn() -> bool) -> Result<Expired, Error> {
        self.operator.as_ref().ok_or(Error::Genesis("the operator's key is not here"))?;
        let (mut total, mut from) = (Expired::default(), Some(SlotNumber(0)));
        let now = self.clock.now();
        let Some(oldest) = self.oldest_term(now).map(|term| now.0.saturating_sub(term)) else {
            return Ok(total);
        };
        let below = self.first_after(Timestamp(oldest))?;
        while let Some(first) = from.filter(|_| below > 0 && goes_on()) {
            let (page, next) = self.vault.page(first, PAGE)?;
            let mut due = Vec::new();
            for who in page {
                if self.has_due(who, below, now)? {
                    due.push(who);
                }
            }
            for some in due.chunks(AT_ONCE) {
                let (done, wait) = oneshot::channel();
                let job = Job::Expire(some.to_vec(), done);
                self.sequence.push(Lane::Open, job).map_err(|_| Error::Stopped(Stop::Closing))?;
                total.add(wait.blocking_recv().map_err(|_| Error::Stopped(Stop::Closing))??);
            }
            from = next;
        }
        if total.records > 0 {
            tracing::info!(records = total.records, certificates = total.certificates, "past their term");
        }
        Ok(total)
    }

    /// The shortest term that may apply to anything, ms.
    fn oldest_term(&self, now: Timestamp) -> Option<u64> {
        let register = self.register();
        let rows = [Kept::Grants, Kept::UnansweredRequests];
        let terms = register.all_packs().flat_map(|pack| rows.map(|row| pack.term_of(row)));
        terms.flatten().map(|term| term.term.ms()).filter(|term| *term <= now.0).min()
    }

    /// Index of the first entry made after an instant.
    fn first_after(&self, at: Timestamp) -> Result<LeafIndex, Error> {
        let (mut low, mut high) = (0, self.sequenced());
        while low < high {
            let middle = low + (high - low) / 2;
            let commit = self.commit_of(middle)?;
            if commit.at > at.0 { high = commit.first } else { low = middle + 1 }
        }
        Ok(low)
    }

    /// Whether something of hers is due; a look that keeps nobody in memory.
    fn has_due(&self, who: Pointed, below: LeafIndex, now: Timestamp) -> Result<bool, Error> {
        let (decoy, _) = self.vault.decoy();
        if who.subject == decoy.subject || self.people.is_erased(&who.subject) {
            return Ok(false);
        }
        let mut old = false;
        for id in self.store.ids(&who.subject)? {
            old |= self.index_of(&id)?.is_some_and(|index| index < below);
        }
        if !old {
            return Ok(false);
        }
        let due = self.due_of(who, now)?;
        Ok(!due.cuts.is_empty() || !due.requests.is_empty())
    }

    /// What of hers is past its term.
    pub(in crate::node) fn due_of(&self, who: Pointed, now: Timestamp) -> Result<Due, Error> {
        let loaded = match self.people.current(&who.subject) {
            Some(loaded) => loaded,
            None => std::sync::Arc::new(people::read(who, self.store.as_ref(), &self.vault)?),
        };
        let person = &loaded.person;
        if let Some(request) = person.request() {
            let term = self.term_of(Some(&request.controller), Kept::UnansweredRequests, now);
            let over = term.is_some_and(|term| request.until.plus_ms(term) <= now);
            let due = over && request.answered.is_none() && !self.holds().names(&request.statement, now);
            let requests = if due { vec![who] } else { Vec::new() };
            return Ok(Due { cuts: Vec::new(), requests });
        }
        if !person.is_known() {
            return Ok(Due::default());
        }
        let opened = self.opened(&loaded)?;
        let rests: Vec<_> = opened.rests.iter().map(|rest| (rest.slot.clone(), rest.left.clone())).collect();
        let controller = |slot: &SlotKey| PartyId::parse(slot.controller.as_str());
        let bounds = Bounds {
            term_ms: &|slot| self.term_of(controller(slot).as_ref(), Kept::Grants, now),
            spared: &|id| self.holds().names(id, now),
            now,
        };
        let mut spent = person.spent(&rests, &opened.said, &bounds);
        let requests = self.answered_by(&loaded, &opened, &mut spent, now)?;
        let cuts = spent.into_iter().map(|one| cut(&loaded, &opened, one));
        Ok(Due { cuts: cuts.collect::<Result<_, Error>>()?, requests })
    }

    fn opened(&self, loaded: &Loaded) -> Result<Opened, Error> {
        let (subject, mut out) = (&loaded.who.subject, Opened::default());
        let ids = self.store.ids(subject)?;
        for (id, body) in ids.iter().zip(self.store.bodies(subject, &ids)?) {
            let (Some(body), Some(index)) = (body, self.index_of(id)?) else { continue };
            match Stored::open(&loaded.key, subject, id, &body)? {
                Stored::Item(item) => {
                    let (statement, signed) = identity::reload(&item)?;
                    if let Some((party, link)) = statement.link() {
                        out.links.insert(*id, link_name(&self.vault, party, link));
                    }
                    let at = Timestamp(self.commit_of(index)?.at);
                    out.said.push(Recorded::assertion(statement, signed, index, at));
                }
                Stored::Rest(rest) => out.rests.push(*rest),
                Stored::Held(_) => {}
            }
        }
        out.said.sort_unstable_by_key(Recorded::index);
        Ok(out)
    }

    /// The longest term of the packs that apply to a controller now, ms; of all where none is named.
    fn term_of(&self, controller: Option<&PartyId>, what: Kept, now: Timestamp) -> Option<u64> {
        let register = self.register();
        let packs = controller.and_then(|party| register.packs_of(party, now));
        let packs = packs.unwrap_or_else(|| register.all_packs().collect());
        let terms = packs.into_iter().map(|pack| pack.term_of(what).map(|term| term.term.ms()));
        // Where one of them says nothing, it is kept.
        terms.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The requests that go with these statements: an answer stays as long as another of the same request.
    fn answered_by(
        &self,
        loaded: &Loaded,
        opened: &Opened,
        spent: &mut Vec<Spent>,
        now: Timestamp,
    ) -> Result<Vec<Pointed>, Error> {
        let register = self.register();
        let ground = self.erasable(&register);
        loop {
            let going: BTreeSet<StatementId> =
                spent.iter().flat_map(|one| one.gone.iter().map(|(_, id)| *id)).collect();
            let (mut requests, mut stays) = (Vec::new(), BTreeSet::new());
            for (id, link) in opened.links.iter().filter(|(id, _)| going.contains(id)) {
                let Some(request) = ground.asked(link, &loaded.who.subject)? else { continue };
                let asked = self.loaded(request)?;
                let held = asked.person.request().is_some_and(|r| self.holds().names(&r.statement, now));
                let here = |other: &StatementId| opened.links.get(other) == Some(link);
                let alone =
                    opened.links.keys().filter(|other| here(other)).all(|other| going.contains(other));
                if held || !alone {
                    stays.insert(*id);
                } else if !requests.contains(&request) {
                    requests.push(request);
                }
            }
            if stays.is_empty() {
                return Ok(requests);
            }
            spent.retain(|one| !one.gone.iter().any(|(_, id)| stays.contains(id)));
        }
    }

    /// Drops the bodies of cuts whose rests stand.
    pub(in crate::node) fn cut_away(&self, epoch: Epoch, cuts: &[Cut]) -> Result<(), Error> {
        for cut in cuts {
            match self.store.rewrite(epoch, &cut.who.subject, &[], &cut.drop) {
                Project::Projected => {}
                Project::Fenced => return Err(Error::Stopped(Stop::OtherLeader)),
                Project::Failed(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A slot's statements gone, and in the place of the last what they left.
fn cut(loaded: &Loaded, opened: &Opened, spent: Spent) -> Result<Cut, Error> {
    let Spent { slot, gone, left } = spent;
    let (who, key) = (loaded.who, &loaded.key);
    let indices = gone.iter().map(|(index, _)| *index).collect();
    let before = opened.rests.iter().find(|rest| rest.slot == slot);
    let going = |said: &&Recorded| gone.iter().any(|(_, id)| *id == said.id());
    let named = opened.said.iter().filter(going).filter_map(|said| said.statement().ppid());
    let named = before.iter().flat_map(|rest| rest.ppids.iter().copied()).chain(named);
    let ppids: Vec<Ppid> = named.collect::<BTreeSet<_>>().into_iter().collect();
    let gone: Vec<_> = before.iter().flat_map(|rest| rest.gone.iter().copied()).chain(gone).collect();
    let last = gone.last().map(|(_, id)| *id);
    let id = last.ok_or_else(|| Error::Damaged("nothing of a slot is past its term".into()))?;
    let drop = gone.iter().map(|(_, id)| *id).filter(|gone| *gone != id).collect();
    let plain = cbor::encode(&Rest { gone, left, slot, ppids })?;
    let sealed = key.seal(Sealed::Rest, &who.subject, &id.0, &plain)?;
    Ok(Cut { who, indices, drop, rest: Body { subject: who.subject, id, sealed } })
}

impl Sequencer {
    /// What of these persons and requests is due goes now, under as few certificates as it fits.
    pub(in crate::node) fn expire(&mut self, all: &[Pointed]) -> Result<Expired, Error> {
        self.inner.stopped().map_or(Ok(()), |stop| Err(Error::Stopped(stop)))?;
        let (now, mut total, mut due) = (self.now(), Expired::default(), Due::default());
        for who in all {
            if self.inner.people.is_erased(&who.subject) {
                continue;
            }
            let hers = self.inner.due_of(*who, now)?;
            due.cuts.extend(hers.cuts);
            due.requests.extend(hers.requests);
            let records: usize = due.cuts.iter().map(|cut| cut.indices.len()).sum();
            if records >= MOST_RECORDS || due.requests.len() >= MOST_TAGS / 2 {
                total.add(self.certify_due(std::mem::take(&mut due))?);
            }
        }
        total.add(self.certify_due(due)?);
        Ok(total)
    }

    fn certify_due(&mut self, due: Due) -> Result<Expired, Error> {
        if due.cuts.is_empty() && due.requests.is_empty() {
            return Ok(Expired::default());
        }
        let requests = due.requests.len() as u64;
        let beside = Beside {
            bodies: due.cuts.iter().map(|cut| cut.rest.clone()).collect(),
            cuts: due.cuts,
            ..Beside::default()
        };
        let statement = self.inner.certificate(&due.requests, None, Some(beside))?;
        let Statement::ErasureCertify(says) = &statement else { return Ok(Expired::default()) };
        let records = says.records;
        self.certify_this(&statement)?;
        Ok(Expired { records, requests, certificates: 1, items: 0 })
    }
}
