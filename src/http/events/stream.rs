//! The feed as server-sent events. Source: HTML, section 9.2.
//!
//! A pump reads page after page and hands text to the body of the answer. It reads
//! at the pace at which the text is taken: nobody's slowness costs more than one
//! page in memory. Who takes nothing for too long is let go, and told so.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use actix_web::body::BodySize;
use actix_web::body::MessageBody;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use tokio::sync::mpsc;

use crate::http::Shared;
use crate::http::events;
use crate::http::events::Listener;
use crate::http::events::listeners::Listening;
use crate::model::id::TreeSize;
use crate::node::clock::Watch;

/// Chunks that wait for the connection.
const CHUNKS: usize = 4;
/// Events in one chunk.
const EVENTS: usize = 100;
/// Milliseconds after which a client comes again.
const RETRY_MS: u64 = 3_000;

/// What a slow listener is told last.
const TOO_SLOW: &str = "event: problem\ndata: {\"code\":\"too-slow\",\"detail\":\"nothing was read for too long; \
                        come again with Last-Event-ID\"}\n\n";

/// The body of the answer.
#[derive(Debug)]
pub(super) struct Body {
    chunks: mpsc::Receiver<Bytes>,
    slow: Arc<AtomicBool>,
}

impl MessageBody for Body {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.chunks.poll_recv(cx).map(|chunk| match chunk {
            Some(chunk) => Some(Ok(chunk)),
            None if self.slow.swap(false, Ordering::AcqRel) => {
                Some(Ok(Bytes::from_static(TOO_SLOW.as_bytes())))
            }
            None => None,
        })
    }
}

/// The pump's end.
#[derive(Debug)]
struct Outlet {
    chunks: mpsc::Sender<Bytes>,
    slow: Arc<AtomicBool>,
    patience: Duration,
}

impl Outlet {
    /// Hands text over; `false` if nobody takes it any more.
    async fn send(&self, text: String) -> bool {
        match timeout(self.patience, self.chunks.send(Bytes::from(text))).await {
            Ok(taken) => taken.is_ok(),
            Err(_) => {
                self.slow.store(true, Ordering::Release);
                false
            }
        }
    }
}

fn pipe(patience: Duration) -> (Outlet, Body) {
    let (send, chunks) = mpsc::channel(CHUNKS);
    let slow = Arc::new(AtomicBool::new(false));
    (Outlet { chunks: send, slow: Arc::clone(&slow), patience }, Body { chunks, slow })
}

/// Begins a feed; the body ends it by being dropped.
pub(super) fn begin(
    shared: &web::Data<Shared>,
    listener: Listener,
    from: TreeSize,
    listening: Listening,
) -> Body {
    let (outlet, body) = pipe(shared.feeding.patience);
    let shared = shared.clone();
    actix_web::rt::spawn(async move {
        pump(&shared, &listener, from, &outlet).await;
        drop(listening);
    });
    body
}

async fn pump(shared: &web::Data<Shared>, listener: &Listener, mut from: TreeSize, outlet: &Outlet) {
    let of = &listener.of;
    let feeding = &shared.feeding;
    let life = Watch::start();
    let mut news = shared.node.news();
    if !outlet.send(format!("retry: {RETRY_MS}\n\n")).await {
        return;
    }
    // A token is good for so long, a feed too: the client comes again with a new one.
    while life.elapsed() < feeding.life && shared.node.is_live(&listener.party) && listener.may(shared) {
        let page = match events::page(shared, of, from, EVENTS, listener.only).await {
            Ok(page) => page,
            Err(problem) => {
                let told = serde_json::json!({"code": problem.code(), "detail": problem.title()});
                outlet.send(format!("event: problem\ndata: {told}\n\n")).await;
                return;
            }
        };
        from = page.next;
        if !page.events.is_empty() {
            let text: String = page.events.iter().map(line).collect();
            if !outlet.send(text).await {
                return;
            }
        }
        if page.next < page.as_of {
            continue;
        }
        let patience = feeding.heartbeat.min(feeding.life.saturating_sub(life.elapsed()));
        let waited = tokio::select! {
            () = outlet.chunks.closed() => return,
            waited = timeout(patience, events::concerned(shared, &mut news, of, from)) => waited,
        };
        match waited {
            Ok(true) => {}
            Ok(false) => return,
            // An id without data moves the point of resumption on, and wakes nobody.
            Err(_) => {
                if !outlet.send(format!(": \nid: {}\n\n", from.saturating_sub(1))).await {
                    return;
                }
            }
        }
    }
}

fn line(event: &crate::node::Event) -> String {
    // A map of words and numbers: it can be written.
    let told = serde_json::to_string(&events::Told::from(event)).unwrap_or_default();
    format!("id: {}\ndata: {told}\n\n", event.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn next(body: &mut Body) -> Option<String> {
        let chunk = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx)).await?;
        Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }

    #[test]
    fn who_takes_nothing_is_let_go_and_told_after_what_was_sent() {
        actix_web::rt::System::new().block_on(async {
            let (outlet, mut body) = pipe(Duration::ZERO);
            for n in 0..CHUNKS {
                assert!(outlet.send(format!("{n}")).await);
            }
            assert!(!outlet.send("one too many".into()).await);
            drop(outlet);
            for n in 0..CHUNKS {
                assert_eq!(next(&mut body).await, Some(format!("{n}")));
            }
            assert_eq!(next(&mut body).await.as_deref(), Some(TOO_SLOW));
            assert_eq!(next(&mut body).await, None);
        });
    }

    #[test]
    fn a_body_that_is_gone_ends_the_pump_without_a_word() {
        actix_web::rt::System::new().block_on(async {
            let (outlet, body) = pipe(Duration::from_secs(60));
            drop(body);
            assert!(!outlet.send("text".into()).await);
            assert!(!outlet.slow.load(Ordering::Acquire));
        });
    }
}
