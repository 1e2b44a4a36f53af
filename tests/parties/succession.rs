//! A party that ends, and who follows it.

use naru::model::decision::Reason;
use naru::model::statement::*;
use naru::model::vocabulary::Action;
use naru::node::Caller;
use naru::node::Shown;

use super::support::*;

#[test]
fn a_successor_asks_in_the_ended_party_s_domain_and_holds_what_was_granted() {
    let mut world = World::new();
    let ppid = world.enrol(1);
    let grant = world.accept(sign(&world.grant(ppid, None).into(), &person_key(1)));
    let (bank, hospital) = (party("bank"), party("hospital"));
    let from = world.now().plus_ms(DAY);
    let succeed: Statement = PartySucceed {
        v: V1,
        kind: Kind::PartySucceed,
        iat: world.now(),
        nonce: nonce(),
        party: bank.clone(),
        successor: hospital.clone(),
        from,
    }
    .into();
    world.accept(endorse(&sign(&succeed, &signer(BANK)), OPERATOR));
    world.node().tick().unwrap();
    let may = |world: &World| {
        let may = |asker| world.node().may_ask(asker, &bank, Some(PURPOSE));
        (may(&bank), may(&hospital))
    };
    let shown = |world: &World| {
        let evidence = world.node().evidence(&grant.id, Some(&Caller::Party(hospital.clone()))).unwrap();
        matches!(evidence, Shown::Evidence(_))
    };
    assert_eq!((may(&world), shown(&world)), ((true, false), false));
    world.clock.set(from);
    let after = |world: &World| {
        assert_eq!((may(world), shown(world)), ((false, true), true));
        assert!(!world.node().is_live(&bank));
        assert_eq!(world.check(ppid).decision.reason, Reason::ConsentGiven);
    };
    after(&world);
    world.reopen();
    after(&world);
    // Nothing new is granted to who has ended, and what she takes back is gone.
    assert!(world.submit(sign(&world.grant(ppid, Some(grant.id)).into(), &person_key(1))).is_err());
    world.accept(sign(&world.withdraw(ppid), &person_key(1)));
    assert_eq!(world.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    // No default comes with the succession.
    let mut anonymise = world.ask(ppid, Action::Anonymise);
    anonymise.question.class = naru::model::vocabulary::DataClass::Anonymous;
    assert_eq!(world.node().check(&anonymise).unwrap().decision.reason, Reason::ConsentNotGiven);
}
