//! Acts through the node that need more than one key: guardians, parties, ES256, and tampering on the way.

mod support;

use naru::ledger::cose;
use naru::ledger::hash;
use naru::ledger::key::PublicKey;
use naru::ledger::key::Signer;
use naru::ledger::key::signer_from_pem;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::KeyHash;
use naru::model::id::Ppid;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::node::Refusal;
use support::*;

fn inert(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}

fn attest(world: &World, own: Ppid, guardian: Option<KeyHash>) -> Statement {
    SubjectAttest {
        v: V1,
        kind: Kind::SubjectAttest,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        provider: party("idp"),
        minor_until: Some(world.now().plus_ms(3 * 365 * DAY)),
        guardian,
        method: ProofMethod::PhoneIdentity,
    }
    .into()
}

fn delegate(world: &World, own: Ppid, to: KeyHash) -> Statement {
    DelegationGrant {
        v: V1,
        kind: Kind::DelegationGrant,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        over: None,
        delegate: to,
        types: vec!["consent.grant".into(), "consent.withdraw".into()],
        controllers: vec![],
        until: world.now().plus_ms(365 * DAY),
        depth: 0,
        reason: "guardian".into(),
    }
    .into()
}

#[test]
fn a_guardian_grants_for_a_minor_and_nobody_else_does() {
    let world = World::new();
    let (child, parent, stranger) = (1, 2, 3);
    let ppid = world.enrol(child);
    world.enrol(parent);
    world.enrol(stranger);
    let own = world.ppid(child, None);
    let by_idp = sign(&attest(&world, own, Some(key_hash(&person_key(parent)))), &signer(IDP));
    world.accept(by_idp);
    // The child alone: recorded, and the check says what is missing.
    let alone = world.accept(sign(&world.grant(ppid, None).into(), &person_key(child)));
    assert_eq!(world.check(ppid).decision.reason, Reason::MinorWithoutGuardian);
    // A stranger cannot found a delegation; the guardian can.
    let theft = delegate(&world, own, key_hash(&person_key(stranger)));
    let refusal = world.refuse(sign(&theft, &person_key(stranger)));
    assert_eq!(inert(&refusal), Why::NotGuardian);
    let founded = delegate(&world, own, key_hash(&person_key(parent)));
    let founded = world.accept(sign(&founded, &person_key(parent)));
    let mut grant = world.grant(ppid, Some(alone.id));
    grant.by = Some(founded.id);
    let foreign = world.refuse(sign(&grant.clone().into(), &person_key(stranger)));
    assert!(matches!(inert(&foreign), Why::KeyNotInSet | Why::DelegationScope));
    world.accept(sign(&grant.into(), &person_key(parent)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    // It ends by date, whoever forgets to end it.
    world.advance(366 * DAY);
    let mut late = world.grant(ppid, None);
    late.by = Some(founded.id);
    assert_eq!(inert(&world.refuse(sign(&late.into(), &person_key(parent)))), Why::DelegationEnded);
}

#[test]
fn a_party_attests_and_carries_but_never_opens_again() {
    let world = World::new();
    let ppid = world.enrol(1);
    let attested: Statement = ConsentAttest {
        v: V1,
        kind: Kind::ConsentAttest,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        over: None,
        controller: party("bank"),
        recipients: vec![],
        purpose: PURPOSE.into(),
        categories: vec![CATEGORY.into()],
        class: DataClass::RealName,
        actions: vec![naru::model::vocabulary::Action::Use],
        jurisdictions: vec!["KR".into()],
        fetch_until: world.now().plus_ms(30 * DAY),
        keep_until: world.now().plus_ms(60 * DAY),
        given_at: world.now().minus_ms(30 * DAY),
        how: "paper".into(),
    }
    .into();
    let refusal = world.refuse(sign(&attested, &signer(HOSPITAL)));
    assert!(matches!(inert(&refusal), Why::KeyNotInSet));
    world.accept(sign(&attested, &signer(BANK)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentAttested);
    let signal: Statement = ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        act: SignalAct::Withdraw,
        controller: Scope::One("bank".into()),
        purpose: Scope::One(PURPOSE.into()),
        class: DataClass::RealName,
        channel: Channel::CallCentre,
    }
    .into();
    world.accept(sign(&signal, &signer(BANK)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    let mut again = attested;
    if let Statement::ConsentAttest(s) = &mut again {
        s.nonce = nonce();
    }
    assert!(world.submit(sign(&again, &signer(BANK))).is_err());
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
}

/// The order of the P-256 group, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `n − s` over the last 32 bytes: the other valid ECDSA signature of the same message.
fn negate_s(item: &[u8]) -> Vec<u8> {
    let mut out = item.to_vec();
    let from = out.len() - 32;
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let digit = i16::from(ORDER[i]) - i16::from(out[from + i]) - borrow;
        borrow = i16::from(digit < 0);
        out[from + i] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    out
}

fn p256() -> Box<dyn Signer> {
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let key = openssl::ec::EcKey::generate(&group).unwrap();
    let pem = openssl::pkey::PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap();
    signer_from_pem(&String::from_utf8(pem).unwrap()).unwrap()
}

#[test]
fn a_negated_s_is_the_same_statement() {
    let world = World::new();
    let key = p256();
    world.accept(sign(&world.key_create(), key.as_ref()));
    let hash = KeyHash(key.public().hash());
    let ppid = world.node().ppid(&hash, Some(&party("bank"))).unwrap().unwrap();
    let grant = sign(&world.grant(ppid, None).into(), key.as_ref());
    let first = world.accept(grant.clone());
    world.accept(sign(&world.withdraw(ppid), key.as_ref()));
    let negated = negate_s(&grant);
    assert_ne!(negated, grant);
    naru::identity::open(&negated).unwrap();
    let again = world.accept(negated);
    assert!(again.duplicate);
    assert_eq!((again.id, again.index), (first.id, first.index));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn an_added_header_or_another_typ_is_refused() {
    let world = World::new();
    let ppid = world.enrol(1);
    let item = sign(&world.grant(ppid, None).into(), &person_key(1));
    // The unprotected header is the empty map after the protected bytes: put one pair into it.
    let protected_ends = item.windows(2).position(|w| w[0] == 0xa0).unwrap();
    let mut added = item.clone();
    added.splice(protected_ends..=protected_ends, [0xa1, 0x05, 0x40]);
    assert!(matches!(world.refuse(added), Refusal::Malformed(_)));
    let statement = cose::statement_of(&item).unwrap();
    let key = person_key(1);
    for typ in [cose::LOGIN, cose::PROMISE, cose::RECEIPT, "application/cbor"] {
        let other = cose::sign(&key, typ, key.public().spki(), &statement).unwrap();
        assert!(matches!(world.refuse(other), Refusal::Malformed(_)), "{typ}");
    }
    // A key named by its hash is not a signer of ours.
    let by_hash = cose::sign(&key, cose::STATEMENT, &key.public().hash(), &statement).unwrap();
    assert!(matches!(world.refuse(by_hash), Refusal::Malformed(_)));
}

#[test]
fn the_public_log_holds_nothing_of_a_person() {
    let world = World::new();
    let mut markers: Vec<Vec<u8>> =
        vec![b"consent.".to_vec(), b"key.create".to_vec(), PURPOSE.as_bytes().to_vec()];
    let from = world.node().sequenced();
    for n in 0..5 {
        let ppid = world.enrol(n);
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
        world.accept(sign(&world.withdraw(ppid), &person_key(n)));
        let key = person_key(n);
        markers.extend([ppid.0.to_vec(), key.public().hash().to_vec(), key.public().raw().to_vec()]);
        markers.push(world.ppid(n, None).0.to_vec());
    }
    markers.push(b"bank".to_vec());
    world.node().tick().unwrap();
    let entries = world.node().entries(from, world.node().sequenced()).unwrap();
    assert_eq!(entries.len(), 15);
    for entry in entries {
        for marker in &markers {
            assert!(!entry.windows(marker.len()).any(|w| w == marker.as_slice()));
        }
    }
}

#[test]
fn an_operator_makes_no_regulator_and_a_key_stands_in_one_place() {
    let world = World::new();
    let rogue = world.register("rogue", vec![naru::model::vocabulary::Role::Regulator], true);
    let item = sign(&rogue, &signer(77));
    for item in [item.clone(), endorse(&item, OPERATOR), endorse(&endorse(&item, OPERATOR), OPERATOR)] {
        let refusal = world.refuse(item);
        assert!(matches!(inert(&refusal), Why::Endorsement | Why::Role), "{refusal}");
    }
    // A citizen's key cannot become a party's, nor a party's a citizen's.
    world.enrol(1);
    let taken =
        sign(&world.register("shop", vec![naru::model::vocabulary::Role::Controller], false), &person_key(1));
    assert_eq!(inert(&world.refuse(endorse(&taken, OPERATOR))), Why::KeyTaken);
    assert_eq!(inert(&world.refuse(sign(&world.key_create(), &signer(BANK)))), Why::KeyTaken);
    assert_eq!(inert(&world.refuse(sign(&world.key_create(), &person_key(1)))), Why::KeyTaken);
    assert_eq!(inert(&world.refuse(sign(&world.key_create(), &signer(LOG)))), Why::KeyTaken);
}

#[test]
fn a_notice_needs_its_texts_first_and_a_retired_one_opens_nothing() {
    let world = World::new();
    let ppid = world.enrol(1);
    let mut missing = world.notice_of("bank", 2, &[DataClass::RealName]);
    if let Statement::NoticePublish(n) = &mut missing {
        n.texts[0].hash = naru::model::id::Hash(hash::sha256(&[b"never stored"]));
    }
    assert_eq!(inert(&world.refuse(sign(&missing, &signer(BANK)))), Why::AttachmentMissing);
    let retire: Statement = NoticeRetire {
        v: V1,
        kind: Kind::NoticeRetire,
        iat: world.now(),
        nonce: nonce(),
        notice: world.notice,
    }
    .into();
    assert_eq!(inert(&world.refuse(sign(&retire, &signer(HOSPITAL)))), Why::KeyNotInSet);
    let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    world.accept(sign(&retire, &signer(BANK)));
    let late = world.grant(ppid, Some(grant.id));
    assert_eq!(inert(&world.refuse(sign(&late.into(), &person_key(1)))), Why::NoticeRetired);
    assert_eq!(world.check(ppid).decision.reason, Reason::NoticeRetired);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
}

#[test]
fn a_promise_convicts_an_operator_who_drops_an_entry() {
    let world = World::new();
    let ppid = world.enrol(1);
    let accepted = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let log = PublicKey::from_spki(signer(LOG).public().spki()).unwrap();
    let promise = naru::ledger::promise::open(&accepted.promise, &log).unwrap();
    // What the log shows at that index later is held against the promise.
    let shown = world.node().entries(accepted.index, accepted.index + 1).unwrap().remove(0);
    promise.verify_entry(&shown, accepted.index, &accepted.path).unwrap();
    let other = world.node().entries(accepted.index - 1, accepted.index).unwrap().remove(0);
    assert!(promise.verify_entry(&other, accepted.index, &accepted.path).is_err());
    assert!(promise.first <= accepted.index && accepted.index < promise.first + promise.n);
}
