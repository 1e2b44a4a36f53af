//! Signing what is long with one copy of it in memory.
//!
//! What is signed holds the payload, and so does the item: here the item's payload is a part of
//! what was signed. Lacks items of more than a piece of a stream: a key signs what it has as a whole.

use super::{Error, TYP, header, protected};
use crate::ledger::cbor;
use crate::ledger::key::Signer;

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

#[cfg(test)]
mod tests {
    use super::super::{ARCHIVE, sign};
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
}
