//! Memory of writing and of checking an archive: no more for many things than for a thousand.
//!
//! Measured by the kernel (`VmHWM`, reset before each pass) in processes that do nothing else: this
//! program calls itself, for each check once more, so that nothing is left of a pass before. What is in the
//! store and the segments is there before and does not count; what a pass adds to it does.
//!
//! A million things are not made here. They are 4,000 files (two for 1,024 deposits, two for the 1,024 uses that
//! let them in) and twenty tables of fifty thousand rows: an archive of as many files, short but for the tables,
//! is written and read, and what it takes more than one of a thousand things is held to what stands by design in
//! `portability`: a row of 56 bytes a file where it is written, and of the signed manifest 90 bytes, once.

use std::io;
use std::path::Path;
use std::process::Command;

use naru::node::deposit::Deposit;
use naru::node::deposit::Wish;
use naru::portability::Archive;
use naru::portability::Head;

use super::*;

/// Says in the environment what this process measures, and of which folder.
const MEASURED: &str = "NARU_TEST_MEASURED";
const FOLDER: &str = "NARU_TEST_FOLDER";
/// Uses, and how many of them brought an item: few are one list and one parcel full of each already, and the
/// table of many is longer than a script of the page.
const FEW: (u64, u64) = (1_100, 1_100);
const MANY: (u64, u64) = (12_000, 2_200);
/// Whose archives are written: the first one brings the program itself into memory, and what is made once.
const PERSONS: [(u64, &str, (u64, u64)); 3] = [(1, "one", (1, 1)), (2, "few", FEW), (3, "many", MANY)];
/// An archive of one thing beside a long file of a later version.
const LONG: &str = "long";
/// What a pass over many may take more, KiB: less than one list, one parcel or one table.
const MORE: u64 = 1 << 9;
/// Files of a million things, of each ending as many, and what they take by design, KiB.
const LISTS: u64 = 2_000;
const BY_DESIGN: u64 = 2 * LISTS * (56 + 90) / 1_024;
/// Bytes of a table of fifty thousand rows, and how many of them are enough to see whether they stay.
const TABLE: usize = 16 << 20;
const TABLES: u64 = 3;

/// A line of `/proc/self/status`, KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How far above what was there before this goes, KiB.
fn peak(work: impl FnOnce()) -> u64 {
    let before = status("VmRSS:");
    fs::write("/proc/self/clear_refs", "5").unwrap();
    work();
    status("VmHWM:").saturating_sub(before)
}

/// Runs one test of this file alone, as a process that measures this in the folder; what it measured, KiB.
fn measured(test: &str, what: &str, folder: &Path) -> Vec<u64> {
    let mut own = Command::new(std::env::current_exe().unwrap());
    let name = format!("memory::{test}");
    let own = own.args([name.as_str(), "--exact", "--nocapture"]);
    let out = own.env(MEASURED, what).env(FOLDER, folder).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    let line = said.lines().find_map(|line| line.strip_prefix("measured: ")).unwrap();
    println!("{what}: {line} KiB");
    line.split(' ').map(|kib| kib.parse().unwrap()).collect()
}

/// What this process measures, if it is one that does.
fn measures() -> Option<(String, PathBuf)> {
    Some((std::env::var(MEASURED).ok()?, std::env::var(FOLDER).unwrap().into()))
}

fn tell(kib: &[u64]) {
    println!("measured: {}", kib.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
}

fn holds(what: &str, few: u64, many: u64, more: u64) {
    assert!(many <= few + more, "{what}: {many} KiB for many, {few} KiB for few");
}

/// A person of whom many things are kept: each is brought by the bank, and its question is a use.
fn filled(world: &World, n: u64, (uses, brought): (u64, u64)) {
    let ppid = world.enrol(n);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    let wish = |item: u64| Wish {
        controller: party("bank"),
        by: party("bank"),
        ppid,
        item: item.to_string(),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
        media_type: "text/plain".into(),
        original: format!("item {item} of {n}").into_bytes(),
    };
    // Those of one instant are in memory together: so time goes on here as it does elsewhere.
    for item in 0..brought {
        world.advance(1);
        assert!(matches!(world.node().deposit(&wish(item)).unwrap(), Deposit::New(_)));
    }
    for _ in brought..uses {
        world.advance(1);
        ask(world, ppid);
    }
}

fn path(folder: &Path, which: &str) -> PathBuf {
    folder.join(format!("{which}.zip"))
}

#[test]
fn memory_of_an_archive_does_not_grow_with_what_is_in_it() {
    let own = "memory_of_an_archive_does_not_grow_with_what_is_in_it";
    match measures() {
        None => {
            let folder = tempfile::tempdir().unwrap();
            let writing = measured(own, "write", folder.path());
            holds("writing", writing[0], writing[1], MORE);
            let [few, many, long] = ["few", "many", LONG].map(|which| measured(own, which, folder.path())[0]);
            holds("checking", few, many, MORE);
            // What nobody looks into is not in memory, however long it is.
            holds("checking one long file", few, long, MORE);
        }
        Some((what, folder)) if what == "write" => tell(&written(&folder)),
        Some((which, folder)) => {
            let check = |which: &str| {
                let mut file = io::BufReader::new(fs::File::open(path(&folder, which)).unwrap());
                let proven = archive::verify(&mut file, signer(LOG).public(), ORIGIN, Some(200)).unwrap();
                let things = (proven.uses as u64, proven.sources as u64);
                let of = if which == LONG { PERSONS[0].1 } else { which };
                let (.., filled) = PERSONS.iter().find(|(_, name, _)| *name == of).unwrap();
                assert_eq!(things, *filled);
            };
            // The program itself comes into memory as it is used.
            check("one");
            tell(&[peak(|| check(&which))]);
        }
    }
}

/// Persons of one thing, of few and of many export.
fn written(folder: &Path) -> [u64; 2] {
    let world = World::logging();
    PERSONS.iter().for_each(|(n, _, things)| filled(&world, *n, *things));
    batch(&world);
    let export = |(n, which, _): (u64, &str, _)| {
        let mut out = io::BufWriter::new(fs::File::create(path(folder, which)).unwrap());
        world.node().export(&key_hash(&person_key(n)), None).unwrap().write(&mut out).unwrap();
    };
    let [one, few, many] = PERSONS;
    export(one);
    let mut files = walked(&fs::read(path(folder, one.1)).unwrap());
    files.push(("data/later.bin".into(), vec![7; TABLE]));
    fs::write(path(folder, LONG), signed_again(&world, &files)).unwrap();
    drop(files);
    let before = status("VmRSS:");
    // What few have left behind counts among what many take.
    [few, many].map(|person| {
        let left = status("VmRSS:").saturating_sub(before);
        left + peak(|| export(person))
    })
}

/// An archive of so many lists and parcels, each short, and so many tables, each long; then its own reading.
fn made(folder: &Path, which: &str, (lists, tables): (u64, u64)) {
    let mut out = io::BufWriter::new(fs::File::create(path(folder, which)).unwrap());
    let mut archive = Archive::new(&mut out, Head { origin: ORIGIN.into(), size: 9, root: [7; 32] });
    let folders = [portability::USES, "data/by-source/bank/"];
    for (folder, number) in folders.iter().flat_map(|folder| (1..=lists / 2).map(move |n| (folder, n))) {
        let list = parcel::list_path(folder, number);
        archive.file(&list, b"{}\n").unwrap();
        archive.file(&parcel::parcel_beside(&list).unwrap(), b"").unwrap();
    }
    let piece = vec![b'x'; 1 << 16];
    for number in 1..=tables {
        archive.begin_long(&portability::uses_csv_path(number), TABLE as u64).unwrap();
        (0..TABLE / piece.len()).for_each(|_| io::Write::write_all(&mut archive, &piece).unwrap());
    }
    archive.finish(Timestamp(0), &signer(LOG)).unwrap();
}

#[test]
fn memory_of_an_archive_of_a_million_things_is_that_of_a_thousand_and_a_row_a_file() {
    let own = "memory_of_an_archive_of_a_million_things_is_that_of_a_thousand_and_a_row_a_file";
    let size = |which: &str| if which == "one" { (2, 0) } else { (LISTS, TABLES) };
    match measures() {
        None => {
            let folder = tempfile::tempdir().unwrap();
            for act in ["write", "read"] {
                let [few, many] =
                    ["one", "many"].map(|which| measured(own, &format!("{which}-{act}"), folder.path())[0]);
                holds(act, few, many, BY_DESIGN + MORE);
            }
        }
        Some((what, folder)) => {
            let (which, act) = what.split_once('-').unwrap();
            let read = |which: &str| {
                let mut file = fs::File::open(path(&folder, which)).unwrap();
                let mut files = 0;
                let bag = Bag::open(&mut file, signer(LOG).public()).unwrap();
                bag.walk_for::<portability::Error>(
                    &|listed| !portability::is_uses_csv(&listed.path),
                    &mut |_, _| {
                        files += 1;
                        Ok(())
                    },
                )
                .unwrap();
                assert!(files > 2 * size(which).0 + size(which).1);
            };
            let work =
                |which: &str| if act == "write" { made(&folder, which, size(which)) } else { read(which) };
            work("one");
            tell(&[peak(|| work(which))]);
        }
    }
}
