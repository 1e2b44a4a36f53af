//! A bank that holds made-up accounts and serves them in the shape of K-MyData.
//!
//! In the clear by the reads of the profile (`/v1/bank/…`, `/v1/card/…`); sealed for the recipient
//! by the list of a run (`/v1/transfers/…/items`). What a run brings is fixed when it is first
//! listed, so that asking twice is asking once. It signs what it delivered.
//!
//! A real bank compares the key it is told (`recipient_jwk`) with the recipient's own registration in
//! the public log before it seals for it: else whoever carries could name a key of its own.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use naru::identity::item;
use naru::ledger::hash::sha256;
use naru::ledger::key::Ed25519Signer;
use naru::model::id::Hash;
use naru::model::id::Nonce;
use naru::model::id::PartyId;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::FailCode;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::statement::TransferDeliver;
use naru::model::statement::TransferFail;
use naru::model::statement::V1;
use naru::vault::receiver::Receiver;
use serde_json::Value;
use serde_json::json;

use crate::end::Answer;
use crate::end::End;
use crate::end::Request;

/// Tells the time, ms since 1970.
pub(crate) type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// One person's accounts: numbers, and whether she agreed to have them read.
pub(crate) const ACCOUNTS: [(&str, bool); 3] =
    [("110123456789", true), ("110987654321", true), ("110555555555", false)];

/// An item that waits to be fetched.
type Sealed = (String, Vec<u8>);

/// The bank.
pub(crate) struct Bank {
    pub(crate) name: PartyId,
    pub(crate) signer: Ed25519Signer,
    pub(crate) clock: Clock,
    /// What each run brings, as it was listed first.
    pub(crate) runs: Mutex<BTreeMap<(String, u64), Vec<Sealed>>>,
    /// Steps signed, so that a second asking gets the same bytes.
    pub(crate) signed: Mutex<BTreeMap<(String, u64, String), Vec<u8>>>,
    /// What the recipient's demand said last, for `/v1/bank/consents`.
    pub(crate) consents: Mutex<Option<Value>>,
}

impl Bank {
    pub(crate) fn new(name: PartyId, signer: Ed25519Signer, clock: Clock) -> Self {
        Self {
            name,
            signer,
            clock,
            runs: Mutex::default(),
            signed: Mutex::default(),
            consents: Mutex::default(),
        }
    }

    fn list(&self, request: &Request, (demand, run): (&str, u64)) -> Option<Answer> {
        let asked: Value = serde_json::from_slice(&request.body).ok()?;
        *self.consents.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked.clone());
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (demand.to_owned(), run);
        if !runs.contains_key(&place) {
            let receiver = Receiver::jwk(asked.get("recipient_jwk")?.to_string().as_bytes()).ok()?;
            let mut items = Vec::new();
            for (id, content) in whole(&asked) {
                let mut sealed = Vec::new();
                let mut sealing = receiver.begin_of("application/json", &mut sealed).ok()?;
                std::io::Write::write_all(&mut sealing, content.to_string().as_bytes()).ok()?;
                sealing.finish().ok()?;
                items.push((id, sealed));
            }
            runs.insert(place.clone(), items);
        }
        let items = runs.get(&place)?;
        let list = items.iter().map(|(id, bytes)| {
            json!({
                "item_id": id, "scope": "bank.deposit", "media_type": "application/jose",
                "length": bytes.len(), "sha256": Hash(sha256(&[bytes])).to_string(),
            })
        });
        let list: Vec<Value> = list.collect();
        let body = json!({ "rsp_code": "00000", "rsp_msg": "ok", "item_cnt": list.len(), "item_list": list });
        Some(Answer::json(200, &body))
    }

    fn item(&self, (demand, run): (&str, u64), id: &str) -> Option<Answer> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, bytes) = runs.get(&(demand.to_owned(), run))?.iter().find(|(own, _)| own == id)?;
        Some(Answer { status: 200, media: "application/jose", body: bytes.clone() })
    }

    /// Signs a step of a run, the first time it is asked to.
    fn sign(&self, request: &Request, (demand, run): (&str, u64), step: &str) -> Option<Answer> {
        let said: Value = serde_json::from_slice(&request.body).ok()?;
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (demand.to_owned(), run, format!("{step} {said}"));
        if !signed.contains_key(&place) {
            let ppid = Ppid::from_text(request.header("x-naru-ppid"))?;
            let (demand, party, v) = (StatementId::from_hex(demand)?, self.name.clone(), V1);
            let iat = Timestamp((self.clock)());
            let nonce = drawn(&[&demand.0, &run.to_be_bytes(), place.2.as_bytes()]);
            let statement: Statement = if step == "delivered" {
                let (items, hash) =
                    (said.get("items")?.as_u64()?, Hash::from_hex(said.get("hash")?.as_str()?)?);
                TransferDeliver {
                    v,
                    kind: Kind::TransferDeliver,
                    iat,
                    nonce,
                    ppid,
                    party,
                    demand,
                    run,
                    items,
                    hash,
                }
                .into()
            } else {
                let code: FailCode = serde_json::from_value(said.get("code")?.clone()).ok()?;
                TransferFail { v, kind: Kind::TransferFail, iat, nonce, ppid, party, demand, run, code }
                    .into()
            };
            signed.insert(place.clone(), item::sign(&statement, &self.signer).ok()?);
        }
        Some(Answer { status: 200, media: "application/cose", body: signed.get(&place)?.clone() })
    }
}

/// A nonce that is the same for the same step: this is an example, and repeatable.
pub(crate) fn drawn(of: &[&[u8]]) -> Nonce {
    let mut out = [0; 16];
    out.iter_mut().zip(sha256(of)).for_each(|(o, s)| *o = s);
    Nonce(out)
}

/// Everything a run brings, by name.
fn whole(asked: &Value) -> Vec<(String, Value)> {
    let due = |name: &str| asked.get(name).and_then(Value::as_bool).unwrap_or(true);
    let mut items = Vec::new();
    for (number, _) in ACCOUNTS.iter().filter(|(_, agreed)| *agreed) {
        for (read, due) in
            [("basic", due("basic")), ("detail", due("basic")), ("transactions", due("additional"))]
        {
            if due {
                items.push((format!("bank.deposit.{number}.{read}"), deposit(read, number)));
            }
        }
    }
    items
}

fn ok(mut value: Value) -> Value {
    if let Some(members) = value.as_object_mut() {
        members.insert("rsp_code".into(), "00000".into());
        members.insert("rsp_msg".into(), "ok".into());
        members.insert("search_timestamp".into(), "20261101000000".into());
    }
    value
}

/// One read of one account. Amounts and booleans are text, as the profile has them.
pub(crate) fn deposit(read: &str, number: &str) -> Value {
    ok(match read {
        "basic" => json!({ "basic_cnt": "1", "basic_list": [{
            "account_num": number, "currency_code": "KRW", "saving_method": "00", "issue_date": "20200102" }] }),
        "detail" => json!({ "detail_cnt": "1", "detail_list": [{
            "account_num": number, "currency_code": "KRW", "balance_amt": "1250000", "withdrawable_amt": "1250000" }] }),
        _ => json!({ "next_page": "", "trans_cnt": "2", "trans_list": [
            { "trans_dtime": "20261101090000", "trans_type": "02", "trans_amt": "3000000", "balance_amt": "3250000" },
            { "trans_dtime": "20261103120000", "trans_type": "03", "trans_amt": "2000000", "balance_amt": "1250000" }] }),
    })
}

impl End for Bank {
    fn answer(&self, request: &Request) -> Answer {
        let none = || Answer::refused(404, "40402");
        if let Some((demand, run, rest)) = request.run() {
            let place = (demand, run);
            let answer = match (request.method.as_str(), rest.split_once('/')) {
                ("POST", None) if rest == "items" => self.list(request, place),
                ("POST", None) if rest == "delivered" || rest == "failed" => self.sign(request, place, rest),
                ("GET", Some(("items", id))) => self.item(place, id),
                _ => None,
            };
            return answer.unwrap_or_else(none);
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/bank/accounts") => {
                let list: Vec<Value> = ACCOUNTS
                    .iter()
                    .map(|(number, agreed)| {
                        json!({
                            "account_num": number, "is_consent": agreed.to_string(), "seqno": "",
                            "is_foreign_deposit": "false", "prod_name": "입출금통장", "is_minus": "false",
                            "account_type": "1001", "account_status": "01",
                        })
                    })
                    .collect();
                let count = list.len().to_string();
                Answer::json(
                    200,
                    &ok(json!({ "reg_date": "20200102", "account_cnt": count, "account_list": list })),
                )
            }
            ("GET", "/v1/bank/consents") => {
                let consents = self.consents.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(of) = consents.as_ref() else { return none() };
                let member = |name: &str| of.get(name).cloned().unwrap_or_default();
                Answer::json(
                    200,
                    &ok(json!({
                        "is_scheduled": member("is_scheduled").to_string(), "fnd_cycle": member("fnd_cycle"),
                        "add_cycle": member("add_cycle"), "end_date": member("end_date").to_string(),
                        "purpose": member("purpose"), "period": member("period").to_string(),
                    })),
                )
            }
            ("POST", path) => {
                let read = path.strip_prefix("/v1/bank/accounts/deposit/");
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let number = asked.get("account_num").and_then(Value::as_str).unwrap_or_default();
                let agreed = ACCOUNTS.iter().any(|(own, agreed)| *own == number && *agreed);
                match read.filter(|read| ["basic", "detail", "transactions"].contains(read) && agreed) {
                    Some(read) => Answer::json(200, &deposit(read, number)),
                    None => none(),
                }
            }
            ("GET", "/v1/card/cards") => Answer::json(
                200,
                &ok(json!({ "card_cnt": "1", "card_list": [{
                "card_id": "C1", "card_num": "9410-****-****-1234", "is_consent": "true", "card_name": "나루 체크",
                "card_member": "1", "card_type": "02" }] })),
            ),
            _ => none(),
        }
    }
}
