//! The demo as a stranger runs it: by the binary, twice, and what it leaves.

use std::collections::HashSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use naru::audit::archive;
use naru::audit::decision;
use naru::audit::dossier;
use naru::ledger::checkpoint;
use naru::ledger::cohort;
use naru::ledger::entry::Entry;
use naru::ledger::evidence::Evidence;
use naru::ledger::hash::sha256;
use naru::ledger::key::PublicKey;
use naru::ledger::receipt;
use naru::ledger::tile;

const ORIGIN: &str = "localhost:8080/log";
const GRAIN_MS: u64 = 200;

fn demo(out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.args(["demo", "--once", "--listen", "127.0.0.1:0", "--out"]).arg(out).args(more);
    let output = command.env("LC_ALL", "C").output().unwrap();
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(!wrong.contains("ppid_") && !wrong.contains("PRIVATE KEY"), "{wrong}");
    output
}

fn ran(out: &Path, more: &[&str]) -> String {
    let output = demo(out, more);
    let (said, wrong) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    said
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn log_key(out: &Path) -> PublicKey {
    PublicKey::from_pem(&fs::read_to_string(out.join("log.pem")).unwrap()).unwrap()
}

fn entries(out: &Path) -> Vec<Vec<u8>> {
    let note = fs::read(out.join("log/checkpoint")).unwrap();
    let head = checkpoint::open(&note, &log_key(out), ORIGIN).unwrap();
    let mut all = Vec::new();
    for path in tile::paths(head.size) {
        let bytes = fs::read(out.join("log").join(path.to_string())).unwrap();
        if matches!(path, tile::Path::Entries { .. }) {
            all.extend(tile::unbundle(&bytes).unwrap().into_iter().map(<[u8]>::to_vec));
        }
    }
    assert_eq!(all.len() as u64, head.size);
    all
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Whether any of the words, all of one length, stands in the text.
fn any_of(text: &[u8], words: &HashSet<Vec<u8>>, length: usize) -> bool {
    text.windows(length).any(|window| words.contains(window))
}

#[test]
fn two_runs_count_the_same_and_what_they_leave_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    ran(&one, &[]);
    ran(&two, &[]);
    let summary = fs::read_to_string(one.join("summary.json")).unwrap();
    assert_eq!(summary, fs::read_to_string(two.join("summary.json")).unwrap());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/summary.json");
    if std::env::var_os("NARU_GOLDEN").is_some() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(&golden, &summary).unwrap();
    }
    assert_eq!(summary, fs::read_to_string(golden).unwrap(), "NARU_GOLDEN=1 writes it anew");
    what_it_leaves(&one);
    other_commands_agree(&one);
    nothing_personal_is_public(&one);
    // An earlier demo is replaced; anything else is not.
    ran(&two, &["--citizens", "20", "--seed", "7"]);
    assert_ne!(summary, fs::read_to_string(two.join("summary.json")).unwrap());
    let full = dir.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("thesis.txt"), "mine").unwrap();
    assert!(!demo(&full, &[]).status.success());
    assert!(full.join("thesis.txt").exists());
}

fn what_it_leaves(out: &Path) {
    let key = log_key(out);
    let entries = entries(out);
    let mut receipts = 0;
    for path in files(&out.join("receipts")).iter().filter(|p| p.extension().is_some_and(|e| e == "cose")) {
        let entry = fs::read(path.with_extension("entry")).unwrap();
        let proven = receipt::verify_inclusion(&fs::read(path).unwrap(), &entry, &key, ORIGIN).unwrap();
        assert_eq!(entries[usize::try_from(proven.index).unwrap()], entry);
        receipts += 1;
    }
    assert!(receipts >= 100, "{receipts}");

    let note = |name: &str| checkpoint::open(&fs::read(out.join(name)).unwrap(), &key, ORIGIN).unwrap();
    let (old, new) = (note("checkpoint.old"), note("checkpoint.new"));
    let consistency = fs::read(out.join("consistency.cose")).unwrap();
    let extended = receipt::verify_consistency(&consistency, &key, ORIGIN, old.size, &old.root).unwrap();
    assert_eq!((extended.size, extended.root), (new.size, new.root));
    assert_eq!(new.size, entries.len() as u64);

    let evidence = files(&out.join("evidence"));
    assert!(evidence.len() >= 40);
    for path in &evidence {
        let bytes = fs::read(path).unwrap();
        let verify = |bytes: &[u8]| {
            let evidence = Evidence::parse(bytes).map_err(|_| ())?;
            evidence.verify(&key, ORIGIN, Some(GRAIN_MS)).map_err(|_| ())
        };
        assert!(verify(&bytes).is_ok(), "{}", path.display());
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 3] ^= 4;
        assert!(verify(&flipped).is_err(), "{}", path.display());
    }
    decisions_are_proven(out, &key);
    an_incident_from_all_sides(out, &key);
}

/// One incident: as the regulator, the accused and the person are told of it, and its dossier.
fn an_incident_from_all_sides(out: &Path, key: &PublicKey) {
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(out.join(name)).unwrap()).unwrap()
    };
    let (regulator, accused) = (json("incidents/regulator.json"), json("incidents/accused.json"));
    let told = json("incidents/person.json")["incidents"][0].clone();
    for seen in [&regulator, &accused, &told] {
        assert_eq!(seen["incident"], regulator["incident"]);
        let named = (&seen["detector"], &seen["strength"], &seen["stage"]);
        assert_eq!(named, (&"linking-again".into(), &"D".into(), &"confirmed".into()), "{seen}");
        assert_eq!(seen["steps"].as_array().unwrap().len(), 3);
    }
    assert_eq!((&regulator["party"], &told["accused"]), (&"adnet".into(), &"adnet".into()));
    assert_eq!(told["decisions"][0], regulator["finding"]["lines"][0]["decision"]);

    let said = json("dossier/dossier.json");
    let checked = dossier::verify(&said, key, ORIGIN, Some(GRAIN_MS)).unwrap();
    assert_eq!((checked.proven, checked.signed, checked.unproven), (1, 1, 0));
    assert_eq!(regulator["incident"], checked.incident);
    assert!(said["provisions"].as_array().is_some_and(|all| !all.is_empty()), "{said}");
    let page = fs::read_to_string(out.join("dossier/dossier.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains(&checked.incident));

    let bytes = fs::read(out.join("export/mydata.zip")).unwrap();
    let proven = |bytes: &[u8]| archive::verify(&mut Cursor::new(bytes), key, ORIGIN, Some(GRAIN_MS));
    let whole = proven(&bytes).unwrap();
    assert_eq!((whole.incidents, whole.unproven_uses), (1, 0));
    assert!(whole.statements > 5 && whole.uses > 10, "{whole:?}");
    for at in (0..bytes.len()).step_by(997) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(proven(&flipped).is_err(), "byte {at} of the archive");
    }
}

/// What was told, to the asker and to the person, each under a batch the operator signed.
fn decisions_are_proven(out: &Path, key: &PublicKey) {
    let mut reasons = HashSet::new();
    for path in files(&out.join("uselog")).iter().filter(|p| p.extension().is_some_and(|e| e == "cbor")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(path).unwrap();
        let verify = |bytes: &[u8]| {
            let evidence = decision::Evidence::parse(bytes).map_err(|_| ())?;
            evidence.verify(key, ORIGIN, Some(GRAIN_MS)).map_err(|_| ())
        };
        let proven = verify(&bytes).unwrap();
        assert!(name.contains(proven.line.told.as_str()), "{name}");
        // What was decided is shown to the person alone.
        assert!(proven.exact.is_none() || name.contains("person"), "{name}");
        reasons.insert(proven.line.told.as_str());
        for at in (0..bytes.len()).step_by(97) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(verify(&flipped).is_err(), "{name}, byte {at}");
        }
    }
    for reason in ["CONSENT_GIVEN", "CONSENT_WITHDRAWN", "OBJECTED", "OPT_OUT_DEFAULT_ALLOW"] {
        assert!(reasons.contains(reason), "{reason}");
    }
}

fn other_commands_agree(out: &Path) {
    let path = |name: &str| out.join(name).display().to_string();
    for args in [
        vec!["audit", "--log-key", &path("log.vkey"), "--from", &path("checkpoint.old"), &path("log")],
        vec!["verify", "--log-key", &path("log.vkey"), &path("live/evidence.cbor")],
        vec!["verify", "--log-key", &path("log.vkey"), &path("export/mydata.zip")],
        vec!["verify", "--log-key", &path("log.vkey"), &path("dossier/dossier.json")],
        vec!["fsck", "--config", &path("naru.toml")],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_naru")).args(&args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
    let audited = ["audit", "--json", "--log-key", &path("log.vkey"), &path("log")];
    let output = Command::new(env!("CARGO_BIN_EXE_naru")).args(audited).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Thirteen spans of the year; the live part adds its own.
    assert!(told["clean"] == true && told["use_batches"].as_u64().unwrap() > 13, "{told}");
    for name in ["live/evidence.flipped.cbor", "live/dossier.changed.json"] {
        let flipped = ["verify", "--log-key", &path("log.vkey"), &path(name)];
        let output = Command::new(env!("CARGO_BIN_EXE_naru")).args(flipped).output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{name}: {output:?}");
    }
}

fn nothing_personal_is_public(out: &Path) {
    let known = fs::read_to_string(out.join("not-in-the-log.txt")).unwrap();
    let secrets: Vec<&str> = known.lines().collect();
    assert!(secrets.len() > 600, "{}", secrets.len());
    let raw = |length| secrets.iter().map(|s| bytes_of(s)).filter(|b| b.len() == length).collect();
    let (short, long): (HashSet<_>, HashSet<_>) = (raw(16), raw(32));
    let text =
        |length: usize| secrets.iter().map(|s| s.as_bytes().to_vec()).filter(|s| s.len() == length).collect();
    let (short_hex, long_hex): (HashSet<_>, HashSet<_>) = (text(32), text(64));
    assert!(!short.is_empty() && !long.is_empty());
    for path in files(&out.join("log")) {
        let bytes = fs::read(&path).unwrap();
        for (words, length) in [(&short, 16), (&long, 32), (&short_hex, 32), (&long_hex, 64)] {
            assert!(!any_of(&bytes, words, length), "{}", path.display());
        }
    }
    let mut sealed = 0;
    for entry in entries(out) {
        match Entry::parse(&entry).unwrap() {
            Entry::Sealed { .. } => {
                sealed += 1;
                assert!(entry.len() < 64, "a sealed entry is a commitment");
                for word in [
                    "consent",
                    "key.",
                    "subject.",
                    "delegation",
                    "bank",
                    "hospital",
                    "broker",
                    "idp",
                    "telecom",
                    "adnet",
                ] {
                    assert!(!contains(&entry, word.as_bytes()), "`{word}` in a sealed entry");
                }
            }
            Entry::Public { item, .. } => {
                for word in ["consent.", "key.create", "subject.attest", "delegation.", "ppid"] {
                    assert!(!contains(&item, word.as_bytes()), "`{word}` in a public entry");
                }
            }
        }
    }
    assert!(sealed > 1000, "{sealed}");
}

/// A demo that stays, ended with the test.
struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_demo_that_stays_serves_the_page_of_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command
        .args(["demo", "--citizens", "30", "--listen", "127.0.0.1:0", "--out"])
        .arg(dir.path().join("demo"));
    let mut demo = Staying(command.env("LC_ALL", "C").stdout(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(demo.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.ends_with("/me")).expect("it says where the page is");
    let (_, url) = line.split_once("http://localhost:").unwrap();
    let port: u16 = url.strip_suffix("/me").unwrap().parse().unwrap();
    let got = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = got("/me?lang=en");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<html lang=\"en\">"), "{page}");
    let place = got("/me/place");
    assert!(place.contains(&format!("\"origin\":\"{ORIGIN}\"")) && place.contains("\"rp_id\":\"localhost\""));
}

#[test]
fn the_live_steps_are_said_with_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let said = ran(&dir.path().join("demo"), &["--citizens", "30"]);
    assert_eq!(said.matches("$ curl -s").count(), 51, "{said}");
    let wide = said.lines().filter(|line| line.chars().count() > 100 && line.contains("curl"));
    assert_eq!(wide.collect::<Vec<_>>(), Vec::<&str>::new());
    for word in [
        "\"decision\":true",
        "\"decision\":false",
        "ms from sending the withdrawal to the denial",
        "verified",
        "the line that says CONSENT_GIVEN is in use batch",
        "bank  dpv:AccountManagement  CONSENT_WITHDRAWN  withdrawal-always",
        "12 of 12 recorded",
        "the signature holds, ",
        "3 names of its own domain",
        "hospital: PIPA art. 28-2(1), dpv:ScientificResearch",
        "CONSENT_NOT_GIVEN  kcern-2018#pseudonymous-opt-in",
        "USAGE_LIMIT_REACHED",
        "  consent.withdraw  ppid_",
        "ms from sending the withdrawal to the telecom reading of it",
        "adnet  dpv:TargetedAdvertising  REIDENTIFICATION_BLOCKED",
        "adnet  linking-again  D  flagged",
        "no incidents",
        "verified: 1 question proven, 1 signed by the accused itself",
        "`/finding` is not what the evidence says",
        " uses, 1 incident; ",
        "linking-again, confirmed, by adnet",
        "CONSENT_NOT_GIVEN  kr-pipa-2026#pseudonymous-consent",
        "\"decision\":true  STATUTORY_EXCEPTION  kr-pipa-2026#research-28-2",
        "OBJECTED  kr-pipa-2026#objection-wins",
    ] {
        assert!(said.contains(word), "`{word}` in\n{said}");
    }
    // Every file that a line sends lies where the lines run.
    let (here, there) = said.split_once("$ cd ../act/live").unwrap();
    let sent = |said| str::split_whitespace(said).filter_map(|word| word.strip_prefix('@'));
    let made = ["evidence.cbor", "evidence.flipped.cbor", "decision.cbor", "summary.cose", "verdicts.jsonl"];
    let more = ["mydata.zip", "dossier.json", "dossier.html", "dossier.changed.json"];
    for name in sent(here).chain(made).chain(more) {
        assert!(dir.path().join("demo/live").join(name).exists(), "{name}");
    }
    for name in sent(there) {
        assert!(dir.path().join("demo/act/live").join(name).exists(), "{name}");
    }
    a_cohort_and_her_own_view(&dir.path().join("demo"));
}

/// The summary binds the verdicts; she sees every use of her data.
fn a_cohort_and_her_own_view(out: &Path) {
    let read = |name: &str| fs::read(out.join("cohort").join(name)).unwrap();
    let (input, verdicts, signed) = (read("input.txt"), read("verdicts.jsonl"), read("summary.cose"));
    let summary = cohort::open(&signed, &log_key(out)).unwrap();
    assert_eq!((summary.input, summary.verdicts), (sha256(&[&input]), sha256(&[&verdicts])));
    assert_eq!(summary.told.values().sum::<u64>(), summary.lines);
    assert!(summary.told["CONSENT_GIVEN"] > 0, "{summary:?}");
    let mine: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("uselog/mine.json")).unwrap()).unwrap();
    let uses = mine["uses"].as_array().unwrap();
    // The questions of the live part, newest first, and those of the year.
    let told: Vec<_> = uses.iter().take(4).map(|one| one["told"].as_str().unwrap()).collect();
    let asked = ["REIDENTIFICATION_BLOCKED", "CONSENT_WITHDRAWN", "CONSENT_WITHDRAWN", "CONSENT_GIVEN"];
    assert_eq!(told, asked, "{mine}");
}

#[test]
fn a_few_rows_of_adult_are_a_population() {
    let dir = tempfile::tempdir().unwrap();
    let rows = dir.path().join("rows.csv");
    let row = "52, Self-emp-not-inc, 209642, HS-grad, 9, Married-civ-spouse, Exec-managerial, Husband, White, Male, 0, 0, 45, United-States, >50K\n";
    fs::write(&rows, row.repeat(40)).unwrap();
    let out = dir.path().join("demo");
    ran(&out, &["--people", rows.to_str().unwrap()]);
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["people"]["rows"], 40);
    assert_eq!(summary["citizens"], 46);
    assert_eq!(summary["accepted"]["key.create"], 46);
    assert_eq!(summary["people"]["asked"]["dpv:CustomerSolvencyMonitoring"], 40);
    fs::write(&rows, format!("{row}52, Private\n")).unwrap();
    let refused = demo(&out, &["--people", rows.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("row 2 of the population"));
}
