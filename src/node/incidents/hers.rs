//! Incidents that concern one person: found by her own use lines, without a look at the others.
//!
//! The name of an incident follows from who asked, which rule was broken, about what and on
//! which day; a line of hers that a rule could rest on says all four. So each such line
//! leads to at most two names, and most lines lead to none. Her lines are found as long as
//! they are kept, and so are her incidents. Lacks what she is told of them (`portability`).

use std::collections::BTreeMap;

use crate::consent::Incident;
use crate::model::id::DecisionId;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::use_line::UseAct;
use crate::model::use_line::UseLine;
use crate::node::Error;
use crate::node::Inner;
use crate::reidentification::Detector;
use crate::reidentification::Finding;
use crate::reidentification::key_of;
use crate::vault::Pointed;

/// When a line was written, and its name.
type Ground = (Timestamp, DecisionId);

/// Her lines that a finding could rest on, by the incident it would be.
#[derive(Debug, Default)]
pub(in crate::node) struct Grounds(BTreeMap<Nonce, Vec<Ground>>);

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
    /// than it quotes.
    pub(in crate::node) alike: Vec<DecisionId>,
}

impl Inner {
    /// Takes a line of hers in.
    pub(in crate::node) fn ground(&self, grounds: &mut Grounds, who: Pointed, line: &UseLine) {
        if line.act != UseAct::Check {
            return;
        }
        let foreign = self.is_foreign(who, line).then_some(Detector::ForeignPpid);
        for detector in foreign.into_iter().chain(Detector::after(line.told)) {
            let incident = self.incident_of(&key_of(line, detector));
            grounds.0.entry(incident).or_default().push((line.t, line.id));
        }
    }

    /// The incidents flagged below `size` that these lines of hers are in, oldest first.
    ///
    /// # Errors
    /// The store, damage.
    pub(in crate::node) fn concerns(&self, grounds: &Grounds, size: TreeSize) -> Result<Vec<Concern>, Error> {
        let mut out = Vec::new();
        for (incident, hers) in &grounds.0 {
            let Some((incident, finding)) = self.found_as(incident)? else { continue };
            let Some(incident) = incident.under(size) else { continue };
            let quotes = |id: &DecisionId| finding.lines.iter().any(|line| line.id == *id);
            let more = finding.count > finding.lines.len() as u64;
            let (mut quoted, mut alike) = (Vec::new(), Vec::new());
            for (t, id) in hers {
                if quotes(id) {
                    quoted.push(*id);
                } else if more && *t < incident.at {
                    alike.push(*id);
                }
            }
            if !quoted.is_empty() || !alike.is_empty() {
                out.push(Concern { incident, finding, quoted, alike });
            }
        }
        out.sort_by_key(|concern| concern.incident.index);
        Ok(out)
    }
}
