//! One person's lines for her archive: those whose batch stands under a checkpoint.

use crate::model::id::DecisionId;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::uselog::Use;
use crate::node::uselog::held;
use crate::node::uselog::view::evidence_of;
use crate::vault::PersonKey;
use crate::vault::Pointed;

/// Where one line stands, and under which batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Mine {
    t: Timestamp,
    place: (u64, u64),
    /// Number of its batch.
    pub(in crate::node) number: u64,
    /// Index of its batch's entry.
    pub(in crate::node) batch: LeafIndex,
}

/// All lines of one person under a checkpoint, in order of time.
#[derive(Debug, Default)]
pub(in crate::node) struct AllMine {
    pub(in crate::node) lines: Vec<Mine>,
    /// Lines from this instant on are not under it; `None` without a use log.
    pub(in crate::node) until: Option<Timestamp>,
}

impl Inner {
    /// Her lines whose batch is an entry below `size`.
    ///
    /// # Errors
    /// The disk, or damage.
    pub(in crate::node) fn uses_under(
        &self,
        who: Pointed,
        key: &PersonKey,
        size: TreeSize,
    ) -> Result<AllMine, Error> {
        let Some(uses) = self.uses.get() else { return Ok(AllMine::default()) };
        let last = held(&uses.batches).below(size).map_err(|cause| uses.failed(cause.into()))?;
        let until = last.map_or(uses.began, |batch| batch.until);
        let mut places = uses.places_of(&self.vault, who, key)?;
        places.retain(|(t, _)| *t < until);
        places.sort_unstable();
        let mut lines = Vec::with_capacity(places.len());
        for (t, place) in places {
            if let Some((number, batch)) = uses.batch_at(t)? {
                lines.push(Mine { t, place, number, batch: batch.index });
            }
        }
        Ok(AllMine { lines, until: Some(until) })
    }

    /// The line, opened; `None` if it is gone since.
    ///
    /// # Errors
    /// The disk, or damage.
    pub(in crate::node) fn use_of(&self, mine: &Mine) -> Result<Option<Use>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        let Some(taken) = uses.at(&self.vault, mine.place)? else { return Ok(None) };
        Ok(taken.open(&self.vault)?.map(|opened| opened.says))
    }

    /// Evidence of the line, as the person's own; `batch` is public evidence of its batch, `root` what that signs. `None` if
    /// lines beside it are gone, so that no path can be made.
    ///
    /// # Errors
    /// The disk, or damage.
    pub(in crate::node) fn use_proof(
        &self,
        mine: &Mine,
        batch: &[u8],
        root: &Hash,
    ) -> Result<Option<(DecisionId, Vec<u8>)>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        let Some(taken) = uses.at(&self.vault, mine.place)? else { return Ok(None) };
        let Some((number, row)) = uses.batch_at(mine.t)? else { return Ok(None) };
        let Some(opened) = taken.open(&self.vault)? else { return Ok(None) };
        let Some(way) = uses.way(number, &row, root, &opened.leaf)? else { return Ok(None) };
        let id = opened.says.line.id;
        let evidence = evidence_of(&opened.kept(true), &way.path, way.sides, batch.to_vec());
        let damaged = |_| Error::Damaged(format!("the use batch at entry {} is not of its lines", row.index));
        Ok(Some((id, evidence.encode().map_err(damaged)?)))
    }
}
