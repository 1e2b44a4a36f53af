//! Whether the time of an answer tells an unknown ppid from a foreign one, or from one without a statement.
//!
//! The three are asked in turn on one warm connection: a check that is denied, then a handover that is
//! refused. For each pair the area under the curve of the best time threshold is printed: 0.5 is a coin,
//! and the bar is 0.45 to 0.55.

use std::net::SocketAddr;
use std::time::Instant;

use naru::ledger::hash::sha256;
use naru::model::id::Ppid;

use crate::Size;
use crate::Table;
use crate::checks;
use crate::client;
use crate::client::Client;
use crate::support::CATEGORY;
use crate::support::PURPOSE;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::writes;
use crate::writes::Ground;

const PEOPLE: u64 = 64;
const SORTS: [&str; 3] = ["unknown", "foreign", "known without statement"];

/// Chance that a value of the second list is above one of the first, ties split. Both are sorted here.
fn auc(first: &mut [u64], second: &mut [u64]) -> f64 {
    first.sort_unstable();
    second.sort_unstable();
    let (mut below, mut upto, mut sum) = (0, 0, 0.0);
    for value in second.iter() {
        while first.get(below).is_some_and(|v| v < value) {
            below += 1;
        }
        upto = upto.max(below);
        while first.get(upto).is_some_and(|v| v <= value) {
            upto += 1;
        }
        sum += f64::midpoint(below as f64, upto as f64);
    }
    sum / (first.len() * second.len()) as f64
}

pub fn run(table: &mut Table, size: Size) {
    // The quick size is for a look at the harness only.
    let rounds: u64 = if size == Size::Quick { 2_000 } else { 10_000 };
    let ground = Ground::with(true);
    let running = ground.serve();
    let creates: Vec<_> = (0..PEOPLE).map(|n| sign(&ground.world.key_create(), &person_key(n))).collect();
    writes::send(running.addr(), &creates);
    let hospital = party("hospital");
    let foreign = |n| ground.node.ppid(&key_hash(&person_key(n)), Some(&hospital)).unwrap().unwrap();
    let unknown = |n: u64| {
        let drawn = sha256(&[b"nobody", &n.to_be_bytes()]);
        Ppid(drawn[..16].try_into().unwrap())
    };
    let sorts = [
        (0..PEOPLE).map(unknown).collect(),
        (0..PEOPLE).map(foreign).collect(),
        writes::ppids(&ground, 0..PEOPLE),
    ];
    let token = checks::token(&ground);
    let asked = |path: &str, status: u16, body: &dyn Fn(&Ppid) -> Vec<u8>| Asked {
        head: client::head(path, "application/json", Some(&token)),
        status,
        bodies: sorts.each_ref().map(|ppids: &Vec<Ppid>| ppids.iter().map(body).collect()),
    };
    let check = asked("/access/v1/evaluation", 200, &|ppid| checks::question(ppid));
    measure(table, &ground, running.addr(), rounds, ("check", &check));
    let handover = asked("/v1/handovers", 403, &wish);
    measure(table, &ground, running.addr(), rounds, ("handover", &handover));
}

/// What is sent again and again: three sorts of ppids, answered alike.
struct Asked {
    head: String,
    status: u16,
    bodies: [Vec<Vec<u8>>; 3],
}

/// The wish for a ppid that no grant hands over.
fn wish(ppid: &Ppid) -> Vec<u8> {
    let wish = serde_json::json!({
        "ppid": ppid.to_text(), "recipient": "hospital", "purpose": PURPOSE, "class": "real-name",
        "categories": [CATEGORY],
    });
    wish.to_string().into_bytes()
}

fn measure(table: &mut Table, ground: &Ground, addr: SocketAddr, rounds: u64, (what, asked): (&str, &Asked)) {
    let mut client = Client::new(addr);
    let mut times: [Vec<u64>; 3] = Default::default();
    ground.syncing(|| {
        for round in 0..PEOPLE * 4 + rounds {
            // Another order each time: who comes after whom must not be what is measured.
            for turn in 0..3 {
                let sort = ((round + turn * (1 + round / 3 % 2)) % 3) as usize;
                let person = (sha256(&[&round.to_be_bytes()])[0] as u64 % PEOPLE) as usize;
                let start = Instant::now();
                assert_eq!(client.post(&asked.head, &asked.bodies[sort][person]), asked.status);
                let took = start.elapsed().as_nanos() as u64;
                if round >= PEOPLE * 4 {
                    times[sort].push(took);
                }
            }
        }
    });
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let area = auc(&mut times[a].clone(), &mut times[b].clone());
        let middle = |of: &[u64]| of[of.len() / 2] as f64 / 1e3;
        times[a].sort_unstable();
        times[b].sort_unstable();
        table.row(
            &format!("AUC of time of a {what}, {} against {} (required 0.45 to 0.55)", SORTS[a], SORTS[b]),
            &format!("{area:.3}"),
            &format!("{rounds} each, p50 {:.1} / {:.1} µs", middle(&times[a]), middle(&times[b])),
            "-",
        );
    }
}
