//! What this service signs as the receiver: how many items of a run have arrived, or that it failed.
//!
//! The statement is made here from what stands here; of the asker only the number and hash that the
//! sender is said to have signed are taken, and they must agree with it. What was signed is kept
//! before it is answered, so that whoever asks again, after a crash of either end, gets the same
//! bytes; once they are too old for the window of `iat` it is signed anew. The log that delivers
//! records them: it asks until they stand there.

use serde_bytes::ByteBuf;

use crate::identity::item;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::statement::FailCode;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::TransferConfirm;
use crate::model::statement::TransferFail;
use crate::model::statement::V1;
use crate::node::Error;
use crate::node::Node;
use crate::node::Stop;
use crate::node::arrival::Arrived;
use crate::node::arrival::NoArrival;
use crate::node::arrival::Receiving;
use crate::node::arrival::RunOf;
use crate::node::arrival::run::Confirmed;
use crate::node::arrival::run::Failed;
use crate::node::clock;
use crate::node::deposit::Keep;
use crate::node::deposit::Kept;
use crate::node::lane::Lane;

/// So old a signed statement is not handed out again, ms: half the window of `iat`.
pub(in crate::node::arrival) const FRESH_MS: u64 = 12 * 3_600_000;
/// How often it is looked again because something else has arrived meanwhile.
const TRIES: usize = 4;

/// What is to be signed of a run that stands: the bytes if they are there, or the run with them.
enum Next {
    Stands(Vec<u8>),
    Signed(Arrived, Vec<u8>),
}

/// What is to be signed.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many items were announced, with this hash over them.
    Confirm(u64, Hash),
    Fail(FailCode),
}

impl Node {
    /// Signs how many items of a run have arrived, of so many that are said to have been sent; not of one
    /// that it has said failed. Durable when it answers, and the same bytes whenever it is asked the same.
    ///
    /// # Errors
    /// [`NoArrival`].
    pub fn confirm_delivery(&self, of: &RunOf, announced: u64, hash: &Hash) -> Result<Vec<u8>, NoArrival> {
        self.sign_step(of, Step::Confirm(announced, *hash))
    }

    /// Signs that a run has failed, for a reason that is not this service's own; not of one that is confirmed.
    ///
    /// # Errors
    /// [`NoArrival`].
    pub fn fail_delivery(&self, of: &RunOf, code: FailCode) -> Result<Vec<u8>, NoArrival> {
        match code {
            FailCode::SenderUnreachable
            | FailCode::SenderRefused
            | FailCode::SenderMismatch
            | FailCode::TooLarge
            | FailCode::Ended => self.sign_step(of, Step::Fail(code)),
            FailCode::ReceiverUnreachable | FailCode::ReceiverRefused => Err(NoArrival::Differs),
        }
    }

    fn sign_step(&self, of: &RunOf, step: Step) -> Result<Vec<u8>, NoArrival> {
        let receiving = self.receiving.get().ok_or(NoArrival::NotReceiving)?;
        let (loaded, arrival) = self.expected(of)?;
        let name = of.item(&loaded);
        for _ in 0..TRIES {
            let stands = self.arrived(&loaded, &name)?;
            // What has arrived is told as it is, though no more may; of what never came nothing is said.
            if stands.is_none() && !arrival.is_open(self.now()) {
                return Err(NoArrival::Unexpected);
            }
            let from = stands.unwrap_or_else(|| Arrived::new(of));
            let (to, item) = match next(receiving, of, (&from, step), self.now())? {
                Next::Stands(item) => {
                    // The first answer may not be durable yet.
                    self.settle()?;
                    return Ok(item);
                }
                Next::Signed(to, item) => (to, item),
            };
            if let Some(stop) = self.refuses(Lane::Open) {
                return Err(Error::Stopped(stop).into());
            }
            let kept = self.keep(Keep::run((*loaded).clone(), name.clone(), [from, to]))?;
            match kept {
                Kept::Set => {
                    self.settle()?;
                    return Ok(item);
                }
                Kept::Closed => {}
                _ => return Err(NoArrival::Unexpected),
            }
        }
        Err(Error::Stopped(Stop::Busy).into())
    }
}

fn next(
    receiving: &Receiving,
    of: &RunOf,
    (run, step): (&Arrived, Step),
    now: Timestamp,
) -> Result<Next, NoArrival> {
    let fresh = |at: Timestamp| now < at.plus_ms(FRESH_MS);
    let sign = |statement: Statement| {
        item::sign(&statement, receiving.signer.as_ref()).map_err(|e| NoArrival::Node(Error::from(e)))
    };
    let nonce = Nonce(clock::random().map_err(Error::Randomness)?);
    let (v, party, ppid) = (V1, receiving.party.clone(), of.ppid);
    match step {
        Step::Confirm(announced, hash) => {
            if run.failed.is_some() || !run.is_of(announced, &hash) {
                return Err(NoArrival::Differs);
            }
            let received = run.received();
            let same = |said: &&Confirmed| {
                said.received == received && said.announced == announced && fresh(said.at)
            };
            if let Some(said) = run.confirmed.as_ref().filter(same) {
                return Ok(Next::Stands(said.item.to_vec()));
            }
            let (kind, demand, run_number) = (Kind::TransferConfirm, of.demand, of.run);
            let said = TransferConfirm {
                v,
                kind,
                iat: now,
                nonce,
                ppid,
                party,
                demand,
                run: run_number,
                received,
                announced,
            };
            let item = sign(said.into())?;
            let confirmed = Confirmed { at: now, item: ByteBuf::from(item.clone()), received, announced };
            let mut to = run.clone();
            to.confirmed = Some(confirmed);
            Ok(Next::Signed(to, item))
        }
        Step::Fail(code) => {
            if run.confirmed.is_some() {
                return Err(NoArrival::Differs);
            }
            if let Some(said) = run.failed.as_ref().filter(|said| said.code == code && fresh(said.at)) {
                return Ok(Next::Stands(said.item.to_vec()));
            }
            let (kind, demand, number) = (Kind::TransferFail, of.demand, of.run);
            let said = TransferFail { v, kind, iat: now, nonce, ppid, party, demand, run: number, code };
            let item = sign(said.into())?;
            let failed = Failed { at: now, code, item: ByteBuf::from(item.clone()) };
            let mut to = run.clone();
            to.failed = Some(failed);
            Ok(Next::Signed(to, item))
        }
    }
}
