//! May I? One question, one answer, on the caller's own thread.
//!
//! Time, pack and law are the node's, never the asker's. Persons are read as the
//! sequencer has just replaced them, so an act that was answered is in force.

use std::sync::Arc;
use std::time::Duration;

use crate::consent;
use crate::model::decision::Decision;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::use_line::UseAct;
use crate::node::Error;
use crate::node::Inner;
use crate::node::people::Loaded;
use crate::node::uselog::Counted;
use crate::node::uselog::Line;
use crate::node::uselog::Waiting;
use crate::node::uselog::Wish;
use crate::store::Name;
use crate::vault::PersonKey;
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

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The party of the token.
    pub party: &'a PartyId,
    /// Its signature over the request, as it came (RFC 9421), if it sent one.
    pub signed: Option<&'a [u8]>,
}

/// What an asker is told, after its use line was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The answer; tell [`Decision::told`], not its reason.
    pub answer: Answer,
    /// The rule to tell: where the exact reason is not told, neither is its rule.
    pub rule: Arc<str>,
    /// How long the asker may keep the answer, s.
    pub valid_for_s: u32,
    /// Name of the decision; `None` where no line was written.
    pub id: Option<DecisionId>,
}

/// An answer that nobody may be told before its line is written (see [`Inner::release`]).
#[derive(Debug)]
#[must_use]
pub struct Untold {
    told: Told,
    waiting: Option<Waiting>,
}

impl Untold {
    /// Whether a line waits at all.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waiting.is_some()
    }
}

/// Longest text of a question, bytes.
const MAX_TEXT: usize = 256;
/// Most categories of a question.
const MAX_CATEGORIES: usize = 64;

impl Asked {
    /// Whether its texts are short enough to be kept in a use line.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let release = match &self.resource {
            Resource::Release(name) => name.len(),
            Resource::Person(_) => 0,
        };
        release <= MAX_TEXT && is_bounded(&self.question)
    }
}

/// Whether a question's texts are short enough to be kept.
#[must_use]
pub fn is_bounded(q: &Question) -> bool {
    let texts = [&q.jurisdiction, &q.use_id].into_iter().flatten().chain(&q.categories);
    q.categories.len() <= MAX_CATEGORIES
        && q.purpose.len() <= MAX_TEXT
        && texts.into_iter().all(|text| text.len() <= MAX_TEXT)
}

/// A question answered, and whose line it will be: nobody's is the decoy's.
type Looked = (Answer, Option<Arc<Loaded>>);

impl Inner {
    /// Whether `asker` may ask in the controller's domain for a purpose (`None`: for all); else 403.
    ///
    /// A suspended controller may: its answer is the denial that says so. One that has a successor may not:
    /// the answer is the successor's.
    #[must_use]
    pub fn may_ask(&self, asker: &PartyId, controller: &PartyId, purpose: Option<&str>) -> bool {
        let (register, now) = (self.glance(), self.now());
        let own = asker == controller && !register.is_succeeded(controller, now);
        own || register.acts_for(asker, controller, purpose, now)
    }

    /// Answers from memory alone, or `None` if the store must be read (then use [`Inner::check`] where
    /// blocking is allowed).
    ///
    /// Also `None` of every person whom the controller has no statement of, in memory or not: how long an
    /// answer takes must not tell her from somebody unknown.
    #[must_use]
    pub fn check_in_memory(&self, asked: &Asked) -> Option<Answer> {
        self.look_in_memory(asked).map(|(answer, _)| self.uncounted(answer))
    }

    fn look_in_memory(&self, asked: &Asked) -> Option<Looked> {
        if asked.min_index.is_some_and(|min| self.sequenced() < min) {
            return None;
        }
        let Resource::Person(ppid) = &asked.resource else {
            return Some((self.without_person(asked), None));
        };
        if self.doubtful() {
            return Some((self.unavailable(), None));
        }
        // Whom the asker has no statement of is answered on one path, like nobody (see `look`), and the
        // way to it is one, too: somebody unknown is looked at as the decoy.
        let known = self.people.known(&Name::Ppid(ppid.0));
        let (decoy, _) = self.vault.decoy();
        let who = known.unwrap_or(decoy);
        let loaded = self.people.current(&who.subject)?;
        let at_home = self.is_at_home(asked, *ppid, &who.subject) && known.is_some();
        let acquainted = loaded.person.is_acquainted(&asked.question.controller);
        (at_home && acquainted).then(|| (self.answer(asked, &loaded.person, who), Some(loaded)))
    }

    /// Answers one question; may read the store and wait for `min_index`. Leaves no line, so a use that
    /// must be counted is denied: an asker is answered by [`Inner::tell`].
    ///
    /// # Errors
    /// The store: answer 503, permit nothing.
    pub fn check(&self, asked: &Asked) -> Result<Answer, Error> {
        self.look(asked).map(|(answer, _)| self.uncounted(answer))
    }

    fn look(&self, asked: &Asked) -> Result<Looked, Error> {
        if let Some(min) = asked.min_index
            && !self.wait_sequenced(min, PATIENCE)
        {
            return Ok((self.unavailable(), None));
        }
        let Resource::Person(ppid) = &asked.resource else { return Ok((self.without_person(asked), None)) };
        if self.doubtful() {
            return Ok((self.unavailable(), None));
        }
        let who = self.people.locate(&Name::Ppid(ppid.0), self.store.as_ref(), &self.vault)?;
        // Unknown and foreign ppids are decided against the decoy: same code, same reads.
        // The line of a foreign ppid is sealed under the person it names, so she is loaded.
        let (decoy, _) = self.vault.decoy();
        let pointed = who.unwrap_or(decoy);
        let at_home = self.is_at_home(asked, *ppid, &pointed.subject) && who.is_some();
        let loaded = self.people.load(pointed, self.store.as_ref(), &self.vault)?;
        let person = if at_home { &loaded.person } else { &self.decoy };
        Ok((self.answer(asked, person, pointed), Some(loaded)))
    }

    /// Answers an asker from memory alone and writes its use line, or `None` if the store must be read, or
    /// the disk waited for (then use [`Inner::tell`] where blocking is allowed).
    #[must_use]
    pub fn tell_in_memory(&self, asker: Asker<'_>, asked: &Asked) -> Option<Told> {
        self.hold_in_memory(asker, asked).map(|held| self.release(held, asked))
    }

    /// As [`Inner::tell_in_memory`], the write of its line put off until [`Inner::release`]. Of an asker that
    /// goes away in between the line may stand all the same: it was asked.
    #[must_use]
    pub fn hold_in_memory(&self, asker: Asker<'_>, asked: &Asked) -> Option<Untold> {
        if !asked.is_bounded() {
            return Some(Untold { told: self.told(self.unavailable(), asked), waiting: None });
        }
        let (answer, whose) = self.look_in_memory(asked)?;
        if answer.decision.counting.is_some() {
            return None;
        }
        let (told, synced) = self.worded(answer, asked);
        if synced { None } else { Some(self.held(asker, asked, told, whose.as_deref())) }
    }

    /// Writes the line of a held answer, and those held beside it, and gives the answer out.
    #[must_use]
    pub fn release(&self, untold: Untold, asked: &Asked) -> Told {
        let (Some(waiting), Some(uses)) = (untold.waiting, self.uses.get()) else { return untold.told };
        match uses.release(waiting) {
            Ok(()) => untold.told,
            Err(error) => {
                self.uses_failed(uses, &error);
                self.told(self.unavailable(), asked)
            }
        }
    }

    /// Answers an asker and writes its use line; may read the store, wait for `min_index` and for the disk.
    ///
    /// What cannot be answered is `LOG_UNAVAILABLE`, and leaves its line too.
    #[must_use]
    pub fn tell(&self, asker: Asker<'_>, asked: &Asked) -> Told {
        if !asked.is_bounded() {
            return self.told(self.unavailable(), asked);
        }
        let (answer, whose) = self.look(asked).unwrap_or_else(|error| {
            tracing::error!(cause = %error, "a check could not be answered");
            (self.unavailable(), None)
        });
        if answer.decision.counting.is_some() {
            return self.counted(asker, asked, answer, whose.as_deref());
        }
        let (told, synced) = self.worded(answer, asked);
        let told = self.release(self.held(asker, asked, told, whose.as_deref()), asked);
        if told.id.is_some() && synced && self.sync_uses().is_err() {
            return self.told(self.unavailable(), asked);
        }
        told
    }

    /// What is told of an answer that no line stands for.
    #[must_use]
    pub fn told(&self, answer: Answer, asked: &Asked) -> Told {
        self.worded(answer, asked).0
    }

    /// What is told, and whether a pack in force demands that the line be durable before it leaves.
    fn worded(&self, answer: Answer, asked: &Asked) -> (Told, bool) {
        let decision = &answer.decision;
        let reason = decision.told();
        let (mut rule, mut valid_for_s, mut synced) = (Arc::clone(&decision.rule), 0, false);
        let register = self.glance();
        for pack in register.packs_of(&asked.question.controller, answer.at).unwrap_or_default() {
            synced |= pack.wants_synced(asked.question.class);
            if *pack.name() == decision.pack && pack.version() == decision.version {
                // An answer is not kept beyond the instant at which the law changes.
                let next = register.next_adoption(answer.at);
                let left = next.map_or(u64::MAX, |next| (next.0 - answer.at.0) / 1_000);
                valid_for_s = pack.valid_for_s().min(u32::try_from(left).unwrap_or(u32::MAX));
                if reason != decision.reason {
                    rule = Arc::clone(pack.rule_of(Reason::ConsentNotGiven, asked.question.class));
                }
            }
        }
        (Told { answer, rule, valid_for_s, id: None }, synced)
    }

    /// Seals the line of what is told; a failure is told instead.
    fn held(&self, asker: Asker<'_>, asked: &Asked, told: Told, whose: Option<&Loaded>) -> Untold {
        let Some(uses) = self.uses.get() else { return Untold { told, waiting: None } };
        let failed = || Untold { told: self.told(self.unavailable(), asked), waiting: None };
        if uses.is_broken() {
            return failed();
        }
        let held = {
            let line = line(asker, asked, &told, None);
            uses.hold(&self.vault, self.holder(whose), told.answer.at, &line)
        };
        match held {
            Ok((id, waiting)) => Untold { told: Told { id: Some(id), ..told }, waiting: Some(waiting) },
            Err(error) => {
                self.uses_failed(uses, &error);
                failed()
            }
        }
    }

    /// Counts a named use of a limited grant; without a use log there is no count to vouch for.
    fn counted(&self, asker: Asker<'_>, asked: &Asked, answer: Answer, whose: Option<&Loaded>) -> Told {
        let wish = (&answer.decision.counting, &asked.question.use_id, self.uses.get());
        let (Some(counting), Some(use_id), Some(uses)) = wish else {
            return self.told(self.uncounted(answer), asked);
        };
        if uses.is_broken() {
            return self.told(self.unavailable(), asked);
        }
        let wish = Wish { asker: asker.party, use_id, counting };
        let with = |decision| self.told(Answer { decision, ..answer.clone() }, asked);
        let used = with(consent::counted(answer.decision.clone()));
        let reached = with(Decision { counting: None, ..answer.decision.clone() });
        let mut told = &reached;
        let counted = uses.count(&self.vault, self.holder(whose), answer.at, &wish, &mut |outcome| {
            let number = match outcome {
                Counted::Use(number) => Some(number),
                Counted::Reached => None,
            };
            told = if number.is_some() { &used } else { &reached };
            line(asker, asked, told, number)
        });
        match counted {
            Ok(id) => Told { id: Some(id), ..told.clone() },
            Err(error) => {
                self.uses_failed(uses, &error);
                self.told(self.unavailable(), asked)
            }
        }
    }

    /// Under whose key a line is sealed: the decoy's for whoever is not known.
    fn holder<'a>(&'a self, whose: Option<&'a Loaded>) -> (Pointed, &'a PersonKey) {
        whose.map_or_else(|| self.vault.decoy(), |loaded| (loaded.who, &loaded.key))
    }

    /// A use that must be counted, where nobody counts.
    fn uncounted(&self, answer: Answer) -> Answer {
        if answer.decision.counting.is_some() { self.unavailable() } else { answer }
    }

    /// Whether the ppid is hers in the controller's domain.
    fn is_at_home(&self, asked: &Asked, ppid: Ppid, subject: &crate::model::id::SubjectId) -> bool {
        self.pairwise(&self.glance()).ppid(Some(&asked.question.controller), subject) == ppid
    }

    fn answer(&self, asked: &Asked, person: &consent::Person, who: Pointed) -> Answer {
        // Before the state: a reader never claims more than it has seen.
        let as_of = self.sequenced();
        let at = self.now();
        let register = self.glance();
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
        Answer {
            decision: Decision::of_no_pack(Reason::LogUnavailable),
            as_of: self.sequenced(),
            at: self.now(),
        }
    }
}

/// The line of one question and what is told of it.
fn line<'a>(asker: Asker<'a>, asked: &'a Asked, told: &'a Told, count: Option<u64>) -> Line<'a> {
    let (q, decision) = (&asked.question, &told.answer.decision);
    let reason = decision.told();
    let (ppid, release) = match &asked.resource {
        Resource::Person(ppid) => (Some(*ppid), None),
        Resource::Release(name) => (None, Some(name.as_str())),
    };
    Line {
        at: told.answer.at,
        act: UseAct::Check,
        case: None,
        pack: &decision.pack,
        ppid,
        rule: &told.rule,
        told: reason,
        as_of: told.answer.as_of,
        asker: asker.party,
        basis: decision.basis.filter(|_| reason.permits()),
        class: Some(q.class),
        count,
        action: Some(q.action),
        signed: asker.signed,
        use_id: q.use_id.as_deref(),
        purpose: Some(&q.purpose),
        release,
        version: decision.version,
        recipient: q.recipient.as_ref(),
        categories: &q.categories,
        controller: &q.controller,
        jurisdiction: q.jurisdiction.as_deref(),
        // Always there for a denial of the person: that it is there tells nothing.
        exact: (!reason.permits() && !reason.is_of_the_question())
            .then(|| (&*decision.rule, decision.reason)),
    }
}
