//! May I? One question, one answer, on the caller's own thread.
//!
//! Time, pack and law are the node's, never the asker's. Persons are read as the
//! sequencer has just replaced them, so an act that was answered is in force.

use std::time::Duration;

use crate::consent;
use crate::model::decision::Decision;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::intake::party_domain;
use crate::store::Name;
use crate::vault::Pointed;

/// How long a check waits for `min_index`.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A person, by her ppid in the controller's domain.
    Person(Ppid),
    /// A release: none is registered in this build.
    Release(String),
}

/// One question as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// About whom.
    pub resource: Resource,
    /// What.
    pub question: Question,
    /// Not to be answered before the node has applied so many entries.
    pub min_index: Option<TreeSize>,
}

/// An answer: what is told, and as of when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The decision; tell [`Decision::told`], not its reason.
    pub decision: Decision,
    /// Entries it reflects.
    pub as_of: TreeSize,
    /// When it was made.
    pub at: Timestamp,
}

impl Inner {
    /// Whether `asker` may ask in the controller's domain at all; else 403.
    #[must_use]
    pub fn may_ask(&self, asker: &PartyId, controller: &PartyId) -> bool {
        asker == controller || self.register().acts_for(asker, controller, self.now())
    }

    /// Answers from memory alone, or `None` if the store must be read (then use [`Inner::check`] where
    /// blocking is allowed).
    #[must_use]
    pub fn check_in_memory(&self, asked: &Asked) -> Option<Answer> {
        if asked.min_index.is_some_and(|min| self.sequenced() < min) {
            return None;
        }
        let Resource::Person(ppid) = &asked.resource else { return Some(self.without_person(asked)) };
        if self.doubtful() {
            return Some(self.unavailable());
        }
        let who = self.people.known(&Name::Ppid(ppid.0))?;
        let loaded = self.people.current(&who.subject)?;
        let at_home = self.is_at_home(asked, *ppid, &who.subject);
        let person = if at_home { &loaded.person } else { &self.decoy };
        Some(self.answer(asked, person, who))
    }

    /// Answers one question; may read the store and wait for `min_index`.
    ///
    /// # Errors
    /// The store: answer 503, permit nothing.
    pub fn check(&self, asked: &Asked) -> Result<Answer, Error> {
        if let Some(min) = asked.min_index
            && !self.wait_sequenced(min, PATIENCE)
        {
            return Ok(self.unavailable());
        }
        let Resource::Person(ppid) = &asked.resource else { return Ok(self.without_person(asked)) };
        if self.doubtful() {
            return Ok(self.unavailable());
        }
        let who = self.people.locate(&Name::Ppid(ppid.0), self.store.as_ref(), &self.vault)?;
        // Unknown and foreign ppids are decided against the decoy: same code, same reads.
        let (decoy, _) = self.vault.decoy();
        let pointed = who.filter(|w| self.is_at_home(asked, *ppid, &w.subject)).unwrap_or(decoy);
        let loaded = self.people.load(pointed, self.store.as_ref(), &self.vault)?;
        let person = if pointed == decoy { &self.decoy } else { &loaded.person };
        Ok(self.answer(asked, person, pointed))
    }

    /// Whether the ppid is hers in the controller's domain.
    fn is_at_home(&self, asked: &Asked, ppid: Ppid, subject: &crate::model::id::SubjectId) -> bool {
        self.vault.ppid(&party_domain(asked.question.controller.as_str()), subject) == ppid
    }

    fn answer(&self, asked: &Asked, person: &consent::Person, who: Pointed) -> Answer {
        // Before the state: a reader never claims more than it has seen.
        let as_of = self.sequenced();
        let at = self.now();
        let register = self.register();
        let decision = consent::decide_here(&register, Some(person), &asked.question, at);
        if let Some(excepted) = consent::Excepted::of(&register, &asked.question, &decision, at) {
            self.excepted.note(who, excepted);
        }
        Answer { decision, as_of, at }
    }

    fn without_person(&self, asked: &Asked) -> Answer {
        if self.doubtful() {
            return self.unavailable();
        }
        let (decoy, _) = self.vault.decoy();
        let mut answer = self.answer(asked, &self.decoy, decoy);
        // Releases are not registered in this build: whatever is asked of one is not established.
        if !answer.decision.reason.is_of_the_question() {
            answer.decision.reason = Reason::ClassNotEstablished;
            answer.decision.basis = None;
        }
        answer
    }

    fn doubtful(&self) -> bool {
        self.stopped().is_some_and(super::Stop::doubts_state)
    }

    /// The answer of a node that cannot vouch for its state.
    #[must_use]
    pub fn unavailable(&self) -> Answer {
        Answer { decision: nothing(Reason::LogUnavailable), as_of: self.sequenced(), at: self.now() }
    }
}

fn nothing(reason: Reason) -> Decision {
    Decision {
        reason,
        pack: "none".into(),
        version: 0,
        rule: "none".into(),
        basis: None,
        until: None,
        acquainted: false,
    }
}
