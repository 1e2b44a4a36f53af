//! `/v1/statements`: what an answer carries, waiting, batches, who sees what; tokens; a stop.

use std::collections::BTreeMap;

use naru::ledger::promise;
use naru::model::id::Timestamp;
use naru::model::statement::ConsentGrant;
use naru::model::statement::Statement;
use serde_cbor::Value;

use crate::*;

fn map(bytes: &[u8]) -> BTreeMap<String, Value> {
    naru::ledger::cbor::decode(bytes).unwrap()
}

/// The maps of a CBOR sequence.
fn maps(mut rest: &[u8]) -> Vec<BTreeMap<String, Value>> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (item, after) = naru::ledger::cbor::split_first(rest).unwrap();
        out.push(map(item));
        rest = after;
    }
    out
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::Bytes(bytes) => bytes,
        other => panic!("not bytes: {other:?}"),
    }
}

fn number(value: &Value) -> u64 {
    match value {
        Value::Integer(n) => u64::try_from(*n).unwrap(),
        other => panic!("not a number: {other:?}"),
    }
}

#[test]
fn an_answer_carries_a_promise_a_stranger_can_check_and_a_replay_gets_the_same() {
    let served = Served::new();
    let item = sign(&served.world.key_create(), &person_key(1));
    let first = served.statement(&item);
    assert_eq!((first.status, first.header("content-type")), (201, "application/cbor"));
    assert_eq!(first.header("cache-control"), "no-store");
    let carried = map(&first.body);
    let keys: Vec<_> = carried.keys().map(String::as_str).collect();
    assert_eq!(keys, ["at", "entry", "id", "index", "k1", "k2", "path", "promise"]);
    let path: Vec<[u8; 32]> = match &carried["path"] {
        Value::Array(hashes) => hashes.iter().map(|h| bytes(h).try_into().unwrap()).collect(),
        other => panic!("{other:?}"),
    };
    let promised = promise::open(bytes(&carried["promise"]), signer(LOG).public()).unwrap();
    promised.verify_entry(bytes(&carried["entry"]), number(&carried["index"]), &path).unwrap();
    let id = naru::identity::open(&item).unwrap().id();
    assert_eq!(first.header("location"), format!("/v1/statements/{id}"));
    assert_eq!(bytes(&carried["id"]), id.0);
    // The same again: 200, and the same.
    let again = served.statement(&item);
    assert_eq!((again.status, map(&again.body)), (200, carried.clone()));
    // As JSON.
    let json = served.post_with(
        "/v1/statements",
        "application/cose",
        None,
        &[("accept", "application/json")],
        &item,
    );
    assert_eq!((json.status, json.header("content-type")), (200, "application/json"));
    let json = json.json();
    assert_eq!((&json["id"], &json["index"]), (&id.to_string().into(), &number(&carried["index"]).into()));
    for name in ["entry", "k1", "k2", "promise"] {
        assert_eq!(json[name], URL_SAFE_NO_PAD.encode(bytes(&carried[name])), "{name}");
    }
    // Where it stands, asked by its address.
    let place = served.get(first.header("location"), None).json();
    assert_eq!((&place["index"], &place["published"]), (&json["index"], &false.into()));
    served.node.tick().unwrap();
    assert_eq!(served.get(first.header("location"), None).json()["published"], true);
}

#[test]
fn no_statement_names_an_instant_that_no_text_can_write_and_a_withdrawal_is_taken_whenever_it_was_signed() {
    let served = Served::new();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let late = Timestamp(Timestamp::LAST.0 + 1);
    let grant = |keep_until| ConsentGrant { keep_until, ..served.world.grant(ppid, None) };
    let refused = served.statement(&sign(&grant(late).into(), &key));
    assert_eq!((refused.status, &refused.json()["code"]), (400, &"statement-shape".into()));
    assert!(refused.json()["detail"].as_str().unwrap().contains("the year 9999"));
    // The last one can be written: what speaks against it here is the notice.
    let refused = served.statement(&sign(&grant(Timestamp::LAST).into(), &key));
    assert_eq!((refused.status, &refused.json()["code"]), (403, &"dates".into()));
    let Statement::ConsentWithdraw(mut withdraw) = served.world.withdraw(ppid) else {
        panic!("a withdrawal")
    };
    withdraw.iat = Timestamp(u64::MAX);
    assert_eq!(served.statement(&sign(&Statement::ConsentWithdraw(withdraw), &key)).status, 201);
}

#[test]
fn a_public_entry_has_no_halves_and_evidence_for_everybody() {
    let served = Served::new();
    let notice = served.world.notice_of("bank", 2, &[naru::model::vocabulary::DataClass::RealName]);
    let item = sign(&notice, &signer(BANK));
    let reply = served.statement(&item);
    assert_eq!(reply.status, 201);
    assert!(!map(&reply.body).contains_key("k1") && !map(&reply.body).contains_key("k2"));
    served.node.tick().unwrap();
    let evidence = served.get(&format!("{}/evidence", reply.header("location")), None);
    assert_eq!(evidence.status, 200);
    Evidence::parse(&evidence.body).unwrap().verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
}

#[test]
fn a_receipt_is_waited_for_or_asked_for_later() {
    let served = Served::new();
    let item = sign(&served.world.key_create(), &person_key(1));
    let location = served.statement(&item).header("location").to_owned();
    let early = served.get(&format!("{location}/receipt"), None);
    assert_eq!((early.status, early.json()["code"].clone()), (409, "not-yet-published".into()));
    assert_eq!(early.header("retry-after"), "1");
    let unknown = served.get(&format!("/v1/statements/{}/receipt", "0".repeat(64)), None);
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (404, "not-found".into()));
    // Waiting ends with the tick over it.
    let next = sign(&served.world.key_create(), &person_key(2));
    let location = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let reply = served.post("/v1/statements?wait=receipt", "application/cose", None, &next);
            assert_eq!(reply.status, 201);
            reply.header("location").to_owned()
        });
        while !waiting.is_finished() {
            served.node.tick().unwrap();
            std::thread::yield_now();
        }
        waiting.join().unwrap()
    });
    let receipt = served.get(&format!("{location}/receipt"), None);
    assert_eq!((receipt.status, receipt.header("content-type")), (200, "application/cose"));
    let bad = served.post("/v1/statements?wait=forever", "application/cose", None, &next);
    assert_eq!((bad.status, bad.json()["code"].clone()), (400, "bad-query".into()));
}

#[test]
fn a_sealed_statement_is_shown_to_its_person_and_controller_only() {
    let served = Served::new();
    for n in [1, 2] {
        served.statement(&sign(&served.world.key_create(), &person_key(n)));
    }
    let ppid = served.node.ppid(&key_hash(&person_key(1)), Some(&party("bank"))).unwrap().unwrap();
    let item = sign(&served.world.grant(ppid, None).into(), &person_key(1));
    let location = served.statement(&item).header("location").to_owned();
    served.node.tick().unwrap();
    let status = |token: Option<String>| served.get(&format!("{location}/evidence"), token.as_deref()).status;
    assert_eq!(status(Some(served.citizen(1))), 200);
    assert_eq!(status(Some(served.party("bank", BANK))), 200);
    assert_eq!(status(Some(served.citizen(2))), 404);
    assert_eq!(status(Some(served.party("hospital", HOSPITAL))), 404);
    assert_eq!(status(None), 404);
    assert_eq!(status(Some("nonsense".into())), 401);
    // Her ppids are hers, the same for ever, and others' are others'.
    let ppids = |n: u64, at: &str| {
        served.get(&format!("/v1/subjects/me/ppids/{at}"), Some(&served.citizen(n))).json()["ppid"].clone()
    };
    assert_eq!(ppids(1, "bank"), ppid.to_text());
    let all: std::collections::BTreeSet<_> =
        [(1, "bank"), (1, "hospital"), (1, "self"), (2, "bank"), (2, "self")]
            .map(|(n, at)| ppids(n, at).as_str().unwrap().to_owned())
            .into();
    assert_eq!(all.len(), 5);
    let nobody = served.get("/v1/subjects/me/ppids/nobody", Some(&served.citizen(1)));
    assert_eq!((nobody.status, nobody.json()["code"].clone()), (404, "no-such-party".into()));
}

#[test]
fn a_batch_answers_item_by_item() {
    let served = Served::new();
    let item = |n: u64| sign(&served.world.key_create(), &person_key(n));
    let mut broken = item(2);
    *broken.last_mut().unwrap() ^= 1;
    let again = item(1);
    let sequence = [again.clone(), broken, item(3), item(3)].concat();
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        served.post_with("/v1/statements:batch", "application/cbor-seq", None, headers, body)
    };
    let reply = post(&[], &sequence);
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/cbor-seq"));
    let results = maps(&reply.body);
    let statuses: Vec<_> = results.iter().map(|m| number(&m["status"])).collect();
    assert_eq!(statuses, [201, 400, 201, 409]);
    assert_eq!(results[1]["code"], Value::Text("bad-signature".into()));
    assert_eq!(
        results[1].keys().map(String::as_str).collect::<Vec<_>>(),
        ["code", "detail", "status", "title"]
    );
    assert_eq!(results[3]["code"], Value::Text("key-taken".into()));
    let json = post(&[("accept", "application/json")], &again).json();
    assert_eq!((&json[0]["status"], &json[0]["index"]), (&200.into(), &number(&results[0]["index"]).into()));
    // The sequence as a whole.
    let code = |body: &[u8]| post(&[], body).json()["code"].as_str().unwrap().to_owned();
    assert_eq!(code(b""), "empty-body");
    assert_eq!(code(&[&again[..], &[0xff]].concat()), "malformed-cbor");
    assert_eq!(code(&again[..again.len() - 1]), "malformed-cbor");
    assert_eq!(code(&vec![0x81; 20_000]), "malformed-cbor");
    assert_eq!(code(&[0].repeat(1_025)), "too-many-items");
    assert_eq!(code(&vec![0; (8 << 20) + 1]), "too-large");
    assert_eq!(served.post("/v1/statements:batch", "application/cose", None, &again).status, 415);
}

#[test]
fn a_body_of_unsaid_length_is_measured_too() {
    let served = Served::new();
    let body = vec![0u8; 65 * 1024];
    let mut reader = &body[..];
    let send = ureq::SendBody::from_reader(&mut reader);
    let request = agent().post(served.url("/v1/statements")).header("content-type", "application/cose");
    let reply = reply(request.send(send).unwrap());
    assert_eq!((reply.status, reply.json()["code"].clone()), (413, "too-large".into()));
}

#[test]
fn wrong_addresses_and_methods_say_what_they_are() {
    let served = Served::new();
    let lost = served.get("/v2/statements", None);
    assert_eq!((lost.status, lost.json()["code"].clone()), (404, "no-route".into()));
    let wrong = served.get("/v1/statements", None);
    assert_eq!((wrong.status, wrong.header("allow")), (405, "POST"));
    let problem = wrong.json();
    assert_eq!(wrong.header("content-type"), "application/problem+json");
    for member in ["type", "title", "status", "detail", "code", "request_id"] {
        assert!(!problem[member].is_null(), "{member} is missing in {problem}");
    }
    assert_eq!(problem["type"], "/problems/no-method");
    let wrong = served.post("/log/checkpoint", "text/plain", None, b"");
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD"));
    assert_eq!(served.get("/problems/unheard-of", None).status, 404);
}

#[test]
fn tokens_are_refused_in_the_words_of_oauth() {
    let served = Served::new();
    let form = "application/x-www-form-urlencoded";
    let jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let cases = [
        (form, "", 400, "invalid_request"),
        (form, "grant_type=password", 400, "unsupported_grant_type"),
        (form, "grant_type=client_credentials", 400, "invalid_request"),
        (form, "grant_type=urn:naru:login&grant_type=urn:naru:login", 400, "invalid_request"),
        (form, "grant_type=urn:naru:login&login=%", 400, "invalid_request"),
        (form, "grant_type=urn:naru:login&login=AAAA", 400, "invalid_grant"),
        ("application/json", "{}", 400, "invalid_request"),
    ];
    for (media, body, status, error) in cases {
        let reply = served.post("/oauth/token", media, None, body.as_bytes());
        assert_eq!((reply.status, reply.json()["error"].clone()), (status, error.into()), "{body}");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let body = format!("grant_type=client_credentials&client_assertion_type={jwt}&client_assertion=a.b.c");
    let reply = served.post("/oauth/token", form, None, body.as_bytes());
    assert_eq!((reply.status, reply.json()["error"].clone()), (401, "invalid_client".into()));
    assert_eq!(reply.header("www-authenticate"), "Bearer");
    // A token ends with its time.
    let bank = served.party("bank", BANK);
    let question = question("bank", &Ppid([7; 16]).to_text()).to_string();
    let ask =
        || served.post("/access/v1/evaluation", "application/json", Some(&bank), question.as_bytes()).status;
    assert_eq!(ask(), 200);
    served.world.advance(naru::node::TOKEN_LIFE_S * 1_000);
    assert_eq!(ask(), 401);
}

#[test]
fn a_stopped_server_has_let_go_of_its_address() {
    let served = Served::new();
    let addr = served.running.addr();
    served.running.stop().unwrap();
    drop(std::net::TcpListener::bind(addr).unwrap());
}
