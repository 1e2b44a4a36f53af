//! `/v1/subjects/me/export`: her archive, as fast as she takes it.
//!
//! A thread of its own writes it; between the two stand a few pieces and no more,
//! so a slow reader holds the writer back and a reader who is gone ends it. An
//! archive that breaks off lacks its last chunk and its directory. Sealed for a receiver
//! it lacks its end, too. No passphrase is taken here: an address is no place for one.
//!
//! Where the checkpoint is named (`at`, or by a link) the plain archive is measured before its first
//! byte goes out: then it has a length, a strong tag and ranges, and what broke off is resumed.
//! That costs a second pass; without `at` there is one, and no tag.

use std::io;
use std::io::Write;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::BodySize;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::range;
use crate::http::range::Wanted;
use crate::http::sort;
use crate::node;
use crate::node::Content;
use crate::node::Export;
use crate::node::Measured;
use crate::node::NoExport;
use crate::node::Receiver;
use crate::node::Refused;

const ZIP: &str = "application/zip";
/// Source: RFC 9530 section 3
const REPR_DIGEST: &str = "repr-digest";
/// Bytes that go out together.
const PIECE: usize = 64 << 10;
/// Pieces that may wait for the reader.
const WAITING: usize = 4;
/// Longest time a reader takes no piece.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which the next export may be asked for.
const AGAIN_S: u64 = 5;

impl From<NoExport> for Problem {
    fn from(no: NoExport) -> Self {
        match no {
            NoExport::Unknown => caller::no_person(),
            NoExport::Busy => Self::new(sort::EXPORT_UNDER_WAY, "wait for the other one to end, or end it")
                .retry_after(AGAIN_S),
            NoExport::Size => {
                Self::new(sort::BAD_QUERY, "`at` is the size of a published checkpoint, from 2 on")
            }
            NoExport::Node(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    at: Option<u64>,
    /// An age recipient: `age1...`.
    age: Option<String>,
    /// A public JWK, base64url.
    jwe: Option<String>,
    /// An X.509 certificate in DER, base64url.
    cms: Option<String>,
    /// The cipher of CMS, if another than AES.
    cipher: Option<Cipher>,
}

/// Ciphers that CMS may be asked for with.
#[derive(Clone, Copy, Deserialize)]
enum Cipher {
    #[serde(rename = "aes-256-gcm")]
    Aes,
    #[serde(rename = "aria-256-gcm")]
    Aria,
}

/// For whom the archive is sealed, if for anybody.
fn receiver(query: &Query) -> Result<Option<Receiver>, Problem> {
    let refused = |refused: Refused| Problem::new(sort::BAD_QUERY, refused.to_string());
    let Query { age, jwe, cms, cipher, .. } = query;
    let receiver = match (age, jwe, cms, cipher) {
        (None, None, None, None) => return Ok(None),
        (Some(recipient), None, None, None) => Receiver::age(recipient),
        (None, Some(jwk), None, None) => {
            URL_SAFE_NO_PAD.decode(jwk).map_err(|_| Refused::Jwk).and_then(|json| Receiver::jwk(&json))
        }
        (None, None, Some(certificate), cipher) => {
            let content = match cipher {
                Some(Cipher::Aria) => Content::Aria256Gcm,
                Some(Cipher::Aes) | None => Content::Aes256Gcm,
            };
            let der = URL_SAFE_NO_PAD.decode(certificate).map_err(|_| Refused::Certificate);
            der.and_then(|der| Receiver::certificate(&der, content))
        }
        _ => {
            return Err(Problem::new(
                sort::BAD_QUERY,
                "one of `age`, `jwe`, `cms`; `cipher` only with `cms`",
            ));
        }
    };
    receiver.map(Some).map_err(refused)
}

/// `GET /v1/subjects/me/export`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let wrong = |_| {
        Problem::new(
            sort::BAD_QUERY,
            "`at` is the size of a published checkpoint, `age` a recipient, `jwe` a JWK and `cms` a certificate in \
             base64url, `cipher` aes-256-gcm or aria-256-gcm",
        )
    };
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(wrong)?.into_inner();
    let receiver = receiver(&query)?;
    let node = Arc::clone(&shared.node);
    let export = message::blocking(move || node.export(&key, query.at)).await?;
    match receiver {
        None if query.at.is_some() => measured(&request, export).await,
        receiver => whole(export, receiver),
    }
}

/// An archive as it is made, in chunks.
fn whole(export: Export, receiver: Option<Receiver>) -> Result<HttpResponse, Problem> {
    let (media_type, ending) = match receiver.as_ref().map(Receiver::suite) {
        None => (ZIP, String::new()),
        Some(suite) => (suite.media_type(), format!(".{}", suite.ending())),
    };
    let name = named(export.size(), &ending);
    let what = receiver.map_or(What::Whole, What::Sealed);
    let body = Pieces::of(export, what).map_err(Problem::internal)?;
    Ok(message::uncached()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::ACCEPT_RANGES, "none"))
        .body(body))
}

fn named(size: u64, ending: &str) -> String {
    format!("attachment; filename=\"mydata-{size}.zip{ending}\"")
}

/// An archive of known length and hash, or the part of it that is asked for.
async fn measured(request: &HttpRequest, export: Export) -> Result<HttpResponse, Problem> {
    let (export, measured) = message::blocking(move || {
        let measured = export.measure()?;
        Ok::<_, node::Error>((export, measured))
    })
    .await?;
    let Measured { bytes, sha256 } = measured;
    let etag = format!("\"{sha256}\"");
    let (mut answer, part) = match range::wanted(request.headers(), &etag, bytes) {
        Wanted::Whole => (HttpResponse::Ok(), 0..bytes),
        Wanted::Part(part) => (HttpResponse::PartialContent(), part),
        Wanted::Beyond => {
            let all = format!("bytes */{bytes}");
            return Err(Problem::new(sort::RANGE, "the archive is shorter").with(header::CONTENT_RANGE, all));
        }
        Wanted::Other => return Err(Problem::new(sort::PRECONDITION, "it is another archive now")),
        Wanted::Had => return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish()),
    };
    if part != (0..bytes) {
        let range = format!("bytes {}-{}/{bytes}", part.start, part.end - 1);
        answer.insert_header((header::CONTENT_RANGE, range));
    }
    let name = named(export.size(), "");
    let body = Pieces::of(export, What::Part(measured, part)).map_err(Problem::internal)?;
    Ok(answer
        .insert_header((header::CONTENT_TYPE, ZIP))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::ETAG, etag))
        .insert_header((REPR_DIGEST, format!("sha-256=:{}:", STANDARD.encode(sha256.0))))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    at: Option<u64>,
}

/// `POST /v1/subjects/me/export/links`
pub(in crate::http) async fn link(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let bad = "send `{}`, or `at`: the size of a published checkpoint";
    let asked: Asked = message::json(&request, payload, bad).await?;
    let node = Arc::clone(&shared.node);
    let link = message::blocking(move || node.link_export(&key, asked.at)).await?;
    let address = format!("{}/v1/exports/{}", shared.base_url, link.token);
    Ok(message::uncached_as(StatusCode::CREATED)
        .json(serde_json::json!({ "address": address, "size": link.size, "until": link.until.0 })))
}

/// `GET /v1/exports/{id}`
pub(in crate::http) async fn linked(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    // The link is the right: who sends a token besides is not asked.
    let token = request.match_info().get("id").unwrap_or_default().to_owned();
    let node = Arc::clone(&shared.node);
    let export = message::blocking(move || node.linked_export(&token)).await.map_err(|problem| {
        if problem.code() == sort::NOT_FOUND.code {
            Problem::new(sort::NOT_FOUND, "no such link, or it has ended")
        } else {
            problem
        }
    })?;
    measured(&request, export).await
}

type Piece = Result<Bytes, node::Error>;

/// Gathers what is written into pieces, and waits for the reader.
struct Out {
    piece: Vec<u8>,
    send: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Out {
    fn hand_over(&self, piece: Piece) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone or takes nothing");
        let sent = self.runtime.block_on(async { timeout(PATIENCE, self.send.send(piece)).await });
        sent.map_err(|_| gone())?.map_err(|_| gone())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.hand_over(Ok(piece.into()))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Nothing: the last piece leaves when all is done.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What of an archive goes out.
enum What {
    Whole,
    Sealed(Receiver),
    Part(Measured, Range<u64>),
}

/// An archive on its way out, and how many bytes of it.
struct Pieces(mpsc::Receiver<Piece>, BodySize);

impl Pieces {
    fn of(export: Export, what: What) -> io::Result<Self> {
        let (send, receive) = mpsc::channel(WAITING);
        let size = match &what {
            What::Part(_, part) => BodySize::Sized(part.end - part.start),
            What::Whole | What::Sealed(_) => BodySize::Stream,
        };
        let mut out = Out { piece: Vec::with_capacity(PIECE), send, runtime: Handle::current() };
        thread::Builder::new().name("export".into()).spawn(move || {
            let written = match what {
                What::Whole => export.write(&mut out),
                What::Sealed(receiver) => export.write_for(&receiver, &mut out),
                What::Part(measured, part) => export.write_part(measured, part, &mut out),
            };
            // The next of hers may begin before the reader has the end of this one.
            drop(export);
            match written {
                // A reader who is gone by now has no use for it.
                Ok(()) => drop(out.send()),
                Err(error) => {
                    tracing::warn!(cause = %error, "an export broke off");
                    // Without it the reader would take what came for the whole.
                    drop(out.hand_over(Err(error)));
                }
            }
        })?;
        Ok(Self(receive, size))
    }
}

impl MessageBody for Pieces {
    type Error = node::Error;

    fn size(&self) -> BodySize {
        self.1
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
