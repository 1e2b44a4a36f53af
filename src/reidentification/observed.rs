//! One use line with what only the node knows of it.

use crate::model::decision::Reason;
use crate::model::id::PartyId;
use crate::model::use_line::UseLine;
use crate::reidentification::about;

/// A person, blinded: the same name for the same person within one look, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Person(pub [u8; 16]);

/// In whose domain a ppid stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// No person was named, or nobody has that ppid.
    Nobody,
    /// Hers in the domain of the question.
    Own,
    /// Hers in the domain of this other party.
    Of(PartyId),
    /// Hers in the log's own domain, which no party is given.
    Log,
}

/// Whether a grant, a combination or a warrant joined the two parties for that person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// One did.
    Yes,
    /// None did.
    No,
    /// Her statements have changed since the line: it cannot be said any more.
    Unknown,
}

/// The asker's own signature over the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// None was kept, or it has not been looked at.
    Absent,
    /// It holds for this very line.
    Holds,
    /// It does not hold: the line counts as unsigned.
    Fails,
}

/// A line, observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What was asked and told.
    pub line: UseLine,
    /// The reason that was decided.
    pub reason: Reason,
    /// About whom.
    pub person: Option<Person>,
    /// In whose domain the ppid stands.
    pub domain: Domain,
    /// What joined asker and domain, handovers aside: those are lines.
    pub joined: Joined,
    /// Whether the asker signed.
    pub signature: Signature,
}

impl Observed {
    /// For which release or purpose.
    #[must_use]
    pub fn about(&self) -> &str {
        about(&self.line)
    }
}
