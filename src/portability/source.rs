//! Data by source: what an archive calls the files of what a source brought, and the row that tells its origin.

use serde::Deserialize;
use serde::Serialize;
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

/// Why the content of something that was carried here is no longer kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverBy {
    /// The demand let it be kept so long and no longer.
    KeepUntil,
    /// The log told that the demand's person has closed it at the recipient.
    Closed,
}

impl OverBy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::KeepUntil, Self::Closed];

    /// Stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeepUntil => "keep-until",
            Self::Closed => "closed",
        }
    }
}

/// The end of the data life of something that was carried here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Over {
    /// From this instant on it is not kept, ms.
    pub at: Timestamp,
    /// Why.
    pub by: OverBy,
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
    /// SHA-256 of the original; none once it is over.
    pub sha256: Option<Hash>,
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
    /// Since when its content is not kept any more, if it is not: then there are no files.
    pub over: Option<Over>,
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

    /// The row of the list, without files of what is over. `at` makes a name a path; outside an
    /// archive names stay names.
    #[must_use]
    pub fn row(&self, at: &dyn Fn(&str) -> String) -> Value {
        let from = self.from.as_ref().map(|from| {
            json!({
                "log": from.log, "demand": from.demand, "run": from.run, "scope": from.scope,
                "keep_until": from.keep_until.0, "keep_until_time": instant(from.keep_until),
            })
        });
        let over = |over: Over| json!({ "at": over.at.0, "time": instant(over.at), "by": over.by.as_str() });
        let original = self.over.is_none().then(|| at(&self.original()));
        json!({
            "record": self.record, "party": self.party.as_str(), "by": self.by.as_str(), "item": self.item,
            "at": self.at.0, "time": instant(self.at), "media_type": self.media_type, "bytes": self.bytes,
            "sha256": self.sha256.map(|hash| hash.to_string()), "purpose": self.purpose, "class": self.class,
            "categories": self.categories, "basis": self.basis, "sealed_to": self.sealed_to.as_str(),
            "from": from, "over": self.over.map(over), "original": original, "form": self.form().map(|form| at(&form)),
            "profile": self.form.map(|(profile, _)| profile), "items": self.form.map(|(_, items)| items),
        })
    }
}
