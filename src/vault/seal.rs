//! Authenticated encryption and key derivation of one key.
//!
//! Sealed bytes: `nonce (12) ‖ ciphertext ‖ tag (16)`, under the key's suite (`aead`). Which
//! suite that is stands beside the key, never in the sealed bytes: nobody who brings bytes
//! chooses how they are opened.

use std::cell::RefCell;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::model::id::DecisionId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::vault::Error;
use crate::vault::Sealed;
use crate::vault::Suite;
use crate::vault::aead;
use crate::vault::aead::NONCE;
use crate::vault::aead::TAG;

/// Bytes by which sealing makes longer, under each suite: nonce and tag.
pub const SEAL: usize = NONCE + TAG;

/// 32 secret bytes and the suite they seal with; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<[u8; 32]>,
    suite: Suite,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Randomness drawn from the system in blocks: one call serves many nonces and keys.
struct Drawn {
    block: [u8; Drawn::LEN],
    left: usize,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { block: [0; Drawn::LEN], left: 0 }) };
}

impl Drawn {
    const LEN: usize = 1_024;

    /// Gives out bytes that were never given out, and wipes them here.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.left < N {
            #[expect(
                clippy::disallowed_methods,
                reason = "the vault is one of the two places that draw randomness"
            )]
            getrandom::fill(&mut self.block).map_err(Error::Randomness)?;
            self.left = Self::LEN;
        }
        let mut out = [0u8; N];
        let from = self.left.checked_sub(N).and_then(|from| self.block.get_mut(from..self.left));
        // INVARIANT: no more than a block is ever asked for.
        let from = from.ok_or(Error::Unsealed { what: "randomness" })?;
        out.copy_from_slice(from);
        from.zeroize();
        self.left -= N;
        Ok(out)
    }
}

/// Draws `N` random bytes from the system.
pub(in crate::vault) fn random<const N: usize>() -> Result<[u8; N], Error> {
    DRAWN.with_borrow_mut(Drawn::take)
}

impl Key {
    /// A key of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0u8; 32]);
        (bytes.len() == key.len()).then(|| key.copy_from_slice(bytes))?;
        Some(Self { bytes: key, suite: Suite::default() })
    }

    /// The key that follows from this one for these parts.
    pub(in crate::vault) fn derive(&self, parts: &[&[u8]]) -> Self {
        Self { bytes: Zeroizing::new(self.mac(parts)), suite: Suite::default() }
    }

    /// The same bytes under another suite.
    #[must_use]
    pub(in crate::vault) fn under(self, suite: Suite) -> Self {
        Self { suite, ..self }
    }

    pub(in crate::vault) const fn suite(&self) -> Suite {
        self.suite
    }

    /// A fresh random key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn random() -> Result<Self, Error> {
        let drawn = Zeroizing::new(random::<32>()?);
        Ok(Self { bytes: drawn, suite: Suite::default() })
    }

    pub(in crate::vault) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// HMAC-SHA-256 over the parts in a row.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        derived(self.keyed(), parts)
    }

    /// HMAC-SHA-256 that has taken in the key: half the work of a short one, to be cloned for several.
    fn keyed(&self) -> Hmac<Sha256> {
        // A key shorter than the block is padded with zeros (RFC 2104 section 2): this cannot fail.
        let mut block = Zeroizing::new([0u8; 64]);
        block.iter_mut().zip(self.bytes.iter()).for_each(|(b, k)| *b = *k);
        Hmac::new((&*block).into())
    }

    /// Seals `plain`, bound to `ad`.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal(&self, ad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(SEAL + plain.len());
        self.seal_into(ad, plain, &mut out)?;
        Ok(out)
    }

    /// As [`Key::seal`], appended to `out`; after an error `out` ends in rubbish.
    fn seal_into(&self, ad: &[u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let nonce: [u8; NONCE] = random()?;
        out.extend_from_slice(&nonce);
        aead::seal(self.suite, &self.bytes, nonce, ad, plain, out)
    }

    /// Opens what [`Key::seal`] made under the same `ad`; `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Unsealed`]; the cryptographic library.
    pub fn open(&self, ad: &[u8], sealed: &[u8], what: &'static str) -> Result<Vec<u8>, Error> {
        let bad = || Error::Unsealed { what };
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or_else(bad)?;
        aead::open(self.suite, &self.bytes, *nonce, ad, rest)?.ok_or_else(bad)
    }
}

fn derived(mut keyed: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().for_each(|p| keyed.update(p));
    keyed.finalize().into_bytes().into()
}

/// The two openings of one commitment. Source: design §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openings {
    /// Opens the statement.
    pub k1: [u8; 32],
    /// Opens the proof.
    pub k2: [u8; 32],
}

/// A person's key: everything of hers is sealed and opened by what is derived from it.
#[derive(Clone, Debug)]
pub struct PersonKey(Key);

impl From<Key> for PersonKey {
    fn from(key: Key) -> Self {
        Self(key)
    }
}

impl PersonKey {
    pub(in crate::vault) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(in crate::vault) const fn suite(&self) -> Suite {
        self.0.suite()
    }

    /// k₁ and k₂ of the statement `id`.
    #[must_use]
    pub fn openings(&self, id: &[u8; StatementId::LEN]) -> Openings {
        self.keyed().openings(id)
    }

    /// Tag of her n-th use line in a segment: nobody without the key can tell that two belong together.
    #[must_use]
    pub fn line_tag(&self, segment: u64, n: u64) -> [u8; 8] {
        let mac = self.0.mac(&[b"naru-line-at", &[0], &segment.to_be_bytes(), &n.to_be_bytes()]);
        let mut out = [0u8; 8];
        out.iter_mut().zip(mac).for_each(|(o, m)| *o = m);
        out
    }

    /// An opaque name for a record of hers: 16 bytes, the same for the same parts, of at most 255 bytes each.
    #[must_use]
    pub fn record_name<const N: usize>(&self, parts: [&str; N]) -> [u8; 16] {
        // With their lengths in front, the parts cannot be shifted against each other.
        let lengths = parts.map(|part| u8::try_from(part.len()).unwrap_or(u8::MAX));
        let head: [&[u8]; 3] = [b"naru-name", &[0], &lengths];
        let mac = self.0.mac(&[head.as_slice(), parts.map(str::as_bytes).as_slice()].concat());
        let mut out = [0u8; 16];
        out.iter_mut().zip(mac).for_each(|(o, m)| *o = m);
        out
    }

    /// Seals one record under a key of its own, bound to kind, person and record id.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal(&self, kind: Sealed, who: &SubjectId, record: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.keyed().seal(kind, who, record, plain)
    }

    /// Opens one use line. Source: design §4, §6.
    #[must_use]
    pub fn line_key(&self, id: &DecisionId) -> [u8; 32] {
        self.keyed().line_key(id)
    }

    /// Opens the exact reason of one use line: does not follow from the line's key.
    #[must_use]
    pub fn exact_key(&self, id: &DecisionId) -> [u8; 32] {
        self.keyed().exact_key(id)
    }

    /// Opens one record.
    ///
    /// # Errors
    /// [`Error::Unsealed`] if it is damaged, another record's or another person's.
    pub fn open(
        &self,
        kind: Sealed,
        who: &SubjectId,
        record: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let what = match kind {
            Sealed::Body => "body",
            Sealed::State => "state row",
            Sealed::Line => "use line",
            Sealed::Handover => "handover",
            Sealed::Document => "document",
            Sealed::Transfer => "transfer",
            Sealed::Rest => "rest",
            Sealed::Held => "held record",
            Sealed::Item => "item",
        };
        self.keyed().record_key(record).open(&associated(kind, who, record), sealed, what)
    }

    /// The key taken in once, where several keys are derived from it at a time.
    #[must_use]
    pub fn keyed(&self) -> Keyed {
        Keyed { mac: self.0.keyed(), suite: self.0.suite }
    }
}

/// A person's key, taken into the HMAC that all keys of hers are derived by.
#[derive(Clone, Debug)]
pub struct Keyed {
    mac: Hmac<Sha256>,
    suite: Suite,
}

impl Keyed {
    /// As [`PersonKey::openings`].
    #[must_use]
    pub fn openings(&self, id: &[u8; StatementId::LEN]) -> Openings {
        Openings { k1: self.derive(b"naru-k1", id), k2: self.derive(b"naru-k2", id) }
    }

    /// As [`PersonKey::line_key`].
    #[must_use]
    pub fn line_key(&self, id: &DecisionId) -> [u8; 32] {
        self.derive(b"naru-line", &id.0)
    }

    /// As [`PersonKey::exact_key`].
    #[must_use]
    pub fn exact_key(&self, id: &DecisionId) -> [u8; 32] {
        self.derive(b"naru-line-exact", &id.0)
    }

    /// As [`PersonKey::seal`].
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal(&self, kind: Sealed, who: &SubjectId, record: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.record_key(record).seal(&associated(kind, who, record), plain)
    }

    /// As [`PersonKey::seal`], appended to `out`; after an error `out` ends in rubbish.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal_into(
        &self,
        kind: Sealed,
        who: &SubjectId,
        record: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.record_key(record).seal_into(&associated(kind, who, record), plain, out)
    }

    fn record_key(&self, record: &[u8]) -> Key {
        let bytes = Zeroizing::new(self.derive(b"naru-seal", record));
        Key { bytes, suite: self.suite }
    }

    fn derive(&self, label: &[u8], of: &[u8]) -> [u8; 32] {
        derived(self.mac.clone(), &[label, &[0], of])
    }
}

/// Associated data: kind ‖ 0 ‖ subject ‖ record id.
fn associated(kind: Sealed, who: &SubjectId, record: &[u8]) -> Vec<u8> {
    [kind.label(), &[0], who.as_bytes(), record].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_only_as_itself() {
        let key = PersonKey::from(Key::from_slice(&[1; 32]).unwrap());
        let who = SubjectId([2; 16]);
        let sealed = key.seal(Sealed::Body, &who, b"id", b"plain").unwrap();
        assert_eq!(key.open(Sealed::Body, &who, b"id", &sealed).unwrap(), b"plain");
        assert!(key.open(Sealed::State, &who, b"id", &sealed).is_err());
        assert!(key.open(Sealed::Body, &SubjectId([3; 16]), b"id", &sealed).is_err());
        assert!(key.open(Sealed::Body, &who, b"ie", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 0x80;
            assert!(key.open(Sealed::Body, &who, b"id", &bad).is_err(), "byte {at}");
        }
        assert!(key.open(Sealed::Body, &who, b"id", &sealed[..10]).is_err());
        // A refusal leaves nothing behind in the thread's contexts.
        assert_eq!(key.open(Sealed::Body, &who, b"id", &sealed).unwrap(), b"plain");
    }

    #[test]
    fn every_suite_seals_and_only_itself_opens() {
        let key = |suite| Key::from_slice(&[1; 32]).unwrap().under(suite);
        for suite in Suite::ALL {
            let sealed = key(suite).seal(b"ad", b"plain").unwrap();
            assert_eq!(sealed.len(), SEAL + 5);
            for other in Suite::ALL {
                let opened = key(other).open(b"ad", &sealed, "test");
                assert_eq!(opened.is_ok(), other == suite, "{suite:?} by {other:?}");
            }
            let mut bad = sealed.clone();
            bad[14] ^= 1;
            assert!(key(suite).open(b"ad", &bad, "test").is_err());
            assert!(key(suite).open(b"da", &sealed, "test").is_err());
            assert_eq!(Suite::of_id(suite.id()), Some(suite));
            assert_eq!(Suite::parse(suite.as_str()), Some(suite));
        }
        assert_eq!((Suite::of_id(3), Suite::default()), (None, Suite::Aes256Gcm));
    }

    #[test]
    fn keys_are_never_printed() {
        assert_eq!(format!("{:?}", Key::from_slice(&[0x41; 32]).unwrap()), "Key(..)");
    }
}
