//! Incidents: what use lines show or a person complains of, flagged, answered, assessed.
//!
//! An evaluation never writes to the ledger by itself: detection reads synced lines, by
//! command or once a day is over, and what it finds goes the way of all statements.
//! Each incident has a slot and a key of its own; the documents of its steps are sealed
//! beside it. Lacks: the rules of detection and the words of a dossier
//! (`reidentification`), the authority over the steps (`consent`).

mod book;
mod case;
mod detect;
mod dossier;
mod flag;
mod hers;
mod openings;
mod signed;

pub use crate::audit::case::FORMAT as CASE_FORMAT;
pub use crate::consent::Due;
pub use crate::consent::Incident;
pub use crate::node::erase::HeldBack;
pub(in crate::node) use book::Book;
pub(in crate::node) use book::incident_name;
pub use case::Case;
pub use case::Sight;
pub use dossier::Built;
pub(in crate::node) use flag::Days;
pub use flag::Flagged;
pub(in crate::node) use hers::Concern;
pub(in crate::node) use hers::Grounds;
pub use openings::MOST_OPENED;
pub use openings::Opened;
