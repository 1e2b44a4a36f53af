//! Notices as a person's page reads them: what a controller asks, and where its words are.
//!
//! All of it stands in the public log, too; here it is in one answer. Lacks: the words
//! themselves, which are attachments, checked by whoever shows them.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::sort;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::statement::Audience;
use crate::model::statement::NoticePublish;
use crate::model::statement::NoticePurpose;

#[derive(Serialize)]
struct Text {
    locale: String,
    audience: Audience,
    media_type: String,
    length: u64,
    /// What a grant names as the text shown.
    hash: String,
    address: String,
}

#[derive(Serialize)]
pub(in crate::http) struct Notice {
    id: String,
    name: String,
    version: u32,
    texts: Vec<Text>,
    purposes: Vec<NoticePurpose>,
}

impl Notice {
    /// What it says, of those purposes that are wanted.
    pub(in crate::http) fn of(
        id: StatementId,
        says: &NoticePublish,
        wanted: impl Fn(&NoticePurpose) -> bool,
    ) -> Self {
        let texts = says.texts.iter().map(|text| Text {
            locale: text.locale.clone(),
            audience: text.audience,
            media_type: text.media_type.clone(),
            length: text.length,
            hash: text.hash.to_string(),
            address: format!("/log/attachments/{}", text.hash),
        });
        Self {
            id: id.to_string(),
            name: says.name.clone(),
            version: says.version,
            texts: texts.collect(),
            purposes: says.purposes.iter().filter(|purpose| wanted(purpose)).cloned().collect(),
        }
    }
}

#[derive(Serialize)]
pub(in crate::http) struct Controller {
    pub(in crate::http) id: PartyId,
    pub(in crate::http) name_ko: String,
    pub(in crate::http) name_en: String,
}

#[derive(Serialize)]
struct Notices {
    controller: Controller,
    /// Where it is established; none if it did not say.
    jurisdiction: Option<String>,
    notices: Vec<Notice>,
}

/// `GET /v1/parties/{id}/notices`
pub(in crate::http) async fn of_party(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::new(sort::PARTY_NOT_FOUND, "no party of that name is registered");
    let id = request.match_info().get("id").and_then(PartyId::parse).ok_or_else(unknown)?;
    let register = shared.node.register();
    let party = register.party(&id).ok_or_else(unknown)?;
    let live = register.notices().filter(|n| n.retired.is_none() && n.says.controller == id);
    let notices = live.map(|notice| Notice::of(notice.id, &notice.says, |_| true)).collect();
    let controller = Controller { name_ko: party.name_ko.clone(), name_en: party.name_en.clone(), id };
    Ok(HttpResponse::Ok().json(Notices { controller, jurisdiction: party.jurisdiction.clone(), notices }))
}
