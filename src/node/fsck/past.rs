//! Past questions under a pack that is not in force: what use lines say was asked.
//!
//! Each line is asked again of register and person as its own index shows them, while
//! the log is walked. Lacks: questions about releases, answers that were none
//! (`LOG_UNAVAILABLE`), and what was asked of persons erased since.

use crate::consent::Past;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::Trial;
use crate::model::decision::Question;
use crate::model::decision::Reason;
use crate::model::id::DecisionId;
use crate::model::id::LeafIndex;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::use_line::UseAct;
use crate::node::Error;
use crate::node::domain::Pairwise;
use crate::node::fsck::Data;
use crate::node::fsck::Report;
use crate::node::fsck::Walk;
use crate::node::uselog::Use;
use crate::node::uselog::each_past;

/// Most lines asked again in one run: they are held in memory.
const MOST: usize = 2_000_000;

/// What the lines of a span came to, beside what the trial counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Lines that ask no person anything, or that were not answered.
    pub other: u64,
    /// Lines beyond the most that one run holds: narrow the span.
    pub left_out: u64,
}

/// One line's question.
struct Line {
    as_of: TreeSize,
    at: Timestamp,
    id: DecisionId,
    subject: SubjectId,
    ppid: Ppid,
    counted: bool,
    question: Question,
}

impl Line {
    fn of(subject: SubjectId, seen: Use) -> Option<Self> {
        let reason = seen.reason();
        let line = seen.line;
        if line.act != UseAct::Check || reason == Reason::LogUnavailable {
            return None;
        }
        Some(Self {
            as_of: line.as_of,
            at: line.at,
            id: line.id,
            subject,
            ppid: line.ppid?,
            counted: line.count.is_some(),
            question: Question {
                controller: line.controller,
                action: line.action?,
                purpose: line.purpose?,
                class: line.class?,
                categories: line.categories,
                recipient: line.recipient,
                jurisdiction: line.jurisdiction,
                use_id: line.use_id,
            },
        })
    }
}

type Asking<'a> = dyn FnMut(&Register, Option<&Person>, &Line) + 'a;

/// Lines that wait for their index.
pub(super) struct Waiting<'a> {
    /// Newest first: the next to be asked is the last.
    lines: Vec<Line>,
    ask: Box<Asking<'a>>,
}

impl Walk<'_> {
    /// Asks what was asked while the log had at most so many entries; all before are folded.
    pub(super) fn recall(&mut self, index: LeafIndex) {
        let Some(waiting) = &mut self.waiting else { return };
        while let Some(line) = waiting.lines.pop_if(|line| line.as_of <= index) {
            let register = self.replay.register();
            let pairwise = Pairwise { vault: self.data.vault, origin: self.data.origin, register };
            // One of another domain was decided against nobody.
            let hers = pairwise.ppid(Some(&line.question.controller), &line.subject) == line.ppid;
            let person = self.people.get(&line.subject).filter(|_| hers).map(|folded| &folded.loaded.person);
            (waiting.ask)(register, person, &line);
        }
    }
}

/// Walks the log as [`check`](super::check) does and asks `trial` again what use lines of `[from, until)`
/// say was asked, each of register and person as they were at its index.
///
/// # Errors
/// The store does not open, or belongs to another process; the use log cannot be read.
pub fn replay_uses(
    data: &Data<'_>,
    trial: &mut Trial<'_>,
    span: (Timestamp, Timestamp),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Report, Asked), Error> {
    let mut walk = Walk::begin(data)?;
    let (mut lines, mut asked) = (Vec::new(), Asked::default());
    each_past(data.folder, data.vault, span, &mut |who, seen| {
        match Line::of(who.subject, seen) {
            None => asked.other += 1,
            Some(_) if lines.len() >= MOST => asked.left_out += 1,
            Some(line) => lines.push(line),
        }
        Ok(())
    })?;
    lines.sort_by_key(|line| std::cmp::Reverse((line.as_of, line.at)));
    let ask: Box<Asking<'_>> = Box::new(|register, person, line| {
        let Line { at, id, counted, question, .. } = line;
        trial.ask(Past { register, person, question, at: *at, counted: *counted, decision: Some(*id) });
    });
    walk.waiting = Some(Waiting { lines, ask });
    walk.entries(progress);
    walk.recall(LeafIndex::MAX);
    Ok((std::mem::take(&mut walk.report), asked))
}
