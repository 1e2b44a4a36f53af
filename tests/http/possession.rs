//! Tokens bound to a key by DPoP: worth nothing to whoever does not hold it.

use naru::identity::jwk::Jwk;
use naru::identity::possession;
use naru::identity::possession::Claims;
use naru::ledger::key::Ed25519Signer;

use crate::*;

const FORM: &str = "application/x-www-form-urlencoded";
const LIST: &str = "/v1/incidents";

impl Served {
    fn claims(&self, method: &str, path: &str, token: Option<&str>) -> Claims {
        Claims {
            jti: format!("{:?}", nonce()),
            htm: method.into(),
            htu: self.url(path),
            iat: self.world.now().0 / 1_000,
            ath: token.map(possession::token_hash),
        }
    }

    fn proof(&self, method: &str, path: &str, token: Option<&str>, key: &dyn Signer) -> String {
        possession::sign(&self.claims(method, path, token), key).unwrap()
    }

    fn with_proof(&self, path: &str, token: &str, proof: &str) -> Reply {
        self.get_with(path, None, &[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
    }

    fn token_with(&self, headers: &[(&str, &str)], form: &str) -> Reply {
        self.post_with("/oauth/token", FORM, None, headers, form.as_bytes())
    }

    fn bound(&self, name: &str, seed: u8, key: &dyn Signer) -> String {
        let proof = self.proof("POST", "/oauth/token", None, key);
        let reply = self.token_with(&[("dpop", &proof)], &self.assertion(name, seed));
        let given = reply.json();
        assert_eq!((reply.status, given["token_type"].as_str()), (200, Some("DPoP")), "{given}");
        given["access_token"].as_str().unwrap().to_owned()
    }
}

fn key() -> Ed25519Signer {
    signer(77)
}

#[track_caller]
fn unproven(reply: &Reply) {
    assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("bad-proof")));
    assert!(reply.header("www-authenticate").starts_with("DPoP error=\"invalid_dpop_proof\""));
}

#[test]
fn a_bound_token_needs_a_new_proof_for_every_request() {
    let served = Served::new();
    let token = served.bound("bank", BANK, &key());
    let payload = token.split('.').nth(1).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(said["cnf"]["jkt"], Jwk::of(key().public()).thumbprint());
    let good = || served.proof("GET", LIST, Some(&token), &key());
    let first = good();
    assert_eq!(served.with_proof(LIST, &token, &first).status, 200);
    unproven(&served.with_proof(LIST, &token, &first));
    // Query and fragment are no part of the target.
    assert_eq!(served.with_proof(&format!("{LIST}?after=0"), &token, &good()).status, 200);
    // Without proof, and with two.
    unproven(&served.get(LIST, Some(&token)));
    unproven(&served.get_with(LIST, Some(&token), &[("dpop", &good())]));
    let scheme = format!("DPoP {token}");
    unproven(&served.get_with(LIST, None, &[("authorization", &scheme)]));
    unproven(&served.get_with(
        LIST,
        None,
        &[("authorization", &scheme), ("dpop", &good()), ("dpop", &good())],
    ));
    // Another key, method, address, token, none at all.
    unproven(&served.with_proof(LIST, &token, &served.proof("GET", LIST, Some(&token), &signer(78))));
    unproven(&served.with_proof(LIST, &token, &served.proof("POST", LIST, Some(&token), &key())));
    unproven(&served.with_proof(LIST, &token, &served.proof("GET", "/v1/events", Some(&token), &key())));
    unproven(&served.with_proof(LIST, &token, &served.proof("GET", LIST, None, &key())));
    let other = served.bound("bank", BANK, &key());
    unproven(&served.with_proof(LIST, &token, &served.proof("GET", LIST, Some(&other), &key())));
    // Too old, and the bank's own signing key is no substitute.
    let mut old = served.claims("GET", LIST, Some(&token));
    old.iat -= 60;
    unproven(&served.with_proof(LIST, &token, &possession::sign(&old, &key()).unwrap()));
    unproven(&served.with_proof(LIST, &token, &served.proof("GET", LIST, Some(&token), &signer(BANK))));
    assert_eq!(served.with_proof(LIST, &token, &good()).status, 200);
}

#[test]
fn a_check_with_a_bound_token_needs_its_proof_too() {
    let served = Served::new();
    let token = served.bound("bank", BANK, &key());
    let path = "/access/v1/evaluation";
    let body = question("bank", &Ppid([7; 16]).to_text()).to_string();
    let scheme = format!("DPoP {token}");
    let proof = served.proof("POST", path, Some(&token), &key());
    let ask =
        |headers: &[(&str, &str)]| served.post_with(path, "application/json", None, headers, body.as_bytes());
    assert_eq!(ask(&[("authorization", &scheme), ("dpop", &proof)]).status, 200);
    let again = ask(&[("authorization", &scheme), ("dpop", &proof)]);
    assert_eq!(again.status, 401);
    assert!(again.header("www-authenticate").starts_with("DPoP error="));
    assert_eq!(ask(&[("authorization", &format!("Bearer {token}"))]).status, 401);
}

#[test]
fn a_citizens_session_may_be_bound_and_an_unbound_token_is_no_dpop_token() {
    let served = Served::new();
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let mine = "/v1/subjects/me/ppids/bank";
    let free = served.citizen(1);
    let proof = served.proof("GET", mine, Some(&free), &key());
    let reply = served.with_proof(mine, &free, &proof);
    assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("bad-token")));
    let proof = served.proof("POST", "/oauth/token", None, &key());
    let token = served.token_with(&[("dpop", &proof)], &served.login(1)).json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    unproven(&served.get(mine, Some(&token)));
    let proof = served.proof("GET", mine, Some(&token), &key());
    assert_eq!(served.with_proof(mine, &token, &proof).status, 200);
}

#[test]
fn the_token_endpoint_takes_one_good_proof_once() {
    let served = Served::new();
    let refused = |headers: &[(&str, &str)]| {
        let reply = served.token_with(headers, &served.assertion("bank", BANK));
        assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_dpop_proof")));
    };
    let proof = || served.proof("POST", "/oauth/token", None, &key());
    let taken = proof();
    assert_eq!(served.token_with(&[("dpop", &taken)], &served.assertion("bank", BANK)).status, 200);
    refused(&[("dpop", &taken)]);
    refused(&[("dpop", &proof()), ("dpop", &proof())]);
    refused(&[("dpop", "x.y.z")]);
    refused(&[("dpop", &served.proof("GET", "/oauth/token", None, &key()))]);
    refused(&[("dpop", &served.proof("POST", "/oauth/other", None, &key()))]);
}

#[test]
fn where_parties_get_bound_tokens_alone_a_plain_one_is_refused_and_a_citizen_needs_none() {
    let served = Served::with(|options| http::Options { bound_tokens: true, ..options });
    let reply = served.token_with(&[], &served.assertion("bank", BANK));
    assert_eq!((reply.status, reply.json()["error"].as_str()), (400, Some("invalid_request")));
    served.bound("bank", BANK, &key());
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    served.citizen(1);
}
