//! `/v1/events`: pages, waiting, and streams that go on where the last one ended.

use std::io::BufRead;
use std::io::BufReader;
use std::time::Duration;

use naru::http::Feeding;
use naru::model::id::Ppid;
use naru::model::statement::Kind;
use naru::model::statement::PartySucceed;
use naru::model::statement::Statement;

use crate::*;

/// One block of a stream: its lines, without the empty one that ends it.
type Block = Vec<String>;

/// An open stream.
struct Stream(BufReader<ureq::BodyReader<'static>>);

impl Stream {
    /// The next block; empty when the stream has ended.
    fn block(&mut self) -> Block {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 || line == "\n" {
                return lines;
            }
            lines.push(line.trim_end().to_owned());
        }
    }

    /// The next event: its id and its data.
    fn event(&mut self) -> (u64, serde_json::Value) {
        loop {
            let block = self.block();
            assert!(!block.is_empty(), "the stream has ended");
            if let [id, data] = &block[..]
                && let (Some(id), Some(data)) = (id.strip_prefix("id: "), data.strip_prefix("data: "))
            {
                return (id.parse().unwrap(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

fn feeding(mut options: http::Options, change: impl FnOnce(&mut Feeding)) -> http::Options {
    change(&mut options.feeding);
    options
}

impl Served {
    fn stream(&self, token: &str, last: Option<u64>) -> Stream {
        let mut request = agent()
            .get(self.url("/v1/events"))
            .header("accept", "text/event-stream")
            .header("authorization", format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.call().unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Stream(BufReader::new(response.into_body().into_reader()));
        assert_eq!(stream.block(), ["retry: 3000"]);
        stream
    }

    /// Enrols person `n`; answers her ppid at the bank.
    fn enrol(&self, n: u64) -> Ppid {
        assert_eq!(self.statement(&sign(&self.world.key_create(), &person_key(n))).status, 201);
        self.node.ppid(&key_hash(&person_key(n)), Some(&party("bank"))).unwrap().unwrap()
    }

    fn grant(&self, n: u64, ppid: Ppid) -> u64 {
        let reply = self.statement(&sign(&self.world.grant(ppid, None).into(), &person_key(n)));
        assert_eq!(reply.status, 201);
        self.node.sequenced() - 1
    }

    fn withdraw(&self, n: u64, ppid: Ppid) -> u64 {
        assert_eq!(self.statement(&sign(&self.world.withdraw(ppid), &person_key(n))).status, 201);
        self.node.sequenced() - 1
    }
}

#[test]
fn a_page_is_thin_and_goes_on_by_its_index() {
    let served = Served::new();
    let ppid = served.enrol(1);
    let bank = served.party("bank", BANK);
    let (granted, gone) = (served.grant(1, ppid), served.withdraw(1, ppid));
    let reply = served.get("/v1/events?limit=1", Some(&bank));
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"));
    let page = reply.json();
    let at = served.world.now().rounded_to(200).0;
    assert_eq!(
        page["events"],
        serde_json::json!([{"index": granted, "at": at, "type": "consent.grant", "ppid": ppid.to_text(),
            "purpose": PURPOSE, "class": "real-name"}])
    );
    assert_eq!((&page["after"], &page["as_of"]), (&granted.into(), &(gone + 1).into()));
    let next = served.get(&format!("/v1/events?after={granted}"), Some(&bank)).json();
    assert_eq!(
        (&next["events"][0]["index"], &next["events"][0]["type"]),
        (&gone.into(), &"consent.withdraw".into())
    );
    assert_eq!(next["after"], gone);
    let last = served.get(&format!("/v1/events?after={gone}"), Some(&bank)).json();
    assert_eq!((last["events"].as_array().unwrap().len(), &last["after"]), (0, &gone.into()));
    // Nothing of others.
    let hospital = served.party("hospital", HOSPITAL);
    let theirs = served.get("/v1/events", Some(&hospital));
    assert!(theirs.json()["events"].as_array().unwrap().is_empty());
    assert!(!String::from_utf8(theirs.body).unwrap().contains("ppid_"));
    // What is no index of this log, and what is no index at all.
    let code = |query: &str| served.get(&format!("/v1/events?{query}"), Some(&bank)).json()["code"].clone();
    assert_eq!(code(&format!("after={}", gone + 1)), "index-ahead");
    assert_eq!(code(&format!("after={}", u64::MAX)), "index-ahead");
    for query in ["after=-1", "after=x", "wait=soon", "limit=all", "before=1"] {
        assert_eq!(code(query), "bad-query", "{query}");
    }
    // A suspended party is told nothing.
    let suspend: Statement = naru::model::statement::PartySuspend {
        v: V1,
        kind: Kind::PartySuspend,
        iat: served.world.now(),
        nonce: nonce(),
        party: party("bank"),
        until: None,
        case: "1".into(),
    }
    .into();
    assert_eq!(served.statement(&sign(&suspend, &signer(REGULATOR))).status, 201);
    assert_eq!(code("after=0"), "party-suspended");
}

#[test]
fn who_waits_is_answered_by_the_act_itself() {
    let served = Served::new();
    let ppid = served.enrol(1);
    let bank = served.party("bank", BANK);
    let granted = served.grant(1, ppid);
    let page = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| served.get(&format!("/v1/events?after={granted}&wait=30"), Some(&bank)).json());
        // Acts of others do not end the wait, hers does: whichever comes first, the page is the same.
        served.enrol(2);
        let gone = served.withdraw(1, ppid);
        let page = waiting.join().unwrap();
        assert_eq!(page["events"][0]["index"], gone);
        page
    });
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
}

#[test]
fn a_wait_without_news_ends_by_itself_and_has_moved_on() {
    let served = Served::with(|options| feeding(options, |feeding| feeding.wait = Duration::from_millis(1)));
    let bank = served.party("bank", BANK);
    served.enrol(1);
    let page = served.get("/v1/events?after=0&wait=30", Some(&bank)).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 0);
    assert_eq!(page["after"], served.node.sequenced() - 1);
}

#[test]
fn a_stream_tells_each_act_once_and_another_goes_on_where_it_ended() {
    let served = Served::new();
    let ppid = served.enrol(1);
    let bank = served.party("bank", BANK);
    let granted = served.grant(1, ppid);
    let mut stream = served.stream(&bank, None);
    let (id, told) = stream.event();
    assert_eq!(
        (id, &told["type"], &told["ppid"]),
        (granted, &"consent.grant".into(), &ppid.to_text().into())
    );
    // While it is open, at once.
    let gone = served.withdraw(1, ppid);
    assert_eq!(stream.event().0, gone);
    drop(stream);
    let again = served.withdraw(1, ppid);
    let mut stream = served.stream(&bank, Some(gone));
    assert_eq!(stream.event().0, again);
    let request = agent().get(served.url("/v1/events")).header("accept", "text/event-stream");
    let request = request.header("authorization", format!("Bearer {bank}")).header("last-event-id", "x");
    assert_eq!(reply(request.call().unwrap()).json()["code"], "bad-query");
}

#[test]
fn a_quiet_stream_gives_signs_of_life_that_move_it_on_and_ends_with_its_token() {
    let served = Served::with(|options| {
        feeding(options, |feeding| {
            feeding.heartbeat = Duration::from_millis(1);
            feeding.life = Duration::from_millis(300);
        })
    });
    let bank = served.party("bank", BANK);
    let head = served.node.sequenced() - 1;
    let mut stream = served.stream(&bank, None);
    assert_eq!(stream.block(), [":".to_owned(), format!("id: {head}")]);
    while !stream.block().is_empty() {}
}

#[test]
fn a_party_holds_a_few_feeds_open_and_no_more() {
    let served = Served::with(|options| feeding(options, |feeding| feeding.per_party = 2));
    let bank = served.party("bank", BANK);
    let hospital = served.party("hospital", HOSPITAL);
    let (one, _two) = (served.stream(&bank, None), served.stream(&bank, None));
    let refused = served.get("/v1/events", Some(&bank));
    assert_eq!((refused.status, refused.header("retry-after")), (429, "1"));
    assert_eq!(refused.json()["code"], "too-many-listeners");
    assert_eq!(served.get("/v1/events", Some(&hospital)).status, 200, "others have their own");
    // Closed, its place comes back: the server sees it when it writes next.
    drop(one);
    let ppid = served.enrol(1);
    served.grant(1, ppid);
    while served.get("/v1/events", Some(&bank)).status == 429 {
        served.withdraw(1, ppid);
    }
}

#[test]
fn a_stopping_server_keeps_nobody_waiting() {
    let served =
        Served::with(|options| http::Options { stop_patience: Duration::from_secs(3_600), ..options });
    let bank = served.party("bank", BANK);
    let mut stream = served.stream(&bank, None);
    let head = served.node.sequenced() - 1;
    let url = served.url(&format!("/v1/events?after={head}&wait=30"));
    let waiting = std::thread::spawn(move || {
        // It may come before the stop or after it: answered, or not taken any more.
        agent().get(url).header("authorization", format!("Bearer {bank}")).call().map(|r| r.status().as_u16())
    });
    served.running.stop().unwrap();
    while !stream.block().is_empty() {}
    if let Ok(status) = waiting.join().unwrap() {
        assert_eq!(status, 200);
    }
}

#[test]
fn a_successor_hears_what_concerned_the_party_it_follows() {
    let served = Served::new();
    assert_eq!(served.statement(&sign(&served.world.key_create(), &person_key(1))).status, 201);
    let ppid = served.node.ppid(&key_hash(&person_key(1)), Some(&party("bank"))).unwrap().unwrap();
    let grant = sign(&served.world.grant(ppid, None).into(), &person_key(1));
    assert_eq!(served.statement(&grant).status, 201);
    let from = served.world.now().plus_ms(60_000);
    let succeed: Statement = PartySucceed {
        v: V1,
        kind: Kind::PartySucceed,
        iat: served.world.now(),
        nonce: nonce(),
        party: party("bank"),
        successor: party("hospital"),
        from,
    }
    .into();
    let item = endorse(&sign(&succeed, &signer(BANK)), OPERATOR);
    assert_eq!(served.statement(&item).status, 201);
    let hospital = served.party("hospital", HOSPITAL);
    let heard = || served.get("/v1/events?controller=bank", Some(&hospital));
    let reply = heard();
    assert_eq!((reply.status, reply.json()["code"].clone()), (403, "other-domain".into()));
    served.world.clock.set(from);
    assert_eq!(served.statement(&sign(&served.world.withdraw(ppid), &person_key(1))).status, 201);
    let events = heard().json()["events"].clone();
    let last = events.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["type"], &last["ppid"]), (&"consent.withdraw".into(), &ppid.to_text().into()));
    assert_eq!(served.get("/v1/events?controller=idp", Some(&hospital)).status, 403);
    assert_eq!(served.get("/v1/events", Some(&hospital)).json()["events"], serde_json::json!([]));
}
