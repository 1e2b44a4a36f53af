//! Data by source: what an archive calls the files of what a source brought, and the row that tells its origin.

use serde_json::Value;
use serde_json::json;

use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::portability::import::Media;
use crate::portability::time::instant;

/// Folder of what sources brought: below it one of each party, with its lists and parcels.
pub const BY_SOURCE: &str = "data/by-source/";

/// Folder of what one party brought.
#[must_use]
pub fn folder_of(party: &PartyId) -> String {
    format!("{BY_SOURCE}{party}/")
}

/// Who can read what a source brought, where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedTo {
    /// Whoever has the key the service keeps for her: the service itself, too.
    Service,
    /// Whoever has the private half of the age key she named: the service has not.
    Person,
}

impl SealedTo {
    /// Stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Person => "person",
        }
    }
}

/// Where something that was brought came from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// Its name among hers: 32 hex digits.
    pub record: &'a str,
    /// In whose domain.
    pub party: &'a PartyId,
    /// Who brought it: the party, or a processor of its.
    pub by: &'a PartyId,
    /// The party's own name of it.
    pub item: &'a str,
    /// When, ms.
    pub at: Timestamp,
    /// Its media type, as the party said it.
    pub media_type: &'a str,
    /// Length of the original.
    pub bytes: u64,
    /// SHA-256 of the original.
    pub sha256: Hash,
    /// For which purpose, and on which class and categories of data it was let in.
    pub purpose: &'a str,
    /// Class of data.
    pub class: &'static str,
    /// Categories of data.
    pub categories: &'a [String],
    /// The statement that let it in; none if a rule of the pack did.
    pub basis: Option<String>,
    /// Who can read it.
    pub sealed_to: SealedTo,
    /// By which demand at which log it came, if it did: the party is then the sender, as that log names it.
    pub from: Option<Carried<'a>>,
    /// By which rules there is a form beside it, if there is one, and of how many items.
    pub form: Option<(&'a str, u64)>,
}

/// A demand at another log, and the run of it that brought something.
#[derive(Clone, Debug)]
pub struct Carried<'a> {
    /// Origin of the log.
    pub log: &'a str,
    /// The `transfer.demand`.
    pub demand: String,
    /// Number of the run.
    pub run: u64,
    /// K-MyData scope.
    pub scope: &'a str,
    /// The demand lets the recipient keep it so long.
    pub keep_until: Timestamp,
}

impl Origin<'_> {
    /// Name of the original in its parcel.
    #[must_use]
    pub fn original(&self) -> String {
        let ending = Media::parse(self.media_type).map_or("bin", Media::ending);
        self.name(&format!("original.{ending}"))
    }

    /// Name of the form beside it.
    #[must_use]
    pub fn form(&self) -> Option<String> {
        self.form.map(|_| self.name("form.json"))
    }

    fn name(&self, what: &str) -> String {
        let sealed = match self.sealed_to {
            SealedTo::Service => "",
            SealedTo::Person => ".age",
        };
        format!("{}.{what}{sealed}", self.record)
    }

    /// The row of the list. `at` makes a name a path; outside an archive names stay names.
    #[must_use]
    pub fn row(&self, at: &dyn Fn(&str) -> String) -> Value {
        let from = self.from.as_ref().map(|from| {
            json!({
                "log": from.log, "demand": from.demand, "run": from.run, "scope": from.scope,
                "keep_until": from.keep_until.0, "keep_until_time": instant(from.keep_until),
            })
        });
        json!({
            "record": self.record, "party": self.party.as_str(), "by": self.by.as_str(), "item": self.item,
            "at": self.at.0, "time": instant(self.at), "media_type": self.media_type, "bytes": self.bytes,
            "sha256": self.sha256.to_string(), "purpose": self.purpose, "class": self.class,
            "categories": self.categories, "basis": self.basis, "sealed_to": self.sealed_to.as_str(),
            "from": from,
            "original": at(&self.original()), "form": self.form().map(|form| at(&form)),
            "profile": self.form.map(|(profile, _)| profile), "items": self.form.map(|(_, items)| items),
        })
    }
}
