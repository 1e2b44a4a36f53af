//! EDGE. Configuration: one TOML file, overridden by environment, overridden by flags.
//!
//! Precedence: flag > `NARU_*` > `--config FILE` > `./naru.toml`. Unknown keys are
//! refused with their line, and all faults are told together. Secrets are paths:
//! a private key never stands in the file, in the environment or in a flag. The
//! doc comments of [`Config`] are the manual.
//!
//! Lacks: the keys themselves, and whatever genesis fixed (grain, regulators, packs).

mod whole;

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use toml::de::DeTable;
use toml::de::DeValue;

/// Everything a node is told. Paths in the file are relative to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `origin`: name of the log, a URL prefix without scheme (`ledger.example.kr/log`). Required.
    pub origin: String,
    /// `listen`: address and port of the service. Default `127.0.0.1:8080`; port 0 takes a free one.
    pub listen: String,
    /// `base_url`: where the public reaches the service. Default `http://` and the address.
    pub base_url: Option<String>,
    /// `passkey.rp_id`: relying party id of the citizens' passkeys, a host. Default: the host in `origin`.
    /// **For ever**: passkeys made under one id never sign under another.
    pub passkey_rp_id: Option<String>,
    /// `passkey.origins`: pages on which passkeys may sign, `https://` origins with spaces between them;
    /// plain `http` only on localhost. Default: that of `base_url`, else `https://` and the host in
    /// `origin`.
    pub passkey_origins: Vec<String>,
    /// `tls.cert`: PEM of the certificate and those that lead to its authority; with it the service
    /// speaks TLS 1.3 itself. SIGHUP has both files read again. Default: none, plain HTTP.
    pub tls_cert: Option<PathBuf>,
    /// `tls.key`: PEM of its private key, without passphrase. Required with a certificate.
    pub tls_key: Option<PathBuf>,
    /// `tls.ask_clients`: clients are asked for a certificate, which tokens of parties are then bound
    /// to; they may have none. Default true; a browser with certificates asks its user which to show.
    pub tls_ask_clients: bool,
    /// `bound_tokens`: parties get only tokens bound to a key (DPoP) or a client certificate, as FAPI 2.0
    /// wants it. Default false; `naru check` and `naru cohort` ask with plain ones.
    pub bound_tokens: bool,
    /// `metrics.listen`: address and port that serve `/metrics` instead of the service's own, such as
    /// `127.0.0.1:9464`. Default: none, and anybody may read the figures.
    pub metrics_listen: Option<String>,
    /// `security.contact`: where to tell of a weakness: `mailto:`, `https:` or `tel:` URIs with spaces
    /// between them, for `/.well-known/security.txt`. Default: none, and no such file.
    pub security_contact: Vec<String>,
    /// `security.expires`: until when that holds, `2027-06-30T00:00:00Z`. Required with a contact.
    pub security_expires: String,
    /// `data`: folder of the data. Default `data`.
    pub data: PathBuf,
    /// `anchor`: file outside the data folder that holds the newest checkpoint, best on another
    /// volume. Required, unless `danger_no_anchor = true`.
    pub anchor: Option<PathBuf>,
    /// `danger_no_anchor`: run without one: an old copy of the data then goes unnoticed.
    pub danger_no_anchor: bool,
    /// `keys.log`: PEM of the log's private key. Default `keys/log.pem`.
    pub log_key: PathBuf,
    /// `keys.token`: PEM of the key that signs access tokens. Default `keys/token.pem`.
    pub token_key: PathBuf,
    /// `keys.master`: 32 bytes that wrap the vault's keys. Default `keys/master.key`.
    pub master_key: PathBuf,
    /// `keys.operator`: PEM of the operator's key, which signs use batches. Without it the lines of the
    /// use log are kept and never batched.
    pub operator_key: Option<PathBuf>,
    /// `outbound.cert`: PEM of the certificate that this log shows the parties it calls, and of those that
    /// lead to its authority. With it transfers are carried; both ends always authenticate. Default: none.
    pub outbound_cert: Option<PathBuf>,
    /// `outbound.key`: PEM of its private key, without passphrase. Required with a certificate.
    pub outbound_key: Option<PathBuf>,
    /// `outbound.ca`: PEM of the authorities that parties are believed by. Default: the system's.
    pub outbound_ca: Option<PathBuf>,
    /// `receive.party`: as which party the logs that deliver to this service have registered it. With it
    /// the service is a receiver of transfers, and needs `tls`. Default: none, nothing is received.
    pub receive_party: Option<String>,
    /// `receive.signer`: PEM of the private key that the party is registered with: it signs how many items
    /// have arrived. Required with a party.
    pub receive_signer: Option<PathBuf>,
    /// `receive.keys`: PEM files with spaces between them, each a private key on P-256. The first is the one
    /// whose public half the party has registered as `transfer.key`, those after it are from before.
    /// Default: none; then items arrive in the clear.
    pub receive_keys: Vec<PathBuf>,
    /// `receive.from`: the logs that may deliver, `ORIGIN=FILE` with spaces between them: PEM of the client
    /// certificate each of them shows (its `outbound.cert`); more in one file are its next ones.
    pub receive_from: Vec<(String, PathBuf)>,
    /// `use_log`: every answer to an asker leaves a use line. Default true.
    pub use_log: bool,
    /// `use_batch_ms`: a use batch is made this often, ms. Default 60000.
    pub use_batch_ms: u64,
    /// `tick_ms`: at most one checkpoint in so many ms. Default 1000.
    pub tick_ms: u64,
    /// `queue`: statements in flight. Default 16384.
    pub queue: usize,
    /// `persons`: persons kept in memory. Default 200000.
    pub persons: usize,
    /// `listed`: persons in parties' own domains that searches keep in memory, about 25 bytes
    /// each; beyond it searches of persons are off. Default 5000000.
    pub listed: usize,
    /// `workers`: http workers. Default 0: one a core.
    pub workers: usize,
    /// `verifiers`: verifying threads. Default 0: one a core.
    pub verifiers: usize,
    /// `disk_reserve`: free bytes below which only closing acts are written. Default 268435456.
    pub disk_reserve: u64,
    /// `limits.party`: requests a second of one party, saved up for ten seconds. Default 20000; 0: no
    /// limit. A batch is one request. Closing acts are taken beyond every limit.
    pub limit_party: u32,
    /// `limits.session`: the same of one citizen's key, over all her sessions. Default 20.
    pub limit_session: u32,
    /// `limits.address`: the same of one address (IPv6: one /64) without token. Default 100. Loopback,
    /// `/log/`, `/livez`, `/readyz` and `/metrics` have none.
    pub limit_address: u32,
    /// `limits.proxies`: addresses of proxies, with spaces between them, whose `X-Forwarded-For` is
    /// believed; without it everybody behind a proxy is one caller. Default: none.
    pub limit_proxies: Vec<IpAddr>,
    /// `danger_clock_ahead_ms`: the service lives so far ahead of the system's clock, ms: to rehearse
    /// schedules. What it records bears times that have not come. Default 0.
    pub danger_clock_ahead_ms: u64,
    /// `danger_authzen_fixture`: answer permission checks from the AuthZEN certification fixture
    /// in place of the ledger. Opens only a log without persons, and writes nothing.
    pub danger_authzen_fixture: bool,
    /// `store.engine`: `fjall` (default), `sled` or `memory`.
    pub engine: Engine,
    /// `store.danger_accept_power_loss`: must be true for `sled`, which lost acknowledged
    /// statements under simulated power loss (README).
    pub danger_accept_power_loss: bool,
    /// `store.danger_forget_everything`: must be true for `memory`.
    pub danger_forget_everything: bool,
}

/// Which store keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// On disk, survives power loss.
    Fjall,
    /// Nowhere.
    Memory,
    /// On disk, survives `kill -9` only; needs the feature `store-sled`.
    Sled,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `naru.toml:12`, `NARU_LISTEN`, `--listen`, or the key that is missing.
    pub place: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// Never empty.
    pub faults: Vec<Fault>,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration has {} fault(s)", self.faults.len())?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {}: {}", fault.place, fault.what))
    }
}

/// Every key, as written in the file; tables joined by a dot.
pub const KEYS: [&str; 44] = [
    "origin",
    "listen",
    "base_url",
    "passkey.rp_id",
    "passkey.origins",
    "tls.cert",
    "tls.key",
    "tls.ask_clients",
    "bound_tokens",
    "metrics.listen",
    "security.contact",
    "security.expires",
    "data",
    "anchor",
    "danger_no_anchor",
    "keys.log",
    "keys.token",
    "keys.master",
    "keys.operator",
    "outbound.cert",
    "outbound.key",
    "outbound.ca",
    "receive.party",
    "receive.signer",
    "receive.keys",
    "receive.from",
    "use_log",
    "use_batch_ms",
    "tick_ms",
    "queue",
    "persons",
    "listed",
    "workers",
    "verifiers",
    "disk_reserve",
    "limits.party",
    "limits.session",
    "limits.address",
    "limits.proxies",
    "danger_clock_ahead_ms",
    "danger_authzen_fixture",
    "store.engine",
    "store.danger_accept_power_loss",
    "store.danger_forget_everything",
];

/// The variable that overrides a key: `NARU_STORE_ENGINE` for `store.engine`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("NARU_{}", key.to_ascii_uppercase().replace('.', "_"))
}

/// Where values come from, strongest last.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Text of the file, its name for messages, and the folder its paths are relative to.
    pub file: Option<(String, String, PathBuf)>,
    /// Variables, by [`variable`] name.
    pub environment: Vec<(String, String)>,
    /// Flags: name without dashes, key, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// File named by a flag, else `NARU_CONFIG`, else `./naru.toml` if it is there; and the environment.
    ///
    /// # Errors
    /// The named file cannot be read.
    pub fn of_process(config: Option<&Path>) -> Result<Self, Error> {
        let named = config.map(Path::to_owned).or_else(|| std::env::var_os("NARU_CONFIG").map(PathBuf::from));
        let default = Path::new("naru.toml");
        let path = named.or_else(|| default.exists().then(|| default.to_owned()));
        let mut sources = Self::default();
        if let Some(path) = path {
            let text = std::fs::read_to_string(&path).map_err(|cause| Error {
                faults: vec![Fault {
                    place: path.display().to_string(),
                    what: format!("cannot be read: {cause}"),
                }],
            })?;
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            sources.file = Some((text, path.display().to_string(), folder));
        }
        let set = |key: &&str| std::env::var(variable(key)).ok().map(|value| (variable(key), value));
        sources.environment = KEYS.iter().filter_map(set).collect();
        Ok(sources)
    }

    /// Adds a flag, if it was given.
    pub fn flag(&mut self, name: &'static str, key: &'static str, value: Option<String>) {
        self.flags.extend(value.map(|value| (name, key, value)));
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Everything that is wrong, together.
    pub fn read(&self) -> Result<Config, Error> {
        let mut draft = Draft { config: Config::default(), has_origin: false, faults: Vec::new() };
        if let Some((text, name, folder)) = &self.file {
            draft.read_file(text, name, folder);
        }
        for (name, value) in &self.environment {
            if let Some(key) = KEYS.iter().find(|key| variable(key) == *name) {
                draft.set(key, &Raw::Text(value), name, Path::new(""));
            }
        }
        for (flag, key, value) in &self.flags {
            draft.set(key, &Raw::Text(value), &format!("--{flag}"), Path::new(""));
        }
        draft.finish()
    }
}

impl Default for Config {
    /// The defaults; the origin is empty and must be set.
    fn default() -> Self {
        Self {
            origin: String::new(),
            listen: "127.0.0.1:8080".into(),
            base_url: None,
            passkey_rp_id: None,
            passkey_origins: Vec::new(),
            tls_cert: None,
            tls_key: None,
            tls_ask_clients: true,
            bound_tokens: false,
            metrics_listen: None,
            security_contact: Vec::new(),
            security_expires: String::new(),
            data: "data".into(),
            anchor: None,
            danger_no_anchor: false,
            log_key: "keys/log.pem".into(),
            token_key: "keys/token.pem".into(),
            master_key: "keys/master.key".into(),
            operator_key: None,
            outbound_cert: None,
            outbound_key: None,
            outbound_ca: None,
            receive_party: None,
            receive_signer: None,
            receive_keys: Vec::new(),
            receive_from: Vec::new(),
            use_log: true,
            use_batch_ms: 60_000,
            tick_ms: 1_000,
            queue: 16_384,
            persons: 200_000,
            listed: 5_000_000,
            workers: 0,
            verifiers: 0,
            disk_reserve: 256 << 20,
            limit_party: 20_000,
            limit_session: 20,
            limit_address: 100,
            limit_proxies: Vec::new(),
            danger_clock_ahead_ms: 0,
            danger_authzen_fixture: false,
            engine: Engine::Fjall,
            danger_accept_power_loss: false,
            danger_forget_everything: false,
        }
    }
}

/// A value before it has a type.
enum Raw<'a> {
    Bool(bool),
    Int(u64),
    /// Of the environment and of flags: may be a number or a boolean.
    Text(&'a str),
    /// Of the file: only ever a text.
    Quoted(&'a str),
}

impl Raw<'_> {
    fn text(&self) -> Result<String, &'static str> {
        match self {
            Self::Text(text) | Self::Quoted(text) => Ok((*text).to_owned()),
            _ => Err("must be a text in quotes"),
        }
    }

    fn int(&self) -> Result<u64, &'static str> {
        let wrong = "must be a whole number, not negative";
        match self {
            Self::Int(n) => Ok(*n),
            Self::Text(text) => text.parse().map_err(|_| wrong),
            _ => Err(wrong),
        }
    }

    fn size(&self) -> Result<usize, &'static str> {
        usize::try_from(self.int()?).map_err(|_| "is too large")
    }

    /// Requests a second; ten times as many must still be a number of requests.
    fn rate(&self) -> Result<u32, &'static str> {
        let rate = u32::try_from(self.int()?).ok().filter(|rate| *rate <= 1_000_000);
        rate.ok_or("must be at most 1000000; 0 means no limit")
    }

    fn boolean(&self) -> Result<bool, &'static str> {
        match self {
            Self::Bool(b) => Ok(*b),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            _ => Err("must be true or false"),
        }
    }
}

struct Draft {
    config: Config,
    has_origin: bool,
    faults: Vec<Fault>,
}

impl Draft {
    fn fault(&mut self, place: &str, what: impl Into<String>) {
        self.faults.push(Fault { place: place.to_owned(), what: what.into() });
    }

    fn read_file(&mut self, text: &str, name: &str, folder: &Path) {
        // Defaults of paths are relative to the file too.
        let config = &mut self.config;
        for path in [&mut config.data, &mut config.log_key, &mut config.token_key, &mut config.master_key] {
            *path = folder.join(&*path);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            self.fault(&format!("{name}:{}", line_of(text, at)), error.message().to_owned());
        }
        self.read_table(table.get_ref(), "", &|at| format!("{name}:{}", line_of(text, at)), folder);
    }

    fn read_table(
        &mut self,
        table: &DeTable<'_>,
        prefix: &str,
        place: &dyn Fn(usize) -> String,
        folder: &Path,
    ) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let at = place(key.span().start);
            let raw = match value.get_ref() {
                DeValue::Table(inner) if KEYS.iter().any(|k| k.starts_with(&format!("{name}."))) => {
                    self.read_table(inner, &format!("{name}."), place, folder);
                    continue;
                }
                DeValue::String(text) => Some(Raw::Quoted(text)),
                DeValue::Boolean(b) => Some(Raw::Bool(*b)),
                DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix()).ok().map(Raw::Int),
                _ => None,
            };
            match raw {
                Some(raw) => self.set(&name, &raw, &at, folder),
                None if KEYS.contains(&name.as_str()) => {
                    self.fault(&at, format!("`{name}` has no such form"))
                }
                None => self.unknown(&name, &at),
            }
        }
    }

    fn unknown(&mut self, key: &str, place: &str) {
        let near = KEYS.iter().map(|k| (distance(k, key), *k)).min().filter(|(d, _)| *d <= 3);
        let hint = near.map_or_else(String::new, |(_, k)| format!("; did you mean `{k}`?"));
        self.fault(place, format!("unknown key `{key}`{hint}"));
    }

    fn set(&mut self, key: &str, raw: &Raw<'_>, place: &str, folder: &Path) {
        if !KEYS.contains(&key) {
            return self.unknown(key, place);
        }
        if let Err(what) = self.try_set(key, raw, folder) {
            self.fault(place, format!("`{key}` {what}"));
        }
    }

    fn try_set(&mut self, key: &str, raw: &Raw<'_>, folder: &Path) -> Result<(), &'static str> {
        let config = &mut self.config;
        let path = || raw.text().map(|text| folder.join(text));
        match key {
            "origin" => {
                config.origin = raw.text()?;
                self.has_origin = true;
            }
            "listen" => config.listen = raw.text()?,
            "base_url" => config.base_url = Some(raw.text()?),
            "passkey.rp_id" => config.passkey_rp_id = Some(raw.text()?),
            "passkey.origins" => {
                config.passkey_origins = raw.text()?.split_whitespace().map(str::to_owned).collect();
            }
            "tls.cert" => config.tls_cert = Some(path()?),
            "tls.key" => config.tls_key = Some(path()?),
            "tls.ask_clients" => config.tls_ask_clients = raw.boolean()?,
            "bound_tokens" => config.bound_tokens = raw.boolean()?,
            "metrics.listen" => config.metrics_listen = Some(raw.text()?),
            "security.contact" => {
                config.security_contact = raw.text()?.split_whitespace().map(str::to_owned).collect();
            }
            "security.expires" => config.security_expires = raw.text()?,
            "data" => config.data = path()?,
            "anchor" => config.anchor = Some(path()?),
            "danger_no_anchor" => config.danger_no_anchor = raw.boolean()?,
            "keys.log" => config.log_key = path()?,
            "keys.token" => config.token_key = path()?,
            "keys.master" => config.master_key = path()?,
            "keys.operator" => config.operator_key = Some(path()?),
            "outbound.cert" => config.outbound_cert = Some(path()?),
            "outbound.key" => config.outbound_key = Some(path()?),
            "outbound.ca" => config.outbound_ca = Some(path()?),
            "receive.party" => config.receive_party = Some(raw.text()?),
            "receive.signer" => config.receive_signer = Some(path()?),
            "receive.keys" => {
                config.receive_keys = raw.text()?.split_whitespace().map(|file| folder.join(file)).collect();
            }
            "receive.from" => {
                let one =
                    |text: &str| text.split_once('=').map(|(log, file)| (log.to_owned(), folder.join(file)));
                let all = raw.text()?.split_whitespace().map(one).collect::<Option<_>>();
                config.receive_from = all.ok_or("must be `ORIGIN=FILE` with spaces between them")?;
            }
            "danger_clock_ahead_ms" => config.danger_clock_ahead_ms = raw.int()?,
            "use_log" => config.use_log = raw.boolean()?,
            "use_batch_ms" => config.use_batch_ms = raw.int()?,
            "tick_ms" => config.tick_ms = raw.int()?,
            "queue" => config.queue = raw.size()?,
            "persons" => config.persons = raw.size()?,
            "listed" => config.listed = raw.size()?,
            "danger_authzen_fixture" => config.danger_authzen_fixture = raw.boolean()?,
            "workers" => config.workers = raw.size()?,
            "verifiers" => config.verifiers = raw.size()?,
            "disk_reserve" => config.disk_reserve = raw.int()?,
            "limits.party" => config.limit_party = raw.rate()?,
            "limits.session" => config.limit_session = raw.rate()?,
            "limits.address" => config.limit_address = raw.rate()?,
            "limits.proxies" => {
                let proxies = raw.text()?.split_whitespace().map(str::parse).collect::<Result<_, _>>();
                config.limit_proxies = proxies.map_err(|_| "must be addresses with spaces between them")?;
            }
            "store.engine" => {
                config.engine = match raw.text()?.as_str() {
                    "fjall" => Engine::Fjall,
                    "memory" => Engine::Memory,
                    "sled" => Engine::Sled,
                    _ => return Err("must be \"fjall\", \"sled\" or \"memory\""),
                }
            }
            "store.danger_accept_power_loss" => config.danger_accept_power_loss = raw.boolean()?,
            _ => config.danger_forget_everything = raw.boolean()?,
        }
        Ok(())
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut before, mut left) = (i, i + 1);
        for (y, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let here = (before + usize::from(x != y)).min(left + 1).min(*cell + 1);
            before = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Error> {
        Sources { file: Some((text.into(), "naru.toml".into(), "/etc/naru".into())), ..Sources::default() }
            .read()
    }

    const GOOD: &str = "origin = \"a.kr/log\"\nanchor = \"/mnt/anchor\"\n";

    #[test]
    fn a_short_file_is_enough_and_paths_are_relative_to_it() {
        let config = read(GOOD).unwrap();
        assert_eq!(config.data, Path::new("/etc/naru/data"));
        assert_eq!(config.anchor.as_deref(), Some(Path::new("/mnt/anchor")));
        assert_eq!(config.log_key, Path::new("/etc/naru/keys/log.pem"));
    }

    #[test]
    fn all_faults_come_together_each_with_its_line() {
        let text =
            "orgin = \"x\"\ntick_ms = \"fast\"\n[store]\nengine = \"sledd\"\nspeed = 1\n[more]\na = 1\n";
        let faults = read(text).unwrap_err().faults;
        let place = |place: &str| faults.iter().find(|f| f.place == place).map(|f| f.what.as_str());
        assert_eq!(place("naru.toml:1"), Some("unknown key `orgin`; did you mean `origin`?"));
        assert!(place("naru.toml:2").unwrap().contains("whole number"));
        assert!(place("naru.toml:4").unwrap().contains("fjall"));
        assert!(place("naru.toml:5").unwrap().contains("store.speed"));
        assert!(place("naru.toml:6").unwrap().contains("more"));
        assert!(place("anchor").is_some() && place("origin").is_some());
    }

    #[test]
    fn flag_beats_environment_beats_file() {
        let mut sources = Sources {
            file: Some((format!("{GOOD}listen = \"1:1\"\nqueue = 5\n"), "n".into(), PathBuf::new())),
            environment: vec![("NARU_LISTEN".into(), "2:2".into()), ("NARU_QUEUE".into(), "7".into())],
            ..Sources::default()
        };
        assert_eq!(sources.read().unwrap().listen, "2:2");
        sources.flag("listen", "listen", Some("3:3".into()));
        let config = sources.read().unwrap();
        assert_eq!((config.listen.as_str(), config.queue), ("3:3", 7));
    }

    #[test]
    fn a_security_contact_is_a_uri_with_a_date() {
        let with = |contact: &str, expires: &str| {
            read(&format!("{GOOD}security.contact = \"{contact}\"\nsecurity.expires = \"{expires}\"\n"))
        };
        let both = with("mailto:a@b.kr https://b.kr/report", "2027-06-30T00:00:00Z").unwrap();
        assert_eq!(both.security_contact, ["mailto:a@b.kr", "https://b.kr/report"]);
        for expires in
            ["2027-06-30", "2027-13-01T00:00:00Z", "2027-06-30T00:00:00+09:00", "2027-06-30T24:00:00Z"]
        {
            assert!(with("mailto:a@b.kr", expires).is_err(), "{expires}");
        }
        assert!(with("a@b.kr", "2027-06-30T00:00:00Z").is_err());
        assert!(read(&format!("{GOOD}security.contact = \"mailto:a@b.kr\"\n")).is_err());
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let config = read(&format!("{GOOD}[tls]\ncert = \"c.pem\"\nkey = \"k.pem\"")).unwrap();
        assert_eq!(config.tls_cert.as_deref(), Some(Path::new("/etc/naru/c.pem")));
        assert!(config.tls_ask_clients);
        assert!(read(&format!("{GOOD}tls.cert = \"c.pem\"")).is_err());
        assert!(read(&format!("{GOOD}tls.key = \"k.pem\"")).is_err());
    }

    #[test]
    fn a_receiver_knows_who_delivers_and_by_which_certificate() {
        let tls = "tls.cert = \"c.pem\"\ntls.key = \"k.pem\"\n";
        let whole = "receive.party = \"wallet\"\nreceive.signer = \"s.pem\"\nreceive.keys = \"r.pem old.pem\"\n\
                     receive.from = \"a.kr/log=a.pem b.kr/log=b.pem\"\n";
        let config = read(&format!("{GOOD}{tls}{whole}")).unwrap();
        assert_eq!(config.receive_keys, ["/etc/naru/r.pem", "/etc/naru/old.pem"].map(PathBuf::from));
        assert_eq!(config.receive_from.get(1), Some(&("b.kr/log".into(), "/etc/naru/b.pem".into())));
        // Without TLS, without a certificate to know a log by, and in parts it is none.
        assert!(read(&format!("{GOOD}{whole}")).is_err());
        assert!(read(&format!("{GOOD}{tls}tls.ask_clients = false\n{whole}")).is_err());
        assert!(read(&format!("{GOOD}{tls}receive.party = \"wallet\"\n")).is_err());
        assert!(read(&format!("{GOOD}{tls}{}", whole.replace("a.kr/log=", ""))).is_err());
        assert_eq!(read(GOOD).unwrap().receive_party, None);
    }

    #[test]
    fn limits_have_defaults_and_proxies_are_addresses() {
        let config = read(GOOD).unwrap();
        assert_eq!((config.limit_party, config.limit_session, config.limit_address), (20_000, 20, 100));
        let with = |line: &str| read(&format!("{GOOD}[limits]\n{line}\n"));
        assert_eq!(with("address = 0").unwrap().limit_address, 0);
        let proxies = with("proxies = \"10.0.0.1 2001:db8::1\"").unwrap().limit_proxies;
        assert_eq!(proxies, ["10.0.0.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert!(with("proxies = \"10.0.0.0/8\"").is_err());
        assert!(with("party = 5000000000").is_err());
    }

    #[test]
    fn what_is_dangerous_is_said_aloud() {
        assert!(read("origin = \"x\"").is_err());
        assert!(read("origin = \"x\"\ndanger_no_anchor = true").is_ok());
        assert!(read(&format!("{GOOD}store.engine = \"memory\"")).is_err());
        let memory = format!("{GOOD}[store]\nengine = \"memory\"\ndanger_forget_everything = true");
        assert_eq!(read(&memory).unwrap().engine, Engine::Memory);
        assert!(read("origin = \"x\"\nanchor = \"data/anchor\"").is_err());
        assert!(read(&format!("{GOOD}store.engine = \"sled\"")).is_err());
        // The fixture is off unless its name is written out.
        assert!(!read(GOOD).unwrap().danger_authzen_fixture);
        assert!(read(&format!("{GOOD}authzen_fixture = true")).is_err());
        assert!(read(&format!("{GOOD}danger_authzen_fixture = true")).unwrap().danger_authzen_fixture);
    }
}
