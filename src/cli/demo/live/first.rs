//! A permitted check, a withdrawal, a denied check, and evidence that needs nobody's word.

use serde_json::json;

use crate::cli::demo::Error;
use crate::cli::demo::act::Life;
use crate::cli::demo::draw::Act;
use crate::cli::demo::export;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::short;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wire::Answer;
use crate::cli::demo::live::wire::CITIZEN;
use crate::cli::demo::live::wrong;
use crate::cli::demo::offer::BANK;
use crate::cli::demo::offer::Offered;
use crate::cli::demo::story::grant;
use crate::cli::demo::words;
use crate::cli::demo::words::Words;
use crate::model::id::Ppid;
use crate::node::clock::Watch;

impl Live<'_> {
    /// Answers the name of the permitted decision.
    pub(super) fn consent(&mut self, life: &mut Life) -> Result<String, Error> {
        self.says(words::LOGIN);
        self.curl("/oauth/token", "-d @citizen.form");
        self.tells(words::TOKEN, &[&self.citizen_token()?, &"citizen.auth"]);
        let ppid = self.reads_her_name(life)?;
        self.says(words::BANK_LOGIN);
        self.curl("/oauth/token", "-d @bank.form");
        self.tells(words::TOKEN, &[&self.party_token(BANK)?, &"bank.auth"]);

        let granted = self.prepare("grant", grant(Offered::Account, 90), life)?;
        self.hands_in(words::GRANT, "grant", 201)?;
        let permitted = self.asks(words::PERMITTED, ppid, true)?;
        life.last.insert(Offered::Account, granted);

        let withdrawn = self.prepare("withdraw", Act::Withdraw(Offered::Account), life)?;
        let watch = Watch::start();
        self.hands_in(words::WITHDRAW, "withdraw", 201)?;
        self.asks(words::DENIED, ppid, false)?;
        let ms = format!("{:.1}", watch.elapsed().as_secs_f64() * 1e3);
        self.tells(words::HOW_SOON, &[&ms]);
        life.last.insert(Offered::Account, withdrawn);

        self.hands_in(words::REPLAY, "grant", 200)?;
        self.asks(words::STILL_DENIED, ppid, false)?;
        self.evidence(&granted.to_string())?;
        Ok(permitted)
    }

    fn reads_her_name(&mut self, life: &Life) -> Result<Ppid, Error> {
        let path = format!("/v1/subjects/me/ppids/{BANK}");
        self.says(words::NAME);
        self.curl(&path, "-H @citizen.auth");
        let body = self.get(&path, CITIZEN)?.expect("ppid", 200)?.json()?;
        // The same for ever: what the year's node told in process.
        let known = life.ppid(Some(BANK))?;
        match Ppid::from_text(wire::text(&body, "/ppid")) {
            Some(ppid) if ppid == known => {
                self.result(ppid.to_text());
                Ok(ppid)
            }
            _ => Err(wrong("ppid", body)),
        }
    }

    pub(super) fn hands_in(&mut self, words: Words, name: &str, status: u16) -> Result<(), Error> {
        self.says(words);
        self.hands_in_file(name, status)
    }

    /// Hands in a signed statement; the signature is the authority, so no token goes along.
    pub(super) fn hands_in_file(&self, name: &str, status: u16) -> Result<(), Error> {
        let path = "/v1/statements";
        self.write("cose.head", b"Content-Type: application/cose\nAccept: application/json\n")?;
        self.curl(path, &format!("-H @cose.head --data-binary @{name}.cose"));
        let item = self.folder.join(format!("{name}.cose"));
        let body = std::fs::read(&item).map_err(Error::at(&item))?;
        let answer = self.post(path, "application/cose", None, &body)?;
        let told = answer.expect("statement", status)?.json()?;
        let (index, id) = (wire::number(&told, "/index"), short(wire::text(&told, "/id")));
        self.tells(words::RECORDED, &[&status, &index, &id, &format!("{:.1}", answer.ms)]);
        Ok(())
    }

    /// The question of the account, with a name for the use if it is counted.
    pub(super) fn question(ppid: Ppid, use_id: Option<&str>) -> serde_json::Value {
        let offer = Offered::Account.offer();
        let mut question = json!({
            "subject": { "type": "party", "id": BANK },
            "action": { "name": "use", "properties": { "purpose": offer.purpose } },
            "resource": {
                "type": "person",
                "id": ppid.to_text(),
                "properties": { "class": offer.class.as_str(), "categories": offer.categories(0) },
            },
        });
        if let (Some(object), Some(use_id)) = (question.as_object_mut(), use_id) {
            object.insert("context".into(), json!({ "use_id": use_id }));
        }
        question
    }

    /// The bank asks. Answers the name of the decision.
    fn asks(&mut self, words: Words, ppid: Ppid, permitted: bool) -> Result<String, Error> {
        self.says(words);
        self.ask(BANK, "check", &Self::question(ppid, None), permitted)
    }

    /// A party asks what stands in a file. Answers the name of the decision.
    pub(super) fn ask(
        &self,
        party: &str,
        name: &str,
        question: &serde_json::Value,
        permitted: bool,
    ) -> Result<String, Error> {
        let (path, question) = ("/access/v1/evaluation", question.to_string());
        self.write(&format!("{name}.json"), question.as_bytes())?;
        self.curl(path, &format!("-H @{party}.auth --json @{name}.json"));
        let answer = self.post(path, "application/json", Some(party), question.as_bytes())?;
        self.answered(&answer, permitted)
    }

    /// Says an answer, which must be this. Answers the name of the decision.
    pub(super) fn answered(&self, answer: &Answer, permitted: bool) -> Result<String, Error> {
        let told = answer.expect("check", 200)?.json()?;
        let decision = told.get("decision").and_then(serde_json::Value::as_bool);
        let text = |pointer| wire::text(&told, pointer);
        self.result(format!(
            "\"decision\":{}  {}  {}#{}  as_of:{}  {:.1} ms",
            decision.unwrap_or_default(),
            text("/context/reason"),
            text("/context/policy/pack"),
            text("/context/policy/rule"),
            wire::number(&told, "/context/as_of"),
            answer.ms
        ));
        if decision == Some(permitted) {
            Ok(text("/context/evaluation_id").to_owned())
        } else {
            Err(wrong("check", told))
        }
    }

    /// Evidence is fetched, checked with the log's key alone, and checked again with one bit flipped.
    fn evidence(&mut self, id: &str) -> Result<(), Error> {
        let path = format!("/v1/statements/{id}/evidence");
        self.says(words::EVIDENCE);
        self.named("ID", id);
        self.curl("/v1/statements/$ID/evidence", "-H @citizen.auth -o evidence.cbor");
        // A checkpoint over the grant comes within a tick.
        let answer = self.await_it(&path, CITIZEN, |answer| answer.status == 200)?;
        let bytes = answer.expect("evidence", 200)?.body.clone();
        self.write("evidence.cbor", &bytes)?;
        export::verify(self.world, &bytes)?;
        self.verify_line("evidence.cbor");
        self.tells(words::VERIFIED, &[&bytes.len()]);

        let mut flipped = bytes;
        let middle = flipped.len() / 2;
        if let Some(byte) = flipped.get_mut(middle) {
            *byte ^= 1;
        }
        self.write("evidence.flipped.cbor", &flipped)?;
        self.says(words::FLIPPED);
        self.verify_line("evidence.flipped.cbor");
        match export::verify(self.world, &flipped) {
            Err(error) => {
                self.result(error);
                Ok(())
            }
            Ok(()) => Err(wrong("flipped bit", "not noticed")),
        }
    }
}
