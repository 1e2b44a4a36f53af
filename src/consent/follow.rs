//! What follows from a person's own statements, for whoever has nothing else.
//!
//! The table of design §6 over the consent statements of one person, in the order
//! of the log. It asks what her statements themselves can answer: the slot's state,
//! `over`, a covering objection. Lacks authority, notices and packs: whoever shows
//! the statements has had them judged before they were written. Source: design §10.

use crate::consent::Actor;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::SlotKey;
use crate::consent::authority::Backing;
use crate::consent::fold::Step;
use crate::consent::fold::slot_key;
use crate::consent::slot::Act;
use crate::consent::slot::Terms;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::statement::Scope;
use crate::model::statement::SignalAct;
use crate::model::statement::Statement;

/// Which slot a statement is about, and whether it counts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The slot.
    pub slot: SlotKey,
    /// Why it does not count, if it does not.
    pub inert: Option<Why>,
    /// It begins the slot here, and was signed over this statement, which is not among them: whoever
    /// shows the statements has to say what became of it.
    pub after: Option<StatementId>,
}

/// What a statement does to which slot, and over what it was signed.
struct Said {
    controller: Scope,
    purpose: Scope,
    class: crate::model::vocabulary::DataClass,
    act: Act,
    /// Only of opening acts.
    over: Option<Option<StatementId>>,
    terms: Option<Terms>,
}

/// The slot a statement is about, if it is about one.
#[must_use]
pub fn slot_of(statement: &Statement) -> Option<SlotKey> {
    // The id is part of the terms alone.
    let Said { controller, purpose, class, act, .. } = said(StatementId([0; 32]), statement)?;
    slot_key(controller, purpose, class, act).ok()
}

impl Person {
    /// Takes a statement as it stands; `None` if it is about no slot.
    pub fn follow(&mut self, recorded: &Recorded) -> Option<Followed> {
        let Said { controller, purpose, class, act, over, terms } =
            said(recorded.id(), recorded.statement())?;
        let slot = slot_key(controller, purpose, class, act).ok()?;
        // Statements before it may be past their term; then the first of those left is taken at its word.
        let after = over.flatten().filter(|_| self.slot(&slot).is_none());
        let judged = self.judge_again(&slot, act, over.filter(|_| after.is_none()));
        let step = || Step { terms, ..Step::of(act, Backing::Alone) };
        let inert = judged.and_then(|()| self.step(slot.clone(), recorded, step())).err();
        Some(Followed { slot, inert, after })
    }

    /// Takes a word on what is owed, claimed, carried or paid as it stands; says nothing of any slot.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is such a word is listed here, once")]
    pub fn follow_words(&mut self, recorded: &Recorded) {
        // What has no effect now had none then.
        drop(match recorded.statement() {
            Statement::DutyAcknowledge(s) => self.take_acknowledged(recorded, s),
            Statement::DutyDeleted(s) => self.take_deleted(recorded, s),
            Statement::RightRequest(s) => self.take_claim(recorded, s),
            Statement::RightAnswer(s) => self.take_answer(recorded, s),
            Statement::ConsiderationSettle(s) => self.take_settled(recorded, s),
            Statement::TransferDemand(s) => self.take_demanded(recorded, s),
            Statement::TransferStop(s) => self.take_stopped(recorded, s),
            Statement::TransferDeliver(s) => self.take_delivered(recorded, s),
            Statement::TransferConfirm(s) => self.take_confirmed(recorded, s),
            Statement::TransferFail(s) => self.take_failed(recorded, s),
            _ => return,
        });
    }

    /// Takes what a statement does to her keys, what providers say of her age, and her wish to be
    /// forgotten, as it stands. A party's right to say it was judged before it was written.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is about her keys is listed here, once")]
    pub fn follow_keys(&mut self, recorded: &Recorded) {
        let nobody = Register::default();
        drop(match recorded.statement() {
            Statement::KeyCreate(s) => self.create(&nobody, &Actor::Own, recorded, s),
            Statement::KeyAdd(_)
            | Statement::KeyRevoke(_)
            | Statement::KeyRotate(_)
            | Statement::KeyRecover(_) => self.on_keys(&nobody, &Actor::Own, recorded),
            Statement::KeyRebind(s) => self.follow_rebind(recorded, s),
            Statement::SubjectAttest(s) => self.take_attested(recorded, s),
            Statement::ErasureDemand(_) => self.demand_erasure(&Actor::Own, recorded),
            _ => return,
        });
    }

    fn judge_again(&self, slot: &SlotKey, act: Act, over: Option<Option<StatementId>>) -> Result<(), Why> {
        if let (Act::Grant | Act::Attest, Scope::One(controller)) = (act, &slot.controller)
            && let Some(controller) = PartyId::parse(controller)
        {
            self.must_be_open(&controller, slot.purpose.as_str(), slot.class)?;
        }
        over.map_or(Ok(()), |over| self.must_be_over(slot, over))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is about a slot is listed here, once")]
fn said(id: StatementId, statement: &Statement) -> Option<Said> {
    let one = |party: &PartyId| Scope::One(party.as_str().to_owned());
    macro_rules! act {
        ($s:expr, $act:expr) => {
            Said {
                controller: one(&$s.controller),
                purpose: $s.purpose.clone().into(),
                class: $s.class,
                act: $act,
                over: None,
                terms: None,
            }
        };
    }
    macro_rules! wide {
        ($s:expr, $act:expr, $over:expr) => {
            Said {
                controller: $s.controller.clone(),
                purpose: $s.purpose.clone(),
                class: $s.class,
                act: $act,
                over: $over,
                terms: None,
            }
        };
    }
    Some(match statement {
        Statement::ConsentGrant(s) => {
            Said { over: Some(s.over), terms: Some(Terms::of_grant(id, s)), ..act!(s, Act::Grant) }
        }
        Statement::ConsentAttest(s) => {
            Said { over: Some(s.over), terms: Some(Terms::of_attest(id, s)), ..act!(s, Act::Attest) }
        }
        Statement::ConsentResume(s) => Said { over: Some(s.over), ..act!(s, Act::Resume) },
        Statement::ConsentRefuse(s) => act!(s, Act::Refuse),
        Statement::ConsentWithdraw(s) => act!(s, Act::Withdraw),
        Statement::ConsentPause(s) => act!(s, Act::Pause),
        Statement::ConsentDispute(s) => act!(s, Act::Dispute),
        Statement::ConsentObject(s) => wide!(s, Act::Object, None),
        Statement::ConsentLift(s) => wide!(s, Act::Lift, Some(s.over)),
        Statement::ConsentSignal(s) => {
            let act = match s.act {
                SignalAct::Withdraw => Act::Withdraw,
                SignalAct::Object => Act::Object,
                SignalAct::Pause => Act::Pause,
                SignalAct::Refuse => Act::Refuse,
            };
            wide!(s, act, None)
        }
        _ => return None,
    })
}
