//! The openings that a regulator was given under one case, compared with the log that was audited.
//!
//! ```text
//! {"format": "naru-case/1", "origin", "case", "records": [{"statement", "told", "evidence"}]}
//! ```
//! For each record given: the openings make the entry, the entry stands at its index in the log, and the
//! statement is the one that was asked for, signed by whom it names. Lacks: whether its signer might (that
//! takes the whole of a person's statements), and whatever was not given. Trusted: the key and origin handed
//! in; the head, which the caller has audited.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::signed::width_at;
use crate::identity;
use crate::ledger::chain::LogKeys;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::evidence::Evidence;
use crate::ledger::tile;
use crate::ledger::tile::Path;
use crate::model::statement::Kind;

/// The format's name.
pub const FORMAT: &str = "naru-case/1";

/// A bundle as it came.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    format: String,
    origin: String,
    /// The case.
    pub case: String,
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    statement: String,
    told: String,
    evidence: Option<String>,
}

/// What a bundle came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Records whose openings hold: their index and type.
    pub opened: Vec<(u64, Kind)>,
    /// Records that were asked for and not given.
    pub withheld: u64,
    /// What is wrong: the record and why.
    pub findings: Vec<(String, String)>,
}

impl Bundle {
    /// Reads a bundle of a log.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Self, String> {
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if bundle.format != FORMAT {
            return Err(format!("it is no `{FORMAT}`"));
        }
        if bundle.origin != origin {
            return Err(format!("it is of another log, `{}`", bundle.origin));
        }
        Ok(bundle)
    }

    /// Checks every record against a log whose head was audited.
    ///
    /// # Errors
    /// [`Unread`]: the source failed.
    pub fn check(
        &self,
        source: &dyn Source,
        (keys, head): (&dyn LogKeys, &Checkpoint),
        grain_ms: Option<u64>,
    ) -> Result<Checked, Unread> {
        let mut checked = Checked::default();
        for record in &self.records {
            match &record.evidence {
                None => checked.withheld += 1,
                Some(text) => match one(record, text, (keys, head), grain_ms) {
                    Err(why) => checked.findings.push((record.statement.clone(), why)),
                    Ok((evidence, kind)) => {
                        if entry_at(source, head, evidence.index)?.as_ref() == Some(&evidence.entry) {
                            checked.opened.push((evidence.index, kind));
                        } else {
                            let why = format!("the log holds another entry at {}", evidence.index);
                            checked.findings.push((record.statement.clone(), why));
                        }
                    }
                },
            }
        }
        Ok(checked)
    }
}

/// One record by itself: openings, receipt, signatures, id.
fn one(
    record: &Record,
    text: &str,
    (keys, head): (&dyn LogKeys, &Checkpoint),
    grain_ms: Option<u64>,
) -> Result<(Evidence, Kind), String> {
    fn said(error: impl std::fmt::Display) -> String {
        error.to_string()
    }
    if record.told != "given" {
        return Err("it is given, and said not to be".into());
    }
    let evidence = Evidence::parse(&URL_SAFE_NO_PAD.decode(text).map_err(said)?).map_err(said)?;
    let opened = evidence.verify(keys, &head.origin, grain_ms).map_err(said)?;
    let item = opened.item.ok_or("it does not show who signed")?;
    let verified = identity::open(&item).map_err(said)?;
    if verified.id().to_string() != record.statement {
        return Err("it is another statement".into());
    }
    if evidence.index >= head.size {
        return Err("it is beyond the head that was audited".into());
    }
    Ok((evidence, verified.value().kind()))
}

/// The entry as the source shows it.
fn entry_at(source: &dyn Source, head: &Checkpoint, index: u64) -> Result<Option<Vec<u8>>, Unread> {
    let wide = u64::from(tile::WIDTH);
    let (number, place) = (index / wide, usize::try_from(index % wide).unwrap_or_default());
    let path = Path::Entries { index: number, width: width_at(head.size, 0, number) };
    let bytes = source.tile(path)?.unwrap_or_default();
    Ok(tile::unbundle(&bytes).unwrap_or_default().get(place).map(|entry| entry.to_vec()))
}
