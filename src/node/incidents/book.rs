//! Where incidents stand: each has a slot of its own, a name and a number.
//!
//! The name is what its statements carry. The numbers, from 0 and without a hole, lead
//! from a start to all incidents: each row is written in the commit that flags.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::identity::Verified;
use crate::ledger::hash;
use crate::model::decision::Why;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Refusal;
use crate::node::domain::domain_of;
use crate::node::erase::Holds;
use crate::node::intake::Acting;
use crate::node::intake::Whose;
use crate::node::people::name_bytes;
use crate::store::Name;
use crate::store::NameRow;
use crate::vault::PersonKey;
use crate::vault::Pointed;

/// What is known of all incidents.
#[derive(Debug, Default)]
pub(in crate::node) struct Book {
    /// Those found so far, by number.
    places: Mutex<Vec<Pointed>>,
    holds: Holds,
}

/// The look-up name of an incident: kept among the names of keys, of which it is none.
pub(in crate::node) fn incident_name(incident: &Nonce) -> [u8; 32] {
    hash::sha256(&[b"naru-incident", &[0], &incident.0])
}

fn numbered(number: u64) -> Name {
    Name::Key(hash::sha256(&[b"naru-incident-number", &[0], &number.to_be_bytes()]))
}

/// Hands out the numbers of one commit.
pub(in crate::node) struct Numbers<'a> {
    inner: &'a Inner,
    next: Option<u64>,
}

impl Numbers<'_> {
    /// The row of the next number.
    pub(in crate::node) fn next_row(&mut self, who: Pointed) -> Result<NameRow, Error> {
        let number = match self.next {
            Some(number) => number,
            None => self.inner.incident_places()?.len() as u64,
        };
        self.next = Some(number.saturating_add(1));
        let name = numbered(number);
        let sealed = self.inner.vault.seal_name(name_bytes(&name), who)?;
        Ok(NameRow { name, sealed, entry: None })
    }
}

impl Inner {
    /// Numbers for one commit; only the sequencer asks.
    pub(in crate::node) const fn incident_numbers(&self) -> Numbers<'_> {
        Numbers { inner: self, next: None }
    }

    /// What is held for them.
    pub(in crate::node) const fn holds(&self) -> &Holds {
        &self.incidents.holds
    }

    /// All incidents, by number.
    pub(in crate::node) fn incident_places(&self) -> Result<Vec<Pointed>, Error> {
        let mut known = self.incidents.places.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let name = numbered(known.len() as u64);
            let Some(row) = self.store.locate(&name)? else { return Ok(known.clone()) };
            known.push(self.vault.open_name(name_bytes(&name), &row.sealed)?);
        }
    }

    /// Where one incident stands.
    pub(in crate::node) fn incident_place(&self, incident: &Nonce) -> Result<Option<Pointed>, Error> {
        self.people.locate(&Name::Key(incident_name(incident)), self.store.as_ref(), &self.vault)
    }

    /// Whose row a statement about an incident touches: a new slot for a flag of the operator's.
    pub(in crate::node) fn whose_incident(
        &self,
        verified: &Verified<Statement>,
        register: &crate::consent::Register,
        incident: &Nonce,
        document: Option<Hash>,
    ) -> Result<Whose, Refusal> {
        let place = self.incident_place(incident)?;
        // A step of the operator's or a stranger's: the fold refuses it.
        let acting = register.party_of_key(&verified.signer()).cloned().map_or(Acting::Own, Acting::Party);
        let Some(document) = document else {
            // Before a slot is drawn for whoever asks.
            if !register.is_operator(&verified.signer()) {
                return Err(Refusal::Inert(Why::Role));
            }
            if place.is_some() {
                return Err(Refusal::Inert(Why::NameTaken));
            }
            let (who, key) = self.vault.new_person().map_err(Error::from)?;
            return Ok((who, Acting::Own, Some(key)));
        };
        let who = place.ok_or(Refusal::Inert(Why::NotThisSubject))?;
        let key = self.vault.person_key(who).map_err(Error::from)?;
        if self.store.get(&document_blob(&key, &document)).map_err(Error::from)?.is_none() {
            return Err(Refusal::Inert(Why::AttachmentMissing));
        }
        Ok((who, acting, None))
    }
}

impl Inner {
    /// Whose row a hold touches: that of the incident its case names.
    pub(in crate::node) fn whose_hold(
        &self,
        verified: &Verified<Statement>,
        register: &crate::consent::Register,
        case: &str,
    ) -> Result<Whose, Refusal> {
        let unknown = Refusal::Inert(Why::NotThisSubject);
        let Some(incident) = Nonce::from_hex(case) else { return Err(unknown) };
        let who = self.incident_place(&incident)?.ok_or(unknown)?;
        // The operator's or a stranger's: the fold refuses it.
        let acting = register.party_of_key(&verified.signer()).cloned().map_or(Acting::Own, Acting::Party);
        Ok((who, acting, None))
    }

    /// Whose row a complaint touches: a new slot, under which no key of the person's leads back to it.
    pub(in crate::node) fn whose_complaint(
        &self,
        statement: &Statement,
        register: &crate::consent::Register,
        (own, ward): (Pointed, Option<Pointed>),
    ) -> Result<Whose, Refusal> {
        let (person, delegate) = match ward {
            // By her own delegation she acts for herself.
            Some(ward) if ward.subject != own.subject => (ward, Some(own)),
            Some(_) | None => (own, None),
        };
        // Before a slot is drawn for whoever asks.
        if !self.pairwise(register).is_hers(statement, &domain_of(statement, None), &person.subject) {
            return Err(Refusal::Inert(Why::NotThisSubject));
        }
        let (who, key) = self.vault.new_person().map_err(Error::from)?;
        Ok((who, Acting::For(person, delegate), Some(key)))
    }
}

/// Blob of a document sealed beside an incident: opaque, so that nobody sees which belong together.
pub(in crate::node) fn document_blob(key: &PersonKey, document: &Hash) -> String {
    let name = key.record_name(["document", &document.to_string()]);
    let hex: String = name.iter().map(|b| format!("{b:02x}")).collect();
    format!("sealed/{hex}")
}
