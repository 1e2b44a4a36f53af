//! EDGE. The one HTTP client outwards.
//!
//! It calls the addresses of registered parties and no other: whoever calls hands it the party's
//! own record ([`TransferEnd`]), never a text. TLS is verified, and both ends show a certificate;
//! redirects are refused, no proxy of the environment is used, and every answer has a bound in
//! bytes and in time, so that an endless body is an error and not a wait.
//!
//! Lacks retries (the carrier's), DPoP (a receiver that wants it is not served yet), and any
//! meaning of what is carried. Trusted: the authorities the operator named, or the system's.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use ureq::http;
use ureq::tls::Certificate;
use ureq::tls::ClientCert;
use ureq::tls::PemItem;
use ureq::tls::PrivateKey;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;
use ureq::tls::TlsProvider;

use crate::model::statement::TransferEnd;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for a whole exchange.
const WHOLE: Duration = Duration::from_secs(60);

/// Who we are to the parties that are called, and whom we believe.
#[derive(Clone, Default)]
pub struct Credentials {
    /// PEM of our client certificate and its chain, and of its private key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// PEM of the authorities to believe instead of the system's.
    pub authorities: Option<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks with a body.
    Post,
    /// Stores under a name, once or again.
    Put,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// How.
    pub method: Method,
    /// Path below the party's address, beginning with a slash.
    pub path: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Media type and bytes sent.
    pub body: Option<(&'a str, &'a [u8])>,
    /// Largest answer that is read, bytes.
    pub most: u64,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Media type without parameters, lower case; empty if there is none.
    pub media: String,
    /// `x-api-tran-id`, if it is there.
    pub tran_id: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record holds no address that may be called, or the path is none.
    #[error("no address that may be called")]
    Address,
    /// A certificate, key or authority cannot be used.
    #[error("credentials: {0}")]
    Credentials(&'static str),
    /// More than may be read.
    #[error("the answer is larger than may be read")]
    TooLarge,
    /// A redirect: nobody but the register says where a party is.
    #[error("a redirect was refused")]
    Redirect,
    /// No connection, no trust, no answer in time.
    #[error("no answer: {0}")]
    Unreachable(String),
}

/// Whoever calls parties: the client, or what a test puts in its place.
pub trait Calls: Send + Sync {
    /// Makes one call and reads its answer, whatever the status.
    ///
    /// # Errors
    /// [`Error`].
    fn call(&self, end: &TransferEnd, call: &Call<'_>) -> Result<Reply, Error>;
}

/// The client.
#[derive(Debug)]
pub struct Client(ureq::Agent);

impl Client {
    /// A client with these credentials.
    ///
    /// # Errors
    /// [`Error::Credentials`].
    pub fn new(credentials: &Credentials) -> Result<Self, Error> {
        let roots = match &credentials.authorities {
            None => RootCerts::PlatformVerifier,
            Some(pem) => RootCerts::from(certificates(pem)?),
        };
        let identity = match &credentials.identity {
            None => None,
            Some((chain, key)) => {
                let key =
                    PrivateKey::from_pem(key).map_err(|_| Error::Credentials("no private key (PEM)"))?;
                Some(ClientCert::new_with_certs(&certificates(chain)?, key))
            }
        };
        let tls =
            TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).client_cert(identity);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(true)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .tls_config(tls.build())
            .build();
        Ok(Self(config.into()))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Error> {
    let wrong = Error::Credentials("no certificate (PEM)");
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong),
        }
    }
    if found.is_empty() { Err(wrong) } else { Ok(found) }
}

impl Calls for Client {
    fn call(&self, end: &TransferEnd, call: &Call<'_>) -> Result<Reply, Error> {
        // What stands in the register was judged when it came; a row that is damaged calls nobody.
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'#' | b'@');
        if !end.is_sound()
            || !call.path.starts_with('/')
            || !call.path.bytes().all(plain)
            || call.path.contains("..")
        {
            return Err(Error::Address);
        }
        let method = match call.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
        };
        let mut request = http::Request::builder().method(method).uri(format!("{}{}", end.url, call.path));
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let answer = match call.body {
            None => self.0.run(request.body(()).map_err(|_| Error::Address)?),
            Some((media, bytes)) => {
                let request = request.header("content-type", media).body(bytes);
                self.0.run(request.map_err(|_| Error::Address)?)
            }
        };
        read(answer.map_err(unreachable)?, call.most)
    }
}

fn read(answer: http::Response<ureq::Body>, most: u64) -> Result<Reply, Error> {
    let status = answer.status().as_u16();
    if answer.status().is_redirection() {
        return Err(Error::Redirect);
    }
    let text =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let media = text("content-type").unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let tran_id = text("x-api-tran-id");
    let mut body = Vec::new();
    let mut reader = answer.into_body().into_reader().take(most.saturating_add(1));
    reader.read_to_end(&mut body).map_err(|cause| Error::Unreachable(cause.kind().to_string()))?;
    if body.len() as u64 > most {
        return Err(Error::TooLarge);
    }
    Ok(Reply { status, media, tran_id, body })
}

/// Kinds only: a cause may quote what was sent.
fn unreachable(error: ureq::Error) -> Error {
    Error::Unreachable(match error {
        ureq::Error::Timeout(_) => "timeout".into(),
        ureq::Error::HostNotFound => "host not found".into(),
        ureq::Error::ConnectionFailed => "connection failed".into(),
        ureq::Error::Io(cause) => cause.kind().to_string(),
        ureq::Error::Tls(_) | ureq::Error::NativeTls(_) => "no trusted TLS".into(),
        _ => "protocol".into(),
    })
}
