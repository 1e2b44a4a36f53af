//! A receiver that keeps each item once, opens what was sealed for it, and signs how many arrived.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::item;
use naru::ledger::hash::sha256;
use naru::ledger::key::Ed25519Signer;
use naru::model::id::PartyId;
use naru::model::id::Ppid;
use naru::model::id::StatementId;
use naru::model::id::Timestamp;
use naru::model::statement::FailCode;
use naru::model::statement::Kind;
use naru::model::statement::Statement;
use naru::model::statement::TransferConfirm;
use naru::model::statement::TransferFail;
use naru::model::statement::V1;
use openssl::bn::BigNum;
use openssl::derive::Deriver;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::symm::Cipher;
use serde_json::Value;

use crate::bank::Clock;
use crate::bank::drawn;
use crate::end::Answer;
use crate::end::End;
use crate::end::Request;

/// Demand, run, name of the item.
type Place = (String, u64, String);

/// The receiver.
pub(crate) struct Wallet {
    pub(crate) name: PartyId,
    pub(crate) signer: Ed25519Signer,
    pub(crate) clock: Clock,
    /// What arrived, in the clear if it can be opened.
    pub(crate) items: Mutex<BTreeMap<Place, Vec<u8>>>,
    /// How often an item arrived that was there.
    pub(crate) again: Mutex<u64>,
    /// Opens what is sealed for it.
    pub(crate) key: EcKey<Private>,
    pub(crate) signed: Mutex<BTreeMap<(String, u64, String), Vec<u8>>>,
}

impl Wallet {
    pub(crate) fn new(name: PartyId, signer: Ed25519Signer, clock: Clock, key: EcKey<Private>) -> Self {
        Self {
            name,
            signer,
            clock,
            items: Mutex::default(),
            again: Mutex::default(),
            key,
            signed: Mutex::default(),
        }
    }

    /// DER SPKI of the key that what it receives is sealed for.
    pub(crate) fn spki(&self) -> Option<Vec<u8>> {
        PKey::from_ec_key(self.key.clone()).ok()?.public_key_to_der().ok()
    }

    /// Opens a compact JWE, ECDH-ES with A256GCM. Source: RFC 7516, RFC 7518 section 4.6
    pub(crate) fn open(&self, jwe: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(jwe).ok()?;
        let parts: Vec<&str> = text.split('.').collect();
        let [head, "", nonce, content, tag] = parts.as_slice() else { return None };
        let plain = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&plain(head)?).ok()?;
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok()?;
        let half = |name: &str| BigNum::from_slice(&plain(header.get("epk")?.get(name)?.as_str()?)?).ok();
        let (x, y) = (half("x")?, half("y")?);
        let theirs = EcKey::from_public_key_affine_coordinates(&group, &x, &y).ok()?;
        let (own, theirs) = (PKey::from_ec_key(self.key.clone()).ok()?, PKey::from_ec_key(theirs).ok()?);
        let mut deriver = Deriver::new(&own).ok()?;
        deriver.set_peer(&theirs).ok()?;
        let agreed = deriver.derive_to_vec().ok()?;
        // One round of the Concat KDF: algorithm, no party info, 256 bits.
        let length = |n: u32| n.to_be_bytes();
        let key =
            sha256(&[&length(1), &agreed, &length(7), b"A256GCM", &length(0), &length(0), &length(256)]);
        let (nonce, content, tag) = (plain(nonce)?, plain(content)?, plain(tag)?);
        openssl::symm::decrypt_aead(
            Cipher::aes_256_gcm(),
            &key,
            Some(&nonce),
            head.as_bytes(),
            &content,
            &tag,
        )
        .ok()
    }

    fn take(&self, request: &Request, place: Place) -> Answer {
        let sealed = request.header("content-type") == "application/jose";
        let opened = if sealed { self.open(&request.body) } else { Some(request.body.clone()) };
        let Some(content) = opened else { return Answer::refused(422, "42200") };
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        match items.get(&place) {
            Some(kept) if *kept != content => return Answer::refused(409, "40900"),
            Some(_) => *self.again.lock().unwrap_or_else(PoisonError::into_inner) += 1,
            None => drop(items.insert(place, content)),
        }
        Answer::json(200, &serde_json::json!({ "rsp_code": "00000", "rsp_msg": "ok" }))
    }

    fn sign(&self, request: &Request, (demand, run): (&str, u64), step: &str) -> Option<Answer> {
        let said: Value = serde_json::from_slice(&request.body).ok()?;
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (demand.to_owned(), run, format!("{step} {said}"));
        if !signed.contains_key(&place) {
            let of_run = |(of, number, _): &&Place| of == demand && *number == run;
            let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
            let received = items.keys().filter(of_run).count() as u64;
            let ppid = Ppid::from_text(request.header("x-naru-ppid"))?;
            let (demand, party, v) = (StatementId::from_hex(demand)?, self.name.clone(), V1);
            let iat = Timestamp((self.clock)());
            let nonce = drawn(&[&demand.0, &run.to_be_bytes(), place.2.as_bytes()]);
            let statement: Statement = if step == "complete" {
                let announced = said.get("items")?.as_u64()?;
                TransferConfirm {
                    v,
                    kind: Kind::TransferConfirm,
                    iat,
                    nonce,
                    ppid,
                    party,
                    demand,
                    run,
                    received,
                    announced,
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

impl End for Wallet {
    fn answer(&self, request: &Request) -> Answer {
        let none = || Answer::refused(404, "40402");
        let Some((demand, run, rest)) = request.run() else { return none() };
        match (request.method.as_str(), rest.split_once('/')) {
            ("PUT", Some(("items", id))) => self.take(request, (demand.to_owned(), run, id.to_owned())),
            ("POST", None) if rest == "complete" || rest == "failed" => {
                self.sign(request, (demand, run), rest).unwrap_or_else(none)
            }
            _ => none(),
        }
    }
}
