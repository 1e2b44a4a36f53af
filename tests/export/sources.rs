//! What sources bring is hers: kept once, exported as it came, gone with her, and only hers to read.

use std::io::Read;

use naru::audit::archive;
use naru::ledger::hash;
use naru::model::id::Hash;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::node::deposit::AgeKey;
use naru::node::deposit::Deposit;
use naru::node::deposit::Deposited;
use naru::node::deposit::MOST_ITEMS;
use naru::node::deposit::NoDeposit;
use naru::node::deposit::Wish;
use naru::portability::source::BY_SOURCE;
use naru::store::Store;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::When;

use super::*;

const LIPIDS: &[u8] = include_bytes!("../data/import/fhir-r4-lipids.json");
const FHIR: &str = "application/fhir+json";
const BANK_FOLDER: &str = "data/by-source/bank/";

fn wish(ppid: Ppid, item: &str, media_type: &str, original: &[u8]) -> Wish {
    Wish {
        controller: party("bank"),
        by: party("bank"),
        ppid,
        item: item.into(),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
        media_type: media_type.into(),
        original: original.to_vec(),
    }
}

fn kept(world: &World, wish: &Wish) -> Deposited {
    match world.node().deposit(wish).unwrap() {
        Deposit::New(kept) => kept,
        Deposit::Before(kept) => panic!("kept before: {kept:?}"),
    }
}

fn granted() -> (World, Ppid) {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    (world, ppid)
}

/// A checkpoint that covers what was brought so far: its questions are uses, and those make entries.
fn covered(world: &World) {
    batch(world);
}

#[test]
fn an_item_is_let_in_by_a_grant_alone_and_kept_once() {
    let (world, ppid) = granted();
    let other = world.enrol(2);
    let lipids = wish(ppid, "lab 1", FHIR, LIPIDS);
    let first = kept(&world, &lipids);
    assert_eq!((first.bytes, first.sha256), (LIPIDS.len() as u64, Some(Hash(hash::sha256(&[LIPIDS])))));
    assert_eq!((first.form.clone(), first.at), (Some(("fhir-r4".into(), 5)), world.now()));
    world.advance(5_000);
    assert_eq!(world.node().deposit(&lipids).unwrap(), Deposit::Before(first.clone()));
    let differs = |wish: &Wish| matches!(world.node().deposit(wish), Err(NoDeposit::Differs));
    assert!(differs(&Wish {
        original: b"{}".to_vec(),
        media_type: "application/json".into(),
        ..lipids.clone()
    }));
    assert!(differs(&Wish { media_type: "application/json".into(), ..lipids.clone() }));
    // The same name for another item of hers, or of another person, is another.
    kept(&world, &wish(ppid, "lab 2", "text/plain", b"x"));
    let refused = |wish: &Wish| matches!(world.node().deposit(wish), Err(NoDeposit::NotGranted));
    assert!(refused(&wish(other, "lab 1", FHIR, LIPIDS)), "she granted nothing");
    assert!(refused(&wish(Ppid([7; 16]), "lab 1", FHIR, LIPIDS)), "nobody");
    assert!(refused(&wish(world.ppid(1, Some("hospital")), "lab 3", FHIR, LIPIDS)), "another domain");
    let outside = Wish { categories: vec!["pd:Health".into()], ..wish(ppid, "lab 3", FHIR, LIPIDS) };
    assert!(refused(&outside), "beyond the grant");
    let unbounded = |item: &str| {
        matches!(world.node().deposit(&wish(ppid, item, FHIR, LIPIDS)), Err(NoDeposit::Unbounded))
    };
    assert!(unbounded("") && unbounded(&"i".repeat(129)) && unbounded("a\nb") && unbounded("이름"));
    let lies = world.node().deposit(&wish(ppid, "lab 4", FHIR, b"{}"));
    assert!(matches!(lies, Err(NoDeposit::Original(_))));
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert!(refused(&wish(ppid, "lab 5", FHIR, LIPIDS)), "withdrawn");
    assert_eq!(world.node().deposit(&lipids).unwrap(), Deposit::Before(first));
    let listed = world.node().deposits(&key_hash(&person_key(1)), None, 9).unwrap().unwrap();
    assert_eq!(listed.items.len(), 2, "what was brought stays hers");
    // Whoever asked is in her use lines, let in or not.
    covered(&world);
    assert_eq!(rows(&files(&archive(&world, 1, None)), portability::USES).len(), 5);
}

#[test]
fn the_archive_holds_originals_byte_for_byte_with_their_origin_and_what_follows() {
    let (mut world, ppid) = granted();
    let table = "\u{feff}이름,값\n가,=1+1\n".as_bytes();
    kept(&world, &wish(ppid, "lab", FHIR, LIPIDS));
    kept(&world, &wish(ppid, "table", "text/csv", table));
    let [(bank, moved), (card, paid)] = kmydata::statements();
    kept(&world, &wish(ppid, "moved", bank, &moved));
    kept(&world, &wish(ppid, "paid", card, &paid));
    kept(&world, &wish(ppid, "scan", "application/pdf", b"%PDF-1.7 not read"));
    covered(&world);
    let size = world.node().published().size;
    let before = archive(&world, 1, Some(size));
    // One that comes after the checkpoint is in no archive of it.
    kept(&world, &wish(ppid, "late", "text/plain", b"late"));
    covered(&world);
    assert_eq!(archive(&world, 1, Some(size)), before, "one state at one checkpoint");
    let bytes = archive(&world, 1, None);
    assert_ne!(bytes, before);
    let found = files(&before);
    let rows = rows(&found, BANK_FOLDER);
    assert_eq!(rows.len(), 5);
    let complete = json(&found, portability::COMPLETENESS);
    for (item, original, form) in [
        ("lab", LIPIDS, Some(5)),
        ("table", table, Some(1)),
        ("moved", &moved, Some(3)),
        ("paid", &paid, Some(3)),
        ("scan", b"%PDF-1.7 not read", None),
    ] {
        let row = rows.iter().find(|row| row["item"] == item).unwrap();
        let path = row["original"].as_str().unwrap();
        assert!(path.starts_with("data/by-source/bank/000001.zip/"), "{path}");
        assert_eq!(found[path], original, "{item}");
        assert_eq!(row["sha256"], Hash(hash::sha256(&[original])).to_string());
        assert_eq!((row["party"].as_str(), row["by"].as_str()), (Some("bank"), Some("bank")));
        assert_eq!((row["sealed_to"].as_str(), row["items"].as_u64()), (Some("service"), form));
        assert!(row["basis"].is_string() && row["at"].is_u64());
        let lists = complete["lists"].as_array().unwrap();
        assert!(lists.iter().any(|one| one["kind"] == "deposit" && one["items"] == 5), "{item}");
        if let Some(form) = row["form"].as_str() {
            let form: serde_json::Value = serde_json::from_slice(&found[form]).unwrap();
            assert_eq!(form["items"].as_array().unwrap().len() as u64, row["items"].as_u64().unwrap());
        }
    }
    let proven = verify(&before).unwrap();
    assert_eq!((proven.sources, proven.unknown), (5, Vec::<String>::new()));
    assert_eq!(verify(&bytes).unwrap().sources, 6);
    // Nothing of another person's.
    let other = world.enrol(2);
    world.accept(sign(&world.grant(other, None).into(), &person_key(2)));
    kept(&world, &wish(other, "lab", "text/plain", b"marker-of-the-other"));
    covered(&world);
    assert!(!holds(&archive(&world, 1, None), b"marker-of-the-other"));
    assert!(holds(&archive(&world, 2, None), b"marker-of-the-other"));
    assert_eq!(world.faults(), []);
}

#[test]
fn a_list_a_form_or_an_original_that_the_log_signs_otherwise_is_found() {
    let (world, ppid) = granted();
    kept(&world, &wish(ppid, "lab", FHIR, LIPIDS));
    covered(&world);
    let found = walked(&archive(&world, 1, None));
    verify(&signed_again(&world, &found)).unwrap();
    type Edit = fn(&mut Vec<u8>);
    let edits: [(&str, Edit); 4] = [
        (".original.json", |bytes| {
            *bytes = String::from_utf8_lossy(bytes).replace("6.3", "9.3").into_bytes()
        }),
        (".form.json", |bytes| *bytes = String::from_utf8_lossy(bytes).replace("6.3", "9.3").into_bytes()),
        ("bank/000001.ndjson", Vec::clear),
        ("bank/000001.ndjson", |bytes| *bytes = bytes.repeat(2)),
    ];
    for (ending, edit) in edits {
        let mut files = found.clone();
        for (path, content) in files.iter_mut().filter(|(path, _)| path.starts_with(BANK_FOLDER)) {
            if path.ends_with(ending) {
                edit(content);
            } else if parcel::is_parcel(path) {
                let mut inside = in_parcel(content);
                inside.iter_mut().filter(|(name, _)| name.ends_with(ending)).for_each(|(_, one)| edit(one));
                *content = parcelled(&inside);
            }
        }
        assert_ne!(files, found);
        assert!(
            matches!(verify(&signed_again(&world, &files)), Err(archive::Error::Wrong { .. })),
            "{ending}"
        );
    }
}

#[test]
fn many_items_of_several_parties_stand_folder_by_folder_in_lists_of_bounded_length() {
    let (world, ppid) = granted();
    let notice = world.notice_of("hospital", 1, &[DataClass::RealName]);
    let id = world.accept(sign(&notice, &signer(HOSPITAL))).id;
    let hospital = world.ppid(1, Some("hospital"));
    let grant = ConsentGrant {
        controller: party("hospital"),
        notice: Shown { id, hash: world.text, locale: "ko".into() },
        ..world.grant(hospital, None)
    };
    world.accept(sign(&grant.into(), &person_key(1)));
    let many = 1_050;
    for n in 0..many {
        kept(&world, &wish(ppid, &format!("item {n}"), "text/plain", format!("bank {n}").as_bytes()));
        if n % 10 == 0 {
            let item = format!("item {n}");
            let wish = Wish {
                controller: party("hospital"),
                by: party("hospital"),
                ..wish(hospital, &item, "text/plain", b"x")
            };
            kept(&world, &wish);
        }
    }
    covered(&world);
    let bytes = archive(&world, 1, None);
    assert_eq!(verify(&bytes).unwrap().sources, many + many / 10);
    let names: Vec<_> = walked(&bytes).into_iter().map(|(path, _)| path).collect();
    let hers: Vec<_> = names.iter().filter(|path| path.starts_with(BY_SOURCE)).map(String::as_str).collect();
    let of = |party: &str, lists: usize| -> Vec<String> {
        let list = |n: usize| parcel::list_path(&format!("{BY_SOURCE}{party}/"), n as u64);
        let both = |list: String| [list.clone(), parcel::parcel_beside(&list).unwrap()];
        (1..=lists).map(list).flat_map(both).collect()
    };
    let (bank, hospital) = (of("bank", 2), of("hospital", 1));
    let either = [[&bank[..], &hospital].concat(), [&hospital[..], &bank].concat()];
    assert!(either.iter().any(|order| order == &hers), "{hers:?}");
    assert_eq!(rows(&files(&bytes), BANK_FOLDER).len() as u64, parcel::MOST_ROWS);
}

#[test]
fn what_is_sealed_to_her_own_key_nobody_here_can_read() {
    let (mut world, ppid) = granted();
    kept(&world, &wish(ppid, "before", "text/plain", b"marker-before"));
    let identity = age::x25519::Identity::generate();
    let key = AgeKey::parse(&identity.to_public().to_string()).unwrap();
    assert!(world.node().set_age_key(&key_hash(&person_key(1)), Some(&key)).unwrap());
    assert!(!world.node().set_age_key(&key_hash(&person_key(9)), Some(&key)).unwrap());
    kept(&world, &wish(ppid, "lab", FHIR, LIPIDS));
    assert!(world.node().set_age_key(&key_hash(&person_key(1)), None).unwrap());
    kept(&world, &wish(ppid, "after", "text/plain", b"marker-after"));
    covered(&world);
    let found = files(&archive(&world, 1, None));
    let row = |item: &str| -> serde_json::Value {
        rows(&found, BANK_FOLDER).into_iter().find(|row| row["item"] == item).unwrap()
    };
    assert_eq!(
        (row("before")["sealed_to"].as_str(), row("after")["sealed_to"].as_str()),
        (Some("service"), Some("service"))
    );
    let hers = row("lab");
    assert_eq!(hers["sealed_to"], "person");
    let open = |path: &serde_json::Value| {
        let path = path.as_str().unwrap();
        assert!(path.ends_with(".json.age"), "{path}");
        let sealed = &found[path];
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        let mut plain = Vec::new();
        let decryptor = age::Decryptor::new(&sealed[..]).unwrap();
        decryptor.decrypt(std::iter::once(&identity as _)).unwrap().read_to_end(&mut plain).unwrap();
        plain
    };
    assert_eq!(open(&hers["original"]), LIPIDS);
    assert!(holds(&open(&hers["form"]), b"35200-5"));
    // With every key that is here: no trace of the content but in her own hands.
    assert!(found.values().all(|content| !holds(content, b"35200-5")));
    let bytes = archive(&world, 1, None);
    assert_eq!(verify(&bytes).unwrap().sources, 3);
    // For `tests/foreign/archive.py` and `tests/page/check.mjs`.
    fs::create_dir_all(OUT).unwrap();
    fs::write(format!("{OUT}/sources.zip"), bytes).unwrap();
    assert_eq!(world.faults(), []);
}

#[test]
fn what_was_answered_lasts_and_what_failed_is_not_there() {
    let (mut world, ppid) = granted();
    kept(&world, &wish(ppid, "one", "text/plain", b"1"));
    for (item, call, when) in [
        ("two", Call::Keep, When::Before),
        ("three", Call::Keep, When::Middle),
        ("four", Call::Barrier, When::Before),
    ] {
        let wish = wish(ppid, item, "text/plain", item.as_bytes());
        world.memory.faults().fail_next(call, when, Fault::Eio);
        assert!(matches!(world.node().deposit(&wish), Err(NoDeposit::Node(_))), "{item}");
        // Nothing more is written, and nothing is answered as if it were.
        assert!(
            matches!(world.node().deposit(&wish), Err(NoDeposit::Node(_) | NoDeposit::NotGranted)),
            "{item}"
        );
        world.reopen();
        kept(&world, &wish);
    }
    world.reopen();
    let listed = world.node().deposits(&key_hash(&person_key(1)), None, 9).unwrap().unwrap();
    let mut items: Vec<_> = listed.items.iter().map(|(_, kept)| kept.item.as_str()).collect();
    items.sort_unstable();
    assert_eq!(items, ["four", "one", "three", "two"]);
    assert_eq!(world.faults(), []);
}

#[test]
fn pages_of_the_list_join_to_the_whole() {
    let (world, ppid) = granted();
    for n in 0..7 {
        kept(&world, &wish(ppid, &format!("item {n}"), "text/plain", b"x"));
    }
    let key = key_hash(&person_key(1));
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let page = world.node().deposits(&key, after.as_ref(), 3).unwrap().unwrap();
        all.extend(page.items.iter().map(|(_, kept)| kept.item.clone()));
        let Some((last, _)) = page.items.last().filter(|_| page.more) else { break };
        after = Some(Ppid::from_hex(last).unwrap().0);
    }
    all.sort_unstable();
    assert_eq!(all, (0..7).map(|n| format!("item {n}")).collect::<Vec<_>>());
    const { assert!(MOST_ITEMS >= 1_000) };
}

#[test]
fn she_takes_it_with_her_when_she_is_erased() {
    let (world, ppid) = granted();
    kept(&world, &wish(ppid, "lab", FHIR, LIPIDS));
    let other = world.enrol(2);
    world.accept(sign(&world.grant(other, None).into(), &person_key(2)));
    kept(&world, &wish(other, "lab", FHIR, LIPIDS));
    let subject = |n: u64| {
        let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let key = key_hash(&person_key(n));
        let row = world.memory.locate(&naru::store::Name::Key(key.0)).unwrap().unwrap();
        vault.open_name(&key.0, &row.sealed).unwrap().subject
    };
    let (hers, others) = (subject(1), subject(2));
    assert_eq!(world.memory.items(&hers, b"", None, 9).unwrap().len(), 4);
    let demand = ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, None),
    };
    assert!(world.accept(sign(&demand.into(), &person_key(1))).erasure.is_some());
    assert_eq!(world.memory.items(&hers, b"", None, 9).unwrap(), []);
    assert_eq!(world.memory.items(&others, b"", None, 9).unwrap().len(), 4);
    let late = world.node().deposit(&wish(ppid, "late", FHIR, LIPIDS));
    assert!(matches!(late, Err(NoDeposit::NotGranted)));
    assert_eq!(world.memory.items(&hers, b"", None, 9).unwrap(), []);
}
