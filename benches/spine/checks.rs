//! Permission checks a second, beside a handler that only parses and answers, and beside PostgreSQL.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::web;
use mio::Events;
use mio::Poll;
use mio::Token;
use naru::identity::login;
use naru::model::id::Ppid;
use serde::Deserialize;
use serde::Serialize;

use crate::Size;
use crate::Table;
use crate::client;
use crate::client::Client;
use crate::client::Turn;
use crate::median;
use crate::postgres;
use crate::rate;
use crate::support::BANK;
use crate::support::CATEGORY;
use crate::support::ORIGIN;
use crate::support::PURPOSE;
use crate::support::nonce;
use crate::support::person_key;
use crate::support::sign;
use crate::support::signer;
use crate::writes;
use crate::writes::Ground;

const CONNECTIONS: usize = 32;
/// Short rounds and many: what is compared is compared within seconds, for the machine's rates swing.
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_secs(1);

/// What the plain handlers parse: the same members.
#[derive(Deserialize)]
pub struct Asked {
    pub subject: Named,
    pub action: Act,
    pub resource: Named,
}

#[derive(Deserialize)]
pub struct Named {
    pub id: String,
}

#[derive(Deserialize)]
pub struct Act {
    pub name: String,
    pub properties: Purpose,
}

#[derive(Deserialize)]
pub struct Purpose {
    pub purpose: String,
}

#[derive(Serialize)]
pub struct Told {
    pub decision: bool,
    pub reason: &'static str,
}

pub fn question(ppid: &Ppid) -> Vec<u8> {
    let mut text = serde_json::json!({
        "subject": {"type": "party", "id": "bank"},
        "action": {"name": "use", "properties": {"purpose": PURPOSE}},
        "resource": {"type": "person", "id": ppid.to_text(),
            "properties": {"class": "real-name", "categories": [CATEGORY]}},
    })
    .to_string()
    .into_bytes();
    // As large as the plain handler's: blanks at the end are JSON too.
    text.resize(300, b' ');
    text
}

/// An access token of the bank, by a client assertion.
pub fn token(ground: &Ground) -> String {
    let iat = ground.world.now().0 / 1_000;
    let jti = format!("{:?}", nonce());
    let (iss, sub) = ("bank".to_owned(), "bank".to_owned());
    let claims = login::Assertion { iss, sub, aud: ORIGIN.into(), jti, iat, exp: iat + 30 };
    ground.node.token_for_assertion(&login::sign_jwt(&claims, "JWT", &signer(BANK)).unwrap()).unwrap()
}

/// Requests a second, closed loop: each connection asks again as soon as it is answered, one thread serves
/// all of them. It must not go through them in step: then it sleeps for each answer in turn, and what
/// is measured is waking up.
pub fn closed_loop(addr: SocketAddr, head: &str, bodies: &[Vec<u8>], time: Duration) -> f64 {
    let mut poll = Poll::new().unwrap();
    let mut turns: Vec<_> = (0..CONNECTIONS).map(|n| Turn::new(addr, poll.registry(), Token(n))).collect();
    let mut events = Events::with_capacity(CONNECTIONS);
    let (mut n, mut bodies) = (0, bodies.iter().cycle());
    let start = Instant::now();
    turns.iter_mut().for_each(|turn| turn.send(head, bodies.next().unwrap()));
    while start.elapsed() < time {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            let turn = &mut turns[event.token().0];
            if let Some(status) = turn.answer() {
                assert_eq!(status, 200);
                n += 1;
                turn.send(head, bodies.next().unwrap());
            }
        }
    }
    rate(n, start.elapsed())
}

/// Latencies at a fixed rate, from the instant a request was due: waiting for a connection counts.
fn open_loop(addr: SocketAddr, head: &str, bodies: &[Vec<u8>], per_s: f64, time: Duration) -> Vec<f64> {
    let mut poll = Poll::new().unwrap();
    let mut turns: Vec<_> = (0..CONNECTIONS).map(|n| Turn::new(addr, poll.registry(), Token(n))).collect();
    let mut events = Events::with_capacity(CONNECTIONS);
    let mut free: Vec<usize> = (0..CONNECTIONS).collect();
    let (mut asked_at, mut bodies) = (vec![Instant::now(); CONNECTIONS], bodies.iter().cycle());
    let (mut sent, start) = (0u32, Instant::now());
    let gap = Duration::from_secs_f64(1.0 / per_s);
    let mut all = Vec::new();
    while free.len() < CONNECTIONS || start.elapsed() < time {
        let mut is_idle = true;
        while start + gap * sent <= Instant::now()
            && start.elapsed() < time
            && let Some(one) = free.pop()
        {
            asked_at[one] = start + gap * sent;
            turns[one].send(head, bodies.next().unwrap());
            (sent, is_idle) = (sent + 1, false);
        }
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        for event in &events {
            let one = event.token().0;
            if let Some(status) = turns[one].answer() {
                assert_eq!(status, 200);
                all.push(asked_at[one].elapsed().as_secs_f64() * 1e6);
                free.push(one);
                is_idle = false;
            }
        }
        if is_idle {
            // The poll's own patience is a millisecond at least.
            std::thread::sleep(Duration::from_micros(20));
        }
    }
    all.sort_by(f64::total_cmp);
    all
}

fn percentile(sorted: &[f64], p: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * p) as usize]
}

/// Serves one handler that only parses and answers.
fn plain() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        actix_web::rt::System::new()
            .block_on(
                HttpServer::new(|| {
                    App::new().route(
                        "/",
                        web::post().to(|asked: web::Json<Asked>| async move {
                            let long = asked.subject.id.len() + asked.resource.id.len() > 3;
                            let known =
                                !asked.action.name.is_empty() && asked.action.properties.purpose.len() > 3;
                            HttpResponse::Ok().json(Told { decision: long && known, reason: "CONSENT_GIVEN" })
                        }),
                    )
                })
                .workers(2)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run(),
            )
            .unwrap();
    });
    addr
}

/// Enrols people who grant; answers their ppids.
fn prepared(ground: &Ground, addr: SocketAddr, people: u64) -> Vec<Ppid> {
    let creates = writes::on_both(0..people, |n| sign(&ground.world.key_create(), &person_key(n)));
    writes::send(addr, &creates);
    let ppids = writes::ppids(ground, 0..people);
    let grants = writes::on_both(0..people, |n| {
        sign(&ground.world.grant(ppids[n as usize], None).into(), &person_key(n))
    });
    writes::send(addr, &grants);
    ppids
}

/// All ask about people who did consent: each is answered so, first and last.
fn permits(addr: SocketAddr, head: &str, bodies: &[Vec<u8>]) {
    let mut client = Client::new(addr);
    for body in bodies.iter().take(1).chain(bodies.last()) {
        assert_eq!(client.post(head, body), 200);
        assert!(client.body.starts_with(b"{\"decision\":true"));
    }
}

pub fn run(table: &mut Table, size: Size) {
    let people: u64 = if size == Size::Quick { 10_000 } else { 100_000 };
    let time = Duration::from_secs(if size == Size::Quick { 2 } else { 5 });
    let (ground, logged) = (Ground::new(), Ground::with(true));
    let (running, log_running) = (ground.serve(), logged.serve());
    let ppids = prepared(&ground, running.addr(), people);
    let log_ppids = prepared(&logged, log_running.addr(), people);
    let log_bodies: Vec<_> = log_ppids.iter().map(question).collect();
    let bodies: Vec<_> = ppids.iter().map(question).collect();
    let head = client::head("/access/v1/evaluation", "application/json", Some(&token(&ground)));
    let log_head = client::head("/access/v1/evaluation", "application/json", Some(&token(&logged)));
    let plain_head = client::head("/", "application/json", None);
    let noted_head = client::head("/noted", "application/json", None);
    let plain = plain();
    let database = postgres::start(&ppids);
    permits(running.addr(), &head, &bodies);
    permits(log_running.addr(), &log_head, &log_bodies);
    for head in database.iter().flat_map(|_| [&plain_head, &noted_head]) {
        permits(database.as_ref().unwrap().addr, head, &bodies);
    }
    let [mut rates, mut logs, mut limits, mut others, mut noted] = [const { Vec::new() }; 5];
    for _ in 0..if size == Size::Quick { 3 } else { ROUNDS } {
        limits.push(closed_loop(plain, &plain_head, &bodies, ROUND));
        rates.push(closed_loop(running.addr(), &head, &bodies, ROUND));
        logs.push(logged.syncing(|| closed_loop(log_running.addr(), &log_head, &log_bodies, ROUND)));
        if let Some(database) = &database {
            others.push(closed_loop(database.addr, &plain_head, &bodies, ROUND));
            noted.push(closed_loop(database.addr, &noted_head, &bodies, ROUND));
        }
    }
    let value = median(&mut rates.clone());
    let mut beside = |what: &str, rates: &[f64], limits: &[f64], limit: &str| {
        let ratio = median(&mut rates.iter().zip(limits).map(|(a, b)| a / b).collect::<Vec<_>>());
        let (value, most) = (median(&mut rates.to_vec()), median(&mut limits.to_vec()));
        table.row(what, &format!("{value:.0}"), &format!("{most:.0} {limit}"), &format!("{ratio:.2}"));
    };
    let what = format!("checks/s over HTTP, {people} consents (required 0.5, goal 0.8)");
    let parsing = "requests/s of a handler that parses 300 bytes of JSON";
    beside(&what, &rates, &limits, parsing);
    beside("the same, each leaving a use line (required 0.5)", &logs, &limits, parsing);
    beside("the same beside those that leave none (required 0.9)", &logs, &rates, "without");
    if others.is_empty() {
        table.row("checks beside PostgreSQL (required 3)", "-", "no PostgreSQL 15 on this machine", "-");
    } else {
        let pool = "of a handler that asks PostgreSQL through a pool";
        beside("checks beside PostgreSQL (required 3)", &rates, &others, pool);
        beside("checks with a use line beside the same (required 3)", &logs, &others, pool);
        let leaving = format!("{pool} and leaves a row, its commit not waited for");
        beside("checks with a use line beside PostgreSQL that leaves a row, too", &logs, &noted, &leaving);
    }
    let half = value / 2.0;
    let mut latency = |what: &str, latencies: &[f64]| {
        let p = |p| percentile(latencies, p);
        let value = format!("{:.0} / {:.0} / {:.0} µs", p(0.5), p(0.99), p(0.999));
        table.row(what, &value, &format!("{half:.0} due/s, waiting counts"), "-");
    };
    let what = "a check at half the top rate: p50 / p99 / p99.9";
    latency(what, &open_loop(running.addr(), &head, &bodies, half, time));
    let with_line = || open_loop(log_running.addr(), &log_head, &log_bodies, half, time);
    latency("the same at the same rate, each leaving a use line", &logged.syncing(with_line));
    withdraw_to_deny(table, &ground, &ppids, running.addr(), &head);
}

/// From sending a withdrawal to the first check that says no: the very next one must.
fn withdraw_to_deny(table: &mut Table, ground: &Ground, ppids: &[Ppid], addr: SocketAddr, head: &str) {
    let n = ppids.len().min(1_000);
    let items: Vec<_> =
        (0..n).map(|i| sign(&ground.world.withdraw(ppids[i]), &person_key(i as u64))).collect();
    let statement = client::head("/v1/statements", "application/cose", None);
    let mut client = Client::new(addr);
    let mut times: Vec<f64> = items
        .iter()
        .zip(ppids)
        .map(|(item, ppid)| {
            let start = Instant::now();
            assert_eq!(client.post(&statement, item), 201);
            assert_eq!(client.post(head, &question(ppid)), 200);
            assert!(client.body.starts_with(b"{\"decision\":false"));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    table.row(
        "withdraw, then the next check says no: p50 / p99",
        &format!("{:.2} / {:.2} ms", percentile(&times, 0.5), percentile(&times, 0.99)),
        &format!("{n} one after another, each durable before it is answered"),
        "-",
    );
}
