//! The dossier of one incident, as JSON: what a regulator reads before it decides.
//!
//! ```text
//! facts → provisions in force that day → formula with inputs → range
//!       → factors with evidence → missing facts → defences
//! ```
//! Everything it says is either in the finding, in evidence it carries (base64url, checked
//! offline by `naru verify`), or a line of a pack with its source and confidence mark. It
//! never names a sum as the fine: a range, with what is not known beside it.
//!
//! Lacks: turnover, intent, what became of the data (missing facts, always said); grading
//! tables of decrees that our notes do not have.
//!
//! Source: `reidentification.md` 4.7, 4.8; design §12.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::pack::Confidence;
use crate::model::pack::Pack;
use crate::model::pack::Penalty;
use crate::model::pack::PenaltyKind;
use crate::model::statement::Strength;
use crate::model::vocabulary::DataClass;
use crate::reidentification::Detector;
use crate::reidentification::Finding;
use crate::reidentification::Noted;

/// Format of the document.
pub const FORMAT: &str = "naru-dossier/v1";

/// The accused.
#[derive(Clone, Debug)]
pub struct Accused {
    /// Its name in the log.
    pub id: PartyId,
    /// Its name for people: Korean, English.
    pub names: (String, String),
    /// Where it is established.
    pub jurisdiction: Option<String>,
    /// Public evidence of the statement that registered it: whence its first key.
    pub registered: Vec<u8>,
    /// Public evidence of each statement that brought it another key, in order.
    pub rotated: Vec<Vec<u8>>,
}

/// One line of the finding.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// As the finding has it.
    pub noted: Noted,
    /// Evidence of the decision; `None` if the line is no longer kept or the person is erased.
    pub evidence: Option<Vec<u8>>,
}

/// One step after the flag.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its type.
    pub kind: &'static str,
    /// Who signed.
    pub by: PartyId,
    /// When.
    pub at: Timestamp,
    /// The document it names.
    pub document: Hash,
    /// The statement.
    pub statement: StatementId,
    /// Evidence of it.
    pub evidence: Vec<u8>,
}

/// All that a dossier is made of.
#[derive(Debug)]
pub struct Given<'a> {
    /// Origin of the log.
    pub origin: &'a str,
    /// When it is made.
    pub made_at: Timestamp,
    /// The incident.
    pub incident: Nonce,
    /// Where it stands.
    pub stage: &'static str,
    /// When it was flagged.
    pub flagged_at: Timestamp,
    /// Who.
    pub accused: Accused,
    /// What was found.
    pub finding: &'a Finding,
    /// The bytes whose hash the flag carries.
    pub document: Vec<u8>,
    /// Evidence of the `incident.flag`.
    pub flag: Vec<u8>,
    /// The finding's lines.
    pub lines: Vec<Quoted>,
    /// What followed.
    pub steps: Vec<Step>,
    /// The packs that applied to the accused on that day.
    pub packs: Vec<Law<'a>>,
}

/// A pack that applied, with what shows that the log named it.
#[derive(Debug)]
pub struct Law<'a> {
    /// What it says.
    pub pack: &'a Pack,
    /// SHA-256 of its file, as the log names it.
    pub hash: Hash,
    /// Its file.
    pub bytes: Vec<u8>,
    /// Public evidence of the statement that named it: genesis or `pack.adopt`.
    pub named: Vec<u8>,
}

/// Korean and English.
type Words = (&'static str, &'static str);

fn words((ko, en): Words) -> Value {
    json!({ "ko": ko, "en": en })
}

fn bytes(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The dossier.
#[must_use]
pub fn build(given: &Given<'_>) -> Value {
    let finding = given.finding;
    let packs: Vec<&Pack> = given.packs.iter().map(|law| law.pack).collect();
    let provisions = provisions(finding, &packs);
    let mut missing = missing(given);
    if provisions.is_empty() {
        missing.push(words((
            "그날 시행된 팩에 이 위반과 이 종류의 정보에 맞는 조항이 없다.",
            "No provision in the packs in force that day fits this breach and this class of data.",
        )));
    }
    let accused = &given.accused;
    json!({
        "format": FORMAT,
        "draft": true,
        "origin": given.origin,
        "made_at": given.made_at.0,
        "incident": given.incident.to_string(),
        "stage": given.stage,
        "accused": {
            "id": accused.id.as_str(), "ko": accused.names.0, "en": accused.names.1,
            "jurisdiction": accused.jurisdiction, "registered": bytes(&accused.registered),
            "rotated": accused.rotated.iter().map(|item| bytes(item)).collect::<Vec<_>>(),
        },
        "facts": {
            "detector": finding.detector.as_str(), "what": words(finding.detector.what()),
            "strength": strength(finding.strength), "day": finding.day, "about": finding.about,
            "class": finding.class.map(DataClass::as_str), "count": finding.count,
            "persons": finding.persons, "flagged_at": given.flagged_at.0,
            "nothing_joined": finding.established,
        },
        "finding": bytes(&given.document),
        "flag": bytes(&given.flag),
        "lines": given.lines.iter().map(line).collect::<Vec<_>>(),
        "steps": given.steps.iter().map(step).collect::<Vec<_>>(),
        "packs": given.packs.iter().map(law).collect::<Vec<_>>(),
        "provisions": provisions,
        "axes": axes(finding),
        "factors": factors(given),
        "missing": missing,
        "defences": defences(finding.detector).iter().map(|w| words(*w)).collect::<Vec<_>>(),
    })
}

const fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::D => "D",
        Strength::S => "S",
    }
}

fn line(quoted: &Quoted) -> Value {
    let noted = &quoted.noted;
    json!({
        "decision": noted.id.to_string(), "at": noted.at.0, "signed": noted.signed,
        "domain": noted.domain.as_ref().map(PartyId::as_str),
        "evidence": quoted.evidence.as_deref().map(bytes),
    })
}

fn step(step: &Step) -> Value {
    json!({
        "type": step.kind, "by": step.by.as_str(), "at": step.at.0,
        "document": step.document.to_string(), "statement": step.statement.to_string(),
        "evidence": bytes(&step.evidence),
    })
}

fn law(law: &Law<'_>) -> Value {
    json!({
        "pack": &**law.pack.name(), "version": law.pack.version(), "sha256": law.hash.to_string(),
        "bytes": bytes(&law.bytes), "named": bytes(&law.named),
    })
}

/// Lines of these packs that were in force at the finding's first line, each with formula, inputs and
/// range. The same for the same, so that a verifier makes them again from the packs' own bytes.
#[must_use]
pub fn provisions(finding: &Finding, packs: &[&Pack]) -> Vec<Value> {
    let (Some(class), Some(at)) = (finding.class, finding.first()) else { return Vec::new() };
    let breach = finding.detector.breach();
    packs
        .iter()
        .flat_map(|pack| pack.penalties_at(breach, class, at).map(|penalty| provision(pack, penalty)))
        .collect()
}

fn provision(pack: &Pack, penalty: &Penalty) -> Value {
    let (formula, high): (&str, Value) = match (penalty.aggravated_months(), penalty.max_turnover_permille) {
        (Some(months), _) => ("max_years * 12 * aggravated_percent / 100", json!({ "months": months })),
        (None, Some(permille)) => (
            "turnover * max_turnover_permille / 1000 * aggravated_percent / 100",
            json!({ "permille_of_turnover": u64::from(permille) * u64::from(penalty.aggravated_percent) / 100 }),
        ),
        (None, None) => (
            "max_amount * aggravated_percent / 100",
            json!({ "amount": penalty.aggravated_amount(), "currency": penalty.currency }),
        ),
    };
    json!({
        "pack": &**pack.name(), "version": pack.version(), "id": penalty.id.as_str(),
        "provision": penalty.provision, "ko": penalty.ko, "en": penalty.en,
        "kind": kind(penalty.kind),
        "valid_from": penalty.valid_from.0, "valid_until": penalty.valid_until.map(|t| t.0),
        "source": penalty.source, "confidence": confidence(penalty.confidence),
        "stated_by_policy_source": penalty.stated_by_policy_source,
        "formula": formula,
        "inputs": {
            "max_years": penalty.max_years, "max_amount": penalty.max_amount,
            "currency": penalty.currency, "max_turnover_permille": penalty.max_turnover_permille,
            "aggravated_percent": penalty.aggravated_percent, "turnover": null,
        },
        "range": { "low": 0, "high": high },
    })
}

const fn kind(kind: PenaltyKind) -> &'static str {
    match kind {
        PenaltyKind::Imprisonment => "imprisonment",
        PenaltyKind::Fine => "fine",
        PenaltyKind::Surcharge => "surcharge",
        PenaltyKind::AdministrativeFine => "administrative-fine",
    }
}

const fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Statute => "statute",
        Confidence::PolicySource => "policy-source",
        Confidence::Reading => "reading",
        Confidence::Unconfirmed => "unconfirmed",
    }
}

/// The five axes, 0 to 4; `null` where the ledger cannot know. Source: `reidentification.md` 4.8.
fn axes(finding: &Finding) -> Value {
    let again = !matches!(finding.detector, Detector::ForeignPpid);
    // After a refusal was told, or for more than one person: more than an accident.
    let intent = 1 + u8::from(again) + u8::from(finding.persons > 1);
    let scale = finding.persons.max(1).ilog10().min(4);
    let sensitivity = finding.class.map(|class| match class {
        DataClass::RealName => 1,
        DataClass::Pseudonymous => 2,
        DataClass::Anonymous => 3,
    });
    json!({
        "intent": intent, "success": null, "scale": scale, "sensitivity": sensitivity,
        "conduct_after": null, "confidence": "reading",
    })
}

/// What weighs, and the decisions or statements it stands on.
fn factors(given: &Given<'_>) -> Value {
    let finding = given.finding;
    let ids: Vec<String> = finding.lines.iter().map(|line| line.id.to_string()).collect();
    let mut aggravating = Vec::new();
    let mut mitigating = Vec::new();
    let weigh = |to: &mut Vec<Value>, said: Words, evidence: &[String]| {
        to.push(json!({ "ko": said.0, "en": said.1, "evidence": evidence }));
    };
    if finding.persons > 1 {
        weigh(&mut aggravating, ("여러 사람에 관한 것이다.", "It concerns more than one person."), &ids);
    }
    if finding.count > 1 {
        weigh(&mut aggravating, ("하루에 되풀이되었다.", "It repeated within the day."), &ids);
    }
    if !matches!(finding.detector, Detector::ForeignPpid) {
        let said = ("거부를 통지받은 뒤의 일이다.", "It came after the refusal had been told.");
        weigh(&mut aggravating, said, &ids);
    }
    if finding.count == 1 {
        weigh(&mut mitigating, ("한 번의 물음이다.", "It is a single question."), &ids);
    }
    let answers: Vec<String> = given
        .steps
        .iter()
        .filter(|step| step.kind == "incident.answer")
        .map(|step| step.statement.to_string())
        .collect();
    if !answers.is_empty() {
        weigh(&mut mitigating, ("피혐의자가 답했다.", "The accused has answered."), &answers);
    }
    json!({ "aggravating": aggravating, "mitigating": mitigating })
}

fn missing(given: &Given<'_>) -> Vec<Value> {
    let mut out: Vec<Words> = vec![
        ("목적: 특정 개인을 알아보려 했는지.", "Purpose: whether it was meant to identify a person."),
        ("성공 여부와 그 결과가 어디에 있는지.", "Whether it succeeded, and where the result is."),
        ("관련 매출액.", "Turnover related to the violation."),
        (
            "이후의 행동: 중단, 회수, 파기, 신고.",
            "Conduct after: stopping, recovering, destroying, reporting.",
        ),
        ("안전조치와 그 투자.", "Safeguards, and what was invested in them."),
        ("3년 안의 같은 위반.", "The same violation within three years."),
    ];
    if given.finding.strength == Strength::S {
        out.push((
            "요청에 대한 기관 자신의 서명: 없거나 충분하지 않다. 운영자가 만든 줄이 아님을 증명하지 못한다.",
            "The asker's own signature over its requests: none, or not enough. Nothing proves that the operator did not write the lines.",
        ));
    }
    if !given.finding.established {
        out.push((
            "그때 두 기관을 잇는 동의가 있었는지: 그 뒤 그 사람의 진술이 바뀌었다.",
            "Whether a grant joined the two parties then: the person's statements have changed since.",
        ));
    }
    if given.lines.iter().any(|line| line.evidence.is_none()) {
        out.push((
            "일부 이용 줄의 증거: 기한이 지났거나 삭제되었다.",
            "Evidence of some use lines: past their term, or erased.",
        ));
    }
    out.into_iter().map(words).collect()
}

/// Innocent explanations a regulator asks about. Source: `reidentification.md` 3, rights of the accused.
const fn defences(detector: Detector) -> &'static [Words] {
    match detector {
        Detector::ForeignPpid => &[
            (
                "기록되지 않은 업무 위탁·합병·영업양도.",
                "An engagement, merger or transfer of business that was not recorded.",
            ),
            ("직원이 식별자를 잘못 붙여 넣었다.", "Staff pasted the wrong identifier."),
            (
                "여럿이 쓰는 중계 서버가 다른 기관의 요청을 보냈다.",
                "A shared proxy sent another party's request.",
            ),
            ("허가된 시험.", "An authorised test."),
        ],
        Detector::UseAfterEnd | Detector::PurposeAfterNotice => &[
            ("정기 재확인: 묻는 것은 이용이 아니다.", "A routine check: asking is not using."),
            ("낡은 캐시 또는 재시도.", "A stale cache, or retries."),
            ("시계의 차이.", "A difference of clocks."),
            ("기록된 긴급 상황.", "A documented emergency."),
        ],
        Detector::LinkingAgain => &[
            ("지정된 결합전문기관의 등록되지 않은 절차.", "A designated combiner before its registration."),
            ("허가된 시험.", "An authorised test."),
            ("자동 재시도.", "Automatic retries."),
        ],
    }
}
