//! Parties: genesis, admission, closing, suspension.
//!
//! Who admits whom, rows `log.create` and `party.*` of the table in design §4.
//! Lacks: a way to take a suspension back (no statement of the design does);
//! engagement stands in `engage`, rotation in `rotate`, succession in `succeed`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::consent::engage::Engagement;
use crate::consent::notice;
use crate::consent::register::{Genesis, PackRef, Register};
use crate::consent::succeed::Succession;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, LeafIndex, PartyId, Timestamp, TreeSize};
use crate::model::statement::{
    Licence, LogCreate, Office, PartyClose, PartyRegister, PartySuspend, TransferEnd,
};
use crate::model::vocabulary::Role;

/// The longest suspension by the operator. Source: design §4.
const OPERATOR_SUSPENDS_MS: u64 = 72 * 60 * 60 * 1000;

/// Stops a party until an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suspension {
    /// The regulator who ordered it; none for the operator.
    pub by: Option<PartyId>,
    /// Ends here; none is open.
    pub until: Option<Timestamp>,
    /// Case number.
    pub case: String,
}

impl Suspension {
    /// Whether it stands at an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether it ends after the other one.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(until)) => own > until,
        }
    }
}

/// An institution as registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Party {
    /// Its name in the log.
    pub id: PartyId,
    /// Its name for people, Korean.
    pub name_ko: String,
    /// Its name for people, English.
    pub name_en: String,
    /// What it is.
    pub roles: Vec<Role>,
    /// Its key.
    pub key: KeyHash,
    /// Where it is established; none for a regulator of genesis.
    pub jurisdiction: Option<String>,
    /// Who answers for it; none for a regulator of genesis.
    pub office: Option<Office>,
    /// Its licence.
    pub licence: Option<Licence>,
    /// A regulator's field of supervision.
    pub scope: Vec<String>,
    /// Where its registration stands.
    pub index: LeafIndex,
    /// Index of its first `party.close`.
    pub closed: Option<LeafIndex>,
    /// One a regulator, and one of the operator: the one that ends last.
    pub suspensions: Vec<Suspension>,
    /// Its processors, past ones too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<Engagement>,
    /// Epoch of its domain: raised, every person has another ppid there.
    #[serde(default, skip_serializing_if = "is_first")]
    pub epoch: u32,
    /// Where its last `party.rotate` to another key stands; none if it has the key it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<LeafIndex>,
    /// Keys it had before, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerKey>,
    /// Where it takes part in transfers, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferEnd>,
    /// Who follows it, and from when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<Succession>,
}

/// A key a party had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FormerKey {
    /// Which.
    pub key: KeyHash,
    /// Where the statement stands that brought it.
    pub index: LeafIndex,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_first(epoch: &u32) -> bool {
    *epoch == 0
}

impl Party {
    /// Whether it is registered as that.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it may act: neither closed nor suspended, and nobody has taken its place.
    #[must_use]
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.closed.is_none() && !self.is_suspended(at) && self.succession_at(at).is_none()
    }

    /// Whether a suspension stands at an instant.
    #[must_use]
    pub fn is_suspended(&self, at: Timestamp) -> bool {
        self.suspensions.iter().any(|s| s.holds(at))
    }

    /// Its keys in order, former ones first, each with the index of the statement that brought it.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = FormerKey> + '_ {
        let now = FormerKey { key: self.key, index: self.keyed.unwrap_or(self.index) };
        self.former.iter().copied().chain([now])
    }

    /// The key it signed with while the log had so many entries; none before it was registered.
    ///
    /// What was signed is judged by the key of its day, whatever has become of that key since.
    #[must_use]
    pub fn key_as_of(&self, entries: TreeSize) -> Option<FormerKey> {
        self.keys().rev().find(|key| key.index < entries)
    }
}

impl Register {
    /// Genesis: by the log key, endorsed by the operator key.
    pub(in crate::consent) fn create(&mut self, s: &LogCreate, recorded: &Recorded) -> Result<(), Why> {
        let signed = recorded.signed();
        let keys = [key_of(&s.log), key_of(&s.operator), key_of(&s.token)];
        if signed.signer != keys[0] {
            return Err(Why::KeyNotInSet);
        }
        if signed.endorsers.first() != Some(&keys[1]) {
            return Err(Why::Endorsement);
        }
        if !notice::is_said(&s.origin) {
            return Err(Why::Genesis);
        }
        let seen = recorded.at().rounded_to(s.grain);
        let of_force = |named: &PackRef| self.file(named).is_some_and(|pack| pack.holds_at(seen));
        let twice = |(n, pack): (usize, &PackRef)| s.packs.iter().take(n).any(|p| p.name == pack.name);
        if s.packs.is_empty() || !s.packs.iter().all(of_force) || s.packs.iter().enumerate().any(twice) {
            return Err(Why::Pack);
        }
        let mut taken = keys.to_vec();
        let mut parties = BTreeMap::new();
        for first in &s.regulators {
            let key = key_of(&first.spki);
            taken.push(key);
            let party = Party {
                id: first.id.clone(),
                name_ko: first.id.as_str().to_owned(),
                name_en: first.id.as_str().to_owned(),
                roles: vec![Role::Regulator],
                key,
                jurisdiction: None,
                office: None,
                licence: None,
                scope: first.scope.clone(),
                index: 0,
                closed: None,
                suspensions: Vec::new(),
                processors: Vec::new(),
                epoch: 0,
                keyed: None,
                former: Vec::new(),
                transfer: None,
                succeeded: None,
            };
            if first.scope.is_empty() {
                return Err(Why::Genesis);
            }
            if parties.insert(first.id.clone(), Arc::new(party)).is_some() {
                return Err(Why::NameTaken);
            }
        }
        let all = taken.len();
        taken.sort_unstable();
        taken.dedup();
        if taken.len() != all {
            return Err(Why::KeyTaken);
        }
        self.keys = Arc::new(parties.values().map(|p| (p.key, p.id.clone())).collect());
        self.parties = Arc::new(parties);
        self.genesis = Some(Arc::new(Genesis {
            origin: s.origin.clone(),
            grain: s.grain,
            log: s.log.clone(),
            operator: s.operator.clone(),
            token: s.token.clone(),
            keys,
            packs: s.packs.clone(),
        }));
        self.draw_laws();
        Ok(())
    }

    /// By the party's own fresh key, endorsed by the operator, then for roles of weight by a regulator.
    ///
    /// Reading: the operator's role is genesis's alone; a licence is always vouched for by its regulator.
    pub(in crate::consent) fn register(&mut self, s: &PartyRegister, recorded: &Recorded) -> Result<(), Why> {
        let key = recorded.signed().signer;
        self.endorsed_by_operator(recorded)?;
        let weighty = s.roles.iter().any(|role| role.needs_regulator());
        let licensed = |role: &Role| role.needs_regulator() && *role != Role::Regulator;
        if weighty || s.licence.is_some() {
            let regulator = recorded
                .signed()
                .endorsers
                .get(1)
                .and_then(|key| self.party_of_key(key))
                .and_then(|id| self.party(id))
                .filter(|p| p.has_role(Role::Regulator) && p.is_live(recorded.at()))
                .ok_or(Why::Endorsement)?;
            let vouched = match &s.licence {
                Some(licence) => licence.regulator == regulator.id && notice::is_said(&licence.number),
                None => !s.roles.iter().any(licensed),
            };
            if !vouched {
                return Err(Why::Endorsement);
            }
        }
        let twice = s.roles.iter().enumerate().any(|(n, role)| s.roles.iter().take(n).any(|r| r == role));
        if s.roles.is_empty()
            || twice
            || s.roles.contains(&Role::Operator)
            || s.roles.contains(&Role::Regulator) == s.scope.is_empty()
        {
            return Err(Why::Role);
        }
        if !notice::is_country(&s.jurisdiction) {
            return Err(Why::Vocabulary);
        }
        if s.transfer.as_ref().is_some_and(|end| !end.is_sound()) {
            return Err(Why::NoticeIncomplete);
        }
        if ![&s.name_ko, &s.name_en, &s.office.name, &s.office.contact]
            .into_iter()
            .all(|w| notice::is_said(w))
        {
            return Err(Why::NoticeIncomplete);
        }
        let packs = self.packs_in(Some(&s.jurisdiction), recorded.at()).ok_or(Why::Pack)?;
        if packs.iter().any(|pack| pack.refuses_party(s).is_some()) {
            return Err(Why::Pack);
        }
        if self.parties.contains_key(&s.party) {
            return Err(Why::NameTaken);
        }
        if self.is_key_taken(&key) {
            return Err(Why::KeyTaken);
        }
        let party = Party {
            id: s.party.clone(),
            name_ko: s.name_ko.clone(),
            name_en: s.name_en.clone(),
            roles: s.roles.clone(),
            key,
            jurisdiction: Some(s.jurisdiction.clone()),
            office: Some(s.office.clone()),
            licence: s.licence.clone(),
            scope: s.scope.clone(),
            index: recorded.index(),
            closed: None,
            suspensions: Vec::new(),
            processors: Vec::new(),
            epoch: 0,
            keyed: None,
            former: Vec::new(),
            transfer: s.transfer.clone(),
            succeeded: None,
        };
        Arc::make_mut(&mut self.keys).insert(key, s.party.clone());
        Arc::make_mut(&mut self.parties).insert(s.party.clone(), Arc::new(party));
        Ok(())
    }

    /// By the party, endorsed by the operator. Closing: a suspended party closes, and closing twice counts.
    pub(in crate::consent) fn close(&mut self, s: &PartyClose, recorded: &Recorded) -> Result<(), Why> {
        self.signed_by(&s.party, recorded)?;
        self.endorsed_by_operator(recorded)?;
        let index = recorded.index();
        self.change(&s.party, |party| {
            party.closed.get_or_insert(index);
        })
    }

    /// By a regulator at any time, by the operator for at most 72 hours from `at`.
    ///
    /// Reading: as a closing act it never shortens: of one issuer's suspensions the one that ends last
    /// stands. A suspended regulator may suspend, a closed one may not.
    pub(in crate::consent) fn suspend(&mut self, s: &PartySuspend, recorded: &Recorded) -> Result<(), Why> {
        let signer = recorded.signed().signer;
        let by = if self.is_operator(&signer) {
            let latest = recorded.at().plus_ms(OPERATOR_SUSPENDS_MS);
            if s.until.is_none_or(|until| until > latest) {
                return Err(Why::Dates);
            }
            None
        } else {
            let regulator =
                self.party_of_key(&signer).and_then(|id| self.party(id)).ok_or(Why::KeyNotInSet)?;
            if !regulator.has_role(Role::Regulator) {
                return Err(Why::Role);
            }
            if regulator.closed.is_some() {
                return Err(Why::PartySuspended);
            }
            Some(regulator.id.clone())
        };
        let new = Suspension { by, until: s.until, case: s.case.clone() };
        self.change(&s.party, |party| match party.suspensions.iter_mut().find(|old| old.by == new.by) {
            Some(old) if new.outlasts(old) => *old = new,
            Some(_) => {}
            None => party.suspensions.push(new),
        })
    }

    pub(in crate::consent) fn endorsed_by_operator(&self, recorded: &Recorded) -> Result<(), Why> {
        let first = recorded.signed().endorsers.first();
        if first.is_some_and(|key| self.is_operator(key)) { Ok(()) } else { Err(Why::Endorsement) }
    }

    pub(in crate::consent) fn change(
        &mut self,
        id: &PartyId,
        how: impl FnOnce(&mut Party),
    ) -> Result<(), Why> {
        let party = Arc::make_mut(&mut self.parties).get_mut(id).ok_or(Why::PartyUnknown)?;
        how(Arc::make_mut(party));
        Ok(())
    }
}

/// Name of a public key. Source: design §4.
pub(in crate::consent) fn key_of(spki: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(spki).into())
}
