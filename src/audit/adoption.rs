//! What past decisions come to under a pack, as it is published with the pack's adoption.
//!
//! The report counts by rule: it names no party, no person and no decision, so that
//! anybody may read it. [`Report::agrees`] says whether it is the report of the statement that
//! names it. Lacks whether its figures are true: only whoever holds the past can decide it
//! again (`naru packs check`). Trusted: nothing; a report is bounded as attachments are.

use serde::Deserialize;
use serde::Serialize;

use crate::consent::Outcome;
use crate::consent::PackRef;
use crate::consent::Trial;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::statement::PackAdopt;
use crate::model::statement::ReplayOf;
use crate::model::statement::Replayed;

/// An answer, as the report says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Whether it permits.
    pub decision: bool,
    /// Why.
    pub reason: String,
    /// Name of the pack that decided.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The rule in it.
    pub rule: String,
}

impl From<&Outcome> for Answer {
    fn from(o: &Outcome) -> Self {
        let (reason, pack, rule) = (o.reason.as_str().to_owned(), o.pack.clone(), o.rule.clone());
        Self { decision: o.reason.permits(), reason, pack, version: o.version, rule }
    }
}

/// How often one answer becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The answer of the day.
    pub before: Answer,
    /// The answer with the candidate.
    pub after: Answer,
    /// How often.
    pub count: u64,
}

/// What a replay was of: which past, and which packs were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which past.
    pub of: ReplayOf,
    /// First instant of the span, first instant after it.
    pub span: (Timestamp, Timestamp),
    /// Entries of the log it was made over.
    pub size: TreeSize,
    /// Packs that were left out beside the candidate.
    pub instead_of: Vec<String>,
}

/// What past decisions come to under a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Name of the pack.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file.
    pub sha256: String,
    /// Which past.
    pub of: ReplayOf,
    /// First instant of the span, ms.
    pub from: u64,
    /// First instant after the span, ms.
    pub until: u64,
    /// Entries of the log it was made over.
    pub size: TreeSize,
    /// Packs that were left out beside the candidate.
    pub instead_of: Vec<String>,
    /// Decisions made again.
    pub asked: u64,
    /// Those that come out otherwise.
    pub changed: u64,
    /// Those, by rule and reason.
    pub changes: Vec<Change>,
}

impl Report {
    /// What a trial came to.
    #[must_use]
    pub fn of(pack: &PackRef, asked: Asked, trial: &Trial<'_>) -> Self {
        let by_rule = trial.by_rule();
        let changes: Vec<_> = by_rule
            .into_iter()
            .map(|((before, after), count)| Change { before: before.into(), after: after.into(), count })
            .collect();
        Self {
            pack: pack.name.clone(),
            version: pack.version,
            sha256: pack.hash.to_string(),
            of: asked.of,
            from: asked.span.0.0,
            until: asked.span.1.0,
            size: asked.size,
            instead_of: asked.instead_of,
            asked: trial.asked(),
            changed: changes.iter().map(|change| change.count).sum(),
            changes,
        }
    }

    /// The attachment: the same bytes for the same replay.
    ///
    /// # Errors
    /// None that can come of these types.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = serde_json::to_vec_pretty(self)?;
        out.push(b'\n');
        Ok(out)
    }

    /// The figure that an adoption names.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn figure(&self) -> Result<Replayed, serde_json::Error> {
        Ok(Replayed {
            of: self.of,
            from: Timestamp(self.from),
            until: Timestamp(self.until),
            size: self.size,
            instead_of: self.instead_of.clone(),
            asked: self.asked,
            changed: self.changed,
            report: Hash(hash::sha256(&[&self.bytes()?])),
        })
    }

    /// Reads an attachment.
    ///
    /// # Errors
    /// Not a report, or not the one spelling of it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let report: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let again = report.bytes().map_err(|error| error.to_string())?;
        if again == bytes { Ok(report) } else { Err("not as this log writes it".to_owned()) }
    }

    /// Whether it is the report of this adoption, and its sums are its own.
    #[must_use]
    pub fn agrees(&self, adoption: &PackAdopt) -> bool {
        let sum = self.changes.iter().try_fold(0u64, |sum, change| sum.checked_add(change.count));
        let same_pack = self.pack == adoption.pack
            && self.version == adoption.version
            && self.sha256 == adoption.hash.to_string();
        same_pack && sum == Some(self.changed) && self.figure().ok() == adoption.replay
    }
}

/// Whether an adoption's figure is what the past comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, to the byte of the report.
    True,
    /// It is not.
    False,
    /// Some of that past was destroyed since, as its terms and its people want it, and what is left contradicts
    /// nothing.
    Partly,
}

impl Verdict {
    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Partly => "partly",
        }
    }

    /// Judges a figure by the same replay made again. `whole`: nothing of that past was destroyed since.
    #[must_use]
    pub fn of(said: &Replayed, again: &Report, whole: bool) -> Self {
        if again.figure().is_ok_and(|figure| figure == *said) {
            return Self::True;
        }
        let left = (again.asked.checked_sub(again.changed), said.asked.checked_sub(said.changed));
        // Of those that changed, and of those that did not, none may be more than were said.
        let fits = again.changed <= said.changed && matches!(left, (Some(now), Some(then)) if now <= then);
        if !whole && fits && again.asked < said.asked { Self::Partly } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(asked: u64, changed: u64) -> Report {
        let answer = |reason: &str, decision| Answer {
            decision,
            reason: reason.into(),
            pack: "p".into(),
            version: 1,
            rule: "r".into(),
        };
        Report {
            pack: "p".into(),
            version: 2,
            sha256: Hash([1; 32]).to_string(),
            of: ReplayOf::Uses,
            from: 0,
            until: 9,
            size: 5,
            instead_of: Vec::new(),
            asked,
            changed,
            changes: vec![Change {
                before: answer("CONSENT_GIVEN", true),
                after: answer("CONSENT_NOT_GIVEN", false),
                count: changed,
            }],
        }
    }

    #[test]
    fn a_figure_is_true_false_or_what_is_left_of_it() {
        let said = report(10, 4).figure().unwrap();
        let judge = |asked, changed, whole| Verdict::of(&said, &report(asked, changed), whole);
        assert_eq!((judge(10, 4, true), judge(10, 4, false)), (Verdict::True, Verdict::True));
        for (asked, changed) in [(10, 3), (10, 5), (11, 4), (9, 4), (9, 3), (0, 0)] {
            assert_eq!(judge(asked, changed, true), Verdict::False, "{asked} {changed}");
        }
        // With less to be read, either kind may only be fewer.
        for (asked, changed) in [(9, 4), (9, 3), (4, 4), (6, 0), (0, 0)] {
            assert_eq!(judge(asked, changed, false), Verdict::Partly, "{asked} {changed}");
        }
        for (asked, changed) in [(10, 3), (10, 5), (11, 4), (9, 5), (9, 2)] {
            assert_eq!(judge(asked, changed, false), Verdict::False, "{asked} {changed}");
        }
    }

    #[test]
    fn a_report_has_one_spelling() {
        let bytes = report(10, 4).bytes().unwrap();
        assert_eq!(Report::parse(&bytes).unwrap(), report(10, 4));
        let other = String::from_utf8(bytes).unwrap();
        for bad in [other.replace("  ", " "), other.replace("\"asked\"", "\"more\"")] {
            assert!(Report::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
