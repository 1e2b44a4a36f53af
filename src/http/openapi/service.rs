//! What the service itself takes and answers: tokens, searches, the public log, health.

use crate::http::openapi::about::About;
use crate::http::openapi::about::Answer;
use crate::http::openapi::about::BODY;
use crate::http::openapi::about::BYTES;
use crate::http::openapi::about::CBOR;
use crate::http::openapi::about::Content;
use crate::http::openapi::about::Errors;
use crate::http::openapi::about::JSON;
use crate::http::openapi::about::MEDIA;
use crate::http::openapi::about::MISSING;
use crate::http::openapi::about::Media;
use crate::http::openapi::about::QUERY;
use crate::http::openapi::about::SERVER;
use crate::http::openapi::about::TEXT;
use crate::http::openapi::about::cddl;
use crate::http::openapi::about::get;
use crate::http::openapi::about::ok;
use crate::http::openapi::about::path;
use crate::http::openapi::about::plain;
use crate::http::openapi::about::post;
use crate::http::openapi::about::problems;
use crate::http::openapi::about::shape;
use crate::http::sort;

const SEARCH_MESSAGES: Errors = Errors::Message { statuses: &[400, 401, 403, 413, 500, 503], problems: &[] };
const LIST_MESSAGES: Errors =
    Errors::Message { statuses: &[400, 401, 403, 413, 500, 501, 503], problems: &[] };

/// The rest of the routes of the table, in its order.
pub(super) const ALL: &[About] = &[
    post(
        "/oauth/token",
        "token",
        "A token: for a party by a signed assertion (RFC 7523), for a citizen by a signed login; with a `DPoP` proof, bound to its key.",
        &[Media { media: "application/x-www-form-urlencoded", content: Content::Shape("TokenRequest") }],
        &[ok("A bearer token, or one that needs proofs.", &[shape("Token")])],
        Errors::OAuth(&[400, 401, 500, 503]),
    ),
    post(
        "/oauth/introspect",
        "introspect",
        "Whether a party's token is good, and what must be shown beside it (RFC 7662).",
        &[Media {
            media: "application/x-www-form-urlencoded",
            content: Content::Shape("IntrospectionRequest"),
        }],
        &[ok("What it says; of any other token, that it is not active.", &[shape("Introspection")])],
        problems(&[MEDIA, QUERY, BODY]),
    ),
    post(
        "/access/v1/search/subject",
        "searchSubjects",
        "Which parties may do this with this person's data, as far as the caller's own domain shows it.",
        &[shape("SubjectSearch")],
        &[ok("Parties; never a total.", &[shape("Found")])],
        SEARCH_MESSAGES,
    ),
    post(
        "/access/v1/search/resource",
        "searchResources",
        "Of which persons of the domain the party may do this.",
        &[shape("ResourceSearch")],
        &[ok("A page of persons; never a total.", &[shape("Found")])],
        LIST_MESSAGES,
    ),
    post(
        "/access/v1/search/action",
        "searchActions",
        "What the party may do with this person's data.",
        &[shape("ActionSearch")],
        &[ok("Actions; never a total.", &[shape("Found")])],
        SEARCH_MESSAGES,
    ),
    get(
        "/.well-known/authzen-configuration",
        "authzenConfiguration",
        "Where the permission check is (AuthZEN 1.0).",
        &[],
        &[ok("The metadata.", &[shape("Metadata")])],
        problems(&[]),
    ),
    get(
        "/.well-known/security.txt",
        "securityTxt",
        "Whom to tell of a weakness (RFC 9116).",
        &[],
        &[ok("The file.", &[plain(TEXT)])],
        problems(&[MISSING]),
    ),
    get(
        "/.well-known/gpc.json",
        "gpc",
        "That this service honours Global Privacy Control.",
        &[],
        &[ok("The statement.", &[shape("Gpc")])],
        problems(&[]),
    ),
    get(
        "/.well-known/naru-rebinds",
        "rebinds",
        "How often key sets were bound anew by an identity provider and the operator, by month that is over.",
        &[],
        &[ok("The counts.", &[shape("Rebinds")])],
        problems(&[]),
    ),
    get(
        "/openapi.json",
        "openapi",
        "This document.",
        &[],
        &[ok("OpenAPI 3.1.", &[plain(JSON)])],
        problems(&[]),
    ),
    get(
        "/log/checkpoint",
        "checkpoint",
        "The newest checkpoint (C2SP tlog-checkpoint).",
        &[],
        &[ok("A signed note.", &[plain(TEXT)])],
        problems(&[]),
    ),
    get(
        "/log/rotations",
        "rotations",
        "Public evidence of every rotation of the log key, in order: whoever knows one key knows them all.",
        &[],
        &[ok("The list, empty if the log has had one key.", &[cddl(CBOR, "rotations")])],
        problems(&[SERVER]),
    ),
    get(
        "/log/tile/{path:.*}",
        "tile",
        "A tile of hashes or a bundle of entries (C2SP tlog-tiles).",
        &[path(
            "path",
            "TilePath",
            "`<level>/<index>[.p/<width>]` or `entries/<index>[.p/<width>]`, slashes not escaped.",
        )],
        &[ok("It never changes.", &[plain(BYTES)])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/log/attachments/{hash}",
        "attachment",
        "A long text that a statement names: a notice, a policy pack.",
        &[path("hash", "Hash", "SHA-256 of the bytes.")],
        &[ok("It never changes.", &[plain(BYTES)])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/problems/{code}",
        "problem",
        "What a problem means and what to do.",
        &[path("code", "Code", "`code` of the problem.")],
        &[ok("Two sentences.", &[plain(TEXT)])],
        problems(&[MISSING]),
    ),
    get(
        "/livez",
        "live",
        "Whether the process answers.",
        &[],
        &[ok("It does.", &[plain(TEXT)])],
        problems(&[]),
    ),
    get(
        "/readyz",
        "ready",
        "Whether the log takes statements.",
        &[],
        &[
            ok("It does.", &[shape("Ready")]),
            Answer {
                status: 503,
                help: "It does not, and says why.",
                media: &[shape("Ready")],
                located: false,
            },
        ],
        problems(&[]),
    ),
    get(
        "/metrics",
        "metrics",
        "Figures for Prometheus, without any name of a person.",
        &[],
        &[ok("Text format 0.0.4.", &[plain("text/plain; version=0.0.4")])],
        problems(&[&[sort::INTERNAL]]),
    ),
];
