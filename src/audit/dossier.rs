//! A dossier's evidence, checked offline: the log's key is all that is trusted.
//!
//! What holds afterwards: the flag stands in the log and was signed by whoever signed the
//! use batches of its lines; the finding is the one it names; each line it quotes was kept,
//! by this asker, at that time; the lines marked as signed were signed by the accused's
//! registered key over a request that asks what the line says; each step stands in the log,
//! signed by a key of the log's. What a regulator makes of it is not checked: the provisions
//! are lines of packs that the log publishes, and the rest are words.
//!
//! Lacks: whether lines are missing, whether the packs are those in force (`audit` replays
//! them), and the documents of the steps, which are named by hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::audit::decision;
use crate::identity;
use crate::identity::Verified;
use crate::identity::request;
use crate::identity::request::Signed;
use crate::ledger::cbor;
use crate::ledger::evidence;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::model::id::KeyHash;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::Strength;
use crate::model::vocabulary::DataClass;
use crate::reidentification::Finding;
use crate::reidentification::Noted;
use crate::reidentification::dossier::FORMAT;

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
    /// The accused's registered key.
    pub accused: KeyHash,
    /// Lines proven.
    pub proven: u64,
    /// Lines proven whose request the accused signed itself.
    pub signed: u64,
    /// Lines quoted without evidence.
    pub unproven: u64,
}

/// What all evidence in a dossier is checked against.
struct Log<'a> {
    key: &'a PublicKey,
    origin: &'a str,
    grain_ms: Option<u64>,
}

/// Checks a dossier.
///
/// # Errors
/// Every variant.
pub fn verify(
    dossier: &Value,
    key: &PublicKey,
    origin: &str,
    grain_ms: Option<u64>,
) -> Result<Checked, Error> {
    let log = Log { key, origin, grain_ms };
    must(text(dossier, "/format")? == FORMAT, "/format")?;
    must(text(dossier, "/origin")? == origin, "/origin")?;
    let finding = Finding::parse(&decoded(dossier, "/finding")?)?;
    let operator = flag(dossier, &finding, &log)?;
    facts(dossier, &finding)?;
    let accused = accused(dossier, &finding, &log)?;
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
    for (n, step) in array(dossier, "/steps")?.iter().enumerate() {
        one_step(step, dossier, (&log, &accused), &format!("/steps/{n}"))?;
    }
    Ok(Checked {
        incident: text(dossier, "/incident")?.to_owned(),
        finding,
        operator,
        accused: KeyHash(accused.hash()),
        proven,
        signed,
        unproven,
    })
}

/// The flag: in the log, and of this finding. Answers who signed it.
fn flag(dossier: &Value, finding: &Finding, log: &Log<'_>) -> Result<KeyHash, Error> {
    let (verified, at) = statement(dossier, "/flag", log)?;
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

/// The accused's key, from the statement that registered it.
fn accused(dossier: &Value, finding: &Finding, log: &Log<'_>) -> Result<PublicKey, Error> {
    let place = "/accused/registered";
    let (verified, _) = statement(dossier, place, log)?;
    let differs = || Error::Differs { place: place.into() };
    let spki = match verified.value() {
        Statement::PartyRegister(s) if s.party == finding.party => {
            let keys = verified.spkis().iter();
            keys.clone().find(|spki| hash::sha256(&[spki]) == verified.signer().0).cloned()
        }
        Statement::LogCreate(s) => {
            s.regulators.iter().find(|r| r.id == finding.party).map(|r| r.spki.to_vec())
        }
        _ => None,
    };
    PublicKey::from_spki(&spki.ok_or_else(differs)?).map_err(|_| differs())
}

/// One line; `false` if it carries no evidence.
fn one_line(
    line: &Value,
    noted: &Noted,
    finding: &Finding,
    (log, accused, operator): (&Log<'_>, &PublicKey, KeyHash),
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
        Signed::parse(kept).and_then(|signed| signed.verify_line(accused, &said)).map_err(wrong)?;
    }
    Ok(true)
}

fn one_step(
    step: &Value,
    dossier: &Value,
    (log, accused): (&Log<'_>, &PublicKey),
    place: &str,
) -> Result<(), Error> {
    let (verified, at) = statement(step, "/evidence", log)?;
    let (incident, by, document) =
        verified.value().incident().ok_or_else(|| Error::Differs { place: place.to_owned() })?;
    let answers = verified.value().kind() == Kind::IncidentAnswer;
    let said = by.as_str() == text(step, "/by")?
        && (!answers || verified.signer().0 == accused.hash())
        && incident.to_string() == text(dossier, "/incident")?
        && document.map(|hash| hash.to_string()).as_deref() == Some(text(step, "/document")?)
        && verified.value().kind().as_str() == text(step, "/type")?
        && verified.id().to_string() == text(step, "/statement")?
        && at == Some(number(step, "/at")?);
    must(said, place)
}

/// A statement with its evidence and its signatures, and its exact time if it is sealed.
fn statement(of: &Value, place: &str, log: &Log<'_>) -> Result<(Verified<Statement>, Option<u64>), Error> {
    let wrong = |error| Error::Statement { place: place.to_owned(), error };
    let evidence = evidence::Evidence::parse(&decoded(of, place)?).map_err(wrong)?;
    let opened = evidence.verify(log.key, log.origin, log.grain_ms).map_err(wrong)?;
    let item = opened.item.as_deref().ok_or_else(|| Error::Shape { place: place.to_owned() })?;
    let verified =
        identity::open(item).map_err(|error| Error::Signature { place: place.to_owned(), error })?;
    Ok((verified, opened.at))
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
