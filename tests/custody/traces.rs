//! What is left in the files, row keys and journals included: after erasure and the end of the epoch,
//! nothing of her.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use naru::ledger::key::Signer;
use naru::node::Settings;
use naru::store::Store;
use naru::store::fjall::Fjall;
use naru::store::memory::Memory;
use naru::vault::Suite;
use naru::vault::Vault;

use crate::erasure::demand;
use crate::support::*;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out
}

/// Files below a folder that hold one of these, with what they hold.
fn found<'a>(folder: &Path, markers: &'a [(&'static str, Vec<u8>)]) -> Vec<(PathBuf, &'a str)> {
    let mut out = Vec::new();
    for path in files(folder) {
        let bytes = std::fs::read(&path).unwrap();
        for (what, marker) in markers {
            if bytes.windows(marker.len()).any(|window| window == marker.as_slice()) {
                out.push((path.clone(), *what));
            }
        }
    }
    out
}

/// A world on disk that logs uses.
fn on_disk() -> World {
    let mut world = World::bare_in(tempfile::tempdir().unwrap(), Memory::new(), |dir| {
        Arc::new(Fjall::open(dir.join("store")).unwrap())
    });
    world.populate();
    world.logging = true;
    reopen(&mut world);
    world
}

fn reopen(world: &mut World) {
    drop(world.node.take());
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let store: Arc<dyn Store> = Arc::new(Fjall::open(world.dir.path().join("store")).unwrap());
    let settings = Settings { use_log: true, ..settings(&world.dir) };
    let node = naru::node::Node::open(settings, store, vault, keys(), world.clock.clone()).unwrap();
    world.node = Some(node);
}

#[test]
fn after_erasure_and_the_end_of_the_epoch_no_file_says_anything_of_her() {
    let mut world = on_disk();
    world.enrol(2);
    let bank = world.enrol(1);
    let grant = sign(&world.grant(bank, None).into(), &person_key(1));
    let said = world.accept(grant.clone());
    let (own, hospital) = (world.ppid(1, None), world.ppid(1, Some("hospital")));
    // A use line of hers, batched.
    let asker = party("bank");
    let asker = naru::node::Asker { party: &asker, signed: None };
    let told = world.node().tell(asker, &world.ask(bank, naru::model::vocabulary::Action::Use));
    assert!(told.id.is_some(), "it left a line");
    world.advance(1_000);
    world.node().sync_uses().unwrap();
    world.node().batch_uses().unwrap();
    world.node().tick().unwrap();
    // The rows reach the engine's tables, not only its journal.
    reopen(&mut world);
    let mut markers = vec![
        ("her ppid at the bank", bank.0.to_vec()),
        ("her own ppid", own.0.to_vec()),
        ("her ppid at the hospital", hospital.0.to_vec()),
        ("a ppid as text", bank.to_string().into_bytes()),
        ("her key's hash", key_hash(&person_key(1)).0.to_vec()),
        ("her key", person_key(1).public().spki().to_vec()),
        ("her statement", grant[grant.len() / 2..grant.len() / 2 + 24].to_vec()),
        ("her signature", grant[grant.len() - 64..].to_vec()),
    ];
    // A hash over what only its holders have; it leads nowhere, but stands in the row of its commit.
    let id = [("the id of her statement", said.id.0.to_vec())];
    let named = |folder: &Path| {
        let commits = folder.join("store/keyspaces/1");
        found(folder, &id).into_iter().filter(|(path, _)| !path.starts_with(&commits)).count()
    };
    let here = found(world.dir.path(), &markers);
    assert!(here.iter().any(|(_, what)| *what == "her key's hash"), "the scan finds what there is: {here:?}");
    assert!(named(world.dir.path()) > 0, "and what leads to it");

    let wrapped = slot_keys(&world);
    world.accept(demand(&world, 1));
    let gone: Vec<_> = wrapped.difference(&slot_keys(&world)).cloned().collect();
    assert_eq!(gone.len(), 1, "one slot is overwritten");
    markers.extend(gone.into_iter().map(|key| ("her wrapped key", key)));
    world.node().rotate(Suite::default()).unwrap();
    // Nothing that leads to her either: ppids, key hash, the ids of what she said; the engine's journals too.
    let left = found(world.dir.path(), &markers);
    assert!(left.is_empty() && named(world.dir.path()) == 0, "{left:?}");
    reopen(&mut world);
    let left = found(world.dir.path(), &markers);
    assert!(left.is_empty() && named(world.dir.path()) == 0, "{left:?}");
    assert_eq!(epochs(&world), ["epoch-2.key"]);
    // Whoever is left is found.
    world.ppid(2, Some("bank"));
}

fn epochs(world: &World) -> Vec<String> {
    let names = files(&world.dir.path().join("vault"));
    let names = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("epoch-")).collect()
}

/// The wrapped keys of all slots.
fn slot_keys(world: &World) -> std::collections::BTreeSet<Vec<u8>> {
    let slots = std::fs::read(world.dir.path().join("vault/slots")).unwrap();
    slots.chunks(128).map(|slot| slot[36..96].to_vec()).filter(|key| key.iter().any(|b| *b != 0)).collect()
}
