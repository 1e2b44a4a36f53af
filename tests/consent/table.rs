//! Every cell of the table of design §6, as `vectors/consent/states.toml` spells it.

use std::collections::BTreeMap;

use naru::consent::{Effect, Person, Slot, State, Touched};
use naru::model::decision::Why;
use naru::model::id::StatementId;
use naru::model::statement::SignalAct;
use naru::model::vocabulary::DataClass;

use crate::world::*;

const CLASS: DataClass = DataClass::RealName;

fn slot(person: &Person) -> Option<Slot> {
    person.slot(&slot_key()).cloned()
}

fn over(person: &Person) -> Option<StatementId> {
    slot(person).and_then(|s| s.last)
}

/// Does one act with a right `over`, by whoever signs it.
fn act(w: &mut World, person: &mut Person, notice: StatementId, name: &str) -> Effect {
    let over = over(person);
    match name {
        "grant" => {
            let s = w.grant(notice, over);
            w.own(person, "ann", s)
        }
        "attest" => {
            let s = attest(&w.grant(notice, over));
            w.by_party(person, "bank", s)
        }
        "refuse" => w.own(person, "ann", refuse("bank", MARKETING, CLASS)),
        "withdraw" => w.own(person, "ann", withdraw("bank", MARKETING, CLASS)),
        "object" => w.own(person, "ann", object("bank", MARKETING, CLASS)),
        "lift" => w.own(person, "ann", lift("bank", MARKETING, CLASS, over)),
        "pause" => w.own(person, "ann", pause("bank", MARKETING, CLASS)),
        "resume" => {
            let mut s = resume("bank", MARKETING, CLASS);
            s.over = over;
            w.own(person, "ann", s)
        }
        "dispute" => w.own(person, "ann", dispute("bank", MARKETING, CLASS)),
        other => panic!("no act `{other}`"),
    }
}

/// Brings the slot into a row of the table.
fn reach(row: &str) -> (World, Person, StatementId) {
    let mut w = World::home();
    let notice = w.publish();
    let mut ann = w.person("ann");
    let acts: &[&str] = match row {
        "fresh" => &[],
        "none" => &["object", "lift"],
        "refused" => &["refuse"],
        "withdrawn" => &["grant", "withdraw"],
        "expired" | "granted" => &["grant"],
        "attested" => &["attest"],
        "disputed" => &["attest", "dispute"],
        "paused-grant" => &["grant", "pause"],
        "paused-attest" => &["attest", "pause"],
        "objected" => &["object"],
        other => panic!("no row `{other}`"),
    };
    for name in acts {
        assert_eq!(act(&mut w, &mut ann, notice, name), applied(), "{row}: {name}");
    }
    if row == "expired" {
        w.now = w.now.plus_ms(20 * DAY);
    }
    (w, ann, notice)
}

fn table() -> BTreeMap<String, BTreeMap<String, String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/consent/states.toml");
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_cell_is_as_the_table_says() {
    let table = table();
    assert_eq!(table.len(), 11);
    for (row, columns) in &table {
        assert_eq!(columns.len(), 9, "{row}");
        for (column, cell) in columns {
            let (mut w, mut ann, notice) = reach(row);
            let before = slot(&ann);
            let effect = act(&mut w, &mut ann, notice, column);
            let after = slot(&ann);
            let at = w.now;
            let named = format!("{row} x {column}");
            match cell.as_str() {
                "-" => {
                    let why = effect.why().unwrap();
                    assert!(matches!(why, Why::State | Why::Objected), "{named}: {why:?}");
                    assert_eq!(before, after, "{named}");
                    continue;
                }
                "=" => {
                    let was = before.as_ref().map_or(State::None, |s| s.now(at));
                    assert_eq!(after.as_ref().unwrap().now(at), was, "{named}");
                    assert_eq!(after.as_ref().unwrap().grant, before.and_then(|s| s.grant), "{named}");
                }
                "back" => {
                    let was = if row == "paused-grant" { State::Granted } else { State::Attested };
                    assert_eq!(after.as_ref().unwrap().now(at), was, "{named}");
                    assert!(after.as_ref().unwrap().grant.is_some(), "{named}");
                }
                state => assert_eq!(after.as_ref().unwrap().now(at).as_str(), state, "{named}"),
            }
            assert_eq!(effect, applied(), "{named}");
            assert_eq!(after.unwrap().last, Some(w.last()), "{named}: counts for `over`");
        }
    }
}

#[test]
fn a_signal_is_the_act_it_carries() {
    let acts = [
        (SignalAct::Withdraw, "withdraw"),
        (SignalAct::Object, "object"),
        (SignalAct::Pause, "pause"),
        (SignalAct::Refuse, "refuse"),
    ];
    for row in table().keys() {
        for (carried, name) in acts {
            let (mut w, mut own, notice) = reach(row);
            let mut by_desk = own.clone();
            let mut clone = w.clone();
            assert_eq!(act(&mut w, &mut own, notice, name), applied());
            let s = signal(carried, "bank", MARKETING, CLASS);
            assert_eq!(clone.by_party(&mut by_desk, "shop", s), applied());
            let mut seen = slot(&by_desk).unwrap();
            assert_eq!(seen.carried_by, Some(party("shop")));
            (seen.carried_by, seen.carriers) = (None, Vec::new());
            assert_eq!(Some(seen), slot(&own), "{row}: {name}");
        }
    }
}

#[test]
fn an_opening_act_with_a_stale_over_is_inert_and_a_closing_one_asks_for_none() {
    for row in table().keys() {
        for column in ["grant", "attest", "lift", "resume"] {
            let (mut w, mut ann, notice) = reach(row);
            let stale = over(&ann);
            assert_eq!(act(&mut w, &mut ann, notice, "withdraw"), applied());
            let before = ann.clone();
            let effect = match column {
                "grant" => {
                    let s = w.grant(notice, stale);
                    w.own(&mut ann, "ann", s)
                }
                "attest" => {
                    let s = attest(&w.grant(notice, stale));
                    w.by_party(&mut ann, "bank", s)
                }
                "lift" => w.own(&mut ann, "ann", lift("bank", MARKETING, CLASS, stale)),
                _ => {
                    let mut s = resume("bank", MARKETING, CLASS);
                    s.over = stale;
                    w.own(&mut ann, "ann", s)
                }
            };
            let why = effect.why().unwrap();
            assert!(matches!(why, Why::Superseded | Why::Objected), "{row} x {column}: {why:?}");
            assert_eq!(before, ann, "{row} x {column}");
        }
    }
}

#[test]
fn touched_names_the_slot_that_changed() {
    let (mut w, mut ann, _) = reach("fresh");
    let effect = w.own(&mut ann, "ann", object("*", "*", CLASS));
    let Some(Touched::Slot(key)) = effect.touched() else { panic!("{effect:?}") };
    assert!(ann.slot(key).is_some());
    assert_eq!(slot(&ann), None);
}
