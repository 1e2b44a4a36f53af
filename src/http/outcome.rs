//! What became of a statement, in CBOR or JSON.
//!
//! CBOR keys stand in the order of RFC 8949 section 4.2.1. In JSON the id is hex, as
//! in addresses; all other byte strings are base64url without padding.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::http::Problem;
use crate::http::request;
use crate::ledger::cbor::Writer;
use crate::model::statement::Kind;
use crate::node::Accepted;
use crate::node::incidents::HeldBack;

/// Status of a newly recorded statement.
const CREATED: u16 = 201;
/// Status of one that was here before.
const AGAIN: u16 = 200;

/// 201, or 200 for a duplicate.
pub(in crate::http) const fn status(accepted: &Accepted) -> u16 {
    if accepted.duplicate { AGAIN } else { CREATED }
}

/// Whether a result stands alone or in a batch, where it carries its own status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Within {
    Answer,
    Batch,
}

/// Where a person opens what was recorded, if it is a request.
fn address(accepted: &Accepted) -> Option<String> {
    (accepted.kind == Kind::ConsentRequest).then(|| request::address(&accepted.id))
}

/// `{at, id, k1?, k2?, held?, path, entry, index, inert?, status?, address?, erasure?, promise}`
pub(in crate::http) fn accepted_cbor(out: Writer, accepted: &Accepted, within: Within) -> Writer {
    let halves = usize::from(accepted.k1.is_some()) + usize::from(accepted.k2.is_some());
    let address = address(accepted);
    let extra = usize::from(accepted.inert.is_some())
        + usize::from(within == Within::Batch)
        + usize::from(address.is_some())
        + usize::from(accepted.erasure.is_some())
        + usize::from(!accepted.held.is_empty());
    let mut out = out.map(6 + halves + extra).text("at").uint(accepted.at.0).text("id").bytes(&accepted.id.0);
    for (name, half) in [("k1", &accepted.k1), ("k2", &accepted.k2)] {
        if let Some(half) = half {
            out = out.text(name).bytes(half);
        }
    }
    if !accepted.held.is_empty() {
        out = held_cbor(out.text("held"), &accepted.held);
    }
    out = out.text("path").array(accepted.path.len());
    for hash in &accepted.path {
        out = out.bytes(hash);
    }
    out = out.text("entry").bytes(&accepted.entry).text("index").uint(accepted.index);
    if let Some(why) = accepted.inert {
        out = out.text("inert").text(why.as_str());
    }
    if within == Within::Batch {
        out = out.text("status").uint(status(accepted).into());
    }
    if let Some(address) = &address {
        out = out.text("address").text(address);
    }
    if let Some(erased) = &accepted.erasure {
        out = out.text("erasure").map(3).text("at").uint(erased.here.0);
        out = out.text("index").uint(erased.certificate).text("backups").uint(erased.backups.0);
    }
    out.text("promise").bytes(&accepted.promise)
}

/// `[{until, records, regulator}]`
fn held_cbor(out: Writer, held: &[HeldBack]) -> Writer {
    let mut out = out.array(held.len());
    for one in held {
        out = out.map(3).text("until").uint(one.until.0).text("records").array(one.records.len());
        for id in &one.records {
            out = out.bytes(&id.0);
        }
        out = out.text("regulator").text(one.regulator.as_str());
    }
    out
}

/// How many bytes a result takes at most in CBOR.
pub(in crate::http) fn cbor_size(accepted: &Accepted) -> usize {
    let held = |one: &HeldBack| 64 + 34 * one.records.len() + one.regulator.as_str().len();
    let held: usize = accepted.held.iter().map(held).sum();
    384 + accepted.entry.len() + accepted.promise.len() + 34 * accepted.path.len() + held
}

/// `{code, title, detail, status}`
pub(in crate::http) fn problem_cbor(out: Writer, problem: &Problem) -> Writer {
    out.map(4)
        .text("code")
        .text(problem.code())
        .text("title")
        .text(problem.title())
        .text("detail")
        .text(problem.detail())
        .text("status")
        .uint(problem.status().into())
}

/// A result as JSON.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::http) enum Json<'a> {
    Accepted(Box<Recorded>),
    Problem { status: u16, code: &'a str, title: &'a str, detail: &'a str },
}

/// A recorded statement as JSON.
#[derive(Serialize)]
pub(in crate::http) struct Recorded {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    id: String,
    index: u64,
    at: u64,
    entry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    k1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erasure: Option<Erasure>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<Held>,
    promise: String,
    path: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inert: Option<&'static str>,
}

/// What is kept from an erasure, for which regulator, and until when at most.
#[derive(Serialize)]
struct Held {
    regulator: String,
    until: u64,
    records: Vec<String>,
}

/// Since when nothing of a person can be read here, by which certificate, and until when at most elsewhere.
#[derive(Serialize)]
struct Erasure {
    at: u64,
    index: u64,
    backups: u64,
}

fn held_json(held: &HeldBack) -> Held {
    Held {
        regulator: held.regulator.as_str().to_owned(),
        until: held.until.0,
        records: held.records.iter().map(ToString::to_string).collect(),
    }
}

/// A recorded statement for JSON.
pub(in crate::http) fn accepted_json(accepted: &Accepted, within: Within) -> Recorded {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Recorded {
        status: (within == Within::Batch).then(|| status(accepted)),
        id: accepted.id.to_string(),
        index: accepted.index,
        at: accepted.at.0,
        entry: text(&accepted.entry),
        k1: accepted.k1.map(|k| text(&k)),
        k2: accepted.k2.map(|k| text(&k)),
        address: address(accepted),
        erasure: accepted.erasure.map(|erased| Erasure {
            at: erased.here.0,
            index: erased.certificate,
            backups: erased.backups.0,
        }),
        held: accepted.held.iter().map(held_json).collect(),
        promise: text(&accepted.promise),
        path: accepted.path.iter().map(|hash| text(hash)).collect(),
        inert: accepted.inert.map(|why| why.as_str()),
    }
}

/// A problem for JSON, within a batch.
pub(in crate::http) fn problem_json(problem: &Problem) -> Json<'_> {
    Json::Problem {
        status: problem.status(),
        code: problem.code(),
        title: problem.title(),
        detail: problem.detail(),
    }
}
