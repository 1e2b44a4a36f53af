//! Statement and proof: two halves of an item that make it again, byte for byte.
//!
//! *Proof* = the received item with `nil` in place of the statement bytes: the
//! innermost payload of up to four `COSE_Sign1` layers, or the second member of
//! a passkey item. Lacks signature checks: both halves come from an item that was
//! checked, or the result is checked after.

use super::{ENDORSED, Error, Over, Passkey, parse};
use crate::ledger::cbor::Writer;

/// How many layers an item may have: a signer and three that endorse.
pub const MAX_LAYERS: usize = 4;

/// The item without its statement.
///
/// # Errors
///
/// What [`parse`] refuses in any layer; [`Error::Layers`]; [`Error::Payload`] if
/// the statement is missing.
pub fn proof_of(item: &[u8]) -> Result<Vec<u8>, Error> {
    replace(item, MAX_LAYERS, &mut |statement| match statement {
        Some(_) => Ok(None),
        None => Err(Error::Payload),
    })
}

/// The item again, from its two halves.
///
/// # Errors
///
/// As [`proof_of`]; [`Error::Payload`] if the proof still has a statement.
pub fn join(proof: &[u8], statement: &[u8]) -> Result<Vec<u8>, Error> {
    replace(proof, MAX_LAYERS, &mut |hole| match hole {
        None => Ok(Some(statement.to_vec())),
        Some(_) => Err(Error::Payload),
    })
}

/// The statement inside an item.
///
/// # Errors
///
/// As [`proof_of`].
pub fn statement_of(item: &[u8]) -> Result<Vec<u8>, Error> {
    let mut found = Vec::new();
    replace(item, MAX_LAYERS, &mut |statement| {
        found = statement.ok_or(Error::Payload)?.to_vec();
        Ok(None)
    })?;
    Ok(found)
}

type Swap<'a> = dyn FnMut(Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> + 'a;

/// Rebuilds an item with another innermost statement.
fn replace(item: &[u8], layers: usize, swap: &mut Swap<'_>) -> Result<Vec<u8>, Error> {
    if Passkey::is_meant_by(item) {
        let mut passkey = Passkey::parse(item)?;
        passkey.statement = match passkey.over {
            Over::Statements => swap(passkey.statement.as_deref())?,
            Over::Item => Some(replace_below(passkey.statement.as_deref(), layers, swap)?),
        };
        return Ok(passkey.encode());
    }
    let sign1 = parse(item)?;
    let payload = if sign1.typ == ENDORSED {
        Some(replace_below(sign1.payload.as_deref(), layers, swap)?)
    } else {
        swap(sign1.payload.as_deref())?
    };
    let writer = Writer::with_capacity(item.len()).tag(18).array(4).bytes(&sign1.protected).map(0);
    Ok(bytes_or_null(writer, payload.as_deref()).bytes(&sign1.signature).finish())
}

/// The same inside an endorsement.
fn replace_below(item: Option<&[u8]>, layers: usize, swap: &mut Swap<'_>) -> Result<Vec<u8>, Error> {
    let below = layers.checked_sub(1).filter(|left| *left > 0).ok_or(Error::Layers)?;
    replace(item.ok_or(Error::Payload)?, below, swap)
}

pub(super) fn bytes_or_null(writer: Writer, bytes: Option<&[u8]>) -> Writer {
    match bytes {
        Some(bytes) => writer.bytes(bytes),
        None => writer.null(),
    }
}
