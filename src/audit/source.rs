//! What an archive says of data by source: originals are what the list says, forms follow from them.
//!
//! The list comes first; then each original, then its form, which is made again here
//! and compared. What is encrypted to the person's own key is compared with nothing but
//! the manifest: only she can open it. Of what is over there is a row and no file. Rows stand in the order of
//! their names over all lists. That the party brought these bytes and not others, and which of them are one
//! item, is the log operator's word.

use serde_json::Value;

use crate::audit::archive::Error;
use crate::audit::archive::wrong;
use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::portability::import;
use crate::portability::import::Media;
use crate::portability::source::BY_SOURCE;

/// What a file has to be.
pub(in crate::audit) enum Owed {
    /// An original of this hash and media type, and whether a form follows.
    Original { sha256: Hash, media: Option<Media>, form: bool },
    /// Encrypted to her.
    Sealed,
    /// The form of the original before it.
    Form,
}

/// Files with their paths.
type Files = Vec<(String, Owed)>;

/// Items so far.
#[derive(Default)]
pub(in crate::audit) struct Sources {
    /// Items listed.
    pub(in crate::audit) items: usize,
    /// Those of them that are over: their contents are not inside.
    pub(in crate::audit) over: u64,
    /// SHA-256 of the form that follows from the original that came last.
    made: Option<hash::Hash>,
    /// Name of the item that was listed last.
    last: Option<Nonce>,
}

impl Sources {
    /// A row of a list, and the files it owes.
    pub(in crate::audit) fn row(&mut self, list: &str, row: &Value) -> Result<Files, Error> {
        let differs = || wrong(list, "it does not list exactly what sources brought");
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        let folder = text("party").map(|party| format!("{BY_SOURCE}{party}/"));
        if folder.is_none_or(|folder| !list.starts_with(&folder)) {
            return Err(differs());
        }
        let record = text("record").and_then(Nonce::from_hex).ok_or_else(differs)?;
        if self.last.replace(record).is_some_and(|last| last >= record) {
            return Err(wrong(list, "an item is listed twice, or not in order"));
        }
        if row.get("over").is_some_and(|over| !over.is_null()) {
            let none = |name: &str| row.get(name).is_some_and(Value::is_null);
            // Only what a log has delivered has an end.
            let carried = row.get("from").is_some_and(Value::is_object);
            if !carried || !["original", "form", "sha256", "profile", "items"].into_iter().all(none) {
                return Err(differs());
            }
            (self.items, self.over) = (self.items + 1, self.over + 1);
            return Ok(Vec::new());
        }
        let original = text("original").ok_or_else(differs)?.to_owned();
        let form = text("form").map(str::to_owned);
        let (own, beside) = match text("sealed_to") {
            Some("person") => (Owed::Sealed, Owed::Sealed),
            Some("service") => {
                let sha256 = text("sha256").and_then(Hash::from_hex).ok_or_else(differs)?;
                let media = text("media_type").and_then(Media::parse);
                (Owed::Original { sha256, media, form: form.is_some() }, Owed::Form)
            }
            Some(_) | None => return Err(differs()),
        };
        self.items += 1;
        Ok([Some((original, own)), form.map(|form| (form, beside))].into_iter().flatten().collect())
    }

    /// One of the files, in the order of the list.
    pub(in crate::audit) fn file(&mut self, path: &str, owed: Owed, content: &[u8]) -> Result<(), Error> {
        match owed {
            Owed::Sealed => Ok(()),
            Owed::Original { sha256, media, form } => {
                if hash::sha256(&[content]) != sha256.0 {
                    return Err(wrong(path, "it is not the original that the list names"));
                }
                if form {
                    let made = media.and_then(|media| import::read(media, content).ok().flatten());
                    let made = made.ok_or_else(|| wrong(path, "no form follows from it"))?.encode()?;
                    self.made = Some(hash::sha256(&[&made]));
                }
                Ok(())
            }
            Owed::Form if self.made.take() == Some(hash::sha256(&[content])) => Ok(()),
            Owed::Form => Err(wrong(path, "it does not follow from the original before it")),
        }
    }
}
