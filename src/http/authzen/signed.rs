//! The asker's own signature over an evaluation request, if it sends one (RFC 9421).
//!
//! Its form and the digest of the body are checked at once; the signature itself for one
//! request in 256, drawn by the node, and always before anything is said to the asker's
//! charge. What is handed on is kept with each line.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web;

use crate::http::Shared;
use crate::http::authzen::Fault;
use crate::http::sort;
use crate::identity::request;
use crate::identity::request::Headers;
use crate::identity::request::Request;
use crate::identity::request::Signed;
use crate::model::id::PartyId;

/// A signed request, as it is kept with each of its lines: shared, not copied.
pub(super) type Kept = Arc<Vec<u8>>;

fn refused(error: &request::Error) -> Fault {
    let sort = match error {
        request::Error::Form { .. } | request::Error::Digest | request::Error::Kept => {
            sort::REQUEST_SIGNED_BADLY
        }
        request::Error::Key
        | request::Error::Time
        | request::Error::Signature
        | request::Error::OtherQuestion => sort::REQUEST_SIGNATURE,
    };
    Fault {
        status: sort.status,
        message: error.to_string(),
        challenge: None,
        sort: Some(sort),
        retry_after_s: None,
    }
}

/// The request's signature; `None` if there is none, or its body is too large to be kept.
pub(super) async fn of(
    request: &HttpRequest,
    party: &PartyId,
    body: &[u8],
    shared: &web::Data<Shared>,
) -> Result<Option<Kept>, Fault> {
    let one = |name: &str| {
        let mut all = request.headers().get_all(name);
        // A field given twice is no form that is taken: an empty value is refused like one.
        all.next().map(|first| if all.next().is_some() { "" } else { first.to_str().unwrap_or("") })
    };
    let headers =
        Headers { digest: one("content-digest"), input: one("signature-input"), signature: one("signature") };
    if headers.input.is_none() && headers.signature.is_none() {
        return Ok(None);
    }
    let target = format!("{}{}", shared.base_url, request.uri());
    let asked = Request { method: request.method().as_str(), target: &target, body };
    let Some(signed) = Signed::read(headers, asked).map_err(|error| refused(&error))? else {
        return Ok(None);
    };
    let kept = signed.kept().map(Arc::new);
    if shared.node.draws(&signed) {
        let (node, party) = (Arc::clone(&shared.node), party.clone());
        let verified = web::block(move || node.verify_request(&party, &signed)).await;
        match verified {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => return Err(refused(&error)),
            Ok(Err(_)) | Err(_) => return Err(Fault::later("the signature could not be verified")),
        }
    }
    Ok(kept)
}
