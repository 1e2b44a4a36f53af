//! Rules of the decision, one reason after the other.

use naru::consent::{Actor, Effect, Person, Touched, Uses, counted, decide, decide_all};
use naru::model::decision::{Question, Reason};
use naru::model::id::{StatementId, SubjectId, Timestamp};
use naru::model::pack::{Pack, kcern_2018};
use naru::model::statement::*;
use naru::model::vocabulary::{Action, AskedAction, DataClass};

use crate::register::{retire, suspend};
use crate::world::*;

const REAL: DataClass = DataClass::RealName;

struct Case {
    w: World,
    ann: Person,
    notice: StatementId,
}

fn fresh_in(mut w: World) -> Case {
    let notice = w.publish();
    let ann = w.person("ann");
    Case { w, ann, notice }
}

fn fresh() -> Case {
    fresh_in(World::home())
}

/// Granted, as changed by `how`.
fn granted(how: impl FnOnce(&mut ConsentGrant)) -> Case {
    granted_in(World::home(), how)
}

fn granted_in(w: World, how: impl FnOnce(&mut ConsentGrant)) -> Case {
    let mut c = fresh_in(w);
    let mut s = c.w.grant(c.notice, None);
    how(&mut s);
    let effect = c.w.own(&mut c.ann, "ann", s);
    assert!(effect.touched().is_some(), "{effect:?}");
    c
}

impl Case {
    fn ask_at(&self, q: &Question, at: Timestamp) -> Reason {
        decide(&self.w.register, &self.ann, &self.w.packs[0], q, at).reason
    }

    fn ask(&self, q: &Question) -> Reason {
        self.ask_at(q, self.w.now)
    }
}

fn with(action: Action, how: impl FnOnce(&mut Question)) -> Question {
    let mut q = question(action);
    how(&mut q);
    q
}

#[test]
fn a_grant_permits_and_says_on_what_it_rests() {
    let c = granted(|_| {});
    let d = decide(&c.w.register, &c.ann, &c.w.packs[0], &question(Action::Use), c.w.now);
    assert_eq!(d.reason, Reason::ConsentGiven);
    assert!(d.permits() && d.acquainted);
    assert_eq!(d.basis, c.ann.slot(&slot_key()).unwrap().last);
    assert_eq!(d.until, Some(T0.plus_ms(20 * DAY)));
    assert_eq!((&*d.pack, d.version), ("kcern-2018", 1));
    assert!(c.w.packs[0].rule_exists(&d.rule), "{}", d.rule);
    let d = decide(&c.w.register, &c.ann, &c.w.packs[0], &question(Action::Share), c.w.now);
    assert_eq!(d.until, Some(T0.plus_ms(10 * DAY)), "sharing ends with fetching");
}

#[test]
fn each_action_ends_at_its_date_and_at_the_instant_no_longer() {
    let c = granted(|_| {});
    let (fetch, keep) = (T0.plus_ms(10 * DAY), T0.plus_ms(20 * DAY));
    for action in [Action::Collect, Action::Share] {
        assert_eq!(c.ask_at(&question(action), fetch.minus_ms(1)), Reason::ConsentGiven);
        assert_eq!(c.ask_at(&question(action), fetch), Reason::ConsentExpired);
    }
    assert_eq!(c.ask_at(&question(Action::Use), keep.minus_ms(1)), Reason::ConsentGiven);
    assert_eq!(c.ask_at(&question(Action::Use), keep), Reason::ConsentExpired);
}

#[test]
fn the_asker_is_looked_at_first() {
    let mut c = granted(|_| {});
    c.w.public("kisa", &[], suspend("bank", Some(T0.plus_ms(DAY))));
    let q = with(Action::Use, |q| q.purpose = "dpv:Fun".into());
    assert_eq!(c.ask(&q), Reason::PartySuspended);
    assert_eq!(c.ask(&with(Action::Use, |q| q.action = AskedAction::Link)), Reason::PartySuspended);
    assert_eq!(c.ask_at(&q, T0.plus_ms(DAY)), Reason::PurposeMismatch);
    assert_eq!(c.ask(&with(Action::Use, |q| q.controller = party("nobody"))), Reason::PurposeMismatch);
    let s = PartyClose { v: V1, kind: Kind::PartyClose, iat: T0, nonce: NONCE, party: party("bank") };
    c.w.public("bank", &["operator"], s);
    assert_eq!(c.ask_at(&question(Action::Use), T0.plus_ms(DAY)), Reason::PartySuspended);
}

#[test]
fn nothing_grants_reidentification_and_only_a_combiner_combines() {
    let c = granted(|g| g.actions = vec![Action::Combine]);
    for action in [AskedAction::Link, AskedAction::Match, AskedAction::Reidentify] {
        let q = with(Action::Use, |q| (q.action, q.purpose) = (action, "dpv:Fun".into()));
        assert_eq!(c.ask(&q), Reason::ReidentificationBlocked, "before purpose");
    }
    assert_eq!(c.ask(&question(Action::Combine)), Reason::ReidentificationBlocked);
    // A registered combiner asks in its own domain, and it is a normal decision.
    let mut c = fresh();
    let s = c.w.notice("combi", "main", usual_purposes());
    assert_eq!(c.w.public("combi", &[], s), Effect::Applied(Touched::Register));
    let mut s = c.w.grant(c.w.last(), None);
    (s.controller, s.actions) = (party("combi"), vec![Action::Combine]);
    assert!(c.w.own(&mut c.ann, "ann", s).touched().is_some());
    let q = with(Action::Combine, |q| q.controller = party("combi"));
    assert_eq!(c.ask(&q), Reason::ConsentGiven);
}

#[test]
fn the_purpose_stands_in_an_unretired_notice_that_declares_the_class() {
    let mut c = granted(|_| {});
    assert_eq!(c.ask(&with(Action::Use, |q| q.purpose = SERVICE.into())), Reason::PurposeMismatch);
    assert_eq!(c.ask(&with(Action::Use, |q| q.controller = party("shop"))), Reason::PurposeMismatch);
    let q = with(Action::Use, |q| (q.purpose, q.class) = (RESEARCH.into(), REAL));
    assert_eq!(c.ask(&q), Reason::ClassNotEstablished);
    let q = with(Action::Use, |q| (q.purpose, q.class) = (RESEARCH.into(), DataClass::Anonymous));
    assert_eq!(c.ask(&q), Reason::ClassNotEstablished, "a person is asked about `anonymise` only");
    c.w.public("bank", &[], retire(c.notice));
    assert_eq!(c.ask(&question(Action::Use)), Reason::NoticeRetired);
    let mut s = c.w.notice("bank", "main", vec![asks(MARKETING, DataClass::Pseudonymous, &[Action::Use])]);
    s.version = 2;
    c.w.public("bank", &[], s);
    assert_eq!(c.ask(&question(Action::Use)), Reason::ClassNotEstablished, "only a retired one declares it");
}

#[test]
fn anonymous_data_is_opt_out() {
    let mut c = fresh();
    let q = with(Action::Anonymise, |q| (q.purpose, q.class) = (RESEARCH.into(), DataClass::Anonymous));
    assert_eq!(c.ask(&q), Reason::OptOutDefaultAllow);
    for (controller, purpose) in [("*", "*"), ("bank", "*"), ("*", RESEARCH), ("bank", RESEARCH)] {
        let mut person = c.ann.clone();
        c.w.own(&mut person, "ann", object(controller, purpose, DataClass::Anonymous));
        let d = decide(&c.w.register, &person, &c.w.packs[0], &q, c.w.now);
        assert_eq!(d.reason, Reason::Objected, "{controller} {purpose}");
        let s = lift(controller, purpose, DataClass::Anonymous, Some(c.w.last()));
        c.w.own(&mut person, "ann", s);
        let d = decide(&c.w.register, &person, &c.w.packs[0], &q, c.w.now);
        assert_eq!(d.reason, Reason::OptOutDefaultAllow);
    }
    for s in [
        Statement::from(refuse("bank", RESEARCH, DataClass::Anonymous)),
        withdraw("bank", RESEARCH, DataClass::Anonymous).into(),
    ] {
        let mut person = c.ann.clone();
        c.w.own(&mut person, "ann", s);
        assert!(!decide(&c.w.register, &person, &c.w.packs[0], &q, c.w.now).permits());
    }
    // Silence permits nothing else.
    assert_eq!(c.ask(&question(Action::Use)), Reason::ConsentNotGiven);
    assert_eq!(c.ask(&question(Action::Anonymise)), Reason::ConsentNotGiven, "of real-name data");
}

#[test]
fn unknown_people_and_the_decoy_are_the_same_answer() {
    let c = fresh();
    for q in [
        question(Action::Use),
        with(Action::Anonymise, |q| (q.purpose, q.class) = (RESEARCH.into(), DataClass::Anonymous)),
        with(Action::Use, |q| q.purpose = SERVICE.into()),
    ] {
        let decoy = Person::decoy(SubjectId([9; 16]));
        let new = Person::new(SubjectId([8; 16]));
        let packs: Vec<&Pack> = c.w.packs.iter().map(AsRef::as_ref).collect();
        let answers = [
            decide(&c.w.register, &decoy, packs[0], &q, c.w.now),
            decide(&c.w.register, &new, packs[0], &q, c.w.now),
            decide_all(&c.w.register, None, &packs, &q, c.w.now),
            decide_all(&c.w.register, Some(&decoy), &packs, &q, c.w.now),
        ];
        assert!(answers.iter().all(|d| d == &answers[0]));
        assert!(!answers[0].permits() && !answers[0].acquainted);
        if q.purpose != SERVICE {
            assert_eq!(answers[0].reason, Reason::SubjectUnknown);
            assert_eq!(answers[0].told(), Reason::ConsentNotGiven);
        }
    }
}

#[test]
fn the_slots_state_is_the_reason() {
    let q = question(Action::Use);
    for (act, reason) in [
        (Statement::from(withdraw("bank", MARKETING, REAL)), Reason::ConsentWithdrawn),
        (pause("bank", MARKETING, REAL).into(), Reason::ConsentPaused),
        (object("bank", MARKETING, REAL).into(), Reason::Objected),
        (dispute("bank", MARKETING, REAL).into(), Reason::ConsentGiven),
    ] {
        let mut c = granted(|_| {});
        assert_eq!(c.w.own(&mut c.ann, "ann", act), applied());
        assert_eq!(c.ask(&q), reason);
    }
    let mut c = fresh();
    assert_eq!(c.ask(&q), Reason::ConsentNotGiven);
    c.w.own(&mut c.ann, "ann", refuse("bank", MARKETING, REAL));
    assert_eq!(c.ask(&q), Reason::ConsentRefused);
    let mut c = fresh();
    let s = attest(&c.w.grant(c.notice, None));
    assert_eq!(c.w.by_party(&mut c.ann, "bank", s), applied());
    assert_eq!(c.ask(&q), Reason::ConsentAttested);
    c.w.own(&mut c.ann, "ann", dispute("bank", MARKETING, REAL));
    assert_eq!(c.ask(&q), Reason::ConsentDisputed);
    assert_eq!(c.ask_at(&q, T0.plus_ms(20 * DAY)), Reason::ConsentExpired, "one state");
}

#[test]
fn the_question_keeps_to_the_grant() {
    let c = granted(|g| {
        g.actions = vec![Action::Use, Action::Share];
        g.categories = vec![INCOME.into()];
    });
    let none = |q: &mut Question| q.recipient = None;
    assert_eq!(c.ask(&with(Action::Share, none)), Reason::RecipientMismatch);
    let other = |q: &mut Question| q.recipient = Some(party("shop"));
    assert_eq!(c.ask(&with(Action::Share, other)), Reason::RecipientMismatch);
    assert_eq!(c.ask(&with(Action::Use, other)), Reason::RecipientMismatch);
    let age = |q: &mut Question| q.categories.push(AGE.into());
    assert_eq!(c.ask(&with(Action::Use, age)), Reason::CategoryNotCovered);
    assert_eq!(c.ask(&with(Action::Collect, age)), Reason::CategoryNotCovered, "before the action");
    assert_eq!(c.ask(&question(Action::Collect)), Reason::ActionNotCovered);
    let whole = |q: &mut Question| q.categories.clear();
    assert_eq!(c.ask(&with(Action::Use, whole)), Reason::ConsentGiven);
}

#[test]
fn a_border_is_crossed_by_a_grant_for_that_country() {
    let to = |country: &str| {
        let country = country.to_owned();
        move |q: &mut Question| q.jurisdiction = Some(country)
    };
    let c = granted(|_| {});
    assert_eq!(c.ask(&with(Action::Use, to("KR"))), Reason::ConsentGiven);
    assert_eq!(c.ask(&with(Action::Use, to("US"))), Reason::CrossBorderNotCovered);
    let c = granted(|g| {
        g.actions = vec![Action::TransferAbroad];
        g.jurisdictions = vec!["US".into()];
    });
    let abroad = |country: &str| {
        with(Action::TransferAbroad, |q| {
            q.jurisdiction = Some(country.into());
            q.recipient = Some(party("lab"));
        })
    };
    assert_eq!(c.ask(&abroad("US")), Reason::ConsentGiven);
    assert_eq!(c.ask(&abroad("JP")), Reason::CrossBorderNotCovered);
    let unnamed = with(Action::TransferAbroad, to("US"));
    assert_eq!(c.ask(&unnamed), Reason::RecipientMismatch);
    // Under a pack that recognises a country, naming it is enough; a closed one stays closed.
    let c = granted_in(World::open(), |g| g.jurisdictions.push("DE".into()));
    assert_eq!(c.ask(&with(Action::Use, to("DE"))), Reason::ConsentGiven);
    assert_eq!(c.ask(&with(Action::Use, to("KP"))), Reason::CrossBorderNotCovered);
    let c = granted_in(World::open(), |_| {});
    assert_eq!(c.ask(&with(Action::Use, to("DE"))), Reason::CrossBorderNotCovered);
}

#[test]
fn a_limited_grant_is_used_by_name_and_denied_until_the_use_is_counted() {
    let frequency = Frequency { max: 1, per_ms: DAY };
    for limits in [
        Limits { count: Some(3), ..Limits::default() },
        Limits { frequency: Some(frequency), ..Limits::default() },
    ] {
        let c = granted(|g| g.limits = Some(limits.clone()));
        assert_eq!(c.ask(&question(Action::Use)), Reason::UseIdRequired);
        let q = with(Action::Use, |q| q.use_id = Some("1".into()));
        let denied = decide(&c.w.register, &c.ann, &c.w.packs[0], &q, c.w.now);
        assert_eq!((denied.reason, denied.permits()), (Reason::UsageLimitReached, false));
        assert_eq!((denied.basis, denied.until), (None, None));
        let counting = denied.counting.clone().unwrap();
        assert_eq!(counting.limits, limits);
        let permit = counted(denied);
        assert_eq!((permit.reason, permit.until), (Reason::ConsentGiven, Some(T0.plus_ms(20 * DAY))));
        assert_eq!((permit.basis, permit.counting), (c.ann.slot(&slot_key()).unwrap().last, None));
        assert!(c.w.packs[0].rule_exists(&permit.rule), "{}", permit.rule);
        assert_eq!(c.ask(&question(Action::Profile)), Reason::ActionNotCovered, "the last reason");
    }
    let view = Limits { mode: Some(Mode::View), ..Limits::default() };
    let c = granted(|g| g.limits = Some(view));
    assert_eq!(c.ask(&question(Action::Use)), Reason::ConsentGiven);
}

#[test]
fn both_limits_must_leave_room() {
    let frequency = Some(Frequency { max: 2, per_ms: DAY });
    let limits = Limits { count: Some(5), frequency, mode: None };
    let room = |all, lately| Uses { all, lately }.leave_room(&limits);
    assert!(room(0, 0) && room(4, 1));
    assert!(!room(5, 0) && !room(4, 2) && !room(9, 9));
    assert!(Uses { all: 9, lately: 9 }.leave_room(&Limits::default()));
}

#[test]
fn an_exception_is_claimed_by_a_notice_and_replaces_only_the_slots_denial() {
    let q = |how: &dyn Fn(&mut Question)| {
        with(Action::Use, |q| {
            (q.purpose, q.class) = (RESEARCH.into(), DataClass::Pseudonymous);
            how(q);
        })
    };
    let plain = q(&|_| {});
    let claim = Claim { rule: "open#research".into(), purpose: RESEARCH.into(), reason: "r".into() };
    let unclaimed = fresh_in(World::open());
    assert_eq!(unclaimed.ask(&plain), Reason::ConsentNotGiven, "never assumed");
    let mut c = fresh_in(World::open());
    let mut s = c.w.notice("bank", "science", usual_purposes());
    s.claims = vec![claim];
    assert_eq!(c.w.public("bank", &[], s), Effect::Applied(Touched::Register));
    let d = decide(&c.w.register, &c.ann, &c.w.packs[0], &plain, c.w.now);
    assert_eq!((d.reason, &*d.rule, d.basis), (Reason::StatutoryException, "research", None));
    for (how, reason) in [
        (
            &(|q: &mut Question| q.action = AskedAction::Grantable(Action::Profile))
                as &dyn Fn(&mut Question),
            Reason::ConsentNotGiven,
        ),
        (&|q| q.purpose = MARKETING.into(), Reason::ConsentNotGiven),
        (&|q| q.categories = vec!["pd:Health".into()], Reason::ConsentNotGiven),
        (&|q| q.jurisdiction = Some("US".into()), Reason::ConsentNotGiven),
        (&|q| q.recipient = Some(party("hospital")), Reason::ConsentNotGiven),
        (&|q| q.action = AskedAction::Grantable(Action::Share), Reason::ConsentNotGiven),
        (&|q| q.action = AskedAction::Link, Reason::ReidentificationBlocked),
    ] {
        assert_eq!(c.ask(&q(how)), reason);
    }
    let pseudonymous = DataClass::Pseudonymous;
    let mut person = c.ann.clone();
    c.w.own(&mut person, "ann", withdraw("bank", RESEARCH, pseudonymous));
    let d = decide(&c.w.register, &person, &c.w.packs[0], &plain, c.w.now);
    assert_eq!(d.reason, Reason::StatutoryException, "of the slot's state");
    c.w.own(&mut person, "ann", object("*", RESEARCH, pseudonymous));
    let d = decide(&c.w.register, &person, &c.w.packs[0], &plain, c.w.now);
    assert_eq!(d.reason, Reason::Objected, "not of an objection");
    let science = c.w.register.notices().find(|n| n.says.name == "science").unwrap().id;
    c.w.public("bank", &[], retire(science));
    assert_eq!(c.ask(&plain), Reason::ConsentNotGiven, "the claim is retired");
}

#[test]
fn a_minors_own_grant_counts_and_permits_nothing() {
    let mut c = granted(|_| {});
    let q = question(Action::Use);
    let end = T0.plus_ms(5 * DAY);
    let s = subject_attest("idp", Some(end), Some("mom"));
    assert_eq!(c.w.by_party(&mut c.ann, "idp", s), Effect::Applied(Touched::Core));
    assert_eq!(c.ask(&q), Reason::MinorWithoutGuardian, "she was one when she granted");
    assert_eq!(c.ask_at(&q, end), Reason::MinorWithoutGuardian, "a birthday grants nothing");
    let mom = c.w.person("mom");
    let kinds = [Kind::ConsentGrant, Kind::ConsentPause, Kind::ConsentResume];
    let s = delegation("mom", "guardian", &kinds, T0.plus_ms(100 * DAY));
    assert_eq!(c.w.act(&mut c.ann, &Actor::Delegate(&mom), "mom", s), Effect::Applied(Touched::Core));
    let by = Some(c.w.last());
    let over = |p: &Person| p.slot(&slot_key()).unwrap().last;
    let mut s = c.w.grant(c.notice, over(&c.ann));
    s.by = by;
    assert_eq!(c.w.act(&mut c.ann, &Actor::Delegate(&mom), "mom", s), applied());
    assert_eq!(c.ask(&q), Reason::ConsentGiven);
    assert_eq!(c.ask_at(&q, end), Reason::ConsentGiven);
    // What the guardian paused the child does not resume alone.
    let mut s = pause("bank", MARKETING, REAL);
    s.by = by;
    assert_eq!(c.w.act(&mut c.ann, &Actor::Delegate(&mom), "mom", s), applied());
    let mut s = resume("bank", MARKETING, REAL);
    s.over = over(&c.ann);
    let mut alone = c.ann.clone();
    assert_eq!(c.w.own(&mut alone, "ann", s.clone()), applied());
    let d = decide(&c.w.register, &alone, &c.w.packs[0], &q, c.w.now);
    assert_eq!(d.reason, Reason::MinorWithoutGuardian);
    s.by = by;
    assert_eq!(c.w.act(&mut c.ann, &Actor::Delegate(&mom), "mom", s), applied());
    assert_eq!(c.ask(&q), Reason::ConsentGiven);
    // Nor does she lift alone what covers it.
    c.w.own(&mut c.ann, "ann", object("bank", "*", REAL));
    assert_eq!(c.ask(&q), Reason::Objected);
    let s = lift("bank", "*", REAL, Some(c.w.last()));
    assert!(c.w.own(&mut c.ann, "ann", s).touched().is_some());
    assert_eq!(c.ask(&q), Reason::MinorWithoutGuardian);
    assert_eq!(c.ask(&with(Action::Use, |q| q.class = DataClass::Pseudonymous)), Reason::ConsentNotGiven);
}

#[test]
fn closing_acts_of_a_minor_close() {
    let mut c = granted(|_| {});
    let s = subject_attest("idp", Some(T0.plus_ms(5 * DAY)), Some("mom"));
    c.w.by_party(&mut c.ann, "idp", s);
    assert_eq!(c.w.own(&mut c.ann, "ann", withdraw("bank", MARKETING, REAL)), applied());
    assert_eq!(c.ask(&question(Action::Use)), Reason::ConsentWithdrawn);
}

#[test]
fn only_a_domain_with_a_statement_is_told_why() {
    let mut c = fresh();
    let told = |c: &Case, person: &Person| {
        let d = decide(&c.w.register, person, &c.w.packs[0], &question(Action::Use), c.w.now);
        (d.acquainted, d.told())
    };
    c.w.own(&mut c.ann, "ann", object("*", "*", REAL));
    assert_eq!(told(&c, &c.ann), (false, Reason::ConsentNotGiven), "not in its domain");
    let mut person = c.ann.clone();
    c.w.own(&mut person, "ann", refuse("shop", MARKETING, REAL));
    assert_eq!(told(&c, &person), (false, Reason::ConsentNotGiven));
    let mut person = c.ann.clone();
    c.w.own(&mut person, "ann", refuse("bank", SERVICE, DataClass::Anonymous));
    assert_eq!(told(&c, &person), (true, Reason::Objected), "any slot of its own");
    let mut person = c.ann.clone();
    c.w.by_party(&mut person, "bank", signal(SignalAct::Object, "*", "*", REAL));
    assert_eq!(told(&c, &person), (true, Reason::Objected), "it carried it");
}

#[test]
fn a_permit_needs_all_packs() {
    let open = open_pack_text();
    let c = granted_in(World::new(&[kcern_2018(), &open]), |_| {});
    let packs: Vec<&Pack> = c.w.packs.iter().map(AsRef::as_ref).collect();
    assert_eq!(c.w.register.packs_of(&party("bank"), c.w.now).map(|p| p.len()), Some(2));
    let all = |q: &Question, packs: &[&Pack]| decide_all(&c.w.register, Some(&c.ann), packs, q, c.w.now);
    let q = question(Action::Use);
    assert_eq!(all(&q, &packs).reason, Reason::ConsentGiven);
    assert_eq!(all(&q, &[]).reason, Reason::LogUnavailable);
    // One pack knows an exception, the other does not.
    let mut c = fresh_in(World::new(&[kcern_2018(), &open]));
    let mut s = c.w.notice("bank", "science", usual_purposes());
    s.claims = vec![Claim { rule: "open#research".into(), purpose: RESEARCH.into(), reason: "r".into() }];
    assert_eq!(c.w.public("bank", &[], s), Effect::Applied(Touched::Register));
    let packs: Vec<&Pack> = c.w.packs.iter().map(AsRef::as_ref).collect();
    let q = with(Action::Use, |q| (q.purpose, q.class) = (RESEARCH.into(), DataClass::Pseudonymous));
    let d = decide_all(&c.w.register, Some(&c.ann), &packs, &q, c.w.now);
    assert_eq!((d.reason, &*d.pack), (Reason::ConsentNotGiven, "kcern-2018"));
    let d = decide_all(&c.w.register, Some(&c.ann), &packs[1..], &q, c.w.now);
    assert_eq!((d.reason, &*d.pack), (Reason::StatutoryException, "open"));
}
