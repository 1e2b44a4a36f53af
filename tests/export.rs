//! What a person carries away: complete, alike twice, hers alone, and proved.

#[path = "export/arrivals.rs"]
mod arrivals;
#[path = "export/complaints.rs"]
mod complaints;
#[path = "../examples/source.rs"]
mod holder;
#[path = "export/import.rs"]
mod import;
#[path = "export/incidents.rs"]
mod incidents;
#[path = "export/kmydata.rs"]
mod kmydata;
#[path = "export/memory.rs"]
mod memory;
#[path = "export/moving.rs"]
mod moving;
#[path = "export/pull.rs"]
mod pull;
#[path = "export/sources.rs"]
mod sources;
mod support;
#[path = "export/twice.rs"]
mod twice;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use naru::audit::archive;
use naru::audit::archive::Proven;
use naru::ledger::key::Signer;
use naru::model::id::Ppid;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::node::Asker;
use naru::node::NoExport;
use naru::node::Node;
use naru::node::Page;
use naru::node::Settings;
use naru::portability;
use naru::portability::Bag;
use naru::portability::parcel;
use support::*;

/// Where archives are left for the programs of others.
const OUT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/export");

fn ask(world: &World, ppid: Ppid) {
    let bank = party("bank");
    let asker = Asker { party: &bank, signed: None };
    let asked = world.ask(ppid, Action::Use);
    let told = world.node().tell_in_memory(asker, &asked).unwrap_or_else(|| world.node().tell(asker, &asked));
    assert!(told.id.is_some());
}

fn batch(world: &World) {
    world.advance(1_000);
    world.node().sync_uses().unwrap();
    world.node().batch_uses().unwrap().unwrap().unwrap();
    world.node().tick().unwrap();
}

/// Person 1 grants, is asked about twice, withdraws and is asked about again; person 2 is beside her.
fn story() -> (World, Ppid) {
    let world = World::logging();
    let (ppid, other) = (world.enrol(1), world.enrol(2));
    let grant = ConsentGrant { consideration: Some("marker-of-one".into()), ..world.grant(ppid, None) };
    world.accept(sign(&grant.into(), &person_key(1)));
    let grant = ConsentGrant { consideration: Some("marker-of-two".into()), ..world.grant(other, None) };
    world.accept(sign(&grant.into(), &person_key(2)));
    ask(&world, ppid);
    ask(&world, other);
    ask(&world, ppid);
    batch(&world);
    world.accept(sign(&world.object(ppid, Scope::One("bank".into()), DataClass::Anonymous), &person_key(1)));
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    ask(&world, ppid);
    batch(&world);
    (world, ppid)
}

fn archive(world: &World, n: u64, at: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    world.node().export(&key_hash(&person_key(n)), at).unwrap().write(&mut out).unwrap();
    out
}

/// Paths and contents, in order.
type Files = Vec<(String, Vec<u8>)>;

/// Every file, in the order of the archive.
fn walked(bytes: &[u8]) -> Files {
    let mut out = Vec::new();
    let mut source = Cursor::new(bytes);
    let bag = Bag::open(&mut source, signer(LOG).public()).unwrap();
    bag.walk::<portability::Error>(&mut |listed, content| {
        out.push((listed.path.clone(), content.unwrap().to_vec()));
        Ok(())
    })
    .unwrap();
    out
}

fn in_parcel(parcel: &[u8]) -> Files {
    let mut out = Vec::new();
    parcel::open::<portability::Error>(parcel, &mut |name, content| {
        out.push((name.to_owned(), content.to_vec()));
        Ok(())
    })
    .unwrap();
    out
}

/// Every file by its path, those of the parcels too, each as if its parcel were a folder.
fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut out: BTreeMap<_, _> = walked(bytes).into_iter().collect();
    let parcels: Vec<_> = out.keys().filter(|path| parcel::is_parcel(path)).cloned().collect();
    for path in parcels {
        let inside = in_parcel(&out[&path]).into_iter();
        out.extend(inside.map(|(name, content)| (format!("{path}/{name}"), content)));
    }
    out
}

/// The first list of a folder, row by row.
fn rows(files: &BTreeMap<String, Vec<u8>>, folder: &str) -> Vec<serde_json::Value> {
    let list = &files[&parcel::list_path(folder, 1)];
    std::str::from_utf8(list).unwrap().lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// A parcel with other files in it.
fn parcelled(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in files {
        zip.start_file(name.as_str(), stored).unwrap();
        std::io::Write::write_all(&mut zip, content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn json(files: &BTreeMap<String, Vec<u8>>, path: &str) -> serde_json::Value {
    serde_json::from_slice(&files[path]).unwrap()
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|w| w == what)
}

#[test]
fn everything_of_hers_is_inside_in_the_names_of_the_specification() {
    let (world, ppid) = story();
    let files = files(&archive(&world, 1, None));
    let named = |folder: &str, ending: &str| {
        files.keys().filter(|path| path.starts_with(folder) && path.ends_with(ending)).count()
    };
    assert_eq!(named(portability::STATEMENTS, ".cbor"), 4, "key, grant, objection, withdrawal");
    assert_eq!(named(portability::STATEMENTS, ".cose"), 4);
    assert_eq!(named(portability::USES, ".cbor"), 3);
    for row in rows(&files, portability::STATEMENTS).iter().chain(&rows(&files, portability::USES)) {
        assert!(files.contains_key(row["evidence"].as_str().unwrap()), "{row}");
    }
    let consents = json(&files, portability::CONSENTS);
    let records = consents["records"].as_array().unwrap();
    let state = |class: &str| {
        let of = |r: &&serde_json::Value| r["ext"]["identifiability"] == class;
        records.iter().find(of).unwrap()
    };
    let real = state("real-name");
    assert_eq!(real["ext"]["state"], "withdrawn");
    assert_eq!(real["record"]["pii_principal_id"], ppid.to_text());
    assert_eq!(real["pii_processing"]["privacy_notice"]["sha256"], world.text.to_string());
    let states: Vec<_> = real["events"].as_array().unwrap().iter().map(|e| &e["event_state"]).collect();
    assert_eq!(states, ["given", "withdrawn"]);
    assert_eq!(state("anonymous")["ext"]["state"], "objected");
    let reasons: Vec<_> = rows(&files, portability::USES).iter().map(|row| row["reason"].clone()).collect();
    assert_eq!(reasons, ["CONSENT_GIVEN", "CONSENT_GIVEN", "CONSENT_WITHDRAWN"]);
    assert_eq!(json(&files, portability::INCIDENTS), serde_json::json!({ "incidents": [] }));
    let parties = json(&files, portability::PARTIES);
    assert_eq!(parties["parties"][0]["party"], "bank");
    assert_eq!(parties["parties"].as_array().unwrap().len(), 1);
    let complete = json(&files, portability::COMPLETENESS);
    assert_eq!(complete["exported"].as_array().unwrap().len(), 2 + 1 + 3);
    let lists: Vec<_> =
        complete["lists"].as_array().unwrap().iter().map(|l| (&l["kind"], &l["items"])).collect();
    assert_eq!(lists, [(&"statement".into(), &4.into()), (&"use".into(), &3.into())]);
    let reasons: Vec<_> = complete["withheld"].as_array().unwrap().iter().map(|w| &w["reason"]).collect();
    let size = "after-checkpoint";
    assert_eq!(reasons, [size, size, size, size, "security", "security", "rights-of-others"]);
}

#[test]
fn one_state_at_one_checkpoint_is_the_same_bytes_whatever_others_do() {
    let (mut world, _) = story();
    let size = world.node().published().size;
    let first = archive(&world, 1, None);
    assert_eq!(archive(&world, 1, Some(size)), first);
    world.accept(sign(&world.withdraw(world.ppid(2, Some("bank"))), &person_key(2)));
    world.enrol(3);
    ask(&world, world.ppid(2, Some("bank")));
    world.node().tick().unwrap();
    batch(&world);
    assert!(world.node().published().size > size);
    assert_eq!(archive(&world, 1, Some(size)), first);
    assert_ne!(archive(&world, 1, None), first);
    // Her own later acts are beyond it, too.
    let ppid = world.ppid(1, Some("bank"));
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    ask(&world, ppid);
    batch(&world);
    assert_eq!(archive(&world, 1, Some(size)), first);
    world.reopen();
    assert_eq!(archive(&world, 1, Some(size)), first);
}

#[test]
fn nothing_of_another_person_and_no_secret_is_inside() {
    let (world, _) = story();
    let (one, two) = (archive(&world, 1, None), archive(&world, 2, None));
    assert!(holds(&one, b"marker-of-one") && !holds(&one, b"marker-of-two"));
    assert!(holds(&two, b"marker-of-two") && !holds(&two, b"marker-of-one"));
    for n in [1, 2] {
        let (own, other) = if n == 1 { (&one, &two) } else { (&two, &one) };
        let ppid = world.ppid(n, Some("bank"));
        for bytes in [ppid.to_text().into_bytes(), key_hash(&person_key(n)).to_string().into_bytes()] {
            assert!(!holds(other, &bytes));
        }
        assert!(holds(own, ppid.to_text().as_bytes()) && holds(own, &ppid.0));
        let spki = person_key(n).public().spki().to_vec();
        assert!(holds(own, &spki) && !holds(other, &spki));
    }
}

#[test]
fn one_export_at_a_time_and_only_of_sizes_that_prove_something() {
    let (world, _) = story();
    let (node, key) = (world.node(), key_hash(&person_key(1)));
    let size = node.published().size;
    let first = node.export(&key, None).unwrap();
    assert!(matches!(node.export(&key, None), Err(NoExport::Busy)));
    assert!(node.export(&key_hash(&person_key(2)), None).is_ok());
    drop(first);
    assert!(node.export(&key, Some(size)).is_ok());
    for at in [0, 1, size + 1, u64::MAX] {
        assert!(matches!(node.export(&key, Some(at)), Err(NoExport::Size)), "{at}");
    }
    assert!(matches!(node.export(&key_hash(&person_key(9)), None), Err(NoExport::Unknown)));
}

#[test]
fn tables_and_linked_data_say_what_the_records_say() {
    let (world, ppid) = story();
    let files = files(&archive(&world, 1, None));
    let table = |path: &str| {
        let text = std::str::from_utf8(&files[path]).unwrap().strip_prefix('\u{feff}').unwrap();
        assert!(text.lines().count() == text.matches("\r\n").count());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let column = |name: &str| {
            let at = head.iter().position(|head| head.split(' ').next() == Some(name)).unwrap();
            rows.iter().map(|row| row[at].to_owned()).collect::<Vec<_>>()
        };
        (column("controller"), column(if path.contains("uses") { "told" } else { "state" }), column("ppid"))
    };
    let (controllers, states, ppids) = table(portability::CONSENTS_CSV);
    assert_eq!(
        (controllers, states),
        (vec!["bank".into(); 2], vec!["objected".to_owned(), "withdrawn".into()])
    );
    assert_eq!(ppids[0], ppid.to_text());
    let (_, told, _) = table(portability::USES_CSV);
    assert_eq!(told, ["CONSENT_GIVEN", "CONSENT_GIVEN", "CONSENT_WITHDRAWN"]);
    let linked = json(&files, portability::CONSENTS_LD);
    let records = linked["@graph"].as_array().unwrap();
    let statuses = |n: usize| records[n]["dpv:hasConsentStatus"].as_array().unwrap().iter();
    let kinds: Vec<_> = statuses(1).map(|status| &status["@type"]).collect();
    assert_eq!(kinds, ["dpv:ConsentGiven", "dpv:ConsentWithdrawn"]);
    let objection: Vec<_> = statuses(0).map(|s| (&s["@type"], &s["dct:description"])).collect();
    assert_eq!(objection, [(&"dpv:ConsentRefused".into(), &"objected".into())]);
    assert_eq!(records[0]["dpv:hasDataController"][0]["dpv:hasIdentifier"], "bank");
    assert!(linked["@context"].as_object().unwrap().values().all(serde_json::Value::is_string));
}

fn side_files(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.dir.path().join("use")).unwrap();
    let mut out: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    out.retain(|path| path.extension().is_some_and(|e| e == "who"));
    out
}

#[test]
fn a_side_file_that_is_missing_or_damaged_is_made_again_and_answers_equal_the_scan() {
    let (mut world, ppid) = story();
    world.reopen();
    ask(&world, ppid);
    let scan = |world: &World| {
        let mut out = Vec::new();
        let (from, until) = (Timestamp(0), Timestamp(u64::MAX));
        let each = &mut |seen: naru::node::Use| {
            out.push(seen);
            Ok(())
        };
        world.node().uses_between(from, until, each).unwrap();
        out.retain(|seen| seen.line.ppid == Some(ppid));
        out.sort_by_key(|seen| seen.line.t);
        out.reverse();
        out
    };
    let uses = |world: &World| -> Vec<_> {
        let page = Page { after: None, most: 1_000 };
        let seen = world.node().uses_of(&key_hash(&person_key(1)), page).unwrap();
        seen.into_iter().map(|one| one.seen).collect()
    };
    assert_eq!(uses(&world), scan(&world));
    assert_eq!(uses(&world).len(), 4);
    let made = side_files(&world);
    assert!(!made.is_empty());
    let good: Vec<_> = made.iter().map(|path| fs::read(path).unwrap()).collect();
    for damage in 0..4 {
        for path in &made {
            let mut bytes = fs::read(path).unwrap();
            match damage {
                0 => fs::remove_file(path).unwrap(),
                1 => fs::write(path, b"").unwrap(),
                2 => {
                    bytes[5_000] ^= 1;
                    fs::write(path, bytes).unwrap();
                }
                _ => fs::write(path, &bytes[..4_096]).unwrap(),
            }
        }
        assert_eq!(uses(&world), scan(&world), "damage {damage}");
        let again: Vec<_> = made.iter().map(|path| fs::read(path).unwrap()).collect();
        assert_eq!(again, good, "damage {damage}");
    }
    for (path, bytes) in made.iter().zip(&good) {
        let subject_free = !holds(bytes, &ppid.0) && !holds(bytes, b"bank");
        assert!(subject_free, "{}", path.display());
    }
}

/// Segments of a few lines, written by three threads in turn and at once, some closed and some open.
#[test]
fn lines_of_many_segments_and_writers_are_each_inside_once_and_in_the_same_order_always() {
    let mut world = World::logging();
    let open = |world: &mut World| {
        drop(world.node.take());
        world.memory = world.memory.reopen();
        let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let settings = Settings { use_log: true, use_segment_bytes: 2_000, ..settings(&world.dir) };
        let store = std::sync::Arc::new(world.memory.clone());
        world.node = Some(Node::open(settings, store, vault, keys(), world.clock.clone()).unwrap());
    };
    open(&mut world);
    let (ppid, other) = (world.enrol(1), world.enrol(2));
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    for round in 0..4 {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20).for_each(|n| ask(&world, if n % 3 == 0 { other } else { ppid })));
            }
        });
        world.advance(100);
        if round % 2 == 1 {
            batch(&world);
        }
    }
    let size = world.node().published().size;
    let first = archive(&world, 1, None);
    let proven = verify(&first).unwrap();
    assert_eq!((proven.uses, proven.unproven_uses), (4 * 3 * 13, 0));
    let seen = |bytes: &[u8]| rows(&files(bytes), portability::USES);
    let page = Page { after: None, most: 1_000 };
    let own = world.node().uses_of(&key_hash(&person_key(1)), page).unwrap();
    let own: std::collections::BTreeSet<_> = own.iter().map(|one| one.seen.line.id.to_string()).collect();
    let inside: Vec<_> = seen(&first).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(inside.len(), own.len());
    assert_eq!(inside.into_iter().collect::<std::collections::BTreeSet<_>>(), own);
    assert!(seen(&first).is_sorted_by_key(|row| row["at"].as_u64()));
    // Later lines, and segments that are closed now and have side files, change nothing of it.
    (0..50).for_each(|_| ask(&world, ppid));
    batch(&world);
    assert_eq!(archive(&world, 1, Some(size)), first);
    open(&mut world);
    assert_eq!(archive(&world, 1, Some(size)), first);
    side_files(&world).iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(archive(&world, 1, Some(size)), first);
}

#[test]
fn the_tree_of_a_batch_that_is_missing_or_damaged_is_made_again() {
    let (world, _) = story();
    let good = archive(&world, 1, None);
    let folder = world.dir.path().join("use/trees/00000000000");
    let trees: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(trees.len(), 2);
    for path in &trees {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.len() - 40;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(archive(&world, 1, None), good);
    trees.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(archive(&world, 1, None), good);
    assert!(trees.iter().all(|path| path.exists()));
}

fn verify(bytes: &[u8]) -> Result<Proven, archive::Error> {
    archive::verify(&mut Cursor::new(bytes), signer(LOG).public(), ORIGIN, Some(200))
}

#[test]
fn an_archive_proves_itself_offline_and_one_flipped_byte_or_cut_is_found() {
    let (world, _) = story();
    let bytes = archive(&world, 1, None);
    let proven = verify(&bytes).unwrap();
    assert_eq!((proven.statements, proven.consents, proven.uses), (4, 2, 3));
    assert_eq!((proven.unproven_uses, proven.head.size), (0, world.node().published().size));
    assert_eq!(proven.signers.into_iter().collect::<Vec<_>>(), [key_hash(&signer(OPERATOR))]);
    assert!(proven.unknown.is_empty() && proven.unread.is_empty());
    for at in (0..bytes.len()).step_by(101) {
        let mut bad = bytes.clone();
        bad[at] ^= 4;
        assert!(verify(&bad).is_err(), "byte {at}");
    }
    for cut in (0..bytes.len()).step_by(997) {
        assert!(verify(&bytes[..cut]).is_err(), "cut {cut}");
    }
    let (log, other) = (signer(LOG), signer(OPERATOR));
    assert!(archive::verify(&mut Cursor::new(&bytes), other.public(), ORIGIN, None).is_err());
    assert!(archive::verify(&mut Cursor::new(&bytes), log.public(), "another/log", None).is_err());
}

/// When the log had its last entry.
fn log_time(world: &World) -> Timestamp {
    let size = world.node().published().size;
    let entry = world.node().entries(size - 1, size).unwrap().pop().unwrap();
    Timestamp(naru::ledger::entry::Entry::parse(&entry).unwrap().t())
}

/// An archive of these files, signed by the log itself.
fn signed_again(world: &World, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let published = world.node().published();
    let (origin, size, root) = (ORIGIN.into(), published.size, published.root);
    let mut archive = portability::Archive::new(&mut out, portability::Head { origin, size, root });
    for (path, content) in files.iter().filter(|(path, _)| !portability::is_around(path)) {
        archive.file(path, content).unwrap();
    }
    archive.finish(log_time(world), &signer(LOG)).unwrap();
    out
}

#[test]
fn a_log_that_signs_another_story_than_its_evidence_is_found() {
    let (world, _) = story();
    let bytes = archive(&world, 1, None);
    let files = walked(&bytes);
    let (statements, uses) =
        (parcel::list_path(portability::STATEMENTS, 1), parcel::list_path(portability::USES, 1));
    let (statements, uses) = (statements.as_str(), uses.as_str());
    assert_eq!(signed_again(&world, &files), bytes);
    let lies = [
        (portability::CONSENTS, "\"state\":\"withdrawn\"", "\"state\":\"granted\""),
        (portability::CONSENTS, "\"state\":\"objected\"", "\"state\":\"none\""),
        (statements, "consent.withdraw", "consent.pause"),
        (statements, "\"at\":1", "\"at\":2"),
        (uses, ".cbor\"", ".cbox\""),
        (uses, "\"reason\":\"CONSENT_WITHDRAWN\"", "\"reason\":\"CONSENT_GIVEN\""),
        (uses, "\"purpose\":\"", "\"purpose\":\"x"),
        (portability::COMPLETENESS, "data/uses/000001", "data/uses/000002"),
        (portability::COMPLETENESS, "\"items\":3", "\"items\":2"),
        (portability::COMPLETENESS, "\"sha256\":\"", "\"sha256\":\"0"),
        (portability::CONSENTS_CSV, ",withdrawn,", ",granted,"),
        (portability::CONSENTS_LD, "dpv:ConsentWithdrawn", "dpv:ConsentGiven"),
        (portability::USES_CSV, "CONSENT_WITHDRAWN", "CONSENT_GIVEN"),
        (portability::DUTIES, "\"standing\":\"waiting\"", "\"standing\":\"done\""),
        (portability::DUTIES, "\"left\":[\"pd:Income\"]", "\"left\":[]"),
        (portability::DUTIES, "\"closed\":false", "\"closed\":true"),
        (portability::DUTIES, "\"as_of\":1", "\"as_of\":2"),
        (portability::RIGHTS, "\"rights\":[]", "\"rights\":[{}]"),
        (portability::VALUE, "marker-of-one", "nothing"),
    ];
    for (path, from, to) in lies {
        let mut files = files.clone();
        let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
        let text = String::from_utf8(file.1.clone()).unwrap();
        assert!(text.contains(from), "{path}: {from}");
        file.1 = text.replacen(from, to, 1).into_bytes();
        let error = verify(&signed_again(&world, &files)).unwrap_err();
        assert!(matches!(error, archive::Error::Wrong { .. }), "{path}: {error}");
    }
    for gone in files.iter().map(|(path, _)| path.clone()).filter(|path| path.starts_with("data/")) {
        let rendered = [
            portability::CONSENTS_CSV,
            portability::CONSENTS_LD,
            portability::USES_CSV,
            portability::COMPLAINTS_CSV,
        ];
        let files: Vec<_> = files.iter().filter(|(path, _)| *path != gone).cloned().collect();
        let proven = verify(&signed_again(&world, &files));
        let free =
            [portability::EXCEPTIONS, portability::INCIDENTS, portability::TRANSFERS, portability::RIGHTS];
        let free = free.contains(&gone.as_str());
        assert_eq!(proven.is_ok(), free || rendered.contains(&gone.as_str()), "{gone}");
    }
    let mut more = files.clone();
    more.push(("data/sources/bank/accounts.json".into(), b"{}".to_vec()));
    let proven = verify(&signed_again(&world, &more)).unwrap();
    assert_eq!(proven.unknown, ["data/sources/bank/accounts.json"], "later files are no break");
}

/// What of a parcel the log signs otherwise: another file, one less, one more, two in each other's place.
#[test]
fn a_parcel_that_is_not_what_its_list_says_is_found_and_the_file_is_named() {
    let (world, _) = story();
    let bytes = archive(&world, 1, None);
    let files = walked(&bytes);
    for folder in [portability::STATEMENTS, portability::USES] {
        let path = parcel::parcel_beside(&parcel::list_path(folder, 1)).unwrap();
        let good = files.iter().find(|(name, _)| *name == path).unwrap().1.clone();
        let inside = in_parcel(&good);
        let with = |edit: &dyn Fn(&mut Files)| {
            let (mut files, mut inside) = (files.clone(), inside.clone());
            edit(&mut inside);
            files.iter_mut().find(|(name, _)| *name == path).unwrap().1 = parcelled(&inside);
            verify(&signed_again(&world, &files))
        };
        assert!(with(&|_| ()).is_ok());
        let error = |edit: &dyn Fn(&mut Files)| with(edit).unwrap_err().to_string();
        let named = |n: usize| format!("`{path}/{}`", inside[n].0);
        assert!(error(&|files| drop(files.pop())).contains(&named(inside.len() - 1)));
        assert!(error(&|files| drop(files.remove(1))).contains(&named(1)));
        assert!(error(&|files| files.swap(0, 1)).contains(&named(0)));
        assert!(error(&|files| files.push(("more.cbor".into(), vec![1]))).contains("more.cbor"));
        let content = inside[inside.len() - 1].1.clone();
        with(&|files| files[0].1.clone_from(&content)).unwrap_err();
    }
    // A byte that nobody signed: the file in the parcel is named.
    let place = |what: &[u8]| bytes.windows(what.len()).position(|w| w == what).unwrap();
    let uses = in_parcel(&files.iter().find(|(path, _)| path == "data/uses/000001.zip").unwrap().1);
    let mut bad = bytes.clone();
    bad[place(&uses[1].1) + 40] ^= 1;
    let error = verify(&bad).unwrap_err().to_string();
    assert!(error.contains(&format!("`data/uses/000001.zip/{}`", uses[1].0)), "{error}");
}

#[test]
fn a_use_whose_proof_is_past_its_term_is_counted_and_not_one_more() {
    let (world, _) = story();
    let good = walked(&archive(&world, 1, None));
    let at = |path: &str| good.iter().position(|(name, _)| name == path).unwrap();
    let (list, parcel) = (at("data/uses/000001.ndjson"), at("data/uses/000001.zip"));
    let mut inside = in_parcel(&good[parcel].1);
    let path = format!("data/uses/000001.zip/{}", inside.remove(0).0);
    let without = |of: usize, from: &str, to: &str| {
        let text = String::from_utf8(good[of].1.clone()).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    let told = |counted: Option<u64>| {
        let mut files = good.clone();
        files[list].1 = without(list, &format!("\"{path}\""), "null");
        files[at(portability::USES_CSV)].1 = without(at(portability::USES_CSV), &path, "");
        files[parcel].1 = parcelled(&inside);
        let sha256 = naru::model::id::Hash(naru::ledger::hash::sha256(&[&files[list].1])).to_string();
        let complete = &mut files[at(portability::COMPLETENESS)].1;
        let mut says: serde_json::Value = serde_json::from_slice(complete).unwrap();
        says["lists"][1]["sha256"] = sha256.into();
        if let Some(items) = counted {
            let (kind, reason) = (portability::ItemKind::Use, portability::Reason::RetentionExpired);
            let row = portability::Withheld::many(kind, items, "proofs of uses", reason);
            says["withheld"].as_array_mut().unwrap().push(serde_json::to_value(row).unwrap());
        }
        *complete = serde_json::to_vec(&says).unwrap();
        verify(&signed_again(&world, &files))
    };
    let proven = told(Some(1)).unwrap();
    assert_eq!((proven.uses, proven.unproven_uses), (2, 1));
    assert!(
        proven
            .withheld
            .iter()
            .any(|(reason, what)| reason == "retention-expired" && what == "proofs of uses")
    );
    for wrong in [None, Some(0), Some(2)] {
        let error = told(wrong).unwrap_err().to_string();
        assert!(error.contains("without evidence"), "{error}");
    }
}

#[test]
fn what_is_owed_claimed_and_promised_is_inside_as_it_stands_under_the_checkpoint() {
    let (world, ppid) = story();
    let inside = |bytes: &[u8]| {
        let files = files(bytes);
        [portability::DUTIES, portability::RIGHTS, portability::VALUE].map(|path| json(&files, path))
    };
    let early = archive(&world, 1, None);
    let [duties, rights, value] = inside(&early);
    let row = &duties["duties"][0];
    let ended = (&row["ended_by"], &row["closed"], &row["recipients"][1]["standing"]);
    assert_eq!(ended, (&"closing-act".into(), &false.into(), &"waiting".into()));
    assert_eq!(rights["rights"].as_array().unwrap().len(), 0);
    let of = &value["controllers"][0];
    assert_eq!(
        (&of["grants"][0]["promised"], &of["uses"][0]["permitted"]),
        (&"marker-of-one".into(), &2.into())
    );
    let size = world.node().published().size;

    // Each word is there once it is under the checkpoint, and says what the node says.
    let act = naru::model::id::StatementId::from_hex(row["act"].as_str().unwrap()).unwrap();
    let grant = naru::model::id::StatementId::from_hex(row["grant"].as_str().unwrap()).unwrap();
    world.advance(DAY);
    world.accept(sign(&world.deleted("bank", ppid, act), &signer(BANK)));
    world.accept(sign(&world.settle(ppid, grant, 700), &signer(BANK)));
    let claim = world.accept(sign(&world.claim(ppid), &person_key(1))).id;
    world.accept(sign(&world.answer_right("bank", ppid, claim, Some("PIPA art. 35(4)")), &signer(BANK)));
    world.accept(sign(&world.dispute(ppid), &person_key(1)));
    world.node().tick().unwrap();
    assert_eq!(archive(&world, 1, Some(size)), early, "what came later changes nothing");
    let late = archive(&world, 1, None);
    verify(&late).unwrap();
    let [duties, rights, value] = inside(&late);
    let owed = &duties["duties"][0]["recipients"];
    assert_eq!((&owed[0]["standing"], &owed[1]["standing"]), (&"done".into(), &"waiting".into()));
    assert_eq!(rights["rights"][0]["answer"]["outcome"], "refused");
    let paid = &value["controllers"][0]["grants"][0]["reported"][0];
    assert_eq!((&paid["amount"], &paid["disputed"]), (&700.into(), &true.into()));
    let complete = json(&files(&late), portability::COMPLETENESS);
    let kinds: Vec<_> = complete["exported"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    for (kind, n) in [("duty", 2), ("right", 1), ("value", 1)] {
        assert_eq!(kinds.iter().filter(|found| ***found == kind).count(), n, "{kind}");
    }
}

/// The story with a transfer, duties, a right that is refused, what is reported as paid, and a complaint.
fn owed_story() -> World {
    let (world, ppid) = story();
    let demand = world.accept(sign(&world.demand(ppid).into(), &person_key(1))).id;
    let deliver = TransferDeliver {
        v: V1,
        kind: Kind::TransferDeliver,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        party: party("bank"),
        demand,
        run: 0,
        items: 3,
        hash: naru::model::id::Hash([7; 32]),
    };
    world.accept(sign(&deliver.into(), &signer(BANK)));
    let grant = {
        let files = files(&archive(&world, 1, None));
        let duties = json(&files, portability::DUTIES);
        let of = |name: &str| duties["duties"][0][name].as_str().unwrap().to_owned();
        let id = |text: String| naru::model::id::StatementId::from_hex(&text).unwrap();
        world.accept(sign(&world.deleted("bank", ppid, id(of("act"))), &signer(BANK)));
        id(of("grant"))
    };
    world.accept(sign(&world.settle(ppid, grant, 700), &signer(BANK)));
    let claim = world.accept(sign(&world.claim(ppid), &person_key(1))).id;
    world.accept(sign(&world.answer_right("bank", ppid, claim, Some("PIPA art. 35(4)")), &signer(BANK)));
    world.accept(sign(&world.dispute(ppid), &person_key(1)));
    let complaint = complaints::complain(&world, 1, "hospital", "=me <img src=x onerror=globalThis.ran=1>");
    let incident = naru::model::id::Nonce(complaint.0[..16].try_into().unwrap());
    incidents::step(&world, incident, Kind::IncidentConfirm, "pipc", REGULATOR);
    world
}

/// Texts that would run if they became markup or script, signed by the log: for `tests/page/check.mjs`.
#[test]
fn hostile_texts_stay_texts() {
    let world = owed_story();
    let mark = "<img src=x onerror=globalThis.ran=1></script><script>globalThis.ran=2</script>";
    let mut files = walked(&archive(&world, 1, None));
    let uses = parcel::list_path(portability::USES, 1);
    let mut found = 0;
    for (path, content) in &mut files {
        let shown = [
            portability::CONSENTS,
            uses.as_str(),
            portability::PARTIES,
            portability::TRANSFERS,
            portability::DUTIES,
            portability::RIGHTS,
            portability::VALUE,
            portability::COMPLAINTS,
        ];
        if shown.contains(&path.as_str()) {
            let mut text = String::from_utf8(content.clone()).unwrap();
            let quoted: Vec<_> = [
                "party_name",
                "name_en",
                "purpose",
                "purpose_type",
                "consideration",
                "ppid",
                "controller",
                "standing",
                "promised",
                "reason",
                "currency",
                "by",
                "type",
                "snd_org_code",
                "stage",
            ]
            .map(|name| format!("\"{name}\":\""))
            .into();
            for name in &quoted {
                found += text.matches(name).count();
                text = text.replace(name, &format!("{name}{mark}"));
            }
            *content = text.into_bytes();
        }
    }
    assert!(found > 40, "{found}");
    let list = files.iter().find(|(path, _)| *path == uses).unwrap();
    let sha256 = naru::model::id::Hash(naru::ledger::hash::sha256(&[&list.1])).to_string();
    let complete = files.iter_mut().find(|(path, _)| path == portability::COMPLETENESS).unwrap();
    let mut says: serde_json::Value = serde_json::from_slice(&complete.1).unwrap();
    says["lists"][1]["sha256"] = sha256.into();
    complete.1 = serde_json::to_vec(&says).unwrap();
    let bytes = signed_again(&world, &files);
    let mut source = Cursor::new(&bytes);
    let bag = Bag::open(&mut source, signer(LOG).public()).unwrap();
    bag.walk::<portability::Error>(&mut |listed, content| {
        let is_page = portability::is_around(&listed.path);
        assert!(!is_page || !holds(content.unwrap(), b"globalThis.ran"), "{}", listed.path);
        Ok(())
    })
    .unwrap();
    fs::create_dir_all(OUT).unwrap();
    fs::write(format!("{OUT}/hostile.zip"), bytes).unwrap();
    let owed = archive(&world, 1, None);
    assert_eq!(verify(&owed).unwrap().complaints, 1);
    fs::write(format!("{OUT}/owed.zip"), owed).unwrap();
    fs::write(format!("{OUT}/small.zip"), archive(&story().0, 1, None)).unwrap();
}

#[test]
fn a_person_with_a_thousand_events_exports_and_verifies() {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let acts = (0..298).map(|_| sign(&world.withdraw(ppid), &person_key(1))).collect();
    assert!(world.node().record(acts).iter().all(Result::is_ok));
    for n in 0..700 {
        ask(&world, ppid);
        if n % 100 == 99 {
            batch(&world);
        }
    }
    let bytes = archive(&world, 1, None);
    let proven = verify(&bytes).unwrap();
    assert_eq!((proven.statements, proven.consents, proven.uses), (300, 1, 700));
    fs::create_dir_all(OUT).unwrap();
    // For `tests/foreign/archive.py` and `tests/page/check.mjs`.
    fs::write(format!("{OUT}/mydata.zip"), bytes).unwrap();
    fs::write(format!("{OUT}/log.spki"), signer(LOG).public().spki()).unwrap();
    // For `tests/foreign/cddl.py`.
    let mut manifest = Vec::new();
    let mut zip = Cursor::new(fs::read(format!("{OUT}/mydata.zip")).unwrap());
    let mut zip = zip::ZipArchive::new(&mut zip).unwrap();
    let name = format!("mydata-{}/{}", proven.head.size, portability::MANIFEST);
    std::io::Read::read_to_end(&mut zip.by_name(&name).unwrap(), &mut manifest).unwrap();
    let examples = concat!(env!("CARGO_TARGET_TMPDIR"), "/cddl-export");
    fs::create_dir_all(examples).unwrap();
    fs::write(format!("{examples}/archive-manifest-thousand.cbor"), manifest).unwrap();
}
