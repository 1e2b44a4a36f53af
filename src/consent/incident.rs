//! What the sealed entries of one incident say: flagged, answered, assessed, closed.
//!
//! An incident has a slot and a key of its own, so it is folded like a person's row, as
//! the only content of its [`Core`](crate::consent::Core). Authority, the rows
//! `incident.*` of the table in design §4: the operator flags, the accused answers, a
//! regulator in scope confirms, dismisses, assesses and closes.
//!
//! Lacks: whether a finding is true (the dossier shows it), documents (sealed beside,
//! named here by hash), and the steps this build does not serve.

use serde::{Deserialize, Serialize};

use crate::consent::party::Party;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Hash, LeafIndex, Nonce, PartyId, StatementId, Timestamp, TreeSize};
use crate::model::statement::{IncidentFlag, Kind, Strength};
use crate::model::vocabulary::Role;

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
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
            Self::Flagged => "flagged",
            Self::Confirmed => "confirmed",
            Self::Dismissed => "dismissed",
            Self::Closed => "closed",
        }
    }
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
    /// When it was flagged.
    pub at: Timestamp,
    /// Its name.
    pub id: Nonce,
    /// The `incident.flag`.
    pub flag: StatementId,
    /// Where it stands.
    pub stage: Stage,
    /// What followed, in order.
    pub steps: Vec<Step>,
    /// The accused.
    pub party: PartyId,
    /// Where the flag stands.
    pub index: LeafIndex,
    /// Which detector.
    pub detector: String,
    /// Evidence, by hash.
    pub evidence: Vec<Hash>,
    /// How strong.
    pub strength: Strength,
}

/// What one step does to the stage; `None` where it may not stand.
const fn next(stage: Stage, kind: Kind) -> Option<Stage> {
    match (stage, kind) {
        (Stage::Flagged | Stage::Confirmed | Stage::Dismissed, Kind::IncidentAnswer) => Some(stage),
        (Stage::Flagged, Kind::IncidentConfirm) | (Stage::Confirmed, Kind::IncidentAssess) => {
            Some(Stage::Confirmed)
        }
        (Stage::Flagged | Stage::Confirmed, Kind::IncidentDismiss) => Some(Stage::Dismissed),
        (Stage::Confirmed | Stage::Dismissed, Kind::IncidentClose) => Some(Stage::Closed),
        _ => None,
    }
}

impl Incident {
    /// The incident as the entries below `size` leave it; `None` if it was flagged later.
    #[must_use]
    pub fn under(&self, size: TreeSize) -> Option<Self> {
        let mut out = Self { stage: Stage::Flagged, steps: Vec::new(), ..self.clone() };
        for step in self.steps.iter().filter(|step| step.index < size) {
            out.stage = next(out.stage, step.kind)?;
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

    fn regulator_over<'a>(
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
        if Some(signed.signer) != register.operator_key() || !signed.endorsers.is_empty() {
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
            stage: Stage::Flagged,
            steps: Vec::new(),
            party: s.party.clone(),
            index: recorded.index(),
            detector: s.detector.clone(),
            evidence: s.evidence.clone(),
            strength: s.strength,
        };
        self.core_mut().incident = Some(Box::new(incident));
        Ok(Touched::Core)
    }

    /// A step by the accused or by a regulator in scope.
    ///
    /// Reading: the accused answers whatever its status, also what was dismissed; it never stops a step.
    pub(in crate::consent) fn proceed(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        (id, named, document): (&Nonce, &PartyId, &Hash),
    ) -> Result<Touched, Why> {
        let kind = recorded.statement().kind();
        let incident = self.incident().filter(|i| i.id == *id).ok_or(Why::NotThisSubject)?;
        match (kind, actor) {
            (Kind::IncidentAnswer, Actor::Party(party)) => {
                register.signed_by(party, recorded)?;
                if party != named || *named != incident.party {
                    return Err(Why::Role);
                }
            }
            (_, Actor::Party(_)) => {
                register.regulator_over(actor, recorded, named, &incident.party)?;
            }
            (_, Actor::Own | Actor::Delegate(_)) => return Err(Why::Role),
        }
        let stage = next(incident.stage, kind).ok_or(Why::State)?;
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
