//! What is long, signed and verified with one copy of it in memory.
//!
//! What is signed holds the payload, and so does the item: between its two headers and in front of them both differ
//! in a few bytes. Lacks what is signed piece by piece as it comes: Ed25519 reads its message twice.

use super::{Error, Exact, TYP, header, is_of, parse_by_name, protected};
use crate::ledger::cbor;
use crate::ledger::key::{Alg, PublicKey, Signer};

/// What an item begins with, and what is signed instead. Source: RFC 9052 sections 4.2, 4.4
const ITEM: &[u8] = b"\xd2\x84";
const SIGNED: &[u8] = b"\x84\x6aSignature1";
/// What is signed in place of the unprotected header: no external data.
const NOTHING: u8 = 0x40;
/// Bytes that what is signed is longer than the item up to its signature.
pub const ROOM: usize = SIGNED.len() - ITEM.len();

/// A signed item in three pieces, in the order in which they are written.
#[derive(Debug)]
pub struct Long {
    head: Vec<u8>,
    /// What was signed: the payload is its end.
    signed: Vec<u8>,
    payload: usize,
    tail: Vec<u8>,
}

impl Long {
    /// The pieces: together they are what [`sign`](super::sign) makes of the same payload.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 3] {
        [&self.head, self.signed.get(self.payload..).unwrap_or_default(), &self.tail]
    }
}

/// As [`sign`](super::sign), of a payload of so many bytes that `write` appends.
///
/// # Errors
///
/// [`Error::Payload`] if it appends another number of bytes; [`Error::Key`] if the signer fails.
///
/// Source: RFC 9052 section 4.4
pub fn sign_long(
    signer: &dyn Signer,
    (typ, kid): (&str, &[u8]),
    length: usize,
    write: &mut dyn FnMut(&mut Vec<u8>),
) -> Result<Long, Error> {
    let protected = protected(header(signer.public().alg(), kid).value(TYP, typ.into()))?;
    let mut signed = cbor::Writer::with_capacity(protected.len() + length + 32)
        .array(4)
        .text("Signature1")
        .bytes(&protected)
        .bytes(&[])
        .bytes_of(length)
        .finish();
    let payload = signed.len();
    write(&mut signed);
    if signed.len().checked_sub(payload) != Some(length) {
        return Err(Error::Payload);
    }
    let signature = signer.sign(&signed)?;
    let head = cbor::Writer::new().tag(18).array(4).bytes(&protected).map(0).bytes_of(length).finish();
    Ok(Long { head, signed, payload, tail: cbor::Writer::new().bytes(&signature).finish() })
}

/// What an item claims, as [`Sign1`](super::Sign1).
#[derive(Debug)]
pub struct LongSign1 {
    /// Label 1.
    pub alg: Alg,
    /// Label 4.
    pub kid: Vec<u8>,
    /// Label 16, not checked here.
    pub typ: String,
    signed: Vec<u8>,
    payload: usize,
    signature: Vec<u8>,
}

impl LongSign1 {
    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.signed.get(self.payload..).unwrap_or_default()
    }

    /// As [`Sign1::verify`](super::Sign1::verify).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Error> {
        is_of(self.alg, &self.kid, key)?;
        Ok(key.verify(&self.signed, &self.signature)?)
    }
}

/// Parses an item with a payload as [`parse`](super::parse) does. Its bytes become, where they stand, what was signed:
/// with a capacity of [`ROOM`] more they are not copied.
///
/// # Errors
///
/// As [`parse`](super::parse); [`Error::Payload`] of a detached one.
pub fn parse_long(mut bytes: Vec<u8>) -> Result<LongSign1, Error> {
    cbor::gate(&bytes)?;
    let exact = match Exact::of(&bytes) {
        Ok(exact) => exact,
        // Of another shape: `coset` says why.
        Err(error) => return Err(parse_by_name(&bytes).err().unwrap_or_else(|| error.into())),
    };
    let payload = exact.payload.ok_or(Error::Payload)?.len();
    let (alg, kid, typ) = (exact.alg, exact.kid.to_vec(), exact.typ.to_owned());
    let (signature, unprotected, end) = (exact.signature.to_vec(), exact.unprotected, exact.end);
    bytes.truncate(end);
    if let Some(byte) = bytes.get_mut(unprotected) {
        *byte = NOTHING;
    }
    bytes.splice(..ITEM.len(), SIGNED.iter().copied());
    let payload = bytes.len().saturating_sub(payload);
    Ok(LongSign1 { alg, kid, typ, signed: bytes, payload, signature })
}

#[cfg(test)]
mod tests {
    use super::super::{ARCHIVE, parse, sign, to_be_signed};
    use super::*;
    use crate::ledger::key::Ed25519Signer;

    #[test]
    fn what_is_signed_in_pieces_is_what_is_signed_as_a_whole() {
        let signer = Ed25519Signer::from_seed([3; 32]);
        for length in [0, 1, 23, 24, 255, 256, 70_000] {
            let payload = vec![7; length];
            let long = sign_long(&signer, (ARCHIVE, &[9; 32]), length, &mut |out| out.extend(&payload));
            assert_eq!(long.unwrap().pieces().concat(), sign(&signer, ARCHIVE, &[9; 32], &payload).unwrap());
            let other = sign_long(&signer, (ARCHIVE, &[9; 32]), length + 1, &mut |out| out.extend(&payload));
            assert!(matches!(other, Err(Error::Payload)));
        }
    }

    #[test]
    fn what_is_parsed_in_its_place_is_what_is_parsed_with_copies() {
        let signer = Ed25519Signer::from_seed([3; 32]);
        for length in [0, 1, 23, 24, 255, 256, 70_000] {
            let item = sign(&signer, ARCHIVE, &signer.public().hash(), &vec![7; length]).unwrap();
            let mut bytes = Vec::with_capacity(item.len() + ROOM);
            bytes.extend_from_slice(&item);
            let (long, whole) = (parse_long(bytes).unwrap(), parse(&item).unwrap());
            assert_eq!(long.signed.capacity(), item.len() + ROOM);
            assert_eq!((long.alg, &long.kid, &long.typ), (whole.alg, &whole.kid, &whole.typ));
            assert_eq!(Some(long.payload()), whole.payload.as_deref());
            assert_eq!(long.signed, to_be_signed(&whole.protected, long.payload()));
            long.verify(signer.public()).unwrap();
            let other = Ed25519Signer::from_seed([4; 32]);
            assert!(matches!(long.verify(other.public()), Err(Error::Kid)));
        }
    }

    #[test]
    fn whatever_is_changed_is_refused_and_for_the_same_reason() {
        let signer = Ed25519Signer::from_seed([3; 32]);
        let good = sign(&signer, ARCHIVE, &signer.public().hash(), b"payload").unwrap();
        let verified = |bytes: &[u8]| parse(bytes).and_then(|item| item.verify(signer.public()));
        let long = |bytes: &[u8]| parse_long(bytes.to_vec()).and_then(|item| item.verify(signer.public()));
        assert!(long(&good).is_ok() && verified(&good).is_ok());
        for at in 0..good.len() {
            for flip in 1..=255 {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert_eq!(
                    long(&bad).map_err(|e| e.to_string()),
                    verified(&bad).map_err(|e| e.to_string()),
                    "byte {at}"
                );
                assert!(long(&bad).is_err(), "byte {at}");
            }
            assert!(long(&good[..at]).is_err(), "cut {at}");
        }
    }
}
