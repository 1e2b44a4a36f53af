//! What the log signs twice is not two: a use or an item of a source in one list or in two.

use naru::model::statement::ConsentGrant;
use naru::model::vocabulary::DataClass;
use naru::node::deposit::Deposit;
use naru::node::deposit::Wish;
use naru::portability::Table;
use naru::portability::source::BY_SOURCE;
use serde_json::Value;

use super::*;

const BANK: &str = "data/by-source/bank/";

/// Three uses at one instant, one later, and three items of the bank, each of which is a use as well.
fn told() -> (World, Files) {
    let world = World::logging();
    let ppid = world.enrol(1);
    let grant: ConsentGrant = world.grant(ppid, None);
    world.accept(sign(&grant.into(), &person_key(1)));
    for item in ["a", "b", "c"] {
        let wish = Wish {
            controller: party("bank"),
            by: party("bank"),
            ppid,
            item: item.into(),
            purpose: PURPOSE.into(),
            class: DataClass::RealName,
            categories: vec![CATEGORY.into()],
            media_type: "text/plain".into(),
            original: item.into(),
        };
        assert!(matches!(world.node().deposit(&wish).unwrap(), Deposit::New(_)));
    }
    world.advance(1);
    ask(&world, ppid);
    batch(&world);
    let files = walked(&archive(&world, 1, None));
    (world, files)
}

/// What lists of one folder say: the rows of each, and the files beside them by their names.
type Lists = Vec<(Vec<Value>, Files)>;

fn lists_of(files: &Files, folder: &str) -> Lists {
    let at = |path: &str| files.iter().find(|(name, _)| name == path).map(|(_, content)| content.clone());
    let read = |number| {
        let path = parcel::list_path(folder, number);
        let rows = at(&path)?.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(json_of).collect();
        Some((rows, at(&parcel::parcel_beside(&path)?).map(|zip| in_parcel(&zip)).unwrap_or_default()))
    };
    (1..).map_while(read).collect()
}

fn json_of(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

/// The archive with these lists in place of a folder's, all else as it follows from them.
fn with(world: &World, files: &Files, folder: &str, lists: &Lists) -> Result<Proven, archive::Error> {
    let (mut made, mut named, mut table) = (Files::new(), Vec::new(), Vec::new());
    let mut uses = Table::uses(&mut table).unwrap();
    let kind = if folder == BANK { "deposit" } else { "use" };
    for ((rows, inside), number) in lists.iter().zip(1..) {
        let path = parcel::list_path(folder, number);
        let beside = parcel::parcel_beside(&path).unwrap();
        let mut list = Vec::new();
        for row in rows {
            let mut row = row.clone();
            for name in ["evidence", "original", "form"] {
                if let Some(Value::String(text)) = row.get_mut(name) {
                    *text = format!("{beside}/{}", text.rsplit('/').next().unwrap());
                }
            }
            serde_json::to_writer(&mut list, &row).unwrap();
            list.push(b'\n');
            if folder != BANK {
                uses.push(&row).unwrap();
            }
        }
        let sha256 = naru::model::id::Hash(naru::ledger::hash::sha256(&[&list])).to_string();
        named.push(serde_json::json!({ "kind": kind, "path": path, "items": rows.len(), "sha256": sha256 }));
        made.push((path, list));
        if !inside.is_empty() {
            // The writer of zips takes no name twice.
            let mut inside = inside.clone();
            inside.dedup_by(|file, before| file.0 == before.0);
            made.push((beside, parcelled(&inside)));
        }
    }
    uses.end().unwrap();
    let first = files.iter().position(|(path, _)| path.starts_with(folder)).unwrap();
    let mut out: Files = files.iter().filter(|(path, _)| !path.starts_with(folder)).cloned().collect();
    out.splice(first..first, made);
    for (path, content) in &mut out {
        if path == portability::USES_CSV && folder != BANK {
            content.clone_from(&table);
        }
        if path == portability::COMPLETENESS {
            let mut says = json_of(content);
            let all = says["lists"].as_array_mut().unwrap();
            let place =
                all.iter().position(|list| list["path"].as_str().unwrap().starts_with(folder)).unwrap();
            all.retain(|list| !list["path"].as_str().unwrap().starts_with(folder));
            all.splice(place..place, named.iter().cloned());
            let uses = lists.iter().flat_map(|(rows, _)| rows);
            let unproven = uses.filter(|row| row.get("evidence").is_some_and(Value::is_null)).count();
            if unproven > 0 {
                let (kind, reason) = (portability::ItemKind::Use, portability::Reason::RetentionExpired);
                let row = portability::Withheld::many(kind, unproven as u64, "proofs of uses", reason);
                says["withheld"].as_array_mut().unwrap().push(serde_json::to_value(row).unwrap());
            }
            *content = serde_json::to_vec(&says).unwrap();
        }
    }
    verify(&signed_again(world, &out))
}

/// Each way in which one of them can stand in the lists a second time.
fn doublings(lists: &Lists) -> Vec<Lists> {
    let [(rows, inside)] = lists.as_slice() else { panic!("one list") };
    let all = rows.len();
    let of = |places: &[usize]| {
        let rows: Vec<Value> = places.iter().map(|n| rows[*n].clone()).collect();
        (rows, places.iter().map(|n| inside[*n].clone()).collect::<Files>())
    };
    let whole: Vec<usize> = (0..all).collect();
    let mut out = Vec::new();
    for n in 0..all {
        // At the end of the same list, right behind itself, and in a list of its own before and behind.
        out.push(vec![of(&whole), of(&[n])]);
        out.push(vec![of(&[n]), of(&whole)]);
        let mut behind = whole.clone();
        behind.insert(n, n);
        out.push(vec![of(&behind)]);
    }
    out
}

#[test]
fn a_use_that_is_listed_twice_is_found_wherever_it_stands() {
    let (world, files) = told();
    let lists = lists_of(&files, portability::USES);
    assert_eq!(with(&world, &files, portability::USES, &lists).unwrap().uses, 4);
    // The same in two lists that are in order.
    let (rows, inside) = &lists[0];
    let split = |at: usize| {
        let (first, second) = (rows.split_at(at), inside.split_at(at));
        vec![(first.0.to_vec(), second.0.to_vec()), (first.1.to_vec(), second.1.to_vec())]
    };
    assert_eq!(with(&world, &files, portability::USES, &split(2)).unwrap().uses, 4);
    for (n, lists) in doublings(&lists).into_iter().enumerate() {
        let error = with(&world, &files, portability::USES, &lists).unwrap_err().to_string();
        assert!(error.contains("twice") && error.contains(portability::USES), "{n}: {error}");
    }
    // One that has no evidence any more is counted once, too: beside itself, and beside its evidence.
    let mut bare = lists.clone();
    bare[0].0[1]["evidence"] = Value::Null;
    bare[0].1.remove(1);
    let proven = with(&world, &files, portability::USES, &bare).unwrap();
    assert_eq!((proven.uses, proven.unproven_uses), (3, 1));
    let row = bare[0].0[1].clone();
    for (before, which) in [(&bare, 1), (&bare, 4), (&lists, 1), (&lists, 2)] {
        let mut twice = before.clone();
        twice[0].0.insert(which, row.clone());
        let error = with(&world, &files, portability::USES, &twice).unwrap_err().to_string();
        assert!(error.contains("twice"), "{which}: {error}");
    }
}

#[test]
fn an_item_that_is_listed_twice_is_found_wherever_it_stands() {
    assert!(BANK.starts_with(BY_SOURCE));
    let (world, files) = told();
    let lists = lists_of(&files, BANK);
    assert_eq!(with(&world, &files, BANK, &lists).unwrap().sources, 3);
    for (n, lists) in doublings(&lists).into_iter().enumerate() {
        let error = with(&world, &files, BANK, &lists).unwrap_err().to_string();
        assert!(error.contains("twice") && error.contains(BANK), "{n}: {error}");
    }
}

/// What one writer writes when its clock goes back stands in the order in which it was written.
#[test]
fn a_clock_that_steps_back_leaves_the_order_of_the_uses() {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let start = world.now();
    for step in [0, 50, 20, 20, 70, 10] {
        world.clock.set(start.plus_ms(step));
        ask(&world, ppid);
    }
    world.clock.set(start.plus_ms(100));
    batch(&world);
    let bytes = archive(&world, 1, None);
    assert_eq!(verify(&bytes).unwrap().uses, 6);
}
