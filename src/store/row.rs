//! The bytes of rows: what the keyed engines (fjall, sled) hold under which key.
//!
//! | table | key | value |
//! |---|---|---|
//! | commits | first (8, big-endian) | one whole commit, checked |
//! | names | kind (1) ‖ name | index (8) or `ff…ff` ‖ sealed |
//! | bodies | subject (16) ‖ id (32) | sealed |
//! | state | subject (16) ‖ part | index (8) ‖ sealed |
//! | items | subject (16) ‖ name | sealed |
//! | blobs | `b` ‖ name | bytes, checked |
//! | meta | `lead`, `head`, `projected`, `register` | see the functions here, checked |
//!
//! *Checked* means: followed by the first 8 bytes of SHA-256 over key and value,
//! so that a flipped bit, or a row under another row's key, is damage and not an
//! answer. Names, bodies, state and items lack a check of their own: their values are
//! sealed under an AEAD by the vault, and the engine has checksums beneath.
//!
//! Trusted: nothing that is read. Every decoder is total.

use sha2::{Digest, Sha256};

use super::{Batch, Commit, Error, Head, Located, Name};
use crate::model::id::{StatementId, SubjectId};

/// The tables of a keyed engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// One row per commit.
    Commits,
    /// Ppids, key hashes, statement ids.
    Names,
    /// Sealed bodies.
    Bodies,
    /// State rows of persons.
    State,
    /// What is a person's and follows from no entry.
    Items,
    /// Create-only blobs.
    Blobs,
    /// Single rows: lead, head, projected, register.
    Meta,
}

impl Table {
    /// Every table, in the order in which they are created.
    pub const ALL: [Self; 7] =
        [Self::Commits, Self::Names, Self::Bodies, Self::State, Self::Items, Self::Blobs, Self::Meta];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Names => "names",
            Self::Bodies => "bodies",
            Self::State => "state",
            Self::Items => "items",
            Self::Blobs => "blobs",
            Self::Meta => "meta",
        }
    }
}

/// Meta key of the lead row.
pub(super) const LEAD: &[u8] = b"lead";
/// Meta key of the head row.
pub(super) const HEAD: &[u8] = b"head";
/// Meta key of the projection's progress.
pub(super) const PROJECTED: &[u8] = b"projected";
/// Meta key of the register.
pub(super) const REGISTER: &[u8] = b"register";

const CHECK_LEN: usize = 8;
const COMMIT_FORMAT: u8 = 1;
const NO_INDEX: u64 = u64::MAX;

/// `value ‖ SHA-256(len(key) ‖ key ‖ value)[..8]`.
pub(super) fn checked(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let check = check(key, &value);
    value.extend_from_slice(&check);
    value
}

/// The value of a checked row, or damage.
pub(super) fn unchecked<'a>(table: Table, key: &[u8], row: &'a [u8]) -> Result<&'a [u8], Error> {
    match row.split_last_chunk::<CHECK_LEN>() {
        Some((value, sum)) if check(key, value) == *sum => Ok(value),
        _ => Err(damaged(table, key)),
    }
}

fn check(key: &[u8], value: &[u8]) -> [u8; CHECK_LEN] {
    let len = u64::try_from(key.len()).unwrap_or(u64::MAX);
    let sum = Sha256::new().chain_update(len.to_be_bytes()).chain_update(key).chain_update(value).finalize();
    sum.first_chunk().copied().unwrap_or_default()
}

/// Names a damaged row without its content: table, and the key only where it is no one's name.
pub(super) fn damaged(table: Table, key: &[u8]) -> Error {
    let what = match (table, <[u8; 8]>::try_from(key)) {
        (Table::Commits, Ok(first)) => format!("commit at {}", u64::from_be_bytes(first)),
        (Table::Meta, _) => format!("meta row `{}`", String::from_utf8_lossy(key)),
        (Table::Blobs, _) => format!("blob `{}`", String::from_utf8_lossy(key.get(1..).unwrap_or_default())),
        _ => format!("a row of table `{}`", table.name()),
    };
    Error::Corrupt { what }
}

/// Key of a commit.
pub(super) const fn commit_key(first: u64) -> [u8; 8] {
    first.to_be_bytes()
}

/// Key of a name: kind, then the name.
pub(super) fn name_key(name: &Name) -> Vec<u8> {
    let (kind, bytes): (u8, &[u8]) = match name {
        Name::Ppid(b) => (b'p', b),
        Name::Key(b) => (b'k', b),
        Name::Statement(b) => (b's', b),
        Name::Link(b) => (b'l', b),
        Name::Arrival(b) => (b'a', b),
    };
    let mut key = Vec::with_capacity(1 + bytes.len());
    key.push(kind);
    key.extend_from_slice(bytes);
    key
}

/// The name of a key that [`name_key`] made.
pub(super) fn name_of(key: &[u8]) -> Option<Name> {
    let (kind, bytes) = key.split_first()?;
    Some(match kind {
        b'p' => Name::Ppid(bytes.try_into().ok()?),
        b'k' => Name::Key(bytes.try_into().ok()?),
        b's' => Name::Statement(bytes.try_into().ok()?),
        b'l' => Name::Link(bytes.try_into().ok()?),
        b'a' => Name::Arrival(bytes.try_into().ok()?),
        _ => return None,
    })
}

/// Key of a body.
pub(super) fn body_key(subject: &SubjectId, id: &StatementId) -> Vec<u8> {
    [subject.as_bytes().as_slice(), id.as_bytes()].concat()
}

/// Key of a state row.
pub(super) fn state_key(subject: &SubjectId, part: &[u8]) -> Vec<u8> {
    [subject.as_bytes().as_slice(), part].concat()
}

/// Key of an item.
pub(super) fn item_key(subject: &SubjectId, name: &[u8]) -> Vec<u8> {
    [subject.as_bytes().as_slice(), name].concat()
}

/// Key of a blob: never empty, whatever its name.
pub(super) fn blob_key(name: &str) -> Vec<u8> {
    [b"b", name.as_bytes()].concat()
}

/// Value of a name row or a state row: an index and ciphertext.
pub(super) fn indexed(index: Option<u64>, sealed: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + sealed.len());
    value.extend_from_slice(&index.unwrap_or(NO_INDEX).to_be_bytes());
    value.extend_from_slice(sealed);
    value
}

/// Splits what [`indexed`] joined.
pub(super) fn split_indexed(table: Table, value: &[u8]) -> Result<(Option<u64>, &[u8]), Error> {
    let (index, sealed) = value.split_first_chunk::<8>().ok_or_else(|| damaged(table, &[]))?;
    let index = u64::from_be_bytes(*index);
    Ok(((index != NO_INDEX).then_some(index), sealed))
}

/// A name row as read back.
pub(super) fn located(value: &[u8]) -> Result<Located, Error> {
    let (index, sealed) = split_indexed(Table::Names, value)?;
    Ok(Located { sealed: sealed.to_vec(), index })
}

/// Value of the head row, before its check: size, root, note.
pub(super) fn head(head: &Head, note: &[u8]) -> Vec<u8> {
    [head.size.to_be_bytes().as_slice(), &head.root, note].concat()
}

/// Splits what [`head`] joined.
pub(super) fn split_head(value: &[u8]) -> Option<(Head, &[u8])> {
    let (size, rest) = value.split_first_chunk::<8>()?;
    let (root, note) = rest.split_first_chunk::<32>()?;
    Some((Head { size: u64::from_be_bytes(*size), root: *root }, note))
}

/// Encodes a batch that stands at `first`, before its check:
/// format (1), batch id (16), at (8), n (4), n ids (32 each), n × (length (4), bytes).
pub(super) fn commit(batch: &Batch) -> Option<Vec<u8>> {
    let n = u32::try_from(batch.entries.len()).ok()?;
    let bytes: usize = batch.entries.iter().map(|e| e.len() + 4).sum();
    let mut out = Vec::with_capacity(1 + 16 + 8 + 4 + batch.ids.len() * 32 + bytes + CHECK_LEN);
    out.push(COMMIT_FORMAT);
    out.extend_from_slice(&batch.id.0);
    out.extend_from_slice(&batch.at.to_be_bytes());
    out.extend_from_slice(&n.to_be_bytes());
    for id in &batch.ids {
        out.extend_from_slice(id.as_bytes());
    }
    for entry in &batch.entries {
        out.extend_from_slice(&u32::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Some(out)
}

/// A commit row as read back: the batch's name and the commit.
pub(super) fn open_commit(key: &[u8], row: &[u8]) -> Result<([u8; 16], Commit), Error> {
    let value = unchecked(Table::Commits, key, row)?;
    parse_commit(key, value).ok_or_else(|| damaged(Table::Commits, key))
}

fn parse_commit(key: &[u8], value: &[u8]) -> Option<([u8; 16], Commit)> {
    let first = u64::from_be_bytes(key.try_into().ok()?);
    let (format, rest) = value.split_first()?;
    let (id, rest) = rest.split_first_chunk::<16>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (n, rest) = rest.split_first_chunk::<4>()?;
    let n = usize::try_from(u32::from_be_bytes(*n)).ok()?;
    let (ids, mut rest) = rest.split_at_checked(n.checked_mul(StatementId::LEN)?)?;
    let ids: Vec<_> = ids.chunks_exact(StatementId::LEN).filter_map(StatementId::from_slice).collect();
    let mut entries = Vec::with_capacity(n);
    for _ in 0..n {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (entry, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        entries.push(entry.to_vec());
        rest = tail;
    }
    let sound = *format == COMMIT_FORMAT && n > 0 && rest.is_empty();
    sound.then(|| (*id, Commit { first, at: u64::from_be_bytes(*at), entries, ids }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::BatchId;

    fn batch() -> Batch {
        Batch {
            id: BatchId([7; 16]),
            at: 1_700_000_000_000,
            entries: vec![vec![1, 2, 3], vec![], vec![0xff; 300]],
            ids: vec![StatementId([1; 32]), StatementId([2; 32]), StatementId([3; 32])],
            names: vec![],
            bodies: vec![],
        }
    }

    #[test]
    fn a_commit_comes_back_as_it_went() {
        let key = commit_key(41);
        let row = checked(&key, commit(&batch()).unwrap());
        let (id, back) = open_commit(&key, &row).unwrap();
        assert_eq!((id, back.first, back.at), ([7; 16], 41, 1_700_000_000_000));
        assert_eq!((back.entries, back.ids), (batch().entries, batch().ids));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_of_a_commit_is_damage() {
        let key = commit_key(41);
        let row = checked(&key, commit(&batch()).unwrap());
        for bit in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(open_commit(&key, &bad), Err(Error::Corrupt { .. })), "bit {bit}");
        }
        for cut in 0..row.len() {
            assert!(matches!(open_commit(&key, &row[..cut]), Err(Error::Corrupt { .. })), "cut {cut}");
        }
        assert!(matches!(open_commit(&commit_key(40), &row), Err(Error::Corrupt { .. })), "another key");
    }

    #[test]
    fn names_of_different_kinds_never_meet() {
        assert_ne!(name_key(&Name::Key([1; 32])), name_key(&Name::Statement([1; 32])));
        assert_ne!(name_key(&Name::Link([1; 32])), name_key(&Name::Statement([1; 32])));
        assert_eq!(name_key(&Name::Ppid([1; 16])).len(), 17);
        for name in [
            Name::Key([1; 32]),
            Name::Statement([1; 32]),
            Name::Link([1; 32]),
            Name::Arrival([1; 32]),
            Name::Ppid([1; 16]),
        ] {
            assert_eq!(name_of(&name_key(&name)), Some(name));
        }
        assert_eq!((name_of(b""), name_of(b"p1"), name_of(&[b'x'; 33])), (None, None, None));
    }

    #[test]
    fn an_index_is_told_from_none() {
        for index in [None, Some(0), Some(1 << 40)] {
            let value = indexed(index, b"x");
            assert_eq!(split_indexed(Table::State, &value).unwrap(), (index, b"x".as_slice()));
        }
        assert!(split_indexed(Table::State, b"short").is_err());
    }
}
