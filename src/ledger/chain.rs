//! Which keys speak for a log, at which size.
//!
//! A log begins with one key. A `log.rotate` at index `i` brings the next: from then on
//! the new key signs, and the old one may speak of trees of at most `i` entries, for what
//! it signed then stays true. A newer key may speak of older trees too: it answers for all
//! of them. Lacks the statements that make a chain (whoever reads them hands it in), and
//! dates: the overlap is a courtesy to readers who do not know the new key yet.

use crate::ledger::key::PublicKey;

/// The keys a reader takes for a log's: one that it knows, or a whole [`Chain`].
pub trait LogKeys {
    /// Those that may speak of a tree of `size` entries, the newest first.
    fn speaking(&self, size: u64) -> Vec<&PublicKey>;

    /// The one of this hash, if it may speak of a tree of `size` entries.
    fn named(&self, kid: &[u8], size: u64) -> Option<&PublicKey> {
        self.speaking(size).into_iter().find(|key| key.hash() == kid)
    }
}

/// Who knows one key knows of no end of it.
impl LogKeys for PublicKey {
    fn speaking(&self, _: u64) -> Vec<&PublicKey> {
        vec![self]
    }
}

/// A log's keys in order, each but the newest with the index at which it ended.
#[derive(Clone, Debug)]
pub struct Chain {
    former: Vec<(PublicKey, u64)>,
    newest: PublicKey,
}

impl Chain {
    /// The chain of a log that has had one key.
    #[must_use]
    pub const fn new(first: PublicKey) -> Self {
        Self { former: Vec::new(), newest: first }
    }

    /// The entry at `index` brings the next key.
    #[must_use]
    pub fn then(mut self, index: u64, next: PublicKey) -> Self {
        let last = std::mem::replace(&mut self.newest, next);
        self.former.push((last, index));
        self
    }

    /// The key that signs now.
    #[must_use]
    pub const fn newest(&self) -> &PublicKey {
        &self.newest
    }

    /// The key that signed the beginning.
    #[must_use]
    pub fn first(&self) -> &PublicKey {
        self.former.first().map_or(&self.newest, |(key, _)| key)
    }

    /// Where rotations stand, in order.
    pub fn rotations(&self) -> impl Iterator<Item = u64> + '_ {
        self.former.iter().map(|(_, index)| *index)
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.former.iter().map(|(key, _)| key).chain([&self.newest])
    }
}

/// Two chains are equal if they have the same keys from the same places.
impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        self.rotations().eq(other.rotations())
            && self.keys().map(PublicKey::spki).eq(other.keys().map(PublicKey::spki))
    }
}

impl Eq for Chain {}

impl LogKeys for Chain {
    fn speaking(&self, size: u64) -> Vec<&PublicKey> {
        let former = self.former.iter().rev().filter(|(_, end)| size <= *end).map(|(key, _)| key);
        std::iter::once(&self.newest).chain(former).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::{Ed25519Signer, Signer};

    #[test]
    fn an_ended_key_speaks_of_what_it_saw_and_of_nothing_later() {
        let key = |seed| Ed25519Signer::from_seed([seed; 32]).public().clone();
        let chain = Chain::new(key(1)).then(10, key(2)).then(20, key(3));
        let names = |size| chain.speaking(size).iter().map(|key| key.hash()).collect::<Vec<_>>();
        assert_eq!(names(10), [key(3).hash(), key(2).hash(), key(1).hash()]);
        assert_eq!(names(11), [key(3).hash(), key(2).hash()]);
        assert_eq!(names(21), [key(3).hash()]);
        assert!(chain.named(&key(1).hash(), 10).is_some() && chain.named(&key(1).hash(), 11).is_none());
        assert!(chain.named(&key(4).hash(), 1).is_none());
        assert_eq!((chain.first(), chain.newest()), (&key(1), &key(3)));
        assert_ne!(chain, Chain::new(key(1)).then(11, key(2)).then(20, key(3)));
        assert!(key(1).named(&key(1).hash(), u64::MAX).is_some());
    }
}
