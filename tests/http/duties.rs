//! What is owed, claimed and promised over HTTP: each party its own, the regulator what is overdue.

use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::Statement;
use serde_json::Value;
use serde_json::json;

use crate::Served;
use crate::support::*;

struct Story {
    served: Served,
    ppid: Ppid,
    grant: StatementId,
}

impl Story {
    /// A grant to the bank that names the hospital and promises something, used twice.
    fn new() -> Self {
        let served = Served::of(World::logging());
        for n in [1, 2] {
            assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(n))).status, 201);
        }
        let ppid = served.node.ppid(&key_hash(&person_key(1)), Some(&party("bank"))).unwrap().unwrap();
        let mut grant = served.world.grant(ppid, None);
        grant.consideration = Some("₩500 a month".into());
        let item = sign(&grant.into(), &person_key(1));
        assert_eq!(served.statement(&item).status, 201);
        let grant = naru::identity::open(&item).unwrap().id();
        Self { served, ppid, grant }
    }

    fn own(&self, statement: &Statement) -> StatementId {
        let item = sign(statement, &person_key(1));
        assert_eq!(self.served.statement(&item).status, 201);
        naru::identity::open(&item).unwrap().id()
    }

    /// Status and code.
    fn say(&self, statement: &Statement, seed: u8) -> (u16, String) {
        let reply = self.served.statement(&sign(statement, &signer(seed)));
        let code =
            if reply.status < 300 { String::new() } else { reply.json()["code"].as_str().unwrap().into() };
        (reply.status, code)
    }

    fn mine(&self, what: &str, n: u64) -> Value {
        let reply = self.served.get(&format!("/v1/subjects/me/{what}"), Some(&self.served.citizen(n)));
        assert_eq!(reply.status, 200, "{what}");
        reply.json()
    }

    fn owes(&self, name: &str, seed: u8) -> Value {
        let reply = self.served.get("/v1/duties", Some(&self.served.party(name, seed)));
        assert_eq!(reply.status, 200);
        reply.json()
    }

    fn listed(&self, name: &str) -> Value {
        let pipc = self.served.party("pipc", REGULATOR);
        let reply = self.served.get(&format!("/v1/parties/{name}/duties"), Some(&pipc));
        assert_eq!(reply.status, 200);
        reply.json()
    }
}

fn done() -> (u16, String) {
    (201, String::new())
}

fn standings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|row| row["standing"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_withdrawal_is_owed_by_everybody_it_names_until_each_declares() {
    let s = Story::new();
    let world = &s.served.world;
    // Nothing is owed for what stands; the book of the regulator's list is made here, before the end.
    assert_eq!((&s.listed("bank")["duties"], &s.mine("duties", 1)["duties"]), (&json!([]), &json!([])));
    let act = s.own(&world.withdraw(s.ppid));
    let row = s.mine("duties", 1)["duties"][0].clone();
    assert_eq!((&row["act"], &row["grant"]), (&json!(act.to_string()), &json!(s.grant.to_string())));
    assert_eq!((&row["ended_by"], &row["closed"]), (&json!("closing-act"), &json!(false)));
    assert_eq!(row["recipients"][0]["clock"]["due"], world.now().plus_ms(10 * DAY).0);
    assert_eq!(s.mine("duties", 2)["duties"], json!([]));
    let receipt = row["receipt"].as_str().unwrap().to_owned();
    assert_eq!(s.served.get(&receipt, None).status / 100, 4, "no checkpoint yet");
    s.served.node.tick().unwrap();

    // The hospital learns of it, and by which name it knows her.
    let owed = s.owes("hospital", HOSPITAL)["duties"][0].clone();
    assert_eq!((&owed["act"], &owed["standing"]), (&json!(act.to_string()), &json!("waiting")));
    let theirs = Ppid::from_text(owed["ppid"].as_str().unwrap()).unwrap();
    assert_ne!(theirs, s.ppid);
    assert_eq!(s.owes("idp", IDP)["duties"], json!([]));
    assert_eq!(s.say(&world.acknowledge("hospital", theirs, act), HOSPITAL), done());
    assert_eq!(s.say(&world.deleted("hospital", theirs, act), HOSPITAL), done());
    assert_eq!(s.owes("hospital", HOSPITAL)["duties"], json!([]), "met");
    // Not under another's name of her, nor by whoever owes nothing, nor with another's key.
    let wrong = world.deleted("hospital", s.ppid, act);
    assert_eq!(s.say(&wrong, HOSPITAL), (403, "not-this-subject".into()));
    assert_eq!(s.say(&world.deleted("bank", s.ppid, act), HOSPITAL), (403, "key-not-in-set".into()));
    assert_eq!(s.say(&world.acknowledge("bank", s.ppid, s.grant), BANK), (403, "not-owed".into()));

    assert_eq!(standings(&s.listed("bank")["duties"]), ["waiting"]);
    world.advance(10 * DAY);
    let list = s.listed("bank");
    assert_eq!((standings(&list["duties"]), &list["complete"]), (vec!["overdue".to_owned()], &json!(true)));
    assert!(!list.to_string().contains("ppid"), "no name of a person: {list}");
    assert_eq!(s.listed("hospital")["duties"], json!([]), "met in time");
    assert_eq!(standings(&s.mine("duties", 1)["duties"][0]["recipients"]), ["overdue", "done"]);
    assert_eq!(s.say(&world.deleted("bank", s.ppid, act), BANK), done());
    assert_eq!(standings(&s.listed("bank")["duties"]), ["late"], "and stays late");

    // The receipt of the end: everybody has declared, and the act's own receipt stands.
    let row = s.mine("duties", 1)["duties"][0].clone();
    assert_eq!(row["closed"], true);
    assert_eq!(row["recipients"][1]["deleted"][0]["categories"], json!([CATEGORY]));
    assert_eq!(row["recipients"][0]["met_at"], world.now().0);
    assert_eq!(s.served.get(&receipt, None).status, 200);
}

#[test]
fn a_right_is_claimed_once_and_answered_by_its_controller_alone() {
    let s = Story::new();
    let world = &s.served.world;
    let claim = s.own(&world.claim(s.ppid));
    let again = s.own(&world.claim(s.ppid));
    let rights = s.mine("rights", 1)["rights"].clone();
    assert_eq!(rights.as_array().unwrap().len(), 1);
    assert_eq!((&rights[0]["request"], &rights[0]["right"]), (&json!(claim.to_string()), &json!("access")));
    assert_eq!((&rights[0]["standing"], &rights[0]["answer"]), (&json!("waiting"), &Value::Null));
    assert_eq!(rights[0]["clock"]["due"], world.now().plus_ms(10 * DAY).0);
    assert_eq!(s.mine("rights", 2)["rights"], json!([]));
    assert_eq!(s.owes("bank", BANK)["rights"][0]["ppid"], s.ppid.to_text());
    world.advance(10 * DAY);
    assert_eq!(standings(&s.listed("bank")["rights"]), ["overdue"]);

    // The hospital knows her by another name, and was not asked.
    let theirs = s.served.node.ppid(&key_hash(&person_key(1)), Some(&party("hospital"))).unwrap().unwrap();
    let foreign = world.answer_right("hospital", theirs, claim, None);
    assert_eq!(s.say(&foreign, HOSPITAL), (403, "not-owed".into()));
    let foreign = world.answer_right("bank", s.ppid, claim, None);
    assert_eq!(s.say(&foreign, HOSPITAL), (403, "key-not-in-set".into()));
    let mute = world.answer_right("bank", s.ppid, claim, Some(" "));
    assert_eq!(s.say(&mute, BANK), (403, "notice-incomplete".into()));
    assert_eq!(s.mine("rights", 1)["rights"][0]["answer"], Value::Null);
    for _ in 0..2 {
        let no = world.answer_right("bank", s.ppid, again, Some("PIPA art. 35(4)"));
        assert_eq!(s.say(&no, BANK), done());
    }
    let right = s.mine("rights", 1)["rights"][0].clone();
    assert_eq!((&right["standing"], &right["answer"]["outcome"]), (&json!("late"), &json!("refused")));
    assert_eq!(right["answer"]["reason"], "PIPA art. 35(4)");
    assert_eq!(standings(&s.listed("bank")["rights"]), ["late"]);
    assert_eq!(s.owes("bank", BANK)["rights"], json!([]));
}

#[test]
fn what_was_promised_stands_beside_what_was_used_and_what_is_said_to_be_paid() {
    let s = Story::new();
    let world = &s.served.world;
    let bank = s.served.party("bank", BANK);
    for _ in 0..2 {
        assert_eq!(s.served.check(&bank, &s.ppid)["decision"], true);
    }
    world.advance(DAY);
    assert_eq!(s.say(&world.settle(s.ppid, s.grant, 500), BANK), done());
    let other = world.settle(s.ppid, StatementId([9; 32]), 500);
    assert_eq!(s.say(&other, BANK), (403, "not-owed".into()));
    s.own(&world.withdraw(s.ppid));
    // Refused: not a use.
    let bank = s.served.party("bank", BANK);
    assert_eq!(s.served.check(&bank, &s.ppid)["decision"], false);
    let value = s.mine("value", 1);
    let of = &value["controllers"][0];
    assert_eq!((&value["uses_counted"], &of["controller"]), (&json!(true), &json!("bank")));
    assert_eq!((&of["uses"][0]["permitted"], &of["uses"][0]["purpose"]), (&json!(2), &json!(PURPOSE)));
    let grant = &of["grants"][0];
    assert_eq!((&grant["promised"], &grant["ended_at"]), (&json!("₩500 a month"), &json!(world.now().0)));
    assert_eq!(
        (&grant["reported"][0]["amount"], &grant["reported"][0]["disputed"]),
        (&json!(500), &json!(false))
    );
    s.own(&world.dispute(s.ppid));
    assert_eq!(s.mine("value", 1)["controllers"][0]["grants"][0]["reported"][0]["disputed"], true);
    assert_eq!(s.mine("value", 2)["controllers"], json!([]));
}

#[test]
fn the_list_is_the_regulators_alone() {
    let served = Served::new();
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(1))).status, 201);
    let path = "/v1/parties/bank/duties";
    assert_eq!(served.get(path, None).status, 401);
    assert_eq!(served.get(path, Some(&served.party("bank", BANK))).status, 403, "not even its own");
    let pipc = served.party("pipc", REGULATOR);
    assert_eq!(served.get("/v1/parties/nobody/duties", Some(&pipc)).status, 404);
    assert_eq!(served.get("/v1/duties", Some(&served.citizen(1))).status / 100, 4);
}

#[test]
fn what_is_owed_is_owed_after_a_restart() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let act = world.accept(sign(&world.withdraw(ppid), &person_key(1))).id;
    world.accept(sign(&world.claim(ppid), &person_key(1)));
    world.advance(11 * DAY);
    world.accept(sign(&world.deleted("bank", ppid, act), &signer(BANK)));
    let before = world.node().owed_by(&party("bank")).unwrap();
    assert_eq!(before.as_ref().map(|owed| (owed.duties.len(), owed.rights.len())), Some((1, 1)));
    world.reopen();
    assert_eq!(world.node().owed_by(&party("bank")).unwrap(), before);
    // The hospital can answer by the name it is told.
    let owed = world.node().owes(&party("hospital")).unwrap();
    let theirs = owed.duties[0].ppid.unwrap();
    world.accept(sign(&world.deleted("hospital", theirs, act), &signer(HOSPITAL)));
    assert_eq!(world.node().owes(&party("hospital")).unwrap().duties, []);
    assert_eq!(world.faults(), []);
}
