//! From synced lines to findings: what only the node knows of a line, then the pure rules.
//!
//! Two readings of the lines: one that finds askings which were refused more than once, and
//! ppids of another domain; one that takes what came between. Handovers are read from the
//! beginning, and only if something depends on them. Lines of erased persons are not read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use crate::consent::State;
use crate::identity::request::Signed;
use crate::ledger::key::PublicKey;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Scope;
use crate::model::use_line::UseAct;
use crate::model::use_line::UseLine;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Use;
use crate::reidentification::Detector;
use crate::reidentification::Domain;
use crate::reidentification::Finding;
use crate::reidentification::Joined;
use crate::reidentification::Observed;
use crate::reidentification::Person;
use crate::reidentification::Signature;
use crate::reidentification::detect::LOOKBACK_MS;
use crate::reidentification::findings;
use crate::vault::Pointed;

/// Whose question about what: as far as two readings must agree.
type Asking = (PartyId, Option<String>);

fn asking(line: &UseLine) -> Asking {
    (line.asker.clone(), line.release.clone().or_else(|| line.purpose.clone()))
}

impl Inner {
    /// What the synced lines of `[from, until)` show. Writes nothing.
    ///
    /// # Errors
    /// The disk, the store, damage.
    pub fn findings(&self, from: Timestamp, until: Timestamp) -> Result<Vec<Finding>, Error> {
        let Some(synced) = self.uses_synced() else { return Ok(Vec::new()) };
        let (until, since) = (until.min(synced), from.minus_ms(LOOKBACK_MS));
        let (mut observed, mut refusals) = (Vec::new(), BTreeMap::<Asking, u64>::new());
        self.each_use(since, until, &mut |who, seen| {
            if seen.line.act != UseAct::Check {
                return Ok(());
            }
            if Detector::after(seen.line.told).is_some() {
                *refusals.entry(asking(&seen.line)).or_default() += 1;
            }
            if seen.line.t >= from && self.is_foreign(who, &seen.line) {
                observed.push(self.observed(who, seen)?);
            }
            Ok(())
        })?;
        let foreign: BTreeSet<_> = observed.iter().map(|o: &Observed| o.line.id).collect();
        refusals.retain(|_, count| *count > 1);
        if !refusals.is_empty() {
            self.each_use(since, until, &mut |who, seen| {
                let line = &seen.line;
                let wanted = line.act == UseAct::Check && refusals.contains_key(&asking(line));
                if wanted && !foreign.contains(&line.id) {
                    observed.push(self.observed(who, seen)?);
                }
                Ok(())
            })?;
        }
        if !foreign.is_empty() {
            observed.extend(self.handovers(until)?);
        }
        self.look_at_signatures(&mut observed)?;
        Ok(findings(&observed, from, until))
    }

    /// Whether the line's ppid is somebody's, and not hers in the domain of the question.
    pub(in crate::node::incidents) fn is_foreign(&self, who: Pointed, line: &UseLine) -> bool {
        let (decoy, _) = self.vault.decoy();
        let register = self.register();
        let home = |ppid| self.pairwise(&register).is_of(&line.controller, ppid, &who.subject);
        who.subject != decoy.subject && line.ppid.is_some_and(|ppid| !home(ppid))
    }

    fn observed(&self, who: Pointed, seen: Use) -> Result<Observed, Error> {
        let (decoy, _) = self.vault.decoy();
        let known = (who.subject != decoy.subject).then_some(who);
        let domain = match (known, seen.line.ppid) {
            (Some(who), Some(ppid)) if self.is_foreign(who, &seen.line) => {
                self.domain_of_ppid(&who.subject, ppid)
            }
            (Some(_), Some(_)) => Domain::Own,
            (None, _) | (_, None) => Domain::Nobody,
        };
        let joined = match (&domain, known) {
            (Domain::Of(other), Some(who)) => self.joined(who, &seen.line, other)?,
            (Domain::Own | Domain::Nobody | Domain::Log | Domain::Of(_), _) => Joined::No,
        };
        let reason = seen.reason();
        let person = known.map(|who| Person(who.subject.0));
        Ok(Observed { line: seen.line, reason, person, domain, joined, signature: Signature::Absent })
    }

    /// In whose domain a ppid of this person stands.
    fn domain_of_ppid(&self, subject: &SubjectId, ppid: Ppid) -> Domain {
        let register = self.register();
        let pairwise = self.pairwise(&register);
        if pairwise.ppid(None, subject) == ppid {
            return Domain::Log;
        }
        let other = register.parties().find(|party| pairwise.is_of(&party.id, ppid, subject));
        other.map_or(Domain::Nobody, |party| Domain::Of(party.id.clone()))
    }

    /// Whether an engagement or a grant of hers joined the asker and the other party when the line was
    /// written.
    ///
    /// Reading: a processor is joined to the controller that engaged it where it asks in its own domain, not
    /// where it brings one controller's ppid into the domain of another. A grant is read from her state of now: where a slot of one of the two has changed since the line, nobody
    /// can say. Combinations and warrants are not served yet: none joins.
    fn joined(&self, who: Pointed, line: &UseLine, other: &PartyId) -> Result<Joined, Error> {
        let engaged = self.register().acts_for(&line.asker, other, None, line.at);
        if engaged && line.asker == line.controller {
            return Ok(Joined::Yes);
        }
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let own = [&line.asker, &line.controller];
        let mut out = Joined::No;
        for (key, slot) in loaded.person.slots() {
            let Scope::One(controller) = &key.controller else { continue };
            let (of_own, of_other) =
                (own.iter().any(|p| p.as_str() == controller), other.as_str() == controller);
            if !of_own && !of_other {
                continue;
            }
            let names = |terms: &crate::consent::Terms| {
                let named = |party: &PartyId| terms.recipients.contains(party);
                (of_other && own.iter().any(|p| named(p))) || (of_own && named(other))
            };
            let live = matches!(slot.now(line.at), State::Granted | State::Attested);
            if slot.since > line.at {
                out = Joined::Unknown;
            } else if live && slot.grant.as_ref().is_some_and(names) {
                return Ok(Joined::Yes);
            }
        }
        Ok(out)
    }

    fn handovers(&self, until: Timestamp) -> Result<Vec<Observed>, Error> {
        let mut out = Vec::new();
        self.each_use(Timestamp(0), until, &mut |who, seen| {
            if seen.line.act == UseAct::Handover {
                let reason = seen.reason();
                out.push(Observed {
                    line: seen.line,
                    reason,
                    person: Some(Person(who.subject.0)),
                    domain: Domain::Own,
                    joined: Joined::No,
                    signature: Signature::Absent,
                });
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Verifies every signature that a finding could rest on, by the key of the line's own index.
    fn look_at_signatures(&self, observed: &mut [Observed]) -> Result<(), Error> {
        let mut keys: BTreeMap<KeyHash, PublicKey> = BTreeMap::new();
        for one in observed.iter_mut() {
            let Some(kept) = &one.line.signed else { continue };
            let held = self.key_as_of(&one.line.asker, one.line.as_of);
            if let Some(held) = held
                && let Entry::Vacant(place) = keys.entry(held.key)
            {
                place.insert(self.public_key(held)?);
            }
            let key = held.and_then(|held| keys.get(&held.key));
            let holds = key.is_some_and(|key| {
                Signed::parse(kept).and_then(|signed| signed.verify_line(key, &one.line)).is_ok()
            });
            one.signature = if holds { Signature::Holds } else { Signature::Fails };
        }
        Ok(())
    }
}
