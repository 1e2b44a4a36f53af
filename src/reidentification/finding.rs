//! A finding: which rule, whose lines, how strong. Kept as CBOR beside its incident.

use serde::{Deserialize, Serialize};

use crate::ledger::cbor;
use crate::model::decision::Reason;
use crate::model::id::{DecisionId, PartyId, Timestamp};
use crate::model::pack::Breach;
use crate::model::statement::{Strength, V1};
use crate::model::use_line::UseLine;
use crate::model::vocabulary::DataClass;

/// Most lines quoted by one finding; of more, the first are quoted and all are counted.
pub const MOST_LINES: usize = 32;

/// Which rule was broken. Source: `reidentification.md` part (a), rows 1 and 3; design §12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// A ppid of another domain was presented, and nothing joins the two.
    ForeignPpid,
    /// A use was asked for again after the asker had been told that the consent has ended.
    UseAfterEnd,
    /// A purpose was asked for again after the asker had been told that it stands in no notice.
    PurposeAfterNotice,
    /// A question about linking was asked again after it had been refused.
    LinkingAgain,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ForeignPpid, Self::UseAfterEnd, Self::PurposeAfterNotice, Self::LinkingAgain];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ForeignPpid => "foreign-ppid",
            Self::UseAfterEnd => "use-after-end",
            Self::PurposeAfterNotice => "purpose-after-notice",
            Self::LinkingAgain => "linking-again",
        }
    }

    /// The breach that its provisions are looked for under.
    #[must_use]
    pub const fn breach(self) -> Breach {
        match self {
            Self::ForeignPpid | Self::LinkingAgain => Breach::Reidentification,
            Self::UseAfterEnd | Self::PurposeAfterNotice => Breach::WithoutPermit,
        }
    }

    /// The rule that asking again breaks, once this was told; `None` where asking again is nobody's fault.
    #[must_use]
    pub const fn after(told: Reason) -> Option<Self> {
        match told {
            Reason::ConsentWithdrawn | Reason::ConsentExpired => Some(Self::UseAfterEnd),
            Reason::PurposeMismatch => Some(Self::PurposeAfterNotice),
            Reason::ReidentificationBlocked => Some(Self::LinkingAgain),
            _ => None,
        }
    }

    /// What it finds, in Korean and English.
    #[must_use]
    pub const fn what(self) -> (&'static str, &'static str) {
        match self {
            Self::ForeignPpid => (
                "다른 기관의 영역에 속한 가명 식별자를 제시했고, 두 기관을 잇는 동의·전달·결합·영장이 없다.",
                "A ppid of another party's domain was presented, and no grant, handover, combination or warrant joins the two.",
            ),
            Self::UseAfterEnd => (
                "동의가 철회되었거나 끝났음을 통지받은 뒤 같은 이용을 다시 물었다.",
                "The same use was asked for again after the asker had been told that the consent was withdrawn or had ended.",
            ),
            Self::PurposeAfterNotice => (
                "고지에 없는 목적임을 통지받은 뒤 같은 목적을 다시 물었다.",
                "The same purpose was asked for again after the asker had been told that it stands in no notice.",
            ),
            Self::LinkingAgain => (
                "연결·대조·재식별 물음이 거부된 뒤 다시 물었다.",
                "A question about linking, matching or re-identifying was asked again after it had been refused.",
            ),
        }
    }
}

/// For which release or purpose a line asks: findings are merged by it.
#[must_use]
pub fn about(line: &UseLine) -> &str {
    line.release.as_deref().or(line.purpose.as_deref()).unwrap_or("-")
}

/// What a finding of this rule that rests on this line is merged by.
#[must_use]
pub fn key_of(line: &UseLine, detector: Detector) -> Vec<u8> {
    key(line.t.0 / DAY_MS, &line.asker, detector, about(line))
}

fn key(day: u64, party: &PartyId, detector: Detector, about: &str) -> Vec<u8> {
    let mut out = day.to_be_bytes().to_vec();
    for part in [party.as_str(), detector.as_str(), about] {
        out.extend_from_slice(part.as_bytes());
        out.push(0);
    }
    out
}

/// One line of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Noted {
    /// When it was decided.
    pub at: Timestamp,
    /// The decision.
    pub id: DecisionId,
    /// Whether the asker's own signature over the request holds.
    pub signed: bool,
    /// The other party in whose domain the ppid stands, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<PartyId>,
}

/// A finding, merged by party, detector, release or purpose, and day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Finding {
    /// Format version.
    pub v: V1,
    /// Days since 1970-01-01 UTC.
    pub day: u64,
    /// The release or purpose.
    pub about: String,
    /// How many lines break the rule.
    pub count: u64,
    /// The first of them.
    pub lines: Vec<Noted>,
    /// Who asked.
    pub party: PartyId,
    /// The class of data of the first line, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<DataClass>,
    /// About how many persons, at least.
    pub persons: u64,
    /// Which rule.
    pub detector: Detector,
    /// How strong.
    pub strength: Strength,
    /// Whether it could be established that nothing joined the two parties.
    pub established: bool,
}

impl Finding {
    /// What it is merged by: no second incident is made of the same.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        key(self.day, &self.party, self.detector, &self.about)
    }

    /// When the first of its lines was decided.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.lines.iter().map(|line| line.at).min()
    }

    /// First instant of its day.
    #[must_use]
    pub const fn begins(&self) -> Timestamp {
        Timestamp(self.day * DAY_MS)
    }

    /// The bytes whose hash stands in the `incident.flag`.
    ///
    /// # Errors
    /// Never for a finding made here.
    pub fn encode(&self) -> Result<Vec<u8>, cbor::Error> {
        cbor::encode(self)
    }

    /// Reads what [`Finding::encode`] wrote.
    ///
    /// # Errors
    /// Other bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, cbor::Error> {
        cbor::decode_exact(bytes)
    }
}

/// A day, ms.
pub const DAY_MS: u64 = 86_400_000;
