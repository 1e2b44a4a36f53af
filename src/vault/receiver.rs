//! What leaves, sealed for whoever shall receive it: one stream, rows of a table of suites.
//!
//! age for people (X25519 key or passphrase, age-encryption.org/v1, by the `age` crate), JWE for
//! institutions (RFC 7516 compact, ECDH-ES on P-256 with A256GCM, by OpenSSL; the key agreement's
//! derivation is RFC 7518 section 4.6.2), CMS for institutions that ask for it (see `cms`). Constant
//! memory; two sealings of one content differ. Lacks: decryption (`vault::opener`, where the receiver
//! is this service). Trusted: both libraries and the randomness they draw. What is handed in is not
//! trusted.

use std::fmt;
use std::io;
use std::io::Write;
use std::iter;

use age::Encryptor;
use age::secrecy::SecretString;
use age::stream::StreamWriter;
use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::write::EncoderWriter;
use openssl::bn::BigNum;
use openssl::bn::BigNumContext;
use openssl::derive::Deriver;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::pkey::Public;
use openssl::sha::Sha256;
use openssl::symm::Cipher;
use openssl::symm::Crypter;
use openssl::symm::Mode;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::vault::cms::Cms;
pub use crate::vault::cms::Content;
use crate::vault::cms::Recipient;

/// Longest name of a receiver's key, bytes.
pub const MAX_KEY: usize = 2_048;
/// Longest certificate, bytes.
pub const MAX_CERTIFICATE: usize = 8_192;
/// Work of a passphrase, as a power of two: about a second and 256 MiB. Source: the age tool's own default
const WORK: u8 = 18;
/// Most bytes under one key and nonce of GCM. Source: NIST SP 800-38D section 5.2.1.1
pub(in crate::vault) const MAX_GCM: u64 = (1 << 36) - 32;
/// Bytes encrypted at a time.
pub(in crate::vault) const PIECE: usize = 16 << 10;

/// A row of the table: how something may be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// For people who have a key: `age1...`.
    AgeX25519,
    /// For people who have none.
    AgePassphrase,
    /// For institutions.
    JweEcdhEsA256Gcm,
    /// For institutions that ask for it: to an RSA certificate.
    CmsOaepAes256Gcm,
    /// The same under a Korean cipher.
    CmsOaepAria256Gcm,
}

impl Suite {
    /// All rows.
    pub const ALL: [Self; 5] = [
        Self::AgeX25519,
        Self::AgePassphrase,
        Self::JweEcdhEsA256Gcm,
        Self::CmsOaepAes256Gcm,
        Self::CmsOaepAria256Gcm,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgeX25519 => "age-x25519",
            Self::AgePassphrase => "age-passphrase",
            Self::JweEcdhEsA256Gcm => "jwe-ecdh-es-a256gcm",
            Self::CmsOaepAes256Gcm => "cms-rsa-oaep-aes-256-gcm",
            Self::CmsOaepAria256Gcm => "cms-rsa-oaep-aria-256-gcm",
        }
    }

    /// The content type of what is sealed. Nothing is registered for age.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::AgeX25519 | Self::AgePassphrase => "application/octet-stream",
            Self::JweEcdhEsA256Gcm => "application/jose",
            // Source: RFC 7193
            Self::CmsOaepAes256Gcm | Self::CmsOaepAria256Gcm => "application/cms",
        }
    }

    /// What a file's name ends in.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::AgeX25519 | Self::AgePassphrase => "age",
            Self::JweEcdhEsA256Gcm => "jwe",
            Self::CmsOaepAes256Gcm | Self::CmsOaepAria256Gcm => "p7m",
        }
    }
}

/// Why a receiver is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No X25519 recipient of age.
    #[error("not an age recipient (age1...)")]
    Age,
    /// A passphrase that protects nothing.
    #[error("a passphrase has at least {least} characters")]
    Passphrase {
        /// How many.
        least: usize,
    },
    /// No public key on P-256 for ECDH-ES.
    #[error("not a public JWK for ECDH-ES: kty EC, crv P-256, x, y on the curve")]
    Jwk,
    /// No certificate that a content key can be sealed for.
    #[error("not a certificate (X.509, DER or PEM) with an RSA key of at least 2048 bits")]
    Certificate,
}

/// Fewest characters of a passphrase.
pub const LEAST_PASSPHRASE: usize = 12;

enum Key {
    Age(Box<age::x25519::Recipient>),
    Passphrase(SecretString),
    Jwe { key: PKey<Public>, kid: Option<String> },
    Cms(Box<Recipient>, Content),
}

/// Whoever shall be able to read it.
pub struct Receiver(Key);

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.suite()).finish()
    }
}

/// A public key as a JWK. Source: RFC 7518 section 6.2.1
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    /// A private key is nobody's to hand out.
    d: Option<serde::de::IgnoredAny>,
}

impl Receiver {
    /// Whoever has the identity of an age recipient.
    ///
    /// # Errors
    /// [`Refused::Age`].
    pub fn age(recipient: &str) -> Result<Self, Refused> {
        if recipient.len() > MAX_KEY {
            return Err(Refused::Age);
        }
        let recipient = recipient.parse().map_err(|_| Refused::Age)?;
        Ok(Self(Key::Age(Box::new(recipient))))
    }

    /// Whoever knows a passphrase.
    ///
    /// # Errors
    /// [`Refused::Passphrase`].
    pub fn passphrase(passphrase: &str) -> Result<Self, Refused> {
        if passphrase.chars().count() < LEAST_PASSPHRASE {
            return Err(Refused::Passphrase { least: LEAST_PASSPHRASE });
        }
        Ok(Self(Key::Passphrase(SecretString::from(passphrase.to_owned()))))
    }

    /// Whoever has the private key of a JWK.
    ///
    /// # Errors
    /// [`Refused::Jwk`].
    pub fn jwk(json: &[u8]) -> Result<Self, Refused> {
        let refused = || Refused::Jwk;
        let jwk: Jwk = Some(json)
            .filter(|json| json.len() <= MAX_KEY)
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or_else(refused)?;
        let fits = jwk.kty == "EC"
            && jwk.crv == "P-256"
            && jwk.d.is_none()
            && jwk.purpose.as_deref().is_none_or(|purpose| purpose == "enc")
            && jwk.alg.as_deref().is_none_or(|alg| alg == "ECDH-ES");
        if !fits {
            return Err(refused());
        }
        let half = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|half| half.len() == 32);
        let (x, y) = (half(&jwk.x).ok_or_else(refused)?, half(&jwk.y).ok_or_else(refused)?);
        let key = p256_public(&x, &y).map_err(|_| refused())?;
        Ok(Self(Key::Jwe { key, kid: jwk.kid }))
    }

    /// Whoever has the private key of a certificate, whether that is still good or not.
    ///
    /// # Errors
    /// [`Refused::Certificate`].
    pub fn certificate(certificate: &[u8], content: Content) -> Result<Self, Refused> {
        let fits = Some(certificate).filter(|certificate| certificate.len() <= MAX_CERTIFICATE);
        let recipient = fits.and_then(Recipient::parse).ok_or(Refused::Certificate)?;
        Ok(Self(Key::Cms(Box::new(recipient), content)))
    }

    /// Its row of the table.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        match self.0 {
            Key::Age(_) => Suite::AgeX25519,
            Key::Passphrase(_) => Suite::AgePassphrase,
            Key::Jwe { .. } => Suite::JweEcdhEsA256Gcm,
            Key::Cms(_, Content::Aes256Gcm) => Suite::CmsOaepAes256Gcm,
            Key::Cms(_, Content::Aria256Gcm) => Suite::CmsOaepAria256Gcm,
        }
    }

    /// Begins a sealed stream; what is written to it is sealed and goes out.
    ///
    /// # Errors
    /// The writer; a library.
    pub fn begin<'a>(&self, out: &'a mut dyn Write) -> io::Result<Sealing<'a>> {
        self.begin_of("application/zip", out)
    }

    /// The same for content of another media type than an archive's; only a JWE says it.
    ///
    /// # Errors
    /// The writer; a library.
    pub fn begin_of<'a>(&self, media: &str, out: &'a mut dyn Write) -> io::Result<Sealing<'a>> {
        let wrap = |recipient: &dyn age::Recipient, out: &'a mut dyn Write| {
            let encryptor = Encryptor::with_recipients(iter::once(recipient)).map_err(io::Error::other)?;
            Ok(Sealing(Way::Age(Box::new(encryptor.wrap_output(out)?))))
        };
        match &self.0 {
            Key::Age(recipient) => wrap(recipient.as_ref(), out),
            Key::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                wrap(&recipient, out)
            }
            Key::Jwe { key, kid } => {
                Ok(Sealing(Way::Jwe(Box::new(Jwe::begin(key, (kid.as_deref(), media), out)?))))
            }
            Key::Cms(recipient, content) => {
                Ok(Sealing(Way::Cms(Box::new(Cms::begin(recipient, *content, out)?))))
            }
        }
    }
}

pub(in crate::vault) fn p256_public(x: &[u8], y: &[u8]) -> Result<PKey<Public>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let (x, y) = (BigNum::from_slice(x)?, BigNum::from_slice(y)?);
    // Refuses what is not on the curve.
    let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y)?;
    key.check_key()?;
    PKey::from_ec_key(key)
}

enum Way<'a> {
    Age(Box<StreamWriter<&'a mut dyn Write>>),
    Jwe(Box<Jwe<'a>>),
    Cms(Box<Cms<'a>>),
}

/// A sealed stream under way. Without [`Self::finish`] it lacks its end, and no receiver takes it for whole.
pub struct Sealing<'a>(Way<'a>);

impl fmt::Debug for Sealing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealing").finish_non_exhaustive()
    }
}

impl Sealing<'_> {
    /// Ends the stream.
    ///
    /// # Errors
    /// The writer; a library.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            Way::Age(stream) => stream.finish()?.flush(),
            Way::Jwe(jwe) => jwe.finish(),
            Way::Cms(cms) => cms.finish(),
        }
    }
}

impl Write for Sealing<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Way::Age(stream) => stream.write(content),
            Way::Jwe(jwe) => jwe.write(content),
            Way::Cms(cms) => cms.write(content),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Way::Age(stream) => stream.flush(),
            // Base64 holds back what is no whole group yet.
            Way::Jwe(_) => Ok(()),
            Way::Cms(cms) => cms.flush(),
        }
    }
}

/// A compact JWE whose parts go out as they are made: the tag is the last of them.
struct Jwe<'a> {
    crypter: Crypter,
    out: EncoderWriter<'static, GeneralPurpose, &'a mut dyn Write>,
    piece: Vec<u8>,
    left: u64,
}

impl<'a> Jwe<'a> {
    fn begin(
        key: &PKey<Public>,
        (kid, media): (Option<&str>, &str),
        out: &'a mut dyn Write,
    ) -> io::Result<Self> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let own = EcKey::generate(&group)?;
        let (mut x, mut y) = (BigNum::new()?, BigNum::new()?);
        own.public_key().affine_coordinates(&group, &mut x, &mut y, &mut *BigNumContext::new()?)?;
        let half = |n: &BigNum| Ok::<_, ErrorStack>(URL_SAFE_NO_PAD.encode(n.to_vec_padded(32)?));
        let epk = json!({ "kty": "EC", "crv": "P-256", "x": half(&x)?, "y": half(&y)? });
        let mut header = json!({ "alg": "ECDH-ES", "enc": "A256GCM", "cty": media, "epk": epk });
        if let (Some(kid), Some(members)) = (kid, header.as_object_mut()) {
            members.insert("kid".into(), json!(kid));
        }
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let own = PKey::from_ec_key(own)?;
        let mut deriver = Deriver::new(&own)?;
        deriver.set_peer(key)?;
        let agreed = Zeroizing::new(deriver.derive_to_vec()?);
        let content_key = Zeroizing::new(concat_kdf(&agreed, [&[], &[]]));
        let mut nonce = [0; 12];
        openssl::rand::rand_bytes(&mut nonce)?;
        let mut crypter =
            Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, content_key.as_slice(), Some(&nonce))?;
        crypter.aad_update(header.as_bytes())?;
        // The second part is the encrypted key: none, the agreed one is used itself.
        write!(out, "{header}..{}.", URL_SAFE_NO_PAD.encode(nonce))?;
        let out = EncoderWriter::new(out, &URL_SAFE_NO_PAD);
        Ok(Self { crypter, out, piece: vec![0; PIECE + 16], left: MAX_GCM })
    }

    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let content = content.get(..PIECE).unwrap_or(content);
        let too_much = || io::Error::other("more than one key of A256GCM may seal");
        self.left = self.left.checked_sub(content.len() as u64).ok_or_else(too_much)?;
        let made = self.crypter.update(content, &mut self.piece)?;
        self.out.write_all(self.piece.get(..made).unwrap_or_default())?;
        Ok(content.len())
    }

    fn finish(mut self) -> io::Result<()> {
        let made = self.crypter.finalize(&mut self.piece)?;
        self.out.write_all(self.piece.get(..made).unwrap_or_default())?;
        let mut tag = [0; 16];
        self.crypter.get_tag(&mut tag)?;
        let out = self.out.finish()?;
        write!(out, ".{}", URL_SAFE_NO_PAD.encode(tag))?;
        out.flush()
    }
}

/// The content key of a direct agreement; both parties by name, if they are named. Source: RFC 7518
/// section 4.6.2, NIST SP 800-56A
pub(in crate::vault) fn concat_kdf(agreed: &[u8], parties: [&[u8]; 2]) -> [u8; 32] {
    let enc = b"A256GCM";
    let mut hash = Sha256::new();
    hash.update(&1u32.to_be_bytes());
    hash.update(agreed);
    hash.update(&7u32.to_be_bytes());
    hash.update(enc);
    for party in parties {
        hash.update(&u32::try_from(party.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(party);
    }
    // The length of the key in bits.
    hash.update(&256u32.to_be_bytes());
    hash.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use openssl::asn1::Asn1Time;
    use openssl::cms::CmsContentInfo;
    use openssl::hash::MessageDigest;
    use openssl::rsa::Rsa;
    use openssl::x509::X509;
    use openssl::x509::X509Name;

    use super::*;

    const JWK: &[u8] = br#"{"kty":"EC","crv":"P-256","kid":"bank-1","use":"enc",
        "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;

    fn sealed(receiver: &Receiver, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sealing = receiver.begin(&mut out).unwrap();
        content.chunks(1_001).for_each(|piece| sealing.write_all(piece).unwrap());
        sealing.finish().unwrap();
        out
    }

    #[test]
    fn age_opens_for_the_identity_alone_and_never_twice_alike() {
        let identity = age::x25519::Identity::generate();
        let receiver = Receiver::age(&identity.to_public().to_string()).unwrap();
        let content = vec![7; 200_000];
        let (one, two) = (sealed(&receiver, &content), sealed(&receiver, &content));
        assert_ne!(one, two);
        let open = |bytes: &[u8], identity: &age::x25519::Identity| {
            let mut out = Vec::new();
            let decryptor = age::Decryptor::new(bytes).map_err(|_| ())?;
            let mut reader = decryptor.decrypt(iter::once(identity as _)).map_err(|_| ())?;
            reader.read_to_end(&mut out).map_err(|_| ())?;
            Ok::<_, ()>(out)
        };
        assert_eq!(open(&one, &identity).unwrap(), content);
        assert!(open(&one, &age::x25519::Identity::generate()).is_err());
        assert!(open(&one[..one.len() - 1], &identity).is_err());
    }

    /// Source: RFC 7518 appendix C, with its header members changed to ours where ours has none.
    #[test]
    fn a_jwe_has_five_parts_and_opens_with_what_the_header_names() {
        let receiver = Receiver::jwk(JWK).unwrap();
        let text = String::from_utf8(sealed(&receiver, &[3; 50_000])).unwrap();
        let parts: Vec<_> = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
        let lengths: Vec<_> = parts.iter().map(Vec::len).collect();
        assert_eq!(lengths[1..], [0, 12, 50_000, 16]);
        let header: serde_json::Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(
            (&header["alg"], &header["enc"], &header["kid"]),
            (&json!("ECDH-ES"), &json!("A256GCM"), &json!("bank-1"))
        );
        let private = URL_SAFE_NO_PAD.decode("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw").unwrap();
        let half = |name: &str| URL_SAFE_NO_PAD.decode(header["epk"][name].as_str().unwrap()).unwrap();
        let peer = p256_public(&half("x"), &half("y")).unwrap();
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let Key::Jwe { key, .. } = &receiver.0 else { panic!() };
        let point = key.ec_key().unwrap();
        let own = EcKey::from_private_components(
            &group,
            &BigNum::from_slice(&private).unwrap(),
            point.public_key(),
        )
        .unwrap();
        let own = PKey::from_ec_key(own).unwrap();
        let mut deriver = Deriver::new(&own).unwrap();
        deriver.set_peer(&peer).unwrap();
        let content_key = concat_kdf(&deriver.derive_to_vec().unwrap(), [&[], &[]]);
        let aad = text.split('.').next().unwrap().as_bytes();
        let open = |aad: &[u8], tag: &[u8]| {
            openssl::symm::decrypt_aead(
                Cipher::aes_256_gcm(),
                &content_key,
                Some(&parts[2]),
                aad,
                &parts[3],
                tag,
            )
        };
        assert_eq!(open(aad, &parts[4]).unwrap(), [3; 50_000]);
        assert!(open(b"another header", &parts[4]).is_err() && open(aad, &[0; 16]).is_err());
    }

    fn certificate(key: &PKey<openssl::pkey::Private>, serial: &[u8]) -> X509 {
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "은행").unwrap();
        let name = name.build();
        let mut made = X509::builder().unwrap();
        let serial = BigNum::from_slice(serial).unwrap().to_asn1_integer().unwrap();
        made.set_serial_number(&serial).unwrap();
        made.set_issuer_name(&name).unwrap();
        made.set_subject_name(&name).unwrap();
        made.set_pubkey(key).unwrap();
        made.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        made.set_not_after(&Asn1Time::from_unix(1).unwrap()).unwrap();
        made.sign(key, MessageDigest::sha256()).unwrap();
        made.build()
    }

    #[test]
    fn a_cms_opens_for_the_certificates_key_alone_and_never_altered() {
        let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        let (key, other) = (rsa(2_048), rsa(2_048));
        // A number with a sign to keep apart, and one without.
        for (serial, content) in [(&[0x80, 1][..], Content::Aes256Gcm), (&[0x7f], Content::Aria256Gcm)] {
            let made = certificate(&key, serial);
            let receiver = Receiver::certificate(&made.to_pem().unwrap(), content).unwrap();
            for length in [0, 1, 50_000] {
                let plain: Vec<u8> = (0..length).map(|n: u32| n.to_be_bytes()[3]).collect();
                let sealed = sealed(&receiver, &plain);
                let open = |bytes: &[u8], key| CmsContentInfo::from_der(bytes)?.decrypt(key, &made);
                assert_eq!(open(&sealed, &key).unwrap(), plain);
                let mut altered = sealed.clone();
                // The last byte of the tag: two of an end follow it for each of three elements.
                let at = altered.len() - 7;
                altered[at] ^= 1;
                assert!(open(&altered, &key).is_err(), "{length}");
                assert!(CmsContentInfo::from_der(&sealed[..sealed.len() - 1]).is_err());
                assert!(open(&sealed, &other).is_err());
            }
        }
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let ec = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        for bad in
            [certificate(&ec, &[1]).to_der().unwrap(), certificate(&rsa(1_024), &[1]).to_der().unwrap()]
        {
            assert!(matches!(Receiver::certificate(&bad, Content::Aes256Gcm), Err(Refused::Certificate)));
        }
        for bad in [&b""[..], b"0", &[0x30; 9_000]] {
            assert!(matches!(Receiver::certificate(bad, Content::Aes256Gcm), Err(Refused::Certificate)));
        }
    }

    #[test]
    fn whoever_cannot_be_a_receiver_is_refused() {
        for recipient in ["", "age1", "AGE-SECRET-KEY-1", "ssh-ed25519 AAAA", &"age1".repeat(1_000)] {
            assert!(matches!(Receiver::age(recipient), Err(Refused::Age)), "{recipient}");
        }
        assert!(matches!(Receiver::passphrase("elevenchars"), Err(Refused::Passphrase { .. })));
        let good = std::str::from_utf8(JWK).unwrap();
        for (from, to) in [
            ("EC\"", "OKP\""),
            ("P-256", "P-384"),
            ("\"enc\"", "\"sig\""),
            ("weNJ", "weNK"),
            ("\"kid\"", "\"d\""),
            ("\"kid\":\"bank-1\"", "\"alg\":\"RSA-OAEP\""),
            ("}", ""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert!(bad != good && matches!(Receiver::jwk(bad.as_bytes()), Err(Refused::Jwk)), "{to}");
        }
        let names: std::collections::BTreeSet<_> = Suite::ALL.iter().map(|suite| suite.as_str()).collect();
        assert_eq!(names.len(), Suite::ALL.len());
    }
}
