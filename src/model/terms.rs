//! The vocabulary: purposes, categories and items that statements and packs may name.
//!
//! `schemas/vocabulary.toml` lists the terms of DPV 2.3 this build knows, under
//! their published names, and the scopes of K-MyData. Statements carry the short
//! form (`dpv:Marketing`, `pd:Income`, `bank.deposit`), byte for byte; prefixes are
//! fixed by that file, so a short form is never ambiguous and nothing is fetched.
//!
//! Lacks: inference. A term is not replaced by a wider or narrower one; only
//! category rows of a pack reach down to narrower categories.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

const VOCABULARY: &str = include_str!("../../schemas/vocabulary.toml");

/// A file of this crate or of an operator that does not say what it must, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct Error {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a place in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not TOML, an unknown key, or a value of the wrong kind: the parser's words.
    #[error("{0}")]
    Malformed(String),
    /// A name stands twice.
    #[error("`{0}` stands already")]
    Twice(String),
    /// A rule is named that no line defines.
    #[error("no rule `{0}` in this pack")]
    UnknownRule(String),
    /// A term is named that the vocabulary does not have.
    #[error("`{0}` is not in the vocabulary")]
    UnknownTerm(String),
    /// A class has no line in a table that must have one for each.
    #[error("no `{table}` line for class `{class}`")]
    NoLineFor {
        /// Name of the table.
        table: &'static str,
        /// Name of the class.
        class: &'static str,
    },
    /// A reason of the decision has no rule.
    #[error("no rule for reason `{reason}` in class `{class}`")]
    ReasonWithoutRule {
        /// The reason.
        reason: &'static str,
        /// Name of the class.
        class: &'static str,
    },
    /// A table that must have a line has none.
    #[error("no `{0}` line")]
    Missing(&'static str),
    /// Values that contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl Error {
    /// Places a fault at a byte offset of `text`.
    pub(in crate::model) fn at(text: &str, offset: usize, fault: Fault) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        Self { line, column, fault }
    }

    /// What the TOML parser says, placed.
    pub(in crate::model) fn of_toml(text: &str, e: &toml::de::Error) -> Self {
        let offset = e.span().map_or(0, |s| s.start);
        Self::at(text, offset, Fault::Malformed(e.message().to_owned()))
    }
}

/// A word with its place in the file it was read from, so that a later check can name the line.
#[derive(Clone)]
pub struct Word {
    text: Arc<str>,
    offset: usize,
}

impl Word {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The word, to be shared: a decision clones it without allocating.
    #[must_use]
    pub const fn shared(&self) -> &Arc<str> {
        &self.text
    }

    /// Where it stands: bytes from the start of the file.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl Deref for Word {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Word {}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(d)?;
        let offset = spanned.span().start;
        Ok(Self { text: spanned.into_inner().into(), offset })
    }
}

/// One term of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Term {
    /// Short form, as statements carry it: `dpv:Marketing`, `pd:Income`, `bank.deposit`.
    pub name: Word,
    /// Wider terms, short form; empty at the top. Source: `skos:broader` of DPV 2.3.
    #[serde(default)]
    pub broader: Vec<Word>,
    /// Korean label, ours: DPV 2.3 has none.
    pub ko: String,
    /// English label of the publisher.
    pub en: String,
    /// Whether DPV types it a special category of personal data.
    #[serde(default)]
    pub special: bool,
}

/// Where the terms come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Published {
    /// Name of the vocabulary.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it was read: repository, commit, files.
    pub source: String,
}

/// A prefix of short forms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefix {
    /// What stands before the colon.
    pub name: Word,
    /// What it stands for.
    pub iri: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vocabulary: Published,
    prefix: Vec<Prefix>,
    purpose: Vec<Term>,
    category: Vec<Term>,
    item: Vec<Term>,
}

/// The terms this build knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    published: Published,
    prefixes: Vec<Prefix>,
    purposes: BTreeMap<String, Term>,
    categories: BTreeMap<String, Term>,
    items: BTreeMap<String, Term>,
}

impl Vocabulary {
    /// The vocabulary compiled into this build.
    ///
    /// # Errors
    /// The file is wrong; a test of this crate holds that it is not.
    pub fn embedded() -> Result<Self, Error> {
        Self::parse(VOCABULARY)
    }

    /// Reads a vocabulary file.
    ///
    /// # Errors
    /// Malformed, a name twice, or a wider term that is not listed: with its line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|e| Error::of_toml(text, &e))?;
        Ok(Self {
            purposes: table(text, file.purpose)?,
            categories: table(text, file.category)?,
            items: table(text, file.item)?,
            published: file.vocabulary,
            prefixes: file.prefix,
        })
    }

    /// Version of the published vocabulary: `2.3`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.published.version
    }

    /// Where the terms come from.
    #[must_use]
    pub const fn published(&self) -> &Published {
        &self.published
    }

    /// The purpose of that short form.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<&Term> {
        self.purposes.get(name)
    }

    /// The category of that short form.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&Term> {
        self.categories.get(name)
    }

    /// The item of that scope.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<&Term> {
        self.items.get(name)
    }

    /// All purposes, by name.
    pub fn purposes(&self) -> impl Iterator<Item = &Term> {
        self.purposes.values()
    }

    /// All categories, by name.
    pub fn categories(&self) -> impl Iterator<Item = &Term> {
        self.categories.values()
    }

    /// All items, by name.
    pub fn items(&self) -> impl Iterator<Item = &Term> {
        self.items.values()
    }

    /// The full IRI of a short form, if its prefix is known: `dpv:Marketing` is `https://w3id.org/dpv#Marketing`.
    #[must_use]
    pub fn iri(&self, name: &str) -> Option<String> {
        let (prefix, local) = name.split_once(':')?;
        let known = self.prefixes.iter().find(|p| p.name.as_str() == prefix)?;
        Some(format!("{}{local}", known.iri))
    }

    /// Whether `category` is `wider` or anywhere below it.
    #[must_use]
    pub fn category_is_within(&self, category: &str, wider: &str) -> bool {
        // INVARIANT: `parse` refused cycles, so this ends.
        category == wider
            || self
                .category(category)
                .is_some_and(|t| t.broader.iter().any(|b| self.category_is_within(b, wider)))
    }
}

/// Indexes terms by name; wider terms must stand in the same table, above.
fn table(text: &str, terms: Vec<Term>) -> Result<BTreeMap<String, Term>, Error> {
    let mut out: BTreeMap<String, Term> = BTreeMap::new();
    for term in terms {
        // A wider term stands above its narrower ones: so there is no cycle.
        if let Some(b) = term.broader.iter().find(|b| !out.contains_key(b.as_str())) {
            return Err(Error::at(text, b.offset(), Fault::UnknownTerm(b.to_string())));
        }
        if out.contains_key(term.name.as_str()) {
            return Err(Error::at(text, term.name.offset(), Fault::Twice(term.name.to_string())));
        }
        out.insert(term.name.to_string(), term);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_vocabulary_is_sound_and_says_its_version() {
        let v = Vocabulary::embedded().unwrap();
        assert_eq!(v.version(), "2.3");
        assert!(v.purpose("dpv:Marketing").is_some());
        assert_eq!(v.iri("dpv:Marketing").as_deref(), Some("https://w3id.org/dpv#Marketing"));
        assert_eq!(v.iri("pd:Income").as_deref(), Some("https://w3id.org/dpv/pd#Income"));
        assert!(v.category("pd:Income").is_some());
        assert!(v.item("bank.deposit").is_some());
        for t in v.purposes().chain(v.categories()) {
            assert!(v.iri(&t.name).is_some(), "{}", t.name);
        }
    }

    #[test]
    fn names_that_dpv_2_3_does_not_publish_are_unknown() {
        let v = Vocabulary::embedded().unwrap();
        for gone in ["dpv:CreditChecking", "dpv:marketing", "Marketing", "https://w3id.org/dpv#Marketing", ""]
        {
            assert!(v.purpose(gone).is_none(), "{gone}");
        }
        for gone in ["pd:Occupation", "pd:Profession"] {
            assert!(v.category(gone).is_none(), "{gone}");
        }
    }

    #[test]
    fn narrower_categories_are_within_wider_ones() {
        let v = Vocabulary::embedded().unwrap();
        assert!(v.category_is_within("pd:HealthRecord", "pd:MedicalHealth"));
        assert!(v.category_is_within("pd:MedicalHealth", "pd:MedicalHealth"));
        assert!(!v.category_is_within("pd:MedicalHealth", "pd:HealthRecord"));
        assert!(!v.category_is_within("pd:Nothing", "pd:MedicalHealth"));
    }

    #[test]
    fn faults_name_their_line() {
        let head = "[vocabulary]\nname='x'\nversion='1'\nsource='s'\n[[prefix]]\nname='p'\niri='i#'\n";
        let rest = "[[category]]\nname='c'\nko='k'\nen='e'\n[[item]]\nname='i'\nko='k'\nen='e'\n";
        let bad = format!("{head}[[purpose]]\nname='p:A'\nbroader=['p:B']\nko='k'\nen='e'\n{rest}");
        let e = Vocabulary::parse(&bad).unwrap_err();
        assert_eq!((e.line, e.fault), (10, Fault::UnknownTerm("p:B".into())));
        let bad = format!("{head}[[purpose]]\nname='p:A'\nko='k'\nen='e'\ncolour='red'\n{rest}");
        let e = Vocabulary::parse(&bad).unwrap_err();
        assert_eq!(e.line, 12, "{e}");
    }
}
