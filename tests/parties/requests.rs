//! A controller asks by a link, one person answers, and the controller learns who she is to it.

use naru::model::decision::Reason;
use naru::model::decision::Why;
use naru::model::id::Hash;
use naru::model::id::StatementId;
use naru::model::statement::*;
use naru::model::vocabulary::DataClass;
use naru::model::vocabulary::Role;
use naru::node::RequestAnswer;
use naru::node::Standing;
use naru::node::fsck;

use super::inert;
use super::support::*;

const LINK: Hash = Hash([0x11; 32]);

fn ask(world: &World, link: Hash) -> StatementId {
    world.accept(sign(&world.request(link).into(), &signer(BANK))).id
}

/// Person `n` grants with the link.
fn grant(world: &World, n: u64, link: Hash) -> ConsentGrant {
    ConsentGrant { link: Some(link), ..world.grant(world.ppid(n, Some("bank")), None) }
}

fn refuse(world: &World, n: u64, link: Hash) -> Statement {
    ConsentRefuse {
        v: V1,
        kind: Kind::ConsentRefuse,
        iat: world.now(),
        nonce: nonce(),
        ppid: world.ppid(n, Some("bank")),
        by: None,
        controller: party("bank"),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        notice: None,
        link: Some(link),
        moved: None,
    }
    .into()
}

fn answer(world: &World, id: StatementId) -> RequestAnswer {
    world.node().request_answer(&id, &party("bank")).unwrap().unwrap()
}

#[test]
fn one_person_answers_and_the_controller_alone_learns_who_she_is() {
    let mut world = World::new();
    for n in 1..=2 {
        world.enrol(n);
    }
    let id = ask(&world, LINK);
    let seen = world.node().request(&id).unwrap().unwrap();
    assert_eq!((seen.standing, seen.link, seen.notice), (Standing::Open, LINK, world.notice));
    assert_eq!(answer(&world, id), RequestAnswer { standing: Standing::Open, given: None });
    let first = world.accept(sign(&grant(&world, 1, LINK).into(), &person_key(1)));
    for _ in 0..2 {
        let given = answer(&world, id).given.unwrap();
        assert_eq!((given.ppid, given.first), (world.ppid(1, Some("bank")), first.id));
        assert_eq!(world.check(given.ppid).decision.reason, Reason::ConsentGiven);
        assert_eq!(world.node().request_answer(&id, &party("hospital")).unwrap(), None, "not its own");
        // It is hers: a second person is refused, and nobody is told who the first was.
        let late = world.refuse(sign(&grant(&world, 2, LINK).into(), &person_key(2)));
        assert_eq!(inert(&late), Why::Link);
        assert_eq!(world.node().request(&id).unwrap().unwrap().standing, Standing::Answered);
        world.reopen();
    }
    // A refusal of the second closes, as ever, and answers nothing.
    world.accept(sign(&refuse(&world, 2, LINK), &person_key(2)));
    assert_eq!(world.check(world.ppid(2, Some("bank"))).decision.reason, Reason::ConsentRefused);
    let given = answer(&world, id).given.unwrap();
    assert_eq!((given.first, given.replies.len()), (first.id, 1));
    // Her own later word on the same purpose takes the place of the first, which stays the mint record.
    let said = world.accept(sign(&refuse(&world, 1, LINK), &person_key(1)));
    let given = answer(&world, id).given.unwrap();
    assert_eq!(given.first, first.id);
    let replies: Vec<_> = given.replies.iter().map(|r| (r.statement, r.kind, r.index)).collect();
    assert_eq!(replies, [(said.id, Kind::ConsentRefuse, said.index)]);
    // A statement's id is no request's.
    assert_eq!(world.node().request(&first.id).unwrap(), None);
    assert_eq!(world.node().request_answer(&first.id, &party("bank")).unwrap(), None);
}

#[test]
fn a_first_refusal_names_her_too_and_two_in_one_batch_are_one_person() {
    let world = World::new();
    for n in 1..=3 {
        world.enrol(n);
    }
    let id = ask(&world, LINK);
    world.accept(sign(&refuse(&world, 1, LINK), &person_key(1)));
    assert_eq!(answer(&world, id).given.unwrap().ppid, world.ppid(1, Some("bank")));
    // Both on their way at once: one gets it.
    let other = Hash([0x22; 32]);
    let id = ask(&world, other);
    let items: Vec<_> =
        [2, 3].iter().map(|n| sign(&grant(&world, *n, other).into(), &person_key(*n))).collect();
    let outcomes = world.node().record(items);
    let taken: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(taken.iter().filter(|ok| **ok).count(), 1, "{taken:?}");
    let n = if taken[0] { 2 } else { 3 };
    assert_eq!(answer(&world, id).given.unwrap().ppid, world.ppid(n, Some("bank")));
}

#[test]
fn what_does_not_fit_the_request_answers_nothing() {
    let world = World::new();
    world.enrol(1);
    let id = ask(&world, LINK);
    let size = world.node().sequenced();
    let refused = |change: &dyn Fn(&mut ConsentGrant)| {
        let mut grant = grant(&world, 1, LINK);
        change(&mut grant);
        inert(&world.refuse(sign(&grant.into(), &person_key(1))))
    };
    assert_eq!(refused(&|g| g.link = Some(Hash([0x33; 32]))), Why::Link, "no such request");
    assert_eq!(refused(&|g| g.notice.id = StatementId([9; 32])), Why::Link, "another notice");
    assert_eq!(refused(&|g| g.purpose = "dpv:Marketing".into()), Why::Link, "another purpose");
    // What has no effect on her slot answers nothing either.
    assert_eq!(refused(&|g| g.over = Some(StatementId([9; 32]))), Why::Superseded);
    assert_eq!(refused(&|g| g.categories.clear()), Why::NoticeMismatch);
    assert_eq!((world.node().sequenced(), answer(&world, id).standing), (size, Standing::Open));
    world.advance(DAY);
    assert_eq!(world.node().request(&id).unwrap(), None, "it has ended");
    assert_eq!(answer(&world, id).standing, Standing::Ended);
    let mut late = grant(&world, 1, LINK);
    assert_eq!(inert(&world.refuse(sign(&late.clone().into(), &person_key(1)))), Why::Link);
    late.link = None;
    world.accept(sign(&late.into(), &person_key(1)));
    assert_eq!(answer(&world, id).given, None);
}

#[test]
fn a_request_is_its_controller_s_within_its_notice_and_its_term() {
    let mut world = World::new();
    let refused = |world: &World, seed: u8, change: &dyn Fn(&mut ConsentRequest)| {
        let mut request = world.request(LINK);
        change(&mut request);
        inert(&world.refuse(sign(&request.into(), &signer(seed))))
    };
    assert_eq!(refused(&world, HOSPITAL, &|_| {}), Why::KeyNotInSet);
    assert_eq!(refused(&world, 77, &|_| {}), Why::KeyNotInSet);
    assert_eq!(refused(&world, HOSPITAL, &|r| r.controller = party("hospital")), Why::NoticeMismatch);
    assert_eq!(refused(&world, BANK, &|r| r.notice = StatementId([9; 32])), Why::NoticeMismatch);
    assert_eq!(refused(&world, BANK, &|r| r.purposes.clear()), Why::NoticeMismatch);
    assert_eq!(refused(&world, BANK, &|r| r.purposes.push(PURPOSE.into())), Why::NoticeMismatch);
    assert_eq!(refused(&world, BANK, &|r| r.purposes = vec!["dpv:Marketing".into()]), Why::NoticeMismatch);
    assert_eq!(refused(&world, BANK, &|r| r.until = r.iat), Why::Dates);
    assert_eq!(refused(&world, BANK, &|r| r.until = r.iat.plus_ms(30 * DAY + 1)), Why::Dates);
    let item = world.register("shop", vec![Role::Recipient], false);
    world.accept(endorse(&sign(&item, &signer(30)), OPERATOR));
    assert_eq!(refused(&world, 30, &|r| r.controller = party("shop")), Why::Role);
    ask(&world, LINK);
    assert_eq!(refused(&world, BANK, &|_| {}), Why::NameTaken, "one link, one request");
    world.reopen();
    assert_eq!(refused(&world, BANK, &|_| {}), Why::NameTaken);
    let both = [1, 2].map(|_| sign(&world.request(Hash([0x44; 32])).into(), &signer(BANK)));
    let outcomes = world.node().record(both.into());
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
}

#[test]
fn data_with_requests_is_sound_and_what_is_derived_can_be_made_again() {
    let mut world = World::new();
    for n in 1..=2 {
        world.enrol(n);
    }
    ask(&world, Hash([0x55; 32]));
    let id = ask(&world, LINK);
    world.accept(sign(&grant(&world, 1, LINK).into(), &person_key(1)));
    world.accept(super::epochs::rotate(&world, BANK, BANK, Some(1)));
    world.accept(sign(&grant(&world, 2, Hash([0x55; 32])).into(), &person_key(2)));
    world.node().tick().unwrap();
    world.memory.sync();
    drop(world.node.take());
    world.memory = world.memory.reopen();
    let vault = naru::vault::Vault::open(&world.dir.path().join("vault"), &master()).unwrap();
    let log = signer(LOG);
    let data = fsck::Data {
        store: &world.memory,
        vault: &vault,
        log: naru::ledger::key::Signer::public(&log),
        origin: ORIGIN,
        folder: world.dir.path(),
        anchor: None,
    };
    let report = fsck::check(&data, &mut |_, _| {}).unwrap();
    assert_eq!((report.faults, report.persons), (Vec::new(), 2));
    fsck::rebuild(&data, &mut |_, _| {}).unwrap();
    drop(vault);
    world.reopen();
    assert_eq!(answer(&world, id).given.unwrap().ppid, world.ppid(1, Some("bank")));
}
