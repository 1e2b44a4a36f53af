//! Consents, uses and complaints as spreadsheets open them: CSV in UTF-8 with a BOM, lines end in CRLF.
//!
//! A rendering of `consents.json`, the lists of uses and `complaints.json`, made from their very values, so that a
//! verifier makes it again and compares. A cell that a spreadsheet would take for a formula
//! begins with an apostrophe. Source: RFC 4180; OWASP, CSV injection.
//! Lacks what does not fit a row: parties in full, the evidence.

use std::io::Write;

use csv::Terminator;
use csv::Writer;
use csv::WriterBuilder;
use serde_json::Value;

use crate::portability::Error;

/// Without it spreadsheets take the bytes for another encoding.
const BOM: &[u8] = "\u{feff}".as_bytes();
/// What makes a cell a formula where it begins with it; the wide forms count in East Asian settings.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// Head of a column, and where its cell stands in a record.
type Column = (&'static str, &'static str);

const CONSENTS: [Column; 20] = [
    ("controller 처리자", "/pii_processing/purposes/0/pii_controllers"),
    ("purpose 목적", "/pii_processing/purposes/0/purpose"),
    ("class 구분", "/ext/identifiability"),
    ("state 상태", "/ext/state"),
    ("since 시점", "/ext/since"),
    ("categories 항목", "/pii_processing/purposes/0/pii_information"),
    ("actions 처리", "/pii_processing/purposes/0/processing_method"),
    ("recipients 제공받는 자", "/pii_processing/purposes/0/recipient_third_parties"),
    ("jurisdictions 국가", "/pii_processing/purposes/0/jurisdiction"),
    ("fetch until 수집 기한", "/ext/fetch_until"),
    ("keep until 보유 기한", "/ext/keep_until"),
    ("most uses 횟수 제한", "/ext/usage_limits/count"),
    ("consideration 대가", "/ext/consideration"),
    ("controller's word 처리자의 주장", "/ext/attested"),
    ("notice 고지", "/pii_processing/privacy_notice/id"),
    ("notice SHA-256", "/pii_processing/privacy_notice/sha256"),
    ("language 언어", "/pii_processing/language"),
    ("ppid", "/record/pii_principal_id"),
    ("first statement 첫 진술", "/record/record_id"),
    ("events 경과", "/events"),
];

const USES: [Column; 22] = [
    ("time 시각", "/time"),
    ("asker 물은 자", "/asker"),
    ("controller 처리자", "/controller"),
    ("act 종류", "/act"),
    ("action 처리", "/action"),
    ("purpose 목적", "/purpose"),
    ("class 구분", "/class"),
    ("categories 항목", "/categories"),
    ("recipient 제공받는 자", "/recipient"),
    ("jurisdiction 국가", "/jurisdiction"),
    ("permitted 허용", "/decision"),
    ("told 답한 이유", "/told"),
    ("reason 실제 이유", "/reason"),
    ("pack 규정", "/pack"),
    ("version 판", "/version"),
    ("rule 조항", "/rule"),
    ("use id 이용 번호", "/use_id"),
    ("count 횟수", "/count"),
    ("rests on 근거 진술", "/basis"),
    ("ppid", "/ppid"),
    ("decision 결정", "/id"),
    ("evidence 증거", "/evidence"),
];

const COMPLAINTS: [Column; 9] = [
    ("time 시각", "/time"),
    ("party 상대", "/party"),
    ("complaint 신고 내용", "/text"),
    ("stage 단계", "/stage"),
    ("what followed 경과", "/steps"),
    ("incident 사건", "/incident"),
    ("statement 진술", "/statement"),
    ("ppid", "/ppid"),
    ("evidence 증거", "/evidence"),
];

/// One file under way.
pub struct Table<'a> {
    csv: Writer<&'a mut dyn Write>,
    columns: &'static [Column],
}

impl std::fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

impl<'a> Table<'a> {
    /// Begins the file of consent records.
    ///
    /// # Errors
    /// The writer.
    pub fn consents(out: &'a mut dyn Write) -> Result<Self, Error> {
        Self::begin(out, &CONSENTS)
    }

    /// Begins the file of uses.
    ///
    /// # Errors
    /// The writer.
    pub fn uses(out: &'a mut dyn Write) -> Result<Self, Error> {
        Self::begin(out, &USES)
    }

    /// Begins the file of complaints.
    ///
    /// # Errors
    /// The writer.
    pub fn complaints(out: &'a mut dyn Write) -> Result<Self, Error> {
        Self::begin(out, &COMPLAINTS)
    }

    fn begin(out: &'a mut dyn Write, columns: &'static [Column]) -> Result<Self, Error> {
        out.write_all(BOM)?;
        let mut csv = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        csv.write_record(columns.iter().map(|(head, _)| head))?;
        Ok(Self { csv, columns })
    }

    /// Goes on with a file of uses whose head and first rows stand already.
    pub fn more_uses(out: &'a mut dyn Write) -> Self {
        Self { csv: WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out), columns: &USES }
    }

    /// Adds a row: a record of `consents.json`, one of a list of uses, a row of `complaints.json`.
    ///
    /// # Errors
    /// The writer.
    pub fn push(&mut self, value: &Value) -> Result<(), Error> {
        let cells =
            self.columns.iter().map(|(_, path)| guarded(value.pointer(path).map_or_else(String::new, cell)));
        Ok(self.csv.write_record(cells)?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The writer.
    pub fn end(mut self) -> Result<(), Error> {
        Ok(self.csv.flush()?)
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("; "),
        // A step says when, what and by whom; an event what and when; a category is wrapped in its name.
        Value::Object(step) if step.contains_key("by") => {
            let of = |name: &str| step.get(name).map_or_else(String::new, cell);
            format!("{} {} ({})", of("time"), of("type"), of("by"))
        }
        Value::Object(_) => {
            match (value.get("event_state"), value.get("event_time"), value.get("pii_type")) {
                (Some(state), Some(time), _) => {
                    let inert = value.pointer("/ext/inert").and_then(Value::as_bool) == Some(true);
                    format!(
                        "{} {}{}",
                        cell(time),
                        cell(state),
                        if inert { " (no effect 효력 없음)" } else { "" }
                    )
                }
                (_, _, Some(category)) => cell(category),
                _ => value.to_string(),
            }
        }
    }
}

fn guarded(cell: String) -> String {
    if cell.starts_with(FORMULA) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(rows: &[Value]) -> String {
        let mut out = Vec::new();
        let mut table = Table::uses(&mut out).unwrap();
        rows.iter().for_each(|row| table.push(row).unwrap());
        table.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_cell_is_a_formula_and_no_text_leaves_its_cell() {
        for begin in FORMULA {
            let text = table(&[json!({ "purpose": format!("{begin}cmd|' /C calc'!A0") })]);
            let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
            let cell = reader.records().next().unwrap().unwrap()[5].to_owned();
            assert!(cell.starts_with('\'') && cell.ends_with("A0"), "{cell}");
        }
        let hostile = "a\",b\r\n=1+1";
        let text = table(&[json!({ "purpose": hostile, "time": "t", "categories": ["-x", "y"] })]);
        assert!(text.starts_with('\u{feff}') && text.ends_with("\r\n"));
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!((rows.len(), &rows[0][5], &rows[0][7]), (1, hostile, "'-x; y"));
    }
}
