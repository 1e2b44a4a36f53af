//! The real binary, serving, in a process of its own.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::login;
use naru::ledger::key::Ed25519Signer;
use naru::ledger::key::Signer;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use naru::node::clock::Clock;
use serde_bytes::ByteBuf;
use serde_json::Value;
use ureq::tls::Certificate;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;
use ureq::tls::TlsProvider;

use crate::support::*;

pub(crate) fn now() -> Timestamp {
    Clock::System.now()
}

/// `naru serve` in a process of its own; gone when dropped.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
    origin: String,
    /// So far its clock is ahead of ours, ms.
    ahead: u64,
    agent: ureq::Agent,
}

impl Service {
    pub(crate) fn start(dir: &Path, log: &str, origin: &str, variables: &[(&str, PathBuf)]) -> Self {
        Self::start_ahead(dir, (log, origin, 0), variables)
    }

    /// As [`Self::start`], with a clock that is ahead.
    pub(crate) fn start_ahead(
        dir: &Path,
        (log, origin, ahead): (&str, &str, u64),
        variables: &[(&str, PathBuf)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command
            .current_dir(dir)
            .env_clear()
            .env("NARU_LISTEN", "127.0.0.1:0")
            .env("NARU_TICK_MS", "50")
            .env("NARU_DANGER_CLOCK_AHEAD_MS", ahead.to_string())
            .env("NARU_LIMITS_SESSION", "0");
        command.envs(variables.iter().map(|(name, path)| (*name, path)));
        command.args(["serve", "--config", &format!("{log}/naru.toml")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("`{line}`")).to_owned();
        let own = variables.iter().find(|(name, _)| *name == "NARU_TLS_CERT");
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let config = match own {
            None => config,
            Some((_, path)) => {
                let own = Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap();
                let tls = TlsConfig::builder().provider(TlsProvider::NativeTls);
                config.tls_config(tls.root_certs(RootCerts::from([own])).build())
            }
        };
        Self { child, url, origin: origin.to_owned(), ahead, agent: config.build().into() }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The time it lives in.
    pub(crate) fn now(&self) -> Timestamp {
        now().plus_ms(self.ahead)
    }

    pub(crate) fn call(
        &self,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, &[u8])>,
    ) -> (u16, Vec<u8>) {
        let url = format!("{}{path}", self.url);
        let bearer = token.map(|token| format!("Bearer {token}"));
        let answer = match body {
            None => {
                let request = self.agent.get(&url);
                bearer.iter().fold(request, |r, bearer| r.header("authorization", bearer)).call()
            }
            Some((media, bytes)) => {
                let request = self.agent.post(&url).header("content-type", media);
                bearer.iter().fold(request, |r, bearer| r.header("authorization", bearer)).send(bytes)
            }
        };
        let mut answer = answer.unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_vec().unwrap())
    }

    pub(crate) fn record(&self, item: &[u8]) {
        let (status, body) = self.call("/v1/statements?wait=receipt", None, Some(("application/cose", item)));
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    }

    /// A session of person 1.
    pub(crate) fn session(&self) -> String {
        self.session_as(1)
    }

    pub(crate) fn session_as(&self, person: u64) -> String {
        let iat = self.now();
        let exp = iat.plus_ms(30_000);
        let said = login::Login { v: V1, origin: self.origin.clone(), nonce: nonce(), iat, exp };
        let item = login::sign_login(&said, &person_key(person)).unwrap();
        let assertion = URL_SAFE_NO_PAD.encode(item);
        let form = format!("grant_type=urn:naru:login&login={assertion}");
        let form = ("application/x-www-form-urlencoded", form.as_bytes());
        let (status, body) = self.call("/oauth/token", None, Some(form));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let given: Value = serde_json::from_slice(&body).unwrap();
        given["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) fn mine(&self, path: &str) -> Value {
        let (status, body) = self.call(path, Some(&self.session()), None);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Person 1 is known from here on.
    pub(crate) fn enrol(&self) {
        self.enrol_as(1);
    }

    pub(crate) fn enrol_as(&self, person: u64) {
        let create: Statement = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: self.now(),
            nonce: nonce(),
            key_use: KeyUse::Device,
            recovery: None,
        }
        .into();
        self.record(&sign(&create, &person_key(person)));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn registration(
    name: &str,
    seed: u8,
    role: Role,
    url: String,
    key: Option<ByteBuf>,
    operator: &dyn Signer,
) -> Vec<u8> {
    let statement: Statement = PartyRegister {
        v: V1,
        kind: Kind::PartyRegister,
        iat: now(),
        nonce: nonce(),
        party: party(name),
        name_ko: name.into(),
        name_en: name.into(),
        roles: vec![role],
        jurisdiction: "KR".into(),
        office: Office { name: "privacy office".into(), contact: "privacy@example.kr".into() },
        licence: None,
        scope: Vec::new(),
        transfer: Some(TransferEnd { url, key }),
    }
    .into();
    naru::ledger::cose::endorse(operator, &sign(&statement, &signer(seed))).unwrap()
}

/// A log that is begun, in a folder of that name; its operator's key.
pub(crate) fn init(dir: &Path, log: &str, origin: &str) -> Ed25519Signer {
    std::fs::write(dir.join("pipc.pub.pem"), signer(REGULATOR).public().to_pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.current_dir(dir).env_clear().args(["init", "--dir", log, "--origin", origin]);
    command.args(["--regulator", "pipc=pipc.pub.pem", "--grain-ms", "200"]);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pem = std::fs::read_to_string(dir.join(log).join("keys/operator.pem")).unwrap();
    Ed25519Signer::from_pem(&pem).unwrap()
}

/// Every check of `naru fsck` holds.
pub(crate) fn fsck(dir: &Path, log: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    let done = command.current_dir(dir).env_clear().args(["fsck", log]).output().unwrap();
    assert!(done.status.success(), "{log}: {}", String::from_utf8_lossy(&done.stdout));
}

/// No file of a log holds anything of what was carried in the clear.
pub(crate) fn holds_nothing_readable(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // A socket of the killed service is no file.
            if !path.is_file() {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            for marker in ["balance_amt", "110123456789", "1250000"] {
                assert!(!text.contains(marker), "{}", path.display());
            }
        }
    }
}
