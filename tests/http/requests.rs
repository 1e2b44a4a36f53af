//! `/v1/requests/`: the address shows what is asked, the answer is the controller's alone.

use naru::ledger::evidence::Evidence;
use naru::model::id::Hash;
use naru::model::statement::ConsentGrant;

use crate::*;

#[test]
fn from_a_link_to_a_ppid_with_evidence() {
    let served = Served::new();
    let (key, other) = (person_key(1), person_key(2));
    for key in [&key, &other] {
        served.statement(&sign(&served.world.key_create(), key));
    }
    let link = Hash([0x42; 32]);
    let item = sign(&served.world.request(link).into(), &signer(BANK));
    let json = [("accept", "application/json")];
    for status in [201, 200] {
        let reply = served.post_with("/v1/statements", "application/cose", None, &json, &item);
        let id = naru::identity::open(&item).unwrap().id();
        assert_eq!((reply.status, reply.json()["address"].clone()), (status, format!("/r/{id}").into()));
        let cbor = served.statement(&item);
        let carried: std::collections::BTreeMap<String, serde_cbor::Value> =
            naru::ledger::cbor::decode(&cbor.body).unwrap();
        assert_eq!(carried["address"], serde_cbor::Value::Text(format!("/r/{id}")));
    }
    let id = naru::identity::open(&item).unwrap().id();
    let path = format!("/v1/requests/{id}");
    let seen = served.get(&path, None);
    assert_eq!((seen.status, seen.header("cache-control")), (200, "no-store"));
    let seen = seen.json();
    assert_eq!((&seen["state"], &seen["controller"]["id"]), (&"open".into(), &"bank".into()));
    assert_eq!(seen["link"], URL_SAFE_NO_PAD.encode(link.0));
    assert_eq!(seen["notice"]["purposes"].as_array().unwrap().len(), 2, "one purpose, two classes");
    let text = seen["notice"]["texts"][0]["address"].as_str().unwrap();
    assert_eq!(served.get(text, None).body, b"what the bank asks");
    // Open: nobody is named yet.
    let bank = served.party("bank", BANK);
    let ask = |token: &str| served.get(&format!("{path}/answer"), Some(token));
    assert_eq!(ask(&bank).json(), serde_json::json!({"state": "open"}));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let grant = ConsentGrant { link: Some(link), ..served.world.grant(ppid, None) };
    assert_eq!(served.statement(&sign(&grant.into(), &key)).status, 201);
    let answer = ask(&bank).json();
    assert_eq!((&answer["state"], &answer["answer"]["ppid"]), (&"answered".into(), &ppid.to_text().into()));
    let said = &answer["answer"]["statements"][0];
    assert_eq!((&said["type"], &said["purpose"]), (&"consent.grant".into(), &PURPOSE.into()));
    assert!(said["evidence"].is_null(), "no checkpoint covers it yet");
    served.node.tick().unwrap();
    let answer = ask(&bank).json();
    let evidence = answer["answer"]["statements"][0]["evidence"].as_str().unwrap();
    let evidence = Evidence::parse(&URL_SAFE_NO_PAD.decode(evidence).unwrap()).unwrap();
    evidence.verify(signer(LOG).public(), ORIGIN, Some(200)).unwrap();
    // The address says no more than that it is answered.
    let seen = served.get(&path, None);
    assert_eq!(seen.json()["state"], "answered");
    assert!(!String::from_utf8(seen.body).unwrap().contains("ppid"));
    // Others see nothing, and are told what is told of none.
    let hospital = served.party("hospital", HOSPITAL);
    let (theirs, none) =
        (ask(&hospital), served.get(&format!("/v1/requests/{}/answer", "0".repeat(64)), Some(&bank)));
    assert_eq!((theirs.status, theirs.json()["code"].clone()), (none.status, none.json()["code"].clone()));
    assert_eq!((theirs.status, theirs.json()["detail"].clone()), (404, none.json()["detail"].clone()));
    // A second person with the same link.
    let ppid = served.node.ppid(&key_hash(&other), Some(&party("bank"))).unwrap().unwrap();
    let grant = ConsentGrant { link: Some(link), ..served.world.grant(ppid, None) };
    let late = served.statement(&sign(&grant.into(), &other));
    assert_eq!((late.status, late.json()["code"].clone()), (403, "link".into()));
    served.world.advance(DAY);
    assert_eq!(served.get(&path, None).status, 404);
}
