//! Instants and spans as ISO 8601 writes them. Source: RFC 3339; ISO 8601-1 section 5.5.2.

use crate::model::id::Timestamp;

/// An instant in UTC, to the millisecond; of what is reckoned to be after [`Timestamp::LAST`], that.
///
/// Source: civil from days, Hinnant, chrono-compatible low-level date algorithms.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    let at = at.min(Timestamp::LAST);
    let (days, ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_cycle = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_cycle + of_cycle / 4 - of_cycle / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = of_cycle + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// A span in whole days where it is, else in seconds, rounded down.
#[must_use]
pub fn duration(ms: u64) -> String {
    match (ms / 86_400_000, ms % 86_400_000) {
        (days, 0) => format!("P{days}D"),
        _ => format!("PT{}S", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_what_date_says() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2018-08-30T15:00:00.000Z", 1_535_641_200_000),
            ("2024-02-29T12:34:56.007Z", 1_709_210_096_007),
            ("2000-03-01T00:00:00.000Z", 951_868_800_000),
            ("2000-12-31T23:59:59.999Z", 978_307_199_999),
            ("9999-12-31T23:59:59.999Z", Timestamp::LAST.0),
            // What is reckoned from the last instant is no text that another reader would not take.
            ("9999-12-31T23:59:59.999Z", Timestamp::LAST.0 + 1),
            ("9999-12-31T23:59:59.999Z", u64::MAX),
        ] {
            assert_eq!(instant(Timestamp(ms)), text);
        }
        assert_eq!((duration(172_800_000), duration(90_500)), ("P2D".into(), "PT90S".into()));
    }
}
