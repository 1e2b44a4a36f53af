//! Answers of the Korean financial MyData API: its published samples, and what others write.

use std::collections::BTreeSet;

use naru::portability::import::Code;
use naru::portability::import::Item;
use naru::portability::import::Kind;
use naru::portability::import::Refused;

use super::import::BANK;
use super::import::CARD;
use super::import::amounts;
use super::import::codes;
use super::import::items;
use super::import::label;
use super::import::read;

const KMYDATA: &[u8] = include_bytes!("../data/import/kmydata-202109.json");
/// What becomes of each answer: how many items, what the last is and when it was.
const ANSWERS: &[&str] = &[
    "/v1/bank/accounts 4 Account -",
    "/v1/bank/accounts/deposit/basic 3 Account 2020-01-01",
    "/v1/bank/accounts/deposit/detail 3 Account -",
    "/v1/bank/accounts/deposit/transactions 3 Transaction 2020-01-01T00:00:00+09:00",
    "/v1/bank/accounts/invest/basic 1 Summary 2019-01-01",
    "/v1/bank/accounts/invest/detail 1 Summary -",
    "/v1/bank/accounts/invest/transactions 3 Transaction 2020-01-01T00:00:00+09:00",
    "/v1/bank/accounts/loan/basic 1 Summary 2021-01-01",
    "/v1/bank/accounts/loan/detail 1 Summary -",
    "/v1/bank/accounts/loan/transactions 3 Transaction 2020-01-01T00:00:00+09:00",
    "/v1/bank/irps 3 Account -",
    "/v1/bank/irps/basic 1 Summary 2018-01-01",
    "/v1/bank/irps/detail 3 Account 2019-01-01",
    "/v1/bank/irps/transactions 3 Transaction 2020-07-01T00:00:00+09:00",
    "/v1/card/bills 3 Bill 2021-01-03",
    "/v1/card/bills/detail 3 Bill 2020-07-01T00:00:00+09:00",
    "/v1/card/cards 3 Card -",
    "/v1/card/cards/{card_id} 1 Summary 2018-01-01",
    "/v1/card/cards/{card_id}/approval-domestic 3 Payment 2018-07-01T00:00:00+09:00",
    "/v1/card/cards/{card_id}/approval-overseas 3 Payment 2018-07-01T00:00:00+09:00",
    "/v1/card/loans 1 Summary -",
    "/v1/card/loans/long-term 3 Bill 2019-07-01T00:00:00+09:00",
    "/v1/card/loans/short-term 3 Bill 2018-07-01T00:00:00+09:00",
    "/v1/card/payments 4 Bill 2021-07-05",
    "/v1/card/payments/revolving 3 Bill 2018-01-01",
    "/v1/card/points 3 Summary -",
    "/v1/card/prepaid 3 Card 2019-01-05",
    "/v1/card/prepaid/approval 3 Payment 2018-07-01T00:00:00+09:00",
    "/v1/card/prepaid/balance 1 Summary -",
    "/v1/card/prepaid/transactions 3 Transaction 2018-02-11T00:00:00+09:00",
];
/// Which members are terms of a list.
const TERMS: &[&str] = &[
    "account_status",
    "account_type",
    "card_brand",
    "card_member",
    "card_type",
    "country_code",
    "currency_code",
    "irp_type",
    "linked_bank_code",
    "paid_in_type",
    "pay_type",
    "prod_type",
    "repay_method",
    "repay_org_code",
    "saving_method",
    "standard_fund_code",
    "status",
    "trans_org_code",
    "trans_type",
];
/// Which amounts are money, and of which currency the description's samples are.
const MONEY: &[&str] = &[
    "approved_amt USD",
    "balance_amt KRW",
    "base_amt KRW",
    "commit_amt KRW",
    "eval_amt KRW",
    "int_amt KRW",
    "inv_principal KRW",
    "krw_amt KRW",
    "loan_principal KRW",
    "modified_amt USD",
    "monthly_paid_in_amt KRW",
    "paid_amt KRW",
    "principal_amt KRW",
    "ret_int_amt KRW",
    "trans_amt KRW",
    "withdrawable_amt KRW",
];

/// One published sample of a member, for the entry at a place; where the description has
/// none, a text or a number that is told from all others.
fn sample(name: &str, schema: &serde_json::Value, at: usize) -> String {
    let hints = &schema["x-inzent-gateway"];
    if let Some(one) = hints["xvalue"].as_str() {
        return one.to_owned();
    }
    let lists = ["xvalues", "xtimestamp", "xdate"];
    if let Some(many) = lists.iter().find_map(|list| hints[*list].as_array().filter(|l| !l.is_empty())) {
        return many[at % many.len()].as_str().unwrap().to_owned();
    }
    match hints["xtype"].as_str().unwrap() {
        "Boolean" => "true".to_owned(),
        "DATE" => format!("2021010{}", at + 1),
        of if of.starts_with("F(") => format!("{}000.125", at + 1),
        of if of.starts_with("N(") => format!("{}000", at + 1),
        _ => format!("{name} {at}"),
    }
}

/// An answer of the shape that is described, with lists of three.
fn answer(all: &serde_json::Value, schema: &serde_json::Value, at: usize) -> serde_json::Value {
    let of = schema["$ref"].as_str().map_or(schema, |to| all.pointer(to.trim_start_matches('#')).unwrap());
    let member = |(name, described): (&String, &serde_json::Value)| {
        let value: serde_json::Value = match described["items"].as_object() {
            Some(_) => (0..3).map(|at| answer(all, &described["items"], at)).collect(),
            None => sample(name, described, at).into(),
        };
        (name.clone(), value)
    };
    of["properties"].as_object().unwrap().iter().map(member).collect()
}

/// The answer of one operation.
fn described(all: &serde_json::Value, path: &str) -> serde_json::Value {
    let operation = all["paths"][path].as_object().unwrap().values().next().unwrap();
    let content = operation["responses"]["200"]["content"].as_object().unwrap();
    answer(all, &content.values().next().unwrap()["schema"], 0)
}

/// What an account and a card did, with the media types: made of the published samples.
pub(crate) fn statements() -> [(&'static str, Vec<u8>); 2] {
    let all = serde_json::from_slice(KMYDATA).unwrap();
    let of = |path| serde_json::to_vec_pretty(&described(&all, path)).unwrap();
    [
        (BANK, of("/v1/bank/accounts/deposit/transactions")),
        (CARD, of("/v1/card/cards/{card_id}/approval-overseas")),
    ]
}

/// The description says which shapes there are; an answer that somebody recorded it has not
/// (see `tests/data/import`). What is held against it: no member is lost, changed or twice.
#[test]
fn each_answer_of_the_published_description_of_kmydata_is_taken_whole() {
    let all: serde_json::Value = serde_json::from_slice(KMYDATA).unwrap();
    let (mut told, mut terms, mut money) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for path in all["paths"].as_object().unwrap().keys() {
        let original = described(&all, path);
        let bytes = serde_json::to_vec_pretty(&original).unwrap();
        let found = items(if path.starts_with("/v1/bank/") { BANK } else { CARD }, &bytes);
        if path.contains("/prepaid") {
            assert_eq!(items(BANK, &bytes), found, "prepaid cards are of both");
        }
        for item in &found {
            whole(&original, item);
            terms.extend(
                item.codes.iter().map(|code| code.system.strip_prefix("kmydata:").unwrap().to_owned()),
            );
            money
                .extend(item.amounts.iter().filter_map(|a| Some(format!("{} {}", a.name, a.unit.as_ref()?))));
        }
        let lists = original.as_object().unwrap().iter().filter(|(_, value)| value.is_array());
        let expected = lists.flat_map(|(name, _)| (0..3).map(move |at| format!("/{name}/{at}")));
        let sources = found.iter().map(|item| item.source.clone()).filter(|source| !source.is_empty());
        assert_eq!(sources.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{path}");
        let last = found.last().unwrap();
        told.push(format!("{path} {} {:?} {}", found.len(), last.kind, last.when.as_deref().unwrap_or("-")));
    }
    told.sort();
    assert_eq!(told, ANSWERS);
    assert_eq!(terms.iter().map(String::as_str).collect::<Vec<_>>(), TERMS);
    assert_eq!(money.iter().map(String::as_str).collect::<Vec<_>>(), MONEY);
    // What the description calls a number is one, and nothing else is: but a code and a month.
    let described = all["components"]["schemas"].as_object().unwrap().values();
    for (name, member) in described.flat_map(|schema| schema["properties"].as_object().unwrap()) {
        let of = member["x-inzent-gateway"]["xtype"].as_str().unwrap();
        let number = of.starts_with("F(") || of.starts_with("N(");
        let answer = format!("{{\"rsp_code\":\"00000\",\"trans_list\":[{{\"{name}\":\"12\"}}]}}");
        let is_amount = !items(BANK, answer.as_bytes())[0].amounts.is_empty();
        let not = ["card_member", "charge_month", "search_timestamp"].contains(&name.as_str());
        assert_eq!(is_amount, number && !not, "{name} {of}");
    }
}

/// Whether an item has each scalar of its place in the original exactly once, as it is there.
fn whole(original: &serde_json::Value, item: &Item) {
    let mut said: Vec<(String, String)> = Vec::new();
    said.extend(item.amounts.iter().map(|a| (a.name.clone(), a.value.clone())));
    said.extend(item.labels.iter().map(|l| (l.name.clone(), l.text.clone())));
    let code = |c: &Code| (c.system.strip_prefix("kmydata:").unwrap().to_owned(), c.code.clone());
    said.extend(item.codes.iter().map(code));
    said.sort();
    let around = ["rsp_code", "rsp_msg", "search_timestamp", "next_page"];
    let of_it = |name: &&String| {
        !item.source.is_empty() || !(around.contains(&name.as_str()) || name.ends_with("_cnt"))
    };
    let there = original.pointer(&item.source).unwrap().as_object().unwrap();
    let scalars = there.iter().filter(|(name, value)| value.is_string() && of_it(name));
    let mut wanted: Vec<_> = scalars.map(|(n, v)| (n.clone(), v.as_str().unwrap().to_owned())).collect();
    wanted.sort();
    let dated: Vec<_> = wanted.iter().filter(|one| !said.contains(one)).cloned().collect();
    wanted.retain(|one| !dated.contains(one));
    assert_eq!(said, wanted);
    assert_eq!(dated.len(), usize::from(item.when.is_some()), "{dated:?}");
    if let (Some(when), Some((_, text))) = (&item.when, dated.first()) {
        let digits: String = when.trim_end_matches("+09:00").chars().filter(char::is_ascii_digit).collect();
        assert_eq!(&digits, text);
    }
}

/// Made of the names of members, as answers write them that have no licence (see `tests/data/import`).
#[test]
fn answers_of_kmydata_put_each_member_in_one_place() {
    let bank = r#"{"rsp_code":"00000","rsp_msg":"m","next_page":"n","trans_cnt":2,"trans_list":[
        {"trans_dtime":"20210102102000","trans_type":"03","trans_class":"c","currency_code":"KRW",
         "trans_amt":"10000.500","balance_amt":30000,"is_x":true,"deeper":{"a":1}},
        {"trans_dtime":"20211402102000","trans_amt":"ten"}]}"#;
    let found = items(BANK, bank.as_bytes());
    assert_eq!(found.len(), 2);
    let first = &found[0];
    assert_eq!(first.when.as_deref(), Some("2021-01-02T10:20:00+09:00"));
    let krw = Some("KRW");
    assert_eq!(amounts(first), [("balance_amt", "30000", krw), ("trans_amt", "10000.500", krw)]);
    assert_eq!(codes(first), [("kmydata:currency_code", "KRW"), ("kmydata:trans_type", "03")]);
    assert_eq!((label(first, "trans_class"), label(first, "is_x")), (Some("c"), Some("true")));
    assert_eq!(first.source, "/trans_list/0");
    // What is no instant and no number stays what it was: a text.
    assert_eq!((found[1].when.as_deref(), amounts(&found[1]).len()), (None, 0));
    assert_eq!(label(&found[1], "trans_dtime"), Some("20211402102000"));
    assert_eq!(label(&found[1], "trans_amt"), Some("ten"));
    let card = r#"{"rsp_code":"00000","rsp_msg":"m","is_loan_revolving":true,"card_list":[{"card_id":"1","card_type":"01"}],
        "approved_list":[{"approved_dtime":"20220101","status":"01","approved_amt":1}]}"#;
    let found = items(CARD, card.as_bytes());
    let sources: Vec<_> = found.iter().map(|item| item.source.as_str()).collect();
    assert_eq!(sources, ["", "/card_list/0", "/approved_list/0"]);
    assert_eq!(found[2].when.as_deref(), Some("2022-01-01"));
    for no in [
        r#"{"rsp_code":"40404","rsp_msg":"m","detail_cnt":0,"detail_list":[]}"#,
        r#"{"rsp_code":"00000","rsp_msg":"m"}"#,
        r#"{"rsp_msg":"m","trans_list":[]}"#,
        r#"{"rsp_code":"00000","trans_list":{}}"#,
        r#"{"rsp_code":"00000","trans_list":[1]}"#,
        "[]",
    ] {
        assert!(matches!(read(BANK, no.as_bytes()), Err(Refused::Lies { .. })), "{no}");
    }
}

/// What answers look like that others published without a licence (see `tests/data/import`).
#[test]
fn answers_of_kmydata_as_others_write_them_are_taken_too() {
    let entry = |media: &str, list: &str, entry: &str| {
        let answer = format!(
            "{{\"x-api-tran-id\":\"t\",\"rsp_code\":\"00000\",\"rsp_msg\":null,\"next_page\":null,\"{list}\":[{entry}]}}"
        );
        let mut found = items(media, answer.as_bytes());
        assert_eq!((found.len(), found[0].source.as_str()), (1, format!("/{list}/0").as_str()));
        found.remove(0)
    };
    // A payment that was called off is of the day when it was made.
    let off = r#"{"approved_dtime":"20220714102000","trans_dtime":"20220801090000","status":"02","approved_amt":-24600.0,
        "modified_amt":null,"currency_code":"USD","krw_amt":"31000","merchant_name":""}"#;
    let found = entry(CARD, "approved_list", off);
    assert_eq!(found.when.as_deref(), Some("2022-07-14T10:20:00+09:00"));
    assert_eq!(label(&found, "trans_dtime"), Some("20220801090000"));
    assert_eq!(
        amounts(&found),
        [("approved_amt", "-24600.0", Some("USD")), ("krw_amt", "31000", Some("KRW"))]
    );
    // In a bill the currency is said of what was used alone.
    let used =
        entry(CARD, "bill_detail_list", r#"{"paid_amt":"9.9","currency_code":"USD","credit_fee_amt":"120"}"#);
    assert_eq!(amounts(&used), [("credit_fee_amt", "120", None), ("paid_amt", "9.9", Some("USD"))]);
    // The last day that can be written is how the API says that the day is not known.
    let unknown =
        entry(BANK, "basic_list", r#"{"issue_date":"99991231","exp_date":"99991231","saving_method":"01"}"#);
    assert_eq!((unknown.when.as_deref(), label(&unknown, "issue_date")), (None, Some("99991231")));
    assert_eq!(codes(&unknown), [("kmydata:saving_method", "01")]);
    let later = entry(BANK, "basic_list", r#"{"trans_date":"99991231","issue_date":"20200101"}"#);
    assert_eq!(later.when.as_deref(), Some("2020-01-01"));
    // Lists that came after the description that is here.
    for (media, list, kind) in [
        (CARD, "purchase_list", Kind::Payment),
        (BANK, "dc_list", Kind::Account),
        (BANK, "isa_list", Kind::Account),
        (BANK, "sleep_list", Kind::Account),
        (BANK, "scheduled_list", Kind::Account),
    ] {
        assert_eq!(entry(media, list, r#"{"currency_code":"KRW"}"#).kind, kind, "{list}");
    }
    let bought = r#"{"purchase_date":"20220715","pri_approved_amt":"3.5","pri_currency_code":"JPY","pri_krw_amt":"33"}"#;
    let bought = entry(CARD, "purchase_list", bought);
    assert_eq!(bought.when.as_deref(), Some("2022-07-15"));
    let was = [("pri_approved_amt", "3.5", Some("JPY")), ("pri_krw_amt", "33", Some("KRW"))];
    assert_eq!(amounts(&bought), was);
    let bought = entry(CARD, "purchase_list", r#"{"purchase_dtime":"20260603200809"}"#);
    assert_eq!(bought.when.as_deref(), Some("2026-06-03T20:08:09+09:00"));
    // An exchange that says nothing of a person is no answer of either.
    let empty = br#"{"x-api-tran-id":"t","rsp_code":"00000","rsp_msg":"m"}"#;
    assert!(matches!(read(CARD, empty), Err(Refused::Lies { .. })));
}
