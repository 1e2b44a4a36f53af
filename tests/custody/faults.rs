//! Failures and power losses in the middle of an erasure: neither a half-erased person nor a lost record.

use naru::model::decision::Reason;
use naru::model::id::Ppid;
use naru::store::Name;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::When;
use naru::vault::Pointed;
use naru::vault::Suite;

use crate::erasure::demand;
use crate::erasure::granted;
use crate::erasure::nothing_is_left;
use crate::erasure::who;
use crate::fsck_of;
use crate::holds::case;
use crate::holds::place;
use crate::stop;
use crate::support::*;

const CALLS: [Call; 9] = [
    Call::Append,
    Call::Project,
    Call::Put,
    Call::Barrier,
    Call::Forget,
    Call::Bodies,
    Call::Locate,
    Call::Rows,
    Call::Integrate,
];

struct Scene {
    world: World,
    hers: Pointed,
    bank: Ppid,
    own: Ppid,
}

/// Two persons with a grant each; the first is about to be erased.
fn scene(synced: bool) -> Scene {
    let world = World::new();
    granted(&world, 1);
    granted(&world, 2);
    let (bank, own) = (world.ppid(1, Some("bank")), world.ppid(1, None));
    world.node().tick().unwrap();
    if synced {
        world.memory.sync();
    }
    let hers = who(&world, 1);
    Scene { world, hers, bank, own }
}

/// The power goes, and the next start finds what was durable.
fn start(scene: &mut Scene) -> bool {
    drop(scene.world.node.take());
    scene.world.memory.faults().clear();
    scene.world.memory = scene.world.memory.reopen();
    scene.world.node = Some(scene.world.open().unwrap());
    let ready = scene.world.node().readiness() == naru::node::Readiness::Ready;
    assert!(ready, "{:?}", scene.world.node().readiness());
    scene.world.node().tick().unwrap();
    ready
}

/// She is whole or gone; the other is whole; the data is sound.
#[track_caller]
fn whole_or_gone(scene: &mut Scene, acked: bool, at: &str) {
    let hers = scene.world.check(scene.bank).decision.reason;
    let other = scene.world.ppid(2, Some("bank"));
    assert_eq!(scene.world.check(other).decision.reason, Reason::ConsentGiven, "{at}: the other");
    let here = hers == Reason::ConsentGiven;
    assert!(!(here && acked), "{at}: she was told, and is here");
    if here {
        let again = sign(&scene.world.withdraw(scene.bank), &person_key(1));
        scene.world.accept(again);
    } else {
        let key = Name::Key(key_hash(&person_key(1)).0);
        let names = [key, Name::Ppid(scene.bank.0), Name::Ppid(scene.own.0)];
        nothing_is_left(&scene.world, scene.hers, &names);
    }
    stop(&mut scene.world);
    let report = fsck_of(&scene.world);
    assert_eq!(report.faults, [], "{at}");
    assert_eq!((report.erased > 0, report.unerased), (!here, 0), "{at}");
}

#[test]
fn a_failure_at_every_call_of_an_erasure_leaves_her_whole_or_gone() {
    for call in CALLS {
        for when in [When::Before, When::Middle, When::After] {
            for skip in 0..40 {
                let mut scene = scene(skip % 2 == 0);
                let item = demand(&scene.world, 1);
                scene.world.memory.faults().fail_after(call, skip, when, Fault::Eio);
                let outcome = scene.world.submit(item);
                let _stopped = scene.world.node().tick();
                let struck = scene.world.memory.faults().left() == 0;
                let at = format!("{call:?} {when:?} {skip}");
                start(&mut scene);
                whole_or_gone(&mut scene, outcome.is_ok(), &at);
                if !struck {
                    assert!(skip > 0, "{call:?} was never called");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_second_failure_while_the_start_carries_it_out_changes_nothing() {
    let first = [(Call::Forget, 0), (Call::Barrier, 1)];
    for (call, skip) in first {
        for second in [Call::Forget, Call::Barrier, Call::Project, Call::Put, Call::Commits, Call::Rows] {
            for when in [When::Before, When::Middle, When::After] {
                for later in 0..12 {
                    let mut scene = scene(true);
                    let item = demand(&scene.world, 1);
                    scene.world.memory.faults().fail_after(call, skip, When::Before, Fault::Eio);
                    let outcome = scene.world.submit(item);
                    drop(scene.world.node.take());
                    scene.world.memory.faults().clear();
                    scene.world.memory = scene.world.memory.reopen();
                    scene.world.memory.faults().fail_after(second, later, when, Fault::Eio);
                    let opened = scene.world.open();
                    let struck = scene.world.memory.faults().left() == 0;
                    if let Ok(node) = &opened {
                        let _stopped = node.tick();
                    }
                    drop(opened);
                    start(&mut scene);
                    let at = format!("{call:?} {skip}, then {second:?} {when:?} {later}");
                    whole_or_gone(&mut scene, outcome.is_ok(), &at);
                    if !struck {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn an_erasure_broken_off_is_carried_out_across_a_rotation() {
    for call in [Call::Forget, Call::Barrier] {
        let mut scene = scene(true);
        scene.world.memory.faults().fail_next(call, When::Before, Fault::Eio);
        let outcome = scene.world.submit(demand(&scene.world, 1));
        start(&mut scene);
        scene.world.node().rotate(Suite::default()).unwrap();
        whole_or_gone(&mut scene, outcome.is_ok(), "rotated");
    }
}

/// A person is erased while a case holds her grant: whole, or erased with the record kept, and then gone.
#[test]
fn a_failure_at_every_call_of_an_erasure_under_a_hold_loses_nothing_of_the_case() {
    for call in [Call::Append, Call::Put, Call::Barrier, Call::Forget, Call::Project] {
        for when in [When::Before, When::Middle, When::After] {
            for skip in 0..60 {
                let world = World::new();
                let grant = granted(&world, 1);
                let case = case(&world);
                let (bank, own) = (world.ppid(1, Some("bank")), world.ppid(1, None));
                let until = world.now().plus_ms(30 * DAY);
                world.accept(place(&world, case, &[grant.id], until));
                world.node().tick().unwrap();
                world.memory.sync();
                let hers = who(&world, 1);
                let mut scene = Scene { world, hers, bank, own };
                let item = demand(&scene.world, 1);
                scene.world.memory.faults().fail_after(call, skip, when, Fault::Eio);
                let outcome = scene.world.submit(item);
                let _stopped = scene.world.node().tick();
                let struck = scene.world.memory.faults().left() == 0;
                let at = format!("{call:?} {when:?} {skip}");
                start(&mut scene);
                let here = scene.world.check(bank).decision.reason == Reason::ConsentGiven;
                assert!(!(here && outcome.is_ok()), "{at}: she was told, and is here");
                let regulator = naru::node::Caller::Party(party("pipc"));
                scene.world.advance(1_000);
                scene.world.node().tick().unwrap();
                let shown = scene.world.node().evidence(&grant.id, Some(&regulator)).unwrap();
                let opens = matches!(shown, naru::node::Shown::Evidence(_));
                assert_eq!(opens, !here, "{at}: kept for the case if she is gone");
                stop(&mut scene.world);
                let report = fsck_of(&scene.world);
                assert_eq!((report.faults, report.held), (vec![], u64::from(!here)), "{at}");
                if !struck {
                    assert!(skip > 0, "{call:?} was never called");
                    break;
                }
            }
        }
    }
}
