//! The carrier: what is due is fetched from senders and delivered to receivers, step by step.
//!
//! Each pass looks at the demands that are due, from the same state that judges statements, and
//! takes the next steps of the run of each. A step is done, then noted; after a kill the one under way
//! is done again, and items are named, so nothing is lost or doubled. Before each step it is asked
//! whether the demand still stands: a stop, an objection or the end of its time ends it there.
//!
//! The carrier signs nothing of a transfer: it has the sender sign what it delivered and the
//! receiver what it received, and records both like any statement. Where the recipient has
//! registered a key, items come sealed for it and cannot be read here.
//!
//! What a demand's end asks of its receiver stands in [`ending`].
//!
//! Lacks addresses of its own (the register's alone are called), and judgement (`consent`).
//! Trusted: nothing that either end answers.

mod ending;

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use crate::consent::Transfer;
use crate::consent::TransferStanding;
use crate::identity::Unverified;
use crate::identity::jwk::Jwk;
use crate::ledger::key::PublicKey;
use crate::model::decision::Why;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::FailCode;
use crate::model::statement::Mode;
use crate::model::statement::Statement;
use crate::model::statement::TransferEnd;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Item;
use crate::node::Outcome;
use crate::node::Queue;
use crate::node::Raw;
use crate::node::Refusal;
use crate::node::enqueue;
use crate::node::people::Loaded;
use crate::node::ticket::Ticket;
use crate::node::transfer::queue::AT_ONCE;
use crate::node::transfer::queue::due;
use crate::node::transfer::queue::next_look;
use crate::node::transfer::queue::taken_up;
use crate::outbound;
use crate::outbound::Call;
use crate::outbound::Calls;
use crate::outbound::Method;
use crate::outbound::Reply;
use crate::portability::transfer::kmydata;
use crate::portability::transfer::run::Ask;
use crate::portability::transfer::run::End;
use crate::portability::transfer::run::MAX_ITEM;
use crate::portability::transfer::run::Next;
use crate::portability::transfer::run::PLAIN;
use crate::portability::transfer::run::Run;
use crate::portability::transfer::run::Wrong;
use crate::portability::transfer::run::announced;
use crate::portability::transfer::run::sound;
use crate::store::Name;

pub(in crate::node::transfer) use ending::Told;

/// A demand that was marked and never recorded is forgotten after this, ms: twice the window of `iat`.
const UNRECORDED_MS: u64 = 2 * 25 * 3_600_000;
/// Largest list, bytes.
const MAX_LIST: u64 = 1 << 20;
/// Largest signed step, bytes.
const MAX_STEP: u64 = 60 << 10;
/// Most pages of accounts that are read.
const MOST_PAGES: usize = 16;

/// Why a step was not done.
enum Trouble {
    /// Later it may be.
    Later(FailCode),
    /// It never will.
    Never(FailCode),
    /// Ours.
    Node(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Node(error)
    }
}

impl From<Wrong> for Trouble {
    fn from(wrong: Wrong) -> Self {
        // What it is about, and never what it said.
        tracing::warn!(cause = %wrong, "a sender broke its word; the run ends");
        Self::Never(wrong.code())
    }
}

/// Which end is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sender,
    Receiver,
}

impl Side {
    const fn unreachable(self) -> FailCode {
        match self {
            Self::Sender => FailCode::SenderUnreachable,
            Self::Receiver => FailCode::ReceiverUnreachable,
        }
    }

    const fn refused(self) -> FailCode {
        match self {
            Self::Sender => FailCode::SenderRefused,
            Self::Receiver => FailCode::ReceiverRefused,
        }
    }
}

/// One pass of the carrier.
pub(in crate::node) struct Carrier<'a> {
    pub(in crate::node) inner: &'a Arc<Inner>,
    pub(in crate::node) intake: &'a Queue,
    pub(in crate::node) calls: &'a dyn Calls,
}

/// What is asked of an end.
struct Wish<'a> {
    method: Method,
    path: &'a str,
    /// Media type and bytes.
    body: Option<(&'a str, &'a [u8])>,
    /// Largest answer, bytes.
    most: u64,
}

impl<'a> Wish<'a> {
    const fn get(path: &'a str, most: u64) -> Self {
        Self { method: Method::Get, path, body: None, most }
    }

    const fn post(path: &'a str, json: &'a str, most: u64) -> Self {
        Self { method: Method::Post, path, body: Some((PLAIN, json.as_bytes())), most }
    }
}

/// A demand while it is carried.
struct Job<'a> {
    transfer: &'a Transfer,
    of: &'a Loaded,
    run: Run,
}

impl Carrier<'_> {
    /// Goes through the demands that are due once; answers how many steps were done.
    ///
    /// # Errors
    /// The disk, the store: then the pass ends where it is, and the next goes on.
    pub(in crate::node) fn pass(&self) -> Result<usize, Error> {
        let mut done = 0;
        let mut due = self.inner.transfers_due()?.into_iter();
        while let Some(demand) = due.next() {
            let looked = if self.inner.stopped().is_some() || self.inner.cohorts.closing() {
                Ok((0, Some(AT_ONCE)))
            } else {
                self.look(&demand)
            };
            match looked {
                Ok((steps, next)) => {
                    done += steps;
                    next.into_iter().for_each(|next| self.inner.look_at_transfer(demand, next));
                }
                Err(error) => {
                    // This one and those behind it are the next pass's.
                    [demand].into_iter().chain(due).for_each(|d| self.inner.look_at_transfer(d, AT_ONCE));
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    fn load(&self, demand: &StatementId) -> Result<Option<Arc<Loaded>>, Error> {
        let (node, name) = (self.inner, Name::Statement(demand.0));
        let Some(who) = node.people.locate(&name, node.store.as_ref(), &node.vault)? else { return Ok(None) };
        Ok(Some(node.people.load(who, node.store.as_ref(), &node.vault)?))
    }

    /// How many steps were done, and when it is looked at again; never, if it is not carried any more.
    fn look(&self, demand: &StatementId) -> Result<(usize, Option<Timestamp>), Error> {
        let (node, now) = (self.inner, self.inner.now());
        let Some(of) = self.load(demand)? else {
            let until = node.transfer_since(demand)?.plus_ms(UNRECORDED_MS);
            if now <= until {
                return Ok((0, Some(until.plus_ms(1))));
            }
            return node.drop_transfer(demand).map(|()| (0, None));
        };
        let Some(transfer) = of.person.transfer(demand) else {
            return node.drop_transfer(demand).map(|()| (0, None));
        };
        let standing = of.person.transfer_stands(transfer, now);
        let mut run = node.read_run(demand, &of)?;
        if run.is_none() {
            run = taken_up(transfer);
        }
        let asks_to_confirm = run.as_ref().is_some_and(|run| run.next() == Next::Confirm);
        match standing {
            TransferStanding::Live => node.forget_told(demand)?,
            // What was delivered may still be confirmed; nothing else goes on.
            _ if asks_to_confirm => {}
            TransferStanding::Barred
            | TransferStanding::Stopped
            | TransferStanding::Expired
            | TransferStanding::Done => return self.take_leave(&of, transfer, standing),
        }
        let Some(run) = due(transfer, run, now) else { return Ok((0, Some(next_look(transfer, None, now)))) };
        if now < run.not_before {
            return Ok((0, Some(next_look(transfer, Some(&run), now))));
        }
        let (done, run) = self.carry(Job { transfer, of: &of, run })?;
        Ok((done, Some(next_look(transfer, Some(&run), now))))
    }

    /// Takes steps until the run is over, must wait, or the demand no longer stands; how many, and the run.
    fn carry(&self, mut job: Job<'_>) -> Result<(usize, Run), Error> {
        let (node, demand) = (self.inner, &job.transfer.demand);
        let mut done = 0;
        while job.run.next() != Next::Over {
            if !self.still_stands(&job)? {
                break;
            }
            match self.step(&mut job) {
                Ok(()) => {
                    job.run.done();
                    done += 1;
                }
                Err(Trouble::Node(error)) => return Err(error),
                Err(Trouble::Later(code)) => {
                    tracing::info!(code = code.as_str(), tries = job.run.tries, "a transfer waits");
                    job.run.later(node.now());
                    node.write_run(demand, job.of, &job.run)?;
                    return Ok((done, job.run));
                }
                Err(Trouble::Never(code)) => {
                    tracing::warn!(code = code.as_str(), "a run of a transfer has failed");
                    self.ask_for_failure(&job, code)?;
                    job.run.over = Some(End::Failed(code));
                }
            }
            node.write_run(demand, job.of, &job.run)?;
        }
        if job.run.next() == Next::Over {
            node.drop_items(demand)?;
        }
        Ok((done, job.run))
    }

    /// Looked at again before each step: what was stopped meanwhile goes no further.
    fn still_stands(&self, job: &Job<'_>) -> Result<bool, Error> {
        if self.inner.cohorts.closing() || self.inner.stopped().is_some() {
            return Ok(false);
        }
        if job.run.next() == Next::Confirm {
            return Ok(true);
        }
        let Some(of) = self.load(&job.transfer.demand)? else { return Ok(false) };
        let now = self.inner.now();
        let stands = |transfer| of.person.transfer_stands(transfer, now) == TransferStanding::Live;
        Ok(of.person.transfer(&job.transfer.demand).is_some_and(stands))
    }

    fn step(&self, job: &mut Job<'_>) -> Result<(), Trouble> {
        match job.run.next() {
            Next::List => self.list(job),
            Next::Fetch(number) => self.fetch(job, number),
            Next::Send(number) => self.send(job, number),
            Next::Sign => self.have_signed(job),
            Next::Confirm => self.have_confirmed(job),
            Next::Over => Ok(()),
        }
    }

    fn list(&self, job: &mut Job<'_>) -> Result<(), Trouble> {
        let transfer = job.transfer;
        let before = transfer.last_run().map(|run| run.number).filter(|number| *number < job.run.number);
        let brings = transfer.schedule().brings(job.run.number, before);
        let scopes: Vec<String> = transfer.targets.iter().map(|target| target.scope.clone()).collect();
        // Without its record nobody knows whether it wants its data sealed: then nothing is read.
        let end = self.end(&transfer.recipient)?.ok_or(Trouble::Later(FailCode::ReceiverUnreachable))?;
        let Some(key) = end.key else {
            let mut plan = kmydata::plan(&transfer.targets, brings)?;
            if plan.accounts {
                let accounts = self.accounts(job)?;
                let org_code = transfer.sender.as_str();
                plan.items.extend(kmydata::account_items(&transfer.targets, brings, org_code, &accounts)?);
            }
            sound(&plan.items, &scopes)?;
            job.run.items = Some(plan.items);
            return Ok(());
        };
        let key = PublicKey::from_spki(&key).map_err(|_| Trouble::Never(FailCode::ReceiverRefused))?;
        let mut asked = demanded(transfer);
        if let Some(members) = asked.as_object_mut() {
            members.insert("recipient_jwk".into(), json!(Jwk::of(&key)));
            members.insert("basic".into(), brings.basic.into());
            members.insert("additional".into(), brings.additional.into());
        }
        let path = format!("{}/items", base(job));
        let asked = asked.to_string();
        let reply = self.call(job, Side::Sender, &Wish::post(&path, &asked, MAX_LIST), &[])?;
        // The code of the answer is part of its list.
        kmydata::envelope(&reply.body)?;
        job.run.items = Some(announced(&reply.body, &scopes)?);
        Ok(())
    }

    fn accounts(&self, job: &Job<'_>) -> Result<Vec<(String, Option<String>)>, Trouble> {
        let (mut accounts, mut page) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let path = kmydata::accounts_path(job.transfer.sender.as_str(), page.as_deref());
            let reply = self.call(job, Side::Sender, &Wish::get(&path, MAX_LIST), &[])?;
            let read = kmydata::accounts(&reply.body)?;
            accounts.extend(read.accounts);
            page = read.next_page;
            if page.is_none() {
                return Ok(accounts);
            }
        }
        Err(Wrong::TooLarge.into())
    }

    fn fetch(&self, job: &mut Job<'_>, number: usize) -> Result<(), Trouble> {
        let item = job.run.items().get(number).ok_or(Wrong::Count)?.clone();
        let named = format!("{}/items/{}", base(job), item.id);
        let wish = match &item.ask {
            Ask::Named => Wish::get(&named, MAX_ITEM),
            Ask::Read(path, None) => Wish::get(path, MAX_ITEM),
            Ask::Read(path, Some(body)) => Wish::post(path, body, MAX_ITEM),
        };
        let reply = self.call(job, Side::Sender, &wish, &[])?;
        if let Ask::Read(..) = item.ask {
            kmydata::envelope(&reply.body)?;
        }
        let mut run = job.run.clone();
        run.got(&reply.media, &reply.body)?;
        self.inner.keep_item(&job.transfer.demand, job.of, (run.number, number), &reply.body)?;
        job.run = run;
        Ok(())
    }

    fn send(&self, job: &mut Job<'_>, number: usize) -> Result<(), Trouble> {
        let item = job.run.items().get(number).ok_or(Wrong::Count)?.clone();
        let place = (job.run.number, number);
        let Some(bytes) = self.inner.kept_item(&job.transfer.demand, job.of, place)? else {
            // Damaged, or dropped while the demand was barred.
            job.run.fetch_again(number);
            return Ok(());
        };
        let path = format!("{}/items/{}", base(job), item.id);
        let hash = item.hash.map(|hash| hash.to_string()).unwrap_or_default();
        let (transfer, keep_until) = (job.transfer, job.transfer.keep_until.0.to_string());
        let mode = match transfer.mode {
            Mode::View => "view",
            Mode::Store => "store",
        };
        let headers = [
            ("x-naru-scope", item.scope.as_str()),
            ("x-naru-sha256", hash.as_str()),
            ("x-naru-sender", transfer.sender.as_str()),
            ("x-naru-purpose", transfer.purpose.as_str()),
            ("x-naru-mode", mode),
            ("x-naru-keep-until", keep_until.as_str()),
        ];
        let body = Some((item.media.as_str(), bytes.as_slice()));
        let wish = Wish { method: Method::Put, path: &path, body, most: MAX_LIST };
        self.call(job, Side::Receiver, &wish, &headers)?;
        job.run.sent = number + 1;
        Ok(())
    }

    fn have_signed(&self, job: &mut Job<'_>) -> Result<(), Trouble> {
        let (demand, number) = (job.transfer.demand, job.run.number);
        let (items, hash) = (job.run.items().len() as u64, job.run.hash(&demand));
        let stands = |transfer: &Transfer| {
            let delivered = transfer.run(number).and_then(|run| run.delivered.as_ref());
            delivered.is_some_and(|d| d.items == items && d.hash == hash)
        };
        if !self.newest(&demand)?.as_ref().is_some_and(stands) {
            let sender = job.transfer.sender.clone();
            let item = self.have_step(
                job,
                Side::Sender,
                "delivered",
                &json!({ "items": items, "hash": hash.to_string() }),
            )?;
            let fits = matches!(statement_of(&item)?, Statement::TransferDeliver(s)
                if s.demand == demand && s.party == sender && s.run == number && s.items == items && s.hash == hash);
            if !fits {
                return Err(Wrong::Step.into());
            }
            let outcome = self.record(item);
            self.judged(outcome, Side::Sender, &demand, &stands)?;
        }
        job.run.signed = true;
        Ok(())
    }

    fn have_confirmed(&self, job: &mut Job<'_>) -> Result<(), Trouble> {
        let (demand, number) = (job.transfer.demand, job.run.number);
        let stands = |transfer: &Transfer| transfer.run(number).is_some_and(|run| run.confirmed.is_some());
        let newest = self.newest(&demand)?;
        if let Some(failed) = newest.as_ref().and_then(|t| t.run(number)?.failed.as_ref()) {
            // An end has said so by its own hand: no confirm of it would count.
            job.run.over = Some(End::Failed(failed.code));
            return Ok(());
        }
        let delivered = newest.as_ref().and_then(|t| t.run(number)?.delivered.clone());
        let delivered = delivered.ok_or(Trouble::Never(FailCode::Ended))?;
        if !newest.as_ref().is_some_and(stands) {
            let receiver = job.transfer.recipient.clone();
            let said = json!({ "items": delivered.items, "hash": delivered.hash.to_string() });
            let item = self.have_step(job, Side::Receiver, "complete", &said)?;
            let fits = matches!(statement_of(&item)?, Statement::TransferConfirm(s)
                if s.demand == demand && s.party == receiver && s.run == number);
            if !fits {
                return Err(Trouble::Never(FailCode::ReceiverRefused));
            }
            let outcome = self.record(item);
            self.judged(outcome, Side::Receiver, &demand, &stands)?;
        }
        job.run.over = Some(End::Confirmed);
        Ok(())
    }

    /// What became of a step that was signed: recorded, there already, or refused for good.
    fn judged(
        &self,
        outcome: Outcome,
        side: Side,
        demand: &StatementId,
        stands: &dyn Fn(&Transfer) -> bool,
    ) -> Result<(), Trouble> {
        match outcome {
            Ok(accepted) if accepted.inert.is_none() => Ok(()),
            Err(Refusal::Unavailable(_)) => Err(Trouble::Later(side.unreachable())),
            Err(Refusal::Node(error)) => Err(Trouble::Node(error)),
            Err(Refusal::Inert(Why::PartySuspended)) => Err(Trouble::Later(side.refused())),
            // It may stand already, by another hand; else what was signed holds for nothing.
            Ok(_) | Err(Refusal::Malformed(_) | Refusal::Window { .. } | Refusal::Inert(_)) => {
                let stands = self.newest(demand)?.as_ref().is_some_and(stands);
                if stands { Ok(()) } else { Err(Trouble::Never(side.refused())) }
            }
        }
    }

    /// Has an end sign a step; the bytes of its item.
    fn have_step(&self, job: &Job<'_>, side: Side, step: &str, said: &Value) -> Result<Vec<u8>, Trouble> {
        let path = format!("{}/{step}", base(job));
        Ok(self.call(job, side, &Wish::post(&path, &said.to_string(), MAX_STEP), &[])?.body)
    }

    /// The end that kept its word is asked to sign that the run failed; if it does not, nobody says so.
    fn ask_for_failure(&self, job: &Job<'_>, code: FailCode) -> Result<(), Error> {
        let side = match code {
            FailCode::ReceiverRefused | FailCode::ReceiverUnreachable => Side::Sender,
            _ => Side::Receiver,
        };
        let (demand, number) = (job.transfer.demand, job.run.number);
        let item = match self.have_step(job, side, "failed", &json!({ "code": code.as_str() })) {
            Ok(item) => item,
            Err(Trouble::Node(error)) => return Err(error),
            Err(Trouble::Later(_) | Trouble::Never(_)) => return Ok(()),
        };
        let fits = |statement: &Statement| matches!(statement, Statement::TransferFail(s) if s.demand == demand && s.run == number && s.code == code);
        if Unverified::parse(item.clone()).and_then(Unverified::verify).is_ok_and(|item| fits(item.value())) {
            // Whether it counts is the fold's: nothing depends on it here.
            drop(self.record(item));
        }
        Ok(())
    }

    fn newest(&self, demand: &StatementId) -> Result<Option<Transfer>, Error> {
        Ok(self.load(demand)?.and_then(|of| of.person.transfer(demand).cloned()))
    }

    fn end(&self, party: &PartyId) -> Result<Option<TransferEnd>, Error> {
        let register = self.inner.register();
        let party = register.party(party).filter(|party| party.is_live(self.inner.now()));
        Ok(party.and_then(|party| party.transfer.clone()))
    }

    /// One call of an end: with its own name of the person, and nobody else's.
    fn call(
        &self,
        job: &Job<'_>,
        side: Side,
        wish: &Wish<'_>,
        more: &[(&str, &str)],
    ) -> Result<Reply, Trouble> {
        let party = match side {
            Side::Sender => &job.transfer.sender,
            Side::Receiver => &job.transfer.recipient,
        };
        let later = || Trouble::Later(side.unreachable());
        let end = self.end(party)?.ok_or_else(later)?;
        let ppid = self.name(job.of, party)?.to_text();
        let tran_id = kmydata::tran_id(&job.transfer.demand, job.run.number, wish.path, job.run.tries);
        let (demand, run) = (job.transfer.demand.to_string(), job.run.number.to_string());
        let api_type = if job.transfer.scheduled { "regular" } else { "user-on-demand" };
        let mut headers = vec![
            (kmydata::TRAN_ID, tran_id.as_str()),
            (kmydata::API_TYPE, api_type),
            ("x-naru-demand", &demand),
            ("x-naru-run", &run),
            ("x-naru-ppid", &ppid),
        ];
        headers.extend_from_slice(more);
        let Wish { method, path, body, most } = *wish;
        let reply = match self.calls.call(&end, &Call { method, path, headers: &headers, body, most }) {
            Ok(reply) => reply,
            Err(outbound::Error::TooLarge) => return Err(Trouble::Never(FailCode::TooLarge)),
            Err(outbound::Error::Redirect | outbound::Error::Address) => {
                return Err(Trouble::Never(side.refused()));
            }
            Err(error) => {
                tracing::info!(cause = %error, "an end of a transfer does not answer");
                return Err(later());
            }
        };
        match reply.status {
            200..=299 if side == Side::Sender && reply.tran_id.as_deref() != Some(&tran_id) => {
                Err(Wrong::TranId.into())
            }
            200..=299 => Ok(reply),
            // Nobody expects it there yet: she may tell the receiver after the demand.
            404 if method == Method::Put => Err(later()),
            408 | 425 | 429 | 500..=599 => Err(later()),
            413 => Err(Trouble::Never(FailCode::TooLarge)),
            _ => Err(Trouble::Never(side.refused())),
        }
    }

    /// Her ppid at a party; the row that leads from it to her is written.
    fn name(&self, of: &Loaded, party: &PartyId) -> Result<Ppid, Error> {
        let (ppid, known) = self.inner.named_ppid(of.who, Some(party))?;
        if !known {
            self.inner.write_names(&[(Name::Ppid(ppid.0), of.who)])?;
        }
        Ok(ppid)
    }

    fn record(&self, item: Vec<u8>) -> Outcome {
        let (ticket, mut places) = Ticket::new(1);
        let item = Unverified::parse(item).map_err(Refusal::Malformed)?;
        if let Some(place) = places.pop() {
            enqueue(self.inner, self.intake, vec![Raw { item: Item::Unverified(item), place }]);
        }
        ticket.wait().pop().unwrap_or(Err(Refusal::Unavailable(crate::node::Stop::Closing)))
    }
}

/// The statement an end has signed; a signature that does not hold is a broken word.
fn statement_of(item: &[u8]) -> Result<Statement, Trouble> {
    let verified = Unverified::parse(item.to_vec()).and_then(Unverified::verify);
    verified.map(|verified| verified.value().clone()).map_err(|_| Wrong::Step.into())
}

/// The path of a run at either end.
fn base(job: &Job<'_>) -> String {
    format!("/v1/transfers/{}/runs/{}", job.transfer.demand, job.run.number)
}

/// What a sender is told of a demand, in K-MyData's words.
fn demanded(t: &Transfer) -> Value {
    let targets =
        t.targets.iter().map(|target| json!({ "scope": target.scope, "asset_list": target.assets }));
    json!({
        "snd_org_code": t.sender.as_str(), "rcv_org_code": t.recipient.as_str(), "is_scheduled": t.scheduled,
        "fnd_cycle": t.fund_cycle, "add_cycle": t.add_cycle, "end_date": t.end.0, "purpose": t.purpose,
        "period": t.keep_until.0, "mode": t.mode, "target_info": targets.collect::<Vec<_>>(),
    })
}
