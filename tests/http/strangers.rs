//! Every route as another person, another party and a regulator out of scope: nothing is there.

use naru::identity::request;
use naru::identity::request::Request;
use naru::model::id::Hash;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::Role;

use crate::*;

pub(crate) const OTHER_REGULATOR: u8 = 40;

/// A node in which something of everything exists, of person 1, bank and hospital.
struct Whole {
    served: Served,
    grant: String,
    decision: String,
    incident: String,
    document: String,
    cohort: String,
    request: String,
    transfer: String,
    link: String,
}

pub(crate) fn abroad(served: &Served) -> Vec<u8> {
    let statement: Statement = PartyRegister {
        v: V1,
        kind: Kind::PartyRegister,
        iat: served.world.now(),
        nonce: nonce(),
        party: party("abroad"),
        name_ko: "해외".into(),
        name_en: "abroad".into(),
        roles: vec![Role::Regulator],
        jurisdiction: "EU".into(),
        office: Office { name: "office".into(), contact: "office@example.eu".into() },
        licence: Some(Licence { number: "1".into(), regulator: party("pipc") }),
        scope: vec!["eu".into()],
        transfer: None,
    }
    .into();
    endorse(&endorse(&sign(&statement, &signer(OTHER_REGULATOR)), OPERATOR), REGULATOR)
}

fn publish(served: &Served) {
    served.world.advance(1_000);
    served.node.sync_uses().unwrap();
    if let Some(outcome) = served.node.batch_uses().unwrap() {
        outcome.unwrap();
    }
    served.node.tick().unwrap();
}

/// A request of the bank's; its id.
fn asks(served: &Served) -> String {
    let asking = served.world.request(Hash([0x42; 32]));
    let item = sign(&asking.into(), &signer(BANK));
    assert_eq!(served.statement(&item).status, 201);
    naru::identity::open(&item).unwrap().id().to_string()
}

impl Whole {
    fn new() -> Self {
        let served = Served::of(World::logging());
        for n in [1, 2, 3] {
            assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
        }
        assert_eq!(served.statement(&abroad(&served)).status, 201);
        let ppid = served.node.ppid(&key_hash(&person_key(1)), Some(&party("bank"))).unwrap().unwrap();
        let grant = sign(&served.world.grant(ppid, None).into(), &person_key(1));
        assert_eq!(served.statement(&grant).status, 201);
        let transfer = sign(&served.world.demand(ppid).into(), &person_key(1));
        assert_eq!(served.statement(&transfer).status, 201);
        let (bank, hospital) = (served.party("bank", BANK), served.party("hospital", HOSPITAL));
        let decision = served.check(&bank, &ppid)["context"]["evaluation_id"].as_str().unwrap().to_owned();
        // The hospital asks about a person of the bank's whom nothing joins to it, and signs that it did.
        let foreign = served.node.ppid(&key_hash(&person_key(3)), Some(&party("bank"))).unwrap().unwrap();
        let mut body = question("hospital", &foreign.to_text());
        body["resource"]["properties"]["class"] = "pseudonymous".into();
        let (body, path) = (body.to_string(), "/access/v1/evaluation");
        let target = served.url(path);
        let signed = Request { method: "POST", target: &target, body: body.as_bytes() };
        let signed = request::sign(signed, served.world.now(), &signer(HOSPITAL)).unwrap();
        let names = ["content-digest", "signature-input", "signature"];
        let headers: Vec<_> = names.into_iter().zip(signed.iter().map(String::as_str)).collect();
        let asked = served.post_with(path, "application/json", Some(&hospital), &headers, body.as_bytes());
        assert_eq!(asked.status, 200);
        publish(&served);
        served.node.flag_findings(Timestamp(0), Timestamp(u64::MAX)).unwrap();
        publish(&served);
        let pipc = served.party("pipc", REGULATOR);
        let found = served.get("/v1/incidents", Some(&pipc)).json();
        let incident = found["incidents"][0]["incident"].as_str().unwrap().to_owned();
        let documents = format!("/v1/incidents/{incident}/documents");
        let kept = served.post(&documents, "text/plain", Some(&hospital), b"a mistake");
        let document = kept.header("location").rsplit('/').next().unwrap().to_owned();
        assert_eq!(kept.status, 201);
        let query = format!("/v1/cohorts?action=use&purpose={PURPOSE}&class=real-name&categories={CATEGORY}");
        let begun = served.post(&query, "text/plain", Some(&bank), ppid.to_text().as_bytes());
        let cohort = begun.json()["id"].as_str().unwrap().to_owned();
        while served.get(&format!("/v1/cohorts/{cohort}"), Some(&bank)).json()["state"] != "done" {}
        let request = asks(&served);
        for statement in [served.world.withdraw(ppid), served.world.claim(ppid)] {
            assert_eq!(served.statement(&sign(&statement, &person_key(1))).status, 201);
        }
        let grant = naru::identity::open(&grant).unwrap().id().to_string();
        let transfer = naru::identity::open(&transfer).unwrap().id().to_string();
        let link = served.node.link_export(&key_hash(&person_key(1)), None).unwrap().token;
        Self { served, grant, decision, incident, document, cohort, request, transfer, link }
    }

    /// The id that makes a route with a variable part somebody's, and whose it is.
    fn owned(&self, path: &str) -> Option<(&str, &'static [&'static str])> {
        let is = |prefix: &str| path.starts_with(prefix);
        Some(if path == "/v1/statements/{id}/evidence" {
            (&self.grant, &["one", "bank"])
        } else if is("/v1/decisions/") {
            (&self.decision, &["one", "bank"])
        } else if is("/v1/cohorts/") {
            (&self.cohort, &["bank"])
        } else if path == "/v1/incidents/{id}/dossier" || path == "/v1/incidents/{id}/openings" {
            (&self.incident, &["pipc"])
        } else if is("/v1/incidents/") {
            (&self.incident, &["hospital", "pipc"])
        } else if path == "/v1/transfers/{id}" {
            (&self.transfer, &["bank", "hospital"])
        } else if path == "/v1/exports/{id}" {
            // Whoever has the link has the right: nobody else can have it.
            (&self.link, &["nobody", "one", "two", "bank", "hospital", "idp", "pipc", "abroad"])
        } else if path == "/v1/requests/{id}/answer" {
            (&self.request, &["bank"])
        } else if path == "/v1/parties/{id}/exceptions" || path == "/v1/parties/{id}/duties" {
            ("bank", &["pipc"])
        } else {
            return None;
        })
    }
}

/// Status and body, without what differs between any two requests.
fn told(reply: &Reply) -> (u16, serde_json::Value) {
    let mut body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    (reply.status, body)
}

#[test]
fn whatever_exists_is_to_strangers_as_if_it_did_not() {
    let whole = Whole::new();
    let served = &whole.served;
    let callers = [
        ("nobody", None),
        ("one", Some(served.citizen(1))),
        ("two", Some(served.citizen(2))),
        ("bank", Some(served.party("bank", BANK))),
        ("hospital", Some(served.party("hospital", HOSPITAL))),
        ("idp", Some(served.party("idp", IDP))),
        ("pipc", Some(served.party("pipc", REGULATOR))),
        ("abroad", Some(served.party("abroad", OTHER_REGULATOR))),
    ];
    let mut walked = 0;
    for route in http::ROUTES {
        let Some((id, owners)) = whole.owned(route.path) else { continue };
        walked += 1;
        let none = if id == "bank" { "nobody".to_owned() } else { "0".repeat(id.len()) };
        let path = |id: &str| route.path.replace("{id}", id).replace("{hash}", &whole.document);
        let ask = |id: &str, token: Option<&str>| match route.method {
            http::Method::Get => served.get(&path(id), token),
            http::Method::Post if route.path.ends_with("/openings") => {
                let wished = serde_json::json!({ "records": [whole.grant] }).to_string();
                served.post(&path(id), "application/json", token, wished.as_bytes())
            }
            http::Method::Post => served.post(&path(id), "text/plain", token, b"mine"),
            http::Method::Put => served.put(&path(id), token, b"mine"),
        };
        for (name, token) in &callers {
            let there = ask(id, token.as_deref());
            let place = format!("{} {} as {name}", route.method.as_str(), route.path);
            if owners.contains(name) {
                assert_eq!(there.status / 100, 2, "{place}: {}", String::from_utf8_lossy(&there.body));
                continue;
            }
            assert!(matches!(there.status, 401 | 403 | 404), "{place}: {}", there.status);
            assert_eq!(told(&there), told(&ask(&none, token.as_deref())), "{place}");
        }
    }
    assert_eq!(walked, 15, "a new route with somebody's id belongs into `owned`");
}

#[test]
fn a_persons_own_routes_tell_her_own_things_alone() {
    let whole = Whole::new();
    let served = &whole.served;
    let (one, two) = (served.citizen(1), served.citizen(2));
    let text = |path: &str, token: &str| {
        let reply = served.get(path, Some(token));
        assert_eq!(reply.status, 200, "{path}");
        String::from_utf8(reply.body).unwrap()
    };
    assert!(text("/v1/subjects/me/uses", &one).contains(&whole.decision));
    assert!(!text("/v1/subjects/me/uses", &two).contains(&whole.decision));
    let mine = "/v1/subjects/me/ppids/bank";
    assert_ne!(text(mine, &one), text(mine, &two));
    assert!(text("/v1/subjects/me/transfers", &one).contains(&whole.transfer));
    assert!(!text("/v1/subjects/me/transfers", &two).contains(&whole.transfer));
    for path in ["/v1/subjects/me/duties", "/v1/subjects/me/rights", "/v1/subjects/me/value"] {
        assert!(text(path, &one).contains("bank"), "{path}");
        assert!(!text(path, &two).contains("bank"), "{path}");
    }
    // What another's name in a query or body would change: nothing.
    assert_eq!(text(&format!("{mine}?subject=1"), &two), text(mine, &two));
    let events = |name: &str, seed| text("/v1/events", &served.party(name, seed));
    assert!(events("bank", BANK).contains("ppid_"));
    assert!(!events("idp", IDP).contains("ppid_"));
}

#[test]
fn junk_in_place_of_a_token_is_refused_on_every_route_that_reads_one() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let forged = format!("{}AAAA", &bank[..bank.len() - 4]);
    for route in http::ROUTES.iter().filter(|route| !matches!(route.roles, [http::Role::Anyone])) {
        let path = route.path.replace("{id}", &"0".repeat(64)).replace("{party}", "bank");
        let path = path.replace("{hash}", &"0".repeat(64)).replace("{run}", "0").replace("{item}", "x");
        for value in ["Bearer", "Basic YTpi", "Bearer a.b.c", &format!("Bearer {forged}")] {
            let headers = [("authorization", value)];
            let reply = match route.method {
                http::Method::Get => served.get_with(&path, None, &headers),
                http::Method::Post => served.post_with(&path, "application/json", None, &headers, b"{}"),
                http::Method::Put => served.put_with(&path, &headers, b"{}"),
            };
            assert_eq!(reply.status, 401, "{path} with `{value}`");
            assert!(reply.header("www-authenticate").starts_with("Bearer"), "{path} with `{value}`");
        }
    }
}
