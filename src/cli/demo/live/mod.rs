//! The live part: the same folder, the real clock, the HTTP API.
//!
//! Each step is said in words with the `curl` line that does the same, run in
//! `live/`, where what it sends lies. Tokens live five minutes and logins one: while
//! the demo stays up, the files that carry them are made anew. The machine of the
//! year counts as another one than this: the first use batch names the time between
//! as a gap. Lacks TLS: it listens on this machine.

mod away;
mod events;
mod first;
mod incident;
mod law;
mod many;
mod uses;
mod wire;

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::act::Setting;
use crate::cli::demo::draw::Act;
use crate::cli::demo::export;
pub(super) use crate::cli::demo::live::law::Elsewhere;
use crate::cli::demo::offer::AD_NETWORK;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::HOSPITAL;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::offer::TELECOM;
use crate::cli::demo::words;
use crate::cli::demo::words::Voice;
use crate::cli::demo::words::Words;
use crate::cli::demo::world::GRAIN_MS;
use crate::cli::demo::world::World;
use crate::cli::demo::world::key_hash;
use crate::cli::demo::year::CITIZEN;
use crate::cli::demo::year::citizen_key;
use crate::http;
use crate::http::Running;
use crate::identity::item;
use crate::ledger::key::Ed25519Signer;
use crate::model::id::Nonce;
use crate::model::id::StatementId;
use crate::node::clock;
use crate::web;

/// Tokens are made anew this often while the demo stays up; they live 300 s.
const RENEW: Duration = Duration::from_secs(240);
/// Widest line of a result, columns.
const WIDTH: usize = 96;

/// The service and the files of the steps.
struct Live<'a> {
    world: &'a World,
    voice: Voice,
    base: String,
    /// The address it is bound to: what signed requests are signed for.
    bound: String,
    out: PathBuf,
    folder: PathBuf,
    agent: ureq::Agent,
    step: u8,
}

/// Starts the service over the world's node, with the page of a person.
pub(super) fn serve(world: &World, listen: SocketAddr) -> Result<Running, Error> {
    served(world, http::Options { more: web::ROUTES, ..http::Options::new(listen) })
}

fn served(world: &World, options: http::Options) -> Result<Running, Error> {
    let listen = options.listen;
    http::serve(Arc::clone(&world.node), options).map_err(|cause| Error::Listen { listen, cause })
}

/// Plays the steps against the service; `lives` is the crowd, its first citizen acts.
/// Answers the second log, which goes on being served.
pub(super) fn play(
    world: &World,
    out: &Path,
    running: &Running,
    lives: &[Life],
    voice: Voice,
) -> Result<Elsewhere, Error> {
    let mut live = Live::new(world, out, running, voice);
    voice.tell(words::LIVE, &[&live.base, &quoted(&live.folder)]);
    let mut life = lives.first().cloned().unwrap_or_default();
    for party in [BANK, HOSPITAL, TELECOM, AD_NETWORK] {
        life.ppids.insert(Some(party), world.ppid(&key_hash(&live.citizen()), Some(party))?);
    }
    let permitted = live.consent(&mut life)?;
    let refused = live.links(&life)?;
    live.uses(&permitted)?;
    live.events(&mut life)?;
    live.many(lives)?;
    live.law()?;
    live.counted(&mut life)?;
    live.incident(&life, refused)?;
    live.carries_away()?;
    live.elsewhere()
}

/// Where the service is reached from this machine.
fn base(running: &Running) -> String {
    let addr = running.addr();
    if addr.ip().is_loopback() {
        format!("http://localhost:{}", addr.port())
    } else {
        format!("http://{addr}")
    }
}

/// Serves until a signal comes; keeps the tokens of the curl lines fresh.
pub(super) fn stay(world: World, out: &Path, running: Running, voice: Voice) -> Result<(), Error> {
    voice.tell(words::STAYS, &[&base(&running), &base(&running)]);
    let (node, folder) = (Arc::clone(&world.node), out.to_owned());
    let (base, bound) = (base(&running), format!("http://{}", running.addr()));
    let renewal = thread::Builder::new().name("renew".into()).spawn(move || {
        // Ends with the process, or when the service no longer answers.
        let live = Live::at(&world, &folder, (base, bound), voice);
        loop {
            thread::park_timeout(RENEW);
            let mut parties = [BANK, HOSPITAL, TELECOM, AD_NETWORK, REGULATOR].iter();
            let renewed =
                live.citizen_token().and_then(|_| parties.try_for_each(|p| live.party_token(p).map(drop)));
            if renewed.is_err() {
                return;
            }
        }
    });
    drop(renewal.map_err(Error::at(out))?);
    let ended = running.wait().map_err(Error::at(out));
    node.close();
    ended
}

impl<'a> Live<'a> {
    fn new(world: &'a World, out: &Path, running: &Running, voice: Voice) -> Self {
        Self::at(world, out, (base(running), format!("http://{}", running.addr())), voice)
    }

    fn at(world: &'a World, out: &Path, (base, bound): (String, String), voice: Voice) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { world, voice, base, bound, out: out.to_owned(), folder: out.join("live"), agent, step: 0 }
    }
}

impl Live<'_> {
    fn citizen(&self) -> Ed25519Signer {
        citizen_key(self.world, CITIZEN)
    }

    /// Writes what a step sends or got.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        export::write(&self.folder.join(name), bytes)
    }

    /// Says a step.
    fn says(&mut self, words: Words) {
        self.step += 1;
        self.voice.say(format!("\n{}. {}", self.step, self.voice.0.of_words(words)));
    }

    /// Says a command line that does what the step does.
    fn line(&self, line: impl Display) {
        self.voice.say(format!("   $ {line}"));
    }

    /// Says the name that the next lines use for what is long.
    fn named(&self, name: &str, value: &str) {
        self.line(format!("{name}={value}"));
    }

    /// Says a curl line: a path of the service, and what else it needs.
    fn curl(&self, path: &str, more: &str) {
        self.curl_at(&self.base, path, more);
    }

    /// The same, of a service by this address.
    fn curl_at(&self, base: &str, path: &str, more: &str) {
        let host = base.strip_prefix("http://").unwrap_or(base);
        // Some shells take `?` for their own.
        let url = if path.contains('?') { format!("\"{host}{path}\"") } else { format!("{host}{path}") };
        let space = if more.is_empty() { "" } else { " " };
        self.line(format!("curl -s {url}{space}{more}"));
    }

    /// Says what came of it, in lines of bearable width.
    fn result(&self, text: impl Display) {
        let (mut line, mut lines) = (String::new(), Vec::new());
        for word in text.to_string().split(' ') {
            if !line.is_empty() && columns(&line) + columns(word) >= WIDTH - 5 {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
        lines.push(line);
        self.voice.say(format!("   → {}", lines.join("\n     ")));
    }

    /// As [`Self::result`], in words.
    fn tells(&self, words: Words, values: &[&dyn Display]) {
        self.result(self.voice.filled(words, values));
    }

    /// The command that checks a file of `live/` offline.
    fn verify_line(&self, name: &str) {
        self.line(format!("naru verify {name} --log-key ../log.vkey --grain-ms {GRAIN_MS}"));
    }

    /// Signs an act of hers into a file.
    fn prepare(&self, name: &str, act: Act, life: &Life) -> Result<StatementId, Error> {
        let setting = Setting { world: self.world, life, nonce: fresh()?, by: None };
        let (says, _) = setting.statement(act)?;
        let item = item::sign(&says, &self.citizen())?;
        self.keep(name, &item)
    }

    /// Keeps a signed statement as a file of the steps.
    fn keep(&self, name: &str, item: &[u8]) -> Result<StatementId, Error> {
        self.write(&format!("{name}.cose"), item)?;
        Ok(item::open(item)?.id())
    }
}

/// Live statements draw real nonces: the demo may come back to one folder.
fn fresh() -> Result<Nonce, Error> {
    Ok(Nonce(clock::random().map_err(crate::node::Error::Randomness)?))
}

/// How many columns a terminal gives a text: Hangul takes two each.
fn columns(text: &str) -> usize {
    text.chars().map(|c| if ('\u{ac00}'..='\u{d7a3}').contains(&c) { 2 } else { 1 }).sum()
}

/// The beginning of a long id, for the eye.
fn short(id: &str) -> String {
    let head: String = id.chars().take(12).collect();
    if head.len() < id.len() { format!("{head}…") } else { head }
}

/// What a step must not come to.
fn wrong(step: &'static str, found: impl Display) -> Error {
    Error::Unexpected { step, found: found.to_string() }
}

/// A path in quotes if a shell needs them.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_takes_two_columns() {
        assert_eq!((columns("나루 naru"), columns("→ 1")), (9, 3));
    }

    #[test]
    fn a_shell_reads_any_path() {
        assert_eq!(quoted(Path::new("/tmp/a-b/c.cose")), "/tmp/a-b/c.cose");
        assert_eq!(quoted(Path::new("/tmp/it's mine")), r"'/tmp/it'\''s mine'");
    }
}
