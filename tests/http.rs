//! The spine over real HTTP on loopback: a party, a citizen, a check, evidence.

#[path = "http/access.rs"]
mod access;
#[path = "http/authzen.rs"]
mod authzen;
#[path = "http/certification.rs"]
mod certification;
#[path = "http/cohorts.rs"]
mod cohorts;
#[path = "http/decisions.rs"]
mod decisions;
#[path = "http/deposits.rs"]
mod deposits;
#[path = "http/duties.rs"]
mod duties;
#[path = "http/events.rs"]
mod events;
#[path = "http/exceptions.rs"]
mod exceptions;
#[path = "http/exports.rs"]
mod exports;
#[path = "http/files.rs"]
mod files;
#[path = "http/handovers.rs"]
mod handovers;
#[path = "http/incidents.rs"]
mod incidents;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/operating.rs"]
mod operating;
#[path = "http/own.rs"]
mod own;
#[path = "http/possession.rs"]
mod possession;
#[path = "http/requests.rs"]
mod requests;
#[path = "http/search.rs"]
mod search;
#[path = "http/statements.rs"]
mod statements;
#[path = "http/strangers.rs"]
mod strangers;
mod support;
#[path = "http/tls.rs"]
mod tls;
#[path = "http/transfers.rs"]
mod transfers;

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
    headers: ureq::http::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

impl Served {
    fn new() -> Self {
        Self::of(World::new())
    }

    fn of(world: World) -> Self {
        Self::serving(world, |options| options)
    }

    fn with(change: impl FnOnce(http::Options) -> http::Options) -> Self {
        Self::serving(World::new(), change)
    }

    fn serving(mut world: World, change: impl FnOnce(http::Options) -> http::Options) -> Self {
        let node = Arc::new(world.node.take().unwrap());
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = http::Options { workers: 1, signals: Signals::Ignored, ..http::Options::new(listen) };
        let options = change(options);
        let running = http::serve(Arc::clone(&node), options).unwrap();
        Self { world, node, running }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.addr())
    }

    fn post(&self, path: &str, media: &str, token: Option<&str>, body: &[u8]) -> Reply {
        self.post_with(path, media, token, &[], body)
    }

    fn post_with(
        &self,
        path: &str,
        media: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut request = agent().post(self.url(path)).header("content-type", media);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        reply(request.send(body).unwrap())
    }

    fn put(&self, path: &str, token: Option<&str>, body: &[u8]) -> Reply {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.put_with(path, &headers, body)
    }

    fn put_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let request = agent().put(self.url(path)).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        reply(request.send(body).unwrap())
    }

    fn get(&self, path: &str, token: Option<&str>) -> Reply {
        self.get_with(path, token, &[])
    }

    fn get_with(&self, path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Reply {
        let mut request = agent().get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        reply(request.call().unwrap())
    }

    fn statement(&self, item: &[u8]) -> Reply {
        self.post("/v1/statements", "application/cose", None, item)
    }

    /// A login of that person, as a form.
    fn login(&self, n: u64) -> String {
        let now = self.world.now();
        let login =
            login::Login { v: V1, origin: ORIGIN.into(), nonce: nonce(), iat: now, exp: now.plus_ms(30_000) };
        let item = login::sign_login(&login, &person_key(n)).unwrap();
        format!("grant_type=urn:naru:login&login={}", URL_SAFE_NO_PAD.encode(&item))
    }

    fn citizen(&self, n: u64) -> String {
        planted::bytes(&key_hash(&person_key(n)).0);
        let form = self.login(n);
        let reply = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes());
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        // A login is taken once.
        let again = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes());
        assert_eq!(again.status, 400);
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// An assertion of that party, as a form.
    fn assertion(&self, name: &str, seed: u8) -> String {
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
        format!(
            "grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={jwt}"
        )
    }

    fn party(&self, name: &str, seed: u8) -> String {
        let form = self.assertion(name, seed);
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
    let headers = response.headers().clone();
    let reply = Reply { status, headers, body: response.body_mut().read_to_vec().unwrap() };
    // A problem says what is wrong, and of nobody; figures count, and name nobody.
    if reply.header("content-type").starts_with("application/problem") || is_figures(&reply.body) {
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(planted::found(&text), None, "{text}");
    }
    reply
}

fn is_figures(body: &[u8]) -> bool {
    body.starts_with(b"# HELP")
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

/// The routes of both modules, as `naru serve` joins them.
fn all_routes() -> impl Iterator<Item = &'static http::Route> {
    http::ROUTES.iter().chain(naru::web::ROUTES)
}

/// Every route with its roles, as the golden file has them.
fn routes() -> String {
    let line = |route: &http::Route| {
        let roles: Vec<_> = route.roles.iter().map(|r| r.as_str()).collect();
        format!("{:4} {} : {}\n", route.method.as_str(), route.path, roles.join(", "))
    };
    all_routes().map(line).collect()
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
    let served = Served::with(|options| http::Options { more: naru::web::ROUTES, ..options });
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let tokens = [
        (None, None),
        (Some(http::Role::Citizen), Some(served.citizen(1))),
        (Some(http::Role::Party), Some(served.party("bank", BANK))),
        (Some(http::Role::Regulator), Some(served.party("pipc", REGULATOR))),
    ];
    for route in all_routes() {
        let path = route.path.replace("{id}", &"0".repeat(64)).replace("{party}", "bank");
        let path =
            path.replace("{path:.*}", "0/000").replace("{hash}", &"0".repeat(64)).replace("{code}", "role");
        let path = path.replace("{run}", "0").replace("{item}", "x");
        for (role, token) in &tokens {
            let status = match route.method {
                http::Method::Get => served.get(&path, token.as_deref()).status,
                http::Method::Post => served.post(&path, "application/json", token.as_deref(), b"{}").status,
                http::Method::Put => served.put(&path, token.as_deref(), b"{}").status,
            };
            let open = route.roles.contains(&http::Role::Anyone);
            // A regulator is a party, too.
            let as_party = *role == Some(http::Role::Regulator) && route.roles.contains(&http::Role::Party);
            let own = as_party || role.is_some_and(|r| route.roles.contains(&r));
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
    let mut fields: std::collections::BTreeMap<String, serde_cbor::Value> =
        naru::ledger::cbor::decode(&statement).unwrap();
    fields.insert("more".into(), serde_cbor::Value::Null);
    let widened = naru::ledger::cbor::encode(&fields).unwrap();
    let cases: Vec<(&str, u16, Vec<u8>)> = vec![
        ("bad-signature", 400, bad_signature),
        ("malformed-cbor", 400, good[..good.len() - 1].to_vec()),
        ("malformed-cbor", 400, [good.clone(), vec![0]].concat()),
        ("malformed-cbor", 400, vec![0x81; 60_000]),
        ("malformed-cbor", 400, naru::ledger::cose::sign_statement(&key, &unsorted).unwrap()),
        ("statement-shape", 400, naru::ledger::cose::sign_statement(&key, &widened).unwrap()),
        ("malformed-cbor", 400, naru::ledger::cose::sign_statement(&key, &vec![0x81; 10_000]).unwrap()),
        ("too-large", 413, vec![0; 65 * 1024]),
        ("too-large", 413, naru::ledger::cose::sign_statement(&key, &vec![0; 60 * 1024]).unwrap()),
        ("empty-body", 400, Vec::new()),
        ("iat-window", 400, changed(&|g| g.iat = g.iat.minus_ms(25 * 3_600_000))),
        ("iat-window", 400, changed(&|g| g.iat = g.iat.plus_ms(6 * 60_000))),
        ("notice-mismatch", 403, changed(&|g| g.purpose = "dpv:Marketing".into())),
        ("superseded", 409, changed(&|g| g.over = Some(naru::model::id::StatementId([9; 32])))),
        ("not-this-subject", 403, sign(&served.world.grant(ppid, None).into(), &person_key(2))),
        ("key-not-in-set", 403, sign(&served.world.grant(ppid, None).into(), &person_key(3))),
        ("key-taken", 409, sign(&served.world.key_create(), &key)),
        ("not-served", 403, {
            let recall = naru::model::statement::ReleaseRecall {
                v: V1,
                kind: naru::model::statement::Kind::ReleaseRecall,
                iat: served.world.now(),
                nonce: nonce(),
                release: naru::model::id::StatementId([9; 32]),
            };
            sign(&recall.into(), &signer(BANK))
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
    // The last word: a receipt with both dates, and nobody is there any more.
    let demand = naru::model::statement::ErasureDemand {
        v: V1,
        kind: naru::model::statement::Kind::ErasureDemand,
        iat: served.world.now(),
        nonce: nonce(),
        ppid: served.node.ppid(&key_hash(&key), None).unwrap().unwrap(),
    };
    let item = sign(&demand.into(), &key);
    let json = [("accept", "application/json")];
    let reply = served.post_with("/v1/statements", "application/cose", None, &json, &item);
    assert_eq!(reply.status, 201);
    let receipt = &reply.json()["erasure"];
    assert_eq!(receipt["index"], before + 2);
    assert!(receipt["at"].as_u64() < receipt["backups"].as_u64(), "{receipt}");
    assert_eq!(served.statement(&item).status, 403);
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
