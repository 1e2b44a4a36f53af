//! Grounds to test a store on, and rows to put there.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use naru::model::id::{StatementId, SubjectId};
use naru::store::fjall::Fjall;
use naru::store::memory::Memory;
use naru::store::{
    Append, Batch, BatchId, Body, Epoch, Holder, Integrate, Name, NameRow, Project, Recovered, Row, Store,
};

/// What an engine does with un-synced writes when a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Kept,
    Lost,
}

/// Where one process after another opens the same data.
pub(crate) struct Ground {
    open: Box<dyn Fn() -> Box<dyn Store>>,
    pub(crate) unsynced: Unsynced,
    _folder: Option<tempfile::TempDir>,
}

impl Ground {
    /// Starts the next process; the last one's store must have been dropped.
    pub(crate) fn open(&self) -> Box<dyn Store> {
        (self.open)()
    }

    pub(crate) fn memory() -> Self {
        let last = RefCell::new(Memory::new());
        let open = move || {
            let next = last.borrow().reopen();
            last.replace(next.clone());
            Box::new(next) as Box<dyn Store>
        };
        Self { open: Box::new(open), unsynced: Unsynced::Lost, _folder: None }
    }

    pub(crate) fn fjall() -> Self {
        Self::on_disk(|folder| Box::new(Fjall::open(folder).unwrap()))
    }

    #[cfg(feature = "store-sled")]
    pub(crate) fn sled() -> Self {
        Self::on_disk(|folder| Box::new(naru::store::sled::Sled::open(folder).unwrap()))
    }

    fn on_disk(open: impl Fn(&Path) -> Box<dyn Store> + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("store");
        Self { open: Box::new(move || open(&path)), unsynced: Unsynced::Kept, _folder: Some(folder) }
    }
}

pub(crate) const HOLDER: Holder = Holder([9; 16]);

pub(crate) fn subject(n: u8) -> SubjectId {
    SubjectId([n; 16])
}

/// An id that no other index has.
pub(crate) fn id(index: u64) -> StatementId {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&index.to_be_bytes());
    StatementId(bytes)
}

pub(crate) fn batch_id(n: u64) -> BatchId {
    let mut bytes = [0xb1; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    BatchId(bytes)
}

/// Bytes that tell what they are of.
pub(crate) fn bytes(of: &str, n: u64, len: usize) -> Vec<u8> {
    format!("{of} {n} ").into_bytes().into_iter().cycle().take(len).collect()
}

/// A batch of `n` entries that expects to stand at `first`: each with a name, a body and an id.
pub(crate) fn batch(first: u64, n: u32) -> Batch {
    let at = |i: u32| first + u64::from(i);
    Batch {
        id: batch_id(first),
        at: 1_000 + first,
        entries: (0..n).map(|i| bytes("entry", at(i), 80)).collect(),
        ids: (0..n).map(|i| id(at(i))).collect(),
        names: (0..n)
            .map(|i| NameRow {
                name: Name::Statement(id(at(i)).0),
                sealed: bytes("who", at(i), 40),
                entry: Some(i),
            })
            .collect(),
        bodies: (0..n)
            .map(|i| Body {
                subject: subject(i.to_be_bytes()[3]),
                id: id(at(i)),
                sealed: bytes("body", at(i), 700),
            })
            .collect(),
    }
}

pub(crate) fn person(n: u8, part: &str, index: u64) -> Row {
    Row::Person { subject: subject(n), part: part.into(), index, sealed: bytes(part, index, 300) }
}

pub(crate) fn lead(store: &dyn Store) -> (Epoch, Recovered) {
    store.lead(&HOLDER).unwrap()
}

pub(crate) fn sequenced(answer: Append) -> u64 {
    match answer {
        Append::Sequenced { first } => first,
        other => panic!("not sequenced: {other:?}"),
    }
}

pub(crate) fn integrated(answer: Integrate) {
    assert!(matches!(answer, Integrate::Integrated), "{answer:?}");
}

pub(crate) fn projected(answer: Project) {
    assert!(matches!(answer, Project::Projected), "{answer:?}");
}
