//! The shapes of JSON bodies and parameters, as JSON Schema 2020-12.
//!
//! Answers are closed: a member that is not here is a fault of the server. Questions
//! are open where AuthZEN says that unknown members are ignored.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::http::openapi::arrival;
use crate::http::openapi::owed;
use crate::http::openapi::person;
use crate::http::openapi::source;
use crate::http::sort;
use crate::model::decision::Reason;
use crate::model::decision::Why;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Stop;

/// All shapes by name.
pub(super) fn all() -> Map<String, Value> {
    let groups = [
        words(),
        numbers(),
        statements(),
        uses(),
        exceptions(),
        rest(),
        questions(),
        searches(),
        decisions(),
        requests(),
        person::notices(),
        person::own(),
        person::transfers(),
        source::deposits(),
        arrival::shapes(),
        owed::duties(),
        owed::rights(),
        owed::value(),
        incidents(),
        feeds(),
    ];
    groups
        .into_iter()
        .filter_map(|group| if let Value::Object(map) = group { Some(map) } else { None })
        .flatten()
        .collect()
}

pub(super) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub(super) fn list(name: &str) -> Value {
    json!({ "type": "array", "items": of(name) })
}

/// An object with these members, those after `?` optional, and no others.
pub(super) fn closed(members: &[(&str, Value)]) -> Value {
    object(members, false)
}

/// The same, with room for more; `null` is as good as absent.
fn open(members: &[(&str, Value)]) -> Value {
    let mut members = members.to_vec();
    for (_, shape) in members.iter_mut().filter(|(name, _)| name.starts_with('?')) {
        *shape = json!({ "anyOf": [shape, { "type": "null" }] });
    }
    object(&members, true)
}

fn object(members: &[(&str, Value)], more: bool) -> Value {
    let name = |name: &str| name.trim_start_matches('?').to_owned();
    let needed: Vec<&str> = members.iter().map(|(n, _)| *n).filter(|n| !n.starts_with('?')).collect();
    let members: Map<String, Value> = members.iter().map(|(n, shape)| (name(n), shape.clone())).collect();
    json!({ "type": "object", "properties": members, "required": needed, "additionalProperties": more })
}

fn text(pattern: &str, help: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": help })
}

pub(super) fn one_of(words: impl IntoIterator<Item = &'static str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn words() -> Value {
    let actions = Action::ALL.iter().map(|action| AskedAction::Grantable(*action).as_str());
    json!({
        "StatementId": text("^[0-9a-f]{64}$", "Id of a statement: over its bytes and its signer."),
        "DecisionId": text("^[0-9a-f]{32}$", "Name of a decision and of its use line."),
        "JobId": text("^[0-9a-f]{32}$", "Name of a job."),
        "Hash": text("^[0-9a-f]{64}$", "SHA-256."),
        "Base64url": text("^[A-Za-z0-9_-]*$", "Bytes, without padding."),
        "Ppid": text("^ppid_[0-9a-f]{32}$", "A person's name in one party's domain."),
        "PartyId": text("^[a-z0-9][a-z0-9.-]{0,63}$", "Name of a party."),
        "Purpose": { "type": "string", "maxLength": 256, "description": "A term of DPV: `dpv:Marketing`." },
        "Categories": { "type": "string", "description": "Terms of DPV-PD, separated by commas." },
        "Category": { "type": "string", "maxLength": 256, "description": "A term of DPV-PD: `pd:Income`." },
        "AgeRecipient": { "type": "string", "pattern": "^age1[02-9ac-hj-np-z]{58}$" },
        "Certificate": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,10923}$" },
        "CmsCipher": one_of(["aes-256-gcm", "aria-256-gcm"].into_iter()),
        "Jwk": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,2731}$" },
        "Text": { "type": "string", "maxLength": 256 },
        "TilePath": text("^[0-9a-z./]+$", "Only the canonical spelling is served."),
        "Code": one_of(sort::ALL.iter().map(|sort| sort.code)),
        "Why": one_of(Why::ALL.iter().map(|why| why.as_str())),
        "Reason": one_of(Reason::ALL.iter().map(|reason| reason.as_str())),
        "DataClass": one_of(DataClass::ALL.iter().map(|class| class.as_str())),
        "AskedAction": one_of(actions.chain(["link", "match", "reidentify"])),
        "Stop": one_of(Stop::ALL.iter().map(|stop| stop.as_str())),
        "Wait": one_of(["receipt"]),
        "Capacity": one_of(["controller", "processor", "recipient"]),
        "JustificationStanding": one_of(["overdue", "late", "waiting", "justified"]),
    })
}

fn numbers() -> Value {
    let count = |help: &str| json!({ "type": "integer", "minimum": 0, "description": help });
    json!({
        "Index": count("Place in the log, from 0."),
        "Count": count("How many."),
        "Ms": {
            "type": "integer", "minimum": 0, "maximum": Timestamp::LAST.0,
            "description": "Milliseconds since 1970, until the end of the year 9999.",
        },
        "Seconds": count("Seconds."),
        "Limit": { "type": "integer", "minimum": 1, "maximum": 1000 },
        "Status": { "type": "integer", "minimum": 200, "maximum": 599 },
    })
}

fn statements() -> Value {
    let erasure = closed(&[("at", of("Ms")), ("index", of("Index")), ("backups", of("Ms"))]);
    let held = closed(&[("regulator", of("PartyId")), ("until", of("Ms")), ("records", list("StatementId"))]);
    let recorded = [
        ("id", of("StatementId")),
        ("index", of("Index")),
        ("at", of("Ms")),
        ("entry", of("Base64url")),
        ("?k1", of("Base64url")),
        ("?k2", of("Base64url")),
        ("?address", json!({ "type": "string" })),
        ("?erasure", erasure),
        ("?held", json!({ "type": "array", "minItems": 1, "items": held })),
        ("promise", of("Base64url")),
        ("path", list("Base64url")),
        ("?inert", of("Why")),
    ];
    let with_status: Vec<_> = [("status", of("Status"))].into_iter().chain(recorded.clone()).collect();
    json!({
        "Recorded": closed(&recorded),
        "BatchRecorded": closed(&with_status),
        "BatchProblem": closed(&[
            ("status", of("Status")),
            ("code", of("Code")),
            ("title", json!({ "type": "string" })),
            ("detail", json!({ "type": "string" })),
        ]),
        "BatchResults": {
            "type": "array", "items": { "oneOf": [of("BatchRecorded"), of("BatchProblem")] },
        },
        "Standing": closed(&[
            ("id", of("StatementId")),
            ("index", of("Index")),
            ("published", json!({ "type": "boolean" })),
        ]),
        "Stored": closed(&[("hash", of("Hash"))]),
        "Named": closed(&[("ppid", of("Ppid"))]),
    })
}

fn uses() -> Value {
    let use_line = closed(&[
        ("id", of("DecisionId")),
        ("act", one_of(["check", "handover", "opening"])),
        ("?case", of("IncidentId")),
        ("at", of("Ms")),
        ("asker", of("PartyId")),
        ("controller", of("PartyId")),
        ("?ppid", of("Ppid")),
        ("?action", of("AskedAction")),
        ("?purpose", of("Purpose")),
        ("?class", of("DataClass")),
        ("?categories", list("Category")),
        ("?recipient", of("PartyId")),
        ("?jurisdiction", of("Text")),
        ("?use_id", of("Text")),
        ("?count", of("Count")),
        ("decision", json!({ "type": "boolean" })),
        ("told", of("Reason")),
        ("reason", of("Reason")),
        ("pack", of("Text")),
        ("version", of("Count")),
        ("rule", of("Text")),
        ("as_of", of("Index")),
        ("?basis", of("StatementId")),
        ("?batch", of("Count")),
    ]);
    json!({ "Use": use_line, "Uses": closed(&[("uses", list("Use")), ("?next", of("DecisionId"))]) })
}

fn exceptions() -> Value {
    let claim = [
        ("controller", of("PartyId")),
        ("notice", of("StatementId")),
        ("pack", of("Text")),
        ("version", of("Count")),
        ("rule", of("Text")),
        ("article", json!({ "type": "string" })),
        ("ko", json!({ "type": "string" })),
        ("en", json!({ "type": "string" })),
        ("source", json!({ "type": "string" })),
        ("confidence", one_of(["statute", "policy-source", "reading", "unconfirmed"])),
        ("purpose", of("Purpose")),
        ("class", of("DataClass")),
        ("actions", list("AskedAction")),
        ("reason", json!({ "type": "string" })),
        ("in_force", json!({ "type": "boolean" })),
        ("justify_within_s", json!({ "type": ["integer", "null"], "minimum": 0 })),
    ];
    let mine: Vec<_> =
        claim.clone().into_iter().chain([("stopped_by_objection", json!({ "type": "boolean" }))]).collect();
    json!({
        "Claim": closed(&claim),
        "MyClaim": closed(&mine),
        "WatchedUse": closed(&[
            ("controller", of("PartyId")),
            ("rule", of("Text")),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("at", of("Ms")),
            ("due", of("Ms")),
            ("standing", of("JustificationStanding")),
            ("justified_at", json!({ "type": ["integer", "null"], "minimum": 0 })),
        ]),
        "ToJustify": closed(&[
            ("watched_from", of("Ms")),
            ("complete", json!({ "type": "boolean" })),
            ("uses", list("WatchedUse")),
        ]),
        "Justification": closed(&[
            ("statement", of("StatementId")),
            ("controller", of("PartyId")),
            ("rule", of("Text")),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("from", of("Ms")),
            ("until", of("Ms")),
            ("at", of("Ms")),
        ]),
        "MyExceptions": closed(&[
            ("exceptions", list("MyClaim")),
            ("to_justify", of("ToJustify")),
            ("justifications", list("Justification")),
        ]),
        "PartyExceptions": closed(&[
            ("party", of("PartyId")),
            ("exceptions", list("Claim")),
            ("to_justify", of("ToJustify")),
        ]),
    })
}

fn requests() -> Value {
    json!({
        "Request": closed(&[
            ("id", of("StatementId")),
            ("state", of("RequestState")),
            ("controller", of("Controller")),
            ("notice", of("Notice")),
            ("link", of("Base64url")),
            ("until", of("Ms")),
        ]),
        "RequestState": one_of(["open", "answered", "ended"]),
        "RequestReply": closed(&[
            ("id", of("StatementId")),
            ("index", of("Index")),
            ("type", of("Kind")),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("evidence", json!({ "anyOf": [of("Base64url"), { "type": "null" }] })),
        ]),
        "RequestAnswer": closed(&[
            ("state", of("RequestState")),
            ("?answer", closed(&[
                ("ppid", of("Ppid")),
                ("first", of("StatementId")),
                ("statements", list("RequestReply")),
            ])),
        ]),
    })
}

fn incidents() -> Value {
    let string = || json!({ "type": "string" });
    let step = closed(&[
        ("type", of("Kind")),
        ("by", of("PartyId")),
        ("at", of("Ms")),
        ("?statement", of("StatementId")),
        ("?document", of("Hash")),
    ]);
    let met = closed(&[("type", of("Kind")), ("at", json!({ "anyOf": [of("Ms"), { "type": "null" }] }))]);
    let due = closed(&[
        ("pack", string()),
        ("version", of("Count")),
        ("duty", string()),
        ("ko", string()),
        ("en", string()),
        ("source", string()),
        ("until", of("Ms")),
        ("met", json!({ "type": "array", "items": met })),
    ]);
    let complaint = closed(&[("ppid", of("Ppid")), ("text", string())]);
    let line = closed(&[
        ("decision", of("DecisionId")),
        ("at", of("Ms")),
        ("signed", json!({ "type": "boolean" })),
        ("domain", json!({ "anyOf": [of("PartyId"), { "type": "null" }] })),
    ]);
    let finding = closed(&[
        ("day", of("Count")),
        ("about", string()),
        ("class", json!({ "anyOf": [of("DataClass"), { "type": "null" }] })),
        ("count", of("Count")),
        ("persons", of("Count")),
        ("lines", json!({ "type": "array", "items": line })),
    ]);
    let incident = [
        ("incident", of("IncidentId")),
        ("party", of("PartyId")),
        ("detector", string()),
        ("strength", one_of(["D", "S"])),
        ("stage", one_of(["complained", "flagged", "confirmed", "dismissed", "closed"])),
        ("flagged_at", of("Ms")),
        ("flag", of("StatementId")),
        ("steps", json!({ "type": "array", "items": step })),
        ("due", json!({ "type": "array", "items": due })),
    ];
    let or_null = |shape: Value| json!({ "anyOf": [shape, { "type": "null" }] });
    let more = [("finding", or_null(finding)), ("complaint", or_null(complaint))];
    let with_finding: Vec<_> = incident.clone().into_iter().chain(more).collect();
    json!({
        "IncidentId": text("^[0-9a-f]{32}$", "Name of an incident."),
        "Incident": closed(&incident),
        "Incidents": closed(&[("incidents", list("Incident"))]),
        "IncidentWithFinding": closed(&with_finding),
        "DossierFormat": one_of(["json", "html"]),
        // Its own format names its parts: `naru verify` reads them.
        "Dossier": { "type": "object" },
        "OpeningsQuestion": closed(&[("records", list("StatementId"))]),
        "Openings": closed(&[
            ("format", json!({ "const": "naru-case/1" })),
            ("origin", of("Text")),
            ("case", of("IncidentId")),
            ("records", json!({ "type": "array", "items": closed(&[
                ("statement", of("StatementId")),
                ("told", one_of(["given", "not-yet", "denied"])),
                ("evidence", json!({ "anyOf": [of("Text"), { "type": "null" }] })),
            ]) })),
        ]),
    })
}

fn feeds() -> Value {
    // As strict as the server: what is unknown here is an error there.
    json!({
        "Kind": one_of(Kind::ALL.iter().map(|kind| kind.as_str())),
        "HandoverQuestion": closed(&[
            ("?controller", json!({ "anyOf": [of("PartyId"), { "type": "null" }] })),
            ("ppid", of("Ppid")),
            ("recipient", of("PartyId")),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("?categories", list("Category")),
        ]),
        "Handover": closed(&[("recipient", of("PartyId")), ("ppid", of("Ppid"))]),
        "Event": closed(&[
            ("index", of("Index")),
            ("at", of("Ms")),
            ("type", of("Kind")),
            ("?act", one_of(["withdraw", "object", "pause", "refuse"])),
            ("ppid", of("Ppid")),
            ("?purpose", of("Purpose")),
            ("?class", of("DataClass")),
            ("?demand", of("StatementId")),
        ]),
        "Events": closed(&[("events", list("Event")), ("after", of("Index")), ("as_of", of("Index"))]),
    })
}

fn rest() -> Value {
    let string = || json!({ "type": "string" });
    json!({
        "Cohort": closed(&[
            ("id", of("JobId")),
            ("state", one_of(["waiting", "running", "done", "failed"])),
            ("lines", of("Count")),
            ("done", of("Count")),
            ("begun", of("Ms")),
            ("expires", of("Ms")),
        ]),
        "TokenRequest": open(&[
            ("grant_type", one_of(["client_credentials", "urn:naru:login"])),
            ("?client_assertion_type", one_of(["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"])),
            ("?client_assertion", string()),
            ("?login", of("Base64url")),
        ]),
        "Token": closed(&[
            ("access_token", string()),
            ("token_type", one_of(["Bearer", "DPoP"])),
            ("expires_in", of("Seconds")),
            ("?key", string()),
        ]),
        "IntrospectionRequest": open(&[("token", string())]),
        "Introspection": open(&[
            ("active", json!({ "type": "boolean" })),
            ("?token_type", one_of(["Bearer", "DPoP"])),
            ("?iss", string()),
            ("?sub", of("PartyId")),
            ("?aud", string()),
            ("?client_id", of("PartyId")),
            ("?role", one_of(["party"])),
            ("?iat", of("Seconds")),
            ("?exp", of("Seconds")),
            ("?jti", string()),
            ("?cnf", closed(&[("?jkt", string()), ("?x5t#S256", string())])),
        ]),
        "Jwks": closed(&[("keys", json!({ "type": "array", "items": closed(&[
            ("kty", one_of(["OKP", "EC"])),
            ("crv", one_of(["Ed25519", "P-256"])),
            ("x", string()),
            ("?y", string()),
            ("alg", one_of(["EdDSA", "ES256"])),
            ("use", one_of(["sig"])),
            ("kid", string()),
        ]) }))]),
        "Only": one_of(["objections"]),
        "Gpc": closed(&[("gpc", json!({ "const": true })), ("lastUpdate", string())]),
        "OAuthError": closed(&[("error", string()), ("error_description", string())]),
        "Problem": closed(&[
            ("type", string()),
            ("title", string()),
            ("status", of("Status")),
            ("detail", string()),
            ("code", of("Code")),
            ("?request_id", string()),
        ]),
        "Ready": closed(&[("ready", json!({ "type": "boolean" })), ("?reason", of("Stop"))]),
        "Metadata": closed(&[
            ("policy_decision_point", string()),
            ("access_evaluation_endpoint", string()),
            ("access_evaluations_endpoint", string()),
            ("search_subject_endpoint", string()),
            ("search_resource_endpoint", string()),
            ("search_action_endpoint", string()),
            ("?danger_authzen_fixture", json!({ "type": "boolean" })),
        ]),
    })
}

fn questions() -> Value {
    let name = || json!({ "type": "string" });
    let aim = [("purpose", of("Purpose")), ("?recipient", of("PartyId")), ("?jurisdiction", of("Text"))];
    json!({
        "Subject": open(&[("type", one_of(["party"])), ("id", of("PartyId"))]),
        "Action": open(&[("name", of("AskedAction")), ("properties", open(&aim))]),
        "Data": open(&[("class", of("DataClass")), ("?categories", list("Category"))]),
        "Person": open(&[("type", one_of(["person"])), ("id", of("Ppid")), ("properties", of("Data"))]),
        "Release": open(&[("type", one_of(["release"])), ("id", of("Text"))]),
        "Resource": { "oneOf": [of("Person"), of("Release")] },
        "Context": open(&[("?use_id", of("Text")), ("?min_index", of("Index"))]),
        "Evaluation": open(&[
            ("subject", of("Subject")),
            ("action", of("Action")),
            ("resource", of("Resource")),
            ("?context", of("Context")),
        ]),
        "Evaluations": open(&[
            ("?subject", of("Subject")),
            ("?action", of("Action")),
            ("?resource", of("Resource")),
            ("?context", of("Context")),
            ("?evaluations", json!({ "type": "array", "maxItems": 1024, "items": open(&[
                ("?subject", json!({ "type": "object" })),
                ("?action", json!({ "type": "object" })),
                ("?resource", json!({ "type": "object" })),
                ("?context", json!({ "type": "object" })),
            ]) })),
            ("?options", open(&[(
                "?evaluations_semantic",
                one_of(["execute_all", "deny_on_first_deny", "permit_on_first_permit"]),
            )])),
        ]),
        "Page": open(&[("?token", name()), ("?limit", of("Count"))]),
    })
}

fn searches() -> Value {
    let page = ("?page", of("Page"));
    // An unknown type or name is not an error: nothing is found under it.
    let any = || json!({ "type": "string" });
    let subject = open(&[("type", any()), ("id", any())]);
    let person = open(&[("type", any()), ("id", any()), ("properties", of("Data"))]);
    let sought = |kind: &'static str| open(&[("type", json!({ "type": "string", "examples": [kind] }))]);
    let persons =
        open(&[("type", json!({ "type": "string", "examples": ["person"] })), ("properties", of("Data"))]);
    let circumstances = open(&[
        ("purpose", of("Purpose")),
        ("?recipient", of("PartyId")),
        ("?jurisdiction", of("Text")),
        ("?min_index", of("Index")),
    ]);
    json!({
        "SearchContext": open(&[("?min_index", of("Index"))]),
        "SubjectSearch": open(&[
            ("subject", sought("party")),
            ("action", of("Action")),
            ("resource", person.clone()),
            ("?context", of("SearchContext")),
            page.clone(),
        ]),
        "ResourceSearch": open(&[
            ("subject", subject.clone()),
            ("action", of("Action")),
            ("resource", persons),
            ("?context", of("SearchContext")),
            page.clone(),
        ]),
        "ActionSearch": open(&[
            ("subject", subject),
            ("resource", person),
            ("context", circumstances),
            page,
        ]),
    })
}

fn decisions() -> Value {
    let aim =
        closed(&[("purpose", of("Purpose")), ("?recipient", of("PartyId")), ("?jurisdiction", of("Text"))]);
    let data = closed(&[("class", of("DataClass")), ("categories", list("Category"))]);
    json!({
        "Policy": closed(&[("pack", of("Text")), ("version", of("Count")), ("rule", of("Text"))]),
        "Decision": closed(&[
            ("decision", json!({ "type": "boolean" })),
            ("context", closed(&[
                ("reason", of("Reason")),
                ("policy", of("Policy")),
                ("?evaluation_id", of("DecisionId")),
                ("as_of", of("Index")),
                ("valid_for_s", of("Seconds")),
                ("?until", of("Ms")),
                ("?basis", of("StatementId")),
                ("?rebound_until", of("Ms")),
            ])),
        ]),
        "DecisionError": closed(&[
            ("decision", json!({ "const": false })),
            ("context", closed(&[(
                "error",
                closed(&[("status", of("Status")), ("message", json!({ "type": "string" }))]),
            )])),
        ]),
        // A batch without items is one evaluation of its defaults.
        "OneOrMany": { "oneOf": [of("Decisions"), of("Decision")] },
        "Decisions": closed(&[(
            "evaluations",
            json!({ "type": "array", "items": { "oneOf": [of("Decision"), of("DecisionError")] } }),
        )]),
        "FoundParty": closed(&[
            ("type", one_of(["party"])),
            ("id", of("PartyId")),
            ("properties", closed(&[("capacity", of("Capacity"))])),
        ]),
        "FoundPerson": closed(&[("type", one_of(["person"])), ("id", of("Ppid")), ("properties", data)]),
        "FoundAction": closed(&[("name", of("AskedAction")), ("properties", aim)]),
        "Found": closed(&[
            ("?page", closed(&[("next_token", json!({ "type": "string" }))])),
            ("context", closed(&[("as_of", of("Index")), ("?reason", of("Reason"))])),
            ("results", json!({
                "type": "array", "items": { "oneOf": [of("FoundParty"), of("FoundPerson"), of("FoundAction")] },
            })),
        ]),
    })
}
