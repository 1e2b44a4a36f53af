//! Nothing acknowledged is ever lost: the node over a store that fails before, in
//! the middle of and after each call, twice in a row while it recovers, that
//! lags, loses answers, lets others in between or is an old copy of itself.
//!
//! After every operation an oracle compares the node with everything it ever said.

mod support;

#[path = "support/oracle.rs"]
#[expect(unreachable_pub, reason = "a module of tests; the same word as in `support`")]
mod oracle;
#[path = "support/story.rs"]
#[expect(unreachable_pub, reason = "as above")]
mod story;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use naru::ledger::checkpoint;
use naru::ledger::checkpoint::Checkpoint;
use naru::ledger::entry::Entry;
use naru::ledger::hash;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Keys;
use naru::node::Node;
use naru::node::Outcome;
use naru::node::Readiness;
use naru::node::Refusal;
use naru::node::Settings;
use naru::node::Stop;
use naru::node::arrival::Arrival;
use naru::node::arrival::NoArrival;
use naru::node::arrival::Receiving;
use naru::store::Batch;
use naru::store::BatchId;
use naru::store::Name;
use naru::store::NameRow;
use naru::store::Store;
use naru::store::fjall::Fjall;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::Lag;
use naru::store::memory::When;
use naru::vault::Vault;
use story::*;
use support::*;

const WHENS: [When; 3] = [When::Before, When::Middle, When::After];
const ERRORS: [Fault; 2] = [Fault::Eio, Fault::Enospc];

fn unavailable(outcome: &Outcome) -> Stop {
    match outcome {
        Err(Refusal::Unavailable(stop)) => *stop,
        other => panic!("not unavailable: {other:?}"),
    }
}

fn inert(outcome: &Outcome) -> Why {
    match outcome {
        Err(Refusal::Inert(why)) => *why,
        other => panic!("not inert: {other:?}"),
    }
}

/// Two persons with ppids; the first has granted and a checkpoint covers it.
fn begun() -> Story {
    let mut story = Story::new();
    for n in 1..=2 {
        story.enrol(n).unwrap();
    }
    story.grant(1).unwrap();
    story.tick().unwrap();
    story
}

/// What strikes meet: every kind of write and read a node makes. Whatever fails, the story goes on.
fn act(story: &mut Story) {
    drop(story.grant(2));
    drop(story.withdraw(1));
    if story.enrol(3).is_some() {
        drop(story.grant(3));
    }
    let _stopped = story.tick();
    drop(story.world.node().attach(b"an attachment"));
    story.check();
    story.world.node().forget_caches();
    drop(story.grant(1));
    let mut batch = vec![story.granting(2), story.withdrawing(2), story.withdrawing(1)];
    if story.ppid(3).is_some() {
        batch.push(story.withdrawing(3));
    }
    drop(story.send(batch));
    let _stopped = story.tick();
    let own = story.world.node().ppid(&key_hash(&person_key(1)), None);
    if let Ok(Some(own)) = own {
        let objection = story.world.object(own, Scope::Any, DataClass::RealName);
        drop(story.send_one(&objection, 1));
    }
    let _stopped = story.tick();
}

/// After a clean start: all that was said holds, new acts are taken, old ones answer as they did.
fn go_on(story: &mut Story) {
    story.repeat_all();
    story.withdraw(1).unwrap();
    story.grant(2).unwrap();
    story.tick().unwrap();
    story.repeat_all();
    story.check();
}

/// Runs the story with a strike at the first, second, … such call until it strikes no more.
fn at_every(call: Call, when: When, fault: Fault) {
    for skip in 0.. {
        let mut story = begun();
        story.plan(Strike { call, skip, when, fault });
        act(&mut story);
        let struck = !story.is_pending();
        assert_eq!(story.world.memory.faults().writes_after_failure(), 0, "wrote on after a failure");
        story.kill();
        story.open();
        go_on(&mut story);
        if !struck {
            assert!(skip > 0, "{call:?} was never called");
            break;
        }
    }
}

fn at_every_write(call: Call) {
    for when in WHENS {
        for fault in ERRORS {
            at_every(call, when, fault);
        }
    }
}

#[test]
fn an_append_that_fails_loses_nothing_acknowledged() {
    at_every_write(Call::Append);
}

#[test]
fn a_projection_that_fails_loses_nothing_acknowledged() {
    at_every_write(Call::Project);
}

#[test]
fn a_checkpoint_that_fails_loses_nothing_acknowledged() {
    at_every_write(Call::Integrate);
}

#[test]
fn an_attachment_that_fails_loses_nothing_acknowledged() {
    at_every_write(Call::Put);
}

#[test]
fn a_read_that_fails_is_an_answer_and_no_more() {
    for call in [Call::Locate, Call::Rows] {
        for fault in [Fault::Eio, Fault::Corrupt] {
            at_every(call, When::Before, fault);
        }
    }
}

#[test]
fn a_fenced_node_stops_and_its_successor_has_everything() {
    for call in [Call::Append, Call::Project, Call::Integrate] {
        at_every(call, When::Before, Fault::Fenced);
    }
    let mut story = begun();
    story.plan(Strike::next(Call::Append, When::Before, Fault::Fenced));
    assert_eq!(unavailable(&story.grant(2)), Stop::OtherLeader);
    assert_eq!(story.world.node().readiness(), Readiness::NotReady(Stop::OtherLeader));
}

#[test]
fn a_lost_answer_is_settled_whether_or_not_the_batch_is_there() {
    at_every(Call::Append, When::After, Fault::InDoubt { persisted: true });
    at_every(Call::Append, When::After, Fault::InDoubt { persisted: false });
    let mut story = begun();
    story.plan(Strike::next(Call::Append, When::After, Fault::InDoubt { persisted: true }));
    story.grant(2).unwrap();
    story.plan(Strike::next(Call::Append, When::After, Fault::InDoubt { persisted: false }));
    let item = story.withdrawing(2);
    assert_eq!(unavailable(&story.send(vec![item.clone()])[0]), Stop::Busy);
    assert_eq!(story.world.node().readiness(), Readiness::Ready);
    story.send(vec![item]).remove(0).unwrap();
}

#[test]
fn an_answer_that_cannot_be_settled_stops_the_node() {
    for persisted in [true, false] {
        for when in WHENS {
            let mut story = begun();
            let faults = story.world.memory.faults();
            faults.fail_next(Call::Settle, when, Fault::Eio);
            faults.fail_next(Call::Append, When::After, Fault::InDoubt { persisted });
            let item = story.withdrawing(1);
            story.oracle.send(&item);
            assert_eq!(unavailable(&story.world.submit(item)), Stop::Io);
            story.check();
            assert_eq!(story.world.check(story.ppid(1).unwrap()).decision.reason, Reason::LogUnavailable);
            story.kill();
            story.open();
            go_on(&mut story);
        }
    }
}

#[test]
fn after_an_io_error_nothing_is_written_and_nothing_permitted() {
    let mut story = begun();
    story.plan(Strike::next(Call::Append, When::Before, Fault::Eio));
    assert_eq!(unavailable(&story.grant(2)), Stop::Io);
    assert_eq!(unavailable(&story.withdraw(1)), Stop::Io);
    assert_eq!(story.world.check(story.ppid(1).unwrap()).decision.reason, Reason::LogUnavailable);
    assert!(story.world.node().attach(b"late").is_err());
    assert_eq!(story.tick(), Err(Stop::Io));
    assert_eq!(story.world.memory.faults().writes_after_failure(), 0);
}

#[test]
fn two_faults_in_a_row_during_recovery_lose_nothing_acknowledged() {
    let writes = [Call::Lead, Call::Project, Call::Put];
    let reads = [Call::Commits, Call::Get, Call::Register, Call::Locate, Call::Bodies, Call::Rows];
    let strikes: Vec<Strike> = writes
        .into_iter()
        .flat_map(|call| WHENS.map(|when| Strike::next(call, when, Fault::Eio)))
        .chain(reads.into_iter().flat_map(|call| {
            [Fault::Eio, Fault::Corrupt].map(|fault| Strike::next(call, When::Before, fault))
        }))
        .collect();
    let mut refused = 0;
    for (at, first) in strikes.iter().enumerate() {
        // Two different faults in a row, each call once first and once second.
        let second = strikes[(at + 7) % strikes.len()];
        let mut story = begun();
        story.plan(Strike::next(Call::Append, WHENS[at % 3], Fault::Eio));
        act(&mut story);
        for skip in [0, 1, 3] {
            for strike in [*first, second] {
                story.kill();
                story.plan(Strike { skip, ..strike });
                match story.try_open() {
                    Ok(()) => story.check(),
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        refused += 1;
                    }
                }
            }
        }
        story.kill();
        story.open();
        go_on(&mut story);
    }
    assert!(refused > strikes.len(), "faults during recovery hardly ever struck: {refused}");
}

#[test]
fn a_kill_with_a_full_queue_loses_nothing_acknowledged() {
    let mut story = Story::new();
    for n in 0..24 {
        story.enrol(n).unwrap();
    }
    for round in 0..8 {
        let tickets: Vec<_> = (0..24)
            .map(|n| {
                let item = if (n + round) % 3 == 0 { story.withdrawing(n) } else { story.granting(n) };
                (story.oracle.send(&item), story.world.node().submit(vec![item]))
            })
            .collect();
        // The process ends somewhere in the middle; what it answered it must have kept.
        let next = story.world.memory.reopen();
        for (id, ticket) in tickets {
            let outcome = ticket.wait().remove(0);
            story.oracle.hear(id, &outcome);
        }
        drop(story.world.node.take());
        story.world.memory = next;
        story.open();
        if round % 2 == 0 {
            story.tick().unwrap();
        }
    }
    story.repeat_all();
}

// Order.

/// A batch of another writer with one public statement.
fn foreign(item: &[u8], at: Timestamp) -> Batch {
    let id = naru::identity::open(item).unwrap().id();
    Batch {
        id: BatchId([0xf0; 16]),
        at: at.0,
        entries: vec![Entry::Public { t: at.rounded_to(200).0, item: item.to_vec() }.encode().unwrap()],
        ids: vec![id],
        names: vec![NameRow { name: Name::Statement(id.0), sealed: Vec::new(), entry: Some(0) }],
        bodies: Vec::new(),
    }
}

fn shop(story: &Story) -> Vec<u8> {
    let shop = story.world.register("shop", vec![Role::Controller], false);
    endorse(&sign(&shop, &signer(20)), OPERATOR)
}

#[test]
fn another_writer_s_batch_in_front_moves_ours_and_all_holds() {
    let mut story = begun();
    let batch = foreign(&shop(&story), story.world.now());
    let next = story.world.node().sequenced();
    story.world.memory.faults().slip_in(batch);
    let moved = story.grant(2).unwrap();
    assert_eq!((moved.index, moved.inert), (next + 1, None));
    assert!(story.world.node().register().party(&party("shop")).is_some());
    story.tick().unwrap();
    story.kill();
    story.open();
    go_on(&mut story);
}

#[test]
fn a_new_person_whose_batch_was_moved_stands_as_after_a_restart() {
    let mut story = begun();
    let batch = foreign(&shop(&story), story.world.now());
    story.world.memory.faults().slip_in(batch);
    let create = story.world.key_create();
    let moved = story.send_one(&create, 7).unwrap();
    assert_eq!(moved.inert, None, "her own name row is not somebody else's key");
    let ppid = story.world.ppid(7, Some("bank"));
    story.oracle.name(7, ppid);
    story.grant(7).unwrap();
    story.kill();
    story.open();
    go_on(&mut story);
}

#[test]
fn an_entry_moved_behind_what_undoes_it_is_recorded_and_inert_and_the_answer_says_so() {
    let mut story = begun();
    let retire: Statement = NoticeRetire {
        v: V1,
        kind: Kind::NoticeRetire,
        iat: story.world.now(),
        nonce: nonce(),
        notice: story.world.notice,
    }
    .into();
    let batch = foreign(&sign(&retire, &signer(BANK)), story.world.now());
    story.world.memory.faults().slip_in(batch);
    let item = sign(&story.world.grant(story.ppid(2).unwrap(), None).into(), &person_key(2));
    let outcome = story.world.submit(item).unwrap();
    assert_eq!(outcome.inert, Some(Why::NoticeRetired));
    // The notice is retired: that is told before any person is looked up.
    let told = |story: &Story| story.world.check(story.ppid(2).unwrap()).decision.reason;
    assert_eq!(told(&story), Reason::NoticeRetired);
    story.kill();
    story.try_open().unwrap();
    assert_eq!(told(&story), Reason::NoticeRetired);
}

#[test]
fn a_statement_that_another_writer_brought_is_known() {
    let (mut story, hold) = Story::held(64);
    story.enrol(1).unwrap();
    let ours = shop(&story);
    let batch = foreign(&ours, story.world.now());
    hold.shut();
    let create = sign(&story.world.key_create(), &person_key(2));
    let first = story.world.node().submit(vec![create]);
    hold.wait_for_append();
    // Prepared while nobody knows it, judged after the other writer has brought it.
    let second = story.world.node().submit(vec![ours]);
    story.wait_for_pool();
    story.world.memory.faults().slip_in(batch);
    hold.open();
    first.wait().remove(0).unwrap();
    let again = second.wait().remove(0).unwrap();
    assert!(again.duplicate, "recorded twice: {again:?}");
}

#[test]
fn a_closing_act_goes_first_in_its_commit() {
    let (mut story, hold) = Story::held(64);
    for n in 1..=3 {
        story.enrol(n).unwrap();
    }
    story.grant(1).unwrap();
    hold.shut();
    let queued: Vec<_> = [story.granting(2), story.granting(3), story.withdrawing(1)]
        .into_iter()
        .map(|item| (story.oracle.send(&item), item))
        .collect();
    let mut tickets = Vec::new();
    for (id, item) in queued {
        tickets.push((id, story.world.node().submit(vec![item])));
        if tickets.len() == 1 {
            hold.wait_for_append();
        }
    }
    // The one verifying thread takes this last: all the others are queued then.
    story.wait_for_pool();
    hold.open();
    let answers: Vec<_> = tickets
        .into_iter()
        .map(|(id, ticket)| {
            let outcome = ticket.wait().remove(0);
            story.oracle.hear(id, &outcome);
            outcome.unwrap()
        })
        .collect();
    let (first, grant, withdrawal) = (&answers[0], &answers[1], &answers[2]);
    assert_eq!(grant.promise, withdrawal.promise, "not one commit");
    assert!(first.index < withdrawal.index && withdrawal.index < grant.index);
    story.settle();
    story.check();
}

/// A grant waits in the queue, a withdrawal of the same slot comes after it and goes in front.
fn withdrawal_overtakes(lag: Lag) {
    let (mut story, hold) = Story::held(64);
    story.world.memory.faults().set_lag(lag);
    for n in 1..=2 {
        story.enrol(n).unwrap();
    }
    hold.shut();
    let blocker = story.granting(2);
    let blocking = (story.oracle.send(&blocker), story.world.node().submit(vec![blocker]));
    hold.wait_for_append();
    let items = [story.granting(1), story.withdrawing(1)];
    let tickets = items.map(|item| (story.oracle.send(&item), story.world.node().submit(vec![item])));
    story.wait_for_pool();
    hold.open();
    let mut outcomes = Vec::new();
    for (id, ticket) in std::iter::once(blocking).chain(tickets) {
        let outcome = ticket.wait().remove(0);
        story.oracle.hear(id, &outcome);
        outcomes.push(outcome);
    }
    assert_eq!(inert(&outcomes[1]), Why::Superseded);
    outcomes[2].as_ref().unwrap();
    story.settle();
    story.check();
    story.world.node().forget_caches();
    assert_eq!(story.world.check(story.ppid(1).unwrap()).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn a_withdrawal_in_front_of_a_queued_grant_leaves_it_without_effect() {
    withdrawal_overtakes(Lag::Off);
    withdrawal_overtakes(Lag::On);
}

#[test]
fn a_full_queue_refuses_grants_and_still_takes_withdrawals() {
    let (mut story, hold) = Story::held(2);
    for n in 1..=2 {
        story.enrol(n).unwrap();
    }
    story.grant(1).unwrap();
    hold.shut();
    let [at_the_gate, behind] = [story.granting(2), story.granting(1)];
    let at_the_gate = story.world.node().submit(vec![at_the_gate]);
    // Else the withdrawal could be judged in one batch with them, and make room by superseding the grant.
    hold.wait_for_append();
    let waiting = [at_the_gate, story.world.node().submit(vec![behind])];
    let late = story.granting(1);
    assert_eq!(unavailable(&story.world.submit(late)), Stop::Busy);
    let withdrawal = story.withdrawing(1);
    let id = story.oracle.send(&withdrawal);
    let ticket = story.world.node().submit(vec![withdrawal]);
    // A batch that does not only close has no place in the closing lane.
    let mixed = story.world.node().submit(vec![story.withdrawing(1), story.granting(1)]).wait();
    assert!(mixed.iter().all(|o| unavailable(o) == Stop::Busy));
    hold.open();
    let outcome = ticket.wait().remove(0);
    story.oracle.hear(id, &outcome);
    outcome.unwrap();
    drop(waiting.map(naru::node::Ticket::wait));
    assert_eq!(story.world.node().readiness(), Readiness::Ready);
    assert_eq!(story.world.check(story.ppid(1).unwrap()).decision.reason, Reason::ConsentWithdrawn);
}

// State that lags.

#[test]
fn a_withdrawal_answered_while_the_projection_is_held_back_denies() {
    let mut story = begun();
    story.world.memory.faults().set_lag(Lag::On);
    story.withdraw(1).unwrap();
    // The oracle has emptied the caches and asked already; once more in words.
    story.world.node().forget_caches();
    let told = |story: &Story| story.world.check(story.ppid(1).unwrap()).decision.reason;
    assert_eq!(told(&story), Reason::ConsentWithdrawn);
    story.grant(2).unwrap();
    story.world.memory.faults().catch_up();
    story.check();
    story.world.memory.faults().set_lag(Lag::Off);
    story.withdraw(2).unwrap();
    story.world.node().forget_caches();
    assert_eq!(told(&story), Reason::ConsentWithdrawn);
}

#[test]
fn the_whole_story_with_faults_over_state_that_lags() {
    for (at, fault) in [Fault::Eio, Fault::InDoubt { persisted: true }, Fault::InDoubt { persisted: false }]
        .into_iter()
        .enumerate()
    {
        for skip in 0..6 {
            let mut story = begun();
            story.world.memory.faults().set_lag(Lag::On);
            story.plan(Strike { call: Call::Append, skip, when: WHENS[(at + 2) % 3], fault });
            act(&mut story);
            story.kill();
            story.open();
            go_on(&mut story);
            story.world.memory.faults().catch_up();
            story.check();
        }
    }
}

// Old copies, marks, anchors.

/// A world over fjall on disk, its data folder being the store's too.
fn on_disk() -> Story {
    let memory = naru::store::memory::Memory::new();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Fjall::open(dir.path().join("store")).unwrap());
    let mut world = World::bare(memory, store);
    // The store moves into the world's own folder, so that one copy takes all of it.
    world.populate();
    drop(world.node.take());
    copy(&dir.path().join("store"), &world.dir.path().join("store"));
    world.node = Some(open_disk(&world).unwrap());
    Story::of(world)
}

fn open_disk(world: &World) -> Result<Node, naru::node::Error> {
    let store = Arc::new(Fjall::open(world.dir.path().join("store")).unwrap());
    open_over(world, store, settings(&world.dir))
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// Reads are served, writes refused with the reason, checks permit nothing.
fn serves_reads_only(story: &Story, stop: Stop) {
    let node = story.world.node();
    assert_eq!(node.readiness(), Readiness::NotReady(stop));
    assert!(node.published().size > 1 && !node.entries(0, node.published().size).unwrap().is_empty());
    assert!(node.receipt(1).unwrap().is_some());
    let ppid = story.ppid(1).unwrap();
    assert_eq!(story.world.check(ppid).decision.reason, Reason::LogUnavailable);
    for item in [story.granting(1), story.withdrawing(1)] {
        assert_eq!(unavailable(&story.world.submit(item)), stop);
    }
    assert_eq!(node.tick(), Err(stop));
    assert!(node.attach(b"x").is_err());
}

#[test]
fn an_old_copy_of_the_store_is_noticed_by_the_mark_of_the_whole_folder_by_the_anchor() {
    let mut story = on_disk();
    story.enrol(1).unwrap();
    story.grant(1).unwrap();
    story.tick().unwrap();
    drop(story.world.node.take());
    let snapshot = tempfile::tempdir().unwrap();
    let folder = story.world.dir.path().to_owned();
    copy(&folder.join("store"), &snapshot.path().join("store"));
    fs::copy(folder.join("mark"), snapshot.path().join("mark")).unwrap();
    story.world.node = Some(open_disk(&story.world).unwrap());
    story.withdraw(1).unwrap();
    drop(story.world.node.take());
    let put_back = |story: &mut Story, with_mark: bool| {
        drop(story.world.node.take());
        fs::remove_dir_all(folder.join("store")).unwrap();
        copy(&snapshot.path().join("store"), &folder.join("store"));
        if with_mark {
            fs::copy(snapshot.path().join("mark"), folder.join("mark")).unwrap();
        }
        story.world.node = Some(open_disk(&story.world).unwrap());
    };
    // The withdrawal is gone and no checkpoint knew it: the mark does.
    put_back(&mut story, false);
    serves_reads_only(&story, Stop::Mark);
    // The right store again, and a checkpoint over the withdrawal.
    drop(story.world.node.take());
    let mut story = on_disk();
    story.enrol(1).unwrap();
    story.grant(1).unwrap();
    story.tick().unwrap();
    drop(story.world.node.take());
    let folder = story.world.dir.path().to_owned();
    let snapshot = tempfile::tempdir().unwrap();
    copy(&folder.join("store"), &snapshot.path().join("store"));
    fs::copy(folder.join("mark"), snapshot.path().join("mark")).unwrap();
    story.world.node = Some(open_disk(&story.world).unwrap());
    story.withdraw(1).unwrap();
    story.tick().unwrap();
    drop(story.world.node.take());
    fs::remove_dir_all(folder.join("store")).unwrap();
    copy(&snapshot.path().join("store"), &folder.join("store"));
    fs::copy(snapshot.path().join("mark"), folder.join("mark")).unwrap();
    story.world.node = Some(open_disk(&story.world).unwrap());
    serves_reads_only(&story, Stop::Anchor);
}

/// A story whose process has ended, so that its files can be changed.
fn ended() -> Story {
    let mut story = begun();
    story.kill();
    story
}

#[test]
fn an_anchor_that_is_missing_foreign_or_of_another_history_stops_writing() {
    let log = signer(LOG);
    let anchor = |story: &Story| story.world.dir.path().join("anchor");
    let forged =
        |size, root| checkpoint::sign(&Checkpoint { origin: ORIGIN.into(), size, root }, &log).unwrap();
    let mut story = ended();
    let true_note = fs::read(anchor(&story)).unwrap();
    for bad in [
        None,
        Some(Vec::new()),
        Some(b"not a note".to_vec()),
        Some(forged(2, [7; 32]).into_bytes()),
        Some(forged(1_000_000, [7; 32]).into_bytes()),
        Some(
            checkpoint::sign(
                &Checkpoint { origin: ORIGIN.into(), size: 0, root: hash::empty_root() },
                &signer(99),
            )
            .unwrap()
            .into_bytes(),
        ),
    ] {
        match &bad {
            None => fs::remove_file(anchor(&story)).unwrap(),
            Some(bytes) => fs::write(anchor(&story), bytes).unwrap(),
        }
        story.try_open().unwrap();
        serves_reads_only(&story, Stop::Anchor);
        story.kill();
    }
    fs::write(anchor(&story), true_note).unwrap();
    story.open();
    go_on(&mut story);
}

fn mark(next: u64, root: [u8; 32]) -> Vec<u8> {
    let body = [next.to_be_bytes().as_slice(), &START.to_be_bytes(), &root].concat();
    let sum = hash::sha256(&[&body]);
    [&body, &sum[..8]].concat()
}

#[test]
fn a_torn_mark_is_no_mark_and_one_of_another_history_stops_writing() {
    let mut story = ended();
    let path = story.world.dir.path().join("mark");
    let truth = fs::read(&path).unwrap();
    for torn in [Vec::new(), truth[..40].to_vec(), vec![0; 56], [&truth[..55], &[!truth[55]]].concat()] {
        fs::write(&path, torn).unwrap();
        story.open();
        story.kill();
    }
    let next = u64::from_be_bytes(truth[..8].try_into().unwrap());
    for bad in [mark(next, [7; 32]), mark(next + 1, [7; 32]), mark(u64::MAX, [7; 32])] {
        fs::write(&path, bad).unwrap();
        story.try_open().unwrap();
        serves_reads_only(&story, Stop::Mark);
        story.kill();
    }
    fs::write(&path, truth).unwrap();
    story.open();
    go_on(&mut story);
}

#[test]
fn a_mark_where_no_commit_ends_is_another_history() {
    let (mut story, hold) = Story::held(64);
    story.enrol(1).unwrap();
    story.grant(1).unwrap();
    story.tick().unwrap();
    hold.shut();
    let first = story.world.node().submit(vec![sign(&story.world.key_create(), &person_key(2))]);
    hold.wait_for_append();
    // These two become one commit.
    let rest =
        [3, 4].map(|n| story.world.node().submit(vec![sign(&story.world.key_create(), &person_key(n))]));
    story.wait_for_pool();
    hold.open();
    let first = first.wait().remove(0).unwrap();
    let rest = rest.map(|ticket| ticket.wait().remove(0).unwrap());
    assert_eq!(rest[0].promise, rest[1].promise, "not one commit");
    story.kill();
    fs::write(story.world.dir.path().join("mark"), mark(first.index + 2, [7; 32])).unwrap();
    story.try_open().unwrap();
    serves_reads_only(&story, Stop::Mark);
}

#[test]
fn an_anchor_that_cannot_be_written_stops_writing_and_serves_no_new_checkpoint() {
    let mut story = begun();
    let (anchor, before) = (story.world.dir.path().join("anchor"), story.world.node().published().size);
    fs::remove_file(&anchor).unwrap();
    fs::create_dir_all(anchor.join("occupied")).unwrap();
    story.grant(2).unwrap();
    assert_eq!(story.tick(), Err(Stop::Anchor));
    assert_eq!(story.world.node().published().size, before);
    assert_eq!(story.world.check(story.ppid(2).unwrap()).decision.reason, Reason::LogUnavailable);
}

// Time and room.

#[test]
fn a_clock_that_goes_back_changes_no_order_also_over_a_restart() {
    let mut story = begun();
    story.world.advance(3_600_000);
    let last = story.withdraw(1).unwrap();
    story.world.clock.set(Timestamp(START));
    story.kill();
    story.open();
    let next = story.grant(2).unwrap();
    assert!(next.at >= last.at && next.index > last.index);
    story.tick().unwrap();
    go_on(&mut story);
}

#[test]
fn below_the_disk_reserve_only_closing_acts_are_taken() {
    let mut story = begun();
    story.kill();
    let settings = Settings { disk_reserve: u64::MAX, ..settings(&story.world.dir) };
    let store = Arc::new(story.world.memory.clone());
    story.world.node = Some(open_over(&story.world, store, settings).unwrap());
    assert_eq!(story.world.node().readiness(), Readiness::NotReady(Stop::Disk));
    let grant = story.granting(2);
    assert_eq!(unavailable(&story.world.submit(grant)), Stop::Disk);
    let mixed = vec![story.withdrawing(1), story.granting(2)];
    let mixed = story.world.node().record(mixed);
    assert!(mixed.iter().all(|o| unavailable(o) == Stop::Disk));
    let withdrawal = story.withdrawing(1);
    let id = story.oracle.send(&withdrawal);
    let outcome = story.world.submit(withdrawal);
    story.oracle.hear(id, &outcome);
    outcome.unwrap();
    story.tick().unwrap();
    assert_eq!(story.world.check(story.ppid(1).unwrap()).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn a_store_that_hides_commits_is_damage_and_not_an_endless_search() {
    let (mut story, hold) = Story::held(64);
    story.enrol(1).unwrap();
    story.kill();
    hold.hides_commits.store(true, Ordering::Release);
    let store = Held { memory: story.world.memory.clone(), hold };
    let settings = Settings { anchor: None, ..settings(&story.world.dir) };
    let refused = open_over(&story.world, Arc::new(store), settings).map(drop);
    assert!(matches!(refused, Err(naru::node::Error::Damaged(_))), "{refused:?}");
}

/// Does something of person 1, who demands her erasure while a name is looked for: it leads nowhere then.
/// Without the operator's key she waits.
fn erased_at(world: &mut World, name: Name, operator: bool, act: &dyn Fn(&Node)) {
    let (v, kind, iat, nonce, ppid) = (V1, Kind::ErasureDemand, world.now(), nonce(), world.ppid(1, None));
    let item = sign(&ErasureDemand { v, kind, iat, nonce, ppid }.into(), &person_key(1));
    drop(world.node.take());
    world.memory.sync();
    world.memory = world.memory.reopen();
    let hold = Arc::new(Hold::default());
    let store = Held { memory: world.memory.clone(), hold: Arc::clone(&hold) };
    let keys = Keys { operator: keys().operator.filter(|_| operator), ..keys() };
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let clock = world.clock.clone();
    let node = Arc::new(Node::open(settings(&world.dir), Arc::new(store), vault, keys, clock).unwrap());
    let erasing = Arc::clone(&node);
    let erase = move || {
        let outcome = erasing.record(vec![item]).pop().unwrap();
        assert_eq!(outcome.unwrap().erasure.is_some(), operator);
    };
    *hold.at_locate.lock().unwrap() = Some((name, Box::new(erase)));
    act(&node);
    assert!(hold.at_locate.lock().unwrap().is_none(), "she has demanded it in between");
    assert_eq!(world.memory.locate(&name).unwrap(), None);
}

#[test]
fn a_name_that_is_looked_for_while_she_is_erased_is_not_written_any_more() {
    let (key, hospital) = (key_hash(&person_key(1)), party("hospital"));
    let mut world = World::new();
    world.enrol(1);
    let ppid = world.ppid(1, Some("hospital"));
    erased_at(&mut world, Name::Ppid(ppid.0), true, &|node| {
        node.ppid(&key, Some(&hospital)).unwrap();
        // And nobody is found by it, whoever asks.
        let found = node.erasure_by_order(Some(&hospital), ppid, "2026-1");
        assert!(matches!(found, Ok(None)), "{found:?}");
    });
}

#[test]
fn an_arrival_that_is_told_while_she_is_erased_or_waits_for_it_leads_nowhere() {
    let (log, demand, there) = ("a.example.kr/log", StatementId([5; 32]), Ppid([6; 16]));
    let key = key_hash(&person_key(1));
    let arrival = Arrival::new(log.into(), there, Timestamp(START + DAY), demand);
    for operator in [true, false] {
        let mut world = World::new();
        world.enrol(1);
        let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let parts: [&[u8]; 2] = [log.as_bytes(), &[demand.0.as_slice(), &there.0].concat()];
        let name = Name::Arrival(vault.opaque_name("arrival", &parts));
        drop(vault);
        erased_at(&mut world, name, operator, &|node| {
            let (signer, logs) = (Box::new(signer(77)), vec![log.into()]);
            node.receive_with(Receiving { party: party("wallet"), signer, opener: None, logs });
            let told = node.expect_arrival(&key, &arrival);
            assert!(matches!(told, Err(NoArrival::Unexpected)), "{told:?}");
        });
    }
}

#[test]
fn a_store_that_holds_a_log_is_not_begun_again_and_an_empty_one_is_not_opened() {
    let story = begun();
    let empty = naru::store::memory::Memory::new();
    let refused = open_over(&story.world, Arc::new(empty), settings(&story.world.dir)).map(drop);
    assert!(matches!(refused, Err(naru::node::Error::Genesis(_))), "{refused:?}");
    let store: Arc<dyn Store> = Arc::new(story.world.memory.clone());
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(&dir.path().join("vault"), &master()).unwrap();
    let begun = Node::create(
        settings(&dir),
        store,
        vault,
        keys(),
        story.world.clock.clone(),
        genesis(Timestamp(START)),
    );
    assert!(matches!(begun.map(drop), Err(naru::node::Error::Genesis(_))));
}
