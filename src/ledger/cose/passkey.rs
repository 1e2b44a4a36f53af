//! The passkey forms of a signed item: `[1, statement, digests, authenticatorData,
//! clientDataJSON, signature, SPKI]`, a WebAuthn assertion over 1 to 64 statements,
//! and `[2, item, authenticatorData, clientDataJSON, signature, SPKI]`, which endorses.
//!
//! One ceremony signs the digests of all its statements; each of its items repeats the
//! assertion and stands alone. A login has the first form, with one digest. A passkey
//! signs no `COSE_Sign1`, so a new one could not endorse without the second. Lacks:
//! the check of the assertion, which is `identity`'s. Trusts nothing: this says what
//! the bytes claim. Source: design §4, "Signed item" (b).

use super::Error;
use crate::ledger::cbor;
use crate::ledger::cbor::{Reader, Writer};
use crate::ledger::hash;
use crate::ledger::hash::Hash;

/// At most so many statements in one ceremony.
pub const MAX_DIGESTS: usize = 64;

/// First byte of an array of 7, and of one of 6.
const HEADS: [u8; 2] = [0x87, 0x86];

/// What an assertion is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Statements, or a login.
    Statements,
    /// One item, which it endorses.
    Item,
}

/// What an item of a passkey form claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Which of the two.
    pub over: Over,
    /// The statement, or none in a proof; the item it endorses, or that one's proof.
    pub statement: Option<Vec<u8>>,
    /// SHA-256 of each statement of the ceremony, 1 to 64; of the item, which is not written.
    pub digests: Vec<Hash>,
    /// As the authenticator made it.
    pub authenticator_data: Vec<u8>,
    /// As the browser made it.
    pub client_data: Vec<u8>,
    /// As the authenticator made it: DER for ES256.
    pub signature: Vec<u8>,
    /// The credential's public key, DER.
    pub spki: Vec<u8>,
}

impl Passkey {
    /// Whether bytes begin as an item of these forms does.
    #[must_use]
    pub fn is_meant_by(item: &[u8]) -> bool {
        item.first().is_some_and(|head| HEADS.contains(head))
    }

    /// Takes an item or a proof apart.
    ///
    /// # Errors
    ///
    /// [`Error::Cbor`]: not admitted CBOR, or not of these forms.
    pub fn parse(item: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(item)?;
        let members = reader.array()?;
        let at = reader.at();
        let over = match (members, reader.uint()?) {
            (7, 1) => Over::Statements,
            (6, 2) => Over::Item,
            _ => return Err(cbor::Error::Unexpected { at, expected: "a passkey item" }.into()),
        };
        let (statement, digests) = match over {
            Over::Statements => (reader.bytes_or_null()?.map(<[u8]>::to_vec), digests(&mut reader)?),
            Over::Item => {
                let item = reader.bytes()?;
                (Some(item.to_vec()), vec![hash::sha256(&[item])])
            }
        };
        let mut next = || reader.bytes().map(<[u8]>::to_vec);
        let (authenticator_data, client_data, signature, spki) = (next()?, next()?, next()?, next()?);
        reader.end()?;
        Ok(Self { over, statement, digests, authenticator_data, client_data, signature, spki })
    }

    /// The item, or the proof if there is no statement.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = self.statement.as_ref().map_or(0, Vec::len) + self.digests.len() * 34 + 1_024;
        let statement = self.statement.as_deref();
        let item = Writer::with_capacity(length);
        let item = match self.over {
            Over::Item => super::proof::bytes_or_null(item.array(6).uint(2), statement),
            Over::Statements => {
                let item = super::proof::bytes_or_null(item.array(7).uint(1), statement);
                let item = item.array(self.digests.len());
                self.digests.iter().fold(item, |item, digest| item.bytes(digest))
            }
        };
        item.bytes(&self.authenticator_data)
            .bytes(&self.client_data)
            .bytes(&self.signature)
            .bytes(&self.spki)
            .finish()
    }
}

fn digests(reader: &mut Reader<'_>) -> Result<Vec<Hash>, Error> {
    let at = reader.at();
    let count = usize::try_from(reader.array()?).unwrap_or(usize::MAX);
    if !(1..=MAX_DIGESTS).contains(&count) {
        return Err(cbor::Error::Unexpected { at, expected: "1 to 64 digests" }.into());
    }
    Ok((0..count).map(|_| reader.hash()).collect::<Result<_, _>>()?)
}
