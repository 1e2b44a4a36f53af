//! Incidents that concern one person: found by her own use lines, without a look at the others.
//!
//! The name of an incident follows from who asked, which rule was broken, about what and on
//! which day; a line of hers that a rule could rest on says all four. So each such line
//! leads to at most two names, and most lines lead to none. Her lines are found as long as
//! they are kept, and so are her incidents. Of her lines only those are kept in memory that an
//! incident quotes, and some like them. Lacks what she is told of them (`portability`).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::consent::Incident;
use crate::model::id::DecisionId;
use crate::model::id::Nonce;
use crate::model::id::TreeSize;
use crate::model::use_line::UseAct;
use crate::model::use_line::UseLine;
use crate::node::Error;
use crate::node::Inner;
use crate::reidentification::Detector;
use crate::reidentification::Finding;
use crate::reidentification::key_of;
use crate::vault::Pointed;

/// Most decisions named of one incident beside those that the finding quotes; further ones are counted.
const MOST_ALIKE: usize = 1_000;

/// The incidents that lines of hers are in; none where a finding could be and nobody flagged one.
#[derive(Debug, Default)]
pub(in crate::node) struct Grounds(BTreeMap<Nonce, Option<Concern>>);

/// An incident that concerns her.
#[derive(Debug)]
pub(in crate::node) struct Concern {
    /// As the entries under the checkpoint leave it.
    pub(in crate::node) incident: Incident,
    /// What was found.
    pub(in crate::node) finding: Finding,
    /// Her decisions that the finding quotes.
    pub(in crate::node) quoted: Vec<DecisionId>,
    /// Her decisions of the same asker, rule, day and purpose that it does not quote, where it counts more
    /// than it quotes: the first of them.
    pub(in crate::node) alike: Vec<DecisionId>,
    /// How many more there are.
    pub(in crate::node) more: u64,
}

impl Inner {
    /// Takes a line of hers in. Answers whether an incident flagged below `size` quotes it.
    ///
    /// # Errors
    /// The store, damage.
    pub(in crate::node) fn ground(
        &self,
        grounds: &mut Grounds,
        who: Pointed,
        line: &UseLine,
        size: TreeSize,
    ) -> Result<bool, Error> {
        let mut quoted = false;
        if line.act != UseAct::Check {
            return Ok(quoted);
        }
        let foreign = self.is_foreign(who, line).then_some(Detector::ForeignPpid);
        for detector in foreign.into_iter().chain(Detector::after(line.told)) {
            let name = self.incident_of(&key_of(line, detector));
            let concern = match grounds.0.entry(name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.concern(&name, size)?),
            };
            quoted |= concern.as_mut().is_some_and(|concern| concern.take(line));
        }
        Ok(quoted)
    }

    /// The incident of this name, as the entries below `size` leave it.
    fn concern(&self, name: &Nonce, size: TreeSize) -> Result<Option<Concern>, Error> {
        let Some((incident, finding)) = self.found_as(name)? else { return Ok(None) };
        let Some(incident) = incident.under(size) else { return Ok(None) };
        let (quoted, alike) = (Vec::new(), Vec::new());
        Ok(Some(Concern { incident, finding, quoted, alike, more: 0 }))
    }
}

impl Concern {
    /// Takes a line in; whether the finding quotes it.
    fn take(&mut self, line: &UseLine) -> bool {
        let Self { incident, finding, quoted, alike, more } = self;
        if finding.lines.iter().any(|own| own.id == line.id) {
            quoted.push(line.id);
            return true;
        }
        if finding.count > finding.lines.len() as u64 && line.t < incident.at {
            if alike.len() < MOST_ALIKE {
                alike.push(line.id);
            } else {
                *more += 1;
            }
        }
        false
    }
}

impl Grounds {
    /// The incidents that lines of hers are in, oldest first.
    pub(in crate::node) fn concerns(&self) -> Vec<&Concern> {
        let all = self.0.values().flatten();
        let mut out: Vec<_> = all.filter(|one| !one.quoted.is_empty() || !one.alike.is_empty()).collect();
        out.sort_by_key(|concern| concern.incident.index);
        out
    }
}
