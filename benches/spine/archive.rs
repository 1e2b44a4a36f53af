//! The archive as one pass: its speed beside plain zips of the same files, its memory at two sizes.
//!
//! The bars: at least 0.7 of a plain zip; no more memory for many items than for a thousand.
//! Three plain zips of the same files in the same run, from memory to nowhere: deflated at the
//! usual level, which is what the `zip` tool makes; stored, as the archive is, which copies and counts a
//! CRC; and stored with the SHA-256 of each file, without which it is no bag (RFC 8493). The archive
//! besides reads its store, opens what is sealed and writes for the page what the page shows.
//! Large originals and small items; neither compresses, as what is encrypted does not.
//!
//! The peak is the kernel's (`VmHWM`, reset before each pass), less what was resident before: so
//! all of this process counts, the store's caches and the page of the use log, too. Before the
//! passes that count one over the many items has filled what is filled once (the store's cache is
//! bounded by its own setting and holds what it held).

use std::fs::File;
use std::io;
use std::io::Cursor;
use std::io::Write as _;
use std::time::Instant;

use naru::audit::archive;
use naru::ledger::hash;
use naru::ledger::key::Signer as _;
use naru::model::id::PartyId;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::ConsentGrant;
use naru::model::statement::Shown;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Asker;
use naru::node::deposit::Deposit;
use naru::node::deposit::MOST_ITEMS;
use naru::node::deposit::Wish;
use naru::portability;
use naru::portability::Bag;
use zip::CompressionMethod;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::Size;
use crate::Table;
use crate::median;
use crate::support::CATEGORY;
use crate::support::LOG;
use crate::support::OPERATOR;
use crate::support::ORIGIN;
use crate::support::PURPOSE;
use crate::support::endorse;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::support::signer;
use crate::writes::Ground;

/// Bytes of a large original.
const ORIGINAL: usize = 256 << 10;
/// Bytes of a small item.
const SMALL: usize = 1 << 10;
const FEW: u64 = 1_000;
/// Threads that bring items.
const DEPOSITORS: u64 = 32;
const BAR: f64 = 0.7;

/// A line of `/proc/self/status`, MiB; 0 where there is none.
fn status_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn publish(ground: &Ground) {
    ground.world.advance(1_000);
    ground.node.sync_uses().unwrap();
    ground.node.batch_uses().unwrap().unwrap().unwrap();
    ground.node.tick().unwrap();
}

pub fn run(table: &mut Table, size: Size) {
    let (originals, small, controllers, uses): (usize, usize, u8, u64) = match size {
        Size::Quick => (8, 1_000, 1, 5_000),
        Size::Usual => (400, 10_000, 10, 100_000),
        Size::Long => (1_000, 10_000, 100, 1_000_000),
    };
    speed(table, originals, ORIGINAL);
    speed(table, small, SMALL);
    let most = if size == Size::Quick { 3_000 } else { MOST_ITEMS };
    brought(table, &Ground::with(true), controllers, most);
    used(table, uses);
}

fn wish(controller: &PartyId, ppid: Ppid, item: u64, original: Vec<u8>) -> Wish {
    Wish {
        controller: controller.clone(),
        by: controller.clone(),
        ppid,
        item: item.to_string(),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
        media_type: "application/octet-stream".into(),
        original,
    }
}

fn enrolled(ground: &Ground, n: u64, controller: &PartyId) -> Ppid {
    if ground.node.ppid(&key_hash(&person_key(n)), None).unwrap().is_none() {
        recorded(ground, sign(&ground.world.key_create(), &person_key(n)));
    }
    ground.node.ppid(&key_hash(&person_key(n)), Some(controller)).unwrap().unwrap()
}

fn recorded(ground: &Ground, item: Vec<u8>) -> StatementId {
    ground.node.record(vec![item]).pop().unwrap().unwrap().id
}

/// A person who grants, and what a bank brought of her.
fn speed(table: &mut Table, originals: usize, bytes_each: usize) {
    let ground = Ground::with(true);
    let (node, bank) = (&ground.node, party("bank"));
    let ppid = enrolled(&ground, 1, &bank);
    recorded(&ground, sign(&ground.world.grant(ppid, None).into(), &person_key(1)));
    for n in 0..originals as u64 {
        let deposit = node.deposit(&wish(&bank, ppid, n, noise(n, bytes_each))).unwrap();
        assert!(matches!(deposit, Deposit::New(_)));
    }
    publish(&ground);
    let export = node.export(&key_hash(&person_key(1)), None).unwrap();
    let mut bytes = Vec::new();
    export.write(&mut bytes).unwrap();
    let files = files(&bytes);
    let mut own: Vec<f64> = (0..3).map(|_| timed(|| export.write(&mut io::sink()).unwrap())).collect();
    let mut stored: Vec<f64> = (0..3).map(|_| timed(|| zipped(&files, false))).collect();
    let mut hashed: Vec<f64> = (0..3).map(|_| timed(|| zipped(&files, true))).collect();
    let mut deflated: Vec<f64> = (0..3).map(|_| timed(|| squeezed(&files))).collect();
    let rate = |seconds: f64| bytes.len() as f64 / 1e6 / seconds;
    let own = rate(median(&mut own));
    let [deflated, hashed, stored] =
        [&mut deflated, &mut hashed, &mut stored].map(|times| rate(median(times)));
    table.row(
        &format!("archive of {} MB, {originals} items of {bytes_each} bytes", bytes.len() / 1_000_000),
        &format!("{own:.0} MB/s"),
        &format!(
            "a plain zip of the same files: deflated {deflated:.0}, stored with SHA-256 {hashed:.0}, \
             stored {stored:.0} MB/s; bar {BAR}"
        ),
        &format!("{:.2}, {:.2}, {:.2}", own / deflated, own / hashed, own / stored),
    );
}

/// Bytes that do not compress, the same in every run.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// As the `zip` tool does it by default: CRC and deflate, file by file.
fn squeezed(files: &[(String, Vec<u8>)]) {
    for (_, content) in files {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut out = flate2::write::DeflateEncoder::new(io::sink(), flate2::Compression::default());
        out.write_all(content).unwrap();
        out.finish().unwrap();
        std::hint::black_box(crc.sum());
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}

fn files(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut source = Cursor::new(bytes);
    let bag = Bag::open(&mut source, signer(LOG).public()).unwrap();
    let mut out = Vec::new();
    bag.walk::<portability::Error>(&mut |listed, content| {
        out.push((listed.path.clone(), content.unwrap_or_default().to_vec()));
        Ok(())
    })
    .unwrap();
    out
}

/// Stored, as the archive is, and nowhere; with the SHA-256 of each file, as a bag needs it.
fn zipped(files: &[(String, Vec<u8>)], hashed: bool) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new_stream(io::sink());
    for (path, content) in files {
        zip.start_file(path.as_str(), options).unwrap();
        zip.write_all(content).unwrap();
        if hashed {
            std::hint::black_box(hash::sha256(&[content]));
        }
    }
    zip.finish().unwrap();
}

/// Peaks of writing and of checking the archives of persons 1 and 2, MiB.
fn peaks(ground: &Ground) -> [[f64; 2]; 2] {
    let path = |n: u64| ground.dir.path().join(format!("{n}.zip"));
    let write = |n: u64| {
        let mut out = io::BufWriter::new(File::create(path(n)).unwrap());
        ground.node.export(&key_hash(&person_key(n)), None).unwrap().write(&mut out).unwrap();
        out.flush().unwrap();
    };
    let check = |n: u64| {
        let mut file = io::BufReader::new(File::open(path(n)).unwrap());
        archive::verify(&mut file, signer(LOG).public(), ORIGIN, None).unwrap();
    };
    let peak = |work: &dyn Fn(u64), n: u64| {
        // Without the right to reset it the peak is that of the whole process, and says so by its size.
        let _reset = std::fs::write("/proc/self/clear_refs", "5");
        let before = status_mib("VmRSS:");
        work(n);
        status_mib("VmHWM:") - before
    };
    write(2);
    [[1, 2].map(|n| peak(&write, n)), [1, 2].map(|n| peak(&check, n))]
}

fn tell(table: &mut Table, what: &str, ground: &Ground, (few, many): (u64, u64)) {
    let [writing, checking] = peaks(ground);
    for (act, [low, high]) in [("writing", writing), ("checking", checking)] {
        table.row(
            &format!("peak memory of {act} an archive of {many} {what}"),
            &format!("{high:.1} MiB"),
            &format!("of {few} {what} {low:.1} MiB; bar: the same"),
            &format!("{:.1}", high.max(0.1) / low.max(0.1)),
        );
    }
}

/// Items that as many controllers brought of person 2 as are needed, and a thousand of person 1.
fn brought(table: &mut Table, ground: &Ground, controllers: u8, each: u64) {
    let node = &ground.node;
    for n in 0..controllers {
        let (controller, key) = (party(&format!("source-{n}")), signer(100 + n));
        let register = ground.world.register(controller.as_str(), vec![Role::Controller], false);
        recorded(ground, endorse(&sign(&register, &key), OPERATOR));
        let notice = ground.world.notice_of(controller.as_str(), 1, &[DataClass::RealName]);
        let notice =
            Shown { id: recorded(ground, sign(&notice, &key)), hash: ground.world.text, locale: "ko".into() };
        let few = if n == 0 { FEW } else { 0 };
        for (person, items) in [(1, few), (2, each)] {
            let ppid = enrolled(ground, person, &controller);
            let grant = ConsentGrant {
                controller: controller.clone(),
                notice: notice.clone(),
                ..ground.world.grant(ppid, None)
            };
            recorded(ground, sign(&grant.into(), &person_key(person)));
            // Many at a time: each waits for the disk.
            std::thread::scope(|scope| {
                for first in 0..DEPOSITORS {
                    let controller = &controller;
                    scope.spawn(move || {
                        for item in (first..items).step_by(DEPOSITORS as usize) {
                            let wish = wish(controller, ppid, item, noise(item, 100));
                            assert!(matches!(node.deposit(&wish).unwrap(), Deposit::New(_)));
                        }
                    });
                }
            });
        }
    }
    publish(ground);
    tell(table, "items by source", ground, (FEW, each * u64::from(controllers)));
}

/// Use lines of two persons.
fn used(table: &mut Table, many: u64) {
    let ground = Ground::with(true);
    let (node, bank) = (&ground.node, party("bank"));
    for (n, count) in [(1, FEW), (2, many)] {
        let asked = ground.world.ask(enrolled(&ground, n, &bank), Action::Use);
        for _ in 0..count {
            let asker = Asker { party: &bank, signed: None };
            let _told = node.tell_in_memory(asker, &asked).unwrap_or_else(|| node.tell(asker, &asked));
        }
    }
    publish(&ground);
    tell(table, "use lines", &ground, (FEW, many));
}
