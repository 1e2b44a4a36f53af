//! A link to one archive of one person: an address with a secret, for a day.
//!
//! The address holds who it leads to, sealed by the vault, and 32 random bytes; kept is
//! only their hash, with the size of the checkpoint and the end, as an item of hers:
//! eight at most, the oldest goes first. So nobody guesses one, nobody who reads the store
//! has one, and it goes with her. As long as it holds it leads to the same bytes. It
//! ends early with the wrapping epoch. Lacks: sealed archives, which cannot be resumed.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Stop;
use crate::node::clock;
use crate::node::deposit::Keep;
use crate::node::deposit::Kept;
use crate::node::deposit::name;
use crate::node::deposit::open;
use crate::node::deposit::seal;
use crate::node::export::Export;
use crate::node::export::NoExport;
use crate::node::lane::Lane;
use crate::node::people::Loaded;

/// How long a link leads anywhere, ms.
pub const LINK_MS: u64 = 24 * 3_600_000;
/// Links of one person at a time.
pub const MOST_LINKS: u8 = 8;
/// Bytes of the secret.
const SECRET: usize = 32;
/// Longest address, characters.
const LONGEST: usize = 256;

/// What is kept of a link.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    hash: Hash,
    size: TreeSize,
    until: Timestamp,
}

/// A new link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What the address ends in: told once, to her.
    pub token: String,
    /// Entries under the checkpoint it is of.
    pub size: TreeSize,
    /// Nobody gets anything by it from here on.
    pub until: Timestamp,
}

fn hash_of(secret: &[u8]) -> Hash {
    Hash(hash::sha256(&[b"naru-link/v1", &[0], secret]))
}

/// Under which name who it leads to is sealed.
fn sealed_name(hash: &Hash) -> Vec<u8> {
    [b"export-link\0".as_slice(), &hash.0].concat()
}

impl Node {
    /// Makes a link to the archive of the person with this key, under the newest checkpoint or an older size.
    ///
    /// # Errors
    /// [`NoExport`].
    pub fn link_export(&self, key: &KeyHash, at: Option<TreeSize>) -> Result<Link, NoExport> {
        let who = self.person_of_key(key)?.ok_or(NoExport::Unknown)?;
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let size = self.inner.covering_of(at)?.size;
        if let Some(stop) = self.refuses(Lane::Open) {
            return Err(Error::Stopped(stop).into());
        }
        let secret: [u8; SECRET] = clock::random().map_err(Error::Randomness)?;
        let row = Row { hash: hash_of(&secret), size, until: self.now().plus_ms(LINK_MS) };
        let leads = self.vault.seal_name(&sealed_name(&row.hash), who).map_err(Error::from)?;
        let token = URL_SAFE_NO_PAD.encode([leads.as_slice(), &secret].concat());
        // Two at once would take one place.
        let _one_at_a_time = self.exports.1.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place_of_link(&loaded)?;
        let plain = cbor::encode(&row).map_err(Error::from)?;
        let item = seal(&loaded, name(b'l', &[place]), &plain)?;
        match self.keep(Keep::setting((*loaded).clone(), item))? {
            Kept::Set => {}
            _ => return Err(NoExport::Unknown),
        }
        self.store.barrier().map_err(|error| {
            self.stop(Stop::Io);
            Error::from(error)
        })?;
        Ok(Link { token, size, until: row.until })
    }

    /// Where a new link of hers is kept: a free place, or that of the one that ends first.
    fn place_of_link(&self, loaded: &Loaded) -> Result<u8, Error> {
        let rows = self.links_of(loaded)?;
        let free = (0..MOST_LINKS).find(|place| rows.iter().all(|(taken, _)| taken != place));
        let first = rows.iter().min_by_key(|(_, row)| row.until).map(|(place, _)| *place);
        Ok(free.or(first).unwrap_or_default())
    }

    /// The archive that a link leads to.
    ///
    /// # Errors
    /// [`NoExport::Unknown`] for what is no link, or none any more.
    pub fn linked_export(&self, token: &str) -> Result<Export, NoExport> {
        let unknown = || NoExport::Unknown;
        let bytes = Some(token).filter(|token| token.len() <= LONGEST);
        let bytes = bytes.and_then(|token| URL_SAFE_NO_PAD.decode(token).ok()).ok_or_else(unknown)?;
        let (leads, secret) = bytes.split_last_chunk::<SECRET>().ok_or_else(unknown)?;
        let hash = hash_of(secret);
        let who = self.vault.open_name(&sealed_name(&hash), leads).map_err(|_| unknown())?;
        let gone = self.people.is_erased(&who.subject) || self.is_awaiting_erasure(who);
        if gone || self.vault.person_key(who).is_err() {
            return Err(unknown());
        }
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let now = self.now();
        let rows = self.links_of(&loaded)?;
        let row = rows.iter().map(|(_, row)| row).find(|row| row.hash == hash && now < row.until);
        let size = row.ok_or_else(unknown)?.size;
        self.inner.begin_export(loaded, Some(size))
    }
}

impl Inner {
    fn links_of(&self, loaded: &Loaded) -> Result<Vec<(u8, Row)>, Error> {
        let rows = self.store.items(&loaded.who.subject, b"l", None, usize::from(MOST_LINKS))?;
        let read = |item: &crate::store::Item| {
            let place = item.name.get(1).copied().unwrap_or_default();
            Ok((place, cbor::decode(&open(&loaded.key, loaded.who, &item.name, &item.sealed)?)?))
        };
        rows.iter().map(read).collect()
    }
}
