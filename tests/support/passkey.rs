//! An authenticator in software: makes items of the passkey form, good ones and spoiled ones.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use naru::identity::login::Login;
use naru::identity::passkey;
use naru::identity::passkey::Relying;
use naru::ledger::cbor;
use naru::ledger::cose::Over;
use naru::ledger::cose::Passkey;
use naru::ledger::hash;
use naru::ledger::key::Alg;
use naru::ledger::key::Signer;
use naru::model::id::KeyHash;
use naru::model::statement::Statement;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;

/// One credential on one page.
pub struct Authenticator<'a> {
    pub signer: &'a dyn Signer,
    pub rp_id: String,
    pub origin: String,
    pub flags: u8,
    /// After the counter.
    pub more: Vec<u8>,
    pub kind: &'static str,
    /// Further members of the client data, with a comma in front.
    pub members: &'static str,
}

impl<'a> Authenticator<'a> {
    /// On the log's own page, with the user there and verified.
    pub fn new(signer: &'a dyn Signer) -> Self {
        let relying = Relying::of_log(super::ORIGIN);
        Self {
            signer,
            origin: relying.origins[0].clone(),
            rp_id: relying.id,
            flags: 0x05,
            more: Vec::new(),
            kind: "webauthn.get",
            members: r#","crossOrigin":false,"other_keys_can_be_added_here":"do not compare""#,
        }
    }

    /// What it makes of a challenge over these digests.
    pub fn assertion(&self, prefix: &str, digests: Vec<[u8; 32]>) -> Passkey {
        let challenge = URL_SAFE_NO_PAD.encode(passkey::challenge(prefix, &digests));
        let (kind, origin, members) = (self.kind, &self.origin, self.members);
        let client_data =
            format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{members}}}"#);
        let mut authenticator_data = hash::sha256(&[self.rp_id.as_bytes()]).to_vec();
        authenticator_data.push(self.flags);
        authenticator_data.extend([0, 0, 0, 0]);
        authenticator_data.extend(&self.more);
        let signed = [&authenticator_data[..], &hash::sha256(&[client_data.as_bytes()])].concat();
        let raw = self.signer.sign(&signed).unwrap();
        let signature = match self.signer.public().alg() {
            Alg::EdDsa => raw,
            Alg::Es256 => der(&raw),
        };
        let spki = self.signer.public().spki().to_vec();
        let client_data = client_data.into_bytes();
        let over = Over::Statements;
        Passkey { over, statement: None, digests, authenticator_data, client_data, signature, spki }
    }

    /// One ceremony over several statements: an item each.
    pub fn sign_all(&self, statements: &[Statement]) -> Vec<Vec<u8>> {
        let bytes: Vec<_> = statements.iter().map(|s| cbor::encode(s).unwrap()).collect();
        let assertion =
            self.assertion(passkey::STATEMENTS, bytes.iter().map(|b| hash::sha256(&[b])).collect());
        bytes.into_iter().map(|b| Passkey { statement: Some(b), ..assertion.clone() }.encode()).collect()
    }

    pub fn sign(&self, statement: &Statement) -> Vec<u8> {
        self.sign_all(std::slice::from_ref(statement)).remove(0)
    }

    pub fn endorse(&self, item: &[u8]) -> Vec<u8> {
        let assertion = self.assertion(passkey::ENDORSED, vec![hash::sha256(&[item])]);
        Passkey { over: Over::Item, statement: Some(item.to_vec()), ..assertion }.encode()
    }

    pub fn log_in(&self, login: &Login) -> Vec<u8> {
        let bytes = cbor::encode(login).unwrap();
        let assertion = self.assertion(passkey::LOGIN, vec![hash::sha256(&[&bytes])]);
        Passkey { statement: Some(bytes), ..assertion }.encode()
    }

    pub fn key(&self) -> KeyHash {
        super::key_hash(self.signer)
    }
}

/// The DER of `r ‖ s`.
pub fn der(raw: &[u8]) -> Vec<u8> {
    let part = |bytes| BigNum::from_slice(bytes).unwrap();
    EcdsaSig::from_private_components(part(&raw[..32]), part(&raw[32..])).unwrap().to_der().unwrap()
}

/// A P-256 key by number.
pub fn p256(n: u8) -> Box<dyn Signer> {
    use p256::pkcs8::EncodePrivateKey;
    let key = p256::ecdsa::SigningKey::from_slice(&[n; 32]).unwrap();
    naru::ledger::key::signer_from_pem(&key.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap()).unwrap()
}
