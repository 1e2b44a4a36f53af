//! The public certification cases of AuthZEN 1.0, over the fixture; and that it never meets a person.

use std::collections::BTreeMap;

use naru::node::Error;
use naru::node::Readiness;
use naru::node::Settings;
use naru::node::Stop;
use naru::vault::Vault;
use serde::Deserialize;
use serde_json::Value;

use crate::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    level: String,
    what: String,
    to: String,
    body: String,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default = "json")]
    media: String,
    decision: Option<bool>,
    decisions: Option<Vec<String>>,
    includes: Option<Vec<String>>,
    same_as: Option<String>,
    #[serde(default)]
    empty: bool,
    #[serde(default)]
    pages: bool,
}

fn ok() -> u16 {
    200
}

fn json() -> String {
    "application/json".into()
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        case: Vec<Case>,
    }
    toml::from_str::<File>(include_str!("../vectors/authzen/cases.toml")).unwrap().case
}

fn open(world: &World) -> Result<Node, Error> {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let settings = Settings { authzen_fixture: true, ..settings(&world.dir) };
    Node::open(settings, Arc::new(world.memory.clone()), vault, keys(), world.clock.clone())
}

/// The world's log, with the fixture in front of it.
fn fixture() -> Served {
    let mut world = World::new();
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let node = Arc::new(open(&world).unwrap());
    let options = http::Options {
        workers: 1,
        signals: Signals::Ignored,
        base_url: "https://pdp.test".into(),
        ..http::Options::new("127.0.0.1:0".parse().unwrap())
    };
    let running = http::serve(Arc::clone(&node), options).unwrap();
    Served { world, node, running }
}

/// The results' ids or names; every entity has the form of its search.
fn results(to: &str, asked: &Value, answer: &Value) -> Vec<String> {
    let entity = |entity: &Value| match to {
        "search/action" => entity["name"].as_str().unwrap().to_owned(),
        _ => {
            let kind = if to == "search/subject" { "subject" } else { "resource" };
            assert_eq!(entity["type"], asked[kind]["type"]);
            entity["id"].as_str().unwrap().to_owned()
        }
    };
    answer["results"].as_array().expect("results").iter().map(entity).collect()
}

fn holds(case: &Case, answer: &Value, seen: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let decided = |decision: &Value| {
        assert!(decision["decision"].is_boolean(), "{decision}");
        assert!(decision.get("context").is_none_or(Value::is_object), "{decision}");
        decision["decision"] == true
    };
    if let Some(expected) = case.decision {
        assert_eq!(decided(answer), expected, "{answer}");
        assert_eq!(answer.get("evaluations"), None);
    }
    if let Some(expected) = &case.decisions {
        let all: Vec<bool> = answer["evaluations"].as_array().unwrap().iter().map(decided).collect();
        assert_eq!(all.len(), expected.len());
        let fits = |(yes, word): (&bool, &String)| match word.as_str() {
            "permit" => *yes,
            "deny" => !*yes,
            "any" => true,
            word => panic!("{word}"),
        };
        assert!(all.iter().zip(expected).all(fits), "{answer}");
        assert_eq!(answer.get("decision"), None);
    }
    if !case.to.starts_with("search") {
        return Vec::new();
    }
    let found = results(&case.to, &serde_json::from_str(&case.body).unwrap(), answer);
    let missing = case.includes.iter().flatten().find(|name| !found.contains(name));
    assert_eq!(missing, None, "{answer}");
    assert!(case.same_as.as_ref().is_none_or(|id| seen[id] == found), "{answer}");
    assert!(!case.empty || found.is_empty(), "{answer}");
    if case.pages {
        let page = answer.get("page");
        assert!(page.is_none_or(|page| page["next_token"].is_string()), "{answer}");
    }
    found
}

#[test]
fn the_public_cases_pass_at_every_level() {
    let served = fixture();
    let token = served.party("bank", BANK);
    let mut seen = BTreeMap::new();
    let mut levels = BTreeMap::new();
    for case in cases() {
        println!("{} {}: {}", case.level, case.id, case.what);
        let path = format!("/access/v1/{}", case.to);
        let ask = |id: Option<&str>| {
            let headers: Vec<_> = id.map(|id| ("x-request-id", id)).into_iter().collect();
            served.post_with(&path, &case.media, Some(&token), &headers, case.body.as_bytes())
        };
        // 2-5: the id comes back, and none is needed. 2-6: asked again, the same decision.
        let replies = [ask(Some("bfe9eb29-ab87")), ask(None), ask(None)];
        assert_eq!(replies[0].header("x-request-id"), "bfe9eb29-ab87");
        for reply in replies {
            assert_eq!(reply.status, case.status, "{}", String::from_utf8_lossy(&reply.body));
            if case.status != 200 {
                assert!(!reply.body.is_empty());
                continue;
            }
            assert_eq!(reply.header("content-type"), "application/json");
            let found = holds(&case, &reply.json(), &seen);
            assert_eq!(*seen.entry(case.id.clone()).or_insert_with(|| found.clone()), found);
        }
        *levels.entry(case.level.clone()).or_insert(0) += 1;
    }
    let names: Vec<&str> = levels.keys().map(String::as_str).collect();
    let all = ["basic-core", "basic-properties", "batch-core", "batch-properties", "search-core"];
    assert_eq!(names, [&all[..], &["search-properties"]].concat());
}

#[test]
fn the_metadata_are_those_of_the_discovery_level() {
    let served = fixture();
    let reply = served.get("/.well-known/authzen-configuration", None);
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    let metadata = reply.json();
    assert_eq!(metadata["policy_decision_point"], "https://pdp.test");
    let token = served.party("bank", BANK);
    for (name, value) in metadata.as_object().unwrap() {
        let Some(url) = value.as_str().filter(|_| name.ends_with("_endpoint")) else { continue };
        let path = url.strip_prefix("https://pdp.test").unwrap();
        // Each address named is served: it knows the body is no question.
        assert_eq!(served.post(path, "application/json", Some(&token), b"{}").status, 400, "{name}");
    }
    for name in
        ["access_evaluation", "access_evaluations", "search_subject", "search_resource", "search_action"]
    {
        assert!(metadata[format!("{name}_endpoint")].is_string(), "{name}");
    }
    assert!(metadata.get("capabilities").is_none_or(Value::is_array));
    assert_eq!(metadata["danger_authzen_fixture"], true);
    // A ledger does not say so.
    let ledger = Served::new().get("/.well-known/authzen-configuration", None).json();
    assert_eq!(ledger.get("danger_authzen_fixture"), None);
}

#[test]
fn the_fixture_and_a_person_never_meet() {
    // A service with the fixture says so, takes no person in, and knows no ppid.
    let served = fixture();
    let ready = served.get("/readyz", None);
    assert_eq!((ready.status, ready.json()["reason"].clone()), (503, "authzen-fixture".into()));
    assert_eq!(served.node.readiness(), Readiness::NotReady(Stop::Fixture));
    let before = served.node.sequenced();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 503);
    let register = served.world.register("other", vec![naru::model::vocabulary::Role::Controller], false);
    assert_eq!(served.statement(&endorse(&sign(&register, &signer(20)), OPERATOR)).status, 503);
    assert_eq!(served.node.sequenced(), before);
    let bank = served.party("bank", BANK);
    let answer = served.check(&bank, &Ppid([7; 16]));
    assert_eq!(answer["context"]["policy"]["pack"], "authzen-cert");
    assert_eq!(answer["decision"], false);
    // A log with a person is not opened with it, nor is a log begun with it.
    let mut world = World::new();
    world.enrol(1);
    drop(world.node.take());
    world.memory = world.memory.reopen();
    assert!(matches!(open(&world), Err(Error::Fixture)));
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(&dir.path().join("vault"), &master()).unwrap();
    let settings = Settings { authzen_fixture: true, ..settings(&dir) };
    let store = Arc::new(naru::store::memory::Memory::new());
    let begun =
        Node::create(settings, store, vault, keys(), world.clock.clone(), genesis(world.now())).map(drop);
    assert!(matches!(begun, Err(Error::Fixture)));
    // Without it, nobody called alice is known and no such type is a question.
    let ledger = Served::new();
    let bank = ledger.party("bank", BANK);
    let body = br#"{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}"#;
    assert_eq!(ledger.post("/access/v1/evaluation", "application/json", Some(&bank), body).status, 400);
}
