//! Evidence: everything a stranger needs to check one entry, in one file.
//!
//! A CBOR map with text keys; which keys stand in it depends on whose it is:
//!
//! ```text
//! citizen:    v, index, entry, at, statement, k1, proof, k2, receipt, checkpoint
//! controller: v, index, entry, at, statement, k1, h2, receipt, ? checkpoint
//! public:     v, index, entry, receipt, checkpoint
//! ```
//!
//! The controller's form lacks the proof on purpose: it holds the person's keys.
//! It shows word for word what was logged; that somebody signed it is shown by
//! the citizen's. Lacks the check of the item's own signatures and of authority:
//! those need to know who may. Trusts the log key and origin it is given.

use serde::{Deserialize, Serialize};

use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::checkpoint;
use crate::ledger::cose;
use crate::ledger::entry;
use crate::ledger::entry::Entry;
use crate::ledger::hash::Hash;
use crate::ledger::receipt;

/// Why evidence is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or another shape.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// The keys of no form.
    #[error("neither citizen's, nor controller's, nor public evidence")]
    Form,
    /// Another version.
    #[error("evidence version {v}, not 1")]
    Version {
        /// The version.
        v: u64,
    },
    /// The entry is malformed.
    #[error(transparent)]
    Entry(#[from] entry::Error),
    /// A public form over a sealed entry, or an opening over a public one.
    #[error("evidence and entry are of different kinds")]
    Kind,
    /// The openings do not make the entry's commitment.
    #[error("openings do not lead to the commitment in the entry")]
    Commitment,
    /// The exact time does not round down to the entry's.
    #[error("time {at} does not round down to {t}")]
    Time {
        /// Exact time.
        at: u64,
        /// The entry's time.
        t: u64,
    },
    /// The item does not come apart or together.
    #[error(transparent)]
    Cose(#[from] cose::Error),
    /// The receipt does not prove the entry.
    #[error(transparent)]
    Receipt(#[from] receipt::Error),
    /// The receipt is for another index.
    #[error("receipt for index {receipt}, evidence for index {index}")]
    Index {
        /// In the receipt.
        receipt: u64,
        /// In the evidence.
        index: u64,
    },
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// Checkpoint and receipt are of different trees.
    #[error("checkpoint and receipt are of different trees")]
    Head,
}

/// One entry with its openings, receipt and checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Index of the entry.
    pub index: u64,
    /// The entry as the tree holds it.
    pub entry: Vec<u8>,
    /// What opens it.
    pub opening: Opening,
    /// Inclusion receipt.
    pub receipt: Vec<u8>,
    /// Checkpoint note with its cosignatures; may be missing in a controller's.
    pub checkpoint: Option<String>,
}

/// What opens an entry, by whose evidence it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Both halves.
    Citizen {
        /// Exact commit time, ms.
        at: u64,
        /// Statement bytes.
        statement: Vec<u8>,
        /// Key of the statement's half.
        k1: [u8; 32],
        /// The item without the statement.
        proof: Vec<u8>,
        /// Key of the proof's half.
        k2: [u8; 32],
    },
    /// The statement's half, and the hash of the other.
    Controller {
        /// Exact commit time, ms.
        at: u64,
        /// Statement bytes.
        statement: Vec<u8>,
        /// Key of the statement's half.
        k1: [u8; 32],
        /// HMAC of the proof's half.
        h2: [u8; 32],
    },
    /// Nothing is hidden.
    Public,
}

/// What evidence has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Index of the entry.
    pub index: u64,
    /// Size of the tree it was proven in.
    pub size: u64,
    /// Root of that tree.
    pub root: Hash,
    /// Time in the entry, ms, rounded down.
    pub t: u64,
    /// Exact commit time, ms, of a sealed entry.
    pub at: Option<u64>,
    /// The statement.
    pub statement: Vec<u8>,
    /// The signed item, where the form has it; its signatures are unchecked.
    pub item: Option<Vec<u8>>,
    /// Whether a signed checkpoint of the same tree came with it.
    pub checkpoint: bool,
}

impl Evidence {
    /// Parses evidence of any form: the exact inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// [`Error::Cbor`], [`Error::Version`], [`Error::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wire: Wire = cbor::decode_exact(bytes)?;
        if wire.v != 1 {
            return Err(Error::Version { v: wire.v });
        }
        let opening = match (wire.at, wire.statement, wire.k1, wire.proof, wire.k2, wire.h2) {
            (None, None, None, None, None, None) => Opening::Public,
            (Some(at), Some(statement), Some(Bytes32(k1)), Some(proof), Some(Bytes32(k2)), None) => {
                let (statement, proof) = (statement.into_vec(), proof.into_vec());
                Opening::Citizen { at, statement, k1, proof, k2 }
            }
            (Some(at), Some(statement), Some(Bytes32(k1)), None, None, Some(Bytes32(h2))) => {
                Opening::Controller { at, statement: statement.into_vec(), k1, h2 }
            }
            _ => return Err(Error::Form),
        };
        if wire.checkpoint.is_none() && !matches!(opening, Opening::Controller { .. }) {
            return Err(Error::Form);
        }
        Ok(Self {
            index: wire.index,
            entry: wire.entry.into_vec(),
            opening,
            receipt: wire.receipt.into_vec(),
            checkpoint: wire.checkpoint,
        })
    }

    /// Encodes the evidence.
    ///
    /// # Errors
    ///
    /// [`Error::Form`] if the checkpoint is missing where the form needs it.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.checkpoint.is_none() && !matches!(self.opening, Opening::Controller { .. }) {
            return Err(Error::Form);
        }
        let bytes = |bytes: &[u8]| serde_bytes::ByteBuf::from(bytes);
        let mut wire = Wire {
            v: 1,
            index: self.index,
            entry: bytes(&self.entry),
            receipt: bytes(&self.receipt),
            checkpoint: self.checkpoint.clone(),
            ..Wire::default()
        };
        match &self.opening {
            Opening::Citizen { at, statement, k1, proof, k2 } => {
                wire.at = Some(*at);
                wire.statement = Some(bytes(statement));
                wire.k1 = Some(Bytes32(*k1));
                wire.proof = Some(bytes(proof));
                wire.k2 = Some(Bytes32(*k2));
            }
            Opening::Controller { at, statement, k1, h2 } => {
                wire.at = Some(*at);
                wire.statement = Some(bytes(statement));
                wire.k1 = Some(Bytes32(*k1));
                wire.h2 = Some(Bytes32(*h2));
            }
            Opening::Public => {}
        }
        Ok(cbor::encode(&wire)?)
    }

    /// Verifies everything the form allows: opening and commitment, times, the
    /// receipt over the entry, and the checkpoint of the same tree.
    ///
    /// Without `grain_ms` only `t <= at` is checked.
    ///
    /// # Errors
    ///
    /// Every variant but [`Error::Form`] and [`Error::Version`].
    pub fn verify(&self, log: &dyn LogKeys, origin: &str, grain_ms: Option<u64>) -> Result<Opened, Error> {
        let entry = Entry::parse(&self.entry)?;
        let (statement, item) = self.open(&entry)?;
        let at = self.at();
        if let Some(at) = at {
            check_time(at, entry.t(), grain_ms)?;
        }
        let proven = receipt::verify_inclusion(&self.receipt, &self.entry, log, origin)?;
        if proven.index != self.index {
            return Err(Error::Index { receipt: proven.index, index: self.index });
        }
        if let Some(note) = &self.checkpoint {
            let head = checkpoint::open(note.as_bytes(), log, origin)?;
            if (head.size, head.root) != (proven.size, proven.root) {
                return Err(Error::Head);
            }
        }
        Ok(Opened {
            index: self.index,
            size: proven.size,
            root: proven.root,
            t: entry.t(),
            at,
            statement,
            item,
            checkpoint: self.checkpoint.is_some(),
        })
    }

    /// The signed item of a public form: what it says, before anything of it is checked.
    ///
    /// # Errors
    ///
    /// [`Error::Entry`], [`Error::Kind`].
    pub fn public_item(&self) -> Result<Vec<u8>, Error> {
        match (Entry::parse(&self.entry)?, &self.opening) {
            (Entry::Public { item, .. }, Opening::Public) => Ok(item),
            _ => Err(Error::Kind),
        }
    }

    /// The same in the controller's form, without a checkpoint: it shows the statement and no key of
    /// the person's. `None` of a public one.
    #[must_use]
    pub fn half(&self) -> Option<Self> {
        let (at, statement, k1, h2) = match &self.opening {
            Opening::Citizen { at, statement, k1, proof, k2 } => {
                (*at, statement.clone(), *k1, entry::opening(k2, proof))
            }
            Opening::Controller { at, statement, k1, h2 } => (*at, statement.clone(), *k1, *h2),
            Opening::Public => return None,
        };
        let opening = Opening::Controller { at, statement, k1, h2 };
        Some(Self { opening, checkpoint: None, ..self.clone() })
    }

    /// Exact commit time, ms, where an opening has it.
    fn at(&self) -> Option<u64> {
        match self.opening {
            Opening::Citizen { at, .. } | Opening::Controller { at, .. } => Some(at),
            Opening::Public => None,
        }
    }

    /// Opens the entry: statement, and item where the form has it.
    fn open(&self, entry: &Entry) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        match (entry, &self.opening) {
            (Entry::Public { item, .. }, Opening::Public) => {
                Ok((cose::statement_of(item)?, Some(item.clone())))
            }
            (Entry::Sealed { commitment, .. }, Opening::Citizen { at, statement, k1, proof, k2 }) => {
                let (h1, h2) = (entry::opening(k1, statement), entry::opening(k2, proof));
                check_commitment(commitment, *at, &h1, &h2)?;
                Ok((statement.clone(), Some(cose::join(proof, statement)?)))
            }
            (Entry::Sealed { commitment, .. }, Opening::Controller { at, statement, k1, h2 }) => {
                check_commitment(commitment, *at, &entry::opening(k1, statement), h2)?;
                Ok((statement.clone(), None))
            }
            _ => Err(Error::Kind),
        }
    }
}

fn check_commitment(expected: &Hash, at: u64, h1: &Hash, h2: &Hash) -> Result<(), Error> {
    if entry::commitment(at, h1, h2) == *expected { Ok(()) } else { Err(Error::Commitment) }
}

fn check_time(at: u64, t: u64, grain_ms: Option<u64>) -> Result<(), Error> {
    let fits = match grain_ms {
        Some(grain) => at.checked_rem(grain).is_some_and(|rest| at - rest == t),
        None => t <= at,
    };
    if fits { Ok(()) } else { Err(Error::Time { at, t }) }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u64,
    index: u64,
    entry: serde_bytes::ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    statement: Option<serde_bytes::ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k1: Option<Bytes32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<serde_bytes::ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k2: Option<Bytes32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    h2: Option<Bytes32>,
    receipt: serde_bytes::ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Bytes32(#[serde(with = "serde_bytes")] [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::checkpoint::Checkpoint;
    use crate::ledger::hash;
    use crate::ledger::key::{Ed25519Signer, Signer};
    use crate::ledger::merkle::List;
    use crate::ledger::receipt::CheckpointSignature;

    const ORIGIN: &str = "log.example/1";
    const AT: u64 = 1_760_000_000_345;
    const T: u64 = 1_760_000_000_200;
    const GRAIN: Option<u64> = Some(200);

    struct Log {
        signer: Ed25519Signer,
        item: Vec<u8>,
        entries: Vec<Vec<u8>>,
    }

    impl Log {
        /// A public entry at 0, a sealed one at 1, filler at 2.
        fn new() -> Self {
            let signer = Ed25519Signer::from_seed([5; 32]);
            let item = cose::sign_statement(&Ed25519Signer::from_seed([6; 32]), b"statement").unwrap();
            let (h1, h2) = (entry::opening(&[1; 32], b"statement"), proof_hash(&item));
            let entries = [
                Entry::Public { t: T, item: item.clone() },
                Entry::Sealed { t: T, commitment: entry::commitment(AT, &h1, &h2) },
                Entry::Sealed { t: T, commitment: [0; 32] },
            ];
            let entries = entries.iter().map(|entry| entry.encode().unwrap()).collect();
            Self { signer, item, entries }
        }

        fn evidence(&self, index: usize, opening: Opening) -> Evidence {
            let leaves: Vec<_> = self.entries.iter().map(|entry| hash::leaf(entry)).collect();
            let (list, size) = (List::new(&leaves), leaves.len() as u64);
            let signature = CheckpointSignature::new(&self.signer, ORIGIN, size, list.root()).unwrap();
            let head = Checkpoint { origin: ORIGIN.into(), size, root: list.root() };
            Evidence {
                index: index as u64,
                entry: self.entries[index].clone(),
                opening,
                receipt: signature.inclusion(index as u64, &list.path(index).unwrap()),
                checkpoint: Some(checkpoint::sign(&head, &self.signer).unwrap()),
            }
        }

        fn citizen(&self) -> Evidence {
            let (statement, proof) = (b"statement".to_vec(), cose::proof_of(&self.item).unwrap());
            self.evidence(1, Opening::Citizen { at: AT, statement, k1: [1; 32], proof, k2: [2; 32] })
        }

        fn controller(&self) -> Evidence {
            let statement = b"statement".to_vec();
            let h2 = proof_hash(&self.item);
            self.evidence(1, Opening::Controller { at: AT, statement, k1: [1; 32], h2 })
        }

        fn verify(&self, evidence: &Evidence) -> Result<Opened, Error> {
            let bytes = evidence.encode()?;
            let parsed = Evidence::parse(&bytes)?;
            assert_eq!(parsed, *evidence);
            parsed.verify(self.signer.public(), ORIGIN, GRAIN)
        }
    }

    fn proof_hash(item: &[u8]) -> Hash {
        entry::opening(&[2; 32], &cose::proof_of(item).unwrap())
    }

    #[test]
    fn each_form_opens_what_it_holds() {
        let log = Log::new();
        let opened = log.verify(&log.citizen()).unwrap();
        assert_eq!((opened.index, opened.size, opened.t, opened.at), (1, 3, T, Some(AT)));
        assert_eq!((opened.statement.as_slice(), opened.item.as_ref()), (&b"statement"[..], Some(&log.item)));
        let opened = log.verify(&log.controller()).unwrap();
        assert_eq!((opened.statement.as_slice(), opened.item), (&b"statement"[..], None));
        let opened = log.verify(&log.evidence(0, Opening::Public)).unwrap();
        assert_eq!((opened.statement.as_slice(), opened.at), (&b"statement"[..], None));
        assert_eq!(opened.item.as_ref(), Some(&log.item));
        let bare = Evidence { checkpoint: None, ..log.controller() };
        assert!(!log.verify(&bare).unwrap().checkpoint);
        assert!(matches!(Evidence { checkpoint: None, ..log.citizen() }.encode(), Err(Error::Form)));
    }

    #[test]
    fn a_flipped_bit_breaks_every_form() {
        let log = Log::new();
        for evidence in [log.citizen(), log.controller(), log.evidence(0, Opening::Public)] {
            let bytes = evidence.encode().unwrap();
            for at in 0..bytes.len() {
                let mut other = bytes.clone();
                other[at] ^= 1;
                let verified =
                    Evidence::parse(&other).and_then(|it| it.verify(log.signer.public(), ORIGIN, GRAIN));
                assert!(verified.is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn parts_of_different_stories_do_not_mix() {
        let log = Log::new();
        let good = log.citizen();
        let swapped = Evidence { index: 2, ..good.clone() };
        assert!(matches!(log.verify(&swapped), Err(Error::Index { receipt: 1, index: 2 })));
        let other = Evidence { opening: Opening::Public, ..good.clone() };
        assert!(matches!(log.verify(&other), Err(Error::Kind)));
        let other = Evidence { opening: good.opening.clone(), ..log.evidence(0, Opening::Public) };
        assert!(matches!(log.verify(&other), Err(Error::Kind)));
        let other = Evidence { opening: good.opening.clone(), ..log.evidence(2, Opening::Public) };
        assert!(matches!(log.verify(&other), Err(Error::Commitment)));
        // A checkpoint of the same log, but of another tree.
        let head = Checkpoint { origin: ORIGIN.into(), size: 3, root: [9; 32] };
        let note = checkpoint::sign(&head, &log.signer).unwrap();
        assert!(matches!(log.verify(&Evidence { checkpoint: Some(note), ..good.clone() }), Err(Error::Head)));
        assert!(good.verify(log.signer.public(), "log.example/2", GRAIN).is_err());
        assert!(good.verify(Ed25519Signer::from_seed([9; 32]).public(), ORIGIN, GRAIN).is_err());
    }

    #[test]
    fn the_exact_time_rounds_down_to_the_public_one() {
        let log = Log::new();
        let good = log.citizen();
        let verify = |grain| good.verify(log.signer.public(), ORIGIN, grain);
        verify(None).unwrap();
        verify(Some(200)).unwrap();
        for grain in [1, 100, 5000, 0] {
            assert!(matches!(verify(Some(grain)), Err(Error::Time { .. })), "{grain}");
        }
        // Times bound by the commitment, yet before the entry's.
        let mut early = Log::new();
        let h1 = entry::opening(&[1; 32], b"statement");
        let commitment = entry::commitment(T - 1, &h1, &proof_hash(&early.item));
        early.entries[1] = Entry::Sealed { t: T, commitment }.encode().unwrap();
        let mut evidence = early.citizen();
        if let Opening::Citizen { at, .. } = &mut evidence.opening {
            *at = T - 1;
        }
        assert!(matches!(evidence.verify(early.signer.public(), ORIGIN, None), Err(Error::Time { .. })));
    }

    #[test]
    fn mixed_forms_are_refused() {
        let log = Log::new();
        let encode = |change: &dyn Fn(&mut Wire)| {
            let mut wire: Wire = cbor::decode(&log.citizen().encode().unwrap()).unwrap();
            change(&mut wire);
            Evidence::parse(&cbor::encode(&wire).unwrap())
        };
        encode(&|_| {}).unwrap();
        assert!(matches!(encode(&|wire| wire.v = 2), Err(Error::Version { v: 2 })));
        assert!(matches!(encode(&|wire| wire.h2 = Some(Bytes32([0; 32]))), Err(Error::Form)));
        assert!(matches!(encode(&|wire| wire.k2 = None), Err(Error::Form)));
        assert!(matches!(encode(&|wire| wire.at = None), Err(Error::Form)));
        assert!(matches!(encode(&|wire| wire.checkpoint = None), Err(Error::Form)));
    }
}
