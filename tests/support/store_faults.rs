//! The memory store's faults: doubt, lag, foreign batches, errors before, in and after a call.

use std::io::ErrorKind;

use naru::store::memory::{Call, Fault, Lag, Memory, When};
use naru::store::{Append, Error, Head, Integrate, Name, Project, Row, Store};

use crate::ground::{batch, batch_id, bytes, id, lead, person, projected, sequenced, subject};

const ALL: [When; 3] = [When::Before, When::Middle, When::After];

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Io(io) => io.kind(),
        other => panic!("no error of the system: {other}"),
    }
}

/// What a failed append left: visible before the reopen, and in the log after it.
fn after_failed_append(when: When) -> (bool, u64) {
    let memory = Memory::new();
    let (epoch, _) = lead(&memory);
    memory.faults().fail_next(Call::Append, when, Fault::Enospc);
    let Append::Failed(error) = memory.append(epoch, &batch(0, 3)) else { panic!("{when:?}") };
    assert_eq!(kind(&error), ErrorKind::StorageFull);
    let visible = memory.locate(&Name::Statement(id(0).0)).unwrap().is_some();
    // Everything stops, whatever the caller tries.
    assert!(matches!(memory.append(epoch, &batch(0, 1)), Append::Failed(_)));
    assert!(matches!(memory.project(epoch, 0, &[]), Project::Failed(_)));
    assert!(memory.put("a", b"b", true).is_err());
    assert!(memory.lead(&crate::ground::HOLDER).is_err());
    assert_eq!(memory.faults().writes_after_failure(), 4);
    let memory = memory.reopen();
    let next = lead(&memory).1.next;
    let found = memory.locate(&Name::Statement(id(0).0)).unwrap().is_some();
    assert_eq!(found, next == 3, "all or nothing after a restart");
    assert_eq!(memory.bodies(&subject(0), &[id(0)]).unwrap()[0].is_some(), next == 3);
    (visible, next)
}

#[test]
fn a_failed_append_is_there_or_not_but_never_half_after_a_reopen() {
    assert_eq!(after_failed_append(When::Before), (false, 0));
    assert_eq!(after_failed_append(When::Middle), (true, 0));
    assert_eq!(after_failed_append(When::After), (true, 3));
}

#[test]
fn a_batch_in_doubt_is_settled_once_and_for_all() {
    for persisted in [true, false] {
        let memory = Memory::new();
        let (epoch, _) = lead(&memory);
        memory.faults().fail_next(Call::Append, When::Before, Fault::InDoubt { persisted });
        assert!(matches!(memory.append(epoch, &batch(0, 2)), Append::InDoubt));
        assert!(matches!(memory.append(epoch, &batch(9, 1)), Append::Failed(_)), "settle first");
        match memory.settle(epoch, batch_id(0)) {
            Append::Sequenced { first } => assert!(persisted && first == 0),
            Append::Absent => assert!(!persisted),
            other => panic!("{other:?}"),
        }
        let next = if persisted { 2 } else { 0 };
        assert_eq!(sequenced(memory.append(epoch, &batch(next, 1))), next);
        let memory = memory.reopen();
        assert_eq!(lead(&memory).1.next, next + 1);
        let ids: Vec<_> = memory.commits(0..9).unwrap().into_iter().flat_map(|c| c.ids).collect();
        assert_eq!(ids.len(), usize::try_from(next + 1).unwrap(), "what was absent stays absent");
    }
}

#[test]
fn another_writers_batch_moves_ours() {
    let memory = Memory::new();
    let (epoch, _) = lead(&memory);
    memory.faults().slip_in(batch(100, 5));
    assert_eq!(sequenced(memory.append(epoch, &batch(0, 2))), 5);
    assert_eq!(memory.locate(&Name::Statement(id(1).0)).unwrap().unwrap().index, Some(6));
    assert_eq!(memory.commits(0..5).unwrap()[0].ids[0], id(100));
    assert_eq!(sequenced(memory.append(epoch, &batch(7, 1))), 7);
}

#[test]
fn lagging_state_shows_later_or_never() {
    let memory = Memory::new();
    let (epoch, _) = lead(&memory);
    let faults = memory.faults();
    sequenced(memory.append(epoch, &batch(0, 3)));
    faults.set_lag(Lag::On);
    let ppid = Name::Ppid([3; 16]);
    let rows = [
        person(1, "a", 2),
        Row::Register { index: 2, bytes: bytes("register", 2, 10) },
        Row::Name { name: ppid, sealed: vec![1], index: None },
    ];
    projected(memory.project(epoch, 3, &rows));
    assert_eq!(memory.rows(&subject(1)).unwrap(), naru::store::PersonRows::default());
    assert_eq!((memory.register().unwrap(), memory.locate(&ppid).unwrap()), (None, None));
    assert!(memory.locate(&Name::Statement(id(0).0)).unwrap().is_some(), "names of a batch do not lag");
    faults.catch_up();
    assert_eq!(
        (memory.rows(&subject(1)).unwrap().upto, memory.rows(&subject(1)).unwrap().rows.len()),
        (3, 1)
    );
    assert!(memory.register().unwrap().is_some() && memory.locate(&ppid).unwrap().is_some());

    projected(memory.project(epoch, 3, &[person(2, "a", 2)]));
    projected(memory.forget(epoch, &subject(2), &[]));
    faults.catch_up();
    assert_eq!(memory.rows(&subject(2)).unwrap().rows, [], "what lags is forgotten, too");

    projected(memory.project(epoch, 3, &[person(3, "a", 2)]));
    let memory = memory.reopen();
    faults.catch_up();
    assert_eq!(lead(&memory).1.projected, 0);
    assert_eq!(memory.rows(&subject(3)).unwrap().rows, [], "never, after a reopen");
}

#[test]
fn a_reopen_loses_what_was_not_synced_and_an_orderly_stop_nothing() {
    for orderly in [false, true] {
        let memory = Memory::new();
        let (epoch, _) = lead(&memory);
        sequenced(memory.append(epoch, &batch(0, 3)));
        projected(memory.project(epoch, 3, &[person(1, "a", 2)]));
        memory.put("later", b"x", false).unwrap();
        memory.put("now", b"x", true).unwrap();
        if orderly {
            memory.sync();
        }
        let next = memory.reopen();
        assert!(matches!(memory.append(epoch, &batch(3, 1)), Append::Fenced), "the dead do not write");
        assert!(matches!(memory.commits(0..1), Err(Error::Locked)), "nor read");
        assert_eq!(next.get("later").unwrap().is_some(), orderly);
        assert!(next.get("now").unwrap().is_some());
        let found = lead(&next).1;
        assert_eq!((found.next, found.projected), (3, if orderly { 3 } else { 0 }));
    }
}

#[test]
fn heads_projections_and_blobs_fail_before_in_and_after() {
    for when in ALL {
        let failing = |call| {
            let memory = Memory::new();
            let (epoch, _) = lead(&memory);
            sequenced(memory.append(epoch, &batch(0, 4)));
            memory.faults().fail_next(call, when, Fault::Eio);
            (memory, epoch)
        };
        let done = when == When::After;
        let head = Head { size: 4, root: [4; 32] };

        let (memory, epoch) = failing(Call::Integrate);
        assert!(matches!(memory.integrate(epoch, &Head::EMPTY, &head, b"n"), Integrate::Failed(_)));
        assert_eq!(lead(&memory.reopen()).1.integrated == head, done);

        let (memory, epoch) = failing(Call::Project);
        let rows = [person(1, "a", 1), person(2, "a", 1)];
        assert!(matches!(memory.project(epoch, 4, &rows), Project::Failed(_)));
        assert_eq!(memory.rows(&subject(1)).unwrap().rows.len(), usize::from(when != When::Before));
        assert_eq!(memory.rows(&subject(2)).unwrap().rows.len(), usize::from(done));
        assert_eq!(memory.rows(&subject(1)).unwrap().upto, if done { 4 } else { 0 });
        assert_eq!(lead(&memory.reopen()).1.projected, if done { 4 } else { 0 });

        let (memory, _) = failing(Call::Put);
        assert!(memory.put("a", b"b", true).is_err());
        assert_eq!(memory.get("a").unwrap().is_some(), when != When::Before);
        assert_eq!(memory.reopen().get("a").unwrap().is_some(), done);

        let (memory, epoch) = failing(Call::Forget);
        assert!(matches!(memory.forget(epoch, &subject(1), &[]), Project::Failed(_)));
        assert_eq!(memory.bodies(&subject(1), &[id(1)]).unwrap()[0].is_some(), when == When::Before);
        assert_eq!(memory.reopen().bodies(&subject(1), &[id(1)]).unwrap()[0].is_some(), !done);

        let (memory, epoch) = failing(Call::Lead);
        assert!(memory.lead(&crate::ground::HOLDER).is_err());
        assert!(lead(&memory.reopen()).0 > epoch);
    }
}

#[test]
fn reads_fail_once_and_do_not_stop_the_store() {
    let memory = Memory::new();
    let (epoch, _) = lead(&memory);
    sequenced(memory.append(epoch, &batch(0, 1)));
    let faults = memory.faults();
    for call in [Call::Commits, Call::Bodies, Call::Rows, Call::Register, Call::Locate, Call::Get] {
        faults.fail_next(call, When::Before, Fault::Eio);
    }
    faults.fail_after(Call::Commits, 1, When::Before, Fault::Corrupt);
    assert!(matches!(memory.commits(0..1), Err(Error::Io(_))));
    assert!(matches!(memory.commits(0..1), Err(Error::Corrupt { .. })));
    assert!(memory.bodies(&subject(0), &[]).is_err());
    assert!(memory.rows(&subject(0)).is_err());
    assert!(memory.register().is_err());
    assert!(memory.locate(&Name::Ppid([0; 16])).is_err());
    assert!(memory.get("a").is_err());
    assert_eq!((faults.left(), faults.seen(Call::Commits)), (0, 2));
    assert_eq!(memory.commits(0..1).unwrap().len(), 1);
    assert_eq!(sequenced(memory.append(epoch, &batch(1, 1))), 1);
    assert_eq!(faults.writes_after_failure(), 0);
}

#[test]
fn a_planned_fence_holds_until_the_next_lead() {
    let memory = Memory::new();
    let (epoch, _) = lead(&memory);
    memory.faults().fail_next(Call::Append, When::Before, Fault::Fenced);
    assert!(matches!(memory.append(epoch, &batch(0, 1)), Append::Fenced));
    assert!(matches!(memory.append(epoch, &batch(0, 1)), Append::Fenced));
    let (epoch, found) = lead(&memory);
    assert_eq!(found.next, 0);
    sequenced(memory.append(epoch, &batch(0, 1)));
}
