//! Person keys, sealing, derived openings, wrapping epochs.
//!
//! Everything about a person outside the tree is ciphertext under that person's
//! key; the key lies in a slot file beside the engine, wrapped by the epoch's key
//! (`vault::epoch`), which lies elsewhere, wrapped by the master key. Overwriting one slot
//! forgets one person here; the end of the epoch forgets her in every older copy.
//! Lacks, on purpose: any idea of what is sealed, when an epoch ends, and whom to
//! erase: it overwrites the slots it is told.
//!
//! Trusted: the master key file, the folder of epoch keys, the slot file's folder, the
//! system's randomness.
//! Not trusted: the store, which gives back ciphertext that is checked here.

mod aead;
mod cms;
mod epoch;
mod line;
pub mod opener;
pub mod receiver;
mod seal;
mod slot;
mod suite;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::model::id::Ppid;
use crate::model::id::SubjectId;

pub use line::POINTER;
pub use line::Placed;
pub use seal::Key;
pub use seal::Keyed;
pub use seal::Openings;
pub use seal::PersonKey;
pub use seal::SEAL;
pub use slot::SlotNumber;
pub use slot::tagged;
pub use suite::Suite;

use epoch::Epoch;
use epoch::Epochs;
use slot::SlotFile;

/// Kind of a sealed record: part of the associated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealed {
    /// A statement's item.
    Body,
    /// A state row.
    State,
    /// A use line.
    Line,
    /// What was handed over of her, and to whom.
    Handover,
    /// A document beside an incident.
    Document,
    /// What is under way to another party, and how far.
    Transfer,
    /// What destroyed statements left of a slot, in the place of the last of them.
    Rest,
    /// A record of somebody erased, kept for a case.
    Held,
    /// What is hers and follows from no entry: a deposit, a setting.
    Item,
}

impl Sealed {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Body => b"body",
            Self::State => b"state",
            Self::Line => b"line",
            Self::Handover => b"handover",
            Self::Document => b"document",
            Self::Transfer => b"transfer",
            Self::Rest => b"rest",
            Self::Held => b"held",
            Self::Item => b"item",
        }
    }
}

/// What can go wrong with keys: always ours, never the caller's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("key storage failed at `{path}`: {cause}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// A key file is not 32 bytes.
    #[error("key file `{path}` must hold exactly 32 bytes")]
    KeyFile {
        /// Which file.
        path: PathBuf,
    },
    /// Ciphertext does not open: damaged, of another record, or under another key.
    #[error("a sealed `{what}` does not open: it is damaged or of another record")]
    Unsealed {
        /// What it should have been.
        what: &'static str,
    },
    /// A slot is damaged, or not this person's.
    #[error("slot {slot} of the key file is damaged or not this person's")]
    Slot {
        /// Its number.
        slot: u64,
    },
    /// The vault is a copy from an epoch whose key was destroyed.
    #[error("the person keys are of wrapping epoch {epoch}, which has ended: this copy opens for nobody")]
    Ended {
        /// Which.
        epoch: u32,
    },
    /// The cryptographic library refused.
    #[error("encryption failed: {0}")]
    Crypto(#[from] openssl::error::ErrorStack),
    /// The library of a suite refused: it says no more.
    #[error("authenticated encryption failed")]
    Aead,
    /// The system gave no randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(getrandom::Error),
    /// The folder holds a vault already.
    #[error("`{path}` holds a vault already")]
    Exists {
        /// Which folder.
        path: PathBuf,
    },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |cause| Error::Io { path: path.to_owned(), cause }
}

/// Who a name row points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pointed {
    /// The person.
    pub subject: SubjectId,
    /// Where her key lies.
    pub slot: SlotNumber,
}

/// The keys of one node.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    slots: SlotFile,
    master: Key,
    /// Read by whoever wraps, for as long as it takes.
    epochs: RwLock<Epochs>,
    pairwise: Key,
    places: Key,
    decoy: Pointed,
    decoy_key: PersonKey,
}

impl Vault {
    /// Makes a new vault in `dir`, its epochs' keys beside it: for worlds without a folder of keys.
    ///
    /// # Errors
    /// As [`Vault::create_with`].
    pub fn create(dir: &Path, master: &Key) -> Result<Self, Error> {
        Self::create_with(dir, dir, master)
    }

    /// Makes a new vault in `dir`: first epoch (its key in `keys`), pairwise key, slot file, and the decoy
    /// person.
    ///
    /// # Errors
    /// [`Error::Exists`] if there is one; I/O.
    pub fn create_with(dir: &Path, keys: &Path, master: &Key) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(io_at(dir))?;
        if dir.join("slots").exists() {
            return Err(Error::Exists { path: dir.to_owned() });
        }
        let epochs = Epochs::create(keys, master)?;
        let wrapped = master.seal(b"pairwise", Key::random()?.expose())?;
        write_new(&dir.join("pairwise.key"), &wrapped)?;
        let slots = SlotFile::create(&dir.join("slots"))?;
        let (decoy, _) = new_person(&slots, epochs.current())?;
        slots.sync()?;
        write_new(&dir.join(DECOY), &point(epochs.current(), b"decoy", decoy)?)?;
        sync_dir(dir)?;
        Self::open_with(dir, keys, master)
    }

    /// Opens a vault whose epochs' keys lie beside it.
    ///
    /// # Errors
    /// As [`Vault::open_with`].
    pub fn open(dir: &Path, master: &Key) -> Result<Self, Error> {
        Self::open_with(dir, dir, master)
    }

    /// Opens the vault in `dir` with the epochs' keys in `keys`.
    ///
    /// # Errors
    /// I/O, a wrong master key ([`Error::Unsealed`]), a damaged slot file, a copy from an ended epoch
    /// ([`Error::Ended`]).
    pub fn open_with(dir: &Path, keys: &Path, master: &Key) -> Result<Self, Error> {
        let epochs = Epochs::open(keys, dir, master)?;
        let pairwise = read_wrapped(&dir.join("pairwise.key"), master, "pairwise")?;
        let places = line::places(dir, master)?;
        let slots = SlotFile::open(&dir.join("slots"))?;
        let path = dir.join(DECOY);
        let sealed = fs::read(&path).map_err(io_at(&path))?;
        let epoch = Self::epoch_of(dir)?;
        if epochs.get(epoch).is_none() {
            return Err(Error::Ended { epoch });
        }
        let decoy = pointed(&epochs, b"decoy", &sealed)?;
        let decoy_key = slots.read(decoy, &epochs)?;
        let (dir, master, epochs) = (dir.to_owned(), master.clone(), RwLock::new(epochs));
        Ok(Self { dir, slots, master, epochs, pairwise, places, decoy, decoy_key })
    }

    /// Draws a person: random id and key, a slot that is not durable yet (see [`Vault::sync`]).
    ///
    /// # Errors
    /// I/O, randomness.
    pub fn new_person(&self) -> Result<(Pointed, PersonKey), Error> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        new_person(&self.slots, epochs.current())
    }

    /// Makes all new slots durable: before the first entry of a new person is appended.
    ///
    /// # Errors
    /// I/O: stop writing, never retry.
    pub fn sync(&self) -> Result<(), Error> {
        self.slots.sync()
    }

    /// Overwrites every slot whose erasure tag is among these, durable when it answers; how many.
    ///
    /// # Errors
    /// I/O.
    pub fn overwrite(&self, tags: &BTreeSet<SubjectId>) -> Result<u64, Error> {
        let found = self.slots.find(tags)?;
        let slots: Vec<SlotNumber> = found.iter().map(|who| who.slot).collect();
        self.slots.wipe(&slots)?;
        Ok(slots.len() as u64)
    }

    /// Everybody whose slot has one of these erasure tags. Reads the whole slot file.
    ///
    /// # Errors
    /// I/O.
    pub fn tagged(&self, tags: &BTreeSet<SubjectId>) -> Result<Vec<Pointed>, Error> {
        self.slots.find(tags)
    }

    /// Whoever has one of `most` slots from that number on, and the number after the last one looked at;
    /// `None` past the end. Overwritten and damaged slots are passed over, and so are new ones that are
    /// not written yet.
    ///
    /// # Errors
    /// I/O.
    pub fn page(&self, from: SlotNumber, most: usize) -> Result<(Vec<Pointed>, Option<SlotNumber>), Error> {
        self.slots.page(from, most)
    }

    /// The erasure tag of a person's slot: what a certificate names her by.
    ///
    /// # Errors
    /// [`Error::Slot`] if the slot is damaged, overwritten or another person's.
    pub fn erasure_tag(&self, who: Pointed) -> Result<SubjectId, Error> {
        self.slots.tag(who)
    }

    /// Overwrites these slots, durable when it answers.
    ///
    /// # Errors
    /// I/O: stop writing; the next start does it again.
    pub fn wipe(&self, slots: &[SlotNumber]) -> Result<(), Error> {
        self.slots.wipe(slots)
    }

    /// Certificates of erasure below this index are carried out in this slot file: 0 where nothing says so.
    #[must_use]
    pub fn honoured(&self) -> u64 {
        let said = fs::read(self.dir.join(HONOURED)).unwrap_or_default();
        let index = said.first_chunk::<8>().map_or(0, |index| u64::from_be_bytes(*index));
        // Damaged, it says nothing: then all of them are looked at again.
        if said.get(8..).is_some_and(|sum| sum == slot::checksum(&index.to_be_bytes())) { index } else { 0 }
    }

    /// Remembers that they are, durable when it answers.
    ///
    /// # Errors
    /// I/O.
    pub fn set_honoured(&self, index: u64) -> Result<(), Error> {
        let said = index.to_be_bytes();
        epoch::replace(&self.dir.join(HONOURED), &[said.as_slice(), &slot::checksum(&said)].concat())
    }

    /// Reads a person's key.
    ///
    /// # Errors
    /// [`Error::Slot`] if the slot is damaged, overwritten or another person's.
    pub fn person_key(&self, who: Pointed) -> Result<PersonKey, Error> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        self.slots.read(who, &epochs)
    }

    /// The person that questions about nobody are decided against.
    #[must_use]
    pub const fn decoy(&self) -> (Pointed, &PersonKey) {
        (self.decoy, &self.decoy_key)
    }

    /// A key for records that are no person's alone, such as page tokens; it ends with the wrapping epoch.
    #[must_use]
    pub fn derived(&self, label: &str, id: &[u8]) -> Key {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        epochs.current().key.derive(&[b"naru-derived-v1", &[0], label.as_bytes(), &[0], id])
    }

    /// Seals who a name points at.
    ///
    /// # Errors
    /// The cryptographic library.
    pub fn seal_name(&self, name: &[u8], who: Pointed) -> Result<Vec<u8>, Error> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        point(epochs.current(), name, who)
    }

    /// Opens who a name points at.
    ///
    /// # Errors
    /// [`Error::Unsealed`] if the row is damaged or another name's.
    pub fn open_name(&self, name: &[u8], sealed: &[u8]) -> Result<Pointed, Error> {
        let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
        pointed(&epochs, name, sealed)
    }

    /// An opaque name for a record that no person's key may name: the same for the same parts.
    #[must_use]
    pub fn opaque_name(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut framed: Vec<&[u8]> = vec![b"naru-opaque-v1", &[0], label.as_bytes()];
        // A zero in front of each: labels and names of parties hold none, and what is last may hold any.
        parts.iter().for_each(|part| framed.extend([&[0][..], part]));
        self.pairwise.mac(&framed)
    }

    /// The person's ppid in a domain (`<party>/<epoch>`, or `<origin>/0`). Source: design §7.
    #[must_use]
    pub fn ppid(&self, domain: &str, subject: &SubjectId) -> Ppid {
        let mac = self.pairwise.mac(&[b"naru-ppid-v1", &[0], domain.as_bytes(), &[0], subject.as_bytes()]);
        let mut out = [0u8; 16];
        out.iter_mut().zip(mac).for_each(|(o, m)| *o = m);
        Ppid(out)
    }
}

/// File that says how far certificates of erasure were carried out.
const HONOURED: &str = "honoured";
/// File that says who questions about nobody are decided against.
const DECOY: &str = "decoy";

fn new_person(slots: &SlotFile, epoch: &Epoch) -> Result<(Pointed, PersonKey), Error> {
    let subject = SubjectId(seal::random()?);
    let key = PersonKey::from(Key::random()?.under(epoch.key.suite()));
    let slot = slots.write_new(subject, &key, epoch)?;
    Ok((Pointed { subject, slot }, key))
}

/// Sealed name value: `epoch (4) ‖ sealed {subject (16) ‖ slot (8)}`.
fn point(epoch: &Epoch, name: &[u8], who: Pointed) -> Result<Vec<u8>, Error> {
    let plain = [who.subject.as_bytes().as_slice(), &who.slot.0.to_be_bytes()].concat();
    let sealed = epoch.key.seal(&[b"name\0", name].concat(), &plain)?;
    Ok([epoch.number.to_be_bytes().as_slice(), &sealed].concat())
}

fn pointed(epochs: &Epochs, name: &[u8], sealed: &[u8]) -> Result<Pointed, Error> {
    let bad = || Error::Unsealed { what: "name" };
    let (epoch, sealed) = sealed.split_first_chunk::<4>().ok_or_else(bad)?;
    let epoch = epochs.get(u32::from_be_bytes(*epoch)).ok_or_else(bad)?;
    let plain = epoch.key.open(&[b"name\0", name].concat(), sealed, "name")?;
    let (subject, slot) = plain.split_first_chunk::<16>().ok_or_else(bad)?;
    let slot = <[u8; 8]>::try_from(slot).map_err(|_| bad())?;
    Ok(Pointed { subject: SubjectId(*subject), slot: SlotNumber(u64::from_be_bytes(slot)) })
}

fn read_wrapped(path: &Path, by: &Key, label: &'static str) -> Result<Key, Error> {
    let sealed = fs::read(path).map_err(io_at(path))?;
    let plain = zeroize::Zeroizing::new(by.open(label.as_bytes(), &sealed, label)?);
    Key::from_slice(&plain).ok_or_else(|| Error::KeyFile { path: path.to_owned() })
}

/// Writes a file that must not exist, readable by its owner alone, durable.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io_at(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_at(path))
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io_at(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> (tempfile::TempDir, Key, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let master = Key::from_slice(&[7; 32]).unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &master).unwrap();
        (dir, master, vault)
    }

    #[test]
    fn a_person_survives_reopening_and_only_under_her_own_slot() {
        let (dir, master, vault) = vault();
        let (a, key) = vault.new_person().unwrap();
        let (b, _) = vault.new_person().unwrap();
        vault.sync().unwrap();
        drop(vault);
        let vault = Vault::open(&dir.path().join("vault"), &master).unwrap();
        assert_eq!(vault.person_key(a).unwrap().openings(&[1; 32]).k1, key.openings(&[1; 32]).k1);
        let crossed = Pointed { subject: a.subject, slot: b.slot };
        assert!(matches!(vault.person_key(crossed), Err(Error::Slot { .. })));
        let beyond = Pointed { subject: a.subject, slot: SlotNumber(99) };
        assert!(vault.person_key(beyond).is_err());
    }

    #[test]
    fn a_slot_is_readable_before_and_after_it_is_written_whatever_lies_between() {
        let (dir, master, vault) = vault();
        let mut all = Vec::new();
        for n in 0..100 {
            all.push(vault.new_person().unwrap());
            if n % 7 == 0 {
                vault.sync().unwrap();
            }
        }
        let opens = |vault: &Vault, (who, key): &(Pointed, PersonKey)| {
            vault.person_key(*who).unwrap().openings(&[1; 32]) == key.openings(&[1; 32])
        };
        assert!(all.iter().all(|one| opens(&vault, one)));
        vault.sync().unwrap();
        drop(vault);
        let vault = Vault::open(&dir.path().join("vault"), &master).unwrap();
        assert!(all.iter().all(|one| opens(&vault, one)));
        // A slot that was never synced is gone, and its number is given to the next.
        let (lost, _) = vault.new_person().unwrap();
        drop(vault);
        let vault = Vault::open(&dir.path().join("vault"), &master).unwrap();
        assert!(vault.person_key(lost).is_err());
        assert_eq!(vault.new_person().unwrap().0.slot, lost.slot);
        assert!(vault.person_key(lost).is_err(), "another person's now");
    }

    #[test]
    fn a_flipped_bit_in_a_slot_is_noticed() {
        let (dir, master, vault) = vault();
        let (who, _) = vault.new_person().unwrap();
        vault.sync().unwrap();
        drop(vault);
        let path = dir.path().join("vault/slots");
        let bytes = fs::read(&path).unwrap();
        for at in 128..228 {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            let vault = Vault::open(&dir.path().join("vault"), &master).unwrap();
            assert!(vault.person_key(who).is_err(), "byte {at}");
        }
    }

    #[test]
    fn names_open_only_under_their_own_name() {
        let (_dir, _, vault) = vault();
        let (who, _) = vault.new_person().unwrap();
        let sealed = vault.seal_name(b"one", who).unwrap();
        assert_eq!(vault.open_name(b"one", &sealed).unwrap(), who);
        assert!(vault.open_name(b"two", &sealed).is_err());
        assert!(vault.open_name(b"one", &sealed[..20]).is_err());
    }

    #[test]
    fn ppids_differ_by_domain_and_person_and_stay() {
        let (dir, master, vault) = vault();
        let (a, b) = (SubjectId([1; 16]), SubjectId([2; 16]));
        let ppid = vault.ppid("bank/0", &a);
        assert_ne!(ppid, vault.ppid("hospital/0", &a));
        assert_ne!(ppid, vault.ppid("bank/0", &b));
        drop(vault);
        assert_eq!(Vault::open(&dir.path().join("vault"), &master).unwrap().ppid("bank/0", &a), ppid);
    }

    #[test]
    fn a_wrong_master_key_and_a_second_vault_are_refused() {
        let (dir, master, vault) = vault();
        drop(vault);
        let path = dir.path().join("vault");
        assert!(matches!(Vault::create(&path, &master), Err(Error::Exists { .. })));
        let other = Key::from_slice(&[8; 32]).unwrap();
        assert!(matches!(Vault::open(&path, &other), Err(Error::Unsealed { .. })));
    }
}
