//! A small world around a node in process: fixed keys, a clock set by hand, builders.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses its own part of the world"
)]

pub mod certificate;
pub mod passkey;
pub mod planted;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use naru::consent::PackFile;
use naru::identity::item;
use naru::ledger::cose;
use naru::ledger::hash;
use naru::ledger::key::Ed25519Signer;
use naru::ledger::key::Signer;
use naru::model::decision::Question;
use naru::model::id::Hash;
use naru::model::id::KeyHash;
use naru::model::id::Nonce;
use naru::model::id::PartyId;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::AskedAction;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Accepted;
use naru::node::Answer;
use naru::node::Asked;
use naru::node::Keys;
use naru::node::Node;
use naru::node::Outcome;
use naru::node::Refusal;
use naru::node::Resource;
use naru::node::Settings;
use naru::node::clock::Clock;
use naru::store::Store;
use naru::store::memory::Lag;
use naru::store::memory::Memory;
use naru::vault::Key;
use naru::vault::Vault;
use serde_bytes::ByteBuf;

pub const ORIGIN: &str = "ledger.test/log";
pub const START: u64 = 1_764_000_000_000;
/// 2026-10-01T00:00:00+09:00: the Korean act of 2026 is in force.
pub const OCTOBER_2026: u64 = 1_790_780_400_000;
pub const DAY: u64 = 86_400_000;
pub const PURPOSE: &str = "dpv:ServiceProvision";
pub const CATEGORY: &str = "pd:Income";
pub const OPTIONAL: &str = "pd:Age";

pub fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed([seed; 32])
}

/// A person's key, by number.
pub fn person_key(n: u64) -> Ed25519Signer {
    Ed25519Signer::from_seed(hash::sha256(&[b"person", &n.to_be_bytes()]))
}

pub fn key_hash(signer: &dyn Signer) -> KeyHash {
    KeyHash(signer.public().hash())
}

pub fn party(name: &str) -> PartyId {
    PartyId::parse(name).unwrap()
}

static NONCE: AtomicU64 = AtomicU64::new(1);

/// Nonces need only differ: a counter is as good as randomness here, and repeatable.
pub fn nonce() -> Nonce {
    let mut out = [0u8; 16];
    out[8..].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Nonce(out)
}

pub struct World {
    pub dir: tempfile::TempDir,
    pub memory: Memory,
    pub clock: Clock,
    pub node: Option<Node>,
    pub notice: StatementId,
    pub text: Hash,
    /// Whether the node keeps a use log.
    pub logging: bool,
}

pub const LOG: u8 = 1;
pub const OPERATOR: u8 = 2;
pub const TOKEN: u8 = 3;
pub const REGULATOR: u8 = 4;
pub const BANK: u8 = 10;
pub const HOSPITAL: u8 = 11;
pub const IDP: u8 = 12;
/// A processor; `World::hire` brings it.
pub const CLOUD: u8 = 13;

impl World {
    /// A log with operator, regulator, bank, hospital, identity provider and a notice of the bank.
    pub fn new() -> Self {
        let memory = Memory::new();
        memory.faults().set_lag(if lags() { Lag::On } else { Lag::Off });
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut world = Self::bare(memory, store);
        world.populate();
        world
    }

    /// The same under the Korean act alone, in October 2026.
    pub fn korean() -> Self {
        Self::korean_with(false)
    }

    /// The same, with a use log or without.
    pub fn korean_with(logging: bool) -> Self {
        Self::under(naru::model::pack::kr_pipa_2026(), OCTOBER_2026, logging)
    }

    /// The same, under one pack that the build carries, begun at an instant.
    pub fn under(pack: &str, at: u64, logging: bool) -> Self {
        let memory = Memory::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let pack = naru::node::read_pack(pack.as_bytes()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self::begun(dir, memory, store, at, &[pack], logging);
        world.populate();
        world
    }

    /// The same, and every answer to an asker leaves a use line.
    pub fn logging() -> Self {
        let memory = Memory::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut world = Self::bare_with(memory, store, true);
        world.populate();
        world
    }

    /// The same, over another store.
    pub fn bare(memory: Memory, store: Arc<dyn Store>) -> Self {
        Self::bare_with(memory, store, false)
    }

    /// The same, with a use log or without.
    pub fn bare_with(memory: Memory, store: Arc<dyn Store>, logging: bool) -> Self {
        let packs = naru::node::home_packs().unwrap();
        Self::begun(tempfile::tempdir().unwrap(), memory, store, START, &packs, logging)
    }

    /// The same, over a store in the world's own folder.
    pub fn bare_in(
        dir: tempfile::TempDir,
        memory: Memory,
        store: impl FnOnce(&std::path::Path) -> Arc<dyn Store>,
    ) -> Self {
        let store = store(dir.path());
        Self::begun(dir, memory, store, START, &naru::node::home_packs().unwrap(), false)
    }

    fn begun(
        dir: tempfile::TempDir,
        memory: Memory,
        store: Arc<dyn Store>,
        at: u64,
        packs: &[PackFile],
        logging: bool,
    ) -> Self {
        planted::listen();
        planted::bytes(&[9; 32]);
        let clock = Clock::manual(Timestamp(at));
        let vault = Vault::create(&dir.path().join("vault"), &master()).unwrap();
        let settings = Settings { use_log: logging, ..settings(&dir) };
        let genesis = genesis_of(Timestamp(at), packs);
        let node = Node::create(settings, store, vault, keys(), clock.clone(), genesis).unwrap();
        let empty = Hash([0; 32]);
        Self { dir, memory, clock, node: Some(node), notice: StatementId([0; 32]), text: empty, logging }
    }

    pub fn populate(&mut self) {
        for (name, seed, roles) in [
            ("bank", BANK, vec![Role::Controller, Role::Recipient]),
            ("hospital", HOSPITAL, vec![Role::Controller]),
        ] {
            let item = self.register(name, roles, false);
            let item = endorse(&sign(&item, &signer(seed)), OPERATOR);
            self.accept(item);
        }
        let item = self.register("idp", vec![Role::IdentityProvider], true);
        let item = endorse(&endorse(&sign(&item, &signer(IDP)), OPERATOR), REGULATOR);
        self.accept(item);
        self.text = self.node().attach(b"what the bank asks").unwrap();
        let notice = self.notice_of("bank", 1, &[DataClass::RealName, DataClass::Anonymous]);
        self.notice = self.accept(sign(&notice, &signer(BANK))).id;
    }

    /// Items that register the processor `cloud` and engage it for the bank.
    pub fn hire(&self, purposes: &[&str]) -> [Vec<u8>; 2] {
        let item = self.register("cloud", vec![Role::Processor], false);
        let engage: Statement = PartyEngage {
            v: V1,
            kind: Kind::PartyEngage,
            iat: self.now(),
            nonce: nonce(),
            controller: party("bank"),
            processor: party("cloud"),
            purposes: purposes.iter().map(|&p| p.to_owned()).collect(),
            until: None,
        }
        .into();
        [endorse(&sign(&item, &signer(CLOUD)), OPERATOR), endorse(&sign(&engage, &signer(BANK)), OPERATOR)]
    }

    /// Ends it.
    pub fn fire(&self) -> Statement {
        PartyDisengage {
            v: V1,
            kind: Kind::PartyDisengage,
            iat: self.now(),
            nonce: nonce(),
            controller: party("bank"),
            processor: party("cloud"),
        }
        .into()
    }

    pub fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn advance(&self, ms: u64) {
        self.clock.set(self.now().plus_ms(ms));
    }

    /// Stops the node and opens it again over what the store kept.
    pub fn reopen(&mut self) {
        drop(self.node.take());
        self.memory = self.memory.reopen();
        self.node = Some(self.open().unwrap());
    }

    pub fn open(&self) -> Result<Node, naru::node::Error> {
        let vault = Vault::open(&self.dir.path().join("vault"), &master()).unwrap();
        let store = Arc::new(self.memory.clone());
        let settings = Settings { use_log: self.logging, ..settings(&self.dir) };
        Node::open(settings, store, vault, keys(), self.clock.clone())
    }

    pub fn submit(&self, item: Vec<u8>) -> Outcome {
        self.node().record(vec![item]).pop().unwrap()
    }

    pub fn accept(&self, item: Vec<u8>) -> Accepted {
        self.submit(item).unwrap_or_else(|refusal| panic!("refused: {refusal}"))
    }

    pub fn refuse(&self, item: Vec<u8>) -> Refusal {
        self.submit(item).expect_err("accepted")
    }

    /// Enrols person `n`; answers her ppid at the bank.
    pub fn enrol(&self, n: u64) -> Ppid {
        let key = person_key(n);
        planted::bytes(&key_hash(&key).0);
        self.accept(sign(&self.key_create(), &key));
        self.ppid(n, Some("bank"))
    }

    pub fn ppid(&self, n: u64, at: Option<&str>) -> Ppid {
        let ppid = self.node().ppid(&key_hash(&person_key(n)), at.map(party).as_ref()).unwrap().unwrap();
        planted::bytes(&ppid.0);
        ppid
    }

    pub fn key_create(&self) -> Statement {
        KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: self.now(),
            nonce: nonce(),
            key_use: KeyUse::Device,
            recovery: None,
        }
        .into()
    }

    pub fn register(&self, name: &str, roles: Vec<Role>, licensed: bool) -> Statement {
        PartyRegister {
            v: V1,
            kind: Kind::PartyRegister,
            iat: self.now(),
            nonce: nonce(),
            party: party(name),
            name_ko: name.into(),
            name_en: name.into(),
            roles,
            jurisdiction: "KR".into(),
            office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
            licence: licensed.then(|| Licence { number: "1".into(), regulator: party("pipc") }),
            scope: Vec::new(),
            transfer: None,
        }
        .into()
    }

    pub fn notice_of(&self, controller: &str, version: u32, classes: &[DataClass]) -> Statement {
        let category = |name: &str, required| NoticeCategory {
            category: name.into(),
            items: Vec::new(),
            required,
            reason: "to serve you".into(),
        };
        let purposes = classes
            .iter()
            .map(|class| NoticePurpose {
                purpose: PURPOSE.into(),
                class: *class,
                categories: vec![category(CATEGORY, true), category(OPTIONAL, false)],
                actions: vec![Action::Collect, Action::Use, Action::Share, Action::Anonymise],
                recipients: vec![party("hospital")],
                keep_ms: 365 * DAY,
            })
            .collect();
        NoticePublish {
            v: V1,
            kind: Kind::NoticePublish,
            iat: self.now(),
            nonce: nonce(),
            controller: party(controller),
            name: "service".into(),
            version,
            purposes,
            texts: vec![NoticeText {
                locale: "ko".into(),
                audience: Audience::Adult,
                media_type: "text/plain".into(),
                length: 18,
                hash: self.text,
            }],
            office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
            abroad: None,
            claims: Vec::new(),
        }
        .into()
    }

    pub fn grant(&self, ppid: Ppid, over: Option<StatementId>) -> ConsentGrant {
        ConsentGrant {
            v: V1,
            kind: Kind::ConsentGrant,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            over,
            controller: party("bank"),
            recipients: vec![party("hospital")],
            purpose: PURPOSE.into(),
            categories: vec![CATEGORY.into()],
            class: DataClass::RealName,
            actions: vec![Action::Collect, Action::Use, Action::Share],
            jurisdictions: vec!["KR".into()],
            fetch_until: self.now().plus_ms(30 * DAY),
            keep_until: self.now().plus_ms(60 * DAY),
            limits: None,
            consideration: None,
            notice: Shown { id: self.notice, hash: self.text, locale: "ko".into() },
            link: None,
            moved: None,
        }
    }

    /// The bank asks whoever has the link.
    pub fn request(&self, link: Hash) -> ConsentRequest {
        ConsentRequest {
            v: V1,
            kind: Kind::ConsentRequest,
            iat: self.now(),
            nonce: nonce(),
            controller: party("bank"),
            notice: self.notice,
            purposes: vec![PURPOSE.into()],
            link,
            until: self.now().plus_ms(DAY),
        }
    }

    /// A complaint of a party, by a person whom it knows by this ppid.
    pub fn complaint(&self, ppid: Ppid, of: &str, text: &str) -> IncidentComplain {
        IncidentComplain {
            v: V1,
            kind: Kind::IncidentComplain,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            party: party(of),
            text: text.into(),
        }
    }

    /// A demand of one item, once, from the bank to the hospital, for thirty days.
    pub fn demand(&self, ppid: Ppid) -> TransferDemand {
        TransferDemand {
            v: V1,
            kind: Kind::TransferDemand,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            over: None,
            sender: party("bank"),
            recipient: party("hospital"),
            scheduled: false,
            fund_cycle: None,
            add_cycle: None,
            end: self.now().plus_ms(30 * DAY),
            purpose: PURPOSE.into(),
            keep_until: self.now().plus_ms(60 * DAY),
            targets: vec![Target { scope: "bank.deposit".into(), assets: Vec::new() }],
            mode: Mode::Store,
        }
    }

    pub fn stop(&self, ppid: Ppid, demand: StatementId) -> Statement {
        TransferStop {
            v: V1,
            kind: Kind::TransferStop,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            demand,
        }
        .into()
    }

    /// The bank has delivered so many items of a run.
    pub fn deliver(&self, ppid: Ppid, demand: StatementId, run: u64, items: u64) -> Statement {
        TransferDeliver {
            v: V1,
            kind: Kind::TransferDeliver,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party("bank"),
            demand,
            run,
            items,
            hash: Hash([7; 32]),
        }
        .into()
    }

    /// The hospital confirms n of m.
    pub fn confirm(&self, ppid: Ppid, demand: StatementId, run: u64, (n, m): (u64, u64)) -> Statement {
        TransferConfirm {
            v: V1,
            kind: Kind::TransferConfirm,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party("hospital"),
            demand,
            run,
            received: n,
            announced: m,
        }
        .into()
    }

    pub fn withdraw(&self, ppid: Ppid) -> Statement {
        ConsentWithdraw {
            v: V1,
            kind: Kind::ConsentWithdraw,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            controller: party("bank"),
            purpose: PURPOSE.into(),
            class: DataClass::RealName,
            moved: None,
        }
        .into()
    }

    pub fn object(&self, ppid: Ppid, controller: Scope, class: DataClass) -> Statement {
        ConsentObject {
            v: V1,
            kind: Kind::ConsentObject,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            controller,
            purpose: Scope::Any,
            class,
            moved: None,
        }
        .into()
    }

    /// Access to all, from the bank.
    pub fn claim(&self, ppid: Ppid) -> Statement {
        RightRequest {
            v: V1,
            kind: Kind::RightRequest,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            controller: party("bank"),
            right: Right::Access,
            categories: vec![],
        }
        .into()
    }

    pub fn answer_right(&self, name: &str, ppid: Ppid, request: StatementId, why: Option<&str>) -> Statement {
        RightAnswer {
            v: V1,
            kind: Kind::RightAnswer,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party(name),
            request,
            outcome: if why.is_some() {
                naru::model::statement::Outcome::Refused
            } else {
                naru::model::statement::Outcome::Done
            },
            reason: why.map(Into::into),
        }
        .into()
    }

    pub fn acknowledge(&self, name: &str, ppid: Ppid, act: StatementId) -> Statement {
        DutyAcknowledge {
            v: V1,
            kind: Kind::DutyAcknowledge,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party(name),
            act,
        }
        .into()
    }

    pub fn deleted(&self, name: &str, ppid: Ppid, act: StatementId) -> Statement {
        DutyDeleted {
            v: V1,
            kind: Kind::DutyDeleted,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party(name),
            act,
            categories: vec![CATEGORY.into()],
            deleted_at: self.now(),
        }
        .into()
    }

    /// The bank says that it paid, for the day before.
    pub fn settle(&self, ppid: Ppid, grant: StatementId, amount: u64) -> Statement {
        ConsiderationSettle {
            v: V1,
            kind: Kind::ConsiderationSettle,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            party: party("bank"),
            grant,
            from: self.now().minus_ms(DAY),
            until: self.now(),
            amount,
            currency: "KRW".into(),
        }
        .into()
    }

    pub fn dispute(&self, ppid: Ppid) -> Statement {
        ConsentDispute {
            v: V1,
            kind: Kind::ConsentDispute,
            iat: self.now(),
            nonce: nonce(),
            ppid,
            by: None,
            controller: party("bank"),
            purpose: PURPOSE.into(),
            class: DataClass::RealName,
            moved: None,
        }
        .into()
    }

    pub fn ask(&self, ppid: Ppid, action: Action) -> Asked {
        Asked {
            resource: Resource::Person(ppid),
            question: Question {
                controller: party("bank"),
                action: AskedAction::Grantable(action),
                purpose: PURPOSE.into(),
                class: DataClass::RealName,
                categories: vec![CATEGORY.into()],
                recipient: None,
                jurisdiction: None,
                use_id: None,
            },
            min_index: None,
        }
    }

    /// What stands wrong in the data after an orderly stop.
    pub fn faults(&mut self) -> Vec<naru::node::fsck::Fault> {
        self.faults_by(LOG)
    }

    /// The same, knowing another of the log's keys.
    pub fn faults_by(&mut self, key: u8) -> Vec<naru::node::fsck::Fault> {
        drop(self.node.take());
        self.memory.sync();
        self.memory = self.memory.reopen();
        let vault = Vault::open(&self.dir.path().join("vault"), &master()).unwrap();
        let (log, anchor) = (signer(key), self.dir.path().join("anchor"));
        let data = naru::node::fsck::Data {
            store: &self.memory,
            vault: &vault,
            log: log.public(),
            origin: ORIGIN,
            folder: self.dir.path(),
            anchor: Some(&anchor),
        };
        naru::node::fsck::check(&data, &mut |_, _| {}).unwrap().faults
    }

    pub fn check(&self, ppid: Ppid) -> Answer {
        self.node().check(&self.ask(ppid, Action::Use)).unwrap()
    }
}

/// `tests/lag.rs` runs the same stories over a store whose state lags for ever.
pub fn lags() -> bool {
    env!("CARGO_CRATE_NAME") == "lag"
}

pub fn master() -> Key {
    Key::from_slice(&[9; 32]).unwrap()
}

pub fn keys() -> Keys {
    let [log, token, operator] = [LOG, TOKEN, OPERATOR].map(|seed| Box::new(signer(seed)));
    Keys { log, logs: Vec::new(), token, operator: Some(operator) }
}

pub fn settings(dir: &tempfile::TempDir) -> Settings {
    let anchor = Some(dir.path().join("anchor"));
    let data = dir.path().to_owned();
    Settings { grain_ms: 200, tick_ms: 200, anchor, disk_reserve: 0, ..Settings::new(ORIGIN, data) }
}

pub fn genesis(at: Timestamp) -> Vec<u8> {
    genesis_of(at, &naru::node::home_packs().unwrap())
}

/// Genesis under these packs.
pub fn genesis_of(at: Timestamp, packs: &[PackFile]) -> Vec<u8> {
    let spki = |seed| ByteBuf::from(signer(seed).public().spki());
    let statement: Statement = LogCreate {
        v: V1,
        kind: Kind::LogCreate,
        iat: at,
        nonce: nonce(),
        origin: ORIGIN.into(),
        grain: 200,
        log: spki(LOG),
        operator: spki(OPERATOR),
        token: spki(TOKEN),
        regulators: vec![FirstRegulator {
            id: party("pipc"),
            spki: spki(REGULATOR),
            scope: vec!["kr".into()],
        }],
        packs: packs
            .iter()
            .map(|p| FirstPack { name: p.pack.name().to_string(), version: p.pack.version(), hash: p.hash })
            .collect(),
    }
    .into();
    endorse(&sign(&statement, &signer(LOG)), OPERATOR)
}

pub fn sign(statement: &Statement, signer: &dyn Signer) -> Vec<u8> {
    item::sign(statement, signer).unwrap()
}

pub fn endorse(item: &[u8], seed: u8) -> Vec<u8> {
    cose::endorse(&signer(seed), item).unwrap()
}
