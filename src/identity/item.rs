//! The forms in which a signed statement arrives, and the one function that opens them.
//!
//! - tagged `COSE_Sign1` with `typ` [`STATEMENT`], payload the statement;
//! - endorsed: `COSE_Sign1` with `typ` [`ENDORSED`], payload the item it
//!   endorses, at most three layers;
//! - passkey items (an array) are recognised and refused by this build.
//!
//! The signature is checked before anything is looked up.

use std::sync::Arc;

use crate::identity::Error;
use crate::identity::Signed;
use crate::identity::Verified;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::cose::ENDORSED;
use crate::ledger::cose::MAX_LAYERS;
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

/// An item taken apart and read, its signatures not yet checked: good to choose a lane, and nothing else.
#[derive(Debug)]
pub struct Unverified {
    item: Vec<u8>,
    /// Innermost first, its payload taken out: that is `bytes`.
    messages: Vec<cose::Sign1>,
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
        // Major type 4: the passkey form, whose rules come with key sets.
        if item.first().is_some_and(|b| b >> 5 == 4) {
            cbor::gate(&item)?;
            return Err(Error::PasskeyNotServed);
        }
        let mut messages = Vec::with_capacity(1);
        let mut message = cose::parse(&item)?;
        let bytes = loop {
            let payload = message.payload.take().ok_or(Error::NoPayload)?;
            let inner = match message.typ.as_str() {
                STATEMENT => None,
                ENDORSED if messages.len() + 1 < MAX_LAYERS => Some(cose::parse(&payload)?),
                ENDORSED => return Err(Error::TooManyLayers { limit: MAX_LAYERS }),
                _ => return Err(Error::Typ { found: message.typ }),
            };
            match inner {
                Some(inner) => {
                    message.payload = Some(payload);
                    messages.push(std::mem::replace(&mut message, inner));
                }
                None => {
                    messages.push(message);
                    break payload;
                }
            }
        };
        messages.reverse();
        let statement = statement_from(&bytes)?;
        Ok(Self { item, messages, bytes, statement })
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
        self.verify_with(&|spki| PublicKey::from_spki(spki).map(Arc::new))
    }

    /// As [`Unverified::verify`], with keys that the caller may have read before.
    ///
    /// # Errors
    /// As [`Unverified::verify`].
    pub fn verify_with(self, keys: KeyReader<'_>) -> Result<Verified<Statement>, Error> {
        for message in &self.messages {
            let key = keys(&message.kid)?;
            if key.alg() != message.alg {
                return Err(Error::AlgorithmOfOtherKey);
            }
            let holds = match &message.payload {
                None => message.verify_detached(&self.bytes, &key),
                Some(_) => message.verify(&key),
            };
            holds.map_err(|_| Error::Signature)?;
        }
        let signed = self.signed()?;
        let spkis = self.messages.into_iter().map(|message| message.kid).collect();
        Ok(Verified::new(self.statement, signed, spkis, self.bytes, self.item))
    }

    fn signed(&self) -> Result<Signed, Error> {
        let mut hashes = self.messages.iter().map(|m| KeyHash(hash::sha256(&[&m.kid])));
        let signer = hashes.next().ok_or(Error::NoPayload)?;
        let endorsers: Vec<_> = hashes.collect();
        let id = StatementId(entry::statement_id(signer.as_bytes(), &self.bytes));
        Ok(Signed { id, signer, endorsers })
    }
}

/// Opens an item: shape, then signatures from the inside out, then the statement.
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
    let signed = item.signed()?;
    Ok((item.statement, signed))
}

/// The public keys an item names (SPKI DER), signer first; no signature is checked.
///
/// # Errors
/// As [`Unverified::parse`].
pub fn spkis(item: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    Ok(Unverified::parse(item.to_vec())?.messages.into_iter().map(|message| message.kid).collect())
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
