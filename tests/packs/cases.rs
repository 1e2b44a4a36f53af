//! The case tables of the packs: read strictly, held against pack and vocabulary.
//!
//! What a pack alone can say is run here: which notices and grants it refuses and by
//! which line, which rule each reason quotes, what holds while nothing is recorded.
//! The answers themselves are run over `consent::decide`.

use std::collections::BTreeSet;

use naru::model::decision::{Reason, Why};
use naru::model::id::{Hash, Nonce, PartyId, Timestamp};
use naru::model::pack::{Asked, DefaultMode, Pack, kcern_2018, kr_pipa_2026};
use naru::model::statement::{
    Abroad, Audience, Claim, Kind, NoticeCategory, NoticePublish, NoticePurpose, NoticeText, Office, V1,
};
use naru::model::terms::Vocabulary;
use naru::model::vocabulary::{Action, AskedAction, DataClass};
use serde::Deserialize;

use super::examples::party;

/// Each pack and its table.
const TABLES: [(&str, &str); 2] = [
    (kcern_2018(), include_str!("../vectors/packs/kcern-2018.toml")),
    (kr_pipa_2026(), include_str!("../vectors/packs/kr-pipa-2026.toml")),
];
pub(crate) const DAY_MS: u64 = 86_400_000;
/// SHA-256 of the text everybody was shown.
pub(crate) const TEXT: Hash = Hash([7; 32]);
/// Day 0: 2026-10-01T00:00:00+09:00, when both packs are in force.
pub(crate) const START: Timestamp = Timestamp(1_790_780_400_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub pack: String,
    pub version: u32,
    pub notice: Vec<Notice>,
    pub case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Notice {
    pub name: String,
    pub controller: String,
    pub purpose: String,
    pub class: DataClass,
    pub required: Vec<String>,
    #[serde(default)]
    pub optional: Vec<String>,
    pub actions: Vec<Action>,
    pub recipients: Vec<String>,
    pub keep_days: u64,
    pub abroad: Option<String>,
    pub office: Option<String>,
    pub reason: Option<String>,
    #[serde(default)]
    pub claims: Vec<String>,
    pub refused_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Case {
    pub id: String,
    pub ko: String,
    pub en: String,
    pub source: String,
    pub notice: String,
    #[serde(default)]
    pub person: Person,
    #[serde(default)]
    pub act: Vec<Act>,
    pub question: Question,
    pub expect: Expect,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Person {
    #[default]
    Adult,
    Child,
    Nobody,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Act {
    pub day: u64,
    pub r#do: Do,
    #[serde(default)]
    pub by: By,
    pub controller: Option<String>,
    pub purpose: Option<String>,
    pub categories: Option<Vec<String>>,
    pub actions: Option<Vec<Action>>,
    pub recipients: Option<Vec<String>>,
    pub jurisdictions: Option<Vec<String>>,
    pub until_day: Option<u64>,
    pub count: Option<u32>,
    pub refused: Option<String>,
    pub rule: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Do {
    Grant,
    Refuse,
    Withdraw,
    Object,
    Lift,
    Pause,
    Resume,
    Attest,
    Dispute,
    SignalWithdraw,
    Retire,
    Suspend,
    /// To the shop, from `until-day` on.
    Succeed,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    #[default]
    Person,
    Guardian,
    Bank,
    Pipc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Question {
    pub day: u64,
    pub action: String,
    pub purpose: Option<String>,
    pub class: Option<DataClass>,
    pub categories: Option<Vec<String>>,
    pub recipient: Option<String>,
    pub jurisdiction: Option<String>,
    pub use_id: Option<String>,
    #[serde(default)]
    pub used_before: u32,
    #[serde(default)]
    pub person: Person,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expect {
    pub reason: String,
    pub rule: String,
    pub told: Option<String>,
}

impl Notice {
    /// The notice as its controller would sign it.
    pub(crate) fn statement(&self) -> NoticePublish {
        let word = || "said".to_owned();
        let asked = |names: &[String], required| {
            let reason = self.reason.clone().unwrap_or_else(word);
            let of = move |c: &String| NoticeCategory {
                category: c.clone(),
                items: vec![],
                required,
                reason: reason.clone(),
            };
            names.iter().map(of).collect::<Vec<_>>()
        };
        NoticePublish {
            v: V1,
            kind: Kind::NoticePublish,
            iat: START,
            nonce: Nonce([0; 16]),
            controller: party(&self.controller),
            name: self.name.clone(),
            version: 1,
            purposes: vec![NoticePurpose {
                purpose: self.purpose.clone(),
                class: self.class,
                categories: [asked(&self.required, true), asked(&self.optional, false)].concat(),
                actions: self.actions.clone(),
                recipients: self.recipients.iter().map(|r| party(r)).collect(),
                keep_ms: self.keep_days * DAY_MS,
            }],
            texts: vec![NoticeText {
                locale: "ko".into(),
                audience: Audience::Adult,
                media_type: "text/plain".into(),
                length: 1,
                hash: TEXT,
            }],
            office: Office {
                name: self.office.clone().unwrap_or_else(word),
                contact: self.office.clone().unwrap_or_else(word),
            },
            abroad: self.abroad.clone().map(|country| Abroad {
                recipient: word(),
                contact: word(),
                country,
                items: vec![word()],
                when: word(),
                how: word(),
                purpose: word(),
                term: word(),
                refuse: word(),
                consequence: word(),
            }),
            claims: self
                .claims
                .iter()
                .map(|rule| Claim { rule: rule.clone(), purpose: self.purpose.clone(), reason: word() })
                .collect(),
        }
    }
}

/// One pack with its text and its table.
pub(crate) struct Read {
    pub text: &'static str,
    pub pack: Pack,
    pub table: Table,
}

pub(crate) fn tables() -> impl Iterator<Item = Read> {
    TABLES.iter().map(|(text, table)| Read {
        text,
        pack: Pack::parse(text).unwrap_or_else(|e| panic!("{e}")),
        table: toml::from_str(table).unwrap_or_else(|e| panic!("{e}")),
    })
}

pub(crate) fn reason(text: &str) -> Reason {
    *Reason::ALL.iter().find(|r| r.as_str() == text).unwrap_or_else(|| panic!("no reason `{text}`"))
}

impl Table {
    pub(crate) fn notice_of(&self, case: &Case) -> &Notice {
        let found = self.notice.iter().find(|n| n.name == case.notice);
        found.unwrap_or_else(|| panic!("{}: no notice `{}`", case.id, case.notice))
    }
}

#[test]
fn each_table_is_of_its_pack_and_names_nothing_unknown() {
    for read in tables() {
        names_nothing_unknown(&read);
    }
}

fn names_nothing_unknown(Read { table, pack, .. }: &Read) {
    let words = Vocabulary::embedded().unwrap();
    assert_eq!((table.pack.as_str(), table.version), (&**pack.name(), pack.version()));
    for n in &table.notice {
        assert!(words.purpose(&n.purpose).is_some(), "{}: {}", n.name, n.purpose);
        for c in n.required.iter().chain(&n.optional) {
            assert!(words.category(c).is_some(), "{}: {c}", n.name);
        }
    }
    let mut ids = BTreeSet::new();
    for c in &table.case {
        assert!(ids.insert(&c.id), "`{}` stands twice", c.id);
        assert!(![&c.ko, &c.en, &c.source].iter().any(|w| w.is_empty()), "{}", c.id);
        let notice = table.notice_of(c);
        assert!(notice.refused_by.is_none(), "{}: rests on a refused notice", c.id);
        assert!(AskedAction::parse(&c.question.action).is_some(), "{}: {}", c.id, c.question.action);
        let purposes = c.question.purpose.iter().chain(c.act.iter().filter_map(|a| a.purpose.as_ref()));
        for p in purposes.filter(|p| *p != "*") {
            assert!(words.purpose(p).is_some(), "{}: {p}", c.id);
        }
        let categories =
            c.question.categories.iter().chain(c.act.iter().filter_map(|a| a.categories.as_ref()));
        for name in categories.flatten() {
            assert!(words.category(name).is_some(), "{}: {name}", c.id);
        }
        assert!(c.act.windows(2).all(|w| w[0].day <= w[1].day), "{}: acts out of order", c.id);
        assert!(c.act.iter().all(|a| a.day <= c.question.day), "{}: an act after the question", c.id);
        assert!(c.question.used_before == 0 || c.question.use_id.is_some(), "{}", c.id);
        for why in c.act.iter().filter_map(|a| a.refused.as_ref()) {
            assert!(Why::ALL.iter().any(|w| w.as_str() == why), "{}: no `{why}`", c.id);
        }
    }
}

#[test]
fn every_reason_quotes_the_rule_the_table_says() {
    for Read { table, pack, .. } in tables() {
        quotes(&table, &pack);
    }
}

fn quotes(table: &Table, pack: &Pack) {
    for c in &table.case {
        let class = c.question.class.unwrap_or(table.notice_of(c).class);
        let reason = reason(&c.expect.reason);
        if reason == Reason::StatutoryException {
            assert!(pack.exception(&c.expect.rule).is_some(), "{}: no exception {}", c.id, c.expect.rule);
        } else {
            assert_eq!(&**pack.rule_of(reason, class), c.expect.rule, "{}", c.id);
        }
        if let Some(told) = &c.expect.told {
            assert_eq!(told, Reason::ConsentNotGiven.as_str(), "{}", c.id);
            assert!(!reason.permits() && !reason.is_of_the_question(), "{}", c.id);
        }
    }
}

#[test]
fn every_reason_of_the_pack_has_a_case() {
    for Read { table, pack, .. } in tables() {
        let seen: BTreeSet<Reason> = table.case.iter().map(|c| reason(&c.expect.reason)).collect();
        for r in Reason::ALL {
            // Whether the log can vouch for its state is the node's matter.
            let elsewhere = *r == Reason::LogUnavailable
                || (*r == Reason::StatutoryException && pack.exceptions().is_empty());
            assert_ne!(seen.contains(r), elsewhere, "{}: {}", pack.name(), r.as_str());
        }
        let quoted: BTreeSet<&str> = table.case.iter().map(|c| c.expect.rule.as_str()).collect();
        for exception in pack.exceptions() {
            assert!(quoted.contains(exception.id.as_str()), "{}", exception.id);
        }
    }
}

#[test]
fn notices_are_taken_and_refused_as_the_table_says() {
    for Read { table, pack, .. } in tables() {
        for n in &table.notice {
            assert_eq!(pack.refuses_notice(&n.statement()), n.refused_by.as_deref(), "{}", n.name);
        }
    }
}

#[test]
fn grants_are_taken_and_refused_by_the_pack_as_the_table_says() {
    for Read { table, pack, .. } in tables() {
        grants_are_judged(&table, &pack);
    }
}

fn grants_are_judged(table: &Table, pack: &Pack) {
    for c in &table.case {
        let notice = table.notice_of(c);
        for act in c.act.iter().filter(|a| matches!(a.r#do, Do::Grant | Do::Attest)) {
            let all = [notice.required.clone(), notice.optional.clone()].concat();
            let recipients = act.recipients.as_ref().unwrap_or(&notice.recipients);
            let recipients: Vec<PartyId> = recipients.iter().map(|r| party(r)).collect();
            let from = START.plus_ms(act.day * DAY_MS);
            let asked = Asked {
                class: notice.class,
                recipients: &recipients,
                categories: act.categories.as_ref().unwrap_or(&all),
                actions: act.actions.as_ref().unwrap_or(&notice.actions),
                jurisdictions: act.jurisdictions.as_deref().unwrap_or(&[]),
                from,
                keep_until: act
                    .until_day
                    .map_or(from.plus_ms(notice.keep_days * DAY_MS), |d| START.plus_ms(d * DAY_MS)),
            };
            // What the notice refuses first, the pack need not.
            if act.refused.as_deref().is_none_or(|why| why == "pack") {
                assert_eq!(pack.refuses_grant(asked), act.rule.as_deref(), "{}", c.id);
            }
            assert_eq!(act.rule.is_some(), act.refused.as_deref() == Some("pack"), "{}", c.id);
        }
    }
}

#[test]
fn with_nothing_recorded_and_nothing_claimed_the_default_answers() {
    for Read { table, pack, .. } in tables() {
        defaults_answer(&table, &pack);
    }
}

fn defaults_answer(table: &Table, pack: &Pack) {
    let bare = table.case.iter().filter(|c| c.act.is_empty() && c.person == Person::Adult);
    let bare = bare.filter(|c| table.notice_of(c).claims.is_empty());
    for c in bare.filter(|c| !reason(&c.expect.reason).is_of_the_question()) {
        if c.question.person == Person::Nobody {
            continue;
        }
        let default = pack.default_of(table.notice_of(c).class);
        let permits = default.mode == DefaultMode::OptOut
            && matches!(AskedAction::parse(&c.question.action), Some(AskedAction::Grantable(a)) if default.allows.contains(&a));
        assert_eq!(reason(&c.expect.reason).permits(), permits, "{}", c.id);
        assert_eq!(&*default.id, c.expect.rule, "{}", c.id);
    }
}
