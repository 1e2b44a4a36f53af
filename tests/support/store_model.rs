//! Random operations against a naive model, from a fixed seed.

use std::collections::BTreeMap;

use naru::model::id::StatementId;
use naru::store::{
    Append, Batch, Body, Commit, Epoch, Error, Head, Integrate, Located, Name, NameRow, PersonRows, Row,
    Store,
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::ground::{Ground, Unsynced, batch_id, bytes, id, integrated, lead, projected, sequenced, subject};

const OPERATIONS: usize = 1_000;
const PEOPLE: u8 = 5;

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<(u8, u16, Option<u8>)>),
    Forget(u8, Vec<u8>),
    Integrate { from_stored: bool, back: u64 },
    Lead,
    Project { back: u64, rows: Vec<(u8, u8, u64)> },
    Put { name: u8, value: u8, synced: bool },
    Read { from: u64, len: u64 },
    Reopen,
    Settle { back: u64 },
    Stale,
}

fn operation() -> impl Strategy<Value = Op> {
    let entry = (0..PEOPLE, 0..600u16, proptest::option::of(0..20u8));
    let row = (0..PEOPLE, 0..4u8, 0..12u64);
    prop_oneof![
        8 => vec(entry, 1..6).prop_map(Op::Append),
        1 => (0..PEOPLE, vec(0..20u8, 0..3)).prop_map(|(who, names)| Op::Forget(who, names)),
        2 => (any::<bool>(), 0..4u64).prop_map(|(from_stored, back)| Op::Integrate { from_stored, back }),
        1 => Just(Op::Lead),
        8 => (0..4u64, vec(row, 0..6)).prop_map(|(back, rows)| Op::Project { back, rows }),
        3 => (0..6u8, 0..2u8, any::<bool>()).prop_map(|(name, value, synced)| Op::Put { name, value, synced }),
        4 => (0..400u64, 0..40u64).prop_map(|(from, len)| Op::Read { from, len }),
        1 => Just(Op::Reopen),
        1 => (0..6u64).prop_map(|back| Op::Settle { back }),
        1 => Just(Op::Stale),
    ]
}

#[derive(Clone, Default)]
struct Model {
    commits: Vec<(naru::store::BatchId, Commit)>,
    next: u64,
    names: BTreeMap<Name, Located>,
    bodies: BTreeMap<(u8, StatementId), Vec<u8>>,
    state: BTreeMap<(u8, Vec<u8>), (u64, Vec<u8>)>,
    register: Option<(u64, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    head: Option<(Head, Vec<u8>)>,
    projected: u64,
}

struct Run<'a> {
    ground: &'a Ground,
    store: Option<Box<dyn Store>>,
    epoch: Epoch,
    stale: Epoch,
    live: Model,
    /// What a process's end leaves where un-synced writes are lost.
    durable: Model,
    drawn: u64,
}

/// Runs the operations on ground and model side by side.
pub(crate) fn agree(ground: &Ground) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[42; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let operations = vec(operation(), OPERATIONS).new_tree(&mut runner).unwrap().current();
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    let mut run = Run {
        ground,
        store: Some(store),
        epoch,
        stale: Epoch(0),
        live: Model::default(),
        durable: Model::default(),
        drawn: 0,
    };
    for (step, op) in operations.iter().enumerate() {
        run.step(op);
        if step % 50 == 0 {
            run.compare_all();
        }
    }
    run.compare_all();
}

fn name(n: u8) -> Name {
    match n % 4 {
        0 => Name::Ppid([n; 16]),
        1 => Name::Key([n; 32]),
        2 => Name::Link([n; 32]),
        _ => Name::Statement([n; 32]),
    }
}

impl Run<'_> {
    fn store(&self) -> &dyn Store {
        &**self.store.as_ref().unwrap()
    }

    fn both(&mut self, change: impl Fn(&mut Model)) {
        change(&mut self.live);
        change(&mut self.durable);
    }

    fn head(&self) -> Head {
        self.live.head.as_ref().map_or(Head::EMPTY, |h| h.0)
    }

    fn step(&mut self, op: &Op) {
        self.drawn += 1;
        match op {
            Op::Append(entries) => self.append(entries),
            Op::Forget(who, names) => {
                let names: Vec<_> = names.iter().map(|n| name(*n)).collect();
                projected(self.store().forget(self.epoch, &subject(*who), &names));
                self.live.bodies.retain(|(whose, _), _| whose != who);
                self.live.state.retain(|(whose, _), _| whose != who);
                self.live.names.retain(|name, _| !names.contains(name));
            }
            Op::Integrate { from_stored, back } => self.integrate(*from_stored, *back),
            Op::Lead => self.lead(),
            Op::Project { back, rows } => self.project(*back, rows),
            Op::Put { name, value, synced } => self.put(*name, *value, *synced),
            Op::Read { from, len } => self.read(*from, *len),
            Op::Reopen => {
                self.store = None;
                self.store = Some(self.ground.open());
                if self.ground.unsynced == Unsynced::Lost {
                    self.live = self.durable.clone();
                }
                self.lead();
            }
            Op::Settle { back } => {
                let known = self.live.commits.iter().rev().nth(usize::try_from(*back).unwrap());
                match known {
                    Some((id, commit)) => {
                        assert_eq!(sequenced(self.store().settle(self.epoch, *id)), commit.first);
                    }
                    None => {
                        let never = batch_id(u64::MAX);
                        assert!(matches!(self.store().settle(self.epoch, never), Append::Absent));
                    }
                }
            }
            Op::Stale => {
                let batch = self.batch(&[(0, 10, Some(0))]);
                assert!(matches!(self.store().append(self.stale, &batch), Append::Fenced));
            }
        }
    }

    fn lead(&mut self) {
        let (epoch, found) = lead(self.store());
        assert!(epoch > self.epoch);
        (self.stale, self.epoch) = (self.epoch, epoch);
        let note = self.live.head.as_ref().map_or(Vec::new(), |h| h.1.clone());
        let at = self.live.commits.last().map_or(0, |(_, commit)| commit.at);
        assert_eq!((found.next, found.at, found.projected), (self.live.next, at, self.live.projected));
        assert_eq!((found.integrated, found.note), (self.head(), note));
    }

    fn batch(&self, entries: &[(u8, u16, Option<u8>)]) -> Batch {
        let at = |i: usize| self.drawn * 100 + u64::try_from(i).unwrap();
        Batch {
            id: batch_id(self.drawn),
            at: self.drawn,
            entries: entries.iter().map(|e| bytes("entry", self.drawn, e.1.into())).collect(),
            ids: (0..entries.len()).map(|i| id(at(i))).collect(),
            names: entries
                .iter()
                .enumerate()
                .filter_map(|(i, e)| e.2.map(|n| (i, n)))
                .map(|(i, n)| NameRow {
                    name: name(n),
                    sealed: bytes("name", at(i), 30),
                    entry: (n % 4 > 0).then(|| u32::try_from(i).unwrap()),
                })
                .collect(),
            bodies: entries
                .iter()
                .enumerate()
                .map(|(i, e)| Body {
                    subject: subject(e.0),
                    id: id(at(i)),
                    sealed: bytes("body", at(i), 900),
                })
                .collect(),
        }
    }

    fn append(&mut self, entries: &[(u8, u16, Option<u8>)]) {
        let batch = self.batch(entries);
        let first = sequenced(self.store().append(self.epoch, &batch));
        assert_eq!(first, self.live.next);
        self.both(|model| {
            let commit =
                Commit { first, at: batch.at, entries: batch.entries.clone(), ids: batch.ids.clone() };
            model.commits.push((batch.id, commit));
            model.next += u64::try_from(batch.entries.len()).unwrap();
            for row in &batch.names {
                let index = row.entry.map(|e| first + u64::from(e));
                model.names.insert(row.name, Located { sealed: row.sealed.clone(), index });
            }
            for (body, entry) in batch.bodies.iter().zip(entries) {
                model.bodies.insert((entry.0, body.id), body.sealed.clone());
            }
        });
    }

    fn integrate(&mut self, from_stored: bool, back: u64) {
        let stored = self.head();
        let new = Head {
            size: stored.size.max(self.live.next.saturating_sub(back)),
            root: [back.to_be_bytes()[7]; 32],
        };
        let note = bytes("note", self.drawn, 200);
        if from_stored {
            integrated(self.store().integrate(self.epoch, &stored, &new, &note));
            self.both(|model| model.head = Some((new, note.clone())));
        } else {
            let wrong = Head { size: stored.size, root: [0xee; 32] };
            let answer = self.store().integrate(self.epoch, &wrong, &new, &note);
            assert!(matches!(answer, Integrate::Conflict(found) if found == stored), "{answer:?}");
        }
    }

    fn project(&mut self, back: u64, rows: &[(u8, u8, u64)]) {
        let upto = self.live.next.saturating_sub(back);
        let rows: Vec<_> = rows
            .iter()
            .map(|(who, part, below)| {
                let index = self.live.next.saturating_sub(*below);
                let sealed = bytes("row", self.drawn + below, 50);
                match part {
                    0 => Row::Register { index, bytes: sealed },
                    1 => Row::Name { name: name(*who * 3), sealed, index: (below % 2 == 0).then_some(index) },
                    part => Row::Person { subject: subject(*who), part: vec![*part], index, sealed },
                }
            })
            .collect();
        projected(self.store().project(self.epoch, upto, &rows));
        let model = &mut self.live;
        model.projected = model.projected.max(upto);
        for row in rows {
            match row {
                Row::Register { index, bytes } => {
                    if model.register.as_ref().is_none_or(|old| old.0 <= index) {
                        model.register = Some((index, bytes));
                    }
                }
                Row::Name { name, sealed, index } => {
                    if model.names.get(&name).is_none_or(|old| old.index <= index) {
                        model.names.insert(name, Located { sealed, index });
                    }
                }
                Row::Person { subject, part, index, sealed } => {
                    let key = (subject.0[0], part);
                    if model.state.get(&key).is_none_or(|old| old.0 <= index) {
                        model.state.insert(key, (index, sealed));
                    }
                }
            }
        }
    }

    fn put(&mut self, name: u8, value: u8, synced: bool) {
        let (name, value) = (format!("blob/{name}"), vec![value; 3_000]);
        let answer = self.store().put(&name, &value, synced);
        if self.live.blobs.get(&name).is_some_and(|old| *old != value) {
            assert!(matches!(answer, Err(Error::Exists { .. })));
            return;
        }
        answer.unwrap();
        self.live.blobs.insert(name.clone(), value.clone());
        if synced {
            self.durable.blobs.insert(name, value);
        }
    }

    fn read(&self, from: u64, len: u64) {
        let holds = |c: &&Commit| {
            len > 0 && c.first < from + len && c.first + u64::try_from(c.entries.len()).unwrap() > from
        };
        let want: Vec<_> = self.live.commits.iter().map(|(_, c)| c).filter(holds).cloned().collect();
        assert_eq!(self.store().commits(from..from + len).unwrap(), want);
    }

    fn compare_all(&self) {
        let (store, model) = (self.store(), &self.live);
        self.read(0, u64::MAX);
        assert_eq!(store.register().unwrap(), model.register);
        for n in 0..20 {
            assert_eq!(store.locate(&name(n)).unwrap(), model.names.get(&name(n)).cloned(), "{:?}", name(n));
        }
        for n in 0..6 {
            let name = format!("blob/{n}");
            assert_eq!(store.get(&name).unwrap(), model.blobs.get(&name).cloned(), "{name}");
        }
        let ids: Vec<_> = model.commits.iter().flat_map(|(_, c)| c.ids.clone()).collect();
        for who in 0..PEOPLE {
            let state = model.state.iter().filter(|((whose, _), _)| *whose == who);
            let rows =
                state.map(|((_, part), (index, sealed))| (part.clone(), *index, sealed.clone())).collect();
            assert_eq!(store.rows(&subject(who)).unwrap(), PersonRows { rows, upto: model.projected });
            let bodies: Vec<_> = ids.iter().map(|id| model.bodies.get(&(who, *id)).cloned()).collect();
            assert_eq!(store.bodies(&subject(who), &ids).unwrap(), bodies);
        }
    }
}
