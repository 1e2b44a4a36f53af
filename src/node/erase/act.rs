//! The sequencer's part: certify what waits, then carry it out, between two commits.

use std::sync::PoisonError;

use crate::identity::Unverified;
use crate::model::id::LeafIndex;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::ErasureCertify;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Item;
use crate::node::Refusal;
use crate::node::Stop;
use crate::node::erase::Erased;
use crate::node::erase::found::Gone;
use crate::node::erase::waiting_row;
use crate::node::intake::Intake;
use crate::node::sequencer::Sequencer;
use crate::node::ticket::Accepted;
use crate::node::ticket::Place;
use crate::node::ticket::Ticket;
use crate::store::Epoch;
use crate::store::Project;
use crate::vault::SlotNumber;

/// An `erasure.demand` that is recorded, and whose answer waits for what becomes of it.
#[derive(Debug)]
pub(in crate::node) struct Demanded {
    pub(in crate::node) subject: SubjectId,
    pub(in crate::node) place: Place,
    pub(in crate::node) accepted: Accepted,
}

impl Sequencer {
    /// The log's clock: it never goes back.
    pub(in crate::node) fn now(&self) -> Timestamp {
        Timestamp(self.inner.clock.now().0.max(self.at))
    }

    /// Certifies and erases whoever waits and what no hold keeps any more, then answers the demands of this
    /// commit.
    pub(in crate::node) fn erase_waiting(&mut self) {
        let now = self.now();
        for demanded in &mut self.demanded {
            // Whether it can be told or not, it is kept; asked again while she waits, it is told again.
            let held = self.inner.held_from(&demanded.subject, now);
            demanded.accepted.held = held.unwrap_or_default();
        }
        while self.inner.stopped().is_none() {
            match self.certify() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // Nothing was written that does not hold; the next start tries again.
                    tracing::error!(cause = %error, "an erasure waits");
                    break;
                }
            }
        }
        for Demanded { subject, place, mut accepted } in std::mem::take(&mut self.demanded) {
            // Where it broke off, the next start goes on: until then she waits.
            let whole = self.inner.stopped().is_none();
            let erased = self.inner.people.erased_at(&subject).filter(|_| whole);
            accepted.erasure = erased.and_then(|(certificate, here)| {
                let backups = self.inner.epoch_ends().ok()?;
                Some(Erased { certificate, here, backups })
            });
            place.fill(Ok(accepted));
        }
    }

    /// One certificate through the log; whether there was anybody, and all went well.
    fn certify(&mut self) -> Result<bool, Error> {
        if self.inner.operator.is_none() {
            return Ok(false);
        }
        let mut waiting = self.inner.waiting();
        waiting.extend(self.inner.holds().over(self.now()));
        if waiting.is_empty() {
            return Ok(false);
        }
        let statement = self.inner.certificate(&waiting, None, None)?;
        self.certify_this(&statement)?;
        Ok(true)
    }

    /// A certificate of this node's own, signed, through the log and carried out.
    pub(in crate::node) fn certify_this(&mut self, statement: &Statement) -> Result<(), Error> {
        let operator = self.inner.operator.as_ref();
        let operator = operator.ok_or(Error::Genesis("the operator's key is not here"))?;
        let item = crate::identity::item::sign(statement, operator.as_ref())?;
        let refused = |refusal: Refusal| match refusal {
            Refusal::Node(error) => error,
            refusal => Error::Damaged(format!("a certificate of erasure was refused: {refusal}")),
        };
        let prepared = self.inner.prepare(Item::Unverified(Unverified::parse(item)?)).map_err(refused)?;
        let Intake::Ready(prepared) = prepared else {
            return Err(Error::Damaged("a certificate of erasure stands already".into()));
        };
        let (ticket, places) = Ticket::new(1);
        self.record(std::iter::once(prepared).zip(places).collect());
        ticket.wait().into_iter().try_for_each(|outcome| outcome.map(drop)).map_err(refused)
    }

    /// What certificates forget; answers them. After a failure the next start goes on.
    pub(in crate::node) fn carry_out_all(&mut self, certified: Vec<(u64, ErasureCertify)>) {
        let placed = std::mem::take(&mut self.certified);
        for (index, certificate) in certified {
            if self.inner.stopped().is_some() {
                break;
            }
            if let Err(error) = self.carry_out(index, &certificate) {
                tracing::error!(cause = %error, "an erasure broke off; the next start goes on with it");
                self.inner.stop(Stop::Io);
                break;
            }
        }
        placed.into_iter().for_each(|(place, accepted)| place.fill(Ok(accepted)));
    }

    /// The certificate stands at `index`, and everything before it is projected.
    pub(in crate::node) fn carry_out(&mut self, index: LeafIndex, s: &ErasureCertify) -> Result<(), Error> {
        let who = self.inner.tagged(&s.tags)?;
        let all = self.inner.gone(&who)?;
        let beside = self.inner.on_the_way.take(s);
        self.inner.holds().changed(&beside.keeps, &who);
        // First of all nobody finds her any more: what is under way meanwhile ends there.
        for gone in &all {
            self.inner.forget_in_memory(index, gone);
            self.recent.forget(&gone.ids, &gone.keys);
        }
        // What the others' acts did must outlive her keys, by which some of them were judged.
        self.inner.store.barrier()?;
        self.inner.cut_away(self.epoch, &beside.cuts)?;
        self.inner.destroy(self.epoch, index, &all)?;
        let row = {
            let mut waiting = self.inner.erasing.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|who| !all.iter().any(|gone| gone.who == *who));
            waiting_row(&self.inner.vault, &waiting, index)?
        };
        self.project(self.next, &[row]).map_err(Error::Stopped)?;
        tracing::info!(index, slots = all.len(), records = s.records, "erased");
        Ok(())
    }
}

/// The certificates of erasure among statements of a commit that count, with their places.
pub(in crate::node) fn certified<'a>(
    placed: impl Iterator<Item = (LeafIndex, &'a Statement)>,
) -> Vec<(LeafIndex, ErasureCertify)> {
    let certificate = |(index, statement): (LeafIndex, &Statement)| match statement {
        Statement::ErasureCertify(s) => Some((index, (**s).clone())),
        _ => None,
    };
    placed.filter_map(certificate).collect()
}

impl Inner {
    /// Bodies, rows, names, then the key: durable when it answers. Again does nothing.
    pub(in crate::node) fn destroy(&self, epoch: Epoch, index: LeafIndex, all: &[Gone]) -> Result<(), Error> {
        for gone in all {
            match self.store.forget(epoch, &gone.who.subject, &gone.names) {
                Project::Projected => {}
                Project::Fenced => return Err(Error::Stopped(Stop::OtherLeader)),
                Project::Failed(error) => return Err(error.into()),
            }
        }
        // While the slot stands, a start knows whose rows may be left.
        self.store.barrier()?;
        let slots: Vec<SlotNumber> = all.iter().map(|gone| gone.who.slot).collect();
        self.vault.wipe(&slots)?;
        Ok(self.vault.set_honoured(index + 1)?)
    }

    /// Nothing in memory leads to her, or says anything of her.
    fn forget_in_memory(&self, certificate: LeafIndex, gone: &Gone) {
        let subject = gone.who.subject;
        self.people.forget(&subject, &gone.names, (certificate, self.clock.now()));
        for key in &gone.keys {
            self.keys.remove(&key.0);
        }
        self.domains.forget(&gone.ppids);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).forget(&subject);
        self.excepted.forget(&subject);
        self.named.forget(&subject);
    }
}
