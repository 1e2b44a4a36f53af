//! A dossier as one page that needs nothing else: no script, no network, Korean and English.
//!
//! Made from the JSON alone, so it says no more than that does. Every text is escaped. The
//! JSON itself stands at the end, to be saved and checked with `naru verify`.

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.6 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#16202b;background:#fff}\
h1{font-size:1.6rem}h2{font-size:1.2rem;border-bottom:2px solid #16202b;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{border:1px solid #8a97a5;padding:.4rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}\
.en{color:#3d4b59}.draft{border:3px solid #8c2f00;color:#8c2f00;padding:.6rem 1rem;font-weight:700}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f2f4f6;padding:1rem;font-size:.75rem}";

/// The page.
#[must_use]
pub fn render(dossier: &Value) -> String {
    let title = format!("Naru · {}", text(dossier, "/incident"));
    let mut body = String::new();
    body.push_str(&format!("<h1>{}</h1>", escaped(&title)));
    body.push_str(&both(
        "div class=\"draft\"",
        "div",
        "초안입니다. 결정은 규제기관이 하고 서명합니다. 범위이며 과징금이 아닙니다.",
        "A draft. A regulator decides and signs. Ranges, never a fine.",
    ));
    body.push_str(&facts(dossier));
    body.push_str(&lines(dossier));
    body.push_str(&provisions(dossier));
    body.push_str(&section("가중·감경 요소", "Factors"));
    for (place, ko, en) in
        [("/factors/aggravating", "가중", "aggravating"), ("/factors/mitigating", "감경", "mitigating")]
    {
        body.push_str(&format!("<h3>{ko} / {en}</h3>{}", list(dossier.pointer(place))));
    }
    body.push_str(&section("빠진 사실", "Missing facts"));
    body.push_str(&list(dossier.pointer("/missing")));
    body.push_str(&section("확인할 항변", "Defences to check"));
    body.push_str(&list(dossier.pointer("/defences")));
    body.push_str(&steps(dossier));
    body.push_str(&section("문서 전체 (naru verify)", "The document itself (naru verify)"));
    let json = serde_json::to_string_pretty(dossier).unwrap_or_default();
    body.push_str(&format!("<pre>{}</pre>", escaped(&json)));
    format!(
        "<!doctype html><html lang=\"ko\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n",
        escaped(&title)
    )
}

fn section(ko: &str, en: &str) -> String {
    format!("<h2>{ko} <span class=\"en\" lang=\"en\">/ {en}</span></h2>")
}

fn both(open: &str, close: &str, ko: &str, en: &str) -> String {
    format!("<{open}>{}<br><span lang=\"en\">{}</span></{close}>", escaped(ko), escaped(en))
}

/// A value as people read it; a missing one as a dash.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".into(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn text(of: &Value, place: &str) -> String {
    shown(of.pointer(place))
}

fn row(ko: &str, en: &str, value: &str) -> String {
    format!(
        "<tr><th scope=\"row\">{ko} <span class=\"en\" lang=\"en\">/ {en}</span></th><td>{}</td></tr>",
        escaped(value)
    )
}

fn facts(dossier: &Value) -> String {
    let at = |place: &str| text(dossier, place);
    let mut out = section("사실", "Facts");
    out.push_str(&both("p", "p", &at("/facts/what/ko"), &at("/facts/what/en")));
    out.push_str("<table>");
    let accused = format!("{} ({}, {})", at("/accused/id"), at("/accused/ko"), at("/accused/en"));
    let rows = [
        ("피혐의자", "accused", accused),
        ("탐지기", "detector", at("/facts/detector")),
        ("강도", "strength", at("/facts/strength")),
        ("단계", "stage", at("/stage")),
        ("날 (1970-01-01부터, UTC)", "day since 1970-01-01, UTC", at("/facts/day")),
        ("목적 또는 공개본", "purpose or release", at("/facts/about")),
        ("정보의 종류", "class of data", at("/facts/class")),
        ("줄 수", "lines", at("/facts/count")),
        ("사람 수 (최소)", "persons, at least", at("/facts/persons")),
        ("로그", "log", at("/origin")),
    ];
    rows.iter().for_each(|(ko, en, value)| out.push_str(&row(ko, en, value)));
    out.push_str("</table>");
    out
}

fn lines(dossier: &Value) -> String {
    let mut out = section("증거가 있는 결정", "Decisions with evidence");
    out.push_str("<table><tr><th>decision</th><th>at (ms)</th><th>서명 / signed</th><th>domain</th><th>증거 / evidence</th></tr>");
    for line in dossier.pointer("/lines").and_then(Value::as_array).into_iter().flatten() {
        let evidence =
            if line.get("evidence").is_some_and(Value::is_string) { "있음 / carried" } else { "–" };
        let cells = [
            text(line, "/decision"),
            text(line, "/at"),
            text(line, "/signed"),
            text(line, "/domain"),
            evidence.into(),
        ];
        out.push_str("<tr>");
        cells.iter().for_each(|cell| out.push_str(&format!("<td>{}</td>", escaped(cell))));
        out.push_str("</tr>");
    }
    out.push_str("</table>");
    out
}

fn provisions(dossier: &Value) -> String {
    let mut out = section("그날 시행된 조항과 범위", "Provisions in force that day, and ranges");
    for one in dossier.pointer("/provisions").and_then(Value::as_array).into_iter().flatten() {
        let at = |place: &str| text(one, place);
        out.push_str(&format!("<h3>{}</h3>", escaped(&at("/provision"))));
        out.push_str(&both("p", "p", &at("/ko"), &at("/en")));
        out.push_str("<table>");
        let pack = format!("{} {} · {}", at("/pack"), at("/version"), at("/id"));
        let rows = [
            ("팩", "pack", pack),
            ("출처", "source", at("/source")),
            ("확실성", "confidence", at("/confidence")),
            ("계산식", "formula", at("/formula")),
            ("입력", "inputs", at("/inputs")),
            ("범위", "range", format!("{} … {}", at("/range/low"), at("/range/high"))),
        ];
        rows.iter().for_each(|(ko, en, value)| out.push_str(&row(ko, en, value)));
        out.push_str("</table>");
    }
    out
}

fn steps(dossier: &Value) -> String {
    let mut out = section("경과", "Steps");
    out.push_str("<ul>");
    for one in dossier.pointer("/steps").and_then(Value::as_array).into_iter().flatten() {
        let said = format!("{} · {} · {}", text(one, "/type"), text(one, "/by"), text(one, "/at"));
        out.push_str(&format!("<li>{}</li>", escaped(&said)));
    }
    out.push_str("</ul>");
    out
}

/// A list of `{ko, en}`.
fn list(of: Option<&Value>) -> String {
    let items = of.and_then(Value::as_array).into_iter().flatten();
    let item = |one: &Value| both("li", "li", &text(one, "/ko"), &text(one, "/en"));
    format!("<ul>{}</ul>", items.map(item).collect::<String>())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_dossier_says_is_text_on_the_page() {
        let evil = "<script>alert(1)</script>\"'&";
        let dossier = serde_json::json!({
            "incident": evil, "accused": { "id": evil, "ko": evil }, "facts": { "about": evil },
            "lines": [{ "domain": evil }], "missing": [{ "ko": evil, "en": evil }],
            "steps": [{ "by": evil }], "provisions": [{ "provision": evil, "source": evil }],
        });
        let page = render(&dossier);
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }
}
