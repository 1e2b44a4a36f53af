//! One person's lines for her archive: those whose batch stands under a checkpoint, one at a time.

use crate::model::id::Hash;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::uselog::Batch;
use crate::node::uselog::Use;
use crate::node::uselog::held;
use crate::node::uselog::read::Opened;
use crate::node::uselog::view::evidence_of;
use crate::vault::PersonKey;
use crate::vault::Pointed;

/// One line, opened, and under which batch it stands.
pub(in crate::node) struct Mine {
    opened: Opened,
    /// Number of its batch.
    pub(in crate::node) number: u64,
    /// Its batch.
    pub(in crate::node) batch: Batch,
}

impl Mine {
    /// What the line says.
    pub(in crate::node) const fn says(&self) -> &Use {
        &self.opened.says
    }
}

/// Sees one line.
pub(in crate::node) type See<'a> = dyn FnMut(&Mine) -> Result<(), Error> + 'a;

impl Inner {
    /// Her lines whose batch is an entry below `size`, one after the other in order of the time at which they
    /// were written, and of their ids within one instant. Answers the instant from which on lines are not under
    /// it; `None` without a use log.
    ///
    /// # Errors
    /// The disk, damage, what `see` answers.
    pub(in crate::node) fn each_use_under(
        &self,
        who: Pointed,
        key: &PersonKey,
        size: TreeSize,
        see: &mut See<'_>,
    ) -> Result<Option<Timestamp>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        let last = held(&uses.batches).below(size).map_err(|cause| uses.failed(cause.into()))?;
        let until = last.map_or(uses.began, |batch| batch.until);
        let mut under: Option<(u64, Batch)> = None;
        uses.each_of(&self.vault, (who, key), until, &mut |taken| {
            let t = taken.t;
            under = match under.filter(|(_, batch)| batch.from <= t && t < batch.until) {
                Some(same) => Some(same),
                None => uses.batch_at(t)?,
            };
            let Some((number, batch)) = under else { return Ok(()) };
            // None: her key is gone since.
            let Some(opened) = taken.open(&self.vault)? else { return Ok(()) };
            see(&Mine { opened, number, batch })
        })?;
        Ok(Some(until))
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
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        let kept = mine.opened.kept(true);
        let Some(way) = uses.way(mine.number, &mine.batch, root, &kept.leaf)? else { return Ok(None) };
        let evidence = evidence_of(&kept, &way.path, way.sides, batch.to_vec());
        let index = mine.batch.index;
        let damaged = |_| Error::Damaged(format!("the use batch at entry {index} is not of its lines"));
        Ok(Some(evidence.encode().map_err(damaged)?))
    }
}
