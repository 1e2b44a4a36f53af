//! A controller's request for consent, and who answers it.
//!
//! A request is a subject of its own: its one statement is `consent.request`, sealed
//! under a key of its own. A person answers it by granting or refusing with its
//! `link`; her first such statement is the mint record of her ppid at that
//! controller, and from then on the request is hers. Lacks: addresses, the finding of
//! a request by its link (the node's), and what a page says about it.
//!
//! Trusted: nothing. In particular the link binds the session in which the controller
//! showed the address, and no more: whom it showed it to is the controller's to know.

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Effect, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Hash, LeafIndex, PartyId, StatementId, SubjectId, Timestamp};
use crate::model::pack::Kept;
use crate::model::statement::{ConsentRequest, Kind, Statement};
use crate::model::vocabulary::{DataClass, Role};

/// What a controller asks for. Source: design §4, §7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Request {
    /// Bound to the customer's session at the controller.
    pub link: Hash,
    /// Nobody answers from here on.
    pub until: Timestamp,
    /// What is shown.
    pub notice: StatementId,
    /// Whose it is, once somebody has answered.
    pub answered: Option<Answered>,
    /// Purposes asked for, each in the notice.
    pub purposes: Vec<String>,
    /// The `consent.request`.
    pub statement: StatementId,
    /// Who asks.
    pub controller: PartyId,
}

/// The person of a request, and what she said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answered {
    /// The person.
    pub by: SubjectId,
    /// Her first statement with the link: the mint record.
    pub first: StatementId,
    /// The newest for each purpose and class.
    pub replies: Vec<Reply>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reply {
    /// `consent.grant` or `consent.refuse`.
    pub kind: Kind,
    /// For which class.
    pub class: DataClass,
    /// Where it stands.
    pub index: LeafIndex,
    /// For which purpose.
    pub purpose: String,
    /// Her statement.
    pub statement: StatementId,
}

impl Person {
    /// The request this subject is, if it is one.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.core().request.as_ref()
    }

    /// By the controller itself. Source: design §4.
    ///
    /// Reading: it stays open no longer than the shortest term in which a pack in force has unanswered
    /// requests destroyed; each purpose stands in the notice, in whatever class.
    pub(in crate::consent) fn ask(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &ConsentRequest,
    ) -> Result<Touched, Why> {
        authority::of_named_party(register, actor, recorded, &s.controller, Role::Controller)?;
        if !self.is_new() || self.is_decoy() {
            return Err(Why::State);
        }
        let notice = register.notice(&s.notice).ok_or(Why::NoticeMismatch)?;
        if notice.retired.is_some() {
            return Err(Why::NoticeRetired);
        }
        let asked = |purpose: &String| notice.says.purposes.iter().any(|p| p.purpose == *purpose);
        let twice = s.purposes.iter().enumerate().any(|(n, p)| s.purposes.iter().take(n).any(|q| q == p));
        if notice.says.controller != s.controller
            || s.purposes.is_empty()
            || twice
            || !s.purposes.iter().all(asked)
        {
            return Err(Why::NoticeMismatch);
        }
        let packs = register.packs_of(&s.controller, recorded.at()).ok_or(Why::Pack)?;
        let terms = packs.iter().filter_map(|pack| pack.term_of(Kept::UnansweredRequests));
        let most = terms.map(|term| term.term.ms()).min().ok_or(Why::Pack)?;
        if s.until <= recorded.at() || s.until > recorded.at().plus_ms(most) {
            return Err(Why::Dates);
        }
        self.core_mut().request = Some(Request {
            statement: recorded.id(),
            controller: s.controller.clone(),
            notice: s.notice,
            purposes: s.purposes.clone(),
            link: s.link,
            until: s.until,
            answered: None,
        });
        Ok(Touched::Core)
    }

    /// Applies a person's grant or refusal that bears this request's link to the request.
    ///
    /// Inert with [`Why::Link`] if it is another's already, has ended, or asked for something else.
    /// Whether the statement itself has an effect is [`Person::apply`]'s of the person.
    pub fn answer(&mut self, recorded: &Recorded, by: &SubjectId) -> Effect {
        self.judge_answer(recorded, by).into()
    }

    fn judge_answer(&mut self, recorded: &Recorded, by: &SubjectId) -> Result<Touched, Why> {
        let (controller, purpose, class, notice, link);
        if let Statement::ConsentGrant(s) = recorded.statement() {
            (controller, purpose, class, link) = (&s.controller, &s.purpose, s.class, s.link);
            notice = Some(s.notice.id);
        } else if let Statement::ConsentRefuse(s) = recorded.statement() {
            (controller, purpose, class, link) = (&s.controller, &s.purpose, s.class, s.link);
            notice = s.notice.as_ref().map(|shown| shown.id);
        } else {
            return Err(Why::Link);
        }
        let request = self.core().request.as_ref().ok_or(Why::Link)?;
        let theirs = request.answered.as_ref().is_some_and(|answered| answered.by != *by);
        if theirs
            || recorded.at() >= request.until
            || *controller != request.controller
            || link != Some(request.link)
            || !request.purposes.contains(purpose)
            || notice.is_some_and(|notice| notice != request.notice)
        {
            return Err(Why::Link);
        }
        let reply = Reply {
            statement: recorded.id(),
            kind: recorded.statement().kind(),
            purpose: purpose.clone(),
            class,
            index: recorded.index(),
        };
        let first = || Answered { by: *by, first: recorded.id(), replies: Vec::new() };
        if let Some(request) = &mut self.core_mut().request {
            let answered = request.answered.get_or_insert_with(first);
            answered.replies.retain(|r| r.purpose != reply.purpose || r.class != reply.class);
            answered.replies.push(reply);
        }
        Ok(Touched::Core)
    }
}
