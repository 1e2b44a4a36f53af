//! Every case of the tables, run through the fold and `consent::decide`.

use naru::consent::{Actor, Effect, Person as Subject, SlotKey, Uses, counted, decide_here};
use naru::model::decision::Question as Asked;
use naru::model::id::{StatementId, Timestamp};
use naru::model::statement::*;
use naru::model::vocabulary::{AskedAction, Role};

use super::cases::{Act, By, Case, DAY_MS, Do, Notice, Person, Read, START, TEXT, reason, tables};
use super::world::{NONCE, World, delegation, party, ppid, subject_attest};

/// Who a case is about, and who stands behind a child.
struct Scene {
    world: World,
    subject: Subject,
    guardian: Subject,
    /// The guardian's delegation, if there is one.
    by: Option<StatementId>,
    notice: StatementId,
}

fn day(n: u64) -> Timestamp {
    START.plus_ms(n * DAY_MS)
}

/// The world of the consent tests under one pack, on day 0.
fn world(text: &str) -> World {
    let mut world = World::new(&[text]);
    world.now = START;
    world
}

fn scene(text: &str, case: &Case, notice: &Notice) -> Scene {
    let mut world = world(text);
    for name in ["insurer", "univ"] {
        world.admit(name, &[Role::Recipient], &["operator"]);
    }
    let published = world.public(&notice.controller, &[], notice.statement());
    assert!(matches!(published, Effect::Applied(_)), "{}: notice {published:?}", case.id);
    let notice = world.last();
    let guardian = world.person("guardian");
    let mut subject = world.person("person");
    let mut by = None;
    if case.person == Person::Child {
        let until = day(2000);
        let attested = subject_attest("idp", Some(until), Some("guardian"));
        assert!(matches!(world.by_party(&mut subject, "idp", attested), Effect::Applied(_)), "{}", case.id);
        let s = delegation("guardian", "guardian", &[Kind::ConsentGrant, Kind::ConsentWithdraw], until);
        let made = world.act(&mut subject, &Actor::Delegate(&guardian), "guardian", s);
        assert!(matches!(made, Effect::Applied(_)), "{}: {made:?}", case.id);
        by = Some(world.last());
    }
    Scene { world, subject, guardian, by, notice }
}

impl Scene {
    fn grant(&self, act: &Act, notice: &Notice, over: Option<StatementId>) -> ConsentGrant {
        let now = self.world.now;
        let all = [notice.required.clone(), notice.optional.clone()].concat();
        let until = act.until_day.map_or(now.plus_ms(notice.keep_days * DAY_MS), day);
        ConsentGrant {
            v: V1,
            kind: Kind::ConsentGrant,
            iat: now,
            nonce: NONCE,
            ppid: ppid(),
            by: None,
            over,
            controller: party(&notice.controller),
            recipients: act
                .recipients
                .as_ref()
                .unwrap_or(&notice.recipients)
                .iter()
                .map(|r| party(r))
                .collect(),
            purpose: notice.purpose.clone(),
            categories: act.categories.clone().unwrap_or(all),
            class: notice.class,
            actions: act.actions.clone().unwrap_or_else(|| notice.actions.clone()),
            jurisdictions: act.jurisdictions.clone().unwrap_or_else(|| vec!["KR".into()]),
            fetch_until: until,
            keep_until: until,
            limits: act.count.map(|count| Limits { count: Some(count), ..Limits::default() }),
            consideration: None,
            notice: Shown { id: self.notice, hash: TEXT, locale: "ko".into() },
            link: None,
            moved: None,
        }
    }

    /// Does one act; `over` is always right.
    fn play(&mut self, act: &Act, notice: &Notice) -> Effect {
        self.world.now = day(act.day);
        let controller = act.controller.clone().unwrap_or_else(|| notice.controller.clone());
        let purpose = act.purpose.clone().unwrap_or_else(|| notice.purpose.clone());
        let class = notice.class;
        let slot = SlotKey { controller: controller.clone().into(), purpose: purpose.clone().into(), class };
        let over = self.subject.slot(&slot).and_then(|s| s.last);
        let iat = self.world.now;
        macro_rules! s {
            ($name:ident $(, $field:ident: $value:expr)*) => {
                Statement::from($name {
                    v: V1, kind: Kind::$name, iat, nonce: NONCE, ppid: ppid(), by: None,
                    controller: controller.into(), purpose: purpose.into(), class, $($field: $value),*
                })
            };
        }
        let exact = party(if controller == "*" { &notice.controller } else { &controller });
        macro_rules! exact {
            ($name:ident $(, $field:ident: $value:expr)*) => {
                Statement::from($name {
                    v: V1, kind: Kind::$name, iat, nonce: NONCE, ppid: ppid(), by: None,
                    controller: exact, purpose, class, $($field: $value),*
                })
            };
        }
        let statement = match act.r#do {
            Do::Grant => {
                let mut g = self.grant(act, notice, over);
                g.by = if act.by == By::Guardian { self.by } else { None };
                g.into()
            }
            Do::Attest => attested(&self.grant(act, notice, over)).into(),
            Do::Refuse => exact!(ConsentRefuse, notice: None, link: None, moved: None),
            Do::Withdraw => exact!(ConsentWithdraw, moved: None),
            Do::Pause => exact!(ConsentPause, moved: None),
            Do::Resume => exact!(ConsentResume, over: over),
            Do::Dispute => exact!(ConsentDispute, moved: None),
            Do::Object => s!(ConsentObject, moved: None),
            Do::Lift => s!(ConsentLift, over: over),
            Do::SignalWithdraw => ConsentSignal {
                v: V1,
                kind: Kind::ConsentSignal,
                iat,
                nonce: NONCE,
                ppid: ppid(),
                act: SignalAct::Withdraw,
                controller: controller.into(),
                purpose: purpose.into(),
                class,
                channel: Channel::Desk,
            }
            .into(),
            Do::Retire => {
                let s =
                    NoticeRetire { v: V1, kind: Kind::NoticeRetire, iat, nonce: NONCE, notice: self.notice };
                return self.world.public("bank", &[], s);
            }
            Do::Suspend => {
                let (v, kind, party, case) = (V1, Kind::PartySuspend, exact, "1".to_owned());
                let s = PartySuspend { v, kind, iat, nonce: NONCE, party, until: None, case };
                return self.world.public("kisa", &[], s);
            }
            Do::Succeed => {
                let (v, kind, nonce, successor) = (V1, Kind::PartySucceed, NONCE, party("shop"));
                let from = act.until_day.map_or(iat, day);
                let s = PartySucceed { v, kind, iat, nonce, party: exact, successor, from };
                return self.world.public("bank", &["operator"], s);
            }
        };
        match act.by {
            By::Person => self.world.own(&mut self.subject, "person", statement),
            By::Guardian => {
                self.world.act(&mut self.subject, &Actor::Delegate(&self.guardian), "guardian", statement)
            }
            By::Bank => self.world.by_party(&mut self.subject, "bank", statement),
            By::Pipc => self.world.by_party(&mut self.subject, "kisa", statement),
        }
    }
}

fn attested(g: &ConsentGrant) -> ConsentAttest {
    let g = g.clone();
    ConsentAttest {
        v: V1,
        kind: Kind::ConsentAttest,
        iat: g.iat,
        nonce: NONCE,
        ppid: g.ppid,
        over: g.over,
        controller: g.controller,
        recipients: g.recipients,
        purpose: g.purpose,
        categories: g.categories,
        class: g.class,
        actions: g.actions,
        jurisdictions: g.jurisdictions,
        fetch_until: g.fetch_until,
        keep_until: g.keep_until,
        given_at: g.iat.minus_ms(DAY_MS),
        how: "paper".into(),
    }
}

fn question(case: &Case, notice: &Notice) -> Asked {
    let q = &case.question;
    Asked {
        controller: party(&notice.controller),
        action: AskedAction::parse(&q.action).unwrap(),
        purpose: q.purpose.clone().unwrap_or_else(|| notice.purpose.clone()),
        class: q.class.unwrap_or(notice.class),
        categories: q.categories.clone().unwrap_or_else(|| notice.required.clone()),
        recipient: q.recipient.as_deref().map(party),
        jurisdiction: q.jurisdiction.clone(),
        use_id: q.use_id.clone(),
    }
}

#[test]
fn every_case_is_answered_as_the_table_says() {
    for read in tables() {
        for case in &read.table.case {
            answered(&read, case);
        }
    }
}

fn answered(Read { text, table, .. }: &Read, case: &Case) {
    let notice = table.notice_of(case);
    let mut scene = scene(text, case, notice);
    for (nth, act) in case.act.iter().enumerate() {
        let effect = scene.play(act, notice);
        let inert = match &effect {
            Effect::Applied(_) => None,
            Effect::Inert(why) => Some(why.as_str()),
        };
        assert_eq!(inert, act.refused.as_deref(), "{}: act {nth}", case.id);
    }
    let known = (case.question.person != Person::Nobody).then_some(&scene.subject);
    let at = day(case.question.day);
    let answer = decide_here(&scene.world.register, known, &question(case, notice), at);
    let uses = Uses { all: u64::from(case.question.used_before), ..Uses::default() };
    let room = answer.counting.as_ref().is_some_and(|c| uses.leave_room(&c.limits));
    let answer = if room { counted(answer) } else { answer };
    assert_eq!(answer.reason, reason(&case.expect.reason), "{}", case.id);
    assert_eq!((&*answer.pack, answer.version), (&*table.pack, table.version), "{}", case.id);
    assert_eq!(&*answer.rule, case.expect.rule, "{}", case.id);
    if let Some(told) = &case.expect.told {
        assert_eq!(answer.told(), reason(told), "{}", case.id);
    }
}

#[test]
fn refused_notices_are_refused_by_the_register_too() {
    for Read { text, table, .. } in tables() {
        for notice in table.notice.iter().filter(|n| n.refused_by.is_some()) {
            let mut world = world(text);
            let effect = world.public(&notice.controller, &[], notice.statement());
            assert!(matches!(effect, Effect::Inert(_)), "{}: {effect:?}", notice.name);
        }
    }
}
