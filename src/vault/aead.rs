//! Authenticated encryption under a key that may be used once: what each suite's cipher is made by.
//!
//! AES and `ChaCha20` by aws-lc, whose set-up of a key is a fraction of a microsecond: almost every record has a key
//! of its own, and openssl 3.0 looks its parameters up by name at each (0.87 µs a use line instead of 0.36).
//! ARIA by openssl, which alone has it. The bytes are the same: a test opens with one what the other
//! sealed. Lacks nonces, and what is bound to what (`seal`).

use std::cell::RefCell;
use std::sync::LazyLock;

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::Algorithm;
use aws_lc_rs::aead::CHACHA20_POLY1305;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::error::ErrorStack;

use crate::vault::Error;
use crate::vault::Suite;

/// Bytes of a nonce.
pub(in crate::vault) const NONCE: usize = 12;
/// Bytes of a tag.
pub(in crate::vault) const TAG: usize = 16;

const fn native(suite: Suite) -> Option<&'static Algorithm> {
    match suite {
        Suite::Aes256Gcm => Some(&AES_256_GCM),
        Suite::ChaCha20Poly1305 => Some(&CHACHA20_POLY1305),
        Suite::Aria256Gcm => None,
    }
}

fn key_of(algorithm: &'static Algorithm, key: &[u8; 32]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| Error::Aead)?))
}

/// Appends ciphertext and tag to `out`; after an error `out` ends in rubbish.
///
/// # Errors
/// The cryptographic library.
pub(in crate::vault) fn seal(
    suite: Suite,
    key: &[u8; 32],
    nonce: [u8; NONCE],
    ad: &[u8],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let Some(algorithm) = native(suite) else { return openssl_seal(suite, key, &nonce, ad, plain, out) };
    let from = out.len();
    out.extend_from_slice(plain);
    let body = out.get_mut(from..).unwrap_or_default();
    let tag = key_of(algorithm, key)?
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(ad), body)
        .map_err(|_| Error::Aead)?;
    out.extend_from_slice(tag.as_ref());
    Ok(())
}

/// What ciphertext and tag in `sealed` hold; `None` if they are not what was sealed under this key, nonce and `ad`.
///
/// # Errors
/// The cryptographic library.
pub(in crate::vault) fn open(
    suite: Suite,
    key: &[u8; 32],
    nonce: [u8; NONCE],
    ad: &[u8],
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    let Some(algorithm) = native(suite) else { return Ok(openssl_open(suite, key, &nonce, ad, sealed).ok()) };
    let mut out = sealed.to_vec();
    let opened =
        key_of(algorithm, key)?.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(ad), &mut out);
    let Ok(length) = opened.map(|plain| plain.len()) else { return Ok(None) };
    out.truncate(length);
    Ok(Some(out))
}

type Ciphers = [LazyLock<Result<Cipher, ErrorStack>>; Suite::ALL.len()];

/// Each suite's cipher of openssl, fetched once: a fetch for each record costs more than the record.
static CIPHERS: Ciphers = [
    LazyLock::new(|| Cipher::fetch(None, Suite::Aes256Gcm.cipher(), None)),
    LazyLock::new(|| Cipher::fetch(None, Suite::ChaCha20Poly1305.cipher(), None)),
    LazyLock::new(|| Cipher::fetch(None, Suite::Aria256Gcm.cipher(), None)),
];

/// Contexts that have their cipher: a new key then costs no new set-up of the library.
struct Contexts {
    sealing: CipherCtx,
    opening: CipherCtx,
}

impl Contexts {
    fn new(suite: Suite) -> Result<Self, Error> {
        let cipher = CIPHERS.get(usize::from(suite.id())).ok_or(Error::Aead)?;
        let cipher = cipher.as_ref().map_err(|e| Error::Crypto(e.clone()))?;
        let (mut sealing, mut opening) = (CipherCtx::new()?, CipherCtx::new()?);
        sealing.encrypt_init(Some(cipher), None, None)?;
        opening.decrypt_init(Some(cipher), None, None)?;
        Ok(Self { sealing, opening })
    }
}

thread_local! {
    static CONTEXTS: [RefCell<Option<Contexts>>; Suite::ALL.len()] =
        const { [const { RefCell::new(None) }; Suite::ALL.len()] };
}

/// Runs `work` with this thread's contexts of a suite.
fn with_contexts<T>(
    suite: Suite,
    work: impl FnOnce(&mut Contexts) -> Result<T, ErrorStack>,
) -> Result<T, Error> {
    CONTEXTS.with(|all| {
        let of_suite = all.get(usize::from(suite.id())).ok_or(Error::Aead)?;
        let mut kept = of_suite.borrow_mut();
        let contexts = match &mut *kept {
            Some(contexts) => contexts,
            None => kept.insert(Contexts::new(suite)?),
        };
        Ok(work(contexts)?)
    })
}

fn openssl_seal(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    ad: &[u8],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut tag = [0u8; TAG];
    with_contexts(suite, |Contexts { sealing: context, .. }| {
        context.encrypt_init(None, Some(key), Some(nonce))?;
        context.cipher_update(ad, None)?;
        context.cipher_update_vec(plain, out)?;
        context.cipher_final_vec(out)?;
        context.tag(&mut tag)
    })?;
    out.extend_from_slice(&tag);
    Ok(())
}

fn openssl_open(
    suite: Suite,
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    ad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Error::Aead)?;
    let mut out = Vec::with_capacity(body.len() + TAG);
    with_contexts(suite, |Contexts { opening: context, .. }| {
        context.decrypt_init(None, Some(key), Some(nonce))?;
        context.set_tag(tag)?;
        context.cipher_update(ad, None)?;
        context.cipher_update_vec(body, &mut out)?;
        context.cipher_final_vec(&mut out)
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_library_seals_the_other_opens_and_no_changed_byte() {
        let (key, nonce) = ([1; 32], [2; NONCE]);
        for suite in Suite::ALL {
            for plain in [&[][..], b"plain", &[7; 1_000]] {
                let (mut own, mut other) = (b"before".to_vec(), b"before".to_vec());
                seal(suite, &key, nonce, b"ad", plain, &mut own).unwrap();
                openssl_seal(suite, &key, &nonce, b"ad", plain, &mut other).unwrap();
                assert_eq!(own, other, "{suite:?}");
                let sealed = own.strip_prefix(b"before").unwrap();
                assert_eq!(sealed.len(), plain.len() + TAG);
                let opened = |sealed: &[u8], ad: &[u8]| open(suite, &key, nonce, ad, sealed).unwrap();
                assert_eq!(opened(sealed, b"ad").as_deref(), Some(plain));
                assert_eq!(openssl_open(suite, &key, &nonce, b"ad", sealed).unwrap(), plain);
                assert_eq!((opened(sealed, b"da"), opened(&sealed[1..], b"ad")), (None, None));
                for at in 0..sealed.len() {
                    let mut bad = sealed.to_vec();
                    bad[at] ^= 1;
                    assert_eq!(opened(&bad, b"ad"), None, "{suite:?} byte {at}");
                }
            }
            assert_eq!(open(suite, &key, nonce, b"ad", &[0; TAG - 1]).unwrap(), None);
        }
    }
}
