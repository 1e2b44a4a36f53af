//! The log's private keys: the one that signs now, those before and after it.
//!
//! Which of them signs, the log says: the register names the key in force, and whatever the node
//! holds is looked through for it, at the start and after every rotation. So a crash between a
//! rotation's entry and anything done with files leaves nothing to repair. While an overlap lasts
//! checkpoints bear the former key's signature too, if the node still holds it. Lacks files (the
//! caller reads them), and a judgement of rotations (`consent`).

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use crate::audit::chain::of_register;
use crate::consent::Register;
use crate::ledger::cbor;
use crate::ledger::chain::Chain;
use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opening;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::Timestamp;
use crate::model::statement::ServerKey;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;

#[derive(Clone)]
struct Held {
    now: Arc<dyn Signer>,
    others: Vec<Arc<dyn Signer>>,
    chain: Arc<Chain>,
    /// Who signs checkpoints beside, and until when.
    beside: Option<(Arc<dyn Signer>, Timestamp)>,
}

/// The log's private keys.
pub(in crate::node) struct Signers(RwLock<Held>);

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signers(..)")
    }
}

fn name_of(signer: &dyn Signer) -> KeyHash {
    KeyHash(signer.public().hash())
}

impl Signers {
    pub(in crate::node) fn new(log: Box<dyn Signer>, others: Vec<Box<dyn Signer>>) -> Self {
        let chain = Arc::new(Chain::new(log.public().clone()));
        let others = others.into_iter().map(Arc::from).collect();
        Self(RwLock::new(Held { now: Arc::from(log), others, chain, beside: None }))
    }

    fn held(&self) -> Held {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that signs now.
    pub(in crate::node) fn now(&self) -> Arc<dyn Signer> {
        self.held().now
    }

    /// All public keys the log has had.
    pub(in crate::node) fn chain(&self) -> Arc<Chain> {
        self.held().chain
    }

    /// Who signs a checkpoint at this instant: the key in force first.
    pub(in crate::node) fn of_checkpoint(&self, at: Timestamp) -> Vec<Arc<dyn Signer>> {
        let held = self.held();
        let beside = held.beside.filter(|(_, until)| at < *until).map(|(signer, _)| signer);
        std::iter::once(held.now).chain(beside).collect()
    }

    /// Whether the private half of a key is here.
    pub(in crate::node) fn has(&self, key: &KeyHash) -> bool {
        let held = self.held();
        std::iter::once(&held.now).chain(&held.others).any(|signer| name_of(signer.as_ref()) == *key)
    }

    fn add(&self, signer: Box<dyn Signer>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = name_of(signer.as_ref());
        let known = std::iter::once(&held.now).chain(&held.others).any(|one| name_of(one.as_ref()) == name);
        if !known {
            held.others.push(Arc::from(signer));
        }
    }

    /// Takes the key that the register names; whether it is here.
    pub(in crate::node) fn turn(&self, register: &Register) -> bool {
        let (Some(named), Some(chain)) = (register.log_key(), of_register(register)) else { return true };
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = std::mem::take(&mut held.others);
        all.push(Arc::clone(&held.now));
        let found = |key: &KeyHash| all.iter().find(|signer| name_of(signer.as_ref()) == *key).cloned();
        let now = found(&named);
        held.beside =
            register.overlap().and_then(|(former, until)| found(&former).map(|signer| (signer, until)));
        held.chain = Arc::new(chain);
        let here = now.is_some();
        if let Some(now) = now {
            held.now = now;
        }
        let chosen = name_of(held.now.as_ref());
        held.others = all.into_iter().filter(|signer| name_of(signer.as_ref()) != chosen).collect();
        here
    }
}

impl Node {
    /// Gives the node a private key that a rotation may name. Until one does it signs nothing.
    pub fn hold_log_key(&self, signer: Box<dyn Signer>) {
        self.inner.signers.add(signer);
    }
}

impl Inner {
    /// Whether the key that would sign from here on is here.
    pub(in crate::node) fn can_follow(&self, statement: &Statement) -> bool {
        match statement {
            Statement::LogRotate(s) if s.server_key == ServerKey::Log => {
                self.signers.has(&KeyHash(crate::ledger::hash::sha256(&[&s.new])))
            }
            _ => true,
        }
    }

    /// The log's public key: the one that signs now.
    #[must_use]
    pub fn log_key(&self) -> PublicKey {
        self.signers.now().public().clone()
    }

    /// All keys the log has had.
    #[must_use]
    pub fn log_keys(&self) -> Arc<Chain> {
        self.signers.chain()
    }

    /// Every published rotation of the log key, as public evidence in order: an encoded list.
    ///
    /// # Errors
    /// The store, a missing tile.
    pub fn rotations(&self) -> Result<Vec<u8>, Error> {
        let (register, published) = (self.register(), self.published());
        let mut list = Vec::new();
        for served in register.rotated(ServerKey::Log) {
            let index: LeafIndex = served.index;
            let Some(receipt) = published.receipt(self.store.as_ref(), index)? else { break };
            let entry = self.entries(index, index + 1)?.pop();
            let entry = entry.ok_or_else(|| Error::Damaged(format!("entry {index} is missing")))?;
            let checkpoint = Some(published.note.clone());
            let evidence = Evidence { index, entry, opening: Opening::Public, receipt, checkpoint };
            list.push(serde_bytes::ByteBuf::from(evidence.encode()?));
        }
        Ok(cbor::encode(&list)?)
    }
}
