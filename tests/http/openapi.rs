//! The document of the routes: equal to the golden file, its examples answers of a running node.

use naru::http;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::*;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi.json");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi-examples.json");
const JSON: &str = "application/json";

fn blessing() -> bool {
    std::env::var_os("NARU_BLESS").is_some()
}

#[test]
fn the_document_is_the_golden_one_and_is_served_to_be_kept() {
    let document = http::openapi::document();
    if blessing() {
        std::fs::write(DOCUMENT, &document).unwrap();
    }
    let golden = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(golden == document, "NARU_BLESS=1 writes schemas/openapi.json again");
    let served = Served::new();
    let reply = served.get("/openapi.json", None);
    assert_eq!((reply.status, reply.header("content-type")), (200, JSON));
    assert_eq!(reply.header("cache-control"), "public, max-age=3600");
    assert_eq!(reply.body, document.as_bytes());
    let etag = reply.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag}");
    for (sent, status) in [(etag.as_str(), 304), ("\"other\"", 200), (&format!("\"other\", W/{etag}"), 304)] {
        let reply = served.get_with("/openapi.json", None, &[("if-none-match", sent)]);
        assert_eq!((reply.status, reply.header("etag")), (status, etag.as_str()));
        assert_eq!(reply.body.is_empty(), status == 304);
    }
}

/// Bodies as they went over the wire, by operation.
struct Recorder {
    served: Served,
    kept: Map<String, Value>,
}

impl Recorder {
    fn keep(&mut self, name: &str, what: &str, media: &str, body: Value) {
        let of = self.kept.entry(name).or_insert_with(|| json!({}));
        of[what][media] = body;
    }

    /// Keeps an answer and its parameters; answers it.
    fn answer(&mut self, name: &str, status: u16, reply: Reply) -> Value {
        assert_eq!(reply.status, status, "{name}: {}", String::from_utf8_lossy(&reply.body));
        let media = reply.header("content-type").to_owned();
        let body = match media.as_str() {
            JSON => reply.json(),
            _ => String::from_utf8(reply.body).unwrap().into(),
        };
        self.keep(name, &status.to_string(), &media, body.clone());
        body
    }

    fn get(&mut self, name: &str, path: &str, token: Option<&str>) -> Value {
        let reply = self.served.get(path, token);
        self.answer(name, 200, reply)
    }

    fn ask(&mut self, name: &str, path: &str, token: &str, body: &Value) -> Value {
        // Lines of one instant stand in the order of their writers, which is that of chance.
        self.served.world.advance(1);
        self.keep(name, "request", JSON, body.clone());
        let reply = self.served.post(path, JSON, Some(token), body.to_string().as_bytes());
        self.answer(name, 200, reply)
    }

    fn parameter(&mut self, name: &str, parameter: &str, value: &Value) {
        self.keep(name, "parameters", parameter, value.clone());
    }

    fn statements(&mut self) -> Ppid {
        let (key, accept) = (person_key(1), [("accept", JSON)]);
        let cose = "application/cose";
        let item = sign(&self.served.world.key_create(), &key);
        let reply = self.served.post_with("/v1/statements", cose, None, &accept, &item);
        let id = self.answer("submitStatement", 201, reply)["id"].clone();
        let reply = self.served.post_with("/v1/statements", cose, None, &accept, &item);
        self.answer("submitStatement", 200, reply);
        let ppid = self.served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
        let grant = sign(&self.served.world.grant(ppid, None).into(), &key);
        let early = sign(&self.served.world.grant(ppid, None).into(), &key);
        let both = [grant, early].concat();
        let sequence = "application/cbor-seq";
        let reply = self.served.post_with("/v1/statements:batch", sequence, None, &accept, &both);
        self.answer("submitStatements", 200, reply);
        self.served.node.tick().unwrap();
        for name in ["statement", "statementReceipt", "statementEvidence"] {
            self.parameter(name, "id", &id);
        }
        self.get("statement", &format!("/v1/statements/{}", id.as_str().unwrap()), None);
        ppid
    }

    fn transfer(&mut self, bank: &str, citizen: &str, ppid: Ppid) {
        let world = &self.served.world;
        let item = sign(&world.demand(ppid).into(), &person_key(1));
        let id = naru::identity::open(&item).unwrap().id();
        let theirs = self.served.node.ppid(&key_hash(&person_key(1)), Some(&party("hospital")));
        let theirs = theirs.unwrap().unwrap();
        let delivered = sign(&world.deliver(ppid, id, 0, 3), &signer(BANK));
        let confirmed = sign(&world.confirm(theirs, id, 0, (2, 3)), &signer(HOSPITAL));
        for item in [item, delivered, confirmed] {
            assert_eq!(self.served.statement(&item).status, 201);
        }
        self.get("myTransfers", "/v1/subjects/me/transfers", Some(citizen));
        self.parameter("transfer", "id", &id.to_string().into());
        self.get("transfer", &format!("/v1/transfers/{id}"), Some(bank));
    }

    /// A grant that was paid for and is withdrawn, and a right claimed and answered.
    fn owed(&mut self, bank: &str, citizen: &str, ppid: Ppid) {
        let (world, key) = (&self.served.world, person_key(1));
        let send = |item: Vec<u8>| {
            assert_eq!(self.served.statement(&item).status, 201);
            naru::identity::open(&item).unwrap().id()
        };
        let mut grant = world.grant(ppid, Some(world_grant(&self.served)));
        grant.consideration = Some("KRW 500 a month".into());
        let grant = send(sign(&grant.into(), &key));
        send(sign(&world.settle(ppid, grant, 500), &signer(BANK)));
        let act = send(sign(&world.withdraw(ppid), &key));
        send(sign(&world.deleted("bank", ppid, act), &signer(BANK)));
        let claim = send(sign(&world.claim(ppid), &key));
        self.get("duties", "/v1/duties", Some(bank));
        let pipc = self.served.party("pipc", REGULATOR);
        self.parameter("partyDuties", "id", &"bank".into());
        self.get("partyDuties", "/v1/parties/bank/duties", Some(&pipc));
        let refused = sign(
            &self.served.world.answer_right("bank", ppid, claim, Some("PIPA art. 35(4)")),
            &signer(BANK),
        );
        assert_eq!(self.served.statement(&refused).status, 201);
        self.get("myDuties", "/v1/subjects/me/duties", Some(citizen));
        self.get("myRights", "/v1/subjects/me/rights", Some(citizen));
        self.get("myValue", "/v1/subjects/me/value", Some(citizen));
    }

    fn questions(&mut self, bank: &str, ppid: &Ppid) {
        let one = question("bank", &ppid.to_text());
        let told = self.ask("evaluate", "/access/v1/evaluation", bank, &one);
        assert_eq!(told["decision"], true);
        self.parameter("decisionEvidence", "id", &told["context"]["evaluation_id"]);
        let other = json!({ "action": { "name": "link", "properties": { "purpose": PURPOSE } } });
        let unknown = json!({ "action": { "name": "steal" } });
        let mut many = one.clone();
        many["evaluations"] = json!([{}, other, unknown]);
        self.ask("evaluateMany", "/access/v1/evaluations", bank, &many);
        let mut subjects = one.clone();
        subjects["subject"] = json!({ "type": "party" });
        self.ask("searchSubjects", "/access/v1/search/subject", bank, &subjects);
        let mut persons = one.clone();
        persons["resource"].as_object_mut().unwrap().remove("id");
        self.ask("searchResources", "/access/v1/search/resource", bank, &persons);
        let mut actions = one;
        actions.as_object_mut().unwrap().remove("action");
        actions["context"] = json!({ "purpose": PURPOSE });
        self.ask("searchActions", "/access/v1/search/action", bank, &actions);
    }

    fn cohort(&mut self, bank: &str, ppid: &Ppid) {
        let lines = format!("{ppid}\nnobody\n", ppid = ppid.to_text());
        self.keep("beginCohort", "request", "text/plain", lines.clone().into());
        let of = [("action", "use"), ("purpose", PURPOSE), ("class", "real-name"), ("categories", CATEGORY)];
        for (name, value) in of {
            self.parameter("beginCohort", name, &value.into());
        }
        let query: Vec<String> = of.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = format!("/v1/cohorts?{}", query.join("&"));
        let reply = self.served.post(&path, "text/plain", Some(bank), lines.as_bytes());
        assert_eq!(reply.status, 202);
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/cohorts/{id}");
        while self.served.get(&path, Some(bank)).json()["state"] != "done" {}
        for name in ["cohort", "cohortVerdicts", "cohortSummary"] {
            self.parameter(name, "id", &id.as_str().into());
        }
        self.get("cohort", &path, Some(bank));
        self.get("cohortVerdicts", &format!("{path}/verdicts"), Some(bank));
    }

    fn deposits(&mut self, bank: &str, citizen: &str, ppid: &Ppid) {
        let post = |served: &Served, path: &str, token: &str, body: &Value| {
            served.post(path, JSON, Some(token), body.to_string().as_bytes())
        };
        let key = json!({ "age": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" });
        self.keep("setDepositKey", "request", JSON, key.clone());
        let reply = post(&self.served, "/v1/subjects/me/deposit-key", citizen, &key);
        self.answer("setDepositKey", 200, reply);
        let body = json!({
            "ppid": ppid.to_text(), "item": "2026-10", "purpose": PURPOSE, "class": "real-name",
            "categories": [CATEGORY], "media_type": "text/csv", "original": "YSxiCjEsMgo",
        });
        self.keep("deposit", "request", JSON, body.clone());
        let reply = post(&self.served, "/v1/deposits", bank, &body);
        self.answer("deposit", 201, reply);
        let reply = post(&self.served, "/v1/deposits", bank, &body);
        self.answer("deposit", 200, reply);
        self.keep("linkMyExport", "request", JSON, json!({}));
        let reply = post(&self.served, "/v1/subjects/me/export/links", citizen, &json!({}));
        let link = self.answer("linkMyExport", 201, reply)["address"].clone();
        let id = link.as_str().unwrap().rsplit('/').next().unwrap();
        self.parameter("linkedExport", "id", &id.into());
        self.get("myDeposits", "/v1/subjects/me/deposits", Some(citizen));
    }

    /// A request with a link, answered by a second person; whom the bank may hand over; what it was told.
    fn asked_by_a_link(&mut self, bank: &str, handed: &Ppid) {
        let (world, key) = (&self.served.world, person_key(2));
        let link = naru::model::id::Hash([0x42; 32]);
        let asking = world.request(link);
        let item = sign(&asking.into(), &signer(BANK));
        assert_eq!(self.served.statement(&item).status, 201);
        let id = naru::identity::open(&item).unwrap().id().to_string();
        assert_eq!(self.served.statement(&sign(&self.served.world.key_create(), &key)).status, 201);
        let ppid = self.served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
        let grant =
            naru::model::statement::ConsentGrant { link: Some(link), ..self.served.world.grant(ppid, None) };
        assert_eq!(self.served.statement(&sign(&grant.into(), &key)).status, 201);
        for name in ["request", "requestAnswer"] {
            self.parameter(name, "id", &id.as_str().into());
        }
        self.get("request", &format!("/v1/requests/{id}"), None);
        self.get("requestAnswer", &format!("/v1/requests/{id}/answer"), Some(bank));
        let body = json!({
            "ppid": handed.to_text(), "recipient": "hospital", "purpose": PURPOSE, "class": "real-name",
            "categories": [CATEGORY],
        });
        self.ask("handOver", "/v1/handovers", bank, &body);
        self.parameter("events", "limit", &2.into());
        self.get("events", "/v1/events?limit=2", Some(bank));
    }

    fn files(&mut self, bank: &str) {
        let text = "<p>What the bank asks, and why.</p>";
        let media = "application/octet-stream";
        self.keep("storeAttachment", "request", media, text.into());
        let reply = self.served.post("/v1/attachments", media, Some(bank), text.as_bytes());
        let hash = self.answer("storeAttachment", 201, reply)["hash"].clone();
        self.parameter("attachment", "hash", &hash);
        self.parameter("tile", "path", &"0/000".into());
        self.get("checkpoint", "/log/checkpoint", None);
        self.parameter("problem", "code", &"superseded".into());
        self.get("problem", "/problems/superseded", None);
        for (name, path) in [
            ("authzenConfiguration", "/.well-known/authzen-configuration"),
            ("securityTxt", "/.well-known/security.txt"),
            ("rebinds", "/.well-known/naru-rebinds"),
            ("live", "/livez"),
            ("ready", "/readyz"),
        ] {
            self.get(name, path, None);
        }
    }
}

/// What `over` of the next grant of person 1 names.
fn world_grant(served: &Served) -> naru::model::id::StatementId {
    let own = served.node.own(&key_hash(&person_key(1))).unwrap().unwrap();
    own.slots[0].over.unwrap()
}

fn recorded() -> Value {
    let served = Served::serving(World::logging(), |options| http::Options {
        base_url: "https://naru.example".into(),
        security: Some(http::Security {
            contacts: vec!["mailto:security@naru.example".into()],
            expires: "2027-01-01T00:00:00Z".into(),
        }),
        ..options
    });
    let mut recorder = Recorder { served, kept: Map::new() };
    let ppid = recorder.statements();
    let (bank, citizen) = (recorder.served.party("bank", BANK), recorder.served.citizen(1));
    recorder.questions(&bank, &ppid);
    recorder.cohort(&bank, &ppid);
    recorder.files(&bank);
    recorder.asked_by_a_link(&bank, &ppid);
    recorder.deposits(&bank, &citizen, &ppid);
    recorder.parameter("myPpid", "party", &"bank".into());
    recorder.get("myPpid", "/v1/subjects/me/ppids/bank", Some(&citizen));
    recorder.get("myState", "/v1/subjects/me", Some(&citizen));
    recorder.get("myUses", "/v1/subjects/me/uses", Some(&citizen));
    recorder.get("myExceptions", "/v1/subjects/me/exceptions", Some(&citizen));
    recorder.transfer(&bank, &citizen, ppid);
    let pipc = recorder.served.party("pipc", REGULATOR);
    recorder.parameter("partyExceptions", "id", &"bank".into());
    recorder.get("partyExceptions", "/v1/parties/bank/exceptions", Some(&pipc));
    recorder.parameter("partyNotices", "id", &"bank".into());
    recorder.get("partyNotices", "/v1/parties/bank/notices", None);
    // A day later: tokens of before are over.
    recorder.served.world.advance(DAY);
    let (bank, citizen) = (recorder.served.party("bank", BANK), recorder.served.citizen(1));
    recorder.owed(&bank, &citizen, ppid);
    recorder.kept.into()
}

/// Text with ids, keys and signatures replaced by their length: those are drawn anew in every run.
fn skeleton(text: &str) -> String {
    let within = |c: char| c.is_ascii_alphanumeric() || "_-+/=".contains(c);
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(within) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|c| !within(c)).unwrap_or(from.len()));
        let drawn = run.len() >= 40 || (run.len() >= 16 && run.bytes().any(|b| b.is_ascii_digit()));
        out.push_str(before);
        out.push_str(&if drawn { format!("#{}", run.len()) } else { run.to_owned() });
        rest = after;
    }
    out + rest
}

#[test]
fn the_examples_are_what_a_running_node_answers() {
    let fresh = format!("{:#}\n", recorded());
    let kept = || std::fs::read_to_string(EXAMPLES).unwrap_or_default();
    // Only ids and signatures differ: the kept ones are as good, and true of one another.
    if blessing() && skeleton(&kept()) != skeleton(&fresh) {
        std::fs::write(EXAMPLES, &fresh).unwrap();
    }
    assert_eq!(skeleton(&kept()), skeleton(&fresh), "NARU_BLESS=1, twice, writes it and the document again");
}

#[test]
fn null_is_as_good_as_absent_in_a_question() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let mut body = question("bank", &Ppid([7; 16]).to_text());
    body["context"] = Value::Null;
    body["resource"]["properties"]["categories"] = Value::Null;
    body["action"]["properties"]["recipient"] = Value::Null;
    for path in ["evaluation", "evaluations", "search/subject", "search/resource"] {
        let path = format!("/access/v1/{path}");
        let reply = served.post(&path, JSON, Some(&bank), body.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{path}: {}", String::from_utf8_lossy(&reply.body));
    }
}

// Found by schemathesis: searches and cohorts took texts that no use line holds.
#[test]
fn a_text_too_long_for_a_use_line_is_refused_by_every_question() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let of = |place: &str, length: usize| {
        let mut body = question("bank", &Ppid([7; 16]).to_text());
        body["context"] = json!({ "purpose": PURPOSE });
        *body.pointer_mut(place).unwrap() = "p".repeat(length).into();
        body.to_string()
    };
    let category = "/resource/properties/categories/0";
    for (path, place) in [
        ("/access/v1/evaluation", "/action/properties/purpose"),
        ("/access/v1/evaluation", category),
        ("/access/v1/search/subject", "/action/properties/purpose"),
        ("/access/v1/search/subject", category),
        ("/access/v1/search/resource", "/action/properties/purpose"),
        ("/access/v1/search/resource", category),
        ("/access/v1/search/action", "/context/purpose"),
        ("/access/v1/search/action", category),
    ] {
        for (length, status) in [(256, 200), (257, 400)] {
            let reply = served.post(path, JSON, Some(&bank), of(place, length).as_bytes());
            assert_eq!(reply.status, status, "{path} {place}: {}", String::from_utf8_lossy(&reply.body));
        }
    }
    for (length, status) in [(256, 202), (257, 400)] {
        let long = "p".repeat(length);
        for query in [format!("purpose={long}"), format!("purpose=p&categories={long}")] {
            let path = format!("/v1/cohorts?action=use&class=real-name&{query}");
            assert_eq!(served.post(&path, "text/plain", Some(&bank), b"nobody").status, status, "{length}");
        }
    }
}
