//! The slot file: one person's wrapped key in each 128-byte slot.
//!
//! ```text
//! subject 16 ‖ erasure tag 16 ‖ suite 1 ‖ epoch 3 ‖ nonce 12 ‖ wrapped key 48 ‖ checksum 4 ‖ zeros 28
//! ```
//! Slots are never moved; erasure overwrites one in place, the wrapped key before the tag
//! that asks for it. A slot without an entry in the log is harmless. New slots are kept in
//! memory until they must be durable: then neighbours go to the file in one write, with
//! one sync. A stretch of slots that is wrapped again goes to a side file first, synced, so
//! that whatever a crash leaves of it in place is written once more by the next start:
//!
//! ```text
//! slots.redo:  "naru-rdo" 8 ‖ first slot 8 ‖ slots 128 each ‖ SHA-256 32
//! ```

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
use crate::vault::Suite;
use crate::vault::epoch::Epoch;
use crate::vault::epoch::Epochs;
use crate::vault::epoch::replace;
use crate::vault::io_at;
use crate::vault::seal::random;
use crate::vault::sync_dir;

/// Number of a slot, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotNumber(pub u64);

const SLOT: usize = 128;
/// Where the erasure tag ends: what follows is the key.
const TAGGED: usize = 32;
const CHECKED: usize = 96;
/// Most new slots in memory: statements that were refused leave theirs behind.
const MOST_NEW: usize = 4_096;

type Bytes = [u8; SLOT];
/// Bytes read at once when the whole file is looked through.
const STRETCH: usize = 8_192 * SLOT;
/// Slots wrapped again at once: others wait for so long.
const REWRAP: usize = 2_048;
const REDO: &[u8; 8] = b"naru-rdo";
/// Bits of the field of suite and epoch that are the epoch's.
const EPOCH_BITS: u32 = 24;

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
        redo(path, &file)?;
        let len = file.metadata().map_err(io_at(path))?.len();
        let next = AtomicU64::new(len.div_ceil(SLOT as u64));
        Ok(Self { path: path.to_owned(), file, next, new: Mutex::default() })
    }

    pub(in crate::vault) fn write_new(
        &self,
        subject: SubjectId,
        key: &PersonKey,
        epoch: &Epoch,
    ) -> Result<SlotNumber, Error> {
        let tag: [u8; 16] = random()?;
        let slot = SlotNumber(self.next.fetch_add(1, Ordering::Relaxed));
        let bytes = filled(slot, &Parts { subject, tag }, key, epoch)?;
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

    /// The slots that carry one of these tags, by number, and whose they are.
    pub(in crate::vault) fn find(&self, tags: &BTreeSet<SubjectId>) -> Result<Vec<Pointed>, Error> {
        self.write(&mut self.unwritten())?;
        let failed = || io_at(&self.path);
        let (mut stretch, mut first, mut found) = (vec![0u8; STRETCH], 0u64, Vec::new());
        while !tags.is_empty() {
            let read = read_up_to(&self.file, &mut stretch, first * SLOT as u64).map_err(failed())?;
            let read_slots = stretch.get(..read).unwrap_or_default();
            for slot in tagged(read_slots, tags) {
                let at = usize::try_from(slot.0).unwrap_or(usize::MAX).saturating_mul(SLOT);
                let subject = read_slots.get(at..).and_then(|slot| slot.first_chunk::<16>());
                let subject = SubjectId(subject.copied().unwrap_or_default());
                found.push(Pointed { subject, slot: SlotNumber(first + slot.0) });
            }
            if read < STRETCH {
                break;
            }
            first += (STRETCH / SLOT) as u64;
        }
        Ok(found)
    }

    /// Whose the slots from a number on are, as far as they are whole.
    pub(in crate::vault) fn page(
        &self,
        from: SlotNumber,
        most: usize,
    ) -> Result<(Vec<Pointed>, Option<SlotNumber>), Error> {
        let mut stretch = vec![0u8; most.max(1).saturating_mul(SLOT)];
        let at = from.0.saturating_mul(SLOT as u64);
        let read = read_up_to(&self.file, &mut stretch, at).map_err(io_at(&self.path))?;
        let whole = read == stretch.len();
        stretch.truncate(read / SLOT * SLOT);
        let (slots, _) = stretch.as_chunks::<SLOT>();
        let whose = |(slot, bytes): (u64, &Bytes)| {
            parse(bytes).map(|(parts, ..)| Pointed { subject: parts.subject, slot: SlotNumber(slot) })
        };
        let found = (from.0..).zip(slots).filter_map(whose).collect();
        let next = SlotNumber(from.0.saturating_add(slots.len() as u64));
        Ok((found, whole.then_some(next)))
    }

    /// The erasure tag of a person's slot.
    pub(in crate::vault) fn tag(&self, who: Pointed) -> Result<SubjectId, Error> {
        let (parts, ..) = self.sound(who)?;
        Ok(SubjectId(parts.tag))
    }

    /// Overwrites slots and syncs. A crash leaves the tag as long as anything of the key is left.
    pub(in crate::vault) fn wipe(&self, slots: &[SlotNumber]) -> Result<(), Error> {
        let mut new = self.unwritten();
        self.write(&mut new)?;
        // Nothing wraps these slots again while `new` is held.
        let end = self.file.metadata().map_err(io_at(&self.path))?.len();
        for (from, until) in [(TAGGED, SLOT), (0, TAGGED)] {
            let zeros = [0u8; SLOT];
            for slot in slots {
                let at = slot.0.saturating_mul(SLOT as u64);
                if at < end {
                    let zeros = zeros.get(from..until).unwrap_or_default();
                    self.file.write_all_at(zeros, at + from as u64).map_err(io_at(&self.path))?;
                }
            }
            if !slots.is_empty() {
                self.file.sync_data().map_err(io_at(&self.path))?;
            }
        }
        Ok(())
    }

    /// Wraps one stretch of slots under the current epoch again: how many, and where the next begins.
    ///
    /// Slots that are empty, damaged or of an ended epoch stay as they are.
    pub(in crate::vault) fn rewrap(&self, first: u64, epochs: &Epochs) -> Result<(u64, Option<u64>), Error> {
        let failed = || io_at(&self.path);
        let mut new = self.unwritten();
        self.write(&mut new)?;
        let mut stretch = vec![0u8; REWRAP * SLOT];
        let read = read_up_to(&self.file, &mut stretch, first * SLOT as u64).map_err(failed())?;
        let next = (read == stretch.len()).then_some(first + REWRAP as u64);
        stretch.truncate(read / SLOT * SLOT);
        let mut count = 0;
        let (slots, _) = stretch.as_chunks_mut::<SLOT>();
        for (number, bytes) in (first..).zip(slots) {
            let slot = SlotNumber(number);
            let Some((parts, field, wrapped)) = parse(bytes) else { continue };
            let (_, number) = split_field(field);
            if number == epochs.current().number {
                continue;
            }
            let Some(key) = epochs.get(number).and_then(|old| unwrap(slot, &parts, field, wrapped, old))
            else {
                continue;
            };
            *bytes = filled(slot, &parts, &key, epochs.current())?;
            count += 1;
        }
        if count > 0 {
            let side = redo_path(&self.path);
            let mut said = [REDO.as_slice(), &first.to_be_bytes(), &stretch].concat();
            said.extend_from_slice(&Sha256::digest(&said));
            replace(&side, &said)?;
            // At this point the stretch is durable beside its place.
            self.file.write_all_at(&stretch, first * SLOT as u64).map_err(failed())?;
            self.file.sync_data().map_err(failed())?;
            drop_redo(&side)?;
        }
        Ok((count, next))
    }

    pub(in crate::vault) fn sync(&self) -> Result<(), Error> {
        self.write(&mut self.unwritten())?;
        self.file.sync_data().map_err(io_at(&self.path))
    }

    pub(in crate::vault) fn read(&self, who: Pointed, epochs: &Epochs) -> Result<PersonKey, Error> {
        let bad = || Error::Slot { slot: who.slot.0 };
        let (parts, field, wrapped) = self.sound(who)?;
        let (_, number) = split_field(field);
        let epoch = epochs.get(number).ok_or_else(bad)?;
        unwrap(who.slot, &parts, field, &wrapped, epoch).ok_or_else(bad)
    }

    /// A person's slot, if it is whole and hers.
    fn sound(&self, who: Pointed) -> Result<(Parts, u32, [u8; WRAPPED]), Error> {
        let bad = || Error::Slot { slot: who.slot.0 };
        let offset = who.slot.0.checked_mul(SLOT as u64).ok_or_else(bad)?;
        let look = |new: Option<&Bytes>| {
            let mut bytes: Bytes = [0; SLOT];
            match new {
                Some(new) => bytes = *new,
                None => self.file.read_exact_at(&mut bytes, offset).ok()?,
            }
            parse(&bytes).map(|(parts, field, wrapped)| (parts, field, *wrapped))
        };
        let new = self.unwritten().get(&who.slot.0).copied();
        // Half written while it was read? Then it is whole once nobody writes.
        let found = look(new.as_ref()).or_else(|| {
            let new = self.unwritten();
            look(new.get(&who.slot.0))
        });
        found.filter(|(parts, ..)| parts.subject == who.subject).ok_or_else(bad)
    }
}

/// Nonce, ciphertext and tag of a wrapped key.
const WRAPPED: usize = 60;

/// Whose a slot is.
#[derive(Clone, Copy)]
struct Parts {
    subject: SubjectId,
    tag: [u8; 16],
}

fn split_field(field: u32) -> (u32, u32) {
    (field >> EPOCH_BITS, field & ((1 << EPOCH_BITS) - 1))
}

/// The bytes of a slot.
fn filled(slot: SlotNumber, parts: &Parts, key: &PersonKey, epoch: &Epoch) -> Result<Bytes, Error> {
    let field = u32::from(key.suite().id()) << EPOCH_BITS | epoch.number;
    let wrapped = epoch.key.seal(&slot_ad(&parts.subject, slot, field), key.expose())?;
    let mut bytes: Bytes = [0; SLOT];
    let said =
        [parts.subject.as_bytes().as_slice(), &parts.tag, &field.to_be_bytes(), wrapped.as_slice()].concat();
    let sum = checksum(&said);
    bytes.iter_mut().zip(said.iter().chain(&sum)).for_each(|(b, p)| *b = *p);
    Ok(bytes)
}

/// What a slot says, if it is whole.
fn parse(bytes: &Bytes) -> Option<(Parts, u32, &[u8; WRAPPED])> {
    let (checked, rest) = bytes.split_at_checked(CHECKED)?;
    if !rest.starts_with(&checksum(checked)) {
        return None;
    }
    let (subject, rest) = checked.split_first_chunk::<16>()?;
    let (tag, rest) = rest.split_first_chunk::<16>()?;
    let (field, wrapped) = rest.split_first_chunk::<4>()?;
    let parts = Parts { subject: SubjectId(*subject), tag: *tag };
    Some((parts, u32::from_be_bytes(*field), wrapped.try_into().ok()?))
}

fn unwrap(
    slot: SlotNumber,
    parts: &Parts,
    field: u32,
    wrapped: &[u8; WRAPPED],
    epoch: &Epoch,
) -> Option<PersonKey> {
    let ad = slot_ad(&parts.subject, slot, field);
    let plain = zeroize::Zeroizing::new(epoch.key.open(&ad, wrapped, "person key").ok()?);
    let suite = u8::try_from(split_field(field).0).ok().and_then(Suite::of_id)?;
    Some(PersonKey::from(Key::from_slice(&plain)?.under(suite)))
}

fn redo_path(slots: &Path) -> PathBuf {
    let mut name = slots.as_os_str().to_owned();
    name.push(".redo");
    PathBuf::from(name)
}

fn drop_redo(side: &Path) -> Result<(), Error> {
    std::fs::remove_file(side).map_err(io_at(side))?;
    // Durable before anything of the stretch is written again: it must never come back over an erasure.
    sync_dir(side.parent().unwrap_or(Path::new(".")))
}

/// Writes a stretch that a crash may have left half in place. A torn side file was never begun.
fn redo(path: &Path, file: &File) -> Result<(), Error> {
    let side = redo_path(path);
    let said = match std::fs::read(&side) {
        Ok(said) => said,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at(&side)(error)),
    };
    if let Some((rest, sum)) = said.split_last_chunk::<32>()
        && <[u8; 32]>::from(Sha256::digest(rest)) == *sum
        && let Some((first, stretch)) = rest.strip_prefix(REDO).and_then(|rest| rest.split_first_chunk::<8>())
        && let Some(at) = u64::from_be_bytes(*first).checked_mul(SLOT as u64)
    {
        file.write_all_at(stretch, at).and_then(|()| file.sync_data()).map_err(io_at(path))?;
    }
    drop_redo(&side)
}

/// Slots of a stretch of the key file whose erasure tags are among these: numbers from 0.
///
/// Whether a slot is sound does not matter: a damaged one is overwritten all the same.
#[must_use]
pub fn tagged(stretch: &[u8], tags: &BTreeSet<SubjectId>) -> Vec<SlotNumber> {
    let (slots, _) = stretch.as_chunks::<SLOT>();
    let has = |slot: &[u8; SLOT]| {
        let tag = slot.get(16..TAGGED).and_then(|tag| <[u8; 16]>::try_from(tag).ok());
        tag.is_some_and(|tag| tags.contains(&SubjectId(tag)))
    };
    (0u64..).zip(slots).filter(|(_, slot)| has(slot)).map(|(number, _)| SlotNumber(number)).collect()
}

fn slot_ad(subject: &SubjectId, slot: SlotNumber, field: u32) -> Vec<u8> {
    [b"slot\0".as_slice(), subject.as_bytes(), &slot.0.to_be_bytes(), &field.to_be_bytes()].concat()
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

pub(in crate::vault) fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(bytes));
    [a, b, c, d]
}
