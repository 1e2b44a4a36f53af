//! One statement at its place: whose copies it is judged on, and what it changes.
//!
//! Only the sequencer calls, in the order in which the entries will stand. The
//! rules are `consent`'s; here are the things only a node can know: which names are
//! taken, which epoch a ppid was compared in, which request a link names.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::consent::Actor;
use crate::consent::Effect;
use crate::consent::Register;
use crate::consent::SlotKey;
use crate::consent::Touched;
use crate::identity::Recorded;
use crate::ledger::hash;
use crate::model::decision::Why;
use crate::model::id::KeyHash;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::ErasureCertify;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::incidents::incident_name;
use crate::node::intake::Acting;
use crate::node::intake::Prepared;
use crate::node::intake::Target;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::recent::Recent;
use crate::node::request::answered;
use crate::store::Name;
use crate::vault::Pointed;

/// Copies that show the entries before: kept only on `Sequenced`.
#[derive(Debug)]
pub(in crate::node) struct Copies {
    pub(in crate::node) register: Register,
    pub(in crate::node) register_changed: bool,
    pub(in crate::node) people: HashMap<SubjectId, Loaded>,
    /// Parts of persons that changed: core, or a slot.
    pub(in crate::node) parts: HashSet<(SubjectId, Option<SlotKey>)>,
    /// Whom a certificate before names.
    erased: HashSet<SubjectId>,
    /// Names that the entries before bring.
    claimed: HashSet<Name>,
}

impl Copies {
    /// Copies of the state as it is, with room for so many statements.
    pub(in crate::node) fn of(inner: &Inner, statements: usize) -> Self {
        Self {
            register: (*inner.register()).clone(),
            register_changed: false,
            people: HashMap::with_capacity(statements),
            parts: HashSet::with_capacity(statements),
            erased: HashSet::new(),
            claimed: HashSet::new(),
        }
    }
}

/// What judges: the state, and what was sequenced lately.
#[derive(Clone, Copy)]
pub(in crate::node) struct Judge<'a> {
    pub(in crate::node) inner: &'a Inner,
    pub(in crate::node) recent: &'a Recent,
}

/// A person's act on her way to the fold.
struct Act<'a> {
    recorded: &'a Recorded,
    loaded: &'a Arc<Loaded>,
    acting: &'a Acting,
    /// Nobody has heard of her before.
    new: bool,
    /// The request it answers.
    answers: Option<Pointed>,
}

impl Judge<'_> {
    /// Applies one statement to the copies.
    pub(in crate::node) fn try_one(
        &self,
        prepared: &Prepared,
        index: u64,
        at: Timestamp,
        copies: &mut Copies,
    ) -> Result<Effect, Error> {
        let recorded = &prepared.verified.at(index, at);
        if let Some(why) = self.claim(prepared, copies)? {
            return Ok(Effect::Inert(why));
        }
        match &prepared.target {
            Target::Register => {
                if let Statement::ErasureCertify(s) = prepared.verified.value()
                    && let Some(why) = self.certify(s, at, copies)?
                {
                    return Ok(Effect::Inert(why));
                }
                let effect = copies.register.apply_with(recorded, &prepared.packs);
                copies.register_changed |= matches!(effect, Effect::Applied(_));
                Ok(effect)
            }
            Target::Person { loaded, acting, new, epoch } => {
                // Raised since the ppid was compared: it names nobody any more.
                if epoch.as_ref().is_some_and(|(party, epoch)| copies.register.epoch_of(party) != *epoch) {
                    return Ok(Effect::Inert(Why::NotThisSubject));
                }
                let [signer, ward] = match acting {
                    Acting::Delegate(who) => [Some(*who), None],
                    Acting::For(ward, signer) => [*signer, Some(*ward)],
                    Acting::Own | Acting::Party(_) => [None, None],
                };
                let concerned = [Some(loaded.who), signer, ward, prepared.answers];
                if concerned.into_iter().flatten().any(|who| self.is_erased(who, copies)) {
                    return Ok(Effect::Inert(Why::KeyNotInSet));
                }
                let act = Act { recorded, loaded, acting, new: *new, answers: prepared.answers };
                self.try_person(&act, copies)
            }
        }
    }

    /// Whether a certificate names all there is of whom it names, now; why not, if it does not.
    fn certify(&self, s: &ErasureCertify, at: Timestamp, copies: &mut Copies) -> Result<Option<Why>, Error> {
        let plan = match self.inner.certified(s, at, &copies.people)? {
            Ok(plan) => plan,
            Err(why) => return Ok(Some(why)),
        };
        let subjects: Vec<SubjectId> = plan.gone.iter().map(|gone| gone.who.subject).collect();
        // Something of hers stands before it in this very commit: it is not named.
        if subjects.iter().any(|subject| copies.people.contains_key(subject)) {
            return Ok(Some(Why::Superseded));
        }
        copies.erased.extend(subjects);
        Ok(None)
    }

    /// Whether nobody is there any more: erased, by this process or by an entry before.
    fn is_erased(&self, who: Pointed, copies: &Copies) -> bool {
        copies.erased.contains(&who.subject) || self.inner.people.is_erased(&who.subject)
    }

    /// Takes the names a statement brings for ever; why not, if one is taken.
    fn claim(&self, prepared: &Prepared, copies: &mut Copies) -> Result<Option<Why>, Error> {
        let signer = prepared.verified.signer();
        let keys = match prepared.verified.value() {
            Statement::PartyRegister(_) => vec![signer],
            Statement::PartyRotate(s) if copies.register.party_of_key(&s.new) != Some(&s.party) => {
                vec![s.new]
            }
            Statement::LogRotate(s) => vec![KeyHash(hash::sha256(&[&s.new]))],
            Statement::ConsentRequest(s) => {
                let name = self.inner.link_name(&s.controller, &s.link);
                let free = self.claim_name(name, prepared, copies)?;
                return Ok((!free).then_some(Why::NameTaken));
            }
            Statement::IncidentFlag(s) => {
                let name = Name::Key(incident_name(&s.incident));
                let free = self.claim_name(name, prepared, copies)?;
                return Ok((!free).then_some(Why::NameTaken));
            }
            statement => statement.new_keys(signer),
        };
        for key in &keys {
            if !self.claim_key(key, prepared, copies)? {
                return Ok(Some(Why::KeyTaken));
            }
        }
        Ok(None)
    }

    /// A key stands in one key set or one party only: not in the store, not in this batch.
    fn claim_key(&self, key: &KeyHash, prepared: &Prepared, copies: &mut Copies) -> Result<bool, Error> {
        if copies.register.is_key_taken(key) {
            return Ok(false);
        }
        let name = Name::Key(key.0);
        let person = prepared.verified.value().kind() == Kind::KeyCreate;
        // The pool has looked for a new person's: what came since is here.
        if person && prepared.fresh_at >= self.recent.since {
            return Ok(!self.recent.keys.contains(key) && copies.claimed.insert(name));
        }
        self.claim_name(name, prepared, copies)
    }

    fn claim_name(&self, name: Name, prepared: &Prepared, copies: &mut Copies) -> Result<bool, Error> {
        let held = match (self.inner.store.locate(&name)?, &prepared.target) {
            // Judged again, a new subject finds the row that its own batch has brought.
            (Some(row), Target::Person { loaded, .. }) => {
                self.inner.vault.open_name(name_bytes(&name), &row.sealed)?.subject != loaded.who.subject
            }
            (row, Target::Register | Target::Person { .. }) => row.is_some(),
        };
        Ok(!held && copies.claimed.insert(name))
    }

    fn try_person(&self, act: &Act<'_>, copies: &mut Copies) -> Result<Effect, Error> {
        let (recorded, loaded) = (act.recorded, act.loaded);
        let subject = loaded.who.subject;
        let request = act.answers.map(|who| self.copy_of(who, copies)).transpose()?;
        let answered = match answered(request, recorded, &subject) {
            Ok(answered) => answered,
            Err(why) => return Ok(Effect::Inert(why)),
        };
        let (of, delegate) = match act.acting {
            Acting::Delegate(who) => (None, Some(*who)),
            Acting::For(person, delegate) => (Some(*person), *delegate),
            Acting::Own | Acting::Party(_) => (None, None),
        };
        let of = of.map(|who| self.copy_of(who, copies)).transpose()?;
        let delegate = delegate.map(|who| self.copy_of(who, copies)).transpose()?;
        let mut person = if act.new { (**loaded).clone() } else { self.copy_of(loaded.who, copies)? };
        let actor = match (act.acting, &of, &delegate) {
            (Acting::Party(party), ..) => Actor::Party(party.clone()),
            (Acting::For(..), Some(of), delegate) => {
                Actor::For { person: &of.person, delegate: delegate.as_ref().map(|d| &d.person) }
            }
            (Acting::Delegate(_), _, Some(delegate)) => Actor::Delegate(&delegate.person),
            (Acting::Own | Acting::Delegate(_) | Acting::For(..), ..) => Actor::Own,
        };
        let effect = person.person.apply(&copies.register, &actor, recorded);
        if let Effect::Applied(touched) = &effect {
            match touched {
                Touched::Core => copies.parts.insert((subject, None)),
                Touched::Slot(slot) => copies.parts.insert((subject, Some(slot.clone()))),
                Touched::Register => false,
            };
            copies.people.insert(subject, person);
            if let Some(request) = answered {
                copies.parts.insert((request.who.subject, None));
                copies.people.insert(request.who.subject, request);
            }
        }
        Ok(effect)
    }

    /// The person as the entries before leave her.
    fn copy_of(&self, who: Pointed, copies: &Copies) -> Result<Loaded, Error> {
        if let Some(copy) = copies.people.get(&who.subject) {
            return Ok(copy.clone());
        }
        let current = self.inner.people.load(who, self.inner.store.as_ref(), &self.inner.vault)?;
        Ok((*current).clone())
    }
}
