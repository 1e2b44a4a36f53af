//! Handovers: a controller is given the name by which its recipient knows a person.
//!
//! Two domains never share a ppid. Whoever shares data by a live grant must say whom
//! it is about, so the node hands over the recipient's ppid, and remembers that it
//! did: a handed-over ppid in the hands of that controller is no finding. Every wish
//! leaves its use line, granted or not, before the answer. Lacks: the judging of
//! findings.
//!
//! # Design
//!
//! What is remembered is one create-only blob for each controller, recipient and
//! epoch of a person, not one a call: named under a key of the vault, sealed under
//! hers, durable before the answer leaves. It is primary: nothing public and nothing
//! she signed says it, so a row of her state, which is a projection, would be lost
//! with it, and a name row has no entry to come with. The use line says it too, in
//! the order of time; the blob is what is asked by name. Of the erased, the seal leaves nothing readable; the
//! names of her blobs follow from her grants.

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cbor;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::use_line::UseAct;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Asked;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Note;
use crate::node::Resource;
use crate::node::Stop;
use crate::node::lane::Lane;
use crate::store;
use crate::store::Name;
use crate::vault::Pointed;
use crate::vault::Sealed;

/// One ppid of a recipient that a controller was given, and why the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Handover {
    /// The controller.
    pub to: PartyId,
    /// Who asked in its domain: itself, or a processor of its.
    pub by: PartyId,
    /// Whose ppid it is.
    pub recipient: PartyId,
    /// It.
    pub ppid: Ppid,
    /// For which purpose.
    pub purpose: String,
    /// For which class.
    pub class: DataClass,
    /// The grant that named the recipient.
    pub basis: StatementId,
    /// When.
    pub at: Timestamp,
}

/// What a controller wants to share, and with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// In whose domain.
    pub controller: PartyId,
    /// Who asks: see [`Inner::may_ask`].
    pub by: PartyId,
    /// The person, in the controller's domain.
    pub ppid: Ppid,
    /// With whom.
    pub recipient: PartyId,
    /// For which purpose.
    pub purpose: String,
    /// On which class of data.
    pub class: DataClass,
    /// On which categories; empty asks for the grant as a whole.
    pub categories: Vec<String>,
}

impl Wanted {
    /// Its use line: what was told, and on which grant it rests, if on one.
    fn note(&self, basis: Option<StatementId>) -> Note {
        Note {
            act: UseAct::Handover,
            case: None,
            asker: self.by.clone(),
            controller: self.controller.clone(),
            ppid: self.ppid,
            told: if basis.is_some() { Reason::ConsentGiven } else { Reason::ConsentNotGiven },
            basis,
            purpose: Some(self.purpose.clone()),
            recipient: Some(self.recipient.clone()),
        }
    }
}

impl Node {
    /// The recipient's ppid of a person for whom a live grant names it; `None` for anybody else, whether
    /// she is unknown, another domain's, or has not granted it.
    ///
    /// Reading: only her own grant opens. An attestation is the controller's word alone and an exception
    /// the law's: with either of them a controller could learn how anybody it knows is called elsewhere.
    /// The recipient must be registered and live.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if the node cannot vouch for its state, or does not write.
    pub fn handover(&self, wanted: &Wanted) -> Result<Option<Ppid>, Error> {
        let asked = Asked {
            resource: Resource::Person(wanted.ppid),
            question: Question {
                controller: wanted.controller.clone(),
                action: AskedAction::Grantable(Action::Share),
                purpose: wanted.purpose.clone(),
                class: wanted.class,
                categories: wanted.categories.clone(),
                recipient: Some(wanted.recipient.clone()),
                jurisdiction: None,
                use_id: None,
            },
            min_index: None,
        };
        // What no line can hold no grant says.
        if !asked.is_bounded() {
            return Ok(None);
        }
        let answer = self.check(&asked)?;
        if answer.decision.reason == Reason::LogUnavailable {
            return Err(Error::Stopped(self.stopped().unwrap_or(Stop::Busy)));
        }
        let granted = answer.decision.reason == Reason::ConsentGiven && self.is_live(&wanted.recipient);
        let basis = answer.decision.basis.filter(|_| granted);
        self.note_use(&wanted.note(basis))?;
        let Some(basis) = basis else { return Ok(None) };
        let name = Name::Ppid(wanted.ppid.0);
        let Some(who) = self.people.locate(&name, self.store.as_ref(), &self.vault)? else { return Ok(None) };
        let ppid = self.name_ppid(who, Some(&wanted.recipient))?;
        let handover = Handover {
            to: wanted.controller.clone(),
            by: wanted.by.clone(),
            recipient: wanted.recipient.clone(),
            ppid,
            purpose: wanted.purpose.clone(),
            class: wanted.class,
            basis,
            at: answer.at,
        };
        self.record_handover(who, &handover)?;
        Ok(Some(ppid))
    }

    /// Remembers a handover before its answer leaves.
    fn record_handover(&self, who: Pointed, handover: &Handover) -> Result<(), Error> {
        if self.was_handed(&handover.to, &handover.ppid)? {
            return Ok(());
        }
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop));
        }
        let record = self.handover_name(&handover.to, &handover.ppid);
        let key = self.vault.person_key(who)?;
        let sealed = key.seal(Sealed::Handover, &who.subject, &record, &cbor::encode(handover)?)?;
        match self.store.put(&handover_blob(&record), &sealed, true) {
            // Somebody else was as quick, and says the same.
            Ok(()) | Err(store::Error::Exists { .. }) => Ok(()),
            // What the disk holds is not known before a restart: nothing more is written.
            Err(error) => {
                self.stop(Stop::Io);
                Err(error.into())
            }
        }
    }
}

impl Inner {
    /// Whether a party was given this ppid by a handover: then it is no finding that it knows it.
    ///
    /// # Errors
    /// The store.
    pub fn was_handed(&self, to: &PartyId, ppid: &Ppid) -> Result<bool, Error> {
        let record = self.handover_name(to, ppid);
        Ok(self.store.get(&handover_blob(&record))?.is_some())
    }

    /// What was remembered of it, as long as her key is there.
    ///
    /// # Errors
    /// The store, or damage.
    pub fn handover_of(&self, to: &PartyId, ppid: &Ppid) -> Result<Option<Handover>, Error> {
        let record = self.handover_name(to, ppid);
        let Some(sealed) = self.store.get(&handover_blob(&record))? else { return Ok(None) };
        let name = Name::Ppid(ppid.0);
        let Some(who) = self.people.locate(&name, self.store.as_ref(), &self.vault)? else { return Ok(None) };
        let key = self.vault.person_key(who)?;
        let plain = key.open(Sealed::Handover, &who.subject, &record, &sealed)?;
        Ok(Some(cbor::decode(&plain)?))
    }

    fn handover_name(&self, to: &PartyId, ppid: &Ppid) -> [u8; 32] {
        self.vault.opaque_name("handover", &[to.as_str().as_bytes(), &ppid.0])
    }
}

/// Blob name of a handover.
fn handover_blob(record: &[u8; 32]) -> String {
    format!("handover/{}", Hash(*record))
}
