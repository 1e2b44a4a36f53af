//! What the sealed entries of one person say: keys, attestations, delegations, slots.
//!
//! A [`Person`] is cheap to copy: parts are shared until they change. It is stored
//! as rows: one [`Core`] and one row a slot. Lacks: the rules (`fold`), ppids and
//! names; who is found by which key or ppid is the node's table.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::consent::SlotKey;
use crate::consent::duty::Declared;
use crate::consent::exception::Justification;
use crate::consent::incident::Incident;
use crate::consent::keys::Rebind;
use crate::consent::one;
use crate::consent::request::Request;
use crate::consent::right::RightClaim;
use crate::consent::slot::{Slot, State};
use crate::consent::transfer::{Stopped, Transfer};
use crate::consent::value::Settlement;
use crate::model::id::{KeyHash, LeafIndex, PartyId, StatementId, SubjectId, Timestamp};
use crate::model::statement::{KeyUse, Kind, ProofMethod};
use crate::model::vocabulary::DataClass;

/// A key of a person's set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    /// The key.
    pub key: KeyHash,
    /// Index from which it signs.
    pub from: LeafIndex,
    /// What it is.
    pub key_use: KeyUse,
    /// Index from which it no longer does.
    pub revoked: Option<LeafIndex>,
}

/// What an identity provider said last of one guardian (or of nobody's). Source: design §7.
///
/// Reading: the newest word per provider and guardian stands; so one guardian's word is ended by an
/// attestation of the same guardian with a past date. It outlives the provider's own suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attestation {
    /// Where it stands.
    pub index: LeafIndex,
    /// How it was confirmed.
    pub method: ProofMethod,
    /// A key of the guardian.
    pub guardian: Option<KeyHash>,
    /// Who said so.
    pub provider: PartyId,
    /// The `subject.attest`.
    pub statement: StatementId,
    /// A minor until then.
    pub minor_until: Option<Timestamp>,
}

impl Attestation {
    /// Whether its guardian counts at an instant: it ends by its date, and has no end without one.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.minor_until.is_none_or(|until| at < until)
    }
}

/// On whose word a delegation rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grantor {
    /// The ward herself.
    Ward,
    /// A guardian, as this attested key names her: it falls with the attestation.
    Guardian(KeyHash),
    /// A regulator.
    Regulator(PartyId),
    /// A delegate, within the delegation of that `delegation.grant`: it falls with it.
    Delegate(StatementId),
}

/// Somebody may act for the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delegation {
    /// How many further delegations may hang below, one under the other.
    pub depth: u8,
    /// Ended by a `delegation.end`.
    pub ended: bool,
    /// What the delegate may sign.
    pub types: Vec<Kind>,
    /// Ends here, at the instant no longer.
    pub until: Timestamp,
    /// Why, a short code.
    pub reason: String,
    /// On whose word.
    pub grantor: Grantor,
    /// A key of the delegate: any live key of that set counts.
    pub delegate: KeyHash,
    /// The `delegation.grant`: what `by` names.
    pub statement: StatementId,
    /// For which controllers; empty means all.
    pub controllers: Vec<PartyId>,
}

impl Delegation {
    /// Reason of a delegation that stands only on an attestation of its delegate.
    pub const GUARDIAN: &'static str = "guardian";

    /// Whether acts under it count as a guardian's, if it counts at all.
    #[must_use]
    pub fn is_guardians(&self) -> bool {
        self.reason == Self::GUARDIAN || matches!(self.grantor, Grantor::Guardian(_))
    }
}

/// The slot of ward and delegate.
///
/// Reading: the delegate is the key as the statements name it; a grant replaces the slot's earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Seat {
    /// Last statement applied to this slot: what `over` must name.
    pub last: StatementId,
    /// A key of the delegate.
    pub delegate: KeyHash,
    /// The last delegation granted in it.
    pub delegation: Option<Delegation>,
}

/// All of a person but her slots: one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Core {
    /// The key set, in order of arrival.
    pub keys: Vec<Key>,
    /// Delegations, by delegate.
    pub seats: Vec<Seat>,
    /// What recipients said of grants that ended, in order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duties: Vec<Declared>,
    /// A new key that waits, or that all others gave way to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebind: Option<Rebind>,
    /// Rights she claimed, in order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<RightClaim>,
    /// The `key.create`; none for a person that is not made yet.
    pub created: Option<StatementId>,
    /// The `erasure.demand`: from there on she is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasing: Option<StatementId>,
    /// Since when the key set rests on a rebind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebound: Option<Timestamp>,
    /// What a controller asks: then this subject is a request, and no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What controllers say they paid, in order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settlement>,
    /// Stops of transfer demands that have not arrived: they never will.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Stopped>,
    /// The incident, where this is the row of one and of nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Box<Incident>>,
    /// Last statement applied to the key set after `created`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_last: Option<StatementId>,
    /// A printed key that may replace all others; it signs nothing else.
    pub recovery: Option<KeyHash>,
    /// Keys that were there while she was a ward, and those that they brought since: her guardian may hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub childhood: Vec<KeyHash>,
    /// Transfer demands, in order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
    /// What identity providers say.
    pub attestations: Vec<Attestation>,
    /// Reasons given for uses that an exception permitted first, in order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub justifications: Vec<Justification>,
}

type Entry = (Arc<SlotKey>, Arc<Slot>);

/// One person's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    subject: SubjectId,
    decoy: bool,
    core: Arc<Core>,
    /// In order of keys.
    slots: Arc<Vec<Entry>>,
    /// All parties that ever carried a signal: drawn from the slots, in order.
    carriers: Arc<Vec<PartyId>>,
}

impl Person {
    /// A person without statements.
    #[must_use]
    pub fn new(subject: SubjectId) -> Self {
        Self { subject, decoy: false, core: Arc::default(), slots: Arc::default(), carriers: Arc::default() }
    }

    /// The person that stands for everybody who is not known: takes no statement in. Source: design §6.
    #[must_use]
    pub fn decoy(subject: SubjectId) -> Self {
        Self { decoy: true, ..Self::new(subject) }
    }

    /// A person as stored.
    #[must_use]
    pub fn from_parts(
        subject: SubjectId,
        core: Core,
        slots: impl IntoIterator<Item = (SlotKey, Slot)>,
    ) -> Self {
        let sorted: BTreeMap<SlotKey, Slot> = slots.into_iter().collect();
        let mut carriers: Vec<PartyId> =
            sorted.values().flat_map(|slot| slot.carriers.iter().cloned()).collect();
        carriers.sort_unstable();
        carriers.dedup();
        Self {
            subject,
            decoy: false,
            core: Arc::new(core),
            slots: Arc::new(sorted.into_iter().map(|(key, slot)| (Arc::new(key), Arc::new(slot))).collect()),
            carriers: Arc::new(carriers),
        }
    }

    /// Who.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// Whether nothing that makes a person, a request or an incident has been applied yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.core.created.is_none() && self.core.request.is_none() && self.core.incident.is_none()
    }

    /// Whether it stands for everybody who is not known.
    #[must_use]
    pub const fn is_decoy(&self) -> bool {
        self.decoy
    }

    /// One whose key was in her own set when she signed, and who is erased since: all that is left of a
    /// delegate where an older act of hers is judged again.
    #[must_use]
    pub fn erased_signer(subject: SubjectId, key: KeyHash) -> Self {
        let mut out = Self::new(subject);
        out.core_mut().keys = vec![Key { key, from: 0, key_use: KeyUse::Device, revoked: None }];
        out
    }

    /// Whether she is known: has made her key set, has not asked to be forgotten, and is not the decoy.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.decoy && self.core.created.is_some() && self.core.erasing.is_none()
    }

    /// The row of keys, attestations and delegations.
    #[must_use]
    pub fn core(&self) -> &Core {
        &self.core
    }

    pub(in crate::consent) fn core_mut(&mut self) -> &mut Core {
        Arc::make_mut(&mut self.core)
    }

    /// The key set, revoked keys too.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.core.keys
    }

    /// Whether the key is in the set and signs at that instant.
    #[must_use]
    pub fn has_live_key(&self, key: &KeyHash, at: Timestamp) -> bool {
        self.live_key(key, at).is_ok()
    }

    /// Whether the key is, was or may soon be in the set: names the set, not the right to sign.
    #[must_use]
    pub fn has_key(&self, key: &KeyHash) -> bool {
        self.core.keys.iter().any(|own| own.key == *key)
            || self.core.rebind.as_ref().is_some_and(|rebind| rebind.new == *key)
    }

    /// What identity providers say.
    #[must_use]
    pub fn attestations(&self) -> &[Attestation] {
        &self.core.attestations
    }

    /// Whether any attestation says she is a minor at that instant; without one she is not.
    #[must_use]
    pub fn is_minor(&self, at: Timestamp) -> bool {
        self.core.attestations.iter().any(|a| a.minor_until.is_some_and(|until| at < until))
    }

    /// The attested key by which `other` is her guardian at that instant.
    #[must_use]
    pub fn guardian_key(&self, other: &Self, at: Timestamp) -> Option<KeyHash> {
        self.core
            .attestations
            .iter()
            .filter(|a| a.holds(at))
            .filter_map(|a| a.guardian)
            .find(|key| other.has_key(key))
    }

    /// Whether this very key is attested as a guardian's at that instant.
    #[must_use]
    pub fn is_guarded_by(&self, key: &KeyHash, at: Timestamp) -> bool {
        self.core.attestations.iter().any(|a| a.guardian == Some(*key) && a.holds(at))
    }

    /// Reasons given for uses that an exception permitted first.
    #[must_use]
    pub fn justifications(&self) -> &[Justification] {
        &self.core.justifications
    }

    /// All delegations that still stand in their slot, ended ones too.
    pub fn delegations(&self) -> impl Iterator<Item = &Delegation> {
        self.core.seats.iter().filter_map(|seat| seat.delegation.as_ref())
    }

    /// The delegation of that `delegation.grant`, unless a later one replaced it.
    #[must_use]
    pub fn delegation(&self, id: &StatementId) -> Option<&Delegation> {
        self.delegations().find(|d| d.statement == *id)
    }

    /// The slot of that key.
    #[must_use]
    pub fn slot(&self, key: &SlotKey) -> Option<&Slot> {
        self.slot_of(one(&key.controller), one(&key.purpose), key.class)
    }

    /// The slot of that key, `None` for `*`: without building one.
    pub(in crate::consent) fn slot_of(
        &self,
        controller: Option<&str>,
        purpose: Option<&str>,
        class: DataClass,
    ) -> Option<&Slot> {
        let at = self.slots.binary_search_by(|(key, _)| key.cmp_to(controller, purpose, class)).ok()?;
        self.slots.get(at).map(|(_, slot)| slot.as_ref())
    }

    /// All slots, in order of keys.
    pub fn slots(&self) -> impl Iterator<Item = (&SlotKey, &Slot)> {
        self.slots.iter().map(|(key, slot)| (key.as_ref(), slot.as_ref()))
    }

    /// The slots an act on `controller` and `purpose` is judged against: itself and the three with `*`.
    pub(in crate::consent) fn covering<'a>(
        &'a self,
        controller: &'a str,
        purpose: &'a str,
        class: DataClass,
    ) -> impl Iterator<Item = &'a Slot> {
        [(Some(controller), Some(purpose)), (Some(controller), None), (None, Some(purpose)), (None, None)]
            .into_iter()
            .filter_map(move |(c, p)| self.slot_of(c, p, class))
    }

    /// The objection that covers the slot, named by the last statement applied to its slot. Source: design §6.
    #[must_use]
    pub fn objection(&self, controller: &PartyId, purpose: &str, class: DataClass) -> Option<StatementId> {
        self.covering(controller.as_str(), purpose, class)
            .find(|slot| slot.state == State::Objected)
            .and_then(|slot| slot.last)
    }

    /// Whether the party's domain has a statement of this person: a slot of its own, or a signal it carried.
    #[must_use]
    pub fn is_acquainted(&self, party: &PartyId) -> bool {
        let from = self.slots.partition_point(|(key, _)| one(&key.controller) < Some(party.as_str()));
        self.slots.get(from).is_some_and(|(key, _)| one(&key.controller) == Some(party.as_str()))
            || self.carriers.binary_search(party).is_ok()
    }

    /// Puts a slot in its place.
    pub(in crate::consent) fn put(&mut self, key: &SlotKey, slot: Slot) {
        for party in &slot.carriers {
            if let Err(place) = self.carriers.binary_search(party) {
                Arc::make_mut(&mut self.carriers).insert(place, party.clone());
            }
        }
        let slots = Arc::make_mut(&mut self.slots);
        match slots.binary_search_by(|(own, _)| own.as_ref().cmp(key)) {
            Ok(place) => {
                if let Some((_, old)) = slots.get_mut(place) {
                    *old = Arc::new(slot);
                }
            }
            Err(place) => slots.insert(place, (Arc::new(key.clone()), Arc::new(slot))),
        }
    }
}
