//! Every sort of problem this server answers with: code, status, title, two sentences.
//!
//! Codes are stable: clients branch on them. `GET /problems/{code}` reads from here.

use crate::model::decision::Why;

/// One sort of problem.
#[derive(Debug)]
pub(in crate::http) struct Sort {
    /// Stable.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// A few words.
    pub title: &'static str,
    /// What it means, and what to do.
    pub help: &'static str,
}

macro_rules! sorts {
    ($($name:ident $status:literal $code:literal $title:literal $help:literal;)*) => {
        $(pub(in crate::http) const $name: &Sort =
            &Sort { code: $code, status: $status, title: $title, help: $help };)*

        /// All of them.
        pub(in crate::http) const ALL: &[&Sort] = &[$($name),*];
    };
}

sorts! {
    NO_ROUTE 404 "no-route" "There is no such address"
        "The path is none of this server's. Compare it with the list of routes.";
    NO_METHOD 405 "no-method" "The address does not take this method"
        "The path exists, but not for this method. The `Allow` header names the one it takes.";
    NOT_FOUND 404 "not-found" "There is nothing here, or nothing for you"
        "No record of that name can be shown to this caller. Whether there is one is not told.";
    NO_TOKEN 401 "no-token" "A bearer token is needed"
        "This address is not for anonymous callers. Fetch a token from `/oauth/token` and send it in `Authorization`.";
    BAD_TOKEN 401 "bad-token" "The bearer token is not valid"
        "It is not ours, has expired, or its session has ended. Fetch a new one from `/oauth/token`.";
    BAD_PROOF 401 "bad-proof" "The token's owner is not proven"
        "The token is bound to a key, and the `DPoP` header has no fresh proof by it for this method, address and token. Make a new proof for each request, and send the token under `DPoP`.";
    OTHER_CERTIFICATE 401 "other-certificate" "The token belongs to another certificate"
        "It was given over a connection with a client certificate, and is good only over connections that show the same. Connect with that certificate, or fetch a new token.";
    WRONG_CALLER 403 "wrong-caller" "This address is for others"
        "The token is good, but its role may not call this address. Citizens and parties have different ones.";
    TOO_MANY_REQUESTS 429 "too-many-requests" "This caller asks too often"
        "Each party, citizen and address has a share of requests, told in `RateLimit`. Try again after the time in `Retry-After`; closing acts are always taken.";
    BAD_QUERY 400 "bad-query" "The query is not understood"
        "A parameter has a value this address does not know. Compare it with the documentation.";
    MEDIA_TYPE 415 "media-type" "The body has another media type than this address takes"
        "`Content-Type` is missing or not the expected one. The detail names the one to send.";
    TOO_LARGE 413 "too-large" "The body or item is too large"
        "A limit of size was passed. Split the batch, or make the statement smaller by naming attachments.";
    TOO_MANY 413 "too-many-items" "The batch has too many items"
        "One batch takes a limited number of items. Send the rest in another.";
    EMPTY 400 "empty-body" "The body is empty"
        "Something was expected in the body. Send at least one item.";
    BAD_JSON 400 "bad-json" "The body is not the JSON this address takes"
        "A member is missing, unknown, or of another kind than expected. The detail names what to send.";
    BODY_LOST 400 "body-lost" "The body did not arrive whole"
        "The connection ended, stalled or broke its framing before the body was complete. Send it again.";
    MALFORMED_CBOR 400 "malformed-cbor" "The bytes are not deterministic CBOR"
        "They are truncated, nested too deep, or not in the one encoding of RFC 8949 section 4.2.1. Encode them again, with shortest heads and sorted keys.";
    MALFORMED_ENVELOPE 400 "malformed-envelope" "The signature envelope is not one this log takes"
        "A statement comes as a tagged COSE_Sign1 with exactly the headers of the specification. Compare yours with `schemas/naru.cddl`.";
    STATEMENT_SHAPE 400 "statement-shape" "The statement does not have the shape of its type"
        "A field is missing, unknown, or of another kind than its type has. Compare it with `schemas/naru.cddl`.";
    BAD_KEY 400 "bad-key" "The public key is not one this log takes"
        "Keys are Ed25519 or P-256, as SPKI, and the algorithm must be the key's. Check the protected header.";
    BAD_SIGNATURE 400 "bad-signature" "The signature does not hold over these bytes"
        "The bytes were changed after signing, or signed with another key. Sign the statement again.";
    WRONG_TYP 400 "wrong-typ" "The signed media type does not belong here"
        "A login is no statement and a statement is no login. Sign it under the media type of its kind.";
    TOO_MANY_LAYERS 400 "too-many-endorsements" "The item is endorsed too often"
        "At most three endorsements are taken. Send it with those that its type asks for.";
    PASSKEY_REFUSED 400 "passkey-refused" "The passkey's assertion does not hold"
        "It must be made on a page of this log, with the user verified, over the hash of exactly these statements, without extension output. The detail says what is not so.";
    REQUEST_SIGNED_BADLY 400 "request-signature-form" "The request signature is not of the form that is taken"
        "It is one signature over method, target URI and content digest, as the documentation has it. Send that, or none at all.";
    REQUEST_SIGNATURE 401 "request-signature" "The request signature does not hold"
        "It was made with another key, at another time, or over another request. Sign the request again with the registered key.";
    OTHER_AUDIENCE 400 "other-audience" "It was made for another service"
        "The origin or audience in it is not this log's. Make one for this log.";
    OUT_OF_TIME 400 "out-of-time" "It has expired or is not yet valid"
        "Logins and assertions live for at most 60 seconds. Check the clock and make a new one.";
    NOT_A_JWT 400 "not-a-jwt" "The token is not a valid signed JWT"
        "Its form, algorithm or signature is not as expected. Make a new one.";
    IAT_WINDOW 400 "iat-window" "The statement was signed too long ago, or in the future"
        "`iat` must lie within a day back and five minutes ahead of the log's clock. Check the clock and sign again.";
    BUSY 503 "busy" "The queue is full"
        "More statements wait than the log takes in. Try again after the time in `Retry-After`.";
    UNAVAILABLE 503 "unavailable" "The log takes no statements now"
        "The detail and `/readyz` say why. Try again after the time in `Retry-After`; closing acts may still be taken.";
    STORE 503 "store" "The store did not answer"
        "A read or write failed on the server's side. Try again after the time in `Retry-After`.";
    INTERNAL 500 "internal" "Something is wrong on the server's side"
        "It is in the operator's log under this request id. Tell the operator that id.";
    NOT_YET_PUBLISHED 409 "not-yet-published" "No checkpoint covers the statement yet"
        "It is recorded and in force, but the next checkpoint is still to come. Ask again after the time in `Retry-After`.";
    COHORT_NOT_DONE 409 "cohort-not-done" "The cohort has no summary yet"
        "The summary is signed when the last line has its verdict. Look at the job's state and ask again after the time in `Retry-After`.";
    TOO_MANY_COHORTS 429 "too-many-cohorts" "This party has too many cohorts"
        "A party keeps a limited number of jobs. They go when they expire; send larger files, less often.";
    INDEX_AHEAD 409 "index-ahead" "The log does not reach that index"
        "It holds fewer entries than the caller has seen: it was put back, or is another log. Compare its checkpoint with the one you kept.";
    TOO_MANY_LISTENERS 429 "too-many-listeners" "Too many listen at once"
        "A party may hold a few feeds open, and all together some more. Close one, or try again after the time in `Retry-After`.";
    OTHER_DOMAIN 403 "other-domain" "The caller does not act in that domain"
        "A party acts in its own domain, a processor in those of the controllers that engage it. Name the right controller, or have the engagement recorded.";
    NO_HANDOVER 403 "no-handover" "No name is handed over"
        "It takes a live grant of that person to the controller that names the recipient. Whether there is such a person is not told.";
    NO_DEPOSIT 403 "no-deposit" "Nothing lets this item in"
        "It takes a live grant of that person to the controller, or a claimed exception, that covers using such data. Whether there is such a person is not told.";
    DEPOSIT_DIFFERS 409 "deposit-differs" "Another item of that name is kept"
        "A name stands for the same bytes and media type for ever. Give what has changed another name.";
    DEPOSITS_FULL 409 "deposits-full" "The controller has brought as much as it may"
        "What one controller brings of one person is limited in number and bytes. Bring less, or leave it to her transfer demands.";
    ORIGINAL_REFUSED 422 "original-refused" "The bytes are not taken"
        "They are too many, of another kind or in another encoding than the media type says, or of a type that is not taken. The detail says which.";
    NO_CARRIER 401 "no-carrier" "This address is for logs that deliver here"
        "A log is known by the certificate of its connection. Have the operator name it in `receive.from`, and connect with it.";
    NOT_RECEIVING 404 "not-receiving" "No deliveries are taken from that log"
        "This service is a receiver for the logs its operator has named, and for no others. Compare the origin with that log's own.";
    NO_ARRIVAL 404 "no-arrival" "Nobody here expects it"
        "A delivery is taken once its person has told demand and ppid (`POST /v1/subjects/me/arrivals`), and as long as she says. Whether there is such a person is not told.";
    ARRIVAL_TAKEN 409 "arrival-taken" "That demand and ppid are told already"
        "They lead to whoever told them first. Compare the ppid with the one you have at that log for this service.";
    TOO_MANY_ARRIVALS 409 "too-many-arrivals" "No more arrivals can be told"
        "One person tells a limited number, each for at most five years. Name a nearer `until`.";
    DELIVERY_FORM 400 "delivery-form" "The delivery is not of the form that is taken"
        "A header or a part of the address is missing, too long, or of another kind than expected. Compare it with the documentation.";
    DELIVERY_DIFFERS 409 "delivery-differs" "It is not what has arrived"
        "Another item of that name was taken, the numbers or the hash contradict what arrived, or the run is over. Nothing is changed.";
    VIEW_ONLY 409 "view-only" "The demand does not let it be kept"
        "This service keeps what it receives and does nothing else with it. Demand the transfer with the mode `store`.";
    NOT_OPENED 422 "not-opened" "The item does not open here"
        "It is not sealed for this service's key, was changed on its way, or is not what its hash says. Compare the key with the register.";
    NOT_ASKED 404 "not-asked" "That party is not asked from here"
        "It is unknown, has registered no address, or this service calls no parties. Have it bring what it has (`POST /v1/deposits`).";
    PULL_UNDER_WAY 429 "pull-under-way" "Another source is being asked"
        "One is asked at a time. Ask again after the time in `Retry-After`.";
    SOURCE_FAILED 502 "source-failed" "The source gave nothing that can be kept"
        "It did not answer, said no, or said something else than it sent. What was kept before stays; ask again later.";
    EXPORT_UNDER_WAY 429 "export-under-way" "An export of this person is under way"
        "One archive of a person is made at a time. Ask again after the time in `Retry-After`.";
    RANGE 416 "range" "There are no such bytes"
        "The range begins behind the end. `Content-Range` says how many bytes there are.";
    PRECONDITION 412 "precondition" "It is another one than the caller has"
        "`If-Match` names a tag that is not the present one. What was fetched before is no part of it: fetch it from the beginning.";
    PARTY_NOT_FOUND 404 "no-such-party" "There is no such party"
        "No party of that name is registered in this log. The public entries name them all.";
    W_ROLE 403 "role" "The signer's role does not sign this type"
        "Each type of statement has its signers. See the table of types in the documentation.";
    W_KEY_NOT_IN_SET 403 "key-not-in-set" "The key is in no key set that may sign this"
        "The log does not know the key, or not for this person. Enrol first, or sign with a known key.";
    W_KEY_REVOKED 403 "key-revoked" "The key was revoked"
        "What it signs has no effect any more. Sign with a live key.";
    W_KEY_TAKEN 409 "key-taken" "The key already stands somewhere"
        "A key belongs to one person or party for ever. Make a new one.";
    W_NOT_THIS_SUBJECT 403 "not-this-subject" "The ppid names another person"
        "A statement stands under the signer's own ppid in the domain of the party concerned. Ask `/v1/subjects/me/ppids/{party}` for it.";
    W_DELEGATION_ENDED 403 "delegation-ended" "The delegation is not in force"
        "It has ended, was never made, or rests on an attestation that ended. Nobody acts for another without one.";
    W_DELEGATION_SCOPE 403 "delegation-scope" "The delegation does not cover this act"
        "A delegate may do only what the delegation names. Ask for a wider one.";
    W_NOT_GUARDIAN 403 "not-guardian" "No attestation makes the signer a guardian"
        "Guardianship is attested by an identity provider. Have it attested first.";
    W_NOTICE_RETIRED 403 "notice-retired" "The notice is retired"
        "No new consent rests on a retired notice. Show the person the current one.";
    W_NOTICE_MISMATCH 403 "notice-mismatch" "The notice does not say this"
        "There is no such notice, or the grant goes beyond it. A grant stays within the notice that was shown.";
    W_NOTICE_INCOMPLETE 403 "notice-incomplete" "The notice or registration does not say all it must"
        "The pack in force lists what a notice and a registration must say. Complete it and sign again.";
    W_REQUIRED_CATEGORY 403 "required-category" "A required category is missing"
        "The notice marks a category as required that the grant leaves out. Only optional ones may be left out.";
    W_PARTY_SUSPENDED 403 "party-suspended" "The party is suspended or closed"
        "It may not open anything while that lasts. Closing acts are still taken.";
    W_PARTY_UNKNOWN 403 "party-unknown" "There is no such party"
        "The statement names a party that is not registered. Register it first.";
    W_NAME_TAKEN 409 "name-taken" "The name stands already"
        "Somebody registered it first. Choose another.";
    W_SUPERSEDED 409 "superseded" "Another statement was applied to the slot in between"
        "`over` is not the last statement of the slot. Look at its state and sign again over the newest.";
    W_OBJECTED 409 "objected" "A standing objection covers the slot"
        "While it stands nothing it covers can be granted. The person lifts it first.";
    W_STATE 409 "state" "The slot's state does not allow this act"
        "Another state is needed for it. See the table of states in the documentation.";
    W_PACK 403 "pack" "The policy pack in force refuses it"
        "A rule of the pack forbids what the statement asks. The pack is published in the log.";
    W_ATTACHMENT_MISSING 403 "attachment-missing" "An attachment it names is not stored"
        "Attachments are stored before the statement that names them. Send it to `/v1/attachments` first.";
    W_VOCABULARY 403 "vocabulary" "The purpose or category is not in the vocabulary"
        "Purposes and categories are terms of the published vocabulary. Choose one of those.";
    W_ENDORSEMENT 403 "endorsement" "A needed endorsement is missing or of the wrong party"
        "Some types need a second signature, in the order of the table. Have it endorsed.";
    W_SECOND_OPERATOR 403 "second-operator" "The second operator key has not signed"
        "The log has two operator keys. This act needs an endorsement by each of them: have the other one endorse, too.";
    W_KEY_NOT_HELD 403 "key-not-held" "The service does not hold the key that would sign from here on"
        "A rotation is taken once the service has the new private key. Begin it with `naru rotate --log-key`.";
    W_LINK 403 "link" "It does not answer this request"
        "There is no such request, it has ended, it asks for something else, or somebody else has answered it. Ask the controller for a new one.";
    W_COUNT 409 "transfer-count" "The numbers contradict what was delivered"
        "A confirmation names as many announced items as the sender's `transfer.deliver` of that run. Compare both and sign again.";
    W_MORE 409 "more-than-delivered" "More is confirmed than was delivered"
        "A receiver confirms at most as many items as were delivered in that run. Count what arrived and sign again.";
    W_NOT_OWED 403 "not-owed" "The party owes nothing by this act or request"
        "There is none, or it concerns others. Look at what the caller owes at `/v1/duties`.";
    W_DATES 403 "dates" "The dates contradict each other"
        "An end lies before its beginning, or beyond what the notice allows. Correct them and sign again.";
    W_TOO_SOON 403 "too-soon" "It would take force at an instant that is past or too near"
        "A policy pack is published at least a day before it takes force. Name a later instant and sign again.";
    W_REPLAY 403 "replay" "The replay it names cannot have come to that"
        "It says more changes than it asked, or a log or a span that did not end before it was recorded. Name what the replay's own output says.";
    W_GENESIS 403 "genesis" "Genesis stands at index 0, and only there"
        "A log is created once. Nothing else may stand first.";
    W_NOT_SERVED 403 "not-served" "This version has no rules for the type yet"
        "The type is known, but what it would do is not built. It is refused rather than recorded without effect.";
}

/// The sort of an ineffective statement.
pub(in crate::http) const fn of_why(why: Why) -> &'static Sort {
    match why {
        Why::Role => W_ROLE,
        Why::KeyNotInSet => W_KEY_NOT_IN_SET,
        Why::KeyRevoked => W_KEY_REVOKED,
        Why::KeyTaken => W_KEY_TAKEN,
        Why::NotThisSubject => W_NOT_THIS_SUBJECT,
        Why::DelegationEnded => W_DELEGATION_ENDED,
        Why::DelegationScope => W_DELEGATION_SCOPE,
        Why::NotGuardian => W_NOT_GUARDIAN,
        Why::NoticeRetired => W_NOTICE_RETIRED,
        Why::NoticeMismatch => W_NOTICE_MISMATCH,
        Why::NoticeIncomplete => W_NOTICE_INCOMPLETE,
        Why::RequiredCategory => W_REQUIRED_CATEGORY,
        Why::PartySuspended => W_PARTY_SUSPENDED,
        Why::PartyUnknown => W_PARTY_UNKNOWN,
        Why::NameTaken => W_NAME_TAKEN,
        Why::Superseded => W_SUPERSEDED,
        Why::Objected => W_OBJECTED,
        Why::State => W_STATE,
        Why::Pack => W_PACK,
        Why::AttachmentMissing => W_ATTACHMENT_MISSING,
        Why::Vocabulary => W_VOCABULARY,
        Why::Endorsement => W_ENDORSEMENT,
        Why::SecondOperator => W_SECOND_OPERATOR,
        Why::KeyNotHeld => W_KEY_NOT_HELD,
        Why::Link => W_LINK,
        Why::Count => W_COUNT,
        Why::MoreThanDelivered => W_MORE,
        Why::NotOwed => W_NOT_OWED,
        Why::Dates => W_DATES,
        Why::TooSoon => W_TOO_SOON,
        Why::Replay => W_REPLAY,
        Why::Genesis => W_GENESIS,
        Why::NotServed => W_NOT_SERVED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code_and_status() {
        for why in Why::ALL {
            let sort = of_why(*why);
            assert_eq!(sort.code, why.as_str());
            assert_eq!(sort.status, if why.is_conflict() { 409 } else { 403 }, "{}", sort.code);
        }
    }

    #[test]
    fn codes_are_unique_and_explained_in_two_sentences() {
        let codes: std::collections::BTreeSet<_> = ALL.iter().map(|s| s.code).collect();
        assert_eq!(codes.len(), ALL.len());
        for sort in ALL {
            assert!(sort.help.ends_with('.') && sort.help.contains(". "), "{}", sort.code);
            assert!(!sort.title.ends_with('.'), "{}", sort.code);
        }
    }
}
