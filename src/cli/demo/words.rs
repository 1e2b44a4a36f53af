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
        self.say(out);
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

/// Before the year.
pub(super) const YEAR: Words = Words {
    ko: "1부. 한 해(2024-11-01 ~ 2025-10-31): 시민 {}명, 진술 약 {}건. 시계와 난수는 씨앗 {}에서 나옵니다.",
    en: "Part 1. A year (2024-11-01 to 2025-10-31): {} citizens, about {} statements; clock and randomness from seed {}.",
};
/// After the year.
pub(super) const YEAR_DONE: Words = Words {
    ko: "  기록 {}건, 거절 {}건, 조회 {}건(이용 기록 {}줄), {}초 (초당 진술 {}건)",
    en: "  {} recorded, {} refused, {} checks ({} use lines), in {} s ({} statements a second)",
};
/// What was left.
pub(super) const LEFT: Words = Words {
    ko: "남긴 것: {} (로그 항목 {}건, 증거 {}건). 요약은 {}",
    en: "Left in {}: a log of {} entries, {} pieces of evidence. The summary is {}",
};
/// Before the live part.
pub(super) const LIVE: Words = Words {
    ko: "\n2부. 지금: 같은 폴더, 진짜 시계, HTTP {}. 보내는 파일은 {} 에 있습니다.",
    en: "\nPart 2. Now: the same folder, the real clock, HTTP at {}. What is sent lies in {}.",
};
// The steps, in their order.
pub(super) const LOGIN: Words = Words {
    ko: "시민이 로그인합니다. 서버의 문제에 서명하지 않고, 자기가 만든 로그인 진술에 서명합니다.",
    en: "A citizen logs in: she signs a login statement of her own making, never a server's challenge.",
};
pub(super) const NAME: Words = Words {
    ko: "은행에서 쓰는 자기 이름(ppid)을 봅니다. 기관마다 다르고 언제나 같습니다.",
    en: "She reads her name at the bank (ppid): another one at every party, the same for ever.",
};
pub(super) const BANK_LOGIN: Words = Words {
    ko: "은행이 서명한 주장으로 토큰을 받습니다.",
    en: "The bank gets a token for a signed assertion.",
};
pub(super) const GRANT: Words = Words {
    ko: "시민이 계좌 관리에 동의합니다(목적 하나, 90일).",
    en: "She grants account management (one purpose, 90 days).",
};
pub(super) const PERMITTED: Words =
    Words { ko: "은행이 묻습니다: 써도 됩니까? 됩니다.", en: "The bank asks: may I? It may." };
pub(super) const WITHDRAW: Words = Words {
    ko: "시민이 철회합니다. 철회는 거절되지 않습니다.",
    en: "She withdraws. A withdrawal is never refused.",
};
pub(super) const DENIED: Words =
    Words { ko: "은행이 다시 묻습니다: 안 됩니다.", en: "The bank asks again: it may not." };
pub(super) const HOW_SOON: Words = Words {
    ko: "   철회를 보낸 때부터 거절된 때까지 {} ms",
    en: "   {} ms from sending the withdrawal to the denial",
};
pub(super) const REPLAY: Words = Words {
    ko: "옛 동의를 다시 보냅니다: 그때와 같은 대답, 새 효력은 없습니다.",
    en: "The old grant is sent again: the same answer as then, and no effect.",
};
pub(super) const STILL_DENIED: Words =
    Words { ko: "은행이 묻습니다: 여전히 안 됩니다.", en: "The bank asks: it still may not." };
pub(super) const EVIDENCE: Words = Words {
    ko: "시민이 증거를 내려받아, 로그의 공개 키만으로 오프라인에서 확인합니다.",
    en: "She takes the evidence home and checks it offline with nothing but the log's key.",
};
pub(super) const VERIFIED: Words =
    Words { ko: "   → 확인됨: {} 바이트, {}", en: "   → verified: {} bytes, {}" };
pub(super) const FLIPPED: Words = Words {
    ko: "증거의 비트 하나를 뒤집습니다: 들킵니다.",
    en: "One bit of the evidence is flipped: it is caught.",
};
pub(super) const STAYS: Words = Words {
    ko: "\n{} 에서 계속 응답합니다. 위의 줄들을 다시 해 보세요(로그인과 주장은 한 번만 쓰이고, 토큰은 4분마다 새로 만듭니다). 끝내려면 Ctrl-C.",
    en: "\nStill serving at {}: try the lines above (a login or an assertion counts once; the tokens are made anew every four minutes). Ctrl-C ends it.",
};

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
