//! Lines of a folder that no node has open: what was asked, read once, in order of segments.

use std::path::Path;

use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::uselog::read::Taken;
use crate::node::uselog::read::Use;
use crate::node::uselog::segment;
use crate::node::uselog::segment::Frames;
use crate::vault::Pointed;
use crate::vault::Vault;

/// Whether a folder of data has a use log.
pub(in crate::node) fn is_kept(data: &Path) -> bool {
    folder(data).is_dir()
}

/// Whether every segment that was ever begun is still there.
///
/// # Errors
/// The disk.
pub(in crate::node) fn is_whole(data: &Path) -> Result<bool, Error> {
    if !is_kept(data) {
        return Ok(true);
    }
    let folder = folder(data);
    let numbers = segment::list(&folder).map_err(|cause| Error::File { path: folder, cause })?;
    Ok((0..).zip(numbers).all(|(expected, number)| expected == number))
}

fn folder(data: &Path) -> std::path::PathBuf {
    data.join("use")
}

/// Every line of `[from, until)` that can be opened; those of the erased cannot.
///
/// # Errors
/// The disk, the vault, damage; what `f` answers.
pub(in crate::node) fn each_past(
    data: &Path,
    vault: &Vault,
    (from, until): (Timestamp, Timestamp),
    f: &mut dyn FnMut(Pointed, Use) -> Result<(), Error>,
) -> Result<(), Error> {
    let folder = folder(data);
    let failed = |cause: std::io::Error| Error::File { path: folder.clone(), cause };
    for number in segment::list(&folder).map_err(failed)? {
        let Some(found) = segment::find(&folder, number).map_err(failed)? else { continue };
        if !found.extent.meets(from, until) {
            continue;
        }
        let (_, mut frames) = Frames::open(&folder, number, found.extent.len).map_err(failed)?;
        while let Some((frame, _)) = frames.next().map_err(failed)? {
            if !frame.kind.is_line() || frame.t < from || frame.t >= until {
                continue;
            }
            let Some(taken) = Taken::of(&frame, vault)? else { continue };
            if let Some(opened) = taken.open(vault)? {
                f(opened.who, opened.says)?;
            }
        }
    }
    Ok(())
}
