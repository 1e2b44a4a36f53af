//! From use lines to incidents and their dossiers, in process.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::audit::dossier;
use naru::consent::Stage;
use naru::identity::request;
use naru::identity::request::Headers;
use naru::identity::request::Request;
use naru::identity::request::Signed;
use naru::ledger::key::Signer;
use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::Nonce;
use naru::model::id::Ppid;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::use_line::UseAct;
use naru::model::vocabulary::AskedAction;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::Asked;
use naru::node::Asker;
use naru::node::Note;
use naru::node::Page;
use naru::node::Refusal;
use naru::node::Told;
use naru::node::Wanted;
use naru::node::fsck;
use naru::node::incidents::Built;
use naru::node::incidents::Sight;
use naru::reidentification::Detector;
use naru::reidentification::Finding;
use serde_json::Value;
use support::*;

/// Makes what would stand as the signature under a line about the first of two persons.
type Forge = dyn Fn(&World, Ppid, Ppid) -> Vec<u8>;

const TARGET: &str = "https://naru.test/access/v1/evaluation";
const SHOP: u8 = 13;
const TOKYO: u8 = 14;

/// What the hospital asks in its own domain, about pseudonymous data.
fn question(world: &World, ppid: Ppid, action: &str) -> Asked {
    let mut asked = world.ask(ppid, naru::model::vocabulary::Action::Use);
    asked.question.controller = party("hospital");
    asked.question.class = DataClass::Pseudonymous;
    asked.question.action = AskedAction::parse(action).unwrap();
    asked
}

/// The hospital's signature over the request that asks this, as it is kept.
fn signature(world: &World, ppid: Ppid, action: &str, seed: u8) -> Vec<u8> {
    let body = serde_json::json!({
        "subject": {"type": "party", "id": "hospital"},
        "action": {"name": action, "properties": {"purpose": PURPOSE}},
        "resource": {"type": "person", "id": ppid.to_text(), "properties": {"class": "pseudonymous"}},
    })
    .to_string();
    let request = Request { method: "POST", target: TARGET, body: body.as_bytes() };
    let [digest, input, sig] = request::sign(request, world.now(), &signer(seed)).unwrap();
    let headers = Headers { digest: Some(&digest), input: Some(&input), signature: Some(&sig) };
    Signed::read(headers, request).unwrap().unwrap().kept().unwrap()
}

fn ask_with(world: &World, ppid: Ppid, action: &str, signed: Option<&[u8]>) -> Told {
    let hospital = party("hospital");
    let told = world.node().tell(Asker { party: &hospital, signed }, &question(world, ppid, action));
    assert!(told.id.is_some());
    told
}

fn ask(world: &World, ppid: Ppid) -> Told {
    ask_with(world, ppid, "use", None)
}

fn ask_signed(world: &World, ppid: Ppid, action: &str) -> Told {
    ask_with(world, ppid, action, Some(&signature(world, ppid, action, HOSPITAL)))
}

fn sync(world: &World) {
    world.advance(1_000);
    world.node().sync_uses().unwrap();
}

const ALL: (Timestamp, Timestamp) = (Timestamp(0), Timestamp(u64::MAX));

fn find(world: &World) -> Vec<Finding> {
    sync(world);
    world.node().findings(ALL.0, ALL.1).unwrap()
}

fn one(world: &World) -> Finding {
    let mut found = find(world);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Flags, batches, publishes; answers the incidents that are new.
fn flag(world: &World) -> Vec<Nonce> {
    sync(world);
    let flagged = world.node().flag_findings(ALL.0, ALL.1).unwrap();
    publish(world);
    let new = flagged.iter().filter(|f| f.outcome.as_ref().map(|o| o.as_ref().unwrap()).is_some());
    new.map(|f| f.incident).collect()
}

fn publish(world: &World) {
    sync(world);
    if let Some(outcome) = world.node().batch_uses().unwrap() {
        outcome.unwrap();
    }
    world.node().tick().unwrap();
}

fn enrolled(world: &World, n: u64) -> Ppid {
    world.enrol(n)
}

fn joined(world: &World, n: u64) -> Ppid {
    let ppid = world.enrol(n);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    ppid
}

fn handover(world: &World, ppid: Ppid, to: &str, whose: &str) {
    world
        .node()
        .note_use(&Note {
            act: UseAct::Handover,
            case: None,
            asker: party(to),
            controller: party(to),
            ppid,
            told: Reason::ConsentGiven,
            basis: None,
            purpose: None,
            recipient: Some(party(whose)),
        })
        .unwrap();
}

fn stage(world: &World, incident: &Nonce) -> Stage {
    world.node().incident_for(incident, &party("pipc")).unwrap().unwrap().incident.stage
}

/// Seals a document beside the incident and signs the step that names it.
fn step(world: &World, incident: &Nonce, kind: Kind, name: &str, seed: u8) -> Vec<u8> {
    let text = format!("{} by {name}", kind.as_str());
    let kept = world.node().keep_incident_document(incident, text.as_bytes(), &party(name)).unwrap();
    let document = kept.unwrap_or(Hash([1; 32]));
    macro_rules! of {
        ($($step:ident),*) => {
            match kind {
                $(Kind::$step => $step {
                    v: V1,
                    kind,
                    iat: world.now(),
                    nonce: nonce(),
                    incident: *incident,
                    party: party(name),
                    document,
                }.into(),)*
                other => panic!("{}", other.as_str()),
            }
        };
    }
    let statement: Statement = of!(
        IncidentAnswer,
        IncidentOrder,
        IncidentConfirm,
        IncidentDismiss,
        IncidentAssess,
        IncidentContain,
        IncidentReport,
        IncidentNotify,
        IncidentAppeal,
        IncidentClose
    );
    sign(&statement, &signer(seed))
}

#[test]
fn the_controller_s_own_ppid_asked_by_another_is_answered_like_an_unknown_one_and_is_a_finding() {
    let world = World::logging();
    let hers = enrolled(&world, 1);
    let (foreign, unknown) = (ask(&world, hers), ask(&world, Ppid([7; 16])));
    assert_eq!(foreign.answer.decision, unknown.answer.decision);
    assert_eq!((foreign.rule, foreign.valid_for_s), (unknown.rule, unknown.valid_for_s));
    let found = one(&world);
    assert_eq!((found.detector, found.party.as_str()), (Detector::ForeignPpid, "hospital"));
    assert_eq!((found.count, found.persons), (1, 1));
    assert_eq!(found.lines[0].id, foreign.id.unwrap());
    assert_eq!(found.lines[0].domain, Some(party("bank")));
    // An evaluation and a look write nothing to the log.
    let before = world.node().sequenced();
    find(&world);
    assert_eq!(world.node().sequenced(), before);
}

#[test]
fn what_joins_the_two_parties_is_no_finding() {
    // A grant that names the hospital, standing when it asked.
    let world = World::logging();
    let hers = joined(&world, 1);
    ask(&world, hers);
    assert!(find(&world).is_empty());
    // Withdrawn since: nobody can say any more what joined them then; never a strong finding.
    world.accept(sign(&world.withdraw(hers), &person_key(1)));
    let doubtful = one(&world);
    assert_eq!((doubtful.established, doubtful.strength), (false, Strength::S));
    // A handover, from its instant on and for that person.
    let world = World::logging();
    let (one_, two) = (enrolled(&world, 1), enrolled(&world, 2));
    handover(&world, one_, "hospital", "bank");
    world.advance(10);
    ask(&world, one_);
    assert!(find(&world).is_empty());
    ask(&world, two);
    assert_eq!(one(&world).persons, 1);
    // Her own ppid in the domain of the asker.
    let world = World::logging();
    enrolled(&world, 1);
    ask(&world, world.ppid(1, Some("hospital")));
    assert!(find(&world).is_empty());
}

#[test]
fn a_ppid_the_node_handed_over_is_no_finding_after_the_grant_has_ended_either() {
    let world = World::logging();
    let hers = joined(&world, 1);
    let wanted = Wanted {
        controller: party("bank"),
        by: party("bank"),
        ppid: hers,
        recipient: party("hospital"),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
    };
    let given = world.node().handover(&wanted).unwrap().unwrap();
    assert_eq!(given, world.ppid(1, Some("hospital")));
    world.advance(10);
    world.accept(sign(&world.withdraw(hers), &person_key(1)));
    world.advance(10);
    let bank = party("bank");
    let ask = |ppid| {
        let asked = world.ask(ppid, naru::model::vocabulary::Action::Use);
        world.node().tell(Asker { party: &bank, signed: None }, &asked)
    };
    ask(given);
    assert!(find(&world).is_empty());
    // Another person's, for whom the wish was refused.
    let his = enrolled(&world, 2);
    assert_eq!(world.node().handover(&Wanted { ppid: his, ..wanted }).unwrap(), None);
    world.advance(10);
    ask(world.ppid(2, Some("hospital")));
    let found = one(&world);
    assert_eq!((found.party.as_str(), found.persons), ("bank", 1));
}

#[test]
fn a_line_the_asker_did_not_sign_never_becomes_a_strong_finding() {
    let strength_of = |ask: &dyn Fn(&World, Ppid, Ppid)| {
        let world = World::logging();
        let (hers, his) = (enrolled(&world, 1), enrolled(&world, 2));
        ask(&world, hers, his);
        one(&world)
    };
    let unsigned = strength_of(&|world, hers, _| {
        ask(world, hers);
    });
    assert_eq!(unsigned.strength, Strength::S);
    let signed = strength_of(&|world, hers, _| {
        ask_signed(world, hers, "use");
    });
    assert_eq!((signed.strength, signed.lines[0].signed), (Strength::D, true));
    // What an operator could write by itself: another key's signature, a real one of the hospital's under
    // another person, under another action, at another time; rubbish.
    let forgeries: [&Forge; 5] = [
        &|world, hers, _| signature(world, hers, "use", BANK),
        &|world, _, his| signature(world, his, "use", HOSPITAL),
        &|world, hers, _| signature(world, hers, "collect", HOSPITAL),
        &|world, hers, _| {
            let old = signature(world, hers, "use", HOSPITAL);
            world.advance(request::SKEW_MS + 1_000);
            old
        },
        &|_, _, _| vec![1, 2, 3],
    ];
    for (nth, forge) in forgeries.iter().enumerate() {
        let found = strength_of(&|world, hers, his| {
            let forged = forge(world, hers, his);
            ask_with(world, hers, "use", Some(&forged));
        });
        assert_eq!((found.strength, found.lines[0].signed), (Strength::S, false), "forgery {nth}");
    }
}

#[test]
fn linking_again_after_the_refusal_is_a_finding_and_once_is_none() {
    let world = World::logging();
    ask_signed(&world, Ppid([7; 16]), "link");
    assert!(find(&world).is_empty());
    world.advance(60_000);
    ask_signed(&world, Ppid([8; 16]), "link");
    let found = one(&world);
    assert_eq!((found.detector, found.strength, found.count), (Detector::LinkingAgain, Strength::D, 1));
}

#[test]
fn an_incident_is_seen_by_the_regulator_in_scope_and_the_accused_and_its_name_by_nobody() {
    let mut world = World::logging();
    for (name, seed, roles, scope) in
        [("shop", SHOP, vec![Role::Controller], None), ("tokyo", TOKYO, vec![Role::Regulator], Some("jp"))]
    {
        let mut s = world.register(name, roles, false);
        if let (Statement::PartyRegister(s), Some(scope)) = (&mut s, scope) {
            s.scope = vec![scope.into()];
        }
        let item = endorse(&sign(&s, &signer(seed)), OPERATOR);
        world.accept(if scope.is_some() { endorse(&item, REGULATOR) } else { item });
    }
    let hers = enrolled(&world, 1);
    let before = world.node().sequenced();
    ask_signed(&world, hers, "use");
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    let sight = |world: &World, name: &str| {
        let listed = world.node().incidents_for(&party(name)).unwrap();
        let case = world.node().incident_for(&incident, &party(name)).unwrap();
        assert_eq!(listed.len(), usize::from(case.is_some()), "{name}");
        case.map(|case| case.sight)
    };
    let seen = |world: &World| {
        assert_eq!(sight(world, "pipc"), Some(Sight::Regulator));
        assert_eq!(sight(world, "hospital"), Some(Sight::Accused));
        for name in ["bank", "shop", "idp", "tokyo", "nobody"] {
            assert_eq!(sight(world, name), None, "{name}");
        }
    };
    seen(&world);
    // What was found names a domain: it is not the accused's.
    let case = world.node().incident_for(&incident, &party("pipc")).unwrap().unwrap();
    let evidence = case.incident.evidence[0];
    assert!(world.node().incident_document(&incident, &evidence, &party("pipc")).unwrap().is_some());
    assert!(world.node().incident_document(&incident, &evidence, &party("hospital")).unwrap().is_none());
    // Its statement is opened to the two alone.
    let shown = |name: &str| {
        let caller = naru::node::Caller::Party(party(name));
        world.node().evidence(&case.incident.flag, Some(&caller)).unwrap()
    };
    assert!(matches!(shown("pipc"), naru::node::Shown::Evidence(_)));
    assert!(matches!(shown("hospital"), naru::node::Shown::Evidence(_)));
    for name in ["bank", "shop", "tokyo"] {
        assert!(matches!(shown(name), naru::node::Shown::Nothing), "{name}");
    }
    // The accused answers, the regulator decides; each step by nobody else.
    for (kind, name, seed) in [
        (Kind::IncidentAnswer, "hospital", HOSPITAL),
        (Kind::IncidentConfirm, "pipc", REGULATOR),
        (Kind::IncidentAssess, "pipc", REGULATOR),
        (Kind::IncidentClose, "pipc", REGULATOR),
    ] {
        for (other, seed) in [("bank", BANK), ("tokyo", TOKYO), ("hospital", HOSPITAL)] {
            if other != name {
                let refusal = world.refuse(step(&world, &incident, kind, other, seed));
                assert!(matches!(refusal, Refusal::Inert(_)), "{} by {other}: {refusal}", kind.as_str());
            }
        }
        world.accept(step(&world, &incident, kind, name, seed));
    }
    assert_eq!(stage(&world, &incident), Stage::Closed);
    // A document that is not there cannot be named.
    let unkept = step(&world, &incident, Kind::IncidentAnswer, "hospital", HOSPITAL);
    assert!(matches!(world.refuse(unkept), Refusal::Inert(Why::AttachmentMissing)));
    // Nothing of it is public: neither a party's name nor a word of the finding.
    publish(&world);
    let entries = world.node().entries(before, world.node().sequenced()).unwrap();
    assert!(entries.len() >= 6);
    for (n, entry) in entries.iter().enumerate() {
        for word in ["hospital", "bank", "pipc", "foreign", "incident", PURPOSE] {
            let found = entry.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(!found, "entry {} says `{word}`", before + n as u64);
        }
    }
    // A start finds it again, from the store alone.
    world.reopen();
    seen(&world);
    assert_eq!(stage(&world, &incident), Stage::Closed);
}

#[test]
fn the_same_is_flagged_once_and_dismissed_stays_dismissed() {
    let mut world = World::logging();
    let hers = enrolled(&world, 1);
    ask(&world, hers);
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    assert!(flag(&world).is_empty());
    world.accept(step(&world, &incident, Kind::IncidentDismiss, "pipc", REGULATOR));
    let confirm = step(&world, &incident, Kind::IncidentConfirm, "pipc", REGULATOR);
    assert!(matches!(world.refuse(confirm), Refusal::Inert(Why::State)));
    // More of the same on that day, and another start.
    ask(&world, hers);
    assert!(flag(&world).is_empty());
    world.reopen();
    assert!(flag(&world).is_empty());
    assert_eq!(stage(&world, &incident), Stage::Dismissed);
    // Another day is another incident.
    world.advance(DAY);
    ask(&world, hers);
    let [other] = flag(&world)[..] else { panic!("one incident") };
    assert_ne!(other, incident);
    assert_eq!(world.node().incidents_for(&party("pipc")).unwrap().len(), 2);
}

#[test]
fn only_the_operator_flags() {
    let world = World::logging();
    let statement: Statement = IncidentFlag {
        v: V1,
        kind: Kind::IncidentFlag,
        iat: world.now(),
        nonce: nonce(),
        incident: Nonce([3; 16]),
        party: party("hospital"),
        detector: "foreign-ppid".into(),
        strength: Strength::D,
        evidence: vec![Hash([0; 32])],
    }
    .into();
    for seed in [BANK, HOSPITAL, REGULATOR, LOG, 99] {
        let refusal = world.refuse(sign(&statement, &signer(seed)));
        assert!(matches!(refusal, Refusal::Inert(Why::Role)), "{refusal}");
    }
    // The same name twice, even in one commit, is one incident.
    let twice = |n: u8| {
        let mut again = statement.clone();
        if let Statement::IncidentFlag(s) = &mut again {
            s.nonce = Nonce([n; 16]);
        }
        sign(&again, &signer(OPERATOR))
    };
    let outcomes = world.node().record(vec![twice(1), twice(2)]);
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    assert_eq!(world.node().incidents_for(&party("pipc")).unwrap().len(), 1);
}

/// A dossier of a strong finding with an answer and a verdict.
fn dossier() -> (World, Value) {
    let world = World::logging();
    let hers = enrolled(&world, 1);
    ask_signed(&world, hers, "use");
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    world.accept(step(&world, &incident, Kind::IncidentAnswer, "hospital", HOSPITAL));
    world.accept(step(&world, &incident, Kind::IncidentConfirm, "pipc", REGULATOR));
    let early = world.node().dossier(&incident, &party("pipc")).unwrap();
    assert!(matches!(early, Built::NotYet), "a step is under no checkpoint yet");
    publish(&world);
    for name in ["hospital", "bank"] {
        assert!(matches!(world.node().dossier(&incident, &party(name)).unwrap(), Built::Nothing));
    }
    let built = world.node().dossier(&incident, &party("pipc")).unwrap();
    let page = built.page().unwrap();
    assert!(page.contains("초안") && page.contains("A draft") && page.contains("foreign-ppid"));
    let Built::Dossier(dossier) = built else { panic!("{built:?}") };
    (world, *dossier)
}

fn verify(dossier: &Value) -> Result<dossier::Checked, dossier::Error> {
    dossier::verify(dossier, signer(LOG).public(), ORIGIN, Some(200))
}

#[test]
fn a_dossier_says_what_the_log_proves_and_where_the_law_of_that_day_stands() {
    let (world, dossier) = dossier();
    let checked = verify(&dossier).unwrap();
    assert_eq!((checked.proven, checked.signed, checked.unproven), (1, 1, 0));
    assert_eq!(checked.operator, key_hash(&signer(OPERATOR)));
    assert_eq!(checked.accused, [key_hash(&signer(HOSPITAL))]);
    assert_eq!(dossier["draft"], true);
    assert_eq!(dossier["steps"].as_array().unwrap().len(), 2);
    let provisions = dossier["provisions"].as_array().unwrap();
    let ids: BTreeSet<_> = provisions.iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert!(ids.contains("reidentification-2020-imprisonment"), "{ids:?}");
    assert!(!ids.contains("reidentification-2018-pseudonymous-imprisonment"), "out of force: {ids:?}");
    for provision in provisions {
        assert!(!provision["source"].as_str().unwrap().is_empty());
        assert!(!provision["confidence"].as_str().unwrap().is_empty());
        assert_eq!(provision["range"]["low"], 0);
    }
    let years = provisions.iter().find(|p| p["id"] == "reidentification-2020-imprisonment").unwrap();
    assert_eq!(years["range"]["high"]["months"], 60);
    assert!(dossier["missing"].as_array().unwrap().len() >= 5);
    // What was opened to the regulator is a use line of hers.
    let page = Page { after: None, most: 100 };
    let hers = world.node().uses_of(&key_hash(&person_key(1)), page).unwrap();
    let opened: Vec<_> = hers.iter().filter(|s| s.seen.line.act == UseAct::Opening).collect();
    assert!(!opened.is_empty());
    assert!(opened.iter().all(|s| s.seen.line.asker == party("pipc")));
}

#[test]
fn what_an_open_incident_quotes_of_a_person_outlives_her() {
    let (world, before) = dossier();
    let demand: Statement = ErasureDemand {
        v: V1,
        kind: Kind::ErasureDemand,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, None),
    }
    .into();
    assert!(world.accept(sign(&demand, &person_key(1))).erasure.is_some());
    world.node().forget_caches();
    publish(&world);
    let incident = Nonce::from_hex(before["incident"].as_str().unwrap()).unwrap();
    let built = world.node().dossier(&incident, &party("pipc")).unwrap();
    let Built::Dossier(after) = built else { panic!("{built:?}") };
    // The line is proven as before, though its person is nobody now.
    let checked = verify(&after).unwrap();
    assert_eq!((checked.proven, checked.signed, checked.unproven), (1, 1, 0));
    for told in ["decision", "at", "domain", "signed"] {
        assert_eq!(before["lines"][0][told], after["lines"][0][told]);
    }
    let page = Page { after: None, most: 100 };
    assert_eq!(world.node().uses_of(&key_hash(&person_key(1)), page).unwrap(), []);
}

#[test]
fn one_flipped_bit_in_a_dossier_s_evidence_is_caught() {
    let (_world, dossier) = dossier();
    for place in ["/finding", "/flag", "/accused/registered", "/lines/0/evidence", "/steps/0/evidence"] {
        let bytes = URL_SAFE_NO_PAD.decode(dossier.pointer(place).unwrap().as_str().unwrap()).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            let mut other = bytes.clone();
            other[at] ^= 1 << (at % 8);
            let mut changed = dossier.clone();
            *changed.pointer_mut(place).unwrap() = URL_SAFE_NO_PAD.encode(other).into();
            assert!(verify(&changed).is_err(), "{place}, byte {at}");
        }
    }
    // What it says in words is held to the evidence too.
    for (place, other) in [
        ("/accused/id", "bank".into()),
        ("/facts/strength", "S".into()),
        ("/facts/count", 2.into()),
        ("/facts/persons", 9.into()),
        ("/facts/about", "dpv:Other".into()),
        ("/facts/class", "anonymous".into()),
        ("/lines/0/at", 1.into()),
        ("/lines/0/signed", false.into()),
        ("/lines/0/domain", "shop".into()),
        ("/steps/1/type", "incident.dismiss".into()),
        ("/steps/0/by", "bank".into()),
        ("/incident", "00".into()),
        ("/lines/0/evidence", Value::Null),
    ] {
        let mut changed = dossier.clone();
        *changed.pointer_mut(place).unwrap() = other;
        assert!(verify(&changed).is_err(), "{place}");
    }
    let mut short: Value = dossier;
    short["lines"].as_array_mut().unwrap().clear();
    assert!(verify(&short).is_err());
}

/// The hospital's item that replaces its key.
fn rotate(world: &World, old: u8, new: u8) -> Vec<u8> {
    let statement: Statement = PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: world.now(),
        nonce: nonce(),
        party: party("hospital"),
        new: key_hash(&signer(new)),
        epoch: None,
        transfer: None,
    }
    .into();
    endorse(&endorse(&sign(&statement, &signer(old)), OPERATOR), new)
}

#[test]
fn what_the_accused_signed_is_judged_by_the_key_it_had_then() {
    let (second, third) = (31, 32);
    let world = World::logging();
    let (hers, his) = (enrolled(&world, 1), enrolled(&world, 2));
    ask_signed(&world, hers, "use");
    world.accept(rotate(&world, HOSPITAL, second));
    world.advance(1_000);
    // The key that was given up signs nothing any more.
    ask_signed(&world, his, "use");
    world.advance(1_000);
    ask_with(&world, his, "use", Some(&signature(&world, his, "use", second)));
    let found = one(&world);
    assert_eq!(found.lines.iter().map(|line| line.signed).collect::<Vec<_>>(), [true, true, false]);
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    world.accept(step(&world, &incident, Kind::IncidentAnswer, "hospital", second));
    world.accept(rotate(&world, second, third));
    let late = step(&world, &incident, Kind::IncidentAnswer, "hospital", second);
    assert!(matches!(world.refuse(late), Refusal::Inert(Why::Role)));
    world.accept(step(&world, &incident, Kind::IncidentAnswer, "hospital", third));
    publish(&world);
    let Built::Dossier(dossier) = world.node().dossier(&incident, &party("pipc")).unwrap() else {
        panic!("no dossier")
    };
    let checked = verify(&dossier).unwrap();
    assert_eq!((checked.proven, checked.signed), (3, 2));
    assert_eq!(checked.accused, [HOSPITAL, second, third].map(|seed| key_hash(&signer(seed))));
    // Without a link of the chain, in another order, or with a line marked that the old key signed too late.
    for (place, other) in [
        ("/accused/rotated", Value::Array(Vec::new())),
        ("/accused/rotated", vec![dossier["accused"]["rotated"][0].clone()].into()),
        ("/accused/rotated", vec![dossier["accused"]["rotated"][1].clone()].into()),
        ("/accused/registered", dossier["accused"]["rotated"][0].clone()),
        ("/accused/rotated/0", dossier["accused"]["registered"].clone()),
        ("/accused/jurisdiction", "JP".into()),
        ("/lines/2/signed", true.into()),
    ] {
        let mut changed = *dossier.clone();
        *changed.pointer_mut(place).unwrap() = other;
        assert!(verify(&changed).is_err(), "{place}");
    }
}

#[test]
fn naru_verify_checks_a_dossier_offline() {
    let (_world, dossier) = dossier();
    let dir = tempfile::tempdir().unwrap();
    let run = |dossier: &Value| {
        std::fs::write(dir.path().join("dossier.json"), dossier.to_string()).unwrap();
        std::fs::write(dir.path().join("log.pem"), signer(LOG).public().to_pem()).unwrap();
        let mut naru = Command::new(env!("CARGO_BIN_EXE_naru"));
        naru.current_dir(dir.path());
        let naru =
            naru.args(["--json", "verify", "dossier.json", "--log-key", "log.pem", "--origin", ORIGIN]);
        let done = naru.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = run(&dossier);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("foreign-ppid") && said.contains("hospital"), "{said}");
    for (place, other) in [("/facts/persons", Value::from(7)), ("/provisions/0/range/high", 1.into())] {
        let mut changed = dossier.clone();
        *changed.pointer_mut(place).unwrap() = other;
        assert_eq!(run(&changed).0, Some(6), "{place}");
    }
}

#[test]
fn provisions_are_those_of_packs_that_the_log_names() {
    let (_world, dossier) = dossier();
    let refused = |what: &str, change: &dyn Fn(&mut Value)| {
        let mut changed = dossier.clone();
        change(&mut changed);
        assert_ne!(changed, dossier, "{what}");
        assert!(verify(&changed).is_err(), "{what}");
    };
    let provisions = dossier["provisions"].as_array().unwrap();
    for (n, provision) in provisions.iter().enumerate() {
        for member in provision.as_object().unwrap().keys() {
            refused(member, &|d| d["provisions"][n][member] = "other".into());
        }
    }
    refused("a line less", &|d| drop(d["provisions"].as_array_mut().unwrap().pop()));
    refused("a line twice", &|d| d["provisions"].as_array_mut().unwrap().push(provisions[0].clone()));
    refused("no pack", &|d| d["packs"] = Value::Array(Vec::new()));
    refused("a pack twice", &|d| {
        let again = d["packs"][0].clone();
        d["packs"].as_array_mut().unwrap().push(again);
    });
    // A pack of another text, with a range to fit: the log does not name it.
    let text = |d: &Value| {
        let bytes = URL_SAFE_NO_PAD.decode(d["packs"][0]["bytes"].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    refused("another pack", &|d| {
        let other = text(d).replace("max-years = 5", "max-years = 9");
        d["packs"][0]["bytes"] = URL_SAFE_NO_PAD.encode(&other).into();
        d["packs"][0]["sha256"] = Hash(naru::ledger::hash::sha256(&[other.as_bytes()])).to_string().into();
    });
    refused("another version", &|d| d["packs"][0]["version"] = 2.into());
    refused("another statement", &|d| d["packs"][0]["named"] = d["accused"]["registered"].clone());
}

fn complaint(world: &World, ppid: Ppid, by: Option<naru::model::id::StatementId>) -> Statement {
    IncidentComplain {
        v: V1,
        kind: Kind::IncidentComplain,
        // Closing: however old.
        iat: Timestamp(world.now().0 - 400 * DAY),
        nonce: nonce(),
        ppid,
        by,
        party: party("hospital"),
        text: "they called me by my name".into(),
    }
    .into()
}

#[test]
fn a_complaint_is_hers_and_the_regulator_s_until_the_accused_is_told() {
    let mut world = World::logging();
    enrolled(&world, 1);
    enrolled(&world, 2);
    let at_hospital = world.ppid(1, Some("hospital"));
    let before = world.node().sequenced();
    // Of another's ppid, or by a party: none.
    for (ppid, seed) in [(world.ppid(2, Some("hospital")), person_key(1)), (at_hospital, signer(BANK))] {
        assert!(matches!(world.refuse(sign(&complaint(&world, ppid, None), &seed)), Refusal::Inert(_)));
    }
    let accepted = world.accept(sign(&complaint(&world, at_hospital, None), &person_key(1)));
    let incident = accepted.id.incident();
    // The same twice is one; another is another.
    let other = world.accept(sign(&complaint(&world, at_hospital, None), &person_key(1)));
    assert_ne!(other.id, accepted.id);
    let sees = |world: &World, name: &str| {
        let case = world.node().incident_for(&incident, &party(name)).unwrap();
        let listed = world.node().incidents_for(&party(name)).unwrap();
        assert_eq!(listed.iter().any(|c| c.incident.id == incident), case.is_some(), "{name}");
        case
    };
    for name in ["hospital", "bank", "idp", "nobody"] {
        assert!(sees(&world, name).is_none(), "{name}");
    }
    let case = sees(&world, "pipc").unwrap();
    assert_eq!(case.incident.stage, Stage::Complained);
    assert_eq!(case.incident.complaint.as_ref().unwrap().text, "they called me by my name");
    let hers = |world: &World, n: u64| world.node().complaints_of(&key_hash(&person_key(n))).unwrap().len();
    assert_eq!((hers(&world, 1), hers(&world, 2)), (2, 0));
    // The accused can neither answer nor keep a document before it is told.
    let early = step(&world, &incident, Kind::IncidentAnswer, "hospital", HOSPITAL);
    assert!(matches!(world.refuse(early), Refusal::Inert(_)));
    world.accept(step(&world, &incident, Kind::IncidentOrder, "pipc", REGULATOR));
    let case = sees(&world, "hospital").unwrap();
    assert_eq!(case.sight, Sight::Accused);
    assert_eq!(case.due.len(), 1, "{:?}", case.due);
    let mut taken = vec![Kind::IncidentOrder];
    for (kind, name, seed) in [
        (Kind::IncidentContain, "hospital", HOSPITAL),
        (Kind::IncidentReport, "hospital", HOSPITAL),
        (Kind::IncidentNotify, "hospital", HOSPITAL),
        (Kind::IncidentAppeal, "hospital", HOSPITAL),
        (Kind::IncidentConfirm, "pipc", REGULATOR),
    ] {
        world.accept(step(&world, &incident, kind, name, seed));
        taken.push(kind);
    }
    // The complaint itself is opened to her and the regulator, never to the accused.
    publish(&world);
    let shown = |world: &World, caller: naru::node::Caller| {
        matches!(world.node().evidence(&accepted.id, Some(&caller)).unwrap(), naru::node::Shown::Evidence(_))
    };
    let seen = |world: &World| {
        for (name, may) in [("pipc", true), ("hospital", false), ("bank", false)] {
            assert_eq!(shown(world, naru::node::Caller::Party(party(name))), may, "{name}");
        }
        for (n, may) in [(1, true), (2, false)] {
            assert_eq!(shown(world, naru::node::Caller::Citizen(key_hash(&person_key(n)))), may, "{n}");
        }
        let case = sees(world, "hospital").unwrap();
        assert_eq!(case.incident.stage, Stage::Confirmed);
        assert_eq!(case.incident.steps.iter().map(|s| s.kind).collect::<Vec<_>>(), taken);
        assert!(case.due[0].met.iter().all(|(_, at)| at.is_some()));
        assert_eq!((hers(world, 1), hers(world, 2)), (2, 0));
    };
    seen(&world);
    // Sealed: nothing of it is public.
    let entries = world.node().entries(before, world.node().sequenced()).unwrap();
    for entry in &entries {
        for word in ["hospital", "called", "complain"] {
            assert!(!entry.windows(word.len()).any(|w| w == word.as_bytes()), "an entry says `{word}`");
        }
    }
    world.reopen();
    seen(&world);
    is_sound(&mut world);
    seen(&world);
}

#[test]
fn a_delegate_complains_within_her_scope() {
    let mut world = World::logging();
    enrolled(&world, 1);
    enrolled(&world, 2);
    let (ward, helper) = (person_key(1), person_key(2));
    let grant = |types: &[Kind]| {
        let statement: Statement = DelegationGrant {
            v: V1,
            kind: Kind::DelegationGrant,
            iat: world.now(),
            nonce: nonce(),
            ppid: world.ppid(1, None),
            delegate: key_hash(&helper),
            types: types.iter().map(|kind| kind.as_str().to_owned()).collect(),
            controllers: Vec::new(),
            until: world.now().plus_ms(DAY),
            depth: 0,
            reason: "helper".into(),
            over: None,
        }
        .into();
        world.accept(sign(&statement, &ward)).id
    };
    let ppid = world.ppid(1, Some("hospital"));
    let by = grant(&[Kind::IncidentComplain]);
    world.accept(sign(&complaint(&world, ppid, Some(by)), &helper));
    // Not in her own name with another's ppid, nor by a stranger.
    assert!(matches!(world.refuse(sign(&complaint(&world, ppid, None), &helper)), Refusal::Inert(_)));
    enrolled(&world, 3);
    let stranger = sign(&complaint(&world, ppid, Some(by)), &person_key(3));
    assert!(matches!(world.refuse(stranger), Refusal::Inert(_)));
    // It is the ward's.
    let hers = |world: &World, n| world.node().complaints_of(&key_hash(&person_key(n))).unwrap().len();
    assert_eq!((hers(&world, 1), hers(&world, 2)), (1, 0));
    publish(&world);
    is_sound(&mut world);
    assert_eq!((hers(&world, 1), hers(&world, 2)), (1, 0));
}

/// A regulator's publication of an incident, signed.
fn published(world: &World, incident: Nonce, document: Hash, (name, seed): (&str, u8)) -> Vec<u8> {
    let says = IncidentPublish {
        v: V1,
        kind: Kind::IncidentPublish,
        iat: world.now(),
        nonce: nonce(),
        incident,
        party: party(name),
        document,
    };
    sign(&says.into(), &signer(seed))
}

#[test]
fn nothing_is_published_that_no_law_orders_to_be() {
    let pipc = ("pipc", REGULATOR);
    for pack in [naru::model::pack::kcern_2018(), naru::model::pack::kr_pipa_2026()] {
        let world = World::under(pack, OCTOBER_2026, true);
        let document = world.node().attach(b"what happened").unwrap();
        let refusal = world.refuse(published(&world, Nonce([3; 16]), document, pipc));
        assert!(matches!(refusal, Refusal::Inert(Why::Pack)), "{refusal}");
        let refusal = world.refuse(published(&world, Nonce([3; 16]), Hash([9; 32]), pipc));
        assert!(matches!(refusal, Refusal::Inert(Why::AttachmentMissing)), "{refusal}");
    }
}

/// The act of a country that orders what Korea's allows: a pack for this test alone.
fn ordering_pack() -> String {
    let line = "\n[[rule]]\nid = \"publish-incident\"\nko = \"확인된 사건은 공표한다.\"\n\
                en = \"A confirmed incident is published.\"\nsource = \"no law: a test\"\nconfidence = \"reading\"\n";
    let home = naru::model::pack::kcern_2018();
    format!("{}{line}", home.replacen("name = \"kcern-2018\"", "name = \"ordering\"", 1))
}

/// Operator and regulator adopt that pack, and its day comes.
fn adopt_ordering(world: &World) {
    let hash = world.node().attach(ordering_pack().as_bytes()).unwrap();
    let says = PackAdopt {
        v: V1,
        kind: Kind::PackAdopt,
        iat: world.now(),
        nonce: nonce(),
        pack: "ordering".into(),
        version: 1,
        hash,
        from: Timestamp(START + 2 * DAY),
        replay: None,
    };
    world.accept(endorse(&sign(&says.into(), &signer(OPERATOR)), REGULATOR));
    world.clock.set(Timestamp(START + 2 * DAY));
}

#[test]
fn where_a_pack_orders_it_a_confirmed_incident_is_published_and_names_no_party() {
    let mut world = World::logging();
    adopt_ordering(&world);
    // Another country's regulator, who supervises nobody here.
    let mut tokyo = world.register("tokyo", vec![Role::Regulator], false);
    if let Statement::PartyRegister(says) = &mut tokyo {
        says.scope = vec!["jp".into()];
    }
    let tokyo = sign(&tokyo, &signer(TOKYO));
    world.accept(endorse(&endorse(&tokyo, OPERATOR), REGULATOR));
    let hers = enrolled(&world, 1);
    let before = world.node().sequenced();
    ask_signed(&world, hers, "use");
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    let text = "한 처리자가 다른 영역의 가명을 물었다. One party asked with another domain's pseudonym.";
    let document = world.node().attach(text.as_bytes()).unwrap();
    let refused = |item: Vec<u8>, why: Why| {
        let refusal = world.refuse(item);
        assert!(matches!(refusal, Refusal::Inert(w) if w == why), "{refusal}, not {}", why.as_str());
    };
    let pipc = ("pipc", REGULATOR);
    refused(published(&world, incident, document, pipc), Why::State);
    world.accept(step(&world, &incident, Kind::IncidentConfirm, "pipc", REGULATOR));
    refused(published(&world, Nonce([3; 16]), document, pipc), Why::NotThisSubject);
    refused(published(&world, incident, document, ("tokyo", TOKYO)), Why::NotThisSubject);
    refused(published(&world, incident, document, ("hospital", HOSPITAL)), Why::Role);
    refused(published(&world, incident, document, ("pipc", HOSPITAL)), Why::KeyNotInSet);
    let accepted = world.accept(published(&world, incident, document, pipc));
    // What was taken back is not published again.
    world.accept(step(&world, &incident, Kind::IncidentDismiss, "pipc", REGULATOR));
    refused(published(&world, incident, document, pipc), Why::State);
    publish(&world);
    let entries = world.node().entries(before, world.node().sequenced()).unwrap();
    let says = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).any(|part| part == what);
    let place = usize::try_from(accepted.index - before).unwrap();
    assert!(says(&entries[place], b"incident.publish") && says(&entries[place], &document.0));
    for name in ["hospital", "bank"] {
        assert!(entries.iter().all(|entry| !says(entry, name.as_bytes())), "{name} stands in the open");
    }
    is_sound(&mut world);
}

#[test]
fn a_log_with_an_incident_is_sound_to_its_own_check() {
    let mut world = World::logging();
    let hers = enrolled(&world, 1);
    ask_signed(&world, hers, "use");
    let [incident] = flag(&world)[..] else { panic!("one incident") };
    world.accept(step(&world, &incident, Kind::IncidentAnswer, "hospital", HOSPITAL));
    world.accept(step(&world, &incident, Kind::IncidentConfirm, "pipc", REGULATOR));
    publish(&world);
    is_sound(&mut world);
    assert_eq!(stage(&world, &incident), Stage::Confirmed);
    let case = world.node().incident_for(&incident, &party("pipc")).unwrap().unwrap();
    assert_eq!(case.incident.steps.len(), 2);
    assert_eq!(case.finding.unwrap().strength, Strength::D);
}

/// Checks the data, makes everything derived again from the statements, and opens the node over it.
fn is_sound(world: &mut World) {
    drop(world.node.take());
    world.memory.sync();
    world.memory = world.memory.reopen();
    let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let log = signer(LOG);
    let data = fsck::Data {
        store: &world.memory,
        vault: &vault,
        log: log.public(),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: Some(&world.dir.path().join("anchor")),
    };
    let report = fsck::check(&data, &mut |_, _| {}).unwrap();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    // Everything derived is made again from the statements.
    fsck::rebuild(&data, &mut |_, _| {}).unwrap();
    drop(vault);
    world.memory = world.memory.reopen();
    world.node = Some(world.open().unwrap());
}
