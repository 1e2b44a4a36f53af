//! What stands beside her statements: uses, exceptions, parties, and what is not inside.

use std::collections::BTreeSet;
use std::io::Write;

use serde_json::Value;
use serde_json::json;

use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opening;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
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
use crate::portability::Table;
use crate::portability::Withheld;
use crate::portability::use_path;
use crate::store::Name;

/// Who knows her: the party, her ppid there, its roles.
type Knows = (PartyId, String, Vec<&'static str>);

fn json_error(error: serde_json::Error) -> Error {
    portability::Error::from(error).into()
}

impl Export {
    /// Lines under the checkpoint's use batches: first the evidence of each, then the list.
    pub(in crate::node::export) fn uses(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(Suspect, Tally), Error> {
        let (who, size) = (self.loaded.who, self.covering.size);
        let (mut suspect, mut used) = (Suspect::default(), Tally::default());
        let mine = self.node.uses_under(who, &self.loaded.key, size)?;
        let mut proven = Vec::with_capacity(mine.lines.len());
        let mut last: Option<(u64, Vec<u8>, Hash)> = None;
        for line in &mine.lines {
            let batch = match last.take().filter(|(number, ..)| *number == line.number) {
                Some(batch) => batch,
                None => {
                    let root = self.node.root_of_batch(line.batch)?;
                    (line.number, self.public_evidence(line.batch)?, root)
                }
            };
            let evidence = self.node.use_proof(line, &batch.1, &batch.2)?;
            if let Some((id, evidence)) = &evidence {
                archive.file(&use_path(&id.to_string()), evidence)?;
            }
            proven.push(evidence.is_some());
            last = Some(batch);
        }
        archive.begin(portability::USES)?;
        for (line, proven) in mine.lines.iter().zip(proven.iter().copied()) {
            let Some(seen) = self.node.use_of(line)? else { continue };
            suspect.see(&self.node, who, &seen.line);
            used.see(&seen.line, seen.exact.as_ref());
            let row = portability::use_row(&seen.line, seen.exact.as_ref(), line.number, proven);
            writeln!(archive, "{row}").map_err(portability::Error::from)?;
            let id = seen.line.id.to_string();
            if !proven {
                let what = format!("the proof of use {id}: lines beside it are past their term");
                complete.withheld.push(Withheld::new(ItemKind::Use, what, Reason::RetentionExpired));
            }
            let path = if proven { use_path(&id) } else { portability::USES.into() };
            complete.exported.push(Item { kind: ItemKind::Use, id, path });
        }
        archive.begin(portability::USES_CSV)?;
        let mut table = Table::uses(archive)?;
        for (line, proven) in mine.lines.iter().zip(&proven) {
            if let Some(seen) = self.node.use_of(line)? {
                table.push(&portability::use_row(&seen.line, seen.exact.as_ref(), line.number, *proven))?;
            }
        }
        table.end()?;
        if let Some(until) = mine.until {
            let what = format!("use lines from {} on", portability::instant(until));
            complete.withheld.push(Withheld::new(ItemKind::Use, what, Reason::AfterCheckpoint));
        }
        Ok((suspect, used))
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
        let own: BTreeSet<StatementId> = told.rows.iter().map(|row| row.id).collect();
        let said = self.loaded.person.justifications().iter().filter(|j| own.contains(&j.statement));
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
