//! A person with a passkey and nothing else: from `key.create` to the archive she carries away.

use std::io::Cursor;

use naru::audit::archive;
use naru::identity;
use naru::identity::Error;
use naru::identity::login::Login;
use naru::identity::passkey::Refused;
use naru::ledger::cose::Passkey;
use naru::ledger::evidence::Evidence;
use naru::ledger::key::Signer;
use naru::model::decision::Reason;
use naru::model::statement::*;
use naru::node::Caller;
use naru::node::Refusal;
use naru::node::Shown;
use naru::node::token::Confirmation;

use crate::support::passkey::Authenticator;
use crate::support::passkey::p256;
use crate::support::*;

#[test]
fn she_enrols_grants_withdraws_and_carries_it_away() {
    let mut world = World::new();
    let key = p256(7);
    let passkey = Authenticator::new(key.as_ref());
    world.accept(passkey.sign(&KeyCreate { key_use: KeyUse::Passkey, ..made(&world.key_create()) }.into()));
    let ppid = world.node().ppid(&passkey.key(), Some(&party("bank"))).unwrap().unwrap();
    // One ceremony, two statements, one batch.
    let object = world.object(ppid, Scope::One("bank".into()), naru::model::vocabulary::DataClass::Anonymous);
    let items = passkey.sign_all(&[world.grant(ppid, None).into(), object]);
    let taken: Vec<_> = world.node().record(items.clone()).into_iter().map(Result::unwrap).collect();
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    // The same statement signed again, by another ceremony, is the same statement.
    let again = world.accept(passkey.sign(identity::open(&items[0]).unwrap().value()));
    assert!(again.duplicate && again.index == taken[0].index);

    world.node().tick().unwrap();
    let me = Caller::Citizen(passkey.key());
    let Shown::Evidence(bytes) = world.node().evidence(&taken[0].id, Some(&me)).unwrap() else {
        panic!("no evidence")
    };
    let opened = Evidence::parse(&bytes).unwrap().verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    assert_eq!(opened.item.unwrap(), items[0], "the whole assertion, byte for byte");

    world.reopen();
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    world.accept(passkey.sign(&world.withdraw(ppid)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    world.node().tick().unwrap();
    let mut out = Vec::new();
    world.node().export(&passkey.key(), None).unwrap().write(&mut out).unwrap();
    let proven = archive::verify(&mut Cursor::new(&out), signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    assert!(proven.statements >= 4, "{}", proven.statements);
    assert_eq!(world.faults(), []);
}

fn made(statement: &Statement) -> KeyCreate {
    match statement {
        Statement::KeyCreate(s) => (**s).clone(),
        _ => panic!("no key.create"),
    }
}

#[test]
fn the_door_holds_a_passkey_to_the_log_s_own_pages() {
    let world = World::new();
    let key = signer(7);
    let mut elsewhere = Authenticator::new(&key);
    elsewhere.origin = "https://sub.ledger.test".into();
    let item = elsewhere.sign(&world.key_create());
    // A browser would have allowed that page, so whoever opens it again takes it; the door does not.
    identity::open(&item).unwrap();
    assert!(matches!(world.refuse(item), Refusal::Malformed(Error::Passkey(Refused::Origin))));
    // Nothing of a spoiled one stays: it may come again.
    let item = Authenticator::new(&key).sign(&world.key_create());
    let mut bad = Passkey::parse(&item).unwrap();
    bad.signature[3] ^= 1;
    assert!(matches!(world.refuse(bad.encode()), Refusal::Malformed(Error::Passkey(Refused::Signature))));
    world.accept(item);
}

#[test]
fn she_logs_in_by_passkey_once() {
    let world = World::new();
    let key = p256(7);
    let passkey = Authenticator::new(key.as_ref());
    let now = world.now();
    let login = Login { v: V1, origin: ORIGIN.into(), nonce: nonce(), iat: now, exp: now.plus_ms(30_000) };
    assert!(world.node().token_for_login(&passkey.log_in(&login)).is_err(), "nobody yet");
    world.accept(passkey.sign(&world.key_create()));
    let item = passkey.log_in(&Login { nonce: nonce(), ..login });
    let token = world.node().token_for_login(&item).unwrap();
    assert_eq!(world.node().caller(&token), Some(Caller::Citizen(passkey.key())));
    assert!(world.node().token_for_login(&item).is_err(), "taken once");
}

#[test]
fn a_passkey_on_another_device_logs_in_by_nothing_but_itself() {
    let world = World::new();
    let (key, other, edwards) = (p256(7), p256(8), signer(9));
    let now = world.now();
    let login = || Login { v: V1, origin: ORIGIN.into(), nonce: nonce(), iat: now, exp: now.plus_ms(30_000) };
    // The device has no public key to send along.
    let bare = |of: &dyn Signer| {
        let mut item = Passkey::parse(&Authenticator::new(of).log_in(&login())).unwrap();
        item.spki = Vec::new();
        item
    };
    for signer in [key.as_ref(), &edwards] {
        world.accept(Authenticator::new(signer).sign(&world.key_create()));
    }
    for _ in 0..8 {
        let item = bare(key.as_ref());
        let (token, spki) = world.node().session_for_login(&item.encode(), Confirmation::default()).unwrap();
        assert_eq!(world.node().caller(&token), Some(Caller::Citizen(key_hash(key.as_ref()))));
        assert_eq!(spki.as_deref(), Some(key.public().spki()), "it signs with that from here on");
        assert!(world.node().token_for_login(&item.encode()).is_err(), "taken once");
    }
    let item = bare(key.as_ref());
    for spoil in [
        |item: &mut Passkey| item.signature[9] ^= 1,
        |item: &mut Passkey| item.authenticator_data[36] ^= 1,
        |item: &mut Passkey| item.authenticator_data[32] &= !4,
        |item: &mut Passkey| item.signature.clear(),
    ] {
        let mut bad = item.clone();
        spoil(&mut bad);
        assert!(world.node().token_for_login(&bad.encode()).is_err());
    }
    // Nobody's; and an Ed25519 signature does not show its key.
    for nobody in [bare(other.as_ref()), bare(&edwards)] {
        assert!(world.node().token_for_login(&nobody.encode()).is_err());
    }
    // A statement names its key: without one it is nobody's.
    let mut statement = Passkey::parse(&Authenticator::new(key.as_ref()).sign(&world.key_create())).unwrap();
    statement.spki = Vec::new();
    assert!(matches!(world.refuse(statement.encode()), Refusal::Malformed(Error::Passkey(Refused::Key))));
    // A key that left the set logs in no more.
    let own = world.node().ppid(&key_hash(key.as_ref()), None).unwrap().unwrap();
    let (kind, iat, gone) = (Kind::KeyRevoke, world.now(), key_hash(key.as_ref()));
    let revoke: Statement = KeyRevoke { v: V1, kind, iat, nonce: nonce(), ppid: own, key: gone }.into();
    world.accept(Authenticator::new(key.as_ref()).sign(&revoke));
    assert!(world.node().token_for_login(&bare(key.as_ref()).encode()).is_err());
}
