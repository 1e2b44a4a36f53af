//! Statements about keys, age, guardians and delegates: `key.*`, `subject.*`, `delegation.*`.

use serde::{Deserialize, Serialize};

use crate::model::id::{KeyHash, PartyId, Ppid, StatementId, Timestamp};
use crate::model::statement::{present, statement};

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUse {
    /// A passkey with user verification.
    Passkey,
    /// A device or command-line key.
    Device,
    /// A printed recovery key.
    Recovery,
}

statement! {
    /// Makes a person: the signing key becomes the first of her key set.
    KeyCreate {
        /// What the signing key is.
        key_use: KeyUse,
        /// Hash of a recovery key kept on paper.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recovery: Option<KeyHash>,
    }
}

statement! {
    /// Adds a key; the added key endorses.
    KeyAdd {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// Last statement applied to the key set.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// The new key.
        key: KeyHash,
        /// What it is.
        key_use: KeyUse,
    }
}

statement! {
    /// Revokes a key from this index on.
    KeyRevoke {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// The key.
        key: KeyHash,
    }
}

statement! {
    /// Replaces one key by another in one step; both sign.
    KeyRotate {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// Last statement applied to the key set.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// The key that leaves.
        old: KeyHash,
        /// The key that comes.
        new: KeyHash,
    }
}

statement! {
    /// The recovery key replaces all others.
    KeyRecover {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// The new first key.
        new: KeyHash,
    }
}

statement! {
    /// Identity provider and operator bind a new key when all are lost; waits 72 hours.
    KeyRebind {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// The new first key.
        new: KeyHash,
        /// How the person was identified.
        method: String,
    }
}

/// How a guardian's consent was confirmed. Source: PIPA art. 22-2, decree art. 17-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProofMethod {
    /// A message to the guardian's phone.
    PhoneMessage,
    /// Card data of the guardian.
    Card,
    /// The guardian's phone identity check.
    PhoneIdentity,
    /// A signed paper.
    Paper,
    /// By mail, or electronic mail, answered.
    Mail,
    /// A call.
    Call,
    /// A register extract (family relations, court).
    Register,
}

statement! {
    /// An identity provider's word on age and guardian. Stands under the ward.
    SubjectAttest {
        /// The person, in the log's own domain.
        ppid: Ppid,
        /// Who attests.
        provider: PartyId,
        /// She is a minor until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minor_until: Option<Timestamp>,
        /// A key of her guardian: any live key of that set counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guardian: Option<KeyHash>,
        /// How it was confirmed.
        method: ProofMethod,
    }
}

statement! {
    /// Somebody may act for the person within a scope, until a date.
    DelegationGrant {
        /// The ward, in the log's own domain.
        ppid: Ppid,
        /// Last statement applied to the slot of ward and delegate.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// A key of the delegate: any live key of that set counts.
        delegate: KeyHash,
        /// Types of statement the delegate may sign.
        types: Vec<String>,
        /// Controllers it covers; empty means all.
        controllers: Vec<PartyId>,
        /// Ends here, at the instant no longer.
        until: Timestamp,
        /// How many further delegations may hang below.
        depth: u8,
        /// Why, a short code: `guardian`, `helper`, `agent`.
        reason: String,
    }
}

statement! {
    /// Ends a delegation.
    DelegationEnd {
        /// The ward, in the log's own domain.
        ppid: Ppid,
        /// A key of the delegate.
        delegate: KeyHash,
    }
}
