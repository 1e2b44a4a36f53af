//! Openings of named records for a regulator, under one case.
//!
//! A regulator in whose scope the accused is names records of persons; of those that the case reaches it
//! is given evidence with both openings. Each opening given, and each one refused of a person who is here,
//! is first a use line of that person with the number of the case: she sees who read what of hers, and why.
//! Source: design §8.
//!
//! A case reaches what concerns the accused (it is the controller or a recipient, or carried it), and of a
//! person whom a line of the finding is about what stands in the domain of that line. Lacks: opening a
//! whole person; records that a hold names and the case does not reach (a hold opens nothing); warrants,
//! which no build serves yet. Without a use log nothing is opened.

use crate::consent::Incident;
use crate::identity;
use crate::identity::Signed;
use crate::model::decision::Reason;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::statement::Statement;
use crate::model::use_line::UseAct;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Note;
use crate::node::Shown;
use crate::node::erase::Stored;
use crate::node::evidence::controller_of;
use crate::node::incidents::Case;
use crate::node::incidents::Sight;
use crate::node::people::Loaded;
use crate::vault::Pointed;

/// Most records in one request.
pub const MOST_OPENED: usize = 64;

/// What became of the wish for one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Encoded evidence with both openings.
    Given(Vec<u8>),
    /// It is under no published checkpoint yet.
    NotYet,
    /// The case does not reach it, or there is none: told alike.
    Denied,
}

/// A record of a person, read.
struct Record {
    loaded: std::sync::Arc<Loaded>,
    statement: Statement,
    signed: Signed,
}

impl Inner {
    /// The openings of these records under a case, in their order; `None` if the caller has no such case.
    /// Of those beyond [`MOST_OPENED`] nothing is answered.
    ///
    /// # Errors
    /// The store, the disk, damage: then nothing was handed out.
    pub fn openings(
        &self,
        incident: &Nonce,
        regulator: &PartyId,
        records: &[StatementId],
    ) -> Result<Option<Vec<(StatementId, Opened)>>, Error> {
        if self.uses.get().is_none() {
            return Ok(None);
        }
        let case = self.incident_for(incident, regulator)?.filter(|case| case.sight == Sight::Regulator);
        let mut out = Vec::with_capacity(records.len().min(MOST_OPENED));
        for id in records.iter().take(MOST_OPENED) {
            out.push((*id, self.open_one(incident, case.as_ref(), regulator, id)?));
        }
        Ok(case.map(|_| out))
    }

    fn open_one(
        &self,
        incident: &Nonce,
        case: Option<&Case>,
        regulator: &PartyId,
        id: &StatementId,
    ) -> Result<Opened, Error> {
        let Some(record) = self.person_record(id)? else { return Ok(Opened::Denied) };
        let reached = match case {
            Some(case) => self.reaches(case, &record)?,
            None => false,
        };
        let shown = if reached { self.evidence_whole(id)? } else { Shown::Nothing };
        if matches!(shown, Shown::NotYet) {
            return Ok(Opened::NotYet);
        }
        let who = record.loaded.who;
        let accused = case.map(|case| case.incident.party.clone());
        let domain = controller_of(&record.statement).and_then(PartyId::parse);
        let ppid = match record.statement.ppid() {
            Some(ppid) => ppid,
            None => self.named_ppid(who, None)?.0,
        };
        // Before the answer leaves, whatever it is.
        self.note_use_of(
            Some(who),
            &Note {
                act: UseAct::Opening,
                case: Some(*incident),
                asker: regulator.clone(),
                controller: domain.or(accused).unwrap_or_else(|| regulator.clone()),
                ppid,
                told: if reached { Reason::StatutoryException } else { Reason::RecipientMismatch },
                basis: Some(*id),
                purpose: None,
                recipient: None,
            },
        )?;
        Ok(match shown {
            Shown::Evidence(evidence) => Opened::Given(evidence),
            Shown::NotYet | Shown::Nothing => Opened::Denied,
        })
    }

    /// A record of a person who is here; requests and incidents have rows of their own and are no persons.
    fn person_record(&self, id: &StatementId) -> Result<Option<Record>, Error> {
        let Some((who, key)) = self.owner_of(*id)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        if !loaded.person.is_known() {
            return Ok(None);
        }
        let Some(body) = self.store.bodies(&who.subject, &[*id])?.pop().flatten() else { return Ok(None) };
        // Past its term there is nothing to open.
        let Some(item) = Stored::open(&key, &who.subject, id, &body)?.item() else { return Ok(None) };
        let (statement, signed) = identity::reload(&item)?;
        Ok(Some(Record { loaded, statement, signed }))
    }

    fn reaches(&self, case: &Case, record: &Record) -> Result<bool, Error> {
        if self.concerns_accused(&case.incident, record) {
            return Ok(true);
        }
        let (Some(finding), Some(domain)) = (&case.finding, controller_of(&record.statement)) else {
            return Ok(false);
        };
        let whose: [Pointed; 1] = [record.loaded.who];
        for line in finding.lines.iter().filter(|l| l.domain.as_ref().is_some_and(|d| d.as_str() == domain)) {
            if self.line_of(&line.id, &whose)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn concerns_accused(&self, incident: &Incident, record: &Record) -> bool {
        let accused = &incident.party;
        let named = controller_of(&record.statement) == Some(accused.as_str());
        let receives = match &record.statement {
            Statement::ConsentGrant(s) => s.recipients.contains(accused),
            Statement::ConsentAttest(s) => s.recipients.contains(accused),
            _ => false,
        };
        named || receives || self.register().party_that_held(&record.signed.signer) == Some(accused)
    }
}
