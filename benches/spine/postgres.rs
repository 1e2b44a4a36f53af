//! What a user would pick instead: a consent table in plain PostgreSQL 15, asked through a pool.
//!
//! A private cluster in a temporary folder, on a socket; started and stopped here.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::web;
use deadpool_postgres::Config;
use deadpool_postgres::Pool;
use deadpool_postgres::Runtime;
use naru::model::id::Ppid;
use tokio_postgres::NoTls;

use crate::checks::Asked;
use crate::checks::Told;
use crate::support::PURPOSE;

pub struct Database {
    pub addr: SocketAddr,
    dir: tempfile::TempDir,
}

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// PostgreSQL does not run as root: then as `postgres`.
fn as_owner(program: &str, args: &[&str]) -> bool {
    let program = format!("{BIN}/{program}");
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", &program]);
        command
    } else {
        Command::new(&program)
    };
    command.args(args).stdout(std::process::Stdio::null()).status().is_ok_and(|s| s.success())
}

impl Drop for Database {
    fn drop(&mut self) {
        as_owner("pg_ctl", &["-D", &data(self.dir.path()).to_string_lossy(), "-m", "immediate", "stop"]);
    }
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// The table holds a consent of each of `people`.
pub fn start(people: &[Ppid]) -> Option<Database> {
    let people: Vec<String> = people.iter().map(Ppid::to_text).collect();
    if !Path::new(BIN).exists() {
        return None;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::os::unix::fs::chown(dir.path(), owner(), owner()).ok()?;
    let data = data(dir.path()).to_string_lossy().into_owned();
    let socket = dir.path().to_string_lossy().into_owned();
    let options = format!(
        "-k {socket} -c listen_addresses='' -c shared_buffers=512MB -c max_connections=64 \
         -c synchronous_commit=off"
    );
    let up = as_owner("initdb", &["-D", &data, "-U", "bench", "-A", "trust", "--no-sync"])
        && as_owner("pg_ctl", &["-D", &data, "-o", &options, "-w", "-l", &format!("{socket}/log"), "start"]);
    assert!(up, "PostgreSQL is there but does not start");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (ready, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let config = Config {
                host: Some(socket),
                user: Some("bench".into()),
                dbname: Some("postgres".into()),
                ..Config::default()
            };
            let pool = config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap();
            fill(&pool, &people).await;
            ready.send(()).unwrap();
            HttpServer::new(move || {
                App::new()
                    .app_data(web::Data::new(pool.clone()))
                    .route("/", web::post().to(ask))
                    .route("/noted", web::post().to(ask_and_note))
            })
            .workers(2)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run()
            .await
            .unwrap();
        });
    });
    wait.recv().unwrap();
    Some(Database { addr, dir })
}

/// The uid of `postgres`, or one's own.
fn owner() -> Option<u32> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|l| l.strip_prefix("postgres:x:")?.split(':').next()?.parse().ok())
}

async fn fill(pool: &Pool, people: &[String]) {
    let client = pool.get().await.unwrap();
    client
        .batch_execute(
            "create table consent (subject text, controller text, purpose text, action text, state text,
                keep_until bigint, primary key (subject, controller, purpose, action));
             create table used (at timestamptz, subject text, controller text, purpose text, action text)",
        )
        .await
        .unwrap();
    client
        .execute(
            "insert into consent select ppid, 'bank', $2, 'use', 'granted', 1e15::bigint from unnest($1::text[]) ppid",
            &[&people, &PURPOSE],
        )
        .await
        .unwrap();
    client.batch_execute("vacuum analyze consent").await.unwrap();
}

const QUESTION: &str = "select state, keep_until from consent where subject = $1 and controller = $2 and purpose = $3 and action = $4";

/// The question answered from the table.
async fn ask(pool: web::Data<Pool>, asked: web::Json<Asked>) -> HttpResponse {
    answer(&pool, &asked, QUESTION).await
}

/// The same, leaving a row of who asked what: one round trip, and nobody waits for the disk.
async fn ask_and_note(pool: web::Data<Pool>, asked: web::Json<Asked>) -> HttpResponse {
    let noting = format!("with noted as (insert into used values (now(), $1, $2, $3, $4)) {QUESTION}");
    answer(&pool, &asked, &noting).await
}

async fn answer(pool: &Pool, asked: &Asked, question: &str) -> HttpResponse {
    let client = pool.get().await.unwrap();
    let question = client.prepare_cached(question).await.unwrap();
    let now = 1_764_000_000_000i64;
    let row = client
        .query_opt(
            &question,
            &[&asked.resource.id, &asked.subject.id, &asked.action.properties.purpose, &asked.action.name],
        )
        .await
        .unwrap();
    let decision = row.is_some_and(|r| r.get::<_, &str>(0) == "granted" && r.get::<_, i64>(1) > now);
    HttpResponse::Ok().json(Told { decision, reason: "CONSENT_GIVEN" })
}
