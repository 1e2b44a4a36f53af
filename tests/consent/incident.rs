//! Incidents: who may do which step when, against a table and a naive second implementation.

use naru::consent::{Actor, Effect, Person, Stage, Touched};
use naru::model::decision::Why;
use naru::model::id::{Hash, Nonce, StatementId, SubjectId};
use naru::model::pack::kcern_2018;
use naru::model::statement::*;
use naru::model::vocabulary::Role;

use crate::world::*;

const APPLIED: Effect = Effect::Applied(Touched::Core);
const STEPS: [Kind; 5] = [
    Kind::IncidentAnswer,
    Kind::IncidentConfirm,
    Kind::IncidentDismiss,
    Kind::IncidentAssess,
    Kind::IncidentClose,
];
const SIGNERS: [&str; 13] = [
    "kim", "bank", "shop", "lab", "cloud", "anon", "combi", "idp", "kisa", "tokyo", "operator", "log",
    "nobody",
];

/// The usual world and a regulator whose scope is another country.
fn world() -> World {
    let mut w = World::new(&[kcern_2018()]);
    let mut s = w.registration("tokyo", &[Role::Regulator]);
    s.scope = vec!["jp".into()];
    assert_eq!(w.public("tokyo", &["operator", "kisa"], s), Effect::Applied(Touched::Register));
    w
}

fn flag(accused: &str) -> IncidentFlag {
    IncidentFlag {
        v: V1,
        kind: Kind::IncidentFlag,
        iat: T0,
        nonce: NONCE,
        incident: NONCE,
        party: party(accused),
        detector: "foreign-ppid".into(),
        strength: Strength::S,
        evidence: vec![Hash([1; 32])],
    }
}

fn step(kind: Kind, signer: &str) -> Statement {
    macro_rules! of {
        ($($name:ident),*) => {
            match kind {
                $(Kind::$name => $name {
                    v: V1,
                    kind,
                    iat: T0,
                    nonce: NONCE,
                    incident: NONCE,
                    party: party(signer),
                    document: Hash([2; 32]),
                }.into(),)*
                other => panic!("`{}` is no step", other.as_str()),
            }
        };
    }
    of!(IncidentAnswer, IncidentConfirm, IncidentDismiss, IncidentAssess, IncidentClose)
}

fn flagged(w: &mut World, accused: &str) -> Person {
    let mut incident = Person::new(SubjectId([7; 16]));
    assert_eq!(w.own(&mut incident, "operator", flag(accused)), APPLIED);
    incident
}

fn by(w: &mut World, incident: &mut Person, signer: &str, kind: Kind) -> Effect {
    let actor = match signer {
        "kim" | "operator" | "log" | "nobody" => Actor::Own,
        name => Actor::Party(party(name)),
    };
    w.act(incident, &actor, signer, step(kind, signer))
}

#[test]
fn only_the_operator_flags_and_only_once() {
    for signer in SIGNERS {
        let mut w = world();
        let mut incident = Person::new(SubjectId([7; 16]));
        let actor = if signer == "operator" { Actor::Own } else { Actor::Party(party(signer)) };
        let effect = w.act(&mut incident, &actor, signer, flag("bank"));
        if signer == "operator" {
            assert_eq!(effect, APPLIED);
            let says = incident.incident().unwrap();
            assert_eq!((says.party.as_str(), says.stage, says.steps.len()), ("bank", Stage::Flagged, 0));
        } else {
            assert_eq!(effect, Effect::Inert(Why::Role), "{signer}");
            assert!(incident.incident().is_none());
        }
    }
    let mut w = world();
    let mut incident = flagged(&mut w, "bank");
    assert_eq!(w.own(&mut incident, "operator", flag("bank")), Effect::Inert(Why::NameTaken));
    // Of nobody registered, and under a person.
    let mut other = Person::new(SubjectId([8; 16]));
    assert_eq!(w.own(&mut other, "operator", flag("ghost")), Effect::Inert(Why::PartyUnknown));
    let mut kim = w.person("kim");
    assert_eq!(w.own(&mut kim, "operator", flag("bank")), Effect::Inert(Why::NotThisSubject));
    // Endorsed it is another's word too: not the form.
    let recorded = w.place("operator", &["kisa"], flag("bank"));
    assert_eq!(other.apply(&w.register, &Actor::Own, &recorded), Effect::Inert(Why::Role));
}

#[test]
fn every_step_by_every_signer() {
    for kind in STEPS {
        for signer in SIGNERS {
            let mut w = world();
            let mut incident = flagged(&mut w, "bank");
            if matches!(kind, Kind::IncidentAssess | Kind::IncidentClose) {
                assert_eq!(by(&mut w, &mut incident, "kisa", Kind::IncidentConfirm), APPLIED);
            }
            let before = incident.clone();
            let effect = by(&mut w, &mut incident, signer, kind);
            let may = if kind == Kind::IncidentAnswer { "bank" } else { "kisa" };
            if signer == may {
                assert_eq!(effect, APPLIED, "{} by {signer}", kind.as_str());
            } else {
                assert!(effect.why().is_some(), "{} by {signer}", kind.as_str());
                assert_eq!(before, incident);
            }
        }
    }
}

#[test]
fn nobody_signs_in_another_s_name_and_a_suspended_accused_still_answers() {
    let mut w = world();
    let mut incident = flagged(&mut w, "bank");
    let forged = step(Kind::IncidentAnswer, "bank");
    assert!(w.by_party(&mut incident, "shop", forged.clone()).why().is_some());
    let other = IncidentAnswer { incident: Nonce([9; 16]), ..answer(&forged) };
    assert_eq!(w.by_party(&mut incident, "bank", other), Effect::Inert(Why::NotThisSubject));
    let suspended = crate::register::suspend("bank", Some(T0.plus_ms(DAY)));
    assert_eq!(w.public("kisa", &[], suspended), Effect::Applied(Touched::Register));
    assert_eq!(w.by_party(&mut incident, "bank", forged), APPLIED);
    // A regulator is not the regulator of its own case.
    let mut own = flagged(&mut w, "kisa");
    assert!(by(&mut w, &mut own, "kisa", Kind::IncidentDismiss).why().is_some());
}

fn answer(s: &Statement) -> IncidentAnswer {
    match s {
        Statement::IncidentAnswer(s) => s.as_ref().clone(),
        other => panic!("{}", other.kind().as_str()),
    }
}

/// The rule once more, from the history alone.
fn naive(history: &[Kind], kind: Kind) -> bool {
    let had = |kind: Kind| history.contains(&kind);
    if had(Kind::IncidentClose) {
        return false;
    }
    match kind {
        Kind::IncidentAnswer => true,
        Kind::IncidentConfirm => !had(Kind::IncidentConfirm) && !had(Kind::IncidentDismiss),
        Kind::IncidentAssess => had(Kind::IncidentConfirm) && !had(Kind::IncidentDismiss),
        Kind::IncidentDismiss => !had(Kind::IncidentDismiss),
        Kind::IncidentClose => had(Kind::IncidentConfirm) || had(Kind::IncidentDismiss),
        other => panic!("`{}` is no step", other.as_str()),
    }
}

#[test]
fn every_way_of_five_steps_is_the_naive_one_and_dismissed_stays_dismissed() {
    let mut w = world();
    for way in 0..STEPS.len().pow(5) {
        let mut incident = flagged(&mut w, "bank");
        let (mut history, mut rest): (Vec<Kind>, usize) = (Vec::new(), way);
        for _ in 0..5 {
            let kind = STEPS[rest % STEPS.len()];
            rest /= STEPS.len();
            let signer = if kind == Kind::IncidentAnswer { "bank" } else { "kisa" };
            let expected = naive(&history, kind);
            let effect = by(&mut w, &mut incident, signer, kind);
            assert_eq!(effect.touched().is_some(), expected, "{kind:?} after {history:?}");
            if expected {
                history.push(kind);
            } else {
                assert_eq!(effect, Effect::Inert(Why::State));
            }
        }
        let says = incident.incident().unwrap();
        let steps: Vec<Kind> = says.steps.iter().map(|s| s.kind).collect();
        assert_eq!(steps, history);
        if history.contains(&Kind::IncidentDismiss) {
            assert!(matches!(says.stage, Stage::Dismissed | Stage::Closed));
        }
    }
}

#[test]
fn an_incident_s_row_is_nobody_s() {
    let mut w = world();
    let mut incident = flagged(&mut w, "bank");
    let create = KeyCreate {
        v: V1,
        kind: Kind::KeyCreate,
        iat: T0,
        nonce: NONCE,
        key_use: KeyUse::Device,
        recovery: None,
    };
    assert_eq!(w.own(&mut incident, "kim", create), Effect::Inert(Why::KeyTaken));
    assert!(!incident.is_known());
    // As stored.
    let core = naru::ledger::cbor::encode(incident.core()).unwrap();
    let read = Person::from_parts(SubjectId([7; 16]), naru::ledger::cbor::decode(&core).unwrap(), []);
    assert_eq!(read, incident);
    assert_ne!(incident.incident().unwrap().flag, StatementId([0; 32]));
}
