//! `/v1/handovers`: one answer for whoever is not handed over.

use naru::model::id::Ppid;

use crate::*;

fn body(ppid: &Ppid) -> serde_json::Value {
    serde_json::json!({
        "ppid": ppid.to_text(), "recipient": "hospital", "purpose": PURPOSE, "class": "real-name",
        "categories": [CATEGORY],
    })
}

#[test]
fn unknown_foreign_and_not_granted_get_one_answer_and_a_grant_gets_the_ppid() {
    let served = Served::new();
    for n in 1..=2 {
        served.statement(&sign(&served.world.key_create(), &person_key(n)));
    }
    let of = |n: u64, name: &str| {
        served.node.ppid(&key_hash(&person_key(n)), Some(&party(name))).unwrap().unwrap()
    };
    let bank = served.party("bank", BANK);
    let post = |token: &str, body: &serde_json::Value| {
        let headers = [("x-request-id", "same")];
        let text = body.to_string();
        served.post_with("/v1/handovers", "application/json", Some(token), &headers, text.as_bytes())
    };
    let granted = of(1, "bank");
    assert_eq!(
        served.statement(&sign(&served.world.grant(granted, None).into(), &person_key(1))).status,
        201
    );
    let answers: Vec<_> = [Ppid([7; 16]), of(1, "hospital"), of(2, "hospital"), of(2, "bank")]
        .iter()
        .map(|ppid| post(&bank, &body(ppid)))
        .collect();
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (403, &answers[0].body));
        assert_eq!(answer.json()["code"], "no-handover");
    }
    let handed = post(&bank, &body(&granted));
    assert_eq!((handed.status, handed.header("cache-control")), (200, "no-store"));
    assert_eq!(
        handed.json(),
        serde_json::json!({"recipient": "hospital", "ppid": of(1, "hospital").to_text()})
    );
    // In another's domain: a stranger never, a processor while it is engaged.
    let mut theirs = body(&granted);
    theirs["controller"] = "bank".into();
    let hospital = served.party("hospital", HOSPITAL);
    assert_eq!(post(&hospital, &theirs).json()["code"], "other-domain");
    for item in served.world.hire(&[PURPOSE]) {
        served.statement(&item);
    }
    assert_eq!(post(&served.party("cloud", CLOUD), &theirs).status, 200);
    // After a withdrawal: the one answer again.
    served.statement(&sign(&served.world.withdraw(granted), &person_key(1)));
    assert_eq!(post(&bank, &body(&granted)).body, answers[0].body);
    // What is no question.
    for spoil in ["ppid", "recipient", "purpose", "class"] {
        let mut bad = body(&granted);
        bad[spoil] = 7.into();
        assert_eq!(post(&bank, &bad).json()["code"], "bad-json", "{spoil}");
    }
    assert_eq!(served.post("/v1/handovers", "text/plain", Some(&bank), b"{}").status, 415);
}
