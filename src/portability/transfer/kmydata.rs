//! A read profile in the shape of K-MyData: paths, headers, envelopes of a bank and a card firm.
//!
//! The names are those seen in public implementations (`reference/ecosystem.md` section 6.3);
//! the official text was not at hand, so this is its shape and no claim of conformance. Lacks
//! OAuth (`/oauth/2.0/…`: the connection itself says who asks, and the demand for whom), and every
//! scope but `bank.list`, `bank.deposit` and `card.list`. Trusted: nothing that is answered.

use serde_json::Value;
use serde_json::json;

use crate::ledger::hash;
use crate::model::cycle::Brings;
use crate::model::id::Hash;
use crate::model::id::StatementId;
use crate::model::statement::Target;
use crate::portability::transfer::run::Ask;
use crate::portability::transfer::run::Item;
use crate::portability::transfer::run::MOST_ITEMS;
use crate::portability::transfer::run::PLAIN;
use crate::portability::transfer::run::Wrong;

/// Name of the header that each answer echoes.
pub const TRAN_ID: &str = "x-api-tran-id";
/// Name of the header that says whether a read is scheduled (`regular`) or asked for (`user-on-demand`).
pub const API_TYPE: &str = "x-api-type";
/// Accounts in one page of the list.
const PAGE: u32 = 500;
/// Code of an answer that holds.
const OK: &str = "00000";
/// Longest code of an answer.
const CODE_LEN: usize = 5;

/// A transaction id: 25 characters, another for each call.
#[must_use]
pub fn tran_id(demand: &StatementId, run: u64, call: &str, tries: u32) -> String {
    let sum = hash::sha256(&[&demand.0, &run.to_be_bytes(), call.as_bytes(), &tries.to_be_bytes()]);
    format!("NARU{}", Hash(sum).to_string().get(..21).unwrap_or_default())
}

/// What the scopes of a demand ask for that must be listed first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether the accounts are listed.
    pub accounts: bool,
    /// Items that need no list.
    pub items: Vec<Item>,
}

/// What is read for a demand.
///
/// # Errors
/// [`Wrong::Scope`]: a scope this profile does not read.
pub fn plan(targets: &[Target], brings: Brings) -> Result<Plan, Wrong> {
    let mut plan = Plan { accounts: false, items: Vec::new() };
    for target in targets {
        match target.scope.as_str() {
            "bank.list" | "bank.deposit" => plan.accounts = true,
            "card.list" if brings.basic => {
                plan.items.push(item("card.list", "card.list", "/v1/card/cards".into(), None));
            }
            "card.list" => {}
            _ => return Err(Wrong::Scope),
        }
    }
    Ok(plan)
}

fn item(id: &str, scope: &str, path: String, body: Option<&Value>) -> Item {
    let ask = Ask::Read(path, body.map(Value::to_string));
    Item { id: id.into(), ask, hash: None, media: PLAIN.into(), scope: scope.into(), length: None }
}

/// The path of one page of accounts.
#[must_use]
pub fn accounts_path(org_code: &str, next_page: Option<&str>) -> String {
    let page = next_page.map_or_else(String::new, |page| format!("&next_page={page}"));
    format!("/v1/bank/accounts?org_code={org_code}&search_timestamp=0&limit={PAGE}{page}")
}

/// One page of accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Account number and `seqno`, of those the person agreed to.
    pub accounts: Vec<(String, Option<String>)>,
    /// Where the next page begins.
    pub next_page: Option<String>,
}

/// The envelope of an answer: JSON, and a code that says it holds.
///
/// # Errors
/// [`Wrong::Shape`], [`Wrong::Code`].
pub fn envelope(body: &[u8]) -> Result<Value, Wrong> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Wrong::Shape)?;
    let code = value.get("rsp_code").and_then(Value::as_str).filter(|code| code.len() == CODE_LEN);
    match code {
        Some(OK) => Ok(value),
        Some(_) => Err(Wrong::Code),
        None => Err(Wrong::Shape),
    }
}

/// Reads a page of accounts; its count must be that of its list.
///
/// # Errors
/// [`Wrong`].
pub fn accounts(body: &[u8]) -> Result<Accounts, Wrong> {
    let value = envelope(body)?;
    let list = value.get("account_list").and_then(Value::as_array).ok_or(Wrong::Shape)?;
    // Numbers travel as text.
    let count = value.get("account_cnt").and_then(|count| count.as_str()?.parse::<usize>().ok());
    if count.ok_or(Wrong::Shape)? != list.len() {
        return Err(Wrong::Count);
    }
    let mut accounts = Vec::new();
    for account in list {
        let text = |name: &str| account.get(name).and_then(Value::as_str);
        let plain = |text: &&str| {
            (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let number = text("account_num").filter(plain).ok_or(Wrong::Name)?;
        let seqno = match text("seqno") {
            None | Some("") => None,
            Some(seqno) => Some(Some(seqno).filter(plain).ok_or(Wrong::Name)?.to_owned()),
        };
        if text("is_consent") == Some("true") {
            accounts.push((number.to_owned(), seqno));
        }
    }
    let next_page = match value.get("next_page").and_then(Value::as_str) {
        None | Some("") => None,
        Some(page) if page.len() <= 1_000 && page.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Some(page.to_owned())
        }
        Some(_) => return Err(Wrong::Shape),
    };
    Ok(Accounts { accounts, next_page })
}

/// The items of the accounts that a demand names: all of them, or those of its selectors.
///
/// # Errors
/// [`Wrong::TooLarge`].
pub fn account_items(
    targets: &[Target],
    brings: Brings,
    org_code: &str,
    accounts: &[(String, Option<String>)],
) -> Result<Vec<Item>, Wrong> {
    let mut items = Vec::new();
    for target in targets {
        match target.scope.as_str() {
            "bank.list" if brings.basic => {
                items.push(item("bank.list", "bank.list", accounts_path(org_code, None), None));
            }
            "bank.deposit" => {
                let wanted = |number: &String| target.assets.is_empty() || target.assets.contains(number);
                for (number, seqno) in accounts.iter().filter(|(number, _)| wanted(number)) {
                    let body = json!({
                        "org_code": org_code, "account_num": number, "seqno": seqno, "search_timestamp": "0",
                        "limit": PAGE.to_string(),
                    });
                    let whole =
                        seqno.as_ref().map_or_else(|| number.clone(), |seqno| format!("{number}.{seqno}"));
                    let reads = [
                        ("basic", brings.basic),
                        ("detail", brings.basic),
                        ("transactions", brings.additional),
                    ];
                    for (read, _) in reads.into_iter().filter(|(_, due)| *due) {
                        let path = format!("/v1/bank/accounts/deposit/{read}");
                        items.push(item(
                            &format!("bank.deposit.{whole}.{read}"),
                            "bank.deposit",
                            path,
                            Some(&body),
                        ));
                    }
                }
            }
            _ => {}
        }
        if items.len() > MOST_ITEMS {
            return Err(Wrong::TooLarge);
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Brings = Brings { basic: true, additional: true };

    fn page(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let account = |n: &str, agreed: &str| json!({ "account_num": n, "is_consent": agreed, "seqno": "1" });
        let mut value = json!({
            "rsp_code": "00000", "rsp_msg": "", "search_timestamp": "0", "account_cnt": "2",
            "account_list": [account("110-1", "true"), account("110-2", "false")],
        });
        change(&mut value);
        value.to_string().into_bytes()
    }

    fn targets(of: &[(&str, &[&str])]) -> Vec<Target> {
        let one = |(scope, assets): &(&str, &[&str])| Target {
            scope: (*scope).into(),
            assets: assets.iter().map(|a| (*a).to_owned()).collect(),
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn accounts_she_agreed_to_are_read_as_the_run_brings_them() {
        let found = accounts(&page(|_| {})).unwrap();
        assert_eq!(found.accounts, [("110-1".to_owned(), Some("1".to_owned()))]);
        let ids = |targets: &[Target], brings| -> Vec<String> {
            let items = account_items(targets, brings, "bank", &found.accounts).unwrap();
            items.into_iter().map(|item| item.id).collect()
        };
        let deposit = targets(&[("bank.deposit", &[])]);
        let (basic, detail, last) = (
            "bank.deposit.110-1.1.basic",
            "bank.deposit.110-1.1.detail",
            "bank.deposit.110-1.1.transactions",
        );
        assert_eq!(ids(&deposit, ALL), [basic, detail, last]);
        assert_eq!(ids(&deposit, Brings { basic: false, additional: true }), [last]);
        assert_eq!(ids(&deposit, Brings { basic: true, additional: false }), [basic, detail]);
        assert!(ids(&targets(&[("bank.deposit", &["110-9"])]), ALL).is_empty());
        assert_eq!(ids(&targets(&[("bank.list", &[])]), ALL), ["bank.list"]);
        let plan = |of: &[(&str, &[&str])]| plan(&targets(of), ALL);
        assert_eq!(plan(&[("card.list", &[])]).unwrap().items[0].id, "card.list");
        assert!(plan(&[("bank.deposit", &[])]).unwrap().accounts);
        assert_eq!(plan(&[("insu.list", &[])]), Err(Wrong::Scope));
    }

    #[test]
    fn a_bank_that_contradicts_itself_is_not_believed() {
        type Change = fn(&mut Value);
        let lies: [(Wrong, Change); 8] = [
            (Wrong::Count, |v| v["account_cnt"] = "3".into()),
            (Wrong::Shape, |v| v["account_cnt"] = 2.into()),
            (Wrong::Code, |v| v["rsp_code"] = "40106".into()),
            (Wrong::Shape, |v| v["rsp_code"] = "0".into()),
            (Wrong::Name, |v| v["account_list"][0]["account_num"] = "../1".into()),
            (Wrong::Name, |v| v["account_list"][0]["seqno"] = "1/2".into()),
            (Wrong::Shape, |v| v["next_page"] = "a&limit=9".into()),
            (Wrong::Shape, |v| v["account_list"] = "none".into()),
        ];
        for (n, (wrong, change)) in lies.into_iter().enumerate() {
            assert_eq!(accounts(&page(change)), Err(wrong), "{n}");
        }
        for junk in [&b""[..], b"[]", b"{}", &[b'['; 10_000]] {
            assert_eq!(accounts(junk), Err(Wrong::Shape));
        }
    }

    #[test]
    fn a_transaction_id_has_25_characters_and_is_another_each_time() {
        let of = |run, call, tries| tran_id(&StatementId([1; 32]), run, call, tries);
        assert_eq!(of(0, "a", 0).len(), 25);
        assert_eq!(of(0, "a", 0), of(0, "a", 0));
        assert!(
            of(0, "a", 0) != of(1, "a", 0)
                && of(0, "a", 0) != of(0, "b", 0)
                && of(0, "a", 0) != of(0, "a", 1)
        );
    }
}
