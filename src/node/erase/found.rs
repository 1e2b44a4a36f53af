//! Everything a node has of one person: bodies, rows, and the names that lead to her; and of a
//! record held for a case, which stands in a slot of its own.

use std::collections::BTreeSet;

use crate::consent::Register;
use crate::identity;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::node::Error;
use crate::node::arrival;
use crate::node::domain::own_domain;
use crate::node::domain::party_domain;
use crate::node::erase::stored::Record;
use crate::node::erase::stored::Stored;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::request::link_name;
use crate::store::Name;
use crate::store::Store;
use crate::vault::Pointed;
use crate::vault::Vault;

/// Where is looked.
#[derive(Clone, Copy)]
pub(in crate::node) struct Ground<'a> {
    pub(in crate::node) store: &'a dyn Store,
    pub(in crate::node) vault: &'a Vault,
    pub(in crate::node) origin: &'a str,
    pub(in crate::node) register: &'a Register,
}

/// What there is of one person, of a request, or of a record held for a case.
#[derive(Clone, Debug)]
pub(in crate::node) struct Gone {
    pub(in crate::node) who: Pointed,
    /// All that ever stood under her, destroyed ones too.
    pub(in crate::node) ids: Vec<StatementId>,
    pub(in crate::node) keys: Vec<KeyHash>,
    /// By domain, whether a row leads from it or not.
    pub(in crate::node) ppids: Vec<(String, Ppid)>,
    /// Rows that lead to her.
    pub(in crate::node) names: Vec<Name>,
    /// Statements whose bodies are here, with their entries.
    pub(in crate::node) records: Vec<(StatementId, LeafIndex)>,
    /// Of a record held for a case: where it may be held for others.
    elsewhere: Vec<Name>,
}

/// What there is of all whom a certificate names.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Plan {
    pub(in crate::node) gone: Vec<Gone>,
    /// Entries of which nothing is left then, in order.
    pub(in crate::node) indices: Vec<LeafIndex>,
}

impl Plan {
    /// All of these, but what is `kept` for a case; a held record goes with the last that holds it.
    pub(in crate::node) fn of(
        gone: Vec<Gone>,
        store: &dyn Store,
        kept: &dyn Fn(&StatementId) -> bool,
    ) -> Result<Self, Error> {
        let mut indices = Vec::new();
        for one in &gone {
            let mut stays = false;
            for name in &one.elsewhere {
                stays |= store.locate(name)?.is_some() && !gone.iter().any(|g| g.names.contains(name));
            }
            let going = one.records.iter().filter(|(id, _)| !stays && !kept(id));
            indices.extend(going.map(|(_, index)| *index));
        }
        indices.sort_unstable();
        indices.dedup();
        Ok(Self { gone, indices })
    }
}

/// One body of hers, opened.
struct Said {
    id: StatementId,
    what: What,
}

enum What {
    /// Keys that came with it, and the request it answers.
    Statement(Vec<KeyHash>, Option<Name>),
    /// Statements that are destroyed, this one the last.
    Rest(Vec<StatementId>),
    Held(LeafIndex, Nonce, Vec<Nonce>),
}

impl Ground<'_> {
    /// Costs her own rows, and one look for each party that there is.
    pub(in crate::node) fn of(&self, loaded: &Loaded) -> Result<Gone, Error> {
        let who = loaded.who;
        let mut ids = self.store.ids(&who.subject)?;
        let said = self.said(loaded, &ids)?;
        let (mut names, mut records, mut other) = (Vec::new(), Vec::new(), Vec::new());
        let mut keys: BTreeSet<KeyHash> = loaded.person.keys().iter().map(|key| key.key).collect();
        keys.extend(loaded.person.core().recovery);
        let (mut elsewhere, mut here) = (Vec::new(), BTreeSet::new());
        for said in said {
            match said.what {
                // Not yet projected, only her statement says it.
                What::Statement(new, _) => {
                    keys.extend(new);
                    here.insert(said.id);
                }
                What::Rest(gone) => ids.extend(gone.into_iter().filter(|id| *id != said.id)),
                What::Held(index, case, others) => {
                    names.push(Record::name(&case, &said.id));
                    records.push((said.id, index));
                    elsewhere.extend(others.iter().map(|case| Record::name(case, &said.id)));
                }
            }
        }
        for id in &ids {
            let name = Name::Statement(id.0);
            if let Some(row) = self.store.locate(&name)?
                && self.leads_to(&name, who)?
            {
                // A body without an index is of a commit that never was.
                records.extend(row.index.filter(|_| here.contains(id)).map(|index| (*id, index)));
                names.push(name);
            }
        }
        other.extend(keys.iter().map(|key| Name::Key(key.0)));
        if let Some(request) = loaded.person.request() {
            other.push(link_name(self.vault, &request.controller, &request.link));
        }
        other.extend(arrival::names_of(self.store, self.vault, loaded)?);
        let mut domains = vec![own_domain(self.origin)];
        for party in self.register.parties() {
            let epochs = 0..=self.register.epoch_of(&party.id);
            domains.extend(epochs.map(|epoch| party_domain(&party.id, epoch)));
        }
        let ppid = |domain: String| {
            let ppid = self.vault.ppid(&domain, &who.subject);
            (domain, ppid)
        };
        let ppids: Vec<_> = domains.into_iter().map(ppid).collect();
        other.extend(ppids.iter().map(|(_, ppid)| Name::Ppid(ppid.0)));
        for name in other {
            if self.leads_to(&name, who)? {
                names.push(name);
            }
        }
        Ok(Gone { who, ids, keys: keys.into_iter().collect(), ppids, names, records, elsewhere })
    }

    /// The requests that she answered.
    pub(in crate::node) fn requests(&self, loaded: &Loaded) -> Result<Vec<Pointed>, Error> {
        let mut out = Vec::new();
        for said in self.said(loaded, &self.store.ids(&loaded.who.subject)?)? {
            let What::Statement(_, Some(link)) = said.what else { continue };
            out.extend(self.asked(&link, &loaded.who.subject)?.filter(|request| !out.contains(request)));
        }
        Ok(out)
    }

    /// The request of a link, if it is this person's who answered it.
    pub(in crate::node) fn asked(&self, link: &Name, by: &SubjectId) -> Result<Option<Pointed>, Error> {
        let Some(row) = self.store.locate(link)? else { return Ok(None) };
        let request = self.vault.open_name(name_bytes(link), &row.sealed)?;
        let answered = crate::node::people::read(request, self.store, self.vault)?;
        let hers = answered.person.request().and_then(|request| request.answered.as_ref());
        Ok(hers.is_some_and(|answered| answered.by == *by).then_some(request))
    }

    fn said(&self, loaded: &Loaded, ids: &[StatementId]) -> Result<Vec<Said>, Error> {
        let subject = &loaded.who.subject;
        let mut out = Vec::with_capacity(ids.len());
        for (id, body) in ids.iter().zip(self.store.bodies(subject, ids)?) {
            let Some(body) = body else { continue };
            let what = match Stored::open(&loaded.key, subject, id, &body)? {
                Stored::Item(item) => {
                    let (statement, signed) = identity::reload(&item)?;
                    let link = statement.link().map(|(party, link)| link_name(self.vault, party, link));
                    What::Statement(statement.new_keys(signed.signer), link)
                }
                Stored::Rest(rest) => What::Rest(rest.gone.into_iter().map(|(_, id)| id).collect()),
                Stored::Held(held) => What::Held(held.index, held.case, held.others),
            };
            out.push(Said { id: *id, what });
        }
        Ok(out)
    }

    fn leads_to(&self, name: &Name, who: Pointed) -> Result<bool, Error> {
        let Some(row) = self.store.locate(name)?.filter(|row| !row.sealed.is_empty()) else {
            return Ok(false);
        };
        Ok(self.vault.open_name(name_bytes(name), &row.sealed)?.subject == who.subject)
    }
}
