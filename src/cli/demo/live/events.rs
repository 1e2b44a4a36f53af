//! A party follows what happens to the persons it knows: nothing is asked twice, nothing is missed.

use serde_json::Value;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::draw::Act;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::short;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::TELECOM;
use crate::cli::demo::story::grant;
use crate::cli::demo::words;
use crate::node::clock::Watch;

impl Live<'_> {
    /// The telecom notes where the log stands; she grants and withdraws; the telecom reads on.
    pub(super) fn events(&mut self, life: &mut Life) -> Result<(), Error> {
        self.says(words::EVENTS);
        self.curl("/oauth/token", "-d @telecom.form");
        self.tells(words::TOKEN, &[&self.party_token(TELECOM)?, &"telecom.auth"]);
        let path = "/v1/events?limit=1";
        self.curl(path, "-H @telecom.auth");
        let page = self.get(path, TELECOM)?.expect("events", 200)?.json()?;
        let after = wire::number(&page, "/as_of").saturating_sub(1);
        self.tells(words::EVENTS_FROM, &[&after]);

        let granted = self.prepare("line", grant(Offered::Line, 30), life)?;
        self.hands_in(words::LINE, "line", 201)?;
        life.last.insert(Offered::Line, granted);
        let withdrawn = self.prepare("line-ends", Act::Withdraw(Offered::Line), life)?;
        let watch = Watch::start();
        self.hands_in(words::LINE_ENDS, "line-ends", 201)?;
        life.last.insert(Offered::Line, withdrawn);

        let path = format!("/v1/events?after={after}");
        self.says(words::NEWS);
        self.curl(&path, "-H @telecom.auth");
        let page = self.get(&path, TELECOM)?.expect("events", 200)?.json()?;
        let ms = format!("{:.1}", watch.elapsed().as_secs_f64() * 1e3);
        let events = page.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for one in events {
            let text = |pointer| wire::text(one, pointer);
            let (index, name) = (wire::number(one, "/index"), short(text("/ppid")));
            self.result(format!("{index}  {}  {name}  {}", text("/type"), text("/purpose")));
        }
        self.tells(words::NEWS_SOON, &[&ms]);
        let hers = life.ppid(Some(TELECOM))?.to_text();
        let last = events.last().map(|one| (wire::text(one, "/type"), wire::text(one, "/ppid")));
        if events.len() == 2 && last == Some(("consent.withdraw", &hers)) {
            Ok(())
        } else {
            Err(wrong("events", page))
        }
    }
}
