//! The sequencer's part: certify what waits, then carry it out, between two commits.

use std::sync::PoisonError;

use crate::identity::Unverified;
use crate::model::id::LeafIndex;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::ErasureCertify;
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

    /// Certifies and erases whoever waits, then answers the demands of this commit.
    pub(in crate::node) fn erase_waiting(&mut self) {
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
            if whole && erased.is_none() {
                // Whether it can be told or not, she waits; asked again, it is told again.
                accepted.held = self.inner.held_from(&subject, self.now()).unwrap_or_default();
            }
            accepted.erasure = erased.and_then(|(certificate, here)| {
                let backups = self.inner.epoch_ends().ok()?;
                Some(Erased { certificate, here, backups })
            });
            place.fill(Ok(accepted));
        }
    }

    /// One certificate through the log; whether there was anybody, and all went well.
    fn certify(&mut self) -> Result<bool, Error> {
        let waiting = self.inner.may_be_erased(self.now())?;
        let Some(operator) = self.inner.operator.as_ref().filter(|_| !waiting.is_empty()) else {
            return Ok(false);
        };
        let statement = self.inner.certificate(&waiting, None)?;
        let item = crate::identity::item::sign(&statement, operator.as_ref())?;
        let refused = |refusal: Refusal| match refusal {
            Refusal::Node(error) => error,
            refusal => Error::Damaged(format!("a certificate of erasure was refused: {refusal}")),
        };
        let prepared = self.inner.prepare(Item::Unverified(Unverified::parse(item)?)).map_err(refused)?;
        let Intake::Ready(prepared) = prepared else { return Ok(false) };
        let (ticket, places) = Ticket::new(1);
        self.record(std::iter::once(prepared).zip(places).collect());
        ticket.wait().into_iter().try_for_each(|outcome| outcome.map(drop)).map_err(refused)?;
        Ok(true)
    }

    /// The certificate stands at `index`, and everything before it is projected.
    pub(in crate::node) fn carry_out(&mut self, index: LeafIndex, s: &ErasureCertify) -> Result<(), Error> {
        let who = self.inner.tagged(&s.tags)?;
        let plan = self.inner.plan(&who)?;
        // First of all nobody finds her any more: what is under way meanwhile ends there.
        for gone in &plan.gone {
            self.inner.forget_in_memory(index, gone);
            self.recent.forget(&gone.ids, &gone.keys);
        }
        // What the others' acts did must outlive her keys, by which some of them were judged.
        self.inner.store.barrier()?;
        self.inner.destroy(self.epoch, index, &plan.gone)?;
        let row = {
            let mut waiting = self.inner.erasing.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|who| !plan.gone.iter().any(|gone| gone.who == *who));
            waiting_row(&self.inner.vault, &waiting, index)?
        };
        self.project(self.next, &[row]).map_err(Error::Stopped)?;
        tracing::info!(index, slots = plan.gone.len(), records = plan.indices.len(), "erased");
        Ok(())
    }
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
    }
}
