//! What a source brings, read into one small form that stands *beside* the original.
//!
//! The original is what counts: it is kept byte for byte, and whoever doubts the
//! form makes it again from it. A form drops nothing that it can hold and invents
//! nothing: no unit, no time zone and no meaning that the source did not say (but
//! where its specification says it once for all). What it cannot hold, such as
//! nested lists, is reached through the pointer of each item.
//!
//! The media type is the depositor's word, so it is held against the bytes: bytes
//! of another kind are refused, in any encoding but the one that was named too.
//! Trusted: nothing that is read. Lacks: archives in archives, XML, repair.

mod csv;
mod fhir;
mod kmydata;
mod media;

use serde::Serialize;

pub use media::Media;

/// Longest original, bytes.
pub const MAX_ORIGINAL: usize = 1 << 20;
/// Most items in one form.
pub const MAX_ITEMS: usize = 20_000;
/// Deepest nesting of JSON.
const MAX_DEPTH: usize = 64;

/// By which rules a form was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// An answer of the Korean financial MyData API about bank accounts.
    KmydataBank,
    /// The same about cards.
    KmydataCard,
    /// A Bundle of HL7 FHIR R4, in JSON.
    FhirR4,
    /// A table whose first row names the columns. Source: RFC 4180
    Csv,
}

impl Profile {
    /// Its spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KmydataBank => "kmydata-bank",
            Self::KmydataCard => "kmydata-card",
            Self::FhirR4 => "fhir-r4",
            Self::Csv => "csv",
        }
    }
}

/// What kind of thing an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An account, or what is said of one.
    Account,
    /// Money moved on an account.
    Transaction,
    /// A card.
    Card,
    /// A payment by card.
    Payment,
    /// A bill, or what is owed.
    Bill,
    /// What the answer says as a whole.
    Summary,
    /// A resource of FHIR: which is its first code.
    Resource,
    /// A row of a table.
    Row,
}

/// A number with what it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// What is counted.
    pub name: String,
    /// The digits as the source wrote them.
    pub value: String,
    /// In which unit or currency, if the source says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A term of some list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// Which list.
    pub system: String,
    /// The term.
    pub code: String,
    /// What the source calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A text under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The name.
    pub name: String,
    /// The text.
    pub text: String,
}

/// One thing the source says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// When it was: a date, a month, or an instant with its offset, as ISO 8601 writes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amounts: Vec<Amount>,
    /// Terms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<Code>,
    /// Texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Where in the original: a JSON pointer (RFC 6901), or `row:` and its number from 1.
    pub source: String,
}

impl Item {
    const fn new(kind: Kind, source: String) -> Self {
        Self { kind, when: None, amounts: Vec::new(), codes: Vec::new(), labels: Vec::new(), source }
    }
}

/// The form of one original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Form {
    /// By which rules.
    pub profile: Profile,
    /// What it says.
    pub items: Vec<Item>,
}

impl Form {
    /// As a file: JSON, UTF-8, the same bytes for the same form.
    ///
    /// # Errors
    /// None that is known: a form holds texts alone.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// Why an original is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Not one of the media types that are taken.
    #[error("the media type is none of those that are taken, or has a parameter it should not have")]
    Media,
    /// More bytes than [`MAX_ORIGINAL`].
    #[error("an item has 1 to {MAX_ORIGINAL} bytes")]
    Size,
    /// The bytes are not text in the encoding that was named.
    #[error("the bytes are not {named}: name the right `charset`, or send UTF-8")]
    Encoding {
        /// Which was named, or is meant where none is.
        named: &'static str,
    },
    /// The bytes are of another kind than the media type says.
    #[error("the bytes are not what the media type says: {what}")]
    Lies {
        /// What is missing.
        what: &'static str,
    },
    /// It nests too deeply, or says too many things.
    #[error("it nests deeper than {MAX_DEPTH} levels or holds more than {MAX_ITEMS} items")]
    TooMuch,
}

/// Checks bytes against their media type and reads them, if their kind has a form.
///
/// # Errors
/// [`Refused`].
pub fn read(media: Media, original: &[u8]) -> Result<Option<Form>, Refused> {
    if original.is_empty() || original.len() > MAX_ORIGINAL {
        return Err(Refused::Size);
    }
    let form = |profile, items: Vec<Item>| Ok(Some(Form { profile, items }));
    match media {
        Media::Bytes => Ok(None),
        Media::Pdf => media::begins(original, &[b"%PDF-"]),
        Media::Png => media::begins(original, &[b"\x89PNG\r\n\x1a\n"]),
        Media::Jpeg => media::begins(original, &[b"\xff\xd8\xff"]),
        Media::Text(charset) => media::text(original, charset).map(|_| None),
        Media::Json(None) => json(original).map(|_| None),
        Media::Json(Some(api)) => {
            let profile = match api {
                media::Api::Bank => Profile::KmydataBank,
                media::Api::Card => Profile::KmydataCard,
            };
            form(profile, kmydata::items(json(original)?, api)?)
        }
        Media::Fhir => form(Profile::FhirR4, fhir::items(json(original)?)?),
        Media::Csv(charset) => form(Profile::Csv, csv::items(&media::text(original, charset)?)?),
    }
}

/// JSON is UTF-8 (RFC 8259 section 8.1), a mark at its beginning may stand; and it does not nest too deeply.
fn json(original: &[u8]) -> Result<&str, Refused> {
    let bytes = original.strip_prefix(b"\xef\xbb\xbf").unwrap_or(original);
    let text = std::str::from_utf8(bytes).map_err(|_| Refused::Encoding { named: "UTF-8" })?;
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    if deepest > MAX_DEPTH {
        return Err(Refused::TooMuch);
    }
    let whole: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    whole.map(|_| text).map_err(|_| Refused::Lies { what: "it is no JSON" })
}

/// One reference token of a JSON pointer. Source: RFC 6901 section 3
fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Whether a text is a decimal number, as JSON writes one; K-MyData puts some in quotes.
fn is_decimal(text: &str) -> bool {
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (digits, power) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, "0"));
    text.len() <= 64 && all(whole) && all(rest) && all(power.trim_start_matches(['+', '-']))
}
