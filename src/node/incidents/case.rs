//! Who is shown which incident: the regulator in scope and the accused, nobody else.

use std::sync::Arc;

use crate::consent::Due;
use crate::consent::Incident;
use crate::consent::Stage;
use crate::ledger::hash;
use crate::model::decision::Why;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::TreeSize;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::MAX_ATTACHMENT;
use crate::node::Refusal;
use crate::node::Stop;
use crate::node::incidents::book::document_blob;
use crate::node::lane::Lane;
use crate::node::people::Loaded;
use crate::reidentification::Finding;
use crate::store;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;

/// In which capacity a party sees an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A regulator in whose scope the accused is.
    Regulator,
    /// The accused itself: not in whose domain a ppid stands.
    Accused,
}

/// An incident with what was found, as far as it is kept.
#[derive(Clone, Debug)]
pub struct Case {
    /// What its statements say.
    pub incident: Incident,
    /// What the detector found; `None` if the document is not there.
    pub finding: Option<Finding>,
    /// Who looks.
    pub sight: Sight,
    /// What the accused owes in time because of it.
    pub due: Vec<Due>,
}

impl Inner {
    pub(in crate::node) fn sight(&self, incident: &Incident, party: &PartyId) -> Option<Sight> {
        if *party == incident.party {
            return incident.told_at().map(|_| Sight::Accused);
        }
        let regulates = self.is_regulator(party) && self.register().is_in_scope(party, &incident.party);
        regulates.then_some(Sight::Regulator)
    }

    /// The incidents this party may see, oldest first.
    ///
    /// # Errors
    /// The store, damage.
    pub fn incidents_for(&self, party: &PartyId) -> Result<Vec<Case>, Error> {
        let mut out = Vec::new();
        for who in self.incident_places()? {
            out.extend(self.case_at(who, party)?.map(|(case, _)| case));
        }
        Ok(out)
    }

    /// The complaints of the person with this key, oldest first: how each stands, and nothing of its documents.
    ///
    /// # Errors
    /// The store, damage.
    pub fn complaints_of(&self, key: &KeyHash) -> Result<Vec<Incident>, Error> {
        let Some(own) = self.person_of_key(key)? else { return Ok(Vec::new()) };
        let hers = self.complaints_under(own, TreeSize::MAX)?;
        Ok(hers.into_iter().map(|(incident, _)| incident).collect())
    }

    /// A person's complaints as the entries below `size` leave them, oldest first, with the rows they stand in.
    ///
    /// # Errors
    /// The store, damage.
    pub(in crate::node) fn complaints_under(
        &self,
        own: Pointed,
        size: TreeSize,
    ) -> Result<Vec<(Incident, Arc<Loaded>)>, Error> {
        let mut out = Vec::new();
        for who in self.incident_places()? {
            let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
            let hers = |incident: &&Incident| {
                incident.complaint.as_ref().is_some_and(|c| self.is_hers(&own, &incident.party, c.ppid))
            };
            let incident = loaded.person.incident().filter(hers).and_then(|incident| incident.under(size));
            out.extend(incident.map(|incident| (incident, Arc::clone(&loaded))));
        }
        out.sort_by_key(|(incident, _)| incident.index);
        Ok(out)
    }

    /// Whether an incident may be published now: by a regulator in scope, while a confirmation stands.
    ///
    /// Reading: who signs, and whether law orders it, are the fold's; to anybody else nothing is said of
    /// the incident.
    pub(in crate::node) fn publishes(&self, statement: &Statement, signer: &KeyHash) -> Result<(), Refusal> {
        let Statement::IncidentPublish(s) = statement else { return Ok(()) };
        let register = self.register();
        let hers = register.party_of_key(signer) == Some(&s.party) && self.is_regulator(&s.party);
        if !hers || !register.orders_publication(&s.party, self.clock.now()) {
            return Ok(());
        }
        let case = self.case(&s.incident, &s.party)?.map(|(case, _)| case);
        let case = case.filter(|case| case.sight == Sight::Regulator);
        let case = case.ok_or(Refusal::Inert(Why::NotThisSubject))?;
        if case.incident.is_confirmed() { Ok(()) } else { Err(Refusal::Inert(Why::State)) }
    }

    /// Whether a statement is this person's complaint.
    pub(in crate::node) fn complains(&self, person: &Pointed, statement: &Statement) -> bool {
        let Statement::IncidentComplain(s) = statement else { return false };
        self.is_hers(person, &s.party, s.ppid)
    }

    fn is_hers(&self, person: &Pointed, party: &PartyId, ppid: Ppid) -> bool {
        self.pairwise(&self.register()).is_of(party, ppid, &person.subject)
    }

    /// One incident, if this party may see it.
    ///
    /// # Errors
    /// The store, damage.
    pub fn incident_for(&self, incident: &Nonce, party: &PartyId) -> Result<Option<Case>, Error> {
        Ok(self.case(incident, party)?.map(|(case, _)| case))
    }

    pub(in crate::node) fn case(
        &self,
        incident: &Nonce,
        party: &PartyId,
    ) -> Result<Option<(Case, Arc<Loaded>)>, Error> {
        match self.incident_place(incident)? {
            Some(who) => self.case_at(who, party),
            None => Ok(None),
        }
    }

    fn case_at(&self, who: Pointed, party: &PartyId) -> Result<Option<(Case, Arc<Loaded>)>, Error> {
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let Some(incident) = loaded.person.incident().cloned() else { return Ok(None) };
        let Some(sight) = self.sight(&incident, party) else { return Ok(None) };
        let finding = self.finding_of(&incident, &loaded)?;
        let due = self.register().due_of(&incident);
        Ok(Some((Case { incident, finding, sight, due }, loaded)))
    }

    /// What the detector found, if the document is there.
    fn finding_of(&self, incident: &Incident, loaded: &Loaded) -> Result<Option<Finding>, Error> {
        let Some(hash) = incident.evidence.first() else { return Ok(None) };
        let document = self.document(loaded.who, &loaded.key, hash)?;
        Ok(document.map(|bytes| Finding::parse(&bytes)).transpose()?)
    }

    /// An incident and what was found, whoever wants to know: what is told to whom is the caller's.
    pub(in crate::node::incidents) fn found_as(
        &self,
        incident: &Nonce,
    ) -> Result<Option<(Incident, Finding)>, Error> {
        let Some(who) = self.incident_place(incident)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let Some(incident) = loaded.person.incident().cloned() else { return Ok(None) };
        Ok(self.finding_of(&incident, &loaded)?.map(|finding| (incident, finding)))
    }

    /// A document sealed beside an incident, if this party may see it.
    ///
    /// The finding itself names domains: it is the regulator's.
    ///
    /// # Errors
    /// The store, damage.
    pub fn incident_document(
        &self,
        incident: &Nonce,
        hash: &Hash,
        party: &PartyId,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some((case, loaded)) = self.case(incident, party)? else { return Ok(None) };
        if case.sight == Sight::Accused && case.incident.evidence.contains(hash) {
            return Ok(None);
        }
        self.document(loaded.who, &loaded.key, hash)
    }

    /// Seals a document beside an incident, before the step that names it; `None` if the party may not.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if the node does not write.
    pub fn keep_incident_document(
        &self,
        incident: &Nonce,
        bytes: &[u8],
        party: &PartyId,
    ) -> Result<Option<Hash>, Error> {
        let Some((case, loaded)) = self.case(incident, party)? else { return Ok(None) };
        if case.incident.stage == Stage::Closed || bytes.len() > MAX_ATTACHMENT {
            return Ok(None);
        }
        let hash = Hash(hash::sha256(&[bytes]));
        self.keep_document(loaded.who, &loaded.key, &hash, bytes)?;
        Ok(Some(hash))
    }

    /// Seals what was found, where the flag names it and it is not there yet.
    pub(in crate::node) fn keep_finding(
        &self,
        incident: &Nonce,
        hash: &Hash,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let Some(who) = self.incident_place(incident)? else { return Ok(()) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        match loaded.person.incident() {
            Some(says) if says.evidence.first() == Some(hash) => {
                self.keep_document(who, &loaded.key, hash, bytes)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn keep_document(&self, who: Pointed, key: &PersonKey, hash: &Hash, bytes: &[u8]) -> Result<(), Error> {
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop));
        }
        let blob = document_blob(key, hash);
        if self.store.get(&blob)?.is_some() {
            return Ok(());
        }
        let sealed = key.seal(Sealed::Document, &who.subject, &hash.0, bytes)?;
        match self.store.put(&blob, &sealed, true) {
            // Somebody sealed the same in between.
            Ok(()) | Err(store::Error::Exists { .. }) => Ok(()),
            // What the disk holds is not known before a restart: nothing more is written.
            Err(error) => {
                self.stop(Stop::Io);
                Err(error.into())
            }
        }
    }

    pub(in crate::node) fn document(
        &self,
        who: Pointed,
        key: &PersonKey,
        hash: &Hash,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(sealed) = self.store.get(&document_blob(key, hash))? else { return Ok(None) };
        let bytes = key.open(Sealed::Document, &who.subject, &hash.0, &sealed)?;
        if hash::sha256(&[&bytes]) == hash.0 {
            Ok(Some(bytes))
        } else {
            Err(Error::Damaged(format!("document {hash} of an incident")))
        }
    }
}
