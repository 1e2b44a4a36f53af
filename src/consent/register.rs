//! What the public entries say: genesis, parties, notices, packs in force.
//!
//! Whole in memory, cheap to copy (parts are shared until they change), stored as
//! one row. Lacks: rotation, engagement and succession of parties, releases and
//! the adoption of later packs: those types are inert until this build has rules
//! for them.
//!
//! Trusted: nothing a party says of itself. The operator admits parties, a
//! regulator the roles of weight; genesis admits the first regulators. The files
//! behind the register (vocabulary, packs) are attached by the caller and not
//! part of the row; without them everything that needs them is inert.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};

use crate::consent::notice::{self, Notice};
use crate::consent::{Effect, Touched};
use crate::identity::{Recorded, Signed};
use crate::model::decision::Why;
use crate::model::id::{Hash, KeyHash, LeafIndex, PartyId, StatementId, Timestamp};
use crate::model::pack::Pack;
use crate::model::statement::{
    FirstPack, Kind, Licence, LogCreate, NoticePublish, NoticeRetire, Office, PartyClose, PartyRegister,
    PartySuspend, Statement,
};
use crate::model::terms::Vocabulary;
use crate::model::vocabulary::{DataClass, Role};

/// The longest suspension by the operator. Source: design §4.
const OPERATOR_SUSPENDS_MS: u64 = 72 * 60 * 60 * 1000;

/// A pack in force: name, version, SHA-256 of its file.
pub type PackRef = FirstPack;

/// A pack as attached: what it says, and the SHA-256 of the file it was read from.
#[derive(Clone, Debug)]
pub struct PackFile {
    /// SHA-256 of the file's bytes.
    pub hash: Hash,
    /// What it says.
    pub pack: Arc<Pack>,
}

/// Stops a party until an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Suspension {
    /// The regulator who ordered it; none for the operator.
    pub by: Option<PartyId>,
    /// Ends here; none is open.
    pub until: Option<Timestamp>,
    /// Case number.
    pub case: String,
}

impl Suspension {
    /// Whether it stands at an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether it ends after the other one.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.until, other.until) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(until)) => own > until,
        }
    }
}

/// An institution as registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Party {
    /// Its name in the log.
    pub id: PartyId,
    /// Its name for people, Korean.
    pub name_ko: String,
    /// Its name for people, English.
    pub name_en: String,
    /// What it is.
    pub roles: Vec<Role>,
    /// Its key.
    pub key: KeyHash,
    /// Where it is established; none for a regulator of genesis.
    pub jurisdiction: Option<String>,
    /// Who answers for it; none for a regulator of genesis.
    pub office: Option<Office>,
    /// Its licence.
    pub licence: Option<Licence>,
    /// A regulator's field of supervision.
    pub scope: Vec<String>,
    /// Where its registration stands.
    pub index: LeafIndex,
    /// Index of its first `party.close`.
    pub closed: Option<LeafIndex>,
    /// One a regulator, and one of the operator: the one that ends last.
    pub suspensions: Vec<Suspension>,
}

impl Party {
    /// Whether it is registered as that.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it may act: neither closed nor suspended.
    #[must_use]
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.closed.is_none() && !self.suspensions.iter().any(|s| s.holds(at))
    }
}

/// What genesis fixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Genesis {
    origin: String,
    grain: u64,
    log: ByteBuf,
    operator: ByteBuf,
    token: ByteBuf,
    /// Hashes of the three: log, operator, token.
    keys: [KeyHash; 3],
    packs: Vec<PackRef>,
}

/// What one controller's notices say of one purpose.
#[derive(Clone, Debug, Default)]
pub(in crate::consent) struct Asked {
    /// Unretired notices that ask for it.
    pub(in crate::consent) live: Vec<Arc<Notice>>,
}

type Asks = BTreeMap<String, Asked>;

/// The public state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Register {
    genesis: Option<Arc<Genesis>>,
    parties: Arc<BTreeMap<PartyId, Arc<Party>>>,
    notices: Arc<BTreeMap<StatementId, Arc<Notice>>>,
    /// Drawn from `parties`.
    keys: Arc<BTreeMap<KeyHash, PartyId>>,
    /// Drawn from `notices`; a purpose that stands only in retired ones has an empty list.
    asks: Arc<BTreeMap<PartyId, Arc<Asks>>>,
    vocabulary: Option<Arc<Vocabulary>>,
    files: Vec<PackFile>,
}

/// How a register is stored.
#[derive(Serialize, Deserialize)]
struct Row {
    genesis: Option<Genesis>,
    parties: Vec<Party>,
    notices: Vec<Notice>,
}

impl From<Register> for Row {
    fn from(r: Register) -> Self {
        Self {
            genesis: r.genesis.as_deref().cloned(),
            parties: r.parties.values().map(|p| p.as_ref().clone()).collect(),
            notices: r.notices.values().map(|n| n.as_ref().clone()).collect(),
        }
    }
}

impl From<Row> for Register {
    fn from(row: Row) -> Self {
        let mut out = Self {
            genesis: row.genesis.map(Arc::new),
            keys: Arc::new(row.parties.iter().map(|p| (p.key, p.id.clone())).collect()),
            parties: Arc::new(row.parties.into_iter().map(|p| (p.id.clone(), Arc::new(p))).collect()),
            notices: Arc::new(row.notices.into_iter().map(|n| (n.id, Arc::new(n))).collect()),
            ..Self::default()
        };
        let controllers: Vec<PartyId> = out.parties.keys().cloned().collect();
        for controller in controllers {
            out.index_notices_of(&controller);
        }
        out
    }
}

/// Equal if the rows are: attached files do not count.
impl PartialEq for Register {
    fn eq(&self, other: &Self) -> bool {
        self.genesis == other.genesis && self.parties == other.parties && self.notices == other.notices
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
        Self { vocabulary: Some(vocabulary), files, ..self }
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

    /// The log key.
    #[must_use]
    pub fn log_key(&self) -> Option<KeyHash> {
        self.genesis.as_ref().map(|g| g.keys[0])
    }

    /// The operator's key.
    #[must_use]
    pub fn operator_key(&self) -> Option<KeyHash> {
        self.genesis.as_ref().map(|g| g.keys[1])
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

    /// Packs in force: name, version, hash.
    #[must_use]
    pub fn packs_in_force(&self) -> &[PackRef] {
        self.genesis.as_ref().map_or(&[], |g| &g.packs)
    }

    /// The packs in force as attached; `None` if there is none, or if one is not attached: then nothing
    /// can be judged.
    ///
    /// Reading: all packs of genesis apply to everybody, for the person is recorded in this log.
    #[must_use]
    pub fn packs(&self) -> Option<Vec<&Pack>> {
        let refs = self.packs_in_force();
        if refs.is_empty() {
            return None;
        }
        refs.iter().map(|r| self.file(r)).collect()
    }

    fn file(&self, named: &PackRef) -> Option<&Pack> {
        self.files
            .iter()
            .find(|f| {
                f.hash == named.hash && **f.pack.name() == *named.name && f.pack.version() == named.version
            })
            .map(|f| f.pack.as_ref())
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

    /// The party that signs with this key.
    #[must_use]
    pub fn party_of_key(&self, key: &KeyHash) -> Option<&PartyId> {
        self.keys.get(key)
    }

    /// Whether a key stands in a party or in genesis: no other party and no person may take it.
    #[must_use]
    pub fn is_key_taken(&self, key: &KeyHash) -> bool {
        self.keys.contains_key(key) || self.genesis.as_ref().is_some_and(|g| g.keys.contains(key))
    }

    /// Whether `asker` may ask in the controller's domain.
    ///
    /// Only the controller itself may: `party.engage` is not served yet.
    #[must_use]
    pub fn acts_for(&self, asker: &PartyId, controller: &PartyId, at: Timestamp) -> bool {
        asker == controller && self.party(asker).is_some_and(|p| p.is_live(at))
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
        if let Statement::LogCreate(s) = statement {
            return s.packs.iter().map(|pack| pack.hash).collect();
        }
        if let Statement::PackAdopt(s) = statement {
            return vec![s.hash];
        }
        if let Statement::ReleaseRegister(s) = statement {
            return vec![s.criteria];
        }
        Vec::new()
    }

    /// Whether the vocabulary has the purpose and all categories.
    pub(in crate::consent) fn knows(&self, purpose: &str, categories: &[String]) -> bool {
        self.vocabulary.as_ref().is_some_and(|v| {
            v.purpose(purpose).is_some() && categories.iter().all(|c| v.category(c).is_some())
        })
    }

    fn judge(&mut self, recorded: &Recorded) -> Result<(), Why> {
        let is_genesis = recorded.statement().kind() == Kind::LogCreate;
        if is_genesis != (recorded.index() == 0) || is_genesis != self.genesis.is_none() {
            return Err(Why::Genesis);
        }
        match recorded.statement() {
            Statement::LogCreate(s) => self.create(s, recorded.signed()),
            Statement::PartyRegister(s) => self.register(s, recorded),
            Statement::PartyClose(s) => self.close(s, recorded),
            Statement::PartySuspend(s) => self.suspend(s, recorded),
            Statement::NoticePublish(s) => self.publish(s, recorded),
            Statement::NoticeRetire(s) => self.retire(s, recorded),
            Statement::PartyRotate(_)
            | Statement::PartyEngage(_)
            | Statement::PartyDisengage(_)
            | Statement::PartySucceed(_)
            | Statement::PackAdopt(_)
            | Statement::UseBatch(_)
            | Statement::ReleaseRegister(_)
            | Statement::ReleaseWithdraw(_)
            | Statement::ReleaseRecall(_)
            | Statement::CanaryCommit(_)
            | Statement::IncidentPublish(_)
            | Statement::LogRotate(_)
            | Statement::ErasureCertify(_) => Err(Why::NotServed),
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

    /// Genesis: by the log key, endorsed by the operator key.
    fn create(&mut self, s: &LogCreate, signed: &Signed) -> Result<(), Why> {
        let keys = [key_of(&s.log), key_of(&s.operator), key_of(&s.token)];
        if signed.signer != keys[0] {
            return Err(Why::KeyNotInSet);
        }
        if signed.endorsers.first() != Some(&keys[1]) {
            return Err(Why::Endorsement);
        }
        if !notice::is_said(&s.origin) || s.regulators.is_empty() {
            return Err(Why::Genesis);
        }
        if s.packs.is_empty() || s.packs.iter().any(|pack| self.file(pack).is_none()) {
            return Err(Why::Pack);
        }
        let mut taken = keys.to_vec();
        let mut parties = BTreeMap::new();
        for first in &s.regulators {
            let key = key_of(&first.spki);
            taken.push(key);
            let party = Party {
                id: first.id.clone(),
                name_ko: first.id.as_str().to_owned(),
                name_en: first.id.as_str().to_owned(),
                roles: vec![Role::Regulator],
                key,
                jurisdiction: None,
                office: None,
                licence: None,
                scope: first.scope.clone(),
                index: 0,
                closed: None,
                suspensions: Vec::new(),
            };
            if first.scope.is_empty() {
                return Err(Why::Genesis);
            }
            if parties.insert(first.id.clone(), Arc::new(party)).is_some() {
                return Err(Why::NameTaken);
            }
        }
        let all = taken.len();
        taken.sort_unstable();
        taken.dedup();
        if taken.len() != all {
            return Err(Why::KeyTaken);
        }
        self.keys = Arc::new(parties.values().map(|p| (p.key, p.id.clone())).collect());
        self.parties = Arc::new(parties);
        self.genesis = Some(Arc::new(Genesis {
            origin: s.origin.clone(),
            grain: s.grain,
            log: s.log.clone(),
            operator: s.operator.clone(),
            token: s.token.clone(),
            keys,
            packs: s.packs.clone(),
        }));
        Ok(())
    }

    /// By the party's own fresh key, endorsed by the operator, then for roles of weight by a regulator.
    ///
    /// Reading: the operator's role is genesis's alone; a licence is always vouched for by its regulator.
    fn register(&mut self, s: &PartyRegister, recorded: &Recorded) -> Result<(), Why> {
        let key = recorded.signed().signer;
        self.endorsed_by_operator(recorded)?;
        let weighty = s.roles.iter().any(|role| role.needs_regulator());
        let licensed = |role: &Role| role.needs_regulator() && *role != Role::Regulator;
        if weighty || s.licence.is_some() {
            let regulator = recorded
                .signed()
                .endorsers
                .get(1)
                .and_then(|key| self.party_of_key(key))
                .and_then(|id| self.party(id))
                .filter(|p| p.has_role(Role::Regulator) && p.is_live(recorded.at()))
                .ok_or(Why::Endorsement)?;
            let vouched = match &s.licence {
                Some(licence) => licence.regulator == regulator.id && notice::is_said(&licence.number),
                None => !s.roles.iter().any(licensed),
            };
            if !vouched {
                return Err(Why::Endorsement);
            }
        }
        let twice = s.roles.iter().enumerate().any(|(n, role)| s.roles.iter().take(n).any(|r| r == role));
        if s.roles.is_empty()
            || twice
            || s.roles.contains(&Role::Operator)
            || s.roles.contains(&Role::Regulator) == s.scope.is_empty()
        {
            return Err(Why::Role);
        }
        if !notice::is_country(&s.jurisdiction) {
            return Err(Why::Vocabulary);
        }
        if ![&s.name_ko, &s.name_en, &s.office.name, &s.office.contact]
            .into_iter()
            .all(|w| notice::is_said(w))
        {
            return Err(Why::NoticeIncomplete);
        }
        if self.packs().ok_or(Why::Pack)?.iter().any(|pack| pack.refuses_party(s).is_some()) {
            return Err(Why::Pack);
        }
        if self.parties.contains_key(&s.party) {
            return Err(Why::NameTaken);
        }
        if self.is_key_taken(&key) {
            return Err(Why::KeyTaken);
        }
        let party = Party {
            id: s.party.clone(),
            name_ko: s.name_ko.clone(),
            name_en: s.name_en.clone(),
            roles: s.roles.clone(),
            key,
            jurisdiction: Some(s.jurisdiction.clone()),
            office: Some(s.office.clone()),
            licence: s.licence.clone(),
            scope: s.scope.clone(),
            index: recorded.index(),
            closed: None,
            suspensions: Vec::new(),
        };
        Arc::make_mut(&mut self.keys).insert(key, s.party.clone());
        Arc::make_mut(&mut self.parties).insert(s.party.clone(), Arc::new(party));
        Ok(())
    }

    /// By the party, endorsed by the operator. Closing: a suspended party closes, and closing twice counts.
    fn close(&mut self, s: &PartyClose, recorded: &Recorded) -> Result<(), Why> {
        self.signed_by(&s.party, recorded)?;
        self.endorsed_by_operator(recorded)?;
        let index = recorded.index();
        self.change(&s.party, |party| {
            party.closed.get_or_insert(index);
        })
    }

    /// By a regulator at any time, by the operator for at most 72 hours from `at`.
    ///
    /// Reading: as a closing act it never shortens: of one issuer's suspensions the one that ends last
    /// stands. A suspended regulator may suspend, a closed one may not.
    fn suspend(&mut self, s: &PartySuspend, recorded: &Recorded) -> Result<(), Why> {
        let signer = recorded.signed().signer;
        let by = if self.operator_key() == Some(signer) {
            let latest = recorded.at().plus_ms(OPERATOR_SUSPENDS_MS);
            if s.until.is_none_or(|until| until > latest) {
                return Err(Why::Dates);
            }
            None
        } else {
            let regulator =
                self.party_of_key(&signer).and_then(|id| self.party(id)).ok_or(Why::KeyNotInSet)?;
            if !regulator.has_role(Role::Regulator) {
                return Err(Why::Role);
            }
            if regulator.closed.is_some() {
                return Err(Why::PartySuspended);
            }
            Some(regulator.id.clone())
        };
        let new = Suspension { by, until: s.until, case: s.case.clone() };
        self.change(&s.party, |party| match party.suspensions.iter_mut().find(|old| old.by == new.by) {
            Some(old) if new.outlasts(old) => *old = new,
            Some(_) => {}
            None => party.suspensions.push(new),
        })
    }

    fn publish(&mut self, s: &NoticePublish, recorded: &Recorded) -> Result<(), Why> {
        let party = self.signed_by(&s.controller, recorded)?;
        if !party.is_live(recorded.at()) {
            return Err(Why::PartySuspended);
        }
        if !party.has_role(Role::Controller) {
            return Err(Why::Role);
        }
        let packs = self.packs().ok_or(Why::Pack)?;
        let vocabulary = self.vocabulary.as_deref().ok_or(Why::Vocabulary)?;
        notice::is_complete(s, vocabulary, &packs)?;
        let earlier = |n: &&Arc<Notice>| n.says.controller == s.controller && n.says.name == s.name;
        if self.notices.values().filter(earlier).any(|n| n.says.version >= s.version) {
            return Err(Why::NameTaken);
        }
        let notice = Notice { id: recorded.id(), index: recorded.index(), says: s.clone(), retired: None };
        Arc::make_mut(&mut self.notices).insert(recorded.id(), Arc::new(notice));
        self.index_notices_of(&s.controller);
        Ok(())
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

    fn endorsed_by_operator(&self, recorded: &Recorded) -> Result<(), Why> {
        let operator = self.operator_key();
        if operator.is_some() && recorded.signed().endorsers.first() == operator.as_ref() {
            Ok(())
        } else {
            Err(Why::Endorsement)
        }
    }

    fn change(&mut self, id: &PartyId, how: impl FnOnce(&mut Party)) -> Result<(), Why> {
        let party = Arc::make_mut(&mut self.parties).get_mut(id).ok_or(Why::PartyUnknown)?;
        how(Arc::make_mut(party));
        Ok(())
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

/// Name of a public key. Source: design §4.
fn key_of(spki: &[u8]) -> KeyHash {
    KeyHash(Sha256::digest(spki).into())
}
