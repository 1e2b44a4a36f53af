//! What `identity` and `ledger` really make, for the foreign verifiers: nothing here is built by hand.

use naru::audit::decision;
use naru::identity::item::sign as sign_statement;
use naru::identity::login::{Login, sign_login};
use naru::ledger::cbor;
use naru::ledger::checkpoint::{self, Checkpoint};
use naru::ledger::cose::{endorse, proof_of, statement_of};
use naru::ledger::entry::{Entry, commitment, opening};
use naru::ledger::evidence::{Evidence, Opening};
use naru::ledger::hash;
use naru::ledger::key::{Ed25519Signer, Signer};
use naru::ledger::merkle::{self, List};
use naru::ledger::promise::Promise;
use naru::ledger::receipt::CheckpointSignature;
use naru::model::decision::Reason;
use naru::model::id::{DecisionId, Hash, Nonce, PartyId, Ppid, StatementId, Timestamp};
use naru::model::statement::{Kind, UseBatch, V1};
use naru::model::use_line::{Exact, UseAct, UseLine};
use naru::model::vocabulary::{AskedAction, DataClass};
use naru::node::backup::frame::{Head, Manifest, Part};
use naru::node::backup::restore::Lost;
use serde_bytes::{ByteArray, ByteBuf};

use super::examples::{Optional, example};

const AT: u64 = 1_790_000_000_123;
const T: u64 = 1_790_000_000_000;
const ORIGIN: &str = "ledger.example/1";
const K1: [u8; 32] = [1; 32];
const K2: [u8; 32] = [2; 32];

/// Rule and what it is; bytes.
pub(crate) fn good() -> Vec<(&'static str, Vec<u8>)> {
    let (log, person) = (Ed25519Signer::from_seed([1; 32]), Ed25519Signer::from_seed([2; 32]));
    let item = sign_statement(&example(Kind::ConsentGrant, Optional::Present), &person).unwrap();
    let genesis = sign_statement(&example(Kind::LogCreate, Optional::Present), &log).unwrap();
    let endorsed = endorse(&person, &genesis).unwrap();
    let (statement, proof) = (statement_of(&item).unwrap(), proof_of(&item).unwrap());
    let (h1, h2) = (opening(&K1, &statement), opening(&K2, &proof));
    let public = Entry::Public { t: T, item: endorsed.clone() }.encode().unwrap();
    let sealed = Entry::Sealed { t: T, commitment: commitment(AT, &h1, &h2) }.encode().unwrap();

    let entries = [&public, &sealed, &sealed];
    let tree = List::new(&entries.map(|e| hash::leaf(e)));
    let promise = Promise { origin: ORIGIN.into(), first: 0, n: 3, at: AT, root: tree.root() };
    let signature = CheckpointSignature::new(&log, ORIGIN, 3, tree.root()).unwrap();
    let receipt =
        |index: u64| signature.inclusion(index, &tree.path(usize::try_from(index).unwrap()).unwrap());
    let older = entries.map(|e| hash::leaf(e));
    let consistency = signature.consistency(1, &merkle::path(&older, 0).unwrap()).unwrap();
    let head = Checkpoint { origin: ORIGIN.into(), size: 3, root: tree.root() };
    let note = checkpoint::sign(&head, &log).unwrap();
    let evidence = |index: u64, entry: &[u8], opening, checkpoint| {
        let made = Evidence { index, entry: entry.to_vec(), opening, receipt: receipt(index), checkpoint };
        assert!(made.verify(log.public(), ORIGIN, None).is_ok());
        made.encode().unwrap()
    };
    let citizen =
        Opening::Citizen { at: AT, statement: statement.clone(), k1: K1, proof: proof.clone(), k2: K2 };
    let controller = || Opening::Controller { at: AT, statement: statement.clone(), k1: K1, h2 };
    let (nonce, iat, exp) = (Nonce([7; 16]), Timestamp(T), Timestamp(T + 60_000));
    let login = Login { v: V1, origin: ORIGIN.into(), nonce, iat, exp };
    let root = Hash(tree.root());
    let part = Part { name: "commits".into(), frames: 3, bytes: 999, hash: root };
    let backup = Head { v: 1, origin: ORIGIN.into(), size: 3, root, note: note.clone() };
    let parts = vec![part.clone(), Part { name: "file/anchor".into(), ..part }];
    let manifest = Manifest { v: 1, origin: ORIGIN.into(), size: 3, root, parts, keys: root };
    let mut out = use_log(&log, &person);
    out.extend([
        ("backup-head-made", cbor::encode(&backup).unwrap()),
        ("backup-manifest-made", cbor::encode(&manifest).unwrap()),
        ("lost-made", cbor::encode(&Lost { from: 3, until: 9 }).unwrap()),
        ("item-made", item.clone()),
        ("signed-made", item),
        ("endorsed-made", endorsed),
        ("proof-made", proof),
        ("signed-login-made", sign_login(&login, &person).unwrap()),
        ("promise-made", promise.sign(&log).unwrap()),
        ("receipt-made", receipt(1)),
        ("consistency-receipt-made", consistency),
        ("evidence-made-citizen", evidence(1, &sealed, citizen, Some(note.clone()))),
        ("evidence-made-controller", evidence(1, &sealed, controller(), Some(note.clone()))),
        ("evidence-made-controller-unwitnessed", evidence(1, &sealed, controller(), None)),
        ("evidence-made-public", evidence(0, &public, Opening::Public, Some(note))),
        ("public-entry-made", public),
        ("sealed-entry-made", sealed),
    ]);
    out
}

/// A line with everything and one with nothing, and evidence of both in one batch.
fn use_log(log: &Ed25519Signer, operator: &Ed25519Signer) -> Vec<(&'static str, Vec<u8>)> {
    let exact = cbor::encode(&Exact { rule: "r".into(), reason: Reason::Objected }).unwrap();
    let lines = lines(&exact).map(|line| cbor::encode(&line).unwrap());
    let leaves = lines.each_ref().map(|line| decision::leaf(&K1, line));
    let (list, root) = (List::new(&leaves), Hash(merkle::root(&leaves)));
    let (from, until) = (Timestamp(T), Timestamp(T + 1));
    let (v, kind, iat, nonce) = (V1, Kind::UseBatch, until, Nonce([6; 16]));
    let says = UseBatch { v, kind, iat, nonce, number: 0, from, until, root, gaps: Vec::new() };
    let item = sign_statement(&says.into(), operator).unwrap();
    let entry = Entry::Public { t: T, item }.encode().unwrap();
    let tree = List::new(&[hash::leaf(&entry), hash::leaf(b"another")]);
    let signature = CheckpointSignature::new(log, ORIGIN, 2, tree.root()).unwrap();
    let head = Checkpoint { origin: ORIGIN.into(), size: 2, root: tree.root() };
    let (receipt, checkpoint) =
        (signature.inclusion(0, &tree.path(0).unwrap()), checkpoint::sign(&head, log));
    let checkpoint = Some(checkpoint.unwrap());
    let batch = Evidence { index: 0, entry, opening: Opening::Public, receipt, checkpoint }.encode().unwrap();
    let evidence = |place: usize, exact: Option<&[u8]>| {
        let made = decision::Evidence {
            k: ByteArray::new(K1),
            v: V1,
            line: ByteBuf::from(lines[place].clone()),
            path: list.path(place).unwrap().into_iter().map(ByteArray::new).collect(),
            batch: ByteBuf::from(batch.clone()),
            exact: exact.map(ByteBuf::from),
            sides: merkle::sides(place as u64, 2).unwrap(),
            k_exact: exact.map(|_| ByteArray::new(K2)),
        };
        made.verify(log.public(), ORIGIN, None).unwrap();
        made.encode().unwrap()
    };
    vec![
        ("decision-evidence-made-person", evidence(0, Some(&exact))),
        ("decision-evidence-made-asker", evidence(1, None)),
        ("use-line-made-full", lines[0].clone()),
        ("use-line-made-bare", lines[1].clone()),
        ("exact-reason-made", exact),
    ]
}

/// A line with everything, and one with nothing.
fn lines(exact: &[u8]) -> [UseLine; 2] {
    let bare = UseLine {
        t: Timestamp(T),
        v: V1,
        at: Timestamp(T),
        id: DecisionId([4; 16]),
        act: UseAct::Check,
        case: None,
        pack: "none".into(),
        ppid: None,
        rule: "none".into(),
        told: Reason::LogUnavailable,
        as_of: 9,
        asker: PartyId::parse("bank").unwrap(),
        basis: None,
        class: None,
        count: None,
        exact: None,
        action: None,
        signed: None,
        use_id: None,
        purpose: None,
        release: None,
        version: 0,
        recipient: None,
        categories: Vec::new(),
        controller: PartyId::parse("bank").unwrap(),
        jurisdiction: None,
    };
    let full = UseLine {
        act: UseAct::Opening,
        case: Some(Nonce([6; 16])),
        told: Reason::ConsentNotGiven,
        ppid: Some(Ppid([3; 16])),
        basis: Some(StatementId([5; 32])),
        class: Some(DataClass::RealName),
        count: Some(1),
        exact: Some(Hash(hash::hmac(&K2, &[exact]))),
        action: Some(AskedAction::Reidentify),
        signed: Some(ByteBuf::from(request_signature())),
        use_id: Some("u".into()),
        purpose: Some("dpv:Marketing".into()),
        release: Some("r".into()),
        recipient: PartyId::parse("lab"),
        categories: vec!["pd:Income".into()],
        jurisdiction: Some("KR".into()),
        ..bare.clone()
    };
    [full, bare]
}

/// An asker's signature over its request, as a line keeps it.
fn request_signature() -> Vec<u8> {
    let params = "(\"@method\" \"@target-uri\" \"content-digest\");created=1764000000;keyid=\"00\"";
    cbor::Writer::new()
        .map(6)
        .text("v")
        .uint(1)
        .text("sig")
        .bytes(&[7; 64])
        .text("body")
        .bytes(b"{}")
        .text("method")
        .text("POST")
        .text("params")
        .text(params)
        .text("target")
        .text("https://ledger.test/access/v1/evaluation")
        .finish()
}
