//! The recipient's ppid of a person, to whom and as long as her grant names the recipient.

use naru::model::decision::Reason;
use naru::model::id::Ppid;
use naru::model::statement::*;
use naru::model::vocabulary::Action;
use naru::model::vocabulary::DataClass;
use naru::node::Wanted;

use super::support::*;

pub(super) fn wanted(ppid: Ppid) -> Wanted {
    Wanted {
        controller: party("bank"),
        by: party("bank"),
        ppid,
        recipient: party("hospital"),
        purpose: PURPOSE.into(),
        class: DataClass::RealName,
        categories: vec![CATEGORY.into()],
    }
}

fn handed(world: &World, wanted: &Wanted) -> Option<Ppid> {
    world.node().handover(wanted).unwrap()
}

#[test]
fn a_live_grant_that_names_the_recipient_hands_its_ppid_over_and_a_withdrawal_ends_it() {
    let world = World::new();
    let ppid = world.enrol(1);
    let theirs = world.ppid(1, Some("hospital"));
    assert_eq!(handed(&world, &wanted(ppid)), None, "nothing granted");
    assert!(!world.node().was_handed(&party("bank"), &theirs).unwrap());
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    assert_eq!(handed(&world, &wanted(ppid)), Some(theirs));
    assert_eq!(handed(&world, &wanted(ppid)), Some(theirs), "the same again");
    // Nobody else, nothing else.
    assert_eq!(handed(&world, &wanted(theirs)), None, "a ppid of another domain");
    assert_eq!(handed(&world, &wanted(Ppid([7; 16]))), None);
    let other = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted(ppid);
        change(&mut wanted);
        handed(&world, &wanted)
    };
    assert_eq!(other(&|w| w.recipient = party("idp")), None, "not named");
    assert_eq!(other(&|w| w.recipient = party("nobody")), None);
    assert_eq!(other(&|w| w.purpose = "dpv:Marketing".into()), None);
    assert_eq!(other(&|w| w.class = DataClass::Anonymous), None);
    assert_eq!(other(&|w| w.categories = vec![OPTIONAL.into()]), None);
    assert_eq!(other(&|w| w.controller = party("hospital")), None);
    let gone = world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert_eq!(handed(&world, &wanted(ppid)), None, "no more after a withdrawal");
    assert!(world.node().was_handed(&party("bank"), &theirs).unwrap(), "what was, was");
    // Only for the time in which data may be shared.
    world.accept(sign(&world.grant(ppid, Some(gone.id)).into(), &person_key(1)));
    assert_eq!(handed(&world, &wanted(ppid)), Some(theirs));
    world.advance(30 * DAY);
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven, "kept and used");
    assert_eq!(handed(&world, &wanted(ppid)), None, "not shared");
}

#[test]
fn what_was_handed_over_is_remembered_for_that_controller_and_that_ppid() {
    let mut world = World::new();
    let (one, two) = (world.enrol(1), world.enrol(2));
    for n in 1..=2 {
        let ppid = world.ppid(n, Some("bank"));
        world.accept(sign(&world.grant(ppid, None).into(), &person_key(n)));
    }
    let theirs = [1, 2].map(|n| world.ppid(n, Some("hospital")));
    assert_eq!(handed(&world, &wanted(one)), Some(theirs[0]));
    let said = world.node().handover_of(&party("bank"), &theirs[0]).unwrap().unwrap();
    assert_eq!((said.recipient, said.by, said.at), (party("hospital"), party("bank"), world.now()));
    let was = |world: &World, name: &str, ppid: &Ppid| world.node().was_handed(&party(name), ppid).unwrap();
    for _ in 0..3 {
        assert!(was(&world, "bank", &theirs[0]));
        assert!(!was(&world, "bank", &theirs[1]), "another person's");
        assert!(!was(&world, "hospital", &theirs[0]), "another party");
        assert!(!was(&world, "bank", &Ppid([7; 16])));
        assert_eq!(world.check(two).decision.reason, Reason::ConsentGiven);
        world.reopen();
        world.node().forget_caches();
    }
    // And her later acts leave it where it is.
    world.accept(sign(&world.withdraw(one), &person_key(1)));
    world.reopen();
    assert!(was(&world, "bank", &theirs[0]));
    assert_eq!(world.check(one).decision.reason, Reason::ConsentWithdrawn);
}

#[test]
fn every_wish_leaves_its_use_line_where_the_person_sees_it() {
    let world = World::logging();
    let (ppid, theirs) = (world.enrol(1), world.ppid(1, Some("hospital")));
    assert_eq!(handed(&world, &wanted(ppid)), None);
    let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    assert_eq!(handed(&world, &wanted(ppid)), Some(theirs));
    assert_eq!(handed(&world, &wanted(theirs)), None, "hers, in another domain");
    let page = naru::node::Page { after: None, most: 10 };
    let lines: Vec<_> = world.node().uses_of(&key_hash(&person_key(1)), page).unwrap();
    let lines: Vec<_> = lines.iter().rev().map(|seen| &seen.seen.line).collect();
    let told: Vec<_> = lines.iter().map(|line| (line.ppid, line.told, line.basis)).collect();
    assert_eq!(
        told,
        [
            (Some(ppid), Reason::ConsentNotGiven, None),
            (Some(ppid), Reason::ConsentGiven, Some(grant.id)),
            (Some(theirs), Reason::ConsentNotGiven, None),
        ]
    );
    for line in lines {
        assert_eq!(line.act, naru::model::use_line::UseAct::Handover);
        assert_eq!((&line.asker, &line.recipient), (&party("bank"), &Some(party("hospital"))));
    }
}

#[test]
fn only_her_own_word_opens_and_only_to_a_recipient_that_is_live() {
    let world = World::new();
    let ppid = world.enrol(1);
    let attest: Statement = ConsentAttest {
        v: V1,
        kind: Kind::ConsentAttest,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        over: None,
        controller: party("bank"),
        recipients: vec![party("hospital")],
        purpose: PURPOSE.into(),
        categories: vec![CATEGORY.into()],
        class: DataClass::RealName,
        actions: vec![Action::Use, Action::Share],
        jurisdictions: vec!["KR".into()],
        fetch_until: world.now().plus_ms(30 * DAY),
        keep_until: world.now().plus_ms(30 * DAY),
        given_at: world.now(),
        how: "paper".into(),
    }
    .into();
    let attested = world.accept(sign(&attest, &signer(BANK)));
    let mut share = world.ask(ppid, Action::Share);
    share.question.recipient = Some(party("hospital"));
    assert_eq!(world.node().check(&share).unwrap().decision.reason, Reason::ConsentAttested);
    assert_eq!(handed(&world, &wanted(ppid)), None, "the controller's own word");
    world.accept(sign(&world.grant(ppid, Some(attested.id)).into(), &person_key(1)));
    assert!(handed(&world, &wanted(ppid)).is_some());
    let suspend: Statement = PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: world.now(),
        nonce: nonce(),
        party: party("hospital"),
        until: Some(world.now().plus_ms(DAY)),
        case: "1".into(),
    }
    .into();
    world.accept(sign(&suspend, &signer(REGULATOR)));
    assert_eq!(handed(&world, &wanted(ppid)), None);
    world.advance(DAY);
    assert!(handed(&world, &wanted(ppid)).is_some());
}

#[test]
fn a_recipient_s_new_epoch_is_handed_over_anew() {
    let world = World::new();
    let ppid = world.enrol(1);
    world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let old = handed(&world, &wanted(ppid)).unwrap();
    let raise: Statement = PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: world.now(),
        nonce: nonce(),
        party: party("hospital"),
        new: key_hash(&signer(HOSPITAL)),
        epoch: Some(1),
        transfer: None,
    }
    .into();
    world.accept(endorse(&sign(&raise, &signer(HOSPITAL)), OPERATOR));
    let new = handed(&world, &wanted(ppid)).unwrap();
    assert_ne!(new, old);
    for handed in [old, new] {
        assert!(world.node().was_handed(&party("bank"), &handed).unwrap());
    }
    assert_eq!(world.ppid(1, Some("hospital")), new);
}
