//! Statements of supervision: `incident.*`, `warrant.*`, `hold.*`.

use serde::{Deserialize, Serialize};

use crate::model::id::{Hash, Nonce, PartyId, Ppid, StatementId, Timestamp};
use crate::model::statement::statement;

/// How strong a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strength {
    /// Deterministic, with the asker's own signature.
    D,
    /// Statistical or unsigned.
    S,
}

statement! {
    /// A person complains. Sealed under the incident, read by the regulator in scope.
    IncidentComplain {
        /// The person, in the party's domain.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// About whom.
        party: PartyId,
        /// What happened, in words.
        text: String,
    }
}

statement! {
    /// A detector's finding becomes an incident.
    IncidentFlag {
        /// The incident, 16 random bytes.
        incident: Nonce,
        /// About whom.
        party: PartyId,
        /// Which detector.
        detector: String,
        /// How strong.
        strength: Strength,
        /// Evidence, by hash.
        evidence: Vec<Hash>,
    }
}

macro_rules! incident_step {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $(statement! {
            $(#[$meta])*
            $name {
                /// The incident.
                incident: Nonce,
                /// Who signs.
                party: PartyId,
                /// SHA-256 of the document, sealed beside.
                document: Hash,
            }
        }

        impl $name {
            /// What all steps share: the incident, who signs, the document.
            #[must_use]
            pub const fn step(&self) -> (&Nonce, &PartyId, &Hash) {
                (&self.incident, &self.party, &self.document)
            }
        })*
    };
}

incident_step! {
    /// The accused answers.
    IncidentAnswer,
    /// A regulator orders.
    IncidentOrder,
    /// A regulator confirms.
    IncidentConfirm,
    /// A regulator dismisses.
    IncidentDismiss,
    /// A regulator assesses.
    IncidentAssess,
    /// A party has contained it.
    IncidentContain,
    /// A party reports it.
    IncidentReport,
    /// A party has told the persons.
    IncidentNotify,
    /// A party appeals.
    IncidentAppeal,
    /// A regulator closes.
    IncidentClose,
    /// Published, only where law orders it.
    IncidentPublish,
}

statement! {
    /// A regulator may look. Sealed until it ends.
    WarrantGrant {
        /// Case number.
        case: String,
        /// Who signs.
        regulator: PartyId,
        /// Whom it joins.
        parties: Vec<PartyId>,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    }
}

statement! {
    /// Stops the destruction of named records.
    HoldPlace {
        /// Case number: the name of the incident, 32 hex digits.
        case: String,
        /// Who signs.
        regulator: PartyId,
        /// Which records.
        records: Vec<StatementId>,
        /// Until when.
        until: Timestamp,
    }
}

statement! {
    /// Ends a hold.
    HoldLift {
        /// Case number: the name of the incident, 32 hex digits.
        case: String,
        /// Who signs.
        regulator: PartyId,
    }
}
