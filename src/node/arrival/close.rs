//! A demand has ended at its log, which says so: nothing more of it is taken here, and what has arrived goes
//! when it says.
//!
//! It is noted before anything else, so that what is broken off is gone on with by the next look
//! ([`mod@super::life`]) or the log's next call. Once everything is destroyed this service signs
//! `duty.deleted` as the party it is there: of what the log names, once it names it. What was signed is
//! kept; asked again, it answers the same bytes while they are fresh.
//!
//! Lacks a way back: she tells the arrival anew. Trusted: the log, for when what it delivered goes; not for
//! anything that another log delivered.

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteBuf;

use crate::identity::item;
use crate::ledger::cbor;
use crate::model::id::Nonce;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::DutyDeleted;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::Error;
use crate::node::Node;
use crate::node::arrival::Arrival;
use crate::node::arrival::MAX_SCOPE;
use crate::node::arrival::NoArrival;
use crate::node::arrival::Receiving;
use crate::node::arrival::RunOf;
use crate::node::arrival::life::Ends;
use crate::node::arrival::sign::FRESH_MS;
use crate::node::clock;
use crate::node::deposit::Keep;
use crate::node::deposit::Kept;
use crate::node::deposit::seal;
use crate::node::people::Loaded;

/// Most scopes that a demand names.
const MOST_CATEGORIES: usize = 32;

/// How a demand that has ended stands at its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndState {
    /// She has closed its purpose at one of its ends.
    Barred,
    /// She has stopped or replaced it.
    Stopped,
    /// Its last instant of fetching has passed.
    Expired,
    /// It was to be carried once, and has been.
    Done,
}

impl EndState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Barred, Self::Stopped, Self::Expired, Self::Done];

    /// The spelling of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Barred => "barred",
            Self::Stopped => "stopped",
            Self::Expired => "expired",
            Self::Done => "done",
        }
    }
}

/// What its log says of the end of a demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Which demand at which log, and her name there; its run says nothing.
    pub of: RunOf,
    /// How it stands.
    pub state: EndState,
    /// From then on nothing of it is kept.
    pub keep_until: Timestamp,
    /// What `act` of the declaration names; none while the log expects no declaration.
    pub act: Option<StatementId>,
    /// What the declaration is to name.
    pub categories: Vec<String>,
}

/// The end of a demand as it is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Closed {
    /// When the log first said so.
    pub at: Timestamp,
    /// How it stands there.
    pub state: EndState,
    /// The signed declaration that everything is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Declared>,
    /// From then on nothing of it is kept.
    pub keep_until: Timestamp,
}

/// A signed `duty.deleted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declared {
    /// When.
    pub at: Timestamp,
    act: StatementId,
    item: ByteBuf,
    categories: Vec<String>,
}

impl Closing {
    fn is_bounded(&self) -> bool {
        let scope = |text: &String| {
            (1..=MAX_SCOPE).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let some = self.act.is_none() || !self.categories.is_empty();
        some && self.categories.len() <= MOST_CATEGORIES && self.categories.iter().all(scope)
    }
}

impl Node {
    /// Notes that a demand has ended at its log, destroys what is to be kept no longer, and signs that it
    /// has; the signed declaration, once its time has come and it is asked for. Durable when it answers.
    ///
    /// # Errors
    /// [`NoArrival`].
    pub fn close_arrival(&self, closing: &Closing) -> Result<Option<Vec<u8>>, NoArrival> {
        let receiving = self.receiving.get().ok_or(NoArrival::NotReceiving)?;
        if !closing.is_bounded() {
            return Err(NoArrival::Unbounded);
        }
        let _one = self.arriving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (loaded, mut arrival) = self.expected(&closing.of)?;
        let now = self.now();
        let before = arrival.over.clone();
        let (state, keep_until) = (closing.state, closing.keep_until);
        let at = before.as_ref().map_or(now, |before| before.at);
        let deleted = before.as_ref().and_then(|before| before.deleted.clone());
        arrival.over = Some(Closed { at, state, deleted, keep_until });
        if arrival.over != before {
            self.note(&loaded, &arrival)?;
        }
        self.settle()?;
        self.lives.ends_at(keep_until);
        if keep_until > now {
            return Ok(None);
        }
        let (log, demand) = (closing.of.log.clone(), closing.of.demand);
        self.end_over(&loaded, &Ends::from([((log, demand), keep_until)]))?;
        self.settle()?;
        let Some(act) = closing.act else { return Ok(None) };
        let said = arrival.over.as_ref().and_then(|over| over.deleted.as_ref());
        let same = |said: &&Declared| {
            said.act == act && said.categories == closing.categories && now < said.at.plus_ms(FRESH_MS)
        };
        if let Some(said) = said.filter(same) {
            return Ok(Some(said.item.to_vec()));
        }
        let item = signed(receiving, closing, (act, now))?;
        let (categories, bytes) = (closing.categories.clone(), ByteBuf::from(item.clone()));
        let declared = Declared { at: now, act, item: bytes, categories };
        arrival.over = arrival.over.map(|over| Closed { deleted: Some(declared), ..over });
        self.note(&loaded, &arrival)?;
        self.settle()?;
        Ok(Some(item))
    }

    /// Writes an arrival of hers; not durable when it answers.
    fn note(&self, loaded: &Loaded, arrival: &Arrival) -> Result<(), NoArrival> {
        let plain = cbor::encode(arrival).map_err(Error::from)?;
        let item = seal(loaded, arrival.item(loaded), &plain)?;
        match self.keep(Keep::setting(loaded.clone(), item))? {
            Kept::Set => Ok(()),
            _ => Err(NoArrival::Unexpected),
        }
    }
}

fn signed(
    receiving: &Receiving,
    closing: &Closing,
    (act, now): (StatementId, Timestamp),
) -> Result<Vec<u8>, NoArrival> {
    let nonce = Nonce(clock::random().map_err(Error::Randomness)?);
    let said: Statement = DutyDeleted {
        v: V1,
        kind: Kind::DutyDeleted,
        iat: now,
        nonce,
        ppid: closing.of.ppid,
        party: receiving.party.clone(),
        act,
        categories: closing.categories.clone(),
        deleted_at: now,
    }
    .into();
    item::sign(&said, receiving.signer.as_ref()).map_err(|error| NoArrival::Node(Error::from(error)))
}
