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
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::statement::ErasureCertify;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::erase::Ground;
use crate::node::erase::Plan;
use crate::node::erase::Stored;
use crate::node::erase::again_blob;
use crate::node::erase::found::Gone;
use crate::node::erase::held;
use crate::node::erase::parse_tombstones;
use crate::node::erase::tombstones_blob;
use crate::node::people;
use crate::node::people::name_bytes;
use crate::store;
use crate::store::Epoch;
use crate::store::Name;
use crate::store::Project;
use crate::store::Store;
use crate::vault::SlotNumber;

/// Slots looked at together.
const PAGE: usize = 256;
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
        for blob in [tombstones_blob(&one.says.tombstones.0), again_blob(one.index)] {
            out.extend(store.get(&blob)?.iter().flat_map(|list| parse_tombstones(list)));
        }
    }
    Ok(out)
}

/// What carrying certificates out came to.
#[derive(Debug, Default)]
pub(in crate::node) struct Carried {
    /// Slots overwritten.
    pub(in crate::node) slots: u64,
    /// Bodies dropped that were past their term.
    pub(in crate::node) bodies: u64,
    /// Certificates whose list is not in this copy (it is from before), and that name more than their tags
    /// lead to.
    pub(in crate::node) unlisted: Vec<Standing>,
}

/// Forgets everybody whose slot these certificates name, if anything is left of her, and drops the bodies
/// that their lists name.
///
/// Where the list of tombstones is not here (a copy from before), it is made of what is.
pub(in crate::node) fn carry_out(
    ground: &Ground<'_>,
    epoch: Epoch,
    all: &[Standing],
) -> Result<Carried, Error> {
    let of_tag: BTreeMap<SubjectId, &Standing> =
        all.iter().flat_map(|one| one.says.tags.iter().map(move |tag| (*tag, one))).collect();
    let tags: BTreeSet<SubjectId> = of_tag.keys().copied().collect();
    let mut gone: BTreeMap<LeafIndex, Vec<Gone>> = BTreeMap::new();
    let found = ground.vault.tagged(&tags)?;
    for who in &found {
        // A slot half overwritten: its rows went before it.
        let Ok(tag) = ground.vault.erasure_tag(*who) else { continue };
        let Some(one) = of_tag.get(&tag) else { continue };
        let loaded = people::read(*who, ground.store, ground.vault)?;
        gone.entry(one.index).or_default().push(ground.of(&loaded)?);
    }
    let kept = held::kept_in(ground.store, ground.vault)?.0;
    let mut carried = Carried { slots: found.len() as u64, ..Carried::default() };
    for one in all {
        let hers = gone.remove(&one.index).unwrap_or_default();
        let is_kept = |id: &StatementId| kept.iter().any(|keep| keep.id == *id);
        let plan = Plan::of(hers, ground.store, &is_kept)?;
        let blob = tombstones_blob(&one.says.tombstones.0);
        match ground.store.get(&blob)? {
            Some(list) => carried.bodies += drop_bodies(ground, epoch, &parse_tombstones(&list))?,
            None if plan.indices.len() as u64 == one.says.records => {
                note(ground.store, &blob, plan.indices.iter().copied().collect())?;
            }
            None => {
                note(ground.store, &again_blob(one.index), plan.indices.iter().copied().collect())?;
                carried.unlisted.push(one.clone());
            }
        }
        for gone in &plan.gone {
            forgotten(ground.store.forget(epoch, &gone.who.subject, &gone.names))?;
        }
    }
    if carried.slots > 0 || carried.bodies > 0 {
        ground.store.barrier()?;
        let slots: Vec<SlotNumber> = found.iter().map(|who| who.slot).collect();
        ground.vault.wipe(&slots)?;
    }
    Ok(carried)
}

fn forgotten(done: Project) -> Result<(), Error> {
    match done {
        Project::Projected => Ok(()),
        Project::Fenced => Err(Error::Stopped(Stop::OtherLeader)),
        Project::Failed(error) => Err(error.into()),
    }
}

/// Adds to a list of tombstones.
fn note(store: &dyn Store, blob: &str, mut all: BTreeSet<LeafIndex>) -> Result<(), Error> {
    let before = store.get(blob)?;
    all.extend(before.iter().flat_map(|list| parse_tombstones(list)));
    let list: Vec<u8> = all.iter().flat_map(|index| index.to_be_bytes()).collect();
    if before.as_ref() == Some(&list) { Ok(()) } else { Ok(store.replace(blob, &list)?) }
}

/// Drops what is still here of these entries, save what they left of their slots; how many there were.
fn drop_bodies(ground: &Ground<'_>, epoch: Epoch, indices: &[LeafIndex]) -> Result<u64, Error> {
    let mut dropped = 0;
    for index in indices {
        let Some(commit) = ground.store.commits(*index..index + 1)?.pop() else { continue };
        let at = usize::try_from(index - commit.first).unwrap_or(usize::MAX);
        let Some(id) = commit.ids.get(at) else { continue };
        let name = Name::Statement(id.0);
        let Some(row) = ground.store.locate(&name)?.filter(|row| !row.sealed.is_empty()) else { continue };
        let who = ground.vault.open_name(name_bytes(&name), &row.sealed)?;
        let Ok(key) = ground.vault.person_key(who) else { continue };
        let Some(body) = ground.store.bodies(&who.subject, &[*id])?.pop().flatten() else { continue };
        if let Stored::Item(_) = Stored::open(&key, &who.subject, id, &body)? {
            forgotten(ground.store.rewrite(epoch, &who.subject, &[], &[*id]))?;
            dropped += 1;
        }
    }
    Ok(dropped)
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

    /// Destroys again what certificates say of which this copy has no list: whatever was past its term when the
    /// last of them was made, and is not held. How many entries that were.
    fn past_their_term(&self, unlisted: &[Standing], epoch: Epoch) -> Result<u64, Error> {
        let Some(last) = unlisted.iter().rfind(|one| one.says.scheduled) else { return Ok(0) };
        let (mut from, mut all) = (Some(SlotNumber(0)), BTreeSet::new());
        while let Some(first) = from {
            let (page, next) = self.vault.page(first, PAGE)?;
            for who in page.into_iter().filter(|who| who.subject != self.vault.decoy().0.subject) {
                for cut in self.due_of(who, last.says.iat)?.cuts {
                    all.extend(cut.indices);
                    let put = std::slice::from_ref(&cut.rest);
                    forgotten(self.store.rewrite(epoch, &who.subject, put, &cut.drop))?;
                }
            }
            from = next;
        }
        let count = all.len() as u64;
        note(self.store.as_ref(), &again_blob(last.index), all)?;
        self.store.barrier()?;
        Ok(count)
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
        let Carried { slots, bodies, unlisted } = carry_out(&ground, epoch, &all)?;
        let again = self.past_their_term(&unlisted, epoch)?;
        let gone = slots.saturating_add(bodies).saturating_add(again);
        if gone > 0 {
            tracing::warn!(slots, bodies, again, "erased what the log says is erased");
        }
        if gone > 0 || !unlisted.is_empty() || found.next.saturating_sub(self.vault.honoured()) >= BEHIND {
            self.vault.set_honoured(found.next)?;
        }
        let mut waiting = self.erasing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Whoever waited and has no slot any more does not wait.
        waiting.retain(|who| self.vault.person_key(*who).is_ok());
        Ok(())
    }
}
