//! The head of an item: what is kept of its origin, and told in lists and archives.
//!
//! Lacks the content. Trusted: nothing that its party says of it.

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::statement::V1;
use crate::model::vocabulary::DataClass;
use crate::node::deposit::Wish;
use crate::portability::source;
use crate::portability::source::Origin;
use crate::portability::source::Over;
use crate::portability::source::OverBy;
use crate::portability::source::SealedTo;

/// What is kept of the origin of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deposited {
    pub(in crate::node) v: V1,
    /// When it was kept.
    pub at: Timestamp,
    /// Who brought it.
    pub by: PartyId,
    /// The age key of hers that original and form are encrypted to, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The controller's name of it.
    pub item: String,
    /// Entries that were sequenced then: a checkpoint of more covers it.
    pub size: TreeSize,
    /// By which rules there is a form, and of how many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<(String, u64)>,
    /// By which demand at which log it came, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Carried>,
    /// Length of the original.
    pub bytes: u64,
    /// The statement that let it in; none if a rule of the pack did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<StatementId>,
    /// Class of data.
    pub class: DataClass,
    /// Since when its content is gone, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// In whose domain.
    pub party: PartyId,
    /// SHA-256 of the original; none once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Hash>,
    /// For which purpose.
    pub purpose: String,
    /// Which categories.
    pub categories: Vec<String>,
    /// What the bytes are, as the party said it.
    pub media_type: String,
}

/// By which demand at which log something came: its party is the sender as that log names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Carried {
    /// Origin of the log.
    pub log: String,
    /// Number of the run.
    pub run: u64,
    /// K-MyData scope.
    pub scope: String,
    /// Its `transfer.demand`.
    pub demand: StatementId,
    /// The demand lets the recipient keep it so long.
    pub keep_until: Timestamp,
}

impl Deposited {
    /// Its origin, as lists and archives tell it.
    #[must_use]
    pub fn origin<'a>(&'a self, record: &'a str) -> Origin<'a> {
        Origin {
            record,
            party: &self.party,
            by: &self.by,
            item: &self.item,
            at: self.at,
            media_type: &self.media_type,
            bytes: self.bytes,
            sha256: self.sha256,
            purpose: &self.purpose,
            class: self.class.as_str(),
            categories: &self.categories,
            basis: self.basis.map(|id| id.to_string()),
            sealed_to: if self.key.is_some() { SealedTo::Person } else { SealedTo::Service },
            from: self.from.as_ref().map(|from| source::Carried {
                log: &from.log,
                demand: from.demand.to_string(),
                run: from.run,
                scope: &from.scope,
                keep_until: from.keep_until,
            }),
            over: self.over,
            form: self.form.as_ref().map(|(profile, items)| (profile.as_str(), *items)),
        }
    }

    /// The end of its data life, if that has come by then. What was deposited has none.
    pub(in crate::node) fn ends_by(&self, now: Timestamp) -> Option<Over> {
        let keep_until = self.from.as_ref().map(|from| from.keep_until).filter(|until| *until <= now);
        self.over.or_else(|| keep_until.map(|at| Over { at, by: OverBy::KeepUntil }))
    }

    /// Without anything that follows from its content but the length.
    pub(in crate::node) fn ended(self, over: Over) -> Self {
        Self { over: Some(over), sha256: None, form: None, ..self }
    }

    /// As it is told then: from the end of its life on as if it were destroyed already.
    pub(in crate::node) fn told_at(self, now: Timestamp) -> Self {
        match self.ends_by(now) {
            Some(over) => self.ended(over),
            None => self,
        }
    }

    /// Whether a wish brings the same.
    pub(in crate::node::deposit) fn is_same(&self, wish: &Wish, sha256: &Hash) -> bool {
        self.is(&wish.media_type, sha256)
    }

    /// Whether it is these bytes of that media type.
    pub(in crate::node) fn is(&self, media_type: &str, sha256: &Hash) -> bool {
        self.sha256.as_ref() == Some(sha256) && self.media_type == media_type
    }
}
