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
//! nobody's, projected with hers. Records of hers that a regulator holds are kept for its case in
//! slots of their own, and go when the hold does ([`held`]). Requests that she answered go with
//! her. What is past its term goes by the same certificates ([`term`]).
//!
//! **Tombstones** are the indices of entries of which nothing is left: public is their root, in
//! the certificate; the list itself, a blob, says which missing bodies are no loss. What stays: the leaves,
//! copies handed out, use lines that nobody can open, and everything in older copies until the
//! wrapping epoch ends.

pub(in crate::node) mod act;
mod found;
mod held;
pub(in crate::node) mod honour;
mod quoted;
mod stored;
mod term;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::identity;
use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::decision::Why;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
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
use crate::store::Body;
use crate::store::Name;
use crate::store::NameRow;
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
pub(in crate::node) use held::Keep;
pub(in crate::node) use held::kept_in;
pub(in crate::node) use quoted::Kept;
pub(in crate::node) use stored::Rest;
pub(in crate::node) use stored::Stored;
pub use term::Expired;
pub(in crate::node) use term::Rounds;

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

/// What stands in the commit of a certificate beside it, and what is done once it is there.
#[derive(Debug, Default)]
pub(in crate::node) struct Beside {
    pub(in crate::node) names: Vec<NameRow>,
    pub(in crate::node) bodies: Vec<Body>,
    /// Records of the erased that are kept for a case.
    pub(in crate::node) keeps: Vec<Keep>,
    /// What of the living is past its term.
    pub(in crate::node) cuts: Vec<term::Cut>,
}

/// What goes with certificates on their way, by their nonces.
#[derive(Debug, Default)]
pub(in crate::node) struct OnTheWay(Mutex<HashMap<Nonce, Beside>>);

impl OnTheWay {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Nonce, Beside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Taken once, by whoever carries the certificate out.
    fn take(&self, certificate: &ErasureCertify) -> Beside {
        self.lock().remove(&certificate.nonce).unwrap_or_default()
    }

    /// Rows and bodies of the certificate's own commit, and whether a new slot must be durable before it.
    pub(in crate::node) fn rows(&self, certificate: &ErasureCertify) -> (Vec<NameRow>, Vec<Body>, bool) {
        let all = self.lock();
        let Some(beside) = all.get(&certificate.nonce) else { return Default::default() };
        (beside.names.clone(), beside.bodies.clone(), !beside.keeps.is_empty())
    }
}

/// Blob of what a start destroyed again for a certificate whose own list is not in this copy.
pub(in crate::node) fn again_blob(certificate: LeafIndex) -> String {
    format!("tombstones/again/{certificate}")
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

    /// Everything there is of these.
    fn gone(&self, who: &[Pointed]) -> Result<Vec<found::Gone>, Error> {
        let register = self.register();
        let ground = self.erasable(&register);
        who.iter().map(|who| ground.of(&*self.loaded(*who)?)).collect()
    }

    /// The same, but what cases hold at `at` is no tombstone.
    fn plan(
        &self,
        who: &[Pointed],
        at: Timestamp,
        before: &HashMap<SubjectId, Loaded>,
    ) -> Result<Plan, Error> {
        let kept = |id: &StatementId| !self.cases_of(id, at, before).is_empty();
        Plan::of(self.gone(who)?, self.store.as_ref(), &kept)
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

    /// A certificate over these, unsigned, and over what goes beside it by its term. What it names is
    /// remembered, so that its tags are found again.
    fn certificate(
        &self,
        who: &[Pointed],
        order: Option<String>,
        due: Option<Beside>,
    ) -> Result<Statement, Error> {
        let mut all = self.with_requests(who)?;
        all.truncate(MOST_TAGS);
        let plan = self.plan(&all, self.clock.now(), &HashMap::new())?;
        let scheduled = due.is_some();
        let cuts = due.as_ref().map_or(&[][..], |beside| &beside.cuts);
        let indices = with_cuts(plan.indices, cuts);
        let mut tags = Vec::with_capacity(all.len());
        for who in all {
            let tag = self.vault.erasure_tag(who)?;
            self.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(tag, who);
            tags.push(tag);
        }
        // In no order of persons.
        tags.sort_unstable();
        let nonce = Nonce(clock::random().map_err(Error::Randomness)?);
        if let Some(beside) = due {
            self.on_the_way.lock().insert(nonce, beside);
        }
        Ok(ErasureCertify {
            v: V1,
            kind: Kind::ErasureCertify,
            iat: self.clock.now(),
            nonce,
            tags,
            order,
            scheduled,
            records: indices.len() as u64,
            tombstones: crate::model::id::Hash(root_of(&indices)),
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
        let statement = self.certificate(&[who], Some(case.to_owned()), None)?;
        Ok(Some(identity::item::sign(&statement, operator.as_ref())?))
    }

    /// What a certificate forgets, if it may stand now, as the entries `before` leave it; else why not. Before
    /// it may, what incidents quote is sealed under them, what cases hold is ready to stand beside
    /// it, and the tombstones are durable.
    pub(in crate::node) fn certified(
        &self,
        s: &ErasureCertify,
        at: Timestamp,
        before: &HashMap<SubjectId, Loaded>,
    ) -> Result<Result<Plan, Why>, Error> {
        let refused = |why| Ok(Err(why));
        let who = self.tagged(&s.tags)?;
        let cut: Vec<SubjectId> = {
            let on_the_way = self.on_the_way.lock();
            let cuts = on_the_way.get(&s.nonce).map_or(&[][..], |beside| &beside.cuts);
            cuts.iter().map(|cut| cut.who.subject).collect()
        };
        let (decoy, _) = self.vault.decoy();
        let none = who.is_empty() && cut.is_empty();
        // What goes by its term, only this node itself says.
        let own = !s.scheduled || self.on_the_way.lock().contains_key(&s.nonce);
        if none || !own || who.len() != s.tags.len() || who.iter().any(|w| w.subject == decoy.subject) {
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
        if cut.iter().any(|subject| before.contains_key(subject) || self.people.is_erased(subject)) {
            return refused(Why::Superseded);
        }
        let mut plan = self.plan(&who, at, before)?;
        let beside = self.keep_held(&plan, at, before)?;
        {
            let mut on_the_way = self.on_the_way.lock();
            let one = on_the_way.entry(s.nonce).or_default();
            plan.indices = with_cuts(plan.indices, &one.cuts);
            if one.keeps.is_empty() && !beside.keeps.is_empty() {
                one.names.extend(beside.names);
                one.bodies.extend(beside.bodies);
                one.keeps = beside.keeps;
            }
        }
        if plan.indices.len() as u64 != s.records || root_of(&plan.indices) != s.tombstones.0 {
            drop(self.on_the_way.take(s));
            return refused(Why::Superseded);
        }
        self.keep_quoted(&who)?;
        let list: Vec<u8> = plan.indices.iter().flat_map(|index| index.to_be_bytes()).collect();
        match self.store.put(&tombstones_blob(&s.tombstones.0), &list, true) {
            Ok(()) | Err(store::Error::Exists { .. }) => Ok(Ok(plan)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Entries of a plan and of cuts, in order.
fn with_cuts(mut indices: Vec<LeafIndex>, cuts: &[term::Cut]) -> Vec<LeafIndex> {
    indices.extend(cuts.iter().flat_map(|cut| cut.indices.iter().copied()));
    indices.sort_unstable();
    indices.dedup();
    indices
}
