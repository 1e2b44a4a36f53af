//! A party's new key, and the new epoch of its domain.

use naru::ledger::key::Signer;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::KeyHash;
use naru::model::id::Ppid;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;

use super::inert;
use super::support::*;

/// The bank's item that rotates to a key, or raises the epoch, or both.
pub(super) fn rotate(world: &World, signs: u8, new: u8, epoch: Option<u32>) -> Vec<u8> {
    let statement: Statement = PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: world.now(),
        nonce: nonce(),
        party: party("bank"),
        new: KeyHash(signer(new).public().hash()),
        epoch,
        transfer: None,
    }
    .into();
    let item = endorse(&sign(&statement, &signer(signs)), OPERATOR);
    if signs == new { item } else { endorse(&item, new) }
}

const NEW: u8 = 20;

#[test]
fn an_old_ppid_is_nobody_s_and_what_was_granted_stands_under_the_new_one() {
    let mut world = World::new();
    let old = world.enrol(1);
    world.accept(sign(&world.grant(old, None).into(), &person_key(1)));
    assert_eq!(world.check(old).decision.reason, Reason::ConsentGiven);
    world.accept(rotate(&world, BANK, BANK, Some(1)));
    // As one that never was: reason, and what is told of it.
    let unknown = world.check(Ppid([7; 16]));
    for _ in 0..2 {
        assert_eq!(world.check(old).decision, unknown.decision);
        world.reopen();
    }
    let new = world.ppid(1, Some("bank"));
    assert_ne!(new, old);
    assert_eq!(world.check(new).decision.reason, Reason::ConsentGiven);
    // What opens is said of the person of today; what closes is never too late.
    let late = world.grant(old, None);
    assert_eq!(inert(&world.refuse(sign(&late.into(), &person_key(1)))), Why::NotThisSubject);
    world.accept(sign(&world.withdraw(old), &person_key(1)));
    assert_eq!(world.check(new).decision.reason, Reason::ConsentWithdrawn);
    // A call centre that still has the old one on its list closes, too.
    let signal: Statement = ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: world.now(),
        nonce: nonce(),
        ppid: old,
        act: SignalAct::Object,
        controller: Scope::One("bank".into()),
        purpose: Scope::One(PURPOSE.into()),
        class: DataClass::RealName,
        channel: Channel::CallCentre,
    }
    .into();
    world.accept(sign(&signal, &signer(BANK)));
    assert_eq!(world.check(new).decision.reason, Reason::Objected);
    world.reopen();
    assert_eq!(world.check(new).decision.reason, Reason::Objected);
    // Another party's domain is as it was.
    assert_eq!(world.ppid(1, Some("hospital")), world.ppid(1, Some("hospital")));
    // And the epoch is raised once by one statement.
    assert_eq!(inert(&world.refuse(rotate(&world, BANK, BANK, Some(1)))), Why::Superseded);
    assert_eq!(inert(&world.refuse(rotate(&world, BANK, BANK, Some(3)))), Why::Superseded);
}

#[test]
fn a_search_lists_the_persons_by_their_ppids_of_today() {
    let mut world = World::new();
    for n in 0..3 {
        let ppid = world.enrol(n);
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    }
    let listed = |world: &World| {
        let question = world.ask(Ppid([0; 16]), naru::model::vocabulary::Action::Use).question;
        match world.node().search_persons(&question, None, None, 10).unwrap() {
            naru::node::Listing::Page(found, None) => found.results,
            other => panic!("{other:?}"),
        }
    };
    let old = listed(&world);
    assert_eq!(old.len(), 3);
    world.accept(rotate(&world, BANK, BANK, Some(1)));
    for _ in 0..2 {
        // Nobody has asked for her new ppid, and yet each of them leads to her.
        let new = listed(&world);
        assert_eq!(new.len(), 3);
        assert!(new.iter().all(|ppid| !old.contains(ppid)));
        assert!(new.iter().all(|ppid| world.check(*ppid).decision.reason == Reason::ConsentGiven));
        world.reopen();
    }
}

#[test]
fn a_grant_on_its_way_while_the_epoch_is_raised_names_nobody() {
    let mut world = World::new();
    let old = world.enrol(1);
    slip_in(&world, &rotate(&world, BANK, BANK, Some(1)));
    // Judged before the rotation, and placed behind it.
    let grant = world.accept(sign(&world.grant(old, None).into(), &person_key(1)));
    assert_eq!(grant.inert, Some(Why::NotThisSubject));
    for _ in 0..2 {
        let new = world.ppid(1, Some("bank"));
        assert_ne!(new, old);
        assert_eq!(world.check(new).decision.reason, Reason::ConsentNotGiven);
        assert_eq!(world.node().events(&party("bank"), 0, 10).unwrap().events, []);
        world.reopen();
    }
    // A closing act in the same place closes.
    let new = world.ppid(1, Some("bank"));
    world.accept(sign(&world.grant(new, None).into(), &person_key(1)));
    slip_in(&world, &rotate(&world, BANK, BANK, Some(2)));
    assert_eq!(world.accept(sign(&world.withdraw(new), &person_key(1))).inert, None);
    for _ in 0..2 {
        assert_eq!(world.check(world.ppid(1, Some("bank"))).decision.reason, Reason::ConsentWithdrawn);
        world.reopen();
    }
}

/// Another writer's batch with one public item, in front of whatever comes next.
pub(super) fn slip_in(world: &World, item: &[u8]) {
    let id = naru::identity::open(item).unwrap().id();
    let entry = naru::ledger::entry::Entry::Public { t: world.now().rounded_to(200).0, item: item.to_vec() };
    world.memory.faults().slip_in(naru::store::Batch {
        id: naru::store::BatchId(nonce().0),
        at: world.now().0,
        entries: vec![entry.encode().unwrap()],
        ids: vec![id],
        names: vec![naru::store::NameRow {
            name: naru::store::Name::Statement(id.0),
            sealed: Vec::new(),
            entry: Some(0),
        }],
        bodies: Vec::new(),
    });
}

#[test]
fn a_new_key_signs_and_the_old_one_no_longer() {
    let mut world = World::new();
    world.enrol(1);
    for taken in [HOSPITAL, LOG, OPERATOR] {
        assert_eq!(inert(&world.refuse(rotate(&world, BANK, taken, None))), Why::KeyTaken, "{taken}");
    }
    assert_eq!(inert(&world.refuse(rotate(&world, BANK, BANK, None))), Why::State);
    // A person's key stands in her set for ever.
    let key = person_key(1);
    let statement: Statement = PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: world.now(),
        nonce: nonce(),
        party: party("bank"),
        new: key_hash(&key),
        epoch: None,
        transfer: None,
    }
    .into();
    let stolen = endorse(&sign(&statement, &signer(BANK)), OPERATOR);
    let stolen = naru::ledger::cose::endorse(&key, &stolen).unwrap();
    assert_eq!(inert(&world.refuse(stolen)), Why::KeyTaken);
    world.accept(rotate(&world, BANK, NEW, None));
    for _ in 0..2 {
        let notice = |world: &World| world.notice_of("bank", 2, &[DataClass::RealName]);
        assert_eq!(inert(&world.refuse(sign(&notice(&world), &signer(BANK)))), Why::KeyNotInSet);
        // The old key is the bank's for ever.
        assert_eq!(inert(&world.refuse(sign(&world.key_create(), &signer(BANK)))), Why::KeyTaken);
        world.reopen();
    }
    world.accept(sign(&world.notice_of("bank", 2, &[DataClass::RealName]), &signer(NEW)));
    assert_eq!(inert(&world.refuse(rotate(&world, BANK, 21, None))), Why::KeyNotInSet);
    assert_eq!(inert(&world.refuse(rotate(&world, NEW, BANK, None))), Why::KeyTaken, "no way back");
}
