//! What the public entries say: genesis, parties, notices, packs in force.
//!
//! Whole in memory, cheap to copy (parts are shared until they change), stored as
//! one row. Which packs apply to whom, and when, stands in `law`. Lacks: releases:
//! those types are inert until this build has rules for them.
//!
//! Trusted: nothing a party says of itself. The operator admits parties, a
//! regulator the roles of weight; genesis admits the first regulators. The files
//! behind the register (vocabulary, packs) are attached by the caller and not
//! part of the row; without them everything that needs them is inert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::consent::law::{Adoption, Law};
use crate::consent::notice::{self, Notice};
use crate::consent::party::Party;
use crate::consent::server::Served;
use crate::consent::{Effect, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Hash, KeyHash, PartyId, StatementId, Timestamp};
use crate::model::pack::Pack;
use crate::model::statement::{
    ErasureCertify, FirstPack, Kind, NoticePublish, NoticeRetire, Statement, UseBatch,
};
use crate::model::terms::Vocabulary;
use crate::model::vocabulary::{DataClass, Role};

/// Names a pack: name, version, SHA-256 of its file.
pub type PackRef = FirstPack;

/// A pack as attached: what it says, and the SHA-256 of the file it was read from.
#[derive(Clone, Debug)]
pub struct PackFile {
    /// SHA-256 of the file's bytes.
    pub hash: Hash,
    /// What it says.
    pub pack: Arc<Pack>,
}

/// Longest case number, bytes.
const MAX_CASE: usize = 64;

/// What genesis fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::consent) struct Genesis {
    pub(in crate::consent) origin: String,
    pub(in crate::consent) grain: u64,
    pub(in crate::consent) log: ByteBuf,
    pub(in crate::consent) operator: ByteBuf,
    pub(in crate::consent) token: ByteBuf,
    /// Hashes of the three: log, operator, token.
    pub(in crate::consent) keys: [KeyHash; 3],
    pub(in crate::consent) packs: Vec<PackRef>,
}

/// What one controller's notices say of one purpose.
#[derive(Clone, Debug, Default)]
pub(in crate::consent) struct Asked {
    /// Unretired notices that ask for it.
    pub(in crate::consent) live: Vec<Arc<Notice>>,
}

type Asks = BTreeMap<String, Asked>;

/// The use batches so far. Source: design §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batched {
    /// How many: the number of the next.
    pub count: u64,
    /// Where the last one ended: where the next begins.
    pub until: Timestamp,
}

/// The public state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Register {
    pub(in crate::consent) genesis: Option<Arc<Genesis>>,
    pub(in crate::consent) parties: Arc<BTreeMap<PartyId, Arc<Party>>>,
    notices: Arc<BTreeMap<StatementId, Arc<Notice>>>,
    /// Drawn from `parties`, keys of the past too.
    pub(in crate::consent) keys: Arc<BTreeMap<KeyHash, PartyId>>,
    /// Drawn from `notices`; a purpose that stands only in retired ones has an empty list.
    asks: Arc<BTreeMap<PartyId, Arc<Asks>>>,
    pub(in crate::consent) adopted: Arc<Vec<Adoption>>,
    /// Drawn from genesis, `adopted` and `files`.
    pub(in crate::consent) laws: Arc<Vec<Law>>,
    /// Countries of the packs of genesis, drawn likewise.
    pub(in crate::consent) home: Arc<BTreeSet<String>>,
    vocabulary: Option<Arc<Vocabulary>>,
    pub(in crate::consent) files: Vec<PackFile>,
    batched: Option<Batched>,
    /// Keys of the log's own that came after genesis.
    pub(in crate::consent) served: Arc<Vec<Served>>,
}

/// How a register is stored.
#[derive(Serialize, Deserialize)]
struct Row {
    genesis: Option<Genesis>,
    parties: Vec<Party>,
    notices: Vec<Notice>,
    #[serde(default)]
    adopted: Vec<Adoption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batched: Option<Batched>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    served: Vec<Served>,
}

impl From<Register> for Row {
    fn from(r: Register) -> Self {
        Self {
            genesis: r.genesis.as_deref().cloned(),
            parties: r.parties.values().map(|p| p.as_ref().clone()).collect(),
            notices: r.notices.values().map(|n| n.as_ref().clone()).collect(),
            adopted: r.adopted.as_ref().clone(),
            batched: r.batched,
            served: r.served.as_ref().clone(),
        }
    }
}

impl From<Row> for Register {
    fn from(row: Row) -> Self {
        let mut out = Self {
            genesis: row.genesis.map(Arc::new),
            keys: Arc::new(row.parties.iter().flat_map(keys_of).collect()),
            parties: Arc::new(row.parties.into_iter().map(|p| (p.id.clone(), Arc::new(p))).collect()),
            notices: Arc::new(row.notices.into_iter().map(|n| (n.id, Arc::new(n))).collect()),
            adopted: Arc::new(row.adopted),
            batched: row.batched,
            served: Arc::new(row.served),
            ..Self::default()
        };
        out.draw_laws();
        let controllers: Vec<PartyId> = out.parties.keys().cloned().collect();
        for controller in controllers {
            out.index_notices_of(&controller);
        }
        out
    }
}

/// Every key of a party, former ones too.
fn keys_of(party: &Party) -> impl Iterator<Item = (KeyHash, PartyId)> + '_ {
    party.keys().map(|held| (held.key, party.id.clone()))
}

/// Equal if the rows are: attached files do not count.
impl PartialEq for Register {
    fn eq(&self, other: &Self) -> bool {
        self.genesis == other.genesis
            && self.parties == other.parties
            && self.notices == other.notices
            && self.adopted == other.adopted
            && self.batched == other.batched
            && self.served == other.served
    }
}

impl Eq for Register {}

impl Register {
    /// The register before genesis, with the files it is judged by.
    #[must_use]
    pub fn new(vocabulary: Arc<Vocabulary>, files: Vec<PackFile>) -> Self {
        Self::default().attach(vocabulary, files)
    }

    /// Gives a register read from its row the files it is judged by.
    #[must_use]
    pub fn attach(self, vocabulary: Arc<Vocabulary>, files: Vec<PackFile>) -> Self {
        let mut out = Self { vocabulary: Some(vocabulary), files, ..self };
        out.draw_laws();
        out
    }

    /// Applies one public statement. Whatever was judged before is judged again here: this is the rule.
    pub fn apply(&mut self, recorded: &Recorded) -> Effect {
        self.judge(recorded).map(|()| Touched::Register).into()
    }

    /// Origin of the log.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.genesis.as_ref().map(|g| g.origin.as_str())
    }

    /// Grain of public times, ms.
    #[must_use]
    pub fn grain(&self) -> Option<u64> {
        self.genesis.as_ref().map(|g| g.grain)
    }

    /// The key that signs access tokens.
    #[must_use]
    pub fn token_key(&self) -> Option<KeyHash> {
        self.genesis.as_ref().map(|g| g.keys[2])
    }

    /// Public keys (SPKI DER) of genesis: log, operator, token.
    #[must_use]
    pub fn server_spkis(&self) -> Option<[&[u8]; 3]> {
        self.genesis.as_ref().map(|g| [g.log.as_slice(), g.operator.as_slice(), g.token.as_slice()])
    }

    /// A party, closed ones too.
    #[must_use]
    pub fn party(&self, id: &PartyId) -> Option<&Party> {
        self.parties.get(id).map(Arc::as_ref)
    }

    /// All parties, by name.
    pub fn parties(&self) -> impl Iterator<Item = &Party> {
        self.parties.values().map(Arc::as_ref)
    }

    /// Whether a key stands in a party or in genesis: no other party and no person may take it.
    #[must_use]
    pub fn is_key_taken(&self, key: &KeyHash) -> bool {
        self.keys.contains_key(key)
            || self.genesis.as_ref().is_some_and(|g| g.keys.contains(key))
            || self.served.iter().any(|served| served.key == *key)
    }

    /// The use batches so far, if there are any.
    #[must_use]
    pub const fn batched(&self) -> Option<Batched> {
        self.batched
    }

    /// A notice, retired ones too.
    #[must_use]
    pub fn notice(&self, id: &StatementId) -> Option<&Notice> {
        self.notices.get(id).map(Arc::as_ref)
    }

    /// All notices, by id.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values().map(Arc::as_ref)
    }

    /// What the controller's notices say of a purpose; `None` if it stands in none.
    pub(in crate::consent) fn asked(&self, controller: &PartyId, purpose: &str) -> Option<&Asked> {
        self.asks.get(controller)?.get(purpose)
    }

    /// Hashes of the attachments a public statement names: they are stored before its entry. Source: design §4.
    #[must_use]
    pub fn attachments_of(statement: &Statement) -> Vec<Hash> {
        if let Statement::NoticePublish(s) = statement {
            return s.texts.iter().map(|text| text.hash).collect();
        }
        if let Statement::LogCreate(_) = statement {
            return Self::packs_named_by(statement);
        }
        if let Statement::PackAdopt(s) = statement {
            return std::iter::once(s.hash).chain(s.replay.as_ref().map(|replay| replay.report)).collect();
        }
        if let Statement::ReleaseRegister(s) = statement {
            return vec![s.criteria];
        }
        if let Statement::IncidentPublish(s) = statement {
            return vec![s.document];
        }
        Vec::new()
    }

    /// Whether the vocabulary has the purpose and all categories.
    pub(in crate::consent) fn knows(&self, purpose: &str, categories: &[String]) -> bool {
        self.vocabulary.as_ref().is_some_and(|v| {
            v.purpose(purpose).is_some() && categories.iter().all(|c| v.category(c).is_some())
        })
    }

    pub(in crate::consent) fn knows_categories(&self, categories: &[String]) -> bool {
        self.vocabulary.as_ref().is_some_and(|v| categories.iter().all(|c| v.category(c).is_some()))
    }

    fn judge(&mut self, recorded: &Recorded) -> Result<(), Why> {
        let is_genesis = recorded.statement().kind() == Kind::LogCreate;
        if is_genesis != (recorded.index() == 0) || is_genesis != self.genesis.is_none() {
            return Err(Why::Genesis);
        }
        match recorded.statement() {
            Statement::LogCreate(s) => self.create(s, recorded),
            Statement::PartyRegister(s) => self.register(s, recorded),
            Statement::PartyClose(s) => self.close(s, recorded),
            Statement::PartySuspend(s) => self.suspend(s, recorded),
            Statement::PartyRotate(s) => self.rotate(s, recorded),
            Statement::PartyEngage(s) => self.engage(s, recorded),
            Statement::PartyDisengage(s) => self.disengage(s, recorded),
            Statement::PartySucceed(s) => self.succeed(s, recorded),
            Statement::NoticePublish(s) => self.publish(s, recorded),
            Statement::NoticeRetire(s) => self.retire(s, recorded),
            Statement::PackAdopt(s) => self.adopt(s, recorded),
            Statement::UseBatch(s) => self.batch(s, recorded),
            Statement::ErasureCertify(s) => self.certify(s, recorded),
            Statement::IncidentPublish(s) => self.publish_incident(s, recorded),
            Statement::LogRotate(s) => self.rotate_server_key(s, recorded),
            Statement::ReleaseRegister(_)
            | Statement::ReleaseWithdraw(_)
            | Statement::ReleaseRecall(_)
            | Statement::CanaryCommit(_) => Err(Why::NotServed),
            // Sealed types say nothing public.
            Statement::ConsentGrant(_)
            | Statement::ConsentRefuse(_)
            | Statement::ConsentWithdraw(_)
            | Statement::ConsentObject(_)
            | Statement::ConsentLift(_)
            | Statement::ConsentPause(_)
            | Statement::ConsentResume(_)
            | Statement::ConsentDispute(_)
            | Statement::KeyCreate(_)
            | Statement::KeyAdd(_)
            | Statement::KeyRevoke(_)
            | Statement::KeyRotate(_)
            | Statement::KeyRecover(_)
            | Statement::TransferDemand(_)
            | Statement::TransferStop(_)
            | Statement::RightRequest(_)
            | Statement::ErasureDemand(_)
            | Statement::IncidentComplain(_)
            | Statement::ConsentAttest(_)
            | Statement::ConsentSignal(_)
            | Statement::KeyRebind(_)
            | Statement::SubjectAttest(_)
            | Statement::DelegationGrant(_)
            | Statement::DelegationEnd(_)
            | Statement::ConsentRequest(_)
            | Statement::TransferDeliver(_)
            | Statement::TransferConfirm(_)
            | Statement::TransferFail(_)
            | Statement::DutyAcknowledge(_)
            | Statement::DutyDeleted(_)
            | Statement::DutyJustify(_)
            | Statement::RightAnswer(_)
            | Statement::ConsiderationSettle(_)
            | Statement::WarrantGrant(_)
            | Statement::IncidentFlag(_)
            | Statement::IncidentAnswer(_)
            | Statement::IncidentOrder(_)
            | Statement::IncidentConfirm(_)
            | Statement::IncidentDismiss(_)
            | Statement::IncidentAssess(_)
            | Statement::IncidentContain(_)
            | Statement::IncidentReport(_)
            | Statement::IncidentNotify(_)
            | Statement::IncidentAppeal(_)
            | Statement::IncidentClose(_)
            | Statement::HoldPlace(_)
            | Statement::HoldLift(_) => Err(Why::NotServed),
        }
    }

    fn publish(&mut self, s: &NoticePublish, recorded: &Recorded) -> Result<(), Why> {
        let party = self.signed_by(&s.controller, recorded)?;
        if !party.is_live(recorded.at()) {
            return Err(Why::PartySuspended);
        }
        if !party.has_role(Role::Controller) {
            return Err(Why::Role);
        }
        let country = party.jurisdiction.as_deref();
        let packs = self.packs_in(country, recorded.at()).ok_or(Why::Pack)?;
        let vocabulary = self.vocabulary.as_deref().ok_or(Why::Vocabulary)?;
        notice::is_complete(s, vocabulary, &packs, &self.claimable_by(country, recorded.at()))?;
        let earlier = |n: &&Arc<Notice>| n.says.controller == s.controller && n.says.name == s.name;
        if self.notices.values().filter(earlier).any(|n| n.says.version >= s.version) {
            return Err(Why::NameTaken);
        }
        let notice = Notice { id: recorded.id(), index: recorded.index(), says: s.clone(), retired: None };
        Arc::make_mut(&mut self.notices).insert(recorded.id(), Arc::new(notice));
        self.index_notices_of(&s.controller);
        Ok(())
    }

    /// By the operator alone: the next number, the next interval, its gaps inside it and in order.
    fn batch(&mut self, s: &UseBatch, recorded: &Recorded) -> Result<(), Why> {
        let signed = recorded.signed();
        if !self.is_operator(&signed.signer) || !signed.endorsers.is_empty() {
            return Err(Why::Role);
        }
        if s.number != self.batched.map_or(0, |b| b.count) || self.batched.is_some_and(|b| b.until != s.from)
        {
            return Err(Why::Superseded);
        }
        let mut last = s.from;
        for gap in &s.gaps {
            if gap.from < last || gap.until <= gap.from {
                return Err(Why::Dates);
            }
            last = gap.until;
        }
        // Nobody vouches for what is to come. Whoever knows only the log knows `at` rounded down.
        let grain = self.grain().unwrap_or_default();
        let latest = recorded.at().rounded_to(grain).plus_ms(grain);
        if s.until <= s.from || last > s.until || s.until > latest {
            return Err(Why::Dates);
        }
        self.batched = Some(Batched { count: s.number.saturating_add(1), until: s.until });
        Ok(())
    }

    /// By the operator; under a legal order a regulator endorses, and only then; so does the second
    /// operator, if there is one, before the regulator or after.
    fn certify(&self, s: &ErasureCertify, recorded: &Recorded) -> Result<(), Why> {
        let signed = recorded.signed();
        if !self.is_operator(&signed.signer) {
            return Err(Why::Role);
        }
        let regulates = |key: &KeyHash| {
            let party = self.keys.get(key).and_then(|id| self.party(id));
            party.is_some_and(|p| p.key == *key && p.has_role(Role::Regulator) && p.is_live(recorded.at()))
        };
        let endorsed = match (&s.order, signed.endorsers.as_slice()) {
            (None, []) => true,
            (Some(case), [_] | [_, _]) => {
                let mut others = signed.endorsers.iter().filter(|key| !regulates(key));
                let ordered = !case.is_empty() && case.len() <= MAX_CASE;
                let one = signed.endorsers.iter().filter(|key| regulates(key)).count() == 1;
                // Whoever is neither a regulator nor the other operator has no business here.
                ordered && one && others.all(|key| self.is_operator(key))
            }
            (None | Some(_), _) => false,
        };
        if !endorsed {
            return Err(Why::Endorsement);
        }
        if s.order.is_some() {
            self.both_operators(std::iter::once(&signed.signer).chain(&signed.endorsers))?;
        }
        let ordered = s.tags.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        // By their term records go, with a slot or without, and nobody orders it.
        let named = if s.scheduled { s.records > 0 && s.order.is_none() } else { !s.tags.is_empty() };
        if named && ordered { Ok(()) } else { Err(Why::NotThisSubject) }
    }

    /// Closing: a suspended controller retires, and retiring twice counts.
    fn retire(&mut self, s: &NoticeRetire, recorded: &Recorded) -> Result<(), Why> {
        let controller = self.notice(&s.notice).ok_or(Why::NoticeMismatch)?.says.controller.clone();
        self.signed_by(&controller, recorded)?;
        if let Some(notice) = Arc::make_mut(&mut self.notices).get_mut(&s.notice) {
            Arc::make_mut(notice).retired.get_or_insert(recorded.index());
        }
        self.index_notices_of(&controller);
        Ok(())
    }

    /// The party whose key signed, whatever its status.
    pub(in crate::consent) fn signed_by(&self, id: &PartyId, recorded: &Recorded) -> Result<&Party, Why> {
        let party = self.party(id).ok_or(Why::PartyUnknown)?;
        if party.key == recorded.signed().signer { Ok(party) } else { Err(Why::KeyNotInSet) }
    }

    fn index_notices_of(&mut self, controller: &PartyId) {
        let mut asks = Asks::new();
        for notice in self.notices.values().filter(|n| n.says.controller == *controller) {
            for purpose in &notice.says.purposes {
                let asked = asks.entry(purpose.purpose.clone()).or_default();
                let stands = asked.live.iter().any(|n| n.id == notice.id);
                if notice.retired.is_none() && !stands {
                    asked.live.push(Arc::clone(notice));
                }
            }
        }
        Arc::make_mut(&mut self.asks).insert(controller.clone(), Arc::new(asks));
    }
}

impl Asked {
    /// Unretired notices that ask for it with that class.
    pub(in crate::consent) fn of_class(
        &self,
        purpose: &str,
        class: DataClass,
    ) -> impl Iterator<Item = &Notice> {
        self.live.iter().map(Arc::as_ref).filter(move |n| n.asks(purpose, class).is_some())
    }
}
