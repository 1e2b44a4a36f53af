//! Consent records with the names of ISO/IEC TS 27560:2023, as the DPV guide maps them.
//!
//! One record a slot: what stands now, and every statement that led there. What
//! the specification has no name for stands in `ext`, so that the rest stays
//! convertible. What the ledger does not know is `null`, never invented.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::SignalAct;
use crate::model::statement::Statement;
use crate::model::vocabulary::DataClass;
use crate::model::vocabulary::Role;
use crate::portability::Error;
use crate::portability::time::duration;
use crate::portability::time::instant;

/// Which version of the record this is.
const SCHEMA: &str = "ISO/IEC TS 27560:2023; urn:naru:consent-record:1";

/// What one statement did. Source: TS 27560 6.3.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The statement.
    pub id: StatementId,
    /// Its place in the log.
    pub index: u64,
    /// When it came into force, ms, exact.
    pub at: Timestamp,
    /// Its type.
    pub kind: &'static str,
    /// In words of the specification.
    pub state: &'static str,
    /// Whom the statement names: her ppid.
    pub ppid: String,
    /// It stands in the log and counted for nothing.
    pub inert: bool,
    /// What she says she said first in another log, as [`moved`] tells it.
    pub moved: Option<Value>,
}

/// Where a statement says it came from: the other log, the statement and its place there.
#[must_use]
pub fn moved(statement: &Statement) -> Option<Value> {
    let moved = statement.moved()?;
    Some(json!({ "log": moved.log, "statement": moved.id.to_string(), "index": moved.index }))
}

/// What the last grant or attestation of a slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When it came into force, ms.
    pub at: Timestamp,
    /// The notice shown: id, SHA-256 of the text shown, its language. None of an attestation.
    pub notice: Option<(String, String, String)>,
    /// Categories of data.
    pub categories: Vec<String>,
    /// What may be done.
    pub actions: Vec<&'static str>,
    /// Where.
    pub jurisdictions: Vec<String>,
    /// To whom.
    pub recipients: Vec<String>,
    /// Collecting and sharing end.
    pub fetch_until: Timestamp,
    /// All the rest ends.
    pub keep_until: Timestamp,
    /// Most uses, if limited.
    pub count: Option<u32>,
    /// Most uses in so many ms, if limited.
    pub frequency: Option<(u32, u64)>,
    /// What was promised in return.
    pub consideration: Option<String>,
    /// Whether it is the controller's word alone.
    pub attested: bool,
}

/// One slot.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Controller, or `*`.
    pub controller: &'a str,
    /// Purpose, or `*`.
    pub purpose: &'a str,
    /// Class of data.
    pub class: DataClass,
    /// Where it stands at the checkpoint.
    pub state: &'a str,
    /// Since when, ms.
    pub since: Timestamp,
    /// What was last granted or attested.
    pub terms: Option<&'a Terms>,
    /// Every statement of the slot, in the order of the log.
    pub events: &'a [Event],
    /// The parties named, as [`Party::value`] makes them.
    pub parties: Vec<Value>,
}

/// What a statement did, in words of the specification; none of a statement without a slot.
#[must_use]
pub const fn event_state(statement: &Statement) -> Option<&'static str> {
    Some(match statement {
        Statement::ConsentGrant(_) | Statement::ConsentAttest(_) => "given",
        Statement::ConsentRefuse(_) => "refused",
        Statement::ConsentWithdraw(_) => "withdrawn",
        Statement::ConsentObject(_) => "objected",
        Statement::ConsentLift(_) => "objection-lifted",
        Statement::ConsentPause(_) => "paused",
        Statement::ConsentResume(_) => "resumed",
        Statement::ConsentDispute(_) => "disputed",
        Statement::ConsentSignal(s) => match s.act {
            SignalAct::Withdraw => "withdrawn",
            SignalAct::Object => "objected",
            SignalAct::Pause => "paused",
            SignalAct::Refuse => "refused",
        },
        _ => return None,
    })
}

/// A party as it is registered. Source: TS 27560 6.3.6.
#[derive(Clone, Copy, Debug)]
pub struct Party<'a> {
    /// Its name in the log.
    pub id: &'a str,
    /// Its name for people: Korean, English.
    pub names: (&'a str, &'a str),
    /// What it is.
    pub roles: &'a [Role],
    /// Where it is established.
    pub jurisdiction: Option<&'a str>,
    /// Who answers for it: name, contact.
    pub office: Option<(&'a str, &'a str)>,
}

impl Party<'_> {
    /// With the names of the specification.
    #[must_use]
    pub fn value(&self) -> Value {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        json!({
            "party_id": self.id, "party_name": self.names.0, "party_role": roles,
            "party_type": "organisation", "party_address": self.jurisdiction,
            "party_contact": self.office.map(|(_, contact)| contact),
            "party_email": null, "party_url": null, "party_phone": null,
            "ext": { "name_en": self.names.1, "office": self.office.map(|(name, _)| name) },
        })
    }
}

impl Record<'_> {
    /// With the names of the specification: one member of the file's `records`.
    #[must_use]
    pub fn value(&self) -> Value {
        let first = self.events.first();
        let terms = self.terms;
        let notice = terms.and_then(|t| t.notice.as_ref());
        let basis = if self.class == DataClass::Anonymous { "opt-out" } else { "dpv:ExpressedConsent" };
        let categories = terms.map_or(&[][..], |t| &t.categories);
        let pii: Vec<_> = categories.iter().map(|c| json!({ "pii_type": c })).collect();
        json!({
            "record": {
                "schema_version": SCHEMA,
                "record_id": first.map(|e| e.id.to_string()),
                "pii_principal_id": first.map(|e| e.ppid.as_str()),
            },
            "pii_processing": {
                "privacy_notice": notice.map(|(id, hash, _)| json!({ "id": id, "sha256": hash })),
                "language": notice.map(|(_, _, locale)| locale),
                "purposes": [{
                    "purpose": self.purpose, "purpose_type": self.purpose, "lawful_basis": basis,
                    "pii_information": pii,
                    "pii_controllers": [self.controller],
                    "processing_method": terms.map(|t| &t.actions),
                    "storage_locations": terms.map(|t| &t.jurisdictions),
                    "retention_period": terms.map(|t| duration(t.keep_until.0.saturating_sub(t.at.0))),
                    "jurisdiction": terms.map(|t| &t.jurisdictions),
                    "recipient_third_parties": terms.map(|t| &t.recipients),
                    "withdrawal_method": "a signed `consent.withdraw`, POST /v1/statements",
                }],
            },
            "party_identification": self.parties,
            "events": self.events.iter().map(|e| self.event(e)).collect::<Vec<_>>(),
            "ext": self.ext(),
        })
    }

    fn event(&self, e: &Event) -> Value {
        let attested = e.kind == "consent.attest";
        let mut ext =
            json!({ "statement": e.id.to_string(), "index": e.index, "type": e.kind, "inert": e.inert });
        if let (Some(moved), Some(ext)) = (&e.moved, ext.as_object_mut()) {
            ext.insert("moved".into(), moved.clone());
        }
        let spans = self.terms.filter(|t| t.at == e.at && e.state == "given");
        json!({
            "event_time": instant(e.at),
            "validity_duration": spans.map(|t| duration(t.fetch_until.max(t.keep_until).0.saturating_sub(e.at.0))),
            "entity_id": e.ppid, "event_type": if attested { "implied" } else { "expressed" },
            "event_state": e.state,
            "ext": ext,
        })
    }

    fn ext(&self) -> Value {
        json!({
            "state": self.state, "since": instant(self.since), "identifiability": self.class.as_str(),
            "fetch_until": self.terms.map(|t| instant(t.fetch_until)),
            "keep_until": self.terms.map(|t| instant(t.keep_until)),
            "usage_limits": self.terms.map(|t| json!({
                "count": t.count,
                "frequency": t.frequency.map(|(max, per)| json!({ "max": max, "per_ms": per })),
            })),
            "consideration": self.terms.and_then(|t| t.consideration.as_deref()),
            "attested": self.terms.is_some_and(|t| t.attested),
        })
    }
}

impl Terms {
    /// What a grant or an attestation says; none of another statement.
    #[must_use]
    pub fn of(statement: &Statement, at: Timestamp) -> Option<Self> {
        match statement {
            Statement::ConsentGrant(s) => Some(Self {
                at,
                notice: Some((s.notice.id.to_string(), s.notice.hash.to_string(), s.notice.locale.clone())),
                categories: s.categories.clone(),
                actions: s.actions.iter().map(|a| a.as_str()).collect(),
                jurisdictions: s.jurisdictions.clone(),
                recipients: s.recipients.iter().map(|r| r.as_str().to_owned()).collect(),
                fetch_until: s.fetch_until,
                keep_until: s.keep_until,
                count: s.limits.as_ref().and_then(|l| l.count),
                frequency: s.limits.as_ref().and_then(|l| l.frequency).map(|f| (f.max, f.per_ms)),
                consideration: s.consideration.clone(),
                attested: false,
            }),
            Statement::ConsentAttest(s) => Some(Self {
                at,
                notice: None,
                categories: s.categories.clone(),
                actions: s.actions.iter().map(|a| a.as_str()).collect(),
                jurisdictions: s.jurisdictions.clone(),
                recipients: s.recipients.iter().map(|r| r.as_str().to_owned()).collect(),
                fetch_until: s.fetch_until,
                keep_until: s.keep_until,
                count: None,
                frequency: None,
                consideration: None,
                attested: true,
            }),
            _ => None,
        }
    }
}

/// The file of all records, one at a time.
#[derive(Debug)]
pub struct Records {
    first: bool,
}

#[derive(Serialize)]
struct Opening<'a> {
    origin: &'a str,
    size: u64,
    as_of: String,
}

impl Records {
    /// Begins the file. `as_of` is the time of the last entry under the checkpoint.
    ///
    /// # Errors
    /// The writer.
    pub fn begin(out: &mut dyn Write, origin: &str, size: u64, as_of: Timestamp) -> Result<Self, Error> {
        let opening = serde_json::to_string(&Opening { origin, size, as_of: instant(as_of) })?;
        write!(out, "{},\"records\":[", opening.trim_end_matches('}'))?;
        Ok(Self { first: true })
    }

    /// Adds a record, as [`Record::value`] makes it.
    ///
    /// # Errors
    /// The writer.
    pub fn push(&mut self, out: &mut dyn Write, record: &Value) -> Result<(), Error> {
        out.write_all(if std::mem::take(&mut self.first) { b"\n" } else { b",\n" })?;
        serde_json::to_writer(out, record)?;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The writer.
    pub fn end(self, out: &mut dyn Write) -> Result<(), Error> {
        Ok(out.write_all(b"\n]}\n")?)
    }
}
