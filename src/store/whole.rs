//! A store as a whole: every row as of one moment, every row put back; all of a person, all names.
//!
//! For backup and restore, for forgetting and for sealing again. Rows are what `row` says, key and value, table by table;
//! who carries them needs to know nothing of them. Lacks a file format and hashes:
//! those are the carrier's.
//!
//! Trusted: nothing that is put back. A row is read later as any row is: checked.

use std::ops::ControlFlow;

use super::keyed::{Changes, Engine, Keyed, Sync, Visit};
use super::row;
use super::row::Table;
use super::{Body, Epoch, Error, Gate, Located, Name};
use crate::model::id::{StatementId, SubjectId};

/// Every row as of one moment. What is written later does not show.
pub trait Snapshot: Send {
    /// Visits the rows of a table in key order.
    ///
    /// # Errors
    /// What the engine or the visitor says.
    fn walk(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// One row: key and value.
pub type RawRow = (Table, Vec<u8>, Vec<u8>);

/// Hands out rows until there is none left.
pub type Rows<'a> = dyn FnMut() -> Result<Option<RawRow>, Error> + 'a;

impl<E: Engine> Keyed<E> {
    /// Puts rows into an empty store, in writes of a few MiB, durable when it answers.
    pub(super) fn try_refill(&self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for table in Table::ALL {
            let mut visit = |_: &[u8], _: &[u8]| {
                Err(Error::Engine { engine: self.engine.name(), cause: "the store is not empty".into() })
            };
            self.engine.walk(table, &[], &mut visit)?;
        }
        let (mut changes, mut bytes) = (Changes::default(), 0usize);
        while let Some((table, key, value)) = rows()? {
            bytes += key.len() + value.len();
            changes.put(table, key, value);
            if bytes >= WRITE_BYTES {
                self.write(std::mem::take(&mut changes), Sync::Later)?;
                bytes = 0;
            }
        }
        self.write(changes, Sync::Later)?;
        self.engine.sync()?;
        // At this point the rows are there; a commit that is damaged or missing is found now, not later.
        let (mut next, commits) = (0, Table::Commits);
        self.engine.walk(commits, &[], &mut |key, value| {
            let (_, commit) = row::open_commit(key, value)?;
            if commit.first != next {
                return Err(Error::Corrupt { what: format!("the log has a gap below {}", commit.first) });
            }
            next += u64::try_from(commit.entries.len()).unwrap_or(u64::MAX);
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Drops every row of one person and these names, all at once.
    pub(super) fn try_forget(&self, epoch: Epoch, subject: &SubjectId, names: &[Name]) -> Result<(), Gate> {
        let _writer = self.enter(epoch)?;
        let mut changes = Changes::default();
        for table in [Table::Bodies, Table::State, Table::Items] {
            let prefix = subject.as_bytes().as_slice();
            let mut visit = |key: &[u8], _: &[u8]| {
                if !key.starts_with(prefix) {
                    return Ok(ControlFlow::Break(()));
                }
                changes.drop(table, key);
                Ok(ControlFlow::Continue(()))
            };
            self.engine.walk(table, prefix, &mut visit).map_err(Gate::Failed)?;
        }
        for name in names {
            changes.drop(Table::Names, row::name_key(name));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes, Sync::Later).map_err(Gate::Failed)
    }
}

impl<E: Engine> Keyed<E> {
    /// Bodies of one person anew, and others of hers dropped, all at once.
    pub(super) fn try_rewrite(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Body],
        drop: &[StatementId],
    ) -> Result<(), Gate> {
        let _writer = self.enter(epoch)?;
        let mut changes = Changes::default();
        for id in drop {
            changes.drop(Table::Bodies, row::body_key(subject, id));
        }
        for body in put {
            changes.put(Table::Bodies, row::body_key(subject, &body.id), body.sealed.clone());
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.write(changes, Sync::Later).map_err(Gate::Failed)
    }
}

const WRITE_BYTES: usize = 4 << 20;

/// Statement ids of one person's bodies, in order of bytes.
pub(super) fn ids(engine: &impl Engine, subject: &SubjectId) -> Result<Vec<StatementId>, Error> {
    let prefix = subject.as_bytes().as_slice();
    let mut out = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        let Some(id) = key.strip_prefix(prefix) else { return Ok(ControlFlow::Break(())) };
        out.push(StatementId::from_slice(id).ok_or_else(|| row::damaged(Table::Bodies, &[]))?);
        Ok(ControlFlow::Continue(()))
    };
    engine.walk(Table::Bodies, prefix, &mut visit)?;
    Ok(out)
}

/// Name rows after one of them.
pub(super) fn names(
    engine: &impl Engine,
    after: Option<&Name>,
    most: usize,
) -> Result<Vec<(Name, Located)>, Error> {
    let from = after.map(row::name_key).unwrap_or_default();
    let mut out = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        if key == from {
            return Ok(ControlFlow::Continue(()));
        }
        let name = row::name_of(key).ok_or_else(|| row::damaged(Table::Names, &[]))?;
        out.push((name, row::located(value)?));
        Ok(if out.len() >= most.max(1) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    engine.walk(Table::Names, &from, &mut visit)?;
    Ok(out)
}
