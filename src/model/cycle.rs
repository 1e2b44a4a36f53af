//! Cycles of a scheduled transfer: when its runs are due.
//!
//! A cycle is written as K-MyData writes it (`fnd_cycle`, `add_cycle`): how often, a slash, in
//! which unit: `1/w`, `1/m`. Everything is counted from the instant of the demand, never from
//! what was carried last, so a late run moves no later one. Lacks: the clock, and what is carried.
//! Source: `reference/ecosystem.md` section 6.3.

use std::fmt;

use crate::model::id::Timestamp;

const DAY_MS: u64 = 86_400_000;
/// Most runs in one unit: at most one an hour.
const MOST_A_DAY: u64 = 24;
/// Longest text of a cycle, bytes.
const MAX_TEXT: usize = 8;

/// The unit of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// `d`: 24 hours.
    Day,
    /// `w`: seven days.
    Week,
    /// `m`: a month of the calendar, in UTC; a day the month lacks is its last one.
    Month,
    /// `y`: twelve of them.
    Year,
}

impl Unit {
    /// All units, shortest first.
    pub const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    const fn letter(self) -> &'static str {
        match self {
            Self::Day => "d",
            Self::Week => "w",
            Self::Month => "m",
            Self::Year => "y",
        }
    }

    /// The shortest it can be, days.
    const fn least_days(self) -> u64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 28,
            Self::Year => 365,
        }
    }
}

/// So many times in each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cycle {
    times: u64,
    unit: Unit,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.times, self.unit.letter())
    }
}

impl Cycle {
    /// Reads `1/w`; `None` for anything else, and for more than one run an hour.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (times, unit) = Some(text).filter(|text| text.len() <= MAX_TEXT)?.split_once('/')?;
        let unit = Unit::ALL.into_iter().find(|known| known.letter() == unit)?;
        let plain = !times.starts_with('0') && times.bytes().all(|b| b.is_ascii_digit());
        let times = times
            .parse()
            .ok()
            .filter(|times| plain && (1..=unit.least_days() * MOST_A_DAY).contains(times))?;
        Some(Self { times, unit })
    }

    /// The instant of the `n`th run from 0, which is due at once.
    #[must_use]
    pub fn due(self, from: Timestamp, n: u64) -> Timestamp {
        let (units, part) = (n / self.times, n % self.times);
        let (begin, end) = (self.begin(from, units), self.begin(from, units.saturating_add(1)));
        // Both are below 2^64 and `times` is at most 8,760: widened, nothing overflows.
        let within = u128::from(end.0 - begin.0) * u128::from(part) / u128::from(self.times);
        begin.plus_ms(u64::try_from(within).unwrap_or(u64::MAX))
    }

    /// The last run that is due at an instant; `None` before the first.
    #[must_use]
    pub fn last_due(self, from: Timestamp, at: Timestamp) -> Option<u64> {
        let passed = at.0.checked_sub(from.0)?;
        // No run is nearer to the next than this, so there are no more than so many.
        let (mut low, mut high) = (0, passed / (self.unit.least_days() * DAY_MS / self.times) + 1);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.due(from, middle) <= at { low = middle } else { high = middle }
        }
        Some(low)
    }

    /// The shorter of two: the one that runs more often.
    #[must_use]
    pub fn shorter(self, other: Self) -> Self {
        // A unit over its times, crosswise.
        let (own, others) = (self.unit.least_days() * other.times, other.unit.least_days() * self.times);
        if others < own { other } else { self }
    }

    fn begin(self, from: Timestamp, units: u64) -> Timestamp {
        match self.unit {
            Unit::Day => from.plus_ms(units.saturating_mul(DAY_MS)),
            Unit::Week => from.plus_ms(units.saturating_mul(7 * DAY_MS)),
            Unit::Month => months_after(from, units),
            Unit::Year => months_after(from, units.saturating_mul(12)),
        }
    }
}

/// The same day and time so many months later, or the last day of that month.
///
/// Beyond the year 100,000 it stays where it is: no date of ours lies there.
fn months_after(from: Timestamp, months: u64) -> Timestamp {
    let (days, time) = (from.0 / DAY_MS, from.0 % DAY_MS);
    let (year, month, day) = civil(days.min(36_000_000));
    let all = (year * 12 + month - 1).saturating_add(months).min(1_200_000);
    let (year, month) = (all / 12, all % 12 + 1);
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = days_of(year, month);
    let length = days_of(next_year, next_month) - first;
    Timestamp((first + (day - 1).min(length - 1)) * DAY_MS + time)
}

/// Year, month, day of a number of days since 1970-01-01. Source: Hinnant, date algorithms.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_cycle = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_cycle + of_cycle / 4 - of_cycle / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let late = if month <= 2 { 1 } else { 0 };
    (of_cycle + era * 400 + late, month, of_year - (153 * m + 2) / 5 + 1)
}

/// Days from 1970-01-01 to the first of a month, of a year from 1970 on.
const fn days_of(year: u64, month: u64) -> u64 {
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (y / 400, y % 400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 - 719_468
}

/// What a run brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brings {
    /// Basic data (`fnd_cycle`).
    pub basic: bool,
    /// Additional data (`add_cycle`).
    pub additional: bool,
}

/// When the runs of a demand are due, and what each brings.
///
/// Reading: runs come by the shorter cycle; each brings what its own cycle has made due since the
/// run before. The first brings everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    from: Timestamp,
    basic: Option<Cycle>,
    additional: Option<Cycle>,
}

impl Schedule {
    /// Once, at the instant of the demand.
    #[must_use]
    pub const fn once(from: Timestamp) -> Self {
        Self { from, basic: None, additional: None }
    }

    /// By one cycle or two, from the instant of the demand; `None` without any.
    #[must_use]
    pub fn repeated(from: Timestamp, basic: Option<Cycle>, additional: Option<Cycle>) -> Option<Self> {
        (basic.is_some() || additional.is_some()).then_some(Self { from, basic, additional })
    }

    fn cycle(&self) -> Option<Cycle> {
        match (self.basic, self.additional) {
            (Some(basic), Some(additional)) => Some(basic.shorter(additional)),
            (basic, additional) => basic.or(additional),
        }
    }

    /// When a run is due; `None` if there is no such run.
    #[must_use]
    pub fn due(&self, run: u64) -> Option<Timestamp> {
        match self.cycle() {
            Some(cycle) => Some(cycle.due(self.from, run)),
            None => (run == 0).then_some(self.from),
        }
    }

    /// The last run that is due at an instant.
    ///
    /// Reading: of several that were missed only the last is carried: a run shows how things stand.
    #[must_use]
    pub fn last_due(&self, at: Timestamp) -> Option<u64> {
        match self.cycle() {
            Some(cycle) => cycle.last_due(self.from, at),
            None => (at >= self.from).then_some(0),
        }
    }

    /// What a run brings, given the run carried before it.
    #[must_use]
    pub fn brings(&self, run: u64, before: Option<u64>) -> Brings {
        let all = Brings { basic: true, additional: true };
        let (Some(before), Some(now)) = (before.and_then(|run| self.due(run)), self.due(run)) else {
            return all;
        };
        let passed = |cycle: Option<Cycle>| {
            cycle.is_some_and(|cycle| cycle.last_due(self.from, now) > cycle.last_due(self.from, before))
        };
        Brings { basic: passed(self.basic), additional: passed(self.additional) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T09:30:00Z.
    const FROM: Timestamp = Timestamp(1_769_851_800_000);

    fn cycle(text: &str) -> Cycle {
        Cycle::parse(text).unwrap_or_else(|| panic!("`{text}` is a cycle"))
    }

    #[test]
    fn a_cycle_has_one_spelling() {
        for text in ["1/d", "24/d", "1/w", "168/w", "1/m", "2/m", "1/y", "8760/y"] {
            assert_eq!(cycle(text).to_string(), text);
        }
        let wrong = [
            "",
            "/",
            "1",
            "1/",
            "/w",
            "0/w",
            "01/w",
            "+1/w",
            "1/W",
            "1/h",
            "25/d",
            "8761/y",
            "1/w/w",
            "-1/w",
            "１/w",
            "99999999999/y",
        ];
        for text in wrong {
            assert_eq!(Cycle::parse(text), None, "{text}");
        }
    }

    #[test]
    fn days_of_the_calendar_are_what_date_says() {
        let cases = [
            ("1/d", 1, 1_769_938_200_000),  // 2026-02-01T09:30
            ("2/d", 1, 1_769_895_000_000),  // twelve hours
            ("1/w", 2, 1_771_061_400_000),  // 2026-02-14T09:30
            ("1/m", 1, 1_772_271_000_000),  // 2026-02-28T09:30
            ("1/m", 2, 1_774_949_400_000),  // 2026-03-31T09:30
            ("1/m", 25, 1_835_429_400_000), // 2028-02-29T09:30
            ("1/y", 3, 1_864_546_200_000),  // 2029-01-31T09:30
            ("2/m", 1, 1_771_061_400_000),  // half of January 31 to February 28
        ];
        for (text, n, ms) in cases {
            assert_eq!(cycle(text).due(FROM, n), Timestamp(ms), "{text} {n}");
        }
    }

    /// Day after day by the rule of leap years: nothing of it is shared with what it checks.
    fn naive_month(from: Timestamp, months: u64) -> Timestamp {
        let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
        let length = |y: u64, m: u64| match m {
            2 => 28 + u64::from(leap(y)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut y, mut m, mut left) = (1970, 1, from.0 / DAY_MS);
        while left >= length(y, m) {
            left -= length(y, m);
            (y, m) = if m == 12 { (y + 1, 1) } else { (y, m + 1) };
        }
        let (to_y, to_m) = ((y * 12 + m - 1 + months) / 12, (m - 1 + months) % 12 + 1);
        let (mut y, mut m, mut days) = (1970, 1, 0);
        while (y, m) != (to_y, to_m) {
            days += length(y, m);
            (y, m) = if m == 12 { (y + 1, 1) } else { (y, m + 1) };
        }
        Timestamp((days + left.min(length(to_y, to_m) - 1)) * DAY_MS + from.0 % DAY_MS)
    }

    #[test]
    fn months_and_counts_agree_with_counting_by_hand() {
        let mut from = 3_600_000;
        for step in 0..400_u64 {
            from += 11 * DAY_MS * (step % 7 + 1) + step;
            let from = Timestamp(from);
            for months in [0, 1, 2, 11, 12, 13, 48] {
                assert_eq!(months_after(from, months), naive_month(from, months), "{from:?} {months}");
            }
        }
        for text in ["1/d", "3/d", "1/w", "2/w", "1/m", "5/m", "1/y", "13/y"] {
            let cycle = cycle(text);
            let mut naive = 0;
            for hour in 0..9_000 {
                let at = FROM.plus_ms(hour * 3_600_000 + hour % 3);
                while cycle.due(FROM, naive + 1) <= at {
                    naive += 1;
                }
                assert_eq!(cycle.last_due(FROM, at), Some(naive), "{text} {hour}");
            }
            assert_eq!(cycle.last_due(FROM, FROM.minus_ms(1)), None);
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        for text in ["1/d", "168/w", "1/m", "8760/y"] {
            let cycle = cycle(text);
            let _ = cycle.due(Timestamp(0), u64::MAX);
            let _ = cycle.due(Timestamp(u64::MAX - 1), 5);
            let _ = cycle.last_due(Timestamp(0), Timestamp(u64::MAX));
        }
    }

    #[test]
    fn a_run_brings_what_fell_due_since_the_last() {
        let both = Schedule::repeated(FROM, Some(cycle("1/w")), Some(cycle("1/d"))).unwrap();
        let brings = |run, before| {
            let b = both.brings(run, before);
            (b.basic, b.additional)
        };
        assert_eq!(brings(0, None), (true, true));
        assert_eq!(brings(1, Some(0)), (false, true));
        assert_eq!(brings(7, Some(6)), (true, true));
        // After days of standing still, what was missed comes once.
        assert_eq!(brings(9, Some(5)), (true, true));
        assert_eq!(both.last_due(FROM.plus_ms(8 * DAY_MS)), Some(8));
        let once = Schedule::once(FROM);
        assert_eq!((once.due(0), once.due(1)), (Some(FROM), None));
        assert_eq!(
            (once.last_due(FROM.plus_ms(u64::MAX / 2)), once.last_due(FROM.minus_ms(1))),
            (Some(0), None)
        );
        let basic = Schedule::repeated(FROM, Some(cycle("1/m")), None).unwrap();
        assert_eq!(basic.brings(1, Some(0)), Brings { basic: true, additional: false });
        assert!(Schedule::repeated(FROM, None, None).is_none());
    }
}
