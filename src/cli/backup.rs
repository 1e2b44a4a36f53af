//! `naru backup`: a copy of the data as of one checkpoint, while the service runs.

use std::fs;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::file::beside;
use crate::cli::file::private;
use crate::cli::file::put_in_place;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::config::Config;
use crate::node::Error;
use crate::node::Node;
use crate::node::backup::file;
use crate::node::backup::frame::Manifest;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Waits for a checkpoint that covers everything, and copies the store as of that moment: from the running
service if there is one (over a socket inside the data folder), else by itself. Nothing stops meanwhile.
Two files: the backup (entries, sealed statements and state, attachments, checkpoint, a manifest with the
SHA-256 of every part) and the person keys, still wrapped by the epoch's key in keys/. Whoever has one of
them has nothing: keep them apart. With the end of the epoch (`naru rotate`, at most 30 days) neither opens
any more, and whoever was erased is gone from them: then a new backup is due.
Not in it: naru.toml and keys/. Keep those too, apart again. `naru restore` puts all of it back.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// New file of the backup, or a folder in which it is named `naru-SIZE.backup`.
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// New file of the person keys: on another volume or host.
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    let into = args.to.is_dir();
    let name = if into { args.to.join("naru.backup.part") } else { beside(&args.to, "part") };
    for made in [&args.keys, &args.to].into_iter().filter(|path| !into || *path != &args.to) {
        if made.exists() {
            return Err(Fail::usage(format!("`{}` is there already", made.display()))
                .next("choose another name; nothing is overwritten"));
        }
    }
    let keys_part = beside(&args.keys, "part");
    let written = write(&config, &name, &keys_part, say);
    let manifest = written.inspect_err(|_| {
        // Half a backup is none.
        drop(fs::remove_file(&name));
        drop(fs::remove_file(&keys_part));
    })?;
    let to = if into { args.to.join(format!("naru-{}.backup", manifest.size)) } else { args.to.clone() };
    // The keys first: a backup that is there has its keys.
    put_in_place(&keys_part, &args.keys)?;
    put_in_place(&name, &to)?;
    tell(say, &manifest, &to, &args.keys);
    Ok(Exit::Ok)
}

fn write(config: &Config, to: &Path, keys: &Path, say: &Say) -> Result<Manifest, Fail> {
    let create = |path: &Path| private(path).map(|file| BufWriter::with_capacity(1 << 20, file));
    let (mut out, mut key_out) = (create(to)?, create(keys)?);
    let bar = say.progress(0, "bytes");
    let mut feed = |sink: &mut file::Sink<'_>| match control::ask(&config.data, sink)? {
        Some(()) => Ok(()),
        None => alone(config, sink),
    };
    let manifest = file::write(&mut feed, &config.data, (&mut out, &mut key_out), &mut |bytes| {
        bar.set_length(bytes);
        bar.set_position(bytes);
    });
    bar.finish_and_clear();
    let manifest = manifest.map_err(|error| {
        Fail::new("the data cannot be backed up")
            .why(error)
            .next("is the data sound (`naru fsck`), and the service, if it runs, of this version?")
    })?;
    for (path, out) in [(to, out), (keys, key_out)] {
        let synced = out.into_inner().map_err(std::io::IntoInnerError::into_error);
        synced
            .and_then(|mut file| file.flush().and_then(|()| file.sync_all()))
            .map_err(|cause| Fail::file(path, cause))?;
    }
    Ok(manifest)
}

/// No service runs: this process takes the moment.
fn alone(config: &Config, sink: &mut file::Sink<'_>) -> Result<(), Error> {
    let opened = || {
        let (store, vault, keys) = (open::store(config)?, open::vault(config)?, open::keys(config)?);
        let settings = open::settings(config, open::grain(store.as_ref())?);
        Ok::<_, Fail>((settings, store, vault, keys))
    };
    let told = |fail: Fail| Error::Damaged(format!("{}: {}", fail.what, fail.why.unwrap_or_default()));
    let (settings, store, vault, keys) = opened().map_err(told)?;
    let node = Node::open(settings, store, vault, keys, Clock::System)?;
    let moment = node.snapshot()?;
    let fed = moment.feed(&config.origin, sink);
    drop(moment);
    node.close();
    fed
}

fn tell(say: &Say, manifest: &Manifest, to: &Path, keys: &Path) {
    let parts: Vec<_> = manifest
        .parts
        .iter()
        .map(|part| json!({ "name": part.name, "bytes": part.bytes, "sha256": hex(&part.hash.0) }))
        .collect();
    let bytes: u64 = manifest.parts.iter().map(|part| part.bytes).sum();
    let document = json!({
        "backup": to, "keys": keys, "format": manifest.v, "origin": manifest.origin, "size": manifest.size,
        "root": hex(&manifest.root.0), "keys_sum": hex(&manifest.keys.0), "bytes": bytes, "parts": parts,
    });
    let (size, to, keys) = (manifest.size, to.display(), keys.display());
    say.result(
        &document,
        &format!("{size}개 항목, {bytes}바이트를 {to}에, 개인 키를 {keys}에 썼습니다"),
        &format!("wrote {size} entries, {bytes} bytes to {to}, the person keys to {keys}"),
    );
    say.remark("두 파일을 따로 보관하십시오.", "Keep the two files apart.");
}
