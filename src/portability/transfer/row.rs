//! A person's transfers as her statements tell them: `transfers.json`.
//!
//! Drawn from the statements alone, in the order of the log, so that one state at one checkpoint is
//! the same bytes. Lacks the judging: a step that had no effect is among the others, as signed.

use serde_json::Value;
use serde_json::json;

use crate::identity::Recorded;
use crate::model::id::StatementId;
use crate::model::statement::Statement;
use crate::portability::time::instant;

/// Her demands with the steps of each.
#[derive(Clone, Debug, Default)]
pub struct Transfers(Vec<(StatementId, Value, Vec<Value>)>);

impl Transfers {
    /// Takes a statement of hers, in the order of the log; those about other things change nothing.
    pub fn take(&mut self, recorded: &Recorded) {
        let (index, at, statement) = (recorded.index(), recorded.at(), recorded.statement());
        let (demand, mut said) = match statement {
            Statement::TransferDemand(s) => {
                let targets = s.targets.iter().map(|t| json!({ "scope": t.scope, "asset_list": t.assets }));
                let demand = json!({
                    "demand": recorded.id().to_string(), "index": index, "at": at.0, "time": instant(at),
                    "snd_org_code": s.sender.as_str(), "rcv_org_code": s.recipient.as_str(),
                    "is_scheduled": s.scheduled, "fnd_cycle": s.fund_cycle, "add_cycle": s.add_cycle,
                    "end_date": s.end.0, "purpose": s.purpose, "period": s.keep_until.0, "mode": s.mode,
                    "target_info": targets.collect::<Vec<_>>(), "over": s.over.map(|id| id.to_string()),
                });
                self.0.push((recorded.id(), demand, Vec::new()));
                return;
            }
            Statement::TransferStop(s) => (s.demand, json!({})),
            Statement::TransferDeliver(s) => (
                s.demand,
                json!({
                    "by": s.party.as_str(), "run": s.run, "items": s.items, "hash": s.hash.to_string(),
                }),
            ),
            Statement::TransferConfirm(s) => (
                s.demand,
                json!({
                    "by": s.party.as_str(), "run": s.run, "received": s.received, "announced": s.announced,
                }),
            ),
            Statement::TransferFail(s) => {
                (s.demand, json!({ "by": s.party.as_str(), "run": s.run, "code": s.code.as_str() }))
            }
            _ => return,
        };
        if let Some(members) = said.as_object_mut() {
            members.insert("type".into(), statement.kind().as_str().into());
            members.insert("statement".into(), recorded.id().to_string().into());
            members.insert("index".into(), index.into());
            members.insert("at".into(), at.0.into());
            members.insert("time".into(), instant(at).into());
        }
        match self.0.iter_mut().find(|(id, ..)| *id == demand) {
            Some((_, _, steps)) => steps.push(said),
            // Its demand is not readable any more, or never came.
            None => self.0.push((demand, json!({ "demand": demand.to_string() }), vec![said])),
        }
    }

    /// The file as it stands in an archive.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn file(&self) -> Result<Vec<u8>, serde_json::Error> {
        let all: Vec<Value> = self.values().map(|(_, value)| value).collect();
        serde_json::to_vec(&json!({ "transfers": all }))
    }

    /// The demands, each with its steps.
    pub fn values(&self) -> impl Iterator<Item = (StatementId, Value)> {
        self.0.iter().map(|(id, demand, steps)| {
            let mut value = demand.clone();
            if let Some(members) = value.as_object_mut() {
                members.insert("steps".into(), steps.clone().into());
            }
            (*id, value)
        })
    }
}
