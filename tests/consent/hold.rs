//! Holds: who places and lifts them under which case, until when they stand.

use naru::consent::{Actor, Effect, Person, Touched};
use naru::model::decision::Why;
use naru::model::id::{StatementId, SubjectId, Timestamp};
use naru::model::statement::*;
use naru::model::vocabulary::Role;

use crate::incident::{SIGNERS, by, flagged, world};
use crate::world::*;

const APPLIED: Effect = Effect::Applied(Touched::Core);
/// What is wrong with a hold.
type Change = fn(&mut HoldPlace);

const RECORD: StatementId = StatementId([5; 32]);

fn place(regulator: &str, until: Timestamp) -> HoldPlace {
    HoldPlace {
        v: V1,
        kind: Kind::HoldPlace,
        iat: T0,
        nonce: NONCE,
        case: NONCE.to_string(),
        regulator: party(regulator),
        records: vec![RECORD],
        until,
    }
}

fn lift(regulator: &str) -> HoldLift {
    HoldLift {
        v: V1,
        kind: Kind::HoldLift,
        iat: T0,
        nonce: NONCE,
        case: NONCE.to_string(),
        regulator: party(regulator),
    }
}

fn until(w: &World) -> Timestamp {
    w.now.plus_ms(DAY)
}

fn holds(incident: &Person) -> Vec<String> {
    incident.incident().unwrap().holds.iter().map(|hold| hold.by.as_str().to_owned()).collect()
}

/// The usual world with a second regulator whose scope takes the bank in.
fn two_regulators() -> World {
    let mut w = world();
    let mut s = w.registration("fsc", &[Role::Regulator]);
    s.scope = vec!["all".into()];
    assert_eq!(w.public("fsc", &["operator", "kisa"], s), Effect::Applied(Touched::Register));
    w
}

#[test]
fn only_a_regulator_in_scope_places_and_lifts_and_in_its_own_name() {
    for signer in SIGNERS {
        for lifts in [false, true] {
            for named in [signer, "kisa"] {
                let mut w = world();
                let mut incident = flagged(&mut w, "bank");
                if lifts {
                    let until = until(&w);
                    assert_eq!(w.by_party(&mut incident, "kisa", place("kisa", until)), APPLIED);
                }
                let actor = match signer {
                    "kim" | "operator" | "log" | "nobody" => Actor::Own,
                    name => Actor::Party(party(name)),
                };
                let statement: Statement =
                    if lifts { lift(named).into() } else { place(named, until(&w)).into() };
                let before = incident.clone();
                let effect = w.act(&mut incident, &actor, signer, statement);
                if signer == "kisa" {
                    assert_eq!(effect, APPLIED, "lifts: {lifts}");
                    assert_eq!(holds(&incident), if lifts { vec![] } else { vec!["kisa"] });
                } else {
                    let why = effect.why().unwrap();
                    assert!(matches!(why, Why::Role | Why::KeyNotInSet), "{signer} as {named}: {why:?}");
                    assert_eq!(incident, before);
                }
            }
        }
    }
    // Not in its own case.
    let mut w = world();
    let mut own = flagged(&mut w, "kisa");
    let statement = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut own, "kisa", statement), Effect::Inert(Why::Role));
}

#[test]
fn a_hold_names_its_case_some_records_and_an_end_to_come() {
    let mut w = world();
    let mut incident = flagged(&mut w, "bank");
    let good = place("kisa", until(&w));
    let cases: [(Change, Why); 6] = [
        (|s| s.case = "2026-7".into(), Why::NotThisSubject),
        (|s| s.case = "00".repeat(16), Why::NotThisSubject),
        (|s| s.records.clear(), Why::State),
        (|s| s.records = vec![RECORD; 4_097], Why::State),
        (|s| s.until = T0, Why::Dates),
        (|s| s.until = Timestamp(0), Why::Dates),
    ];
    for (change, why) in cases {
        let mut s = good.clone();
        change(&mut s);
        assert_eq!(w.by_party(&mut incident, "kisa", s), Effect::Inert(why));
    }
    // At its end it no longer stands.
    w.now = T0.plus_ms(5 * DAY);
    assert_eq!(w.by_party(&mut incident, "kisa", place("kisa", w.now)), Effect::Inert(Why::Dates));
    // Under a person stands none.
    let mut kim = w.person("kim");
    let s = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut kim, "kisa", s), Effect::Inert(Why::NotThisSubject));
    // As stored.
    let s = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut incident, "kisa", s), APPLIED);
    let core = naru::ledger::cbor::encode(incident.core()).unwrap();
    let read = Person::from_parts(SubjectId([7; 16]), naru::ledger::cbor::decode(&core).unwrap(), []);
    assert_eq!(read, incident);
}

#[test]
fn each_regulator_lifts_its_own_and_what_has_ended_is_gone() {
    let mut w = two_regulators();
    let mut incident = flagged(&mut w, "bank");
    assert_eq!(w.by_party(&mut incident, "kisa", lift("kisa")), Effect::Inert(Why::State), "none");
    for regulator in ["kisa", "fsc", "kisa"] {
        let s = place(regulator, until(&w));
        assert_eq!(w.by_party(&mut incident, regulator, s), APPLIED);
    }
    assert_eq!(w.by_party(&mut incident, "kisa", lift("kisa")), APPLIED);
    assert_eq!(holds(&incident), ["fsc"]);
    assert_eq!(w.by_party(&mut incident, "kisa", lift("kisa")), Effect::Inert(Why::State), "twice");
    w.now = until(&w).plus_ms(DAY);
    assert_eq!(w.by_party(&mut incident, "fsc", lift("fsc")), Effect::Inert(Why::State), "ended");
    let s = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut incident, "kisa", s), APPLIED);
    assert_eq!(holds(&incident), ["kisa"]);
}

#[test]
fn a_closed_case_takes_no_hold_and_gives_back_those_it_has() {
    let mut w = world();
    let mut incident = flagged(&mut w, "bank");
    let s = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut incident, "kisa", s), APPLIED);
    for kind in [Kind::IncidentDismiss, Kind::IncidentClose] {
        assert_eq!(by(&mut w, &mut incident, "kisa", kind), APPLIED);
    }
    assert_eq!(holds(&incident), ["kisa"], "it stands on");
    let s = place("kisa", until(&w));
    assert_eq!(w.by_party(&mut incident, "kisa", s), Effect::Inert(Why::State));
    assert_eq!(w.by_party(&mut incident, "kisa", lift("kisa")), APPLIED);
    assert_eq!(holds(&incident), [""; 0]);
}
