//! What a real Chromium made (tests/vectors/passkey/make.mjs), byte for byte.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity;
use naru::identity::Error;
use naru::identity::Unverified;
use naru::identity::login::open_login;
use naru::identity::passkey::Place;
use naru::identity::passkey::Refused;
use naru::identity::passkey::Relying;
use naru::ledger::cose;
use naru::ledger::cose::Passkey;
use naru::ledger::hash;
use naru::ledger::key::PublicKey;
use naru::model::id::Timestamp;
use naru::model::statement::Kind;
use serde::Deserialize;

const FILES: [(i32, &str); 3] = [
    (-8, include_str!("../vectors/passkey/chromium-8.json")),
    (-7, include_str!("../vectors/passkey/chromium-7.json")),
    (-257, include_str!("../vectors/passkey/chromium-257.json")),
];

#[derive(Deserialize)]
struct Vector {
    origin: String,
    #[serde(rename = "rpId")]
    rp_id: String,
    alg: i32,
    spki: String,
    ceremony: Vec<String>,
    alone: String,
    login: String,
    unverified: String,
    extra: String,
    registration: Registration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    authenticator_data: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
}

fn un(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn vectors() -> impl Iterator<Item = (Vector, Relying)> {
    FILES.into_iter().map(|(alg, text)| {
        let vector: Vector = serde_json::from_str(text).unwrap();
        assert_eq!(vector.alg, alg);
        let relying = Relying { id: vector.rp_id.clone(), origins: vec![vector.origin.clone()] };
        assert!(relying.is_sound());
        (vector, relying)
    })
}

fn at_the_door(
    item: &[u8],
    relying: &Relying,
) -> Result<identity::Verified<naru::model::statement::Statement>, Error> {
    Unverified::parse(item.to_vec())?
        .verify_with(Place::Of(relying), &|spki| PublicKey::from_spki(spki).map(std::sync::Arc::new))
}

fn refused<T>(outcome: Result<T, Error>) -> Refused {
    match outcome {
        Err(Error::Passkey(refused)) => refused,
        Err(other) => panic!("another refusal: {other}"),
        Ok(_) => panic!("taken"),
    }
}

#[test]
fn three_statements_of_one_ceremony_stand_each_for_itself() {
    for (vector, relying) in vectors() {
        let kinds = [Kind::KeyCreate, Kind::ConsentWithdraw, Kind::ConsentRefuse];
        for (item, kind) in vector.ceremony.iter().zip(kinds) {
            let item = un(item);
            let verified = at_the_door(&item, &relying).unwrap();
            assert_eq!(verified.value().kind(), kind);
            assert_eq!(verified.signer().0, hash::sha256(&[&un(&vector.spki)]));
            assert_eq!(identity::open(&item).unwrap().id(), verified.id(), "opened again without the list");
            let (statement, signed) = identity::reload(&item).unwrap();
            assert_eq!((statement.kind(), &signed), (kind, verified.signed()));
            let proof = cose::proof_of(&item).unwrap();
            assert_eq!(cose::join(&proof, verified.statement()).unwrap(), item);
        }
        let alone = at_the_door(&un(&vector.alone), &relying).unwrap();
        let together = at_the_door(&un(&vector.ceremony[1]), &relying).unwrap();
        assert_eq!(alone.id(), together.id(), "the id is over statement and signer, not over the ceremony");
    }
}

#[test]
fn a_user_who_was_not_verified_signs_nothing() {
    for (vector, relying) in vectors() {
        assert_eq!(refused(at_the_door(&un(&vector.unverified), &relying)), Refused::Verification);
        assert_eq!(refused(identity::open(&un(&vector.unverified))), Refused::Verification);
    }
}

#[test]
fn extension_output_is_refused() {
    for (vector, relying) in vectors() {
        assert_eq!(refused(at_the_door(&un(&vector.extra), &relying)), Refused::Extra);
    }
}

#[test]
fn a_login_and_a_statement_never_verify_as_one_another() {
    let now = Timestamp(1_764_000_000_000);
    for (vector, relying) in vectors() {
        let open = |item: &[u8]| open_login(item, "localhost/log", &relying, now);
        assert_eq!(open(&un(&vector.login)).unwrap().key.0, hash::sha256(&[&un(&vector.spki)]));
        // The same bytes said to be the other kind: the challenge has another prefix.
        assert_eq!(refused(open(&un(&vector.alone))), Refused::Challenge);
        let mut as_statement = Passkey::parse(&un(&vector.login)).unwrap();
        let withdraw = Passkey::parse(&un(&vector.alone)).unwrap();
        as_statement.statement = withdraw.statement;
        assert_eq!(refused(at_the_door(&as_statement.encode(), &relying)), Refused::Digest);
        as_statement.digests = withdraw.digests;
        assert_eq!(refused(at_the_door(&as_statement.encode(), &relying)), Refused::Challenge);
    }
}

#[test]
fn a_registration_is_no_assertion() {
    for (vector, relying) in vectors() {
        let mut item = Passkey::parse(&un(&vector.alone)).unwrap();
        item.authenticator_data = un(&vector.registration.authenticator_data);
        item.client_data = un(&vector.registration.client_data);
        assert_eq!(refused(at_the_door(&item.encode(), &relying)), Refused::Type);
    }
}

#[test]
fn another_page_or_another_log_is_refused() {
    for (vector, relying) in vectors() {
        let item = un(&vector.alone);
        let elsewhere = Relying { origins: vec!["http://localhost:1".into()], ..relying.clone() };
        assert_eq!(refused(at_the_door(&item, &elsewhere)), Refused::Origin);
        let other = Relying { id: "naru.example.kr".into(), ..relying.clone() };
        assert_eq!(refused(at_the_door(&item, &other)), Refused::RelyingParty);
    }
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    for (vector, relying) in vectors() {
        let item = un(&vector.alone);
        for at in 0..item.len() {
            let mut bad = item.clone();
            bad[at] ^= 1;
            assert!(at_the_door(&bad, &relying).is_err(), "{} at {at}", vector.alg);
        }
    }
}
