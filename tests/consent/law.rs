//! Which packs apply, to whom and from when; adoption.

use naru::consent::{ADOPTED_BEFORE_MS, Effect, Past, Register, Touched, Trial, decide_here};
use naru::model::decision::{Reason, Why};
use naru::model::id::Timestamp;
use naru::model::pack::{Pack, kcern_2018, kr_pipa_2026};
use naru::model::statement::*;
use naru::model::terms::Vocabulary;
use naru::model::vocabulary::{Action, DataClass, Role};

use crate::register::suspend;
use crate::world::*;

const OK: Effect = Effect::Applied(Touched::Register);
const PSEUDONYMOUS: DataClass = DataClass::Pseudonymous;

fn soon() -> Timestamp {
    T0.plus_ms(ADOPTED_BEFORE_MS)
}

/// A pack of another country: like the home rule, with an exception for research.
fn german() -> String {
    open_pack_text()
        .replace("name = \"open\"", "name = \"german\"")
        .replace("jurisdiction = \"KR\"", "jurisdiction = \"DE\"")
}

/// Names of the packs that apply to a party.
fn names(w: &World, name: &str, at: Timestamp) -> Vec<String> {
    let packs = w.register.packs_of(&party(name), at).unwrap_or_default();
    packs.iter().map(|p| format!("{} {}", p.name(), p.version())).collect()
}

fn research(w: &mut World, controller: &str, rules: &[&str]) {
    let mut s = w.notice(controller, "science", usual_purposes());
    let claim = |rule: &&str| Claim { rule: (*rule).into(), purpose: RESEARCH.into(), reason: "r".into() };
    s.claims = rules.iter().map(claim).collect();
    assert_eq!(w.public(controller, &[], s), OK);
}

fn asked(controller: &str) -> naru::model::decision::Question {
    let mut q = question(Action::Use);
    (q.controller, q.purpose, q.class) = (party(controller), RESEARCH.into(), PSEUDONYMOUS);
    q
}

#[test]
fn packs_follow_from_where_the_party_is_established_and_where_the_log_is_kept() {
    let mut w = World::home();
    let mut s = w.registration("berlin", &[Role::Controller]);
    s.jurisdiction = "DE".into();
    assert_eq!(w.public("berlin", &["operator"], s), OK);
    assert_eq!(w.adopt(&german(), soon()), OK);
    for name in ["bank", "berlin", "nobody"] {
        assert_eq!(names(&w, name, soon().minus_ms(1)), ["kcern-2018 1"], "{name}");
    }
    assert_eq!(
        names(&w, "berlin", soon()),
        ["kcern-2018 1", "german 1"],
        "both: at home there, recorded here"
    );
    assert_eq!(names(&w, "bank", soon()), ["kcern-2018 1"], "another country's law");
    assert_eq!(names(&w, "nobody", soon()), ["kcern-2018 1"], "established nowhere");
    // Another law of the log's own country reaches everybody in it.
    assert_eq!(w.adopt(kr_pipa_2026(), soon()), OK);
    assert_eq!(names(&w, "bank", soon()), ["kcern-2018 1", "kr-pipa-2026 1"]);
    assert_eq!(names(&w, "berlin", soon()), ["kcern-2018 1", "german 1", "kr-pipa-2026 1"]);
}

#[test]
fn decisions_change_at_the_instant_and_name_the_pack_that_decided() {
    let mut w = World::new(&[kr_pipa_2026()]);
    research(&mut w, "bank", &["kr-pipa-2026#research-28-2"]);
    let ann = w.person("ann");
    assert_eq!(w.adopt(kcern_2018(), soon()), OK);
    let at = |at| {
        let d = decide_here(&w.register, Some(&ann), &asked("bank"), at);
        (d.reason, d.pack.to_string(), d.version, d.rule.to_string())
    };
    let before = (Reason::StatutoryException, "kr-pipa-2026".to_owned(), 1, "research-28-2".to_owned());
    assert_eq!(at(w.now), before);
    assert_eq!(at(soon().minus_ms(1)), before);
    let after = (Reason::ConsentNotGiven, "kcern-2018".to_owned(), 1, "pseudonymous-opt-in".to_owned());
    assert_eq!(at(soon()), after, "a permit needs both");
}

#[test]
fn grants_and_notices_are_judged_by_the_packs_of_their_instant() {
    let mut w = World::new(&[kr_pipa_2026()]);
    let unnamed = |w: &World| {
        let mut s = w.notice("bank", &format!("n{}", w.index), usual_purposes());
        s.purposes[1].recipients.clear();
        s
    };
    let s = unnamed(&w);
    assert_eq!(w.public("bank", &[], s), OK);
    let notice = w.last();
    assert_eq!(w.adopt(kcern_2018(), soon()), OK);
    let mut ann = w.person("ann");
    let grant = |w: &World, over| {
        let mut g = w.grant(notice, over);
        (g.class, g.recipients) = (PSEUDONYMOUS, vec![]);
        g
    };
    let g = grant(&w, None);
    assert!(w.own(&mut ann, "ann", g).touched().is_some());
    let over = Some(w.last());
    w.now = soon();
    let g = grant(&w, over);
    assert_eq!(w.own(&mut ann, "ann", g), inert(Why::Pack), "nobody by name");
    let s = unnamed(&w);
    assert_eq!(w.public("bank", &[], s), inert(Why::Pack));
}

#[test]
fn a_pack_is_adopted_by_operator_and_regulator_a_day_before() {
    let mut w = World::home();
    let pack = || Pack::parse(kr_pipa_2026()).unwrap();
    let good = w.adoption(&pack(), soon());
    for (signer, endorsers, why) in [
        ("operator", &[][..], Why::Endorsement),
        ("operator", &["operator"][..], Why::Endorsement),
        ("operator", &["bank"][..], Why::Endorsement),
        ("operator", &["nobody", "kisa"][..], Why::Endorsement),
        ("kisa", &["operator"][..], Why::Role),
        ("bank", &["kisa"][..], Why::Role),
        ("nobody", &["kisa"][..], Why::KeyNotInSet),
        ("log", &["kisa"][..], Why::KeyNotInSet),
    ] {
        assert_eq!(w.adopt_as(signer, endorsers, good.clone(), pack()), inert(why), "{signer} {endorsers:?}");
    }
    for (from, why) in [
        (w.now, Why::TooSoon),
        (T0.minus_ms(DAY), Why::TooSoon),
        (soon().minus_ms(5_000), Why::TooSoon),
        (soon().plus_ms(1), Why::Dates),
    ] {
        let s = PackAdopt { from, ..good.clone() };
        assert_eq!(w.adopt_as("operator", &["kisa"], s, pack()), inert(why), "{from:?}");
    }
    for spoil in [
        &(|s: &mut PackAdopt| s.hash = hash("another file")) as &dyn Fn(&mut PackAdopt),
        &|s| s.version = 2,
        &|s| s.pack = "kcern-2018".into(),
    ] {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.adopt_as("operator", &["kisa"], s, pack()), inert(Why::Pack));
    }
    assert_eq!(w.register.adoptions().count(), 1, "nothing of this left a trace");
    // A suspended regulator endorses nothing.
    let mut late = w.clone();
    assert_eq!(late.public("kisa", &[], suspend("kisa", None)), OK);
    assert_eq!(late.adopt_as("operator", &["kisa"], good.clone(), pack()), inert(Why::Endorsement));
    assert_eq!(w.adopt_as("operator", &["kisa"], good.clone(), pack()), OK);
    assert_eq!(w.register.next_adoption(w.now), Some(soon()));
    assert_eq!(w.adopt_as("operator", &["kisa"], good, pack()), inert(Why::NameTaken), "one version, once");
}

#[test]
fn bills_fixtures_and_law_not_yet_in_force_are_not_adopted() {
    let mut w = World::home();
    let with = |from: &str, to: &str| kr_pipa_2026().replacen(from, to, 1);
    for status in ["proposal", "fixture"] {
        let text = with("status = \"law\"", &format!("status = \"{status}\""));
        assert_eq!(w.adopt(&text, soon()), inert(Why::Pack), "{status}");
    }
    let text = with("valid-from = 2026-09-11", "valid-from = 2036-09-11");
    assert_eq!(w.adopt(&text, soon()), inert(Why::Dates));
}

#[test]
fn a_later_version_replaces_and_may_end_its_pack() {
    let mut w = World::new(&[kcern_2018(), kr_pipa_2026()]);
    let ends = soon().plus_ms(30 * DAY);
    // 2027-02-15T08:00:00Z.
    assert_eq!(ends.0, 1_802_678_400_000);
    let second = kcern_2018().replacen("version = 1", "version = 2", 1).replacen(
        "status = \"policy\"",
        "valid-until = 2027-02-15T08:00:00Z\nstatus = \"policy\"",
        1,
    );
    assert_eq!(w.adopt(&second, soon()), OK);
    assert_eq!(names(&w, "bank", soon().minus_ms(1)), ["kcern-2018 1", "kr-pipa-2026 1"]);
    assert_eq!(names(&w, "bank", soon()), ["kr-pipa-2026 1", "kcern-2018 2"]);
    assert_eq!(names(&w, "bank", ends), ["kr-pipa-2026 1"], "the first version does not come back");
}

#[test]
fn an_exception_of_a_coming_pack_may_be_claimed_and_permits_nothing_before() {
    let mut w = World::home();
    let mut early = w.notice("bank", "early", usual_purposes());
    let rule = "kr-pipa-2026#research-28-2".to_owned();
    early.claims = vec![Claim { rule, purpose: RESEARCH.into(), reason: "r".into() }];
    assert_eq!(w.public("bank", &[], early), inert(Why::Pack), "of a pack nobody named");
    assert_eq!(w.adopt(kr_pipa_2026(), soon()), OK);
    research(&mut w, "bank", &["kr-pipa-2026#research-28-2"]);
    let ann = w.person("ann");
    let d = decide_here(&w.register, Some(&ann), &asked("bank"), w.now);
    assert_eq!(d.reason, Reason::ConsentNotGiven);
}

#[test]
fn a_row_holds_what_was_adopted_and_without_a_file_nothing_is_judged() {
    let mut w = World::home();
    assert_eq!(w.adopt(kr_pipa_2026(), soon()), OK);
    let bytes = serde_cbor::to_vec(&w.register).unwrap();
    let bare: Register = serde_cbor::from_slice(&bytes).unwrap();
    assert_eq!(bare, w.register);
    assert_eq!(bare.pack_hashes(), w.register.pack_hashes());
    let home = bare.attach(std::sync::Arc::new(Vocabulary::embedded().unwrap()), w.files());
    assert_eq!(home.packs_of(&party("bank"), w.now).map(|p| p.len()), Some(1));
    assert!(home.packs_of(&party("bank"), soon()).is_none(), "the adopted one is not attached");
    let d = decide_here(&home, None, &question(Action::Use), soon());
    assert_eq!(d.reason, Reason::LogUnavailable);
}

#[test]
fn a_trial_decides_the_past_again_beside_or_instead_of_what_was() {
    let mut w = World::home();
    // Claimed for the day on which the act is adopted; until then nothing comes of it.
    assert_eq!(w.adopt(kr_pipa_2026(), T0.plus_ms(300 * DAY)), OK);
    research(&mut w, "bank", &["kr-pipa-2026#research-28-2"]);
    let (ann, q) = (w.person("ann"), asked("bank"));
    let act = Pack::parse(kr_pipa_2026()).unwrap();
    let ask = |mut trial: Trial<'_>| {
        for person in [Some(&ann), Some(&ann), None] {
            let (counted, decision) = (false, None);
            trial.ask(Past { register: &w.register, person, question: &q, at: w.now, counted, decision });
        }
        assert_eq!(trial.asked(), 3);
        let rows = trial.changes().map(|(c, n)| (c.before.reason, c.after.reason, c.after.rule.clone(), n));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(ask(Trial::of(&act)), [], "beside the home rule both must permit");
    let (before, after) = (Reason::ConsentNotGiven, Reason::StatutoryException);
    assert_eq!(
        ask(Trial::of(&act).instead_of("kcern-2018")),
        [(before, after, "research-28-2".to_owned(), 2)],
        "an unknown person stays unknown"
    );
    let german = Pack::parse(&german()).unwrap();
    assert_eq!(ask(Trial::of(&german)), [], "a law that does not reach the party");
}
