//! Conditions and ranges of a representation whose tag and length are known.
//!
//! Source: RFC 9110 sections 13.2.2 (order), 13.1, 14.2. One range is served, of several
//! none: then the whole is the answer, as for any range that is not understood. Lacks: dates,
//! since nothing here has one; `If-Range` with a date is never right.

use std::ops::Range;

use actix_web::http::header;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Wanted {
    /// All of it: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// No such bytes: 416.
    Beyond,
    /// The caller has it: 304.
    Had,
    /// The caller wants another: 412.
    Other,
}

/// What the headers ask of a representation with this strong tag (with its quotes) and length.
pub(in crate::http) fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let tags = |sent: &str, of: &dyn Fn(&str) -> bool| {
        sent.split(',').map(str::trim).any(|tag| tag == "*" || of(tag))
    };
    if let Some(sent) = text(header::IF_MATCH)
        && !tags(sent, &|tag| tag == etag)
    {
        return Wanted::Other;
    }
    if let Some(sent) = text(header::IF_NONE_MATCH)
        && tags(sent, &|tag| tag.trim_start_matches("W/") == etag)
    {
        return Wanted::Had;
    }
    let Some(range) = text(header::RANGE) else { return Wanted::Whole };
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag) {
        return Wanted::Whole;
    }
    range_of(range, length)
}

/// One `bytes` range. Source: RFC 9110 section 14.1.2
fn range_of(range: &str, length: u64) -> Wanted {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than a length has are beyond any.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let Some((unit, set)) = range.split_once('=') else { return Wanted::Whole };
    let Some((first, last)) = set.trim().split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes"))
    else {
        return Wanted::Whole;
    };
    let wanted = match (digits(first), digits(last)) {
        (true, true) if number(first) <= number(last) => {
            number(first)..number(last).saturating_add(1).min(length)
        }
        (true, false) if last.is_empty() => number(first)..length,
        (false, true) if first.is_empty() && number(last) > 0 => length.saturating_sub(number(last))..length,
        (false, true) if first.is_empty() => length..length,
        _ => return Wanted::Whole,
    };
    if wanted.start < wanted.end { Wanted::Part(wanted) } else { Wanted::Beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"tag\"";

    fn asked(headers: &[(HeaderName, &str)]) -> Wanted {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.clone(), value.parse().unwrap());
        }
        wanted(&map, TAG, 100)
    }

    #[test]
    fn one_range_is_understood_and_anything_else_is_the_whole() {
        let range = |text| asked(&[(header::RANGE, text)]);
        assert_eq!(range("bytes=0-"), Wanted::Part(0..100));
        assert_eq!(range("bytes=99-"), Wanted::Part(99..100));
        assert_eq!(range("Bytes=10-19"), Wanted::Part(10..20));
        assert_eq!(range("bytes=10-1000"), Wanted::Part(10..100));
        assert_eq!(range("bytes=10-18446744073709551615"), Wanted::Part(10..100));
        assert_eq!(range("bytes=-5"), Wanted::Part(95..100));
        assert_eq!(range("bytes=-500"), Wanted::Part(0..100));
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(range(beyond), Wanted::Beyond, "{beyond}");
        }
        for odd in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=0-1,4-5",
            "items=0-",
            "bytes=+1-",
            "bytes=1 - 2",
        ] {
            assert_eq!(range(odd), Wanted::Whole, "{odd}");
        }
    }

    #[test]
    fn conditions_come_before_ranges_in_their_order() {
        let range = (header::RANGE, "bytes=1-");
        let with = |name, value| asked(&[range.clone(), (name, value)]);
        assert_eq!(with(header::IF_RANGE, TAG), Wanted::Part(1..100));
        for other in ["\"other\"", "W/\"tag\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(with(header::IF_RANGE, other), Wanted::Whole, "{other}");
        }
        assert_eq!(with(header::IF_MATCH, "\"a\", \"tag\""), Wanted::Part(1..100));
        assert_eq!(with(header::IF_MATCH, "*"), Wanted::Part(1..100));
        assert_eq!(with(header::IF_MATCH, "W/\"tag\""), Wanted::Other);
        assert_eq!(with(header::IF_NONE_MATCH, "W/\"tag\""), Wanted::Had);
        assert_eq!(with(header::IF_NONE_MATCH, "\"a\""), Wanted::Part(1..100));
        let both = [(header::IF_MATCH, "\"a\""), (header::IF_NONE_MATCH, TAG)];
        assert_eq!(asked(&both), Wanted::Other);
    }
}
