//! One act of one person as a signed item, one question as the node takes it.
//!
//! Lacks dice and order: what happens on which day stands in `draw`.

use std::collections::BTreeMap;

use crate::cli::demo::Error;
use crate::cli::demo::draw::Act;
use crate::cli::demo::draw::Ask;
use crate::cli::demo::offer::AD_NETWORK;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::IDP;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::world;
use crate::cli::demo::world::DAY_MS;
use crate::cli::demo::world::World;
use crate::model::decision::Question;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Channel;
use crate::model::statement::ConsentAttest;
use crate::model::statement::ConsentDispute;
use crate::model::statement::ConsentGrant;
use crate::model::statement::ConsentLift;
use crate::model::statement::ConsentObject;
use crate::model::statement::ConsentPause;
use crate::model::statement::ConsentRefuse;
use crate::model::statement::ConsentResume;
use crate::model::statement::ConsentSignal;
use crate::model::statement::ConsentWithdraw;
use crate::model::statement::KeyCreate;
use crate::model::statement::KeyUse;
use crate::model::statement::Kind;
use crate::model::statement::Limits;
use crate::model::statement::Scope;
use crate::model::statement::SignalAct;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Asked;
use crate::node::Resource;

/// What a person's device knows: her key, her names, what was last applied to her slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    pub(super) key: Option<KeyHash>,
    /// By party; `None` is the log's own domain.
    pub(super) ppids: BTreeMap<Option<&'static str>, Ppid>,
    pub(super) last: BTreeMap<Offered, StatementId>,
    /// Of the objection to all anonymous releases.
    pub(super) all: Option<StatementId>,
    /// Of the objection to all that the ad network does.
    pub(super) network: Option<StatementId>,
}

/// Who signs an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The person.
    Herself,
    /// The controller.
    Controller(&'static str),
}

/// What stands around an act.
pub(super) struct Setting<'a> {
    pub(super) world: &'a World,
    pub(super) life: &'a Life,
    pub(super) nonce: Nonce,
    /// The delegation under which somebody else signs.
    pub(super) by: Option<StatementId>,
}

impl Life {
    /// Her name at a party.
    pub(super) fn ppid(&self, party: Option<&'static str>) -> Result<Ppid, Error> {
        let missing = || Error::Unexpected { step: "ppid", found: format!("none at {party:?}") };
        self.ppids.get(&party).copied().ok_or_else(missing)
    }

    /// Remembers what was applied.
    pub(super) fn applied(&mut self, act: Act, id: StatementId) {
        match slot(act) {
            Some(offered) => {
                self.last.insert(offered, id);
            }
            None if domain(act).is_some() => self.network = Some(id),
            None => self.all = Some(id),
        }
    }
}

/// The slot an act is on; `None` for an objection to many.
pub(super) const fn slot(act: Act) -> Option<Offered> {
    match act {
        Act::Grant { offered, .. }
        | Act::Refuse(offered)
        | Act::Withdraw(offered)
        | Act::Pause(offered)
        | Act::Resume(offered)
        | Act::Object(offered)
        | Act::Lift(offered)
        | Act::Attest(offered)
        | Act::Dispute(offered)
        | Act::Signal(offered) => Some(offered),
        Act::ObjectNetwork | Act::LiftNetwork | Act::ObjectAll | Act::LiftAll => None,
    }
}

/// The domain an act's ppid stands in.
pub(super) fn domain(act: Act) -> Option<&'static str> {
    match act {
        Act::ObjectNetwork | Act::LiftNetwork => Some(AD_NETWORK),
        _ => slot(act).map(|offered| offered.offer().controller),
    }
}

/// A new person's first statement.
pub(super) fn key_create(at: Timestamp, nonce: Nonce) -> Statement {
    KeyCreate { v: V1, kind: Kind::KeyCreate, iat: at, nonce, key_use: KeyUse::Device, recovery: None }.into()
}

impl Setting<'_> {
    /// The statement of an act, and who signs it.
    pub(super) fn statement(&self, act: Act) -> Result<(Statement, By), Error> {
        let says = match act {
            Act::Grant { offered, optional, days, limited } => {
                self.grant(offered, optional, days, limited)?.into()
            }
            Act::Refuse(offered) => self.refuse(offered)?,
            Act::Withdraw(offered) => {
                let (ppid, controller, purpose, class) = self.named(offered)?;
                let (v, kind, iat, nonce, by) = self.head(Kind::ConsentWithdraw);
                ConsentWithdraw { v, kind, iat, nonce, ppid, by, controller, purpose, class, moved: None }
                    .into()
            }
            Act::Pause(offered) => {
                let (ppid, controller, purpose, class) = self.named(offered)?;
                let (v, kind, iat, nonce, by) = self.head(Kind::ConsentPause);
                ConsentPause { v, kind, iat, nonce, ppid, by, controller, purpose, class, moved: None }.into()
            }
            Act::Dispute(offered) => {
                let (ppid, controller, purpose, class) = self.named(offered)?;
                let (v, kind, iat, nonce, by) = self.head(Kind::ConsentDispute);
                ConsentDispute { v, kind, iat, nonce, ppid, by, controller, purpose, class, moved: None }
                    .into()
            }
            Act::Resume(offered) => {
                let (ppid, controller, purpose, class) = self.named(offered)?;
                let (v, kind, iat, nonce, by) = self.head(Kind::ConsentResume);
                let over = self.over(offered);
                ConsentResume { v, kind, iat, nonce, ppid, by, controller, purpose, class, over }.into()
            }
            Act::Object(_) | Act::ObjectNetwork | Act::ObjectAll => self.object(act)?,
            Act::Lift(_) | Act::LiftNetwork | Act::LiftAll => self.lift(act)?,
            Act::Attest(offered) => self.attest(offered)?,
            Act::Signal(offered) => self.signal(offered)?,
        };
        let by = match act {
            Act::Attest(offered) | Act::Signal(offered) => By::Controller(offered.offer().controller),
            _ => By::Herself,
        };
        Ok((says, by))
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn head(&self, kind: Kind) -> (V1, Kind, Timestamp, Nonce, Option<StatementId>) {
        (V1, kind, self.now(), self.nonce, self.by)
    }

    fn named(&self, offered: Offered) -> Result<(Ppid, PartyId, String, DataClass), Error> {
        let offer = offered.offer();
        let ppid = self.life.ppid(Some(offer.controller))?;
        Ok((ppid, world::id(offer.controller)?, offer.purpose.to_owned(), offer.class))
    }

    fn over(&self, offered: Offered) -> Option<StatementId> {
        self.life.last.get(&offered).copied()
    }

    /// A grant; its dates are two thirds of the days for fetching, all of them for keeping.
    pub(super) fn grant(
        &self,
        offered: Offered,
        optional: u8,
        days: u16,
        limited: bool,
    ) -> Result<ConsentGrant, Error> {
        let offer = offered.offer();
        let (ppid, controller, purpose, class) = self.named(offered)?;
        let (v, kind, iat, nonce, by) = self.head(Kind::ConsentGrant);
        let keep_ms = u64::from(days) * DAY_MS;
        Ok(ConsentGrant {
            v,
            kind,
            iat,
            nonce,
            ppid,
            by,
            over: self.over(offered),
            controller,
            recipients: world::ids(offer.recipients)?,
            purpose,
            categories: offer.categories(optional),
            class,
            actions: offer.actions.to_vec(),
            jurisdictions: vec!["KR".into()],
            fetch_until: iat.plus_ms(keep_ms / 3 * 2),
            keep_until: iat.plus_ms(keep_ms),
            limits: limited.then(|| Limits { count: Some(3), ..Limits::default() }),
            consideration: (offered == Offered::Marketing).then(|| "이체 수수료 면제".into()),
            notice: self.world.shown(offered)?,
            link: None,
            moved: None,
        })
    }

    fn refuse(&self, offered: Offered) -> Result<Statement, Error> {
        let (ppid, controller, purpose, class) = self.named(offered)?;
        let (v, kind, iat, nonce, by) = self.head(Kind::ConsentRefuse);
        let notice = Some(self.world.shown(offered)?);
        let link = None;
        Ok(ConsentRefuse {
            v,
            kind,
            iat,
            nonce,
            ppid,
            by,
            controller,
            purpose,
            class,
            notice,
            link,
            moved: None,
        }
        .into())
    }

    /// Controller, purpose, class and ppid of an objection.
    fn scope(&self, act: Act) -> Result<(Ppid, Scope, Scope, DataClass), Error> {
        let ppid = self.life.ppid(domain(act))?;
        Ok(match (slot(act).map(Offered::offer), domain(act)) {
            (Some(offer), _) => {
                (ppid, Scope::One(offer.controller.into()), Scope::One(offer.purpose.into()), offer.class)
            }
            (None, Some(party)) => (ppid, Scope::One(party.into()), Scope::Any, DataClass::RealName),
            (None, None) => (ppid, Scope::Any, Scope::Any, DataClass::Anonymous),
        })
    }

    fn object(&self, act: Act) -> Result<Statement, Error> {
        let (ppid, controller, purpose, class) = self.scope(act)?;
        let (v, kind, iat, nonce, by) = self.head(Kind::ConsentObject);
        Ok(ConsentObject { v, kind, iat, nonce, ppid, by, controller, purpose, class, moved: None }.into())
    }

    fn lift(&self, act: Act) -> Result<Statement, Error> {
        let (ppid, controller, purpose, class) = self.scope(act)?;
        let (v, kind, iat, nonce, by) = self.head(Kind::ConsentLift);
        let over = match (slot(act), domain(act)) {
            (Some(offered), _) => self.over(offered),
            (None, Some(_)) => self.life.network,
            (None, None) => self.life.all,
        };
        Ok(ConsentLift { v, kind, iat, nonce, ppid, by, over, controller, purpose, class }.into())
    }

    /// An older consent on paper, given ten days ago.
    fn attest(&self, offered: Offered) -> Result<Statement, Error> {
        let offer = offered.offer();
        let (ppid, controller, purpose, class) = self.named(offered)?;
        let (v, kind, iat, nonce, _) = self.head(Kind::ConsentAttest);
        let says = ConsentAttest {
            v,
            kind,
            iat,
            nonce,
            ppid,
            over: self.over(offered),
            controller,
            recipients: world::ids(offer.recipients)?,
            purpose,
            categories: offer.categories(0),
            class,
            actions: vec![Action::Collect, Action::Use],
            jurisdictions: vec!["KR".into()],
            fetch_until: iat.plus_ms(90 * DAY_MS),
            keep_until: iat.plus_ms(180 * DAY_MS),
            given_at: iat.minus_ms(10 * DAY_MS),
            how: "paper".into(),
        };
        Ok(says.into())
    }

    fn signal(&self, offered: Offered) -> Result<Statement, Error> {
        let (ppid, controller, purpose, class) = self.scope(Act::Object(offered))?;
        let (v, kind, iat, nonce, _) = self.head(Kind::ConsentSignal);
        let (act, channel) = (SignalAct::Object, Channel::Gpc);
        Ok(ConsentSignal { v, kind, iat, nonce, ppid, act, controller, purpose, class, channel }.into())
    }
}

/// A question as the node takes it.
pub(super) fn question(ppid: Ppid, offered: Offered, ask: Ask) -> Result<Asked, Error> {
    let offer = offered.offer();
    let optional = u8::from(ask == Ask::Optional);
    let action = match ask {
        Ask::Use | Ask::Optional | Ask::Abroad => AskedAction::Grantable(Action::Use),
        Ask::Collect => AskedAction::Grantable(Action::Collect),
        Ask::Share | Ask::ShareElsewhere => AskedAction::Grantable(Action::Share),
        Ask::Anonymise => AskedAction::Grantable(Action::Anonymise),
        Ask::Reidentify => AskedAction::Reidentify,
    };
    let recipient = match ask {
        Ask::Share => Some(HOSPITAL),
        Ask::ShareElsewhere => Some(IDP),
        _ => None,
    };
    let question = Question {
        controller: world::id(offer.controller)?,
        action,
        purpose: offer.purpose.into(),
        class: offer.class,
        categories: offer.categories(optional),
        recipient: recipient.map(world::id).transpose()?,
        jurisdiction: (ask == Ask::Abroad).then(|| "US".into()),
        use_id: None,
    };
    Ok(Asked { resource: Resource::Person(ppid), question, min_index: None })
}
