//! PURE. What a person carries away: the archive, its manifest, its consent records.
//!
//! One zip that holds one bag (BagIt, RFC 8493), stored and not compressed, with fixed times
//! and modes, in the order in which it is written: so the same items at the same
//! checkpoint are the same bytes. The log signs the manifest, which names every
//! other file with its length and hash. A reader writes the archive again from
//! what it read and compares: no byte of the container is left unchecked.
//!
//! A page (`index.html`) shows and checks it by a double click.
//!
//! What may be many stands in lists and parcels ([`parcel`]), so the archive has few files
//! whatever it holds, and who writes or reads it needs no more memory for more.
//!
//! A later archive adds files; a reader that does not know one still checks its
//! hash. Lacks, on purpose: where items come from (`node`), what they prove
//! (`audit`), encryption. Trusted: nothing that is read.

mod archive;
mod complaint;
mod complete;
pub mod import;
mod incident;
mod linked;
mod manifest;
mod page;
pub mod parcel;
pub mod pull;
mod read;
mod record;
mod rows;
mod said;
pub mod source;
mod table;
mod time;
pub mod transfer;
mod usage;
mod window;
mod zip;

pub use archive::Archive;
pub use complaint::COMPLAINT_FILES;
pub use complaint::COMPLAINTS;
pub use complaint::COMPLAINTS_CSV;
pub use complaint::ComplaintRow;
pub use complaint::ComplaintStep;
pub use complaint::complaint_path;
pub use complaint::complaint_receipt;
pub use complaint::complaint_row;
pub use complete::Completeness;
pub use complete::Item;
pub use complete::ItemKind;
pub use complete::Law;
pub use complete::Reason;
pub use complete::Withheld;
pub use complete::destroyed;
pub use incident::IncidentRow;
pub use incident::IncidentStep;
pub use incident::incident_row;
pub use linked::Linked;
pub use manifest::Head;
pub use manifest::Listed;
pub use read::Bag;
pub use read::Seen;
pub use read::Source;
pub use read::Wanted;
pub use record::Event;
pub use record::Party;
pub use record::Record;
pub use record::Records;
pub use record::Terms;
pub use record::event_state;
pub use record::moved;
pub use said::statement_row;
pub use table::Table;
pub use time::duration;
pub use time::instant;
pub use usage::use_row;

use crate::ledger::cbor;
use crate::ledger::cose;

/// Path of the signed manifest: the last file but one.
pub const MANIFEST: &str = "manifest.cose";
/// Path of the same as a script for the page: the last file.
pub const MANIFEST_JS: &str = "manifest.js";
/// Path of the checkpoint note.
pub const CHECKPOINT: &str = "data/checkpoint.txt";
/// Path of the consent records.
pub const CONSENTS: &str = "data/consents.json";
/// Path of the consent records as a table.
pub const CONSENTS_CSV: &str = "data/consents.csv";
/// Path of the consent records in the Data Privacy Vocabulary.
pub const CONSENTS_LD: &str = "data/consents.jsonld";
/// Folder of her statements: lists, and parcels of evidence and receipts.
pub const STATEMENTS: &str = "data/statements/";
/// Folder of the use lines: lists, and parcels of evidence.
pub const USES: &str = "data/uses/";
/// Path of the use lines as a table: the first [`TABLE_ROWS`] of them.
pub const USES_CSV: &str = "data/uses.csv";
/// Most rows of one table of use lines: what a spreadsheet opens at ease.
pub const TABLE_ROWS: u64 = 50_000;
/// Path of the incidents that concern her.
pub const INCIDENTS: &str = "data/incidents.json";
/// Path of her transfer demands and their steps.
pub const TRANSFERS: &str = "data/transfers.json";
/// Path of what is owed to her since grants ended.
pub const DUTIES: &str = "data/duties.json";
/// Path of the rights she claimed and their answers.
pub const RIGHTS: &str = "data/rights.json";
/// Path of what was promised, used and reported as paid.
pub const VALUE: &str = "data/value.json";
/// Path of the exceptions claimed on her data.
pub const EXCEPTIONS: &str = "data/exceptions.json";
/// Path of who knows her, and by which ppid.
pub const PARTIES: &str = "data/parties.json";
/// Path of the list of what is inside and what is not.
pub const COMPLETENESS: &str = "data/completeness.json";
/// Most bytes of a file that is read as a whole.
pub const MAX_FILE: u64 = 64 << 20;

/// Whether a path is a tag file of the bag, or the page's: what they say is said by the files below `data/`.
#[must_use]
pub fn is_around(path: &str) -> bool {
    path.starts_with("view/")
        || ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", page::INDEX]
            .contains(&path)
}

/// Path of the table of use lines with a number, from 1 on.
#[must_use]
pub fn uses_csv_path(number: u64) -> String {
    if number <= 1 { USES_CSV.to_owned() } else { format!("data/uses-{number:06}.csv") }
}

/// Whether a path is that of a table of use lines.
#[must_use]
pub fn is_uses_csv(path: &str) -> bool {
    path == USES_CSV || (path.starts_with("data/uses-") && path.ends_with(".csv"))
}

/// Name of the evidence of the statement at an index, in its parcel.
#[must_use]
pub fn evidence_name(index: u64) -> String {
    format!("{index:012}.cbor")
}

/// Name of the receipt of the statement at an index, in its parcel.
#[must_use]
pub fn receipt_name(index: u64) -> String {
    format!("{index:012}.cose")
}

/// Name of the evidence of a decision, in its parcel.
#[must_use]
pub fn use_name(decision: &str) -> String {
    format!("{decision}.cbor")
}

/// Why an archive cannot be written, or is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Where it goes, or where it comes from, failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No whole zip file of the kind this module writes.
    #[error("not a whole archive: {0}")]
    Zip(#[from] ::zip::result::ZipError),
    /// The manifest is not admitted CBOR, or of another shape.
    #[error("the manifest: {0}")]
    Cbor(#[from] cbor::Error),
    /// The manifest is not the log's.
    #[error("the manifest: {0}")]
    Cose(#[from] cose::Error),
    /// A JSON file cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] csv::Error),
    /// No path of an archive: not ASCII, absolute, upwards, or there twice.
    #[error("`{path}` is no path of an archive, or is there twice")]
    Path {
        /// The path.
        path: String,
    },
    /// A file that the manifest names is not there, or is another one.
    #[error("`{path}` is not what the manifest says")]
    File {
        /// The path.
        path: String,
    },
    /// Files beyond the manifest, or in another order.
    #[error("the archive does not hold exactly the files of the manifest, in its order")]
    Files,
    /// The files are right, and the bytes around them are not.
    #[error("the bytes around the files are not as the log wrote them")]
    Container,
    /// A file is larger than it may be.
    #[error("`{path}` is too large")]
    TooLarge {
        /// The path.
        path: String,
    },
}
