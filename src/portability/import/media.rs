//! The media types that are taken: a closed list, each with what its bytes must show.

use std::borrow::Cow;

use encoding_rs::EUC_KR;
use encoding_rs::UTF_8;

use super::Form;
use super::Refused;

/// Longest media type, bytes.
const MAX_MEDIA: usize = 128;

/// Encodings of text that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// RFC 3629; a mark at the beginning may stand.
    Utf8,
    /// EUC-KR and its superset CP949 (Windows-949), which Korean spreadsheets still write.
    EucKr,
}

impl Charset {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::EucKr => "EUC-KR (CP949)",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|name| text.eq_ignore_ascii_case(name));
        if is(&["utf-8", "utf8"]) {
            return Some(Self::Utf8);
        }
        is(&["euc-kr", "cp949", "ms949", "windows-949", "ks_c_5601-1987"]).then_some(Self::EucKr)
    }
}

/// Whose shapes an answer of K-MyData has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Bank accounts.
    Bank,
    /// Cards.
    Card,
}

/// A media type that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/octet-stream`: anything, and nothing is known of it.
    Bytes,
    /// `application/pdf`
    Pdf,
    /// `image/png`
    Png,
    /// `image/jpeg`
    Jpeg,
    /// `text/plain`
    Text(Charset),
    /// `application/json`; an answer of K-MyData says so: `;profile=kmydata-bank`.
    Json(Option<Api>),
    /// `application/fhir+json`: a Bundle of R4.
    Fhir,
    /// `text/csv`
    Csv(Charset),
}

impl Media {
    /// Reads a media type. Source: RFC 9110 section 8.3.1; parameters that are not of the type are refused, and
    /// so is what is not seen: it is kept and shown as it was said.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_MEDIA || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return None;
        }
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let (mut charset, mut profile) = (None, None);
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let value = value.trim_matches('"');
            let slot = match name.to_ascii_lowercase().as_str() {
                "charset" => &mut charset,
                "profile" => &mut profile,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let text_in = || charset.map_or(Some(Charset::Utf8), Charset::parse);
        let utf8 = text_in() == Some(Charset::Utf8);
        let bare = charset.is_none() && profile.is_none();
        match essence.as_str() {
            "application/octet-stream" if bare => Some(Self::Bytes),
            "application/pdf" if bare => Some(Self::Pdf),
            "image/png" if bare => Some(Self::Png),
            "image/jpeg" if bare => Some(Self::Jpeg),
            "text/plain" if profile.is_none() => text_in().map(Self::Text),
            "text/csv" if profile.is_none() => text_in().map(Self::Csv),
            "application/fhir+json" if utf8 && profile.is_none() => Some(Self::Fhir),
            "application/json" if utf8 => match profile {
                None => Some(Self::Json(None)),
                Some("kmydata-bank") => Some(Self::Json(Some(Api::Bank))),
                Some("kmydata-card") => Some(Self::Json(Some(Api::Card))),
                Some(_) => None,
            },
            _ => None,
        }
    }

    /// What a file of it ends in: nothing that a click would run.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Bytes => "bin",
            Self::Pdf => "pdf",
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Text(_) => "txt",
            Self::Json(_) | Self::Fhir => "json",
            Self::Csv(_) => "csv",
        }
    }
}

/// Bytes of a kind that has no form show it by how they begin.
pub(super) fn begins(original: &[u8], with: &[&[u8]]) -> Result<Option<Form>, Refused> {
    if with.iter().any(|magic| original.starts_with(magic)) {
        return Ok(None);
    }
    Err(Refused::Lies { what: "it does not begin as one" })
}

/// Text in the encoding that was named; no byte is guessed, and no NUL is text.
pub(super) fn text(original: &[u8], charset: Charset) -> Result<Cow<'_, str>, Refused> {
    let refused = || Refused::Encoding { named: charset.as_str() };
    let encoding = match charset {
        Charset::Utf8 => UTF_8,
        Charset::EucKr => EUC_KR,
    };
    let bytes = match charset {
        Charset::Utf8 => original.strip_prefix(b"\xef\xbb\xbf").unwrap_or(original),
        Charset::EucKr => original,
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(refused)?;
    if text.contains('\0') { Err(refused()) } else { Ok(text) }
}
