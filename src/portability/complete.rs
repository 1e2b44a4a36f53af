//! What is inside, item by item, and what is not, with the reason.
//!
//! Of what may be many (statements, uses, deposits) it names the lists, each with how many it
//! names and its SHA-256: so each of them is named by a list that cannot be another.
//!
//! Both are bounded by the checkpoint: nothing here depends on what came after it,
//! so what lies beyond is named by where it begins and not counted.

use serde::Deserialize;
use serde::Serialize;

use crate::portability::parcel::Inside;

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKind {
    /// A signed statement about the person.
    Statement,
    /// A consent record: one slot.
    Consent,
    /// An answered question, a handover, an opening.
    Use,
    /// A party that knows her, with the ppid.
    Party,
    /// An exception claimed on her data.
    Exception,
    /// An incident that concerns her.
    Incident,
    /// A complaint of hers.
    Complaint,
    /// A transfer demand.
    Transfer,
    /// What a source brought.
    Deposit,
    /// What one party owes her since a grant ended.
    Duty,
    /// A right she claimed.
    Right,
    /// What one controller promised, used and paid.
    Value,
    /// A secret of the service.
    Secret,
    /// Data of another person.
    OtherPerson,
}

/// Why an item is not inside. The closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It came after the checkpoint: a later export has it.
    AfterCheckpoint,
    /// Its term is over and its body destroyed; the leaf of the log stands.
    RetentionExpired,
    /// It cannot be opened here: `naru audit` tells loss from erasure.
    NotReadable,
    /// It would let others act as her, or link her across parties.
    Security,
    /// It is another person's, or would name whom no regulator holds for guilty.
    RightsOfOthers,
    /// A regulator has not decided yet.
    UnderInvestigation,
}

/// On what a reason rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Law {
    /// The Korean Personal Information Protection Act.
    pub pipa: &'static str,
    /// The General Data Protection Regulation.
    pub gdpr: &'static str,
}

impl Reason {
    /// The provision, by law.
    ///
    /// Reading: what comes after the checkpoint is not refused; the provision is that of the answer's time.
    /// An incident is an inquiry under way until a regulator has decided it.
    #[must_use]
    pub const fn law(self) -> Law {
        match self {
            Self::AfterCheckpoint => Law { pipa: "Art. 35(3)", gdpr: "Art. 12(3)" },
            Self::RetentionExpired => Law { pipa: "Art. 21(1)", gdpr: "Art. 5(1)(e)" },
            Self::NotReadable => Law { pipa: "Art. 34(1)", gdpr: "Art. 33(1)" },
            Self::Security => Law { pipa: "Art. 29", gdpr: "Art. 32(1)" },
            Self::RightsOfOthers => Law { pipa: "Art. 35(4)2", gdpr: "Art. 15(4)" },
            Self::UnderInvestigation => Law { pipa: "Art. 35(4)3", gdpr: "Art. 23(1)(h)" },
        }
    }
}

/// One item inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its name.
    pub id: String,
    /// The file that holds it.
    pub path: String,
}

/// One item, or all from some place on, that is not inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// What it is.
    pub kind: ItemKind,
    /// Which, as far as it may be said.
    pub what: String,
    /// Why.
    pub reason: Reason,
    /// On what that rests.
    pub law: Law,
    /// How many, where a list says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
}

impl Withheld {
    /// An item and why it is not inside.
    #[must_use]
    pub fn new(kind: ItemKind, what: impl Into<String>, reason: Reason) -> Self {
        Self { kind, what: what.into(), reason, law: reason.law(), items: None }
    }

    /// So many items, each told by a list inside, and why they are not inside.
    #[must_use]
    pub fn many(kind: ItemKind, items: u64, what: impl Into<String>, reason: Reason) -> Self {
        Self { items: Some(items), ..Self::new(kind, what, reason) }
    }
}

/// How the list names a statement that is past its term: whoever checks looks for it by this.
#[must_use]
pub fn destroyed(id: &str, index: u64) -> String {
    format!("statement {id}, entry {index}")
}

/// What the list says; [`Archive::complete`](crate::portability::Archive::complete) writes it.
#[derive(Clone, Debug, Default)]
pub struct Completeness {
    /// Every item inside that no list names.
    pub exported: Vec<Item>,
    /// Every list that names items inside, in the order of the archive.
    pub lists: Vec<Inside>,
    /// Every item that is not.
    pub withheld: Vec<Withheld>,
}
