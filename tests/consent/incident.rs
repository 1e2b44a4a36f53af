//! Incidents: who may do which step when, against a table and a naive second implementation.

use naru::consent::{Actor, Effect, Person, Stage, Touched};
use naru::model::decision::Why;
use naru::model::id::{Hash, Nonce, StatementId, SubjectId};
use naru::model::pack::kcern_2018;
use naru::model::statement::*;
use naru::model::vocabulary::Role;

use crate::world::*;

const APPLIED: Effect = Effect::Applied(Touched::Core);
const STEPS: [Kind; 10] = [
    Kind::IncidentAnswer,
    Kind::IncidentOrder,
    Kind::IncidentConfirm,
    Kind::IncidentDismiss,
    Kind::IncidentAssess,
    Kind::IncidentContain,
    Kind::IncidentReport,
    Kind::IncidentNotify,
    Kind::IncidentAppeal,
    Kind::IncidentClose,
];

/// Who takes a step against the bank. Source: the table of design §4.
fn whose(kind: Kind) -> &'static str {
    match kind {
        Kind::IncidentAnswer
        | Kind::IncidentContain
        | Kind::IncidentReport
        | Kind::IncidentNotify
        | Kind::IncidentAppeal => "bank",
        _ => "kisa",
    }
}
pub(crate) const SIGNERS: [&str; 13] = [
    "kim", "bank", "shop", "lab", "cloud", "anon", "combi", "idp", "kisa", "tokyo", "operator", "log",
    "nobody",
];

/// The usual world and a regulator whose scope is another country.
pub(crate) fn world() -> World {
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
    of!(
        IncidentAnswer,
        IncidentOrder,
        IncidentConfirm,
        IncidentDismiss,
        IncidentAssess,
        IncidentContain,
        IncidentReport,
        IncidentNotify,
        IncidentAppeal,
        IncidentClose
    )
}

/// A step that names this very incident.
fn step_of(incident: &Person, kind: Kind, signer: &str) -> Statement {
    let id = incident.incident().unwrap().id;
    let mut step = step(kind, signer);
    macro_rules! name {
        ($($name:ident),*) => {
            match &mut step {
                $(Statement::$name(s) => s.incident = id,)*
                other => panic!("`{}` is no step", other.kind().as_str()),
            }
        };
    }
    name!(
        IncidentAnswer,
        IncidentOrder,
        IncidentConfirm,
        IncidentDismiss,
        IncidentAssess,
        IncidentContain,
        IncidentReport,
        IncidentNotify,
        IncidentAppeal,
        IncidentClose
    );
    step
}

fn complained_of(w: &mut World, kim: &Person, accused: &str) -> Person {
    let complaint = IncidentComplain {
        v: V1,
        kind: Kind::IncidentComplain,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        by: None,
        party: party(accused),
        text: "they called me".into(),
    };
    let mut incident = Person::new(SubjectId([6; 16]));
    let actor = Actor::For { person: kim, delegate: None };
    assert_eq!(w.act(&mut incident, &actor, "kim", complaint), APPLIED);
    incident
}

#[test]
fn a_complaint_is_due_nothing_before_the_accused_is_told_and_then_what_the_pack_says() {
    let mut w = world();
    let kim = w.person("kim");
    let mut incident = complained_of(&mut w, &kim, "bank");
    let says = |incident: &Person| incident.incident().unwrap().clone();
    assert_eq!(says(&incident).told_at(), None);
    assert!(w.register.due_of(&says(&incident)).is_empty());
    let order = step_of(&incident, Kind::IncidentOrder, "kisa");
    assert_eq!(w.by_party(&mut incident, "kisa", order), APPLIED);
    let told = says(&incident).told_at().unwrap();
    let due = w.register.due_of(&says(&incident));
    let [due] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!((due.pack.as_str(), due.duty.as_str()), ("kcern-2018", "notify-breach"));
    assert_eq!(due.until, told.plus_ms(72 * 3_600_000));
    assert_eq!(due.met, [(Kind::IncidentReport, None), (Kind::IncidentNotify, None)]);
    let report = step_of(&incident, Kind::IncidentReport, "bank");
    assert_eq!(w.by_party(&mut incident, "bank", report), APPLIED);
    let met = w.register.due_of(&says(&incident))[0].met.clone();
    assert_eq!(
        met,
        [(Kind::IncidentReport, says(&incident).steps.last().map(|s| s.at)), (Kind::IncidentNotify, None)]
    );
    // A duty of controllers binds no other.
    let mut lab = complained_of(&mut w, &kim, "idp");
    let order = step_of(&lab, Kind::IncidentOrder, "kisa");
    assert_eq!(w.by_party(&mut lab, "kisa", order), APPLIED);
    assert!(w.register.due_of(&says(&lab)).is_empty());
}

pub(crate) fn flagged(w: &mut World, accused: &str) -> Person {
    let mut incident = Person::new(SubjectId([7; 16]));
    assert_eq!(w.own(&mut incident, "operator", flag(accused)), APPLIED);
    incident
}

pub(crate) fn by(w: &mut World, incident: &mut Person, signer: &str, kind: Kind) -> Effect {
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
            if matches!(kind, Kind::IncidentAssess | Kind::IncidentAppeal | Kind::IncidentClose) {
                assert_eq!(by(&mut w, &mut incident, "kisa", Kind::IncidentConfirm), APPLIED);
            }
            let before = incident.clone();
            let effect = by(&mut w, &mut incident, signer, kind);
            if signer == whose(kind) {
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
        Kind::IncidentOrder | Kind::IncidentContain | Kind::IncidentReport | Kind::IncidentNotify => {
            !had(Kind::IncidentDismiss)
        }
        Kind::IncidentAppeal => {
            (had(Kind::IncidentConfirm) || had(Kind::IncidentOrder)) && !had(Kind::IncidentDismiss)
        }
        Kind::IncidentConfirm => !had(Kind::IncidentConfirm) && !had(Kind::IncidentDismiss),
        Kind::IncidentAssess => had(Kind::IncidentConfirm) && !had(Kind::IncidentDismiss),
        Kind::IncidentDismiss => !had(Kind::IncidentDismiss),
        Kind::IncidentClose => had(Kind::IncidentConfirm) || had(Kind::IncidentDismiss),
        other => panic!("`{}` is no step", other.as_str()),
    }
}

#[test]
fn every_way_of_four_steps_is_the_naive_one_and_dismissed_stays_dismissed() {
    let mut w = world();
    let kim = w.person("kim");
    for way in 0..2 * STEPS.len().pow(4) {
        // Every second way begins with a complaint.
        let complained = way % 2 == 1;
        let mut incident =
            if complained { complained_of(&mut w, &kim, "bank") } else { flagged(&mut w, "bank") };
        let (mut history, mut rest): (Vec<Kind>, usize) = (Vec::new(), way / 2);
        for _ in 0..4 {
            let kind = STEPS[rest % STEPS.len()];
            rest /= STEPS.len();
            let signer = whose(kind);
            let step = step_of(&incident, kind, signer);
            if complained && history.is_empty() && signer == "bank" {
                // Nobody has told it yet.
                let effect = w.by_party(&mut incident, signer, step);
                assert_eq!(effect, Effect::Inert(Why::NotThisSubject), "{kind:?}");
                continue;
            }
            let expected = naive(&history, kind);
            let effect = w.by_party(&mut incident, signer, step);
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
