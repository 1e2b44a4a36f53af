//! The policy source's own figure, open loop: 4,000 verified durable statements a second, then twice that.
//!
//! Every person grants and withdraws in turn; nothing acknowledged may be lost, what cannot be taken is
//! refused by 503 and not counted as done.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use naru::identity;
use naru::model::id::Ppid;
use naru::model::id::StatementId;

use crate::Size;
use crate::Table;
use crate::client;
use crate::client::Client;
use crate::support::World;
use crate::support::person_key;
use crate::support::sign;
use crate::writes;
use crate::writes::Ground;

/// Connections, each with one batch under way at most.
const THREADS: u64 = 16;
const BATCH: u64 = 40;

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    acked: AtomicU64,
    refused: AtomicU64,
    late_us: AtomicU64,
    worst_us: AtomicU64,
}

/// One person's turn: grant, then withdraw, then grant again over the withdrawal.
struct Citizen {
    n: u64,
    ppid: Ppid,
    over: Option<StatementId>,
    granted: bool,
}

impl Citizen {
    fn next(&mut self, world: &World) -> Vec<u8> {
        let key = person_key(self.n);
        if self.granted {
            sign(&world.withdraw(self.ppid), &key)
        } else {
            sign(&world.grant(self.ppid, self.over).into(), &key)
        }
    }

    fn done(&mut self, item: &[u8]) {
        self.over = Some(identity::reload(item).unwrap().1.id);
        self.granted = !self.granted;
    }
}

fn drive(
    addr: SocketAddr,
    world: &World,
    citizens: &mut [Citizen],
    start: Instant,
    gap: Duration,
    time: Duration,
    counts: &Counts,
) {
    let mut client = Client::new(addr);
    let head = client::head("/v1/statements:batch", "application/cbor-seq", None);
    let (mut due, mut at) = (start, 0);
    while due < start + time {
        let who: Vec<usize> = (0..BATCH as usize).map(|i| (at + i) % citizens.len()).collect();
        at = (at + BATCH as usize) % citizens.len();
        let items: Vec<_> = who.iter().map(|i| citizens[*i].next(world)).collect();
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        assert_eq!(client.post(&head, &items.concat()), 200);
        let took = u64::try_from(due.elapsed().as_micros()).unwrap();
        counts.late_us.fetch_add(took, Ordering::Relaxed);
        counts.worst_us.fetch_max(took, Ordering::Relaxed);
        let mut rest = client.body.as_slice();
        for (i, item) in who.iter().zip(&items) {
            let (answer, after) = naru::ledger::cbor::split_first(rest).unwrap();
            rest = after;
            let has = |marker: &[u8]| answer.windows(marker.len()).any(|w| w == marker);
            counts.sent.fetch_add(1, Ordering::Relaxed);
            if has(b"\x66status\x18\xc9") {
                counts.acked.fetch_add(1, Ordering::Relaxed);
                citizens[*i].done(item);
            } else {
                assert!(has(b"\x66status\x19\x01\xf7"), "{}", String::from_utf8_lossy(answer));
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        due += gap;
    }
}

fn phase(ground: &Ground, addr: SocketAddr, citizens: &mut [Citizen], per_s: u64, time: Duration) -> Counts {
    let counts = Counts::default();
    let share = citizens.len() / THREADS as usize;
    let between = Duration::from_secs_f64(BATCH as f64 / per_s as f64);
    let gap = between.mul_f64(THREADS as f64);
    let mut start = Instant::now();
    std::thread::scope(|scope| {
        for mine in citizens.chunks_mut(share) {
            let counts = &counts;
            scope.spawn(move || drive(addr, &ground.world, mine, start, gap, time, counts));
            // One after another, not all at once.
            start += between;
        }
    });
    counts
}

pub fn run(table: &mut Table, size: Size) {
    let people: u64 = if size == Size::Quick { 4_000 } else { 40_000 };
    let (calm, storm) = if size == Size::Quick { (20, 10) } else { (600, 60) };
    let ground = Ground::new();
    let running = ground.serve();
    let creates = writes::on_both(0..people, |n| sign(&ground.world.key_create(), &person_key(n)));
    writes::send(running.addr(), &creates);
    let ppids = writes::ppids(&ground, 0..people);
    let mut citizens: Vec<_> =
        (0..people).map(|n| Citizen { n, ppid: ppids[n as usize], over: None, granted: false }).collect();
    let before = ground.node.sequenced();
    let mut acked = 0;
    ground.ticking(|| {
        for (per_s, seconds) in [(4_000, calm), (8_000, storm)] {
            let time = Duration::from_secs(seconds);
            let start = Instant::now();
            let counts = phase(&ground, running.addr(), &mut citizens, per_s, time);
            // Longer than was due, if it fell behind.
            let took = start.elapsed().as_secs_f64();
            let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
            acked += get(&counts.acked);
            let mean_ms = get(&counts.late_us) as f64 / 1e3 / (get(&counts.sent) / BATCH).max(1) as f64;
            let worst = get(&counts.worst_us) as f64 / 1e3;
            table.row(
                &format!("open loop, {per_s} statements/s due for {seconds} s"),
                &format!("{:.0}/s durable", get(&counts.acked) as f64 / took),
                &format!(
                    "{} sent in {took:.1} s, {} refused by 503",
                    get(&counts.sent),
                    get(&counts.refused)
                ),
                &format!("batch of {BATCH}: mean {mean_ms:.1} ms, worst {worst:.0} ms"),
            );
        }
    });
    assert_eq!(ground.node.sequenced() - before, acked, "acknowledged and recorded differ");
    table.row(
        "acknowledged in the open loop and lost",
        "0",
        &format!("{acked} acknowledged, {acked} in the log"),
        "-",
    );
}
