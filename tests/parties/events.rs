//! What a party is told: its own persons, by its own ppids, each act once, whatever restarts.

use std::sync::Arc;

use naru::model::decision::Reason;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::node::Event;
use naru::node::Node;
use naru::node::Settings;
use naru::vault::Vault;

use super::support::*;

fn page(world: &World, name: &str, from: u64, most: usize) -> naru::node::EventPage {
    world.node().events(&party(name), from, most).unwrap()
}

/// The whole feed, in pages of `most`.
fn feed(world: &World, name: &str, most: usize) -> Vec<Event> {
    let (mut events, mut from) = (Vec::new(), 0);
    loop {
        let page = page(world, name, from, most);
        assert!(page.events.len() <= most && page.next >= from && page.next <= page.as_of);
        assert!(page.events.iter().all(|event| (from..page.next).contains(&event.index)));
        assert!(page.next > from || page.next == page.as_of, "a page goes on, or is the last");
        events.extend(page.events);
        if page.next == page.as_of {
            return events;
        }
        from = page.next;
    }
}

/// As the feed spells it, without times.
fn spelt(events: &[Event]) -> Vec<(u64, &str, Ppid)> {
    events.iter().map(|event| (event.index, event.kind.as_str(), event.ppid)).collect()
}

fn at_hospital(world: &World, n: u64) -> Statement {
    world.object(world.ppid(n, Some("hospital")), Scope::One("hospital".into()), DataClass::RealName)
}

/// Opens the node again with a tail of so many acts.
fn reopen_with(world: &mut World, told: usize) {
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let settings = Settings { told, ..settings(&world.dir) };
    let store = Arc::new(world.memory.clone());
    world.node = Some(Node::open(settings, store, vault, keys(), world.clock.clone()).unwrap());
}

#[test]
fn an_answered_act_is_told_at_once_to_its_party_and_to_no_other() {
    let world = World::new();
    let ppid = world.enrol(1);
    world.enrol(2);
    let theirs = world.ppid(2, Some("hospital"));
    let key = person_key(1);
    assert_eq!(page(&world, "bank", 0, 10).events, []);
    let grant = world.accept(sign(&world.grant(ppid, None).into(), &key));
    let told = page(&world, "bank", 0, 10);
    let expected = Event {
        index: grant.index,
        at: grant.at.rounded_to(200),
        kind: Kind::ConsentGrant,
        act: None,
        ppid,
        purpose: Some(PURPOSE.into()),
        class: Some(DataClass::RealName),
        demand: None,
    };
    assert_eq!((told.events, told.next, told.as_of), (vec![expected], grant.index + 1, grant.index + 1));
    let gone = world.accept(sign(&world.withdraw(ppid), &key));
    let from = grant.index + 1;
    assert_eq!(spelt(&page(&world, "bank", from, 10).events), [(gone.index, "consent.withdraw", ppid)]);
    let signal: Statement = ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        act: SignalAct::Object,
        controller: Scope::One("bank".into()),
        purpose: Scope::Any,
        class: DataClass::RealName,
        channel: Channel::Desk,
    }
    .into();
    let carried = world.accept(sign(&signal, &signer(BANK)));
    let told = page(&world, "bank", gone.index + 1, 10).events;
    assert_eq!(spelt(&told), [(carried.index, "consent.signal", ppid)]);
    assert_eq!((told[0].act, told[0].purpose.as_deref()), (Some(SignalAct::Object), Some("*")));
    // Another party's persons never appear, nor what is refused.
    assert!(world.submit(sign(&world.grant(ppid, None).into(), &key)).is_err());
    let objected = world.accept(sign(&at_hospital(&world, 2), &person_key(2)));
    assert_eq!(page(&world, "bank", carried.index + 1, 10).events, []);
    assert_eq!(spelt(&feed(&world, "hospital", 10)), [(objected.index, "consent.object", theirs)]);
    assert_eq!(feed(&world, "idp", 10), []);
    assert_eq!(feed(&world, "nobody", 10), []);
}

#[test]
fn an_act_on_all_is_told_to_everybody_who_knows_her_and_so_is_the_end_of_a_delegation() {
    let world = World::new();
    let own = |n| world.ppid(n, None);
    for n in 1..=3 {
        world.enrol(n);
    }
    let bank = world.accept(sign(&world.grant(world.ppid(1, Some("bank")), None).into(), &person_key(1)));
    world.accept(sign(&at_hospital(&world, 2), &person_key(2)));
    let all = |n| sign(&world.object(own(n), Scope::Any, DataClass::Pseudonymous), &person_key(n));
    let one = world.accept(all(1));
    let two = world.accept(all(2));
    let nobody = world.accept(all(3));
    let ended: Statement = DelegationEnd {
        v: V1,
        kind: Kind::DelegationEnd,
        iat: world.now(),
        nonce: nonce(),
        ppid: own(1),
        delegate: key_hash(&person_key(2)),
    }
    .into();
    let ended = world.accept(sign(&ended, &person_key(1)));
    let ppid = world.ppid(1, Some("bank"));
    assert_eq!(
        spelt(&feed(&world, "bank", 10)),
        [
            (bank.index, "consent.grant", ppid),
            (one.index, "consent.object", ppid),
            (ended.index, "delegation.end", ppid),
        ]
    );
    let told = feed(&world, "hospital", 10);
    assert_eq!((told.len(), told[1].index, told[1].ppid), (2, two.index, world.ppid(2, Some("hospital"))));
    assert!(feed(&world, "bank", 10).iter().all(|event| event.index != nobody.index));
    assert_eq!(feed(&world, "idp", 10), []);
}

#[test]
fn another_writer_s_batch_in_between_costs_no_event() {
    let world = World::new();
    let ppid = world.enrol(1);
    let first = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let notice = world.notice_of("bank", 2, &[DataClass::RealName]);
    super::epochs::slip_in(&world, &sign(&notice, &signer(BANK)));
    let second = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert_eq!(second.index, first.index + 2, "moved");
    assert_eq!(plain(&feed(&world, "bank", 10)), [(first.index, ppid), (second.index, ppid)]);
    assert_eq!(plain(&page(&world, "bank", first.index + 1, 10).events), [(second.index, ppid)]);
}

/// Many persons' acts at two parties; answers what each must be told.
fn busy(world: &World) -> [Vec<(u64, Ppid)>; 2] {
    let mut told = [Vec::new(), Vec::new()];
    for n in 0..12 {
        let ppid = world.enrol(n);
        let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
        told[0].push((grant.index, ppid));
        if n % 2 == 0 {
            let index = world.accept(sign(&at_hospital(world, n), &person_key(n))).index;
            told[1].push((index, world.ppid(n, Some("hospital"))));
        }
        if n % 3 == 0 {
            told[0].push((world.accept(sign(&world.withdraw(ppid), &person_key(n))).index, ppid));
        }
        if n % 4 == 0 {
            let own = world.ppid(n, None);
            let all = world.object(own, Scope::Any, DataClass::Anonymous);
            let index = world.accept(sign(&all, &person_key(n))).index;
            told[0].push((index, ppid));
            told[1].push((index, world.ppid(n, Some("hospital"))));
        }
    }
    told
}

fn plain(events: &[Event]) -> Vec<(u64, Ppid)> {
    events.iter().map(|event| (event.index, event.ppid)).collect()
}

#[test]
fn from_memory_and_from_the_log_in_pages_of_any_size_it_is_the_same_feed() {
    let mut world = World::new();
    let told = busy(&world);
    let fresh: Vec<_> = ["bank", "hospital"].map(|name| feed(&world, name, 500)).into();
    for told_in_memory in [0, 1, 3, 16_384] {
        reopen_with(&mut world, told_in_memory);
        // Some acts after the restart, so that a page crosses from the log into memory.
        for (name, (fresh, told)) in ["bank", "hospital"].iter().zip(fresh.iter().zip(&told)) {
            assert_eq!(&plain(fresh), told);
            for most in [1, 2, 500] {
                let again = feed(&world, name, most);
                let known: Vec<_> = again.into_iter().filter(|e| e.index <= told[told.len() - 1].0).collect();
                assert_eq!(&known, fresh, "{name}, {most} a page, {told_in_memory} in memory");
            }
        }
        for n in 0..4 {
            let ppid = world.ppid(n, Some("bank"));
            let last = world.accept(sign(&world.withdraw(ppid), &person_key(n)));
            assert_eq!(plain(&page(&world, "bank", last.index, 10).events), [(last.index, ppid)]);
        }
    }
}

#[test]
fn a_reader_that_goes_on_by_index_misses_nothing_over_restarts() {
    let mut world = World::new();
    let (mut seen, mut expected, mut from) = (Vec::new(), Vec::new(), 0);
    for n in 0..9 {
        let ppid = world.enrol(n);
        let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
        let gone = world.accept(sign(&world.withdraw(ppid), &person_key(n)));
        expected.extend([(grant.index, ppid), (gone.index, ppid)]);
        if n % 2 == 0 {
            // One event at a time: the restart comes in the middle.
            let page = page(&world, "bank", from, 1);
            seen.extend(plain(&page.events));
            from = page.next;
        }
        if n % 3 == 0 {
            world.reopen();
        }
    }
    while from < world.node().sequenced() {
        let page = page(&world, "bank", from, 4);
        seen.extend(plain(&page.events));
        from = page.next;
    }
    assert_eq!(seen, expected);
}

#[test]
fn read_again_after_an_epoch_it_names_everybody_by_the_ppid_of_today() {
    let mut world = World::new();
    for n in 0..3 {
        let ppid = world.enrol(n);
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    }
    let old = feed(&world, "bank", 10);
    world.accept(super::epochs::rotate(&world, BANK, BANK, Some(1)));
    for _ in 0..2 {
        let new = feed(&world, "bank", 10);
        assert_eq!(new.len(), old.len());
        for (old, new) in old.iter().zip(&new) {
            // The index joins them; and the bank can ask, though she has not been seen since.
            assert_eq!((old.index, old.kind), (new.index, new.kind));
            assert_ne!(old.ppid, new.ppid);
            assert_eq!(world.check(new.ppid).decision.reason, Reason::ConsentGiven);
            assert_eq!(world.check(old.ppid).decision.reason, Reason::SubjectUnknown);
        }
        world.reopen();
    }
}

#[test]
fn a_long_way_without_events_is_gone_in_bounded_pages() {
    let mut world = World::new();
    let ppid = world.enrol(0);
    let most = usize::try_from(naru::node::WALK).unwrap();
    let keys: Vec<_> = (1..).map(person_key).take(most).collect();
    for chunk in keys.chunks(1_000) {
        let items = chunk.iter().map(|key| sign(&world.key_create(), key)).collect();
        assert!(world.node().record(items).iter().all(Result::is_ok));
    }
    let last = world.accept(sign(&world.withdraw(ppid), &person_key(0)));
    // In memory nothing has to be walked.
    assert_eq!(page(&world, "bank", 6, 10).next, world.node().sequenced());
    world.reopen();
    let first = page(&world, "bank", 0, 10);
    assert_eq!((first.events, first.next), (Vec::new(), naru::node::WALK));
    let second = page(&world, "bank", first.next, 10);
    assert_eq!((plain(&second.events), second.next), (vec![(last.index, ppid)], second.as_of));
}

#[test]
fn both_ends_learn_of_a_demand_and_its_stop_at_once_and_nobody_else() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let demand = world.accept(sign(&world.demand(ppid).into(), &person_key(1)));
    let at_hospital = world.ppid(1, Some("hospital"));
    let told = |world: &World, name: &str| -> Vec<(u64, &'static str, Ppid, Option<StatementId>)> {
        let events = feed(world, name, 10);
        events.iter().map(|e| (e.index, e.kind.as_str(), e.ppid, e.demand)).collect()
    };
    let begun = |ppid| (demand.index, "transfer.demand", ppid, Some(demand.id));
    assert_eq!(told(&world, "bank"), [begun(ppid)]);
    assert_eq!(told(&world, "hospital"), [begun(at_hospital)]);
    assert!(world.node().may_concern(&party("hospital"), demand.index));
    assert!(!world.node().may_concern(&party("idp"), demand.index));
    let stop = world.accept(sign(&world.stop(ppid, demand.id), &person_key(1)));
    let ended = |ppid| (stop.index, "transfer.stop", ppid, Some(demand.id));
    // From memory, and from the log after a start.
    for _ in 0..2 {
        assert_eq!(told(&world, "bank"), [begun(ppid), ended(ppid)]);
        assert_eq!(told(&world, "hospital"), [begun(at_hospital), ended(at_hospital)]);
        assert_eq!(told(&world, "idp"), []);
        world.reopen();
    }
}
