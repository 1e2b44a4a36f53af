use super::*;
use crate::model::id::{Nonce, PartyId};
use crate::model::statement::{
    Abroad, Kind, NoticeCategory, NoticePublish, NoticePurpose, Office, PartyRegister, V1,
};
use crate::model::vocabulary::Action;

fn home() -> Pack {
    Pack::parse(kcern_2018()).unwrap()
}

/// The home rule with `from` replaced by `to`, which must stand in it.
fn altered(from: &str, to: &str) -> Result<Pack, Error> {
    assert!(kcern_2018().contains(from), "{from}");
    Pack::parse(&kcern_2018().replacen(from, to, 1))
}

/// Line of the first place of `what` in the home rule.
fn line_of(what: &str) -> usize {
    kcern_2018().split(what).next().unwrap().matches('\n').count() + 1
}

#[test]
fn the_home_rule_has_the_three_regimes() {
    let p = home();
    assert_eq!((&**p.name(), p.version(), p.valid_for_s(), p.minor_age()), ("kcern-2018", 1, 0, 14));
    for (class, mode, id) in [
        (DataClass::RealName, DefaultMode::OptIn, "real-name-opt-in"),
        (DataClass::Pseudonymous, DefaultMode::OptIn, "pseudonymous-opt-in"),
        (DataClass::Anonymous, DefaultMode::OptOut, "anonymous-opt-out"),
    ] {
        assert_eq!(p.default_of(class).mode, mode);
        assert_eq!(&*p.default_of(class).id, id);
        assert_eq!(&**p.rule_of(Reason::ConsentNotGiven, class), id);
        assert_eq!(&**p.rule_of(Reason::Objected, class), "objection-wins");
        assert_eq!(&**p.rule_of(Reason::ReidentificationBlocked, class), "reidentification-prohibited");
    }
    assert_eq!(p.default_of(DataClass::Anonymous).allows, [Action::Anonymise]);
    assert!(p.exceptions().is_empty());
}

#[test]
fn every_line_has_words_a_source_and_a_known_id() {
    let p = home();
    for l in p.lines() {
        assert!(p.rule_exists(l.id()));
        let (ko, en) = l.texts();
        assert!(!ko.is_empty() && !en.is_empty() && !l.source().is_empty(), "{}", l.id());
        assert!(p.line(l.id()).is_some());
    }
    assert!(!p.rule_exists("pseudonymous-default-deny"));
}

#[test]
fn every_reason_has_a_rule_in_every_class() {
    let p = home();
    for class in DataClass::ALL {
        for reason in Reason::ALL {
            assert!(p.rule_exists(p.rule_of(*reason, class)));
        }
    }
}

#[test]
fn what_is_unknown_is_refused_with_its_line() {
    let e = altered("valid-for-s = 0", "valid-for-s = 0\ncolour = \"red\"").unwrap_err();
    assert_eq!(e.line, line_of("valid-for-s = 0") + 1, "{e}");
    assert!(matches!(&e.fault, Fault::Malformed(m) if m.contains("colour")), "{e}");

    let e = altered("rule = \"objection-wins\"", "rule = \"objection-loses\"").unwrap_err();
    let at = line_of("rule = \"objection-wins\"");
    assert_eq!(e, Error { line: at, column: 8, fault: Fault::UnknownRule("objection-loses".into()) });
    assert_eq!(e.to_string(), format!("line {at}, column 8: no rule `objection-loses` in this pack"));

    let e = altered("\"pd:Sexual\"", "\"pd:Hobby\"").unwrap_err();
    assert_eq!((e.line, e.fault), (line_of("\"pd:Sexual\""), Fault::UnknownTerm("pd:Hobby".into())));

    let e = altered("reason = \"OBJECTED\"", "reason = \"REJECTED\"").unwrap_err();
    assert_eq!(e.line, line_of("reason = \"OBJECTED\""), "{e}");

    let e = altered("mode = \"opt-out\"", "mode = \"opt-up\"").unwrap_err();
    assert_eq!(e.line, line_of("mode = \"opt-out\""), "{e}");

    let e = altered("within = \"10d\"", "within = \"ten days\"").unwrap_err();
    assert_eq!(e.line, line_of("within = \"10d\""), "{e}");

    let e = altered("confidence = \"reading\"", "confidence = \"sure\"").unwrap_err();
    assert_eq!(e.line, line_of("confidence = \"reading\""), "{e}");
}

#[test]
fn what_is_missing_twice_or_contradictory_is_refused() {
    let twice = altered("id = \"pause-stops\"", "id = \"grant-ends\"").unwrap_err();
    assert_eq!(twice.fault, Fault::Twice("grant-ends".into()));
    let class = altered("class = \"anonymous\"", "class = \"real-name\"").unwrap_err();
    assert_eq!(class.fault, Fault::Twice("default real-name".into()));
    let open = altered("max-term = \"1096d\"\n", "").unwrap_err();
    assert_eq!(open.fault, Fault::Contradiction("`end-date` needs a `max-term`"));
    let elsewhere = altered("countries = [\"*\"]", "countries = [\"JP\"]").unwrap_err();
    assert_eq!(elsewhere.fault, Fault::Missing("border `*`"));
    let reason = altered("[[reason]]\nreason = \"OBJECTED\"\nrule = \"objection-wins\"\n", "").unwrap_err();
    assert_eq!(reason.fault, Fault::ReasonWithoutRule { reason: "OBJECTED", class: "real-name" });
    let allows = altered("allows = [\"anonymise\"]\n", "").unwrap_err();
    assert_eq!(allows.fault, Fault::Contradiction("an opt-out default must say what it allows"));
    let purpose = "[[exception]]\nid='x'\nko='k'\nen='e'\nsource='s'\nconfidence='reading'\narticle='1'\n\
                   classes=[]\npurposes=['dpv:Fun']\nactions=[]\n[minors]";
    let exception = altered("[minors]", purpose).unwrap_err();
    assert_eq!(exception.fault, Fault::UnknownTerm("dpv:Fun".into()));
}

#[test]
fn any_bytes_are_answered() {
    for bad in ["", "[pack]", "\u{0}", "[[default]]\n", "[pack]\nname = 1", "가 = 나"] {
        assert!(Pack::parse(bad).is_err(), "{bad}");
    }
    let whole = kcern_2018();
    for end in (0..whole.len()).step_by(97).filter(|e| whole.is_char_boundary(*e)) {
        let _ = Pack::parse(&whole[..end]);
    }
}

#[test]
fn a_category_line_reaches_narrower_categories() {
    let p = home();
    for c in
        ["pd:MedicalHealth", "pd:HealthRecord", "pd:Prescription", "pd:CriminalConviction", "pd:Fingerprint"]
    {
        assert_eq!(p.category(c).map(|r| &*r.id), Some("sensitive-separately"), "{c}");
    }
    for c in ["pd:Passport", "pd:CreditCardNumber", "pd:EmailAddressWork"] {
        assert_eq!(p.category(c).map(|r| &*r.id), Some("identifiers-real-name-only"), "{c}");
    }
    for c in ["pd:Income", "pd:External", "pd:Nothing"] {
        assert_eq!(p.category(c), None, "{c}");
    }
}

#[test]
fn borders_fall_back_to_the_star() {
    let p = home();
    assert_eq!(p.border("KR").needs, Border::Home);
    assert_eq!(p.border("JP").needs, Border::Grant);
    assert_eq!(p.border("").needs, Border::Grant);
}

/// Terms of a pseudonymous grant that the home rule takes.
struct Terms {
    class: DataClass,
    recipients: Vec<PartyId>,
    categories: Vec<String>,
    actions: Vec<Action>,
    jurisdictions: Vec<String>,
    days: u64,
}

impl Terms {
    fn good() -> Self {
        Self {
            class: DataClass::Pseudonymous,
            recipients: vec![PartyId::parse("univ").unwrap()],
            categories: vec!["pd:Income".into()],
            actions: vec![Action::Use, Action::Share],
            jurisdictions: vec!["KR".into()],
            days: 365,
        }
    }

    fn refused_by(&self) -> Option<String> {
        let from = Timestamp(1_700_000_000_000);
        let asked = Asked {
            class: self.class,
            recipients: &self.recipients,
            categories: &self.categories,
            actions: &self.actions,
            jurisdictions: &self.jurisdictions,
            from,
            keep_until: from.plus_ms(self.days * 86_400_000),
        };
        home().refuses_grant(asked).map(str::to_owned)
    }
}

#[test]
fn limited_means_what_the_pack_says() {
    let refused = |f: fn(&mut Terms)| {
        let mut t = Terms::good();
        f(&mut t);
        t.refused_by()
    };
    let limited = Some("pseudonymous-limited-use".to_owned());
    assert_eq!(refused(|_| ()), None);
    assert_eq!(refused(|t| t.recipients.clear()), limited);
    assert_eq!(refused(|t| t.days = 1096), None);
    assert_eq!(refused(|t| t.days = 1097), limited);
    assert_eq!(refused(|t| t.days = u64::MAX / 86_400_000), limited);
    assert_eq!(refused(|t| t.actions = vec![Action::Use, Action::Profile]), limited);
    assert_eq!(refused(|t| t.actions = vec![Action::Profile]), None);
    assert_eq!(refused(|t| t.actions = vec![Action::Combine]), None);
    assert_eq!(refused(|t| t.categories = vec!["pd:Name".into()]), Some("identifiers-real-name-only".into()));
    // The same is no matter in the real-name class.
    let real = |t: &mut Terms| {
        t.class = DataClass::RealName;
        t.recipients.clear();
        t.days = 36_500;
        t.actions = vec![Action::Use, Action::Profile];
        t.categories = vec!["pd:Name".into()];
    };
    assert_eq!(refused(real), None);
}

#[test]
fn sending_abroad_needs_its_country_and_a_grant_of_its_own() {
    let refused = |actions: &[Action], countries: &[&str]| {
        let mut t = Terms::good();
        t.class = DataClass::RealName;
        t.actions = actions.to_vec();
        t.jurisdictions = countries.iter().map(|c| (*c).to_owned()).collect();
        t.refused_by()
    };
    assert_eq!(refused(&[Action::TransferAbroad], &["JP"]), None);
    assert_eq!(refused(&[Action::TransferAbroad], &["KR"]).as_deref(), Some("border-by-grant"));
    assert_eq!(refused(&[Action::TransferAbroad], &[]).as_deref(), Some("border-by-grant"));
    assert_eq!(refused(&[Action::TransferAbroad, Action::Use], &["JP"]).as_deref(), Some("real-name-grant"));
    assert_eq!(refused(&[Action::Use], &["JP"]), None);
}

fn office() -> Office {
    Office { name: "Privacy office".into(), contact: "privacy@bank.example".into() }
}

fn asks(category: &str, required: bool) -> NoticeCategory {
    NoticeCategory { category: category.into(), items: vec![], required, reason: "to pay".into() }
}

fn notice() -> NoticePublish {
    NoticePublish {
        v: V1,
        kind: Kind::NoticePublish,
        iat: Timestamp(0),
        nonce: Nonce([0; 16]),
        controller: PartyId::parse("bank").unwrap(),
        name: "n".into(),
        version: 1,
        purposes: vec![NoticePurpose {
            purpose: "dpv:ServiceProvision".into(),
            class: DataClass::RealName,
            categories: vec![asks("pd:Income", true)],
            actions: vec![Action::Use],
            recipients: vec![],
            keep_ms: 1,
        }],
        texts: vec![],
        office: office(),
        abroad: None,
        claims: vec![],
    }
}

fn abroad() -> Abroad {
    let s = || "x".to_owned();
    Abroad {
        recipient: s(),
        contact: s(),
        country: "JP".into(),
        items: vec![s()],
        when: s(),
        how: s(),
        purpose: s(),
        term: s(),
        refuse: s(),
        consequence: s(),
    }
}

#[test]
fn a_notice_says_all_it_must() {
    let refused = |f: fn(&mut NoticePublish)| {
        let mut n = notice();
        f(&mut n);
        home().refuses_notice(&n).map(str::to_owned)
    };
    let by = |id: &str| Some(id.to_owned());
    assert_eq!(refused(|_| ()), None);
    assert_eq!(refused(|n| n.office.contact = " ".into()), by("notice-office"));
    assert_eq!(refused(|n| n.office.name.clear()), by("notice-office"));
    assert_eq!(refused(|n| n.purposes[0].categories[0].reason.clear()), by("notice-reasons"));
    assert_eq!(refused(|n| n.purposes[0].actions = vec![Action::TransferAbroad]), by("notice-abroad"));
    assert_eq!(refused(|n| n.purposes[0].class = DataClass::Pseudonymous), by("pseudonymous-limited-use"));
}

#[test]
fn a_notice_with_transfer_abroad_lacks_nothing() {
    let mut n = notice();
    n.purposes[0].actions = vec![Action::TransferAbroad];
    n.abroad = Some(abroad());
    assert_eq!(home().refuses_notice(&n), None);
    let blanks: [fn(&mut Abroad); 11] = [
        |a| a.recipient.clear(),
        |a| a.contact.clear(),
        |a| a.country.clear(),
        |a| a.items.clear(),
        |a| a.items[0].clear(),
        |a| a.when.clear(),
        |a| a.how.clear(),
        |a| a.purpose.clear(),
        |a| a.term.clear(),
        |a| a.refuse.clear(),
        |a| a.consequence.clear(),
    ];
    for (at, blank) in blanks.iter().enumerate() {
        let mut a = abroad();
        blank(&mut a);
        n.abroad = Some(a);
        assert_eq!(home().refuses_notice(&n), Some("notice-abroad"), "{at}");
    }
}

#[test]
fn sensitive_categories_are_optional_or_alone() {
    let refused = |categories: Vec<NoticeCategory>| {
        let mut n = notice();
        n.purposes[0].categories = categories;
        home().refuses_notice(&n).map(str::to_owned)
    };
    assert_eq!(refused(vec![asks("pd:Income", true), asks("pd:HealthRecord", false)]), None);
    assert_eq!(refused(vec![asks("pd:HealthRecord", true), asks("pd:Prescription", true)]), None);
    let bundled = refused(vec![asks("pd:Income", true), asks("pd:HealthRecord", true)]);
    assert_eq!(bundled.as_deref(), Some("sensitive-separately"));
}

#[test]
fn a_party_names_its_office() {
    let mut party = PartyRegister {
        v: V1,
        kind: Kind::PartyRegister,
        iat: Timestamp(0),
        nonce: Nonce([0; 16]),
        party: PartyId::parse("bank").unwrap(),
        name_ko: "은행".into(),
        name_en: "Bank".into(),
        roles: vec![],
        jurisdiction: "KR".into(),
        office: office(),
        licence: None,
        scope: vec![],
        transfer: None,
    };
    assert_eq!(home().refuses_party(&party), None);
    party.office.contact.clear();
    assert_eq!(home().refuses_party(&party), Some("notice-office"));
}

#[test]
fn aggravated_means_a_half_more_and_the_double() {
    let p = home();
    let in_2019 = Timestamp(1_550_000_000_000);
    let of = |class, at| {
        let rows = p.penalties_at(Breach::Reidentification, class, at);
        rows.map(|p| (p.aggravated_months(), p.aggravated_amount(), p.stated_by_policy_source))
            .collect::<Vec<_>>()
    };
    let rows = of(DataClass::Pseudonymous, in_2019);
    assert_eq!(rows, [(Some(90), None, true), (None, Some(75_000_000), true), (None, None, true)]);
    let rows = of(DataClass::Anonymous, in_2019);
    assert_eq!(rows, [(Some(120), None, true), (None, Some(100_000_000), true), (None, None, true)]);
    // The 2018 rows ended when PIPA art. 28-5 took force.
    let change = Timestamp(1_596_553_200_000);
    assert_eq!(of(DataClass::Anonymous, change), []);
    assert_eq!(
        of(DataClass::Pseudonymous, change),
        [(Some(60), None, false), (None, Some(50_000_000), false)]
    );
    assert_eq!(of(DataClass::Pseudonymous, change.minus_ms(1)).len(), 3);
}

#[test]
fn a_claim_names_pack_and_exception() {
    let with = "[[exception]]\nid='research'\nko='k'\nen='e'\nsource='s'\nconfidence='statute'\narticle='28-2'\n\
                classes=['pseudonymous']\npurposes=['dpv:ScientificResearch']\nactions=['use']\n[minors]";
    let p = altered("[minors]", with).unwrap();
    assert_eq!(p.claimed("kcern-2018#research").map(|e| e.article.as_str()), Some("28-2"));
    for bad in ["research", "kcern-2018#objection-wins", "pipa#research", "kcern-2018#", "#"] {
        assert_eq!(p.claimed(bad), None, "{bad}");
    }
}

#[test]
fn the_korean_act_has_its_exceptions_clocks_and_penalties() {
    let p = Pack::parse(kr_pipa_2026()).unwrap();
    assert_eq!((&**p.name(), p.version(), p.minor_age()), ("kr-pipa-2026", 1, 14));
    // 2026-09-11T00:00:00+09:00.
    let force = Timestamp(1_789_052_400_000);
    assert!(!p.holds_at(force.minus_ms(1)) && p.holds_at(force));
    for class in [DataClass::RealName, DataClass::Pseudonymous] {
        assert_eq!(p.default_of(class).mode, DefaultMode::OptIn);
    }
    let (pseudonymous, research) = (DataClass::Pseudonymous, "dpv:ScientificResearch");
    let e = p.claimed("kr-pipa-2026#research-28-2").unwrap();
    assert!(e.covers(research, pseudonymous, Action::Use) && e.justify_within.is_none());
    assert!(!e.covers(research, pseudonymous, Action::Combine), "28-3 is another exception");
    assert!(!e.covers(research, DataClass::RealName, Action::Use));
    assert!(!e.covers("dpv:Marketing", pseudonymous, Action::Use));
    let urgent = p.exception("vital-interest").unwrap();
    assert_eq!(urgent.justify_within, Span::parse("72h"));
    for (trigger, hours) in [
        (Trigger::RightRequest, 240),
        (Trigger::Breach, 72),
        (Trigger::GrantEnd, 120),
        (Trigger::Identifiable, 0),
    ] {
        let within: Vec<u64> = p.duties_on(trigger).map(|d| d.within.ms() / 3_600_000).collect();
        assert_eq!(within, [hours], "{trigger:?}");
    }
    let most = |at| {
        let rows: Vec<_> = p.penalties_at(Breach::Reidentification, pseudonymous, at).collect();
        let permille = rows.iter().filter_map(|r| r.max_turnover_permille).max();
        let amount = rows.iter().filter_map(|r| r.max_amount).max();
        (rows.iter().filter_map(|r| r.max_years).max(), amount, permille)
    };
    assert_eq!(most(force.minus_ms(1)), (Some(5), Some(2_000_000_000), Some(30)));
    assert_eq!(most(force), (Some(5), Some(5_000_000_000), Some(100)));
    assert!(p.penalties().iter().all(|row| row.aggravated_percent == 100));
    let anonymous = p.penalties_at(Breach::Reidentification, DataClass::Anonymous, Timestamp(u64::MAX));
    assert_eq!(anonymous.count(), 0, "no own offence");
}
