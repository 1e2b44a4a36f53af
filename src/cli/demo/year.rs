//! The year: day by day, through the node in process.
//!
//! A day: the clock is set, the story's scenes play, newcomers make their keys,
//! everybody acts, controllers ask, one checkpoint is published. Nobody acts twice
//! in one wave, so what is refused does not depend on which thread was first.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::thread;

use indicatif::ProgressBar;

use crate::cli::demo::Error;
use crate::cli::demo::act;
use crate::cli::demo::act::By;
use crate::cli::demo::act::Life;
use crate::cli::demo::act::Setting;
use crate::cli::demo::draw::Act;
use crate::cli::demo::draw::Ask;
use crate::cli::demo::draw::Citizen;
use crate::cli::demo::draw::DAYS;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::story::Story;
use crate::cli::demo::tally::Tally;
use crate::cli::demo::world::DAY_MS;
use crate::cli::demo::world::FROM;
use crate::cli::demo::world::World;
use crate::cli::demo::world::closing;
use crate::cli::demo::world::key_hash;
use crate::identity::item;
use crate::ledger::key::Ed25519Signer;
use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::StatementId;
use crate::model::id::TreeSize;
use crate::model::statement::Kind;
use crate::node::Node;
use crate::node::Outcome;

/// Statements in one batch.
const BATCH: usize = 256;
/// Batches of one thread in flight.
const FLIGHT: usize = 8;
/// After this day the first of two checkpoints is kept.
const HALF: u16 = 182;
/// The operator signs for the use lines of so many days at a time.
const BATCH_DAYS: u16 = 30;
/// Parties open at nine, ms after midnight.
const NINE_MS: u64 = 9 * 3_600_000;
/// Between two waves, ms.
const WAVE_MS: u64 = 60_000;

/// Who acts in the live part: the first of the crowd.
pub(super) const CITIZEN: usize = 0;

/// What the year leaves besides the log.
pub(super) struct Kept {
    /// A checkpoint of the middle of the year, and its size.
    pub(super) old: (String, TreeSize),
    /// A few statements: citizen, type, id, controller.
    pub(super) samples: Vec<Sample>,
    /// One decision of the crowd's for each reason that was told.
    pub(super) decisions: Vec<Decided>,
    /// Secrets of a citizen that must be nowhere in the public log.
    pub(super) lives: Vec<Life>,
}

/// One accepted statement, kept for its evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) citizen: usize,
    pub(super) kind: Kind,
    pub(super) id: StatementId,
    pub(super) controller: Option<&'static str>,
}

/// One decision, kept for its evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub(super) id: DecisionId,
    pub(super) told: Reason,
    pub(super) asker: &'static str,
    pub(super) citizen: usize,
}

/// What happens on one day.
#[derive(Clone, Debug, Default)]
struct Day {
    joins: Vec<usize>,
    acts: Vec<(usize, usize, Act)>,
    asks: Vec<(usize, Offered, Ask)>,
}

/// The year in progress.
struct Year<'a> {
    world: &'a mut World,
    lives: Vec<Life>,
    samples: BTreeMap<Kind, Vec<Sample>>,
    decisions: BTreeMap<&'static str, Decided>,
    bar: &'a ProgressBar,
    /// Parties each citizen has to do with.
    domains: Vec<Vec<Option<&'static str>>>,
}

/// A citizen's signing key: her number is her name.
pub(super) fn citizen_key(world: &World, citizen: usize) -> Ed25519Signer {
    world.seed.signer("citizen", citizen as u64)
}

/// Plays the year.
pub(super) fn play(world: &mut World, citizens: &[Citizen], bar: &ProgressBar) -> Result<Kept, Error> {
    let days = calendar(citizens);
    let lives = vec![Life::default(); citizens.len()];
    let domains = citizens.iter().map(domains).collect();
    let (samples, decisions) = (BTreeMap::new(), BTreeMap::new());
    let mut year = Year { world, lives, samples, decisions, bar, domains };
    let mut story = Story::default();
    let mut old = (String::new(), 0);
    for (number, day) in (0u16..).zip(&days) {
        year.world.clock.set(FROM.plus_ms(u64::from(number) * DAY_MS + NINE_MS));
        story.play(number, year.world)?;
        year.join(&day.joins)?;
        year.act(number, &day.acts)?;
        year.ask(&day.asks)?;
        year.world.advance(WAVE_MS);
        if number % BATCH_DAYS == BATCH_DAYS - 1 || number + 1 == DAYS {
            year.world.batch_uses()?;
        }
        year.world.node.tick().map_err(Error::Stopped)?;
        if number == HALF {
            let published = year.world.node.published();
            old = (published.note.clone(), published.size);
        }
    }
    let Year { lives, samples, decisions, .. } = year;
    let samples = samples.into_values().flatten().collect();
    Ok(Kept { old, samples, decisions: decisions.into_values().collect(), lives })
}

/// Statements and checks the year will bring, the story's apart: the length of the bar.
pub(super) fn length(citizens: &[Citizen]) -> u64 {
    citizens.iter().map(|c| 1 + c.acts.len() as u64).sum()
}

fn calendar(citizens: &[Citizen]) -> Vec<Day> {
    let mut days = vec![Day::default(); usize::from(DAYS)];
    for (n, citizen) in citizens.iter().enumerate() {
        if let Some(day) = days.get_mut(usize::from(citizen.joins)) {
            day.joins.push(n);
        }
        for (nth, (day, act)) in citizen.acts.iter().enumerate() {
            if let Some(day) = days.get_mut(usize::from(*day)) {
                day.acts.push((n, nth, *act));
            }
        }
        for (day, offered, ask) in &citizen.asks {
            if let Some(day) = days.get_mut(usize::from(*day)) {
                day.asks.push((n, *offered, *ask));
            }
        }
    }
    days
}

fn domains(citizen: &Citizen) -> Vec<Option<&'static str>> {
    let acts = citizen.acts.iter().map(|(_, act)| act::domain(*act));
    let asks = citizen.asks.iter().map(|(_, offered, _)| Some(offered.offer().controller));
    let mut all: Vec<_> = acts.chain(asks).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Year<'_> {
    /// Newcomers make their keys, then read their names.
    fn join(&mut self, joins: &[usize]) -> Result<(), Error> {
        let world = &*self.world;
        let made = submit(&world.node, joins, |citizen| {
            let says = act::key_create(world.clock.now(), world.seed.nonce("key", *citizen as u64));
            Ok((Kind::KeyCreate, item::sign(&says, &citizen_key(world, *citizen))?))
        })?;
        for (citizen, (kind, outcome)) in joins.iter().zip(made) {
            self.world.tally.statement(kind, &outcome);
            let refused = |refusal| Error::Refused { step: "key.create", refusal };
            let id = outcome.map_err(refused)?.id;
            self.sample(Sample { citizen: *citizen, kind, id, controller: None });
        }
        self.bar.inc(joins.len() as u64);
        let world = &*self.world;
        let domains = &self.domains;
        let named = in_parallel(joins, |citizen| {
            let mut life = Life { key: Some(key_hash(&citizen_key(world, *citizen))), ..Life::default() };
            let Some(key) = life.key else { return Ok(life) };
            for domain in domains.get(*citizen).into_iter().flatten() {
                life.ppids.insert(*domain, world.ppid(&key, *domain)?);
            }
            Ok(life)
        })?;
        for (citizen, life) in joins.iter().zip(named) {
            if let Some(place) = self.lives.get_mut(*citizen) {
                *place = life;
            }
        }
        Ok(())
    }

    /// All acts of a day, in waves of one a citizen.
    fn act(&mut self, number: u16, acts: &[(usize, usize, Act)]) -> Result<(), Error> {
        let mut waves: Vec<Vec<(usize, usize, Act)>> = Vec::new();
        let mut seen: HashMap<usize, usize> = HashMap::new();
        for act in acts {
            let wave = seen.entry(act.0).or_default();
            if waves.len() == *wave {
                waves.push(Vec::new());
            }
            if let Some(list) = waves.get_mut(*wave) {
                list.push(*act);
            }
            *wave += 1;
        }
        for wave in waves {
            self.world.advance(WAVE_MS);
            self.wave(number, &wave)?;
        }
        Ok(())
    }

    fn wave(&mut self, number: u16, wave: &[(usize, usize, Act)]) -> Result<(), Error> {
        let (world, lives) = (&*self.world, &self.lives);
        let nobody = Life::default();
        let outcomes = submit(&world.node, wave, |(citizen, nth, act)| {
            let life = lives.get(*citizen).unwrap_or(&nobody);
            let name = (*citizen as u64) << 16 | *nth as u64;
            let setting = Setting { world, life, nonce: world.seed.nonce("act", name), by: None };
            let (says, by) = setting.statement(*act)?;
            let item = match by {
                By::Herself => item::sign(&says, &citizen_key(world, *citizen))?,
                By::Controller(party) => world.signed(&says, party)?,
            };
            Ok((says.kind(), item))
        })?;
        for ((citizen, _, act), (kind, outcome)) in wave.iter().zip(outcomes) {
            self.world.tally.statement(kind, &outcome);
            match outcome {
                Ok(accepted) => {
                    if let Some(life) = self.lives.get_mut(*citizen) {
                        life.applied(*act, accepted.id);
                    }
                    let controller = act::domain(*act);
                    self.sample(Sample { citizen: *citizen, kind, id: accepted.id, controller });
                }
                Err(crate::node::Refusal::Inert(_)) => {}
                Err(refusal) => {
                    tracing::error!(day = number, "an act of the year could not be handed in");
                    return Err(Error::Refused { step: "act", refusal });
                }
            }
        }
        self.bar.inc(wave.len() as u64);
        Ok(())
    }

    /// Controllers ask.
    fn ask(&mut self, asks: &[(usize, Offered, Ask)]) -> Result<(), Error> {
        let (world, lives) = (&*self.world, &self.lives);
        let nobody = Life::default();
        let parts = in_parallel_parts(asks, |part| {
            let (mut tally, mut first) = (Tally::default(), Vec::<Decided>::new());
            for (citizen, offered, ask) in part {
                let life = lives.get(*citizen).unwrap_or(&nobody);
                let asker = offered.offer().controller;
                let answer = world.tell(&act::question(life.ppid(Some(asker))?, *offered, *ask)?);
                tally.decision(&answer);
                let told = answer.answer.decision.told();
                if let Some(id) = answer.id
                    && first.iter().all(|one| one.told != told)
                {
                    first.push(Decided { id, told, asker, citizen: *citizen });
                }
            }
            Ok((tally, first))
        })?;
        for (tally, first) in parts {
            self.world.tally.add(&tally);
            for one in first {
                self.decisions.entry(one.told.as_str()).or_insert(one);
            }
        }
        Ok(())
    }

    /// Keeps the first two of a type.
    fn sample(&mut self, sample: Sample) {
        let kept = self.samples.entry(sample.kind).or_default();
        if kept.len() < 2 {
            kept.push(sample);
        }
    }
}

/// Signs and hands in, in batches, on as many threads as cores; outcomes in the order of the jobs.
fn submit<T: Sync>(
    node: &Node,
    jobs: &[T],
    build: impl Fn(&T) -> Result<(Kind, Vec<u8>), Error> + Sync,
) -> Result<Vec<(Kind, Outcome)>, Error> {
    let parts = in_parallel_parts(jobs, |part| {
        let mut out = Vec::with_capacity(part.len());
        for flight in part.chunks(BATCH * FLIGHT) {
            let mut kinds = Vec::with_capacity(flight.len());
            let mut tickets = Vec::with_capacity(FLIGHT);
            for batch in flight.chunks(BATCH) {
                let mut items = Vec::with_capacity(batch.len());
                for job in batch {
                    let (kind, item) = build(job)?;
                    kinds.push(kind);
                    items.push(item);
                }
                tickets.push(node.submit(items));
            }
            let mut outcomes = tickets.into_iter().flat_map(crate::node::Ticket::wait);
            out.extend(kinds.into_iter().map(|kind| (kind, outcomes.next().unwrap_or_else(closing))));
        }
        Ok(out)
    })?;
    Ok(parts.into_iter().flatten().collect())
}

/// One result a job, in their order.
fn in_parallel<T: Sync, R: Send>(
    jobs: &[T],
    work: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let parts = in_parallel_parts(jobs, |part| part.iter().map(&work).collect::<Result<Vec<R>, Error>>())?;
    Ok(parts.into_iter().flatten().collect())
}

/// One result a part, as many parts as cores, in their order.
fn in_parallel_parts<T: Sync, R: Send>(
    jobs: &[T],
    work: impl Fn(&[T]) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let size = jobs.len().div_ceil(threads).max(1);
    if jobs.len() <= 1 {
        return jobs.chunks(size).map(&work).collect();
    }
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = jobs.chunks(size).map(|part| scope.spawn(move || work(part))).collect();
        let lost = |_| Error::Unexpected { step: "thread", found: "it panicked".into() };
        running.into_iter().map(|thread| thread.join().map_err(lost)?).collect()
    })
}
