//! Statements that say what a person allows: `consent.*`.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::model::id::{Hash, LeafIndex, PartyId, Ppid, StatementId, Timestamp};
use crate::model::statement::{present, statement};
use crate::model::vocabulary::{Action, DataClass};

/// Which notice a person saw, and in which words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Id of the `notice.publish`.
    pub id: StatementId,
    /// SHA-256 of the text shown (an attachment of the notice).
    pub hash: Hash,
    /// BCP 47 tag of the text shown.
    pub locale: String,
}

/// Where a person who moved here said it first: her own word, under her signature.
///
/// Nothing is decided by it. With the other log's key anybody can check it from
/// `evidence`, which shows what that log holds and no key of hers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The statement's id there.
    pub id: StatementId,
    /// Name of the other log.
    pub log: String,
    /// Where it stands in it.
    pub index: LeafIndex,
    /// Evidence of it in the controller's form; none if it would make the statement too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ByteBuf>,
}

/// How often and how a grant may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// At most this many uses in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// At most so many uses a span of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<Frequency>,
    /// Whether the receiver may keep a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

/// At most `max` uses in any `per-ms` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Frequency {
    /// Uses.
    pub max: u32,
    /// Length of the window, ms.
    pub per_ms: u64,
}

/// Whether data may be kept or only looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Look, do not keep.
    View,
    /// May be stored until `keep-until`.
    Store,
}

statement! {
    /// The person allows one purpose. Replaces the slot's earlier grant.
    ConsentGrant {
        /// The person, in the controller's domain.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// Last statement applied to the slot, `null` if there never was one.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// Who may process.
        controller: PartyId,
        /// To whom the data may be shared.
        recipients: Vec<PartyId>,
        /// One purpose, a DPV IRI.
        purpose: String,
        /// Categories of data, DPV IRIs.
        categories: Vec<String>,
        /// Class of data.
        class: DataClass,
        /// What may be done.
        actions: Vec<Action>,
        /// Where it may be done, ISO 3166-1 alpha-2; `transfer-abroad` needs the country here.
        jurisdictions: Vec<String>,
        /// Collecting, sharing and transferring end here, at the instant no longer.
        fetch_until: Timestamp,
        /// All the rest ends here.
        keep_until: Timestamp,
        /// Limits of use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<Limits>,
        /// What the person is promised in return (대가), in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consideration: Option<String>,
        /// What was shown.
        notice: Shown,
        /// Binds the controller's session, 32 bytes: repeats the link of a `consent.request`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Hash>,
        /// What she said first in another log, if she moved here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved: Option<Moved>,
    }
}

macro_rules! act {
    ($(#[$meta:meta])* $name:ident $(, $(#[$fmeta:meta])* $field:ident : $ty:ty)*) => {
        statement! {
            $(#[$meta])*
            $name {
                /// The person, in the controller's domain.
                ppid: Ppid,
                /// The delegation under which a delegate signs.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                by: Option<StatementId>,
                /// The slot's controller.
                controller: PartyId,
                /// The slot's purpose.
                purpose: String,
                /// The slot's class.
                class: DataClass,
                $($(#[$fmeta])* $field: $ty,)*
            }
        }
    };
}

act! {
    /// The person says no to what was asked.
    ConsentRefuse,
    /// What was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<Shown>,
    /// Repeats the link of a `consent.request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Hash>,
    /// What she said first in another log, if she moved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>
}
act! {
    /// The person takes a consent back.
    ConsentWithdraw,
    /// What she said first in another log, if she moved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>
}
act! {
    /// The person pauses a consent.
    ConsentPause,
    /// What she said first in another log, if she moved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>
}
act! {
    /// The person takes a pause back.
    ConsentResume,
    /// Last statement applied to the slot.
    #[serde(deserialize_with = "present")]
    over: Option<StatementId>
}
act! {
    /// The person denies that an attested consent was given.
    ConsentDispute,
    /// What she said first in another log, if she moved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>
}

/// One party or purpose, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Scope {
    /// `*`: all.
    Any,
    /// This one.
    One(String),
}

impl From<String> for Scope {
    fn from(text: String) -> Self {
        if text == "*" { Self::Any } else { Self::One(text) }
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Any => "*".into(),
            Scope::One(text) => text,
        }
    }
}

impl Scope {
    /// The text on the wire: the one name, or `*`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::One(text) => text,
        }
    }

    /// Whether `text` is inside.
    #[must_use]
    pub fn covers(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == text,
        }
    }
}

statement! {
    /// The person objects. `*` for controller, purpose or both makes a standing slot of its own.
    ConsentObject {
        /// The person, in the controller's domain, or in the log's own for controller `*`.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// One controller, or `*`.
        controller: Scope,
        /// One purpose, or `*`.
        purpose: Scope,
        /// Never `*`.
        class: DataClass,
        /// What she said first in another log, if she moved here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        moved: Option<Moved>,
    }
}

statement! {
    /// The person takes her own objection back.
    ConsentLift {
        /// The person, as in the objection.
        ppid: Ppid,
        /// The delegation under which a delegate signs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<StatementId>,
        /// Last statement applied to the objection's slot.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// As in the objection.
        controller: Scope,
        /// As in the objection.
        purpose: Scope,
        /// As in the objection.
        class: DataClass,
    }
}

statement! {
    /// A controller's word that an older consent exists outside the ledger.
    ConsentAttest {
        /// The person, in the controller's domain.
        ppid: Ppid,
        /// Last statement applied to the slot: always `null`, for an attested slot is a new one.
        #[serde(deserialize_with = "present")]
        over: Option<StatementId>,
        /// Who attests and processes.
        controller: PartyId,
        /// To whom the data may be shared.
        recipients: Vec<PartyId>,
        /// One purpose, a DPV IRI.
        purpose: String,
        /// Categories of data, DPV IRIs.
        categories: Vec<String>,
        /// Class of data.
        class: DataClass,
        /// What may be done.
        actions: Vec<Action>,
        /// Where it may be done.
        jurisdictions: Vec<String>,
        /// As in a grant.
        fetch_until: Timestamp,
        /// As in a grant.
        keep_until: Timestamp,
        /// When the consent was given, by the controller's records.
        given_at: Timestamp,
        /// How it was given: `paper`, `desk`, `phone`, `web`, `app`.
        how: String,
    }
}

/// The closing act a signal carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalAct {
    /// As `consent.withdraw`.
    Withdraw,
    /// As `consent.object`.
    Object,
    /// As `consent.pause`.
    Pause,
    /// As `consent.refuse`.
    Refuse,
}

/// Who carried a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// A registered desk.
    Desk,
    /// A call centre.
    CallCentre,
    /// `Sec-GPC: 1` seen by a party.
    Gpc,
}

statement! {
    /// A closing act of the person, carried by a party.
    ConsentSignal {
        /// The person, in the carrying party's domain.
        ppid: Ppid,
        /// What she wants.
        act: SignalAct,
        /// One controller, or `*` for an objection.
        controller: Scope,
        /// One purpose, or `*` for an objection.
        purpose: Scope,
        /// Class of data.
        class: DataClass,
        /// How it came.
        channel: Channel,
    }
}

statement! {
    /// A controller asks; sealed under the request until a person opens it.
    ConsentRequest {
        /// Who asks.
        controller: PartyId,
        /// What will be shown.
        notice: StatementId,
        /// Purposes asked for.
        purposes: Vec<String>,
        /// Bound to the customer's session at the controller.
        link: Hash,
        /// Not answered after this.
        until: Timestamp,
    }
}
