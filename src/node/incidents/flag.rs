//! From a finding to an incident: signed by the operator, through the log, once.

use std::sync::Arc;

use crate::identity;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::statement::IncidentFlag;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Queue;
use crate::node::Refusal;
use crate::node::clock;
use crate::node::uselog;
use crate::reidentification::DAY_MS;
use crate::reidentification::Finding;

/// A finding that has become an incident.
#[derive(Clone, Debug)]
pub struct Flagged {
    /// Its name.
    pub incident: Nonce,
    /// What it is about.
    pub finding: Finding,
    /// What became of the `incident.flag`; `None` if the same was flagged before.
    pub outcome: Option<Result<u64, String>>,
}

impl Node {
    /// Looks at the synced lines of `[from, until)` and flags what they show. The same again is no second
    /// incident, whatever has become of the first.
    ///
    /// # Errors
    /// The disk, the store, the operator's key.
    pub fn flag_findings(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Flagged>, Error> {
        flag(&self.inner, &self.intake, from, until)
    }
}

/// Days that were looked at, so that each is looked at once after it is over.
#[derive(Debug)]
pub(in crate::node) struct Days {
    next: u64,
}

impl Days {
    /// A start looks at yesterday again: what was flagged stays flagged once.
    pub(in crate::node) const fn from(now: Timestamp) -> Self {
        Self { next: (now.0 / DAY_MS).saturating_sub(1) }
    }

    /// Flags what the days that are over show.
    pub(in crate::node) fn look(&mut self, inner: &Arc<Inner>, intake: &Queue) -> Result<(), Error> {
        while inner.uses_synced().is_some_and(|synced| synced.0 >= (self.next + 1) * DAY_MS) {
            let from = Timestamp(self.next * DAY_MS);
            let flagged = flag(inner, intake, from, from.plus_ms(DAY_MS))?;
            if !flagged.is_empty() {
                tracing::info!(findings = flagged.len(), "use lines of a day were looked at");
            }
            self.next += 1;
        }
        Ok(())
    }
}

fn flag(
    inner: &Arc<Inner>,
    intake: &Queue,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<Flagged>, Error> {
    let Some(operator) = &inner.operator else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for finding in inner.findings(from, until)? {
        let incident = inner.incident_of(&finding.key());
        let document = finding.encode()?;
        let hash = Hash(hash::sha256(&[&document]));
        let outcome = if inner.incident_place(&incident)?.is_some() {
            None
        } else {
            let statement: Statement = IncidentFlag {
                v: V1,
                kind: Kind::IncidentFlag,
                iat: inner.clock.now(),
                nonce: Nonce(clock::random().map_err(Error::Randomness)?),
                incident,
                party: finding.party.clone(),
                detector: finding.detector.as_str().to_owned(),
                strength: finding.strength,
                evidence: vec![hash],
            }
            .into();
            let item = identity::item::sign(&statement, operator.as_ref())?;
            let outcome = uselog::record(inner, intake, item);
            Some(outcome.map(|accepted| accepted.index).map_err(|refusal: Refusal| refusal.to_string()))
        };
        // After a crash in between, the next look seals it.
        inner.keep_finding(&incident, &hash, &document)?;
        out.push(Flagged { incident, finding, outcome });
    }
    Ok(out)
}

impl Inner {
    /// The incident a finding of this key becomes: the same for the same, and to nobody else a name of
    /// anything.
    pub(in crate::node::incidents) fn incident_of(&self, key: &[u8]) -> Nonce {
        // Not of the wrapping epoch: the same finding is the same incident in the next one.
        let mac = self.vault.opaque_name("incident", &[key]);
        let mut out = [0u8; 16];
        out.iter_mut().zip(mac).for_each(|(o, m)| *o = m);
        Nonce(out)
    }
}
