//! One sealed entry: name, body, openings, signatures, ppid, fold.

use crate::consent::Actor;
use crate::consent::Effect;
use crate::consent::Person;
use crate::consent::Touched;
use crate::identity;
use crate::identity::Verified;
use crate::ledger::cose;
use crate::ledger::entry;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::domain::Pairwise;
use crate::node::domain::domain_of;
use crate::node::erase::Keep;
use crate::node::erase::Stored;
use crate::node::fsck::Folded;
use crate::node::fsck::LOST_NAME;
use crate::node::fsck::Walk;
use crate::node::incidents::incident_name;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::request::answered;
use crate::node::request::link_name;
use crate::store::Name;
use crate::store::Row;
use crate::vault::Pointed;

/// Who acted, as its key says.
enum Acted {
    Own,
    Delegate(Person),
    Party(PartyId),
    /// A person and her delegate, in a row that is not hers.
    For(Box<Loaded>, Option<Person>),
    /// Somebody for whom a complaint was signed, erased since.
    Gone(Person),
}

impl Walk<'_> {
    pub(super) fn sealed(
        &mut self,
        index: LeafIndex,
        at: Timestamp,
        id: StatementId,
        commitment: &[u8; 32],
    ) -> Result<(), String> {
        let name = Name::Statement(id.0);
        if self.tombstones.contains(&index) {
            if self.is_destroyed(&name, id)? {
                self.report.erased += 1;
                return Ok(());
            }
            self.report.unerased += 1;
        }
        if let Some(keep) = self.kept.iter().find(|keep| keep.index == index).copied()
            && !self.is_left(&name)?
        {
            self.report.held += 1;
            return self.held(&keep, at, id, commitment);
        }
        let row = self.name(&name, "its name row")?;
        if row.index != Some(index) {
            return Err("its name row leads elsewhere".into());
        }
        let who = self.data.vault.open_name(name_bytes(&name), &row.sealed).map_err(text)?;
        let loaded = self.loaded(who)?;
        let item = self.body(&loaded, id)?;
        let verified = identity::open(&item).map_err(|error| format!("its body: {error}"))?;
        if verified.id() != id {
            return Err("its body is another statement".into());
        }
        let openings = loaded.key.openings(&id.0);
        let proof = cose::proof_of(&item).map_err(text)?;
        let h1 = entry::opening(&openings.k1, verified.statement());
        let h2 = entry::opening(&openings.k2, &proof);
        if entry::commitment(at.0, &h1, &h2) != *commitment {
            return Err("its body does not open to its commitment".into());
        }
        let acted = self.acted(&verified, who)?;
        // A lost name is told, and its statement still counts.
        let named = self.names(&verified, who, &acted, index);
        self.fold(&verified, index, at, loaded, &acted)?;
        named
    }

    /// Whether nothing is left of a statement that a certificate names, save what it and those before it left of
    /// their slot: that is taken as it stands.
    fn is_destroyed(&mut self, name: &Name, id: StatementId) -> Result<bool, String> {
        let Some(row) = self.data.store.locate(name).map_err(text)? else { return Ok(true) };
        let who = self.data.vault.open_name(name_bytes(name), &row.sealed).map_err(text)?;
        let subject = &who.subject;
        let body = self.data.store.bodies(subject, &[id]).map_err(text)?.pop().flatten();
        let Some(body) = body else { return Ok(true) };
        let mut loaded = self.loaded(who)?;
        let Stored::Rest(rest) = Stored::open(&loaded.key, subject, &id, &body).map_err(text)? else {
            return Ok(false);
        };
        let last = row.index.unwrap_or_default();
        for ppid in rest.ppids {
            let name = Name::Ppid(ppid.0);
            if !self.is_left(&name)? {
                let sealed = self.data.vault.seal_name(name_bytes(&name), who).map_err(text)?;
                self.lost_names.push(Row::Name { name, sealed, index: None });
                if last < self.found.projected {
                    self.report.entry(last, LOST_NAME);
                }
            }
        }
        loaded.person.remain(&rest.slot, rest.left);
        self.people.insert(*subject, Folded { loaded, last });
        Ok(true)
    }

    /// A record kept for a case is the statement of its entry.
    fn held(&self, keep: &Keep, at: Timestamp, id: StatementId, commitment: &[u8; 32]) -> Result<(), String> {
        let subject = &keep.who.subject;
        let key = self.data.vault.person_key(keep.who).map_err(text)?;
        let body = self.data.store.bodies(subject, &[id]).map_err(text)?.pop().flatten();
        let body = body.ok_or("its body is missing: lost or suppressed, for a case holds it")?;
        let Stored::Held(record) = Stored::open(&key, subject, &id, &body).map_err(text)? else {
            return Err("what is kept of it is no record".into());
        };
        let verified = identity::open(&record.item).map_err(|error| format!("its body: {error}"))?;
        let proof = cose::proof_of(&record.item).map_err(text)?;
        let h1 = entry::opening(&record.k1, verified.statement());
        let h2 = entry::opening(&record.k2, &proof);
        if verified.id() != id || entry::commitment(at.0, &h1, &h2) != *commitment {
            return Err("what is kept of it does not open to its commitment".into());
        }
        Ok(())
    }

    /// The person as folded so far.
    fn loaded(&self, who: Pointed) -> Result<Loaded, String> {
        if let Some(folded) = self.people.get(&who.subject) {
            return Ok(folded.loaded.clone());
        }
        let key = self.data.vault.person_key(who).map_err(text)?;
        Ok(Loaded { who, key, person: Person::new(who.subject) })
    }

    fn body(&self, loaded: &Loaded, id: StatementId) -> Result<Vec<u8>, String> {
        let subject = &loaded.who.subject;
        let body = self.data.store.bodies(subject, &[id]).map_err(text)?.pop().flatten();
        let body = body.ok_or("its body is missing: lost or suppressed, for no certificate names it")?;
        let stored = Stored::open(&loaded.key, subject, &id, &body).map_err(text)?;
        stored.item().ok_or_else(|| "its body is destroyed, and no certificate names it".into())
    }

    fn acted(&self, verified: &Verified<Statement>, who: Pointed) -> Result<Acted, String> {
        if verified.value().kind() == Kind::KeyCreate {
            return Ok(Acted::Own);
        }
        if let Some(party) = self.replay.register().party_of_key(&verified.signer()) {
            return Ok(Acted::Party(party.clone()));
        }
        // The operator's key stands in no set: the fold judges it.
        if verified.value().incident().is_some() {
            return Ok(Acted::Own);
        }
        let name = Name::Key(verified.signer().0);
        let erased = || Person::erased_signer(SubjectId([0; 16]), verified.signer());
        let complains = verified.value().kind() == Kind::IncidentComplain;
        if !self.tombstones.is_empty() {
            let signer = self.is_left(&name)?;
            let by = verified.value().by().map(|by| Name::Statement(by.0));
            let ward = by.as_ref().map(|by| self.is_left(by)).transpose()?;
            if complains && (!signer || ward == Some(false)) {
                // A complaint stays its incident's though its person is erased.
                return Ok(Acted::Gone(erased()));
            }
            // A delegate who is erased since: her key was in her set, or nothing of hers was recorded.
            if !signer {
                return Ok(Acted::Delegate(erased()));
            }
        }
        let row = self.name(&name, "the name row of its key")?;
        let other = self.data.vault.open_name(name_bytes(&name), &row.sealed).map_err(text)?;
        if verified.value().kind() == Kind::IncidentComplain {
            return self.complains(verified.value().by(), other);
        }
        if other.subject == who.subject {
            return Ok(Acted::Own);
        }
        Ok(Acted::Delegate(self.loaded(other)?.person))
    }

    /// For whom a complaint was signed.
    fn complains(&self, by: Option<StatementId>, own: Pointed) -> Result<Acted, String> {
        let ward = match by {
            Some(by) => {
                let name = Name::Statement(by.0);
                let row = self.name(&name, "the name row of its delegation")?;
                self.data.vault.open_name(name_bytes(&name), &row.sealed).map_err(text)?
            }
            None => own,
        };
        let delegate = if ward.subject == own.subject { None } else { Some(self.loaded(own)?.person) };
        Ok(Acted::For(Box::new(self.loaded(ward)?), delegate))
    }

    /// The names it rests on lead to its person, and its ppid is hers.
    fn names(
        &mut self,
        verified: &Verified<Statement>,
        who: Pointed,
        acted: &Acted,
        index: LeafIndex,
    ) -> Result<(), String> {
        let leads_to = |name: &Name, what: &str, who: Pointed| {
            let row = self.name(name, what)?;
            let to = self.data.vault.open_name(name_bytes(name), &row.sealed).map_err(text)?;
            if to == who { Ok(()) } else { Err(format!("{what} leads to another person")) }
        };
        let leads = |name: &Name, what: &str| leads_to(name, what, who);
        let statement = verified.value();
        for key in statement.new_keys(verified.signer()) {
            leads(&Name::Key(key.0), "the name row of its key")?;
        }
        if let Statement::ConsentRequest(s) = statement {
            return leads(&link_name(self.data.vault, &s.controller, &s.link), "the name row of its link");
        }
        if let Some((incident, ..)) = statement.incident() {
            return leads(&Name::Key(incident_name(&incident)), "the name row of its incident");
        }
        if let Some(incident) = statement.hold_case().and_then(Nonce::from_hex) {
            return leads(&Name::Key(incident_name(&incident)), "the name row of its incident");
        }
        let Some(ppid) = statement.ppid() else { return Ok(()) };
        let (party, who) = match acted {
            Acted::Party(party) => (Some(party), who),
            Acted::Own | Acted::Delegate(_) => (None, who),
            Acted::Gone(_) => {
                return leads(
                    &Name::Key(incident_name(&verified.id().incident())),
                    "the name row of its incident",
                );
            }
            Acted::For(person, _) => {
                let incident = verified.id().incident();
                leads(&Name::Key(incident_name(&incident)), "the name row of its incident")?;
                (None, person.who)
            }
        };
        let register = self.replay.register();
        let pairwise = Pairwise { vault: self.data.vault, origin: self.data.origin, register };
        if !pairwise.is_hers(statement, &domain_of(statement, party), &who.subject) {
            return Err("its ppid is not its person's".into());
        }
        let name = Name::Ppid(ppid.0);
        // A ppid handed out before its first statement is named by an unsynced row: the next start makes it again.
        if self.data.store.locate(&name).map_err(text)?.is_none() {
            let sealed = self.data.vault.seal_name(name_bytes(&name), who).map_err(text)?;
            self.lost_names.push(Row::Name { name, sealed, index: None });
            let lags = index >= self.found.projected;
            return if lags { Ok(()) } else { Err(LOST_NAME.into()) };
        }
        leads_to(&name, "the name row of its ppid", who)
    }

    fn fold(
        &mut self,
        verified: &Verified<Statement>,
        index: LeafIndex,
        at: Timestamp,
        mut loaded: Loaded,
        acted: &Acted,
    ) -> Result<(), String> {
        let actor = match acted {
            Acted::Own => Actor::Own,
            Acted::Delegate(person) => Actor::Delegate(person),
            Acted::Party(party) => Actor::Party(party.clone()),
            Acted::Gone(person) => Actor::For { person, delegate: None },
            Acted::For(person, delegate) => {
                Actor::For { person: &person.person, delegate: delegate.as_ref() }
            }
        };
        let recorded = verified.at(index, at);
        let request = self.request(verified.value())?;
        let effect = match answered(request, &recorded, &loaded.who.subject) {
            Ok(request) => {
                let effect = loaded.person.apply(self.replay.register(), &actor, &recorded);
                if let (Effect::Applied(_), Some(loaded)) = (&effect, request) {
                    self.people.insert(loaded.who.subject, Folded { loaded, last: index });
                }
                effect
            }
            Err(why) => Effect::Inert(why),
        };
        if let (Some(Touched::Slot(slot)), Some(asking)) = (effect.touched(), &mut self.asking) {
            asking(self.replay.register(), &loaded.person, slot, at);
        }
        self.people.insert(loaded.who.subject, Folded { loaded, last: index });
        match effect {
            Effect::Applied(_) => Ok(()),
            Effect::Inert(why) => Err(format!("the statement has no effect: {}", why.as_str())),
        }
    }

    /// The request whose link a statement bears, as folded so far.
    fn request(&self, statement: &Statement) -> Result<Option<Loaded>, String> {
        let Some((party, link)) = statement.link() else { return Ok(None) };
        let name = link_name(self.data.vault, party, link);
        let Some(row) = self.data.store.locate(&name).map_err(text)? else { return Ok(None) };
        let who = self.data.vault.open_name(name_bytes(&name), &row.sealed).map_err(text)?;
        self.loaded(who).map(Some)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
