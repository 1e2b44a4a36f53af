//! A copy that follows a log: growth, interruption, and everything it must refuse.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;

use naru::audit::Place;
use naru::audit::Source;
use naru::audit::Unread;
use naru::audit::What;
use naru::audit::mirror;
use naru::audit::mirror::Followed;
use naru::audit::mirror::Keep;
use naru::audit::mirror::Stopped;
use naru::audit::mirror::Unkept;
use naru::ledger::key::Signer;
use naru::ledger::tile::Path;
use naru::model::id::Hash;

use crate::Copy;
use crate::busy;
use crate::support::*;

/// A copy in memory; its disk fails after so many files.
#[derive(Default)]
pub(crate) struct Shelf {
    files: RefCell<BTreeMap<String, Vec<u8>>>,
    evidence: RefCell<Vec<(String, String)>>,
    room: Cell<Option<usize>>,
}

impl Keep for Shelf {
    fn kept(&self) -> Result<Option<String>, Unkept> {
        Ok(self.read("checkpoint")?.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Unkept> {
        Ok(self.files.borrow().get(name).cloned())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> Result<(), Unkept> {
        if self.room.get() == Some(0) {
            return Err(Unkept { what: name.into(), cause: "no room".into() });
        }
        self.room.set(self.room.get().map(|room| room - 1));
        let old = self.files.borrow_mut().insert(name.into(), bytes.to_vec());
        assert!(old.is_none_or(|old| old == bytes), "{name} was overwritten");
        Ok(())
    }

    fn settle(&self, note: &str) -> Result<(), Unkept> {
        self.files.borrow_mut().insert("checkpoint".into(), note.as_bytes().to_vec());
        Ok(())
    }

    fn outgrown(&self, full: Path) -> Result<(), Unkept> {
        assert!(self.files.borrow().contains_key(&full.to_string()), "{full} is not there");
        self.files.borrow_mut().retain(|name, _| !name.starts_with(&format!("{full}.p/")));
        Ok(())
    }

    fn rotations(&self, list: &[u8]) -> Result<(), Unkept> {
        self.files.borrow_mut().insert("rotations".into(), list.to_vec());
        Ok(())
    }

    fn evidence(&self, kept: &str, offered: &str) -> Result<(), Unkept> {
        self.evidence.borrow_mut().push((kept.into(), offered.into()));
        Ok(())
    }
}

impl Source for Shelf {
    fn checkpoint(&self) -> Result<String, Unread> {
        Ok(self.kept().unwrap().unwrap())
    }

    fn tile(&self, path: Path) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.read(&path.to_string()).unwrap())
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
        Ok(self.read(&format!("attachments/{hash}")).unwrap())
    }

    fn rotations(&self) -> Result<Vec<u8>, Unread> {
        Ok(self.read("rotations").unwrap().unwrap_or_default())
    }
}

fn follow(source: &dyn Source, shelf: &Shelf) -> Result<Followed, Stopped> {
    follow_by(LOG, source, shelf)
}

pub(crate) fn follow_by(key: u8, source: &dyn Source, shelf: &Shelf) -> Result<Followed, Stopped> {
    let log = signer(key);
    mirror::follow(source, shelf, (log.public(), ORIGIN), &mut |_, _| {})
}

#[track_caller]
pub(crate) fn sound(shelf: &Shelf) {
    let log = signer(LOG);
    let known = naru::audit::Known { key: log.public(), origin: ORIGIN, older: None };
    let report = naru::audit::audit(shelf, &known, &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[track_caller]
fn refused(answer: Result<Followed, Stopped>) -> (Place, What) {
    match answer {
        Err(Stopped::Log(finding)) => (finding.place, finding.what),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_grows_with_its_log_and_is_sound_at_every_size() {
    let world = World::new();
    let shelf = Shelf::default();
    for n in 0..90 {
        for of in 0..3 {
            world.enrol(n * 3 + of);
        }
        world.node().tick().unwrap();
        let (size, before) = (world.node().published().size, shelf.files.borrow().len());
        let done = follow(&Copy::of(world.node()), &shelf).unwrap();
        assert_eq!(done.head.size, size);
        assert!(done.missing.is_empty() && shelf.files.borrow().len() != before);
        if n % 9 == 0 || size.abs_diff(256) < 5 {
            sound(&shelf);
        }
    }
    assert!(world.node().published().size > 256);
    // Partial tiles stay until the full one is there, and no longer.
    assert!(!shelf.files.borrow().keys().any(|name| name.starts_with("tile/0/000.p/")));
    let again = follow(&Copy::of(world.node()), &shelf).unwrap();
    assert_eq!((again.files, again.from), (0, again.head.size));
    // A copy is a source like any other.
    let second = Shelf::default();
    follow(&shelf, &second).unwrap();
    sound(&second);
}

#[test]
fn wherever_it_is_interrupted_it_goes_on_and_comes_out_the_same() {
    let world = busy();
    let log = Copy::of(world.node());
    let whole = Shelf::default();
    let files = follow(&log, &whole).unwrap().files;
    for room in 0..usize::try_from(files).unwrap() {
        let shelf = Shelf::default();
        shelf.room.set(Some(room));
        assert!(matches!(follow(&log, &shelf), Err(Stopped::Copy(_))), "{room}");
        assert_eq!((shelf.kept().unwrap(), shelf.files.borrow().len()), (None, room));
        shelf.room.set(None);
        follow(&log, &shelf).unwrap();
        assert_eq!(*shelf.files.borrow(), *whole.files.borrow(), "{room}");
    }
}

#[test]
fn a_flipped_byte_anywhere_is_refused_and_never_kept() {
    let world = busy();
    let log = Copy::of(world.node());
    let honest = Shelf::default();
    follow(&log, &honest).unwrap();
    let names: Vec<String> = log.tiles.borrow().keys().cloned().collect();
    for name in names {
        for at in [0, 17] {
            let flip = || log.tiles.borrow_mut().get_mut(&name).unwrap()[at] ^= 1;
            flip();
            let shelf = Shelf::default();
            let (place, what) = refused(follow(&log, &shelf));
            assert!(matches!(what, What::Unsigned | What::Root), "{name}: {place} {what}");
            for (kept, bytes) in shelf.files.borrow().iter() {
                assert_eq!(honest.files.borrow().get(kept), Some(bytes), "{kept}");
            }
            assert!(shelf.kept().unwrap().is_none() && shelf.evidence.borrow().is_empty());
            // The same copy goes on once the bytes are right.
            flip();
            follow(&log, &shelf).unwrap();
        }
    }
    let mut other = Copy::of(world.node());
    other.checkpoint = other.checkpoint.replace(ORIGIN, "other.test/log");
    assert!(matches!(refused(follow(&other, &Shelf::default())).1, What::Checkpoint(_)));
}

#[test]
fn a_fork_and_a_shorter_log_are_refused_with_both_checkpoints_kept() {
    let world = World::new();
    for n in 0..20 {
        world.enrol(n);
    }
    world.node().tick().unwrap();
    let before = Copy::of(world.node());
    world.enrol(20);
    world.node().tick().unwrap();
    let after = Copy::of(world.node());
    let shelf = Shelf::default();
    follow(&after, &shelf).unwrap();
    let (kept, files) = (shelf.kept().unwrap().unwrap(), shelf.files.borrow().clone());

    let what = refused(follow(&before, &shelf)).1;
    assert_eq!(what, What::Shrunk { size: before_size(&before), older: before_size(&after) });
    // Another history under the same key: shorter, equally long, longer.
    let other = World::new();
    for n in 0..60 {
        other.enrol(n);
        other.node().tick().unwrap();
        let forked = Copy::of(other.node());
        let (place, what) = refused(follow(&forked, &shelf));
        let size = before_size(&forked).min(before_size(&after));
        assert_eq!((place, what), (Place::Checkpoint, What::Fork { size }));
        let evidence = shelf.evidence.borrow().last().cloned().unwrap();
        assert_eq!(evidence, (kept.clone(), forked.checkpoint));
    }
    assert_eq!(*shelf.files.borrow(), files);
}

fn before_size(copy: &Copy) -> u64 {
    copy.checkpoint.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_partial_tile_that_is_gone_is_cut_from_the_full_one() {
    let world = World::new();
    while world.node().sequenced() < 250 {
        world.enrol(world.node().sequenced());
    }
    world.node().tick().unwrap();
    let old = world.node().published().note.clone();
    for n in 0..20 {
        world.enrol(1_000 + n);
    }
    world.node().tick().unwrap();
    // What a cache may show: the checkpoint of a moment ago, the tiles of now.
    let mut log = Copy::of(world.node());
    log.checkpoint = old;
    let shelf = Shelf::default();
    assert_eq!(follow(&log, &shelf).unwrap().head.size, 250);
    sound(&shelf);
    follow(&Copy::of(world.node()), &shelf).unwrap();
    sound(&shelf);
}

#[test]
fn an_attachment_that_is_gone_or_changed_is_told_and_the_rest_is_copied() {
    let world = World::new();
    world.node().tick().unwrap();
    let mut log = Copy::of(world.node());
    for (bytes, what) in [(None, What::Missing), (Some(b"other".to_vec()), What::AttachmentBytes)] {
        log.attachments.remove(&world.text);
        log.attachments.extend(bytes.map(|bytes| (world.text, bytes)));
        let shelf = Shelf::default();
        let done = follow(&log, &shelf).unwrap();
        let told: Vec<_> = done.missing.into_iter().map(|f| (f.place, f.what)).collect();
        assert_eq!(told, [(Place::Attachment(world.text), what)]);
        assert!(shelf.kept().unwrap().is_some());
        assert_eq!(shelf.attachment(&world.text).unwrap(), None);
    }
}
