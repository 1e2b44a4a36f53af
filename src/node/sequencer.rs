//! The one thread that writes: judge, append, apply, promise, answer, project, publish.
//!
//! It judges in the order in which the entries will stand, on copies that show the
//! ones before, and keeps the copies only when the store has said `Sequenced`.
//! After any failure it stops for good; a new start runs the same code over what
//! the store kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::consent::Effect;
use crate::ledger::cbor;
use crate::ledger::entry;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::ledger::promise;
use crate::model::decision::Why;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::backup::Wish;
use crate::node::backup::Wishes;
use crate::node::clock;
use crate::node::deposit::Keep;
use crate::node::deposit::Keeping;
use crate::node::erase::Demanded;
use crate::node::erase::Expired;
use crate::node::erase::act;
use crate::node::events::Told;
use crate::node::intake::Prepared;
use crate::node::intake::SealedParts;
use crate::node::intake::Target;
use crate::node::intake::refuses_itself;
use crate::node::judge::Copies;
use crate::node::judge::Judge;
use crate::node::mark::Mark;
use crate::node::people;
use crate::node::people::name_bytes;
use crate::node::publish::Publisher;
use crate::node::rebinds;
use crate::node::recent::Recent;
use crate::node::rotate::Resealed;
use crate::node::ticket::Accepted;
use crate::node::ticket::Outcome;
use crate::node::ticket::Place;
use crate::node::ticket::Refusal;
use crate::store::Append;
use crate::store::Batch;
use crate::store::BatchId;
use crate::store::Body;
use crate::store::Epoch;
use crate::store::Name;
use crate::store::NameRow;
use crate::store::Project;
use crate::store::Row;
use crate::vault;
use crate::vault::Pointed;

/// Most statements in one commit.
const MOST: usize = 1024;

/// What the sequencer is given to do.
#[derive(Debug)]
pub(in crate::node) enum Job {
    /// Judge and record.
    Record(Box<Prepared>, Place),
    /// Keep items of a person.
    Keep(Box<Keep>, Keeping),
    /// Write name rows that came without an entry.
    Names(Vec<(Name, Pointed)>, oneshot::Sender<Result<(), Stop>>),
    /// Seal the page of name rows after this one under the current wrapping epoch.
    Reseal(Option<Name>, oneshot::Sender<Resealed>),
    /// Destroy what of these is past its term.
    Expire(Vec<Pointed>, oneshot::Sender<Result<Expired, Error>>),
    /// Publish now, if anything is new; a tick by hand.
    Tick(oneshot::Sender<Result<(), Stop>>),
    /// Hold on to the store's rows at the next moment that a checkpoint covers all of them.
    Snapshot(Wish),
}

/// A statement judged good for its place.
struct Judged {
    prepared: Box<Prepared>,
    place: Place,
    /// The same statement again in one commit: they get what the first gets.
    twins: Vec<Place>,
}

impl Judged {
    fn refuse(self, stop: Stop) {
        std::iter::once(self.place).chain(self.twins).for_each(|p| p.fill(Err(Refusal::Unavailable(stop))));
    }
}

/// The sequencer's own state: nobody else can write, by type.
pub(in crate::node) struct Sequencer {
    pub(in crate::node) inner: Arc<Inner>,
    pub(in crate::node) epoch: Epoch,
    pub(in crate::node) next: u64,
    pub(in crate::node) at: u64,
    pub(in crate::node) recent: Recent,
    mark: Mark,
    publisher: Publisher,
    wishes: Wishes,
    /// Answered once it is known what became of them.
    pub(in crate::node) demanded: Vec<Demanded>,
    /// Certificates, answered once they are carried out.
    pub(in crate::node) certified: Vec<(Place, Accepted)>,
}

impl Sequencer {
    /// Only a full load makes one (see `recover`).
    pub(in crate::node) fn new(
        inner: Arc<Inner>,
        epoch: Epoch,
        (next, at): (u64, u64),
        mark: Mark,
        publisher: Publisher,
    ) -> Self {
        let recent = Recent::from(next);
        let (wishes, demanded, certified) = (Wishes::default(), Vec::new(), Vec::new());
        Self { inner, epoch, next, at, recent, mark, publisher, wishes, demanded, certified }
    }

    /// Runs until the queue is shut.
    pub(in crate::node) fn run(mut self) {
        let tick = Duration::from_millis(self.inner.settings.tick_ms.max(1));
        let running = self.inner.clock.runs();
        let mut last = clock::Watch::start();
        loop {
            let wait = running.then(|| tick.saturating_sub(last.elapsed()));
            let drained = self.inner.sequence.drain(MOST, wait);
            self.work(drained.items);
            if running && (last.elapsed() >= tick || drained.shut) {
                last = clock::Watch::start();
                self.tick(drained.shut);
            }
            if drained.shut {
                return;
            }
        }
    }

    fn work(&mut self, jobs: Vec<Job>) {
        let mut records = Vec::with_capacity(jobs.len());
        let mut after = Vec::new();
        for job in jobs {
            match job {
                Job::Record(prepared, place) => records.push((prepared, place)),
                Job::Keep(..)
                | Job::Names(..)
                | Job::Reseal(..)
                | Job::Expire(..)
                | Job::Tick(_)
                | Job::Snapshot(_) => {
                    after.push(job);
                }
            }
        }
        if !records.is_empty() {
            self.record(records);
        }
        self.erase_waiting();
        for job in after {
            match job {
                // Who asked and went away is no reason to stop.
                Job::Keep(keep, done) => {
                    let _ = done.send(self.keep(*keep));
                }
                Job::Names(rows, done) => {
                    let _ = done.send(self.names(&rows));
                }
                Job::Reseal(from, done) => {
                    let _ = done.send(self.reseal(from));
                }
                Job::Expire(who, done) => {
                    let _ = done.send(self.expire(&who));
                }
                Job::Tick(done) => {
                    self.tick(true);
                    let _ = done.send(self.inner.stopped().map_or(Ok(()), Err));
                }
                Job::Snapshot(wish) => self.wishes.add(wish),
                Job::Record(..) => {}
            }
        }
        self.wishes.grant(&self.inner, &self.publisher);
    }

    fn names(&self, names: &[(Name, Pointed)]) -> Result<(), Stop> {
        self.inner.stopped().map_or(Ok(()), Err)?;
        // Who is erased by now has had her last row; whoever asked for one began before.
        let living = names.iter().filter(|(_, who)| !self.inner.people.is_erased(&who.subject));
        // Sealed here, between two pages of a rotation: never under an epoch that has just ended.
        let row = |(name, who): &(Name, Pointed)| {
            let sealed = self.inner.vault.seal_name(name_bytes(name), *who)?;
            Ok(Row::Name { name: *name, sealed, index: None })
        };
        let rows = living.map(row).collect::<Result<Vec<_>, vault::Error>>();
        let rows = rows.map_err(|error| self.failed(&error))?;
        self.project(self.next, &rows).inspect_err(|stop| self.inner.stop(*stop))
    }

    pub(in crate::node) fn failed(&self, error: &dyn std::fmt::Display) -> Stop {
        tracing::error!(cause = %error, "names could not be written");
        self.inner.stop(Stop::Io);
        Stop::Io
    }

    /// One commit, from prepared statements to answers.
    pub(in crate::node) fn record(&mut self, records: Vec<(Box<Prepared>, Place)>) {
        if let Some(stop) = self.inner.stopped() {
            records.into_iter().for_each(|(_, place)| place.fill(Err(Refusal::Unavailable(stop))));
            return;
        }
        let at = self.now();
        let (mut judged, copies) = self.judge(records, at);
        if judged.is_empty() {
            return;
        }
        let (batch, new_slots) = match self.batch(&mut judged, at) {
            Ok(made) => made,
            Err(error) => return self.halt(judged, &error),
        };
        // A new person's key must be durable before her first entry is.
        if let Err(error) = self.inner.make_ready(new_slots, judged.iter().map(|j| j.prepared.as_ref())) {
            return self.halt(judged, &error);
        }
        // At this point nothing is durable; a crash leaves no trace.
        let watch = clock::Watch::start();
        let mut done = self.inner.store.append(self.epoch, &batch);
        if matches!(done, Append::InDoubt) {
            done = self.inner.store.settle(self.epoch, batch.id);
        }
        self.inner.meter.commit(batch.ids.len(), watch.elapsed());
        match done {
            // At this point the statements are in force, come what may.
            Append::Sequenced { first } => self.sequenced(first, at, batch, judged, copies),
            Append::Absent => {
                let stop = Stop::Busy;
                judged.into_iter().for_each(|j| j.refuse(stop));
            }
            Append::Fenced => self.stop(judged, Stop::OtherLeader),
            Append::InDoubt => self.stop(judged, Stop::Io),
            Append::Failed(error) => self.halt(judged, &Error::from(error)),
        }
    }

    fn halt(&self, judged: Vec<Judged>, error: &Error) {
        tracing::error!(cause = %error, "writing has stopped; restart after the cause is mended");
        self.stop(judged, Stop::Io);
    }

    fn stop(&self, judged: Vec<Judged>, stop: Stop) {
        self.inner.stop(stop);
        judged.into_iter().for_each(|j| j.refuse(stop));
    }

    /// Judges in order on copies; refused and duplicate items are answered here.
    fn judge(&mut self, records: Vec<(Box<Prepared>, Place)>, at: Timestamp) -> (Vec<Judged>, Copies) {
        let mut copies = Copies::of(&self.inner, records.len());
        let mut judged: Vec<Judged> = Vec::with_capacity(records.len());
        let mut inside: HashMap<StatementId, usize> = HashMap::with_capacity(records.len());
        for (prepared, place) in records {
            let id = prepared.verified.id();
            if let Some(first) = inside.get(&id).and_then(|at| judged.get_mut(*at)) {
                first.twins.push(place);
                continue;
            }
            match self.known(&prepared) {
                Ok(Some(index)) => place.fill(self.inner.again(id, prepared.verified.value().kind(), index)),
                Err(error) => place.fill(Err(Refusal::Node(error))),
                Ok(None) => {
                    let index = self.next + judged.len() as u64;
                    match self.judges().try_one(&prepared, index, at, &mut copies) {
                        Ok(Effect::Applied(_)) => {
                            inside.insert(id, judged.len());
                            judged.push(Judged { prepared, place, twins: Vec::new() });
                        }
                        Ok(Effect::Inert(why)) => place.fill(self.refusal(&prepared, why)),
                        Err(error) => place.fill(Err(Refusal::Node(error))),
                    }
                }
            }
        }
        (judged, copies)
    }

    fn judges(&self) -> Judge<'_> {
        Judge { inner: &self.inner, recent: &self.recent }
    }

    /// The index of an id sequenced since the pool looked, or ever.
    fn known(&self, prepared: &Prepared) -> Result<Option<u64>, Error> {
        let id = prepared.verified.id();
        if let Some(index) = self.recent.index_of.get(&id) {
            return Ok(Some(*index));
        }
        if prepared.fresh_at >= self.recent.since || refuses_itself(prepared.verified.value().kind()) {
            return Ok(None);
        }
        self.inner.index_of(&id)
    }

    /// What a statement gets that is not recorded: what it got the first time, if it was.
    fn refusal(&self, prepared: &Prepared, why: Why) -> Outcome {
        let (id, kind) = (prepared.verified.id(), prepared.verified.value().kind());
        if refuses_itself(kind)
            && let Some(index) = self.inner.index_of(&id).map_err(Refusal::Node)?
        {
            return self.inner.again(id, kind, index);
        }
        Err(Refusal::Inert(why))
    }

    /// What is written; the sealed bytes move into it, nobody needs them after.
    /// Answers it with whether a slot in it is new besides those of new persons.
    fn batch(&self, judged: &mut [Judged], at: Timestamp) -> Result<(Batch, bool), Error> {
        let t = at.rounded_to(self.inner.settings.grain_ms).0;
        let id = BatchId(clock::random().map_err(Error::Randomness)?);
        let n = judged.len();
        let mut batch = Batch {
            id,
            at: at.0,
            entries: Vec::with_capacity(n),
            ids: Vec::with_capacity(n),
            names: Vec::with_capacity(n * 2),
            bodies: Vec::with_capacity(n),
        };
        let (mut numbers, mut new_slots) = (self.inner.incident_numbers(), false);
        for (position, one) in (0u32..).zip(judged) {
            let prepared = &mut one.prepared;
            if let (
                Target::Person { loaded, .. },
                Statement::IncidentFlag(_) | Statement::IncidentComplain(_),
            ) = (&prepared.target, prepared.verified.value())
            {
                batch.names.push(numbers.next_row(loaded.who)?);
            }
            if let Statement::ErasureCertify(s) = prepared.verified.value() {
                let (names, bodies, new) = self.inner.on_the_way.rows(s);
                batch.names.extend(names);
                batch.bodies.extend(bodies);
                new_slots |= new;
            }
            let entry = match &prepared.sealed {
                None => Entry::Public { t, item: prepared.verified.item().to_vec() },
                Some(SealedParts { h1, h2, .. }) => {
                    Entry::Sealed { t, commitment: entry::commitment(at.0, h1, h2) }
                }
            };
            batch.entries.push(entry.encode()?);
            batch.ids.push(prepared.verified.id());
            for row in &mut prepared.names {
                let mut sealed = std::mem::take(&mut row.sealed);
                // Sealed before the wrapping epoch changed, and still on its way.
                if let Target::Person { loaded, .. } = &prepared.target
                    && !self.inner.vault.is_current(&sealed)
                {
                    sealed = self.inner.vault.seal_name(name_bytes(&row.name), loaded.who)?;
                }
                batch.names.push(NameRow { name: row.name, sealed, entry: row.entry.map(|_| position) });
            }
            if let (Target::Person { loaded, .. }, Some(sealed)) = (&prepared.target, &mut prepared.sealed) {
                let (subject, sealed) = (loaded.who.subject, std::mem::take(&mut sealed.body));
                batch.bodies.push(Body { subject, id: prepared.verified.id(), sealed });
            }
        }
        Ok((batch, new_slots))
    }

    /// The batch stands at `first`: state, promise, answers, projection, tree.
    fn sequenced(&mut self, first: u64, at: Timestamp, batch: Batch, judged: Vec<Judged>, copies: Copies) {
        let n = judged.len() as u64;
        let expected = self.next;
        let (copies, inert) = if first == expected {
            (copies, vec![None; judged.len()])
        } else {
            match self.judge_again(first, at, &judged) {
                Ok(again) => again,
                Err(error) => return self.halt(judged, &error),
            }
        };
        (self.next, self.at) = (first + n, at.0);
        for (index, one) in (first..).zip(&judged) {
            let verified = &one.prepared.verified;
            self.recent.add(verified.id(), verified.value().new_keys(verified.signer()), index);
        }
        self.announce(first, at, &judged, &inert);
        let placed = (first..).zip(judged.iter().zip(&inert)).filter(|(_, (_, inert))| inert.is_none());
        let certified = act::certified(placed.map(|(at, (one, _))| (at, one.prepared.verified.value())));
        let kinds = judged.iter().map(|one| one.prepared.verified.value().kind());
        let rebinds = rebinds::among((first..).zip(kinds).zip(&inert), at);
        // Promised by the key that signed until now: it may bring another.
        let (signer, touched) = (self.inner.signers.now(), self.take_over(copies, first + n));
        let leaves: Vec<[u8; 32]> = batch.entries.iter().map(|e| hash::leaf(e)).collect();
        let list = merkle::List::new(&leaves);
        let root = list.root();
        self.mark.set(self.next, at.0, &root);
        let promise =
            promise::Promise { origin: self.inner.settings.origin.clone(), first, n, at: at.0, root };
        match promise.sign(signer.as_ref()) {
            Ok(signed) => self.answer(first, at, batch.entries, judged, &list, Arc::new(signed), &inert),
            Err(error) => return self.halt(judged, &Error::from(error)),
        }
        self.publisher.push(&leaves, at);
        // Without all its rows, or a rebind's count, a projection would claim what it does not show.
        let touched = touched.filter(|_| self.inner.has_counted(&rebinds));
        let Some((rows, subjects)) = touched else { return self.carry_out_all(Vec::new()) };
        match self.project(self.next, &rows) {
            Ok(()) => self.inner.people.projected(self.next, subjects, self.inner.store.as_ref()),
            Err(stop) => self.inner.stop(stop),
        }
        self.carry_out_all(certified);
    }

    /// What parties will be told, before the state shows it and anybody is answered.
    fn announce(&self, first: u64, at: Timestamp, judged: &[Judged], inert: &[Option<Why>]) {
        let at = at.rounded_to(self.inner.settings.grain_ms);
        let placed = (first..).zip(judged.iter().zip(inert));
        let told = placed.filter_map(|(index, (one, inert))| match (&one.prepared.target, inert) {
            (Target::Person { loaded, .. }, None) => {
                let said = &one.prepared.verified;
                Told::of((said.value(), said.id()), index, at, loaded.who)
            }
            (Target::Register, _) | (_, Some(_)) => None,
        });
        self.inner.announce(first, first + judged.len() as u64, told);
    }

    /// The copies become the node's state. Answers the rows to project and whose they are, if all could be made.
    fn take_over(&self, copies: Copies, next: u64) -> Option<(Vec<Row>, Vec<SubjectId>)> {
        let index = next - 1;
        let mut rows = Vec::with_capacity(copies.parts.len() + 1);
        let mut whole = true;
        if copies.register_changed {
            match cbor::encode(&copies.register) {
                Ok(bytes) => rows.push(Row::Register { index, bytes }),
                Err(_) => whole = false,
            }
            self.inner.set_register(copies.register);
        }
        let mut subjects = Vec::with_capacity(copies.people.len());
        let mut people = HashMap::with_capacity(copies.people.len());
        let mut erasing = Vec::new();
        for (subject, loaded) in copies.people {
            if loaded.person.core().erasing.is_some() {
                erasing.push(loaded.who);
            }
            let loaded = self.inner.replace_person(loaded, index);
            self.inner.look_at_transfers(&loaded.person);
            subjects.push(subject);
            people.insert(subject, loaded);
        }
        // Visible from here on: a check that begins now sees all of it.
        self.inner.set_sequenced(next);
        for (subject, slot) in copies.parts {
            self.inner.saw(&subject, slot.as_ref());
            let Some(loaded) = people.get(&subject) else { continue };
            match people::seal_part(loaded, slot.as_ref()) {
                Ok(Some((part, sealed))) => rows.push(Row::Person { subject, part, index, sealed }),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(cause = %error, "a state row could not be sealed");
                    whole = false;
                }
            }
        }
        if !erasing.is_empty() {
            match self.inner.awaits_erasure(&erasing, index) {
                Ok(row) => rows.push(row),
                Err(_) => whole = false,
            }
        }
        if !whole {
            self.inner.stop(Stop::Io);
        }
        whole.then_some((rows, subjects))
    }

    pub(in crate::node) fn project(&self, upto: u64, rows: &[Row]) -> Result<(), Stop> {
        match self.inner.store.project(self.epoch, upto, rows) {
            Project::Projected => Ok(()),
            Project::Fenced => Err(Stop::OtherLeader),
            Project::Failed(error) => {
                tracing::error!(cause = %error, "projection failed");
                Err(Stop::Io)
            }
        }
    }

    /// Somebody's batch came between: apply what stands there, then ours again, inert or not.
    fn judge_again(
        &mut self,
        first: u64,
        at: Timestamp,
        judged: &[Judged],
    ) -> Result<(Copies, Vec<Option<Why>>), Error> {
        tracing::warn!(expected = self.next, first, "the batch was given another place; judging again");
        let foreign = self.inner.replay(self.next..first, self.epoch)?;
        self.publisher.push(&foreign, at);
        // What the other writer brought is known to the store alone.
        self.recent.since = first;
        let mut copies = Copies::of(&self.inner, judged.len());
        let mut inert = Vec::with_capacity(judged.len());
        for (index, one) in (first..).zip(judged) {
            let effect = self.judges().try_one(&one.prepared, index, at, &mut copies)?;
            inert.push(match effect {
                Effect::Applied(_) => None,
                Effect::Inert(why) => Some(why),
            });
        }
        Ok((copies, inert))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one commit's parts, each used once; a struct would only pass on"
    )]
    fn answer(
        &mut self,
        first: u64,
        at: Timestamp,
        entries: Vec<Vec<u8>>,
        judged: Vec<Judged>,
        list: &merkle::List,
        promise: Arc<Vec<u8>>,
        inert: &[Option<Why>],
    ) {
        let rest = entries.into_iter().zip(inert).enumerate();
        for ((index, one), (position, (entry, inert))) in (first..).zip(judged).zip(rest) {
            // The position is inside the list it was made from.
            let path = list.path(position).unwrap_or_default();
            for row in &one.prepared.names {
                if let Target::Person { loaded, .. } = &one.prepared.target
                    && row.entry.is_none()
                {
                    self.inner.people.learn(row.name, loaded.who);
                }
            }
            let openings = one.prepared.sealed.as_ref().map(|s| s.openings);
            let accepted = Accepted {
                id: one.prepared.verified.id(),
                kind: one.prepared.verified.value().kind(),
                index,
                at,
                entry,
                k1: openings.map(|o| o.k1),
                k2: openings.map(|o| o.k2),
                promise: Arc::clone(&promise),
                path,
                duplicate: false,
                inert: *inert,
                erasure: None,
                held: Vec::new(),
            };
            self.inner.count_accepted(one.prepared.verified.value().kind());
            for twin in one.twins {
                twin.fill(Ok(Accepted { duplicate: true, ..accepted.clone() }));
            }
            match &one.prepared.target {
                Target::Person { loaded, .. } if accepted.kind == Kind::ErasureDemand => {
                    let (subject, place) = (loaded.who.subject, one.place);
                    self.demanded.push(Demanded { subject, place, accepted });
                }
                Target::Register if accepted.kind == Kind::ErasureCertify => {
                    self.certified.push((one.place, accepted));
                }
                Target::Person { .. } | Target::Register => one.place.fill(Ok(accepted)),
            }
        }
    }

    /// Publishes a checkpoint if it is time, or if `now`.
    fn tick(&mut self, now: bool) {
        self.inner.look_at_disk();
        if self.inner.stopped().is_some_and(Stop::ends_publishing) {
            return;
        }
        if let Err(stop) = self.publisher.tick(&self.inner, self.epoch, now) {
            self.inner.stop(stop);
        }
        self.wishes.grant(&self.inner, &self.publisher);
    }
}
