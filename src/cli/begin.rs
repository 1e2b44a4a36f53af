//! `naru init`: keys, configuration, genesis, first checkpoint, first anchor.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use serde_bytes::ByteBuf;

use crate::cli::Exit;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::keygen::draw;
use crate::cli::keygen::ed25519;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::config;
use crate::config::Config;
use crate::config::Engine;
use crate::config::Sources;
use crate::identity::item;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::cose;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::ledger::note;
use crate::ledger::note::Vkey;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::statement::FirstPack;
use crate::model::statement::FirstRegulator;
use crate::model::statement::Kind;
use crate::model::statement::LogCreate;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::Node;
use crate::node::carried_packs;
use crate::node::clock::Clock;
use crate::vault::Vault;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes into DIR: naru.toml, keys/ (log, operator, token, master, epoch-1), data/, log.vkey, log.pem.
keys/operator.pem signs use batches while the service runs. To keep it elsewhere, take `operator`
out of naru.toml: use lines are then kept, but never proved in the log.
Put the anchor on another volume or host: it tells an old copy of the data from the log.")]
pub(in crate::cli) struct Args {
    /// Folder of the new log.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Name of the log: a URL prefix without scheme, such as `ledger.example.kr/log`.
    #[arg(long)]
    origin: String,
    /// A first regulator and its public key (PEM).
    #[arg(long = "regulator", value_name = "ID=FILE", required = true)]
    regulators: Vec<String>,
    /// What the first regulators supervise.
    #[arg(long = "scope", default_value = "kr")]
    scopes: Vec<String>,
    /// A policy pack in force from the start, of those this build carries. Several apply together.
    #[arg(long = "pack", value_name = "NAME", default_value = "kcern-2018")]
    packs: Vec<String>,
    /// Grain of public times in ms, for ever: production 5000, demo 200.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    grain_ms: u64,
    /// File that holds the newest checkpoint outside the data. Default: DIR/anchor.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Address and port the service will listen on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
}

/// A key made by `init`.
struct Made {
    signer: Box<dyn Signer>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let empty = Checkpoint { origin: args.origin.clone(), size: 0, root: hash::empty_root() };
    empty.body().map_err(|error| {
        Fail::usage(format!("`{}` is no origin", args.origin))
            .why(error)
            .next("use a URL prefix without scheme, spaces or plus signs: `ledger.example.kr/log`")
    })?;
    let chosen = chosen_store(args)?;
    let regulators = args.regulators.iter().map(|text| regulator(text, &args.scopes));
    let regulators = regulators.collect::<Result<Vec<_>, _>>()?;
    let packs = args.packs.iter().map(|name| pack(name)).collect::<Result<Vec<_>, _>>()?;
    let config_file = args.dir.join("naru.toml");
    if config_file.exists() {
        return Err(Fail::usage(format!("`{}` holds a log already", args.dir.display()))
            .next("choose another folder; nothing is overwritten"));
    }
    let keys = args.dir.join("keys");
    let folder = |path: &Path, mode: u32| {
        let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
        made.map_err(|cause| Fail::file(path, cause))
    };
    folder(&args.dir, 0o755)?;
    folder(&keys, 0o700)?;
    let [log, operator, token] = [make(&keys, "log")?, make(&keys, "operator")?, make(&keys, "token")?];
    let master = zeroize::Zeroizing::new(draw::<32>()?);
    write_new(&keys.join("master.key"), master.as_slice(), Mode::Secret)?;
    let vkey = Vkey::new(&args.origin, note::Kind::Log, log.signer.public()).map_err(Fail::new)?;
    write_new(&args.dir.join("log.vkey"), format!("{vkey}\n").as_bytes(), Mode::Public)?;
    write_new(&args.dir.join("log.pem"), log.signer.public().to_pem().as_bytes(), Mode::Public)?;

    let anchor = match &args.anchor {
        Some(path) => std::path::absolute(path).map_err(|cause| Fail::file(path, cause))?,
        None => PathBuf::from("anchor"),
    };
    let config = Config {
        origin: args.origin.clone(),
        listen: args.listen.clone(),
        data: args.dir.join("data"),
        anchor: Some(args.dir.join(&anchor)),
        log_key: keys.join("log.pem"),
        token_key: keys.join("token.pem"),
        master_key: keys.join("master.key"),
        operator_key: Some(keys.join("operator.pem")),
        ..chosen
    };
    folder(&config.data, 0o700)?;
    let genesis = genesis(args, [&log, &operator, &token], regulators, packs)?;
    let size = begin(&config, args.grain_ms, genesis)?;
    // Last, so that a folder with a configuration holds a whole log.
    write_new(&config_file, text_of(&config, &anchor)?.as_bytes(), Mode::Public)?;
    tell(args, say, &vkey, &operator, size);
    Ok(Exit::Ok)
}

/// The store that the environment names, refused where the service would refuse it. Only what lasts
/// can be begun: that a store may forget everything is not asked.
fn chosen_store(args: &Args) -> Result<Config, Fail> {
    let variables = ["store.engine", "store.danger_accept_power_loss"].map(config::variable);
    let set = |name: String| std::env::var(&name).ok().map(|value| (name, value));
    let mut sources =
        Sources { environment: variables.into_iter().filter_map(set).collect(), ..Sources::default() };
    sources.flag("origin", "origin", Some(args.origin.clone()));
    sources.flag("anchor", "danger_no_anchor", Some("true".into()));
    sources.read().map(|config| Config { danger_no_anchor: false, ..config }).map_err(Fail::usage)
}

fn tell(args: &Args, say: &Say, vkey: &Vkey, operator: &Made, size: u64) {
    let dir = args.dir.display();
    let json = serde_json::json!({
        "dir": args.dir, "origin": args.origin, "vkey": vkey.to_string(), "size": size,
        "log_key_hash": hex(&vkey.key().hash()), "operator_key_hash": hex(&operator.signer.public().hash()),
        "config": args.dir.join("naru.toml"),
    });
    let next = format!("naru serve --config {dir}/naru.toml");
    say.result(
        &json,
        &format!("원장을 시작했습니다: {}\n{vkey}\n다음: {next}", args.origin),
        &format!("began the log {}\n{vkey}\nnext: {next}", args.origin),
    );
    say.remark(
        "anchor 를 다른 볼륨에, keys/operator.pem 의 사본을 이 서버 밖에 두십시오.",
        "Put the anchor on another volume, and a copy of keys/operator.pem off this machine.",
    );
}

fn make(keys: &Path, name: &str) -> Result<Made, Fail> {
    let (pem, _) = ed25519()?;
    let path = keys.join(format!("{name}.pem"));
    write_new(&path, pem.as_bytes(), Mode::Secret)?;
    Ok(Made { signer: open::signer(&path)? })
}

fn regulator(text: &str, scopes: &[String]) -> Result<FirstRegulator, Fail> {
    let form = || Fail::usage(format!("`--regulator {text}` is not ID=FILE"));
    let (id, file) = text.split_once('=').ok_or_else(form)?;
    let id = PartyId::parse(id).ok_or_else(|| {
        form().why("the id is 1 to 64 of a-z, 0-9, `-` and `.`, and begins with a letter or digit")
    })?;
    let key = open::public_key(Path::new(file))?;
    Ok(FirstRegulator { id, spki: ByteBuf::from(key.spki()), scope: scopes.to_vec() })
}

/// A pack that this build carries, by its name.
fn pack(name: &str) -> Result<FirstPack, Fail> {
    let carried = carried_packs().map_err(Fail::new)?;
    let found = carried.iter().find(|file| **file.pack.name() == *name).ok_or_else(|| {
        let names: Vec<&str> = carried.iter().map(|file| file.pack.name().as_ref()).collect();
        Fail::usage(format!("this build carries no pack `{name}`"))
            .next(format!("choose of {}; others are adopted later by `pack.adopt`", names.join(", ")))
    })?;
    Ok(FirstPack { name: name.to_owned(), version: found.pack.version(), hash: found.hash })
}

fn genesis(
    args: &Args,
    [log, operator, token]: [&Made; 3],
    regulators: Vec<FirstRegulator>,
    packs: Vec<FirstPack>,
) -> Result<Vec<u8>, Fail> {
    let spki = |made: &Made| ByteBuf::from(PublicKey::spki(made.signer.public()));
    let statement: Statement = LogCreate {
        v: V1,
        kind: Kind::LogCreate,
        iat: Clock::System.now(),
        nonce: Nonce(draw()?),
        origin: args.origin.clone(),
        grain: args.grain_ms,
        log: spki(log),
        operator: spki(operator),
        token: spki(token),
        regulators,
        packs,
    }
    .into();
    let item = item::sign(&statement, log.signer.as_ref()).map_err(Fail::new)?;
    cose::endorse(operator.signer.as_ref(), &item).map_err(Fail::new)
}

/// Makes vault, store and first checkpoint; answers the size of the log.
fn begin(config: &Config, grain_ms: u64, genesis: Vec<u8>) -> Result<u64, Fail> {
    let store = open::store(config)?;
    let vault =
        Vault::create_with(&open::vault_folder(config), open::keys_folder(config), &open::master(config)?)
            .map_err(Fail::new)?;
    let settings = open::settings(config, grain_ms);
    let node = Node::create(settings, store, vault, open::keys(config)?, Clock::System, genesis)
        .map_err(|error| Fail::new("the log could not be begun").why(error))?;
    let size = node.published().size;
    node.close();
    Ok(size)
}

/// Keys with their defaults, for whoever wants others.
const UNSET: &str = "
# Requests a second of one caller, saved up for ten seconds; 0: no limit. Closing acts pass every limit.
# [limits]
# party = 20000
# session = 20
# address = 100
# proxies = \"10.0.0.1\"  # whose X-Forwarded-For is believed

# TLS 1.3 by the service itself; SIGHUP has both files read again.
# [tls]
# cert = \"cert.pem\"
# key = \"key.pem\"
# ask_clients = true  # for certificates that tokens of parties are bound to
";

/// The configuration as `init` writes it.
fn text_of(config: &Config, anchor: &Path) -> Result<String, Fail> {
    let quoted = |text: &str| serde_json::to_string(text).map_err(Fail::new);
    let mut text = String::from("# Written by `naru init`. Paths are relative to this file.\n");
    let lines = [
        ("origin", quoted(&config.origin)?),
        ("listen", quoted(&config.listen)?),
        ("data", quoted("data")?),
        ("anchor", quoted(&anchor.to_string_lossy())?),
    ];
    for (key, value) in lines {
        writeln!(text, "{key} = {value}").map_err(Fail::new)?;
        if key == "data" {
            text.push_str("# The newest checkpoint, outside the data: best on another volume or host.\n");
        }
    }
    text.push_str(
        "\n[keys]\nlog = \"keys/log.pem\"\ntoken = \"keys/token.pem\"\nmaster = \"keys/master.key\"\n\
         # Signs use batches: without this line use lines are kept and never proved in the log.\n\
         operator = \"keys/operator.pem\"\n",
    );
    text.push_str(UNSET);
    if config.engine == Engine::Sled {
        text.push_str("\n[store]\nengine = \"sled\"\ndanger_accept_power_loss = true\n");
    }
    Ok(text)
}
