//! The assertion check, rule by rule, with an authenticator in software.

use std::cell::Cell;
use std::sync::Arc;

use naru::identity;
use naru::identity::Error;
use naru::identity::Unverified;
use naru::identity::login::Login;
use naru::identity::login::open_login;
use naru::identity::passkey;
use naru::identity::passkey::Ceremonies;
use naru::identity::passkey::Place;
use naru::identity::passkey::Refused;
use naru::identity::passkey::Relying;
use naru::ledger::cose;
use naru::ledger::cose::Passkey;
use naru::ledger::key::PublicKey;
use naru::ledger::key::Signer;
use naru::model::id::Nonce;
use naru::model::id::Ppid;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use proptest::prelude::*;

use crate::support::ORIGIN;
use crate::support::START;
use crate::support::party;
use crate::support::passkey::Authenticator;
use crate::support::passkey::p256;
use crate::support::signer;

fn withdraw(n: u8) -> Statement {
    ConsentWithdraw {
        v: V1,
        kind: Kind::ConsentWithdraw,
        iat: Timestamp(START),
        nonce: Nonce([n; 16]),
        ppid: Ppid([9; 16]),
        by: None,
        controller: party("bank"),
        purpose: "dpv:ServiceProvision".into(),
        class: DataClass::RealName,
        moved: None,
    }
    .into()
}

fn here() -> Relying {
    Relying::of_log(ORIGIN)
}

fn open(item: &[u8]) -> Result<identity::Verified<Statement>, Error> {
    let keys = |spki: &[u8]| PublicKey::from_spki(spki).map(Arc::new);
    Unverified::parse(item.to_vec())?.verify_with(Place::Of(&here()), &keys)
}

fn why(item: &[u8]) -> Refused {
    match open(item) {
        Err(Error::Passkey(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

/// An authenticator with one thing changed.
fn spoiled<'a>(key: &'a dyn Signer, spoil: impl FnOnce(&mut Authenticator<'a>)) -> Authenticator<'a> {
    let mut authenticator = Authenticator::new(key);
    spoil(&mut authenticator);
    authenticator
}

#[test]
fn each_rule_refuses_what_breaks_it_and_nothing_else() {
    let keys: [Box<dyn Signer>; 2] = [Box::new(signer(7)), p256(7)];
    for key in &keys {
        let key = key.as_ref();
        open(&Authenticator::new(key).sign(&withdraw(1))).unwrap();
        type Spoil = fn(&mut Authenticator<'_>);
        let rules: [(Refused, Spoil); 13] = [
            (Refused::Type, |a| a.kind = "webauthn.create"),
            (Refused::Origin, |a| a.origin = "https://ledger.test.evil".into()),
            (Refused::Origin, |a| a.origin = "http://ledger.test".into()),
            (Refused::Origin, |a| a.origin = "https://sub.ledger.test".into()),
            (Refused::Framed, |a| a.members = r#","crossOrigin":true"#),
            (Refused::Framed, |a| a.members = r#","crossOrigin":false,"topOrigin":"https://evil""#),
            (Refused::ClientData, |a| a.members = r#","type":"webauthn.get""#),
            (Refused::ClientData, |a| a.members = r#","crossOrigin":"false""#),
            (Refused::RelyingParty, |a| a.rp_id = "test".into()),
            (Refused::Presence, |a| a.flags = 0x04),
            (Refused::Verification, |a| a.flags = 0x01),
            (Refused::Extra, |a| a.flags = 0x05 | 0x80),
            (Refused::Extra, |a| a.more = vec![0xa0]),
        ];
        for (refused, spoil) in rules {
            assert_eq!(why(&spoiled(key, spoil).sign(&withdraw(1))), refused);
        }
        // Attested key data have no place in an assertion.
        assert_eq!(why(&spoiled(key, |a| a.flags = 0x45).sign(&withdraw(1))), Refused::Extra);
        // `crossOrigin` may be missing: old browsers leave it out. Backup flags may stand.
        open(&spoiled(key, |a| a.members = "").sign(&withdraw(1))).unwrap();
        open(&spoiled(key, |a| a.flags = 0x1d).sign(&withdraw(1))).unwrap();
    }
}

#[test]
fn a_statement_must_be_among_those_of_its_ceremony() {
    let key = signer(7);
    let authenticator = Authenticator::new(&key);
    let statements: Vec<_> = (0..64).map(withdraw).collect();
    let items = authenticator.sign_all(&statements);
    for (item, statement) in items.iter().zip(&statements) {
        assert_eq!(open(item).unwrap().value(), statement);
    }
    let mut other = Passkey::parse(&items[0]).unwrap();
    other.statement = Passkey::parse(&authenticator.sign(&withdraw(99))).unwrap().statement;
    assert_eq!(why(&other.encode()), Refused::Digest);
    // Its digest put in: then the challenge is another.
    let mut more = other.clone();
    more.digests[1] = Passkey::parse(&authenticator.sign(&withdraw(99))).unwrap().digests[0];
    assert_eq!(why(&more.encode()), Refused::Challenge);
    // No ceremony has 65.
    let too_many: Vec<_> = (0..65).map(withdraw).collect();
    assert!(matches!(open(&authenticator.sign_all(&too_many)[0]), Err(Error::Cose(_))));
}

#[test]
fn a_body_with_more_than_the_seven_members_is_refused() {
    let key = signer(7);
    let mut item = Authenticator::new(&key).sign(&withdraw(1));
    item[0] = 0x88;
    item.extend([0x58, 32]);
    item.extend([5; 32]);
    assert!(open(&item).is_err(), "an eighth member, such as what PRF gave out");
    assert!(identity::open(&item).is_err());
}

#[test]
fn an_equal_assertion_of_a_batch_is_checked_once() {
    let key = signer(7);
    let items = Authenticator::new(&key).sign_all(&[withdraw(1), withdraw(2), withdraw(3)]);
    let checks = Cell::new(0);
    let keys = |spki: &[u8]| {
        checks.set(checks.get() + 1);
        PublicKey::from_spki(spki).map(Arc::new)
    };
    let here = here();
    let mut ceremonies = Ceremonies::default();
    let parsed: Vec<_> =
        items.iter().map(|i| Unverified::parse_among(i.clone(), &mut ceremonies).unwrap()).collect();
    for item in parsed {
        item.verify_with(Place::Of(&here), &keys).unwrap();
    }
    assert_eq!(checks.take(), 1);
    // What failed has failed for all, and what differs in one bit is another.
    let mut bad = Passkey::parse(&items[0]).unwrap();
    bad.signature[5] ^= 1;
    let mut ceremonies = Ceremonies::default();
    let mut taken = |item: &[u8]| {
        let item = Unverified::parse_among(item.to_vec(), &mut ceremonies).unwrap();
        item.verify_with(Place::Of(&here), &keys).is_ok()
    };
    assert!(taken(&items[0]) && !taken(&bad.encode()) && taken(&items[1]) && !taken(&bad.encode()));
    assert_eq!(checks.take(), 2);
    // Shared or not: the statement must be one of them.
    bad = Passkey::parse(&items[0]).unwrap();
    bad.statement = Passkey::parse(&Authenticator::new(&key).sign(&withdraw(9))).unwrap().statement;
    assert!(!taken(&bad.encode()));
}

#[test]
fn a_passkey_item_may_be_endorsed_and_the_id_stays_that_of_its_signer() {
    let (key, second, third) = (p256(7), signer(8), signer(9));
    let item = Authenticator::new(key.as_ref()).sign(&withdraw(1));
    let once = cose::endorse(&second, &item).unwrap();
    let twice = cose::endorse(&third, &once).unwrap();
    let id = open(&item).unwrap().id();
    let thrice = cose::endorse(&second, &twice).unwrap();
    for (item, endorsers) in [(&item, 0), (&once, 1), (&twice, 2), (&thrice, 3)] {
        let verified = open(item).unwrap();
        assert_eq!((verified.id(), verified.signed().endorsers.len()), (id, endorsers));
        assert_eq!(verified.spkis()[0], key.public().spki());
        let proof = cose::proof_of(item).unwrap();
        assert_eq!(cose::join(&proof, verified.statement()).unwrap(), **item);
    }
    let again = cose::endorse(&third, &thrice).unwrap();
    assert!(matches!(open(&again), Err(Error::TooManyLayers { .. })));
    let mut spoiled = once.clone();
    *spoiled.last_mut().unwrap() ^= 1;
    assert!(matches!(open(&spoiled), Err(Error::Signature)));
}

#[test]
fn a_passkey_endorses_by_an_assertion_over_the_item() {
    let (one, two) = (p256(7), p256(8));
    let (one, two) = (Authenticator::new(one.as_ref()), Authenticator::new(two.as_ref()));
    let item = one.sign(&withdraw(1));
    let both = two.endorse(&item);
    let verified = open(&both).unwrap();
    assert_eq!(verified.id(), open(&item).unwrap().id());
    assert_eq!((verified.signer(), &verified.signed().endorsers[..]), (one.key(), &[two.key()][..]));
    let proof = cose::proof_of(&both).unwrap();
    assert_eq!(cose::join(&proof, verified.statement()).unwrap(), both);
    assert_eq!(cose::statement_of(&both).unwrap(), verified.statement());
    // Around COSE, under COSE, and no more than three endorse.
    let mixed =
        cose::endorse(&signer(9), &two.endorse(&crate::support::sign(&withdraw(1), &signer(7)))).unwrap();
    assert_eq!(open(&mixed).unwrap().signed().endorsers.len(), 2);
    let three = two.endorse(&mixed);
    assert_eq!(open(&three).unwrap().signed().endorsers.len(), 3);
    assert!(matches!(open(&one.endorse(&three)), Err(Error::TooManyLayers { .. })));
    // An assertion over statements endorses nothing, and one that endorses signs no statement.
    let mut as_endorsement = Passkey::parse(&two.sign(&withdraw(1))).unwrap();
    (as_endorsement.over, as_endorsement.statement) = (cose::Over::Item, Some(item.clone()));
    assert_eq!(why(&as_endorsement.encode()), Refused::Challenge);
    let mut as_statement = Passkey::parse(&both).unwrap();
    (as_statement.over, as_statement.statement) =
        (cose::Over::Statements, Passkey::parse(&item).unwrap().statement);
    assert_eq!(why(&as_statement.encode()), Refused::Digest);
    // Over another item.
    let mut other = Passkey::parse(&both).unwrap();
    other.statement = Some(one.sign(&withdraw(2)));
    assert_eq!(why(&other.encode()), Refused::Challenge);
}

#[test]
fn a_public_statement_is_not_signed_by_a_passkey() {
    let key = signer(7);
    let close = PartyClose {
        v: V1,
        kind: Kind::PartyClose,
        iat: Timestamp(START),
        nonce: Nonce([1; 16]),
        party: party("bank"),
    };
    let close = Statement::from(close);
    let item = Authenticator::new(&key).sign(&close);
    assert_eq!(why(&item), Refused::Public);
    assert_eq!(why(&cose::endorse(&signer(8), &item).unwrap()), Refused::Public);
    let cose = crate::support::sign(&close, &signer(9));
    assert_eq!(why(&Authenticator::new(&key).endorse(&cose)), Refused::Public);
}

#[test]
fn a_signature_has_one_encoding_and_a_key_too() {
    let key = p256(7);
    let item = Passkey::parse(&Authenticator::new(key.as_ref()).sign(&withdraw(1))).unwrap();
    let mut trailing = item.clone();
    trailing.signature.push(0);
    assert_eq!(why(&trailing.encode()), Refused::Signature);
    let mut compressed = item.clone();
    compressed.spki.truncate(59);
    assert_eq!(why(&compressed.encode()), Refused::Key);
    let ed = signer(7);
    let mut raw = Passkey::parse(&Authenticator::new(&ed).sign(&withdraw(1))).unwrap();
    raw.signature.pop();
    assert_eq!(why(&raw.encode()), Refused::Signature);
    let weak = openssl::rsa::Rsa::generate(1_024).unwrap().public_key_to_der().unwrap();
    let mut rsa = item;
    rsa.spki = weak;
    assert_eq!(why(&rsa.encode()), Refused::Key);
}

#[test]
fn a_login_by_passkey_is_of_this_log_and_this_page() {
    let key = signer(7);
    let now = Timestamp(START);
    let login =
        Login { v: V1, origin: ORIGIN.into(), nonce: Nonce([1; 16]), iat: now, exp: now.plus_ms(30_000) };
    let authenticator = Authenticator::new(&key);
    let item = authenticator.log_in(&login);
    let logged = open_login(&item, ORIGIN, &here(), now).unwrap();
    assert_eq!((logged.key, logged.nonce), (authenticator.key(), login.nonce));
    assert!(matches!(open_login(&item, "other/log", &here(), now), Err(Error::OtherAudience)));
    assert!(matches!(open_login(&item, ORIGIN, &here(), now.plus_ms(30_000)), Err(Error::OutOfTime)));
    let elsewhere = spoiled(&key, |a| a.origin = "https://evil.test".into()).log_in(&login);
    assert!(matches!(open_login(&elsewhere, ORIGIN, &here(), now), Err(Error::Passkey(Refused::Origin))));
    // Two digests: nothing else is signed together with a login.
    let bytes = Passkey::parse(&item).unwrap();
    let both = authenticator.assertion(passkey::LOGIN, vec![bytes.digests[0], [1; 32]]);
    let both = Passkey { statement: bytes.statement, ..both }.encode();
    assert!(open_login(&both, ORIGIN, &here(), now).is_err());
    // A login is no statement, whatever prefix it was signed under.
    assert!(open(&item).is_err());
}

#[test]
fn opened_again_the_id_must_be_a_host_of_the_page() {
    let key = signer(7);
    let named = |origin: &str, id: &str| {
        let at = spoiled(&key, |a| (a.origin, a.rp_id) = (origin.into(), id.into()));
        identity::open(&at.sign(&withdraw(1))).is_ok()
    };
    assert!(named("https://a.naru.kr", "a.naru.kr") && named("https://a.naru.kr:8443", "naru.kr"));
    assert!(named("http://localhost:8080", "localhost"));
    assert!(!named("https://naru.kr", "a.naru.kr") && !named("https://xnaru.kr", "naru.kr"));
    assert!(!named("http://naru.kr", "naru.kr") && !named("naru.kr", "naru.kr"));
    assert!(!named("https://naru.kr/", "naru.kr") && !named("https://", ""));
}

#[test]
fn where_passkeys_live_follows_from_the_name_of_the_log() {
    let of = Relying::of_log("ledger.example.kr/log");
    assert_eq!(
        (of.id.as_str(), &of.origins[..]),
        ("ledger.example.kr", &["https://ledger.example.kr".to_owned()][..])
    );
    let local = Relying::of_log("localhost:8080/demo");
    assert_eq!(local.id, "localhost");
    assert!(local.origins.contains(&"http://localhost:8080".to_owned()) && local.is_sound());
    for (id, origin) in
        [("a.kr", "https://b.kr"), ("a.kr", "http://a.kr"), ("", "https://a.kr"), ("a.kr", "a.kr")]
    {
        assert!(!Relying { id: id.into(), origins: vec![origin.into()] }.is_sound(), "{id} {origin}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        data in prop::collection::vec(any::<u8>(), 0..60),
        client in "\\PC{0,80}",
        signature in prop::collection::vec(any::<u8>(), 0..80),
        spki in prop::collection::vec(any::<u8>(), 0..320),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let _ = (open(&bytes), identity::open(&bytes), open_login(&bytes, ORIGIN, &here(), Timestamp(START)));
        let key = p256(7);
        let good = Passkey::parse(&Authenticator::new(key.as_ref()).sign(&withdraw(1))).unwrap();
        let client = client.into_bytes();
        for item in [
            Passkey { authenticator_data: data, ..good.clone() },
            Passkey { client_data: client, ..good.clone() },
            Passkey { signature, ..good.clone() },
            Passkey { spki, ..good.clone() },
        ] {
            prop_assert!(item == good || open(&item.encode()).is_err());
        }
        let mut flipped = good.encode();
        let place = at.index(flipped.len());
        let same = flipped[place] == byte;
        flipped[place] = byte;
        prop_assert!(same || open(&flipped).is_err());
    }
}
