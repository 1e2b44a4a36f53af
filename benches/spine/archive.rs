//! The archive as one pass: its speed beside plain zips of the same files.
//!
//! The bar: at least 0.7 of a plain zip.
//! Three plain zips of the same files in the same run, from memory to nowhere: deflated at the
//! usual level, which is what the `zip` tool makes; stored, as the archive is, which copies and counts a
//! CRC; and stored with the SHA-256 of each file, without which it is no bag (RFC 8493). The archive
//! besides reads its store, opens what is sealed and writes for the page what the page shows.
//! Large originals and small items; neither compresses, as what is encrypted does not.

use std::io;
use std::io::Cursor;
use std::io::Write as _;
use std::time::Instant;

use naru::ledger::hash;
use naru::ledger::key::Signer as _;
use naru::model::id::PartyId;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::vocabulary::DataClass;
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

/// Bytes of a large original.
const ORIGINAL: usize = 256 << 10;
/// Bytes of a small item.
const SMALL: usize = 1 << 10;
const BAR: f64 = 0.7;

pub fn publish(ground: &Ground) {
    ground.world.advance(1_000);
    ground.node.sync_uses().unwrap();
    ground.node.batch_uses().unwrap().unwrap().unwrap();
    ground.node.tick().unwrap();
}

pub fn run(table: &mut Table, size: Size) {
    let (originals, small): (usize, usize) = match size {
        Size::Quick => (8, 1_000),
        Size::Usual => (400, 10_000),
        Size::Long => (1_000, 10_000),
    };
    speed(table, originals, ORIGINAL);
    speed(table, small, SMALL);
}

pub fn wish(controller: &PartyId, ppid: Ppid, item: u64, original: Vec<u8>) -> Wish {
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

pub fn enrolled(ground: &Ground, n: u64, controller: &PartyId) -> Ppid {
    if ground.node.ppid(&key_hash(&person_key(n)), None).unwrap().is_none() {
        recorded(ground, sign(&ground.world.key_create(), &person_key(n)));
    }
    ground.node.ppid(&key_hash(&person_key(n)), Some(controller)).unwrap().unwrap()
}

pub fn recorded(ground: &Ground, item: Vec<u8>) -> StatementId {
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
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
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
