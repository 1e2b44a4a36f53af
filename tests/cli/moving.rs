//! Two services in processes of their own, and a person who moves from one to the other.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;

use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::Shown;
use naru::model::statement::*;
use naru::node::clock::Clock;

use super::*;

const SECOND: &str = "second.test/log";
const PURPOSES: [&str; 3] = [PURPOSE, "dpv:Marketing", "dpv:PaymentManagement"];

/// A log of that name with the bank and its notice, which asks for all purposes; its notice and text.
fn log_of(origin: &str, purposes: &[&str]) -> (Desk, StatementId) {
    let desk = Desk::new();
    desk.naru(&["keygen", "--out", "pipc.pem"]).exits(0);
    let init = ["init", "--dir", "log", "--origin", origin, "--regulator", "pipc=pipc.pub.pem"];
    desk.naru(&[&init[..], &["--grain-ms", "200"]].concat()).exits(0);
    let node = opened_at(&desk, origin, Clock::System.now().0);
    let pem = fs::read_to_string(desk.path("log/keys/operator.pem")).unwrap();
    let operator = naru::ledger::key::signer_from_pem(&pem).unwrap();
    let registration = PartyRegister {
        v: V1,
        kind: Kind::PartyRegister,
        iat: Clock::System.now(),
        nonce: nonce(),
        party: party("bank"),
        name_ko: "은행".into(),
        name_en: "Bank".into(),
        roles: vec![naru::model::vocabulary::Role::Controller],
        jurisdiction: "KR".into(),
        office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
        licence: None,
        scope: Vec::new(),
        transfer: None,
    };
    let signed = sign(&registration.into(), &signer(BANK));
    let both = cose::endorse(operator.as_ref(), &signed).unwrap();
    let text = node.attach(b"what the bank asks").unwrap();
    let notice = NoticePublish {
        v: V1,
        kind: Kind::NoticePublish,
        iat: Clock::System.now(),
        nonce: nonce(),
        controller: party("bank"),
        name: "service".into(),
        version: 1,
        purposes: purposes
            .iter()
            .map(|purpose| NoticePurpose {
                purpose: (*purpose).into(),
                class: naru::model::vocabulary::DataClass::RealName,
                categories: vec![NoticeCategory {
                    category: CATEGORY.into(),
                    items: Vec::new(),
                    required: true,
                    reason: "to serve you".into(),
                }],
                actions: vec![naru::model::vocabulary::Action::Use],
                recipients: Vec::new(),
                keep_ms: 365 * DAY,
            })
            .collect(),
        texts: vec![NoticeText {
            locale: "ko".into(),
            audience: Audience::Adult,
            media_type: "text/plain".into(),
            length: 18,
            hash: text,
        }],
        office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
        abroad: None,
        claims: Vec::new(),
    };
    let accepted: Vec<_> = node
        .record(vec![both, sign(&notice.into(), &signer(BANK))])
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|refusal| panic!("{refusal}")))
        .collect();
    (desk, accepted[1].id)
}

/// Person 1 of the first log: three grants, one of them withdrawn, and an objection to everything real.
fn lived_in() -> (Desk, Service) {
    let (desk, notice) = log_of(ORIGIN, &PURPOSES);
    let node = opened_at(&desk, ORIGIN, Clock::System.now().0);
    let now = || Clock::System.now();
    let create = |key: &dyn Signer| {
        let (v, kind, iat, nonce) = (V1, Kind::KeyCreate, now(), nonce());
        let made = KeyCreate { v, kind, iat, nonce, key_use: KeyUse::Device, recovery: None };
        sign(&made.into(), key)
    };
    let accept = |item: Vec<u8>| {
        node.record(vec![item]).pop().unwrap().unwrap_or_else(|refusal| panic!("{refusal}"));
    };
    accept(create(&person_key(1)));
    accept(create(&person_key(2)));
    let key = key_hash(&person_key(1));
    let ppid = node.ppid(&key, Some(&party("bank"))).unwrap().unwrap();
    let text = naru::model::id::Hash(naru::ledger::hash::sha256(&[b"what the bank asks"]));
    for purpose in PURPOSES {
        let grant = ConsentGrant {
            v: V1,
            kind: Kind::ConsentGrant,
            iat: now(),
            nonce: nonce(),
            ppid,
            by: None,
            over: None,
            controller: party("bank"),
            recipients: Vec::new(),
            purpose: purpose.into(),
            categories: vec![CATEGORY.into()],
            class: naru::model::vocabulary::DataClass::RealName,
            actions: vec![naru::model::vocabulary::Action::Use],
            jurisdictions: vec!["KR".into()],
            fetch_until: now().plus_ms(30 * DAY),
            keep_until: now().plus_ms(60 * DAY),
            limits: None,
            consideration: None,
            notice: Shown { id: notice, hash: text, locale: "ko".into() },
            link: None,
            moved: None,
        };
        accept(sign(&grant.into(), &person_key(1)));
    }
    accept(sign(&withdrawn(ppid, PURPOSES[1], now()), &person_key(1)));
    drop(node);
    for n in [1_u64, 2] {
        let seed = naru::ledger::hash::sha256(&[b"person".as_slice(), &n.to_be_bytes()]);
        let key = openssl::pkey::PKey::private_key_from_raw_bytes(&seed, openssl::pkey::Id::ED25519).unwrap();
        desk.write(&format!("person{n}.pem"), &key.private_key_to_pem_pkcs8().unwrap());
    }
    let service = Service::start_with(&desk, &FAST);
    (desk, service)
}

const FAST: [(&str, &str); 2] = [("NARU_TICK_MS", "50"), ("NARU_LIMITS_SESSION", "0")];

fn withdrawn(ppid: naru::model::id::Ppid, purpose: &str, iat: Timestamp) -> Statement {
    ConsentWithdraw {
        v: V1,
        kind: Kind::ConsentWithdraw,
        iat,
        nonce: nonce(),
        ppid,
        by: None,
        controller: party("bank"),
        purpose: purpose.into(),
        class: naru::model::vocabulary::DataClass::RealName,
        moved: None,
    }
    .into()
}

/// Two logs, an archive of the first, and how `naru move` is called.
struct House {
    first: Desk,
    old: Service,
    second: Desk,
    new: Service,
}

impl House {
    fn new(purposes: &[&str]) -> Self {
        let (first, old) = lived_in();
        let (second, _) = log_of(SECOND, purposes);
        let new = Service::start_with(&second, &FAST);
        let house = Self { first, old, second, new };
        house.export("house.zip");
        house
    }

    fn export(&self, out: &str) {
        let trust = ["--url", &self.old.1, "--log-key", "log/log.vkey"];
        self.first.naru(&[&["export", "--key", "person1.pem", "--out", out], &trust[..]].concat()).exits(0);
    }

    fn args(&self, url: &str, more: &[&str]) -> Vec<String> {
        let key = self.second.path("log/log.vkey").display().to_string();
        let all = ["--json", "move", "house.zip", "--log-key", "log/log.vkey", "--url", url];
        let to = ["--new-log-key", &key, "--enrol"];
        let who: &[&str] = if more.contains(&"--key") { &[] } else { &["--key", "person1.pem"] };
        [&all[..], &to, who, more].concat().into_iter().map(str::to_owned).collect()
    }

    fn moves(&self, more: &[&str]) -> Ran {
        let args = self.args(&self.new.1, more);
        self.first.naru(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Her archive of the second log with so many statements, checked with the first one's key.
    fn carried_away(&self, statements: u64) -> Value {
        let trust = ["--url", &self.new.1, "--log-key", "log/log.vkey"];
        let key = self.first.path("person1.pem").display().to_string();
        let first = self.first.path("log/log.vkey").display().to_string();
        let verify = ["--json", "verify", "hers.zip", "--log-key", "log/log.vkey", "--moved-from", &first];
        // Until a checkpoint covers them.
        let mut archives = (0..2_000).map(|_| {
            drop(fs::remove_file(self.second.path("hers.zip")));
            let export = ["export", "--key", &key, "--out", "hers.zip"];
            // The one before may be under way there still.
            match self.second.naru(&[&export[..], &trust].concat()).0.status.code() {
                Some(0) => self.second.naru(&verify).exits(0).json(),
                _ => Value::Null,
            }
        });
        archives.find(|proven| proven["statements"].as_u64() >= Some(statements)).unwrap()
    }
}

fn outcomes(told: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let slots = told["slots"].as_array().unwrap().iter();
    slots.map(|slot| (text(&slot["outcome"]), text(&slot["why"]))).collect()
}

fn said<'a>(outcome: &'a str, why: &'a str) -> (String, String) {
    (outcome.to_owned(), why.to_owned())
}

#[test]
fn a_house_moves_to_the_second_service_and_what_was_withdrawn_stays_withdrawn() {
    let house = House::new(&PURPOSES[..2]);
    let [dry, done] = [&["--dry-run"][..], &["--keep", "kept"]].map(|more| house.moves(more).exits(5).json());
    let expected =
        |close: &str, grant: &str| vec![said(close, ""), said(grant, ""), said("left-out", "not-asked-here")];
    assert_eq!(outcomes(&dry), expected("would-close", "would-move"));
    assert_eq!(outcomes(&done), expected("closed", "moved"));
    assert_eq!((&done["moved"], &done["missing"]), (&1.into(), &1.into()));
    assert_eq!(done["not_moved"]["key.create"], 1);
    let kept = fs::read_dir(house.first.path("kept")).unwrap();
    let kept: Vec<String> = kept.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(kept.len(), 6, "item and promise of three");
    for file in kept {
        assert_eq!(house.first.mode(&format!("kept/{file}")), 0o600, "{file}");
    }

    // A second run does nothing, and the second log says and proves where it came from.
    let again = house.moves(&[]).exits(5).json();
    let decided = || said("left-out", "decided-here");
    assert_eq!(outcomes(&again), [decided(), said("left-out", "not-asked-here"), decided()]);
    let proven = house.carried_away(3);
    assert_eq!(
        (&proven["moved"], &proven["moved_proven"], &proven["statements"]),
        (&2.into(), &2.into(), &3.into())
    );

    // Another person's key, a touched archive, another log's key, an archive of the same log.
    house.moves(&["--key", "person2.pem"]).exits(5).says("none that signs for the person");
    let bytes = fs::read(house.first.path("house.zip")).unwrap();
    let mut bad = bytes.clone();
    bad[bytes.len() / 2] ^= 1;
    house.first.write("house.zip", &bad);
    house.moves(&[]).exits(6).says("proves nothing");
    house.first.write("house.zip", &bytes);
    let other = house.second.path("log/log.vkey").display().to_string();
    let mut args = house.args(&house.new.1, &[]);
    args[4] = other;
    house.first.naru(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(6);
    let mut args = house.args(&house.old.1, &[]);
    args[8] = "log/log.vkey".into();
    house.first.naru(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(2).says("same name");
}

#[test]
fn an_archive_from_before_a_withdrawal_is_refused_where_the_first_service_is_asked() {
    let house = House::new(&PURPOSES);
    let old = ["--old-url", &house.old.1];
    assert_eq!(house.moves(&[&old[..], &["--dry-run"]].concat()).exits(0).json()["moved"], 2);
    let sign = ["sign", "--key", "person1.pem", "--type", "consent.withdraw", "--out", "late.cbor"];
    let consents = {
        let file = fs::File::open(house.first.path("house.zip")).unwrap();
        let mut zip = zip::ZipArchive::new(file).unwrap();
        let name = zip
            .file_names()
            .map(|name| name.unwrap().into_owned())
            .find(|name| name.ends_with("consents.json"))
            .unwrap();
        let mut text = String::new();
        zip.by_name(&name).unwrap().read_to_string(&mut text).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let ppid = format!("ppid={}", consents["records"][0]["record"]["pii_principal_id"].as_str().unwrap());
    let purpose = format!("purpose={PURPOSE}");
    let fields = ["--field", &ppid, "--field", "controller=bank", "--field", &purpose];
    house.first.naru(&[&sign[..], &fields, &["--field", "class=real-name"]].concat()).exits(0);
    let submit = ["submit", "late.cbor", "--url", &house.old.1, "--log-key", "log/log.vkey", "--wait"];
    house.first.naru(&submit).exits(0);
    house.moves(&old).exits(8).says("stand otherwise");
    let promise = ["--promise", "late.cbor.accepted.cbor"];
    house.moves(&promise).exits(8).says("from before");
    house.moves(&["--max-age", "0"]).exits(0);
    fs::remove_file(house.first.path("house.zip")).unwrap();
    house.export("house.zip");
    // She granted it in the second log by the old archive: it is told, and hers to withdraw there.
    let told = house.moves(&[&old[..], &promise].concat()).exits(5).json();
    let expected = [
        said("left-out", "decided-here"),
        said("left-out", "decided-here"),
        said("left-out", "granted-here"),
    ];
    assert_eq!(outcomes(&told), expected);
    // A promise of what the archive does not show: here of another's statement, which its log need not show.
    let create =
        ["sign", "--key", "three.pem", "--type", "key.create", "--field", "key-use=device", "--field"];
    house.first.naru(&["keygen", "--out", "three.pem"]).exits(0);
    house.first.naru(&[&create[..], &["recovery=null", "--out", "three.cbor"]].concat()).exits(0);
    house
        .first
        .naru(&["submit", "three.cbor", "--url", &house.old.1, "--log-key", "log/log.vkey", "--wait"])
        .exits(0);
    fs::remove_file(house.first.path("house.zip")).unwrap();
    house.export("house.zip");
    house.moves(&["--promise", "three.cbor.accepted.cbor"]).exits(6).says("neither shows it");
}

/// Hands requests on to a service; the `stop`-th statement is handed on or not, and never answered.
fn gate(service: String, stop: usize, hand_on: bool, stopped: mpsc::Sender<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let target = service.strip_prefix("http://").unwrap().to_owned();
    std::thread::spawn(move || {
        let mut statements = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = whole(&mut stream);
            statements += usize::from(request.starts_with(b"POST /v1/statements"));
            let stops = statements == stop && request.starts_with(b"POST /v1/statements");
            let mut answer = Vec::new();
            if !stops || hand_on {
                let mut on = TcpStream::connect(&target).unwrap();
                on.write_all(&request).unwrap();
                answer = whole(&mut on);
            }
            if stops {
                stopped.send(()).unwrap();
                // Held open until the caller is gone.
                let _ = stream.read(&mut [0; 1]);
                return;
            }
            stream.write_all(&answer).unwrap();
        }
    });
    url
}

/// One message of HTTP, made to be the last on its connection.
fn whole(stream: &mut TcpStream) -> Vec<u8> {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            return head;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).unwrap();
    let length = text
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    let lines: Vec<&str> = text
        .trim_end()
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    [format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n")).as_bytes(), &body].concat()
}

struct Gone(Child);

impl Drop for Gone {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_move_that_is_killed_at_any_statement_goes_on_without_a_double() {
    let mut house = House::new(&PURPOSES);
    // Her key, one closing act, two grants: each is killed before and after it is recorded.
    for (stop, hand_on) in (1..=4).flat_map(|stop| [(stop, false), (stop, true)]) {
        let (tell, told) = mpsc::channel();
        let url = gate(house.new.1.clone(), stop, hand_on, tell);
        let args = house.args(&url, &[]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.current_dir(house.first.0.path()).env_clear().env("LANG", "C").args(&args);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut child = Gone(child);
        told.recv().unwrap();
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        let told = house.moves(&[]).exits(0).json();
        assert_eq!(told["missing"], 0);
        let again = house.moves(&[]).exits(0).json();
        assert!(outcomes(&again).iter().all(|(_, why)| why == "decided-here"), "{again}");
        let proven = house.carried_away(4);
        let count = |what: &str| proven[what].as_u64().unwrap();
        assert_eq!((count("statements"), count("moved"), count("moved_proven")), (4, 3, 3), "nothing twice");
        // The next one moves into a house of its own.
        let (second, _) = log_of(SECOND, &PURPOSES);
        house.new = Service::start_with(&second, &FAST);
        house.second = second;
    }
}
