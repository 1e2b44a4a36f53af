//! The certification fixture: answers about `user` and `record` from one file, and nothing else.
//!
//! With `danger_authzen_fixture` the node takes no statements and has no persons
//! (see [`crate::node::Settings::authzen_fixture`]); this module then stands in
//! place of the ledger behind the same routes, parsers and shapes, so that the
//! public certification cases test those. Lacks any way to a person or a party.
//!
//! Source: `schemas/fixtures/authzen-cert.toml`.

use std::io;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::http::authzen::search::ActionSearch;
use crate::http::authzen::search::ResourceSearch;
use crate::http::authzen::search::SubjectSearch;
use crate::http::authzen::shape::Action;
use crate::http::authzen::shape::Decided;
use crate::http::authzen::shape::Evaluation;
use crate::http::authzen::shape::Resource;
use crate::http::authzen::shape::Subject;

const FILE: &str = include_str!("../../../schemas/fixtures/authzen-cert.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownSubject {
    r#type: String,
    id: String,
    role: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownResource {
    r#type: String,
    id: String,
    status: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: String,
    action: String,
    subject: Option<String>,
    role: Option<String>,
    status: Option<String>,
    soft: Option<bool>,
    permit: bool,
}

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Fixture {
    name: String,
    version: u32,
    subject: Vec<KnownSubject>,
    resource: Vec<KnownResource>,
    rule: Vec<Rule>,
}

/// Who would do what on what, with the properties that count.
struct Asked<'a> {
    subject: &'a str,
    role: Option<String>,
    action: &'a str,
    soft: Option<bool>,
    status: Option<String>,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

impl Fixture {
    /// Reads the file this build carries.
    pub(in crate::http) fn carried() -> io::Result<Self> {
        toml::from_str(FILE).map_err(io::Error::other)
    }

    /// One decision, in the shape of the ledger's.
    pub(super) fn decide(&self, evaluation: &Evaluation<'_>) -> Decided {
        let rule = self.rule(&evaluation.subject, &evaluation.action, &evaluation.resource);
        let id = rule.map_or("not-listed", |rule| &rule.id);
        let permit = rule.is_some_and(|rule| rule.permit);
        Decided::of_fixture(permit, self.name.as_str().into(), self.version, id.into())
    }

    fn rule(&self, subject: &Subject<'_>, action: &Action<'_>, resource: &Resource<'_>) -> Option<&Rule> {
        let who = self.subject.iter().find(|s| s.r#type == subject.kind && s.id == subject.id)?;
        let what = self.resource.iter().find(|r| r.r#type == resource.kind && r.id == resource.id)?;
        let soft = action.properties.as_ref().and_then(|p| p.soft);
        self.first(&Asked {
            subject: &who.id,
            role: text(subject.properties.as_ref().and_then(|p| p.role)).or_else(|| who.role.clone()),
            action: &action.name,
            soft: soft.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            status: text(resource.properties.as_ref().and_then(|p| p.status)).or_else(|| what.status.clone()),
        })
    }

    fn first(&self, asked: &Asked<'_>) -> Option<&Rule> {
        self.rule.iter().find(|rule| {
            rule.action == asked.action
                && rule.subject.as_deref().is_none_or(|s| s == asked.subject)
                && (rule.role.is_none() || rule.role == asked.role)
                && (rule.status.is_none() || rule.status == asked.status)
                && (rule.soft.is_none() || rule.soft == asked.soft)
        })
    }

    fn permits(&self, subject: &Subject<'_>, action: &Action<'_>, resource: &Resource<'_>) -> bool {
        self.rule(subject, action, resource).is_some_and(|rule| rule.permit)
    }

    pub(super) fn subjects(&self, query: &SubjectSearch<'_>) -> Vec<Value> {
        let of_type = self.subject.iter().filter(|s| s.r#type == query.subject.kind);
        let may = of_type.filter(|s| {
            let subject =
                Subject { kind: s.r#type.as_str().into(), id: s.id.as_str().into(), properties: None };
            self.permits(&subject, &query.action, &query.resource)
        });
        may.map(|s| json!({ "type": s.r#type, "id": s.id })).collect()
    }

    pub(super) fn resources(&self, query: &ResourceSearch<'_>) -> Vec<Value> {
        let of_type = self.resource.iter().filter(|r| r.r#type == query.resource.kind);
        let may = of_type.filter(|r| {
            let (kind, id) = (r.r#type.as_str().into(), r.id.as_str().into());
            let resource = Resource { kind, id, properties: query.resource.properties.clone() };
            self.permits(&query.subject, &query.action, &resource)
        });
        may.map(|r| json!({ "type": r.r#type, "id": r.id })).collect()
    }

    /// An action is found if a rule names it and it is permitted without properties.
    pub(super) fn actions(&self, query: &ActionSearch<'_>) -> Vec<Value> {
        let mut names: Vec<&str> = self.rule.iter().map(|rule| rule.action.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let may = names.into_iter().filter(|name| {
            let action = Action { name: (*name).into(), properties: None };
            self.permits(&query.subject, &action, &query.resource)
        });
        may.map(|name| json!({ "name": name })).collect()
    }
}
