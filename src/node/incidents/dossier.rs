//! A dossier's evidence, brought together for a regulator.
//!
//! Whatever is opened to it is a use line of the person it is about, written before the
//! dossier leaves. Source: design §8.

use serde_json::Value;

use crate::consent::Register;
use crate::model::decision::Reason;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::pack::Pack;
use crate::model::use_line::UseAct;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Note;
use crate::node::Shown;
use crate::node::incidents::Case;
use crate::node::incidents::Sight;
use crate::node::token::Caller;
use crate::reidentification::Noted;
use crate::reidentification::dossier;
use crate::reidentification::dossier::Accused;
use crate::reidentification::dossier::Given;
use crate::reidentification::dossier::Law;
use crate::reidentification::dossier::Quoted;
use crate::reidentification::dossier::Step;
use crate::reidentification::page;

/// What became of the wish for a dossier.
#[derive(Debug)]
pub enum Built {
    /// It.
    Dossier(Box<Value>),
    /// Something in it is not under a published checkpoint yet.
    NotYet,
    /// Not for this caller, or there is none: told alike.
    Nothing,
}

impl Built {
    /// The dossier as one page that needs nothing else.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        match self {
            Self::Dossier(dossier) => Some(page::render(dossier)),
            Self::NotYet | Self::Nothing => None,
        }
    }
}

impl Inner {
    /// The dossier of an incident, for a regulator in whose scope the accused is.
    ///
    /// # Errors
    /// The store, the disk, damage.
    pub fn dossier(&self, incident: &Nonce, regulator: &PartyId) -> Result<Built, Error> {
        let Some(case) = self.incident_for(incident, regulator)? else { return Ok(Built::Nothing) };
        if case.sight != Sight::Regulator {
            return Ok(Built::Nothing);
        }
        let Some(finding) = &case.finding else { return Ok(Built::Nothing) };
        let caller = Caller::Party(regulator.clone());
        let of = |id: &StatementId| self.evidence(id, Some(&caller));
        let Shown::Evidence(flag) = of(&case.incident.flag)? else { return Ok(Built::NotYet) };
        let mut steps = Vec::with_capacity(case.incident.steps.len());
        for step in &case.incident.steps {
            let Shown::Evidence(evidence) = of(&step.statement)? else { return Ok(Built::NotYet) };
            steps.push(Step {
                kind: step.kind.as_str(),
                by: step.by.clone(),
                at: step.at,
                document: step.document,
                statement: step.statement,
                evidence,
            });
        }
        let mut lines = Vec::with_capacity(finding.lines.len());
        for noted in &finding.lines {
            match self.line_for(incident, noted, regulator)? {
                Shown::Evidence(evidence) => {
                    lines.push(Quoted { noted: noted.clone(), evidence: Some(evidence) });
                }
                Shown::NotYet => return Ok(Built::NotYet),
                Shown::Nothing => lines.push(Quoted { noted: noted.clone(), evidence: None }),
            }
        }
        let Some(accused) = self.accused(&case)? else { return Ok(Built::NotYet) };
        let register = self.register();
        let day = finding.first().unwrap_or_else(|| finding.begins());
        let applied = register.packs_of(&case.incident.party, day).unwrap_or_default();
        let Some(packs) = self.laws(&register, &applied)? else { return Ok(Built::NotYet) };
        let given = Given {
            origin: &self.settings.origin,
            made_at: self.now(),
            incident: *incident,
            stage: case.incident.stage.as_str(),
            flagged_at: case.incident.at,
            accused,
            finding,
            document: finding.encode()?,
            flag,
            lines,
            steps,
            packs,
        };
        Ok(Built::Dossier(Box::new(dossier::build(&given))))
    }

    /// Packs with their files and evidence that the log named them; `None` if no checkpoint covers that yet.
    fn laws<'a>(&self, register: &Register, packs: &[&'a Pack]) -> Result<Option<Vec<Law<'a>>>, Error> {
        let mut out = Vec::with_capacity(packs.len());
        for pack in packs.iter().copied() {
            let named = register
                .adoptions()
                .find(|a| *a.pack.name == **pack.name() && a.pack.version == pack.version())
                .ok_or_else(|| Error::Damaged("a pack in force is named nowhere".into()))?;
            let hash = named.pack.hash;
            let bytes = self.attachment(&hash)?;
            let bytes = bytes.ok_or_else(|| Error::Damaged(format!("attachment {hash} is missing")))?;
            let Some(named) = self.public_evidence(named.index)? else { return Ok(None) };
            out.push(Law { pack, hash, bytes, named });
        }
        Ok(Some(out))
    }

    /// Evidence of one line, and the line that says who was shown it.
    fn line_for(&self, incident: &Nonce, noted: &Noted, regulator: &PartyId) -> Result<Shown, Error> {
        let mut told = None;
        let mut shown = self.decision_shown(&noted.id, &mut |_, seen| {
            told = Some(seen.line.clone());
            Ok(Some(true))
        })?;
        // She is erased: what the incident kept of her is all there is.
        if matches!(shown, Shown::Nothing)
            && let Some(place) = self.incident_place(incident)?
            && let Some(kept) = self.kept_line(place, &self.vault.person_key(place)?, &noted.id)?
        {
            shown = self.kept_shown(&noted.id, &kept)?;
        }
        if let (Shown::Evidence(_), Some(line)) = (&shown, told)
            && let Some(ppid) = line.ppid
        {
            self.note_use(&Note {
                act: UseAct::Opening,
                case: Some(*incident),
                asker: regulator.clone(),
                controller: line.controller,
                ppid,
                told: Reason::StatutoryException,
                basis: None,
                purpose: line.purpose,
                recipient: None,
            })?;
        }
        Ok(shown)
    }

    /// The accused, with public evidence of all that brought it a key; `None` if no checkpoint covers
    /// that yet.
    fn accused(&self, case: &Case) -> Result<Option<Accused>, Error> {
        let register = self.register();
        let lost = || Error::Damaged("the accused of an incident is not registered".into());
        let party = register.party(&case.incident.party).ok_or_else(lost)?;
        let Some(registered) = self.public_evidence(party.index)? else { return Ok(None) };
        let mut rotated = Vec::new();
        for held in party.keys().skip(1) {
            let Some(evidence) = self.public_evidence(held.index)? else { return Ok(None) };
            rotated.push(evidence);
        }
        Ok(Some(Accused {
            id: party.id.clone(),
            names: (party.name_ko.clone(), party.name_en.clone()),
            jurisdiction: party.jurisdiction.clone(),
            registered,
            rotated,
        }))
    }

    /// Evidence of a public statement by where it stands; `None` if no checkpoint covers it yet.
    fn public_evidence(&self, index: LeafIndex) -> Result<Option<Vec<u8>>, Error> {
        let commit = self.commit_of(index)?;
        let id = usize::try_from(index - commit.first).ok().and_then(|at| commit.ids.get(at));
        let id = id.ok_or_else(|| Error::Damaged(format!("entry {index} is missing")))?;
        match self.evidence(id, None)? {
            Shown::Evidence(evidence) => Ok(Some(evidence)),
            Shown::NotYet | Shown::Nothing => Ok(None),
        }
    }
}
