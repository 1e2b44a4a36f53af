//! Key sets through the node: who is found by which key, after a restart and over a store that lags, too.

use naru::identity::login::Login;
use naru::identity::login::sign_login;
use naru::ledger::key::Signer;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::KeyHash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use naru::node::Caller;
use naru::node::Refusal;

use crate::support::passkey::Authenticator;
use crate::support::passkey::p256;
use crate::support::*;

fn inert(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}

fn create(world: &World, recovery: Option<KeyHash>) -> Statement {
    KeyCreate {
        v: V1,
        kind: Kind::KeyCreate,
        iat: world.now(),
        nonce: nonce(),
        key_use: KeyUse::Device,
        recovery,
    }
    .into()
}

fn add(world: &World, own: Ppid, over: StatementId, key: KeyHash) -> Statement {
    KeyAdd {
        v: V1,
        kind: Kind::KeyAdd,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        over: Some(over),
        key,
        key_use: KeyUse::Passkey,
    }
    .into()
}

fn revoke(world: &World, own: Ppid, key: KeyHash) -> Statement {
    KeyRevoke { v: V1, kind: Kind::KeyRevoke, iat: world.now(), nonce: nonce(), ppid: own, key }.into()
}

fn recover(world: &World, own: Ppid, new: KeyHash) -> Statement {
    KeyRecover { v: V1, kind: Kind::KeyRecover, iat: world.now(), nonce: nonce(), ppid: own, new }.into()
}

fn rebind(world: &World, own: Ppid, new: KeyHash) -> Vec<u8> {
    let method = "desk".into();
    let s =
        KeyRebind { v: V1, kind: Kind::KeyRebind, iat: world.now(), nonce: nonce(), ppid: own, new, method };
    endorse(&sign(&s.into(), &signer(IDP)), OPERATOR)
}

fn log_in(world: &World, key: &dyn Signer) -> Option<String> {
    let now = world.now();
    let login = Login { v: V1, origin: ORIGIN.into(), nonce: nonce(), iat: now, exp: now.plus_ms(30_000) };
    world.node().token_for_login(&sign_login(&login, key).unwrap()).ok()
}

/// Whoever the node finds by a key has this ppid at the bank.
fn is_hers(world: &World, key: &dyn Signer, ppid: Ppid) -> bool {
    world.node().ppid(&key_hash(key), Some(&party("bank"))).unwrap() == Some(ppid)
}

#[test]
fn a_second_passkey_is_added_by_the_first_and_finds_her_after_a_restart() {
    let mut world = World::new();
    let (one, two) = (p256(7), p256(8));
    let (first, second) = (Authenticator::new(one.as_ref()), Authenticator::new(two.as_ref()));
    let made = world.accept(first.sign(&create(&world, None)));
    let own = world.node().ppid(&first.key(), None).unwrap().unwrap();
    let ppid = world.node().ppid(&first.key(), Some(&party("bank"))).unwrap().unwrap();
    let item = second.endorse(&first.sign(&add(&world, own, made.id, second.key())));
    world.accept(item);
    assert!(is_hers(&world, two.as_ref(), ppid));
    let granted = world.accept(second.sign(&world.grant(ppid, None).into()));
    world.reopen();
    assert!(is_hers(&world, two.as_ref(), ppid));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    // The first is lost: the second revokes it, and what it may it may for ever.
    world.accept(second.sign(&revoke(&world, own, first.key())));
    let late = first.sign(&world.grant(ppid, Some(granted.id)).into());
    assert_eq!(inert(&world.refuse(late)), Why::KeyRevoked);
    world.accept(second.sign(&world.withdraw(ppid)));
    world.reopen();
    assert_eq!(inert(&world.refuse(first.sign(&world.withdraw(ppid)))), Why::KeyRevoked);
    world.node().tick().unwrap();
    if !lags() {
        assert_eq!(world.faults(), []);
    }
}

#[test]
fn a_key_stands_in_one_set_or_one_party_only_for_ever() {
    let mut world = World::new();
    let key = |n: u64| key_hash(&person_key(n));
    let one = world.accept(sign(&create(&world, Some(key(90))), &person_key(1)));
    world.accept(sign(&create(&world, None), &person_key(2)));
    let own = world.ppid(1, None);
    let endorsed = |item: &Statement, by: &dyn Signer, new: &dyn Signer| {
        naru::ledger::cose::endorse(new, &sign(item, by)).unwrap()
    };
    let added = world.accept(endorsed(&add(&world, own, one.id, key(11)), &person_key(1), &person_key(11)));
    for _ in 0..2 {
        // Hers, another's, a party's, on her paper: none comes twice, in a set or as a party.
        for taken in [person_key(1), person_key(2), signer(BANK), person_key(90), person_key(11)] {
            let item = endorsed(&add(&world, own, added.id, key_hash(&taken)), &person_key(1), &taken);
            assert_eq!(inert(&world.refuse(item)), Why::KeyTaken);
        }
        for taken in [11, 90] {
            let item = sign(&create(&world, None), &person_key(taken));
            assert_eq!(inert(&world.refuse(item)), Why::KeyTaken, "{taken}");
            let paper = create(&world, Some(key(taken)));
            assert_eq!(inert(&world.refuse(sign(&paper, &person_key(50)))), Why::KeyTaken, "{taken}");
            let party = world.register("shop", vec![Role::Controller], false);
            let item = endorse(&sign(&party, &person_key(taken)), OPERATOR);
            assert_eq!(inert(&world.refuse(item)), Why::KeyTaken, "{taken}");
        }
        world.reopen();
    }
    // In one batch, the one that comes first has it.
    let mine = endorsed(&add(&world, own, added.id, key(12)), &person_key(1), &person_key(12));
    let batch = vec![
        mine,
        sign(&create(&world, None), &person_key(12)),
        sign(&create(&world, Some(key(12))), &person_key(13)),
    ];
    let outcomes = world.node().record(batch);
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1, "{outcomes:?}");
}

#[test]
fn the_paper_finds_her_and_recovers_and_old_sessions_end() {
    let mut world = World::new();
    let (old, paper, new) = (person_key(1), person_key(90), person_key(2));
    world.accept(sign(&create(&world, Some(key_hash(&paper))), &old));
    let (own, ppid) = (world.ppid(1, None), world.ppid(1, Some("bank")));
    assert!(log_in(&world, &paper).is_none(), "it recovers and does nothing else");
    let session = log_in(&world, &old).unwrap();
    assert_eq!(world.node().caller(&session), Some(Caller::Citizen(key_hash(&old))));
    world.reopen();
    let session = log_in(&world, &old).unwrap();
    assert!(world.node().caller(&session).is_some());
    let item = sign(&recover(&world, own, key_hash(&new)), &paper);
    assert_eq!(inert(&world.refuse(item.clone())), Why::Endorsement);
    world.accept(naru::ledger::cose::endorse(&new, &item).unwrap());
    assert_eq!(world.node().caller(&session), None, "the session ends with its key");
    assert!(log_in(&world, &old).is_none());
    let session = log_in(&world, &new).unwrap();
    assert_eq!(world.node().caller(&session), Some(Caller::Citizen(key_hash(&new))));
    assert!(is_hers(&world, &new, ppid));
    assert_eq!(inert(&world.refuse(sign(&world.withdraw(ppid), &old))), Why::KeyRevoked);
    world.accept(sign(&world.withdraw(ppid), &new));
}

#[test]
fn a_rebind_is_stopped_by_an_old_key_or_takes_effect_by_the_log_s_time_alone() {
    let mut world = World::new();
    world.enrol(1);
    let (own, ppid) = (world.ppid(1, None), world.ppid(1, Some("bank")));
    let (old, thief, new) = (person_key(1), person_key(66), person_key(2));
    world.accept(rebind(&world, own, key_hash(&thief)));
    assert_eq!(inert(&world.refuse(sign(&world.withdraw(ppid), &thief))), Why::KeyNotInSet);
    world.accept(sign(&revoke(&world, own, key_hash(&thief)), &old));
    world.advance(4 * DAY);
    assert!(log_in(&world, &thief).is_none() && log_in(&world, &old).is_some());
    // The real one: nobody stops it. A restart in between changes nothing.
    world.accept(rebind(&world, own, key_hash(&new)));
    let before = world.accept(sign(&world.grant(ppid, None).into(), &old));
    world.reopen();
    world.advance(3 * DAY - 1);
    let session = log_in(&world, &old).unwrap();
    assert!(world.node().caller(&session).is_some() && log_in(&world, &new).is_none());
    world.advance(1);
    assert_eq!(world.node().caller(&session), None);
    assert!(log_in(&world, &old).is_none() && log_in(&world, &new).is_some());
    assert_eq!(inert(&world.refuse(sign(&world.withdraw(ppid), &old))), Why::KeyRevoked);
    assert_eq!(world.check(ppid).decision.rebound_until, None);
    world.accept(sign(&world.grant(ppid, Some(before.id)).into(), &new));
    let marked = world.check(ppid).decision.rebound_until;
    assert_eq!(marked, Some(world.now().plus_ms(90 * DAY)));
    world.reopen();
    assert_eq!(world.check(ppid).decision.rebound_until, marked);
    assert!(log_in(&world, &new).is_some());
    world.node().tick().unwrap();
    if !lags() {
        assert_eq!(world.faults(), []);
    }
}
