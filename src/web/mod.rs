//! EDGE. The pages of a person: `/me`, in Korean and English. All routes stand in [`ROUTES`].
//!
//! Files carried in the binary, under a policy that lets nothing else run: no inline
//! script or style, nothing from another host, no markup made from text, no frame, no
//! cookie. The page talks to the same routes as everybody, so it can do nothing that a
//! program of hers could not. Lacks, on purpose: state, sessions, rules of consent, and
//! data of persons (those the page reads by itself, with a token that lives in it).
//!
//! Trusted: the browser, to keep keys; and by her, this server, to send the script that
//! it has in its binary (a known limit of every page that signs).

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde::Deserialize;
use serde_json::json;

use crate::http::Role::Anyone;
use crate::http::Route;
use crate::http::Shared;

/// Every route of this module.
pub const ROUTES: &[Route] = &[
    Route::get("/me", &[Anyone], |r| r.to(me)),
    Route::get("/me/place", &[Anyone], |r| r.to(place)),
    Route::get("/me/bytes.js", &[Anyone], |r| r.to(|| file(SCRIPT, include_str!("page/bytes.js")))),
    Route::get("/me/words.js", &[Anyone], |r| r.to(|| file(SCRIPT, include_str!("page/words.js")))),
    Route::get("/me/keys.js", &[Anyone], |r| r.to(|| file(SCRIPT, include_str!("page/keys.js")))),
    Route::get("/me/me.js", &[Anyone], |r| r.to(|| file(SCRIPT, include_str!("page/me.js")))),
    Route::get("/me/me.css", &[Anyone], |r| r.to(|| file(STYLE, include_str!("page/me.css")))),
];

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// What stands in the head of every answer of this module.
///
/// `img-src data:` is the empty icon, which keeps browsers from asking for another.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    ("permissions-policy", "publickey-credentials-create=(self), publickey-credentials-get=(self)"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    // A page that signs is the one of this binary, not an older one.
    ("cache-control", "no-store"),
];

fn answer(media: &'static str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.content_type(media);
    for header in HEADERS {
        answer.insert_header(header);
    }
    answer
}

async fn file(media: &'static str, text: &'static str) -> HttpResponse {
    answer(media).body(text)
}

/// A language the page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lang {
    Ko,
    En,
}

impl Lang {
    /// The first of `Accept-Language` that the page speaks, in the order sent; else Korean.
    fn preferred(accepted: &str) -> Self {
        let known = accepted.split(',').find_map(|range| match range.trim().get(..2) {
            Some("ko") => Some(Self::Ko),
            Some("en") => Some(Self::En),
            Some(_) | None => None,
        });
        known.unwrap_or(Self::Ko)
    }

    const fn page(self) -> &'static str {
        match self {
            Self::Ko => include_str!("page/me.ko.html"),
            Self::En => include_str!("page/me.en.html"),
        }
    }
}

#[derive(Deserialize)]
struct Query {
    lang: Option<Lang>,
}

/// `GET /me`: the page; `lang` chooses, else the browser's own.
async fn me(request: HttpRequest) -> HttpResponse {
    let asked = web::Query::<Query>::from_query(request.query_string()).ok().and_then(|query| query.lang);
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let lang = asked.unwrap_or_else(|| Lang::preferred(accepted.unwrap_or_default()));
    answer(HTML).insert_header((header::VARY, "accept-language")).body(lang.page())
}

/// `GET /me/place`: which log this is, and where its passkeys live.
async fn place(shared: web::Data<Shared>) -> HttpResponse {
    let settings = shared.node().settings();
    answer("application/json").json(json!({ "origin": settings.origin, "rp_id": settings.relying.id }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What stands in double quotes after each `mark`.
    fn quoted<'a>(text: &'a str, mark: &str) -> BTreeSet<&'a str> {
        text.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn both_languages_have_the_same_places_and_the_script_knows_each() {
        let [ko, en] = [Lang::Ko, Lang::En].map(Lang::page);
        let ids = quoted(ko, " id=\"");
        assert_eq!(ids, quoted(en, " id=\""));
        for script in [include_str!("page/me.js"), include_str!("page/keys.js")] {
            for used in script.split("$('").skip(1).map(|rest| rest.split('\'').next().unwrap()) {
                assert!(ids.contains(used), "no place `{used}`");
            }
        }
        assert!(ko.contains("<html lang=\"ko\">") && en.contains("<html lang=\"en\">"));
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for page in [Lang::Ko, Lang::En].map(Lang::page) {
            assert!(!page.contains(" style=") && !page.contains("<style"));
            let handler = |word: &str| word.starts_with("on") && word.contains('=');
            assert!(!page.split_whitespace().any(handler));
            for script in page.split("<script").skip(1) {
                assert!(script.split_once("></script>").is_some_and(|(tag, _)| tag.contains(" src=\"/me/")));
            }
            for address in quoted(page, "href=\"").into_iter().chain(quoted(page, "src=\"")) {
                assert!(address.starts_with('/') || address.starts_with('#') || address == "data:,");
                assert!(!address.starts_with("//"));
            }
        }
        for script in ["page/bytes.js", "page/words.js", "page/keys.js", "page/me.js"].map(|name| {
            std::fs::read_to_string(format!("{}/src/web/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
        }) {
            for never in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "cookie", "://", "toJSON"]
            {
                assert!(!script.contains(never), "{never}");
            }
        }
    }

    #[test]
    fn the_first_language_that_is_spoken_is_taken() {
        for (accepted, lang) in [
            ("", Lang::Ko),
            ("fr", Lang::Ko),
            ("en-GB,en;q=0.9,ko;q=0.8", Lang::En),
            ("fr-FR, ko-KR;q=0.9, en;q=0.8", Lang::Ko),
            ("\u{d55c}", Lang::Ko),
        ] {
            assert_eq!(Lang::preferred(accepted), lang, "{accepted}");
        }
    }
}
