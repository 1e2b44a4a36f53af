//! Statutory exceptions over HTTP: permitted, told to the person, listed for the regulator.

use naru::model::id::PartyId;
use naru::model::statement::*;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use serde_json::Value;
use serde_json::json;

use crate::Served;
use crate::support::*;

const RESCUE: &str = "dpv:ImproveHealthcare";

/// The hospital's notice of rescues; it claims the exception if `claims`.
fn notice(world: &World, claims: bool) -> Statement {
    let Statement::NoticePublish(mut s) =
        world.notice_of("hospital", 1 + u32::from(claims), &[DataClass::RealName])
    else {
        panic!()
    };
    s.purposes[0].purpose = RESCUE.into();
    s.purposes[0].actions = vec![Action::Collect, Action::Use];
    s.purposes[0].recipients.clear();
    if claims {
        let (rule, reason) = ("kr-pipa-2026#vital-interest".into(), "an emergency room".into());
        s.claims = vec![Claim { rule, purpose: RESCUE.into(), reason }];
    }
    Statement::NoticePublish(s)
}

fn ask(served: &Served, token: &str, ppid: &str) -> Value {
    let question = json!({
        "subject": {"type": "party", "id": "hospital"},
        "action": {"name": "use", "properties": {"purpose": RESCUE}},
        "resource": {"type": "person", "id": ppid, "properties": {"class": "real-name", "categories": [CATEGORY]}},
    });
    let body = question.to_string();
    served.post("/access/v1/evaluation", "application/json", Some(token), body.as_bytes()).json()
}

fn enrolled(served: &Served, n: u64) -> String {
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
    let party: PartyId = party("hospital");
    served.node.ppid(&key_hash(&person_key(n)), Some(&party)).unwrap().unwrap().to_text()
}

#[test]
fn a_rescue_is_permitted_told_and_overdue_until_it_is_justified() {
    let served = Served::of(World::korean());
    let hospital = served.party("hospital", HOSPITAL);
    let (ann, bob) = (enrolled(&served, 1), enrolled(&served, 2));
    let pipc = |path: &str| served.get(path, Some(&served.party("pipc", REGULATOR)));
    let listed = || pipc("/v1/parties/hospital/exceptions").json();

    // Not claimed: not assumed.
    assert_eq!(served.statement(&sign(&notice(&served.world, false), &signer(HOSPITAL))).status, 201);
    assert_eq!(ask(&served, &hospital, &ann)["decision"], false);
    assert_eq!((&listed()["exceptions"], &listed()["to_justify"]["uses"]), (&json!([]), &json!([])));

    assert_eq!(served.statement(&sign(&notice(&served.world, true), &signer(HOSPITAL))).status, 201);
    let used_at = served.world.now();
    for ppid in [&ann, &bob] {
        let answer = ask(&served, &hospital, ppid);
        assert_eq!(
            (&answer["decision"], &answer["context"]["reason"]),
            (&json!(true), &json!("STATUTORY_EXCEPTION"))
        );
        let policy = json!({"pack": "kr-pipa-2026", "version": 1, "rule": "vital-interest"});
        assert_eq!(answer["context"]["policy"], policy);
    }

    // Told to the person, in words, with what is owed.
    let mine = |n| served.get("/v1/subjects/me/exceptions", Some(&served.citizen(n))).json();
    let told = mine(1);
    let claim = &told["exceptions"][0];
    assert_eq!((&claim["controller"], &claim["rule"]), (&json!("hospital"), &json!("vital-interest")));
    assert_eq!((&claim["article"], &claim["confidence"]), (&json!("PIPA art. 15(1)5"), &json!("reading")));
    assert_eq!(
        (&claim["reason"], &claim["actions"]),
        (&json!("an emergency room"), &json!(["collect", "use"]))
    );
    assert_eq!((&claim["stopped_by_objection"], &claim["in_force"]), (&json!(false), &json!(true)));
    assert_eq!(claim["justify_within_s"], 259_200);
    assert!(claim["ko"].as_str().unwrap().contains("72시간"), "{claim}");
    assert_eq!(told["to_justify"]["uses"].as_array().unwrap().len(), 1, "her own use only");
    // Another person, whom the hospital never met.
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(3))).status, 201);
    assert_eq!(mine(3)["exceptions"], json!([]));

    // The hospital justifies one of the two.
    served.world.advance(DAY);
    let justify = DutyJustify {
        v: V1,
        kind: Kind::DutyJustify,
        iat: served.world.now(),
        nonce: nonce(),
        ppid: naru::model::id::Ppid::from_text(&ann).unwrap(),
        party: party("hospital"),
        rule: "kr-pipa-2026#vital-interest".into(),
        purpose: RESCUE.into(),
        class: DataClass::RealName,
        from: used_at,
        until: used_at.plus_ms(1),
        reason: "brought in unconscious".into(),
    };
    // Under another party's key it is nothing.
    assert_eq!(served.statement(&sign(&justify.clone().into(), &signer(BANK))).status, 403);
    assert_eq!(served.statement(&sign(&justify.into(), &signer(HOSPITAL))).status, 201);
    let standing = || {
        let uses = listed()["to_justify"]["uses"].clone();
        uses.as_array()
            .unwrap()
            .iter()
            .map(|u| u["standing"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(standing(), ["waiting", "justified"]);
    served.world.advance(2 * DAY);
    assert_eq!(standing(), ["overdue", "justified"]);
    let list = listed();
    assert_eq!((&list["to_justify"]["complete"], &list["party"]), (&json!(true), &json!("hospital")));
    assert_eq!(list["to_justify"]["watched_from"], OCTOBER_2026);
    assert!(!list.to_string().contains("ppid"), "no name of a person: {list}");
    assert_eq!(mine(1)["justifications"][0]["controller"], "hospital");
}

#[test]
fn the_list_is_the_regulators_and_names_registered_parties() {
    let served = Served::of(World::korean());
    let path = "/v1/parties/hospital/exceptions";
    assert_eq!(served.get(path, None).status, 401);
    assert_eq!(served.get(path, Some(&served.party("hospital", HOSPITAL))).status, 403, "not even its own");
    let pipc = served.party("pipc", REGULATOR);
    assert_eq!(served.get(path, Some(&pipc)).status, 200);
    assert_eq!(served.get("/v1/parties/nobody/exceptions", Some(&pipc)).status, 404);
    // A suspended regulator reads nothing.
    let suspend = PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: served.world.now(),
        nonce: nonce(),
        party: party("pipc"),
        until: Some(served.world.now().plus_ms(DAY)),
        case: "1".into(),
    };
    assert_eq!(served.statement(&sign(&suspend.into(), &signer(OPERATOR))).status, 201);
    assert_eq!(served.get(path, Some(&pipc)).status, 403);
}
