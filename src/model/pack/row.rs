//! The lines of a pack, as they stand in its file.
//!
//! Every line that decides something has `id`, `ko`, `en`, `source` and
//! `confidence`; unknown keys are refused with their line.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use crate::model::decision::Reason;
use crate::model::id::Timestamp;
use crate::model::terms::Word;
use crate::model::vocabulary::{Action, DataClass, Role};

/// How well a line is grounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// The words of a statute in force at the pack's time.
    Statute,
    /// The words of the policy the pack is named after.
    PolicySource,
    /// Our reading of either: what a general word is taken to mean.
    Reading,
    /// Believed, not checked against the document: printed as such.
    Unconfirmed,
}

/// Declares one kind of line: what every line has, then its own fields.
macro_rules! line {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            /// Its stable id, quoted in decisions and claims.
            pub id: Word,
            /// What it says, Korean.
            pub ko: String,
            /// What it says, English.
            pub en: String,
            /// Where it comes from.
            pub source: String,
            /// How well it is grounded.
            pub confidence: Confidence,
            $($(#[$fmeta])* pub $field: $ty,)*
        }

        impl Line for $name {
            fn id(&self) -> &Word {
                &self.id
            }
            fn texts(&self) -> (&str, &str) {
                (&self.ko, &self.en)
            }
            fn source(&self) -> &str {
                &self.source
            }
            fn confidence(&self) -> Confidence {
                self.confidence
            }
        }
    };
}

/// What every line of a pack has.
pub trait Line {
    /// Its stable id, quoted in decisions and claims.
    fn id(&self) -> &Word;
    /// What it says: Korean, English.
    fn texts(&self) -> (&str, &str);
    /// Where it comes from.
    fn source(&self) -> &str;
    /// How well it is grounded.
    fn confidence(&self) -> Confidence;
}

/// What the pack is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Header {
    /// Name, as decisions quote it: `kcern-2018`.
    pub name: Word,
    /// Version, from 1.
    pub version: u32,
    /// Title, Korean.
    pub title_ko: String,
    /// Title, English.
    pub title_en: String,
    /// Where it applies, ISO 3166-1 alpha-2: by establishment of the party or record of the person.
    pub jurisdiction: String,
    /// Its law is of force from here.
    #[serde(deserialize_with = "instant")]
    pub valid_from: Timestamp,
    /// No longer from here; absent: open.
    #[serde(default, deserialize_with = "instant_maybe")]
    pub valid_until: Option<Timestamp>,
    /// What kind of rules these are.
    pub status: Status,
    /// How long an answer may be kept by the asker, s.
    pub valid_for_s: u32,
    /// Classes whose use line must be synced before the answer leaves.
    #[serde(default)]
    pub synced: Vec<DataClass>,
    /// The document the pack is made from.
    pub source: String,
    /// How well the pack as a whole is grounded.
    pub confidence: Confidence,
}

/// What kind of rules a pack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A policy, chosen by whoever runs the ledger; no statute.
    Policy,
    /// Law in force in its jurisdiction.
    Law,
    /// A bill, for replays.
    Proposal,
    /// Test data; loads only by name.
    Fixture,
}

/// What holds while nothing is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultMode {
    /// Denied until the person grants.
    OptIn,
    /// Allowed until the person objects.
    OptOut,
}

line! {
    /// What holds for a class while nothing is recorded.
    DefaultRule {
        /// For which class.
        class: DataClass,
        /// Which way.
        mode: DefaultMode,
        /// What an opt-out default allows without a grant; empty for opt-in.
        #[serde(default)]
        allows: Vec<Action>,
    }
}

line! {
    /// What a grant in a class must say to be taken.
    Demands {
        /// For which class.
        class: DataClass,
        /// Whether a person's grant is possible at all.
        grantable: bool,
        /// Whether at least one recipient must be named.
        named_recipients: bool,
        /// Whether the grant must end: then `keep-until` is at most `max-term` after it.
        end_date: bool,
        /// Longest a grant may run. Needed by `end-date`.
        #[serde(default)]
        max_term: Option<Span>,
        /// Whether a recipient may pass the data on under the same grant.
        onward_sharing: bool,
        /// Actions that must be the only one of their grant.
        #[serde(default)]
        alone_actions: Vec<Action>,
    }
}

impl Demands {
    /// Whether `action` must be the only one of its grant.
    #[must_use]
    pub fn is_alone(&self, action: Action) -> bool {
        self.alone_actions.contains(&action)
    }
}

/// Something a notice must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeDemand {
    /// A responsible office and a way to reach it; of a registered party too.
    Office,
    /// For each category why it is asked.
    Reasons,
    /// With `transfer-abroad`: recipient and contact, country, items, when and how, purpose and term, how to
    /// refuse and what follows. Source: PIPA art. 28-8(2).
    Abroad,
}

line! {
    /// What a notice must say to be taken.
    NoticeRule {
        /// What.
        demands: NoticeDemand,
    }
}

/// Whether a category may be bundled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asking {
    /// With others, required or optional.
    Together,
    /// In a notice either optional or alone: she can leave it out and still get the rest.
    Separately,
}

line! {
    /// What holds for a category and all narrower ones.
    CategoryRule {
        /// Categories, short form.
        categories: Vec<Word>,
        /// How it may be asked for.
        asking: Asking,
        /// Classes in which it may stand at all.
        classes: Vec<DataClass>,
    }
}

/// What a country needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
    /// No border: the pack's own country.
    Home,
    /// Recognised as equal: the grant names the country, `transfer-abroad` is not needed.
    Adequacy,
    /// The grant has `transfer-abroad` and names the country.
    Grant,
    /// Not even a grant opens it.
    Refused,
}

line! {
    /// What sending to some countries needs.
    BorderRule {
        /// ISO 3166-1 alpha-2; `*` for all that no other line names.
        countries: Vec<Word>,
        /// What is needed.
        needs: Border,
    }
}

line! {
    /// A permit that does not rest on the person's word; claimed by a public notice, never assumed.
    Exception {
        /// Article it stands in.
        article: String,
        /// Classes it covers.
        classes: Vec<DataClass>,
        /// Purposes it covers.
        purposes: Vec<Word>,
        /// Actions it covers.
        actions: Vec<Action>,
        /// If it permits first and is justified after: within what of the use, by a `duty.justify`.
        #[serde(default)]
        justify_within: Option<Span>,
    }
}

impl Exception {
    /// Whether a use by it is justified after.
    #[must_use]
    pub const fn is_owed(&self) -> bool {
        self.justify_within.is_some()
    }

    /// Whether it covers a purpose, a class and an action.
    #[must_use]
    pub fn covers(&self, purpose: &str, class: DataClass, action: Action) -> bool {
        self.classes.contains(&class)
            && self.actions.contains(&action)
            && self.purposes.iter().any(|p| p.as_str() == purpose)
    }
}

/// What starts the clock of a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// A closing act reached the party.
    ClosingAct,
    /// An objection was recorded before a release.
    Objection,
    /// A right was claimed.
    RightRequest,
    /// A transfer was demanded.
    TransferDemand,
    /// Data came out, or a person became identifiable.
    Breach,
    /// The term of a grant ended.
    GrantEnd,
    /// Identifiable information arose in processing pseudonymised data. Source: PIPA art. 28-5(2).
    Identifiable,
}

line! {
    /// Something a party must do in time.
    Duty {
        /// Who.
        who: Role,
        /// From when.
        on: Trigger,
        /// Within what.
        within: Span,
    }
}

/// What is kept for a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Grants and the evidence of them.
    Grants,
    /// Use lines.
    UseLines,
    /// Requests nobody answered.
    UnansweredRequests,
}

impl Kept {
    /// All of them: each needs a line.
    pub const ALL: [Self; 3] = [Self::Grants, Self::UseLines, Self::UnansweredRequests];
}

line! {
    /// How long something personal is kept; then its body is destroyed.
    Term {
        /// What.
        what: Kept,
        /// How long after its end: of the grant, of the use, of the request.
        term: Span,
    }
}

line! {
    /// Who is a child before the law, and what that needs.
    Minors {
        /// A child is younger than this, years.
        age: u8,
        /// Whether a guardian must stand behind a child's grant.
        guardian: bool,
        /// Whether a notice whose grants a child may sign needs a text for children.
        child_text: bool,
    }
}

/// What a penalty takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PenaltyKind {
    /// Years.
    Imprisonment,
    /// 벌금: criminal, a sum.
    Fine,
    /// 과징금: administrative, a share of turnover or a sum.
    Surcharge,
    /// 과태료: administrative, a sum.
    AdministrativeFine,
}

line! {
    /// The most a breach can cost.
    Penalty {
        /// What was done.
        breach: Breach,
        /// To data of which classes.
        classes: Vec<DataClass>,
        /// What it takes.
        kind: PenaltyKind,
        /// At most so many years.
        #[serde(default)]
        max_years: Option<u8>,
        /// At most so much, in units of `currency`.
        #[serde(default)]
        max_amount: Option<u64>,
        /// ISO 4217.
        #[serde(default)]
        currency: Option<String>,
        /// At most so many thousandths of turnover.
        #[serde(default)]
        max_turnover_permille: Option<u32>,
        /// The base is raised to so many hundredths; 100 is the base itself.
        aggravated_percent: u32,
        /// Where it is written.
        provision: String,
        /// In force from here.
        #[serde(deserialize_with = "instant")]
        valid_from: Timestamp,
        /// No longer from here.
        #[serde(default, deserialize_with = "instant_maybe")]
        valid_until: Option<Timestamp>,
        /// Whether the figure is the policy's announcement, not a statute of its day.
        stated_by_policy_source: bool,
    }
}

impl Penalty {
    /// Whether it was in force at an instant.
    #[must_use]
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.valid_from <= at && self.valid_until.is_none_or(|until| at < until)
    }

    /// The sum after aggravation, if it takes one.
    #[must_use]
    pub fn aggravated_amount(&self) -> Option<u64> {
        self.max_amount.map(|sum| sum / 100 * u64::from(self.aggravated_percent))
    }

    /// The years after aggravation, in months, if it takes any.
    #[must_use]
    pub fn aggravated_months(&self) -> Option<u32> {
        self.max_years.map(|y| u32::from(y) * 12 * self.aggravated_percent / 100)
    }
}

/// What a penalty is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breach {
    /// Processing what the ledger denies.
    WithoutPermit,
    /// Processing in order to identify a person.
    Reidentification,
    /// Not stopping, recovering, destroying what became identifiable.
    NotStopping,
    /// Not keeping apart and safe what would identify. Source: PIPA art. 28-4(1).
    NoSafeguards,
    /// No record of processing pseudonymised data. Source: PIPA art. 28-4(3).
    NoRecord,
}

line! {
    /// A rule with nothing but its words: what decisions quote besides defaults and demands.
    Rule {}
}

/// Which rule a decision quotes for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ReasonRow {
    /// The reason.
    #[serde(deserialize_with = "reason")]
    pub(super) reason: Reason,
    /// In which classes; absent: all.
    #[serde(default)]
    pub(super) classes: Option<Vec<DataClass>>,
    /// The rule.
    pub(super) rule: Word,
}

/// A length of time: `72h`, `10d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    ms: u64,
}

impl Span {
    /// Milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// Parses `72h` or `10d`: a whole number and its unit, at most 100 years.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const HOUR_MS: u64 = 3_600_000;
        let (number, unit) = match text.strip_suffix('h') {
            Some(n) => (n, HOUR_MS),
            None => (text.strip_suffix('d')?, 24 * HOUR_MS),
        };
        let plain = number.bytes().all(|b| b.is_ascii_digit());
        let ms = plain.then(|| number.parse::<u64>().ok()).flatten()?.checked_mul(unit)?;
        (ms <= 36_525 * 24 * HOUR_MS).then_some(Self { ms })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format_args!("`{text}` is no span such as `72h` or `10d`")))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.ms / 3_600_000;
        if hours != 0 && hours.is_multiple_of(24) {
            write!(f, "{}d", hours / 24)
        } else {
            write!(f, "{hours}h")
        }
    }
}

fn reason<'de, D: Deserializer<'de>>(d: D) -> Result<Reason, D::Error> {
    let text = String::deserialize(d)?;
    Reason::ALL
        .iter()
        .copied()
        .find(|r| r.as_str() == text)
        .ok_or_else(|| de::Error::custom(format_args!("`{text}` is no reason of a decision")))
}

fn instant<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
    let written = toml::value::Datetime::deserialize(d)?;
    instant_of(&written).ok_or_else(|| {
        de::Error::custom(format_args!(
            "`{written}` is no instant such as `2018-08-31T00:00:00+09:00`, from 1970 on"
        ))
    })
}

fn instant_maybe<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    instant(d).map(Some)
}

/// An instant as packs write it, `2018-08-31T00:00:00+09:00`, from 1970 on.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    instant_of(&text.parse().ok()?)
}

/// An offset date-time as an instant. Source: days from civil, Hinnant, chrono-compatible low-level date algorithms.
fn instant_of(written: &toml::value::Datetime) -> Option<Timestamp> {
    let (date, time, offset) = (written.date?, written.time?, written.offset?);
    let (y, m, d) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let shift = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    let minutes = days * 1440 + i64::from(time.hour) * 60 + i64::from(time.minute) - shift;
    let seconds = minutes * 60 + i64::from(time.second.unwrap_or(0));
    u64::try_from(seconds * 1000).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_hours_or_days() {
        assert_eq!(Span::parse("72h").map(Span::ms), Some(259_200_000));
        assert_eq!(Span::parse("10d").map(Span::ms), Some(864_000_000));
        assert_eq!(Span::parse("10d").map(|s| s.to_string()).as_deref(), Some("10d"));
        for bad in ["", "d", "10", "-1d", "+1d", "1.5h", "10 d", "99999999999999999999d", "40000d"] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn instants_are_what_date_says() {
        for (text, ms) in [
            ("2018-08-31T00:00:00+09:00", 1_535_641_200_000),
            ("2020-08-05T00:00:00+09:00", 1_596_553_200_000),
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:34:56Z", 1_709_210_096_000),
        ] {
            assert_eq!(instant_of(&text.parse().unwrap()), Some(Timestamp(ms)), "{text}");
        }
        for bad in ["2018-08-31", "2018-08-31T00:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(instant_of(&bad.parse().unwrap()), None, "{bad}");
        }
    }
}
