//! A demand ends at A: its receiver, a second service, is told, destroys what may be kept no longer and says so.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::Mutex;

use naru::audit::archive;
use naru::consent::EndedBy;
use naru::consent::Met;
use naru::consent::Obligation;
use naru::consent::TransferStanding;
use naru::ledger::key::Signer;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::arrival::Arrival;
use naru::node::arrival::Closing;
use naru::node::arrival::Delivery;
use naru::node::arrival::EndState;
use naru::node::arrival::NoArrival;
use naru::node::arrival::Receiving;
use naru::node::arrival::RunOf;
use naru::outbound;
use naru::outbound::Call;
use naru::outbound::Calls;
use naru::outbound::Method;
use naru::outbound::Reply;
use naru::portability::source::OverBy;
use naru::store::memory::Fault;
use naru::store::memory::When;
use serde_json::Value;

use crate::bank::Bank;
use crate::end::End;
use crate::end::Request;
use crate::support::*;

const WALLET: u8 = 61;
const HOLDER: u8 = 62;
const WEEK: u64 = 7 * DAY;
const ITEMS: usize = 6;

/// What is lost of a call of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    Question,
    Answer,
}

/// The bank, and B behind the calls it is told by.
struct Wire {
    bank: Bank,
    b: Mutex<World>,
    lost: Mutex<Lost>,
    /// Ends that B was told, in order.
    ends: Mutex<Vec<Value>>,
    /// Declarations that B answered.
    said: Mutex<Vec<Vec<u8>>>,
}

impl Wire {
    fn b<T>(&self, of: impl FnOnce(&World) -> T) -> T {
        of(&self.b.lock().unwrap())
    }

    fn answer(&self, request: &Request) -> Result<(&'static str, Vec<u8>), NoArrival> {
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let (demand, rest) = (StatementId::from_hex(parts[2]).unwrap(), &parts[3..]);
        let ppid = Ppid::from_text(request.header("x-naru-ppid")).unwrap();
        let run = rest.get(1).map_or(0, |run| run.parse().unwrap());
        let of = RunOf { log: ORIGIN.into(), demand, run, ppid };
        let said = || serde_json::from_slice::<Value>(&request.body).unwrap();
        self.b(|b| match rest {
            ["runs", _, "items", item] => {
                let delivery = Delivery {
                    run: of,
                    item: (*item).into(),
                    scope: request.header("x-naru-scope").into(),
                    sender: party(request.header("x-naru-sender")),
                    purpose: request.header("x-naru-purpose").into(),
                    mode: Mode::Store,
                    keep_until: Timestamp(request.header("x-naru-keep-until").parse().unwrap()),
                    sha256: Hash::from_hex(request.header("x-naru-sha256")).unwrap(),
                    media: request.header("content-type").into(),
                    bytes: request.body.clone(),
                };
                b.node().take_delivery(&delivery).map(|_| ("application/json", Vec::new()))
            }
            ["runs", _, "complete"] => {
                let hash = Hash::from_hex(said()["hash"].as_str().unwrap()).unwrap();
                let signed = b.node().confirm_delivery(&of, said()["items"].as_u64().unwrap(), &hash)?;
                Ok(("application/cose", signed))
            }
            ["ended"] => {
                let said = said();
                self.ends.lock().unwrap().push(said.clone());
                let state = EndState::ALL.into_iter().find(|state| said["state"] == state.as_str());
                let categories = said["categories"].as_array().into_iter().flatten();
                let closing = Closing {
                    of,
                    state: state.unwrap(),
                    keep_until: Timestamp(said["keep_until"].as_u64().unwrap()),
                    act: said["act"].as_str().map(|act| StatementId::from_hex(act).unwrap()),
                    categories: categories.map(|one| one.as_str().unwrap().to_owned()).collect(),
                };
                let declared = b.node().close_arrival(&closing)?;
                self.said.lock().unwrap().extend(declared.clone());
                Ok(declared.map_or(("application/json", Vec::new()), |item| ("application/cose", item)))
            }
            other => panic!("{other:?}"),
        })
    }
}

impl Calls for Wire {
    fn call(&self, end: &TransferEnd, call: &Call<'_>) -> Result<Reply, outbound::Error> {
        let nobody = || outbound::Error::Unreachable("test".into());
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
        };
        let mut headers: std::collections::BTreeMap<String, String> =
            call.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (media, body) = call.body.unwrap_or_default();
        headers.insert("content-type".into(), media.into());
        let path = call.path.split('?').next().unwrap().to_owned();
        let request = Request { method: method.into(), path, headers, body: body.to_vec() };
        let tran_id = Some(request.header("x-api-tran-id").to_owned());
        if end.url == "https://bank.test" {
            let answer = self.bank.answer(&request);
            return Ok(Reply {
                status: answer.status,
                media: answer.media.into(),
                tran_id,
                body: answer.body,
            });
        }
        let lost = *self.lost.lock().unwrap();
        if lost == Lost::Question {
            return Err(nobody());
        }
        let answer = self.answer(&request);
        if lost == Lost::Answer {
            return Err(nobody());
        }
        let (status, media, body) = match answer {
            Ok((media, body)) => (200, media, body),
            Err(NoArrival::Unexpected) => (404, "application/json", Vec::new()),
            Err(NoArrival::Node(_)) => (503, "application/json", Vec::new()),
            Err(_) => (409, "application/json", Vec::new()),
        };
        Ok(Reply { status, media: media.into(), tran_id, body })
    }
}

struct Scene {
    a: World,
    wire: Arc<Wire>,
    demand: StatementId,
    keep_until: Timestamp,
}

fn receive(b: &World) {
    let (signer, logs) = (Box::new(signer(WALLET)), vec![ORIGIN.into()]);
    b.node().receive_with(Receiving { party: party("wallet"), signer, opener: None, logs });
}

impl Scene {
    /// A weekly demand from `holder` to `wallet`, told to B, and its first run carried.
    fn new() -> Self {
        let (a, b) = (World::new(), World::new());
        let clock = a.clock.clone();
        let bank = Bank::new(party("holder"), signer(HOLDER), Box::new(move || clock.now().0));
        for (name, seed, role, url) in [
            ("holder", HOLDER, Role::Controller, "https://bank.test"),
            ("wallet", WALLET, Role::Recipient, "https://wallet.test"),
        ] {
            let Statement::PartyRegister(mut s) = a.register(name, vec![role], false) else { panic!() };
            s.transfer = Some(TransferEnd { url: url.into(), key: None });
            a.accept(endorse(&sign(&Statement::PartyRegister(s), &signer(seed)), OPERATOR));
        }
        a.enrol(1);
        receive(&b);
        b.enrol(1);
        let mut s = a.demand(a.ppid(1, Some("holder")));
        (s.sender, s.recipient, s.scheduled) = (party("holder"), party("wallet"), true);
        (s.fund_cycle, s.add_cycle) = (Some("1/w".into()), Some("1/w".into()));
        let keep_until = s.keep_until;
        let demand = a.accept(sign(&s.into(), &person_key(1))).id;
        let scene = Self {
            wire: Arc::new(Wire {
                bank,
                b: Mutex::new(b),
                lost: Mutex::new(Lost::Nothing),
                ends: Mutex::default(),
                said: Mutex::default(),
            }),
            a,
            demand,
            keep_until,
        };
        scene.tell();
        scene.a.node().carry_with(Arc::clone(&scene.wire) as Arc<dyn Calls>);
        scene.carry();
        assert_eq!((scene.standing(), scene.kept()), (TransferStanding::Live, (ITEMS, 0)));
        scene
    }

    /// She tells B that she expects it.
    fn tell(&self) {
        let there = self.a.ppid(1, Some("wallet"));
        self.wire.b(|b| {
            let arrival = Arrival::new(ORIGIN.into(), there, b.now().plus_ms(300 * DAY), self.demand);
            b.node().expect_arrival(&key_hash(&person_key(1)), &arrival).unwrap();
        });
    }

    fn carry(&self) {
        self.a.node().carry().unwrap();
    }

    fn later(&self, ms: u64) {
        self.a.advance(ms);
        self.wire.b(|b| b.advance(ms));
    }

    fn reopen_a(&mut self) {
        self.a.reopen();
        self.a.node().carry_with(Arc::clone(&self.wire) as Arc<dyn Calls>);
    }

    fn reopen_b(&self) {
        let mut b = self.wire.b.lock().unwrap();
        b.reopen();
        receive(&b);
    }

    fn lose(&self, lost: Lost) {
        *self.wire.lost.lock().unwrap() = lost;
    }

    fn standing(&self) -> TransferStanding {
        let all = self.a.node().transfers_of(&key_hash(&person_key(1))).unwrap().unwrap();
        all.into_iter().find(|one| one.transfer.demand == self.demand).unwrap().standing
    }

    /// Items of hers at B, and how many of them are over.
    fn kept(&self) -> (usize, usize) {
        self.wire.b(|b| {
            let all = b.node().deposits(&key_hash(&person_key(1)), None, 500).unwrap().unwrap().items;
            (all.len(), all.iter().filter(|(_, head)| head.over.is_some()).count())
        })
    }

    fn arrival(&self) -> Arrival {
        self.wire.b(|b| b.node().arrivals_of(&key_hash(&person_key(1))).unwrap().unwrap().remove(0))
    }

    /// What B was told of ends since the last look.
    fn ends(&self) -> Vec<(String, u64, bool)> {
        let ends = std::mem::take(&mut *self.wire.ends.lock().unwrap());
        let end = |said: Value| {
            let state = said["state"].as_str().unwrap().to_owned();
            (state, said["keep_until"].as_u64().unwrap(), said["act"].is_string())
        };
        ends.into_iter().map(end).collect()
    }

    fn owed(&self) -> Vec<(Obligation, Met)> {
        self.a.node().duties_to(&key_hash(&person_key(1))).unwrap().unwrap()
    }

    /// That the receiver owes, by which end since when, and how it stands.
    fn duty(&self) -> (EndedBy, Timestamp, Met) {
        let owed = self.owed();
        let [(duty, met)] = &owed[..] else { panic!("{owed:?}") };
        assert_eq!((duty.act, duty.grant, &duty.party), (self.demand, self.demand, &party("wallet")));
        assert_eq!(duty.categories, ["bank.deposit"]);
        (duty.by, duty.since, *met)
    }

    fn closes(&self, controller: &str) -> Statement {
        ConsentWithdraw {
            v: V1,
            kind: Kind::ConsentWithdraw,
            iat: self.a.now(),
            nonce: nonce(),
            ppid: self.a.ppid(1, Some(controller)),
            by: None,
            controller: party(controller),
            purpose: PURPOSE.into(),
            class: DataClass::RealName,
            moved: None,
        }
        .into()
    }

    fn acts(&self, s: &Statement) {
        self.a.accept(sign(s, &person_key(1)));
    }

    /// Her archive at A says of what is owed to her what follows from the statements inside.
    fn is_proved(&self) {
        let mut out = Vec::new();
        self.a.node().tick().unwrap();
        self.a.node().export(&key_hash(&person_key(1)), None).unwrap().write(&mut out).unwrap();
        let proved = archive::verify(&mut Cursor::new(&out), signer(LOG).public(), ORIGIN, Some(200));
        assert!(proved.unwrap().unread.is_empty());
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains(&format!(r#""grant":"{}""#, self.demand)), "no such duty");
    }

    /// The carrier's folder of the demand.
    fn is_carried(&self) -> bool {
        self.a.dir.path().join("transfers").join(self.demand.to_string()).exists()
    }

    fn holds(mut self) {
        if !self.owed().is_empty() {
            self.is_proved();
        }
        assert_eq!(self.a.faults(), []);
        let wire = Arc::clone(&self.wire);
        drop(self);
        assert_eq!(wire.b.lock().unwrap().faults(), []);
    }
}

#[test]
fn what_she_closes_at_the_receiver_is_destroyed_there_at_once_and_declared() {
    let s = Scene::new();
    assert_eq!(s.owed(), []);
    s.later(1_000);
    let at = s.a.now();
    s.acts(&s.closes("wallet"));
    assert_eq!(s.standing(), TransferStanding::Barred);
    assert_eq!(s.duty(), (EndedBy::ClosingAct, at, Met::Waiting));
    s.carry();
    assert_eq!(s.ends(), [("barred".into(), at.0, true)]);
    assert_eq!(s.kept(), (ITEMS, ITEMS));
    assert_eq!(s.duty().2, Met::InTime(at));
    let over = s.arrival().over.unwrap();
    assert_eq!((over.state, over.keep_until, over.deleted.unwrap().at), (EndState::Barred, at, at));
    s.wire.b(|b| {
        let all = b.node().deposits(&key_hash(&person_key(1)), None, 500).unwrap().unwrap().items;
        assert!(all.iter().all(|(_, head)| head.over.unwrap().by == OverBy::Closed));
    });
    // Said once, however often it is looked.
    for _ in 0..3 {
        s.later(WEEK);
        s.carry();
    }
    assert_eq!((s.ends(), s.wire.said.lock().unwrap().len()), (Vec::new(), 1));
    assert_eq!(s.duty().2, Met::InTime(at));
    s.holds();
}

#[test]
fn what_arrived_outlives_the_end_of_the_demand_as_long_as_it_said_and_no_longer() {
    let s = Scene::new();
    let end = s.a.now().plus_ms(30 * DAY);
    s.later(30 * DAY);
    s.carry();
    assert_eq!(s.standing(), TransferStanding::Expired);
    // B takes nothing more, and keeps what it has.
    assert_eq!(s.ends(), [("expired".into(), s.keep_until.0, false)]);
    let over = s.arrival().over.unwrap();
    assert_eq!((over.state, over.at, over.deleted), (EndState::Expired, end, None));
    assert_eq!((s.kept().1, s.owed()), (0, Vec::new()));
    s.later(s.keep_until.0 - s.a.now().0 - 1);
    s.carry();
    assert_eq!((s.ends(), s.kept().1), (Vec::new(), 0));
    s.later(1);
    assert_eq!(s.duty(), (EndedBy::GrantEnd, s.keep_until, Met::Waiting));
    s.carry();
    assert_eq!(s.ends(), [("expired".into(), s.keep_until.0, true)]);
    assert_eq!(s.duty().2, Met::InTime(s.keep_until));
    let (all, over) = s.kept();
    assert!(all == over && all >= ITEMS && !s.is_carried());
    s.holds();
}

#[test]
fn a_stop_closes_the_arrival_and_leaves_what_has_arrived() {
    let s = Scene::new();
    s.acts(&s.a.stop(s.a.ppid(1, Some("holder")), s.demand));
    s.carry();
    assert_eq!(s.ends(), [("stopped".into(), s.keep_until.0, false)]);
    assert_eq!((s.kept(), s.owed()), ((ITEMS, 0), Vec::new()));
    // Whoever still delivers is turned away.
    let of = RunOf { log: ORIGIN.into(), demand: s.demand, run: 1, ppid: s.a.ppid(1, Some("wallet")) };
    let late = Delivery {
        run: of,
        item: "late".into(),
        scope: "bank.deposit".into(),
        sender: party("holder"),
        purpose: PURPOSE.into(),
        mode: Mode::Store,
        keep_until: s.keep_until,
        sha256: Hash(naru::ledger::hash::sha256(&[b"{}"])),
        media: "application/json".into(),
        bytes: b"{}".to_vec(),
    };
    let taken = || s.wire.b(|b| b.node().take_delivery(&late));
    assert!(matches!(taken(), Err(NoArrival::Unexpected)));
    s.later(s.keep_until.0 - s.a.now().0);
    s.carry();
    assert_eq!((s.kept(), s.duty().2), ((ITEMS, ITEMS), Met::InTime(s.keep_until)));
    s.holds();
}

#[test]
fn a_withdrawal_at_the_sender_ends_nothing_at_the_receiver_and_lifting_it_needs_her_word_there() {
    let s = Scene::new();
    s.acts(&s.closes("holder"));
    s.carry();
    assert_eq!((s.standing(), s.owed()), (TransferStanding::Barred, Vec::new()));
    assert_eq!(s.ends(), [("barred".into(), s.keep_until.0, false)]);
    assert_eq!(s.kept(), (ITEMS, 0));
    assert_eq!(s.arrival().over.unwrap().state, EndState::Barred);
    // Nothing is carried, and nothing told twice.
    s.later(WEEK);
    s.carry();
    assert_eq!((s.ends(), s.kept()), (Vec::new(), (ITEMS, 0)));
    s.tell();
    assert_eq!(s.arrival().over, None);
    s.holds();
}

#[test]
fn broken_off_anywhere_it_is_gone_on_with_and_said_once() {
    for lost in [Lost::Question, Lost::Answer] {
        let mut s = Scene::new();
        s.acts(&s.closes("wallet"));
        s.lose(lost);
        s.carry();
        assert_eq!(s.duty().2, Met::Waiting, "{lost:?}");
        s.reopen_a();
        s.reopen_b();
        s.lose(Lost::Nothing);
        s.later(60_000);
        s.carry();
        assert!(matches!(s.duty().2, Met::InTime(_)), "{lost:?}");
        assert_eq!(s.kept(), (ITEMS, ITEMS));
        let said = s.wire.said.lock().unwrap().clone();
        assert!(said.iter().all(|item| *item == said[0]), "{lost:?}: the same bytes");
        assert_eq!(said.len(), if lost == Lost::Answer { 2 } else { 1 });
        s.holds();
    }
}

#[test]
fn a_receiver_killed_between_its_steps_has_destroyed_it_or_does_so_at_its_next_start() {
    use naru::store::memory::Call as StoreCall;
    // Noted, destroyed, noted what was signed: three writes.
    for step in 0..3 {
        for when in [When::Before, When::After] {
            let s = Scene::new();
            s.acts(&s.closes("wallet"));
            s.wire.b(|b| b.memory.faults().fail_after(StoreCall::Keep, step, when, Fault::Eio));
            s.carry();
            assert_eq!(s.duty().2, Met::Waiting, "{step} {when:?}");
            s.reopen_b();
            let noted = s.arrival().over.is_some();
            assert_eq!(noted, step > 0 || when == When::After, "{step} {when:?}");
            // It needs nobody to tell it again.
            s.wire.b(|b| b.node().end_lives().unwrap());
            assert_eq!(s.kept(), (ITEMS, if noted { ITEMS } else { 0 }), "{step} {when:?}");
            s.later(60_000);
            s.carry();
            assert_eq!(s.kept(), (ITEMS, ITEMS));
            assert!(matches!(s.duty().2, Met::InTime(_)), "{step} {when:?}");
            s.holds();
        }
    }
}
