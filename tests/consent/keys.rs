//! Key sets: rule by rule, and random histories beside a naive implementation that scans them.

use naru::consent::{Actor, Effect, Person, REBIND_MARK_MS, REBIND_WAIT_MS, State, Touched, decide_here};
use naru::model::decision::{Reason, Why};
use naru::model::id::{StatementId, Timestamp};
use naru::model::statement::*;
use naru::model::vocabulary::{Action, DataClass};
use proptest::prelude::*;

use crate::world::*;

const REAL: DataClass = DataClass::RealName;

fn add(name: &str, over: Option<StatementId>) -> KeyAdd {
    KeyAdd {
        v: V1,
        kind: Kind::KeyAdd,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        over,
        key: key(name),
        key_use: KeyUse::Passkey,
    }
}

fn revoke(name: &str) -> KeyRevoke {
    KeyRevoke { v: V1, kind: Kind::KeyRevoke, iat: T0, nonce: NONCE, ppid: ppid(), key: key(name) }
}

fn rotate(old: &str, new: &str, over: Option<StatementId>) -> KeyRotate {
    KeyRotate {
        v: V1,
        kind: Kind::KeyRotate,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        over,
        old: key(old),
        new: key(new),
    }
}

fn recover(new: &str) -> KeyRecover {
    KeyRecover { v: V1, kind: Kind::KeyRecover, iat: T0, nonce: NONCE, ppid: ppid(), new: key(new) }
}

fn rebind(new: &str) -> KeyRebind {
    KeyRebind {
        v: V1,
        kind: Kind::KeyRebind,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        new: key(new),
        method: "desk".into(),
    }
}

/// `ann` with the device key of her name and a recovery key `paper`.
fn ann() -> (World, Person) {
    let mut w = World::home();
    let ann = w.person_with("ann", Some("paper"));
    (w, ann)
}

fn core() -> Effect {
    Effect::Applied(Touched::Core)
}

impl World {
    /// By her, endorsed by one.
    fn keyed(&mut self, ann: &mut Person, signer: &str, by: &str, s: impl Into<Statement>) -> Effect {
        self.act_with(ann, &Actor::Own, signer, &[by], s)
    }

    fn rebinds(&mut self, ann: &mut Person, new: &str) -> Effect {
        self.act_with(ann, &Actor::Party(party("idp")), "idp", &["operator"], rebind(new))
    }

    /// Whether a key signs for her now.
    fn signs(&mut self, ann: &Person, name: &str) -> Effect {
        self.own(&mut ann.clone(), name, withdraw("bank", MARKETING, REAL))
    }
}

fn signs(effect: &Effect) -> bool {
    effect.touched().is_some()
}

#[test]
fn an_added_key_signs_from_its_own_place_on_and_says_itself_that_it_comes() {
    let (mut w, mut ann) = ann();
    let over = ann.keys_over();
    assert_eq!(w.signs(&ann, "phone"), inert(Why::KeyNotInSet));
    // Not by itself, not endorsed, endorsed by another, endorsed too late in the order.
    assert_eq!(w.keyed(&mut ann, "phone", "phone", add("phone", over)), inert(Why::KeyNotInSet));
    assert_eq!(w.own(&mut ann, "ann", add("phone", over)), inert(Why::Endorsement));
    assert_eq!(w.keyed(&mut ann, "ann", "ann", add("phone", over)), inert(Why::Endorsement));
    let late = w.act_with(&mut ann, &Actor::Own, "ann", &["x", "phone"], add("phone", over));
    assert_eq!(late, inert(Why::Endorsement));
    assert_eq!(w.keyed(&mut ann, "ann", "phone", add("phone", None)), inert(Why::Superseded));
    assert_eq!(w.keyed(&mut ann, "ann", "phone", add("phone", over)), core());
    assert!(signs(&w.signs(&ann, "phone")));
    // The same seen state, twice: the second would not know of the first.
    assert_eq!(w.keyed(&mut ann, "ann", "pad", add("pad", over)), inert(Why::Superseded));
    let over = ann.keys_over();
    for taken in ["ann", "phone", "paper", "bank", "operator", "log"] {
        assert_eq!(w.keyed(&mut ann, "ann", taken, add(taken, over)), inert(Why::KeyTaken), "{taken}");
    }
    assert_eq!(w.keyed(&mut ann, "phone", "pad", add("pad", over)), core(), "the new one adds, too");
}

#[test]
fn a_revoked_key_signs_nothing_more_and_never_comes_back() {
    let (mut w, mut ann) = ann();
    let over = ann.keys_over();
    w.keyed(&mut ann, "ann", "phone", add("phone", over));
    let notice = w.publish();
    let g = w.grant(notice, None);
    assert!(signs(&w.own(&mut ann, "phone", g)));
    assert_eq!(w.own(&mut ann, "ann", revoke("phone")), core());
    assert_eq!(w.signs(&ann, "phone"), inert(Why::KeyRevoked));
    // What it signed before stands: validity is judged at the index.
    assert_eq!(ann.slot(&slot_key()).unwrap().state, State::Granted);
    let over = ann.keys_over();
    assert_eq!(w.keyed(&mut ann, "ann", "phone", add("phone", over)), inert(Why::KeyTaken));
    // A repeat counts; a key of nobody is no repeat; the last one may go as well.
    assert_eq!(w.own(&mut ann, "ann", revoke("phone")), core());
    assert_ne!(ann.keys_over(), over);
    assert_eq!(w.own(&mut ann, "ann", revoke("nobody's")), inert(Why::KeyNotInSet));
    assert_eq!(w.own(&mut ann, "phone", revoke("ann")), inert(Why::KeyRevoked));
    assert_eq!(w.own(&mut ann, "ann", revoke("ann")), core());
    assert_eq!(w.own(&mut ann, "ann", revoke("ann")), inert(Why::KeyRevoked));
    assert_eq!(w.keyed(&mut ann, "paper", "new", recover("new")), core());
    assert!(signs(&w.signs(&ann, "new")));
}

#[test]
fn a_revocation_in_front_of_a_queued_grant_makes_it_inert() {
    let (mut w, mut ann) = ann();
    let notice = w.publish();
    let queued = w.grant(notice, None);
    w.own(&mut ann, "ann", revoke("ann"));
    assert_eq!(w.own(&mut ann, "ann", queued), inert(Why::KeyRevoked));
}

#[test]
fn one_step_replaces_a_key_and_both_sign_it() {
    let (mut w, mut ann) = ann();
    let over = ann.keys_over();
    assert_eq!(w.own(&mut ann, "ann", rotate("ann", "new", over)), inert(Why::Endorsement));
    assert_eq!(w.keyed(&mut ann, "new", "new", rotate("ann", "new", over)), inert(Why::KeyNotInSet));
    assert_eq!(w.keyed(&mut ann, "ann", "new", rotate("ann", "new", None)), inert(Why::Superseded));
    assert_eq!(w.keyed(&mut ann, "ann", "new", rotate("ann", "new", over)), core());
    assert_eq!(w.signs(&ann, "ann"), inert(Why::KeyRevoked));
    assert!(signs(&w.signs(&ann, "new")));
    assert_eq!(ann.keys().last().unwrap().key_use, KeyUse::Device, "what the old one was");
    // The paper is replaced in the same way, and by itself alone.
    let over = ann.keys_over();
    assert_eq!(
        w.keyed(&mut ann, "new", "paper-2", rotate("paper", "paper-2", over)),
        inert(Why::KeyNotInSet)
    );
    assert_eq!(w.keyed(&mut ann, "paper", "paper-2", rotate("paper", "paper-2", over)), core());
    assert_eq!(w.keyed(&mut ann, "paper", "x", recover("x")), inert(Why::KeyRevoked));
    assert_eq!(w.keyed(&mut ann, "paper-2", "x", recover("x")), core());
}

#[test]
fn the_recovery_key_recovers_and_does_nothing_else_and_no_thief_outruns_it() {
    let (mut w, mut ann) = ann();
    let over = ann.keys_over();
    for effect in [
        w.keyed(&mut ann, "paper", "x", add("x", over)),
        w.own(&mut ann, "paper", withdraw("bank", MARKETING, REAL)),
    ] {
        assert_eq!(effect, inert(Why::KeyNotInSet));
    }
    assert_eq!(w.own(&mut ann, "paper", revoke("ann")), inert(Why::Role));
    // The thief has the device: he adds his own, and cannot take the paper away.
    assert_eq!(w.keyed(&mut ann, "ann", "thief", add("thief", over)), core());
    assert_eq!(w.own(&mut ann, "thief", revoke("paper")), inert(Why::Role));
    let over = ann.keys_over();
    let own_paper = KeyAdd { key_use: KeyUse::Recovery, ..add("thief-paper", over) };
    assert_eq!(w.keyed(&mut ann, "thief", "thief-paper", own_paper), inert(Why::State));
    assert_eq!(w.own(&mut ann, "thief", revoke("ann")), core());
    // She saw nothing of it, and names no `over`.
    assert_eq!(w.own(&mut ann, "paper", recover("new")), inert(Why::Endorsement));
    assert_eq!(w.keyed(&mut ann, "thief", "new", recover("new")), inert(Why::Role));
    assert_eq!(w.keyed(&mut ann, "stranger", "new", recover("new")), inert(Why::KeyNotInSet));
    assert_eq!(w.keyed(&mut ann, "paper", "new", recover("new")), core());
    for gone in ["ann", "thief"] {
        assert_eq!(w.signs(&ann, gone), inert(Why::KeyRevoked));
    }
    assert!(signs(&w.signs(&ann, "new")));
    // Given up by itself, another may come.
    assert_eq!(w.own(&mut ann, "paper", revoke("paper")), core());
    let over = ann.keys_over();
    let paper = KeyAdd { key_use: KeyUse::Recovery, ..add("paper-2", over) };
    assert_eq!(w.keyed(&mut ann, "new", "paper-2", paper), core());
    assert_eq!(w.signs(&ann, "paper-2"), inert(Why::KeyNotInSet));
    assert_eq!(w.keyed(&mut ann, "paper-2", "newer", recover("newer")), core());
}

#[test]
fn a_full_set_takes_no_more_and_is_still_recovered() {
    let (mut w, mut ann) = ann();
    for n in 1..64 {
        let (name, over) = (format!("k{n}"), ann.keys_over());
        assert_eq!(w.keyed(&mut ann, "ann", &name, add(&name, over)), core(), "{n}");
    }
    let over = ann.keys_over();
    assert_eq!(w.keyed(&mut ann, "ann", "x", add("x", over)), inert(Why::State));
    assert_eq!(w.keyed(&mut ann, "ann", "x", rotate("ann", "x", over)), inert(Why::State));
    assert_eq!(w.keyed(&mut ann, "paper", "x", recover("x")), core());
}

#[test]
fn a_rebind_waits_72_hours_and_needs_provider_and_operator() {
    let (mut w, mut ann) = ann();
    let idp = Actor::Party(party("idp"));
    for (actor, signer, endorsers, why) in [
        (&idp, "idp", &[][..], Why::Endorsement),
        (&idp, "idp", &["kisa"], Why::Endorsement),
        (&Actor::Party(party("bank")), "bank", &["operator"], Why::Role),
        (&Actor::Own, "ann", &["operator"], Why::Role),
    ] {
        assert_eq!(w.act_with(&mut ann, actor, signer, endorsers, rebind("new")), inert(why));
    }
    for taken in ["ann", "paper", "bank"] {
        assert_eq!(w.rebinds(&mut ann, taken), inert(Why::KeyTaken));
    }
    assert_eq!(w.rebinds(&mut ann, "new"), core());
    assert_eq!(w.rebinds(&mut ann, "newer"), inert(Why::State), "one at a time");
    w.now = w.now.plus_ms(REBIND_WAIT_MS - 1);
    assert!(signs(&w.signs(&ann, "ann")));
    assert_eq!(w.signs(&ann, "new"), inert(Why::KeyNotInSet));
    w.now = w.now.plus_ms(1);
    assert_eq!(w.signs(&ann, "ann"), inert(Why::KeyRevoked));
    assert!(signs(&w.signs(&ann, "new")));
    // All are lost: the paper, too.
    assert_eq!(w.keyed(&mut ann, "paper", "x", recover("x")), inert(Why::KeyRevoked));
    assert_eq!(w.own(&mut ann, "ann", revoke("new")), inert(Why::KeyRevoked), "too late");
    // The first act on the keys writes down what has happened, and nothing else changes.
    let over = ann.keys_over();
    assert_eq!(w.keyed(&mut ann, "new", "second", add("second", over)), core());
    assert!(ann.core().rebind.is_none() && ann.core().recovery.is_none());
    assert_eq!(w.signs(&ann, "ann"), inert(Why::KeyRevoked));
    assert!(signs(&w.signs(&ann, "new")) && signs(&w.signs(&ann, "second")));
    let over = ann.keys_over();
    assert_eq!(w.keyed(&mut ann, "new", "paper", add("paper", over)), inert(Why::KeyTaken));
}

#[test]
fn any_old_key_stops_a_rebind_the_paper_too() {
    for stopper in ["ann", "paper"] {
        let (mut w, mut ann) = ann();
        w.rebinds(&mut ann, "thief");
        w.now = w.now.plus_ms(REBIND_WAIT_MS - 1);
        assert_eq!(w.own(&mut ann, "thief", revoke("ann")), inert(Why::KeyNotInSet));
        assert_eq!(w.own(&mut ann, stopper, revoke("thief")), core(), "{stopper}");
        w.now = w.now.plus_ms(DAY);
        assert!(signs(&w.signs(&ann, "ann")));
        assert_eq!(w.signs(&ann, "thief"), inert(Why::KeyRevoked));
        // Its key stays spent; another rebind may come, and waits from its own place on.
        assert_eq!(w.rebinds(&mut ann, "thief"), inert(Why::KeyTaken));
        assert_eq!(w.rebinds(&mut ann, "other"), core());
        assert!(signs(&w.signs(&ann, "ann")));
    }
    // A recovery stops it as well.
    let (mut w, mut ann) = ann();
    w.rebinds(&mut ann, "thief");
    assert_eq!(w.keyed(&mut ann, "paper", "new", recover("new")), core());
    w.now = w.now.plus_ms(REBIND_WAIT_MS);
    assert!(signs(&w.signs(&ann, "new")) && !signs(&w.signs(&ann, "thief")));
}

#[test]
fn a_permit_that_rests_on_a_rebind_is_marked_for_90_days() {
    let (mut w, mut ann) = ann();
    let notice = w.publish();
    let long = |w: &World, over| {
        let mut g = w.grant(notice, over);
        g.keep_until = w.now.plus_ms(200 * DAY);
        g
    };
    let g = long(&w, None);
    w.own(&mut ann, "ann", g);
    w.rebinds(&mut ann, "new");
    let due = w.now.plus_ms(REBIND_WAIT_MS);
    w.now = due;
    let ask = |w: &World, ann: &Person| decide_here(&w.register, Some(ann), &question(Action::Use), w.now);
    assert_eq!(ask(&w, &ann).rebound_until, None, "what the old keys granted is not marked");
    let over = ann.slot(&slot_key()).unwrap().last;
    let g = long(&w, over);
    assert!(signs(&w.own(&mut ann, "new", g)));
    let told = ask(&w, &ann);
    let until = due.plus_ms(REBIND_MARK_MS);
    assert_eq!((told.reason, told.rebound_until), (Reason::ConsentGiven, Some(until)));
    // A later key of the set does not wash it off; a denial bears no mark.
    let over = ann.keys_over();
    w.keyed(&mut ann, "new", "second", add("second", over));
    let over = ann.slot(&slot_key()).unwrap().last;
    let g = long(&w, over);
    w.own(&mut ann, "second", g);
    assert_eq!(ask(&w, &ann).rebound_until, Some(until));
    let mut closed = ann.clone();
    w.own(&mut closed, "second", withdraw("bank", MARKETING, REAL));
    assert_eq!(ask(&w, &closed).rebound_until, None);
    w.now = until;
    let told = ask(&w, &ann);
    assert_eq!((told.reason, told.rebound_until), (Reason::ConsentGiven, None));
}

#[test]
fn a_guardian_s_revoked_key_makes_her_queued_grant_for_the_ward_inert() {
    let mut w = World::home();
    let notice = w.publish();
    let (mut ward, mut mom) = (w.person("ward"), w.person("mom"));
    let s = subject_attest("idp", Some(w.now.plus_ms(DAY)), Some("mom"));
    w.by_party(&mut ward, "idp", s);
    let s = delegation("mom", "guardian", &[Kind::ConsentGrant], w.now.plus_ms(DAY));
    w.act(&mut ward, &Actor::Delegate(&mom), "mom", s);
    let queued = ConsentGrant { by: Some(w.last()), ..w.grant(notice, None) };
    w.own(&mut mom, "mom", revoke("mom"));
    assert_eq!(w.act(&mut ward, &Actor::Delegate(&mom), "mom", queued), inert(Why::KeyRevoked));
}

/// Else the row would be sorted again each time it is written.
#[test]
fn a_row_with_everything_about_keys_is_stored_as_it_is_declared() {
    let (mut w, mut ann) = ann();
    w.rebinds(&mut ann, "new");
    w.now = w.now.plus_ms(REBIND_WAIT_MS);
    w.rebinds(&mut ann, "newer");
    let core = ann.core();
    assert!(core.rebind.is_some() && core.rebound.is_some() && core.key_last.is_some());
    let mut declared = Vec::new();
    ciborium::into_writer(core, &mut declared).unwrap();
    assert_eq!(declared, naru::ledger::cbor::encode(core).unwrap());
    assert_eq!(&naru::ledger::cbor::decode::<naru::consent::Core>(&declared).unwrap(), core);
}

// ---------------------------------------------------------------- beside a naive one

const NAMES: [&str; 8] = ["ann", "paper", "a", "b", "c", "d", "e", "f"];

#[derive(Clone, Debug)]
enum Did {
    Add(usize, bool),
    Revoke(usize),
    Rotate(usize, usize),
    Recover(usize),
    Rebind(usize),
}

#[derive(Clone, Debug)]
struct Step {
    later: u64,
    did: Did,
    /// Who signs.
    signer: usize,
    /// Whether `over` is right.
    over: bool,
    /// Whether the new key endorses.
    endorsed: bool,
}

/// Every step that took effect, and when.
#[derive(Clone, Debug, Default)]
struct Naive(Vec<(Timestamp, Did, usize)>);

impl Naive {
    /// What each key is at an instant, from the first step on: nothing, live, dead, paper, or waiting.
    fn seen(&self, at: Timestamp) -> [&'static str; 8] {
        let mut keys = ["nothing"; 8];
        (keys[0], keys[1]) = ("live", "paper");
        let mut due: Option<(Timestamp, usize)> = None;
        let all_dead = |keys: &mut [&'static str; 8]| {
            keys.iter_mut().filter(|k| **k != "nothing").for_each(|k| *k = "dead");
        };
        for (when, did, _) in &self.0 {
            if let Some((_, new)) = due.filter(|(end, _)| end <= when) {
                all_dead(&mut keys);
                keys[new] = "live";
                due = None;
            }
            match *did {
                Did::Add(new, paper) => keys[new] = if paper { "paper" } else { "live" },
                Did::Revoke(one) => {
                    if keys[one] == "waiting" {
                        due = None;
                    }
                    keys[one] = "dead";
                }
                Did::Rotate(old, new) => (keys[old], keys[new]) = ("dead", keys[old]),
                Did::Recover(new) => {
                    due = None;
                    keys.iter_mut().filter(|k| ["live", "waiting"].contains(*k)).for_each(|k| *k = "dead");
                    keys[new] = "live";
                }
                Did::Rebind(new) => {
                    keys[new] = "waiting";
                    due = Some((when.plus_ms(72 * 3_600_000), new));
                }
            }
        }
        if let Some((_, new)) = due.filter(|(end, _)| *end <= at) {
            all_dead(&mut keys);
            keys[new] = "live";
        }
        keys
    }

    fn takes(&self, step: &Step, at: Timestamp) -> bool {
        let keys = self.seen(at);
        let signer = keys[step.signer];
        match step.did {
            Did::Add(new, paper) => {
                signer == "live"
                    && step.over
                    && step.endorsed
                    && keys[new] == "nothing"
                    && !(paper && keys.contains(&"paper"))
            }
            Did::Revoke(one) => matches!(
                (signer, keys[one]),
                ("live", "live" | "dead" | "waiting") | ("paper", "waiting" | "paper")
            ),
            Did::Rotate(old, new) => {
                step.signer == old
                    && ["live", "paper"].contains(&signer)
                    && step.over
                    && step.endorsed
                    && keys[new] == "nothing"
            }
            Did::Recover(new) => signer == "paper" && step.endorsed && keys[new] == "nothing",
            Did::Rebind(new) => keys[new] == "nothing" && !keys.contains(&"waiting"),
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0usize..8;
    let did = prop_oneof![
        4 => (any.clone(), prop::bool::weighted(0.2)).prop_map(|(k, paper)| Did::Add(k, paper)),
        3 => any.clone().prop_map(Did::Revoke),
        2 => (any.clone(), any.clone()).prop_map(|(old, new)| Did::Rotate(old, new)),
        2 => any.clone().prop_map(Did::Recover),
        2 => any.clone().prop_map(Did::Rebind),
    ];
    let later = prop::sample::select(vec![0, 0, 1, 3_600_000, DAY, 3 * DAY]);
    (later, did, any, prop::bool::weighted(0.9), prop::bool::weighted(0.9)).prop_map(
        |(later, did, signer, over, endorsed)| {
            // The one who rotates is mostly the one who signs.
            let signer = match did {
                Did::Rotate(old, _) if over => old,
                _ => signer,
            };
            Step { later, did, signer, over, endorsed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_fold_and_the_naive_one_agree_on_every_key(steps in prop::collection::vec(step(), 1..30)) {
        let (mut w, mut ann) = ann();
        let mut naive = Naive::default();
        for step in steps {
            w.now = w.now.plus_ms(step.later);
            let over = if step.over { ann.keys_over() } else { Some(StatementId([0xee; 32])) };
            let (signer, name) = (NAMES[step.signer], |k: usize| NAMES[k]);
            let (statement, endorser): (Statement, &str) = match step.did {
                Did::Add(k, paper) => {
                    let key_use = if paper { KeyUse::Recovery } else { KeyUse::Device };
                    (KeyAdd { key_use, ..add(name(k), over) }.into(), name(k))
                }
                Did::Revoke(k) => (revoke(name(k)).into(), ""),
                Did::Rotate(old, new) => (rotate(name(old), name(new), over).into(), name(new)),
                Did::Recover(k) => (recover(name(k)).into(), name(k)),
                Did::Rebind(k) => (rebind(name(k)).into(), ""),
            };
            let before = ann.clone();
            let effect = match step.did {
                Did::Rebind(k) => w.rebinds(&mut ann, name(k)),
                _ if step.endorsed => w.keyed(&mut ann, signer, endorser, statement),
                _ => w.own(&mut ann, signer, statement),
            };
            let takes = naive.takes(&step, w.now);
            prop_assert_eq!(effect.touched().is_some(), takes, "{:?}: {:?}", step, effect);
            if takes {
                naive.0.push((w.now, step.did.clone(), step.signer));
            } else {
                prop_assert_eq!(&before, &ann, "an inert act changes nothing");
            }
            for later in [0, 3_600_000, 72 * 3_600_000] {
                let at = w.now.plus_ms(later);
                let seen = naive.seen(at);
                for (k, name) in NAMES.iter().enumerate() {
                    prop_assert_eq!(ann.has_live_key(&key(name), at), seen[k] == "live", "{} {:?}", name, seen);
                }
            }
        }
    }
}
