//! Incidents that concern her, as far as she is told of them, and what is kept back.
//!
//! Reading: an incident is sealed for regulator and accused (design §4). She is told that
//! her data is in it and how far it has come; the accused's name only while a regulator's
//! confirmation stands; documents, and what is about others, never.

use std::collections::BTreeMap;

use serde_json::json;

use crate::consent::Incident;
use crate::consent::SlotKey;
use crate::consent::Stage;
use crate::model::id::DecisionId;
use crate::model::id::StatementId;
use crate::model::id::TreeSize;
use crate::model::statement::Strength;
use crate::model::use_line::UseLine;
use crate::node::Error;
use crate::node::Inner;
use crate::node::export::Export;
use crate::node::export::statements::Told;
use crate::node::incidents::Concern;
use crate::node::incidents::Grounds;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::IncidentRow;
use crate::portability::IncidentStep;
use crate::portability::Item;
use crate::portability::ItemKind;
use crate::portability::Reason;
use crate::portability::Withheld;
use crate::reidentification::Detector;
use crate::vault::Pointed;

/// Lines of hers that an incident rests on, and which slot each came after the end of.
#[derive(Default)]
pub(in crate::node::export) struct Suspect {
    grounds: Grounds,
    ended: BTreeMap<DecisionId, (SlotKey, crate::model::id::Timestamp)>,
}

impl Suspect {
    pub(in crate::node::export) fn see(
        &mut self,
        node: &Inner,
        who: Pointed,
        line: &UseLine,
        size: TreeSize,
    ) -> Result<(), Error> {
        let quoted = node.ground(&mut self.grounds, who, line, size)?;
        if let (true, Some(Detector::UseAfterEnd), Some(purpose), Some(class)) =
            (quoted, Detector::after(line.told), &line.purpose, line.class)
        {
            let slot = SlotKey::exact(&line.controller, purpose, class);
            self.ended.insert(line.id, (slot, line.at));
        }
        Ok(())
    }

    /// What ended the consent that her decisions were refused for.
    fn statements<'a>(&'a self, told: &'a Told, decisions: &'a [DecisionId]) -> Vec<StatementId> {
        let ended = decisions.iter().filter_map(|id| self.ended.get(id));
        let mut out: Vec<_> = ended.filter_map(|(slot, at)| told.last_before(slot, *at)).collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

impl Export {
    /// Incidents that her lines under the checkpoint are in, as the entries under it leave them.
    pub(in crate::node::export) fn incidents(
        &self,
        suspect: &Suspect,
        told: &Told,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let mut rows = Vec::new();
        for concern in suspect.grounds.concerns() {
            let id = concern.incident.id.to_string();
            withheld(&concern.incident, &id, complete);
            rows.push(row(concern, suspect, told));
            complete.exported.push(Item {
                kind: ItemKind::Incident,
                id,
                path: portability::INCIDENTS.into(),
            });
        }
        archive.begin(portability::INCIDENTS)?;
        serde_json::to_writer(archive, &json!({ "incidents": rows })).map_err(portability::Error::from)?;
        Ok(())
    }
}

fn row(concern: &Concern, suspect: &Suspect, told: &Told) -> serde_json::Value {
    let Concern { incident, finding, quoted, alike, more } = concern;
    let accused = incident.is_confirmed().then_some(incident.party.as_str());
    let texts = |ids: &[DecisionId]| ids.iter().map(ToString::to_string).collect();
    let steps = incident.steps.iter().map(|step| IncidentStep {
        kind: step.kind.as_str(),
        index: step.index,
        at: step.at,
        by: if step.by == incident.party { accused } else { Some(step.by.as_str()) },
    });
    portability::incident_row(&IncidentRow {
        id: incident.id.to_string(),
        detector: (finding.detector.as_str(), finding.detector.what()),
        strength: match incident.strength {
            Strength::D => "D",
            Strength::S => "S",
        },
        index: incident.index,
        at: incident.at,
        stage: incident.stage.as_str(),
        about: &finding.about,
        accused,
        steps: steps.collect(),
        decisions: texts(quoted),
        alike: texts(alike),
        more: *more,
        statements: suspect.statements(told, quoted).iter().map(ToString::to_string).collect(),
    })
}

/// What of an incident she is not told, and why.
fn withheld(incident: &Incident, id: &str, complete: &mut Completeness) {
    let mut say = |what: String, reason| {
        complete.withheld.push(Withheld::new(ItemKind::Incident, what, reason));
    };
    if !incident.is_confirmed() {
        let reason = match incident.stage {
            Stage::Complained | Stage::Flagged | Stage::Confirmed => Reason::UnderInvestigation,
            // Whoever was not held for guilty is not named.
            Stage::Dismissed | Stage::Closed => Reason::RightsOfOthers,
        };
        say(format!("the accused of incident {id}"), reason);
    }
    say(format!("documents of incident {id}, and what it says of others"), Reason::RightsOfOthers);
}
