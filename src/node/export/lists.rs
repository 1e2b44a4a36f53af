//! What stands beside her statements: uses, exceptions, parties, and what is not inside.

use std::io;

use serde_json::Value;
use serde_json::json;

use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opening;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::pack::Line as _;
use crate::node::Error;
use crate::node::domain::own_domain;
use crate::node::domain::party_domain;
use crate::node::export::Export;
use crate::node::export::incidents::Suspect;
use crate::node::export::statements::Told;
use crate::node::owed::Tally;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::Item;
use crate::portability::ItemKind;
use crate::portability::Reason;
use crate::portability::TABLE_ROWS;
use crate::portability::Table;
use crate::portability::Withheld;
use crate::portability::parcel::Inside;
use crate::portability::parcel::Parcels;
use crate::portability::parcel::parcel_path;
use crate::portability::use_name;
use crate::portability::uses_csv_path;
use crate::store::Name;

/// Who knows her: the party, her ppid there, its roles.
type Knows = (PartyId, String, Vec<&'static str>);

/// Which lines have evidence, line after line: runs, for the lines of one batch have it or have it not.
#[derive(Default)]
struct Proven {
    runs: Vec<(bool, u64)>,
    not: u64,
}

impl Proven {
    fn push(&mut self, proven: bool) {
        self.not += u64::from(!proven);
        match self.runs.last_mut().filter(|(last, _)| *last == proven) {
            Some((_, count)) => *count += 1,
            None => self.runs.push((proven, 1)),
        }
    }

    fn each(&self) -> impl Iterator<Item = bool> {
        self.runs.iter().flat_map(|(proven, count)| (0..*count).map(move |_| *proven))
    }
}

/// How long each table of uses gets at least: so that the page does not try to carry one that is too long.
#[derive(Default)]
struct Lengths {
    tables: Vec<u64>,
    rows: u64,
}

/// Counts what is written.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lengths {
    fn push(&mut self, row: &Value) -> Result<(), portability::Error> {
        let mut counted = Counted(0);
        let mut table = Table::more_uses(&mut counted);
        table.push(row)?;
        table.end()?;
        if self.rows.is_multiple_of(TABLE_ROWS) {
            self.tables.push(0);
        }
        self.rows += 1;
        if let Some(last) = self.tables.last_mut() {
            *last += counted.0;
        }
        Ok(())
    }

    /// Of the table with a number, from 1 on.
    fn of(&self, number: u64) -> u64 {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        place.and_then(|place| self.tables.get(place)).copied().unwrap_or_default()
    }
}

fn json_error(error: serde_json::Error) -> Error {
    portability::Error::from(error).into()
}

impl Export {
    /// Lines under the checkpoint's use batches: lists, the evidence of each beside them, then the tables.
    pub(in crate::node::export) fn uses(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(Suspect, Tally), Error> {
        let (who, key, size) = (self.loaded.who, &self.loaded.key, self.covering.size);
        let (mut suspect, mut used) = (Suspect::default(), Tally::default());
        let mut parcels = Parcels::new(ItemKind::Use, portability::USES);
        let (mut proven, mut lengths) = (Proven::default(), Lengths::default());
        let mut last: Option<(u64, Vec<u8>, Hash)> = None;
        let first = complete.lists.len();
        let until = self.node.each_use_under(who, key, size, &mut |mine| {
            let batch = match last.take().filter(|(number, ..)| *number == mine.number) {
                Some(batch) => batch,
                None => {
                    let root = self.node.root_of_batch(mine.batch.index)?;
                    (mine.number, self.public_evidence(mine.batch.index)?, root)
                }
            };
            let evidence = self.node.use_proof(mine, &batch.1, &batch.2)?;
            last = Some(batch);
            if parcels.is_full() {
                complete.lists.extend(parcels.write(archive)?);
            }
            let seen = mine.says();
            suspect.see(&self.node, who, &seen.line, size)?;
            used.see(&seen.line, seen.exact.as_ref());
            let name = use_name(&seen.line.id.to_string());
            let path = evidence.as_ref().map(|_| parcels.within(&name));
            proven.push(evidence.is_some());
            let row = portability::use_row(&seen.line, seen.exact.as_ref(), mine.number, path.as_deref());
            parcels.row(&row)?;
            lengths.push(&row)?;
            if let Some(evidence) = &evidence {
                parcels.file(&name, evidence)?;
            }
            Ok(())
        })?;
        complete.lists.extend(parcels.write(archive)?);
        let lists = complete.lists.get(first..).unwrap_or_default();
        self.use_tables(archive, lists, (&proven, &lengths))?;
        if proven.not > 0 {
            let what = "proofs of uses whose list says no evidence: lines beside them are past their term";
            let reason = Reason::RetentionExpired;
            complete.withheld.push(Withheld::many(ItemKind::Use, proven.not, what, reason));
        }
        if let Some(until) = until {
            let what = format!("use lines from {} on", portability::instant(until));
            complete.withheld.push(Withheld::new(ItemKind::Use, what, Reason::AfterCheckpoint));
        }
        Ok((suspect, used))
    }

    /// The rows of the lists again, as tables: at least one, so that a spreadsheet finds it.
    fn use_tables(
        &self,
        archive: &mut Archive<'_>,
        lists: &[Inside],
        (proven, lengths): (&Proven, &Lengths),
    ) -> Result<(), Error> {
        let (who, key, size) = (self.loaded.who, &self.loaded.key, self.covering.size);
        let changed = || Error::Damaged("the use lines changed while they were exported".into());
        // Which parcel each row is proven in: as many in a row as the list has. They are numbered from 1 on.
        let numbered = (1..).zip(lists.iter().map(Inside::items));
        let mut places = numbered.flat_map(|(number, items)| (0..items).map(move |_| number));
        let mut proven = proven.each();
        let (mut rows, mut number) = (0, 1);
        archive.begin_long(portability::USES_CSV, lengths.of(number))?;
        Table::uses(archive)?.end()?;
        self.node.each_use_under(who, key, size, &mut |mine| {
            if rows == TABLE_ROWS {
                (rows, number) = (0, number + 1);
                archive.begin_long(&uses_csv_path(number), lengths.of(number))?;
                Table::uses(archive)?.end()?;
            }
            rows += 1;
            let (parcel, is_proven) = places.next().zip(proven.next()).ok_or_else(changed)?;
            let seen = mine.says();
            let parcel = || parcel_path(portability::USES, parcel);
            let path = is_proven.then(|| format!("{}/{}", parcel(), use_name(&seen.line.id.to_string())));
            let mut table = Table::more_uses(archive);
            table.push(&portability::use_row(
                &seen.line,
                seen.exact.as_ref(),
                mine.number,
                path.as_deref(),
            ))?;
            Ok(table.end()?)
        })?;
        if places.next().is_some() { Err(changed()) } else { Ok(()) }
    }

    /// Public evidence of an entry under this checkpoint.
    fn public_evidence(&self, index: LeafIndex) -> Result<Vec<u8>, Error> {
        let missing = || Error::Damaged(format!("entry {index} is missing"));
        let entry = self.node.entries(index, index + 1)?.pop().ok_or_else(missing)?;
        let receipt = self.covering.receipt(self.node.store.as_ref(), index)?;
        let checkpoint = Some(self.covering.note.clone());
        Ok(Evidence { index, entry, opening: Opening::Public, receipt, checkpoint }.encode()?)
    }

    /// Exceptions that controllers who know her claim in notices under the checkpoint.
    pub(in crate::node::export) fn exceptions(
        &self,
        told: &Told,
        as_of: Timestamp,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let register = self.node.register();
        let mut claims = Vec::new();
        for (party, _, _) in self.known_to()? {
            for one in register.claims_of(&party, as_of) {
                if one.notice.index >= self.covering.size {
                    continue;
                }
                let (ko, en) = one.exception.texts();
                let id = format!("{}:{}", one.notice.id, one.exception.id);
                claims.push(json!({
                    "controller": party.as_str(), "notice": one.notice.id.to_string(),
                    "pack": one.pack.name().to_string(), "version": one.pack.version(),
                    "rule": one.exception.id.to_string(), "article": one.exception.article,
                    "source": one.exception.source, "ko": ko, "en": en, "purpose": one.claim.purpose,
                    "class": one.class.as_str(), "reason": one.claim.reason,
                }));
                let path = portability::EXCEPTIONS.into();
                complete.exported.push(Item { kind: ItemKind::Exception, id, path });
            }
        }
        let said = self.loaded.person.justifications().iter().filter(|j| told.ids.contains(&j.statement));
        let justified: Vec<Value> = said
            .map(|j| {
                json!({
                    "statement": j.statement.to_string(), "controller": j.party.as_str(), "rule": j.rule,
                    "purpose": j.purpose, "class": j.class.as_str(), "from": j.from.0, "until": j.until.0,
                    "at": j.at.0,
                })
            })
            .collect();
        archive.begin(portability::EXCEPTIONS)?;
        serde_json::to_writer(archive, &json!({ "claims": claims, "justifications": justified }))
            .map_err(json_error)
    }

    /// Registered parties whose ppid of hers was ever named: to her, or by a statement.
    fn known_to(&self) -> Result<Vec<Knows>, Error> {
        let (node, subject) = (&self.node, &self.loaded.who.subject);
        let mut out = Vec::new();
        let register = node.register();
        for party in register.parties().filter(|party| party.index < self.covering.size) {
            // The newest name of hers that it was ever given; a party's earlier ones stay hers.
            for epoch in (0..=register.epoch_of(&party.id)).rev() {
                let ppid = node.vault.ppid(&party_domain(&party.id, epoch), subject);
                if node.people.locate(&Name::Ppid(ppid.0), node.store.as_ref(), &node.vault)?.is_some() {
                    let roles = party.roles.iter().map(|role| role.as_str()).collect();
                    out.push((party.id.clone(), ppid.to_text(), roles));
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Who knows her, and by which name.
    pub(in crate::node::export) fn parties(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        let mut parties = Vec::new();
        for (party, ppid, roles) in self.known_to()? {
            parties.push(json!({ "party": party.as_str(), "ppid": ppid, "roles": roles }));
            let (id, path) = (party.as_str().to_owned(), portability::PARTIES.into());
            complete.exported.push(Item { kind: ItemKind::Party, id, path });
        }
        let origin = &self.node.settings.origin;
        let own = self.node.vault.ppid(&own_domain(origin), &self.loaded.who.subject).to_text();
        archive.begin(portability::PARTIES)?;
        serde_json::to_writer(archive, &json!({ "self": own, "parties": parties })).map_err(json_error)
    }

    /// What no export holds, and what this one cannot hold.
    pub(in crate::node::export) fn withheld(&self, complete: &mut Completeness) {
        let size = self.covering.size;
        let mut say = |kind, what: String, reason| complete.withheld.push(Withheld::new(kind, what, reason));
        say(ItemKind::Statement, format!("statements from entry {size} on"), Reason::AfterCheckpoint);
        let later = format!(
            "incidents flagged or complained of from entry {size} on, and later steps of earlier ones"
        );
        say(ItemKind::Incident, later, Reason::AfterCheckpoint);
        say(ItemKind::Secret, "the key her records are sealed under".into(), Reason::Security);
        say(
            ItemKind::Secret,
            "the key her ppids are made with, and her internal id".into(),
            Reason::Security,
        );
        let others = "statements of persons she acts for, and everything of other persons";
        say(ItemKind::OtherPerson, others.into(), Reason::RightsOfOthers);
    }
}
