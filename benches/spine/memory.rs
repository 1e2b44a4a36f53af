//! What writing and checking an archive takes, of a thousand things and of up to a million.
//!
//! The bar: the same. The peak is the kernel's (`VmHWM`, reset before each pass), less what was resident
//! before: so all of this process counts, the store and the page of the use log, too. Before the passes that count
//! one over the many things has filled what is filled once, the engine's cache of blocks above all. Medians of three
//! passes: what the engine's own threads do meanwhile counts in one of them, and the kernel's count is off by some
//! pages a core. Measured in a process of its own, whose allocator gives back at once what is freed: else one pass
//! would hide in what an earlier one left.
//!
//! The store lies in memory where the system has a folder for that: bringing a million items is no part of
//! what is measured, and each of them waits for the disk. Files of that folder are no memory of the process.

use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use naru::audit::archive;
use naru::ledger::key::Signer as _;
use naru::model::statement::ConsentGrant;
use naru::model::statement::Shown;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Asker;
use naru::node::deposit::Deposit;
use naru::node::deposit::MOST_ITEMS;
use naru::store::fjall::Fjall;

use crate::Size;
use crate::Table;
use crate::archive::enrolled;
use crate::archive::noise;
use crate::archive::publish;
use crate::archive::recorded;
use crate::archive::wish;
use crate::median;
use crate::support::LOG;
use crate::support::OPERATOR;
use crate::support::ORIGIN;
use crate::support::endorse;
use crate::support::key_hash;
use crate::support::party;
use crate::support::person_key;
use crate::support::sign;
use crate::support::signer;
use crate::writes::Ground;

const FEW: u64 = 1_000;
/// Bytes of an item.
const ITEM: usize = 100;
/// Threads that bring items.
const DEPOSITORS: u64 = 8;
/// How long the allocator keeps what is freed, ms: read when the process begins.
const PURGE: &str = "MIMALLOC_PURGE_DELAY";

/// A line of `/proc/self/status`, MiB; 0 where there is none.
fn status_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

pub fn run(table: &mut Table, size: Size) {
    let (args, controllers, each, uses): (&[&str], u8, u64, u64) = match size {
        Size::Quick => (&["--quick"], 1, 3_000, 5_000),
        Size::Usual => (&[], 10, MOST_ITEMS, 100_000),
        Size::Long => (&["--long"], 100, MOST_ITEMS, 1_000_000),
    };
    if std::env::var_os(PURGE).is_none() {
        return alone(table, args);
    }
    brought(table, controllers, each);
    used(table, uses);
}

/// The same in a process of its own.
fn alone(table: &mut Table, args: &[&str]) {
    let mut own = Command::new(std::env::current_exe().unwrap());
    let own = own.args(args).arg("--only=memory").env(PURGE, "0").stdout(Stdio::piped());
    let mut child = own.spawn().unwrap();
    let said = io::BufReader::new(child.stdout.take().unwrap());
    for line in said.lines().map(Result::unwrap).filter(|line| line.starts_with("| peak")) {
        table.line(&line);
    }
    assert!(child.wait().unwrap().success());
}

/// Peaks of writing and of checking the archives of persons 1 and 2, MiB.
fn peaks(ground: &Ground) -> [[f64; 2]; 2] {
    // On the disk: an archive may be longer than memory has room for.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |n: u64| folder.path().join(format!("{n}.zip"));
    let write = |n: u64| {
        let mut out = io::BufWriter::new(File::create(path(n)).unwrap());
        ground.node.export(&key_hash(&person_key(n)), None).unwrap().write(&mut out).unwrap();
        out.flush().unwrap();
    };
    let check = |n: u64| {
        let mut file = io::BufReader::new(File::open(path(n)).unwrap());
        archive::verify(&mut file, signer(LOG).public(), ORIGIN, None).unwrap();
    };
    let once = |work: &dyn Fn(u64), n: u64| {
        // Without the right to reset it the peak is that of the whole process, and says so by its size.
        let _reset = std::fs::write("/proc/self/clear_refs", "5");
        let before = status_mib("VmRSS:");
        work(n);
        status_mib("VmHWM:") - before
    };
    let peak = |work: &dyn Fn(u64), n: u64| median(&mut [(); 3].map(|()| once(work, n)));
    write(2);
    [[1, 2].map(|n| peak(&write, n)), [1, 2].map(|n| peak(&check, n))]
}

fn tell(table: &mut Table, what: &str, ground: &(Ground, Arc<Fjall>), (few, many): (u64, u64)) {
    // What is still in the engine's tables in memory goes to the disk now, and not in the middle of a pass.
    ground.1.flush().unwrap();
    let [writing, checking] = peaks(&ground.0);
    for (act, [low, high]) in [("writing", writing), ("checking", checking)] {
        table.row(
            &format!("peak memory of {act} an archive of {few} and of {many} {what}"),
            &format!("{low:.1} and {high:.1} MiB"),
            "bar: the same",
            &format!("{:.2}", high.max(0.1) / low.max(0.1)),
        );
    }
}

/// Items that as many controllers brought of person 2 as are needed, and a thousand of person 1.
fn brought(table: &mut Table, controllers: u8, each: u64) {
    let made = Ground::in_memory();
    let ground = &made.0;
    let node = &ground.node;
    for n in 0..controllers {
        let (controller, key) = (party(&format!("source-{n}")), signer(100 + n));
        let register = ground.world.register(controller.as_str(), vec![Role::Controller], false);
        recorded(ground, endorse(&sign(&register, &key), OPERATOR));
        let notice = ground.world.notice_of(controller.as_str(), 1, &[DataClass::RealName]);
        let notice =
            Shown { id: recorded(ground, sign(&notice, &key)), hash: ground.world.text, locale: "ko".into() };
        let few = if n == 0 { FEW } else { 0 };
        for (person, items) in [(1, few), (2, each)] {
            let ppid = enrolled(ground, person, &controller);
            let grant = ConsentGrant {
                controller: controller.clone(),
                notice: notice.clone(),
                ..ground.world.grant(ppid, None)
            };
            recorded(ground, sign(&grant.into(), &person_key(person)));
            // Many at a time: each waits for the sequencer.
            std::thread::scope(|scope| {
                for first in 0..DEPOSITORS {
                    let (controller, clock) = (&controller, &ground.world.clock);
                    scope.spawn(move || {
                        for item in (first..items).step_by(DEPOSITORS as usize) {
                            clock.set(clock.now().plus_ms(1));
                            let wish = wish(controller, ppid, item, noise(item, ITEM));
                            assert!(matches!(node.deposit(&wish).unwrap(), Deposit::New(_)));
                        }
                    });
                }
            });
        }
    }
    publish(ground);
    tell(table, "items by source", &made, (FEW, each * u64::from(controllers)));
}

/// Use lines of two persons.
fn used(table: &mut Table, many: u64) {
    let made = Ground::in_memory();
    let ground = &made.0;
    let (node, bank) = (&ground.node, party("bank"));
    for (n, count) in [(1, FEW), (2, many)] {
        let asked = ground.world.ask(enrolled(ground, n, &bank), Action::Use);
        for n in 0..count {
            // Some hundred within a millisecond, as one thread asks; lines of one instant are in memory together.
            if n % 256 == 0 {
                ground.world.advance(1);
            }
            let asker = Asker { party: &bank, signed: None };
            let _told = node.tell_in_memory(asker, &asked).unwrap_or_else(|| node.tell(asker, &asked));
        }
    }
    publish(ground);
    tell(table, "use lines", &made, (FEW, many));
}
