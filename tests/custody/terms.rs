//! Terms: what is past its term is destroyed and certified, and nothing that stands changes.

use naru::model::decision::Reason;
use naru::model::id::Hash;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::node::Accepted;
use naru::node::Expired;
use naru::node::NoExport;
use naru::store::Name;
use naru::store::Store;
use naru::store::memory::Call;
use naru::store::memory::Fault;
use naru::store::memory::When;

use crate::erasure::demand;
use crate::erasure::nothing_is_left;
use crate::erasure::who;
use crate::fsck_of;
use crate::holds::case;
use crate::holds::lift;
use crate::holds::place;
use crate::stop;
use crate::support::*;
use crate::with_data;

/// Of grants, after the home rule.
const TERM: u64 = 1_096 * DAY;

fn expired(records: u64) -> Expired {
    Expired { records, requests: 0, certificates: u64::from(records > 0), items: 0 }
}

/// Statement ids of person `n`'s bodies.
fn bodies(world: &World, n: u64) -> Vec<StatementId> {
    world.memory.ids(&who(world, n).subject).unwrap()
}

fn grant_over(world: &World, ppid: Ppid, over: Option<StatementId>) -> Accepted {
    let mut grant = world.grant(ppid, over);
    grant.iat = world.now();
    world.accept(sign(&grant.into(), &person_key(1)))
}

/// After an orderly stop everything is sound, is rebuilt the same, and is opened again.
#[track_caller]
fn sound(world: &mut World, erased: u64) {
    for rebuilds in [true, false] {
        stop(world);
        let report = fsck_of(world);
        assert_eq!((report.faults.clone(), report.erased, report.unerased), (vec![], erased, 0));
        assert_eq!(report.counts.erased, erased);
        if rebuilds {
            with_data(world, |data| naru::node::fsck::rebuild(data, &mut |_, _| {}).unwrap());
        }
        world.node = Some(world.open().unwrap());
        world.node().tick().unwrap();
    }
}

#[test]
fn a_grant_goes_at_the_end_of_its_term_and_not_an_instant_earlier() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let grant = grant_over(&world, ppid, None);
    // keep-until is 60 days from here.
    world.advance(60 * DAY + TERM - 1);
    assert_eq!(world.node().expire().unwrap(), expired(0));
    assert_eq!(bodies(&world, 1).len(), 2);
    world.advance(1);
    let before = world.check(ppid).decision;
    assert_eq!(before.reason, Reason::ConsentExpired);
    assert_eq!(world.node().expire().unwrap(), expired(1));
    assert_eq!(world.node().expire().unwrap(), expired(0), "again does nothing");
    world.node().forget_caches();
    assert_eq!(world.check(ppid).decision, before, "the slot stands where it stood");
    world.node().tick().unwrap();
    // Its leaf and its place stand; what it said is shown to nobody.
    assert_eq!(world.node().place(&grant.id).unwrap().map(|place| place.index), Some(grant.index));
    let own = naru::node::Caller::Citizen(key_hash(&person_key(1)));
    let shown = world.node().evidence(&grant.id, Some(&own)).unwrap();
    assert!(matches!(shown, naru::node::Shown::Nothing));
    sound(&mut world, 1);
    assert_eq!(world.check(ppid).decision, before);
    // What comes next is signed over it, as ever.
    world.refuse(sign(&world.grant(ppid, None).into(), &person_key(1)));
    grant_over(&world, ppid, Some(grant.id));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    sound(&mut world, 1);
}

#[test]
fn a_replaced_grant_goes_and_the_one_in_force_stays() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let first = grant_over(&world, ppid, None);
    world.advance(DAY);
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.advance(TERM - DAY);
    let mut second = world.grant(ppid, Some(withdrawn.id));
    (second.fetch_until, second.keep_until) = (world.now().plus_ms(90 * DAY), world.now().plus_ms(300 * DAY));
    let second = world.accept(sign(&second.into(), &person_key(1)));
    assert_eq!(world.node().expire().unwrap(), expired(0));
    world.advance(DAY);
    let before = world.check(ppid).decision;
    assert_eq!(before.reason, Reason::ConsentGiven);
    assert_eq!(world.node().expire().unwrap(), expired(2), "the grant, and the withdrawal that ended it");
    let left = bodies(&world, 1);
    assert!(!left.contains(&first.id) && left.contains(&second.id));
    sound(&mut world, 2);
    assert_eq!(world.check(ppid).decision, before);
    // The second goes in its turn, and one rest stands for all.
    world.advance(300 * DAY + TERM);
    assert_eq!(world.node().expire().unwrap(), expired(1));
    assert_eq!(bodies(&world, 1).len(), 2, "her key.create, and the rest of the slot");
    sound(&mut world, 3);
    let hers = who(&world, 1);
    let names = [first.id, withdrawn.id, second.id].map(|id| Name::Statement(id.0));
    assert!(world.accept(demand(&world, 1)).erasure.is_some());
    nothing_is_left(&world, hers, &names);
    // key.create and the demand; nothing is certified twice.
    sound(&mut world, 5);
}

#[test]
fn what_a_desk_carried_counts_though_its_statement_is_gone() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    grant_over(&world, ppid, None);
    // The hospital carries the withdrawal, and so knows her.
    let signal: Statement = ConsentSignal {
        v: V1,
        kind: Kind::ConsentSignal,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(1, Some("hospital")),
        act: SignalAct::Withdraw,
        controller: Scope::One("bank".into()),
        purpose: Scope::One(PURPOSE.into()),
        class: DataClass::RealName,
        channel: Channel::Desk,
    }
    .into();
    let carried = world.accept(sign(&signal, &signer(HOSPITAL)));
    world.advance(TERM);
    let second = grant_over(&world, ppid, Some(carried.id));
    assert_eq!(world.node().expire().unwrap(), expired(2));
    assert!(bodies(&world, 1).contains(&second.id));
    sound(&mut world, 2);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    // Both stretches end, and one certificate names what is left.
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.advance(TERM);
    assert_eq!(world.node().expire().unwrap(), expired(2));
    sound(&mut world, 4);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn what_stands_is_past_no_term() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let grant = grant_over(&world, ppid, None);
    let wide = world.object(ppid, Scope::One("bank".into()), DataClass::RealName);
    let objected = world.accept(sign(&wide, &person_key(1)));
    world.advance(60 * DAY + TERM);
    // The grant in its own slot goes; the objection stands in its own.
    assert_eq!(world.node().expire().unwrap(), expired(1));
    world.advance(30 * TERM);
    assert_eq!(world.node().expire().unwrap(), expired(0));
    assert!(bodies(&world, 1).contains(&objected.id));
    assert_eq!(world.check(ppid).decision.reason, Reason::Objected);
    sound(&mut world, 1);
    let mut again = world.grant(ppid, Some(grant.id));
    again.iat = world.now();
    world.refuse(sign(&again.into(), &person_key(1)));
}

#[test]
fn what_is_held_stays_and_goes_after_the_hold() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let grant = grant_over(&world, ppid, None);
    let case = case(&world);
    let until = world.now().plus_ms(3 * TERM);
    world.accept(place(&world, case, &[grant.id], until));
    world.advance(60 * DAY + TERM);
    // The one who complained has a grant past its term as well.
    assert_eq!(world.node().expire().unwrap(), expired(1));
    assert!(bodies(&world, 1).contains(&grant.id));
    world.accept(lift(&world, case));
    assert_eq!(world.node().expire().unwrap(), expired(1));
    sound(&mut world, 2);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentExpired);
}

fn request(world: &World, link: Hash) -> Accepted {
    world.accept(sign(&world.request(link).into(), &signer(BANK)))
}

#[test]
fn a_request_goes_unanswered_by_its_term_and_answered_with_the_grant() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let (unanswered, answered) = (request(&world, Hash([5; 32])), request(&world, Hash([6; 32])));
    let mut grant = world.grant(ppid, None);
    grant.link = Some(Hash([6; 32]));
    world.accept(sign(&grant.into(), &person_key(1)));
    let asked = |world: &World, id: &StatementId| world.node().request_answer(id, &party("bank")).unwrap();
    world.advance(31 * DAY - 1);
    assert_eq!(world.node().expire().unwrap(), expired(0));
    world.advance(1);
    assert_eq!(
        world.node().expire().unwrap(),
        Expired { records: 1, requests: 1, certificates: 1, items: 0 }
    );
    assert!(asked(&world, &unanswered.id).is_none() && asked(&world, &answered.id).is_some());
    sound(&mut world, 1);
    world.advance(29 * DAY + TERM);
    assert_eq!(
        world.node().expire().unwrap(),
        Expired { records: 2, requests: 1, certificates: 1, items: 0 }
    );
    assert!(asked(&world, &answered.id).is_none());
    sound(&mut world, 3);
}

#[test]
fn a_body_deleted_by_hand_is_a_loss_though_others_went_by_their_term() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    grant_over(&world, ppid, None);
    let lost = crate::erasure::granted(&world, 2);
    world.advance(60 * DAY + TERM);
    let live = world.ppid(2, Some("bank"));
    let fresh = world.accept(sign(&world.grant(live, Some(lost.id)).into(), &person_key(2)));
    assert_eq!(world.node().expire().unwrap().records, 2);
    let hers = who(&world, 2);
    stop(&mut world);
    let (epoch, _) = world.memory.lead(&naru::store::Holder([9; 16])).unwrap();
    world.memory.rewrite(epoch, &hers.subject, &[], &[fresh.id]);
    let told: Vec<String> = fsck_of(&world).faults.iter().map(ToString::to_string).collect();
    let loss = format!("entry {}: its body is missing: lost or suppressed", fresh.index);
    assert!(told.iter().any(|fault| fault.starts_with(&loss)), "{told:?}");
}

#[test]
fn her_archive_names_what_was_destroyed_and_proves_the_rest() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let first = grant_over(&world, ppid, None);
    world.advance(60 * DAY + TERM);
    let mut second = world.grant(ppid, Some(first.id));
    (second.fetch_until, second.keep_until) = (world.now().plus_ms(90 * DAY), world.now().plus_ms(300 * DAY));
    world.accept(sign(&second.into(), &person_key(1)));
    assert_eq!(world.node().expire().unwrap(), expired(1));
    world.advance(1_000);
    world.node().tick().unwrap();
    let archive = |world: &World| -> Result<Vec<u8>, NoExport> {
        let mut out = Vec::new();
        let export = world.node().export(&key_hash(&person_key(1)), None)?;
        export.write(&mut out)?;
        Ok(out)
    };
    let verify = |bytes: &[u8]| {
        let log = signer(LOG);
        let log = naru::ledger::key::Signer::public(&log);
        naru::audit::archive::verify(&mut std::io::Cursor::new(bytes), log, ORIGIN, Some(200)).unwrap()
    };
    let proven = verify(&archive(&world).unwrap());
    let named = format!("statement {}, entry {}", first.id, first.index);
    assert!(proven.withheld.contains(&("retention-expired".into(), named)), "{:?}", proven.withheld);
    assert_eq!((proven.statements, proven.consents), (2, 1));
    // When all of the slot is gone, the list says where it stands.
    world.advance(300 * DAY + TERM);
    assert_eq!(world.node().expire().unwrap(), expired(1));
    world.node().tick().unwrap();
    let proven = verify(&archive(&world).unwrap());
    assert_eq!((proven.statements, proven.consents), (1, 0));
    assert!(proven.withheld.iter().any(|(_, what)| what.contains("said to bank")), "{:?}", proven.withheld);
    sound(&mut world, 2);
}

#[test]
fn a_projection_lost_whole_is_made_again_from_what_is_left() {
    let mut world = World::new();
    // State never becomes visible, and a power loss takes all of it.
    world.memory.faults().set_lag(naru::store::memory::Lag::On);
    let ppid = world.enrol(1);
    let first = grant_over(&world, ppid, None);
    let withdrawn = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.advance(TERM);
    let second = grant_over(&world, ppid, Some(withdrawn.id));
    assert_eq!(world.node().expire().unwrap(), expired(2));
    let given = world.check(ppid).decision;
    assert_eq!(given.reason, Reason::ConsentGiven);
    world.reopen();
    assert_eq!(world.check(ppid).decision, given);
    assert!(!bodies(&world, 1).contains(&first.id));
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.advance(TERM);
    assert_eq!(world.node().expire().unwrap(), expired(2), "the second grant, and what ended it");
    assert!(!bodies(&world, 1).contains(&second.id));
    world.reopen();
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    assert_eq!(world.faults(), []);
}

/// What of a world is about to go, at the end of its term.
fn due() -> (World, Ppid) {
    let world = World::new();
    let ppid = world.enrol(1);
    grant_over(&world, ppid, None);
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    world.node().tick().unwrap();
    world.memory.sync();
    world.advance(60 * DAY + TERM);
    (world, ppid)
}

#[test]
fn a_failure_at_every_call_leads_to_the_same_after_the_next_start() {
    let calls = [
        Call::Append,
        Call::Project,
        Call::Put,
        Call::Barrier,
        Call::Rewrite,
        Call::Bodies,
        Call::Locate,
        Call::Commits,
        Call::Integrate,
    ];
    for call in calls {
        for when in [When::Before, When::Middle, When::After] {
            for skip in 0..60 {
                let (mut world, ppid) = due();
                let before = world.check(ppid).decision;
                world.memory.faults().fail_after(call, skip, when, Fault::Eio);
                let done = world.node().expire();
                let _stopped = world.node().tick();
                let struck = world.memory.faults().left() == 0;
                let at = format!("{call:?} {when:?} {skip}");
                drop(world.node.take());
                world.memory.faults().clear();
                world.memory = world.memory.reopen();
                world.node = Some(world.open().unwrap());
                world.node().tick().unwrap();
                let again = world.node().expire().unwrap();
                assert!(again.records == 0 || again == expired(2), "{at}: {again:?}");
                assert!(done.is_err() || again.records == 0, "{at}: done, and not done");
                world.node().tick().unwrap();
                assert_eq!(world.check(ppid).decision, before, "{at}");
                assert_eq!(bodies(&world, 1).len(), 2, "{at}");
                stop(&mut world);
                let report = fsck_of(&world);
                assert_eq!((report.faults, report.erased, report.unerased), (vec![], 2, 0), "{at}");
                assert_eq!(report.counts.erased, 2, "{at}: certified once");
                if !struck {
                    assert!(skip > 0, "{call:?} was never called");
                    break;
                }
            }
        }
    }
}
