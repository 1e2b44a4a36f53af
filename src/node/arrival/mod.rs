//! Arrivals: this service is the receiver of a demand made at another log.
//!
//! She tells it beforehand, logged in, which demand of hers at which log she expects, and under
//! which ppid that log knows her at this service; a delivery is taken against such an arrival and
//! against nothing else. So no log is told who is who here, and no name of hers in a domain of that
//! log but this service's own is ever seen. Whoever tells a demand and a ppid first has them: both
//! are secrets of hers, that log's and this service's.
//!
//! An item goes the way of a deposit from there: opened with this service's key, read within the
//! same bounds, sealed under her key (and to her own age key, if she has named one), kept once by
//! its name in its run. Then the service signs how many have arrived, as the party it is at that
//! log. What it signs is kept: asked again, it answers the same bytes.
//!
//! # Bytes
//!
//! Items of the store, sealed under her key: `a` ‖ 16 bytes an arrival, `r` ‖ 16 bytes a run.
//! A name row leads from (log, demand, ppid), under a key of the vault, to her.
//!
//! What a demand lets be kept only for a time is destroyed then (`life`). Lacks: sockets, and
//! the certificate by which a log is known (`http`). Trusted: a log that delivers is believed who the
//! sender is and how long it may be kept, and nothing else.
//!
//! # Bounds
//!
//! She tells at most [`MOST_ARRIVALS`]; what was told in vain gives way (`room`). Of what arrives as much is kept
//! of each sender as of a source that deposits, each time counted by the log and the sender as the log names it:
//! a log that gives one sender two names gets it twice the room, and the same name at two logs is two senders.
//! One certificate is one log, the first of that certificate in the configuration, under whatever names it acts.

mod close;
mod life;
mod room;
mod run;
mod sign;

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::ledger::key::Signer;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Mode;
use crate::model::statement::V1;
use crate::model::vocabulary::DataClass;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Stop;
use crate::node::deposit::Carried;
use crate::node::deposit::Deposited;
use crate::node::deposit::Draft;
use crate::node::deposit::Keep;
use crate::node::deposit::Kept;
use crate::node::deposit::NotRead;
use crate::node::deposit::RunItem;
use crate::node::deposit::name;
use crate::node::deposit::open;
use crate::node::deposit::said_of;
use crate::node::deposit::seal;
use crate::node::lane::Lane;
use crate::node::people::Loaded;
use crate::portability::import;
use crate::portability::import::Form;
use crate::portability::import::Media;
use crate::portability::transfer::run::PLAIN;
use crate::portability::transfer::run::SEALED;
use crate::portability::transfer::run::is_name;
use crate::store::Name;
use crate::store::Store;
use crate::vault::Vault;
use crate::vault::opener::NotOpened;
use crate::vault::opener::Opener;

pub use close::Closed;
pub use close::Closing;
pub use close::EndState;
pub(in crate::node) use life::Lives;
pub(in crate::node) use run::Arrived;

/// Most arrivals of one person that count at a time.
pub const MOST_ARRIVALS: usize = 1_000;
/// An arrival is told for at most so long, ms: five years.
pub const LONGEST_MS: u64 = 5 * 366 * 24 * 3_600_000;
/// Runs read at a time.
const RUNS_PAGE: usize = 256;
/// Longest scope and longest purpose, bytes.
const MAX_SCOPE: usize = 64;
const MAX_PURPOSE: usize = 256;

/// Who this service is at the logs that deliver to it.
pub struct Receiving {
    /// The party it is registered as there.
    pub party: PartyId,
    /// The party's key.
    pub signer: Box<dyn Signer>,
    /// Keys that what arrives is sealed for; without them it arrives in the clear.
    pub opener: Option<Opener>,
    /// Origins of those logs.
    pub logs: Vec<String>,
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiving")
            .field("party", &self.party)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

/// A demand of hers at another log, of which deliveries are taken here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Arrival {
    v: V1,
    /// Origin of the log.
    pub from: String,
    /// She, in this service's domain at that log.
    pub ppid: Ppid,
    /// How its log says that it has ended: then nothing of it is taken, until she tells it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Closed>,
    /// From here on nothing of it is taken.
    pub until: Timestamp,
    /// Her `transfer.demand` there.
    pub demand: StatementId,
}

impl Arrival {
    /// What she tells.
    #[must_use]
    pub const fn new(from: String, ppid: Ppid, until: Timestamp, demand: StatementId) -> Self {
        Self { v: V1, from, ppid, over: None, until, demand }
    }

    /// Whether anything of it is taken at an instant.
    const fn is_open(&self, now: Timestamp) -> bool {
        self.over.is_none() && self.until.0 > now.0
    }

    fn name(&self, vault: &Vault) -> Name {
        row_name(vault, &self.from, &self.demand, self.ppid)
    }

    fn item(&self, loaded: &Loaded) -> Vec<u8> {
        item_name(loaded, &self.from, &self.demand, self.ppid)
    }
}

/// What leads from a delivery to her.
fn row_name(vault: &Vault, from: &str, demand: &StatementId, ppid: Ppid) -> Name {
    // Of fixed lengths after the origin, which holds no zero.
    Name::Arrival(vault.opaque_name("arrival", &[from.as_bytes(), &[demand.0.as_slice(), &ppid.0].concat()]))
}

fn item_name(loaded: &Loaded, from: &str, demand: &StatementId, ppid: Ppid) -> Vec<u8> {
    name(b'a', &loaded.key.record_name(["arrival", from, &demand.to_string(), &ppid.to_text()]))
}

/// One item as a log delivers it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Of which run of which demand.
    pub run: RunOf,
    /// Name of the item in the run.
    pub item: String,
    /// K-MyData scope.
    pub scope: String,
    /// Who sent it, as the log names it.
    pub sender: PartyId,
    /// Why, as the demand says.
    pub purpose: String,
    /// How the recipient may have it.
    pub mode: Mode,
    /// The recipient keeps it no longer.
    pub keep_until: Timestamp,
    /// SHA-256 of the bytes, as the log says.
    pub sha256: Hash,
    /// Media type of the bytes.
    pub media: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A run of a demand at a log, and her name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOf {
    /// Origin of the log.
    pub log: String,
    /// Its demand.
    pub demand: StatementId,
    /// Number of the run.
    pub run: u64,
    /// She, in this service's domain there.
    pub ppid: Ppid,
}

impl RunOf {
    /// Name of the run's item.
    fn item(&self, loaded: &Loaded) -> Vec<u8> {
        run_name(loaded, &self.log, &self.demand, self.run)
    }

    /// Name of one of its items among hers.
    fn record(&self, loaded: &Loaded, item: &str) -> [u8; 16] {
        let (demand, run) = (self.demand.to_string(), self.run.to_string());
        loaded.key.record_name(["arrived", &self.log, &demand, &run, item])
    }
}

/// Name of the item that holds a run.
pub(in crate::node) fn run_name(loaded: &Loaded, log: &str, demand: &StatementId, run: u64) -> Vec<u8> {
    let (demand, run) = (demand.to_string(), run.to_string());
    name(b'r', &loaded.key.record_name(["run", log, &demand, &run]))
}

/// Why nothing is taken, or an arrival is not noted.
#[derive(Debug, thiserror::Error)]
pub enum NoArrival {
    /// This service receives nothing from that log.
    #[error("this service takes no deliveries from that log")]
    NotReceiving,
    /// Nobody here expects it, or does no longer.
    #[error("nobody here expects a delivery of that demand")]
    Unexpected,
    /// Somebody else has told the same demand and ppid.
    #[error("that demand and ppid are told already")]
    Taken,
    /// She has told as many as she may, or for too long.
    #[error("at most {MOST_ARRIVALS} arrivals are told, each for at most five years")]
    TooMany,
    /// A name or number is not one that is carried.
    #[error("a name of the delivery is too long, or holds what it may not")]
    Unbounded,
    /// The demand lets it be seen and not kept.
    #[error("the demand does not let it be kept, and this service does nothing else")]
    ViewOnly,
    /// It is not what the log says that it is, or sealed for somebody else.
    #[error("it does not open here: {0}")]
    Sealed(#[from] NotOpened),
    /// The content.
    #[error(transparent)]
    Original(#[from] NotRead),
    /// Another item, count or hash than what has arrived; or the run is over.
    #[error("it is not what has arrived of that run, or the run is over")]
    Differs,
    /// She has as much of that sender as is kept.
    #[error("as much of that sender is kept as may be")]
    Full,
    /// The node.
    #[error(transparent)]
    Node(#[from] Error),
}

impl Inner {
    pub(in crate::node) fn arrived(&self, loaded: &Loaded, name: &[u8]) -> Result<Option<Arrived>, Error> {
        let Some(sealed) = self.store.item(&loaded.who.subject, name)? else { return Ok(None) };
        Ok(Some(cbor::decode(&open(&loaded.key, loaded.who, name, &sealed)?)?))
    }

    /// The arrivals of the person with this key; `None` if there is no such person.
    ///
    /// # Errors
    /// The store.
    pub fn arrivals_of(&self, key: &KeyHash) -> Result<Option<Vec<Arrival>>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        told(self.store.as_ref(), &loaded).map(Some)
    }
}

/// All arrivals of a person, in the order of their names, which is nobody's.
fn told(store: &dyn Store, loaded: &Loaded) -> Result<Vec<Arrival>, Error> {
    let items = store.items(&loaded.who.subject, b"a", None, MOST_ARRIVALS)?;
    let read = |item: crate::store::Item| {
        Ok(cbor::decode(&open(&loaded.key, loaded.who, &item.name, &item.sealed)?)?)
    };
    items.into_iter().map(read).collect()
}

/// Whether her arrivals, and what is noted of their runs, can be read.
///
/// # Errors
/// What cannot.
pub(in crate::node) fn readable(store: &dyn Store, loaded: &Loaded) -> Result<(), Error> {
    told(store, loaded)?;
    each_run(store, loaded, &mut |_| ())
}

/// Every run of hers of which anything came or was signed.
fn each_run(store: &dyn Store, loaded: &Loaded, see: &mut dyn FnMut(&Arrived)) -> Result<(), Error> {
    let mut after = None::<Vec<u8>>;
    loop {
        let page = store.items(&loaded.who.subject, b"r", after.as_deref(), RUNS_PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        for item in &page {
            see(&cbor::decode(&open(&loaded.key, loaded.who, &item.name, &item.sealed)?)?);
        }
    }
}

/// The rows that lead to her arrivals.
pub(in crate::node) fn names_of(
    store: &dyn Store,
    vault: &Vault,
    loaded: &Loaded,
) -> Result<Vec<Name>, Error> {
    Ok(told(store, loaded)?.iter().map(|arrival| arrival.name(vault)).collect())
}

impl Node {
    /// From now on deliveries are taken, as this party. The first one told stays.
    pub fn receive_with(&self, receiving: Receiving) {
        drop(self.inner.receiving.set(receiving));
    }

    /// Notes that she expects deliveries of a demand, or until when from now on; durable when it answers.
    ///
    /// # Errors
    /// [`NoArrival`].
    pub fn expect_arrival(&self, key: &KeyHash, arrival: &Arrival) -> Result<(), NoArrival> {
        let receiving = self.receiving.get().ok_or(NoArrival::NotReceiving)?;
        if !receiving.logs.contains(&arrival.from) {
            return Err(NoArrival::NotReceiving);
        }
        let who = self.person_of_key(key)?.ok_or(NoArrival::Unexpected)?;
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop).into());
        }
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        // One at a time: of two who tell the same, the second must see the first.
        let _one = self.arriving.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let row = arrival.name(&self.vault);
        let owner = self.people.locate(&row, self.store.as_ref(), &self.vault)?;
        if owner.is_some_and(|owner| owner.subject != who.subject) {
            return Err(NoArrival::Taken);
        }
        let told = told(self.store.as_ref(), &loaded)?;
        let new = !told.iter().any(|before| before.name(&self.vault) == row);
        let full = new && told.len() >= MOST_ARRIVALS;
        let vain = if full { self.in_vain(&loaded, told)? } else { Vec::new() };
        if (full && vain.is_empty()) || arrival.until > self.now().plus_ms(LONGEST_MS) {
            return Err(NoArrival::TooMany);
        }
        let item = seal(&loaded, arrival.item(&loaded), &cbor::encode(arrival).map_err(Error::from)?)?;
        let gone = vain.iter().map(|old| (old.item(&loaded), old.name(&self.vault))).unzip();
        let kept = self.keep(Keep::instead((*loaded).clone(), item, gone))?;
        if owner.is_none() && matches!(kept, Kept::Set) {
            self.write_names(&[(row, who)])?;
        }
        self.settle()?;
        if matches!(kept, Kept::Set) { Ok(()) } else { Err(NoArrival::Unexpected) }
    }

    /// Who expects that demand, and the arrival as she told it.
    fn expected(&self, of: &RunOf) -> Result<(Arc<Loaded>, Arrival), NoArrival> {
        let row = row_name(&self.vault, &of.log, &of.demand, of.ppid);
        let who = self.people.locate(&row, self.store.as_ref(), &self.vault)?;
        let who = who.ok_or(NoArrival::Unexpected)?;
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let item = item_name(&loaded, &of.log, &of.demand, of.ppid);
        let sealed = self.store.item(&who.subject, &item).map_err(Error::from)?;
        let sealed = sealed.filter(|_| !self.people.is_erased(&who.subject)).ok_or(NoArrival::Unexpected)?;
        let plain = open(&loaded.key, who, &item, &sealed)?;
        let arrival: Arrival = cbor::decode(&plain).map_err(Error::from)?;
        let is_it = arrival.from == of.log && arrival.demand == of.demand && arrival.ppid == of.ppid;
        if is_it { Ok((loaded, arrival)) } else { Err(NoArrival::Unexpected) }
    }

    /// Takes one item, durable when it answers; `false` if it was taken before. That the caller is the
    /// log it says is `http`'s to see to.
    ///
    /// # Errors
    /// [`NoArrival`].
    pub fn take_delivery(&self, delivery: &Delivery) -> Result<bool, NoArrival> {
        let receiving = self.receiving.get().ok_or(NoArrival::NotReceiving)?;
        let (loaded, arrival) = self.expected(&delivery.run)?;
        let now = self.now();
        if !arrival.is_open(now) {
            return Err(NoArrival::Unexpected);
        }
        if !delivery.is_bounded() || delivery.keep_until <= now {
            return Err(NoArrival::Unbounded);
        }
        match delivery.mode {
            Mode::Store => {}
            Mode::View => return Err(NoArrival::ViewOnly),
        }
        let (original, media) = delivery.opened(receiving)?;
        let (media, form) = read(&delivery.scope, &media, &original)?;
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop).into());
        }
        let head = delivery.head(media, (&original, form.as_ref()));
        let draft = Draft {
            record: delivery.run.record(&loaded, &delivery.item),
            original: &original,
            form: form.as_ref(),
            run: Some(RunItem {
                name: delivery.run.item(&loaded),
                empty: Arrived::new(&delivery.run),
                item: delivery.item.clone(),
                hash: delivery.sha256,
            }),
            head,
        };
        let Deposited { media_type, sha256, .. } = &draft.head;
        match self.keep_draft(&loaded, &draft)? {
            Kept::New(_) => {
                self.lives.ends_at(delivery.keep_until);
                Ok(true)
            }
            Kept::Before(before) if sha256.is_some_and(|sha256| before.is(media_type, &sha256)) => Ok(false),
            Kept::Before(_) | Kept::Closed => Err(NoArrival::Differs),
            Kept::Full => Err(NoArrival::Full),
            Kept::OtherKey => Err(Error::Stopped(Stop::Busy).into()),
            Kept::Gone | Kept::Set => Err(NoArrival::Unexpected),
        }
    }
}

impl Delivery {
    fn is_bounded(&self) -> bool {
        let graphic =
            |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        is_name(&self.item) && graphic(&self.scope, MAX_SCOPE) && graphic(&self.purpose, MAX_PURPOSE)
    }

    /// The content and its media type: opened, where this service has keys; where it has none, as it came.
    fn opened(&self, receiving: &Receiving) -> Result<(Vec<u8>, String), NoArrival> {
        if hash::sha256(&[&self.bytes]) != self.sha256.0 {
            return Err(NotOpened::Other.into());
        }
        match (&receiving.opener, self.media.as_str()) {
            (Some(opener), SEALED) => {
                let opened = opener.open(&self.bytes)?;
                Ok((opened.content, opened.media.unwrap_or_else(|| PLAIN.to_owned())))
            }
            (None, media) if media != SEALED => Ok((self.bytes.clone(), media.to_owned())),
            // Whoever can read what was to be sealed should not have had it.
            (Some(_) | None, _) => Err(NotOpened::Form.into()),
        }
    }

    fn head(&self, media_type: String, (original, form): (&[u8], Option<&Form>)) -> Deposited {
        Deposited {
            v: V1,
            at: Timestamp(0),
            by: self.sender.clone(),
            key: None,
            item: self.item.clone(),
            size: 0,
            form: form.map(said_of),
            from: Some(Carried {
                log: self.run.log.clone(),
                run: self.run.run,
                scope: self.scope.clone(),
                demand: self.run.demand,
                keep_until: self.keep_until,
            }),
            bytes: original.len() as u64,
            basis: Some(self.run.demand),
            class: DataClass::RealName,
            over: None,
            party: self.sender.clone(),
            sha256: Some(Hash(hash::sha256(&[original]))),
            purpose: self.purpose.clone(),
            categories: Vec::new(),
            media_type,
        }
    }
}

/// Reads a content. JSON of a scope that has a profile is read by it, where it is an answer of it.
fn read(scope: &str, media: &str, original: &[u8]) -> Result<(String, Option<Form>), NotRead> {
    let plain = Media::parse(media).ok_or(NotRead::Media)?;
    let profile = match (plain, scope.split('.').next()) {
        (Media::Json(None), Some("bank")) => Some("kmydata-bank"),
        (Media::Json(None), Some("card")) => Some("kmydata-card"),
        _ => None,
    };
    if let Some(profile) = profile {
        let media = format!("{PLAIN};profile={profile}");
        let read = Media::parse(&media).map(|media| import::read(media, original));
        if let Some(Ok(form)) = read {
            return Ok((media, form));
        }
    }
    import::read(plain, original).map(|form| (media.to_owned(), form))
}
