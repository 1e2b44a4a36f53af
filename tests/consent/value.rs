//! The asset right: what was promised, what is reported as paid, and what she disputes.

use naru::consent::{Person, Touched};
use naru::model::decision::Why;
use naru::model::id::{StatementId, Timestamp};
use naru::model::vocabulary::DataClass;

use crate::duty::encoded;
use crate::world::*;

const REAL: DataClass = DataClass::RealName;

fn day(n: u64) -> Timestamp {
    T0.plus_ms(n * DAY)
}

fn promised() -> (World, Person, StatementId) {
    let mut w = World::home();
    let notice = w.publish();
    let mut kim = w.person("kim");
    let mut g = w.grant(notice, None);
    g.consideration = Some("₩500 a month".into());
    assert!(w.own(&mut kim, "kim", g).touched().is_some());
    let grant = w.last();
    w.now = day(10);
    (w, kim, grant)
}

#[test]
fn a_promise_outlives_its_grant_and_reports_stand_beside_it() {
    let (mut w, mut kim, grant) = promised();
    let worth = &kim.worth(w.now)[0];
    assert_eq!((worth.promised.as_deref(), worth.ended), (Some("₩500 a month"), None));
    assert_eq!((worth.controller.as_str(), worth.paid.len()), ("bank", 0));
    let one = settle("bank", grant, (T0, day(5)), 500);
    assert_eq!(w.by_party(&mut kim, "bank", one.clone()), naru::consent::Effect::Applied(Touched::Core));
    let before = kim.clone();
    assert!(w.by_party(&mut kim, "bank", one).touched().is_some());
    assert_eq!(kim, before, "said already");
    // The next period, and after the end of the grant.
    w.own(&mut kim, "kim", withdraw("bank", MARKETING, REAL));
    assert!(w.by_party(&mut kim, "bank", settle("bank", grant, (day(5), day(10)), 400)).touched().is_some());
    let paid = |kim: &Person| {
        let worth = kim.worth(day(10));
        assert_eq!((worth.len(), worth[0].ended), (1, Some(day(10))));
        worth[0].paid.iter().map(|(s, disputed)| (s.amount, *disputed)).collect::<Vec<_>>()
    };
    assert_eq!(paid(&kim), [(500, false), (400, false)]);
    // She disputes; what is said later is a new word.
    w.own(&mut kim, "kim", dispute("bank", MARKETING, REAL));
    assert_eq!(paid(&kim), [(500, true), (400, true)]);
    w.now = day(11);
    assert!(w.by_party(&mut kim, "bank", settle("bank", grant, (day(5), day(10)), 500)).touched().is_some());
    assert_eq!(paid(&kim), [(500, true), (500, false)]);
    assert_eq!(naru::ledger::cbor::encode(kim.core()).unwrap(), encoded(kim.core()));
    for (_, slot) in kim.slots() {
        assert_eq!(naru::ledger::cbor::encode(slot).unwrap(), encoded(slot));
    }
}

#[test]
fn a_report_is_the_controllers_of_that_grant_and_of_the_past() {
    let (mut w, mut kim, grant) = promised();
    assert!(w.by_party(&mut kim, "bank", settle("bank", grant, (T0, day(5)), 500)).touched().is_some());
    let before = kim.clone();
    let other = StatementId([9; 32]);
    let mut money = settle("bank", grant, (day(5), day(6)), 1);
    money.currency = "won".into();
    let cases = [
        ("shop", settle("shop", grant, (day(5), day(6)), 1), Why::NotOwed),
        ("shop", settle("bank", grant, (day(5), day(6)), 1), Why::KeyNotInSet),
        ("lab", settle("lab", grant, (day(5), day(6)), 1), Why::Role),
        ("bank", settle("bank", other, (day(5), day(6)), 1), Why::NotOwed),
        ("bank", settle("bank", grant, (day(6), day(6)), 1), Why::Dates),
        ("bank", settle("bank", grant, (day(6), day(11)), 1), Why::Dates),
        ("bank", settle("bank", grant, (day(4), day(6)), 1), Why::Dates),
        ("bank", money, Why::Vocabulary),
    ];
    for (name, s, why) in cases {
        assert_eq!(w.by_party(&mut kim, name, s.clone()), inert(why), "{s:?}");
    }
    assert_eq!(kim, before);
}
