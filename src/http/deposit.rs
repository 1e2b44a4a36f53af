//! Deposits: a party brings an item of a person's; she sees what was brought, and names her own key.
//!
//! Unknown, of another domain, not granted: one answer, byte for byte but for the
//! request id. Ppid and content stand in the body alone: an address is no place for either.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::problem::RETRY_S;
use crate::http::sort;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::vocabulary::DataClass;
use crate::node::deposit::AgeKey;
use crate::node::deposit::Deposit;
use crate::node::deposit::Deposits;
use crate::node::deposit::MAX_PAGE;
use crate::node::deposit::NoDeposit;
use crate::node::deposit::Wish;
use crate::node::deposit::pull::NoPull;

/// Items on a page of the list, where nothing else is asked for.
const PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Brought {
    /// Whose domain the ppid stands in; the caller's own if it is left out.
    controller: Option<PartyId>,
    ppid: String,
    item: String,
    purpose: String,
    class: DataClass,
    #[serde(default)]
    categories: Vec<String>,
    media_type: String,
    /// The original, base64url.
    original: String,
}

impl From<NoDeposit> for Problem {
    fn from(no: NoDeposit) -> Self {
        let told = no.to_string();
        match no {
            NoDeposit::NotGranted => Self::new(sort::NO_DEPOSIT, told),
            NoDeposit::Differs => Self::new(sort::DEPOSIT_DIFFERS, told),
            NoDeposit::Full => Self::new(sort::DEPOSITS_FULL, told),
            NoDeposit::Unbounded => Self::new(sort::BAD_JSON, told),
            NoDeposit::Original(_) => Self::new(sort::ORIGINAL_REFUSED, told),
            NoDeposit::Node(error) => error.into(),
        }
    }
}

impl From<NoPull> for Problem {
    fn from(no: NoPull) -> Self {
        let told = no.to_string();
        match no {
            NoPull::Unknown | NoPull::NotAsked => Self::new(sort::NOT_ASKED, told),
            NoPull::Busy => Self::new(sort::PULL_UNDER_WAY, told).retry_after(RETRY_S),
            NoPull::NoAnswer(_) | NoPull::Lie(_) => Self::new(sort::SOURCE_FAILED, told),
            NoPull::Node(error) => error.into(),
        }
    }
}

impl Brought {
    /// What it asks of the node, if it is one.
    fn wish(self, by: &PartyId) -> Option<Wish> {
        Some(Wish {
            ppid: Ppid::from_text(&self.ppid)?,
            controller: self.controller.unwrap_or_else(|| by.clone()),
            by: by.clone(),
            item: self.item,
            purpose: self.purpose,
            class: self.class,
            categories: self.categories,
            media_type: self.media_type,
            original: URL_SAFE_NO_PAD.decode(self.original).ok()?,
        })
    }
}

/// `POST /v1/deposits`
pub(in crate::http) async fn bring(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let bad =
        "send `ppid`, `item`, `purpose`, `class`, `categories` if any, `media_type`, `original` (base64url)";
    let brought: Brought = message::json(&request, payload, bad).await?;
    let wish = brought.wish(&party).ok_or_else(|| Problem::new(sort::BAD_JSON, bad))?;
    if !shared.node.may_ask(&wish.by, &wish.controller, Some(&wish.purpose)) {
        return Err(Problem::new(sort::OTHER_DOMAIN, "the token's party does not act for that controller"));
    }
    let node = Arc::clone(&shared.node);
    let (status, kept) = match message::blocking(move || node.deposit(&wish)).await? {
        Deposit::New(kept) => (StatusCode::CREATED, kept),
        Deposit::Before(kept) => (StatusCode::OK, kept),
    };
    let form = kept.form.map(|(profile, items)| json!({ "profile": profile, "items": items }));
    Ok(message::uncached_as(status).json(json!({
        "item": kept.item, "at": kept.at.0, "bytes": kept.bytes, "sha256": kept.sha256.map(|hash| hash.to_string()), "form": form,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/subjects/me/deposits`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let wrong = || Problem::new(sort::BAD_QUERY, "`after` is a record of the list, `limit` 1 to 500");
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(|_| wrong())?.into_inner();
    let after = query.after.map(|after| Ppid::from_hex(&after).ok_or_else(wrong)).transpose()?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(wrong());
    }
    let node = Arc::clone(&shared.node);
    let after = after.map(|after| after.0);
    let found = message::blocking(move || node.deposits(&key, after.as_ref(), limit)).await?;
    let Deposits { key, items, more } = found.ok_or_else(caller::no_person)?;
    let next = items.last().filter(|_| more).map(|(record, _)| record.clone());
    let rows: Vec<_> = items.iter().map(|(record, kept)| kept.origin(record).row(&str::to_owned)).collect();
    Ok(message::uncached().json(json!({ "key": key, "deposits": rows, "next": next })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnKey {
    /// `age1...`, or null to take it back.
    age: Option<String>,
}

/// `POST /v1/subjects/me/deposit-key`
pub(in crate::http) async fn own_key(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let bad = "send `age`: an age recipient (age1...), or null";
    let asked: OwnKey = message::json(&request, payload, bad).await?;
    let no_key = || Problem::new(sort::BAD_JSON, bad);
    let age = asked.age.as_deref().map(|text| AgeKey::parse(text).ok_or_else(no_key)).transpose()?;
    let node = Arc::clone(&shared.node);
    if !message::blocking(move || node.set_age_key(&key, age.as_ref())).await? {
        return Err(caller::no_person());
    }
    Ok(message::uncached().json(json!({ "age": asked.age })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    party: PartyId,
}

/// `POST /v1/subjects/me/sources`
pub(in crate::http) async fn pull(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let Source { party } = message::json(&request, payload, "send `party`: who is to be asked").await?;
    let node = Arc::clone(&shared.node);
    let pulled = message::blocking(move || node.pull_registered(&key, &party)).await?;
    let refused: Vec<_> =
        pulled.refused.iter().map(|(item, why)| json!({ "item": item, "why": why })).collect();
    Ok(message::uncached().json(json!({
        "kept": pulled.kept, "before": pulled.before, "more": pulled.more, "refused": refused,
    })))
}
