//! Backups in process: the moment, what is in the files and what is not, and putting back.

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use naru::audit::Source;
use naru::audit::Unread;
use naru::audit::mirror::Stopped;
use naru::ledger::entry::Entry;
use naru::ledger::key::Signer;
use naru::ledger::tile;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::SubjectId;
use naru::model::statement::ErasureCertify;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::statement::V1;
use naru::model::vocabulary::DataClass;
use naru::node::Caller;
use naru::node::Node;
use naru::node::Readiness;
use naru::node::Shown;
use naru::node::Stop;
use naru::node::backup::file;
use naru::node::backup::frame::Frame;
use naru::node::backup::frame::Manifest;
use naru::node::backup::frame::Sort;
use naru::node::backup::restore;
use naru::node::backup::restore::Anchored;
use naru::node::backup::restore::Uncaught;
use naru::node::deposit::Deposit;
use naru::node::fsck;
use naru::store::Append;
use naru::store::Batch;
use naru::store::BatchId;
use naru::store::Holder;
use naru::store::Name;
use naru::store::NameRow;
use naru::store::Table;
use naru::store::fjall::Fjall;
use naru::store::memory::Memory;
use naru::vault::Vault;
use support::*;

/// A world on disk, with people in it.
fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut world =
        World::bare_in(dir, Memory::new(), |dir| Arc::new(Fjall::open(dir.join("store")).unwrap()));
    world.populate();
    world
}

/// A backup and its keys.
struct Saved {
    backup: Vec<u8>,
    keys: Vec<u8>,
    manifest: Manifest,
}

fn save(world: &World) -> Saved {
    world.node().tick().unwrap();
    let moment = world.node().snapshot().unwrap();
    let (mut backup, mut keys) = (Vec::new(), Vec::new());
    let mut feed = |sink: &mut file::Sink<'_>| moment.feed(ORIGIN, sink);
    let outs: (&mut dyn std::io::Write, &mut dyn std::io::Write) = (&mut backup, &mut keys);
    let manifest = file::write(&mut feed, world.dir.path(), outs, &mut |_| {}).unwrap();
    Saved { backup, keys, manifest }
}

/// Data in a folder, not open.
struct Restored {
    dir: tempfile::TempDir,
}

fn put_back(saved: &Saved) -> Restored {
    let dir = tempfile::tempdir().unwrap();
    file::unpack_keys(&mut saved.keys.as_slice(), dir.path()).unwrap();
    let store = Fjall::open(dir.path().join("store")).unwrap();
    file::unpack(&mut saved.backup.as_slice(), &store, dir.path(), &mut |_| {}).unwrap();
    Restored { dir }
}

impl Restored {
    fn with<T>(&self, act: impl FnOnce(&fsck::Data<'_>) -> T) -> T {
        let store = Fjall::open(self.dir.path().join("store")).unwrap();
        let vault = Vault::open(&self.dir.path().join("vault"), &master()).unwrap();
        let (log, anchor) = (signer(LOG), self.dir.path().join("anchor"));
        act(&fsck::Data {
            store: &store,
            vault: &vault,
            log: log.public(),
            origin: ORIGIN,
            folder: self.dir.path(),
            anchor: Some(&anchor),
        })
    }

    #[track_caller]
    fn sound(&self) -> fsck::Report {
        let report = self.with(|data| {
            fsck::rebuild(data, &mut |_, _| {}).unwrap();
            fsck::check(data, &mut |_, _| {}).unwrap()
        });
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        report
    }

    fn open(&self, world: &World) -> Node {
        let store = Arc::new(Fjall::open(self.dir.path().join("store")).unwrap());
        let vault = Vault::open(&self.dir.path().join("vault"), &master()).unwrap();
        Node::open(settings(&self.dir), store, vault, keys(), world.clock.clone()).unwrap()
    }
}

/// The public log of a node, kept after the node is gone.
struct Public {
    note: String,
    tiles: HashMap<String, Vec<u8>>,
    attachments: RefCell<HashMap<Hash, Vec<u8>>>,
}

impl Public {
    fn of(world: &World) -> Self {
        world.node().tick().unwrap();
        let node = world.node();
        let narrow = |width: u16| u8::try_from(width).ok();
        let bytes = |path| match path {
            tile::Path::Entries { index, width } => node.bundle(index, narrow(width)).unwrap().unwrap(),
            tile::Path::Tile { level, index, width } => {
                node.tile(level, index, narrow(width)).unwrap().unwrap()
            }
        };
        let published = node.published();
        let tiles = tile::paths(published.size).map(|path| (path.to_string(), bytes(path))).collect();
        Self { note: published.note.clone(), tiles, attachments: RefCell::default() }
    }

    fn attach(&self, node: &Node, hash: Hash) {
        self.attachments.borrow_mut().insert(hash, node.attachment(&hash).unwrap().unwrap());
    }
}

impl Source for Public {
    fn checkpoint(&self) -> Result<String, Unread> {
        Ok(self.note.clone())
    }

    fn tile(&self, path: tile::Path) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.tiles.get(&path.to_string()).cloned())
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.attachments.borrow().get(hash).cloned())
    }
}

/// Enrols and grants, with a word that must never be seen in clear.
fn granted(world: &World, n: u64) -> (Ppid, StatementId) {
    let ppid = world.enrol(n);
    let mut grant = world.grant(ppid, None);
    grant.consideration = Some(MARKER.into());
    (ppid, world.accept(sign(&grant.into(), &person_key(n))).id)
}

const MARKER: &str = "planted: 800101-1234567";

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_moment_waits_for_a_checkpoint_and_later_writes_do_not_show() {
    let world = world();
    granted(&world, 1);
    let moment = std::thread::scope(|scope| {
        let asked = scope.spawn(|| world.node().snapshot().unwrap());
        // Nothing is published, so nothing is given; the first tick after the wish gives it.
        while !asked.is_finished() {
            world.node().tick().unwrap();
        }
        asked.join().unwrap()
    });
    let size = moment.size;
    assert_eq!(size, world.node().published().size);
    assert_eq!(moment.note, world.node().published().note);
    granted(&world, 2);
    let (mut entries, mut later) = (0, 0);
    moment
        .rows
        .walk(Table::Commits, &mut |key, _| {
            entries += 1;
            later += u64::from(u64::from_be_bytes(key.try_into().unwrap()) >= size);
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    assert!(entries > 0 && later == 0);
}

#[test]
fn what_is_put_back_says_and_answers_what_it_did() {
    let world = world();
    let people: Vec<_> = (0..20).map(|n| granted(&world, n)).collect();
    for (n, (ppid, _)) in (0..7).zip(&people) {
        world.accept(sign(&world.withdraw(*ppid), &person_key(n)));
    }
    // A ppid that was handed out and never used is known by its row alone.
    let unused = world.ppid(3, None);
    // What a source brought follows from no entry.
    let brought = naru::node::deposit::Wish {
        controller: party("bank"),
        by: party("bank"),
        ppid: people[9].0,
        item: "one".into(),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
        media_type: "text/csv".into(),
        original: b"a,b\n1,2\n".to_vec(),
    };
    assert!(matches!(world.node().deposit(&brought).unwrap(), Deposit::New(_)));
    let saved = save(&world);
    let before: Vec<_> = people.iter().map(|(ppid, _)| world.check(*ppid).decision).collect();
    let shown = |node: &Node, n: u64, id: &StatementId| {
        let person = Caller::Citizen(key_hash(&person_key(n)));
        match node.evidence(id, Some(&person)).unwrap() {
            Shown::Evidence(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    };
    let evidence: Vec<_> = (0..).zip(&people).map(|(n, (_, id))| shown(world.node(), n, id)).collect();
    world.node().close();

    let restored = put_back(&saved);
    fs::copy(world.dir.path().join("anchor"), restored.dir.path().join("anchor")).unwrap();
    let sound = restored.sound();
    assert_eq!((sound.lost, sound.items), (0, 1));
    assert_eq!(restored.with(|data| restore::anchored(data).unwrap()), Anchored::Holds);
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::Ready);
    assert!(matches!(node.deposit(&brought).unwrap(), Deposit::Before(_)));
    for ((n, (ppid, id)), (before, evidence)) in (0..).zip(&people).zip(before.iter().zip(&evidence)) {
        let answer = node.check(&world.ask(*ppid, naru::model::vocabulary::Action::Use)).unwrap();
        assert_eq!(answer.decision, *before, "{n}");
        // The same statement, opened by the same keys, under the same checkpoint.
        assert_eq!(shown(&node, n, id), *evidence, "{n}");
    }
    assert_eq!(node.ppid(&key_hash(&person_key(3)), None).unwrap(), Some(unused));
    assert!(node.record(vec![sign(&world.withdraw(people[19].0), &person_key(19))]).pop().unwrap().is_ok());
}

#[test]
fn neither_file_says_anything_of_a_person_and_neither_opens_without_the_other() {
    let world = world();
    let (ppid, id) = granted(&world, 1);
    let saved = save(&world);
    let spki = person_key(1).public().spki().to_vec();
    let private: [&[u8]; 3] = [MARKER.as_bytes(), &spki, b"consent.grant"];
    for file in [&saved.backup, &saved.keys] {
        for needle in private {
            assert!(!holds(file, needle), "{}", String::from_utf8_lossy(needle));
        }
        assert!(!holds(file, &[9; 32]), "the master key");
    }
    // The scan finds what is there: the statement's id as a name, a public statement.
    assert!(holds(&saved.backup, &id.0) && holds(&saved.backup, b"notice.publish"));
    assert!(!holds(&saved.keys, &id.0) && !holds(&saved.keys, &ppid.0));
    let names: Vec<_> = saved.manifest.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["commits", "names", "bodies", "state", "blobs", "meta", "file/anchor"]);
    // The key file is the vault as it was, and nothing else.
    let told = file::inspect(Sort::Keys, &mut saved.keys.as_slice(), &mut |_| {}).unwrap();
    assert_eq!(told.sum, saved.manifest.keys);
    for name in ["slots", "epoch-1.key", "pairwise.key", "decoy"] {
        let bytes = fs::read(world.dir.path().join("vault").join(name)).unwrap();
        assert!(holds(&saved.keys, &bytes) && !holds(&saved.backup, &bytes), "{name}");
    }
}

#[test]
fn a_path_out_of_the_folder_is_refused() {
    for name in ["../out", "/etc/out", "a/../../out", "", "./a"] {
        let mut bytes = Vec::new();
        let mut writer = naru::node::backup::frame::Writer::new(Sort::Keys, &mut bytes).unwrap();
        let world = world();
        let saved = save(&world);
        let head = file::inspect(Sort::Keys, &mut saved.keys.as_slice(), &mut |_| {}).unwrap().head;
        writer.put(&Frame::Head(head)).unwrap();
        writer.put(&Frame::File(name.into())).unwrap();
        writer.end().unwrap();
        let dir = tempfile::tempdir().unwrap();
        file::unpack_keys(&mut bytes.as_slice(), &dir.path().join("in")).unwrap_err();
        assert!(!dir.path().join("out").exists(), "{name}");
    }
}

#[test]
fn a_public_log_that_is_ahead_gives_back_what_is_public_and_names_the_rest() {
    let mut world = world();
    let (ppid, _) = granted(&world, 1);
    let saved = save(&world);
    let size = saved.manifest.size;
    // After the backup: a party and a notice with a text, and a withdrawal.
    let clinic = world.register("clinic", vec![naru::model::vocabulary::Role::Controller], false);
    let clinic = world.accept(endorse(&sign(&clinic, &signer(30)), OPERATOR));
    world.advance(5_000);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.advance(5_000);
    world.text = world.node().attach(b"another text here!").unwrap();
    let notice = world.notice_of("clinic", 1, &[DataClass::RealName]);
    let notice = world.accept(sign(&notice, &signer(30)));
    let public = Public::of(&world);
    public.attach(world.node(), world.text);
    let anchor = fs::read(world.dir.path().join("anchor")).unwrap();
    let entries = world.node().entries(0, notice.index + 1).unwrap();
    world.node().close();

    let restored = put_back(&saved);
    fs::write(restored.dir.path().join("anchor"), &anchor).unwrap();
    assert_eq!(restored.with(|data| restore::anchored(data).unwrap()), Anchored::Ahead(size + 3));
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::NotReady(Stop::Anchor));
    drop(node);

    let caught = restored.with(|data| restore::catch_up(data, &public, &mut |_, _| {}).unwrap());
    assert_eq!((caught.from, caught.until, caught.public), (size, size + 3, 2));
    assert_eq!(caught.lost, [size + 1]);
    assert_eq!(restored.sound().lost, 1);
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::NotReady(Stop::Lost));
    // Nobody knows what the lost one closed: nothing is permitted.
    let ask = world.ask(ppid, naru::model::vocabulary::Action::Use);
    assert!(!node.check(&ask).unwrap().decision.told().permits());
    assert!(node.record(vec![sign(&world.withdraw(ppid), &person_key(1))]).pop().unwrap().is_err());
    drop(node);
    let again = restored.with(|data| restore::catch_up(data, &public, &mut |_, _| {}).unwrap());
    assert_eq!((again.from, again.public, again.lost.len()), (size + 3, 0, 0));

    let accepted = restored.with(|data| restore::accept(data.store).unwrap());
    assert_eq!(accepted, [restore::Lost { from: size + 1, until: size + 3 }]);
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::Ready);
    assert_eq!(node.entries(0, notice.index + 1).unwrap(), entries, "the log is the one it was");
    assert!(node.register().party(&party("clinic")).is_some());
    assert_eq!(node.attachment(&world.text).unwrap().unwrap(), b"another text here!");
    assert_eq!(node.place(&clinic.id).unwrap().unwrap().index, clinic.index);
    // She says it again, and it holds.
    let item = sign(&world.withdraw(ppid), &person_key(1));
    assert_eq!(node.record(vec![item]).pop().unwrap().unwrap().index, size + 3);
    assert!(!node.check(&ask).unwrap().decision.told().permits());
    node.tick().unwrap();
}

#[test]
fn catching_up_may_be_interrupted_anywhere() {
    let world = world();
    granted(&world, 1);
    let saved = save(&world);
    for n in 2..40 {
        world.advance(1_000);
        granted(&world, n);
    }
    let public = Public::of(&world);
    // The source fails after so many answers: whatever was appended then is found by the next run.
    struct Failing<'a>(&'a Public, RefCell<usize>);
    impl Source for Failing<'_> {
        fn checkpoint(&self) -> Result<String, Unread> {
            self.0.checkpoint()
        }

        fn tile(&self, path: tile::Path) -> Result<Option<Vec<u8>>, Unread> {
            let mut left = self.1.borrow_mut();
            if *left == 0 {
                return Err(Unread { what: path.to_string(), cause: "gone".into() });
            }
            *left -= 1;
            self.0.tile(path)
        }

        fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
            self.0.attachment(hash)
        }
    }
    let restored = put_back(&saved);
    let mut failures = 0;
    for room in 0.. {
        let source = Failing(&public, RefCell::new(room));
        match restored.with(|data| restore::catch_up(data, &source, &mut |_, _| {})) {
            Ok(_) => break,
            Err(Uncaught::Log(Stopped::Source(_))) => failures += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(failures > 0);
    let report = restored.sound();
    assert_eq!(report.published, world.node().published().size);
    assert_eq!(report.lost, report.published - saved.manifest.size);
}

#[test]
fn another_history_is_refused_whether_shorter_or_longer() {
    let one = world();
    granted(&one, 1);
    let saved = save(&one);
    let two = world();
    for n in 0..5 {
        granted(&two, n);
        let restored = put_back(&saved);
        let public = Public::of(&two);
        let answer = restored.with(|data| restore::catch_up(data, &public, &mut |_, _| {}));
        assert!(matches!(answer, Err(Uncaught::Log(Stopped::Log(_)))), "{answer:?}");
        assert_eq!(restored.sound().published, saved.manifest.size);
    }
}

/// The erasure tag in a slot of the key file.
fn tag(dir: &Path, slot: usize) -> SubjectId {
    let slots = fs::read(dir.join("vault/slots")).unwrap();
    SubjectId(slots[slot * 128 + 16..slot * 128 + 32].try_into().unwrap())
}

/// Erasing comes later: the certificate is made by hand and stands in the log past every judgement.
#[test]
fn a_certificate_in_the_log_overwrites_the_slots_it_names_and_no_other() {
    let world = world();
    for n in 1..4 {
        granted(&world, n);
    }
    let saved = save(&world);
    let restored = put_back(&saved);
    let dir = restored.dir.path();
    let before = fs::read(dir.join("vault/slots")).unwrap();
    let nobody = restored.with(|data| restore::honour_certificates(data).unwrap());
    assert_eq!((nobody, fs::read(dir.join("vault/slots")).unwrap()), (0, before.clone()));

    // Slot 0 is the decoy's.
    let tags = vec![tag(dir, 2), SubjectId([0xee; 16])];
    let certificate: Statement = ErasureCertify {
        v: V1,
        kind: Kind::ErasureCertify,
        iat: world.now(),
        nonce: nonce(),
        tags: tags.clone(),
        order: None,
        scheduled: false,
        records: 2,
        tombstones: Hash([0; 32]),
    }
    .into();
    assert_eq!(restore::certified_tags([&certificate]), tags.iter().copied().collect::<BTreeSet<_>>());
    let item = sign(&certificate, &signer(OPERATOR));
    restored.with(|data| {
        let (epoch, found) = data.store.lead(&Holder([9; 16])).unwrap();
        let id = naru::identity::reload(&item).unwrap().1.id;
        let batch = Batch {
            id: BatchId([7; 16]),
            at: found.at,
            entries: vec![
                Entry::Public { t: found.at - found.at % 200, item: item.clone() }.encode().unwrap(),
            ],
            ids: vec![id],
            names: vec![NameRow { name: Name::Statement(id.0), sealed: Vec::new(), entry: Some(0) }],
            bodies: Vec::new(),
        };
        assert!(matches!(data.store.append(epoch, &batch), Append::Sequenced { .. }));
        assert_eq!(restore::honour_certificates(data).unwrap(), 1);
        // A crash and a second restore run the same code.
        assert_eq!(restore::honour_certificates(data).unwrap(), 0);
    });
    let after = fs::read(dir.join("vault/slots")).unwrap();
    for (slot, (old, new)) in before.chunks(128).zip(after.chunks(128)).enumerate() {
        assert_eq!(old == new, slot != 2, "slot {slot}");
    }
    assert!(after[2 * 128..3 * 128].iter().all(|byte| *byte == 0));
}

/// The backup is older than the erasure; the public log knows of it.
#[test]
fn a_backup_from_before_an_erasure_brings_nobody_back() {
    let world = world();
    let (ppid, _) = granted(&world, 1);
    let (other, _) = granted(&world, 2);
    let saved = save(&world);
    let demand: Statement = naru::model::statement::ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, None),
    }
    .into();
    world.accept(sign(&demand, &person_key(1)));
    let public = Public::of(&world);
    world.node().close();

    let restored = put_back(&saved);
    restored.with(|data| {
        let caught = restore::catch_up(data, &public, &mut |_, _| {}).unwrap();
        // The demand is sealed, and of it the public log has the commitment alone.
        assert_eq!((caught.public, caught.lost.len()), (1, 1));
        assert_eq!(restore::honour_certificates(data).unwrap(), 1);
        assert_eq!(restore::honour_certificates(data).unwrap(), 0);
        restore::accept(data.store).unwrap();
    });
    let report = restored.sound();
    assert_eq!((report.lost, report.erased, report.unerased), (1, 2, 0));
    fs::copy(world.dir.path().join("anchor"), restored.dir.path().join("anchor")).unwrap();
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::Ready);
    assert_eq!(node.ppid(&key_hash(&person_key(1)), None).unwrap(), None);
    let ask = |ppid| node.check(&world.ask(ppid, naru::model::vocabulary::Action::Use)).unwrap().decision;
    assert_eq!(ask(ppid), ask(Ppid([0xaa; 16])));
    assert_eq!(ask(other).reason, naru::model::decision::Reason::ConsentGiven);
}

/// The backup is older than what went by its term; the public log knows of it, and names nothing.
#[test]
fn a_backup_from_before_destroys_again_what_went_by_its_term() {
    let world = world();
    let (ppid, grant) = granted(&world, 1);
    let saved = save(&world);
    // To the end of the grant, and three years more.
    world.advance((60 + 1_096) * DAY);
    assert_eq!(world.node().expire().unwrap().records, 1);
    let before = world.check(ppid).decision;
    let public = Public::of(&world);
    world.node().close();

    let restored = put_back(&saved);
    restored.with(|data| {
        let caught = restore::catch_up(data, &public, &mut |_, _| {}).unwrap();
        assert_eq!((caught.public, caught.lost.len()), (1, 0));
        assert_eq!(restore::honour_certificates(data).unwrap(), 0);
    });
    let report = restored.sound();
    assert_eq!((report.erased, report.unerased), (0, 1), "told, until the next start");
    fs::copy(world.dir.path().join("anchor"), restored.dir.path().join("anchor")).unwrap();
    let node = restored.open(&world);
    assert_eq!(node.readiness(), Readiness::Ready);
    let own = Caller::Citizen(key_hash(&person_key(1)));
    let shown = node.evidence(&grant, Some(&own)).unwrap();
    assert!(matches!(shown, Shown::Nothing));
    let ask = node.check(&world.ask(ppid, naru::model::vocabulary::Action::Use)).unwrap();
    assert_eq!(ask.decision, before);
    assert_eq!(node.expire().unwrap().records, 0, "certified once");
    drop(node);
    let report = restored.sound();
    assert_eq!((report.erased, report.unerased, report.counts.erased), (1, 0, 1));
}

/// The whole data folder is put back as it was, certificate and all but what it destroyed.
#[test]
fn a_key_file_put_back_over_a_certificate_is_honoured_by_the_next_start() {
    let world = world();
    granted(&world, 1);
    let slots = fs::read(world.dir.path().join("vault/slots")).unwrap();
    let demand: Statement = naru::model::statement::ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, None),
    }
    .into();
    world.accept(sign(&demand, &person_key(1)));
    let saved = save(&world);
    world.node().close();
    let restored = put_back(&saved);
    let path = restored.dir.path().join("vault/slots");
    fs::write(&path, &slots).unwrap();
    // The older copy's own word on how far it was carried out.
    fs::remove_file(restored.dir.path().join("vault/honoured")).unwrap();
    fs::copy(world.dir.path().join("anchor"), restored.dir.path().join("anchor")).unwrap();
    drop(restored.open(&world));
    let after = fs::read(&path).unwrap();
    let changed: Vec<usize> =
        (0..after.len() / 128).filter(|n| after[n * 128..][..128] != slots[n * 128..][..128]).collect();
    assert_eq!(changed.len(), 1, "her slot, and no other");
    assert!(after[changed[0] * 128..][..128].iter().all(|byte| *byte == 0));
    assert_eq!(restored.sound().erased, 3);
}

#[test]
fn rows_go_only_into_an_empty_store_and_a_missing_commit_is_noticed() {
    let world = world();
    granted(&world, 1);
    let saved = save(&world);
    let restored = put_back(&saved);
    let store = Fjall::open(restored.dir.path().join("store")).unwrap();
    let other = tempfile::tempdir().unwrap();
    file::unpack(&mut saved.backup.as_slice(), &store, other.path(), &mut |_| {}).unwrap_err();
    // The same rows, one commit left out.
    let mut rows = Vec::new();
    let mut input = saved.backup.as_slice();
    let mut frames = naru::node::backup::frame::Frames::new(Sort::Backup, &mut input).unwrap();
    while let Some(frame) = frames.next().unwrap() {
        if let Frame::Row(row) = frame {
            rows.push(row);
        }
    }
    let at = rows.iter().position(|(table, ..)| *table == Table::Commits).unwrap();
    rows.remove(at + 1);
    rows.reverse();
    let empty = Fjall::open(other.path().join("store")).unwrap();
    let error = naru::store::Store::refill(&empty, &mut || Ok(rows.pop())).unwrap_err();
    assert!(error.to_string().contains("gap"), "{error}");
}
