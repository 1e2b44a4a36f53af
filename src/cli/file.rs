//! Files that commands make: closed to others where they tell of a person, and never in the place of another
//! where a command says so.
//!
//! Lacks what stands in them. Trusted: nothing that has the name already, even if it came a moment ago.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::CWD;
use rustix::fs::RenameFlags;
use rustix::fs::renameat_with;
use rustix::io::Errno;

use crate::cli::say::Fail;

/// What is said where a name is taken.
const TAKEN: &str = "choose another name; nothing is overwritten";
/// Its owner reads and writes it, and nobody else.
const OWN: u32 = 0o600;

/// Who may read a new file.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Mode {
    /// Everybody: what a log shows everybody, public keys.
    Public,
    /// Its owner: private keys, and whatever tells of a person.
    Secret,
}

/// Begins a file that nobody else may read; what was there by that name is lost.
pub(in crate::cli) fn private(path: &Path) -> Result<File, Fail> {
    let opened = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(OWN).open(path)?;
        // One that was there keeps its mode: it is a file's, not that of a terminal or a pipe.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(OWN))?;
        }
        Ok(file)
    };
    opened().map_err(|cause: io::Error| Fail::file(path, cause))
}

/// Writes a file that must not exist, durably.
pub(in crate::cli) fn write_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), Fail> {
    let bits = match mode {
        Mode::Public => 0o644,
        Mode::Secret => OWN,
    };
    let opened = OpenOptions::new().write(true).create_new(true).mode(bits).open(path);
    let mut file = opened.map_err(|cause| {
        let fail = Fail::file(path, &cause);
        match cause.kind() {
            io::ErrorKind::AlreadyExists => fail.next(TAKEN),
            _ => fail,
        }
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|cause| Fail::file(path, cause))
}

/// A name beside that of a file, for what is not whole yet.
pub(in crate::cli) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// Gives a whole file its name, durably; one that has the name already keeps it, even if it came while this
/// one was written.
pub(in crate::cli) fn put_in_place(part: &Path, to: &Path) -> Result<(), Fail> {
    let placed = || {
        File::open(part)?.sync_all()?;
        match renameat_with(CWD, part, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => linked(part, to)?,
            Err(error) => return Err(error.into()),
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    placed().map_err(|cause: io::Error| match cause.kind() {
        io::ErrorKind::AlreadyExists => {
            Fail::file(to, cause).next(format!("{TAKEN}: what was written is in `{}`", part.display()))
        }
        _ => Fail::file(to, cause),
    })
}

/// The same in two steps: a second name is never given in the place of a file either.
fn linked(part: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(part, to)?;
    fs::remove_file(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way in which a file gets its name.
    type Name = fn(&Path, &Path) -> bool;

    #[test]
    fn whatever_has_the_name_keeps_it_by_both_ways() {
        let ways: [Name; 2] =
            [|part, to| put_in_place(part, to).is_ok(), |part, to| linked(part, to).is_ok()];
        for way in ways {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            fs::write(at("new"), b"new").unwrap();
            fs::write(at("file"), b"old").unwrap();
            fs::create_dir(at("folder")).unwrap();
            std::os::unix::fs::symlink(at("nothing"), at("link")).unwrap();
            for taken in ["file", "folder", "link"] {
                assert!(!way(&at("new"), &at(taken)), "{taken}");
            }
            assert_eq!((fs::read(at("file")).unwrap(), at("nothing").exists()), (b"old".to_vec(), false));
            assert!(way(&at("new"), &at("free")));
            assert_eq!((fs::read(at("free")).unwrap(), at("new").exists()), (b"new".to_vec(), false));
        }
    }

    #[test]
    fn what_is_private_is_so_over_a_file_that_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(private(&path).unwrap());
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.permissions().mode() & 0o777, made.len()), (OWN, 0));
    }
}
