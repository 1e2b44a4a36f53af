//! `/v1/subjects/me/export`: who may, one at a time, whole or visibly broken off.

use std::io::Cursor;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;

use naru::audit::archive;
use naru::ledger::key::Signer;
use naru::model::statement::ErasureDemand;
use naru::model::statement::Kind;

use super::*;

fn story() -> Served {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    world.node().tick().unwrap();
    Served::of(world)
}

#[test]
fn a_citizen_gets_her_archive_and_nobody_else_does() {
    let served = story();
    let token = served.citizen(1);
    let reply = served.get("/v1/subjects/me/export", Some(&token));
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/zip"));
    assert_eq!(reply.header("cache-control"), "no-store");
    let size = served.node.published().size;
    let name = format!("attachment; filename=\"mydata-{size}.zip\"");
    assert_eq!(reply.header("content-disposition"), name.as_str());
    let proven = archive::verify(&mut Cursor::new(&reply.body), signer(LOG).public(), ORIGIN, None).unwrap();
    assert_eq!((proven.statements, proven.head.size), (2, size));
    let again = served.get(&format!("/v1/subjects/me/export?at={size}"), Some(&token));
    assert_eq!(again.body, reply.body);
    for query in ["?at=0", "?at=1", "?at=-1", "?at=x", "?size=2", "?at=99999"] {
        assert_eq!(
            served.get(&format!("/v1/subjects/me/export{query}"), Some(&token)).status,
            400,
            "{query}"
        );
    }
    assert_eq!(served.get("/v1/subjects/me/export", None).status, 401);
    let party = served.party("bank", BANK);
    assert_eq!(served.get("/v1/subjects/me/export", Some(&party)).status, 403);
}

/// Leaves both for `tests/foreign/sealed.py`, which opens them with the tools of others.
#[test]
fn an_archive_is_sealed_for_whom_she_names() {
    let served = story();
    let token = served.citizen(1);
    let plain = served.get("/v1/subjects/me/export", Some(&token)).body;
    let identity = age::x25519::Identity::generate();
    let path = format!("/v1/subjects/me/export?age={}", identity.to_public());
    let sealed = served.get(&path, Some(&token));
    assert_eq!((sealed.status, sealed.header("content-type")), (200, "application/octet-stream"));
    assert!(sealed.header("content-disposition").ends_with(".zip.age\""));
    assert!(sealed.body.starts_with(b"age-encryption.org/v1\n"));
    let mut opened = Vec::new();
    let decryptor = age::Decryptor::new(&sealed.body[..]).unwrap();
    let mut reader = decryptor.decrypt(std::iter::once(&identity as _)).unwrap();
    Read::read_to_end(&mut reader, &mut opened).unwrap();
    assert!(opened == plain, "sealed or not, the archive is the same bytes");
    // The key of RFC 7518 appendix C.
    let (x, y) =
        ("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck");
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","kid":"bank-1","x":"{x}","y":"{y}"}}"#);
    let path = format!("/v1/subjects/me/export?jwe={}", URL_SAFE_NO_PAD.encode(jwk));
    let jwe = served.get(&path, Some(&token));
    assert_eq!((jwe.status, jwe.header("content-type")), (200, "application/jose"));
    assert_eq!(jwe.body.iter().filter(|b| **b == b'.').count(), 4);
    let (key, certificate) = certificate::rsa_certificate();
    let path =
        format!("/v1/subjects/me/export?cms={}", URL_SAFE_NO_PAD.encode(certificate.to_der().unwrap()));
    let aes = served.get(&path, Some(&token));
    assert_eq!((aes.status, aes.header("content-type")), (200, "application/cms"));
    assert!(aes.header("content-disposition").ends_with(".zip.p7m\""));
    let aria = served.get(&format!("{path}&cipher=aria-256-gcm"), Some(&token));
    assert_eq!(aria.status, 200);
    for query in [
        "age=age1",
        "age=",
        "jwe=e30",
        "jwe=*",
        "age=a&jwe=b",
        "cms=MAA",
        "cms=*",
        "cipher=aes-256-gcm",
        "passphrase=x",
    ] {
        let path = format!("/v1/subjects/me/export?{query}");
        assert_eq!(served.get(&path, Some(&token)).status, 400, "{query}");
    }
    let out = concat!(env!("CARGO_TARGET_TMPDIR"), "/sealed");
    std::fs::create_dir_all(out).unwrap();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    for (name, bytes) in [
        ("plain.zip", &plain),
        ("key.age", &sealed.body),
        ("identity.txt", &secret.into_bytes()),
        ("ec.jwe", &jwe.body),
        ("rsa.pem", &key.private_key_to_pem_pkcs8().unwrap()),
        ("aes.p7m", &aes.body),
        ("aria.p7m", &aria.body),
    ] {
        std::fs::write(format!("{out}/{name}"), bytes).unwrap();
    }
    let mut passphrase = Vec::new();
    let receiver = naru::node::Receiver::passphrase("correct horse battery").unwrap();
    let mut sealing = receiver.begin(&mut passphrase).unwrap();
    Write::write_all(&mut sealing, &plain).unwrap();
    sealing.finish().unwrap();
    std::fs::write(format!("{out}/passphrase.age"), passphrase).unwrap();
}

#[test]
fn a_second_export_waits_for_the_first() {
    let served = story();
    let token = served.citizen(1);
    let first = served.node.export(&key_hash(&person_key(1)), None).unwrap();
    let reply = served.get("/v1/subjects/me/export", Some(&token));
    assert_eq!((reply.status, reply.header("retry-after")), (429, "5"));
    drop(first);
    assert_eq!(served.get("/v1/subjects/me/export", Some(&token)).status, 200);
}

/// Offsets without chance: the same in every run.
fn offsets(length: usize) -> impl Iterator<Item = usize> {
    let mut state = 42u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % length
    })
}

#[test]
fn what_broke_off_anywhere_is_resumed_to_the_same_bytes_whatever_others_do() {
    let served = story();
    let token = served.citizen(1);
    let path = format!("/v1/subjects/me/export?at={}", served.node.published().size);
    let whole = served.get(&path, Some(&token));
    let (length, etag) = (whole.body.len(), whole.header("etag").to_owned());
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert_eq!(whole.header("content-length"), length.to_string());
    let hash = naru::ledger::hash::sha256(&[&whole.body]);
    assert_eq!(etag, format!("\"{}\"", naru::model::id::Hash(hash)));
    let digest = base64::engine::general_purpose::STANDARD.encode(hash);
    assert_eq!(whole.header("repr-digest"), format!("sha-256=:{digest}:"));
    for (n, at) in (2..).zip(offsets(length).take(12)) {
        // Others act in between, and she does.
        assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
        served.node.tick().unwrap();
        let sent = format!("bytes={at}-");
        let rest = served.get_with(&path, Some(&token), &[("range", &sent), ("if-range", &etag)]);
        assert_eq!((rest.status, rest.header("etag")), (206, etag.as_str()), "{at}");
        assert_eq!(rest.header("content-range"), format!("bytes {at}-{}/{length}", length - 1));
        assert!([&whole.body[..at], &rest.body].concat() == whole.body, "{at}");
    }
    let ranged = |headers: &[(&str, &str)]| served.get_with(&path, Some(&token), headers);
    let some = ranged(&[("range", "bytes=10-19")]);
    assert_eq!((some.status, &some.body[..]), (206, &whole.body[10..20]));
    let beyond = ranged(&[("range", &format!("bytes={length}-"))]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, format!("bytes */{length}").as_str()));
    assert!(ranged(&[("range", "bytes=9-"), ("if-range", "\"other\"")]).body == whole.body);
    assert_eq!(ranged(&[("if-match", "\"other\""), ("range", "bytes=9-")]).json()["code"], "precondition");
    assert_eq!(ranged(&[("if-none-match", &etag)]).status, 304);
    // Without a checkpoint, or sealed, there is nothing to resume.
    for query in ["", "?age=age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"] {
        let path = format!("/v1/subjects/me/export{query}");
        let reply = served.get_with(&path, Some(&token), &[("range", "bytes=9-")]);
        assert_eq!(
            (reply.status, reply.header("accept-ranges"), reply.header("etag")),
            (200, "none", ""),
            "{query}"
        );
    }
}

#[test]
fn a_reader_who_leaves_in_the_middle_comes_back_for_the_rest() {
    let served = story();
    let link = served.node.link_export(&key_hash(&person_key(1)), None).unwrap();
    let path = format!("/v1/exports/{}", link.token);
    let whole = served.get(&path, None);
    let address = served.url("");
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    for at in offsets(whole.body.len()).take(5) {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
        let (mut got, mut body) = (Vec::new(), None);
        while body.is_none_or(|from: usize| got.len() < from + at) {
            let mut piece = [0; 1_000];
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "it ended early");
            got.extend_from_slice(&piece[..n]);
            body = got.windows(4).position(|w| w == b"\r\n\r\n").map(|end| end + 4);
        }
        drop(stream);
        let first = &got[body.unwrap()..][..at];
        let rest = loop {
            let headers = [("range", format!("bytes={at}-")), ("if-range", whole.header("etag").to_owned())];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reply = served.get_with(&path, None, &headers);
            // The writer of the first may not have noticed yet that its reader is gone.
            if reply.status != 429 {
                break reply;
            }
        };
        assert_eq!(rest.status, 206);
        assert!([first, &rest.body].concat() == whole.body, "{at}");
    }
}

#[test]
fn a_link_is_one_persons_and_ends() {
    let served = story();
    let token = served.citizen(1);
    let make = |body: &str| {
        served.post("/v1/subjects/me/export/links", "application/json", Some(&token), body.as_bytes())
    };
    let made = make("{}");
    assert_eq!((made.status, made.header("cache-control")), (201, "no-store"));
    let size = served.node.published().size;
    assert_eq!(
        (made.json()["size"].as_u64(), made.json()["until"].as_u64()),
        (Some(size), Some(served.world.now().0 + DAY))
    );
    let address = made.json()["address"].as_str().unwrap().to_owned();
    let path = address
        .strip_prefix(&served.url(""))
        .map(|rest| format!("/{}", rest.trim_start_matches('/')))
        .unwrap();
    let own = served.get(&format!("/v1/subjects/me/export?at={size}"), Some(&token)).body;
    let fetched = served.get(&path, None);
    assert_eq!((fetched.status, fetched.body == own), (200, true));
    // It stays on its checkpoint when the log grows.
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(2))).status, 201);
    served.node.tick().unwrap();
    assert!(served.get(&path, None).body == own);
    // Guessed, cut, spoiled, of another: all alike.
    let spoiled = |at: usize| {
        let mut bytes = path.clone().into_bytes();
        let at = "/v1/exports/".len() + at;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let other = served.node.link_export(&key_hash(&person_key(2)), None).unwrap().token;
    let hers = path.trim_start_matches("/v1/exports/");
    let mixed = format!("/v1/exports/{}{}", &other[..70], &hers[70..]);
    let odd = [
        spoiled(0),
        spoiled(40),
        spoiled(100),
        mixed,
        format!("{path}A"),
        path[..path.len() - 2].to_owned(),
        format!("/v1/exports/{}", "A".repeat(118)),
        "/v1/exports/x".into(),
        format!("/v1/exports/{}", "A".repeat(4_000)),
    ];
    for path in &odd {
        let reply = served.get(path, None);
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("not-found")), "{path}");
    }
    // Hers leads to hers and the other's to the other's.
    assert!(served.get(&format!("/v1/exports/{other}"), None).body != own);
    for bad in ["", "[]", "{\"at\":-1}", "{\"until\":1}"] {
        assert_eq!(make(bad).json()["code"], "bad-json", "{bad}");
    }
    assert_eq!(make("{\"at\":1}").json()["code"], "bad-query");
    // Nine of them: the first makes room.
    let many: Vec<String> = (0..naru::node::MOST_LINKS)
        .map(|_| {
            served.world.advance(1);
            served.node.link_export(&key_hash(&person_key(1)), None).unwrap().token
        })
        .collect();
    assert_eq!(served.get(&path, None).status, 404, "the oldest has gone");
    let last = format!("/v1/exports/{}", many[7]);
    assert_eq!(served.get(&last, None).status, 200);
    served.world.advance(DAY - 1);
    assert_eq!(served.get(&last, None).status, 200, "to its last instant");
    served.world.advance(1);
    assert_eq!(served.get(&last, None).status, 404);
    let party = served.party("bank", BANK);
    assert_eq!(
        served.post("/v1/subjects/me/export/links", "application/json", Some(&party), b"{}").status,
        403
    );
}

#[test]
fn a_link_goes_with_her() {
    let served = story();
    let link = served.node.link_export(&key_hash(&person_key(1)), None).unwrap().token;
    let path = format!("/v1/exports/{link}");
    assert_eq!(served.get(&path, None).status, 200);
    let demand = ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: served.world.now(),
        nonce: nonce(),
        ppid: served.node.ppid(&key_hash(&person_key(1)), None).unwrap().unwrap(),
    };
    assert_eq!(served.statement(&sign(&demand.into(), &person_key(1))).status, 201);
    assert_eq!(served.get(&path, None).status, 404);
}
