//! The log's key ends and another begins: what each signs, what old proofs are worth, what is refused.

use std::sync::Arc;

use naru::audit::Place;
use naru::audit::chain;
use naru::audit::mirror::Stopped;
use naru::ledger::chain::Chain;
use naru::ledger::checkpoint;
use naru::ledger::checkpoint::Checkpoint;
use naru::ledger::evidence::Evidence;
use naru::ledger::key::Signer;
use naru::ledger::promise;
use naru::ledger::receipt;
use naru::ledger::receipt::CheckpointSignature;
use naru::model::decision::Why;
use naru::model::id::StatementId;
use naru::model::statement::Kind;
use naru::model::statement::LogRotate;
use naru::model::statement::ServerKey;
use naru::model::statement::Statement;
use naru::model::statement::V1;
use naru::node::Accepted;
use naru::node::Keys;
use naru::node::Node;
use naru::node::Refusal;
use naru::node::Shown;
use naru::vault::Vault;
use serde_bytes::ByteBuf;

use crate::Copy;
use crate::mirror::Shelf;
use crate::mirror::follow_by;
use crate::mirror::sound;
use crate::support::*;

const SECOND: u8 = 71;
const THIRD: u8 = 72;
const TWIN: u8 = 73;

fn rotation(world: &World, what: ServerKey, new: u8) -> Statement {
    LogRotate {
        v: V1,
        kind: Kind::LogRotate,
        iat: world.now(),
        nonce: nonce(),
        server_key: what,
        new: ByteBuf::from(signer(new).public().spki()),
        overlap_until: world.now().plus_ms(DAY),
    }
    .into()
}

fn rotate(world: &World, old: u8, new: u8) -> Accepted {
    world.node().hold_log_key(Box::new(signer(new)));
    world.accept(endorse(&sign(&rotation(world, ServerKey::Log, new), &signer(old)), new))
}

fn opens(note: &str, by: u8) -> bool {
    checkpoint::open(note.as_bytes(), signer(by).public(), ORIGIN).is_ok()
}

fn evidence(world: &World, id: &StatementId) -> Evidence {
    let Shown::Evidence(bytes) = world.node().evidence(id, None).unwrap() else { panic!("not shown") };
    Evidence::parse(&bytes).unwrap()
}

fn open_with(world: &World, log: u8, others: &[u8]) -> Result<Node, naru::node::Error> {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let logs = others.iter().map(|seed| Box::new(signer(*seed)) as Box<dyn Signer>).collect();
    let keys = Keys { log: Box::new(signer(log)), logs, ..keys() };
    let store = Arc::new(world.memory.clone());
    Node::open(settings(&world.dir), store, vault, keys, world.clock.clone())
}

fn reopen_with(world: &mut World, log: u8, others: &[u8]) {
    drop(world.node.take());
    world.memory = world.memory.reopen();
    world.node = Some(open_with(world, log, others).unwrap());
}

#[test]
fn from_its_entry_on_the_new_key_signs_and_for_the_overlap_both() {
    let world = World::new();
    world.node().tick().unwrap();
    let before = evidence(&world, &world.notice);
    let rotated = rotate(&world, LOG, SECOND);
    // The commit that brings the key is promised by the one that ends: its receiver knows no other.
    promise::open(&rotated.promise, signer(LOG).public()).unwrap();
    let after = world.accept(sign(&world.key_create(), &person_key(1)));
    let promised = promise::open(&after.promise, signer(SECOND).public()).unwrap();
    assert_eq!((promised.first, promised.n), (after.index, 1));
    world.node().tick().unwrap();
    let note = world.node().published().note.clone();
    assert!(opens(&note, LOG) && opens(&note, SECOND) && !opens(&note, THIRD));
    // Receipts name one key, the one in force.
    let proof = world.node().receipt(after.index).unwrap().unwrap();
    receipt::verify_inclusion(&proof, &after.entry, signer(SECOND).public(), ORIGIN).unwrap();
    assert!(receipt::verify_inclusion(&proof, &after.entry, signer(LOG).public(), ORIGIN).is_err());
    world.advance(DAY);
    world.accept(sign(&world.key_create(), &person_key(2)));
    world.node().tick().unwrap();
    let note = world.node().published().note.clone();
    assert!(!opens(&note, LOG) && opens(&note, SECOND));
    // What was proven before stays proven: by the key itself, and by the chain from either end.
    let list = world.node().rotations().unwrap();
    before.verify(signer(LOG).public(), ORIGIN, None).unwrap();
    for known in [LOG, SECOND] {
        let chain = chain::follow(signer(known).public(), ORIGIN, &list).unwrap();
        before.verify(&chain, ORIGIN, None).unwrap();
        evidence(&world, &world.notice).verify(&chain, ORIGIN, None).unwrap();
        promise::open(&rotated.promise, &chain).unwrap();
    }
    assert!(matches!(chain::follow(signer(THIRD).public(), ORIGIN, &list), Err(chain::Error::Stranger)));
}

#[test]
fn an_ended_key_proves_nothing_later_and_an_unlisted_one_nothing() {
    let world = World::new();
    let index = rotate(&world, LOG, SECOND).index;
    let key = |seed| signer(seed).public().clone();
    let chain = Chain::new(key(LOG)).then(index, key(SECOND));
    for (seed, size, holds) in
        [(LOG, index, true), (LOG, index + 1, false), (SECOND, index + 1, true), (THIRD, index, false)]
    {
        let head = Checkpoint { origin: ORIGIN.into(), size, root: [7; 32] };
        let note = checkpoint::sign(&head, &signer(seed)).unwrap();
        assert_eq!(checkpoint::open(note.as_bytes(), &chain, ORIGIN).is_ok(), holds, "{seed} at {size}");
        let leaves: Vec<[u8; 32]> = (0..size).map(|n| naru::ledger::hash::leaf(&n.to_be_bytes())).collect();
        let list = naru::ledger::merkle::List::new(&leaves);
        let signature = CheckpointSignature::new(&signer(seed), ORIGIN, size, list.root()).unwrap();
        let proof = signature.inclusion(0, &list.path(0).unwrap());
        let proven = receipt::verify_inclusion(&proof, &0u64.to_be_bytes(), &chain, ORIGIN);
        assert_eq!(proven.is_ok(), holds, "{seed} at {size}");
        let made = promise::Promise { origin: ORIGIN.into(), first: size, n: 1, at: 1, root: [0; 32] };
        let made = made.sign(&signer(seed)).unwrap();
        assert_eq!(promise::open(&made, &chain).is_ok(), holds, "{seed} at {size}");
    }
}

#[test]
fn an_audit_and_a_mirror_follow_two_rotations_from_any_key() {
    let mut world = World::new();
    let shelf = Shelf::default();
    world.node().tick().unwrap();
    let oldest = world.node().published().note.clone();
    follow_by(LOG, &Copy::of(world.node()), &shelf).unwrap();
    for (n, (old, new)) in [(LOG, SECOND), (SECOND, THIRD)].into_iter().enumerate() {
        rotate(&world, old, new);
        world.enrol(n as u64);
        world.node().tick().unwrap();
        world.advance(2 * DAY);
        world.enrol(10 + n as u64);
        world.node().tick().unwrap();
        follow_by(LOG, &Copy::of(world.node()), &shelf).unwrap();
        sound(&shelf);
    }
    let copy = Copy::of(world.node());
    for known in [LOG, SECOND, THIRD] {
        let report = copy.audit_by(known, Some(&oldest));
        assert!(report.is_clean() && report.extends.is_some(), "{:?}", report.findings);
        follow_by(known, &copy, &Shelf::default()).unwrap();
    }
    assert!(!copy.audit_by(TWIN, None).is_clean());
    // The list left out, cut, or under a key that was never listed.
    let mut cheat = Copy::of(world.node());
    cheat.rotations = Vec::new();
    assert_eq!(cheat.audit().findings[0].place, Place::Checkpoint);
    let published = world.node().published();
    let head = Checkpoint { origin: ORIGIN.into(), size: published.size, root: published.root };
    let mut cheat = Copy::of(world.node());
    for seed in [SECOND, TWIN] {
        cheat.checkpoint = checkpoint::sign(&head, &signer(seed)).unwrap();
        assert_eq!(cheat.audit().findings[0].place, Place::Checkpoint);
        assert!(matches!(follow_by(LOG, &cheat, &Shelf::default()), Err(Stopped::Log(_))));
    }
    // Signed by the first key, as if nothing had followed it: the entries say otherwise.
    cheat.rotations = Vec::new();
    cheat.checkpoint = checkpoint::sign(&head, &signer(LOG)).unwrap();
    assert!(cheat.audit().findings.iter().any(|finding| finding.place == Place::Rotations));
    let proven = evidence(&world, &world.notice);
    let flipped = |list: &[u8]| {
        (0..list.len()).step_by(7).all(|at| {
            let mut bad = list.to_vec();
            bad[at] ^= 1;
            let chain = chain::follow(signer(LOG).public(), ORIGIN, &bad);
            chain.map_or(true, |chain| proven.verify(&chain, ORIGIN, None).is_err())
        })
    };
    assert!(flipped(&world.node().rotations().unwrap()));
    assert!(world.faults_by(THIRD).is_empty());
    assert!(!world.faults_by(TWIN).is_empty());
}

#[test]
fn a_start_takes_the_key_that_the_log_names() {
    let mut world = World::new();
    world.node().tick().unwrap();
    // Prepared, not recorded: the old key signs, whatever lies beside it.
    reopen_with(&mut world, LOG, &[SECOND]);
    assert_eq!(world.node().log_key(), *signer(LOG).public());
    // Recorded, and no checkpoint published by the new key yet.
    rotate(&world, LOG, SECOND);
    world.memory.sync();
    for (log, others) in [(LOG, &[SECOND][..]), (SECOND, &[LOG]), (TWIN, &[SECOND]), (SECOND, &[])] {
        reopen_with(&mut world, log, others);
        assert_eq!(world.node().log_key(), *signer(SECOND).public(), "{log}");
    }
    world.enrol(1);
    world.node().tick().unwrap();
    let note = world.node().published().note.clone();
    assert!(opens(&note, SECOND) && !opens(&note, LOG), "without the old key there is no second line");
    drop(world.node.take());
    world.memory = world.memory.reopen();
    for (log, others) in [(LOG, &[][..]), (LOG, &[TWIN])] {
        assert!(open_with(&world, log, others).is_err(), "{log}");
    }
    // The anchor, and a projection that a crash has lost, change nothing.
    assert!(world.faults_by(SECOND).is_empty());
}

#[test]
fn a_key_that_the_service_does_not_hold_never_gets_in() {
    let world = World::new();
    let item = endorse(&sign(&rotation(&world, ServerKey::Log, SECOND), &signer(LOG)), SECOND);
    assert!(matches!(world.refuse(item.clone()), Refusal::Inert(Why::KeyNotHeld)));
    world.node().hold_log_key(Box::new(signer(SECOND)));
    world.accept(item);
    // The key that ended rotates nothing; a key stands in one place only.
    world.node().hold_log_key(Box::new(signer(THIRD)));
    for (old, new, why) in
        [(LOG, THIRD, Why::KeyNotInSet), (SECOND, LOG, Why::KeyTaken), (SECOND, BANK, Why::KeyNotHeld)]
    {
        let item = endorse(&sign(&rotation(&world, ServerKey::Log, new), &signer(old)), new);
        assert!(matches!(world.refuse(item), Refusal::Inert(is) if is == why), "{old} {new}");
    }
    let webhook = sign(&rotation(&world, ServerKey::Webhook, TWIN), &signer(SECOND));
    world.accept(endorse(&webhook, TWIN));
    assert_eq!(world.node().register().rotated(ServerKey::Webhook).count(), 1);
    assert_eq!(world.node().log_key(), *signer(SECOND).public());
}
