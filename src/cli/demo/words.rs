//! What the demo says, in Korean and English.
//!
//! `LANG` (after `LC_ALL` and `LC_MESSAGES`) chooses; anything but `ko` is English.

use std::fmt::Display;
use std::io::Write as _;

/// The language of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Korean.
    Ko,
    /// English.
    En,
}

/// One thing said, twice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) ko: &'static str,
    pub(super) en: &'static str,
}

impl Language {
    /// As the environment says.
    pub(super) fn of_environment() -> Self {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::of(["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).as_deref())
    }

    fn of(value: Option<&str>) -> Self {
        if value.is_some_and(|v| v == "ko" || v.starts_with("ko_") || v.starts_with("ko.")) {
            Self::Ko
        } else {
            Self::En
        }
    }

    /// The words in this language.
    pub(super) const fn of_words(self, words: Words) -> &'static str {
        match self {
            Self::Ko => words.ko,
            Self::En => words.en,
        }
    }
}

/// Speaks to standard output; who stops listening does not stop the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice(pub(super) Language);

impl Voice {
    /// One line.
    pub(super) fn say(self, line: impl Display) {
        // A closed pipe is the listener's choice.
        drop(writeln!(std::io::stdout().lock(), "{line}"));
    }

    /// Words with values: each `{}` takes the next one.
    pub(super) fn tell(self, words: Words, values: &[&dyn Display]) {
        self.say(self.filled(words, values));
    }

    /// As [`Self::tell`], not yet said.
    pub(super) fn filled(self, words: Words, values: &[&dyn Display]) -> String {
        let text = self.0.of_words(words);
        let mut values = values.iter();
        let mut out = String::new();
        for (nth, part) in text.split("{}").enumerate() {
            if nth > 0
                && let Some(value) = values.next()
            {
                out.push_str(&value.to_string());
            }
            out.push_str(part);
        }
        out
    }
}

/// The names of a party.
pub(super) fn party(id: &str) -> (&'static str, &'static str) {
    match id {
        "bank" => ("나루은행", "Naru Bank"),
        "hospital" => ("강변병원", "Riverside Hospital"),
        "broker" => ("데이터상회", "Data Broker Co."),
        "telecom" => ("나루텔레콤", "Naru Telecom"),
        "anonymiser" => ("한강익명가공", "Hangang Anonymisation"),
        "adnet" => ("모아광고망", "Moa Ad Network"),
        "idp" => ("본인확인기관", "Identity Provider"),
        _ => ("이름 없는 기관", "Nameless Party"),
    }
}

/// The responsible office of every party: never a natural person.
pub(super) const OFFICE: &str = "개인정보 보호 부서";

/// Why a category is asked.
pub(super) const fn reason(required: bool) -> &'static str {
    if required {
        "이 목적에 꼭 필요합니다"
    } else {
        "서비스를 더 알맞게 합니다. 빼고 동의할 수 있습니다"
    }
}

/// The texts of a notice, Korean first.
pub(super) fn notice(controller: &str, name: &str) -> Vec<(&'static str, String)> {
    let (ko, en) = party(controller);
    vec![
        (
            "ko",
            format!(
                "{ko}의 동의 요청({name}).\n\
                 필수 항목과 선택 항목을 나누어 적었습니다. 선택 항목은 빼고 동의할 수 있습니다.\n\
                 동의하지 않아도 불이익이 없으며, 언제든지 철회할 수 있고 철회는 기록되는 순간 효력이 있습니다.\n"
            ),
        ),
        (
            "en",
            format!(
                "{en} asks for your consent ({name}).\n\
                 Required and optional categories are listed apart; you may leave out the optional ones.\n\
                 Nothing follows from refusing. You may withdraw at any time; a withdrawal counts the moment it is recorded.\n"
            ),
        ),
    ]
}

/// Why the hospital needs no consent, in its own words.
pub(super) const CLAIM_REASON: &str = "질병의 과학적 연구에 가명 정보만 씁니다";

const fn words(ko: &'static str, en: &'static str) -> Words {
    Words { ko, en }
}

/// Before the year.
pub(super) const YEAR: Words = words(
    "1부. 한 해(2024-11-01 ~ 2025-10-31): 시민 {}명, 진술 약 {}건.\n  시계와 난수는 씨앗 {}에서 나옵니다.",
    "Part 1. A year (2024-11-01 to 2025-10-31): {} citizens, about {} statements.\n  Clock and randomness come from seed {}.",
);
/// After the year.
pub(super) const YEAR_DONE: Words = words(
    "  기록 {}건, 거절 {}건, 조회 {}건(이용 기록 {}줄). {}초, 초당 진술 {}건.",
    "  {} recorded, {} refused, {} checks ({} use lines), in {} s ({} statements a second).",
);
/// What was left.
pub(super) const LEFT: Words = words(
    "남긴 것: {}\n  로그 항목 {}건, 증거 {}건, 요약 {} ({}초)",
    "Left in {}:\n  a log of {} entries, {} pieces of evidence, the summary {} ({} s)",
);
/// Before the live part.
pub(super) const LIVE: Words = words(
    "\n2부. 지금: 같은 폴더, 진짜 시계, HTTP {}.\n  아래 줄들은 보내는 파일이 있는 이 폴더에서 칩니다.\n   $ cd {}",
    "\nPart 2. Now: the same folder, the real clock, HTTP at {}.\n  The lines below run where the files lie that they send:\n   $ cd {}",
);
/// After the live part.
pub(super) const LIVE_DONE: Words = words("\n  2부는 {}초 걸렸습니다.", "\n  Part 2 took {} s.");
// The steps, in their order.
pub(super) const LOGIN: Words = words(
    "시민이 로그인합니다. 서버의 문제가 아니라 자기가 만든 로그인 진술에 서명합니다.",
    "A citizen logs in: she signs a login statement of her own, never a server's challenge.",
);
pub(super) const TOKEN: Words = words("토큰, {}초 동안, {}", "a token for {} s, in {}");
pub(super) const NAME: Words = words(
    "은행에서 쓰는 자기 이름(ppid)을 봅니다. 기관마다 다르고 언제나 같습니다.",
    "She reads her name at the bank (ppid): another one at every party, the same for ever.",
);
pub(super) const BANK_LOGIN: Words =
    words("은행이 서명한 주장으로 토큰을 받습니다.", "The bank gets a token for a signed assertion.");
pub(super) const RECORDED: Words = words("{}  항목 {}  id {}  {} ms", "{}  entry {}  id {}  {} ms");
pub(super) const GRANT: Words = words(
    "시민이 계좌 관리에 동의합니다(목적 하나, 90일).",
    "She grants account management (one purpose, 90 days).",
);
pub(super) const PERMITTED: Words =
    words("은행이 묻습니다: 써도 됩니까? 됩니다.", "The bank asks: may I? It may.");
pub(super) const WITHDRAW: Words =
    words("시민이 철회합니다. 철회는 거절되지 않습니다.", "She withdraws. A withdrawal is never refused.");
pub(super) const DENIED: Words =
    words("은행이 다시 묻습니다: 안 됩니다.", "The bank asks again: it may not.");
pub(super) const HOW_SOON: Words =
    words("철회를 보낸 때부터 거절된 때까지 {} ms", "{} ms from sending the withdrawal to the denial");
pub(super) const REPLAY: Words = words(
    "옛 동의를 다시 보냅니다: 그때와 같은 대답, 새 효력은 없습니다.",
    "The old grant is sent again: the same answer as then, and no effect.",
);
pub(super) const STILL_DENIED: Words =
    words("은행이 묻습니다: 여전히 안 됩니다.", "The bank asks: it still may not.");
pub(super) const EVIDENCE: Words = words(
    "시민이 증거를 내려받아, 로그의 공개 키만으로 오프라인에서 확인합니다.",
    "She takes the evidence home and checks it offline with nothing but the log's key.",
);
pub(super) const VERIFIED: Words = words("확인됨, {} 바이트", "verified, {} bytes");
pub(super) const FLIPPED: Words =
    words("증거의 비트 하나를 뒤집습니다: 들킵니다.", "One bit of the evidence is flipped: it is caught.");
pub(super) const DECISION: Words = words(
    "물음마다 줄이 하나 남습니다. 은행이 허락(5번)의 증거를 받아 오프라인에서 확인합니다.",
    "Each check leaves a line. The bank takes the evidence of its permit (step 5), checked offline.",
);
pub(super) const DECISION_PROVEN: Words = words(
    "{}라고 답한 줄이 이용 묶음 {}번(항목 {})에 있습니다",
    "the line that says {} is in use batch {}, entry {}",
);
pub(super) const GAP: Words = words(
    "이 묶음은 지난 한 해와 지금 사이를 틈으로 밝힙니다: 그때는 다른 기계였습니다",
    "this batch names the time since the year as a gap: that was another machine",
);
pub(super) const OWN_VIEW: Words = words(
    "시민이 봅니다: 누가, 무엇 때문에 물었고, 무슨 답을 어느 규칙으로 들었는가.",
    "She sees who asked, what for, what was told and by which rule.",
);
pub(super) const OWN_VIEW_ALL: Words = words("모두 {}줄, {}", "{} lines in all, in {}");
pub(super) const RENEWED: Words = words(
    "한 해의 동의는 끝났습니다. 다른 시민 몇이 오늘 다시 동의합니다(한 묶음).",
    "The grants of the year have ended: a few other citizens grant again today, in one batch.",
);
pub(super) const RENEWED_ALL: Words = words("{} / {} 기록됨, {} ms", "{} of {} recorded, {} ms");
pub(super) const COHORT: Words = words(
    "은행이 고객 모두를 한 번에 묻습니다(코호트).",
    "The bank asks about all its customers at once (a cohort).",
);
pub(super) const COHORT_SUMMARY: Words = words(
    "줄마다 답이 하나, 전체에 로그의 서명이 하나 있습니다.",
    "One verdict a line, and one signature of the log over the whole.",
);
pub(super) const COHORT_HOLDS: Words = words("서명 확인, {}줄: {}", "the signature holds, {} lines: {}");
pub(super) const SEARCH: Words = words(
    "은행이 찾습니다: 계좌 관리에 쓸 수 있는 고객은 누구입니까? 총수는 알려 주지 않습니다.",
    "The bank searches: whom may I use for account management? No total is told.",
);
pub(super) const SEARCH_PAGE: Words =
    words("{}명, 자기 이름 공간에서만, 한 쪽씩", "{} names of its own domain, a page at a time");
pub(super) const ADOPT: Words = words(
    "운영자와 감독기관이 개인정보 보호법 규칙(kr-pipa-2026)을 시행 전에 미리 기록합니다.",
    "Operator and regulator record the rules of PIPA (kr-pipa-2026) before they take force.",
);
pub(super) const CLAIM: Words = words(
    "병원이 공개 고지로 그 법의 예외(28조의2, 과학적 연구)를 주장합니다.",
    "The hospital claims an exception of that law by a public notice (art. 28-2, research).",
);
pub(super) const TOLD: Words = words(
    "시민에게 알려집니다: 누가 어느 조문을 왜 주장하는가.",
    "She is told: who claims which article, and why.",
);
pub(super) const CLAIMED: Words = words("{}: {}, {}: {}", "{}: {}, {}: {}");
pub(super) const HOME_RULE: Words = words(
    "그 예외로 병원이 묻습니다: 안 됩니다. 시행 중인 규칙 모두가 허락해야 합니다.",
    "The hospital asks by it: it may not. Every pack in force must permit; the home rule does not.",
);
pub(super) const LIMITED: Words =
    words("시민이 다시 동의합니다. 이번에는 세 번까지만.", "She grants once more, for three uses.");
pub(super) const COUNTED: Words = words(
    "은행이 이름을 붙여 씁니다. 같은 이름은 같은 한 번, 네 번째는 안 됩니다.",
    "The bank uses it by name: the same name is the same use, the fourth is denied.",
);
pub(super) const EVENTS: Words = words(
    "텔레콤이 고객에게 일어나는 일을 따라 읽습니다. 로그가 지금 어디까지 왔는지 적어 둡니다.",
    "The telecom follows what happens to its customers, and notes where the log stands now.",
);
pub(super) const EVENTS_FROM: Words =
    words("다음에는 항목 {} 뒤부터 읽습니다", "it will read on after entry {}");
pub(super) const LINE: Words =
    words("시민이 텔레콤의 통신 서비스에 동의합니다.", "She grants the telecom its line service.");
pub(super) const LINE_ENDS: Words = words("그리고 철회합니다.", "And she withdraws it.");
pub(super) const NEWS: Words = words(
    "텔레콤이 이어 읽습니다: 철회가 벌써 와 있습니다. 그 밖의 내용은 없습니다.",
    "The telecom reads on: the withdrawal is there already, in a few words and no more.",
);
pub(super) const NEWS_SOON: Words = words(
    "철회를 보낸 때부터 텔레콤이 읽은 때까지 {} ms",
    "{} ms from sending the withdrawal to the telecom reading of it",
);
pub(super) const LINK: Words = words(
    "광고망이 시민의 가명 기록을 텔레콤의 것과 연결해도 되는지 묻고 서명합니다(RFC 9421).",
    "The ad network asks to link her pseudonymous record with the telecom's, and signs it (RFC 9421).",
);
pub(super) const LINK_ONCE: Words = words(
    "아무도 허락할 수 없는 일입니다. 그러나 한 번 물은 것은 아직 사건이 아닙니다",
    "nobody can permit that; but asking once is no incident yet",
);
pub(super) const LINK_AGAIN: Words = words(
    "광고망이 거부를 듣고 10초가 지난 뒤 다시 묻습니다. 재시도나 낡은 캐시로 볼 수 없습니다.",
    "Ten seconds after its refusal the ad network asks again: no retry, no stale cache.",
);
pub(super) const FLAG: Words = words(
    "운영자가 이용 기록을 살핍니다. 거부 뒤에 되풀이한 물음은 사건이 되어 봉인된 채 기록됩니다.",
    "The operator looks at the use lines. Asking again after a refusal becomes a sealed incident.",
);
pub(super) const FLAGGED: Words = words("사건 {}  {}  {}", "incident {}  {}  {}");
pub(super) const SEES: Words = words(
    "감독기관과 당사자인 광고망은 사건을 봅니다. 은행에게는 없는 사건입니다.",
    "The regulator and the accused see the incident; to the bank there is none.",
);
pub(super) const SEES_NONE: Words = words("사건 없음", "no incidents");
pub(super) const ANSWERS: Words = words(
    "광고망이 답합니다: 답변서를 봉인해 두고, 그것을 가리키는 진술에 서명합니다.",
    "The accused answers: its document is sealed, and a signed statement names it.",
);
pub(super) const ANSWER_TEXT: Words = words(
    "시험 서버의 설정이 잘못되어 물음이 되풀이되었습니다. 연결한 정보는 없으며, 그 서버를 껐습니다.",
    "A test server was set up wrongly and asked again. Nothing was linked; the server is off.",
);
pub(super) const CONFIRMS: Words = words(
    "감독기관이 같은 방법으로 사건을 확인하고, 평가합니다.",
    "In the same way the regulator confirms the incident, and assesses it.",
);
pub(super) const CONFIRM_TEXT: Words = words(
    "거부를 들은 뒤 같은 물음을 되풀이한 사실을 확인한다.",
    "It is established that the question was repeated after the refusal had been told.",
);
pub(super) const ASSESS_TEXT: Words = words(
    "결과가 없고 스스로 중지하였다. 시정을 권고한다.",
    "No result, and the accused stopped by itself. Correction is advised.",
);
pub(super) const DOSSIER: Words = words(
    "감독기관이 사건 기록(초안)을 받습니다: 사실, 그날의 조항과 형량 범위, 빠진 사실, 항변.",
    "The regulator takes the dossier, a draft: facts, the law of that day, ranges, gaps, defences.",
);
pub(super) const DOSSIER_HOLDS: Words = words(
    "확인됨: 증명된 물음 {}건, 그중 광고망이 서명한 것 {}건; 적용할 조항 {}개",
    "verified: {} question proven, {} signed by the accused itself; {} provisions",
);
pub(super) const DOSSIER_CHANGED: Words = words(
    "사건 기록의 바이트 하나를 바꿉니다: 들킵니다.",
    "One byte of the dossier is changed: it is caught.",
);
pub(super) const EXPORT: Words = words(
    "시민이 자기에 관한 모든 것을 내려받아, 로그의 공개 키만으로 오프라인에서 확인합니다.",
    "She carries everything about her away, and checks it offline with the log's key alone.",
);
pub(super) const EXPORT_HOLDS: Words = words(
    "확인됨: 진술 {}, 동의 기록 {}, 이용 기록 {}, 사건 {}; 빠진 것 {}가지는 그 까닭과 함께, {} ms",
    "verified: {} statements, {} consent records, {} uses, {} incident; withheld: {}, each with its reason; {} ms",
);
pub(super) const EXPORT_INCIDENT: Words = words(
    "자기가 관련된 사건을 압니다: {}, {}, 단계 {}, 당사자 {}",
    "she knows the incident she is in: {}, {}, {}, by {}",
);
pub(super) const ELSEWHERE: Words = words(
    "다른 로그에는 개인정보 보호법만 시행됩니다. 병원이 묻습니다: 주장한 예외가 없으니 안 됩니다.",
    "Another log, where PIPA alone is in force. The hospital asks: without a claim it may not.",
);
pub(super) const CLAIM_THERE: Words = words(
    "병원이 그곳에서도 공개 고지로 예외(28조의2)를 주장합니다.",
    "There, too, it claims the exception (art. 28-2) by a public notice.",
);
pub(super) const EXCEPTED: Words = words(
    "이제 동의 없이도 됩니다. 답이 그 예외를 밝힙니다.",
    "Now it may, without her consent, and the answer names the exception.",
);
pub(super) const OBJECTS: Words = words("시민이 반대합니다.", "She objects.");
pub(super) const STOPPED: Words = words(
    "반대가 예외보다 앞섭니다: 이제 안 됩니다.",
    "Her objection goes before the exception: it may not any more.",
);
pub(super) const STAYS: Words = words(
    "\n{} 에서 계속 응답합니다. 위의 줄들을 다시 해 보세요. 로그인과 주장은 한 번만 쓰이고,\n토큰은 4분마다 새로 만듭니다. 브라우저로 보는 나의 페이지: {}/me\n끝내려면 Ctrl-C.",
    "\nStill serving at {}: try the lines above. A login or an assertion counts once;\nthe tokens are made anew every four minutes. A person's own page, in a browser: {}/me\nCtrl-C ends it.",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        for (value, language) in [
            (Some("ko_KR.UTF-8"), Language::Ko),
            (Some("ko"), Language::Ko),
            (Some("kok_IN"), Language::En),
            (Some("C.UTF-8"), Language::En),
            (None, Language::En),
        ] {
            assert_eq!(Language::of(value), language, "{value:?}");
        }
    }
}
