//! PURE. From use lines to findings, from a finding to a dossier.
//!
//! [`findings`] reads lines with what only the node knows of them ([`Observed`]) and
//! says which of them break a rule: a ppid of another domain, a use asked for again
//! after it was refused, a question about linking that repeats. [`dossier`] words one
//! incident for a regulator: facts, evidence, the provisions of the day, a draft range,
//! what is missing, what speaks for the accused. It drafts; a regulator decides.
//!
//! **Asking is not attempting**: what was refused once is a line like others.
//! **D needs the asker's own signature**: a strength of D comes from signed lines
//! alone, so no line that the operator could have written by itself makes one; what
//! speaks for the accused counts whoever wrote it.
//!
//! Lacks: detectors that need a data set (canaries, composition, differencing,
//! enumeration, watermarks), persons' names (they come blinded), clock, keys, the log.
//! Nothing here writes anything.

pub mod detect;
pub mod dossier;
mod finding;
mod observed;
pub mod page;

pub use detect::findings;
pub use finding::DAY_MS;
pub use finding::Detector;
pub use finding::Finding;
pub use finding::MOST_LINES;
pub use finding::Noted;
pub use finding::about;
pub use finding::key_of;
pub use observed::Domain;
pub use observed::Joined;
pub use observed::Observed;
pub use observed::Person;
pub use observed::Signature;
