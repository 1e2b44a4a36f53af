//! `/v1/subjects/me/export`: her archive, as fast as she takes it.
//!
//! A thread of its own writes it; between the two stand a few pieces and no more,
//! so a slow reader holds the writer back and a reader who is gone ends it. An
//! archive that breaks off lacks its last chunk and its directory. Sealed for a receiver
//! it lacks its end, too. No passphrase is taken here: an address is no place for one.

use std::io;
use std::io::Write;
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
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::node;
use crate::node::Export;
use crate::node::NoExport;
use crate::node::Receiver;
use crate::node::Refused;

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
            NoExport::Unknown => Self::new(sort::NOT_FOUND, "no person has this key"),
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
}

/// For whom the archive is sealed, if for anybody.
fn receiver(query: &Query) -> Result<Option<Receiver>, Problem> {
    let refused = |_: Refused| {
        Problem::new(sort::BAD_QUERY, "`age` is an age recipient, `jwe` a public P-256 JWK in base64url")
    };
    match (&query.age, &query.jwe) {
        (None, None) => Ok(None),
        (Some(recipient), None) => Receiver::age(recipient).map(Some).map_err(refused),
        (None, Some(jwk)) => {
            let json = URL_SAFE_NO_PAD.decode(jwk).map_err(|_| refused(Refused::Jwk))?;
            Receiver::jwk(&json).map(Some).map_err(refused)
        }
        (Some(_), Some(_)) => Err(Problem::new(sort::BAD_QUERY, "`age` or `jwe`, not both")),
    }
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
            "`at` is the size of a published checkpoint, `age` a recipient, `jwe` a JWK in base64url",
        )
    };
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(wrong)?.into_inner();
    let receiver = receiver(&query)?;
    let node = Arc::clone(&shared.node);
    let export = message::blocking(move || node.export(&key, query.at)).await?;
    let (media_type, ending) = match receiver.as_ref().map(Receiver::suite) {
        None => ("application/zip", String::new()),
        Some(suite) => (suite.media_type(), format!(".{}", suite.ending())),
    };
    let name = format!("attachment; filename=\"mydata-{}.zip{ending}\"", export.size());
    let body = Pieces::of(export, receiver).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
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
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.hand_over(Ok(piece.into()))
    }
}

/// An archive on its way out.
struct Pieces(mpsc::Receiver<Piece>);

impl Pieces {
    fn of(export: Export, receiver: Option<Receiver>) -> io::Result<Self> {
        let (send, receive) = mpsc::channel(WAITING);
        let mut out = Out { piece: Vec::with_capacity(PIECE), send, runtime: Handle::current() };
        thread::Builder::new().name("export".into()).spawn(move || {
            let written = match &receiver {
                None => export.write(&mut out),
                Some(receiver) => export.write_for(receiver, &mut out),
            };
            // The next of hers may begin before the reader has the end of this one.
            drop(export);
            if let Err(error) = written {
                tracing::warn!(cause = %error, "an export broke off");
                // Without it the reader would take what came for the whole.
                drop(out.hand_over(Err(error)));
            }
        })?;
        Ok(Self(receive))
    }
}

impl MessageBody for Pieces {
    type Error = node::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
