//! Which arrivals give way when she has told as many as count.
//!
//! One whose time is over and of which nothing ever came says nothing any more: it goes, with the row that led
//! from it to her, as soon as another needs its place, so that there are never more than [`MOST_ARRIVALS`].
//! Of whatever came, or was signed, the arrival stays: its log may ask for the same again. Lacks any look of its
//! own: where there is room, nothing goes.
//!
//! [`MOST_ARRIVALS`]: crate::node::arrival::MOST_ARRIVALS

use std::collections::HashSet;

use crate::model::id::StatementId;
use crate::node::Error;
use crate::node::Inner;
use crate::node::arrival::Arrival;
use crate::node::arrival::each_run;
use crate::node::people::Loaded;

impl Inner {
    /// Of these arrivals of hers those that were told in vain.
    pub(in crate::node::arrival) fn in_vain(
        &self,
        loaded: &Loaded,
        told: Vec<Arrival>,
    ) -> Result<Vec<Arrival>, Error> {
        let now = self.now();
        let mut over: Vec<Arrival> = told.into_iter().filter(|arrival| arrival.until <= now).collect();
        let mut came: HashSet<(String, StatementId)> = HashSet::new();
        each_run(self.store.as_ref(), loaded, &mut |run| {
            came.insert(run.of());
        })?;
        over.retain(|arrival| !came.contains(&(arrival.from.clone(), arrival.demand)));
        Ok(over)
    }
}
