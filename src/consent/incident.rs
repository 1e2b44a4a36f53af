//! What the sealed entries of one incident say: flagged or complained of, answered, assessed, closed.
//!
//! An incident has a slot and a key of its own, so it is folded like a person's row, as
//! the only content of its [`Core`](crate::consent::Core). Authority, the rows
//! `incident.*` of the table in design §4: the operator flags, a person complains; the
//! accused answers, contains, reports, notifies and appeals; a regulator in scope orders,
//! confirms, dismisses, assesses and closes. One of them is public: `incident.publish`, and
//! only where a pack says that law orders it.
//!
//! | now \ next | answer | order | contain, report, notify | appeal | confirm | assess | dismiss | close |
//! |---|---|---|---|---|---|---|---|---|
//! | complained, flagged | = | = | = | = after an order | confirmed | – | dismissed | – |
//! | confirmed | = | = | = | = | – | = | dismissed | closed |
//! | dismissed | = | – | – | – | – | – | – | closed |
//! | closed | – | – | – | – | – | – | – | – |
//!
//! Lacks: whether a finding or a complaint is true (the dossier shows it), and documents (sealed
//! beside, named here by hash).

use serde::{Deserialize, Serialize};

use crate::consent::hold::Hold;
use crate::consent::party::Party;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Hash, LeafIndex, Nonce, PartyId, Ppid, StatementId, Timestamp, TreeSize};
use crate::model::pack::{Duty, Pack, Trigger};
use crate::model::statement::{IncidentComplain, IncidentFlag, IncidentPublish, Kind, Scope, Strength};
use crate::model::vocabulary::Role;

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// A person's complaint, nobody's verdict.
    Complained,
    /// A detector's finding, nobody's verdict.
    Flagged,
    /// A regulator holds it for true.
    Confirmed,
    /// A regulator does not. Nothing brings it back.
    Dismissed,
    /// Over.
    Closed,
}

impl Stage {
    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complained => "complained",
            Self::Flagged => "flagged",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
            Self::Closed => "closed",
        }
    }
}

/// What a person complains of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Complaint {
    /// She, in the party's domain.
    pub ppid: Ppid,
    /// What happened, in words.
    pub text: String,
}

/// Something the accused must do in time. Source: the duties of the packs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Name of the pack.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The duty's id in it.
    pub duty: String,
    /// What it says: Korean, English.
    pub words: (String, String),
    /// Where it comes from.
    pub source: String,
    /// Until when, from when the accused could read of the incident.
    pub until: Timestamp,
    /// The steps that meet it, and when each was first taken.
    pub met: Vec<(Kind, Option<Timestamp>)>,
}

/// One step after the flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Who signed.
    pub by: PartyId,
    /// Its type.
    pub kind: Kind,
    /// Where it stands.
    pub index: LeafIndex,
    /// SHA-256 of the document sealed beside.
    pub document: Hash,
    /// The statement.
    pub statement: StatementId,
}

/// An incident as its statements leave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Incident {
    /// When it was flagged or complained of.
    pub at: Timestamp,
    /// Its name; of a complaint the first half of the statement's id.
    pub id: Nonce,
    /// The `incident.flag` or `incident.complain`.
    pub flag: StatementId,
    /// What may not be destroyed for its sake, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    /// Where it stands.
    pub stage: Stage,
    /// What followed, in order.
    pub steps: Vec<Step>,
    /// The accused.
    pub party: PartyId,
    /// Where the flag stands.
    pub index: LeafIndex,
    /// Which detector; `complaint` if a person complained.
    pub detector: String,
    /// Evidence, by hash.
    pub evidence: Vec<Hash>,
    /// How strong.
    pub strength: Strength,
    /// What a person complains of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<Complaint>,
}

impl Incident {
    fn first(&self, kind: Kind) -> Option<Timestamp> {
        self.steps.iter().find(|step| step.kind == kind).map(|step| step.at)
    }

    /// From when the accused may read of it: what was flagged at once, a complaint once the regulator has
    /// taken it up. Source: design §4, a complaint is sealed under the regulator in scope.
    #[must_use]
    pub fn told_at(&self) -> Option<Timestamp> {
        match &self.complaint {
            None => Some(self.at),
            Some(_) => self.steps.first().map(|step| step.at),
        }
    }
}

/// Steps of the accused.
const OF_ACCUSED: [Kind; 5] = [
    Kind::IncidentAnswer,
    Kind::IncidentContain,
    Kind::IncidentReport,
    Kind::IncidentNotify,
    Kind::IncidentAppeal,
];

/// What one step does to the stage; `None` where it may not stand.
///
/// Reading: an appeal is against an order or a verdict, and suspends neither.
fn next(incident: &Incident, kind: Kind) -> Option<Stage> {
    let stage = incident.stage;
    match (stage, kind) {
        (Stage::Complained | Stage::Flagged | Stage::Confirmed | Stage::Dismissed, Kind::IncidentAnswer)
        | (
            Stage::Complained | Stage::Flagged | Stage::Confirmed,
            Kind::IncidentOrder | Kind::IncidentContain | Kind::IncidentReport | Kind::IncidentNotify,
        )
        | (Stage::Confirmed, Kind::IncidentAppeal | Kind::IncidentAssess) => Some(stage),
        (Stage::Complained | Stage::Flagged, Kind::IncidentAppeal) => {
            incident.first(Kind::IncidentOrder).map(|_| stage)
        }
        (Stage::Complained | Stage::Flagged, Kind::IncidentConfirm) => Some(Stage::Confirmed),
        (Stage::Complained | Stage::Flagged | Stage::Confirmed, Kind::IncidentDismiss) => {
            Some(Stage::Dismissed)
        }
        (Stage::Confirmed | Stage::Dismissed, Kind::IncidentClose) => Some(Stage::Closed),
        _ => None,
    }
}

/// The line of a pack by which law orders that an incident is published.
pub(in crate::consent) const PUBLISHED_BY_LAW: &str = "publish-incident";

impl Incident {
    /// The incident as the entries below `size` leave it; `None` if it was flagged later.
    #[must_use]
    pub fn under(&self, size: TreeSize) -> Option<Self> {
        let stage = if self.complaint.is_some() { Stage::Complained } else { Stage::Flagged };
        let mut out = Self { stage, steps: Vec::new(), ..self.clone() };
        for step in self.steps.iter().filter(|step| step.index < size) {
            out.stage = next(&out, step.kind)?;
            out.steps.push(step.clone());
        }
        (self.index < size).then_some(out)
    }

    /// Whether a regulator holds it for true, and none has taken that back.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let verdict = |step: &&Step| matches!(step.kind, Kind::IncidentConfirm | Kind::IncidentDismiss);
        self.steps.iter().rfind(verdict).is_some_and(|step| step.kind == Kind::IncidentConfirm)
    }
}

/// The most steps of one incident: an accused may not fill the row of its own case.
const MOST_STEPS: usize = 256;

impl Register {
    /// Whether a regulator's field of supervision takes a party in.
    ///
    /// Reading: a scope names countries, as ISO 3166-1 alpha-2 in any case, or `all`; a party is in it by
    /// where it is established.
    #[must_use]
    pub fn is_in_scope(&self, regulator: &PartyId, accused: &PartyId) -> bool {
        let (Some(regulator), Some(accused)) = (self.party(regulator), self.party(accused)) else {
            return false;
        };
        let takes_in = |scope: &String| {
            scope == "all" || accused.jurisdiction.as_ref().is_some_and(|c| c.eq_ignore_ascii_case(scope))
        };
        regulator.has_role(Role::Regulator)
            && regulator.id != accused.id
            && regulator.scope.iter().any(takes_in)
    }

    /// What the accused owes because of an incident, by the packs that applied to it when it could read of it.
    ///
    /// Reading: `breach` begins an obligation to report and to notify, `identifiable` one to contain; the
    /// instant of knowing is the one from which the incident is shown to the accused.
    #[must_use]
    pub fn due_of(&self, incident: &Incident) -> Vec<Due> {
        let (Some(from), Some(accused)) = (incident.told_at(), self.party(&incident.party)) else {
            return Vec::new();
        };
        let packs = self.packs_of(&incident.party, from).unwrap_or_default();
        let owed = |trigger: Trigger| -> Option<&[Kind]> {
            match trigger {
                Trigger::Breach => Some(&[Kind::IncidentReport, Kind::IncidentNotify]),
                Trigger::Identifiable => Some(&[Kind::IncidentContain]),
                Trigger::ClosingAct
                | Trigger::Objection
                | Trigger::RightRequest
                | Trigger::TransferDemand
                | Trigger::GrantEnd => None,
            }
        };
        let of = |pack: &Pack, duty: &Duty| {
            let kinds = owed(duty.on).filter(|_| accused.has_role(duty.who))?;
            Some(Due {
                pack: pack.name().to_string(),
                version: pack.version(),
                duty: duty.id.to_string(),
                words: (duty.ko.clone(), duty.en.clone()),
                source: duty.source.clone(),
                until: from.plus_ms(duty.within.ms()),
                met: kinds.iter().map(|kind| (*kind, incident.first(*kind))).collect(),
            })
        };
        packs.iter().flat_map(|pack| pack.duties().iter().filter_map(|duty| of(pack, duty))).collect()
    }

    /// By a regulator, where a pack in force for it has the line `publish-incident`. The document is an
    /// attachment, open to all; nothing of it is kept here.
    ///
    /// Reading: no general power to publish is enough: law must order it, so without such a line in the
    /// data nothing is published. The statement names no accused and no person. That the incident is
    /// confirmed stands in sealed entries, which the public cannot fold: the node looks before it writes.
    pub(in crate::consent) fn publish_incident(
        &self,
        s: &IncidentPublish,
        recorded: &Recorded,
    ) -> Result<(), Why> {
        let regulator = self.signed_by(&s.party, recorded)?;
        if !regulator.has_role(Role::Regulator) {
            return Err(Why::Role);
        }
        if !regulator.is_live(recorded.at()) {
            return Err(Why::PartySuspended);
        }
        if self.orders_publication(&s.party, recorded.at()) { Ok(()) } else { Err(Why::Pack) }
    }

    /// Whether a pack that applies to a regulator has the line by which law orders that incidents are published.
    #[must_use]
    pub fn orders_publication(&self, regulator: &PartyId, at: Timestamp) -> bool {
        let packs = self.packs_of(regulator, at).unwrap_or_default();
        packs.iter().any(|pack| pack.rule_exists(PUBLISHED_BY_LAW))
    }

    pub(in crate::consent) fn regulator_over<'a>(
        &'a self,
        actor: &Actor<'_>,
        recorded: &Recorded,
        named: &PartyId,
        accused: &PartyId,
    ) -> Result<&'a Party, Why> {
        let party = crate::consent::authority::of_named_party(self, actor, recorded, named, Role::Regulator)?;
        if self.is_in_scope(named, accused) { Ok(party) } else { Err(Why::Role) }
    }
}

impl Person {
    /// The incident, if this is the row of one.
    #[must_use]
    pub fn incident(&self) -> Option<&Incident> {
        self.core().incident.as_deref()
    }

    /// By the operator alone. Twice is refused: what was dismissed stays so.
    pub(in crate::consent) fn flag(
        &mut self,
        register: &Register,
        recorded: &Recorded,
        s: &IncidentFlag,
    ) -> Result<Touched, Why> {
        let signed = recorded.signed();
        if !register.is_operator(&signed.signer) || !signed.endorsers.is_empty() {
            return Err(Why::Role);
        }
        if register.party(&s.party).is_none() {
            return Err(Why::PartyUnknown);
        }
        if self.incident().is_some() {
            return Err(Why::NameTaken);
        }
        if !self.is_new() || self.is_decoy() {
            return Err(Why::NotThisSubject);
        }
        let incident = Incident {
            at: recorded.at(),
            id: s.incident,
            flag: recorded.id(),
            holds: Vec::new(),
            stage: Stage::Flagged,
            steps: Vec::new(),
            party: s.party.clone(),
            index: recorded.index(),
            detector: s.detector.clone(),
            complaint: None,
            evidence: s.evidence.clone(),
            strength: s.strength,
        };
        self.core_mut().incident = Some(Box::new(incident));
        Ok(Touched::Core)
    }

    /// By a person or her delegate within scope: her complaint is an incident of its own. Closing: whatever
    /// her age, the party's status or what was complained of before. Source: design §4.
    pub(in crate::consent) fn complain(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &IncidentComplain,
    ) -> Result<Touched, Why> {
        let Actor::For { person, delegate } = actor else { return Err(Why::Role) };
        let acting = delegate.map_or(Actor::Own, Actor::Delegate);
        let about = Scope::One(s.party.as_str().to_owned());
        crate::consent::authority::of_person(person, &acting, recorded, &about)?;
        if register.party(&s.party).is_none() {
            return Err(Why::PartyUnknown);
        }
        if !self.is_new() || self.is_decoy() {
            return Err(Why::NotThisSubject);
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
            detector: "complaint".to_owned(),
            complaint: Some(Complaint { ppid: s.ppid, text: s.text.clone() }),
            evidence: Vec::new(),
            strength: Strength::S,
        };
        self.core_mut().incident = Some(Box::new(incident));
        Ok(Touched::Core)
    }

    /// A step by the accused or by a regulator in scope.
    ///
    /// Reading: the accused answers whatever its status, also what was dismissed; it never stops a step.
    /// A complaint it has not been told of yet is none to it.
    pub(in crate::consent) fn proceed(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        (id, named, document): (&Nonce, &PartyId, &Hash),
    ) -> Result<Touched, Why> {
        let kind = recorded.statement().kind();
        let incident = self.incident().filter(|i| i.id == *id).ok_or(Why::NotThisSubject)?;
        match actor {
            Actor::Party(party) if OF_ACCUSED.contains(&kind) => {
                register.signed_by(party, recorded)?;
                if party != named || *named != incident.party {
                    return Err(Why::Role);
                }
                incident.told_at().ok_or(Why::NotThisSubject)?;
            }
            Actor::Party(_) => {
                register.regulator_over(actor, recorded, named, &incident.party)?;
            }
            Actor::Own | Actor::Delegate(_) | Actor::For { .. } => return Err(Why::Role),
        }
        let stage = next(incident, kind).ok_or(Why::State)?;
        if incident.steps.len() >= MOST_STEPS {
            return Err(Why::State);
        }
        let step = Step {
            at: recorded.at(),
            by: named.clone(),
            kind,
            index: recorded.index(),
            document: *document,
            statement: recorded.id(),
        };
        if let Some(incident) = &mut self.core_mut().incident {
            incident.stage = stage;
            incident.steps.push(step);
        }
        Ok(Touched::Core)
    }
}
