//! The real binary, in folders of its own.
//!
//! `NARU_BLESS=1 cargo test --test cli` writes the golden files again.

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/custody.rs"]
mod custody;
#[path = "cli/logkey.rs"]
mod logkey;
#[path = "cli/moving.rs"]
mod moving;
mod support;
#[path = "cli/tls.rs"]
mod tls;

use std::any::TypeId;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use naru::ledger::cbor;
use naru::ledger::cose;
use naru::ledger::key::Signer;
use naru::model::statement::Statement;
use naru::node::Caller;
use naru::node::Shown;
use serde_json::Value;
use support::*;

struct Desk(tempfile::TempDir);

impl Desk {
    /// Who may do what with a file.
    fn mode(&self, file: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(self.path(file)).unwrap().permissions().mode() & 0o777
    }

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn naru(&self, args: &[&str]) -> Ran {
        self.naru_in("C", args)
    }

    fn naru_in(&self, lang: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.current_dir(self.0.path()).env_clear().env("LANG", lang).args(args);
        Ran(command.output().unwrap(), args.join(" "))
    }

    /// A log with one regulator, as `init` makes it.
    fn log(&self) {
        self.naru(&["keygen", "--out", "pipc.pem"]).exits(0);
        let init = ["init", "--dir", "log", "--origin", ORIGIN, "--regulator", "pipc=pipc.pub.pem"];
        self.naru(&[&init[..], &["--grain-ms", "200"]].concat()).exits(0);
    }
}

struct Ran(Output, String);

impl Ran {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.0.status.code(), Some(code), "naru {}\n{}\n{}", self.1, self.out(), self.err());
        self
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out()).unwrap_or_else(|e| panic!("{e}: {}", self.out()))
    }

    #[track_caller]
    fn says(self, what: &str) -> Self {
        let all = self.out() + &self.err();
        assert!(all.contains(what), "naru {}: no `{what}` in\n{all}", self.1);
        self
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn init_makes_a_log_that_fsck_and_audit_find_sound() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["fsck", "log"]).exits(0).says("sound");
    desk.naru(&["export-log", "--dir", "log", "out"]).exits(0);
    let audit = desk.naru(&["audit", "out", "--log-key", "log/log.vkey", "--json"]).exits(0).json();
    assert_eq!((audit["size"].clone(), audit["clean"].clone()), (1.into(), true.into()));
    assert_eq!(audit["witnessed"], false);
    desk.naru(&["audit", "out", "--log-key", "log/log.pem", "--origin", ORIGIN]).exits(0).says("unwitnessed");
    desk.naru_in("ko_KR.UTF-8", &["audit", "out", "--log-key", "log/log.vkey"]).exits(0).says("이상 없음");
    // A second log never lands on the first.
    desk.naru(&["init", "--dir", "log", "--origin", ORIGIN, "--regulator", "pipc=pipc.pub.pem"]).exits(2);
}

#[test]
fn a_log_is_begun_in_the_engine_the_environment_names_and_the_file_says_so() {
    let desk = Desk::new();
    desk.naru(&["keygen", "--out", "pipc.pem"]).exits(0);
    let init = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.current_dir(desk.0.path()).env_clear().envs(variables.iter().copied());
        command.args(["init", "--dir", "log", "--origin", ORIGIN, "--regulator", "pipc=pipc.pub.pem"]);
        Ran(command.output().unwrap(), "init".into())
    };
    // Nothing is begun that the service would not open, or would forget.
    let memory = ("NARU_STORE_ENGINE", "memory");
    init(&[memory]).exits(2).says("danger_forget_everything");
    init(&[memory, ("NARU_STORE_DANGER_FORGET_EVERYTHING", "true")]).exits(2);
    let sled = ("NARU_STORE_ENGINE", "sled");
    init(&[sled]).exits(2).says("sled");
    assert!(!desk.path("log").exists());
    if cfg!(feature = "store-sled") {
        init(&[sled, ("NARU_STORE_DANGER_ACCEPT_POWER_LOSS", "true")]).exits(0);
        let text = fs::read_to_string(desk.path("log/naru.toml")).unwrap();
        assert!(text.ends_with("[store]\nengine = \"sled\"\ndanger_accept_power_loss = true\n"), "{text}");
        desk.naru(&["fsck", "log"]).exits(0).says("sound");
    }
}

#[test]
fn what_is_secret_is_readable_by_its_owner_alone() {
    let desk = Desk::new();
    desk.log();
    for file in
        ["pipc.pem", "log/keys/log.pem", "log/keys/operator.pem", "log/keys/token.pem", "log/keys/master.key"]
    {
        assert_eq!(desk.mode(file), 0o600, "{file}");
    }
    desk.naru(&["keygen", "--out", "pipc.pem"]).exits(1).says("nothing is overwritten");
    desk.naru(&["keygen", "--alg", "p256", "--out", "second.pem"]).exits(0);
    assert!(fs::read_to_string(desk.path("second.pub.pem")).unwrap().starts_with("-----BEGIN PUBLIC KEY"));
}

#[test]
fn a_recovery_code_on_paper_gives_its_key_back_and_a_misread_one_gives_none() {
    let desk = Desk::new();
    let made = desk.naru(&["keygen", "--recovery", "--json", "--out", "paper.txt"]).exits(0).json();
    let code = fs::read_to_string(desk.path("paper.txt")).unwrap();
    assert_eq!(code.trim().split('-').count(), 9, "{code}");
    assert_eq!(desk.mode("paper.txt"), 0o600);
    // The whole paper, the groups alone, the words alone.
    let (groups, words) = code.trim().split_once('\n').unwrap();
    assert_eq!(words.split(' ').count(), 15);
    for (n, typed) in [code.as_str(), &groups.to_lowercase().replace('-', " "), &words.to_uppercase()]
        .into_iter()
        .enumerate()
    {
        desk.write("typed.txt", typed.as_bytes());
        let out = if n == 0 { "recovery.pem".to_owned() } else { format!("again-{n}.pem") };
        let back = desk.naru(&["keygen", "--json", "--from-recovery", "typed.txt", "--out", &out]);
        assert_eq!(back.exits(0).json()["key_hash"], made["key_hash"]);
    }
    desk.naru(&["keygen", "--recovery", "--words", "ko", "--out", "ko.txt"]).exits(0);
    let korean = fs::read_to_string(desk.path("ko.txt")).unwrap();
    assert!(korean.lines().nth(1).unwrap().chars().all(|c| !c.is_ascii_alphanumeric()));
    desk.naru(&["keygen", "--from-recovery", "ko.txt", "--out", "ko-back.pem"]).exits(0);
    desk.naru(&["keygen", "--recovery", "--words", "xx", "--out", "xx.txt"]).exits(2);
    let signed = ["sign", "--key", "recovery.pem", "--type", "key.create", "--field", "key-use=recovery"];
    desk.naru(&[&signed[..], &["--field", "recovery=null", "--out", "x.cbor"]].concat()).exits(0);
    let last = if groups.ends_with('0') { "1" } else { "0" };
    desk.write("misread.txt", format!("{}{last}", &code[..43]).as_bytes());
    desk.naru(&["keygen", "--from-recovery", "misread.txt", "--out", "y.pem"]).exits(1).says("misread");
    assert!(!desk.path("y.pem").exists());
}

#[test]
fn a_flipped_byte_in_an_exported_file_is_named() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["export-log", "--dir", "log", "out"]).exits(0);
    for name in ["tile/0/000.p/1", "tile/entries/000.p/1"] {
        flip(&desk.path("out").join(name), 20);
        let run = desk.naru(&["audit", "out", "--log-key", "log/log.vkey", "--json"]).exits(6).json();
        let told = run["findings"].to_string();
        assert!(told.contains(name) || told.contains("entry 0"), "{told}");
        flip(&desk.path("out").join(name), 20);
    }
    desk.naru(&["audit", "out", "--log-key", "log/log.vkey"]).exits(0);
    flip(&desk.path("out/checkpoint"), 3);
    desk.naru(&["audit", "out", "--log-key", "log/log.vkey"]).exits(6).says("checkpoint");
}

#[test]
fn an_old_log_is_stale_and_an_older_checkpoint_is_a_prefix() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["export-log", "--dir", "log", "out"]).exits(0);
    let audit = ["audit", "out", "--log-key", "log/log.vkey"];
    desk.naru(&[&audit[..], &["--keep", "seen"]].concat()).exits(0);
    desk.naru(&[&audit[..], &["--from", "seen"]].concat()).exits(0).says("extends 1");
    desk.naru(&[&audit[..], &["--max-age", "100000"]].concat()).exits(0);
    // Grain is 5 s, so the entry's time lies in the past from the start or soon after.
    let world = World::new();
    world.node().tick().unwrap();
    export(&world, &desk.path("old"));
    let old = ["audit", "old", "--log-key", "old/log.vkey", "--max-age", "60"];
    desk.naru(&old).exits(8).says("stale");
}

/// The map of a 201, as the service writes it.
fn answer(accepted: &naru::node::Accepted) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Map<'a> {
        at: u64,
        id: &'a serde_bytes::Bytes,
        #[serde(skip_serializing_if = "Option::is_none")]
        k1: Option<&'a serde_bytes::Bytes>,
        #[serde(skip_serializing_if = "Option::is_none")]
        k2: Option<&'a serde_bytes::Bytes>,
        path: Vec<&'a serde_bytes::Bytes>,
        entry: &'a serde_bytes::Bytes,
        index: u64,
        promise: &'a serde_bytes::Bytes,
    }
    let bytes = serde_bytes::Bytes::new;
    let map = Map {
        at: accepted.at.0,
        id: bytes(&accepted.id.0),
        k1: accepted.k1.as_ref().map(|k| bytes(k)),
        k2: accepted.k2.as_ref().map(|k| bytes(k)),
        path: accepted.path.iter().map(|hash| bytes(hash)).collect(),
        entry: bytes(&accepted.entry),
        index: accepted.index,
        promise: bytes(&accepted.promise),
    };
    cbor::encode(&map).unwrap()
}

#[test]
fn a_broken_promise_convicts_the_log() {
    let desk = Desk::new();
    let world = World::new();
    let ppid = world.enrol(1);
    world.node().tick().unwrap();
    export(&world, &desk.path("before"));
    let promised = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    export(&world, &desk.path("after"));
    desk.write("promise.cbor", &answer(&promised));
    let verify = ["verify", "promise.cbor", "--log-key", "after/log.vkey"];
    desk.naru(&verify).exits(0).says("promised");
    desk.naru(&[&verify[..], &["--log", "after"]].concat()).exits(0).says("kept");
    desk.naru(&[&verify[..], &["--log", "before"]].concat()).exits(8);
    // The same key, a log in which something else stands there.
    let other = World::new();
    other.enrol(1);
    other.enrol(2);
    other.node().tick().unwrap();
    export(&other, &desk.path("other"));
    desk.naru(&[&verify[..], &["--log", "other"]].concat()).exits(6).says("broken");
    // Tiles that do not make the signed root convict nobody, and prove nothing.
    flip(&desk.path("other").join(format!("tile/0/000.p/{}", other.node().published().size)), 40);
    desk.naru(&[&verify[..], &["--log", "other"]].concat()).exits(6).says("proves nothing");
    let mut bad = answer(&promised);
    let at = bad.len() - 10;
    bad[at] ^= 1;
    desk.write("promise.cbor", &bad);
    desk.naru(&verify).exits(6);
}

/// Writes a world's log as static files.
fn export(world: &World, out: &Path) {
    use naru::ledger::tile;
    let node = world.node();
    let published = node.published();
    let put = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    for path in tile::paths(published.size) {
        let narrow = |width: u16| u8::try_from(width).ok();
        let bytes = match path {
            tile::Path::Entries { index, width } => node.bundle(index, narrow(width)),
            tile::Path::Tile { level, index, width } => node.tile(level, index, narrow(width)),
        };
        put(&path.to_string(), &bytes.unwrap().unwrap());
    }
    for hash in [world.text, naru::node::home_packs().unwrap()[0].hash] {
        put(&format!("attachments/{hash}"), &node.attachment(&hash).unwrap().unwrap());
    }
    put("checkpoint", published.note.as_bytes());
    let vkey =
        naru::ledger::note::Vkey::new(ORIGIN, naru::ledger::note::Kind::Log, signer(LOG).public()).unwrap();
    put("log.vkey", vkey.to_string().as_bytes());
}

/// Answers requests on the loopback until the last of `act` is done.
fn served<T>(answer: impl Fn(&str, &str, &[u8]) -> (u16, Vec<u8>) + Sync, act: impl FnOnce(&str) -> T) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut lines = Vec::new();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if line.trim().is_empty() {
                        break;
                    }
                    lines.push(line.trim().to_owned());
                }
                let Some(first) = lines.first().filter(|first| !first.starts_with("STOP")) else { return };
                let (method, rest) = first.split_once(' ').unwrap();
                let path = rest.split(' ').next().unwrap();
                let header = |name: &str| {
                    let of = |line: &String| Some(line.split_once(": ")?.1.to_owned());
                    lines.iter().find(|line| line.to_ascii_lowercase().starts_with(name)).and_then(of)
                };
                let length = header("content-length").map_or(0, |length| length.parse().unwrap());
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let path = header("authorization").map_or(path.to_owned(), |token| format!("{path} {token}"));
                let (status, body) = answer(method, &path, &body);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let mut stream = stream.into_inner();
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        let done = act(&url);
        let mut stop = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stop.write_all(b"STOP\r\n\r\n").unwrap();
        done
    })
}

/// Serves a folder below `/log/`.
fn file(folder: &Path, path: &str) -> (u16, Vec<u8>) {
    let name = path.strip_prefix("/log/").unwrap_or("nothing");
    fs::read(folder.join(name)).map_or((404, Vec::new()), |bytes| (200, bytes))
}

#[test]
fn a_served_log_is_audited_and_copied() {
    let desk = Desk::new();
    let world = World::new();
    let ppid = world.enrol(1);
    let promised = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    export(&world, &desk.path("log"));
    desk.write("promise.cbor", &answer(&promised));
    let folder = desk.path("log");
    served(
        |_, path, _| file(&folder, path),
        |url| {
            let key = ["--log-key", "log/log.vkey"];
            desk.naru(&["audit", url, key[0], key[1]]).exits(0).says("sound");
            desk.naru(&["audit", &format!("{url}/log/"), key[0], key[1]]).exits(0);
            desk.naru(&["export-log", "--url", url, "copy"]).exits(0);
            desk.naru(&["audit", "copy", key[0], key[1]]).exits(0);
            desk.naru(&["verify", "promise.cbor", key[0], key[1], "--log", url]).exits(0).says("kept");
            fs::remove_file(desk.path("log/tile/entries/000.p").join(world.node().sequenced().to_string()))
                .unwrap();
            desk.naru(&["audit", url, key[0], key[1]]).exits(6).says("is missing");
        },
    );
}

#[test]
fn a_mirror_follows_a_service_and_a_folder_and_refuses_another_history() {
    let desk = Desk::new();
    let world = World::new();
    world.enrol(1);
    world.node().tick().unwrap();
    export(&world, &desk.path("pub"));
    let size = world.node().published().size;
    let folder = desk.path("pub");
    let key = ["--log-key", "pub/log.vkey"];
    served(
        |_, path, _| file(&folder, path),
        |url| {
            desk.naru(&["mirror", url, "copy", key[0], key[1]]).exits(0).says(&format!("from 0 to {size}"));
            desk.naru(&["audit", "copy", "--log-key", "copy/log.vkey"]).exits(0).says("sound");
            world.enrol(2);
            world.node().tick().unwrap();
            export(&world, &folder);
            let done =
                desk.naru(&["mirror", url, "copy", "--once", "--json", key[0], key[1]]).exits(0).json();
            assert_eq!((done["from"].clone(), done["size"].clone()), (size.into(), (size + 1).into()));
            desk.naru(&["audit", "copy", "--log-key", "copy/log.vkey"]).exits(0).says("sound");
        },
    );
    desk.naru(&["mirror", "http://127.0.0.1:1", "copy", key[0], key[1]]).exits(7);
    // A copy of a copy, and one that lost a file of its own.
    desk.naru(&["mirror", "copy", "second", key[0], key[1]]).exits(0);
    let other = World::new();
    for n in 1..5 {
        other.enrol(n);
    }
    other.node().tick().unwrap();
    export(&other, &desk.path("other"));
    let before = fs::read(desk.path("copy/checkpoint")).unwrap();
    desk.naru(&["mirror", "other", "copy", key[0], key[1]]).exits(6).says("two histories");
    assert_eq!(fs::read(desk.path("copy/checkpoint")).unwrap(), before);
    // One that follows for ever stops at the same: nothing is to be gained by waiting.
    desk.naru(&["mirror", "other", "copy", "--every", "1", key[0], key[1]]).exits(6);
    let evidence: Vec<_> = fs::read_dir(desk.path("copy/evidence")).unwrap().flatten().collect();
    assert_eq!(evidence.len(), 1);
    assert_eq!(fs::read(evidence[0].path().join("kept")).unwrap(), before);
    let offered = fs::read(evidence[0].path().join("offered")).unwrap();
    assert_eq!(offered, other.node().published().note.as_bytes());
    // Nothing of anybody else's is written over, and a copy is of one log.
    desk.naru(&["mirror", "pub", "other", key[0], key[1]]).exits(2).says("nothing is overwritten");
    desk.log();
    desk.naru(&["export-log", "--dir", "log", "mine"]).exits(0);
    desk.naru(&["mirror", "mine", "copy", "--log-key", "mine/log.vkey"]).exits(2);
}

#[test]
fn a_submitted_item_comes_back_with_a_promise_that_is_checked_and_kept() {
    let desk = Desk::new();
    let world = World::new();
    world.clock.set(naru::node::clock::Clock::System.now());
    export_key(&desk);
    desk.naru(&["keygen", "--out", "me.pem"]).exits(0);
    let made = ["sign", "--key", "me.pem", "--type", "key.create", "--field", "key-use=device"];
    desk.naru(&[&made[..], &["--field", "recovery=null", "--out", "me.cbor"]].concat()).exits(0);
    desk.naru(&["keygen", "--alg", "p256", "--out", "you.pem"]).exits(0);
    let made = ["sign", "--key", "you.pem", "--type", "key.create", "--field", "key-use=device"];
    desk.naru(&[&made[..], &["--field", "recovery=null", "--out", "you.cbor"]].concat()).exits(0);
    let log = |lie: bool| {
        let world = &world;
        move |method: &str, path: &str, body: &[u8]| {
            assert_eq!((method, path), ("POST", "/v1/statements?wait=receipt"));
            match world.submit(body.to_vec()) {
                Ok(mut accepted) => {
                    accepted.index += u64::from(lie);
                    (if accepted.duplicate { 200 } else { 201 }, answer(&accepted))
                }
                Err(refusal) => (422, format!("{{\"title\": \"{refusal}\"}}").into_bytes()),
            }
        }
    };
    let submit =
        |url: &str, file: &str| desk.naru(&["submit", file, "--url", url, "--log-key", "log.vkey", "--wait"]);
    served(log(false), |url| {
        submit(url, "me.cbor").exits(0).says("accepted");
        let kept = fs::read(desk.path("me.cbor.accepted.cbor")).unwrap();
        submit(url, "me.cbor").exits(0);
        assert_eq!(fs::read(desk.path("me.cbor.accepted.cbor")).unwrap(), kept);
        desk.naru(&["verify", "me.cbor.accepted.cbor", "--log-key", "log.vkey"]).exits(0).says("promised");
        desk.write("junk.cbor", b"junk");
        submit(url, "junk.cbor").exits(5).says("refused");
    });
    assert_eq!(desk.mode("me.cbor.accepted.cbor"), 0o600);
    // An answer that promises another place does not hold, and is not kept.
    served(log(true), |url| {
        submit(url, "you.cbor").exits(6);
    });
    assert!(!desk.path("you.cbor.accepted.cbor").exists());
}

fn export_key(desk: &Desk) {
    let vkey =
        naru::ledger::note::Vkey::new(ORIGIN, naru::ledger::note::Kind::Log, signer(LOG).public()).unwrap();
    desk.write("log.vkey", vkey.to_string().as_bytes());
}

#[test]
fn a_party_asks_with_its_own_key_and_exits_by_the_answer() {
    let desk = Desk::new();
    let world = World::new();
    let ppid = world.enrol(1);
    world.clock.set(naru::node::clock::Clock::System.now());
    desk.write("bank.pem", signer(BANK).to_pem().unwrap().as_bytes());
    desk.write("stranger.pem", signer(99).to_pem().unwrap().as_bytes());
    let service = |_: &str, path: &str, body: &[u8]| {
        let text = String::from_utf8(body.to_vec()).unwrap();
        if path == "/oauth/token" {
            let assertion = text.split_once("client_assertion=").unwrap().1;
            return match world.node().token_for_assertion(assertion) {
                Ok(token) => (200, format!("{{\"access_token\": \"{token}\"}}").into_bytes()),
                Err(_) => (401, b"{\"error\": \"invalid_client\"}".to_vec()),
            };
        }
        let token = path.strip_prefix("/access/v1/evaluation Bearer ").unwrap();
        assert_eq!(world.node().caller(token).unwrap(), Caller::Party(party("bank")));
        let asked: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(asked["subject"], serde_json::json!({ "type": "party", "id": "bank" }));
        assert_eq!(asked["resource"]["properties"]["categories"][0], CATEGORY);
        assert_eq!(asked["action"]["properties"]["purpose"], PURPOSE);
        let permit = asked["action"]["name"] == "use";
        let answer = serde_json::json!({ "decision": permit, "context": { "reason": "SAID_SO" } });
        (200, answer.to_string().into_bytes())
    };
    served(service, |url| {
        let ppid = ppid.to_text();
        let ask = |key: &str, action: &str| {
            desk.naru(&[
                "check",
                "--url",
                url,
                "--origin",
                ORIGIN,
                "--key",
                key,
                "--party",
                "bank",
                "--ppid",
                &ppid,
                "--purpose",
                PURPOSE,
                "--class",
                "real-name",
                "--category",
                CATEGORY,
                "--action",
                action,
            ])
        };
        ask("bank.pem", "use").exits(0).says("permit SAID_SO");
        ask("bank.pem", "share").exits(5).says("deny SAID_SO");
        ask("stranger.pem", "use").exits(1).says("invalid_client");
    });
}

/// `naru serve` in a process of its own; gone when dropped.
struct Service(std::process::Child, String);

impl Service {
    fn start(desk: &Desk) -> Self {
        Self::start_with(desk, &[])
    }

    fn start_with(desk: &Desk, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.current_dir(desk.0.path()).env_clear().env("NARU_LISTEN", "127.0.0.1:0");
        command.envs(variables.iter().copied());
        command.args(["serve", "--config", "log/naru.toml"]);
        // At the most talkative level, and read when it is over.
        let log = fs::OpenOptions::new().create(true).append(true).open(desk.path(Self::LOG)).unwrap();
        command.env("NARU_LOG", "trace").stderr(log);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("`{line}`")).to_owned();
        Self(child, url)
    }

    fn signal(mut self, name: &str) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Service {
    const LOG: &str = "service.log";

    /// What no log line holds: a name of a person, a key.
    #[track_caller]
    fn says_nothing_of_anybody(desk: &Path) {
        let log = String::from_utf8_lossy(&fs::read(desk.join(Self::LOG)).unwrap_or_default()).into_owned();
        let hex = |text: &str| text.bytes().take(32).filter(u8::is_ascii_hexdigit).count() == 32;
        let names =
            |at: &str| log.match_indices(at).any(|(from, _)| log.get(from + at.len()..).is_some_and(hex));
        assert!(!names("ppid_") && !log.contains("PRIVATE KEY"), "{log}");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            Service::says_nothing_of_anybody(self.0.path());
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Already gone, or gone now.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn what_a_service_answered_survives_kill_and_an_orderly_stop_exits_zero() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    for name in ["one", "two"] {
        desk.naru(&["keygen", "--out", &format!("{name}.pem")]).exits(0);
        let (key, out) = (format!("{name}.pem"), format!("{name}.cbor"));
        let made = ["sign", "--key", &key, "--type", "key.create", "--field", "key-use=device", "--field"];
        desk.naru(&[&made[..], &["recovery=null", "--out", &out]].concat()).exits(0);
    }
    let trust = ["--log-key", "log/log.vkey"];
    desk.naru(&["submit", "one.cbor", "--url", &service.1, trust[0], trust[1]]).exits(0).says("accepted 1");
    // One process at a time.
    desk.naru(&["fsck", "log"]).exits(1).says("another process");
    assert_eq!(service.signal("-KILL"), None);
    desk.naru(&["fsck", "log"]).exits(0).says("2 entries");

    let service = Service::start(&desk);
    desk.naru(&["submit", "two.cbor", "--url", &service.1, trust[0], trust[1], "--wait"]).exits(0);
    desk.naru(&["audit", &service.1, trust[0], trust[1]]).exits(0).says("3 entries");
    let kept = ["verify", "one.cbor.accepted.cbor", trust[0], trust[1], "--log", &service.1];
    desk.naru(&kept).exits(0).says("kept");
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["fsck", "log", "--rebuild"]).exits(0).says("sound");
}

#[test]
fn a_person_carries_her_archive_away_and_one_flipped_byte_exits_six() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    for name in ["one", "stranger"] {
        desk.naru(&["keygen", "--out", &format!("{name}.pem")]).exits(0);
    }
    let made = ["sign", "--key", "one.pem", "--type", "key.create", "--field", "key-use=device", "--field"];
    desk.naru(&[&made[..], &["recovery=null", "--out", "one.cbor"]].concat()).exits(0);
    let trust = ["--url", &service.1, "--log-key", "log/log.vkey"];
    desk.naru(&[&["submit", "one.cbor", "--wait"], &trust[..]].concat()).exits(0);
    let export =
        |key: &str, out: &str| desk.naru(&[&["export", "--key", key, "--out", out], &trust[..]].concat());
    export("one.pem", "mydata.zip").exits(0).says("proven: 26 files");
    export("one.pem", "mydata.zip").exits(2).says("already");
    assert_eq!(desk.mode("mydata.zip"), 0o600);
    export("one.pem", "again.zip").exits(0);
    export("stranger.pem", "none.zip").exits(5);
    let bytes = fs::read(desk.path("mydata.zip")).unwrap();
    assert_eq!(fs::read(desk.path("again.zip")).unwrap(), bytes);
    assert!(!desk.path("mydata.zip.part").exists() && !desk.path("none.zip").exists());
    assert_eq!(service.signal("-TERM"), Some(0));
    let verify = |file: &str| desk.naru(&["verify", file, "--log-key", "log/log.vkey"]);
    verify("mydata.zip").exits(0).says("1 statements").says("after-checkpoint").says("not proven");
    for at in [0, 9, 60, bytes.len() / 2, bytes.len() - 4] {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        desk.write("bad.zip", &bad);
        verify("bad.zip").exits(6);
    }
    desk.write("cut.zip", &bytes[..bytes.len() - 100]);
    verify("cut.zip").exits(6);
}

#[test]
fn an_archive_never_takes_the_place_of_a_file_that_came_while_it_was_fetched() {
    let desk = Desk::new();
    let world = World::new();
    export_key(&desk);
    world.enrol(1);
    world.node().tick().unwrap();
    let mut bytes = Vec::new();
    world.node().export(&key_hash(&person_key(1)), None).unwrap().write(&mut bytes).unwrap();
    desk.write("one.pem", person_key(1).to_pem().unwrap().as_bytes());
    desk.write("phrase", b"correct horse battery");
    // Whoever is asked for the archive has made the file meanwhile; a link that leads nowhere is one, too.
    let nowhere = desk.path("nowhere");
    for (out, link) in [("plain.zip", false), ("linked.zip", true), ("sealed.age", false)] {
        let answer = |_: &str, path: &str, _: &[u8]| {
            if path.starts_with("/oauth/token") {
                return (200, br#"{"access_token": "t"}"#.to_vec());
            }
            assert!(path.starts_with("/v1/subjects/me/export"), "{path}");
            match link {
                true => std::os::unix::fs::symlink(&nowhere, desk.path(out)).unwrap(),
                false => desk.write(out, b"another's"),
            }
            (200, bytes.clone())
        };
        let passphrase: &[&str] = if out == "sealed.age" { &["--passphrase-file", "phrase"] } else { &[] };
        let ran = served(answer, |url| {
            let args = ["export", "--url", url, "--log-key", "log.vkey", "--key", "one.pem", "--out", out];
            desk.naru(&[&args[..], passphrase].concat())
        });
        ran.exits(1).says("nothing is overwritten");
        match link {
            true => assert_eq!(fs::read_link(desk.path(out)).unwrap(), nowhere),
            false => assert_eq!(fs::read(desk.path(out)).unwrap(), b"another's"),
        }
    }
    assert!(!nowhere.exists());
    // What was fetched is whole and hers alone; what was to be sealed lies nowhere in the open.
    assert_eq!(fs::read(desk.path("plain.zip.part")).unwrap(), bytes);
    assert!(desk.path("sealed.age.sealed").exists() && !desk.path("sealed.age.part").exists());
    for file in ["plain.zip.part", "sealed.age.sealed"] {
        assert_eq!(desk.mode(file), 0o600, "{file}");
    }
}

/// Registers a controller whose key is `bank.pem`.
fn bank(desk: &Desk, url: &str) {
    desk.naru(&["keygen", "--out", "bank.pem"]).exits(0);
    let fields = serde_json::json!({
        "party": "bank", "name-ko": "은행", "name-en": "Bank", "roles": ["controller"], "jurisdiction": "KR",
        "office": {"name": "privacy office", "contact": "privacy@example.kr"}, "licence": null, "scope": [],
    });
    desk.write("bank.json", fields.to_string().as_bytes());
    let sign = ["sign", "--key", "bank.pem", "--type", "party.register", "--statement", "bank.json"];
    desk.naru(&[&sign[..], &["--out", "bank.cbor"]].concat()).exits(0);
    let endorse = ["sign", "--endorse", "bank.cbor", "--key", "log/keys/operator.pem", "--out", "both.cbor"];
    desk.naru(&endorse).exits(0);
    desk.naru(&["submit", "both.cbor", "--url", url, "--log-key", "log/log.vkey"]).exits(0);
}

#[test]
fn a_cohort_goes_on_after_kill_without_a_double_or_a_gap() {
    const LINES: usize = 60_000;
    let desk = Desk::new();
    desk.log();
    let mut service = Service::start(&desk);
    bank(&desk, &service.1);
    let line = |n: usize| if n % 1_000 == 999 { format!("line {n}\n") } else { format!("ppid_{n:032x}\n") };
    desk.write("people", (0..LINES).map(line).collect::<String>().as_bytes());
    let asking = |url: &str| -> Vec<String> {
        let question = ["--purpose", PURPOSE, "--class", "real-name", "--action", "use"];
        let who = ["--origin", ORIGIN, "--key", "bank.pem", "--party", "bank", "--log-key", "log/log.vkey"];
        let all = [&["cohort", "people", "--url", url, "--json"], &who[..], &question[..]].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let mut seen = Vec::new();
    let id = loop {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.current_dir(desk.0.path()).env_clear().env("LANG", "C").args(asking(&service.1));
        let mut asker = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        // As soon as the first verdicts stand.
        let job = loop {
            let folders = fs::read_dir(desk.path("log/data/cohorts")).into_iter().flatten();
            let new = folders.map(|f| f.unwrap().path()).find(|f| !seen.contains(f));
            let begun = |f: &PathBuf| fs::metadata(f.join("verdicts")).is_ok_and(|m| m.len() > 0);
            match new.filter(begun) {
                Some(job) => break job,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(service.signal("-KILL"), None);
        asker.kill().unwrap();
        asker.wait().unwrap();
        let midway = !job.join("summary").exists();
        service = Service::start(&desk);
        if midway {
            break job.file_name().unwrap().to_str().unwrap().to_owned();
        }
        // It was faster than the signal: once more.
        seen.push(job);
    };
    let again: Vec<String> = [asking(&service.1), vec!["--resume".into(), id]].concat();
    let again: Vec<&str> = again.iter().map(String::as_str).collect();
    let summary = desk.naru(&again).exits(0).json();
    assert_eq!(
        (summary["lines"].clone(), summary["malformed"].clone()),
        (LINES.into(), (LINES / 1_000).into())
    );
    assert_eq!(summary["signature"], "holds");
    let verdicts = fs::read_to_string(desk.path("people.verdicts.jsonl")).unwrap();
    for (n, text) in (1..).zip(verdicts.lines()) {
        let verdict: Value = serde_json::from_str(text).unwrap();
        assert_eq!(verdict["line"], n);
        assert_eq!(verdict["error"] == "malformed", n % 1_000 == 0, "{text}");
    }
    assert_eq!(verdicts.lines().count(), LINES);
    // Another file than was asked is not what the summary binds.
    desk.write("people", b"ppid_0\n");
    desk.naru(&again).exits(6).says("people");
}

#[test]
fn an_operator_has_its_service_look_at_the_use_lines_and_a_dossier_is_a_regulator_s() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["flag", "log"]).exits(7).says("no service");
    let service = Service::start(&desk);
    bank(&desk, &service.1);
    let who = ["--url", &service.1, "--origin", ORIGIN, "--key", "bank.pem", "--party", "bank"];
    let ppid = format!("ppid_{}", "0".repeat(32));
    let about = ["--ppid", &ppid, "--purpose", PURPOSE, "--class", "real-name", "--action", "link"];
    desk.naru(&[&["check"], &who[..], &about[..]].concat()).exits(5).says("REIDENTIFICATION_BLOCKED");
    // Asking is not attempting.
    let said = desk.naru(&["--json", "flag", "log"]).exits(0).json();
    assert_eq!(said["incidents"], serde_json::json!([]));
    let incident = "0".repeat(32);
    desk.naru(&[&["dossier", &incident, "--out", "dossier.json"], &who[..]].concat()).exits(5);
    assert!(!desk.path("dossier.json").exists());
    assert_eq!(service.signal("-TERM"), Some(0));
}

#[test]
fn a_regulator_checks_the_openings_of_a_case_against_the_log() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    bank(&desk, &service.1);
    let trust = ["--log-key", "log/log.vkey"];
    let signed = |kind: &str, fields: &[&str], out: &str| {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["--field", field]).collect();
        let sign = ["--json", "sign", "--key", "kim.pem", "--type", kind, "--out", out];
        desk.naru(&[&sign[..], &fields].concat()).exits(0).json()["id"].as_str().unwrap().to_owned()
    };
    let submit = |url: &str, file: &str| {
        desk.naru(&["submit", file, "--url", url, trust[0], trust[1], "--wait"]).exits(0);
    };
    desk.naru(&["keygen", "--out", "kim.pem"]).exits(0);
    signed("key.create", &["key-use=device", "recovery=null"], "kim.cbor");
    submit(&service.1, "kim.cbor");
    assert_eq!(service.signal("-TERM"), Some(0));
    let pem = fs::read_to_string(desk.path("kim.pub.pem")).unwrap();
    let key = naru::model::id::KeyHash(naru::ledger::key::PublicKey::from_pem(&pem).unwrap().hash());
    let node = opened(&desk);
    let ppid = format!("ppid={}", node.ppid(&key, Some(&party("bank"))).unwrap().unwrap().to_text());
    drop(node);
    let service = Service::start(&desk);
    let about = ["controller=bank", &format!("purpose={PURPOSE}"), "class=real-name", &ppid];
    let record = signed("consent.withdraw", &about, "out.cbor");
    submit(&service.1, "out.cbor");
    let complaint = signed("incident.complain", &[&ppid, "party=bank", "text=why"], "why.cbor");
    submit(&service.1, "why.cbor");
    let incident = naru::model::id::StatementId::from_hex(&complaint).unwrap().incident().to_string();
    let who = ["--url", &service.1, "--origin", ORIGIN, "--key", "pipc.pem", "--party", "pipc"];
    let nobody = "0".repeat(64);
    let open = ["dossier", &incident, "--open", &record, "--open", &nobody, "--out", "case.json"];
    desk.naru(&[&open[..], &who].concat()).exits(0).says("1 of 2");
    assert_eq!(desk.mode("case.json"), 0o600);
    let audit = ["audit", &service.1, trust[0], trust[1], "--case"];
    desk.naru(&[&audit[..], &["case.json"]].concat()).exits(0).says("1 record(s) hold, 1 not given");
    let bundle: Value = serde_json::from_slice(&fs::read(desk.path("case.json")).unwrap()).unwrap();
    let forged: [&dyn Fn(&mut Value); 4] = [
        &|v| v["records"][0]["statement"] = nobody.clone().into(),
        &|v| v["records"][0]["told"] = "denied".into(),
        &|v| v["records"][1]["evidence"] = "AAAA".into(),
        &|v| {
            let text = v["records"][0]["evidence"].as_str().unwrap();
            let other = if text.as_bytes()[200] == b'A' { "B" } else { "A" };
            v["records"][0]["evidence"] = format!("{}{other}{}", &text[..200], &text[201..]).into();
        },
    ];
    for forge in forged {
        let mut bad = bundle.clone();
        forge(&mut bad);
        desk.write("bad.json", bad.to_string().as_bytes());
        desk.naru(&[&audit[..], &["bad.json"]].concat()).exits(6);
    }
    assert_eq!(service.signal("-TERM"), Some(0));
}

/// Opens the log that a service has left.
fn opened(desk: &Desk) -> naru::node::Node {
    opened_at(desk, ORIGIN, START)
}

/// The same, of that name, at that time.
fn opened_at(desk: &Desk, origin: &str, at: u64) -> naru::node::Node {
    let pem = |name: &str| {
        let text = fs::read_to_string(desk.path(&format!("log/keys/{name}.pem"))).unwrap();
        naru::ledger::key::signer_from_pem(&text).unwrap()
    };
    let master = naru::vault::Key::from_slice(&fs::read(desk.path("log/keys/master.key")).unwrap()).unwrap();
    let data = desk.path("log/data");
    let vault = naru::vault::Vault::open_with(&data.join("vault"), &desk.path("log/keys"), &master).unwrap();
    let store = naru::store::fjall::Fjall::open(data.join("store")).unwrap();
    let keys = naru::node::Keys { log: pem("log"), logs: Vec::new(), token: pem("token"), operator: None };
    let settings =
        naru::node::Settings { grain_ms: 200, use_log: true, ..naru::node::Settings::new(origin, data) };
    let clock = naru::node::clock::Clock::manual(naru::model::id::Timestamp(at));
    naru::node::Node::open(settings, std::sync::Arc::new(store), vault, keys, clock).unwrap()
}

#[test]
fn a_use_line_survives_kill_before_its_batch_and_proves_the_answer_offline() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["keygen", "--out", "bank.pem"]).exits(0);
    let registration = serde_json::json!({
        "type": "party.register", "party": "bank", "name-ko": "bank", "name-en": "bank",
        "roles": ["controller"], "jurisdiction": "KR",
        "office": {"name": "privacy office", "contact": "privacy@bank.example"},
    });
    desk.write("bank.json", registration.to_string().as_bytes());
    desk.naru(&["sign", "--key", "bank.pem", "--statement", "bank.json", "--out", "bank.cbor"]).exits(0);
    let endorse = ["sign", "--endorse", "bank.cbor", "--key", "log/keys/operator.pem", "--out", "both.cbor"];
    desk.naru(&endorse).exits(0);
    let trust = ["--log-key", "log/log.vkey"];
    // No batch comes in this life.
    let service = Service::start_with(&desk, &[("NARU_USE_BATCH_MS", "3600000")]);
    desk.naru(&["submit", "both.cbor", "--url", &service.1, trust[0], trust[1]]).exits(0);
    let ppid = format!("ppid_{}", "07".repeat(16));
    let asked = ["check", "--url", &service.1, "--origin", ORIGIN, "--party", "bank", "--key", "bank.pem"];
    let what = ["--ppid", &ppid, "--purpose", PURPOSE, "--class", "real-name", "--action", "use", "--json"];
    let told = desk.naru(&[&asked[..], &what[..]].concat()).exits(5).json();
    let id = told["context"]["evaluation_id"].as_str().unwrap().to_owned();
    assert_eq!(service.signal("-KILL"), None);

    let service = Service::start_with(&desk, &[("NARU_USE_BATCH_MS", "100"), ("NARU_TICK_MS", "100")]);
    let audit = ["audit", &service.1, trust[0], trust[1], "--json"];
    let batched = |_: &u32| desk.naru(&audit).exits(0).json()["use_batches"].as_u64() > Some(0);
    assert!((0..1_000).any(|n| batched(&n)), "a batch of what the killed service had answered");
    assert_eq!(service.signal("-TERM"), Some(0));
    desk.naru(&["fsck", "log"]).exits(0).says("sound");

    let node = opened(&desk);
    let id = naru::model::id::DecisionId::from_hex(&id).unwrap();
    let Shown::Evidence(bytes) = node.decision_evidence(&id, &Caller::Party(party("bank"))).unwrap() else {
        panic!("no evidence")
    };
    drop(node);
    desk.write("decision.cbor", &bytes);
    let verify = ["verify", "decision.cbor", trust[0], trust[1]];
    let proven = desk.naru(&[&verify[..], &["--json"]].concat()).exits(0).json();
    assert_eq!(proven["decision"], id.to_string());
    assert_eq!((&proven["told"], &proven["line"]["asker"]), (&told["context"]["reason"], &"bank".into()));
    assert_eq!((&proven["batch"], &proven["witnessed"]), (&0.into(), &false.into()));
    desk.naru(&verify).exits(0).says("compare with the operator's key");
    desk.naru_in("ko_KR.UTF-8", &verify).exits(0).says("증명됨");
    for at in (0..bytes.len()).step_by(bytes.len() / 12) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        desk.write("bad.cbor", &bad);
        desk.naru(&["verify", "bad.cbor", trust[0], trust[1]]).exits(6);
    }
}

#[test]
fn evidence_is_verified_offline_and_every_alteration_refused() {
    let desk = Desk::new();
    let world = World::new();
    let ppid = world.enrol(1);
    let accepted = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    export(&world, &desk.path("pub"));
    let person = Caller::Citizen(key_hash(&person_key(1)));
    let evidence = |caller| match world.node().evidence(&accepted.id, Some(caller)).unwrap() {
        Shown::Evidence(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    let citizens = evidence(&person);
    desk.write("mine.cbor", &citizens);
    desk.write("theirs.cbor", &evidence(&Caller::Party(party("bank"))));
    let key = ["--log-key", "pub/log.vkey"];
    let told =
        desk.naru(&["verify", "mine.cbor", key[0], key[1], "--grain-ms", "200", "--json"]).exits(0).json();
    assert_eq!(told["statement"]["type"], "consent.withdraw");
    assert_eq!(told["signers"][0], key_hash(&person_key(1)).to_string());
    assert_eq!((told["witnessed"].clone(), told["signature"].clone()), (false.into(), "holds".into()));
    desk.naru(&["verify", "mine.cbor", key[0], key[1]]).exits(0).says("unwitnessed");
    desk.naru(&["verify", "theirs.cbor", key[0], key[1]]).exits(0).says("signature: not shown");
    desk.naru(&["verify", "mine.cbor", key[0], key[1], "--origin", "other.test/log"]).exits(6);
    desk.log();
    desk.naru(&["verify", "mine.cbor", "--log-key", "log/log.pem"]).exits(2).says("--origin");
    desk.write("other.vkey", &fs::read(desk.path("pipc.pub.pem")).unwrap());
    desk.naru(&["verify", "mine.cbor", "--log-key", "other.vkey", "--origin", ORIGIN]).exits(6);
    for at in (0..citizens.len()).step_by(citizens.len() / 12) {
        let mut bad = citizens.clone();
        bad[at] ^= 1;
        desk.write("bad.cbor", &bad);
        desk.naru(&["verify", "bad.cbor", key[0], key[1]]).exits(6);
    }
}

#[test]
fn a_statement_is_built_from_fields_signed_and_endorsed() {
    let desk = Desk::new();
    desk.log();
    desk.naru(&["keygen", "--out", "me.pem"]).exits(0);
    let made = ["sign", "--key", "me.pem", "--type", "key.create", "--field", "key-use=device"];
    let told = desk
        .naru(&[&made[..], &["--field", "recovery=null", "--out", "item.cbor", "--json"]].concat())
        .exits(0)
        .json();
    let opened = naru::identity::open(&fs::read(desk.path("item.cbor")).unwrap()).unwrap();
    assert!(matches!(opened.value(), Statement::KeyCreate(_)));
    // What a person says is hers to read; what the log shows everybody is everybody's.
    assert_eq!(desk.mode("item.cbor"), 0o600);
    let retire = ["sign", "--key", "me.pem", "--type", "notice.retire", "--out", "public.cbor", "--field"];
    desk.naru(&[&retire[..], &[&format!("notice={}", "0".repeat(64))]].concat()).exits(0);
    assert_eq!(desk.mode("public.cbor"), 0o644);
    assert_eq!(told["id"], opened.id().to_string());
    let endorse = ["sign", "--endorse", "item.cbor", "--key", "log/keys/operator.pem", "--out", "both.cbor"];
    desk.naru(&endorse).exits(0);
    let both = naru::identity::open(&fs::read(desk.path("both.cbor")).unwrap()).unwrap();
    assert_eq!((both.id(), both.signed().endorsers.len()), (opened.id(), 1));
    // The same from a file, with a field too many.
    desk.write("wish.json", br#"{"type": "key.create", "key-use": "device", "recovery": null, "wish": 1}"#);
    let wish = ["sign", "--key", "me.pem", "--statement", "wish.json", "--out", "wish.cbor"];
    desk.naru(&wish).exits(2).says("wish");
    desk.naru(&["sign", "--key", "me.pem", "--type", "key.crate", "--out", "x"]).exits(2).says("key.create");
    desk.naru(&["sign", "--key", "me.pem", "--out", "x"]).exits(2);
}

#[test]
fn bytes_that_somebody_else_chose_are_never_signed() {
    let desk = Desk::new();
    desk.naru(&["keygen", "--out", "me.pem"]).exits(0);
    let item = sign(
        &naru::model::statement::KeyCreate {
            v: naru::model::statement::V1,
            kind: naru::model::statement::Kind::KeyCreate,
            iat: naru::model::id::Timestamp(START),
            nonce: nonce(),
            key_use: naru::model::statement::KeyUse::Device,
            recovery: None,
        }
        .into(),
        &person_key(1),
    );
    let parsed = cose::parse(&item).unwrap();
    let payload = parsed.payload.clone().unwrap();
    let login = naru::identity::login::Login {
        v: naru::model::statement::V1,
        origin: ORIGIN.into(),
        nonce: nonce(),
        iat: naru::model::id::Timestamp(START),
        exp: naru::model::id::Timestamp(START + 60_000),
    };
    let mut padded = payload.clone();
    padded.push(0);
    let challenges: [(&str, Vec<u8>); 6] = [
        ("a Sig_structure over a statement", cose::to_be_signed(&parsed.protected, &payload)),
        ("a Sig_structure over nothing", cose::to_be_signed(&parsed.protected, b"")),
        ("a login", cbor::encode(&login).unwrap()),
        ("a signed item", item.clone()),
        ("a statement and a byte", padded),
        ("random bytes", vec![0x9f; 32]),
    ];
    for (what, bytes) in challenges {
        desk.write("challenge.cbor", &bytes);
        for flag in ["--statement", "--endorse"] {
            // A signed item is what an endorsement is for.
            if what == "a signed item" && flag == "--endorse" {
                continue;
            }
            let run = desk.naru(&["sign", "--key", "me.pem", flag, "challenge.cbor", "--out", "signed.cbor"]);
            assert_eq!(run.0.status.code(), Some(5), "{what} {flag}: {}", run.err());
            assert!(!desk.path("signed.cbor").exists(), "{what} {flag}");
        }
    }
    // The very statement is signed.
    desk.write("own.cbor", &payload);
    desk.naru(&["sign", "--key", "me.pem", "--statement", "own.cbor", "--out", "signed.cbor"]).exits(0);
}

#[test]
fn a_fault_in_the_configuration_is_told_with_its_line() {
    let desk = Desk::new();
    desk.log();
    let good = fs::read_to_string(desk.path("log/naru.toml")).unwrap();
    let bad = format!("tick = 5\n{good}\n[store]\nengin = \"fjall\"\n");
    desk.write("log/naru.toml", bad.as_bytes());
    let lines = bad.lines().count();
    desk.naru(&["fsck", "log"])
        .exits(2)
        .says("log/naru.toml:1: unknown key `tick`")
        .says(&format!("log/naru.toml:{lines}: unknown key `store.engin`; did you mean `store.engine`?"));
}

#[test]
fn failures_say_what_why_and_what_next_and_json_is_one_document() {
    let desk = Desk::new();
    let run = desk.naru(&["audit", "nowhere", "--log-key", "none", "--json"]).exits(1);
    let told: Value = serde_json::from_str(&run.err()).unwrap();
    assert!(told["error"].as_str().unwrap().contains("none") && told["exit"] == 1);
    desk.log();
    desk.naru(&["audit", "nowhere", "--log-key", "log/log.vkey"]).exits(2).says("next:").says("export-log");
    // Port 1 of the loopback: nobody listens.
    desk.naru(&["audit", "http://127.0.0.1:1", "--log-key", "log/log.vkey"]).exits(7);
    desk.naru(&["audit", "ftp://example.test", "--log-key", "log/log.vkey"]).exits(2).says("https:// URL");
    desk.naru(&["frobnicate"]).exits(2);
}

#[test]
fn a_pack_is_tried_on_ones_own_data() {
    let desk = Desk::new();
    desk.log();
    let pack = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/packs/kr-pipa-2026.toml");
    let replay = ["packs", "replay", "log", "--pack", pack];
    let told = desk.naru(&[&replay[..], &["--json"]].concat()).exits(0).json();
    assert_eq!((&told["candidate"], &told["asked"]), (&"kr-pipa-2026".into(), &0.into()));
    let since = ["--from", "2026-09-11T00:00:00+09:00", "--instead-of", "kcern-2018"];
    desk.naru(&[&replay[..], &since].concat()).exits(0).says("0 of 0");
    desk.naru(&[&replay[..], &["--until", "yesterday"]].concat()).exits(2).says("2026-09-11T00:00:00+09:00");
    let init = ["init", "--dir", "other", "--origin", ORIGIN, "--regulator", "pipc=pipc.pub.pem"];
    desk.naru(&[&init[..], &["--pack", "kr-pipa"]].concat()).exits(2).says("kcern-2018, kr-pipa-2026");
    assert!(!desk.path("other").exists(), "nothing is begun");
    // What an adoption says of the past: a report to be attached, and a field to be signed.
    let told = desk.naru(&[&replay[..], &["--report", "replay.json", "--json"]].concat()).exits(0).json();
    let report: Value = serde_json::from_slice(&fs::read(desk.path("replay.json")).unwrap()).unwrap();
    assert_eq!((&report["size"], &report["asked"], &report["changed"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!(report["until"], told["replay"]["until"]);
    desk.naru(&[&replay[..], &["--report", "replay.json"]].concat()).exits(1).says("replay.json");
    let field = format!("replay={}", told["replay"]);
    let sha = format!("hash={}", report["sha256"].as_str().unwrap());
    let sign = ["sign", "--key", "log/keys/operator.pem", "--type", "pack.adopt", "--out", "adopt.cbor"];
    let fields = ["--field", "pack=kr-pipa-2026", "--field", "version=1", "--field", &sha];
    let more = ["--field", "from=1900000000000", "--field", &field, "--json"];
    let signed = desk.naru(&[&sign[..], &fields, &more].concat()).exits(0).json();
    assert_eq!(signed["statement"]["replay"], told["replay"]);
    let adopted = desk.naru(&["packs", "check", "log", "--json"]).exits(0).json();
    assert_eq!(adopted, serde_json::json!({ "adopted": [] }));
    desk.write("pack.toml", b"[pack]\nname = 1\n");
    desk.naru(&["packs", "replay", "log", "--pack", "pack.toml"]).exits(1).says("line 2");
}

#[test]
fn help_is_what_it_was() {
    let desk = Desk::new();
    let mut pages = vec![("naru".to_owned(), desk.naru(&["--help"]).exits(0).out())];
    for command in naru::cli::command().get_subcommands() {
        let name = command.get_name().to_owned();
        let page = desk.naru(&[&name, "--help"]).exits(0).out();
        pages.push((name, page));
    }
    for (name, page) in pages {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/cli-{name}.txt"));
        if std::env::var_os("NARU_BLESS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page, "{}: NARU_BLESS=1", path.display());
    }
    let all = desk.naru(&["--help"]).out();
    for code in ["  0  ", "  1  ", "  2  ", "  5  ", "  6  ", "  7  ", "  8  "] {
        assert!(all.contains(code), "exit code{code}undocumented");
    }
}

#[test]
fn no_flag_takes_a_secret() {
    let top = naru::cli::command();
    for command in std::iter::once(&top).chain(top.get_subcommands()) {
        for arg in command.get_arguments() {
            let name = arg.get_long().unwrap_or(arg.get_id().as_str()).to_ascii_lowercase();
            let secret =
                ["key", "secret", "password", "passphrase", "token", "seed", "pem", "pin", "credential"];
            let looks = secret.iter().any(|word| name.split('-').any(|part| part == *word));
            // Whatever follows from the demo's seed is nobody's secret.
            let looks = looks && (command.get_name(), name.as_str()) != ("demo", "seed");
            let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
            assert!(!looks || is_path, "`{} --{name}` must be a file", command.get_name());
        }
    }
}

#[test]
fn bench_measures_and_leaves_nothing_behind() {
    let desk = Desk::new();
    let measured = desk.naru(&["bench", "--json", "--citizens", "300"]).json();
    assert!(measured["statements_per_s"].as_f64().unwrap() > 0.0);
    assert!(measured["verifications_per_s"].as_f64().unwrap() > 0.0);
    let left: Vec<_> = fs::read_dir(desk.path("")).unwrap().flatten().collect();
    assert!(left.iter().all(|e| !e.file_name().to_string_lossy().starts_with("naru-bench")));
}
