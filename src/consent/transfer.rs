//! Transfer demands: what each step does to a demand, and when a demand is live.
//!
//! A person demands that one party sends her data to another (전송요구). Each demand is a
//! slot of its own; each time it is carried is a *run*, and each step of a run is signed:
//!
//! ```text
//! demand ─► deliver (sender: m items) ─► confirm (receiver: n of m) ─► completed (n = m) | partial
//!    │          └──────────► fail (either) ─► failed: no confirm of it counts; another run may bring it
//!    └─► stop (the person): no run begins any more; what was delivered may still be confirmed
//! ```
//!
//! A step that says again what stands already counts and changes nothing. Lacks: the
//! carrying (`portability::transfer` and the node), and any history beyond the newest
//! runs: the log has it. Trusted: nothing; a step is judged by what stands here, never
//! by what it says of itself. Source: design §4, §11.

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::demand::{must_be_sound, schedule};
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::slot::State;
use crate::consent::{Actor, SlotKey, Touched};
use crate::identity::Recorded;
use crate::model::cycle::Schedule;
use crate::model::decision::Why;
use crate::model::id::{Hash, LeafIndex, PartyId, StatementId, Timestamp};
use crate::model::statement::{
    FailCode, Mode, Scope, Target, TransferConfirm, TransferDeliver, TransferDemand, TransferFail,
    TransferStop,
};
use crate::model::vocabulary::{DataClass, Role};

/// Most demands of one person that are live at a time.
const MOST_LIVE: usize = 32;
/// Most demands her row holds; of more, the oldest that ended go. The log has all of them.
const MOST_HELD: usize = 64;
/// Newest runs a demand holds.
const MOST_RUNS: usize = 8;
/// So long after its stop a demand that was never seen may still arrive, ms: the window of `iat`, twice.
const STOPPED_MS: u64 = 2 * 25 * 3_600_000;

/// One demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Transfer {
    /// When it was recorded: from here its runs are counted.
    pub at: Timestamp,
    /// Last instant of fetching: at it no longer.
    pub end: Timestamp,
    /// Last statement applied to it: what `over` of one that replaces it names.
    pub last: StatementId,
    /// View or store.
    pub mode: Mode,
    /// The newest runs that anybody signed a step of, in order of numbers.
    pub runs: Vec<Run>,
    /// Where it stands.
    pub index: LeafIndex,
    /// When it was stopped or replaced, if it was.
    pub ended: Option<Timestamp>,
    /// The `transfer.demand`.
    pub demand: StatementId,
    /// Who sends.
    pub sender: PartyId,
    /// Why, a DPV IRI.
    pub purpose: String,
    /// What.
    pub targets: Vec<Target>,
    /// Cycle of additional data.
    pub add_cycle: Option<String>,
    /// Who receives.
    pub recipient: PartyId,
    /// Whether it repeats.
    pub scheduled: bool,
    /// Cycle of basic data.
    pub fund_cycle: Option<String>,
    /// The recipient keeps it no longer.
    pub keep_until: Timestamp,
    /// The demand that took its place: it replaces no other.
    pub replaced_by: Option<StatementId>,
}

/// One run of a demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Why it failed, if somebody says so.
    pub failed: Option<Failed>,
    /// Its number.
    pub number: u64,
    /// What the sender says it delivered.
    pub delivered: Option<Delivered>,
    /// What the receiver says it received.
    pub confirmed: Option<Confirmed>,
}

/// The sender's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delivered {
    /// When.
    pub at: Timestamp,
    /// SHA-256 over what was delivered.
    pub hash: Hash,
    /// Items.
    pub items: u64,
    /// The `transfer.deliver`.
    pub statement: StatementId,
}

/// The receiver's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Confirmed {
    /// When.
    pub at: Timestamp,
    /// Items: n of m.
    pub received: u64,
    /// The `transfer.confirm`.
    pub statement: StatementId,
}

/// The word of either that a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub by: PartyId,
    /// Why.
    pub code: FailCode,
    /// The `transfer.fail`.
    pub statement: StatementId,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunState {
    /// The sender has delivered.
    Delivered,
    /// The receiver has confirmed all of it.
    Completed,
    /// The receiver has confirmed less than all.
    Partial,
    /// It failed.
    Failed,
}

impl RunState {
    /// The spelling in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

impl Run {
    const fn new(number: u64) -> Self {
        Self { failed: None, number, delivered: None, confirmed: None }
    }

    /// Where it stands: it is confirmed or it has failed, and what came first stands.
    #[must_use]
    pub fn state(&self) -> RunState {
        match (&self.delivered, &self.confirmed) {
            (Some(delivered), Some(confirmed)) if confirmed.received >= delivered.items => {
                RunState::Completed
            }
            (Some(_), Some(_)) => RunState::Partial,
            (Some(_), None) if self.failed.is_none() => RunState::Delivered,
            (Some(_) | None, _) => RunState::Failed,
        }
    }
}

/// Whether a demand may be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It may.
    Live,
    /// She has withdrawn, refused or objected since, for its purpose at one of the two.
    Barred,
    /// It was stopped or replaced.
    Stopped,
    /// Its last instant has passed.
    Expired,
    /// It was to be carried once, and its run is over.
    Done,
}

impl Standing {
    /// The spelling in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Barred => "barred",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Done => "done",
        }
    }
}

impl Transfer {
    fn of(recorded: &Recorded, s: &TransferDemand) -> Self {
        Self {
            at: recorded.at(),
            end: s.end,
            last: recorded.id(),
            mode: s.mode,
            runs: Vec::new(),
            index: recorded.index(),
            ended: None,
            demand: recorded.id(),
            sender: s.sender.clone(),
            purpose: s.purpose.clone(),
            targets: s.targets.clone(),
            add_cycle: s.add_cycle.clone(),
            recipient: s.recipient.clone(),
            scheduled: s.scheduled,
            fund_cycle: s.fund_cycle.clone(),
            keep_until: s.keep_until,
            replaced_by: None,
        }
    }

    /// When its runs are due.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        schedule(self.at, self.scheduled, self.fund_cycle.as_deref(), self.add_cycle.as_deref())
            .unwrap_or(Schedule::once(self.at))
    }

    /// The newest run anybody signed a step of.
    #[must_use]
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.last()
    }

    /// The run of that number, while it is held.
    #[must_use]
    pub fn run(&self, number: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.number == number)
    }

    /// Whether the sender has signed that anything was delivered.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.runs.iter().any(|run| run.delivered.is_some())
    }

    /// Whether both ends are the party's business.
    #[must_use]
    pub fn concerns(&self, party: &PartyId) -> bool {
        self.sender == *party || self.recipient == *party
    }

    /// The run that a step is about, made if none later stands and it is due.
    fn run_mut(&mut self, number: u64, at: Timestamp) -> Result<&mut Run, Why> {
        let last = self.runs.last().map(|run| run.number);
        if last.is_none_or(|last| last < number) {
            if self.schedule().due(number).is_none_or(|due| due > at) {
                return Err(Why::TooSoon);
            }
            if self.runs.len() >= MOST_RUNS {
                self.runs.remove(0);
            }
            self.runs.push(Run::new(number));
        }
        self.runs.iter_mut().find(|run| run.number == number).ok_or(Why::State)
    }
}

impl Person {
    /// Her demands, in order of arrival; of many, those that ended first are gone.
    #[must_use]
    pub fn transfers(&self) -> &[Transfer] {
        &self.core().transfers
    }

    /// The demand of that `transfer.demand`.
    #[must_use]
    pub fn transfer(&self, demand: &StatementId) -> Option<&Transfer> {
        self.transfers().iter().find(|transfer| transfer.demand == *demand)
    }

    /// Whether a demand may be carried at an instant.
    ///
    /// Reading: it is her own act and rests on no consent. But what she closed later holds: an
    /// objection that covers its purpose at sender or recipient, or a withdrawal or refusal there
    /// after the demand, bars it as long as it stands.
    #[must_use]
    pub fn transfer_stands(&self, transfer: &Transfer, at: Timestamp) -> Standing {
        if self.is_known() { self.stands(transfer, at) } else { Standing::Stopped }
    }

    /// The same by what is here, whether she is known or her statements alone are.
    fn stands(&self, transfer: &Transfer, at: Timestamp) -> Standing {
        let over = |run: &Run| run.state() != RunState::Delivered;
        let barred = |party: &PartyId| {
            let key = SlotKey::exact(party, &transfer.purpose, DataClass::RealName);
            let closed = self.slot(&key).is_some_and(|slot| {
                slot.index > transfer.index && matches!(slot.state, State::Withdrawn | State::Refused)
            });
            closed || self.objection(party, &transfer.purpose, DataClass::RealName).is_some()
        };
        if transfer.ended.is_some() {
            Standing::Stopped
        } else if !transfer.scheduled && transfer.last_run().is_some_and(over) {
            Standing::Done
        } else if at >= transfer.end {
            Standing::Expired
        } else if barred(&transfer.sender) || barred(&transfer.recipient) {
            Standing::Barred
        } else {
            Standing::Live
        }
    }

    /// Opens a demand, or replaces the one that `over` leads to.
    ///
    /// Reading: for a minor only a guardian demands, as only a guardian's grant opens.
    pub(in crate::consent) fn demand(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &TransferDemand,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let at = recorded.at();
        let scope = Scope::One(s.sender.as_str().to_owned());
        let backing = authority::of_person(self, actor, recorded, &scope)?;
        if self.is_minor(at) && backing == authority::Backing::Alone {
            return Err(Why::NotGuardian);
        }
        for (id, roles) in
            [(&s.sender, &[Role::Controller][..]), (&s.recipient, &[Role::Controller, Role::Recipient][..])]
        {
            let party = register.party(id).ok_or(Why::PartyUnknown)?;
            if !party.is_live(at) {
                return Err(Why::PartySuspended);
            }
            if !roles.iter().any(|role| party.has_role(*role)) || s.sender == s.recipient {
                return Err(Why::Role);
            }
            self.must_be_open(id, &s.purpose, DataClass::RealName)?;
        }
        if s.over.is_some_and(|over| self.replaceable(&over).is_none()) {
            return Err(Why::Superseded);
        }
        must_be_sound(register, s, at)?;
        self.take_demanded(recorded, s)
    }

    pub(in crate::consent) fn take_demanded(
        &mut self,
        recorded: &Recorded,
        s: &TransferDemand,
    ) -> Result<Touched, Why> {
        let at = recorded.at();
        let replaced = s.over.map(|over| self.replaceable(&over).ok_or(Why::Superseded)).transpose()?;
        // A stop that was first, and another of its id, are never undone.
        let id = recorded.id();
        if self.core().stopped.iter().any(|stopped| stopped.demand == id) || self.transfer(&id).is_some() {
            return Err(Why::State);
        }
        let live = self.transfers().iter().enumerate();
        let live = live
            .filter(|(n, transfer)| Some(*n) != replaced && self.stands(transfer, at) <= Standing::Barred);
        if live.count() >= MOST_LIVE {
            return Err(Why::State);
        }
        let held = &mut self.core_mut().transfers;
        if let Some(old) = replaced.and_then(|n| held.get_mut(n)) {
            old.ended.get_or_insert(at);
            old.last = id;
            old.replaced_by = Some(id);
        }
        held.push(Transfer::of(recorded, s));
        self.drop_oldest(at);
        Ok(Touched::Core)
    }

    /// Where the demand stands that `over` leads to, if another may take its place.
    fn replaceable(&self, over: &StatementId) -> Option<usize> {
        self.transfers().iter().position(|old| old.last == *over && old.replaced_by.is_none())
    }

    /// Of too many, the oldest that are over go: there are at most [`MOST_LIVE`] others.
    fn drop_oldest(&mut self, at: Timestamp) {
        while self.transfers().len() > MOST_HELD {
            let over = |transfer: &Transfer| self.stands(transfer, at) > Standing::Barred;
            let Some(oldest) = self.transfers().iter().position(over) else { return };
            self.core_mut().transfers.remove(oldest);
        }
    }

    /// Ends a demand, or keeps out one that has not arrived. Never refused to whoever may.
    pub(in crate::consent) fn stop_transfer(
        &mut self,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &TransferStop,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let sender = self.transfer(&s.demand).map(|transfer| transfer.sender.as_str().to_owned());
        authority::of_person(self, actor, recorded, &sender.map_or(Scope::Any, Scope::One))?;
        self.take_stopped(recorded, s)
    }

    pub(in crate::consent) fn take_stopped(
        &mut self,
        recorded: &Recorded,
        s: &TransferStop,
    ) -> Result<Touched, Why> {
        let at = recorded.at();
        let core = self.core_mut();
        match core.transfers.iter_mut().find(|transfer| transfer.demand == s.demand) {
            Some(transfer) => {
                transfer.ended.get_or_insert(at);
                transfer.last = recorded.id();
            }
            None => {
                core.stopped
                    .retain(|stopped| stopped.at.plus_ms(STOPPED_MS) > at && stopped.demand != s.demand);
                core.stopped.push(Stopped { at, demand: s.demand });
            }
        }
        Ok(Touched::Core)
    }

    /// By the sender: so many items of a run are delivered. Not after the demand has ended.
    pub(in crate::consent) fn deliver(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &TransferDeliver,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        self.take_delivered(recorded, s)
    }

    pub(in crate::consent) fn take_delivered(
        &mut self,
        recorded: &Recorded,
        s: &TransferDeliver,
    ) -> Result<Touched, Why> {
        let said = Delivered { at: recorded.at(), hash: s.hash, items: s.items, statement: recorded.id() };
        let transfer = self.end_of(&s.demand, &s.party)?;
        if transfer.sender != s.party {
            return Err(Why::Role);
        }
        if let Some(stands) = transfer.run(s.run).and_then(|run| run.delivered.as_ref()) {
            return if stands.items == s.items && stands.hash == s.hash {
                self.again(&s.demand, recorded)
            } else {
                Err(Why::State)
            };
        }
        if transfer.run(s.run).is_some_and(|run| run.failed.is_some())
            || self.stands(transfer, recorded.at()) != Standing::Live
        {
            return Err(Why::State);
        }
        self.change((&s.demand, recorded), s.run, |run| run.delivered = Some(said))
    }

    /// By the receiver: n of m have arrived. More may arrive later, never more than was delivered; nothing
    /// of a run that failed.
    pub(in crate::consent) fn confirm(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &TransferConfirm,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        self.take_confirmed(recorded, s)
    }

    pub(in crate::consent) fn take_confirmed(
        &mut self,
        recorded: &Recorded,
        s: &TransferConfirm,
    ) -> Result<Touched, Why> {
        let said = Confirmed { at: recorded.at(), received: s.received, statement: recorded.id() };
        let transfer = self.end_of(&s.demand, &s.party)?;
        if transfer.recipient != s.party {
            return Err(Why::Role);
        }
        let run = transfer.run(s.run).ok_or(Why::State)?;
        let delivered = run.delivered.as_ref().filter(|_| run.failed.is_none()).ok_or(Why::State)?;
        if s.received > delivered.items || s.received > s.announced {
            return Err(Why::MoreThanDelivered);
        }
        if s.announced != delivered.items {
            return Err(Why::Count);
        }
        match &run.confirmed {
            Some(before) if before.received == s.received => self.again(&s.demand, recorded),
            Some(before) if before.received > s.received => Err(Why::State),
            Some(_) | None => self.change((&s.demand, recorded), s.run, |run| run.confirmed = Some(said)),
        }
    }

    /// By either: a run failed. Not one that the receiver has confirmed.
    pub(in crate::consent) fn fail(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &TransferFail,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        self.take_failed(recorded, s)
    }

    pub(in crate::consent) fn take_failed(
        &mut self,
        recorded: &Recorded,
        s: &TransferFail,
    ) -> Result<Touched, Why> {
        let said = Failed { at: recorded.at(), by: s.party.clone(), code: s.code, statement: recorded.id() };
        let transfer = self.end_of(&s.demand, &s.party)?;
        match transfer.run(s.run) {
            Some(run) if run.confirmed.is_some() => Err(Why::State),
            Some(Run { failed: Some(_), .. }) => self.again(&s.demand, recorded),
            Some(_) | None => self.change((&s.demand, recorded), s.run, |run| run.failed = Some(said)),
        }
    }

    /// The demand a party's step is about, if the party is one of its ends.
    fn end_of(&self, demand: &StatementId, party: &PartyId) -> Result<&Transfer, Why> {
        // A demand between others is told like one that does not exist.
        self.transfer(demand).filter(|transfer| transfer.concerns(party)).ok_or(Why::State)
    }

    fn change(
        &mut self,
        (demand, recorded): (&StatementId, &Recorded),
        run: u64,
        to: impl FnOnce(&mut Run),
    ) -> Result<Touched, Why> {
        // Judged on a copy: what fails leaves no empty run behind.
        let mut transfer = self.transfer(demand).ok_or(Why::State)?.clone();
        to(transfer.run_mut(run, recorded.at())?);
        transfer.last = recorded.id();
        self.put_transfer(transfer)
    }

    /// Says what stands: counts for `over`, changes nothing.
    fn again(&mut self, demand: &StatementId, recorded: &Recorded) -> Result<Touched, Why> {
        let mut transfer = self.transfer(demand).ok_or(Why::State)?.clone();
        transfer.last = recorded.id();
        self.put_transfer(transfer)
    }

    fn put_transfer(&mut self, transfer: Transfer) -> Result<Touched, Why> {
        let mut held = self.core_mut().transfers.iter_mut();
        let place = held.find(|old| old.demand == transfer.demand).ok_or(Why::State)?;
        *place = transfer;
        Ok(Touched::Core)
    }
}

/// A stop of a demand that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    /// When.
    pub at: Timestamp,
    /// The demand.
    pub demand: StatementId,
}
