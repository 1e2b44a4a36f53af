//! The sequencer's part: items are written between two commits, so that nobody erased is written of.
//!
//! It alone knows how many entries stand, whether the name is taken and how much
//! there is. Not synced here: whoever answers waits for a barrier.

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::ledger::cbor;
use crate::node::Error;
use crate::node::Node;
use crate::node::Stop;
use crate::node::deposit::Deposited;
use crate::node::deposit::MOST_BYTES;
use crate::node::deposit::MOST_ITEMS;
use crate::node::deposit::name;
use crate::node::deposit::open;
use crate::node::deposit::seal;
use crate::node::lane::Lane;
use crate::node::people::Loaded;
use crate::node::sequencer::Job;
use crate::node::sequencer::Sequencer;
use crate::store::Item;
use crate::store::Project;

/// What is to be kept of one person.
#[derive(Debug)]
pub(in crate::node) struct Keep {
    loaded: Loaded,
    items: Vec<Item>,
    /// None of a setting.
    deposit: Option<([u8; 16], Deposited)>,
}

/// What became of it.
#[derive(Debug)]
pub(in crate::node) enum Kept {
    /// A deposit, as it is kept.
    New(Deposited),
    /// A deposit of this name was there.
    Before(Deposited),
    /// A setting.
    Set,
    /// She is erased, or waits to be.
    Gone,
    /// The controller has brought all it may.
    Full,
    /// She has named another age key meanwhile: it is to be encrypted again.
    OtherKey,
}

/// What one controller has brought of a person in all.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Count {
    items: u64,
    bytes: u64,
}

impl Keep {
    pub(in crate::node) const fn deposit(
        loaded: Loaded,
        record: [u8; 16],
        head: Deposited,
        items: Vec<Item>,
    ) -> Self {
        Self { loaded, items, deposit: Some((record, head)) }
    }

    pub(in crate::node) fn setting(loaded: Loaded, item: Item) -> Self {
        Self { loaded, items: vec![item], deposit: None }
    }
}

/// How the sequencer answers.
pub(in crate::node) type Keeping = oneshot::Sender<Result<Kept, Stop>>;

impl Node {
    /// Has the sequencer keep something, and waits for it.
    pub(in crate::node) fn keep(&self, keep: Keep) -> Result<Kept, Error> {
        let (done, wait) = oneshot::channel();
        let closing = Error::Stopped(Stop::Closing);
        if self.sequence.push(Lane::Open, Job::Keep(Box::new(keep), done)).is_err() {
            return Err(closing);
        }
        wait.blocking_recv().map_err(|_| closing)?.map_err(Error::Stopped)
    }
}

impl Sequencer {
    /// Writes what is to be kept, unless she is gone or the name is taken.
    pub(in crate::node) fn keep(&self, keep: Keep) -> Result<Kept, Stop> {
        self.inner.stopped().map_or(Ok(()), Err)?;
        let failed = |error: Error| {
            tracing::error!(cause = %error, "an item could not be kept");
            self.inner.stop(Stop::Io);
            Stop::Io
        };
        self.try_keep(keep).map_err(failed)
    }

    fn try_keep(&self, keep: Keep) -> Result<Kept, Error> {
        let Keep { loaded, mut items, deposit } = keep;
        let subject = loaded.who.subject;
        if self.inner.people.is_erased(&subject) || self.inner.is_awaiting_erasure(loaded.who) {
            return Ok(Kept::Gone);
        }
        let mut kept = Kept::Set;
        if let Some((record, mut head)) = deposit {
            if let Some(before) = self.inner.head(&loaded, &name(b'h', &record))? {
                return Ok(Kept::Before(before));
            }
            if self.inner.age_key(&loaded)? != head.key {
                return Ok(Kept::OtherKey);
            }
            let of = loaded.key.record_name(["deposits", head.party.as_str()]);
            let Some(count) = self.counted(&loaded, &of, head.bytes)? else { return Ok(Kept::Full) };
            (head.size, head.at) = (self.next, self.now());
            items.push(seal(&loaded, name(b'c', &of), &cbor::encode(&count)?)?);
            items.push(seal(&loaded, name(b'h', &record), &cbor::encode(&head)?)?);
            kept = Kept::New(head);
        }
        match self.inner.store.keep(self.epoch, &subject, &items) {
            Project::Projected => Ok(kept),
            Project::Fenced => Err(Error::Stopped(Stop::OtherLeader)),
            Project::Failed(error) => Err(error.into()),
        }
    }

    /// What a controller has brought with one more, if that may be.
    fn counted(&self, loaded: &Loaded, of: &[u8; 16], bytes: u64) -> Result<Option<Count>, Error> {
        let name = name(b'c', of);
        let count: Count = match self.inner.store.item(&loaded.who.subject, &name)? {
            Some(sealed) => cbor::decode(&open(&loaded.key, loaded.who, &name, &sealed)?)?,
            None => Count::default(),
        };
        let count = Count { items: count.items + 1, bytes: count.bytes.saturating_add(bytes) };
        Ok(Some(count).filter(|count| count.items <= MOST_ITEMS && count.bytes <= MOST_BYTES))
    }
}
