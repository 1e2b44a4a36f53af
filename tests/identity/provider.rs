//! Identity providers in three steps; what comes out is a signed statement, and nobody's CI.

use naru::identity::provider::Addressed;
use naru::identity::provider::Book;
use naru::identity::provider::Born;
use naru::identity::provider::DemoKorean;
use naru::identity::provider::DemoPassport;
use naru::identity::provider::Fault;
use naru::identity::provider::IdentityKey;
use naru::identity::provider::Kind as IdentityKind;
use naru::identity::provider::PATIENCE_MS;
use naru::identity::provider::Progress;
use naru::identity::provider::Provider;
use naru::ledger::hash;
use naru::model::id::Nonce;
use naru::model::id::Timestamp;
use naru::model::vocabulary::Role;

use crate::support::*;

const NOW: Timestamp = Timestamp(START);
const HANDLE: Nonce = Nonce([7; 16]);
const DEMO: u8 = 40;

fn key() -> IdentityKey {
    IdentityKey::new([3; 32])
}

fn ci(letter: char) -> String {
    letter.to_string().repeat(86) + "=="
}

fn born() -> Born {
    Born::new(2_012, 2, 29).unwrap()
}

/// The log with a registered provider of that name.
fn world(name: &str) -> World {
    let world = World::new();
    let item = world.register(name, vec![Role::IdentityProvider], true);
    world.accept(endorse(&endorse(&sign(&item, &signer(DEMO)), OPERATOR), REGULATOR));
    world
}

#[test]
fn a_demo_says_so_in_its_name_and_in_what_it_signs() {
    assert_eq!(DemoKorean::new(party("idp")).err(), Some(Fault::Demo));
    assert_eq!(DemoPassport::new(party("immigration")).err(), Some(Fault::Demo));
    let mut demo = DemoKorean::new(party("demo-phone")).unwrap();
    assert!(demo.is_demo());
    demo.prepare(HANDLE, NOW).unwrap();
    demo.answer(&HANDLE, &ci('a'), born(), NOW).unwrap();
    assert!(demo.verify(&HANDLE, &key(), NOW).unwrap().method.starts_with("demo"));
}

#[test]
fn prepare_poll_verify_each_once_and_in_time() {
    let mut demo = DemoPassport::new(party("demo-desk")).unwrap();
    assert_eq!(demo.poll(&HANDLE, NOW), Progress::Over);
    assert_eq!(demo.verify(&HANDLE, &key(), NOW), Err(Fault::Unknown));
    let prepared = demo.prepare(HANDLE, NOW).unwrap();
    assert!(prepared.open.contains(&HANDLE.to_string()));
    assert_eq!((prepared.until, demo.poll(&HANDLE, NOW)), (NOW.plus_ms(PATIENCE_MS), Progress::Waiting));
    // A handle is one attempt.
    assert_eq!(demo.prepare(HANDLE, NOW), Err(Fault::Unknown));
    for (country, number) in [("KR", "M12345678"), ("USA", "1"), ("USA", "m12345678"), ("usa", "M12345678")] {
        assert_eq!(
            demo.answer(&HANDLE, country, number, born(), NOW),
            Err(Fault::Answer),
            "{country} {number}"
        );
    }
    demo.answer(&HANDLE, "USA", "M12345678", born(), NOW).unwrap();
    assert_eq!(demo.poll(&HANDLE, NOW), Progress::Done);
    assert_eq!(demo.verify(&HANDLE, &key(), NOW).unwrap().kind, IdentityKind::Passport);
    assert_eq!(demo.verify(&HANDLE, &key(), NOW), Err(Fault::Unknown), "an answer is taken once");
    // Not answered, and too late.
    demo.prepare(HANDLE, NOW).unwrap();
    assert_eq!(demo.verify(&HANDLE, &key(), NOW), Err(Fault::NotConfirmed));
    demo.prepare(HANDLE, NOW).unwrap();
    demo.answer(&HANDLE, "USA", "M12345678", born(), NOW).unwrap();
    let late = NOW.plus_ms(PATIENCE_MS);
    assert_eq!(demo.poll(&HANDLE, late), Progress::Over);
    assert_eq!(demo.verify(&HANDLE, &key(), late), Err(Fault::Late));
}

#[test]
fn of_a_ci_there_is_only_a_hash_under_the_providers_key() {
    let mut demo = DemoKorean::new(party("demo-phone")).unwrap();
    let mut identify = |letter, key: &IdentityKey| {
        demo.prepare(HANDLE, NOW).unwrap();
        demo.answer(&HANDLE, &ci(letter), born(), NOW).unwrap();
        demo.verify(&HANDLE, key, NOW).unwrap()
    };
    let one = identify('a', &key());
    let wanted = hash::hmac(&[3; 32], &[b"naru-identity/v1\0kr-ci\0", ci('a').as_bytes()]);
    assert_eq!(one.identity.0, wanted);
    assert_eq!(identify('a', &key()), one, "the same person");
    assert_ne!(identify('b', &key()).identity, one.identity);
    assert_ne!(
        identify('a', &IdentityKey::new([4; 32])).identity,
        one.identity,
        "a list of them says nothing"
    );
    assert_ne!(one.identity.0, hash::sha256(&[ci('a').as_bytes()]), "never the bare hash");
    assert!(!format!("{one:?} {:?}", key()).contains("aaaa"));
}

#[test]
fn a_birthday_becomes_an_instant_in_korea() {
    // 2026-03-01T00:00:00+09:00: who was born on 29 February is 14 a day later than on the 28th.
    assert_eq!(born().reaches(14), Timestamp(1_772_290_800_000));
    assert_eq!(Born::new(2_012, 2, 28).unwrap().reaches(14), Timestamp(1_772_204_400_000));
    assert_eq!(Born::new(2_000, 1, 1).unwrap().reaches(0), Timestamp(946_652_400_000));
    assert_eq!(Born::new(1_920, 5, 5).unwrap().reaches(14), Timestamp(0), "before the clock began");
    for (year, month, day) in [(2_011, 2, 29), (2_012, 13, 1), (2_012, 4, 31), (2_012, 0, 1), (1_899, 1, 1)] {
        assert_eq!(Born::new(year, month, day), None, "{year}-{month}-{day}");
    }
}

/// From losing every key to a new one, by one provider; `tell` is the person's side of it.
fn lost_and_found<P: Provider>(mut provider: P, tell: impl Fn(&mut P, Timestamp)) {
    let party_id = provider.party().clone();
    let name = party_id.as_str();
    let world = world(name);
    let ppid_at_bank = world.enrol(1);
    let own = world.ppid(1, None);
    let mut book = Book::default();
    let mut identify = |world: &World| {
        provider.prepare(HANDLE, world.now()).unwrap();
        tell(&mut provider, world.now());
        assert_eq!(provider.poll(&HANDLE, world.now()), Progress::Done);
        provider.verify(&HANDLE, &key(), world.now()).unwrap()
    };
    let identified = identify(&world);
    book.note(&identified, own).unwrap();
    let to = Addressed { provider: party(name), ppid: own, iat: world.now(), nonce: nonce() };
    let says = identified.attest(&to, 14, None);
    assert_eq!(says.minor_until, Some(Timestamp(1_772_290_800_000)));
    let item = sign(&says.into(), &signer(DEMO));
    assert!(!item.windows(4).any(|bytes| bytes == b"aaaa"), "no CI in what is signed");
    world.accept(item);
    // Nobody else's: neither way round.
    world.enrol(2);
    assert_eq!(book.note(&identified, world.ppid(2, None)), Err(Fault::Other));
    book.note(&identified, own).unwrap();
    // All keys are lost. The provider finds her by who she is.
    let again = identify(&world);
    let new = key_hash(&person_key(9));
    let rebind = book.rebind(&again, new, &party(name), (world.now(), nonce())).unwrap();
    assert_eq!(rebind.ppid, own);
    let signed = sign(&rebind.into(), &signer(DEMO));
    world.refuse(signed.clone());
    world.accept(endorse(&signed, OPERATOR));
    world.advance(naru::consent::REBIND_WAIT_MS);
    world.accept(sign(&world.grant(ppid_at_bank, None).into(), &person_key(9)));
    assert_eq!(Book::default().rebind(&again, new, &party(name), (world.now(), nonce())), Err(Fault::Other));
}

#[test]
fn a_korean_provider_attests_and_binds_anew() {
    let phone = DemoKorean::new(party("demo-phone")).unwrap();
    lost_and_found(phone, |phone, now| phone.answer(&HANDLE, &ci('a'), born(), now).unwrap());
}

#[test]
fn a_foreign_passport_does_as_well_without_a_ci() {
    let desk = DemoPassport::new(party("demo-desk")).unwrap();
    lost_and_found(desk, |desk, now| desk.answer(&HANDLE, "USA", "M12345678", born(), now).unwrap());
}
