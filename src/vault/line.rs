//! Where a use line stands, and whose it is: one key of the node, one cipher call a line.
//!
//! Three AES-256 blocks are made of each place: the first *is* the decision's id,
//! so an id leads to its line without an index and tells nobody else anything; the
//! other two hide the pointer to the person in the frame. A place is used once, so
//! no block repeats. The key lies in the vault's folder for as long as the node
//! lives: a new one would make ids of old lines lead nowhere.
//!
//! What it does not hide: after the key of an erased person is gone, the node still
//! sees which of its unreadable lines belong together.

use std::cell::RefCell;
use std::path::Path;
use std::sync::LazyLock;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;
use openssl::memcmp;

use crate::model::id::DecisionId;
use crate::model::id::SubjectId;
use crate::vault::Error;
use crate::vault::Key;
use crate::vault::Pointed;
use crate::vault::SlotNumber;
use crate::vault::Vault;
use crate::vault::read_wrapped;
use crate::vault::write_new;

/// Bytes of a hidden pointer.
pub const POINTER: usize = 24;
const BLOCK: usize = 16;
/// Segments are numbered below this: the top byte of a block says what it is for.
const SEGMENTS: u64 = 1 << 56;

/// What a place in the use log gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Name of the decision whose line stands there.
    pub id: DecisionId,
    mask: [u8; POINTER],
}

impl Placed {
    /// Hides who the line is about.
    #[must_use]
    pub fn hide(&self, who: Pointed) -> [u8; POINTER] {
        let mut out = [0u8; POINTER];
        let (subject, slot) = out.split_at_mut(BLOCK);
        subject.copy_from_slice(who.subject.as_bytes());
        slot.copy_from_slice(&who.slot.0.to_be_bytes());
        out.iter_mut().zip(self.mask).for_each(|(o, m)| *o ^= m);
        out
    }

    /// Whom a hidden pointer names: trusted only once her key has opened the line.
    #[must_use]
    pub fn show(&self, hidden: &[u8; POINTER]) -> Pointed {
        let mut plain = self.mask;
        plain.iter_mut().zip(hidden).for_each(|(p, h)| *p ^= h);
        let (mut subject, mut slot) = ([0u8; 16], [0u8; 8]);
        subject.iter_mut().chain(&mut slot).zip(plain).for_each(|(o, p)| *o = p);
        Pointed { subject: SubjectId(subject), slot: SlotNumber(u64::from_be_bytes(slot)) }
    }
}

/// The key of places, made by the first start that needs it.
pub(in crate::vault) fn places(dir: &Path, master: &Key) -> Result<Key, Error> {
    let path = dir.join("places.key");
    if !path.exists() {
        write_new(&path, &master.seal(b"places", Key::random()?.expose())?)?;
        crate::vault::sync_dir(dir)?;
    }
    read_wrapped(&path, master, "places")
}

fn block(part: u8, segment: u64, offset: u64) -> [u8; BLOCK] {
    let head = u64::from(part) << 56 | segment;
    (u128::from(head) << 64 | u128::from(offset)).to_be_bytes()
}

/// AES-256 block by block, fetched once.
static AES: LazyLock<Result<Cipher, ErrorStack>> = LazyLock::new(|| Cipher::fetch(None, "AES-256-ECB", None));

/// Contexts that have cipher and key: one encrypts, the other decrypts.
struct Contexts {
    key: Key,
    forth: CipherCtx,
    back: CipherCtx,
}

impl Contexts {
    fn new(key: &Key) -> Result<Self, Error> {
        let cipher = AES.as_ref().map_err(|e| Error::Crypto(e.clone()))?;
        let (mut forth, mut back) = (CipherCtx::new()?, CipherCtx::new()?);
        forth.encrypt_init(Some(cipher), Some(key.expose()), None)?;
        back.decrypt_init(Some(cipher), Some(key.expose()), None)?;
        forth.set_padding(false);
        back.set_padding(false);
        Ok(Self { key: key.clone(), forth, back })
    }
}

thread_local! {
    // A process has one vault, a test may have several.
    static CONTEXTS: RefCell<Option<Contexts>> = const { RefCell::new(None) };
}

enum Way {
    Forth,
    Back,
}

fn aes<const N: usize>(key: &Key, way: &Way, input: &[u8; N]) -> Result<[u8; N], Error> {
    CONTEXTS.with_borrow_mut(|kept| {
        let contexts = match kept {
            Some(contexts) if memcmp::eq(contexts.key.expose(), key.expose()) => contexts,
            _ => kept.insert(Contexts::new(key)?),
        };
        // Block by block and without padding, a context holds nothing from one call to the next.
        let context = match way {
            Way::Forth => &mut contexts.forth,
            Way::Back => &mut contexts.back,
        };
        // The library asks for room of one block more than it fills.
        let mut room = [0u8; 4 * BLOCK];
        let filled = context.cipher_update(input, Some(&mut room))?;
        let out = room.first_chunk::<N>().filter(|_| filled == N);
        out.copied().ok_or(Error::Unsealed { what: "place" })
    })
}

impl Vault {
    /// Name and mask of the line at `offset` of `segment`.
    ///
    /// # Errors
    /// The cryptographic library.
    pub fn place(&self, segment: u64, offset: u64) -> Result<Placed, Error> {
        if segment >= SEGMENTS {
            return Err(Error::Unsealed { what: "place" });
        }
        let mut blocks = [0u8; 3 * BLOCK];
        for (out, part) in blocks.as_chunks_mut::<BLOCK>().0.iter_mut().zip(0..) {
            *out = block(part, segment, offset);
        }
        let made = aes(&self.places, &Way::Forth, &blocks)?;
        let cut = made.split_first_chunk::<BLOCK>().and_then(|(id, rest)| Some((*id, *rest.first_chunk()?)));
        let (id, mask) = cut.ok_or(Error::Unsealed { what: "place" })?;
        Ok(Placed { id: DecisionId(id), mask })
    }

    /// Segment and offset of a decision; `None` if the id is not one this node made.
    ///
    /// # Errors
    /// The cryptographic library.
    pub fn place_of(&self, id: &DecisionId) -> Result<Option<(u64, u64)>, Error> {
        let plain = aes(&self.places, &Way::Back, &id.0)?;
        let ([segment, offset], _) = plain.as_chunks::<8>() else { return Ok(None) };
        let segment = u64::from_be_bytes(*segment);
        Ok((segment < SEGMENTS).then_some((segment, u64::from_be_bytes(*offset))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(dir: &Path) -> Vault {
        let master = Key::from_slice(&[7; 32]).unwrap();
        let path = dir.join("vault");
        if path.exists() { Vault::open(&path, &master) } else { Vault::create(&path, &master) }.unwrap()
    }

    #[test]
    fn an_id_leads_back_to_its_place_over_a_start_and_no_other_id_does() {
        let dir = tempfile::tempdir().unwrap();
        let places = [(0, 0), (0, 96), (1, 96), ((1 << 56) - 1, u64::MAX)];
        let ids = places.map(|(s, o)| vault(dir.path()).place(s, o).unwrap().id);
        let again = vault(dir.path());
        for (id, place) in ids.iter().zip(places) {
            assert_eq!(again.place_of(id).unwrap(), Some(place));
            let mut other = *id;
            other.0[15] ^= 1;
            assert_ne!(again.place_of(&other).unwrap(), Some(place));
        }
        assert!(again.place(1 << 56, 0).is_err());
    }

    #[test]
    fn a_pointer_is_hidden_differently_at_each_place() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(dir.path());
        let who = Pointed { subject: SubjectId([5; 16]), slot: SlotNumber(9) };
        let (a, b) = (vault.place(0, 96).unwrap(), vault.place(0, 200).unwrap());
        assert_eq!(a.show(&a.hide(who)), who);
        assert_ne!(a.hide(who), b.hide(who));
        assert_ne!(b.show(&a.hide(who)), who);
    }

    #[test]
    fn a_vault_made_before_places_were_gets_a_key() {
        let dir = tempfile::tempdir().unwrap();
        drop(vault(dir.path()));
        std::fs::remove_file(dir.path().join("vault/places.key")).unwrap();
        vault(dir.path()).place(0, 0).unwrap();
    }
}
