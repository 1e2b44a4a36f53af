//! Deposits: a party brings an item of a person's, and it is hers from then on.
//!
//! Let in only by a live grant of hers, or by an exception of the pack that its
//! controller has claimed, for the purpose, class and categories it names, and the action
//! *use*: who may use the data holds it, and giving it to her tells nobody else anything.
//! An attestation, the controller's own word, does not suffice. The question is
//! asked like any other and leaves its use line. Unknown, foreign, not granted: one answer.
//!
//! (controller, item) names an item of hers for ever: the same bytes again are
//! answered as the first were, other bytes are refused. It stays hers after a
//! withdrawal, and goes with her when she is erased.
//!
//! # Bytes
//!
//! Items of the store, sealed under her key: `h` ‖ record is the head, `o` ‖ record the original,
//! `f` ‖ record its form, `c` ‖ 16 bytes what one controller has brought in all, `k` her age
//! key. Has she named one, original and form are encrypted to it *before* they are
//! sealed, and nobody here can read them any more; the head stays readable: who, when,
//! what type, how long, and the SHA-256, by which known content is recognised.
//! Of what is over (`arrival`) the head alone is left, and nothing in it that follows from the content
//! but its length.
//!
//! A source that is asked ([`pull`]) goes the same way. Lacks: deletion of one item, terms of what was
//! deposited.

mod head;
mod keep;
pub mod pull;

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::V1;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Asked;
use crate::node::Asker;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Resource;
use crate::node::Stop;
use crate::node::lane::Lane;
use crate::node::people::Loaded;
use crate::portability::import;
use crate::portability::import::Form;
use crate::portability::import::Media;
use crate::store::Item;
use crate::store::Name;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::receiver::Receiver;

pub use crate::portability::import::MAX_ORIGINAL;
pub use crate::portability::import::Refused as NotRead;
pub use crate::portability::source::Over;
pub use crate::portability::source::OverBy;
pub use head::Carried;
pub use head::Deposited;
pub(in crate::node) use keep::Keep;
pub(in crate::node) use keep::Keeping;
pub(in crate::node) use keep::Kept;
pub(in crate::node) use keep::RunItem;

/// Longest name that a party gives an item, bytes.
pub const MAX_ITEM: usize = 128;
/// Most items of one person that one controller brings.
pub const MOST_ITEMS: u64 = 10_000;
/// Most bytes of their originals.
pub const MOST_BYTES: u64 = 256 << 20;
/// How often a deposit is encrypted again because its person names another key meanwhile.
const TRIES: usize = 4;
/// Bytes that the names of one controller's items begin with.
const BEGINS: usize = 4;
/// Most items on a page of the list.
pub const MAX_PAGE: usize = 500;

/// What a party brings.
#[derive(Clone, Debug)]
pub struct Wish {
    /// In whose domain.
    pub controller: PartyId,
    /// Who brings it: see [`Inner::may_ask`].
    pub by: PartyId,
    /// The person, in the controller's domain.
    pub ppid: Ppid,
    /// The controller's own name of it.
    pub item: String,
    /// For which purpose it holds the data.
    pub purpose: String,
    /// Which class of data.
    pub class: DataClass,
    /// Which categories.
    pub categories: Vec<String>,
    /// What the bytes are.
    pub media_type: String,
    /// The bytes.
    pub original: Vec<u8>,
}

/// What became of a deposit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// It is kept, durable.
    New(Deposited),
    /// It was kept before: what the first got.
    Before(Deposited),
}

/// Why nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum NoDeposit {
    /// No person, none of this domain, or nothing lets it in.
    #[error("no live grant of such a person covers it")]
    NotGranted,
    /// Another item has the name.
    #[error("another item of that name is kept already")]
    Differs,
    /// The controller has brought as much of her as it may.
    #[error("the controller has brought as much of this person as it may")]
    Full,
    /// A text is too long, empty, or holds what it may not.
    #[error("a name or text of the deposit is too long, or holds what it may not")]
    Unbounded,
    /// The bytes.
    #[error(transparent)]
    Original(#[from] NotRead),
    /// The node.
    #[error(transparent)]
    Node(#[from] Error),
}

/// What a person sees of her deposits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposits {
    /// Her age key: what is brought from now on is encrypted to it.
    pub key: Option<String>,
    /// Record and origin, in the order of records: by controller, else nobody's.
    pub items: Vec<(String, Deposited)>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// Name of an item of hers among those of one controller. All of one controller begin alike, so that they
/// are read one after the other: an archive has them in one folder without having seen the others.
fn record_of(key: &PersonKey, controller: &PartyId, item: &str) -> [u8; 16] {
    let mut name = key.record_name(["deposit", controller.as_str(), item]);
    let of = key.record_name(["deposits", controller.as_str()]);
    name.iter_mut().zip(of).take(BEGINS).for_each(|(to, from)| *to = from);
    name
}

pub(in crate::node) fn name(part: u8, record: &[u8]) -> Vec<u8> {
    [&[part], record].concat()
}

/// Seals one item of hers.
pub(in crate::node) fn seal(loaded: &Loaded, name: Vec<u8>, plain: &[u8]) -> Result<Item, Error> {
    let sealed = loaded.key.seal(Sealed::Item, &loaded.who.subject, &name, plain)?;
    Ok(Item { name, sealed })
}

/// Opens one item of hers.
pub(in crate::node) fn open(
    key: &PersonKey,
    who: Pointed,
    name: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, Error> {
    Ok(key.open(Sealed::Item, &who.subject, name, sealed)?)
}

/// What is to be kept, before it is sealed.
pub(in crate::node) struct Draft<'a> {
    pub(in crate::node) record: [u8; 16],
    /// Without what only its writing tells: when, at which size, her age key.
    pub(in crate::node) head: Deposited,
    pub(in crate::node) original: &'a [u8],
    pub(in crate::node) form: Option<&'a Form>,
    /// Of which run it is an item, if it is one.
    pub(in crate::node) run: Option<RunItem>,
}

/// What a head says of a form.
pub(in crate::node) fn said_of(form: &Form) -> (String, u64) {
    (form.profile.as_str().to_owned(), form.items.len() as u64)
}

impl Wish {
    fn head(&self, form: Option<&Form>, (basis, sha256): (Option<StatementId>, Hash)) -> Deposited {
        Deposited {
            v: V1,
            at: Timestamp(0),
            by: self.by.clone(),
            key: None,
            item: self.item.clone(),
            size: 0,
            form: form.map(said_of),
            from: None,
            bytes: self.original.len() as u64,
            basis,
            class: self.class,
            over: None,
            party: self.controller.clone(),
            sha256: Some(sha256),
            purpose: self.purpose.clone(),
            categories: self.categories.clone(),
            media_type: self.media_type.clone(),
        }
    }

    fn is_bounded(&self) -> bool {
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        self.item.len() <= MAX_ITEM && plain(&self.item)
    }

    fn asked(&self) -> Asked {
        Asked {
            resource: Resource::Person(self.ppid),
            question: Question {
                controller: self.controller.clone(),
                action: AskedAction::Grantable(Action::Use),
                purpose: self.purpose.clone(),
                class: self.class,
                categories: self.categories.clone(),
                recipient: None,
                jurisdiction: None,
                use_id: None,
            },
            min_index: None,
        }
    }
}

impl Inner {
    /// Makes what the sequencer wrote durable before an answer leaves.
    pub(in crate::node) fn settle(&self) -> Result<(), Error> {
        self.store.barrier().map_err(|error| {
            // What the disk holds is not known before a restart: nothing more is written.
            self.stop(Stop::Io);
            error.into()
        })
    }
}

impl Node {
    /// Keeps what a party brings, durable when it answers; whether the party may act in the controller's
    /// domain is the caller's to see to.
    ///
    /// # Errors
    /// [`NoDeposit`].
    pub fn deposit(&self, wish: &Wish) -> Result<Deposit, NoDeposit> {
        let asked = wish.asked();
        if !wish.is_bounded() || !asked.is_bounded() {
            return Err(NoDeposit::Unbounded);
        }
        // Of the bytes alone: it tells nothing of anybody.
        let media = Media::parse(&wish.media_type).ok_or(NotRead::Media)?;
        let form = import::read(media, &wish.original)?;
        let sha256 = Hash(hash::sha256(&[&wish.original]));
        let hers = self.hers(wish)?;
        if let Some(before) = hers.as_ref().map(|loaded| self.before(loaded, wish)).transpose()?.flatten() {
            // The first may not be durable yet.
            self.settle()?;
            return if before.is_same(wish, &sha256) {
                Ok(Deposit::Before(before))
            } else {
                Err(NoDeposit::Differs)
            };
        }
        let told = self.tell(Asker { party: &wish.by, signed: None }, &asked);
        let basis = match told.answer.decision.reason {
            Reason::ConsentGiven => told.answer.decision.basis,
            Reason::StatutoryException => None,
            Reason::LogUnavailable => {
                return Err(Error::Stopped(self.stopped().unwrap_or(Stop::Busy)).into());
            }
            _ => return Err(NoDeposit::NotGranted),
        };
        let loaded = hers.ok_or(NoDeposit::NotGranted)?;
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop).into());
        }
        let draft = Draft {
            record: record_of(&loaded.key, &wish.controller, &wish.item),
            head: wish.head(form.as_ref(), (basis, sha256)),
            original: &wish.original,
            form: form.as_ref(),
            run: None,
        };
        match self.keep_draft(&loaded, &draft)? {
            Kept::New(head) => Ok(Deposit::New(head)),
            Kept::Before(head) if head.is_same(wish, &sha256) => Ok(Deposit::Before(head)),
            Kept::Before(_) => Err(NoDeposit::Differs),
            Kept::Full => Err(NoDeposit::Full),
            Kept::OtherKey => Err(Error::Stopped(Stop::Busy).into()),
            Kept::Gone | Kept::Set | Kept::Closed => Err(NoDeposit::NotGranted),
        }
    }

    /// Whether an item would be let in by what stands now; leaves no line, for nothing is used yet.
    fn lets_in(&self, wish: &Wish) -> Result<bool, Error> {
        let asked = wish.asked();
        let bounded = wish.is_bounded() && asked.is_bounded();
        let lets = |reason| matches!(reason, Reason::ConsentGiven | Reason::StatutoryException);
        Ok(bounded && lets(self.check(&asked)?.decision.reason))
    }

    /// The person of a wish, if she is known by that ppid in that domain.
    fn hers(&self, wish: &Wish) -> Result<Option<std::sync::Arc<Loaded>>, Error> {
        let name = Name::Ppid(wish.ppid.0);
        let Some(who) = self.people.locate(&name, self.store.as_ref(), &self.vault)? else { return Ok(None) };
        let register = self.register();
        if self.pairwise(&register).ppid(Some(&wish.controller), &who.subject) != wish.ppid {
            return Ok(None);
        }
        self.people.load(who, self.store.as_ref(), &self.vault).map(Some)
    }

    /// What is kept under the name of a wish.
    fn before(&self, loaded: &Loaded, wish: &Wish) -> Result<Option<Deposited>, Error> {
        let record = record_of(&loaded.key, &wish.controller, &wish.item);
        self.head(loaded, &name(b'h', &record))
    }

    /// Keeps a draft, durable when it answers. Her age key of the moment at which it is written counts.
    pub(in crate::node) fn keep_draft(&self, loaded: &Loaded, draft: &Draft<'_>) -> Result<Kept, Error> {
        let mut kept = Kept::OtherKey;
        for _ in 0..TRIES {
            kept = self.keep(self.sealed(loaded, draft)?)?;
            if !matches!(kept, Kept::OtherKey) {
                break;
            }
        }
        self.settle()?;
        Ok(kept)
    }

    /// Everything of a deposit but what the sequencer alone knows.
    fn sealed(&self, loaded: &Loaded, draft: &Draft<'_>) -> Result<Keep, Error> {
        let Draft { record, head, original, form, run } = draft;
        let key = self.age_key(loaded)?;
        let mut content = vec![self.content(loaded, (b'o', record), key.as_deref(), original)?];
        if let Some(form) = form {
            let plain = form.encode().map_err(crate::portability::Error::from)?;
            content.push(self.content(loaded, (b'f', record), key.as_deref(), &plain)?);
        }
        let head = Deposited { key, ..head.clone() };
        Ok(Keep::deposit(loaded.clone(), (*record, head), content, run.clone()))
    }

    /// One content: to her own key first, if she has named one.
    fn content(
        &self,
        loaded: &Loaded,
        (part, record): (u8, &[u8]),
        key: Option<&str>,
        plain: &[u8],
    ) -> Result<Item, Error> {
        let Some(key) = key else { return seal(loaded, name(part, record), plain) };
        let broken = || Error::Damaged("an age key that was taken is none any more".into());
        let receiver = Receiver::age(key).map_err(|_| broken())?;
        let mut out = Vec::new();
        let write = |out: &mut Vec<u8>| {
            let mut sealing = receiver.begin(out)?;
            std::io::Write::write_all(&mut sealing, plain)?;
            sealing.finish()
        };
        write(&mut out).map_err(crate::portability::Error::from)?;
        seal(loaded, name(part, record), &out)
    }

    /// Names the age key to which everything that is brought from now on is encrypted; `None` takes it
    /// back. What was brought before stays as it is. `false` if no person has this key.
    ///
    /// # Errors
    /// The store, or the node does not write.
    pub fn set_age_key(&self, key: &KeyHash, recipient: Option<&AgeKey>) -> Result<bool, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(false) };
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop));
        }
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let text = recipient.map_or("", |key| key.0.as_str());
        let item = seal(&loaded, AGE_KEY.to_vec(), text.as_bytes())?;
        let kept = self.keep(Keep::setting((*loaded).clone(), item))?;
        self.settle()?;
        Ok(matches!(kept, Kept::Set))
    }
}

/// Name of the item that holds her age key.
const AGE_KEY: &[u8] = b"k";

/// A public key of age that can be encrypted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgeKey(String);

impl AgeKey {
    /// Reads `age1...`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Receiver::age(text).is_ok().then(|| Self(text.to_owned()))
    }
}

impl Inner {
    /// The age key she has named, if she has.
    pub(in crate::node) fn age_key(&self, loaded: &Loaded) -> Result<Option<String>, Error> {
        let Some(sealed) = self.store.item(&loaded.who.subject, AGE_KEY)? else { return Ok(None) };
        let text = String::from_utf8(open(&loaded.key, loaded.who, AGE_KEY, &sealed)?);
        let text = text.map_err(|_| Error::Damaged("an age key is no text".into()))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub(in crate::node) fn head(&self, loaded: &Loaded, name: &[u8]) -> Result<Option<Deposited>, Error> {
        let Some(sealed) = self.store.item(&loaded.who.subject, name)? else { return Ok(None) };
        Ok(Some(cbor::decode(&open(&loaded.key, loaded.who, name, &sealed)?)?))
    }

    /// A page of what was brought of her, after a record.
    pub(in crate::node) fn deposited(
        &self,
        loaded: &Loaded,
        after: Option<&[u8; 16]>,
        most: usize,
    ) -> Result<Vec<([u8; 16], Deposited)>, Error> {
        let after = after.map(|record| name(b'h', record));
        let page = self.store.items(&loaded.who.subject, b"h", after.as_deref(), most)?;
        let read = |Item { name, sealed }: Item| {
            let record = name.get(1..).and_then(|record| record.try_into().ok());
            let record = record.ok_or_else(|| Error::Damaged("the name of an item".into()))?;
            Ok((record, cbor::decode(&open(&loaded.key, loaded.who, &name, &sealed)?)?))
        };
        page.into_iter().map(read).collect()
    }

    /// One part of a deposit, as it is kept: encrypted to her key if that was named; none if it is not there.
    pub(in crate::node) fn part_of(
        &self,
        loaded: &Loaded,
        part: u8,
        record: &[u8; 16],
    ) -> Result<Option<Vec<u8>>, Error> {
        let name = name(part, record);
        let sealed = self.store.item(&loaded.who.subject, &name)?;
        sealed.map(|sealed| open(&loaded.key, loaded.who, &name, &sealed)).transpose()
    }

    /// What the person with this key sees of her deposits; `None` if there is no such person.
    ///
    /// # Errors
    /// The store.
    pub fn deposits(
        &self,
        key: &KeyHash,
        after: Option<&[u8; 16]>,
        most: usize,
    ) -> Result<Option<Deposits>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let most = most.clamp(1, MAX_PAGE);
        let mut page = self.deposited(&loaded, after, most + 1)?;
        let more = page.len() > most;
        page.truncate(most);
        let now = self.now();
        let items = page.into_iter().map(|(record, head)| (hex(&record), head.told_at(now))).collect();
        Ok(Some(Deposits { key: self.age_key(&loaded)?, items, more }))
    }
}

/// A record as text.
pub(in crate::node) fn hex(record: &[u8; 16]) -> String {
    record.iter().map(|b| format!("{b:02x}")).collect()
}
