//! The use line: what the node keeps of one evaluation, and of whatever else is a use.
//!
//! One line for each evaluation by an authenticated asker, for each ppid handed
//! over and for each opening a regulator is given. What the asker was told stands
//! in the line itself; where the exact reason was kept from the asker, it stands
//! beside it ([`Exact`]) and the line holds only its HMAC: so the line can be shown
//! to the asker, and both to the person. Keys of both maps stand in the order of
//! their encoding.
//!
//! Lacks: codec, keys, files. Bytes: `schemas/naru.cddl`, `use-line`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::ByteBuf;

use crate::model::decision::Reason;
use crate::model::id::{DecisionId, Hash, Nonce, PartyId, Ppid, StatementId, Timestamp};
use crate::model::statement::V1;
use crate::model::vocabulary::{AskedAction, DataClass};

/// What kind of use a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UseAct {
    /// A question was answered.
    Check,
    /// The controller was handed a recipient's ppid. Source: design §7.
    Handover,
    /// A regulator was given an opening. Source: design §8.
    Opening,
}

impl UseAct {
    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Handover => "handover",
            Self::Opening => "opening",
        }
    }
}

/// One line. Source: design §6.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UseLine {
    /// When it was written, ms: in which batch it stands.
    pub t: Timestamp,
    /// Format version.
    pub v: V1,
    /// When the decision was made, ms: not after `t`.
    pub at: Timestamp,
    /// Name of the decision.
    pub id: DecisionId,
    /// What kind of use.
    pub act: UseAct,
    /// The case in which a regulator was given an opening, or was refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Nonce>,
    /// Pack that decided; `none` where no pack did.
    pub pack: String,
    /// The ppid that was named, if a person was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ppid: Option<Ppid>,
    /// The rule that was told.
    pub rule: String,
    /// The reason that was told.
    #[serde(with = "reason")]
    pub told: Reason,
    /// Log entries the decision reflects.
    pub as_of: u64,
    /// The party of the token.
    pub asker: PartyId,
    /// The statement a permit rests on; of an opening the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<StatementId>,
    /// Class of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<DataClass>,
    /// Which use of a counted grant this is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// HMAC of the exact reason, wherever it may differ from what was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<Hash>,
    /// What would be done.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "action")]
    pub action: Option<AskedAction>,
    /// The asker's signature over the request, as it came (RFC 9421).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<ByteBuf>,
    /// The asker's name of the use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_id: Option<String>,
    /// For which purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The release that was named, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Version of the pack.
    pub version: u32,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    /// On which categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// In whose domain.
    pub controller: PartyId,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
}

/// What was decided, where something else may have been told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// The rule.
    pub rule: String,
    /// The reason.
    #[serde(with = "reason")]
    pub reason: Reason,
}

mod reason {
    use super::*;

    pub(super) fn serialize<S: Serializer>(reason: &Reason, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(reason.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Reason, D::Error> {
        let text = String::deserialize(d)?;
        Reason::parse(&text).ok_or_else(|| de::Error::custom("not a reason of the closed list"))
    }
}

mod action {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
    pub(super) fn serialize<S: Serializer>(action: &Option<AskedAction>, s: S) -> Result<S::Ok, S::Error> {
        action.map(AskedAction::as_str).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<AskedAction>, D::Error> {
        let text = String::deserialize(d)?;
        AskedAction::parse(&text)
            .map(Some)
            .ok_or_else(|| de::Error::custom("not an action of the closed list"))
    }
}
