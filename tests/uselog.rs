//! The use log in process: lines before answers, batches, gaps, counts, terms.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use naru::audit::Replay;
use naru::audit::What;
use naru::audit::decision;
use naru::audit::decision::Evidence;
use naru::identity;
use naru::ledger::cbor;
use naru::ledger::entry::Entry;
use naru::ledger::key::Signer;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::DecisionId;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::use_line::UseAct;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::node::Asked;
use naru::node::Asker;
use naru::node::Caller;
use naru::node::Note;
use naru::node::Page;
use naru::node::Refusal;
use naru::node::Settings;
use naru::node::Shown;
use naru::node::Told;
use naru::node::Use;
use naru::node::fsck;
use support::*;

fn tell(world: &World, asked: &Asked) -> Told {
    let bank = party("bank");
    let asker = Asker { party: &bank, signed: None };
    world.node().tell_in_memory(asker, asked).unwrap_or_else(|| world.node().tell(asker, asked))
}

fn ask(world: &World, ppid: Ppid) -> Told {
    tell(world, &world.ask(ppid, Action::Use))
}

fn named(world: &World, ppid: Ppid, use_id: &str) -> Reason {
    let mut asked = world.ask(ppid, Action::Use);
    asked.question.use_id = Some(use_id.to_owned());
    let told = tell(world, &asked);
    assert!(told.id.is_some());
    told.answer.decision.reason
}

fn uses(world: &World, n: u64) -> Vec<Use> {
    let page = Page { after: None, most: 1_000 };
    let seen = world.node().uses_of(&key_hash(&person_key(n)), page).unwrap();
    seen.into_iter().map(|s| s.seen).collect()
}

fn all(world: &World) -> Vec<Use> {
    let mut out = Vec::new();
    let node = world.node();
    node.uses_between(Timestamp(0), Timestamp(u64::MAX), &mut |seen| {
        out.push(seen);
        Ok(())
    })
    .unwrap();
    out
}

/// Syncs, batches and publishes; answers the batch, if one was made.
fn batch(world: &World) -> Option<UseBatch> {
    world.advance(1_000);
    world.node().sync_uses().unwrap();
    let accepted = world.node().batch_uses().unwrap()?.unwrap();
    world.node().tick().unwrap();
    let entry = world.node().entries(accepted.index, accepted.index + 1).unwrap().remove(0);
    let Entry::Public { item, .. } = Entry::parse(&entry).unwrap() else { panic!("sealed") };
    let verified = identity::open(&item).unwrap();
    assert_eq!(verified.signer(), key_hash(&signer(OPERATOR)));
    let Statement::UseBatch(batch) = verified.value() else { panic!("no batch") };
    Some(batch.as_ref().clone())
}

fn evidence(world: &World, id: DecisionId, caller: &Caller) -> Evidence {
    match world.node().decision_evidence(&id, caller).unwrap() {
        Shown::Evidence(bytes) => Evidence::parse(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn is_shown(world: &World, id: DecisionId, caller: &Caller) -> bool {
    !matches!(world.node().decision_evidence(&id, caller).unwrap(), Shown::Nothing)
}

fn verify(evidence: &Evidence) -> Result<decision::Proven, decision::Error> {
    evidence.verify(signer(LOG).public(), ORIGIN, Some(200))
}

fn segments(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = world.dir.path().join("use");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == "use"))
        .map(|p| (p.clone(), fs::read(p).unwrap()))
        .collect()
}

/// What a kill leaves: the files as they are now, whatever the node writes while it ends.
fn kill(world: &mut World) {
    let files = segments(world);
    drop(world.node.take());
    for path in segments(world).keys() {
        fs::remove_file(path).unwrap();
    }
    files.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
}

/// What a power loss leaves: each file as long as it was when `synced` was taken, and another boot.
fn lose_power(world: &mut World, synced: &BTreeMap<PathBuf, Vec<u8>>) {
    kill(world);
    for path in segments(world).keys() {
        match synced.get(path) {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }
    world.clock.reboot();
}

fn start(world: &mut World) {
    world.memory = world.memory.reopen();
    world.node = Some(world.open().unwrap());
}

fn granted(world: &World, n: u64, limits: Option<Limits>) -> Ppid {
    let ppid = world.enrol(n);
    let mut grant = world.grant(ppid, None);
    grant.limits = limits;
    world.accept(sign(&grant.into(), &person_key(n)));
    ppid
}

#[test]
fn every_answer_to_an_asker_leaves_its_line_and_a_check_in_process_none() {
    let world = World::logging();
    let ppid = granted(&world, 1, None);
    let permitted = ask(&world, ppid);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    let denied = ask(&world, ppid);
    world.check(ppid);
    let lines = uses(&world, 1);
    assert_eq!(lines.len(), 2);
    let ids: Vec<_> = [&permitted, &denied].iter().map(|told| told.id.unwrap()).collect();
    assert!(lines.iter().all(|l| ids.contains(&l.line.id)));
    let line = |told: &Told| lines.iter().find(|l| Some(l.line.id) == told.id).unwrap();
    let (yes, no) = (line(&permitted), line(&denied));
    assert_eq!((yes.line.told, yes.exact.is_none()), (Reason::ConsentGiven, true));
    assert_eq!((no.line.told, no.reason()), (Reason::ConsentWithdrawn, Reason::ConsentWithdrawn));
    let says = &yes.line;
    assert_eq!((says.asker.as_str(), says.controller.as_str()), ("bank", "bank"));
    assert_eq!((says.purpose.as_deref(), says.ppid), (Some(PURPOSE), Some(ppid)));
    assert_eq!(says.categories, [CATEGORY]);
    assert_eq!((says.as_of, says.at), (permitted.answer.as_of, permitted.answer.at));
    assert_eq!(says.basis, permitted.answer.decision.basis);
    assert_eq!(says.rule, &*permitted.rule);
}

#[test]
fn a_line_proves_the_decision_offline_and_any_flipped_bit_fails() {
    let world = World::logging();
    let ppid = granted(&world, 1, None);
    for n in 2..9 {
        ask(&world, Ppid([n; 16]));
    }
    let told = ask(&world, ppid);
    let id = told.id.unwrap();
    let bank = Caller::Party(party("bank"));
    assert!(matches!(world.node().decision_evidence(&id, &bank).unwrap(), Shown::NotYet));
    let made = batch(&world).unwrap();
    assert_eq!((made.number, made.gaps.len()), (0, 0));
    let own = evidence(&world, id, &bank);
    let proven = verify(&own).unwrap();
    assert_eq!((proven.line.id, proven.line.told), (id, Reason::ConsentGiven));
    assert_eq!(proven.signer, key_hash(&signer(OPERATOR)));
    assert_eq!(proven.batch, made);
    let bytes = own.encode().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut other = bytes.clone();
            other[at] ^= 1 << bit;
            let verified = Evidence::parse(&other).and_then(|e| verify(&e));
            assert!(verified.is_err(), "byte {at}, bit {bit}");
        }
    }
    // Not for others; hers is the same line.
    assert!(!is_shown(&world, id, &Caller::Party(party("hospital"))));
    assert!(!is_shown(&world, id, &Caller::Citizen(key_hash(&signer(99)))));
    world.enrol(2);
    assert!(!is_shown(&world, id, &Caller::Citizen(key_hash(&person_key(2)))));
    let hers = evidence(&world, id, &Caller::Citizen(key_hash(&person_key(1))));
    assert_eq!(hers.line, own.line);
    let mut unknown = id;
    unknown.0[3] ^= 1;
    assert!(!is_shown(&world, unknown, &bank));
}

#[test]
fn the_exact_reason_is_the_persons_and_not_the_askers() {
    let world = World::logging();
    let ppid = world.enrol(1);
    let own = world.ppid(1, None);
    let objection = world.object(own, Scope::Any, DataClass::RealName);
    world.accept(sign(&objection, &person_key(1)));
    let hidden = ask(&world, ppid);
    let unknown = ask(&world, Ppid([7; 16]));
    assert_eq!(hidden.answer.decision.reason, Reason::Objected);
    batch(&world).unwrap();
    let bank = Caller::Party(party("bank"));
    let (a, b) = (evidence(&world, hidden.id.unwrap(), &bank), evidence(&world, unknown.id.unwrap(), &bank));
    let (a, b) = (verify(&a).unwrap(), verify(&b).unwrap());
    assert_eq!((a.line.told, a.exact), (Reason::ConsentNotGiven, None));
    assert_eq!((b.line.told, b.exact), (Reason::ConsentNotGiven, None));
    assert_eq!(a.line.rule, b.line.rule);
    assert!(a.line.exact.is_some() && b.line.exact.is_some());
    let person = Caller::Citizen(key_hash(&person_key(1)));
    let hers = evidence(&world, hidden.id.unwrap(), &person);
    let proven = verify(&hers).unwrap();
    assert_eq!(proven.exact.unwrap().reason, Reason::Objected);
    let bytes = hers.encode().unwrap();
    for at in 0..bytes.len() {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(Evidence::parse(&other).and_then(|e| verify(&e)).is_err(), "byte {at}");
    }
    // Another line's halves do not fit.
    let halved = Evidence { exact: None, ..hers };
    assert!(matches!(verify(&halved), Err(decision::Error::Exact)));
}

#[test]
fn the_line_of_a_foreign_ppid_is_hers_whom_it_names_in_the_same_shape() {
    let world = World::logging();
    for n in 1..=2 {
        world.enrol(n);
    }
    let foreign = world.ppid(1, Some("hospital"));
    let (told, unknown) = (ask(&world, foreign), ask(&world, Ppid([7; 16])));
    let known = ask(&world, world.ppid(2, Some("bank")));
    world.node().forget_caches();
    let cold = ask(&world, foreign);
    let lines = uses(&world, 1);
    assert_eq!(lines.len(), 2, "hers, from memory and from the store");
    assert!(
        lines.iter().any(|l| Some(l.line.id) == told.id) && lines.iter().any(|l| Some(l.line.id) == cold.id)
    );
    assert_eq!(lines[0].reason(), Reason::SubjectUnknown);
    assert_eq!(uses(&world, 2).len(), 1);
    // The unknown ppid's line stands, and is nobody's.
    assert!(all(&world).iter().any(|l| Some(l.line.id) == unknown.id));
    let shape = |told: &Told| (told.answer.decision.told(), told.rule.clone(), told.valid_for_s);
    assert_eq!(shape(&told), shape(&unknown));
    assert_eq!(shape(&told), shape(&known));
    // The frames are of one length: from one line's start to the next.
    let lengths: Vec<_> = [&told, &unknown, &known]
        .iter()
        .map(|t| {
            let seen = all(&world).into_iter().find(|l| Some(l.line.id) == t.id).unwrap();
            (cbor::encode(&seen.line).unwrap().len(), seen.exact.is_some())
        })
        .collect();
    assert!(lengths.windows(2).all(|w| w[0] == w[1]), "{lengths:?}");
}

#[test]
fn what_was_written_outlives_a_kill_before_the_batch() {
    let mut world = World::logging();
    let ppid = granted(&world, 1, None);
    let told = ask(&world, ppid);
    kill(&mut world);
    start(&mut world);
    let again = ask(&world, ppid);
    assert_ne!(told.id, again.id);
    let made = batch(&world).unwrap();
    assert_eq!(made.gaps, [], "the same boot: the page cache outlived the process");
    for id in [told.id.unwrap(), again.id.unwrap()] {
        verify(&evidence(&world, id, &Caller::Party(party("bank")))).unwrap();
    }
    assert_eq!(uses(&world, 1).len(), 2);
    assert_eq!(batch(&world), None, "nothing to say");
}

#[test]
fn a_power_loss_leaves_a_named_gap_and_what_was_synced() {
    let mut world = World::logging();
    let ppid = granted(&world, 1, None);
    let kept = ask(&world, ppid);
    let first = batch(&world).unwrap();
    let second = ask(&world, ppid);
    world.advance(500);
    world.node().sync_uses().unwrap();
    let marked = world.now();
    let synced = segments(&world);
    world.advance(50);
    let lost = ask(&world, ppid);
    world.advance(5_000);
    lose_power(&mut world, &synced);
    start(&mut world);
    let started = world.now();
    let made = batch(&world).unwrap();
    assert_eq!((made.number, made.from), (1, first.until));
    assert_eq!(made.gaps, [Interval { from: marked, until: started }]);
    let bank = Caller::Party(party("bank"));
    for id in [kept.id.unwrap(), second.id.unwrap()] {
        verify(&evidence(&world, id, &bank)).unwrap();
    }
    assert!(!is_shown(&world, lost.id.unwrap(), &bank));
    // Named once.
    ask(&world, ppid);
    assert_eq!(batch(&world).unwrap().gaps, []);
    kill(&mut world);
    start(&mut world);
    ask(&world, ppid);
    assert_eq!(batch(&world).unwrap().gaps, []);
}

#[test]
fn a_gap_is_named_though_the_next_start_is_killed_before_its_batch() {
    let mut world = World::logging();
    world.node().sync_uses().unwrap();
    let (marked, synced) = (world.now(), segments(&world));
    world.advance(700);
    ask(&world, Ppid([7; 16]));
    lose_power(&mut world, &synced);
    start(&mut world);
    let started = world.now();
    world.advance(10_000);
    kill(&mut world);
    start(&mut world);
    assert_eq!(batch(&world).unwrap().gaps, [Interval { from: marked, until: started }]);
    // A torn frame at the end is cut, and what follows is read.
    let told = ask(&world, Ppid([7; 16]));
    kill(&mut world);
    let (path, mut bytes) = segments(&world).pop_last().unwrap();
    bytes.extend_from_slice(&[9; 40]);
    fs::write(path, bytes).unwrap();
    start(&mut world);
    assert!(all(&world).iter().any(|l| Some(l.line.id) == told.id));
    assert_eq!(batch(&world).unwrap().gaps, []);
}

#[test]
fn batches_are_numbered_without_holes_and_only_the_operators_count() {
    let world = World::logging();
    for number in 0..3 {
        ask(&world, Ppid([7; 16]));
        assert_eq!(batch(&world).unwrap().number, number);
    }
    let until = world.node().register().batched().unwrap().until;
    world.advance(60_000);
    let of = |number, from: Timestamp, until: Timestamp, gaps: Vec<Interval>| -> Statement {
        let (iat, root) = (world.now(), Hash([1; 32]));
        UseBatch { v: V1, kind: Kind::UseBatch, iat, nonce: nonce(), number, from, until, root, gaps }.into()
    };
    let after = until.plus_ms(10);
    let gap = |from, until| Interval { from, until };
    let why = |statement: &Statement, by: u8| match world.refuse(sign(statement, &signer(by))) {
        Refusal::Inert(why) => why,
        other => panic!("{other}"),
    };
    let good = of(3, until, after, vec![gap(until, after)]);
    for by in [LOG, TOKEN, REGULATOR, BANK] {
        assert_eq!(why(&good, by), Why::Role);
    }
    assert_eq!(why(&of(4, until, after, vec![]), OPERATOR), Why::Superseded, "a hole");
    assert_eq!(why(&of(2, until, after, vec![]), OPERATOR), Why::Superseded, "again");
    assert_eq!(why(&of(3, until.plus_ms(1), after, vec![]), OPERATOR), Why::Superseded, "time left out");
    assert_eq!(why(&of(3, until.minus_ms(1), after, vec![]), OPERATOR), Why::Superseded, "time twice");
    assert_eq!(why(&of(3, until, until, vec![]), OPERATOR), Why::Dates);
    assert_eq!(why(&of(3, until, world.now().plus_ms(500), vec![]), OPERATOR), Why::Dates, "to come");
    for gaps in [
        vec![gap(until.minus_ms(1), after)],
        vec![gap(until, after.plus_ms(1))],
        vec![gap(after, until)],
        vec![gap(until.plus_ms(5), after), gap(until, until.plus_ms(5))],
    ] {
        assert_eq!(why(&of(3, until, after, gaps), OPERATOR), Why::Dates);
    }
    world.accept(sign(&good, &signer(OPERATOR)));
    // A stranger replays the same, and finds what the node would have refused.
    let entries = world.node().entries(0, world.node().sequenced()).unwrap();
    let replay = || Replay::new(Some(signer(LOG).public().hash()), ORIGIN);
    let mut audit = replay();
    let mut attachments = |hash: &Hash| Ok(world.node().attachment(hash).unwrap());
    for entry in &entries {
        assert_eq!(audit.entry(entry, &mut attachments).unwrap(), []);
    }
    assert_eq!(audit.counts().use_batches, 4);
    assert_eq!(audit.register().batched(), world.node().register().batched());
    let forged = Entry::Public {
        t: world.now().rounded_to(200).0,
        item: sign(&of(5, until, after, vec![]), &signer(BANK)),
    };
    let findings = audit.entry(&forged.encode().unwrap(), &mut attachments).unwrap();
    let what: Vec<_> = findings.into_iter().map(|f| f.what).collect();
    assert!(what.contains(&What::Inert(Why::Role)), "{what:?}");
    assert!(what.contains(&What::BatchOrder { found: 5, expected: 4 }), "{what:?}");
    assert!(what.contains(&What::BatchInterval), "{what:?}");
}

#[test]
fn a_counted_use_is_counted_once_and_over_a_kill() {
    let mut world = World::logging();
    let ppid = granted(&world, 1, Some(Limits { count: Some(2), ..Limits::default() }));
    assert_eq!(ask(&world, ppid).answer.decision.reason, Reason::UseIdRequired);
    assert_eq!(named(&world, ppid, "a"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "a"), Reason::ConsentGiven, "the same use");
    assert_eq!(named(&world, ppid, "b"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "c"), Reason::UsageLimitReached);
    let counts = |world: &World| {
        let mut counts: Vec<_> =
            uses(world, 1).iter().map(|l| (l.line.use_id.clone(), l.line.count)).collect();
        counts.sort_unstable();
        counts
    };
    let name = |name: &str| Some(name.to_owned());
    let seen =
        [(None, None), (name("a"), Some(1)), (name("a"), Some(1)), (name("b"), Some(2)), (name("c"), None)];
    assert_eq!(counts(&world), seen);
    // It waited for the disk: a power loss right now takes nothing of it.
    let synced = segments(&world);
    lose_power(&mut world, &synced);
    start(&mut world);
    assert_eq!(counts(&world), seen);
    assert_eq!(named(&world, ppid, "b"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "d"), Reason::UsageLimitReached);
    // A new grant is counted anew.
    let last = world.accept(sign(&world.withdraw(ppid), &person_key(1))).id;
    assert_eq!(named(&world, ppid, "b"), Reason::ConsentWithdrawn);
    let mut grant = world.grant(ppid, Some(last));
    grant.limits = Some(Limits { count: Some(1), ..Limits::default() });
    world.accept(sign(&grant.into(), &person_key(1)));
    assert_eq!(named(&world, ppid, "d"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "e"), Reason::UsageLimitReached);
}

#[test]
fn a_frequency_gives_room_again_when_its_time_has_passed() {
    let world = World::logging();
    let frequency = Some(Frequency { max: 2, per_ms: DAY });
    let ppid = granted(&world, 1, Some(Limits { frequency, ..Limits::default() }));
    assert_eq!(named(&world, ppid, "a"), Reason::ConsentGiven);
    world.advance(DAY / 2);
    assert_eq!(named(&world, ppid, "b"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "c"), Reason::UsageLimitReached);
    world.advance(DAY / 2 - 1);
    assert_eq!(named(&world, ppid, "c"), Reason::UsageLimitReached);
    world.advance(1);
    assert_eq!(named(&world, ppid, "c"), Reason::ConsentGiven);
    assert_eq!(named(&world, ppid, "d"), Reason::UsageLimitReached);
}

#[test]
fn without_a_use_log_no_limited_grant_is_used() {
    let world = World::new();
    let ppid = granted(&world, 1, Some(Limits { count: Some(2), ..Limits::default() }));
    let mut asked = world.ask(ppid, Action::Use);
    asked.question.use_id = Some("a".into());
    for told in [tell(&world, &asked), tell(&world, &asked)] {
        assert_eq!((told.answer.decision.reason, told.id), (Reason::LogUnavailable, None));
    }
    assert_eq!(world.node().check(&asked).unwrap().decision.reason, Reason::LogUnavailable);
}

#[test]
fn segments_roll_and_go_when_all_their_lines_are_past_the_term() {
    let mut world = World::logging();
    drop(world.node.take());
    let open = |world: &mut World| {
        world.memory = world.memory.reopen();
        let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
        let settings = Settings { use_log: true, use_segment_bytes: 2_000, ..settings(&world.dir) };
        let store = std::sync::Arc::new(world.memory.clone());
        let node = naru::node::Node::open(settings, store, vault, keys(), world.clock.clone());
        world.node = Some(node.unwrap());
    };
    open(&mut world);
    let limits = Limits { count: Some(9), ..Limits::default() };
    let ppid = granted(&world, 1, Some(limits));
    assert_eq!(named(&world, ppid, "a"), Reason::ConsentGiven);
    let old: Vec<_> = (0..20).map(|_| ask(&world, Ppid([7; 16])).id.unwrap()).collect();
    assert!(segments(&world).len() > 5);
    let before = segments(&world).len();
    batch(&world).unwrap();
    world.advance(1_095 * DAY);
    world.node().batch_uses().unwrap();
    assert_eq!(segments(&world).len(), before, "not yet past the term");
    let young = ask(&world, Ppid([7; 16])).id.unwrap();
    batch(&world).unwrap();
    world.advance(DAY);
    world.node().batch_uses().unwrap();
    assert!(segments(&world).len() < before);
    let bank = Caller::Party(party("bank"));
    assert!(!is_shown(&world, old[0], &bank));
    verify(&evidence(&world, young, &bank)).unwrap();
    // Everything stands after a start, and numbers are not used again.
    let newest = segments(&world).into_keys().next_back().unwrap();
    drop(world.node.take());
    open(&mut world);
    assert!(segments(&world).into_keys().next_back().unwrap() > newest);
    verify(&evidence(&world, young, &bank)).unwrap();
}

#[test]
fn a_clock_set_back_adds_no_line_to_an_interval_that_was_batched() {
    let world = World::logging();
    ask(&world, Ppid([7; 16]));
    let first = batch(&world).unwrap();
    world.clock.set(first.until.minus_ms(30_000));
    let told = ask(&world, Ppid([7; 16]));
    let line = all(&world).into_iter().find(|l| Some(l.line.id) == told.id).unwrap().line;
    assert_eq!((line.at, line.t), (first.until.minus_ms(30_000), first.until));
    assert_eq!(batch(&world), None, "what is to come is nobody's to vouch for");
    world.clock.set(first.until.plus_ms(1_000));
    assert_eq!(batch(&world).unwrap().from, first.until);
    verify(&evidence(&world, told.id.unwrap(), &Caller::Party(party("bank")))).unwrap();
}

#[test]
fn rows_of_batches_are_made_again_from_the_log() {
    let mut world = World::logging();
    let ids: Vec<_> = (0..3)
        .map(|_| {
            let id = ask(&world, Ppid([7; 16])).id.unwrap();
            batch(&world).unwrap();
            id
        })
        .collect();
    drop(world.node.take());
    let rows = world.dir.path().join("use/batches");
    let bytes = fs::read(&rows).unwrap();
    for kept in [bytes.len(), 100, 64, 0] {
        fs::write(&rows, &bytes[..kept]).unwrap();
        start(&mut world);
        let bank = Caller::Party(party("bank"));
        ids.iter().for_each(|id| drop(verify(&evidence(&world, *id, &bank)).unwrap()));
        drop(world.node.take());
        assert_eq!(fs::read(&rows).unwrap(), bytes);
    }
}

#[test]
fn where_no_line_can_be_written_nothing_is_permitted() {
    let world = World::logging();
    let ppid = granted(&world, 1, None);
    assert!(ask(&world, ppid).answer.decision.permits());
    // The folder is gone, so the segment that counted uses need cannot be made.
    fs::rename(world.dir.path().join("use"), world.dir.path().join("elsewhere")).unwrap();
    let mut asked = world.ask(ppid, Action::Use);
    asked.question.use_id = Some("a".into());
    let limited = {
        let mut grant = world.grant(ppid, Some(uses_basis(&world, ppid)));
        grant.limits = Some(Limits { count: Some(3), ..Limits::default() });
        grant
    };
    world.accept(sign(&limited.into(), &person_key(1)));
    let told = tell(&world, &asked);
    assert_eq!((told.answer.decision.reason, told.id), (Reason::LogUnavailable, None));
    // Stopped for good: not even what needs no counting.
    let told = ask(&world, ppid);
    assert_eq!((told.answer.decision.reason, told.id), (Reason::LogUnavailable, None));
    assert!(matches!(world.node().readiness(), naru::node::Readiness::NotReady(naru::node::Stop::Io)));
}

fn uses_basis(world: &World, ppid: Ppid) -> naru::model::id::StatementId {
    world.check(ppid).decision.basis.unwrap()
}

#[test]
fn a_handover_and_an_opening_are_lines_of_the_person() {
    let world = World::logging();
    let ppid = world.enrol(1);
    let note = Note {
        act: UseAct::Opening,
        case: None,
        asker: party("pipc"),
        controller: party("bank"),
        ppid,
        told: Reason::StatutoryException,
        basis: None,
        purpose: None,
        recipient: None,
    };
    let handover = Note {
        act: UseAct::Handover,
        asker: party("bank"),
        told: Reason::ConsentGiven,
        recipient: Some(party("hospital")),
        ..note.clone()
    };
    let ids = [&note, &handover].map(|n| world.node().note_use(n).unwrap().unwrap());
    batch(&world).unwrap();
    let lines = uses(&world, 1);
    assert!(lines.iter().all(|l| ids.contains(&l.line.id)) && lines.len() == 2);
    let opened = verify(&evidence(&world, ids[0], &Caller::Party(party("pipc")))).unwrap();
    assert_eq!((opened.line.act, opened.line.asker.as_str()), (UseAct::Opening, "pipc"));
    assert_eq!(World::new().node().note_use(&note).unwrap(), None);
}

#[test]
fn nothing_of_a_line_stands_in_the_files_in_the_clear() {
    let world = World::logging();
    let ppid = granted(&world, 1, None);
    ask(&world, ppid);
    world.node().sync_uses().unwrap();
    let holds = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|w| w == what);
    for (path, bytes) in segments(&world) {
        for what in [b"bank".as_slice(), PURPOSE.as_bytes(), CATEGORY.as_bytes(), &ppid.0, b"CONSENT_GIVEN"] {
            assert!(!holds(&bytes, what), "{}", path.display());
        }
        assert!(is_private(&path));
    }
    assert!(world.dir.path().join("vault/places.key").exists());
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode().trailing_zeros() >= 6
}

#[test]
fn threads_write_side_by_side_and_every_line_is_in_one_batch() {
    let world = World::logging();
    let ids: Vec<DecisionId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|n| {
                let world = &world;
                scope
                    .spawn(move || (0..50).map(|_| ask(world, Ppid([n; 16])).id.unwrap()).collect::<Vec<_>>())
            })
            .collect();
        (0..20).for_each(|_| {
            world.advance(10);
            world.node().sync_uses().unwrap();
            drop(world.node().batch_uses().unwrap());
        });
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    batch(&world);
    world.node().tick().unwrap();
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((distinct.len(), all(&world).len()), (400, 400));
    let bank = Caller::Party(party("bank"));
    for id in ids.iter().step_by(7) {
        verify(&evidence(&world, *id, &bank)).unwrap();
    }
}

const RESCUE: &str = "dpv:ImproveHealthcare";

/// The hospital's notice of rescues, which claims the exception that permits first.
fn rescue_notice(world: &World) -> Statement {
    let Statement::NoticePublish(mut s) = world.notice_of("hospital", 1, &[DataClass::RealName]) else {
        panic!("a notice")
    };
    s.purposes[0].purpose = RESCUE.into();
    s.purposes[0].actions = vec![Action::Use];
    s.purposes[0].recipients.clear();
    let (rule, reason) = ("kr-pipa-2026#vital-interest".into(), "an emergency room".into());
    s.claims = vec![Claim { rule, purpose: RESCUE.into(), reason }];
    Statement::NoticePublish(s)
}

#[test]
fn a_use_that_must_be_justified_is_still_owed_after_a_start() {
    let mut world = World::korean_with(true);
    world.enrol(1);
    world.enrol(2);
    let hospital = party("hospital");
    world.accept(sign(&rescue_notice(&world), &signer(HOSPITAL)));
    let rescue = |world: &World, n: u64| {
        let mut asked = world.ask(world.ppid(n, Some("hospital")), Action::Use);
        (asked.question.controller, asked.question.purpose) = (party("hospital"), RESCUE.into());
        let told = world.node().tell(Asker { party: &party("hospital"), signed: None }, &asked);
        assert_eq!(told.answer.decision.reason, Reason::StatutoryException);
    };
    let owed = |world: &World| {
        let watched = world.node().exceptions_of(&hospital).unwrap().unwrap().watched;
        assert!(watched.whole);
        watched.uses.iter().map(|(standing, used)| (standing.as_str(), used.at)).collect::<Vec<_>>()
    };
    let first = world.now();
    rescue(&world, 1);
    // What came before the list was first asked for, and after: each once, also at the instant of a start.
    assert_eq!(owed(&world), [("waiting", first)]);
    world.reopen();
    rescue(&world, 2);
    assert_eq!(owed(&world), [("waiting", first), ("waiting", first)]);
    assert_eq!(owed(&world).len(), 2);
    world.advance(73 * 3_600_000);
    world.reopen();
    let later = world.now();
    assert_eq!(owed(&world), [("overdue", first), ("overdue", first)]);
    rescue(&world, 1);
    assert_eq!(owed(&world), [("overdue", first), ("overdue", first), ("waiting", later)]);
    let justify = DutyJustify {
        v: V1,
        kind: Kind::DutyJustify,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, Some("hospital")),
        party: hospital.clone(),
        rule: "kr-pipa-2026#vital-interest".into(),
        purpose: RESCUE.into(),
        class: DataClass::RealName,
        from: first,
        until: first.plus_ms(1),
        reason: "unconscious".into(),
    };
    world.accept(sign(&justify.into(), &signer(HOSPITAL)));
    world.reopen();
    assert_eq!(owed(&world), [("overdue", first), ("late", first), ("waiting", later)]);
    let hers = world.node().exceptions_on(&key_hash(&person_key(2))).unwrap().unwrap().watched;
    assert_eq!(hers.uses.len(), 1);
    assert_eq!(hers.since, first);
}

#[test]
fn what_was_asked_is_asked_again_under_another_pack_as_all_stood_then() {
    let mut world = World::logging();
    let hers = world.enrol(1);
    world.accept(sign(&world.grant(hers, None).into(), &person_key(1)));
    let (his, nobody) = (world.enrol(2), Ppid([7; 16]));
    let anonymise = |world: &World, ppid| {
        let mut asked = world.ask(ppid, Action::Anonymise);
        asked.question.class = DataClass::Anonymous;
        tell(world, &asked)
    };
    // Permitted by default, until he objects; of nobody it knows a party is told nothing.
    let first = anonymise(&world, his);
    assert_eq!(first.answer.decision.reason, Reason::OptOutDefaultAllow);
    let foreign = world.ppid(2, Some("hospital"));
    for ppid in [foreign, nobody] {
        anonymise(&world, ppid);
    }
    let before = world.now();
    world.advance(1_000);
    world.accept(sign(&world.object(his, Scope::One("bank".into()), DataClass::Anonymous), &person_key(2)));
    anonymise(&world, his);
    assert!(ask(&world, hers).answer.decision.permits());
    world.accept(sign(&world.withdraw(hers), &person_key(1)));
    ask(&world, hers);
    drop(world.node.take());
    let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let (log, store) = (signer(LOG), world.memory.reopen());
    let data = fsck::Data {
        store: &store,
        vault: &vault,
        log: log.public(),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: None,
    };
    assert!(fsck::has_uses(&data));
    // A pack that asks for a grant where the home rule permits by default.
    let strict = naru::model::pack::kcern_2018()
        .replace("name = \"kcern-2018\"", "name = \"strict\"")
        .replace("mode = \"opt-out\"\nallows = [\"anonymise\"]", "mode = \"opt-in\"");
    let strict = naru::model::pack::Pack::parse(&strict).unwrap();
    let tried = |from: Timestamp, until: Timestamp| {
        let mut trial = naru::consent::Trial::of(&strict);
        let (report, asked) = fsck::replay_uses(&data, &mut trial, (from, until), &mut |_, _| {}).unwrap();
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        assert_eq!(asked, fsck::Asked::default());
        let rows: Vec<_> = trial
            .changes()
            .map(|(c, n)| (c.before.reason, c.after.reason, n, trial.sample_of(c).to_vec()))
            .collect();
        assert_eq!(trial.by_rule().values().sum::<u64>(), rows.len() as u64);
        (trial.asked(), rows)
    };
    let change = (Reason::OptOutDefaultAllow, Reason::ConsentNotGiven, 1, vec![first.id.unwrap()]);
    assert_eq!(tried(Timestamp(0), Timestamp(u64::MAX)), (6, vec![change.clone()]));
    // The span counts.
    assert_eq!(tried(Timestamp(0), before.plus_ms(1)), (3, vec![change]));
    assert_eq!(tried(before.plus_ms(1), Timestamp(u64::MAX)), (3, vec![]));
}
