//! `/v1/deposits`: one answer for whoever is not let in; what she sees; whose key it is sealed to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::model::id::Ppid;

use crate::*;

const JSON: &str = "application/json";
const LIPIDS: &[u8] = include_bytes!("../data/import/fhir-r4-lipids.json");

fn body(ppid: &Ppid, item: &str, media: &str, original: &[u8]) -> serde_json::Value {
    serde_json::json!({
        "ppid": ppid.to_text(), "item": item, "purpose": PURPOSE, "class": "real-name",
        "categories": [CATEGORY], "media_type": media, "original": URL_SAFE_NO_PAD.encode(original),
    })
}

#[test]
fn a_party_brings_what_a_grant_lets_in_and_she_sees_it() {
    let served = Served::of(World::logging());
    for n in 1..=2 {
        served.statement(&sign(&served.world.key_create(), &person_key(n)));
    }
    let of = |n: u64, name: &str| {
        served.node.ppid(&key_hash(&person_key(n)), Some(&party(name))).unwrap().unwrap()
    };
    let bank = served.party("bank", BANK);
    let bring = |token: &str, body: &serde_json::Value| {
        let headers = [("x-request-id", "same")];
        served.post_with("/v1/deposits", JSON, Some(token), &headers, body.to_string().as_bytes())
    };
    let hers = of(1, "bank");
    served.statement(&sign(&served.world.grant(hers, None).into(), &person_key(1)));
    let lab = body(&hers, "lab", "application/fhir+json", LIPIDS);
    let first = bring(&bank, &lab);
    assert_eq!((first.status, first.header("cache-control")), (201, "no-store"));
    assert_eq!(first.json()["form"], serde_json::json!({ "profile": "fhir-r4", "items": 5 }));
    let again = bring(&bank, &lab);
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = bring(&bank, &body(&hers, "lab", "application/json", b"{}"));
    assert_eq!((other.status, other.json()["code"].as_str()), (409, Some("deposit-differs")));
    // Unknown, of another domain, not granted: one answer.
    let answers: Vec<_> = [Ppid([7; 16]), of(1, "hospital"), of(2, "hospital"), of(2, "bank")]
        .iter()
        .map(|ppid| bring(&bank, &body(ppid, "lab", "text/plain", b"x")))
        .collect();
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (403, &answers[0].body));
        assert_eq!(answer.json()["code"], "no-deposit");
    }
    // The bytes are looked at before anybody is looked up.
    for ppid in [hers, Ppid([7; 16])] {
        for (media, original) in
            [("application/fhir+json", &b"{}"[..]), ("text/html", b"<p>"), ("text/plain", b"\xff")]
        {
            let refused = bring(&bank, &body(&ppid, "lie", media, original));
            assert_eq!(
                (refused.status, refused.json()["code"].as_str()),
                (422, Some("original-refused")),
                "{media}"
            );
        }
    }
    let mut theirs = body(&hers, "x", "text/plain", b"x");
    theirs["controller"] = "bank".into();
    let hospital = served.party("hospital", HOSPITAL);
    assert_eq!(bring(&hospital, &theirs).json()["code"], "other-domain");
    for item in served.world.hire(&[PURPOSE]) {
        served.statement(&item);
    }
    assert_eq!(bring(&served.party("cloud", CLOUD), &theirs).status, 201);
    for spoil in ["ppid", "item", "purpose", "class", "media_type", "original"] {
        let mut bad = lab.clone();
        bad[spoil] = 7.into();
        assert_eq!(bring(&bank, &bad).json()["code"], "bad-json", "{spoil}");
    }
    let large = body(&hers, "large", "application/octet-stream", &vec![0; 3 << 19]);
    assert_eq!(bring(&bank, &large).status, 413);
    // She sees both, whoever brought them; the other sees nothing.
    let list = served.get("/v1/subjects/me/deposits", Some(&served.citizen(1))).json();
    assert_eq!((list["deposits"].as_array().unwrap().len(), &list["key"]), (2, &serde_json::Value::Null));
    let row = list["deposits"].as_array().unwrap().iter().find(|row| row["item"] == "x").unwrap();
    assert_eq!((row["party"].as_str(), row["by"].as_str()), (Some("bank"), Some("cloud")));
    assert_eq!(row["sealed_to"], "service");
    let none = served.get("/v1/subjects/me/deposits", Some(&served.citizen(2))).json();
    assert_eq!(none["deposits"], serde_json::json!([]));
    let one = served.get("/v1/subjects/me/deposits?limit=1", Some(&served.citizen(1))).json();
    let next = format!("/v1/subjects/me/deposits?limit=1&after={}", one["next"].as_str().unwrap());
    let two = served.get(&next, Some(&served.citizen(1))).json();
    assert_eq!((two["deposits"].as_array().unwrap().len(), &two["next"]), (1, &serde_json::Value::Null));
    assert_ne!(one["deposits"], two["deposits"]);
    for query in ["limit=0", "limit=501", "after=x", "before=1"] {
        let path = format!("/v1/subjects/me/deposits?{query}");
        assert_eq!(served.get(&path, Some(&served.citizen(1))).status, 400, "{query}");
    }
}

#[test]
fn a_key_of_her_own_is_told_where_it_counts_and_taken_back() {
    let served = Served::of(World::logging());
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let (one, key) = (served.citizen(1), key_hash(&person_key(1)));
    let hers = served.node.ppid(&key, Some(&party("bank"))).unwrap().unwrap();
    served.statement(&sign(&served.world.grant(hers, None).into(), &person_key(1)));
    let set = |age: serde_json::Value| {
        let body = serde_json::json!({ "age": age }).to_string();
        served.post("/v1/subjects/me/deposit-key", JSON, Some(&one), body.as_bytes())
    };
    let age = age::x25519::Identity::generate().to_public().to_string();
    assert_eq!(set(age.as_str().into()).json()["age"], age.as_str());
    let bank = served.party("bank", BANK);
    let lab = body(&hers, "lab", "text/plain", b"x").to_string();
    let told = served.post("/v1/deposits", JSON, Some(&bank), lab.as_bytes());
    assert_eq!(told.status, 201);
    assert!(!String::from_utf8(told.body).unwrap().contains("age1"), "the party is not told");
    let list = served.get("/v1/subjects/me/deposits", Some(&one)).json();
    assert_eq!(
        (list["key"].as_str(), list["deposits"][0]["sealed_to"].as_str()),
        (Some(age.as_str()), Some("person"))
    );
    assert!(list["deposits"][0]["original"].as_str().unwrap().ends_with(".original.txt.age"));
    assert_eq!(set(serde_json::Value::Null).status, 200);
    let list = served.get("/v1/subjects/me/deposits", Some(&one)).json();
    assert_eq!(
        (&list["key"], list["deposits"][0]["sealed_to"].as_str()),
        (&serde_json::Value::Null, Some("person"))
    );
    for bad in [serde_json::json!("age1"), serde_json::json!(7), serde_json::json!("AGE-SECRET-KEY-1")] {
        assert_eq!(set(bad).json()["code"], "bad-json");
    }
    let path = "/v1/subjects/me/deposit-key";
    assert_eq!(served.post(path, JSON, Some(&bank), b"{}").status, 403);
}
