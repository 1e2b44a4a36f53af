//! Load and verification for `scripts/durability`: not part of the service.
//!
//! `load SEED` signs statements first, says `READY`, waits for a URL on stdin, then posts
//! batches until the service is gone. It says what it is about to do (`TRY n`) and what came
//! back, one line an answered item:
//!
//! ```text
//! ACK index id sha256(entry) promise path      hex, hex, base64, base64 (32 bytes a hash)
//! SEEN note                                    base64: a checkpoint as served
//! NO status code                               an item that was refused
//! ```
//!
//! `verify URL VKEY FILE...` holds such lines, kept by somebody who does not trust the service,
//! against what the service shows: every entry at its index with its bytes, every promise and
//! path, every checkpoint a prefix. It answers with one JSON document.

use std::collections::HashMap;
use std::collections::HashSet;
use std::error::Error;
use std::io::BufRead;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::item;
use naru::identity::login;
use naru::identity::login::Login;
use naru::ledger::cbor;
use naru::ledger::checkpoint;
use naru::ledger::checkpoint::Checkpoint;
use naru::ledger::hash;
use naru::ledger::key::Ed25519Signer;
use naru::ledger::merkle;
use naru::ledger::note::Vkey;
use naru::ledger::promise;
use naru::ledger::promise::Promise;
use naru::ledger::tile;
use naru::ledger::tile::Hashes;
use naru::model::id::Nonce;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::ConsentLift;
use naru::model::statement::ConsentObject;
use naru::model::statement::KeyCreate;
use naru::model::statement::KeyUse;
use naru::model::statement::Kind;
use naru::model::statement::Scope;
use naru::model::statement::Statement;
use naru::model::statement::V1;
use naru::model::vocabulary::DataClass;
use naru::node::clock::Clock;
use naru::node::clock::Watch;
use serde::Deserialize;
use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

type Res<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Connections that send.
const SENDERS: u64 = 3;
/// Batches that each of them signs before the load begins.
const READY_BATCHES: u64 = 24;
/// Persons of every second batch who object, lift and object again.
const ACTIVE: usize = 12;
/// How long the newest checkpoint may take to cover what was answered.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Res<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["load", seed] => load(seed.parse()?),
        ["verify", url, vkey, files @ ..] => verify(url, vkey, files),
        _ => Err("usage: load SEED | verify URL VKEY FILE...".into()),
    }
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(30))).build().into()
}

/// Status and body, or that nobody answers.
fn get(agent: &ureq::Agent, url: &str) -> Res<(u16, Vec<u8>)> {
    let mut answer = agent.get(url).call()?;
    Ok((answer.status().as_u16(), answer.body_mut().with_config().limit(64 << 20).read_to_vec()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Res<[u8; 32]> {
    Ok(StatementId::from_hex(text).ok_or("not 32 bytes in hex")?.0)
}

// ---------------------------------------------------------------- load

/// Numbers that depend on the seed alone, so that no key comes twice in a campaign.
fn number(seed: u64, sender: u64, batch: u64, position: u64) -> [u8; 32] {
    let parts = [seed, sender, batch, position].map(u64::to_be_bytes).concat();
    hash::sha256(&[b"naru durability", &parts])
}

/// One batch: 16 to 64 enrolments of new persons.
fn batch(seed: u64, sender: u64, n: u64) -> Res<(usize, Vec<u8>)> {
    let count = 16 + u64::from(number(seed, sender, n, u64::MAX)[0]) % 49;
    let mut bytes = Vec::new();
    for position in 0..count {
        let key = number(seed, sender, n, position);
        let (nonce, _) = key.split_first_chunk::<16>().ok_or("32 bytes")?;
        let statement = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: Clock::System.now(),
            nonce: Nonce(*nonce),
            key_use: KeyUse::Device,
            recovery: None,
        };
        bytes.extend(item::sign(&statement.into(), &Ed25519Signer::from_seed(key))?);
    }
    Ok((usize::try_from(count)?, bytes))
}

/// One result of a batch: an accepted statement or a problem.
#[derive(Deserialize)]
struct Answer {
    status: u16,
    #[serde(default)]
    code: String,
    #[serde(default)]
    index: u64,
    id: Option<ByteArray<32>>,
    #[serde(default)]
    entry: ByteBuf,
    #[serde(default)]
    promise: ByteBuf,
    #[serde(default)]
    path: Vec<ByteArray<32>>,
}

impl Answer {
    fn line(&self) -> String {
        let Some(id) = &self.id else { return format!("NO {} {}\n", self.status, self.code) };
        let path: Vec<u8> = self.path.iter().flat_map(|hash| hash.iter().copied()).collect();
        let (id, sum) = (hex(&id[..]), hex(&hash::sha256(&[&self.entry])));
        // A path of one leaf is empty: a dash keeps the columns.
        let path = if path.is_empty() { "-".into() } else { STANDARD.encode(path) };
        format!("ACK {} {id} {sum} {} {path}\n", self.index, STANDARD.encode(&self.promise))
    }
}

/// Lines reach the reader whole: one writer at a time, flushed.
struct Out(Mutex<std::io::Stdout>);

impl Out {
    fn say(&self, text: &str) -> Res<()> {
        let mut out = self.0.lock().map_err(|_| "poisoned")?;
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}

fn load(seed: u64) -> Res<()> {
    let mut ready = Vec::new();
    for sender in 0..SENDERS {
        ready.push((0..READY_BATCHES).map(|n| batch(seed, sender, n)).collect::<Res<Vec<_>>>()?);
    }
    let out = Out(Mutex::new(std::io::stdout()));
    out.say("READY\n")?;
    let mut url = String::new();
    std::io::stdin().lock().read_line(&mut url)?;
    let (url, gone) = (url.trim(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (sender, ready) in (0..SENDERS).zip(ready) {
            let (out, gone) = (&out, &gone);
            scope.spawn(move || {
                // The service dies in every round: that is how this ends.
                drop(send(url, out, seed, sender, ready));
                gone.store(true, Ordering::Relaxed);
            });
        }
        drop(watch(url, &out, &gone));
    });
    Ok(())
}

fn send(url: &str, out: &Out, seed: u64, sender: u64, ready: Vec<(usize, Vec<u8>)>) -> Res<()> {
    let agent = agent();
    let (_, note) = get(&agent, &format!("{url}/log/checkpoint"))?;
    let origin = String::from_utf8_lossy(&note).lines().next().unwrap_or_default().to_owned();
    let door = Door { agent, url, out, origin };
    let mut ready = ready.into_iter();
    for n in 0.. {
        let (count, bytes) = match ready.next() {
            Some(batch) => batch,
            None => batch(seed, sender, n)?,
        };
        let answers = door.post(count, &bytes)?;
        if n % 2 == 0 {
            let keys = (0u64..).map(|position| number(seed, sender, n, position)).zip(&answers);
            let keys = keys.filter(|(_, answer)| answer.id.is_some()).map(|(key, _)| key);
            door.go_back_and_forth(&keys.take(ACTIVE).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The service, as one sender sees it.
struct Door<'a> {
    agent: ureq::Agent,
    url: &'a str,
    out: &'a Out,
    origin: String,
}

impl Door<'_> {
    /// Posts a batch and tells what came back.
    fn post(&self, count: usize, bytes: &[u8]) -> Res<Vec<Answer>> {
        self.out.say(&format!("TRY {count}\n"))?;
        let request = self.agent.post(format!("{}/v1/statements:batch", self.url));
        let request = request.header("content-type", "application/cbor-seq");
        let mut answer = request.header("accept", "application/cbor").send(bytes)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        if status != 200 {
            self.out.say(&format!("NO {status} whole-batch\n"))?;
            return Ok(Vec::new());
        }
        let (mut answers, mut rest) = (Vec::new(), &body[..]);
        while !rest.is_empty() {
            let (one, after) = cbor::split_first(rest)?;
            answers.push(cbor::decode::<Answer>(one)?);
            rest = after;
        }
        self.out.say(&answers.iter().map(Answer::line).collect::<String>())?;
        Ok(answers)
    }

    /// Persons object to everything, lift it and object again: closing acts by their own lane, opening
    /// ones over what was applied last, state that is replaced.
    fn go_back_and_forth(&self, keys: &[[u8; 32]]) -> Res<()> {
        let people = keys.iter().map(|key| {
            let signer = Ed25519Signer::from_seed(*key);
            Ok((*key, self.own_ppid(key, &signer)?, signer))
        });
        let people = people.collect::<Res<Vec<_>>>()?;
        let object = |round: u64| {
            let items = people.iter().map(|(key, ppid, signer)| sign(&objection(*ppid, key, round), signer));
            items.collect::<Res<Vec<_>>>()
        };
        let objected = self.post(people.len(), &object(0)?.concat())?;
        let over = objected.iter().map(|answer| answer.id.as_ref().map(|id| StatementId(**id)));
        let lifts = people.iter().zip(over).map(|((key, ppid, signer), over)| {
            let lift = ConsentLift {
                v: V1,
                kind: Kind::ConsentLift,
                iat: Clock::System.now(),
                nonce: nonce(key, 1),
                ppid: *ppid,
                by: None,
                over,
                controller: Scope::Any,
                purpose: Scope::Any,
                class: DataClass::RealName,
            };
            sign(&lift.into(), signer)
        });
        let lifts = lifts.collect::<Res<Vec<_>>>()?;
        self.post(people.len(), &lifts.concat())?;
        self.post(people.len(), &object(2)?.concat())?;
        Ok(())
    }

    /// The person's ppid in the log's own domain, by a login of hers.
    fn own_ppid(&self, key: &[u8; 32], signer: &Ed25519Signer) -> Res<Ppid> {
        let iat = Clock::System.now();
        let (origin, nonce) = (self.origin.clone(), nonce(key, 9));
        let login = Login { v: V1, origin, nonce, iat, exp: iat.plus_ms(30_000) };
        let login = URL_SAFE_NO_PAD.encode(login::sign_login(&login, signer)?);
        let form = [("grant_type", "urn:naru:login"), ("login", login.as_str())];
        let mut answer = self.agent.post(format!("{}/oauth/token", self.url)).send_form(form)?;
        let token: serde_json::Value = serde_json::from_slice(&answer.body_mut().read_to_vec()?)?;
        let token = token["access_token"].as_str().ok_or("no token")?;
        let request = self.agent.get(format!("{}/v1/subjects/me/ppids/self", self.url));
        let mut answer = request.header("authorization", format!("Bearer {token}")).call()?;
        let ppid: serde_json::Value = serde_json::from_slice(&answer.body_mut().read_to_vec()?)?;
        Ok(ppid["ppid"].as_str().and_then(Ppid::from_text).ok_or("no ppid")?)
    }
}

fn nonce(key: &[u8; 32], round: u64) -> Nonce {
    let sum = hash::sha256(&[b"nonce", key, &round.to_be_bytes()]);
    Nonce(sum.first_chunk().copied().unwrap_or_default())
}

fn objection(ppid: Ppid, key: &[u8; 32], round: u64) -> Statement {
    ConsentObject {
        v: V1,
        kind: Kind::ConsentObject,
        iat: Clock::System.now(),
        nonce: nonce(key, round),
        ppid,
        by: None,
        controller: Scope::Any,
        purpose: Scope::Any,
        class: DataClass::RealName,
        moved: None,
    }
    .into()
}

fn sign(statement: &Statement, signer: &Ed25519Signer) -> Res<Vec<u8>> {
    Ok(item::sign(statement, signer)?)
}

/// Tells every checkpoint it sees: a served one may never be taken back.
fn watch(url: &str, out: &Out, gone: &AtomicBool) -> Res<()> {
    let (agent, mut last) = (agent(), Vec::new());
    while !gone.load(Ordering::Relaxed) {
        let (status, note) = get(&agent, &format!("{url}/log/checkpoint"))?;
        if status == 200 && note != last {
            out.say(&format!("SEEN {}\n", STANDARD.encode(&note)))?;
            last = note;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

// -------------------------------------------------------------- verify

/// What was promised at one index.
struct Ack {
    id: [u8; 32],
    sum: [u8; 32],
    promise: usize,
    path: Vec<[u8; 32]>,
}

/// What the files say.
#[derive(Default)]
struct Journal {
    acks: HashMap<u64, Ack>,
    promises: Vec<Vec<u8>>,
    notes: HashSet<Vec<u8>>,
    wrong: Vec<String>,
}

impl Journal {
    fn read(files: &[&str]) -> Res<Self> {
        let (mut journal, mut known) = (Self::default(), HashMap::new());
        for file in files {
            for line in std::io::BufReader::new(std::fs::File::open(file)?).lines() {
                let line = line?;
                match line.split(' ').collect::<Vec<_>>().as_slice() {
                    ["ACK", index, id, sum, promise, path] => {
                        let promise = *known.entry((*promise).to_owned()).or_insert_with_key(|text| {
                            journal.promises.push(STANDARD.decode(text).unwrap_or_default());
                            journal.promises.len() - 1
                        });
                        let path = if *path == "-" { Vec::new() } else { STANDARD.decode(path)? };
                        let path = path.as_chunks::<32>().0.to_vec();
                        journal.add(index.parse()?, Ack { id: unhex(id)?, sum: unhex(sum)?, promise, path });
                    }
                    ["SEEN", note] => drop(journal.notes.insert(STANDARD.decode(note)?)),
                    _ => {}
                }
            }
        }
        Ok(journal)
    }

    /// No index has two contents.
    fn add(&mut self, index: u64, ack: Ack) {
        if let Some(other) = self.acks.insert(index, ack)
            && self.acks.get(&index).is_some_and(|ack| ack.sum != other.sum || ack.id != other.id)
        {
            self.wrong.push(format!("index {index} was promised to two entries"));
        }
    }
}

/// The log behind a URL.
struct Log {
    agent: ureq::Agent,
    url: String,
}

impl Log {
    fn tile(&self, path: tile::Path) -> Res<Vec<u8>> {
        match get(&self.agent, &format!("{}/log/{path}", self.url))? {
            (200, bytes) => Ok(bytes),
            (status, _) => Err(format!("{path}: status {status}").into()),
        }
    }

    fn checkpoint(&self, vkey: &Vkey) -> Res<Checkpoint> {
        let (_, note) = get(&self.agent, &format!("{}/log/checkpoint", self.url))?;
        Ok(checkpoint::open(&note, vkey.key(), vkey.name())?)
    }

    /// The newest checkpoint, as soon as it covers `least` entries or no later than patience allows.
    fn newest(&self, vkey: &Vkey, least: u64) -> Res<Checkpoint> {
        let (ready, _) = get(&self.agent, &format!("{}/readyz", self.url))?;
        let patience = if ready == 200 { PATIENCE } else { Duration::ZERO };
        let start = Watch::start();
        loop {
            let head = self.checkpoint(vkey)?;
            if head.size >= least || start.elapsed() > patience {
                return Ok(head);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where a statement stands, published or not.
    fn index_of(&self, id: &[u8; 32]) -> Res<Option<u64>> {
        #[derive(Deserialize)]
        struct Standing {
            index: u64,
        }
        match get(&self.agent, &format!("{}/v1/statements/{}", self.url, hex(id)))? {
            (200, body) => Ok(Some(serde_json::from_slice::<Standing>(&body)?.index)),
            _ => Ok(None),
        }
    }
}

impl Hashes for Log {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        self.tile(tile::Path::Tile { level, index, width }).map_err(tile::Error::Source)
    }
}

/// Every entry from the first bundle that `journal` needs to the end of the log.
fn entries(log: &Log, journal: &Journal, size: u64, wrong: &mut Vec<String>) -> HashMap<u64, Vec<u8>> {
    let first = journal.acks.keys().min().map_or(0, |index| index / 256);
    let mut found = HashMap::new();
    for index in first..size.div_ceil(256) {
        let width = u16::try_from((size - index * 256).min(256)).unwrap_or(tile::WIDTH);
        let read = log.tile(tile::Path::Entries { index, width });
        let read = read.and_then(|bytes| {
            let entries = tile::unbundle(&bytes)?;
            Ok(entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>())
        });
        match read {
            Ok(entries) if entries.len() == usize::from(width) => {
                found.extend((index * 256..).zip(entries));
            }
            Ok(entries) => wrong.push(format!("bundle {index} has {} of {width} entries", entries.len())),
            Err(error) => wrong.push(format!("bundle {index}: {error}")),
        }
    }
    found
}

fn verify(url: &str, vkey: &str, files: &[&str]) -> Res<()> {
    let vkey: Vkey = std::fs::read_to_string(vkey)?.trim().parse()?;
    let mut journal = Journal::read(files)?;
    let mut wrong = std::mem::take(&mut journal.wrong);
    let log = Log { agent: agent(), url: url.to_owned() };
    let least = journal.acks.keys().max().map_or(0, |index| index + 1);
    let head = log.newest(&vkey, least)?;
    let found = entries(&log, &journal, head.size, &mut wrong);
    let promises: Vec<Option<Promise>> = journal
        .promises
        .iter()
        .map(|bytes| promise::open(bytes, vkey.key()).ok().filter(|promise| promise.origin == vkey.name()))
        .collect();
    let (mut lost, mut unpublished) = (Vec::new(), 0u64);
    for (index, ack) in &journal.acks {
        let Some(entry) = found.get(index) else {
            // Not under a checkpoint; it may be there all the same.
            match log.index_of(&ack.id)? {
                Some(place) if place == *index && *index >= head.size => unpublished += 1,
                _ => lost.push(*index),
            }
            continue;
        };
        if hash::sha256(&[entry]) != ack.sum {
            wrong.push(format!("entry {index} has other bytes than were answered"));
        }
        let promise = promises.get(ack.promise).and_then(Option::as_ref);
        if promise.is_none_or(|promise| promise.verify_entry(entry, *index, &ack.path).is_err()) {
            wrong.push(format!("the promise of entry {index} does not hold"));
        }
    }
    // The store's names, for a few of them: an id leads to its index.
    let step = journal.acks.len().div_ceil(16).max(1);
    for (index, ack) in journal.acks.iter().step_by(step) {
        if !lost.contains(index) && log.index_of(&ack.id)? != Some(*index) {
            wrong.push(format!("the statement of entry {index} is not found by its id"));
        }
    }
    for note in &journal.notes {
        if let Err(error) = extends(&log, &vkey, note, &head) {
            wrong.push(format!("a checkpoint seen earlier: {error}"));
        }
    }
    lost.sort_unstable();
    let document = serde_json::json!({
        "size": head.size, "checked": journal.acks.len(), "promises": promises.len(),
        "checkpoints": journal.notes.len(), "lost": lost.len(), "first_lost": lost.first(),
        "unpublished": unpublished, "wrong": wrong.len(), "findings": wrong.iter().take(10).collect::<Vec<_>>(),
    });
    println!("{document}");
    Ok(())
}

/// Whether the log as it is now contains the tree of an older checkpoint.
fn extends(log: &Log, vkey: &Vkey, note: &[u8], head: &Checkpoint) -> Res<()> {
    let old = checkpoint::open(note, vkey.key(), vkey.name())?;
    if old.size > head.size {
        return Err(format!("it is of size {}, the log now of {}", old.size, head.size).into());
    }
    if old.size == 0 {
        return Ok(());
    }
    let same = old.size == head.size;
    let path = if same { Vec::new() } else { merkle::prove_consistency(log, old.size, head.size)? };
    merkle::verify_consistency(old.size, head.size, &old.root, &head.root, &path)?;
    Ok(())
}
