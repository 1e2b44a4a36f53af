//! Use lines over HTTP: the id in an answer, its evidence, the person's own list.

use naru::audit::decision::Evidence;
use naru::model::id::Ppid;
use naru::model::statement::Limits;

use crate::*;

fn served() -> Served {
    Served::of(World::logging())
}

fn enrolled(served: &Served, n: u64, limits: Option<Limits>) -> Ppid {
    let key = person_key(n);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let mut grant = served.world.grant(ppid, None);
    grant.limits = limits;
    assert_eq!(served.statement(&sign(&grant.into(), &key)).status, 201);
    ppid
}

fn batch(served: &Served) {
    served.world.advance(1_000);
    served.node.sync_uses().unwrap();
    served.node.batch_uses().unwrap().unwrap().unwrap();
    served.node.tick().unwrap();
}

fn id(answer: &serde_json::Value) -> String {
    answer["context"]["evaluation_id"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_names_its_line_and_the_line_proves_it() {
    let served = served();
    let ppid = enrolled(&served, 1, None);
    let bank = served.party("bank", BANK);
    let told = served.check(&bank, &ppid);
    let path = format!("/v1/decisions/{}/evidence", id(&told));
    let early = served.get(&path, Some(&bank));
    assert_eq!((early.status, early.json()["code"].clone()), (409, "not-yet-published".into()));
    assert!(!early.header("retry-after").is_empty());
    batch(&served);
    let reply = served.get(&path, Some(&bank));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/cbor"));
    assert_eq!(reply.header("cache-control"), "no-store");
    let evidence = Evidence::parse(&reply.body).unwrap();
    let proven = evidence.verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    assert_eq!((proven.line.id.to_string(), proven.line.told.as_str()), (id(&told), "CONSENT_GIVEN"));
    assert_eq!(proven.signer, key_hash(&signer(OPERATOR)));
    // The person herself, and nobody else.
    assert_eq!(served.get(&path, Some(&served.citizen(1))).status, 200);
    enrolled(&served, 2, None);
    for token in [served.party("hospital", HOSPITAL), served.citizen(2)] {
        let reply = served.get(&path, Some(&token));
        assert_eq!((reply.status, reply.json()["code"].clone()), (404, "not-found".into()));
    }
    assert_eq!(served.get(&path, None).status, 401);
    for unknown in [&"0".repeat(32), "x", &"0".repeat(64)] {
        assert_eq!(served.get(&format!("/v1/decisions/{unknown}/evidence"), Some(&bank)).status, 404);
    }
}

#[test]
fn each_item_of_a_batch_has_a_line_and_an_error_has_none() {
    let served = served();
    let ppid = enrolled(&served, 1, None);
    let bank = served.party("bank", BANK);
    let mut body = question("bank", &ppid.to_text());
    body["evaluations"] = serde_json::json!([{}, {"action": {"name": "steal"}}, {}]);
    let json = "application/json";
    let reply = served.post("/access/v1/evaluations", json, Some(&bank), body.to_string().as_bytes()).json();
    assert_ne!(id(&reply["evaluations"][0]), id(&reply["evaluations"][2]));
    assert_eq!(reply["evaluations"][1]["context"]["evaluation_id"], serde_json::Value::Null);
    let uses = served.get("/v1/subjects/me/uses", Some(&served.citizen(1))).json();
    assert_eq!(uses["uses"].as_array().unwrap().len(), 2);
    // What is kept is bounded.
    let mut long = question("bank", &ppid.to_text());
    long["action"]["properties"]["purpose"] = "dpv:".to_owned().repeat(100).into();
    let ask = |body: &serde_json::Value| {
        served.post("/access/v1/evaluation", json, Some(&bank), body.to_string().as_bytes()).status
    };
    assert_eq!(ask(&long), 400);
    long = question("bank", &ppid.to_text());
    long["resource"]["properties"]["categories"] = vec!["pd:Age"; 65].into();
    assert_eq!(ask(&long), 400);
}

#[test]
fn a_person_reads_who_asked_what_and_was_told_what_page_by_page() {
    let served = served();
    let ppid = enrolled(&served, 1, None);
    let bank = served.party("bank", BANK);
    let mut ids: Vec<String> = (0..5)
        .map(|_| {
            served.world.advance(10);
            id(&served.check(&bank, &ppid))
        })
        .collect();
    batch(&served);
    assert_eq!(served.statement(&sign(&served.world.withdraw(ppid), &person_key(1))).status, 201);
    ids.push(id(&served.check(&bank, &ppid)));
    ids.reverse();
    let citizen = served.citizen(1);
    let all = served.get("/v1/subjects/me/uses", Some(&citizen));
    assert_eq!(all.header("cache-control"), "no-store");
    let all = all.json();
    let listed: Vec<_> = all["uses"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert_eq!(all["next"], serde_json::Value::Null);
    let newest = &all["uses"][0];
    let expected = [
        ("act", "check"),
        ("asker", "bank"),
        ("controller", "bank"),
        ("action", "use"),
        ("purpose", PURPOSE),
        ("class", "real-name"),
        ("told", "CONSENT_WITHDRAWN"),
        ("reason", "CONSENT_WITHDRAWN"),
        ("pack", "kcern-2018"),
    ];
    for (name, value) in expected {
        assert_eq!(newest[name], value, "{newest}");
    }
    assert_eq!((&newest["decision"], &newest["batch"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!((&all["uses"][1]["decision"], &all["uses"][1]["batch"]), (&true.into(), &0.into()));
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/v1/subjects/me/uses?limit=4{next}"), Some(&citizen)).json();
        paged.extend(page["uses"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(id) => next = format!("&after={id}"),
            None => break,
        }
    }
    assert_eq!(paged, ids);
    for bad in ["limit=0", "limit=1001", "limit=x", "after=1", "more=1"] {
        let reply = served.get(&format!("/v1/subjects/me/uses?{bad}"), Some(&citizen));
        assert_eq!((reply.status, reply.json()["code"].clone()), (400, "bad-query".into()), "{bad}");
    }
}

#[test]
fn a_limited_grant_is_used_by_name_over_http() {
    let served = served();
    let ppid = enrolled(&served, 1, Some(Limits { count: Some(1), ..Limits::default() }));
    let bank = served.party("bank", BANK);
    let ask = |use_id: Option<&str>| {
        let mut body = question("bank", &ppid.to_text());
        if let Some(use_id) = use_id {
            body["context"] = serde_json::json!({ "use_id": use_id });
        }
        let reply = served.post(
            "/access/v1/evaluation",
            "application/json",
            Some(&bank),
            body.to_string().as_bytes(),
        );
        let json = reply.json();
        (json["decision"].as_bool().unwrap(), json["context"]["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(ask(None), (false, "USE_ID_REQUIRED".into()));
    assert_eq!(ask(Some("a")), (true, "CONSENT_GIVEN".into()));
    assert_eq!(ask(Some("b")), (false, "USAGE_LIMIT_REACHED".into()));
    assert_eq!(ask(Some("a")), (true, "CONSENT_GIVEN".into()));
}

#[test]
fn unknown_foreign_and_unacquainted_persons_are_answered_in_one_shape_with_a_use_log() {
    let served = served();
    let bank = served.party("bank", BANK);
    for n in 1..3 {
        served.statement(&sign(&served.world.key_create(), &person_key(n)));
    }
    let at = |n: u64, name: &str| {
        served.node.ppid(&key_hash(&person_key(n)), Some(&party(name))).unwrap().unwrap()
    };
    let ppids = [at(1, "hospital"), at(2, "bank"), Ppid([7; 16])];
    let mut answers: Vec<_> = ppids.iter().map(|p| served.check(&bank, p)).collect();
    let ids: std::collections::BTreeSet<_> = answers.iter().map(id).collect();
    assert_eq!(ids.len(), 3);
    for answer in &mut answers {
        let text = answer["context"]["evaluation_id"].take();
        assert_eq!(text.as_str().unwrap().len(), 32);
        answer["context"]["as_of"] = 0.into();
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[1], answers[2]);
    let hers = served.get("/v1/subjects/me/uses", Some(&served.citizen(1))).json();
    assert!(ids.contains(hers["uses"][0]["id"].as_str().unwrap()));
}
