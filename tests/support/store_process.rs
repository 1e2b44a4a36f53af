//! What needs a second process: the lock, and a kill in the middle of writing.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use naru::store::fjall::Fjall;
use naru::store::{Error, Head, Name, Store};

use crate::ground::{batch, bytes, id, integrated, lead, person, projected, sequenced, subject};

/// This test binary again, running one of the two helpers below in `folder`.
fn child(helper: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", &format!("process::{helper}"), "--nocapture"]).env(FOLDER, folder);
    command
}

/// Where a helper works; none in an ordinary run, in which the helpers do nothing.
fn folder() -> Option<std::path::PathBuf> {
    env::var_os(FOLDER).map(Into::into)
}

#[test]
fn helper_opens() {
    if let Some(folder) = folder() {
        println!("opened: {:?}", Fjall::open(folder).map(drop));
    }
}

#[test]
fn helper_writes_until_killed() {
    let Some(folder) = folder() else { return };
    let store = Fjall::open(folder).unwrap();
    let (epoch, found) = lead(&store);
    let (mut next, mut head) = (found.next, found.integrated);
    loop {
        let first = sequenced(store.append(epoch, &batch(next, 3)));
        next = first + 3;
        projected(store.project(epoch, next, &[person(1, "a", next - 1)]));
        let new = Head { size: next, root: [7; 32] };
        integrated(store.integrate(epoch, &head, &new, b"note"));
        head = new;
        println!("ack {next}");
    }
}

#[test]
fn a_second_process_and_a_second_handle_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Fjall::open(&path).unwrap();
    assert!(matches!(Fjall::open(&path), Err(Error::Locked)));
    let says = |out: std::process::Output| String::from_utf8(out.stdout).unwrap();
    let refused = says(child("helper_opens", &path).output().unwrap());
    assert!(refused.contains("opened: Err(Locked)"), "{refused}");
    lead(&store);
    drop(store);
    let admitted = says(child("helper_opens", &path).output().unwrap());
    assert!(admitted.contains("opened: Ok"), "{admitted}");
}

#[cfg(feature = "store-sled")]
#[test]
fn sled_refuses_a_second_handle() {
    use naru::store::sled::Sled;
    let folder = tempfile::tempdir().unwrap();
    let store = Sled::open(folder.path()).unwrap();
    assert!(matches!(Sled::open(folder.path()), Err(Error::Locked)));
    drop(store);
    Sled::open(folder.path()).unwrap();
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for acks in [1, 2, 5, 17, 60] {
        let mut writer = child("helper_writes_until_killed", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok);
        // libtest may print its own words in front of the first.
        let numbers =
            lines.filter_map(|line| line.split_once("ack ").and_then(|(_, n)| n.parse::<u64>().ok()));
        let acked = numbers.take(acks).last().unwrap();
        writer.kill().unwrap();
        writer.wait().unwrap();

        let store = Fjall::open(&path).unwrap();
        let (_, found) = lead(&store);
        assert!(found.next >= acked && found.integrated.size >= acked && found.projected >= acked);
        assert!(found.next <= found.integrated.size + 3 && found.next.is_multiple_of(3));
        let rows = store.rows(&subject(1)).unwrap();
        assert_eq!((rows.rows[0].1, rows.upto), (found.projected - 1, found.projected));
        let last = found.next - 1;
        assert_eq!(store.locate(&Name::Statement(id(last).0)).unwrap().unwrap().index, Some(last));
        assert_eq!(store.bodies(&subject(2), &[id(last)]).unwrap(), [Some(bytes("body", last, 700))]);
        let read: usize = store.commits(0..found.next).unwrap().iter().map(|c| c.entries.len()).sum();
        assert_eq!(u64::try_from(read).unwrap(), found.next);
    }
}

const FOLDER: &str = "NARU_STORE_TEST_FOLDER";
