//! A linking attempt, from a refused question to a dossier that is checked offline.
//!
//! Asking is not attempting: the first refusal is a use line like others. The same
//! question again, when no retry explains it, is what the operator's look flags.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::audit::dossier;
use crate::cli::control;
use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::export;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::fresh;
use crate::cli::demo::live::short;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::AD_NETWORK;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::offer::REGULATOR;
use crate::cli::demo::offer::TELECOM;
use crate::cli::demo::words;
use crate::cli::demo::world;
use crate::cli::demo::world::GRAIN_MS;
use crate::cli::demo::world::ORIGIN;
use crate::identity::request;
use crate::identity::request::Request;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::statement::IncidentAnswer;
use crate::model::statement::IncidentAssess;
use crate::model::statement::IncidentConfirm;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::clock::Watch;
use crate::reidentification::Detector;
use crate::reidentification::detect::LINKING_GRACE_MS;

/// What follows a flag here.
#[derive(Clone, Copy)]
enum Step {
    Answer,
    Confirm,
    Assess,
}

impl Live<'_> {
    /// The ad network asks to link her pseudonymous record with the telecom's records, and signs its question. Answers since when
    /// it knows that it may not.
    pub(super) fn links(&mut self, life: &Life) -> Result<Watch, Error> {
        self.says(words::LINK);
        self.party_token(AD_NETWORK)?;
        self.link(life)?;
        let watch = Watch::start();
        self.tells(words::LINK_ONCE, &[]);
        Ok(watch)
    }

    fn link(&self, life: &Life) -> Result<(), Error> {
        let (path, offer) = ("/access/v1/evaluation", Offered::Targeted.offer());
        let question = json!({
            "subject": { "type": "party", "id": AD_NETWORK },
            "action": { "name": "link", "properties": { "purpose": offer.purpose, "recipient": TELECOM } },
            "resource": {
                "type": "person",
                "id": life.ppid(Some(AD_NETWORK))?.to_text(),
                "properties": { "class": "pseudonymous", "categories": offer.categories(0) },
            },
        })
        .to_string();
        let (target, body) = (format!("{}{path}", self.bound), question.as_bytes());
        let key = self.world.party_key(AD_NETWORK);
        let now = self.world.clock.now();
        let [digest, input, signature] =
            request::sign(Request { method: "POST", target: &target, body }, now, &key)?;
        let headers = [
            ("Content-Digest", digest.as_str()),
            ("Signature-Input", input.as_str()),
            ("Signature", signature.as_str()),
        ];
        self.write("link.json", body)?;
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        self.write("link.head", lines.as_bytes())?;
        self.curl_at(&self.bound, path, "-H @adnet.auth -H @link.head --json @link.json");
        let answer = self.post_with(path, "application/json", Some(AD_NETWORK), &headers, body)?;
        self.answered(&answer, false).map(drop)
    }

    /// It asks again; that is flagged, answered, confirmed, assessed, and told in a dossier.
    pub(super) fn incident(&mut self, life: &Life, refused: Watch) -> Result<(), Error> {
        self.says(words::LINK_AGAIN);
        let grace = Duration::from_millis(LINKING_GRACE_MS + 100);
        while let Some(left) = grace.checked_sub(refused.elapsed()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        self.link(life)?;
        let id = self.flagged()?;
        self.seen(&id)?;
        self.says(words::ANSWERS);
        self.named("ID", &id);
        self.step_of(&id, AD_NETWORK, Step::Answer)?;
        self.says(words::CONFIRMS);
        self.step_of(&id, REGULATOR, Step::Confirm)?;
        self.step_of(&id, REGULATOR, Step::Assess)?;
        for (name, party) in [("regulator", REGULATOR), ("accused", AD_NETWORK)] {
            let seen = self.get(&format!("/v1/incidents/{id}"), party)?.expect("incident", 200)?.json()?;
            let pretty = serde_json::to_string_pretty(&seen)? + "\n";
            export::write(&self.out.join(format!("incidents/{name}.json")), pretty.as_bytes())?;
        }
        self.dossier(&id)
    }

    /// The operator looks at the use lines. Answers the name of the incident.
    fn flagged(&mut self) -> Result<String, Error> {
        self.says(words::FLAG);
        self.line("naru flag ..");
        // A line counts once its millisecond is over and synced.
        let mut said = control::flagged(&self.world.node);
        for _ in 0..wire::LOOKS {
            if said.pointer("/incidents/0").is_some() {
                break;
            }
            thread::park_timeout(wire::PAUSE);
            said = control::flagged(&self.world.node);
        }
        let one = said.pointer("/incidents/0").ok_or_else(|| wrong("flag", &said))?;
        let (id, party) = (wire::text(one, "/incident"), wire::text(one, "/party"));
        let detector = wire::text(one, "/detector");
        if party != AD_NETWORK || detector != Detector::LinkingAgain.as_str() {
            return Err(wrong("flag", &said));
        }
        self.tells(words::FLAGGED, &[&short(id), &party, &detector]);
        Ok(id.to_owned())
    }

    /// Who is shown it, and who is not.
    fn seen(&mut self, id: &str) -> Result<(), Error> {
        self.says(words::SEES);
        self.party_token(REGULATOR)?;
        for (party, sees) in [(REGULATOR, true), (AD_NETWORK, true), (BANK, false)] {
            self.curl("/v1/incidents", &format!("-H @{party}.auth"));
            let list = self.get("/v1/incidents", party)?.expect("incidents", 200)?.json()?;
            let all = list.get("incidents").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for one in all {
                let text = |pointer| wire::text(one, pointer);
                let (name, party) = (short(text("/incident")), text("/party"));
                let what = (text("/detector"), text("/strength"), text("/stage"));
                self.result(format!("{name}  {party}  {}  {}  {}", what.0, what.1, what.2));
            }
            if all.is_empty() {
                self.tells(words::SEES_NONE, &[]);
            }
            if all.iter().any(|one| wire::text(one, "/incident") == id) != sees {
                return Err(wrong("incidents", list));
            }
        }
        Ok(())
    }

    /// Seals a document beside the incident and hands in the signed step that names it.
    fn step_of(&self, id: &str, party: &str, step: Step) -> Result<(), Error> {
        let (name, text) = match step {
            Step::Answer => ("answer", words::ANSWER_TEXT),
            Step::Confirm => ("confirm", words::CONFIRM_TEXT),
            Step::Assess => ("assess", words::ASSESS_TEXT),
        };
        let text = self.voice.0.of_words(text);
        self.write("text.head", b"Content-Type: text/plain\n")?;
        // `curl -d` takes line ends away: there are none.
        self.write(&format!("{name}.txt"), text.as_bytes())?;
        let more = format!("-H @{party}.auth -H @text.head -d @{name}.txt");
        self.curl("/v1/incidents/$ID/documents", &more);
        let path = format!("/v1/incidents/{id}/documents");
        let kept = self.post(&path, "text/plain", Some(party), text.as_bytes())?;
        let kept = kept.expect("document", 201)?.json()?;
        let missing = || wrong("document", &kept);
        let document = Hash::from_hex(wire::text(&kept, "/hash")).ok_or_else(missing)?;
        let incident = Nonce::from_hex(id).ok_or_else(missing)?;
        let (v, iat, nonce, by) = (V1, self.world.clock.now(), fresh()?, world::id(party)?);
        let says: Statement = match step {
            Step::Answer => {
                let kind = Kind::IncidentAnswer;
                IncidentAnswer { v, kind, iat, nonce, incident, party: by, document }.into()
            }
            Step::Confirm => {
                let kind = Kind::IncidentConfirm;
                IncidentConfirm { v, kind, iat, nonce, incident, party: by, document }.into()
            }
            Step::Assess => {
                let kind = Kind::IncidentAssess;
                IncidentAssess { v, kind, iat, nonce, incident, party: by, document }.into()
            }
        };
        self.keep(name, &self.world.signed(&says, party)?)?;
        self.hands_in_file(name, 201)
    }

    /// The regulator's dossier, as JSON and as a page, checked offline, and once more with one byte changed.
    fn dossier(&mut self, id: &str) -> Result<(), Error> {
        let path = format!("/v1/incidents/{id}/dossier");
        self.says(words::DOSSIER);
        self.curl("/v1/incidents/$ID/dossier", "-H @pipc.auth -o dossier.json");
        // All of it must be under a checkpoint.
        let answer = self.await_it(&path, REGULATOR, |answer| answer.status == 200)?;
        let bytes = answer.expect("dossier", 200)?.body.clone();
        self.curl("/v1/incidents/$ID/dossier?format=html", "-H @pipc.auth -o dossier.html");
        let page = self.get(&format!("{path}?format=html"), REGULATOR)?;
        let page = &page.expect("dossier page", 200)?.body;
        for (name, content) in [("dossier.json", &bytes), ("dossier.html", page)] {
            self.write(name, content)?;
            export::write(&self.out.join("dossier").join(name), content)?;
        }
        self.verify_line("dossier.json");
        let told: Value = serde_json::from_slice(&bytes)?;
        let checked = self.checks(&told).map_err(|error| wrong("dossier", error))?;
        let provisions = told.get("provisions").and_then(Value::as_array).map_or(0, Vec::len);
        self.tells(words::DOSSIER_HOLDS, &[&checked.proven, &checked.signed, &provisions]);

        self.says(words::DOSSIER_CHANGED);
        let changed = changed(&bytes).ok_or_else(|| wrong("dossier", "no finding"))?;
        self.write("dossier.changed.json", &changed)?;
        self.verify_line("dossier.changed.json");
        match self.checks(&serde_json::from_slice(&changed)?) {
            Err(error) => {
                self.result(error);
                Ok(())
            }
            Ok(_) => Err(wrong("changed byte", "not noticed")),
        }
    }

    fn checks(&self, dossier: &Value) -> Result<dossier::Checked, dossier::Error> {
        dossier::verify(dossier, &self.world.node.log_key(), ORIGIN, Some(GRAIN_MS))
    }
}

/// The dossier with another letter in the middle of the finding, so that it stays a document.
fn changed(bytes: &[u8]) -> Option<Vec<u8>> {
    const FINDING: &[u8] = b"\"finding\":\"";
    let begin = bytes.windows(FINDING.len()).position(|w| w == FINDING)? + FINDING.len();
    let length = bytes.get(begin..)?.iter().position(|b| *b == b'"')?;
    let mut out = bytes.to_vec();
    let letter = out.get_mut(begin + length / 2)?;
    *letter = if *letter == b'A' { b'B' } else { b'A' };
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_of_the_finding_changes_and_nothing_else() {
        let dossier = br#"{"draft":true,"finding":"QUJD","flag":"QUJD"}"#;
        assert_eq!(changed(dossier).unwrap(), br#"{"draft":true,"finding":"QUAD","flag":"QUJD"}"#);
        assert_eq!(changed(b"{}"), None);
    }
}
