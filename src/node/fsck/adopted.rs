//! What adopted packs say of the past under them, decided again over the data that has it.
//!
//! Lacks: what of that past was destroyed since. Then less can be asked, and a figure is
//! false only where what is left contradicts it.

use crate::audit::adoption;
use crate::audit::adoption::Verdict;
use crate::consent::Adoption;
use crate::consent::PackFile;
use crate::consent::PackRef;
use crate::consent::Trial;
use crate::model::id::Timestamp;
use crate::model::statement::ReplayOf;
use crate::model::statement::Replayed;
use crate::node::Error;
use crate::node::attachment_blob;
use crate::node::fsck::Asked;
use crate::node::fsck::Data;
use crate::node::fsck::Report;
use crate::node::fsck::Walk;
use crate::node::fsck::replay_packs;
use crate::node::fsck::replay_uses;
use crate::node::start::read_pack;
use crate::node::uselog;

/// An adopted pack, and whether its figure is true.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was adopted.
    pub adoption: Adoption,
    /// The verdict, and the report made again; `None` if it names no replay.
    pub again: Option<(Verdict, adoption::Report)>,
}

/// A past under a trial: as [`replay_uses`] or [`replay_packs`].
///
/// # Errors
/// As they.
pub fn replay(
    data: &Data<'_>,
    of: ReplayOf,
    trial: &mut Trial<'_>,
    span: (Timestamp, Timestamp),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Report, Asked), Error> {
    match of {
        ReplayOf::Uses => replay_uses(data, trial, span, progress),
        ReplayOf::Acts => replay_packs(data, trial, span, progress).map(|report| (report, Asked::default())),
    }
}

/// Decides the past of every adoption again that says what it comes to.
///
/// # Errors
/// The store does not open, or belongs to another process; [`Error::Damaged`] if an entry cannot be read or
/// the file of a pack is gone: then nothing can be said.
pub fn check_adopted(data: &Data<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Vec<Checked>, Error> {
    let mut walk = Walk::begin(data)?;
    walk.entries(progress);
    if let Some(fault) = walk.report.faults.iter().find(|fault| fault.is_of_entry()) {
        return Err(Error::Damaged(fault.to_string()));
    }
    let adopted: Vec<_> = walk.replay.register().adoptions().filter(|one| one.index > 0).cloned().collect();
    let last_erased = walk.certified.last().map(|one| one.index);
    drop(walk);
    let lines_whole = uselog::is_whole(data.folder)?;
    let mut out = Vec::with_capacity(adopted.len());
    for adoption in adopted {
        let again = match &adoption.replay {
            None => None,
            Some(said) => {
                let report = made_again(data, &adoption.pack, said, progress)?;
                let erased = last_erased.is_some_and(|index| index >= said.size);
                let whole = !erased && (lines_whole || said.of == ReplayOf::Acts);
                Some((Verdict::of(said, &report, whole), report))
            }
        };
        out.push(Checked { adoption, again });
    }
    Ok(out)
}

/// One replay made again, as it was said to have been made.
fn made_again(
    data: &Data<'_>,
    pack: &PackRef,
    said: &Replayed,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<adoption::Report, Error> {
    let lost = || Error::Damaged(format!("attachment {}, a policy pack, is missing", pack.hash));
    let file: PackFile = read_pack(&data.store.get(&attachment_blob(&pack.hash))?.ok_or_else(lost)?)?;
    let start = Trial::of(&file.pack);
    let mut trial = said.instead_of.iter().fold(start, |trial, name| trial.instead_of(name));
    let span = (said.from, said.until);
    replay(data, said.of, &mut trial, span, progress)?;
    let asked = adoption::Asked { of: said.of, span, size: said.size, instead_of: said.instead_of.clone() };
    Ok(adoption::Report::of(pack, asked, &trial))
}
