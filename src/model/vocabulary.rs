//! Closed lists that every statement and every pack draws from.
//!
//! Purposes and categories are IRIs of the published DPV 2.3 vocabulary; which
//! ones this build knows stands in `schemas/vocabulary.toml`. This module has the
//! lists whose every member some rule has thought of.

use serde::{Deserialize, Serialize};

/// How identifiable the data is: the three classes of the "8.31" policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataClass {
    /// 실명: self-determination and asset right; opt-in.
    RealName,
    /// 가명: opt-in, limited use.
    Pseudonymous,
    /// 익명: opt-out.
    Anonymous,
}

impl DataClass {
    /// All classes, in the order of the policy source.
    pub const ALL: [Self; 3] = [Self::RealName, Self::Pseudonymous, Self::Anonymous];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RealName => "real-name",
            Self::Pseudonymous => "pseudonymous",
            Self::Anonymous => "anonymous",
        }
    }

    /// Parses the spelling on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }
}

/// What a grant can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Obtain the data.
    Collect,
    /// Use it for the purpose.
    Use,
    /// Give it to a named recipient.
    Share,
    /// Let it leave the country.
    TransferAbroad,
    /// Evaluate the person by it.
    Profile,
    /// Join it with other data of the person.
    Combine,
    /// Put it into an anonymous release.
    Anonymise,
}

impl Action {
    /// All actions a grant can name.
    pub const ALL: [Self; 7] = [
        Self::Collect,
        Self::Use,
        Self::Share,
        Self::TransferAbroad,
        Self::Profile,
        Self::Combine,
        Self::Anonymise,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Use => "use",
            Self::Share => "share",
            Self::TransferAbroad => "transfer-abroad",
            Self::Profile => "profile",
            Self::Combine => "combine",
            Self::Anonymise => "anonymise",
        }
    }

    /// Parses the spelling on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == text)
    }

    /// Whether a grant holds for this action only before `fetch-until` (else before `keep-until`).
    #[must_use]
    pub const fn ends_with_fetching(self) -> bool {
        matches!(self, Self::Collect | Self::Share | Self::TransferAbroad)
    }
}

/// What an asker may name as an action: a grantable one, or one that nothing can grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskedAction {
    /// One of the grantable actions.
    Grantable(Action),
    /// Joining data to a person: `link`.
    Link,
    /// Finding a person in two sets: `match`.
    Match,
    /// Naming the person behind the data: `reidentify`.
    Reidentify,
}

impl AskedAction {
    /// Parses what an asker wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "link" => Some(Self::Link),
            "match" => Some(Self::Match),
            "reidentify" => Some(Self::Reidentify),
            other => Action::parse(other).map(Self::Grantable),
        }
    }

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grantable(action) => action.as_str(),
            Self::Link => "link",
            Self::Match => "match",
            Self::Reidentify => "reidentify",
        }
    }
}

/// What a party is registered as. One party may hold several roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Decides what data is used for (개인정보처리자).
    Controller,
    /// Works for a controller (수탁자).
    Processor,
    /// Receives data from a controller.
    Recipient,
    /// 익명가공정보업자.
    Anonymiser,
    /// 결합전문기관.
    Combiner,
    /// Says who a person is, how old, whose guardian.
    IdentityProvider,
    /// Supervises.
    Regulator,
    /// Runs this log.
    Operator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::Controller,
        Self::Processor,
        Self::Recipient,
        Self::Anonymiser,
        Self::Combiner,
        Self::IdentityProvider,
        Self::Regulator,
        Self::Operator,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Processor => "processor",
            Self::Recipient => "recipient",
            Self::Anonymiser => "anonymiser",
            Self::Combiner => "combiner",
            Self::IdentityProvider => "identity-provider",
            Self::Regulator => "regulator",
            Self::Operator => "operator",
        }
    }

    /// Whether a registration in this role needs a regulator's endorsement.
    #[must_use]
    pub const fn needs_regulator(self) -> bool {
        matches!(self, Self::Anonymiser | Self::Combiner | Self::IdentityProvider | Self::Regulator)
    }
}
