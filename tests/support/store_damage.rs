//! Damaged files under fjall: the store refuses, or says `Corrupt`, or shows an older
//! consistent state (journal only); never wrong bytes, never a panic.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use naru::store::fjall::Fjall;
use naru::store::{Error, Head, Name, Row, Store};

use crate::ground::{HOLDER, batch, bytes, id, integrated, lead, person, projected, sequenced, subject};

const ROUNDS: u64 = 24;
const PER_ROUND: u64 = 3;

/// How a damaged folder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// `open` or `lead` refused.
    Refused,
    /// Some read said so.
    Noticed,
    /// An older state, consistent in itself.
    Older,
    /// All there.
    Whole,
}

/// Half of the rounds in tables, half in the journal only.
fn make(folder: &Path) {
    let store = Fjall::open(folder).unwrap();
    let (epoch, _) = lead(&store);
    let mut head = Head::EMPTY;
    for round in 0..ROUNDS {
        let first = round * PER_ROUND;
        sequenced(store.append(epoch, &batch(first, 3)));
        let index = first + PER_ROUND - 1;
        let register = Row::Register { index, bytes: bytes("register", index, 5_000) };
        projected(store.project(epoch, index + 1, &[person(1, "a", index), person(2, "b", index), register]));
        let new = Head { size: index + 1, root: [8; 32] };
        integrated(store.integrate(epoch, &head, &new, &bytes("note", index, 200)));
        head = new;
        store.put(&format!("blob/{round}"), &bytes("blob", round, 3_000), true).unwrap();
        if round == ROUNDS / 2 {
            store.flush().unwrap();
        }
    }
}

/// Reads everything and compares it with what a log of its own length must hold.
fn judge(folder: &Path) -> Outcome {
    let Ok(store) = Fjall::open(folder) else { return Outcome::Refused };
    let Ok((_, found)) = store.lead(&HOLDER) else { return Outcome::Refused };
    let mut noticed = false;
    let mut seen = |error: Error| {
        assert!(matches!(error, Error::Corrupt { .. } | Error::Io(_) | Error::Engine { .. }), "{error}");
        noticed = true;
    };
    let whole = ROUNDS * PER_ROUND;
    assert!(found.next <= whole && found.next.is_multiple_of(PER_ROUND));
    // Each round writes in this order, so an older state is one of a few per round.
    assert!(found.projected == found.next || found.projected + PER_ROUND == found.next);
    assert!(found.integrated.size <= found.projected && found.integrated.size + PER_ROUND >= found.projected);
    if found.integrated.size > 0 {
        assert_eq!(found.note, bytes("note", found.integrated.size - 1, 200));
    }
    for first in (0..whole).step_by(3) {
        let sent = batch(first, 3);
        let there = first < found.next;
        match store.commits(first..first + 1) {
            Ok(read) if there => assert_eq!((&read[0].entries, &read[0].ids), (&sent.entries, &sent.ids)),
            Ok(read) => assert_eq!(read, []),
            Err(error) => seen(error),
        }
        for (body, index) in sent.bodies.iter().zip(first..) {
            match store.bodies(&body.subject, &[body.id]) {
                Ok(read) => assert_eq!(read, [there.then(|| body.sealed.clone())]),
                Err(error) => seen(error),
            }
            match store.locate(&Name::Statement(id(index).0)) {
                Ok(read) => assert_eq!(read.and_then(|l| l.index), there.then_some(index)),
                Err(error) => seen(error),
            }
        }
    }
    for (who, part) in [(1, "a"), (2, "b")] {
        match store.rows(&subject(who)) {
            Ok(read) if found.projected == 0 => assert_eq!(read.rows, []),
            Ok(read) => {
                let index = found.projected - 1;
                assert_eq!(
                    (read.upto, read.rows),
                    (found.projected, vec![(part.into(), index, bytes(part, index, 300))])
                );
            }
            Err(error) => seen(error),
        }
    }
    match store.register() {
        Ok(read) => {
            assert_eq!(read, found.projected.checked_sub(1).map(|i| (i, bytes("register", i, 5_000))))
        }
        Err(error) => seen(error),
    }
    for round in 0..ROUNDS {
        match store.get(&format!("blob/{round}")) {
            Ok(Some(read)) => assert_eq!(read, bytes("blob", round, 3_000)),
            // The next round begins after it.
            Ok(None) => assert!((round + 1) * PER_ROUND >= found.next),
            Err(error) => seen(error),
        }
    }
    match (
        noticed,
        found.next == whole && store.get(&format!("blob/{}", ROUNDS - 1)).is_ok_and(|b| b.is_some()),
    ) {
        (true, _) => Outcome::Noticed,
        (false, true) => Outcome::Whole,
        (false, false) => Outcome::Older,
    }
}

type Files = BTreeMap<PathBuf, (Vec<u8>, u64)>;

/// Every file with its bytes up to the last that is not zero, and its length.
fn files(folder: &Path) -> Files {
    let mut out = Files::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            out.entry(path.clone()).or_default();
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let mut read = fs::read(&path).unwrap();
            let len = u64::try_from(read.len()).unwrap();
            read.truncate(read.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1));
            out.insert(path, (read, len));
        }
    }
    out
}

/// Lays the files out anew, one of them changed.
fn lay_out(
    from: &Path,
    files: &Files,
    to: &Path,
    damaged: &Path,
    change: &dyn Fn(&mut Vec<u8>) -> Option<u64>,
) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    for (path, (content, len)) in files {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            continue;
        }
        let (mut content, mut len) = (content.clone(), *len);
        if path == damaged {
            len = change(&mut content).unwrap_or(len);
        }
        fs::write(&target, content).unwrap();
        fs::File::options().write(true).open(&target).unwrap().set_len(len).unwrap();
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    whole: PathBuf,
    copy: PathBuf,
    files: Files,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (whole, copy) = (folder.path().join("whole"), folder.path().join("copy"));
        make(&whole);
        let files = files(&whole);
        Self { _folder: folder, whole, copy, files }
    }

    fn some(&self, journal: bool) -> Vec<(PathBuf, usize)> {
        let is = |path: &Path| path.extension().is_some_and(|ext| ext == "jnl") == journal;
        let sized = self.files.iter().filter(|(path, (content, _))| is(path) && !content.is_empty());
        sized.map(|(path, (content, _))| (path.clone(), content.len())).collect()
    }

    fn try_one(&self, path: &Path, change: &dyn Fn(&mut Vec<u8>) -> Option<u64>) -> Outcome {
        lay_out(&self.whole, &self.files, &self.copy, path, change);
        judge(&self.copy)
    }
}

/// A number that looks drawn, the same in every run.
fn drawn(n: usize) -> usize {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17
}

#[test]
fn untouched_files_open_whole() {
    let bench = Bench::new();
    assert_eq!(bench.try_one(Path::new("none"), &|_| None), Outcome::Whole);
}

#[test]
fn flipped_bits_outside_the_journal_are_noticed_or_without_effect() {
    let bench = Bench::new();
    let mut outcomes = BTreeMap::<Outcome, u32>::new();
    for (path, len) in bench.some(false) {
        for n in 0..12 {
            let at = drawn(n + len) % len;
            let outcome = bench.try_one(&path, &|content| {
                content[at] ^= 1 << (n % 8);
                None
            });
            assert_ne!(outcome, Outcome::Older, "{}: byte {at}", path.display());
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes[&Outcome::Refused] + outcomes[&Outcome::Noticed] > outcomes[&Outcome::Whole]);
}

#[test]
fn flipped_bits_in_the_journal_are_noticed_or_cut_it() {
    let bench = Bench::new();
    let mut outcomes = BTreeMap::<Outcome, u32>::new();
    for (path, len) in bench.some(true) {
        for n in 0..200 {
            let at = drawn(n) % len;
            let outcome = bench.try_one(&path, &|content| {
                content[at] ^= 1 << (n % 8);
                None
            });
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    println!("{outcomes:?}");
    assert!(outcomes[&Outcome::Refused] > 50);
    assert!(!outcomes.contains_key(&Outcome::Whole));
}

/// The numbers in front of a batch stand outside the engine's checksum.
#[test]
fn a_flipped_sequence_number_is_noticed() {
    let bench = Bench::new();
    let (path, _) = bench.some(true)[0].clone();
    let journal = &bench.files[&path].0;
    // A start record follows the last batch's trailer: tag 1, row count, number.
    let starts: Vec<usize> = (0..journal.len() - 17)
        .filter(|at| journal[*at..*at + 5] == *b"FJL\x03\x01")
        .map(|at| at + 9)
        .collect();
    assert!(starts.len() > 40, "{}", starts.len());
    for (n, start) in starts.iter().rev().step_by(7).enumerate() {
        let outcome = bench.try_one(&path, &|content| {
            content[start + n % 8] ^= 1 << (n % 7);
            None
        });
        assert!(matches!(outcome, Outcome::Refused | Outcome::Whole), "{n}: {outcome:?}");
    }
}

/// A cut tail is not noticed by the store: it opens an older, consistent state, which
/// the node's mark is there to notice.
#[test]
fn a_truncated_journal_is_an_older_consistent_log() {
    let bench = Bench::new();
    let mut older = 0;
    for (path, len) in bench.some(true) {
        for n in 0..60 {
            let keep = len - 1 - drawn(n) % (len / 2);
            let outcome = bench.try_one(&path, &|content| {
                content.truncate(keep);
                Some(u64::try_from(keep).unwrap())
            });
            assert_eq!(outcome, Outcome::Older, "{keep} of {len}");
            older += 1;
        }
    }
    assert_eq!(older, 60);
}
