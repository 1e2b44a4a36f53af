//! Transfer demands over HTTP: the steps, their refusals, and what each end sees.

use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::Statement;
use serde_json::Value;

use crate::*;

struct Story {
    served: Served,
    bank: Ppid,
    hospital: Ppid,
    demand: StatementId,
}

impl Story {
    fn new() -> Self {
        let served = Served::new();
        assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(1))).status, 201);
        let at = |name: &str| {
            let key = key_hash(&person_key(1));
            served.node.ppid(&key, Some(&party(name))).unwrap().unwrap()
        };
        let bank = at("bank");
        let mut demand = served.world.demand(bank);
        demand.scheduled = true;
        demand.fund_cycle = Some("1/w".into());
        let item = sign(&demand.into(), &person_key(1));
        assert_eq!(served.statement(&item).status, 201);
        let demand = naru::identity::open(&item).unwrap().id();
        // Nobody asked for the hospital's name of her: the demand has made it known.
        let hospital =
            served.get(&format!("/v1/transfers/{demand}"), Some(&served.party("hospital", HOSPITAL)));
        let hospital = Ppid::from_text(hospital.json()["ppid"].as_str().unwrap()).unwrap();
        Self { served, bank, hospital, demand }
    }

    fn send(&self, statement: &Statement, seed: u8) -> (u16, String) {
        let reply = self.served.statement(&sign(statement, &signer(seed)));
        let code =
            if reply.status < 300 { String::new() } else { reply.json()["code"].as_str().unwrap().into() };
        (reply.status, code)
    }

    fn deliver(&self, run: u64, items: u64) -> (u16, String) {
        self.send(&self.served.world.deliver(self.bank, self.demand, run, items), BANK)
    }

    fn confirm(&self, run: u64, n: u64, m: u64) -> (u16, String) {
        self.send(&self.served.world.confirm(self.hospital, self.demand, run, (n, m)), HOSPITAL)
    }

    fn half(&self, name: &str, seed: u8) -> Value {
        let path = format!("/v1/transfers/{}", self.demand);
        let reply = self.served.get(&path, Some(&self.served.party(name, seed)));
        assert_eq!(reply.status, 200);
        reply.json()
    }

    fn hers(&self) -> Value {
        let reply = self.served.get("/v1/subjects/me/transfers", Some(&self.served.citizen(1)));
        assert_eq!(reply.status, 200);
        reply.json()["transfers"][0].clone()
    }
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.into())
}

#[test]
fn a_transfer_goes_its_way_and_each_end_sees_its_half() {
    let s = Story::new();
    let done = (201, String::new());
    assert_eq!(s.confirm(0, 3, 3), refused(409, "state"));
    assert_eq!(s.deliver(1, 3), refused(403, "too-soon"));
    assert_eq!(s.deliver(0, 3), done);
    assert_eq!(s.confirm(0, 4, 4), refused(409, "more-than-delivered"));
    assert_eq!(s.confirm(0, 2, 2), refused(409, "transfer-count"));
    assert_eq!(s.confirm(0, 2, 3), done);
    assert_eq!(s.hers()["runs"][0]["state"], "partial");
    assert_eq!(s.confirm(0, 3, 3), done);
    let (bank, hospital, hers) = (s.half("bank", BANK), s.half("hospital", HOSPITAL), s.hers());
    for seen in [&bank, &hospital, &hers] {
        assert_eq!((&seen["state"], &seen["runs"][0]["state"]), (&"live".into(), &"completed".into()));
        assert_eq!((&seen["snd_org_code"], &seen["rcv_org_code"]), (&"bank".into(), &"hospital".into()));
        assert_eq!((&seen["fnd_cycle"], &seen["is_scheduled"]), (&"1/w".into(), &true.into()));
        assert_eq!((&seen["runs"][0]["items"], &seen["runs"][0]["received"]), (&3.into(), &3.into()));
    }
    // Each its own name of her, and nobody the other's.
    assert_eq!((&bank["ppid"], &hospital["ppid"]), (&s.bank.to_text().into(), &s.hospital.to_text().into()));
    assert!(!bank.to_string().contains(&s.hospital.to_text()));
    assert!(!hospital.to_string().contains(&s.bank.to_text()));
    assert_ne!(s.bank, s.hospital);
    // The other's name in one's own step is nobody's.
    let world = &s.served.world;
    let wrong = world.confirm(s.bank, s.demand, 0, (3, 3));
    assert_eq!(s.send(&wrong, HOSPITAL), refused(403, "not-this-subject"));
    let wrong = world.deliver(s.hospital, s.demand, 0, 3);
    assert_eq!(s.send(&wrong, BANK), refused(403, "not-this-subject"));
    assert_eq!(s.send(&world.deliver(s.bank, s.demand, 0, 3), HOSPITAL).0, 403);
}

#[test]
fn a_stop_over_http_ends_it_and_survives_a_second_one() {
    let s = Story::new();
    let world = &s.served.world;
    for _ in 0..2 {
        let stop = sign(&world.stop(s.bank, s.demand), &person_key(1));
        assert_eq!(s.served.statement(&stop).status, 201);
    }
    assert_eq!(s.hers()["state"], "stopped");
    assert_eq!(s.deliver(0, 1), refused(409, "state"));
    // A stop under any of her names closes; under another person's it does not.
    let stop = sign(&world.stop(s.hospital, StatementId([9; 32])), &person_key(1));
    assert_eq!(s.served.statement(&stop).status, 201);
    let stop = sign(&world.stop(Ppid([9; 16]), s.demand), &person_key(1));
    assert_eq!(s.served.statement(&stop).json()["code"], "not-this-subject");
}

#[test]
fn what_was_demanded_is_there_after_a_restart() {
    let mut world = World::new();
    let bank = world.enrol(1);
    let demand = world.accept(sign(&world.demand(bank).into(), &person_key(1))).id;
    world.accept(sign(&world.deliver(bank, demand, 0, 3), &signer(BANK)));
    let before = world.node().transfers_of(&key_hash(&person_key(1))).unwrap();
    world.reopen();
    assert_eq!(world.node().transfers_of(&key_hash(&person_key(1))).unwrap(), before);
    let hospital = world.node().transfer_of(&demand, &party("hospital")).unwrap().unwrap().1;
    world.accept(sign(&world.confirm(hospital, demand, 0, (3, 3)), &signer(HOSPITAL)));
    assert_eq!(world.node().transfer_of(&demand, &party("idp")).unwrap(), None);
    assert_eq!(world.faults(), []);
}
