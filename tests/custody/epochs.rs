//! Rotation of the wrapping epoch: while serving, broken off anywhere, and for good.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use naru::model::decision::Reason;
use naru::node::Rotated;
use naru::store::Name;
use naru::store::Store;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::When;
use naru::vault::Suite;

use crate::fsck_of;
use crate::stop;
use crate::support::*;

const PERSONS: u64 = 5;

/// Persons with a grant each, and the item of the first one's.
fn granted() -> (World, Vec<u8>) {
    let world = World::new();
    let mut first = None;
    for n in 1..=PERSONS {
        let ppid = world.enrol(n);
        let item = sign(&world.grant(ppid, None).into(), &person_key(n));
        world.accept(item.clone());
        first.get_or_insert(item);
    }
    world.node().tick().unwrap();
    (world, first.unwrap())
}

/// Everybody is found, permitted and may act; what was said is known; the data is sound.
fn all_stands(world: &mut World, first: &[u8]) {
    for forget in [false, true] {
        if forget {
            world.node().forget_caches();
        }
        for n in 1..=PERSONS {
            let ppid = world.ppid(n, Some("bank"));
            assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven, "person {n}");
        }
    }
    assert!(world.accept(first.to_vec()).duplicate);
    let other = world.ppid(2, Some("hospital"));
    assert_eq!(world.ppid(2, Some("hospital")), other);
    stop(world);
    assert_eq!(fsck_of(world).faults, []);
    world.node = Some(world.open().unwrap());
}

fn epoch_files(world: &World) -> Vec<String> {
    let files = std::fs::read_dir(world.dir.path().join("vault")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("epoch-")).collect();
    names.sort();
    names
}

fn names_of(world: &World) -> Vec<Vec<u8>> {
    let all = world.memory.names(None, 10_000).unwrap();
    all.into_iter().map(|(_, row)| row.sealed).filter(|sealed| !sealed.is_empty()).collect()
}

#[test]
fn a_rotation_passes_everybody_on_and_no_row_of_the_last_epoch_is_left() {
    let (mut world, first) = granted();
    for (epoch, suite) in (2..).zip([Suite::Aria256Gcm, Suite::ChaCha20Poly1305, Suite::Aes256Gcm]) {
        world.advance(DAY);
        let rotated = world.node().rotate(suite).unwrap();
        assert_eq!(rotated.epoch, epoch);
        assert!(rotated.keys > PERSONS && rotated.names > 2 * PERSONS, "{rotated:?}");
        assert_eq!(epoch_files(&world), [format!("epoch-{epoch}.key")]);
        assert!(names_of(&world).iter().all(|sealed| sealed.starts_with(&epoch.to_be_bytes())));
        assert_eq!(world.node().epoch_ends().unwrap(), world.now().plus_ms(Rotated::EPOCH_MS));
        all_stands(&mut world, &first);
        // Somebody new, whose records are sealed by the suite of the day.
        let n = 100 + u64::from(epoch);
        let ppid = world.enrol(n);
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
        assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    }
}

#[test]
fn a_rotation_that_fails_anywhere_loses_nobody_and_goes_on() {
    for call in [Call::Names, Call::Project, Call::Barrier] {
        for when in [When::Before, When::Middle, When::After] {
            for skip in 0.. {
                let (mut world, first) = granted();
                world.memory.sync();
                world.memory.faults().fail_after(call, skip, when, Fault::Eio);
                let rotated = world.node().rotate(Suite::default());
                let struck = world.memory.faults().left() == 0;
                world.memory.faults().clear();
                if !struck {
                    rotated.unwrap();
                    assert!(skip > 0, "{call:?} was never called");
                    break;
                }
                let at = format!("{call:?} {when:?} {skip}");
                assert!(rotated.is_err(), "{at}");
                assert_eq!(
                    epoch_files(&world),
                    ["epoch-1.key", "epoch-2.key"],
                    "{at}: the old key went too soon"
                );
                // The power goes as well: what was not synced is as it was.
                world.reopen();
                all_stands(&mut world, &first);
                world.node().rotate(Suite::default()).unwrap();
                assert_eq!(epoch_files(&world), ["epoch-2.key"], "{at}");
                all_stands(&mut world, &first);
            }
        }
    }
}

#[test]
fn names_sealed_again_survive_the_power_before_the_old_key_goes() {
    let (mut world, first) = granted();
    world.memory.sync();
    world.node().rotate(Suite::default()).unwrap();
    // Nothing is synced on the way down.
    world.reopen();
    assert!(names_of(&world).iter().all(|sealed| sealed.starts_with(&2u32.to_be_bytes())));
    all_stands(&mut world, &first);
}

#[test]
fn whoever_enrols_and_acts_meanwhile_is_neither_lost_nor_left_behind() {
    let (mut world, first) = granted();
    let over = AtomicBool::new(false);
    let accepted: Vec<_> = std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            let mut accepted = Vec::new();
            for n in 1_000.. {
                let item = sign(&world.key_create(), &person_key(n));
                world.accept(item.clone());
                let ppid = world.ppid(n, Some("bank"));
                world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
                accepted.push((n, item));
                if over.load(Ordering::Acquire) {
                    return accepted;
                }
            }
            accepted
        });
        for _ in 0..5 {
            world.node().rotate(Suite::default()).unwrap();
        }
        over.store(true, Ordering::Release);
        acting.join().unwrap()
    });
    assert!(names_of(&world).iter().all(|sealed| sealed.starts_with(&6u32.to_be_bytes())));
    all_stands(&mut world, &first);
    for (n, item) in accepted {
        assert_eq!(world.check(world.ppid(n, Some("bank"))).decision.reason, Reason::ConsentGiven);
        assert!(world.accept(item).duplicate);
    }
}

#[test]
fn a_copy_of_keys_and_rows_from_before_opens_for_nobody() {
    let (world, _) = granted();
    let vault = world.dir.path().join("vault");
    let kept = tempfile::tempdir().unwrap();
    for name in ["slots", "decoy", "pairwise.key", "places.key"] {
        std::fs::copy(vault.join(name), kept.path().join(name)).unwrap();
    }
    let key = Name::Key(key_hash(&person_key(1)).0);
    let row = world.memory.locate(&key).unwrap().unwrap();
    world.node().rotate(Suite::default()).unwrap();
    // The copy, and the only epoch's key that is left anywhere.
    std::fs::copy(vault.join("epoch-2.key"), kept.path().join("epoch-2.key")).unwrap();
    let opened = naru::vault::Vault::open(kept.path(), &master());
    assert!(matches!(opened, Err(naru::vault::Error::Ended { epoch: 1 })));
    std::fs::copy(vault.join("decoy"), kept.path().join("decoy")).unwrap();
    std::fs::copy(vault.join("slots"), kept.path().join("slots")).unwrap();
    let opened = naru::vault::Vault::open(kept.path(), &master()).unwrap();
    assert!(opened.open_name(&key_hash(&person_key(1)).0, &row.sealed).is_err());
}
