//! `/access/v1/search/{subject,resource,action}`: who may, about whom, what.
//!
//! | search | what is sought | what is given |
//! |---|---|---|
//! | `subject` | `{type: "party"}` | `resource`: a person of the token's own domain; `action` |
//! | `resource` | `{type: "person", properties: {class, categories?}}` | `subject`: a party the token may ask for; `action` |
//! | `action` | | `subject`, `resource`; the purpose in `context: {purpose, recipient?, jurisdiction?}` |
//!
//! An answer is `{page?, context: {as_of, reason?}, results}`. It never has a total
//! or a count. Where the question itself bars everything, `reason` says so; a person
//! who is unknown, of another domain or of no such type has empty results, in the
//! same shape. Results carry the properties they were found under, so that each can
//! be asked again as an evaluation. A search counts no use: grants that count are
//! not found by it.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::http::Shared;
use crate::http::authzen::Fault;
use crate::http::authzen::answered;
use crate::http::authzen::asked;
use crate::http::authzen::json as written;
use crate::http::authzen::may_ask;
use crate::http::authzen::shape;
use crate::http::authzen::shape::Action;
use crate::http::authzen::shape::ActionProperties;
use crate::http::authzen::shape::Context;
use crate::http::authzen::shape::Object;
use crate::http::authzen::shape::Resource;
use crate::http::authzen::shape::ResourceProperties;
use crate::http::authzen::shape::Subject;
use crate::http::authzen::shape::Topic;
use crate::model::decision::Question;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::TreeSize;
use crate::model::vocabulary::Action as Grantable;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node;
use crate::node::Found;
use crate::node::Listing;
use crate::node::MAX_PAGE;
use crate::node::Node;
use crate::telemetry::Act;

/// Persons on a page if nothing else is asked.
const PAGE: usize = 100;

/// An entity that is sought: whatever `id` it has is ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Sought<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) properties: Option<Object<ResourceProperties<'a>>>,
}

/// A subject that is sought.
#[derive(Debug, Deserialize)]
pub(super) struct SoughtSubject<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    limit: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SubjectSearch<'a> {
    #[serde(borrow)]
    pub(super) subject: Object<SoughtSubject<'a>>,
    #[serde(borrow)]
    pub(super) action: Object<Action<'a>>,
    #[serde(borrow)]
    pub(super) resource: Object<Resource<'a>>,
    #[serde(borrow)]
    context: Option<Object<Context<'a>>>,
    /// Everything fits on one page: read only to be refused if it is no page.
    #[serde(borrow, rename = "page")]
    _page: Option<Object<Page<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ResourceSearch<'a> {
    #[serde(borrow)]
    pub(super) subject: Object<Subject<'a>>,
    #[serde(borrow)]
    pub(super) action: Object<Action<'a>>,
    #[serde(borrow)]
    pub(super) resource: Object<Sought<'a>>,
    #[serde(borrow)]
    context: Option<Object<Context<'a>>>,
    #[serde(borrow)]
    page: Option<Object<Page<'a>>>,
}

/// The context of an action search: an action's properties have no other place there.
#[derive(Debug, Deserialize)]
struct Circumstances<'a> {
    #[serde(borrow)]
    purpose: Option<Cow<'a, str>>,
    #[serde(borrow)]
    recipient: Option<Cow<'a, str>>,
    #[serde(borrow)]
    jurisdiction: Option<Cow<'a, str>>,
    min_index: Option<u64>,
}

impl<'a> Circumstances<'a> {
    fn aim(&self) -> ActionProperties<'a> {
        let Self { purpose, recipient, jurisdiction, min_index: _ } = self;
        ActionProperties {
            purpose: purpose.clone(),
            recipient: recipient.clone(),
            jurisdiction: jurisdiction.clone(),
            soft: None,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ActionSearch<'a> {
    #[serde(borrow)]
    pub(super) subject: Object<Subject<'a>>,
    #[serde(borrow)]
    pub(super) resource: Object<Resource<'a>>,
    #[serde(borrow)]
    context: Option<Object<Circumstances<'a>>>,
    #[serde(borrow, rename = "page")]
    _page: Option<Object<Page<'a>>>,
}

#[derive(Debug, Serialize)]
struct Next {
    next_token: String,
}

#[derive(Debug, Serialize)]
struct Told {
    as_of: TreeSize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Results {
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<Next>,
    context: Told,
    results: Vec<Value>,
}

impl Results {
    fn of<T>(found: Found<T>, entity: impl Fn(T) -> Value) -> Self {
        let context = Told { as_of: found.as_of, reason: found.barred.map(|reason| reason.as_str()) };
        Self { page: None, context, results: found.results.into_iter().map(entity).collect() }
    }

    /// What the certification fixture finds.
    fn of_fixture(shared: &Shared, results: Vec<Value>) -> Self {
        Self { results, ..Self::none(shared) }
    }

    /// Nothing of that name or type.
    fn none(shared: &Shared) -> Self {
        let context = Told { as_of: shared.node.sequenced(), reason: None };
        Self { page: None, context, results: Vec::new() }
    }
}

/// Runs a search on the blocking pool: it reads the store.
async fn search<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Node) -> Result<T, node::Error> + Send + 'static,
) -> Result<T, Fault> {
    let node = Arc::clone(&shared.node);
    match web::block(move || work(&node)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::error!(cause = %error, "a search could not be answered");
            Err(Fault::later("the store did not answer"))
        }
        Err(_) => Err(Fault::later("the search was not finished")),
    }
}

/// The properties a result was found under, as an evaluation takes them.
fn aim_of(question: &Question) -> Value {
    let mut aim = json!({ "purpose": question.purpose });
    if let Some(object) = aim.as_object_mut() {
        let recipient = question.recipient.as_ref().map(|r| r.as_str().to_owned());
        let more = [("recipient", recipient), ("jurisdiction", question.jurisdiction.clone())];
        object.extend(more.into_iter().filter_map(|(k, v)| Some((k.to_owned(), Value::from(v?)))));
    }
    aim
}

/// Class and categories of the person's data.
fn data_of(properties: Option<&ResourceProperties<'_>>) -> Result<(DataClass, Vec<String>), Fault> {
    let class = properties.map(ResourceProperties::class).transpose().map_err(Fault::bad)?.flatten();
    let class = class.ok_or_else(|| Fault::bad("`resource.properties.class` is missing"))?;
    Ok((class, properties.map(ResourceProperties::categories).unwrap_or_default()))
}

/// `POST /access/v1/search/subject`
pub(in crate::http) async fn subject(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    answered(&request, &shared, Act::Search, subjects(&request, payload, &shared)).await
}

async fn subjects(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<Vec<u8>, Fault> {
    let (party, body) = asked(request, payload, shared).await?;
    let query: SubjectSearch<'_> = shape::parse(&body).map_err(Fault::bad)?;
    if let Some(fixture) = &shared.fixture {
        return written(&Results::of_fixture(shared, fixture.subjects(&query)));
    }
    let of_ours = query.subject.kind == "party" && query.resource.kind == "person";
    let known = (Ppid::from_text(&query.resource.id), AskedAction::parse(&query.action.name));
    let (true, (Some(ppid), Some(action))) = (of_ours, known) else { return written(&Results::none(shared)) };
    // The sought subject has no id: the domain is the token's own.
    let (class, categories) = data_of(query.resource.properties.as_deref())?;
    let aim = query.action.properties.as_deref();
    let topic = Topic { controller: party, action, aim, place: "action.properties", class, categories };
    let question = topic.question().map_err(Fault::bad)?;
    let min_index = query.context.as_ref().and_then(|c| c.min_index);
    let found = search(shared, move |node| node.search_parties(ppid, &question, min_index)).await?;
    written(&Results::of(
        found,
        |(id, as_what)| json!({ "type": "party", "id": id, "properties": { "capacity": as_what.as_str() } }),
    ))
}

/// `POST /access/v1/search/action`
pub(in crate::http) async fn action(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    answered(&request, &shared, Act::Search, actions(&request, payload, &shared)).await
}

async fn actions(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<Vec<u8>, Fault> {
    let (party, body) = asked(request, payload, shared).await?;
    let query: ActionSearch<'_> = shape::parse(&body).map_err(Fault::bad)?;
    if let Some(fixture) = &shared.fixture {
        return written(&Results::of_fixture(shared, fixture.actions(&query)));
    }
    let of_ours = query.subject.kind == "party" && query.resource.kind == "person";
    let known = (PartyId::parse(&query.subject.id), Ppid::from_text(&query.resource.id));
    let (true, (Some(controller), Some(ppid))) = (of_ours, known) else {
        return written(&Results::none(shared));
    };
    let (class, categories) = data_of(query.resource.properties.as_deref())?;
    let aim = query.context.as_ref().map(|c| c.aim());
    // Each action is put in its place by the search.
    let action = AskedAction::Grantable(Grantable::Use);
    let topic = Topic { controller, action, aim: aim.as_ref(), place: "context", class, categories };
    let question = topic.question().map_err(Fault::bad)?;
    may_ask(shared, &party, &question.controller, &question.purpose)?;
    let properties = aim_of(&question);
    let min_index = query.context.as_ref().and_then(|c| c.min_index);
    let found = search(shared, move |node| node.search_actions(ppid, &question, min_index)).await?;
    written(&Results::of(found, |action| json!({ "name": action.as_str(), "properties": properties })))
}

/// `POST /access/v1/search/resource`
pub(in crate::http) async fn resource(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    answered(&request, &shared, Act::Search, resources(&request, payload, &shared)).await
}

async fn resources(request: &HttpRequest, payload: web::Payload, shared: &Shared) -> Result<Vec<u8>, Fault> {
    let (party, body) = asked(request, payload, shared).await?;
    let query: ResourceSearch<'_> = shape::parse(&body).map_err(Fault::bad)?;
    if let Some(fixture) = &shared.fixture {
        return written(&Results::of_fixture(shared, fixture.resources(&query)));
    }
    let of_ours = query.subject.kind == "party" && query.resource.kind == "person";
    let known = (PartyId::parse(&query.subject.id), AskedAction::parse(&query.action.name));
    let (true, (Some(controller), Some(action))) = (of_ours, known) else {
        return written(&Results::none(shared));
    };
    let (class, categories) = data_of(query.resource.properties.as_deref())?;
    let aim = query.action.properties.as_deref();
    let topic = Topic { controller, action, aim, place: "action.properties", class, categories };
    let question = topic.question().map_err(Fault::bad)?;
    may_ask(shared, &party, &question.controller, &question.purpose)?;
    let (after, limit) = begins(shared, &party, &question, query.page.as_deref())?;
    let min_index = query.context.as_ref().and_then(|c| c.min_index);
    let walked = question.clone();
    let listing = search(shared, move |node| node.search_persons(&walked, min_index, after, limit)).await?;
    let (found, last) = match listing {
        Listing::Page(found, last) => (found, last),
        Listing::Busy => return Err(Fault::later("a search of persons for this party is under way")),
        Listing::TooLarge => {
            let message = "this log has more persons than it lists: ask by cohort".to_owned();
            return Err(Fault { status: 501, message, challenge: None, sort: None, retry_after_s: None });
        }
    };
    let properties = json!({ "class": question.class, "categories": question.categories });
    let person = |ppid: Ppid| json!({ "type": "person", "id": ppid.to_text(), "properties": properties });
    let next_token = match last {
        Some(last) => token(shared, &party, &question, last, limit)?,
        None => String::new(),
    };
    written(&Results { page: Some(Next { next_token }), ..Results::of(found, person) })
}

fn token(
    shared: &Shared,
    party: &PartyId,
    question: &Question,
    last: Ppid,
    limit: usize,
) -> Result<String, Fault> {
    let sealed = shared.node.seal_page(party, question, last, limit);
    let sealed = sealed.map_err(|_| Fault::later("the page token could not be made"))?;
    Ok(URL_SAFE_NO_PAD.encode(sealed))
}

/// Where a page begins and how long it is: a token says both, and is of this asker and question alone.
fn begins(
    shared: &Shared,
    party: &PartyId,
    question: &Question,
    page: Option<&Page<'_>>,
) -> Result<(Option<Ppid>, usize), Fault> {
    let limit = page.and_then(|p| p.limit).map(|n| usize::try_from(n).unwrap_or(MAX_PAGE).min(MAX_PAGE));
    let token = page.and_then(|p| p.token.as_deref()).filter(|token| !token.is_empty());
    let Some(token) = token else { return Ok((None, limit.unwrap_or(PAGE))) };
    let wrong = || Fault::bad("`page.token` is not of this asker and this question");
    let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    let (after, of_token) = shared.node.open_page(party, question, &sealed).ok_or_else(wrong)?;
    if limit.is_some_and(|limit| limit != of_token) {
        return Err(Fault::bad("`page.limit` is not that of the page before"));
    }
    Ok((Some(after), of_token))
}
