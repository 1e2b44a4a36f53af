//! What an open incident quotes of a person outlives her: her use lines, sealed under it.
//!
//! Kept is what opens one line and nothing else: its bytes, its key, its leaf. The line's
//! key follows from hers, not she from it. Source: design §8.

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

use crate::consent::Stage;
use crate::ledger::cbor;
use crate::model::id::DecisionId;
use crate::node::Error;
use crate::node::Inner;
use crate::reidentification::Finding;
use crate::store;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;

/// One line as an incident keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::node) struct Kept {
    pub(in crate::node) k: ByteArray<32>,
    pub(in crate::node) leaf: ByteArray<32>,
    pub(in crate::node) line: ByteBuf,
    pub(in crate::node) exact: Option<ByteBuf>,
    pub(in crate::node) k_exact: Option<ByteArray<32>>,
}

fn blob_of(key: &PersonKey, id: &DecisionId) -> String {
    let name = key.record_name(["line", &crate::model::id::Ppid(id.0).to_string()]);
    let hex: String = name.iter().map(|b| format!("{b:02x}")).collect();
    format!("sealed/{hex}")
}

impl Inner {
    /// Seals the lines of these persons that open incidents quote, durable when it answers.
    pub(in crate::node) fn keep_quoted(&self, who: &[Pointed]) -> Result<(), Error> {
        for place in self.incident_places()? {
            let incident = self.people.load(place, self.store.as_ref(), &self.vault)?;
            let Some(says) = incident.person.incident().filter(|says| says.stage != Stage::Closed) else {
                continue;
            };
            let Some(hash) = says.evidence.first() else { continue };
            let Some(finding) = self.document(place, &incident.key, hash)? else { continue };
            for noted in &Finding::parse(&finding)?.lines {
                let Some(kept) = self.line_of(&noted.id, who)? else { continue };
                let plain = cbor::encode(&kept)?;
                let sealed = incident.key.seal(Sealed::Document, &place.subject, &noted.id.0, &plain)?;
                match self.store.put(&blob_of(&incident.key, &noted.id), &sealed, true) {
                    Ok(()) | Err(store::Error::Exists { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// A line that an incident kept, if it did.
    pub(in crate::node) fn kept_line(
        &self,
        place: Pointed,
        key: &PersonKey,
        id: &DecisionId,
    ) -> Result<Option<Kept>, Error> {
        let Some(sealed) = self.store.get(&blob_of(key, id))? else { return Ok(None) };
        let plain = key.open(Sealed::Document, &place.subject, &id.0, &sealed)?;
        Ok(Some(cbor::decode(&plain)?))
    }
}
