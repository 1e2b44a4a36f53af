//! A second implementation, written from the tables of design §6, and random histories to compare with.
//!
//! It keeps every event of a history and answers by scanning all of them, from the first on. It shares
//! no code with the fold: the state table is read from `vectors/consent/states.toml`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use naru::consent::{ADOPTED_BEFORE_MS, Actor, Effect, Person, Touched, decide_here};
use naru::identity::Recorded;
use naru::model::decision::{Question, Reason};
use naru::model::id::{StatementId, Timestamp};
use naru::model::pack::{kcern_2018, kr_pipa_2026};
use naru::model::statement::*;
use naru::model::terms::Vocabulary;
use naru::model::vocabulary::{Action, AskedAction, DataClass};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::register::{disengage, engage, retire, succeed, suspend};
use crate::world::*;

const HOUR: u64 = 60 * 60 * 1000;
const CONTROLLERS: [&str; 2] = ["bank", "shop"];
const PURPOSES: [&str; 2] = [MARKETING, RESEARCH];

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Kim,
    Mom,
    Party(&'static str),
}

/// What a grant or an attestation says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Says {
    actions: Vec<Action>,
    recipients: Vec<&'static str>,
    categories: Vec<&'static str>,
    countries: Vec<&'static str>,
    fetch: Timestamp,
    keep: Timestamp,
    limited: bool,
    notice: usize,
}

/// What happened.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a test's list of events, most of them acts")]
enum What {
    /// `act` of the table; `signal` if a party carries it.
    Act {
        act: &'static str,
        signal: bool,
        controller: Option<&'static str>,
        purpose: Option<&'static str>,
        class: DataClass,
        over: Option<StatementId>,
        by: Option<StatementId>,
        says: Option<Says>,
    },
    Word {
        minor_until: Option<Timestamp>,
        guardian: bool,
    },
    Appoint {
        until: Timestamp,
        over: Option<StatementId>,
    },
    Dismiss,
    Suspend {
        party: &'static str,
        until: Timestamp,
    },
    Retire {
        notice: usize,
    },
    /// A notice that claims the exceptions of these packs.
    Claim {
        laws: Vec<Law>,
    },
    /// `cloud` works for a controller, for one purpose or for all.
    Engage {
        controller: &'static str,
        purpose: Option<&'static str>,
        until: Timestamp,
    },
    Disengage {
        controller: &'static str,
    },
    /// The shop takes the bank's place.
    Succeed {
        from: Timestamp,
    },
}

#[derive(Clone, Debug)]
struct Event {
    id: StatementId,
    at: Timestamp,
    who: Who,
    what: What,
}

type Table = BTreeMap<String, BTreeMap<String, String>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/consent/states.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
});

/// A pack, as far as the questions here reach it, in words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    /// The home rule with an exception for research, a recognised country (DE) and a closed one (KP).
    Open,
    /// The home rule: no exception, any other country by a grant.
    Home,
    /// The Korean act of 2026: an exception for research, no limits on pseudonymous grants.
    Korean,
}

impl Law {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Home => "kcern-2018",
            Self::Korean => "kr-pipa-2026",
        }
    }

    /// What a notice claims to use its exception.
    const fn exception(self) -> Option<&'static str> {
        match self {
            Self::Open => Some("research"),
            Self::Home => None,
            Self::Korean => Some("research-28-2"),
        }
    }
}

/// All events that took effect, in order.
#[derive(Clone, Debug, Default)]
struct Naive {
    /// Packs in the order they were named, and from when each is in force.
    laws: Vec<(Law, Timestamp)>,
    past: Vec<Event>,
    /// Controllers of the notices, by number: the world's, then those of `Claim`.
    notices: Vec<(StatementId, &'static str)>,
    /// What the notices of `Claim` claim.
    claims: BTreeMap<usize, Vec<Law>>,
}

/// A slot as the naive implementation sees it.
#[derive(Clone, Debug, Default)]
struct Seen {
    state: String,
    says: Option<(StatementId, Says)>,
    last: Option<StatementId>,
    /// Every opening without a guardian since the last closing.
    alone: Vec<Timestamp>,
}

impl Naive {
    /// Replays one slot by the table.
    fn slot(&self, c: Option<&str>, p: Option<&str>, k: DataClass) -> Seen {
        let mut seen = Seen { state: "fresh".into(), ..Seen::default() };
        for e in &self.past {
            let What::Act { act, controller, purpose, class, says, .. } = &e.what else { continue };
            if (*controller, *purpose, *class) != (c, p, k) {
                continue;
            }
            let row = seen.at(e.at);
            let cell = TABLE[&row][*act].clone();
            seen.last = Some(e.id);
            // Mom acts only under a guardian's delegation in this world.
            let guarded = e.who == Who::Mom;
            match cell.as_str() {
                "-" => panic!("{row} x {act} cannot have been applied"),
                "=" => {
                    if seen.state == "fresh" {
                        seen.state = "none".into();
                    }
                }
                "back" => {
                    seen.state = if row == "paused-grant" { "granted" } else { "attested" }.into();
                    if !guarded {
                        seen.alone.push(e.at);
                    }
                }
                "paused" => {
                    seen.state = if row == "granted" { "paused-grant" } else { "paused-attest" }.into();
                }
                state => {
                    seen.state = state.into();
                    if ["granted", "attested", "none"].contains(&state) {
                        seen.alone = if guarded { vec![] } else { vec![e.at] };
                    } else if state != "disputed" {
                        seen.alone = vec![];
                    }
                    if ["granted", "attested"].contains(&state) {
                        seen.says = says.clone().map(|s| (e.id, s));
                    } else if state != "disputed" {
                        seen.says = None;
                    }
                }
            }
        }
        seen
    }

    /// What identity providers say last: one word beside each guardian.
    fn words(&self) -> Vec<(Option<Timestamp>, bool)> {
        let last = |wanted: bool| {
            self.past.iter().rev().find_map(|e| match e.what {
                What::Word { minor_until, guardian } if guardian == wanted => Some((minor_until, guardian)),
                _ => None,
            })
        };
        [last(true), last(false)].into_iter().flatten().collect()
    }

    fn minor(&self, at: Timestamp) -> bool {
        self.words().iter().any(|(until, _)| until.is_some_and(|u| at < u))
    }

    fn mom_is_guardian(&self, at: Timestamp) -> bool {
        self.words().iter().any(|(until, guardian)| *guardian && until.is_none_or(|u| at < u))
    }

    /// Last event in the slot of ward and delegate.
    fn seat(&self) -> Option<&Event> {
        self.past.iter().rev().find(|e| matches!(e.what, What::Appoint { .. } | What::Dismiss))
    }

    /// Whether `cloud` may ask for a controller: by the newest word between them.
    fn cloud_acts_for(&self, c: &str, p: &str, at: Timestamp) -> bool {
        let newest = self.past.iter().rev().find_map(|e| match &e.what {
            What::Engage { controller, purpose, until } if *controller == c => {
                Some(at < *until && purpose.is_none_or(|one| one == p))
            }
            What::Disengage { controller } if *controller == c => Some(false),
            _ => None,
        });
        newest == Some(true) && !self.gone(c, at) && !self.suspended("cloud", at)
    }

    fn suspended(&self, name: &str, at: Timestamp) -> bool {
        self.past.iter().any(|e| match e.what {
            What::Suspend { party, until } => party == name && at < until,
            _ => false,
        })
    }

    fn succession(&self) -> Option<Timestamp> {
        self.past.iter().find_map(|e| match e.what {
            What::Succeed { from } => Some(from),
            _ => None,
        })
    }

    /// The bank, once the shop is in its place.
    fn succeeded(&self, name: &str, at: Timestamp) -> bool {
        name == "bank" && self.succession().is_some_and(|from| at >= from)
    }

    /// Does nothing but close.
    fn gone(&self, name: &str, at: Timestamp) -> bool {
        self.suspended(name, at) || self.succeeded(name, at)
    }

    fn retired(&self, nth: usize) -> bool {
        self.past.iter().any(|e| matches!(e.what, What::Retire { notice } if notice == nth))
    }

    fn objected(&self, c: Option<&str>, p: Option<&str>, k: DataClass) -> bool {
        let pairs = [(c, p), (c, None), (None, p), (None, None)];
        pairs.iter().any(|(c, p)| self.slot(*c, *p, k).state == "objected")
    }

    /// Whether an event takes effect here.
    fn takes(&self, e: &Event) -> bool {
        match &e.what {
            What::Word { .. } | What::Suspend { .. } | What::Retire { .. } | What::Disengage { .. } => true,
            What::Engage { controller, until, .. } => {
                !self.gone(controller, e.at)
                    && !self.suspended("cloud", e.at)
                    && e.at < *until
                    && !self.past.iter().any(|old| {
                        // Public times are whole grains of 5 s.
                        matches!(old.what, What::Disengage { controller: c } if c == *controller)
                            && old.at.0 / 5000 * 5000 >= e.at.0
                    })
            }
            What::Claim { .. } => !self.gone("bank", e.at),
            What::Succeed { from } => {
                self.succession().is_none()
                    && !self.suspended("bank", e.at)
                    && !self.suspended("shop", e.at)
                    && from.0 >= e.at.0 / 5000 * 5000
            }
            What::Appoint { until, over } => {
                let guardian = self.mom_is_guardian(e.at);
                let may = match e.who {
                    Who::Kim => !self.minor(e.at),
                    Who::Mom => guardian,
                    Who::Party(_) => true,
                };
                may && guardian && self.seat().map(|s| s.id) == *over && e.at < *until
            }
            What::Dismiss => match e.who {
                Who::Kim => !self.minor(e.at),
                Who::Mom => self.mom_is_guardian(e.at),
                Who::Party(_) => true,
            },
            What::Act { act, signal, controller, purpose, class, over, by, says } => {
                if e.who == Who::Mom && !self.mom_may(*by, e.at) {
                    return false;
                }
                if (controller.is_none() || purpose.is_none()) && !["object", "lift"].contains(act) {
                    return false;
                }
                let seen = self.slot(*controller, *purpose, *class);
                let opening = ["grant", "attest", "lift", "resume"].contains(act);
                if *signal || !opening {
                    return TABLE[&seen.at(e.at)][*act] != "-";
                }
                if seen.last != *over || TABLE[&seen.at(e.at)][*act] == "-" {
                    return false;
                }
                match says {
                    Some(says) => {
                        let (c, p) = (controller.unwrap(), purpose.unwrap());
                        let open = !self.objected(*controller, *purpose, *class)
                            && !self.gone(c, e.at)
                            && says.fetch <= says.keep
                            && e.at < says.keep;
                        open && self.in_force(e.at).all(|law| pack_takes(law, *class, says))
                            && (*act == "attest" || self.notice_says(c, p, *class, says, e.at))
                    }
                    None => true,
                }
            }
        }
    }

    fn mom_may(&self, by: Option<StatementId>, at: Timestamp) -> bool {
        let appointed = self.seat().is_some_and(|e| match e.what {
            What::Appoint { until, .. } => Some(e.id) == by && at < until,
            _ => false,
        });
        appointed && self.mom_is_guardian(at)
    }

    fn notice_says(&self, c: &str, p: &str, k: DataClass, says: &Says, at: Timestamp) -> bool {
        let (_, controller) = self.notices[says.notice];
        let anonymous = k == DataClass::Anonymous;
        let asked = if anonymous { p == RESEARCH } else { k != DataClass::RealName || p == MARKETING };
        controller == c
            && !self.retired(says.notice)
            && asked
            && (!anonymous || says.actions.iter().all(|a| *a == Action::Anonymise))
            && says.recipients.iter().all(|r| ["lab", "shop"].contains(r))
            && says.categories.contains(&INCOME)
            && says.countries.iter().all(|x| {
                // Home, told in the notice, or recognised by every pack.
                ["KR", "US"].contains(x) || (*x == "DE" && self.in_force(at).all(|law| law == Law::Open))
            })
            && says.keep <= at.plus_ms(365 * DAY)
    }

    fn in_force(&self, at: Timestamp) -> impl Iterator<Item = Law> {
        self.laws.iter().filter(move |(_, from)| *from <= at).map(|(law, _)| *law)
    }

    /// The decision under every pack in force: the first that denies, else what the first one permits.
    fn decide(&self, q: &Question, at: Timestamp) -> Decided {
        let under = |law: Law| {
            let (reason, basis, until) = self.decide_under(law, q, at);
            Decided { reason, basis, until, pack: law.name() }
        };
        let all: Vec<Decided> = self.in_force(at).map(under).collect();
        let denial = all.iter().find(|d| !d.reason.permits());
        denial.unwrap_or(&all[0]).clone()
    }

    /// The decision under one pack, line by line as design §6 lists the reasons.
    fn decide_under(
        &self,
        law: Law,
        q: &Question,
        at: Timestamp,
    ) -> (Reason, Option<StatementId>, Option<Timestamp>) {
        let deny = |reason| (reason, None, None);
        let c = q.controller.as_str();
        let succeeded = self.succeeded(c, at);
        if self.suspended(c, at) || (succeeded && self.suspended("shop", at)) {
            return deny(Reason::PartySuspended);
        }
        let action = match q.action {
            AskedAction::Grantable(Action::Combine)
            | AskedAction::Link
            | AskedAction::Match
            | AskedAction::Reidentify => return deny(Reason::ReidentificationBlocked),
            AskedAction::Grantable(action) => action,
        };
        let own: Vec<usize> = (0..self.notices.len()).filter(|n| self.notices[*n].1 == c).collect();
        if own.is_empty() || !PURPOSES.contains(&q.purpose.as_str()) {
            return deny(Reason::PurposeMismatch);
        }
        let live: Vec<usize> = own.into_iter().filter(|n| !self.retired(*n)).collect();
        if live.is_empty() {
            return deny(Reason::NoticeRetired);
        }
        let class = match q.class {
            DataClass::RealName => q.purpose == MARKETING,
            DataClass::Pseudonymous => true,
            DataClass::Anonymous => q.purpose == RESEARCH && action == Action::Anonymise,
        };
        if !class {
            return deny(Reason::ClassNotEstablished);
        }
        let (cc, pp) = (Some(c), Some(q.purpose.as_str()));
        if self.objected(cc, pp, q.class) {
            return deny(Reason::Objected);
        }
        let four = [(cc, pp), (cc, None), (None, pp), (None, None)];
        let alone = four.iter().flat_map(|(x, y)| self.slot(*x, *y, q.class).alone);
        if alone.into_iter().any(|since| self.minor(since)) {
            return deny(Reason::MinorWithoutGuardian);
        }
        let seen = self.slot(cc, pp, q.class);
        let state = match seen.at(at).as_str() {
            "fresh" | "none" => Err(Reason::ConsentNotGiven),
            "disputed" => Err(Reason::ConsentDisputed),
            "refused" => Err(Reason::ConsentRefused),
            "withdrawn" => Err(Reason::ConsentWithdrawn),
            "paused-grant" | "paused-attest" => Err(Reason::ConsentPaused),
            "expired" => Err(Reason::ConsentExpired),
            "granted" => Ok(Reason::ConsentGiven),
            "attested" => Ok(Reason::ConsentAttested),
            other => panic!("{other}"),
        };
        let fetching = [Action::Collect, Action::Share, Action::TransferAbroad].contains(&action);
        let end = seen.says.as_ref().map(|(_, s)| if fetching { s.fetch } else { s.keep });
        let state = match (state, end) {
            (Ok(_), Some(end)) if at >= end => Err(Reason::ConsentExpired),
            (state, _) => state,
        };
        let permit = match state {
            Ok(permit) => permit,
            Err(reason) if succeeded => return deny(reason),
            Err(Reason::ConsentNotGiven) if q.class == DataClass::Anonymous => {
                return deny(Reason::OptOutDefaultAllow);
            }
            Err(reason) if self.claimed(law, q, action, &live) => {
                let _ = reason;
                return deny(Reason::StatutoryException);
            }
            Err(reason) => return deny(reason),
        };
        let (basis, says) = seen.says.unwrap();
        match against(law, &says, q, action) {
            Some(reason) => deny(reason),
            None => (permit, Some(basis), end),
        }
    }

    /// Only notices of `Claim` claim.
    fn claimed(&self, law: Law, q: &Question, action: Action, live: &[usize]) -> bool {
        live.iter().any(|n| self.claims.get(n).is_some_and(|laws| laws.contains(&law)))
            && (q.class, q.purpose.as_str()) == (DataClass::Pseudonymous, RESEARCH)
            && [Action::Use, Action::Share].contains(&action)
            && match &q.recipient {
                Some(party) => ["lab", "shop"].contains(&party.as_str()),
                None => action != Action::Share,
            }
            && q.categories.iter().all(|x| [INCOME, AGE].contains(&x.as_str()))
            && q.jurisdiction.as_deref().is_none_or(|x| x == "KR")
    }

    fn acquainted(&self, name: &str) -> bool {
        self.past.iter().any(|e| match &e.what {
            What::Act { controller, signal, .. } => {
                *controller == Some(name)
                    || (*signal && matches!(e.who, Who::Party(carrier) if carrier == name))
            }
            _ => false,
        })
    }
}

/// What the naive implementation answers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decided {
    reason: Reason,
    basis: Option<StatementId>,
    until: Option<Timestamp>,
    pack: &'static str,
}

impl Seen {
    /// The row of the table at an instant.
    fn at(&self, at: Timestamp) -> String {
        let standing = ["granted", "attested", "disputed", "paused-grant", "paused-attest"];
        let over = self.says.as_ref().is_some_and(|(_, s)| at >= s.keep);
        if standing.contains(&self.state.as_str()) && over { "expired".into() } else { self.state.clone() }
    }
}

/// What each pack takes of a grant, in words.
fn pack_takes(law: Law, class: DataClass, says: &Says) -> bool {
    let alone: &[Action] = match (class, law) {
        (DataClass::RealName, _) | (DataClass::Pseudonymous, Law::Korean) => &[Action::TransferAbroad],
        (DataClass::Pseudonymous, Law::Home | Law::Open) => {
            &[Action::Profile, Action::Combine, Action::TransferAbroad]
        }
        (DataClass::Anonymous, _) => &[],
    };
    let mixed = says.actions.len() > 1 && says.actions.iter().any(|a| alone.contains(a));
    let nobody = class == DataClass::Pseudonymous && law != Law::Korean && says.recipients.is_empty();
    let abroad = says.countries.iter().any(|c| *c != "KR");
    let nowhere = says.actions.contains(&Action::TransferAbroad) && !abroad;
    let closed = law == Law::Open && says.countries.contains(&"KP");
    !mixed && !nobody && !nowhere && !closed
}

fn against(law: Law, says: &Says, q: &Question, action: Action) -> Option<Reason> {
    let named = match &q.recipient {
        Some(party) => says.recipients.contains(&party.as_str()),
        None if action == Action::Share => false,
        None if action == Action::TransferAbroad => says.recipients.is_empty(),
        None => true,
    };
    if !named {
        return Some(Reason::RecipientMismatch);
    }
    if q.categories.iter().any(|c| !says.categories.contains(&c.as_str())) {
        return Some(Reason::CategoryNotCovered);
    }
    if !says.actions.contains(&action) {
        return Some(Reason::ActionNotCovered);
    }
    if let Some(country) = q.jurisdiction.as_deref() {
        let listed = says.countries.contains(&country);
        let covered = match country {
            "KR" => true,
            "DE" if law == Law::Open => listed,
            "KP" if law == Law::Open => false,
            _ => listed && says.actions.contains(&Action::TransferAbroad),
        };
        if !covered {
            return Some(Reason::CrossBorderNotCovered);
        }
    }
    says.limited.then_some(Reason::UseIdRequired)
}

/// One step of a random history, before ids and instants are known.
#[derive(Clone, Debug)]
struct Draft {
    /// Later than the step before, ms.
    later: u64,
    kind: u8,
    act: &'static str,
    who: u8,
    controller: Option<&'static str>,
    purpose: Option<&'static str>,
    class: DataClass,
    /// Which `over`: right, null, or that of an earlier event.
    over: u8,
    actions: Vec<Action>,
    recipients: Vec<&'static str>,
    categories: Vec<&'static str>,
    countries: Vec<&'static str>,
    fetch: u64,
    keep: u64,
    limited: bool,
    notice: usize,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop_oneof![
        4 => Just(vec![Action::Collect, Action::Use, Action::Share]),
        2 => Just(vec![Action::Use]),
        1 => Just(vec![Action::TransferAbroad]),
        1 => Just(vec![Action::Anonymise]),
        1 => Just(vec![Action::Use, Action::Profile]),
        1 => Just(vec![Action::Use, Action::TransferAbroad]),
    ]
}

fn class() -> impl Strategy<Value = DataClass> {
    select(&[DataClass::RealName, DataClass::RealName, DataClass::Pseudonymous, DataClass::Anonymous][..])
}

fn draft() -> impl Strategy<Value = Draft> {
    let acts = &[
        "grant", "grant", "grant", "grant", "grant", "grant", "grant", "grant", "attest", "attest", "attest",
        "refuse", "withdraw", "object", "lift", "lift", "pause", "resume", "resume", "dispute",
    ][..];
    let place = (
        prop_oneof![12 => Just(Some("bank")), 1 => Just(Some("shop")), 1 => Just(None)],
        prop_oneof![9 => Just(Some(MARKETING)), 3 => Just(Some(RESEARCH)), 1 => Just(None)],
        class(),
    );
    let says = (
        actions(),
        prop_oneof![
            5 => Just(vec!["lab"]),
            5 => Just(vec!["lab", "shop"]),
            1 => Just(vec![]),
            1 => Just(vec!["hospital"]),
        ],
        prop_oneof![6 => Just(vec![INCOME, AGE]), 3 => Just(vec![INCOME]), 1 => Just(vec![AGE])],
        prop_oneof![
            5 => Just(vec!["KR"]),
            3 => Just(vec!["KR", "US"]),
            3 => Just(vec!["DE"]),
            1 => Just(vec![]),
            1 => Just(vec!["KP"]),
        ],
        select(vec![HOUR, 4 * DAY, 4 * DAY, 35 * DAY, 35 * DAY, 41 * DAY]),
        select(vec![HOUR, 4 * DAY, 40 * DAY, 40 * DAY, 40 * DAY, 40 * DAY, 400 * DAY]),
        prop::bool::weighted(0.2),
        select(vec![0usize, 0, 0, 0, 0, 0, 0, 1, 2]),
    );
    let steps = (select(vec![0, 1, HOUR, HOUR, DAY, 3 * DAY]), 0u8..40, select(acts), 0u8..12, 0u8..16);
    (steps, place, says).prop_map(|((later, kind, act, who, over), (controller, purpose, class), s)| {
        let (actions, recipients, categories, countries, fetch, keep, limited, notice) = s;
        Draft {
            later,
            kind,
            act,
            who,
            controller,
            purpose,
            class,
            over,
            actions,
            recipients,
            categories,
            countries,
            fetch,
            keep,
            limited,
            notice,
        }
    })
}

fn asked() -> impl Strategy<Value = (Question, u64)> {
    let action = prop_oneof![
        6 => select(&Action::ALL[..]).prop_map(AskedAction::Grantable),
        12 => select(&[Action::Use, Action::Share, Action::Collect][..]).prop_map(AskedAction::Grantable),
        3 => Just(AskedAction::Grantable(Action::Anonymise)),
        1 => Just(AskedAction::Link),
    ];
    let purpose = prop_oneof![12 => Just(MARKETING), 4 => Just(RESEARCH), 1 => Just(SERVICE)];
    (
        action,
        purpose,
        class(),
        prop_oneof![10 => Just("bank"), 1 => Just("shop"), 1 => Just("hospital")],
        select(vec![vec![INCOME], vec![INCOME], vec![], vec![INCOME, AGE], vec!["pd:Health"]]),
        select(vec![Some("lab"), Some("lab"), Some("lab"), None, None, Some("hospital")]),
        select(vec![None, None, None, None, Some("KR"), Some("US"), Some("DE"), Some("KP")]),
        select(vec![0, 0, 0, HOUR, 2 * DAY, 30 * DAY, 60 * DAY]),
    )
        .prop_map(|(action, purpose, class, controller, categories, recipient, country, later)| {
            let q = Question {
                controller: party(controller),
                action,
                purpose: purpose.into(),
                class,
                categories: categories.into_iter().map(str::to_owned).collect(),
                recipient: recipient.map(party),
                jurisdiction: country.map(str::to_owned),
                use_id: None,
            };
            (q, later)
        })
}

/// Both implementations side by side.
#[derive(Clone)]
struct Pair {
    w: World,
    kim: Person,
    mom: Person,
    naive: Naive,
    /// Every slot act that took effect, as it was placed, with who signed.
    placed: Vec<(Recorded, Who)>,
}

/// The start of all histories under some packs of genesis.
fn start(texts: &[&str], laws: &[Law]) -> Pair {
    let mut w = World::new(texts);
    let mut naive = Naive { laws: laws.iter().map(|law| (*law, Timestamp(0))).collect(), ..Naive::default() };
    naive.notices.push((w.publish(), "bank"));
    let s = w.notice("shop", "main", usual_purposes());
    w.public("shop", &[], s);
    naive.notices.push((w.last(), "shop"));
    let (kim, mom) = (w.person("kim"), w.person("mom"));
    Pair { w, kim, mom, naive, placed: Vec::new() }
}

static START: LazyLock<Pair> = LazyLock::new(|| start(&[&open_pack_text()], &[Law::Open]));

/// Home rule and Korean act side by side.
static BOTH: LazyLock<Pair> =
    LazyLock::new(|| start(&[kcern_2018(), kr_pipa_2026()], &[Law::Home, Law::Korean]));

/// The Korean act, and a second pack that takes force amid the histories.
static CHANGING: LazyLock<Pair> = LazyLock::new(|| {
    let mut pair = start(&[kr_pipa_2026()], &[Law::Korean]);
    let from = T0.plus_ms(ADOPTED_BEFORE_MS * 4);
    assert_eq!(pair.w.adopt(&open_pack_text(), from), Effect::Applied(Touched::Register));
    pair.naive.laws.push((Law::Open, from));
    pair
});

impl Pair {
    fn who(&self, d: &Draft) -> Who {
        match d.who {
            0..=6 => Who::Kim,
            7..=9 => Who::Mom,
            _ => Who::Party("lab"),
        }
    }

    /// Turns a draft into an event that stands next.
    fn event(&self, d: &Draft) -> Event {
        let at = self.w.now;
        let who = self.who(d);
        let (who, what) = match d.kind {
            0 => {
                (Who::Party("idp"), What::Word { minor_until: Some(at.plus_ms(d.keep)), guardian: d.who < 9 })
            }
            1 => {
                let minor_until = (d.who < 6).then_some(at);
                (Who::Party("idp"), What::Word { minor_until, guardian: d.who.is_multiple_of(2) })
            }
            2 | 3 => {
                let who = if matches!(who, Who::Party(_)) { Who::Party("kisa") } else { who };
                let right = self.naive.seat().map(|e| e.id);
                let over = if d.over == 0 { None } else { right };
                (who, What::Appoint { until: at.plus_ms(d.fetch), over })
            }
            4 if d.over < 3 => {
                let who = if matches!(who, Who::Party(_)) { Who::Party("kisa") } else { who };
                (who, What::Dismiss)
            }
            5 if d.over < 3 => {
                let party = if d.who == 11 { "cloud" } else { CONTROLLERS[d.notice % 2] };
                (Who::Party("kisa"), What::Suspend { party, until: at.plus_ms(d.fetch.min(DAY)) })
            }
            6 if d.over < 3 => {
                let notice = d.notice.min(self.naive.notices.len() - 1);
                (Who::Party(self.naive.notices[notice].1), What::Retire { notice })
            }
            7 => {
                let claimable =
                    self.naive.laws.iter().map(|(law, _)| *law).filter(|l| l.exception().is_some());
                let all = d.over.is_multiple_of(2);
                (Who::Party("bank"), What::Claim { laws: claimable.take(if all { 9 } else { 1 }).collect() })
            }
            8 if d.over < 12 => {
                let purpose = if d.who < 4 { None } else { Some(PURPOSES[usize::from(d.who) % 2]) };
                let until = at.plus_ms(d.keep);
                (Who::Party("bank"), What::Engage { controller: "bank", purpose, until })
            }
            8 => {
                let side = if d.who < 6 { "bank" } else { "cloud" };
                (Who::Party(side), What::Disengage { controller: "bank" })
            }
            9 if d.over < 6 => {
                let from = if d.who == 0 { at.minus_ms(DAY) } else { at.plus_ms(d.later) };
                (Who::Party("bank"), What::Succeed { from })
            }
            _ => self.act(d, who),
        };
        let mut w = self.w.clone();
        w.index += 1;
        Event { id: w.last(), at, who, what }
    }

    fn act(&self, d: &Draft, who: Who) -> (Who, What) {
        let at = self.w.now;
        let signal = matches!(who, Who::Party(_));
        let (act, mut who) = (d.act, who);
        if act == "attest" {
            who = Who::Party(if d.controller == Some("shop") { "shop" } else { "bank" });
        } else if signal && !["withdraw", "object", "pause", "refuse"].contains(&act) {
            who = Who::Kim;
        }
        let signal = matches!(who, Who::Party(_)) && act != "attest";
        let wide = ["object", "lift"].contains(&act);
        let controller = if wide { d.controller } else { Some(d.controller.unwrap_or("bank")) };
        let purpose = if wide { d.purpose } else { Some(d.purpose.unwrap_or(MARKETING)) };
        let over = match d.over {
            0 => None,
            1 => self.naive.past.get(usize::from(d.who)).map(|e| e.id),
            _ => self.naive.slot(controller, purpose, d.class).last,
        };
        let by = match (who, self.naive.seat()) {
            (Who::Mom, Some(e)) => Some(e.id),
            (Who::Mom, None) => Some(StatementId([3; 32])),
            _ => None,
        };
        let says = ["grant", "attest"].contains(&act).then(|| Says {
            actions: d.actions.clone(),
            recipients: d.recipients.clone(),
            categories: d.categories.clone(),
            countries: d.countries.clone(),
            fetch: at.plus_ms(d.fetch),
            keep: at.plus_ms(d.keep),
            limited: d.limited && act == "grant",
            notice: d.notice.min(self.naive.notices.len() - 1),
        });
        (who, What::Act { act, signal, controller, purpose, class: d.class, over, by, says })
    }

    /// The statement that says it.
    fn statement(&self, e: &Event) -> Statement {
        match &e.what {
            What::Word { minor_until, guardian } => {
                subject_attest("idp", *minor_until, guardian.then_some("mom")).into()
            }
            What::Appoint { until, over } => {
                let kinds: Vec<Kind> = [
                    "consent.grant",
                    "consent.refuse",
                    "consent.withdraw",
                    "consent.object",
                    "consent.lift",
                    "consent.pause",
                    "consent.resume",
                    "consent.dispute",
                ]
                .iter()
                .map(|k| Kind::parse(k).unwrap())
                .collect();
                let mut s = delegation("mom", "guardian", &kinds, *until);
                s.over = *over;
                s.into()
            }
            What::Dismiss => delegation_end("mom").into(),
            What::Suspend { party, until } => suspend(party, Some(*until)).into(),
            What::Retire { notice } => retire(self.naive.notices[*notice].0).into(),
            What::Engage { purpose, until, .. } => engage(&self.w, purpose.as_slice(), Some(*until)).into(),
            What::Disengage { controller } => disengage(controller).into(),
            What::Succeed { from } => {
                let mut s = succeed(&self.w, "bank", "shop");
                s.from = *from;
                s.into()
            }
            What::Claim { laws } => {
                let mut s = self.w.notice("bank", &format!("claim-{}", self.w.index), usual_purposes());
                s.claims = laws
                    .iter()
                    .map(|law| Claim {
                        rule: format!("{}#{}", law.name(), law.exception().unwrap()),
                        purpose: RESEARCH.into(),
                        reason: "r".into(),
                    })
                    .collect();
                s.into()
            }
            What::Act { act, signal: carried, controller, purpose, class, over, by, says } => {
                let (c, p) = (controller.unwrap_or("*"), purpose.unwrap_or("*"));
                if *carried {
                    let act = match *act {
                        "withdraw" => SignalAct::Withdraw,
                        "object" => SignalAct::Object,
                        "pause" => SignalAct::Pause,
                        _ => SignalAct::Refuse,
                    };
                    return signal(act, c, p, *class).into();
                }
                self.own_act(act, (c, p, *class), *over, *by, says.as_ref())
            }
        }
    }

    fn own_act(
        &self,
        act: &str,
        (c, p, class): (&str, &str, DataClass),
        over: Option<StatementId>,
        by: Option<StatementId>,
        says: Option<&Says>,
    ) -> Statement {
        macro_rules! by {
            ($s:expr) => {{
                let mut s = $s;
                s.by = by;
                s.into()
            }};
        }
        match act {
            "refuse" => by!(refuse(c, p, class)),
            "withdraw" => by!(withdraw(c, p, class)),
            "object" => by!(object(c, p, class)),
            "lift" => by!(lift(c, p, class, over)),
            "pause" => by!(pause(c, p, class)),
            "dispute" => by!(dispute(c, p, class)),
            "resume" => {
                let mut s = resume(c, p, class);
                s.over = over;
                by!(s)
            }
            _ => {
                let says = says.unwrap();
                let mut s = self.w.grant(self.naive.notices[says.notice].0, over);
                s.controller = party(c);
                s.purpose = p.into();
                s.class = class;
                s.actions = says.actions.clone();
                s.recipients = says.recipients.iter().map(|r| party(r)).collect();
                s.categories = says.categories.iter().map(|&x| x.to_owned()).collect();
                s.jurisdictions = says.countries.iter().map(|&x| x.to_owned()).collect();
                (s.fetch_until, s.keep_until) = (says.fetch, says.keep);
                s.limits = says.limited.then(|| Limits { count: Some(1), ..Limits::default() });
                if act == "attest" { attest(&s).into() } else { by!(s) }
            }
        }
    }

    /// Takes one step in both; answers whether it took effect, and panics where they differ.
    fn step(&mut self, d: &Draft) -> bool {
        self.w.now = self.w.now.plus_ms(d.later);
        let e = self.event(d);
        let expected = self.naive.takes(&e);
        let s = self.statement(&e);
        let public = s.kind().is_public();
        let signer = match e.who {
            Who::Kim => "kim",
            Who::Mom => "mom",
            Who::Party(name) => name,
        };
        let contract = matches!(e.what, What::Engage { .. } | What::Disengage { .. } | What::Succeed { .. });
        let endorsers: &[&str] = if contract { &["operator"] } else { &[] };
        let recorded = self.w.place(signer, endorsers, s);
        assert_eq!(recorded.id(), e.id);
        let effect = if public { self.w.register.apply(&recorded) } else { self.apply(&recorded, e.who) };
        assert_eq!(effect.touched().is_some(), expected, "{effect:?}\n{e:?}\nafter {:#?}", self.naive.past);
        if expected {
            if let What::Claim { laws } = &e.what {
                self.naive.claims.insert(self.naive.notices.len(), laws.clone());
                self.naive.notices.push((e.id, "bank"));
            }
            if matches!(e.what, What::Act { .. }) {
                self.placed.push((recorded, e.who));
            }
            self.naive.past.push(e);
        }
        expected
    }

    fn apply(&mut self, recorded: &Recorded, who: Who) -> Effect {
        let mom = self.mom.clone();
        let actor = match who {
            Who::Kim => Actor::Own,
            Who::Mom => Actor::Delegate(&mom),
            Who::Party(name) => Actor::Party(party(name)),
        };
        self.kim.apply(&self.w.register, &actor, recorded)
    }

    /// Every other question, asked of a slot she has.
    fn near(&self, q: &Question, nth: usize) -> Question {
        let mut q = q.clone();
        let exact = self.kim.slots().filter_map(|(key, _)| match (&key.controller, &key.purpose) {
            (Scope::One(c), Scope::One(p)) => Some((c, p, key.class)),
            _ => None,
        });
        let exact: Vec<_> = exact.collect();
        if nth.is_multiple_of(2) && !exact.is_empty() {
            let (c, p, k) = exact[nth / 2 % exact.len()];
            (q.controller, q.purpose, q.class) = (party(c), p.clone(), k);
        }
        q
    }

    fn reason(&self, q: &Question, at: Timestamp) -> Reason {
        decide_here(&self.w.register, Some(&self.kim), q, at).reason
    }
}

fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn history() -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(), 0..28)
}

fn told(drafts: &[Draft]) -> Pair {
    let mut pair = START.clone();
    for d in drafts {
        pair.step(d);
    }
    pair
}

/// Runs both implementations over random histories; answers how often each outcome was seen.
fn compare(start: &Pair, cases: u32) -> BTreeMap<&'static str, u32> {
    let seen = RefCell::new(BTreeMap::<&str, u32>::new());
    let count = |what: &'static str| *seen.borrow_mut().entry(what).or_default() += 1;
    let questions = prop::collection::vec(asked(), 12);
    let run = runner(cases).run(&(history(), questions), |(drafts, questions)| {
        let mut pair = start.clone();
        for d in &drafts {
            count(if pair.step(d) { "applied" } else { "inert" });
        }
        for (nth, (q, later)) in questions.iter().enumerate() {
            let q = &pair.near(q, nth);
            let at = pair.w.now.plus_ms(*later);
            let d = decide_here(&pair.w.register, Some(&pair.kim), q, at);
            let naive = pair.naive.decide(q, at);
            prop_assert_eq!(d.reason, naive.reason, "{:?} after {:#?}", q, pair.naive.past);
            prop_assert_eq!(d.basis, naive.basis);
            prop_assert_eq!(d.until, naive.until);
            prop_assert_eq!(&*d.pack, naive.pack);
            prop_assert_eq!(d.acquainted, pair.naive.acquainted(q.controller.as_str()));
            count(naive.reason.as_str());
            count(naive.pack);
            let acts = pair.w.register.acts_for(&party("cloud"), &q.controller, Some(&q.purpose), at);
            prop_assert_eq!(acts, pair.naive.cloud_acts_for(q.controller.as_str(), &q.purpose, at));
            count(if acts { "cloud asks" } else { "cloud does not" });
        }
        Ok(())
    });
    run.unwrap();
    seen.into_inner()
}

/// A comparison that never reached a reason says nothing of it.
fn reached_all_but(seen: &BTreeMap<&str, u32>, but: &[Reason]) {
    let unreached: BTreeSet<Reason> =
        Reason::ALL.iter().copied().filter(|r| !seen.contains_key(r.as_str())).collect();
    let never = [Reason::UsageLimitReached, Reason::SubjectUnknown, Reason::LogUnavailable];
    assert_eq!(unreached, never.iter().chain(but).copied().collect(), "{seen:?}");
}

#[test]
fn fold_and_decision_agree_with_the_naive_ones() {
    let seen = compare(&START, 6000);
    reached_all_but(&seen, &[]);
    assert!(seen["applied"] > 20_000 && seen["inert"] > 5_000, "{seen:?}");
    assert!(seen.values().all(|n| *n >= 50), "{seen:?}");
}

#[test]
fn they_agree_under_the_home_rule_and_the_korean_act_together() {
    let seen = compare(&BOTH, 2500);
    // What one pack excepts, the other denies.
    reached_all_but(&seen, &[Reason::StatutoryException]);
    assert!(seen["kcern-2018"] > 1_000, "{seen:?}");
    assert!(seen.values().all(|n| *n >= 20), "{seen:?}");
}

#[test]
fn they_agree_before_and_after_another_pack_takes_force() {
    let seen = compare(&CHANGING, 2500);
    reached_all_but(&seen, &[]);
    assert!(seen["kr-pipa-2026"] > 1_000 && seen["open"] > 10, "{seen:?}");
}

#[test]
fn a_withdrawal_is_never_refused_and_denies() {
    let place = (select(&CONTROLLERS[..]), select(&PURPOSES[..]), class());
    let run = runner(1500).run(&(history(), place, asked()), |(drafts, (c, p, k), (mut q, later))| {
        let mut pair = told(&drafts);
        let recorded = pair.w.place("kim", &[], withdraw(c, p, k));
        prop_assert!(pair.apply(&recorded, Who::Kim).touched().is_some());
        (q.controller, q.purpose, q.class) = (party(c), p.into(), k);
        let reason = pair.reason(&q, pair.w.now.plus_ms(later));
        prop_assert!(!reason.permits() || reason == Reason::StatutoryException, "{:?}", reason);
        Ok(())
    });
    run.unwrap();
}

#[test]
fn nothing_unrelated_and_nothing_closing_turns_a_denial_into_consent() {
    let closing = &["refuse", "withdraw", "object", "pause", "dispute"][..];
    let more = (select(closing), prop::bool::ANY, class(), select(&CONTROLLERS[..]), select(&PURPOSES[..]));
    let run =
        runner(1500).run(&(history(), more, asked()), |(drafts, (act, carried, k, c, p), (q, later))| {
            let mut pair = told(&drafts);
            let at = pair.w.now.plus_ms(later);
            let before = pair.reason(&q, at);
            // Closing acts, wherever they close.
            let mut closed = pair.clone();
            let s = closed.own_act(act, (c, p, k), None, None, None);
            let carried = carried && ["refuse", "withdraw", "object", "pause"].contains(&act);
            let effect = if carried {
                let what = match act {
                    "refuse" => SignalAct::Refuse,
                    "withdraw" => SignalAct::Withdraw,
                    "pause" => SignalAct::Pause,
                    _ => SignalAct::Object,
                };
                let recorded = closed.w.place("lab", &[], signal(what, c, p, k));
                closed.apply(&recorded, Who::Party("lab"))
            } else {
                let recorded = closed.w.place("kim", &[], s);
                closed.apply(&recorded, Who::Kim)
            };
            prop_assert!(effect.touched().is_some());
            let after = closed.reason(&q, at);
            // An exception does not rest on her word: when a minor's own word is gone, the law speaks again.
            let lawful = after == Reason::StatutoryException;
            prop_assert!(before.permits() || !after.permits() || lawful, "{:?} -> {:?}", before, after);
            // A grant in another slot.
            let elsewhere = q.controller.as_str() != c || q.purpose != p || q.class != k;
            let over = pair.kim.slot(&naru::consent::SlotKey::exact(&party(c), p, k)).and_then(|s| s.last);
            let notice = usize::from(c == "shop");
            let mut s = pair.w.grant(pair.naive.notices[notice].0, over);
            (s.controller, s.purpose, s.class) = (party(c), p.into(), k);
            if k == DataClass::Anonymous {
                s.actions = vec![Action::Anonymise];
            }
            let recorded = pair.w.place("kim", &[], s);
            let _ = pair.apply(&recorded, Who::Kim);
            if elsewhere {
                prop_assert_eq!(pair.reason(&q, at), before);
            }
            Ok(())
        });
    run.unwrap();
}

#[test]
fn what_took_effect_once_does_not_come_again() {
    let run = runner(800).run(&history(), |drafts| {
        let mut pair = told(&drafts);
        let placed = pair.placed.clone();
        for (recorded, who) in &placed {
            if recorded.statement().kind().bearing() != Bearing::Opening {
                continue;
            }
            let signed = recorded.signed().clone();
            let again = Recorded::assertion(recorded.statement().clone(), signed, pair.w.index, pair.w.now);
            let before = pair.kim.clone();
            prop_assert!(pair.apply(&again, *who).why().is_some());
            prop_assert_eq!(&before, &pair.kim);
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn an_act_leaves_every_slot_but_its_own() {
    let run = runner(800).run(&(history(), draft()), |(drafts, d)| {
        let mut pair = told(&drafts);
        let before = pair.kim.clone();
        let mut clone = pair.clone();
        clone.w.now = clone.w.now.plus_ms(d.later);
        let e = clone.event(&d);
        pair.step(&d);
        let What::Act { controller, purpose, class, .. } = e.what else { return Ok(()) };
        for (key, slot) in pair.kim.slots() {
            let scope = |s: Option<&str>| Scope::from(s.unwrap_or("*").to_owned());
            if (&key.controller, &key.purpose, key.class) != (&scope(controller), &scope(purpose), class) {
                prop_assert_eq!(Some(slot), before.slot(key));
            }
        }
        prop_assert_eq!(before.core(), pair.kim.core());
        Ok(())
    });
    run.unwrap();
}

#[test]
fn a_decision_depends_on_its_arguments_and_rows_hold_all_of_it() {
    let run = runner(500).run(&(history(), asked()), |(drafts, (q, later))| {
        let pair = told(&drafts);
        let at = pair.w.now.plus_ms(later);
        let first = decide_here(&pair.w.register, Some(&pair.kim), &q, at);
        let rows = pair.kim.slots().map(|(k, s)| (k.clone(), s.clone()));
        let stored = Person::from_parts(pair.kim.subject(), pair.kim.core().clone(), rows);
        prop_assert_eq!(&stored, &pair.kim);
        let register: naru::consent::Register =
            serde_cbor::from_slice(&serde_cbor::to_vec(&pair.w.register).unwrap()).unwrap();
        let register = register.attach(Arc::new(Vocabulary::embedded().unwrap()), pair.w.files());
        prop_assert_eq!(decide_here(&register, Some(&stored), &q, at), first.clone());
        prop_assert_eq!(decide_here(&pair.w.register, Some(&pair.kim), &q, at), first);
        Ok(())
    });
    run.unwrap();
}
