//! What is owed to her, what she claimed, and what her data was promised and used for, under the checkpoint.

use serde_json::Value;
use serde_json::json;

use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::export::Export;
use crate::node::export::statements::Told;
use crate::node::owed;
use crate::node::owed::Claimed;
use crate::node::owed::Tally;
use crate::node::owed::row;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::Item;
use crate::portability::ItemKind;

fn write(archive: &mut Archive<'_>, path: &str, value: &Value) -> Result<(), Error> {
    archive.begin(path)?;
    Ok(serde_json::to_writer(archive, value).map_err(portability::Error::from)?)
}

impl Export {
    /// Obligations and claims as they follow from the statements under the checkpoint.
    pub(in crate::node::export) fn owed(
        &self,
        told: &Told,
        as_of: Timestamp,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let register = self.node.register();
        let owed = owed::obligations(&told.person, &register, as_of);
        for (one, _) in &owed {
            let id = format!("{}:{}:{}", one.act, one.grant, one.party);
            complete.exported.push(Item { kind: ItemKind::Duty, id, path: portability::DUTIES.into() });
        }
        write(archive, portability::DUTIES, &json!({ "as_of": as_of.0, "duties": row::duties(&owed) }))?;
        let claimed = Claimed::all(&told.person, &register, as_of);
        for one in &claimed {
            let (id, path) = (one.claim.request.to_string(), portability::RIGHTS.into());
            complete.exported.push(Item { kind: ItemKind::Right, id, path });
        }
        let rows: Vec<Value> = claimed.iter().map(row::right).collect();
        write(archive, portability::RIGHTS, &json!({ "as_of": as_of.0, "rights": rows }))
    }

    /// What was promised, how often it was used under the checkpoint's batches, what is reported as paid.
    pub(in crate::node::export) fn value(
        &self,
        told: &Told,
        (used, as_of): (&Tally, Timestamp),
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let mut rows = Vec::new();
        for (controller, value) in row::value(&told.person.worth(as_of), used) {
            let (id, path) = (controller.as_str().to_owned(), portability::VALUE.into());
            complete.exported.push(Item { kind: ItemKind::Value, id, path });
            rows.push(value);
        }
        let counted = self.node.uses_synced().is_some();
        let file = json!({ "as_of": as_of.0, "uses_counted": counted, "controllers": rows });
        write(archive, portability::VALUE, &file)
    }
}
