//! Cohorts: one verdict a line, whatever breaks in between, and one signature over all.

use std::fs;
use std::path::PathBuf;

use naru::ledger::cohort;
use naru::ledger::cohort::Summary;
use naru::ledger::hash::sha256;
use naru::model::id::Ppid;
use naru::model::statement::Scope;
use naru::model::vocabulary::DataClass;
use naru::node::KEEP_MS;
use naru::node::MOST_JOBS;
use naru::vault::Vault;
use serde_json::Value;

use crate::*;

const QUERY: &str = "purpose=dpv:ServiceProvision&action=use&class=real-name&categories=pd:Income";

fn begin(served: &Served, token: &str, query: &str, lines: &str) -> Reply {
    served.post(&format!("/v1/cohorts?{query}"), "text/plain", Some(token), lines.as_bytes())
}

/// Sends lines and waits for the last verdict.
fn done(served: &Served, token: &str, lines: &str) -> String {
    let reply = begin(served, token, QUERY, lines);
    assert_eq!(reply.status, 202, "{}", String::from_utf8_lossy(&reply.body));
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("/v1/cohorts/{id}"));
    until_done(served, token, &id);
    id
}

fn until_done(served: &Served, token: &str, id: &str) -> Value {
    loop {
        let status = served.get(&format!("/v1/cohorts/{id}"), Some(token)).json();
        assert_ne!(status["state"], "failed");
        if status["state"] == "done" {
            assert_eq!(status["done"], status["lines"]);
            return status;
        }
    }
}

fn verdicts(served: &Served, token: &str, id: &str) -> Vec<u8> {
    let reply = served.get(&format!("/v1/cohorts/{id}/verdicts"), Some(token));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/x-ndjson"));
    reply.body
}

fn lines_of(verdicts: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(verdicts).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(served: &Served, token: &str, id: &str) -> Summary {
    let reply = served.get(&format!("/v1/cohorts/{id}/summary"), Some(token));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/cose"));
    cohort::open(&reply.body, signer(LOG).public()).unwrap()
}

fn holds(summary: &Summary, input: &str, verdicts: &[u8]) {
    assert_eq!(summary.input, sha256(&[input.as_bytes()]));
    assert_eq!(summary.verdicts, sha256(&[verdicts]));
    let lines = lines_of(verdicts);
    assert_eq!(summary.lines, lines.len() as u64);
    let numbers: Vec<u64> = lines.iter().map(|l| l["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=summary.lines).collect::<Vec<_>>());
    for (reason, n) in &summary.told {
        assert_eq!(lines.iter().filter(|l| l["reason"] == reason.as_str()).count() as u64, *n, "{reason}");
    }
    assert_eq!(lines.iter().filter(|l| l["error"] == "malformed").count() as u64, summary.malformed);
    let as_of = || lines.iter().map(|l| l["as_of"].as_u64().unwrap());
    assert_eq!(summary.as_of, (as_of().min().unwrap(), as_of().max().unwrap()));
}

/// Persons of the bank: one who granted, one who withdrew, one without a word, one of the hospital.
fn people(served: &Served) -> [Ppid; 4] {
    let ppid = |n: u64, at: &str| {
        let key = person_key(n);
        assert_eq!(served.statement(&sign(&served.world.key_create(), &key)).status, 201);
        served.node.ppid(&key_hash(&key), Some(&party(at))).unwrap().unwrap()
    };
    let [granted, withdrew, silent] = [1, 2, 3].map(|n| ppid(n, "bank"));
    for (n, ppid) in [(1, granted), (2, withdrew)] {
        let grant = sign(&served.world.grant(ppid, None).into(), &person_key(n));
        assert_eq!(served.statement(&grant).status, 201);
    }
    assert_eq!(served.statement(&sign(&served.world.withdraw(withdrew), &person_key(2))).status, 201);
    // She objects to everybody, and has never met the bank: that is not told.
    let own = served.node.ppid(&key_hash(&person_key(3)), None).unwrap().unwrap();
    let objection = served.world.object(own, Scope::Any, DataClass::RealName);
    assert_eq!(served.statement(&sign(&objection, &person_key(3))).status, 201);
    [granted, withdrew, silent, ppid(4, "hospital")]
}

#[test]
fn each_line_has_its_verdict_and_all_of_them_one_signature() {
    let served = Served::new();
    let bank = served.party("bank", BANK);
    let [granted, withdrew, silent, foreign] = people(&served).map(|p| p.to_text());
    let unknown = Ppid([7; 16]).to_text();
    let input = format!(
        "{granted}\n{withdrew}\r\n{silent}\n{foreign}\n{unknown}\n\nPPID\n{granted}x\n{}\n{granted}",
        "y".repeat(100_000)
    );
    let id = done(&served, &bank, &input);
    let bytes = verdicts(&served, &bank, &id);
    let lines = lines_of(&bytes);
    let words: Vec<&str> =
        lines.iter().map(|l| l["reason"].as_str().or(l["error"].as_str()).unwrap()).collect();
    let (none, bad) = ("CONSENT_NOT_GIVEN", "malformed");
    assert_eq!(
        words,
        ["CONSENT_GIVEN", "CONSENT_WITHDRAWN", none, none, none, bad, bad, bad, bad, "CONSENT_GIVEN"]
    );
    // Unknown, foreign and silent are answered alike; no ppid, and nothing that was sent, comes back.
    let alike = |at: usize| {
        let mut line = lines[at].clone();
        line["line"] = 0.into();
        line
    };
    assert!(alike(2) == alike(3) && alike(3) == alike(4));
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!text.contains("ppid_") && !text.contains("yyy"));
    // Each verdict is what an evaluation says.
    for (at, ppid) in [(0, &granted), (1, &withdrew), (3, &foreign)] {
        let evaluation = served.check(&bank, &Ppid::from_text(ppid).unwrap());
        assert_eq!(lines[at]["decision"], evaluation["decision"]);
        assert_eq!(lines[at]["reason"], evaluation["context"]["reason"]);
    }
    let summary = summary(&served, &bank, &id);
    holds(&summary, &input, &bytes);
    assert_eq!((summary.malformed, summary.packs), (4, vec!["kcern-2018/1".to_owned()]));
    assert_eq!((summary.party.as_str(), summary.asked.purpose.as_str()), ("bank", PURPOSE));
    assert_eq!(summary.origin, ORIGIN);
    // After a line, and after the last.
    for after in 0..=11usize {
        let rest = served.get(&format!("/v1/cohorts/{id}/verdicts?after={after}"), Some(&bank));
        assert_eq!(lines_of(&rest.body), lines[after.min(lines.len())..], "after {after}");
    }
    // At rest nothing of it can be read.
    let folder = served.world.dir.path().join("cohorts").join(&id);
    for file in ["input", "job", "verdicts", "summary"] {
        let bytes = fs::read(folder.join(file)).unwrap();
        assert!(!bytes.windows(5).any(|w| w == b"ppid_" || w == b"CONSE" && file != "summary"), "{file}");
    }
}

#[test]
fn a_job_is_its_party_s_alone_and_ends() {
    let served = Served::new();
    let (bank, hospital) = (served.party("bank", BANK), served.party("hospital", HOSPITAL));
    let line = Ppid([7; 16]).to_text();
    let id = done(&served, &bank, &line);
    for path in ["", "/verdicts", "/summary"] {
        let path = format!("/v1/cohorts/{id}{path}");
        assert_eq!(served.get(&path, Some(&bank)).status, 200);
        let other = served.get(&path, Some(&hospital));
        let none = served.get(&path.replace(&id, &"0".repeat(32)), Some(&bank));
        assert_eq!((other.status, none.status), (404, 404));
        assert_eq!(other.json()["detail"], none.json()["detail"]);
    }
    let status = |query: &str| begin(&served, &bank, query, &line).status;
    assert_eq!(status(&format!("{QUERY}&controller=hospital")), 403);
    assert_eq!(status("purpose=dpv:Marketing&action=use"), 400);
    assert_eq!(status(&QUERY.replace("use", "steal")), 400);
    assert_eq!(status(&format!("{QUERY}&use_id=7")), 400);
    assert_eq!(
        served.post(&format!("/v1/cohorts?{QUERY}"), "application/json", Some(&bank), b"x").status,
        415
    );
    // What was not taken in leaves nothing behind.
    let root = served.world.dir.path().join("cohorts");
    let folders = || fs::read_dir(&root).unwrap().count();
    assert_eq!(folders(), 1);
    assert!(lines_of(&verdicts(&served, &bank, &done(&served, &bank, ""))).is_empty());
    for _ in 2..MOST_JOBS {
        done(&served, &bank, &line);
    }
    let full = begin(&served, &bank, QUERY, &line);
    assert_eq!((full.status, full.json()["code"].clone()), (429, "too-many-cohorts".into()));
    done(&served, &hospital, &line);
    // A week later they are gone, and there is room.
    served.world.advance(KEEP_MS);
    let (bank, _) = (served.party("bank", BANK), ());
    assert_eq!(served.get(&format!("/v1/cohorts/{id}"), Some(&bank)).status, 404);
    done(&served, &bank, &line);
    assert_eq!(folders(), 1);
}

/// A stopped node's folder of one job.
fn folder(served: &Served, id: &str) -> PathBuf {
    served.world.dir.path().join("cohorts").join(id)
}

/// Stops the service and its node, does something to the files, starts again.
fn restart(served: Served, meddle: impl FnOnce(&PathBuf), id: &str) -> Served {
    let folder = folder(&served, id);
    let Served { mut world, node, running } = served;
    running.stop().unwrap();
    drop(node);
    meddle(&folder);
    world.memory = world.memory.reopen();
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let store = Arc::new(world.memory.clone());
    let node = Node::open(settings(&world.dir), store, vault, keys(), world.clock.clone()).unwrap();
    let node = Arc::new(node);
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = http::Options { workers: 1, signals: Signals::Ignored, ..http::Options::new(listen) };
    let running = http::serve(Arc::clone(&node), options).unwrap();
    // Assertions of the second of a start are refused.
    world.advance(1_000);
    Served { world, node, running }
}

#[test]
fn a_job_that_broke_off_anywhere_goes_on_without_a_double_or_a_gap() {
    let mut served = Served::new();
    let mut bank = served.party("bank", BANK);
    let people = people(&served).map(|p| p.to_text());
    // Three records and a bit.
    let line = |n: usize| match n % 7 {
        4 => format!("line {n}"),
        5 | 6 => Ppid([u8::try_from(n % 251).unwrap(); 16]).to_text(),
        n => people[n].clone(),
    };
    let input: String = (0..13_000).map(|n| line(n) + "\n").collect();
    let id = done(&served, &bank, &input);
    let whole = verdicts(&served, &bank, &id);
    holds(&summary(&served, &bank, &id), &input, &whole);
    let size = fs::metadata(folder(&served, &id).join("verdicts")).unwrap().len();
    // Cut anywhere: at the start, in a head, in a record, between two, at the end with the summary unwritten.
    for cut in [0, 2, 100, size / 3, size / 2, size - 1, size] {
        let meddle = |folder: &PathBuf| {
            fs::remove_file(folder.join("summary")).unwrap();
            let file = fs::OpenOptions::new().write(true).open(folder.join("verdicts")).unwrap();
            file.set_len(cut).unwrap();
        };
        served = restart(served, meddle, &id);
        bank = served.party("bank", BANK);
        until_done(&served, &bank, &id);
        assert_eq!(verdicts(&served, &bank, &id), whole, "cut at {cut}");
        holds(&summary(&served, &bank, &id), &input, &whole);
    }
    // A tail of zeros, as power loss may leave it; and a finished job is left as it is.
    let zeros = |folder: &PathBuf| {
        fs::remove_file(folder.join("summary")).unwrap();
        let file = fs::OpenOptions::new().write(true).open(folder.join("verdicts")).unwrap();
        file.set_len(size / 2).unwrap();
        file.set_len(size).unwrap();
    };
    served = restart(served, zeros, &id);
    bank = served.party("bank", BANK);
    until_done(&served, &bank, &id);
    assert_eq!(verdicts(&served, &bank, &id), whole);
    let first = summary(&served, &bank, &id);
    served = restart(served, |_| {}, &id);
    bank = served.party("bank", BANK);
    assert_eq!(summary(&served, &bank, &id), first);
    // An input that never became a job is removed.
    let stray = served.world.dir.path().join("cohorts").join("0".repeat(32));
    let made = stray.clone();
    let served = restart(served, move |_| fs::create_dir(&made).unwrap(), &id);
    assert!(!stray.exists() && folder(&served, &id).exists());
}
