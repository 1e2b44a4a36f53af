//! Items of a person in the keyed engines: rows of their own that follow from no entry.
//!
//! Written by the leader alone and not synced one by one: whoever answers for an item
//! waits for a barrier. Lacks any meaning of names. Trusted: the engine's order of keys.

use std::ops::ControlFlow;

use super::keyed::{Changes, Engine, Keyed, Sync};
use super::row::{self, Table};
use super::{Epoch, Error, Gate, Item, Name, is_item};
use crate::model::id::SubjectId;

impl<E: Engine> Keyed<E> {
    /// Writes items of one person and drops others, and names, as one.
    pub(super) fn try_keep(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Item],
        (drop, names): (&[Vec<u8>], &[Name]),
    ) -> Result<(), Gate> {
        let _writer = self.enter(epoch)?;
        if !put.iter().all(is_item) {
            return Err(Gate::Failed(self.refused("the name of an item is 1 to 64 bytes")));
        }
        let mut changes = Changes::default();
        for name in drop.iter().filter(|name| !put.iter().any(|item| item.name == **name)) {
            changes.drop(Table::Items, row::item_key(subject, name));
        }
        for name in names {
            changes.drop(Table::Names, row::name_key(name));
        }
        for item in put {
            changes.put(Table::Items, row::item_key(subject, &item.name), item.sealed.clone());
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes, Sync::Later).map_err(Gate::Failed)
    }
}

/// Items of one person under a prefix, after one of them.
pub(super) fn items(
    engine: &impl Engine,
    subject: &SubjectId,
    (prefix, after): (&[u8], Option<&[u8]>),
    most: usize,
) -> Result<Vec<Item>, Error> {
    let under = row::item_key(subject, prefix);
    let after = after.map(|name| row::item_key(subject, name));
    let from = after.as_ref().map_or(&under, |after| after.max(&under));
    let mut out = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        if after.as_deref() == Some(key) {
            return Ok(ControlFlow::Continue(()));
        }
        if !key.starts_with(&under) {
            return Ok(ControlFlow::Break(()));
        }
        let name = key.get(SubjectId::LEN..).unwrap_or_default().to_vec();
        out.push(Item { name, sealed: value.to_vec() });
        Ok(if out.len() >= most.max(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    engine.walk(Table::Items, from, &mut visit)?;
    Ok(out)
}
