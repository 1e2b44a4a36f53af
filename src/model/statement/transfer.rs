//! Statements that move data and answer rights: `transfer.*`, `right.*`, `duty.*`, `erasure.demand`, `consideration.*`.

use serde::{Deserialize, Serialize};

use crate::model::id::{PartyId, Ppid, StatementId, Timestamp};
use crate::model::statement::consent::Mode;
use crate::model::statement::{present, statement};
use crate::model::vocabulary::DataClass;

/// Why a run of a transfer failed. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailCode {
    /// The sender does not answer.
    SenderUnreachable,
    /// The sender refuses, or has no such data.
    SenderRefused,
    /// What the sender sent is not what it said it would send.
    SenderMismatch,
    /// An item, or all of them, are larger than is carried.
    TooLarge,
    /// The receiver does not answer.
    ReceiverUnreachable,
    /// The receiver refuses.
    ReceiverRefused,
    /// The demand ended before the run did.
    Ended,
}

impl FailCode {
    /// All codes.
    pub const ALL: [Self; 7] = [
        Self::SenderUnreachable,
        Self::SenderRefused,
        Self::SenderMismatch,
        Self::TooLarge,
        Self::ReceiverUnreachable,
        Self::ReceiverRefused,
        Self::Ended,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SenderUnreachable => "sender-unreachable",
            Self::SenderRefused => "sender-refused",
            Self::SenderMismatch => "sender-mismatch",
            Self::TooLarge => "too-large",
            Self::ReceiverUnreachable => "receiver-unreachable",
            Self::ReceiverRefused => "receiver-refused",
            Self::Ended => "ended",
        }
    }
}

/// One item of a transfer demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// K-MyData scope, such as `bank.deposit`.
    pub scope: String,
    /// Asset selectors; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<String>,
}

statement! {
    /// 전송요구: who sends what to whom, why, once or on a schedule. Names follow K-MyData.
    TransferDemand {
        /// The person, in the sender's domain.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// Last statement applied to the demand that this one replaces.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// Who sends (`snd_org_code`).
        sender: PartyId,
        /// Who receives (`rcv_org_code`).
        recipient: PartyId,
        /// Whether it repeats (`is_scheduled`).
        scheduled: bool,
        /// Cycle of basic data, such as `1/w` (`fnd_cycle`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fund_cycle: Option<String>,
        /// Cycle of additional data (`add_cycle`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        add_cycle: Option<String>,
        /// Last instant of fetching (`end_date`).
        end: Timestamp,
        /// Why (`purpose`), a DPV IRI.
        purpose: String,
        /// How long the recipient keeps it (`period`).
        keep_until: Timestamp,
        /// What (`target_info`).
        targets: Vec<Target>,
        /// View or store.
        mode: Mode,
    }
}

statement! {
    /// Ends a transfer demand.
    TransferStop {
        /// The person, in the sender's domain.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// The demand.
        demand: StatementId,
    }
}

macro_rules! step {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? }) => {
        statement! {
            $(#[$meta])*
            $name {
                /// The person, in the domain of the party that signs.
                ppid: Ppid,
                /// Who signs.
                party: PartyId,
                $($(#[$fmeta])* $field: $ty,)*
            }
        }
    };
}

step! {
    /// The sender has delivered.
    TransferDeliver {
        /// The demand.
        demand: StatementId,
        /// Number of the run, from 0.
        run: u64,
        /// Items delivered.
        items: u64,
        /// SHA-256 over what was delivered.
        hash: crate::model::id::Hash,
    }
}
step! {
    /// The receiver confirms "n of m".
    TransferConfirm {
        /// The demand.
        demand: StatementId,
        /// Number of the run.
        run: u64,
        /// Items received.
        received: u64,
        /// Items announced.
        announced: u64,
    }
}
step! {
    /// A run failed.
    TransferFail {
        /// The demand.
        demand: StatementId,
        /// Number of the run.
        run: u64,
        /// Closed code.
        code: FailCode,
    }
}
step! {
    /// A recipient has seen a closing act.
    DutyAcknowledge {
        /// The act.
        act: StatementId,
    }
}
step! {
    /// A recipient declares deletion.
    DutyDeleted {
        /// The act that obliged it.
        act: StatementId,
        /// Categories deleted.
        categories: Vec<String>,
        /// When.
        deleted_at: Timestamp,
    }
}
step! {
    /// A controller gives its reasons for uses that an exception permitted before they were asked for.
    ///
    /// Within the time the pack names (`justify-within`), counted from each use.
    DutyJustify {
        /// The exception, `pack#rule`.
        rule: String,
        /// For which purpose.
        purpose: String,
        /// Class of data.
        class: DataClass,
        /// First instant of the uses.
        from: Timestamp,
        /// First instant after.
        until: Timestamp,
        /// Why it was needed, in words.
        reason: String,
    }
}
step! {
    /// A controller answers a rights request.
    RightAnswer {
        /// The request.
        request: StatementId,
        /// What was done.
        outcome: Outcome,
        /// Legal reason of what was not done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}
step! {
    /// What a controller reports as paid: its word, disputable.
    ConsiderationSettle {
        /// The grant.
        grant: StatementId,
        /// First instant of the period.
        from: Timestamp,
        /// First instant after.
        until: Timestamp,
        /// Amount in minor units.
        amount: u64,
        /// ISO 4217.
        currency: String,
    }
}

/// What a controller did of what was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it.
    Done,
    /// A part.
    Partly,
    /// Nothing.
    Refused,
}

impl Outcome {
    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partly => "partly",
            Self::Refused => "refused",
        }
    }
}

/// Which right is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// 열람.
    Access,
    /// 정정.
    Rectification,
    /// 삭제.
    Erasure,
    /// 처리정지.
    Restriction,
    /// Against profiling.
    ObjectProfiling,
    /// Against automated decisions. Source: PIPA art. 37-2.
    ObjectAutomated,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Rectification,
        Self::Erasure,
        Self::Restriction,
        Self::ObjectProfiling,
        Self::ObjectAutomated,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Rectification => "rectification",
            Self::Erasure => "erasure",
            Self::Restriction => "restriction",
            Self::ObjectProfiling => "object-profiling",
            Self::ObjectAutomated => "object-automated",
        }
    }
}

statement! {
    /// A right claimed against a controller.
    RightRequest {
        /// The person, in the controller's domain.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// Against whom.
        controller: PartyId,
        /// Which.
        right: Right,
        /// About which categories; empty means all.
        categories: Vec<String>,
    }
}

statement! {
    /// The person wants to be forgotten by this log.
    ErasureDemand {
        /// The person, in the log's own domain.
        ppid: Ppid,
    }
}
