//! Names and instants: every identifier that crosses a module border.
//!
//! Fixed-width byte names are newtypes over arrays, so that a key hash is never
//! taken for a statement id. On the wire all of them are CBOR byte strings; as
//! text they are lower-case hex, a ppid with its prefix `ppid_`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Declares a fixed-width byte name: CBOR byte string, hex text.
macro_rules! bytes_name {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Width in bytes.
            pub const LEN: usize = $len;

            /// The bytes themselves.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads exactly `LEN` bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Parses lower-case hex of exactly `LEN` bytes.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                let mut out = [0u8; $len];
                hex_into(text, &mut out).then_some(Self(out))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0u8; $len * 2];
                f.write_str(hex(&self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Seen;
                impl de::Visitor<'_> for Seen {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<$name, E> {
                        $name::from_slice(v).ok_or_else(|| E::invalid_length(v.len(), &self))
                    }
                }
                d.deserialize_bytes(Seen)
            }
        }
    };
}

bytes_name!(
    /// A person inside one node: random, never leaves it.
    SubjectId, 16, "16 bytes naming a subject"
);
bytes_name!(
    /// A person as one domain sees her: pairwise, stable, not joinable.
    ///
    /// `HMAC-SHA-256(pairwise key, "naru-ppid-v1" ‖ 0 ‖ domain ‖ 0 ‖ subject)[..16]`.
    Ppid, 16, "16 bytes naming a person in one domain"
);
bytes_name!(
    /// Drawn by whoever signs a statement, so that two equal wishes are two statements.
    Nonce, 16, "16 random bytes"
);
bytes_name!(
    /// `SHA-256("naru-id/v1" ‖ 0 ‖ SHA-256(SPKI) ‖ SHA-256(statement))`.
    StatementId, 32, "32 bytes naming a statement"
);
impl StatementId {
    /// Name of the incident that a complaint of this id becomes: its first 16 bytes.
    #[must_use]
    pub fn incident(&self) -> Nonce {
        let mut out = [0; 16];
        out.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        Nonce(out)
    }
}

bytes_name!(
    /// One evaluation, as its asker was told: where its use line stands, to the node alone.
    DecisionId, 16, "16 bytes naming a decision"
);
bytes_name!(
    /// `SHA-256(SPKI)` of a public key.
    KeyHash, 32, "32 bytes, SHA-256 of an SPKI"
);
bytes_name!(
    /// A SHA-256 of something: an attachment, a pack, a Merkle node.
    Hash, 32, "32 bytes of SHA-256"
);

impl Hash {
    /// Reads it as hex, which it is in JSON.
    ///
    /// # Errors
    /// No text, or another text.
    pub fn of_text<'de, D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::from_hex(&text).ok_or_else(|| de::Error::custom("a SHA-256 is 64 hex digits"))
    }
}

/// Writes lower-case hex, two digits a byte, and answers it: names stand in every answer.
fn hex<'a>(bytes: &[u8], text: &'a mut [u8]) -> &'a str {
    let digit = |n: u8| if n < 10 { b'0' + n } else { b'a' + n - 10 };
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
    }
    std::str::from_utf8(text).unwrap_or_default()
}

impl Ppid {
    /// Prefix of the text form.
    pub const PREFIX: &'static str = "ppid_";

    /// The text form: `ppid_` and 32 hex digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}{self}", Self::PREFIX)
    }

    /// Parses the text form, and nothing else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.strip_prefix(Self::PREFIX).and_then(Self::from_hex)
    }
}

/// Fills `out` from lower-case hex of exactly its length.
fn hex_into(text: &str, out: &mut [u8]) -> bool {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty()
        && pairs.len() == out.len()
        && pairs.iter().zip(out).all(|([h, l], o)| match (digit(*h), digit(*l)) {
            (Some(h), Some(l)) => {
                *o = h << 4 | l;
                true
            }
            _ => false,
        })
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
///
/// What is read is never after [`Timestamp::LAST`], but for an `iat`; what is reckoned is not, either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::named(u64::deserialize(d)?).ok_or_else(|| de::Error::custom(Self::TOO_LATE))
    }
}

impl Timestamp {
    /// 9999-12-31T23:59:59.999Z: the last instant that a text of RFC 3339 can name (its year has four
    /// digits), and one that every reader of JSON can count to (2^53 - 1; RFC 8259 section 6).
    pub const LAST: Self = Self(253_402_300_799_999);
    /// What is said of a later one.
    pub const TOO_LATE: &'static str = "an instant is after the end of the year 9999";

    /// An instant that somebody else names; `None` after [`Timestamp::LAST`].
    #[must_use]
    pub const fn named(ms: u64) -> Option<Self> {
        if ms > Self::LAST.0 { None } else { Some(Self(ms)) }
    }

    /// The later instant, at most [`Timestamp::LAST`]: what is reckoned and kept can be read again. One after
    /// it stays what it is.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        let later = self.0.saturating_add(ms);
        if later <= Self::LAST.0 {
            Self(later)
        } else if self.0 <= Self::LAST.0 {
            Self::LAST
        } else {
            self
        }
    }

    /// The earlier instant, saturating at 1970.
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Rounded down to a multiple of `grain_ms` (a grain of 0 counts as 1).
    #[must_use]
    pub const fn rounded_to(self, grain_ms: u64) -> Self {
        let grain = if grain_ms == 0 { 1 } else { grain_ms };
        Self(self.0 - self.0 % grain)
    }
}

/// Where an entry stands in the log: `[0, 2^40)`.
pub type LeafIndex = u64;
/// How many entries a log holds.
pub type TreeSize = u64;

/// Name of a party: 1 to 64 of `a–z 0–9 - .`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PartyId(String);

impl PartyId {
    /// Parses a party name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ok = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-' || *b == b'.';
        let bytes = text.as_bytes();
        (matches!(bytes.len(), 1..=64)
            && bytes.iter().all(ok)
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric))
        .then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartyId({})", self.0)
    }
}

impl<'de> Deserialize<'de> for PartyId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom("a party name is 1 to 64 of `a-z 0-9 - .`, beginning with a letter or digit")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ppid_text_is_exact() {
        let ppid = Ppid([0xab; 16]);
        assert_eq!(Ppid::from_text(&ppid.to_text()), Some(ppid));
        for bad in ["", "ppid_", "abababababababababababababababab", "ppid_ABABABABABABABABABABABABABABABAB"]
        {
            assert_eq!(Ppid::from_text(bad), None, "{bad}");
        }
        assert_eq!(Ppid::from_text(&format!("{}00", ppid.to_text())), None);
    }

    #[test]
    fn party_names_are_closed() {
        for good in ["bank", "hospital.kr", "a", "9-lives"] {
            assert!(PartyId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-bank", "Bank", "bank/1", "bank kr", &"a".repeat(65)] {
            assert!(PartyId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn nobody_names_an_instant_after_the_year_9999() {
        let read = |ms: u64| serde_json::from_str::<Timestamp>(&ms.to_string());
        let last = Timestamp::LAST;
        assert_eq!((read(0).unwrap(), read(last.0).unwrap()), (Timestamp(0), last));
        for late in [last.0 + 1, (1 << 53) - 1, 1 << 53, u64::MAX] {
            assert!(read(late).unwrap_err().to_string().starts_with(Timestamp::TOO_LATE));
            assert_eq!(Timestamp::named(late), None);
        }
    }

    #[test]
    fn what_is_reckoned_can_be_read_again() {
        let now = Timestamp(1_764_000_000_000);
        assert_eq!(now.plus_ms(7), Timestamp(1_764_000_000_007));
        for long in [Timestamp::LAST.0, u64::MAX] {
            let read = serde_json::from_str::<Timestamp>(&now.plus_ms(long).0.to_string());
            assert_eq!(read.unwrap(), Timestamp::LAST);
        }
        // An `iat` may be beyond it: it is never taken back by what is added.
        assert_eq!(Timestamp(u64::MAX - 1).plus_ms(5), Timestamp(u64::MAX - 1));
    }

    #[test]
    fn rounding_never_goes_up() {
        assert_eq!(Timestamp(7_999).rounded_to(5_000), Timestamp(5_000));
        assert_eq!(Timestamp(7_999).rounded_to(0), Timestamp(7_999));
    }
}
