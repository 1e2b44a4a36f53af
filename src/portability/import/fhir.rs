//! A Bundle of HL7 FHIR R4: every resource is an item.
//!
//! Taken from each: which resource it is, its code, when it was, quantities with
//! their units (its own and its components'), status, id, of whom it says so. The
//! digits of a decimal are the source's: in FHIR they say how exact it is. Narrative is
//! left in the original: it is markup.
//!
//! Source: HL7 FHIR R4 (4.0.1), Bundle, Observation, datatypes. Lacks: validation
//! against profiles, NDJSON of Bulk Data, XML.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Amount;
use super::Code;
use super::Item;
use super::Kind;
use super::Label;
use super::MAX_ITEMS;
use super::Refused;
use super::is_decimal;

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Source: value set bundle-type
const TYPES: &[&str] = &[
    "document",
    "message",
    "transaction",
    "transaction-response",
    "batch",
    "batch-response",
    "history",
    "searchset",
    "collection",
];
/// Which element says when, the first that is there: an instant, or where a period begins.
const WHEN: &[&str] = &[
    "effectiveDateTime",
    "effectivePeriod",
    "performedDateTime",
    "performedPeriod",
    "occurrenceDateTime",
    "onsetDateTime",
    "period",
    "authoredOn",
    "recordedDate",
    "date",
    "issued",
    "created",
    "birthDate",
];
/// Elements that hold a CodeableConcept, where they hold one.
const CODES: &[&str] = &["code", "medicationCodeableConcept", "vaccineCode", "valueCodeableConcept"];

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(rename = "resourceType")]
    resource_type: String,
    r#type: String,
    #[serde(default, borrow)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Concept {
    #[serde(default)]
    coding: Vec<Coding>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Coding {
    system: Option<String>,
    code: Option<String>,
    display: Option<String>,
}

#[derive(Deserialize)]
struct Quantity<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    unit: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Component<'a> {
    code: Option<Concept>,
    #[serde(rename = "valueQuantity", borrow)]
    value: Option<Quantity<'a>>,
}

#[derive(Deserialize)]
struct Period {
    start: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    reference: Option<String>,
}

/// What a bundle holds.
pub(super) fn items(text: &str) -> Result<Vec<Item>, Refused> {
    let shape = || Refused::Lies { what: "it is no Bundle of FHIR R4" };
    let bundle: Bundle<'_> = serde_json::from_str(text).map_err(|_| shape())?;
    if bundle.resource_type != "Bundle" || !TYPES.contains(&bundle.r#type.as_str()) {
        return Err(shape());
    }
    if bundle.entry.len() > MAX_ITEMS {
        return Err(Refused::TooMuch);
    }
    let mut items = Vec::new();
    for (at, entry) in bundle.entry.iter().enumerate() {
        let Some(raw) = entry.resource else { continue };
        let resource: Members<'_> = serde_json::from_str(raw.get()).map_err(|_| shape())?;
        let kind: String = element(&resource, "resourceType").ok_or_else(shape)?;
        items.push(item(&kind, &resource, format!("/entry/{at}/resource")));
    }
    Ok(items)
}

/// An element, where it has the shape that is looked for.
fn element<'a, T: Deserialize<'a>>(resource: &Members<'a>, name: &str) -> Option<T> {
    serde_json::from_str(resource.get(name)?.get()).ok()
}

fn item(kind: &str, resource: &Members<'_>, source: String) -> Item {
    let mut item = Item::new(Kind::Resource, source);
    let system = "http://hl7.org/fhir/resource-types".to_owned();
    item.codes.push(Code { system, code: kind.to_owned(), label: None });
    item.when = WHEN.iter().find_map(|name| {
        let said = element::<String>(resource, name);
        said.or_else(|| element::<Period>(resource, name)?.start).filter(|text| is_time(text))
    });
    for name in CODES {
        if let Some(concept) = element::<Concept>(resource, name) {
            take_concept(&mut item, name, concept);
        }
    }
    for name in ["id", "status", "valueString"] {
        let text = element::<String>(resource, name);
        item.labels.extend(text.map(|text| Label { name: name.into(), text }));
    }
    for name in ["subject", "patient"] {
        let whom = element::<Reference>(resource, name).and_then(|r| r.reference);
        item.labels.extend(whom.map(|text| Label { name: name.into(), text }));
    }
    if let Some(quantity) = element::<Quantity<'_>>(resource, "valueQuantity") {
        item.amounts.extend(amount("value".into(), quantity));
    }
    for component in element::<Vec<Component<'_>>>(resource, "component").unwrap_or_default() {
        let name = component.code.and_then(name_of).unwrap_or_else(|| "component".into());
        item.amounts.extend(component.value.and_then(|quantity| amount(name, quantity)));
    }
    item
}

fn take_concept(item: &mut Item, name: &str, concept: Concept) {
    for Coding { system, code, display } in concept.coding {
        let Some(code) = code else { continue };
        item.codes.push(Code { system: system.unwrap_or_default(), code, label: display });
    }
    item.labels.extend(concept.text.map(|text| Label { name: name.into(), text }));
}

/// How a component is called: its text, or what its first code is shown as.
fn name_of(concept: Concept) -> Option<String> {
    let first = concept.coding.into_iter().next();
    concept.text.or_else(|| first.and_then(|coding| coding.display.or(coding.code)))
}

fn amount(name: String, quantity: Quantity<'_>) -> Option<Amount> {
    let value = quantity.value.map(RawValue::get).filter(|digits| is_decimal(digits))?;
    Some(Amount { name, value: value.to_owned(), unit: quantity.unit.or(quantity.code) })
}

/// Whether a text looks like a date, a month, a year or an instant. Source: FHIR R4, dateTime
fn is_time(text: &str) -> bool {
    let date = text.split('T').next().unwrap_or_default();
    let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = date.split('-');
    let year = parts.next().is_some_and(|year| digits(year, 4));
    year && text.len() <= 40 && text.is_ascii() && parts.all(|part| digits(part, 2))
}
