//! Decisions a second on one core: the pure function alone, on a person who has granted.

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use naru::consent::Actor;
use naru::consent::Effect;
use naru::consent::Person;
use naru::consent::decide_here;
use naru::identity::Recorded;
use naru::model::id::SubjectId;
use naru::model::statement::Statement;
use naru::model::vocabulary::Action;

use crate::Table;
use crate::median;
use crate::rate;
use crate::support::World;
use crate::support::person_key;
use crate::support::sign;

pub fn run(table: &mut Table) {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let register = world.node().register();
    let mut person = Person::new(SubjectId([1; 16]));
    let statements: [Statement; 2] = [world.key_create(), world.grant(ppid, None).into()];
    for (index, statement) in (100u64..).zip(statements) {
        let opened = naru::identity::open(&sign(&statement, &person_key(1))).unwrap();
        let recorded = Recorded::assertion(statement, opened.signed().clone(), index, world.now());
        assert!(matches!(person.apply(&register, &Actor::Own, &recorded), Effect::Applied(_)));
    }
    let (question, at) = (world.ask(ppid, Action::Use).question, world.now());
    assert!(decide_here(&register, Some(&person), &question, at).permits());
    let mut rates: Vec<f64> = (0..3)
        .map(|_| {
            let (start, mut n) = (Instant::now(), 0);
            while start.elapsed() < Duration::from_millis(500) {
                for _ in 0..1_000 {
                    black_box(decide_here(&register, Some(&person), black_box(&question), at));
                }
                n += 1_000;
            }
            rate(n, start.elapsed())
        })
        .collect();
    table.row(
        "decisions/s in process, one core: packs chosen, one slot, a permit (required 2,000,000)",
        &format!("{:.0}", median(&mut rates)),
        "-",
        "-",
    );
    drop(world.node.take());
}
