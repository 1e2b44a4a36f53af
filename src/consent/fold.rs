//! The fold over one person's sealed statements: what each type does.
//!
//! Judged in this order: is there a person; may the signer; is the party live;
//! does an objection cover the slot; is `over` right; the slot's state; the
//! notice; the dates; the packs. The first that fails is the [`Why`].
//!
//! Lacks: `iat` windows (the door's, and none for closing acts), limits of rate,
//! and the rules of types this build does not serve.

use crate::consent::authority::{self, Backing};
use crate::consent::duty::Closed;
use crate::consent::person::{Attestation, Delegation, Key, Person, Seat};
use crate::consent::register::Register;
use crate::consent::slot::{Act, Next, Slot, State, Terms, next};
use crate::consent::{Actor, Effect, SlotKey, Touched, one};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, PartyId, StatementId, Timestamp};
use crate::model::statement::{
    ConsentAttest, ConsentGrant, ConsentLift, ConsentObject, ConsentResume, ConsentSignal, DelegationEnd,
    DelegationGrant, KeyCreate, Kind, Scope, SignalAct, Statement, SubjectAttest,
};
use crate::model::vocabulary::{DataClass, Role};

/// One act on one slot, after its authority was judged.
pub(in crate::consent) struct Step {
    pub(in crate::consent) act: Act,
    pub(in crate::consent) backing: Backing,
    pub(in crate::consent) terms: Option<Terms>,
    pub(in crate::consent) carrier: Option<PartyId>,
}

impl Step {
    pub(in crate::consent) const fn of(act: Act, backing: Backing) -> Self {
        Self { act, backing, terms: None, carrier: None }
    }
}

impl Person {
    /// Applies one sealed statement about this person. Source: design §4, §5, §6.
    ///
    /// Closing acts of whoever may close always apply: no `over`, no notice, no party's status, no
    /// pack and no repeat is asked.
    pub fn apply(&mut self, register: &Register, actor: &Actor<'_>, recorded: &Recorded) -> Effect {
        self.judge(register, actor, recorded).into()
    }

    fn judge(&mut self, register: &Register, actor: &Actor<'_>, recorded: &Recorded) -> Result<Touched, Why> {
        if let Statement::KeyCreate(s) = recorded.statement() {
            return self.create(register, actor, recorded, s);
        }
        match recorded.statement() {
            Statement::ConsentGrant(s) => self.grant(register, actor, recorded, s),
            Statement::ConsentAttest(s) => self.attest(register, actor, recorded, s),
            Statement::ConsentRefuse(s) => {
                self.close(actor, recorded, &s.controller, &s.purpose, s.class, Act::Refuse)
            }
            Statement::ConsentWithdraw(s) => {
                self.close(actor, recorded, &s.controller, &s.purpose, s.class, Act::Withdraw)
            }
            Statement::ConsentPause(s) => {
                self.close(actor, recorded, &s.controller, &s.purpose, s.class, Act::Pause)
            }
            Statement::ConsentDispute(s) => {
                self.close(actor, recorded, &s.controller, &s.purpose, s.class, Act::Dispute)
            }
            Statement::ConsentObject(s) => self.object(actor, recorded, s),
            Statement::ConsentLift(s) => self.lift(actor, recorded, s),
            Statement::ConsentResume(s) => self.resume(actor, recorded, s),
            Statement::ConsentSignal(s) => self.signal(register, actor, recorded, s),
            Statement::SubjectAttest(s) => self.attest_subject(register, actor, recorded, s),
            Statement::DutyJustify(s) => self.justify(register, actor, recorded, s),
            Statement::DutyAcknowledge(s) => self.acknowledge(register, actor, recorded, s),
            Statement::DutyDeleted(s) => self.declare_deleted(register, actor, recorded, s),
            Statement::RightRequest(s) => self.claim_right(register, actor, recorded, s),
            Statement::RightAnswer(s) => self.answer_right(register, actor, recorded, s),
            Statement::ConsiderationSettle(s) => self.report_paid(register, actor, recorded, s),
            Statement::ConsentRequest(s) => self.ask(register, actor, recorded, s),
            Statement::DelegationGrant(s) => self.delegate(register, actor, recorded, s),
            Statement::DelegationEnd(s) => self.end_delegation(register, actor, recorded, s),
            Statement::IncidentComplain(s) => self.complain(register, actor, recorded, s),
            Statement::ErasureDemand(_) => self.demand_erasure(actor, recorded),
            Statement::IncidentFlag(s) => self.flag(register, recorded, s),
            Statement::IncidentAnswer(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentOrder(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentConfirm(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentDismiss(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentAssess(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentContain(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentReport(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentNotify(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentAppeal(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::IncidentClose(s) => self.proceed(register, actor, recorded, s.step()),
            Statement::TransferDemand(s) => self.demand(register, actor, recorded, s),
            Statement::TransferStop(s) => self.stop_transfer(actor, recorded, s),
            Statement::TransferDeliver(s) => self.deliver(register, actor, recorded, s),
            Statement::TransferConfirm(s) => self.confirm(register, actor, recorded, s),
            Statement::TransferFail(s) => self.fail(register, actor, recorded, s),
            Statement::HoldPlace(s) => self.place_hold(register, actor, recorded, s),
            Statement::HoldLift(s) => self.lift_hold(register, actor, recorded, s),
            Statement::KeyAdd(_)
            | Statement::KeyRevoke(_)
            | Statement::KeyRotate(_)
            | Statement::KeyRecover(_)
            | Statement::KeyRebind(_) => self.on_keys(register, actor, recorded),
            Statement::KeyCreate(_) | Statement::WarrantGrant(_) => Err(Why::NotServed),
            // Public types are the register's.
            Statement::NoticePublish(_)
            | Statement::NoticeRetire(_)
            | Statement::PartyRegister(_)
            | Statement::PartyRotate(_)
            | Statement::PartyEngage(_)
            | Statement::PartyDisengage(_)
            | Statement::PartySucceed(_)
            | Statement::PartyClose(_)
            | Statement::PartySuspend(_)
            | Statement::PackAdopt(_)
            | Statement::UseBatch(_)
            | Statement::ReleaseRegister(_)
            | Statement::ReleaseWithdraw(_)
            | Statement::ReleaseRecall(_)
            | Statement::CanaryCommit(_)
            | Statement::IncidentPublish(_)
            | Statement::LogCreate(_)
            | Statement::LogRotate(_)
            | Statement::ErasureCertify(_) => Err(Why::NotServed),
        }
    }

    /// Makes the person: the signing key is the first of her set.
    pub(in crate::consent) fn create(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &KeyCreate,
    ) -> Result<Touched, Why> {
        match actor {
            Actor::Own => {}
            Actor::Delegate(_) | Actor::Party(_) | Actor::For { .. } => return Err(Why::Role),
        }
        let key = recorded.signed().signer;
        let taken = register.is_key_taken(&key)
            || s.recovery.is_some_and(|recovery| recovery == key || register.is_key_taken(&recovery));
        if taken || !self.is_new() || self.is_decoy() {
            return Err(Why::KeyTaken);
        }
        let core = self.core_mut();
        core.created = Some(recorded.id());
        core.keys = vec![Key { key, key_use: s.key_use, from: recorded.index(), revoked: None }];
        core.recovery = s.recovery;
        Ok(Touched::Core)
    }

    /// By herself alone: nobody may forget another. Twice is once.
    pub(in crate::consent) fn demand_erasure(
        &mut self,
        actor: &Actor<'_>,
        recorded: &Recorded,
    ) -> Result<Touched, Why> {
        if self.core().created.is_none() {
            return Err(Why::NotThisSubject);
        }
        match actor {
            Actor::Own => self.live_key(&recorded.signed().signer, recorded.at())?,
            Actor::Delegate(_) | Actor::For { .. } | Actor::Party(_) => return Err(Why::Role),
        }
        self.core_mut().erasing.get_or_insert(recorded.id());
        Ok(Touched::Core)
    }

    fn grant(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &ConsentGrant,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let key = SlotKey::exact(&s.controller, &s.purpose, s.class);
        let backing = authority::of_person(self, actor, recorded, &key.controller)?;
        let controller = register.party(&s.controller).ok_or(Why::PartyUnknown)?;
        if !controller.is_live(recorded.at()) {
            return Err(Why::PartySuspended);
        }
        self.must_be_open(&s.controller, &s.purpose, s.class)?;
        self.must_be_over(&key, s.over)?;
        let notice = register.notice(&s.notice.id).ok_or(Why::NoticeMismatch)?;
        if notice.retired.is_some() {
            return Err(Why::NoticeRetired);
        }
        must_have_dates(s.fetch_until, s.keep_until, recorded.at())?;
        let packs = register.packs_of(&s.controller, recorded.at()).ok_or(Why::Pack)?;
        notice.admits(s, controller.jurisdiction.as_deref(), &packs, recorded.at())?;
        if packs.iter().any(|pack| pack.refuses_grant(s.into()).is_some()) {
            return Err(Why::Pack);
        }
        let terms = Terms::of_grant(recorded.id(), s);
        self.step(key, recorded, Step { terms: Some(terms), ..Step::of(Act::Grant, backing) })
    }

    /// A controller's word for an older consent.
    ///
    /// Reading: it is held to purpose and categories of the vocabulary and to the packs like a grant,
    /// but to no notice; a covering objection stops it like a grant.
    fn attest(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &ConsentAttest,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::of_named_party(register, actor, recorded, &s.controller, Role::Controller)?;
        self.must_be_open(&s.controller, &s.purpose, s.class)?;
        let key = SlotKey::exact(&s.controller, &s.purpose, s.class);
        self.must_be_over(&key, s.over)?;
        if s.actions.is_empty() || s.categories.is_empty() || !register.knows(&s.purpose, &s.categories) {
            return Err(Why::Vocabulary);
        }
        must_have_dates(s.fetch_until, s.keep_until, recorded.at())?;
        if s.given_at > recorded.at() {
            return Err(Why::Dates);
        }
        let packs = register.packs_of(&s.controller, recorded.at()).ok_or(Why::Pack)?;
        if packs.iter().any(|pack| pack.refuses_grant(s.into()).is_some()) {
            return Err(Why::Pack);
        }
        let terms = Terms::of_attest(recorded.id(), s);
        self.step(key, recorded, Step { terms: Some(terms), ..Step::of(Act::Attest, Backing::Alone) })
    }

    /// Refuse, withdraw, pause, dispute.
    fn close(
        &mut self,
        actor: &Actor<'_>,
        recorded: &Recorded,
        controller: &PartyId,
        purpose: &str,
        class: DataClass,
        act: Act,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let key =
            slot_key(Scope::One(controller.as_str().to_owned()), purpose.to_owned().into(), class, act)?;
        let backing = authority::of_person(self, actor, recorded, &key.controller)?;
        self.step(key, recorded, Step::of(act, backing))
    }

    fn object(&mut self, actor: &Actor<'_>, recorded: &Recorded, s: &ConsentObject) -> Result<Touched, Why> {
        self.must_exist()?;
        let backing = authority::of_person(self, actor, recorded, &s.controller)?;
        let key = slot_key(s.controller.clone(), s.purpose.clone(), s.class, Act::Object)?;
        self.step(key, recorded, Step::of(Act::Object, backing))
    }

    /// Takes an objection back: by the person, or by a delegate whose scope names `consent.lift`; never
    /// by a party, whoever carried the objection.
    fn lift(&mut self, actor: &Actor<'_>, recorded: &Recorded, s: &ConsentLift) -> Result<Touched, Why> {
        self.must_exist()?;
        let backing = authority::of_person(self, actor, recorded, &s.controller)?;
        let key = slot_key(s.controller.clone(), s.purpose.clone(), s.class, Act::Lift)?;
        self.must_be_over(&key, s.over)?;
        self.step(key, recorded, Step::of(Act::Lift, backing))
    }

    fn resume(&mut self, actor: &Actor<'_>, recorded: &Recorded, s: &ConsentResume) -> Result<Touched, Why> {
        self.must_exist()?;
        let key = SlotKey::exact(&s.controller, &s.purpose, s.class);
        let backing = authority::of_person(self, actor, recorded, &key.controller)?;
        self.must_be_over(&key, s.over)?;
        self.step(key, recorded, Step::of(Act::Resume, backing))
    }

    /// The act it carries, by any party. Source: design §6.
    fn signal(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &ConsentSignal,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let carrier = match actor {
            Actor::Party(id) => authority::of_party(register, id, recorded, None)?.id.clone(),
            Actor::Own | Actor::Delegate(_) | Actor::For { .. } => return Err(Why::Role),
        };
        let act = match s.act {
            SignalAct::Withdraw => Act::Withdraw,
            SignalAct::Object => Act::Object,
            SignalAct::Pause => Act::Pause,
            SignalAct::Refuse => Act::Refuse,
        };
        let key = slot_key(s.controller.clone(), s.purpose.clone(), s.class, act)?;
        self.step(key, recorded, Step { carrier: Some(carrier), ..Step::of(act, Backing::Alone) })
    }

    fn attest_subject(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &SubjectAttest,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::of_named_party(register, actor, recorded, &s.provider, Role::IdentityProvider)?;
        self.take_attested(recorded, s)
    }

    /// What is said there, whoever may say it.
    pub(in crate::consent) fn take_attested(
        &mut self,
        recorded: &Recorded,
        s: &SubjectAttest,
    ) -> Result<Touched, Why> {
        // Nobody is her own guardian.
        if s.guardian.is_some_and(|key| self.has_key(&key)) {
            return Err(Why::NotGuardian);
        }
        let word = Attestation {
            statement: recorded.id(),
            provider: s.provider.clone(),
            minor_until: s.minor_until,
            guardian: s.guardian,
            method: s.method,
            index: recorded.index(),
        };
        let core = self.core_mut();
        core.attestations.retain(|a| a.provider != word.provider || a.guardian != word.guardian);
        core.attestations.push(word);
        self.note_childhood(recorded);
        Ok(Touched::Core)
    }

    fn delegate(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &DelegationGrant,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let grantor = authority::of_delegation(self, register, actor, recorded)?;
        if self.seat(&s.delegate).map(|seat| seat.last) != s.over {
            return Err(Why::Superseded);
        }
        if self.has_key(&s.delegate) {
            return Err(Why::KeyTaken);
        }
        let types: Option<Vec<Kind>> =
            s.types.iter().map(|text| Kind::parse(text).filter(|kind| is_delegable(*kind))).collect();
        let types = types.filter(|types| !types.is_empty()).ok_or(Why::DelegationScope)?;
        if s.until <= recorded.at() {
            return Err(Why::Dates);
        }
        // A guardian's delegation without any attestation is inert; whose it is, is judged at each act.
        let attested = self.attestations().iter().any(|a| a.guardian.is_some() && a.holds(recorded.at()));
        if s.reason == Delegation::GUARDIAN && !attested {
            return Err(Why::NotGuardian);
        }
        let delegation = Delegation {
            statement: recorded.id(),
            delegate: s.delegate,
            types,
            controllers: s.controllers.clone(),
            until: s.until,
            depth: s.depth,
            reason: s.reason.clone(),
            grantor,
            ended: false,
        };
        let core = self.core_mut();
        core.seats.retain(|seat| seat.delegate != s.delegate);
        core.seats.push(Seat { delegate: s.delegate, last: recorded.id(), delegation: Some(delegation) });
        Ok(Touched::Core)
    }

    /// Ends the delegation of that delegate; without one it still counts for `over`.
    fn end_delegation(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &DelegationEnd,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::of_delegation(self, register, actor, recorded)?;
        let core = self.core_mut();
        match core.seats.iter_mut().find(|seat| seat.delegate == s.delegate) {
            Some(seat) => {
                seat.last = recorded.id();
                if let Some(delegation) = &mut seat.delegation {
                    delegation.ended = true;
                }
            }
            None => {
                core.seats.push(Seat { delegate: s.delegate, last: recorded.id(), delegation: None });
            }
        }
        Ok(Touched::Core)
    }

    /// Takes one step in one slot: the only place where a slot changes.
    pub(in crate::consent) fn step(
        &mut self,
        key: SlotKey,
        recorded: &Recorded,
        step: Step,
    ) -> Result<Touched, Why> {
        let at = recorded.at();
        let old = self.slot(&key);
        let now = old.map_or(State::None, |slot| slot.now(at));
        let outcome = next(now, step.act, old.is_none());
        let mut slot = old.cloned().unwrap_or_default();
        match outcome {
            Next::Refused => return Err(Why::State),
            Next::Same => {}
            Next::Back => {
                slot.rebound_until = self.marked(recorded);
                slot.state = slot.paused_from.take().ok_or(Why::State)?;
                slot.since = at;
                if step.backing == Backing::Alone {
                    slot.alone_since = Some(slot.alone_since.map_or(at, |since| since.min(at)));
                }
            }
            Next::To(state) => {
                let act = Closed { at, act: recorded.id() };
                slot.keep_end(state, act, self.closed_over(&key));
                let wide = one(&key.controller).is_none() || one(&key.purpose).is_none();
                let objected = state == State::Objected && wide;
                slot.closed = objected.then(|| slot.closed.unwrap_or(act));
                slot.enter(state, at, step.backing, step.terms);
                if state == State::Granted {
                    slot.rebound_until = self.marked(recorded);
                }
            }
        }
        if step.act == Act::Dispute {
            slot.disputed = Some(at);
        }
        slot.last = Some(recorded.id());
        slot.index = recorded.index();
        if let Some(carrier) = &step.carrier
            && let Err(place) = slot.carriers.binary_search(carrier)
        {
            slot.carriers.insert(place, carrier.clone());
        }
        slot.carried_by = step.carrier;
        self.put(&key, slot);
        Ok(Touched::Slot(key))
    }

    /// The end of the mark, if she signed this herself by keys that rest on a rebind.
    fn marked(&self, recorded: &Recorded) -> Option<Timestamp> {
        let own = self.has_live_key(&recorded.signed().signer, recorded.at());
        self.rebound_until(recorded.at()).filter(|_| own)
    }

    fn seat(&self, delegate: &KeyHash) -> Option<&Seat> {
        self.core().seats.iter().find(|seat| seat.delegate == *delegate)
    }

    pub(in crate::consent) fn must_exist(&self) -> Result<(), Why> {
        if self.is_known() { Ok(()) } else { Err(Why::NotThisSubject) }
    }

    pub(in crate::consent) fn must_be_open(
        &self,
        controller: &PartyId,
        purpose: &str,
        class: DataClass,
    ) -> Result<(), Why> {
        if self.objection(controller, purpose, class).is_some() { Err(Why::Objected) } else { Ok(()) }
    }

    pub(in crate::consent) fn must_be_over(
        &self,
        key: &SlotKey,
        over: Option<StatementId>,
    ) -> Result<(), Why> {
        if self.slot(key).and_then(|slot| slot.last) == over { Ok(()) } else { Err(Why::Superseded) }
    }
}

impl Slot {
    /// Enters a state by an act that leads there.
    fn enter(&mut self, state: State, at: Timestamp, backing: Backing, terms: Option<Terms>) {
        let opened = match backing {
            Backing::Guardian => None,
            Backing::Alone => Some(at),
        };
        match state {
            State::Granted | State::Attested => {
                self.grant = terms;
                self.paused_from = None;
                self.alone_since = opened;
            }
            State::Paused => self.paused_from = Some(self.state),
            State::Disputed => self.paused_from = None,
            // Only a lift leads to none.
            State::None => {
                self.clear();
                self.alone_since = opened;
            }
            State::Refused | State::Withdrawn | State::Objected | State::Expired => {
                self.clear();
                self.alone_since = None;
            }
        }
        self.state = state;
        self.since = at;
    }

    fn clear(&mut self) {
        self.grant = None;
        self.paused_from = None;
        self.rebound_until = None;
    }
}

/// The slot an act is about: only objections may name `*`.
pub(in crate::consent) fn slot_key(
    controller: Scope,
    purpose: Scope,
    class: DataClass,
    act: Act,
) -> Result<SlotKey, Why> {
    let wide = |scope: &Scope| match scope {
        Scope::Any => true,
        Scope::One(text) => text == "*",
    };
    let may_be_wide = matches!(act, Act::Object | Act::Lift);
    if (wide(&controller) || wide(&purpose)) && !may_be_wide {
        return Err(Why::Vocabulary);
    }
    let plain = |scope: Scope| if wide(&scope) { Scope::Any } else { scope };
    Ok(SlotKey { controller: plain(controller), purpose: plain(purpose), class })
}

fn must_have_dates(fetch_until: Timestamp, keep_until: Timestamp, at: Timestamp) -> Result<(), Why> {
    if fetch_until <= keep_until && at < keep_until { Ok(()) } else { Err(Why::Dates) }
}

/// Types a delegate may sign: those that have a `by`.
const fn is_delegable(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ConsentGrant
            | Kind::ConsentRefuse
            | Kind::ConsentWithdraw
            | Kind::ConsentObject
            | Kind::ConsentLift
            | Kind::ConsentPause
            | Kind::ConsentResume
            | Kind::ConsentDispute
            | Kind::TransferDemand
            | Kind::TransferStop
            | Kind::RightRequest
            | Kind::IncidentComplain
    )
}
