//! Rotation by the operator, on a service that runs and on one that does not.

use std::fs;

use crate::Desk;
use crate::Service;
use crate::backup::someone;
use crate::backup::submit;

fn epochs(desk: &Desk) -> Vec<String> {
    let names = fs::read_dir(desk.path("log/keys")).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("epoch-")).collect();
    names.sort();
    names
}

#[test]
fn a_rotation_while_serving_and_one_without_a_service_leave_older_backups_dead() {
    let desk = Desk::new();
    desk.log();
    assert_eq!(epochs(&desk), ["epoch-1.key"]);
    let service = Service::start(&desk);
    let acked: Vec<_> = (0..5).map(|n| submit(&service.1, someone(n))).collect();
    desk.naru(&["backup", "log", "--to", "old.backup", "--keys", "old.keys"]).exits(0);
    desk.naru(&["rotate", "log", "--suite", "rot13"]).exits(2).says("aria-256-gcm");
    let told = desk.naru(&["--json", "rotate", "log", "--suite", "aria-256-gcm"]).exits(0).json();
    assert_eq!((told["epoch"].as_u64(), told["keys"].as_u64()), (Some(2), Some(6)));
    assert_eq!(epochs(&desk), ["epoch-2.key"]);
    let later = submit(&service.1, someone(5));
    assert_eq!(service.signal("-KILL"), None);
    desk.naru(&["rotate", "log"]).exits(0).says("naru backup");
    assert_eq!(epochs(&desk), ["epoch-3.key"]);
    desk.naru(&["fsck", "log"]).exits(0);
    let service = Service::start(&desk);
    for one in acked.iter().chain([&later]) {
        assert_eq!(submit(&service.1, one.item.clone()).index, one.index, "found where it was");
    }
    desk.naru(&["backup", "log", "--to", "new.backup", "--keys", "new.keys"]).exits(0);
    assert_eq!(service.signal("-TERM"), Some(0));

    desk.lose_the_data();
    let restore = |from: &str, keys: &str| desk.naru(&["restore", "log", "--from", from, "--keys", keys]);
    restore("old.backup", "old.keys").exits(1).says("epoch 1, which has ended");
    assert!(!desk.path("log/data").exists());
    restore("new.backup", "new.keys").exits(0);
    desk.naru(&["fsck", "log"]).exits(0);
}
