//! Complaints in an archive: her own words, proven, and how far each has come.

use naru::model::id::Nonce;
use naru::model::id::StatementId;
use serde_json::Value;

use super::*;
use crate::incidents::step;

const TEXT: &str = "=marker-of-complaint: somebody called me";

pub(crate) fn complain(world: &World, n: u64, of: &str, text: &str) -> StatementId {
    let statement = world.complaint(world.ppid(n, Some(of)), of, text).into();
    let id = world.accept(sign(&statement, &person_key(n))).id;
    world.node().tick().unwrap();
    id
}

fn complaints_of(bytes: &[u8]) -> Vec<Value> {
    let rows = json(&files(bytes), portability::COMPLAINTS)["complaints"].as_array().unwrap().clone();
    assert_eq!(verify(bytes).unwrap().complaints, rows.len());
    rows
}

/// Two persons; the first has complained twice, of the hospital and of the bank.
fn complained() -> (World, [StatementId; 2]) {
    let world = World::logging();
    for n in 1..=2 {
        world.enrol(n);
    }
    let ids = ["hospital", "bank"].map(|of| complain(&world, 1, of, TEXT));
    (world, ids)
}

#[test]
fn her_complaints_are_inside_with_their_proof_and_nobody_elses_are() {
    let (mut world, ids) = complained();
    let size = world.node().published().size;
    let before = archive(&world, 1, None);
    let rows = complaints_of(&before);
    let of = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    assert_eq!(rows.iter().map(|row| of(row, "party")).collect::<Vec<_>>(), ["hospital", "bank"]);
    assert_eq!(of(&rows[0], "statement"), ids[0].to_string());
    assert_eq!((of(&rows[0], "text").as_str(), of(&rows[0], "stage").as_str()), (TEXT, "complained"));
    assert_eq!(of(&rows[0], "ppid"), world.ppid(1, Some("hospital")).to_text());
    let inside = files(&before);
    assert!(rows.iter().all(|row| inside.contains_key(&of(row, "evidence"))));
    assert!(rows.iter().all(|row| inside.contains_key(&of(row, "receipt"))));
    // In a spreadsheet her words are words.
    let csv = String::from_utf8(inside[portability::COMPLAINTS_CSV].clone()).unwrap();
    assert!(csv.contains("'=marker-of-complaint") && csv.lines().count() == 3, "{csv}");
    let complete = json(&inside, portability::COMPLETENESS);
    let kinds = |list: &str| {
        let all = complete[list].as_array().unwrap().iter();
        all.filter(|one| one["kind"] == "complaint").count()
    };
    assert_eq!((kinds("exported"), kinds("withheld")), (2, 2), "what the two sides wrote is theirs");
    let others = archive(&world, 2, None);
    assert_eq!(complaints_of(&others), Vec::<Value>::new());
    assert!(!holds(&others, b"marker-of-complaint"));

    // How far it has come; what was shown before stays what it was.
    step(&world, Nonce(ids[0].0[..16].try_into().unwrap()), Kind::IncidentConfirm, "pipc", REGULATOR);
    let now = archive(&world, 1, None);
    let row = &complaints_of(&now)[0];
    assert_eq!((&row["stage"], &row["steps"][0]["by"]), (&"confirmed".into(), &"pipc".into()));
    let csv = String::from_utf8(files(&now)[portability::COMPLAINTS_CSV].clone()).unwrap();
    assert!(csv.contains(" incident.confirm (pipc)"), "{csv}");
    assert!(!holds(&now, b"no business of hers"));
    assert_eq!(archive(&world, 1, Some(size)), before);
    world.memory.sync();
    world.reopen();
    assert_eq!(archive(&world, 1, None), now);
    assert_eq!(archive(&world, 1, Some(size)), before);
}

#[test]
fn a_log_that_tells_another_story_of_a_complaint_is_found() {
    let (world, ids) = complained();
    step(&world, Nonce(ids[0].0[..16].try_into().unwrap()), Kind::IncidentDismiss, "pipc", REGULATOR);
    let bytes = archive(&world, 1, None);
    let mut files: Vec<_> = Vec::new();
    let mut source = Cursor::new(&bytes);
    let bag = Bag::open(&mut source, signer(LOG).public()).unwrap();
    bag.walk::<portability::Error>(&mut |listed, content| {
        files.push((listed.path.clone(), content.unwrap().to_vec()));
        Ok(())
    })
    .unwrap();
    assert_eq!(signed_again(&world, &files), bytes);
    let wrong = |files: &[(String, Vec<u8>)], what: &str| {
        let error = verify(&signed_again(&world, files)).unwrap_err();
        assert!(matches!(error, archive::Error::Wrong { .. }), "{what}: {error}");
    };
    for (path, from, to) in [
        (portability::COMPLAINTS, "somebody called me", "nobody called me"),
        (portability::COMPLAINTS, "\"stage\":\"dismissed\"", "\"stage\":\"complained\""),
        (portability::COMPLAINTS, "incident.dismiss", "incident.close"),
        (portability::COMPLAINTS, "\"party\":\"hospital\"", "\"party\":\"bank\""),
        (portability::COMPLAINTS, "{\"complaints\":[", "{\"complaints\":[{},"),
        (portability::COMPLAINTS_CSV, "dismissed", "confirmed"),
        (portability::COMPLETENESS, "\"kind\":\"complaint\",\"id\"", "\"kind\":\"use\",\"id\""),
    ] {
        let mut files = files.clone();
        let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
        let text = String::from_utf8(file.1.clone()).unwrap();
        assert!(text.contains(from), "{path}: {from} in {text}");
        file.1 = text.replacen(from, to, 1).into_bytes();
        wrong(&files, &format!("{path}: {from}"));
    }
    let gone = |path: &str| files.iter().filter(|(name, _)| name != path).cloned().collect::<Vec<_>>();
    wrong(&gone(portability::COMPLAINTS), "no list");
    let evidence = files.iter().find(|(name, _)| name.starts_with(portability::COMPLAINT_FILES)).unwrap();
    wrong(&gone(&evidence.0), "no evidence");
    wrong(&gone(&evidence.0.replace(".cbor", ".cose")), "no receipt");
    // A statement that is none does not pass for one.
    let mut other = files.clone();
    let own = files.iter().find(|(name, _)| name == "data/statements/000001.zip").unwrap();
    let (name, content) = in_parcel(&own.1).swap_remove(0);
    other.push((format!("{}{name}", portability::COMPLAINT_FILES), content));
    wrong(&other, "no complaint");
}
