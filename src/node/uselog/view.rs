//! Who is shown which lines: the asker its own, the person hers, detectors all.

use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

use crate::audit::decision;
use crate::identity;
use crate::ledger::entry::Entry;
use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::model::use_line::UseAct;
use crate::node::Caller;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Shown;
use crate::node::Stop;
use crate::node::erase::Kept;
use crate::node::uselog::Line;
use crate::node::uselog::Use;
use crate::node::uselog::UseLog;
use crate::node::uselog::read::Opened;
use crate::node::uselog::read::Taken;
use crate::store::Name;
use crate::vault::PersonKey;
use crate::vault::Pointed;

/// Which part of a list is wanted: newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only older ones than this decision.
    pub after: Option<DecisionId>,
    /// At most so many.
    pub most: usize,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The line.
    pub seen: Use,
    /// Number of the batch that covers it; `None` until there is one.
    pub batch: Option<u64>,
}

/// A use that is no question: a handover of a ppid, an opening for a regulator. Source: design §7, §8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What kind.
    pub act: UseAct,
    /// Under which case.
    pub case: Option<Nonce>,
    /// Who gets it.
    pub asker: PartyId,
    /// In whose domain.
    pub controller: PartyId,
    /// The person, by a ppid in any domain.
    pub ppid: Ppid,
    /// On what it rests.
    pub told: Reason,
    /// The statement it rests on.
    pub basis: Option<StatementId>,
    /// For which purpose.
    pub purpose: Option<String>,
    /// Whose ppid was handed over.
    pub recipient: Option<PartyId>,
}

/// Whether a line is shown, and if so with what was decided.
pub(in crate::node) type May<'a> = dyn FnMut(Pointed, &Use) -> Result<Option<bool>, Error> + 'a;

impl Inner {
    /// Writes the line of a use that is no question, before what it names is handed out; `None` without a
    /// use log.
    ///
    /// # Errors
    /// The store, the disk: then hand nothing out.
    pub fn note_use(&self, note: &Note) -> Result<Option<DecisionId>, Error> {
        let name = Name::Ppid(note.ppid.0);
        let who = self.people.locate(&name, self.store.as_ref(), &self.vault)?;
        self.note_use_of(who, note)
    }

    /// As [`Inner::note_use`], where it is known whose line it is; of nobody's, the decoy's.
    pub(in crate::node) fn note_use_of(
        &self,
        who: Option<Pointed>,
        note: &Note,
    ) -> Result<Option<DecisionId>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        if uses.is_broken() {
            return Err(Error::Stopped(Stop::Io));
        }
        let loaded = match who {
            Some(who) => Some(self.people.load(who, self.store.as_ref(), &self.vault)?),
            None => None,
        };
        let whose = loaded.as_ref().map_or_else(|| self.vault.decoy(), |l| (l.who, &l.key));
        let at = self.clock.now();
        let written = uses.append(&self.vault, whose, at, &note.line(at, self.sequenced()));
        written.map(Some).inspect_err(|error| self.uses_failed(uses, error))
    }

    /// The lines of the person who has this key, newest first; her own ppids in other domains too.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn uses_of(&self, key: &KeyHash, page: Page) -> Result<Vec<Seen>, Error> {
        let (Some(uses), Some(who)) = (self.uses.get(), self.person_of_key(key)?) else {
            return Ok(Vec::new());
        };
        let mut hers = uses.places_of(&self.vault, who, &self.vault.person_key(who)?)?;
        hers.reverse();
        let after = match page.after {
            None => None,
            Some(id) => Some(self.vault.place_of(&id)?.unwrap_or_default()),
        };
        let from = match after {
            None => 0,
            Some(place) => hers.iter().position(|(_, own)| *own == place).map_or(hers.len(), |at| at + 1),
        };
        let mut out = Vec::new();
        for (t, place) in hers.into_iter().skip(from) {
            if out.len() == page.most {
                break;
            }
            let batch = uses.batch_at(t)?.map(|(number, _)| number);
            let taken = uses.at(&self.vault, place)?.filter(|taken| taken.who.subject == who.subject);
            if let Some(opened) = taken.map(|taken| taken.open(&self.vault)).transpose()?.flatten() {
                out.push(Seen { seen: opened.says, batch });
            }
        }
        Ok(out)
    }

    /// Every line of hers, in the order of time.
    pub(in crate::node) fn each_use_of(
        &self,
        who: Pointed,
        key: &PersonKey,
        f: &mut dyn FnMut(&Use),
    ) -> Result<(), Error> {
        let Some(uses) = self.uses.get() else { return Ok(()) };
        for (_, place) in uses.places_of(&self.vault, who, key)? {
            let taken = uses.at(&self.vault, place)?.filter(|taken| taken.who.subject == who.subject);
            if let Some(opened) = taken.map(|taken| taken.open(&self.vault)).transpose()?.flatten() {
                f(&opened.says);
            }
        }
        Ok(())
    }

    /// The root that a batch's statement signs.
    ///
    /// # Errors
    /// The store; the entry is another statement.
    pub(in crate::node) fn root_of_batch(&self, index: LeafIndex) -> Result<Hash, Error> {
        let damaged = || Error::Damaged(format!("entry {index} is no use batch"));
        let entry = self.entries(index, index + 1)?.pop().ok_or_else(damaged)?;
        let Entry::Public { item, .. } = Entry::parse(&entry)? else { return Err(damaged()) };
        match identity::reload(&item)?.0 {
            Statement::UseBatch(says) => Ok(says.root),
            _ => Err(damaged()),
        }
    }

    /// Every line written in `[from, until)`, in no order of time: for detectors and for one party's lines.
    ///
    /// Up to [`Inner::uses_synced`] an interval is whole: no line is ever added to it. Lines of erased
    /// persons cannot be opened and are left out.
    ///
    /// # Errors
    /// The disk, damage, what `f` answers.
    pub fn uses_between(
        &self,
        from: Timestamp,
        until: Timestamp,
        f: &mut dyn FnMut(Use) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.each_use(from, until, &mut |_, seen| f(seen))
    }

    /// As [`Inner::uses_between`], with whose line it is.
    pub(in crate::node) fn each_use(
        &self,
        from: Timestamp,
        until: Timestamp,
        f: &mut dyn FnMut(Pointed, Use) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(uses) = self.uses.get() else { return Ok(()) };
        uses.each(from, until, &mut |frame| {
            let Some(taken) = Taken::of(frame, &self.vault)? else { return Ok(()) };
            match taken.open(&self.vault)? {
                Some(opened) => f(opened.who, opened.says),
                None => Ok(()),
            }
        })
    }

    /// Every line before this instant is durable and none will be added; `None` without a use log.
    #[must_use]
    pub fn uses_synced(&self) -> Option<Timestamp> {
        self.uses.get().map(UseLog::synced)
    }

    /// Evidence of a decision: its asker gets what it was told, the person also what was decided.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn decision_evidence(&self, id: &DecisionId, caller: &Caller) -> Result<Shown, Error> {
        self.decision_shown(id, &mut |who, seen| {
            Ok(match caller {
                Caller::Party(party) if seen.line.asker == *party => Some(false),
                Caller::Citizen(key)
                    if self.person_of_key(key)?.is_some_and(|c| c.subject == who.subject) =>
                {
                    Some(true)
                }
                Caller::Party(_) | Caller::Citizen(_) => None,
            })
        })
    }

    /// Evidence of a decision as `may` allows it: not at all, as the asker's, or with what was decided.
    pub(in crate::node) fn decision_shown(&self, id: &DecisionId, may: &mut May<'_>) -> Result<Shown, Error> {
        let Some(uses) = self.uses.get() else { return Ok(Shown::Nothing) };
        let Some(taken) = uses.of_decision(&self.vault, id)? else { return Ok(Shown::Nothing) };
        let t = taken.t;
        let Some(opened) = taken.open(&self.vault)? else { return Ok(Shown::Nothing) };
        let Some(own) = may(opened.who, &opened.says)? else { return Ok(Shown::Nothing) };
        let kept = opened.kept(own);
        self.proven(uses, t, &kept)
    }

    /// What a line of one of these persons is proven by, to be kept; `None` if it is another's, or is gone.
    pub(in crate::node) fn line_of(&self, id: &DecisionId, whose: &[Pointed]) -> Result<Option<Kept>, Error> {
        let Some(uses) = self.uses.get() else { return Ok(None) };
        let taken = uses.of_decision(&self.vault, id)?;
        let Some(taken) = taken.filter(|taken| whose.iter().any(|who| who.subject == taken.who.subject))
        else {
            return Ok(None);
        };
        Ok(taken.open(&self.vault)?.map(|opened| opened.kept(true)))
    }

    /// Evidence of a line whose person is gone, from what was kept of it.
    pub(in crate::node) fn kept_shown(&self, id: &DecisionId, kept: &Kept) -> Result<Shown, Error> {
        let Some(uses) = self.uses.get() else { return Ok(Shown::Nothing) };
        let Some(taken) = uses.of_decision(&self.vault, id)? else { return Ok(Shown::Nothing) };
        self.proven(uses, taken.t, kept)
    }

    fn proven(&self, uses: &UseLog, t: Timestamp, kept: &Kept) -> Result<Shown, Error> {
        let Some((number, batch)) = uses.batch_at(t)? else { return Ok(Shown::NotYet) };
        let entry = match self.evidence(&batch.id, None)? {
            Shown::Evidence(entry) => entry,
            other @ (Shown::NotYet | Shown::Nothing) => return Ok(other),
        };
        let damaged =
            || Error::Damaged(format!("the use batch at entry {} is not of its lines", batch.index));
        let root = self.root_of_batch(batch.index)?;
        let way = uses.way(number, &batch, &root, &kept.leaf)?.ok_or_else(damaged)?;
        let evidence = evidence_of(kept, &way.path, way.sides, entry);
        // What does not hold is never handed out.
        let (log, origin) = (self.log_keys(), self.settings.origin.as_str());
        evidence.verify(log.as_ref(), origin, Some(self.settings.grain_ms)).map_err(|_| damaged())?;
        Ok(Shown::Evidence(evidence.encode().map_err(|_| damaged())?))
    }
}

impl Note {
    fn line(&self, at: Timestamp, as_of: u64) -> Line<'_> {
        Line {
            at,
            act: self.act,
            case: self.case,
            pack: "none",
            ppid: Some(self.ppid),
            rule: "none",
            told: self.told,
            as_of,
            asker: &self.asker,
            basis: self.basis,
            class: None,
            count: None,
            action: None,
            signed: None,
            use_id: None,
            purpose: self.purpose.as_deref(),
            release: None,
            version: 0,
            recipient: self.recipient.as_ref(),
            categories: &[],
            controller: &self.controller,
            jurisdiction: None,
            exact: None,
        }
    }
}

pub(in crate::node::uselog) fn evidence_of(
    kept: &Kept,
    path: &[[u8; 32]],
    sides: u64,
    batch: Vec<u8>,
) -> decision::Evidence {
    decision::Evidence {
        k: kept.k,
        v: V1,
        line: kept.line.clone(),
        path: path.iter().map(|hash| ByteArray::new(*hash)).collect(),
        batch: ByteBuf::from(batch),
        k_exact: kept.k_exact,
        exact: kept.exact.clone(),
        sides,
    }
}

impl Opened {
    /// What proves the line; what was decided in truth only if it is `own`.
    pub(in crate::node::uselog) fn kept(&self, own: bool) -> Kept {
        let id = self.says.line.id;
        let exact = self.exact.as_ref().filter(|_| own);
        Kept {
            k: ByteArray::new(self.key.line_key(&id)),
            leaf: ByteArray::new(self.leaf),
            line: ByteBuf::from(self.line.clone()),
            k_exact: exact.map(|_| ByteArray::new(self.key.exact_key(&id))),
            exact: exact.map(|exact| ByteBuf::from(exact.clone())),
        }
    }
}
