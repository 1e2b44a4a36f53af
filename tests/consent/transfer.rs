//! Transfer demands: the steps, who is believed, what is never undone, and a naive second machine.

use std::collections::BTreeMap;

use naru::consent::{Actor, Effect, Person, RunState, Touched, TransferStanding};
use naru::model::decision::Why;
use naru::model::id::StatementId;
use naru::model::pack::kcern_2018;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;

use crate::register::{retire, suspend};
use crate::world::*;

const REAL: DataClass = DataClass::RealName;
const APPLIED: Effect = Effect::Applied(Touched::Core);

#[derive(Clone)]
struct Scene {
    w: World,
    kim: Person,
    demand: StatementId,
}

impl Scene {
    fn new() -> Self {
        let w = World::new(&[kcern_2018()]);
        Self::with(w, |_| {})
    }

    fn with(mut w: World, change: impl FnOnce(&mut TransferDemand)) -> Self {
        let mut kim = w.person("kim");
        let mut s = demand("bank", "lab", w.now);
        change(&mut s);
        assert_eq!(w.own(&mut kim, "kim", s), APPLIED);
        let demand = w.last();
        Self { w, kim, demand }
    }

    fn weekly() -> Self {
        Self::with(World::new(&[kcern_2018()]), |s| {
            s.scheduled = true;
            s.fund_cycle = Some("1/w".into());
            s.end = s.iat.plus_ms(100 * DAY);
            s.keep_until = s.end;
        })
    }

    fn own(&mut self, s: impl Into<Statement>) -> Effect {
        self.w.own(&mut self.kim, "kim", s)
    }

    fn bank(&mut self, run: u64, items: u64) -> Effect {
        self.w.by_party(&mut self.kim, "bank", deliver("bank", self.demand, run, items))
    }

    fn lab(&mut self, run: u64, received: u64, announced: u64) -> Effect {
        self.w.by_party(&mut self.kim, "lab", confirm("lab", self.demand, run, received, announced))
    }

    fn fails(&mut self, by: &str, run: u64) -> Effect {
        self.w.by_party(&mut self.kim, by, fail(by, self.demand, run, FailCode::ReceiverRefused))
    }

    fn run(&self, run: u64) -> Option<RunState> {
        self.kim.transfer(&self.demand).unwrap().run(run).map(|run| run.state())
    }

    fn stands(&self) -> TransferStanding {
        let transfer = self.kim.transfer(&self.demand).unwrap();
        self.kim.transfer_stands(transfer, self.w.now)
    }
}

#[test]
fn a_demand_is_delivered_and_confirmed() {
    let mut s = Scene::new();
    assert_eq!((s.run(0), s.stands()), (None, TransferStanding::Live));
    // Nothing is confirmed before it is delivered.
    assert_eq!(s.lab(0, 3, 3), inert(Why::State));
    assert_eq!(s.bank(0, 3), APPLIED);
    assert_eq!(s.run(0), Some(RunState::Delivered));
    assert_eq!(s.lab(0, 4, 4), inert(Why::MoreThanDelivered));
    assert_eq!(s.lab(0, 3, 2), inert(Why::MoreThanDelivered));
    assert_eq!(s.lab(0, 2, 2), inert(Why::Count));
    assert_eq!(s.lab(0, 2, 3), APPLIED);
    assert_eq!(s.run(0), Some(RunState::Partial));
    // The rest may follow; what has arrived has arrived.
    assert_eq!(s.lab(0, 1, 3), inert(Why::State));
    assert_eq!(s.lab(0, 3, 3), APPLIED);
    assert_eq!((s.run(0), s.stands()), (Some(RunState::Completed), TransferStanding::Done));
    assert_eq!(s.fails("bank", 0), inert(Why::State));
    assert_eq!(s.bank(1, 3), inert(Why::State), "once is once");
}

#[test]
fn a_step_said_again_changes_nothing() {
    let mut s = Scene::new();
    let same = |s: &Scene, before: &Person| {
        let (now, old) = (s.kim.transfer(&s.demand).unwrap(), before.transfer(&s.demand).unwrap());
        assert_eq!(now.runs, old.runs);
        assert_eq!(now.last, s.w.last(), "it counts for `over`");
    };
    s.bank(0, 3);
    let before = s.kim.clone();
    assert_eq!(s.bank(0, 3), APPLIED);
    same(&s, &before);
    assert_eq!(s.bank(0, 4), inert(Why::State));
    let mut other = deliver("bank", s.demand, 0, 3);
    other.hash = hash("something else");
    assert_eq!(s.w.by_party(&mut s.kim, "bank", other), inert(Why::State));
    s.lab(0, 3, 3);
    let before = s.kim.clone();
    assert_eq!(s.lab(0, 3, 3), APPLIED);
    same(&s, &before);
    assert_eq!(s.own(stop(s.demand)), APPLIED);
    assert_eq!(s.own(stop(s.demand)), APPLIED);
    assert_eq!(s.stands(), TransferStanding::Stopped);
}

#[test]
fn a_stop_holds_whenever_it_comes() {
    let mut s = Scene::weekly();
    assert_eq!(s.bank(0, 2), APPLIED);
    assert_eq!(s.own(stop(s.demand)), APPLIED);
    // What was delivered may still be confirmed; nothing more is delivered.
    assert_eq!(s.lab(0, 2, 2), APPLIED);
    s.w.now = s.w.now.plus_ms(8 * DAY);
    assert_eq!(s.bank(1, 2), inert(Why::State));
    assert_eq!(s.stands(), TransferStanding::Stopped);

    // A stop that overtakes its demand: the demand never opens.
    let mut w = World::new(&[kcern_2018()]);
    let mut kim = w.person("kim");
    let late = demand("bank", "lab", w.now);
    let mut id = [0; 32];
    id[..8].copy_from_slice(&(w.index + 2).to_be_bytes());
    assert_eq!(w.own(&mut kim, "kim", stop(StatementId(id))), APPLIED);
    assert_eq!(w.own(&mut kim, "kim", late.clone()), inert(Why::State));
    assert_eq!(w.own(&mut kim, "kim", late), APPLIED, "another demand is another");
}

#[test]
fn what_she_closes_later_bars_a_demand() {
    let closing: [(&str, Statement); 5] = [
        ("withdraw at the receiver", withdraw("lab", MARKETING, REAL).into()),
        ("withdraw at the sender", withdraw("bank", MARKETING, REAL).into()),
        ("refuse", refuse("lab", MARKETING, REAL).into()),
        ("object", object("lab", MARKETING, REAL).into()),
        ("object to all", object("*", "*", REAL).into()),
    ];
    for (what, close) in closing {
        let mut s = Scene::weekly();
        assert_eq!(s.bank(0, 1), APPLIED);
        s.own(close);
        assert_eq!(s.stands(), TransferStanding::Barred, "{what}");
        s.w.now = s.w.now.plus_ms(8 * DAY);
        assert_eq!(s.bank(1, 1), inert(Why::State), "{what}");
    }
    // Another purpose or class is not the same; an older withdrawal was before her demand.
    let mut s = Scene::weekly();
    s.own(withdraw("lab", RESEARCH, REAL));
    s.own(withdraw("lab", MARKETING, DataClass::Pseudonymous));
    assert_eq!(s.stands(), TransferStanding::Live);
    let mut w = World::new(&[kcern_2018()]);
    let mut kim = w.person("kim");
    w.own(&mut kim, "kim", withdraw("lab", MARKETING, REAL));
    let s = demand("bank", "lab", w.now);
    assert_eq!(w.own(&mut kim, "kim", s), APPLIED);
    let only = &kim.transfers()[0];
    assert_eq!(kim.transfer_stands(only, w.now), TransferStanding::Live);
    // While an objection covers it, there is no new demand.
    w.own(&mut kim, "kim", object("lab", "*", REAL));
    let s = demand("bank", "lab", w.now);
    assert_eq!(w.own(&mut kim, "kim", s), inert(Why::Objected));
    // And of whoever wants to be forgotten nothing is carried.
    let mut s = Scene::weekly();
    s.own(ErasureDemand { v: V1, kind: Kind::ErasureDemand, iat: T0, nonce: NONCE, ppid: ppid() });
    assert_eq!(s.stands(), TransferStanding::Stopped);
    assert_eq!(s.bank(0, 1), inert(Why::NotThisSubject));
}

#[test]
fn a_run_has_its_time() {
    let mut s = Scene::weekly();
    assert_eq!(s.bank(1, 2), inert(Why::TooSoon));
    assert_eq!(s.fails("lab", 1), inert(Why::TooSoon));
    assert_eq!(s.bank(0, 2), APPLIED);
    s.w.now = s.w.now.plus_ms(22 * DAY);
    // What was missed is not carried after what came later.
    assert_eq!(s.bank(3, 2), APPLIED);
    assert_eq!(s.bank(2, 2), inert(Why::State));
    assert_eq!(s.run(2), None);
    s.w.now = s.w.now.plus_ms(78 * DAY);
    assert_eq!(s.stands(), TransferStanding::Expired);
    assert_eq!(s.bank(14, 2), inert(Why::State), "at its end no longer");
    assert_eq!(s.lab(3, 2, 2), APPLIED, "what was delivered in time may be confirmed later");
}

#[test]
fn a_failure_is_the_word_of_either_and_a_confirmation_and_it_never_stand_together() {
    for by in ["bank", "lab"] {
        let mut s = Scene::weekly();
        assert_eq!(s.fails(by, 0), APPLIED);
        assert_eq!(s.run(0), Some(RunState::Failed));
        assert_eq!(s.fails(by, 0), APPLIED);
        assert_eq!(s.bank(0, 2), inert(Why::State), "a run that failed is over");
        s.w.now = s.w.now.plus_ms(8 * DAY);
        assert_eq!(s.bank(1, 2), APPLIED);
        assert_eq!(s.fails(by, 1), APPLIED);
        assert_eq!(s.run(1), Some(RunState::Failed));
        let before = s.kim.clone();
        for received in 0..=2 {
            assert_eq!(s.lab(1, received, 2), inert(Why::State), "a run that failed is never completed");
        }
        assert!(s.kim == before && s.run(1) == Some(RunState::Failed));
        // What did not come then comes with another run.
        s.w.now = s.w.now.plus_ms(7 * DAY);
        assert_eq!((s.bank(2, 2), s.lab(2, 2, 2)), (APPLIED, APPLIED));
        assert_eq!(s.run(2), Some(RunState::Completed));
        assert_eq!(s.fails(by, 2), inert(Why::State), "what was confirmed stands");
    }
    // Of once there is no other run: it needs another demand.
    let mut s = Scene::new();
    assert_eq!((s.bank(0, 1), s.fails("bank", 0), s.lab(0, 1, 1)), (APPLIED, APPLIED, inert(Why::State)));
    assert_eq!(s.stands(), TransferStanding::Done);
    let mut s = Scene::new();
    assert_eq!(s.fails("shop", 0), inert(Why::State), "of a demand between others");
    assert_eq!(s.w.by_party(&mut s.kim, "lab", deliver("lab", s.demand, 0, 1)), inert(Why::Role));
    s.bank(0, 1);
    assert_eq!(s.w.by_party(&mut s.kim, "bank", confirm("bank", s.demand, 0, 1, 1)), inert(Why::Role));
}

#[test]
fn a_demand_says_what_it_must() {
    type Change = fn(&mut TransferDemand);
    let wrong: [(&str, Why, Change); 18] = [
        ("no items", Why::Vocabulary, |s| s.targets.clear()),
        ("an item twice", Why::Vocabulary, |s| s.targets.push(s.targets[0].clone())),
        ("too many items", Why::Vocabulary, |s| {
            s.targets = (0..33).map(|n| Target { scope: format!("bank.x{n}"), assets: vec![] }).collect();
        }),
        ("a scope that is none", Why::Vocabulary, |s| s.targets[0].scope = "Bank/../x".into()),
        ("an asset that is none", Why::Vocabulary, |s| s.targets[0].assets = vec!["a b".into()]),
        ("an unknown purpose", Why::Vocabulary, |s| s.purpose = "dpv:Nothing".into()),
        ("a cycle and not scheduled", Why::Vocabulary, |s| s.fund_cycle = Some("1/w".into())),
        ("scheduled without cycle", Why::Vocabulary, |s| s.scheduled = true),
        ("a cycle that is none", Why::Vocabulary, |s| {
            s.scheduled = true;
            s.add_cycle = Some("1/h".into());
        }),
        ("an end that has passed", Why::Dates, |s| s.end = s.iat),
        ("kept shorter than fetched", Why::Dates, |s| s.keep_until = s.end.minus_ms(1)),
        ("to itself", Why::Role, |s| s.recipient = s.sender.clone()),
        ("nobody sends", Why::PartyUnknown, |s| s.sender = party("ghost")),
        ("nobody receives", Why::PartyUnknown, |s| s.recipient = party("ghost")),
        ("a sender that is none", Why::Role, |s| s.sender = party("idp")),
        ("a receiver that is none", Why::Role, |s| s.recipient = party("cloud")),
        ("over nothing", Why::Superseded, |s| s.over = Some(StatementId([9; 32]))),
        ("suspended", Why::PartySuspended, |s| s.recipient = party("shop")),
    ];
    let mut w = World::new(&[kcern_2018()]);
    let kim = w.person("kim");
    let out = suspend("shop", None);
    w.public("kisa", &[], out);
    for (what, why, change) in wrong {
        let mut s = demand("bank", "lab", w.now);
        change(&mut s);
        let mut her = kim.clone();
        assert_eq!(w.own(&mut her, "kim", s), inert(why), "{what}");
        assert_eq!(her, kim, "{what}");
    }
}

#[test]
fn a_demand_replaces_the_one_it_was_signed_over() {
    let mut s = Scene::new();
    let first = s.demand;
    let mut next = demand("bank", "lab", s.w.now);
    next.over = Some(first);
    assert_eq!(s.own(next.clone()), APPLIED);
    let second = s.w.last();
    assert_eq!(s.stands(), TransferStanding::Stopped, "the first is over");
    s.demand = second;
    assert_eq!(s.stands(), TransferStanding::Live);
    // Signed over what has moved on since.
    assert_eq!(s.own(next), inert(Why::Superseded));
    s.bank(0, 1);
    let mut stale = demand("bank", "lab", s.w.now);
    stale.over = Some(second);
    assert_eq!(s.own(stale), inert(Why::Superseded));
}

#[test]
fn a_row_stays_small_whatever_is_sent() {
    let mut s = Scene::weekly();
    for run in 0..20 {
        let before_its_end = s.stands() == TransferStanding::Live;
        assert_eq!(s.bank(run, 1) == APPLIED, before_its_end, "{run}");
        s.w.now = s.w.now.plus_ms(7 * DAY);
    }
    assert!(s.kim.transfers()[0].runs.len() <= 8);
    let mut w = World::new(&[kcern_2018()]);
    let mut kim = w.person("kim");
    let mut live = 0;
    for _ in 0..40 {
        let x = demand("bank", "lab", w.now);
        live += u32::from(w.own(&mut kim, "kim", x) == APPLIED);
    }
    assert_eq!(live, 32);
    for _ in 0..100 {
        let oldest = kim.transfers().iter().find(|t| t.ended.is_none()).unwrap().demand;
        assert_eq!(w.own(&mut kim, "kim", stop(oldest)), APPLIED);
        let x = demand("bank", "lab", w.now);
        assert_eq!(w.own(&mut kim, "kim", x), APPLIED);
    }
    assert_eq!(kim.transfers().len(), 64);
    assert_eq!(kim.transfers().iter().filter(|t| t.ended.is_none()).count(), 32);
}

#[test]
fn suspended_parties_take_no_step_and_a_stop_needs_no_notice() {
    let mut s = Scene::weekly();
    let notice = s.w.publish();
    s.w.public("bank", &[], retire(notice));
    let out = suspend("bank", None);
    s.w.public("kisa", &[], out);
    assert_eq!(s.bank(0, 1), inert(Why::PartySuspended));
    assert_eq!(s.own(stop(s.demand)), APPLIED);
}

#[test]
fn a_delegate_bound_to_other_controllers_neither_demands_nor_stops() {
    let mut s = Scene::new();
    let helper = s.w.person("helper");
    let mut bound =
        delegation("helper", "helper", &[Kind::TransferDemand, Kind::TransferStop], s.w.now.plus_ms(DAY));
    bound.controllers = vec![party("shop")];
    s.own(bound);
    let by = Some(s.w.last());
    let mut ask = demand("bank", "lab", s.w.now);
    ask.by = by;
    assert_eq!(s.w.act(&mut s.kim, &Actor::Delegate(&helper), "helper", ask), inert(Why::DelegationScope));
    let mut end = stop(s.demand);
    end.by = by;
    assert_eq!(s.w.act(&mut s.kim, &Actor::Delegate(&helper), "helper", end), inert(Why::DelegationScope));
    let mut ask = demand("shop", "lab", s.w.now);
    ask.by = by;
    assert_eq!(s.w.act(&mut s.kim, &Actor::Delegate(&helper), "helper", ask), APPLIED);
}

/// A run as a table: what is known of it, and what a step does. Shares nothing with the fold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Naive {
    items: Option<u64>,
    received: Option<u64>,
    failed: bool,
}

impl Naive {
    fn deliver(&mut self, items: u64, live: bool) -> bool {
        match self.items {
            Some(known) => known == items,
            None if self.failed || !live => false,
            None => {
                self.items = Some(items);
                true
            }
        }
    }

    fn confirm(&mut self, n: u64, m: u64) -> bool {
        let is_open = !self.failed && self.received.is_none_or(|before| n >= before);
        let fits = self.items == Some(m) && n <= m && is_open;
        if fits {
            self.received = Some(n);
        }
        fits
    }

    fn fail(&mut self) -> bool {
        let fits = self.received.is_none();
        self.failed |= fits;
        fits
    }

    fn state(&self) -> Option<RunState> {
        Some(match (self.items, self.received) {
            (Some(m), Some(n)) if n == m => RunState::Completed,
            (Some(_), Some(_)) => RunState::Partial,
            _ if self.failed => RunState::Failed,
            (Some(_), None) => RunState::Delivered,
            (None, _) => return None,
        })
    }
}

#[test]
fn every_short_story_agrees_with_the_naive_machine() {
    // Each digit is a step; all stories of four steps.
    let steps = 9_u32;
    let fresh = Scene::new();
    for story in 0..steps.pow(4) {
        let mut s = fresh.clone();
        let mut naive: BTreeMap<u64, Naive> = BTreeMap::new();
        let (mut rest, mut stopped) = (story, false);
        for _ in 0..4 {
            let step = rest % steps;
            rest /= steps;
            let run = naive.entry(0).or_default();
            let over = run.state().is_some_and(|state| state != RunState::Delivered);
            let (effect, expected) = match step {
                0 => (s.bank(0, 2), run.deliver(2, !stopped && !over)),
                1 => (s.bank(0, 1), run.deliver(1, !stopped && !over)),
                2 => (s.lab(0, 0, 2), run.confirm(0, 2)),
                3 => (s.lab(0, 1, 2), run.confirm(1, 2)),
                4 => (s.lab(0, 2, 2), run.confirm(2, 2)),
                5 => (s.lab(0, 1, 1), run.confirm(1, 1)),
                6 => (s.fails("bank", 0), run.fail()),
                7 => (s.fails("lab", 0), run.fail()),
                _ => {
                    stopped = true;
                    (s.own(stop(s.demand)), true)
                }
            };
            assert_eq!(effect.touched().is_some(), expected, "story {story}, step {step}: {effect:?}");
            assert_eq!(s.run(0), naive[&0].state(), "story {story}, step {step}");
        }
    }
}
