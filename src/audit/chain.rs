//! A log's keys, from the list of its rotations.
//!
//! The list (`rotations` beside the checkpoint) is a CBOR array of public evidence, one for every
//! `log.rotate` of the log key, in order. Each statement is signed by the key that ended and endorsed by
//! the one that came; so whoever knows one key of the chain knows them all, and each receipt, by a key of
//! the chain, shows where the statement stands. Lacks authority of operators: the replay of all entries
//! judges that, and compares. What it cannot see: a second list under a key that was stolen after its
//! end; whoever knows a newer key, an older checkpoint or a mirror does.

use serde_bytes::ByteBuf;

use crate::consent::Register;
use crate::identity;
use crate::identity::Verified;
use crate::ledger::cbor;
use crate::ledger::chain::Chain;
use crate::ledger::evidence;
use crate::ledger::evidence::Evidence;
use crate::ledger::key::PublicKey;
use crate::model::statement::ServerKey;
use crate::model::statement::Statement;

/// Most rotations that are read.
const MOST: usize = 1_024;

/// Why a list is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not admitted CBOR, or no list of evidence.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Evidence of a rotation.
    #[error("rotation {n}: {error}")]
    Evidence {
        /// Which, from 0.
        n: usize,
        /// What is wrong.
        error: evidence::Error,
    },
    /// A signature.
    #[error("rotation {n}: {error}")]
    Signature {
        /// Which, from 0.
        n: usize,
        /// What is wrong.
        error: identity::Error,
    },
    /// It is no rotation of the log key, or does not follow the one before.
    #[error("rotation {n} does not follow the one before")]
    Broken {
        /// Which, from 0.
        n: usize,
    },
    /// More than are read.
    #[error("more than {MOST} rotations")]
    Many,
    /// The known key is none of them.
    #[error("the known key is none of the log's")]
    Stranger,
}

/// The chain that a list of rotations makes, if the known key stands in it. An empty list makes the chain
/// of that key alone.
///
/// # Errors
/// [`Error`].
pub fn follow(known: &PublicKey, origin: &str, rotations: &[u8]) -> Result<Chain, Error> {
    if rotations.is_empty() {
        return Ok(Chain::new(known.clone()));
    }
    let list: Vec<ByteBuf> = cbor::decode_exact(rotations)?;
    if list.len() > MOST {
        return Err(Error::Many);
    }
    let mut chain: Option<Chain> = None;
    let mut shown = Vec::with_capacity(list.len());
    for (n, bytes) in list.iter().enumerate() {
        let evidence = Evidence::parse(bytes).map_err(|error| Error::Evidence { n, error })?;
        let item = evidence.public_item().map_err(|error| Error::Evidence { n, error })?;
        let verified = identity::open(&item).map_err(|error| Error::Signature { n, error })?;
        let broken = || Error::Broken { n };
        let [old, new] = keys_of(&verified).ok_or_else(broken)?;
        let chained = chain.unwrap_or_else(|| Chain::new(old.clone()));
        let later = chained.rotations().last().is_none_or(|last| last < evidence.index);
        if *chained.newest() != old || !later {
            return Err(broken());
        }
        chain = Some(chained.then(evidence.index, new));
        shown.push(evidence);
    }
    let chain = chain.unwrap_or_else(|| Chain::new(known.clone()));
    if !chain.keys().any(|key| key == known) {
        return Err(Error::Stranger);
    }
    for (n, evidence) in shown.iter().enumerate() {
        evidence.verify(&chain, origin, None).map_err(|error| Error::Evidence { n, error })?;
    }
    Ok(chain)
}

/// The key that ends and the key that comes, of a rotation of the log key that both have signed.
fn keys_of(verified: &Verified<Statement>) -> Option<[PublicKey; 2]> {
    let Statement::LogRotate(s) = verified.value() else { return None };
    let [old, endorser, ..] = verified.spkis() else { return None };
    if s.server_key != ServerKey::Log || *endorser != *s.new {
        return None;
    }
    Some([PublicKey::from_spki(old).ok()?, PublicKey::from_spki(&s.new).ok()?])
}

/// The chain that the public entries make; `None` before genesis.
#[must_use]
pub fn of_register(register: &Register) -> Option<Chain> {
    let [log, ..] = register.server_spkis()?;
    let first = Chain::new(PublicKey::from_spki(log).ok()?);
    register.rotated(ServerKey::Log).try_fold(first, |chain, served| {
        Some(chain.then(served.index, PublicKey::from_spki(&served.spki).ok()?))
    })
}
