//! Rules of the fold over one person.

use naru::consent::{Actor, Core, Effect, Person, Slot, SlotKey, State, Touched};
use naru::model::decision::Why;
use naru::model::id::{StatementId, SubjectId};
use naru::model::statement::*;
use naru::model::vocabulary::{Action, DataClass, Role};

use crate::register::{retire, suspend};
use crate::world::*;

const REAL: DataClass = DataClass::RealName;

/// A world with the notice of `bank` and `ann`.
fn ann() -> (World, Person, StatementId) {
    let mut w = World::home();
    let notice = w.publish();
    let ann = w.person("ann");
    (w, ann, notice)
}

fn core() -> Effect {
    Effect::Applied(Touched::Core)
}

fn create(recovery: Option<&str>) -> KeyCreate {
    KeyCreate {
        v: V1,
        kind: Kind::KeyCreate,
        iat: T0,
        nonce: NONCE,
        key_use: KeyUse::Passkey,
        recovery: recovery.map(key),
    }
}

/// The same person after `key` was revoked.
fn revoked(person: &Person, name: &str) -> Person {
    let mut core = person.core().clone();
    for own in core.keys.iter_mut().filter(|own| own.key == key(name)) {
        own.revoked = Some(1);
    }
    let slots = person.slots().map(|(k, s)| (k.clone(), s.clone()));
    Person::from_parts(person.subject(), core, slots)
}

#[test]
fn a_person_is_made_once_by_a_key_of_nobody() {
    let (mut w, mut ann, _) = ann();
    assert!(!ann.is_new() && ann.has_live_key(&key("ann"), T0));
    assert_eq!(w.own(&mut ann, "ann", create(None)), inert(Why::KeyTaken));
    assert_eq!(w.own(&mut ann, "other", create(None)), inert(Why::KeyTaken));
    for (signer, recovery) in [
        ("bank", None),
        ("kisa", None),
        ("operator", None),
        ("log", None),
        ("x", Some("x")),
        ("x", Some("bank")),
    ] {
        let mut new = Person::new(SubjectId([1; 16]));
        assert_eq!(w.own(&mut new, signer, create(recovery)), inert(Why::KeyTaken), "{signer} {recovery:?}");
        assert!(new.is_new());
    }
    let mut new = Person::new(SubjectId([1; 16]));
    assert_eq!(w.act(&mut new, &Actor::Delegate(&ann), "ann", create(None)), inert(Why::Role));
    assert_eq!(w.by_party(&mut new, "idp", create(None)), inert(Why::Role));
    assert_eq!(w.own(&mut new, "new", create(Some("paper"))), core());
    assert!(new.has_live_key(&key("new"), T0) && !new.has_live_key(&key("paper"), T0));
    let s = withdraw("bank", MARKETING, REAL);
    assert_eq!(w.own(&mut new, "paper", s), inert(Why::KeyNotInSet), "a recovery key only recovers");
}

#[test]
fn nobody_and_the_decoy_take_no_statement_in() {
    let (mut w, _, notice) = ann();
    for mut nobody in [Person::new(SubjectId([1; 16])), Person::decoy(SubjectId([2; 16]))] {
        let s = w.grant(notice, None);
        assert_eq!(w.own(&mut nobody, "x", s), inert(Why::NotThisSubject));
        let s = signal(SignalAct::Object, "bank", MARKETING, REAL);
        assert_eq!(w.by_party(&mut nobody, "bank", s), inert(Why::NotThisSubject));
        assert_eq!(nobody.slots().count(), 0);
    }
    let mut decoy = Person::decoy(SubjectId([2; 16]));
    assert_eq!(w.own(&mut decoy, "x", create(None)), inert(Why::KeyTaken));
}

#[test]
fn her_key_must_be_in_her_set_and_live() {
    let (mut w, ann, notice) = ann();
    let bob = w.person("bob");
    for (mut person, signer, why) in [
        (ann.clone(), "bob", Why::KeyNotInSet),
        (ann.clone(), "bank", Why::KeyNotInSet),
        (revoked(&ann, "ann"), "ann", Why::KeyRevoked),
        (bob, "ann", Why::KeyNotInSet),
    ] {
        let s = w.grant(notice, None);
        assert_eq!(w.own(&mut person, signer, s), inert(why), "{signer}");
        let s = withdraw("bank", MARKETING, REAL);
        assert_eq!(w.own(&mut person, signer, s), inert(why), "{signer}: closing, too");
        assert_eq!(w.own(&mut person, signer, object("*", "*", REAL)), inert(why), "{signer}");
    }
}

#[test]
fn a_grant_says_nothing_the_notice_does_not() {
    let (mut w, ann, notice) = ann();
    let mut shop_notice = w.notice("shop", "main", usual_purposes());
    shop_notice.name = "s".into();
    assert_eq!(w.public("shop", &[], shop_notice), Effect::Applied(Touched::Register));
    let other = w.last();
    let mut far = asks(SERVICE, REAL, &[Action::Use]);
    far.recipients.clear();
    let small = w.notice("bank", "small", vec![far]);
    assert_eq!(w.public("bank", &[], small), Effect::Applied(Touched::Register));
    let small = w.last();
    let good = w.grant(notice, None);
    let cases: [(&str, Spoil<'_, ConsentGrant>, Why); 21] = [
        ("unknown party", &|g| g.controller = party("nobody"), Why::PartyUnknown),
        ("unknown notice", &|g| g.notice.id = StatementId([9; 32]), Why::NoticeMismatch),
        ("notice of another", &|g| g.notice.id = other, Why::NoticeMismatch),
        ("other text", &|g| g.notice.hash = hash("other"), Why::NoticeMismatch),
        ("other locale", &|g| g.notice.locale = "en".into(), Why::NoticeMismatch),
        ("other purpose", &|g| g.purpose = SERVICE.into(), Why::NoticeMismatch),
        ("other class", &|g| g.class = DataClass::Anonymous, Why::NoticeMismatch),
        ("purpose *", &|g| g.purpose = "*".into(), Why::NoticeMismatch),
        ("category", &|g| g.categories.push("pd:Health".into()), Why::NoticeMismatch),
        ("required", &|g| g.categories = vec![AGE.into()], Why::RequiredCategory),
        ("no category", &|g| g.categories.clear(), Why::NoticeMismatch),
        ("no action", &|g| g.actions.clear(), Why::NoticeMismatch),
        ("recipient", &|g| g.recipients.push(party("hospital")), Why::NoticeMismatch),
        ("country", &|g| g.jurisdictions.push("JP".into()), Why::NoticeMismatch),
        ("fetch after keep", &|g| g.fetch_until = g.keep_until.plus_ms(1), Why::Dates),
        ("over already", &|g| (g.fetch_until, g.keep_until) = (T0, T0), Why::Dates),
        ("longer than told", &|g| g.keep_until = T0.plus_ms(365 * DAY + 1), Why::Dates),
        (
            "action of another notice",
            &|g| {
                g.notice.id = small;
                g.purpose = SERVICE.into();
                g.recipients.clear();
            },
            Why::NoticeMismatch,
        ),
        (
            "abroad among others",
            &|g| {
                g.actions.push(Action::TransferAbroad);
                g.jurisdictions.push("US".into());
            },
            Why::Pack,
        ),
        ("abroad without a country", &|g| g.actions = vec![Action::TransferAbroad], Why::Pack),
        ("stale over", &|g| g.over = Some(StatementId([9; 32])), Why::Superseded),
    ];
    for (what, spoil, why) in cases {
        let mut g = good.clone();
        spoil(&mut g);
        let mut person = ann.clone();
        assert_eq!(w.own(&mut person, "ann", g), inert(why), "{what}");
        assert_eq!(person, ann, "{what}");
    }
    let mut person = ann.clone();
    assert_eq!(w.own(&mut person, "ann", good), applied());
    let mut g = w.grant(notice, None);
    g.actions = vec![Action::TransferAbroad];
    g.jurisdictions = vec!["US".into()];
    let mut person = ann.clone();
    assert_eq!(w.own(&mut person, "ann", g), applied(), "abroad by itself, to the country told");
}

#[test]
fn a_pseudonymous_grant_is_of_limited_use() {
    let (mut w, ann, notice) = ann();
    let mut good = w.grant(notice, None);
    good.class = DataClass::Pseudonymous;
    let alone = |action| {
        move |g: &mut ConsentGrant| {
            g.actions = vec![action];
            if action == Action::TransferAbroad {
                g.jurisdictions = vec!["US".into()];
            }
        }
    };
    let with = |action| move |g: &mut ConsentGrant| g.actions = vec![Action::Use, action];
    for action in [Action::Profile, Action::Combine, Action::TransferAbroad] {
        let mut g = good.clone();
        with(action)(&mut g);
        assert_eq!(w.own(&mut ann.clone(), "ann", g), inert(Why::Pack), "{action:?} beside others");
        let mut g = good.clone();
        alone(action)(&mut g);
        assert!(w.own(&mut ann.clone(), "ann", g).touched().is_some(), "{action:?} by itself");
    }
    let mut g = good.clone();
    g.recipients.clear();
    assert_eq!(w.own(&mut ann.clone(), "ann", g), inert(Why::Pack), "nobody named");
    assert!(w.own(&mut ann.clone(), "ann", good).touched().is_some());
}

#[test]
fn nothing_new_is_granted_under_a_retired_notice_or_to_a_party_that_may_not_act() {
    let (mut w, ann, notice) = ann();
    let mut granted = ann.clone();
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut granted, "ann", s), applied());
    let before = w.clone();
    w.public("bank", &[], retire(notice));
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut ann.clone(), "ann", s), inert(Why::NoticeRetired));
    assert_eq!(w.own(&mut granted.clone(), "ann", withdraw("bank", MARKETING, REAL)), applied());
    let mut w = before;
    w.public("kisa", &[], suspend("bank", None));
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut ann.clone(), "ann", s), inert(Why::PartySuspended));
    assert_eq!(w.own(&mut granted, "ann", withdraw("bank", MARKETING, REAL)), applied());
}

#[test]
fn closing_needs_no_party_no_notice_and_no_clock() {
    let (mut w, ann, _) = ann();
    let closings: [Statement; 6] = [
        withdraw("nobody", "dpv:Nothing", REAL).into(),
        refuse("nobody", "dpv:Nothing", REAL).into(),
        pause("nobody", "dpv:Nothing", REAL).into(),
        dispute("nobody", "dpv:Nothing", REAL).into(),
        object("nobody", "dpv:Nothing", REAL).into(),
        object("*", "*", DataClass::Anonymous).into(),
    ];
    for s in closings {
        for _ in 0..2 {
            assert!(w.own(&mut ann.clone(), "ann", s.clone()).touched().is_some(), "{:?}", s.kind());
        }
    }
    // But `*` is an objection's word: a withdrawal of `*` would do nothing, so it says so.
    assert_eq!(w.own(&mut ann.clone(), "ann", withdraw("bank", "*", REAL)), inert(Why::Vocabulary));
    let s = signal(SignalAct::Withdraw, "*", MARKETING, REAL);
    assert_eq!(w.by_party(&mut ann.clone(), "bank", s), inert(Why::Vocabulary));
    let s = signal(SignalAct::Object, "*", "*", REAL);
    assert!(w.by_party(&mut ann.clone(), "bank", s).touched().is_some());
}

#[test]
fn an_objection_covers_four_ways_and_lifting_it_leaves_the_other_slots() {
    let (mut w, mut ann, notice) = ann();
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut ann, "ann", s), applied());
    let granted = ann.slot(&slot_key()).cloned();
    let over = granted.as_ref().and_then(|s| s.last);
    for (controller, purpose) in [("*", "*"), ("bank", "*"), ("*", MARKETING)] {
        let mut person = ann.clone();
        w.own(&mut person, "ann", object(controller, purpose, REAL));
        let objection = w.last();
        assert_eq!(person.objection(&party("bank"), MARKETING, REAL), Some(objection));
        assert_eq!(person.slot(&slot_key()).cloned(), granted, "a slot of its own");
        let s = w.grant(notice, over);
        assert_eq!(w.own(&mut person, "ann", s), inert(Why::Objected));
        let s = attest(&w.grant(notice, over));
        assert_eq!(w.by_party(&mut person, "bank", s), inert(Why::Objected));
        assert_eq!(w.own(&mut person, "ann", lift(controller, purpose, REAL, None)), inert(Why::Superseded));
        assert_eq!(w.own(&mut person, "ann", lift("bank", MARKETING, REAL, over)), inert(Why::State));
        let s = lift(controller, purpose, REAL, Some(objection));
        assert!(w.own(&mut person, "ann", s).touched().is_some());
        assert_eq!(person.objection(&party("bank"), MARKETING, REAL), None);
        assert_eq!(person.slot(&slot_key()).cloned(), granted);
        let s = w.grant(notice, over);
        assert_eq!(w.own(&mut person, "ann", s), applied());
    }
    for (controller, purpose, class) in [
        ("shop", "*", REAL),
        ("*", RESEARCH, REAL),
        ("shop", MARKETING, REAL),
        ("*", "*", DataClass::Pseudonymous),
    ] {
        let mut person = ann.clone();
        w.own(&mut person, "ann", object(controller, purpose, class));
        let s = w.grant(notice, over);
        assert_eq!(w.own(&mut person, "ann", s), applied(), "{controller} {purpose} {class:?}");
    }
}

#[test]
fn nothing_old_or_late_reopens_what_was_closed() {
    let (mut w, mut ann, notice) = ann();
    let s = w.grant(notice, None);
    let first = w.place("ann", &[], s);
    assert_eq!(ann.apply(&w.register, &Actor::Own, &first), applied());
    assert_eq!(ann.apply(&w.register, &Actor::Own, &first), inert(Why::Superseded), "replayed");
    let s = w.grant(notice, Some(first.id()));
    let queued = w.place("ann", &[], s);
    assert_eq!(w.own(&mut ann, "ann", withdraw("bank", MARKETING, REAL)), applied());
    assert_eq!(ann.apply(&w.register, &Actor::Own, &queued), inert(Why::Superseded), "late");
    assert_eq!(ann.apply(&w.register, &Actor::Own, &first), inert(Why::Superseded), "replayed later");
    let s = w.grant(notice, Some(StatementId([3; 32])));
    assert_eq!(w.own(&mut ann, "ann", s), inert(Why::Superseded), "over something else");
    assert_eq!(ann.slot(&slot_key()).unwrap().state, State::Withdrawn);
}

#[test]
fn an_attestation_is_the_controllers_own_word_for_a_fresh_slot() {
    let (mut w, ann, notice) = ann();
    let good = attest(&w.grant(notice, None));
    assert_eq!(w.by_party(&mut ann.clone(), "shop", good.clone()), inert(Why::KeyNotInSet));
    assert_eq!(
        w.act(&mut ann.clone(), &Actor::Party(party("bank")), "shop", good.clone()),
        inert(Why::KeyNotInSet)
    );
    assert_eq!(w.own(&mut ann.clone(), "ann", good.clone()), inert(Why::Role));
    let mut s = good.clone();
    s.controller = party("lab");
    assert_eq!(w.by_party(&mut ann.clone(), "lab", s), inert(Why::Role), "no controller");
    let cases: [(Spoil<'_, ConsentAttest>, Why); 5] = [
        (&|s| s.given_at = T0.plus_ms(1), Why::Dates),
        (&|s| s.fetch_until = s.keep_until.plus_ms(1), Why::Dates),
        (&|s| s.purpose = "dpv:Fun".into(), Why::Vocabulary),
        (&|s| s.categories.clear(), Why::Vocabulary),
        (&|s| s.actions.push(Action::TransferAbroad), Why::Pack),
    ];
    for (spoil, why) in cases {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.by_party(&mut ann.clone(), "bank", s), inert(why));
    }
    let mut person = ann.clone();
    assert_eq!(w.by_party(&mut person, "bank", good.clone()), applied());
    assert_eq!(w.by_party(&mut person, "bank", good.clone()), inert(Why::Superseded));
    let mut again = good.clone();
    again.over = person.slot(&slot_key()).unwrap().last;
    assert_eq!(w.by_party(&mut person, "bank", again), inert(Why::State), "not a second time");
    w.public("kisa", &[], suspend("bank", None));
    assert_eq!(w.by_party(&mut ann.clone(), "bank", good), inert(Why::PartySuspended));
}

#[test]
fn a_signal_is_carried_by_any_party_even_a_suspended_one() {
    let (mut w, mut ann, notice) = ann();
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut ann, "ann", s), applied());
    w.public("kisa", &[], suspend("lab", None));
    let s = signal(SignalAct::Withdraw, "bank", MARKETING, REAL);
    assert_eq!(w.act(&mut ann.clone(), &Actor::Party(party("lab")), "x", s.clone()), inert(Why::KeyNotInSet));
    assert_eq!(w.by_party(&mut ann.clone(), "nobody", s.clone()), inert(Why::PartyUnknown));
    for name in ["bank", "shop", "lab", "cloud", "idp", "anon", "combi", "kisa"] {
        let mut person = ann.clone();
        assert_eq!(w.by_party(&mut person, name, s.clone()), applied(), "{name}");
        assert_eq!(person.slot(&slot_key()).unwrap().state, State::Withdrawn);
        assert!(person.is_acquainted(&party(name)));
        assert_eq!(w.own(&mut person, "ann", refuse("bank", MARKETING, REAL)), applied());
        assert!(person.is_acquainted(&party(name)), "the statement stays in its domain");
        assert_eq!(person.slot(&slot_key()).unwrap().carried_by, None);
    }
}

/// `kim` is eight; `mom` is attested as her guardian until she is fourteen.
fn family() -> (World, Person, Person, StatementId) {
    let (mut w, _, notice) = ann();
    let mom = w.person("mom");
    let mut kim = w.person("kim");
    let s = subject_attest("idp", Some(w.now.plus_ms(100 * DAY)), Some("mom"));
    assert_eq!(w.by_party(&mut kim, "idp", s), core());
    (w, kim, mom, notice)
}

const ALL: &[Kind] = &[Kind::ConsentGrant, Kind::ConsentWithdraw, Kind::ConsentResume, Kind::ConsentLift];

/// ... and has appointed herself.
fn guarded() -> (World, Person, Person, StatementId, StatementId) {
    let (mut w, mut kim, mom, notice) = family();
    let s = delegation("mom", "guardian", ALL, w.now.plus_ms(1000 * DAY));
    assert_eq!(w.act(&mut kim, &Actor::Delegate(&mom), "mom", s), core());
    let by = w.last();
    (w, kim, mom, notice, by)
}

#[test]
fn only_an_identity_provider_says_who_is_a_minor_and_whose_guardian() {
    let (mut w, mut ann, _) = ann();
    let s = subject_attest("idp", Some(w.now.plus_ms(DAY)), Some("mom"));
    assert_eq!(w.by_party(&mut ann, "bank", s.clone()), inert(Why::KeyNotInSet));
    assert_eq!(w.own(&mut ann, "ann", s), inert(Why::Role));
    let s = subject_attest("kisa", None, Some("mom"));
    assert_eq!(w.by_party(&mut ann, "kisa", s), inert(Why::Role));
    let s = subject_attest("idp", None, Some("ann"));
    assert_eq!(w.by_party(&mut ann, "idp", s), inert(Why::NotGuardian), "nobody is her own guardian");
    let s = subject_attest("idp", Some(w.now.plus_ms(DAY)), Some("mom"));
    assert_eq!(w.by_party(&mut ann, "idp", s), core());
    assert!(ann.is_minor(w.now) && !ann.is_minor(w.now.plus_ms(DAY)));
    // The same guardian again replaces, another one stands beside.
    let s = subject_attest("idp", Some(w.now.plus_ms(DAY)), Some("dad"));
    assert_eq!(w.by_party(&mut ann, "idp", s), core());
    let s = subject_attest("idp", Some(w.now), Some("mom"));
    assert_eq!(w.by_party(&mut ann, "idp", s), core());
    assert_eq!(ann.attestations().len(), 2);
    assert!(ann.is_guarded_by(&key("dad"), w.now) && !ann.is_guarded_by(&key("mom"), w.now));
    w.public("kisa", &[], suspend("idp", None));
    let s = subject_attest("idp", None, None);
    assert_eq!(w.by_party(&mut ann, "idp", s), inert(Why::PartySuspended));
}

#[test]
fn a_guardian_acts_for_her_ward_as_long_as_the_attestation_holds() {
    let (mut w, kim, mom, notice, by) = guarded();
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    let mut person = kim.clone();
    assert_eq!(w.act(&mut person, &Actor::Delegate(&mom), "mom", s.clone()), applied());
    assert_eq!(person.slot(&slot_key()).unwrap().alone_since, None);
    let gone = revoked(&mom, "mom");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&gone), "mom", s.clone()), inert(Why::KeyRevoked));
    let bob = w.person("bob");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&bob), "bob", s.clone()), inert(Why::KeyNotInSet));
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "bob", s.clone()), inert(Why::KeyNotInSet));
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&kim), "kim", s.clone()), inert(Why::NotThisSubject));
    let mut nameless = s.clone();
    nameless.by = None;
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", nameless), inert(Why::KeyNotInSet));
    let mut other = s.clone();
    other.by = Some(notice);
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", other), inert(Why::DelegationEnded));
    // The delegation would run on, the attestation has ended with her fourteenth birthday.
    w.now = w.now.plus_ms(100 * DAY);
    let mut late = w.grant(notice, None);
    late.by = Some(by);
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", late), inert(Why::NotGuardian));
}

#[test]
fn any_live_key_of_the_guardians_set_counts() {
    let (mut w, kim, mom, notice, by) = guarded();
    let mut keys = mom.core().clone();
    keys.keys[0].revoked = Some(5);
    keys.keys.push(naru::consent::Key { key: key("mom-2"), key_use: KeyUse::Device, from: 5, revoked: None });
    let mom = Person::from_parts(mom.subject(), keys, []);
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", s.clone()), inert(Why::KeyRevoked));
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom-2", s), applied());
}

/// Else every row would be sorted again each time it is written.
#[test]
fn fields_are_declared_in_the_order_in_which_rows_are_stored() {
    fn declared(value: &impl serde::Serialize) -> Vec<u8> {
        let mut out = Vec::new();
        ciborium::into_writer(value, &mut out).unwrap();
        out
    }
    let (mut w, mut kim, mom, notice, by) = guarded();
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    assert_eq!(w.act(&mut kim, &Actor::Delegate(&mom), "mom", s), applied());
    let core = kim.core();
    assert!(!core.keys.is_empty() && !core.seats.is_empty() && !core.attestations.is_empty());
    assert_eq!(declared(core), naru::ledger::cbor::encode(core).unwrap());
    assert_eq!(kim.slots().count(), 1);
    for row in kim.slots() {
        assert_eq!(declared(&row), naru::ledger::cbor::encode(&row).unwrap());
    }
}

#[test]
fn what_hangs_below_a_delegation_stays_within_it_and_ends_with_it() {
    let (mut w, mut ann, notice) = ann();
    let (bob, cat, dan) = (w.person("bob"), w.person("cat"), w.person("dan"));
    let until = w.now.plus_ms(10 * DAY);
    let types = &[Kind::ConsentGrant, Kind::ConsentWithdraw];
    let below = |name: &str, depth: u8, until| DelegationGrant {
        depth,
        controllers: vec![party("bank")],
        ..delegation(name, "helper", types, until)
    };
    assert_eq!(w.own(&mut ann, "ann", below("bob", 2, until)), core());
    let top = w.last();
    for (reaching, why) in [
        (below("cat", 2, until), Why::NotGuardian),
        (below("cat", 1, until.plus_ms(1)), Why::NotGuardian),
        (DelegationGrant { controllers: vec![], ..below("cat", 1, until) }, Why::NotGuardian),
        (DelegationGrant { controllers: vec![party("shop")], ..below("cat", 1, until) }, Why::NotGuardian),
        (DelegationGrant { types: vec!["consent.lift".into()], ..below("cat", 1, until) }, Why::NotGuardian),
        (DelegationGrant { reason: "guardian".into(), ..below("cat", 1, until) }, Why::NotGuardian),
    ] {
        assert_eq!(w.act(&mut ann, &Actor::Delegate(&bob), "bob", reaching), inert(why));
    }
    assert_eq!(w.act(&mut ann, &Actor::Delegate(&bob), "bob", below("cat", 1, until)), core());
    let middle = w.last();
    assert_eq!(
        w.act(&mut ann, &Actor::Delegate(&cat), "cat", below("dan", 1, until)),
        inert(Why::NotGuardian)
    );
    assert_eq!(w.act(&mut ann, &Actor::Delegate(&cat), "cat", below("dan", 0, until)), core());
    let leaf = w.last();
    let eve = w.person("eve");
    assert_eq!(
        w.act(&mut ann, &Actor::Delegate(&dan), "dan", below("eve", 0, until)),
        inert(Why::NotGuardian)
    );
    assert_eq!(
        w.act(&mut ann, &Actor::Delegate(&eve), "eve", below("eve", 0, until)),
        inert(Why::NotGuardian)
    );
    let mut by = |ann: &Person, who: &Person, name: &str, by| {
        let s = ConsentGrant { by: Some(by), ..w.grant(notice, None) };
        w.act(&mut ann.clone(), &Actor::Delegate(who), name, s)
    };
    for (who, name, id) in [(&bob, "bob", top), (&cat, "cat", middle), (&dan, "dan", leaf)] {
        assert_eq!(by(&ann, who, name, id), applied(), "{name}");
    }
    // The one at the top ends: so do all below, though nobody ended them.
    let mut ended = ann.clone();
    assert_eq!(w.own(&mut ended, "ann", delegation_end("bob")), core());
    // Replaced by another: what hung below hung on the old one.
    let mut replaced = ann.clone();
    let again = DelegationGrant { over: Some(top), ..below("bob", 2, until) };
    assert_eq!(w.own(&mut replaced, "ann", again), core());
    // A delegate ends what she founded, and nothing else.
    let mut cut = ann.clone();
    assert_eq!(
        w.act(&mut cut, &Actor::Delegate(&bob), "bob", delegation_end("dan")),
        inert(Why::NotGuardian)
    );
    assert_eq!(
        w.act(&mut cut, &Actor::Delegate(&cat), "cat", delegation_end("bob")),
        inert(Why::NotGuardian)
    );
    assert_eq!(w.act(&mut cut, &Actor::Delegate(&bob), "bob", delegation_end("cat")), core());
    let mut by = |ann: &Person, who: &Person, name: &str, by| {
        let s = ConsentGrant { by: Some(by), ..w.grant(notice, None) };
        w.act(&mut ann.clone(), &Actor::Delegate(who), name, s)
    };
    for gone in [&ended, &replaced, &cut] {
        assert_eq!(by(gone, &cat, "cat", middle), inert(Why::DelegationEnded));
        assert_eq!(by(gone, &dan, "dan", leaf), inert(Why::DelegationEnded));
    }
    assert_eq!(by(&cut, &bob, "bob", top), applied());
}

#[test]
fn who_may_appoint_a_delegate() {
    let (mut w, kim, mom, _) = family();
    let until = w.now.plus_ms(DAY);
    let bob = w.person("bob");
    let mut ann = w.person("ann-2");
    let s = delegation("bob", "helper", ALL, until);
    assert_eq!(w.own(&mut kim.clone(), "kim", s.clone()), inert(Why::NotGuardian), "a ward under 14");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&bob), "bob", s.clone()), inert(Why::NotGuardian));
    assert_eq!(w.by_party(&mut kim.clone(), "bank", s.clone()), inert(Why::Role));
    assert_eq!(w.by_party(&mut kim.clone(), "idp", s.clone()), inert(Why::Role));
    assert_eq!(w.by_party(&mut kim.clone(), "kisa", s.clone()), core());
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", s.clone()), core());
    assert_eq!(w.own(&mut ann, "ann-2", s), core(), "of age");
    let s = delegation("bob", "guardian", ALL, until);
    let mut ann = w.person("ann-3");
    assert_eq!(w.own(&mut ann, "ann-3", s.clone()), inert(Why::NotGuardian), "no attestation");
    let gone = revoked(&mom, "mom");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&gone), "mom", s), inert(Why::KeyRevoked));
    w.now = until.plus_ms(100 * DAY);
    let s = delegation("bob", "helper", ALL, w.now.plus_ms(1));
    assert_eq!(w.own(&mut kim.clone(), "kim", s.clone()), core(), "from 14");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", s), inert(Why::NotGuardian));
}

#[test]
fn a_delegation_is_well_made() {
    let (mut w, mut ann, _) = ann();
    let until = w.now.plus_ms(DAY);
    let good = delegation("bob", "helper", ALL, until);
    let cases: [(Spoil<'_, DelegationGrant>, Why); 8] = [
        (&|s| s.types.clear(), Why::DelegationScope),
        (&|s| s.types.push("consent.attest".into()), Why::DelegationScope),
        (&|s| s.types.push("delegation.grant".into()), Why::DelegationScope),
        (&|s| s.types.push("key.add".into()), Why::DelegationScope),
        (&|s| s.types.push("consent.everything".into()), Why::DelegationScope),
        (&|s| s.until = T0, Why::Dates),
        (&|s| s.delegate = key("ann"), Why::KeyTaken),
        (&|s| s.over = Some(StatementId([3; 32])), Why::Superseded),
    ];
    for (spoil, why) in cases {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.own(&mut ann, "ann", s), inert(why));
    }
    assert_eq!(w.own(&mut ann, "ann", good.clone()), core());
    assert_eq!(w.own(&mut ann, "ann", good), inert(Why::Superseded), "the slot of ward and delegate has one");
}

#[test]
fn a_delegate_keeps_to_types_controllers_and_dates() {
    let (mut w, mut ann, notice) = ann();
    let bob = w.person("bob");
    let mut s = delegation("bob", "helper", ALL, w.now.plus_ms(DAY));
    s.controllers = vec![party("bank")];
    assert_eq!(w.own(&mut ann, "ann", s), core());
    let by = w.last();
    let delegate = Actor::Delegate(&bob);
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    let mut granted = ann.clone();
    assert_eq!(w.act(&mut granted, &delegate, "bob", s.clone()), applied());
    assert_eq!(granted.slot(&slot_key()).unwrap().alone_since, Some(w.now), "no guardian");
    let mut r = refuse("bank", MARKETING, REAL);
    r.by = Some(by);
    assert_eq!(w.act(&mut ann.clone(), &delegate, "bob", r), inert(Why::DelegationScope), "type");
    let mut x = withdraw("shop", MARKETING, REAL);
    x.by = Some(by);
    assert_eq!(w.act(&mut ann.clone(), &delegate, "bob", x), inert(Why::DelegationScope), "controller");
    let mut x = withdraw("bank", MARKETING, REAL);
    x.by = Some(by);
    assert_eq!(w.act(&mut ann.clone(), &delegate, "bob", x.clone()), applied());
    let mut l = lift("*", MARKETING, REAL, None);
    l.by = Some(by);
    assert_eq!(w.act(&mut ann.clone(), &delegate, "bob", l), inert(Why::DelegationScope), "`*` is wider");
    // Another ward's.
    let mut kim = w.person("kim");
    assert_eq!(w.act(&mut kim, &delegate, "bob", x.clone()), inert(Why::DelegationEnded));
    // Ended.
    let mut ended = ann.clone();
    assert_eq!(w.own(&mut ended, "ann", delegation_end("bob")), core());
    assert_eq!(w.act(&mut ended, &delegate, "bob", x.clone()), inert(Why::DelegationEnded));
    let s = delegation("bob", "helper", ALL, w.now.plus_ms(DAY));
    assert_eq!(w.own(&mut ended, "ann", s), inert(Why::Superseded), "the old wish does not come back");
    // Over.
    w.now = w.now.plus_ms(DAY);
    assert_eq!(w.act(&mut ann.clone(), &delegate, "bob", x), inert(Why::DelegationEnded));
}

#[test]
fn ending_a_delegation_that_is_not_there_still_stops_one_under_way() {
    let (mut w, mut ann, _) = ann();
    let s = delegation("bob", "helper", ALL, w.now.plus_ms(DAY));
    let under_way = w.place("ann", &[], s);
    assert_eq!(w.own(&mut ann, "ann", delegation_end("bob")), core());
    assert_eq!(ann.apply(&w.register, &Actor::Own, &under_way), inert(Why::Superseded));
}

#[test]
fn who_may_end_a_delegation() {
    let (mut w, kim, mom, _, _) = guarded();
    let bob = w.person("bob");
    let end = || delegation_end("mom");
    assert_eq!(w.own(&mut kim.clone(), "kim", end()), inert(Why::NotGuardian), "a ward under 14");
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&bob), "bob", end()), inert(Why::NotGuardian));
    assert_eq!(w.by_party(&mut kim.clone(), "bank", end()), inert(Why::Role));
    assert_eq!(w.act(&mut kim.clone(), &Actor::Delegate(&mom), "mom", end()), core());
    w.public("kisa", &[], suspend("kisa", None));
    assert_eq!(w.by_party(&mut kim.clone(), "kisa", end()), core(), "closing, though suspended");
    let s = delegation("bob", "helper", ALL, w.now.plus_ms(DAY));
    assert_eq!(w.by_party(&mut kim.clone(), "kisa", s), inert(Why::PartySuspended));
}

#[test]
fn what_a_guardian_appointed_falls_with_her() {
    let (mut w, mut kim, mom, notice) = family();
    let bob = w.person("bob");
    let s = delegation("bob", "helper", ALL, w.now.plus_ms(1000 * DAY));
    assert_eq!(w.act(&mut kim, &Actor::Delegate(&mom), "mom", s), core());
    let by = w.last();
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    let mut granted = kim.clone();
    assert_eq!(w.act(&mut granted, &Actor::Delegate(&bob), "bob", s.clone()), applied());
    assert_eq!(granted.slot(&slot_key()).unwrap().alone_since, None, "a guardian stands behind it");
    let word = subject_attest("idp", Some(w.now), Some("mom"));
    assert_eq!(w.by_party(&mut kim, "idp", word), core());
    assert_eq!(w.act(&mut kim, &Actor::Delegate(&bob), "bob", s), inert(Why::NotGuardian));
}

#[test]
fn rows_give_the_same_person_back() {
    let (mut w, mut kim, mom, notice, by) = guarded();
    let mut s = w.grant(notice, None);
    s.by = Some(by);
    w.act(&mut kim, &Actor::Delegate(&mom), "mom", s);
    w.own(&mut kim, "kim", pause("bank", MARKETING, REAL));
    w.own(&mut kim, "kim", object("*", "*", DataClass::Anonymous));
    w.by_party(&mut kim, "shop", signal(SignalAct::Object, "*", MARKETING, DataClass::Pseudonymous));
    let core: Core = serde_cbor::from_slice(&serde_cbor::to_vec(kim.core()).unwrap()).unwrap();
    let mut rows: Vec<(SlotKey, Slot)> = kim
        .slots()
        .map(|(key, slot)| {
            let key = serde_cbor::from_slice(&serde_cbor::to_vec(key).unwrap()).unwrap();
            (key, serde_cbor::from_slice(&serde_cbor::to_vec(slot).unwrap()).unwrap())
        })
        .collect();
    rows.reverse();
    assert_eq!(rows.len(), 3);
    assert_eq!(Person::from_parts(kim.subject(), core, rows), kim);
}

#[test]
fn a_closed_party_is_granted_nothing() {
    let (mut w, ann, notice) = ann();
    let s = PartyClose { v: V1, kind: Kind::PartyClose, iat: T0, nonce: NONCE, party: party("bank") };
    w.public("bank", &["operator"], s);
    let s = w.grant(notice, None);
    assert_eq!(w.own(&mut ann.clone(), "ann", s), inert(Why::PartySuspended));
    assert!(w.register.party(&party("bank")).unwrap().has_role(Role::Controller));
}
