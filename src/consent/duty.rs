//! Obligations: what each recipient owes once data may no longer be used, and what it says it did.
//!
//! A grant ends by a closing act or by its last date. From there on everybody it named owes
//! deletion: the controller and each recipient, each by the clock of the packs that apply to
//! it. The same is owed by the recipient of a demand under which something was delivered, of the scopes
//! it names, from its `keep-until` on or since she closed its purpose at the recipient. A recipient
//! says that it knows (`duty.acknowledge`) and that it deleted
//! (`duty.deleted`): its word, kept and never taken back.
//!
//! What has ended stands in the slots, what was said of it in the core; what is owed is
//! computed from both. Lacks: whether anything was deleted (nobody can see that from here),
//! and any action when a clock runs out. Source: design §4; PIPA art. 21, 37.
//!
//! Reading: a grant that another replaces has not ended. A later grant allows anew and forgives
//! nothing that was owed before. An objection to `*` leaves the grants below it as they are:
//! what it makes owed is owed while it stands, and so is what a closing act makes owed of a demand. A
//! stop ends the carrying and nothing else: what has arrived may be kept as long as the demand said. A
//! row of no time (`0h`) is met by the ledger
//! itself, whose next check is denied; so whoever holds the data owes by the shortest of the
//! other rows, whether it is the controller or a recipient.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::slot::{Slot, State};
use crate::consent::transfer::Transfer;
use crate::consent::{Actor, SlotKey, Touched, one};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{PartyId, StatementId, Timestamp};
use crate::model::pack::Trigger;
use crate::model::statement::{DutyAcknowledge, DutyDeleted};
use crate::model::vocabulary::{DataClass, Role};

/// Most ended grants a slot holds; of more, the oldest go. The log has all of them.
const MOST_ENDED: usize = 32;
/// Most words of parties one person's state holds; of more, the oldest go.
const MOST_SAID: usize = 1_024;

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// She withdrew, refused or objected.
    ClosingAct,
    /// Its last date passed.
    GrantEnd,
}

impl EndedBy {
    /// The spelling in rows: that of the pack's triggers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClosingAct => "closing-act",
            Self::GrantEnd => "grant-end",
        }
    }

    const fn trigger(self) -> Trigger {
        match self {
            Self::ClosingAct => Trigger::ClosingAct,
            Self::GrantEnd => Trigger::GrantEnd,
        }
    }
}

/// A grant that has ended in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub by: EndedBy,
    /// What `act` of the recipients' words names: the closing act; of a term that is over, the grant; of a
    /// demand always the demand.
    pub act: StatementId,
    /// The `consent.grant`, `consent.attest` or `transfer.demand`.
    pub grant: StatementId,
    /// Categories it covered; of a demand its scopes.
    pub categories: Vec<String>,
    /// Whom it named besides the controller.
    pub recipients: Vec<PartyId>,
    /// What was promised for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consideration: Option<String>,
}

/// An objection to `*`, by its first statement: a repeat starts no clock anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// The act.
    pub act: StatementId,
}

/// What a recipient said: one statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Declared {
    /// When it was recorded.
    pub at: Timestamp,
    /// What ended the grant.
    pub act: StatementId,
    /// Who.
    pub party: PartyId,
    /// What was deleted, if this is a `duty.deleted`.
    pub deleted: Option<Deleted>,
    /// The statement.
    pub statement: StatementId,
}

impl Declared {
    /// Whether a party says it of what an act ended then: of a demand that was opened again and has ended
    /// once more, it is to be said again.
    fn is_of(&self, (act, party): (&StatementId, &PartyId), since: Timestamp) -> bool {
        self.act == *act && self.party == *party && self.at >= since
    }
}

/// What a recipient says it deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deleted {
    /// When, by its word.
    pub on: Timestamp,
    /// Of which categories.
    pub categories: Vec<String>,
}

/// The clock something is owed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock {
    /// Due before this instant.
    pub due: Timestamp,
    /// Name of the pack.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The duty in it.
    pub rule: String,
}

impl Clock {
    /// The shortest row, of the packs that apply to a party at an instant, that begins there.
    pub(in crate::consent) fn of(
        register: &Register,
        party: &PartyId,
        (on, who): (Trigger, &[Role]),
        from: Timestamp,
    ) -> Option<Self> {
        let packs = register.packs_of(party, from)?;
        let rows = packs.iter().flat_map(|pack| pack.duties_on(on).map(move |duty| (pack, duty)));
        let rows = rows.filter(|(_, duty)| who.contains(&duty.who) && duty.within.ms() > 0);
        let (pack, duty) = rows.min_by_key(|(_, duty)| duty.within.ms())?;
        Some(Self {
            due: from.plus_ms(duty.within.ms()),
            pack: pack.name().to_string(),
            version: pack.version(),
            rule: duty.id.to_string(),
        })
    }
}

/// What one party owes for one grant that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    /// What ended it.
    pub act: StatementId,
    /// How.
    pub by: EndedBy,
    /// When: the clock starts.
    pub since: Timestamp,
    /// The grant.
    pub grant: StatementId,
    /// Whose grant it was.
    pub controller: PartyId,
    /// For which purpose.
    pub purpose: String,
    /// Class of data.
    pub class: DataClass,
    /// Categories to delete.
    pub categories: Vec<String>,
    /// Who owes.
    pub party: PartyId,
    /// By when; none if no pack that applies says so.
    pub clock: Option<Clock>,
    /// When the party first said that it knows.
    pub acknowledged: Option<Timestamp>,
    /// What it says it deleted, in order.
    pub said: Vec<Declared>,
    /// Categories it has not declared deleted.
    pub left: Vec<String>,
}

/// How something that is owed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Met {
    /// Not met, and past due.
    Overdue,
    /// Met at this instant: too late.
    Late(Timestamp),
    /// Not met, and not due yet.
    Waiting,
    /// Met in time.
    InTime(Timestamp),
}

impl Met {
    /// How it stands, if it is due then and was met then.
    #[must_use]
    pub fn of(due: Option<Timestamp>, met: Option<Timestamp>, now: Timestamp) -> Self {
        let past = |at: Timestamp| due.is_some_and(|due| at >= due);
        match met {
            Some(at) if past(at) => Self::Late(at),
            Some(at) => Self::InTime(at),
            None if past(now) => Self::Overdue,
            None => Self::Waiting,
        }
    }

    /// The spelling in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Late(_) => "late",
            Self::Waiting => "waiting",
            Self::InTime(_) => "done",
        }
    }
}

impl Obligation {
    /// When the last category was declared deleted, if all are.
    #[must_use]
    pub fn met_at(&self) -> Option<Timestamp> {
        self.said.iter().map(|said| said.at).max().filter(|_| self.left.is_empty())
    }

    /// How it stands.
    #[must_use]
    pub fn met(&self, now: Timestamp) -> Met {
        Met::of(self.clock.as_ref().map(|clock| clock.due), self.met_at(), now)
    }
}

impl Slot {
    /// The end of what stands here, if it has one by then: the first of a covering objection and its last date.
    fn ending(&self, closed: Option<Closed>, at: Timestamp) -> Option<Ended> {
        let terms = self.grant.as_ref()?;
        let end = terms.fetch_until.max(terms.keep_until);
        let over = (end <= at).then_some((end, EndedBy::GrantEnd, terms.statement));
        let closed = closed.map(|closed| (closed.at, EndedBy::ClosingAct, closed.act));
        let (at, by, act) = [closed, over].into_iter().flatten().min_by_key(|(at, ..)| *at)?;
        Some(Ended {
            at,
            by,
            act,
            grant: terms.statement,
            categories: terms.categories.clone(),
            recipients: terms.recipients.clone(),
            consideration: terms.consideration.clone(),
        })
    }

    /// Before an act leads to a state: keeps what ends with it.
    pub(in crate::consent) fn keep_end(&mut self, to: State, act: Closed, covering: Option<Closed>) {
        let closing = match to {
            State::Refused | State::Withdrawn | State::Objected => Some(act),
            State::None
            | State::Granted
            | State::Attested
            | State::Disputed
            | State::Paused
            | State::Expired => None,
        };
        let first = [covering, closing].into_iter().flatten().min();
        // A step that keeps the grant ends nothing.
        if matches!(to, State::Paused | State::Disputed) {
            return;
        }
        if let Some(ended) = self.ending(first, act.at) {
            self.ended.push(ended);
            if self.ended.len() > MOST_ENDED {
                self.ended.remove(0);
            }
        }
    }
}

impl Person {
    /// The earliest standing objection to `*` over a slot.
    pub(in crate::consent) fn closed_over(&self, key: &SlotKey) -> Option<Closed> {
        let (controller, purpose) = (one(&key.controller)?, one(&key.purpose)?);
        self.covering(controller, purpose, key.class).filter_map(|slot| slot.closed).min()
    }

    /// Every grant of hers that has ended by then and is held, with its slot; then her demands.
    fn ended(&self, at: Timestamp) -> impl Iterator<Item = (SlotKey, Ended)> {
        let grants = self.slots().flat_map(move |(key, slot)| {
            let now = slot.ending(self.closed_over(key), at);
            slot.ended.iter().cloned().chain(now).map(move |ended| (key.clone(), ended))
        });
        let demands = self.transfers().iter().filter_map(move |transfer| {
            let key = SlotKey::exact(&transfer.recipient, &transfer.purpose, DataClass::RealName);
            self.life_end(transfer, at).map(|ended| (key, ended))
        });
        grants.chain(demands)
    }

    /// The end of what the recipient of a demand may keep, if it has come by then and anything was delivered.
    #[must_use]
    pub fn life_end(&self, transfer: &Transfer, at: Timestamp) -> Option<Ended> {
        let (recipient, purpose) = (&transfer.recipient, transfer.purpose.as_str());
        let key = SlotKey::exact(recipient, purpose, DataClass::RealName);
        let own = self.slot(&key).filter(|slot| {
            slot.index > transfer.index && matches!(slot.state, State::Withdrawn | State::Refused)
        });
        let wide = self.covering(recipient.as_str(), purpose, DataClass::RealName);
        let wide = wide.filter(|slot| slot.state == State::Objected);
        let closed = own.map(|slot| slot.since).into_iter();
        let closed = closed.chain(wide.map(|slot| slot.closed.map_or(slot.since, |closed| closed.at))).min();
        let ends = [
            closed.filter(|closed| *closed <= at).map(|closed| (closed, EndedBy::ClosingAct)),
            (transfer.keep_until <= at).then_some((transfer.keep_until, EndedBy::GrantEnd)),
        ];
        let (at, by) = ends.into_iter().flatten().min().filter(|_| transfer.is_delivered())?;
        Some(Ended {
            at,
            by,
            act: transfer.demand,
            grant: transfer.demand,
            categories: transfer.targets.iter().map(|target| target.scope.clone()).collect(),
            recipients: Vec::new(),
            consideration: None,
        })
    }

    /// What is owed to her, and how far it is met; by slot, then in the order of ends, then of parties.
    #[must_use]
    pub fn obligations(&self, register: &Register, now: Timestamp) -> Vec<Obligation> {
        let mut out = Vec::new();
        for (key, ended) in self.ended(now) {
            let Some(controller) = one(&key.controller).and_then(PartyId::parse) else { continue };
            for party in owing(&controller, &ended) {
                out.push(self.obligation(register, &key, &controller, &ended, party));
            }
        }
        out
    }

    /// Every party that owes her something, may come to, or once did.
    #[must_use]
    pub fn debtors(&self) -> BTreeSet<PartyId> {
        let mut out: BTreeSet<PartyId> = self.rights().iter().map(|claim| claim.controller.clone()).collect();
        for (key, slot) in self.slots().filter(|(_, slot)| slot.grant.is_some() || !slot.ended.is_empty()) {
            out.extend(one(&key.controller).and_then(PartyId::parse));
            let past = slot.ended.iter().flat_map(|ended| &ended.recipients);
            out.extend(slot.grant.iter().flat_map(|terms| &terms.recipients).chain(past).cloned());
        }
        out.extend(self.transfers().iter().map(|transfer| transfer.recipient.clone()));
        out
    }

    fn obligation(
        &self,
        register: &Register,
        key: &SlotKey,
        controller: &PartyId,
        ended: &Ended,
        party: &PartyId,
    ) -> Obligation {
        let of = |said: &&Declared| said.is_of((&ended.act, party), ended.at);
        let all = || self.core().duties.iter().filter(of);
        let deleted = |category: &String| {
            let names =
                |said: &Declared| said.deleted.as_ref().is_some_and(|d| d.categories.contains(category));
            all().any(names)
        };
        Obligation {
            act: ended.act,
            by: ended.by,
            since: ended.at,
            grant: ended.grant,
            controller: controller.clone(),
            purpose: key.purpose.as_str().to_owned(),
            class: key.class,
            categories: ended.categories.clone(),
            party: party.clone(),
            clock: Clock::of(
                register,
                party,
                (ended.by.trigger(), &[Role::Controller, Role::Recipient]),
                ended.at,
            ),
            acknowledged: all().map(|said| said.at).min(),
            said: all().filter(|said| said.deleted.is_some()).cloned().collect(),
            left: ended.categories.iter().filter(|category| !deleted(category)).cloned().collect(),
        }
    }

    /// By whoever owes: it knows of the end. Twice is once.
    pub(in crate::consent) fn acknowledge(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &DutyAcknowledge,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        self.take_acknowledged(recorded, s)
    }

    /// By whoever owes: it has deleted. What it said before stays said.
    pub(in crate::consent) fn declare_deleted(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &DutyDeleted,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        self.take_deleted(recorded, s)
    }

    pub(in crate::consent) fn take_acknowledged(
        &mut self,
        recorded: &Recorded,
        s: &DutyAcknowledge,
    ) -> Result<Touched, Why> {
        let (_, since) = self.owed_by(&s.party, &s.act, recorded.at()).ok_or(Why::NotOwed)?;
        if !self.core().duties.iter().any(|said| said.is_of((&s.act, &s.party), since)) {
            self.say(recorded, s.act, &s.party, None);
        }
        Ok(Touched::Core)
    }

    pub(in crate::consent) fn take_deleted(
        &mut self,
        recorded: &Recorded,
        s: &DutyDeleted,
    ) -> Result<Touched, Why> {
        let (owed, since) = self.owed_by(&s.party, &s.act, recorded.at()).ok_or(Why::NotOwed)?;
        if s.deleted_at > recorded.at() {
            return Err(Why::Dates);
        }
        if s.categories.is_empty() || !s.categories.iter().all(|category| owed.contains(category)) {
            return Err(Why::Vocabulary);
        }
        let before = self.core().duties.iter().filter(|said| said.is_of((&s.act, &s.party), since));
        let known: Vec<&String> =
            before.filter_map(|said| said.deleted.as_ref()).flat_map(|d| &d.categories).collect();
        let mut new: Vec<String> = s.categories.iter().filter(|c| !known.contains(c)).cloned().collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            self.say(recorded, s.act, &s.party, Some(Deleted { on: s.deleted_at, categories: new }));
        }
        Ok(Touched::Core)
    }

    /// The categories a party owes the deletion of by an act, and since when; `None` if it owes nothing by it.
    fn owed_by(&self, party: &PartyId, act: &StatementId, at: Timestamp) -> Option<(Vec<String>, Timestamp)> {
        let mut owed = None;
        for (key, ended) in self.ended(at).filter(|(_, ended)| ended.act == *act) {
            let is_named = one(&key.controller) == Some(party.as_str()) || ended.recipients.contains(party);
            if is_named {
                let (categories, since) = owed.get_or_insert_with(|| (Vec::new(), ended.at));
                categories.extend(ended.categories);
                *since = ended.at.min(*since);
            }
        }
        owed
    }

    fn say(&mut self, recorded: &Recorded, act: StatementId, party: &PartyId, deleted: Option<Deleted>) {
        let held = &mut self.core_mut().duties;
        if held.len() >= MOST_SAID {
            held.remove(0);
        }
        held.push(Declared {
            at: recorded.at(),
            act,
            party: party.clone(),
            deleted,
            statement: recorded.id(),
        });
    }
}

/// The controller, then the recipients, each once.
fn owing<'a>(controller: &'a PartyId, ended: &'a Ended) -> Vec<&'a PartyId> {
    let mut parties = vec![controller];
    for recipient in &ended.recipients {
        if !parties.contains(&recipient) {
            parties.push(recipient);
        }
    }
    parties
}
