//! What a data holder answers where it is asked for a person's items: read, bounded, believed in nothing.
//!
//! The interface is the holder's to implement: `schemas/source.json`. A list is a page
//! of names with the hash of each; an original is bytes, and counts only if they are
//! what the list said. Lacks: sockets and retries, which are the caller's.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::Hash;
use crate::model::vocabulary::DataClass;
use crate::portability::import::MAX_ORIGINAL;

/// Where a holder is asked for a list.
pub const LIST: &str = "/naru/source/v1/items";
/// Where a holder is asked for an original.
pub const ORIGINAL: &str = "/naru/source/v1/original";
/// Longest answer to a list, bytes.
pub const MAX_LIST: u64 = 1 << 20;
/// Items asked for on a page, and most that are taken.
pub const PAGE: usize = 200;
/// Longest name or place, characters.
const MAX_NAME: usize = 128;

/// A question for a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListWish<'a> {
    /// The person, in the holder's domain.
    pub ppid: &'a str,
    /// Where the page before ended, as the holder said it.
    pub after: Option<&'a str>,
    /// Most items.
    pub limit: usize,
}

/// A question for an original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginalWish<'a> {
    /// The person, in the holder's domain.
    pub ppid: &'a str,
    /// Which.
    pub item: &'a str,
}

/// One item, as the holder lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offered {
    /// The holder's name of it.
    pub item: String,
    /// For which purpose it holds it.
    pub purpose: String,
    /// Which class of data.
    pub class: DataClass,
    /// Which categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// What the bytes are.
    pub media_type: String,
    /// How many.
    pub bytes: u64,
    /// SHA-256 of them.
    #[serde(deserialize_with = "Hash::of_text")]
    pub sha256: Hash,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The items.
    pub items: Vec<Offered>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// How a source lies, or is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lie {
    /// No page of a list.
    #[error("its list is none, or too long")]
    List,
    /// A page that names an item twice, or a place that was seen.
    #[error("its list goes in circles")]
    Circle,
    /// Bytes that are not what the list says.
    #[error("it sent other bytes than its list says")]
    Other,
}

/// Pages of one list as they come.
#[derive(Debug, Default)]
pub struct Pages {
    places: BTreeSet<String>,
    names: BTreeSet<String>,
}

impl Pages {
    /// Reads a page.
    ///
    /// # Errors
    /// [`Lie`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<Page, Lie> {
        let page: Page = serde_json::from_slice(bytes).map_err(|_| Lie::List)?;
        let name = |text: &String| (1..=MAX_NAME).contains(&text.len());
        let fits = |one: &Offered| {
            name(&one.item) && (1..=MAX_ORIGINAL as u64).contains(&one.bytes) && one.categories.len() <= 64
        };
        if page.items.len() > PAGE || !page.items.iter().all(fits) || !page.next.as_ref().is_none_or(name) {
            return Err(Lie::List);
        }
        let fresh = page.items.iter().all(|one| self.names.insert(one.item.clone()));
        let on =
            page.next.as_ref().is_none_or(|next| self.places.insert(next.clone()) && !page.items.is_empty());
        if fresh && on { Ok(page) } else { Err(Lie::Circle) }
    }
}
