//! Answers of the Korean financial MyData API, bank and card.
//!
//! Every scalar of an entry becomes exactly one amount, code or label, by the ending
//! of its name: the API names members alike in all its resources. Numbers keep their
//! digits, whether the source quotes them or not. Instants are 14 digits of Korean
//! time, dates 8, months 6. A currency is said only where the entry or the name says one.
//!
//! Source: the API as published with sample values (financial MyData, v202109-1, in
//! `tests/data/import`), and names that came after it (v2). The official text itself is
//! under no licence: conformance is not claimed. Lacks: lists within entries, the won
//! that are meant where no currency is said, other industries.

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

/// Members of an answer that are of the exchange, not of the person. The last belongs in
/// the head of the exchange; published answers have it in the body.
const AROUND: &[&str] = &["rsp_code", "rsp_msg", "search_timestamp", "next_page", "x-api-tran-id"];
/// Which member says when, the first that is there: what was done goes before what was
/// mended later (`trans_dtime` of an approval), and both before the age of a contract.
const WHEN: &[&str] = &[
    "approved_dtime",
    "trans_dtime",
    "paid_dtime",
    "loan_dtime",
    "purchase_date",
    "purchase_dtime",
    "trans_date",
    "paid_out_date",
    "charge_date",
    "charge_month",
    "pay_due_date",
    "req_date",
    "issue_date",
    "open_date",
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
            ("dc_list", Kind::Account),
            ("isa_list", Kind::Account),
            ("sleep_list", Kind::Account),
            ("scheduled_list", Kind::Account),
            ("trans_list", Kind::Transaction),
            ("pp_list", Kind::Card),
            ("approved_list", Kind::Payment),
        ],
        Api::Card => &[
            ("card_list", Kind::Card),
            ("pp_list", Kind::Card),
            ("approved_list", Kind::Payment),
            ("purchase_list", Kind::Payment),
            ("trans_list", Kind::Transaction),
            ("bill_list", Kind::Bill),
            ("bill_detail_list", Kind::Bill),
            ("pay_list", Kind::Bill),
            ("revolving_list", Kind::Bill),
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
    for (name, raw) in entry {
        let Some(text) = scalar(raw) else { continue };
        if let Some((said, when)) = &dated
            && said == name
        {
            item.when = Some(when.clone());
        } else if is_amount(name) && is_decimal(&text) {
            item.amounts.push(Amount { name: name.clone(), value: text, unit: unit(name, entry) });
        } else if is_code(name) {
            item.codes.push(Code { system: format!("kmydata:{name}"), code: text, label: None });
        } else if !text.is_empty() {
            item.labels.push(Label { name: name.clone(), text });
        }
    }
    item
}

/// Endings of the names of money.
const MONEY: &[&str] = &["_amt", "_balance", "_limit", "_fee", "_principal"];
/// Endings of other numbers; the `…_num` are units of a fund: most such names are numbers of an account.
const NUMBERS: &[&str] = &["_rate", "_cnt", "_point", "_int", "fund_num", "holding_num"];
/// Endings of the names of terms.
const TERMS: &[&str] = &["_type", "_status", "_code", "_method", "_brand", "_cycle"];

fn ends(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|end| name.ends_with(end))
}

fn is_amount(name: &str) -> bool {
    ends(name, MONEY) || ends(name, NUMBERS)
}

/// The kind of a loan is a text: "AH(15)".
fn is_code(name: &str) -> bool {
    matches!(name, "status" | "card_member") || (ends(name, TERMS) && name != "loan_type")
}

/// Money is in the currency that the entry says beside it; won are won by name; rates
/// and counts are in none. In a bill the currency is said of what was used alone.
fn unit(name: &str, entry: &Members<'_>) -> Option<String> {
    let of_another = name != "paid_amt" && entry.contains_key("paid_amt");
    if !ends(name, MONEY) || of_another {
        return None;
    }
    if name.ends_with("krw_amt") {
        return Some("KRW".to_owned());
    }
    let currency = if name.starts_with("pri_") { "pri_currency_code" } else { "currency_code" };
    entry.get(currency).and_then(|raw| string(raw))
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

/// `YYYYMMDDhhmmss`, `YYYYMMDD` or `YYYYMM`; the first is Korean time. The year 9999 is
/// how the API says that a day is not known or never comes.
fn instant(text: &str) -> Option<String> {
    if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with("9999") {
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
