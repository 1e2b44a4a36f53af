//! AuthZEN 1.0 as its field writes it: shapes, batches, and what is told to whom.

use naru::model::id::Ppid;
use naru::model::statement::Scope;
use naru::model::vocabulary::DataClass;

use crate::*;

const ONE: &str = "/access/v1/evaluation";
const MANY: &str = "/access/v1/evaluations";
const JSON: &str = "application/json";

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

/// Answers as they came, byte by byte.
fn told(served: &Served, token: &str, ppid: &Ppid) -> String {
    let body = question("bank", &ppid.to_text()).to_string();
    let reply = served.post(ONE, JSON, Some(token), body.as_bytes());
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.body).unwrap()
}

#[test]
fn an_exact_reason_that_is_not_told_shows_nowhere() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let (object, plain) = (person_key(1), person_key(2));
    served.statement(&sign(&served.world.key_create(), &object));
    served.statement(&sign(&served.world.key_create(), &plain));
    let at = |key: &dyn Signer, party: Option<&str>| {
        served.node.ppid(&key_hash(key), party.map(support::party).as_ref()).unwrap().unwrap()
    };
    // She objects to everybody: the bank has no statement of hers in its domain.
    let objection = served.world.object(at(&object, None), Scope::Any, DataClass::RealName);
    assert_eq!(served.statement(&sign(&objection, &object)).status, 201);
    let ask = served.world.ask(at(&object, Some("bank")), naru::model::vocabulary::Action::Use);
    let exact = served.node.check(&ask).unwrap().decision;
    assert_eq!(exact.reason.as_str(), "OBJECTED");
    let told_of_her = told(&served, &bank, &at(&object, Some("bank")));
    assert_eq!(told_of_her, told(&served, &bank, &at(&plain, Some("bank"))));
    assert_eq!(told_of_her, told(&served, &bank, &Ppid([7; 16])));
    assert!(!told_of_her.contains(&*exact.rule), "{told_of_her}");
    // Figures are for everybody: they count what was told.
    let metrics = String::from_utf8(served.get("/metrics", None).body).unwrap();
    let count = |reason: &str| {
        let line = format!("naru_decisions_total{{decision=\"deny\",reason=\"{reason}\"}} ");
        metrics.lines().find_map(|l| l.strip_prefix(&line).map(str::to_owned)).unwrap()
    };
    assert_eq!((count("OBJECTED").as_str(), count("CONSENT_NOT_GIVEN").as_str()), ("0", "3"));
}

#[test]
fn only_objects_of_the_right_members_are_questions() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let good = question("bank", &Ppid([7; 16]).to_text());
    let put = |pointer: &str, value: serde_json::Value| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[name] = value;
        body
    };
    let bad = [
        serde_json::json!([good["subject"], good["action"], good["resource"]]),
        serde_json::json!("question"),
        put("/subject", "bank".into()),
        put("/subject", serde_json::json!(["party", "bank"])),
        put("/subject", serde_json::Value::Null),
        put("/subject/id", 7.into()),
        put("/subject/type", "user".into()),
        put("/action", serde_json::json!(["use"])),
        put("/action/name", 7.into()),
        put("/action/properties", serde_json::json!([PURPOSE])),
        put("/action/properties", serde_json::json!({})),
        put("/action/properties/recipient", "No Party".into()),
        put("/resource/type", "record".into()),
        put("/resource/id", "ppid_07".into()),
        put("/resource/properties", serde_json::json!({})),
        put("/resource/properties/class", "secret".into()),
        put("/resource/properties/categories", CATEGORY.into()),
        put("/context", serde_json::json!({"min_index": "7"})),
        put("/context", serde_json::json!([])),
    ];
    for body in bad {
        let reply = served.post(ONE, JSON, Some(&bank), body.to_string().as_bytes());
        let message = String::from_utf8(reply.body.clone()).unwrap();
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.header("content-type").starts_with("text/plain"), "{body}");
        assert!(!message.is_empty() && !message.contains("ppid_07"), "{message}");
    }
    let fine = [
        put("/context", serde_json::Value::Null),
        put("/context", serde_json::json!({"ip": "::1", "min_index": 1})),
        put("/subject/properties", serde_json::json!({"role": "controller"})),
        put("/resource/properties/categories", serde_json::json!([])),
        put("/resource", serde_json::json!({"type": "release", "id": "r-1"})),
        put("/extra", serde_json::json!({"deep": [1, {"x": null}]})),
    ];
    for body in fine {
        let reply =
            served.post(ONE, "Application/JSON; charset=utf-8", Some(&bank), body.to_string().as_bytes());
        assert_eq!((reply.status, reply.json()["decision"].clone()), (200, false.into()), "{body}");
    }
}

#[test]
fn a_request_id_is_echoed_whatever_the_answer() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let good = question("bank", &Ppid([7; 16]).to_text()).to_string();
    let id = [("x-request-id", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716")];
    for (token, body, status) in [(Some(&*bank), &*good, 200), (Some(&*bank), "{", 400), (None, &*good, 401)]
    {
        let reply = served.post_with(ONE, JSON, token, &id, body.as_bytes());
        assert_eq!((reply.status, reply.header("x-request-id")), (status, id[0].1));
        assert_eq!(reply.header("www-authenticate"), if status == 401 { "Bearer" } else { "" });
        assert_eq!(served.post(ONE, JSON, token, body.as_bytes()).header("x-request-id"), "");
    }
    // A method or an address that is not there has no decision, and the id all the same.
    for (path, method, status) in
        [(ONE, "GET", 405), (MANY, "GET", 405), ("/access/v1/judgement", "POST", 404)]
    {
        let reply = match method {
            "GET" => served.get_with(path, None, &id),
            _ => served.post_with(path, JSON, Some(&bank), &id, good.as_bytes()),
        };
        assert_eq!((reply.status, reply.header("x-request-id")), (status, id[0].1), "{path}");
        assert_eq!(reply.json()["request_id"], id[0].1, "{path}");
    }
    let problem = served.post_with("/v1/statements", "application/cose", None, &id, b"x");
    assert_eq!((problem.header("x-request-id"), &problem.json()["request_id"]), (id[0].1, &id[0].1.into()));
    let other = served.get("/v1/statements/7", None);
    assert_eq!(other.json()["request_id"], other.header("x-request-id"));
}

#[test]
fn a_batch_stops_where_its_semantic_says() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let key = person_key(1);
    served.statement(&sign(&served.world.key_create(), &key));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    served.statement(&sign(&served.world.grant(ppid, None).into(), &key));
    let (yes, no) = (
        serde_json::json!({}),
        serde_json::json!({"action": {"name": "profile", "properties": {"purpose": PURPOSE}}}),
    );
    let ask = |semantic: Option<&str>, items: &[&serde_json::Value]| {
        let mut body = question("bank", &ppid.to_text());
        body["evaluations"] = items.iter().map(|item| (*item).clone()).collect();
        if let Some(semantic) = semantic {
            body["options"] = serde_json::json!({"evaluations_semantic": semantic, "other": 1});
        }
        served.post(MANY, JSON, Some(&bank), body.to_string().as_bytes())
    };
    let decisions = |reply: &Reply| -> Vec<bool> {
        let answers = reply.json()["evaluations"].as_array().unwrap().clone();
        answers.iter().map(|a| a["decision"].as_bool().unwrap()).collect()
    };
    assert_eq!(decisions(&ask(None, &[&yes, &no, &yes])), [true, false, true]);
    assert_eq!(decisions(&ask(Some("execute_all"), &[&no, &yes])), [false, true]);
    assert_eq!(decisions(&ask(Some("deny_on_first_deny"), &[&yes, &no, &yes])), [true, false]);
    assert_eq!(decisions(&ask(Some("permit_on_first_permit"), &[&no, &yes, &no])), [false, true]);
    assert_eq!(ask(Some("whatever"), &[&yes]).status, 400);
    // Nothing in it: a single evaluation of the defaults.
    let single = ask(None, &[]).json();
    assert_eq!((&single["decision"], single.get("evaluations")), (&true.into(), None));
    assert!(single["context"]["until"].as_u64().unwrap() > served.world.now().0);
    // Objects replace defaults whole: an action without its properties does not inherit the purpose.
    let bare = serde_json::json!({"action": {"name": "use"}});
    let reply = ask(None, &[&bare, &serde_json::json!([]), &serde_json::json!(7), &yes]).json();
    for at in 0..3 {
        assert_eq!(reply["evaluations"][at]["context"]["error"]["status"], 400, "{reply}");
    }
    assert_eq!(reply["evaluations"][3]["decision"], true);
    let many: Vec<_> = std::iter::repeat_n(&yes, 1_025).collect();
    assert_eq!(ask(None, &many).status, 400);
}

#[test]
fn an_index_not_yet_reached_is_waited_for_in_vain() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let mut body = question("bank", &Ppid([7; 16]).to_text());
    body["context"] = serde_json::json!({"min_index": served.node.sequenced() + 1});
    let reply = served.post(ONE, JSON, Some(&bank), body.to_string().as_bytes());
    assert_eq!((reply.status, reply.json()["context"]["reason"].clone()), (200, "LOG_UNAVAILABLE".into()));
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let reply = served.post(ONE, JSON, Some(&bank), body.to_string().as_bytes());
    assert_eq!(reply.json()["context"]["reason"], "CONSENT_NOT_GIVEN");
}

#[test]
fn metadata_names_the_endpoints_under_the_address_used() {
    let served = Served::new();
    let reply = served.get("/.well-known/authzen-configuration", None);
    let base = served.url("");
    assert_eq!(reply.header("content-type"), JSON);
    assert_eq!(reply.json()["policy_decision_point"], base);
    for (name, path) in [
        ("access_evaluation_endpoint", ONE),
        ("access_evaluations_endpoint", MANY),
        ("search_subject_endpoint", "/access/v1/search/subject"),
        ("search_resource_endpoint", "/access/v1/search/resource"),
        ("search_action_endpoint", "/access/v1/search/action"),
    ] {
        assert_eq!(reply.json()[name], format!("{base}{path}"));
    }
}

#[test]
fn a_processor_asks_in_its_controller_s_domain_as_long_as_it_is_engaged() {
    let served = Served::new();
    let key = person_key(1);
    served.statement(&sign(&served.world.key_create(), &key));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    assert_eq!(served.statement(&sign(&served.world.grant(ppid, None).into(), &key)).status, 201);
    for item in served.world.hire(&[PURPOSE]) {
        assert_eq!(served.statement(&item).status, 201);
    }
    let cloud = served.party("cloud", CLOUD);
    let ask =
        |question: &serde_json::Value| served.post(ONE, JSON, Some(&cloud), question.to_string().as_bytes());
    let good = question("bank", &ppid.to_text());
    let reply = ask(&good);
    assert_eq!((reply.status, reply.json()["context"]["reason"].clone()), (200, "CONSENT_GIVEN".into()));
    // Not for another purpose, not for another controller, and not in a domain of its own.
    let mut other = good.clone();
    other["action"]["properties"]["purpose"] = "dpv:Marketing".into();
    assert_eq!(ask(&other).status, 403);
    assert_eq!(ask(&question("hospital", &ppid.to_text())).status, 403);
    let own = ask(&question("cloud", &ppid.to_text()));
    assert_eq!((own.status, own.json()["context"]["reason"].clone()), (200, "PURPOSE_MISMATCH".into()));
    // It ends with the entry, the token still alive.
    served.world.advance(1_000);
    let fire = endorse(&sign(&served.world.fire(), &signer(BANK)), OPERATOR);
    assert_eq!(served.statement(&fire).status, 201);
    assert_eq!(ask(&good).status, 403);
    assert_eq!(served.check(&served.party("bank", BANK), &ppid)["decision"], true);
}
