//! Certificates that stand in the log are carried out, whatever copy of the data this is.
//!
//! The vault's folder says below which index all of them were; a copy put back says
//! what was true of it, so what came later is done again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::consent::Register;
use crate::identity;
use crate::ledger::cbor;
use crate::ledger::entry::Entry;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::SubjectId;
use crate::model::statement::ErasureCertify;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::erase::Ground;
use crate::node::erase::Plan;
use crate::node::erase::parse_tombstones;
use crate::node::erase::tombstones_blob;
use crate::node::people;
use crate::store;
use crate::store::Epoch;
use crate::store::Project;
use crate::store::Store;
use crate::vault::SlotNumber;

/// A mark is written anew once it is so far behind.
const BEHIND: u64 = 65_536;

/// A certificate as it stands in a log.
#[derive(Clone, Debug)]
pub(in crate::node) struct Standing {
    pub(in crate::node) index: LeafIndex,
    pub(in crate::node) signer: KeyHash,
    pub(in crate::node) says: ErasureCertify,
}

/// Every certificate in `[from, until)`. What cannot be read is for `fsck` to tell.
pub(in crate::node) fn standing(
    store: &dyn Store,
    from: LeafIndex,
    until: LeafIndex,
) -> Result<Vec<Standing>, Error> {
    let (mut next, mut out) = (from, Vec::new());
    while next < until {
        let before = next;
        for commit in store.commits(next..until)? {
            for (index, entry) in (commit.first..).zip(&commit.entries) {
                if index >= from
                    && let Ok(Entry::Public { item, .. }) = Entry::parse(entry)
                    && let Ok((Statement::ErasureCertify(says), signed)) = identity::reload(&item)
                {
                    out.push(Standing { index, signer: signed.signer, says: *says });
                }
            }
            next = commit.first + commit.entries.len() as u64;
        }
        if next == before {
            return Err(Error::Damaged(format!("entry {next} is missing")));
        }
    }
    Ok(out)
}

/// The tombstones of these certificates, as far as their lists are kept.
pub(in crate::node) fn tombstones(store: &dyn Store, all: &[Standing]) -> Result<BTreeSet<LeafIndex>, Error> {
    let mut out = BTreeSet::new();
    for one in all {
        let list = store.get(&tombstones_blob(&one.says.tombstones.0))?;
        out.extend(list.iter().flat_map(|list| parse_tombstones(list)));
    }
    Ok(out)
}

/// Forgets everybody whose slot these certificates name, if anything is left of her; how many there were.
///
/// Where the list of tombstones is not here (a copy from before), it is made of what is.
pub(in crate::node) fn carry_out(ground: &Ground<'_>, epoch: Epoch, all: &[Standing]) -> Result<u64, Error> {
    let of_tag: BTreeMap<SubjectId, &Standing> =
        all.iter().flat_map(|one| one.says.tags.iter().map(move |tag| (*tag, one))).collect();
    let tags: BTreeSet<SubjectId> = of_tag.keys().copied().collect();
    let mut plans: BTreeMap<LeafIndex, (Plan, &Standing)> = BTreeMap::new();
    let found = ground.vault.tagged(&tags)?;
    for who in &found {
        // A slot half overwritten: its rows went before it.
        let Ok(tag) = ground.vault.erasure_tag(*who) else { continue };
        let Some(one) = of_tag.get(&tag) else { continue };
        let loaded = people::read(*who, ground.store, ground.vault)?;
        plans.entry(one.index).or_insert_with(|| (Plan::default(), one)).0.add(ground.of(&loaded)?);
    }
    for (plan, one) in plans.values() {
        let list: Vec<u8> = plan.indices.iter().flat_map(|index| index.to_be_bytes()).collect();
        match ground.store.put(&tombstones_blob(&one.says.tombstones.0), &list, true) {
            Ok(()) | Err(store::Error::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        for gone in &plan.gone {
            match ground.store.forget(epoch, &gone.who.subject, &gone.names) {
                Project::Projected => {}
                Project::Fenced => return Err(Error::Stopped(Stop::OtherLeader)),
                Project::Failed(error) => return Err(error.into()),
            }
        }
    }
    if !found.is_empty() {
        ground.store.barrier()?;
        let slots: Vec<SlotNumber> = found.iter().map(|who| who.slot).collect();
        ground.vault.wipe(&slots)?;
    }
    Ok(found.len() as u64)
}

/// The register as the store has it: enough to know in which domains she may be named.
pub(in crate::node) fn register_of(store: &dyn Store) -> Result<Register, Error> {
    Ok(store.register()?.map(|(_, bytes)| cbor::decode(&bytes)).transpose()?.unwrap_or_default())
}

impl Inner {
    /// Certificates that this copy of the data may not have honoured yet. What they forget is replayed no more.
    pub(in crate::node) fn unhonoured(&self, found: &store::Recovered) -> Result<Vec<Standing>, Error> {
        let from = self.vault.honoured().min(found.next);
        let all = standing(self.store.as_ref(), from.min(found.projected), found.next)?;
        let list = tombstones(self.store.as_ref(), &all)?;
        *self.tombstones.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = list;
        Ok(all)
    }

    /// Carries them out, once register and projection are there.
    pub(in crate::node) fn honour(
        &self,
        mut all: Vec<Standing>,
        found: &store::Recovered,
        epoch: Epoch,
    ) -> Result<(), Error> {
        let register = self.register();
        all.retain(|one| register.is_operator(&one.signer));
        let ground = self.erasable(&register);
        // What was projected by this start must outlive the keys by which it was judged.
        if !all.is_empty() {
            self.store.barrier()?;
        }
        let gone = carry_out(&ground, epoch, &all)?;
        if gone > 0 {
            tracing::warn!(slots = gone, "erased what the log says is erased");
        }
        if gone > 0 || found.next.saturating_sub(self.vault.honoured()) >= BEHIND {
            self.vault.set_honoured(found.next)?;
        }
        let mut waiting = self.erasing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Whoever waited and has no slot any more does not wait.
        waiting.retain(|who| self.vault.person_key(*who).is_ok());
        Ok(())
    }
}
