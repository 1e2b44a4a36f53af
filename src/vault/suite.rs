//! Cipher suites as rows of a table: none is built in, all are at hand.
//!
//! AES-256-GCM is preferred; ChaCha20-Poly1305 is for machines without AES instructions,
//! ARIA-256-GCM (KS X 1213, RFC 5794) for who must use a Korean cipher. All take a key of 32
//! bytes, a nonce of 12 and give a tag of 16, so sealed bytes look alike. Lacks: the
//! ciphers themselves (`aead`).

/// How a key seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suite {
    /// AES-256-GCM, NIST SP 800-38D.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305, RFC 8439.
    ChaCha20Poly1305,
    /// ARIA-256-GCM, RFC 5794 and NIST SP 800-38D.
    Aria256Gcm,
}

impl Suite {
    /// Every suite, by id.
    pub const ALL: [Self; 3] = [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Aria256Gcm];

    /// Its id where a key is kept: never given to another.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Aes256Gcm => 0,
            Self::ChaCha20Poly1305 => 1,
            Self::Aria256Gcm => 2,
        }
    }

    /// The suite of an id.
    #[must_use]
    pub fn of_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Its spelling for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aria256Gcm => "aria-256-gcm",
        }
    }

    /// Parses the spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.as_str() == text)
    }

    /// What openssl calls it.
    pub(in crate::vault) const fn cipher(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
            Self::Aria256Gcm => "ARIA-256-GCM",
        }
    }
}
