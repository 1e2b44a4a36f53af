//! What an archive says of her complaints, against the statements inside.
//!
//! Each is signed and under the checkpoint, the list names exactly those, with her own
//! words, and where one stands follows from the steps it names. Lacks the steps
//! themselves: they are sealed for regulator and accused, and here the service's word.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit::archive::Error;
use crate::audit::archive::wrong;
use crate::consent::Complaint;
use crate::consent::Incident;
use crate::consent::Stage;
use crate::consent::Step;
use crate::identity::Recorded;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::Strength;
use crate::portability;
use crate::portability::ComplaintRow;
use crate::portability::ComplaintStep;
use crate::portability::Table;

/// Her complaints as far as they are proven.
#[derive(Debug, Default)]
pub(in crate::audit) struct Complaints {
    /// By index, as they were made.
    proven: BTreeMap<u64, Incident>,
    /// Ids that the list names.
    pub(in crate::audit) listed: BTreeSet<String>,
}

impl Complaints {
    /// Takes a statement whose evidence holds; `false` if it is no complaint.
    pub(in crate::audit) fn take(&mut self, recorded: &Recorded) -> bool {
        let Statement::IncidentComplain(s) = recorded.statement() else { return false };
        let incident = Incident {
            at: recorded.at(),
            id: recorded.id().incident(),
            flag: recorded.id(),
            holds: Vec::new(),
            stage: Stage::Complained,
            steps: Vec::new(),
            party: s.party.clone(),
            index: recorded.index(),
            detector: String::new(),
            evidence: Vec::new(),
            strength: Strength::S,
            complaint: Some(Complaint { ppid: s.ppid, text: s.text.clone() }),
        };
        self.proven.insert(recorded.index(), incident);
        true
    }

    /// The list: exactly what is proven, in order; answers the hash that the table beside it must have.
    pub(in crate::audit) fn list(&mut self, content: &[u8]) -> Result<hash::Hash, Error> {
        let differs = || {
            wrong(portability::COMPLAINTS, "it says something else than follows from the complaints inside")
        };
        let file: Value = serde_json::from_slice(content)?;
        let rows = file.get("complaints").and_then(Value::as_array).ok_or_else(differs)?;
        let mut proven = self.proven.values();
        let mut csv = Vec::new();
        let mut table = Table::complaints(&mut csv)?;
        for row in rows {
            let made = proven.next().ok_or_else(differs)?;
            if again(made, row).as_ref() != Some(row) || !self.listed.insert(made.flag.to_string()) {
                return Err(differs());
            }
            table.push(row)?;
        }
        table.end()?;
        if proven.next().is_some() {
            return Err(differs());
        }
        Ok(hash::sha256(&[&csv]))
    }

    /// How many.
    pub(in crate::audit) fn len(&self) -> usize {
        self.proven.len()
    }

    /// A complaint whose list is not there.
    pub(in crate::audit) fn unlisted(&self) -> Option<String> {
        let unlisted = self.proven.iter().find(|(_, made)| !self.listed.contains(&made.flag.to_string()));
        unlisted.map(|(index, _)| portability::complaint_path(*index))
    }
}

/// The row as it must be: her statement, the steps that the row names, and where these lead.
fn again(made: &Incident, row: &Value) -> Option<Value> {
    let steps = row.get("steps")?.as_array()?.iter().map(step).collect::<Option<Vec<_>>>()?;
    let now = Incident { steps, ..made.clone() }.under(u64::MAX)?;
    let said = now.complaint.as_ref()?;
    let steps = now.steps.iter().map(|step| ComplaintStep {
        kind: step.kind.as_str(),
        index: step.index,
        at: step.at,
        by: step.by.as_str(),
    });
    Some(portability::complaint_row(&ComplaintRow {
        incident: now.id.to_string(),
        statement: now.flag.to_string(),
        index: now.index,
        at: now.at,
        party: now.party.as_str(),
        ppid: said.ppid.to_text(),
        text: &said.text,
        stage: now.stage.as_str(),
        steps: steps.collect(),
    }))
}

fn step(row: &Value) -> Option<Step> {
    Some(Step {
        at: Timestamp(row.get("at")?.as_u64()?),
        by: PartyId::parse(row.get("by")?.as_str()?)?,
        kind: Kind::parse(row.get("type")?.as_str()?)?,
        index: row.get("index")?.as_u64()?,
        document: Hash([0; 32]),
        statement: StatementId([0; 32]),
    })
}
