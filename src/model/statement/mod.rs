//! Statements: what somebody signs. One struct a type, one table of all types.
//!
//! A statement is a CBOR map with text keys: `v`, `type`, `iat`, `nonce` and the
//! fields of its type; unknown keys are refused. The bytes are in
//! `schemas/naru.cddl`. This module knows no codec (the caller brings a serde
//! deserializer), no signature and no rule: who may sign what stands in
//! `consent`.

pub mod consent;
pub mod incident;
pub mod key;
pub mod log;
pub mod party;
pub mod transfer;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::id::{Hash, KeyHash, Nonce, PartyId, Ppid, StatementId, Timestamp};

pub use consent::*;
pub use incident::*;
pub use key::*;
pub use log::*;
pub use party::*;
pub use transfer::*;

/// Format version of a statement: always 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u8::deserialize(d)? {
            1 => Ok(Self),
            other => Err(de::Error::custom(format_args!("statement version `{other}` is not 1"))),
        }
    }
}

/// Declares one statement struct with the common fields in front.
macro_rules! statement {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            /// Format version.
            pub v: crate::model::statement::V1,
            /// Its type, always this struct's.
            #[serde(rename = "type")]
            pub kind: crate::model::statement::Kind,
            /// When it was signed, by the signer's clock.
            #[serde(deserialize_with = "crate::model::statement::any_instant")]
            pub iat: crate::model::id::Timestamp,
            /// Drawn by the signer.
            pub nonce: crate::model::id::Nonce,
            $($(#[$fmeta])* pub $field: $ty,)*
        }
    };
}
pub(crate) use statement;

/// Reads an `Option` whose key must be present (`null` allowed).
pub(crate) fn present<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(d)
}

/// Reads an `iat`: of a closing act nothing bounds it, so that nothing refuses the act. Source: design §4.
pub(crate) fn any_instant<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
    u64::deserialize(d).map(Timestamp)
}

macro_rules! kinds {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// The type of a statement.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Kind {
            /// Every type, in the order of the design's table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The spelling on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Parses the spelling on the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }

        /// A statement of any type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Statement {
            $(#[doc = concat!("`", $text, "`")] $name(Box<$name>),)*
        }

        impl Statement {
            /// Reads the struct of type `kind` from `d`; refuses unknown keys.
            ///
            /// # Errors
            /// Whatever the deserializer says: the bytes are the sender's fault.
            pub fn deserialize_as<'de, D: Deserializer<'de>>(kind: Kind, d: D) -> Result<Self, D::Error> {
                match kind { $(Kind::$name => $name::deserialize(d).map(|s| Self::$name(Box::new(s))),)* }
            }

            /// Its type.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$name(_) => Kind::$name,)* }
            }

            /// When it was signed, by the signer's clock.
            #[must_use]
            pub fn iat(&self) -> Timestamp {
                match self { $(Self::$name(s) => s.iat,)* }
            }

            /// The signer's nonce.
            #[must_use]
            pub fn nonce(&self) -> Nonce {
                match self { $(Self::$name(s) => s.nonce,)* }
            }
        }

        impl Serialize for Statement {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$name(x) => x.serialize(s),)* }
            }
        }

        $(impl From<$name> for Statement {
            fn from(s: $name) -> Self {
                Self::$name(Box::new(s))
            }
        })*
    };
}

kinds! {
    NoticePublish = "notice.publish",
    NoticeRetire = "notice.retire",
    PartyRegister = "party.register",
    PartyRotate = "party.rotate",
    PartyEngage = "party.engage",
    PartyDisengage = "party.disengage",
    PartySucceed = "party.succeed",
    PartyClose = "party.close",
    PartySuspend = "party.suspend",
    PackAdopt = "pack.adopt",
    ConsentGrant = "consent.grant",
    ConsentRefuse = "consent.refuse",
    ConsentWithdraw = "consent.withdraw",
    ConsentObject = "consent.object",
    ConsentLift = "consent.lift",
    ConsentPause = "consent.pause",
    ConsentResume = "consent.resume",
    ConsentDispute = "consent.dispute",
    KeyCreate = "key.create",
    KeyAdd = "key.add",
    KeyRevoke = "key.revoke",
    KeyRotate = "key.rotate",
    KeyRecover = "key.recover",
    TransferDemand = "transfer.demand",
    TransferStop = "transfer.stop",
    RightRequest = "right.request",
    ErasureDemand = "erasure.demand",
    IncidentComplain = "incident.complain",
    ConsentAttest = "consent.attest",
    ConsentSignal = "consent.signal",
    KeyRebind = "key.rebind",
    SubjectAttest = "subject.attest",
    DelegationGrant = "delegation.grant",
    DelegationEnd = "delegation.end",
    ConsentRequest = "consent.request",
    TransferDeliver = "transfer.deliver",
    TransferConfirm = "transfer.confirm",
    TransferFail = "transfer.fail",
    DutyAcknowledge = "duty.acknowledge",
    DutyDeleted = "duty.deleted",
    DutyJustify = "duty.justify",
    RightAnswer = "right.answer",
    ConsiderationSettle = "consideration.settle",
    UseBatch = "use.batch",
    ReleaseRegister = "release.register",
    ReleaseWithdraw = "release.withdraw",
    ReleaseRecall = "release.recall",
    CanaryCommit = "canary.commit",
    WarrantGrant = "warrant.grant",
    IncidentFlag = "incident.flag",
    IncidentAnswer = "incident.answer",
    IncidentOrder = "incident.order",
    IncidentConfirm = "incident.confirm",
    IncidentDismiss = "incident.dismiss",
    IncidentAssess = "incident.assess",
    IncidentContain = "incident.contain",
    IncidentReport = "incident.report",
    IncidentNotify = "incident.notify",
    IncidentAppeal = "incident.appeal",
    IncidentClose = "incident.close",
    IncidentPublish = "incident.publish",
    HoldPlace = "hold.place",
    HoldLift = "hold.lift",
    LogCreate = "log.create",
    LogRotate = "log.rotate",
    ErasureCertify = "erasure.certify",
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Seen;
        impl de::Visitor<'_> for Seen {
            type Value = Kind;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a statement type")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Kind, E> {
                Kind::parse(v).ok_or_else(|| E::invalid_value(de::Unexpected::Str(v), &self))
            }
        }
        d.deserialize_str(Seen)
    }
}

/// What a statement does to what is allowed. Source: design §4, the lists of opening and closing acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// Allows more: effective only if `over` is right at its index.
    Opening,
    /// Allows less: always effective; no `over`, no bound on `iat`, no limit refuses it.
    Closing,
    /// Neither.
    Neutral,
}

impl Kind {
    /// Whether the act opens, closes, or neither.
    #[must_use]
    pub const fn bearing(self) -> Bearing {
        match self {
            Self::ConsentGrant
            | Self::ConsentAttest
            | Self::ConsentLift
            | Self::ConsentResume
            | Self::DelegationGrant
            | Self::KeyAdd
            | Self::KeyRotate
            | Self::TransferDemand => Bearing::Opening,
            Self::ConsentRefuse
            | Self::ConsentWithdraw
            | Self::ConsentObject
            | Self::ConsentPause
            | Self::ConsentDispute
            | Self::ConsentSignal
            | Self::DelegationEnd
            | Self::KeyRevoke
            | Self::TransferStop
            | Self::ErasureDemand
            | Self::IncidentComplain
            | Self::PartySuspend
            | Self::PartyDisengage
            | Self::PartyClose
            | Self::NoticeRetire
            | Self::ReleaseWithdraw
            | Self::ReleaseRecall => Bearing::Closing,
            _ => Bearing::Neutral,
        }
    }

    /// Whether the entry shows the statement to everybody (else only a commitment).
    #[must_use]
    pub const fn is_public(self) -> bool {
        matches!(
            self,
            Self::NoticePublish
                | Self::NoticeRetire
                | Self::PartyRegister
                | Self::PartyRotate
                | Self::PartyEngage
                | Self::PartyDisengage
                | Self::PartySucceed
                | Self::PartyClose
                | Self::PartySuspend
                | Self::PackAdopt
                | Self::UseBatch
                | Self::ReleaseRegister
                | Self::ReleaseWithdraw
                | Self::ReleaseRecall
                | Self::CanaryCommit
                | Self::IncidentPublish
                | Self::LogCreate
                | Self::LogRotate
                | Self::ErasureCertify
        )
    }

    /// Whether this build takes the type in. The others have their bytes fixed and no rules yet.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(
            self,
            Self::NoticePublish
                | Self::NoticeRetire
                | Self::PartyRegister
                | Self::PartyRotate
                | Self::PartyEngage
                | Self::PartyDisengage
                | Self::PartySucceed
                | Self::PartyClose
                | Self::PartySuspend
                | Self::PackAdopt
                | Self::LogCreate
                | Self::LogRotate
                | Self::UseBatch
                | Self::ErasureCertify
                | Self::ErasureDemand
                | Self::ConsentGrant
                | Self::ConsentRefuse
                | Self::ConsentWithdraw
                | Self::ConsentObject
                | Self::ConsentLift
                | Self::ConsentPause
                | Self::ConsentResume
                | Self::ConsentDispute
                | Self::ConsentAttest
                | Self::ConsentSignal
                | Self::RightRequest
                | Self::RightAnswer
                | Self::ConsiderationSettle
                | Self::DutyAcknowledge
                | Self::DutyDeleted
                | Self::DutyJustify
                | Self::KeyCreate
                | Self::KeyAdd
                | Self::KeyRevoke
                | Self::KeyRotate
                | Self::KeyRecover
                | Self::KeyRebind
                | Self::SubjectAttest
                | Self::DelegationGrant
                | Self::DelegationEnd
                | Self::ConsentRequest
                | Self::IncidentComplain
                | Self::IncidentFlag
                | Self::IncidentAnswer
                | Self::IncidentOrder
                | Self::IncidentConfirm
                | Self::IncidentDismiss
                | Self::IncidentAssess
                | Self::IncidentContain
                | Self::IncidentReport
                | Self::IncidentNotify
                | Self::IncidentAppeal
                | Self::IncidentClose
                | Self::IncidentPublish
                | Self::HoldPlace
                | Self::HoldLift
                | Self::TransferDemand
                | Self::TransferStop
                | Self::TransferDeliver
                | Self::TransferConfirm
                | Self::TransferFail
        )
    }
}

/// The common fields, read before the rest: enough to route a statement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Format version.
    pub v: V1,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Kind,
}

impl Statement {
    /// The ppid of the person it is about, for sealed statements about a person (not `key.create`).
    #[must_use]
    pub fn ppid(&self) -> Option<Ppid> {
        Some(match self {
            Self::ConsentGrant(s) => s.ppid,
            Self::ConsentRefuse(s) => s.ppid,
            Self::ConsentWithdraw(s) => s.ppid,
            Self::ConsentObject(s) => s.ppid,
            Self::ConsentLift(s) => s.ppid,
            Self::ConsentPause(s) => s.ppid,
            Self::ConsentResume(s) => s.ppid,
            Self::ConsentDispute(s) => s.ppid,
            Self::ConsentAttest(s) => s.ppid,
            Self::ConsentSignal(s) => s.ppid,
            Self::KeyAdd(s) => s.ppid,
            Self::KeyRevoke(s) => s.ppid,
            Self::KeyRotate(s) => s.ppid,
            Self::KeyRecover(s) => s.ppid,
            Self::KeyRebind(s) => s.ppid,
            Self::SubjectAttest(s) => s.ppid,
            Self::DelegationGrant(s) => s.ppid,
            Self::DelegationEnd(s) => s.ppid,
            Self::TransferDemand(s) => s.ppid,
            Self::TransferStop(s) => s.ppid,
            Self::TransferDeliver(s) => s.ppid,
            Self::TransferConfirm(s) => s.ppid,
            Self::TransferFail(s) => s.ppid,
            Self::RightRequest(s) => s.ppid,
            Self::RightAnswer(s) => s.ppid,
            Self::ErasureDemand(s) => s.ppid,
            Self::IncidentComplain(s) => s.ppid,
            Self::DutyAcknowledge(s) => s.ppid,
            Self::DutyDeleted(s) => s.ppid,
            Self::DutyJustify(s) => s.ppid,
            Self::ConsiderationSettle(s) => s.ppid,
            _ => return None,
        })
    }

    /// The incident it is about, the party it names, and the document if it is a step after the flag.
    #[must_use]
    pub fn incident(&self) -> Option<(Nonce, &PartyId, Option<Hash>)> {
        let step = match self {
            Self::IncidentFlag(s) => return Some((s.incident, &s.party, None)),
            Self::IncidentAnswer(s) => s.step(),
            Self::IncidentOrder(s) => s.step(),
            Self::IncidentConfirm(s) => s.step(),
            Self::IncidentDismiss(s) => s.step(),
            Self::IncidentAssess(s) => s.step(),
            Self::IncidentContain(s) => s.step(),
            Self::IncidentReport(s) => s.step(),
            Self::IncidentNotify(s) => s.step(),
            Self::IncidentAppeal(s) => s.step(),
            Self::IncidentClose(s) => s.step(),
            _ => return None,
        };
        Some((*step.0, step.1, Some(*step.2)))
    }

    /// The case of a hold: the name of the incident under which it is sealed.
    #[must_use]
    pub fn hold_case(&self) -> Option<&str> {
        match self {
            Self::HoldPlace(s) => Some(&s.case),
            Self::HoldLift(s) => Some(&s.case),
            _ => None,
        }
    }

    /// What she said first in another log, if she moved here.
    #[must_use]
    pub fn moved(&self) -> Option<&Moved> {
        match self {
            Self::ConsentGrant(s) => s.moved.as_ref(),
            Self::ConsentRefuse(s) => s.moved.as_ref(),
            Self::ConsentWithdraw(s) => s.moved.as_ref(),
            Self::ConsentObject(s) => s.moved.as_ref(),
            Self::ConsentPause(s) => s.moved.as_ref(),
            Self::ConsentDispute(s) => s.moved.as_ref(),
            _ => None,
        }
    }

    /// The `delegation.grant` under which a delegate signs, if one does.
    #[must_use]
    pub fn by(&self) -> Option<StatementId> {
        match self {
            Self::ConsentGrant(s) => s.by,
            Self::ConsentRefuse(s) => s.by,
            Self::ConsentWithdraw(s) => s.by,
            Self::ConsentObject(s) => s.by,
            Self::ConsentLift(s) => s.by,
            Self::ConsentPause(s) => s.by,
            Self::ConsentResume(s) => s.by,
            Self::ConsentDispute(s) => s.by,
            Self::TransferDemand(s) => s.by,
            Self::TransferStop(s) => s.by,
            Self::RightRequest(s) => s.by,
            Self::IncidentComplain(s) => s.by,
            _ => None,
        }
    }

    /// The keys a statement of this signer puts into her key set, or into her hand for the day all others are lost.
    ///
    /// None of them may stand anywhere else. Source: design §4.
    #[must_use]
    pub fn new_keys(&self, signer: KeyHash) -> Vec<KeyHash> {
        match self {
            Self::KeyCreate(s) => std::iter::once(signer).chain(s.recovery).collect(),
            Self::KeyAdd(s) => vec![s.key],
            Self::KeyRotate(s) => vec![s.new],
            Self::KeyRecover(s) => vec![s.new],
            Self::KeyRebind(s) => vec![s.new],
            _ => Vec::new(),
        }
    }

    /// The request that a grant or a refusal answers: the controller and its link.
    #[must_use]
    pub fn link(&self) -> Option<(&PartyId, &Hash)> {
        match self {
            Self::ConsentGrant(s) => s.link.as_ref().map(|link| (&s.controller, link)),
            Self::ConsentRefuse(s) => s.link.as_ref().map(|link| (&s.controller, link)),
            _ => None,
        }
    }

    /// `over` of an opening act: id of the last statement applied to the slot as the signer saw it.
    #[must_use]
    pub fn over(&self) -> Option<StatementId> {
        match self {
            Self::ConsentGrant(s) => s.over,
            Self::ConsentAttest(s) => s.over,
            Self::ConsentLift(s) => s.over,
            Self::ConsentResume(s) => s.over,
            Self::DelegationGrant(s) => s.over,
            Self::KeyAdd(s) => s.over,
            Self::KeyRotate(s) => s.over,
            Self::TransferDemand(s) => s.over,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_unique_and_parse_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::parse("consent.Grant"), None);
    }

    #[test]
    fn nothing_public_is_about_a_person() {
        for kind in Kind::ALL.iter().filter(|k| k.is_public()) {
            assert!(
                !kind.as_str().starts_with("consent.") && !kind.as_str().starts_with("key."),
                "{}",
                kind.as_str()
            );
        }
    }
}
