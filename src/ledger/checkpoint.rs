//! The signed head of the log (C2SP tlog-checkpoint v1, tlog-cosignature v1).
//!
//! ```text
//! <origin>
//! <size>
//! <base64 root>
//! ```
//!
//! Lacks extension lines. The key is named by the origin. A checkpoint shows what
//! one log said to one reader: only cosignatures or a comparison show that it
//! said the same to all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ledger::hash;
use crate::ledger::key::{PublicKey, Signer};
use crate::ledger::note;
use crate::ledger::note::{Kind, Note, Signature, Vkey};

/// Why a checkpoint is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] note::Error),
    /// The text is not a canonical checkpoint.
    #[error("not a canonical checkpoint")]
    Body,
    /// It is of another log.
    #[error("checkpoint of another origin than `{expected}`")]
    Origin {
        /// The expected origin.
        expected: String,
    },
    /// An empty tree has one root only.
    #[error("size 0 with a root that is not that of the empty tree")]
    EmptyRoot,
}

/// Size and root of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log: a URL without scheme.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// RFC 9162 root.
    pub root: [u8; 32],
}

impl Checkpoint {
    /// The text that is signed.
    ///
    /// # Errors
    ///
    /// [`Error::Note`] if the origin is no name; [`Error::EmptyRoot`].
    pub fn body(&self) -> Result<String, Error> {
        note::check_name(&self.origin)?;
        if self.size == 0 && self.root != hash::empty_root() {
            return Err(Error::EmptyRoot);
        }
        Ok(format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root)))
    }

    /// Parses the text, canonical form only. Says nothing about who signed it.
    ///
    /// # Errors
    ///
    /// [`Error::Body`], [`Error::Note`], [`Error::EmptyRoot`].
    pub fn parse_body(text: &str) -> Result<Self, Error> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(Error::Body);
        };
        let root = STANDARD.decode(root).map_err(|_| Error::Body)?;
        let parsed = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| Error::Body)?,
            root: root.try_into().map_err(|_| Error::Body)?,
        };
        // One spelling: no leading zeros, no sign, canonical base64.
        if parsed.body()? == text { Ok(parsed) } else { Err(Error::Body) }
    }
}

/// Signs a checkpoint as its log; answers the note.
///
/// # Errors
///
/// As [`Checkpoint::body`]; [`note::Error::Algorithm`] if the key is not Ed25519.
pub fn sign(checkpoint: &Checkpoint, signer: &dyn Signer) -> Result<String, Error> {
    let text = checkpoint.body()?;
    let vkey = Vkey::new(&checkpoint.origin, Kind::Log, signer.public())?;
    let bytes = signer.sign(text.as_bytes()).map_err(note::Error::Key)?;
    let signature = Signature { name: checkpoint.origin.clone(), id: vkey.id(), bytes };
    Ok(Note { text, signatures: vec![signature] }.to_string())
}

/// Checks the log's signature and opens the checkpoint.
///
/// # Errors
///
/// [`Error::Note`], [`Error::Body`], [`Error::Origin`], [`Error::EmptyRoot`].
pub fn open(bytes: &[u8], key: &PublicKey, origin: &str) -> Result<Checkpoint, Error> {
    let note = Note::parse(bytes)?;
    note.verify(&Vkey::new(origin, Kind::Log, key)?)?;
    let checkpoint = Checkpoint::parse_body(&note.text)?;
    if checkpoint.origin == origin {
        Ok(checkpoint)
    } else {
        Err(Error::Origin { expected: origin.to_owned() })
    }
}

/// Cosigns a checkpoint note at `time_s` (seconds since 1970); answers the line
/// without its newline. The caller has checked the log's signature and consistency.
///
/// # Errors
///
/// [`Error::Note`], [`Error::Body`].
pub fn cosign(bytes: &[u8], name: &str, signer: &dyn Signer, time_s: u64) -> Result<String, Error> {
    let note = Note::parse(bytes)?;
    Checkpoint::parse_body(&note.text)?;
    let vkey = Vkey::new(name, Kind::Cosigner, signer.public())?;
    let signature = signer.sign(&cosigned(&note.text, time_s)).map_err(note::Error::Key)?;
    let bytes = [time_s.to_be_bytes().as_slice(), &signature].concat();
    Ok(Signature { name: name.to_owned(), id: vkey.id(), bytes }.to_string())
}

/// Verifies the lines of one cosigner; answers its time, the newest if several.
///
/// # Errors
///
/// [`note::Error::Unsigned`], [`note::Error::Signature`], [`note::Error::Vkey`]
/// if the key is no cosigner's.
pub fn verify_cosignature(bytes: &[u8], vkey: &Vkey) -> Result<u64, Error> {
    if vkey.kind() != Kind::Cosigner {
        return Err(note::Error::Vkey.into());
    }
    let note = Note::parse(bytes)?;
    let wrong = || note::Error::Signature { name: vkey.name().to_owned() };
    let mut newest = 0;
    for line in note.lines_of(vkey)? {
        let (time, signature) = line.bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let time_s = u64::from_be_bytes(*time);
        vkey.key().verify(&cosigned(&note.text, time_s), signature).map_err(|_| wrong())?;
        newest = newest.max(time_s);
    }
    Ok(newest)
}

fn cosigned(text: &str, time_s: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes()
}
