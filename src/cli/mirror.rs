//! `naru mirror`: a verified copy of the public log that grows with it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::audit::Source;
use crate::audit::mirror;
use crate::audit::mirror::Followed;
use crate::audit::mirror::Keep;
use crate::audit::mirror::Stopped;
use crate::audit::mirror::Unkept;
use crate::cli::Exit;
use crate::cli::client::Reach;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::cli::source;
use crate::ledger::hash;
use crate::ledger::note;
use crate::ledger::note::Vkey;
use crate::ledger::tile;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
DIR becomes a folder that any web server can serve and `naru audit DIR` checks: checkpoint, tile/,
attachments/, log.vkey (C2SP tlog-tiles). Each file is checked against the signed checkpoint before it
is kept, and the checkpoint is replaced last. An interrupted run goes on where it stopped.
Exit 6, and nothing replaced, if the log has forked, has fewer entries than the copy, or shows bytes
it did not sign: the two checkpoints that contradict each other are then kept in DIR/evidence.")]
pub(in crate::cli) struct Args {
    /// An `http[s]://` URL of the service, or a folder of static files.
    #[arg(value_name = "URL|DIR")]
    place: String,
    #[command(flatten)]
    reach: Reach,
    /// The copy: a new folder, or one that `naru mirror` made.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// Follow once and stop: the default.
    #[arg(long, conflicts_with = "every")]
    once: bool,
    /// Follow again after so many seconds, until stopped; a log that does not answer is asked again.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: Option<u64>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let log = args.trust.read()?;
    let source = source::of(&args.place, &args.reach)?;
    let copy = Copy::open(&args.dir)?;
    copy.is_of(&log, source.as_ref())?;
    loop {
        match (follow(source.as_ref(), &copy, &log, say), args.every) {
            (Ok(exit), None) => return Ok(exit),
            // A missing attachment is told each time it is met; the copy goes on growing.
            (Ok(_), Some(_)) => {}
            (Err(fail), Some(_)) if fail.exit == Exit::Unreachable => {
                say.fail(&fail);
            }
            (Err(fail), _) => return Err(fail),
        }
        thread::sleep(Duration::from_secs(args.every.unwrap_or_default()));
    }
}

fn follow(source: &dyn Source, copy: &Copy, log: &LogKey, say: &Say) -> Result<Exit, Fail> {
    let bar = say.progress(0, "entries");
    let followed = mirror::follow(source, copy, (&log.key, &log.origin), &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let followed = followed.map_err(|stopped| failed(stopped, copy))?;
    tell(say, &followed);
    Ok(if followed.missing.is_empty() { Exit::Ok } else { Exit::Tampered })
}

fn failed(stopped: Stopped, copy: &Copy) -> Fail {
    let kept = copy.dir.display();
    match stopped {
        Stopped::Source(unread) => Fail::new("the log cannot be read")
            .why(unread)
            .next("run the command again: it goes on where it stopped")
            .exit(Exit::Unreachable),
        Stopped::Copy(unkept) => Fail::new("the copy cannot be kept").why(unkept),
        Stopped::Log(finding) => Fail::new("the log is refused; the copy stays as it was")
            .why(finding)
            .next(format!("keep `{kept}` and its evidence, and ask the operator and other mirrors"))
            .exit(Exit::Tampered),
        Stopped::Own(finding) => Fail::new(format!("`{kept}` is no copy of this log"))
            .why(finding)
            .next("check it with `naru audit`, or mirror into another folder")
            .exit(Exit::Tampered),
    }
}

fn tell(say: &Say, followed: &Followed) {
    let Followed { head, from, files, missing } = followed;
    let findings: Vec<_> =
        missing.iter().map(|f| json!({ "place": f.place.to_string(), "what": f.what.to_string() })).collect();
    let document = json!({
        "size": head.size, "root": hex(&head.root), "from": from, "files": files,
        "findings": findings, "witnessed": false,
    });
    let list: String = missing.iter().map(|finding| format!("\n  {finding}")).collect();
    let size = head.size;
    say.result(
        &document,
        &format!("{from}에서 {size}개 항목으로, 새 파일 {files}개{list}"),
        &format!("from {from} to {size} entries, {files} new files{list}"),
    );
}

/// The copy on disk. One process at a time.
struct Copy {
    dir: PathBuf,
    /// Held as long as the copy is open.
    _lock: File,
    /// Folders with files that are not yet durable under their names.
    touched: RefCell<BTreeSet<PathBuf>>,
}

/// Largest number of contradictions kept: a log that signs more of them is convicted already.
const MOST_EVIDENCE: usize = 256;

impl Copy {
    fn open(dir: &Path) -> Result<Self, Fail> {
        let own = dir.join(".mirror");
        let not_ours = dir.join("checkpoint").exists() && !own.exists();
        if not_ours {
            return Err(Fail::usage(format!(
                "`{}` holds a log that `naru mirror` did not copy",
                dir.display()
            ))
            .next("choose another folder; nothing is overwritten"));
        }
        fs::create_dir_all(&own).map_err(|cause| Fail::file(&own, cause))?;
        let path = own.join("lock");
        let lock = File::create(&path).map_err(|cause| Fail::file(&path, cause))?;
        lock.try_lock().map_err(|_| Fail::file(dir, "another process is mirroring into it"))?;
        Ok(Self { dir: dir.to_owned(), _lock: lock, touched: RefCell::default() })
    }

    /// A copy is of one log for ever, and says which.
    fn is_of(&self, log: &LogKey, source: &dyn Source) -> Result<(), Fail> {
        // Begun under another of the log's keys it stays named by that.
        let named = self.read("log.vkey").ok().flatten().and_then(|text| String::from_utf8(text).ok());
        if let Some(named) = named.and_then(|text| text.trim_end().parse::<Vkey>().ok())
            && named.name() == log.origin
            && log.at(source).is_ok_and(|log| log.keys.keys().any(|key| key == named.key()))
        {
            return Ok(());
        }
        let vkey = Vkey::new(&log.origin, note::Kind::Log, &log.key).map_err(Fail::new)?;
        self.add("log.vkey", format!("{vkey}\n").as_bytes()).map_err(|_| {
            Fail::usage(format!("`{}` is a copy of another log, or cannot be written", self.dir.display()))
                .next("choose another folder; nothing is overwritten")
        })
    }

    fn unkept(path: &Path) -> impl Fn(std::io::Error) -> Unkept + '_ {
        |cause| Unkept { what: path.display().to_string(), cause: cause.to_string() }
    }

    /// Writes a file under another name, syncs it, and gives it its name at one stroke.
    fn put(&self, path: &Path, bytes: &[u8]) -> Result<(), Unkept> {
        let part = self.dir.join(".mirror/part");
        let folder = path.parent().unwrap_or(&self.dir);
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = File::create(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        write().map_err(Self::unkept(path))?;
        let within = folder.ancestors().take_while(|folder| folder.starts_with(&self.dir));
        self.touched.borrow_mut().extend(within.map(Path::to_owned));
        Ok(())
    }

    /// Makes the names of all files put so far durable.
    fn sync(&self) -> Result<(), Unkept> {
        for folder in std::mem::take(&mut *self.touched.borrow_mut()) {
            File::open(&folder).and_then(|open| open.sync_all()).map_err(Self::unkept(&folder))?;
        }
        Ok(())
    }
}

impl Keep for Copy {
    fn kept(&self) -> Result<Option<String>, Unkept> {
        let Some(bytes) = self.read("checkpoint")? else { return Ok(None) };
        let wrong = |_| Unkept { what: "checkpoint".into(), cause: "it is not text".into() };
        String::from_utf8(bytes).map(Some).map_err(wrong)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Unkept> {
        let path = self.dir.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(cause) => Err(Self::unkept(&path)(cause)),
        }
    }

    fn add(&self, name: &str, bytes: &[u8]) -> Result<(), Unkept> {
        match self.read(name)? {
            None => self.put(&self.dir.join(name), bytes),
            Some(own) if own == bytes => Ok(()),
            Some(_) => Err(Unkept {
                what: name.to_owned(),
                cause: "it holds other bytes; find out why, remove the file and run again".into(),
            }),
        }
    }

    fn settle(&self, note: &str) -> Result<(), Unkept> {
        self.sync()?;
        self.put(&self.dir.join("checkpoint"), note.as_bytes())?;
        self.sync()
    }

    fn outgrown(&self, full: tile::Path) -> Result<(), Unkept> {
        let path = self.dir.join(format!("{full}.p"));
        match fs::remove_dir_all(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(Self::unkept(&path)(cause)),
            _ => Ok(()),
        }
    }

    fn rotations(&self, list: &[u8]) -> Result<(), Unkept> {
        self.put(&self.dir.join("rotations"), list)
    }

    fn evidence(&self, kept: &str, offered: &str) -> Result<(), Unkept> {
        let all = self.dir.join("evidence");
        if fs::read_dir(&all).is_ok_and(|list| list.count() >= MOST_EVIDENCE) {
            return Ok(());
        }
        let name: String =
            hex(&hash::sha256(&[kept.as_bytes(), offered.as_bytes()])).chars().take(16).collect();
        self.add(&format!("evidence/{name}/kept"), kept.as_bytes())?;
        self.add(&format!("evidence/{name}/offered"), offered.as_bytes())?;
        self.sync()
    }
}
