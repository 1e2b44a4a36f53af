//! DEMO. Two providers that identify nobody: they believe what they are told.
//!
//! They show the three steps and that nothing assumes a Korean CI. Each runs only under
//! a party name that begins with `demo-`, which stands in every statement it signs, and
//! each method begins with `demo`. Lacks what a real one is for: evidence.

use std::collections::HashMap;

use crate::identity::provider::Born;
use crate::identity::provider::Fault;
use crate::identity::provider::Handle;
use crate::identity::provider::Identified;
use crate::identity::provider::IdentityKey;
use crate::identity::provider::Kind;
use crate::identity::provider::PATIENCE_MS;
use crate::identity::provider::Prepared;
use crate::identity::provider::Progress;
use crate::identity::provider::Provider;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::statement::ProofMethod;

/// How the name of a party begins that only plays.
const DEMO: &str = "demo-";
/// Attempts under way at most; the oldest that are over make room.
const MOST: usize = 1_024;
/// A CI is 64 bytes in base64. Source: 본인확인서비스 연계정보, KISA.
const CI_LENGTH: usize = 88;

/// What a person told a demo, until `verify` forgets it.
struct Told {
    unique: zeroize::Zeroizing<String>,
    born: Born,
}

/// Attempts of one demo.
struct Attempts {
    party: PartyId,
    under_way: HashMap<Handle, (Timestamp, Option<Told>)>,
}

impl Attempts {
    fn new(party: PartyId) -> Result<Self, Fault> {
        if party.as_str().starts_with(DEMO) {
            Ok(Self { party, under_way: HashMap::new() })
        } else {
            Err(Fault::Demo)
        }
    }

    fn prepare(&mut self, handle: Handle, page: &str, now: Timestamp) -> Result<Prepared, Fault> {
        self.under_way.retain(|_, (until, _)| now < *until);
        if self.under_way.len() >= MOST || self.under_way.contains_key(&handle) {
            return Err(Fault::Unknown);
        }
        let until = now.plus_ms(PATIENCE_MS);
        self.under_way.insert(handle, (until, None));
        Ok(Prepared { handle, open: format!("{page}?handle={handle}"), until })
    }

    fn tell(&mut self, handle: &Handle, told: Told, now: Timestamp) -> Result<(), Fault> {
        let (until, place) = self.under_way.get_mut(handle).ok_or(Fault::Unknown)?;
        if now >= *until {
            return Err(Fault::Late);
        }
        *place = Some(told);
        Ok(())
    }

    fn poll(&self, handle: &Handle, now: Timestamp) -> Progress {
        match self.under_way.get(handle) {
            Some((until, _)) if now >= *until => Progress::Over,
            Some((_, Some(_))) => Progress::Done,
            Some((_, None)) => Progress::Waiting,
            None => Progress::Over,
        }
    }

    fn take(&mut self, handle: &Handle, now: Timestamp) -> Result<Told, Fault> {
        let (until, told) = self.under_way.remove(handle).ok_or(Fault::Unknown)?;
        if now >= until {
            return Err(Fault::Late);
        }
        told.ok_or(Fault::NotConfirmed)
    }
}

/// DEMO of a Korean provider: answers with a CI.
pub struct DemoKorean(Attempts);

impl DemoKorean {
    /// # Errors
    /// [`Fault::Demo`]: the party's name does not say that it is one.
    pub fn new(party: PartyId) -> Result<Self, Fault> {
        Attempts::new(party).map(Self)
    }

    /// What the person's phone would answer.
    ///
    /// # Errors
    /// [`Fault::Answer`]: not the shape of a CI; the attempt is not under way.
    pub fn answer(&mut self, handle: &Handle, ci: &str, born: Born, now: Timestamp) -> Result<(), Fault> {
        let shape = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if ci.len() != CI_LENGTH || !ci.bytes().all(shape) {
            return Err(Fault::Answer);
        }
        self.0.tell(handle, Told { unique: zeroize::Zeroizing::new(ci.to_owned()), born }, now)
    }
}

impl Provider for DemoKorean {
    fn party(&self) -> &PartyId {
        &self.0.party
    }

    fn kind(&self) -> Kind {
        Kind::KoreanCi
    }

    fn is_demo(&self) -> bool {
        true
    }

    fn prepare(&mut self, handle: Handle, now: Timestamp) -> Result<Prepared, Fault> {
        self.0.prepare(handle, "/demo/phone", now)
    }

    fn poll(&mut self, handle: &Handle, now: Timestamp) -> Progress {
        self.0.poll(handle, now)
    }

    fn verify(&mut self, handle: &Handle, key: &IdentityKey, now: Timestamp) -> Result<Identified, Fault> {
        let told = self.0.take(handle, now)?;
        Ok(Identified {
            kind: Kind::KoreanCi,
            identity: key.hash(Kind::KoreanCi, &told.unique),
            method: "demo: phone identity check".to_owned(),
            proof: ProofMethod::PhoneIdentity,
            born: told.born,
        })
    }
}

/// DEMO of a provider that looks at a foreign passport: there is no CI, and none is needed.
pub struct DemoPassport(Attempts);

impl DemoPassport {
    /// # Errors
    /// [`Fault::Demo`]: the party's name does not say that it is one.
    pub fn new(party: PartyId) -> Result<Self, Fault> {
        Attempts::new(party).map(Self)
    }

    /// What the desk would read: issuing country (ICAO 9303, three letters) and number.
    ///
    /// # Errors
    /// [`Fault::Answer`]: not the shape of a passport's; the attempt is not under way.
    pub fn answer(
        &mut self,
        handle: &Handle,
        country: &str,
        number: &str,
        born: Born,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let is_country = country.len() == 3 && country.bytes().all(|b| b.is_ascii_uppercase());
        let is_number = (5..=9).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !is_country || !is_number {
            return Err(Fault::Answer);
        }
        let unique = zeroize::Zeroizing::new(format!("{country}/{number}"));
        self.0.tell(handle, Told { unique, born }, now)
    }
}

impl Provider for DemoPassport {
    fn party(&self) -> &PartyId {
        &self.0.party
    }

    fn kind(&self) -> Kind {
        Kind::Passport
    }

    fn is_demo(&self) -> bool {
        true
    }

    fn prepare(&mut self, handle: Handle, now: Timestamp) -> Result<Prepared, Fault> {
        self.0.prepare(handle, "/demo/passport-desk", now)
    }

    fn poll(&mut self, handle: &Handle, now: Timestamp) -> Progress {
        self.0.poll(handle, now)
    }

    fn verify(&mut self, handle: &Handle, key: &IdentityKey, now: Timestamp) -> Result<Identified, Fault> {
        let told = self.0.take(handle, now)?;
        Ok(Identified {
            kind: Kind::Passport,
            identity: key.hash(Kind::Passport, &told.unique),
            method: "demo: passport at a desk".to_owned(),
            // The nearest of the decree's words: an official document was looked at.
            proof: ProofMethod::Register,
            born: told.born,
        })
    }
}
