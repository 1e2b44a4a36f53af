//! Moving house: what a proven archive lets its person say again in another log.
//!
//! [`Held`] is what an archive proves of her slots and keys; [`Held::plan`] compares
//! it with what stands in the other log and answers one [`Row`] a slot: granted again,
//! closed there too, or left out, and why. The rule is "deny when in doubt": only a
//! grant that holds, that she may give alone, in words she has seen, within what is
//! asked there, is given again; whatever she closed is closed there, too, before
//! anything is granted; what she decided there herself is never touched.
//! [`Held::statement`] makes the statement: the same archive and instant make the same
//! bytes, so that a second attempt is the same act.
//!
//! Each statement carries its provenance ([`Moved`]): her word, and evidence of what
//! the first log holds, which [`check_origin`] checks with that log's key.
//!
//! Lacks: network, keys, clock; whether the archive is the newest, and whether its log left
//! something out (its holder asks the first log, and compares the promises she kept); delegations, rights, transfers, and an attestation, which is not her word.
//! Trusted: that the archive was checked, and what is handed in of the other log, which judges
//! every statement again.

mod left_out;
mod origin;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_bytes::ByteBuf;

use crate::consent::Followed;
use crate::consent::Person;
use crate::consent::Slot;
use crate::consent::SlotKey;
use crate::consent::State;
use crate::identity::Recorded;
use crate::identity::item;
use crate::ledger::cbor;
use crate::ledger::evidence;
use crate::ledger::evidence::Evidence;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::ConsentDispute;
use crate::model::statement::ConsentGrant;
use crate::model::statement::ConsentObject;
use crate::model::statement::ConsentPause;
use crate::model::statement::ConsentRefuse;
use crate::model::statement::ConsentWithdraw;
use crate::model::statement::Kind;
use crate::model::statement::Moved;
use crate::model::statement::NoticePurpose;
use crate::model::statement::Scope;
use crate::model::statement::Shown;
use crate::model::statement::Statement;
use crate::model::statement::V1;

pub use left_out::LeftOut;
pub(in crate::audit) use origin::Origins;
pub use origin::check_origin;

/// Longest life of an `iat` that the other log takes, less an hour for the way. Source: design §4.
const IAT_MS: u64 = 23 * 3_600_000;

/// A statement of hers, and evidence of it that shows none of her keys.
#[derive(Clone, Debug)]
struct Kept {
    recorded: Recorded,
    half: Vec<u8>,
}

/// The last statement that counted in a slot, and the last grant.
#[derive(Clone, Debug, Default)]
struct Said {
    last: Option<Kept>,
    grant: Option<Kept>,
}

/// What an archive proves of its person.
#[derive(Clone, Debug)]
pub struct Held {
    origin: String,
    /// The instant of the archive.
    as_of: Timestamp,
    /// Her slots.
    person: Person,
    /// Her keys, and what is said of her age.
    keys: Person,
    said: BTreeMap<SlotKey, Said>,
    /// Statements that are about no slot, by type.
    others: BTreeMap<&'static str, usize>,
    /// All statements inside.
    ids: BTreeSet<StatementId>,
}

/// What the other log shows of itself, and of her.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// Where her slots stand, and since when.
    pub slots: BTreeMap<SlotKey, (State, Timestamp)>,
    /// Notices of the parties that are registered there; no row of one that is not.
    pub notices: BTreeMap<PartyId, Vec<HereNotice>>,
    /// Notices whose words she has read and accepts, though they are not those she was shown.
    pub accepted: Vec<StatementId>,
}

/// A standing notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HereNotice {
    /// The `notice.publish`.
    pub id: StatementId,
    /// Its version.
    pub version: u32,
    /// SHA-256 and language of its texts.
    pub texts: Vec<(Hash, String)>,
    /// What it asks.
    pub purposes: Vec<NoticePurpose>,
}

/// What becomes of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Closed in the other log by an act of this type.
    Close(Kind),
    /// Granted there, under this notice.
    Grant(Shown),
    /// Not said there.
    Leave(LeftOut),
}

/// One slot of hers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub slot: SlotKey,
    /// Where it stands in the first log.
    pub state: State,
    /// The statement there that is said again, or that was the last one.
    pub from: Option<StatementId>,
    /// Notices that ask for it in other words: what she has to read first.
    pub unread: Vec<StatementId>,
    /// What becomes of it.
    pub step: Step,
}

/// Why no statement is made, or a provenance does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes of a statement.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Evidence of the first log.
    #[error("evidence of the first log: {0}")]
    Evidence(#[from] evidence::Error),
    /// The statement in it.
    #[error("the statement in the first log: {0}")]
    Identity(#[from] crate::identity::Error),
    /// It is of another entry, about another slot, or says less.
    #[error("what it came from is {0}")]
    Other(&'static str),
    /// The row says nothing.
    #[error("nothing is said of this slot")]
    Nothing,
}

impl Held {
    pub(in crate::audit) fn new(origin: &str) -> Self {
        let nobody = || Person::new(SubjectId([0; 16]));
        Self {
            origin: origin.to_owned(),
            as_of: Timestamp(0),
            person: nobody(),
            keys: nobody(),
            said: BTreeMap::new(),
            others: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    /// Takes a statement whose evidence holds.
    pub(in crate::audit) fn take(
        &mut self,
        evidence: &Evidence,
        recorded: &Recorded,
        followed: Option<&Followed>,
    ) -> Result<(), evidence::Error> {
        self.ids.insert(recorded.id());
        self.keys.follow_keys(recorded);
        let Some(followed) = followed else {
            *self.others.entry(recorded.statement().kind().as_str()).or_default() += 1;
            return Ok(());
        };
        if followed.inert.is_some() {
            return Ok(());
        }
        let half = evidence.half().ok_or(evidence::Error::Form)?.encode()?;
        let kept = Kept { recorded: recorded.clone(), half };
        let said = self.said.entry(followed.slot.clone()).or_default();
        if matches!(recorded.statement(), Statement::ConsentGrant(_)) {
            said.grant = Some(kept.clone());
        }
        said.last = Some(kept);
        Ok(())
    }

    /// The instant of the archive, and the slots as they follow from it.
    pub(in crate::audit) fn end(self, person: Person, as_of: Timestamp) -> Self {
        Self { person, as_of, ..self }
    }

    /// Name of the first log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The instant of the archive: of the last entry under its checkpoint.
    #[must_use]
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// Whether a statement is inside.
    #[must_use]
    pub fn has(&self, id: &StatementId) -> bool {
        self.ids.contains(id)
    }

    /// Her keys as they follow from the archive.
    #[must_use]
    pub const fn keys(&self) -> &Person {
        &self.keys
    }

    /// The last statement applied to each slot: what the first log says of them, if nothing has happened since.
    pub fn last(&self) -> impl Iterator<Item = (&SlotKey, Option<StatementId>)> {
        self.person.slots().map(|(key, slot)| (key, slot.last))
    }

    /// Statements of hers that no move says again, by type.
    #[must_use]
    pub const fn others(&self) -> &BTreeMap<&'static str, usize> {
        &self.others
    }

    /// What becomes of each slot: what closes first, the widest first, then what is granted, then the rest.
    #[must_use]
    pub fn plan(&self, here: &Here, now: Timestamp) -> Vec<Row> {
        let now = now.max(self.as_of);
        let mut rows: Vec<Row> =
            self.person.slots().map(|(key, slot)| self.row(key, slot, here, now)).collect();
        rows.sort_by_key(|row| match row.step {
            Step::Close(_) => 0,
            Step::Grant(_) => 1,
            Step::Leave(_) => 2,
        });
        rows
    }

    fn row(&self, key: &SlotKey, slot: &Slot, here: &Here, now: Timestamp) -> Row {
        let state = slot.now(now);
        let mut unread = Vec::new();
        let step = match state {
            State::None => Step::Leave(LeftOut::NothingStands),
            State::Expired => Step::Leave(LeftOut::Expired),
            State::Attested => Step::Leave(LeftOut::AttestedOnly),
            State::Refused => close(key, slot, here, Kind::ConsentRefuse),
            State::Withdrawn => close(key, slot, here, Kind::ConsentWithdraw),
            State::Objected => close(key, slot, here, Kind::ConsentObject),
            State::Disputed => close(key, slot, here, Kind::ConsentDispute),
            State::Paused => close(key, slot, here, Kind::ConsentPause),
            State::Granted => match self.grant(key, here, now, &mut unread) {
                Ok(shown) => Step::Grant(shown),
                Err(why) => Step::Leave(why),
            },
        };
        let said = self.said.get(key);
        let from = match (&step, said) {
            (Step::Grant(_), Some(said)) => said.grant.as_ref(),
            (_, Some(said)) => said.last.as_ref(),
            (_, None) => None,
        };
        Row { slot: key.clone(), state, from: from.map(|kept| kept.recorded.id()), unread, step }
    }

    /// Under which notice a grant that holds may be given again.
    fn grant(
        &self,
        key: &SlotKey,
        here: &Here,
        now: Timestamp,
        unread: &mut Vec<StatementId>,
    ) -> Result<Shown, LeftOut> {
        let (Scope::One(controller), Scope::One(purpose)) = (&key.controller, &key.purpose) else {
            return Err(LeftOut::NotProven);
        };
        let controller = PartyId::parse(controller).ok_or(LeftOut::NotProven)?;
        if here.slots.contains_key(key) {
            return Err(LeftOut::DecidedHere);
        }
        if self.person.objection(&controller, purpose, key.class).is_some() {
            return Err(LeftOut::ObjectedThere);
        }
        if here.is_objected(key) {
            return Err(LeftOut::ObjectedHere);
        }
        let kept = self.said.get(key).and_then(|said| said.grant.as_ref()).ok_or(LeftOut::NotProven)?;
        let Statement::ConsentGrant(grant) = kept.recorded.statement() else {
            return Err(LeftOut::NotProven);
        };
        if self.keys.is_minor(kept.recorded.at()) || self.keys.is_minor(now) {
            return Err(LeftOut::Minor);
        }
        if self.keys.rebound_until(now).is_some() {
            return Err(LeftOut::Rebound);
        }
        if grant.limits.as_ref().is_some_and(|limits| limits.count.is_some() || limits.frequency.is_some()) {
            return Err(LeftOut::CountedThere);
        }
        let notices = here.notices.get(&controller).ok_or(LeftOut::PartyUnknown)?;
        shown(grant, notices, &here.accepted, unread)
    }

    /// The statement that a row says in the other log.
    ///
    /// `ppid` is hers there, in the controller's domain, or in the log's own for `*`.
    ///
    /// # Errors
    /// [`Error::Nothing`] of a row that is left out.
    pub fn statement(&self, row: &Row, there: &There<'_>) -> Result<Statement, Error> {
        let said = self.said.get(&row.slot).ok_or(Error::Nothing)?;
        let kept = match &row.step {
            Step::Leave(_) => None,
            Step::Close(_) => said.last.as_ref(),
            Step::Grant(_) => said.grant.as_ref(),
        };
        let kept = kept.ok_or(Error::Nothing)?;
        let moved = Moved {
            id: kept.recorded.id(),
            log: self.origin.clone(),
            index: kept.recorded.index(),
            evidence: Some(ByteBuf::from(kept.half.clone())),
        };
        let made = self.said_again(row, kept, there, moved.clone()).ok_or(Error::Nothing)?;
        if cbor::encode(&made)?.len() <= item::MAX_PERSONAL {
            return Ok(made);
        }
        self.said_again(row, kept, there, Moved { evidence: None, ..moved }).ok_or(Error::Nothing)
    }

    fn said_again(&self, row: &Row, kept: &Kept, there: &There<'_>, moved: Moved) -> Option<Statement> {
        let (v, ppid, by, class) = (V1, there.ppid, None, row.slot.class);
        let nonce = nonce(there.origin, &moved.id);
        // No bound judges when a closing act was signed: the archive's instant keeps it the same act.
        let iat = self.as_of;
        let moved = Some(moved);
        let (controller, purpose) = (row.slot.controller.clone(), row.slot.purpose.clone());
        macro_rules! act {
            ($name:ident $(, $field:ident)*) => {
                $name {
                    v, kind: Kind::$name, iat, nonce, ppid, by, class, moved,
                    controller: exact(&controller)?, purpose: purpose.into(), $($field: None),*
                }
                .into()
            };
        }
        Some(match &row.step {
            Step::Leave(_) => return None,
            Step::Close(Kind::ConsentRefuse) => act!(ConsentRefuse, notice, link),
            Step::Close(Kind::ConsentWithdraw) => act!(ConsentWithdraw),
            Step::Close(Kind::ConsentDispute) => act!(ConsentDispute),
            Step::Close(Kind::ConsentPause) => act!(ConsentPause),
            Step::Close(_) => ConsentObject {
                v,
                kind: Kind::ConsentObject,
                iat,
                nonce,
                ppid,
                by,
                controller,
                purpose,
                class,
                moved,
            }
            .into(),
            Step::Grant(notice) => {
                let Statement::ConsentGrant(grant) = kept.recorded.statement() else { return None };
                let young = there.now.0.checked_sub(self.as_of.0).is_some_and(|age| age < IAT_MS);
                ConsentGrant {
                    iat: if young { self.as_of } else { there.now },
                    nonce,
                    ppid,
                    by,
                    // Only a slot without a statement is granted: a second grant is refused by the log itself.
                    over: None,
                    notice: notice.clone(),
                    link: None,
                    moved,
                    ..(**grant).clone()
                }
                .into()
            }
        })
    }
}

/// Where a statement is to be said.
#[derive(Clone, Copy, Debug)]
pub struct There<'a> {
    /// Name of the other log.
    pub origin: &'a str,
    /// Her ppid there.
    pub ppid: Ppid,
    /// Now.
    pub now: Timestamp,
}

fn exact(scope: &Scope) -> Option<PartyId> {
    match scope {
        Scope::Any => None,
        Scope::One(name) => PartyId::parse(name),
    }
}

/// Differs with the statement and the log it is said in, and with nothing else.
fn nonce(origin: &str, id: &StatementId) -> Nonce {
    let hash = hash::sha256(&[b"naru-move/v1", &[0], origin.as_bytes(), &[0], &id.0]);
    let mut out = [0; 16];
    out.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    Nonce(out)
}

/// A closing act is carried where nothing stands yet, or where a controller attested what she closed.
fn close(key: &SlotKey, slot: &Slot, here: &Here, kind: Kind) -> Step {
    match here.slots.get(key) {
        None => {}
        Some((State::Attested, _)) => {}
        Some((State::Granted, _)) => return Step::Leave(LeftOut::GrantedHere),
        Some(_) => return Step::Leave(LeftOut::DecidedHere),
    }
    match &key.controller {
        Scope::One(name) if !PartyId::parse(name).is_some_and(|id| here.notices.contains_key(&id)) => {
            Step::Leave(LeftOut::PartyUnknown)
        }
        Scope::Any | Scope::One(_) if here.has_newer_within(key, slot.since) => {
            Step::Leave(LeftOut::NewerHere)
        }
        Scope::Any | Scope::One(_) => Step::Close(kind),
    }
}

impl Here {
    /// Whether an objection covers a slot.
    fn is_objected(&self, key: &SlotKey) -> bool {
        self.slots.iter().any(|(wide, (state, _))| *state == State::Objected && covers(wide, key))
    }

    /// Whether she granted something since, that an objection would take back.
    fn has_newer_within(&self, wide: &SlotKey, since: Timestamp) -> bool {
        let within = self.slots.iter().filter(|(key, _)| *key != wide && covers(wide, key));
        within.into_iter().any(|(_, (state, at))| *state == State::Granted && since < *at)
    }
}

fn covers(wide: &SlotKey, key: &SlotKey) -> bool {
    wide.class == key.class
        && wide.controller.covers(key.controller.as_str())
        && wide.purpose.covers(key.purpose.as_str())
}

/// The notice under which a grant is given: in the words she was shown, or in those she accepted.
fn shown(
    grant: &ConsentGrant,
    notices: &[HereNotice],
    accepted: &[StatementId],
    unread: &mut Vec<StatementId>,
) -> Result<Shown, LeftOut> {
    let asking = || {
        let asks = |notice: &HereNotice| {
            notice.purposes.iter().any(|p| p.purpose == grant.purpose && p.class == grant.class)
        };
        notices.iter().filter(move |notice| asks(notice))
    };
    if asking().next().is_none() {
        return Err(LeftOut::NotAskedHere);
    }
    let locale = &grant.notice.locale;
    let text = |notice: &HereNotice| {
        let of_locale = notice.texts.iter().filter(|(_, of)| of == locale);
        let same = of_locale.clone().find(|(hash, _)| *hash == grant.notice.hash);
        let read = of_locale.chain(&notice.texts).next().filter(|_| accepted.contains(&notice.id));
        same.or(read).map(|(hash, locale)| (*hash, locale.clone()))
    };
    let readable: Vec<_> = asking().filter_map(|n| text(n).map(|(hash, locale)| (n, hash, locale))).collect();
    if readable.is_empty() {
        unread.extend(asking().map(|notice| notice.id));
        return Err(LeftOut::OtherWords);
    }
    let fits = readable.into_iter().filter(|(notice, ..)| admits(grant, notice));
    let newest = fits.max_by_key(|(notice, ..)| (notice.version, notice.id));
    let (notice, hash, locale) = newest.ok_or(LeftOut::OtherTerms)?;
    Ok(Shown { id: notice.id, hash, locale })
}

/// Whether a notice asks for all that is granted, and needs no more. The log judges the rest.
fn admits(grant: &ConsentGrant, notice: &HereNotice) -> bool {
    let of_slot = |p: &&NoticePurpose| p.purpose == grant.purpose && p.class == grant.class;
    notice.purposes.iter().filter(of_slot).any(|asked| {
        grant.actions.iter().all(|action| asked.actions.contains(action))
            && grant.recipients.iter().all(|party| asked.recipients.contains(party))
            && grant.categories.iter().all(|c| asked.categories.iter().any(|a| a.category == *c))
            && asked.categories.iter().all(|a| !a.required || grant.categories.contains(&a.category))
    })
}
