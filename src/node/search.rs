//! Searches: what, by whom, about whom would be permitted.
//!
//! A search is many questions, each answered by [`Inner::check`] as if it had been
//! asked alone; so it tells nothing that asking one by one would not. It counts no
//! use, names no total, and looks only into the domain of the controller it asks
//! for. A page holds as many persons as were asked for, or is the last: how many
//! were passed over shows in no answer.
//!
//! Lacks: persons without a slot with the controller. They may be permitted by an
//! exception or the opt-out default, but their ppids are not the controller's to
//! learn from here.

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::TreeSize;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::node::Answer;
use crate::node::Asked;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Resource;
use crate::node::domains::Ready;

/// Ppids looked at between two looks into the projection.
const STRIDE: usize = 256;

/// Most persons on one page.
pub const MAX_PAGE: usize = 1_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// Everything permitted, in order.
    pub results: Vec<T>,
    /// Entries it reflects at least.
    pub as_of: TreeSize,
    /// Why nothing can be found, whoever the person is: a reason of the asker and the question.
    pub barred: Option<Reason>,
}

impl<T> Found<T> {
    /// The node cannot vouch for its state: that nothing is found says nothing.
    const fn unavailable(as_of: TreeSize) -> Self {
        Self { results: Vec::new(), as_of, barred: Some(Reason::LogUnavailable) }
    }
}

/// As what a party may act in a controller's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// It is the controller.
    Controller,
    /// It works for the controller.
    Processor,
    /// The controller gives it the data.
    Recipient,
}

impl Capacity {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Processor => "processor",
            Self::Recipient => "recipient",
        }
    }
}

/// A page of persons, or why there is none now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The persons, and after whom the next page begins if more follow.
    Page(Found<Ppid>, Option<Ppid>),
    /// A search of this party, or the reading of the log after a start, is under way.
    Busy,
    /// This log has more persons in domains than it keeps in memory: ask by cohort.
    TooLarge,
}

/// The reason the whole question meets, if every answer says one.
fn barred<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Option<Reason> {
    let mut found = None;
    for answer in answers {
        let told = answer.decision.told();
        if !told.is_of_the_question() {
            return None;
        }
        // Of many actions one may be barred for itself; the general reason is the better word.
        if found.is_none_or(|reason| reason == Reason::ReidentificationBlocked) {
            found = Some(told);
        }
    }
    found
}

impl Inner {
    /// Which of the grantable actions are permitted on a person; `question.action` is not read.
    ///
    /// # Errors
    /// The store.
    pub fn search_actions(
        &self,
        ppid: Ppid,
        question: &Question,
        min_index: Option<TreeSize>,
    ) -> Result<Found<Action>, Error> {
        let as_of = self.sequenced();
        let mut results = Vec::new();
        let mut answers = Vec::with_capacity(Action::ALL.len());
        for action in Action::ALL {
            let question = Question { action: AskedAction::Grantable(action), ..question.clone() };
            let answer = self.check(&Asked { resource: Resource::Person(ppid), question, min_index })?;
            if answer.decision.reason == Reason::LogUnavailable {
                return Ok(Found::unavailable(as_of));
            }
            if answer.decision.permits() {
                results.push(action);
            }
            answers.push(answer);
        }
        Ok(Found { results, as_of, barred: barred(&answers) })
    }

    /// Which parties may act on a person of the controller's domain: the controller and those who act
    /// for it, as asked; and of the recipients its standing notices name, those to whom it is permitted.
    ///
    /// # Errors
    /// The store.
    pub fn search_parties(
        &self,
        ppid: Ppid,
        question: &Question,
        min_index: Option<TreeSize>,
    ) -> Result<Found<(PartyId, Capacity)>, Error> {
        let as_of = self.sequenced();
        let (register, now) = (self.register(), self.now());
        let controller = &question.controller;
        let ask = |recipient: Option<PartyId>| {
            let question = Question { recipient, ..question.clone() };
            self.check(&Asked { resource: Resource::Person(ppid), question, min_index })
        };
        let own = ask(question.recipient.clone())?;
        let barred = barred([&own]);
        let mut results = Vec::new();
        if own.decision.permits() {
            let holder = register.holder(controller, now).map_or(controller, |holder| &holder.id);
            results.push((holder.clone(), Capacity::Controller));
            let acts = |id: &&PartyId| {
                *id != holder && register.acts_for(id, controller, Some(&question.purpose), now)
            };
            let processors = register.parties().map(|party| &party.id).filter(acts);
            results.extend(processors.map(|id| (id.clone(), Capacity::Processor)));
        }
        for recipient in register.recipients(controller, &question.purpose, question.class) {
            let asked_for = question.recipient.as_ref().is_none_or(|only| *only == recipient);
            let live = register.party(&recipient).is_some_and(|party| party.is_live(now));
            if barred.is_some() || !asked_for || !live {
                continue;
            }
            match ask(Some(recipient.clone()))?.decision.reason {
                Reason::LogUnavailable => return Ok(Found::unavailable(as_of)),
                reason if reason.permits() => results.push((recipient, Capacity::Recipient)),
                _ => {}
            }
        }
        Ok(Found { results, as_of, barred })
    }

    /// The persons of the controller's domain on whom it is permitted, in the order of their ppids.
    ///
    /// Costs at worst one check for each person of the domain: the page is full, or the last one.
    ///
    /// # Errors
    /// The store.
    pub fn search_persons(
        &self,
        question: &Question,
        min_index: Option<TreeSize>,
        after: Option<Ppid>,
        limit: usize,
    ) -> Result<Listing, Error> {
        let Some(_turn) = self.domains.turn(&question.controller) else { return Ok(Listing::Busy) };
        match self.domains_ready()? {
            Ready::Yes => {}
            Ready::Building => return Ok(Listing::Busy),
            Ready::Full => return Ok(Listing::TooLarge),
        }
        let ask = |ppid: Ppid| {
            let (resource, question) = (Resource::Person(ppid), question.clone());
            self.check(&Asked { resource, question, min_index })
        };
        // About nobody: what it says of the question holds for everybody.
        let nobody = ask(Ppid([0; 16]))?;
        let as_of = nobody.as_of;
        let barred = barred([&nobody]);
        let limit = limit.min(MAX_PAGE);
        let mut results = Vec::new();
        let mut from = after;
        let domain = (&question.controller, self.register().epoch_of(&question.controller));
        while barred.is_none() {
            let candidates = self.domains.after(domain, from, STRIDE);
            if candidates.is_empty() {
                break;
            }
            for ppid in candidates {
                from = Some(ppid);
                let reason = ask(ppid)?.decision.reason;
                if reason == Reason::LogUnavailable {
                    return Ok(Listing::Page(Found::unavailable(as_of), None));
                }
                if !reason.permits() {
                    continue;
                }
                // One more is permitted: only then is a next page promised.
                if results.len() == limit {
                    let last = results.last().copied().or(after).or(Some(Ppid([0; 16])));
                    return Ok(Listing::Page(Found { results, as_of, barred }, last));
                }
                results.push(ppid);
            }
        }
        Ok(Listing::Page(Found { results, as_of, barred }, None))
    }
}

/// A page token in the open: who follows, and how many are on a page.
const CURSOR: usize = 16 + 4;

impl Inner {
    /// A token for the page that follows: opaque, of one length, for this asker and this question only.
    ///
    /// # Errors
    /// Randomness, the cryptographic library.
    pub fn seal_page(
        &self,
        asker: &PartyId,
        question: &Question,
        after: Ppid,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        // INVARIANT: no page has more than `MAX_PAGE` persons.
        let limit = u32::try_from(limit.min(MAX_PAGE)).unwrap_or_default();
        let plain = [after.0.as_slice(), &limit.to_be_bytes()].concat();
        Ok(self.vault.derived("page", &[]).seal(&whose(asker, question)?, &plain)?)
    }

    /// What a token says, if it was made here for this asker and this question.
    #[must_use]
    pub fn open_page(&self, asker: &PartyId, question: &Question, token: &[u8]) -> Option<(Ppid, usize)> {
        let whose = whose(asker, question).ok()?;
        let plain = self.vault.derived("page", &[]).open(&whose, token, "page token").ok()?;
        let plain: [u8; CURSOR] = plain.try_into().ok()?;
        let (after, limit) = plain.split_first_chunk::<16>()?;
        let limit = u32::from_be_bytes(limit.try_into().ok()?);
        Some((Ppid(*after), usize::try_from(limit).ok()?))
    }
}

/// Asker and question as one hash: every field counts.
fn whose(asker: &PartyId, q: &Question) -> Result<[u8; 32], Error> {
    let Question { controller, action, purpose, class, categories, recipient, jurisdiction, use_id } = q;
    let whole =
        ((asker, controller, action.as_str(), purpose, class), (categories, recipient, jurisdiction, use_id));
    Ok(hash::sha256(&[b"naru-page/v1", &[0], &cbor::encode(&whole)?]))
}
