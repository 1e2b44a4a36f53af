//! Named draws from one number: keys, nonces, choices.
//!
//! The same seed and the same name give the same bytes in every run and on every
//! machine, whatever was drawn before. Lacks any claim to be secret: whoever
//! knows the seed knows every key of the demo.

use crate::ledger::hash;
use crate::ledger::key::Ed25519Signer;
use crate::model::id::Nonce;

/// Where all draws of one run come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed([u8; 32]);

impl Seed {
    /// The source of a number.
    pub(super) fn new(number: u64) -> Self {
        Self(hash::sha256(&[b"naru-demo/v1", &[0], &number.to_be_bytes()]))
    }

    /// Another source, of that name: nothing drawn from one is drawn from the other.
    pub(super) fn other(&self, name: &str) -> Self {
        Self(self.bytes(name, 0))
    }

    /// 32 bytes of that name.
    pub(super) fn bytes(&self, name: &str, n: u64) -> [u8; 32] {
        hash::hmac(&self.0, &[name.as_bytes(), &[0], &n.to_be_bytes()])
    }

    /// A signing key of that name.
    pub(super) fn signer(&self, name: &str, n: u64) -> Ed25519Signer {
        Ed25519Signer::from_seed(self.bytes(name, n))
    }

    /// A nonce of that name.
    pub(super) fn nonce(&self, name: &str, n: u64) -> Nonce {
        let [first, second] = *self.bytes(name, n).as_chunks::<16>().0 else { return Nonce([0; 16]) };
        // Both halves count: two names must not meet in one half.
        Nonce(std::array::from_fn(|at| {
            first.get(at).copied().unwrap_or_default() ^ second.get(at).copied().unwrap_or_default()
        }))
    }

    /// Dice of that name.
    pub(super) fn dice(&self, name: &str, n: u64) -> Dice {
        Dice { key: self.bytes(name, n), thrown: 0 }
    }
}

/// A stream of choices.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    key: [u8; 32],
    thrown: u64,
}

impl Dice {
    fn throw(&mut self) -> u64 {
        self.thrown += 1;
        let bytes = hash::hmac(&self.key, &[&self.thrown.to_be_bytes()]);
        bytes.first_chunk().map_or(0, |chunk| u64::from_be_bytes(*chunk))
    }

    /// A number in `[0, n)`; 0 if `n` is 0. The bias of the remainder is below 2⁻⁴⁸ for every `n` here.
    pub(super) fn below(&mut self, n: u16) -> u16 {
        u16::try_from(self.throw() % u64::from(n.max(1))).unwrap_or_default()
    }

    /// A number in `[from, until)`.
    pub(super) fn between(&mut self, from: u16, until: u16) -> u16 {
        from.saturating_add(self.below(until.saturating_sub(from)))
    }

    /// True in so many of a thousand throws.
    pub(super) fn chance(&mut self, permille: u16) -> bool {
        self.below(1000) < permille
    }

    /// One of a list.
    pub(super) fn of<T: Copy>(&mut self, list: &[T], otherwise: T) -> T {
        let n = u16::try_from(list.len()).unwrap_or(u16::MAX);
        list.get(usize::from(self.below(n))).copied().unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_name_alone() {
        let (a, b) = (Seed::new(831), Seed::new(832));
        assert_eq!(a.bytes("key", 1), Seed::new(831).bytes("key", 1));
        assert_ne!(a.bytes("key", 1), a.bytes("key", 2));
        assert_ne!(a.bytes("key", 1), a.bytes("nonce", 1));
        assert_ne!(a.bytes("key", 1), b.bytes("key", 1));
        let throws = |mut dice: Dice| (0..64).map(|_| dice.below(6)).collect::<Vec<_>>();
        assert_eq!(throws(a.dice("d", 0)), throws(a.dice("d", 0)));
        assert!(throws(a.dice("d", 0)).iter().all(|n| *n < 6));
        assert_eq!(a.dice("d", 0).below(0), 0);
    }
}
