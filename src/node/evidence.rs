//! What can be shown of one statement afterwards, and to whom.

use crate::identity;
use crate::ledger::cose;
use crate::ledger::entry::Entry;
use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opening;
use crate::ledger::hash;
use crate::ledger::merkle::List;
use crate::ledger::promise::Promise;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::statement::Scope;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::erase::Stored;
use crate::node::incidents::Sight;
use crate::node::people::name_bytes;
use crate::node::ticket::Accepted;
use crate::node::ticket::Outcome;
use crate::node::ticket::Refusal;
use crate::node::token::Caller;
use crate::store::Commit;
use crate::store::Name;
use crate::vault::PersonKey;
use crate::vault::Pointed;

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its index.
    pub index: LeafIndex,
    /// Whether the newest checkpoint covers it.
    pub published: bool,
}

/// What a caller is shown of a statement.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Encoded evidence.
    Evidence(Vec<u8>),
    /// It stands, but no checkpoint with a receipt covers it yet.
    NotYet,
    /// Not for this caller, or there is none: told alike.
    Nothing,
}

/// The halves that are shown of a sealed entry, by its exact time; `None` if none are.
type Openings<'a> = dyn Fn(u64) -> Result<Option<Opening>, Error> + 'a;

/// The one controller a statement names.
pub(in crate::node) fn controller_of(statement: &Statement) -> Option<&str> {
    let one = |scope: &'_ Scope| matches!(scope, Scope::One(_));
    Some(match statement {
        Statement::ConsentGrant(s) => s.controller.as_str(),
        Statement::ConsentRefuse(s) => s.controller.as_str(),
        Statement::ConsentWithdraw(s) => s.controller.as_str(),
        Statement::ConsentPause(s) => s.controller.as_str(),
        Statement::ConsentResume(s) => s.controller.as_str(),
        Statement::ConsentDispute(s) => s.controller.as_str(),
        Statement::ConsentAttest(s) => s.controller.as_str(),
        Statement::ConsentObject(s) if one(&s.controller) => s.controller.as_str(),
        Statement::ConsentLift(s) if one(&s.controller) => s.controller.as_str(),
        Statement::ConsentSignal(s) if one(&s.controller) => s.controller.as_str(),
        _ => return None,
    })
}

impl Inner {
    pub(in crate::node) fn commit_of(&self, index: LeafIndex) -> Result<Commit, Error> {
        let missing = || Error::Damaged(format!("entry {index} is missing"));
        self.store.commits(index..index + 1)?.pop().ok_or_else(missing)
    }

    pub(in crate::node) fn owner_of(&self, id: StatementId) -> Result<Option<(Pointed, PersonKey)>, Error> {
        let name = Name::Statement(id.0);
        let Some(row) = self.store.locate(&name)? else { return Ok(None) };
        if row.sealed.is_empty() {
            return Ok(None);
        }
        let who = self.vault.open_name(name_bytes(&name), &row.sealed)?;
        Ok(Some((who, self.vault.person_key(who)?)))
    }

    /// What the first one got: the promise is re-made from the commit's row.
    pub(in crate::node) fn again(&self, id: StatementId, kind: Kind, index: LeafIndex) -> Outcome {
        self.try_again(id, kind, index).map_err(Refusal::Node)
    }

    fn try_again(&self, id: StatementId, kind: Kind, index: LeafIndex) -> Result<Accepted, Error> {
        let missing = || Error::Damaged(format!("entry {index} is missing"));
        let commit = self.commit_of(index)?;
        let position = usize::try_from(index - commit.first).map_err(|_| missing())?;
        let entry = commit.entries.get(position).ok_or_else(missing)?.clone();
        let list = List::new(&commit.entries.iter().map(|e| hash::leaf(e)).collect::<Vec<_>>());
        let promise = Promise {
            origin: self.settings.origin.clone(),
            first: commit.first,
            n: commit.entries.len() as u64,
            at: commit.at,
            root: list.root(),
        };
        let openings = self.owner_of(id)?.map(|(_, key)| key.openings(&id.0));
        Ok(Accepted {
            id,
            kind,
            index,
            at: Timestamp(commit.at),
            entry,
            k1: openings.map(|o| o.k1),
            k2: openings.map(|o| o.k2),
            promise: std::sync::Arc::new(promise.sign(self.signers.now().as_ref())?),
            path: list.path(position)?,
            duplicate: true,
            inert: None,
            erasure: None,
            held: if kind == Kind::ErasureDemand { self.held_back(&id)? } else { Vec::new() },
        })
    }

    /// Where a statement stands, if it does.
    ///
    /// # Errors
    /// The store.
    pub fn place(&self, id: &StatementId) -> Result<Option<Place>, Error> {
        let row = self.store.locate(&Name::Statement(id.0))?;
        let published = self.published().size;
        Ok(row.and_then(|r| r.index).map(|index| Place { index, published: index < published }))
    }

    /// The receipt of one entry by the newest checkpoint.
    ///
    /// # Errors
    /// A tile is missing.
    pub fn receipt(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Error> {
        self.published().receipt(self.store.as_ref(), index)
    }

    /// Evidence of one statement: the person gets both halves, the controller named in it its own, a
    /// regulator those of a record that is kept for a case of its own, anybody what is public.
    ///
    /// # Errors
    /// The store, or damage.
    pub fn evidence(&self, id: &StatementId, caller: Option<&Caller>) -> Result<Shown, Error> {
        if self.place(id)?.is_none() {
            let Some(Caller::Party(party)) = caller else { return Ok(Shown::Nothing) };
            let Some((index, opening)) = self.kept_opening(id, party)? else { return Ok(Shown::Nothing) };
            return self.shown_at(index, opening);
        }
        self.evidence_by(id, &|at| self.opening_for(*id, at, caller))
    }

    /// Evidence of a person's statement with both halves, whoever asks: who may is the caller's to see to.
    pub(in crate::node) fn evidence_whole(&self, id: &StatementId) -> Result<Shown, Error> {
        self.evidence_by(id, &|at| {
            let Some((who, key)) = self.owner_of(*id)? else { return Ok(None) };
            let body = self.store.bodies(&who.subject, &[*id])?.pop().flatten();
            let Some(body) = body else { return Ok(None) };
            let Some(item) = Stored::open(&key, &who.subject, id, &body)?.item() else { return Ok(None) };
            let openings = key.openings(&id.0);
            let statement = cose::statement_of(&item).map_err(identity::Error::from)?;
            let proof = cose::proof_of(&item).map_err(identity::Error::from)?;
            Ok(Some(Opening::Citizen { at, statement, k1: openings.k1, proof, k2: openings.k2 }))
        })
    }

    /// Evidence with what `opening` answers for the commit's time.
    fn evidence_by(&self, id: &StatementId, opening: &Openings<'_>) -> Result<Shown, Error> {
        let Some(place) = self.place(id)? else { return Ok(Shown::Nothing) };
        let (entry, at) = self.entry_at(place.index)?;
        let opening = match Entry::parse(&entry)? {
            Entry::Public { .. } => Some(Opening::Public),
            Entry::Sealed { .. } => opening(at)?,
        };
        opening.map_or(Ok(Shown::Nothing), |opening| self.shown_at(place.index, opening))
    }

    /// An entry, and when its commit was made.
    fn entry_at(&self, index: LeafIndex) -> Result<(Vec<u8>, u64), Error> {
        let commit = self.commit_of(index)?;
        let missing = || Error::Damaged(format!("entry {index} is missing"));
        let position = usize::try_from(index - commit.first).map_err(|_| missing())?;
        Ok((commit.entries.get(position).ok_or_else(missing)?.clone(), commit.at))
    }

    fn shown_at(&self, index: LeafIndex, opening: Opening) -> Result<Shown, Error> {
        let (published, (entry, _)) = (self.published(), self.entry_at(index)?);
        let Some(receipt) = published.receipt(self.store.as_ref(), index)? else {
            return Ok(Shown::NotYet);
        };
        let checkpoint = Some(published.note.clone());
        let evidence = Evidence { index, entry, opening, receipt, checkpoint };
        Ok(Shown::Evidence(evidence.encode()?))
    }

    /// Whether a party has succeeded to what was granted to another.
    #[must_use]
    pub fn holds_for(&self, party: &PartyId, controller: &PartyId) -> bool {
        let (register, now) = (self.register(), self.now());
        register.is_succeeded(controller, now)
            && register.holder(controller, now).is_some_and(|holder| holder.id == *party)
    }

    /// The halves this caller may see; `None` if it may see none.
    fn opening_for(
        &self,
        id: StatementId,
        at: u64,
        caller: Option<&Caller>,
    ) -> Result<Option<Opening>, Error> {
        let (Some(caller), Some((who, key))) = (caller, self.owner_of(id)?) else { return Ok(None) };
        let body = self.store.bodies(&who.subject, &[id])?.pop().flatten();
        let Some(body) = body else { return Ok(None) };
        // Past its term there is nothing to show.
        let Some(item) = Stored::open(&key, &who.subject, &id, &body)?.item() else { return Ok(None) };
        let (statement, signed) = identity::reload(&item)?;
        let bytes = cose::statement_of(&item).map_err(identity::Error::from)?;
        let proof = cose::proof_of(&item).map_err(identity::Error::from)?;
        let openings = key.openings(&id.0);
        Ok(match caller {
            Caller::Citizen(caller) => {
                let own = self.person_of_key(caller)?;
                let hers = own.is_some_and(|c| c.subject == who.subject || self.complains(&c, &statement));
                hers.then_some(Opening::Citizen {
                    at,
                    statement: bytes,
                    k1: openings.k1,
                    proof,
                    k2: openings.k2,
                })
            }
            Caller::Party(party) => {
                let full = || Opening::Citizen {
                    at,
                    statement: bytes.clone(),
                    k1: openings.k1,
                    proof: proof.clone(),
                    k2: openings.k2,
                };
                if let Some((incident, ..)) = statement.incident() {
                    return Ok(self.case(&incident, party)?.map(|_| full()));
                }
                // Whose records are held for it is not the accused's to know.
                if let Some(case) = statement.hold_case().and_then(Nonce::from_hex) {
                    let case = self.case(&case, party)?;
                    return Ok(case.filter(|(case, _)| case.sight == Sight::Regulator).map(|_| full()));
                }
                // Sealed under the regulator in scope: not the accused's, whoever it names.
                if let Statement::IncidentComplain(_) = &statement {
                    let case = self.case(&id.incident(), party)?;
                    return Ok(case.filter(|(case, _)| case.sight == Sight::Regulator).map(|_| full()));
                }
                let held = |name: &str| PartyId::parse(name).is_some_and(|of| self.holds_for(party, &of));
                let named =
                    controller_of(&statement).is_some_and(|name| name == party.as_str() || held(name));
                let carried = self.register().party_that_held(&signed.signer) == Some(party);
                let h2 = hash::hmac(&openings.k2, &[&proof]);
                (named || carried).then_some(Opening::Controller {
                    at,
                    statement: bytes,
                    k1: openings.k1,
                    h2,
                })
            }
        })
    }
}
