//! What the steps send and get: tokens, requests, answers.
//!
//! A token lies in a file that `curl -H @FILE` reads as a header, a login or an
//! assertion in one that `curl -d @FILE` reads as a form. Lacks the steps.

use std::fmt::Display;
use std::io::Read as _;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::cli::demo::Error;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::wrong;
use crate::identity::login;
use crate::identity::login::Assertion;
use crate::identity::login::Login;
use crate::model::statement::V1;
use crate::node::clock;
use crate::node::clock::Watch;

/// Life of a login or an assertion, ms.
const LOGIN_MS: u64 = 60_000;
/// Between two looks at what is not ready yet.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// Looks before a step gives up.
pub(super) const LOOKS: u16 = 100;
/// Longest answer read, bytes.
const MAX_ANSWER: u64 = 8 << 20;
/// Source: RFC 7523 section 2.2
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Whose token a request carries, if it is the citizen's.
pub(super) const CITIZEN: &str = "citizen";

/// An answer of the service.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) ms: f64,
}

impl Live<'_> {
    /// Builds a login of her own, sends it, keeps the token. Answers how long it lives, s.
    pub(super) fn citizen_token(&self) -> Result<u64, Error> {
        let iat = self.world.clock.now();
        let nonce = super::fresh()?;
        let login = Login { v: V1, origin: self.world.origin.into(), nonce, iat, exp: iat.plus_ms(LOGIN_MS) };
        let item = URL_SAFE_NO_PAD.encode(login::sign_login(&login, &self.citizen())?);
        self.token(CITIZEN, &format!("grant_type=urn:naru:login&login={item}"))
    }

    /// A party's token for an assertion it has signed.
    pub(super) fn party_token(&self, party: &str) -> Result<u64, Error> {
        let iat = self.world.clock.now().0 / 1_000;
        let jti: [u8; 16] = clock::random().map_err(crate::node::Error::Randomness)?;
        let claims = Assertion {
            iss: party.into(),
            sub: party.into(),
            aud: self.world.origin.into(),
            jti: URL_SAFE_NO_PAD.encode(jti),
            iat,
            exp: iat + LOGIN_MS / 1_000,
        };
        let jwt = login::sign_jwt(&claims, "JWT", &self.world.party_key(party))?;
        let form = format!(
            "grant_type=client_credentials&client_assertion_type={JWT_BEARER}&client_assertion={jwt}"
        );
        self.token(party, &form)
    }

    fn token(&self, who: &str, form: &str) -> Result<u64, Error> {
        self.write(&format!("{who}.form"), form.as_bytes())?;
        let answer = self.post("/oauth/token", "application/x-www-form-urlencoded", None, form.as_bytes())?;
        let body = answer.expect("token", 200)?.json()?;
        let missing = || wrong("token", "none in the answer");
        let token = body.get("access_token").and_then(Value::as_str).ok_or_else(missing)?;
        self.write(&format!("{who}.auth"), format!("Authorization: Bearer {token}\n").as_bytes())?;
        body.get("expires_in").and_then(Value::as_u64).ok_or_else(missing)
    }

    fn authorization(&self, who: &str) -> Result<String, Error> {
        let path = self.folder.join(format!("{who}.auth"));
        let header = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
        Ok(header.trim().strip_prefix("Authorization: ").unwrap_or_default().to_owned())
    }

    pub(super) fn get(&self, path: &str, who: &str) -> Result<Answer, Error> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        request = request.header("Authorization", self.authorization(who)?);
        let watch = Watch::start();
        Answer::of(request.call(), watch)
    }

    /// Asks again until it is there: evidence needs a checkpoint, a decision a use batch, a cohort its end.
    pub(super) fn await_it(
        &self,
        path: &str,
        who: &str,
        ready: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, Error> {
        let mut answer = self.get(path, who)?;
        for _ in 0..LOOKS {
            if ready(&answer) {
                break;
            }
            thread::park_timeout(PAUSE);
            answer = self.get(path, who)?;
        }
        Ok(answer)
    }

    pub(super) fn post(
        &self,
        path: &str,
        media: &str,
        who: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        self.post_with(path, media, who, &[], body)
    }

    /// The same, with more headers.
    pub(super) fn post_with(
        &self,
        path: &str,
        media: &str,
        who: Option<&str>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Error> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        request = request.header("Content-Type", media).header("Accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(who) = who {
            request = request.header("Authorization", self.authorization(who)?);
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
        let failed = |cause: &dyn Display| wrong("http", cause);
        let answer = answer.map_err(|e| failed(&e))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader().take(MAX_ANSWER);
        reader.read_to_end(&mut body).map_err(|e| failed(&e))?;
        Ok(Self { status, body, ms: watch.elapsed().as_secs_f64() * 1e3 })
    }

    pub(super) fn expect(&self, step: &'static str, status: u16) -> Result<&Self, Error> {
        if self.status == status {
            return Ok(self);
        }
        Err(wrong(step, format!("{} {}", self.status, String::from_utf8_lossy(&self.body))))
    }

    pub(super) fn json(&self) -> Result<Value, Error> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// A text of an answer, by its JSON pointer; empty if it is not there.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number of an answer, by its JSON pointer.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}
