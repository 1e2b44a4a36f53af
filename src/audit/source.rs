//! What an archive says of data by source: originals are what the list says, forms follow from them.
//!
//! The list comes first; then each original, then its form, which is made again here
//! and compared. What is encrypted to the person's own key is compared with nothing but
//! the manifest: only she can open it. That the party brought these bytes and
//! not others is the log operator's word.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::audit::archive::Error;
use crate::audit::archive::wrong;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::portability::import;
use crate::portability::import::Media;
use crate::portability::source::BY_SOURCE;
use crate::portability::source::SOURCES;

/// What a file has to be.
enum Owed {
    /// An original of this hash and media type, and where its form stands.
    Original { sha256: Hash, media: Option<Media>, form: Option<String> },
    /// Encrypted to her.
    Sealed,
    /// The form of an original that was seen.
    Form(hash::Hash),
    /// The form of an original still to come.
    Waits,
}

/// The files that are owed.
#[derive(Default)]
pub(in crate::audit) struct Sources {
    owed: BTreeMap<String, Owed>,
    /// Items listed.
    pub(in crate::audit) items: usize,
}

fn differs() -> Error {
    wrong(SOURCES, "it does not list exactly what sources brought")
}

impl Sources {
    /// The list.
    pub(in crate::audit) fn list(&mut self, content: &[u8]) -> Result<(), Error> {
        for line in content.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let row: Value = serde_json::from_slice(line)?;
            let text = |name: &str| row.get(name).and_then(Value::as_str);
            let original = text("original").filter(|path| path.starts_with(BY_SOURCE)).ok_or_else(differs)?;
            let form = text("form").map(str::to_owned);
            let (own, waits) = match text("sealed_to") {
                Some("person") => (Owed::Sealed, Owed::Sealed),
                Some("service") => {
                    let sha256 = text("sha256").and_then(Hash::from_hex).ok_or_else(differs)?;
                    let media = text("media_type").and_then(Media::parse);
                    (Owed::Original { sha256, media, form: form.clone() }, Owed::Waits)
                }
                Some(_) | None => return Err(differs()),
            };
            let twice = self.owed.insert(original.to_owned(), own).is_some()
                || form.is_some_and(|form| self.owed.insert(form, waits).is_some());
            if twice {
                return Err(differs());
            }
            self.items += 1;
        }
        Ok(())
    }

    /// One of the files.
    pub(in crate::audit) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        match self.owed.remove(path).ok_or_else(differs)? {
            Owed::Sealed => Ok(()),
            Owed::Original { sha256, media, form } => {
                if hash::sha256(&[content]) != sha256.0 {
                    return Err(wrong(path, "it is not the original that the list names"));
                }
                let Some(form) = form else { return Ok(()) };
                let made = media.and_then(|media| import::read(media, content).ok().flatten());
                let made = made.ok_or_else(|| wrong(path, "no form follows from it"))?.encode()?;
                self.owed.insert(form, Owed::Form(hash::sha256(&[&made])));
                Ok(())
            }
            Owed::Form(made) if made == hash::sha256(&[content]) => Ok(()),
            Owed::Form(_) | Owed::Waits => Err(wrong(path, "it does not follow from the original beside it")),
        }
    }

    /// All has come.
    pub(in crate::audit) fn end(&self) -> Result<(), Error> {
        if self.owed.is_empty() { Ok(()) } else { Err(differs()) }
    }
}
