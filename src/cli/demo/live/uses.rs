//! The check is the evidence: a use line proven, the person's own view, uses counted.

use serde_json::Value;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::draw::Act;
use crate::cli::demo::export;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::short;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wire::CITIZEN;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::words;
use crate::model::decision::Reason;

impl Live<'_> {
    /// What the bank was told, proven offline; then what the person sees of it.
    pub(super) fn uses(&mut self, decision: &str) -> Result<(), Error> {
        let path = format!("/v1/decisions/{decision}/evidence");
        self.says(words::DECISION);
        self.named("ID", decision);
        self.curl("/v1/decisions/$ID/evidence", "-H @bank.auth -o decision.cbor");
        let answer = self.await_it(&path, BANK, |answer| answer.status == 200)?;
        let bytes = &answer.expect("decision evidence", 200)?.body;
        self.write("decision.cbor", bytes)?;
        let proven = export::verify_decision(self.world, bytes)?;
        let kept = |who: &str| self.out.join(format!("uselog/live-{}-{who}.cbor", proven.line.told.as_str()));
        export::write(&kept("asker"), bytes)?;
        self.verify_line("decision.cbor");
        let (told, batch) = (proven.line.told.as_str(), proven.batch.number);
        self.tells(words::DECISION_PROVEN, &[&told, &batch, &proven.opened.index]);
        if !proven.batch.gaps.is_empty() {
            self.tells(words::GAP, &[]);
        }
        // She gets the same line, and of a denial also what was really decided.
        let hers = self.get(&path, CITIZEN)?;
        let hers = &hers.expect("decision evidence", 200)?.body;
        export::verify_decision(self.world, hers)?;
        export::write(&kept("person"), hers)?;

        let path = "/v1/subjects/me/uses";
        self.says(words::OWN_VIEW);
        self.curl(path, "-H @citizen.auth");
        let answer = self.get(path, CITIZEN)?;
        let view = answer.expect("own view", 200)?.json()?;
        let pretty = serde_json::to_string_pretty(&view)? + "\n";
        export::write(&self.out.join("uselog/mine.json"), pretty.as_bytes())?;
        let uses = view.get("uses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for one in uses.iter().take(SHOWN) {
            let text = |pointer| wire::text(one, pointer);
            self.result(format!(
                "{}  {}  {}  {}  {}",
                short(text("/id")),
                text("/asker"),
                text("/purpose"),
                text("/told"),
                text("/rule")
            ));
        }
        self.tells(words::OWN_VIEW_ALL, &[&uses.len(), &"uselog/mine.json"]);
        let found = uses.iter().any(|one| wire::text(one, "/id") == decision);
        if found { Ok(()) } else { Err(wrong("own view", "the bank's check is not in it")) }
    }

    /// A grant of three uses: each has a name; the same name again is the same use; the fourth is denied.
    pub(super) fn counted(&mut self, life: &mut Life) -> Result<(), Error> {
        let limited = Act::Grant { offered: Offered::Account, optional: 0, days: 30, limited: true };
        self.prepare("limited", limited, life)?;
        self.hands_in(words::LIMITED, "limited", 201)?;
        self.says(words::COUNTED);
        let ppid = life.ppid(Some(BANK))?;
        for (use_id, permitted) in [
            ("transfer-1", true),
            ("transfer-1", true),
            ("transfer-2", true),
            ("transfer-3", true),
            ("transfer-4", false),
        ] {
            self.ask(BANK, use_id, &Self::question(ppid, Some(use_id)), permitted)?;
        }
        let view = self.get("/v1/subjects/me/uses?limit=1", CITIZEN)?.expect("own view", 200)?.json()?;
        let told = wire::text(&view, "/uses/0/told");
        if told == Reason::UsageLimitReached.as_str() { Ok(()) } else { Err(wrong("counted use", told)) }
    }
}

/// Lines of her view that are said.
const SHOWN: usize = 4;
