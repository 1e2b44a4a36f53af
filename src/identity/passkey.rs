//! Passkeys: the check of a WebAuthn assertion over Naru's own challenge.
//!
//! The challenge is a hash of what is signed, under a prefix of its kind: nobody
//! signs a server's bytes, and a login never verifies as a statement. Known crates
//! refuse a challenge they did not make, so the check stands here; the signatures
//! are `ledger::key`'s (ES256, and EdDSA strictly) and OpenSSL's (RS256, which is
//! all that Windows Hello has). Lacks: registration (`key.create` is signed by the
//! new key, which proves possession), attestation of devices, signature counters
//! (passkeys that are synchronised send 0), and extensions: what an extension gives
//! out (PRF) is a secret of the person, so authenticator data that carry more than
//! the fixed part are refused. A passkey on a new device brings no public key along: of an ES256
//! login it is found from the signature. Trusts: the authenticator for its flags.
//! Source: WebAuthn Level 3 section 7.2; design §4.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::Id;
use openssl::pkey::PKey;
use openssl::pkey::Public;
use openssl::sign::Verifier;
use p256::ecdsa::RecoveryId;
use p256::ecdsa::Signature;
use p256::ecdsa::VerifyingKey;
use serde::Deserialize;

use crate::identity::item::KeyReader;
use crate::ledger::cose::Passkey;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::key::Alg;
use crate::ledger::key::PublicKey;

/// Prefix of the challenge of statements.
pub const STATEMENTS: &str = "naru-statements/v1";
/// Prefix of the challenge of an endorsement.
pub const ENDORSED: &str = "naru-endorsed/v1";
/// Prefix of the challenge of a login.
pub const LOGIN: &str = "naru-login/v1";

/// Authenticator data without extensions and attested key: hash, flags, counter.
const AUTHENTICATOR_DATA: usize = 37;
/// Largest client data we read: browsers write some 250 bytes.
const MAX_CLIENT_DATA: usize = 4_096;
/// Bits of an RSA key we take: Windows Hello makes 2048.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2_048..=4_096;

/// The user is present.
const UP: u8 = 0x01;
/// The user was verified: by biometry or PIN, on her own device.
const UV: u8 = 0x04;
/// Attested credential data follow, or extension data.
const MORE: u8 = 0x40 | 0x80;

/// Why an assertion is refused: always the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The statement's digest is not among those of the ceremony.
    #[error("the statement is not among those of the ceremony")]
    Digest,
    /// The client data are not the JSON of WebAuthn, or too long.
    #[error("the client data are not those of an assertion")]
    ClientData,
    /// `type` is another one: a registration signs nothing.
    #[error("the client data are not of the type webauthn.get")]
    Type,
    /// The challenge is not the hash of what is signed, under the prefix of its kind.
    #[error("the challenge is not the hash of what is signed")]
    Challenge,
    /// Made on a page that is not this log's.
    #[error("made on a page of another origin")]
    Origin,
    /// Made in a frame of another origin.
    #[error("made inside a page of another origin")]
    Framed,
    /// Made for another relying party.
    #[error("made for another relying party")]
    RelyingParty,
    /// Nobody was there.
    #[error("the user was not present")]
    Presence,
    /// The user was not verified.
    #[error("the user was not verified; ask for userVerification `required`")]
    Verification,
    /// More than hash, flags and counter: extension output may hold the person's secret.
    #[error("the authenticator data carry extension output, which must not leave the device")]
    Extra,
    /// Not a key we take.
    #[error("the credential's key is not Ed25519, P-256 or RSA of 2048 to 4096 bits, in its one encoding")]
    Key,
    /// The signature does not hold.
    #[error("the assertion's signature does not hold")]
    Signature,
    /// A public statement: parties sign those, and parties have no passkeys.
    #[error("a public statement is not signed by a passkey")]
    Public,
}

/// Where the passkeys of a log live. Source: WebAuthn Level 3 section 5.1.2.
///
/// The name is for ever: passkeys made under another one never sign here again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relying {
    /// Relying party id: a host, such as `naru.example.kr`.
    pub id: String,
    /// Origins of pages that may ask for an assertion, such as `https://naru.example.kr`.
    pub origins: Vec<String>,
}

impl Relying {
    /// What follows from the name of a log: its host, and `https` there.
    ///
    /// On `localhost` plain `http` is as good: browsers think so, too.
    #[must_use]
    pub fn of_log(origin: &str) -> Self {
        let authority = origin.split('/').next().unwrap_or_default();
        let id = authority.split(':').next().unwrap_or_default().to_owned();
        let mut origins = vec![format!("https://{authority}")];
        if id == "localhost" {
            origins.push(format!("http://{authority}"));
        }
        Self { id, origins }
    }

    /// Whether each of its origins is one on which a browser would use this id.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let hash = hash::sha256(&[self.id.as_bytes()]);
        !self.id.is_empty()
            && !self.origins.is_empty()
            && self.origins.iter().all(|origin| is_host_of(origin, &hash))
    }
}

/// Which relying party an assertion must be of.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// This one: the door of a log.
    Of(&'a Relying),
    /// The one whose page it names: whoever opens again what a log took in. The door has judged which
    /// pages may; here the id must be a host that a browser allows the page to use.
    Named,
}

/// An assertion, checked at most once however many items carry it.
#[derive(Debug)]
pub(in crate::identity) struct Assertion {
    parts: Passkey,
    /// Under which prefix and place it was judged is the same for all who share it.
    outcome: OnceLock<Result<(), Refused>>,
}

/// Assertions met in one batch: an equal one is checked once.
#[derive(Debug, Default)]
pub struct Ceremonies(HashMap<Hash, Arc<Assertion>>);

impl Ceremonies {
    pub(in crate::identity) fn shared(&mut self, own: &Arc<Assertion>) -> Arc<Assertion> {
        let name = hash::sha256(&[&own.parts.encode()]);
        Arc::clone(self.0.entry(name).or_insert_with(|| Arc::clone(own)))
    }
}

impl Assertion {
    /// Takes the statement out of an item.
    pub(in crate::identity) fn of(mut parts: Passkey) -> Option<(Vec<u8>, Self)> {
        let statement = parts.statement.take()?;
        Some((statement, Self { parts, outcome: OnceLock::new() }))
    }

    /// The credential's public key (DER).
    pub(in crate::identity) fn spki(&self) -> &[u8] {
        &self.parts.spki
    }

    /// Checks an endorsement: its digest was made from what it endorses.
    pub(in crate::identity) fn verify_endorsing(
        &self,
        place: Place<'_>,
        keys: KeyReader<'_>,
    ) -> Result<(), Refused> {
        *self.outcome.get_or_init(|| check(&self.parts, ENDORSED, place, keys))
    }

    /// Checks that these bytes are among what the ceremony signed, and the assertion if nobody has.
    pub(in crate::identity) fn verify(
        &self,
        bytes: &[u8],
        prefix: &str,
        place: Place<'_>,
        keys: KeyReader<'_>,
    ) -> Result<(), Refused> {
        if !self.parts.digests.contains(&hash::sha256(&[bytes])) {
            return Err(Refused::Digest);
        }
        *self.outcome.get_or_init(|| check(&self.parts, prefix, place, keys))
    }
}

/// What an authenticator is to sign: the hash of hashes, under the prefix of its kind.
#[must_use]
pub fn challenge(prefix: &str, digests: &[Hash]) -> Hash {
    let digests = digests.iter().map(<[u8; 32]>::as_slice);
    hash::sha256(&[prefix.as_bytes(), &[0]].into_iter().chain(digests).collect::<Vec<_>>())
}

/// Members that are not named here are allowed: Chromium adds one at random, against templates.
#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
    #[serde(default, rename = "topOrigin")]
    top_origin: Option<String>,
}

/// The assertion check, in the order of WebAuthn Level 3 section 7.2.
fn check(parts: &Passkey, prefix: &str, place: Place<'_>, keys: KeyReader<'_>) -> Result<(), Refused> {
    if parts.client_data.len() > MAX_CLIENT_DATA {
        return Err(Refused::ClientData);
    }
    let client: ClientData = serde_json::from_slice(&parts.client_data).map_err(|_| Refused::ClientData)?;
    if client.kind != "webauthn.get" {
        return Err(Refused::Type);
    }
    if client.challenge != URL_SAFE_NO_PAD.encode(challenge(prefix, &parts.digests)) {
        return Err(Refused::Challenge);
    }
    if client.cross_origin || client.top_origin.is_some() {
        return Err(Refused::Framed);
    }
    let data = parts.authenticator_data.as_slice();
    let (id, rest) = data.split_first_chunk::<32>().ok_or(Refused::RelyingParty)?;
    match place {
        Place::Of(relying) if !relying.origins.contains(&client.origin) => return Err(Refused::Origin),
        Place::Of(relying) if *id != hash::sha256(&[relying.id.as_bytes()]) => {
            return Err(Refused::RelyingParty);
        }
        Place::Named if !is_host_of(&client.origin, id) => return Err(Refused::RelyingParty),
        Place::Of(_) | Place::Named => {}
    }
    let flags = rest.first().copied().ok_or(Refused::Presence)?;
    if flags & UP == 0 {
        return Err(Refused::Presence);
    }
    if flags & UV == 0 {
        return Err(Refused::Verification);
    }
    if flags & MORE != 0 || data.len() != AUTHENTICATOR_DATA {
        return Err(Refused::Extra);
    }
    let signed = [data, &hash::sha256(&[&parts.client_data])].concat();
    holds(&parts.spki, &signed, &parts.signature, keys)
}

/// Whether `id` is the hash of the page's host or of a host above it, on a page a browser trusts.
fn is_host_of(origin: &str, id: &Hash) -> bool {
    let (host, local_only) = match (origin.strip_prefix("https://"), origin.strip_prefix("http://")) {
        (Some(rest), _) => (rest, false),
        (None, Some(rest)) => (rest, true),
        (None, None) => return false,
    };
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    if host.is_empty() || host.contains('/') || (local_only && host != "localhost") {
        return false;
    }
    let mut suffix = Some(host);
    while let Some(name) = suffix {
        if hash::sha256(&[name.as_bytes()]) == *id {
            return true;
        }
        suffix = name.split_once('.').map(|(_, above)| above);
    }
    false
}

/// Whether the key signed.
fn holds(spki: &[u8], signed: &[u8], signature: &[u8], keys: KeyReader<'_>) -> Result<(), Refused> {
    if let Some(key) = rsa(spki) {
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key).map_err(|_| Refused::Key)?;
        return match verifier.verify_oneshot(signature, signed) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Refused::Signature),
        };
    }
    let key = keys(spki).map_err(|_| Refused::Key)?;
    let raw = match key.alg() {
        Alg::EdDsa => signature.to_vec(),
        Alg::Es256 => raw_of_der(signature).ok_or(Refused::Signature)?,
    };
    key.verify(signed, &raw).map_err(|_| Refused::Signature)
}

/// The P-256 keys (SPKI) of which one has signed an assertion that names none: as a rule two. None for
/// another algorithm: its signature does not show the key.
pub(in crate::identity) fn possible_keys(parts: &Passkey) -> Vec<Vec<u8>> {
    let signed = [parts.authenticator_data.as_slice(), &hash::sha256(&[&parts.client_data])].concat();
    let prehash = hash::sha256(&[&signed]);
    let raw = raw_of_der(&parts.signature).unwrap_or_default();
    let Ok(signature) = Signature::from_slice(&raw) else { return Vec::new() };
    let of = |id: u8| {
        let key =
            VerifyingKey::recover_from_prehash(&prehash, &signature, RecoveryId::from_byte(id)?).ok()?;
        let point = key.to_sec1_point(false);
        let (x, y) = point.as_bytes().get(1..)?.split_first_chunk::<32>()?;
        Some(PublicKey::from_p256(x, y.try_into().ok()?).ok()?.spki().to_vec())
    };
    (0..4).filter_map(of).collect()
}

/// `r ‖ s` of an ECDSA signature in its one DER encoding.
fn raw_of_der(der: &[u8]) -> Option<Vec<u8>> {
    let signature = EcdsaSig::from_der(der).ok()?;
    if signature.to_der().ok()? != der {
        return None;
    }
    let mut raw = signature.r().to_vec_padded(32).ok()?;
    raw.extend(signature.s().to_vec_padded(32).ok()?);
    Some(raw)
}

/// An RSA key in its one encoding, with the usual exponent: its hash is its name.
fn rsa(spki: &[u8]) -> Option<PKey<Public>> {
    // Shorter is one of the other two; longer than any key we take is nothing.
    if !(200..=600).contains(&spki.len()) {
        return None;
    }
    let key = PKey::public_key_from_der(spki).ok()?;
    if key.id() != Id::RSA || key.public_key_to_der().ok()? != spki {
        return None;
    }
    let parts = key.rsa().ok()?;
    let bits = u32::try_from(parts.n().num_bits()).ok()?;
    let usual = parts.e().to_vec() == [1, 0, 1];
    (usual && RSA_BITS.contains(&bits)).then_some(key)
}
