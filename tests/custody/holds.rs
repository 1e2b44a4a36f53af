//! A hold stops the destruction of what it names, until its end and no longer: whoever it is of is
//! erased, and the case keeps exactly that.

use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::Nonce;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::node::Accepted;
use naru::node::Refusal;
use naru::node::incidents::HeldBack;
use naru::store::Name;
use naru::store::Store;

use crate::erasure::demand;
use crate::erasure::granted;
use crate::erasure::nothing_is_left;
use crate::erasure::who;
use crate::fsck_of;
use crate::stop;
use crate::support::*;
use crate::with_data;

/// An incident of the bank's: the complaint of somebody else.
pub(crate) fn case(world: &World) -> Nonce {
    granted(world, 9);
    let complaint = world.complaint(world.ppid(9, Some("bank")), "bank", "they knew").into();
    world.accept(sign(&complaint, &person_key(9))).id.incident()
}

pub(crate) fn place(world: &World, case: Nonce, records: &[StatementId], until: Timestamp) -> Vec<u8> {
    let statement: Statement = HoldPlace {
        v: V1,
        kind: Kind::HoldPlace,
        iat: world.now(),
        nonce: nonce(),
        case: case.to_string(),
        regulator: party("pipc"),
        records: records.to_vec(),
        until,
    }
    .into();
    sign(&statement, &signer(REGULATOR))
}

pub(crate) fn lift(world: &World, case: Nonce) -> Vec<u8> {
    let statement: Statement = HoldLift {
        v: V1,
        kind: Kind::HoldLift,
        iat: world.now(),
        nonce: nonce(),
        case: case.to_string(),
        regulator: party("pipc"),
    }
    .into();
    sign(&statement, &signer(REGULATOR))
}

fn told(records: &[StatementId], until: Timestamp) -> Vec<HeldBack> {
    vec![HeldBack { regulator: party("pipc"), until, records: records.to_vec() }]
}

/// What a party is shown of a statement.
fn shown(world: &World, id: &StatementId, name: &str) -> Option<Vec<u8>> {
    let caller = naru::node::Caller::Party(party(name));
    match world.node().evidence(id, Some(&caller)).unwrap() {
        naru::node::Shown::Evidence(evidence) => Some(evidence),
        naru::node::Shown::NotYet => panic!("not yet published"),
        naru::node::Shown::Nothing => None,
    }
}

/// The regulator of the case opens the record, word for word, and nobody else does.
#[track_caller]
fn kept(world: &World, record: &Accepted, item: &[u8]) {
    let log = signer(LOG);
    let evidence = shown(world, &record.id, "pipc").expect("the regulator of the case");
    let evidence = naru::ledger::evidence::Evidence::parse(&evidence).unwrap();
    let opened = evidence.verify(naru::ledger::key::Signer::public(&log), ORIGIN, Some(200)).unwrap();
    assert_eq!((opened.index, opened.item.as_deref()), (record.index, Some(item)));
    assert_eq!([shown(world, &record.id, "bank"), shown(world, &record.id, "hospital")], [None, None]);
}

/// Nothing of the record is left here.
#[track_caller]
fn gone(world: &World, record: &Accepted) {
    assert_eq!(shown(world, &record.id, "pipc"), None);
    assert_eq!(world.memory.locate(&Name::Statement(record.id.0)).unwrap(), None);
}

/// Whose grant is held when she is erased.
struct Erased {
    world: World,
    case: Nonce,
    grant: Accepted,
    item: Vec<u8>,
}

fn erased(until_ms: u64) -> Erased {
    let world = World::new();
    let ppid = world.enrol(1);
    let item = sign(&world.grant(ppid, None).into(), &person_key(1));
    let grant = world.accept(item.clone());
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    let case = case(&world);
    let until = world.now().plus_ms(until_ms);
    world.accept(place(&world, case, &[grant.id, StatementId([7; 32])], until));
    world.advance(1_000);
    world.node().tick().unwrap();
    assert_eq!(shown(&world, &grant.id, "pipc"), None, "a hold opens nothing of the living");
    let hers = who(&world, 1);
    let accepted = world.accept(demand(&world, 1));
    assert!(accepted.erasure.is_some(), "the hold stops nothing of the rest");
    assert_eq!(accepted.held, told(&[grant.id], until));
    world.advance(1_000);
    world.node().tick().unwrap();
    nothing_is_left(&world, hers, &[Name::Ppid(ppid.0), Name::Statement(grant.id.0)]);
    assert_eq!(world.check(ppid).decision, world.check(Ppid([0xaa; 16])).decision);
    kept(&world, &grant, &item);
    assert_eq!(shown(&world, &withdrawn.id, "pipc"), None, "exactly what is held");
    Erased { world, case, grant, item }
}

#[test]
fn she_is_erased_and_the_case_keeps_what_it_holds_to_the_end_of_the_hold() {
    let Erased { mut world, grant, item, .. } = erased(3 * DAY);
    for rebuilds in [false, true] {
        stop(&mut world);
        let report = fsck_of(&world);
        // key.create, withdrawal and demand are tombstones; the grant is not.
        assert_eq!((report.faults.clone(), report.erased, report.held), (vec![], 3, 1));
        assert_eq!((report.counts.erasures, report.counts.erased), (1, 3));
        if rebuilds {
            with_data(&world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
        }
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
        kept(&world, &grant, &item);
    }
    world.advance(3 * DAY - 2_001);
    world.node().tick().unwrap();
    kept(&world, &grant, &item);
    world.advance(1);
    world.node().tick().unwrap();
    gone(&world, &grant);
    for _ in 0..2 {
        stop(&mut world);
        let report = fsck_of(&world);
        assert_eq!((report.faults.clone(), report.erased, report.held), (vec![], 4, 0));
        assert_eq!((report.counts.erasures, report.counts.erased), (2, 4));
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
        gone(&world, &grant);
    }
}

#[test]
fn a_lift_destroys_at_once_also_after_power_loss_and_across_a_rotation() {
    for power in [false, true] {
        let Erased { mut world, case, grant, item } = erased(300 * DAY);
        if power {
            world.reopen();
            world.node().tick().unwrap();
            kept(&world, &grant, &item);
        }
        world.node().rotate(naru::vault::Suite::default()).unwrap();
        kept(&world, &grant, &item);
        world.accept(lift(&world, case));
        world.node().tick().unwrap();
        gone(&world, &grant);
        stop(&mut world);
        let report = fsck_of(&world);
        assert_eq!((report.faults.clone(), report.erased, report.held), (vec![], 4, 0));
    }
}

#[test]
fn a_record_that_two_cases_hold_is_a_tombstone_only_after_the_second() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let item = sign(&world.grant(ppid, None).into(), &person_key(1));
    let grant = world.accept(item.clone());
    let first = case(&world);
    let complaint = world.complaint(world.ppid(9, Some("bank")), "bank", "again").into();
    let second = world.accept(sign(&complaint, &person_key(9))).id.incident();
    let until = world.now().plus_ms(30 * DAY);
    for case in [first, second] {
        world.accept(place(&world, case, &[grant.id], until));
    }
    assert!(world.accept(demand(&world, 1)).erasure.is_some());
    world.advance(1_000);
    world.node().tick().unwrap();
    for (lifted, erased) in [(first, 2), (second, 3)] {
        kept(&world, &grant, &item);
        world.accept(lift(&world, lifted));
        world.node().tick().unwrap();
        stop(&mut world);
        let report = fsck_of(&world);
        assert_eq!((report.faults.clone(), report.erased), (vec![], erased));
        assert_eq!(report.counts.erased, erased);
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
    }
    gone(&world, &grant);
}

#[test]
fn what_is_kept_and_deleted_by_hand_is_a_loss() {
    let Erased { mut world, grant, .. } = erased(3 * DAY);
    stop(&mut world);
    let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let number = naru::ledger::hash::sha256(&[b"naru-held-number", &[0], &0u64.to_be_bytes()]);
    let row = world.memory.locate(&Name::Key(number)).unwrap().unwrap();
    let who = vault.open_name(&number, &row.sealed).unwrap();
    let (epoch, _) = world.memory.lead(&naru::store::Holder([9; 16])).unwrap();
    world.memory.forget(epoch, &who.subject, &[]);
    let told: Vec<String> = fsck_of(&world).faults.iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("entry {}: its name row is missing", grant.index)]);
}

#[test]
fn a_hold_on_a_request_she_answered_keeps_the_request_alone() {
    let mut world = World::new();
    world.enrol(1);
    let case = case(&world);
    let link = Hash([5; 32]);
    let item = sign(&world.request(link).into(), &signer(BANK));
    let asked = world.accept(item.clone());
    let mut grant = world.grant(world.ppid(1, Some("bank")), None);
    grant.link = Some(link);
    world.accept(sign(&grant.into(), &person_key(1)));
    let until = world.now().plus_ms(DAY);
    world.accept(place(&world, case, &[asked.id], until));
    let hers = who(&world, 1);
    let accepted = world.accept(demand(&world, 1));
    assert!(accepted.erasure.is_some());
    assert_eq!(accepted.held, told(&[asked.id], until));
    nothing_is_left(&world, hers, &[Name::Statement(asked.id.0)]);
    world.advance(1_000);
    world.node().tick().unwrap();
    kept(&world, &asked, &item);
    world.accept(lift(&world, case));
    world.node().tick().unwrap();
    gone(&world, &asked);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn a_legal_order_leaves_what_is_held_to_the_case() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let item = sign(&world.grant(ppid, None).into(), &person_key(1));
    let grant = world.accept(item.clone());
    let case = case(&world);
    let order = || {
        let made = world.node().erasure_by_order(Some(&party("bank")), ppid, "2026-7").unwrap();
        endorse(&made.unwrap(), REGULATOR)
    };
    let (hers, early) = (who(&world, 1), order());
    world.accept(place(&world, case, &[grant.id], world.now().plus_ms(DAY)));
    assert!(matches!(world.refuse(early), Refusal::Inert(Why::Superseded)), "it names what is held since");
    assert!(!world.memory.ids(&hers.subject).unwrap().is_empty());
    world.accept(order());
    nothing_is_left(&world, hers, &[]);
    world.advance(1_000);
    world.node().tick().unwrap();
    kept(&world, &grant, &item);
    world.accept(lift(&world, case));
    world.node().tick().unwrap();
    gone(&world, &grant);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn a_hold_and_a_legal_order_in_one_commit_never_both_have_their_way() {
    for round in 0..8 {
        let world = World::new();
        let grant = granted(&world, 1).id;
        let case = case(&world);
        let (hers, bank) = (who(&world, 1), world.ppid(1, Some("bank")));
        let made = world.node().erasure_by_order(Some(&party("bank")), bank, "2026-7").unwrap();
        let order = endorse(&made.unwrap(), REGULATOR);
        let hold = place(&world, case, &[grant], world.now().plus_ms(DAY));
        let items = if round % 2 == 0 { vec![hold, order] } else { vec![order, hold] };
        let mut outcomes = world.node().record(items);
        let order = outcomes.remove(if round % 2 == 0 { 1 } else { 0 });
        let hold = outcomes.remove(0).unwrap();
        match order {
            Ok(order) => {
                assert!(order.index < hold.index, "an order after the hold took effect");
                nothing_is_left(&world, hers, &[]);
            }
            Err(Refusal::Inert(why)) => {
                assert_eq!(why, Why::Superseded);
                assert!(!world.memory.ids(&hers.subject).unwrap().is_empty());
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn nobody_else_holds_and_the_accused_reads_of_none() {
    let world = World::new();
    let grant = granted(&world, 1).id;
    let case = case(&world);
    let until = world.now().plus_ms(DAY);
    let of = |case: String, by: &str, seed: u8| {
        let statement: Statement = HoldPlace {
            v: V1,
            kind: Kind::HoldPlace,
            iat: world.now(),
            nonce: nonce(),
            case,
            regulator: party(by),
            records: vec![grant],
            until,
        }
        .into();
        sign(&statement, &signer(seed))
    };
    for (by, seed) in [("bank", BANK), ("hospital", HOSPITAL), ("pipc", BANK), ("pipc", OPERATOR)] {
        let refusal = world.refuse(of(case.to_string(), by, seed));
        assert!(matches!(refusal, Refusal::Inert(Why::Role | Why::KeyNotInSet)), "{by}: {refusal}");
    }
    for unknown in ["2026-7".to_owned(), Nonce([3; 16]).to_string(), String::new()] {
        let refusal = world.refuse(of(unknown, "pipc", REGULATOR));
        assert!(matches!(refusal, Refusal::Inert(Why::NotThisSubject)), "{refusal}");
    }
    let hold = world.accept(place(&world, case, &[grant], until));
    world.advance(1_000);
    world.node().tick().unwrap();
    let reads = |name: &str| {
        let caller = naru::node::Caller::Party(party(name));
        !matches!(world.node().evidence(&hold.id, Some(&caller)).unwrap(), naru::node::Shown::Nothing)
    };
    assert_eq!(["pipc", "bank", "hospital"].map(reads), [true, false, false]);
}
