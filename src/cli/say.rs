//! What a person or a script reads: results, failures, progress.

use std::fmt::Display;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use serde_json::Value;

use crate::cli::Exit;

/// Longest stable code, bytes.
const MAX_CODE: usize = 64;

/// A command that could not be done: what happened, why, what to do next.
#[derive(Debug)]
pub(in crate::cli) struct Fail {
    pub(in crate::cli) exit: Exit,
    pub(in crate::cli) what: String,
    pub(in crate::cli) why: Option<String>,
    pub(in crate::cli) next: Option<String>,
}

impl Fail {
    pub(in crate::cli) fn new(what: impl Display) -> Self {
        Self { exit: Exit::Failed, what: what.to_string(), why: None, next: None }
    }

    pub(in crate::cli) fn usage(what: impl Display) -> Self {
        Self::new(what).exit(Exit::Usage)
    }

    pub(in crate::cli) fn exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    pub(in crate::cli) fn why(self, why: impl Display) -> Self {
        Self { why: Some(why.to_string()), ..self }
    }

    pub(in crate::cli) fn next(self, next: impl Display) -> Self {
        Self { next: Some(next.to_string()), ..self }
    }

    /// A file could not be read or written.
    pub(in crate::cli) fn file(path: &Path, cause: impl Display) -> Self {
        Self::new(format!("`{}` cannot be used", path.display())).why(cause)
    }
}

/// Where results go, and in which language.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Say {
    json: bool,
    korean: bool,
}

impl Say {
    /// The language follows `LC_ALL`, `LC_MESSAGES`, `LANG`.
    pub(in crate::cli) fn new(json: bool) -> Self {
        let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let lang = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(set).unwrap_or_default();
        Self { json, korean: lang.starts_with("ko") }
    }

    pub(in crate::cli) const fn is_json(&self) -> bool {
        self.json
    }

    /// The one result: a JSON document, or lines in the reader's language.
    pub(in crate::cli) fn result(&self, json: &Value, ko: &str, en: &str) {
        if self.json {
            self.line(&json.to_string());
        } else {
            self.line(&plain(if self.korean { ko } else { en }));
        }
    }

    /// A line of data on stdout. A reader that has gone away is no fault of ours.
    #[expect(clippy::unused_self, reason = "one way to stdout, so that it can be changed in one place")]
    fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// A remark on stderr; none under `--json`.
    pub(in crate::cli) fn remark(&self, ko: &str, en: &str) {
        if !self.json {
            let text = plain(if self.korean { ko } else { en });
            drop(writeln!(std::io::stderr().lock(), "{text}"));
        }
    }

    /// Tells a failure and answers its exit code.
    pub(in crate::cli) fn fail(&self, fail: &Fail) -> Exit {
        let mut err = std::io::stderr().lock();
        let written = if self.json {
            let json = serde_json::json!({
                "error": fail.what, "why": fail.why, "next": fail.next, "exit": fail.exit.code(),
            });
            writeln!(err, "{json}")
        } else {
            let (error, why, next) =
                if self.korean { ("오류", "이유", "다음") } else { ("error", "why", "next") };
            let line = |label: &str, text: &Option<String>| {
                text.as_ref().map_or_else(String::new, |text| format!("\n  {label}: {text}"))
            };
            let text = format!("{error}: {}{}{}", fail.what, line(why, &fail.why), line(next, &fail.next));
            writeln!(err, "{}", plain(&text))
        };
        // Nobody reads stderr: the exit code still tells.
        drop(written);
        fail.exit
    }

    /// A bar on stderr, if a person watches; `len` in `unit`.
    pub(in crate::cli) fn progress(&self, len: u64, unit: &str) -> ProgressBar {
        let watched = !self.json && std::io::stderr().is_terminal();
        let target =
            if watched { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(len), target);
        let template = format!("{{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }
}

/// What others wrote steers no terminal, and no line seems to be other than it is: all that is not seen is
/// shown as one sign. Line ends are ours.
fn plain(text: &str) -> String {
    shown(text, |c| c == '\n')
}

/// The same, with no line end: where one would begin a line of ours.
pub(in crate::cli) fn one_line(text: &str) -> String {
    shown(text, |_| false)
}

fn shown(text: &str, stays: impl Fn(char) -> bool) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if unseen(c) && !stays(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a text is a stable code, as services tell them.
pub(in crate::cli) fn is_code(text: &str) -> bool {
    let of_code = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_CODE).contains(&text.len()) && text.bytes().all(of_code)
}

/// Lower-case hex.
pub(in crate::cli) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_said() {
        assert_eq!(plain("옮김 1\n  bank → 닫음"), "옮김 1\n  bank → 닫음");
        for steers in
            ["\u{1b}[2J", "\r", "\u{8}", "\u{7f}", "\u{9b}2J", "\u{202e}", "\u{2066}", "\u{2028}", "\0"]
        {
            let said = plain(&format!("why: {steers}moved"));
            assert!(said.starts_with("why: \u{fffd}") && said.ends_with("moved"), "{said:?}");
        }
    }
}
