//! A law to come: adopted before its instant, an exception of it claimed, told, and not assumed.

use serde_json::Value;
use serde_json::json;

use crate::cli::demo::Error;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::fresh;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wire::CITIZEN;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::words;
use crate::cli::demo::world::DAY_MS;
use crate::cli::demo::world::FROM;
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

/// The pack that is adopted, and its exception that is claimed.
const PACK: &str = "kr-pipa-2026";
const RULE: &str = "kr-pipa-2026#research-28-2";
/// Before this instant the law of the pack is not in force.
const LAW_FROM: &str = "2026-09-11T00:00:00+09:00";
/// From the recording of the pack to its instant: a day is the least.
const DAYS_BEFORE: u64 = 2;

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
        let offer = Offered::Research.offer();
        let question = json!({
            "subject": { "type": "party", "id": HOSPITAL },
            "action": { "name": "use", "properties": { "purpose": offer.purpose } },
            "resource": {
                "type": "person",
                // A name nobody has: nothing is recorded, so the rule alone answers.
                "id": Ppid([0x31; 16]).to_text(),
                "properties": { "class": offer.class.as_str(), "categories": offer.categories(0) },
            },
        });
        self.ask(HOSPITAL, "research", &question, false).map(drop)
    }

    /// The operator says it, a regulator endorses it.
    fn adopt(&self) -> Result<(), Error> {
        let missing = || wrong("pack", "not carried by this build");
        let pack =
            carried_packs()?.into_iter().find(|file| **file.pack.name() == *PACK).ok_or_else(missing)?;
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
            pack: PACK.into(),
            version: pack.pack.version(),
            hash: pack.hash,
            from: law.max(FROM.plus_ms(days * DAY_MS)),
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
