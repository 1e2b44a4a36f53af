//! The worker: one thread, one record of verdicts at a time, jobs in turn.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cohort::Summary;
use crate::ledger::hash;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node::Asked;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Resource;
use crate::node::cohort::Entry;
use crate::node::cohort::Job;
use crate::node::cohort::Progress;
use crate::node::cohort::lines::Lines;
use crate::node::cohort::records::Part;
use crate::node::cohort::records::Reader;
use crate::node::cohort::records::Writer;
use crate::node::folder;

/// Verdicts in one record, each record durable before the next is begun. Fixed: it is part of the format.
pub(super) const CHUNK: u64 = 4_096;

/// File of the signed summary.
pub(super) const SUMMARY: &str = "summary";

/// One verdict as served.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    /// From 1.
    line: u64,
    decision: bool,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    as_of: u64,
}

/// What the line is called that is no ppid.
const MALFORMED: &str = "malformed";

/// A job with its files open.
struct Open {
    entry: Arc<Entry>,
    lines: Lines,
    verdicts: Writer,
    question: Question,
    done: u64,
}

/// What a turn came to.
enum Turn {
    More,
    Done,
    /// The node cannot vouch for its state: a later start goes on.
    Doubtful,
    Failed,
}

/// The worker, until the node closes.
pub(in crate::node) fn run(inner: &Arc<Inner>) {
    let mut open: VecDeque<Open> = VecDeque::new();
    while !inner.cohorts.closing() {
        inner.cohorts.sweep(inner.now());
        if let Some(entry) = inner.cohorts.next(open.is_empty()) {
            match inner.cohort_open(&entry) {
                Ok(job) => open.push_back(job),
                Err(error) => fail(&entry, &error),
            }
        }
        let Some(mut job) = open.pop_front() else { continue };
        if inner.now() >= job.entry.expires() || !inner.cohorts.has(&job.entry) {
            continue;
        }
        match inner.cohort_turn(&mut job) {
            Ok(Turn::More) => open.push_back(job),
            Ok(Turn::Done) => job.entry.set(Progress::Done, job.done),
            Ok(Turn::Doubtful) => job.entry.set(Progress::Waiting, job.done),
            Ok(Turn::Failed) => job.entry.set(Progress::Failed, job.done),
            Err(error) => fail(&job.entry, &error),
        }
    }
}

fn fail(entry: &Entry, error: &Error) {
    tracing::error!(cause = %error, "a cohort cannot go on; the next start tries again");
    entry.set(Progress::Failed, entry.stands().1);
}

impl Inner {
    /// Opens a job where it stands: what broke off is cut, the lines with a verdict are passed over.
    fn cohort_open(&self, entry: &Arc<Entry>) -> Result<Open, Error> {
        let key = self.cohort_key(entry.id);
        let mut done = 0;
        let mut seen = |record: &[u8]| done += record.iter().filter(|b| **b == b'\n').count() as u64;
        let path = entry.folder.join(Part::Verdicts.as_str());
        let verdicts = Writer::resume(path, key.clone(), Part::Verdicts, &mut seen)?;
        folder::sync(&entry.folder)?;
        let input = Reader::open(&entry.folder.join(Part::Input.as_str()), key, Part::Input)?;
        let mut lines = Lines::new(input);
        for _ in 0..done {
            lines.next()?;
        }
        let question = question_of(&entry.job).ok_or_else(|| Error::Damaged("the job of a cohort".into()))?;
        entry.set(Progress::Running, done);
        Ok(Open { entry: Arc::clone(entry), lines, verdicts, question, done })
    }

    /// One record of verdicts; after the last, the summary.
    fn cohort_turn(&self, job: &mut Open) -> Result<Turn, Error> {
        if !self.may_ask(&job.entry.job.party, &job.question.controller, Some(&job.question.purpose)) {
            return Ok(Turn::Failed);
        }
        let mut record = Vec::new();
        let from = job.done;
        while job.done - from < CHUNK {
            let Some(ppid) = job.lines.next()? else { break };
            let Some(line) = self.verdict(job.done + 1, ppid, &job.question)? else {
                job.done = from;
                return Ok(Turn::Doubtful);
            };
            record.extend_from_slice(&line);
            job.done += 1;
        }
        if !record.is_empty() {
            job.verdicts.append(&record)?;
            job.verdicts.sync()?;
            // At this point these verdicts stand.
            job.entry.set(Progress::Running, job.done);
        }
        if job.done < job.entry.job.lines && job.done > from {
            return Ok(Turn::More);
        }
        if job.done != job.entry.job.lines {
            return Err(Error::Damaged("the input of a cohort has fewer lines than were sent".into()));
        }
        let summary = self.cohort_sum(&job.entry)?;
        let signed = summary.sign(self.signers.now().as_ref()).map_err(|e| Error::Damaged(e.to_string()))?;
        folder::put(&job.entry.folder, SUMMARY, &signed)?;
        Ok(Turn::Done)
    }

    /// The verdict on one line; none while the node cannot vouch for its state.
    ///
    /// USE LINES: the one place where a cohort's verdicts are made. Each is an [`Inner::check`] like an
    /// evaluation's; whatever records a check's use records these.
    fn verdict(&self, line: u64, ppid: Option<Ppid>, question: &Question) -> Result<Option<Vec<u8>>, Error> {
        let mut out = Vec::with_capacity(112);
        let written = match ppid {
            None => {
                let as_of = self.sequenced();
                let error = Some(MALFORMED);
                let line = Line { line, decision: false, reason: None, error, pack: None, as_of };
                serde_json::to_writer(&mut out, &line)
            }
            Some(ppid) => {
                let (resource, question) = (Resource::Person(ppid), question.clone());
                let answer = self.check(&Asked { resource, question, min_index: None })?;
                if answer.decision.reason == Reason::LogUnavailable {
                    return Ok(None);
                }
                let told = answer.decision.told();
                let pack = Some(format!("{}/{}", answer.decision.pack, answer.decision.version));
                let (decision, reason) = (told.permits(), Some(told.as_str()));
                let line = Line { line, decision, reason, error: None, pack, as_of: answer.as_of };
                serde_json::to_writer(&mut out, &line)
            }
        };
        written.map_err(|e| Error::Damaged(format!("a verdict could not be written: {e}")))?;
        out.push(b'\n');
        Ok(Some(out))
    }

    /// The summary: a function of the job's files, whoever wrote them and in how many runs.
    fn cohort_sum(&self, entry: &Entry) -> Result<Summary, Error> {
        let path = entry.folder.join(Part::Verdicts.as_str());
        let mut reader = Reader::open(&path, self.cohort_key(entry.id), Part::Verdicts)?;
        let (mut verdicts, mut told, mut packs) =
            (hash::Running::default(), BTreeMap::new(), BTreeSet::new());
        let (mut lines, mut malformed, mut as_of) = (0, 0, None);
        let damaged = || Error::Damaged("the verdicts of a cohort".into());
        while let Some(record) = reader.next()? {
            verdicts.update(&record);
            for text in record.split(|b| *b == b'\n').filter(|text| !text.is_empty()) {
                let line: Line<'_> = serde_json::from_slice(text).map_err(|_| damaged())?;
                lines += 1;
                if line.line != lines {
                    return Err(damaged());
                }
                match line.reason {
                    Some(reason) => *told.entry(reason.to_owned()).or_insert(0) += 1,
                    None => malformed += 1,
                }
                packs.extend(line.pack);
                let (first, last) = as_of.unwrap_or((line.as_of, line.as_of));
                as_of = Some((line.as_of.min(first), line.as_of.max(last)));
            }
        }
        if lines != entry.job.lines {
            return Err(damaged());
        }
        let now = self.sequenced();
        Ok(Summary {
            origin: self.settings.origin.clone(),
            id: entry.id.0,
            party: entry.job.party.as_str().to_owned(),
            asked: entry.job.asked.clone(),
            lines,
            told,
            malformed,
            input: entry.job.input,
            verdicts: verdicts.finish(),
            as_of: as_of.unwrap_or((now, now)),
            packs: packs.into_iter().collect(),
            begun: entry.job.begun,
            ended: self.now().0,
        })
    }
}

/// The question of a job; each line brings its person, and a cohort counts no use.
fn question_of(job: &Job) -> Option<Question> {
    let asked = &job.asked;
    let recipient = match &asked.recipient {
        Some(name) => Some(PartyId::parse(name)?),
        None => None,
    };
    Some(Question {
        controller: PartyId::parse(&asked.controller)?,
        action: AskedAction::parse(&asked.action)?,
        purpose: asked.purpose.clone(),
        class: DataClass::parse(&asked.class)?,
        categories: asked.categories.clone(),
        recipient,
        jurisdiction: asked.jurisdiction.clone(),
        use_id: None,
    })
}
