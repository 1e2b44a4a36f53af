//! The newest acts in memory: what a walk of the log would find, kept while it is fresh.
//!
//! Bounded by the number of acts, whoever they concern. It covers every entry from
//! `from` on: what it does not hold of those concerns no party. Lacks: what is older
//! (see the walk) and whom an act of all is told (the reader's).

use std::collections::VecDeque;

use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::statement::Kind;
use crate::model::statement::Scope;
use crate::model::statement::SignalAct;
use crate::model::statement::Statement;
use crate::model::vocabulary::DataClass;
use crate::vault::Pointed;

/// Whom an act concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Concerns {
    /// One party.
    One(PartyId),
    /// Sender and recipient of a demand that begins.
    Both([PartyId; 2]),
    /// Sender and recipient of the demand it is about: the person's state says who they are.
    Ends,
    /// Every party whose domain knows the person.
    Acquainted,
}

/// One act of a person, as far as parties are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Told {
    pub(super) index: LeafIndex,
    /// Rounded down to the log's grain.
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) act: Option<SignalAct>,
    pub(super) who: Pointed,
    pub(super) concerns: Concerns,
    /// `*` for all of them; none for an act that has no slot.
    pub(super) purpose: Option<String>,
    pub(super) class: Option<DataClass>,
    /// The transfer demand it is about, if it is about one.
    pub(super) demand: Option<StatementId>,
}

impl Told {
    /// What a statement about a person says to parties, if it says anything to them.
    ///
    /// Reading: told are acts on slots, each to the slot's controller, those on `*` to everybody who
    /// knows her, the end of a delegation, and a transfer demand and its stop to both its ends. Keys,
    /// attestations of age and new delegations are between her and the log.
    pub(in crate::node) fn of(
        (statement, id): (&Statement, StatementId),
        index: LeafIndex,
        at: Timestamp,
        who: Pointed,
    ) -> Option<Self> {
        let one = |party: &PartyId| Some(Concerns::One(party.clone()));
        let scoped = |scope: &Scope| match scope {
            Scope::Any => Some(Concerns::Acquainted),
            Scope::One(name) => PartyId::parse(name).map(Concerns::One),
        };
        let all = |scope: &Scope| Some(scope.as_str().to_owned());
        let of = |concerns, purpose, demand| {
            let kind = statement.kind();
            Some(Self { index, at, kind, act: None, who, concerns, purpose, class: None, demand })
        };
        let mut act = None;
        let (concerns, purpose, class) = match statement {
            Statement::ConsentGrant(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentRefuse(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentWithdraw(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentPause(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentResume(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentDispute(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentAttest(s) => (one(&s.controller), Some(s.purpose.clone()), s.class),
            Statement::ConsentObject(s) => (scoped(&s.controller), all(&s.purpose), s.class),
            Statement::ConsentLift(s) => (scoped(&s.controller), all(&s.purpose), s.class),
            Statement::ConsentSignal(s) => {
                act = Some(s.act);
                (scoped(&s.controller), all(&s.purpose), s.class)
            }
            Statement::DelegationEnd(_) => return of(Concerns::Acquainted, None, None),
            Statement::TransferDemand(s) => {
                let both = Concerns::Both([s.sender.clone(), s.recipient.clone()]);
                return of(both, Some(s.purpose.clone()), Some(id));
            }
            Statement::TransferStop(s) => return of(Concerns::Ends, None, Some(s.demand)),
            _ => return None,
        };
        Some(Self { act, class: Some(class), ..of(concerns?, purpose, None)? })
    }

    /// Whether a party may have to be told; of an act of all, and of a stop, the person decides.
    pub(super) fn may_concern(&self, party: &PartyId) -> bool {
        match &self.concerns {
            Concerns::One(one) => one == party,
            Concerns::Both(both) => both.contains(party),
            Concerns::Ends | Concerns::Acquainted => true,
        }
    }
}

/// The newest acts.
#[derive(Debug)]
pub(in crate::node) struct Tail {
    from: TreeSize,
    next: TreeSize,
    told: VecDeque<Told>,
    most: usize,
}

impl Tail {
    /// Covers nothing below `next`.
    pub(in crate::node) const fn new(next: TreeSize, most: usize) -> Self {
        Self { from: next, next, told: VecDeque::new(), most }
    }

    /// The acts of one commit, which stands at `[first, next)`.
    pub(in crate::node) fn push(
        &mut self,
        first: TreeSize,
        next: TreeSize,
        told: impl IntoIterator<Item = Told>,
    ) {
        if first != self.next {
            // Somebody's batch came between: what it holds is the walk's to find.
            self.told.clear();
            self.from = first;
        }
        self.next = next;
        for one in told {
            self.told.push_back(one);
            if self.told.len() > self.most
                && let Some(old) = self.told.pop_front()
            {
                self.from = old.index + 1;
            }
        }
    }

    /// Nothing is told of the erased.
    pub(in crate::node) fn forget(&mut self, subject: &SubjectId) {
        self.told.retain(|told| told.who.subject != *subject);
    }

    /// It covers every entry from here on.
    pub(super) const fn from(&self) -> TreeSize {
        self.from
    }

    /// Acts in `[from, until)` that may concern a party, in order; `None` if it does not reach back so far.
    pub(super) fn since<'a>(
        &'a self,
        from: TreeSize,
        until: TreeSize,
        party: &'a PartyId,
    ) -> Option<impl Iterator<Item = &'a Told>> {
        let begin = self.told.partition_point(|told| told.index < from);
        let inside = self.told.range(begin..).take_while(move |told| told.index < until);
        (from >= self.from).then(|| inside.filter(|told| told.may_concern(party)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::SlotNumber;

    fn party(name: &str) -> PartyId {
        PartyId::parse(name).unwrap()
    }

    fn told(index: u64, concerns: Concerns) -> Told {
        Told {
            index,
            at: Timestamp(0),
            kind: Kind::ConsentWithdraw,
            act: None,
            who: Pointed { subject: SubjectId([1; 16]), slot: SlotNumber(0) },
            concerns,
            purpose: None,
            class: None,
            demand: None,
        }
    }

    fn indices(tail: &Tail, from: u64, until: u64, name: &str) -> Option<Vec<u64>> {
        Some(tail.since(from, until, &party(name))?.map(|told| told.index).collect())
    }

    #[test]
    fn it_gives_what_may_concern_a_party_and_says_how_far_back_it_reaches() {
        let mut tail = Tail::new(10, 3);
        let bank = || Concerns::One(party("bank"));
        tail.push(10, 14, [told(10, bank()), told(12, Concerns::One(party("shop")))]);
        tail.push(14, 15, [told(14, Concerns::Acquainted)]);
        assert_eq!(indices(&tail, 10, 15, "bank"), Some(vec![10, 14]));
        assert_eq!(indices(&tail, 11, 14, "shop"), Some(vec![12]));
        assert_eq!(indices(&tail, 15, 15, "bank"), Some(vec![]));
        assert_eq!(indices(&tail, 9, 15, "bank"), None);
        // Too many: it forgets the oldest, and says so.
        tail.push(15, 16, [told(15, bank())]);
        assert_eq!((tail.from(), indices(&tail, 10, 16, "bank")), (11, None));
        assert_eq!(indices(&tail, 11, 16, "bank"), Some(vec![14, 15]));
        // A gap: it begins anew.
        tail.push(20, 21, [told(20, bank())]);
        assert_eq!((tail.from(), indices(&tail, 16, 21, "bank")), (20, None));
        assert_eq!(indices(&tail, 20, 21, "bank"), Some(vec![20]));
    }
}
