//! The slot file: one person's wrapped key in each 128-byte slot.
//!
//! ```text
//! subject 16 ‖ erasure tag 16 ‖ epoch 4 ‖ nonce 12 ‖ wrapped key 48 ‖ checksum 4 ‖ zeros 28
//! ```
//! Slots are never moved; erasure overwrites one in place. A slot without an
//! entry in the log is harmless. New slots are kept in memory until they must be
//! durable: then neighbours go to the file in one write, with one sync.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use sha2::Digest;
use sha2::Sha256;

use crate::model::id::SubjectId;
use crate::vault::Error;
use crate::vault::Key;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::io_at;
use crate::vault::seal::random;

/// Number of a slot, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotNumber(pub u64);

const SLOT: usize = 128;
const CHECKED: usize = 96;
/// Most new slots in memory: statements that were refused leave theirs behind.
const MOST_NEW: usize = 4_096;

type Bytes = [u8; SLOT];
/// Bytes read at once when the whole file is looked through.
const STRETCH: usize = 8_192 * SLOT;

/// The open file, and the next free number.
#[derive(Debug)]
pub(in crate::vault) struct SlotFile {
    path: PathBuf,
    file: File,
    next: AtomicU64,
    /// Not in the file yet.
    new: Mutex<BTreeMap<u64, Bytes>>,
}

impl SlotFile {
    pub(in crate::vault) fn create(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io_at(path))?;
        Ok(Self { path: path.to_owned(), file, next: AtomicU64::new(0), new: Mutex::default() })
    }

    /// A torn last slot (never named by an entry, for it was not synced) is skipped, not reused.
    pub(in crate::vault) fn open(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io_at(path))?;
        let len = file.metadata().map_err(io_at(path))?.len();
        let next = AtomicU64::new(len.div_ceil(SLOT as u64));
        Ok(Self { path: path.to_owned(), file, next, new: Mutex::default() })
    }

    pub(in crate::vault) fn write_new(
        &self,
        subject: SubjectId,
        epoch: u32,
        key: &PersonKey,
        wrapping: &Key,
    ) -> Result<SlotNumber, Error> {
        let tag: [u8; 16] = random()?;
        let slot = SlotNumber(self.next.fetch_add(1, Ordering::Relaxed));
        let wrapped = wrapping.seal(&slot_ad(&subject, slot, epoch), key.expose())?;
        let mut bytes: Bytes = [0; SLOT];
        let said = [subject.as_bytes().as_slice(), &tag, &epoch.to_be_bytes(), wrapped.as_slice()].concat();
        let parts = said.iter().chain(&checksum(&said)).copied().collect::<Vec<u8>>();
        bytes.iter_mut().zip(parts).for_each(|(b, p)| *b = p);
        let mut new = self.unwritten();
        new.insert(slot.0, bytes);
        if new.len() > MOST_NEW {
            self.write(&mut new)?;
        }
        Ok(slot)
    }

    fn unwritten(&self) -> MutexGuard<'_, BTreeMap<u64, Bytes>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is new, neighbours at once. Readers wait: a slot is in memory or in the file.
    fn write(&self, new: &mut BTreeMap<u64, Bytes>) -> Result<(), Error> {
        let mut run: Vec<u8> = Vec::new();
        let mut first = 0;
        for (slot, bytes) in new.iter() {
            if first + (run.len() / SLOT) as u64 != *slot {
                self.file.write_all_at(&run, first * SLOT as u64).map_err(io_at(&self.path))?;
                run.clear();
                first = *slot;
            }
            run.extend_from_slice(bytes);
        }
        self.file.write_all_at(&run, first * SLOT as u64).map_err(io_at(&self.path))?;
        new.clear();
        Ok(())
    }

    /// Overwrites the slots that carry one of these tags, and syncs.
    pub(in crate::vault) fn overwrite(&self, tags: &BTreeSet<SubjectId>) -> Result<u64, Error> {
        self.write(&mut self.unwritten())?;
        let failed = || io_at(&self.path);
        let (mut stretch, mut first, mut count) = (vec![0u8; STRETCH], 0u64, 0);
        while !tags.is_empty() {
            let read = read_up_to(&self.file, &mut stretch, first * SLOT as u64).map_err(failed())?;
            for slot in tagged(stretch.get(..read).unwrap_or_default(), tags) {
                let at = (first + slot.0) * SLOT as u64;
                self.file.write_all_at(&[0; SLOT], at).map_err(failed())?;
                count += 1;
            }
            if read < STRETCH {
                break;
            }
            first += (STRETCH / SLOT) as u64;
        }
        if count > 0 {
            self.sync()?;
        }
        Ok(count)
    }

    pub(in crate::vault) fn sync(&self) -> Result<(), Error> {
        self.write(&mut self.unwritten())?;
        self.file.sync_data().map_err(io_at(&self.path))
    }

    pub(in crate::vault) fn read(&self, who: Pointed, wrapping: &Key) -> Result<PersonKey, Error> {
        let bad = || Error::Slot { slot: who.slot.0 };
        let offset = who.slot.0.checked_mul(SLOT as u64).ok_or_else(bad)?;
        let mut bytes: Bytes = [0; SLOT];
        let new = self.unwritten().get(&who.slot.0).copied();
        match new {
            Some(new) => bytes = new,
            None => self.file.read_exact_at(&mut bytes, offset).map_err(|_| bad())?,
        }
        let (checked, rest) = bytes.split_at(CHECKED);
        if !rest.starts_with(&checksum(checked)) {
            return Err(bad());
        }
        let (subject, rest) = checked.split_first_chunk::<16>().ok_or_else(bad)?;
        let (_tag, rest) = rest.split_first_chunk::<16>().ok_or_else(bad)?;
        let (epoch, wrapped) = rest.split_first_chunk::<4>().ok_or_else(bad)?;
        if subject != who.subject.as_bytes() {
            return Err(bad());
        }
        let ad = slot_ad(&who.subject, who.slot, u32::from_be_bytes(*epoch));
        let plain = zeroize::Zeroizing::new(wrapping.open(&ad, wrapped, "person key")?);
        Key::from_slice(&plain).map(PersonKey::from).ok_or_else(bad)
    }
}

/// Slots of a stretch of the key file whose erasure tags are among these: numbers from 0.
///
/// Whether a slot is sound does not matter: a damaged one is overwritten all the same.
#[must_use]
pub fn tagged(stretch: &[u8], tags: &BTreeSet<SubjectId>) -> Vec<SlotNumber> {
    let (slots, _) = stretch.as_chunks::<SLOT>();
    let has = |slot: &[u8; SLOT]| {
        let tag = slot.get(16..32).and_then(|tag| <[u8; 16]>::try_from(tag).ok());
        tag.is_some_and(|tag| tags.contains(&SubjectId(tag)))
    };
    (0u64..).zip(slots).filter(|(_, slot)| has(slot)).map(|(number, _)| SlotNumber(number)).collect()
}

fn slot_ad(subject: &SubjectId, slot: SlotNumber, epoch: u32) -> Vec<u8> {
    [b"slot\0".as_slice(), subject.as_bytes(), &slot.0.to_be_bytes(), &epoch.to_be_bytes()].concat()
}

/// Fills as much of the buffer as the file has from there on.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + have as u64)? {
            0 => break,
            more => have += more,
        }
    }
    Ok(have)
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d]
}
