//! Two services and the example bank on loopback: B is the receiver of a demand made at A.
//!
//! Between A and B stands a gate that speaks TLS with certificates on both sides and passes each
//! call on: there a call can be held while one of the two is killed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use naru::ledger::hash::sha256;
use naru::ledger::key::Ed25519Signer;
use naru::ledger::key::P256Signer;
use naru::ledger::key::Signer;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::outbound;
use naru::outbound::Calls as _;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use serde_bytes::ByteBuf;
use serde_json::Value;
use serde_json::json;

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

const HOLDER: u8 = 81;
const WALLET: u8 = 82;
const THERE: &str = "wallet.test/log";
/// Two accounts, three reads each.
const ITEMS: usize = 6;
/// Calls of one run: the list, every item from the bank and to B, both signed steps.
const CALLS: usize = 1 + 2 * ITEMS + 2;
/// Those of them that B answers.
const OF_B: usize = ITEMS + 1;

/// Whose process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    A,
    B,
}

/// What is held, and what happened to it.
struct Watch {
    /// In even runs processes are killed before the call is passed on, in odd ones after: or the other way.
    odd_before: bool,
    met: Mutex<BTreeSet<(String, Victim)>>,
    tell: Mutex<mpsc::Sender<Victim>>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

/// Holds every call until each of those who are at it has been killed once.
struct Gate {
    inner: Arc<dyn End>,
    watch: Arc<Watch>,
    victims: &'static [Victim],
}

impl End for Gate {
    fn answer(&self, request: &Request) -> Answer {
        let name = format!("{} {}", request.method, request.path);
        let victim = {
            let mut met = self.watch.met.lock().unwrap();
            self.victims.iter().copied().find(|victim| met.insert((name.clone(), *victim)))
        };
        let Some(victim) = victim else { return self.inner.answer(request) };
        let run = request.run().map_or(0, |(_, run, _)| run);
        let before = (run % 2 == 1) == self.watch.odd_before;
        let answer = (!before).then(|| self.inner.answer(request));
        self.watch.tell.lock().unwrap().send(victim).unwrap();
        self.watch.go_on.lock().unwrap().recv().unwrap();
        match victim {
            // Nobody hears the answer; what was called is done all the same.
            Victim::A => answer.unwrap_or_else(|| self.inner.answer(request)),
            Victim::B => Answer::refused(503, "50000"),
        }
    }
}

/// Passes each call on to B, with A's certificate.
struct Forward {
    client: outbound::Client,
    to: Arc<Mutex<String>>,
}

impl End for Forward {
    fn answer(&self, request: &Request) -> Answer {
        let url = self.to.lock().unwrap().clone();
        let method = match request.method.as_str() {
            "PUT" => outbound::Method::Put,
            "POST" => outbound::Method::Post,
            _ => outbound::Method::Get,
        };
        let sent = request.headers.iter().filter(|(name, _)| name.starts_with("x-"));
        let headers: Vec<_> = sent.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = Some((request.header("content-type"), request.body.as_slice()));
        let call = outbound::Call { method, path: &request.path, headers: &headers, body, most: 1 << 20 };
        let Ok(reply) = self.client.call(&TransferEnd { url, key: None }, &call) else {
            return Answer::refused(503, "50000");
        };
        let media = match reply.media.as_str() {
            "application/cose" => "application/cose",
            _ => "application/json",
        };
        Answer { status: reply.status, media, body: reply.body }
    }
}

struct World {
    dir: tempfile::TempDir,
    operator: Ed25519Signer,
    variables: [Vec<(&'static str, PathBuf)>; 2],
    /// So far the clocks of all are ahead, ms.
    ahead: Arc<AtomicU64>,
    to: Arc<Mutex<String>>,
    watch: Arc<Watch>,
    told: mpsc::Receiver<Victim>,
    go_on: mpsc::Sender<()>,
    /// Where A finds the bank and B, and B's relay key.
    ends: [String; 2],
    relay: ByteBuf,
    /// Of A, and of nobody B knows.
    client: [outbound::Credentials; 2],
}

impl World {
    fn new(held: bool, odd_before: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
        let operator = init(dir.path(), "a", ORIGIN);
        init(dir.path(), "b", THERE);
        // All ends show the same one: of two with one name only the first is ever looked at.
        let [carrier, stranger, own] = [(); 3].map(|()| certificate("127.0.0.1"));
        for (name, (key, certificate)) in [("carrier", &carrier), ("own", &own)] {
            write(&format!("{name}.pem"), &certificate.to_pem().unwrap());
            write(&format!("{name}.key"), &key.private_key_to_pem_pkcs8().unwrap());
        }
        write("signer.pem", signer(WALLET).to_pem().unwrap().as_bytes());
        let [relay, old] = [(); 2].map(|()| {
            let key = EcKey::generate(&EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()).unwrap();
            PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap()
        });
        write("relay.pem", &relay);
        write("relay-old.pem", &old);
        let relay = P256Signer::from_pem(std::str::from_utf8(&relay).unwrap()).unwrap();
        let joined = |parts: &[(&str, &str)]| {
            let parts: Vec<_> =
                parts.iter().map(|(what, file)| format!("{what}{}", at(file).display())).collect();
            PathBuf::from(parts.join(" "))
        };
        let variables = [
            vec![
                ("NARU_OUTBOUND_CERT", at("carrier.pem")),
                ("NARU_OUTBOUND_KEY", at("carrier.key")),
                ("NARU_OUTBOUND_CA", at("own.pem")),
            ],
            vec![
                ("NARU_TLS_CERT", at("own.pem")),
                ("NARU_TLS_KEY", at("own.key")),
                ("NARU_RECEIVE_PARTY", "wallet".into()),
                ("NARU_RECEIVE_SIGNER", at("signer.pem")),
                ("NARU_RECEIVE_KEYS", joined(&[("", "relay.pem"), ("", "relay-old.pem")])),
                ("NARU_RECEIVE_FROM", joined(&[(&format!("{ORIGIN}="), "carrier.pem")])),
            ],
        ];
        let client = [&carrier, &stranger].map(|(key, certificate)| outbound::Credentials {
            identity: Some((certificate.to_pem().unwrap(), key.private_key_to_pem_pkcs8().unwrap())),
            authorities: Some(own.1.to_pem().unwrap()),
        });
        let ((tell, told), (go_on, wait)) = (mpsc::channel(), mpsc::channel());
        let (tell, wait) = (Mutex::new(tell), Mutex::new(wait));
        let watch = Arc::new(Watch { odd_before, met: Mutex::default(), tell, go_on: wait });
        let to = Arc::new(Mutex::new(String::new()));
        let ahead = Arc::new(AtomicU64::new(0));
        let hands = Arc::clone(&ahead);
        let clock: bank::Clock = Box::new(move || now().0 + hands.load(Ordering::SeqCst));
        let serve = |inner: Arc<dyn End>, victims: &'static [Victim]| {
            let victims = if held { victims } else { &[] };
            let gate = Gate { inner, watch: Arc::clone(&watch), victims };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let (key, certificate) = own.clone();
            let identity = Identity { certificate, key, believed: vec![carrier.1.clone()] };
            end::serve(listener, &identity, Arc::new(gate)).unwrap();
            url
        };
        let forward = Forward { client: outbound::Client::new(&client[0]).unwrap(), to: Arc::clone(&to) };
        let ends = [
            serve(Arc::new(Bank::new(party("holder"), signer(HOLDER), clock)), &[Victim::A]),
            serve(Arc::new(forward), &[Victim::A, Victim::B]),
        ];
        let relay = ByteBuf::from(relay.public().spki().to_vec());
        Self { dir, operator, variables, ahead, to, watch, told, go_on, ends, relay, client }
    }

    fn a(&self) -> Service {
        Service::start_ahead(self.dir.path(), ("a", ORIGIN, self.ahead()), &self.variables[0])
    }

    fn ahead(&self) -> u64 {
        self.ahead.load(Ordering::SeqCst)
    }

    /// Whoever starts from here on lives so much later, and the bank at once.
    fn later(&self, ms: u64) {
        self.ahead.fetch_add(ms, Ordering::SeqCst);
    }

    fn b(&self) -> Service {
        let b = Service::start_ahead(self.dir.path(), ("b", THERE, self.ahead()), &self.variables[1]);
        b.url.clone_into(&mut self.to.lock().unwrap());
        b
    }

    /// Bank and B registered at A, a person known at both; her demand, told to B before A has it.
    fn demand(&self, a: &Service, b: &Service, receiver: String) -> StatementId {
        let [bank, _] = self.ends.clone();
        a.record(&registration("holder", HOLDER, Role::Controller, bank, None, &self.operator));
        let relay = Some(self.relay.clone());
        a.record(&registration("wallet", WALLET, Role::Recipient, receiver, relay, &self.operator));
        a.enrol();
        b.enrol();
        let demand: Statement = TransferDemand {
            v: V1,
            kind: Kind::TransferDemand,
            iat: a.now(),
            nonce: nonce(),
            ppid: ppid(a, "holder"),
            by: None,
            over: None,
            sender: party("holder"),
            recipient: party("wallet"),
            scheduled: true,
            fund_cycle: Some("1/w".into()),
            add_cycle: Some("1/w".into()),
            end: a.now().plus_ms(30 * DAY),
            purpose: PURPOSE.into(),
            keep_until: a.now().plus_ms(60 * DAY),
            targets: vec![Target { scope: "bank.deposit".into(), assets: Vec::new() }],
            mode: Mode::Store,
        }
        .into();
        let item = sign(&demand, &person_key(1));
        let id = naru::identity::open(&item).unwrap().id();
        let told = json!({
            "from": ORIGIN, "demand": id.to_string(), "ppid": ppid(a, "wallet").to_text(),
            "until": b.now().plus_ms(40 * DAY).0,
        });
        assert_eq!(tell(b, &told), (200, open(&told)));
        assert_eq!(b.mine("/v1/subjects/me/expected"), json!({ "expected": [open(&told)] }));
        a.record(&item);
        id
    }
}

fn ppid(at: &Service, party: &str) -> Ppid {
    let named = at.mine(&format!("/v1/subjects/me/ppids/{party}"));
    Ppid::from_text(named["ppid"].as_str().unwrap()).unwrap()
}

/// How an arrival stands that has not ended.
fn open(told: &Value) -> Value {
    let mut stands = told.clone();
    stands["over"] = Value::Null;
    stands
}

/// Tells B of an arrival.
fn tell(b: &Service, said: &Value) -> (u16, Value) {
    let body = said.to_string();
    let body = Some(("application/json", body.as_bytes()));
    let (status, body) = b.call("/v1/subjects/me/arrivals", Some(&b.session()), body);
    (status, serde_json::from_slice(&body).unwrap())
}

/// A file of her archive.
fn archived(at: &Service, wanted: &str) -> Vec<u8> {
    let (status, body) = at.call("/v1/subjects/me/export", Some(&at.session()), None);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    zipped(body, wanted)
}

/// The file in a zip whose name ends so.
fn zipped(bytes: Vec<u8>, wanted: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let name =
        names.iter().find(|name| name.ends_with(wanted)).unwrap_or_else(|| panic!("{wanted}: {names:#?}"));
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Everything B has of the runs until now, each item once and each the bank's.
fn nothing_is_lost_or_doubled(b: &Service, demand: &StatementId, runs: u64) {
    let list = b.mine("/v1/subjects/me/deposits?limit=500");
    let rows = list["deposits"].as_array().unwrap();
    assert_eq!(rows.len(), ITEMS * usize::try_from(runs).unwrap());
    let mut found = BTreeMap::new();
    for row in rows {
        let (from, item) = (&row["from"], row["item"].as_str().unwrap());
        assert_eq!((from["log"].as_str(), row["party"].as_str()), (Some(ORIGIN), Some("holder")));
        assert_eq!(from["demand"], demand.to_string().as_str());
        let [_, _, account, read] = item.split('.').collect::<Vec<_>>()[..] else { panic!("{item}") };
        let content = bank::deposit(read, account).to_string();
        assert_eq!(row["sha256"], Hash(sha256(&[content.as_bytes()])).to_string().as_str(), "{item}");
        assert_eq!(row["profile"], "kmydata-bank", "{item}");
        let place = (from["run"].as_u64().unwrap(), item.to_owned());
        assert!(found.insert(place, (row.clone(), content)).is_none(), "{item} stands twice");
    }
    assert!(found.keys().all(|(run, _)| *run < runs));
    // An archive holds what a checkpoint of more entries covers: one more makes one.
    b.enrol_as(100 + runs);
    let listed = String::from_utf8(archived(b, "data/by-source/holder/000001.ndjson")).unwrap();
    assert_eq!(listed.lines().count(), rows.len());
    let (row, content) = found.values().next().unwrap();
    let parcel = archived(b, "data/by-source/holder/000001.zip");
    assert_eq!(zipped(parcel, row["original"].as_str().unwrap()), content.as_bytes());
}

/// Each run of the demand stands in A's log as confirmed: whole, and once.
fn each_is_confirmed_once(a: &Service, demand: &StatementId, runs: u64) {
    let all: Value = serde_json::from_slice(&archived(a, "transfers.json")).unwrap();
    let steps = all["transfers"][0]["steps"].as_array().unwrap();
    assert_eq!(all["transfers"][0]["demand"], demand.to_string().as_str());
    let of = |kind: &str| -> Vec<(u64, u64)> {
        let counted = |step: &Value| {
            let n = step.get("received").or(step.get("items")).and_then(Value::as_u64);
            (step["run"].as_u64().unwrap(), n.unwrap())
        };
        steps.iter().filter(|step| step["type"] == kind).map(counted).collect()
    };
    let whole: Vec<_> = (0..runs).map(|run| (run, ITEMS as u64)).collect();
    assert_eq!((of("transfer.deliver"), of("transfer.confirm")), (whole.clone(), whole));
    assert!(of("transfer.fail").is_empty());
}

fn is_done(a: &Service, run: usize) -> bool {
    let mine = a.mine("/v1/subjects/me/transfers");
    mine["transfers"][0]["runs"][run]["state"] == "completed"
}

/// Whoever is at a call is killed at it, and both go on.
fn killed(world: &World, victim: Victim, (a, mut b): (Service, Service)) -> (Service, Service) {
    match victim {
        Victim::A => {
            a.kill();
            world.go_on.send(()).unwrap();
        }
        Victim::B => {
            b.kill();
            b = world.b();
            world.go_on.send(()).unwrap();
            // To A it was an end that does not answer: it waits half a minute, and is killed while it does.
            a.kill();
            world.later(60_000);
        }
    }
    for log in ["a", "b"] {
        holds_nothing_readable(&world.dir.path().join(log));
    }
    (world.a(), b)
}

/// B is told that the demand has ended; A and B are each killed once while it is.
fn killed_at_the_end(world: &World, (mut a, mut b): (Service, Service)) -> (Service, Service) {
    for expected in [Victim::A, Victim::B] {
        let victim = world.told.recv_timeout(Duration::from_secs(900)).unwrap();
        assert_eq!(victim, expected);
        (a, b) = killed(world, victim, (a, b));
    }
    let mine = || b.mine("/v1/subjects/me/expected");
    let told = |_| {
        mine()["expected"][0]["over"]["state"] == "barred"
            || world.told.recv_timeout(Duration::from_millis(100)).is_ok()
    };
    assert!((0..3_000).any(told), "{}", mine());
    (a, b)
}

/// A and B until a run is over, each killed once at each of its calls.
fn killed_at_every_call(world: &World, run: usize, (mut a, mut b): (Service, Service)) -> (Service, Service) {
    let mut kills = BTreeMap::new();
    while kills.values().sum::<usize>() < CALLS + OF_B {
        let news = world.told.recv_timeout(Duration::from_secs(900));
        let victim = news.unwrap_or_else(|_| panic!("no new call after {kills:?}: {:#?}", world.watch.met));
        *kills.entry(victim).or_insert(0) += 1;
        (a, b) = killed(world, victim, (a, b));
    }
    assert_eq!(kills, BTreeMap::from([(Victim::A, CALLS), (Victim::B, OF_B)]));
    let over = |_| is_done(&a, run) || world.told.recv_timeout(Duration::from_millis(100)).is_ok();
    assert!((0..3_000).any(over) && is_done(&a, run), "run {run} is not completed");
    (a, b)
}

fn schedule_outlives_kills(odd_before: bool) {
    let world = World::new(true, odd_before);
    let (a, b) = (world.a(), world.b());
    let demand = world.demand(&a, &b, world.ends[1].clone());
    let (a, b) = killed_at_every_call(&world, 0, (a, b));
    nothing_is_lost_or_doubled(&b, &demand, 1);
    each_is_confirmed_once(&a, &demand, 1);
    // A week later the second is due.
    a.kill();
    b.kill();
    world.later(7 * DAY);
    let (a, b) = (world.a(), world.b());
    let (a, b) = killed_at_every_call(&world, 1, (a, b));
    nothing_is_lost_or_doubled(&b, &demand, 2);
    each_is_confirmed_once(&a, &demand, 2);
    // She withdraws: a third never begins.
    let withdraw: Statement = ConsentWithdraw {
        v: V1,
        kind: Kind::ConsentWithdraw,
        iat: a.now(),
        nonce: nonce(),
        ppid: ppid(&a, "holder"),
        by: None,
        controller: party("holder"),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        moved: None,
    }
    .into();
    a.record(&sign(&withdraw, &person_key(1)));
    let (a, b) = killed_at_the_end(&world, (a, b));
    a.kill();
    b.kill();
    world.later(7 * DAY);
    let (a, b) = (world.a(), world.b());
    assert_eq!(a.mine("/v1/subjects/me/transfers")["transfers"][0]["state"], "barred");
    assert!(world.told.recv_timeout(Duration::from_secs(3)).is_err(), "a call after the withdrawal");
    let rows =
        |b: &Service| b.mine("/v1/subjects/me/deposits?limit=500")["deposits"].as_array().unwrap().len();
    assert_eq!(rows(&b), 2 * ITEMS);
    each_is_confirmed_once(&a, &demand, 2);
    a.kill();
    b.kill();
    for log in ["a", "b"] {
        holds_nothing_readable(&world.dir.path().join(log));
        fsck(world.dir.path(), log);
    }
}

#[test]
fn a_schedule_to_another_service_outlives_kills_before_then_after_each_call() {
    schedule_outlives_kills(false);
}

#[test]
fn a_schedule_to_another_service_outlives_kills_after_then_before_each_call() {
    schedule_outlives_kills(true);
}

#[test]
fn without_a_gate_a_delivers_to_b_by_the_certificates_alone() {
    let world = World::new(false, false);
    let (a, b) = (world.a(), world.b());
    let demand = world.demand(&a, &b, b.url.clone());
    let waits = |_| is_done(&a, 0) || world.told.recv_timeout(Duration::from_millis(100)).is_ok();
    assert!((0..3_000).any(waits), "it is not delivered");
    nothing_is_lost_or_doubled(&b, &demand, 1);
    each_is_confirmed_once(&a, &demand, 1);
}

/// One item as it is delivered by hand.
#[derive(Clone)]
struct Item {
    demand: String,
    ppid: String,
    run: u64,
    id: &'static str,
    media: &'static str,
    mode: &'static str,
    bytes: Vec<u8>,
    /// Of the bytes, unless it lies.
    sha256: Option<String>,
}

impl Item {
    fn sha256(&self) -> String {
        self.sha256.clone().unwrap_or_else(|| Hash(sha256(&[&self.bytes])).to_string())
    }
}

/// B alone, with a person who has told of one arrival, and whoever delivers by hand.
struct Delivering {
    world: World,
    b: Service,
    good: Item,
    until: u64,
}

impl Delivering {
    fn new() -> Self {
        let world = World::new(false, false);
        let b = world.b();
        b.enrol();
        let (demand, until) = (StatementId([7; 32]).to_string(), b.now().plus_ms(DAY).0);
        let ppid = Ppid([9; 16]).to_text();
        let told = json!({ "from": ORIGIN, "demand": demand, "ppid": ppid, "until": until });
        assert_eq!(tell(&b, &told), (200, open(&told)));
        let bytes = world.sealed("relay.pem", bank::deposit("basic", "110123456789").to_string().as_bytes());
        let (media, mode) = ("application/jose", "store");
        let good =
            Item { demand, ppid, run: 0, id: "bank.deposit.1.basic", media, mode, bytes, sha256: None };
        Self { world, b, good, until }
    }

    fn call(
        &self,
        who: usize,
        method: outbound::Method,
        path: &str,
        more: &[(&str, &str)],
        body: (&str, &[u8]),
    ) -> (u16, Vec<u8>) {
        let client = outbound::Client::new(&self.world.client[who]).unwrap();
        let call = outbound::Call { method, path, headers: more, body: Some(body), most: 1 << 20 };
        let reply = client.call(&TransferEnd { url: self.b.url.clone(), key: None }, &call).unwrap();
        (reply.status, reply.body)
    }

    /// Delivers; the status and the code of a problem.
    fn put(&self, who: usize, item: &Item) -> (u16, Value) {
        self.put_until(who, item, self.until + 1)
    }

    fn put_until(&self, who: usize, item: &Item, keep_until: u64) -> (u16, Value) {
        let path = format!("/v1/transfers/{}/runs/{}/items/{}", item.demand, item.run, item.id);
        let (hash, keep) = (item.sha256(), keep_until.to_string());
        let headers = [
            ("x-naru-ppid", item.ppid.as_str()),
            ("x-naru-scope", "bank.deposit"),
            ("x-naru-sender", "holder"),
            ("x-naru-purpose", PURPOSE),
            ("x-naru-mode", item.mode),
            ("x-naru-keep-until", keep.as_str()),
            ("x-naru-sha256", hash.as_str()),
        ];
        let (status, body) =
            self.call(who, outbound::Method::Put, &path, &headers, (item.media, &item.bytes));
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status, body["code"].clone())
    }

    fn step(&self, item: &Item, step: &str, said: &Value) -> (u16, Vec<u8>) {
        let path = format!("/v1/transfers/{}/runs/{}/{step}", item.demand, item.run);
        let headers = [("x-naru-ppid", item.ppid.as_str())];
        let said = said.to_string();
        self.call(0, outbound::Method::Post, &path, &headers, ("application/json", said.as_bytes()))
    }
}

impl World {
    /// Sealed for the public half of a key file.
    fn sealed(&self, file: &str, content: &[u8]) -> Vec<u8> {
        let pem = std::fs::read_to_string(self.dir.path().join(file)).unwrap();
        let key = P256Signer::from_pem(&pem).unwrap();
        let jwk = serde_json::to_vec(&naru::identity::jwk::Jwk::of(key.public())).unwrap();
        let receiver = naru::vault::receiver::Receiver::jwk(&jwk).unwrap();
        let mut out = Vec::new();
        let mut sealing = receiver.begin_of("application/json", &mut out).unwrap();
        std::io::Write::write_all(&mut sealing, content).unwrap();
        sealing.finish().unwrap();
        out
    }
}

#[test]
fn a_delivery_is_taken_as_it_was_told_and_as_it_was_sealed_and_not_otherwise() {
    let of = Delivering::new();
    let good = || of.good.clone();
    // Of whoever is not the log, and of what nobody expects, nothing is told.
    assert_eq!(of.put(1, &good()), (401, "no-carrier".into()));
    let unexpected = [
        Item { demand: StatementId([8; 32]).to_string(), ..good() },
        Item { ppid: Ppid([8; 16]).to_text(), ..good() },
    ];
    for item in unexpected {
        assert_eq!(of.put(0, &item), (404, "no-arrival".into()));
    }
    let other_key = of.world.sealed("own.key", b"{}");
    let mut changed = good().bytes;
    let last = changed.len() - 2;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    let deep = "[".repeat(10_000);
    let refused: [(u16, &str, Item); 9] = [
        (422, "not-opened", Item { bytes: other_key, ..good() }),
        (422, "not-opened", Item { bytes: changed, ..good() }),
        (422, "not-opened", Item { bytes: b"{}".to_vec(), media: "application/json", ..good() }),
        (422, "not-opened", Item { sha256: Some(Hash([1; 32]).to_string()), ..good() }),
        (422, "original-refused", Item { bytes: of.world.sealed("relay.pem", b"no json"), ..good() }),
        (422, "original-refused", Item { bytes: of.world.sealed("relay.pem", deep.as_bytes()), ..good() }),
        (
            422,
            "original-refused",
            Item { bytes: of.world.sealed("relay.pem", &vec![b'1'; (1 << 20) + 1]), ..good() },
        ),
        (409, "view-only", Item { mode: "view", ..good() }),
        (400, "delivery-form", Item { mode: "lend", ..good() }),
    ];
    for (n, (status, code, item)) in refused.into_iter().enumerate() {
        assert_eq!(of.put(0, &item), (status, code.into()), "{n}");
    }
    // No text can write when it would end, and not every reader of JSON could count so far.
    for late in [Timestamp::LAST.0 + 1, 1 << 53, u64::MAX] {
        assert_eq!(of.put_until(0, &good(), late), (400, "delivery-form".into()));
        let said = json!({ "from": ORIGIN, "demand": of.good.demand, "ppid": of.good.ppid, "until": late });
        let (status, body) = tell(&of.b, &said);
        assert_eq!((status, &body["code"]), (400, &"bad-json".into()));
    }
    let kept = || of.b.mine("/v1/subjects/me/deposits")["deposits"].as_array().unwrap().len();
    assert_eq!(kept(), 0);
    // Taken once, however often it comes; another of that name is not.
    for _ in 0..3 {
        assert_eq!(of.put(0, &good()), (200, Value::Null));
    }
    assert_eq!(kept(), 1);
    let other = Item { bytes: of.world.sealed("relay.pem", b"{}"), ..good() };
    assert_eq!(of.put(0, &other), (409, "delivery-differs".into()));
    // What was sealed for the key of before opens, too.
    let old = Item { id: "second", bytes: of.world.sealed("relay-old.pem", b"{}"), ..good() };
    assert_eq!(of.put(0, &old), (200, Value::Null));
    assert_eq!(kept(), 2);
    // As large as a deposit may be, and one byte more was refused above.
    let mut large = vec![b'"'; 1 << 20];
    large[1..(1 << 20) - 1].fill(b'x');
    let large = Item { id: "large", bytes: of.world.sealed("relay.pem", &large), ..good() };
    assert_eq!(of.put(0, &large), (200, Value::Null));
    assert_eq!(kept(), 3);
    // She takes it back: nothing more comes.
    let over = json!({ "from": ORIGIN, "demand": of.good.demand, "ppid": of.good.ppid, "until": 0 });
    assert_eq!(tell(&of.b, &over).0, 200);
    assert_eq!(of.put(0, &Item { id: "third", ..old }), (404, "no-arrival".into()));
    assert_eq!(kept(), 3);
}

#[test]
fn b_signs_what_has_arrived_and_no_more_and_the_same_whenever_it_is_asked() {
    let of = Delivering::new();
    let item = of.good.clone();
    assert_eq!(of.put(0, &item).0, 200);
    let hash = Hash(sha256(&[&item.bytes]));
    let demand = StatementId::from_hex(&item.demand).unwrap();
    let whole =
        naru::portability::transfer::run::hash_of(&demand, 0, [(item.id, hash)].into_iter()).to_string();
    let signed = |bytes: &[u8]| match naru::identity::open(bytes).unwrap().value() {
        Statement::TransferConfirm(said) => {
            assert_eq!(
                (&said.party, said.demand, said.ppid.to_text()),
                (&party("wallet"), demand, item.ppid.clone())
            );
            (said.run, said.received, said.announced)
        }
        other => panic!("{other:?}"),
    };
    let code = |(status, body): (u16, Vec<u8>)| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status, body["code"].as_str().unwrap().to_owned())
    };
    let differs = || (409, "delivery-differs".to_owned());
    // More than was sent, or something else than was sent, never arrived.
    assert_eq!(code(of.step(&item, "complete", &json!({ "items": 0, "hash": whole }))), differs());
    assert_eq!(code(of.step(&item, "complete", &json!({ "items": 1, "hash": item.sha256() }))), differs());
    // One of two, as long as the other is missing.
    let (status, part) = of.step(&item, "complete", &json!({ "items": 2, "hash": item.sha256() }));
    assert_eq!((status, signed(&part)), (200, (0, 1, 2)));
    let (status, first) = of.step(&item, "complete", &json!({ "items": 1, "hash": whole }));
    assert_eq!((status, signed(&first)), (200, (0, 1, 1)));
    let (_, again) = of.step(&item, "complete", &json!({ "items": 1, "hash": whole }));
    assert!(first == again, "the same bytes");
    // Confirmed whole: nothing joins it, and it has not failed.
    assert_eq!(of.put(0, &Item { id: "late", ..item.clone() }), (409, "delivery-differs".into()));
    assert_eq!(code(of.step(&item, "failed", &json!({ "code": "sender-mismatch" }))), differs());
    // Of a run of which nothing came: it failed, but never by B's own fault.
    let next = Item { run: 1, ..item };
    assert_eq!(code(of.step(&next, "failed", &json!({ "code": "receiver-refused" }))), differs());
    let (status, failed) = of.step(&next, "failed", &json!({ "code": "sender-mismatch" }));
    assert_eq!(status, 200);
    assert!(
        matches!(naru::identity::open(&failed).unwrap().value(), Statement::TransferFail(said) if said.run == 1)
    );
    assert!(of.step(&next, "failed", &json!({ "code": "sender-mismatch" })).1 == failed, "the same bytes");
    // It has said that this run failed: nothing of it is taken any more, and nothing confirmed.
    assert_eq!(of.put(0, &next), (409, "delivery-differs".into()));
    let none = naru::portability::transfer::run::hash_of(&demand, 1, [].into_iter()).to_string();
    assert_eq!(code(of.step(&next, "complete", &json!({ "items": 0, "hash": none }))), differs());
    // The same of a run of which all has come.
    let third = Item { run: 2, ..next };
    assert_eq!(of.put(0, &third).0, 200);
    assert_eq!(of.step(&third, "failed", &json!({ "code": "ended" })).0, 200);
    let whole =
        naru::portability::transfer::run::hash_of(&demand, 2, [(third.id, hash)].into_iter()).to_string();
    assert_eq!(code(of.step(&third, "complete", &json!({ "items": 1, "hash": whole }))), differs());
}

#[test]
fn an_arrival_is_told_by_whoever_has_both_secrets_first_and_of_known_logs() {
    let mut of = Delivering::new();
    let told = |of: &Delivering, from: &str, demand: [u8; 32], until: u64| {
        let demand = StatementId(demand).to_string();
        let said = json!({ "from": from, "demand": demand, "ppid": of.good.ppid, "until": until });
        let (status, body) = tell(&of.b, &said);
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(told(&of, "stranger.test/log", [7; 32], of.until), (404, "not-receiving".into()));
    let far = of.b.now().plus_ms(6 * 366 * DAY).0;
    assert_eq!(told(&of, ORIGIN, [7; 32], far), (409, "too-many-arrivals".into()));
    assert_eq!(told(&of, ORIGIN, [6; 32], of.until), (200, String::new()));
    // Another person cannot have what is told already; without the ppid she has nothing of it.
    of.b.enrol_as(2);
    let body = json!({ "from": ORIGIN, "demand": of.good.demand, "ppid": of.good.ppid, "until": of.until })
        .to_string();
    let body = Some(("application/json", body.as_bytes()));
    let (status, answer) = of.b.call("/v1/subjects/me/arrivals", Some(&of.b.session_as(2)), body);
    assert_eq!(
        (status, serde_json::from_slice::<Value>(&answer).unwrap()["code"].as_str()),
        (409, Some("arrival-taken"))
    );
    // A service that is told nothing receives nothing.
    let world = &of.world;
    let variables: Vec<_> =
        world.variables[1].iter().filter(|(name, _)| name.starts_with("NARU_TLS")).cloned().collect();
    init(world.dir.path(), "c", "closed.test/log");
    let closed = Service::start(world.dir.path(), "c", "closed.test/log", &variables);
    closed.enrol();
    let said = json!({ "from": ORIGIN, "demand": of.good.demand, "ppid": of.good.ppid, "until": of.until });
    assert_eq!(tell(&closed, &said).1["code"], "not-receiving");
    of.b = closed;
    assert_eq!(of.put(0, &of.good), (401, "no-carrier".into()));
}

#[test]
fn a_demand_that_has_ended_at_its_log_is_closed_here_and_what_came_of_it_goes_when_the_log_says() {
    let of = Delivering::new();
    let good = of.good.clone();
    assert_eq!(of.put(0, &good).0, 200);
    let path = |demand: &str| format!("/v1/transfers/{demand}/ended");
    let ended = |who: usize, demand: &str, said: &Value| {
        let headers = [("x-naru-ppid", good.ppid.as_str())];
        let said = said.to_string();
        of.call(who, outbound::Method::Post, &path(demand), &headers, ("application/json", said.as_bytes()))
    };
    let code = |(status, body): (u16, Vec<u8>)| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        (status, body["code"].as_str().or(body["rsp_code"].as_str()).unwrap().to_owned())
    };
    let (act, scopes) = (StatementId([3; 32]).to_string(), ["bank.deposit"]);
    let later = json!({ "state": "expired", "keep_until": of.until, "act": null, "categories": null });
    let other = StatementId([8; 32]).to_string();
    assert_eq!(code(ended(1, &good.demand, &later)), (401, "no-carrier".into()));
    assert_eq!(code(ended(0, &other, &later)), (404, "no-arrival".into()));
    for (state, until) in [("gone", 0), ("expired", Timestamp::LAST.0 + 1)] {
        let bad = json!({ "state": state, "keep_until": until, "act": null, "categories": null });
        assert_eq!(code(ended(0, &good.demand, &bad)), (400, "bad-json".into()));
    }
    let bad = json!({ "state": "done", "keep_until": 0, "act": act, "categories": null });
    assert_eq!(code(ended(0, &good.demand, &bad)), (400, "delivery-form".into()));
    // It has ended: nothing more comes, and what came stays as long as it may.
    assert_eq!(code(ended(0, &good.demand, &later)), (200, "00000".into()));
    assert_eq!(of.put(0, &Item { id: "late", ..good.clone() }), (404, "no-arrival".into()));
    let mine = |path: &str| of.b.mine(path);
    let over = mine("/v1/subjects/me/expected")["expected"][0]["over"].clone();
    assert_eq!((&over["state"], &over["deleted_at"]), (&"expired".into(), &Value::Null));
    assert!(mine("/v1/subjects/me/deposits")["deposits"][0]["over"].is_null());
    // It may be kept no longer: it is gone, and that is signed, the same whenever it is asked.
    let now = json!({ "state": "barred", "keep_until": 1, "act": act, "categories": scopes });
    let (status, first) = ended(0, &good.demand, &now);
    assert_eq!((status, ended(0, &good.demand, &now)), (200, (200, first.clone())));
    let signed = naru::identity::open(&first).unwrap();
    assert!(matches!(signed.value(), Statement::DutyDeleted(said)
        if said.party == party("wallet") && said.act.to_string() == act && said.categories == scopes));
    let row = mine("/v1/subjects/me/deposits")["deposits"][0].clone();
    assert_eq!(
        (&row["over"]["by"], &row["original"], &row["sha256"]),
        (&"closed".into(), &Value::Null, &Value::Null)
    );
    assert!(mine("/v1/subjects/me/expected")["expected"][0]["over"]["deleted_at"].is_u64());
}
