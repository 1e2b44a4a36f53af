//! SHA-256, HMAC-SHA-256 and the tree hashes of RFC 9162.
//!
//! Lacks any other algorithm: a suite is a row of a table elsewhere, the tree's
//! hash is fixed for ever. Trusts `sha2` and `hmac`.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// 32 bytes of SHA-256.
pub type Hash = [u8; 32];

/// Hashes the concatenation of `parts`.
///
/// # Example
///
/// ```
/// use naru::ledger::hash::sha256;
/// assert_eq!(sha256(&[b"ab", b"c"]), sha256(&[b"abc"]));
/// ```
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-256 of bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Running(Sha256);

impl Running {
    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// HMAC-SHA-256 of the concatenation of `parts` under `key` (any length).
///
/// Source: RFC 2104
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> Hash {
    // A key longer than a block is hashed first (RFC 2104 section 2); done here
    // so that the constructor cannot fail.
    let mut block = [0u8; 64];
    if key.len() > block.len() {
        block.iter_mut().zip(sha256(&[key])).for_each(|(slot, byte)| *slot = byte);
    } else {
        block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    }
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Hash of a leaf: `SHA-256(0x00 ‖ entry)`.
///
/// Source: RFC 9162 section 2.1.1
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry])
}

/// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
///
/// Source: RFC 9162 section 2.1.1
#[must_use]
pub fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Root of the empty tree: `SHA-256("")`.
///
/// Source: RFC 9162 section 2.1.1
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn vectors_of_fips_180_and_rfc_4231() {
        assert_eq!(
            hex(&sha256(&[b"abc"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(hex(&empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            hex(&hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = [0xaa; 131];
        assert_eq!(
            hex(&hmac(&long, &[b"Test Using Larger Than Block-Size Key - Hash Key First"])),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn leaf_and_node_have_their_own_prefixes() {
        assert_eq!(hex(&leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        assert_ne!(node(&[1; 32], &[2; 32]), node(&[2; 32], &[1; 32]));
    }
}
