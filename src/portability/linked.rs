//! Consent records as JSON-LD, for services that read the Data Privacy Vocabulary.
//!
//! A rendering of `consents.json`, made from its very values, in the shape of the DPV guide to
//! TS 27560 and with terms that DPV 2.3 has (w3c/dpv at f01a55c3). The context stands inside and
//! names prefixes only: nothing is fetched. DPV has no word for an objection, a pause or a
//! dispute: such an event has the nearest status and says in `dct:description` what it is.
//! An event that counted for nothing is left out. Lacks: uses, evidence.

use std::io::Write;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::portability::Error;

/// Profile of the guide. Source: DPV guide "Consent records: ISO/IEC TS 27560", section on profiles.
const PROFILE: &str = "https://w3id.org/dpv/schema/dpv-27560#record";

/// Prefixes, and nothing that would have to be fetched.
fn context() -> Value {
    json!({
        "dpv": "https://w3id.org/dpv#", "pd": "https://w3id.org/dpv/pd#", "loc": "https://w3id.org/dpv/loc#",
        "dct": "http://purl.org/dc/terms/", "schema": "https://schema.org/",
    })
}

/// The file, one record at a time.
pub struct Linked<'a> {
    out: &'a mut dyn Write,
    first: bool,
}

impl std::fmt::Debug for Linked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").field("first", &self.first).finish_non_exhaustive()
    }
}

impl<'a> Linked<'a> {
    /// Begins the file.
    ///
    /// # Errors
    /// The writer.
    pub fn begin(out: &'a mut dyn Write) -> Result<Self, Error> {
        write!(out, "{{\"@context\":{},\"@graph\":[", context())?;
        Ok(Self { out, first: true })
    }

    /// Adds a record of `consents.json`.
    ///
    /// # Errors
    /// The writer.
    pub fn push(&mut self, record: &Value) -> Result<(), Error> {
        let comma: &[u8] = if std::mem::take(&mut self.first) { b"\n" } else { b",\n" };
        self.out.write_all(comma)?;
        Ok(serde_json::to_writer(&mut *self.out, &node(record))?)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The writer.
    pub fn end(self) -> Result<(), Error> {
        Ok(self.out.write_all(b"\n]}\n")?)
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

fn items<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// A map of what is there.
fn some<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// `None` of a list without members.
fn list(items: impl Iterator<Item = Value>) -> Option<Value> {
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Whether a word is a term by its form; what the person or a party wrote freely is none.
fn is_term(word: &str, prefix: &str) -> bool {
    let name = word.strip_prefix(prefix);
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

/// A term as what it is; another word as a description of such a thing.
fn named(word: &str, prefix: &str, kind: &str) -> Value {
    if is_term(word, prefix) {
        json!({ "@type": [kind, word] })
    } else {
        json!({ "@type": kind, "dct:description": word })
    }
}

fn party(id: &str, kind: &str) -> Value {
    json!({ "@id": format!("urn:naru:party:{id}"), "@type": kind, "dpv:hasIdentifier": id })
}

fn place(code: &str) -> Value {
    let upper = code.to_ascii_uppercase();
    if upper.len() == 2 && upper.bytes().all(|b| b.is_ascii_uppercase()) {
        json!({ "@id": format!("loc:{upper}") })
    } else {
        json!(code)
    }
}

fn node(record: &Value) -> Value {
    let purpose = record.pointer("/pii_processing/purposes/0").unwrap_or(&Value::Null);
    let id = text(record, "/record/record_id");
    let ppid = text(record, "/record/pii_principal_id");
    let controllers = items(purpose, "/pii_controllers").filter_map(Value::as_str).filter(|id| *id != "*");
    let events = items(record, "/events").filter(|e| e.pointer("/ext/inert") != Some(&Value::Bool(true)));
    some([
        ("@id", id.map(|id| json!(format!("urn:naru:statement:{id}")))),
        ("@type", Some(json!("dpv:ConsentRecord"))),
        ("dct:conformsTo", Some(json!({ "@id": PROFILE }))),
        ("dct:identifier", id.map(|id| json!(id))),
        ("dct:description", text(record, "/ext/state").map(|state| json!(state))),
        (
            "dpv:hasDataSubject",
            ppid.map(|ppid| json!({ "@id": format!("urn:naru:ppid:{ppid}"), "@type": "dpv:DataSubject" })),
        ),
        ("dpv:hasDataController", list(controllers.map(|id| controller(record, id)))),
        ("dpv:hasJurisdiction", list(items(purpose, "/jurisdiction").filter_map(Value::as_str).map(place))),
        ("dpv:hasNotice", notice(record)),
        ("dpv:hasProcess", Some(process(record, purpose))),
        ("dpv:hasConsentStatus", list(events.map(status))),
    ])
}

fn controller(record: &Value, id: &str) -> Value {
    let registered = items(record, "/party_identification").find(|p| text(p, "/party_id") == Some(id));
    let said = |path: &str| registered.and_then(|p| text(p, path)).map(|text| json!(text));
    some([
        ("@id", Some(json!(format!("urn:naru:party:{id}")))),
        ("@type", Some(json!("dpv:DataController"))),
        ("dpv:hasIdentifier", Some(json!(id))),
        ("dpv:hasName", said("/party_name")),
        ("dpv:hasAddress", said("/party_address")),
        ("dpv:hasContact", said("/party_contact")),
    ])
}

fn notice(record: &Value) -> Option<Value> {
    let notice = record.pointer("/pii_processing/privacy_notice").filter(|n| !n.is_null())?;
    Some(some([
        ("@id", text(notice, "/id").map(|id| json!(format!("urn:naru:statement:{id}")))),
        ("@type", Some(json!("dpv:ConsentNotice"))),
        ("schema:sha256", text(notice, "/sha256").map(|hash| json!(hash))),
        ("dct:language", text(record, "/pii_processing/language").map(|language| json!(language))),
    ]))
}

fn process(record: &Value, purpose: &Value) -> Value {
    let class = text(record, "/ext/identifiability");
    let kind = if class == Some("pseudonymous") { "dpv:PseudonymisedData" } else { "dpv:PersonalData" };
    let categories = items(purpose, "/pii_information").filter_map(|item| text(item, "/pii_type"));
    let actions = items(purpose, "/processing_method").filter_map(Value::as_str);
    let recipients = items(purpose, "/recipient_third_parties").filter_map(Value::as_str);
    let kept = text(purpose, "/retention_period")
        .map(|span| json!({ "@type": "dpv:StorageDuration", "dpv:hasDuration": span }));
    let places = items(purpose, "/storage_locations").filter_map(Value::as_str);
    let places = places.map(|code| json!({ "@type": "dpv:StorageLocation", "dpv:hasLocation": place(code) }));
    let basis = text(purpose, "/lawful_basis").filter(|basis| is_term(basis, "dpv:"));
    let said = text(purpose, "/purpose").filter(|purpose| *purpose != "*");
    some([
        ("@type", Some(json!("dpv:Process"))),
        ("dpv:hasPurpose", said.map(|word| named(word, "dpv:", "dpv:Purpose"))),
        ("dpv:hasPersonalData", list(categories.map(|word| category(word, kind)))),
        ("dpv:hasProcessing", list(actions.map(processing))),
        ("dpv:hasStorageCondition", list(kept.into_iter().chain(places))),
        ("dpv:hasRecipient", list(recipients.map(|id| party(id, "dpv:Recipient")))),
        ("dpv:hasLegalBasis", basis.map(|basis| json!({ "@id": basis }))),
        (
            "dpv:hasConsentControl",
            text(purpose, "/withdrawal_method")
                .map(|how| json!({ "@type": "dpv:WithdrawConsent", "dct:description": how })),
        ),
        ("dpv:hasRight", Some(json!({ "@type": "dpv:DataSubjectRight", "dct:title": "right to withdraw" }))),
    ])
}

fn category(word: &str, kind: &str) -> Value {
    named(word, if word.starts_with("pd:") { "pd:" } else { "dpv:" }, kind)
}

/// An action of a grant. Source: design §4; DPV 2.3, processing.
fn processing(action: &str) -> Value {
    let term = match action {
        "collect" => "dpv:Collect",
        "use" => "dpv:Use",
        "share" => "dpv:Share",
        "transfer-abroad" => "dpv:CrossBorderTransfer",
        "profile" => "dpv:Profiling",
        "combine" => "dpv:Combine",
        "anonymise" => "dpv:Anonymise",
        other => return json!({ "@type": "dpv:Processing", "dct:description": other }),
    };
    json!({ "@id": term })
}

/// What an event made of the consent.
fn status(event: &Value) -> Value {
    let state = text(event, "/event_state").unwrap_or_default();
    let attested = text(event, "/ext/type") == Some("consent.attest");
    let (term, own) = match state {
        "given" => ("dpv:ConsentGiven", false),
        "refused" => ("dpv:ConsentRefused", false),
        "withdrawn" => ("dpv:ConsentWithdrawn", false),
        "objected" => ("dpv:ConsentRefused", true),
        "resumed" => ("dpv:ConsentStatusValidForProcessing", true),
        "objection-lifted" => ("dpv:ConsentUnknown", true),
        _ => ("dpv:ConsentStatusInvalidForProcessing", true),
    };
    let by = if attested { "dpv:DataController" } else { "dpv:DataSubject" };
    some([
        ("@type", Some(json!(term))),
        ("dct:identifier", text(event, "/ext/statement").map(|id| json!(id))),
        ("dct:description", own.then(|| json!(state))),
        ("dpv:isIndicatedBy", Some(json!({ "@id": by }))),
        ("dpv:isIndicatedAtTime", text(event, "/event_time").map(|time| json!(time))),
        ("dpv:hasDuration", text(event, "/validity_duration").map(|span| json!(span))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Terms of DPV 2.3 that this file may write: looked up one by one in 2.3/dpv/dpv.csv of w3c/dpv.
    const TERMS: &[&str] = &[
        "Anonymise",
        "Collect",
        "Combine",
        "ConsentGiven",
        "ConsentNotice",
        "ConsentRecord",
        "ConsentRefused",
        "ConsentStatusInvalidForProcessing",
        "ConsentStatusValidForProcessing",
        "ConsentUnknown",
        "ConsentWithdrawn",
        "CrossBorderTransfer",
        "DataController",
        "DataSubject",
        "DataSubjectRight",
        "ExpressedConsent",
        "PersonalData",
        "Process",
        "Processing",
        "Profiling",
        "PseudonymisedData",
        "Purpose",
        "Recipient",
        "Share",
        "StorageDuration",
        "StorageLocation",
        "Use",
        "WithdrawConsent",
        "hasAddress",
        "hasConsentControl",
        "hasConsentStatus",
        "hasContact",
        "hasDataController",
        "hasDataSubject",
        "hasDuration",
        "hasIdentifier",
        "hasJurisdiction",
        "hasLegalBasis",
        "hasLocation",
        "hasName",
        "hasNotice",
        "hasPersonalData",
        "hasProcess",
        "hasProcessing",
        "hasPurpose",
        "hasRecipient",
        "hasRight",
        "hasStorageCondition",
        "isIndicatedAtTime",
        "isIndicatedBy",
    ];

    /// Every `dpv:` word of this file's own text.
    fn written() -> Vec<&'static str> {
        let own = include_str!("linked.rs").split("mod tests").next().unwrap();
        let words = own.split("\"dpv:").skip(1).filter_map(|rest| rest.split('"').next());
        words.filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn only_terms_that_dpv_has_are_written() {
        let written = written();
        assert!(written.len() > 40);
        for word in written {
            assert!(TERMS.contains(&word), "dpv:{word}");
        }
    }

    #[test]
    fn a_word_that_is_no_term_becomes_a_description() {
        for word in ["dpv:", "dpv:a b", "dpv:x\"", "javascript:1", "pd:Name", "dpv:한글"] {
            assert_eq!(named(word, "dpv:", "dpv:Purpose")["dct:description"], word);
        }
        assert_eq!(named("dpv:Marketing", "dpv:", "dpv:Purpose")["@type"][1], "dpv:Marketing");
        assert_eq!((place("kr"), place("Korea")), (json!({ "@id": "loc:KR" }), json!("Korea")));
    }
}
