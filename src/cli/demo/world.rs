//! The world of the demo: a log, its parties, their notices, one way in.
//!
//! Keys, nonces and randomness come from the seed; the clock is set by hand until
//! the live part opens the same folder with the system's. Lacks HTTP: the year
//! speaks to the node in process.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use serde_bytes::ByteBuf;

use crate::cli::demo::Error;
use crate::cli::demo::offer::AD_NETWORK;
use crate::cli::demo::offer::ANONYMISER;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::DATA_BROKER;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::IDP;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::offer::TELECOM;
use crate::cli::demo::seed::Seed;
use crate::cli::demo::tally::Tally;
use crate::cli::demo::words;
use crate::consent::PackFile;
use crate::identity::item;
use crate::ledger::cose;
use crate::ledger::key::Ed25519Signer;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Audience;
use crate::model::statement::FirstPack;
use crate::model::statement::FirstRegulator;
use crate::model::statement::Kind;
use crate::model::statement::Licence;
use crate::model::statement::LogCreate;
use crate::model::statement::NoticeCategory;
use crate::model::statement::NoticePublish;
use crate::model::statement::NoticePurpose;
use crate::model::statement::NoticeText;
use crate::model::statement::Office;
use crate::model::statement::PartyRegister;
use crate::model::statement::Shown;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::model::vocabulary::Role;
use crate::node::Accepted;
use crate::node::Asked;
use crate::node::Asker;
use crate::node::Keys;
use crate::node::Node;
use crate::node::Outcome;
use crate::node::Refusal;
use crate::node::Settings;
use crate::node::Told;
use crate::node::carried_packs;
use crate::node::clock::Clock;
use crate::node::home_packs;
use crate::store::Store;
use crate::store::fjall::Fjall;
use crate::vault;
use crate::vault::Vault;

/// Origin of the demo's log.
pub(super) const ORIGIN: &str = "localhost:8080/log";
/// Grain of public times, ms.
pub(super) const GRAIN_MS: u64 = 200;
/// 2024-11-01T00:00:00+09:00.
pub(super) const FROM: Timestamp = Timestamp(1_730_386_800_000);
/// A use batch is made this often in the live part, ms.
pub(super) const USE_BATCH_MS: u64 = 1_000;
/// A day, ms.
pub(super) const DAY_MS: u64 = 86_400_000;

/// Origin of the second log, where the Act alone is in force.
const ORIGIN_OF_THE_ACT: &str = "localhost:8080/act";
/// 2026-10-01T00:00:00+09:00: the Act is in force.
const UNDER_THE_ACT: Timestamp = Timestamp(1_790_780_400_000);
/// The Act as a pack.
pub(super) const ACT: &str = "kr-pipa-2026";

/// A running log and what its parties have said.
pub(super) struct World {
    /// Its name.
    pub(super) origin: &'static str,
    pub(super) seed: Seed,
    pub(super) clock: Clock,
    /// Shared with the service of the live part.
    pub(super) node: Arc<Node>,
    pub(super) tally: Tally,
    /// Newest notice of each offer, and the text shown.
    notices: BTreeMap<Offered, Shown>,
    drawn: AtomicU64,
}

impl World {
    /// Begins the log in `out/data` at the first instant of the year and lets the parties in.
    pub(super) fn create(out: &Path, seed: Seed) -> Result<Self, Error> {
        Self::begin(out, seed, ORIGIN, FROM, home_packs()?)
    }

    /// The same parties in a log of their own, with keys of their own, where the Act alone is in force. Its
    /// clock stands.
    pub(super) fn under_the_act(out: &Path, seed: Seed) -> Result<Self, Error> {
        let mut packs = carried_packs()?;
        packs.retain(|file| **file.pack.name() == *ACT);
        Self::begin(out, seed.other(ACT), ORIGIN_OF_THE_ACT, UNDER_THE_ACT, packs)
    }

    fn begin(
        out: &Path,
        seed: Seed,
        origin: &'static str,
        from: Timestamp,
        packs: Vec<PackFile>,
    ) -> Result<Self, Error> {
        let data = out.join("data");
        std::fs::create_dir_all(&data).map_err(Error::at(&data))?;
        let clock = Clock::manual(from);
        let vault = Vault::create(&data.join("vault"), &master(seed)?)?;
        let drawn = AtomicU64::new(0);
        let genesis = genesis(seed, origin, from, packs)?;
        let node =
            Node::create(settings(out, origin), store(&data)?, vault, keys(seed), clock.clone(), genesis)?;
        let node = Arc::new(node);
        let (tally, notices) = (Tally::default(), BTreeMap::new());
        let mut world = Self { origin, seed, clock, node, tally, notices, drawn };
        // `create` recorded genesis itself.
        world.tally.genesis();
        world.let_in()?;
        Ok(world)
    }

    /// Stops the node and opens the same folder under the system's clock.
    pub(super) fn reopen(self, out: &Path) -> Result<Self, Error> {
        let Self { origin, seed, node, tally, notices, drawn, .. } = self;
        // At this point nobody else holds it: the store is let go.
        drop(node);
        let data = out.join("data");
        let vault = Vault::open(&data.join("vault"), &master(seed)?)?;
        let clock = Clock::System;
        let settings = settings(out, origin);
        let node = Arc::new(Node::open(settings, store(&data)?, vault, keys(seed), clock.clone())?);
        Ok(Self { origin, seed, clock, node, tally, notices, drawn })
    }

    /// Operator and regulator stand in genesis; these register.
    fn let_in(&mut self) -> Result<(), Error> {
        for (party, roles) in [
            (BANK, vec![Role::Controller, Role::Recipient]),
            (HOSPITAL, vec![Role::Controller, Role::Recipient]),
            (DATA_BROKER, vec![Role::Controller]),
            (TELECOM, vec![Role::Controller, Role::Recipient]),
            (AD_NETWORK, vec![Role::Controller]),
        ] {
            let item = self.endorsed(&self.registration(party, roles, None)?, party, &["operator"])?;
            self.accept("party.register", Kind::PartyRegister, item)?;
        }
        for (party, roles, number) in [
            (IDP, vec![Role::IdentityProvider], "2024-1"),
            (ANONYMISER, vec![Role::Controller, Role::Anonymiser], "2024-2"),
        ] {
            let licence = Licence { number: number.into(), regulator: id(REGULATOR)? };
            let says = self.registration(party, roles, Some(licence))?;
            let item = self.endorsed(&says, party, &["operator", REGULATOR])?;
            self.accept("party.register", Kind::PartyRegister, item)?;
        }
        for (controller, notice) in NOTICES {
            self.publish(controller, notice, 1)?;
        }
        Ok(())
    }

    /// What a party says of itself.
    pub(super) fn registration(
        &self,
        party: &str,
        roles: Vec<Role>,
        licence: Option<Licence>,
    ) -> Result<Statement, Error> {
        let (name_ko, name_en) = words::party(party);
        let says = PartyRegister {
            v: V1,
            kind: Kind::PartyRegister,
            iat: self.clock.now(),
            nonce: self.nonce(),
            party: id(party)?,
            name_ko: name_ko.into(),
            name_en: name_en.into(),
            roles,
            jurisdiction: "KR".into(),
            office: office(party),
            licence,
            scope: Vec::new(),
            transfer: None,
        };
        Ok(says.into())
    }

    /// Stores the texts of a notice and publishes it.
    pub(super) fn publish(
        &mut self,
        controller: &'static str,
        name: &'static str,
        version: u32,
    ) -> Result<StatementId, Error> {
        let mut texts = Vec::new();
        for (locale, text) in words::notice(controller, name) {
            texts.push(NoticeText {
                locale: locale.into(),
                audience: Audience::Adult,
                media_type: "text/plain; charset=utf-8".into(),
                length: text.len() as u64,
                hash: self.node.attach(text.as_bytes())?,
            });
        }
        let first = texts.first().map(|t| t.hash);
        let says = self.notice(controller, name, version, texts)?;
        let accepted = self.accept("notice.publish", Kind::NoticePublish, self.signed(&says, controller)?)?;
        let hash = first.ok_or(Error::Unexpected { step: "notice", found: "no text".into() })?;
        let shown = Shown { id: accepted.id, hash, locale: "ko".into() };
        for offered in Offered::ALL {
            let offer = offered.offer();
            if (offer.controller, offer.notice) == (controller, name) {
                self.notices.insert(offered, shown.clone());
            }
        }
        Ok(accepted.id)
    }

    /// What a notice says: all offers of that name.
    pub(super) fn notice(
        &self,
        controller: &str,
        name: &str,
        version: u32,
        texts: Vec<NoticeText>,
    ) -> Result<Statement, Error> {
        let category = |(category, items): &(&str, &[&str]), required| NoticeCategory {
            category: (*category).into(),
            items: items.iter().map(|i| (*i).to_owned()).collect(),
            required,
            reason: words::reason(required).into(),
        };
        let mut purposes = Vec::new();
        for offer in Offered::ALL.map(Offered::offer) {
            if (offer.controller, offer.notice) != (controller, name) {
                continue;
            }
            let required = offer.required.iter().map(|c| category(c, true));
            purposes.push(NoticePurpose {
                purpose: offer.purpose.into(),
                class: offer.class,
                categories: required.chain(offer.optional.iter().map(|c| category(c, false))).collect(),
                actions: offer.actions.to_vec(),
                recipients: ids(offer.recipients)?,
                keep_ms: offer.keep_days * DAY_MS,
            });
        }
        let says = NoticePublish {
            v: V1,
            kind: Kind::NoticePublish,
            iat: self.clock.now(),
            nonce: self.nonce(),
            controller: id(controller)?,
            name: name.into(),
            version,
            purposes,
            texts,
            office: office(controller),
            abroad: None,
            claims: Vec::new(),
        };
        Ok(says.into())
    }

    /// What is shown to a person who is asked.
    pub(super) fn shown(&self, offered: Offered) -> Result<Shown, Error> {
        let missing = Error::Unexpected { step: "notice", found: format!("none for {offered:?}") };
        self.notices.get(&offered).cloned().ok_or(missing)
    }

    /// A party's key; the operator's, too.
    pub(super) fn party_key(&self, party: &str) -> Ed25519Signer {
        self.seed.signer(party, 0)
    }

    /// A nonce for statements made one by one.
    pub(super) fn nonce(&self) -> Nonce {
        self.seed.nonce("world", self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// Signed by a party.
    pub(super) fn signed(&self, says: &Statement, party: &str) -> Result<Vec<u8>, Error> {
        Ok(item::sign(says, &self.party_key(party))?)
    }

    /// Signed by a party and endorsed by others.
    pub(super) fn endorsed(&self, says: &Statement, party: &str, others: &[&str]) -> Result<Vec<u8>, Error> {
        let mut item = self.signed(says, party)?;
        for other in others {
            item = cose::endorse(&self.party_key(other), &item).map_err(crate::identity::Error::from)?;
        }
        Ok(item)
    }

    /// Hands one item in.
    pub(super) fn hand_in(&mut self, kind: Kind, item: Vec<u8>) -> Outcome {
        let outcome = self.node.record(vec![item]).pop().unwrap_or_else(closing);
        self.tally.statement(kind, &outcome);
        outcome
    }

    /// Hands in what must be accepted.
    pub(super) fn accept(
        &mut self,
        step: &'static str,
        kind: Kind,
        item: Vec<u8>,
    ) -> Result<Accepted, Error> {
        self.hand_in(kind, item).map_err(|refusal| Error::Refused { step, refusal })
    }

    /// Hands in what must be refused with this code.
    pub(super) fn refuse(
        &mut self,
        step: &'static str,
        kind: Kind,
        item: Vec<u8>,
        code: &'static str,
    ) -> Result<(), Error> {
        match self.hand_in(kind, item) {
            Err(refusal) if super::tally::code(&refusal) == code => Ok(()),
            Err(refusal) => Err(Error::Refused { step, refusal }),
            Ok(_) => Err(Error::Unexpected { step, found: "accepted".into() }),
        }
    }

    /// A person's ppid at a party, or in the log's own domain.
    pub(super) fn ppid(&self, key: &KeyHash, party: Option<&str>) -> Result<Ppid, Error> {
        let party = party.map(id).transpose()?;
        let unknown = || Error::Unexpected { step: "ppid", found: "nobody of that key".into() };
        self.node.ppid(key, party.as_ref())?.ok_or_else(unknown)
    }

    /// Answers the controller as it is answered over HTTP: its line is written first.
    pub(super) fn tell(&self, asked: &Asked) -> Told {
        let asker = Asker { party: &asked.question.controller, signed: None };
        self.node.tell_in_memory(asker, asked).unwrap_or_else(|| self.node.tell(asker, asked))
    }

    /// Syncs the use log by hand and has the operator sign for its lines so far.
    pub(super) fn batch_uses(&mut self) -> Result<(), Error> {
        self.node.sync_uses()?;
        if let Some(outcome) = self.node.batch_uses()? {
            self.tally.statement(Kind::UseBatch, &outcome);
            outcome.map_err(|refusal| Error::Refused { step: "use.batch", refusal })?;
        }
        Ok(())
    }

    /// Moves the clock on.
    pub(super) fn advance(&self, ms: u64) {
        self.clock.set(self.clock.now().plus_ms(ms));
    }
}

/// What a node that has gone answers.
pub(super) fn closing() -> Outcome {
    Err(Refusal::Unavailable(crate::node::Stop::Closing))
}

/// A party's name, parsed.
pub(super) fn id(party: &str) -> Result<PartyId, Error> {
    PartyId::parse(party).ok_or_else(|| Error::Unexpected { step: "party name", found: party.to_owned() })
}

/// Several.
pub(super) fn ids(parties: &[&str]) -> Result<Vec<PartyId>, Error> {
    parties.iter().map(|p| id(p)).collect()
}

/// The name of a key.
pub(super) fn key_hash(signer: &dyn Signer) -> KeyHash {
    KeyHash(signer.public().hash())
}

/// What the demo tells a node.
fn settings(out: &Path, origin: &str) -> Settings {
    let anchor: Option<PathBuf> = Some(out.join("anchor"));
    Settings {
        grain_ms: GRAIN_MS,
        tick_ms: GRAIN_MS,
        anchor,
        disk_reserve: 0,
        use_log: true,
        use_batch_ms: USE_BATCH_MS,
        ..Settings::new(origin, out.join("data"))
    }
}

fn store(data: &Path) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(Fjall::open(data.join("store"))?))
}

fn master(seed: Seed) -> Result<vault::Key, Error> {
    let short = || Error::Unexpected { step: "master key", found: "not 32 bytes".into() };
    vault::Key::from_slice(&master_bytes(seed)).ok_or_else(short)
}

/// The master key of the demo's vault.
pub(super) fn master_bytes(seed: Seed) -> [u8; 32] {
    seed.bytes("master", 0)
}

fn keys(seed: Seed) -> Keys {
    let [log, token, operator] = ["log", "token", "operator"].map(|name| Box::new(seed.signer(name, 0)));
    Keys { log, logs: Vec::new(), token, operator: Some(operator) }
}

/// The genesis item: by the log key, endorsed by the operator.
fn genesis(seed: Seed, origin: &str, at: Timestamp, packs: Vec<PackFile>) -> Result<Vec<u8>, Error> {
    let spki = |name: &str| ByteBuf::from(seed.signer(name, 0).public().spki());
    let pack =
        |p: PackFile| FirstPack { name: p.pack.name().to_string(), version: p.pack.version(), hash: p.hash };
    let says: Statement = LogCreate {
        v: V1,
        kind: Kind::LogCreate,
        iat: at,
        nonce: seed.nonce("genesis", 0),
        origin: origin.into(),
        grain: GRAIN_MS,
        log: spki("log"),
        operator: spki("operator"),
        token: spki("token"),
        regulators: vec![FirstRegulator {
            id: id(REGULATOR)?,
            spki: spki(REGULATOR),
            scope: vec!["kr".into()],
        }],
        packs: packs.into_iter().map(pack).collect(),
    }
    .into();
    let signed = item::sign(&says, &seed.signer("log", 0))?;
    Ok(cose::endorse(&seed.signer("operator", 0), &signed).map_err(crate::identity::Error::from)?)
}

fn office(party: &str) -> Office {
    Office { name: words::OFFICE.into(), contact: format!("privacy@{party}.example") }
}

/// Controllers and their notices, each with all offers of that name.
const NOTICES: [(&str, &str); 12] = [
    (BANK, "accounts"),
    (BANK, "marketing"),
    (BANK, "statistics"),
    (HOSPITAL, "care"),
    (HOSPITAL, "research"),
    (HOSPITAL, "statistics"),
    (HOSPITAL, "survey"),
    (DATA_BROKER, "advertising"),
    (TELECOM, "line"),
    (TELECOM, "mobility"),
    (AD_NETWORK, "advertising"),
    (ANONYMISER, "releases"),
];
