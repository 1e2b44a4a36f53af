//! What an archive says in lists, and what the parcels beside them have to hold.
//!
//! A list comes first and says which files follow in its parcel, in which order; each is proved
//! when it comes and forgotten then. So of many things one list is in memory, and of all lists one
//! hash of their names, numbers of rows and hashes, to be compared with the completeness list. Rows stand in a
//! strict order over all lists of a kind, so that a thing listed twice is found by the row before it alone:
//! uses by when they were written and their ids, items of sources by their names. Tables of uses
//! are made again row by row and only hashed. Lacks what proves a statement or a use
//! (`archive`) and what a source brought (`source`). Trusted: nothing that is read.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io::Write;

use serde_json::Value;

use crate::audit::archive::Error;
use crate::audit::archive::lines;
use crate::audit::archive::wrong;
use crate::audit::source;
use crate::audit::source::Sources;
use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::model::id;
use crate::model::id::DecisionId;
use crate::model::id::PartyId;
use crate::portability;
use crate::portability::ItemKind;
use crate::portability::Listed;
use crate::portability::TABLE_ROWS;
use crate::portability::Table;
use crate::portability::parcel;
use crate::portability::parcel::Named;
use crate::portability::source::BY_SOURCE;
use crate::portability::uses_csv_path;

/// What a file of a parcel has to be.
pub(in crate::audit) enum Owed {
    /// Evidence of a statement, of which the list says this.
    Statement(Vec<u8>),
    /// The receipt in the evidence before it.
    Receipt,
    /// Evidence of a use, of which the list says this.
    Use(Vec<u8>),
    /// What a source brought.
    Source(source::Owed),
}

/// A parcel that is to come, and the files in it by their paths.
struct Open {
    path: String,
    owed: VecDeque<(String, Owed)>,
}

/// What is known of a decision that an incident names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Asked {
    /// No list names it.
    Nowhere,
    /// A list names it, without evidence.
    Unproven,
    /// Who asked, proven.
    By(PartyId),
}

/// Proves a file of a parcel: its path, what it has to be, its content.
pub(in crate::audit) type Prove<'a> = dyn FnMut(&str, Owed, &[u8]) -> Result<(), Error> + 'a;

/// Lists so far.
#[derive(Default)]
pub(in crate::audit) struct Lists {
    open: Option<Open>,
    /// Every list, in the order of the archive.
    pub(in crate::audit) named: Names,
    /// Decisions that incidents name.
    pub(in crate::audit) quoted: BTreeMap<String, Asked>,
    /// Uses that are listed without evidence.
    pub(in crate::audit) unproven: u64,
    /// The use that was listed last: when it was written, and its id.
    last_use: Option<(u64, DecisionId)>,
    pub(in crate::audit) sources: Sources,
    tables: Tables,
}

/// Lists by their names, one after the other, as one hash: the same lists in the same order have the same.
#[derive(Default)]
pub(in crate::audit) struct Names(Running);

impl Names {
    pub(in crate::audit) fn push(&mut self, named: &Named) -> Result<(), serde_json::Error> {
        // One row is one line: no two lists of rows have the same bytes.
        self.0.update(&serde_json::to_vec(named)?);
        self.0.update(b"\n");
        Ok(())
    }

    pub(in crate::audit) fn hash(&self) -> Hash {
        self.0.clone().finish()
    }
}

/// What a list is about, by its folder.
fn kind_of(path: &str) -> Option<ItemKind> {
    let folders = [
        (portability::STATEMENTS, ItemKind::Statement),
        (portability::USES, ItemKind::Use),
        (BY_SOURCE, ItemKind::Deposit),
    ];
    folders.into_iter().find_map(|(folder, kind)| path.starts_with(folder).then_some(kind))
}

/// Whether a path is that of a list or parcel that is known here.
pub(in crate::audit) fn is_known(path: &str) -> bool {
    kind_of(path).is_some() && (parcel::is_list(path) || parcel::is_parcel(path))
}

impl Lists {
    /// No list yet; decisions that incidents name.
    pub(in crate::audit) fn with(quoted: BTreeMap<String, Asked>) -> Self {
        Self { quoted, ..Self::default() }
    }

    /// A list, and what its rows owe.
    pub(in crate::audit) fn list(&mut self, listed: &Listed, content: &[u8]) -> Result<(), Error> {
        let path = listed.path.as_str();
        let differs = || wrong(path, "it is no list of what is inside");
        self.closed()?;
        let kind = kind_of(path).ok_or_else(differs)?;
        let beside = parcel::parcel_beside(path).ok_or_else(differs)?;
        let (mut owed, mut items) = (VecDeque::new(), 0);
        for line in lines(content) {
            let row: Value = serde_json::from_slice(line)?;
            items += 1;
            match kind {
                ItemKind::Statement => {
                    owed.push_back((path_in(path, &row, "evidence")?, Owed::Statement(line.to_vec())));
                    owed.push_back((path_in(path, &row, "receipt")?, Owed::Receipt));
                }
                ItemKind::Use => {
                    self.follow_use(path, &row)?;
                    self.tables.push(&row)?;
                    if row.get("evidence").is_some_and(Value::is_null) {
                        let id = row.get("id").and_then(Value::as_str).ok_or_else(differs)?;
                        self.unproven += 1;
                        self.asked(id, Asked::Unproven);
                    } else {
                        owed.push_back((path_in(path, &row, "evidence")?, Owed::Use(line.to_vec())));
                    }
                }
                _ => {
                    let files = self.sources.row(path, &row)?;
                    owed.extend(files.into_iter().map(|(path, file)| (path, Owed::Source(file))));
                }
            }
        }
        let beside_it = format!("{beside}/");
        if items > parcel::MOST_ROWS || !owed.iter().all(|(path, _)| path.starts_with(&beside_it)) {
            return Err(differs());
        }
        self.named.push(&Named {
            kind,
            path: path.to_owned(),
            items,
            sha256: id::Hash(listed.sha256).to_string(),
        })?;
        self.open = (!owed.is_empty()).then_some(Open { path: beside, owed });
        Ok(())
    }

    /// A parcel: exactly the files that its list owes.
    pub(in crate::audit) fn parcel(
        &mut self,
        path: &str,
        content: &[u8],
        prove: &mut Prove<'_>,
    ) -> Result<(), Error> {
        let mut open = self.open.take().filter(|open| open.path == path);
        let open = open.as_mut().ok_or_else(|| wrong(path, "no list before it names what is in it"))?;
        parcel::open::<Error>(content, &mut |name, content| {
            let inside = format!("{path}/{name}");
            match open.owed.pop_front() {
                Some((expected, owed)) if expected == inside => match owed {
                    Owed::Source(owed) => self.sources.file(&inside, owed, content),
                    owed => prove(&inside, owed, content),
                },
                Some((expected, _)) => Err(wrong(&expected, "it is missing")),
                None => Err(wrong(&inside, "its list does not name it")),
            }
        })?;
        match open.owed.front() {
            Some((expected, _)) => Err(wrong(expected, "it is missing")),
            None => Ok(()),
        }
    }

    /// Whether a use stands behind the one that was listed before it. Of one with evidence the time is
    /// that of the line; of one without it is the list's word, as all that is said of it.
    fn follow_use(&mut self, list: &str, row: &Value) -> Result<(), Error> {
        let t = row.get("t").and_then(Value::as_u64);
        let id = row.get("id").and_then(Value::as_str).and_then(DecisionId::from_hex);
        let this = t.zip(id).ok_or_else(|| wrong(list, "a row does not say which use it is, and of when"))?;
        if self.last_use.replace(this).is_some_and(|last| last >= this) {
            return Err(wrong(list, "a use is listed twice, or not in order"));
        }
        Ok(())
    }

    /// What is known of a decision now, if an incident names it. A row without evidence takes nothing back
    /// that was proven.
    pub(in crate::audit) fn asked(&mut self, id: &str, asked: Asked) {
        if let Some(known) = self.quoted.get_mut(id)
            && !(matches!(known, Asked::By(_)) && asked == Asked::Unproven)
        {
            *known = asked;
        }
    }

    /// No parcel is owed.
    pub(in crate::audit) fn closed(&self) -> Result<(), Error> {
        self.open.as_ref().map_or(Ok(()), |open| Err(wrong(&open.path, "it is missing")))
    }

    /// What the tables of uses have to be, by path: after the last list.
    pub(in crate::audit) fn tables(&mut self) -> Result<&BTreeMap<String, Hash>, Error> {
        self.tables.end()
    }
}

/// The path of a file that a row of a list names.
fn path_in(list: &str, row: &Value, name: &str) -> Result<String, Error> {
    let path = row.get(name).and_then(Value::as_str).map(str::to_owned);
    path.ok_or_else(|| wrong(list, "a row does not say where its files are"))
}

/// Tables of uses on the way, as hashes.
#[derive(Default)]
struct Tables {
    open: Option<(Hashing, u64)>,
    done: BTreeMap<String, Hash>,
    ended: bool,
}

#[derive(Default)]
struct Hashing(Running);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Tables {
    fn begin(&mut self) -> Result<(), Error> {
        let mut out = Hashing::default();
        Table::uses(&mut out)?.end()?;
        self.open = Some((out, 0));
        Ok(())
    }

    fn close(&mut self) {
        if let Some((out, _)) = self.open.take() {
            self.done.insert(uses_csv_path(self.done.len() as u64 + 1), out.0.finish());
        }
    }

    fn push(&mut self, row: &Value) -> Result<(), Error> {
        if self.ended {
            return Err(wrong(portability::USES_CSV, "it stands before a list it is made from"));
        }
        if self.open.as_ref().is_some_and(|(_, rows)| *rows == TABLE_ROWS) {
            self.close();
        }
        if self.open.is_none() {
            self.begin()?;
        }
        if let Some((out, rows)) = &mut self.open {
            let mut table = Table::more_uses(out);
            table.push(row)?;
            table.end()?;
            *rows += 1;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<&BTreeMap<String, Hash>, Error> {
        if !self.ended {
            // Of no use at all there is one table with its head.
            if self.open.is_none() && self.done.is_empty() {
                self.begin()?;
            }
            self.close();
            self.ended = true;
        }
        Ok(&self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_evidence_takes_nothing_back_that_was_proven() {
        let by = |name: &str| Asked::By(PartyId::parse(name).unwrap());
        let mut lists = Lists::with(BTreeMap::from([("a".to_owned(), Asked::Nowhere)]));
        for (said, known) in
            [(Asked::Unproven, Asked::Unproven), (by("x"), by("x")), (Asked::Unproven, by("x"))]
        {
            lists.asked("a", said);
            assert_eq!(lists.quoted.get("a"), Some(&known));
        }
        lists.asked("b", by("x"));
        assert_eq!(lists.quoted.len(), 1, "only what an incident names is kept");
    }
}
