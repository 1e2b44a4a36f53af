//! Erasure: nothing of her is left, nothing of anybody else is lost, every proof stands.

use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::PartyId;
use naru::model::id::SubjectId;
use naru::model::statement::*;
use naru::node::Accepted;
use naru::node::Keys;
use naru::node::Node;
use naru::node::Refusal;
use naru::node::Rotated;
use naru::node::Settings;
use naru::store::Name;
use naru::store::Store;
use naru::vault::Pointed;
use naru::vault::Suite;
use naru::vault::Vault;

use crate::fsck_of;
use crate::stop;
use crate::support::*;
use crate::with_data;

pub(crate) fn demand(world: &World, n: u64) -> Vec<u8> {
    let statement: Statement = ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(n, None),
    }
    .into();
    sign(&statement, &person_key(n))
}

/// Enrols a person who grants.
pub(crate) fn granted(world: &World, n: u64) -> Accepted {
    let ppid = world.enrol(n);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)))
}

pub(crate) fn who(world: &World, n: u64) -> Pointed {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let key = key_hash(&person_key(n));
    let row = world.memory.locate(&Name::Key(key.0)).unwrap().unwrap();
    vault.open_name(&key.0, &row.sealed).unwrap()
}

fn why(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}

fn is_dead(world: &World, who: Pointed) -> bool {
    let slots = std::fs::read(world.dir.path().join("vault/slots")).unwrap();
    let at = usize::try_from(who.slot.0).unwrap() * 128;
    slots[at..at + 128] == [0; 128]
}

/// Nothing of her is in the store, and her key is gone.
#[track_caller]
pub(crate) fn nothing_is_left(world: &World, who: Pointed, names: &[Name]) {
    assert_eq!(world.memory.ids(&who.subject).unwrap(), [], "bodies");
    assert_eq!(world.memory.rows(&who.subject).unwrap().rows, [], "rows");
    for name in names {
        assert_eq!(world.memory.locate(name).unwrap(), None, "{name:?}");
    }
    assert!(is_dead(world, who), "her slot");
}

#[test]
fn she_is_gone_when_she_has_her_answer_and_nobody_else_has_changed() {
    let mut world = World::new();
    let first = granted(&world, 1);
    granted(&world, 2);
    world.advance(1_000);
    world.node().tick().unwrap();
    let shown = world.node().published();
    let (hers, bank, own) = (who(&world, 1), world.ppid(1, Some("bank")), world.ppid(1, None));
    let other = world.ppid(1, Some("hospital"));
    let item = demand(&world, 1);
    let accepted = world.accept(item.clone());
    let erased = accepted.erasure.expect("erased at once");
    assert_eq!((erased.certificate, erased.here), (accepted.index + 1, world.now()));
    assert_eq!(erased.backups.0, START + Rotated::EPOCH_MS);
    let key = Name::Key(key_hash(&person_key(1)).0);
    let ids = [first.id, accepted.id].map(|id| Name::Statement(id.0));
    let names = [&[key][..], &[bank, own, other].map(|ppid| Name::Ppid(ppid.0)), &ids].concat();
    nothing_is_left(&world, hers, &names);

    // To everybody she is as if she had never been.
    let never = naru::model::id::Ppid([0xaa; 16]);
    assert_eq!(world.check(bank).decision, world.check(never).decision);
    assert_eq!(world.node().ppid(&key_hash(&person_key(1)), None).unwrap(), None);
    assert_eq!(why(&world.refuse(item)), Why::KeyNotInSet);
    assert_eq!(why(&world.refuse(sign(&world.withdraw(bank), &person_key(1)))), Why::KeyNotInSet);
    assert_eq!(world.check(world.ppid(2, Some("bank"))).decision.reason, Reason::ConsentGiven);
    let told = world.node().events(&party("bank"), 0, 1_000).unwrap();
    assert!(told.events.iter().all(|event| event.ppid != bank), "told of nobody");
    // Her key may make another person, who has no past.
    let again = world.enrol(1);
    assert_ne!(again, bank);
    assert_ne!(world.check(again).decision.reason, Reason::ConsentGiven);

    // Every old promise and checkpoint holds.
    world.advance(1_000);
    world.node().tick().unwrap();
    let entries = world.node().entries(0, shown.size).unwrap();
    let leaves: Vec<_> = entries.iter().map(|entry| naru::ledger::hash::leaf(entry)).collect();
    assert_eq!(naru::ledger::merkle::root(&leaves), shown.root);
    for _ in 0..2 {
        stop(&mut world);
        let report = fsck_of(&world);
        assert_eq!(report.faults, []);
        // key.create, grant, demand.
        assert_eq!((report.erased, report.unerased, report.counts.erased), (3, 0, 3));
        assert_eq!((report.counts.erasures, report.persons), (1, 2));
        with_data(&world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
        world.node = Some(world.open().unwrap());
        assert_eq!(world.check(bank).decision, world.check(never).decision);
        assert_eq!(world.check(world.ppid(2, Some("bank"))).decision.reason, Reason::ConsentGiven);
    }
    nothing_is_left(&world, hers, &names[1..]);
}

#[test]
fn what_is_in_the_queue_behind_a_demand_comes_too_late() {
    let world = World::new();
    granted(&world, 1);
    let ppid = world.ppid(1, Some("bank"));
    let items = vec![
        sign(&world.withdraw(ppid), &person_key(1)),
        demand(&world, 1),
        sign(&world.withdraw(ppid), &person_key(1)),
    ];
    let hers = who(&world, 1);
    let outcomes = world.node().record(items);
    for outcome in outcomes {
        match outcome {
            Ok(accepted) => assert!(accepted.kind != Kind::ErasureDemand || accepted.erasure.is_some()),
            Err(refusal) => assert!(matches!(why(&refusal), Why::KeyNotInSet | Why::NotThisSubject)),
        }
    }
    nothing_is_left(&world, hers, &[]);
}

#[test]
fn many_at_once_are_erased_by_as_few_certificates() {
    let mut world = World::new();
    let all: Vec<u64> = (1..=20).collect();
    all.iter().for_each(|n| drop(granted(&world, *n)));
    let hers: Vec<Pointed> = all.iter().map(|n| who(&world, *n)).collect();
    let items = all.iter().map(|n| demand(&world, *n)).collect();
    for outcome in world.node().record(items) {
        assert!(outcome.unwrap().erasure.is_some());
    }
    hers.iter().for_each(|hers| nothing_is_left(&world, *hers, &[]));
    stop(&mut world);
    let report = fsck_of(&world);
    assert_eq!((report.faults.clone(), report.erased, report.persons), (vec![], 60, 0));
}

#[test]
fn a_body_deleted_by_hand_is_a_loss_and_no_erasure() {
    let mut world = World::new();
    granted(&world, 1);
    let lost = granted(&world, 2);
    world.accept(demand(&world, 1));
    let hers = who(&world, 2);
    stop(&mut world);
    let (epoch, _) = world.memory.lead(&naru::store::Holder([9; 16])).unwrap();
    // As a suppressing operator would: rows, bodies and names of one person.
    world.memory.forget(epoch, &hers.subject, &[Name::Statement(lost.id.0)]);
    let report = fsck_of(&world);
    let told: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert!(told.contains(&format!("entry {}: its name row is missing", lost.index)), "{told:?}");
    assert!(told.iter().any(|fault| fault.contains("lost or suppressed, for no certificate names it")));
    assert_eq!(report.erased, 3);
}

#[test]
fn a_certificate_that_does_not_say_what_it_forgets_is_refused() {
    let world = World::new();
    granted(&world, 1);
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let tag = vault.erasure_tag(who(&world, 1)).unwrap();
    let decoy = vault.erasure_tag(vault.decoy().0).unwrap();
    let certificate = |tags: Vec<SubjectId>, order: Option<&str>, records| -> Statement {
        ErasureCertify {
            v: V1,
            kind: Kind::ErasureCertify,
            iat: world.now(),
            nonce: nonce(),
            tags,
            order: order.map(Into::into),
            scheduled: false,
            records,
            tombstones: Hash([0; 32]),
        }
        .into()
    };
    let operator = |tags, records| sign(&certificate(tags, None, records), &signer(OPERATOR));
    assert_eq!(why(&world.refuse(operator(vec![tag], 2))), Why::Superseded);
    assert_eq!(why(&world.refuse(operator(vec![], 0))), Why::NotThisSubject);
    assert_eq!(why(&world.refuse(operator(vec![decoy], 0))), Why::NotThisSubject);
    assert_eq!(why(&world.refuse(operator(vec![SubjectId([7; 16])], 0))), Why::NotThisSubject);
    world.accept(demand(&world, 1));
    assert_eq!(why(&world.refuse(operator(vec![tag], 3))), Why::NotThisSubject, "twice");
}

#[test]
fn a_legal_order_needs_operator_and_regulator_and_names_what_is_there() {
    let mut world = World::new();
    granted(&world, 1);
    let (hers, bank) = (who(&world, 1), world.ppid(1, Some("bank")));
    let of = |party: Option<&PartyId>, ppid| world.node().erasure_by_order(party, ppid, "2026-7").unwrap();
    assert_eq!(of(Some(&party("hospital")), bank), None, "not her ppid there");
    assert_eq!(of(None, bank), None);
    let early = of(Some(&party("bank")), bank).unwrap();
    assert_eq!(why(&world.refuse(early.clone())), Why::Endorsement);
    assert_eq!(why(&world.refuse(endorse(&early, BANK))), Why::Endorsement);
    // She has acted since: the certificate would leave something behind.
    world.accept(sign(&world.withdraw(bank), &person_key(1)));
    assert_eq!(why(&world.refuse(endorse(&early, REGULATOR))), Why::Superseded);
    assert!(!is_dead(&world, hers));
    let item = endorse(&of(Some(&party("bank")), bank).unwrap(), REGULATOR);
    world.accept(item);
    nothing_is_left(&world, hers, &[Name::Ppid(bank.0)]);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

/// A node without the operator's key, over the same data.
fn without_operator(world: &World) -> Node {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let settings = Settings { use_log: world.logging, ..settings(&world.dir) };
    let keys = Keys { operator: None, ..keys() };
    let store = std::sync::Arc::new(world.memory.clone());
    Node::open(settings, store, vault, keys, world.clock.clone()).unwrap()
}

#[test]
fn a_demand_that_cannot_be_certified_waits_and_she_is_nobody_meanwhile() {
    for power in [false, true] {
        let mut world = World::new();
        granted(&world, 1);
        let (hers, bank) = (who(&world, 1), world.ppid(1, Some("bank")));
        let never = naru::model::id::Ppid([0xaa; 16]);
        let item = demand(&world, 1);
        stop(&mut world);
        world.node = Some(without_operator(&world));
        assert_eq!(world.accept(item.clone()).erasure, None);
        assert_eq!(world.check(bank).decision, world.check(never).decision);
        let regrant = sign(&world.grant(bank, None).into(), &person_key(1));
        assert_eq!(why(&world.refuse(regrant)), Why::NotThisSubject);
        assert!(world.accept(item).duplicate, "her key is there still");
        if power {
            world.reopen()
        } else {
            stop(&mut world)
        }
        assert_eq!(fsck_of(&world).faults, []);
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
        nothing_is_left(&world, hers, &[Name::Ppid(bank.0)]);
        stop(&mut world);
        assert_eq!(fsck_of(&world).faults, []);
    }
}

#[test]
fn what_her_guardian_did_stands_though_the_guardian_is_erased() {
    let mut world = World::new();
    for n in [1, 2] {
        granted(&world, n);
    }
    let (ward, bank) = (world.ppid(1, None), world.ppid(1, Some("bank")));
    let delegation: Statement = DelegationGrant {
        v: V1,
        kind: Kind::DelegationGrant,
        iat: world.now(),
        nonce: nonce(),
        ppid: ward,
        over: None,
        delegate: key_hash(&person_key(2)),
        types: vec![Kind::ConsentWithdraw.as_str().to_owned()],
        controllers: Vec::new(),
        until: world.now().plus_ms(DAY),
        depth: 0,
        reason: "helper".into(),
    }
    .into();
    let by = world.accept(sign(&delegation, &person_key(1))).id;
    let Statement::ConsentWithdraw(mut withdraw) = world.withdraw(bank) else { unreachable!() };
    withdraw.by = Some(by);
    world.accept(sign(&Statement::ConsentWithdraw(withdraw), &person_key(2)));
    let helper = who(&world, 2);
    world.accept(demand(&world, 2));
    nothing_is_left(&world, helper, &[]);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
    with_data(&world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
    world.node = Some(world.open().unwrap());
    assert_eq!(world.check(bank).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn a_request_she_answered_goes_with_her() {
    let mut world = World::new();
    granted(&world, 2);
    world.enrol(1);
    let link = Hash([5; 32]);
    let asked = world.accept(sign(&world.request(link).into(), &signer(BANK))).id;
    let ppid = world.ppid(1, Some("bank"));
    let mut grant = world.grant(ppid, None);
    grant.link = Some(link);
    world.accept(sign(&grant.into(), &person_key(1)));
    assert!(world.node().request_answer(&asked, &party("bank")).unwrap().unwrap().given.is_some());
    world.accept(demand(&world, 1));
    assert!(world.node().request_answer(&asked, &party("bank")).unwrap().is_none());
    let asked = Name::Statement(asked.0);
    assert_eq!(world.memory.locate(&asked).unwrap(), None);
    stop(&mut world);
    let report = fsck_of(&world);
    // key.create, grant, demand, and the request.
    assert_eq!((report.faults.clone(), report.erased), (vec![], 4));
}

#[test]
fn who_is_left_passes_into_the_next_epoch_after_an_erasure() {
    let mut world = World::new();
    granted(&world, 1);
    granted(&world, 2);
    let hers = who(&world, 1);
    world.accept(demand(&world, 1));
    world.node().rotate(Suite::default()).unwrap();
    nothing_is_left(&world, hers, &[]);
    assert_eq!(world.check(world.ppid(2, Some("bank"))).decision.reason, Reason::ConsentGiven);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn a_complaint_stays_with_its_incident_when_its_person_goes() {
    let mut world = World::new();
    granted(&world, 1);
    let complaint = world.complaint(world.ppid(1, Some("bank")), "bank", "they knew").into();
    world.accept(sign(&complaint, &person_key(1)));
    let hers = who(&world, 1);
    world.accept(demand(&world, 1));
    nothing_is_left(&world, hers, &[]);
    assert_eq!(world.node().incidents_for(&party("pipc")).unwrap().len(), 1);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
    with_data(&world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
    world.node = Some(world.open().unwrap());
    assert_eq!(world.node().incidents_for(&party("pipc")).unwrap().len(), 1);
}
