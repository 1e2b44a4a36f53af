//! The export of a person with 1,000 events, beside writing the same bytes as one zip.
//!
//! The bar: below 300 ms, whatever stands in the log beside her.

use std::time::Instant;

use naru::node::Asker;
use naru::portability::Archive;
use naru::portability::Head;

use crate::Size;
use crate::Table;
use crate::median;
use crate::support::LOG;
use crate::support::ORIGIN;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::support::signer;
use crate::writes::Ground;

const STATEMENTS: usize = 300;
const USES: usize = 700;
const BAR_MS: f64 = 300.0;

pub fn run(table: &mut Table, size: Size) {
    let others: u64 = match size {
        Size::Quick => 10_000,
        Size::Usual => 200_000,
        Size::Long => 2_000_000,
    };
    let ground = Ground::with(true);
    let node = &ground.node;
    let bank = party("bank");
    let ask = |ppid| {
        let asked = ground.world.ask(ppid, naru::model::vocabulary::Action::Use);
        let asker = Asker { party: &bank, signed: None };
        node.tell_in_memory(asker, &asked).unwrap_or_else(|| node.tell(asker, &asked));
    };
    let enrol = |n: u64| {
        node.record(vec![sign(&ground.world.key_create(), &person_key(n))]).pop().unwrap().unwrap();
        node.ppid(&key_hash(&person_key(n)), Some(&bank)).unwrap().unwrap()
    };
    let (mine, beside) = (enrol(1), enrol(2));
    let acts = (1..STATEMENTS).map(|_| sign(&ground.world.withdraw(mine), &person_key(1))).collect();
    assert!(node.record(acts).iter().all(Result::is_ok));
    for n in 0..others {
        ask(beside);
        if n % (others / USES as u64).max(1) == 0 {
            ask(mine);
        }
    }
    ground.world.advance(1_000);
    node.sync_uses().unwrap();
    node.batch_uses().unwrap().unwrap().unwrap();
    node.tick().unwrap();
    let mut bytes = Vec::new();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            bytes.clear();
            let began = Instant::now();
            node.export(&key_hash(&person_key(1)), None).unwrap().write(&mut bytes).unwrap();
            began.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    let took = median(&mut times);
    let began = Instant::now();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut archive = Archive::new(&mut plain, Head { origin: ORIGIN.into(), size: 2, root: [0; 32] });
    let piece = bytes.len() / (STATEMENTS * 2 + USES);
    for (n, content) in bytes.chunks(piece.max(1)).enumerate() {
        archive.file(&format!("data/{n}"), content).unwrap();
    }
    archive.finish(naru::model::id::Timestamp(0), &signer(LOG)).unwrap();
    let limit = began.elapsed().as_secs_f64() * 1_000.0;
    let what = format!("export of 1,000 events beside {others} lines, {} KiB", bytes.len() >> 10);
    table.row(
        &what,
        &format!("{took:.1} ms"),
        &format!("bar {BAR_MS} ms; a plain zip {limit:.1} ms"),
        &format!("{:.2}", took / BAR_MS),
    );
}
