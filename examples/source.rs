//! A data holder that can be asked: `schemas/source.json` over a folder, on loopback.
//!
//! `holder FOLDER [PORT]` says `LISTEN url` and serves until it is ended. `FOLDER/items.json`
//! names what there is of whom: `{"ppid_...": [{"item", "purpose", "class", "categories",
//! "media_type", "file"}]}`; each `file` lies in the folder.
//!
//! Lacks what a real holder owes: TLS, and a certificate of whoever asks (both ends show
//! one), and a store; a ppid that it does not know has no items. Not part of the service.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::web;
use naru::ledger::hash;
use naru::model::id::Hash;
use naru::portability::pull;
use serde::Deserialize;
use serde_json::json;

/// What the folder says of one item.
#[derive(Clone, Deserialize)]
struct Has {
    item: String,
    purpose: String,
    class: String,
    categories: Vec<String>,
    media_type: String,
    file: String,
}

struct Folder {
    path: PathBuf,
    of: HashMap<String, Vec<Has>>,
}

#[derive(Deserialize)]
struct List {
    ppid: String,
    after: Option<String>,
    limit: usize,
}

#[derive(Deserialize)]
struct Original {
    ppid: String,
    item: String,
}

impl Folder {
    fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let of = serde_json::from_slice(&fs::read(path.join("items.json"))?)?;
        Ok(Self { path: path.to_owned(), of })
    }

    fn of(&self, ppid: &str) -> &[Has] {
        self.of.get(ppid).map_or(&[], Vec::as_slice)
    }

    /// The bytes of an item; a file outside the folder is none.
    fn read(&self, has: &Has) -> Option<Vec<u8>> {
        let plain = Path::new(&has.file).file_name().is_some_and(|name| name == has.file.as_str());
        plain.then(|| fs::read(self.path.join(&has.file)).ok()).flatten()
    }
}

async fn list(folder: web::Data<Folder>, asked: web::Json<List>) -> HttpResponse {
    let all = folder.of(&asked.ppid);
    let from = match &asked.after {
        None => 0,
        Some(after) => all.iter().position(|has| has.item == *after).map_or(all.len(), |at| at + 1),
    };
    let page: Vec<&Has> = all.iter().skip(from).take(asked.limit.clamp(1, pull::PAGE)).collect();
    let more = from + page.len() < all.len();
    let next = page.last().filter(|_| more).map(|has| has.item.clone());
    let row = |has: &&Has| {
        let bytes = folder.read(has)?;
        Some(json!({
            "item": has.item, "purpose": has.purpose, "class": has.class, "categories": has.categories,
            "media_type": has.media_type, "bytes": bytes.len(),
            "sha256": Hash(hash::sha256(&[&bytes])).to_string(),
        }))
    };
    let items: Vec<_> = page.iter().filter_map(row).collect();
    HttpResponse::Ok().json(json!({ "items": items, "next": next }))
}

async fn original(folder: web::Data<Folder>, asked: web::Json<Original>) -> HttpResponse {
    let has = folder.of(&asked.ppid).iter().find(|has| has.item == asked.item);
    match has.and_then(|has| folder.read(has)) {
        Some(bytes) => HttpResponse::Ok().content_type("application/octet-stream").body(bytes),
        None => HttpResponse::NotFound().finish(),
    }
}

/// Serves a folder until it is ended.
pub(crate) fn serve(folder: &Path, port: u16) -> Result<(), Box<dyn Error>> {
    let folder = web::Data::new(Folder::open(folder)?);
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("LISTEN http://{}", listener.local_addr()?);
    let app = move || {
        App::new()
            .app_data(folder.clone())
            .route(pull::LIST, web::post().to(list))
            .route(pull::ORIGINAL, web::post().to(original))
    };
    let served = HttpServer::new(app).workers(1).listen(listener)?.run();
    actix_web::rt::System::new().block_on(served)?;
    Ok(())
}

#[allow(dead_code, clippy::allow_attributes, reason = "a test takes the rest of this file")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: holder FOLDER [PORT]")?;
    let port: u16 = args.next().map_or(Ok(0), |port| port.parse())?;
    serve(Path::new(&folder), port)
}
