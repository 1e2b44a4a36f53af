//! Domains: in which a ppid names a person, and whether it is hers.
//!
//! A domain is `<party>/<epoch>`, or `<origin>/0` for the log's own. Lacks: who is
//! found by a ppid (the node's table of names).

use tokio::sync::oneshot;

use crate::consent::Register;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::statement::Bearing;
use crate::model::statement::Scope;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::lane::Lane;
use crate::node::sequencer::Job;
use crate::store::Name;
use crate::vault::Pointed;
use crate::vault::Vault;

/// The log's own domain.
#[must_use]
pub fn own_domain(origin: &str) -> String {
    format!("{origin}/0")
}

/// A party's domain in one epoch.
#[must_use]
pub fn party_domain(party: &PartyId, epoch: u32) -> String {
    // Every question makes one: put together, not formatted.
    let epoch = epoch.to_string();
    [party.as_str(), "/", &epoch].concat()
}

/// In whose domain a statement's ppid stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Domain {
    /// The log's own.
    Own,
    /// A party's.
    Party(PartyId),
    /// Of a name no party can have.
    Nobody,
    /// Any: a stop names its demand, and closes whatever the domain in which it knows her.
    Any,
}

/// In whose domain a statement's ppid stands. Source: design §4, "Whose".
pub(in crate::node) fn domain_of(statement: &Statement, carrier: Option<&PartyId>) -> Domain {
    let of = |party: &PartyId| Domain::Party(party.clone());
    let scoped = |scope: &Scope| match scope {
        Scope::Any => Domain::Own,
        Scope::One(name) => PartyId::parse(name).map_or(Domain::Nobody, Domain::Party),
    };
    match statement {
        Statement::ConsentGrant(s) => of(&s.controller),
        Statement::ConsentRefuse(s) => of(&s.controller),
        Statement::ConsentWithdraw(s) => of(&s.controller),
        Statement::ConsentPause(s) => of(&s.controller),
        Statement::ConsentResume(s) => of(&s.controller),
        Statement::ConsentDispute(s) => of(&s.controller),
        Statement::ConsentAttest(s) => of(&s.controller),
        Statement::RightRequest(s) => of(&s.controller),
        Statement::RightAnswer(s) => of(&s.party),
        Statement::ConsiderationSettle(s) => of(&s.party),
        Statement::DutyAcknowledge(s) => of(&s.party),
        Statement::DutyDeleted(s) => of(&s.party),
        Statement::DutyJustify(s) => of(&s.party),
        Statement::IncidentComplain(s) => of(&s.party),
        Statement::ConsentObject(s) => scoped(&s.controller),
        Statement::ConsentLift(s) => scoped(&s.controller),
        Statement::TransferDemand(s) => of(&s.sender),
        Statement::TransferStop(_) => Domain::Any,
        Statement::TransferDeliver(s) => of(&s.party),
        Statement::TransferConfirm(s) => of(&s.party),
        Statement::TransferFail(s) => of(&s.party),
        // A party that carries a signal knows the person only in its own domain.
        Statement::ConsentSignal(_) => carrier.map_or(Domain::Own, of),
        _ => Domain::Own,
    }
}

/// What ppids are made of.
#[derive(Clone, Copy)]
pub(in crate::node) struct Pairwise<'a> {
    pub(in crate::node) vault: &'a Vault,
    pub(in crate::node) origin: &'a str,
    pub(in crate::node) register: &'a Register,
}

impl Pairwise<'_> {
    /// A person's ppid in a party's domain of today, or in the log's own.
    pub(in crate::node) fn ppid(&self, party: Option<&PartyId>, subject: &SubjectId) -> Ppid {
        match party {
            None => self.vault.ppid(&own_domain(self.origin), subject),
            Some(party) => self.in_epoch(party, self.register.epoch_of(party), subject),
        }
    }

    fn in_epoch(&self, party: &PartyId, epoch: u32, subject: &SubjectId) -> Ppid {
        self.vault.ppid(&party_domain(party, epoch), subject)
    }

    /// Whether a ppid is this person's in a party's domain, today or in an earlier epoch.
    pub(in crate::node) fn is_of(&self, party: &PartyId, ppid: Ppid, subject: &SubjectId) -> bool {
        (0..=self.register.epoch_of(party)).rev().any(|epoch| self.in_epoch(party, epoch, subject) == ppid)
    }

    /// The ppids a statement names its person by: its own, and today's if it bears one of an earlier epoch.
    pub(in crate::node) fn named_by(
        &self,
        statement: &Statement,
        domain: &Domain,
        subject: &SubjectId,
    ) -> impl Iterator<Item = Ppid> + use<> {
        let own = statement.ppid();
        let raised = || match domain {
            Domain::Party(party) if self.register.epoch_of(party) > 0 => {
                Some(self.ppid(Some(party), subject))
            }
            Domain::Party(_) | Domain::Own | Domain::Nobody | Domain::Any => None,
        };
        let today = own.and_then(|_| raised()).filter(|today| Some(*today) != own);
        // The recipient of a transfer must be able to say what it received.
        let recipient = match statement {
            Statement::TransferDemand(s) => Some(self.ppid(Some(&s.recipient), subject)),
            _ => None,
        };
        own.into_iter().chain(today).chain(recipient)
    }

    /// Whether a statement's ppid is this person's where it must be.
    ///
    /// An act that opens needs the one of today. A closing act is never too late: one of an earlier
    /// epoch of the same party is hers as well.
    pub(in crate::node) fn is_hers(
        &self,
        statement: &Statement,
        domain: &Domain,
        subject: &SubjectId,
    ) -> bool {
        let Some(ppid) = statement.ppid() else { return true };
        match domain {
            Domain::Own => self.ppid(None, subject) == ppid,
            Domain::Nobody => false,
            Domain::Any => {
                let mut parties = self.register.parties();
                self.ppid(None, subject) == ppid || parties.any(|party| self.is_of(&party.id, ppid, subject))
            }
            Domain::Party(party) => {
                let today = self.register.epoch_of(party);
                let first = if statement.kind().bearing() == Bearing::Closing { 0 } else { today };
                (first..=today).rev().any(|epoch| self.in_epoch(party, epoch, subject) == ppid)
            }
        }
    }
}

impl Inner {
    /// What ppids are made of, under a register.
    pub(in crate::node) fn pairwise<'a>(&'a self, register: &'a Register) -> Pairwise<'a> {
        Pairwise { vault: &self.vault, origin: &self.settings.origin, register }
    }

    /// Writes rows that lead from names to persons, and waits for it.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the node does not write.
    pub(in crate::node) fn write_names(&self, names: &[(Name, Pointed)]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let (done, wait) = oneshot::channel();
        self.ask(Job::Names(names.to_vec(), done), wait).map_err(Error::Stopped)?;
        for (name, who) in names {
            self.people.named(*name, *who, self.store.as_ref());
        }
        Ok(())
    }

    /// Gives the sequencer something to do, and waits for it.
    pub(in crate::node) fn ask(
        &self,
        job: Job,
        wait: oneshot::Receiver<Result<(), Stop>>,
    ) -> Result<(), Stop> {
        self.sequence.push(Lane::Open, job).map_err(|_| Stop::Closing)?;
        wait.blocking_recv().map_err(|_| Stop::Closing)?
    }
}
