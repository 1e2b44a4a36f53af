//! All lines of one person, one after the other: a page of places in memory for each writer, and no more.
//!
//! Each writer's segments follow each other in time, so few are open at once: as many as there
//! are writers. Lines are taken by their time, and those of one instant by their ids: that order is strict,
//! and the same as long as the lines are there. So the lines of one instant are in memory together, and
//! no others. Lacks what lines say.

use std::collections::VecDeque;

use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::uselog::UseLog;
use crate::node::uselog::held;
use crate::node::uselog::read::Taken;
use crate::node::uselog::segment::Extent;
use crate::node::uselog::segment::Frames;
use crate::node::uselog::who::Book;
use crate::node::uselog::who::Spot;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Vault;

/// Places looked up at a time.
const PAGE: usize = 256;

/// Takes a line.
pub(in crate::node::uselog) type Take<'a> = dyn FnMut(Taken) -> Result<(), Error> + 'a;

/// Whose lines, and what opens the way to them.
#[derive(Clone, Copy)]
struct Hers<'a> {
    vault: &'a Vault,
    who: Pointed,
    key: &'a PersonKey,
    until: Timestamp,
}

/// One segment on the way.
struct Cursor {
    extent: Extent,
    frames: Frames,
    book: Option<Book>,
    /// How many of hers were looked up.
    n: u64,
    /// Where the last of them stands.
    last: u64,
    ahead: VecDeque<Spot>,
    over: bool,
}

impl Cursor {
    /// The next place of hers before the end; `None` behind the last.
    fn head(&mut self, uses: &UseLog, hers: Hers<'_>) -> Result<Option<Spot>, Error> {
        loop {
            match self.ahead.front() {
                Some(spot) if spot.0 < hers.until => return Ok(Some(*spot)),
                Some(_) => drop(self.ahead.pop_front()),
                None if self.over => return Ok(None),
                None => self.look_up(uses, hers)?,
            }
        }
    }

    /// Another page of places: from the notes of a segment that is open, else from its side file.
    fn look_up(&mut self, uses: &UseLog, hers: Hers<'_>) -> Result<(), Error> {
        let number = self.extent.header.number;
        let noted = match &self.book {
            Some(_) => None,
            None => uses.noted_behind((number, self.last), &hers.who.subject, PAGE),
        };
        if let Some(page) = noted {
            self.over = page.is_empty();
            self.n += page.len() as u64;
            self.last = page.last().map_or(self.last, |(_, (_, offset))| *offset);
            self.ahead.extend(page);
            return Ok(());
        }
        let book = match &mut self.book {
            Some(book) => book,
            None => self.book.insert(uses.book_of(hers.vault, number)?),
        };
        for _ in 0..PAGE {
            let found = book.places(hers.key.line_tag(number, self.n));
            let found = found.map_err(|cause| uses.failed(cause.into()))?;
            self.over = found.is_empty();
            if self.over {
                break;
            }
            self.n += 1;
            // One tag of two persons: the frame says whose it is.
            self.ahead.extend(found.into_iter().filter(|(_, (_, offset))| *offset > self.last));
            self.last = self.ahead.back().map_or(self.last, |(_, (_, offset))| *offset);
        }
        Ok(())
    }

    /// The line at a place; `None` if it is another's.
    fn take(&mut self, uses: &UseLog, hers: Hers<'_>, offset: u64) -> Result<Option<Taken>, Error> {
        let failed = |cause: std::io::Error| uses.failed(cause.into());
        self.frames.forward(offset).map_err(failed)?;
        let number = self.extent.header.number;
        let Some((frame, _)) = self.frames.next().map_err(failed)? else {
            return Err(Error::Damaged(format!("use segment {number} holds fewer lines than it had")));
        };
        let taken = Taken::of(&frame, hers.vault)?;
        Ok(taken.filter(|taken| taken.who.subject == hers.who.subject))
    }
}

/// Lines of one instant, in the order of their ids.
fn hand_over(same: &mut Vec<Taken>, take: &mut Take<'_>) -> Result<(), Error> {
    same.sort_unstable_by_key(|taken| taken.id);
    same.drain(..).try_for_each(take)
}

impl UseLog {
    /// Every line of one person before an instant up to which all is synced.
    ///
    /// # Errors
    /// The disk; damage inside a segment; what `take` answers.
    pub(in crate::node::uselog) fn each_of(
        &self,
        vault: &Vault,
        (who, key): (Pointed, &PersonKey),
        until: Timestamp,
        take: &mut Take<'_>,
    ) -> Result<(), Error> {
        let hers = Hers { vault, who, key, until };
        // Open ones first: what is closed in between is then found twice rather than never.
        let mut extents = self.open_extents();
        extents.extend(held(&self.closed).values().copied());
        extents.retain(|extent| extent.meets(Timestamp(0), until));
        extents.sort_by_key(|extent| extent.header.number);
        extents.dedup_by_key(|extent| extent.header.number);
        extents.sort_by_key(|extent| (extent.first, extent.header.number));
        let mut waiting = extents.into_iter().peekable();
        let mut open: Vec<Cursor> = Vec::new();
        let mut same: Vec<Taken> = Vec::new();
        loop {
            let mut next: Option<(Spot, usize)> = None;
            let mut at = 0;
            while let Some(cursor) = open.get_mut(at) {
                match cursor.head(self, hers)? {
                    Some(spot) => {
                        if next.is_none_or(|(first, _)| spot < first) {
                            next = Some((spot, at));
                        }
                        at += 1;
                    }
                    None => drop(open.swap_remove(at)),
                }
            }
            // A segment that begins before what would be next has a say first.
            if let Some(extent) = waiting.next_if(|extent| next.is_none_or(|((t, _), _)| extent.first <= t)) {
                open.push(self.cursor(extent)?);
                continue;
            }
            let Some(((t, (_, offset)), at)) = next else { return hand_over(&mut same, take) };
            if same.first().is_some_and(|before| before.t != t) {
                hand_over(&mut same, take)?;
            }
            let Some(cursor) = open.get_mut(at) else { return hand_over(&mut same, take) };
            cursor.ahead.pop_front();
            same.extend(cursor.take(self, hers, offset)?);
        }
    }

    fn cursor(&self, extent: Extent) -> Result<Cursor, Error> {
        // Lines are added to an open one meanwhile: all that is asked for stood before.
        let failed = |cause: std::io::Error| self.failed(cause.into());
        let (_, frames) = Frames::open(self.folder(), extent.header.number, extent.len).map_err(failed)?;
        Ok(Cursor { extent, frames, book: None, n: 0, last: 0, ahead: VecDeque::new(), over: false })
    }

    /// Places of a person in a segment that is open; `None` if it is not open any more.
    fn noted_behind(
        &self,
        place: (u64, u64),
        subject: &crate::model::id::SubjectId,
        most: usize,
    ) -> Option<Vec<Spot>> {
        let found = self.steady().find_map(|track| track.noted_behind(place, subject, most));
        found.or_else(|| held(&self.counted).track.noted_behind(place, subject, most))
    }
}
