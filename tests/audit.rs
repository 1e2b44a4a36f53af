//! What anybody can check, and what the operator can: over worlds in which somebody cheated.

#[path = "audit/keys.rs"]
mod keys;
#[path = "audit/mirror.rs"]
mod mirror;
#[path = "audit/replays.rs"]
mod replays;
mod support;

use std::cell::RefCell;
use std::collections::HashMap;

use naru::audit;
use naru::audit::Known;
use naru::audit::Place;
use naru::audit::Report;
use naru::audit::Source;
use naru::audit::Unread;
use naru::audit::What;
use naru::consent::Trial;
use naru::ledger::checkpoint;
use naru::ledger::checkpoint::Checkpoint;
use naru::ledger::entry::Entry;
use naru::ledger::key::Signer;
use naru::ledger::tile;
use naru::ledger::tile::Path;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::pack::Pack;
use naru::model::statement::ConsentLift;
use naru::model::statement::Kind;
use naru::model::statement::PackAdopt;
use naru::model::statement::Replayed;
use naru::model::statement::Scope;
use naru::model::statement::Statement;
use naru::model::statement::V1;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Node;
use naru::node::Refusal;
use naru::node::fsck;
use naru::store::Append;
use naru::store::Batch;
use naru::store::BatchId;
use naru::store::Body;
use naru::store::Holder;
use naru::store::Name;
use naru::store::NameRow;
use naru::store::Project;
use naru::store::Row;
use naru::store::Store;
use naru::vault::Vault;
use support::*;

/// A copy of a node's public log that a test may falsify.
struct Copy {
    checkpoint: String,
    tiles: RefCell<HashMap<String, Vec<u8>>>,
    attachments: HashMap<Hash, Vec<u8>>,
    rotations: Vec<u8>,
}

impl Copy {
    fn of(node: &Node) -> Self {
        let published = node.published();
        let narrow = |width: u16| u8::try_from(width).ok();
        let mut tiles = HashMap::new();
        let mut attachments = HashMap::new();
        for path in tile::paths(published.size) {
            let bytes = match path {
                Path::Entries { index, width } => node.bundle(index, narrow(width)),
                Path::Tile { level, index, width } => node.tile(level, index, narrow(width)),
            };
            tiles.insert(path.to_string(), bytes.unwrap().unwrap());
        }
        for index in 0..published.size {
            let entry = node.entries(index, index + 1).unwrap().pop().unwrap();
            let Ok(Entry::Public { item, .. }) = Entry::parse(&entry) else { continue };
            let Ok((statement, _)) = naru::identity::reload(&item) else { continue };
            for hash in naru::consent::Register::attachments_of(&statement) {
                attachments.extend(node.attachment(&hash).unwrap().map(|bytes| (hash, bytes)));
            }
        }
        let rotations = node.rotations().unwrap();
        Self { checkpoint: published.note.clone(), tiles: RefCell::new(tiles), attachments, rotations }
    }

    fn audit(&self) -> Report {
        self.audit_from(None)
    }

    fn audit_from(&self, older: Option<&str>) -> Report {
        self.audit_by(LOG, older)
    }

    fn audit_by(&self, key: u8, older: Option<&str>) -> Report {
        let log = signer(key);
        let known = Known { key: log.public(), origin: ORIGIN, older };
        audit::audit(self, &known, &mut |_, _| {}).unwrap()
    }
}

impl Source for Copy {
    fn checkpoint(&self) -> Result<String, Unread> {
        Ok(self.checkpoint.clone())
    }

    fn tile(&self, path: Path) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.tiles.borrow().get(&path.to_string()).cloned())
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.attachments.get(hash).cloned())
    }

    fn rotations(&self) -> Result<Vec<u8>, Unread> {
        Ok(self.rotations.clone())
    }
}

/// A world with more than one full tile and some sealed entries.
fn busy() -> World {
    let world = World::new();
    for n in 0..130 {
        let ppid = world.enrol(n);
        world.accept(sign(&world.withdraw(ppid), &person_key(n)));
    }
    world.node().tick().unwrap();
    world
}

fn findings(report: &Report) -> Vec<String> {
    report.findings.iter().map(ToString::to_string).collect()
}

/// Appends entries straight to the store, past every judgement; the node starts again on them.
fn smuggle(world: &mut World, items: &[Vec<u8>]) {
    world.node().close();
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let (epoch, found) = world.memory.lead(&Holder([9; 16])).unwrap();
    let ids: Vec<StatementId> = items.iter().map(|i| naru::identity::reload(i).unwrap().1.id).collect();
    let entry = |item: &Vec<u8>| Entry::Public { t: found.at - found.at % 200, item: item.clone() };
    let batch = Batch {
        id: BatchId([7; 16]),
        at: found.at,
        entries: items.iter().map(|item| entry(item).encode().unwrap()).collect(),
        names: (0u32..)
            .zip(&ids)
            .map(|(n, id)| NameRow { name: Name::Statement(id.0), sealed: Vec::new(), entry: Some(n) })
            .collect(),
        ids,
        bodies: Vec::new(),
    };
    assert!(matches!(world.memory.append(epoch, &batch), Append::Sequenced { .. }));
    world.reopen();
    world.node().tick().unwrap();
}

fn check(world: &mut World) -> fsck::Report {
    stop(world);
    fsck_of(world)
}

/// An orderly stop: nothing that was written is lost.
fn stop(world: &mut World) {
    drop(world.node.take());
    world.memory.sync();
    world.memory = world.memory.reopen();
}

fn fsck_of(world: &World) -> fsck::Report {
    with_data(world, |data| fsck::check(data, &mut |_, _| {}).unwrap())
}

fn with_data<T>(world: &World, act: impl FnOnce(&fsck::Data<'_>) -> T) -> T {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let log = signer(LOG);
    let anchor = world.dir.path().join("anchor");
    act(&fsck::Data {
        store: &world.memory,
        vault: &vault,
        log: log.public(),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: Some(&anchor),
    })
}

#[test]
fn an_honest_log_is_sound_and_extends_what_was_seen() {
    let world = busy();
    let old = Copy::of(world.node()).checkpoint;
    world.enrol(999);
    world.node().tick().unwrap();
    let report = Copy::of(world.node()).audit_from(Some(&old));
    assert_eq!(findings(&report), [""; 0]);
    assert_eq!(report.counts.entries, world.node().sequenced());
    assert_eq!(report.counts.public, report.counts.applied);
    assert_eq!(report.extends, Some(report.counts.entries - 1));
    assert_eq!(report.counts.sealed, 261);
}

#[test]
fn every_flipped_file_is_named() {
    let world = busy();
    let copy = Copy::of(world.node());
    let names: Vec<String> = copy.tiles.borrow().keys().cloned().collect();
    assert!(names.iter().any(|n| n == "tile/0/000") && names.len() == 5);
    for name in names {
        let flip = || {
            let mut tiles = copy.tiles.borrow_mut();
            let bytes = tiles.get_mut(&name).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        };
        flip();
        let told = findings(&copy.audit());
        // A changed entry shows in the hash tile beside it and in the root.
        let named = if name.contains("entries") { name.replace("entries", "0") } else { name.clone() };
        assert!(told.iter().any(|f| f.starts_with(&named)), "{name}: {told:?}");
        assert_eq!(name.contains("entries"), told.iter().any(|f| f.starts_with("checkpoint")), "{told:?}");
        flip();
    }
    assert!(copy.audit().is_clean());
}

#[test]
fn a_missing_bundle_is_named_and_the_rest_still_checked() {
    let world = busy();
    let copy = Copy::of(world.node());
    copy.tiles.borrow_mut().remove("tile/entries/000").unwrap();
    let report = copy.audit();
    assert_eq!(report.findings[0].place, Place::Tile("tile/entries/000".parse().unwrap()));
    assert_eq!(report.findings[0].what, What::Missing);
    // The tile stands in for it: the root still holds.
    assert!(!report.findings.iter().any(|f| f.what == What::Root), "{:?}", findings(&report));
}

#[test]
fn a_checkpoint_over_another_root_is_refused() {
    let world = busy();
    let mut copy = Copy::of(world.node());
    let size = world.node().published().size;
    let lie = Checkpoint { origin: ORIGIN.into(), size, root: [5; 32] };
    copy.checkpoint = checkpoint::sign(&lie, &signer(LOG)).unwrap();
    assert_eq!(
        findings(&copy.audit()),
        ["checkpoint: the entries make another root than the checkpoint says"]
    );
    copy.checkpoint = checkpoint::sign(&lie, &signer(OPERATOR)).unwrap();
    let report = copy.audit();
    assert!(report.checkpoint.is_none() && matches!(report.findings[0].what, What::Checkpoint(_)));
}

#[test]
fn two_histories_are_told_apart() {
    let world = busy();
    let copy = Copy::of(world.node());
    let size = world.node().published().size;
    let fork = Checkpoint { origin: ORIGIN.into(), size: size - 1, root: [5; 32] };
    let fork = checkpoint::sign(&fork, &signer(LOG)).unwrap();
    let report = copy.audit_from(Some(&fork));
    assert_eq!(report.findings[0].what, What::Fork { size: size - 1 });
    let ahead = Checkpoint { origin: ORIGIN.into(), size: size + 1, root: [5; 32] };
    let ahead = checkpoint::sign(&ahead, &signer(LOG)).unwrap();
    let report = copy.audit_from(Some(&ahead));
    assert_eq!(report.findings[0].what, What::Shrunk { size, older: size + 1 });
}

#[test]
fn a_regulator_made_by_the_operator_alone_is_named() {
    let mut world = World::new();
    let made = world.register("mine", vec![Role::Regulator], true);
    let item = endorse(&sign(&made, &signer(77)), OPERATOR);
    smuggle(&mut world, &[item]);
    let index = world.node().sequenced() - 1;
    let report = Copy::of(world.node()).audit();
    assert_eq!(report.findings.len(), 1, "{:?}", findings(&report));
    assert_eq!(report.findings[0].place, Place::Entry(index));
    assert_eq!(report.findings[0].what, What::Inert(Why::Endorsement));
}

#[test]
fn a_notice_by_a_stranger_and_a_repeated_statement_are_named() {
    let mut world = World::new();
    let notice = world.notice_of("bank", 2, &[DataClass::RealName]);
    let stranger = sign(&notice, &signer(HOSPITAL));
    smuggle(&mut world, &[stranger.clone(), stranger]);
    let first = world.node().sequenced() - 2;
    let report = Copy::of(world.node()).audit();
    let told = findings(&report);
    assert!(
        told.contains(&format!("entry {first}: the statement has no effect: key-not-in-set")),
        "{told:?}"
    );
    assert!(
        told.contains(&format!("entry {}: the same statement stands at entry {first} already", first + 1)),
        "{told:?}"
    );
}

#[test]
fn a_personal_statement_in_the_open_is_named() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let item = sign(&world.withdraw(ppid), &person_key(1));
    smuggle(&mut world, &[item]);
    let report = Copy::of(world.node()).audit();
    assert!(report.findings.iter().any(|f| f.what == What::Exposed));
}

#[test]
fn missing_and_false_attachments_are_named() {
    let world = busy();
    let mut copy = Copy::of(world.node());
    let bytes = copy.attachments.remove(&world.text).unwrap();
    let report = copy.audit();
    assert_eq!(report.findings[0].place, Place::Attachment(world.text));
    assert_eq!(report.findings[0].what, What::Missing);
    copy.attachments.insert(world.text, [bytes, b"!".to_vec()].concat());
    assert_eq!(copy.audit().findings[0].what, What::AttachmentBytes);
}

#[test]
fn another_logs_key_proves_nothing() {
    let world = World::new();
    world.node().tick().unwrap();
    let copy = Copy::of(world.node());
    let (log, other) = (signer(LOG), signer(OPERATOR));
    for known in [
        Known { key: other.public(), origin: ORIGIN, older: None },
        Known { key: log.public(), origin: "elsewhere.test/log", older: None },
    ] {
        let report = audit::audit(&copy, &known, &mut |_, _| {}).unwrap();
        assert!(matches!(report.findings[0].what, What::Checkpoint(_)));
    }
}

#[test]
fn fsck_of_an_honest_world_finds_nothing() {
    let mut world = busy();
    let ppid = world.ppid(3, Some("bank"));
    let over = {
        // The slot's last statement is the withdrawal made by `busy`.
        let last = world.withdraw(ppid);
        world.accept(sign(&last, &person_key(3))).id
    };
    world.accept(sign(&Statement::from(world.grant(ppid, Some(over))), &person_key(3)));
    world.node().tick().unwrap();
    let report = check(&mut world);
    assert_eq!(report.faults, []);
    assert_eq!((report.persons, report.lag, report.tiles_missing), (130, 0, 0));
}

#[test]
fn fsck_after_a_power_loss_finds_a_lag_and_no_fault() {
    let mut world = busy();
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let report = fsck_of(&world);
    assert_eq!(report.faults, []);
    assert!(report.lag > 0);
    with_data(&world, |data| fsck::rebuild(data, &mut |_, _| {})).unwrap();
    let report = fsck_of(&world);
    assert_eq!((report.faults.len(), report.lag, report.tiles_missing), (0, 0, 0));
}

#[test]
fn fsck_names_the_entry_whose_body_was_changed() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    stop(&mut world);
    // The body of another statement of the same person, under this one's id.
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let row = world.memory.locate(&Name::Statement(withdrawn.id.0)).unwrap().unwrap();
    let who = vault.open_name(&withdrawn.id.0, &row.sealed).unwrap();
    let key = vault.person_key(who).unwrap();
    let other = sign(&world.withdraw(ppid), &person_key(1));
    let sealed = key.seal(naru::vault::Sealed::Body, &who.subject, &withdrawn.id.0, &other).unwrap();
    let body = Body { subject: who.subject, id: withdrawn.id, sealed };
    // A batch replaces bodies; its own entry is found to be without effect too.
    let stray = sign(&world.register("stray", vec![Role::Controller], false), &signer(99));
    let id = naru::identity::reload(&stray).unwrap().1.id;
    let (epoch, found) = world.memory.lead(&Holder([9; 16])).unwrap();
    let t = found.at - found.at % 200;
    let batch = Batch {
        id: BatchId([7; 16]),
        at: found.at,
        entries: vec![Entry::Public { t, item: stray }.encode().unwrap()],
        ids: vec![id],
        names: vec![NameRow { name: Name::Statement(id.0), sealed: Vec::new(), entry: Some(0) }],
        bodies: vec![body],
    };
    assert!(matches!(world.memory.append(epoch, &batch), Append::Sequenced { .. }));
    let report = fsck_of(&world);
    let told: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert!(told.contains(&format!("entry {}: its body is another statement", withdrawn.index)), "{told:?}");
    assert!(told.iter().any(|f| f.starts_with(&format!("entry {}:", found.next))), "{told:?}");
    // A state without the lost withdrawal would be wrong: nothing is rebuilt.
    assert!(with_data(&world, |data| fsck::rebuild(data, &mut |_, _| {})).is_err());
}

#[test]
fn fsck_notices_a_changed_state_row_and_rebuild_mends_it() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    stop(&mut world);
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let row = world.memory.locate(&Name::Statement(withdrawn.id.0)).unwrap().unwrap();
    let subject = vault.open_name(&withdrawn.id.0, &row.sealed).unwrap().subject;
    let (epoch, found) = world.memory.lead(&Holder([9; 16])).unwrap();
    let (part, index, mut sealed) = world.memory.rows(&subject).unwrap().rows.pop().unwrap();
    sealed[20] ^= 1;
    let rows = [Row::Person { subject, part, index, sealed }];
    assert!(matches!(world.memory.project(epoch, found.next, &rows), Project::Projected));
    let report = fsck_of(&world);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert_eq!(report.faults[0].place, format!("entry {}", withdrawn.index));
    with_data(&world, |data| fsck::rebuild(data, &mut |_, _| {})).unwrap();
    assert_eq!(fsck_of(&world).faults, []);
}

#[test]
fn fsck_notices_a_damaged_tile_and_rebuild_mends_it() {
    let mut world = busy();
    stop(&mut world);
    let tile = world.memory.get("tile/0/000").unwrap().unwrap();
    let mut bad = tile.clone();
    bad[9] ^= 1;
    world.memory.replace("tile/0/000", &bad).unwrap();
    let report = fsck_of(&world);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert_eq!(report.faults[0].place, "tile/0/000");
    with_data(&world, |data| fsck::rebuild(data, &mut |_, _| {})).unwrap();
    assert_eq!(fsck_of(&world).faults, []);
    assert_eq!(world.memory.get("tile/0/000").unwrap().unwrap(), tile);
}

#[test]
fn fsck_notices_an_old_copy_by_anchor_and_mark() {
    let mut world = World::new();
    world.node().tick().unwrap();
    let ahead = Checkpoint { origin: ORIGIN.into(), size: 900, root: [1; 32] };
    stop(&mut world);
    let note = checkpoint::sign(&ahead, &signer(LOG)).unwrap();
    std::fs::write(world.dir.path().join("anchor"), note).unwrap();
    let report = fsck_of(&world);
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert_eq!(report.faults[0].place, "anchor");
}

/// The home rule made stricter: anonymous data is opt-in.
fn strict_pack() -> String {
    let opt_out = "mode = \"opt-out\"\nallows = [\"anonymise\"]";
    assert!(naru::model::pack::kcern_2018().contains(opt_out));
    naru::model::pack::kcern_2018().replacen("name = \"kcern-2018\"", "name = \"strict\"", 1).replacen(
        opt_out,
        "mode = \"opt-in\"",
        1,
    )
}

fn adoption(world: &World, hash: Hash, from: u64, replay: Option<Replayed>) -> Vec<u8> {
    let s = PackAdopt {
        v: V1,
        kind: Kind::PackAdopt,
        iat: world.now(),
        nonce: nonce(),
        pack: "strict".into(),
        version: 1,
        hash,
        from: Timestamp(from),
        replay,
    };
    endorse(&sign(&s.into(), &signer(OPERATOR)), REGULATOR)
}

#[test]
fn a_pack_takes_force_at_its_instant_and_everybody_who_replays_sees_it() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let mut asked = world.ask(ppid, Action::Anonymise);
    asked.question.class = DataClass::Anonymous;
    let from = START + 2 * DAY;
    let unknown = world.refuse(adoption(&world, Hash([1; 32]), from, None));
    assert!(matches!(unknown, Refusal::Inert(Why::AttachmentMissing)), "{unknown}");
    let no_pack = world.node().attach(b"version = 1").unwrap();
    assert!(matches!(world.refuse(adoption(&world, no_pack, from, None)), Refusal::Inert(Why::Pack)));
    let hash = world.node().attach(strict_pack().as_bytes()).unwrap();
    assert!(matches!(
        world.refuse(adoption(&world, hash, START + 1_000, None)),
        Refusal::Inert(Why::TooSoon)
    ));
    world.accept(adoption(&world, hash, from, None));
    let answer = |world: &World| {
        let d = world.node().check(&asked).unwrap().decision;
        (d.reason, d.pack.to_string(), d.rule.to_string())
    };
    let before = (Reason::OptOutDefaultAllow, "kcern-2018".to_owned(), "anonymous-opt-out".to_owned());
    let after = (Reason::ConsentNotGiven, "strict".to_owned(), "anonymous-opt-out".to_owned());
    world.clock.set(Timestamp(from - 1));
    assert_eq!(answer(&world), before);
    // A party registered in the last grain before, another at the instant itself.
    for (name, seed, at) in [("early", 30, from - 1), ("late", 31, from)] {
        world.clock.set(Timestamp(at));
        let item = world.register(name, vec![Role::Controller], false);
        world.accept(endorse(&sign(&item, &signer(seed)), OPERATOR));
    }
    assert_eq!(answer(&world), after);
    world.reopen();
    // Her ppid was handed out and never used: she asks for it again.
    assert_eq!(world.ppid(1, Some("bank")), ppid);
    assert_eq!(answer(&world), after, "a new start reads the pack again");
    world.node().tick().unwrap();
    let copy = Copy::of(world.node());
    let report = copy.audit();
    assert!(report.is_clean(), "{:?}", findings(&report));
    // Without the file nobody can judge what came after.
    let mut copy = copy;
    copy.attachments.remove(&hash);
    let told = findings(&copy.audit());
    assert!(told.iter().any(|f| f.contains(&hash.to_string())), "{told:?}");
    drop(world.node.take());
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let anchor = world.dir.path().join("anchor");
    let log = signer(LOG);
    let store = world.memory.reopen();
    let data = fsck::Data {
        store: &store,
        vault: &vault,
        log: log.public(),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: Some(&anchor),
    };
    let report = fsck::check(&data, &mut |_, _| {}).unwrap();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

/// Three people object and lift: silence, which the home rule takes for yes.
fn objectors(world: &World) {
    for n in 1..=3 {
        let ppid = world.enrol(n);
        let wide = world.object(ppid, Scope::One("bank".into()), DataClass::Anonymous);
        world.accept(sign(&wide, &person_key(n)));
        let over = Some(naru::identity::open(&sign(&wide, &person_key(n))).unwrap().id());
        world.advance(DAY);
        let lift = ConsentLift {
            v: V1,
            kind: Kind::ConsentLift,
            iat: world.now(),
            nonce: nonce(),
            ppid,
            by: None,
            over,
            controller: Scope::One("bank".into()),
            purpose: Scope::Any,
            class: DataClass::Anonymous,
        };
        world.accept(sign(&lift.into(), &person_key(n)));
    }
}

#[test]
fn a_candidate_pack_answers_the_past_and_names_nobody() {
    let world = World::new();
    objectors(&world);
    let World { dir, memory, node, .. } = world;
    drop(node);
    let vault = Vault::open(&dir.path().join("vault"), &master()).unwrap();
    let (log, store) = (signer(LOG), memory.reopen());
    let data = fsck::Data {
        store: &store,
        vault: &vault,
        log: log.public(),
        origin: ORIGIN,
        folder: dir.path(),
        anchor: None,
    };
    let strict = Pack::parse(&strict_pack()).unwrap();
    let tried = |trial: Trial<'static>, from: u64, until: u64| {
        let mut trial = trial;
        let span = (Timestamp(from), Timestamp(until));
        let report = fsck::replay_packs(&data, &mut trial, span, &mut |_, _| {}).unwrap();
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        trial
    };
    let strict: &'static Pack = Box::leak(Box::new(strict));
    let trial = tried(Trial::of(strict), 0, u64::MAX);
    let rows: Vec<_> = trial.changes().collect();
    // Only `anonymise` of the notice's four actions can be asked of a person in that class.
    let [(change, 3)] = rows[..] else { panic!("{rows:?}") };
    assert_eq!(
        (change.before.reason, change.before.pack.as_str()),
        (Reason::OptOutDefaultAllow, "kcern-2018")
    );
    assert_eq!((change.after.reason, change.after.pack.as_str()), (Reason::ConsentNotGiven, "strict"));
    assert_eq!((change.controller.as_str(), change.action), ("bank", "anonymise"));
    assert_eq!(trial.asked(), 3 * 2 * 4, "each act, each action of the notice");
    // The span counts: the first person's acts lie before this.
    let later = tried(Trial::of(strict), START + DAY + 1, u64::MAX);
    assert_eq!(later.changes().map(|(_, n)| n).sum::<u64>(), 2);
    assert_eq!(tried(Trial::of(strict), 0, START).asked(), 0);
    // A pack tried in place of itself changes nothing.
    let home: &'static Pack = Box::leak(Box::new(Pack::parse(naru::model::pack::kcern_2018()).unwrap()));
    assert_eq!(tried(Trial::of(home), 0, u64::MAX).changes().count(), 0);
}
