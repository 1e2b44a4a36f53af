//! Everything a node has of one person: bodies, rows, and the names that lead to her.

use std::collections::BTreeSet;

use crate::consent::Register;
use crate::identity;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::node::Error;
use crate::node::domain::own_domain;
use crate::node::domain::party_domain;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::request::link_name;
use crate::store::Name;
use crate::store::Store;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::Vault;

/// Where is looked.
#[derive(Clone, Copy)]
pub(in crate::node) struct Ground<'a> {
    pub(in crate::node) store: &'a dyn Store,
    pub(in crate::node) vault: &'a Vault,
    pub(in crate::node) origin: &'a str,
    pub(in crate::node) register: &'a Register,
}

/// What there is of one person.
#[derive(Clone, Debug)]
pub(in crate::node) struct Gone {
    pub(in crate::node) who: Pointed,
    pub(in crate::node) ids: Vec<StatementId>,
    pub(in crate::node) keys: Vec<KeyHash>,
    /// By domain, whether a row leads from it or not.
    pub(in crate::node) ppids: Vec<(String, Ppid)>,
    /// Rows that lead to her.
    pub(in crate::node) names: Vec<Name>,
    indices: Vec<LeafIndex>,
}

/// What there is of all whom a certificate names.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Plan {
    pub(in crate::node) gone: Vec<Gone>,
    /// Their entries, in order.
    pub(in crate::node) indices: Vec<LeafIndex>,
}

impl Plan {
    pub(in crate::node) fn add(&mut self, gone: Gone) {
        self.indices.extend_from_slice(&gone.indices);
        self.indices.sort_unstable();
        self.indices.dedup();
        self.gone.push(gone);
    }
}

/// One statement of hers, opened.
struct Said {
    /// Keys that came with it.
    keys: Vec<KeyHash>,
    link: Option<Name>,
}

impl Ground<'_> {
    /// Costs her own rows, and one look for each party that there is.
    pub(in crate::node) fn of(&self, loaded: &Loaded) -> Result<Gone, Error> {
        let who = loaded.who;
        let ids = self.store.ids(&who.subject)?;
        let (mut names, mut indices) = (Vec::new(), Vec::new());
        for id in &ids {
            let name = Name::Statement(id.0);
            if let Some(row) = self.store.locate(&name)? {
                // A body without one is of a commit that never was.
                indices.extend(row.index);
                names.push(name);
            }
        }
        let mut keys: BTreeSet<KeyHash> = loaded.person.keys().iter().map(|key| key.key).collect();
        keys.extend(loaded.person.core().recovery);
        let mut other: Vec<Name> = Vec::new();
        for said in self.said(loaded, &ids)? {
            // Not yet projected, only her statement says it.
            keys.extend(said.keys);
        }
        other.extend(keys.iter().map(|key| Name::Key(key.0)));
        if let Some(request) = loaded.person.request() {
            other.push(link_name(self.vault, &request.controller, &request.link));
        }
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
        Ok(Gone { who, ids, keys: keys.into_iter().collect(), ppids, names, indices })
    }

    /// The requests that she answered.
    pub(in crate::node) fn requests(&self, loaded: &Loaded) -> Result<Vec<Pointed>, Error> {
        let mut out = Vec::new();
        for said in self.said(loaded, &self.store.ids(&loaded.who.subject)?)? {
            let Some(link) = said.link else { continue };
            let Some(row) = self.store.locate(&link)? else { continue };
            let request = self.vault.open_name(name_bytes(&link), &row.sealed)?;
            let answered = crate::node::people::read(request, self.store, self.vault)?;
            let hers = answered.person.request().and_then(|request| request.answered.as_ref());
            if hers.is_some_and(|answered| answered.by == loaded.who.subject) && !out.contains(&request) {
                out.push(request);
            }
        }
        Ok(out)
    }

    fn said(&self, loaded: &Loaded, ids: &[StatementId]) -> Result<Vec<Said>, Error> {
        let subject = &loaded.who.subject;
        let mut out = Vec::with_capacity(ids.len());
        for (id, body) in ids.iter().zip(self.store.bodies(subject, ids)?) {
            let Some(body) = body else { continue };
            let item = loaded.key.open(Sealed::Body, subject, &id.0, &body)?;
            let (statement, signed) = identity::reload(&item)?;
            let link = statement.link().map(|(party, link)| link_name(self.vault, party, link));
            out.push(Said { keys: statement.new_keys(signed.signer), link });
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
