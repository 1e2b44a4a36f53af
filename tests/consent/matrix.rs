//! Role × type: every statement type by every kind of signer, as design §4 says who signs what.

use std::collections::BTreeSet;

use naru::consent::{Actor, Effect, Person};
use naru::model::decision::Why;
use naru::model::id::{Hash, StatementId, SubjectId};
use naru::model::pack::{Pack, kcern_2018, kr_pipa_2026};
use naru::model::statement::*;
use naru::model::vocabulary::{DataClass, Role};

use crate::register::{disengage, engage, retire, succeed, suspend};
use crate::server::{LOG_2, log_rotate};
use crate::world::*;

const REAL: DataClass = DataClass::RealName;
const ID: StatementId = StatementId([5; 32]);

macro_rules! st {
    ($kind:ident { $($field:ident: $value:expr),* $(,)? }) => {
        Statement::from($kind { v: V1, kind: Kind::$kind, iat: T0, nonce: NONCE, $($field: $value),* })
    };
}

/// The types this build has bytes and no rules for.
fn not_served() -> Vec<Statement> {
    let h = Hash([1; 32]);
    vec![
        st!(ReleaseRegister {
            anonymiser: party("anon"),
            release: "r".into(),
            purposes: vec![],
            recipients: vec![],
            criteria: h,
        }),
        st!(ReleaseWithdraw { release: ID }),
        st!(ReleaseRecall { release: ID }),
        st!(CanaryCommit { release: ID, commitment: h }),
        st!(WarrantGrant {
            case: "c".into(),
            regulator: party("kisa"),
            parties: vec![],
            from: T0,
            until: T0
        }),
    ]
}

/// Signers of sealed statements: the name, and in which capacity the node finds them.
const SIGNERS: [&str; 15] = [
    "kim", "paper", "stranger", "mom", "helper", "bank", "shop", "lab", "cloud", "anon", "combi", "idp",
    "kisa", "operator", "log",
];

struct Scene {
    w: World,
    kim: Person,
    mom: Person,
    helper: Person,
    stranger: Person,
    notice: StatementId,
    by_mom: StatementId,
    by_helper: StatementId,
    /// A transfer demand from `bank` to `lab`, if one stands.
    demand: StatementId,
    /// A statement of hers that a party's word is about, if one stands.
    about: StatementId,
}

/// `kim` is of age if `grown`; `mom` is attested; `helper` and `mom` hold delegations for all acts.
fn scene(grown: bool) -> Scene {
    let mut w = World::new(&[kcern_2018(), kr_pipa_2026()]);
    let notice = w.publish();
    let (mut kim, mom) = (w.person_with("kim", Some("paper")), w.person("mom"));
    let (helper, stranger) = (w.person("helper"), w.person("stranger"));
    let minor_until = if grown { None } else { Some(w.now.plus_ms(DAY)) };
    let s = subject_attest("idp", minor_until, Some("mom"));
    w.by_party(&mut kim, "idp", s);
    let delegable: Vec<Kind> = Kind::ALL.iter().copied().filter(|k| is_delegable(*k)).collect();
    let s = delegation("mom", "guardian", &delegable, w.now.plus_ms(DAY));
    w.act(&mut kim, &Actor::Delegate(&mom), "mom", s);
    let by_mom = w.last();
    let s = delegation("helper", "helper", &delegable, w.now.plus_ms(DAY));
    w.act(&mut kim, &Actor::Delegate(&mom), "mom", s);
    let by_helper = w.last();
    Scene { w, kim, mom, helper, stranger, notice, by_mom, by_helper, demand: ID, about: ID }
}

fn is_delegable(kind: Kind) -> bool {
    let row = [
        "consent.grant",
        "consent.refuse",
        "consent.withdraw",
        "consent.object",
        "consent.lift",
        "consent.pause",
        "consent.resume",
        "consent.dispute",
        "transfer.demand",
        "transfer.stop",
        "right.request",
        "incident.complain",
    ];
    row.contains(&kind.as_str())
}

/// A sealed statement of a type that takes effect if only its signer may, after `prepare`.
fn sealed(kind: &str, s: &Scene, by: Option<StatementId>) -> Statement {
    let over = s.kim.slot(&slot_key()).and_then(|slot| slot.last);
    macro_rules! with_by {
        ($statement:expr) => {{
            let mut x = $statement;
            x.by = by;
            x.into()
        }};
    }
    match kind {
        "consent.grant" => with_by!(s.w.grant(s.notice, over)),
        "consent.refuse" => with_by!(refuse("bank", MARKETING, REAL)),
        "consent.withdraw" => with_by!(withdraw("bank", MARKETING, REAL)),
        "consent.object" => with_by!(object("bank", MARKETING, REAL)),
        "consent.lift" => with_by!(lift("bank", MARKETING, REAL, over)),
        "consent.pause" => with_by!(pause("bank", MARKETING, REAL)),
        "consent.resume" => {
            let mut x = resume("bank", MARKETING, REAL);
            x.over = over;
            with_by!(x)
        }
        "consent.dispute" => with_by!(dispute("bank", MARKETING, REAL)),
        "consent.attest" => attest(&s.w.grant(s.notice, over)).into(),
        "consent.signal" => signal(SignalAct::Object, "bank", MARKETING, REAL).into(),
        "subject.attest" => subject_attest("idp", None, None).into(),
        "delegation.grant" => {
            delegation("bob", "helper", &[Kind::ConsentWithdraw], s.w.now.plus_ms(DAY)).into()
        }
        "delegation.end" => delegation_end("helper").into(),
        "key.add" => {
            st!(KeyAdd { ppid: ppid(), over: s.kim.keys_over(), key: key("new"), key_use: KeyUse::Device })
        }
        "key.revoke" => st!(KeyRevoke { ppid: ppid(), key: key("kim") }),
        "key.rotate" => {
            st!(KeyRotate { ppid: ppid(), over: s.kim.keys_over(), old: key("kim"), new: key("new") })
        }
        "key.recover" => st!(KeyRecover { ppid: ppid(), new: key("new") }),
        "key.rebind" => st!(KeyRebind { ppid: ppid(), new: key("new"), method: "desk".into() }),
        "erasure.demand" => st!(ErasureDemand { ppid: ppid() }),
        "transfer.demand" => with_by!(demand("bank", "lab", s.w.now)),
        "transfer.stop" => with_by!(stop(s.demand)),
        "transfer.deliver" => deliver("bank", s.demand, 0, 3).into(),
        "transfer.confirm" => confirm("lab", s.demand, 0, 3, 3).into(),
        "transfer.fail" => fail("bank", s.demand, 0, FailCode::ReceiverUnreachable).into(),
        "right.request" => with_by!(claim("bank", Right::Access, &[INCOME])),
        "right.answer" => answer("bank", s.about, Outcome::Done, None).into(),
        "duty.acknowledge" => acknowledge("lab", s.about).into(),
        "duty.deleted" => deleted("lab", s.about, &[INCOME], s.w.now).into(),
        "consideration.settle" => settle("bank", s.about, (s.w.now.minus_ms(1), s.w.now), 5_000).into(),
        "duty.justify" => justify("bank", s.w.now.minus_ms(2), s.w.now).into(),
        other => panic!("`{other}` is not served"),
    }
}

/// Brings the slot where the act is possible.
fn prepare(kind: &str, s: &mut Scene) {
    match kind {
        "consent.lift" => {
            s.w.own(&mut s.kim, "kim", object("bank", MARKETING, REAL));
        }
        "consent.resume" => {
            let g = s.w.grant(s.notice, None);
            s.w.own(&mut s.kim, "kim", g);
            s.w.own(&mut s.kim, "kim", pause("bank", MARKETING, REAL));
        }
        "transfer.stop" | "transfer.deliver" | "transfer.confirm" | "transfer.fail" => {
            let mut x = demand("bank", "lab", s.w.now);
            x.by = Some(s.by_mom);
            let mom = s.mom.clone();
            s.w.act(&mut s.kim, &Actor::Delegate(&mom), "mom", x);
            s.demand = s.w.last();
            if kind == "transfer.confirm" {
                s.w.by_party(&mut s.kim, "bank", deliver("bank", s.demand, 0, 3));
            }
        }
        "right.answer" => {
            s.w.own(&mut s.kim, "kim", claim("bank", Right::Access, &[]));
            s.about = s.w.last();
        }
        "duty.acknowledge" | "duty.deleted" | "consideration.settle" => {
            let mut g = s.w.grant(s.notice, None);
            g.by = Some(s.by_mom);
            let mom = s.mom.clone();
            s.w.act(&mut s.kim, &Actor::Delegate(&mom), "mom", g);
            if kind != "consideration.settle" {
                s.w.own(&mut s.kim, "kim", withdraw("bank", MARKETING, REAL));
            }
            s.about = s.w.last();
        }
        _ => {}
    }
}

fn try_signer(s: &mut Scene, name: &str, kind: &str) -> Effect {
    let by = match name {
        "mom" => Some(s.by_mom),
        "helper" | "stranger" => Some(s.by_helper),
        _ => None,
    };
    let statement = sealed(kind, s, by);
    let (mom, helper, stranger) = (s.mom.clone(), s.helper.clone(), s.stranger.clone());
    let actor = match name {
        // The node finds her by the key she holds on paper, too.
        "kim" | "paper" => Actor::Own,
        "mom" => Actor::Delegate(&mom),
        "helper" => Actor::Delegate(&helper),
        "stranger" => Actor::Delegate(&stranger),
        party_name => Actor::Party(party(party_name)),
    };
    // Who endorses is as it must be: only the signer is in question.
    let endorsers: &[&str] = match kind {
        "key.add" | "key.rotate" | "key.recover" => &["new"],
        "key.rebind" => &["operator"],
        _ => &[],
    };
    s.w.act_with(&mut s.kim, &actor, name, endorsers, statement)
}

const WHYS: [Why; 7] = [
    Why::Role,
    Why::KeyNotInSet,
    Why::DelegationScope,
    Why::DelegationEnded,
    Why::NotGuardian,
    Why::PartyUnknown,
    Why::NotThisSubject,
];

#[test]
fn sealed_types_by_every_signer() {
    let person = ["kim", "mom", "helper"];
    let parties = ["bank", "shop", "lab", "cloud", "anon", "combi", "idp", "kisa"];
    // Who signs what, from 14 on. Source: design §4.
    let table: [(&str, &[&str]); 30] = [
        ("transfer.demand", &person),
        ("transfer.stop", &person),
        ("transfer.deliver", &["bank"]),
        ("transfer.confirm", &["lab"]),
        ("transfer.fail", &["bank"]),
        ("erasure.demand", &["kim"]),
        ("duty.justify", &["bank"]),
        ("right.request", &person),
        ("right.answer", &["bank"]),
        ("duty.acknowledge", &["lab"]),
        ("duty.deleted", &["lab"]),
        ("consideration.settle", &["bank"]),
        ("consent.grant", &person),
        ("consent.refuse", &person),
        ("consent.withdraw", &person),
        ("consent.object", &person),
        ("consent.lift", &person),
        ("consent.pause", &person),
        ("consent.resume", &person),
        ("consent.dispute", &person),
        ("consent.attest", &["bank"]),
        ("consent.signal", &parties),
        ("subject.attest", &["idp"]),
        ("delegation.grant", &["kim", "mom", "kisa"]),
        ("delegation.end", &["kim", "mom", "kisa"]),
        ("key.add", &["kim"]),
        ("key.revoke", &["kim"]),
        ("key.rotate", &["kim"]),
        ("key.recover", &["paper"]),
        ("key.rebind", &["idp"]),
    ];
    for grown in [true, false] {
        for (kind, may) in table {
            for name in SIGNERS {
                let mut s = scene(grown);
                prepare(kind, &mut s);
                let before = s.kim.clone();
                let effect = try_signer(&mut s, name, kind);
                let alone = kind.starts_with("delegation.") || kind == "transfer.demand";
                let barred = !grown && name == "kim" && alone;
                if may.contains(&name) && !barred {
                    assert!(effect.touched().is_some(), "{kind} by {name}: {effect:?}");
                } else {
                    let why = effect.why().unwrap_or_else(|| panic!("{kind} by {name} took effect"));
                    assert!(WHYS.contains(&why), "{kind} by {name}: {why:?}");
                    assert_eq!(before, s.kim, "{kind} by {name}");
                }
            }
        }
    }
}

#[test]
fn a_request_is_asked_by_its_controller_alone() {
    let s = scene(true);
    for name in SIGNERS {
        let mut w = s.w.clone();
        let statement = st!(ConsentRequest {
            controller: party("bank"),
            notice: s.notice,
            purposes: vec![MARKETING.into()],
            link: Hash([1; 32]),
            until: w.now.plus_ms(DAY),
        });
        let (mom, helper, stranger) = (s.mom.clone(), s.helper.clone(), s.stranger.clone());
        let actor = match name {
            "kim" | "paper" => Actor::Own,
            "mom" => Actor::Delegate(&mom),
            "helper" => Actor::Delegate(&helper),
            "stranger" => Actor::Delegate(&stranger),
            other => Actor::Party(party(other)),
        };
        let mut request = Person::new(SubjectId([9; 16]));
        let effect = w.act(&mut request, &actor, name, statement.clone());
        assert_eq!(effect.touched().is_some(), name == "bank", "{name}: {effect:?}");
        assert_eq!(request.request().is_some(), name == "bank", "{name}");
        // It is no person: nothing else stands under it, and under no person stands a request.
        assert!(!request.is_known());
        assert!(w.own(&mut request, "bank", withdraw("bank", MARKETING, REAL)).why().is_some());
        let mut kim = s.kim.clone();
        assert!(w.act(&mut kim, &actor, name, statement).why().is_some(), "{name}");
        assert_eq!(kim, s.kim);
    }
}

#[test]
fn a_complaint_is_the_person_s_or_her_delegate_s_whatever_her_age() {
    for grown in [true, false] {
        for name in SIGNERS {
            let mut s = scene(grown);
            let by = match name {
                "mom" => Some(s.by_mom),
                "helper" | "stranger" => Some(s.by_helper),
                _ => None,
            };
            let complaint =
                |of: &str| st!(IncidentComplain { ppid: ppid(), by: by, party: party(of), text: "t".into() });
            let (mom, helper, stranger) = (s.mom.clone(), s.helper.clone(), s.stranger.clone());
            let kim = s.kim.clone();
            let of = |delegate| Actor::For { person: &kim, delegate };
            let actor = match name {
                "kim" | "operator" | "log" => of(None),
                "mom" => of(Some(&mom)),
                "helper" => of(Some(&helper)),
                "stranger" => of(Some(&stranger)),
                other => Actor::Party(party(other)),
            };
            let may = ["kim", "mom", "helper"].contains(&name);
            let mut incident = Person::new(SubjectId([9; 16]));
            let effect = s.w.act(&mut incident, &actor, name, complaint("bank"));
            assert_eq!(effect.touched().is_some(), may, "{name}: {effect:?}");
            assert_eq!(incident.incident().is_some(), may, "{name}");
            if let Some(why) = effect.why() {
                assert!(WHYS.contains(&why), "{name}: {why:?}");
                continue;
            }
            // Twice in one row, of nobody registered, and in the row of a person: none.
            assert_eq!(s.w.act(&mut incident, &actor, name, complaint("bank")), inert(Why::NotThisSubject));
            let mut other = Person::new(SubjectId([8; 16]));
            assert_eq!(s.w.act(&mut other, &actor, name, complaint("ghost")), inert(Why::PartyUnknown));
            let mut row = s.kim.clone();
            assert!(s.w.act(&mut row, &actor, name, complaint("bank")).why().is_some());
            assert!(s.w.act(&mut row, &Actor::Own, name, complaint("bank")).why().is_some());
            assert_eq!(row, s.kim);
            // No act of a person is done in another row.
            let grant = Statement::from(withdraw("bank", MARKETING, REAL));
            assert!(s.w.act(&mut row, &of(None), "kim", grant).why().is_some());
        }
    }
}

/// The home rule of another version, with the line by which law orders that an incident is published.
fn publishing() -> String {
    let line = "\n[[rule]]\nid = \"publish-incident\"\nko = \"공표한다.\"\nen = \"Is published.\"\n\
                source = \"a test\"\nconfidence = \"reading\"\n";
    format!("{}{line}", kcern_2018())
}

#[test]
fn an_incident_is_published_by_a_regulator_and_only_where_a_pack_orders_it() {
    let publishing = publishing();
    let packs: [(&str, bool); 3] = [(kcern_2018(), false), (kr_pipa_2026(), false), (&publishing, true)];
    for (pack, orders) in packs {
        for (signer, named) in
            [("kisa", "kisa"), ("bank", "bank"), ("operator", "kisa"), ("bank", "kisa"), ("kisa", "bank")]
        {
            let mut w = World::new(&[pack]);
            let s = st!(IncidentPublish { incident: NONCE, party: party(named), document: Hash([1; 32]) });
            let effect = w.public(signer, &[], s);
            let may = orders && (signer, named) == ("kisa", "kisa");
            assert_eq!(effect.touched().is_some(), may, "{signer} as {named}: {effect:?}");
            if !orders && signer == "kisa" && named == "kisa" {
                assert_eq!(effect, inert(Why::Pack));
            }
        }
    }
}

fn certify(order: Option<&str>) -> Statement {
    let (tags, order) = (vec![SubjectId([1; 16])], order.map(str::to_owned));
    st!(ErasureCertify { tags: tags, order: order, scheduled: false, records: 1, tombstones: Hash([1; 32]) })
}

/// A public statement of a type that takes effect if only its signers may.
fn public_of(w: &World, what: &str, notice: StatementId) -> Statement {
    match what {
        "notice.publish" => w.notice("bank", "another", usual_purposes()).into(),
        "notice.retire" => retire(notice).into(),
        "party.register controller" => w.registration("fresh", &[Role::Controller]).into(),
        "party.register regulator" => w.registration("fresh", &[Role::Regulator]).into(),
        "party.rotate" => {
            st!(PartyRotate { party: party("bank"), new: key("bank-2"), epoch: None, transfer: None })
        }
        "party.rotate epoch" => {
            st!(PartyRotate { party: party("bank"), new: key("bank"), epoch: Some(1), transfer: None })
        }
        "party.engage" => engage(w, &[], None).into(),
        "party.disengage" => disengage("bank").into(),
        "party.succeed" => succeed(w, "bank", "shop").into(),
        "party.close" => st!(PartyClose { party: party("bank") }),
        "party.suspend" => suspend("bank", Some(T0.plus_ms(DAY))).into(),
        "erasure.certify" => certify(None),
        "erasure.certify order" => certify(Some("2026-1")),
        "log.create" => w.genesis().into(),
        "log.rotate" => log_rotate(w, ServerKey::Log, LOG_2).into(),
        "log.rotate webhook" => log_rotate(w, ServerKey::Webhook, LOG_2).into(),
        "log.rotate operator" => log_rotate(w, ServerKey::Operator, LOG_2).into(),
        "log.rotate token" => log_rotate(w, ServerKey::Token, LOG_2).into(),
        other => panic!("`{other}` is not served"),
    }
}

#[test]
fn public_types_by_every_signer() {
    // Signer of the statement, then endorsers, in order.
    let signers: [(&str, &[&str]); 21] = [
        ("bank", &[]),
        ("bank", &["operator"]),
        ("bank", &["kisa"]),
        ("bank", &["operator", "kisa"]),
        ("shop", &[]),
        ("shop", &["operator"]),
        ("new", &["operator"]),
        ("new", &["operator", "kisa"]),
        ("new", &["kisa", "operator"]),
        ("operator", &[]),
        ("operator", &["kisa"]),
        ("kisa", &[]),
        ("kim", &["operator"]),
        ("cloud", &[]),
        ("cloud", &["operator"]),
        ("bank", &["operator", "bank-2"]),
        ("log", &[LOG_2]),
        ("log", &[LOG_2, "operator"]),
        ("log", &["operator", LOG_2]),
        ("operator", &[LOG_2]),
        (LOG_2, &["log"]),
    ];
    // An endorsement more than needed changes nothing.
    let of_bank: &[usize] = &[0, 1, 2, 3, 15];
    let table: [(&str, &[usize]); 19] = [
        ("pack.adopt", &[10]),
        ("notice.publish", of_bank),
        ("notice.retire", of_bank),
        ("party.register controller", &[6, 7, 12]),
        ("party.register regulator", &[7]),
        ("party.rotate", &[15]),
        ("party.rotate epoch", &[1, 3, 15]),
        ("party.engage", &[1, 3, 15]),
        ("party.disengage", &[1, 3, 14, 15]),
        ("party.succeed", &[1, 3, 15]),
        ("party.close", &[1, 3, 15]),
        ("party.suspend", &[9, 10, 11, 19]),
        ("erasure.certify", &[9]),
        ("erasure.certify order", &[10]),
        ("log.create", &[]),
        ("log.rotate", &[16, 17]),
        ("log.rotate webhook", &[16, 17]),
        ("log.rotate operator", &[17]),
        ("log.rotate token", &[]),
    ];
    for (what, may) in table {
        for (nth, (signer, endorsers)) in signers.iter().enumerate() {
            let mut w = World::home();
            let notice = w.publish();
            let before = w.register.clone();
            let effect = if what == "pack.adopt" {
                // Its file comes with it.
                let pack = Pack::parse(kr_pipa_2026()).unwrap();
                let s = w.adoption(&pack, T0.plus_ms(DAY));
                w.adopt_as(signer, endorsers, s, pack)
            } else {
                let s = public_of(&w, what, notice);
                w.public(signer, endorsers, s)
            };
            let named = format!("{what} by {signer} + {endorsers:?}: {effect:?}");
            assert_eq!(effect.touched().is_some(), may.contains(&nth), "{named}");
            if effect.why().is_some() {
                assert_eq!(before, w.register, "{named}");
            }
        }
    }
}

#[test]
fn what_is_not_served_is_inert_whoever_signs() {
    for statement in not_served() {
        let mut w = World::home();
        for (signer, endorsers) in [
            ("bank", &["operator"][..]),
            ("operator", &["kisa"]),
            ("kisa", &[]),
            ("idp", &["operator"]),
            ("log", &["operator"]),
        ] {
            assert_eq!(w.public(signer, endorsers, statement.clone()), inert(Why::NotServed));
        }
        let mut s = scene(true);
        for name in SIGNERS {
            let (mom, helper) = (s.mom.clone(), s.helper.clone());
            let actor = match name {
                "kim" | "paper" | "stranger" => Actor::Own,
                "mom" => Actor::Delegate(&mom),
                "helper" => Actor::Delegate(&helper),
                other => Actor::Party(party(other)),
            };
            let effect = s.w.act(&mut s.kim, &actor, name, statement.clone());
            assert_eq!(effect, inert(Why::NotServed), "{} by {name}", statement.kind().as_str());
        }
    }
}

#[test]
fn every_type_is_in_the_matrix_once() {
    let idle: BTreeSet<Kind> = not_served().iter().map(Statement::kind).collect();
    for kind in Kind::ALL {
        assert_eq!(kind.is_served(), !idle.contains(kind), "{}", kind.as_str());
    }
    assert_eq!(Kind::ALL.iter().filter(|k| k.is_served()).count(), 61);
}

#[test]
fn a_public_type_under_a_person_and_a_sealed_one_in_the_register_say_nothing() {
    let mut s = scene(true);
    let notice = s.w.notice("bank", "x", usual_purposes());
    assert_eq!(s.w.by_party(&mut s.kim, "bank", notice), inert(Why::NotServed));
    let mut w = World::new(&[kcern_2018()]);
    assert_eq!(w.public("kim", &[], withdraw("bank", MARKETING, REAL)), inert(Why::NotServed));
}
