//! What an archive proves: offline, with the log's key alone.
//!
//! Manifest, bytes and hashes first (`portability`); then every statement's and
//! decision's evidence, each under the checkpoint the manifest names; that the
//! lists name exactly what is proved; that the states shown follow from her
//! statements; and that tables and JSON-LD are what these lists make, byte for byte. It does not prove that nothing was left out, nor that the log shows
//! everybody the same tree. Trusted: the key and the origin handed in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit::complaint::Complaints;
use crate::audit::decision;
use crate::audit::moving::Held;
use crate::audit::moving::Origins;
use crate::audit::owed;
use crate::audit::source::Sources;
use crate::consent::Person;
use crate::consent::SlotKey;
use crate::identity;
use crate::ledger::chain::LogKeys;
use crate::ledger::checkpoint;
use crate::ledger::evidence::Evidence;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::vocabulary::DataClass;
use crate::portability;
use crate::portability::Bag;
use crate::portability::Head;
use crate::portability::Linked;
use crate::portability::Listed;
use crate::portability::Source;
use crate::portability::Table;
use crate::portability::evidence_path;
use crate::portability::receipt_path;
use crate::portability::source::BY_SOURCE;
use crate::portability::source::SOURCES;
use crate::portability::transfer::Transfers;
use crate::portability::use_path;

pub use crate::audit::proven::Also;
pub use crate::audit::proven::Error;
pub use crate::audit::proven::Proven;

/// Checks an archive.
///
/// # Errors
/// [`Error`]: the first thing that does not hold.
pub fn verify(
    source: &mut dyn Source,
    log: &dyn LogKeys,
    origin: &str,
    grain_ms: Option<u64>,
) -> Result<Proven, Error> {
    verify_also(source, log, origin, grain_ms, Also::default()).map(|(proven, _)| proven)
}

/// The same, and what else is asked: where statements came from, what can be said again.
///
/// # Errors
/// As [`verify`].
pub fn verify_also(
    source: &mut dyn Source,
    log: &dyn LogKeys,
    origin: &str,
    grain_ms: Option<u64>,
    also: Also<'_>,
) -> Result<(Proven, Option<Held>), Error> {
    let bag = Bag::open(source, log)?;
    let head = bag.manifest().head();
    if head.origin != origin {
        return Err(wrong(portability::MANIFEST, "it is of another log"));
    }
    let mut check = Check {
        log,
        origin,
        grain_ms,
        head,
        person: Person::new(SubjectId([0; 16])),
        statements: BTreeMap::new(),
        receipts: BTreeMap::new(),
        slots: BTreeMap::new(),
        after: Vec::new(),
        uses: BTreeMap::new(),
        unproven: BTreeSet::new(),
        incidents: BTreeSet::new(),
        complaints: Complaints::default(),
        transfers: Transfers::default(),
        sources: Sources::default(),
        as_of: String::new(),
        renderings: BTreeMap::new(),
        listed: None,
        paths: BTreeSet::new(),
        out: Said::default(),
        checkpoint: false,
        origins: Origins::new(also.first),
        held: also.hold.then(|| Held::new(origin)),
    };
    bag.walk(&mut |listed, content| check.file(listed, content))?;
    check.end()
}

pub(in crate::audit) fn wrong(path: &str, what: &'static str) -> Error {
    Error::Wrong { path: path.to_owned(), what }
}

#[derive(Default)]
struct Said {
    files: usize,
    consents: usize,
    as_of: Timestamp,
    signers: BTreeSet<KeyHash>,
    withheld: Vec<(String, String)>,
    unknown: Vec<String>,
    unread: Vec<String>,
}

struct Check<'a> {
    log: &'a dyn LogKeys,
    origin: &'a str,
    grain_ms: Option<u64>,
    head: Head,
    person: Person,
    /// Id and type by index.
    statements: BTreeMap<u64, (String, &'static str)>,
    /// Receipts the evidence holds, until their files are seen.
    receipts: BTreeMap<String, Vec<u8>>,
    /// The statements of each slot, in order: id, and where it says it came from.
    slots: BTreeMap<SlotKey, Vec<(String, Option<Value>)>>,
    /// Statements that begin a slot here, and what each was signed over.
    after: Vec<(String, StatementId)>,
    /// Who asked, by decision with evidence.
    uses: BTreeMap<String, PartyId>,
    /// Decisions that are listed without.
    unproven: BTreeSet<String>,
    incidents: BTreeSet<String>,
    complaints: Complaints,
    /// Transfer demands as her statements tell them.
    transfers: Transfers,
    sources: Sources,
    /// The instant the consent records are of.
    as_of: String,
    /// What the renderings have to be, by path: SHA-256.
    renderings: BTreeMap<&'static str, Hash>,
    /// Files the completeness list names.
    listed: Option<BTreeSet<String>>,
    paths: BTreeSet<String>,
    out: Said,
    checkpoint: bool,
    origins: Origins<'a>,
    held: Option<Held>,
}

impl Check<'_> {
    fn file(&mut self, listed: &Listed, content: Option<&[u8]>) -> Result<(), Error> {
        let path = listed.path.as_str();
        self.out.files += 1;
        self.paths.insert(path.to_owned());
        let Some(content) = content else {
            self.out.unread.push(path.to_owned());
            return Ok(());
        };
        match path {
            portability::CHECKPOINT => self.checkpoint(content),
            portability::STATEMENTS => self.list_of_statements(content),
            portability::CONSENTS => self.consents(content),
            portability::USES => self.list_of_uses(content),
            portability::COMPLETENESS => self.completeness(content),
            portability::INCIDENTS => self.incidents(content),
            portability::COMPLAINTS => {
                let table = self.complaints.list(content)?;
                self.renderings.insert(portability::COMPLAINTS_CSV, table);
                Ok(())
            }
            portability::TRANSFERS if content == self.transfers.file()? => Ok(()),
            portability::TRANSFERS => {
                Err(wrong(path, "it says something else than follows from the statements"))
            }
            SOURCES => self.sources.list(content),
            portability::CONSENTS_CSV
            | portability::CONSENTS_LD
            | portability::USES_CSV
            | portability::COMPLAINTS_CSV => match self.renderings.get(path) {
                Some(hash) if *hash == listed.sha256 => Ok(()),
                Some(_) | None => Err(wrong(path, "it says something else than the list it is made from")),
            },
            portability::DUTIES => self.owed(path, content, owed::duties),
            portability::RIGHTS => self.owed(path, content, owed::rights),
            portability::VALUE => self.owed(path, content, owed::value),
            portability::EXCEPTIONS | portability::PARTIES => {
                serde_json::from_slice::<Value>(content)?;
                Ok(())
            }
            _ if portability::is_around(path) => Ok(()),
            _ if path.starts_with(BY_SOURCE) => self.sources.file(path, content),
            _ if path.starts_with(portability::EVIDENCE) => self.statement(path, content),
            _ if path.starts_with(portability::COMPLAINT_FILES) => self.complaint(path, content),
            _ if path.starts_with(portability::USE_EVIDENCE) => self.decision(path, content),
            _ if path.starts_with(portability::RECEIPTS) => match self.receipts.remove(path) {
                Some(receipt) if receipt == content => Ok(()),
                Some(_) | None => Err(wrong(path, "it is not the receipt of the evidence beside it")),
            },
            _ => {
                self.out.unknown.push(path.to_owned());
                Ok(())
            }
        }
    }

    /// A file that follows from the statements, at the instant the records are of.
    fn owed(
        &mut self,
        path: &str,
        content: &[u8],
        follows: fn(&Person, &Value, Timestamp) -> bool,
    ) -> Result<(), Error> {
        let file: Value = serde_json::from_slice(content)?;
        let as_of = file.get("as_of").and_then(Value::as_u64).map(Timestamp);
        let as_of = as_of.filter(|at| portability::instant(*at) == self.as_of);
        if let Some(as_of) = as_of.filter(|as_of| follows(&self.person, &file, *as_of)) {
            self.out.as_of = as_of;
            Ok(())
        } else {
            Err(wrong(path, "it says something else than follows from the statements"))
        }
    }

    fn checkpoint(&mut self, content: &[u8]) -> Result<(), Error> {
        let head = checkpoint::open(content, self.log, self.origin)?;
        self.checkpoint = true;
        self.same_tree(portability::CHECKPOINT, head.size, &head.root)
    }

    fn same_tree(&self, path: &str, size: u64, root: &[u8; 32]) -> Result<(), Error> {
        let same = size == self.head.size && *root == self.head.root;
        if same { Ok(()) } else { Err(wrong(path, "it is of another checkpoint than the manifest")) }
    }

    fn complaint(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        if self.complaints.receipt(path, content)? {
            return Ok(());
        }
        let evidence = Evidence::parse(content)?;
        let opened = evidence.verify(self.log, self.origin, self.grain_ms)?;
        self.same_tree(path, opened.size, &opened.root)?;
        self.complaints.take(path, &opened, evidence.receipt)
    }

    fn statement(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        let evidence = Evidence::parse(content)?;
        let opened = evidence.verify(self.log, self.origin, self.grain_ms)?;
        self.same_tree(path, opened.size, &opened.root)?;
        let item = opened.item.as_deref().ok_or_else(|| wrong(path, "it does not show who signed"))?;
        if path != evidence_path(opened.index) {
            return Err(wrong(path, "it is of another entry"));
        }
        let verified = identity::open(item)?;
        let at = opened.at.ok_or_else(|| wrong(path, "it is public, and no statement of a person"))?;
        let recorded = verified.at(opened.index, Timestamp(at));
        let id = recorded.id().to_string();
        self.person.follow_words(&recorded);
        let followed = self.person.follow(&recorded);
        if let Some(held) = &mut self.held {
            held.take(&evidence, &recorded, followed.as_ref())?;
        }
        let came = self.origins.take(recorded.statement());
        came.map_err(|cause| Error::Moved { path: path.to_owned(), cause })?;
        if let Some(followed) = followed {
            self.after.extend(followed.after.map(|id| (path.to_owned(), id)));
            let moved = portability::moved(recorded.statement());
            self.slots.entry(followed.slot).or_default().push((id.clone(), moved));
        }
        self.transfers.take(&recorded);
        self.statements.insert(opened.index, (id, recorded.statement().kind().as_str()));
        self.receipts.insert(receipt_path(opened.index), evidence.receipt);
        Ok(())
    }

    fn decision(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        let proven = decision::Evidence::parse(content)?.verify(self.log, self.origin, self.grain_ms)?;
        self.same_tree(path, proven.opened.size, &proven.opened.root)?;
        let id = proven.line.id.to_string();
        if path != use_path(&id) {
            return Err(wrong(path, "it is of another decision"));
        }
        self.out.signers.insert(proven.signer);
        self.uses.insert(id, proven.line.asker);
        Ok(())
    }

    fn list_of_statements(&self, content: &[u8]) -> Result<(), Error> {
        let differs = || wrong(portability::STATEMENTS, "it does not list exactly the statements inside");
        let mut proven = self.statements.iter();
        for line in lines(content) {
            let row: Value = serde_json::from_slice(line)?;
            let (index, (id, kind)) = proven.next().ok_or_else(differs)?;
            let text = |name: &str| row.get(name).and_then(Value::as_str);
            let same = row.get("index").and_then(Value::as_u64) == Some(*index)
                && text("id") == Some(id.as_str())
                && text("type") == Some(kind);
            if !same {
                return Err(differs());
            }
        }
        if proven.next().is_none() { Ok(()) } else { Err(differs()) }
    }

    fn list_of_uses(&mut self, content: &[u8]) -> Result<(), Error> {
        let differs = || wrong(portability::USES, "it does not list exactly the uses inside");
        let mut proven = 0;
        let mut csv = Vec::new();
        let mut table = Table::uses(&mut csv)?;
        for line in lines(content) {
            let row: Value = serde_json::from_slice(line)?;
            table.push(&row)?;
            let id = row.get("id").and_then(Value::as_str).ok_or_else(differs)?;
            match row.get("evidence").and_then(Value::as_str) {
                None => drop(self.unproven.insert(id.to_owned())),
                Some(path) if path == use_path(id) && self.uses.contains_key(id) => proven += 1,
                Some(_) => return Err(differs()),
            }
        }
        table.end()?;
        self.renderings.insert(portability::USES_CSV, hash::sha256(&[&csv]));
        if proven == self.uses.len() { Ok(()) } else { Err(differs()) }
    }

    /// Each record's state and events, against what follows from the statements.
    fn consents(&mut self, content: &[u8]) -> Result<(), Error> {
        let differs =
            || wrong(portability::CONSENTS, "it says something else than follows from the statements");
        let file: Value = serde_json::from_slice(content)?;
        let as_of = file.get("as_of").and_then(Value::as_str).ok_or_else(differs)?;
        as_of.clone_into(&mut self.as_of);
        let records = file.get("records").and_then(Value::as_array).ok_or_else(differs)?;
        for record in records {
            let text = |path: &str| record.pointer(path).and_then(Value::as_str);
            let purpose = "/pii_processing/purposes/0/purpose";
            let controller = text("/pii_processing/purposes/0/pii_controllers/0").ok_or_else(differs)?;
            let class = text("/ext/identifiability").and_then(DataClass::parse).ok_or_else(differs)?;
            let slot = slot_of(controller, text(purpose).ok_or_else(differs)?, class).ok_or_else(differs)?;
            let ids = self.slots.remove(&slot).ok_or_else(differs)?;
            let events = record.get("events").and_then(Value::as_array).ok_or_else(differs)?;
            let named = events
                .iter()
                .map(|e| (e.pointer("/ext/statement").and_then(Value::as_str), e.pointer("/ext/moved")));
            if !named.eq(ids.iter().map(|(id, moved)| (Some(id.as_str()), moved.as_ref()))) {
                return Err(differs());
            }
            let says = text("/ext/state").ok_or_else(differs)?;
            let state = self.person.slot(&slot);
            // Instants of one spelling are in the order of their text.
            let ended = state.and_then(|s| s.grant.as_ref()).is_some_and(|terms| {
                as_of >= portability::instant(terms.fetch_until.max(terms.keep_until)).as_str()
            });
            let now = Timestamp(if ended { u64::MAX } else { 0 });
            if state.map_or("none", |slot| slot.now(now).as_str()) != says {
                return Err(differs());
            }
            self.out.consents += 1;
        }
        self.render(records)?;
        if self.slots.is_empty() { Ok(()) } else { Err(differs()) }
    }

    /// The renderings of the records, to be compared when they come.
    fn render(&mut self, records: &[Value]) -> Result<(), portability::Error> {
        let (mut csv, mut json) = (Vec::new(), Vec::new());
        let mut table = Table::consents(&mut csv)?;
        records.iter().try_for_each(|record| table.push(record))?;
        table.end()?;
        let mut linked = Linked::begin(&mut json)?;
        records.iter().try_for_each(|record| linked.push(record))?;
        linked.end()?;
        self.renderings.insert(portability::CONSENTS_CSV, hash::sha256(&[&csv]));
        self.renderings.insert(portability::CONSENTS_LD, hash::sha256(&[&json]));
        Ok(())
    }

    /// Each incident rests on uses and statements inside, and names an accused only who asked, and only
    /// while a confirmation stands.
    fn incidents(&mut self, content: &[u8]) -> Result<(), Error> {
        let differs = || wrong(portability::INCIDENTS, "it says something else than follows from the uses");
        let file: Value = serde_json::from_slice(content)?;
        for row in file.get("incidents").and_then(Value::as_array).ok_or_else(differs)? {
            let id = row.get("incident").and_then(Value::as_str).ok_or_else(differs)?;
            let of = |name: &str| names(row, name).ok_or_else(differs);
            let (quoted, alike) = (of("decisions")?, of("alike")?);
            let mut decisions = quoted.iter().chain(&alike).peekable();
            let some = decisions.peek().is_some();
            let accused = row.get("accused").and_then(Value::as_str);
            let hers = decisions.all(|id| match (self.uses.get(*id), accused) {
                (Some(asker), Some(accused)) => asker.as_str() == accused,
                (Some(_), None) => true,
                (None, _) => self.unproven.contains(*id),
            });
            let said = of("statements")?.iter().all(|id| self.statements.values().any(|(own, _)| own == id));
            let sound = some && hers && said && accused.is_some() == is_confirmed(row);
            if !sound || !self.incidents.insert(id.to_owned()) {
                return Err(differs());
            }
        }
        Ok(())
    }

    fn completeness(&mut self, content: &[u8]) -> Result<(), Error> {
        let differs = || wrong(portability::COMPLETENESS, "it is no list of what is inside and what is not");
        let file: Value = serde_json::from_slice(content)?;
        let all = |name: &str| file.get(name).and_then(Value::as_array).ok_or_else(differs);
        let paths = all("exported")?.iter().map(|item| item.get("path").and_then(Value::as_str));
        self.listed =
            Some(paths.map(|path| path.map(str::to_owned)).collect::<Option<_>>().ok_or_else(differs)?);
        let exported = all("exported")?;
        let lists = |kind: &str, inside: &BTreeSet<String>| {
            let of_kind = |item: &&Value| item.get("kind").and_then(Value::as_str) == Some(kind);
            let listed = exported.iter().filter(of_kind).map(|item| item.get("id").and_then(Value::as_str));
            let listed: Option<BTreeSet<_>> = listed.collect();
            listed.is_some_and(|ids| ids.into_iter().eq(inside.iter().map(String::as_str)))
        };
        if !lists("incident", &self.incidents) {
            return Err(wrong(portability::COMPLETENESS, "it does not list exactly the incidents inside"));
        }
        let unread = self.out.unread.iter().any(|path| path == portability::COMPLAINTS);
        if !unread && !lists("complaint", &self.complaints.listed) {
            return Err(wrong(portability::COMPLETENESS, "it does not list exactly the complaints inside"));
        }
        for one in all("withheld")? {
            let text = |name: &str| one.get(name).and_then(Value::as_str).map(str::to_owned);
            self.out.withheld.push((text("reason").ok_or_else(differs)?, text("what").ok_or_else(differs)?));
        }
        Ok(())
    }

    fn end(mut self) -> Result<(Proven, Option<Held>), Error> {
        let held = self.held.take().map(|held| held.end(self.person, self.out.as_of));
        let Self { out, head, paths, .. } = self;
        let unread = |path: &str| out.unread.iter().any(|one| one == path);
        for path in [
            portability::CHECKPOINT,
            portability::STATEMENTS,
            portability::CONSENTS,
            portability::USES,
            portability::COMPLETENESS,
        ] {
            if !paths.contains(path) {
                return Err(wrong(path, "it is missing"));
            }
        }
        if !self.checkpoint {
            return Err(wrong(portability::CHECKPOINT, "it is missing"));
        }
        self.sources.end()?;
        if !unread(portability::COMPLAINTS) {
            self.complaints.end()?;
        }
        if let Some(path) = self.receipts.keys().next() {
            return Err(wrong(path, "it is missing"));
        }
        let evidence = |path: &&String| {
            path.starts_with(portability::EVIDENCE) || path.starts_with(portability::USE_EVIDENCE)
        };
        if let Some(listed) = &self.listed {
            let inside = listed.iter().all(|path| paths.contains(path));
            if !inside || !paths.iter().filter(evidence).all(|path| listed.contains(path)) {
                return Err(wrong(portability::COMPLETENESS, "it does not list exactly what is inside"));
            }
        } else if !unread(portability::COMPLETENESS) {
            return Err(wrong(portability::COMPLETENESS, "it is missing"));
        }
        // What a slot began with may be past its term, if the list says so.
        let destroyed = |id: &StatementId| {
            let named = format!("statement {id},");
            out.withheld.iter().any(|(reason, what)| reason == EXPIRED && what.starts_with(&named))
        };
        if !unread(portability::COMPLETENESS)
            && let Some((path, _)) = self.after.iter().find(|(_, id)| !destroyed(id))
        {
            return Err(wrong(
                path,
                "it was signed over a statement that is neither inside nor past its term",
            ));
        }
        let proven = Proven {
            head,
            files: out.files,
            statements: self.statements.len(),
            moved: self.origins.seen,
            consents: out.consents,
            uses: self.uses.len(),
            unproven_uses: self.unproven.len(),
            incidents: self.incidents.len(),
            complaints: self.complaints.len(),
            sources: self.sources.items,
            signers: out.signers,
            withheld: out.withheld,
            unknown: out.unknown,
            unread: out.unread,
        };
        Ok((proven, held))
    }
}

/// How the completeness list says that something is past its term.
const EXPIRED: &str = "retention-expired";

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// A list of texts.
fn names<'a>(row: &'a Value, name: &str) -> Option<Vec<&'a str>> {
    row.get(name)?.as_array()?.iter().map(Value::as_str).collect()
}

/// Whether the last verdict among an incident's steps is a confirmation.
fn is_confirmed(row: &Value) -> bool {
    let steps = row.get("steps").and_then(Value::as_array).into_iter().flatten();
    let kinds = steps.filter_map(|step| step.get("type").and_then(Value::as_str));
    let [confirm, dismiss] = [Kind::IncidentConfirm, Kind::IncidentDismiss].map(Kind::as_str);
    kinds.fold(false, |confirmed, kind| kind == confirm || (confirmed && kind != dismiss))
}

/// The slot a record names.
fn slot_of(controller: &str, purpose: &str, class: DataClass) -> Option<SlotKey> {
    if controller != "*" {
        PartyId::parse(controller)?;
    }
    Some(SlotKey { controller: controller.to_owned().into(), purpose: purpose.to_owned().into(), class })
}
