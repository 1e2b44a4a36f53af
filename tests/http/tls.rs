//! TLS in the binary: 1.3 alone, a certificate renewed under standing connections, bound tokens.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use naru::http::Tls;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::ssl::SslConnector;
use openssl::ssl::SslMethod;
use openssl::ssl::SslStream;
use openssl::ssl::SslVerifyMode;
use openssl::ssl::SslVersion;
use openssl::x509::X509;

use crate::support::certificate::certificate;
use crate::*;

/// A key with a certificate that signs itself.
struct Identity(PKey<Private>, X509);

impl Identity {
    fn new() -> Self {
        let (key, certificate) = certificate("127.0.0.1");
        Self(key, certificate)
    }

    fn hash(&self) -> Vec<u8> {
        self.1.digest(MessageDigest::sha256()).unwrap().to_vec()
    }

    fn write(&self, dir: &Path) -> Tls {
        let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&certificate, self.1.to_pem().unwrap()).unwrap();
        std::fs::write(&key, self.0.private_key_to_pem_pkcs8().unwrap()).unwrap();
        Tls { certificate, key, ask_clients: true }
    }
}

fn served(dir: &Path, identity: &Identity) -> Served {
    let tls = Some(identity.write(dir));
    Served::with(|options| http::Options { tls, ..options })
}

/// A connection that stays.
struct Wire(SslStream<TcpStream>);

impl Served {
    fn connect(&self, client: Option<&Identity>, newest: SslVersion) -> Result<Wire, String> {
        let mut connector = SslConnector::builder(SslMethod::tls_client()).unwrap();
        // Who the service is, is seen by the certificate's hash here.
        connector.set_verify(SslVerifyMode::NONE);
        connector.set_max_proto_version(Some(newest)).unwrap();
        if let Some(Identity(key, certificate)) = client {
            connector.set_certificate(certificate).unwrap();
            connector.set_private_key(key).unwrap();
        }
        let stream = TcpStream::connect(self.running.addr()).unwrap();
        connector.build().connect("127.0.0.1", stream).map(Wire).map_err(|error| error.to_string())
    }

    fn wire(&self, client: Option<&Identity>) -> Wire {
        self.connect(client, SslVersion::TLS1_3).unwrap()
    }
}

impl Wire {
    fn peer(&self) -> Vec<u8> {
        self.0.ssl().peer_certificate().unwrap().digest(MessageDigest::sha256()).unwrap().to_vec()
    }

    /// Status and body of one exchange; the connection goes on.
    fn ask(&mut self, head: &str, body: &str) -> (u16, serde_json::Value) {
        write!(self.0, "{head}\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let (mut told, mut byte) = (Vec::new(), [0]);
        while !told.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            told.push(byte[0]);
        }
        let told = String::from_utf8(told).unwrap().to_ascii_lowercase();
        let length = told.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        let status = told.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn token(&mut self, form: &str) -> String {
        let head = "POST /oauth/token HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded";
        let (status, given) = self.ask(head, form);
        assert_eq!((status, given["token_type"].as_str()), (200, Some("Bearer")), "{given}");
        given["access_token"].as_str().unwrap().to_owned()
    }

    fn list(&mut self, token: &str) -> (u16, serde_json::Value) {
        let (status, told) =
            self.ask(&format!("GET /v1/incidents HTTP/1.1\r\nauthorization: Bearer {token}"), "");
        (status, told["code"].clone())
    }
}

#[test]
fn tls_is_1_3_and_nothing_older_and_nothing_plain() {
    let (dir, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    let served = served(dir.path(), &identity);
    let mut wire = served.wire(None);
    assert_eq!(wire.ask("GET /livez HTTP/1.1", "").0, 200);
    assert_eq!((wire.peer(), wire.0.ssl().version_str()), (identity.hash(), "TLSv1.3"));
    assert!(served.connect(None, SslVersion::TLS1_2).is_err());
    let mut plain = TcpStream::connect(served.running.addr()).unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    let mut told = Vec::new();
    // An alert or a closed connection: never an answer.
    drop(plain.read_to_end(&mut told));
    assert!(!told.starts_with(b"HTTP"));
}

#[test]
fn a_new_certificate_serves_new_connections_and_ends_no_old_one() {
    let (dir, first, second) = (tempfile::tempdir().unwrap(), Identity::new(), Identity::new());
    let served = served(dir.path(), &first);
    let mut old = served.wire(None);
    assert_eq!(old.ask("GET /livez HTTP/1.1", "").0, 200);
    second.write(dir.path());
    assert_eq!(served.wire(None).peer(), first.hash(), "files alone change nothing");
    served.running.reload().unwrap();
    let mut new = served.wire(None);
    assert_eq!(new.peer(), second.hash());
    assert_eq!(new.ask("GET /livez HTTP/1.1", "").0, 200);
    assert_eq!(old.ask("GET /livez HTTP/1.1", "").0, 200);
    // A key of another certificate, or none: what is served stays.
    std::fs::write(dir.path().join("key.pem"), first.0.private_key_to_pem_pkcs8().unwrap()).unwrap();
    assert!(served.running.reload().is_err());
    std::fs::write(dir.path().join("key.pem"), "nothing").unwrap();
    assert!(served.running.reload().is_err());
    assert_eq!(served.wire(None).peer(), second.hash());
    // The swapped context asks clients for certificates like the first.
    let client = Identity::new();
    let token = served.wire(Some(&client)).token(&served.assertion("bank", BANK));
    assert_eq!(served.wire(Some(&client)).list(&token).0, 200);
    assert_eq!(served.wire(None).list(&token).0, 401);
}

#[test]
fn a_token_given_over_a_client_certificate_is_good_only_beside_it() {
    let (dir, identity) = (tempfile::tempdir().unwrap(), Identity::new());
    let (bank, thief) = (Identity::new(), Identity::new());
    let served = served(dir.path(), &identity);
    let token = served.wire(Some(&bank)).token(&served.assertion("bank", BANK));
    let said = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["cnf"]["x5t#S256"], URL_SAFE_NO_PAD.encode(bank.hash()));
    assert_eq!(served.wire(Some(&bank)).list(&token).0, 200);
    let refused = (401, "other-certificate".into());
    assert_eq!(served.wire(Some(&thief)).list(&token), refused);
    assert_eq!(served.wire(None).list(&token), refused);
    // A token given without one is bound to none, and a citizen's is never bound to one.
    let free = served.wire(None).token(&served.assertion("bank", BANK));
    assert_eq!(served.wire(Some(&thief)).list(&free).0, 200);
    assert!(served.node.record(vec![sign(&served.world.key_create(), &person_key(1))])[0].is_ok());
    let session = served.wire(Some(&bank)).token(&served.login(1));
    let head = format!("GET /v1/subjects/me/ppids/bank HTTP/1.1\r\nauthorization: Bearer {session}");
    assert_eq!(served.wire(None).ask(&head, "").0, 200);
}

#[test]
fn clients_are_not_asked_where_the_operator_does_not_want_it() {
    let (dir, identity, client) = (tempfile::tempdir().unwrap(), Identity::new(), Identity::new());
    let tls = Some(Tls { ask_clients: false, ..identity.write(dir.path()) });
    let served = Served::with(|options| http::Options { tls, ..options });
    let token = served.wire(Some(&client)).token(&served.assertion("bank", BANK));
    assert_eq!(served.wire(None).list(&token).0, 200);
}
