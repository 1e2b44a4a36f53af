//! Who claims which exception, and which uses by one are still to be justified.
//!
//! Claims are read from the register. Uses that an exception permitted before its
//! reasons were given are kept in memory from the start of this process on, so an
//! answer says since when it looks, and whether it saw all. Lacks: uses before the
//! start and of other front ends; use lines know them.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::consent::Claimed;
use crate::consent::Excepted;
use crate::consent::Justification;
use crate::consent::Standing;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
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

/// Uses permitted first, since the start.
#[derive(Debug)]
pub(in crate::node) struct Uses {
    since: Timestamp,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    uses: Vec<(Pointed, Excepted)>,
    whole: bool,
}

impl Uses {
    pub(in crate::node) fn new(since: Timestamp) -> Self {
        Self { since, kept: Mutex::new(Kept { uses: Vec::new(), whole: true }) }
    }

    pub(in crate::node) fn note(&self, who: Pointed, excepted: Excepted) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.uses.len() < MOST {
            kept.uses.push((who, excepted));
        } else {
            kept.whole = false;
        }
    }

    /// Those of `mine`, and whether all since the start are among the kept.
    fn those(&self, mine: impl Fn(&Pointed, &Excepted) -> bool) -> (Vec<(Pointed, Excepted)>, bool) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.uses.iter().filter(|(who, e)| mine(who, e)).cloned().collect(), kept.whole)
    }
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
        let (uses, whole) = self.excepted.those(|_, excepted| excepted.party == *party);
        Ok(Some(OfParty { claims, watched: self.watched(uses, whole)? }))
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
        let (uses, whole) = self.excepted.those(|own, _| own.subject == who.subject);
        let watched = self.watched(uses, whole)?;
        Ok(Some(OfPerson { claims, watched, justifications: loaded.person.justifications().to_vec() }))
    }

    /// How each use stands by what is recorded now.
    fn watched(&self, uses: Vec<(Pointed, Excepted)>, whole: bool) -> Result<Watched, Error> {
        let now = self.now();
        let mut out = Vec::with_capacity(uses.len());
        for (who, excepted) in uses {
            let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
            out.push((excepted.standing(&loaded.person, now), excepted));
        }
        out.sort_unstable();
        Ok(Watched { since: self.excepted.since, whole, uses: out })
    }
}
