//! The rows of a memory store, in plain maps.
//!
//! Written on its own, not over the keyed engines' code, so that the contract
//! suite compares two readings of the contract. Lacks faults; trusts its caller
//! to have checked batch and epoch.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::ops::Range;

use crate::model::id::{StatementId, SubjectId};
use crate::store::{
    Batch, BatchId, Body, COMMITS_BYTES, Commit, Head, Item, Located, Name, PersonRows, Row, names_at,
};

type Indexed = (u64, Vec<u8>);

#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) epoch: u64,
    commits: BTreeMap<u64, (BatchId, Commit)>,
    names: BTreeMap<Name, Located>,
    bodies: BTreeMap<(SubjectId, StatementId), Vec<u8>>,
    state: BTreeMap<SubjectId, BTreeMap<Vec<u8>, Indexed>>,
    items: BTreeMap<SubjectId, BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(super) register: Option<Indexed>,
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) head: Head,
    pub(super) note: Vec<u8>,
    pub(super) projected: u64,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            epoch: 0,
            commits: BTreeMap::new(),
            names: BTreeMap::new(),
            bodies: BTreeMap::new(),
            state: BTreeMap::new(),
            items: BTreeMap::new(),
            register: None,
            blobs: BTreeMap::new(),
            head: Head::EMPTY,
            note: Vec::new(),
            projected: 0,
        }
    }
}

impl Tables {
    /// `(next, at)` of the log.
    pub(super) fn tail(&self) -> (u64, u64) {
        self.commits.last_key_value().map_or((0, 0), |(_, (_, commit))| (until(commit), commit.at))
    }

    pub(super) fn append(&mut self, batch: &Batch) -> u64 {
        let (first, _) = self.tail();
        self.append_beside(first, batch, batch.names.len(), batch.bodies.len());
        let commit = Commit { first, at: batch.at, entries: batch.entries.clone(), ids: batch.ids.clone() };
        self.commits.insert(first, (batch.id, commit));
        first
    }

    /// What a torn append may show: some of its names and bodies, no entry.
    pub(super) fn append_torn(&mut self, batch: &Batch) {
        let (first, _) = self.tail();
        self.append_beside(first, batch, batch.names.len().div_ceil(2), batch.bodies.len().div_ceil(2));
    }

    fn append_beside(&mut self, first: u64, batch: &Batch, names: usize, bodies: usize) {
        for row in names_at(first, batch).take(names) {
            self.names.insert(*row.name, Located { sealed: row.sealed.to_vec(), index: row.index });
        }
        for body in batch.bodies.iter().take(bodies) {
            self.bodies.insert((body.subject, body.id), body.sealed.clone());
        }
    }

    /// Where a batch stands.
    pub(super) fn find(&self, id: BatchId) -> Option<u64> {
        self.commits.iter().rev().find(|(_, (found, _))| *found == id).map(|(first, _)| *first)
    }

    pub(super) fn project(&mut self, upto: u64, rows: &[Row]) {
        for row in rows {
            match row {
                Row::Person { subject, part, index, sealed } => {
                    let parts = self.state.entry(*subject).or_default();
                    if parts.get(part).is_none_or(|(old, _)| old <= index) {
                        parts.insert(part.clone(), (*index, sealed.clone()));
                    }
                }
                Row::Register { index, bytes } => {
                    if self.register.as_ref().is_none_or(|(old, _)| old <= index) {
                        self.register = Some((*index, bytes.clone()));
                    }
                }
                Row::Name { name, sealed, index } => {
                    if self.names.get(name).is_none_or(|old| old.index <= *index) {
                        self.names.insert(*name, Located { sealed: sealed.clone(), index: *index });
                    }
                }
            }
        }
        self.projected = self.projected.max(upto);
    }

    pub(super) fn forget_bodies(&mut self, subject: &SubjectId) {
        self.bodies.retain(|(whose, _), _| whose != subject);
    }

    pub(super) fn forget(&mut self, subject: &SubjectId, names: &[Name]) {
        self.forget_bodies(subject);
        self.state.remove(subject);
        self.items.remove(subject);
        self.names.retain(|name, _| !names.contains(name));
    }

    pub(super) fn rewrite(&mut self, subject: &SubjectId, put: &[Body], drop: &[StatementId]) {
        self.bodies.retain(|(whose, id), _| whose != subject || !drop.contains(id));
        for body in put {
            self.bodies.insert((*subject, body.id), body.sealed.clone());
        }
    }

    pub(super) fn keep(&mut self, subject: &SubjectId, put: &[Item], (drop, names): (&[Vec<u8>], &[Name])) {
        for name in names {
            self.names.remove(name);
        }
        let hers = self.items.entry(*subject).or_default();
        hers.retain(|name, _| !drop.contains(name));
        hers.extend(put.iter().map(|item| (item.name.clone(), item.sealed.clone())));
    }

    pub(super) fn items(
        &self,
        subject: &SubjectId,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Vec<Item> {
        let from = after.map_or(Bound::Included(prefix), |after| Bound::Excluded(after.max(prefix)));
        // What begins a walk at the prefix itself is found though it is not behind it.
        let from = if after.is_some_and(|after| after < prefix) { Bound::Included(prefix) } else { from };
        let hers = self.items.get(subject).into_iter();
        let hers = hers.flat_map(|items| items.range::<[u8], _>((from, Bound::Unbounded)));
        hers.take_while(|(name, _)| name.starts_with(prefix))
            .take(most.max(1))
            .map(|(name, sealed)| Item { name: name.clone(), sealed: sealed.clone() })
            .collect()
    }

    pub(super) fn item(&self, subject: &SubjectId, name: &[u8]) -> Option<Vec<u8>> {
        self.items.get(subject)?.get(name).cloned()
    }

    pub(super) fn commits(&self, range: &Range<u64>) -> Vec<Commit> {
        let mut out = Vec::new();
        let mut bytes = 0;
        for (_, commit) in self.commits.range(..range.end).map(|(_, found)| found) {
            if until(commit) <= range.start || range.is_empty() {
                continue;
            }
            if bytes >= COMMITS_BYTES {
                break;
            }
            bytes += commit.entries.iter().map(|e| e.len() + StatementId::LEN).sum::<usize>();
            out.push(commit.clone());
        }
        out
    }

    pub(super) fn ids(&self, subject: &SubjectId) -> Vec<StatementId> {
        let (first, last) = (StatementId([0; 32]), StatementId([0xff; 32]));
        self.bodies.range((*subject, first)..=(*subject, last)).map(|((_, id), _)| *id).collect()
    }

    pub(super) fn body(&self, subject: &SubjectId, id: &StatementId) -> Option<Vec<u8>> {
        self.bodies.get(&(*subject, *id)).cloned()
    }

    pub(super) fn rows(&self, subject: &SubjectId) -> PersonRows {
        let rows = self.state.get(subject).into_iter().flatten();
        PersonRows {
            rows: rows.map(|(part, (index, sealed))| (part.clone(), *index, sealed.clone())).collect(),
            upto: self.projected,
        }
    }

    pub(super) fn names(&self, after: Option<&Name>, most: usize) -> Vec<(Name, Located)> {
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(*name));
        let rows = self.names.range((from, Bound::Unbounded));
        rows.take(most.max(1)).map(|(name, row)| (*name, row.clone())).collect()
    }

    pub(super) fn locate(&self, name: &Name) -> Option<Located> {
        self.names.get(name).cloned()
    }
}

fn until(commit: &Commit) -> u64 {
    u64::try_from(commit.entries.len()).map_or(u64::MAX, |n| commit.first.saturating_add(n))
}
