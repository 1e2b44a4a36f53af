//! Of age: a ward whose only key is thrown away becomes 14, and gets a key set of her own.

use naru::consent::REBIND_WAIT_MS;
use naru::identity::provider::Addressed;
use naru::identity::provider::Book;
use naru::identity::provider::Born;
use naru::identity::provider::DemoKorean;
use naru::identity::provider::Identified;
use naru::identity::provider::IdentityKey;
use naru::identity::provider::Provider;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Nonce;
use naru::model::id::Ppid;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use naru::node::Refusal;

use crate::support::*;

const DEMO: u8 = 40;
const NAME: &str = "demo-phone";
/// Nobody has it: the page that enrolled her made it, signed once and threw it away.
const WARD: u64 = 1;
const PARENT: u64 = 2;
/// Made by herself, at 14.
const OWN: u64 = 3;

fn why(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}

fn identified(world: &World) -> Identified {
    let (mut demo, handle) = (DemoKorean::new(party(NAME)).unwrap(), Nonce([5; 16]));
    demo.prepare(handle, world.now()).unwrap();
    // 14 on 30 November 2025: in the fifth night after the log's beginning.
    let born = Born::new(2_011, 11, 30).unwrap();
    demo.answer(&handle, &("c".repeat(86) + "=="), born, world.now()).unwrap();
    demo.verify(&handle, &IdentityKey::new([3; 32]), world.now()).unwrap()
}

fn delegation(world: &World, own: Ppid, over: Option<naru::model::id::StatementId>) -> Vec<u8> {
    let says = DelegationGrant {
        v: V1,
        kind: Kind::DelegationGrant,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        over,
        delegate: key_hash(&person_key(PARENT)),
        types: vec!["consent.grant".into(), "consent.withdraw".into()],
        controllers: vec![],
        // Longer than childhood: the date of the attestation ends it, whatever stands here.
        until: world.now().plus_ms(3_650 * DAY),
        depth: 0,
        reason: "guardian".into(),
    };
    sign(&says.into(), &person_key(PARENT))
}

#[test]
fn at_14_she_claims_her_own_keys_and_the_guardian_is_out() {
    let mut world = World::new();
    let item = world.register(NAME, vec![Role::IdentityProvider], true);
    world.accept(endorse(&endorse(&sign(&item, &signer(DEMO)), OPERATOR), REGULATOR));
    let at_bank = world.enrol(WARD);
    world.enrol(PARENT);
    let (own, mut book) = (world.ppid(WARD, None), Book::default());
    // The provider's word: whose guardian, and until which date, by the law pack's age.
    let who = identified(&world);
    book.note(&who, own).unwrap();
    let to = Addressed { provider: party(NAME), ppid: own, iat: world.now(), nonce: nonce() };
    let age = naru::node::home_packs().unwrap().first().unwrap().pack.minor_age();
    let says = who.attest(&to, age, Some(key_hash(&person_key(PARENT))));
    let birthday = says.minor_until.unwrap();
    assert!(world.now() < birthday);
    world.accept(sign(&says.into(), &signer(DEMO)));
    let founded = world.accept(delegation(&world, own, None));
    let mut grant = world.grant(at_bank, None);
    grant.by = Some(founded.id);
    let granted = world.accept(sign(&grant.into(), &person_key(PARENT)));
    assert_eq!(world.check(at_bank).decision.reason, Reason::ConsentGiven);

    // Her birthday. No job runs: from this instant the guardian signs nothing for her.
    world.advance(birthday.0 - world.now().0);
    let mut late = world.grant(at_bank, Some(granted.id));
    late.by = Some(founded.id);
    assert_eq!(why(&world.refuse(sign(&late.into(), &person_key(PARENT)))), Why::NotGuardian);
    let again = delegation(&world, own, Some(founded.id));
    assert_eq!(why(&world.refuse(again)), Why::NotGuardian);
    assert_eq!(
        world.check(at_bank).decision.reason,
        Reason::ConsentGiven,
        "what was granted stands until she closes it"
    );

    // She is identified by herself; provider and operator bind her key; nobody else can.
    let who = identified(&world);
    let claim = book.rebind(&who, key_hash(&person_key(OWN)), &party(NAME), (world.now(), nonce())).unwrap();
    let claim = sign(&claim.into(), &signer(DEMO));
    assert_eq!(why(&world.refuse(claim.clone())), Why::Endorsement);
    world.accept(endorse(&claim, OPERATOR));
    let stop: Statement = KeyRevoke {
        v: V1,
        kind: Kind::KeyRevoke,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        key: key_hash(&person_key(OWN)),
    }
    .into();
    world.refuse(sign(&stop, &person_key(PARENT)));
    world.advance(REBIND_WAIT_MS - 1);
    world.refuse(sign(&world.withdraw(at_bank), &person_key(OWN)));
    world.advance(1);
    world.reopen();
    // Her own key set: the same person for everybody she dealt with, and her word alone.
    let withdrawn = world.accept(sign(&world.withdraw(at_bank), &person_key(OWN)));
    assert_eq!(world.check(at_bank).decision.reason, Reason::ConsentWithdrawn);
    world.accept(sign(&world.grant(at_bank, Some(withdrawn.id)).into(), &person_key(OWN)));
    let told = world.check(at_bank).decision;
    assert_eq!(told.reason, Reason::ConsentGiven, "no guardian is asked for");
    let seen = world.node().own(&key_hash(&person_key(OWN))).unwrap().unwrap();
    assert_eq!(seen.minor_until, None);
    let live: Vec<_> = seen.keys.iter().filter(|key| key.live).map(|key| key.key).collect();
    assert_eq!(live, [key_hash(&person_key(OWN))]);
    // The guardian stays out.
    let mut late = world.grant(at_bank, None);
    late.by = Some(founded.id);
    assert_eq!(why(&world.refuse(sign(&late.into(), &person_key(PARENT)))), Why::NotGuardian);
}

fn revoke(world: &World, own: Ppid, key: u64) -> Statement {
    let (kind, iat, nonce) = (Kind::KeyRevoke, world.now(), nonce());
    KeyRevoke { v: V1, kind, iat, nonce, ppid: own, key: key_hash(&person_key(key)) }.into()
}

#[test]
fn a_guardian_who_kept_her_first_key_does_not_stop_her_claim() {
    const PAPER: u64 = 4;
    const LATER: u64 = 5;
    let mut world = World::new();
    let item = world.register(NAME, vec![Role::IdentityProvider], true);
    world.accept(endorse(&endorse(&sign(&item, &signer(DEMO)), OPERATOR), REGULATOR));
    // The guardian enrols the ward, and keeps device and paper.
    let Statement::KeyCreate(mut enrol) = world.key_create() else { panic!() };
    enrol.recovery = Some(key_hash(&person_key(PAPER)));
    world.accept(sign(&(*enrol).into(), &person_key(WARD)));
    world.enrol(PARENT);
    let (own, mut book) = (world.ppid(WARD, None), Book::default());
    let who = identified(&world);
    book.note(&who, own).unwrap();
    let to = Addressed { provider: party(NAME), ppid: own, iat: world.now(), nonce: nonce() };
    let age = naru::node::home_packs().unwrap().first().unwrap().pack.minor_age();
    let says = who.attest(&to, age, Some(key_hash(&person_key(PARENT))));
    let birthday = says.minor_until.unwrap();
    world.accept(sign(&says.into(), &signer(DEMO)));
    let rebind = |world: &World, new: u64| {
        let (new, at) = (key_hash(&person_key(new)), (world.now(), nonce()));
        let says = book.rebind(&identified(world), new, &party(NAME), at).unwrap();
        endorse(&sign(&says.into(), &signer(DEMO)), OPERATOR)
    };
    // While she is a ward, whoever holds her keys guards them: a rebind is stopped as anybody's.
    world.accept(rebind(&world, 66));
    world.accept(sign(&revoke(&world, own, 66), &person_key(WARD)));

    world.advance(birthday.0 - world.now().0);
    // A key brought by one of these is no better than it.
    let over = world.node().own(&key_hash(&person_key(WARD))).unwrap().unwrap().keys_over;
    let key = key_hash(&person_key(LATER));
    let add = KeyAdd {
        v: V1,
        kind: Kind::KeyAdd,
        iat: world.now(),
        nonce: nonce(),
        ppid: own,
        over,
        key,
        key_use: KeyUse::Device,
    };
    let added = sign(&add.into(), &person_key(WARD));
    world.accept(naru::ledger::cose::endorse(&person_key(LATER), &added).unwrap());
    world.accept(rebind(&world, OWN));
    for old in [WARD, LATER] {
        assert_eq!(why(&world.refuse(sign(&revoke(&world, own, OWN), &person_key(old)))), Why::NotGuardian);
    }
    let by_paper = sign(&revoke(&world, own, OWN), &person_key(PAPER));
    assert_eq!(why(&world.refuse(by_paper)), Why::NotGuardian);
    let (kind, iat, new) = (Kind::KeyRecover, world.now(), key_hash(&person_key(67)));
    let recover = KeyRecover { v: V1, kind, iat, nonce: nonce(), ppid: own, new };
    let recovered = sign(&recover.into(), &person_key(PAPER));
    let recovered = naru::ledger::cose::endorse(&person_key(67), &recovered).unwrap();
    assert_eq!(why(&world.refuse(recovered)), Why::NotGuardian);
    world.reopen();
    world.advance(REBIND_WAIT_MS);
    // From here on she alone is there, and as anybody she stops what comes next.
    let seen = world.node().own(&key_hash(&person_key(OWN))).unwrap().unwrap();
    let live: Vec<_> = seen.keys.iter().filter(|key| key.live).map(|key| key.key).collect();
    assert_eq!(live, [key_hash(&person_key(OWN))]);
    world.accept(rebind(&world, 68));
    world.refuse(sign(&revoke(&world, own, 68), &person_key(WARD)));
    world.accept(sign(&revoke(&world, own, 68), &person_key(OWN)));
}
