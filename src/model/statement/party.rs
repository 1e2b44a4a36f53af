//! Public statements of institutions: `party.*`, `notice.*`, `pack.*`, `release.*`, `canary.*`.

use serde::{Deserialize, Serialize};

use crate::model::id::{Hash, KeyHash, PartyId, StatementId, Timestamp, TreeSize};
use crate::model::statement::statement;
use crate::model::vocabulary::{Action, DataClass, Role};

/// An office that answers, and how to reach it. Never a natural person's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Office {
    /// Name of the office.
    pub name: String,
    /// How to reach it: mail address, phone, or URL.
    pub contact: String,
}

/// Where a party takes part in transfers, and the key that what is sent to it is sealed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferEnd {
    /// Base of its interface, `https://host[:port][/path]`: the only address that is ever called for it.
    pub url: String,
    /// DER SPKI of a P-256 key for ECDH-ES. With it, senders seal what they send to this party, and the
    /// carrier cannot read it; without it, it is carried in the clear inside TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<serde_bytes::ByteBuf>,
}

impl TransferEnd {
    /// Longest address, bytes.
    pub const MAX_URL: usize = 256;

    /// Whether the address is one that may be called: `https`, a host, perhaps a port and a plain path;
    /// no user, query, fragment, escape or empty part, and no slash at the end.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let Some(rest) = self.url.strip_prefix("https://").filter(|_| self.url.len() <= Self::MAX_URL) else {
            return false;
        };
        let mut parts = rest.split('/');
        let authority = parts.next().unwrap_or_default();
        let (host, port) = authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let name = |text: &str| text.bytes().all(plain) && text.bytes().any(|b| b.is_ascii_alphanumeric());
        let number =
            |text: &str| text.parse::<u16>().is_ok_and(|n| n > 0 && text.bytes().all(|b| b.is_ascii_digit()));
        name(host)
            && port.is_none_or(number)
            && parts.all(|part| {
                part.bytes().all(|b| plain(b) || b == b'_') && part.bytes().any(|b| b.is_ascii_alphanumeric())
            })
            && self.key.as_ref().is_none_or(|key| key.len() == 91)
    }
}

/// A licence a regulator gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Its number.
    pub number: String,
    /// The regulator who gave it (and endorses).
    pub regulator: PartyId,
}

statement! {
    /// Registers a party under the signing key.
    PartyRegister {
        /// Its name in the log, unique for ever.
        party: PartyId,
        /// Its name for people, Korean.
        name_ko: String,
        /// Its name for people, English.
        name_en: String,
        /// What it is.
        roles: Vec<Role>,
        /// Where it is established, ISO 3166-1 alpha-2.
        jurisdiction: String,
        /// Who answers for it.
        office: Office,
        /// Needed by the roles that a regulator must endorse.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        licence: Option<Licence>,
        /// A regulator's field of supervision; empty for others.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scope: Vec<String>,
        /// Where it takes part in transfers, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<TransferEnd>,
    }
}

statement! {
    /// Replaces a party's key (the new key endorses), raises the epoch of its domain, moves its end of
    /// transfers, or more than one of them.
    PartyRotate {
        /// Whose.
        party: PartyId,
        /// The new key; the present one if it stays.
        new: KeyHash,
        /// The new epoch, one above the present: every person gets another ppid in the domain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        epoch: Option<u32>,
        /// Where it takes part in transfers from here on, in place of what it had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<TransferEnd>,
    }
}

statement! {
    /// A processor works for a controller.
    PartyEngage {
        /// For whom.
        controller: PartyId,
        /// Who.
        processor: PartyId,
        /// For which purposes; empty means all of the controller's.
        purposes: Vec<String>,
        /// Ends here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    }
}

statement! {
    /// A processor no longer works for a controller.
    PartyDisengage {
        /// For whom.
        controller: PartyId,
        /// Who.
        processor: PartyId,
    }
}

statement! {
    /// From a date a successor holds old grants for old purposes only.
    PartySucceed {
        /// Who ends.
        party: PartyId,
        /// Who follows.
        successor: PartyId,
        /// From when.
        from: Timestamp,
    }
}

statement! {
    /// A party leaves.
    PartyClose {
        /// Who.
        party: PartyId,
    }
}

statement! {
    /// A party may not act: by a regulator, or by the operator for at most 72 hours.
    PartySuspend {
        /// Who.
        party: PartyId,
        /// Until when; a regulator may leave it open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Case number of the one who suspends.
        case: String,
    }
}

/// One category of a notice, and why it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeCategory {
    /// DPV IRI.
    pub category: String,
    /// Items as K-MyData scopes, such as `bank.deposit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// Whether the purpose cannot be served without it.
    pub required: bool,
    /// Why, in words.
    pub reason: String,
}

/// One purpose of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoticePurpose {
    /// DPV IRI.
    pub purpose: String,
    /// The class of data it is for.
    pub class: DataClass,
    /// What is asked.
    pub categories: Vec<NoticeCategory>,
    /// What would be done.
    pub actions: Vec<Action>,
    /// To whom it would go.
    pub recipients: Vec<PartyId>,
    /// How long it would be kept, ms after the grant.
    pub keep_ms: u64,
}

/// One text of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NoticeText {
    /// BCP 47 tag.
    pub locale: String,
    /// For whom it is written.
    pub audience: Audience,
    /// Media type of the attachment.
    pub media_type: String,
    /// Bytes of the attachment.
    pub length: u64,
    /// SHA-256 of the attachment.
    pub hash: Hash,
}

/// For whom a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Adults.
    Adult,
    /// Children: easy and clear. Source: PIPA art. 22-2.
    Child,
}

/// What a notice must say before data may leave the country. Source: PIPA art. 28-8(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abroad {
    /// Who receives there.
    pub recipient: String,
    /// How to reach them.
    pub contact: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: String,
    /// Items.
    pub items: Vec<String>,
    /// When.
    pub when: String,
    /// How.
    pub how: String,
    /// For what.
    pub purpose: String,
    /// How long they keep it.
    pub term: String,
    /// How to refuse.
    pub refuse: String,
    /// What follows from refusing.
    pub consequence: String,
}

statement! {
    /// What a controller asks, one version of it.
    NoticePublish {
        /// Who asks.
        controller: PartyId,
        /// Name of the notice at the controller.
        name: String,
        /// Version of that name.
        version: u32,
        /// What is asked.
        purposes: Vec<NoticePurpose>,
        /// The texts, by locale and audience.
        texts: Vec<NoticeText>,
        /// Who answers for it.
        office: Office,
        /// Needed if a purpose has `transfer-abroad`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        abroad: Option<Abroad>,
        /// Ids of pack rules the controller claims as statutory exceptions, with the reason.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<Claim>,
    }
}

/// A statutory exception claimed in a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Pack and rule id, `pack#rule`.
    pub rule: String,
    /// For which purpose of the notice.
    pub purpose: String,
    /// Why, in words.
    pub reason: String,
}

statement! {
    /// Nothing new is granted under the notice.
    NoticeRetire {
        /// Id of the `notice.publish`.
        notice: StatementId,
    }
}

statement! {
    /// A pack takes force at an instant.
    PackAdopt {
        /// Name.
        pack: String,
        /// Version.
        version: u32,
        /// SHA-256 of the pack file, an attachment.
        hash: Hash,
        /// From when.
        from: Timestamp,
        /// What past decisions come to under it, as its signers saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replay: Option<Replayed>,
    }
}

/// Which past was decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayOf {
    /// What was asked, as use lines say.
    Uses,
    /// What the acts of persons suggest.
    Acts,
}

impl ReplayOf {
    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uses => "uses",
            Self::Acts => "acts",
        }
    }
}

/// What a replay of past decisions under a pack came to. Source: design §1, a pack is published with one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Replayed {
    /// Which past.
    pub of: ReplayOf,
    /// First instant of the span.
    pub from: Timestamp,
    /// First instant after the span.
    pub until: Timestamp,
    /// Entries of the log it was made over.
    pub size: TreeSize,
    /// Packs that were left out beside the candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instead_of: Vec<String>,
    /// Decisions made again.
    pub asked: u64,
    /// Those that come out otherwise.
    pub changed: u64,
    /// SHA-256 of the report, an attachment.
    pub report: Hash,
}

statement! {
    /// An anonymous data set is given out.
    ReleaseRegister {
        /// Who made it.
        anonymiser: PartyId,
        /// Its name.
        release: String,
        /// For which purposes.
        purposes: Vec<String>,
        /// To whom; empty means the public.
        recipients: Vec<PartyId>,
        /// SHA-256 of criteria and measured values, an attachment.
        criteria: Hash,
    }
}

statement! {
    /// A release is withdrawn: no new copies.
    ReleaseWithdraw {
        /// Id of the `release.register`.
        release: StatementId,
    }
}

statement! {
    /// A release is called back: copies must be destroyed.
    ReleaseRecall {
        /// Id of the `release.register`.
        release: StatementId,
    }
}

statement! {
    /// Commits to canaries of a release: exactly one per release, fixed length.
    CanaryCommit {
        /// Id of the `release.register`.
        release: StatementId,
        /// The commitment.
        commitment: Hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_address_is_ever_called() {
        let sound = |url: &str| TransferEnd { url: url.into(), key: None }.is_sound();
        for good in ["https://bank.example.kr", "https://127.0.0.1:8443/naru", "https://a/b/c_d.e-f"] {
            assert!(sound(good), "{good}");
        }
        let bad = [
            "http://bank.example.kr",
            "https://",
            "https://:443",
            "https://bank:0",
            "https://bank:65536",
            "https://bank:+1",
            "https://user@bank",
            "https://bank/",
            "https://bank/a//b",
            "https://bank/..",
            "https://bank/a/../b",
            "https://bank?x",
            "https://bank#x",
            "https://bank/%2e",
            "https://ba nk",
            "https://[::1]",
            "file:///etc/passwd",
            "https://bank\\@other",
            "HTTPS://bank",
            "https://bänk",
        ];
        for bad in bad {
            assert!(!sound(bad), "{bad}");
        }
        assert!(!sound(&format!("https://{}", "a".repeat(260))));
        let key = |n| Some(serde_bytes::ByteBuf::from(vec![0; n]));
        assert!(!TransferEnd { url: "https://a".into(), key: key(44) }.is_sound());
    }
}
