//! Questions and answers of the permission check, and why a statement has no effect.
//!
//! Denial is a value, never an error. All lists here are closed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::id::{PartyId, StatementId, Timestamp};
use crate::model::statement::Limits;
use crate::model::vocabulary::{AskedAction, DataClass};

/// One question about one person, as the asker put it. Time, pack and law are the node's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose domain the question stands in.
    pub controller: PartyId,
    /// What would be done.
    pub action: AskedAction,
    /// For which purpose, a DPV IRI.
    pub purpose: String,
    /// On which class of data.
    pub class: DataClass,
    /// On which categories; empty asks for the grant as a whole.
    pub categories: Vec<String>,
    /// To whom, for `share` and `transfer-abroad`.
    pub recipient: Option<PartyId>,
    /// Where, ISO 3166-1 alpha-2; `None` means where the party is established.
    pub jurisdiction: Option<String>,
    /// Name of the use, for grants with a limit.
    pub use_id: Option<String>,
}

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Why a check was answered as it was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$meta])* $name,)* }

        impl Reason {
            /// All reasons; permits first.
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
    };
}

reasons! {
    /// The person granted it.
    ConsentGiven = "CONSENT_GIVEN",
    /// The controller attested an older consent.
    ConsentAttested = "CONSENT_ATTESTED",
    /// Anonymous class, no objection.
    OptOutDefaultAllow = "OPT_OUT_DEFAULT_ALLOW",
    /// A statutory exception claimed by a public notice.
    StatutoryException = "STATUTORY_EXCEPTION",
    /// There is no consent.
    ConsentNotGiven = "CONSENT_NOT_GIVEN",
    /// The person disputes the attested consent.
    ConsentDisputed = "CONSENT_DISPUTED",
    /// The person refused.
    ConsentRefused = "CONSENT_REFUSED",
    /// The person withdrew.
    ConsentWithdrawn = "CONSENT_WITHDRAWN",
    /// The grant has ended.
    ConsentExpired = "CONSENT_EXPIRED",
    /// The grant is paused.
    ConsentPaused = "CONSENT_PAUSED",
    /// A standing objection.
    Objected = "OBJECTED",
    /// The purpose is in no notice of the controller.
    PurposeMismatch = "PURPOSE_MISMATCH",
    /// The grant does not name the recipient.
    RecipientMismatch = "RECIPIENT_MISMATCH",
    /// The grant does not cover a category.
    CategoryNotCovered = "CATEGORY_NOT_COVERED",
    /// The grant does not cover the action.
    ActionNotCovered = "ACTION_NOT_COVERED",
    /// The class is not the one the notice declares, or a release is asked about.
    ClassNotEstablished = "CLASS_NOT_ESTABLISHED",
    /// The grant does not cover the country.
    CrossBorderNotCovered = "CROSS_BORDER_NOT_COVERED",
    /// The limit of use is reached.
    UsageLimitReached = "USAGE_LIMIT_REACHED",
    /// The grant has a limit and the question names no use.
    UseIdRequired = "USE_ID_REQUIRED",
    /// A minor, and no guardian stands behind it.
    MinorWithoutGuardian = "MINOR_WITHOUT_GUARDIAN",
    /// Linking, matching or re-identifying cannot be granted.
    ReidentificationBlocked = "REIDENTIFICATION_BLOCKED",
    /// The purpose is only in retired notices.
    NoticeRetired = "NOTICE_RETIRED",
    /// The asker is suspended.
    PartySuspended = "PARTY_SUSPENDED",
    /// The ppid names nobody in this domain.
    SubjectUnknown = "SUBJECT_UNKNOWN",
    /// The node cannot vouch for its state.
    LogUnavailable = "LOG_UNAVAILABLE",
}

impl Reason {
    /// Whether the answer is yes.
    #[must_use]
    pub const fn permits(self) -> bool {
        matches!(
            self,
            Self::ConsentGiven | Self::ConsentAttested | Self::OptOutDefaultAllow | Self::StatutoryException
        )
    }

    /// Whether the reason is of the asker and the question, told to anybody as it is.
    #[must_use]
    pub const fn is_of_the_question(self) -> bool {
        matches!(
            self,
            Self::LogUnavailable
                | Self::PartySuspended
                | Self::ReidentificationBlocked
                | Self::PurposeMismatch
                | Self::NoticeRetired
                | Self::ClassNotEstablished
        )
    }
}

/// The answer of the fold and a pack to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why.
    pub reason: Reason,
    /// Name of the pack that decided.
    pub pack: Arc<str>,
    /// Its version.
    pub version: u32,
    /// The rule in it.
    pub rule: Arc<str>,
    /// The grant or attestation a permit rests on.
    pub basis: Option<StatementId>,
    /// The permit ends here.
    pub until: Option<Timestamp>,
    /// The permit rests on keys that an identity provider and the operator have bound anew: so marked until then.
    pub rebound_until: Option<Timestamp>,
    /// Whether the asker's domain has a statement of this person: only then is a denial told exactly.
    pub acquainted: bool,
    /// The permit that a named use of a limited grant may become: `reason` denies until it is counted.
    pub counting: Option<Box<Counting>>,
}

impl Decision {
    /// A denial for which no pack was asked.
    #[must_use]
    pub fn of_no_pack(reason: Reason) -> Self {
        Self {
            reason,
            pack: "none".into(),
            version: 0,
            rule: "none".into(),
            basis: None,
            until: None,
            rebound_until: None,
            acquainted: false,
            counting: None,
        }
    }
}

/// A permit under a count or frequency limit, not yet counted. Source: design §6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counting {
    /// The permit.
    pub permit: Reason,
    /// Its rule.
    pub rule: Arc<str>,
    /// The grant whose uses are counted.
    pub grant: StatementId,
    /// The permit ends here.
    pub until: Timestamp,
    /// The grant ends here: names of its uses are kept until then.
    pub kept_until: Timestamp,
    /// The limits.
    pub limits: Limits,
}

impl Decision {
    /// Whether the answer is yes.
    #[must_use]
    pub const fn permits(&self) -> bool {
        self.reason.permits()
    }

    /// Whether it is permitted by an exception alone.
    #[must_use]
    pub fn is_exception(&self) -> bool {
        self.reason == Reason::StatutoryException
    }

    /// The reason as told to the asker: exact for permits, for reasons of the question, and to a party
    /// that has a statement of this person; else `CONSENT_NOT_GIVEN`.
    #[must_use]
    pub const fn told(&self) -> Reason {
        if self.acquainted || self.permits() || self.reason.is_of_the_question() {
            self.reason
        } else {
            Reason::ConsentNotGiven
        }
    }
}

macro_rules! whys {
    ($($(#[$meta:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Why a recorded statement has no effect, or a submitted one is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Why { $($(#[$meta])* $name,)* }

        impl Why {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Stable code of the problem.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

whys! {
    /// The signer's role does not sign this type.
    Role = "role",
    /// The key is in no key set that may sign this.
    KeyNotInSet = "key-not-in-set",
    /// The key was revoked before this index.
    KeyRevoked = "key-revoked",
    /// The key already stands somewhere.
    KeyTaken = "key-taken",
    /// The ppid names another person.
    NotThisSubject = "not-this-subject",
    /// The delegation has ended, or never was in force.
    DelegationEnded = "delegation-ended",
    /// The delegation does not cover this act.
    DelegationScope = "delegation-scope",
    /// No attestation makes the signer a guardian.
    NotGuardian = "not-guardian",
    /// The notice is retired.
    NoticeRetired = "notice-retired",
    /// There is no such notice, or it does not say this.
    NoticeMismatch = "notice-mismatch",
    /// The notice, or a registration, does not say all it must.
    NoticeIncomplete = "notice-incomplete",
    /// A required category of the notice is missing.
    RequiredCategory = "required-category",
    /// The party is suspended.
    PartySuspended = "party-suspended",
    /// There is no such party.
    PartyUnknown = "party-unknown",
    /// The name stands already.
    NameTaken = "name-taken",
    /// `over` is not the last statement applied to the slot.
    Superseded = "superseded",
    /// A standing objection covers the slot.
    Objected = "objected",
    /// The slot's state does not allow this act.
    State = "state",
    /// The pack in force refuses it.
    Pack = "pack",
    /// An attachment it names is not stored.
    AttachmentMissing = "attachment-missing",
    /// The purpose or category is not in the vocabulary.
    Vocabulary = "vocabulary",
    /// A needed endorsement is missing or of the wrong party.
    Endorsement = "endorsement",
    /// Two operator keys are registered, and not both have signed.
    SecondOperator = "second-operator",
    /// The service does not hold the private key that would sign from here on.
    KeyNotHeld = "key-not-held",
    /// The request it answers is not there, has ended, asks for something else, or is another person's.
    Link = "link",
    /// The numbers of a transfer's step contradict what was delivered.
    Count = "transfer-count",
    /// The receiver confirms more than was delivered.
    MoreThanDelivered = "more-than-delivered",
    /// The party owes nothing by this act or request: there is none, or it concerns others.
    NotOwed = "not-owed",
    /// Dates contradict each other.
    Dates = "dates",
    /// The replay it names cannot have come to that before it was recorded.
    Replay = "replay",
    /// It would take force at an instant that is past or too near.
    TooSoon = "too-soon",
    /// Not at index 0, or index 0 and not genesis.
    Genesis = "genesis",
    /// This build has no rules for the type yet.
    NotServed = "not-served",
}

impl Why {
    /// Whether somebody was first (409); else the signer may not (403).
    #[must_use]
    pub const fn is_conflict(self) -> bool {
        matches!(
            self,
            Self::Superseded
                | Self::Objected
                | Self::State
                | Self::NameTaken
                | Self::KeyTaken
                | Self::Count
                | Self::MoreThanDelivered
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_told_exactly_only_to_an_acquaintance() {
        let of = |reason, acquainted| Decision {
            reason,
            pack: "".into(),
            version: 1,
            rule: "".into(),
            basis: None,
            until: None,
            rebound_until: None,
            acquainted,
            counting: None,
        };
        assert_eq!(of(Reason::ConsentWithdrawn, false).told(), Reason::ConsentNotGiven);
        assert_eq!(of(Reason::ConsentWithdrawn, true).told(), Reason::ConsentWithdrawn);
        assert_eq!(of(Reason::SubjectUnknown, false).told(), Reason::ConsentNotGiven);
        assert_eq!(of(Reason::PurposeMismatch, false).told(), Reason::PurposeMismatch);
        assert_eq!(of(Reason::ConsentGiven, false).told(), Reason::ConsentGiven);
    }
}
