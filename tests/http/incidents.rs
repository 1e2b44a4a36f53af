//! Incidents over HTTP, and signed requests at the door.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::request;
use naru::identity::request::Request;
use naru::model::statement::ErasureDemand;
use naru::model::statement::HoldLift;
use naru::model::statement::HoldPlace;
use naru::model::statement::IncidentOrder;
use naru::model::statement::Kind;
use naru::model::statement::Statement;

use crate::*;

/// The three headers of a signed question.
fn signed(served: &Served, body: &[u8], seed: u8) -> [String; 3] {
    let target = served.url("/access/v1/evaluation");
    let request = Request { method: "POST", target: &target, body };
    request::sign(request, served.world.now(), &signer(seed)).unwrap()
}

fn send(served: &Served, token: &str, body: &[u8], headers: &[String; 3]) -> Reply {
    let names = ["content-digest", "signature-input", "signature"];
    let headers: Vec<_> = names.into_iter().zip(headers.iter().map(String::as_str)).collect();
    served.post_with("/access/v1/evaluation", "application/json", Some(token), &headers, body)
}

fn asked(ppid: &Ppid) -> Vec<u8> {
    let mut body = question("hospital", &ppid.to_text());
    body["resource"]["properties"]["class"] = "pseudonymous".into();
    body.to_string().into_bytes()
}

fn publish(served: &Served) {
    served.world.advance(1_000);
    served.node.sync_uses().unwrap();
    if let Some(outcome) = served.node.batch_uses().unwrap() {
        outcome.unwrap();
    }
    served.node.tick().unwrap();
}

#[test]
fn a_signed_question_becomes_a_strong_incident_with_its_dossier() {
    let served = Served::of(World::logging());
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(1))).status, 201);
    let ppid = served.node.ppid(&key_hash(&person_key(1)), Some(&party("bank"))).unwrap().unwrap();
    let hospital = served.party("hospital", HOSPITAL);
    let body = asked(&ppid);
    let reply = send(&served, &hospital, &body, &signed(&served, &body, HOSPITAL));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    publish(&served);
    let (all, ever) = (naru::model::id::Timestamp(0), naru::model::id::Timestamp(u64::MAX));
    served.node.flag_findings(all, ever).unwrap();
    publish(&served);
    let (pipc, bank) = (served.party("pipc", REGULATOR), served.party("bank", BANK));
    let listed = |token: &str| served.get("/v1/incidents", Some(token)).json()["incidents"].clone();
    let found = listed(&pipc);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!((&found[0]["strength"], &found[0]["stage"]), (&"D".into(), &"flagged".into()));
    assert_eq!(listed(&hospital), found);
    assert_eq!(listed(&bank).as_array().unwrap().len(), 0);
    let path = format!("/v1/incidents/{}", found[0]["incident"].as_str().unwrap());
    let domain = |token: &str| served.get(&path, Some(token)).json()["finding"]["lines"][0]["domain"].clone();
    assert_eq!(domain(&pipc), "bank");
    assert_eq!(domain(&hospital), serde_json::Value::Null);
    assert_eq!(served.get(&path, Some(&bank)).status, 404);
    // Documents of the two, sealed beside.
    let kept = served.post(&format!("{path}/documents"), "text/plain", Some(&hospital), b"a mistake");
    assert_eq!(kept.status, 201);
    let document = kept.header("location").to_owned();
    assert_eq!(served.get(&document, Some(&pipc)).body, b"a mistake");
    assert_eq!(served.get(&document, Some(&bank)).status, 404);
    assert_eq!(served.post(&format!("{path}/documents"), "text/plain", Some(&bank), b"x").status, 404);
    // The dossier is the regulator's.
    let dossier = format!("{path}/dossier");
    assert_eq!(served.get(&dossier, Some(&hospital)).status, 403);
    let reply = served.get(&dossier, Some(&pipc));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let checked =
        naru::audit::dossier::verify(&reply.json(), signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    assert_eq!((checked.proven, checked.signed), (1, 1));
    let page = served.get(&format!("{dossier}?format=html"), Some(&pipc));
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(String::from_utf8(page.body).unwrap().starts_with("<!doctype html>"));
    assert_eq!(served.get(&format!("{dossier}?format=pdf"), Some(&pipc)).status, 400);
}

#[test]
fn a_complaint_is_shown_to_the_regulator_and_how_it_stands_to_her() {
    let served = Served::of(World::logging());
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("hospital"))).unwrap().unwrap();
    let statement = served.world.complaint(ppid, "hospital", "they called me").into();
    assert_eq!(served.statement(&sign(&statement, &key)).status, 201);
    let (pipc, hospital) = (served.party("pipc", REGULATOR), served.party("hospital", HOSPITAL));
    let listed = |token: &str| served.get("/v1/incidents", Some(token)).json()["incidents"].clone();
    let [hers, regulator_s] = [listed(&served.citizen(1)), listed(&pipc)];
    assert_eq!((&hers[0]["stage"], &hers[0]["party"]), (&"complained".into(), &"hospital".into()));
    assert_eq!(hers[0]["incident"], regulator_s[0]["incident"]);
    assert_eq!(listed(&hospital), serde_json::json!([]));
    let path = format!("/v1/incidents/{}", hers[0]["incident"].as_str().unwrap());
    let one = served.get(&path, Some(&pipc)).json();
    assert_eq!(one["complaint"], serde_json::json!({ "ppid": ppid.to_text(), "text": "they called me" }));
    assert_eq!(one["finding"], serde_json::Value::Null);
    assert_eq!(served.get(&path, Some(&hospital)).status, 404);
    assert_eq!(served.get(&path, Some(&served.citizen(1))).status, 403);
    // Taken up by the regulator: the accused sees the case and what is due, not who complained of what.
    let kept = served.post(&format!("{path}/documents"), "text/plain", Some(&pipc), b"explain").json();
    let order: Statement = IncidentOrder {
        v: V1,
        kind: Kind::IncidentOrder,
        iat: served.world.now(),
        nonce: nonce(),
        incident: naru::model::id::Nonce::from_hex(hers[0]["incident"].as_str().unwrap()).unwrap(),
        party: party("pipc"),
        document: naru::model::id::Hash::from_hex(kept["hash"].as_str().unwrap()).unwrap(),
    }
    .into();
    assert_eq!(served.statement(&sign(&order, &signer(REGULATOR))).status, 201);
    let seen = served.get(&path, Some(&hospital)).json();
    assert_eq!(
        (&seen["complaint"], &seen["steps"][0]["type"]),
        (&serde_json::Value::Null, &"incident.order".into())
    );
    assert_eq!(
        (&seen["due"][0]["duty"], &seen["due"][0]["met"][0]["at"]),
        (&"notify-breach".into(), &serde_json::Value::Null)
    );
    assert!(!seen.to_string().contains("called") && !seen.to_string().contains("ppid_"));
}

fn demand(served: &Served, ppid: Ppid) -> Statement {
    let iat = served.world.now();
    ErasureDemand { v: V1, kind: Kind::ErasureDemand, iat, nonce: nonce(), ppid }.into()
}

#[test]
fn a_regulator_s_hold_is_placed_over_http_and_she_is_told_what_is_held_back_and_no_more() {
    let served = Served::new();
    let key = person_key(1);
    let created = served.statement(&sign(&served.world.key_create(), &key));
    assert_eq!(created.status, 201);
    let json = [("accept", "application/json")];
    let post = |statement: Statement, key: &dyn Signer| {
        let item = sign(&statement, key);
        served.post_with("/v1/statements", "application/cose", None, &json, &item)
    };
    let of = |domain| served.node.ppid(&key_hash(&key), domain).unwrap().unwrap();
    let hospital = party("hospital");
    let complaint = served.world.complaint(of(Some(&hospital)), "hospital", "they called me").into();
    assert_eq!(post(complaint, &key).status, 201);
    let case = served.get("/v1/incidents", Some(&served.party("pipc", REGULATOR))).json();
    let case = case["incidents"][0]["incident"].as_str().unwrap().to_owned();
    let created: std::collections::BTreeMap<String, serde_cbor::Value> =
        naru::ledger::cbor::decode(&created.body).unwrap();
    let serde_cbor::Value::Bytes(record) = &created["id"] else { panic!("{created:?}") };
    let record = naru::model::id::StatementId(record.as_slice().try_into().unwrap());
    let until = served.world.now().plus_ms(DAY);
    let place = |regulator: &str| -> Statement {
        HoldPlace {
            v: V1,
            kind: Kind::HoldPlace,
            iat: served.world.now(),
            nonce: nonce(),
            case: case.clone(),
            regulator: party(regulator),
            records: vec![record],
            until,
        }
        .into()
    };
    let refused = post(place("hospital"), &signer(HOSPITAL));
    assert_eq!((refused.status, refused.json()["code"].clone()), (403, "role".into()));
    assert_eq!(post(place("pipc"), &signer(REGULATOR)).status, 201);
    let item = sign(&demand(&served, of(None)), &key);
    let told = served.post_with("/v1/statements", "application/cose", None, &json, &item);
    assert_eq!(told.status, 201);
    let told = told.json();
    let held =
        serde_json::json!([{ "regulator": "pipc", "until": until.0, "records": [record.to_string()] }]);
    assert_eq!(told["held"], held);
    assert!(told["erasure"].is_object(), "the hold stops nothing of the rest");
    assert!(!told.to_string().contains(&case) && !told.to_string().contains("hospital"));
    assert_eq!(served.statement(&item).status, 403, "nobody is there any more");
    served.world.advance(1_000);
    served.node.tick().unwrap();
    let opened = |token: &str| {
        let path = format!("/v1/statements/{record}/evidence");
        served.get(&path, Some(token)).status
    };
    let (pipc, bank) = (served.party("pipc", REGULATOR), served.party("bank", BANK));
    assert_eq!((opened(&pipc), opened(&bank)), (200, 404), "the case keeps it");
    let lift: Statement = HoldLift {
        v: V1,
        kind: Kind::HoldLift,
        iat: served.world.now(),
        nonce: nonce(),
        case: case.clone(),
        regulator: party("pipc"),
    }
    .into();
    assert_eq!(post(lift, &signer(REGULATOR)).status, 201);
    served.node.tick().unwrap();
    assert_eq!(opened(&pipc), 404, "to the end of the hold");
}

#[test]
fn a_request_signature_of_another_form_is_refused_and_a_wrong_one_when_it_is_drawn() {
    let served = Served::of(World::logging());
    let hospital = served.party("hospital", HOSPITAL);
    let body = asked(&Ppid([7; 16]));
    let good = signed(&served, &body, HOSPITAL);
    assert_eq!(send(&served, &hospital, &body, &good).status, 200);
    let mut other_body = body.clone();
    other_body.push(b' ');
    let reply = send(&served, &hospital, &other_body, &good);
    assert_eq!((reply.status, reply.json()["code"].clone()), (400, "request-signature-form".into()));
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let mut bad = good.clone();
    bad[1] = bad[1].replace("\"@method\" ", "");
    assert_eq!(send(&served, &hospital, &body, &bad).status, 400);
    // Signed with another key: taken until one of 256 is drawn.
    let refused = (0..8_000).find_map(|_| {
        served.world.advance(1);
        let wrong = signed(&served, &body, BANK);
        let reply = send(&served, &hospital, &body, &wrong);
        (reply.status != 200).then_some(reply)
    });
    let reply = refused.expect("none was drawn");
    assert_eq!((reply.status, reply.json()["code"].clone()), (401, "request-signature".into()));
}

#[test]
fn every_opening_under_a_case_is_first_a_line_of_the_person_given_or_refused() {
    let served = Served::of(World::logging());
    for n in [1, 2, 3] {
        assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
    }
    assert_eq!(served.statement(&strangers::abroad(&served)).status, 201);
    let ppid = |n| served.node.ppid(&key_hash(&person_key(n)), Some(&party("bank"))).unwrap().unwrap();
    let record = |statement: Statement, n| {
        let item = sign(&statement, &person_key(n));
        assert_eq!(served.statement(&item).status, 201);
        naru::identity::open(&item).unwrap().id().to_string()
    };
    // Hers names the accused as a recipient; the second's concerns the bank alone; about the third the accused
    // asked by the name she has at the bank.
    let first = record(served.world.grant(ppid(1), None).into(), 1);
    let [second, third] = [2, 3].map(|n| record(served.world.withdraw(ppid(n)), n));
    let (hospital, pipc) = (served.party("hospital", HOSPITAL), served.party("pipc", REGULATOR));
    let body = asked(&ppid(3));
    assert_eq!(send(&served, &hospital, &body, &signed(&served, &body, HOSPITAL)).status, 200);
    publish(&served);
    let (all, ever) = (naru::model::id::Timestamp(0), naru::model::id::Timestamp(u64::MAX));
    served.node.flag_findings(all, ever).unwrap();
    let case = served.get("/v1/incidents", Some(&pipc)).json()["incidents"][0]["incident"].clone();
    let case = case.as_str().unwrap();
    let path = format!("/v1/incidents/{case}/openings");
    let ask = |token: &str, records: &[&str]| {
        let body = serde_json::json!({ "records": records }).to_string();
        served.post(&path, "application/json", Some(token), body.as_bytes())
    };
    let uses = |n| served.get("/v1/subjects/me/uses", Some(&served.citizen(n))).json()["uses"].clone();
    let before = uses(1).as_array().unwrap().len();
    let nobody = "0".repeat(64);
    let reply = ask(&pipc, &[&first, &second, &third, &nobody]);
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    let told = reply.json();
    assert_eq!((&told["case"], &told["origin"]), (&case.into(), &ORIGIN.into()));
    let of = |n: usize| told["records"][n]["told"].as_str().unwrap().to_owned();
    assert_eq!([0, 1, 2, 3].map(of), ["given", "denied", "given", "denied"]);
    for (n, id) in [(0, &first), (2, &third)] {
        let evidence = told["records"][n]["evidence"].as_str().unwrap();
        let evidence = Evidence::parse(&URL_SAFE_NO_PAD.decode(evidence).unwrap()).unwrap();
        let opened = evidence.verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
        let verified = naru::identity::open(&opened.item.unwrap()).unwrap();
        assert_eq!(verified.id().to_string(), *id);
    }
    assert_eq!(
        (&told["records"][1]["evidence"], &told["records"][3]["evidence"]),
        (&told["none"], &told["none"])
    );
    let opened = |n: u64, asker: &str| -> Vec<serde_json::Value> {
        let lines = uses(n);
        let of = |line: &&serde_json::Value| line["act"] == "opening" && line["asker"] == asker;
        lines.as_array().unwrap().iter().filter(of).cloned().collect()
    };
    // Each of them sees who read what of hers under which case, or tried to.
    for (n, id, given) in [(1, &first, true), (2, &second, false), (3, &third, true)] {
        // Lines of one instant may stand in either order.
        let line = opened(n, "pipc").pop().unwrap();
        assert_eq!((&line["act"], &line["case"]), (&"opening".into(), &case.into()));
        assert_eq!((&line["basis"], &line["decision"]), (&id.as_str().into(), &given.into()));
    }
    assert_eq!(uses(1).as_array().unwrap().len(), before + 1);
    // Another regulator has no such case; whose record it named sees that it tried.
    let abroad = served.party("abroad", strangers::OTHER_REGULATOR);
    assert_eq!(ask(&abroad, &[&first]).status, 404);
    let line = opened(1, "abroad").pop().unwrap();
    assert_eq!((&line["case"], &line["decision"]), (&case.into(), &false.into()));
    // The accused opens nothing, and a question of another form nothing either.
    assert_eq!(ask(&hospital, &[&first]).status, 403);
    let many: Vec<&str> = vec![&first; 65];
    for records in [&[][..], &["kim"], &many] {
        assert_eq!(ask(&pipc, records).status, 400);
    }
    assert_eq!(served.post(&path, "text/plain", Some(&pipc), b"{}").status, 415);
    assert_eq!(uses(1).as_array().unwrap().len(), before + 2);
    // The dossier's openings bear the case, too.
    publish(&served);
    let before = opened(3, "pipc").len();
    assert_eq!(served.get(&format!("/v1/incidents/{case}/dossier"), Some(&pipc)).status, 200);
    let after = opened(3, "pipc");
    assert!(after.len() > before && after.iter().all(|line| line["case"] == case), "{after:?}");
}

#[test]
fn without_a_use_log_nothing_is_opened() {
    let served = Served::new();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("hospital"))).unwrap().unwrap();
    let statement = served.world.complaint(ppid, "hospital", "they called me").into();
    assert_eq!(served.statement(&sign(&statement, &key)).status, 201);
    let bank = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let grant = sign(&served.world.grant(bank, None).into(), &key);
    assert_eq!(served.statement(&grant).status, 201);
    served.node.tick().unwrap();
    let pipc = served.party("pipc", REGULATOR);
    let case = served.get("/v1/incidents", Some(&pipc)).json()["incidents"][0]["incident"].clone();
    let path = format!("/v1/incidents/{}/openings", case.as_str().unwrap());
    let id = naru::identity::open(&grant).unwrap().id().to_string();
    let body = serde_json::json!({ "records": [id] }).to_string();
    assert_eq!(served.post(&path, "application/json", Some(&pipc), body.as_bytes()).status, 404);
}
