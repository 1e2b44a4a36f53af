//! `/v1/subjects/me/export`: who may, one at a time, whole or visibly broken off.

use std::io::Cursor;

use naru::audit::archive;
use naru::ledger::key::Signer;

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
    std::io::Read::read_to_end(&mut reader, &mut opened).unwrap();
    assert!(opened == plain, "sealed or not, the archive is the same bytes");
    // The key of RFC 7518 appendix C.
    let (x, y) =
        ("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck");
    let jwk = format!(r#"{{"kty":"EC","crv":"P-256","kid":"bank-1","x":"{x}","y":"{y}"}}"#);
    let path = format!("/v1/subjects/me/export?jwe={}", URL_SAFE_NO_PAD.encode(jwk));
    let jwe = served.get(&path, Some(&token));
    assert_eq!((jwe.status, jwe.header("content-type")), (200, "application/jose"));
    assert_eq!(jwe.body.iter().filter(|b| **b == b'.').count(), 4);
    for query in ["age=age1", "age=", "jwe=e30", "jwe=*", "age=a&jwe=b", "passphrase=x"] {
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
    ] {
        std::fs::write(format!("{out}/{name}"), bytes).unwrap();
    }
    let mut passphrase = Vec::new();
    let receiver = naru::node::Receiver::passphrase("correct horse battery").unwrap();
    let mut sealing = receiver.begin(&mut passphrase).unwrap();
    std::io::Write::write_all(&mut sealing, &plain).unwrap();
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
