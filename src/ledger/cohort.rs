//! The summary of a cohort: one signature over many answers to one question.
//!
//! A `COSE_Sign1` of the log key, typ `application/naru-cohort+cbor`, kid
//! SHA-256(SPKI). It binds two files by their hashes: the lines that were asked,
//! as received, and the verdicts, as served. The question's words are carried, not
//! understood. Lacks any proof that a verdict was right: the use lines are that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::hash::Hash;
use crate::ledger::key::Signer;

/// Why a summary is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or another shape.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Not the log's signed item.
    #[error(transparent)]
    Cose(#[from] cose::Error),
    /// The counts do not add up to the lines.
    #[error("the counts say {counted} lines, the summary {lines}")]
    Counts {
        /// Sum of the counts.
        counted: u64,
        /// What `lines` says.
        lines: u64,
    },
}

/// What was asked of every line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// In whose domain.
    pub controller: String,
    /// What would be done.
    pub action: String,
    /// For which purpose.
    pub purpose: String,
    /// On which class of data.
    pub class: String,
    /// On which categories; empty asks for the grant as a whole.
    pub categories: Vec<String>,
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

/// One finished cohort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Name of the log. The reader compares it with the one it expects.
    pub origin: String,
    /// Name of the cohort.
    #[serde(with = "serde_bytes")]
    pub id: [u8; 16],
    /// Who asked.
    pub party: String,
    /// What.
    pub asked: Asked,
    /// Lines asked, one verdict each.
    pub lines: u64,
    /// Verdicts by the reason told.
    pub told: BTreeMap<String, u64>,
    /// Lines that are no ppid.
    pub malformed: u64,
    /// SHA-256 of the lines as received.
    #[serde(with = "serde_bytes")]
    pub input: Hash,
    /// SHA-256 of the verdicts as served.
    #[serde(with = "serde_bytes")]
    pub verdicts: Hash,
    /// The smallest and the largest index a verdict reflects.
    #[serde(rename = "as-of")]
    pub as_of: (u64, u64),
    /// Packs that decided, `name/version`, in order.
    pub packs: Vec<String>,
    /// When the lines had arrived, ms.
    pub begun: u64,
    /// When the last verdict was made, ms.
    pub ended: u64,
}

impl Summary {
    /// Signs the summary as the log.
    ///
    /// # Errors
    /// [`Error::Counts`]; [`Error::Cose`] if the signer fails.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        self.check()?;
        let payload = cbor::encode(self)?;
        Ok(cose::sign(signer, cose::COHORT, &signer.public().hash(), &payload)?)
    }

    fn check(&self) -> Result<(), Error> {
        let counted = self.told.values().fold(self.malformed, |sum, n| sum.saturating_add(*n));
        if counted == self.lines { Ok(()) } else { Err(Error::Counts { counted, lines: self.lines }) }
    }
}

/// Checks the log's signature and opens a summary.
///
/// # Errors
/// [`Error`].
pub fn open(bytes: &[u8], keys: &dyn LogKeys) -> Result<Summary, Error> {
    let item = cose::parse(bytes)?;
    if item.typ != cose::COHORT {
        return Err(cose::Error::Typ { expected: cose::COHORT }.into());
    }
    let summary = read(&item)?;
    // It reflects that many entries at least: a key that ended before has not signed it.
    let key = keys.named(&item.kid, summary.as_of.0).ok_or(cose::Error::Kid)?;
    item.verify(key)?;
    Ok(summary)
}

/// Opens a summary without its signature: it then claims, and proves nothing.
///
/// # Errors
/// [`Error`].
pub fn claimed(bytes: &[u8]) -> Result<Summary, Error> {
    read(&cose::parse(bytes)?)
}

fn read(item: &cose::Sign1) -> Result<Summary, Error> {
    let payload = item.payload.as_deref().ok_or(cose::Error::Payload)?;
    let summary: Summary = cbor::decode_exact(payload)?;
    summary.check()?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;

    fn summary() -> Summary {
        Summary {
            origin: "o/1".into(),
            id: [1; 16],
            party: "bank".into(),
            asked: Asked {
                controller: "bank".into(),
                action: "use".into(),
                purpose: "dpv:Marketing".into(),
                class: "real-name".into(),
                categories: vec!["pd:Income".into()],
                recipient: None,
                jurisdiction: Some("KR".into()),
            },
            lines: 6,
            told: BTreeMap::from([("CONSENT_GIVEN".into(), 2), ("CONSENT_NOT_GIVEN".into(), 3)]),
            malformed: 1,
            input: [2; 32],
            verdicts: [3; 32],
            as_of: (7, 9),
            packs: vec!["kcern-2018/1".into()],
            begun: 10,
            ended: 11,
        }
    }

    #[test]
    fn a_summary_is_the_log_s_and_adds_up() {
        let (signer, stranger) = (Ed25519Signer::from_seed([3; 32]), Ed25519Signer::from_seed([4; 32]));
        let signed = summary().sign(&signer).unwrap();
        assert_eq!(open(&signed, signer.public()).unwrap(), summary());
        assert!(open(&signed, stranger.public()).is_err());
        for at in 0..signed.len() {
            let mut bad = signed.clone();
            bad[at] ^= 1;
            assert!(open(&bad, signer.public()).is_err(), "byte {at}");
        }
        assert!(matches!(Summary { lines: 7, ..summary() }.sign(&signer), Err(Error::Counts { .. })));
        let payload = cbor::encode(&summary()).unwrap();
        let promise = cose::sign(&signer, cose::PROMISE, &signer.public().hash(), &payload).unwrap();
        assert!(open(&promise, signer.public()).is_err());
    }
}
