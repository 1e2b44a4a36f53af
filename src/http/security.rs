//! `/.well-known/security.txt`: where to tell of a weakness. Source: RFC 9116.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::sort;

/// What the file says; the configuration has checked both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// URIs, the preferred one first.
    pub contacts: Vec<String>,
    /// RFC 3339, in UTC: after it the file is worth nothing.
    pub expires: String,
}

impl Security {
    /// The file, as it stands at `base_url`.
    fn text(&self, base_url: &str) -> String {
        let mut text = String::new();
        for contact in &self.contacts {
            text.push_str(&format!("Contact: {contact}\n"));
        }
        let expires = &self.expires;
        text.push_str(&format!("Expires: {expires}\nPreferred-Languages: ko, en\n"));
        text.push_str(&format!("Canonical: {base_url}/.well-known/security.txt\n"));
        text
    }
}

/// `GET /.well-known/security.txt`
pub(in crate::http) async fn text(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let unset = || Problem::new(sort::NOT_FOUND, "the operator has named no contact");
    let text = shared.security.as_ref().ok_or_else(unset)?.text(&shared.base_url);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(text))
}
