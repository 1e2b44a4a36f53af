//! The end of a demand, told to its receiver; and its word that it has deleted what it received.
//!
//! As soon as a demand is not carried any more its receiver is told how it stands and until when it may
//! keep what it has; and once more when nothing of it may be kept any longer: then it signs
//! `duty.deleted`, which is recorded like any step. What was told is noted after it was answered; after a
//! kill it is told again, and the receiver answers the same. A receiver that knows no such call
//! is not asked again: what it owes stands in the lists of what is owed all the same.
//!
//! Lacks any say in when a life ends (`consent`). Trusted: nothing that the receiver answers.

use serde::Deserialize;
use serde::Serialize;
use serde_json::json;

use crate::consent::Ended;
use crate::consent::Transfer;
use crate::consent::TransferStanding;
use crate::model::decision::Why;
use crate::model::id::Timestamp;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Refusal;
use crate::node::people::Loaded;
use crate::node::transfer::carrier::Carrier;
use crate::node::transfer::carrier::Job;
use crate::node::transfer::carrier::MAX_STEP;
use crate::node::transfer::carrier::Side;
use crate::node::transfer::carrier::Trouble;
use crate::node::transfer::carrier::Wish;
use crate::node::transfer::carrier::statement_of;
use crate::outbound::Reply;
use crate::portability::transfer::run::Run;

/// A receiver that does not answer is asked so long after the last instant of what it may keep, ms.
const ASKED_MS: u64 = 30 * 24 * 3_600_000;
/// Media type of a signed item.
const SIGNED: &str = "application/cose";

/// What a receiver was told, and answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::node::transfer) struct Told {
    /// How the demand stood.
    state: String,
    /// From when on nothing of it may be kept.
    keep_until: Timestamp,
    /// Its word that it has deleted what it received until then is recorded.
    deleted: bool,
    /// Nothing more is asked of it.
    silent: bool,
    /// Failures in a row.
    tries: u32,
    /// Nothing is asked before.
    not_before: Timestamp,
}

impl Told {
    fn is(&self, standing: TransferStanding, keep_until: Timestamp) -> bool {
        self.state == standing.as_str() && self.keep_until == keep_until
    }
}

impl Carrier<'_> {
    /// Tells the receiver what is to be told; how many calls, and when it is looked at again.
    pub(in crate::node::transfer::carrier) fn take_leave(
        &self,
        of: &Loaded,
        transfer: &Transfer,
        standing: TransferStanding,
    ) -> Result<(usize, Option<Timestamp>), Error> {
        let (node, demand, now) = (self.inner, &transfer.demand, self.inner.now());
        if !node.is_marked(demand)? {
            return Ok((0, None));
        }
        node.drop_items(demand)?;
        let life = of.person.life_end(transfer, now);
        let keep_until = life.as_ref().map_or(transfer.keep_until, |life| life.at);
        let mut told = node.read_told(demand, of)?.unwrap_or_default();
        if told.keep_until != keep_until {
            told.deleted = false;
        }
        let waits = told.is(standing, keep_until) && life.is_none() && now < keep_until;
        if !waits && !is_over(&told, (standing, keep_until), life.as_ref()) {
            if now < told.not_before {
                return Ok((0, Some(told.not_before)));
            }
            self.tell(of, transfer, (standing, keep_until, life.as_ref()), &mut told)?;
            node.write_told(demand, of, &told)?;
            if told.tries > 0 && !told.silent {
                return Ok((0, Some(told.not_before)));
            }
            return self.left((1, transfer, standing), &told, life.as_ref());
        }
        self.left((0, transfer, standing), &told, life.as_ref())
    }

    /// When a demand is looked at again of which nothing is to be told now.
    fn left(
        &self,
        (calls, transfer, standing): (usize, &Transfer, TransferStanding),
        told: &Told,
        life: Option<&Ended>,
    ) -> Result<(usize, Option<Timestamp>), Error> {
        let over = is_over(told, (standing, told.keep_until), life) || self.inner.now() >= told.keep_until;
        match standing {
            // What lifts it is an act of hers: then it is looked at at once.
            TransferStanding::Barred if over => Ok((calls, Some(transfer.end))),
            TransferStanding::Barred => Ok((calls, Some(transfer.end.min(told.keep_until)))),
            _ if over => self.inner.drop_transfer(&transfer.demand).map(|()| (calls, None)),
            _ => Ok((calls, Some(told.keep_until))),
        }
    }

    /// One call; what came of it stands in `told`.
    fn tell(
        &self,
        of: &Loaded,
        transfer: &Transfer,
        (standing, keep_until, life): (TransferStanding, Timestamp, Option<&Ended>),
        told: &mut Told,
    ) -> Result<(), Error> {
        let now = self.inner.now();
        let number = transfer.last_run().map_or(0, |run| run.number);
        let mut job = Job { transfer, of, run: Run { tries: told.tries, ..Run::new(number) } };
        let path = format!("/v1/transfers/{}/ended", transfer.demand);
        let said = json!({
            "state": standing.as_str(), "keep_until": keep_until.0,
            "act": life.map(|life| life.act.to_string()), "categories": life.map(|life| &life.categories),
        });
        let wish = said.to_string();
        let reply = self.call(&job, Side::Receiver, &Wish::post(&path, &wish, MAX_STEP), &[]);
        match reply.and_then(|reply| self.take_word(&reply, transfer, life)) {
            Ok(deleted) => {
                let state = standing.as_str().to_owned();
                *told = Told { state, keep_until, deleted, ..Told::default() };
            }
            Err(Trouble::Node(error)) => return Err(error),
            Err(Trouble::Later(_)) if now < keep_until.plus_ms(ASKED_MS) => {
                job.run.later(now);
                (told.tries, told.not_before) = (job.run.tries, job.run.not_before);
            }
            Err(Trouble::Later(_) | Trouble::Never(_)) => {
                tracing::info!("a receiver does not say what became of what it received");
                let state = standing.as_str().to_owned();
                *told = Told { state, keep_until, silent: true, ..Told::default() };
            }
        }
        Ok(())
    }

    /// Records the receiver's word, where its time has come; whether it has been given.
    fn take_word(&self, reply: &Reply, transfer: &Transfer, life: Option<&Ended>) -> Result<bool, Trouble> {
        let Some(life) = life else { return Ok(false) };
        let refused = || Trouble::Never(Side::Receiver.refused());
        if reply.media != SIGNED {
            return Err(Trouble::Later(Side::Receiver.refused()));
        }
        let fits = matches!(statement_of(&reply.body)?, Statement::DutyDeleted(s)
            if s.act == life.act && s.party == transfer.recipient);
        if !fits {
            return Err(refused());
        }
        match self.record(reply.body.clone()) {
            Ok(accepted) if accepted.inert.is_none() => Ok(true),
            Err(Refusal::Node(error)) => Err(error.into()),
            // A clock that is ahead of ours says what holds a moment later.
            Err(Refusal::Unavailable(_) | Refusal::Window { .. })
            | Err(Refusal::Inert(Why::Dates | Why::PartySuspended)) => {
                Err(Trouble::Later(Side::Receiver.refused()))
            }
            Ok(_) | Err(Refusal::Malformed(_) | Refusal::Inert(_)) => Err(refused()),
        }
    }
}

/// Whether the receiver has nothing more to say.
fn is_over(told: &Told, (standing, keep_until): (TransferStanding, Timestamp), life: Option<&Ended>) -> bool {
    told.silent || (told.is(standing, keep_until) && life.is_some() && told.deleted)
}
