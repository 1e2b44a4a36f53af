//! Policy packs: the law as data.
//!
//! A pack is a TOML file that a lawyer can read: what holds while nothing is
//! recorded, what a grant and a notice must say, categories, borders, exceptions,
//! duties, terms, penalties; each line with its source and how well it is
//! grounded. [`Pack::parse`] refuses unknown keys, unknown rules, unknown terms
//! and missing lines, naming the line. Lookups allocate nothing.
//!
//! Lacks: which pack applies (recorded facts, `consent`), its SHA-256 (of the
//! file's bytes, `ledger`), the decision itself.

mod judge;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

pub use self::judge::Asked;
use self::row::ReasonRow;
pub use self::row::{
    Asking, Border, BorderRule, Breach, CategoryRule, Confidence, DefaultMode, DefaultRule, Demands, Duty,
    Exception, Header, Kept, Line, Minors, NoticeDemand, NoticeRule, Penalty, PenaltyKind, Rule, Span,
    Status, Term, Trigger, parse_instant,
};
use crate::model::decision::Reason;
use crate::model::id::Timestamp;
use crate::model::terms::Vocabulary;
pub use crate::model::terms::{Error, Fault, Word};
use crate::model::vocabulary::DataClass;

/// Source text of the home rule, `schemas/packs/kcern-2018.toml`.
#[must_use]
pub const fn kcern_2018() -> &'static str {
    include_str!("../../../schemas/packs/kcern-2018.toml")
}

/// Source text of the Korean act as of September 2026, `schemas/packs/kr-pipa-2026.toml`.
#[must_use]
pub const fn kr_pipa_2026() -> &'static str {
    include_str!("../../../schemas/packs/kr-pipa-2026.toml")
}

/// One value for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ByClass<T> {
    real_name: T,
    pseudonymous: T,
    anonymous: T,
}

impl<T> ByClass<T> {
    const fn of(&self, class: DataClass) -> &T {
        match class {
            DataClass::RealName => &self.real_name,
            DataClass::Pseudonymous => &self.pseudonymous,
            DataClass::Anonymous => &self.anonymous,
        }
    }

    fn try_from_fn<E>(mut f: impl FnMut(DataClass) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            real_name: f(DataClass::RealName)?,
            pseudonymous: f(DataClass::Pseudonymous)?,
            anonymous: f(DataClass::Anonymous)?,
        })
    }
}

/// A pack as it stands in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    pack: Header,
    default: Vec<DefaultRule>,
    demand: Vec<Demands>,
    #[serde(default)]
    notice: Vec<NoticeRule>,
    #[serde(default)]
    category: Vec<CategoryRule>,
    border: Vec<BorderRule>,
    #[serde(default)]
    exception: Vec<Exception>,
    #[serde(default)]
    duty: Vec<Duty>,
    term: Vec<Term>,
    minors: Minors,
    #[serde(default)]
    penalty: Vec<Penalty>,
    #[serde(default)]
    rule: Vec<Rule>,
    reason: Vec<ReasonRow>,
}

/// A policy pack: checked, closed, ready to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    header: Header,
    defaults: ByClass<DefaultRule>,
    demands: ByClass<Demands>,
    notices: Vec<NoticeRule>,
    categories: Vec<CategoryRule>,
    /// Every category of the vocabulary that a line covers, and that line's place in `categories`.
    covered: BTreeMap<String, usize>,
    borders: BTreeMap<String, BorderRule>,
    elsewhere: BorderRule,
    exceptions: Vec<Exception>,
    duties: Vec<Duty>,
    terms: Vec<Term>,
    minors: Minors,
    penalties: Vec<Penalty>,
    rules: Vec<Rule>,
    reasons: ByClass<BTreeMap<Reason, Word>>,
    ids: BTreeSet<String>,
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// What is wrong, with line and column: the author's fault.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|e| Error::of_toml(text, &e))?;
        let vocabulary = Vocabulary::embedded()?;
        let reader = Reader { text, vocabulary: &vocabulary };
        reader.header(&file.pack)?;
        let ids = reader.ids(&file)?;
        let reasons = reader.reasons(&file.reason, &ids)?;
        let (borders, elsewhere) = reader.borders(file.border)?;
        reader.terms(&file.term)?;
        file.exception.iter().try_for_each(|e| reader.exception(e))?;
        file.penalty.iter().try_for_each(|p| reader.penalty(p))?;
        Ok(Self {
            defaults: reader.defaults(&file.default)?,
            demands: reader.demands(&file.demand)?,
            covered: reader.covered(&file.category)?,
            header: file.pack,
            notices: file.notice,
            categories: file.category,
            borders,
            elsewhere,
            exceptions: file.exception,
            duties: file.duty,
            terms: file.term,
            minors: file.minors,
            penalties: file.penalty,
            rules: file.rule,
            reasons,
            ids,
        })
    }

    /// What the pack is.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its name, as decisions quote it.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        self.header.name.shared()
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.header.version
    }

    /// How long an answer may be kept by the asker, s.
    #[must_use]
    pub const fn valid_for_s(&self) -> u32 {
        self.header.valid_for_s
    }

    /// Whether the use line of a question in `class` must be synced before the answer leaves.
    #[must_use]
    pub fn wants_synced(&self, class: DataClass) -> bool {
        self.header.synced.contains(&class)
    }

    /// What holds in `class` while nothing is recorded.
    #[must_use]
    pub const fn default_of(&self, class: DataClass) -> &DefaultRule {
        self.defaults.of(class)
    }

    /// What a grant in `class` must say.
    #[must_use]
    pub const fn demands_on(&self, class: DataClass) -> &Demands {
        self.demands.of(class)
    }

    /// The line for a category: its own, or that of the nearest wider one.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&CategoryRule> {
        self.covered.get(name).and_then(|at| self.categories.get(*at))
    }

    /// The line for a country, ISO 3166-1 alpha-2; the line `*` if none names it.
    #[must_use]
    pub fn border(&self, country: &str) -> &BorderRule {
        self.borders.get(country).unwrap_or(&self.elsewhere)
    }

    /// The exception of that id.
    #[must_use]
    pub fn exception(&self, id: &str) -> Option<&Exception> {
        self.exceptions.iter().find(|e| e.id.as_str() == id)
    }

    /// The exception a notice claims as `pack#rule`, if the claim names this pack and one of its exceptions.
    #[must_use]
    pub fn claimed(&self, claim: &str) -> Option<&Exception> {
        let (pack, rule) = claim.split_once('#')?;
        if *pack == **self.name() { self.exception(rule) } else { None }
    }

    /// Whether its law is in force at an instant.
    #[must_use]
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.header.valid_from <= at && self.header.valid_until.is_none_or(|until| at < until)
    }

    /// All exceptions.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.exceptions
    }

    /// Who is a child before the law.
    #[must_use]
    pub const fn minors(&self) -> &Minors {
        &self.minors
    }

    /// A child is younger than this, years.
    #[must_use]
    pub const fn minor_age(&self) -> u8 {
        self.minors.age
    }

    /// All duties.
    #[must_use]
    pub fn duties(&self) -> &[Duty] {
        &self.duties
    }

    /// Duties that begin with `trigger`.
    pub fn duties_on(&self, trigger: Trigger) -> impl Iterator<Item = &Duty> {
        self.duties.iter().filter(move |d| d.on == trigger)
    }

    /// How long something personal is kept.
    #[must_use]
    pub fn term_of(&self, what: Kept) -> Option<&Term> {
        self.terms.iter().find(|t| t.what == what)
    }

    /// All penalties, past ones too.
    #[must_use]
    pub fn penalties(&self) -> &[Penalty] {
        &self.penalties
    }

    /// Penalties for a breach in `class` in force at an instant.
    pub fn penalties_at(
        &self,
        breach: Breach,
        class: DataClass,
        at: Timestamp,
    ) -> impl Iterator<Item = &Penalty> {
        self.penalties
            .iter()
            .filter(move |p| p.breach == breach && p.classes.contains(&class) && p.holds_at(at))
    }

    /// The rule a decision quotes for `reason` in `class`. (A statutory exception is quoted by its own id.)
    #[must_use]
    pub fn rule_of(&self, reason: Reason, class: DataClass) -> &Arc<str> {
        // INVARIANT: `parse` found a rule for every reason in every class.
        self.reasons.of(class).get(&reason).unwrap_or(&self.defaults.of(class).id).shared()
    }

    /// Whether some line has that id.
    #[must_use]
    pub fn rule_exists(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// The line of that id.
    #[must_use]
    pub fn line(&self, id: &str) -> Option<&dyn Line> {
        self.lines().find(|l| l.id().as_str() == id)
    }

    /// All lines with an id, table by table.
    pub fn lines(&self) -> impl Iterator<Item = &dyn Line> {
        fn dynamic<L: Line>(l: &L) -> &dyn Line {
            l
        }
        let classes = DataClass::ALL.iter();
        classes
            .clone()
            .map(|c| dynamic(self.default_of(*c)))
            .chain(classes.map(|c| dynamic(self.demands_on(*c))))
            .chain(self.notices.iter().map(dynamic))
            .chain(self.categories.iter().map(dynamic))
            .chain(self.borders.values().map(dynamic))
            .chain(std::iter::once(dynamic(&self.elsewhere)))
            .chain(self.exceptions.iter().map(dynamic))
            .chain(self.duties.iter().map(dynamic))
            .chain(self.terms.iter().map(dynamic))
            .chain(std::iter::once(dynamic(&self.minors)))
            .chain(self.penalties.iter().map(dynamic))
            .chain(self.rules.iter().map(dynamic))
    }
}

/// Checks what serde cannot.
struct Reader<'a> {
    text: &'a str,
    vocabulary: &'a Vocabulary,
}

impl Reader<'_> {
    fn at(&self, word: &Word, fault: Fault) -> Error {
        Error::at(self.text, word.offset(), fault)
    }

    fn contradiction(&self, word: &Word, what: &'static str) -> Error {
        self.at(word, Fault::Contradiction(what))
    }

    fn header(&self, h: &Header) -> Result<(), Error> {
        if h.version == 0 {
            return Err(self.contradiction(&h.name, "versions begin at 1"));
        }
        if h.name.contains('#') {
            return Err(
                self.contradiction(&h.name, "a pack's name has no `#`: claims are written `pack#rule`")
            );
        }
        if h.valid_until.is_some_and(|until| until <= h.valid_from) {
            return Err(self.contradiction(&h.name, "`valid-until` is not after `valid-from`"));
        }
        Ok(())
    }

    fn ids(&self, file: &File) -> Result<BTreeSet<String>, Error> {
        let mut ids = BTreeSet::new();
        let words = file.default.iter().map(|l| &l.id);
        let words = words.chain(file.demand.iter().map(|l| &l.id)).chain(file.notice.iter().map(|l| &l.id));
        let words = words.chain(file.category.iter().map(|l| &l.id)).chain(file.border.iter().map(|l| &l.id));
        let words = words.chain(file.exception.iter().map(|l| &l.id)).chain(file.duty.iter().map(|l| &l.id));
        let words = words.chain(file.term.iter().map(|l| &l.id)).chain(std::iter::once(&file.minors.id));
        let words = words.chain(file.penalty.iter().map(|l| &l.id)).chain(file.rule.iter().map(|l| &l.id));
        for word in words {
            if !ids.insert(word.to_string()) {
                return Err(self.at(word, Fault::Twice(word.to_string())));
            }
        }
        Ok(ids)
    }

    /// The one line of each class.
    fn one_each<T: Line + Clone>(
        &self,
        lines: &[T],
        table: &'static str,
        class_of: impl Fn(&T) -> DataClass,
    ) -> Result<ByClass<T>, Error> {
        ByClass::try_from_fn(|class| {
            let mut of_class = lines.iter().filter(|l| class_of(l) == class);
            let first = of_class.next().cloned();
            if let Some(second) = of_class.next() {
                return Err(self.at(second.id(), Fault::Twice(format!("{table} {}", class.as_str()))));
            }
            first.ok_or_else(|| Error::at(self.text, 0, Fault::NoLineFor { table, class: class.as_str() }))
        })
    }

    fn defaults(&self, lines: &[DefaultRule]) -> Result<ByClass<DefaultRule>, Error> {
        for l in lines {
            match l.mode {
                DefaultMode::OptIn if !l.allows.is_empty() => {
                    return Err(self.contradiction(&l.id, "an opt-in default allows nothing"));
                }
                DefaultMode::OptOut if l.allows.is_empty() => {
                    return Err(self.contradiction(&l.id, "an opt-out default must say what it allows"));
                }
                DefaultMode::OptIn | DefaultMode::OptOut => {}
            }
        }
        self.one_each(lines, "default", |l| l.class)
    }

    fn demands(&self, lines: &[Demands]) -> Result<ByClass<Demands>, Error> {
        for l in lines {
            if l.end_date && l.max_term.is_none() {
                return Err(self.contradiction(&l.id, "`end-date` needs a `max-term`"));
            }
        }
        self.one_each(lines, "demand", |l| l.class)
    }

    fn reasons(
        &self,
        rows: &[ReasonRow],
        ids: &BTreeSet<String>,
    ) -> Result<ByClass<BTreeMap<Reason, Word>>, Error> {
        if let Some(row) = rows.iter().find(|r| !ids.contains(r.rule.as_str())) {
            return Err(self.at(&row.rule, Fault::UnknownRule(row.rule.to_string())));
        }
        ByClass::try_from_fn(|class| {
            let mut of_class = BTreeMap::new();
            for row in rows.iter().filter(|r| r.classes.as_ref().is_none_or(|c| c.contains(&class))) {
                if of_class.insert(row.reason, row.rule.clone()).is_some() {
                    let name = format!("{} in {}", row.reason.as_str(), class.as_str());
                    return Err(self.at(&row.rule, Fault::Twice(name)));
                }
            }
            match Reason::ALL.iter().find(|r| !of_class.contains_key(r)) {
                None => Ok(of_class),
                Some(r) => {
                    let fault = Fault::ReasonWithoutRule { reason: r.as_str(), class: class.as_str() };
                    Err(Error::at(self.text, 0, fault))
                }
            }
        })
    }

    fn borders(&self, lines: Vec<BorderRule>) -> Result<(BTreeMap<String, BorderRule>, BorderRule), Error> {
        let mut borders = BTreeMap::new();
        let mut elsewhere = None;
        for line in lines {
            for country in &line.countries {
                let known = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
                let twice = match country.as_str() {
                    "*" => elsewhere.replace(line.clone()).is_some(),
                    _ if known => borders.insert(country.to_string(), line.clone()).is_some(),
                    _ => return Err(self.contradiction(country, "a country is two capital letters, or `*`")),
                };
                if twice {
                    return Err(self.at(country, Fault::Twice(country.to_string())));
                }
            }
        }
        let elsewhere = elsewhere.ok_or_else(|| Error::at(self.text, 0, Fault::Missing("border `*`")))?;
        Ok((borders, elsewhere))
    }

    fn terms(&self, lines: &[Term]) -> Result<(), Error> {
        for what in Kept::ALL {
            let mut of_what = lines.iter().filter(|l| l.what == what);
            if of_what.next().is_none() {
                return Err(Error::at(
                    self.text,
                    0,
                    Fault::Missing("term (grants, use-lines, unanswered-requests)"),
                ));
            }
            if let Some(second) = of_what.next() {
                return Err(self.contradiction(&second.id, "one term for each thing kept"));
            }
        }
        Ok(())
    }

    fn exception(&self, line: &Exception) -> Result<(), Error> {
        match line.purposes.iter().find(|p| self.vocabulary.purpose(p).is_none()) {
            Some(p) => Err(self.at(p, Fault::UnknownTerm(p.to_string()))),
            None => Ok(()),
        }
    }

    fn penalty(&self, p: &Penalty) -> Result<(), Error> {
        if p.max_years.is_none() && p.max_amount.is_none() && p.max_turnover_permille.is_none() {
            return Err(self.contradiction(&p.id, "a penalty takes years, a sum or a share of turnover"));
        }
        if p.max_amount.is_some() != p.currency.is_some() {
            return Err(self.contradiction(&p.id, "a sum needs its currency, and a currency its sum"));
        }
        if p.valid_until.is_some_and(|until| until <= p.valid_from) {
            return Err(self.contradiction(&p.id, "`valid-until` is not after `valid-from`"));
        }
        Ok(())
    }

    /// Finds for every category of the vocabulary the nearest line, going up level by level.
    fn covered(&self, lines: &[CategoryRule]) -> Result<BTreeMap<String, usize>, Error> {
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            for word in &line.categories {
                if self.vocabulary.category(word).is_none() {
                    return Err(self.at(word, Fault::UnknownTerm(word.to_string())));
                }
                if named.insert(word, at).is_some() {
                    return Err(self.at(word, Fault::Twice(word.to_string())));
                }
            }
        }
        let mut covered = BTreeMap::new();
        for term in self.vocabulary.categories() {
            let mut level = vec![term];
            while !level.is_empty() {
                let hits: BTreeSet<usize> =
                    level.iter().filter_map(|t| named.get(t.name.as_str())).copied().collect();
                let mut hits = hits.into_iter();
                if let Some(at) = hits.next() {
                    if let Some(other) = hits.next().and_then(|at| lines.get(at)) {
                        return Err(
                            self.contradiction(&other.id, "two lines are equally near to one category")
                        );
                    }
                    covered.insert(term.name.to_string(), at);
                    break;
                }
                level = level
                    .iter()
                    .flat_map(|t| &t.broader)
                    .filter_map(|b| self.vocabulary.category(b))
                    .collect();
            }
        }
        Ok(covered)
    }
}

#[cfg(test)]
mod tests;
