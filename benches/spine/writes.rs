//! Statements a second: through the batch endpoint, and pre-verified through the engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fjall::PersistMode;
use naru::http;
use naru::http::Signals;
use naru::identity::Verified;
use naru::ledger::hash;
use naru::model::id::Ppid;
use naru::model::statement::Statement;
use naru::node::Node;
use naru::store::Store;
use naru::store::fjall::Fjall;

use crate::Size;
use crate::Table;
use crate::client;
use crate::client::Client;
use crate::median;
use crate::rate;
use crate::support::World;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::verify_limit;

const BATCH: usize = 256;
const CONNECTIONS: usize = 8;

/// A world over fjall on this disk.
pub struct Ground {
    pub world: World,
    pub node: Arc<Node>,
    pub dir: tempfile::TempDir,
}

/// Where a system has files in memory.
const IN_MEMORY: &str = "/dev/shm";

impl Ground {
    pub fn new() -> Self {
        Self::with(false)
    }

    /// With a use log, or without.
    pub fn with(logging: bool) -> Self {
        // Beside the build, not in a folder that may be memory.
        Self::on(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(), logging).0
    }

    /// With a use log, its store in a folder that is memory if there is one: where time is not measured. And the
    /// store itself.
    pub fn in_memory() -> (Self, Arc<Fjall>) {
        let folder = tempfile::tempdir_in(IN_MEMORY);
        Self::on(folder.or_else(|_| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))).unwrap(), true)
    }

    fn on(dir: tempfile::TempDir, logging: bool) -> (Self, Arc<Fjall>) {
        let store = Arc::new(Fjall::open(dir.path().join("store")).unwrap());
        let over: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        let mut world = World::bare_with(naru::store::memory::Memory::new(), over, logging);
        world.populate();
        let node = Arc::new(world.node.take().unwrap());
        (Self { world, node, dir }, store)
    }

    /// Syncs the use log ten times a second, as a running service does.
    pub fn syncing<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.node.sync_uses().unwrap();
                    std::thread::park_timeout(Duration::from_millis(100));
                }
            });
            let out = work();
            done.store(true, Ordering::Relaxed);
            out
        })
    }

    /// Publishes once a second, as a running service does.
    pub fn ticking<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    self.node.tick().unwrap();
                    std::thread::park_timeout(Duration::from_secs(1));
                }
            });
            let out = work();
            done.store(true, Ordering::Relaxed);
            out
        })
    }

    pub fn serve(&self) -> http::Running {
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = http::Options { workers: 2, signals: Signals::Ignored, ..http::Options::new(listen) };
        http::serve(Arc::clone(&self.node), options).unwrap()
    }
}

/// Makes one thing a number, on both cores.
pub fn on_both<T: Send>(numbers: std::ops::Range<u64>, make: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let middle = numbers.start + (numbers.end - numbers.start) / 2;
    std::thread::scope(|scope| {
        let make = &make;
        let halves = [numbers.start..middle, middle..numbers.end];
        let threads: Vec<_> =
            halves.map(|half| scope.spawn(move || half.map(make).collect::<Vec<_>>())).into_iter().collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    })
}

/// Sends all items in batches over a few connections; every one must be recorded anew.
pub fn send(addr: SocketAddr, items: &[Vec<u8>]) -> Duration {
    let bodies: Vec<(usize, Vec<u8>)> = items.chunks(BATCH).map(|c| (c.len(), c.concat())).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::new(addr);
                let head = client::head("/v1/statements:batch", "application/cbor-seq", None);
                while let Some((count, body)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                    assert_eq!(client.post(&head, body), 200);
                    // `status: 201` as CBOR: the key, then the number.
                    let marker = b"\x66status\x18\xc9";
                    let accepted = occurrences(&client.body, marker);
                    assert_eq!(accepted, *count, "{}", String::from_utf8_lossy(&client.body));
                }
            });
        }
    });
    start.elapsed()
}

/// How often a marker that begins with `f` stands in a body.
fn occurrences(body: &[u8], marker: &[u8]) -> usize {
    let (mut n, mut rest) = (0, body);
    while let Some(at) = rest.iter().position(|b| *b == marker[0]) {
        n += usize::from(rest[at..].starts_with(marker));
        rest = &rest[at + 1..];
    }
    n
}

pub fn ppids(ground: &Ground, people: std::ops::Range<u64>) -> Vec<Ppid> {
    let bank = party("bank");
    people.map(|n| ground.node.ppid(&key_hash(&person_key(n)), Some(&bank)).unwrap().unwrap()).collect()
}

/// Durable rows a second of the engine alone: batches of 256 rows of 300 bytes, random keys.
///
/// So many rows that its tables are written and merged too, as they are under the node.
fn engine_limit(rows: usize) -> f64 {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let db = fjall::Database::builder(dir.path()).open().unwrap();
    let rows_of = db.keyspace("rows", fjall::KeyspaceCreateOptions::default).unwrap();
    let start = Instant::now();
    for chunk in 0..rows / BATCH {
        let mut batch = db.batch().durability(Some(PersistMode::SyncData));
        for n in 0..BATCH {
            let key = hash::sha256(&[&((chunk * BATCH + n) as u64).to_be_bytes()]);
            batch.insert(&rows_of, key, [7u8; 300]);
        }
        batch.commit().unwrap();
    }
    rate(rows / BATCH * BATCH, start.elapsed())
}

pub fn run(table: &mut Table, size: Size) {
    let n = people(size);
    let ground = Ground::new();
    ground.ticking(|| rounds(table, &ground, n));
}

fn people(size: Size) -> u64 {
    if size == Size::Quick { 10_240 } else { 30_720 }
}

/// The engine alone, and the node without signatures beside it.
pub fn run_engine(table: &mut Table, size: Size) {
    let ground = Ground::new();
    let rows = if size == Size::Quick { 200_000 } else { 1_000_000 };
    ground.ticking(|| engine(table, &ground, people(size), rows));
}

/// One phase: statements sent, and what verification alone does just before and after.
#[derive(Default)]
struct Phase {
    rates: Vec<f64>,
    limits: Vec<f64>,
    ratios: Vec<f64>,
    /// Processor time of the whole process, client and all, in µs a statement.
    spent: Vec<f64>,
}

impl Phase {
    fn run(&mut self, addr: SocketAddr, items: &[Vec<u8>]) {
        let before = verify_limit();
        let spent = processor_s();
        let measured = rate(items.len(), send(addr, items));
        self.spent.push((processor_s() - spent) * 1e6 / items.len() as f64);
        let limit = f64::midpoint(before, verify_limit());
        self.rates.push(measured);
        self.limits.push(limit);
        self.ratios.push(measured / limit);
    }
}

/// Processor time of this process so far, in seconds.
fn processor_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system, in ticks of 10 ms: fields 14 and 15 of proc(5), two of which stand before the `)`.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn rounds(table: &mut Table, ground: &Ground, n: u64) {
    let running = ground.serve();
    let mut phases: [Phase; 3] = Default::default();
    let [enrolments, grants, withdrawals] = &mut phases;
    for round in 0..3u64 {
        let people = round * n..(round + 1) * n;
        let creates = on_both(people.clone(), |n| sign(&ground.world.key_create(), &person_key(n)));
        enrolments.run(running.addr(), &creates);
        let ppids = ppids(ground, people.clone());
        let of = |n: u64| ppids[(n - people.start) as usize];
        let items =
            on_both(people.clone(), |n| sign(&ground.world.grant(of(n), None).into(), &person_key(n)));
        grants.run(running.addr(), &items);
        let items = on_both(people.clone(), |n| sign(&ground.world.withdraw(of(n)), &person_key(n)));
        withdrawals.run(running.addr(), &items);
    }
    for (mut phase, what) in phases.into_iter().zip(["enrolments", "grants", "withdrawals"]) {
        let limit = median(&mut phase.limits);
        table.row(
            &format!("{what}/s, verified and durable, batches of {BATCH} over HTTP (required 0.5)"),
            &format!("{:.0}", median(&mut phase.rates)),
            &format!(
                "{limit:.0} `verify_strict`/s on two cores, {:.0} µs of a core each; \
                 here {:.0} µs, client and all",
                2e6 / limit,
                median(&mut phase.spent)
            ),
            &format!("{:.2}", median(&mut phase.ratios)),
        );
    }
}

/// Pre-verified grants through placing, sealing, judging and the durable append.
fn engine(table: &mut Table, ground: &Ground, n: u64, rows: usize) {
    let (mut rates, mut ratios, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..3 {
        let people = round * n..(round + 1) * n;
        let open = |item: Vec<u8>| naru::identity::open(&item).unwrap();
        let creates = on_both(people.clone(), |n| open(sign(&ground.world.key_create(), &person_key(n))));
        record(ground, creates);
        let ppids = ppids(ground, people.clone());
        let grants = on_both(people.clone(), |n| {
            let ppid = ppids[(n - people.start) as usize];
            open(sign(&ground.world.grant(ppid, None).into(), &person_key(n)))
        });
        let limit = engine_limit(rows);
        let start = Instant::now();
        record(ground, grants);
        let measured = rate(n as usize, start.elapsed());
        rates.push(measured);
        limits.push(limit);
        ratios.push(measured / limit);
    }
    table.row(
        "pre-verified grants/s: placed, sealed, judged, durable, in process (required 0.16)",
        &format!("{:.0}", median(&mut rates)),
        &format!(
            "{:.0} durable 300-byte rows/s of the engine, {rows} in batches of {BATCH}",
            median(&mut limits)
        ),
        &format!("{:.2}", median(&mut ratios)),
    );
}

fn record(ground: &Ground, items: Vec<Verified<Statement>>) {
    let mut items = items.into_iter().peekable();
    let mut tickets = std::collections::VecDeque::new();
    while items.peek().is_some() {
        tickets.push_back(ground.node.submit_verified(items.by_ref().take(BATCH).collect()));
        if tickets.len() > 8 {
            tickets.pop_front().unwrap().wait().into_iter().for_each(|o| drop(o.unwrap()));
        }
    }
    for ticket in tickets {
        ticket.wait().into_iter().for_each(|o| drop(o.unwrap()));
    }
}
