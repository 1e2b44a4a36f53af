//! One question about many: a cohort with its signed summary, a search.

use serde_json::Value;
use serde_json::json;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::act::Setting;
use crate::cli::demo::export;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::fresh;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::story::grant;
use crate::cli::demo::words;
use crate::cli::demo::year::CITIZEN;
use crate::cli::demo::year::citizen_key;
use crate::identity::item;
use crate::ledger::cohort;
use crate::ledger::hash;
use crate::model::id::Ppid;

/// So many of the crowd grant anew.
const RENEWED: usize = 12;
/// Lines of the cohort at most: of a population of thousands the first.
const MOST: usize = 2_000;

impl Live<'_> {
    /// A few grant anew; the bank asks about all its customers at once, then which of them it may use.
    pub(super) fn many(&mut self, lives: &[Life]) -> Result<(), Error> {
        self.renewed(lives)?;
        let customers = lives.iter().filter_map(|life| life.ppids.get(&Some(BANK))).take(MOST);
        // One that nobody has: told like one without a statement.
        let input: String = customers.chain([&Ppid([0x31; 16])]).map(|p| p.to_text() + "\n").collect();
        self.write("cohort.txt", input.as_bytes())?;
        let offer = Offered::Account.offer();
        let (categories, class) = (offer.categories(0).join(","), offer.class.as_str());
        let query = format!("action=use&purpose={}&class={class}&categories={categories}", offer.purpose);
        let path = format!("/v1/cohorts?{query}");
        self.says(words::COHORT);
        self.write("text.head", b"Content-Type: text/plain\n")?;
        self.named("Q", &format!("'{query}'"));
        self.curl("/v1/cohorts?$Q", "-H @bank.auth -H @text.head --data-binary @cohort.txt");
        let answer = self.post(&path, "text/plain", Some(BANK), input.as_bytes())?;
        let job = answer.expect("cohort", 202)?.json()?;
        let id = wire::text(&job, "/id");
        let path = format!("/v1/cohorts/{id}");
        let done = self.await_it(&path, BANK, |answer| {
            answer.json().is_ok_and(|status| wire::text(&status, "/state") == "done")
        })?;
        let status = done.expect("cohort", 200)?.json()?;
        self.result(format!(
            "{}: {} / {}",
            wire::text(&status, "/state"),
            wire::number(&status, "/done"),
            wire::number(&status, "/lines")
        ));
        self.summary(&path, &input)?;
        self.search()
    }

    /// What was granted in the year has ended: a few of the crowd grant again, in one batch.
    fn renewed(&mut self, lives: &[Life]) -> Result<(), Error> {
        let mut sequence = Vec::new();
        let known = |life: &&Life| life.ppids.contains_key(&Some(BANK));
        let others = (0..).zip(lives).skip(CITIZEN + 1).filter(|(_, life)| known(life)).take(RENEWED);
        for (citizen, life) in others {
            let setting = Setting { world: self.world, life, nonce: fresh()?, by: None };
            let (says, _) = setting.statement(grant(Offered::Account, 90))?;
            sequence.extend(item::sign(&says, &citizen_key(self.world, citizen))?);
        }
        let path = "/v1/statements:batch";
        self.says(words::RENEWED);
        self.write("renewed.cborseq", &sequence)?;
        self.write("seq.head", b"Content-Type: application/cbor-seq\nAccept: application/json\n")?;
        self.curl(path, "-H @seq.head --data-binary @renewed.cborseq");
        let answer = self.post(path, "application/cbor-seq", None, &sequence)?;
        let told = answer.expect("batch", 200)?.json()?;
        let results = told.as_array().map(Vec::as_slice).unwrap_or_default();
        let recorded = results.iter().filter(|one| one.get("index").is_some()).count();
        self.tells(words::RENEWED_ALL, &[&recorded, &results.len(), &format!("{:.1}", answer.ms)]);
        if recorded == results.len() { Ok(()) } else { Err(wrong("batch", told)) }
    }

    fn summary(&mut self, path: &str, input: &str) -> Result<(), Error> {
        self.says(words::COHORT_SUMMARY);
        self.named("ID", path.rsplit('/').next().unwrap_or_default());
        self.curl("/v1/cohorts/$ID/verdicts", "-H @bank.auth -o verdicts.jsonl");
        let verdicts = self.get(&format!("{path}/verdicts"), BANK)?;
        let verdicts = &verdicts.expect("verdicts", 200)?.body;
        self.curl("/v1/cohorts/$ID/summary", "-H @bank.auth -o summary.cose");
        let signed = self.get(&format!("{path}/summary"), BANK)?;
        let signed = &signed.expect("summary", 200)?.body;
        let summary = cohort::open(signed, &self.world.node.log_key())
            .map_err(|error| wrong("cohort summary", error))?;
        if summary.verdicts != hash::sha256(&[verdicts]) || summary.input != hash::sha256(&[input.as_bytes()])
        {
            return Err(wrong("cohort summary", "of other files"));
        }
        let folder = self.out.join("cohort");
        for (name, bytes) in
            [("input.txt", input.as_bytes()), ("verdicts.jsonl", verdicts), ("summary.cose", signed)]
        {
            export::write(&folder.join(name), bytes)?;
        }
        self.write("verdicts.jsonl", verdicts)?;
        self.write("summary.cose", signed)?;
        let told: Vec<String> = summary.told.iter().map(|(reason, n)| format!("{reason}:{n}")).collect();
        self.tells(words::COHORT_HOLDS, &[&summary.lines, &told.join("  ")]);
        Ok(())
    }

    fn search(&mut self) -> Result<(), Error> {
        let (path, offer) = ("/access/v1/search/resource", Offered::Account.offer());
        let question = json!({
            "subject": { "type": "party", "id": BANK },
            "action": { "name": "use", "properties": { "purpose": offer.purpose } },
            "resource": {
                "type": "person",
                "properties": { "class": offer.class.as_str(), "categories": offer.categories(0) },
            },
            "page": { "limit": 3 },
        });
        self.says(words::SEARCH);
        self.write("search.json", question.to_string().as_bytes())?;
        self.curl(path, "-H @bank.auth --json @search.json");
        let answer = self.post(path, "application/json", Some(BANK), question.to_string().as_bytes())?;
        let found = answer.expect("search", 200)?.json()?;
        let results = found.get("results").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let names: Vec<&str> = results.iter().map(|one| wire::text(one, "/id")).collect();
        self.result(names.join(" "));
        self.tells(words::SEARCH_PAGE, &[&names.len()]);
        if names.iter().all(|name| Ppid::from_text(name).is_some()) {
            Ok(())
        } else {
            Err(wrong("search", found))
        }
    }
}
