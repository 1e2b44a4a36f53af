//! Exceptions: claimed or not, and justified in time, late, or not at all.

use naru::consent::{ADOPTED_BEFORE_MS, Effect, Excepted, Person, Standing, Touched, decide_here};
use naru::model::decision::{Question, Reason, Why};
use naru::model::id::Timestamp;
use naru::model::pack::{kcern_2018, kr_pipa_2026};
use naru::model::statement::*;
use naru::model::vocabulary::{Action, DataClass};

use crate::register::retire;
use crate::world::*;

const REAL: DataClass = DataClass::RealName;
const RULE: &str = "kr-pipa-2026#vital-interest";
const HOURS_72: u64 = 3 * DAY;

fn claim(rule: &str, purpose: &str) -> Claim {
    Claim { rule: rule.into(), purpose: purpose.into(), reason: "an emergency room".into() }
}

/// A hospital that claims to save lives, under the Korean act alone.
fn rescuers() -> (World, Person) {
    let mut w = World::new(&[kr_pipa_2026()]);
    let mut s = w.notice("hospital", "rescue", vec![asks(RESCUE, REAL, &[Action::Use, Action::Profile])]);
    s.claims = vec![claim(RULE, RESCUE)];
    assert_eq!(w.public("hospital", &[], s), Effect::Applied(Touched::Register));
    let ann = w.person("ann");
    (w, ann)
}

fn rescue() -> Question {
    let mut q = question(Action::Use);
    (q.controller, q.purpose) = (party("hospital"), RESCUE.into());
    q
}

fn use_at(w: &World, ann: &Person, at: Timestamp) -> Excepted {
    let d = decide_here(&w.register, Some(ann), &rescue(), at);
    assert_eq!((d.reason, &*d.rule), (Reason::StatutoryException, "vital-interest"), "at once");
    Excepted::of(&w.register, &rescue(), &d, at).unwrap()
}

#[test]
fn a_rescue_is_permitted_at_once_and_justified_within_72_hours() {
    let (mut w, mut ann) = rescuers();
    let used = use_at(&w, &ann, T0);
    assert_eq!((used.rule.as_str(), used.due), (RULE, T0.plus_ms(HOURS_72)));
    assert_eq!(used.standing(&ann, T0), Standing::Waiting);
    assert_eq!(used.standing(&ann, used.due.minus_ms(1)), Standing::Waiting);
    assert_eq!(used.standing(&ann, used.due), Standing::Overdue, "at the instant");
    // In time, and for that use only.
    w.now = T0.plus_ms(DAY);
    let s = justify("hospital", T0, T0.plus_ms(1));
    assert_eq!(w.by_party(&mut ann, "hospital", s), Effect::Applied(Touched::Core));
    assert_eq!(used.standing(&ann, used.due), Standing::Justified(w.now));
    let next = use_at(&w, &ann, T0.plus_ms(1));
    assert_eq!(next.standing(&ann, next.due), Standing::Overdue, "the interval ends before it");
    // Late reasons are recorded and stay late.
    w.now = next.due;
    let s = justify("hospital", T0, T0.plus_ms(2));
    assert_eq!(w.by_party(&mut ann, "hospital", s), Effect::Applied(Touched::Core));
    assert_eq!(next.standing(&ann, w.now), Standing::Late(w.now));
    assert_eq!(used.standing(&ann, w.now), Standing::Justified(T0.plus_ms(DAY)), "the first word counts");
    // It is no slot of hers: nothing was asked of her, nothing is over it.
    assert_eq!(ann.slots().count(), 0);
}

#[test]
fn reasons_are_the_controllers_own_and_for_what_lies_behind() {
    let (mut w, mut ann) = rescuers();
    w.now = T0.plus_ms(DAY);
    let good = justify("hospital", T0, T0.plus_ms(1));
    let cases: [(Spoil<'_, DutyJustify>, Why); 8] = [
        (&|s| s.party = party("bank"), Why::KeyNotInSet),
        (&|s| s.until = s.from, Why::Dates),
        (&|s| s.until = T0.plus_ms(DAY + 1), Why::Dates),
        (&|s| s.reason = " ".into(), Why::NoticeIncomplete),
        (&|s| s.rule = "kr-pipa-2026#research-28-2".into(), Why::Pack),
        (&|s| s.rule = "kcern-2018#vital-interest".into(), Why::Pack),
        (&|s| s.purpose = MARKETING.into(), Why::Pack),
        (&|s| s.class = DataClass::Pseudonymous, Why::Pack),
    ];
    for (spoil, why) in cases {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.by_party(&mut ann, "hospital", s), inert(why), "{why:?}");
    }
    assert!(ann.justifications().is_empty());
    assert_eq!(w.by_party(&mut ann, "hospital", good), Effect::Applied(Touched::Core));
    // Of another controller's use it says nothing.
    let mut other = use_at(&w, &ann, T0);
    other.party = party("bank");
    assert_eq!(other.standing(&ann, w.now), Standing::Waiting);
    let mut declared = Vec::new();
    ciborium::into_writer(ann.core(), &mut declared).unwrap();
    assert_eq!(declared, naru::ledger::cbor::encode(ann.core()).unwrap(), "fields in the order of rows");
    let rows = ann.slots().map(|(k, s)| (k.clone(), s.clone()));
    let core = serde_cbor::from_slice(&serde_cbor::to_vec(ann.core()).unwrap()).unwrap();
    assert_eq!(Person::from_parts(ann.subject(), core, rows), ann, "a row holds them");
}

#[test]
fn only_what_must_be_justified_leaves_a_duty() {
    let (mut w, mut ann) = rescuers();
    let of = |w: &World, ann: &Person, q: &Question| {
        let d = decide_here(&w.register, Some(ann), q, w.now);
        (d.reason, Excepted::of(&w.register, q, &d, w.now))
    };
    let mut q = rescue();
    q.action = naru::model::vocabulary::AskedAction::Grantable(Action::Profile);
    assert_eq!(of(&w, &ann, &q), (Reason::ConsentNotGiven, None));
    let mut s = w.notice("bank", "science", usual_purposes());
    s.claims = vec![claim("kr-pipa-2026#research-28-2", RESEARCH)];
    assert_eq!(w.public("bank", &[], s), Effect::Applied(Touched::Register));
    let mut q = question(Action::Use);
    (q.purpose, q.class) = (RESEARCH.into(), DataClass::Pseudonymous);
    assert_eq!(of(&w, &ann, &q), (Reason::StatutoryException, None));
    w.own(&mut ann, "ann", object("hospital", "*", REAL));
    assert_eq!(of(&w, &ann, &rescue()), (Reason::Objected, None), "she would rather not");
}

#[test]
fn claims_are_listed_with_their_words_until_the_notice_is_retired() {
    let (mut w, _) = rescuers();
    let listed = |w: &World, name: &str, at| {
        let claims = w.register.claims_of(&party(name), at);
        let one = |c: &naru::consent::Claimed<'_>| {
            (c.exception.id.to_string(), c.claim.reason.clone(), c.class, c.in_force)
        };
        claims.iter().map(one).collect::<Vec<_>>()
    };
    let expected = [("vital-interest".to_owned(), "an emergency room".to_owned(), REAL, true)];
    assert_eq!(listed(&w, "hospital", T0), expected);
    assert_eq!(listed(&w, "bank", T0), []);
    assert_eq!(listed(&w, "nobody", T0), []);
    let notice = w.register.notices().next().unwrap().id;
    w.public("hospital", &[], retire(notice));
    assert_eq!(listed(&w, "hospital", T0), []);
    // Of a pack still to come it is said so.
    let mut w = World::new(&[kcern_2018()]);
    let from = T0.plus_ms(ADOPTED_BEFORE_MS);
    assert_eq!(w.adopt(kr_pipa_2026(), from), Effect::Applied(Touched::Register));
    let mut s = w.notice("hospital", "rescue", vec![asks(RESCUE, REAL, &[Action::Use])]);
    s.claims = vec![claim(RULE, RESCUE)];
    assert_eq!(w.public("hospital", &[], s), Effect::Applied(Touched::Register));
    assert!(!listed(&w, "hospital", T0)[0].3 && listed(&w, "hospital", from)[0].3);
}
