//! The forms in which a signed statement arrives, and the one function that opens them.
//!
//! - tagged `COSE_Sign1` with `typ` [`STATEMENT`], payload the statement;
//! - passkey items: an array with a WebAuthn assertion over 1 to 64 statements;
//! - endorsed: `COSE_Sign1` with `typ` [`ENDORSED`], payload the item it
//!   endorses, or a passkey's assertion over that item; at most three endorse.
//!
//! The signature is checked before anything is looked up. Lacks the check of an
//! assertion, which is `passkey`'s.

use std::sync::Arc;

use crate::identity::Error;
use crate::identity::Signed;
use crate::identity::Verified;
use crate::identity::passkey;
use crate::identity::passkey::Assertion;
use crate::identity::passkey::Ceremonies;
use crate::identity::passkey::Place;
use crate::identity::passkey::Refused;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::cose::ENDORSED;
use crate::ledger::cose::MAX_LAYERS;
use crate::ledger::cose::Over;
use crate::ledger::cose::Passkey;
use crate::ledger::cose::STATEMENT;
use crate::ledger::entry;
use crate::ledger::hash;
use crate::ledger::key;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::StatementId;
use crate::model::statement::Head;
use crate::model::statement::Kind;
use crate::model::statement::Statement;

/// Largest personal statement, bytes.
pub const MAX_PERSONAL: usize = 16 * 1024;
/// Largest public statement, bytes.
pub const MAX_PUBLIC: usize = 48 * 1024;
/// Largest item: a public statement with its signatures still fits an entry.
pub const MAX_ITEM: usize = 60 * 1024;

/// Reads a public key from its SPKI.
pub type KeyReader<'a> = &'a dyn Fn(&[u8]) -> Result<Arc<PublicKey>, key::Error>;

/// One signature.
#[derive(Debug)]
enum Layer {
    /// Of the innermost, the payload is taken out.
    Cose(cose::Sign1),
    /// One for all items of a ceremony, if they came together.
    Passkey(Arc<Assertion>),
}

impl Layer {
    fn spki(&self) -> &[u8] {
        match self {
            Self::Cose(message) => &message.kid,
            Self::Passkey(assertion) => assertion.spki(),
        }
    }

    /// Checks it: over `bytes` if they are the statement's, else over what it endorses.
    fn verify(&self, bytes: Option<&[u8]>, place: Place<'_>, keys: KeyReader<'_>) -> Result<(), Error> {
        match (self, bytes) {
            (Self::Cose(message), _) => verify_one(message, bytes, keys),
            (Self::Passkey(assertion), Some(bytes)) => {
                assertion.verify(bytes, passkey::STATEMENTS, place, keys).map_err(Error::Passkey)
            }
            (Self::Passkey(assertion), None) => {
                assertion.verify_endorsing(place, keys).map_err(Error::Passkey)
            }
        }
    }
}

/// An item taken apart and read, its signatures not yet checked: good to choose a lane, and nothing else.
#[derive(Debug)]
pub struct Unverified {
    item: Vec<u8>,
    innermost: Layer,
    /// From the inside out.
    endorsements: Vec<Layer>,
    /// The statement's.
    bytes: Vec<u8>,
    statement: Statement,
}

impl Unverified {
    /// Takes an item apart: shape, layers, statement.
    ///
    /// # Errors
    /// The sender's fault: malformed, too large, too many layers, an unknown type or field.
    pub fn parse(item: Vec<u8>) -> Result<Self, Error> {
        if item.len() > MAX_ITEM {
            return Err(Error::TooLarge { bytes: item.len(), limit: MAX_ITEM });
        }
        let (innermost, endorsements, bytes) = layers_of(&item)?;
        let statement = statement_from(&bytes)?;
        let by_passkey = |layer: &Layer| matches!(layer, Layer::Passkey(_));
        if statement.kind().is_public() && endorsements.iter().chain([&innermost]).any(by_passkey) {
            return Err(Error::Passkey(Refused::Public));
        }
        Ok(Self { item, innermost, endorsements, bytes, statement })
    }

    /// As [`Unverified::parse`], for an item of a batch: an assertion that came before is not checked again.
    ///
    /// # Errors
    /// As [`Unverified::parse`].
    pub fn parse_among(item: Vec<u8>, ceremonies: &mut Ceremonies) -> Result<Self, Error> {
        let mut parsed = Self::parse(item)?;
        if let Layer::Passkey(assertion) = &mut parsed.innermost {
            *assertion = ceremonies.shared(assertion);
        }
        Ok(parsed)
    }

    /// The type of its statement.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.statement.kind()
    }

    /// Checks the signatures, from the inside out.
    ///
    /// # Errors
    /// The sender's fault: not a key we take, another key's algorithm, a signature that does not hold.
    pub fn verify(self) -> Result<Verified<Statement>, Error> {
        self.verify_with(Place::Named, &|spki| PublicKey::from_spki(spki).map(Arc::new))
    }

    /// As [`Unverified::verify`], for one relying party and with keys that the caller may have read before.
    ///
    /// # Errors
    /// As [`Unverified::verify`]; an assertion of another place.
    pub fn verify_with(self, place: Place<'_>, keys: KeyReader<'_>) -> Result<Verified<Statement>, Error> {
        self.innermost.verify(Some(&self.bytes), place, keys)?;
        self.endorsements.iter().try_for_each(|layer| layer.verify(None, place, keys))?;
        let signed = self.signed();
        let spkis = self.spkis();
        Ok(Verified::new(self.statement, signed, spkis, self.bytes, self.item))
    }

    /// Public keys it names (SPKI DER): signer first.
    fn spkis(&self) -> Vec<Vec<u8>> {
        let endorsers = self.endorsements.iter().map(Layer::spki);
        std::iter::once(self.innermost.spki()).chain(endorsers).map(<[u8]>::to_vec).collect()
    }

    fn signed(&self) -> Signed {
        let name = |spki: &[u8]| KeyHash(hash::sha256(&[spki]));
        let signer = name(self.innermost.spki());
        let endorsers = self.endorsements.iter().map(|layer| name(layer.spki())).collect();
        let id = StatementId(entry::statement_id(signer.as_bytes(), &self.bytes));
        Signed { id, signer, endorsers }
    }
}

/// Innermost form, endorsements from the inside out, statement.
type Layers = (Layer, Vec<Layer>, Vec<u8>);

fn layers_of(item: &[u8]) -> Result<Layers, Error> {
    let mut endorsements = Vec::new();
    let mut below = item.to_vec();
    let (innermost, bytes) = loop {
        let (layer, payload, endorses) = one_of(&below)?;
        if !endorses {
            break (layer, payload);
        }
        if endorsements.len() + 1 == MAX_LAYERS {
            return Err(Error::TooManyLayers { limit: MAX_LAYERS });
        }
        endorsements.push(layer);
        below = payload;
    };
    endorsements.reverse();
    Ok((innermost, endorsements, bytes))
}

/// The outermost layer, what it is over, and whether that is an item it endorses.
fn one_of(item: &[u8]) -> Result<(Layer, Vec<u8>, bool), Error> {
    if Passkey::is_meant_by(item) {
        let parts = Passkey::parse(item)?;
        let endorses = parts.over == Over::Item;
        let (payload, assertion) = Assertion::of(parts).ok_or(Error::NoPayload)?;
        return Ok((Layer::Passkey(Arc::new(assertion)), payload, endorses));
    }
    let mut message = cose::parse(item)?;
    let payload = message.payload.take().ok_or(Error::NoPayload)?;
    match message.typ.as_str() {
        STATEMENT => Ok((Layer::Cose(message), payload, false)),
        ENDORSED => {
            message.payload = Some(payload.clone());
            Ok((Layer::Cose(message), payload, true))
        }
        _ => Err(Error::Typ { found: message.typ }),
    }
}

/// Checks one COSE signature, over its payload or over one that travels beside it.
fn verify_one(message: &cose::Sign1, detached: Option<&[u8]>, keys: KeyReader<'_>) -> Result<(), Error> {
    let key = keys(&message.kid)?;
    if key.alg() != message.alg {
        return Err(Error::AlgorithmOfOtherKey);
    }
    let holds = match detached {
        Some(bytes) => message.verify_detached(bytes, &key),
        None => message.verify(&key),
    };
    holds.map_err(|_| Error::Signature)
}

/// Opens an item: shape, then signatures from the inside out, then the statement.
///
/// An assertion is held to the relying party its page names ([`Place::Named`]).
///
/// # Errors
/// As [`Unverified::parse`] and [`Unverified::verify`].
pub fn open(item: &[u8]) -> Result<Verified<Statement>, Error> {
    Unverified::parse(item.to_vec())?.verify()
}

/// Reads an item of one's own store: shape and statement, no signature.
///
/// # Errors
/// As [`Unverified::parse`].
pub fn reload(item: &[u8]) -> Result<(Statement, Signed), Error> {
    let item = Unverified::parse(item.to_vec())?;
    let signed = item.signed();
    Ok((item.statement, signed))
}

/// The public keys an item names (SPKI DER), signer first; no signature is checked.
///
/// # Errors
/// As [`Unverified::parse`].
pub fn spkis(item: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    Ok(Unverified::parse(item.to_vec())?.spkis())
}

/// Parses statement bytes through the gate.
///
/// # Errors
/// Malformed bytes, an unknown type, an unknown or missing field, a size over its kind's limit.
pub fn statement_from(bytes: &[u8]) -> Result<Statement, Error> {
    if bytes.len() > MAX_PUBLIC {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_PUBLIC });
    }
    let kind = match kind_of(bytes) {
        Some(kind) => kind,
        // Of another shape: the decoder says why.
        None => cbor::decode::<Head>(bytes)?.kind,
    };
    if !kind.is_public() && bytes.len() > MAX_PERSONAL {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_PERSONAL });
    }
    let statement = cbor::decode_as(bytes, |d| Statement::deserialize_as(kind, d))?;
    // One spelling: serde would take a struct written as an array.
    if cbor::encodes_to(&statement, bytes)? { Ok(statement) } else { Err(Error::Spelling) }
}

/// The type a statement names, without reading the rest.
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let mut fields = cbor::Reader::new(bytes).ok()?;
    for _ in 0..fields.map().ok()? {
        if fields.text().ok()? == "type" {
            return Kind::parse(fields.text().ok()?);
        }
        fields.skip().ok()?;
    }
    None
}

/// Signs a statement: encoded deterministically, tagged `COSE_Sign1`.
///
/// # Errors
/// The encoder, the signer.
pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    Ok(cose::sign_statement(signer, &cbor::encode(statement)?)?)
}
