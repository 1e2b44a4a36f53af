//! Moving house: what one log proves is said again in another, and nothing that was closed is opened.

use std::collections::BTreeSet;

use naru::audit::archive::Also;
use naru::audit::archive::verify_also;
use naru::audit::moving::Held;
use naru::audit::moving::Here;
use naru::audit::moving::HereNotice;
use naru::audit::moving::LeftOut;
use naru::audit::moving::Row;
use naru::audit::moving::Step;
use naru::audit::moving::There;
use naru::audit::moving::check_origin;
use naru::consent::SlotKey;
use naru::consent::State;
use naru::model::decision::Reason;
use naru::model::id::StatementId;
use naru::node::Asked;

use super::*;

const OTHER: &str = "second.test/log";

/// What the archive of person `n` holds, under a checkpoint over all of it.
fn held(world: &World, n: u64) -> Held {
    world.advance(1_000);
    world.node().tick().unwrap();
    let also = Also { hold: true, ..Also::default() };
    let bytes = archive(world, n, None);
    let mut source = Cursor::new(&bytes);
    let (_, held) = verify_also(&mut source, signer(LOG).public(), ORIGIN, Some(200), also).unwrap();
    held.unwrap()
}

/// What a service shows of itself and of person `n`.
fn here(world: &World, n: u64) -> Here {
    let own = world.node().own(&key_hash(&person_key(n))).unwrap().unwrap();
    let mut out = Here::default();
    for slot in own.slots {
        let key =
            SlotKey { controller: slot.controller.into(), purpose: slot.purpose.into(), class: slot.class };
        let state = State::ALL.into_iter().find(|state| state.as_str() == slot.state).unwrap();
        out.slots.insert(key, (state, slot.since));
    }
    let register = world.node().register();
    for name in ["bank", "hospital"] {
        let of = |notice: &&naru::consent::Notice| {
            notice.retired.is_none() && notice.says.controller == party(name)
        };
        let standing = register.notices().filter(of).map(|notice| HereNotice {
            id: notice.id,
            version: notice.says.version,
            texts: notice.says.texts.iter().map(|text| (text.hash, text.locale.clone())).collect(),
            purposes: notice.says.purposes.clone(),
        });
        out.notices.insert(party(name), standing.collect());
    }
    out
}

/// Says everything in the other world; answers what it said.
fn say(held: &Held, rows: &[Row], to: &World, n: u64) -> Vec<Statement> {
    let mut said = Vec::new();
    for row in rows.iter().filter(|row| !matches!(row.step, Step::Leave(_))) {
        let controller = row.slot.controller.as_str();
        let ppid = to.ppid(n, Some(controller).filter(|name| *name != "*"));
        let there = There { origin: OTHER, ppid, now: to.now() };
        let statement = held.statement(row, &there).unwrap();
        let accepted = to.accept(sign(&statement, &person_key(n)));
        assert_eq!(accepted.inert, None);
        said.push(statement);
    }
    said
}

fn left_out(rows: &[Row]) -> Vec<&'static str> {
    let why = |row: &Row| match row.step {
        Step::Leave(why) => Some(why.as_str()),
        Step::Close(_) | Step::Grant(_) => None,
    };
    rows.iter().filter_map(why).collect()
}

fn give(world: &World, n: u64, grant: ConsentGrant) -> StatementId {
    world.accept(sign(&grant.into(), &person_key(n))).id
}

/// Person 1 grants one thing, has withdrawn another, and objects to a third.
fn house() -> (World, Held) {
    let world = World::new();
    let ppid = world.enrol(1);
    let notice = world.notice_of("bank", 2, &[DataClass::Pseudonymous]);
    let second = world.accept(sign(&notice, &signer(BANK))).id;
    give(&world, 1, world.grant(ppid, None));
    let shown = Shown { id: second, hash: world.text, locale: "ko".into() };
    give(
        &world,
        1,
        ConsentGrant { class: DataClass::Pseudonymous, notice: shown, ..world.grant(ppid, None) },
    );
    let withdraw = ConsentWithdraw {
        v: V1,
        kind: Kind::ConsentWithdraw,
        iat: world.now(),
        nonce: nonce(),
        ppid,
        by: None,
        controller: party("bank"),
        purpose: PURPOSE.into(),
        class: DataClass::Pseudonymous,
        moved: None,
    };
    world.accept(sign(&withdraw.into(), &person_key(1)));
    let own = world.ppid(1, None);
    world.accept(sign(&world.object(own, Scope::Any, DataClass::Anonymous), &person_key(1)));
    let held = held(&world, 1);
    (world, held)
}

#[test]
fn what_holds_is_granted_again_what_was_closed_is_closed_first_and_a_second_time_does_nothing() {
    let (first, held) = house();
    let second = World::new();
    let ppid = second.enrol(1);
    let rows = held.plan(&here(&second, 1), second.now());
    let steps: Vec<_> = rows.iter().map(|row| row.step.clone()).collect();
    let shown = Shown { id: second.notice, hash: second.text, locale: "ko".into() };
    let expected = [Step::Close(Kind::ConsentObject), Step::Close(Kind::ConsentWithdraw), Step::Grant(shown)];
    assert_eq!(steps, expected);
    let said = say(&held, &rows, &second, 1);

    // It holds here, and where it came from can be proven with the first log's key.
    assert_eq!(second.check(ppid).decision.reason, Reason::ConsentGiven);
    let objected = Asked {
        question: naru::model::decision::Question {
            action: naru::model::vocabulary::AskedAction::Grantable(Action::Anonymise),
            class: DataClass::Anonymous,
            ..second.ask(ppid, Action::Use).question
        },
        ..second.ask(ppid, Action::Use)
    };
    assert_eq!(second.node().check(&objected).unwrap().decision.reason, Reason::Objected);
    let log = signer(LOG);
    for statement in &said {
        let moved = statement.moved().unwrap();
        assert_eq!(moved.log, ORIGIN);
        assert!(check_origin(statement, (log.public(), ORIGIN)).unwrap());
        assert!(!check_origin(statement, (log.public(), OTHER)).unwrap(), "another log is another matter");
        assert!(check_origin(statement, (signer(OPERATOR).public(), ORIGIN)).is_err());
        // No key of hers is in it: the controller reads this.
        let key = person_key(1).public().spki().to_vec();
        assert!(!holds(moved.evidence.as_ref().unwrap(), &key[key.len() - 32..]));
    }

    // Once more: everything is decided here, and the same bytes are the same acts.
    let again = held.plan(&here(&second, 1), second.now());
    assert_eq!(left_out(&again), ["decided-here"; 3]);
    let before = second.node().sequenced();
    for (statement, row) in said.iter().zip(&rows) {
        let there = There { origin: OTHER, ppid: statement.ppid().unwrap(), now: second.now() };
        assert_eq!(held.statement(row, &there).unwrap(), *statement);
        assert!(second.accept(sign(statement, &person_key(1))).duplicate);
    }
    assert_eq!(second.node().sequenced(), before);

    // Her archive of the second log says it, and proves it.
    second.advance(1_000);
    second.node().tick().unwrap();
    let bytes = archive(&second, 1, None);
    let verify = |key: &dyn Signer, origin: &'static str| {
        let also = Also { first: Some((key.public(), origin)), hold: false };
        verify_also(&mut Cursor::new(&bytes), log.public(), ORIGIN, Some(200), also)
    };
    assert_eq!(verify(&log, ORIGIN).unwrap().0.moved, (3, 3));
    assert_eq!(verify(&log, "a.third/log").unwrap().0.moved, (3, 0));
    assert!(verify(&signer(OPERATOR), ORIGIN).is_err());
    let consents = json(&files(&bytes), portability::CONSENTS);
    let events =
        consents["records"].as_array().unwrap().iter().map(|record| &record["events"][0]["ext"]["moved"]);
    let places: BTreeSet<_> = events.map(|moved| moved["index"].as_u64().unwrap()).collect();
    assert_eq!(places.len(), 3);
    drop(first);
}

#[test]
fn a_controller_cannot_attest_in_the_second_log_what_was_withdrawn_in_the_first() {
    let (_, held) = house();
    let attest = |world: &World, ppid| -> Statement {
        let grant = world.grant(ppid, None);
        ConsentAttest {
            v: V1,
            kind: Kind::ConsentAttest,
            iat: world.now(),
            nonce: nonce(),
            ppid,
            over: None,
            controller: grant.controller,
            recipients: grant.recipients,
            purpose: grant.purpose,
            categories: grant.categories,
            class: DataClass::Pseudonymous,
            actions: grant.actions,
            jurisdictions: grant.jurisdictions,
            fetch_until: grant.fetch_until,
            keep_until: grant.keep_until,
            given_at: Timestamp(world.now().0 - DAY),
            how: "paper".into(),
        }
        .into()
    };
    // Whether the controller comes after her or before.
    for before in [false, true] {
        let second = World::new();
        let ppid = second.enrol(1);
        if before {
            second.accept(sign(&attest(&second, ppid), &signer(BANK)));
        }
        let rows = held.plan(&here(&second, 1), second.now());
        say(&held, &rows, &second, 1);
        let pseudonymous = |slot: &&naru::node::own::OwnSlot| slot.class == DataClass::Pseudonymous;
        let own = second.node().own(&key_hash(&person_key(1))).unwrap().unwrap();
        assert_eq!(own.slots.iter().find(pseudonymous).unwrap().state, "withdrawn");
        if !before {
            second.refuse(sign(&attest(&second, ppid), &signer(BANK)));
        }
    }
}

#[test]
fn what_she_decided_in_the_second_log_is_left_alone() {
    let (first, held) = house();
    let second = World::new();
    let ppid = second.enrol(1);
    second.advance(DAY / 2);
    // Withdrawn there what the first log grants; granted there what an objection would take back.
    second.accept(sign(&second.withdraw(ppid), &person_key(1)));
    let anonymous = ConsentGrant {
        class: DataClass::Anonymous,
        actions: vec![Action::Anonymise],
        ..second.grant(ppid, None)
    };
    give(&second, 1, anonymous);
    let rows = held.plan(&here(&second, 1), second.now());
    assert_eq!(left_out(&rows), ["newer-here", "decided-here"]);
    say(&held, &rows, &second, 1);
    assert_eq!(second.check(ppid).decision.reason, Reason::ConsentWithdrawn);
    drop(first);
}

#[test]
fn every_reason_to_leave_a_grant_out_has_its_code() {
    let second = World::new();
    second.enrol(1);
    let other_words = second.node().attach(b"what the bank asks today").unwrap();
    let moved = |tell: &dyn Fn(&World, Ppid), change: &dyn Fn(&mut Here), later: u64| {
        let first = World::new();
        let ppid = first.enrol(1);
        tell(&first, ppid);
        let held = held(&first, 1);
        let mut here = here(&second, 1);
        change(&mut here);
        let rows = held.plan(&here, first.now().plus_ms(later));
        let unread: Vec<_> = rows.iter().flat_map(|row| row.unread.clone()).collect();
        (left_out(&rows).join(" "), unread)
    };
    let grant = |first: &World, ppid: Ppid| {
        give(first, 1, first.grant(ppid, None));
    };
    let limited = |limits: Limits| {
        move |first: &World, ppid: Ppid| {
            give(first, 1, ConsentGrant { limits: Some(limits.clone()), ..first.grant(ppid, None) });
        }
    };
    let bank = || party("bank");
    let same = |_: &mut Here| {};
    let told = |code: LeftOut| (code.as_str().to_owned(), Vec::new());
    assert_eq!(moved(&grant, &same, 0), (String::new(), Vec::new()));
    assert_eq!(moved(&grant, &same, 61 * DAY), told(LeftOut::Expired));
    assert_eq!(moved(&grant, &|here| drop(here.notices.remove(&bank())), 0), told(LeftOut::PartyUnknown));
    assert_eq!(
        moved(&grant, &|here| here.notices.get_mut(&bank()).unwrap().clear(), 0),
        told(LeftOut::NotAskedHere)
    );
    let words = |here: &mut Here| here.notices.get_mut(&bank()).unwrap()[0].texts[0].0 = other_words;
    let unread = vec![second.notice];
    assert_eq!(moved(&grant, &words, 0), (LeftOut::OtherWords.as_str().to_owned(), unread));
    let read = |here: &mut Here| {
        words(here);
        here.accepted.push(second.notice);
    };
    assert_eq!(moved(&grant, &read, 0), (String::new(), Vec::new()));
    let less = |here: &mut Here| {
        here.notices.get_mut(&bank()).unwrap()[0].purposes[0]
            .actions
            .retain(|action| *action != Action::Share);
    };
    assert_eq!(moved(&grant, &less, 0), told(LeftOut::OtherTerms));
    let count = Limits { count: Some(3), ..Limits::default() };
    assert_eq!(moved(&limited(count), &same, 0), told(LeftOut::CountedThere));
    let view = Limits { mode: Some(Mode::View), ..Limits::default() };
    assert_eq!(moved(&limited(view), &same, 0), (String::new(), Vec::new()));
    let objected = |first: &World, ppid: Ppid| {
        grant(first, ppid);
        let own = first.ppid(1, None);
        first.accept(sign(&first.object(own, Scope::Any, DataClass::RealName), &person_key(1)));
    };
    assert_eq!(moved(&objected, &same, 0), told(LeftOut::ObjectedThere));
    let objects = |here: &mut Here| {
        let wide = SlotKey { controller: Scope::Any, purpose: Scope::Any, class: DataClass::RealName };
        here.slots.insert(wide, (State::Objected, Timestamp(START)));
    };
    assert_eq!(moved(&grant, &objects, 0), told(LeftOut::ObjectedHere));
    let minor = |first: &World, ppid: Ppid| {
        grant(first, ppid);
        let attest: Statement = SubjectAttest {
            v: V1,
            kind: Kind::SubjectAttest,
            iat: first.now(),
            nonce: nonce(),
            ppid: first.ppid(1, None),
            provider: party("idp"),
            minor_until: Some(first.now().plus_ms(900 * DAY)),
            guardian: None,
            method: ProofMethod::Paper,
        }
        .into();
        first.accept(sign(&attest, &signer(IDP)));
    };
    assert_eq!(moved(&minor, &same, 0), told(LeftOut::Minor));
    let codes: BTreeSet<_> = LeftOut::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(codes.len(), LeftOut::ALL.len());
}

#[test]
fn a_provenance_that_does_not_hold_is_found() {
    let (_, held) = house();
    let second = World::new();
    second.enrol(1);
    let rows = held.plan(&here(&second, 1), second.now());
    let said = say(&held, &rows, &second, 1);
    let Some(Statement::ConsentGrant(grant)) = said.last() else { panic!("the grant comes last") };
    let withdrawal =
        said.iter().find(|s| s.kind() == Kind::ConsentWithdraw).unwrap().moved().unwrap().clone();
    let log = signer(LOG);
    let check = |change: &dyn Fn(&mut ConsentGrant)| {
        let mut forged = (**grant).clone();
        change(&mut forged);
        check_origin(&forged.into(), (log.public(), ORIGIN))
    };
    fn from(grant: &mut ConsentGrant) -> &mut Moved {
        grant.moved.as_mut().unwrap()
    }
    assert!(check(&|_| {}).unwrap());
    assert!(!check(&|g| from(g).evidence = None).unwrap(), "her word alone");
    assert!(check(&|g| from(g).index += 1).is_err());
    assert!(check(&|g| g.moved = Some(withdrawal.clone())).is_err(), "a withdrawal is no grant");
    assert!(check(&|g| g.purpose = "dpv:Marketing".into()).is_err());
    assert!(check(&|g| g.actions.push(Action::Profile)).is_err());
    assert!(check(&|g| g.keep_until = g.keep_until.plus_ms(1)).is_err());
    assert!(check(&|g| g.categories.push(OPTIONAL.into())).is_err());
    let bytes = grant.moved.as_ref().unwrap().evidence.clone().unwrap();
    for at in (0..bytes.len()).step_by(37) {
        let forge = |g: &mut ConsentGrant| from(g).evidence.as_mut().unwrap()[at] ^= 1;
        assert!(check(&forge).is_err(), "byte {at}");
    }
}

/// Whatever she did in the first log, in whatever order: the second permits nothing that the first does
/// not, and what she closed last is closed.
#[test]
fn the_second_log_never_permits_what_the_first_does_not() {
    let (first, second) = (World::new(), World::new());
    let mut drawn = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        drawn ^= drawn << 13;
        drawn ^= drawn >> 7;
        drawn ^= drawn << 17;
        drawn % below
    };
    let mut moved = 0;
    for n in 1..40 {
        let (ppid, there) = (first.enrol(n), second.enrol(n));
        for _ in 0..=draw(6) {
            let own = first.node().own(&key_hash(&person_key(n))).unwrap().unwrap();
            let of = |wide: bool| {
                let slot = own.slots.iter().find(|slot| (slot.controller == "*") == wide);
                slot.and_then(|slot| slot.over)
            };
            let star = first.ppid(n, None);
            let (v, iat, by, class) = (V1, first.now(), None, DataClass::RealName);
            let (controller, purpose) = (party("bank"), PURPOSE.to_owned());
            let statement: Statement = match draw(8) {
                0..=2 => first.grant(ppid, of(false)).into(),
                3 => first.withdraw(ppid),
                4 => first.object(star, Scope::Any, class),
                5 => ConsentLift {
                    v,
                    kind: Kind::ConsentLift,
                    iat,
                    nonce: nonce(),
                    ppid: star,
                    by,
                    over: of(true),
                    controller: Scope::Any,
                    purpose: Scope::Any,
                    class,
                }
                .into(),
                6 => ConsentPause {
                    v,
                    kind: Kind::ConsentPause,
                    iat,
                    nonce: nonce(),
                    ppid,
                    by,
                    controller,
                    purpose,
                    class,
                    moved: None,
                }
                .into(),
                _ => ConsentResume {
                    v,
                    kind: Kind::ConsentResume,
                    iat,
                    nonce: nonce(),
                    ppid,
                    by,
                    controller,
                    purpose,
                    class,
                    over: of(false),
                }
                .into(),
            };
            // What the state does not allow is refused, and the story goes on.
            drop(first.submit(sign(&statement, &person_key(n))));
        }
        let held = held(&first, n);
        let rows = held.plan(&here(&second, n), second.now());
        say(&held, &rows, &second, n);
        let permits = |reason: Reason| reason == Reason::ConsentGiven;
        let (was, is) = (first.check(ppid).decision.reason, second.check(there).decision.reason);
        assert_eq!(permits(is), permits(was), "person {n}: {was:?}, then {is:?}");
        moved += usize::from(permits(is));
    }
    assert!((5..35).contains(&moved), "{moved} of 39: the stories differ");
}

#[test]
fn an_archive_that_was_touched_or_is_another_s_moves_nothing() {
    let (first, _) = house();
    let bytes = archive(&first, 1, None);
    let also = Also { hold: true, ..Also::default() };
    let log = signer(LOG);
    let open = |bytes: &[u8], key: &dyn Signer, origin: &str| {
        verify_also(&mut Cursor::new(bytes), key.public(), origin, None, also).map(|(_, held)| held.unwrap())
    };
    let held = open(&bytes, &log, ORIGIN).unwrap();
    assert!(open(&bytes, &signer(OPERATOR), ORIGIN).is_err());
    assert!(open(&bytes, &log, OTHER).is_err());
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(open(&bad, &log, ORIGIN).is_err(), "byte {at}");
    }
    // The withdrawal cut out of it: the log signed the list of what is inside.
    let mut kept = Vec::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(&mut kept));
    let mut from = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    let withdrawal = held.last().find(|(key, _)| key.class == DataClass::Pseudonymous).unwrap().1.unwrap();
    let index = first.node().place(&withdrawal).unwrap().unwrap().index;
    let of_it = [portability::evidence_name(index), portability::receipt_name(index)];
    let (path, mut inside) = walked(&bytes)
        .into_iter()
        .filter(|(path, _)| parcel::is_parcel(path))
        .map(|(path, content)| (path, in_parcel(&content)))
        .find(|(_, inside)| inside.iter().any(|(name, _)| *name == of_it[0]))
        .unwrap();
    inside.retain(|(name, _)| !of_it.contains(name));
    for at in 0..from.len() {
        let file = from.by_index_raw(at).unwrap();
        let name = file.name().unwrap().into_owned();
        if name.ends_with(&path) {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, &parcelled(&inside)).unwrap();
        } else {
            zip.raw_copy_file(file).unwrap();
        }
    }
    zip.finish().unwrap();
    assert!(kept.len() < bytes.len());
    assert!(open(&kept, &log, ORIGIN).is_err());

    // Whose it is follows from it: her key, not another's, and not one she has revoked.
    let now = first.now();
    assert!(held.keys().is_known() && held.keys().has_live_key(&key_hash(&person_key(1)), now));
    assert!(!held.keys().has_live_key(&key_hash(&person_key(2)), now));
    let add: Statement = KeyAdd {
        v: V1,
        kind: Kind::KeyAdd,
        iat: now,
        nonce: nonce(),
        ppid: first.ppid(1, None),
        over: first.node().own(&key_hash(&person_key(1))).unwrap().unwrap().keys_over,
        key: key_hash(&person_key(9)),
        key_use: KeyUse::Device,
    }
    .into();
    let both = naru::ledger::cose::endorse(&person_key(9), &sign(&add, &person_key(1))).unwrap();
    first.accept(both);
    let revoke: Statement = KeyRevoke {
        v: V1,
        kind: Kind::KeyRevoke,
        iat: now,
        nonce: nonce(),
        ppid: first.ppid(1, None),
        key: key_hash(&person_key(1)),
    }
    .into();
    first.accept(sign(&revoke, &person_key(9)));
    first.advance(1_000);
    first.node().tick().unwrap();
    let mut out = Vec::new();
    first.node().export(&key_hash(&person_key(9)), None).unwrap().write(&mut out).unwrap();
    let held = open(&out, &log, ORIGIN).unwrap();
    assert!(!held.keys().has_live_key(&key_hash(&person_key(1)), first.now()));
    assert!(held.keys().has_live_key(&key_hash(&person_key(9)), first.now()));
}
