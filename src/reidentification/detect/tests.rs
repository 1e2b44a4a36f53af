use serde_bytes::ByteBuf;

use super::*;
use crate::model::id::Ppid;
use crate::model::use_line::UseLine;
use crate::model::vocabulary::Action;
use crate::model::vocabulary::DataClass;

const T0: Timestamp = Timestamp(1_764_000_000_000);
const END: Timestamp = Timestamp(u64::MAX);

fn party(name: &str) -> PartyId {
    PartyId::parse(name).unwrap()
}

/// A line of the hospital's, asked at `minutes`, about person `n`.
fn line(n: u8, minutes: u64, told: Reason) -> Observed {
    let t = T0.plus_ms(minutes * 60_000);
    let line = UseLine {
        t,
        v: V1,
        at: t,
        id: DecisionId([u8::try_from(minutes).unwrap(); 16]),
        act: UseAct::Check,
        case: None,
        pack: "kcern-2018".into(),
        ppid: Some(Ppid([n; 16])),
        rule: "r".into(),
        told,
        as_of: 1,
        asker: party("hospital"),
        basis: None,
        class: Some(DataClass::Pseudonymous),
        count: None,
        exact: None,
        action: Some(AskedAction::Grantable(Action::Use)),
        signed: None,
        use_id: None,
        purpose: Some("dpv:Care".into()),
        release: None,
        version: 1,
        recipient: None,
        categories: Vec::new(),
        controller: party("hospital"),
        jurisdiction: None,
    };
    let person = Some(Person([n; 16]));
    Observed {
        line,
        reason: told,
        person,
        domain: Domain::Own,
        joined: Joined::No,
        signature: Signature::Absent,
    }
}

fn foreign(n: u8, minutes: u64) -> Observed {
    Observed { domain: Domain::Of(party("bank")), ..line(n, minutes, Reason::ConsentNotGiven) }
}

/// Signed by the asker, under a signature of its own.
fn signed(mut one: Observed, signature: u8) -> Observed {
    one.signature = Signature::Holds;
    one.line.signed = Some(ByteBuf::from(vec![signature]));
    one
}

fn look(lines: &[Observed]) -> Vec<Finding> {
    findings(lines, T0, END)
}

fn one(lines: &[Observed]) -> Finding {
    let mut found = look(lines);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_foreign_ppid_is_a_finding_unless_something_joins_the_two() {
    let found = one(&[foreign(1, 1)]);
    assert_eq!((found.detector, found.strength, found.persons), (Detector::ForeignPpid, Strength::S, 1));
    assert_eq!(
        (found.party.as_str(), found.about.as_str(), found.established),
        ("hospital", "dpv:Care", true)
    );
    assert_eq!(found.lines[0].domain, Some(party("bank")));
    assert!(look(&[Observed { joined: Joined::Yes, ..foreign(1, 1) }]).is_empty());
    // It cannot be said any more: a finding, never a strong one.
    let doubtful = one(&[signed(Observed { joined: Joined::Unknown, ..foreign(1, 1) }, 1)]);
    assert_eq!((doubtful.strength, doubtful.established), (Strength::S, false));
    assert!(
        !one(&[Observed { domain: Domain::Log, ..line(1, 1, Reason::ConsentNotGiven) }]).lines.is_empty()
    );
    for domain in [Domain::Own, Domain::Nobody] {
        assert!(look(&[Observed { domain, ..foreign(1, 1) }]).is_empty());
    }
}

#[test]
fn a_handover_joins_from_its_instant_on_for_that_person_and_that_way_alone() {
    let mut handover = line(1, 2, Reason::ConsentGiven);
    handover.line.act = UseAct::Handover;
    handover.line.recipient = Some(party("bank"));
    assert!(look(&[handover.clone(), foreign(1, 3)]).is_empty());
    assert_eq!(one(&[handover.clone(), foreign(1, 1)]).count, 1);
    assert_eq!(one(&[handover.clone(), foreign(2, 3)]).count, 1);
    // A wish that was refused joins nothing.
    let refused = Observed {
        line: UseLine { told: Reason::ConsentNotGiven, ..handover.line.clone() },
        ..handover.clone()
    };
    assert_eq!(one(&[refused, foreign(1, 3)]).count, 1);
    // Of another party's ppids.
    handover.line.recipient = Some(party("telecom"));
    assert_eq!(one(&[handover, foreign(1, 3)]).count, 1);
}

#[test]
fn strength_d_needs_the_asker_s_own_signature_each_counted_once() {
    assert_eq!(one(&[signed(foreign(1, 1), 1)]).strength, Strength::D);
    let fails = Observed { signature: Signature::Fails, ..signed(foreign(1, 1), 1) };
    assert_eq!(one(&[fails]).strength, Strength::S);
    // Unsigned lines beside a signed one are counted, and marked.
    let both = one(&[foreign(1, 1), signed(foreign(2, 2), 1)]);
    assert_eq!((both.strength, both.count, both.persons), (Strength::D, 2, 2));
    assert_eq!(both.lines.iter().map(|l| l.signed).collect::<Vec<_>>(), [true, false]);
    // A repeat takes two signed lines: one written beside a signed one makes no strong finding,
    let link = |minutes| {
        let mut one = line(1, minutes, Reason::ReidentificationBlocked);
        one.line.action = Some(AskedAction::Link);
        one
    };
    assert_eq!(one(&[link(1), signed(link(2), 1)]).strength, Strength::S);
    assert_eq!(one(&[signed(link(1), 1), link(2)]).strength, Strength::S);
    // nor does one signature under two lines;
    assert_eq!(one(&[signed(link(1), 1), signed(link(2), 1)]).strength, Strength::S);
    assert_eq!(one(&[signed(link(1), 1), signed(link(2), 2)]).strength, Strength::D);
}

#[test]
fn a_question_about_linking_is_a_finding_when_it_repeats_after_the_refusal() {
    let link = |n, minutes| line(n, minutes, Reason::ReidentificationBlocked);
    assert!(look(&[link(1, 1)]).is_empty());
    assert_eq!(one(&[link(1, 1), link(2, 2)]).detector, Detector::LinkingAgain);
    // A retry is none.
    let mut retry = link(1, 1);
    retry.line.t = retry.line.t.plus_ms(LINKING_GRACE_MS - 1);
    retry.line.id = DecisionId([99; 16]);
    assert!(look(&[link(1, 1), retry]).is_empty());
}

#[test]
fn use_after_end_and_purpose_after_notice_need_the_refusal_and_the_grace() {
    for (told, detector) in [
        (Reason::ConsentWithdrawn, Detector::UseAfterEnd),
        (Reason::ConsentExpired, Detector::UseAfterEnd),
        (Reason::PurposeMismatch, Detector::PurposeAfterNotice),
    ] {
        let asked = |minutes| line(1, minutes, told);
        assert!(look(&[asked(1), asked(5)]).is_empty(), "{told:?}: within the grace");
        let found = one(&[asked(1), asked(6), asked(7)]);
        assert_eq!((found.detector, found.count), (detector, 2));
        // A permit in between ends it.
        assert!(look(&[asked(1), line(1, 2, Reason::ConsentGiven), asked(8)]).is_empty(), "{told:?}");
        // What was told before the interval counts; what was asked before is no finding of it.
        let from = T0.plus_ms(6 * 60_000);
        assert_eq!(findings(&[asked(1), asked(6)], from, END).len(), 1);
        assert!(findings(&[asked(1), asked(6)], from.plus_ms(1), END).is_empty());
    }
    // Told of one person, asked about another.
    assert!(look(&[line(1, 1, Reason::ConsentWithdrawn), line(2, 9, Reason::ConsentWithdrawn)]).is_empty());
}

#[test]
fn findings_merge_by_party_detector_purpose_and_day() {
    let mut other = foreign(1, 2);
    other.line.purpose = Some("dpv:Other".into());
    let mut tomorrow = foreign(1, 3);
    tomorrow.line.t = tomorrow.line.t.plus_ms(DAY_MS);
    let lines = [foreign(1, 1), foreign(2, 4), other, tomorrow];
    let found = look(&lines);
    assert_eq!(found.iter().map(|f| f.count).collect::<Vec<_>>(), [2, 1, 1]);
    let keys: BTreeSet<_> = found.iter().map(Finding::key).collect();
    assert_eq!(keys.len(), 3);
    for finding in &found {
        let bytes = finding.encode().unwrap();
        assert_eq!(Finding::parse(&bytes).unwrap(), *finding);
    }
    // The order in which lines are read is of no account.
    let mut turned = lines.to_vec();
    turned.reverse();
    assert_eq!(look(&turned), found);
}
