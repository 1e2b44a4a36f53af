//! The log's own key ends: on a service that runs, on one that does not, and with two operators.

use std::fs;

use serde_json::Value;

use crate::Desk;
use crate::Service;
use crate::backup::someone;
use crate::backup::submit;

const TRUST: [&str; 2] = ["--log-key", "log/log.vkey"];

fn keys(desk: &Desk) -> Vec<String> {
    let names = fs::read_dir(desk.path("log/keys")).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("log")).collect();
    names.sort();
    names
}

fn rotate(desk: &Desk, key: &str, more: &[&str]) -> Value {
    desk.naru(&["keygen", "--out", key]).exits(0);
    desk.naru(&[&["--json", "rotate", "log", "--log-key", key], more].concat()).exits(0).json()
}

#[test]
fn whoever_knows_one_key_goes_on_knowing_the_log() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    let before = submit(&service.1, someone(1));
    assert!(before.index > 0);
    desk.naru(&["mirror", &service.1, "copy", TRUST[0], TRUST[1]]).exits(0);
    let told = rotate(&desk, "second.pem", &[]);
    assert_eq!(told["recorded"], Value::Bool(true));
    desk.write("second.vkey", told["vkey"].as_str().unwrap().as_bytes());
    assert_eq!(keys(&desk), ["log.old.pem", "log.pem"]);
    // Again: it is done.
    desk.naru(&["rotate", "log", "--log-key", "second.pem"]).exits(0).says("already");
    // A client of the old key takes the promise of the new one: the log shows its rotations.
    desk.naru(&["keygen", "--out", "kim.pem"]).exits(0);
    let made = ["sign", "--key", "kim.pem", "--type", "key.create", "--field", "key-use=device"];
    desk.naru(&[&made[..], &["--field", "recovery=null", "--out", "kim.cbor"]].concat()).exits(0);
    desk.naru(&["submit", "kim.cbor", "--url", &service.1, TRUST[0], TRUST[1], "--wait"]).exits(0);
    let promise = ["verify", "kim.cbor.accepted.cbor", TRUST[0], TRUST[1]];
    desk.naru(&promise).exits(6);
    desk.naru(&[&promise[..], &["--log", &service.1]].concat()).exits(0).says("kept");
    assert_eq!(service.signal("-KILL"), None);
    desk.naru(&["fsck", "log"]).exits(0);
    // The next one without a service; the file of the one before gives its place.
    let told = rotate(&desk, "third.pem", &["--overlap-days", "0"]);
    desk.write("third.vkey", told["vkey"].as_str().unwrap().as_bytes());
    let service = Service::start(&desk);
    submit(&service.1, someone(2));
    for known in ["log/log.vkey", "second.vkey", "third.vkey"] {
        desk.naru(&["audit", &service.1, "--log-key", known]).exits(0);
    }
    desk.naru(&["mirror", &service.1, "copy", "--log-key", "third.vkey"]).exits(0);
    for known in ["log/log.vkey", "third.vkey"] {
        desk.naru(&["audit", "copy", "--log-key", known]).exits(0);
    }
    let promise = [&promise[..], &["--rotations", "copy/rotations"]].concat();
    desk.naru(&promise).exits(0).says("promised");
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["export-log", "--dir", "log", "out"]).exits(0);
    desk.naru(&["audit", "out", TRUST[0], TRUST[1]]).exits(0);
    desk.naru(&["fsck", "log"]).exits(0);
}

#[test]
fn wherever_the_files_were_left_the_log_opens_and_the_command_goes_on() {
    let desk = Desk::new();
    desk.log();
    let file = |name: &str| desk.path(&format!("log/keys/{name}"));
    desk.naru(&["keygen", "--out", "second.pem"]).exits(0);
    // Prepared and nothing more.
    fs::copy(desk.path("second.pem"), file("log.next.pem")).unwrap();
    let service = Service::start(&desk);
    desk.naru(&["audit", &service.1, TRUST[0], TRUST[1]]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["keygen", "--out", "other.pem"]).exits(0);
    desk.naru(&["rotate", "log", "--log-key", "other.pem"]).exits(2).says("another key for a rotation");
    let first = fs::read(file("log.pem")).unwrap();
    desk.naru(&["rotate", "log", "--log-key", "second.pem"]).exits(0);
    let second = fs::read(file("log.pem")).unwrap();
    assert_ne!(first, second);
    // Recorded, and no file renamed; one renamed.
    for (log, next, old) in [(Some(&first), Some(&second), None), (None, Some(&second), Some(&first))] {
        for (name, bytes) in [("log.pem", log), ("log.next.pem", next), ("log.old.pem", old)] {
            drop(fs::remove_file(file(name)));
            bytes.iter().for_each(|bytes| fs::write(file(name), bytes).unwrap());
        }
        let service = Service::start(&desk);
        desk.naru(&["audit", &service.1, TRUST[0], TRUST[1]]).exits(0);
        assert_eq!(service.signal("-TERM"), Some(0));
        desk.naru(&["fsck", "log"]).exits(0);
        desk.naru(&["rotate", "log", "--log-key", "second.pem"]).exits(0).says("already");
        assert_eq!(keys(&desk), ["log.old.pem", "log.pem"]);
    }
    // The key that signs is nowhere: the log does not open.
    fs::write(file("log.pem"), &first).unwrap();
    desk.naru(&["export-log", "--dir", "log", "out"]).exits(1);
}

#[test]
fn two_operators_endorse_what_one_may_not_do_alone() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["keygen", "--out", "twin.pem"]).exits(0);
    let spki =
        naru::ledger::key::PublicKey::from_pem(&fs::read_to_string(desk.path("twin.pub.pem")).unwrap());
    let new: String = spki.unwrap().spki().iter().map(|byte| format!("{byte:02x}")).collect();
    let (new, operator) = (format!("new={new}"), "log/keys/operator.pem");
    let service = Service::start(&desk);
    let add = ["sign", "--type", "log.rotate", "--key", "log/keys/log.pem", "--field", "server-key=operator"];
    let more = ["--field", &new, "--field", "overlap-until=0", "--out", "add-1.cbor"];
    desk.naru(&[&add[..], &more].concat()).exits(0);
    let endorse = |from: &str, key: &str, to: &str| {
        desk.naru(&["sign", "--endorse", from, "--key", key, "--out", to]).exits(0);
    };
    let submit = |file: &str| desk.naru(&["submit", file, "--url", &service.1, TRUST[0], TRUST[1]]);
    endorse("add-1.cbor", "twin.pem", "add-2.cbor");
    submit("add-2.cbor").exits(5).says("endorsement");
    endorse("add-2.cbor", operator, "add-3.cbor");
    submit("add-3.cbor").exits(0);
    desk.naru(&["keygen", "--out", "second.pem"]).exits(0);
    let rotate = ["rotate", "log", "--log-key", "second.pem"];
    desk.naru(&rotate).exits(2).says("--out");
    desk.naru(&[&rotate[..], &["--out", "rotate.cbor"]].concat()).exits(0).says("both operators");
    submit("rotate.cbor").exits(5).says("second operator");
    endorse("rotate.cbor", operator, "one.cbor");
    submit("one.cbor").exits(5).says("second operator");
    endorse("one.cbor", operator, "twice.cbor");
    submit("twice.cbor").exits(5).says("second operator");
    endorse("one.cbor", "twin.pem", "both.cbor");
    submit("both.cbor").exits(0);
    assert_eq!(service.signal("-KILL"), None);
    // The files have their old names still: what signs, the log says.
    assert_eq!(keys(&desk), ["log.next.pem", "log.pem"]);
    let service = Service::start(&desk);
    desk.naru(&rotate).exits(0).says("already");
    assert_eq!(keys(&desk), ["log.old.pem", "log.pem"]);
    desk.naru(&["audit", &service.1, TRUST[0], TRUST[1]]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));
}
