//! Rights: claimed once, due by the pack, answered by their controller alone.

use naru::consent::{Effect, Met, Person, Touched};
use naru::model::decision::Why;
use naru::model::id::StatementId;
use naru::model::statement::*;

use crate::duty::encoded;
use crate::world::*;

fn claimed(right: Right) -> (World, Person, StatementId) {
    let mut w = World::home();
    let mut kim = w.person("kim");
    assert_eq!(w.own(&mut kim, "kim", claim("bank", right, &[INCOME])), Effect::Applied(Touched::Core));
    let id = w.last();
    (w, kim, id)
}

fn met(w: &World, kim: &Person) -> Vec<Met> {
    kim.rights().iter().map(|claim| claim.met(&w.register, w.now)).collect()
}

#[test]
fn every_right_is_due_by_the_row_of_the_pack() {
    for right in Right::ALL {
        let (w, kim, id) = claimed(right);
        let claim = &kim.rights()[0];
        assert_eq!((claim.request, claim.right, claim.at), (id, right, T0));
        let clock = claim.clock(&w.register).unwrap();
        assert_eq!((clock.due, clock.rule.as_str()), (T0.plus_ms(10 * DAY), "answer-rights"));
        assert_eq!(claim.met(&w.register, clock.due.minus_ms(1)), Met::Waiting);
        assert_eq!(claim.met(&w.register, clock.due), Met::Overdue);
    }
}

#[test]
fn the_same_again_is_the_same_until_it_is_answered() {
    let (mut w, mut kim, first) = claimed(Right::Access);
    w.now = T0.plus_ms(5 * DAY);
    assert!(w.own(&mut kim, "kim", claim("bank", Right::Access, &[INCOME, INCOME])).touched().is_some());
    let again = w.last();
    assert_eq!((kim.rights().len(), kim.rights()[0].at), (1, T0), "no clock starts anew");
    // Others are others.
    for other in [
        claim("bank", Right::Access, &[]),
        claim("bank", Right::Erasure, &[INCOME]),
        claim("shop", Right::Access, &[INCOME]),
    ] {
        assert!(w.own(&mut kim, "kim", other).touched().is_some());
    }
    assert_eq!(kim.rights().len(), 4);
    // By whichever name the controller read of it.
    assert!(w.by_party(&mut kim, "bank", answer("bank", again, Outcome::Done, None)).touched().is_some());
    assert_eq!(met(&w, &kim)[0], Met::InTime(w.now));
    assert_eq!((kim.rights()[0].request, met(&w, &kim)[1]), (first, Met::Waiting));
    assert!(w.own(&mut kim, "kim", claim("bank", Right::Access, &[INCOME])).touched().is_some());
    assert_eq!((kim.rights().len(), kim.rights()[4].at), (5, w.now), "a new one");
}

#[test]
fn the_first_answer_is_in_time_or_late_and_the_newest_shows() {
    let (mut w, mut kim, id) = claimed(Right::Erasure);
    let no = || answer("bank", id, Outcome::Refused, Some("PIPA art. 36(1)"));
    assert!(w.by_party(&mut kim, "bank", no()).touched().is_some());
    let before = kim.clone();
    w.now = T0.plus_ms(30 * DAY);
    assert!(w.by_party(&mut kim, "bank", no()).touched().is_some());
    assert_eq!(kim, before, "said already");
    assert!(w.by_party(&mut kim, "bank", answer("bank", id, Outcome::Done, None)).touched().is_some());
    let claim = &kim.rights()[0];
    assert_eq!((claim.answers.len(), claim.answer().unwrap().outcome), (2, Outcome::Done));
    assert_eq!(met(&w, &kim), [Met::InTime(T0)]);
    assert_eq!(naru::ledger::cbor::encode(kim.core()).unwrap(), encoded(kim.core()));
    // Of very many the first stays.
    for n in 0..20 {
        let s = answer("bank", id, Outcome::Partly, Some(&format!("{n}")));
        assert!(w.by_party(&mut kim, "bank", s).touched().is_some());
    }
    assert_eq!((kim.rights()[0].answers.len(), met(&w, &kim)), (8, vec![Met::InTime(T0)]));

    let (mut w, mut kim, id) = claimed(Right::Erasure);
    w.now = T0.plus_ms(10 * DAY);
    assert!(w.by_party(&mut kim, "bank", answer("bank", id, Outcome::Done, None)).touched().is_some());
    assert_eq!(met(&w, &kim), [Met::Late(w.now)]);
}

#[test]
fn what_is_no_claim_and_what_is_no_answer() {
    let (mut w, mut kim, id) = claimed(Right::Access);
    let before = kim.clone();
    let claims = [
        (claim("nobody", Right::Access, &[]), Why::PartyUnknown),
        (claim("lab", Right::Access, &[]), Why::Role),
        (claim("bank", Right::Access, &["pd:Nonsense"]), Why::Vocabulary),
    ];
    for (s, why) in claims {
        assert_eq!(w.own(&mut kim, "kim", s), inert(why));
    }
    let other = StatementId([9; 32]);
    let long = "x".repeat(4_097);
    let answers = [
        ("shop", answer("shop", id, Outcome::Done, None), Why::NotOwed),
        ("shop", answer("bank", id, Outcome::Done, None), Why::KeyNotInSet),
        ("bank", answer("bank", other, Outcome::Done, None), Why::NotOwed),
        ("bank", answer("bank", id, Outcome::Refused, None), Why::NoticeIncomplete),
        ("bank", answer("bank", id, Outcome::Partly, Some(" ")), Why::NoticeIncomplete),
        ("bank", answer("bank", id, Outcome::Done, Some(&long)), Why::NoticeIncomplete),
    ];
    for (name, s, why) in answers {
        assert_eq!(w.by_party(&mut kim, name, s.clone()), inert(why), "{s:?}");
    }
    assert_eq!(kim, before);
}
