//! Who claims which exception, and which uses by one are still to be justified.
//!
//! Claims are read from the register. Uses that an exception permitted before its
//! reasons were given are kept in memory; those of before the start are read from the
//! use lines when somebody first asks for the list. An answer says since when it looks,
//! and whether it saw all. Lacks: uses of other front ends, and without a use log those
//! of before the start.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::consent::Claimed;
use crate::consent::Excepted;
use crate::consent::Justification;
use crate::consent::Standing;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::pack::Confidence;
use crate::model::pack::Line;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::DataClass;
use crate::model::vocabulary::Role;
use crate::node::Error;
use crate::node::Inner;
use crate::store::Name;
use crate::vault::Pointed;

/// Most uses kept; of more, the newest are counted and not kept.
const MOST: usize = 65_536;

/// Uses permitted first.
#[derive(Debug)]
pub(in crate::node) struct Uses {
    start: Timestamp,
    kept: Mutex<Kept>,
    /// Whether lines of before the start were read; held while they are.
    looked_back: Mutex<bool>,
}

#[derive(Debug)]
struct Kept {
    since: Timestamp,
    uses: Vec<(Pointed, Excepted)>,
    whole: bool,
}

impl Kept {
    fn push(&mut self, who: Pointed, excepted: Excepted) {
        if self.uses.len() < MOST {
            self.uses.push((who, excepted));
        } else {
            self.whole = false;
        }
    }
}

impl Uses {
    pub(in crate::node) const fn new(start: Timestamp) -> Self {
        let kept = Kept { since: start, uses: Vec::new(), whole: true };
        Self { start, kept: Mutex::new(kept), looked_back: Mutex::new(false) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::node) fn note(&self, who: Pointed, excepted: Excepted) {
        self.kept().push(who, excepted);
    }

    /// Nothing is kept of the erased.
    pub(in crate::node) fn forget(&self, subject: &SubjectId) {
        self.kept().uses.retain(|(who, _)| who.subject != *subject);
    }

    /// Those of `mine`, since when, and whether all since then are among them.
    fn those(&self, mine: impl Fn(&Pointed, &Excepted) -> bool) -> Found {
        let kept = self.kept();
        let uses = kept.uses.iter().filter(|(who, e)| mine(who, e)).cloned().collect();
        Found { since: kept.since, whole: kept.whole, uses }
    }
}

/// Uses as they were kept.
struct Found {
    since: Timestamp,
    whole: bool,
    uses: Vec<(Pointed, Excepted)>,
}

/// An exception as a controller claims it, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who claims it.
    pub controller: PartyId,
    /// The notice that does.
    pub notice: StatementId,
    /// Name of the pack.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The exception in it.
    pub rule: String,
    /// The article it stands in.
    pub article: String,
    /// What it says: Korean, English.
    pub texts: (String, String),
    /// Where that comes from.
    pub source: String,
    /// How well it is grounded.
    pub confidence: Confidence,
    /// For which purpose it is claimed.
    pub purpose: String,
    /// For which class of data.
    pub class: DataClass,
    /// Which actions it permits there.
    pub actions: Vec<Action>,
    /// Why, in the controller's words.
    pub reason: String,
    /// Whether the pack is in force; else it is adopted and still to come.
    pub in_force: bool,
    /// Within what its uses are justified, if they must be, s.
    pub justify_within_s: Option<u64>,
}

impl From<Claimed<'_>> for Claim {
    fn from(c: Claimed<'_>) -> Self {
        let asked = c.notice.asks(&c.claim.purpose, c.class).map_or(&[][..], |p| &p.actions);
        let (ko, en) = c.exception.texts();
        Self {
            controller: c.notice.says.controller.clone(),
            notice: c.notice.id,
            pack: c.pack.name().to_string(),
            version: c.pack.version(),
            rule: c.exception.id.to_string(),
            article: c.exception.article.clone(),
            texts: (ko.to_owned(), en.to_owned()),
            source: c.exception.source.clone(),
            confidence: c.exception.confidence,
            purpose: c.claim.purpose.clone(),
            class: c.class,
            actions: asked.iter().copied().filter(|a| c.exception.actions.contains(a)).collect(),
            reason: c.claim.reason.clone(),
            in_force: c.in_force,
            justify_within_s: c.exception.justify_within.map(|span| span.ms() / 1_000),
        }
    }
}

/// Uses to be justified, and how far the list can be trusted to be whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Uses before this instant are not in it.
    pub since: Timestamp,
    /// Whether all uses since then are.
    pub whole: bool,
    /// The uses, those past due first.
    pub uses: Vec<(Standing, Excepted)>,
}

/// What one party claims and owes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfParty {
    /// Its claims.
    pub claims: Vec<Claim>,
    /// What it has to justify.
    pub watched: Watched,
}

/// What is claimed on one person's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPerson {
    /// Claims of the controllers that know her, and whether an objection of hers stops it.
    pub claims: Vec<(Claim, bool)>,
    /// Uses of her data by exceptions that permit first.
    pub watched: Watched,
    /// What controllers said of such uses.
    pub justifications: Vec<Justification>,
}

impl Inner {
    /// Whether a party is a regulator in good standing.
    #[must_use]
    pub fn is_regulator(&self, party: &PartyId) -> bool {
        self.register().party(party).is_some_and(|p| p.has_role(Role::Regulator) && p.is_live(self.now()))
    }

    /// What a party claims and owes; `None` if nobody of that name is registered.
    ///
    /// # Errors
    /// The store.
    pub fn exceptions_of(&self, party: &PartyId) -> Result<Option<OfParty>, Error> {
        let register = self.register();
        if register.party(party).is_none() {
            return Ok(None);
        }
        let claims = register.claims_of(party, self.now()).into_iter().map(Claim::from).collect();
        self.look_back()?;
        let found = self.excepted.those(|_, excepted| excepted.party == *party);
        Ok(Some(OfParty { claims, watched: self.watched(found)? }))
    }

    /// What is claimed on the data of the person with this key; `None` if there is none.
    ///
    /// Reading: a controller's claim is on her data if her ppid in its domain was ever named: to her, or
    /// by a statement.
    ///
    /// # Errors
    /// The store.
    pub fn exceptions_on(&self, key: &KeyHash) -> Result<Option<OfPerson>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let register = self.register();
        let mut claims = Vec::new();
        for party in register.parties().filter(|p| p.has_role(Role::Controller)) {
            let claimed = register.claims_of(&party.id, self.now());
            if claimed.is_empty() {
                continue;
            }
            let ppid = self.pairwise(&register).ppid(Some(&party.id), &who.subject);
            if self.people.locate(&Name::Ppid(ppid.0), self.store.as_ref(), &self.vault)?.is_none() {
                continue;
            }
            for one in claimed {
                let stopped = loaded.person.objection(&party.id, &one.claim.purpose, one.class).is_some();
                claims.push((one.into(), stopped));
            }
        }
        self.look_back()?;
        let watched = self.watched(self.excepted.those(|own, _| own.subject == who.subject))?;
        Ok(Some(OfPerson { claims, watched, justifications: loaded.person.justifications().to_vec() }))
    }

    /// Reads what lines of before the start say, once: all that are kept, for what is overdue stays so.
    ///
    /// Reading: when the list is first wanted, not at the start, which would wait for it.
    fn look_back(&self) -> Result<(), Error> {
        let Uses { start, looked_back, .. } = &self.excepted;
        let mut done = looked_back.lock().unwrap_or_else(PoisonError::into_inner);
        if *done || self.uses_synced().is_none() {
            return Ok(());
        }
        let register = self.register();
        let (mut since, mut old) = (*start, Vec::new());
        // The instant of the start itself may hold lines of both: those of this process are known.
        let until = start.plus_ms(1);
        let own = self.excepted.those(|_, excepted| excepted.at == *start).uses;
        self.each_use(Timestamp(0), until, &mut |who, seen| {
            since = since.min(seen.line.t);
            if let Some(excepted) = Excepted::of_line(&register, &seen.line, seen.exact.as_ref())
                && old.len() <= MOST
                && !own.contains(&(who, excepted.clone()))
            {
                old.push((who, excepted));
            }
            Ok(())
        })?;
        let mut kept = self.excepted.kept();
        kept.since = since;
        old.into_iter().for_each(|(who, excepted)| kept.push(who, excepted));
        *done = true;
        Ok(())
    }

    /// How each use stands by what is recorded now.
    fn watched(&self, found: Found) -> Result<Watched, Error> {
        let now = self.now();
        let mut out = Vec::with_capacity(found.uses.len());
        for (who, excepted) in found.uses {
            let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
            out.push((excepted.standing(&loaded.person, now), excepted));
        }
        out.sort_unstable();
        Ok(Watched { since: found.since, whole: found.whole, uses: out })
    }
}
