//! The deterministic detectors that need no data set.
//!
//! Four rules over lines in the order of time. Each is run twice: over all lines, and
//! over those the asker signed itself. What the second run finds too is of strength D;
//! the first alone is at most S. One signature counts once for one question.
//!
//! Source: `reidentification.md` 3.1, 3.8, part (a); design §12.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::statement::Strength;
use crate::model::statement::V1;
use crate::model::use_line::UseAct;
use crate::model::vocabulary::AskedAction;
use crate::reidentification::DAY_MS;
use crate::reidentification::Detector;
use crate::reidentification::Domain;
use crate::reidentification::Finding;
use crate::reidentification::Joined;
use crate::reidentification::MOST_LINES;
use crate::reidentification::Noted;
use crate::reidentification::Observed;
use crate::reidentification::Person;
use crate::reidentification::Signature;

/// A question repeated sooner than this after a refusal is no finding: clocks, caches, retries, ms.
pub const GRACE_MS: u64 = 5 * 60_000;
/// The same for questions about linking, which no cache and no schedule asks, ms.
pub const LINKING_GRACE_MS: u64 = 10_000;
/// Lines this long before the interval are read for what the asker was told then, ms.
pub const LOOKBACK_MS: u64 = 7 * DAY_MS;

/// What findings are merged by.
type Key = (PartyId, Detector, String, u64);
/// Who was handed whose ppids, for whom, from when.
type Handed<'a> = BTreeMap<(Person, &'a PartyId, &'a PartyId), Timestamp>;

/// What one run found of one key.
#[derive(Default)]
struct Found<'a> {
    lines: Vec<&'a Observed>,
    doubtful: bool,
}

/// Findings of the lines written in `[from, until)`.
///
/// `lines` come in any order, and may begin earlier: what was told and handed over before counts.
#[must_use]
pub fn findings<'a>(
    lines: impl IntoIterator<Item = &'a Observed>,
    from: Timestamp,
    until: Timestamp,
) -> Vec<Finding> {
    let mut lines: Vec<&Observed> = lines.into_iter().filter(|o| o.line.t < until).collect();
    lines.sort_by_key(|o| (o.line.t, o.line.id));
    lines.dedup_by_key(|o| o.line.id);
    let handed = handed(&lines);
    let all = run(&lines, &|_| true, &handed, from);
    let own = own(&lines);
    let signed = run(&lines, &|o| own.contains(&o.line.id), &handed, from);
    let strength = |key: &Key| match signed.get(key) {
        Some(found) if !found.doubtful => Strength::D,
        Some(_) | None => Strength::S,
    };
    all.iter().map(|(key, found)| finding(key, found, strength(key), &own)).collect()
}

/// Lines the asker signed, each signature once for one question.
fn own(lines: &[&Observed]) -> BTreeSet<DecisionId> {
    let mut taken = BTreeSet::new();
    let mut out = BTreeSet::new();
    for one in lines.iter().filter(|o| o.signature == Signature::Holds) {
        let line = &one.line;
        let signed = line.signed.as_ref().map(|bytes| bytes.as_slice());
        if taken.insert((signed, line.ppid, line.action.map(AskedAction::as_str), one.about())) {
            out.insert(line.id);
        }
    }
    out
}

/// Which ppids were handed over. Source: design §7.
fn handed<'a>(lines: &[&'a Observed]) -> Handed<'a> {
    let mut out = Handed::new();
    // A wish that was not granted leaves a line too, and joins nothing.
    for one in lines.iter().filter(|o| o.line.act == UseAct::Handover && o.line.told.permits()) {
        let line = &one.line;
        let (Some(person), Some(whose)) = (one.person, &line.recipient) else { continue };
        for to in [&line.asker, &line.controller] {
            out.entry((person, to, whose)).or_insert(line.t);
        }
    }
    out
}

fn run<'a>(
    lines: &[&'a Observed],
    counts: &dyn Fn(&Observed) -> bool,
    handed: &Handed<'_>,
    from: Timestamp,
) -> BTreeMap<Key, Found<'a>> {
    let mut out: BTreeMap<Key, Found<'a>> = BTreeMap::new();
    let mut refused = Refused::default();
    for one in lines.iter().filter(|o| o.line.act == UseAct::Check) {
        let counted = counts(one);
        let again = refused.see(one, counted);
        if one.line.t < from || !counted {
            continue;
        }
        let foreign = foreign(one, handed);
        let doubtful = foreign == Some(Joined::Unknown);
        let foreign = foreign.map(|_| Detector::ForeignPpid);
        for detector in foreign.into_iter().chain(again) {
            let day = one.line.t.0 / DAY_MS;
            let key = (one.line.asker.clone(), detector, one.about().to_owned(), day);
            let found = out.entry(key).or_default();
            found.lines.push(one);
            found.doubtful |= doubtful && detector == Detector::ForeignPpid;
        }
    }
    out
}

/// Whether the ppid is of another domain and nothing joins the two; `Unknown` if that cannot be said.
fn foreign(one: &Observed, handed: &Handed<'_>) -> Option<Joined> {
    let line = &one.line;
    let joined = match &one.domain {
        Domain::Nobody | Domain::Own => Joined::Yes,
        // No party is ever given it.
        Domain::Log => Joined::No,
        Domain::Of(other) => {
            let by_hand = one.person.is_some_and(|person| {
                let since = |to| handed.get(&(person, to, other));
                [&line.asker, &line.controller].into_iter().filter_map(since).any(|since| *since <= line.t)
            });
            if by_hand { Joined::Yes } else { one.joined }
        }
    };
    (joined != Joined::Yes).then_some(joined)
}

/// What an asker was refused last, and when first. A rule, an asker, a domain, what about, whom.
type Asking<'a> = (Detector, &'a PartyId, &'a PartyId, &'a str, Option<Person>);

#[derive(Default)]
struct Refused<'a>(BTreeMap<Asking<'a>, Timestamp>);

impl<'a> Refused<'a> {
    /// Takes a line in; the rule it breaks by coming after a refusal, if it does.
    ///
    /// Another answer in between ends what the refusal said, whoever wrote its line.
    fn see(&mut self, one: &'a Observed, counted: bool) -> Option<Detector> {
        let line = &one.line;
        if line.told == Reason::LogUnavailable {
            return None;
        }
        let asking = |rule: Detector, person| (rule, &line.asker, &line.controller, one.about(), person);
        let rule = Detector::after(line.told);
        let grace = if rule == Some(Detector::LinkingAgain) { LINKING_GRACE_MS } else { GRACE_MS };
        for (ended, person) in [(Detector::UseAfterEnd, one.person), (Detector::PurposeAfterNotice, None)] {
            if rule != Some(ended) && line.told != Reason::ReidentificationBlocked {
                self.0.remove(&asking(ended, person));
            }
        }
        let rule = rule.filter(|_| counted)?;
        let person = one.person.filter(|_| rule == Detector::UseAfterEnd);
        match self.0.get(&asking(rule, person)) {
            Some(first) => (line.t >= first.plus_ms(grace)).then_some(rule),
            None => {
                self.0.insert(asking(rule, person), line.t);
                None
            }
        }
    }
}

fn finding(key: &Key, found: &Found<'_>, strength: Strength, own: &BTreeSet<DecisionId>) -> Finding {
    let (party, detector, about, day) = key.clone();
    let persons: BTreeSet<_> = found.lines.iter().filter_map(|o| o.person).collect();
    let noted = |o: &&Observed| Noted {
        at: o.line.at,
        id: o.line.id,
        signed: own.contains(&o.line.id),
        domain: match &o.domain {
            Domain::Of(other) => Some(other.clone()),
            Domain::Nobody | Domain::Own | Domain::Log => None,
        },
    };
    // Signed ones first: they are what a strong finding rests on.
    let mut lines: Vec<&Observed> = found.lines.clone();
    lines.sort_by_key(|o| !own.contains(&o.line.id));
    Finding {
        v: V1,
        day,
        about,
        count: found.lines.len() as u64,
        lines: lines.iter().take(MOST_LINES).map(noted).collect(),
        party,
        class: found.lines.iter().find_map(|o| o.line.class),
        persons: persons.len() as u64,
        detector,
        strength,
        established: !found.doubtful,
    }
}

#[cfg(test)]
mod tests;
