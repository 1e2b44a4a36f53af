//! Packs, vocabulary and the grammar of all bytes, held against each other.

#[path = "packs/answers.rs"]
mod answers;
#[path = "packs/cases.rs"]
mod cases;
#[path = "packs/examples.rs"]
mod examples;
#[path = "packs/made.rs"]
mod made;
#[path = "packs/wire.rs"]
mod wire;
#[path = "consent/world.rs"]
#[expect(dead_code, reason = "the world of the consent tests has more than the cases need")]
mod world;

use std::fs;
use std::path::Path;

use examples::{Optional, example};
use naru::model::statement::{Kind, Statement};

const CDDL: &str = include_str!("../schemas/naru.cddl");

/// The statement's bytes, as everybody signs them.
pub(crate) fn statement_bytes(statement: &Statement) -> Vec<u8> {
    naru::ledger::cbor::encode(statement).unwrap()
}

fn every_example() -> impl Iterator<Item = (String, Kind, Statement)> {
    Kind::ALL.iter().flat_map(|kind| {
        [(Optional::Present, "full"), (Optional::Absent, "bare")]
            .map(|(o, how)| (format!("statement-{}-{how}", kind.as_str()), *kind, example(*kind, o)))
    })
}

#[test]
fn every_type_has_an_example_that_reads_back() {
    for (name, kind, statement) in every_example() {
        assert_eq!(statement.kind(), kind, "{name}");
        let bytes = statement_bytes(&statement);
        let limit = if kind.is_public() { 48 * 1024 } else { 16 * 1024 };
        assert!(bytes.len() <= limit, "{name}");
        assert_eq!(naru::identity::item::statement_from(&bytes).unwrap(), statement, "{name}");
    }
}

#[test]
fn the_grammar_names_every_type_once_and_every_key() {
    for kind in Kind::ALL {
        assert_eq!(CDDL.matches(&format!("type: \"{}\"", kind.as_str())).count(), 1, "{}", kind.as_str());
    }
    for (name, _, statement) in every_example() {
        let serde_cbor::Value::Map(map) = serde_cbor::value::to_value(&statement).unwrap() else {
            panic!("{name}")
        };
        for key in map.keys() {
            let serde_cbor::Value::Text(key) = key else { panic!("{name}: {key:?}") };
            assert!(CDDL.contains(&format!("{key}: ")), "{name}: `{key}`");
        }
    }
}

/// Writes one file an example; `tests/foreign/cddl.py` checks them with a foreign verifier.
#[test]
fn examples_are_written_for_a_foreign_verifier() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cddl");
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(dir.join(format!("{name}.cbor")), bytes).unwrap();
    for (name, _, statement) in every_example() {
        put(&name, &statement_bytes(&statement));
    }
    for (name, bytes) in wire::good().into_iter().chain(made::good()) {
        put(name, &bytes);
    }
    for (name, bytes) in wire::bad() {
        put(&format!("bad-{name}"), &bytes);
    }
    let written = 2 * Kind::ALL.len() + wire::good().len() + made::good().len() + wire::bad().len();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), written);
}
