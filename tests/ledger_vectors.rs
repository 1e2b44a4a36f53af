//! Bytes other people's programs can read: RFC and C2SP vectors, and a small log
//! on disk for `tests/foreign/verify.py`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use naru::ledger::checkpoint::{self, Checkpoint};
use naru::ledger::entry::Entry;
use naru::ledger::key::{Ed25519Signer, PublicKey, Signer, signer_from_pem};
use naru::ledger::merkle::{self, Tree};
use naru::ledger::note::{Kind, Vkey};
use naru::ledger::receipt::{self, CheckpointSignature};
use naru::ledger::tile::{self, Hashes};
use naru::ledger::{cbor, cose, entry, evidence, hash, note, promise};

const ORIGIN: &str = "log.naru.example/vectors";
const WITNESS: &str = "witness.example/1";
const OLD: u64 = 301;
const NEW: u64 = 700;

/// Entries as a node would write them: a genesis, some public, most sealed.
fn entries(signer: &dyn Signer) -> Vec<Vec<u8>> {
    let make = |index: u64| {
        let t = 1_760_000_000_000 + index / 7 * 200;
        if index.is_multiple_of(50) {
            let statement = cbor::encode(&BTreeMap::from([("v", 1), ("seq", index)])).unwrap();
            let item = cose::sign_statement(signer, &statement).unwrap();
            return Entry::Public { t, item }.encode().unwrap();
        }
        let h1 = entry::opening(&[1; 32], &index.to_be_bytes());
        let h2 = entry::opening(&[2; 32], &index.to_be_bytes());
        Entry::Sealed { t, commitment: entry::commitment(t + 3, &h1, &h2) }.encode().unwrap()
    };
    (0..NEW).map(make).collect()
}

/// Tiles of a growing log: the full ones as they fell out, the edge of one tree.
struct Memory {
    full: HashMap<(u8, u64), Vec<u8>>,
    edge: Tree,
}

impl Memory {
    fn over(entries: &[Vec<u8>]) -> Self {
        let mut edge = Tree::new();
        entries.iter().for_each(|entry| edge.push(hash::leaf(entry)));
        let full = edge.take_full_tiles().into_iter().map(|(level, index, bytes)| ((level, index), bytes));
        Self { full: full.collect(), edge }
    }
}

impl Hashes for Memory {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let length = usize::from(width) * 32;
        let edge = self.edge.partial(level).as_flattened();
        let bytes = match self.full.get(&(level, index)) {
            Some(full) => full.as_slice(),
            None if index == self.edge.size() >> (8 * (u32::from(level) + 1)) => edge,
            None => &[],
        };
        let bytes = bytes.get(..length).ok_or(tile::Error::Missing { level, index, width })?;
        Ok(bytes.to_vec())
    }
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn checkpoint_note(signer: &dyn Signer, size: u64, root: [u8; 32]) -> String {
    let note = checkpoint::sign(&Checkpoint { origin: ORIGIN.into(), size, root }, signer).unwrap();
    assert_eq!(checkpoint::open(note.as_bytes(), signer.public(), ORIGIN).unwrap().root, root);
    note
}

/// Writes what `tests/foreign/verify.py DIRECTORY` reads.
#[test]
fn a_log_for_foreign_verifiers() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign-log");
    let _ = fs::remove_dir_all(&directory);
    let signer = Ed25519Signer::from_seed([7; 32]);
    let key = signer.public();
    let entries = entries(&signer);
    let log = Memory::over(&entries);
    let (old_root, root) = (merkle::root_at(&log, OLD).unwrap(), log.edge.root());
    assert_eq!(merkle::root_at(&log, NEW).unwrap(), root);

    let note = checkpoint_note(&signer, NEW, root);
    write(directory.join("log/checkpoint"), &note);
    write(directory.join("checkpoint.new"), &note);
    write(directory.join("checkpoint.old"), checkpoint_note(&signer, OLD, old_root));
    let witness = Ed25519Signer::from_seed([8; 32]);
    let line = checkpoint::cosign(note.as_bytes(), WITNESS, &witness, 1_760_000_100).unwrap();
    let vkey = Vkey::new(WITNESS, Kind::Cosigner, witness.public()).unwrap();
    let cosigned = format!("{note}{line}\n");
    assert_eq!(checkpoint::verify_cosignature(cosigned.as_bytes(), &vkey).unwrap(), 1_760_000_100);
    write(directory.join("checkpoint.cosigned"), cosigned);
    write(directory.join("witness.vkey"), format!("{vkey}\n"));
    write(directory.join("log.vkey"), format!("{}\n", Vkey::new(ORIGIN, Kind::Log, key).unwrap()));
    write(directory.join("log.pem"), key.to_pem());

    for path in tile::paths(NEW) {
        let bytes = match path {
            tile::Path::Tile { level, index, width } => log.tile(level, index, width).unwrap(),
            tile::Path::Entries { index, width } => {
                let first = usize::try_from(index).unwrap() * 256;
                tile::bundle(&entries[first..first + usize::from(width)]).unwrap()
            }
        };
        write(directory.join("log").join(path.to_string()), bytes);
    }

    let signature = CheckpointSignature::new(&signer, ORIGIN, NEW, root).unwrap();
    for index in [0, 1, 49, 50, 255, 256, 300, 301, 511, 512, 523, 650, 698, 699] {
        let proof = merkle::prove_inclusion(&log, index, NEW).unwrap();
        let receipt = signature.inclusion(index, &proof);
        let entry = &entries[usize::try_from(index).unwrap()];
        let proven = receipt::verify_inclusion(&receipt, entry, key, ORIGIN).unwrap();
        assert_eq!((proven.index, proven.size, proven.root), (index, NEW, root));
        write(directory.join(format!("receipts/{index:03}.cose")), &receipt);
        write(directory.join(format!("receipts/{index:03}.entry")), entry);
    }
    let proof = merkle::prove_consistency(&log, OLD, NEW).unwrap();
    let receipt = signature.consistency(OLD, &proof).unwrap();
    let proven = receipt::verify_consistency(&receipt, key, ORIGIN, OLD, &old_root).unwrap();
    assert_eq!((proven.size, proven.root), (NEW, root));
    write(directory.join("consistency.cose"), receipt);
}

/// The example of the C2SP signed-note text, signed by another implementation.
const FOREIGN_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const FOREIGN_NOTE: &str = "If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
";

#[test]
fn a_note_signed_by_another_implementation_verifies() {
    let vkey: Vkey = FOREIGN_VKEY.parse().unwrap();
    assert_eq!(vkey.to_string(), FOREIGN_VKEY);
    let note = note::Note::parse(FOREIGN_NOTE.as_bytes()).unwrap();
    note.verify(&vkey).unwrap();
    assert_eq!(note.to_string(), FOREIGN_NOTE);
    let other = FOREIGN_NOTE.replace("your problem is", "the problem is");
    assert!(note::Note::parse(other.as_bytes()).unwrap().verify(&vkey).is_err());
}

/// Everything that reads bytes from outside.
fn read_all(bytes: &[u8]) {
    let signer = Ed25519Signer::from_seed([7; 32]);
    let key = signer.public();
    let _ = (cbor::gate(bytes), cbor::split_first(bytes), cose::parse(bytes), cose::proof_of(bytes));
    let _ = (cose::join(bytes, b""), cose::statement_of(bytes), Entry::parse(bytes));
    let _ = (PublicKey::from_spki(bytes), key.verify(b"", bytes), tile::unbundle(bytes));
    let _ = (promise::open(bytes, key), checkpoint::open(bytes, key, ORIGIN));
    let _ = receipt::verify_inclusion(bytes, b"", key, ORIGIN);
    let _ = receipt::verify_consistency(bytes, key, ORIGIN, 1, &[0; 32]);
    let _ = evidence::Evidence::parse(bytes).map(|evidence| evidence.verify(key, ORIGIN, Some(0)));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (text.parse::<tile::Path>(), text.parse::<Vkey>(), PublicKey::from_pem(text));
        let _ =
            (signer_from_pem(text).is_ok(), Checkpoint::parse_body(text), text.parse::<note::Signature>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_reader_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn no_reader_panics_on_damaged_artefacts(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3u8,
    ) {
        let samples = artefacts();
        let mut bytes = samples[which.index(samples.len())].clone();
        let place = at.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.truncate(place),
            _ => bytes.insert(place, byte),
        }
        read_all(&bytes);
    }
}

fn artefacts() -> Vec<Vec<u8>> {
    let signer = Ed25519Signer::from_seed([7; 32]);
    let signature = CheckpointSignature::new(&signer, ORIGIN, 5, [1; 32]).unwrap();
    let item = cose::endorse(&signer, &cose::sign_statement(&signer, b"statement").unwrap()).unwrap();
    let owed = promise::Promise { origin: ORIGIN.into(), first: 0, n: 1, at: 1, root: [1; 32] };
    let entry = Entry::Public { t: 5, item: item.clone() }.encode().unwrap();
    let receipt = signature.inclusion(2, &[[3; 32]; 3]);
    let evidence = evidence::Evidence {
        index: 2,
        entry: entry.clone(),
        opening: evidence::Opening::Public,
        receipt: receipt.clone(),
        checkpoint: Some(checkpoint_note(&signer, 5, [1; 32])),
    };
    vec![
        signer.public().spki().to_vec(),
        signer.public().to_pem().into_bytes(),
        signer.to_pem().unwrap().as_bytes().to_vec(),
        signature.consistency(2, &[[3; 32]; 3]).unwrap(),
        owed.sign(&signer).unwrap(),
        checkpoint_note(&signer, 5, [1; 32]).into_bytes(),
        FOREIGN_VKEY.into(),
        FOREIGN_NOTE.into(),
        b"tile/63/x001/x234/067.p/255".to_vec(),
        tile::bundle([&entry, &item]).unwrap(),
        evidence.encode().unwrap(),
        item,
        entry,
        receipt,
    ]
}
