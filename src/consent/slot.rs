//! One slot: its state, the table of what follows what, and the terms it holds.
//!
//! The table of design §6 stands here once, as [`next`]; who may act is judged
//! before. Lacks: time other than the `at` handed in (expiry is computed, never
//! swept), and history (the log has it).

use serde::{Deserialize, Serialize};

use crate::consent::duty::{Closed, Ended};
use crate::model::id::{LeafIndex, PartyId, StatementId, Timestamp};
use crate::model::statement::{ConsentAttest, ConsentGrant, Limits};
use crate::model::vocabulary::Action;

/// Where a slot stands. Source: design §6, the rows of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing stands.
    #[default]
    None,
    /// The person granted.
    Granted,
    /// The controller attested an older consent.
    Attested,
    /// The person disputes the attestation.
    Disputed,
    /// The person paused a grant or an attestation.
    Paused,
    /// The person refused.
    Refused,
    /// The person withdrew.
    Withdrawn,
    /// The person objected.
    Objected,
    /// What stood has passed its later date. Computed, never stored.
    Expired,
}

impl State {
    /// All states, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Granted,
        Self::Attested,
        Self::Disputed,
        Self::Paused,
        Self::Refused,
        Self::Withdrawn,
        Self::Objected,
        Self::Expired,
    ];

    /// The spelling in rows and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Granted => "granted",
            Self::Attested => "attested",
            Self::Disputed => "disputed",
            Self::Paused => "paused",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Objected => "objected",
            Self::Expired => "expired",
        }
    }
}

/// What a grant or an attestation says, as far as a decision needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Terms {
    /// Limits of use.
    pub limits: Option<Limits>,
    /// The notice shown; none for an attestation.
    pub notice: Option<StatementId>,
    /// What may be done.
    pub actions: Vec<Action>,
    /// The `consent.grant` or `consent.attest`.
    pub statement: StatementId,
    /// Categories of data.
    pub categories: Vec<String>,
    /// All the rest ends here.
    pub keep_until: Timestamp,
    /// To whom the data may be shared.
    pub recipients: Vec<PartyId>,
    /// Collecting, sharing and transferring end here, at the instant no longer.
    pub fetch_until: Timestamp,
    /// What was promised for it (대가).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consideration: Option<String>,
    /// Where it may be done.
    pub jurisdictions: Vec<String>,
}

impl Terms {
    /// What a grant says.
    pub(in crate::consent) fn of_grant(id: StatementId, s: &ConsentGrant) -> Self {
        Self {
            statement: id,
            notice: Some(s.notice.id),
            recipients: s.recipients.clone(),
            categories: s.categories.clone(),
            actions: s.actions.clone(),
            jurisdictions: s.jurisdictions.clone(),
            fetch_until: s.fetch_until,
            consideration: s.consideration.clone(),
            keep_until: s.keep_until,
            limits: s.limits.clone(),
        }
    }

    /// What an attestation says.
    pub(in crate::consent) fn of_attest(id: StatementId, s: &ConsentAttest) -> Self {
        Self {
            statement: id,
            notice: None,
            recipients: s.recipients.clone(),
            categories: s.categories.clone(),
            actions: s.actions.clone(),
            jurisdictions: s.jurisdictions.clone(),
            fetch_until: s.fetch_until,
            consideration: None,
            keep_until: s.keep_until,
            limits: None,
        }
    }

    /// First instant at which the terms no longer hold for `action`. Source: design §6.
    #[must_use]
    pub const fn end_for(&self, action: Action) -> Timestamp {
        if action.ends_with_fetching() { self.fetch_until } else { self.keep_until }
    }

    /// Whether uses are counted.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits.as_ref().is_some_and(|l| l.count.is_some() || l.frequency.is_some())
    }
}

/// One slot of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slot {
    /// Last statement applied, whatever state it left: what `over` must name.
    pub last: Option<StatementId>,
    /// Grants that ended here, the oldest first: what is owed for them is computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// What the standing grant or attestation says; none after a closing act other than pause and dispute.
    pub grant: Option<Terms>,
    /// Index of that statement.
    pub index: LeafIndex,
    /// `at` of the statement that brought the state.
    pub since: Timestamp,
    /// Where it stands, expiry not counted: see [`Slot::now`].
    pub state: State,
    /// Of an objection to `*` that stands: its first statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
    /// All parties that ever carried a signal here, in order of names.
    pub carriers: Vec<PartyId>,
    /// When she last disputed: what was reported as paid until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<Timestamp>,
    /// Who carried the last statement applied, if it was a signal.
    pub carried_by: Option<PartyId>,
    /// The earliest opening act since the slot was last closed behind which no guardian stood.
    ///
    /// If the person was a minor then, the slot permits nothing. Reading: a grant, a resume and a lift
    /// of a minor count, but open nothing until a guardian makes a grant, even after she is of age.
    pub alone_since: Option<Timestamp>,
    /// What resuming brings back.
    pub paused_from: Option<State>,
    /// Until then a permit is marked: she opened it by keys that rest on a rebind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebound_until: Option<Timestamp>,
}

impl Slot {
    /// Where it stands at an instant: what holds dates is expired from the later one on.
    ///
    /// Reading: a slot has one state; a paused or disputed one past its dates is expired, too.
    #[must_use]
    pub fn now(&self, at: Timestamp) -> State {
        match self.state {
            State::Granted | State::Attested | State::Disputed | State::Paused => match &self.grant {
                Some(terms) if at < terms.fetch_until.max(terms.keep_until) => self.state,
                Some(_) | None => State::Expired,
            },
            State::None | State::Refused | State::Withdrawn | State::Objected | State::Expired => self.state,
        }
    }
}

/// An act on a slot: the columns of the table of design §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consent) enum Act {
    Grant,
    Attest,
    Refuse,
    Withdraw,
    Object,
    Lift,
    Pause,
    Resume,
    Dispute,
}

/// What an act does to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consent) enum Next {
    /// The new state.
    To(State),
    /// Back to what was paused.
    Back,
    /// Counts for `over`, changes nothing.
    Same,
    /// Not possible in this state.
    Refused,
}

/// The table of design §6, row by row. `fresh`: the slot never had a statement.
pub(in crate::consent) const fn next(now: State, act: Act, fresh: bool) -> Next {
    match now {
        State::None | State::Refused | State::Withdrawn | State::Expired => match act {
            Act::Grant => Next::To(State::Granted),
            Act::Attest if fresh => Next::To(State::Attested),
            Act::Refuse => Next::To(State::Refused),
            Act::Withdraw => Next::To(State::Withdrawn),
            Act::Object => Next::To(State::Objected),
            Act::Attest | Act::Lift | Act::Resume => Next::Refused,
            Act::Pause | Act::Dispute => Next::Same,
        },
        State::Attested => match act {
            Act::Dispute => Next::To(State::Disputed),
            Act::Pause => Next::To(State::Paused),
            Act::Grant
            | Act::Attest
            | Act::Refuse
            | Act::Withdraw
            | Act::Object
            | Act::Lift
            | Act::Resume => standing(act),
        },
        State::Granted => match act {
            Act::Pause => Next::To(State::Paused),
            Act::Grant
            | Act::Attest
            | Act::Refuse
            | Act::Withdraw
            | Act::Object
            | Act::Lift
            | Act::Resume
            | Act::Dispute => standing(act),
        },
        State::Paused => match act {
            Act::Resume => Next::Back,
            Act::Grant
            | Act::Attest
            | Act::Refuse
            | Act::Withdraw
            | Act::Object
            | Act::Lift
            | Act::Pause
            | Act::Dispute => standing(act),
        },
        State::Disputed => standing(act),
        State::Objected => match act {
            Act::Lift => Next::To(State::None),
            Act::Refuse | Act::Withdraw | Act::Object => Next::To(State::Objected),
            Act::Grant | Act::Attest | Act::Resume => Next::Refused,
            Act::Pause | Act::Dispute => Next::Same,
        },
    }
}

/// What the rows attested, disputed, granted and paused share.
const fn standing(act: Act) -> Next {
    match act {
        Act::Grant => Next::To(State::Granted),
        Act::Refuse | Act::Withdraw => Next::To(State::Withdrawn),
        Act::Object => Next::To(State::Objected),
        Act::Attest | Act::Lift | Act::Resume => Next::Refused,
        Act::Pause | Act::Dispute => Next::Same,
    }
}
