//! Rotation by the operator, on a service that runs and on one that does not.

use std::fs;

use naru::model::statement::ErasureDemand;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::statement::V1;

use crate::Desk;
use crate::Service;
use crate::backup::someone;
use crate::backup::submit;
use crate::opened;
use crate::support::*;

fn epochs(desk: &Desk) -> Vec<String> {
    let names = fs::read_dir(desk.path("log/keys")).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("epoch-")).collect();
    names.sort();
    names
}

#[test]
fn a_rotation_while_serving_and_one_without_a_service_leave_older_backups_dead() {
    let desk = Desk::new();
    desk.log();
    assert_eq!(epochs(&desk), ["epoch-1.key"]);
    let service = Service::start(&desk);
    let acked: Vec<_> = (0..5).map(|n| submit(&service.1, someone(n))).collect();
    desk.naru(&["backup", "log", "--to", "old.backup", "--keys", "old.keys"]).exits(0);
    desk.naru(&["rotate", "log", "--suite", "rot13"]).exits(2).says("aria-256-gcm");
    let told = desk.naru(&["--json", "rotate", "log", "--suite", "aria-256-gcm"]).exits(0).json();
    assert_eq!((told["epoch"].as_u64(), told["keys"].as_u64()), (Some(2), Some(6)));
    assert_eq!(epochs(&desk), ["epoch-2.key"]);
    let later = submit(&service.1, someone(5));
    assert_eq!(service.signal("-KILL"), None);
    desk.naru(&["rotate", "log"]).exits(0).says("naru backup");
    assert_eq!(epochs(&desk), ["epoch-3.key"]);
    desk.naru(&["fsck", "log"]).exits(0);
    let service = Service::start(&desk);
    for one in acked.iter().chain([&later]) {
        assert_eq!(submit(&service.1, one.item.clone()).index, one.index, "found where it was");
    }
    desk.naru(&["backup", "log", "--to", "new.backup", "--keys", "new.keys"]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));

    desk.lose_the_data();
    let restore = |from: &str, keys: &str| desk.naru(&["restore", "log", "--from", from, "--keys", keys]);
    restore("old.backup", "old.keys").exits(1).says("epoch 1, which has ended");
    assert!(!desk.path("log/data").exists());
    restore("new.backup", "new.keys").exits(0);
    desk.naru(&["fsck", "log"]).exits(0);
}

/// Status of what was answered; `None` if nobody did.
fn post(url: &str, item: &[u8]) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let sent = agent.post(format!("{url}/v1/statements")).header("content-type", "application/cose");
    sent.send(item).ok().map(|answer| answer.status().as_u16())
}

/// Enrols persons and answers each one's demand of erasure and the ppid it names.
fn demands(desk: &Desk, numbers: std::ops::Range<u64>) -> Vec<(Vec<u8>, naru::model::id::Ppid)> {
    let service = Service::start(desk);
    for n in numbers.clone() {
        submit(&service.1, someone(n));
    }
    assert_eq!(service.signal("-TERM"), Some(0));
    let node = opened(desk);
    let demand = |n| {
        let ppid = node.ppid(&key_hash(&person_key(n)), None).unwrap().unwrap();
        let iat = naru::node::clock::Clock::System.now();
        let statement: Statement =
            ErasureDemand { v: V1, kind: Kind::ErasureDemand, iat, nonce: nonce(), ppid }.into();
        (sign(&statement, &person_key(n)), ppid)
    };
    let made = numbers.map(demand).collect();
    node.close();
    made
}

#[test]
fn a_kill_in_the_middle_of_erasures_and_rotations_leaves_everybody_whole_or_gone() {
    const PERSONS: u64 = 12;
    let desk = Desk::new();
    desk.log();
    let items = demands(&desk, 0..PERSONS);
    let mut gone = Vec::new();
    // Each life takes some demands while the epoch changes, and ends without a word.
    for (life, killed_after) in [1, 2, 3].into_iter().enumerate() {
        let service = Service::start(&desk);
        let url = service.1.clone();
        std::thread::scope(|scope| {
            let rotating = scope.spawn(|| drop(desk.naru(&["rotate", "log"])));
            for (item, _) in items.iter().skip(life * 4).take(killed_after) {
                assert_eq!(post(&url, item), Some(201));
                gone.push(item);
            }
            let last = items.get(life * 4 + killed_after).unwrap();
            let sending = scope.spawn(|| post(&url, &last.0));
            // Whatever it is doing now.
            assert_eq!(service.signal("-KILL"), None);
            let _answered_or_not = sending.join().unwrap();
            rotating.join().unwrap();
        });
    }
    // The next life finishes what was begun.
    let service = Service::start(&desk);
    desk.naru(&["rotate", "log"]).exits(0);
    assert_eq!(epochs(&desk).len(), 1);
    for item in gone {
        assert_eq!(post(&service.1, item), Some(403), "she is nobody");
    }
    for (n, (item, _)) in (0..).zip(&items) {
        // Whoever is here is whole: she can still ask for it herself.
        match post(&service.1, item) {
            Some(200 | 201 | 403) => {}
            other => panic!("person {n}: {other:?}"),
        }
        assert_eq!(post(&service.1, item), Some(403), "person {n}");
    }
    desk.naru(&["audit", &service.1, "--log-key", "log/log.vkey"]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));
    let report = desk.naru(&["--json", "fsck", "log"]).exits(0).json();
    assert_eq!((report["persons"].as_u64(), report["erased"].as_u64()), (Some(0), Some(PERSONS * 2)));
}

#[test]
fn an_order_of_law_is_made_by_the_operator_endorsed_and_submitted() {
    let desk = Desk::new();
    desk.log();
    let ppid = demands(&desk, 0..1)[0].1.to_text();
    let erase = ["erase", "log", "--order", "2026-17", "--ppid", &ppid, "--out", "order.cbor"];
    desk.naru(&erase).exits(7).says("no service");
    let service = Service::start(&desk);
    let other = format!("ppid_{}", "0".repeat(32));
    desk.naru(&["erase", "log", "--order", "1", "--ppid", &other, "--out", "none.cbor"]).exits(5);
    desk.naru(&["erase", "log", "--order", "1", "--ppid", "kim", "--out", "none.cbor"]).exits(2);
    desk.naru(&erase).exits(0).says("endorse");
    let endorse = ["sign", "--endorse", "order.cbor", "--key", "pipc.pem", "--out", "both.cbor"];
    let trust = ["--log-key", "log/log.vkey"];
    desk.naru(&["submit", "order.cbor", "--url", &service.1, trust[0], trust[1]]).exits(5);
    desk.naru(&endorse).exits(0);
    desk.naru(&["submit", "both.cbor", "--url", &service.1, trust[0], trust[1], "--wait"]).exits(0);
    desk.naru(&["erase", "log", "--order", "1", "--ppid", &ppid, "--out", "again.cbor"]).exits(5);
    let audited = desk.naru(&["--json", "audit", &service.1, trust[0], trust[1]]).exits(0).json();
    assert_eq!((audited["erasures"].as_u64(), audited["erased"].as_u64()), (Some(1), Some(1)));
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["fsck", "log"]).exits(0).says("1 erased");
}

#[test]
fn a_round_of_what_is_past_its_term_is_made_while_serving_and_without_a_service() {
    let desk = Desk::new();
    desk.log();
    demands(&desk, 0..1);
    let service = Service::start(&desk);
    // Nothing is: the log is younger than the shortest term.
    let none = serde_json::json!({ "records": 0, "requests": 0, "items": 0, "certificates": 0 });
    assert_eq!(desk.naru(&["--json", "expire", "log"]).exits(0).json(), none);
    assert_eq!(service.signal("-TERM"), Some(0));
    assert_eq!(desk.naru(&["--json", "expire", "log"]).exits(0).json(), none);
    desk.naru(&["fsck", "log"]).exits(0).says("sound");
}
