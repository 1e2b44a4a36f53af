//! What another log has delivered of her goes with her, and so does what led it to her.

use naru::ledger::hash::sha256;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::Mode;
use naru::node::arrival::Arrival;
use naru::node::arrival::Delivery;
use naru::node::arrival::MOST_ARRIVALS;
use naru::node::arrival::NoArrival;
use naru::node::arrival::Receiving;
use naru::node::arrival::RunOf;
use naru::store::Name;
use naru::store::Store;
use naru::vault::Vault;

use crate::erasure::demand;
use crate::erasure::nothing_is_left;
use crate::erasure::who;
use crate::fsck_of;
use crate::stop;
use crate::support::*;

const LOG_A: &str = "a.example.kr/log";

fn receive(world: &World) {
    let (signer, logs) = (Box::new(signer(77)), vec![LOG_A.into()]);
    world.node().receive_with(Receiving { party: party("wallet"), signer, opener: None, logs });
}

fn delivery(world: &World, ppid: Ppid, content: &[u8]) -> Delivery {
    Delivery {
        run: RunOf { log: LOG_A.into(), demand: StatementId([5; 32]), run: 0, ppid },
        item: "bank.list".into(),
        scope: "bank.list".into(),
        sender: party("holder"),
        purpose: PURPOSE.into(),
        mode: Mode::Store,
        keep_until: world.now().plus_ms(DAY),
        sha256: Hash(sha256(&[content])),
        media: "application/json".into(),
        bytes: content.to_vec(),
    }
}

#[test]
fn what_arrived_and_what_led_to_her_are_gone_with_her() {
    let mut world = World::new();
    receive(&world);
    world.enrol(1);
    let (there, key) = (Ppid([6; 16]), key_hash(&person_key(1)));
    let arrival = Arrival::new(LOG_A.into(), there, world.now().plus_ms(DAY), StatementId([5; 32]));
    world.node().expect_arrival(&key, &arrival).unwrap();
    let item = delivery(&world, there, br#"{"a":1}"#);
    assert!(world.node().take_delivery(&item).unwrap());
    assert!(!world.node().take_delivery(&item).unwrap(), "kept once");
    world.node().confirm_delivery(&item.run, 2, &Hash([0; 32])).unwrap();

    // It is there after a start, and all of it can be read.
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
    world.node = Some(world.open().unwrap());
    receive(&world);
    assert_eq!(world.node().arrivals_of(&key).unwrap().unwrap(), [arrival]);
    assert!(!world.node().take_delivery(&item).unwrap());
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let secret = [&[5; 32][..], &[6; 16]].concat();
    let row = Name::Arrival(vault.opaque_name("arrival", &[LOG_A.as_bytes(), &secret]));
    let hers = who(&world, 1);
    assert!(world.memory.locate(&row).unwrap().is_some());

    world.accept(demand(&world, 1));
    nothing_is_left(&world, hers, &[row]);
    assert_eq!(world.memory.items(&hers.subject, b"", None, 9).unwrap().len(), 0, "items");
    let gone = |no| matches!(no, Err(NoArrival::Unexpected));
    assert!(gone(world.node().take_delivery(&item)));
    assert!(world.node().confirm_delivery(&item.run, 2, &Hash([0; 32])).is_err());
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn an_arrival_ends_when_she_says_and_what_has_arrived_is_confirmed_still() {
    let world = World::new();
    receive(&world);
    world.enrol(1);
    let (there, key) = (Ppid([6; 16]), key_hash(&person_key(1)));
    let arrival = Arrival::new(LOG_A.into(), there, world.now().plus_ms(1_000), StatementId([5; 32]));
    world.node().expect_arrival(&key, &arrival).unwrap();
    let item = delivery(&world, there, b"{}");
    assert!(world.node().take_delivery(&item).unwrap());
    world.advance(1_000);
    assert!(matches!(world.node().take_delivery(&item), Err(NoArrival::Unexpected)));
    let first = world.node().confirm_delivery(&item.run, 2, &Hash([0; 32])).unwrap();
    // The same bytes while they are fresh; signed anew before they are too old to be recorded.
    let again = world.node().confirm_delivery(&item.run, 2, &Hash([0; 32])).unwrap();
    world.advance(13 * 3_600_000);
    let later = world.node().confirm_delivery(&item.run, 2, &Hash([0; 32])).unwrap();
    assert!(first == again && first != later);
    let never = RunOf { run: 1, ..item.run };
    assert!(matches!(world.node().confirm_delivery(&never, 0, &Hash([0; 32])), Err(NoArrival::Unexpected)));
}

/// The row that leads from a demand to whoever has told it, as long as there is one.
fn row(vault: &Vault, demand: StatementId, there: Ppid) -> Name {
    let secret = [demand.0.as_slice(), &there.0].concat();
    Name::Arrival(vault.opaque_name("arrival", &[LOG_A.as_bytes(), &secret]))
}

#[test]
fn what_was_told_in_vain_gives_way_and_what_came_counts_on() {
    let mut world = World::new();
    receive(&world);
    world.enrol(1);
    world.enrol(2);
    let (there, key) = (Ppid([6; 16]), key_hash(&person_key(1)));
    let of = |n: usize| {
        let mut demand = [5; 32];
        demand[..8].copy_from_slice(&(n as u64).to_be_bytes());
        StatementId(demand)
    };
    let told = |world: &World, n: usize, until: Timestamp| {
        let arrival = Arrival::new(LOG_A.into(), there, until, of(n));
        world.node().expect_arrival(&key, &arrival)
    };
    let full = |told: Result<(), NoArrival>| matches!(told, Err(NoArrival::TooMany));
    let (soon, late) = (world.now().plus_ms(1_000), world.now().plus_ms(30 * DAY));
    // One that comes, one whose time is not over, and the rest in vain.
    for n in 0..MOST_ARRIVALS {
        told(&world, n, if n == 1 { late } else { soon }).unwrap();
    }
    let came = delivery(&world, there, b"{}");
    let came = Delivery { run: RunOf { demand: of(0), ..came.run }, ..came };
    assert!(world.node().take_delivery(&came).unwrap());
    assert!(full(told(&world, MOST_ARRIVALS, late)), "all of them count");
    assert!(told(&world, 2, soon).is_ok(), "what is told already is told again");
    world.advance(1_000);
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    assert!(world.memory.locate(&row(&vault, of(7), there)).unwrap().is_some());
    told(&world, MOST_ARRIVALS, late).unwrap();
    let mut left: Vec<StatementId> =
        world.node().arrivals_of(&key).unwrap().unwrap().iter().map(|arrival| arrival.demand).collect();
    left.sort();
    assert_eq!(left, [of(0), of(1), of(MOST_ARRIVALS)]);
    // What came is confirmed still; of what gave way nothing leads to her, and another may tell it.
    world.node().confirm_delivery(&came.run, 2, &Hash([0; 32])).unwrap();
    assert!(world.memory.locate(&row(&vault, of(7), there)).unwrap().is_none());
    let other = key_hash(&person_key(2));
    let arrival = |n| Arrival::new(LOG_A.into(), there, late, of(n));
    world.node().expect_arrival(&other, &arrival(7)).unwrap();
    assert!(matches!(world.node().expect_arrival(&other, &arrival(0)), Err(NoArrival::Taken)));
    stop(&mut world);
    assert_eq!(fsck_of(&world).faults, []);
    world.node = Some(world.open().unwrap());
    let hers = who(&world, 1);
    world.accept(demand(&world, 1));
    nothing_is_left(&world, hers, &[row(&vault, of(0), there), row(&vault, of(MOST_ARRIVALS), there)]);
}
