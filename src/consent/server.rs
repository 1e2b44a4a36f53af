//! The log's own keys after genesis: a next log key, keys for webhooks and cosignatures, a second operator.
//!
//! `log.rotate` is signed by the log key and endorsed by the key that comes. Four eyes: once two
//! operator keys are registered, rebinds, erasures under a legal order and everything here need both;
//! whatever else the operator signs needs one, any of them. Lacks: a way to replace an operator key
//! (of two, neither can be lost without losing these acts), another token key (the service reads that
//! key at its start), and private keys: which of them the service holds is the node's to know.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::consent::register::Register;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, LeafIndex, Timestamp};
use crate::model::statement::{LogRotate, ServerKey};

/// Longest time in which two log keys sign, ms.
const MAX_OVERLAP_MS: u64 = 90 * 24 * 3_600_000;
/// Length of an Ed25519 key, SPKI DER: notes know no other. Source: RFC 8410, C2SP signed-note.
const ED25519_SPKI: usize = 44;
/// Most operator keys.
const OPERATORS: usize = 2;

/// A key of the log's own that came after genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Served {
    /// Its hash.
    pub key: KeyHash,
    /// What it is for.
    pub what: ServerKey,
    /// The key, SPKI DER.
    pub spki: ByteBuf,
    /// Where it came.
    pub index: LeafIndex,
    /// Before this instant the one that it follows is accepted beside it.
    pub overlap_until: Timestamp,
}

impl Register {
    /// By the log key, endorsed by the new key, then by the operators it takes. Source: design §4.
    ///
    /// Reading: a second operator key is endorsed by the first; with one operator key the table asks
    /// for none, with two for both.
    pub(in crate::consent) fn rotate_server_key(
        &mut self,
        s: &LogRotate,
        recorded: &Recorded,
    ) -> Result<(), Why> {
        let signed = recorded.signed();
        if Some(signed.signer) != self.log_key() {
            return Err(Why::KeyNotInSet);
        }
        let Some((new, others)) = signed.endorsers.split_first() else { return Err(Why::Endorsement) };
        if s.new.len() != ED25519_SPKI || *new != crate::consent::party::key_of(&s.new) {
            return Err(Why::Endorsement);
        }
        if self.is_key_taken(new) {
            return Err(Why::KeyTaken);
        }
        let operators = self.operators().count();
        match s.server_key {
            ServerKey::Token => return Err(Why::NotServed),
            ServerKey::Operator if operators >= OPERATORS => return Err(Why::State),
            ServerKey::Operator => {
                if others.len() != 1 || !others.iter().all(|key| self.is_operator(key)) {
                    return Err(Why::Endorsement);
                }
            }
            ServerKey::Log | ServerKey::Webhook | ServerKey::Cosigner => {
                if !others.iter().all(|key| self.is_operator(key)) {
                    return Err(Why::Endorsement);
                }
                self.both_operators(others)?;
            }
        }
        if s.overlap_until > recorded.at().plus_ms(MAX_OVERLAP_MS) {
            return Err(Why::Dates);
        }
        std::sync::Arc::make_mut(&mut self.served).push(Served {
            key: *new,
            what: s.server_key,
            spki: s.new.clone(),
            index: recorded.index(),
            overlap_until: s.overlap_until,
        });
        Ok(())
    }

    /// The log key: the newest.
    #[must_use]
    pub fn log_key(&self) -> Option<KeyHash> {
        self.rotated(ServerKey::Log).last().map(|served| served.key).or_else(|| self.first_log_key())
    }

    /// The log key of genesis.
    #[must_use]
    pub fn first_log_key(&self) -> Option<KeyHash> {
        self.genesis.as_ref().map(|g| g.keys[0])
    }

    /// The log key before the newest, and until when it signs beside it.
    #[must_use]
    pub fn overlap(&self) -> Option<(KeyHash, Timestamp)> {
        let mut keys = self.rotated(ServerKey::Log).rev();
        let newest = keys.next()?;
        let former = keys.next().map(|served| served.key).or_else(|| self.first_log_key())?;
        Some((former, newest.overlap_until))
    }

    /// Keys of one kind that came after genesis, in order.
    pub fn rotated(&self, what: ServerKey) -> impl DoubleEndedIterator<Item = &Served> {
        self.served.iter().filter(move |served| served.what == what)
    }

    /// The operator's keys: that of genesis first.
    pub fn operators(&self) -> impl Iterator<Item = KeyHash> + '_ {
        let first = self.genesis.iter().map(|g| g.keys[1]);
        first.chain(self.rotated(ServerKey::Operator).map(|served| served.key))
    }

    /// Whether a key is an operator's.
    #[must_use]
    pub fn is_operator(&self, key: &KeyHash) -> bool {
        self.operators().any(|operator| operator == *key)
    }

    /// Four eyes: if there are two operator keys, both are among these.
    pub(in crate::consent) fn both_operators<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a KeyHash>,
    ) -> Result<(), Why> {
        let signed: Vec<&KeyHash> = keys.into_iter().collect();
        let all = self.operators().count() < OPERATORS || self.operators().all(|key| signed.contains(&&key));
        if all { Ok(()) } else { Err(Why::SecondOperator) }
    }
}
