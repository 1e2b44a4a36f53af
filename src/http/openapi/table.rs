//! What each route takes and answers: one line for each of the table of routes.

use crate::http::openapi::about::About;
use crate::http::openapi::about::Answer;
use crate::http::openapi::about::BODY;
use crate::http::openapi::about::BYTES;
use crate::http::openapi::about::CBOR;
use crate::http::openapi::about::COSE;
use crate::http::openapi::about::Content;
use crate::http::openapi::about::EMPTY;
use crate::http::openapi::about::Errors;
use crate::http::openapi::about::ITEM;
use crate::http::openapi::about::MEDIA;
use crate::http::openapi::about::MISSING;
use crate::http::openapi::about::Media;
use crate::http::openapi::about::NOT_YET;
use crate::http::openapi::about::PARTY;
use crate::http::openapi::about::Param;
use crate::http::openapi::about::QUERY;
use crate::http::openapi::about::SERVER;
use crate::http::openapi::about::cddl;
use crate::http::openapi::about::get;
use crate::http::openapi::about::located;
use crate::http::openapi::about::needed;
use crate::http::openapi::about::ok;
use crate::http::openapi::about::path;
use crate::http::openapi::about::plain;
use crate::http::openapi::about::post;
use crate::http::openapi::about::problems;
use crate::http::openapi::about::query;
use crate::http::openapi::about::shape;
use crate::http::openapi::arrival;
use crate::http::openapi::owed;
use crate::http::openapi::person;
use crate::http::openapi::service;
use crate::http::sort;
use crate::http::sort::Sort;

const STATEMENT: Param = path("id", "StatementId", "Id of the statement.");
const INCIDENT: Param = path("id", "IncidentId", "Id of the incident.");
const COHORT: Param = path("id", "JobId", "Id of the job.");
const WAIT: Param =
    query("wait", "Wait", "`receipt`: answer after a checkpoint covers it, or after half a minute.");
const RECORDED: &[Media] = &[cddl(CBOR, "accepted"), shape("Recorded")];

/// Part of an archive that is made again.
const PART: Answer = Answer {
    status: 206,
    help: "The bytes of the range.",
    media: &[plain("application/zip")],
    located: false,
};
const HAD: Answer = Answer { status: 304, help: "The caller has it.", media: &[], located: false };
/// What may go wrong where an archive is fetched, the first time or again.
const RESUMED: &[&Sort] = &[sort::EXPORT_UNDER_WAY, sort::RANGE, sort::PRECONDITION];

/// An evaluation may carry the asker's own signature (RFC 9421).
const MESSAGES: Errors = Errors::Message {
    statuses: &[400, 401, 403, 413, 500, 503],
    problems: &[sort::REQUEST_SIGNED_BADLY, sort::REQUEST_SIGNATURE],
};

/// One for each route of the table, in its order.
pub(super) fn all() -> impl Iterator<Item = &'static About> {
    ROWS.iter().chain(service::ALL)
}

/// Those of persons, parties and regulators.
const ROWS: &[About] = &[
    post(
        "/access/v1/evaluation",
        "evaluate",
        "May this party do this with this person's data? A denial is an answer, too.",
        &[shape("Evaluation")],
        &[ok("The decision.", &[shape("Decision")])],
        MESSAGES,
    ),
    post(
        "/access/v1/evaluations",
        "evaluateMany",
        "Many questions; what an item leaves out comes from the defaults.",
        &[shape("Evaluations")],
        &[ok("Decisions in order; a bad item is denied alone.", &[shape("OneOrMany")])],
        MESSAGES,
    ),
    post(
        "/v1/statements",
        "submitStatement",
        "Records one signed statement. It is in force when the answer leaves.",
        &[cddl(COSE, "item")],
        &[
            located(201, "Recorded. CBOR, or JSON if `Accept` names it first.", RECORDED),
            located(200, "Recorded before: what the first got.", RECORDED),
        ],
        Errors::Problems { of: &[MEDIA, QUERY, BODY, EMPTY, ITEM], acts: true },
    )
    .asking(&[WAIT]),
    post(
        "/v1/statements:batch",
        "submitStatements",
        "Records many signed statements; each has its own result, in order.",
        &[cddl("application/cbor-seq", "item")],
        &[ok("One result an item.", &[cddl("application/cbor-seq", "accepted"), shape("BatchResults")])],
        problems(&[MEDIA, QUERY, BODY, EMPTY, &[sort::TOO_MANY, sort::MALFORMED_CBOR], SERVER]),
    )
    .asking(&[WAIT]),
    get(
        "/v1/statements/{id}",
        "statement",
        "Where a statement stands in the log.",
        &[STATEMENT],
        &[ok("Its place.", &[shape("Standing")])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/v1/statements/{id}/receipt",
        "statementReceipt",
        "The receipt of a statement's entry (RFC 9942).",
        &[STATEMENT],
        &[ok("A COSE receipt.", &[cddl(COSE, "receipt")])],
        problems(&[MISSING, NOT_YET, SERVER]),
    ),
    get(
        "/v1/statements/{id}/evidence",
        "statementEvidence",
        "Everything the caller may hold to prove a statement: the person all, her controller its half, anybody what is public.",
        &[STATEMENT],
        &[ok("The evidence.", &[cddl(CBOR, "evidence")])],
        problems(&[MISSING, NOT_YET, SERVER]),
    ),
    post(
        "/v1/attachments",
        "storeAttachment",
        "Stores a long text that a statement will name by its hash.",
        &[plain(BYTES)],
        &[located(201, "Stored.", &[shape("Stored")])],
        problems(&[BODY, EMPTY, &[sort::W_PARTY_SUSPENDED], SERVER]),
    ),
    get(
        "/v1/decisions/{id}/evidence",
        "decisionEvidence",
        "The signed form of a decision: its use line, the batch that covers it, a receipt.",
        &[path("id", "DecisionId", "`evaluation_id` of the answer.")],
        &[ok("The evidence.", &[cddl(CBOR, "decision-evidence")])],
        problems(&[MISSING, NOT_YET, SERVER]),
    ),
    get(
        "/v1/subjects/me",
        "myState",
        "What the caller sees of herself: keys, a rebind that waits, and where her slots stand.",
        &[],
        &[ok("What stands.", &[shape("MyState")])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/v1/subjects/me/uses",
        "myUses",
        "Who asked about the caller, for what, when, what was told and by which rule; newest first.",
        &[
            query("after", "DecisionId", "`next` of the page before."),
            query("limit", "Limit", "Lines on the page; 100 if absent."),
        ],
        &[ok("One page.", &[shape("Uses")])],
        problems(&[QUERY, SERVER]),
    ),
    get(
        "/v1/subjects/me/ppids/{party}",
        "myPpid",
        "The caller's own name in a party's domain.",
        &[path("party", "PartyId", "A party, or `self` for the log's own domain.")],
        &[ok("The name.", &[shape("Named")])],
        problems(&[PARTY, SERVER]),
    ),
    get(
        "/v1/subjects/me/export",
        "myExport",
        "Everything kept about the caller, as one archive that can be checked. With `at` and no receiver it has a strong tag and takes ranges.",
        &[
            query("at", "Index", "Size of a published checkpoint; the newest if absent."),
            query("age", "AgeRecipient", "Seal it for an age recipient (X25519)."),
            query(
                "jwe",
                "Jwk",
                "Seal it as a compact JWE (ECDH-ES, A256GCM) to a public P-256 JWK, base64url.",
            ),
            query(
                "cms",
                "Certificate",
                "Seal it as CMS (AuthEnvelopedData, RSAES-OAEP with SHA-256) to an X.509 certificate in DER, base64url.",
            ),
            query("cipher", "CmsCipher", "With `cms`: `aes-256-gcm` if absent, or `aria-256-gcm`."),
        ],
        &[
            ok(
                "A zip, in pieces; sealed if a receiver is named.",
                &[
                    plain("application/zip"),
                    plain("application/octet-stream"),
                    plain("application/jose"),
                    plain("application/cms"),
                ],
            ),
            PART,
            HAD,
        ],
        problems(&[QUERY, MISSING, RESUMED, SERVER]),
    ),
    post(
        "/v1/subjects/me/export/links",
        "linkMyExport",
        "Makes an address of the caller's archive under one checkpoint, with a secret in it, for a day.",
        &[shape("LinkWish")],
        &[Answer {
            status: 201,
            help: "The address: told once.",
            media: &[shape("ExportLink")],
            located: false,
        }],
        problems(&[MEDIA, BODY, &[sort::BAD_JSON], QUERY, MISSING, SERVER]),
    ),
    get(
        "/v1/exports/{id}",
        "linkedExport",
        "The archive that a link leads to. It has a strong tag; with `Range` and `If-Range` what broke off is resumed.",
        &[path("id", "LinkId", "What the address ends in.")],
        &[ok("A zip.", &[plain("application/zip")]), PART, HAD],
        problems(&[MISSING, RESUMED, SERVER]),
    ),
    get(
        "/v1/subjects/me/deposits",
        "myDeposits",
        "What sources have brought of the caller, and the age key it is encrypted to from now on.",
        &[
            query("after", "Record", "The last record seen; the beginning if absent."),
            query("limit", "DepositLimit", "Records on the page: 100 if absent."),
        ],
        &[ok("A page of it.", &[shape("Deposits")])],
        problems(&[QUERY, MISSING, SERVER]),
    ),
    post(
        "/v1/subjects/me/deposit-key",
        "setDepositKey",
        "Names the age key to which everything brought from now on is encrypted, so that the service cannot read it; null takes it back.",
        &[shape("DepositKey")],
        &[ok("What stands.", &[shape("DepositKey")])],
        problems(&[MEDIA, BODY, &[sort::BAD_JSON], MISSING, SERVER]),
    ),
    post(
        "/v1/subjects/me/sources",
        "askSource",
        "Asks a registered party for what it has of the caller, and keeps what she lets in. Asked again, it goes on.",
        &[shape("SourceWish")],
        &[ok("What came of it.", &[shape("Pulled")])],
        problems(&[
            MEDIA,
            BODY,
            &[sort::BAD_JSON, sort::NOT_ASKED, sort::PULL_UNDER_WAY, sort::SOURCE_FAILED],
            SERVER,
        ]),
    ),
    post(
        "/v1/deposits",
        "deposit",
        "Brings an item of a person's, which is hers from then on. The same again is answered as the first was.",
        &[shape("Brought")],
        &[
            Answer { status: 201, help: "Kept, durable.", media: &[shape("Kept")], located: false },
            ok("Kept before: what the first got.", &[shape("Kept")]),
        ],
        problems(&[
            MEDIA,
            BODY,
            &[
                sort::BAD_JSON,
                sort::OTHER_DOMAIN,
                sort::NO_DEPOSIT,
                sort::DEPOSIT_DIFFERS,
                sort::DEPOSITS_FULL,
                sort::ORIGINAL_REFUSED,
            ],
            SERVER,
        ]),
    ),
    post(
        "/v1/cohorts",
        "beginCohort",
        "Asks one question about many persons, as a job. The body has one ppid a line.",
        &[plain("text/plain")],
        &[located(202, "The job was begun.", &[shape("Cohort")])],
        problems(&[
            MEDIA,
            QUERY,
            BODY,
            &[sort::TOO_MANY_COHORTS, sort::NOT_FOUND, sort::WRONG_CALLER],
            SERVER,
        ]),
    )
    .asking(&[
        query("controller", "PartyId", "In whose domain the ppids are; the caller if absent."),
        needed(query("action", "AskedAction", "What would be done.")),
        needed(query("purpose", "Purpose", "What for.")),
        needed(query("class", "DataClass", "Class of the data.")),
        query("categories", "Categories", "Separated by commas."),
        query("recipient", "PartyId", "Who would receive the data."),
        query("jurisdiction", "Text", "Where it would be done."),
    ]),
    get(
        "/v1/cohorts/{id}",
        "cohort",
        "How far a job has come.",
        &[COHORT],
        &[ok("Its state.", &[shape("Cohort")])],
        problems(&[MISSING]),
    ),
    get(
        "/v1/cohorts/{id}/verdicts",
        "cohortVerdicts",
        "One verdict a line, in the order of the input.",
        &[COHORT, query("after", "Count", "The number of the last line that is not wanted.")],
        &[ok("As many as there are.", &[plain("application/x-ndjson")])],
        problems(&[QUERY, MISSING, SERVER]),
    ),
    get(
        "/v1/cohorts/{id}/summary",
        "cohortSummary",
        "The log's signature over question, input and verdicts.",
        &[COHORT],
        &[ok("A signed summary.", &[cddl(COSE, "cohort")])],
        problems(&[MISSING, &[sort::COHORT_NOT_DONE], SERVER]),
    ),
    person::MY_EXCEPTIONS,
    person::MY_TRANSFERS,
    person::TRANSFER,
    arrival::EXPECTED,
    arrival::EXPECT,
    arrival::TAKE,
    arrival::COMPLETE,
    arrival::FAILED,
    arrival::ENDED,
    owed::MY_DUTIES,
    owed::MY_RIGHTS,
    owed::MY_VALUE,
    owed::OWN,
    get(
        "/v1/incidents",
        "incidents",
        "Incidents: to a regulator those of its scope, to a party those it is accused in, to a person her complaints.",
        &[],
        &[ok("All of them.", &[shape("Incidents")])],
        problems(&[SERVER]),
    ),
    get(
        "/v1/incidents/{id}",
        "incident",
        "One incident, with what was found.",
        &[INCIDENT],
        &[ok("The incident.", &[shape("IncidentWithFinding")])],
        problems(&[MISSING, SERVER]),
    ),
    post(
        "/v1/incidents/{id}/documents",
        "keepDocument",
        "Keeps a document that a step of the incident names by its hash.",
        &[plain(BYTES)],
        &[located(201, "Kept.", &[shape("Stored")])],
        problems(&[BODY, EMPTY, MISSING, SERVER]),
    )
    .asking(&[INCIDENT]),
    get(
        "/v1/incidents/{id}/documents/{hash}",
        "document",
        "A document of an incident.",
        &[INCIDENT, path("hash", "Hash", "SHA-256 of the bytes.")],
        &[ok("Its bytes.", &[plain(BYTES)])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/v1/incidents/{id}/dossier",
        "dossier",
        "The draft for a regulator in scope: facts with their proofs, provision, formula.",
        &[INCIDENT, query("format", "DossierFormat", "`json` if absent.")],
        &[ok("The dossier.", &[shape("Dossier"), plain("text/html; charset=utf-8")])],
        problems(&[QUERY, MISSING, NOT_YET, SERVER]),
    ),
    post(
        "/v1/incidents/{id}/openings",
        "openings",
        "Openings of named records for a regulator in scope, each first a use line of the person.",
        &[shape("OpeningsQuestion")],
        &[ok("What became of each record.", &[shape("Openings")])],
        problems(&[MEDIA, BODY, &[sort::BAD_JSON], MISSING, SERVER]),
    )
    .asking(&[INCIDENT]),
    get(
        "/v1/parties/{id}/exceptions",
        "partyExceptions",
        "Statutory exceptions a party claims, and what it owes.",
        &[path("id", "PartyId", "The party.")],
        &[ok("What is claimed.", &[shape("PartyExceptions")])],
        problems(&[PARTY, SERVER]),
    ),
    owed::OF_PARTY,
    get(
        "/v1/parties/{id}/jwks.json",
        "partyKeys",
        "The key a party signs with now; none while it is suspended or closed.",
        &[path("id", "PartyId", "The party.")],
        &[ok(
            "A JWK set (RFC 7517).",
            &[Media { media: "application/jwk-set+json", content: Content::Shape("Jwks") }],
        )],
        problems(&[PARTY, SERVER]),
    ),
    get(
        "/v1/parties/{id}/notices",
        "partyNotices",
        "What a controller asks now: its notices that are not retired.",
        &[path("id", "PartyId", "The party.")],
        &[ok("Its notices.", &[shape("PartyNotices")])],
        problems(&[PARTY, SERVER]),
    ),
    get(
        "/v1/requests/{id}",
        "request",
        "What a controller asks; the address is the right to look.",
        &[path("id", "StatementId", "Id of the request.")],
        &[ok("What is asked, and never by whom it was answered.", &[shape("Request")])],
        problems(&[MISSING, SERVER]),
    ),
    get(
        "/v1/requests/{id}/answer",
        "requestAnswer",
        "What the controller's request was answered, and by which ppid.",
        &[path("id", "StatementId", "Id of the request.")],
        &[ok("The answer, once there is one.", &[shape("RequestAnswer")])],
        problems(&[MISSING, SERVER]),
    ),
    post(
        "/v1/handovers",
        "handOver",
        "By which name a recipient knows a person, if a live grant of hers names it.",
        &[shape("HandoverQuestion")],
        &[ok("The recipient's name for her.", &[shape("Handover")])],
        problems(&[MEDIA, BODY, &[sort::BAD_JSON, sort::OTHER_DOMAIN, sort::NO_HANDOVER], SERVER]),
    ),
    get(
        "/v1/events",
        "events",
        "Statements that concern the caller, in the order of the log: a page, or a stream if `Accept` names it.",
        &[
            query("after", "Index", "The last index seen; the beginning if absent."),
            query("limit", "Count", "Events on the page: 100 if absent, 500 at most."),
            query("only", "Only", "`objections`: those, signals that carry one, and what lifts them."),
            query("wait", "Seconds", "How long a page without news may wait; half a minute at most."),
            query(
                "controller",
                "PartyId",
                "Whose feed: the caller's own if absent, or one it has succeeded to.",
            ),
        ],
        &[ok("What is new.", &[shape("Events"), plain("text/event-stream")])],
        problems(&[
            QUERY,
            &[sort::W_PARTY_SUSPENDED, sort::OTHER_DOMAIN, sort::INDEX_AHEAD, sort::TOO_MANY_LISTENERS],
            SERVER,
        ]),
    ),
];
