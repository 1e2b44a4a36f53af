//! Wrapping epochs: the keys that person keys and names are wrapped under.
//!
//! Each epoch's key is a secret of its own: one file `epoch-<n>.key` in the folder of
//! keys, never among the wrapped ones, so that no backup of the slot file has what opens it.
//!
//! ```text
//! nonce 12 ‖ sealed {key 32 ‖ begun 8, ms ‖ suite 1} ‖ tag 16     (by the master key; bound to n)
//! ```
//! A file of 60 bytes, made before there were epochs, has the key alone. A rotation makes the
//! next epoch's file, wraps everything again under it, then destroys the older files: while
//! two stand, it is under way, and whoever finds them goes on with it. What was sealed
//! under an ended epoch, in whatever copy, opens for nobody.
//!
//! Lacks: names, which lie in the store (the node seals them again, row by row), and
//! when an epoch is to end. Not reached: what a disk keeps beneath its file system.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::PoisonError;

use crate::vault::DECOY;
use crate::vault::Error;
use crate::vault::Key;
use crate::vault::Suite;
use crate::vault::Vault;
use crate::vault::io_at;
use crate::vault::point;
use crate::vault::sync_dir;
use crate::vault::write_new;

/// Epochs are numbered below this: the top byte beside a number is a suite.
const EPOCHS: u32 = 1 << 24;
/// Bytes of a file that holds a key alone.
const KEY_ALONE: usize = 60;

/// One wrapping epoch whose key is here.
#[derive(Clone, Debug)]
pub(in crate::vault) struct Epoch {
    pub(in crate::vault) number: u32,
    pub(in crate::vault) key: Key,
    /// When it began, ms; 0 where nobody wrote it down.
    begun: u64,
}

/// Every epoch whose key is here.
#[derive(Debug)]
pub(in crate::vault) struct Epochs {
    folder: PathBuf,
    /// INVARIANT: older than `current`.
    older: BTreeMap<u32, Epoch>,
    current: Epoch,
}

fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("epoch-{number}.key"))
}

fn associated(number: u32) -> Vec<u8> {
    [b"epoch\0".as_slice(), &number.to_be_bytes()].concat()
}

/// Writes a file whole or not at all, in place of what was there, durable.
pub(in crate::vault) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let mut file = file.map_err(io_at(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_at(&temporary))?;
    fs::rename(&temporary, path).map_err(io_at(path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Overwrites a file, then removes it; durable.
fn destroy(path: &Path) -> Result<(), Error> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).open(path).map_err(io_at(path))?;
    let len = file.metadata().map_err(io_at(path))?.len();
    let zeros = vec![0; usize::try_from(len).unwrap_or_default()];
    file.write_all(&zeros).and_then(|()| file.sync_all()).map_err(io_at(path))?;
    fs::remove_file(path).map_err(io_at(path))?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Numbers of the epochs whose files stand in a folder.
fn numbers(folder: &Path) -> Result<Vec<u32>, Error> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let name = entry.map_err(io_at(folder))?.file_name();
        let number = name.to_str().and_then(|n| n.strip_prefix("epoch-")?.strip_suffix(".key"));
        let number = number.and_then(|n| n.parse::<u32>().ok());
        out.extend(number.filter(|n| *n < EPOCHS));
    }
    out.sort_unstable();
    Ok(out)
}

impl Epochs {
    pub(in crate::vault) fn create(folder: &Path, master: &Key) -> Result<Self, Error> {
        let current = Epoch { number: 1, key: Key::random()?, begun: 0 };
        write_new(&path_of(folder, 1), &current.sealed(master)?)?;
        sync_dir(folder)?;
        Ok(Self { folder: folder.to_owned(), older: BTreeMap::new(), current })
    }

    /// Opens every epoch of `folder`. Files of a vault that kept its keys beside the slots are moved there.
    pub(in crate::vault) fn open(folder: &Path, beside: &Path, master: &Key) -> Result<Self, Error> {
        if folder != beside {
            for number in numbers(beside)? {
                let (from, to) = (path_of(beside, number), path_of(folder, number));
                if !to.exists() {
                    replace(&to, &fs::read(&from).map_err(io_at(&from))?)?;
                }
                // At this point the key lies where it belongs.
                destroy(&from)?;
            }
        }
        let mut live = BTreeMap::new();
        for number in numbers(folder)? {
            let path = path_of(folder, number);
            let sealed = fs::read(&path).map_err(io_at(&path))?;
            if sealed.iter().all(|byte| *byte == 0) {
                // Its destruction was broken off between the two steps.
                destroy(&path)?;
                continue;
            }
            live.insert(number, Epoch::open(number, &sealed, master)?);
        }
        let gone = || Error::KeyFile { path: path_of(folder, 1) };
        let (_, current) = live.pop_last().ok_or_else(gone)?;
        Ok(Self { folder: folder.to_owned(), older: live, current })
    }

    pub(in crate::vault) const fn current(&self) -> &Epoch {
        &self.current
    }

    pub(in crate::vault) fn get(&self, number: u32) -> Option<&Epoch> {
        if number == self.current.number { Some(&self.current) } else { self.older.get(&number) }
    }
}

impl Epoch {
    fn sealed(&self, master: &Key) -> Result<Vec<u8>, Error> {
        let begun = self.begun.to_be_bytes();
        let plain = [self.key.expose().as_slice(), &begun, &[self.key.suite().id()]].concat();
        master.seal(&associated(self.number), &zeroize::Zeroizing::new(plain))
    }

    fn open(number: u32, sealed: &[u8], master: &Key) -> Result<Self, Error> {
        let bad = || Error::Unsealed { what: "epoch" };
        if sealed.len() == KEY_ALONE {
            let plain = zeroize::Zeroizing::new(master.open(b"epoch", sealed, "epoch")?);
            return Ok(Self { number, key: Key::from_slice(&plain).ok_or_else(bad)?, begun: 0 });
        }
        let plain = zeroize::Zeroizing::new(master.open(&associated(number), sealed, "epoch")?);
        let (key, rest) = plain.split_first_chunk::<32>().ok_or_else(bad)?;
        let (begun, rest) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let [suite] = rest else { return Err(bad()) };
        let suite = Suite::of_id(*suite).ok_or_else(bad)?;
        let key = Key::from_slice(key).ok_or_else(bad)?.under(suite);
        Ok(Self { number, key, begun: u64::from_be_bytes(*begun) })
    }
}

impl Vault {
    /// Number of the wrapping epoch, and when it began, ms (0 where nobody wrote it down).
    #[must_use]
    pub fn epoch(&self) -> (u32, u64) {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        (epochs.current.number, epochs.current.begun)
    }

    /// Number of the epoch in which a vault's folder, or a copy of it, stands: no key is needed.
    ///
    /// # Errors
    /// I/O.
    pub fn epoch_of(dir: &Path) -> Result<u32, Error> {
        let path = dir.join(DECOY);
        let sealed = fs::read(&path).map_err(io_at(&path))?;
        Ok(sealed.first_chunk::<4>().map_or(0, |number| u32::from_be_bytes(*number)))
    }

    /// The suite that new keys seal with.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner).current.key.suite()
    }

    /// Whether keys of older epochs are here still: a rotation is under way, or was broken off.
    #[must_use]
    pub fn is_rotating(&self) -> bool {
        !self.epochs.read().unwrap_or_else(PoisonError::into_inner).older.is_empty()
    }

    /// Begins the next wrapping epoch: whatever is wrapped from now on is wrapped under it, and new
    /// persons' records are sealed with `suite`. Nothing to do while a rotation is under way.
    ///
    /// # Errors
    /// I/O, randomness: the old epoch goes on.
    pub fn begin_epoch(&self, now: u64, suite: Suite) -> Result<(), Error> {
        // Nobody wraps meanwhile: afterwards nothing new is under an older key.
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        if !epochs.older.is_empty() {
            return Ok(());
        }
        let number = epochs.current.number.checked_add(1).filter(|n| *n < EPOCHS);
        let number = number.ok_or(Error::Unsealed { what: "epoch" })?;
        let next = Epoch { number, key: Key::random()?.under(suite), begun: now };
        replace(&path_of(&epochs.folder, number), &next.sealed(&self.master)?)?;
        let old = std::mem::replace(&mut epochs.current, next);
        epochs.older.insert(old.number, old);
        // First of all, so that a copy of the folder says in which epoch it was begun.
        replace(&self.dir.join(DECOY), &point(&epochs.current, b"decoy", self.decoy)?)
    }

    /// Wraps every person's key under the current epoch again, in place; how many were not.
    ///
    /// A crash leaves each slot whole, under one epoch or the other; again goes on.
    ///
    /// # Errors
    /// I/O: stop writing, never retry.
    pub fn rewrap(&self) -> Result<u64, Error> {
        let mut count = 0;
        let mut from = Some(0);
        while let Some(stretch) = from {
            // Held for one stretch alone: others wrap and read in between.
            let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
            let (wrapped, next) = self.slots.rewrap(stretch, &epochs)?;
            count += wrapped;
            from = next;
        }
        Ok(count)
    }

    /// Seals a name's value again if it is under an older epoch; `None` if it is not.
    ///
    /// # Errors
    /// [`Error::Unsealed`] if the row is damaged, another name's, or of an ended epoch.
    pub fn reseal_name(&self, name: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if self.is_current(sealed) {
            return Ok(None);
        }
        let who = self.open_name(name, sealed)?;
        self.seal_name(name, who).map(Some)
    }

    /// Whether a name's value is sealed under the current epoch.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        sealed.starts_with(&epochs.current.number.to_be_bytes())
    }

    /// Destroys the keys of all older epochs. Call it once nothing durable is under them any more.
    ///
    /// # Errors
    /// I/O: again goes on.
    pub fn end_epochs(&self) -> Result<(), Error> {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        replace(&self.dir.join(DECOY), &point(&epochs.current, b"decoy", self.decoy)?)?;
        while let Some(number) = epochs.older.keys().next().copied() {
            destroy(&path_of(&epochs.folder, number))?;
            epochs.older.remove(&number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::vault::PersonKey;
    use crate::vault::Pointed;
    use crate::vault::Sealed;
    use crate::vault::SlotNumber;

    /// A vault with its epochs' keys apart, as production has it.
    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> (Self, Vault) {
            let place = Self { root: tempfile::tempdir().unwrap() };
            fs::create_dir(place.keys()).unwrap();
            let vault = Vault::create_with(&place.dir(), &place.keys(), &master()).unwrap();
            (place, vault)
        }

        fn dir(&self) -> PathBuf {
            self.root.path().join("vault")
        }

        fn keys(&self) -> PathBuf {
            self.root.path().join("keys")
        }

        fn open(&self) -> Result<Vault, Error> {
            Vault::open_with(&self.dir(), &self.keys(), &master())
        }

        fn files(&self) -> Vec<String> {
            let names = fs::read_dir(self.keys()).unwrap();
            names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    fn master() -> Key {
        Key::from_slice(&[7; 32]).unwrap()
    }

    fn people(vault: &Vault, n: usize) -> Vec<(Pointed, PersonKey)> {
        let made = (0..n).map(|_| vault.new_person().unwrap()).collect();
        vault.sync().unwrap();
        made
    }

    fn opens(vault: &Vault, (who, key): &(Pointed, PersonKey)) -> bool {
        let sealed = key.seal(Sealed::Body, &who.subject, b"id", b"plain").unwrap();
        vault.person_key(*who).is_ok_and(|key| key.open(Sealed::Body, &who.subject, b"id", &sealed).is_ok())
    }

    #[test]
    fn survivors_names_and_decoy_pass_into_the_next_epoch_and_a_copy_of_the_last_opens_for_nobody() {
        let (place, vault) = Place::new();
        assert_eq!(place.files(), ["epoch-1.key"], "no epoch's key beside the slots");
        let mut all = people(&vault, 5_000);
        let name = vault.seal_name(b"name", all[7].0).unwrap();
        let gone = vault.erasure_tag(all[3].0).unwrap();
        let before = fs::read(place.dir().join("slots")).unwrap();
        let decoy = fs::read(place.dir().join("decoy")).unwrap();
        vault.overwrite(&BTreeSet::from([gone])).unwrap();
        let erased = all.remove(3);

        vault.begin_epoch(1_000, Suite::Aria256Gcm).unwrap();
        assert!(vault.is_rotating() && vault.epoch() == (2, 1_000));
        assert!(!vault.is_current(&name) && vault.open_name(b"name", &name).unwrap() == all[6].0);
        all.extend(people(&vault, 10));
        // Begun twice is begun once.
        vault.begin_epoch(2_000, Suite::default()).unwrap();
        assert_eq!(vault.rewrap().unwrap(), 5_000, "all but the erased, and the decoy");
        assert_eq!(vault.rewrap().unwrap(), 0);
        let resealed = vault.reseal_name(b"name", &name).unwrap().unwrap();
        assert_eq!(vault.reseal_name(b"name", &resealed).unwrap(), None);
        vault.end_epochs().unwrap();
        assert!(!vault.is_rotating() && place.files() == ["epoch-2.key"]);
        drop(vault);

        let vault = place.open().unwrap();
        assert!(all.iter().all(|one| opens(&vault, one)) && !opens(&vault, &erased));
        assert_eq!(vault.open_name(b"name", &resealed).unwrap(), all[6].0);
        assert!(vault.open_name(b"name", &name).is_err(), "an old row opens for nobody");
        drop(vault);
        // The slot file of the ended epoch, put back whole.
        fs::write(place.dir().join("slots"), &before).unwrap();
        fs::write(place.dir().join("decoy"), &decoy).unwrap();
        assert!(matches!(place.open(), Err(Error::Ended { epoch: 1 })));
    }

    #[test]
    fn a_rotation_broken_off_anywhere_goes_on() {
        // 0: a file half made; 1: begun; 2: wrapped; 3: one key overwritten and not removed.
        for step in 0..4 {
            let (place, vault) = Place::new();
            let all = people(&vault, 50);
            match step {
                0 => fs::write(place.keys().join("epoch-2.key.tmp"), b"half").unwrap(),
                _ => vault.begin_epoch(5, Suite::default()).unwrap(),
            }
            if step >= 2 {
                vault.rewrap().unwrap();
            }
            if step == 3 {
                vault.end_epochs().unwrap();
                fs::write(place.keys().join("epoch-1.key"), [0; 69]).unwrap();
            }
            drop(vault);
            let vault = place.open().unwrap();
            assert_eq!(vault.is_rotating(), step == 1 || step == 2, "{step}");
            assert!(all.iter().all(|one| opens(&vault, one)), "{step}");
            vault.begin_epoch(6, Suite::default()).unwrap();
            vault.rewrap().unwrap();
            vault.end_epochs().unwrap();
            drop(vault);
            assert!(all.iter().all(|one| opens(&place.open().unwrap(), one)), "{step}");
        }
    }

    #[test]
    fn a_stretch_torn_in_place_is_written_again_and_a_torn_side_file_was_never_begun() {
        let (place, vault) = Place::new();
        let all = people(&vault, 3);
        let slots = place.dir().join("slots");
        let before = fs::read(&slots).unwrap();
        vault.begin_epoch(5, Suite::default()).unwrap();
        vault.rewrap().unwrap();
        let after = fs::read(&slots).unwrap();
        drop(vault);
        let mut said = [b"naru-rdo".as_slice(), &0u64.to_be_bytes(), &after].concat();
        let sum: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&said).into();
        said.extend_from_slice(&sum);
        let side = place.dir().join("slots.redo");
        for cut in (0..=after.len()).step_by(7) {
            fs::write(&slots, [&after[..cut], &before[cut..]].concat()).unwrap();
            fs::write(&side, &said).unwrap();
            let vault = place.open().unwrap();
            assert!(all.iter().all(|one| opens(&vault, one)), "in place {cut}");
            assert!(!side.exists() && fs::read(&slots).unwrap() == after);
        }
        for cut in (0..said.len()).step_by(7) {
            fs::write(&slots, &before).unwrap();
            fs::write(&side, &said[..cut]).unwrap();
            let vault = place.open().unwrap();
            assert!(all.iter().all(|one| opens(&vault, one)), "side file {cut}");
            assert!(!side.exists() && fs::read(&slots).unwrap() == before);
        }
    }

    #[test]
    fn a_key_is_overwritten_before_the_tag_that_asks_for_it() {
        let (place, vault) = Place::new();
        let all = people(&vault, 2);
        let tag = vault.erasure_tag(all[0].0).unwrap();
        vault.wipe(&[all[0].0.slot]).unwrap();
        assert!(!opens(&vault, &all[0]) && opens(&vault, &all[1]));
        let slots = place.dir().join("slots");
        let mut bytes = fs::read(&slots).unwrap();
        assert_eq!(bytes[128..256], [0; 128]);
        // As a crash between the two halves leaves it: the tag is there, and leads to what is left.
        bytes[144..160].copy_from_slice(&tag.0);
        drop(vault);
        fs::write(&slots, &bytes).unwrap();
        let vault = place.open().unwrap();
        assert_eq!(vault.overwrite(&BTreeSet::from([tag])).unwrap(), 1);
        vault.wipe(&[SlotNumber(99)]).unwrap();
        assert_eq!(fs::read(&slots).unwrap().len(), bytes.len(), "no slot is made by it");
    }

    #[test]
    fn keys_that_lay_beside_the_slots_are_moved() {
        let root = tempfile::tempdir().unwrap();
        let (dir, keys) = (root.path().join("vault"), root.path().join("keys"));
        let vault = Vault::create(&dir, &master()).unwrap();
        let all = people(&vault, 2);
        drop(vault);
        // As the first format had it: a key alone.
        let sealed = fs::read(dir.join("epoch-1.key")).unwrap();
        let key = Epoch::open(1, &sealed, &master()).unwrap().key;
        fs::write(dir.join("epoch-1.key"), master().seal(b"epoch", key.expose()).unwrap()).unwrap();
        fs::create_dir(&keys).unwrap();
        for _ in 0..2 {
            let vault = Vault::open_with(&dir, &keys, &master()).unwrap();
            assert!(all.iter().all(|one| opens(&vault, one)));
            assert!(!dir.join("epoch-1.key").exists() && keys.join("epoch-1.key").exists());
        }
    }
}
