//! An end of transfers on a socket: TLS with certificates on both sides, one request a connection.
//!
//! Small on purpose: enough HTTP for a carrier that sends a content length, and no more. Not for
//! the open internet.

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::ssl::SslAcceptor;
use openssl::ssl::SslMethod;
use openssl::ssl::SslVerifyMode;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

/// Largest body that is read, bytes.
const MAX_BODY: usize = 8 << 20;
/// Longest line of a head, bytes, and most of them.
const MAX_LINE: u64 = 8 << 10;
const MOST_HEADERS: usize = 64;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// `/v1/transfers/{demand}/runs/{run}/{rest}`.
    pub(crate) fn run(&self) -> Option<(&str, u64, &str)> {
        let (demand, rest) = self.path.strip_prefix("/v1/transfers/")?.split_once("/runs/")?;
        let (run, rest) = rest.split_once('/')?;
        Some((demand, run.parse().ok()?, rest))
    }
}

/// What is answered; the transaction id is echoed by whoever sends it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) media: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, media: "application/json", body: value.to_string().into_bytes() }
    }

    pub(crate) fn refused(status: u16, code: &str) -> Self {
        Self::json(status, &serde_json::json!({ "rsp_code": code, "rsp_msg": "refused" }))
    }
}

/// A sender or a receiver.
pub(crate) trait End: Send + Sync {
    fn answer(&self, request: &Request) -> Answer;
}

/// Who the end is on the wire, and whom it lets in.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
    /// Certificates of the carriers that may call.
    pub(crate) believed: Vec<X509>,
}

impl Identity {
    fn acceptor(&self) -> io::Result<SslAcceptor> {
        let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
        acceptor.set_certificate(&self.certificate)?;
        acceptor.set_private_key(&self.key)?;
        let mut store = X509StoreBuilder::new()?;
        for believed in &self.believed {
            store.add_cert(believed.clone())?;
        }
        acceptor.set_cert_store(store.build());
        // Whoever shows no certificate of a carrier is told nothing.
        acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        Ok(acceptor.build())
    }
}

/// Serves on a thread of its own for as long as the process lives.
pub(crate) fn serve(listener: TcpListener, identity: &Identity, end: Arc<dyn End>) -> io::Result<()> {
    let acceptor = identity.acceptor()?;
    thread::Builder::new().name("end".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that goes away, or was never one, is no reason to stop.
            drop(exchange(&acceptor, stream, end.as_ref()));
        }
    })?;
    Ok(())
}

fn exchange(acceptor: &SslAcceptor, stream: TcpStream, end: &dyn End) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = BufReader::new(acceptor.accept(stream).map_err(io::Error::other)?);
    let request = read(&mut stream)?;
    let answer = end.answer(&request);
    let head = format!(
        "HTTP/1.1 {} -\r\ncontent-type: {}\r\ncontent-length: {}\r\nx-api-tran-id: {}\r\nconnection: close\r\n\r\n",
        answer.status,
        answer.media,
        answer.body.len(),
        request.header("x-api-tran-id"),
    );
    let stream = stream.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body)?;
    stream.flush()?;
    stream.shutdown().map(drop).map_err(io::Error::other)
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.take(MAX_LINE).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn read(stream: &mut impl BufRead) -> io::Result<Request> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let first = line(stream)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad()) };
    let mut headers = BTreeMap::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        if headers.len() > MOST_HEADERS {
            return Err(bad());
        }
    }
    let length = headers.get("content-length").map_or(Ok(0), |n| n.parse().map_err(|_| bad()))?;
    if length > MAX_BODY {
        return Err(bad());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Request { method: method.to_owned(), path, headers, body })
}
