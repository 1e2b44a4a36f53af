//! `/openapi.json`: the routes as OpenAPI 3.1.0, made from [`ROUTES`].
//!
//! Roles, limits, methods and paths come from the table, problems from their list,
//! closed words from the model; `table` adds what a table cannot say, and a test
//! keeps the two in step. Built with `serde_json`: bodies here are written by hand
//! for speed and for CBOR, so a derive over handlers would describe other types than
//! those that are sent. Examples are answers of a running node, recorded by a test.
//!
//! Lacks, on purpose: routes of other modules ([`crate::http::Options::more`]), and
//! `HEAD`, which every `GET` answers.

mod about;
mod arrival;
mod owed;
mod person;
mod service;
mod shape;
mod source;
mod table;

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::http::Dress;
use crate::http::Meter;
use crate::http::Method;
use crate::http::ROUTES;
use crate::http::Role;
use crate::http::Route;
use crate::http::Shared;
use crate::http::openapi::about::About;
use crate::http::openapi::about::Answer;
use crate::http::openapi::about::Content;
use crate::http::openapi::about::Errors;
use crate::http::openapi::about::Media;
use crate::http::openapi::about::Place;
use crate::http::sort;
use crate::http::sort::Sort;
use crate::ledger::hash;
use crate::model::decision::Why;

/// Bodies of a running node, by operation, then `request`, a status or `parameters`.
const EXAMPLES: &str = include_str!("../../../schemas/openapi-examples.json");

/// How long a copy of the document is good, s.
const FRESH_S: u32 = 3_600;

/// The document and its name, made once.
#[derive(Debug)]
pub(in crate::http) struct Document {
    text: web::Bytes,
    etag: String,
}

impl Document {
    pub(in crate::http) fn new() -> Self {
        let text = document();
        let name: String =
            hash::sha256(&[text.as_bytes()]).iter().take(16).map(|b| format!("{b:02x}")).collect();
        Self { text: text.into(), etag: format!("\"{name}\"") }
    }
}

/// `GET /openapi.json`
pub(in crate::http) async fn serve(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    let Document { text, etag } = &shared.openapi;
    let sent = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let has = sent.is_some_and(|sent| {
        sent.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    });
    let mut answer = if has { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((header::ETAG, etag.as_str()))
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={FRESH_S}")))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    if has { answer.finish() } else { answer.content_type("application/json").body(text.clone()) }
}

/// The document, with a line break at its end.
#[must_use]
pub fn document() -> String {
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in ROUTES {
        // A route nobody describes would be missed by the test, not by a reader.
        let Some(about) = table::all().find(|a| a.method == route.method && a.path == route.path) else {
            continue;
        };
        let method = route.method.as_str().to_ascii_lowercase();
        let operation = Operation { route, about, examples: examples.get(about.name) };
        paths.entry(spelled(route.path)).or_default().insert(method, operation.written());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Naru",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A personal-data consent ledger. Binary bodies are those of `schemas/naru.cddl`: \
                `x-cddl` names the rule. Every GET answers HEAD, too. `x-roles` says who may call.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": shape::all(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description":
                    "A token of `/oauth/token`; one bound to a key goes under `DPoP`, with a proof (RFC 9449)." },
                "certificate": { "type": "mutualTLS", "description":
                    "The client certificate of a log that the operator has named in `receive.from`." },
            },
        },
    });
    format!("{document:#}\n")
}

/// A path of the table as OpenAPI writes it.
fn spelled(path: &str) -> String {
    path.replace(":.*}", "}")
}

/// One route on its way into the document.
struct Operation<'a> {
    route: &'a Route,
    about: &'a About,
    examples: Option<&'a Value>,
}

impl Operation<'_> {
    fn written(&self) -> Value {
        let roles: Vec<&str> = self.route.roles.iter().map(|role| role.as_str()).collect();
        let mut operation = json!({
            "operationId": self.about.name,
            "summary": self.about.summary,
            "x-roles": roles,
            "security": self.security(),
            "responses": self.responses(),
        });
        let Some(members) = operation.as_object_mut() else { return operation };
        let params = self.about.params.iter().map(|p| {
            let place = match p.place {
                Place::Path => "path",
                Place::Query => "query",
                Place::Header => "header",
            };
            let mut param = json!({
                "name": p.name, "in": place, "required": p.needed,
                "description": p.help, "schema": refer(p.shape),
            });
            let example = self.examples.and_then(|e| e.get("parameters")).and_then(|e| e.get(p.name));
            if let (Some(example), Some(members)) = (example, param.as_object_mut()) {
                members.insert("example".into(), example.clone());
            }
            param
        });
        let params: Vec<Value> = params.collect();
        if !params.is_empty() {
            members.insert("parameters".into(), params.into());
        }
        if self.route.method != Method::Get {
            members.insert("x-body-limit".into(), self.route.limit.into());
            let content = contents(self.about.takes, self.examples.and_then(|e| e.get("request")));
            members.insert("requestBody".into(), json!({ "required": true, "content": content }));
        }
        operation
    }

    fn security(&self) -> Vec<Value> {
        let bearer = || json!({ "bearer": [] });
        if matches!(self.route.roles, [Role::Carrier]) {
            return vec![json!({ "certificate": [] })];
        }
        match (self.route.roles.contains(&Role::Anyone), self.route.roles.len()) {
            (true, 1) => Vec::new(),
            (true, _) => vec![json!({}), bearer()],
            (false, _) => vec![bearer()],
        }
    }

    fn responses(&self) -> Map<String, Value> {
        let mut all = Map::new();
        for answer in self.about.answers {
            let example = self.examples.and_then(|e| e.get(answer.status.to_string()));
            all.insert(answer.status.to_string(), self.answer(answer, example));
        }
        if self.about.name == "openapi" {
            let unchanged = json!({ "description": "The copy named in `If-None-Match` is still good." });
            all.insert("304".into(), unchanged);
        }
        match self.about.errors {
            Errors::Problems { of, acts } => {
                for (status, sorts) in self.problems(of, acts) {
                    all.entry(status.to_string()).or_insert_with(|| self.problem(status, &sorts));
                }
            }
            Errors::Message { statuses, problems } => {
                for status in statuses {
                    let mut text = json!({ "text/plain; charset=utf-8": { "schema": { "type": "string" } } });
                    let codes: Vec<_> =
                        problems.iter().filter(|p| p.status == *status).map(|p| p.code).collect();
                    if let (false, Some(members)) = (codes.is_empty(), text.as_object_mut()) {
                        members.extend(problem(*status, &codes));
                    }
                    let words = "What is wrong, in words.";
                    all.insert(status.to_string(), self.response(*status, words, text));
                }
            }
            Errors::OAuth(statuses) => {
                for status in statuses {
                    let error = json!({ "application/json": { "schema": refer("OAuthError") } });
                    let words = "Source: RFC 6749 section 5.2.";
                    all.insert(status.to_string(), self.response(*status, words, error));
                }
            }
        }
        if self.route.meter != Meter::Free {
            let problem = || self.problem(429, &[sort::TOO_MANY_REQUESTS.code]);
            all.entry("429").or_insert_with(problem);
        }
        all
    }

    /// Every problem of this route by status, those of its roles among them.
    fn problems(&self, of: &[&[&'static Sort]], acts: bool) -> BTreeMap<u16, Vec<&'static str>> {
        let roles = self.route.roles;
        let of_roles: &[&Sort] = match (roles.contains(&Role::Anyone), roles.len()) {
            (true, 1) => &[],
            _ if matches!(roles, [Role::Carrier]) => &[
                sort::NO_CARRIER,
                sort::BAD_TOKEN,
                sort::BAD_PROOF,
                sort::OTHER_CERTIFICATE,
                sort::WRONG_CALLER,
            ],
            (true, _) => &[sort::BAD_TOKEN, sort::BAD_PROOF, sort::OTHER_CERTIFICATE],
            (false, _) => &[
                sort::NO_TOKEN,
                sort::BAD_TOKEN,
                sort::BAD_PROOF,
                sort::OTHER_CERTIFICATE,
                sort::WRONG_CALLER,
            ],
        };
        let metered = if self.route.meter == Meter::Free { &[][..] } else { &[sort::TOO_MANY_REQUESTS] };
        let whys = Why::ALL.iter().filter(|_| acts).map(|why| sort::of_why(*why));
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for sort in of.iter().copied().flatten().chain(of_roles).chain(metered).copied().chain(whys) {
            let codes = by_status.entry(sort.status).or_default();
            if !codes.contains(&sort.code) {
                codes.push(sort.code);
            }
        }
        by_status
    }

    fn problem(&self, status: u16, codes: &[&str]) -> Value {
        self.response(status, "A problem (RFC 9457).", problem(status, codes).into())
    }

    fn answer(&self, answer: &Answer, example: Option<&Value>) -> Value {
        let mut response = self.response(answer.status, answer.help, contents(answer.media, example).into());
        if answer.located
            && let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut)
        {
            headers.insert("Location".into(), told("Where it is."));
        }
        response
    }

    fn response(&self, status: u16, help: &str, content: Value) -> Value {
        let mut headers = Map::new();
        if self.route.dress == Dress::Envelope {
            headers.insert("X-Request-ID".into(), told("As sent, or made by the server."));
        }
        if status == 401 {
            headers.insert("WWW-Authenticate".into(), told("Source: RFC 6750 section 3."));
        }
        if status == 503 && self.about.name != "ready" {
            headers.insert("Retry-After".into(), told("Seconds."));
        }
        json!({ "description": help, "headers": headers, "content": content })
    }
}

/// A problem of one of these codes, by its media type.
fn problem(status: u16, codes: &[&str]) -> Map<String, Value> {
    let schema = json!({ "allOf": [refer("Problem"), { "properties": {
        "code": { "enum": codes }, "status": { "const": status },
    } }] });
    Map::from_iter([("application/problem+json".to_owned(), json!({ "schema": schema }))])
}

fn told(help: &str) -> Value {
    json!({ "description": help, "required": true, "schema": { "type": "string" } })
}

fn refer(shape: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{shape}") })
}

/// Bodies by media type; an example stands with the type it is of.
fn contents(media: &[Media], examples: Option<&Value>) -> Map<String, Value> {
    let one = |m: &Media| {
        let mut body = match m.content {
            Content::Shape(name) => json!({ "schema": refer(name) }),
            Content::Cddl(rule) => json!({ "x-cddl": rule }),
            Content::Plain => json!({}),
        };
        let example = examples.and_then(|of| of.get(m.media));
        if let (Some(example), Some(members)) = (example, body.as_object_mut()) {
            members.insert("example".into(), example.clone());
        }
        (m.media.to_owned(), body)
    };
    media.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_once_in_the_order_of_the_table() {
        let routes: Vec<_> = ROUTES.iter().map(|r| (r.method, r.path)).collect();
        let described: Vec<_> = table::all().map(|a| (a.method, a.path)).collect();
        assert_eq!(routes, described);
        let names: std::collections::BTreeSet<_> = table::all().map(|a| a.name).collect();
        assert_eq!(names.len(), table::all().count(), "names of operations differ");
    }

    #[test]
    fn variable_parts_bodies_and_shapes_are_all_there() {
        let shapes = shape::all();
        let cddl = include_str!("../../../schemas/naru.cddl");
        for (route, about) in ROUTES.iter().zip(table::all()) {
            let of_path =
                about.params.iter().filter(|p| p.place == Place::Path).map(|p| format!("{{{}}}", p.name));
            let spelled = spelled(route.path);
            let in_path: Vec<_> = spelled.split('/').filter(|part| part.starts_with('{')).collect();
            assert_eq!(in_path, of_path.collect::<Vec<_>>(), "{}", route.path);
            assert_eq!(about.takes.is_empty(), route.method == Method::Get, "{}", route.path);
            let bodies = about.takes.iter().chain(about.answers.iter().flat_map(|a| a.media));
            for body in bodies {
                match body.content {
                    Content::Shape(name) => assert!(shapes.contains_key(name), "{name}"),
                    Content::Cddl(rule) => assert!(cddl.contains(&format!("\n{rule} = ")), "{rule}"),
                    Content::Plain => {}
                }
            }
            for param in about.params {
                assert!(shapes.contains_key(param.shape), "{}", param.shape);
            }
        }
    }

    #[test]
    fn every_reference_leads_to_a_shape_and_every_shape_is_used() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        fn walk<'a>(value: &'a Value, found: &mut std::collections::BTreeSet<&'a str>) {
            match value {
                Value::Object(members) => members.iter().for_each(|(name, value)| match value.as_str() {
                    Some(to) if name == "$ref" => drop(found.insert(to)),
                    _ => walk(value, found),
                }),
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                _ => {}
            }
        }
        let mut found = std::collections::BTreeSet::new();
        walk(&document, &mut found);
        let shapes = document["components"]["schemas"].as_object().unwrap();
        let named: std::collections::BTreeSet<_> =
            shapes.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(found, named.iter().map(String::as_str).collect());
    }
}
