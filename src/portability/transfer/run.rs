//! One run of a demand as its carrier goes through it: list, fetch, send, have it signed, confirmed.
//!
//! ```text
//! List ─► Fetch 0 … m−1 ─► Send 0 … m−1 ─► Sign (sender: deliver) ─► Confirm (receiver: n of m) ─► Over
//! ```
//!
//! [`Run`] is all that must survive a kill. Each step is done before it is noted, so the one that
//! was under way is done again: items are named, so doing it twice is doing it once. What the
//! sender announced first binds it: another count, length, hash or media type later is a lie and
//! ends the run. Lacks sockets, files, clock. Trusted: nothing that either end says.

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::FailCode;

/// Most items of one run.
pub const MOST_ITEMS: usize = 1_024;
/// Largest item, bytes.
pub const MAX_ITEM: u64 = 4 << 20;
/// Most bytes of one run.
pub const MAX_RUN: u64 = 64 << 20;
/// Longest name of an item, bytes.
const MAX_ID: usize = 96;
/// Media type of an item that its sender sealed for the recipient.
pub const SEALED: &str = "application/jose";
/// Media type of an item in the clear.
pub const PLAIN: &str = "application/json";
/// First pause after a failure, ms; each further one is twice as long.
const FIRST_PAUSE_MS: u64 = 30_000;
/// Longest pause, ms.
const LONGEST_PAUSE_MS: u64 = 6 * 3_600_000;

/// How a sender or a receiver broke its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The answer is not of the agreed shape.
    #[error("the answer is not of the agreed shape")]
    Shape,
    /// The answer's code says no.
    #[error("the sender's code is not 00000")]
    Code,
    /// The transaction id came back as another.
    #[error("the transaction id came back as another")]
    TranId,
    /// The number of items is not that of the list.
    #[error("the count is not that of the list")]
    Count,
    /// An item is named twice, or by no plain name.
    #[error("an item is named twice, or by no plain name")]
    Name,
    /// An item of a scope that was not demanded.
    #[error("an item of a scope that was not demanded")]
    Scope,
    /// Another media type than announced, or one that is not carried.
    #[error("another media type than agreed")]
    Media,
    /// Another length than announced.
    #[error("another length than announced")]
    Length,
    /// Other bytes than announced.
    #[error("other bytes than announced")]
    Hash,
    /// Too many items or bytes.
    #[error("more than is carried")]
    TooLarge,
    /// A signed step that says something else.
    #[error("the signed step says something else")]
    Step,
}

impl Wrong {
    /// The code of the failed run, if the sender broke it.
    #[must_use]
    pub const fn code(self) -> FailCode {
        match self {
            Self::Code | Self::Scope => FailCode::SenderRefused,
            Self::TooLarge => FailCode::TooLarge,
            Self::Shape
            | Self::TranId
            | Self::Count
            | Self::Name
            | Self::Media
            | Self::Length
            | Self::Hash
            | Self::Step => FailCode::SenderMismatch,
        }
    }
}

/// How an item is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// By its name, as the sender announced it.
    Named,
    /// By a read of the profile: path, and a JSON body if it is a POST.
    Read(String, Option<String>),
}

/// An item to be carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Item {
    /// Its name within the run: 1 to 96 of `A–Z a–z 0–9 . _ -`, no `..`.
    pub id: String,
    /// How it is asked for.
    pub ask: Ask,
    /// SHA-256, if the sender said it, or once it was fetched.
    pub hash: Option<Hash>,
    /// Media type.
    pub media: String,
    /// Of which scope.
    pub scope: String,
    /// Bytes, if the sender said it, or once it was fetched.
    pub length: Option<u64>,
}

/// The list as a sender announces it.
#[derive(Deserialize)]
struct List {
    item_cnt: u64,
    item_list: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    item_id: String,
    scope: String,
    media_type: String,
    length: u64,
    sha256: String,
}

/// Whether a name is one that an item may have.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('.')
        && !text.contains("..")
}

/// Reads the list of a sender that seals: every item with length and hash, all sealed.
///
/// # Errors
/// [`Wrong`]: the list is not of the shape, contradicts itself, or names what was not demanded.
pub fn announced(body: &[u8], scopes: &[String]) -> Result<Vec<Item>, Wrong> {
    let list: List = serde_json::from_slice(body).map_err(|_| Wrong::Shape)?;
    if usize::try_from(list.item_cnt) != Ok(list.item_list.len()) {
        return Err(Wrong::Count);
    }
    let mut items = Vec::with_capacity(list.item_list.len().min(MOST_ITEMS));
    for listed in list.item_list {
        if listed.media_type != SEALED {
            return Err(Wrong::Media);
        }
        items.push(Item {
            id: listed.item_id,
            ask: Ask::Named,
            hash: Some(Hash::from_hex(&listed.sha256).ok_or(Wrong::Shape)?),
            media: listed.media_type,
            scope: listed.scope,
            length: Some(listed.length),
        });
    }
    sound(&items, scopes)?;
    Ok(items)
}

/// Whether a list holds what was demanded, each item once, within the bounds.
///
/// # Errors
/// [`Wrong`].
pub fn sound(items: &[Item], scopes: &[String]) -> Result<(), Wrong> {
    let bytes = items.iter().try_fold(0_u64, |sum, item| sum.checked_add(item.length.unwrap_or(0)));
    if items.len() > MOST_ITEMS
        || items.iter().any(|item| item.length.is_some_and(|n| n > MAX_ITEM))
        || bytes.is_none_or(|sum| sum > MAX_RUN)
    {
        return Err(Wrong::TooLarge);
    }
    let mut names: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() != items.len() || !names.iter().all(|name| is_name(name)) {
        return Err(Wrong::Name);
    }
    if items.iter().all(|item| scopes.contains(&item.scope)) { Ok(()) } else { Err(Wrong::Scope) }
}

/// How far a run has come: all that must survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    /// Its number.
    pub number: u64,
    /// What is carried, once it was listed.
    pub items: Option<Vec<Item>>,
    /// Items fetched and kept.
    pub fetched: usize,
    /// Items the receiver has taken.
    pub sent: usize,
    /// Whether the sender has signed that it delivered.
    pub signed: bool,
    /// How it ended.
    pub over: Option<End>,
    /// Failures in a row.
    pub tries: u32,
    /// Nothing is done before.
    pub not_before: Timestamp,
}

/// How a run ended for its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The receiver has confirmed; how many, stands in the log.
    Confirmed,
    /// It cannot go on.
    Failed(FailCode),
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Ask the sender what there is.
    List,
    /// Fetch this item from the sender.
    Fetch(usize),
    /// Send this item to the receiver.
    Send(usize),
    /// Have the sender sign that it delivered.
    Sign,
    /// Have the receiver sign what it received.
    Confirm,
    /// Nothing.
    Over,
}

impl Run {
    /// A run that begins.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self {
            number,
            items: None,
            fetched: 0,
            sent: 0,
            signed: false,
            over: None,
            tries: 0,
            not_before: Timestamp(0),
        }
    }

    /// What is carried; nothing before it was listed.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        self.items.as_deref().unwrap_or_default()
    }

    /// What is to be done next.
    #[must_use]
    pub fn next(&self) -> Next {
        let Some(items) = &self.items else {
            return if self.over.is_some() { Next::Over } else { Next::List };
        };
        if self.over.is_some() {
            Next::Over
        } else if self.fetched < items.len() {
            Next::Fetch(self.fetched)
        } else if self.sent < items.len() {
            Next::Send(self.sent)
        } else if !self.signed {
            Next::Sign
        } else {
            Next::Confirm
        }
    }

    /// Takes what the sender sent for the next item: the first answer binds it.
    ///
    /// # Errors
    /// [`Wrong`]: it is not what was announced.
    pub fn got(&mut self, media: &str, bytes: &[u8]) -> Result<(), Wrong> {
        let length = u64::try_from(bytes.len()).map_err(|_| Wrong::TooLarge)?;
        let before: u64 = self.items().iter().take(self.fetched).filter_map(|item| item.length).sum();
        if length > MAX_ITEM || before.saturating_add(length) > MAX_RUN {
            return Err(Wrong::TooLarge);
        }
        let place = self.fetched;
        let item = self.items.as_mut().and_then(|items| items.get_mut(place)).ok_or(Wrong::Count)?;
        if media != item.media {
            return Err(Wrong::Media);
        }
        if item.length.is_some_and(|said| said != length) {
            return Err(Wrong::Length);
        }
        let hash = Hash(hash::sha256(&[bytes]));
        if item.hash.is_some_and(|said| said != hash) {
            return Err(Wrong::Hash);
        }
        if item.media == SEALED && !is_compact_jwe(bytes) {
            return Err(Wrong::Shape);
        }
        (item.length, item.hash) = (Some(length), Some(hash));
        self.fetched += 1;
        self.done();
        Ok(())
    }

    /// What was fetched from here on is gone: what the sender announced still binds it, what it only
    /// answered may have changed since.
    pub fn fetch_again(&mut self, from: usize) {
        self.fetched = self.fetched.min(from);
        for item in self.items.iter_mut().flatten().skip(from) {
            if let Ask::Read(..) = item.ask {
                (item.length, item.hash) = (None, None);
            }
        }
    }

    /// Something went well: the next failure is a first one.
    pub const fn done(&mut self) {
        self.tries = 0;
        self.not_before = Timestamp(0);
    }

    /// Something may go better later: twice as late each time, six hours at most.
    pub fn later(&mut self, now: Timestamp) {
        let pause = FIRST_PAUSE_MS.saturating_mul(1_u64.checked_shl(self.tries).unwrap_or(u64::MAX));
        self.tries = self.tries.saturating_add(1);
        self.not_before = now.plus_ms(pause.min(LONGEST_PAUSE_MS));
    }

    /// What sender and receiver sign: [`hash_of`] its items.
    #[must_use]
    pub fn hash(&self, demand: &StatementId) -> Hash {
        let hash = |item: &Item| item.hash.unwrap_or(Hash([0; 32]));
        hash_of(demand, self.number, self.items().iter().map(|item| (item.id.as_str(), hash(item))))
    }
}

/// SHA-256 over the items of a run in order, each by name and hash of the bytes as they were carried.
///
/// `SHA-256("naru-transfer/v1" ‖ 0 ‖ demand ‖ run (8) ‖ for each: length of its name (4) ‖ name ‖ SHA-256)`.
#[must_use]
pub fn hash_of<'a>(demand: &StatementId, run: u64, items: impl Iterator<Item = (&'a str, Hash)>) -> Hash {
    let mut all = Vec::new();
    for (id, hash) in items {
        all.extend_from_slice(&u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
        all.extend_from_slice(id.as_bytes());
        all.extend_from_slice(&hash.0);
    }
    Hash(hash::sha256(&[b"naru-transfer/v1", &[0], &demand.0, &run.to_be_bytes(), &all]))
}

/// Five parts of base64url, the second empty: ECDH-ES as its own key. Source: RFC 7516 section 7.1.
fn is_compact_jwe(bytes: &[u8]) -> bool {
    let mut parts = bytes.split(|b| *b == b'.');
    let plain = |part: &[u8]| part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let filled = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && plain(part));
    filled(parts.next())
        && parts.next().is_some_and(<[u8]>::is_empty)
        && filled(parts.next())
        && parts.next().is_some_and(plain)
        && filled(parts.next())
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWE: &[u8] = b"eyJ9..bm9uY2U.Y29udGVudA.dGFn";

    fn list(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let item = |id: &str| {
            serde_json::json!({
                "item_id": id, "scope": "bank.deposit", "media_type": SEALED, "length": JWE.len(),
                "sha256": Hash(hash::sha256(&[JWE])).to_string(),
            })
        };
        let mut value = serde_json::json!({ "item_cnt": 2, "item_list": [item("a"), item("b")] });
        change(&mut value);
        value.to_string().into_bytes()
    }

    fn scopes() -> Vec<String> {
        vec!["bank.deposit".into()]
    }

    fn run() -> Run {
        Run { items: Some(announced(&list(|_| {}), &scopes()).unwrap()), ..Run::new(3) }
    }

    #[test]
    fn a_run_goes_its_way_step_by_step() {
        assert_eq!(Run::new(0).next(), Next::List);
        let mut run = run();
        assert_eq!(run.next(), Next::Fetch(0));
        run.got(SEALED, JWE).unwrap();
        run.got(SEALED, JWE).unwrap();
        assert_eq!(run.got(SEALED, JWE), Err(Wrong::Count));
        assert_eq!(run.next(), Next::Send(0));
        run.sent = 2;
        assert_eq!(run.next(), Next::Sign);
        run.signed = true;
        assert_eq!(run.next(), Next::Confirm);
        run.over = Some(End::Confirmed);
        assert_eq!(run.next(), Next::Over);
        // A person may have nothing: then that is delivered.
        let empty = Run { items: Some(Vec::new()), ..Run::new(0) };
        assert_eq!(empty.next(), Next::Sign);
    }

    #[test]
    fn a_list_that_lies_is_no_list() {
        type Change = fn(&mut serde_json::Value);
        let lies: [(Wrong, Change); 10] = [
            (Wrong::Count, |v| v["item_cnt"] = 3.into()),
            (Wrong::Count, |v| v["item_cnt"] = u64::MAX.into()),
            (Wrong::Shape, |v| v["item_cnt"] = "2".into()),
            (Wrong::Name, |v| v["item_list"][1]["item_id"] = "a".into()),
            (Wrong::Name, |v| v["item_list"][1]["item_id"] = "../b".into()),
            (Wrong::Scope, |v| v["item_list"][1]["scope"] = "bank.loan".into()),
            (Wrong::Media, |v| v["item_list"][0]["media_type"] = PLAIN.into()),
            (Wrong::TooLarge, |v| v["item_list"][0]["length"] = (MAX_ITEM + 1).into()),
            (Wrong::Shape, |v| v["item_list"][0]["sha256"] = "00".into()),
            (Wrong::Shape, |v| v["item_list"] = serde_json::Value::Null),
        ];
        for (n, (wrong, change)) in lies.into_iter().enumerate() {
            assert_eq!(announced(&list(change), &scopes()), Err(wrong), "{n}");
        }
        for junk in [&b""[..], b"[]", b"{", b"\xff\xff", &[b'['; 10_000]] {
            assert_eq!(announced(junk, &scopes()), Err(Wrong::Shape));
        }
    }

    #[test]
    fn an_item_is_what_was_announced() {
        let mut other = JWE.to_vec();
        other[0] ^= 2;
        let cases: [(&str, &[u8], Wrong); 4] = [
            (PLAIN, JWE, Wrong::Media),
            (SEALED, b"short", Wrong::Length),
            (SEALED, &other, Wrong::Hash),
            (SEALED, &vec![b'x'; 5 << 20], Wrong::TooLarge),
        ];
        for (media, bytes, wrong) in cases {
            let mut run = run();
            let before = run.clone();
            assert_eq!(run.got(media, bytes), Err(wrong));
            assert_eq!(run, before);
        }
        // What says it is sealed and is not, is not carried.
        let mut run = run();
        let plain = br#"{"account_num":"1"}"#;
        let items = run.items.as_mut().unwrap();
        (items[0].length, items[0].hash) = (None, None);
        assert_eq!(run.got(SEALED, plain), Err(Wrong::Shape));
    }

    #[test]
    fn pauses_grow_and_end_with_success() {
        let mut run = Run::new(0);
        let mut pauses = Vec::new();
        for _ in 0..70 {
            run.later(Timestamp(1_000));
            pauses.push(run.not_before.0 - 1_000);
        }
        assert_eq!(&pauses[..4], [30_000, 60_000, 120_000, 240_000]);
        assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST_PAUSE_MS));
        run.done();
        run.later(Timestamp(0));
        assert_eq!(run.not_before.0, 30_000);
    }

    #[test]
    fn what_is_signed_names_every_item_in_its_place() {
        let demand = StatementId([1; 32]);
        let base = run();
        let all = [
            base.hash(&demand),
            base.hash(&StatementId([2; 32])),
            Run { number: 4, ..base.clone() }.hash(&demand),
            Run { items: Some(base.items().iter().rev().cloned().collect()), ..base.clone() }.hash(&demand),
            Run { items: Some(base.items()[..1].to_vec()), ..base.clone() }.hash(&demand),
        ];
        for (n, hash) in all.iter().enumerate() {
            assert!(!all[..n].contains(hash), "{n}");
        }
    }
}
