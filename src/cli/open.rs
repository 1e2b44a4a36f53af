//! From configuration and files to keys, vault, store and settings.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::audit::Source;
use crate::audit::chain;
use crate::cli::Exit;
use crate::cli::say::Fail;
use crate::config::Config;
use crate::config::Engine;
use crate::config::Sources;
use crate::identity;
use crate::identity::Relying;
use crate::ledger::chain::Chain;
use crate::ledger::entry::Entry;
use crate::ledger::key;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::ledger::note::Vkey;
use crate::model::statement::Statement;
use crate::node::Keys;
use crate::node::Settings;
use crate::node::fsck::Data;
use crate::store;
use crate::store::Store;
use crate::vault;
use crate::vault::Key;
use crate::vault::Vault;

/// The configuration of a command that runs on the data.
pub(in crate::cli) fn config(
    file: Option<&Path>,
    flags: &[(&'static str, &'static str, Option<String>)],
) -> Result<Config, Fail> {
    let read = || {
        let mut sources = Sources::of_process(file)?;
        for (name, key, value) in flags {
            sources.flag(name, key, value.clone());
        }
        sources.read()
    };
    let config = read().map_err(|error| {
        Fail::usage(error).next("correct all of them; `naru init` writes a file to begin with")
    })?;
    let named = config.passkey_rp_id.is_some() || !config.passkey_origins.is_empty();
    if named && !relying(&config).is_sound() {
        return Err(Fail::usage("`passkey.rp_id` and `passkey.origins` do not go together")
            .why("each origin is `https://` and a host that is the id or lies below it")
            .next("correct them; plain `http` is for localhost only"));
    }
    Ok(config)
}

/// Where passkeys live: as configured, else as follows from `base_url` and the log's name.
fn relying(config: &Config) -> Relying {
    let mut relying = Relying::of_log(&config.origin);
    if let Some(id) = &config.passkey_rp_id {
        relying.id.clone_from(id);
    }
    if !config.passkey_origins.is_empty() {
        relying.origins.clone_from(&config.passkey_origins);
    } else if let Some(url) = &config.base_url {
        let page: String = url.split_inclusive('/').take(3).collect();
        let of_url = Relying { origins: vec![page.trim_end_matches('/').to_owned()], ..relying.clone() };
        if of_url.is_sound() {
            relying = of_url;
        }
    }
    relying
}

pub(in crate::cli) fn settings(config: &Config, grain_ms: u64) -> Settings {
    Settings {
        relying: relying(config),
        grain_ms,
        tick_ms: config.tick_ms,
        anchor: config.anchor.clone(),
        queue: config.queue,
        persons: config.persons,
        threads: config.verifiers,
        disk_reserve: config.disk_reserve,
        listed: config.listed,
        authzen_fixture: config.danger_authzen_fixture,
        use_log: config.use_log,
        use_batch_ms: config.use_batch_ms,
        ..Settings::new(&config.origin, config.data.clone())
    }
}

pub(in crate::cli) fn vault_folder(config: &Config) -> PathBuf {
    config.data.join("vault")
}

pub(in crate::cli) fn vault(config: &Config) -> Result<Vault, Fail> {
    Vault::open_with(&vault_folder(config), keys_folder(config), &master(config)?).map_err(|error| {
        let fail = Fail::new("the vault does not open");
        let next = match &error {
            vault::Error::Ended { .. } => {
                "nothing does open it again; restore a backup made since `naru rotate`".to_owned()
            }
            _ => format!("are `{}` and the epoch keys beside it of this log?", config.master_key.display()),
        };
        fail.why(error).next(next)
    })
}

/// Where the keys of wrapping epochs lie: beside the master key, never in the data.
pub(in crate::cli) fn keys_folder(config: &Config) -> &Path {
    config.master_key.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

pub(in crate::cli) fn store(config: &Config) -> Result<Arc<dyn Store>, Fail> {
    let folder = config.data.join("store");
    let failed = |error: store::Error| {
        let damaged = matches!(error, store::Error::Corrupt { .. });
        let fail = Fail::new(format!("the store in `{}` does not open", folder.display())).why(error);
        if damaged {
            fail.exit(Exit::Tampered).next("keep a copy of the folder, then restore from a backup")
        } else {
            fail
        }
    };
    match config.engine {
        Engine::Fjall => Ok(Arc::new(store::fjall::Fjall::open(&folder).map_err(failed)?)),
        Engine::Memory => Ok(Arc::new(store::memory::Memory::new())),
        #[cfg(feature = "store-sled")]
        Engine::Sled => Ok(Arc::new(store::sled::Sled::open(&folder).map_err(failed)?)),
        #[cfg(not(feature = "store-sled"))]
        Engine::Sled => {
            Err(failed(store::Error::Engine { engine: "sled", cause: "not in this build".into() }))
        }
    }
}

pub(in crate::cli) fn keys(config: &Config) -> Result<Keys, Fail> {
    let operator = config.operator_key.as_deref().map(signer).transpose()?;
    let mut logs = log_signers(config)?.into_iter();
    let log = logs.next().map_or_else(|| signer(&config.log_key), Ok)?;
    Ok(Keys { log, logs: logs.collect(), token: signer(&config.token_key)?, operator })
}

/// Where a log key lies beside the one configured: `next` before its rotation, `old` after it.
pub(in crate::cli) fn beside(config: &Config, which: &str) -> PathBuf {
    config.log_key.with_extension(format!("{which}.pem"))
}

/// Every log key that is there, the configured one first. Which of them signs, the log says.
pub(in crate::cli) fn log_signers(config: &Config) -> Result<Vec<Box<dyn Signer>>, Fail> {
    let all = [config.log_key.clone(), beside(config, "next"), beside(config, "old")];
    let found: Vec<_> = all.iter().filter(|path| path.exists()).map(|path| signer(path)).collect();
    found.into_iter().collect()
}

/// The data of a log that no service has open, and what its operator knows of it.
pub(in crate::cli) struct Offline {
    config: Config,
    store: Arc<dyn Store>,
    vault: Vault,
    keys: Keys,
}

impl Offline {
    /// By the folder that `naru init` made, or by a configuration.
    pub(in crate::cli) fn open(dir: Option<&Path>, file: Option<&Path>) -> Result<Self, Fail> {
        let file = dir.map(|dir| dir.join("naru.toml")).or_else(|| file.map(Path::to_owned));
        let config = config(file.as_deref(), &[])?;
        let (store, vault, keys) = (store(&config)?, vault(&config)?, keys(&config)?);
        Ok(Self { config, store, vault, keys })
    }

    pub(in crate::cli) fn data(&self) -> Data<'_> {
        Data {
            store: self.store.as_ref(),
            vault: &self.vault,
            log: self.keys.log.public(),
            origin: &self.config.origin,
            folder: &self.config.data,
            anchor: self.config.anchor.as_deref(),
        }
    }
}

pub(in crate::cli) fn master(config: &Config) -> Result<Key, Fail> {
    let path = &config.master_key;
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|cause| Fail::file(path, cause))?);
    Key::from_slice(&bytes).ok_or_else(|| Fail::file(path, "a master key is exactly 32 bytes"))
}

/// A private key from its file.
pub(in crate::cli) fn signer(path: &Path) -> Result<Box<dyn Signer>, Fail> {
    let pem = Zeroizing::new(std::fs::read_to_string(path).map_err(|cause| Fail::file(path, cause))?);
    key::signer_from_pem(&pem).map_err(|error| {
        Fail::file(path, error).next("`naru keygen --out FILE` makes a key of the right form")
    })
}

/// A public key from its PEM.
pub(in crate::cli) fn public_key(path: &Path) -> Result<PublicKey, Fail> {
    let pem = std::fs::read_to_string(path).map_err(|cause| Fail::file(path, cause))?;
    PublicKey::from_pem(&pem).map_err(|error| {
        Fail::file(path, error).next("give the public key (`.pub.pem`), not the private one")
    })
}

/// A log's key, and its name where the file has it.
#[derive(Clone)]
pub(in crate::cli) struct LogKey {
    pub(in crate::cli) key: PublicKey,
    /// All of its keys that are known.
    pub(in crate::cli) keys: Chain,
    pub(in crate::cli) origin: String,
}

/// Reads `log.vkey` (which names the log) or `log.pem` (which needs the origin).
pub(in crate::cli) fn log_key(path: &Path, origin: Option<&str>) -> Result<LogKey, Fail> {
    let text = std::fs::read_to_string(path).map_err(|cause| Fail::file(path, cause))?;
    if text.starts_with("-----BEGIN") {
        let origin = origin.ok_or_else(|| {
            Fail::usage("`--origin` is missing").why("a PEM does not name its log; a `.vkey` file does")
        })?;
        let key = public_key(path)?;
        return Ok(LogKey { keys: Chain::new(key.clone()), key, origin: origin.to_owned() });
    }
    let vkey: Vkey = text.trim_end().parse().map_err(|error| Fail::file(path, error))?;
    let key = vkey.key().clone();
    Ok(LogKey { keys: Chain::new(key.clone()), key, origin: origin.unwrap_or(vkey.name()).to_owned() })
}

impl LogKey {
    /// The same, with the keys that a source's rotations show.
    ///
    /// # Errors
    /// The source does not answer, or shows what does not hold.
    pub(in crate::cli) fn at(&self, source: &dyn Source) -> Result<Self, Fail> {
        let unread = |error| Fail::new("the log cannot be read").why(error).exit(Exit::Unreachable);
        self.with(&source.rotations().map_err(unread)?)
    }

    /// The same, with the keys that a list of rotations shows.
    fn with(&self, rotations: &[u8]) -> Result<Self, Fail> {
        if rotations.is_empty() {
            return Ok(self.clone());
        }
        let keys = chain::follow(&self.key, &self.origin, rotations).map_err(|error| {
            Fail::new("the log's list of rotations does not hold").why(error).exit(Exit::Tampered)
        })?;
        Ok(Self { key: self.key.clone(), keys, origin: self.origin.clone() })
    }
}

/// Flags by which a command learns whom to trust.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Trust {
    /// The log's public key: `log.vkey`, or `log.pem` together with `--origin`.
    #[arg(long, value_name = "FILE")]
    log_key: PathBuf,
    /// Name of the log. Needed with a PEM; checked with a `.vkey`.
    #[arg(long)]
    origin: Option<String>,
    /// Rotations of the log's key (`rotations` beside its checkpoint), if what is checked bears another key.
    #[arg(long, value_name = "FILE")]
    rotations: Option<PathBuf>,
}

impl Trust {
    pub(in crate::cli) fn read(&self) -> Result<LogKey, Fail> {
        let log = log_key(&self.log_key, self.origin.as_deref())?;
        match &self.rotations {
            None => Ok(log),
            Some(path) => log.with(&std::fs::read(path).map_err(|cause| Fail::file(path, cause))?),
        }
    }
}

/// The grain of public times, as genesis fixed it: entry 0 says it.
pub(in crate::cli) fn grain(store: &dyn Store) -> Result<u64, Fail> {
    let none = || Fail::new("the data folder holds no log").next("begin one with `naru init`");
    let genesis = store.commits(0..1).map_err(Fail::new)?.pop().ok_or_else(none)?;
    let entry = genesis.entries.first().ok_or_else(none)?;
    let damaged = |why: &dyn std::fmt::Display| {
        Fail::new("entry 0 is no genesis").why(why).exit(Exit::Tampered).next("run `naru fsck`")
    };
    let Entry::Public { item, .. } = Entry::parse(entry).map_err(|error| damaged(&error))? else {
        return Err(damaged(&"it is sealed"));
    };
    match identity::reload(&item).map_err(|error| damaged(&error))? {
        (Statement::LogCreate(genesis), _) => Ok(genesis.grain),
        _ => Err(damaged(&"it is another statement")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passkeys_live_where_the_file_says_or_where_the_public_comes() {
        let of = |text: &str| {
            let text = format!("danger_no_anchor = true\norigin = \"ledger.a.kr/log\"\n{text}");
            let sources =
                Sources { file: Some((text, "naru.toml".into(), PathBuf::new())), ..Sources::default() };
            relying(&sources.read().unwrap())
        };
        let said = |relying: Relying| (relying.id, relying.origins.join(" "));
        let own = |id: &str, origins: &str| (id.to_owned(), origins.to_owned());
        assert_eq!(said(of("")), own("ledger.a.kr", "https://ledger.a.kr"));
        let url = "base_url = \"https://my.ledger.a.kr:8443/x/\"\n";
        assert_eq!(said(of(url)), own("ledger.a.kr", "https://my.ledger.a.kr:8443"));
        // Not a page on which a browser would use that id: nothing follows from it.
        assert_eq!(said(of("base_url = \"http://10.0.0.1\"")), own("ledger.a.kr", "https://ledger.a.kr"));
        let named = "[passkey]\nrp_id = \"a.kr\"\norigins = \"https://my.a.kr https://a.kr\"";
        assert_eq!(said(of(named)), own("a.kr", "https://my.a.kr https://a.kr"));
        assert!(of(named).is_sound() && !of("passkey.rp_id = \"b.kr\"").is_sound());
    }
}
