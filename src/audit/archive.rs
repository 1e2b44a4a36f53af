//! What an archive proves: offline, with the log's key alone.
//!
//! Manifest, bytes and hashes first (`portability`); then every statement's and
//! decision's evidence, each under the checkpoint the manifest names; that the
//! lists say exactly what is proved (`lists`); that the states shown follow from her
//! statements; and that tables and JSON-LD are what these lists make, byte for byte. Read once: in memory is
//! one list with its parcel, never a table or a script. What stays of each statement is what it did to
//! its slot,
//! of uses and deposits nothing.
//! It does not prove that nothing was left out, nor that the log shows
//! everybody the same tree. Trusted: the key and the origin handed in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::audit::complaint::Complaints;
use crate::audit::decision;
use crate::audit::inside::Complete;
use crate::audit::inside::Look;
use crate::audit::lists;
use crate::audit::lists::Asked;
use crate::audit::lists::Lists;
use crate::audit::lists::Owed;
use crate::audit::moving::Held;
use crate::audit::moving::Origins;
use crate::audit::owed;
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
use crate::portability::evidence_name;
use crate::portability::parcel;
use crate::portability::receipt_name;
use crate::portability::statement_row;
use crate::portability::transfer::Transfers;
use crate::portability::use_name;

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
    let mut bag = Bag::open(source, log)?;
    let head = bag.head().clone();
    if head.origin != origin {
        return Err(wrong(portability::MANIFEST, "it is of another log"));
    }
    let (quoted, own) = quoted(&mut bag);
    let mut check = Check {
        log,
        origin,
        grain_ms,
        head,
        person: Person::new(SubjectId([0; 16])),
        statements: 0,
        own,
        last: None,
        receipt: Vec::new(),
        slots: BTreeMap::new(),
        after: Vec::new(),
        uses: 0,
        batch: None,
        lists: Lists::with(quoted),
        asked: Vec::new(),
        incidents: BTreeSet::new(),
        complaints: Complaints::default(),
        transfers: Transfers::default(),
        as_of: String::new(),
        renderings: BTreeMap::new(),
        listed: None,
        paths: BTreeSet::new(),
        out: Said::default(),
        checkpoint: false,
        origins: Origins::new(also.first),
        held: also.hold.then(|| Held::new(origin)),
    };
    let wanted = |listed: &Listed| matches!(Look::at(&listed.path), Look::Into);
    bag.walk_for(&wanted, &mut |listed, content| check.file(listed, content))?;
    check.end()
}

/// Statements that incidents name, and whether each is inside.
type Own = BTreeMap<StatementId, bool>;

/// Decisions and statements that incidents name, read before their lists come. What cannot be read says so
/// when it comes.
fn quoted(bag: &mut Bag<'_>) -> (BTreeMap<String, Asked>, Own) {
    let file = bag.file(portability::INCIDENTS).and_then(|file| serde_json::from_slice::<Value>(&file).ok());
    let rows = file.as_ref().and_then(|file| file.get("incidents")).and_then(Value::as_array);
    let (mut decisions, mut own) = (BTreeMap::new(), Own::new());
    for row in rows.into_iter().flatten() {
        let of = |name: &str| names(row, name).unwrap_or_default();
        let named = [of("decisions"), of("alike")].concat();
        decisions.extend(named.into_iter().map(|id| (id.to_owned(), Asked::Nowhere)));
        own.extend(of("statements").into_iter().filter_map(StatementId::from_hex).map(|id| (id, false)));
    }
    (decisions, own)
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
    /// How many statements are inside.
    statements: usize,
    own: Own,
    /// Where the last of them stands.
    last: Option<u64>,
    /// The receipt in the evidence of the last of them.
    receipt: Vec<u8>,
    /// The statements of each slot, in order: id, and where it says it came from.
    slots: BTreeMap<SlotKey, Vec<(StatementId, Option<Value>)>>,
    /// Statements that begin a slot here, and what each was signed over.
    after: Vec<(String, StatementId)>,
    /// How many uses have evidence.
    uses: usize,
    /// The use batch that was verified last, and its bytes.
    batch: Option<(Vec<u8>, decision::Batched)>,
    lists: Lists,
    /// Who asked, of the parcel under way.
    asked: Vec<(String, Asked)>,
    incidents: BTreeSet<String>,
    complaints: Complaints,
    /// Transfer demands as her statements tell them.
    transfers: Transfers,
    /// The instant the consent records are of.
    as_of: String,
    /// What the renderings have to be, by path: SHA-256.
    renderings: BTreeMap<&'static str, Hash>,
    /// Files the completeness list names.
    listed: Option<BTreeSet<String>>,
    /// Files that are inside and are looked into, lists and parcels apart.
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
        match (Look::at(path), content) {
            (Look::Into, Some(content)) => self.content(listed, content),
            (Look::Into, None) if lists::is_known(path) => {
                Err(wrong(path, "it is longer than a list or a parcel is"))
            }
            (Look::Into, None) => {
                self.paths.insert(path.to_owned());
                self.out.unread.push(path.to_owned());
                Ok(())
            }
            (Look::Rendering(portability::USES), _) => same_rendering(listed, self.lists.tables()?.get(path)),
            (Look::Rendering(list), _) if self.out.unread.iter().any(|path| path == list) => {
                self.out.unread.push(path.to_owned());
                Ok(())
            }
            (Look::Rendering(_), _) => same_rendering(listed, self.renderings.get(path)),
            (Look::Around, _) => Ok(()),
            (Look::Unknown, _) => {
                self.out.unknown.push(path.to_owned());
                Ok(())
            }
        }
    }

    fn content(&mut self, listed: &Listed, content: &[u8]) -> Result<(), Error> {
        let path = listed.path.as_str();
        if !lists::is_known(path) {
            self.paths.insert(path.to_owned());
        }
        match path {
            portability::CHECKPOINT => self.checkpoint(content),
            portability::CONSENTS => self.consents(content),
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
            portability::DUTIES => self.owed(path, content, owed::duties),
            portability::RIGHTS => self.owed(path, content, owed::rights),
            portability::VALUE => self.owed(path, content, owed::value),
            portability::EXCEPTIONS | portability::PARTIES => {
                serde_json::from_slice::<Value>(content)?;
                Ok(())
            }
            _ if path.starts_with(portability::COMPLAINT_FILES) => self.complaint(path, content),
            _ if parcel::is_list(path) => self.lists.list(listed, content),
            _ => {
                let mut lists = std::mem::take(&mut self.lists);
                let proved =
                    lists.parcel(path, content, &mut |path, owed, content| self.inside(path, owed, content));
                self.lists = lists;
                std::mem::take(&mut self.asked).into_iter().for_each(|(id, by)| self.lists.asked(&id, by));
                proved
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

    /// A file of a parcel, and what its list says of it.
    fn inside(&mut self, path: &str, owed: Owed, content: &[u8]) -> Result<(), Error> {
        match owed {
            Owed::Statement(row) => self.statement(path, &row, content),
            Owed::Receipt if self.receipt == content => Ok(()),
            Owed::Receipt => Err(wrong(path, "it is not the receipt of the evidence before it")),
            Owed::Use(row) => self.decision(path, &row, content),
            // `lists` keeps these for itself.
            Owed::Source(_) => Ok(()),
        }
    }

    fn statement(&mut self, path: &str, row: &[u8], content: &[u8]) -> Result<(), Error> {
        let evidence = Evidence::parse(content)?;
        let opened = evidence.verify(self.log, self.origin, self.grain_ms)?;
        self.same_tree(path, opened.size, &opened.root)?;
        let item = opened.item.as_deref().ok_or_else(|| wrong(path, "it does not show who signed"))?;
        let beside = path.strip_suffix(&evidence_name(opened.index));
        let beside = beside.ok_or_else(|| wrong(path, "it is of another entry"))?;
        if self.last.replace(opened.index).is_some_and(|last| last >= opened.index) {
            return Err(wrong(path, "it is not in the order of the log"));
        }
        let verified = identity::open(item)?;
        let at = opened.at.ok_or_else(|| wrong(path, "it is public, and no statement of a person"))?;
        let recorded = verified.at(opened.index, Timestamp(at));
        let receipt = format!("{beside}{}", receipt_name(opened.index));
        if statement_row(&recorded, path, &receipt).to_string().as_bytes() != row {
            return Err(wrong(path, "its list says something else of it"));
        }
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
            self.slots.entry(followed.slot).or_default().push((recorded.id(), moved));
        }
        self.transfers.take(&recorded);
        self.statements += 1;
        if let Some(inside) = self.own.get_mut(&recorded.id()) {
            *inside = true;
        }
        self.receipt = evidence.receipt;
        Ok(())
    }

    fn decision(&mut self, path: &str, row: &[u8], content: &[u8]) -> Result<(), Error> {
        let evidence = decision::Evidence::parse(content)?;
        // Lines follow each other by their batches: each of these is verified once.
        let under = match self.batch.take().filter(|(bytes, _)| *bytes == *evidence.batch) {
            Some(same) => same,
            None => {
                let batch = evidence.batch(self.log, self.origin, self.grain_ms)?;
                self.same_tree(path, batch.opened.size, &batch.opened.root)?;
                self.out.signers.insert(batch.signer);
                (evidence.batch.to_vec(), batch)
            }
        };
        let (line, exact) = evidence.verify_under(&under.1)?;
        let (id, number) = (line.id.to_string(), under.1.batch.number);
        self.batch = Some(under);
        if !path.ends_with(&format!("/{}", use_name(&id))) {
            return Err(wrong(path, "it is of another decision"));
        }
        let says = portability::use_row(&line, exact.as_ref(), number, Some(path));
        if says.to_string().as_bytes() != row {
            return Err(wrong(path, "its list says something else of it"));
        }
        self.uses += 1;
        self.asked.push((id, Asked::By(line.asker)));
        Ok(())
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
            let id = |event: &Value| {
                event.pointer("/ext/statement").and_then(Value::as_str).and_then(StatementId::from_hex)
            };
            let named = events.iter().map(|event| (id(event), event.pointer("/ext/moved")));
            if !named.eq(ids.iter().map(|(id, moved)| (Some(*id), moved.as_ref()))) {
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
            let hers = decisions.all(|id| match (self.lists.quoted.get(*id), accused) {
                (Some(Asked::By(asker)), Some(accused)) => asker.as_str() == accused,
                (Some(Asked::By(_)), None) | (Some(Asked::Unproven), _) => true,
                (Some(Asked::Nowhere) | None, _) => false,
            });
            let own =
                |id: &&str| StatementId::from_hex(id).is_some_and(|id| self.own.get(&id) == Some(&true));
            let said = of("statements")?.iter().all(own);
            let sound = some && hers && said && accused.is_some() == is_confirmed(row);
            if !sound || !self.incidents.insert(id.to_owned()) {
                return Err(differs());
            }
        }
        Ok(())
    }

    fn completeness(&mut self, content: &[u8]) -> Result<(), Error> {
        let file = Complete::read(content)?;
        if !file.lists("incident", &self.incidents) {
            return Err(wrong(portability::COMPLETENESS, "it does not list exactly the incidents inside"));
        }
        let unread = self.out.unread.iter().any(|path| path == portability::COMPLAINTS);
        if !unread && !file.lists("complaint", &self.complaints.listed) {
            return Err(wrong(portability::COMPLETENESS, "it does not list exactly the complaints inside"));
        }
        self.lists.closed()?;
        if *file.names() != self.lists.named.hash() {
            return Err(wrong(portability::COMPLETENESS, "it does not name exactly the lists inside"));
        }
        if file.unproven() != self.lists.unproven {
            return Err(wrong(portability::COMPLETENESS, "it does not count the uses without evidence"));
        }
        if file.over() != self.lists.sources.over {
            return Err(wrong(portability::COMPLETENESS, "it does not count the items that are over"));
        }
        self.listed = Some(file.exported.into_iter().map(|item| item.path).collect());
        self.out.withheld.extend(file.withheld.into_iter().map(|one| (one.reason, one.what)));
        Ok(())
    }

    fn end(mut self) -> Result<(Proven, Option<Held>), Error> {
        let held = self.held.take().map(|held| held.end(self.person, self.out.as_of));
        let Self { out, head, paths, .. } = self;
        let unread = |path: &str| out.unread.iter().any(|one| one == path);
        for path in [portability::CHECKPOINT, portability::CONSENTS, portability::COMPLETENESS] {
            if !paths.contains(path) {
                return Err(wrong(path, "it is missing"));
            }
        }
        if !self.checkpoint {
            return Err(wrong(portability::CHECKPOINT, "it is missing"));
        }
        self.lists.closed()?;
        if !unread(portability::COMPLAINTS) {
            self.complaints.end()?;
        }
        if let Some(listed) = &self.listed {
            if !listed.iter().all(|path| paths.contains(path)) {
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
            statements: self.statements,
            moved: self.origins.seen,
            consents: out.consents,
            uses: self.uses,
            unproven_uses: usize::try_from(self.lists.unproven).unwrap_or(usize::MAX),
            incidents: self.incidents.len(),
            complaints: self.complaints.len(),
            sources: self.lists.sources.items,
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

/// A rendering is what the list it is made from makes.
fn same_rendering(listed: &Listed, made: Option<&Hash>) -> Result<(), Error> {
    if made == Some(&listed.sha256) {
        return Ok(());
    }
    Err(wrong(&listed.path, "it says something else than the list it is made from"))
}

pub(in crate::audit) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
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
