//! The two services of a move: what they show of her, and what the new one is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::audit::moving::Held;
use crate::audit::moving::Here;
use crate::audit::moving::HereNotice;
use crate::audit::moving::Row;
use crate::audit::moving::Step;
use crate::audit::moving::There;
use crate::cli::Exit;
use crate::cli::accepted::Accepted;
use crate::cli::carry;
use crate::cli::client::Answer;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::keygen::draw;
use crate::cli::moving::Args;
use crate::cli::moving::Key;
use crate::cli::open;
use crate::cli::open::LogKey;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::cli::say::is_code;
use crate::cli::submit;
use crate::consent::SlotKey;
use crate::consent::State;
use crate::identity;
use crate::identity::item;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::KeyCreate;
use crate::model::statement::KeyUse;
use crate::model::statement::Kind;
use crate::model::statement::NoticePurpose;
use crate::model::statement::Scope;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::model::vocabulary::DataClass;
use crate::node::clock::Clock;

/// How often a service that is busy is asked again.
const TRIES: u32 = 60;
/// After how long.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::moving) enum Sent {
    /// It was not sent.
    Not,
    /// It stands, `again` if it did before.
    Recorded { id: [u8; 32], index: u64, again: bool },
    /// Refused, or recorded without effect, by this code.
    Refused(String),
}

#[derive(Deserialize)]
struct Own {
    slots: Vec<OwnSlot>,
}

#[derive(Deserialize)]
struct OwnSlot {
    controller: String,
    purpose: String,
    class: DataClass,
    state: String,
    since: u64,
    over: Option<String>,
}

impl OwnSlot {
    fn key(&self) -> SlotKey {
        let (controller, purpose) = (self.controller.clone().into(), self.purpose.clone().into());
        SlotKey { controller, purpose, class: self.class }
    }

    fn over(&self) -> Option<StatementId> {
        self.over.as_deref().and_then(StatementId::from_hex)
    }
}

#[derive(Deserialize)]
struct Notices {
    notices: Vec<Notice>,
}

#[derive(Deserialize)]
struct Notice {
    id: String,
    version: u32,
    texts: Vec<Text>,
    purposes: Vec<NoticePurpose>,
}

#[derive(Deserialize)]
struct Text {
    locale: String,
    hash: String,
}

impl Notice {
    fn read(self) -> Option<HereNotice> {
        let text = |text: Text| Some((Hash::from_hex(&text.hash)?, text.locale));
        Some(HereNotice {
            id: StatementId::from_hex(&self.id)?,
            version: self.version,
            texts: self.texts.into_iter().map(text).collect::<Option<_>>()?,
            purposes: self.purposes,
        })
    }
}

fn strange(what: &str) -> Fail {
    Fail::new(format!("{what} of the other service is not understood"))
        .next("is it of the same version as this program?")
}

/// Slots of hers at the first service that stand otherwise than in the archive.
pub(in crate::cli::moving) fn changed_since(
    url: &str,
    reach: &Reach,
    key: &Path,
    first: &LogKey,
    held: &Held,
) -> Result<usize, Fail> {
    let client = Client::new(url, reach)?;
    let bearer = format!("Bearer {}", carry::token(&client, key, first)?);
    Ok(otherwise(&own(&client, &bearer)?.slots, &held.last().collect(), held.as_of()))
}

/// Slots there that stand otherwise than the last statements of an archive of that instant say.
fn otherwise(there: &[OwnSlot], last: &BTreeMap<&SlotKey, Option<StatementId>>, as_of: Timestamp) -> usize {
    let there: BTreeMap<SlotKey, &OwnSlot> = there.iter().map(|slot| (slot.key(), slot)).collect();
    let other = last.iter().filter(|(key, last)| there.get(**key).is_none_or(|slot| slot.over() != **last));
    // What is past its term is in no archive; what is not older than the archive may not be in it yet.
    let new = there.iter().filter(|(key, slot)| !last.contains_key(key) && as_of <= Timestamp(slot.since));
    other.count() + new.count()
}

fn own(client: &Client, bearer: &str) -> Result<Own, Fail> {
    let answer = client.get_with("v1/subjects/me", &[("authorization", bearer)])?;
    if answer.status != 200 {
        return Err(Fail::new("the service does not show what stands").why(answer.problem()));
    }
    serde_json::from_slice(&answer.body).map_err(|_| strange("the list of slots"))
}

/// The new service, as her.
pub(in crate::cli::moving) struct Desk<'a> {
    args: &'a Args,
    signer: Key<'a>,
    log: LogKey,
    client: Client,
    /// None of somebody who is nobody there yet, in a dry run.
    bearer: Option<String>,
    ppids: BTreeMap<String, Ppid>,
}

impl<'a> Desk<'a> {
    pub(in crate::cli::moving) fn open(args: &'a Args, signer: Key<'a>, held: &Held) -> Result<Self, Fail> {
        let log = open::log_key(&args.new_log_key, None)?;
        if log.origin == held.origin() {
            return Err(Fail::usage("both logs have the same name").why("nothing moves within one log"));
        }
        let client = Client::new(&args.url, &args.reach)?;
        let mut desk = Self { args, signer, log, client, bearer: None, ppids: BTreeMap::new() };
        if args.enrol && !args.dry_run {
            desk.enrol()?;
        }
        match carry::token(&desk.client, &args.key, &desk.log) {
            Ok(token) => desk.bearer = Some(format!("Bearer {token}")),
            Err(fail) if args.enrol && args.dry_run && fail.exit == Exit::Denied => {}
            Err(fail) if fail.exit == Exit::Denied && !args.enrol => {
                return Err(fail.next("`--enrol` makes a person of this key there, if you are none yet"));
            }
            Err(fail) => return Err(fail),
        }
        Ok(desk)
    }

    pub(in crate::cli::moving) fn origin(&self) -> &str {
        &self.log.origin
    }

    /// Makes her there, unless the key stands there already.
    fn enrol(&self) -> Result<(), Fail> {
        let statement: Statement = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat: Clock::System.now(),
            nonce: Nonce(draw::<16>()?),
            key_use: KeyUse::Device,
            recovery: None,
        }
        .into();
        match self.record(&statement)? {
            Sent::Refused(code) if code != "key-taken" => {
                Err(Fail::new("the other log does not make a person of this key")
                    .why(code)
                    .exit(Exit::Denied))
            }
            Sent::Refused(_) | Sent::Recorded { .. } | Sent::Not => Ok(()),
        }
    }

    /// What stands there of her, and what the parties of her slots ask.
    pub(in crate::cli::moving) fn here(&self, held: &Held, accepted: Vec<StatementId>) -> Result<Here, Fail> {
        let mut here = Here { accepted, ..Here::default() };
        if let Some(bearer) = &self.bearer {
            for slot in own(&self.client, bearer)?.slots {
                let state = State::ALL.into_iter().find(|state| state.as_str() == slot.state);
                let state = state.ok_or_else(|| strange("a state"))?;
                here.slots.insert(slot.key(), (state, Timestamp(slot.since)));
            }
        }
        for (key, _) in held.last() {
            let Some(party) = PartyId::parse(key.controller.as_str()) else { continue };
            if here.notices.contains_key(&party) {
                continue;
            }
            let answer = self.client.get(&format!("v1/parties/{party}/notices"))?;
            if answer.status == 404 {
                continue;
            }
            if answer.status != 200 {
                return Err(Fail::new("the service does not show notices").why(answer.problem()));
            }
            let read: Option<Notices> = serde_json::from_slice(&answer.body).ok();
            let read = read.and_then(|read| read.notices.into_iter().map(Notice::read).collect());
            here.notices.insert(party, read.ok_or_else(|| strange("a notice"))?);
        }
        Ok(here)
    }

    /// Says what the rows say, in their order; one answer a row.
    pub(in crate::cli::moving) fn send(
        &mut self,
        held: &Held,
        rows: &[Row],
        say: &Say,
    ) -> Result<Vec<Sent>, Fail> {
        if self.args.dry_run {
            return Ok(vec![Sent::Not; rows.len()]);
        }
        let todo = rows.iter().filter(|row| !matches!(row.step, Step::Leave(_)));
        let bar = say.progress(todo.clone().count() as u64, "statements");
        // All names first: a session is short.
        for row in todo {
            self.name(&row.slot.controller)?;
        }
        let mut sent = Vec::new();
        for row in rows {
            let Some(&ppid) = self.ppids.get(row.slot.controller.as_str()) else {
                sent.push(Sent::Not);
                continue;
            };
            sent.push(match row.step {
                Step::Leave(_) => Sent::Not,
                Step::Close(_) | Step::Grant(_) => {
                    let there = There { origin: &self.log.origin, ppid, now: Clock::System.now() };
                    let statement = held.statement(row, &there).map_err(Fail::new)?;
                    bar.inc(1);
                    self.record(&statement)?
                }
            });
        }
        bar.finish_and_clear();
        Ok(sent)
    }

    /// Learns her name in a controller's domain, or in the log's own.
    fn name(&mut self, controller: &Scope) -> Result<(), Fail> {
        let name = controller.as_str();
        if self.ppids.contains_key(name) {
            return Ok(());
        }
        let bearer = self.bearer.as_deref().unwrap_or_default();
        let domain = if *controller == Scope::Any { "self" } else { name };
        let path = format!("v1/subjects/me/ppids/{domain}");
        let answer = self.client.get_with(&path, &[("authorization", bearer)])?;
        let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
        let ppid = json.as_ref().and_then(|json| json.get("ppid")).and_then(Value::as_str);
        let ppid = ppid.and_then(Ppid::from_text).ok_or_else(|| {
            Fail::new(format!("the service does not name you to `{name}`")).why(answer.problem())
        })?;
        self.ppids.insert(name.to_owned(), ppid);
        Ok(())
    }

    fn record(&self, statement: &Statement) -> Result<Sent, Fail> {
        let signed = item::sign(statement, self.signer).map_err(Fail::new)?;
        let kept = self.keep(&signed)?;
        let answer = self.post(&signed)?;
        if !matches!(answer.status, 200 | 201) {
            return match code(&answer) {
                Some(code) if matches!(answer.status, 400 | 403 | 409) => Ok(Sent::Refused(code)),
                _ => Err(Fail::new("the other service does not take it in")
                    .why(answer.problem())
                    .next("run it again: what stands there already is not said twice")),
            };
        }
        let place = (self.args.url.as_str(), &self.args.reach);
        let accepted = submit::checked(&answer.body, &signed, &self.log, place)?.map_err(|why| {
            Fail::new("an answer of the other service does not hold").why(why).exit(Exit::Tampered)
        })?;
        if let Some(path) = kept {
            submit::keep(&path, &answer.body)?;
        }
        let Accepted { id, index, inert, .. } = accepted;
        Ok(inert.map_or(Sent::Recorded { id, index, again: answer.status == 200 }, Sent::Refused))
    }

    /// The signed item, where it is kept: by its id, so that a second run finds it.
    fn keep(&self, signed: &[u8]) -> Result<Option<PathBuf>, Fail> {
        let Some(folder) = &self.args.keep else { return Ok(None) };
        std::fs::create_dir_all(folder).map_err(|cause| Fail::file(folder, cause))?;
        let id = identity::open(signed).map_err(Fail::new)?.id();
        let path = folder.join(format!("{}.cbor", hex(&id.0)));
        if !path.exists() {
            write_new(&path, signed, Mode::Secret)?;
        }
        Ok(Some(path))
    }

    fn post(&self, signed: &[u8]) -> Result<Answer, Fail> {
        let headers = [("accept", "application/cbor")];
        for _ in 1..TRIES {
            let answer = self.client.post("v1/statements", "application/cose", &headers, signed)?;
            if !matches!(answer.status, 429 | 503) {
                return Ok(answer);
            }
            thread::sleep(PAUSE);
        }
        self.client.post("v1/statements", "application/cose", &headers, signed)
    }
}

/// The stable code of a problem.
fn code(answer: &Answer) -> Option<String> {
    let json: Value = serde_json::from_slice(&answer.body).ok()?;
    json.get("code").and_then(Value::as_str).filter(|code| is_code(code)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(purpose: &str, since: u64, over: u8) -> OwnSlot {
        OwnSlot {
            controller: "bank".into(),
            purpose: purpose.into(),
            class: DataClass::RealName,
            state: "granted".into(),
            since,
            over: Some(StatementId([over; 32]).to_string()),
        }
    }

    #[test]
    fn a_slot_of_the_archive_s_own_instant_is_new_and_an_older_one_is_past_its_term() {
        let (known, key) = (slot("p", 5, 1), slot("p", 5, 1).key());
        let last = BTreeMap::from([(&key, Some(StatementId([1; 32])))]);
        let count = |slots: &[OwnSlot]| otherwise(slots, &last, Timestamp(9));
        assert_eq!(count(&[known]), 0);
        assert_eq!(count(&[slot("p", 9, 2)]), 1);
        assert_eq!(count(&[]), 1);
        for (since, new) in [(8, 0), (9, 1), (10, 1)] {
            assert_eq!(count(&[slot("p", 5, 1), slot("q", since, 3)]), new, "{since}");
        }
    }
}
