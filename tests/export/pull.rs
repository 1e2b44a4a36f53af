//! Sources that are asked: the example holder over loopback, holders that break off, and holders that lie.

use std::cell::Cell;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use naru::ledger::hash;
use naru::model::id::Hash;
use naru::node::deposit::pull::Answered;
use naru::node::deposit::pull::Holder;
use naru::node::deposit::pull::NoPull;
use naru::node::deposit::pull::Pulled;
use naru::outbound;
use naru::outbound::Call;
use naru::outbound::Calls;
use naru::outbound::Reply;
use naru::portability::import::MAX_ORIGINAL;
use naru::portability::pull;
use naru::portability::pull::Lie;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::holder;

const LIPIDS: &[u8] = include_bytes!("../data/import/fhir-r4-lipids.json");
const SCHEMA: &str = include_str!("../../schemas/source.json");

fn offered(item: &str, media: &str, bytes: &[u8]) -> Value {
    json!({
        "item": item, "purpose": PURPOSE, "class": "real-name", "categories": [CATEGORY], "media_type": media,
        "bytes": bytes.len(), "sha256": Hash(hash::sha256(&[bytes])).to_string(),
    })
}

/// A holder in memory: pages of a list, and bytes by name. It may break off after some answers.
struct Shelf {
    pages: Vec<Value>,
    originals: Vec<(&'static str, Vec<u8>)>,
    answers: Cell<usize>,
    asked: Cell<usize>,
}

impl Shelf {
    fn new(pages: Vec<Value>, originals: &[(&'static str, &[u8])]) -> Self {
        let originals = originals.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect();
        Self { pages, originals, answers: Cell::new(usize::MAX), asked: Cell::new(0) }
    }
}

impl Holder for Shelf {
    fn post(&self, path: &str, body: &[u8], _: u64) -> Result<Answered, String> {
        if self.answers.get() == 0 {
            return Err("broken off".into());
        }
        self.answers.set(self.answers.get() - 1);
        let body: Value = serde_json::from_slice(body).unwrap();
        assert!(body["ppid"].as_str().unwrap().starts_with("ppid_"));
        if path == pull::LIST {
            let at = body["after"].as_str().map_or(0, |after| after.parse().unwrap());
            let page = self.pages.get(at).cloned().unwrap_or(json!({ "items": [], "next": null }));
            return Ok(Answered { status: 200, body: page.to_string().into_bytes() });
        }
        self.asked.set(self.asked.get() + 1);
        let found = self.originals.iter().find(|(name, _)| body["item"] == *name);
        Ok(found.map_or(Answered { status: 404, body: vec![] }, |(_, bytes)| Answered {
            status: 200,
            body: bytes.clone(),
        }))
    }
}

fn granted() -> (World, Ppid) {
    let world = World::logging();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    (world, ppid)
}

fn pulled(world: &World, holder: &dyn Holder) -> Result<Pulled, NoPull> {
    world.node().pull(&key_hash(&person_key(1)), &party("bank"), holder)
}

fn kept(world: &World) -> usize {
    world.node().deposits(&key_hash(&person_key(1)), None, 500).unwrap().unwrap().items.len()
}

#[test]
fn what_broke_off_goes_on_and_nothing_is_fetched_twice() {
    let (world, _) = granted();
    let names = ["a", "b", "c", "d", "e"];
    let bytes = |name: &str| name.repeat(9).into_bytes();
    let page = |names: &[&str], next: Value| json!({ "items": names.iter().map(|n| offered(n, "text/plain", &bytes(n))).collect::<Vec<_>>(), "next": next });
    let pages =
        vec![page(&names[..2], "1".into()), page(&names[2..4], "2".into()), page(&names[4..], Value::Null)];
    let originals: Vec<(&'static str, Vec<u8>)> = names.iter().map(|n| (*n, bytes(n))).collect();
    let shelf = Shelf { pages, originals, answers: Cell::new(0), asked: Cell::new(0) };
    // Whenever it breaks off, the next goes on; each gets one answer further.
    let (mut broken, mut last) = (0, 0);
    let all = loop {
        shelf.answers.set(broken);
        match pulled(&world, &shelf) {
            Ok(all) => break all,
            Err(NoPull::NoAnswer(_)) => broken += 1,
            Err(other) => panic!("{other}"),
        }
        assert!(kept(&world) >= last, "nothing is lost");
        last = kept(&world);
    };
    assert!(broken >= 4, "{broken}");
    assert_eq!((all.kept + all.before, all.refused.len(), kept(&world)), (5, 0, 5));
    assert_eq!(shelf.asked.get(), 5, "each original once");
    shelf.answers.set(usize::MAX);
    assert_eq!(pulled(&world, &shelf).unwrap(), Pulled { before: 5, ..Pulled::default() });
    assert_eq!(shelf.asked.get(), 5);
}

#[test]
fn a_holder_that_lies_is_left_at_its_first_lie_and_what_it_may_not_bring_is_named() {
    let (world, _) = granted();
    let lie = |pages: Vec<Value>, originals: &[(&'static str, &[u8])]| match pulled(
        &world,
        &Shelf::new(pages, originals),
    ) {
        Err(NoPull::Lie(lie)) => lie,
        other => panic!("{other:?}"),
    };
    let page = |items: Value| json!({ "items": items, "next": null });
    let one = || offered("x", "text/plain", b"xyz");
    assert_eq!(lie(vec![page(json!([one()]))], &[("x", b"other")]), Lie::Other);
    assert_eq!(lie(vec![page(json!([one()]))], &[("x", b"xyZ")]), Lie::Other);
    let large = vec![0; MAX_ORIGINAL + 1];
    assert_eq!(lie(vec![page(json!([one()]))], &[("x", &large)]), Lie::Other);
    assert_eq!(lie(vec![page(json!([one(), one()]))], &[("x", b"xyz")]), Lie::Circle);
    assert_eq!(lie(vec![json!({ "items": [one()], "next": "0" })], &[("x", b"xyz")]), Lie::Circle);
    assert_eq!(lie(vec![json!({ "items": [], "next": "0" })], &[]), Lie::Circle);
    let many: Vec<Value> = (0..=pull::PAGE).map(|n| offered(&n.to_string(), "text/plain", b"x")).collect();
    for bad in [
        json!([]),
        page(Value::Array(many)),
        page(json!([offered(&"n".repeat(129), "text/plain", b"x")])),
        page(json!([offered("empty", "text/plain", b"")])),
        page(json!([offered("large", "text/plain", &large)])),
        json!({ "items": [], "next": null, "more": 1 }),
    ] {
        assert_eq!(
            lie(vec![bad.clone()], &[]),
            Lie::List,
            "{}",
            bad.to_string().chars().take(80).collect::<String>()
        );
    }
    // A good page of what may not come: named, and the rest goes on.
    let mut beyond = offered("beyond", "text/plain", b"b");
    beyond["categories"] = json!(["pd:Health"]);
    let items =
        json!([beyond, offered("lie", "application/fhir+json", b"{}"), offered("good", "text/plain", b"g")]);
    let before = kept(&world);
    let done =
        pulled(&world, &Shelf::new(vec![page(items)], &[("beyond", b"b"), ("lie", b"{}"), ("good", b"g")]))
            .unwrap();
    let refused: Vec<_> = done.refused.iter().map(|(item, _)| item.as_str()).collect();
    assert_eq!((done.kept, refused, kept(&world)), (1, vec!["beyond", "lie"], before + 1));
    // Nobody is asked of nobody, and no party that is none.
    let shelf = Shelf::new(vec![], &[]);
    let nobody = world.node().pull(&key_hash(&person_key(9)), &party("bank"), &shelf);
    assert!(matches!(nobody, Err(NoPull::Unknown)));
    let none = world.node().pull(&key_hash(&person_key(1)), &party("nobody"), &shelf);
    assert!(matches!(none, Err(NoPull::Unknown)));
}

proptest::proptest! {
    #[test]
    fn any_page_is_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _read = pull::Pages::default().read(&bytes);
    }
}

/// Says to a child of this program which folder it serves.
const FOLDER: &str = "NARU_TEST_HOLDER";

/// Not a test: what the child does.
#[test]
fn helper_serves() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        holder::serve(Path::new(&folder), 0).unwrap();
    }
}

/// The example, as a process; ended when dropped.
struct Example(Child, String);

impl Example {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["pull::helper_serves", "--exact", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("LISTEN ")?.1.to_owned()));
        Self(child, url.unwrap())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ended = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Holder for Example {
    fn post(&self, path: &str, body: &[u8], most: u64) -> Result<Answered, String> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("{}{path}", self.1)).content_type("application/json");
        let mut answer = request.send(body).map_err(|e| e.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(most).read_to_vec().map_err(|e| e.to_string())?;
        Ok(Answered { status, body })
    }
}

#[test]
fn the_example_holder_is_asked_over_loopback_killed_and_asked_again() {
    let (world, ppid) = granted();
    let folder = tempfile::tempdir().unwrap();
    let has = |item: &str, media: &str, file: &str| json!({ "item": item, "purpose": PURPOSE, "class": "real-name", "categories": [CATEGORY], "media_type": media, "file": file });
    let items = json!({ ppid.to_text(): [
        has("lab", "application/fhir+json", "lipids.json"),
        has("table", "text/csv;charset=euc-kr", "table.csv"),
        has("outside", "text/plain", "../items.json"),
    ]});
    fs::write(folder.path().join("items.json"), items.to_string()).unwrap();
    fs::write(folder.path().join("lipids.json"), LIPIDS).unwrap();
    fs::write(folder.path().join("table.csv"), b"\xc0\xcc\xb8\xa7\n\xb0\xa1\n").unwrap();
    let example = Example::start(folder.path());
    assert_eq!(pulled(&world, &example).unwrap(), Pulled { kept: 2, fetched: 2, ..Pulled::default() });
    let mut example = example;
    example.0.kill().unwrap();
    example.0.wait().unwrap();
    assert!(matches!(pulled(&world, &example), Err(NoPull::NoAnswer(_))));
    let again = Example::start(folder.path());
    assert_eq!(pulled(&world, &again).unwrap(), Pulled { before: 2, ..Pulled::default() });
    batch(&world);
    let found = files(&archive(&world, 1, None));
    let table = found.iter().find(|(path, _)| path.ends_with(".original.csv")).unwrap();
    assert_eq!(table.1, b"\xc0\xcc\xb8\xa7\n\xb0\xa1\n", "as it came, whatever its encoding");
    let form = found
        .iter()
        .find(|(path, content)| path.ends_with(".form.json") && holds(content, "이름".as_bytes()));
    assert!(form.is_some());
    assert_eq!(verify(&archive(&world, 1, None)).unwrap().sources, 2);
}

#[test]
fn the_description_of_the_interface_is_what_the_code_asks_and_reads() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let paths: Vec<&String> = schema["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, [pull::LIST, pull::ORIGINAL]);
    let of = |name: &str| &schema["components"]["schemas"][name];
    assert_eq!(of("ListWish")["properties"]["limit"]["maximum"], pull::PAGE);
    assert_eq!(of("Page")["properties"]["items"]["maxItems"], pull::PAGE);
    assert_eq!(of("Item")["properties"]["bytes"]["maximum"], MAX_ORIGINAL);
    let members =
        |value: Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let wish = serde_json::to_value(pull::ListWish { ppid: "", after: None, limit: 1 }).unwrap();
    assert_eq!(members(wish), members(of("ListWish")["properties"].clone()));
    let original = serde_json::to_value(pull::OriginalWish { ppid: "", item: "" }).unwrap();
    assert_eq!(members(original), members(of("OriginalWish")["properties"].clone()));
    assert_eq!(members(offered("x", "text/plain", b"x")), members(of("Item")["properties"].clone()));
}

/// Parties that are called: every call answers the same list, and is remembered.
#[derive(Default)]
struct Called(std::sync::Mutex<Vec<String>>);

impl Calls for Called {
    fn call(&self, end: &TransferEnd, call: &Call<'_>) -> Result<Reply, outbound::Error> {
        self.0.lock().unwrap().push(format!("{}{}", end.url, call.path));
        let body = match call.path {
            pull::LIST => {
                json!({ "items": [offered("lab", "text/plain", b"mine")], "next": null }).to_string()
            }
            _ => "mine".to_owned(),
        };
        Ok(Reply { status: 200, media: "application/json".into(), tran_id: None, body: body.into_bytes() })
    }
}

#[test]
fn a_registered_party_is_asked_at_its_own_address_and_no_other_party_at_all() {
    let (world, _) = granted();
    let key = key_hash(&person_key(1));
    let Statement::PartyRegister(mut clinic) =
        world.register("clinic", vec![naru::model::vocabulary::Role::Controller], false)
    else {
        panic!()
    };
    clinic.transfer = Some(TransferEnd { url: "https://clinic.test".into(), key: None });
    world.accept(endorse(&sign(&Statement::PartyRegister(clinic), &signer(77)), OPERATOR));
    let asked = |name: &str| world.node().pull_registered(&key, &party(name));
    assert!(matches!(asked("clinic"), Err(NoPull::NotAsked)), "nobody is called by this node");
    let called = std::sync::Arc::new(Called::default());
    world.node().carry_with(called.clone());
    assert!(matches!(asked("bank"), Err(NoPull::NotAsked)), "it has registered no address");
    assert!(matches!(asked("nobody"), Err(NoPull::NotAsked)));
    assert_eq!(*called.0.lock().unwrap(), Vec::<String>::new());
    // She has granted nothing to it: it is asked, and what it has is neither fetched nor let in.
    let came = asked("clinic").unwrap();
    assert_eq!((came.kept, came.before, came.refused.len()), (0, 0, 1), "{came:?}");
    let at = |path: &str| format!("https://clinic.test{path}");
    assert_eq!(*called.0.lock().unwrap(), [at(pull::LIST)]);
    assert_eq!(kept(&world), 0);
}

#[test]
fn what_is_refused_unfetched_does_not_keep_the_rest_from_coming() {
    let (world, _) = granted();
    // More refused ones in front than are fetched in one pull.
    let outside = |n: usize| {
        let mut one = offered(&format!("out-{n}"), "text/plain", b"x");
        one["purpose"] = "dpv:Marketing".into();
        one
    };
    let mut items: Vec<Value> = (0..80).map(outside).collect();
    items.push(offered("mine", "text/plain", b"mine"));
    let shelf = Shelf::new(vec![json!({ "items": items, "next": null })], &[("mine", b"mine")]);
    let came = pulled(&world, &shelf).unwrap();
    assert_eq!((came.kept, came.fetched, came.refused.len(), came.more), (1, 1, 80, false));
    assert_eq!((shelf.asked.get(), kept(&world)), (1, 1));
}
