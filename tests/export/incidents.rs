//! Incidents in an archive: hers, and what she is told of them at which stage.

use naru::model::id::Hash;
use naru::model::id::Nonce;
use naru::model::id::Timestamp;
use naru::model::vocabulary::AskedAction;
use naru::node::Told;
use serde_json::Value;

use super::*;

/// A bank's question that nothing can grant.
fn link(world: &World, ppid: Ppid) -> Told {
    let bank = party("bank");
    let mut asked = world.ask(ppid, Action::Use);
    asked.question.action = AskedAction::parse("link").unwrap();
    world.node().tell(Asker { party: &bank, signed: None }, &asked)
}

fn flag(world: &World) -> Nonce {
    world.advance(1_000);
    world.node().sync_uses().unwrap();
    let found = world.node().flag_findings(Timestamp(0), Timestamp(u64::MAX)).unwrap();
    batch(world);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].incident
}

/// Seals a document and signs the step that names it, and publishes.
pub(crate) fn step(world: &World, incident: Nonce, kind: Kind, name: &str, seed: u8) {
    let text = b"a document that is no business of hers";
    let document: Hash = world.node().keep_incident_document(&incident, text, &party(name)).unwrap().unwrap();
    let (v, iat, nonce, party) = (V1, world.now(), nonce(), party(name));
    let statement: Statement = match kind {
        Kind::IncidentAnswer => IncidentAnswer { v, kind, iat, nonce, incident, party, document }.into(),
        Kind::IncidentConfirm => IncidentConfirm { v, kind, iat, nonce, incident, party, document }.into(),
        Kind::IncidentDismiss => IncidentDismiss { v, kind, iat, nonce, incident, party, document }.into(),
        other => panic!("{}", other.as_str()),
    };
    world.accept(sign(&statement, &signer(seed)));
    world.node().tick().unwrap();
}

/// Persons 1 and 2 are asked about in a way that was refused before, person 3 is not.
fn linked() -> (World, Nonce, Told) {
    let world = World::logging();
    let ppids: Vec<_> = (1..=3).map(|n| world.enrol(n)).collect();
    link(&world, ppids[0]);
    ask(&world, ppids[2]);
    world.advance(60_000);
    let again = link(&world, ppids[1]);
    let incident = flag(&world);
    (world, incident, again)
}

/// The same bytes; if not, says in which file they differ.
fn same(one: &[u8], two: &[u8]) {
    let (a, b) = (files(one), files(two));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (path, bytes) in a.iter().filter(|(path, _)| path.ends_with("s.json")) {
        assert_eq!(text(bytes), text(&b[path]), "{path}");
    }
    assert!(one == two);
}

fn incidents_of(world: &World, n: u64) -> (Vec<Value>, Vec<(String, String)>) {
    let bytes = archive(world, n, None);
    let proven = verify(&bytes).unwrap();
    let rows = json(&files(&bytes), portability::INCIDENTS)["incidents"].as_array().unwrap().clone();
    assert_eq!(proven.incidents, rows.len());
    (rows, proven.withheld)
}

#[test]
fn a_person_of_a_flagged_incident_finds_it_and_others_do_not() {
    let (mut world, incident, again) = linked();
    for n in [1, 3] {
        assert_eq!(incidents_of(&world, n).0, Vec::<Value>::new(), "person {n}");
    }
    let (rows, withheld) = incidents_of(&world, 2);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(row["incident"], incident.to_string());
    assert_eq!(
        (&row["detector"], &row["strength"], &row["stage"]),
        (&"linking-again".into(), &"S".into(), &"flagged".into())
    );
    assert_eq!(row["decisions"], serde_json::json!([again.id.unwrap().to_string()]));
    assert_eq!((&row["about"], &row["alike"]), (&PURPOSE.into(), &serde_json::json!([])));
    // Nobody has decided: she is not told who is accused, and is told that she is not.
    assert_eq!(row["accused"], Value::Null);
    let names = format!("{row}");
    assert!(!names.contains("bank"), "{names}");
    let why = |withheld: &[(String, String)], what: &str| {
        let of =
            withheld.iter().find(|(_, said)| said.starts_with(what) && said.contains(&incident.to_string()));
        of.map(|(reason, _)| reason.clone())
    };
    assert_eq!(why(&withheld, "the accused").as_deref(), Some("under-investigation"));
    assert_eq!(why(&withheld, "documents").as_deref(), Some("rights-of-others"));
    // From a confirmation on she is told; what was shown before stays what it was.
    let size = world.node().published().size;
    let before = archive(&world, 2, None);
    step(&world, incident, Kind::IncidentAnswer, "bank", BANK);
    let (rows, _) = incidents_of(&world, 2);
    assert_eq!(
        (&rows[0]["steps"][0]["type"], &rows[0]["steps"][0]["by"]),
        (&"incident.answer".into(), &Value::Null)
    );
    step(&world, incident, Kind::IncidentConfirm, "pipc", REGULATOR);
    let (rows, withheld) = incidents_of(&world, 2);
    assert_eq!((&rows[0]["accused"], &rows[0]["stage"]), (&"bank".into(), &"confirmed".into()));
    assert_eq!((&rows[0]["steps"][0]["by"], &rows[0]["steps"][1]["by"]), (&"bank".into(), &"pipc".into()));
    assert_eq!(why(&withheld, "the accused"), None);
    assert!(!holds(&archive(&world, 2, None), b"no business of hers"));
    same(&archive(&world, 2, Some(size)), &before);
    // Taken back: the name goes with it.
    step(&world, incident, Kind::IncidentDismiss, "pipc", REGULATOR);
    let (rows, withheld) = incidents_of(&world, 2);
    assert_eq!((&rows[0]["accused"], &rows[0]["stage"]), (&Value::Null, &"dismissed".into()));
    assert_eq!(why(&withheld, "the accused").as_deref(), Some("rights-of-others"));
    world.memory.sync();
    world.reopen();
    assert_eq!(incidents_of(&world, 2).0, rows);
    same(&archive(&world, 2, Some(size)), &before);
}

#[test]
fn an_incident_names_the_statement_of_hers_that_it_rests_on() {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1))).id;
    ask(&world, ppid);
    world.advance(6 * 60_000);
    ask(&world, ppid);
    flag(&world);
    let (rows, _) = incidents_of(&world, 1);
    assert_eq!(rows[0]["detector"], "use-after-end");
    assert_eq!(rows[0]["statements"], serde_json::json!([withdrawn.to_string()]));
}

#[test]
fn of_a_finding_that_counts_more_than_it_quotes_everybody_is_told() {
    let world = World::logging();
    let ppids: Vec<_> = (1..=40).map(|n| world.enrol(n)).collect();
    link(&world, ppids[39]);
    world.advance(60_000);
    ppids.iter().take(39).for_each(|ppid| drop(link(&world, *ppid)));
    flag(&world);
    let told = |n| {
        let (rows, _) = incidents_of(&world, n);
        let counted = |name: &str| rows[0][name].as_array().unwrap().len();
        (rows.len(), counted("decisions") + counted("alike"))
    };
    for n in [1, 20, 39] {
        assert_eq!(told(n), (1, 1), "person {n}");
    }
}

#[test]
fn a_log_that_tells_another_story_of_an_incident_is_found() {
    let (world, incident, _) = linked();
    let bytes = archive(&world, 2, None);
    let files = walked(&bytes);
    assert!(verify(&signed_again(&world, &files)).is_ok());
    let id = incident.to_string();
    let other = Nonce([7; 16]).to_string();
    for (path, from, to) in [
        // Named before anybody has decided, and a decision nobody can check.
        (portability::INCIDENTS, "\"accused\":null", "\"accused\":\"bank\""),
        (portability::INCIDENTS, "\"decisions\":[\"", "\"decisions\":[\"0"),
        (portability::INCIDENTS, "\"statements\":[]", "\"statements\":[\"00\"]"),
        // Another incident, or one that is not there.
        (portability::INCIDENTS, &id, &other),
        (portability::COMPLETENESS, "\"kind\":\"incident\",\"id\"", "\"kind\":\"use\",\"id\""),
    ] {
        let mut files = files.clone();
        let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
        let text = String::from_utf8(file.1.clone()).unwrap();
        assert!(text.contains(from), "{path}: {from} in {text}");
        file.1 = text.replacen(from, to, 1).into_bytes();
        let error = verify(&signed_again(&world, &files)).unwrap_err();
        assert!(matches!(error, archive::Error::Wrong { .. }), "{path}: {error}");
    }
}
