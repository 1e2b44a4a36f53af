//! The sequencer's part: items are written between two commits, so that nobody erased is written of.
//!
//! It alone knows how many entries stand, whether the name is taken, how much there is, and what
//! has arrived of a run. Not synced here: whoever answers waits for a barrier.

use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

use tokio::sync::oneshot;

use crate::ledger::cbor;
use crate::model::id::Hash;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::arrival::Arrived;
use crate::node::arrival::run_name;
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
use crate::portability::source::Over;
use crate::store::Item;
use crate::store::Name;
use crate::store::Project;

/// What is to be kept of one person.
#[derive(Debug)]
pub(in crate::node) struct Keep {
    loaded: Loaded,
    items: Vec<Item>,
    what: What,
}

/// What the sequencer has to look at first.
#[derive(Debug)]
enum What {
    /// Nothing.
    Setting,
    /// Its record and head; of which run it is an item, if it is one.
    Deposit([u8; 16], Box<(Deposited, Option<RunItem>)>),
    /// A run of that name, as it was seen and as it is from now on.
    Run(Vec<u8>, Box<[Arrived; 2]>),
    /// The content of these goes: their lives are over.
    End(Vec<([u8; 16], Over)>),
    /// What is written takes the place of these items, and of the names that led to her by them.
    Instead(Vec<Vec<u8>>, Vec<Name>),
}

/// Rows that are written and names that are dropped, as one.
type Change = (Vec<Item>, Vec<Vec<u8>>);

/// A deposit that is an item of a run: it is written as one with the run's list.
#[derive(Clone, Debug)]
pub(in crate::node) struct RunItem {
    /// Name of the run's item.
    pub(in crate::node) name: Vec<u8>,
    /// The run if nothing of it has arrived yet.
    pub(in crate::node) empty: Arrived,
    /// Name of the item in the run.
    pub(in crate::node) item: String,
    /// SHA-256 of its bytes as they were carried.
    pub(in crate::node) hash: Hash,
}

/// What became of it.
#[derive(Debug)]
pub(in crate::node) enum Kept {
    /// A deposit, as it is kept.
    New(Deposited),
    /// A deposit of this name was there.
    Before(Deposited),
    /// A setting, a run, or what was over.
    Set,
    /// The run is over, has as many items as a run may, or is not what it was.
    Closed,
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
    pub(in crate::node) fn deposit(
        loaded: Loaded,
        (record, head): ([u8; 16], Deposited),
        items: Vec<Item>,
        run: Option<RunItem>,
    ) -> Self {
        Self { loaded, items, what: What::Deposit(record, Box::new((head, run))) }
    }

    pub(in crate::node) fn setting(loaded: Loaded, item: Item) -> Self {
        Self { loaded, items: vec![item], what: What::Setting }
    }

    /// A setting in the place of others, and of the names that led to her by them.
    pub(in crate::node) fn instead(loaded: Loaded, item: Item, of: (Vec<Vec<u8>>, Vec<Name>)) -> Self {
        Self { loaded, items: vec![item], what: What::Instead(of.0, of.1) }
    }

    /// A run that changes, if it is still what it was.
    pub(in crate::node) fn run(loaded: Loaded, name: Vec<u8>, from_to: [Arrived; 2]) -> Self {
        Self { loaded, items: Vec::new(), what: What::Run(name, Box::new(from_to)) }
    }

    /// Records whose lives are over; what is gone already stays as it is.
    pub(in crate::node) const fn end(loaded: Loaded, over: Vec<([u8; 16], Over)>) -> Self {
        Self { loaded, items: Vec::new(), what: What::End(over) }
    }
}

/// How the sequencer answers.
pub(in crate::node) type Keeping = oneshot::Sender<Result<Kept, Stop>>;

impl Inner {
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
        let Keep { loaded, mut items, what } = keep;
        let subject = loaded.who.subject;
        if self.inner.people.is_erased(&subject) || self.inner.is_awaiting_erasure(loaded.who) {
            return Ok(Kept::Gone);
        }
        let (mut kept, mut dropped, mut unnamed) = (Kept::Set, Vec::new(), Vec::new());
        match what {
            What::Setting => {}
            What::Deposit(record, head) => match self.deposited(&loaded, record, *head)? {
                (new @ Kept::New(_), more) => {
                    items.extend(more);
                    kept = new;
                }
                (other, _) => return Ok(other),
            },
            What::Run(name, from_to) => {
                let [from, to] = *from_to;
                if self.inner.arrived(&loaded, &name)?.is_some_and(|stands| stands != from) {
                    return Ok(Kept::Closed);
                }
                items.push(seal(&loaded, name, &cbor::encode(&to)?)?);
            }
            What::End(over) => (items, dropped) = self.ended(&loaded, over)?,
            What::Instead(others, names) => (dropped, unnamed) = (others, names),
        }
        match self.inner.store.keep(self.epoch, &subject, &items, &dropped, &unnamed) {
            Project::Projected => {
                self.inner.people.unlearn(&unnamed);
                Ok(kept)
            }
            Project::Fenced => Err(Error::Stopped(Stop::OtherLeader)),
            Project::Failed(error) => Err(error.into()),
        }
    }

    /// What is written of a deposit beside its content, if it is a new one.
    fn deposited(
        &self,
        loaded: &Loaded,
        record: [u8; 16],
        (mut head, run): (Deposited, Option<RunItem>),
    ) -> Result<(Kept, Vec<Item>), Error> {
        let none = |kept| Ok((kept, Vec::new()));
        if let Some(before) = self.inner.head(loaded, &name(b'h', &record))? {
            return none(Kept::Before(before));
        }
        if self.inner.age_key(loaded)? != head.key {
            return none(Kept::OtherKey);
        }
        let mut items = Vec::new();
        if let Some(RunItem { name, empty, item, hash }) = run {
            let stands = self.inner.arrived(loaded, &name)?.unwrap_or(empty);
            let Some(more) = stands.with(item, hash) else { return none(Kept::Closed) };
            items.push(seal(loaded, name, &cbor::encode(&more)?)?);
        }
        let of = count_name(loaded, &head);
        let Some(count) = self.count(loaded, &of)?.with(head.bytes) else { return none(Kept::Full) };
        (head.size, head.at) = (self.next, self.now());
        items.push(seal(loaded, of, &cbor::encode(&count)?)?);
        items.push(seal(loaded, name(b'h', &record), &cbor::encode(&head)?)?);
        Ok((Kept::New(head), items))
    }

    /// Heads without content, counts and runs that say so, and the contents that go.
    fn ended(&self, loaded: &Loaded, over: Vec<([u8; 16], Over)>) -> Result<Change, Error> {
        let (mut put, mut dropped) = (Vec::new(), Vec::new());
        // Many of them share a count and a run: each is written once.
        let (mut counts, mut runs) = (BTreeMap::new(), BTreeMap::new());
        for (record, over) in over {
            let at = name(b'h', &record);
            let Some(head) = self.inner.head(loaded, &at)?.filter(|head| head.over.is_none()) else {
                continue;
            };
            let Some(from) = &head.from else { continue };
            let of = count_name(loaded, &head);
            let count = counts.remove(&of).map_or_else(|| self.count(loaded, &of), Ok)?;
            counts.insert(of, count.less(head.bytes));
            let of = run_name(loaded, &from.log, &from.demand, from.run);
            let run =
                runs.remove(&of).map_or_else(|| self.inner.arrived(loaded, &of), |run| Ok(Some(run)))?;
            runs.extend(run.map(|run| (of, run.without(&head.item))));
            put.push(seal(loaded, at, &cbor::encode(&head.ended(over))?)?);
            dropped.extend([name(b'o', &record), name(b'f', &record)]);
        }
        for (of, count) in counts {
            put.push(seal(loaded, of, &cbor::encode(&count)?)?);
        }
        for (of, run) in runs {
            put.push(seal(loaded, of, &cbor::encode(&run)?)?);
        }
        Ok((put, dropped))
    }

    /// What is brought already.
    fn count(&self, loaded: &Loaded, name: &[u8]) -> Result<Count, Error> {
        let Some(sealed) = self.inner.store.item(&loaded.who.subject, name)? else {
            return Ok(Count::default());
        };
        Ok(cbor::decode(&open(&loaded.key, loaded.who, name, &sealed)?)?)
    }
}

/// Where it is counted with all that the same party has brought.
fn count_name(loaded: &Loaded, head: &Deposited) -> Vec<u8> {
    let party = head.party.as_str();
    let of = match &head.from {
        None => loaded.key.record_name(["deposits", party]),
        Some(from) => loaded.key.record_name(["arrivals", &from.log, party]),
    };
    name(b'c', &of)
}

impl Count {
    /// With one more, if that may be.
    fn with(self, bytes: u64) -> Option<Self> {
        let count = Self { items: self.items + 1, bytes: self.bytes.saturating_add(bytes) };
        Some(count).filter(|count| count.items <= MOST_ITEMS && count.bytes <= MOST_BYTES)
    }

    /// Without the content of one: its head still counts.
    const fn less(self, bytes: u64) -> Self {
        Self { items: self.items, bytes: self.bytes.saturating_sub(bytes) }
    }
}
