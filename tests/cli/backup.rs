//! Backup of a running service, and everything a restore must go through.

use std::fs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use naru::model::id::Timestamp;
use naru::model::statement::KeyCreate;
use naru::model::statement::KeyUse;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::statement::V1;
use naru::node::clock::Clock;
use serde_json::Value;

use crate::Desk;
use crate::Ran;
use crate::Service;
use crate::flip;
use crate::support::*;

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

pub(crate) fn someone(n: u64) -> Vec<u8> {
    let iat: Timestamp = Clock::System.now();
    let statement: Statement = KeyCreate {
        v: V1,
        kind: Kind::KeyCreate,
        iat,
        nonce: nonce(),
        key_use: KeyUse::Device,
        recovery: None,
    }
    .into();
    sign(&statement, &person_key(n))
}

/// A statement and what the service answered.
pub(crate) struct Acked {
    pub(crate) item: Vec<u8>,
    answer: Vec<u8>,
    pub(crate) index: u64,
    entry: Vec<u8>,
}

pub(crate) fn submit(url: &str, item: Vec<u8>) -> Acked {
    let post = |accept: &str| {
        let sent = agent()
            .post(format!("{url}/v1/statements"))
            .header("content-type", "application/cose")
            .header("accept", accept)
            .send(&item);
        let sent = sent.unwrap();
        let status = sent.status().as_u16();
        let body = sent.into_body().read_to_vec().unwrap();
        assert!(matches!(status, 200 | 201), "{status} {}", String::from_utf8_lossy(&body));
        body
    };
    let answer = post("application/cbor");
    let json: Value = serde_json::from_slice(&post("application/json")).unwrap();
    use base64::Engine;
    let entry =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(json["entry"].as_str().unwrap()).unwrap();
    Acked { index: json["index"].as_u64().unwrap(), entry, item, answer }
}

fn ready(url: &str) -> (u16, Value) {
    let answer = agent().get(format!("{url}/readyz")).call().unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.into_body().read_to_vec().unwrap()).unwrap())
}

const BACKUP: [&str; 6] = ["backup", "log", "--to", "all.backup", "--keys", "all.keys"];
const RESTORE: [&str; 6] = ["restore", "log", "--from", "all.backup", "--keys", "all.keys"];

impl Desk {
    /// The log's data, gone.
    pub(crate) fn lose_the_data(&self) {
        fs::remove_dir_all(self.path("log/data")).unwrap();
    }

    /// Every ack below `size` stands where it was promised, with the same bytes, and its promise holds.
    fn keeps(&self, acked: &[Acked], size: u64) {
        drop(fs::remove_dir_all(self.path("out")));
        self.naru(&["export-log", "--dir", "log", "out"]).exits(0);
        let mut entries = Vec::new();
        let whole = naru::ledger::tile::paths(self.size_of("out/checkpoint"));
        for path in whole.filter(|path| matches!(path, naru::ledger::tile::Path::Entries { .. })) {
            let bundle = fs::read(self.path("out").join(path.to_string())).unwrap();
            entries.extend(naru::ledger::tile::unbundle(&bundle).unwrap().into_iter().map(<[u8]>::to_vec));
        }
        let under = acked.iter().filter(|ack| ack.index < size);
        for ack in under {
            assert_eq!(entries[usize::try_from(ack.index).unwrap()], ack.entry, "entry {}", ack.index);
            self.write("promise.cbor", &ack.answer);
            let verify = ["verify", "promise.cbor", "--log-key", "log/log.vkey", "--log", "out"];
            self.naru(&verify).exits(0).says("kept");
        }
    }

    fn size_of(&self, checkpoint: &str) -> u64 {
        fs::read_to_string(self.path(checkpoint)).unwrap().lines().nth(1).unwrap().parse().unwrap()
    }

    fn backup(&self) -> u64 {
        self.naru(&[&BACKUP[..], &["--json"]].concat()).exits(0).json()["size"].as_u64().unwrap()
    }
}

#[test]
fn a_backup_under_load_holds_every_ack_below_its_checkpoint_and_opens_again() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    let (stop, started) = (AtomicBool::new(false), AtomicBool::new(false));
    let (acked, size) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut acked = Vec::new();
            while !stop.load(Ordering::Acquire) || acked.len() < 20 {
                acked.push(submit(&service.1, someone(acked.len() as u64)));
                started.store(acked.len() > 5, Ordering::Release);
            }
            acked
        });
        while !started.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let size = desk.backup();
        stop.store(true, Ordering::Release);
        (load.join().unwrap(), size)
    });
    assert!(size > 5 && acked.iter().any(|ack| ack.index < size));
    // The public's copy, and the same data as it goes on without us.
    desk.naru(&["mirror", &service.1, "copy", "--log-key", "log/log.vkey"]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.keeps(&acked, u64::MAX);
    let older = fs::read(desk.path("log/anchor")).unwrap();

    // Nothing is written over data that is there.
    desk.naru(&RESTORE).exits(2).says("nothing is overwritten");
    desk.lose_the_data();
    let told = desk.naru(&[&RESTORE[..], &["--json"]].concat());
    let whole = acked.iter().all(|ack| ack.index < size);
    let told = told.exits(if whole { 0 } else { 8 }).json();
    assert_eq!((told["size"].as_u64(), told["writes"].as_bool()), (Some(size), Some(whole)));
    assert!(desk.path("log/data/store").is_dir() && !desk.path("log/data.restoring").exists());
    desk.keeps(&acked, size);
    assert_eq!(fs::read(desk.path("log/anchor")).unwrap(), older, "an anchor never goes back");
}

#[test]
fn data_older_than_its_anchor_refuses_writes_and_the_way_out_names_what_is_lost() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    let kept: Vec<Acked> = (0..5).map(|n| submit(&service.1, someone(n))).collect();
    let size = desk.backup();
    assert_eq!(size, 6);
    let gone: Vec<Acked> = (5..9).map(|n| submit(&service.1, someone(n))).collect();
    let last = desk.path("last.cbor");
    fs::write(&last, someone(9)).unwrap();
    let trust = ["--log-key", "log/log.vkey"];
    desk.naru(&["submit", "last.cbor", "--url", &service.1, trust[0], trust[1], "--wait"]).exits(0);
    desk.naru(&["mirror", &service.1, "copy", trust[0], trust[1]]).exits(0).says("11 entries");
    assert_eq!(service.signal("-KILL"), None);
    desk.lose_the_data();

    desk.naru(&RESTORE).exits(8).says("writes are refused (anchor)").says("--log");
    let service = Service::start(&desk);
    assert_eq!(ready(&service.1), (503, serde_json::json!({ "ready": false, "reason": "anchor" })));
    desk.naru(&BACKUP).exits(2);
    desk.naru(&["backup", "log", "--to", "b", "--keys", "k"]).exits(1).says("anchor");
    assert!(!desk.path("b.part").exists() && !desk.path("k.part").exists() && !desk.path("k").exists());
    assert_eq!(service.signal("-TERM"), Some(0));

    // The public log has the entries, and of sealed ones nothing but that they were.
    let told = desk.naru(&["restore", "log", "--log", "copy", "--json"]).exits(8).json();
    assert_eq!((told["size"].clone(), told["stop"].clone()), (11.into(), "lost".into()));
    assert_eq!(told["lost"], serde_json::json!([6, 7, 8, 9, 10]));
    desk.naru(&["restore", "log", "--log", "copy"]).exits(8).says("--accept-lost");
    let service = Service::start(&desk);
    assert_eq!(ready(&service.1), (503, serde_json::json!({ "ready": false, "reason": "lost" })));
    desk.naru(&["audit", &service.1, trust[0], trust[1]]).exits(0).says("11 entries");
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["restore", "log", "--accept-lost"]).exits(0).says("open for writes");
    desk.naru(&["fsck", "log"]).exits(0).says("5 lost before a restore");
    desk.naru(&["fsck", "log", "--rebuild"]).exits(0);
    desk.keeps(&kept, size);
    // What was promised of a lost one is still kept: the entry stands. Its statement may come again.
    desk.keeps(&gone, 11);
    let service = Service::start(&desk);
    assert_eq!(ready(&service.1).0, 200);
    assert_eq!(submit(&service.1, gone[0].item.clone()).index, 11);
    assert_eq!(submit(&service.1, kept[0].item.clone()).index, kept[0].index, "what was there is found");
    desk.write("again.cbor", &someone(20));
    desk.naru(&["submit", "again.cbor", "--url", &service.1, trust[0], trust[1], "--wait"]).exits(0);
    // One history: the copy of before goes on.
    desk.naru(&["mirror", &service.1, "copy", trust[0], trust[1]]).exits(0).says("from 11 to 13");
    assert_eq!(service.signal("-TERM"), Some(0));
    // The loss is part of the next backup.
    desk.naru(&["backup", "log", "--to", "next.backup", "--keys", "next.keys"]).exits(0);
    desk.lose_the_data();
    desk.naru(&["restore", "log", "--from", "next.backup", "--keys", "next.keys", "--log", "copy"]).exits(0);
}

#[test]
fn damage_and_foreign_keys_are_refused_and_nothing_is_written() {
    let desk = Desk::new();
    desk.log();
    let twin = twin(&desk);
    let service = Service::start(&desk);
    submit(&service.1, someone(1));
    desk.backup();
    submit(&service.1, someone(2));
    desk.naru(&["backup", "log", "--to", "other.backup", "--keys", "other.keys"]).exits(0);
    fs::create_dir(desk.path("many")).unwrap();
    desk.naru(&["backup", "log", "--to", "many", "--keys", "many.keys"]).exits(0);
    assert!(desk.path("many/naru-3.backup").is_file());
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.lose_the_data();
    let untouched = |run: Ran| {
        assert!(!desk.path("log/data").exists());
        run
    };
    let restore =
        |from: &str, keys: &str| untouched(desk.naru(&["restore", "log", "--from", from, "--keys", keys]));
    restore("all.backup", "other.keys").exits(6).says("another backup");
    restore("all.keys", "all.backup").exits(6);
    restore("all.backup", "none").exits(1);
    untouched(desk.naru(&["restore", "log", "--from", "all.backup"])).exits(2).says("--keys");
    for name in ["all.backup", "all.keys"] {
        let length = usize::try_from(fs::metadata(desk.path(name)).unwrap().len()).unwrap();
        for at in (0..length).step_by(length / 16) {
            flip(&desk.path(name), at);
            restore("all.backup", "all.keys").exits(6);
            flip(&desk.path(name), at);
        }
        let whole = fs::read(desk.path(name)).unwrap();
        desk.write(name, &whole[..length - 1]);
        restore("all.backup", "all.keys").exits(6);
        desk.write(name, &whole);
    }
    // Another master key opens nothing.
    let master = fs::read(desk.path("log/keys/master.key")).unwrap();
    desk.write("log/keys/master.key", &[7; 32]);
    restore("all.backup", "all.keys").exits(1).says("vault");
    desk.write("log/keys/master.key", &master);
    // Another history under the same key: the log's own, and the anchor's.
    desk.naru(&["mirror", &fork_of(&twin), "theirs", "--log-key", "log/log.vkey"]).exits(0);
    untouched(desk.naru(&[&RESTORE[..], &["--log", "theirs"]].concat())).exits(6).says("two histories");
    let anchor = fs::read(desk.path("log/anchor")).unwrap();
    desk.write("log/anchor", &fs::read(desk.path("theirs/checkpoint")).unwrap());
    let older = ["restore", "log", "--from", "other.backup", "--keys", "other.keys"];
    untouched(desk.naru(&older)).exits(6).says("anchor");
    desk.write("log/anchor", &anchor);
    desk.naru(&RESTORE).exits(8);
}

/// A desk with the same log folder.
fn twin(desk: &Desk) -> Desk {
    let other = Desk::new();
    let (from, to) = (desk.path("log"), other.path("log"));
    let copied = std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap();
    assert!(copied.success());
    other
}

/// The folder of a log of the same key that says something else.
fn fork_of(twin: &Desk) -> String {
    let service = Service::start(twin);
    submit(&service.1, someone(77));
    assert_eq!(service.signal("-TERM"), Some(0));
    twin.naru(&["export-log", "--dir", "log", "out"]).exits(0);
    twin.path("out").to_str().unwrap().to_owned()
}
