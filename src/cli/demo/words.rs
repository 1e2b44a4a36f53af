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
    ko: "  기록 {}건, 거절 {}건, 조회 {}건, {}초 (초당 진술 {}건)",
    en: "  {} recorded, {} refused, {} checks, in {} s ({} statements a second)",
};
/// What was left.
pub(super) const LEFT: Words = Words {
    ko: "남긴 것: {} (로그 항목 {}건, 증거 {}건). 요약은 {}",
    en: "Left in {}: a log of {} entries, {} pieces of evidence. The summary is {}",
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
