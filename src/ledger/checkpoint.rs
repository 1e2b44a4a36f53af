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

use crate::ledger::chain::LogKeys;
use crate::ledger::hash;
use crate::ledger::key::Signer;
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
    sign_by(checkpoint, &[signer])
}

/// As [`sign`], by several keys of the log, a line each: while one key follows another.
///
/// # Errors
///
/// As [`sign`].
pub fn sign_by(checkpoint: &Checkpoint, signers: &[&dyn Signer]) -> Result<String, Error> {
    let text = checkpoint.body()?;
    let line = |signer: &&dyn Signer| {
        let vkey = Vkey::new(&checkpoint.origin, Kind::Log, signer.public())?;
        let bytes = signer.sign(text.as_bytes()).map_err(note::Error::Key)?;
        Ok(Signature { name: checkpoint.origin.clone(), id: vkey.id(), bytes })
    };
    let signatures = signers.iter().map(line).collect::<Result<_, Error>>()?;
    Ok(Note { text, signatures }.to_string())
}

/// Checks the log's signature and opens the checkpoint: one of its keys that may speak of this size
/// has signed, and none of those has a line that does not hold.
///
/// # Errors
///
/// [`Error::Note`], [`Error::Body`], [`Error::Origin`], [`Error::EmptyRoot`].
pub fn open(bytes: &[u8], keys: &dyn LogKeys, origin: &str) -> Result<Checkpoint, Error> {
    let note = Note::parse(bytes)?;
    // At this point the size is a claim: it chooses the keys under which the claim must hold.
    let checkpoint = Checkpoint::parse_body(&note.text)?;
    let mut signed = false;
    for key in keys.speaking(checkpoint.size) {
        match note.verify(&Vkey::new(origin, Kind::Log, key)?) {
            Ok(()) => signed = true,
            Err(note::Error::Unsigned { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !signed {
        return Err(note::Error::Unsigned { name: origin.to_owned() }.into());
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;

    const ORIGIN: &str = "log.example/1";

    fn signed() -> (Ed25519Signer, String) {
        let signer = Ed25519Signer::from_seed([5; 32]);
        let note = sign(&Checkpoint { origin: ORIGIN.into(), size: 9, root: [1; 32] }, &signer).unwrap();
        (signer, note)
    }

    #[test]
    fn a_signed_checkpoint_opens_and_a_changed_one_does_not() {
        let (signer, note) = signed();
        let key = signer.public();
        let opened = open(note.as_bytes(), key, ORIGIN).unwrap();
        assert_eq!((opened.size, opened.root), (9, [1; 32]));
        for at in 0..note.len() {
            let mut other = note.clone().into_bytes();
            other[at] ^= 1;
            assert!(open(&other, key, ORIGIN).is_err(), "byte {at}");
        }
        assert!(open(note.as_bytes(), key, "log.example/2").is_err());
        assert!(open(note.as_bytes(), Ed25519Signer::from_seed([6; 32]).public(), ORIGIN).is_err());
        // A second line of the same key must verify too; a stranger's is ignored.
        let line = note.lines().last().unwrap();
        let stranger = cosign(note.as_bytes(), "w.example", &signer, 1).unwrap();
        open(format!("{note}{stranger}\n").as_bytes(), key, ORIGIN).unwrap();
        open(format!("{note}{line}\n").as_bytes(), key, ORIGIN).unwrap();
        let mut forged: Signature = line.parse().unwrap();
        forged.bytes[3] ^= 1;
        assert!(open(format!("{note}{forged}\n").as_bytes(), key, ORIGIN).is_err());
    }

    #[test]
    fn the_body_has_one_spelling() {
        let root = STANDARD.encode([1; 32]);
        Checkpoint::parse_body(&format!("o\n9\n{root}\n")).unwrap();
        for body in [
            format!("o\n09\n{root}\n"),
            format!("o\n+9\n{root}\n"),
            format!("o\n-9\n{root}\n"),
            format!("o\n9\n{root}"),
            format!("o\n9\n{root}\nextension\n"),
            format!("o\n9\n{root}\n\n"),
            format!("\n9\n{root}\n"),
            format!("o o\n9\n{root}\n"),
            format!("o+\n9\n{root}\n"),
            format!("o\t\n9\n{root}\n"),
            format!("o\u{85}\n9\n{root}\n"),
            format!("o\u{3000}x\n9\n{root}\n"),
            format!("o\n\n{root}\n"),
            format!("o\n9\n{}\n", root.trim_end_matches('=')),
            format!("o\n9\n{}\n", STANDARD.encode([1; 31])),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n9\n{}F=\n", &root[..42]),
            format!("o\n0\n{root}\n"),
            format!("o\r\n9\n{root}\n"),
        ] {
            assert!(Checkpoint::parse_body(&body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn no_origin_that_could_forge_a_line_is_signed() {
        let signer = Ed25519Signer::from_seed([5; 32]);
        for origin in ["", "a\nb", "a b", "a+b", "a\u{7f}", "a\u{0}", "a\u{2028}b", "\u{a0}"] {
            let checkpoint = Checkpoint { origin: origin.into(), size: 9, root: [1; 32] };
            assert!(sign(&checkpoint, &signer).is_err(), "{origin:?}");
            assert!(Vkey::new(origin, Kind::Log, signer.public()).is_err());
        }
    }

    #[test]
    fn an_empty_tree_has_the_empty_root() {
        let signer = Ed25519Signer::from_seed([5; 32]);
        let empty = Checkpoint { origin: ORIGIN.into(), size: 0, root: hash::empty_root() };
        let note = sign(&empty, &signer).unwrap();
        assert_eq!(open(note.as_bytes(), signer.public(), ORIGIN).unwrap(), empty);
        assert!(sign(&Checkpoint { root: [0; 32], ..empty }, &signer).is_err());
    }

    #[test]
    fn a_cosignature_covers_time_and_text() {
        let (_, note) = signed();
        let witness = Ed25519Signer::from_seed([7; 32]);
        let vkey = Vkey::new("w.example", Kind::Cosigner, witness.public()).unwrap();
        let line = cosign(note.as_bytes(), "w.example", &witness, 1234).unwrap();
        let cosigned = format!("{note}{line}\n");
        assert_eq!(verify_cosignature(cosigned.as_bytes(), &vkey).unwrap(), 1234);
        let mut later: Signature = line.parse().unwrap();
        later.bytes[7] ^= 1;
        assert!(verify_cosignature(format!("{note}{later}\n").as_bytes(), &vkey).is_err());
        assert!(verify_cosignature(cosigned.replacen("\n9\n", "\n8\n", 1).as_bytes(), &vkey).is_err());
        assert!(verify_cosignature(note.as_bytes(), &vkey).is_err());
        let log_kind = Vkey::new("w.example", Kind::Log, witness.public()).unwrap();
        assert!(verify_cosignature(cosigned.as_bytes(), &log_kind).is_err());
        assert_ne!(log_kind.id(), vkey.id());
    }

    #[test]
    fn notes_and_vkeys_have_one_spelling() {
        let (signer, note) = signed();
        assert_eq!(Note::parse(note.as_bytes()).unwrap().to_string(), note);
        for other in [
            note.trim_end().to_owned(),
            note.replacen("\n\n", "\n", 1),
            format!("{note}\n"),
            format!("{note}text\n"),
            note.replace("— ", "- "),
            note.replace('\n', "\r\n"),
            note.replacen('l', "\u{1}", 1),
            String::new(),
            note.replace("=\n", "\n"),
        ] {
            assert!(open(other.as_bytes(), signer.public(), ORIGIN).is_err(), "{other:?}");
        }
        let vkey = Vkey::new(ORIGIN, Kind::Log, signer.public()).unwrap().to_string();
        vkey.parse::<Vkey>().unwrap();
        for other in [vkey.to_uppercase(), format!("{vkey}\n"), format!(" {vkey}"), vkey.replace("+A", "+B")]
        {
            assert!(other.parse::<Vkey>().is_err(), "{other}");
        }
    }
}
