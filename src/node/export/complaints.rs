//! Her complaints: the evidence of each, what became of it under the checkpoint, and the same as a table.
//!
//! A complaint is sealed under its incident, not under her (design §4), so it is found by the ppid
//! in it and opened with the incident's key. Lacks the documents of the two sides.

use serde_json::Value;
use serde_json::json;

use crate::consent::Incident;
use crate::node::Error;
use crate::node::erase::Stored;
use crate::node::export::Export;
use crate::node::people::Loaded;
use crate::portability;
use crate::portability::Archive;
use crate::portability::ComplaintRow;
use crate::portability::ComplaintStep;
use crate::portability::Completeness;
use crate::portability::Item;
use crate::portability::ItemKind;
use crate::portability::Reason;
use crate::portability::Table;
use crate::portability::Withheld;
use crate::portability::complaint_path;
use crate::portability::complaint_receipt;

impl Export {
    /// Evidence of each complaint under the checkpoint, then the list and the table.
    pub(in crate::node::export) fn complaints(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let mut rows = Vec::new();
        for (incident, loaded) in self.node.complaints_under(self.loaded.who, self.covering.size)? {
            if self.complaint_evidence(&incident, &loaded, archive)? {
                rows.extend(row(&incident));
                let (id, path) = (incident.flag.to_string(), complaint_path(incident.index));
                complete.exported.push(Item { kind: ItemKind::Complaint, id, path });
                let what = format!("documents that followed complaint {}", incident.id);
                complete.withheld.push(Withheld::new(ItemKind::Complaint, what, Reason::RightsOfOthers));
            } else {
                let what = format!("complaint {}, entry {}", incident.flag, incident.index);
                complete.withheld.push(Withheld::new(ItemKind::Complaint, what, Reason::NotReadable));
            }
        }
        archive.begin(portability::COMPLAINTS)?;
        serde_json::to_writer(&mut *archive, &json!({ "complaints": rows }))
            .map_err(portability::Error::from)?;
        archive.begin(portability::COMPLAINTS_CSV)?;
        let mut table = Table::complaints(archive)?;
        rows.iter().try_for_each(|row| table.push(row))?;
        Ok(table.end()?)
    }

    /// Writes evidence and receipt of her statement; `false` if it cannot be opened here.
    fn complaint_evidence(
        &self,
        incident: &Incident,
        loaded: &Loaded,
        archive: &mut Archive<'_>,
    ) -> Result<bool, Error> {
        let (subject, key, id) = (&loaded.who.subject, &loaded.key, incident.flag);
        let body = self.node.store.bodies(subject, &[id])?.pop().flatten();
        let stored = body.map(|body| Stored::open(key, subject, &id, &body)).transpose()?;
        let Some(item) = stored.and_then(Stored::item) else { return Ok(false) };
        let (evidence, _) = self.evidence(key, incident.index, id, &item)?;
        archive.file(&complaint_path(incident.index), &evidence.encode()?)?;
        archive.file(&complaint_receipt(incident.index), &evidence.receipt)?;
        Ok(true)
    }
}

fn row(incident: &Incident) -> Option<Value> {
    let said = incident.complaint.as_ref()?;
    let steps = incident.steps.iter().map(|step| ComplaintStep {
        kind: step.kind.as_str(),
        index: step.index,
        at: step.at,
        by: step.by.as_str(),
    });
    Some(portability::complaint_row(&ComplaintRow {
        incident: incident.id.to_string(),
        statement: incident.flag.to_string(),
        index: incident.index,
        at: incident.at,
        party: incident.party.as_str(),
        ppid: said.ppid.to_text(),
        text: &said.text,
        stage: incident.stage.as_str(),
        steps: steps.collect(),
    }))
}
