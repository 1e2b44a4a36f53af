//! The live part: the same folder, the real clock, the HTTP API.
//!
//! Each step is said in words with the `curl` line that does the same; what a line
//! sends lies in `live/`. Tokens live five minutes and logins one: while the demo
//! stays up, `live/*.token` are made anew. Lacks TLS: it listens on this machine.

use std::fmt::Display;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::act::Setting;
use crate::cli::demo::draw::Act;
use crate::cli::demo::export;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::story::grant;
use crate::cli::demo::words;
use crate::cli::demo::words::Voice;
use crate::cli::demo::words::Words;
use crate::cli::demo::world::GRAIN_MS;
use crate::cli::demo::world::ORIGIN;
use crate::cli::demo::world::World;
use crate::cli::demo::year::CITIZEN;
use crate::cli::demo::year::citizen_key;
use crate::http;
use crate::http::Running;
use crate::identity::item;
use crate::identity::login;
use crate::identity::login::Assertion;
use crate::identity::login::Login;
use crate::ledger::key::Ed25519Signer;
use crate::model::id::Ppid;
use crate::model::statement::V1;
use crate::node::clock;
use crate::node::clock::Watch;

/// Life of a login or an assertion, ms.
const LOGIN_MS: u64 = 60_000;
/// Tokens are made anew this often while the demo stays up; they live 300 s.
const RENEW: Duration = Duration::from_secs(240);

/// The service and the files of the steps.
struct Live<'a> {
    world: &'a World,
    voice: Voice,
    base: String,
    folder: PathBuf,
    agent: ureq::Agent,
    step: u8,
}

/// An answer of the service.
struct Answer {
    status: u16,
    body: Vec<u8>,
    ms: f64,
}

/// Starts the service over the world's node.
pub(super) fn serve(world: &World, listen: SocketAddr) -> Result<Running, Error> {
    let options = http::Options::new(listen);
    http::serve(Arc::clone(&world.node), options).map_err(|cause| Error::Listen { listen, cause })
}

/// Plays the steps against the service.
pub(super) fn play(world: &World, out: &Path, base: &str, mut life: Life, voice: Voice) -> Result<(), Error> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let folder = out.join("live");
    let mut live = Live { world, voice, base: base.to_owned(), folder, agent, step: 0 };
    voice.tell(words::LIVE, &[&live.base, &live.folder.display()]);

    live.citizen_logs_in()?;
    let ppid = live.citizen_reads_her_name(&life)?;
    live.bank_logs_in()?;

    let granted = live.prepare("grant", grant(Offered::Account, 90), &life)?;
    live.hands_in(words::GRANT, "grant", 201)?;
    live.asks(words::PERMITTED, ppid, true)?;
    life.last.insert(Offered::Account, granted);

    live.prepare("withdraw", Act::Withdraw(Offered::Account), &life)?;
    let watch = Watch::start();
    live.hands_in(words::WITHDRAW, "withdraw", 201)?;
    live.asks(words::DENIED, ppid, false)?;
    let ms = format!("{:.1}", watch.elapsed().as_secs_f64() * 1e3);
    voice.tell(words::HOW_SOON, &[&ms]);

    live.hands_in(words::REPLAY, "grant", 200)?;
    live.asks(words::STILL_DENIED, ppid, false)?;
    live.evidence(&granted.to_string())
}

/// Where the service is reached from this machine.
pub(super) fn base(running: &Running) -> String {
    let addr = running.addr();
    if addr.ip().is_loopback() {
        format!("http://localhost:{}", addr.port())
    } else {
        format!("http://{addr}")
    }
}

/// Serves until a signal comes; keeps the tokens of the curl lines fresh.
pub(super) fn stay(world: World, out: &Path, running: Running, voice: Voice) -> Result<(), Error> {
    let base = base(&running);
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    voice.tell(words::STAYS, &[&base]);
    let folder = out.join("live");
    let node = Arc::clone(&world.node);
    let renewal = thread::Builder::new().name("renew".into()).spawn(move || {
        // Ends with the process, or when the service no longer answers.
        let live = Live { world: &world, voice, base, folder, agent, step: 0 };
        loop {
            thread::park_timeout(RENEW);
            if live.citizen_token().and_then(|_| live.bank_token()).is_err() {
                return;
            }
        }
    });
    drop(renewal.map_err(Error::at(out))?);
    let ended = running.wait().map_err(Error::at(out));
    node.close();
    ended
}

impl Live<'_> {
    fn citizen(&self) -> Ed25519Signer {
        citizen_key(self.world, CITIZEN)
    }

    /// A file of the steps as a shell reads it.
    fn file(&self, name: &str) -> String {
        quoted(&self.folder.join(name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        export::write(&self.folder.join(name), bytes)
    }

    /// Says a step and its curl line.
    fn says(&mut self, words: Words, curl: &str) {
        self.step += 1;
        let line = format!("\n{}. {}\n   $ {curl}", self.step, self.voice.0.of_words(words));
        self.voice.say(line);
    }

    fn result(&self, line: impl Display) {
        self.voice.say(format!("   → {line}"));
    }

    fn citizen_logs_in(&mut self) -> Result<(), Error> {
        let curl = format!(
            "curl -s {}/oauth/token -d grant_type=urn:naru:login -d login=$(cat {})",
            self.base,
            self.file("login.b64")
        );
        self.says(words::LOGIN, &curl);
        self.result(self.citizen_token()?);
        Ok(())
    }

    /// Builds a login of her own, sends it, keeps the token.
    fn citizen_token(&self) -> Result<String, Error> {
        let iat = self.world.clock.now();
        let nonce = self.world.seed.nonce("login", iat.0);
        let login = Login { v: V1, origin: ORIGIN.into(), nonce, iat, exp: iat.plus_ms(LOGIN_MS) };
        let item = URL_SAFE_NO_PAD.encode(login::sign_login(&login, &self.citizen())?);
        self.write("login.b64", item.as_bytes())?;
        self.token("citizen.token", &[("grant_type", "urn:naru:login"), ("login", &item)])
    }

    fn citizen_reads_her_name(&mut self, life: &Life) -> Result<Ppid, Error> {
        let path = format!("/v1/subjects/me/ppids/{BANK}");
        let curl = format!("curl -s {}{path} {}", self.base, self.bearer("citizen.token"));
        self.says(words::NAME, &curl);
        let answer = self.get(&path, Some("citizen.token"))?;
        let body = answer.expect("ppid", 200)?.json()?;
        let ppid = body.get("ppid").and_then(Value::as_str).and_then(Ppid::from_text);
        // The same for ever: what the year's node told in process.
        let known = life.ppid(Some(BANK))?;
        match ppid {
            Some(ppid) if ppid == known => {
                self.result(ppid.to_text());
                Ok(ppid)
            }
            _ => Err(Error::Unexpected { step: "ppid", found: body.to_string() }),
        }
    }

    fn bank_logs_in(&mut self) -> Result<(), Error> {
        let curl = format!(
            "curl -s {}/oauth/token -d grant_type=client_credentials -d client_assertion_type={JWT_BEARER} \
             -d client_assertion=$(cat {})",
            self.base,
            self.file("assertion.jwt")
        );
        self.says(words::BANK_LOGIN, &curl);
        self.result(self.bank_token()?);
        Ok(())
    }

    fn bank_token(&self) -> Result<String, Error> {
        let iat = self.world.clock.now().0 / 1_000;
        let jti: [u8; 16] = clock::random().map_err(crate::node::Error::Randomness)?;
        let claims = Assertion {
            iss: BANK.into(),
            sub: BANK.into(),
            aud: ORIGIN.into(),
            jti: URL_SAFE_NO_PAD.encode(jti),
            iat,
            exp: iat + LOGIN_MS / 1_000,
        };
        let jwt = login::sign_jwt(&claims, "JWT", &self.world.party_key(BANK))?;
        self.write("assertion.jwt", jwt.as_bytes())?;
        self.token(
            "bank.token",
            &[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", JWT_BEARER),
                ("client_assertion", &jwt),
            ],
        )
    }

    fn token(&self, name: &str, form: &[(&str, &str)]) -> Result<String, Error> {
        let url = format!("{}/oauth/token", self.base);
        let watch = Watch::start();
        let answer = Answer::of(self.agent.post(&url).send_form(form.iter().copied()), watch)?;
        let body = answer.expect("token", 200)?.json()?;
        let missing = || Error::Unexpected { step: "token", found: "none in the answer".into() };
        let token = body.get("access_token").and_then(Value::as_str).ok_or_else(missing)?;
        self.write(name, token.as_bytes())?;
        Ok(format!("{} s, {}", body.get("expires_in").unwrap_or(&Value::Null), self.file(name)))
    }

    /// Signs an act of hers into a file.
    fn prepare(&self, name: &str, act: Act, life: &Life) -> Result<crate::model::id::StatementId, Error> {
        let setting = Setting { world: self.world, life, nonce: self.live_nonce()?, by: None };
        let (says, _) = setting.statement(act)?;
        let item = item::sign(&says, &self.citizen())?;
        self.write(&format!("{name}.cose"), &item)?;
        Ok(item::open(&item)?.id())
    }

    /// Live statements draw real nonces: the demo may come back to one folder.
    fn live_nonce(&self) -> Result<crate::model::id::Nonce, Error> {
        Ok(crate::model::id::Nonce(clock::random().map_err(crate::node::Error::Randomness)?))
    }

    fn hands_in(&mut self, words: Words, name: &str, status: u16) -> Result<(), Error> {
        let file = self.file(&format!("{name}.cose"));
        let path = "/v1/statements";
        let curl = format!(
            "curl -s {}{path} -H 'Content-Type: application/cose' -H 'Accept: application/json' --data-binary @{file}",
            self.base
        );
        self.says(words, &curl);
        let item = self.folder.join(format!("{name}.cose"));
        let body = std::fs::read(&item).map_err(Error::at(&item))?;
        let answer = self.post(path, "application/cose", None, &body)?;
        let told = answer.expect("statement", status)?.json()?;
        let text = |name: &str| told.get(name).map_or_else(String::new, ToString::to_string);
        self.result(format!("{status}  index {}  id {}  {:.1} ms", text("index"), text("id"), answer.ms));
        Ok(())
    }

    fn asks(&mut self, words: Words, ppid: Ppid, permitted: bool) -> Result<(), Error> {
        let offer = Offered::Account.offer();
        let question = json!({
            "subject": { "type": "party", "id": BANK },
            "action": { "name": "use", "properties": { "purpose": offer.purpose } },
            "resource": {
                "type": "person",
                "id": ppid.to_text(),
                "properties": { "class": offer.class.as_str(), "categories": offer.categories(0) },
            },
        });
        let question = question.to_string();
        self.write("check.json", question.as_bytes())?;
        let path = "/access/v1/evaluation";
        let curl = format!(
            "curl -s {}{path} {} -H 'Content-Type: application/json' --data @{}",
            self.base,
            self.bearer("bank.token"),
            self.file("check.json")
        );
        self.says(words, &curl);
        let answer = self.post(path, "application/json", Some("bank.token"), question.as_bytes())?;
        let told = answer.expect("check", 200)?.json()?;
        self.result(format!("{told}  {:.1} ms", answer.ms));
        match told.get("decision").and_then(Value::as_bool) {
            Some(decision) if decision == permitted => Ok(()),
            _ => Err(Error::Unexpected { step: "check", found: told.to_string() }),
        }
    }

    /// Evidence is fetched, checked with the log's key alone, and checked again with one bit flipped.
    fn evidence(&mut self, id: &str) -> Result<(), Error> {
        let path = format!("/v1/statements/{id}/evidence");
        let file = self.file("evidence.cbor");
        let curl = format!("curl -s {}{path} {} -o {file}", self.base, self.bearer("citizen.token"));
        self.says(words::EVIDENCE, &curl);
        let mut answer = self.get(&path, Some("citizen.token"))?;
        // A checkpoint over the grant comes within a tick.
        for _ in 0..50 {
            if answer.status == 200 {
                break;
            }
            thread::park_timeout(Duration::from_millis(100));
            answer = self.get(&path, Some("citizen.token"))?;
        }
        let bytes = answer.expect("evidence", 200)?.body.clone();
        self.write("evidence.cbor", &bytes)?;
        export::verify(self.world, &bytes)?;
        self.voice.say(format!("   $ {}", self.verify_line("evidence.cbor")));
        self.voice.tell(words::VERIFIED, &[&bytes.len(), &file]);

        let mut flipped = bytes;
        let middle = flipped.len() / 2;
        if let Some(byte) = flipped.get_mut(middle) {
            *byte ^= 1;
        }
        self.write("evidence.flipped.cbor", &flipped)?;
        let curl = self.verify_line("evidence.flipped.cbor");
        self.says(words::FLIPPED, &curl);
        match export::verify(self.world, &flipped) {
            Err(error) => {
                self.result(error);
                Ok(())
            }
            Ok(()) => Err(Error::Unexpected { step: "flipped bit", found: "not noticed".into() }),
        }
    }

    /// The command that does the same offline.
    fn verify_line(&self, name: &str) -> String {
        let key = self.folder.with_file_name("log.vkey");
        format!("naru verify {} --log-key {} --grain-ms {GRAIN_MS}", self.file(name), quoted(&key))
    }

    fn bearer(&self, name: &str) -> String {
        format!("-H \"Authorization: Bearer $(cat {})\"", self.file(name))
    }

    fn authorization(&self, name: &str) -> Result<String, Error> {
        let path = self.folder.join(name);
        Ok(format!("Bearer {}", std::fs::read_to_string(&path).map_err(Error::at(&path))?))
    }

    fn get(&self, path: &str, token: Option<&str>) -> Result<Answer, Error> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(name) = token {
            request = request.header("Authorization", self.authorization(name)?);
        }
        let watch = Watch::start();
        Answer::of(request.call(), watch)
    }

    fn post(&self, path: &str, media: &str, token: Option<&str>, body: &[u8]) -> Result<Answer, Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        request = request.header("Content-Type", media).header("Accept", "application/json");
        if let Some(name) = token {
            request = request.header("Authorization", self.authorization(name)?);
        }
        let watch = Watch::start();
        Answer::of(request.send(body), watch)
    }
}

impl Answer {
    fn of(
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        watch: Watch,
    ) -> Result<Self, Error> {
        let failed = |cause: &dyn Display| Error::Unexpected { step: "http", found: cause.to_string() };
        let answer = answer.map_err(|e| failed(&e))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader().take(MAX_ANSWER);
        reader.read_to_end(&mut body).map_err(|e| failed(&e))?;
        Ok(Self { status, body, ms: watch.elapsed().as_secs_f64() * 1e3 })
    }

    fn expect(&self, step: &'static str, status: u16) -> Result<&Self, Error> {
        if self.status == status {
            return Ok(self);
        }
        let found = format!("{} {}", self.status, String::from_utf8_lossy(&self.body));
        Err(Error::Unexpected { step, found })
    }

    fn json(&self) -> Result<Value, Error> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// A path in quotes if a shell needs them.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Source: RFC 7523 section 2.2
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Longest answer read, bytes.
const MAX_ANSWER: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_any_path() {
        assert_eq!(quoted(Path::new("/tmp/a-b/c.cose")), "/tmp/a-b/c.cose");
        assert_eq!(quoted(Path::new("/tmp/it's mine")), r"'/tmp/it'\''s mine'");
    }
}
