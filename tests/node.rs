//! The node in process: one write from bytes to receipt, and what may go wrong on the way.

mod support;

use naru::ledger::cbor;
use naru::ledger::entry;
use naru::ledger::evidence::Evidence;
use naru::ledger::key::Signer;
use naru::ledger::promise;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::statement::Scope;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::node::Caller;
use naru::node::Refusal;
use naru::node::Shown;
use support::*;

fn inert(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}

#[test]
fn a_grant_permits_and_a_withdrawal_denies_at_once() {
    let world = World::new();
    let ppid = world.enrol(1);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentNotGiven);
    let grant = world.grant(ppid, None);
    let item = sign(&grant.clone().into(), &person_key(1));
    let accepted = world.accept(item.clone());
    let answer = world.check(ppid);
    assert_eq!(answer.decision.reason, Reason::ConsentGiven);
    assert_eq!(answer.decision.basis, Some(accepted.id));
    assert!(answer.as_of > accepted.index);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    // The old grant again, at any age: the same answer as then, and no effect.
    world.advance(40 * DAY);
    let again = world.accept(item);
    assert!(again.duplicate);
    assert_eq!((again.id, again.index, again.at), (accepted.id, accepted.index, accepted.at));
    assert_eq!((again.k1, again.k2, &again.path), (accepted.k1, accepted.k2, &accepted.path));
    assert_eq!(again.promise, accepted.promise);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    // A new grant that has not seen the withdrawal.
    let late = world.grant(ppid, Some(accepted.id));
    assert_eq!(inert(&world.refuse(sign(&late.into(), &person_key(1)))), Why::Superseded);
}

#[test]
fn an_enrolment_again_is_the_same_at_any_age_and_makes_nobody() {
    let mut world = World::new();
    let item = sign(&world.key_create(), &person_key(1));
    let first = world.accept(item.clone());
    let ppid = world.ppid(1, Some("bank"));
    world.reopen();
    world.advance(40 * DAY);
    let again = world.accept(item);
    assert!(again.duplicate);
    assert_eq!((again.id, again.index, again.promise), (first.id, first.index, first.promise));
    assert_eq!(world.ppid(1, Some("bank")), ppid);
    // Another statement of the same key is no duplicate.
    assert_eq!(inert(&world.refuse(sign(&world.key_create(), &person_key(1)))), Why::KeyTaken);
}

#[test]
fn what_a_201_carries_convicts_or_proves() {
    let world = World::new();
    let ppid = world.enrol(1);
    let grant = sign(&world.grant(ppid, None).into(), &person_key(1));
    let accepted = world.accept(grant.clone());
    let log = signer(LOG);
    let promise = promise::open(&accepted.promise, log.public()).unwrap();
    promise.verify_entry(&accepted.entry, accepted.index, &accepted.path).unwrap();
    let mut other = accepted.entry.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(promise.verify_entry(&other, accepted.index, &accepted.path).is_err());
    let (k1, k2) = (accepted.k1.unwrap(), accepted.k2.unwrap());
    let statement = naru::ledger::cose::statement_of(&grant).unwrap();
    let proof = naru::ledger::cose::proof_of(&grant).unwrap();
    let (h1, h2) = (entry::opening(&k1, &statement), entry::opening(&k2, &proof));
    let commitment = entry::commitment(accepted.at.0, &h1, &h2);
    let parsed = entry::Entry::parse(&accepted.entry).unwrap();
    assert!(matches!(parsed, entry::Entry::Sealed { commitment: c, .. } if c == commitment));
}

#[test]
fn evidence_is_whole_for_the_person_half_for_the_controller_and_nothing_for_others() {
    let world = World::new();
    let ppid = world.enrol(1);
    world.enrol(2);
    let accepted = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let evidence = |caller: Option<Caller>| world.node().evidence(&accepted.id, caller.as_ref()).unwrap();
    let me = || Some(Caller::Citizen(key_hash(&person_key(1))));
    assert!(matches!(evidence(me()), Shown::NotYet));
    world.node().tick().unwrap();
    let log = signer(LOG);
    let shown = |shown: Shown| match shown {
        Shown::Evidence(bytes) => Evidence::parse(&bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    let mine = shown(evidence(me()));
    let opened = mine.verify(log.public(), ORIGIN, Some(200)).unwrap();
    naru::identity::open(&opened.item.unwrap()).unwrap();
    let theirs = shown(evidence(Some(Caller::Party(party("bank")))));
    assert!(theirs.verify(log.public(), ORIGIN, Some(200)).unwrap().item.is_none());
    for other in
        [None, Some(Caller::Citizen(key_hash(&person_key(2)))), Some(Caller::Party(party("hospital")))]
    {
        assert!(matches!(evidence(other), Shown::Nothing));
    }
}

#[test]
fn another_person_s_ppid_and_a_foreign_key_are_refused() {
    let world = World::new();
    let (one, _two) = (world.enrol(1), world.enrol(2));
    let stolen = sign(&world.grant(one, None).into(), &person_key(2));
    assert_eq!(inert(&world.refuse(stolen)), Why::NotThisSubject);
    let stranger = sign(&world.grant(one, None).into(), &person_key(3));
    assert_eq!(inert(&world.refuse(stranger)), Why::KeyNotInSet);
    let elsewhere = world.ppid(1, Some("hospital"));
    let foreign = sign(&world.grant(elsewhere, None).into(), &person_key(1));
    assert_eq!(inert(&world.refuse(foreign)), Why::NotThisSubject);
    assert_eq!(world.check(elsewhere).decision.reason, Reason::SubjectUnknown);
}

#[test]
fn time_is_the_node_s_and_closing_acts_are_never_late() {
    let world = World::new();
    let ppid = world.enrol(1);
    let mut old = world.grant(ppid, None);
    old.iat = world.now().minus_ms(25 * 3_600_000);
    assert!(matches!(world.refuse(sign(&old.into(), &person_key(1))), Refusal::Window { .. }));
    let early = world.withdraw(ppid);
    world.advance(400 * DAY);
    world.accept(sign(&early, &person_key(1)));
    // The clock goes back: order stays, `at` does not.
    let last = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.clock.set(support_start());
    let next = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert!(next.at >= last.at && next.index > last.index);
}

fn support_start() -> naru::model::id::Timestamp {
    naru::model::id::Timestamp(START)
}

#[test]
fn an_objection_keeps_out_and_a_new_notice_does_not_reopen() {
    let world = World::new();
    let ppid = world.enrol(1);
    let own = world.ppid(1, None);
    let all = world.object(own, Scope::Any, DataClass::RealName);
    world.accept(sign(&all, &person_key(1)));
    let grant = sign(&world.grant(ppid, None).into(), &person_key(1));
    assert_eq!(inert(&world.refuse(grant)), Why::Objected);
    assert_eq!(world.check(ppid).decision.reason, Reason::Objected);
}

#[test]
fn state_survives_a_restart_and_a_lost_projection() {
    let mut world = World::new();
    let mut ppids = Vec::new();
    for n in 0..40 {
        let ppid = world.enrol(n);
        let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
        if n % 3 == 0 {
            world.accept(sign(&world.withdraw(ppid), &person_key(n)));
        }
        ppids.push((n, ppid, grant));
        if n % 7 == 0 {
            world.node().tick().unwrap();
        }
    }
    let before = world.node().published().size;
    world.reopen();
    assert!(world.node().published().size >= before);
    for (n, ppid, grant) in ppids {
        let expected = if n % 3 == 0 { Reason::ConsentWithdrawn } else { Reason::ConsentGiven };
        assert_eq!(world.check(ppid).decision.reason, expected, "person {n}");
        let again = world.accept(sign(&world.withdraw(ppid), &person_key(n)));
        assert!(again.index > grant.index);
    }
}

#[test]
fn malformed_items_are_refused_and_leave_no_trace() {
    let world = World::new();
    let ppid = world.enrol(1);
    let size = world.node().sequenced();
    let item = sign(&world.grant(ppid, None).into(), &person_key(1));
    for at in 0..item.len() {
        let mut bad = item.clone();
        bad[at] ^= 1;
        assert!(world.submit(bad).is_err(), "byte {at}");
    }
    for cut in 0..item.len() {
        assert!(world.submit(item[..cut].to_vec()).is_err(), "cut at {cut}");
    }
    assert!(world.submit([item.clone(), vec![0]].concat()).is_err());
    assert!(world.submit(vec![0x81; 100_000]).is_err());
    let mut unknown = cbor::decode::<std::collections::BTreeMap<String, serde_cbor::Value>>(
        &naru::ledger::cose::statement_of(&item).unwrap(),
    )
    .unwrap();
    unknown.insert("extra".into(), serde_cbor::Value::Bool(true));
    let bytes = cbor::encode(&unknown).unwrap();
    let signed = naru::ledger::cose::sign_statement(&person_key(1), &bytes).unwrap();
    assert!(matches!(world.refuse(signed), Refusal::Malformed(_)));
    assert_eq!(world.node().sequenced(), size);
    world.accept(item);
}

#[test]
fn a_check_reads_what_was_answered_also_from_an_emptied_cache() {
    let world = World::new();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    world.node().forget_caches();
    // Where state lags, what is not projected yet stays in memory.
    assert_eq!(world.node().check_in_memory(&world.ask(ppid, Action::Use)).is_some(), lags());
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().forget_caches();
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn memory_answers_only_about_persons_the_asker_has_a_statement_of() {
    let world = World::new();
    let (known, granted) = (world.enrol(1), world.enrol(2));
    world.accept(sign(&world.grant(granted, None).into(), &person_key(2)));
    let unknown = naru::model::id::Ppid([7; 16]);
    let foreign = world.ppid(2, Some("hospital"));
    let quick = |ppid| world.node().check_in_memory(&world.ask(ppid, Action::Use));
    assert_eq!(quick(granted).map(|answer| answer.decision.reason), Some(Reason::ConsentGiven));
    for ppid in [unknown, foreign, known] {
        let answer = world.check(ppid);
        assert_eq!(answer.decision.told(), Reason::ConsentNotGiven);
        // Asked before or not, in memory or not: the three go one way.
        assert_eq!(quick(ppid), None);
    }
    world.accept(sign(&world.withdraw(granted), &person_key(2)));
    assert_eq!(quick(granted).map(|answer| answer.decision.told()), Some(Reason::ConsentWithdrawn));
}

#[test]
fn a_log_opens_only_with_the_origin_and_grain_it_was_begun_with() {
    let mut world = World::new();
    drop(world.node.take());
    for change in [
        |s: &mut naru::node::Settings| s.origin = "other.test/log".into(),
        |s: &mut naru::node::Settings| s.grain_ms = 5_000,
    ] {
        let mut settings = settings(&world.dir);
        change(&mut settings);
        let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let store = std::sync::Arc::new(world.memory.reopen());
        assert!(naru::node::Node::open(settings, store, vault, keys(), world.clock.clone()).is_err());
    }
}
