//! Searches: what they find, and what they must not tell.

use naru::model::id::Ppid;
use naru::model::statement::ConsentGrant;
use naru::model::statement::Scope;
use naru::model::statement::Shown;
use naru::model::vocabulary::DataClass;
use naru::node::Listing;
use naru::node::Settings;
use naru::vault::Vault;
use serde_json::Value;
use serde_json::json;

use crate::*;

const SUBJECT: &str = "/access/v1/search/subject";
const RESOURCE: &str = "/access/v1/search/resource";
const ACTION: &str = "/access/v1/search/action";
const JSON: &str = "application/json";

fn ask(served: &Served, path: &str, token: &str, body: &Value) -> Reply {
    served.post(path, JSON, Some(token), body.to_string().as_bytes())
}

fn found(served: &Served, path: &str, token: &str, body: &Value) -> Value {
    let reply = ask(served, path, token, body);
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.json()
}

fn persons(party: &str, action: &str) -> Value {
    json!({
        "subject": {"type": "party", "id": party},
        "action": {"name": action, "properties": {"purpose": PURPOSE}},
        "resource": {"type": "person", "properties": {"class": "real-name"}},
    })
}

fn ids(answer: &Value) -> Vec<String> {
    answer["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

/// Enrols person `n` and answers her ppid with a party.
fn enrol(served: &Served, n: u64, at: &str) -> Ppid {
    let key = person_key(n);
    if served.node.ppid(&key_hash(&key), None).is_ok_and(|p| p.is_none()) {
        assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    }
    served.node.ppid(&key_hash(&key), Some(&party(at))).unwrap().unwrap()
}

/// Enrols person `n`, who grants the bank what its notice asks.
fn granted(served: &Served, n: u64) -> Ppid {
    let ppid = enrol(served, n, "bank");
    let grant = sign(&served.world.grant(ppid, None).into(), &person_key(n));
    assert_eq!(served.statement(&grant).status, 201);
    ppid
}

/// A notice of the hospital, so that it has a domain with persons of its own.
fn hospital(served: &Served) -> Shown {
    let notice = served.world.notice_of("hospital", 1, &[DataClass::RealName]);
    let id = naru::identity::open(&sign(&notice, &signer(HOSPITAL))).unwrap().id();
    assert_eq!(served.statement(&sign(&notice, &signer(HOSPITAL))).status, 201);
    Shown { id, hash: served.world.text, locale: "ko".into() }
}

fn granted_to_hospital(served: &Served, n: u64, notice: &Shown) -> Ppid {
    let ppid = enrol(served, n, "hospital");
    let grant = ConsentGrant {
        controller: party("hospital"),
        notice: notice.clone(),
        ..served.world.grant(ppid, None)
    };
    assert_eq!(served.statement(&sign(&grant.into(), &person_key(n))).status, 201);
    ppid
}

/// All pages of a search, each with its size.
fn walk(served: &Served, token: &str, query: &Value, limit: u64) -> (Vec<String>, Vec<usize>) {
    let (mut all, mut sizes) = (Vec::new(), Vec::new());
    let mut body = query.clone();
    body["page"] = json!({ "limit": limit });
    loop {
        let answer = found(served, RESOURCE, token, &body);
        sizes.push(ids(&answer).len());
        all.extend(ids(&answer));
        match answer["page"]["next_token"].as_str().unwrap() {
            "" => return (all, sizes),
            next => body["page"] = json!({ "token": next }),
        }
    }
}

#[test]
fn persons_on_whom_it_is_permitted_page_by_page() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let mut yes: Vec<String> = (1..=7).map(|n| granted(&served, n).to_text()).collect();
    let query = persons("bank", "use");
    // The first search reads the log, later ones are told what is new.
    yes.sort();
    assert_eq!(ids(&found(&served, RESOURCE, &bank, &query)), yes);
    let gone = granted(&served, 8);
    assert_eq!(ids(&found(&served, RESOURCE, &bank, &query)).len(), 8);
    assert_eq!(served.statement(&sign(&served.world.withdraw(gone), &person_key(8))).status, 201);
    enrol(&served, 9, "bank");
    let answer = found(&served, RESOURCE, &bank, &query);
    assert_eq!(ids(&answer), yes);
    assert_eq!(answer["page"], json!({ "next_token": "" }));
    assert!(answer["context"]["as_of"].as_u64().unwrap() <= served.node.sequenced());
    // Every result, asked again as it stands, is permitted.
    for result in answer["results"].as_array().unwrap() {
        let mut single = query.clone();
        single["resource"] = result.clone();
        assert_eq!(found(&served, "/access/v1/evaluation", &bank, &single)["decision"], true);
    }
    // Pages are full to the last, whoever was passed over in between.
    for (limit, sizes) in [(3, vec![3, 3, 1]), (7, vec![7]), (1, vec![1; 7]), (100, vec![7])] {
        assert_eq!(walk(&served, &bank, &query, limit), (yes.clone(), sizes));
    }
    // An id is no condition; nobody may do what no grant says; what nothing can grant says so.
    let mut with_id = query.clone();
    with_id["resource"]["id"] = gone.to_text().into();
    assert_eq!(ids(&found(&served, RESOURCE, &bank, &with_id)), yes);
    assert_eq!(ids(&found(&served, RESOURCE, &bank, &persons("bank", "profile"))), [""; 0]);
    let linking = found(&served, RESOURCE, &bank, &persons("bank", "reidentify"));
    assert_eq!((ids(&linking).len(), &linking["context"]["reason"]), (0, &"REIDENTIFICATION_BLOCKED".into()));
    let mut bare = query.clone();
    bare["page"] = json!({ "limit": 0 });
    let none = found(&served, RESOURCE, &bank, &bare);
    assert!(ids(&none).is_empty() && none["page"]["next_token"] != "");
}

#[test]
fn a_token_is_of_one_asker_and_one_question() {
    let served = Served::new();
    let (bank, hospital_token) = (served.party("bank", BANK), served.party("hospital", HOSPITAL));
    let notice = hospital(&served);
    for n in 1..=3 {
        granted(&served, n);
        granted_to_hospital(&served, n, &notice);
    }
    let mut query = persons("bank", "use");
    query["page"] = json!({ "limit": 1 });
    let first = found(&served, RESOURCE, &bank, &query);
    let token = first["page"]["next_token"].as_str().unwrap().to_owned();
    let with = |query: &Value, page: Value| {
        let mut body = query.clone();
        body["page"] = page;
        body
    };
    let page = json!({ "token": token });
    assert_eq!(ask(&served, RESOURCE, &bank, &with(&query, page.clone())).status, 200);
    let refused = |who: &str, body: &Value| {
        let reply = ask(&served, RESOURCE, who, body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(!String::from_utf8(reply.body).unwrap().contains("ppid_"));
    };
    refused(&hospital_token, &with(&persons("hospital", "use"), page.clone()));
    assert_eq!(ask(&served, RESOURCE, &hospital_token, &with(&query, page.clone())).status, 403);
    refused(&bank, &with(&persons("bank", "collect"), page.clone()));
    let mut other = query.clone();
    other["resource"]["properties"]["categories"] = json!([CATEGORY]);
    refused(&bank, &with(&other, page.clone()));
    let mut other = query.clone();
    other["action"]["properties"]["recipient"] = "hospital".into();
    refused(&bank, &with(&other, page));
    refused(&bank, &with(&query, json!({ "token": token, "limit": 2 })));
    refused(&bank, &with(&query, json!({ "token": "x" })));
    refused(&bank, &with(&query, json!({ "token": token[..token.len() - 1] })));
    // Any other last character: that of the token itself is random, so no fixed one is always another.
    for last in "AQgwBCDEFGHIJKLMNOPRSTUVWXYZabcdefhijklmnopqrstuvxyz0123456789-_".chars() {
        let other = format!("{}{last}", &token[..token.len() - 1]);
        if other != token {
            refused(&bank, &with(&query, json!({ "token": other })));
        }
    }
    refused(&bank, &with(&query, json!({ "limit": -1 })));
    // Whoever else may ask for the bank cannot use the bank's token.
    let question = served.world.ask(Ppid([0; 16]), naru::model::vocabulary::Action::Use).question;
    let sealed = served.node.seal_page(&party("bank"), &question, Ppid([9; 16]), 3).unwrap();
    assert_eq!(served.node.open_page(&party("bank"), &question, &sealed), Some((Ppid([9; 16]), 3)));
    assert_eq!(served.node.open_page(&party("hospital"), &question, &sealed), None);
    // Opaque: neither the ppid it stands for, nor two tokens alike, nor a length that tells.
    let again = found(&served, RESOURCE, &bank, &query)["page"]["next_token"].as_str().unwrap().to_owned();
    assert!(token != again && token.len() == again.len());
    let raw = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let ppid = Ppid::from_text(&ids(&first)[0]).unwrap();
    assert!(!raw.windows(16).any(|w| w == ppid.0));
}

/// An answer without what every answer of the log moves on by itself.
fn still(mut answer: Value) -> Value {
    answer["context"]["as_of"] = 0.into();
    if let Some(token) = answer.pointer("/page/next_token").and_then(Value::as_str) {
        answer["page"]["next_token"] = token.len().into();
    }
    answer
}

#[test]
fn rows_of_others_leave_no_trace() {
    for seed in 0..4u64 {
        let served = Served::new();
        let bank = served.party("bank", BANK);
        let notice = hospital(&served);
        let own: Vec<Ppid> = (0..5).map(|n| granted(&served, 100 + n)).collect();
        let before = enrol(&served, 104, "hospital");
        let queries = || -> Vec<(&str, Value)> {
            let mut paged = persons("bank", "use");
            paged["page"] = json!({ "limit": 2 });
            let mut all = vec![
                (RESOURCE, persons("bank", "use")),
                (RESOURCE, paged),
                (RESOURCE, persons("bank", "share")),
            ];
            for ppid in own.iter().chain([&before, &Ppid([7; 16])]) {
                let resource = json!({
                    "type": "person", "id": ppid.to_text(), "properties": {"class": "real-name"},
                });
                let party = json!({"type": "party", "id": "bank"});
                let context = json!({"purpose": PURPOSE});
                all.push((ACTION, json!({"subject": party, "resource": resource, "context": context})));
                let action = json!({"name": "use", "properties": {"purpose": PURPOSE}});
                all.push((SUBJECT, json!({"subject": party, "resource": resource, "action": action})));
            }
            all
        };
        let answers = || -> Vec<Value> {
            queries().iter().map(|(path, query)| still(found(&served, path, &bank, query))).collect()
        };
        let seen = answers();
        assert_eq!(ids(&seen[0]).len(), 5);
        // Persons of the hospital alone, the bank's own persons with the hospital, persons with nobody.
        for n in 0..8 {
            let n = (seed * 8 + n) % 11;
            granted_to_hospital(&served, 200 + n, &notice);
            enrol(&served, 300 + n, "bank");
        }
        granted_to_hospital(&served, 100 + seed, &notice);
        // She objects to everybody without having met the bank.
        let at = served.node.ppid(&key_hash(&person_key(200)), None).unwrap();
        if let Some(ppid) = at {
            let objection = served.world.object(ppid, Scope::Any, DataClass::Pseudonymous);
            assert_eq!(served.statement(&sign(&objection, &person_key(200))).status, 201);
        }
        assert_eq!(answers(), seen);
        served.node.forget_caches();
        assert_eq!(answers(), seen);
    }
}

#[test]
fn actions_and_parties_of_one_person() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let ppid = granted(&served, 1);
    let resource = |ppid: &Ppid, class: &str| json!({"type": "person", "id": ppid.to_text(), "properties": {"class": class}});
    let actions = |ppid: &Ppid, context: Value| {
        let subject = json!({"type": "party", "id": "bank"});
        let body = json!({"subject": subject, "resource": resource(ppid, "real-name"), "context": context});
        found(&served, ACTION, &bank, &body)
    };
    let names = |answer: &Value| -> Vec<String> {
        answer["results"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect()
    };
    let answer = actions(&ppid, json!({"purpose": PURPOSE}));
    assert_eq!(names(&answer), ["collect", "use"]);
    assert_eq!(answer["results"][1]["properties"], json!({"purpose": PURPOSE}));
    let to = actions(&ppid, json!({"purpose": PURPOSE, "recipient": "hospital"}));
    assert_eq!(names(&to), ["collect", "use", "share"]);
    let barred = actions(&ppid, json!({"purpose": "dpv:Marketing"}));
    assert_eq!((names(&barred).len(), &barred["context"]["reason"]), (0, &"PURPOSE_MISMATCH".into()));
    let parties = |name: &str, token: &str, ppid: &Ppid| {
        let body = json!({
            "subject": {"type": "party", "id": "anybody"},
            "resource": resource(ppid, "real-name"),
            "action": {"name": name, "properties": {"purpose": PURPOSE}},
        });
        found(&served, SUBJECT, token, &body)
    };
    let who = |answer: &Value| -> Vec<(String, String)> {
        let pair = |r: &Value| {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            (text(&r["id"]), text(&r["properties"]["capacity"]))
        };
        answer["results"].as_array().unwrap().iter().map(pair).collect()
    };
    let both = [("bank".into(), "controller".into()), ("hospital".into(), "recipient".into())];
    assert_eq!(who(&parties("use", &bank, &ppid)), both);
    assert_eq!(who(&parties("share", &bank, &ppid)), both[1..]);
    assert_eq!(who(&parties("profile", &bank, &ppid)), []);
    // In the hospital's own domain that ppid is nobody's.
    let hospital = served.party("hospital", HOSPITAL);
    assert_eq!(who(&parties("use", &hospital, &ppid)), []);
}

#[test]
fn nobody_of_that_name_is_empty_and_a_missing_member_is_not() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let known = enrol(&served, 1, "bank");
    let foreign = enrol(&served, 2, "hospital");
    let subject = json!({"type": "party", "id": "bank"});
    let action = json!({"name": "use", "properties": {"purpose": PURPOSE}});
    let person = |id: &str| json!({"type": "person", "id": id, "properties": {"class": "real-name"}});
    let context = json!({"purpose": PURPOSE});
    let mut alike = Vec::new();
    for id in [&known.to_text(), &foreign.to_text(), &Ppid([7; 16]).to_text(), "nonsense"] {
        for (path, body) in [
            (ACTION, json!({"subject": subject, "resource": person(id), "context": context})),
            (SUBJECT, json!({"subject": {"type": "party"}, "resource": person(id), "action": action})),
        ] {
            let reply = ask(&served, path, &bank, &body);
            assert_eq!((reply.status, ids(&reply.json()).len()), (200, 0), "{id}");
            alike.push(reply.body);
        }
    }
    assert!(alike.iter().all(|body| *body == alike[0]));
    let strange = [
        (SUBJECT, json!({"subject": {"type": "spaceship"}, "resource": person("x"), "action": action})),
        (RESOURCE, json!({"subject": subject, "resource": {"type": "spaceship"}, "action": action})),
        (RESOURCE, json!({"subject": subject, "resource": {"type": "person"}, "action": {"name": "steal"}})),
        (ACTION, json!({"subject": {"type": "user", "id": "alice"}, "resource": person("x")})),
    ];
    for (path, body) in strange {
        assert_eq!(found(&served, path, &bank, &body)["results"], json!([]), "{body}");
    }
    let id = known.to_text();
    let bad = [
        (SUBJECT, json!({"subject": {"type": "party"}, "resource": person(&id)})),
        (SUBJECT, json!({"subject": {"type": "party"}, "resource": {"type": "person"}, "action": action})),
        (RESOURCE, json!({"subject": {"type": "party"}, "resource": {"type": "person"}, "action": action})),
        (RESOURCE, json!({"subject": subject, "resource": {"type": "person"}, "action": action})),
        (ACTION, json!({"subject": subject})),
        (ACTION, json!({"subject": {"type": "party"}, "resource": person(&id), "context": context})),
        (ACTION, json!({"subject": subject, "resource": person(&id)})),
        (ACTION, json!({"subject": subject, "resource": person(&id), "context": [PURPOSE]})),
        (ACTION, json!({"subject": subject, "resource": person(&id), "context": context, "page": "first"})),
    ];
    for (path, body) in bad {
        assert_eq!(ask(&served, path, &bank, &body).status, 400, "{body}");
    }
    let other = json!({"type": "party", "id": "hospital"});
    let body = json!({"subject": other, "resource": person(&id), "context": context});
    assert_eq!(ask(&served, ACTION, &bank, &body).status, 403);
    assert_eq!(ask(&served, RESOURCE, &bank, &persons("hospital", "use")).status, 403);
}

#[test]
fn a_restart_lists_the_same_persons_and_too_many_are_not_listed() {
    let mut world = World::new();
    let question = |world: &World| world.ask(Ppid([0; 16]), naru::model::vocabulary::Action::Use).question;
    let list = |world: &World| match world.node().search_persons(&question(world), None, None, 100).unwrap() {
        Listing::Page(found, None) => found.results,
        other => panic!("{other:?}"),
    };
    let grant = |world: &World, n: u64| {
        let ppid = world.enrol(n);
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    };
    (1..=3).for_each(|n| grant(&world, n));
    assert_eq!(list(&world).len(), 3);
    (4..=6).for_each(|n| grant(&world, n));
    let followed = list(&world);
    assert_eq!(followed.len(), 6);
    world.reopen();
    assert_eq!(list(&world), followed);
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let settings = Settings { listed: 5, ..settings(&world.dir) };
    let store = Arc::new(world.memory.clone());
    world.node = Some(Node::open(settings, store, vault, keys(), world.clock.clone()).unwrap());
    let listing = world.node().search_persons(&question(&world), None, None, 100).unwrap();
    assert_eq!(listing, Listing::TooLarge);
}
