//! Rate limits by caller: told, refused, filled again with time, and never in a withdrawal's way.

use naru::http::Limits;

use crate::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn limited(limits: Limits) -> Served {
    Served::with(|options| http::Options { limits, ..options })
}

/// Everything comes from loopback here: addresses are what the proxy on it says.
fn by_address(rate: u32) -> Served {
    limited(Limits { address: rate, proxies: vec!["127.0.0.1".parse().unwrap()], ..Limits::default() })
}

impl Served {
    fn statement_from(&self, address: &str, item: &[u8]) -> Reply {
        self.post_with("/v1/statements", "application/cose", None, &[("x-forwarded-for", address)], item)
    }
}

#[track_caller]
fn refused(reply: &Reply, policy: &str) {
    assert_eq!((reply.status, reply.json()["code"].as_str()), (429, Some("too-many-requests")));
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!((reply.header("retry-after"), reply.header("ratelimit-policy")), ("1", policy));
    assert!(reply.header("ratelimit").ends_with(";r=0;t=1"), "{}", reply.header("ratelimit"));
}

#[test]
fn an_address_has_a_share_and_a_withdrawal_passes_it() {
    let served = by_address(1);
    let key = person_key(1);
    assert!(served.node.record(vec![sign(&served.world.key_create(), &key)]).iter().all(Result::is_ok));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let grant = sign(&served.world.grant(ppid, None).into(), &key);
    let first = served.statement_from("192.0.2.1", &grant);
    assert_eq!((first.status, first.header("ratelimit")), (201, "\"address\";r=9;t=1"));
    for left in (0..9).rev() {
        let again = served.statement_from("192.0.2.1", &grant);
        let wanted = format!("\"address\";r={left};t={}", 10 - left);
        assert_eq!((again.status, again.header("ratelimit")), (200, &wanted[..]));
    }
    let policy = "\"address\";q=10;w=10";
    refused(&served.statement_from("192.0.2.1", &grant), policy);
    refused(&served.statement_from("198.51.100.7, 192.0.2.1", &grant), policy);
    refused(&served.get_with("/v1/requests/00", None, &[("x-forwarded-for", "192.0.2.1")]), policy);
    let login = served.post_with("/oauth/token", FORM, None, &[("x-forwarded-for", "192.0.2.1")], b"a=b");
    refused(&login, policy);
    // What opens among what closes opens still.
    let withdrawal = sign(&served.world.withdraw(ppid), &key);
    let mixed = [&withdrawal[..], &grant].concat();
    let batch = |body: &[u8]| {
        let from = [("x-forwarded-for", "192.0.2.1")];
        served.post_with("/v1/statements:batch", "application/cbor-seq", None, &from, body)
    };
    refused(&batch(&mixed), policy);
    assert_eq!(served.statement_from("192.0.2.1", &withdrawal).status, 201);
    assert_eq!(batch(&sign(&served.world.withdraw(ppid), &key)).status, 200);
    // Others have shares of their own, and the log is free for all who check it.
    assert_eq!(served.statement_from("192.0.2.2", &grant).status, 200);
    for path in ["/log/checkpoint", "/livez", "/metrics"] {
        assert_eq!(served.get_with(path, None, &[("x-forwarded-for", "192.0.2.1")]).status, 200, "{path}");
    }
    served.world.advance(1_000);
    assert_eq!(served.statement_from("192.0.2.1", &grant).status, 200);
    refused(&served.statement_from("192.0.2.1", &grant), policy);
}

#[test]
fn the_word_of_a_proxy_counts_only_if_it_is_ours() {
    let served = limited(Limits { address: 1, ..Limits::default() });
    for _ in 0..30 {
        let reply = served.statement_from("192.0.2.1", b"x");
        assert_eq!((reply.status, reply.header("ratelimit")), (400, ""), "loopback has no limit");
    }
}

#[test]
fn a_party_and_a_citizen_have_shares_of_their_own() {
    let served = limited(Limits { party: 2, session: 1, ..Limits::default() });
    let key = person_key(1);
    served.statement(&sign(&served.world.key_create(), &key));
    let ppid = served.node.ppid(&key_hash(&key), Some(&party("bank"))).unwrap().unwrap();
    let (bank, hospital) = (served.party("bank", BANK), served.party("hospital", HOSPITAL));
    let body = question("bank", &ppid.to_text()).to_string();
    let ask =
        |token: &str| served.post("/access/v1/evaluation", "application/json", Some(token), body.as_bytes());
    for left in (0..20).rev() {
        let reply = ask(&bank);
        assert_eq!(reply.status, 200);
        assert!(reply.header("ratelimit").starts_with(&format!("\"party\";r={left};")));
    }
    refused(&ask(&bank), "\"party\";q=20;w=10");
    // A new token is the same party.
    refused(&ask(&served.party("bank", BANK)), "\"party\";q=20;w=10");
    refused(&served.get("/v1/incidents", Some(&bank)), "\"party\";q=20;w=10");
    assert_eq!(ask(&hospital).status, 403);
    let mine = "/v1/subjects/me/ppids/bank";
    let first = served.citizen(1);
    for _ in 0..10 {
        assert_eq!(served.get(mine, Some(&first)).status, 200);
    }
    refused(&served.get(mine, Some(&first)), "\"session\";q=10;w=10");
    refused(&served.get(mine, Some(&served.citizen(1))), "\"session\";q=10;w=10");
    served.world.advance(1_000);
    assert_eq!(served.get(mine, Some(&first)).status, 200);
}
