//! Tokens looked at by others, keys of parties, closing without a key.

use naru::identity::jwk::Jwk;
use naru::model::id::KeyHash;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;

use crate::*;

const FORM: &str = "application/x-www-form-urlencoded";

impl Served {
    fn introspect(&self, caller: &str, token: &str) -> serde_json::Value {
        let form = format!("token={token}");
        let reply = self.post("/oauth/introspect", FORM, Some(caller), form.as_bytes());
        assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
        reply.json()
    }

    fn suspend(&self, name: &str) {
        let suspend = PartySuspend {
            v: V1,
            kind: Kind::PartySuspend,
            iat: self.world.now(),
            nonce: nonce(),
            party: party(name),
            until: None,
            case: "1".into(),
        };
        assert_eq!(self.statement(&sign(&suspend.into(), &signer(REGULATOR))).status, 201);
    }
}

#[test]
fn a_party_looks_at_a_token_of_another_and_at_no_citizens() {
    let served = Served::new();
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let (bank, hospital) = (served.party("bank", BANK), served.party("hospital", HOSPITAL));
    let told = served.introspect(&hospital, &bank);
    assert_eq!(told["active"], true);
    for (name, value) in [("token_type", "Bearer"), ("sub", "bank"), ("client_id", "bank"), ("iss", ORIGIN)] {
        assert_eq!(told[name], value, "{name}");
    }
    assert_eq!(told["exp"].as_u64().unwrap() - told["iat"].as_u64().unwrap(), 300);
    let inactive = serde_json::json!({ "active": false });
    for token in [served.citizen(1).as_str(), "x.y.z", "", &bank[..bank.len() - 8]] {
        assert_eq!(served.introspect(&hospital, token), inactive);
    }
    for form in ["", "token=a&token=b", "code=a"] {
        let reply = served.post("/oauth/introspect", FORM, Some(&hospital), form.as_bytes());
        assert_eq!((reply.status, reply.json()["code"].as_str()), (400, Some("bad-query")), "{form}");
    }
    served.suspend("bank");
    assert_eq!(served.introspect(&hospital, &bank), inactive);
    let late = served.party("hospital", HOSPITAL);
    served.world.advance(300_000);
    let pipc = served.party("pipc", REGULATOR);
    assert_eq!(served.introspect(&pipc, &late), inactive);
}

#[test]
fn a_partys_keys_follow_its_rotation() {
    let served = Served::new();
    let keys = |name: &str| {
        let reply = served.get(&format!("/v1/parties/{name}/jwks.json"), None);
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/jwk-set+json"));
        reply.json()["keys"].as_array().unwrap().clone()
    };
    let expected = |seed: u8| {
        let jwk = Jwk::of(signer(seed).public());
        let mut key = serde_json::to_value(&jwk).unwrap();
        key["kid"] = jwk.thumbprint().into();
        key["alg"] = "EdDSA".into();
        key["use"] = "sig".into();
        vec![key]
    };
    assert_eq!(keys("bank"), expected(BANK));
    assert_eq!(keys("pipc"), expected(REGULATOR), "those of genesis, too");
    let new = 20;
    let rotate = PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: served.world.now(),
        nonce: nonce(),
        party: party("bank"),
        new: KeyHash(signer(new).public().hash()),
        epoch: None,
        transfer: None,
    };
    let item = endorse(&endorse(&sign(&rotate.into(), &signer(BANK)), OPERATOR), new);
    assert_eq!(served.statement(&item).status, 201);
    assert_eq!(keys("bank"), expected(new));
    served.suspend("bank");
    assert_eq!(keys("bank"), Vec::<serde_json::Value>::new());
    assert_eq!(served.get("/v1/parties/nobody/jwks.json", None).status, 404);
}

fn signal(served: &Served, ppid: Ppid, act: SignalAct, purpose: Scope) -> Statement {
    ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: served.world.now(),
        nonce: nonce(),
        ppid,
        act,
        controller: Scope::One("bank".into()),
        purpose,
        class: DataClass::RealName,
        channel: Channel::Gpc,
    }
    .into()
}

#[test]
fn a_browsers_signal_closes_and_parties_read_objections_as_a_delta() {
    let served = Served::new();
    let support = served.get("/.well-known/gpc.json", None).json();
    assert_eq!((&support["gpc"], support["lastUpdate"].is_string()), (&true.into(), true));
    let enrol = |n: u64| {
        assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
        served.node.ppid(&key_hash(&person_key(n)), Some(&party("bank"))).unwrap().unwrap()
    };
    let (one, two) = (enrol(1), enrol(2));
    for (n, ppid) in [(1, one), (2, two)] {
        let grant = sign(&served.world.grant(ppid, None).into(), &person_key(n));
        assert_eq!(served.statement(&grant).status, 201);
    }
    let bank = served.party("bank", BANK);
    assert_eq!(served.check(&bank, &one)["decision"], true);
    // The bank saw `Sec-GPC: 1` and carries it: no key of hers is needed.
    let carried = sign(&signal(&served, one, SignalAct::Object, Scope::Any), &signer(BANK));
    assert_eq!(served.statement(&carried).status, 201);
    let objected = served.node.sequenced() - 1;
    assert_eq!(served.check(&bank, &one)["context"]["reason"], "OBJECTED");
    // Another party closes nothing of the bank's, and a pause is no objection.
    let foreign = sign(&signal(&served, two, SignalAct::Object, Scope::Any), &signer(HOSPITAL));
    assert_eq!(served.statement(&foreign).status, 403);
    let pause = sign(&signal(&served, two, SignalAct::Pause, Scope::One(PURPOSE.into())), &signer(BANK));
    assert_eq!(served.statement(&pause).status, 201);
    // Her own, on everything, is told to the bank as well.
    let all = served.node.ppid(&key_hash(&person_key(2)), None).unwrap().unwrap();
    let standing = served.world.object(all, Scope::Any, DataClass::RealName);
    assert_eq!(served.statement(&sign(&standing, &person_key(2))).status, 201);
    let last = served.node.sequenced() - 1;
    let told = |after: u64| {
        let page = served.get(&format!("/v1/events?only=objections&after={after}"), Some(&bank)).json();
        assert_eq!(page["after"], last, "what is left out is passed over");
        let of = |event: &serde_json::Value| {
            let ppid = event["ppid"].as_str().unwrap().to_owned();
            (event["index"].as_u64().unwrap(), event["type"].as_str().unwrap().to_owned(), ppid)
        };
        page["events"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let first = (objected, "consent.signal".to_owned(), one.to_text());
    let second = (last, "consent.object".to_owned(), two.to_text());
    assert_eq!(told(0), [first, second.clone()]);
    assert_eq!(told(objected), [second]);
    assert_eq!(told(last), []);
    let bad = served.get("/v1/events?only=grants", Some(&bank));
    assert_eq!((bad.status, bad.json()["code"].as_str()), (400, Some("bad-query")));
}
