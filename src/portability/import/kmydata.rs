//! Answers of the Korean financial MyData API, bank and card.
//!
//! Every scalar of an entry becomes exactly one amount, code or label, by the ending
//! of its name: the API names members alike in all its resources. Numbers keep their
//! digits, whether the source quotes them or not. Instants are 14 digits of Korean
//! time, dates 8, months 6. A currency is said only where the entry says one.
//!
//! Source: shapes in use (`rsp_code`, lists named `…_list`), not the official text:
//! conformance is not claimed. Lacks: lists within entries, other industries.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Amount;
use super::Code;
use super::Item;
use super::Kind;
use super::Label;
use super::MAX_ITEMS;
use super::Refused;
use super::is_decimal;
use super::media::Api;
use super::token;

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Members of an answer that are of the exchange, not of the person.
const AROUND: &[&str] = &["rsp_code", "rsp_msg", "search_timestamp", "next_page"];
/// Which member says when, the first that is there.
const WHEN: &[&str] = &[
    "trans_dtime",
    "approved_dtime",
    "trans_date",
    "paid_out_date",
    "charge_date",
    "charge_month",
    "issue_date",
    "base_date",
    "reg_date",
];

/// The lists of each API, and what their entries are.
const fn lists(api: Api) -> &'static [(&'static str, Kind)] {
    match api {
        Api::Bank => &[
            ("account_list", Kind::Account),
            ("basic_list", Kind::Account),
            ("detail_list", Kind::Account),
            ("irp_list", Kind::Account),
            ("trans_list", Kind::Transaction),
        ],
        Api::Card => &[
            ("card_list", Kind::Card),
            ("approved_list", Kind::Payment),
            ("bill_list", Kind::Bill),
            ("bill_detail_list", Kind::Bill),
            ("pay_list", Kind::Bill),
            ("point_list", Kind::Summary),
            ("short_term_list", Kind::Bill),
            ("long_term_list", Kind::Bill),
        ],
    }
}

/// What an answer says.
pub(super) fn items(text: &str, api: Api) -> Result<Vec<Item>, Refused> {
    let shape = || Refused::Lies { what: "it is no answer of that API (`rsp_code`, then lists of it)" };
    let answer: Members<'_> = serde_json::from_str(text).map_err(|_| shape())?;
    let code = answer.get("rsp_code").and_then(|raw| string(raw)).ok_or_else(shape)?;
    if code.is_empty() || !code.bytes().all(|b| b == b'0') {
        return Err(Refused::Lies { what: "it is an answer that says no (`rsp_code` is not zero)" });
    }
    let mut items = Vec::new();
    let mut known = false;
    for (list, kind) in lists(api) {
        let Some(raw) = answer.get(*list) else { continue };
        known = true;
        let entries: Vec<Members<'_>> = serde_json::from_str(raw.get()).map_err(|_| shape())?;
        if items.len() + entries.len() > MAX_ITEMS {
            return Err(Refused::TooMuch);
        }
        for (at, entry) in entries.iter().enumerate() {
            items.push(item(*kind, entry, format!("/{}/{at}", token(list))));
        }
    }
    let counts = |name: &String| name.ends_with("_cnt");
    let whole: Members<'_> =
        answer.into_iter().filter(|(name, _)| !AROUND.contains(&name.as_str()) && !counts(name)).collect();
    let whole = item(Kind::Summary, &whole, String::new());
    if whole.when.is_some()
        || !(whole.amounts.is_empty() && whole.codes.is_empty() && whole.labels.is_empty())
    {
        items.insert(0, whole);
    } else if !known {
        return Err(shape());
    }
    Ok(items)
}

/// One entry: each scalar in its place.
fn item(kind: Kind, entry: &Members<'_>, source: String) -> Item {
    let mut item = Item::new(kind, source);
    let dated = WHEN.iter().find_map(|name| Some((*name, instant(&scalar(entry.get(*name)?)?)?)));
    let currency = entry.get("currency_code").and_then(|raw| string(raw));
    for (name, raw) in entry {
        let Some(text) = scalar(raw) else { continue };
        if let Some((said, when)) = &dated
            && said == name
        {
            item.when = Some(when.clone());
        } else if is_amount(name) && is_decimal(&text) {
            item.amounts.push(Amount {
                name: name.clone(),
                value: text,
                unit: unit(name, currency.as_ref()),
            });
        } else if is_code(name) {
            item.codes.push(Code { system: format!("kmydata:{name}"), code: text, label: None });
        } else if !text.is_empty() {
            item.labels.push(Label { name: name.clone(), text });
        }
    }
    item
}

fn is_amount(name: &str) -> bool {
    ["_amt", "_balance", "_limit", "_rate", "_cnt", "_fee", "_point", "_int"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn is_code(name: &str) -> bool {
    name == "status" || ["_type", "_status", "_code"].iter().any(|end| name.ends_with(end))
}

/// Money is in the entry's currency; rates and counts are in none.
fn unit(name: &str, currency: Option<&String>) -> Option<String> {
    let money = ["_amt", "_balance", "_limit", "_fee"].iter().any(|end| name.ends_with(end));
    currency.filter(|_| money).cloned()
}

/// A scalar as text: a string's content, a number's digits, a word.
fn scalar(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    match text.bytes().next()? {
        b'"' => string(raw),
        b'[' | b'{' => None,
        _ if text == "null" => None,
        _ => Some(text.to_owned()),
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// `YYYYMMDDhhmmss`, `YYYYMMDD` or `YYYYMM`; the first is Korean time.
fn instant(text: &str) -> Option<String> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to);
    let within =
        |part: &str, least: u8, most: u8| part.parse::<u8>().is_ok_and(|n| (least..=most).contains(&n));
    let (year, month) = (part(0, 4)?, part(4, 6).filter(|m| within(m, 1, 12))?);
    if text.len() == 6 {
        return Some(format!("{year}-{month}"));
    }
    let day = part(6, 8).filter(|d| within(d, 1, 31))?;
    if text.len() == 8 {
        return Some(format!("{year}-{month}-{day}"));
    }
    let (hour, minute) =
        (part(8, 10).filter(|h| within(h, 0, 23))?, part(10, 12).filter(|m| within(m, 0, 59))?);
    let second = part(12, 14).filter(|s| within(s, 0, 60))?;
    (text.len() == 14).then(|| format!("{year}-{month}-{day}T{hour}:{minute}:{second}+09:00"))
}
