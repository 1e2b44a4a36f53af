//! The decision: total, pure, the first reason that applies.
//!
//! Reads the two folds and a pack, allocates nothing but the strings of the
//! answer. Lacks: who asks (the node compares token, `acts_for` and domain before),
//! `LOG_UNAVAILABLE` of its own state, releases, and the number of uses so far: a
//! named use of a grant with a count or frequency limit is denied, and says which
//! permit it becomes once it is counted ([`counted`]).

use std::sync::Arc;

use crate::consent::notice::Notice;
use crate::consent::party::Party;
use crate::consent::person::Person;
use crate::consent::register::{Asked, Register};
use crate::consent::slot::{Slot, State, Terms};
use crate::model::decision::{Counting, Decision, Question, Reason};
use crate::model::id::{StatementId, Timestamp};
use crate::model::pack::{Border, DefaultMode, Exception, Pack};
use crate::model::statement::Limits;
use crate::model::vocabulary::{Action, AskedAction, DataClass, Role};

/// What was found, before it is worded for the answer.
struct Finding<'a> {
    reason: Reason,
    exception: Option<&'a Exception>,
    basis: Option<StatementId>,
    until: Option<Timestamp>,
    rebound_until: Option<Timestamp>,
    /// The permit, its limited terms and its end.
    counting: Option<(Reason, &'a Terms, Timestamp)>,
}

impl Finding<'_> {
    const fn of(reason: Reason) -> Self {
        Self { reason, exception: None, basis: None, until: None, rebound_until: None, counting: None }
    }
}

/// A question after its own reasons were passed: nothing in it is wrong whoever the person is.
struct Sound<'a> {
    controller: &'a Party,
    asked: &'a Asked,
    action: Action,
    /// Another party holds what was granted to the controller: that, and nothing else.
    succeeded: bool,
}

/// Answers one question under one pack. Source: design §6.
///
/// Reading: a question in another country than the party's own is judged by the pack's border line
/// for that country: no border; the grant names the country; the grant names it and gives
/// `transfer-abroad`; or never. `share` needs a recipient, and so does `transfer-abroad` if the grant
/// names any; a recipient asked for must always be one of the grant's. `MINOR_WITHOUT_GUARDIAN` looks
/// at the slots the question is judged by: whether one of them was opened by nobody but the person
/// while she was a minor (see [`Slot::alone_since`]).
#[must_use]
pub fn decide(
    register: &Register,
    person: &Person,
    pack: &Pack,
    question: &Question,
    at: Timestamp,
) -> Decision {
    let finding = match of_question(register, question, at) {
        Ok(sound) => of_person(person, pack, question, &sound, at),
        Err(reason) => Finding::of(reason),
    };
    worded(&finding, pack, question.class, person.is_known() && person.is_acquainted(&question.controller))
}

/// Answers one question under all packs: a permit needs all of them. `None` is a person nobody knows.
///
/// The answer is the first denial, or the first permit with the earliest end; a permit by an exception
/// that must be justified comes before the others. Without any pack nothing
/// can be vouched for: `LOG_UNAVAILABLE`.
#[must_use]
pub fn decide_all(
    register: &Register,
    person: Option<&Person>,
    packs: &[&Pack],
    question: &Question,
    at: Timestamp,
) -> Decision {
    let nobody;
    let person = match person {
        Some(person) => person,
        None => {
            nobody = Person::decoy(crate::model::id::SubjectId([0; 16]));
            &nobody
        }
    };
    let mut permit: Option<Decision> = None;
    for pack in packs {
        let next = decide(register, person, pack, question, at);
        if !next.permits() && next.counting.is_none() {
            return next;
        }
        match &mut permit {
            None => permit = Some(next),
            Some(first) => {
                let until = match (first.until, next.until) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                // A use that one pack lets be counted and another permits as it is must be counted; else of
                // several permits the one that leaves a duty is named.
                let counts = first.counting.is_none() && next.counting.is_some();
                let owes = next.is_exception() && pack.exception(&next.rule).is_some_and(Exception::is_owed);
                if counts || (first.counting.is_none() && owes) {
                    *first = next;
                }
                first.until = until;
            }
        }
    }
    permit.unwrap_or_else(|| Decision::of_no_pack(Reason::LogUnavailable))
}

/// Answers one question under the packs that recorded facts choose: nobody else does. Source: design §1.
#[must_use]
pub fn decide_here(
    register: &Register,
    person: Option<&Person>,
    question: &Question,
    at: Timestamp,
) -> Decision {
    let packs = register.packs_of(&question.controller, at).unwrap_or_default();
    decide_all(register, person, &packs, question, at)
}

/// Uses of one grant before the one that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// All of them.
    pub all: u64,
    /// Those within the period of the frequency limit that ends now.
    pub lately: u64,
}

impl Uses {
    /// Whether the limits leave room for one more.
    #[must_use]
    pub fn leave_room(self, limits: &Limits) -> bool {
        limits.count.is_none_or(|count| self.all < u64::from(count))
            && limits.frequency.as_ref().is_none_or(|f| self.lately < u64::from(f.max))
    }
}

/// What a decision becomes once its use has been counted: the permit. Others stay as they are.
#[must_use]
pub fn counted(decision: Decision) -> Decision {
    match decision.counting {
        None => decision,
        Some(counting) => Decision {
            reason: counting.permit,
            rule: counting.rule,
            basis: Some(counting.grant),
            until: Some(decision.until.map_or(counting.until, |until| until.min(counting.until))),
            counting: None,
            ..decision
        },
    }
}

fn worded(finding: &Finding<'_>, pack: &Pack, class: DataClass, acquainted: bool) -> Decision {
    let rule = finding.exception.map_or_else(|| pack.rule_of(finding.reason, class), |e| e.id.shared());
    Decision {
        reason: finding.reason,
        pack: Arc::clone(pack.name()),
        version: pack.version(),
        rule: Arc::clone(rule),
        basis: finding.basis,
        until: finding.until,
        rebound_until: finding.rebound_until,
        acquainted,
        counting: finding.counting.map(|(permit, terms, until)| {
            Box::new(Counting {
                permit,
                rule: Arc::clone(pack.rule_of(permit, class)),
                grant: terms.statement,
                until,
                kept_until: terms.fetch_until.max(terms.keep_until),
                limits: terms.limits.clone().unwrap_or_default(),
            })
        }),
    }
}

/// Reasons of the asker and the question, the same whoever the person is.
fn of_question<'a>(register: &'a Register, question: &Question, at: Timestamp) -> Result<Sound<'a>, Reason> {
    let controller = register.party(&question.controller);
    if controller.is_some() && register.holder(&question.controller, at).is_none() {
        return Err(Reason::PartySuspended);
    }
    let action = match question.action {
        AskedAction::Grantable(Action::Combine)
            if !controller.is_some_and(|party| party.has_role(Role::Combiner)) =>
        {
            return Err(Reason::ReidentificationBlocked);
        }
        AskedAction::Grantable(action) => action,
        AskedAction::Link | AskedAction::Match | AskedAction::Reidentify => {
            return Err(Reason::ReidentificationBlocked);
        }
    };
    let controller = controller.ok_or(Reason::PurposeMismatch)?;
    let asked = register.asked(&question.controller, &question.purpose).ok_or(Reason::PurposeMismatch)?;
    if asked.live.is_empty() {
        return Err(Reason::NoticeRetired);
    }
    let established = asked.of_class(&question.purpose, question.class).next().is_some();
    // A ppid names a person: of anonymous data only "may this record go into a release?" is asked of one.
    let askable = question.class != DataClass::Anonymous || action == Action::Anonymise;
    if established && askable {
        let succeeded = controller.succession_at(at).is_some();
        Ok(Sound { controller, asked, action, succeeded })
    } else {
        Err(Reason::ClassNotEstablished)
    }
}

/// Reasons of the person: objections, age, the slot's state, then what the grant says.
fn of_person<'a>(
    person: &'a Person,
    pack: &'a Pack,
    question: &Question,
    sound: &Sound<'_>,
    at: Timestamp,
) -> Finding<'a> {
    if !person.is_known() {
        return Finding::of(Reason::SubjectUnknown);
    }
    let (controller, purpose) = (question.controller.as_str(), question.purpose.as_str());
    let mut minor = false;
    for slot in person.covering(controller, purpose, question.class) {
        if slot.state == State::Objected {
            return Finding::of(Reason::Objected);
        }
        minor |= slot.alone_since.is_some_and(|since| person.is_minor(since));
    }
    if minor && pack.minors().guardian {
        return Finding::of(Reason::MinorWithoutGuardian);
    }
    let slot = person.slot_of(Some(controller), Some(purpose), question.class);
    let rebound_until = slot.and_then(|slot| slot.rebound_until).filter(|until| at < *until);
    match standing(slot, sound.action, at) {
        Ok((permit, terms)) => match against(terms, pack, question, sound) {
            Ok(()) if terms.is_limited() => Finding {
                rebound_until,
                counting: Some((permit, terms, terms.end_for(sound.action))),
                ..Finding::of(Reason::UsageLimitReached)
            },
            Ok(()) => Finding {
                basis: Some(terms.statement),
                rebound_until,
                until: Some(terms.end_for(sound.action)),
                ..Finding::of(permit)
            },
            Err(reason) => Finding::of(reason),
        },
        Err(reason) if sound.succeeded => Finding::of(reason),
        Err(reason) => unless_law_permits(reason, pack, question, sound),
    }
}

/// What the slot's state says to an action: the permit it gives and its terms, or the denial.
fn standing(slot: Option<&Slot>, action: Action, at: Timestamp) -> Result<(Reason, &Terms), Reason> {
    let Some(slot) = slot else { return Err(Reason::ConsentNotGiven) };
    let permit = match slot.now(at) {
        State::Granted => Reason::ConsentGiven,
        State::Attested => Reason::ConsentAttested,
        State::None => return Err(Reason::ConsentNotGiven),
        State::Disputed => return Err(Reason::ConsentDisputed),
        State::Paused => return Err(Reason::ConsentPaused),
        State::Refused => return Err(Reason::ConsentRefused),
        State::Withdrawn => return Err(Reason::ConsentWithdrawn),
        State::Objected => return Err(Reason::Objected),
        State::Expired => return Err(Reason::ConsentExpired),
    };
    match &slot.grant {
        Some(terms) if at < terms.end_for(action) => Ok((permit, terms)),
        Some(_) | None => Err(Reason::ConsentExpired),
    }
}

/// What may replace a denial by the slot's state: an exception a notice claims, the opt-out default.
fn unless_law_permits<'a>(
    denial: Reason,
    pack: &'a Pack,
    question: &Question,
    sound: &Sound<'_>,
) -> Finding<'a> {
    let default = pack.default_of(question.class);
    if denial == Reason::ConsentNotGiven
        && question.class == DataClass::Anonymous
        && default.mode == DefaultMode::OptOut
        && default.allows.contains(&sound.action)
    {
        return Finding::of(Reason::OptOutDefaultAllow);
    }
    let claimed = sound
        .asked
        .of_class(&question.purpose, question.class)
        .filter(|notice| is_within(notice, pack, question, sound))
        .flat_map(|notice| &notice.says.claims)
        .filter(|claim| claim.purpose == question.purpose)
        .filter_map(|claim| pack.claimed(&claim.rule))
        .find(|exception| exception.covers(&question.purpose, question.class, sound.action));
    match claimed {
        Some(exception) => Finding { exception: Some(exception), ..Finding::of(Reason::StatutoryException) },
        None => Finding::of(denial),
    }
}

/// Whether a question stays within a notice.
///
/// Reading: an exception reaches no further than the notice that claims it, and over no border.
fn is_within(notice: &Notice, pack: &Pack, question: &Question, sound: &Sound<'_>) -> bool {
    let Some(asked) = notice.asks(&question.purpose, question.class) else { return false };
    let home = |country: &str| {
        sound.controller.jurisdiction.as_deref() == Some(country)
            || pack.border(country).needs == Border::Home
    };
    let recipient = match &question.recipient {
        Some(party) => asked.recipients.contains(party),
        None => sound.action != Action::Share,
    };
    recipient
        && asked.actions.contains(&sound.action)
        && question.categories.iter().all(|c| asked.categories.iter().any(|a| a.category == *c))
        && question.jurisdiction.as_deref().is_none_or(home)
}

/// The question against what the grant says.
fn against(terms: &Terms, pack: &Pack, question: &Question, sound: &Sound<'_>) -> Result<(), Reason> {
    let recipient = match &question.recipient {
        Some(party) => terms.recipients.contains(party),
        None => match sound.action {
            Action::Share => false,
            Action::TransferAbroad => terms.recipients.is_empty(),
            Action::Collect | Action::Use | Action::Profile | Action::Combine | Action::Anonymise => true,
        },
    };
    if !recipient {
        return Err(Reason::RecipientMismatch);
    }
    if !question.categories.iter().all(|category| terms.categories.contains(category)) {
        return Err(Reason::CategoryNotCovered);
    }
    if !terms.actions.contains(&sound.action) {
        return Err(Reason::ActionNotCovered);
    }
    if !question.jurisdiction.as_deref().is_none_or(|country| reaches(terms, pack, country, sound)) {
        return Err(Reason::CrossBorderNotCovered);
    }
    if terms.is_limited() && question.use_id.is_none() {
        return Err(Reason::UseIdRequired);
    }
    Ok(())
}

/// Whether the grant covers a country.
fn reaches(terms: &Terms, pack: &Pack, country: &str, sound: &Sound<'_>) -> bool {
    if sound.controller.jurisdiction.as_deref() == Some(country) {
        return true;
    }
    let named = terms.jurisdictions.iter().any(|c| c == country);
    match pack.border(country).needs {
        Border::Home => true,
        Border::Adequacy => named,
        Border::Grant => named && terms.actions.contains(&Action::TransferAbroad),
        Border::Refused => false,
    }
}
