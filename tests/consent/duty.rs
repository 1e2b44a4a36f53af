//! Obligations: what starts a clock, for whom, by which row, and how it is met; and against a naive list.

use std::collections::BTreeSet;

use naru::consent::{Effect, EndedBy, Met, Obligation, Person, Touched};
use naru::model::decision::Why;
use naru::model::id::{StatementId, Timestamp};
use naru::model::pack::kcern_2018;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;

use crate::world::*;

const REAL: DataClass = DataClass::RealName;
const STARS: &str = "*";

struct Scene {
    w: World,
    kim: Person,
    notice: StatementId,
    grant: StatementId,
}

/// A grant to `bank` that names `lab`, until day 20.
fn scene() -> Scene {
    let mut w = World::home();
    let notice = w.publish();
    let mut kim = w.person("kim");
    let g = w.grant(notice, None);
    assert!(w.own(&mut kim, "kim", g).touched().is_some());
    let grant = w.last();
    Scene { w, kim, notice, grant }
}

impl Scene {
    fn own(&mut self, s: impl Into<Statement>) -> StatementId {
        let effect = self.w.own(&mut self.kim, "kim", s);
        assert!(effect.touched().is_some(), "{effect:?}");
        self.w.last()
    }

    fn say(&mut self, name: &str, s: impl Into<Statement>) -> Effect {
        self.w.by_party(&mut self.kim, name, s)
    }

    fn owed(&self) -> Vec<Obligation> {
        self.kim.obligations(&self.w.register, self.w.now)
    }

    fn met(&self, name: &str) -> Met {
        let owed = self.owed();
        owed.iter().find(|o| o.party == party(name)).unwrap().met(self.w.now)
    }

    fn day(&mut self, n: u64) {
        self.w.now = T0.plus_ms(n * DAY);
    }
}

/// What ends a grant on day 1 or later, what it starts, and within how many days it is due.
#[test]
fn each_end_of_a_grant_starts_the_clock_of_its_row_for_everybody_it_named() {
    type Act = fn(&mut Scene) -> Option<StatementId>;
    type Starts = Option<(EndedBy, u64, u64)>;
    let cases: [(&str, Act, Starts); 9] = [
        ("nothing", |_| None, None),
        ("a pause", |s| Some(s.own(pause("bank", MARKETING, REAL))), None),
        ("a dispute", |s| Some(s.own(dispute("bank", MARKETING, REAL))), None),
        (
            "a withdrawal",
            |s| Some(s.own(withdraw("bank", MARKETING, REAL))),
            Some((EndedBy::ClosingAct, 1, 10)),
        ),
        ("a refusal", |s| Some(s.own(refuse("bank", MARKETING, REAL))), Some((EndedBy::ClosingAct, 1, 10))),
        (
            "an objection",
            |s| Some(s.own(object("bank", MARKETING, REAL))),
            Some((EndedBy::ClosingAct, 1, 10)),
        ),
        ("one to all", |s| Some(s.own(object(STARS, STARS, REAL))), Some((EndedBy::ClosingAct, 1, 10))),
        ("one in another class", |s| Some(s.own(object(STARS, STARS, DataClass::Pseudonymous))), None),
        (
            "the end of its term",
            |s| {
                s.day(20);
                None
            },
            Some((EndedBy::GrantEnd, 20, 5)),
        ),
    ];
    for (name, act, starts) in cases {
        let mut s = scene();
        s.day(1);
        let act = act(&mut s);
        let owed = s.owed();
        let Some((by, since, days)) = starts else {
            assert_eq!(owed, [], "{name}");
            continue;
        };
        let parties: Vec<&str> = owed.iter().map(|o| o.party.as_str()).collect();
        assert_eq!(parties, ["bank", "lab"], "{name}");
        for o in &owed {
            assert_eq!((o.by, o.since), (by, T0.plus_ms(since * DAY)), "{name}");
            assert_eq!((o.act, o.grant), (act.unwrap_or(s.grant), s.grant), "{name}");
            let clock = o.clock.as_ref().unwrap();
            assert_eq!(
                (clock.due, clock.pack.as_str()),
                (o.since.plus_ms(days * DAY), "kcern-2018"),
                "{name}"
            );
            assert_eq!(o.left, [INCOME, AGE], "{name}");
            assert_eq!(o.met(clock.due.minus_ms(1)), Met::Waiting, "{name}");
            assert_eq!(o.met(clock.due), Met::Overdue, "{name}: at the instant");
        }
    }
}

#[test]
fn a_clock_needs_a_row_and_runs_by_the_packs_of_its_day() {
    let without = kcern_2018().replace("on = \"closing-act\"", "on = \"breach\"");
    let mut w = World::new(&[&without]);
    let notice = w.publish();
    let mut kim = w.person("kim");
    let g = w.grant(notice, None);
    w.own(&mut kim, "kim", g);
    w.own(&mut kim, "kim", withdraw("bank", MARKETING, REAL));
    let owed = kim.obligations(&w.register, w.now.plus_ms(999 * DAY));
    assert_eq!(owed.len(), 2);
    assert!(owed.iter().all(|o| o.clock.is_none() && o.met(w.now.plus_ms(999 * DAY)) == Met::Waiting));
}

#[test]
fn recipients_acknowledge_and_declare_each_for_itself() {
    let mut s = scene();
    s.day(1);
    let act = s.own(withdraw("bank", MARKETING, REAL));
    s.day(2);
    assert_eq!(s.say("lab", acknowledge("lab", act)), Effect::Applied(Touched::Core));
    let seen = |s: &Scene| s.owed().iter().map(|o| o.acknowledged).collect::<Vec<_>>();
    assert_eq!(seen(&s), [None, Some(T0.plus_ms(2 * DAY))]);
    // Again is the same.
    let before = s.kim.clone();
    s.day(3);
    assert!(s.say("lab", acknowledge("lab", act)).touched().is_some());
    assert_eq!(s.kim, before);
    // In two steps; before the second it is not met.
    let now = s.w.now;
    assert!(s.say("lab", deleted("lab", act, &[AGE], now)).touched().is_some());
    assert_eq!(s.owed()[1].left, [INCOME]);
    assert_eq!(s.met("lab"), Met::Waiting);
    assert!(s.say("lab", deleted("lab", act, &[INCOME, AGE], T0)).touched().is_some());
    assert_eq!((s.met("lab"), s.met("bank")), (Met::InTime(now), Met::Waiting));
    let said = s.owed()[1].said.iter().map(|d| d.deleted.clone().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        (said[1].on, said[1].categories.as_slice()),
        (T0, &[INCOME.to_owned()][..]),
        "only what is new"
    );
    // The bank is late: told so for ever.
    s.day(12);
    assert_eq!((s.met("lab"), s.met("bank")), (Met::InTime(now), Met::Overdue));
    let at = s.w.now;
    assert!(s.say("bank", deleted("bank", act, &[AGE, INCOME], at)).touched().is_some());
    s.day(99);
    assert_eq!(s.met("bank"), Met::Late(at));
    // Rows hold it, in the order of their encoding.
    assert_eq!(naru::ledger::cbor::encode(s.kim.core()).unwrap(), encoded(s.kim.core()));
    for (_, slot) in s.kim.slots() {
        assert_eq!(naru::ledger::cbor::encode(slot).unwrap(), encoded(slot));
    }
    let rows = s.kim.slots().map(|(k, s)| (k.clone(), s.clone()));
    let core = serde_cbor::from_slice(&serde_cbor::to_vec(s.kim.core()).unwrap()).unwrap();
    assert_eq!(Person::from_parts(s.kim.subject(), core, rows), s.kim);
}

pub(crate) fn encoded(value: &impl serde::Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

#[test]
fn a_word_of_whoever_owes_nothing_is_no_word() {
    let mut s = scene();
    s.day(1);
    let act = s.own(withdraw("bank", MARKETING, REAL));
    let (other, now) = (StatementId([9; 32]), s.w.now);
    let cases: [(&str, Statement, Why); 8] = [
        ("shop", acknowledge("shop", act).into(), Why::NotOwed),
        ("lab", acknowledge("lab", other).into(), Why::NotOwed),
        ("lab", acknowledge("lab", s.grant).into(), Why::NotOwed),
        ("shop", acknowledge("lab", act).into(), Why::KeyNotInSet),
        ("shop", deleted("shop", act, &[AGE], now).into(), Why::NotOwed),
        ("lab", deleted("lab", act, &[], now).into(), Why::Vocabulary),
        ("lab", deleted("lab", act, &["pd:Name"], now).into(), Why::Vocabulary),
        ("lab", deleted("lab", act, &[AGE], now.plus_ms(1)).into(), Why::Dates),
    ];
    let before = s.kim.clone();
    for (name, statement, why) in cases {
        assert_eq!(s.say(name, statement.clone()), inert(why), "{name}: {statement:?}");
        assert_eq!(s.kim, before);
    }
    // Nothing is owed for a grant that stands.
    let mut s = scene();
    let grant = s.grant;
    assert_eq!(s.say("lab", acknowledge("lab", grant)), inert(Why::NotOwed));
}

#[test]
fn nothing_that_follows_takes_back_what_is_owed() {
    // A term that is over: what was said of it stands after a new grant, and a withdrawal starts nothing anew.
    let mut s = scene();
    s.day(21);
    let (grant, over) = (s.grant, s.kim.slots().next().unwrap().1.last);
    assert!(s.say("lab", acknowledge("lab", grant)).touched().is_some());
    let before: Vec<Obligation> = s.owed();
    s.own(withdraw("bank", MARKETING, REAL));
    assert_eq!(s.owed(), before);
    let mut s = scene();
    s.day(21);
    assert!(s.say("lab", acknowledge("lab", grant)).touched().is_some());
    let g = s.w.grant(s.notice, over);
    s.own(g);
    assert_eq!(s.owed(), before, "the new one stands beside it");
    let act = s.own(withdraw("bank", MARKETING, REAL));
    let acts: Vec<_> = s.owed().iter().map(|o| o.act).collect();
    assert_eq!(acts, [grant, grant, act, act]);

    // An objection to all: repeated, its clock goes on; a withdrawal under it starts no later one.
    let mut s = scene();
    s.day(1);
    let all = s.own(object(STARS, STARS, REAL));
    let before = s.owed();
    s.day(5);
    s.own(object(STARS, STARS, REAL));
    let over = Some(s.w.last());
    assert_eq!(s.owed(), before);
    // Lifted, the grant holds again, and nothing is owed for it.
    let mut lifted = Scene { w: s.w.clone(), kim: s.kim.clone(), ..s };
    lifted.own(lift(STARS, STARS, REAL, over));
    assert_eq!(lifted.owed(), []);
    s.own(withdraw("bank", MARKETING, REAL));
    assert_eq!(s.owed(), before);
    assert!(before.iter().all(|o| o.act == all));
    s.own(lift(STARS, STARS, REAL, over));
    assert_eq!(s.owed(), before, "what was withdrawn stays owed");
}

/// Ends by a plain list of what happened: `(act, grant, since)`.
#[derive(Default)]
struct Naive {
    standing: Option<(StatementId, Timestamp)>,
    all: Option<(StatementId, Timestamp)>,
    ended: Vec<(StatementId, StatementId, Timestamp)>,
}

impl Naive {
    fn ends(&self, now: Timestamp) -> Option<(StatementId, StatementId, Timestamp)> {
        let (grant, end) = self.standing?;
        match self.all {
            Some((act, at)) if at <= end => Some((act, grant, at)),
            _ if end <= now => Some((grant, grant, end)),
            _ => None,
        }
    }

    fn close(&mut self, act: StatementId, now: Timestamp) {
        if let Some((grant, _)) = self.standing {
            self.ended.push(self.ends(now).unwrap_or((act, grant, now)));
        }
        self.standing = None;
    }
}

#[test]
fn obligations_are_those_of_a_naive_list_after_every_act() {
    let mut seed = 20_261_126_u64;
    let mut draw = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut kinds = BTreeSet::new();
    for round in 0..60 {
        let mut w = World::home();
        let notice = w.publish();
        let mut kim = w.person("kim");
        let (mut naive, mut exact, mut wide) = (Naive::default(), None, None);
        for step in 0..24 {
            w.now = w.now.plus_ms(draw(8) * DAY);
            let now = w.now;
            let n = draw(7);
            let s: Statement = match n {
                0 | 1 => w.grant(notice, exact).into(),
                2 => withdraw("bank", MARKETING, REAL).into(),
                3 => object("bank", MARKETING, REAL).into(),
                4 => lift("bank", MARKETING, REAL, exact).into(),
                5 => object("bank", STARS, REAL).into(),
                _ => lift("bank", STARS, REAL, wide).into(),
            };
            let before = naive.ends(now);
            if w.own(&mut kim, "kim", s).touched().is_some() {
                let id = w.last();
                match n {
                    0 | 1 => {
                        // What it replaces has not ended, unless its term had.
                        naive.ended.extend(before);
                        naive.standing = Some((id, now.plus_ms(20 * DAY)));
                        exact = Some(id);
                    }
                    2 | 3 => {
                        naive.close(id, now);
                        exact = Some(id);
                    }
                    4 => exact = Some(id),
                    5 => {
                        naive.all.get_or_insert((id, now));
                        wide = Some(id);
                    }
                    _ => {
                        naive.all = None;
                        wide = Some(id);
                    }
                }
            }
            let expected: Vec<_> = naive.ended.iter().copied().chain(naive.ends(now)).collect();
            let owed = kim.obligations(&w.register, now);
            let found: Vec<_> =
                owed.iter().filter(|o| o.party == party("lab")).map(|o| (o.act, o.grant, o.since)).collect();
            assert_eq!(found, expected, "round {round}, step {step}");
            kinds.extend(owed.iter().map(|o| o.by));
        }
    }
    assert_eq!(kinds.len(), 2, "both kinds of ends were seen");
}
