//! The map, tested: who may import whom, how long files and functions may be, what is never written.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The import table of the design: a module and what it may import of the others.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ledger", &[]),
    ("identity", &["model", "ledger"]),
    ("consent", &["model", "identity"]),
    ("portability", &["model", "ledger", "identity"]),
    ("reidentification", &["model", "ledger", "identity"]),
    ("audit", &["model", "ledger", "identity", "consent", "portability", "reidentification"]),
    ("vault", &["model"]),
    ("store", &["model", "ledger"]),
    ("outbound", &["model", "ledger"]),
    ("config", &["model"]),
    ("telemetry", &["model"]),
    (
        "node",
        &[
            "model",
            "ledger",
            "identity",
            "consent",
            "portability",
            "reidentification",
            "audit",
            "vault",
            "store",
            "outbound",
        ],
    ),
    ("http", &["node", "identity", "ledger", "model", "config", "telemetry"]),
    ("web", &["node", "model", "http"]),
    (
        "cli",
        &[
            "model",
            "ledger",
            "identity",
            "consent",
            "portability",
            "reidentification",
            "audit",
            "vault",
            "store",
            "outbound",
            "config",
            "telemetry",
            "node",
            "http",
            "web",
        ],
    ),
];

/// Modules that touch no disk, socket, thread, clock or log.
const PURE: &[&str] = &["model", "ledger", "identity", "consent", "portability", "reidentification"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module a file belongs to: the first part of its path.
fn module(path: &Path) -> String {
    let first = path.strip_prefix(root()).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The text of a file without its test module and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("\n#[cfg(test)]").next().unwrap().to_owned();
    text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Test code in a file of its own does not count.
fn is_tests(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n == "tests.rs") || path.components().any(|c| c.as_os_str() == "tests")
}

#[test]
fn every_import_stands_in_the_table() {
    let table: BTreeMap<_, BTreeSet<_>> =
        TABLE.iter().map(|(m, may)| (*m, may.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for path in sources(&root()).into_iter().filter(|p| !is_tests(p)) {
        let here = module(&path);
        if here == "lib" || here == "main" {
            continue;
        }
        let may = table.get(here.as_str()).unwrap_or_else(|| panic!("`{here}` is not in the table"));
        for part in code(&path).split("crate::").skip(1) {
            let names: Vec<String> = match part.strip_prefix('{') {
                Some(group) => group.split('}').next().unwrap().split(',').map(str::to_owned).collect(),
                None => vec![part.to_owned()],
            };
            for name in names {
                let name: String =
                    name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_module = table.contains_key(name.as_str());
                if is_module && name != here && !may.contains(name.as_str()) {
                    wrong.push(format!("{} imports {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_pure_modules_touch_nothing() {
    let forbidden = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant",
        "tracing::",
        "getrandom",
        "async fn",
        "println!",
        "eprintln!",
        "tokio",
    ];
    let mut wrong = Vec::new();
    for path in sources(&root()).into_iter().filter(|p| PURE.contains(&module(p).as_str()) && !is_tests(p)) {
        let text = code(&path);
        wrong.extend(
            forbidden.iter().filter(|f| text.contains(*f)).map(|f| format!("{}: {f}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_stay_within_600_lines() {
    let long: Vec<_> = sources(&root())
        .into_iter()
        .filter(|p| !is_tests(p))
        .map(|p| {
            let text = fs::read_to_string(&p).unwrap();
            (text.split("\n#[cfg(test)]").next().unwrap().lines().count(), p)
        })
        .filter(|(lines, _)| *lines > 600)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = sources(&root())
        .into_iter()
        .filter(|p| !is_tests(p) && !fs::read_to_string(p).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn serde_cbor_stands_in_the_ledger_s_codec_alone() {
    let codec = root().join("ledger/cbor");
    let wrong: Vec<_> = sources(&root())
        .into_iter()
        .filter(|p| !p.starts_with(&codec) && !is_tests(p) && code(p).contains("serde_cbor"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_test_is_skipped_and_nothing_is_left_undone() {
    let mut wrong = Vec::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = sources(&here.join("tests"));
    for path in sources(&root()).into_iter().chain(tests).filter(|p| !p.ends_with("architecture.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        for mark in ["#[ignore", "todo!(", "unimplemented!(", "FIXME"] {
            if text.contains(mark) {
                wrong.push(format!("{}: {mark}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
