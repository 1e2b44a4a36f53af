//! `/log/`: the public log as static files, and attachments.

use naru::ledger::hash;
use naru::ledger::tile;

use crate::*;

/// The hashes of each level, worked out from the entries alone.
fn levels(entries: &[Vec<u8>]) -> Vec<Vec<[u8; 32]>> {
    let mut levels = vec![entries.iter().map(|e| hash::leaf(e)).collect::<Vec<_>>()];
    while let Some(full) = levels.last().map(|row| row.chunks_exact(256)).filter(|full| full.len() > 0) {
        let next = full.map(naru::ledger::merkle::root).collect();
        levels.push(next);
    }
    levels
}

#[test]
fn every_file_of_the_log_is_what_a_static_export_would_hold() {
    let served = Served::new();
    let items: Vec<_> = (1..=300).map(|n| sign(&served.world.key_create(), &person_key(n))).collect();
    let reply = served.post("/v1/statements:batch", "application/cbor-seq", None, &items.concat());
    assert_eq!(reply.status, 200);
    served.node.tick().unwrap();
    let note = served.get("/log/checkpoint", None);
    assert!(note.header("content-type").starts_with("text/plain"));
    assert_eq!(note.header("cache-control"), "public, max-age=1");
    let checkpoint = naru::ledger::checkpoint::open(&note.body, signer(LOG).public(), ORIGIN).unwrap();
    let entries = served.node.entries(0, checkpoint.size).unwrap();
    let levels = levels(&entries);
    let at = |index: u64, width: u16| {
        let from = usize::try_from(index).unwrap() * 256;
        from..from + usize::from(width)
    };
    let mut files = 0;
    for path in tile::paths(checkpoint.size) {
        let file = served.get(&format!("/log/{path}"), None);
        let holds = match path {
            tile::Path::Entries { index, width } => tile::bundle(&entries[at(index, width)]).unwrap(),
            tile::Path::Tile { level, index, width } => levels[usize::from(level)][at(index, width)].concat(),
        };
        assert_eq!((file.status, file.body), (200, holds), "{path}");
        files += 1;
    }
    assert_eq!(files, 5, "two bundles, two tiles of leaves, one above");
    // A full tile's older, partial self is still served.
    assert_eq!(served.get("/log/tile/0/000.p/3", None).body, levels[0][..3].concat());
}

#[test]
fn files_say_that_they_never_change_and_have_one_address() {
    let served = Served::new();
    served.node.tick().unwrap();
    let path = "/log/tile/entries/000.p/1";
    let whole = served.get(path, None);
    let head = reply(agent().head(served.url(path)).call().unwrap());
    for answer in [&whole, &head] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!((head.body.len(), head.header("content-length")), (0, &*whole.body.len().to_string()));
    assert_eq!(served.get("/log/checkpoint", None).header("access-control-allow-origin"), "*");
    for bad in [
        "/log/tile/entries/%30%30%30.p/1",
        "/log/tile/entries/000%2Ep/1",
        "/log/tile/entries/000.p/256",
        "/log/tile/entries/x000/000.p/1",
        "/log/tile/entries/0000.p/1",
        "/log/tile/entries/000.p/01",
        "/log/tile/entries/000/",
        "/log/tile//entries/000.p/1",
        "/log/tile/64/000.p/1",
        "/log/tile/63/000.p/1",
        "/log/tile/",
    ] {
        let answer = served.get(bad, None);
        assert_eq!(answer.status, 404, "{bad}");
        assert!(!answer.header("cache-control").contains("immutable"), "{bad}");
    }
}

#[test]
fn attachments_are_stored_by_parties_and_read_by_anybody() {
    let served = Served::new();
    served.statement(&sign(&served.world.key_create(), &person_key(1)));
    let (bank, citizen) = (served.party("bank", BANK), served.citizen(1));
    let text = b"<script>what we ask</script>";
    let post = |token: Option<&str>, bytes: &[u8]| served.post("/v1/attachments", "text/html", token, bytes);
    let stored = post(Some(&bank), text);
    let hash = naru::model::id::Hash(hash::sha256(&[text])).to_string();
    assert_eq!((stored.status, stored.json()["hash"].clone()), (201, hash.clone().into()));
    let path = format!("/log/attachments/{hash}");
    assert_eq!(stored.header("location"), path);
    assert_eq!(post(Some(&bank), text).status, 201, "the same again is the same");
    let read = served.get(&path, None);
    assert_eq!((read.status, &read.body[..]), (200, &text[..]));
    assert_eq!(read.header("content-type"), "application/octet-stream");
    assert_eq!(read.header("content-disposition"), "attachment");
    assert!(read.header("cache-control").contains("immutable"));
    assert_eq!(post(Some(&citizen), text).status, 403);
    assert_eq!(post(None, text).json()["code"], "no-token");
    assert_eq!(post(Some(&bank), b"").json()["code"], "empty-body");
    assert_eq!(post(Some(&bank), &vec![0; (1 << 20) + 1]).json()["code"], "too-large");
    assert_eq!(post(Some(&bank), &vec![0; 1 << 20]).status, 201);
    assert_eq!(
        served.get(&path.to_uppercase().replace("/LOG/ATTACHMENTS", "/log/attachments"), None).status,
        404
    );
    assert_eq!(served.get(&format!("/log/attachments/{}", "0".repeat(64)), None).status, 404);
}
