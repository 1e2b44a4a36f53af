//! The projection against the fold, and writing it again.

use std::collections::BTreeSet;

use crate::consent::Register;
use crate::consent::SlotKey;
use crate::ledger::cbor;
use crate::node::Error;
use crate::node::Stop;
use crate::node::erase::waiting_row;
use crate::node::fsck::Walk;
use crate::node::people;
use crate::node::publish::tile_blob;
use crate::store::Project;
use crate::store::Row;

/// Rows in one write.
const ROWS: usize = 4_096;

impl Walk<'_> {
    /// Every row the projection claims to be complete equals the fold.
    pub(super) fn compare_state(&mut self) {
        let projected = self.found.projected;
        if self.public_last.is_some_and(|last| last < projected)
            && let Err(what) = self.compare_register()
        {
            self.report.fault("register", what);
        }
        let mut people: Vec<_> = self.people.values().filter(|folded| folded.last < projected).collect();
        people.sort_unstable_by_key(|folded| folded.last);
        for folded in people {
            let read = people::read(folded.loaded.who, self.data.store, self.data.vault);
            let what = match read {
                Ok(stored) if stored.person == folded.loaded.person => continue,
                Ok(_) => "the stored state of its person is not what her entries say".to_owned(),
                Err(error) => format!("the stored state of its person: {error}"),
            };
            self.report.faults.push(super::Fault { place: format!("entry {}", folded.last), what });
        }
    }

    fn compare_register(&self) -> Result<(), String> {
        let stored = self.data.store.register().map_err(|error| error.to_string())?;
        let (_, bytes) = stored.ok_or("its row is missing")?;
        let stored: Register = cbor::decode(&bytes).map_err(|error| error.to_string())?;
        if stored == *self.replay.register() {
            Ok(())
        } else {
            Err("its row is not what the public entries say".into())
        }
    }

    /// Writes every derived thing from what was folded.
    pub(super) fn write(&self) -> Result<(), Error> {
        for (level, index, bytes) in &self.wrong_tiles {
            self.data.store.replace(&tile_blob(*level, *index), bytes)?;
        }
        let Some(index) = self.found.next.checked_sub(1) else { return Ok(()) };
        let mut rows = vec![Row::Register { index, bytes: cbor::encode(self.replay.register())? }];
        rows.extend(self.lost_names.iter().cloned());
        let people = self.people.values().map(|folded| &folded.loaded);
        let erasing: Vec<_> =
            people.filter(|loaded| loaded.person.core().erasing.is_some()).map(|loaded| loaded.who).collect();
        rows.push(waiting_row(self.data.vault, &erasing, index)?);
        for folded in self.people.values() {
            let slots: BTreeSet<&SlotKey> = folded.loaded.person.slots().map(|(key, _)| key).collect();
            let parts = std::iter::once(None).chain(slots.into_iter().map(Some));
            for slot in parts {
                if let Some((part, sealed)) = people::seal_part(&folded.loaded, slot)? {
                    rows.push(Row::Person { subject: folded.loaded.who.subject, part, index, sealed });
                }
            }
            if rows.len() >= ROWS {
                // Only the last write says how far the projection has come.
                self.project(0, &std::mem::take(&mut rows))?;
            }
        }
        self.project(self.found.next, &rows)
    }

    fn project(&self, upto: u64, rows: &[Row]) -> Result<(), Error> {
        let upto = upto.max(self.found.projected);
        match self.data.store.project(self.epoch, upto, rows) {
            Project::Projected => Ok(()),
            Project::Fenced => Err(Error::Stopped(Stop::OtherLeader)),
            Project::Failed(error) => Err(error.into()),
        }
    }
}
