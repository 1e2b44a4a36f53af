//! What a person sees of herself: her keys, a rebind that waits, and where her slots stand.
//!
//! Read from the same state that answers checks: what she sees is what holds. Lacks:
//! her statements and use lines (export and `uses` have them). Ppids are asked for one
//! party at a time.

use crate::consent::Key;
use crate::consent::Person;
use crate::consent::Slot;
use crate::consent::SlotKey;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::KeyUse;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::DataClass;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;

/// A key of her set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// The key.
    pub key: KeyHash,
    /// What it is.
    pub key_use: KeyUse,
    /// Index from which it signs.
    pub from: LeafIndex,
    /// `at` of that entry; of a rebind whose wait is over, the end of it.
    pub since: Timestamp,
    /// `at` of the entry that ended it, if one has.
    pub revoked: Option<Timestamp>,
    /// Whether it signs now.
    pub live: bool,
}

/// A new key that takes the place of all others unless an old one stops it. Source: design §7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The `key.rebind`.
    pub statement: StatementId,
    /// Where it stands.
    pub index: LeafIndex,
    /// The new key: a `key.revoke` of it by any old key stops the rebind.
    pub key: KeyHash,
    /// From here on it is the only key.
    pub due: Timestamp,
}

/// What a standing grant or attestation says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTerms {
    /// The `consent.grant` or `consent.attest`.
    pub statement: StatementId,
    /// The notice she was shown; none for an attestation.
    pub notice: Option<StatementId>,
    /// Categories of data.
    pub categories: Vec<String>,
    /// What may be done.
    pub actions: Vec<Action>,
    /// To whom the data may be shared.
    pub recipients: Vec<PartyId>,
    /// Collecting, sharing and transferring end here.
    pub fetch_until: Timestamp,
    /// All the rest ends here.
    pub keep_until: Timestamp,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSlot {
    /// One controller, or `*`.
    pub controller: String,
    /// One purpose, or `*`.
    pub purpose: String,
    /// Class of data.
    pub class: DataClass,
    /// Where it stands now.
    pub state: &'static str,
    /// `at` of the statement that brought that state.
    pub since: Timestamp,
    /// Last statement applied: what `over` of the next opening act names.
    pub over: Option<StatementId>,
    /// Who carried that statement, if it was a signal.
    pub carried_by: Option<PartyId>,
    /// What holds.
    pub terms: Option<OwnTerms>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Her keys, past ones too, in order of arrival.
    pub keys: Vec<OwnKey>,
    /// Last statement applied to the key set.
    pub keys_over: Option<StatementId>,
    /// Whether a recovery key is kept on paper.
    pub has_recovery: bool,
    /// A rebind that waits.
    pub waiting: Option<Waiting>,
    /// Until then permits are marked: her keys rest on a rebind.
    pub rebound_until: Option<Timestamp>,
    /// A minor until then, by the latest date that is attested and still to come.
    pub minor_until: Option<Timestamp>,
    /// Her slots, in order of controllers.
    pub slots: Vec<OwnSlot>,
}

impl Node {
    /// The caller's ppid in a party's domain of today, or in the log's own; the same as long as the epoch.
    ///
    /// # Errors
    /// [`Error::Genesis`] if the person or the party is unknown; the store.
    pub fn ppid(&self, key: &KeyHash, party: Option<&PartyId>) -> Result<Option<Ppid>, Error> {
        if party.is_some_and(|p| self.inner.register().party(p).is_none()) {
            return Ok(None);
        }
        let Some(who) = self.inner.person_of_key(key)? else { return Ok(None) };
        self.name_ppid(who, party).map(Some)
    }
}

impl Inner {
    /// What the person with this key sees of herself; `None` if there is none.
    ///
    /// # Errors
    /// The store.
    pub fn own(&self, key: &KeyHash) -> Result<Option<Own>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let (person, now) = (&loaded.person, self.now());
        let keys = self.own_keys(person, now)?;
        Ok(Some(of_person(person, keys, now)))
    }

    /// The set, and the key of a rebind whose wait is over.
    fn own_keys(&self, person: &Person, now: Timestamp) -> Result<Vec<OwnKey>, Error> {
        let at = |index| Ok::<_, Error>(Timestamp(self.commit_of(index)?.at));
        let over = person.core().rebind.as_ref().filter(|rebind| rebind.due <= now);
        let own = |own: &Key| {
            let ended = own.revoked.map(at).transpose()?;
            Ok(OwnKey {
                key: own.key,
                key_use: own.key_use,
                from: own.from,
                since: at(own.from)?,
                revoked: ended.or(over.map(|rebind| rebind.due)),
                live: person.has_live_key(&own.key, now),
            })
        };
        let mut keys: Vec<OwnKey> = person.keys().iter().map(own).collect::<Result<_, Error>>()?;
        keys.extend(over.map(|rebind| OwnKey {
            key: rebind.new,
            key_use: KeyUse::Device,
            from: rebind.index,
            since: rebind.due,
            revoked: None,
            live: true,
        }));
        Ok(keys)
    }
}

fn of_person(person: &Person, keys: Vec<OwnKey>, now: Timestamp) -> Own {
    let core = person.core();
    let waiting = core.rebind.as_ref().filter(|rebind| now < rebind.due);
    Own {
        keys,
        keys_over: person.keys_over(),
        // A rebind whose wait is over has taken the paper with all other keys.
        has_recovery: core.recovery.is_some() && (core.rebind.is_none() || waiting.is_some()),
        waiting: waiting.map(|rebind| Waiting {
            statement: rebind.statement,
            index: rebind.index,
            key: rebind.new,
            due: rebind.due,
        }),
        rebound_until: person.rebound_until(now),
        minor_until: person.attestations().iter().filter_map(|a| a.minor_until).filter(|d| now < *d).max(),
        slots: person.slots().map(|(key, slot)| of_slot(key, slot, now)).collect(),
    }
}

fn of_slot(key: &SlotKey, slot: &Slot, now: Timestamp) -> OwnSlot {
    OwnSlot {
        controller: key.controller.as_str().to_owned(),
        purpose: key.purpose.as_str().to_owned(),
        class: key.class,
        state: slot.now(now).as_str(),
        since: slot.since,
        over: slot.last,
        carried_by: slot.carried_by.clone(),
        terms: slot.grant.as_ref().map(|terms| OwnTerms {
            statement: terms.statement,
            notice: terms.notice,
            categories: terms.categories.clone(),
            actions: terms.actions.clone(),
            recipients: terms.recipients.clone(),
            fetch_until: terms.fetch_until,
            keep_until: terms.keep_until,
        }),
    }
}
