//! For whoever runs it: figures, log lines, the security contact; and nothing personal in any of them.

use naru::model::statement::Scope;
use naru::model::vocabulary::DataClass;
use naru::store::Store;

use crate::*;

impl Served {
    fn figures(&self) -> String {
        String::from_utf8(self.get("/metrics", None).body).unwrap()
    }
}

#[track_caller]
fn figure(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no `{name}` in\n{text}")).parse().unwrap()
}

#[test]
fn figures_tell_of_requests_commits_lanes_and_what_stops_it() {
    let served = Served::new();
    let before = served.figures();
    for n in 1..=3 {
        assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
    }
    served.node.tick().unwrap();
    served.world.advance(7_000);
    assert_eq!(served.get("/v1/statements/nonsense", None).status, 404);
    assert_eq!(served.get("/nowhere/800101-1234567", None).status, 404);
    let bank = served.party("bank", BANK);
    served.check(&bank, &Ppid([7; 16]));
    let after = served.figures();
    let count = |name: &str| figure(&after, name);
    assert_eq!(count(r#"naru_requests_total{route="POST /v1/statements",status="2xx"}"#), 3.0);
    assert_eq!(count(r#"naru_requests_total{route="GET /v1/statements/{id}",status="4xx"}"#), 1.0);
    assert_eq!(count(r#"naru_requests_total{route="POST /access/v1/evaluation",status="2xx"}"#), 1.0);
    assert_eq!(count(r#"naru_requests_total{route="none",status="4xx"}"#), 1.0);
    assert_eq!(count(r#"naru_statements_total{outcome="accepted",type="key.create"}"#), 3.0);
    let commits = |text: &str| figure(text, "naru_commit_seconds_count");
    assert_eq!(commits(&after) - commits(&before), 3.0);
    assert_eq!(figure(&after, "naru_commit_entries_sum"), figure(&after, "naru_sequenced"));
    assert_eq!(count(r#"naru_commit_entries_bucket{le="1024"}"#), commits(&after));
    assert_eq!(count("naru_checkpoint_age_seconds"), 7.0);
    for lane in ["open", "closing"] {
        assert_eq!(count(&format!("naru_in_flight{{lane=\"{lane}\"}}")), 0.0);
    }
    for stop in naru::node::Stop::ALL {
        assert_eq!(count(&format!("naru_stopped{{reason=\"{stop}\"}}")), 0.0);
    }
    let faults = served.world.memory.faults();
    faults.fail_next(
        naru::store::memory::Call::Append,
        naru::store::memory::When::Before,
        naru::store::memory::Fault::Eio,
    );
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(9))).status, 503);
    assert_eq!(figure(&served.figures(), r#"naru_stopped{reason="io"}"#), 1.0);
}

#[test]
fn figures_may_have_an_address_of_their_own() {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let served = Served::with(|options| http::Options { metrics: Some(listen), ..options });
    let own = served.running.metrics().unwrap();
    assert_ne!(own, served.running.addr());
    assert_eq!(served.get("/metrics", None).status, 404);
    assert_eq!(served.get("/readyz", None).status, 200);
    let at = |path: &str| reply(agent().get(format!("http://{own}{path}")).call().unwrap());
    let text = String::from_utf8(at("/metrics").body).unwrap();
    // One set of figures, wherever they are read.
    assert_eq!(figure(&text, r#"naru_requests_total{route="GET /readyz",status="2xx"}"#), 1.0);
    assert_eq!((at("/readyz").status, at("/livez").status), (200, 200));
    assert_eq!((at("/log/checkpoint").status, at("/v1/statements/x").status), (404, 404));
    let Served { running, .. } = served;
    running.stop().unwrap();
    assert!(std::net::TcpStream::connect(own).is_err());
}

#[test]
fn a_weakness_is_told_to_whom_the_operator_names() {
    assert_eq!(Served::new().get("/.well-known/security.txt", None).status, 404);
    let security = http::Security {
        contacts: vec!["mailto:security@ledger.test".into(), "https://ledger.test/report".into()],
        expires: "2027-06-30T00:00:00Z".into(),
    };
    let served = Served::with(|options| http::Options {
        security: Some(security),
        base_url: "https://ledger.test/".into(),
        ..options
    });
    let told = served.get("/.well-known/security.txt", None);
    assert_eq!((told.status, told.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(
        String::from_utf8(told.body).unwrap(),
        "Contact: mailto:security@ledger.test\nContact: https://ledger.test/report\n\
         Expires: 2027-06-30T00:00:00Z\nPreferred-Languages: ko, en\n\
         Canonical: https://ledger.test/.well-known/security.txt\n"
    );
}

#[test]
fn neither_log_lines_nor_figures_know_anybody() {
    const MARKER: &str = "planted-800101-1234567";
    planted::keep();
    let served = Served::new();
    let world = &served.world;
    let person = person_key(40_000);
    served.statement(&sign(&world.key_create(), &person));
    let ppid = served.node.ppid(&key_hash(&person), Some(&party("bank"))).unwrap().unwrap();
    let mut grant = world.grant(ppid, None);
    grant.consideration = Some(MARKER.into());
    let item = sign(&grant.into(), &person);
    let id = served.statement(&item).header("location").to_owned();
    // The same where it is refused, malformed, misdirected, asked about.
    served.statement(&sign(&world.object(Ppid([9; 16]), Scope::Any, DataClass::RealName), &person));
    served.statement(MARKER.as_bytes());
    served.get(&format!("/v1/statements/{MARKER}?q={MARKER}"), None);
    served.get(&format!("/{MARKER}"), Some(MARKER));
    let (bank, citizen) = (served.party("bank", BANK), served.citizen(40_000));
    served.check(&bank, &ppid);
    served.post("/access/v1/evaluation", "application/json", Some(&bank), MARKER.as_bytes());
    let mut asked = question("bank", &ppid.to_text());
    asked["resource"]["properties"]["categories"][0] = MARKER.into();
    served.post("/access/v1/evaluation", "application/json", Some(&bank), asked.to_string().as_bytes());
    served.node.tick().unwrap();
    served.get(&format!("{id}/evidence"), Some(&citizen));
    // A failure of ours is logged with its cause.
    let faults = world.memory.faults();
    faults.fail_next(
        naru::store::memory::Call::Append,
        naru::store::memory::When::Before,
        naru::store::memory::Fault::Eio,
    );
    served.statement(&sign(&world.withdraw(ppid), &person));

    let figures = served.figures();
    let logs = planted::kept();
    let lines: Vec<serde_json::Value> =
        logs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = |path: &str| {
        lines.iter().any(|line| {
            let fields = &line["fields"];
            fields["route"] == path && fields["request_id"].as_str().is_some_and(|id| !id.is_empty())
        })
    };
    assert!(answered("/v1/statements") && answered("/v1/statements/{id}"), "{logs}");
    assert!(lines.iter().any(|line| line["level"] == "ERROR"), "the failure is there");
    let statement = id.rsplit('/').next().unwrap().to_owned();
    assert!(statement.len() > 20, "{id}");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let private = [
        MARKER.to_owned(),
        statement,
        ppid.to_text(),
        hex(&ppid.0),
        key_hash(&person).to_string(),
        hex(&key_hash(&person).0),
        citizen,
        bank,
    ];
    for secret in private {
        assert!(!logs.contains(&secret), "a log line holds `{secret}`");
        assert!(!figures.contains(&secret), "a figure holds `{secret}`");
    }
}

/// The engine prints keys of its store below its warnings, and a key holds the hash of a person's.
#[test]
fn what_the_engine_says_of_its_keys_is_not_heard() {
    planted::keep();
    planted::bytes(b"an engine's key of somebody here");
    let dir = tempfile::tempdir().unwrap();
    let key = "an engine's key of somebody here";
    for _ in 0..2 {
        let store = naru::store::fjall::Fjall::open(dir.path().join("store")).unwrap();
        store.put(key, key.as_bytes(), false).unwrap();
        assert!(store.get(key).unwrap().is_some());
    }
    let logs = planted::kept();
    let engine = |line: &&str| ["fjall", "lsm_tree"].iter().any(|name| line.contains(&format!("\"{name}")));
    let low = |line: &&str| ["TRACE", "DEBUG", "INFO"].iter().any(|level| line.contains(level));
    assert_eq!(logs.lines().filter(engine).find(low), None);
}
