//! What a person sees of herself, and the page that shows it.

use naru::model::statement::KeyRebind;
use naru::model::statement::KeyRevoke;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::vocabulary::DataClass;
use serde_json::Value;

use crate::*;

const HOUR: u64 = 3_600_000;

fn served() -> Served {
    Served::with(|options| http::Options { more: naru::web::ROUTES, ..options })
}

fn state(served: &Served, token: &str) -> Value {
    let reply = served.get("/v1/subjects/me", Some(token));
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    reply.json()
}

fn rebind(served: &Served, own: Ppid, new: u64) -> Vec<u8> {
    let statement: Statement = KeyRebind {
        v: V1,
        kind: Kind::KeyRebind,
        iat: served.world.now(),
        nonce: nonce(),
        ppid: own,
        new: key_hash(&person_key(new)),
        method: "desk".into(),
    }
    .into();
    endorse(&sign(&statement, &signer(IDP)), OPERATOR)
}

#[test]
fn she_sees_her_slots_as_they_are_decided_on_and_what_over_must_name() {
    let served = served();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let me = served.citizen(1);
    let fresh = state(&served, &me);
    assert_eq!(fresh["slots"], serde_json::json!([]));
    assert_eq!(fresh["keys"][0]["key"], key_hash(&key).to_string());
    assert_eq!((&fresh["keys"][0]["live"], &fresh["recovery"]), (&true.into(), &false.into()));
    assert_eq!((&fresh["rebind"], &fresh["minor_until"]), (&Value::Null, &Value::Null));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let item = sign(&served.world.grant(ppid, None).into(), &key);
    assert_eq!(served.statement(&item).status, 201);
    let granted = state(&served, &me);
    let slot = &granted["slots"][0];
    assert_eq!((&slot["controller"], &slot["state"]), (&"bank".into(), &"granted".into()));
    assert_eq!(slot["over"], naru::identity::open(&item).unwrap().id().to_string());
    assert_eq!(slot["terms"]["notice"], served.world.notice.to_string());
    // Closed: nothing holds, and the next opening act stands over the withdrawal.
    let withdrawal = sign(&served.world.withdraw(ppid), &key);
    assert_eq!(served.statement(&withdrawal).status, 201);
    let slot = state(&served, &me)["slots"][0].clone();
    assert_eq!((&slot["state"], &slot["terms"]), (&"withdrawn".into(), &Value::Null));
    assert_eq!(slot["over"], naru::identity::open(&withdrawal).unwrap().id().to_string());
    // Another person sees nothing of it.
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(2))).status, 201);
    let other = state(&served, &served.citizen(2));
    assert_eq!(other["slots"], serde_json::json!([]));
    assert!(!other.to_string().contains(&key_hash(&key).to_string()));
}

#[test]
fn a_rebind_that_waits_is_seen_with_its_date_and_stopped_by_what_is_shown() {
    let served = served();
    let key = person_key(1);
    assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
    let own = served.node.ppid(&key_hash(&key), None).unwrap().unwrap();
    assert_eq!(served.statement(&rebind(&served, own, 9)).status, 201);
    let waiting = state(&served, &served.citizen(1))["rebind"].clone();
    assert_eq!(waiting["due"], served.world.now().0 + 72 * HOUR);
    assert_eq!(waiting["key"], key_hash(&person_key(9)).to_string());
    assert_eq!(waiting["stop"], "key.revoke");
    let stop: Statement = KeyRevoke {
        v: V1,
        kind: Kind::KeyRevoke,
        iat: served.world.now(),
        nonce: nonce(),
        ppid: own,
        key: naru::model::id::KeyHash::from_hex(waiting["key"].as_str().unwrap()).unwrap(),
    }
    .into();
    assert_eq!(served.statement(&sign(&stop, &key)).status, 201);
    let after = state(&served, &served.citizen(1));
    assert_eq!((&after["rebind"], &after["rebound_until"]), (&Value::Null, &Value::Null));
    let keys = after["keys"].as_array().unwrap();
    let at = served.world.now().0;
    assert_eq!((&keys[0]["since"], &keys[0]["revoked"]), (&at.into(), &Value::Null));
    assert_eq!((&keys[1]["since"], &keys[1]["revoked"]), (&at.into(), &at.into()));
    served.world.advance(HOUR);
    // One that nobody stops is no longer waiting: the new key is the only one, and says since when.
    assert_eq!(served.statement(&rebind(&served, own, 8)).status, 201);
    served.world.advance(72 * HOUR);
    let after = state(&served, &served.citizen(8));
    assert_eq!(after["rebind"], Value::Null);
    assert_eq!(after["rebound_until"], served.world.now().0 + 90 * DAY);
    let live = after["keys"].as_array().unwrap().iter().filter(|key| key["live"] == true);
    let live: Vec<_> = live.map(|key| (key["key"].clone(), key["since"].clone())).collect();
    let due = Value::from(served.world.now().0);
    assert_eq!(live, [(Value::from(key_hash(&person_key(8)).to_string()), due.clone())]);
    // The old one has ended when the wait was over, the one that was stopped when it was stopped.
    let keys = after["keys"].as_array().unwrap();
    assert_eq!([&keys[0]["since"], &keys[0]["revoked"], &keys[1]["revoked"]], [&at.into(), &due, &at.into()]);
}

#[test]
fn rebinds_are_counted_by_month_once_it_is_over_and_over_a_restart() {
    let mut world = World::new();
    let own = |n: u64| {
        world.accept(sign(&world.key_create(), &person_key(n)));
        world.ppid(n, None)
    };
    let rebind = |own: Ppid, new: u64| {
        let (v, kind, iat, nonce) = (V1, Kind::KeyRebind, world.now(), nonce());
        let new = key_hash(&person_key(new));
        let s = KeyRebind { v, kind, iat, nonce, ppid: own, new, method: "desk".into() };
        endorse(&sign(&s.into(), &signer(IDP)), OPERATOR)
    };
    for n in [1, 2] {
        world.accept(rebind(own(n), 10 + n));
    }
    // A second one while the first waits is refused, and not counted.
    world.refuse(rebind(own(3), 11));
    assert_eq!((world.node().rebinds().last, world.node().rebinds().months), (0, vec![]));
    world.advance(31 * DAY);
    let told = world.node().rebinds();
    assert_eq!((told.before.as_str(), told.last), ("2025-12", 2));
    assert_eq!(told.months, [("2025-11".to_owned(), 2)]);
    world.reopen();
    assert_eq!(world.node().rebinds(), told);
    let served = Served::of(world);
    let reply = served.get("/.well-known/naru-rebinds", None);
    let wanted = serde_json::json!({ "before": "2025-12", "months": [{ "month": "2025-11", "rebinds": 2 }] });
    assert_eq!((reply.status, reply.json()), (200, wanted));
    let figures = String::from_utf8(served.get("/metrics", None).body).unwrap();
    assert!(figures.contains("naru_rebinds_last_month 2\n"), "{figures}");
}

#[test]
fn notices_are_those_that_stand_word_for_word() {
    let served = served();
    let reply = served.get("/v1/parties/bank/notices", None);
    assert_eq!(reply.status, 200);
    let seen = reply.json();
    assert_eq!((&seen["controller"]["id"], &seen["jurisdiction"]), (&"bank".into(), &"KR".into()));
    let [notice] = seen["notices"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!(notice["id"], served.world.notice.to_string());
    let text = &notice["texts"][0];
    assert_eq!(served.get(text["address"].as_str().unwrap(), None).body, b"what the bank asks");
    assert_eq!(text["hash"], served.world.text.to_string());
    // A notice that is retired is not asked any more.
    let retire: Statement = naru::model::statement::NoticeRetire {
        v: V1,
        kind: Kind::NoticeRetire,
        iat: served.world.now(),
        nonce: nonce(),
        notice: served.world.notice,
    }
    .into();
    assert_eq!(served.statement(&sign(&retire, &signer(BANK))).status, 201);
    let next = served.world.notice_of("bank", 2, &[DataClass::RealName]);
    assert_eq!(served.statement(&sign(&next, &signer(BANK))).status, 201);
    let seen = served.get("/v1/parties/bank/notices", None).json();
    let versions: Vec<_> = seen["notices"].as_array().unwrap().iter().map(|n| n["version"].clone()).collect();
    assert_eq!(versions, [2]);
    let unknown = served.get("/v1/parties/nobody/notices", None);
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (404, Some("no-such-party")));
}

#[test]
fn the_page_speaks_two_languages_and_lets_nothing_in() {
    let served = served();
    for (path, accepted, lang) in [
        ("/me", "", "ko"),
        ("/me", "en-US,en;q=0.9", "en"),
        ("/me?lang=ko", "en", "ko"),
        ("/me?lang=en", "ko", "en"),
        ("/me?lang=%00", "en", "en"),
    ] {
        let page = served.get_with(path, None, &[("accept-language", accepted)]);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let text = String::from_utf8(page.body).unwrap();
        assert!(text.contains(&format!("<html lang=\"{lang}\">")), "{path} {accepted}");
    }
    for file in ["/me", "/me/place", "/me/bytes.js", "/me/words.js", "/me/me.js", "/me/me.css"] {
        let reply = served.get(file, None);
        let policy = reply.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{file}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{file}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("trusted-types 'none'"));
        let plain = [reply.header("x-content-type-options"), reply.header("referrer-policy")];
        assert_eq!(
            (plain, reply.header("cache-control")),
            (["nosniff", "no-referrer"], "no-store"),
            "{file}"
        );
        assert_eq!(reply.header("set-cookie"), "", "{file}");
    }
    let place = served.get("/me/place", None).json();
    assert_eq!((&place["origin"], &place["rp_id"]), (&ORIGIN.into(), &"ledger.test".into()));
}
