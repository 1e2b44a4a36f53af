//! TLS 1.3 by openssl: certificate and key from two files, read again while serving.
//!
//! A client may show a certificate of its own; any is taken, with or without an authority, for
//! only its hash counts: a token may be bound to it, and a log that delivers here is known by it.
//! Sessions are not resumed, so that nothing outlives a connection.
//!
//! Lacks, on purpose: older versions, HTTP/2, revocation lists, authorities for clients.
//! Source: RFC 8446, RFC 8705 sections 2.2 and 3.

use std::any::Any;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use actix_tls::accept::openssl::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::rt::signal::unix::SignalKind;
use actix_web::rt::signal::unix::signal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::ssl::AlpnError;
use openssl::ssl::SniError;
use openssl::ssl::SslAcceptor;
use openssl::ssl::SslAcceptorBuilder;
use openssl::ssl::SslContext;
use openssl::ssl::SslMethod;
use openssl::ssl::SslSessionCacheMode;
use openssl::ssl::SslVerifyMode;
use openssl::ssl::select_next_proto;
use openssl::x509::X509;
use zeroize::Zeroizing;

/// Where certificate and key stand, and whether clients are asked for theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the service's certificate first, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM of the certificate's private key, PKCS#8, without passphrase.
    pub key: PathBuf,
    /// Whether a client is asked for a certificate; it may have none.
    pub ask_clients: bool,
}

impl Tls {
    /// Whether both files can be used.
    ///
    /// # Errors
    /// A file cannot be read, is no PEM, or the key is another certificate's.
    pub fn check(&self) -> io::Result<()> {
        builder(self).map(|_| ())
    }
}

/// Another log that may deliver here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Its origin.
    pub origin: String,
    /// SHA-256 of its client certificate, base64url.
    pub certificate: String,
}

impl Carrier {
    /// The log of an origin by each certificate of a file: those after the first are its next ones.
    ///
    /// The file is what counts: neither their dates nor who signed them are looked at.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate (PEM).
    pub fn of_file(origin: &str, path: &Path) -> io::Result<Vec<Self>> {
        let all = X509::stack_from_pem(&fs::read(path)?)?;
        let one = |certificate: &X509| {
            let sum = certificate.digest(MessageDigest::sha256())?;
            Ok(Self { origin: origin.to_owned(), certificate: URL_SAFE_NO_PAD.encode(sum) })
        };
        let all: Vec<_> = all.iter().map(one).collect::<io::Result<_>>()?;
        if all.is_empty() { Err(io::Error::other("no certificate (PEM)")) } else { Ok(all) }
    }
}

/// SHA-256 of the certificate the client of this connection showed, base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Shown(pub(in crate::http) String);

/// The certificate in use, for all connections to come.
#[derive(Debug)]
pub(in crate::http) struct Keeper {
    files: Tls,
    current: Arc<RwLock<SslContext>>,
}

impl Keeper {
    /// Reads both files.
    ///
    /// # Errors
    /// A file cannot be read, is no PEM, or the key is another certificate's.
    pub(in crate::http) fn new(files: &Tls) -> io::Result<Self> {
        let current = builder(files)?.build().into_context();
        Ok(Self { files: files.clone(), current: Arc::new(RwLock::new(current)) })
    }

    /// Reads both files again. Connections that stand keep what they have.
    ///
    /// # Errors
    /// As [`Self::new`]; then nothing changes.
    pub(in crate::http) fn reload(&self) -> io::Result<()> {
        let next = builder(&self.files)?.build().into_context();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// An acceptor that takes the current certificate for each new connection.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(in crate::http) fn acceptor(&self) -> io::Result<SslAcceptorBuilder> {
        let mut acceptor = builder(&self.files)?;
        let current = Arc::clone(&self.current);
        // OpenSSL calls it whether or not the client names a server.
        acceptor.set_servername_callback(move |ssl, _| {
            let current = current.read().unwrap_or_else(PoisonError::into_inner).clone();
            ssl.set_ssl_context(&current).map_err(|_| SniError::ALERT_FATAL)
        });
        Ok(acceptor)
    }
}

/// Reads the certificate again whenever the operator says so.
///
/// # Errors
/// The system gives no signal handler.
pub(in crate::http) fn reload_on_hangup(keeper: Arc<Keeper>) -> io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    actix_web::rt::spawn(async move {
        while hangups.recv().await.is_some() {
            match keeper.reload() {
                Ok(()) => tracing::info!("certificate and key were read again"),
                Err(cause) => tracing::error!(%cause, "certificate and key stay as they were"),
            }
        }
    });
    Ok(())
}

/// The one way a context is made: a swapped one behaves like the first.
fn builder(files: &Tls) -> io::Result<SslAcceptorBuilder> {
    let pem = Zeroizing::new(fs::read(&files.key)?);
    // The callback answers "no passphrase": without one OpenSSL would ask the terminal.
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0))?;
    // "Modern" is TLS 1.3 and nothing older.
    let mut context = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
    context.set_certificate_chain_file(&files.certificate)?;
    context.set_private_key(&key)?;
    context.check_private_key()?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_num_tickets(0)?;
    context.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x08http/1.1", offered).ok_or(AlpnError::NOACK)
    });
    if files.ask_clients {
        // That the client holds the key is checked by the handshake; the rest is the token's.
        context.set_verify_callback(SslVerifyMode::PEER, |_, _| true);
    }
    Ok(context)
}

/// Notes what the client of a new connection showed.
pub(in crate::http) fn note(connection: &dyn Any, notes: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else { return };
    let Some(certificate) = stream.ssl().peer_certificate() else { return };
    if let Ok(sum) = certificate.digest(MessageDigest::sha256()) {
        notes.insert(Shown(URL_SAFE_NO_PAD.encode(sum)));
    }
}
