//! The spine over real HTTP on loopback: a party, a citizen, a check, evidence.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::http;
use naru::http::Running;
use naru::http::Signals;
use naru::identity::login;
use naru::ledger::evidence::Evidence;
use naru::ledger::key::Signer;
use naru::model::id::Ppid;
use naru::model::statement::V1;
use naru::node::Node;
use support::*;

struct Served {
    world: World,
    node: Arc<Node>,
    running: Running,
}

struct Reply {
    status: u16,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

impl Served {
    fn new() -> Self {
        let mut world = World::new();
        let node = Arc::new(world.node.take().unwrap());
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = http::Options { workers: 1, signals: Signals::Ignored, ..http::Options::new(listen) };
        let running = http::serve(Arc::clone(&node), options).unwrap();
        Self { world, node, running }
    }

    fn post(&self, path: &str, media: &str, token: Option<&str>, body: &[u8]) -> Reply {
        let url = format!("http://{}{path}", self.running.addr());
        let mut request = agent().post(&url).header("content-type", media);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        reply(request.send(body).unwrap())
    }

    fn get(&self, path: &str, token: Option<&str>) -> Reply {
        let url = format!("http://{}{path}", self.running.addr());
        let mut request = agent().get(&url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        reply(request.call().unwrap())
    }

    fn statement(&self, item: &[u8]) -> Reply {
        self.post("/v1/statements", "application/cose", None, item)
    }

    fn citizen(&self, n: u64) -> String {
        let now = self.world.now();
        let login =
            login::Login { v: V1, origin: ORIGIN.into(), nonce: nonce(), iat: now, exp: now.plus_ms(30_000) };
        let item = login::sign_login(&login, &person_key(n)).unwrap();
        let form = format!("grant_type=urn:naru:login&login={}", URL_SAFE_NO_PAD.encode(&item));
        let reply = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes());
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        // A login is taken once.
        let again = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes());
        assert_eq!(again.status, 400);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    fn party(&self, name: &str, seed: u8) -> String {
        let iat = self.world.now().0 / 1_000;
        let assertion = login::Assertion {
            iss: name.into(),
            sub: name.into(),
            aud: ORIGIN.into(),
            jti: format!("{:?}", nonce()),
            iat,
            exp: iat + 30,
        };
        let jwt = login::sign_jwt(&assertion, "JWT", &signer(seed)).unwrap();
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={jwt}"
        );
        let reply = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes());
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    fn check(&self, token: &str, ppid: &Ppid) -> serde_json::Value {
        let body = question("bank", &ppid.to_text());
        let reply =
            self.post("/access/v1/evaluation", "application/json", Some(token), body.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }
}

fn question(subject: &str, ppid: &str) -> serde_json::Value {
    serde_json::json!({
        "subject": {"type": "party", "id": subject},
        "action": {"name": "use", "properties": {"purpose": PURPOSE}},
        "resource": {"type": "person", "id": ppid, "properties": {"class": "real-name", "categories": [CATEGORY]}},
    })
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Reply {
    let status = response.status().as_u16();
    Reply { status, body: response.body_mut().read_to_vec().unwrap() }
}

#[test]
fn from_enrolment_to_denial_over_http() {
    let served = Served::new();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let citizen = served.citizen(1);
    let ppid = served.get("/v1/subjects/me/ppids/bank", Some(&citizen)).json();
    let ppid = Ppid::from_text(ppid["ppid"].as_str().unwrap()).unwrap();
    let bank = served.party("bank", BANK);
    assert_eq!(served.check(&bank, &ppid)["decision"], false);
    let item = sign(&served.world.grant(ppid, None).into(), &key);
    assert_eq!(served.statement(&item).status, 201);
    let permitted = served.check(&bank, &ppid);
    assert_eq!(permitted["decision"], true);
    assert_eq!(permitted["context"]["reason"], "CONSENT_GIVEN");
    assert_eq!(served.statement(&sign(&served.world.withdraw(ppid), &key)).status, 201);
    let denied = served.check(&bank, &ppid);
    assert_eq!(
        (&denied["decision"], &denied["context"]["reason"]),
        (&false.into(), &"CONSENT_WITHDRAWN".into())
    );
    // The old grant again: known, and without effect.
    assert_eq!(served.statement(&item).status, 200);
    assert_eq!(served.check(&bank, &ppid)["decision"], false);
    // Evidence, once a checkpoint covers it, checked by nothing but the log's key.
    let id = naru::identity::open(&item).unwrap().id();
    served.node.tick().unwrap();
    let evidence = served.get(&format!("/v1/statements/{id}/evidence"), Some(&citizen));
    assert_eq!(evidence.status, 200);
    let evidence = Evidence::parse(&evidence.body).unwrap();
    evidence.verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    // The other half for the controller, nothing for a stranger.
    let hospital = served.party("hospital", HOSPITAL);
    assert_eq!(served.get(&format!("/v1/statements/{id}/evidence"), Some(&bank)).status, 200);
    assert_eq!(served.get(&format!("/v1/statements/{id}/evidence"), Some(&hospital)).status, 404);
}

#[test]
fn unknown_foreign_and_unacquainted_persons_are_answered_alike() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    for n in 1..4 {
        served.statement(&sign(&served.world.key_create(), &person_key(n)));
    }
    let hash = |n: u64| key_hash(&person_key(n));
    let foreign = served.node.ppid(&hash(1), Some(&party("hospital"))).unwrap().unwrap();
    let known = served.node.ppid(&hash(2), Some(&party("bank"))).unwrap().unwrap();
    let unknown = Ppid([7; 16]);
    let mut answers: Vec<_> = [foreign, known, unknown].iter().map(|p| served.check(&bank, p)).collect();
    for answer in &mut answers {
        assert_eq!(answer["context"]["reason"], "CONSENT_NOT_GIVEN");
        answer["context"]["as_of"] = 0.into();
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
}

#[test]
fn authzen_errors_are_plain_and_denials_are_not_errors() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let path = "/access/v1/evaluation";
    let good = question("bank", &Ppid([7; 16]).to_text()).to_string();
    let post = |media: &str, token: Option<&str>, body: &str| {
        served.post(path, media, token, body.as_bytes()).status
    };
    assert_eq!(post("application/json", Some(&bank), &good), 200);
    assert_eq!(post("text/plain", Some(&bank), &good), 400);
    assert_eq!(post("application/json", Some(&bank), ""), 400);
    assert_eq!(post("application/json", Some(&bank), "{"), 400);
    assert_eq!(post("application/json", Some(&bank), &good.replace("\"use\"", "7")), 400);
    assert_eq!(post("application/json", Some(&bank), &good.replace("\"use\"", "\"steal\"")), 400);
    assert_eq!(post("application/json", None, &good), 401);
    assert_eq!(post("application/json", Some("nonsense"), &good), 401);
    assert_eq!(post("application/json", Some(&served.party("hospital", HOSPITAL)), &good), 403);
    let extra = good.replacen('{', "{\"unknown\":1,", 1);
    assert_eq!(post("application/json", Some(&bank), &extra), 200);
}

#[test]
fn a_batch_keeps_its_order_and_one_bad_item_spoils_only_itself() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let ppid = Ppid([7; 16]).to_text();
    let mut batch = question("bank", &ppid);
    batch["evaluations"] = serde_json::json!([
        {},
        {"action": {"name": 7}},
        {"action": {"name": "reidentify", "properties": {"purpose": PURPOSE}}},
        {"subject": {"type": "party", "id": "hospital"}},
    ]);
    let path = "/access/v1/evaluations";
    let reply = served.post(path, "application/json", Some(&bank), batch.to_string().as_bytes());
    assert_eq!(reply.status, 200);
    let results = reply.json()["evaluations"].as_array().unwrap().clone();
    assert_eq!(results.len(), 4);
    assert_eq!(results[0]["context"]["reason"], "CONSENT_NOT_GIVEN");
    assert_eq!(results[1]["context"]["error"]["status"], 400);
    assert_eq!(results[2]["context"]["reason"], "REIDENTIFICATION_BLOCKED");
    assert_eq!(results[3]["context"]["error"]["status"], 403);
    batch["options"] = serde_json::json!({"evaluations_semantic": "deny_on_first_deny"});
    let reply = served.post(path, "application/json", Some(&bank), batch.to_string().as_bytes());
    assert_eq!(reply.json()["evaluations"].as_array().unwrap().len(), 1);
}

#[test]
fn batches_of_statements_answer_item_by_item_and_the_log_is_served_as_files() {
    let served = Served::new();
    let items: Vec<_> = (1..=40).map(|n| sign(&served.world.key_create(), &person_key(n))).collect();
    let mut sequence = items.concat();
    sequence.extend(sign(&served.world.key_create(), &person_key(1)));
    let reply = served.post("/v1/statements:batch", "application/cbor-seq", None, &sequence);
    assert_eq!(reply.status, 200);
    let mut rest = reply.body.as_slice();
    let mut statuses = Vec::new();
    while !rest.is_empty() {
        let (item, after) = naru::ledger::cbor::split_first(rest).unwrap();
        let map: std::collections::BTreeMap<String, serde_cbor::Value> =
            naru::ledger::cbor::decode(item).unwrap();
        statuses.push(map["status"].clone());
        rest = after;
    }
    assert_eq!(statuses.len(), 41);
    assert!(statuses[..40].iter().all(|s| *s == serde_cbor::Value::Integer(201)));
    assert_eq!(statuses[40], serde_cbor::Value::Integer(409));
    served.node.tick().unwrap();
    let note = served.get("/log/checkpoint", None);
    let log = signer(LOG);
    let checkpoint = naru::ledger::checkpoint::open(&note.body, log.public(), ORIGIN).unwrap();
    assert_eq!(checkpoint.size, served.node.sequenced());
    let width = checkpoint.size;
    let bundle = served.get(&format!("/log/tile/entries/000.p/{width}"), None);
    let entries = naru::ledger::tile::unbundle(&bundle.body).unwrap();
    let leaves: Vec<_> = entries.iter().map(|e| naru::ledger::hash::leaf(e)).collect();
    assert_eq!(naru::ledger::merkle::root(&leaves), checkpoint.root);
    let tile = served.get(&format!("/log/tile/0/000.p/{width}"), None);
    assert_eq!(tile.body, leaves.concat());
    for bad in ["/log/tile/0/0.p/1", "/log/tile/0/000.p/0", "/log/tile/00/000", "/log/tile/entries/001"] {
        assert_eq!(served.get(bad, None).status, 404, "{bad}");
    }
}

/// Every route with its roles, as the golden file has them.
fn routes() -> String {
    let line = |route: &http::Route| {
        let roles: Vec<_> = route.roles.iter().map(|r| r.as_str()).collect();
        format!("{:4} {} : {}\n", route.method.as_str(), route.path, roles.join(", "))
    };
    http::ROUTES.iter().map(line).collect()
}

#[test]
fn routes_and_roles_are_those_of_the_golden_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/routes.txt");
    if std::env::var_os("NARU_BLESS").is_some() {
        std::fs::write(path, routes()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), routes(), "NARU_BLESS=1 writes it again");
}

#[test]
fn every_route_turns_away_every_role_that_is_not_its_own() {
    let served = Served::new();
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let tokens = [
        (None, None),
        (Some(http::Role::Citizen), Some(served.citizen(1))),
        (Some(http::Role::Party), Some(served.party("bank", BANK))),
    ];
    for route in http::ROUTES {
        let path = route.path.replace("{id}", &"0".repeat(64)).replace("{party}", "bank");
        let path =
            path.replace("{path:.*}", "0/000").replace("{hash}", &"0".repeat(64)).replace("{code}", "role");
        for (role, token) in &tokens {
            let status = match route.method {
                http::Method::Get => served.get(&path, token.as_deref()).status,
                http::Method::Post => served.post(&path, "application/json", token.as_deref(), b"{}").status,
            };
            let open = route.roles.contains(&http::Role::Anyone);
            let own = role.is_some_and(|r| route.roles.contains(&r));
            let turned_away = matches!(status, 401 | 403);
            assert_eq!(turned_away, !(open || own), "{} {path} as {role:?}: {status}", route.method.as_str());
            assert!(!turned_away || (status == 401) == role.is_none(), "{path} as {role:?}: {status}");
        }
    }
}

#[test]
fn each_bad_input_has_its_own_problem() {
    let served = Served::new();
    let key = person_key(1);
    served.statement(&sign(&served.world.key_create(), &key));
    served.statement(&sign(&served.world.key_create(), &person_key(2)));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let good = sign(&served.world.grant(ppid, None).into(), &key);
    let changed = |change: &dyn Fn(&mut naru::model::statement::ConsentGrant)| {
        let mut grant = served.world.grant(ppid, None);
        change(&mut grant);
        sign(&grant.into(), &key)
    };
    let mut bad_signature = good.clone();
    *bad_signature.last_mut().unwrap() ^= 1;
    let statement = naru::ledger::cose::statement_of(&good).unwrap();
    let mut unsorted = statement.clone();
    unsorted.swap(1, 4);
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("bad-signature", 400, bad_signature),
        ("malformed-cbor", 400, good[..good.len() - 1].to_vec()),
        ("malformed-cbor", 400, [good.clone(), vec![0]].concat()),
        ("malformed-cbor", 400, vec![0x81; 60_000]),
        ("malformed-cbor", 400, naru::ledger::cose::sign_statement(&key, &unsorted).unwrap()),
        ("too-large", 413, vec![0; 65 * 1024]),
        ("empty-body", 400, Vec::new()),
        ("iat-window", 400, changed(&|g| g.iat = g.iat.minus_ms(25 * 3_600_000))),
        ("iat-window", 400, changed(&|g| g.iat = g.iat.plus_ms(6 * 60_000))),
        ("notice-mismatch", 403, changed(&|g| g.purpose = "dpv:Marketing".into())),
        ("superseded", 409, changed(&|g| g.over = Some(naru::model::id::StatementId([9; 32])))),
        ("not-this-subject", 403, sign(&served.world.grant(ppid, None).into(), &person_key(2))),
        ("key-not-in-set", 403, sign(&served.world.grant(ppid, None).into(), &person_key(3))),
        ("key-taken", 409, sign(&served.world.key_create(), &key)),
        ("not-served", 403, {
            let demand = naru::model::statement::ErasureDemand {
                v: V1,
                kind: naru::model::statement::Kind::ErasureDemand,
                iat: served.world.now(),
                nonce: nonce(),
                ppid,
            };
            sign(&demand.into(), &key)
        }),
    ];
    let before = served.node.sequenced();
    for (code, status, item) in cases {
        let reply = served.statement(&item);
        let problem = reply.json();
        assert_eq!((problem["code"].as_str(), reply.status), (Some(code), status), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|d| !d.is_empty()), "{problem}");
        assert_eq!(served.get(problem["type"].as_str().unwrap(), None).status, 200, "{problem}");
    }
    assert_eq!(served.post("/v1/statements", "application/json", None, &good).status, 415);
    assert_eq!(served.node.sequenced(), before, "a refused statement leaves no trace");
    assert_eq!(served.statement(&good).status, 201);
}

#[test]
fn an_io_error_stops_writing_and_shows_on_readyz() {
    use naru::store::memory::Call;
    use naru::store::memory::Fault;
    use naru::store::memory::When;
    let served = Served::new();
    assert_eq!(served.get("/readyz", None).status, 200);
    served.world.memory.faults().fail_next(Call::Append, When::Before, Fault::Eio);
    let item = sign(&served.world.key_create(), &person_key(1));
    assert_eq!(served.statement(&item).status, 503);
    let ready = served.get("/readyz", None);
    assert_eq!((ready.status, ready.json()["reason"].clone()), (503, "io".into()));
    // Stopped for good: the next one is refused too, and no check is answered from doubtful state.
    assert_eq!(served.statement(&item).status, 503);
    let bank = served.party("bank", BANK);
    assert_eq!(served.check(&bank, &Ppid([7; 16]))["context"]["reason"], "LOG_UNAVAILABLE");
    assert_eq!(served.get("/log/checkpoint", None).status, 200);
    assert_eq!(served.get("/livez", None).status, 200);
    let metrics = served.get("/metrics", None);
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("LOG_UNAVAILABLE") && !text.contains("ppid_"));
}
