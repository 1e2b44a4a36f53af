//! `naru export-log`: the public log as static files, for any web server and for `audit`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::mirror::attachments_of;
use crate::cli::Exit;
use crate::cli::client::Reach;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::source::Service;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::note;
use crate::ledger::note::Vkey;
use crate::ledger::tile;
use crate::model::id::Hash;
use crate::node::Node;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes checkpoint, tile/, attachments/ and log.vkey (C2SP tlog-tiles). Any web server can serve the
folder; `naru audit DIR` checks it. Without --url the service must not be running on the data.")]
pub(in crate::cli) struct Args {
    /// New or empty folder.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Folder made by `naru init`.
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read from a running service instead.
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "config"])]
    url: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    fs::create_dir_all(&args.out).map_err(|cause| Fail::file(&args.out, cause))?;
    if args.out.join("checkpoint").exists() {
        return Err(Fail::usage(format!("`{}` holds a log already", args.out.display()))
            .next("choose another folder; nothing is overwritten"));
    }
    let (size, files) = if let Some(url) = &args.url {
        export(&Service::new(url, &args.reach)?, &args.out, say)?
    } else {
        let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
        let config = open::config(file.as_deref(), &[])?;
        let (store, vault, keys) = (open::store(&config)?, open::vault(&config)?, open::keys(&config)?);
        let settings = open::settings(&config, open::grain(store.as_ref())?);
        let node = Node::open(settings, store, vault, keys, Clock::System)
            .map_err(|error| Fail::new("the log does not open").why(error).next("run `naru fsck`"))?;
        let vkey = Vkey::new(&config.origin, note::Kind::Log, &node.log_key()).map_err(Fail::new)?;
        write(&args.out.join("log.vkey"), format!("{vkey}\n").as_bytes())?;
        let done = export(&Running(&node), &args.out, say)?;
        node.close();
        done
    };
    let document = json!({ "out": args.out, "size": size, "files": files });
    say.result(
        &document,
        &format!("{size}개 항목, 파일 {files}개를 {}에 썼습니다", args.out.display()),
        &format!("wrote {size} entries in {files} files to {}", args.out.display()),
    );
    Ok(Exit::Ok)
}

/// A node in this process as a source.
struct Running<'a>(&'a Node);

impl Source for Running<'_> {
    fn checkpoint(&self) -> Result<String, Unread> {
        Ok(self.0.published().note.clone())
    }

    fn tile(&self, path: tile::Path) -> Result<Option<Vec<u8>>, Unread> {
        let narrow = |width: u16| u8::try_from(width).ok();
        let read = match path {
            tile::Path::Entries { index, width } => self.0.bundle(index, narrow(width)),
            tile::Path::Tile { level, index, width } => self.0.tile(level, index, narrow(width)),
        };
        read.map_err(|error| Unread { what: path.to_string(), cause: error.to_string() })
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
        self.0.attachment(hash).map_err(|error| Unread { what: hash.to_string(), cause: error.to_string() })
    }

    fn rotations(&self) -> Result<Vec<u8>, Unread> {
        self.0.rotations().map_err(|error| Unread { what: "rotations".into(), cause: error.to_string() })
    }
}

/// Copies a log; answers its size and the number of files.
fn export(source: &dyn Source, out: &Path, say: &Say) -> Result<(u64, u64), Fail> {
    let unread = |error: Unread| Fail::new("the log cannot be read").why(error);
    let note = source.checkpoint().map_err(unread)?;
    let body = note.split_once("\n\n").map(|(body, _)| format!("{body}\n")).unwrap_or_default();
    let size = Checkpoint::parse_body(&body).map_err(Fail::new)?.size;
    let bar = say.progress(tile::paths(size).count() as u64, "files");
    let (mut files, mut attachments) = (0, BTreeSet::new());
    for path in tile::paths(size) {
        let missing =
            || Fail::new(format!("`{path}` is missing")).exit(Exit::Tampered).next("run `naru fsck`");
        let bytes = source.tile(path).map_err(unread)?.ok_or_else(missing)?;
        if matches!(path, tile::Path::Entries { .. }) {
            attachments.extend(attachments_of(&bytes));
        }
        write(&out.join(path.to_string()), &bytes)?;
        files += 1;
        bar.inc(1);
    }
    for hash in attachments {
        // A missing one is for the audit to tell.
        if let Some(bytes) = source.attachment(&hash).map_err(unread)? {
            write(&out.join(format!("attachments/{hash}")), &bytes)?;
            files += 1;
        }
    }
    // `80` is the empty list.
    let rotations = source.rotations().map_err(unread)?;
    if rotations.len() > 1 {
        write(&out.join("rotations"), &rotations)?;
        files += 1;
    }
    // Last, so that a folder with a checkpoint holds a whole log.
    write(&out.join("checkpoint"), note.as_bytes())?;
    bar.finish_and_clear();
    Ok((size, files + 1))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)).map_err(|cause| Fail::file(path, cause))
}
