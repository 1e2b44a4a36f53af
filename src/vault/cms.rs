//! A stream sealed as CMS for the holder of an RSA certificate: what an institution with a public
//! key infrastructure of its own opens with the tools it has.
//!
//! `AuthEnvelopedData` (RFC 5083) with one recipient: the content key goes under RSAES-OAEP with
//! SHA-256 (RFC 3560), the content under AES-256-GCM (RFC 5084) or, for who must use a Korean
//! cipher, ARIA-256-GCM (RFC 5794). Its length is not known when it begins, so it is written in the
//! indefinite form of BER (ITU-T X.690, 8.1.3.6), content piece by piece; memory is constant.
//!
//! Lacks decryption, signers, other keys than RSA, and whether a certificate is still good: who
//! brings one says so. Trusted: OpenSSL, which makes keys and ciphertext.

use std::io;
use std::io::Write;

use openssl::cipher::Cipher;
use openssl::cipher_ctx::CipherCtx;
use openssl::encrypt::Encrypter;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::Id;
use openssl::pkey::PKey;
use openssl::pkey::Public;
use openssl::rsa::Padding;
use openssl::x509::X509;
use zeroize::Zeroizing;

use crate::vault::receiver::MAX_GCM;
use crate::vault::receiver::PIECE;

/// Fewest bits of a receiver's key. Source: NIST SP 800-131A revision 2, section 6
const LEAST_BITS: u32 = 2_048;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const NULL: [u8; 2] = [0x05, 0];
/// `[0]`, constructed.
const TAGGED: u8 = 0xa0;
const TAGGED_1: u8 = 0xa1;
const INDEFINITE: u8 = 0x80;
const END: [u8; 2] = [0, 0];

/// `id-ct-authEnvelopedData`, 1.2.840.113549.1.9.16.1.23
const AUTH_ENVELOPED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x17];
/// `id-data`, 1.2.840.113549.1.7.1
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// `id-RSAES-OAEP`, 1.2.840.113549.1.1.7
const OAEP: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07];
/// `id-mgf1`, 1.2.840.113549.1.1.8
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
/// `id-sha256`, 2.16.840.1.101.3.4.2.1
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// What the content is encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// RFC 5084
    Aes256Gcm,
    /// For who must use a Korean cipher. Source: KS X 1213, RFC 5794
    Aria256Gcm,
}

impl Content {
    const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::Aria256Gcm => "ARIA-256-GCM",
        }
    }

    /// 2.16.840.1.101.3.4.1.46; 1.2.410.200046.1.1.36
    const fn oid(self) -> &'static [u8] {
        match self {
            Self::Aes256Gcm => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2e],
            Self::Aria256Gcm => &[0x2a, 0x83, 0x1a, 0x8c, 0x9a, 0x6e, 0x01, 0x01, 0x24],
        }
    }
}

/// Whom a content key is sealed for.
pub(in crate::vault) struct Recipient {
    key: PKey<Public>,
    /// `IssuerAndSerialNumber`, in DER.
    name: Vec<u8>,
}

impl Recipient {
    /// Reads a certificate, DER or PEM; `None` if it is none with an RSA key that is long enough.
    pub(in crate::vault) fn parse(certificate: &[u8]) -> Option<Self> {
        let found = X509::from_der(certificate).or_else(|_| X509::from_pem(certificate)).ok()?;
        let key = found.public_key().ok().filter(|key| key.id() == Id::RSA && key.bits() >= LEAST_BITS)?;
        let serial = found.serial_number().to_bn().ok().filter(|serial| !serial.is_negative())?.to_vec();
        // A number begins with its sign.
        let sign: &[u8] = if serial.first().is_none_or(|byte| *byte > 0x7f) { &[0] } else { &[] };
        let serial = element(INTEGER, &[sign, &serial]);
        let name = element(SEQUENCE, &[&found.issuer_name().to_der().ok()?, &serial]);
        Some(Self { key, name })
    }

    /// `KeyTransRecipientInfo`. Source: RFC 5652 section 6.2.1, RFC 3560 section 3
    fn info(&self, content_key: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        let mut encrypter = Encrypter::new(&self.key)?;
        encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
        encrypter.set_rsa_oaep_md(MessageDigest::sha256())?;
        encrypter.set_rsa_mgf1_md(MessageDigest::sha256())?;
        let mut sealed = vec![0; encrypter.encrypt_len(content_key)?];
        let length = encrypter.encrypt(content_key, &mut sealed)?;
        sealed.truncate(length);
        let sha256 = element(SEQUENCE, &[&element(OID, &[SHA256]), &NULL]);
        let mgf1 = element(SEQUENCE, &[&element(OID, &[MGF1]), &sha256]);
        let chosen = element(SEQUENCE, &[&element(TAGGED, &[&sha256]), &element(TAGGED_1, &[&mgf1])]);
        let algorithm = element(SEQUENCE, &[&element(OID, &[OAEP]), &chosen]);
        let version = element(INTEGER, &[&[0]]);
        Ok(element(SEQUENCE, &[&version, &self.name, &algorithm, &element(OCTETS, &[&sealed])]))
    }
}

/// One element of DER: its tag, its length in the shortest form, its content.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let short = bytes.iter().skip_while(|byte| **byte == 0);
    let mut out = vec![tag];
    if length < 0x80 {
        out.extend(bytes.last());
    } else {
        // At most eight bytes of length.
        out.push(INDEFINITE | short.clone().fold(0, |n, _| n + 1));
        out.extend(short);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A sealed stream under way.
pub(in crate::vault) struct Cms<'a> {
    context: CipherCtx,
    out: &'a mut dyn Write,
    piece: Vec<u8>,
    left: u64,
}

impl<'a> Cms<'a> {
    pub(in crate::vault) fn begin(
        recipient: &Recipient,
        content: Content,
        out: &'a mut dyn Write,
    ) -> io::Result<Self> {
        let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
        openssl::rand::rand_priv_bytes(key.as_mut_slice())?;
        openssl::rand::rand_bytes(&mut nonce)?;
        let cipher = Cipher::fetch(None, content.name(), None)?;
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(&cipher), Some(key.as_slice()), Some(&nonce))?;
        // Its tag has 16 bytes: not the 12 that nothing said would mean.
        let parameters = element(SEQUENCE, &[&element(OCTETS, &[&nonce]), &element(INTEGER, &[&[16]])]);
        let algorithm = element(SEQUENCE, &[&element(OID, &[content.oid()]), &parameters]);
        let open = |tag| [tag, INDEFINITE];
        let head = [
            &open(SEQUENCE)[..],
            &element(OID, &[AUTH_ENVELOPED]),
            &open(TAGGED),
            &open(SEQUENCE),
            &element(INTEGER, &[&[0]]),
            &element(SET, &[&recipient.info(key.as_slice())?]),
            &open(SEQUENCE),
            &element(OID, &[DATA]),
            &algorithm,
            &open(TAGGED),
        ];
        out.write_all(&head.concat())?;
        Ok(Self { context, out, piece: Vec::with_capacity(PIECE), left: MAX_GCM })
    }

    pub(in crate::vault) fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let content = content.get(..PIECE).unwrap_or(content);
        let too_much = || io::Error::other("more than one key of GCM may seal");
        self.left = self.left.checked_sub(content.len() as u64).ok_or_else(too_much)?;
        self.piece.clear();
        self.context.cipher_update_vec(content, &mut self.piece)?;
        self.put()?;
        Ok(content.len())
    }

    /// Writes what was made as one piece of the content.
    fn put(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.out.write_all(&element(OCTETS, &[&self.piece])) }
    }

    pub(in crate::vault) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(in crate::vault) fn finish(mut self) -> io::Result<()> {
        self.piece.clear();
        self.context.cipher_final_vec(&mut self.piece)?;
        self.put()?;
        let mut tag = [0; 16];
        self.context.tag(&mut tag)?;
        // Content, what names its cipher; then the tag, and the three around it.
        let tail = [&END[..], &END, &element(OCTETS, &[&tag]), &END, &END, &END];
        self.out.write_all(&tail.concat())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        let of = |length: usize| element(OCTETS, &[&vec![7; length]])[..4.min(length + 2)].to_vec();
        assert_eq!(of(0), [4, 0]);
        assert_eq!(of(1), [4, 1, 7]);
        assert_eq!(of(127), [4, 127, 7, 7]);
        assert_eq!(of(128), [4, 0x81, 128, 7]);
        assert_eq!(of(256), [4, 0x82, 1, 0]);
        assert_eq!(element(OCTETS, &[&vec![0; 70_000]])[..5], [4, 0x83, 1, 0x11, 0x70]);
    }
}
