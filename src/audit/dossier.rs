//! A dossier's evidence, checked offline: the log's key is all that is trusted.
//!
//! What holds afterwards: the flag stands in the log and was signed by whoever signed the
//! use batches of its lines; the finding is the one it names; each line it quotes was kept,
//! by this asker, at that time; the lines marked as signed were signed by the key the accused
//! had at the line's own index, over a request that asks what the line says; each step stands
//! in the log, and what the accused did in it is signed by its key of that index. The keys come
//! from the public statements that registered the accused and replaced its keys, each signed
//! by the key before. The provisions, with their ranges, are those that packs say which the log
//! named by SHA-256. What a regulator makes of it is not checked: the rest are words.
//!
//! Lacks: whether lines are missing, whether a later change of keys or another pack in force was
//! left out (`audit` replays the public log), and the documents of the steps, which are named by
//! hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::audit::decision;
use crate::identity;
use crate::identity::Verified;
use crate::identity::request;
use crate::identity::request::Signed;
use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::evidence;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::pack::Pack;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::Strength;
use crate::model::vocabulary::DataClass;
use crate::reidentification::Finding;
use crate::reidentification::Noted;
use crate::reidentification::dossier::FORMAT;
use crate::reidentification::dossier::provisions;

/// Why a dossier does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member is missing or of another kind.
    #[error("`{place}` is missing or not as a dossier has it")]
    Shape {
        /// Which.
        place: String,
    },
    /// It says one thing and its evidence another.
    #[error("`{place}` is not what the evidence says")]
    Differs {
        /// Which.
        place: String,
    },
    /// Evidence of a statement does not hold.
    #[error("{place}: {error}")]
    Statement {
        /// Which.
        place: String,
        /// Why.
        error: evidence::Error,
    },
    /// A signature does not hold.
    #[error("{place}: {error}")]
    Signature {
        /// Which.
        place: String,
        /// Why.
        error: identity::Error,
    },
    /// Evidence of a line does not hold.
    #[error("{place}: {error}")]
    Line {
        /// Which.
        place: String,
        /// Why.
        error: decision::Error,
    },
    /// A line marked as signed is not.
    #[error("{place}: {error}")]
    Request {
        /// Which.
        place: String,
        /// Why.
        error: request::Error,
    },
    /// The finding is no finding.
    #[error("the finding: {0}")]
    Finding(#[from] cbor::Error),
}

/// What holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The incident, hex.
    pub incident: String,
    /// What was found.
    pub finding: Finding,
    /// Who signed flag and batches: compare with the operator's key in genesis.
    pub operator: KeyHash,
    /// The accused's keys in order, the one it was registered with first.
    pub accused: Vec<KeyHash>,
    /// Lines proven.
    pub proven: u64,
    /// Lines proven whose request the accused signed itself.
    pub signed: u64,
    /// Lines quoted without evidence.
    pub unproven: u64,
}

/// What all evidence in a dossier is checked against.
struct Log<'a> {
    key: &'a dyn LogKeys,
    origin: &'a str,
    grain_ms: Option<u64>,
}

/// A statement in the log.
struct Stated {
    verified: Verified<Statement>,
    index: LeafIndex,
    /// Public time, ms.
    t: u64,
    /// Exact time, if it is sealed.
    at: Option<u64>,
}

/// A key of the accused, and the statement that brought it.
struct Held {
    key: PublicKey,
    index: LeafIndex,
    /// Public time of the statement, ms.
    t: u64,
}

/// The accused's keys, in order.
struct Keys(Vec<Held>);

impl Keys {
    /// The key while the log had so many entries. None as of an index that was long past at that time:
    /// or a key that was given up could still sign.
    fn as_of(&self, entries: TreeSize, at: Option<Timestamp>) -> Option<&PublicKey> {
        let place = self.0.iter().rposition(|held| held.index < entries)?;
        let stale = |next: &Held| at.is_some_and(|at| at.0 > next.t.saturating_add(request::SKEW_MS));
        if self.0.get(place.saturating_add(1)).is_some_and(stale) {
            return None;
        }
        self.0.get(place).map(|held| &held.key)
    }
}

/// Checks a dossier.
///
/// # Errors
/// Every variant.
pub fn verify(
    dossier: &Value,
    key: &dyn LogKeys,
    origin: &str,
    grain_ms: Option<u64>,
) -> Result<Checked, Error> {
    let log = Log { key, origin, grain_ms };
    must(text(dossier, "/format")? == FORMAT, "/format")?;
    must(text(dossier, "/origin")? == origin, "/origin")?;
    let finding = Finding::parse(&decoded(dossier, "/finding")?)?;
    let operator = flag(dossier, &finding, &log)?;
    facts(dossier, &finding)?;
    let accused = accused(dossier, &finding, (&log, operator))?;
    let (mut proven, mut signed, mut unproven) = (0, 0, 0);
    let lines = array(dossier, "/lines")?;
    must(lines.len() == finding.lines.len(), "/lines")?;
    for (n, (line, noted)) in lines.iter().zip(&finding.lines).enumerate() {
        match one_line(line, noted, &finding, (&log, &accused, operator), &format!("/lines/{n}"))? {
            true => proven += 1,
            false => unproven += 1,
        }
        signed += u64::from(noted.signed && !line.pointer("/evidence").is_none_or(Value::is_null));
    }
    // A strong finding rests on what the accused signed.
    must(finding.strength == Strength::S || signed > 0, "/facts/strength")?;
    let packs = packs(dossier, &finding, (&log, operator))?;
    let made = provisions(&finding, &packs.iter().collect::<Vec<_>>());
    must(*array(dossier, "/provisions")? == made, "/provisions")?;
    for (n, step) in array(dossier, "/steps")?.iter().enumerate() {
        one_step(step, dossier, (&log, &accused), &format!("/steps/{n}"))?;
    }
    Ok(Checked {
        incident: text(dossier, "/incident")?.to_owned(),
        finding,
        operator,
        accused: accused.0.iter().map(|held| KeyHash(held.key.hash())).collect(),
        proven,
        signed,
        unproven,
    })
}

/// The flag: in the log, and of this finding. Answers who signed it.
fn flag(dossier: &Value, finding: &Finding, log: &Log<'_>) -> Result<KeyHash, Error> {
    let Stated { verified, at, .. } = statement(dossier, "/flag", log)?;
    let Statement::IncidentFlag(flag) = verified.value() else {
        return Err(Error::Differs { place: "/flag".into() });
    };
    must(flag.incident.to_string() == text(dossier, "/incident")?, "/incident")?;
    must(flag.party == finding.party, "/flag")?;
    must(flag.detector == finding.detector.as_str() && flag.strength == finding.strength, "/flag")?;
    let document = decoded(dossier, "/finding")?;
    must(flag.evidence.first().map(|h| h.0) == Some(hash::sha256(&[&document])), "/finding")?;
    must(at == Some(number(dossier, "/facts/flagged_at")?), "/facts/flagged_at")?;
    Ok(verified.signer())
}

/// What the dossier says in words of the finding is what the finding says.
fn facts(dossier: &Value, finding: &Finding) -> Result<(), Error> {
    let strength = match finding.strength {
        Strength::D => "D",
        Strength::S => "S",
    };
    let texts = [
        ("/accused/id", finding.party.as_str()),
        ("/facts/detector", finding.detector.as_str()),
        ("/facts/strength", strength),
        ("/facts/about", &finding.about),
    ];
    for (place, said) in texts {
        must(text(dossier, place)? == said, place)?;
    }
    let numbers =
        [("/facts/day", finding.day), ("/facts/count", finding.count), ("/facts/persons", finding.persons)];
    for (place, said) in numbers {
        must(number(dossier, place)? == said, place)?;
    }
    let class = dossier.pointer("/facts/class").and_then(Value::as_str);
    must(class == finding.class.map(DataClass::as_str), "/facts/class")?;
    let joined = dossier.pointer("/facts/nothing_joined").and_then(Value::as_bool);
    must(joined == Some(finding.established), "/facts/nothing_joined")
}

/// The accused's keys, from the statement that registered it and those that replaced a key.
fn accused(dossier: &Value, finding: &Finding, (log, operator): (&Log<'_>, KeyHash)) -> Result<Keys, Error> {
    let place = "/accused/registered";
    let Stated { verified, index, t, .. } = statement(dossier, place, log)?;
    let (spki, country) = match verified.value() {
        Statement::PartyRegister(s) if s.party == finding.party => {
            must(verified.signed().endorsers.first() == Some(&operator), place)?;
            (verified.spkis().first().map(Vec::as_slice), Some(s.jurisdiction.as_str()))
        }
        Statement::LogCreate(s) => {
            let first = s.regulators.iter().find(|r| r.id == finding.party);
            (first.map(|r| r.spki.as_slice()), None)
        }
        _ => (None, None),
    };
    must(
        dossier.pointer("/accused/jurisdiction").and_then(Value::as_str) == country,
        "/accused/jurisdiction",
    )?;
    let mut keys = vec![Held { key: key(spki, place)?, index, t }];
    for n in 0..array(dossier, "/accused/rotated")?.len() {
        let place = format!("/accused/rotated/{n}");
        let Stated { verified, index, t, .. } = statement(dossier, &place, log)?;
        let differs = || Error::Differs { place: place.clone() };
        let last = keys.last().ok_or_else(differs)?;
        let Statement::PartyRotate(s) = verified.value() else { return Err(differs()) };
        let endorsers = &verified.signed().endorsers;
        let follows = s.party == finding.party
            && index > last.index
            && verified.signer().0 == last.key.hash()
            && endorsers.first() == Some(&operator)
            && endorsers.get(1) == Some(&s.new);
        must(follows, &place)?;
        keys.push(Held { key: key(verified.spkis().get(2).map(Vec::as_slice), &place)?, index, t });
    }
    Ok(Keys(keys))
}

fn key(spki: Option<&[u8]>, place: &str) -> Result<PublicKey, Error> {
    let differs = || Error::Differs { place: place.to_owned() };
    PublicKey::from_spki(spki.ok_or_else(differs)?).map_err(|_| differs())
}

/// The packs, from bytes whose hash the log names, in force at the first line.
fn packs(
    dossier: &Value,
    finding: &Finding,
    (log, operator): (&Log<'_>, KeyHash),
) -> Result<Vec<Pack>, Error> {
    let list = array(dossier, "/packs")?;
    let mut packs = Vec::<Pack>::with_capacity(list.len());
    for (n, law) in list.iter().enumerate() {
        let place = format!("/packs/{n}");
        let Stated { verified, .. } = statement(law, "/named", log)?;
        let bytes = decoded(law, "/bytes")?;
        let hash = hash::sha256(&[&bytes]);
        let (name, version) = (text(law, "/pack")?, number(law, "/version")?);
        let is = |n: &str, v: u32, h: &Hash| n == name && u64::from(v) == version && h.0 == hash;
        let named = match verified.value() {
            Statement::LogCreate(s) => s.packs.iter().any(|p| is(&p.name, p.version, &p.hash)),
            Statement::PackAdopt(s) => {
                let in_force = finding.first().is_some_and(|at| s.from <= at);
                verified.signer() == operator && in_force && is(&s.pack, s.version, &s.hash)
            }
            _ => false,
        };
        must(named && Hash(hash).to_string() == text(law, "/sha256")?, &place)?;
        let pack = std::str::from_utf8(&bytes).ok().and_then(|text| Pack::parse(text).ok());
        let pack = pack.ok_or_else(|| shape(&place))?;
        let fits = **pack.name() == *name
            && u64::from(pack.version()) == version
            && finding.first().is_some_and(|at| pack.holds_at(at))
            && packs.iter().all(|other| other.name() != pack.name());
        must(fits, &place)?;
        packs.push(pack);
    }
    Ok(packs)
}

/// One line; `false` if it carries no evidence.
fn one_line(
    line: &Value,
    noted: &Noted,
    finding: &Finding,
    (log, accused, operator): (&Log<'_>, &Keys, KeyHash),
    place: &str,
) -> Result<bool, Error> {
    let differs = || Error::Differs { place: place.to_owned() };
    let same = text(line, "/decision")? == noted.id.to_string()
        && number(line, "/at")? == noted.at.0
        && line.pointer("/signed").and_then(Value::as_bool) == Some(noted.signed)
        && line.pointer("/domain").and_then(Value::as_str) == noted.domain.as_ref().map(|d| d.as_str());
    if !same {
        return Err(differs());
    }
    if line.pointer("/evidence").is_none_or(Value::is_null) {
        return Ok(false);
    }
    let wrong = |error| Error::Line { place: place.to_owned(), error };
    let evidence = decision::Evidence::parse(&decoded(line, "/evidence")?).map_err(wrong)?;
    let proven = evidence.verify(log.key, log.origin, log.grain_ms).map_err(wrong)?;
    let said = proven.line;
    let about = said.release.as_deref().or(said.purpose.as_deref()).unwrap_or("-");
    if said.id != noted.id
        || said.at != noted.at
        || said.asker != finding.party
        || about != finding.about
        || proven.signer != operator
    {
        return Err(differs());
    }
    if noted.signed {
        let wrong = |error| Error::Request { place: place.to_owned(), error };
        let kept = said.signed.as_ref().ok_or_else(differs)?;
        let key = accused.as_of(said.as_of, Some(said.at)).ok_or_else(differs)?;
        Signed::parse(kept).and_then(|signed| signed.verify_line(key, &said)).map_err(wrong)?;
    }
    Ok(true)
}

fn one_step(
    step: &Value,
    dossier: &Value,
    (log, accused): (&Log<'_>, &Keys),
    place: &str,
) -> Result<(), Error> {
    let Stated { verified, at, index, .. } = statement(step, "/evidence", log)?;
    let (incident, by, document) =
        verified.value().incident().ok_or_else(|| Error::Differs { place: place.to_owned() })?;
    let answers = verified.value().kind() == Kind::IncidentAnswer;
    let own = || accused.as_of(index, None).is_some_and(|key| key.hash() == verified.signer().0);
    let said = by.as_str() == text(step, "/by")?
        && (!answers || own())
        && incident.to_string() == text(dossier, "/incident")?
        && document.map(|hash| hash.to_string()).as_deref() == Some(text(step, "/document")?)
        && verified.value().kind().as_str() == text(step, "/type")?
        && verified.id().to_string() == text(step, "/statement")?
        && at == Some(number(step, "/at")?);
    must(said, place)
}

/// A statement with its evidence and its signatures.
fn statement(of: &Value, place: &str, log: &Log<'_>) -> Result<Stated, Error> {
    let wrong = |error| Error::Statement { place: place.to_owned(), error };
    let evidence = evidence::Evidence::parse(&decoded(of, place)?).map_err(wrong)?;
    let opened = evidence.verify(log.key, log.origin, log.grain_ms).map_err(wrong)?;
    let item = opened.item.as_deref().ok_or_else(|| Error::Shape { place: place.to_owned() })?;
    let verified =
        identity::open(item).map_err(|error| Error::Signature { place: place.to_owned(), error })?;
    Ok(Stated { verified, index: opened.index, t: opened.t, at: opened.at })
}

fn must(holds: bool, place: &str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Differs { place: place.to_owned() }) }
}

fn shape(place: &str) -> Error {
    Error::Shape { place: place.to_owned() }
}

fn text<'a>(of: &'a Value, place: &str) -> Result<&'a str, Error> {
    of.pointer(place).and_then(Value::as_str).ok_or_else(|| shape(place))
}

fn number(of: &Value, place: &str) -> Result<u64, Error> {
    of.pointer(place).and_then(Value::as_u64).ok_or_else(|| shape(place))
}

fn array<'a>(of: &'a Value, place: &str) -> Result<&'a Vec<Value>, Error> {
    of.pointer(place).and_then(Value::as_array).ok_or_else(|| shape(place))
}

fn decoded(of: &Value, place: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(text(of, place)?).map_err(|_| shape(place))
}
