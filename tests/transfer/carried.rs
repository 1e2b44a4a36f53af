//! The carrier in process: every step, every lie, every pause, with a clock set by hand.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use naru::consent::RunState;
use naru::consent::Transfer;
use naru::consent::TransferStanding;
use naru::ledger::key::Signer;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::Role;
use naru::outbound;
use naru::outbound::Call;
use naru::outbound::Calls;
use naru::outbound::Method;
use naru::outbound::Reply;
use naru::portability;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use serde_bytes::ByteBuf;

use crate::bank;
use crate::bank::Bank;
use crate::end::Answer;
use crate::end::End;
use crate::end::Request;
use crate::support::*;
use crate::wallet::Wallet;

const WALLET: u8 = 61;
const HOLDER: u8 = 62;
const WEEK: u64 = 7 * DAY;

type Spoil = Box<dyn Fn(&Request, Answer) -> Result<Answer, outbound::Error> + Send + Sync>;

/// Both ends behind one wire; what is spoilt is spoilt on it.
struct Wire {
    bank: Bank,
    wallet: Wallet,
    spoil: Mutex<Option<Spoil>>,
    /// Paths that were called, with their methods.
    called: Mutex<Vec<String>>,
    /// After so many calls nobody answers any more.
    left: AtomicU64,
    /// The answer to the last of them is lost on the way.
    lose: AtomicBool,
}

impl Calls for Wire {
    fn call(&self, end: &TransferEnd, call: &Call<'_>) -> Result<Reply, outbound::Error> {
        let nobody = || outbound::Error::Unreachable("test".into());
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(nobody());
        }
        self.left.store(left - 1, Ordering::SeqCst);
        let last = left == 1;
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
        };
        self.called.lock().unwrap().push(format!("{method} {}", call.path));
        let mut headers: std::collections::BTreeMap<String, String> =
            call.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (media, body) = call.body.unwrap_or_default();
        headers.insert("content-type".into(), media.into());
        let path = call.path.split('?').next().unwrap().to_owned();
        let request = Request { method: method.into(), path, headers, body: body.to_vec() };
        let of: &dyn End = match end.url.as_str() {
            "https://bank.test/naru" => &self.bank,
            "https://wallet.test" => &self.wallet,
            other => panic!("nobody registered `{other}`"),
        };
        let answer = of.answer(&request);
        if last && self.lose.load(Ordering::SeqCst) {
            return Err(nobody());
        }
        let answer = match self.spoil.lock().unwrap().as_ref() {
            Some(spoil) => spoil(&request, answer)?,
            None => answer,
        };
        if answer.body.len() as u64 > call.most {
            return Err(outbound::Error::TooLarge);
        }
        Ok(Reply {
            status: answer.status,
            media: answer.media.into(),
            tran_id: Some(request.header("x-api-tran-id").to_owned()),
            body: answer.body,
        })
    }
}

struct Scene {
    world: World,
    wire: Arc<Wire>,
    demand: StatementId,
}

/// How many items a whole run has: two accounts that she agreed to, three reads each.
const ITEMS: u64 = 6;
/// Calls of a whole run in relay mode: the list, each item twice, two signatures.
const CALLS: u64 = 1 + 2 * ITEMS + 2;

impl Scene {
    /// A demand from `holder` to `wallet`, once or every week; the wallet with a key or without.
    fn new(weekly: bool, sealed: bool) -> Self {
        let world = World::new();
        let clock = |world: &World| -> bank::Clock {
            let clock = world.clock.clone();
            Box::new(move || clock.now().0)
        };
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let wallet = Wallet::new(party("wallet"), signer(WALLET), clock(&world), key);
        let bank = Bank::new(party("holder"), signer(HOLDER), clock(&world));
        let spki = sealed.then(|| ByteBuf::from(wallet.spki().unwrap()));
        world.join("holder", HOLDER, Role::Controller, "https://bank.test/naru", None);
        world.join("wallet", WALLET, Role::Recipient, "https://wallet.test", spki);
        world.enrol(1);
        let wire = Arc::new(Wire {
            bank,
            wallet,
            spoil: Mutex::default(),
            called: Mutex::default(),
            left: AtomicU64::new(u64::MAX),
            lose: AtomicBool::new(false),
        });
        world.node().carry_with(Arc::clone(&wire) as Arc<dyn Calls>);
        let mut s = world.demand(world.ppid(1, Some("holder")));
        (s.sender, s.recipient) = (party("holder"), party("wallet"));
        if weekly {
            s.scheduled = true;
            s.fund_cycle = Some("1/w".into());
            s.add_cycle = Some("1/w".into());
        }
        let demand = world.accept(sign(&s.into(), &person_key(1))).id;
        Self { world, wire, demand }
    }

    fn carry(&self) {
        self.world.node().carry().unwrap();
    }

    fn reopen(&mut self) {
        self.world.reopen();
        self.world.node().carry_with(Arc::clone(&self.wire) as Arc<dyn Calls>);
    }

    fn answers(&self, calls: u64, lose: bool) {
        self.wire.left.store(calls, Ordering::SeqCst);
        self.wire.lose.store(lose, Ordering::SeqCst);
    }

    fn spoil(
        &self,
        spoil: impl Fn(&Request, Answer) -> Result<Answer, outbound::Error> + Send + Sync + 'static,
    ) {
        *self.wire.spoil.lock().unwrap() = Some(Box::new(spoil));
    }

    fn seen(&self) -> (Transfer, TransferStanding) {
        let all = self.world.node().transfers_of(&key_hash(&person_key(1))).unwrap().unwrap();
        let one = all.into_iter().find(|one| one.transfer.demand == self.demand).unwrap();
        (one.transfer, one.standing)
    }

    /// What is told of the run under way is what was called.
    fn is_told_how_far(&self) {
        let called = self.wire.called.lock().unwrap().clone();
        let all = self.world.node().transfers_of(&key_hash(&person_key(1))).unwrap().unwrap();
        let Some(carrying) = all[0].carrying else { return };
        let puts = called.iter().filter(|path| path.starts_with("PUT")).count() as u64;
        assert!(carrying.sent <= puts && puts <= carrying.sent + 1);
        assert!(carrying.sent <= carrying.fetched && carrying.fetched <= carrying.items.unwrap_or(0));
        assert!(carrying.fetched == ITEMS || carrying.sent == 0);
        assert_eq!(carrying.not_before.0 > self.world.now().0, carrying.tries > 0);
    }

    fn run(&self, number: u64) -> Option<RunState> {
        self.seen().0.run(number).map(|run| run.state())
    }

    /// Every item of a run, as the wallet has it in the clear, is what the bank holds.
    fn arrived(&self, number: u64) -> u64 {
        let items = self.wire.wallet.items.lock().unwrap();
        let of_run =
            items.iter().filter(|((demand, run, _), _)| *demand == self.demand.to_string() && *run == number);
        let mut arrived = 0;
        for ((_, _, id), content) in of_run {
            let [_, _, account, read] = id.split('.').collect::<Vec<_>>()[..] else { panic!("{id}") };
            assert_eq!(String::from_utf8_lossy(content), bank::deposit(read, account).to_string(), "{id}");
            arrived += 1;
        }
        arrived
    }

    fn called(&self) -> Vec<String> {
        std::mem::take(&mut *self.wire.called.lock().unwrap())
    }

    /// Files of the carrier, and whether any of them, or any other file, holds a personal marker.
    fn kept(&self) -> Vec<String> {
        let root = self.world.dir.path().join("transfers").join(self.demand.to_string());
        let Ok(files) = std::fs::read_dir(root) else { return Vec::new() };
        let mut names = Vec::new();
        for file in files {
            let file = file.unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            // The last is how a JWE begins: long enough not to stand in what is sealed by chance.
            for marker in ["1250000", "110123456789", "eyJhbGciOi"] {
                assert!(!text.contains(marker), "{:?}", file.path());
            }
            names.push(file.file_name().into_string().unwrap());
        }
        names.sort();
        names
    }
}

impl World {
    fn join(&self, name: &str, seed: u8, role: Role, url: &str, key: Option<ByteBuf>) {
        let Statement::PartyRegister(mut s) = self.register(name, vec![role], false) else { panic!() };
        s.transfer = Some(TransferEnd { url: url.into(), key });
        self.accept(endorse(&sign(&Statement::PartyRegister(s), &signer(seed)), OPERATOR));
    }
}

/// The answer with other words in it; what is no text stays as it is.
fn text(answer: Answer, from: &str, to: &str) -> Answer {
    match String::from_utf8(answer.body) {
        Ok(text) => Answer { body: text.replace(from, to).into_bytes(), ..answer },
        Err(other) => Answer { body: other.into_bytes(), ..answer },
    }
}

#[test]
fn a_run_is_carried_sealed_signed_and_confirmed() {
    let s = Scene::new(true, true);
    s.carry();
    assert_eq!((s.run(0), s.arrived(0)), (Some(RunState::Completed), ITEMS));
    assert_eq!(s.seen().1, TransferStanding::Live);
    let called = s.called();
    assert_eq!(called.len() as u64, CALLS);
    // Nothing is carried twice, and nothing before its time.
    s.carry();
    s.world.advance(WEEK - 1);
    s.carry();
    assert_eq!(s.called(), Vec::<String>::new());
    s.world.advance(1);
    s.carry();
    assert_eq!((s.run(1), s.arrived(1)), (Some(RunState::Completed), ITEMS));
    assert_eq!(s.kept(), ["run", "since"]);
    assert_eq!(*s.wire.wallet.again.lock().unwrap(), 0);
    // In the clear it exists at both ends alone.
    let sealed = called.iter().filter(|path| path.starts_with("PUT")).count() as u64;
    assert_eq!(sealed, ITEMS);
}

#[test]
fn a_demand_of_once_is_carried_once_and_leaves_nothing() {
    for sealed in [true, false] {
        let s = Scene::new(false, sealed);
        s.carry();
        assert_eq!(
            (s.run(0), s.arrived(0), s.seen().1),
            (Some(RunState::Completed), ITEMS, TransferStanding::Done)
        );
        s.called();
        s.world.advance(WEEK);
        s.carry();
        // The wallet is told of the end once; it knows no such call and is not asked again.
        assert_eq!(
            (s.called(), s.kept()),
            (vec![format!("POST /v1/transfers/{}/ended", s.demand)], Vec::new())
        );
        s.world.advance(60 * DAY);
        s.carry();
        assert_eq!((s.called(), s.kept()), (Vec::new(), Vec::new()));
    }
}

#[test]
fn interrupted_at_every_call_nothing_is_lost_or_doubled() {
    for sealed in [true, false] {
        for lose in [false, true] {
            for calls in 0..=CALLS {
                let mut s = Scene::new(true, sealed);
                s.answers(calls + u64::from(lose), lose);
                s.carry();
                s.kept();
                s.is_told_how_far();
                // Another process, a later time: the pause of the failed call is over.
                s.reopen();
                s.answers(u64::MAX, false);
                s.carry();
                s.world.advance(60_000);
                s.carry();
                assert_eq!(
                    (s.run(0), s.arrived(0)),
                    (Some(RunState::Completed), ITEMS),
                    "{calls} {lose} {sealed}"
                );
                assert!(*s.wire.wallet.again.lock().unwrap() <= 1, "{calls} {lose} {sealed}");
                let run = s.seen().0.runs;
                assert_eq!((run.len(), run[0].delivered.as_ref().unwrap().items), (1, ITEMS));
            }
        }
    }
}

#[test]
fn pauses_grow_and_a_later_run_takes_the_place_of_one_that_failed() {
    let s = Scene::new(true, true);
    s.answers(0, false);
    let tries = |ms: u64| {
        s.world.advance(ms);
        s.answers(0, false);
        // A call that nobody answers is seen by its pause alone.
        s.carry();
    };
    tries(0);
    s.answers(u64::MAX, false);
    s.world.advance(29_999);
    s.carry();
    assert!(s.called().is_empty(), "thirty seconds are not over");
    tries(1);
    s.answers(u64::MAX, false);
    s.world.advance(59_999);
    s.carry();
    assert!(s.called().is_empty(), "then a minute");
    tries(1);
    // A week later the second run is due: the first is given up, nothing of it was delivered.
    s.answers(u64::MAX, false);
    s.world.advance(WEEK);
    s.carry();
    assert_eq!((s.run(0), s.run(1), s.arrived(1)), (None, Some(RunState::Completed), ITEMS));
}

#[test]
fn a_stop_or_an_end_or_a_withdrawal_halts_it_wherever_it_is() {
    type Close = fn(&World, StatementId);
    let closings: [(&str, Close); 4] = [
        ("stop", |w, demand| {
            w.accept(sign(&w.stop(w.ppid(1, Some("holder")), demand), &person_key(1)));
        }),
        ("objection", |w, _| {
            let ppid = w.ppid(1, Some("wallet"));
            let scope = Scope::One("wallet".into());
            w.accept(sign(
                &w.object(ppid, scope, naru::model::vocabulary::DataClass::RealName),
                &person_key(1),
            ));
        }),
        ("end", |w, _| w.advance(31 * DAY)),
        ("suspension", |w, _| {
            let s = PartySuspend {
                v: V1,
                kind: Kind::PartySuspend,
                iat: w.now(),
                nonce: nonce(),
                party: party("wallet"),
                until: None,
                case: "1".into(),
            };
            w.accept(sign(&s.into(), &signer(REGULATOR)));
        }),
    ];
    for (what, close) in closings {
        for calls in [0, 1, 4, 1 + ITEMS, 2 + ITEMS, 1 + 2 * ITEMS] {
            // All has arrived before the suspension: that the sender may say.
            if what == "suspension" && calls == 1 + 2 * ITEMS {
                continue;
            }
            let s = Scene::new(true, true);
            s.answers(calls, false);
            s.carry();
            close(&s.world, s.demand);
            s.called();
            s.answers(u64::MAX, false);
            for _ in 0..3 {
                s.world.advance(7 * 3_600_000);
                s.carry();
            }
            assert_eq!(s.run(0), None, "{what} after {calls}");
            assert!(
                !s.called().iter().any(|path| path.starts_with("PUT") || path.ends_with("delivered")),
                "{what}"
            );
            if what != "suspension" {
                assert!(!s.kept().iter().any(|file| file.starts_with("item-")), "{what} after {calls}");
            }
        }
    }
}

#[test]
fn what_was_barred_goes_on_when_she_lifts_it_and_is_fetched_again() {
    for sealed in [true, false] {
        let s = Scene::new(true, sealed);
        s.answers(1 + ITEMS + 2, false);
        s.carry();
        let ppid = s.world.ppid(1, Some("wallet"));
        let (real, one) = (naru::model::vocabulary::DataClass::RealName, Scope::One("wallet".into()));
        let object = sign(&s.world.object(ppid, one.clone(), real), &person_key(1));
        let over = s.world.accept(object).id;
        s.answers(u64::MAX, false);
        s.world.advance(60_000);
        s.carry();
        assert!(!s.kept().iter().any(|file| file.starts_with("item-")));
        let lift = ConsentLift {
            v: V1,
            kind: Kind::ConsentLift,
            iat: s.world.now(),
            nonce: nonce(),
            ppid,
            by: None,
            over: Some(over),
            controller: one,
            purpose: Scope::Any,
            class: real,
        };
        s.world.accept(sign(&lift.into(), &person_key(1)));
        s.carry();
        assert_eq!((s.run(0), s.arrived(0)), (Some(RunState::Completed), ITEMS), "{sealed}");
    }
}

#[test]
fn of_a_suspended_receiver_nothing_is_read() {
    let s = Scene::new(true, true);
    let suspend = PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: s.world.now(),
        nonce: nonce(),
        party: party("wallet"),
        until: None,
        case: "1".into(),
    };
    s.world.accept(sign(&suspend.into(), &signer(REGULATOR)));
    s.carry();
    // Not sealed, and not in the clear either.
    assert!(s.called().is_empty());
}

#[test]
fn what_was_delivered_is_confirmed_though_it_was_stopped_since() {
    let s = Scene::new(true, true);
    s.answers(CALLS - 1, false);
    s.carry();
    assert_eq!(s.run(0), Some(RunState::Delivered));
    s.world.accept(sign(&s.world.stop(s.world.ppid(1, Some("holder")), s.demand), &person_key(1)));
    s.answers(u64::MAX, false);
    s.world.advance(60_000);
    s.carry();
    assert_eq!((s.run(0), s.seen().1), (Some(RunState::Completed), TransferStanding::Stopped));
    s.carry();
    assert!(s.kept().is_empty());
}

#[test]
fn a_sender_that_lies_is_not_believed_and_the_receiver_says_that_it_failed() {
    type Lie = fn(&Request, Answer) -> Result<Answer, outbound::Error>;
    fn list(r: &Request) -> bool {
        r.path.ends_with("/items")
    }
    fn fetch(r: &Request) -> bool {
        r.method == "GET"
    }
    let lies: [(&str, FailCode, Lie); 12] = [
        ("count", FailCode::SenderMismatch, |r, a| {
            Ok(if list(r) { text(a, "\"item_cnt\":6", "\"item_cnt\":7") } else { a })
        }),
        ("scope", FailCode::SenderRefused, |r, a| {
            Ok(if list(r) { text(a, "bank.deposit\"", "bank.loan\"") } else { a })
        }),
        ("path", FailCode::SenderMismatch, |r, a| {
            Ok(if list(r) { text(a, "\"bank.deposit.110123456789.basic\"", "\"../x\"") } else { a })
        }),
        ("in the clear", FailCode::SenderMismatch, |r, a| {
            Ok(if list(r) { text(a, "application/jose", "application/json") } else { a })
        }),
        ("junk", FailCode::SenderMismatch, |r, a| {
            Ok(if list(r) { Answer { body: b"{".to_vec(), ..a } } else { a })
        }),
        ("code", FailCode::SenderRefused, |r, a| Ok(if list(r) { text(a, "00000", "40401") } else { a })),
        ("hash", FailCode::SenderMismatch, |r, a| Ok(if fetch(r) { text(a, "A", "B") } else { a })),
        ("length", FailCode::SenderMismatch, |r, a| {
            Ok(if fetch(r) { Answer { body: [a.body, vec![b'A']].concat(), ..a } } else { a })
        }),
        ("media", FailCode::SenderMismatch, |r, a| {
            Ok(if fetch(r) { Answer { media: "text/html", ..a } } else { a })
        }),
        ("endless", FailCode::TooLarge, |r, a| if fetch(r) { Err(outbound::Error::TooLarge) } else { Ok(a) }),
        (
            "redirect",
            FailCode::SenderRefused,
            |r, a| if fetch(r) { Err(outbound::Error::Redirect) } else { Ok(a) },
        ),
        ("another's step", FailCode::SenderMismatch, |r, a| {
            Ok(if r.path.ends_with("delivered") { Answer { body: vec![0xd2, 0x84], ..a } } else { a })
        }),
    ];
    for (what, code, lie) in lies {
        let s = Scene::new(true, true);
        s.spoil(lie);
        s.carry();
        let run = s.seen().0.run(0).cloned().unwrap_or_else(|| panic!("{what}: nobody says that it failed"));
        let failed = run.failed.as_ref().unwrap();
        assert_eq!(
            (run.state(), failed.code, failed.by.as_str()),
            (RunState::Failed, code, "wallet"),
            "{what}"
        );
        assert!(s.kept().iter().all(|file| !file.starts_with("item-")), "{what}");
        // It is over, and the next run is another.
        s.called();
        s.world.advance(DAY);
        s.carry();
        assert!(s.called().is_empty(), "{what}");
        *s.wire.spoil.lock().unwrap() = None;
        s.wire.wallet.items.lock().unwrap().clear();
        s.world.advance(WEEK);
        s.carry();
        assert_eq!((s.run(1), s.arrived(1)), (Some(RunState::Completed), ITEMS), "{what}");
    }
}

#[test]
fn a_bank_that_contradicts_itself_in_the_clear_is_not_believed() {
    type Lie = fn(&Request, Answer) -> Answer;
    let lies: [(&str, FailCode, Lie); 3] = [
        ("count", FailCode::SenderMismatch, |_, a| text(a, "\"account_cnt\":\"3\"", "\"account_cnt\":\"2\"")),
        ("code", FailCode::SenderRefused, |r, a| {
            if r.path.ends_with("basic") { text(a, "00000", "40402") } else { a }
        }),
        ("media", FailCode::SenderMismatch, |r, a| {
            if r.path.ends_with("detail") { Answer { media: "text/html", ..a } } else { a }
        }),
    ];
    for (what, code, lie) in lies {
        let s = Scene::new(true, false);
        s.spoil(move |r, a| Ok(lie(r, a)));
        s.carry();
        let run = s.seen().0.run(0).cloned().unwrap_or_else(|| panic!("{what}: nobody says that it failed"));
        assert_eq!(run.failed.map(|f| f.code), Some(code), "{what}");
    }
}

#[test]
fn a_receiver_that_refuses_or_claims_too_much_is_not_believed() {
    // It refuses an item: the sender says that the run failed.
    let s = Scene::new(true, true);
    s.spoil(|r, a| Ok(if r.method == "PUT" { Answer::refused(403, "40301") } else { a }));
    s.carry();
    let run = s.seen().0.run(0).cloned().unwrap();
    let failed = run.failed.unwrap();
    assert_eq!((failed.code, failed.by.as_str()), (FailCode::ReceiverRefused, "holder"));
    // It confirms more than it got: refused by the fold, and what was delivered stays unconfirmed.
    let s = Scene::new(true, true);
    let extra = (s.demand.to_string(), 0, "bank.deposit.0.extra".to_owned());
    s.wire.wallet.items.lock().unwrap().insert(extra.clone(), Vec::new());
    s.carry();
    let run = s.seen().0.run(0).cloned().unwrap();
    assert_eq!((run.confirmed, run.delivered.unwrap().items), (None, ITEMS));
    // It confirms less: partial, and it may confirm the rest later.
    let s = Scene::new(true, true);
    s.answers(CALLS - 1, false);
    s.carry();
    let kept = s.wire.wallet.items.lock().unwrap().pop_first().unwrap();
    s.answers(u64::MAX, false);
    s.world.advance(60_000);
    s.carry();
    assert_eq!(s.run(0), Some(RunState::Partial));
    drop(kept);
}

#[test]
fn a_run_that_an_end_has_given_up_is_not_confirmed_and_the_next_one_is_carried() {
    let mut s = Scene::new(true, true);
    s.answers(CALLS - 1, false);
    s.carry();
    assert_eq!(s.run(0), Some(RunState::Delivered));
    let (v, kind, iat, demand, run) = (V1, Kind::TransferFail, s.world.now(), s.demand, 0);
    let (nonce, ppid, code) = (nonce(), s.world.ppid(1, Some("holder")), FailCode::Ended);
    let said = TransferFail { v, kind, iat, nonce, ppid, party: party("holder"), demand, run, code };
    s.world.accept(sign(&said.into(), &signer(HOLDER)));
    s.called();
    s.answers(u64::MAX, false);
    s.world.advance(60_000);
    s.reopen();
    s.carry();
    // Nobody is asked, and nobody is blamed for it.
    assert_eq!(s.called(), Vec::<String>::new());
    let failed = s.seen().0.run(0).cloned().unwrap().failed.unwrap();
    assert_eq!((s.run(0), failed.code, failed.by.as_str()), (Some(RunState::Failed), code, "holder"));
    s.world.advance(WEEK);
    s.carry();
    assert_eq!((s.run(1), s.arrived(1)), (Some(RunState::Completed), ITEMS));
    assert_eq!(s.world.faults(), []);
}

#[test]
fn her_archive_tells_her_transfers_and_an_auditor_finds_them_so() {
    let s = Scene::new(true, true);
    s.carry();
    s.world.advance(5_000);
    s.world.node().tick().unwrap();
    let mut bytes = Vec::new();
    s.world.node().export(&key_hash(&person_key(1)), None).unwrap().write(&mut bytes).unwrap();
    let mut source = std::io::Cursor::new(&bytes);
    let proven = naru::audit::archive::verify(&mut source, signer(LOG).public(), ORIGIN, None).unwrap();
    assert_eq!(proven.unknown, Vec::<String>::new());
    let mut source = std::io::Cursor::new(&bytes);
    let bag = portability::Bag::open(&mut source, signer(LOG).public()).unwrap();
    let mut told = serde_json::Value::Null;
    bag.walk::<portability::Error>(&mut |listed, content| {
        if listed.path == portability::TRANSFERS {
            told = serde_json::from_slice(content.unwrap()).unwrap();
        }
        Ok(())
    })
    .unwrap();
    let one = &told["transfers"][0];
    assert_eq!(one["demand"], s.demand.to_string());
    assert_eq!((&one["snd_org_code"], &one["rcv_org_code"]), (&"holder".into(), &"wallet".into()));
    let steps: Vec<_> = one["steps"].as_array().unwrap().iter().map(|step| step["type"].clone()).collect();
    assert_eq!(steps, ["transfer.deliver", "transfer.confirm"]);
    assert_eq!((&one["steps"][1]["received"], &one["steps"][1]["by"]), (&ITEMS.into(), &"wallet".into()));
}

#[test]
fn what_the_carrier_lost_is_taken_up_from_the_log() {
    let mut s = Scene::new(true, true);
    s.answers(CALLS - 1, false);
    s.carry();
    assert_eq!(s.run(0), Some(RunState::Delivered));
    // The state of the run is damaged: what was signed stands.
    let root = s.world.dir.path().join("transfers").join(s.demand.to_string());
    std::fs::write(root.join("run"), b"junk").unwrap();
    s.reopen();
    s.answers(u64::MAX, false);
    s.world.advance(60_000);
    s.carry();
    assert_eq!((s.run(0), s.arrived(0)), (Some(RunState::Completed), ITEMS));
    assert_eq!(s.world.faults(), []);
}

#[test]
fn what_the_receiver_signed_counts_once_by_whichever_hand_it_comes() {
    // Its answer is lost behind it: it hands what it signed to the log itself.
    let s = Scene::new(true, true);
    s.answers(CALLS, true);
    s.carry();
    assert_eq!(s.run(0), Some(RunState::Delivered));
    let signed = s.wire.wallet.signed.lock().unwrap().values().next().unwrap().clone();
    let size = s.world.node().published().size;
    let first = s.world.accept(signed.clone());
    assert_eq!(s.run(0), Some(RunState::Completed));
    // The carrier finds it there and asks nobody.
    s.called();
    s.answers(u64::MAX, false);
    s.world.advance(60_000);
    s.carry();
    assert_eq!((s.called(), s.kept()), (Vec::new(), vec!["run".to_owned(), "since".to_owned()]));
    assert_eq!(s.world.accept(signed).index, first.index, "the same statement is the same entry");
    s.world.node().tick().unwrap();
    assert_eq!(s.world.node().published().size, size.max(first.index) + 1);
    // The other way round: the carrier was first.
    s.world.advance(WEEK);
    s.carry();
    assert_eq!(s.run(1), Some(RunState::Completed));
    let index = s.seen().0.run(1).unwrap().confirmed.as_ref().unwrap().statement;
    let signed = s.wire.wallet.signed.lock().unwrap().values().map(Clone::clone).collect::<Vec<_>>();
    for item in signed {
        s.world.accept(item);
    }
    assert_eq!(s.seen().0.run(1).unwrap().confirmed.as_ref().unwrap().statement, index);
}
