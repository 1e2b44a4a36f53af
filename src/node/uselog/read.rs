//! Reading lines back: by place, by time, by person. The segments are the truth.

use serde_bytes::ByteBuf;

use crate::ledger::cbor;
use crate::model::id::DecisionId;
use crate::model::id::Timestamp;
use crate::model::use_line::Exact;
use crate::model::use_line::UseLine;
use crate::node::Error;
use crate::node::uselog::Fault;
use crate::node::uselog::UseLog;
use crate::node::uselog::count::Noted;
use crate::node::uselog::held;
use crate::node::uselog::segment::Frame;
use crate::node::uselog::segment::FrameKind;
use crate::node::uselog::segment::Frames;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::Vault;

/// A line, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What was asked and told.
    pub line: UseLine,
    /// What was decided, where something else may have been told.
    pub exact: Option<Exact>,
}

impl Use {
    /// The reason that was decided.
    #[must_use]
    pub fn reason(&self) -> crate::model::decision::Reason {
        self.exact.as_ref().map_or(self.line.told, |exact| exact.reason)
    }
}

/// A line's bytes, opened, with all that proves it.
pub(in crate::node::uselog) struct Opened {
    pub(in crate::node::uselog) who: Pointed,
    pub(in crate::node::uselog) key: PersonKey,
    pub(in crate::node::uselog) leaf: [u8; 32],
    pub(in crate::node::uselog) line: Vec<u8>,
    pub(in crate::node::uselog) exact: Option<Vec<u8>>,
    pub(in crate::node::uselog) says: Use,
}

/// A frame taken out of its file.
pub(in crate::node::uselog) struct Taken {
    pub(in crate::node::uselog) id: DecisionId,
    pub(in crate::node::uselog) t: Timestamp,
    pub(in crate::node::uselog) who: Pointed,
    leaf: [u8; 32],
    sealed: Vec<u8>,
}

impl Taken {
    pub(in crate::node::uselog) fn of(frame: &Frame<'_>, vault: &Vault) -> Result<Option<Self>, Error> {
        let Some((pointer, leaf, sealed)) = frame.line() else { return Ok(None) };
        let placed = vault.place(frame.segment, frame.offset)?;
        let (id, who) = (placed.id, placed.show(pointer));
        Ok(Some(Self { id, t: frame.t, who, leaf: *leaf, sealed: sealed.to_vec() }))
    }

    /// Opens it; `None` if the person's key is gone.
    pub(in crate::node::uselog) fn open(self, vault: &Vault) -> Result<Option<Opened>, Error> {
        let key = match vault.person_key(self.who) {
            Ok(key) => key,
            Err(crate::vault::Error::Slot { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let plain = key.open(Sealed::Line, &self.who.subject, &self.id.0, &self.sealed)?;
        let (line, exact): (ByteBuf, Option<ByteBuf>) = cbor::decode(&plain)?;
        let says: UseLine = cbor::decode(&line)?;
        let told = exact.as_ref().map(|exact| cbor::decode(exact)).transpose()?;
        Ok(Some(Opened {
            who: self.who,
            key,
            leaf: self.leaf,
            line: line.into_vec(),
            exact: exact.map(ByteBuf::into_vec),
            says: Use { line: says, exact: told },
        }))
    }
}

impl UseLog {
    /// The line at a place; `None` if no line begins there.
    pub(in crate::node::uselog) fn at(
        &self,
        vault: &Vault,
        (segment, offset): (u64, u64),
    ) -> Result<Option<Taken>, Error> {
        let Some(len) = self.length(segment) else { return Ok(None) };
        let read = || -> Result<Option<Taken>, Fault> {
            let (_, mut frames) = Frames::open(self.folder(), segment, len)?;
            frames.seek(offset)?;
            Ok(match frames.next()? {
                Some((frame, _)) => Taken::of(&frame, vault).map_err(unvaulted)?,
                None => None,
            })
        };
        read().map_err(|fault| self.failed(fault))
    }

    fn length(&self, segment: u64) -> Option<u64> {
        if let Some(extent) = held(&self.closed).get(&segment) {
            return Some(extent.len);
        }
        self.open_extents().into_iter().find(|e| e.header.number == segment).map(|e| e.len)
    }

    pub(in crate::node::uselog) fn open_extents(&self) -> Vec<crate::node::uselog::segment::Extent> {
        let mut out: Vec<_> = self.steady().filter_map(|track| track.extent().copied()).collect();
        out.extend(held(&self.counted).track.extent().copied());
        out
    }

    /// Every line of `[from, until)`, segment by segment.
    ///
    /// # Errors
    /// The disk; damage inside a segment; what `f` answers.
    pub(in crate::node::uselog) fn each(
        &self,
        from: Timestamp,
        until: Timestamp,
        f: &mut dyn FnMut(&Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Open ones first: what is closed in between is then seen twice rather than never.
        let mut extents = self.open_extents();
        extents.extend(held(&self.closed).values().copied());
        extents.sort_by_key(|e| e.header.number);
        extents.dedup_by_key(|e| e.header.number);
        for extent in extents.iter().filter(|e| e.meets(from, until)) {
            let number = extent.header.number;
            let failed = |cause: std::io::Error| self.failed(cause.into());
            let (_, mut frames) = Frames::open(self.folder(), number, extent.len).map_err(failed)?;
            let mut lines = 0;
            while let Some((frame, _)) = frames.next().map_err(failed)? {
                if frame.kind.is_line() {
                    lines += 1;
                    if frame.t >= from && frame.t < until {
                        f(&frame)?;
                    }
                }
            }
            if lines < extent.lines {
                return Err(Error::Damaged(format!("use segment {number} holds fewer lines than it had")));
            }
        }
        Ok(())
    }

    /// Lines that count, of all segments, opened, in the order they were counted.
    pub(in crate::node) fn each_counted(
        &self,
        vault: &Vault,
        f: &mut dyn FnMut(Pointed, &Use, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let extents: Vec<_> = held(&self.closed).values().copied().filter(|e| e.counted > 0).collect();
        for extent in extents {
            let number = extent.header.number;
            let failed = |cause: std::io::Error| self.failed(cause.into());
            let (_, mut frames) = Frames::open(self.folder(), number, extent.len).map_err(failed)?;
            while let Some((frame, _)) = frames.next().map_err(failed)? {
                if frame.kind != FrameKind::Counted {
                    continue;
                }
                let Some(taken) = Taken::of(&frame, vault)? else { continue };
                if let Some(opened) = taken.open(vault)? {
                    f(opened.who, &opened.says, number)?;
                }
            }
        }
        Ok(())
    }

    /// Remembers a use that a line of an earlier start counts.
    pub(in crate::node) fn recount(&self, line: &UseLine, segment: u64, kept_until: Timestamp) {
        if let (Some(grant), Some(use_id), Some(number)) = (line.basis, &line.use_id, line.count) {
            let mut counted = held(&self.counted);
            counted.counts.add(grant, &line.asker, use_id, Noted { number, t: line.t, segment }, kept_until);
        }
    }

    /// The line of a decision.
    pub(in crate::node::uselog) fn of_decision(
        &self,
        vault: &Vault,
        id: &DecisionId,
    ) -> Result<Option<Taken>, Error> {
        match vault.place_of(id)? {
            Some(place) => self.at(vault, place),
            None => Ok(None),
        }
    }
}

fn unvaulted(error: Error) -> Fault {
    match error {
        Error::Vault(error) => Fault::Vault(error),
        other => Fault::Io(std::io::Error::other(other.to_string())),
    }
}
