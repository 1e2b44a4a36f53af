//! Who may sign what: the sealed rows of the table in design §4.
//!
//! Each function answers in whose right a statement stands, or why it has none.
//! The register's rows are judged in `register`. Lacks: what the act does.

use crate::consent::party::Party;
use crate::consent::person::{Delegation, Grantor, Person};
use crate::consent::register::Register;
use crate::consent::{Actor, one};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, PartyId, StatementId, Timestamp};
use crate::model::statement::{DelegationGrant, Kind, Scope, Statement};
use crate::model::vocabulary::Role;

/// Whether a guardian stands behind an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consent) enum Backing {
    /// A guardian acted, or a delegate of hers.
    Guardian,
    /// Nobody but the signer.
    Alone,
}

/// An act of the person: by herself, or by a delegate within scope. `controller` is whom it concerns.
///
/// Reading: `by` under a key of her own set is ignored: she may anyway.
pub(in crate::consent) fn of_person(
    ward: &Person,
    actor: &Actor<'_>,
    recorded: &Recorded,
    controller: &Scope,
) -> Result<Backing, Why> {
    match actor {
        Actor::Own => ward.live_key(&recorded.signed().signer, recorded.at()).map(|()| Backing::Alone),
        Actor::Delegate(delegate) => {
            live_key_of_other(ward, delegate, recorded)?;
            let by = recorded.statement().by().ok_or(Why::KeyNotInSet)?;
            let delegation = in_force(ward, delegate, &by, recorded)?;
            covers(delegation, recorded.statement().kind(), controller)?;
            Ok(if delegation.is_guardians() { Backing::Guardian } else { Backing::Alone })
        }
        Actor::Party(_) | Actor::For { .. } => Err(Why::Role),
    }
}

/// The delegation `by` names, if it is in force for this delegate.
fn in_force<'a>(
    ward: &'a Person,
    delegate: &Person,
    by: &StatementId,
    recorded: &Recorded,
) -> Result<&'a Delegation, Why> {
    let at = recorded.at();
    let delegation = ward.delegation(by).filter(|d| !d.ended && at < d.until).ok_or(Why::DelegationEnded)?;
    if !delegate.has_key(&delegation.delegate) {
        return Err(Why::KeyNotInSet);
    }
    rests(ward, delegation, at)?;
    let attested = delegation.reason != Delegation::GUARDIAN || ward.guardian_key(delegate, at).is_some();
    if attested { Ok(delegation) } else { Err(Why::NotGuardian) }
}

/// Whether whatever a delegation hangs on still holds: the attestation, or every delegation above it.
fn rests(ward: &Person, delegation: &Delegation, at: Timestamp) -> Result<(), Why> {
    match &delegation.grantor {
        Grantor::Guardian(key) if ward.is_guarded_by(key, at) => Ok(()),
        Grantor::Guardian(_) => Err(Why::NotGuardian),
        Grantor::Ward | Grantor::Regulator(_) => Ok(()),
        Grantor::Delegate(above) => {
            // Each step up has more depth: there are at most 255.
            let above = ward
                .delegation(above)
                .filter(|above| !above.ended && at < above.until && above.depth > delegation.depth);
            rests(ward, above.ok_or(Why::DelegationEnded)?, at)
        }
    }
}

/// The delegation within which a delegate founds another, or ends one that she founded.
///
/// Reading: what hangs below never reaches further than what it hangs on, in types, controllers, time
/// and depth; it is nobody's word on guardianship, and for a minor it opens nothing.
#[expect(clippy::wildcard_enum_match_arm, reason = "two types are about delegations")]
fn within_own(ward: &Person, delegate: &Person, recorded: &Recorded) -> Result<StatementId, Why> {
    let at = recorded.at();
    let mut own = ward
        .delegations()
        .filter(|d| !d.ended && at < d.until && delegate.has_key(&d.delegate) && rests(ward, d, at).is_ok());
    match recorded.statement() {
        Statement::DelegationGrant(s) => own.find(|above| reaches(above, s)).map(|above| above.statement),
        Statement::DelegationEnd(s) => own.map(|above| above.statement).find(|above| {
            let hangs = |d: &Delegation| d.delegate == s.delegate && d.grantor == Grantor::Delegate(*above);
            ward.delegations().any(hangs)
        }),
        _ => None,
    }
    .ok_or(Why::NotGuardian)
}

/// Whether a new delegation stays within one above it.
fn reaches(above: &Delegation, s: &DelegationGrant) -> bool {
    let named = |kind: &String| above.types.iter().any(|own| own.as_str() == kind);
    let controllers = above.controllers.is_empty()
        || (!s.controllers.is_empty() && s.controllers.iter().all(|c| above.controllers.contains(c)));
    s.depth < above.depth
        && s.until <= above.until
        && s.types.iter().all(named)
        && controllers
        && s.reason != Delegation::GUARDIAN
}

/// Whether type and controller are within the delegation; an act on `*` needs one without bounds.
fn covers(delegation: &Delegation, kind: Kind, controller: &Scope) -> Result<(), Why> {
    let bounds = &delegation.controllers;
    let within = bounds.is_empty() || one(controller).is_some_and(|c| bounds.iter().any(|b| b.as_str() == c));
    if within && delegation.types.contains(&kind) { Ok(()) } else { Err(Why::DelegationScope) }
}

/// `delegation.grant` and `delegation.end`: guardian, ward from 14, regulator; a delegate within her own, if
/// that has depth.
pub(in crate::consent) fn of_delegation(
    ward: &Person,
    register: &Register,
    actor: &Actor<'_>,
    recorded: &Recorded,
) -> Result<Grantor, Why> {
    match actor {
        Actor::Own => {
            ward.live_key(&recorded.signed().signer, recorded.at())?;
            if ward.is_minor(recorded.at()) { Err(Why::NotGuardian) } else { Ok(Grantor::Ward) }
        }
        Actor::Delegate(guardian) => {
            live_key_of_other(ward, guardian, recorded)?;
            match ward.guardian_key(guardian, recorded.at()) {
                Some(key) => Ok(Grantor::Guardian(key)),
                None => within_own(ward, guardian, recorded).map(Grantor::Delegate),
            }
        }
        Actor::Party(id) => {
            of_party(register, id, recorded, Some(Role::Regulator))?;
            Ok(Grantor::Regulator(id.clone()))
        }
        Actor::For { .. } => Err(Why::Role),
    }
}

/// An act of a party under its own key, in a role if one is needed.
///
/// A suspended or closed party does nothing but close. Reading: a closing act of a party (a signal it
/// carries, the end of a delegation by a regulator) counts whatever its status.
pub(in crate::consent) fn of_party<'a>(
    register: &'a Register,
    id: &PartyId,
    recorded: &Recorded,
    role: Option<Role>,
) -> Result<&'a Party, Why> {
    let party = register.signed_by(id, recorded)?;
    if role.is_some_and(|role| !party.has_role(role)) {
        return Err(Why::Role);
    }
    let closes = recorded.statement().kind().bearing() == crate::model::statement::Bearing::Closing;
    if closes || party.is_live(recorded.at()) { Ok(party) } else { Err(Why::PartySuspended) }
}

/// The party that acts, and that it is the one the statement names.
pub(in crate::consent) fn of_named_party<'a>(
    register: &'a Register,
    actor: &Actor<'_>,
    recorded: &Recorded,
    named: &PartyId,
    role: Role,
) -> Result<&'a Party, Why> {
    match actor {
        Actor::Party(id) if id == named => of_party(register, id, recorded, Some(role)),
        Actor::Party(_) => Err(Why::KeyNotInSet),
        Actor::Own | Actor::Delegate(_) | Actor::For { .. } => Err(Why::Role),
    }
}

/// A party that acts in its own name, whatever its role.
pub(in crate::consent) fn in_own_name<'a>(
    register: &'a Register,
    actor: &Actor<'_>,
    recorded: &Recorded,
    named: &PartyId,
) -> Result<&'a Party, Why> {
    match actor {
        Actor::Party(id) if id == named => of_party(register, id, recorded, None),
        Actor::Party(_) => Err(Why::KeyNotInSet),
        Actor::Own | Actor::Delegate(_) | Actor::For { .. } => Err(Why::Role),
    }
}

/// Another person's signature: her key, in her own set, at this index.
fn live_key_of_other(ward: &Person, other: &Person, recorded: &Recorded) -> Result<(), Why> {
    let signer: &KeyHash = &recorded.signed().signer;
    if other.subject() == ward.subject() {
        return Err(Why::NotThisSubject);
    }
    other.live_key(signer, recorded.at())
}
