//! A hold stops the destruction of what it names, until its end and no longer.

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
fn case(world: &World) -> Nonce {
    granted(world, 9);
    let complaint: Statement = IncidentComplain {
        v: V1,
        kind: Kind::IncidentComplain,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(9, Some("bank")),
        by: None,
        party: party("bank"),
        text: "they knew".into(),
    }
    .into();
    world.accept(sign(&complaint, &person_key(9))).id.incident()
}

fn place(world: &World, case: Nonce, records: &[StatementId], until: Timestamp) -> Vec<u8> {
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

fn lift(world: &World, case: Nonce) -> Vec<u8> {
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

/// She is nobody to everybody, and all of hers is still sealed here.
#[track_caller]
fn waits(world: &World, n: u64) {
    let (hers, bank) = (who(world, n), world.ppid(n, Some("bank")));
    assert!(!world.memory.ids(&hers.subject).unwrap().is_empty());
    assert_eq!(world.check(bank).decision, world.check(Ppid([0xaa; 16])).decision);
    let regrant = sign(&world.grant(bank, None).into(), &person_key(n));
    assert!(matches!(world.refuse(regrant), Refusal::Inert(Why::NotThisSubject)));
}

/// Whose demand is held; a second person's is not.
fn held(world: &World, until: Timestamp) -> (Nonce, Accepted, Vec<u8>) {
    let grant = granted(world, 1).id;
    granted(world, 2);
    let case = case(world);
    world.accept(place(world, case, &[grant, StatementId([7; 32])], until));
    let item = demand(world, 1);
    let accepted = world.accept(item.clone());
    assert_eq!(accepted.erasure, None);
    assert_eq!(accepted.held, told(&[grant], until));
    let other = who(world, 2);
    assert!(world.accept(demand(world, 2)).erasure.is_some(), "who is not held waits for nobody");
    nothing_is_left(world, other, &[]);
    (case, accepted, item)
}

#[test]
fn her_erasure_waits_to_the_end_of_the_hold_and_goes_on_by_itself() {
    let mut world = World::new();
    let until = world.now().plus_ms(3 * DAY);
    let (_, first, item) = held(&world, until);
    let (hers, bank) = (who(&world, 1), world.ppid(1, Some("bank")));
    waits(&world, 1);
    let again = world.accept(item);
    assert!(again.duplicate && again.held == first.held, "told again");
    world.advance(3 * DAY - 1);
    world.node().tick().unwrap();
    waits(&world, 1);
    // Whatever starts in between.
    for rebuilds in [false, true] {
        stop(&mut world);
        assert_eq!(fsck_of(&world).faults, []);
        if rebuilds {
            with_data(&world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
        }
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
        waits(&world, 1);
    }
    world.advance(1);
    world.node().tick().unwrap();
    nothing_is_left(&world, hers, &[Name::Ppid(bank.0)]);
    stop(&mut world);
    let report = fsck_of(&world);
    assert_eq!((report.faults.clone(), report.counts.erasures), (vec![], 2));
}

#[test]
fn a_lift_lets_it_go_on_at_once_also_after_power_loss() {
    for power in [false, true] {
        let mut world = World::new();
        let until = world.now().plus_ms(300 * DAY);
        let (case, ..) = held(&world, until);
        let hers = who(&world, 1);
        if power {
            world.reopen();
            world.node().tick().unwrap();
        }
        waits(&world, 1);
        world.accept(lift(&world, case));
        world.node().tick().unwrap();
        nothing_is_left(&world, hers, &[]);
        stop(&mut world);
        assert_eq!(fsck_of(&world).faults, []);
    }
}

#[test]
fn every_hold_on_her_must_end_and_one_placed_while_she_waits_counts() {
    let mut world = World::new();
    let until = world.now().plus_ms(DAY);
    let (case, first, item) = held(&world, until);
    let hers = who(&world, 1);
    let later = until.plus_ms(DAY);
    // The demand itself is a record of hers.
    world.accept(place(&world, case, &[first.id], later));
    world.advance(DAY);
    world.node().tick().unwrap();
    waits(&world, 1);
    assert_eq!(world.accept(item).held, told(&[first.id], later));
    world.advance(DAY);
    world.node().tick().unwrap();
    nothing_is_left(&world, hers, &[]);
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn a_hold_on_a_request_she_answered_holds_her_too() {
    let world = World::new();
    world.enrol(1);
    let case = case(&world);
    let link = Hash([5; 32]);
    let request: Statement = ConsentRequest {
        v: V1,
        kind: Kind::ConsentRequest,
        iat: world.now(),
        nonce: nonce(),
        controller: party("bank"),
        notice: world.notice,
        purposes: vec![PURPOSE.into()],
        link,
        until: world.now().plus_ms(DAY),
    }
    .into();
    let asked = world.accept(sign(&request, &signer(BANK))).id;
    let mut grant = world.grant(world.ppid(1, Some("bank")), None);
    grant.link = Some(link);
    world.accept(sign(&grant.into(), &person_key(1)));
    let until = world.now().plus_ms(DAY);
    world.accept(place(&world, case, &[asked], until));
    let hers = who(&world, 1);
    assert_eq!(world.accept(demand(&world, 1)).held, told(&[asked], until));
    world.accept(lift(&world, case));
    world.node().tick().unwrap();
    nothing_is_left(&world, hers, &[Name::Statement(asked.0)]);
}

#[test]
fn a_legal_order_does_not_pass_a_hold_either() {
    let mut world = World::new();
    let grant = granted(&world, 1).id;
    let case = case(&world);
    let (hers, bank) = (who(&world, 1), world.ppid(1, Some("bank")));
    let order = || {
        let made = world.node().erasure_by_order(Some(&party("bank")), bank, "2026-7").unwrap();
        endorse(&made.unwrap(), REGULATOR)
    };
    let hold = place(&world, case, &[grant], world.now().plus_ms(DAY));
    world.accept(hold);
    assert!(matches!(world.refuse(order()), Refusal::Inert(Why::State)));
    assert!(!world.memory.ids(&hers.subject).unwrap().is_empty());
    assert_eq!(world.check(bank).decision.reason, naru::model::decision::Reason::ConsentGiven);
    world.accept(lift(&world, case));
    world.accept(order());
    nothing_is_left(&world, hers, &[]);
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
                assert_eq!(why, Why::State);
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
