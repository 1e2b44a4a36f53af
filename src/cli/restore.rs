//! `naru restore`: data from a backup, or data put back by other means, made fit to open.

use std::fs;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::audit::mirror::Stopped;
use crate::cli::Exit;
use crate::cli::client::Reach;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::source;
use crate::config::Config;
use crate::config::Engine;
use crate::ledger::checkpoint;
use crate::ledger::key::PublicKey;
use crate::node::Error;
use crate::node::backup::file;
use crate::node::backup::frame::Sort;
use crate::node::backup::restore;
use crate::node::backup::restore::Anchored;
use crate::node::backup::restore::Caught;
use crate::node::backup::restore::Lost;
use crate::node::backup::restore::Uncaught;
use crate::node::fsck;
use crate::node::fsck::Data;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
DIR holds naru.toml and keys/ as they were; the data folder they name must not exist yet. Both files are
checked whole before anything is written, and the data takes its name only when `fsck` finds it sound.
--log compares with the public log, or a mirror of it. If that is ahead, its entries are appended: public
statements whole; of sealed statements the log has only a commitment, so those made after the backup are
LOST. The node then serves reads and refuses writes until they are accepted. Without --from the same is
done to data that is there: the way out when a start says that the anchor is ahead.
--accept-lost says: I know that these statements are gone, that withdrawals and objections may be among
them, that checks may permit what those had closed, and that each person must be asked to say so again:
the answers people kept (`naru submit` keeps them) prove what stood there. Then the data takes writes.
Exit 6: damaged, forged, keys of another backup, or another history than the log or the anchor.
Exit 8: sound, but older than the log: writes are refused, and what to do is said.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The backup.
    #[arg(long, value_name = "FILE", requires = "keys")]
    from: Option<PathBuf>,
    /// The person keys that belong to it.
    #[arg(long, value_name = "FILE", requires = "from")]
    keys: Option<PathBuf>,
    /// The public log: an `http[s]://` URL of a service or a mirror, or a folder.
    #[arg(long, value_name = "URL|DIR")]
    log: Option<String>,
    #[command(flatten)]
    reach: Reach,
    /// Go on without the sealed statements that are lost.
    #[arg(long)]
    accept_lost: bool,
}

/// What was done.
#[derive(Default)]
struct Done {
    size: u64,
    caught: Option<Caught>,
    erased: u64,
    accepted: Vec<Lost>,
    waiting: Option<Lost>,
    anchored: Option<Anchored>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    if config.engine == Engine::Memory {
        return Err(Fail::usage("`store.engine = \"memory\"` keeps nothing that could be restored"));
    }
    let log =
        open::log_signers(&config)?.into_iter().next().map_or_else(|| open::signer(&config.log_key), Ok)?;
    let Some((from, keys)) = args.from.as_ref().zip(args.keys.as_ref()) else {
        if args.log.is_none() && !args.accept_lost {
            return Err(Fail::usage("there is nothing to do")
                .next("give --from and --keys, or --log, or --accept-lost"));
        }
        let done = finish(args, &config, &config, log.public(), say)?;
        return Ok(tell(say, &done));
    };
    let inspected = inspect(&config, log.public(), (from, keys), say)?;
    let held = config.data.read_dir().is_ok_and(|mut list| list.next().is_some());
    if held {
        return Err(Fail::usage(format!("`{}` holds data already", config.data.display()))
            .next("move it away and keep it; nothing is overwritten"));
    }
    let mut name = config.data.clone().into_os_string();
    name.push(".restoring");
    let making = Config { data: PathBuf::from(name), ..config.clone() };
    // Left by a restore that was interrupted: worth nothing.
    drop(fs::remove_dir_all(&making.data));
    unpack(&making, (from, keys), say)?;
    let done = finish(args, &config, &making, log.public(), say)?;
    if done.size < inspected {
        return Err(unsound("it has fewer entries than its own checkpoint"));
    }
    take_place(&making.data, &config.data)?;
    Ok(tell(say, &done))
}

/// Compares every sum, and that the two files belong together and to this log; answers the size.
fn inspect(config: &Config, log: &PublicKey, (from, keys): (&Path, &Path), say: &Say) -> Result<u64, Fail> {
    let read = |sort, path: &Path| {
        let mut input = open_file(path)?;
        let bar = say.progress(fs::metadata(path).map_or(0, |meta| meta.len()), "bytes");
        let done = file::inspect(sort, &mut input, &mut |bytes| bar.set_position(bytes));
        bar.finish_and_clear();
        done.map_err(|error| refused(path, error))
    };
    let (backup, of_keys) = (read(Sort::Backup, from)?, read(Sort::Keys, keys)?);
    if backup.manifest.is_none_or(|manifest| manifest.keys != of_keys.sum) || backup.head != of_keys.head {
        return Err(refused(keys, "these are the keys of another backup"));
    }
    let head = checkpoint::open(backup.head.note.as_bytes(), log, &config.origin)
        .map_err(|error| refused(from, error))?;
    if (head.size, head.root) != (backup.head.size, backup.head.root.0) {
        return Err(refused(from, "its checkpoint is of another size or root"));
    }
    Ok(head.size)
}

fn open_file(path: &Path) -> Result<BufReader<File>, Fail> {
    let file = File::open(path).map_err(|cause| Fail::file(path, cause))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Fail {
    Fail::new(format!("`{}` is refused; nothing was written", path.display()))
        .why(why)
        .next("take an older backup together with its own keys")
        .exit(Exit::Tampered)
}

fn unpack(making: &Config, (from, keys): (&Path, &Path), say: &Say) -> Result<(), Fail> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&making.data);
    made.map_err(|cause| Fail::file(&making.data, cause))?;
    file::unpack_keys(&mut open_file(keys)?, &making.data).map_err(|error| refused(keys, error))?;
    let store = open::store(making)?;
    let bar = say.progress(fs::metadata(from).map_or(0, |meta| meta.len()), "bytes");
    let mut progress = |bytes| bar.set_position(bytes);
    let done = file::unpack(&mut open_file(from)?, store.as_ref(), &making.data, &mut progress);
    bar.finish_and_clear();
    done.map_err(|error| refused(from, error))
}

/// Everything that data must go through: the public log, certificates, rebuilding, checking, the anchor.
fn finish(args: &Args, config: &Config, making: &Config, log: &PublicKey, say: &Say) -> Result<Done, Fail> {
    let (store, vault) = (open::store(making)?, open::vault(making)?);
    let data = Data {
        store: store.as_ref(),
        vault: &vault,
        log,
        origin: &config.origin,
        folder: &making.data,
        anchor: config.anchor.as_deref(),
    };
    let bar = say.progress(0, "entries");
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let mut done = Done::default();
    if let Some(place) = &args.log {
        let source = source::of(place, &args.reach)?;
        let caught = restore::catch_up(&data, source.as_ref(), &mut progress).map_err(uncaught)?;
        done.caught = Some(caught);
    }
    done.erased = restore::honour_certificates(&data).map_err(unsound)?;
    fsck::rebuild(&data, &mut progress).map_err(unsound)?;
    let report = fsck::check(&Data { anchor: None, ..data }, &mut progress).map_err(unsound)?;
    bar.finish_and_clear();
    if let Some(fault) = report.faults.first() {
        return Err(unsound(fault));
    }
    done.size = report.published;
    let mut anchored = restore::anchored(&data).map_err(unsound)?;
    if anchored == Anchored::Missing && done.caught.is_some() {
        // The public log has said how far it is: that is what an anchor is for.
        restore::anchor_again(&data).map_err(unsound)?;
        anchored = Anchored::Holds;
    }
    if anchored == Anchored::Other {
        return Err(unsound("the anchor is of another history, or of another log"));
    }
    if args.accept_lost {
        done.accepted = restore::accept(data.store).map_err(unsound)?;
    }
    done.waiting = restore::unaccepted(data.store).map_err(unsound)?;
    done.anchored = Some(anchored);
    Ok(done)
}

fn unsound(why: impl std::fmt::Display) -> Fail {
    Fail::new("the data is not sound, and is not opened")
        .why(why)
        .next("keep it as it is, and take another backup")
        .exit(Exit::Tampered)
}

fn uncaught(uncaught: Uncaught) -> Fail {
    match uncaught {
        Uncaught::Log(Stopped::Source(unread)) => {
            Fail::new("the public log cannot be read").why(unread).exit(Exit::Unreachable)
        }
        Uncaught::Log(stopped) => Fail::new("the public log and the data do not fit together")
            .why(stopped)
            .next("two histories under one key: keep both, and let nobody write before it is understood")
            .exit(Exit::Tampered),
        Uncaught::Data(error @ Error::Store(crate::store::Error::Locked)) => Fail::new(error),
        Uncaught::Data(error) => unsound(error),
    }
}

/// The data gets its name at one stroke.
fn take_place(from: &Path, to: &Path) -> Result<(), Fail> {
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // An empty folder may stand there; it gives way.
    let moved = fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all());
    moved.map_err(|cause| Fail::file(to, cause))
}

fn tell(say: &Say, done: &Done) -> Exit {
    let caught = done.caught.as_ref();
    let lost = caught.map_or(&[][..], |caught| &caught.lost);
    let (stop, way_out) = match (done.waiting, done.anchored) {
        (Some(_), _) => (Some("lost"), "see what is lost, then: naru restore DIR --accept-lost"),
        (None, Some(Anchored::Ahead(_))) => {
            (Some("anchor"), "naru restore DIR --log URL|DIR of the log or a mirror")
        }
        (None, Some(Anchored::Missing)) => {
            (Some("anchor"), "put the anchor back, or: naru restore DIR --log URL|DIR")
        }
        _ => (None, ""),
    };
    let range = |lost: &Lost| json!({ "from": lost.from, "until": lost.until });
    let document = json!({
        "size": done.size, "caught_up_from": caught.map(|c| c.from), "public": caught.map(|c| c.public),
        "lost": lost, "accepted": done.accepted.iter().map(range).collect::<Vec<_>>(),
        "waiting": done.waiting.as_ref().map(range), "erased_again": done.erased,
        "writes": stop.is_none(), "stop": stop, "next": stop.map(|_| way_out),
    });
    let list: String = lost.iter().take(20).map(|index| format!(" {index}")).collect();
    let more = if lost.len() > 20 { " …" } else { "" };
    let told = if lost.is_empty() { String::new() } else { format!("\nlost: {}:{list}{more}", lost.len()) };
    let size = done.size;
    let (ko, en) = match stop {
        None => ("쓰기를 받습니다".to_owned(), "open for writes".to_owned()),
        Some(stop) => (
            format!("쓰기를 거부합니다 ({stop})\n  다음: {way_out}"),
            format!("writes are refused ({stop})\n  next: {way_out}"),
        ),
    };
    say.result(
        &document,
        &format!("{size}개 항목, 이상 없음{told}\n{ko}"),
        &format!("{size} entries, sound{told}\n{en}"),
    );
    if stop.is_some() { Exit::Stale } else { Exit::Ok }
}
