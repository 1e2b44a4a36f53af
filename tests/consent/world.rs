//! A small world to test in: an operator, a regulator, parties, persons, notices.

use std::sync::Arc;

use naru::consent::{Actor, Effect, PackFile, Person, Register, SlotKey, Touched};
use naru::identity::{Recorded, Signed};
use naru::model::decision::{Question, Why};
use naru::model::id::{Hash, KeyHash, LeafIndex, Nonce, PartyId, Ppid, StatementId, SubjectId, Timestamp};
use naru::model::pack::{Pack, kcern_2018};
use naru::model::statement::*;
use naru::model::terms::Vocabulary;
use naru::model::vocabulary::{Action, AskedAction, DataClass, Role};
use sha2::{Digest, Sha256};

pub(crate) const DAY: u64 = 24 * 60 * 60 * 1000;
pub(crate) const T0: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const MARKETING: &str = "dpv:Marketing";
pub(crate) const RESEARCH: &str = "dpv:ScientificResearch";
pub(crate) const SERVICE: &str = "dpv:ServiceProvision";
pub(crate) const RESCUE: &str = "dpv:ImproveHealthcare";
pub(crate) const INCOME: &str = "pd:Income";
pub(crate) const AGE: &str = "pd:AgeRange";

/// The home rule with an exception, a recognised and a closed country.
pub(crate) fn open_pack_text() -> String {
    let line = "ko='k'\nen='e'\nsource='s'\nconfidence='reading'\n";
    kcern_2018().replace("name = \"kcern-2018\"", "name = \"open\"").replace(
        "[minors]",
        &format!(
            "[[exception]]\nid='research'\n{line}article='28-2'\nclasses=['pseudonymous']\n\
             purposes=['{RESEARCH}']\nactions=['use', 'share']\n\
             [[border]]\nid='equal'\n{line}countries=['DE']\nneeds='adequacy'\n\
             [[border]]\nid='closed'\n{line}countries=['KP']\nneeds='refused'\n[minors]"
        ),
    )
}

pub(crate) fn key(name: &str) -> KeyHash {
    KeyHash(Sha256::digest(name.as_bytes()).into())
}

pub(crate) fn hash(name: &str) -> Hash {
    Hash(Sha256::digest(name.as_bytes()).into())
}

pub(crate) fn party(name: &str) -> PartyId {
    PartyId::parse(name).unwrap()
}

pub(crate) fn ppid() -> Ppid {
    Ppid([7; 16])
}

/// Makes a good statement bad.
pub(crate) type Spoil<'a, T> = &'a dyn Fn(&mut T);

pub(crate) const NONCE: Nonce = Nonce([1; 16]);

/// Everybody signs with the key of their name.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) register: Register,
    pub(crate) packs: Vec<Arc<Pack>>,
    pub(crate) index: LeafIndex,
    pub(crate) now: Timestamp,
}

impl World {
    /// Before genesis.
    pub(crate) fn void(texts: &[&str]) -> Self {
        let packs: Vec<Arc<Pack>> = texts.iter().map(|t| Arc::new(Pack::parse(t).unwrap())).collect();
        let mut world = Self { register: Register::default(), packs, index: 0, now: T0 };
        world.register = Register::new(Arc::new(Vocabulary::embedded().unwrap()), world.files());
        world
    }

    /// The files of all packs, under the hashes the statements name.
    pub(crate) fn files(&self) -> Vec<PackFile> {
        let file = |p: &Arc<Pack>| PackFile { hash: hash(p.name()), pack: Arc::clone(p) };
        self.packs.iter().map(file).collect()
    }

    /// The adoption of a pack, as operator and regulator sign it.
    pub(crate) fn adoption(&self, pack: &Pack, from: Timestamp) -> PackAdopt {
        PackAdopt {
            v: V1,
            kind: Kind::PackAdopt,
            iat: self.now,
            nonce: NONCE,
            pack: pack.name().to_string(),
            version: pack.version(),
            hash: hash(&format!("{} {}", pack.name(), pack.version())),
            from,
            replay: None,
        }
    }

    /// Adopts a pack; its file comes with the statement.
    pub(crate) fn adopt(&mut self, text: &str, from: Timestamp) -> Effect {
        let pack = Pack::parse(text).unwrap();
        let s = self.adoption(&pack, from);
        self.adopt_as("operator", &["kisa"], s, pack)
    }

    pub(crate) fn adopt_as(&mut self, signer: &str, endorsers: &[&str], s: PackAdopt, pack: Pack) -> Effect {
        let file =
            PackFile { hash: hash(&format!("{} {}", pack.name(), pack.version())), pack: Arc::new(pack) };
        let recorded = self.place(signer, endorsers, s);
        self.register.apply_with(&recorded, &[file])
    }

    /// Genesis, and nobody but `kisa`, the first regulator.
    pub(crate) fn fresh(texts: &[&str]) -> Self {
        let mut w = Self::void(texts);
        let genesis = w.genesis();
        assert_eq!(w.public("log", &["operator"], genesis), Effect::Applied(Touched::Register));
        w
    }

    /// With parties and the notice `n1` of `bank`.
    pub(crate) fn new(texts: &[&str]) -> Self {
        let mut w = Self::fresh(texts);
        for name in ["bank", "shop", "hospital"] {
            w.admit(name, &[Role::Controller], &["operator"]);
        }
        w.admit("lab", &[Role::Recipient], &["operator"]);
        w.admit("cloud", &[Role::Processor], &["operator"]);
        w.admit("idp", &[Role::IdentityProvider], &["operator", "kisa"]);
        w.admit("anon", &[Role::Anonymiser, Role::Controller], &["operator", "kisa"]);
        w.admit("combi", &[Role::Combiner, Role::Controller], &["operator", "kisa"]);
        w
    }

    pub(crate) fn home() -> Self {
        Self::new(&[kcern_2018()])
    }

    pub(crate) fn open() -> Self {
        Self::new(&[&open_pack_text()])
    }

    pub(crate) fn genesis(&self) -> LogCreate {
        let spki = |name: &str| serde_bytes::ByteBuf::from(name.as_bytes());
        LogCreate {
            v: V1,
            kind: Kind::LogCreate,
            iat: self.now,
            nonce: NONCE,
            origin: "log.example".into(),
            grain: 5000,
            log: spki("log"),
            operator: spki("operator"),
            token: spki("token"),
            regulators: vec![FirstRegulator {
                id: party("kisa"),
                spki: spki("kisa"),
                scope: vec!["all".into()],
            }],
            packs: self
                .packs
                .iter()
                .map(|p| FirstPack { name: p.name().to_string(), version: p.version(), hash: hash(p.name()) })
                .collect(),
        }
    }

    pub(crate) fn admit(&mut self, name: &str, roles: &[Role], endorsers: &[&str]) {
        let s = self.registration(name, roles);
        assert_eq!(self.public(name, endorsers, s), Effect::Applied(Touched::Register), "{name}");
    }

    pub(crate) fn registration(&self, name: &str, roles: &[Role]) -> PartyRegister {
        let licensed = roles.iter().any(|r| r.needs_regulator() && *r != Role::Regulator);
        PartyRegister {
            v: V1,
            kind: Kind::PartyRegister,
            iat: self.now,
            nonce: NONCE,
            party: party(name),
            name_ko: name.into(),
            name_en: name.into(),
            roles: roles.to_vec(),
            jurisdiction: "KR".into(),
            office: office(),
            licence: licensed.then(|| Licence { number: "1".into(), regulator: party("kisa") }),
            scope: if roles.contains(&Role::Regulator) { vec!["all".into()] } else { Vec::new() },
            transfer: None,
        }
    }

    /// Gives a statement its place.
    pub(crate) fn place(&mut self, signer: &str, endorsers: &[&str], s: impl Into<Statement>) -> Recorded {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(self.index + 1).to_be_bytes());
        let signed = Signed {
            id: StatementId(id),
            signer: key(signer),
            endorsers: endorsers.iter().map(|name| key(name)).collect(),
        };
        let recorded = Recorded::assertion(s.into(), signed, self.index, self.now);
        self.index += 1;
        recorded
    }

    pub(crate) fn public(&mut self, signer: &str, endorsers: &[&str], s: impl Into<Statement>) -> Effect {
        let recorded = self.place(signer, endorsers, s);
        self.register.apply(&recorded)
    }

    /// A person whose key has her name.
    pub(crate) fn person(&mut self, name: &str) -> Person {
        self.person_with(name, None)
    }

    /// The same, with a recovery key.
    pub(crate) fn person_with(&mut self, name: &str, recovery: Option<&str>) -> Person {
        let mut subject = [0; 16];
        subject[..8].copy_from_slice(&self.index.to_be_bytes());
        let mut person = Person::new(SubjectId(subject));
        let s = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: self.now,
            nonce: NONCE,
            key_use: KeyUse::Device,
            recovery: recovery.map(key),
        };
        assert_eq!(self.own(&mut person, name, s), Effect::Applied(Touched::Core));
        person
    }

    pub(crate) fn act(
        &mut self,
        person: &mut Person,
        actor: &Actor<'_>,
        signer: &str,
        s: impl Into<Statement>,
    ) -> Effect {
        self.act_with(person, actor, signer, &[], s)
    }

    pub(crate) fn act_with(
        &mut self,
        person: &mut Person,
        actor: &Actor<'_>,
        signer: &str,
        endorsers: &[&str],
        s: impl Into<Statement>,
    ) -> Effect {
        let recorded = self.place(signer, endorsers, s);
        person.apply(&self.register, actor, &recorded)
    }

    pub(crate) fn own(&mut self, person: &mut Person, signer: &str, s: impl Into<Statement>) -> Effect {
        self.act(person, &Actor::Own, signer, s)
    }

    pub(crate) fn by_party(&mut self, person: &mut Person, name: &str, s: impl Into<Statement>) -> Effect {
        self.act(person, &Actor::Party(party(name)), name, s)
    }

    /// Id of the statement placed last.
    pub(crate) fn last(&self) -> StatementId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.index.to_be_bytes());
        StatementId(id)
    }

    pub(crate) fn notice(&self, controller: &str, name: &str, purposes: Vec<NoticePurpose>) -> NoticePublish {
        let abroad = purposes.iter().any(|p| p.actions.contains(&Action::TransferAbroad));
        NoticePublish {
            v: V1,
            kind: Kind::NoticePublish,
            iat: self.now,
            nonce: NONCE,
            controller: party(controller),
            name: name.into(),
            version: 1,
            purposes,
            texts: vec![NoticeText {
                locale: "ko".into(),
                audience: Audience::Adult,
                media_type: "text/plain".into(),
                length: 10,
                hash: hash("text"),
            }],
            office: office(),
            abroad: abroad.then(abroad_block),
            claims: Vec::new(),
        }
    }

    /// Publishes a notice of `bank` for real-name, pseudonymous and anonymous data.
    pub(crate) fn publish(&mut self) -> StatementId {
        let s = self.notice("bank", "main", usual_purposes());
        assert_eq!(self.public("bank", &[], s), Effect::Applied(Touched::Register));
        self.last()
    }

    /// A grant to `bank` for marketing under the notice.
    pub(crate) fn grant(&self, notice: StatementId, over: Option<StatementId>) -> ConsentGrant {
        ConsentGrant {
            v: V1,
            kind: Kind::ConsentGrant,
            iat: self.now,
            nonce: NONCE,
            ppid: ppid(),
            by: None,
            over,
            controller: party("bank"),
            recipients: vec![party("lab")],
            purpose: MARKETING.into(),
            categories: vec![INCOME.into(), AGE.into()],
            class: DataClass::RealName,
            actions: vec![Action::Collect, Action::Use, Action::Share],
            jurisdictions: vec!["KR".into()],
            fetch_until: self.now.plus_ms(10 * DAY),
            keep_until: self.now.plus_ms(20 * DAY),
            limits: None,
            consideration: None,
            notice: Shown { id: notice, hash: hash("text"), locale: "ko".into() },
            link: None,
            moved: None,
        }
    }
}

pub(crate) fn office() -> Office {
    Office { name: "Privacy".into(), contact: "tel:1".into() }
}

pub(crate) fn abroad_block() -> Abroad {
    let w = || "w".to_owned();
    Abroad {
        recipient: w(),
        contact: w(),
        country: "US".into(),
        items: vec![w()],
        when: w(),
        how: w(),
        purpose: w(),
        term: w(),
        refuse: w(),
        consequence: w(),
    }
}

pub(crate) fn asks(purpose: &str, class: DataClass, actions: &[Action]) -> NoticePurpose {
    let category = |name: &str, required| NoticeCategory {
        category: name.into(),
        items: Vec::new(),
        required,
        reason: "because".into(),
    };
    NoticePurpose {
        purpose: purpose.into(),
        class,
        categories: vec![category(INCOME, true), category(AGE, false)],
        actions: actions.to_vec(),
        recipients: vec![party("lab"), party("shop")],
        keep_ms: 365 * DAY,
    }
}

pub(crate) fn usual_purposes() -> Vec<NoticePurpose> {
    vec![
        asks(MARKETING, DataClass::RealName, &Action::ALL),
        asks(MARKETING, DataClass::Pseudonymous, &Action::ALL),
        asks(RESEARCH, DataClass::Pseudonymous, &Action::ALL),
        asks(RESEARCH, DataClass::Anonymous, &[Action::Anonymise]),
    ]
}

macro_rules! act {
    ($name:ident, $kind:ident $(, $extra:ident: $value:expr)*) => {
        pub(crate) fn $name(controller: &str, purpose: &str, class: DataClass) -> $kind {
            $kind {
                v: V1,
                kind: Kind::$kind,
                iat: T0,
                nonce: NONCE,
                ppid: ppid(),
                by: None,
                controller: party(controller),
                purpose: purpose.into(),
                class,
                $($extra: $value,)*
            }
        }
    };
}
act!(refuse, ConsentRefuse, notice: None, link: None, moved: None);
act!(withdraw, ConsentWithdraw, moved: None);
act!(pause, ConsentPause, moved: None);
act!(resume, ConsentResume, over: None);
act!(dispute, ConsentDispute, moved: None);

pub(crate) fn object(controller: &str, purpose: &str, class: DataClass) -> ConsentObject {
    ConsentObject {
        v: V1,
        kind: Kind::ConsentObject,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        by: None,
        controller: controller.to_owned().into(),
        purpose: purpose.to_owned().into(),
        class,
        moved: None,
    }
}

pub(crate) fn lift(
    controller: &str,
    purpose: &str,
    class: DataClass,
    over: Option<StatementId>,
) -> ConsentLift {
    ConsentLift {
        v: V1,
        kind: Kind::ConsentLift,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        by: None,
        over,
        controller: controller.to_owned().into(),
        purpose: purpose.to_owned().into(),
        class,
    }
}

pub(crate) fn signal(act: SignalAct, controller: &str, purpose: &str, class: DataClass) -> ConsentSignal {
    ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        act,
        controller: controller.to_owned().into(),
        purpose: purpose.to_owned().into(),
        class,
        channel: Channel::Desk,
    }
}

/// What `attest` says is what the grant says.
pub(crate) fn attest(g: &ConsentGrant) -> ConsentAttest {
    ConsentAttest {
        v: V1,
        kind: Kind::ConsentAttest,
        iat: g.iat,
        nonce: NONCE,
        ppid: ppid(),
        over: g.over,
        controller: g.controller.clone(),
        recipients: g.recipients.clone(),
        purpose: g.purpose.clone(),
        categories: g.categories.clone(),
        class: g.class,
        actions: g.actions.clone(),
        jurisdictions: g.jurisdictions.clone(),
        fetch_until: g.fetch_until,
        keep_until: g.keep_until,
        given_at: T0.minus_ms(DAY),
        how: "paper".into(),
    }
}

pub(crate) fn subject_attest(
    provider: &str,
    minor_until: Option<Timestamp>,
    guardian: Option<&str>,
) -> SubjectAttest {
    SubjectAttest {
        v: V1,
        kind: Kind::SubjectAttest,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        provider: party(provider),
        minor_until,
        guardian: guardian.map(key),
        method: ProofMethod::Register,
    }
}

pub(crate) fn delegation(delegate: &str, reason: &str, types: &[Kind], until: Timestamp) -> DelegationGrant {
    DelegationGrant {
        v: V1,
        kind: Kind::DelegationGrant,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        over: None,
        delegate: key(delegate),
        types: types.iter().map(|kind| kind.as_str().to_owned()).collect(),
        controllers: Vec::new(),
        until,
        depth: 0,
        reason: reason.into(),
    }
}

pub(crate) fn delegation_end(delegate: &str) -> DelegationEnd {
    DelegationEnd {
        v: V1,
        kind: Kind::DelegationEnd,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        delegate: key(delegate),
    }
}

/// One item, once, for ten days.
pub(crate) fn demand(sender: &str, recipient: &str, now: Timestamp) -> TransferDemand {
    TransferDemand {
        v: V1,
        kind: Kind::TransferDemand,
        iat: now,
        nonce: NONCE,
        ppid: ppid(),
        by: None,
        over: None,
        sender: party(sender),
        recipient: party(recipient),
        scheduled: false,
        fund_cycle: None,
        add_cycle: None,
        end: now.plus_ms(10 * DAY),
        purpose: MARKETING.into(),
        keep_until: now.plus_ms(20 * DAY),
        targets: vec![Target { scope: "bank.deposit".into(), assets: Vec::new() }],
        mode: Mode::Store,
    }
}

pub(crate) fn stop(demand: StatementId) -> TransferStop {
    TransferStop { v: V1, kind: Kind::TransferStop, iat: T0, nonce: NONCE, ppid: ppid(), by: None, demand }
}

macro_rules! run_step {
    ($name:ident, $kind:ident, $($field:ident: $ty:ty = $value:expr),*) => {
        pub(crate) fn $name(by: &str, demand: StatementId, run: u64, $($field: $ty),*) -> $kind {
            $kind {
                v: V1,
                kind: Kind::$kind,
                iat: T0,
                nonce: NONCE,
                ppid: ppid(),
                party: party(by),
                demand,
                run,
                $($field: $value,)*
            }
        }
    };
}
run_step!(confirm, TransferConfirm, received: u64 = received, announced: u64 = announced);
run_step!(fail, TransferFail, code: FailCode = code);

pub(crate) fn deliver(by: &str, demand: StatementId, run: u64, items: u64) -> TransferDeliver {
    TransferDeliver {
        v: V1,
        kind: Kind::TransferDeliver,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(by),
        demand,
        run,
        items,
        hash: hash("delivered"),
    }
}

/// A right claimed against a controller.
pub(crate) fn claim(controller: &str, right: Right, categories: &[&str]) -> RightRequest {
    RightRequest {
        v: V1,
        kind: Kind::RightRequest,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        by: None,
        controller: party(controller),
        right,
        categories: categories.iter().map(|c| (*c).to_owned()).collect(),
    }
}

pub(crate) fn answer(
    name: &str,
    request: StatementId,
    outcome: Outcome,
    reason: Option<&str>,
) -> RightAnswer {
    RightAnswer {
        v: V1,
        kind: Kind::RightAnswer,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(name),
        request,
        outcome,
        reason: reason.map(Into::into),
    }
}

pub(crate) fn acknowledge(name: &str, act: StatementId) -> DutyAcknowledge {
    DutyAcknowledge {
        v: V1,
        kind: Kind::DutyAcknowledge,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(name),
        act,
    }
}

pub(crate) fn deleted(name: &str, act: StatementId, categories: &[&str], on: Timestamp) -> DutyDeleted {
    DutyDeleted {
        v: V1,
        kind: Kind::DutyDeleted,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(name),
        act,
        categories: categories.iter().map(|c| (*c).to_owned()).collect(),
        deleted_at: on,
    }
}

/// A report of so many won, for a period.
pub(crate) fn settle(
    name: &str,
    grant: StatementId,
    (from, until): (Timestamp, Timestamp),
    amount: u64,
) -> ConsiderationSettle {
    ConsiderationSettle {
        v: V1,
        kind: Kind::ConsiderationSettle,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(name),
        grant,
        from,
        until,
        amount,
        currency: "KRW".into(),
    }
}

/// Reasons for a rescue.
pub(crate) fn justify(name: &str, from: Timestamp, until: Timestamp) -> DutyJustify {
    DutyJustify {
        v: V1,
        kind: Kind::DutyJustify,
        iat: T0,
        nonce: NONCE,
        ppid: ppid(),
        party: party(name),
        rule: "kr-pipa-2026#vital-interest".into(),
        purpose: RESCUE.into(),
        class: DataClass::RealName,
        from,
        until,
        reason: "unconscious".into(),
    }
}

pub(crate) fn question(action: Action) -> Question {
    Question {
        controller: party("bank"),
        action: AskedAction::Grantable(action),
        purpose: MARKETING.into(),
        class: DataClass::RealName,
        categories: vec![INCOME.into()],
        recipient: if action == Action::Share { Some(party("lab")) } else { None },
        jurisdiction: None,
        use_id: None,
    }
}

pub(crate) fn slot_key() -> SlotKey {
    SlotKey::exact(&party("bank"), MARKETING, DataClass::RealName)
}

pub(crate) fn applied() -> Effect {
    Effect::Applied(Touched::Slot(slot_key()))
}

pub(crate) fn inert(why: Why) -> Effect {
    Effect::Inert(why)
}
