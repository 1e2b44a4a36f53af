//! A real population: one citizen a row of UCI Adult, choices drawn from her attributes.
//!
//! The rule, in words, is [`RULE`]; it stands in the summary, too. It reads ten of
//! the fifteen columns. Nobody in Adult is under 17, so there is no minor among
//! them: the story's children are drawn apart. No attribute reaches the log: a row
//! only decides what its citizen signs.
//!
//! Trusted: nothing of the file but its shape; a row of another shape is refused
//! with its number. Source: Becker and Kohavi, Adult, UCI Machine Learning
//! Repository (1996), CC BY 4.0.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Serialize;

use crate::cli::demo::Error;
use crate::cli::demo::draw::Asked;
use crate::cli::demo::draw::Leaning;
use crate::cli::demo::offer::Offered;
use crate::ledger::hash;

/// The rule by which rows lean, in words.
pub(super) const RULE: &str = "One citizen a row of UCI Adult. Purpose by work: everybody is asked for an account at the bank; \
     self-employed and business occupations (executive, sales, technical, clerical) by the bank once more, everybody \
     else by the hospital; government workers also for the hospital's survey. Class by education and income: with a \
     bachelor's degree or more than 50K the second question is pseudonymous (bank: solvency, hospital: research), \
     otherwise real-name (bank: marketing, hospital: care). The telecom asks for the line under 40, \
     the ad network for targeted advertising under 30; the anonymiser asks about 300 of a thousand rows of more than \
     50K. Of a thousand, 900 grant the account, 850 the line, 500 the survey, 100 the advertising, and 400 and 25 for \
     every year of education the second purpose. Withdrawals of a thousand grants by age: 350 under 25, \
     250 under 40, 150 under 60, 80 from 60; half as many pauses. Objections of a thousand persons by marital status: \
     60 married, 120 never married, 150 widowed, 200 divorced or separated; to everything the ad network does 350 of a \
     thousand it asks. Older consents on paper: 100 of a thousand \
     from 50 on, 30 below. Browser signals: 60 of a thousand from 45 hours of work a week, 30 below. An unknown value \
     (?) of work class, occupation or country is a category she leaves out of every grant. Minors: none, the youngest \
     row is 17. Not read: fnlwgt, relationship, race, sex, capital gain and loss.";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Figures {
    /// Rows, one citizen each.
    rows: u64,
    /// SHA-256 of the plain text.
    sha256: String,
    /// Youngest age.
    youngest: u8,
    /// Values `?`, by column.
    unknown: BTreeMap<&'static str, u64>,
    /// How many were asked for what.
    asked: BTreeMap<&'static str, u64>,
}

/// Columns of a row that the rule reads.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row<'a> {
    age: u8,
    workclass: &'a str,
    schooling: u8,
    marital: &'a str,
    occupation: &'a str,
    hours: u8,
    country: &'a str,
    income: &'a str,
}

/// Reads a population, plain or gzip.
pub(super) fn read(path: &Path) -> Result<(Vec<Leaning>, Figures), Error> {
    let bytes = fs::read(path).map_err(Error::at(path))?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(Error::at(path))?;
        plain
    } else {
        bytes
    };
    parse(&text)
}

fn parse(text: &[u8]) -> Result<(Vec<Leaning>, Figures), Error> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).flexible(true).from_reader(text);
    let mut leanings = Vec::new();
    let mut figures = Figures { youngest: u8::MAX, ..Figures::default() };
    let digest = hash::sha256(&[text]);
    figures.sha256 = digest.iter().map(|b| format!("{b:02x}")).collect();
    for (number, record) in (1u64..).zip(reader.records()) {
        let record = record.map_err(|cause| Error::Csv { row: number, cause })?;
        // The file of 1996 ends in an empty line.
        if record.len() == 1 && record.get(0).is_some_and(str::is_empty) {
            continue;
        }
        let row = Row::of(&record).ok_or(Error::Row { row: number })?;
        figures.count(&row);
        let leaning = row.leaning();
        for asked in &leaning.asked {
            *figures.asked.entry(asked.offered.offer().purpose).or_default() += 1;
        }
        leanings.push(leaning);
    }
    Ok((leanings, figures))
}

impl Figures {
    fn count(&mut self, row: &Row<'_>) {
        self.rows += 1;
        self.youngest = self.youngest.min(row.age);
        for (column, value) in
            [("workclass", row.workclass), ("occupation", row.occupation), ("native-country", row.country)]
        {
            if value == UNKNOWN {
                *self.unknown.entry(column).or_default() += 1;
            }
        }
    }
}

impl<'a> Row<'a> {
    fn of(record: &'a csv::StringRecord) -> Option<Self> {
        if record.len() != 15 {
            return None;
        }
        let row = Self {
            age: record.get(0)?.parse().ok()?,
            workclass: record.get(1)?,
            schooling: record.get(4)?.parse().ok()?,
            marital: record.get(5)?,
            occupation: record.get(6)?,
            hours: record.get(12)?.parse().ok()?,
            country: record.get(13)?,
            income: record.get(14)?,
        };
        matches!(row.income, "<=50K" | ">50K").then_some(row)
    }

    fn leaning(&self) -> Leaning {
        let withdraws = match self.age {
            0..25 => 350,
            25..40 => 250,
            40..60 => 150,
            60.. => 80,
        };
        let objects = match self.marital {
            "Never-married" => 120,
            "Widowed" => 150,
            "Divorced" | "Separated" => 200,
            _ => 60,
        };
        Leaning {
            asked: self.asked(),
            withdraws,
            pauses: withdraws / 2,
            objects,
            attested: if self.age >= 50 { 100 } else { 30 },
            shuns: if self.age < ADS_UNTIL { 350 } else { 0 },
            released: if self.income == ">50K" { 300 } else { 0 },
            signals: if self.hours >= 45 { 60 } else { 30 },
            joins_before: 300,
        }
    }

    fn asked(&self) -> Vec<Asked> {
        let mut asked = vec![self.ask(Offered::Account, 900)];
        let business = self.workclass.starts_with("Self-emp")
            || matches!(self.occupation, "Exec-managerial" | "Sales" | "Tech-support" | "Adm-clerical");
        let pseudonymous = self.schooling >= BACHELOR || self.income == ">50K";
        let second = match (business, pseudonymous) {
            (true, true) => Offered::Solvency,
            (true, false) => Offered::Marketing,
            (false, true) => Offered::Research,
            (false, false) => Offered::Care,
        };
        asked.push(self.ask(second, 400 + 25 * u16::from(self.schooling.min(16))));
        if self.workclass.ends_with("-gov") {
            asked.push(self.ask(Offered::Survey, 500));
        }
        if self.age < LINE_UNTIL {
            asked.push(self.ask(Offered::Line, 850));
        }
        if self.age < ADS_UNTIL {
            asked.push(self.ask(Offered::Targeted, 100));
        }
        asked
    }

    /// The question, without the optional categories whose value is unknown.
    fn ask(&self, offered: Offered, grants: u16) -> Asked {
        let unknown = |category: &str| match category {
            "pd:CurrentEmployment" => self.workclass == UNKNOWN,
            "pd:Job" => self.occupation == UNKNOWN,
            "pd:Nationality" => self.country == UNKNOWN,
            _ => false,
        };
        let optional = offered.offer().optional.iter().enumerate();
        let has = optional.filter(|(_, (c, _))| !unknown(c)).fold(0u8, |has, (bit, _)| has | 1 << bit);
        Asked { offered, grants, has }
    }
}

/// How the file writes what nobody knows.
const UNKNOWN: &str = "?";
/// `education-num` of a bachelor's degree.
const BACHELOR: u8 = 13;
/// Below this age the telecom asks for the line.
const LINE_UNTIL: u8 = 40;
/// Below this age the ad network asks for advertising.
const ADS_UNTIL: u8 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "\
39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, United-States, <=50K
62, ?, 1, HS-grad, 9, Widowed, ?, Not-in-family, White, Female, 0, 0, 50, ?, <=50K
";

    #[test]
    fn a_row_decides_what_is_asked() {
        let (leanings, figures) = parse(ROWS.as_bytes()).unwrap();
        assert_eq!(figures.rows, 2);
        assert_eq!(figures.youngest, 39);
        assert_eq!(figures.unknown.values().sum::<u64>(), 3);
        let offered = |n: usize| leanings[n].asked.iter().map(|a| a.offered).collect::<Vec<_>>();
        assert_eq!(offered(0), [Offered::Account, Offered::Solvency, Offered::Survey, Offered::Line]);
        assert_eq!(offered(1), [Offered::Account, Offered::Care]);
        assert_eq!((leanings[0].withdraws, leanings[1].withdraws), (250, 80));
        assert_eq!((leanings[0].objects, leanings[1].objects), (120, 150));
        assert_eq!((leanings[0].shuns, leanings[0].released), (0, 0));
    }

    #[test]
    fn an_unknown_value_is_a_category_left_out() {
        let (leanings, _) = parse(ROWS.as_bytes()).unwrap();
        let has = |n: usize| leanings[n].asked[0].offered.offer().categories(leanings[n].asked[0].has);
        assert_eq!(has(0), ["pd:BankAccount", "pd:Income", "pd:CurrentEmployment", "pd:Nationality"]);
        assert_eq!(has(1), ["pd:BankAccount", "pd:Income"]);
    }

    #[test]
    fn another_shape_is_refused_with_its_row() {
        let bad = format!("{ROWS}17, Private\n");
        assert!(matches!(parse(bad.as_bytes()), Err(Error::Row { row: 3 })));
    }
}
