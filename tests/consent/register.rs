//! Rules of the public fold.

use naru::consent::{Batched, Effect, Register, Touched};
use naru::model::decision::Why;
use naru::model::id::{Hash, StatementId, Timestamp};
use naru::model::pack::{kcern_2018, kr_pipa_2026};
use naru::model::statement::*;
use naru::model::vocabulary::{DataClass, Role};

use crate::world::*;

fn ok() -> Effect {
    Effect::Applied(Touched::Register)
}

fn close(name: &str) -> PartyClose {
    PartyClose { v: V1, kind: Kind::PartyClose, iat: T0, nonce: NONCE, party: party(name) }
}

pub(crate) fn suspend(name: &str, until: Option<Timestamp>) -> PartySuspend {
    PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: T0,
        nonce: NONCE,
        party: party(name),
        until,
        case: "1".into(),
    }
}

pub(crate) fn retire(notice: StatementId) -> NoticeRetire {
    NoticeRetire { v: V1, kind: Kind::NoticeRetire, iat: T0, nonce: NONCE, notice }
}

#[test]
fn genesis_stands_at_index_0_only_and_once() {
    let mut w = World::void(&[kcern_2018()]);
    let s = w.registration("bank", &[Role::Controller]);
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::Genesis), "nothing before genesis");
    let s = w.genesis();
    assert_eq!(w.public("log", &["operator"], s), inert(Why::Genesis), "not at index 1");
    let mut w = World::fresh(&[kcern_2018()]);
    assert_eq!(w.register.origin(), Some("log.example"));
    assert_eq!(w.register.grain(), Some(5000));
    assert_eq!(w.register.operators().collect::<Vec<_>>(), [key("operator")]);
    assert_eq!(w.register.log_key(), Some(key("log")));
    assert_eq!(w.register.token_key(), Some(key("token")));
    assert_eq!(w.register.adoptions().count(), 1);
    w.index = 0;
    let s = w.genesis();
    assert_eq!(w.public("log", &["operator"], s), inert(Why::Genesis), "not twice");
}

#[test]
fn genesis_is_signed_by_the_log_and_endorsed_by_the_operator() {
    for (signer, endorsers, why) in [
        ("operator", &["log"][..], Why::KeyNotInSet),
        ("log", &[][..], Why::Endorsement),
        ("log", &["log"][..], Why::Endorsement),
        ("log", &["kisa"][..], Why::Endorsement),
    ] {
        let mut w = World::void(&[kcern_2018()]);
        let s = w.genesis();
        assert_eq!(w.public(signer, endorsers, s), inert(why));
        assert_eq!(w.register.origin(), None);
    }
    let mut w = World::void(&[kcern_2018()]);
    let mut s = w.genesis();
    s.packs[0].hash = hash("another file");
    assert_eq!(w.public("log", &["operator"], s), inert(Why::Pack), "a pack that is not attached");
    let mut w = World::void(&[kcern_2018()]);
    let mut s = w.genesis();
    s.packs.push(s.packs[0].clone());
    assert_eq!(w.public("log", &["operator"], s), inert(Why::Pack), "twice");
    let mut w = World::void(&[kr_pipa_2026()]);
    w.now = T0.minus_ms(365 * DAY);
    let s = w.genesis();
    assert_eq!(w.public("log", &["operator"], s), inert(Why::Pack), "not in force yet");
    let mut w = World::void(&[kcern_2018()]);
    let mut s = w.genesis();
    s.token = s.log.clone();
    assert_eq!(w.public("log", &["operator"], s), inert(Why::KeyTaken), "one key, one place");
}

#[test]
fn a_party_registers_by_its_own_key_and_the_operators_endorsement() {
    let mut w = World::fresh(&[kcern_2018()]);
    for (endorsers, why) in [
        (&[][..], Why::Endorsement),
        (&["kisa"][..], Why::Endorsement),
        (&["kisa", "operator"][..], Why::Endorsement),
        (&["bank"][..], Why::Endorsement),
    ] {
        let s = w.registration("bank", &[Role::Controller]);
        assert_eq!(w.public("bank", endorsers, s), inert(why), "{endorsers:?}");
    }
    w.admit("bank", &[Role::Controller], &["operator"]);
    assert_eq!(w.register.party_of_key(&key("bank")), Some(&party("bank")));
    assert!(w.register.party(&party("bank")).unwrap().has_role(Role::Controller));
}

#[test]
fn roles_of_weight_need_a_regulator_and_the_operator_makes_none() {
    for role in Role::ALL.into_iter().filter(|r| r.needs_regulator()) {
        let mut w = World::fresh(&[kcern_2018()]);
        for endorsers in
            [&["operator"][..], &["operator", "operator"], &["operator", "new"], &["kisa", "operator"]]
        {
            let s = w.registration("new", &[role]);
            assert_eq!(w.public("new", endorsers, s), inert(Why::Endorsement), "{role:?} {endorsers:?}");
        }
        w.admit("new", &[role], &["operator", "kisa"]);
    }
    let mut w = World::fresh(&[kcern_2018()]);
    let s = w.registration("op", &[Role::Operator]);
    assert_eq!(w.public("op", &["operator", "kisa"], s), inert(Why::Role), "genesis makes the operator");
    let mut s = w.registration("idp", &[Role::IdentityProvider]);
    s.licence = None;
    assert_eq!(w.public("idp", &["operator", "kisa"], s), inert(Why::Endorsement), "no licence");
    let mut s = w.registration("bank", &[Role::Controller]);
    s.licence = Some(Licence { number: "1".into(), regulator: party("kisa") });
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::Endorsement), "a licence nobody vouches for");
    // A suspended regulator endorses nobody.
    assert_eq!(w.public("kisa", &[], suspend("kisa", None)), ok());
    let s = w.registration("idp", &[Role::IdentityProvider]);
    assert_eq!(w.public("idp", &["operator", "kisa"], s), inert(Why::Endorsement));
}

#[test]
fn names_and_keys_are_taken_for_ever() {
    let mut w = World::home();
    assert_eq!(w.public("lab", &["operator"], close("lab")), ok());
    let s = w.registration("lab", &[Role::Recipient]);
    assert_eq!(w.public("fresh", &["operator"], s), inert(Why::NameTaken));
    for taken in ["lab", "bank", "log", "operator", "token", "kisa"] {
        let s = w.registration("other", &[Role::Recipient]);
        assert_eq!(w.public(taken, &["operator"], s), inert(Why::KeyTaken), "{taken}");
    }
}

#[test]
fn a_registration_says_all_it_must() {
    let mut w = World::fresh(&[kcern_2018()]);
    let good = w.registration("bank", &[Role::Controller]);
    let cases: [(Spoil<'_, PartyRegister>, Why); 7] = [
        (&|s| s.roles.clear(), Why::Role),
        (&|s| s.roles = vec![Role::Controller, Role::Controller], Why::Role),
        (&|s| s.scope = vec!["banks".into()], Why::Role),
        (&|s| s.jurisdiction = "Korea".into(), Why::Vocabulary),
        (&|s| s.jurisdiction = "kr".into(), Why::Vocabulary),
        (&|s| s.office.contact = " ".into(), Why::NoticeIncomplete),
        (&|s| s.name_ko.clear(), Why::NoticeIncomplete),
    ];
    for (spoil, why) in cases {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.public("bank", &["operator"], s), inert(why));
    }
}

#[test]
fn closing_is_by_the_party_and_the_operator_and_counts_twice() {
    let mut w = World::home();
    assert_eq!(w.public("bank", &[], close("bank")), inert(Why::Endorsement));
    assert_eq!(w.public("shop", &["operator"], close("bank")), inert(Why::KeyNotInSet));
    assert_eq!(w.public("operator", &["operator"], close("bank")), inert(Why::KeyNotInSet));
    assert_eq!(w.public("x", &["operator"], close("nobody")), inert(Why::PartyUnknown));
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), ok());
    assert_eq!(w.public("bank", &["operator"], close("bank")), ok(), "suspended, and closes");
    let index = w.register.party(&party("bank")).unwrap().closed;
    assert_eq!(w.public("bank", &["operator"], close("bank")), ok());
    assert_eq!(w.register.party(&party("bank")).unwrap().closed, index);
}

#[test]
fn the_operator_suspends_for_72_hours_and_a_regulator_at_will() {
    let mut w = World::home();
    let bank = party("bank");
    let limit = w.now.plus_ms(3 * DAY);
    assert_eq!(w.public("operator", &[], suspend("bank", None)), inert(Why::Dates));
    assert_eq!(w.public("operator", &[], suspend("bank", Some(limit.plus_ms(1)))), inert(Why::Dates));
    assert_eq!(w.public("shop", &[], suspend("bank", Some(limit))), inert(Why::Role));
    assert_eq!(w.public("bank", &[], suspend("bank", Some(limit))), inert(Why::Role));
    assert_eq!(w.public("nobody", &[], suspend("bank", Some(limit))), inert(Why::KeyNotInSet));
    assert_eq!(w.public("kisa", &[], suspend("nobody", None)), inert(Why::PartyUnknown));
    assert_eq!(w.public("operator", &[], suspend("bank", Some(limit))), ok());
    let live = |w: &World, at| w.register.party(&bank).unwrap().is_live(at);
    assert!(!live(&w, limit.minus_ms(1)));
    assert!(live(&w, limit), "at the instant no longer");
    assert!(!w.register.acts_for(&bank, &bank, None, w.now));
    assert!(w.register.acts_for(&bank, &bank, None, limit));
    assert!(!w.register.acts_for(&party("cloud"), &bank, None, limit));
    // What is shorter never shortens.
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), ok());
    assert_eq!(w.public("kisa", &[], suspend("bank", Some(w.now))), ok());
    assert_eq!(w.public("operator", &[], suspend("bank", Some(w.now))), ok());
    assert!(!live(&w, limit.plus_ms(365 * DAY)));
}

/// `cloud` works for `bank`, by the world's clock.
pub(crate) fn engage(w: &World, purposes: &[&str], until: Option<Timestamp>) -> PartyEngage {
    PartyEngage {
        v: V1,
        kind: Kind::PartyEngage,
        iat: w.now,
        nonce: NONCE,
        controller: party("bank"),
        processor: party("cloud"),
        purposes: purposes.iter().map(|&p| p.to_owned()).collect(),
        until,
    }
}

/// From now on.
pub(crate) fn succeed(w: &World, of: &str, successor: &str) -> PartySucceed {
    let (party, successor) = (party(of), party(successor));
    PartySucceed { v: V1, kind: Kind::PartySucceed, iat: w.now, nonce: NONCE, party, successor, from: w.now }
}

#[test]
fn a_successor_is_named_once_by_the_party_and_never_in_a_circle() {
    let mut w = World::home();
    let (bank, shop) = (party("bank"), party("shop"));
    let mut abroad = w.registration("tokyo", &[Role::Controller]);
    abroad.jurisdiction = "JP".into();
    assert_eq!(w.public("tokyo", &["operator"], abroad), ok());
    let early = PartySucceed { from: T0.minus_ms(DAY), ..succeed(&w, "bank", "shop") };
    for (s, endorsers, why) in [
        (succeed(&w, "bank", "shop"), &[][..], Why::Endorsement),
        (succeed(&w, "bank", "ghost"), &["operator"], Why::PartyUnknown),
        (succeed(&w, "bank", "cloud"), &["operator"], Why::Role),
        (succeed(&w, "bank", "bank"), &["operator"], Why::Role),
        (succeed(&w, "bank", "tokyo"), &["operator"], Why::Pack),
        (succeed(&w, "shop", "bank"), &["operator"], Why::KeyNotInSet),
        (early, &["operator"], Why::Dates),
    ] {
        assert_eq!(w.public("bank", endorsers, s.clone()), inert(why), "{s:?}");
    }
    let from = w.now.plus_ms(DAY);
    let s = PartySucceed { from, ..succeed(&w, "bank", "shop") };
    assert_eq!(w.public("bank", &["operator"], s.clone()), ok());
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::State), "once");
    assert_eq!(w.public("shop", &["operator"], succeed(&w, "shop", "bank")), inert(Why::State), "a circle");
    // Until the date nothing changes, from it on the party is none any more.
    let held = |w: &World, at| w.register.holder(&bank, at).map(|holder| holder.id.clone());
    let before = from.minus_ms(1);
    assert_eq!(held(&w, before), Some(bank.clone()));
    assert_eq!(held(&w, from), Some(shop.clone()));
    for (asker, at, may) in
        [(&bank, before, true), (&shop, before, false), (&bank, from, false), (&shop, from, true)]
    {
        assert_eq!(w.register.acts_for(asker, &bank, None, at), may, "{asker} at {at:?}");
    }
    assert!(!w.register.acts_for(&bank, &shop, None, from));
    w.now = from;
    let notice = w.notice("bank", "late", usual_purposes());
    assert_eq!(w.public("bank", &[], notice), inert(Why::PartySuspended));
    let s = engage(&w, &[], None);
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::PartySuspended));
    // It may still close; what it was granted stays with the successor, and with the successor's.
    let close = PartyClose { v: V1, kind: Kind::PartyClose, iat: T0, nonce: NONCE, party: bank.clone() };
    assert_eq!(w.public("bank", &["operator"], close), ok());
    assert_eq!(held(&w, w.now), Some(shop.clone()));
    let s = succeed(&w, "shop", "hospital");
    assert_eq!(w.public("shop", &["operator"], s), ok());
    assert_eq!(held(&w, w.now), Some(party("hospital")));
    // No way out of a suspension, of either.
    let mut other = w.clone();
    assert_eq!(other.public("kisa", &[], suspend("bank", None)), ok());
    assert_eq!(held(&other, other.now), None);
    assert_eq!(w.public("kisa", &[], suspend("hospital", None)), ok());
    assert_eq!(held(&w, w.now), None);
    // Rows hold all of it.
    let row = serde_cbor::to_vec(&w.register).unwrap();
    assert_eq!(serde_cbor::from_slice::<Register>(&row).unwrap(), w.register);
}

pub(crate) fn disengage(controller: &str) -> PartyDisengage {
    PartyDisengage {
        v: V1,
        kind: Kind::PartyDisengage,
        iat: T0,
        nonce: NONCE,
        controller: party(controller),
        processor: party("cloud"),
    }
}

fn asks_for(w: &World, purpose: Option<&str>, at: Timestamp) -> bool {
    w.register.acts_for(&party("cloud"), &party("bank"), purpose, at)
}

#[test]
fn a_processor_asks_while_it_is_engaged_and_both_are_live() {
    let mut w = World::home();
    let end = w.now.plus_ms(10 * DAY);
    assert!(!asks_for(&w, Some(MARKETING), w.now));
    let s = engage(&w, &[MARKETING], Some(end));
    assert_eq!(w.public("bank", &["operator"], s), ok());
    assert!(asks_for(&w, Some(MARKETING), w.now) && asks_for(&w, Some(MARKETING), end.minus_ms(1)));
    assert!(!asks_for(&w, Some(MARKETING), end), "at the instant no longer");
    assert!(!asks_for(&w, Some(RESEARCH), w.now) && !asks_for(&w, None, w.now), "not for all purposes");
    assert!(!w.register.acts_for(&party("bank"), &party("cloud"), None, w.now), "one way only");
    assert!(!w.register.acts_for(&party("cloud"), &party("shop"), Some(MARKETING), w.now));
    // A later one replaces the earlier whole.
    let s = engage(&w, &[], None);
    assert_eq!(w.public("bank", &["operator"], s), ok());
    assert!(asks_for(&w, Some(RESEARCH), end) && asks_for(&w, None, end));
    for name in ["cloud", "bank"] {
        let mut w = w.clone();
        let until = w.now.plus_ms(DAY);
        assert_eq!(w.public("kisa", &[], suspend(name, Some(until))), ok());
        assert!(!asks_for(&w, None, w.now), "{name} is suspended");
        assert!(asks_for(&w, None, until));
        assert_eq!(w.public(name, &["operator"], close(name)), ok());
        assert!(!asks_for(&w, None, until), "{name} is closed");
    }
}

#[test]
fn an_engagement_says_all_it_must() {
    let w = World::home();
    let cases: [(Spoil<'_, PartyEngage>, Why); 8] = [
        (&|s| s.processor = party("nobody"), Why::PartyUnknown),
        (&|s| s.controller = party("nobody"), Why::PartyUnknown),
        (&|s| s.processor = party("lab"), Why::Role),
        (&|s| s.processor = party("bank"), Why::Role),
        (&|s| s.controller = party("shop"), Why::KeyNotInSet),
        (&|s| s.purposes = vec!["dpv:Fun".into()], Why::Vocabulary),
        (&|s| s.purposes = vec!["*".into()], Why::Vocabulary),
        (&|s| s.until = Some(s.iat), Why::Dates),
    ];
    for (spoil, why) in cases {
        let mut w = w.clone();
        let mut s = engage(&w, &[MARKETING], None);
        spoil(&mut s);
        assert_eq!(w.public("bank", &["operator"], s), inert(why));
    }
    let mut w = w.clone();
    for name in ["cloud", "bank"] {
        let mut w = w.clone();
        assert_eq!(w.public("kisa", &[], suspend(name, None)), ok());
        let s = engage(&w, &[], None);
        assert_eq!(w.public("bank", &["operator"], s), inert(Why::PartySuspended), "{name}");
    }
    let s = PartyEngage { controller: party("lab"), ..engage(&w, &[], None) };
    assert_eq!(w.public("lab", &["operator"], s), inert(Why::Role));
}

#[test]
fn either_side_disengages_whatever_its_status_and_nothing_late_engages_again() {
    for side in ["bank", "cloud"] {
        let mut w = World::home();
        let s = engage(&w, &[], None);
        assert_eq!(w.public("bank", &["operator"], s), ok());
        let late = PartyEngage { nonce: naru::model::id::Nonce([2; 16]), ..engage(&w, &[], None) };
        assert_eq!(w.public(side, &[], disengage("bank")), inert(Why::Endorsement));
        assert_eq!(w.public("shop", &["operator"], disengage("bank")), inert(Why::KeyNotInSet));
        assert_eq!(w.public("kisa", &[], suspend(side, Some(w.now.plus_ms(1)))), ok());
        assert_eq!(w.public(side, &["operator"], disengage("bank")), ok(), "suspended, and closes");
        w.now = w.now.plus_ms(DAY);
        assert!(!asks_for(&w, None, w.now));
        assert_eq!(w.public("bank", &["operator"], late.clone()), inert(Why::Superseded));
        assert_eq!(w.public(side, &["operator"], disengage("bank")), ok(), "and twice");
        w.now = w.now.plus_ms(DAY);
        assert_eq!(w.public("bank", &["operator"], late), inert(Why::Superseded));
        let s = engage(&w, &[], None);
        assert_eq!(w.public("bank", &["operator"], s), ok(), "a new contract");
        assert!(asks_for(&w, None, w.now));
    }
    // With nothing to end, too: what was signed before is late.
    let mut w = World::home();
    let s = engage(&w, &[], None);
    assert_eq!(w.public("cloud", &["operator"], disengage("bank")), ok());
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::Superseded));
}

fn rotate(new: &str, epoch: Option<u32>) -> PartyRotate {
    PartyRotate {
        v: V1,
        kind: Kind::PartyRotate,
        iat: T0,
        nonce: NONCE,
        party: party("bank"),
        new: key(new),
        epoch,
        transfer: None,
    }
}

#[test]
fn a_party_s_key_is_replaced_and_its_epoch_raised_one_by_one() {
    let mut w = World::home();
    let bank = party("bank");
    for (new, epoch, endorsers, why) in [
        ("two", None, &[][..], Why::Endorsement),
        ("two", None, &["operator"][..], Why::Endorsement),
        ("two", None, &["two", "operator"][..], Why::Endorsement),
        ("two", None, &["operator", "three"][..], Why::Endorsement),
        ("shop", None, &["operator", "shop"][..], Why::KeyTaken),
        ("bank", None, &["operator"][..], Why::State),
        ("bank", Some(0), &["operator"][..], Why::Superseded),
        ("bank", Some(2), &["operator"][..], Why::Superseded),
    ] {
        assert_eq!(
            w.public("bank", endorsers, rotate(new, epoch)),
            inert(why),
            "{new} {epoch:?} {endorsers:?}"
        );
    }
    assert_eq!(w.register.epoch_of(&bank), 0);
    assert_eq!(w.public("bank", &["operator", "two"], rotate("two", Some(1))), ok());
    assert_eq!(w.register.epoch_of(&bank), 1);
    assert_eq!(w.register.party_of_key(&key("two")), Some(&bank));
    assert_eq!(w.register.party_of_key(&key("bank")), None);
    assert_eq!(w.register.party_that_held(&key("bank")), Some(&bank), "for ever");
    assert_eq!(w.public("bank", &["operator"], rotate("bank", Some(2))), inert(Why::KeyNotInSet));
    assert_eq!(w.public("two", &["operator"], rotate("two", Some(1))), inert(Why::Superseded));
    assert_eq!(w.public("two", &["operator"], rotate("two", Some(2))), ok(), "by itself");
    assert_eq!(w.public("two", &["operator", "bank"], rotate("bank", None)), inert(Why::KeyTaken));
    let s = w.registration("other", &[Role::Recipient]);
    assert_eq!(w.public("bank", &["operator"], s), inert(Why::KeyTaken));
    // Rows hold all of it.
    let row = serde_cbor::to_vec(&w.register).unwrap();
    let again: Register = serde_cbor::from_slice(&row).unwrap();
    assert_eq!((&again, again.epoch_of(&bank)), (&w.register, 2));
    assert_eq!(again.party_that_held(&key("bank")), Some(&bank));
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), ok());
    assert_eq!(w.public("two", &["operator"], rotate("two", Some(3))), inert(Why::PartySuspended));
}

#[test]
fn a_regulator_s_old_key_suspends_nobody() {
    let mut w = World::home();
    let s = PartyRotate { party: party("kisa"), ..rotate("kisa-2", None) };
    assert_eq!(w.public("kisa", &["operator", "kisa-2"], s), ok());
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), inert(Why::KeyNotInSet));
    let s = w.registration("idp-2", &[Role::IdentityProvider]);
    assert_eq!(w.public("idp-2", &["operator", "kisa"], s), inert(Why::Endorsement));
    assert_eq!(w.public("kisa-2", &[], suspend("bank", None)), ok());
}

#[test]
fn a_party_s_end_of_transfers_is_moved_under_its_key_and_the_operator_s() {
    let mut w = World::home();
    let bank = party("bank");
    let to = |url: &str| {
        let end = TransferEnd { url: url.into(), key: None };
        PartyRotate { transfer: Some(end), ..rotate("bank", None) }
    };
    let (first, second) = ("https://bank.example.kr/naru", "https://moved.example.kr:8443/naru");
    assert_eq!(w.public("bank", &[], to(first)), inert(Why::Endorsement));
    assert_eq!(w.public("shop", &["operator"], to(first)), inert(Why::KeyNotInSet));
    assert_eq!(w.public("bank", &["operator"], to("http://bank.example.kr")), inert(Why::NoticeIncomplete));
    assert_eq!(w.public("bank", &["operator"], to(first)), ok());
    assert_eq!(w.public("bank", &["operator"], to(first)), inert(Why::State), "nothing changes");
    assert_eq!(w.public("bank", &["operator"], to(second)), ok());
    let url = |w: &World| w.register.party(&bank).unwrap().transfer.as_ref().unwrap().url.clone();
    assert_eq!((url(&w).as_str(), w.register.epoch_of(&bank)), (second, 0));
    // With a key and an epoch, and it stays where a rotation does not name it.
    let all = PartyRotate { new: key("two"), epoch: Some(1), ..to(first) };
    assert_eq!(w.public("bank", &["operator", "two"], all), ok());
    assert_eq!(w.public("two", &["operator"], rotate("two", Some(2))), ok());
    assert_eq!(url(&w), first);
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), ok());
    let late = PartyRotate { new: key("two"), ..to(second) };
    assert_eq!(w.public("two", &["operator"], late), inert(Why::PartySuspended));
}

#[test]
fn a_closed_regulator_suspends_nobody() {
    let mut w = World::home();
    w.admit("pipc", &[Role::Regulator], &["operator", "kisa"]);
    assert_eq!(w.public("kisa", &[], suspend("pipc", None)), ok());
    assert_eq!(w.public("pipc", &[], suspend("bank", None)), ok(), "suspended, and closes");
    assert_eq!(w.public("pipc", &["operator"], close("pipc")), ok());
    assert_eq!(w.public("pipc", &[], suspend("shop", None)), inert(Why::PartySuspended));
}

#[test]
fn a_notice_says_all_it_must() {
    let mut w = World::home();
    let mut purposes = usual_purposes();
    purposes[0].categories[0].items = vec!["bank.deposit".into()];
    let good = w.notice("bank", "main", purposes);
    let claim = |rule: &str| Claim { rule: rule.into(), purpose: MARKETING.into(), reason: "r".into() };
    let cases: [(&str, Spoil<'_, NoticePublish>, Why); 19] = [
        ("name", &|s| s.name.clear(), Why::NoticeIncomplete),
        ("no purposes", &|s| s.purposes.clear(), Why::NoticeIncomplete),
        ("no texts", &|s| s.texts.clear(), Why::NoticeIncomplete),
        ("empty text", &|s| s.texts[0].length = 0, Why::NoticeIncomplete),
        ("office", &|s| s.office.contact.clear(), Why::NoticeIncomplete),
        ("purpose unknown", &|s| s.purposes[0].purpose = "dpv:Fun".into(), Why::Vocabulary),
        ("purpose *", &|s| s.purposes[0].purpose = "*".into(), Why::Vocabulary),
        ("category unknown", &|s| s.purposes[0].categories[0].category = "pd:Soul".into(), Why::Vocabulary),
        ("item unknown", &|s| s.purposes[0].categories[0].items = vec!["bank.gold".into()], Why::Vocabulary),
        ("no reason", &|s| s.purposes[1].categories[1].reason = " ".into(), Why::NoticeIncomplete),
        ("no category", &|s| s.purposes[1].categories.clear(), Why::NoticeIncomplete),
        ("no action", &|s| s.purposes[1].actions.clear(), Why::NoticeIncomplete),
        ("twice", &|s| s.purposes[1].class = DataClass::RealName, Why::NoticeIncomplete),
        ("not told abroad", &|s| s.abroad = None, Why::NoticeIncomplete),
        ("half told abroad", &|s| s.abroad.as_mut().unwrap().refuse.clear(), Why::NoticeIncomplete),
        ("no country", &|s| s.abroad.as_mut().unwrap().country = "USA".into(), Why::NoticeIncomplete),
        ("pseudonymous to nobody", &|s| s.purposes[1].recipients.clear(), Why::Pack),
        ("unknown rule", &|s| s.claims = vec![claim("kcern-2018#research")], Why::Pack),
        ("name of a pseudonym", &|s| s.purposes[1].categories[0].category = "pd:Name".into(), Why::Pack),
    ];
    for (what, spoil, why) in cases {
        let mut s = good.clone();
        spoil(&mut s);
        assert_eq!(w.public("bank", &[], s), inert(why), "{what}");
    }
    assert_eq!(w.public("bank", &[], good), ok());
}

#[test]
fn a_claim_names_a_rule_of_a_pack_in_force_for_a_purpose_of_the_notice() {
    let mut w = World::open();
    let good = w.notice("bank", "main", usual_purposes());
    let claim = |rule: &str, purpose: &str, reason: &str| Claim {
        rule: rule.into(),
        purpose: purpose.into(),
        reason: reason.into(),
    };
    for bad in [
        claim("research", RESEARCH, "r"),
        claim("kcern-2018#research", RESEARCH, "r"),
        claim("open#research", MARKETING, "r"),
        claim("open#research", SERVICE, "r"),
        claim("open#research", RESEARCH, ""),
        claim("open#equal", RESEARCH, "r"),
    ] {
        let s = NoticePublish { claims: vec![bad.clone()], ..good.clone() };
        assert_eq!(w.public("bank", &[], s), inert(Why::Pack), "{bad:?}");
    }
    let s = NoticePublish { claims: vec![claim("open#research", RESEARCH, "r")], ..good };
    assert_eq!(w.public("bank", &[], s), ok());
}

#[test]
fn a_notice_is_its_controllers_and_its_versions_grow() {
    let mut w = World::home();
    let s = w.notice("bank", "main", usual_purposes());
    assert_eq!(w.public("shop", &[], s.clone()), inert(Why::KeyNotInSet));
    assert_eq!(w.public("operator", &["bank"], s.clone()), inert(Why::KeyNotInSet));
    for name in ["lab", "cloud", "idp", "kisa"] {
        let s = w.notice(name, "main", usual_purposes());
        assert_eq!(w.public(name, &[], s), inert(Why::Role), "{name}");
    }
    let mut second = s.clone();
    second.version = 2;
    assert_eq!(w.public("bank", &[], second.clone()), ok());
    assert_eq!(w.public("bank", &[], second), inert(Why::NameTaken));
    assert_eq!(w.public("bank", &[], s), inert(Why::NameTaken), "1 after 2");
    let s = w.notice("shop", "main", usual_purposes());
    assert_eq!(w.public("shop", &[], s), ok(), "names are the controller's own");
    assert_eq!(w.public("kisa", &[], suspend("shop", None)), ok());
    let s = w.notice("shop", "next", usual_purposes());
    assert_eq!(w.public("shop", &[], s), inert(Why::PartySuspended));
}

#[test]
fn a_notice_is_retired_by_its_controller_whatever_its_status() {
    let mut w = World::home();
    let notice = w.publish();
    assert_eq!(w.public("shop", &[], retire(notice)), inert(Why::KeyNotInSet));
    assert_eq!(w.public("kisa", &[], retire(notice)), inert(Why::KeyNotInSet));
    assert_eq!(w.public("bank", &[], retire(StatementId([9; 32]))), inert(Why::NoticeMismatch));
    assert_eq!(w.public("kisa", &[], suspend("bank", None)), ok());
    assert_eq!(w.public("bank", &[], retire(notice)), ok());
    let index = w.register.notice(&notice).unwrap().retired;
    assert!(index.is_some());
    assert_eq!(w.public("bank", &[], retire(notice)), ok(), "and twice");
    assert_eq!(w.register.notice(&notice).unwrap().retired, index);
}

#[test]
fn without_its_files_a_register_takes_nothing_that_needs_them() {
    let mut w = World::home();
    let s = w.notice("bank", "main", usual_purposes());
    let text = serde_cbor::to_vec(&w.register).unwrap();
    let bare: Register = serde_cbor::from_slice(&text).unwrap();
    assert_eq!(bare, w.register, "a row holds all of it");
    w.register = bare;
    assert_eq!(w.public("bank", &[], s.clone()), inert(Why::Pack));
    let fresh = World::void(&[kcern_2018()]);
    let again = serde_cbor::from_slice::<Register>(&text).unwrap();
    let home = World::home();
    w.register = again.attach(
        std::sync::Arc::new(naru::model::terms::Vocabulary::embedded().unwrap()),
        fresh
            .packs
            .iter()
            .map(|p| naru::consent::PackFile { hash: hash(p.name()), pack: p.clone() })
            .collect(),
    );
    assert_eq!(w.register, home.register);
    assert_eq!(w.public("bank", &[], s), ok());
    assert_eq!(w.register.party_of_key(&key("bank")), Some(&party("bank")), "what is drawn is drawn again");
}

#[test]
fn attachments_are_what_the_statement_names() {
    let w = World::home();
    let s = w.notice("bank", "main", usual_purposes());
    assert_eq!(Register::attachments_of(&s.into()), vec![hash("text")]);
    assert_eq!(Register::attachments_of(&w.genesis().into()), vec![hash("kcern-2018")]);
    assert_eq!(Register::attachments_of(&close("bank").into()), Vec::new());
}

#[test]
fn use_batches_are_the_operators_numbered_and_adjacent() {
    let mut w = World::home();
    let at = w.now;
    let batch = |number, from: Timestamp, until: Timestamp, gaps: Vec<Interval>| {
        let (v, kind, iat, nonce, root) = (V1, Kind::UseBatch, T0, NONCE, Hash([0; 32]));
        UseBatch { v, kind, iat, nonce, number, from, until, root, gaps }
    };
    let from = at.minus_ms(100);
    let first = batch(0, from, at, vec![Interval { from, until: at }]);
    for (signer, endorsers) in [("bank", &[][..]), ("kisa", &[]), ("log", &[]), ("operator", &["kisa"])] {
        assert_eq!(w.public(signer, endorsers, first.clone()), inert(Why::Role), "{signer}");
    }
    assert_eq!(w.public("operator", &[], batch(1, from, at, vec![])), inert(Why::Superseded));
    assert_eq!(w.register.batched(), None);
    assert_eq!(w.public("operator", &[], first.clone()), Effect::Applied(Touched::Register));
    assert_eq!(w.register.batched(), Some(Batched { count: 1, until: at }));
    assert_eq!(w.public("operator", &[], first), inert(Why::Superseded), "twice");
    // It outlives the row.
    let row = serde_cbor::to_vec(&w.register).unwrap();
    let again: Register = serde_cbor::from_slice(&row).unwrap();
    assert_eq!(again.batched(), w.register.batched());
}
