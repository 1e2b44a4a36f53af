//! Requests for consent: found by their link, shown by their address, answered to their controller.
//!
//! The address of a request is its statement id: 32 bytes nobody can guess, for a
//! nonce and the link are in it. Who has the address sees what is asked, and nothing
//! of who answered. Lacks: pages, and the destruction of unanswered requests (it
//! comes with erasure; until then one that has ended is shown to nobody).

use std::sync::Arc;

use crate::consent::Reply;
use crate::consent::Request;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Bearing;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::people::Loaded;
use crate::store::Name;
use crate::vault::Pointed;
use crate::vault::Vault;

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits for a person.
    Open,
    /// A person has answered.
    Answered,
    /// Nobody answered in time.
    Ended,
}

impl Standing {
    /// Stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Ended => "ended",
        }
    }

    fn of(request: &Request, now: Timestamp) -> Self {
        match request.answered {
            Some(_) => Self::Answered,
            None if now < request.until => Self::Open,
            None => Self::Ended,
        }
    }
}

/// A request as its address shows it. It says nothing of who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Who asks.
    pub controller: PartyId,
    /// What is shown.
    pub notice: StatementId,
    /// Purposes asked for.
    pub purposes: Vec<String>,
    /// What a statement that answers repeats.
    pub link: Hash,
    /// Nobody answers from here on.
    pub until: Timestamp,
    /// Open or answered: what has ended is not shown.
    pub standing: Standing,
}

/// What the controller learns of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it stands.
    pub standing: Standing,
    /// The person and what she said, if she has answered.
    pub given: Option<Given>,
}

/// Whom a controller knows from now on, and by which statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// She, in the controller's domain of today.
    pub ppid: Ppid,
    /// Her first statement with the link: the mint record.
    pub first: StatementId,
    /// The newest for each purpose and class.
    pub replies: Vec<Reply>,
}

/// What names a request in the store: its controller and link, under a key of the vault.
pub(in crate::node) fn link_name(vault: &Vault, controller: &PartyId, link: &Hash) -> Name {
    Name::Link(vault.opaque_name("link", &[controller.as_str().as_bytes(), &link.0]))
}

/// The request as a statement with its link leaves it; why the statement does not answer it otherwise.
///
/// A closing act counts whatever its link: then it answers nothing.
pub(in crate::node) fn answered(
    request: Option<Loaded>,
    recorded: &Recorded,
    by: &SubjectId,
) -> Result<Option<Loaded>, Why> {
    let statement = recorded.statement();
    if statement.link().is_none() {
        return Ok(None);
    }
    let outcome = match request {
        None => Err(Why::Link),
        Some(mut request) => match request.person.answer(recorded, by).why() {
            None => Ok(Some(request)),
            Some(why) => Err(why),
        },
    };
    let closes = statement.kind().bearing() == Bearing::Closing;
    if closes { Ok(outcome.unwrap_or(None)) } else { outcome }
}

impl Inner {
    pub(in crate::node) fn link_name(&self, controller: &PartyId, link: &Hash) -> Name {
        link_name(&self.vault, controller, link)
    }

    /// The request of a controller's link.
    pub(in crate::node) fn request_of(
        &self,
        controller: &PartyId,
        link: &Hash,
    ) -> Result<Option<Pointed>, Error> {
        self.people.locate(&self.link_name(controller, link), self.store.as_ref(), &self.vault)
    }

    /// The request of that statement id, whatever its standing.
    fn request_by_id(&self, id: &StatementId) -> Result<Option<Arc<Loaded>>, Error> {
        let name = Name::Statement(id.0);
        let Some(who) = self.people.locate(&name, self.store.as_ref(), &self.vault)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        Ok(loaded.person.request().is_some().then_some(loaded))
    }

    /// What the address of a request shows to whoever has it; nothing once it has ended.
    ///
    /// # Errors
    /// The store.
    pub fn request(&self, id: &StatementId) -> Result<Option<Asking>, Error> {
        let now = self.now();
        let Some(loaded) = self.request_by_id(id)? else { return Ok(None) };
        Ok(loaded.person.request().filter(|request| now < request.until).map(|request| Asking {
            controller: request.controller.clone(),
            notice: request.notice,
            purposes: request.purposes.clone(),
            link: request.link,
            until: request.until,
            standing: Standing::of(request, now),
        }))
    }
}

impl Node {
    /// What a controller learns of its own request; `None` if it is not its own, or is none.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if a name must be written and the node does not write.
    pub fn request_answer(&self, id: &StatementId, controller: &PartyId) -> Result<Option<Answer>, Error> {
        let Some(loaded) = self.request_by_id(id)? else { return Ok(None) };
        let Some(request) = loaded.person.request().filter(|r| r.controller == *controller) else {
            return Ok(None);
        };
        let standing = Standing::of(request, self.now());
        let Some(answered) = &request.answered else { return Ok(Some(Answer { standing, given: None })) };
        let first = Name::Statement(answered.first.0);
        let who = self.people.locate(&first, self.store.as_ref(), &self.vault)?;
        // Her key is gone, and with it everything she said: nobody to name.
        let Some(who) = who.filter(|who| who.subject == answered.by) else {
            return Ok(Some(Answer { standing, given: None }));
        };
        let ppid = self.name_ppid(who, Some(controller))?;
        let given = Given { ppid, first: answered.first, replies: answered.replies.clone() };
        Ok(Some(Answer { standing, given: Some(given) }))
    }
}
