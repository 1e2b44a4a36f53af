//! Exceptions: claimed, told, never assumed; and whether they permit is the law's.
//!
//! Under the home rule no exception permits, also not of a law adopted beside it. In a
//! second log, where the Act alone is in force, the same claim does, until she objects.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;

use crate::cli::demo::Error;
use crate::cli::demo::act;
use crate::cli::demo::act::Life;
use crate::cli::demo::draw::Act;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::fresh;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wire::CITIZEN;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::words;
use crate::cli::demo::world::ACT;
use crate::cli::demo::world::DAY_MS;
use crate::cli::demo::world::FROM;
use crate::cli::demo::world::World;
use crate::cli::demo::world::key_hash;
use crate::cli::demo::year;
use crate::http;
use crate::http::Running;
use crate::identity::item;
use crate::ledger::cose;
use crate::model::id::Ppid;
use crate::model::pack::parse_instant;
use crate::model::statement::Audience;
use crate::model::statement::Claim;
use crate::model::statement::Kind;
use crate::model::statement::NoticeText;
use crate::model::statement::PackAdopt;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::CARRIED_PACKS;
use crate::node::carried_packs;

/// The exception of the Act that is claimed.
const RULE: &str = "kr-pipa-2026#research-28-2";
/// Before this instant the law of the pack is not in force.
const LAW_FROM: &str = "2026-09-11T00:00:00+09:00";
/// From the recording of the pack to its instant: a day is the least.
const DAYS_BEFORE: u64 = 2;

/// A port of the system's choice.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The second log, served: stopped when dropped.
pub(in crate::cli::demo) struct Elsewhere {
    _running: Running,
    _world: World,
}

/// May the hospital use this person's pseudonymous record for research?
fn research(ppid: Ppid) -> Value {
    let offer = Offered::Research.offer();
    json!({
        "subject": { "type": "party", "id": HOSPITAL },
        "action": { "name": "use", "properties": { "purpose": offer.purpose } },
        "resource": {
            "type": "person",
            "id": ppid.to_text(),
            "properties": { "class": offer.class.as_str(), "categories": offer.categories(0) },
        },
    })
}

impl Live<'_> {
    /// A pack is adopted for later, the hospital claims an exception of it, she is told.
    pub(super) fn law(&mut self) -> Result<(), Error> {
        self.adopt()?;
        self.hands_in(words::ADOPT, "adopt", 201)?;
        self.claim()?;
        self.hands_in(words::CLAIM, "claim", 201)?;

        let path = "/v1/subjects/me/exceptions";
        self.says(words::TOLD);
        self.curl(path, "-H @citizen.auth");
        let told = self.get(path, CITIZEN)?.expect("exceptions", 200)?.json()?;
        let all = told.get("exceptions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let claimed = all.first().ok_or_else(|| wrong("exceptions", &told))?;
        let text = |pointer| wire::text(claimed, pointer);
        self.tells(
            words::CLAIMED,
            &[&text("/controller"), &text("/article"), &text("/purpose"), &text("/reason")],
        );

        self.says(words::HOME_RULE);
        self.party_token(HOSPITAL)?;
        // A name nobody has: nothing is recorded, so the rule alone answers.
        self.ask(HOSPITAL, "research", &research(Ppid([0x31; 16])), false).map(drop)
    }

    /// Another log, where the Act alone is in force: there the claim permits, until she objects. The log is
    /// served as long as the answer lives.
    pub(super) fn elsewhere(&mut self) -> Result<Elsewhere, Error> {
        let out = self.out.join("act");
        let mut world = World::under_the_act(&out, self.world.seed)?;
        let signer = year::citizen_key(&world, year::CITIZEN);
        let says = act::key_create(world.clock.now(), world.nonce());
        world.accept("key.create", Kind::KeyCreate, item::sign(&says, &signer)?)?;
        let ppid = world.ppid(&key_hash(&signer), Some(HOSPITAL))?;
        let life = Life { ppids: BTreeMap::from([(Some(HOSPITAL), ppid)]), ..Life::default() };
        // Only the first service listens to signals.
        let options = http::Options { signals: http::Signals::Ignored, ..http::Options::new(ANY_PORT) };
        let running = super::served(&world, options)?;
        let mut there = Live::new(&world, &out, &running, self.voice);
        there.step = self.step;

        there.says(words::ELSEWHERE);
        there.line("cd ../act/live");
        there.party_token(HOSPITAL)?;
        let question = research(ppid);
        there.ask(HOSPITAL, "research", &question, false)?;
        there.claim()?;
        there.hands_in(words::CLAIM_THERE, "claim", 201)?;
        there.says(words::EXCEPTED);
        there.ask(HOSPITAL, "research", &question, true)?;
        there.prepare("object", Act::Object(Offered::Research), &life)?;
        there.hands_in(words::OBJECTS, "object", 201)?;
        there.says(words::STOPPED);
        there.ask(HOSPITAL, "research", &question, false)?;
        self.step = there.step;
        Ok(Elsewhere { _running: running, _world: world })
    }

    /// The operator says it, a regulator endorses it.
    fn adopt(&self) -> Result<(), Error> {
        let missing = || wrong("pack", "not carried by this build");
        let pack =
            carried_packs()?.into_iter().find(|file| **file.pack.name() == *ACT).ok_or_else(missing)?;
        // Its bytes stand before anything names them.
        for text in CARRIED_PACKS {
            self.world.node.attach(text.as_bytes())?;
        }
        let now = self.world.clock.now();
        // Laws begin at midnight.
        let earliest = now.plus_ms(DAYS_BEFORE * DAY_MS);
        let days = earliest.0.saturating_sub(FROM.0).div_ceil(DAY_MS);
        let law = parse_instant(LAW_FROM).ok_or_else(missing)?;
        let says: Statement = PackAdopt {
            v: V1,
            kind: Kind::PackAdopt,
            iat: now,
            nonce: fresh()?,
            pack: ACT.into(),
            version: pack.pack.version(),
            hash: pack.hash,
            from: law.max(FROM.plus_ms(days * DAY_MS)),
            replay: None,
        }
        .into();
        let signed = self.world.signed(&says, "operator")?;
        let item =
            cose::endorse(&self.world.party_key(REGULATOR), &signed).map_err(crate::identity::Error::from)?;
        self.keep("adopt", &item).map(drop)
    }

    /// The hospital's research notice once more, with the exception it claims and why.
    fn claim(&self) -> Result<(), Error> {
        let mut texts = Vec::new();
        for (locale, text) in words::notice(HOSPITAL, "research") {
            texts.push(NoticeText {
                locale: locale.into(),
                audience: Audience::Adult,
                media_type: "text/plain; charset=utf-8".into(),
                length: text.len() as u64,
                hash: self.world.node.attach(text.as_bytes())?,
            });
        }
        let mut says = self.world.notice(HOSPITAL, "research", 2, texts)?;
        if let Statement::NoticePublish(notice) = &mut says {
            notice.nonce = fresh()?;
            let purpose = Offered::Research.offer().purpose.into();
            notice.claims = vec![Claim { rule: RULE.into(), purpose, reason: words::CLAIM_REASON.into() }];
        }
        let item = self.world.signed(&says, HOSPITAL)?;
        self.keep("claim", &item).map(drop)
    }
}
