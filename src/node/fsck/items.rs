//! What sources brought: every head opens, its original and form are there and are what it says; and
//! what is expected and has arrived of other logs can be read.
//!
//! Primary, so nothing of it can be made again: what is wrong is told by the person's
//! last entry. What is encrypted to her own key is there or not, and that is all that can be seen.

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::node::arrival;
use crate::node::deposit::Deposited;
use crate::node::deposit::name;
use crate::node::deposit::open;
use crate::node::fsck::Fault;
use crate::node::fsck::Walk;
use crate::node::people::Loaded;

/// Heads read at a time.
const PAGE: usize = 256;

impl Walk<'_> {
    /// Everything that was brought of everybody.
    pub(super) fn items(&mut self) {
        let mut people: Vec<_> = self.people.values().collect();
        people.sort_unstable_by_key(|folded| folded.last);
        let mut items = 0;
        for folded in people {
            match self.items_of(&folded.loaded) {
                Ok(n) => items += n,
                Err(what) => {
                    let place = format!("entry {}", folded.last);
                    self.report
                        .faults
                        .push(Fault { place, what: format!("what sources brought of its person: {what}") });
                }
            }
        }
        self.report.items = items;
    }

    fn items_of(&self, loaded: &Loaded) -> Result<u64, String> {
        arrival::readable(self.data.store, loaded).map_err(text)?;
        let (mut after, mut items) = (None::<Vec<u8>>, 0);
        loop {
            let page =
                self.data.store.items(&loaded.who.subject, b"h", after.as_deref(), PAGE).map_err(text)?;
            let Some(last) = page.last() else { return Ok(items) };
            after = Some(last.name.clone());
            for item in &page {
                let plain = open(&loaded.key, loaded.who, &item.name, &item.sealed).map_err(text)?;
                let head: Deposited = cbor::decode(&plain).map_err(text)?;
                let record = item.name.get(1..).unwrap_or_default();
                items += 1;
                if head.over.is_some() {
                    self.gone(loaded, record)?;
                    continue;
                }
                let original = self.part(loaded, b'o', record)?;
                if head.key.is_none() && head.sha256 != Some(Hash(hash::sha256(&[&original]))) {
                    return Err("an original is not what its head says".into());
                }
                if head.form.is_some() {
                    self.part(loaded, b'f', record)?;
                }
            }
        }
    }

    /// Of what is over no content is left.
    fn gone(&self, loaded: &Loaded, record: &[u8]) -> Result<(), String> {
        for part in [b'o', b'f'] {
            let left = self.data.store.item(&loaded.who.subject, &name(part, record)).map_err(text)?;
            if left.is_some() {
                return Err("the content of something that is over is still there".into());
            }
        }
        Ok(())
    }

    fn part(&self, loaded: &Loaded, part: u8, record: &[u8]) -> Result<Vec<u8>, String> {
        let name = name(part, record);
        let sealed = self.data.store.item(&loaded.who.subject, &name).map_err(text)?;
        let sealed = sealed.ok_or("a part of a deposit is missing: lost")?;
        open(&loaded.key, loaded.who, &name, &sealed).map_err(text)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
