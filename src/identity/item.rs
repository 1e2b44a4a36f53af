//! The forms in which a signed statement arrives, and the one function that opens them.
//!
//! - tagged `COSE_Sign1` with `typ` [`STATEMENT`], payload the statement;
//! - endorsed: `COSE_Sign1` with `typ` [`ENDORSED`], payload the item it
//!   endorses, at most three layers;
//! - passkey items (an array) are recognised and refused by this build.
//!
//! The signature is checked before anything is looked up.

use crate::identity::Error;
use crate::identity::Signed;
use crate::identity::Verified;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::cose::ENDORSED;
use crate::ledger::cose::STATEMENT;
use crate::ledger::entry;
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
/// How many times an item may be endorsed.
pub const MAX_LAYERS: usize = 3;

/// An item taken apart, its signatures not yet checked.
struct Layers {
    /// Innermost first: message and the key that signed it.
    signed: Vec<(cose::Sign1, PublicKey)>,
    statement: Vec<u8>,
}

/// Takes an item apart without checking a signature.
fn layers(item: &[u8]) -> Result<Layers, Error> {
    if item.len() > MAX_ITEM {
        return Err(Error::TooLarge { bytes: item.len(), limit: MAX_ITEM });
    }
    // Major type 4: the passkey form, whose rules come with key sets.
    if item.first().is_some_and(|b| b >> 5 == 4) {
        cbor::gate(item)?;
        return Err(Error::PasskeyNotServed);
    }
    let mut signed = Vec::new();
    let mut next = item.to_vec();
    loop {
        let message = cose::parse(&next)?;
        let key = PublicKey::from_spki(&message.kid)?;
        if key.alg() != message.alg {
            return Err(Error::AlgorithmOfOtherKey);
        }
        let payload = message.payload.clone().ok_or(Error::NoPayload)?;
        let typ = message.typ.clone();
        signed.push((message, key));
        match typ.as_str() {
            STATEMENT => {
                signed.reverse();
                return Ok(Layers { signed, statement: payload });
            }
            ENDORSED if signed.len() <= MAX_LAYERS => next = payload,
            ENDORSED => return Err(Error::TooManyLayers { limit: MAX_LAYERS }),
            _ => return Err(Error::Typ { found: typ }),
        }
    }
}

/// The type of an item's statement, read before any signature: only to choose a lane.
///
/// # Errors
/// As [`open`], but for signatures.
pub fn peek(item: &[u8]) -> Result<Kind, Error> {
    let layers = layers(item)?;
    Ok(cbor::decode::<Head>(&layers.statement)?.kind)
}

/// Opens an item: shape, then signatures from the inside out, then the statement.
///
/// # Errors
/// The sender's fault, all of them: malformed, too large, a signature that does not hold, an unknown type
/// or field.
pub fn open(item: &[u8]) -> Result<Verified<Statement>, Error> {
    let layers = layers(item)?;
    for (message, key) in &layers.signed {
        message.verify(key).map_err(|_| Error::Signature)?;
    }
    let (value, signed, spkis) = parse(&layers)?;
    Ok(Verified::new(value, signed, spkis, layers.statement, item.to_vec()))
}

/// Reads an item of one's own store: shape and statement, no signature.
///
/// # Errors
/// As [`open`], but for signatures.
pub fn reload(item: &[u8]) -> Result<(Statement, Signed), Error> {
    let layers = layers(item)?;
    let (value, signed, _) = parse(&layers)?;
    Ok((value, signed))
}

/// The public keys an item names (SPKI DER), signer first; no signature is checked.
///
/// # Errors
/// As [`open`], but for signatures.
pub fn spkis(item: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    Ok(layers(item)?.signed.into_iter().map(|(message, _)| message.kid).collect())
}

fn parse(layers: &Layers) -> Result<(Statement, Signed, Vec<Vec<u8>>), Error> {
    let statement = layers.statement.as_slice();
    let value = statement_from(statement)?;
    let mut hashes = layers.signed.iter().map(|(_, key)| KeyHash(key.hash()));
    let signer = hashes.next().ok_or(Error::NoPayload)?;
    let endorsers: Vec<_> = hashes.collect();
    let id = StatementId(entry::statement_id(signer.as_bytes(), statement));
    let spkis = layers.signed.iter().map(|(message, _)| message.kid.clone()).collect();
    Ok((value, Signed { id, signer, endorsers }, spkis))
}

/// Parses statement bytes through the gate.
///
/// # Errors
/// Malformed bytes, an unknown type, an unknown or missing field, a size over its kind's limit.
pub fn statement_from(bytes: &[u8]) -> Result<Statement, Error> {
    if bytes.len() > MAX_PUBLIC {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_PUBLIC });
    }
    let head: Head = cbor::decode(bytes)?;
    if !head.kind.is_public() && bytes.len() > MAX_PERSONAL {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: MAX_PERSONAL });
    }
    Ok(cbor::decode_as(bytes, |d| Statement::deserialize_as(head.kind, d))?)
}

/// Signs a statement: encoded deterministically, tagged `COSE_Sign1`.
///
/// # Errors
/// The encoder, the signer.
pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    Ok(cose::sign_statement(signer, &cbor::encode(statement)?)?)
}
