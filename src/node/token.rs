//! Who calls: access tokens for parties, session tokens for citizens.
//!
//! A cached token holds only its signature check; a party's status is read from
//! state on every request. Assertions and logins are taken once; after a start,
//! those issued before it are refused.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use quick_cache::sync::Cache;
use serde::Deserialize;
use serde::Serialize;

use crate::consent::FormerKey;
use crate::consent::Party;
use crate::identity;
use crate::identity::login;
use crate::identity::possession;
use crate::identity::possession::Place;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::clock;

/// Life of an access token, s.
pub const TOKEN_LIFE_S: u64 = 300;

/// Who a bearer token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A registered party. Whether it is live is read from state.
    Party(PartyId),
    /// A citizen, by the key she logged in with.
    Citizen(KeyHash),
}

/// What whoever shows a token must also hold; of what is not named, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// A key, by its thumbprint. Source: RFC 9449 section 6
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jkt: Option<String>,
    /// A client certificate, by its SHA-256 in base64url. Source: RFC 8705 section 3.1
    #[serde(rename = "x5t#S256", default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

impl Confirmation {
    /// Whether whoever has the token may use it.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.jkt.is_none() && self.certificate.is_none()
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// Whom it speaks for.
    pub caller: Caller,
    /// What must be held beside it.
    pub bound: Confirmation,
    /// Not valid from here on.
    pub exp: Timestamp,
}

/// Claims of an access token. Source: RFC 9068.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The log's origin.
    pub iss: String,
    /// The party's name, or a random session.
    pub sub: String,
    /// The log's origin again.
    pub aud: String,
    /// As `sub`.
    pub client_id: String,
    /// `party` or `citizen`.
    pub role: String,
    /// Seconds.
    pub iat: u64,
    /// Seconds.
    pub exp: u64,
    /// Random.
    pub jti: String,
    /// What must be held beside it. Source: RFC 7800
    #[serde(default, skip_serializing_if = "Confirmation::is_none")]
    pub cnf: Confirmation,
}

/// What the node remembers about tokens.
pub(in crate::node) struct Tokens {
    signer: Box<dyn Signer>,
    started: Timestamp,
    /// Nonces and jtis taken, until they expire.
    taken: Mutex<Taken>,
    /// Sessions of citizens.
    sessions: Mutex<HashMap<String, (KeyHash, Timestamp)>>,
    /// Tokens whose signature held, until they expire. They are found by a keyed hash: how long that takes
    /// says nothing of them.
    held: Cache<Box<str>, Bearer>,
}

/// Names taken, and how many there may be before those over are let go.
struct Taken {
    names: HashMap<[u8; 32], Timestamp>,
    sweep_at: usize,
}

/// Fewest names at which a sweep is worth its time.
const SWEEP: usize = 4_096;

impl Tokens {
    pub(in crate::node) fn new(signer: Box<dyn Signer>, started: Timestamp) -> Self {
        Self {
            signer,
            started,
            taken: Mutex::new(Taken { names: HashMap::new(), sweep_at: SWEEP }),
            sessions: Mutex::new(HashMap::new()),
            held: Cache::new(4_096),
        }
    }

    /// Takes a name once; `false` if it was taken before.
    fn take(&self, name: [u8; 32], exp: Timestamp, now: Timestamp) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.names.len() >= taken.sweep_at {
            taken.names.retain(|_, until| *until > now);
            // Twice what is left: so a sweep costs each name a constant.
            taken.sweep_at = (taken.names.len() * 2).max(SWEEP);
        }
        taken.names.insert(name, exp).is_none_or(|until| until <= now)
    }
}

/// Why a token is not given or not taken: the caller's fault, but for `Node`.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The assertion or login.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// Used before, or issued before this start.
    #[error("used before, or made before the service started; make a new one")]
    Replayed,
    /// Nobody of that name or key.
    #[error("no such party or person is registered")]
    Unknown,
    /// The party is closed or suspended.
    #[error("the party is suspended or closed")]
    Suspended,
    /// Ours.
    #[error(transparent)]
    Node(#[from] Error),
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Inner {
    /// An access token for a party's client assertion, bound to nothing.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn token_for_assertion(&self, assertion: &str) -> Result<String, Denied> {
        self.bound_for_assertion(assertion, Confirmation::default())
    }

    /// An access token for a party's client assertion, bound as told.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn bound_for_assertion(&self, assertion: &str, bound: Confirmation) -> Result<String, Denied> {
        let register = self.register();
        let party = PartyId::parse(&login::claimed_party(assertion)?).ok_or(Denied::Unknown)?;
        let registered = register.party(&party).ok_or(Denied::Unknown)?;
        let key = self.party_key(registered)?;
        let now = self.now();
        let claims = login::open_assertion(assertion, &key, &self.settings.origin, now)?;
        if claims.iss != party.as_str() {
            return Err(Denied::Unknown);
        }
        let issued = Timestamp(claims.iat.saturating_mul(1_000));
        let exp = Timestamp(claims.exp.saturating_mul(1_000));
        let name = hash::sha256(&[b"jti", party.as_str().as_bytes(), &[0], claims.jti.as_bytes()]);
        // `iat` is in whole seconds: the second of the start itself counts as before it.
        if issued < self.tokens.started.rounded_to(1_000) || !self.tokens.take(name, exp, now) {
            return Err(Denied::Replayed);
        }
        if !registered.is_live(now) {
            return Err(Denied::Suspended);
        }
        self.issue(party.as_str(), "party", bound, now)
    }

    /// A party's public key.
    pub(in crate::node) fn party_key(&self, party: &Party) -> Result<PublicKey, Error> {
        self.public_key(FormerKey { key: party.key, index: party.keyed.unwrap_or(party.index) })
    }

    /// A key a party has or had: the register holds only its hash, the entry that brought it the key.
    pub(in crate::node) fn public_key(&self, held: FormerKey) -> Result<PublicKey, Error> {
        let index = held.index;
        let damaged = || Error::Damaged(format!("entry {index} does not hold the key of its party"));
        let entry = self.entries(index, index + 1)?.pop().ok_or_else(damaged)?;
        let Entry::Public { item, .. } = Entry::parse(&entry)? else { return Err(damaged()) };
        let (statement, _) = identity::reload(&item)?;
        let mut spkis = identity::item::spkis(&item)?;
        if let Statement::LogCreate(genesis) = statement {
            spkis.extend(genesis.regulators.into_iter().map(|r| r.spki.into_vec()));
        }
        let keys = spkis.iter().filter_map(|spki| PublicKey::from_spki(spki).ok());
        keys.into_iter().find(|key| key.hash() == held.key.0).ok_or_else(damaged)
    }

    /// A session token for a citizen's login statement, bound to nothing.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn token_for_login(&self, item: &[u8]) -> Result<String, Denied> {
        self.bound_for_login(item, Confirmation::default())
    }

    /// A session token for a citizen's login statement, bound as told.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn bound_for_login(&self, item: &[u8], bound: Confirmation) -> Result<String, Denied> {
        self.session_for_login(item, bound).map(|(token, _)| token)
    }

    /// The same, and the key (SPKI DER) where the login named none: whoever has just proved to hold it may
    /// know it, and signs with it from here on.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn session_for_login(
        &self,
        item: &[u8],
        bound: Confirmation,
    ) -> Result<(String, Option<Vec<u8>>), Denied> {
        let now = self.now();
        let login = login::open_login(item, &self.settings.origin, &self.settings.relying, now)?;
        let (key, spki) = self.who_logged_in(&login)?;
        let name = hash::sha256(&[b"login", &key.0, &login.nonce.0]);
        if login.exp < self.tokens.started || !self.tokens.take(name, login.exp, now) {
            return Err(Denied::Replayed);
        }
        let who = self.person_of_key(&key)?.ok_or(Denied::Unknown)?;
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        if !loaded.person.has_live_key(&key, now) {
            return Err(Denied::Unknown);
        }
        let session = hex(&clock::random::<16>().map_err(Error::Randomness)?);
        let mut sessions = self.tokens.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (_, until)| *until > now);
        sessions.insert(session.clone(), (key, now.plus_ms(TOKEN_LIFE_S * 1_000)));
        drop(sessions);
        Ok((self.issue(&session, "citizen", bound, now)?, spki))
    }

    /// The key that a login names; else, of those that may have signed it, the one that somebody has.
    fn who_logged_in(&self, login: &login::LoggedIn) -> Result<(KeyHash, Option<Vec<u8>>), Denied> {
        for (key, spki) in &login.possible {
            if self.person_of_key(key)?.is_some() {
                return Ok((*key, Some(spki.clone())));
            }
        }
        if login.possible.is_empty() { Ok((login.key, None)) } else { Err(Denied::Unknown) }
    }

    fn issue(&self, sub: &str, role: &str, cnf: Confirmation, now: Timestamp) -> Result<String, Denied> {
        let iat = now.0 / 1_000;
        let claims = Claims {
            iss: self.settings.origin.clone(),
            sub: sub.to_owned(),
            aud: self.settings.origin.clone(),
            client_id: sub.to_owned(),
            role: role.to_owned(),
            iat,
            exp: iat + TOKEN_LIFE_S,
            jti: hex(&clock::random::<16>().map_err(Error::Randomness)?),
            cnf,
        };
        Ok(login::sign_jwt(&claims, "at+jwt", self.tokens.signer.as_ref())?)
    }

    /// Who a token that is bound to nothing speaks for, if it is ours and alive.
    #[must_use]
    pub fn caller(&self, token: &str) -> Option<Caller> {
        self.bearer(token).filter(|bearer| bearer.bound.is_none()).map(|bearer| bearer.caller)
    }

    /// What a token says, if it is ours and alive; what it is bound to is the asker's to see.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<Bearer> {
        let now = self.now();
        if let Some(bearer) = self.tokens.held.get(token) {
            return (now < bearer.exp && self.still_speaks(&bearer.caller, now)).then_some(bearer);
        }
        let claims = self.claims(token, now)?;
        let caller = match claims.role.as_str() {
            "party" => Caller::Party(PartyId::parse(&claims.sub)?),
            "citizen" => {
                let sessions = self.tokens.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                Caller::Citizen(sessions.get(&claims.sub)?.0)
            }
            _ => return None,
        };
        let exp = Timestamp(claims.exp.saturating_mul(1_000));
        let bearer = Bearer { caller, bound: claims.cnf, exp };
        self.tokens.held.insert(token.into(), bearer.clone());
        self.still_speaks(&bearer.caller, now).then_some(bearer)
    }

    /// A citizen's session ends with the key she logged in with; a store that does not answer ends it, too.
    fn still_speaks(&self, caller: &Caller, now: Timestamp) -> bool {
        let Caller::Citizen(key) = caller else { return true };
        let person = self.person_of_key(key).ok().flatten();
        let loaded = person.and_then(|who| self.people.load(who, self.store.as_ref(), &self.vault).ok());
        loaded.is_some_and(|loaded| loaded.person.has_live_key(key, now))
    }

    /// What stands in a token, if we signed it and it has not expired.
    fn claims(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims: Claims = login::open_jwt(token, self.tokens.signer.public()).ok()?;
        let alive = now < Timestamp(claims.exp.saturating_mul(1_000));
        let ours = claims.aud == self.settings.origin && claims.iss == claims.aud;
        (alive && ours).then_some(claims)
    }

    /// What stands in a party's token, if it is ours and alive, and the party may act now.
    #[must_use]
    pub fn active_token(&self, token: &str) -> Option<Claims> {
        let claims = self.claims(token, self.now()).filter(|claims| claims.role == "party")?;
        PartyId::parse(&claims.sub).is_some_and(|party| self.is_live(&party)).then_some(claims)
    }

    /// The keys a party signs with now; none while it may not act, `None` if nobody has that name.
    ///
    /// # Errors
    /// The store.
    pub fn keys_of(&self, party: &PartyId) -> Result<Option<Vec<PublicKey>>, Error> {
        let register = self.register();
        let Some(registered) = register.party(party) else { return Ok(None) };
        if !registered.is_live(self.now()) {
            return Ok(Some(Vec::new()));
        }
        Ok(Some(vec![self.party_key(registered)?]))
    }

    /// The key a proof of possession shows, for one request and, if named, one token. It is taken by it.
    ///
    /// # Errors
    /// [`Denied`]: malformed, for another request or token, out of time, or taken before.
    pub fn possession(&self, proof: &str, place: Place<'_>, token: Option<&str>) -> Result<String, Denied> {
        let now = self.now();
        let proven = possession::open(proof, place, token, now)?;
        let name = hash::sha256(&[b"dpop", proven.jkt.as_bytes(), &[0], proven.jti.as_bytes()]);
        // As with assertions: what was taken before the start is not remembered.
        if proven.iat < self.tokens.started.rounded_to(1_000) || !self.tokens.take(name, proven.until, now) {
            return Err(Denied::Replayed);
        }
        Ok(proven.jkt)
    }

    /// Whether a party may act now: registered, not closed, not suspended.
    #[must_use]
    pub fn is_live(&self, party: &PartyId) -> bool {
        self.register().party(party).is_some_and(|p| p.is_live(self.now()))
    }
}
