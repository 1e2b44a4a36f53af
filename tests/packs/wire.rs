//! Examples of everything that is not a bare statement: items, entries, promises, receipts, evidence.
//!
//! Signatures are filler: what is shown here is shape.

use ciborium::Value;
use naru::model::id::Timestamp;
use naru::model::statement::Kind;

use super::examples::{Optional, example};
use super::statement_bytes;

fn b(byte: u8, len: usize) -> Value {
    Value::Bytes(vec![byte; len])
}

fn n(n: i64) -> Value {
    Value::Integer(n.into())
}

fn t(s: &str) -> Value {
    Value::Text(s.to_owned())
}

/// A map with its keys in bytewise order of their encoding.
fn map(mut entries: Vec<(Value, Value)>) -> Value {
    entries.sort_by_key(|(key, _)| bytes(key));
    Value::Map(entries)
}

fn named(entries: Vec<(&str, Value)>) -> Value {
    map(entries.into_iter().map(|(key, value)| (t(key), value)).collect())
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

fn wrapped(value: &Value) -> Value {
    Value::Bytes(bytes(value))
}

fn sign1(protected: Value, unprotected: Value, payload: Value) -> Value {
    Value::Tag(18, Box::new(Value::Array(vec![wrapped(&protected), unprotected, payload, b(0x99, 64)])))
}

fn none() -> Value {
    Value::Map(vec![])
}

fn header(alg: i64, kid: Value, typ: &str) -> Value {
    map(vec![(n(1), n(alg)), (n(4), kid), (n(16), t(typ))])
}

fn signed(alg: i64, spki: usize, payload: Value) -> Value {
    sign1(header(alg, b(0x66, spki), "application/naru-statement+cbor"), none(), payload)
}

fn endorsed(inner: &Value) -> Value {
    sign1(header(-8, b(0x67, 44), "application/naru-endorsed+cose"), none(), wrapped(inner))
}

fn passkey_endorsed(inner: &Value) -> Value {
    Value::Array(vec![n(2), wrapped(inner), b(1, 37), b(2, 120), b(3, 71), b(0x66, 91)])
}

fn passkey(statement: Value, digests: usize) -> Value {
    let digests = Value::Array(vec![b(0x33, 32); digests]);
    Value::Array(vec![n(1), statement, digests, b(1, 37), b(2, 120), b(3, 71), b(0x66, 91)])
}

/// What a real Chromium made of RSA, of statements and of a login.
fn by_chromium(what: &str) -> Value {
    use base64::Engine;
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/passkey/chromium-257.json")).unwrap();
    let item = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(file[what].as_str().unwrap()).unwrap();
    ciborium::from_reader(&*item).unwrap()
}

fn receipt(label: i64, proof: Value) -> Value {
    let claims = map(vec![(n(1), t("ledger.example/1")), (n(2), t("naru.receipt.v1")), (t("size"), n(8))]);
    let protected = map(vec![
        (n(1), n(-8)),
        (n(4), b(0x44, 32)),
        (n(15), claims),
        (n(16), t("application/naru-receipt+cose")),
        (n(395), n(1)),
    ]);
    let proofs = map(vec![(n(label), Value::Array(vec![wrapped(&proof)]))]);
    sign1(protected, map(vec![(n(396), proofs)]), Value::Null)
}

fn promise() -> Value {
    let payload = named(vec![
        ("origin", t("ledger.example/1")),
        ("first", n(41)),
        ("n", n(2)),
        ("at", n(1_790_000_000_000)),
        ("root", b(0x33, 32)),
    ]);
    sign1(header(-8, b(0x44, 32), "application/naru-promise+cbor"), none(), wrapped(&payload))
}

/// The real thing, signed: what the library writes is what the schema says.
fn cohort(optional: bool) -> Value {
    use naru::ledger::cohort::{Asked, Summary};
    let word = |text: &str| optional.then(|| text.to_owned());
    let summary = Summary {
        origin: "ledger.example/1".into(),
        id: [7; 16],
        party: "bank".into(),
        asked: Asked {
            controller: "bank".into(),
            action: "share".into(),
            purpose: "dpv:Marketing".into(),
            class: "real-name".into(),
            categories: word("pd:Income").into_iter().collect(),
            recipient: word("hospital"),
            jurisdiction: word("KR"),
        },
        lines: if optional { 3 } else { 0 },
        told: word("CONSENT_GIVEN").map(|reason| (reason, 2)).into_iter().collect(),
        malformed: u64::from(optional),
        input: [1; 32],
        verdicts: [2; 32],
        as_of: (41, 42),
        packs: word("kcern-2018/1").into_iter().collect(),
        begun: 1_790_000_000_000,
        ended: 1_790_000_000_001,
    };
    let key = naru::ledger::key::Ed25519Signer::from_seed([9; 32]);
    ciborium::from_reader(&*summary.sign(&key).unwrap()).unwrap()
}

/// Rule, example: each is valid.
#[expect(clippy::too_many_lines, reason = "a list")]
pub(crate) fn good() -> Vec<(&'static str, Vec<u8>)> {
    let path = |len| Value::Array(vec![b(0x33, 32); len]);
    let grant = Value::Bytes(statement_bytes(&example(Kind::ConsentGrant, Optional::Present)));
    let notice = Value::Bytes(statement_bytes(&example(Kind::NoticePublish, Optional::Absent)));
    let genesis = Value::Bytes(statement_bytes(&example(Kind::LogCreate, Optional::Present)));
    let sealed = Value::Array(vec![n(1), n(1_790_000_000_000), n(1), b(0x33, 32)]);
    let public = |item: &Value| Value::Array(vec![n(1), n(1_790_000_000_000), n(0), wrapped(item)]);
    let login = named(vec![
        ("v", n(1)),
        ("origin", t("https://ledger.example")),
        ("nonce", b(7, 16)),
        ("iat", n(1_790_000_000_000)),
        ("exp", n(1_790_000_060_000)),
    ]);
    let inclusion = receipt(-1, Value::Array(vec![n(8), n(5), path(3)]));
    let consistency = receipt(-2, Value::Array(vec![n(4), n(8), path(2)]));
    let accepted = |sealed_too: bool| {
        let mut entries = vec![
            ("id", b(0x22, 32)),
            ("index", n(42)),
            ("at", n(1_790_000_000_000)),
            (
                "entry",
                wrapped(&if sealed_too {
                    sealed.clone()
                } else {
                    public(&endorsed(&signed(-8, 44, genesis.clone())))
                }),
            ),
            ("promise", wrapped(&promise())),
            ("path", path(1)),
        ];
        if sealed_too {
            entries.extend([("k1", b(1, 32)), ("k2", b(2, 32))]);
        }
        named(entries)
    };
    let common = |entry: &Value| {
        vec![
            ("v", n(1)),
            ("index", n(42)),
            ("entry", wrapped(entry)),
            ("receipt", wrapped(&inclusion)),
            ("checkpoint", t("ledger.example/1\n8\nMzMz\n\n— ledger.example/1 mQ==\n")),
        ]
    };
    let opened = || {
        let mut entries = common(&sealed);
        entries.extend([("at", n(1_790_000_000_123)), ("statement", grant.clone()), ("k1", b(1, 32))]);
        entries
    };
    let mut citizen = opened();
    citizen.extend([("proof", wrapped(&signed(-8, 44, Value::Null))), ("k2", b(2, 32))]);
    let mut controller = opened();
    controller.push(("h2", b(4, 32)));
    let on_passkey = endorsed(&passkey(grant.clone(), 64));
    let values = vec![
        ("signed-eddsa", signed(-8, 44, grant.clone())),
        ("signed-ed25519", signed(-19, 44, grant.clone())),
        ("signed-es256", signed(-7, 91, notice.clone())),
        ("passkey-one", passkey(grant.clone(), 1)),
        ("passkey-many", passkey(grant.clone(), 64)),
        ("passkey-chromium", by_chromium("alone")),
        ("passkey-login-chromium", by_chromium("login")),
        ("endorsed-once", endorsed(&signed(-8, 44, genesis.clone()))),
        ("endorsed-twice", endorsed(&endorsed(&signed(-8, 44, notice.clone())))),
        ("endorsed-passkey", on_passkey.clone()),
        ("endorsed-by-passkey", passkey_endorsed(&passkey(grant.clone(), 1))),
        ("item-a", signed(-8, 44, notice.clone())),
        ("item-b", passkey(grant, 1)),
        ("item-c", on_passkey),
        ("proof-a", signed(-8, 44, Value::Null)),
        ("proof-b", passkey(Value::Null, 2)),
        ("proof-c", endorsed(&passkey(Value::Null, 2))),
        ("proof-d", passkey_endorsed(&passkey(Value::Null, 1))),
        ("login", login.clone()),
        (
            "signed-login",
            sign1(header(-8, b(0x66, 44), "application/naru-login+cbor"), none(), wrapped(&login)),
        ),
        ("entry-public", public(&signed(-8, 44, notice.clone()))),
        ("entry-sealed", sealed.clone()),
        ("accepted-sealed", accepted(true)),
        ("accepted-public", accepted(false)),
        ("promise", promise()),
        ("cohort-full", cohort(true)),
        ("cohort-empty", cohort(false)),
        ("receipt", inclusion.clone()),
        ("consistency-receipt", consistency),
        ("evidence-citizen", named(citizen)),
        ("evidence-controller", named(controller)),
        ("evidence-public", named(common(&public(&signed(-8, 44, notice))))),
    ];
    values.into_iter().map(|(name, value)| (name, bytes(&value))).collect()
}

/// A valid map, spoiled: a key renamed, one too many, one missing, a value of the wrong width.
pub(crate) fn bad() -> Vec<(String, Vec<u8>)> {
    let whole: Value =
        ciborium::from_reader(&*statement_bytes(&example(Kind::ConsentGrant, Optional::Absent))).unwrap();
    let entries = whole.into_map().unwrap();
    let mut out = Vec::new();
    let mut put = |name: String, entries: Vec<(Value, Value)>| out.push((name, bytes(&map(entries))));
    for (at, (key, _)) in entries.iter().enumerate() {
        let key = key.as_text().unwrap().to_owned();
        let mut without = entries.clone();
        without.remove(at);
        put(format!("statement-without-{key}"), without);
        let mut renamed = entries.clone();
        renamed[at].0 = t(&format!("{key}s"));
        put(format!("statement-renamed-{key}"), renamed);
    }
    let with = |key: &str, value: Value| {
        let mut more: Vec<_> = entries.iter().filter(|(k, _)| *k != t(key)).cloned().collect();
        more.push((t(key), value));
        more
    };
    put("statement-unknown".into(), with("colour", t("red")));
    put("statement-version".into(), with("v", n(2)));
    put("statement-ppid".into(), with("ppid", b(1, 15)));
    put("statement-type".into(), with("type", t("consent.grants")));
    put("statement-class".into(), with("class", t("nameless")));
    put("statement-negative".into(), with("iat", n(-1)));
    put("statement-text-id".into(), with("over", t("22")));
    put("statement-too-late".into(), with("keep-until", n(i64::try_from(Timestamp::LAST.0).unwrap() + 1)));
    out
}
