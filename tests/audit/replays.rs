//! Adoptions that say what the past comes to under them: true ones, and lies.

use naru::audit::adoption::Asked;
use naru::audit::adoption::Report;
use naru::audit::adoption::Verdict;
use naru::consent::PackRef;
use naru::consent::Trial;
use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::Timestamp;
use naru::model::statement::ReplayOf;
use naru::model::statement::Replayed;
use naru::node::Refusal;
use naru::node::fsck;

use crate::Copy;
use crate::adoption;
use crate::findings;
use crate::objectors;
use crate::smuggle;
use crate::stop;
use crate::strict_pack;
use crate::support::*;
use crate::with_data;

/// The report of the strict pack over everything the world has seen, as `naru packs replay` writes it.
fn strict_report(world: &World) -> Report {
    let file = naru::node::read_pack(strict_pack().as_bytes()).unwrap();
    let pack = PackRef { name: "strict".into(), version: 1, hash: file.hash };
    let mut trial = Trial::of(&file.pack);
    let span = (Timestamp(0), world.now());
    let (report, _) = with_data(world, |data| {
        fsck::replay(data, ReplayOf::Acts, &mut trial, span, &mut |_, _| {}).unwrap()
    });
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    let size = report.counts.entries;
    Report::of(&pack, Asked { of: ReplayOf::Acts, span, size, instead_of: Vec::new() }, &trial)
}

#[test]
fn an_adoption_says_what_the_past_comes_to_and_a_lie_is_found() {
    let mut world = World::new();
    objectors(&world);
    world.node().tick().unwrap();
    world.advance(1_000);
    stop(&mut world);
    let report = strict_report(&world);
    assert_eq!((report.asked, report.changed, report.changes.len()), (3 * 2 * 4, 3, 1));
    world.reopen();
    let hash = world.node().attach(strict_pack().as_bytes()).unwrap();
    let attached = world.node().attach(&report.bytes().unwrap()).unwrap();
    let figure = report.figure().unwrap();
    assert_eq!(figure.report, attached);
    let from = START + 9 * DAY;
    // What cannot be is refused.
    for spoil in [
        &(|r: &mut Replayed| r.changed = r.asked + 1) as &dyn Fn(&mut Replayed),
        &|r| r.size = 9_999,
        &|r| r.until = Timestamp(from),
        &|r| (r.from, r.until) = (r.until, r.from),
    ] {
        let mut bad = figure.clone();
        spoil(&mut bad);
        let refusal = world.refuse(adoption(&world, hash, from, Some(bad)));
        assert!(matches!(refusal, Refusal::Inert(Why::Replay)), "{refusal}");
    }
    let absent = Replayed { report: Hash([8; 32]), ..figure.clone() };
    let refusal = world.refuse(adoption(&world, hash, from, Some(absent)));
    assert!(matches!(refusal, Refusal::Inert(Why::AttachmentMissing)), "{refusal}");

    world.accept(adoption(&world, hash, from, Some(figure.clone())));
    world.node().tick().unwrap();
    let audited = Copy::of(world.node()).audit();
    assert!(audited.is_clean(), "{:?}", findings(&audited));
    let [adopted] = &audited.adopted[..] else { panic!("{:?}", audited.adopted) };
    assert_eq!(adopted.replay.as_ref(), Some(&figure));
    assert_eq!(judged(&mut world), [Verdict::True]);
}

#[test]
fn a_figure_that_is_not_the_pasts_is_false() {
    // A report that agrees with itself and with the statement, and lies: only the data shows it.
    let mut world = World::new();
    objectors(&world);
    world.advance(1_000);
    stop(&mut world);
    let mut lie = strict_report(&world);
    (lie.changed, lie.changes) = (0, Vec::new());
    world.reopen();
    let hash = world.node().attach(strict_pack().as_bytes()).unwrap();
    world.node().attach(&lie.bytes().unwrap()).unwrap();
    world.accept(adoption(&world, hash, START + 9 * DAY, Some(lie.figure().unwrap())));
    world.node().tick().unwrap();
    assert!(Copy::of(world.node()).audit().is_clean(), "nobody without the data can know");
    assert_eq!(judged(&mut world), [Verdict::False]);
}

#[test]
fn a_report_that_is_not_the_adoptions_is_found_by_anybody() {
    let mut world = World::new();
    objectors(&world);
    world.advance(1_000);
    stop(&mut world);
    let report = strict_report(&world);
    world.reopen();
    let hash = world.node().attach(strict_pack().as_bytes()).unwrap();
    let attached = world.node().attach(&report.bytes().unwrap()).unwrap();
    let said = Replayed { changed: 1, ..report.figure().unwrap() };
    let item = adoption(&world, hash, START + 9 * DAY, Some(said));
    // An honest node does not take it; one that does is seen.
    assert!(matches!(world.refuse(item.clone()), Refusal::Inert(Why::Replay)));
    world.enrol(4);
    smuggle(&mut world, &[item]);
    world.node().tick().unwrap();
    let told = findings(&Copy::of(world.node()).audit());
    let place = format!("attachments/{attached}: is not the replay that entry");
    assert!(told.len() == 1 && told[0].starts_with(&place), "{told:?}");
    assert_eq!(judged(&mut world), [Verdict::False]);
}

/// What the operator's own data says of the figures of its adoptions.
fn judged(world: &mut World) -> Vec<Verdict> {
    stop(world);
    let checked = with_data(world, |data| fsck::check_adopted(data, &mut |_, _| {}).unwrap());
    checked.into_iter().map(|one| one.again.unwrap().0).collect()
}
