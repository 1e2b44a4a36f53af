//! The passkey form of a signed item: `[1, statement, digests, authenticatorData,
//! clientDataJSON, signature, SPKI]`, a WebAuthn assertion over 1 to 64 statements.
//!
//! One ceremony signs the digests of all of them; each of its items repeats the
//! assertion and stands alone. A login has the same form, with one digest. Lacks:
//! the check of the assertion, which is `identity`'s. Trusts nothing: this says what
//! the bytes claim. Source: design §4, "Signed item" (b).

use super::Error;
use crate::ledger::cbor;
use crate::ledger::cbor::{Reader, Writer};
use crate::ledger::hash::Hash;

/// At most so many statements in one ceremony.
pub const MAX_DIGESTS: usize = 64;

/// First byte of an array of 7.
const HEAD: u8 = 0x87;

/// What an item of the passkey form claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// The statement, or none in a proof.
    pub statement: Option<Vec<u8>>,
    /// SHA-256 of each statement of the ceremony, 1 to 64.
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
    /// Whether bytes begin as an item of this form does.
    #[must_use]
    pub fn is_meant_by(item: &[u8]) -> bool {
        item.first() == Some(&HEAD)
    }

    /// Takes an item or a proof apart.
    ///
    /// # Errors
    ///
    /// [`Error::Cbor`]: not admitted CBOR, or not of this form.
    pub fn parse(item: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(item)?;
        reader.array_of(7, "a passkey item of 7 members")?;
        let at = reader.at();
        if reader.uint()? != 1 {
            return Err(cbor::Error::Unexpected { at, expected: "passkey item version 1" }.into());
        }
        let statement = reader.bytes_or_null()?.map(<[u8]>::to_vec);
        let at = reader.at();
        let count = usize::try_from(reader.array()?).unwrap_or(usize::MAX);
        if !(1..=MAX_DIGESTS).contains(&count) {
            return Err(cbor::Error::Unexpected { at, expected: "1 to 64 digests" }.into());
        }
        let digests = (0..count).map(|_| reader.hash()).collect::<Result<_, _>>()?;
        let mut next = || reader.bytes().map(<[u8]>::to_vec);
        let (authenticator_data, client_data, signature, spki) = (next()?, next()?, next()?, next()?);
        reader.end()?;
        Ok(Self { statement, digests, authenticator_data, client_data, signature, spki })
    }

    /// The item, or the proof if there is no statement.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = self.statement.as_ref().map_or(0, Vec::len) + self.digests.len() * 34 + 1_024;
        let item = Writer::with_capacity(length).array(7).uint(1);
        let item = super::proof::bytes_or_null(item, self.statement.as_deref());
        let item =
            self.digests.iter().fold(item.array(self.digests.len()), |item, digest| item.bytes(digest));
        item.bytes(&self.authenticator_data)
            .bytes(&self.client_data)
            .bytes(&self.signature)
            .bytes(&self.spki)
            .finish()
    }
}
