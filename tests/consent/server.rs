//! The log's own keys: who brings them, what they end, and the acts that need both operators.

use naru::consent::{Effect, Register, Touched};
use naru::ledger::cbor;
use naru::model::decision::Why;
use naru::model::id::{Hash, SubjectId};
use naru::model::pack::{kcern_2018, kr_pipa_2026};
use naru::model::statement::*;

use crate::world::*;

/// Names of keys as long as an Ed25519 SPKI: nothing shorter signs a note.
pub(crate) const LOG_2: &str = "log-2.......................................";
const LOG_3: &str = "log-3.......................................";
const HOOK: &str = "hook........................................";
const TWIN: &str = "operator-2..................................";

pub(crate) fn log_rotate(w: &World, what: ServerKey, new: &str) -> LogRotate {
    LogRotate {
        v: V1,
        kind: Kind::LogRotate,
        iat: w.now,
        nonce: NONCE,
        server_key: what,
        new: serde_bytes::ByteBuf::from(new.as_bytes()),
        overlap_until: w.now.plus_ms(DAY),
    }
}

fn done() -> Effect {
    Effect::Applied(Touched::Register)
}

fn rotate(w: &mut World, signer: &str, endorsers: &[&str], what: ServerKey, new: &str) -> Effect {
    let s = log_rotate(w, what, new);
    w.public(signer, endorsers, s)
}

/// A log with two operator keys.
fn twins() -> World {
    let mut w = World::new(&[kcern_2018(), kr_pipa_2026()]);
    assert_eq!(rotate(&mut w, "log", &[TWIN, "operator"], ServerKey::Operator, TWIN), done());
    w
}

fn certify(order: Option<&str>) -> ErasureCertify {
    ErasureCertify {
        v: V1,
        kind: Kind::ErasureCertify,
        iat: T0,
        nonce: NONCE,
        tags: vec![SubjectId([1; 16])],
        order: order.map(str::to_owned),
        records: 1,
        scheduled: false,
        tombstones: Hash([1; 32]),
    }
}

fn rebind() -> KeyRebind {
    let (ppid, new) = (ppid(), key("new"));
    KeyRebind { v: V1, kind: Kind::KeyRebind, iat: T0, nonce: NONCE, ppid, new, method: "desk".into() }
}

#[test]
fn one_key_follows_another_and_each_signs_for_the_next_alone() {
    let mut w = World::home();
    let index = w.index;
    assert_eq!(rotate(&mut w, "log", &[LOG_2], ServerKey::Log, LOG_2), done());
    assert_eq!((w.register.log_key(), w.register.first_log_key()), (Some(key(LOG_2)), Some(key("log"))));
    assert_eq!(w.register.overlap(), Some((key("log"), w.now.plus_ms(DAY))));
    assert_eq!(w.register.rotated(ServerKey::Log).map(|s| s.index).collect::<Vec<_>>(), [index]);
    for (signer, endorsers, what, new, why) in [
        ("log", &[LOG_3][..], ServerKey::Log, LOG_3, Why::KeyNotInSet),
        (LOG_2, &[][..], ServerKey::Log, LOG_3, Why::Endorsement),
        (LOG_2, &[HOOK], ServerKey::Log, LOG_3, Why::Endorsement),
        (LOG_2, &[LOG_3, "kisa"], ServerKey::Log, LOG_3, Why::Endorsement),
        (LOG_2, &["short"], ServerKey::Log, "short", Why::Endorsement),
        (LOG_2, &[LOG_2], ServerKey::Webhook, LOG_2, Why::KeyTaken),
        (LOG_2, &[LOG_3], ServerKey::Token, LOG_3, Why::NotServed),
        (LOG_2, &[LOG_3], ServerKey::Operator, LOG_3, Why::Endorsement),
        (LOG_2, &[LOG_3, "kisa"], ServerKey::Operator, LOG_3, Why::Endorsement),
    ] {
        assert_eq!(rotate(&mut w, signer, endorsers, what, new), inert(why), "{signer} {endorsers:?} {new}");
    }
    let mut long = log_rotate(&w, ServerKey::Log, LOG_3);
    long.overlap_until = w.now.plus_ms(91 * DAY);
    assert_eq!(w.public(LOG_2, &[LOG_3], long), inert(Why::Dates));
    assert_eq!(rotate(&mut w, LOG_2, &[HOOK], ServerKey::Webhook, HOOK), done());
    assert_eq!(rotate(&mut w, LOG_2, &[LOG_3], ServerKey::Log, LOG_3), done());
    assert_eq!(w.register.overlap().unwrap().0, key(LOG_2));
    for taken in ["log", LOG_2, LOG_3, HOOK] {
        assert!(w.register.is_key_taken(&key(taken)));
    }
    let row = cbor::encode(&w.register).unwrap();
    assert_eq!(cbor::decode::<Register>(&row).unwrap(), w.register);
}

#[test]
fn with_two_operator_keys_the_weighty_acts_need_both_and_the_rest_one() {
    let mut w = twins();
    assert_eq!(w.register.operators().collect::<Vec<_>>(), [key("operator"), key(TWIN)]);
    // There is no third.
    assert_eq!(rotate(&mut w, "log", &[LOG_3, "operator"], ServerKey::Operator, LOG_3), inert(Why::State));
    let one = inert(Why::SecondOperator);
    for what in [ServerKey::Log, ServerKey::Webhook, ServerKey::Cosigner] {
        for endorsers in [
            &[LOG_2][..],
            &[LOG_2, "operator"],
            &[LOG_2, TWIN],
            &[LOG_2, TWIN, TWIN],
            &[LOG_2, "operator", "operator"],
        ] {
            assert_eq!(rotate(&mut w, "log", endorsers, what, LOG_2), one, "{endorsers:?}");
        }
    }
    assert_eq!(rotate(&mut w, "log", &[LOG_2, TWIN, "operator"], ServerKey::Log, LOG_2), done());
    for (signer, endorsers, may) in [
        ("operator", &["kisa"][..], false),
        ("operator", &["kisa", "operator"], false),
        ("operator", &["operator", "kisa"], false),
        (TWIN, &["kisa", TWIN], false),
        ("operator", &["kisa", TWIN], true),
        (TWIN, &["operator", "kisa"], true),
    ] {
        let effect = w.public(signer, endorsers, certify(Some("2026-1")));
        assert_eq!(effect, if may { done() } else { one.clone() }, "{signer} {endorsers:?}");
    }
    assert_eq!(w.public("operator", &[TWIN], certify(Some("2026-1"))), inert(Why::Endorsement));
    let kim = w.person("kim");
    for (endorsers, may) in [
        (&["operator"][..], false),
        (&[TWIN], false),
        (&["operator", "operator"], false),
        (&["operator", "kisa"], false),
        (&["operator", TWIN], true),
        (&[TWIN, "operator"], true),
    ] {
        let mut kim = kim.clone();
        let actor = naru::consent::Actor::Party(party("idp"));
        let effect = w.act_with(&mut kim, &actor, "idp", endorsers, rebind());
        assert_eq!(effect.touched().is_some(), may, "{endorsers:?}: {effect:?}");
        if !may {
            assert_eq!(effect, one);
        }
    }
    // Whatever else the operator signs needs one key, any of them.
    for (nth, operator) in ["operator", TWIN].into_iter().enumerate() {
        let s = w.registration(&format!("fresh-{nth}"), &[naru::model::vocabulary::Role::Controller]);
        assert_eq!(w.public(&format!("fresh-{nth}"), &[operator], s), done());
        assert_eq!(w.public(operator, &[], certify(None)), done());
    }
}
