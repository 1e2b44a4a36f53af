//! What the demo leaves for strangers: the static log, receipts, evidence.
//!
//! The layout is the one `tests/foreign/verify.py` reads. Everything in `log/` is
//! public; `evidence/` is what single persons and parties would hold.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::audit::decision;
use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::offer;
use crate::cli::demo::world::ORIGIN;
use crate::cli::demo::world::World;
use crate::cli::demo::year::Decided;
use crate::cli::demo::year::Sample;
use crate::ledger::checkpoint;
use crate::ledger::key::Signer as _;
use crate::ledger::note::Kind as VkeyKind;
use crate::ledger::note::Vkey;
use crate::ledger::tile;
use crate::model::id::TreeSize;
use crate::node::Caller;
use crate::node::Shown;

/// Receipts written, if the log has so many entries.
const RECEIPTS: u64 = 120;

/// Looks at the newest checkpoint before it is taken as it is.
const LOOKS: u8 = 100;

/// Writes a file, its folders before it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::at(folder))?;
    }
    fs::write(path, bytes).map_err(Error::at(path))
}

/// Writes everything a stranger needs to check the log; answers its size.
///
/// While the service runs, a use batch may come in between: then it is written once more.
pub(super) fn log(world: &World, out: &Path, old: &(String, TreeSize)) -> Result<TreeSize, Error> {
    loop {
        for folder in ["log", "receipts"].map(|name| out.join(name)) {
            if folder.exists() {
                fs::remove_dir_all(&folder).map_err(Error::at(&folder))?;
            }
        }
        let size = as_published(world, out, old)?;
        if world.node.published().size == size {
            return Ok(size);
        }
    }
}

fn as_published(world: &World, out: &Path, old: &(String, TreeSize)) -> Result<TreeSize, Error> {
    let published = world.node.published();
    let key = &world.node.log_key();
    write(&out.join("log.pem"), key.to_pem().as_bytes())?;
    let vkey = Vkey::new(ORIGIN, VkeyKind::Log, key)?;
    write(&out.join("log.vkey"), format!("{vkey}\n").as_bytes())?;
    tree(world, &out.join("log"), published.size)?;
    write(&out.join("log/checkpoint"), published.note.as_bytes())?;
    write(&out.join("checkpoint.new"), published.note.as_bytes())?;
    write(&out.join("checkpoint.old"), old.0.as_bytes())?;
    let missing = |step| Error::Unexpected { step, found: "nothing".into() };
    let consistency = world.node.consistency_receipt(old.1)?.ok_or(missing("consistency receipt"))?;
    // Our own verifier first: what it refuses is not left for others.
    let before = checkpoint::open(old.0.as_bytes(), key, ORIGIN)?;
    crate::ledger::receipt::verify_consistency(&consistency, key, ORIGIN, old.1, &before.root)?;
    write(&out.join("consistency.cose"), &consistency)?;
    receipts(world, &out.join("receipts"), published.size)?;
    Ok(published.size)
}

/// Every tile, bundle and attachment.
fn tree(world: &World, folder: &Path, size: TreeSize) -> Result<(), Error> {
    let missing = |path: &tile::Path| Error::Unexpected { step: "tile", found: path.to_string() };
    for path in tile::paths(size) {
        let part = |width: u16| u8::try_from(width).ok();
        let bytes = match path {
            tile::Path::Entries { index, width } => world.node.bundle(index, part(width))?,
            tile::Path::Tile { level, index, width } => world.node.tile(level, index, part(width))?,
        };
        write(&folder.join(path.to_string()), &bytes.ok_or_else(|| missing(&path))?)?;
    }
    let register = world.node.register();
    let mut hashes: Vec<_> = register.notices().flat_map(|n| n.says.texts.iter().map(|t| t.hash)).collect();
    hashes.extend(register.adoptions().map(|adoption| adoption.pack.hash));
    for hash in hashes {
        let missing = || Error::Unexpected { step: "attachment", found: hash.to_string() };
        let bytes = world.node.attachment(&hash)?.ok_or_else(missing)?;
        write(&folder.join(format!("attachments/{hash}")), &bytes)?;
    }
    Ok(())
}

/// Receipts of entries all over the log, the first and the last among them.
fn receipts(world: &World, folder: &Path, size: TreeSize) -> Result<(), Error> {
    let wanted = RECEIPTS.min(size);
    let key = &world.node.log_key();
    for nth in 0..wanted {
        let index = if wanted < 2 { 0 } else { nth * (size - 1) / (wanted - 1) };
        let missing = || Error::Unexpected { step: "receipt", found: format!("none of entry {index}") };
        let receipt = world.node.receipt(index)?.ok_or_else(missing)?;
        let entry = world.node.entries(index, index + 1)?.pop().ok_or_else(missing)?;
        crate::ledger::receipt::verify_inclusion(&receipt, &entry, key, ORIGIN)?;
        write(&folder.join(format!("{nth:03}.cose")), &receipt)?;
        write(&folder.join(format!("{nth:03}.entry")), &entry)?;
    }
    Ok(())
}

/// Waits until what was recorded is published: a grain, seldom more.
pub(super) fn settle(world: &World) -> Result<(), Error> {
    for _ in 0..LOOKS {
        world.node.tick().map_err(Error::Stopped)?;
        if world.node.published().size >= world.node.sequenced() {
            break;
        }
        thread::park_timeout(Duration::from_millis(super::world::GRAIN_MS / 4));
    }
    Ok(())
}

/// Evidence of a few statements, as the person and as the controller get it; of some public ones.
pub(super) fn evidence(world: &World, out: &Path, samples: &[Sample]) -> Result<u64, Error> {
    let folder = out.join("evidence");
    let mut written = 0;
    for sample in samples {
        let key = super::world::key_hash(&super::year::citizen_key(world, sample.citizen));
        let kind = sample.kind.as_str();
        let mut askers = vec![("citizen", Caller::Citizen(key))];
        if let Some(controller) = sample.controller {
            askers.push(("controller", Caller::Party(super::world::id(controller)?)));
        }
        for (who, caller) in askers {
            if let Shown::Evidence(bytes) = world.node.evidence(&sample.id, Some(&caller))? {
                verify(world, &bytes)?;
                write(&folder.join(format!("{written:03}-{kind}-{who}.cbor")), &bytes)?;
                written += 1;
            }
        }
    }
    for notice in world.node.register().notices() {
        if let Shown::Evidence(bytes) = world.node.evidence(&notice.id, None)? {
            verify(world, &bytes)?;
            write(&folder.join(format!("{written:03}-notice.publish-public.cbor")), &bytes)?;
            written += 1;
        }
    }
    Ok(written)
}

/// Evidence of decisions of the year, as the asker gets it and as the person gets it.
///
/// Taken while the year's clock stands: what the live part adds, and what is past its term by then, does
/// not matter.
pub(super) fn decisions(world: &World, out: &Path, decided: &[Decided]) -> Result<u64, Error> {
    let folder = out.join("uselog");
    let mut written = 0;
    for one in decided {
        let key = super::world::key_hash(&super::year::citizen_key(world, one.citizen));
        let asker = Caller::Party(super::world::id(one.asker)?);
        for (who, caller) in [("asker", asker), ("person", Caller::Citizen(key))] {
            let missing = || Error::Unexpected { step: "decision evidence", found: one.id.to_string() };
            let Shown::Evidence(bytes) = world.node.decision_evidence(&one.id, &caller)? else {
                return Err(missing());
            };
            verify_decision(world, &bytes)?;
            write(&folder.join(format!("{written:03}-{}-{who}.cbor", one.told.as_str())), &bytes)?;
            written += 1;
        }
    }
    Ok(written)
}

/// Verifies evidence of a decision with nothing but the log's key; the batch is the operator's.
pub(super) fn verify_decision(world: &World, bytes: &[u8]) -> Result<decision::Proven, Error> {
    let evidence = decision::Evidence::parse(bytes)?;
    let proven = evidence.verify(&world.node.log_key(), ORIGIN, Some(super::world::GRAIN_MS))?;
    if proven.signer != super::world::key_hash(&world.party_key("operator")) {
        return Err(Error::Unexpected { step: "use batch", found: "not signed by the operator".into() });
    }
    Ok(proven)
}

/// Verifies evidence with nothing but the log's key.
pub(super) fn verify(world: &World, bytes: &[u8]) -> Result<(), Error> {
    let evidence = crate::ledger::evidence::Evidence::parse(bytes)?;
    evidence.verify(&world.node.log_key(), ORIGIN, Some(super::world::GRAIN_MS))?;
    Ok(())
}

/// Keys and a configuration, laid out as `naru init` does: so `serve`, `fsck`, `sign` and `check` work here.
pub(super) fn operation(world: &World, out: &Path) -> Result<(), Error> {
    let keys = out.join("keys");
    fs::create_dir_all(&keys).map_err(Error::at(&keys))?;
    for name in ["log", "token", "operator"].iter().chain(&offer::PARTIES) {
        let pem = world.party_key(name).to_pem()?;
        secret(&keys.join(format!("{name}.pem")), pem.as_bytes())?;
    }
    let pem = super::year::citizen_key(world, super::year::CITIZEN).to_pem()?;
    secret(&keys.join("citizen.pem"), pem.as_bytes())?;
    secret(&keys.join("master.key"), &super::world::master_bytes(world.seed))?;
    let text = format!(
        "# Written by `naru demo`. Paths are relative to this file.\n\
         origin = \"{ORIGIN}\"\nlisten = \"127.0.0.1:8080\"\ndata = \"data\"\nanchor = \"anchor\"\n\n\
         [keys]\nlog = \"keys/log.pem\"\ntoken = \"keys/token.pem\"\noperator = \"keys/operator.pem\"\nmaster = \"keys/master.key\"\n"
    );
    write(&out.join("naru.toml"), text.as_bytes())
}

/// Writes a file that only its owner reads.
fn secret(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(Error::at(path))
}

/// What must be nowhere in the public log: names, key hashes and keys of persons, as hex, one a line.
pub(super) fn secrets(world: &World, out: &Path, lives: &[Life]) -> Result<(), Error> {
    let mut text = String::new();
    let cast = (0..super::story::CAST).map(|role| world.seed.signer("cast", role));
    let citizens = (0..lives.len()).map(|n| super::year::citizen_key(world, n));
    for signer in citizens.chain(cast) {
        let raw = signer.public().raw().iter().map(|b| format!("{b:02x}")).collect::<String>();
        text.push_str(&format!("{}\n{raw}\n", super::world::key_hash(&signer)));
    }
    for ppid in lives.iter().flat_map(|life| life.ppids.values()) {
        text.push_str(&format!("{ppid}\n"));
    }
    write(&out.join("not-in-the-log.txt"), text.as_bytes())
}
