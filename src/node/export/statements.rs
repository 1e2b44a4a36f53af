//! Her statements: evidence and receipt of each, and what follows from them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::consent::Person;
use crate::consent::SlotKey;
use crate::identity;
use crate::identity::Recorded;
use crate::ledger::cose;
use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opening;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::erase::Rest;
use crate::node::erase::Stored;
use crate::node::export::Export;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::Event;
use crate::portability::Item;
use crate::portability::ItemKind;
use crate::portability::Linked;
use crate::portability::Party;
use crate::portability::Reason;
use crate::portability::Record;
use crate::portability::Records;
use crate::portability::Table;
use crate::portability::Terms;
use crate::portability::Withheld;
use crate::portability::evidence_name;
use crate::portability::parcel::Parcels;
use crate::portability::receipt_name;
use crate::portability::statement_row;
use crate::portability::transfer::Transfers;
use crate::store::Name;
use crate::vault::PersonKey;

/// What her statements told.
pub(in crate::node::export) struct Told {
    /// Which they are.
    pub(in crate::node::export) ids: BTreeSet<StatementId>,
    /// Her slots as they follow from the statements under the checkpoint.
    pub(in crate::node::export) person: Person,
    slots: BTreeMap<SlotKey, Said>,
    /// Her transfer demands.
    transfers: Transfers,
}

/// The statements of a slot, and what was last granted or attested.
type Said = (Vec<Event>, Option<Terms>);

impl Export {
    /// Ids and indices of hers under the checkpoint, in the order of the log.
    fn covered(&self) -> Result<Vec<(LeafIndex, StatementId)>, Error> {
        let mut out = Vec::new();
        for id in self.node.store.ids(&self.loaded.who.subject)? {
            let row = self.node.store.locate(&Name::Statement(id.0))?;
            let index = row.and_then(|row| row.index).filter(|index| *index < self.covering.size);
            out.extend(index.map(|index| (index, id)));
        }
        out.sort_unstable();
        Ok(out)
    }

    /// Each in the list, with evidence and receipt in the parcel beside it. An entry in memory is left of each.
    pub(in crate::node::export) fn statements(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<Told, Error> {
        let person = Person::new(self.loaded.who.subject);
        let transfers = Transfers::default();
        let mut parcels = Parcels::new(ItemKind::Statement, portability::STATEMENTS);
        let mut told = Told { ids: BTreeSet::new(), person, slots: BTreeMap::new(), transfers };
        for (index, id) in self.covered()? {
            let Some(stored) = self.stored(id)? else {
                let what = format!("statement {id}, entry {index}");
                complete.withheld.push(Withheld::new(ItemKind::Statement, what, Reason::NotReadable));
                continue;
            };
            let item = match stored {
                Stored::Item(item) => item,
                Stored::Rest(rest) => {
                    self.destroyed(&rest, complete);
                    continue;
                }
                Stored::Held(_) => continue,
            };
            let (evidence, at) = self.evidence(&self.loaded.key, index, id, &item)?;
            let (statement, signed) = identity::reload(&item)?;
            let recorded = Recorded::assertion(statement, signed, index, at);
            if parcels.is_full() {
                complete.lists.extend(parcels.write(archive)?);
            }
            let [proof, receipt] = [evidence_name(index), receipt_name(index)];
            let row = statement_row(&recorded, &parcels.within(&proof), &parcels.within(&receipt));
            parcels.row(&row)?;
            parcels.file(&proof, &evidence.encode()?)?;
            parcels.file(&receipt, &evidence.receipt)?;
            told.take(&recorded);
        }
        complete.lists.extend(parcels.write(archive)?);
        Ok(told)
    }

    /// What stands in the place of a body; `None` if it is gone.
    fn stored(&self, id: StatementId) -> Result<Option<Stored>, Error> {
        let (subject, key) = (&self.loaded.who.subject, &self.loaded.key);
        let body = self.node.store.bodies(subject, &[id])?.pop().flatten();
        body.map(|body| Stored::open(key, subject, &id, &body)).transpose()
    }

    /// Names what is past its term: each statement, and the slot if none is left of it.
    fn destroyed(&self, rest: &Rest, complete: &mut Completeness) {
        let mut say = |kind, what| {
            complete.withheld.push(Withheld::new(kind, what, Reason::RetentionExpired));
        };
        for (index, id) in rest.gone.iter().filter(|(index, _)| *index < self.covering.size) {
            say(ItemKind::Statement, portability::destroyed(&id.to_string(), *index));
        }
        if rest.gone.last().is_some_and(|(_, id)| rest.left.last == Some(*id)) {
            let (controller, purpose) = (rest.slot.controller.as_str(), rest.slot.purpose.as_str());
            let state = rest.left.state.as_str();
            let what = format!("what was said to {controller} of {purpose}: it left `{state}`, which stands");
            say(ItemKind::Consent, what);
        }
    }

    /// Evidence of one statement in the citizen's form; `key` is that of the row it stands in.
    pub(in crate::node::export) fn evidence(
        &self,
        key: &PersonKey,
        index: LeafIndex,
        id: StatementId,
        item: &[u8],
    ) -> Result<(Evidence, Timestamp), Error> {
        let commit = self.node.commit_of(index)?;
        let missing = || Error::Damaged(format!("entry {index} is missing"));
        let position = usize::try_from(index - commit.first).map_err(|_| missing())?;
        let openings = key.openings(&id.0);
        let opening = Opening::Citizen {
            at: commit.at,
            statement: cose::statement_of(item).map_err(identity::Error::from)?,
            k1: openings.k1,
            proof: cose::proof_of(item).map_err(identity::Error::from)?,
            k2: openings.k2,
        };
        let evidence = Evidence {
            index,
            entry: commit.entries.get(position).ok_or_else(missing)?.clone(),
            opening,
            receipt: self.covering.receipt(self.node.store.as_ref(), index)?,
            checkpoint: Some(self.covering.note.clone()),
        };
        Ok((evidence, Timestamp(commit.at)))
    }

    /// Her transfer demands, with every step that was signed.
    pub(in crate::node::export) fn transfers(
        &self,
        told: &Told,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        for (id, _) in told.transfers.values() {
            let (id, path) = (id.to_string(), portability::TRANSFERS.into());
            complete.exported.push(Item { kind: ItemKind::Transfer, id, path });
        }
        let file = told.transfers.file().map_err(portability::Error::from)?;
        archive.file(portability::TRANSFERS, &file)?;
        Ok(())
    }

    pub(in crate::node::export) fn consents(
        &self,
        told: &Told,
        as_of: Timestamp,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        archive.begin(portability::CONSENTS)?;
        let origin = self.node.settings.origin.as_str();
        let mut records = Records::begin(archive, origin, self.covering.size, as_of)?;
        for slot in &told.slots {
            records.push(archive, &self.record(told, slot, as_of))?;
            let id = slot.1.0.first().map(|event| event.id.to_string()).unwrap_or_default();
            complete.exported.push(Item { kind: ItemKind::Consent, id, path: portability::CONSENTS.into() });
        }
        records.end(archive)?;
        archive.begin(portability::CONSENTS_CSV)?;
        let mut table = Table::consents(archive)?;
        for slot in &told.slots {
            table.push(&self.record(told, slot, as_of))?;
        }
        table.end()?;
        archive.begin(portability::CONSENTS_LD)?;
        let mut linked = Linked::begin(archive)?;
        for slot in &told.slots {
            linked.push(&self.record(told, slot, as_of))?;
        }
        Ok(linked.end()?)
    }

    fn record(&self, told: &Told, (key, said): (&SlotKey, &Said), as_of: Timestamp) -> serde_json::Value {
        let slot = told.person.slot(key);
        let (events, terms) = said;
        let record = Record {
            controller: key.controller.as_str(),
            purpose: key.purpose.as_str(),
            class: key.class,
            state: slot.map_or("none", |slot| slot.now(as_of).as_str()),
            since: slot.map_or(Timestamp(0), |slot| slot.since),
            terms: terms.as_ref(),
            events,
            parties: self.parties_of(key, terms.as_ref()),
        };
        record.value()
    }

    /// The parties a slot names, as they are registered under the checkpoint.
    fn parties_of(&self, key: &SlotKey, terms: Option<&Terms>) -> Vec<serde_json::Value> {
        let register = self.node.register();
        let recipients = terms.map_or(&[][..], |terms| &terms.recipients).iter().map(String::as_str);
        let mut names: Vec<&str> = std::iter::once(key.controller.as_str()).chain(recipients).collect();
        names.sort_unstable();
        names.dedup();
        let of = |name: &str| {
            let id = crate::model::id::PartyId::parse(name)?;
            let party = register.party(&id).filter(|party| party.index < self.covering.size)?;
            let office = party.office.as_ref().map(|o| (o.name.as_str(), o.contact.as_str()));
            let (names, jurisdiction) =
                ((party.name_ko.as_str(), party.name_en.as_str()), party.jurisdiction.as_deref());
            Some(Party { id: name, names, roles: &party.roles, jurisdiction, office }.value())
        };
        names.into_iter().filter_map(of).collect()
    }
}

impl Told {
    /// The last statement that counted in a slot by then.
    pub(in crate::node::export) fn last_before(&self, slot: &SlotKey, at: Timestamp) -> Option<StatementId> {
        let (events, _) = self.slots.get(slot)?;
        events.iter().rfind(|event| !event.inert && event.at <= at).map(|event| event.id)
    }

    fn take(&mut self, recorded: &Recorded) {
        let (statement, id) = (recorded.statement(), recorded.id());
        let (index, at, kind) = (recorded.index(), recorded.at(), statement.kind().as_str());
        let terms = Terms::of(statement, at);
        self.ids.insert(id);
        self.transfers.take(recorded);
        self.person.follow_words(recorded);
        let Some(followed) = self.person.follow(recorded) else { return };
        let (events, kept) = self.slots.entry(followed.slot).or_default();
        if followed.inert.is_none() && terms.is_some() {
            *kept = terms;
        }
        let ppid = statement.ppid().map(|ppid| ppid.to_text()).unwrap_or_default();
        let state = portability::event_state(statement).unwrap_or_default();
        let (inert, moved) = (followed.inert.is_some(), portability::moved(statement));
        events.push(Event { id, index, at, kind, state, ppid, inert, moved });
    }
}
