//! PURE. The fold with authority, and the decision.
//!
//! Two folds over recorded statements. [`Register`] is what the public entries
//! say: genesis, parties, notices, packs in force; anybody can replay it.
//! [`Person`] is what the sealed entries of one person say: key set,
//! attestations, delegations, slots. Both answer an [`Effect`]: what changed, or
//! why nothing did. [`decide()`] answers one question from both and a pack; it is
//! total: a denial is a value.
//!
//! It lacks, on purpose: signatures (a [`crate::identity::Recorded`] has passed them), ppids
//! (the node finds the person and compares the HMAC), codecs, clock, randomness,
//! and any count of uses. Order is the index; the only time is the `at` of the
//! commit, handed in.
//!
//! Trusted: that a `Recorded` is what its signer signed, and that the caller
//! applies entries in the order of the log. Nothing else: every right to sign is
//! judged here, at the index where the statement stands.
//!
//! # Design
//!
//! Readings of the design where it leaves a choice stand at the item they
//! concern; look for "Reading:".
#![deny(clippy::wildcard_enum_match_arm)]

mod authority;
mod decide;
mod demand;
mod duty;
mod engage;
mod exception;
mod fold;
mod follow;
mod hold;
mod incident;
mod keys;
mod law;
mod notice;
mod party;
mod person;
mod register;
mod request;
mod right;
mod rotate;
mod server;
mod slot;
mod succeed;
mod term;
mod transfer;
mod trial;
mod value;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::model::decision::Why;
use crate::model::id::PartyId;
use crate::model::statement::Scope;
use crate::model::vocabulary::DataClass;

pub use decide::Uses;
pub use decide::counted;
pub use decide::decide;
pub use decide::decide_all;
pub use decide::decide_here;
pub use duty::Clock;
pub use duty::Declared;
pub use duty::Deleted;
pub use duty::Ended;
pub use duty::EndedBy;
pub use duty::Met;
pub use duty::Obligation;
pub use engage::Engagement;
pub use exception::Claimed;
pub use exception::Excepted;
pub use exception::Justification;
pub use exception::Standing;
pub use follow::Followed;
pub use follow::slot_of;
pub use hold::Hold;
pub use incident::Complaint;
pub use incident::Due;
pub use incident::Incident;
pub use incident::Stage;
pub use incident::Step;
pub use keys::REBIND_MARK_MS;
pub use keys::REBIND_WAIT_MS;
pub use keys::Rebind;
pub use law::ADOPTED_BEFORE_MS;
pub use law::Adoption;
pub use notice::Notice;
pub use party::FormerKey;
pub use party::Party;
pub use party::Suspension;
pub use person::Attestation;
pub use person::Core;
pub use person::Delegation;
pub use person::Grantor;
pub use person::Key;
pub use person::Person;
pub use person::Seat;
pub use register::Batched;
pub use register::PackFile;
pub use register::PackRef;
pub use register::Register;
pub use request::Answered;
pub use request::Reply;
pub use request::Request;
pub use right::RightClaim;
pub use right::RightReply;
pub use server::Served;
pub use slot::Slot;
pub use slot::State;
pub use slot::Terms;
pub use succeed::Succession;
pub use term::Bounds;
pub use term::Spent;
pub use transfer::Confirmed;
pub use transfer::Delivered;
pub use transfer::Failed;
pub use transfer::Run;
pub use transfer::RunState;
pub use transfer::Standing as TransferStanding;
pub use transfer::Stopped;
pub use transfer::Transfer;
pub use trial::Change;
pub use trial::Outcome;
pub use trial::Past;
pub use trial::Trial;
pub use trial::questions_of;
pub use value::Settlement;
pub use value::Worth;

/// What a recorded statement did. Source: design §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It counts; this part of the state changed.
    Applied(Touched),
    /// It stands in the log and has no effect.
    Inert(Why),
}

impl Effect {
    /// Which part changed, if one did.
    #[must_use]
    pub const fn touched(&self) -> Option<&Touched> {
        match self {
            Self::Applied(touched) => Some(touched),
            Self::Inert(_) => None,
        }
    }

    /// Why nothing changed, if nothing did.
    #[must_use]
    pub const fn why(&self) -> Option<Why> {
        match self {
            Self::Applied(_) => None,
            Self::Inert(why) => Some(*why),
        }
    }
}

impl From<Result<Touched, Why>> for Effect {
    fn from(outcome: Result<Touched, Why>) -> Self {
        match outcome {
            Ok(touched) => Self::Applied(touched),
            Err(why) => Self::Inert(why),
        }
    }
}

/// Which part of the state changed: one row each in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// The register.
    Register,
    /// Keys, attestations and delegations of the person.
    Core,
    /// One slot of the person.
    Slot(SlotKey),
}

/// Names one slot of a person. `*` is only in slots of objections. Source: design §6.
///
/// Ordered by controller, purpose, class; `*` comes first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlotKey {
    /// Never `*`.
    pub class: DataClass,
    /// One purpose, or `*`.
    pub purpose: Scope,
    /// One controller, or `*`.
    pub controller: Scope,
}

impl SlotKey {
    /// The slot of one controller and one purpose.
    #[must_use]
    pub fn exact(controller: &PartyId, purpose: &str, class: DataClass) -> Self {
        Self {
            controller: Scope::One(controller.as_str().to_owned()),
            purpose: Scope::One(purpose.to_owned()),
            class,
        }
    }

    /// Compares with a key given by reference, `None` for `*`, in the order of `Ord`.
    pub(in crate::consent) fn cmp_to(
        &self,
        controller: Option<&str>,
        purpose: Option<&str>,
        class: DataClass,
    ) -> Ordering {
        one(&self.controller)
            .cmp(&controller)
            .then_with(|| one(&self.purpose).cmp(&purpose))
            .then_with(|| self.class.cmp(&class))
    }
}

impl Ord for SlotKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_to(one(&other.controller), one(&other.purpose), other.class)
    }
}

impl PartialOrd for SlotKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The one name a scope has; `None` for `*`.
pub(in crate::consent) const fn one(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::Any => None,
        Scope::One(text) => Some(text.as_str()),
    }
}

/// In which capacity the signer of a sealed statement acts. The node finds it by
/// key and `by`; the fold judges whether it is true. Source: design §5.
#[derive(Clone, Debug)]
pub enum Actor<'a> {
    /// The person herself, by a key of her own set.
    Own,
    /// Another person: a delegate, or a guardian. Her key is judged in her own set at this index.
    Delegate(&'a Person),
    /// A registered party.
    Party(PartyId),
    /// A person, by herself or by her delegate, in a row that is not hers: her complaint is sealed
    /// under its incident. Both are judged in their own sets at this index.
    For {
        /// The person.
        person: &'a Person,
        /// Who signs for her, if it is not herself.
        delegate: Option<&'a Person>,
    },
}
