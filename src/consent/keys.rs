//! Key sets: what `key.*` does to the keys of one person, and which of them are live at an instant.
//!
//! A key stands in one set or one party for ever: a revoked key, a stopped one and a
//! recovery key that was replaced stay where they were. Validity is judged at the
//! statement's own place in the log. A `key.rebind` is computed, not swept: nothing
//! need happen when its 72 hours are over. A guardian who enrolled a ward may have kept a key of
//! hers: keys of her childhood do not stop the rebind by which she claims her own. Lacks: who is found by which key, and
//! whether a new key stands in another person's set: both are the node's table.
//! Source: design §4, §7.

use serde::{Deserialize, Serialize};

use crate::consent::person::{Key, Person};
use crate::consent::register::Register;
use crate::consent::{Actor, Touched, authority};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, LeafIndex, StatementId, Timestamp};
use crate::model::statement::{KeyAdd, KeyRebind, KeyRecover, KeyRevoke, KeyRotate, KeyUse, Statement};
use crate::model::vocabulary::Role;

/// How long a rebind waits for an old key to stop it, ms of log time. Source: design §7.
pub const REBIND_WAIT_MS: u64 = 72 * 3_600_000;
/// How long a permit that rests on a rebind is marked, ms. Source: design §7.
pub const REBIND_MARK_MS: u64 = 90 * 24 * 3_600_000;
/// Keys in one set, past ones too, beyond which none is added; a recovery is never refused for it.
const MAX_KEYS: usize = 64;

/// A new key that an identity provider and the operator bind, once nobody has stopped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rebind {
    /// From here on it is the only key.
    pub due: Timestamp,
    /// The new key.
    pub new: KeyHash,
    /// Whether a former ward claims her keys by it: then keys of her childhood do not stop it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claim: bool,
    /// Where the `key.rebind` stands.
    pub index: LeafIndex,
    /// The `key.rebind`.
    pub statement: StatementId,
}

impl Person {
    /// Whether the key is in the set and signs at that instant; else why not.
    pub(in crate::consent) fn live_key(&self, key: &KeyHash, at: Timestamp) -> Result<(), Why> {
        let core = self.core();
        if let Some(rebind) = core.rebind.as_ref().filter(|rebind| rebind.due <= at) {
            return match rebind.new == *key {
                true => Ok(()),
                false if self.has_key(key) => Err(Why::KeyRevoked),
                false => Err(Why::KeyNotInSet),
            };
        }
        match core.keys.iter().find(|own| own.key == *key) {
            Some(Key { revoked: None, .. }) => Ok(()),
            Some(_) => Err(Why::KeyRevoked),
            None => Err(Why::KeyNotInSet),
        }
    }

    /// The last statement applied to the key set: what `over` of `key.add` and `key.rotate` must name.
    #[must_use]
    pub fn keys_over(&self) -> Option<StatementId> {
        self.core().key_last.or(self.core().created)
    }

    /// The end of the mark on what she opens at that instant, if her keys rest on a rebind.
    #[must_use]
    pub fn rebound_until(&self, at: Timestamp) -> Option<Timestamp> {
        let core = self.core();
        let pending = core.rebind.as_ref().map(|rebind| rebind.due).filter(|due| *due <= at);
        pending.or(core.rebound).map(|since| since.plus_ms(REBIND_MARK_MS)).filter(|until| at < *until)
    }

    /// An act on the key set: judged on what a rebind whose wait is over has left, which it writes down.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is about a key set is listed here, once")]
    pub(in crate::consent) fn on_keys(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let mut next = self.clone();
        next.settle(recorded);
        match recorded.statement() {
            Statement::KeyAdd(s) => next.add_key(register, actor, recorded, s)?,
            Statement::KeyRevoke(s) => next.revoke_key(actor, recorded, s)?,
            Statement::KeyRotate(s) => next.rotate_key(register, actor, recorded, s)?,
            Statement::KeyRecover(s) => next.recover_keys(register, actor, recorded, s)?,
            Statement::KeyRebind(s) => next.rebind_keys(register, actor, recorded, s)?,
            _ => return Err(Why::NotServed),
        }
        next.core_mut().key_last = Some(recorded.id());
        *self = next;
        Ok(Touched::Core)
    }

    /// A rebind as it stands, for whoever cannot know who may sign one: see [`Person::follow_keys`].
    pub(in crate::consent) fn follow_rebind(
        &mut self,
        recorded: &Recorded,
        s: &KeyRebind,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        let mut next = self.clone();
        next.settle(recorded);
        next.take_rebind(recorded, s)?;
        next.core_mut().key_last = Some(recorded.id());
        *self = next;
        Ok(Touched::Core)
    }

    /// By a live key, endorsed by the new one. A recovery key is added only where none stands.
    fn add_key(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &KeyAdd,
    ) -> Result<(), Why> {
        let at = recorded.at();
        self.by_own_key(actor, recorded)?;
        self.comes(register, recorded, s.key)?;
        self.must_be_over_keys(s.over)?;
        self.must_have_room()?;
        let recovery = s.key_use == KeyUse::Recovery;
        if recovery && self.core().recovery.is_some() {
            return Err(Why::State);
        }
        let core = self.core_mut();
        if recovery {
            core.recovery = Some(s.key);
        } else {
            let from = recorded.index();
            core.keys.push(Key { key: s.key, from, key_use: s.key_use, revoked: None });
        }
        self.inherit(&recorded.signed().signer, s.key, at);
        Ok(())
    }

    /// By a live key: of any key, of itself too, and of one that a rebind would bring.
    ///
    /// Closing: a repeat counts. Reading: who has stolen a device must not take the paper away, so only
    /// the recovery key revokes itself; and it is an old key, so it stops a rebind, too.
    fn revoke_key(&mut self, actor: &Actor<'_>, recorded: &Recorded, s: &KeyRevoke) -> Result<(), Why> {
        own(actor)?;
        let (at, index) = (recorded.at(), recorded.index());
        let signer = recorded.signed().signer;
        let by_paper = self.core().recovery == Some(signer);
        let waiting = self.core().rebind.as_ref().is_some_and(|rebind| rebind.new == s.key);
        let paper = self.core().recovery == Some(s.key);
        if !by_paper {
            self.live_key(&signer, at)?;
        }
        if by_paper != paper && !(by_paper && waiting) {
            return Err(Why::Role);
        }
        if !waiting && !paper && !self.has_key(&s.key) {
            return Err(Why::KeyNotInSet);
        }
        if waiting {
            self.may_stop(&signer)?;
            self.stop_rebind(index);
        }
        let core = self.core_mut();
        if paper && let Some(key) = core.recovery.take() {
            core.keys.push(Key { key, from: index, key_use: KeyUse::Recovery, revoked: Some(index) });
        }
        for own in core.keys.iter_mut().filter(|own| own.key == s.key) {
            own.revoked = own.revoked.or(Some(index));
        }
        Ok(())
    }

    /// By the key that leaves, endorsed by the one that comes; a recovery key may be replaced so, too.
    fn rotate_key(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &KeyRotate,
    ) -> Result<(), Why> {
        own(actor)?;
        let (at, index) = (recorded.at(), recorded.index());
        if recorded.signed().signer != s.old {
            return Err(Why::KeyNotInSet);
        }
        let paper = self.core().recovery == Some(s.old);
        if !paper {
            self.live_key(&s.old, at)?;
        }
        self.comes(register, recorded, s.new)?;
        self.must_be_over_keys(s.over)?;
        self.must_have_room()?;
        let core = self.core_mut();
        if paper {
            core.recovery = Some(s.new);
            core.keys.push(Key { key: s.old, from: index, key_use: KeyUse::Recovery, revoked: Some(index) });
        } else {
            let mut key_use = KeyUse::Device;
            for own in core.keys.iter_mut().filter(|own| own.key == s.old) {
                own.revoked = Some(index);
                key_use = own.key_use;
            }
            core.keys.push(Key { key: s.new, from: index, key_use, revoked: None });
        }
        self.inherit(&s.old, s.new, at);
        Ok(())
    }

    /// By the recovery key, endorsed by the new one, which replaces all others. No `over`: a thief must
    /// not outrun it.
    fn recover_keys(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &KeyRecover,
    ) -> Result<(), Why> {
        own(actor)?;
        let index = recorded.index();
        if self.core().recovery != Some(recorded.signed().signer) {
            return Err(self.live_key(&recorded.signed().signer, recorded.at()).err().unwrap_or(Why::Role));
        }
        self.comes(register, recorded, s.new)?;
        self.may_stop(&recorded.signed().signer)?;
        self.stop_rebind(index);
        self.only(s.new, index);
        self.inherit(&recorded.signed().signer, s.new, recorded.at());
        Ok(())
    }

    /// By an identity provider, endorsed by the operator, by both if there are two; in force after the wait, if no old key stops it.
    ///
    /// Reading: a former ward's first one, once she is of age by every attestation, is her claim: until then
    /// nobody can tell her keys from her guardian's, so none of them stops it. While one waits there is no second: its wait would hide behind the first one's.
    fn rebind_keys(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &KeyRebind,
    ) -> Result<(), Why> {
        let Actor::Party(provider) = actor else { return Err(Why::Role) };
        authority::of_party(register, provider, recorded, Some(Role::IdentityProvider))?;
        register.endorsed_by_operator(recorded)?;
        register.both_operators(&recorded.signed().endorsers)?;
        self.must_be_free(register, &s.new)?;
        self.take_rebind(recorded, s)
    }

    /// What a rebind does, whoever may sign it.
    fn take_rebind(&mut self, recorded: &Recorded, s: &KeyRebind) -> Result<(), Why> {
        if self.core().rebind.is_some() {
            return Err(Why::State);
        }
        let claim = !self.core().childhood.is_empty() && !self.is_minor(recorded.at());
        let core = self.core_mut();
        core.rebind = Some(Rebind {
            claim,
            due: recorded.at().plus_ms(REBIND_WAIT_MS),
            new: s.new,
            index: recorded.index(),
            statement: recorded.id(),
        });
        Ok(())
    }

    fn by_own_key(&self, actor: &Actor<'_>, recorded: &Recorded) -> Result<(), Why> {
        own(actor)?;
        self.live_key(&recorded.signed().signer, recorded.at())
    }

    /// A new key is nobody's, and says itself that it comes.
    fn comes(&self, register: &Register, recorded: &Recorded, new: KeyHash) -> Result<(), Why> {
        if recorded.signed().endorsers.first() != Some(&new) {
            return Err(Why::Endorsement);
        }
        self.must_be_free(register, &new)
    }

    fn must_be_free(&self, register: &Register, key: &KeyHash) -> Result<(), Why> {
        let taken = register.is_key_taken(key) || self.has_key(key) || self.core().recovery == Some(*key);
        if taken { Err(Why::KeyTaken) } else { Ok(()) }
    }

    fn must_be_over_keys(&self, over: Option<StatementId>) -> Result<(), Why> {
        if self.keys_over() == over { Ok(()) } else { Err(Why::Superseded) }
    }

    fn must_have_room(&self) -> Result<(), Why> {
        if self.core().keys.len() < MAX_KEYS { Ok(()) } else { Err(Why::State) }
    }

    /// Writes down what a rebind whose wait is over has done.
    fn settle(&mut self, recorded: &Recorded) {
        let due = self.core().rebind.as_ref().is_some_and(|rebind| rebind.due <= recorded.at());
        if !due {
            return;
        }
        let core = self.core_mut();
        let Some(rebind) = core.rebind.take() else { return };
        core.rebound = Some(rebind.due);
        let index = recorded.index();
        if let Some(key) = core.recovery.take() {
            core.keys.push(Key { key, from: index, key_use: KeyUse::Recovery, revoked: Some(index) });
        }
        self.only(rebind.new, index);
        let still = self.is_minor(rebind.due);
        self.core_mut().childhood = if still { vec![rebind.new] } else { Vec::new() };
    }

    /// A key that waits is stopped by any old key, but for one of a claimant's childhood.
    fn may_stop(&self, signer: &KeyHash) -> Result<(), Why> {
        let core = self.core();
        let claimed = core.rebind.as_ref().is_some_and(|rebind| rebind.claim);
        if claimed && core.childhood.contains(signer) { Err(Why::NotGuardian) } else { Ok(()) }
    }

    /// While she is a ward all her keys are of her childhood, at whichever of them this is said.
    pub(in crate::consent) fn note_childhood(&mut self, recorded: &Recorded) {
        if !self.is_minor(recorded.at()) {
            return;
        }
        let core = self.core_mut();
        let live = core.keys.iter().filter(|key| key.revoked.is_none()).map(|key| key.key);
        let held: Vec<KeyHash> = live.chain(core.recovery).collect();
        for key in held {
            if !core.childhood.contains(&key) {
                core.childhood.push(key);
            }
        }
    }

    /// A new key is of her childhood if it comes in it, or by a key that is.
    fn inherit(&mut self, by: &KeyHash, new: KeyHash, at: Timestamp) {
        if self.is_minor(at) || self.core().childhood.contains(by) {
            self.core_mut().childhood.push(new);
        }
    }

    /// Nothing comes of a rebind that waits; its key stays where it was named.
    fn stop_rebind(&mut self, index: LeafIndex) {
        let core = self.core_mut();
        if let Some(rebind) = core.rebind.take() {
            let (key, from) = (rebind.new, rebind.index);
            core.keys.push(Key { key, from, key_use: KeyUse::Device, revoked: Some(index) });
        }
    }

    /// The new key, and none of the others. What it is, nobody has said: the least that it can be.
    fn only(&mut self, new: KeyHash, index: LeafIndex) {
        let core = self.core_mut();
        for own in &mut core.keys {
            own.revoked = own.revoked.or(Some(index));
        }
        core.keys.push(Key { key: new, from: index, key_use: KeyUse::Device, revoked: None });
    }
}

fn own(actor: &Actor<'_>) -> Result<(), Why> {
    match actor {
        Actor::Own => Ok(()),
        Actor::Delegate(_) | Actor::Party(_) | Actor::For { .. } => Err(Why::Role),
    }
}
