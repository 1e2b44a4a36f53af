//! Who can still read what: wrapping epochs, and erasure.

#[path = "custody/arrivals.rs"]
mod arrivals;
#[path = "custody/epochs.rs"]
mod epochs;
#[path = "custody/erasure.rs"]
mod erasure;
#[path = "custody/faults.rs"]
mod faults;
#[path = "custody/holds.rs"]
mod holds;
mod support;
#[path = "custody/terms.rs"]
mod terms;
#[path = "custody/traces.rs"]
mod traces;

use naru::node::fsck;
use naru::vault::Vault;
use support::*;

/// What `fsck` says of the world's data; the node must be gone.
fn fsck_of(world: &World) -> fsck::Report {
    with_data(world, |data| fsck::check(data, &mut |_, _| {}).unwrap())
}

fn with_data<T>(world: &World, act: impl FnOnce(&fsck::Data<'_>) -> T) -> T {
    let vault = Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let (log, anchor) = (signer(LOG), world.dir.path().join("anchor"));
    act(&fsck::Data {
        store: &world.memory,
        vault: &vault,
        log: naru::ledger::key::Signer::public(&log),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: Some(&anchor),
    })
}

/// An orderly stop.
fn stop(world: &mut World) {
    drop(world.node.take());
    world.memory.sync();
    world.memory = world.memory.reopen();
}
