//! Signed notes and verifier keys (C2SP signed-note v1).
//!
//! ```text
//! text, ends in a newline
//!
//! — name base64(4-byte key id ‖ signature)
//! ```
//!
//! Lacks every signature type but Ed25519 (0x01, over the text) and Ed25519
//! cosignatures (0x04, with a time). A parsed [`Note`] is not verified.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ledger::hash;
use crate::ledger::key;
use crate::ledger::key::PublicKey;

/// Longest note we read.
pub const MAX_NOTE: usize = 64 * 1024;
/// Most signature lines we read.
pub const MAX_SIGNATURES: usize = 64;

/// Why a note, a name or a verifier key is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a signed note.
    #[error("not a signed note")]
    Note,
    /// Not a key name: empty, a space, a plus sign or a control character.
    #[error("not a key name")]
    Name,
    /// Not a verifier key of an admitted type.
    #[error("not a verifier key")]
    Vkey,
    /// The key is not Ed25519.
    #[error("notes are signed with ed25519 only")]
    Algorithm,
    /// No signature line of the expected key.
    #[error("note is not signed by `{name}`")]
    Unsigned {
        /// Name of the expected key.
        name: String,
    },
    /// A line of the expected key does not verify.
    #[error("signature of `{name}` does not verify")]
    Signature {
        /// Name of the key.
        name: String,
    },
    /// The key is unusable, or signing failed.
    #[error(transparent)]
    Key(#[from] key::Error),
}

/// Signature types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 0x04: cosignature/v1, with a time.
    Cosigner,
    /// 0x01: Ed25519 over the text.
    Log,
}

impl Kind {
    /// The type byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Cosigner => 0x04,
            Self::Log => 0x01,
        }
    }
}

/// A verifier key: `<name>+<8 hex of the key id>+<base64(type ‖ 32 bytes)>`.
///
/// # Example
///
/// ```
/// use naru::ledger::note::Vkey;
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// assert_eq!(text.parse::<Vkey>().unwrap().to_string(), text);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    kind: Kind,
    raw: [u8; 32],
    key: PublicKey,
}

impl Vkey {
    /// Names an Ed25519 key.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Algorithm`].
    pub fn new(name: &str, kind: Kind, key: &PublicKey) -> Result<Self, Error> {
        check_name(name)?;
        let raw = key.ed25519().ok_or(Error::Algorithm)?;
        Ok(Self { name: name.to_owned(), kind, raw, key: key.clone() })
    }

    /// The key's name: of a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Its id: `SHA-256(name ‖ 0x0A ‖ type ‖ 32 bytes)[..4]`. A hint, not a name.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = hash::sha256(&[self.name.as_bytes(), b"\n", &[self.kind.byte()], &self.raw]);
        [a, b, c, d]
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.id());
        let key = [&[self.kind.byte()], self.raw.as_slice()].concat();
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for Vkey {
    type Err = Error;

    /// Parses the canonical form only, and checks the key id.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, rest) = text.split_once('+').ok_or(Error::Vkey)?;
        let (_, key) = rest.split_once('+').ok_or(Error::Vkey)?;
        let key = STANDARD.decode(key).map_err(|_| Error::Vkey)?;
        let (kind, raw) = key.split_first().ok_or(Error::Vkey)?;
        let kind = match kind {
            0x01 => Kind::Log,
            0x04 => Kind::Cosigner,
            _ => return Err(Error::Vkey),
        };
        let raw: &[u8; 32] = raw.try_into().map_err(|_| Error::Vkey)?;
        let vkey = Self::new(name, kind, &PublicKey::from_ed25519(raw)?)?;
        if vkey.to_string() == text { Ok(vkey) } else { Err(Error::Vkey) }
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Key id.
    pub id: [u8; 4],
    /// What follows the id: 64 bytes, or 72 with a time.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    /// Writes the line without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [self.id.as_slice(), &self.bytes].concat();
        write!(f, "— {} {}", self.name, STANDARD.encode(payload))
    }
}

impl FromStr for Signature {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let (name, payload) =
            line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(Error::Note)?;
        check_name(name).map_err(|_| Error::Note)?;
        let payload = STANDARD.decode(payload).map_err(|_| Error::Note)?;
        let (id, bytes) = payload.split_first_chunk::<4>().ok_or(Error::Note)?;
        if bytes.is_empty() {
            return Err(Error::Note);
        }
        Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
    }
}

/// A note and its signature lines, none of them verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The text, its final newline included.
    pub text: String,
    /// The lines, at least one.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// Parses a note.
    ///
    /// # Errors
    ///
    /// [`Error::Note`] for anything but text, blank line, signature lines; for
    /// control characters, and above [`MAX_NOTE`] or [`MAX_SIGNATURES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_NOTE {
            return Err(Error::Note);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| Error::Note)?;
        if note.chars().any(|symbol| symbol < ' ' && symbol != '\n') {
            return Err(Error::Note);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(Error::Note)?;
        let lines = lines.strip_suffix('\n').ok_or(Error::Note)?;
        let signatures = lines.split('\n').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(Error::Note);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Verifies the lines of one log key over the text.
    ///
    /// Lines of other keys are ignored; a line of this key must verify.
    ///
    /// # Errors
    ///
    /// [`Error::Unsigned`], [`Error::Signature`].
    pub fn verify(&self, vkey: &Vkey) -> Result<(), Error> {
        for signature in self.lines_of(vkey)? {
            vkey.key()
                .verify(self.text.as_bytes(), &signature.bytes)
                .map_err(|_| Error::Signature { name: vkey.name.clone() })?;
        }
        Ok(())
    }

    /// The lines that name this key, at least one.
    pub(super) fn lines_of(&self, vkey: &Vkey) -> Result<Vec<&Signature>, Error> {
        let id = vkey.id();
        let lines: Vec<_> =
            self.signatures.iter().filter(|line| line.name == vkey.name && line.id == id).collect();
        if lines.is_empty() { Err(Error::Unsigned { name: vkey.name.clone() }) } else { Ok(lines) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Refuses what may not name a key or a log.
///
/// # Errors
///
/// [`Error::Name`].
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let bad = |symbol: char| symbol.is_whitespace() || symbol.is_control() || symbol == '+';
    if name.is_empty() || name.len() > 255 || name.chars().any(bad) { Err(Error::Name) } else { Ok(()) }
}
