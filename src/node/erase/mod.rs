//! Erasure: a person is forgotten, and no proof breaks. Source: design §8.
//!
//! `erasure.demand` (hers) or an order (operator and regulator) → what an open incident quotes
//! of her is sealed under it → the list of her entries is stored → **`erasure.certify` is
//! appended: the point of no return** → projection durable → bodies, rows, names dropped →
//! her slot overwritten → caches dropped. Every start does from the certificates what a crash,
//! or a restored copy, left undone ([`honour`](mod@honour)); it is the same code.
//!
//! A demand that cannot be certified yet (no operator key here) waits: she is nobody from
//! its index on, and the next start that can certifies it. The node remembers whom in a row of
//! nobody's, projected with hers. So waits whoever has a record that a regulator holds
//! ([`held`]), and nobody is certified meanwhile. Requests that she answered go with her.
//!
//! **Tombstones** are the indices of her entries: public is their root, in the certificate;
//! the list itself, a blob, says which missing bodies are no loss. What stays: the leaves, copies
//! handed out, use lines that nobody can open, and everything in older copies until the
//! wrapping epoch ends. Lacks: terms; keeping a held record under its case so that the rest
//! of her need not wait.

mod act;
mod found;
mod held;
pub(in crate::node) mod honour;
mod quoted;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;

use crate::identity;
use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::decision::Why;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::ErasureCertify;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::Error;
use crate::node::Inner;
use crate::node::clock;
use crate::node::people::Loaded;
use crate::store;
use crate::store::Name;
use crate::store::Row;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::SlotNumber;
use crate::vault::Vault;

pub(in crate::node) use act::Demanded;
pub(in crate::node) use found::Ground;
pub(in crate::node) use found::Plan;
pub use held::HeldBack;
pub(in crate::node) use held::Holds;
pub(in crate::node) use quoted::Kept;

/// Most slots that one certificate names: it stays far below the size of a public statement.
pub(in crate::node) const MOST_TAGS: usize = 512;
/// Store name of the row that says who waits.
const WAITING: &[u8] = b"erasing";

/// What a person is told of her erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Where the certificate stands.
    pub certificate: LeafIndex,
    /// Since when nobody can read anything of hers here.
    pub here: Timestamp,
    /// When the last older copy of her key dies at the latest.
    pub backups: Timestamp,
}

/// Blob of the tombstones under a root.
pub(in crate::node) fn tombstones_blob(root: &[u8; 32]) -> String {
    format!("tombstones/{}", crate::model::id::Hash(*root))
}

/// Tombstones as stored: indices, 8 bytes each, big-endian, in order.
pub(in crate::node) fn parse_tombstones(bytes: &[u8]) -> Vec<LeafIndex> {
    bytes.as_chunks::<8>().0.iter().map(|index| u64::from_be_bytes(*index)).collect()
}

/// The root that a certificate names them by: RFC 9162 over the indices, 8 bytes each.
pub(in crate::node) fn root_of(indices: &[LeafIndex]) -> [u8; 32] {
    let leaves: Vec<_> = indices.iter().map(|index| hash::leaf(&index.to_be_bytes())).collect();
    crate::ledger::merkle::root(&leaves)
}

/// Who waits, as the row has it.
type Waiting = Vec<(serde_bytes::ByteArray<16>, u64)>;

/// Under whose rows stands who waits: nobody's.
fn nobody(vault: &Vault) -> SubjectId {
    let name = vault.opaque_name("erasing", &[]);
    SubjectId(name.first_chunk().copied().unwrap_or_default())
}

/// The row that says who waits, sealed by the decoy's key.
pub(in crate::node) fn waiting_row(
    vault: &Vault,
    waiting: &[Pointed],
    index: LeafIndex,
) -> Result<Row, Error> {
    let (_, key) = vault.decoy();
    let nobody = nobody(vault);
    let list: Waiting =
        waiting.iter().map(|who| (serde_bytes::ByteArray::new(who.subject.0), who.slot.0)).collect();
    let sealed = key.seal(Sealed::State, &nobody, WAITING, &cbor::encode(&list)?)?;
    Ok(Row::Person { subject: nobody, part: WAITING.to_vec(), index, sealed })
}

impl Inner {
    fn erasable<'a>(&'a self, register: &'a crate::consent::Register) -> Ground<'a> {
        Ground { store: self.store.as_ref(), vault: &self.vault, origin: &self.settings.origin, register }
    }

    fn loaded(&self, who: Pointed) -> Result<Arc<Loaded>, Error> {
        self.people.load(who, self.store.as_ref(), &self.vault)
    }

    /// Who has demanded it and is not erased yet.
    fn waiting(&self) -> Vec<Pointed> {
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether she has demanded it and is not erased yet.
    pub(in crate::node) fn is_awaiting_erasure(&self, who: Pointed) -> bool {
        self.erasing.lock().unwrap_or_else(PoisonError::into_inner).contains(&who)
    }

    /// She has demanded it: the row that says so, to be projected with hers.
    pub(in crate::node) fn awaits_erasure(&self, who: &[Pointed], index: LeafIndex) -> Result<Row, Error> {
        let mut waiting = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        for who in who {
            if !waiting.contains(who) {
                waiting.push(*who);
            }
        }
        waiting_row(&self.vault, &waiting, index)
    }

    /// Who waited when the node was last here.
    pub(in crate::node) fn load_waiting(&self) -> Result<(), Error> {
        let (_, key) = self.vault.decoy();
        let nobody = nobody(&self.vault);
        let rows = self.store.rows(&nobody)?.rows;
        let Some((_, _, sealed)) = rows.into_iter().find(|(part, ..)| part == WAITING) else {
            return Ok(());
        };
        let list: Waiting = cbor::decode(&key.open(Sealed::State, &nobody, WAITING, &sealed)?)?;
        let who = |(subject, slot): (serde_bytes::ByteArray<16>, u64)| Pointed {
            subject: SubjectId(subject.into_array()),
            slot: SlotNumber(slot),
        };
        *self.erasing.lock().unwrap_or_else(PoisonError::into_inner) = list.into_iter().map(who).collect();
        Ok(())
    }

    /// Whose slots a certificate's tags are; a tag of nobody is left out.
    fn tagged(&self, tags: &[SubjectId]) -> Result<Vec<Pointed>, Error> {
        let known: Option<Vec<Pointed>> = {
            let known = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            tags.iter().map(|tag| known.get(tag).copied()).collect()
        };
        match known {
            Some(known) => Ok(known),
            None => Ok(self.vault.tagged(&tags.iter().copied().collect())?),
        }
    }

    /// Everything there is of these, and of the requests they answered.
    fn plan(&self, who: &[Pointed]) -> Result<Plan, Error> {
        let register = self.register();
        let ground = self.erasable(&register);
        let mut plan = Plan::default();
        for who in who {
            plan.add(ground.of(&*self.loaded(*who)?)?);
        }
        Ok(plan)
    }

    /// These persons and the requests they answered, requests first: she is the way to them.
    fn with_requests(&self, who: &[Pointed]) -> Result<Vec<Pointed>, Error> {
        let register = self.register();
        let ground = self.erasable(&register);
        let mut all = Vec::new();
        for who in who {
            for one in ground.requests(&*self.loaded(*who)?)?.into_iter().chain([*who]) {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        Ok(all)
    }

    /// A certificate over these, unsigned. What it names is remembered, so that its tags are found again.
    fn certificate(&self, who: &[Pointed], order: Option<String>) -> Result<Statement, Error> {
        let mut all = self.with_requests(who)?;
        all.truncate(MOST_TAGS);
        let plan = self.plan(&all)?;
        let mut tags = Vec::with_capacity(all.len());
        for who in all {
            let tag = self.vault.erasure_tag(who)?;
            self.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, who);
            tags.push(tag);
        }
        // In no order of persons.
        tags.sort_unstable();
        Ok(ErasureCertify {
            v: V1,
            kind: Kind::ErasureCertify,
            iat: self.clock.now(),
            nonce: Nonce(clock::random().map_err(Error::Randomness)?),
            tags,
            order,
            records: plan.indices.len() as u64,
            tombstones: crate::model::id::Hash(root_of(&plan.indices)),
        }
        .into())
    }

    /// A certificate by the operator for a person whom a legal order names, to be endorsed by a regulator
    /// and submitted; `None` if nobody has this ppid there.
    ///
    /// # Errors
    /// The store; [`Error::Genesis`] without the operator's key.
    pub fn erasure_by_order(
        &self,
        party: Option<&PartyId>,
        ppid: Ppid,
        case: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(who) = self.people.locate(&Name::Ppid(ppid.0), self.store.as_ref(), &self.vault)? else {
            return Ok(None);
        };
        let register = self.register();
        let pairwise = self.pairwise(&register);
        let hers = match party {
            Some(party) => pairwise.is_of(party, ppid, &who.subject),
            None => pairwise.ppid(None, &who.subject) == ppid,
        };
        if !hers || !self.loaded(who)?.person.is_known() {
            return Ok(None);
        }
        let operator = self.operator.as_ref().ok_or(Error::Genesis("the operator's key is not here"))?;
        let statement = self.certificate(&[who], Some(case.to_owned()))?;
        Ok(Some(identity::item::sign(&statement, operator.as_ref())?))
    }

    /// What a certificate forgets, if it may stand now; else why not: among others because something of it
    /// is held, as the entries `before` leave it. Before it may, what incidents quote is
    /// sealed under them, and the tombstones are durable.
    pub(in crate::node) fn certified(
        &self,
        s: &ErasureCertify,
        at: Timestamp,
        before: &HashMap<SubjectId, Loaded>,
    ) -> Result<Result<Plan, Why>, Error> {
        let refused = |why| Ok(Err(why));
        let who = self.tagged(&s.tags)?;
        let (decoy, _) = self.vault.decoy();
        if who.is_empty() || who.len() != s.tags.len() || who.iter().any(|w| w.subject == decoy.subject) {
            return refused(Why::NotThisSubject);
        }
        for who in &who {
            if self.people.is_erased(&who.subject) {
                return refused(Why::NotThisSubject);
            }
            // An incident is no person's to forget.
            if self.loaded(*who)?.person.incident().is_some() {
                return refused(Why::State);
            }
        }
        let plan = self.plan(&who)?;
        if plan.indices.len() as u64 != s.records || root_of(&plan.indices) != s.tombstones.0 {
            return refused(Why::Superseded);
        }
        if plan.gone.iter().any(|gone| !self.held(&gone.ids, at, before).is_empty()) {
            return refused(Why::State);
        }
        self.keep_quoted(&who)?;
        let list: Vec<u8> = plan.indices.iter().flat_map(|index| index.to_be_bytes()).collect();
        match self.store.put(&tombstones_blob(&s.tombstones.0), &list, true) {
            Ok(()) | Err(store::Error::Exists { .. }) => Ok(Ok(plan)),
            Err(error) => Err(error.into()),
        }
    }
}
