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
