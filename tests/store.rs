//! The store contract: one suite over every implementation, then what each owes alone.
//!
//! Each contract test is a function over a ground; `contract!` runs all of them on
//! memory, fjall and (feature `store-sled`) sled.

#[path = "support/store_damage.rs"]
mod damage;
#[path = "support/store_faults.rs"]
mod faults;
#[path = "support/store_ground.rs"]
mod ground;
#[path = "support/store_model.rs"]
mod model;
#[path = "support/store_process.rs"]
mod process;

use ground::{
    Ground, Unsynced, batch, batch_id, bytes, id, integrated, lead, person, projected, sequenced, subject,
};
use naru::store::{
    Append, Body, Commit, Epoch, Error, Head, Integrate, Item, Located, Name, Project, Row, Store,
};

macro_rules! contract {
    ($($fact:ident)*) => {
        mod on_memory { $( #[test] fn $fact() { super::$fact(&super::Ground::memory()); } )* }
        mod on_fjall { $( #[test] fn $fact() { super::$fact(&super::Ground::fjall()); } )* }
        #[cfg(feature = "store-sled")]
        mod on_sled { $( #[test] fn $fact() { super::$fact(&super::Ground::sled()); } )* }
    };
}

contract! {
    an_empty_store_starts_at_zero
    indices_are_contiguous_and_survive
    a_commit_comes_back_as_it_went
    every_name_is_walked_once_and_a_barrier_makes_all_of_it_last
    a_malformed_batch_leaves_nothing
    a_second_lead_fences_the_first
    no_one_writes_before_lead
    settle_finds_every_batch_and_no_other
    integrate_moves_the_head_only_from_where_it_is
    a_head_never_stands_above_the_log
    projecting_twice_is_projecting_once
    a_state_row_never_goes_back
    a_name_row_never_goes_back
    upto_never_goes_back
    rows_after_a_reopen_match_the_recovered_progress
    a_name_leads_to_the_index_its_entry_got
    a_large_register_is_one_row
    blobs_are_create_only
    forgetting_drops_one_person_and_nothing_else
    rewriting_replaces_and_drops_bodies_of_one_person_at_once
    items_come_back_in_order_and_go_with_their_person
    commits_stop_after_four_mebibytes_but_never_empty
    commits_answer_any_range
    random_operations_agree_with_a_naive_model
}

fn an_empty_store_starts_at_zero(ground: &Ground) {
    let store = ground.open();
    assert_eq!(store.commits(0..10).unwrap(), []);
    let (epoch, found) = lead(&*store);
    assert!(epoch.0 > 0);
    assert_eq!((found.next, found.at, found.projected), (0, 0, 0));
    assert_eq!((found.integrated, found.note), (Head::EMPTY, vec![]));
    assert_eq!(store.register().unwrap(), None);
    assert_eq!(store.locate(&Name::Ppid([1; 16])).unwrap(), None);
    assert_eq!(store.bodies(&subject(1), &[id(1)]).unwrap(), [None]);
    assert_eq!(store.ids(&subject(1)).unwrap(), []);
    assert_eq!(store.rows(&subject(1)).unwrap(), naru::store::PersonRows::default());
}

fn indices_are_contiguous_and_survive(ground: &Ground) {
    let mut next = 0;
    for round in 0..3 {
        let store = ground.open();
        let (epoch, found) = lead(&*store);
        assert_eq!(found.next, next, "round {round}");
        assert_eq!(found.at, if next == 0 { 0 } else { 1_000 + next - 3 });
        for n in [1, 7, 3] {
            assert_eq!(sequenced(store.append(epoch, &batch(next, n))), next);
            next += u64::from(n);
        }
    }
}

fn a_commit_comes_back_as_it_went(ground: &Ground) {
    let sent = batch(0, 5);
    {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        sequenced(store.append(epoch, &sent));
        assert_eq!(store.commits(0..5).unwrap().len(), 1);
    }
    // Dropped without a close: a new process finds everything.
    let store = ground.open();
    let want = Commit { first: 0, at: sent.at, entries: sent.entries.clone(), ids: sent.ids.clone() };
    assert_eq!(store.commits(0..5).unwrap(), [want]);
    for body in &sent.bodies {
        assert_eq!(store.bodies(&body.subject, &[body.id]).unwrap(), [Some(body.sealed.clone())]);
        let ids = store.ids(&body.subject).unwrap();
        assert!(ids.contains(&body.id) && ids.is_sorted());
    }
    for (name, index) in sent.names.iter().zip(0..) {
        let want = Located { sealed: name.sealed.clone(), index: Some(index) };
        assert_eq!(store.locate(&name.name).unwrap(), Some(want));
    }
    assert_eq!(store.bodies(&subject(0), &[id(99), id(0)]).unwrap()[0], None);
}

fn every_name_is_walked_once_and_a_barrier_makes_all_of_it_last(ground: &Ground) {
    let walked = |store: &dyn Store, most: usize| {
        let mut all = Vec::new();
        loop {
            let next = store.names(all.last().map(|(name, _): &(Name, Located)| name), most).unwrap();
            if next.is_empty() {
                return all;
            }
            assert!(next.len() <= most);
            all.extend(next);
        }
    };
    {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        assert_eq!(walked(&*store, 3), []);
        sequenced(store.append(epoch, &batch(0, 5)));
        let extra = |n: u8| Row::Name { name: Name::Ppid([n; 16]), sealed: vec![n], index: None };
        let rows: Vec<Row> = (200..210).map(extra).collect();
        assert!(matches!(store.project(epoch, 0, &rows), Project::Projected));
        store.barrier().unwrap();
    }
    let store = ground.open();
    let one = walked(&*store, 1);
    assert_eq!(one.len(), batch(0, 5).names.len() + 10);
    for (name, row) in &one {
        assert_eq!(store.locate(name).unwrap().as_ref(), Some(row));
    }
    assert_eq!((walked(&*store, 4), walked(&*store, 100)), (one.clone(), one));
}

fn a_malformed_batch_leaves_nothing(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    let mut none = batch(0, 1);
    (none.entries, none.ids) = (vec![], vec![]);
    let mut uneven = batch(0, 2);
    uneven.ids.pop();
    let mut past = batch(0, 2);
    past.names[1].entry = Some(2);
    for bad in [none, uneven, past] {
        assert!(matches!(store.append(epoch, &bad), Append::Failed(_)));
        assert_eq!(store.commits(0..1).unwrap(), []);
        assert_eq!(store.locate(&bad.names[0].name).unwrap(), None);
        assert_eq!(store.bodies(&subject(0), &[id(0)]).unwrap(), [None]);
    }
    // A caller's mistake is not the engine's: the store goes on.
    assert_eq!(sequenced(store.append(epoch, &batch(0, 2))), 0);
}

fn a_second_lead_fences_the_first(ground: &Ground) {
    let last = {
        let store = ground.open();
        let (old, _) = lead(&*store);
        sequenced(store.append(old, &batch(0, 2)));
        let (new, found) = lead(&*store);
        assert!(new > old);
        assert_eq!(found.next, 2);
        let head = Head { size: 1, root: [1; 32] };
        assert!(matches!(store.append(old, &batch(2, 1)), Append::Fenced));
        assert!(matches!(store.settle(old, batch_id(0)), Append::Fenced));
        assert!(matches!(store.integrate(old, &Head::EMPTY, &head, b"n"), Integrate::Fenced));
        assert!(matches!(store.project(old, 2, &[person(1, "a", 1)]), Project::Fenced));
        assert!(matches!(store.forget(old, &subject(0), &[]), Project::Fenced));
        assert_eq!(store.commits(2..3).unwrap(), []);
        assert_eq!(store.rows(&subject(1)).unwrap().rows, []);
        assert!(store.bodies(&subject(0), &[id(0)]).unwrap()[0].is_some());
        assert_eq!(sequenced(store.append(new, &batch(2, 1))), 2);
        new
    };
    let store = ground.open();
    assert!(
        matches!(store.append(last, &batch(3, 1)), Append::Fenced),
        "an epoch does not outlive its process"
    );
    let (next, _) = lead(&*store);
    assert!(next > last, "epochs are durable");
}

fn no_one_writes_before_lead(ground: &Ground) {
    let store = ground.open();
    for epoch in [0, 1, u64::MAX] {
        assert!(matches!(store.append(Epoch(epoch), &batch(0, 1)), Append::Fenced));
    }
}

fn settle_finds_every_batch_and_no_other(ground: &Ground) {
    {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        for (first, n) in [(0, 3), (3, 1), (4, 9)] {
            sequenced(store.append(epoch, &batch(first, n)));
        }
        assert_eq!(sequenced(store.settle(epoch, batch_id(4))), 4);
        assert_eq!(sequenced(store.settle(epoch, batch_id(0))), 0);
        assert!(matches!(store.settle(epoch, batch_id(1)), Append::Absent));
    }
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    assert_eq!(sequenced(store.settle(epoch, batch_id(3))), 3, "a batch of an earlier process");
    assert!(matches!(store.settle(epoch, batch_id(13)), Append::Absent));
}

fn integrate_moves_the_head_only_from_where_it_is(ground: &Ground) {
    let (one, two) = (Head { size: 1, root: [1; 32] }, Head { size: 4, root: [2; 32] });
    {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        sequenced(store.append(epoch, &batch(0, 4)));
        integrated(store.integrate(epoch, &Head::EMPTY, &one, b"note one"));
        let stored = |answer| match answer {
            Integrate::Conflict(stored) => stored,
            other => panic!("{other:?}"),
        };
        assert_eq!(stored(store.integrate(epoch, &Head::EMPTY, &two, b"x")), one);
        let forged = Head { size: 1, root: [7; 32] };
        assert_eq!(stored(store.integrate(epoch, &forged, &two, b"x")), one, "the root counts, too");
    }
    let store = ground.open();
    let (epoch, found) = lead(&*store);
    assert_eq!((found.integrated, found.note), (one, b"note one".to_vec()));
    integrated(store.integrate(epoch, &one, &two, b"note two"));
    let (_, found) = lead(&*store);
    assert_eq!((found.integrated, found.note), (two, b"note two".to_vec()));
}

fn a_head_never_stands_above_the_log(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 2)));
    let above = Head { size: 3, root: [1; 32] };
    assert!(matches!(store.integrate(epoch, &Head::EMPTY, &above, b""), Integrate::Failed(_)));
    assert!(matches!(store.project(epoch, 3, &[]), Project::Failed(_)));
    let two = Head { size: 2, root: [1; 32] };
    integrated(store.integrate(epoch, &Head::EMPTY, &two, b""));
    let less = Head { size: 1, root: [1; 32] };
    assert!(matches!(store.integrate(epoch, &two, &less, b""), Integrate::Failed(_)));
}

fn projecting_twice_is_projecting_once(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 3)));
    let rows = [person(1, "slot", 1), person(1, "keys", 0), person(2, "keys", 2)];
    projected(store.project(epoch, 3, &rows));
    let once = store.rows(&subject(1)).unwrap();
    projected(store.project(epoch, 3, &rows));
    assert_eq!(store.rows(&subject(1)).unwrap(), once);
    let want = [(b"keys".to_vec(), 0, bytes("keys", 0, 300)), (b"slot".to_vec(), 1, bytes("slot", 1, 300))];
    assert_eq!((once.rows.as_slice(), once.upto), (want.as_slice(), 3));
    assert_eq!(store.rows(&subject(3)).unwrap().rows, []);
}

fn a_state_row_never_goes_back(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 9)));
    let index = || store.rows(&subject(1)).unwrap().rows[0].1;
    projected(store.project(epoch, 9, &[person(1, "a", 8)]));
    projected(store.project(epoch, 9, &[person(1, "a", 3)]));
    assert_eq!(index(), 8);
    // Within one call as well, in either order, and where `upto` lies below the rows.
    projected(store.project(epoch, 2, &[person(2, "a", 7), person(2, "a", 5)]));
    projected(store.project(epoch, 9, &[person(2, "a", 6)]));
    assert_eq!(store.rows(&subject(2)).unwrap().rows[0].1, 7);
    projected(store.project(epoch, 9, &[person(3, "a", 12)]));
    projected(store.project(epoch, 9, &[person(3, "a", 11)]));
    assert_eq!(store.rows(&subject(3)).unwrap().rows[0].1, 12, "even rows above the log");
    projected(store.project(epoch, 9, &[Row::Register { index: 5, bytes: vec![5] }]));
    projected(store.project(epoch, 9, &[Row::Register { index: 4, bytes: vec![4] }]));
    assert_eq!(store.register().unwrap(), Some((5, vec![5])));
    // The same index again is a re-wrapping and wins.
    let rewrapped =
        Row::Person { subject: subject(1), part: b"a".to_vec(), index: 8, sealed: b"again".to_vec() };
    projected(store.project(epoch, 9, &[rewrapped]));
    assert_eq!(store.rows(&subject(1)).unwrap().rows[0].2, b"again");
    let long = Row::Person { subject: subject(1), part: vec![0; 65], index: 8, sealed: vec![] };
    assert!(matches!(store.project(epoch, 9, &[long]), Project::Failed(_)));
}

fn a_name_row_never_goes_back(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 9)));
    let name = Name::Statement(id(6).0);
    let row = |index, sealed: &[u8]| Row::Name { name, sealed: sealed.to_vec(), index };
    projected(store.project(epoch, 0, &[row(None, b"none"), row(Some(5), b"five")]));
    assert_eq!(store.locate(&name).unwrap().unwrap().index, Some(6), "not below what its entry got");
    projected(store.project(epoch, 0, &[row(Some(6), b"re-wrapped")]));
    assert_eq!(store.locate(&name).unwrap().unwrap().sealed, b"re-wrapped");
    let minted = Name::Ppid([7; 16]);
    projected(store.project(epoch, 0, &[Row::Name { name: minted, sealed: b"me".to_vec(), index: None }]));
    assert_eq!(store.locate(&minted).unwrap(), Some(Located { sealed: b"me".to_vec(), index: None }));
}

fn upto_never_goes_back(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 9)));
    for (upto, want) in [(4, 4), (2, 4), (9, 9), (0, 9)] {
        let (epoch, _) = lead(&*store);
        projected(store.project(epoch, upto, &[]));
        assert_eq!(store.rows(&subject(1)).unwrap().upto, want);
        assert_eq!(lead(&*store).1.projected, want);
    }
}

fn rows_after_a_reopen_match_the_recovered_progress(ground: &Ground) {
    {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        sequenced(store.append(epoch, &batch(0, 4)));
        projected(store.project(epoch, 4, &[person(1, "a", 3)]));
        sequenced(store.append(epoch, &batch(4, 1)));
    }
    let store = ground.open();
    let (epoch, found) = lead(&*store);
    let rows = store.rows(&subject(1)).unwrap();
    assert_eq!((found.next, rows.upto), (5, found.projected));
    match ground.unsynced {
        Unsynced::Kept => assert_eq!((rows.rows.len(), rows.upto), (1, 4)),
        Unsynced::Lost => assert_eq!((rows.rows.len(), rows.upto), (0, 0)),
    }
    // Replaying from there gives the same rows; an older index still loses.
    projected(store.project(epoch, 5, &[person(1, "a", 3), person(1, "b", 4)]));
    projected(store.project(epoch, 5, &[person(1, "a", 2)]));
    assert_eq!(store.rows(&subject(1)).unwrap().rows.iter().map(|r| r.1).collect::<Vec<_>>(), [3, 4]);
}

fn a_name_leads_to_the_index_its_entry_got(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 3)));
    let mut second = batch(3, 2);
    second.names.push(naru::store::NameRow { name: Name::Key([8; 32]), sealed: vec![], entry: None });
    second.names.push(naru::store::NameRow { name: Name::Key([9; 32]), sealed: vec![1], entry: Some(1) });
    sequenced(store.append(epoch, &second));
    let index = |name| store.locate(&name).unwrap().map(|l| l.index);
    assert_eq!(index(Name::Statement(id(4).0)), Some(Some(4)));
    assert_eq!(index(Name::Key([8; 32])), Some(None));
    assert_eq!(index(Name::Key([9; 32])), Some(Some(4)));
    assert_eq!(index(Name::Statement([9; 32])), None, "a key is not a statement");
}

fn a_large_register_is_one_row(ground: &Ground) {
    let large = bytes("register", 3, 300_000);
    let kept = {
        let store = ground.open();
        let (epoch, _) = lead(&*store);
        sequenced(store.append(epoch, &batch(0, 4)));
        projected(store.project(epoch, 4, &[Row::Register { index: 3, bytes: large.clone() }]));
        assert_eq!(store.register().unwrap(), Some((3, large.clone())));
        ground.unsynced == Unsynced::Kept
    };
    assert_eq!(ground.open().register().unwrap(), kept.then_some((3, large)));
}

fn blobs_are_create_only(ground: &Ground) {
    let large = bytes("blob", 1, 1 << 20);
    {
        let store = ground.open();
        store.put("attachment/00ff", &large, true).unwrap();
        store.put("attachment/00ff", &large, true).unwrap();
        store.put("empty", b"", true).unwrap();
        store.put("later", b"un-synced first", false).unwrap();
        store.put("later", b"un-synced first", true).unwrap();
        let other = store.put("empty", b"x", true);
        assert!(matches!(other, Err(Error::Exists { name }) if name == "empty"));
    }
    let store = ground.open();
    assert_eq!(store.get("attachment/00ff").unwrap(), Some(large));
    assert_eq!(store.get("empty").unwrap(), Some(vec![]));
    assert_eq!(store.get("later").unwrap(), Some(b"un-synced first".to_vec()));
    assert_eq!(store.get("attachment").unwrap(), None);
    assert!(matches!(store.put("later", b"", false), Err(Error::Exists { .. })));
}

fn rewriting_replaces_and_drops_bodies_of_one_person_at_once(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 4)));
    let rest = Body { subject: subject(1), id: id(9), sealed: b"what is left".to_vec() };
    for _ in 0..2 {
        projected(store.rewrite(epoch, &subject(1), std::slice::from_ref(&rest), &[id(1)]));
        let left = store.bodies(&subject(1), &[id(1), id(9)]).unwrap();
        assert_eq!(left, [None, Some(b"what is left".to_vec())]);
        assert_eq!(store.ids(&subject(1)).unwrap(), [id(9)]);
    }
    for other in [0, 2, 3] {
        assert!(store.bodies(&subject(other), &[id(other.into())]).unwrap()[0].is_some());
    }
    // Its name leads on: a duplicate is found at any age.
    assert!(store.locate(&Name::Statement(id(1).0)).unwrap().is_some());
    let (epoch, _) = (lead(&*store), epoch).0;
    let old = Epoch(epoch.0 - 1);
    assert!(matches!(store.rewrite(old, &subject(2), &[], &[id(2)]), Project::Fenced));
}

fn forgetting_drops_one_person_and_nothing_else(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    sequenced(store.append(epoch, &batch(0, 4)));
    projected(store.project(epoch, 4, &[person(1, "a", 1), person(1, "b", 1), person(2, "a", 2)]));
    let gone = Name::Statement(id(1).0);
    projected(store.forget(epoch, &subject(1), &[gone]));
    projected(store.forget(epoch, &subject(1), &[gone]));
    assert_eq!(store.rows(&subject(1)).unwrap().rows, []);
    assert_eq!(store.bodies(&subject(1), &[id(1)]).unwrap(), [None]);
    assert_eq!(store.locate(&gone).unwrap(), None);
    for other in [0, 2, 3] {
        assert!(store.bodies(&subject(other), &[id(other.into())]).unwrap()[0].is_some());
        assert!(store.locate(&Name::Statement(id(other.into()).0)).unwrap().is_some());
    }
    assert_eq!(store.rows(&subject(2)).unwrap().rows.len(), 1);
    assert_eq!(store.commits(0..4).unwrap()[0].entries.len(), 4, "the leaf stays");
}

fn items_come_back_in_order_and_go_with_their_person(ground: &Ground) {
    let item = |name: &str, sealed: Vec<u8>| Item { name: name.as_bytes().to_vec(), sealed };
    let names = |items: Vec<Item>| -> Vec<String> {
        items.into_iter().map(|item| String::from_utf8(item.name).unwrap()).collect()
    };
    let large = bytes("item", 1, 1 << 20);
    {
        let store = ground.open();
        let (stale, _) = lead(&*store);
        let (epoch, _) = lead(&*store);
        let all = [item("h2", vec![2]), item("h1", vec![1]), item("o1", large.clone()), item("h3", vec![])];
        projected(store.keep(epoch, &subject(1), &all, &[], &[]));
        projected(store.keep(epoch, &subject(2), &[item("h1", vec![9])], &[], &[]));
        projected(store.keep(epoch, &subject(1), &[item("h2", vec![7])], &[], &[]));
        assert!(matches!(store.keep(stale, &subject(1), &[item("h9", vec![])], &[], &[]), Project::Fenced));
        store.barrier().unwrap();
        // The store stops at what breaks the contract, and nothing of it is there.
        let bad = [item("h8", vec![8]), item(&"x".repeat(65), vec![])];
        assert!(matches!(store.keep(epoch, &subject(1), &bad, &[], &[]), Project::Failed(_)));
    }
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    let items = |prefix: &str, after: Option<&str>, most| {
        store.items(&subject(1), prefix.as_bytes(), after.map(str::as_bytes), most).unwrap()
    };
    assert_eq!(names(items("h", None, 9)), ["h1", "h2", "h3"]);
    assert_eq!(names(items("", None, 9)), ["h1", "h2", "h3", "o1"]);
    assert_eq!(names(items("h", Some("h1"), 1)), ["h2"]);
    assert_eq!(names(items("h", Some("a"), 0)), ["h1"]);
    assert_eq!(items("h", Some("h3"), 9), []);
    assert_eq!(items("h2", None, 9)[0].sealed, [7]);
    assert_eq!(store.item(&subject(1), b"o1").unwrap(), Some(large));
    assert_eq!(store.item(&subject(1), b"o").unwrap(), None);
    assert_eq!(names(store.items(&subject(2), b"", None, 9).unwrap()), ["h1"]);
    // Dropped with what is written at once; of a name in both, what is put stays; a name of nobody is none.
    let drop = ["h1", "o1", "h7"].map(|name| name.as_bytes().to_vec());
    projected(store.keep(epoch, &subject(1), &[item("h1", vec![5])], &drop, &[]));
    // Names that led to her by an item go with it, and no others.
    let rows = [1, 2].map(|n| Row::Name { name: Name::Ppid([n; 16]), sealed: vec![n], index: None });
    projected(store.project(epoch, 0, &rows));
    projected(store.keep(epoch, &subject(1), &[], &drop[1..], &[Name::Ppid([1; 16]), Name::Ppid([3; 16])]));
    assert!(store.locate(&Name::Ppid([1; 16])).unwrap().is_none());
    assert_eq!(store.locate(&Name::Ppid([2; 16])).unwrap().unwrap().sealed, [2]);
    assert_eq!(names(items("", None, 9)), ["h1", "h2", "h3"]);
    assert_eq!(items("h1", None, 9)[0].sealed, [5]);
    assert_eq!(names(store.items(&subject(2), b"", None, 9).unwrap()), ["h1"]);
    projected(store.forget(epoch, &subject(1), &[]));
    assert_eq!(items("", None, 9), []);
    assert_eq!(store.item(&subject(2), b"h1").unwrap(), Some(vec![9]));
}

fn commits_stop_after_four_mebibytes_but_never_empty(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    let mut next = 0;
    for (n, len) in [(40, 60_000), (40, 60_000), (100, 60_000), (1, 10)] {
        let mut large = batch(next, n);
        large.entries.iter_mut().for_each(|entry| entry.resize(len, 7));
        next = sequenced(store.append(epoch, &large)) + u64::from(n);
    }
    let firsts = |range| store.commits(range).unwrap().iter().map(|c| c.first).collect::<Vec<_>>();
    assert_eq!(firsts(0..next), [0, 40], "2.4 MiB and 2.4 MiB");
    assert_eq!(firsts(80..next), [80], "6 MB at once rather than nothing");
    assert_eq!(firsts(179..next), [80]);
    assert_eq!(firsts(180..next), [180]);
    // Reading on from where it stopped reaches the end.
    let mut at = 0;
    while at < next {
        let read = store.commits(at..next).unwrap();
        let last = read.last().expect("never empty while the start is sequenced");
        at = last.first + u64::try_from(last.entries.len()).unwrap();
    }
    assert_eq!(at, next);
}

fn commits_answer_any_range(ground: &Ground) {
    let store = ground.open();
    let (epoch, _) = lead(&*store);
    for (first, n) in [(0, 1), (1, 5), (6, 2)] {
        sequenced(store.append(epoch, &batch(first, n)));
    }
    let firsts =
        |from, until| store.commits(from..until).unwrap().iter().map(|c| c.first).collect::<Vec<_>>();
    assert_eq!(firsts(0, 8), [0, 1, 6]);
    assert_eq!(firsts(0, u64::MAX), [0, 1, 6]);
    assert_eq!(firsts(3, 4), [1]);
    assert_eq!(firsts(5, 7), [1, 6]);
    assert_eq!(firsts(6, 7), [6]);
    assert_eq!(firsts(7, 7), [0; 0]);
    assert_eq!(firsts(7, 3), [0; 0]);
    assert_eq!(firsts(8, 9), [0; 0]);
    assert_eq!(firsts(u64::MAX - 1, u64::MAX), [0; 0]);
}

fn random_operations_agree_with_a_naive_model(ground: &Ground) {
    model::agree(ground);
}
