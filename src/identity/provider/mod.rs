//! Identity providers: who confirms who somebody is, in three steps, `prepare`, `poll`, `verify`.
//!
//! What a provider knows (a name, a birthday, a Korean CI, a passport's number) stays
//! with it. Out of [`Provider::verify`] comes an [`Identified`]: a keyed hash of
//! whatever is unique to the person, and the birthday, from which comes one date. Its outcome
//! is a statement the provider signs, `subject.attest` or `key.rebind`, and nothing
//! else: Naru believes no answer of an adapter, only that signature (design §4).
//!
//! Nothing assumes a CI: what is unique is of a [`Kind`], and providers without one
//! have another. Lacks: the way there (a real provider's client is a socket, and stands
//! in `outbound` behind this trait), keys, and a clock: time is an argument.
//! Source: design §7; issue "People, parties and secrets", 3.

mod book;
mod demo;

use crate::ledger::hash;
use crate::model::id::Hash;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::Timestamp;
use crate::model::statement::KeyRebind;
use crate::model::statement::Kind as StatementKind;
use crate::model::statement::ProofMethod;
use crate::model::statement::SubjectAttest;
use crate::model::statement::V1;

pub use book::Book;
pub use demo::DemoKorean;
pub use demo::DemoPassport;

/// How long a person may take from `prepare` to `verify`, ms.
pub const PATIENCE_MS: u64 = 10 * 60_000;

/// Separates these hashes from all others.
const LABEL: &[u8] = b"naru-identity/v1";

/// What a provider identifies people by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// 연계정보 (CI): one for each resident registration number, the same at every Korean provider.
    KoreanCi,
    /// Issuing country and number of a passport.
    Passport,
}

impl Kind {
    /// The word under the hash.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KoreanCi => "kr-ci",
            Self::Passport => "passport",
        }
    }
}

/// The provider's key for what is unique to a person: 32 bytes it never shares.
///
/// Without it a list of hashes says nothing: passport numbers and the like can all be tried.
pub struct IdentityKey([u8; 32]);

impl IdentityKey {
    /// Takes the bytes over.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// `HMAC(key, label ‖ 0 ‖ kind ‖ 0 ‖ unique)`: all that is ever kept of it.
    pub(in crate::identity::provider) fn hash(&self, kind: Kind, unique: &str) -> Hash {
        Hash(hash::hmac(&self.0, &[LABEL, &[0], kind.as_str().as_bytes(), &[0], unique.as_bytes()]))
    }
}

impl Drop for IdentityKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityKey(..)")
    }
}

/// Why somebody was not identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was prepared under this handle, or it was used.
    #[error("nothing was prepared under this handle, or it was used")]
    Unknown,
    /// She took too long.
    #[error("the time for it is over; prepare anew")]
    Late,
    /// The answer is not one of this provider.
    #[error("the answer is not one of this provider")]
    Answer,
    /// The provider could not confirm her.
    #[error("the provider did not confirm the person")]
    NotConfirmed,
    /// A demonstration runs only under a name that says so.
    #[error("a demonstration provider needs a party name that begins with `demo-`")]
    Demo,
    /// The book knows the person by another identity, or the identity by another person.
    #[error("the book holds another person or another identity")]
    Other,
}

/// Names one attempt, drawn by whoever prepares it.
pub type Handle = Nonce;

/// What the person is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Names the attempt in `poll` and `verify`.
    pub handle: Handle,
    /// Where she goes: a page, an app, a desk.
    pub open: String,
    /// Nothing comes of it from here on.
    pub until: Timestamp,
}

/// How an attempt stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// She is not done.
    Waiting,
    /// She is: `verify` takes it.
    Done,
    /// Too late, or unknown.
    Over,
}

/// A birthday, in the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Born {
    year: u16,
    month: u8,
    day: u8,
}

impl Born {
    /// A date that exists, from 1900 on.
    #[must_use]
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if year >= 1900 && year <= 2400 && day >= 1 && day <= days {
            Some(Self { year, month, day })
        } else {
            None
        }
    }

    /// The instant at which she becomes so old: her birthday's first, in Korea. On 29 February she was
    /// born, on 1 March of a common year she is older.
    ///
    /// Source: 민법 제158조 (age by the birthday); days since 1970 after Hinnant, `days_from_civil`.
    #[must_use]
    pub fn reaches(self, age: u8) -> Timestamp {
        const KST_MS: u64 = 9 * 3_600_000;
        let (year, month, day) =
            (u64::from(self.year) + u64::from(age), u64::from(self.month), u64::from(self.day));
        // The year begins in March, so that a missing 29 February is the day before 1 March's successor.
        let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
        let era = year / 400;
        let of_era = year % 400;
        let of_year = (153 * month + 2) / 5 + day - 1;
        let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
        Timestamp(days.saturating_sub(719_468).saturating_mul(86_400_000).saturating_sub(KST_MS))
    }
}

/// Somebody whom a provider has identified. Holds nothing that names her.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// By what.
    pub kind: Kind,
    /// Its keyed hash.
    pub identity: Hash,
    /// How, in the provider's words: what a `key.rebind` says.
    pub method: String,
    /// How, in the words of the decree: what a `subject.attest` says.
    pub proof: ProofMethod,
    born: Born,
}

impl Identified {
    /// The word on her age, for the provider to sign: a minor until she is `minor_age` (the law pack's).
    ///
    /// Of one who is older it says the date that is past: so it ends an earlier word of the same kind.
    #[must_use]
    pub fn attest(&self, to: &Addressed, minor_age: u8, guardian: Option<KeyHash>) -> SubjectAttest {
        SubjectAttest {
            v: V1,
            kind: StatementKind::SubjectAttest,
            iat: to.iat,
            nonce: to.nonce,
            ppid: to.ppid,
            provider: to.provider.clone(),
            minor_until: Some(self.born.reaches(minor_age)),
            guardian,
            method: self.proof,
        }
    }

    /// The new key of a person who has lost all hers, for the provider to sign and the operator to endorse.
    fn rebind(&self, to: &Addressed, new: KeyHash) -> KeyRebind {
        KeyRebind {
            v: V1,
            kind: StatementKind::KeyRebind,
            iat: to.iat,
            nonce: to.nonce,
            ppid: to.ppid,
            new,
            method: self.method.clone(),
        }
    }
}

/// What a statement about her needs besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// Who signs.
    pub provider: PartyId,
    /// She, in the log's own domain.
    pub ppid: Ppid,
    /// Signed at.
    pub iat: Timestamp,
    /// Drawn by the signer.
    pub nonce: Nonce,
}

/// An identity provider, as its adapter sees it. Object-safe and synchronous.
pub trait Provider {
    /// The party that signs.
    fn party(&self) -> &PartyId;

    /// What it identifies people by.
    fn kind(&self) -> Kind;

    /// Whether it only plays: then its party's name and its methods say so.
    fn is_demo(&self) -> bool;

    /// Begins an attempt: where the person is sent.
    ///
    /// # Errors
    /// The provider cannot be asked now.
    fn prepare(&mut self, handle: Handle, now: Timestamp) -> Result<Prepared, Fault>;

    /// How an attempt stands. Never says who.
    fn poll(&mut self, handle: &Handle, now: Timestamp) -> Progress;

    /// Ends an attempt, once: checks what the provider answered, and keeps of it the keyed hash.
    ///
    /// # Errors
    /// [`Fault`]: nobody was identified.
    fn verify(&mut self, handle: &Handle, key: &IdentityKey, now: Timestamp) -> Result<Identified, Fault>;
}
