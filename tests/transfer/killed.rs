//! Three processes on loopback, TLS with certificates on both sides: the service is killed at every call.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::login;
use naru::ledger::key::Ed25519Signer;
use naru::ledger::key::Signer;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use naru::node::clock::Clock;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use serde_bytes::ByteBuf;
use serde_json::Value;

use crate::bank;
use crate::bank::Bank;
use crate::end;
use crate::end::Answer;
use crate::end::End;
use crate::end::Identity;
use crate::end::Request;
use crate::support::certificate::certificate;
use crate::support::*;
use crate::wallet::Wallet;

const HOLDER: u8 = 71;
const WALLET: u8 = 72;
/// Two accounts, three reads each.
const ITEMS: usize = 6;

fn now() -> Timestamp {
    Clock::System.now()
}

/// What happens to one call: the service is killed before it is answered, or while the answer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// Stops every call that is new and has not been stopped yet, until the test has killed its caller.
struct Gate {
    inner: Arc<dyn End>,
    when: When,
    /// Calls that were stopped.
    stopped: Arc<Mutex<Vec<String>>>,
    tell: Mutex<mpsc::Sender<()>>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl End for Gate {
    fn answer(&self, request: &Request) -> Answer {
        let name = format!("{} {}", request.method, request.path);
        let new = {
            let mut stopped = self.stopped.lock().unwrap();
            let new = !stopped.contains(&name);
            if new {
                stopped.push(name);
            }
            new
        };
        let answer = (self.when == When::After).then(|| self.inner.answer(request));
        if new {
            self.tell.lock().unwrap().send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        answer.unwrap_or_else(|| self.inner.answer(request))
    }
}

/// `naru serve` in a process of its own; gone when dropped.
struct Service(Child, String);

impl Service {
    fn start(dir: &Path, variables: &[(&str, PathBuf)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command
            .current_dir(dir)
            .env_clear()
            .env("NARU_LISTEN", "127.0.0.1:0")
            .env("NARU_TICK_MS", "50")
            .env("NARU_LIMITS_SESSION", "0");
        command.envs(variables.iter().map(|(name, path)| (*name, path)));
        command.args(["serve", "--config", "log/naru.toml"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("`{line}`")).to_owned();
        Self(child, url)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn call(&self, path: &str, token: Option<&str>, body: Option<(&str, &[u8])>) -> (u16, Vec<u8>) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.into();
        let url = format!("{}{path}", self.1);
        let answer = match body {
            None => {
                let request = agent.get(&url);
                token
                    .into_iter()
                    .fold(request, |r, t| r.header("authorization", format!("Bearer {t}")))
                    .call()
            }
            Some((media, bytes)) => agent.post(&url).header("content-type", media).send(bytes),
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    fn record(&self, item: &[u8]) {
        let (status, body) = self.call("/v1/statements", None, Some(("application/cose", item)));
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    }

    /// A session of person 1.
    fn session(&self) -> String {
        let said = login::Login {
            v: V1,
            origin: ORIGIN.into(),
            nonce: nonce(),
            iat: now(),
            exp: now().plus_ms(30_000),
        };
        let item = login::sign_login(&said, &person_key(1)).unwrap();
        let assertion = URL_SAFE_NO_PAD.encode(item);
        let form = format!("grant_type=urn:naru:login&login={assertion}");
        let form = ("application/x-www-form-urlencoded", form.as_bytes());
        let (status, body) = self.call("/oauth/token", None, Some(form));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let given: Value = serde_json::from_slice(&body).unwrap();
        given["access_token"].as_str().unwrap().to_owned()
    }

    fn mine(&self, path: &str) -> Value {
        let (status, body) = self.call(path, Some(&self.session()), None);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn registration(
    name: &str,
    seed: u8,
    role: Role,
    url: String,
    key: Option<ByteBuf>,
    operator: &dyn Signer,
) -> Vec<u8> {
    let statement: Statement = PartyRegister {
        v: V1,
        kind: Kind::PartyRegister,
        iat: now(),
        nonce: nonce(),
        party: party(name),
        name_ko: name.into(),
        name_en: name.into(),
        roles: vec![role],
        jurisdiction: "KR".into(),
        office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
        licence: None,
        scope: Vec::new(),
        transfer: Some(TransferEnd { url, key }),
    }
    .into();
    naru::ledger::cose::endorse(operator, &sign(&statement, &signer(seed))).unwrap()
}

struct Desk {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, PathBuf)>,
    wallet: Arc<Wallet>,
    stopped: Arc<Mutex<Vec<String>>>,
    told: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    ends: [(String, Option<ByteBuf>); 2],
}

impl Desk {
    /// A log that is begun, and both ends listening.
    fn new(when: When) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("pipc.pub.pem"), signer(REGULATOR).public().to_pem()).unwrap();
        let init = [
            "init",
            "--dir",
            "log",
            "--origin",
            ORIGIN,
            "--regulator",
            "pipc=pipc.pub.pem",
            "--grain-ms",
            "200",
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        assert!(command.current_dir(dir.path()).env_clear().args(init).output().unwrap().status.success());
        // Both ends show the same one: of two with one name only the first is ever looked at.
        let [carrier, own] = [(); 2].map(|()| certificate("127.0.0.1"));
        std::fs::write(at("carrier.pem"), carrier.1.to_pem().unwrap()).unwrap();
        std::fs::write(at("carrier.key"), carrier.0.private_key_to_pem_pkcs8().unwrap()).unwrap();
        std::fs::write(at("ends.pem"), own.1.to_pem().unwrap()).unwrap();
        let variables = vec![
            ("NARU_OUTBOUND_CERT", at("carrier.pem")),
            ("NARU_OUTBOUND_KEY", at("carrier.key")),
            ("NARU_OUTBOUND_CA", at("ends.pem")),
        ];
        let clock = || -> bank::Clock { Box::new(|| now().0) };
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let holder = Arc::new(Bank::new(party("holder"), signer(HOLDER), clock()));
        let key = EcKey::generate(&group).unwrap();
        let receiver = Arc::new(Wallet::new(party("wallet"), signer(WALLET), clock(), key));
        let ((tell, told), (go_on, wait)) = (mpsc::channel(), mpsc::channel());
        let (stopped, wait) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(wait)));
        let serve = |inner: Arc<dyn End>| {
            let gate = Gate {
                inner,
                when,
                stopped: Arc::clone(&stopped),
                tell: Mutex::new(tell.clone()),
                go_on: Arc::clone(&wait),
            };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let (key, certificate) = own.clone();
            let identity = Identity { certificate, key, believed: vec![carrier.1.clone()] };
            end::serve(listener, &identity, Arc::new(gate)).unwrap();
            url
        };
        let spki = ByteBuf::from(receiver.spki().unwrap());
        let ends = [(serve(holder), None), (serve(Arc::clone(&receiver) as _), Some(spki))];
        Self { dir, variables, wallet: receiver, stopped, told, go_on, ends }
    }

    fn start(&self) -> Service {
        Service::start(self.dir.path(), &self.variables)
    }

    /// Both ends registered, a person enrolled, her demand recorded: weekly, so that it outlives its first run.
    fn demand(&self, service: &Service) -> StatementId {
        let pem = std::fs::read_to_string(self.dir.path().join("log/keys/operator.pem")).unwrap();
        let operator = Ed25519Signer::from_pem(&pem).unwrap();
        let [(bank, none), (wallet, key)] = self.ends.clone();
        service.record(&registration("holder", HOLDER, Role::Controller, bank, none, &operator));
        service.record(&registration("wallet", WALLET, Role::Recipient, wallet, key, &operator));
        let create: Statement = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: now(),
            nonce: nonce(),
            key_use: KeyUse::Device,
            recovery: None,
        }
        .into();
        service.record(&sign(&create, &person_key(1)));
        let named = service.mine("/v1/subjects/me/ppids/holder");
        let demand: Statement = TransferDemand {
            v: V1,
            kind: Kind::TransferDemand,
            iat: now(),
            nonce: nonce(),
            ppid: Ppid::from_text(named["ppid"].as_str().unwrap()).unwrap(),
            by: None,
            over: None,
            sender: party("holder"),
            recipient: party("wallet"),
            scheduled: true,
            fund_cycle: Some("1/w".into()),
            add_cycle: Some("1/w".into()),
            end: now().plus_ms(30 * DAY),
            purpose: PURPOSE.into(),
            keep_until: now().plus_ms(60 * DAY),
            targets: vec![Target { scope: "bank.deposit".into(), assets: Vec::new() }],
            mode: Mode::Store,
        }
        .into();
        let item = sign(&demand, &person_key(1));
        service.record(&item);
        naru::identity::open(&item).unwrap().id()
    }

    /// No file of the service holds anything of what it carried in the clear.
    fn holds_nothing_readable(&self) {
        let mut folders = vec![self.dir.path().join("log")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                // A socket of the killed service is no file.
                if !path.is_file() {
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                for marker in ["balance_amt", "110123456789", "1250000"] {
                    assert!(!text.contains(marker), "{}", path.display());
                }
            }
        }
    }
}

#[test]
fn a_scheduled_transfer_outlives_kill_at_every_call() {
    for when in [When::Before, When::After] {
        let desk = Desk::new(when);
        let mut service = desk.start();
        let demand = desk.demand(&service);
        let mut kills = 0;
        // Each call that was never made before is met by a kill; the last one is made by a later process.
        while kills < 1 + 2 * ITEMS + 2 {
            let news = desk.told.recv_timeout(Duration::from_secs(900));
            let so_far = || desk.stopped.lock().unwrap().clone();
            news.unwrap_or_else(|_| panic!("{when:?}: no new call after {kills}: {:#?}", so_far()));
            service.kill();
            kills += 1;
            desk.go_on.send(()).unwrap();
            desk.holds_nothing_readable();
            service = desk.start();
        }
        // The service that is left finishes what is left: nobody stops it any more.
        let done = |service: &Service| {
            let mine = service.mine("/v1/subjects/me/transfers");
            let one = &mine["transfers"][0];
            assert_eq!(one["demand"], demand.to_string().as_str());
            one["runs"][0]["state"] == "completed"
        };
        let waits = |_| done(&service) || desk.told.recv_timeout(Duration::from_millis(100)).is_ok();
        assert!((0..3_000).any(waits), "{when:?}");
        assert_eq!(desk.stopped.lock().unwrap().len(), kills, "{when:?}: no call was made that was not met");
        let mine = service.mine("/v1/subjects/me/transfers");
        let run = &mine["transfers"][0]["runs"][0];
        assert_eq!((&run["items"], &run["received"]), (&ITEMS.into(), &ITEMS.into()), "{when:?}");
        assert_eq!((&mine["transfers"][0]["runs"].as_array().unwrap().len(), &run["run"]), (&1, &0.into()));
        // Every item once, and each the bank's.
        let items: BTreeMap<_, _> = desk.wallet.items.lock().unwrap().clone();
        assert_eq!(items.len(), ITEMS);
        for ((_, _, id), content) in items {
            let [_, _, account, read] = id.split('.').collect::<Vec<_>>()[..] else { panic!("{id}") };
            assert_eq!(String::from_utf8_lossy(&content), bank::deposit(read, account).to_string());
        }
        service.kill();
        let mut fsck = Command::new(env!("CARGO_BIN_EXE_naru"));
        let fsck = fsck.current_dir(desk.dir.path()).env_clear().args(["fsck", "log"]).output().unwrap();
        assert!(fsck.status.success(), "{}", String::from_utf8_lossy(&fsck.stdout));
    }
}

#[test]
fn a_carrier_without_the_right_certificate_carries_nothing_and_believes_nobody() {
    let desk = Desk::new(When::After);
    let (stranger, _) = (certificate("127.0.0.1"), ());
    let at = |name: &str| desk.dir.path().join(name);
    std::fs::write(at("stranger.pem"), stranger.1.to_pem().unwrap()).unwrap();
    std::fs::write(at("stranger.key"), stranger.0.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    let call = |certificate: &str, key: &str, ca: &str, url: &str| {
        let identity = Some((read(certificate), read(key)));
        let credentials = naru::outbound::Credentials { identity, authorities: Some(read(ca)) };
        let client = naru::outbound::Client::new(&credentials).unwrap();
        let asked = naru::outbound::Call {
            method: naru::outbound::Method::Get,
            path: "/v1/card/cards",
            headers: &[("x-api-tran-id", "T")],
            body: None,
            most: 10_000,
        };
        naru::outbound::Calls::call(&client, &TransferEnd { url: url.into(), key: None }, &asked)
    };
    let bank = desk.ends[0].0.as_str();
    desk.go_on.send(()).unwrap();
    let reply = call("carrier.pem", "carrier.key", "ends.pem", bank).unwrap();
    assert_eq!(
        (reply.status, reply.tran_id.as_deref(), reply.media.as_str()),
        (200, Some("T"), "application/json")
    );
    // Not let in, not believed, and no other scheme or host of another name.
    assert!(call("stranger.pem", "stranger.key", "ends.pem", bank).is_err());
    assert!(call("carrier.pem", "carrier.key", "stranger.pem", bank).is_err());
    let other = bank.replace("127.0.0.1", "localhost");
    assert!(call("carrier.pem", "carrier.key", "ends.pem", &other).is_err());
    let plain = bank.replace("https", "http");
    assert!(matches!(
        call("carrier.pem", "carrier.key", "ends.pem", &plain),
        Err(naru::outbound::Error::Address)
    ));
    drop(desk.told);
}

#[test]
fn an_answer_without_end_and_a_redirect_are_errors() {
    struct Endless;
    impl End for Endless {
        fn answer(&self, request: &Request) -> Answer {
            match request.path.as_str() {
                "/away" => Answer { status: 302, media: "text/plain", body: Vec::new() },
                _ => Answer { status: 200, media: "application/json", body: vec![b' '; 100_000] },
            }
        }
    }
    let [carrier, own] = [(); 2].map(|()| certificate("127.0.0.1"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let identity = Identity { certificate: own.1.clone(), key: own.0, believed: vec![carrier.1.clone()] };
    end::serve(listener, &identity, Arc::new(Endless)).unwrap();
    let credentials = naru::outbound::Credentials {
        identity: Some((carrier.1.to_pem().unwrap(), carrier.0.private_key_to_pem_pkcs8().unwrap())),
        authorities: Some(own.1.to_pem().unwrap()),
    };
    let client = naru::outbound::Client::new(&credentials).unwrap();
    let call = |path: &str| {
        let method = naru::outbound::Method::Post;
        let asked = naru::outbound::Call {
            method,
            path,
            headers: &[],
            body: Some(("text/plain", b"x")),
            most: 99_999,
        };
        naru::outbound::Calls::call(&client, &TransferEnd { url: url.clone(), key: None }, &asked)
    };
    assert!(matches!(call("/long"), Err(naru::outbound::Error::TooLarge)));
    assert!(matches!(call("/away"), Err(naru::outbound::Error::Redirect)));
    assert!(matches!(call("/../x"), Err(naru::outbound::Error::Address)));
    assert!(matches!(call("no-slash"), Err(naru::outbound::Error::Address)));
}
