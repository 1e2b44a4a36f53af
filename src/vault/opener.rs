//! What came sealed for this service is opened: the other half of the JWE row of [`receiver`].
//!
//! RFC 7516 compact, ECDH-ES on P-256 with A256GCM and nothing else: no compressed content (it
//! would be a bomb), no critical extension, no other agreement. The keys are files of the operator;
//! of several each is tried, so that what was sealed for an older one still opens. Lacks: age (it
//! is for people), and any memory of a key after its file is gone. Trusted: the keys and OpenSSL.
//! What is handed in is not trusted: it is at most as long as its caller lets it be.
//!
//! [`receiver`]: crate::vault::receiver

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::derive::Deriver;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::pkey::Public;
use openssl::symm::Cipher;
use openssl::symm::decrypt_aead;
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::vault::receiver;

/// Most keys of one service: the one in use and those before it.
pub const MOST_KEYS: usize = 8;
/// Longest header, bytes of its base64url.
const MAX_HEADER: usize = 4_096;

/// Why something is not opened, or a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotOpened {
    /// No private key on P-256 in PEM, without passphrase.
    #[error("no private key on P-256 (PEM, without passphrase)")]
    Key,
    /// No key, or more than [`MOST_KEYS`].
    #[error("there are 1 to {MOST_KEYS} keys")]
    Keys,
    /// No compact JWE by ECDH-ES and A256GCM.
    #[error("no compact JWE by ECDH-ES on P-256 and A256GCM")]
    Form,
    /// It was sealed for another key, or changed on its way.
    #[error("it was sealed for another key, or changed on its way")]
    Other,
}

/// The private keys that what arrives is sealed for, the one in use first.
pub struct Opener(Vec<PKey<Private>>);

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opener").field(&self.0.len()).finish()
    }
}

/// What was opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// The content.
    pub content: Vec<u8>,
    /// Its media type, if the header says one.
    pub media: Option<String>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

/// Source: RFC 7516 section 4.1, RFC 7518 section 4.6.1
#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    epk: Epk,
    cty: Option<String>,
    apu: Option<String>,
    apv: Option<String>,
    zip: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Epk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

fn plain(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl Epk {
    /// The sender's half; `None` if it is no point of the curve.
    fn key(&self) -> Option<PKey<Public>> {
        let half = |text: &str| plain(text).filter(|half| half.len() == 32);
        let (x, y) = (half(&self.x)?, half(&self.y)?);
        let fits = self.kty == "EC" && self.crv == "P-256";
        fits.then(|| receiver::p256_public(&x, &y).ok()).flatten()
    }
}

impl Opener {
    /// Reads the keys, each a PEM of its own.
    ///
    /// # Errors
    /// [`NotOpened::Key`], [`NotOpened::Keys`].
    pub fn of_pems(pems: &[Zeroizing<Vec<u8>>]) -> Result<Self, NotOpened> {
        if pems.is_empty() || pems.len() > MOST_KEYS {
            return Err(NotOpened::Keys);
        }
        let key = |pem: &Zeroizing<Vec<u8>>| {
            // The callback answers "no passphrase": without one OpenSSL would ask the terminal.
            let key = PKey::private_key_from_pem_callback(pem, |_| Ok(0)).ok()?;
            let curve = key.ec_key().ok()?.group().curve_name();
            (curve == Some(Nid::X9_62_PRIME256V1)).then_some(key)
        };
        pems.iter().map(|pem| key(pem).ok_or(NotOpened::Key)).collect::<Result<_, _>>().map(Self)
    }

    /// DER SPKI of the key in use: what the party registers as `transfer.key`.
    ///
    /// # Errors
    /// [`NotOpened::Key`]: the library cannot write it.
    pub fn spki(&self) -> Result<Vec<u8>, NotOpened> {
        self.0.first().and_then(|key| key.public_key_to_der().ok()).ok_or(NotOpened::Key)
    }

    /// Opens a compact JWE with whichever key fits.
    ///
    /// # Errors
    /// [`NotOpened::Form`], [`NotOpened::Other`].
    pub fn open(&self, jwe: &[u8]) -> Result<Opened, NotOpened> {
        let parts = Parts::read(jwe).ok_or(NotOpened::Form)?;
        let content = self.0.iter().find_map(|key| parts.open(key)).ok_or(NotOpened::Other)?;
        Ok(Opened { content, media: parts.media })
    }
}

/// A JWE taken apart.
struct Parts<'a> {
    /// As it was sent: the associated data.
    header: &'a str,
    theirs: PKey<Public>,
    media: Option<String>,
    parties: [Vec<u8>; 2],
    nonce: Vec<u8>,
    content: Vec<u8>,
    tag: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn read(jwe: &'a [u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(jwe).ok()?.split('.');
        let mut next = || parts.next();
        let (header, key, nonce, content, tag) = (next()?, next()?, next()?, next()?, next()?);
        if parts.next().is_some() || !key.is_empty() || header.len() > MAX_HEADER {
            return None;
        }
        let said: Header = serde_json::from_slice(&plain(header)?).ok()?;
        if said.alg != "ECDH-ES" || said.enc != "A256GCM" || said.zip.is_some() || said.crit.is_some() {
            return None;
        }
        let party = |text: &Option<String>| text.as_deref().map_or(Some(Vec::new()), plain);
        let (nonce, tag) = (plain(nonce)?, plain(tag)?);
        if nonce.len() != 12 || tag.len() != 16 {
            return None;
        }
        Some(Self {
            header,
            theirs: said.epk.key()?,
            media: said.cty.map(whole),
            parties: [party(&said.apu)?, party(&said.apv)?],
            nonce,
            content: plain(content)?,
            tag,
        })
    }

    fn open(&self, own: &PKey<Private>) -> Option<Vec<u8>> {
        let mut deriver = Deriver::new(own).ok()?;
        deriver.set_peer(&self.theirs).ok()?;
        let agreed = Zeroizing::new(deriver.derive_to_vec().ok()?);
        let [u, v] = &self.parties;
        let key = Zeroizing::new(receiver::concat_kdf(&agreed, [u, v]));
        let (nonce, aad) = (Some(self.nonce.as_slice()), self.header.as_bytes());
        decrypt_aead(Cipher::aes_256_gcm(), key.as_slice(), nonce, aad, &self.content, &self.tag).ok()
    }
}

/// A media type with what may be left out in a header. Source: RFC 7515 section 4.1.10
fn whole(media: String) -> String {
    if media.contains('/') { media } else { format!("application/{media}") }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use openssl::ec::EcGroup;
    use openssl::ec::EcKey;
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::vault::receiver::Receiver;

    fn pem() -> Zeroizing<Vec<u8>> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        Zeroizing::new(key.private_key_to_pem_pkcs8().unwrap())
    }

    /// The public JWK of the key in use.
    fn jwk(opener: &Opener) -> String {
        let spki = opener.spki().unwrap();
        let half = |n: usize| URL_SAFE_NO_PAD.encode(&spki[27 + 32 * n..59 + 32 * n]);
        json!({ "kty": "EC", "crv": "P-256", "x": half(0), "y": half(1) }).to_string()
    }

    fn sealed(jwk: &str, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let receiver = Receiver::jwk(jwk.as_bytes()).unwrap();
        let mut sealing = receiver.begin_of("application/json", &mut out).unwrap();
        sealing.write_all(content).unwrap();
        sealing.finish().unwrap();
        out
    }

    #[test]
    fn what_was_sealed_for_a_key_opens_with_it_in_use_or_before() {
        let (old, new) = (pem(), pem());
        let before = Opener::of_pems(std::slice::from_ref(&old)).unwrap();
        let now = Opener::of_pems(&[new, old]).unwrap();
        for of in [&before, &now] {
            let opened = now.open(&sealed(&jwk(of), b"{}")).unwrap();
            assert_eq!(
                (opened.content.as_slice(), opened.media.as_deref()),
                (&b"{}"[..], Some("application/json"))
            );
        }
        assert_eq!(before.open(&sealed(&jwk(&now), b"{}")), Err(NotOpened::Other));
        assert_eq!(Opener::of_pems(&[]).unwrap_err(), NotOpened::Keys);
        let ed = PKey::generate_ed25519().unwrap().private_key_to_pem_pkcs8().unwrap();
        assert_eq!(Opener::of_pems(&[Zeroizing::new(ed)]).unwrap_err(), NotOpened::Key);
    }

    #[test]
    fn a_changed_byte_another_form_and_junk_do_not_open() {
        let opener = Opener::of_pems(&[pem()]).unwrap();
        let good = sealed(&jwk(&opener), br#"{"account_num":"1"}"#);
        for at in [good.len() - 1, good.len() - 30] {
            let mut bad = good.clone();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            assert!(opener.open(&bad).is_err(), "{at}");
        }
        let text = String::from_utf8(good).unwrap();
        let (header, rest) = text.split_once('.').unwrap();
        let said: Value = serde_json::from_slice(&plain(header).unwrap()).unwrap();
        for (name, value) in [
            ("zip", json!("DEF")),
            ("crit", json!(["exp"])),
            ("alg", json!("RSA-OAEP")),
            ("enc", json!("A128GCM")),
            ("epk", json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" })),
        ] {
            let mut said = said.clone();
            said[name] = value;
            let jwe = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(said.to_string()));
            assert_eq!(opener.open(jwe.as_bytes()), Err(NotOpened::Form), "{name}");
        }
        for junk in ["", "....", "a.b.c.d.e", &format!("{text}.x"), &"A".repeat(10_000), "\u{0}"] {
            assert_eq!(opener.open(junk.as_bytes()), Err(NotOpened::Form));
        }
    }
}
