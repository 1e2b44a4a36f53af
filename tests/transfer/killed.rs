//! Three processes on loopback, TLS with certificates on both sides: the service is killed at every call.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use naru::ledger::key::Ed25519Signer;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use serde_bytes::ByteBuf;

use crate::bank;
use crate::bank::Bank;
use crate::end;
use crate::end::Answer;
use crate::end::End;
use crate::end::Identity;
use crate::end::Request;
use crate::service::Service;
use crate::service::fsck;
use crate::service::holds_nothing_readable;
use crate::service::init;
use crate::service::now;
use crate::service::registration;
use crate::support::certificate::certificate;
use crate::support::*;
use crate::wallet::Wallet;

const HOLDER: u8 = 71;
const WALLET: u8 = 72;
/// Two accounts, three reads each.
const ITEMS: usize = 6;

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

struct Desk {
    dir: tempfile::TempDir,
    operator: Ed25519Signer,
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
        let operator = init(dir.path(), "log", ORIGIN);
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
        Self { dir, operator, variables, wallet: receiver, stopped, told, go_on, ends }
    }

    fn start(&self) -> Service {
        Service::start(self.dir.path(), "log", ORIGIN, &self.variables)
    }

    /// Both ends registered, a person enrolled, her demand recorded: weekly, so that it outlives its first run.
    fn demand(&self, service: &Service) -> StatementId {
        let [(bank, none), (wallet, key)] = self.ends.clone();
        service.record(&registration("holder", HOLDER, Role::Controller, bank, none, &self.operator));
        service.record(&registration("wallet", WALLET, Role::Recipient, wallet, key, &self.operator));
        service.enrol();
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
            holds_nothing_readable(&desk.dir.path().join("log"));
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
        fsck(desk.dir.path(), "log");
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
