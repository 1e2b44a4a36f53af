//! Authenticated encryption and key derivation of one key.
//!
//! Sealed bytes: `nonce (12) ‖ ciphertext ‖ tag (16)`, AES-256-GCM by openssl.

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use openssl::symm::Cipher;
use openssl::symm::decrypt_aead;
use openssl::symm::encrypt_aead;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::vault::Error;
use crate::vault::Sealed;

/// 32 secret bytes; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Draws `N` random bytes from the system.
pub(in crate::vault) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut out = [0u8; N];
    #[expect(clippy::disallowed_methods, reason = "the vault is one of the two places that draw randomness")]
    getrandom::fill(&mut out).map_err(Error::Randomness)?;
    Ok(out)
}

impl Key {
    /// A key of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|k| Self(Zeroizing::new(k)))
    }

    /// A fresh random key.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn random() -> Result<Self, Error> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    pub(in crate::vault) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// HMAC-SHA-256 over the parts in a row.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key shorter than the block is padded with zeros (RFC 2104 section 2): this cannot fail.
        let mut block = Zeroizing::new([0u8; 64]);
        block.iter_mut().zip(self.0.iter()).for_each(|(b, k)| *b = *k);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        parts.iter().for_each(|p| mac.update(p));
        mac.finalize().into_bytes().into()
    }

    /// Seals `plain`, bound to `ad`.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal(&self, ad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; 12] = random()?;
        let mut tag = [0u8; 16];
        let body = encrypt_aead(Cipher::aes_256_gcm(), self.0.as_slice(), Some(&nonce), ad, plain, &mut tag)?;
        Ok([nonce.as_slice(), &body, &tag].concat())
    }

    /// Opens what [`Key::seal`] made under the same `ad`; `what` names it in the error.
    ///
    /// # Errors
    /// [`Error::Unsealed`].
    pub fn open(&self, ad: &[u8], sealed: &[u8], what: &'static str) -> Result<Vec<u8>, Error> {
        let bad = || Error::Unsealed { what };
        let (nonce, rest) = sealed.split_first_chunk::<12>().ok_or_else(bad)?;
        let (body, tag) = rest.split_last_chunk::<16>().ok_or_else(bad)?;
        decrypt_aead(Cipher::aes_256_gcm(), self.0.as_slice(), Some(nonce), ad, body, tag).map_err(|_| bad())
    }
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

    /// k₁ and k₂ of the statement `id`.
    #[must_use]
    pub fn openings(&self, id: &[u8; StatementId::LEN]) -> Openings {
        Openings { k1: self.0.mac(&[b"naru-k1", &[0], id]), k2: self.0.mac(&[b"naru-k2", &[0], id]) }
    }

    /// An opaque name for a record of hers: 16 bytes, the same for the same `plain`.
    #[must_use]
    pub fn record_name(&self, plain: &[u8]) -> [u8; 16] {
        let mut out = [0u8; 16];
        out.iter_mut().zip(self.0.mac(&[b"naru-name", &[0], plain])).for_each(|(o, m)| *o = m);
        out
    }

    /// Seals one record under a key of its own, bound to kind, person and record id.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal(&self, kind: Sealed, who: &SubjectId, record: &[u8], plain: &[u8]) -> Result<Vec<u8>, Error> {
        self.record_key(record).seal(&associated(kind, who, record), plain)
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
        };
        self.record_key(record).open(&associated(kind, who, record), sealed, what)
    }

    fn record_key(&self, record: &[u8]) -> Key {
        Key(Zeroizing::new(self.0.mac(&[b"naru-seal", &[0], record])))
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
    }

    #[test]
    fn keys_are_never_printed() {
        assert_eq!(format!("{:?}", Key::from_slice(&[0x41; 32]).unwrap()), "Key(..)");
    }
}
