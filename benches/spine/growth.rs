//! How things grow: bytes on disk a statement, resident memory, time to open again.

use std::sync::Arc;
use std::time::Instant;

use naru::model::statement::ErasureDemand;
use naru::model::statement::Kind;
use naru::model::statement::V1;
use naru::node::Node;
use naru::store::Store;
use naru::store::fjall::Fjall;
use naru::vault::Vault;

use crate::Size;
use crate::Table;
use crate::median;
use crate::support::key_hash;
use crate::support::keys;
use crate::support::master;
use crate::support::nonce;
use crate::support::person_key;
use crate::support::settings;
use crate::support::sign;
use crate::writes::Ground;
use crate::writes::on_both;

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn disk_bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| if p.is_dir() { disk_bytes(&p) } else { p.metadata().map_or(0, |m| m.len()) }).sum()
}

pub fn run(table: &mut Table, size: Size) {
    let sizes: &[u64] = match size {
        Size::Quick => &[20_000, 100_000],
        Size::Usual => &[100_000, 1_000_000],
        Size::Long => &[100_000, 1_000_000, 10_000_000],
    };
    let mut ground = Ground::new();
    let (mut have, mut erased) = (0, 0);
    for n in sizes {
        let mut from = have;
        while from < *n {
            let until = (from + 25_600).min(*n);
            let items = on_both(from..until, |n| {
                naru::identity::open(&sign(&ground.world.key_create(), &person_key(n))).unwrap()
            });
            let mut items = items.into_iter().peekable();
            while items.peek().is_some() {
                let batch = items.by_ref().take(1_024).collect();
                ground.node.submit_verified(batch).wait().into_iter().for_each(|o| drop(o.unwrap()));
            }
            ground.node.tick().unwrap();
            from = until;
        }
        have = *n;
        let resident = resident_mib();
        // The second handle of the world goes, then the last: the node closes.
        let Ground { world, node, dir } = ground;
        drop(Arc::into_inner(node).unwrap());
        let bytes = disk_bytes(dir.path()) + disk_bytes(world.dir.path());
        let start = Instant::now();
        let store: Arc<dyn Store> = Arc::new(Fjall::open(dir.path().join("store")).unwrap());
        let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let node = Node::open(settings(&world.dir), store, vault, keys(), world.clock.clone()).unwrap();
        let opened = start.elapsed();
        table.row(
            &format!("{n} enrolments: disk, memory, opening"),
            &format!("{:.0} bytes each on disk", bytes as f64 / *n as f64),
            &format!("{resident:.0} MiB resident (with the load's own)"),
            &format!("opened in {:.2} s", opened.as_secs_f64()),
        );
        ground = Ground { world, node: Arc::new(node), dir };
        erasing(table, &ground, &mut erased, *n);
    }
}

/// From a demand to its answer, which leaves after destruction; it must not grow with the ledger.
fn erasing(table: &mut Table, ground: &Ground, erased: &mut u64, among: u64) {
    let mut times: Vec<f64> = (*erased..*erased + 5)
        .map(|n| {
            let key = person_key(n);
            let ppid = ground.node.ppid(&key_hash(&key), None).unwrap().unwrap();
            let (v, kind, iat) = (V1, Kind::ErasureDemand, ground.world.now());
            let item = sign(&ErasureDemand { v, kind, iat, nonce: nonce(), ppid }.into(), &key);
            let start = Instant::now();
            let accepted = ground.node.record(vec![item]).pop().unwrap().unwrap();
            assert!(accepted.erasure.is_some());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    *erased += 5;
    table.row(
        &format!("erasing one of {among} persons (required below 1 s, whatever the ledger's size)"),
        &format!("{:.1} ms", median(&mut times)),
        "median of 5, demanded, certified, destroyed, answered",
        "-",
    );
}
