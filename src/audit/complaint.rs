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
use crate::identity;
use crate::ledger::evidence::Opened;
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
    /// Receipts that the evidence holds, until their files are seen.
    receipts: BTreeMap<String, Vec<u8>>,
    /// Ids that the list names.
    pub(in crate::audit) listed: BTreeSet<String>,
}

impl Complaints {
    /// Whether a file is a receipt: then that of the evidence before it.
    pub(in crate::audit) fn receipt(&mut self, path: &str, content: &[u8]) -> Result<bool, Error> {
        if !path.ends_with(".cose") {
            return Ok(false);
        }
        match self.receipts.remove(path) {
            Some(receipt) if receipt == content => Ok(true),
            Some(_) | None => Err(wrong(path, "it is not the receipt of the evidence beside it")),
        }
    }

    /// Takes a complaint whose evidence holds under the archive's checkpoint.
    pub(in crate::audit) fn take(
        &mut self,
        path: &str,
        opened: &Opened,
        receipt: Vec<u8>,
    ) -> Result<(), Error> {
        let item = opened.item.as_deref().ok_or_else(|| wrong(path, "it does not show who signed"))?;
        let at = opened.at.ok_or_else(|| wrong(path, "it is public, and no statement of a person"))?;
        let recorded = identity::open(item)?.at(opened.index, Timestamp(at));
        let Statement::IncidentComplain(s) = recorded.statement() else {
            return Err(wrong(path, "it is no complaint"));
        };
        if path != portability::complaint_path(opened.index) {
            return Err(wrong(path, "it is of another entry"));
        }
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
        self.receipts.insert(portability::complaint_receipt(opened.index), receipt);
        self.proven.insert(opened.index, incident);
        Ok(())
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

    /// Every one is listed and has its receipt.
    pub(in crate::audit) fn end(&self) -> Result<(), Error> {
        if let Some(path) = self.receipts.keys().next() {
            return Err(wrong(path, "it is missing"));
        }
        if self.listed.len() == self.proven.len() {
            Ok(())
        } else {
            Err(wrong(portability::COMPLAINTS, "it does not list the complaints inside"))
        }
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
