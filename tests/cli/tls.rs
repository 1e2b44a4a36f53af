//! A service behind TLS: trusted by its authority, and by nothing less.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;

use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::ssl::SslAcceptor;
use openssl::ssl::SslMethod;
use openssl::x509::X509;

use crate::support::certificate::certificate;
use crate::*;

/// Ends TLS before a plain service, one request a connection, until `act` is done.
fn fronted<T>(plain: &str, (key, certificate): &(PKey<Private>, X509), act: impl FnOnce(&str) -> T) -> T {
    let plain = plain.strip_prefix("http://").unwrap();
    let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(key).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                // A client that does not trust us breaks off; whoever stops us says nothing.
                let mut first = [0];
                let stream = stream.unwrap();
                if stream.peek(&mut first).unwrap_or(0) == 0 {
                    return;
                }
                let Ok(mut stream) = acceptor.accept(stream) else { continue };
                let (mut asked, mut byte) = (Vec::new(), [0]);
                while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    asked.push(byte[0]);
                }
                if asked.is_empty() {
                    continue;
                }
                let head = String::from_utf8(asked).unwrap().to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                stream.read_exact(&mut body).unwrap();
                assert!(!head.contains("transfer-encoding"), "this front reads plain bodies only");
                let mut upstream = TcpStream::connect(plain).unwrap();
                let (first, rest) = head.split_once("\r\n").unwrap();
                let first = first.replacen("get ", "GET ", 1).replacen("post ", "POST ", 1);
                let first = first.replace(" http/", " HTTP/");
                write!(upstream, "{first}\r\nconnection: close\r\n{rest}").unwrap();
                upstream.write_all(&body).unwrap();
                let mut answer = Vec::new();
                upstream.read_to_end(&mut answer).unwrap();
                stream.write_all(&answer).unwrap();
                // The other end may have gone: it has its answer.
                drop(stream.shutdown());
            }
        });
        let done = act(&format!("https://{address}"));
        drop(TcpStream::connect(address).unwrap());
        done
    })
}

#[test]
fn https_is_spoken_to_whom_the_named_authority_vouches_for_and_to_nobody_else() {
    let desk = Desk::new();
    desk.log();
    let service = Service::start(&desk);
    let (good, other) = (certificate("127.0.0.1"), certificate("127.0.0.1"));
    desk.write("ca.pem", &good.1.to_pem().unwrap());
    desk.write("other.pem", &other.1.to_pem().unwrap());
    desk.write("empty.pem", b"nothing");
    desk.naru(&["keygen", "--out", "one.pem"]).exits(0);
    let made = ["sign", "--key", "one.pem", "--type", "key.create", "--field", "key-use=device"];
    desk.naru(&[&made[..], &["--field", "recovery=null", "--out", "one.cbor"]].concat()).exits(0);
    let trust = ["--log-key", "log/log.vkey"];
    fronted(&service.1, &good, |url| {
        let submit = ["submit", "one.cbor", "--url", url, trust[0], trust[1]];
        let audit = ["audit", url, trust[0], trust[1]];
        for ca in [&[][..], &["--ca", "other.pem"]] {
            desk.naru(&[&submit[..], ca].concat()).exits(7).says("certificate");
            desk.naru(&[&audit[..], ca].concat()).exits(7).says("certificate");
        }
        desk.naru(&[&audit[..], &["--ca", "empty.pem"]].concat()).exits(2).says("no certificate");
        let ca = ["--ca", "ca.pem"];
        // Nothing of what was turned away arrived: it is the log's second entry now.
        desk.naru(&[&submit[..], &ca].concat()).exits(0).says("accepted 1");
        desk.naru(&[&audit[..], &ca].concat()).exits(0).says("sound");
        desk.naru(&[&["mirror", url, "copy", trust[0], trust[1]][..], &ca].concat()).exits(0);
        desk.naru(&["audit", "copy", trust[0], trust[1]]).exits(0);
        // A party of no name: the answer came over TLS.
        let who = ["--origin", ORIGIN, "--party", "bank", "--key", "one.pem", "--action", "use"];
        let about = ["--purpose", PURPOSE, "--class", "real-name", "--url", url];
        let check = ["check", "--ppid", "ppid_00000000000000000000000000000000"];
        desk.naru(&[&check[..], &who, &about, &ca].concat()).exits(1).says("invalid_client");
        desk.write("people", b"ppid_00000000000000000000000000000000\n");
        desk.naru(&[&["cohort", "people"][..], &who, &about, &ca].concat()).exits(1).says("invalid_client");
    });
    // Trusted, but the certificate is another host's.
    let elsewhere = certificate("192.0.2.1");
    desk.write("elsewhere.pem", &elsewhere.1.to_pem().unwrap());
    fronted(&service.1, &elsewhere, |url| {
        let audit = ["audit", url, trust[0], trust[1], "--ca", "elsewhere.pem"];
        desk.naru(&audit).exits(7).says("certificate");
    });
}

#[test]
fn the_service_speaks_tls_itself_and_reads_a_new_certificate_when_it_is_told() {
    let desk = Desk::new();
    desk.log();
    let (first, second) = (certificate("127.0.0.1"), certificate("127.0.0.1"));
    let write = |(key, certificate): &(PKey<Private>, X509), ca: &str| {
        desk.write("cert.pem", &certificate.to_pem().unwrap());
        desk.write("key.pem", &key.private_key_to_pem_pkcs8().unwrap());
        desk.write(ca, &certificate.to_pem().unwrap());
    };
    let variables = [("NARU_TLS_CERT", "cert.pem"), ("NARU_TLS_KEY", "key.pem")];
    desk.write("cert.pem", b"nothing");
    desk.write("key.pem", b"nothing");
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
    command.current_dir(desk.0.path()).env_clear().env("NARU_LISTEN", "127.0.0.1:0").envs(variables);
    let refused = command.args(["serve", "--config", "log/naru.toml"]).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8(refused.stderr).unwrap().contains("certificate and its key"));
    write(&first, "first.pem");
    let service = Service::start_with(&desk, &variables);
    assert!(service.1.starts_with("https://"), "{}", service.1);
    let audit = |ca| ["audit", &service.1, "--log-key", "log/log.vkey", "--ca", ca];
    desk.naru(&audit("first.pem")).exits(0).says("sound");
    write(&second, "second.pem");
    desk.naru(&audit("second.pem")).exits(7).says("certificate");
    let id = service.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    // The signal is under way: soon the new one is served, and never the old one again.
    assert!((0..100).any(|_| desk.naru(&audit("second.pem")).0.status.success()));
    desk.naru(&audit("first.pem")).exits(7).says("certificate");
    assert_eq!(service.signal("-TERM"), Some(0));
}
