//! Memory of writing and of checking an archive: no more for many things than for a thousand.
//!
//! Measured by the kernel (`VmHWM`, reset before each pass) in a process that does nothing else:
//! this program calls itself. What is in the store and the segments is there before and does not
//! count; what a pass adds to it does.

use std::io;
use std::process::Command;

use naru::node::deposit::Deposit;
use naru::node::deposit::Wish;

use super::*;

/// Says in the environment that this process is the measured one.
const MEASURED: &str = "NARU_TEST_MEASURED";
/// Uses, and how many of them brought an item: few are one list and one parcel full of each already.
const FEW: (u64, u64) = (1_100, 1_100);
const MANY: (u64, u64) = (5_500, 3_300);
/// What more a pass over many may take, KiB: a third of what they took when each had files of its own.
const MORE: u64 = 3 << 10;

/// A line of `/proc/self/status`, KiB.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How far above what was there before all this goes, KiB. What an earlier pass left counts, too.
fn peak(before: u64, work: impl FnOnce()) -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    work();
    status("VmHWM:").saturating_sub(before)
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
    for item in 0..brought {
        assert!(matches!(world.node().deposit(&wish(item)).unwrap(), Deposit::New(_)));
    }
    (brought..uses).for_each(|_| ask(world, ppid));
}

#[test]
fn memory_of_an_archive_does_not_grow_with_what_is_in_it() {
    if std::env::var_os(MEASURED).is_none() {
        let name = "memory::memory_of_an_archive_does_not_grow_with_what_is_in_it";
        let mut own = Command::new(std::env::current_exe().unwrap());
        let out = own.args([name, "--exact", "--nocapture"]).env(MEASURED, "1").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        assert!(said.contains("measured: "), "{said}");
        return;
    }
    let world = World::logging();
    filled(&world, 1, FEW);
    filled(&world, 2, MANY);
    batch(&world);
    let folder = tempfile::tempdir().unwrap();
    let path = |n: u64| folder.path().join(format!("{n}.zip"));
    let export = |n: u64| {
        let mut out = io::BufWriter::new(fs::File::create(path(n)).unwrap());
        world.node().export(&key_hash(&person_key(n)), None).unwrap().write(&mut out).unwrap();
    };
    let check = |n: u64| {
        let mut file = io::BufReader::new(fs::File::open(path(n)).unwrap());
        let proven = archive::verify(&mut file, signer(LOG).public(), ORIGIN, Some(200)).unwrap();
        let things = (proven.uses as u64, proven.sources as u64);
        assert_eq!(things, if n == 1 { FEW } else { MANY });
    };
    let before = status("VmRSS:");
    // Once before: what is made once (side files, tables of names) is nobody's.
    export(1);
    check(1);
    let writing = [1, 2].map(|n| peak(before, || export(n)));
    let checking = [1, 2].map(|n| peak(before, || check(n)));
    println!("measured: writing {writing:?} KiB, checking {checking:?} KiB");
    for [few, many] in [writing, checking] {
        assert!(many <= few + MORE, "{many} KiB for {MANY:?}, {few} KiB for {FEW:?}");
    }
}
