//! The archive as one pass: its speed beside a plain zip of the same files, its memory at two sizes.
//!
//! The bars: at least 0.7 of the plain zip; no more memory for many items than for a thousand.
//! Two plain zips: stored, which copies and counts a CRC and hashes nothing; and deflated at the
//! usual level, which is what the `zip` tool makes. The originals do not compress.
//! The peak is the kernel's (`VmHWM`, reset before each pass), less what was resident before.

use std::io;
use std::io::Cursor;
use std::io::Write as _;
use std::time::Instant;

use naru::ledger::key::Signer as _;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::node::Asker;
use naru::node::deposit::Deposit;
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
use crate::support::PURPOSE;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::support::signer;
use crate::writes::Ground;

/// Bytes of one original.
const ORIGINAL: usize = 256 << 10;
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
    let (originals, counts): (usize, [u64; 2]) = match size {
        Size::Quick => (8, [1_000, 5_000]),
        Size::Usual => (400, [1_000, 100_000]),
        Size::Long => (1_000, [1_000, 1_000_000]),
    };
    speed(table, originals);
    memory(table, counts);
}

/// A person who grants, and what a bank brought of her.
fn speed(table: &mut Table, originals: usize) {
    let ground = Ground::with(true);
    let (node, bank) = (&ground.node, party("bank"));
    node.record(vec![sign(&ground.world.key_create(), &person_key(1))]).pop().unwrap().unwrap();
    let ppid = node.ppid(&key_hash(&person_key(1)), Some(&bank)).unwrap().unwrap();
    let grant = ground.world.grant(ppid, None);
    node.record(vec![sign(&grant.into(), &person_key(1))]).pop().unwrap().unwrap();
    for n in 0..originals {
        let wish = Wish {
            controller: bank.clone(),
            by: bank.clone(),
            ppid,
            item: n.to_string(),
            purpose: PURPOSE.into(),
            class: DataClass::RealName,
            categories: vec![CATEGORY.into()],
            media_type: "application/octet-stream".into(),
            original: noise(n as u64),
        };
        assert!(matches!(node.deposit(&wish).unwrap(), Deposit::New(_)));
    }
    publish(&ground);
    let export = node.export(&key_hash(&person_key(1)), None).unwrap();
    let mut bytes = Vec::new();
    export.write(&mut bytes).unwrap();
    let files = files(&bytes);
    let mut own: Vec<f64> = (0..3).map(|_| timed(|| export.write(&mut io::sink()).unwrap())).collect();
    let mut stored: Vec<f64> = (0..3).map(|_| timed(|| zipped(&files))).collect();
    let mut deflated: Vec<f64> = (0..3).map(|_| timed(|| squeezed(&files))).collect();
    let rate = |seconds: f64| bytes.len() as f64 / 1e6 / seconds;
    let own = rate(median(&mut own));
    let (stored, deflated) = (rate(median(&mut stored)), rate(median(&mut deflated)));
    table.row(
        &format!("archive of {} MB, {originals} originals", bytes.len() / 1_000_000),
        &format!("{own:.0} MB/s"),
        &format!("a plain zip of the same files, deflated {deflated:.0}, stored {stored:.0} MB/s; bar {BAR}"),
        &format!("{:.2}, {:.2}", own / deflated, own / stored),
    );
}

/// Bytes that do not compress, the same in every run.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..ORIGINAL).map(|_| next()).collect()
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

/// Stored, as the archive is, and nowhere.
fn zipped(files: &[(String, Vec<u8>)]) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new_stream(io::sink());
    for (path, content) in files {
        zip.start_file(path.as_str(), options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

/// Peaks of one pass over few items and over many: use lines of two persons.
fn memory(table: &mut Table, counts: [u64; 2]) {
    let ground = Ground::with(true);
    let (node, bank) = (&ground.node, party("bank"));
    let mut peaks = Vec::new();
    for (n, count) in (1u64..).zip(counts) {
        node.record(vec![sign(&ground.world.key_create(), &person_key(n))]).pop().unwrap().unwrap();
        let ppid = node.ppid(&key_hash(&person_key(n)), Some(&bank)).unwrap().unwrap();
        let asked = ground.world.ask(ppid, Action::Use);
        for _ in 0..count {
            let asker = Asker { party: &bank, signed: None };
            let _told = node.tell_in_memory(asker, &asked).unwrap_or_else(|| node.tell(asker, &asked));
        }
        publish(&ground);
        let export = node.export(&key_hash(&person_key(n)), None).unwrap();
        // Without the right to reset it the peak is that of the whole process, and says so by its size.
        let _reset = std::fs::write("/proc/self/clear_refs", "5");
        let before = status_mib("VmRSS:");
        export.write(&mut io::sink()).unwrap();
        peaks.push(status_mib("VmHWM:") - before);
    }
    let [few, many] = [peaks[0], peaks[1]];
    table.row(
        &format!("peak memory of an archive of {} items", counts[1]),
        &format!("{many:.1} MiB"),
        &format!("of {} items {few:.1} MiB; bar: the same", counts[0]),
        &format!("{:.1}", many / few.max(0.1)),
    );
}
