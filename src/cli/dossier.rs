//! `naru dossier`: a regulator fetches the dossier of an incident; and its check for `naru verify`.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::audit::dossier;
use crate::cli::Exit;
use crate::cli::asker::Asker;
use crate::cli::client::Answer;
use crate::cli::file::private;
use crate::cli::open::LogKey;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::model::statement::Strength;
use crate::reidentification::page;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Gets an access token by a client assertion signed with the regulator's key, then the dossier as
JSON. With --html also one page that needs nothing else. What is opened to the regulator is
recorded as a use of each person concerned. Check the JSON offline with `naru verify`.")]
pub(in crate::cli) struct Args {
    /// Incident, 32 hex digits.
    #[arg(value_name = "INCIDENT")]
    incident: String,
    #[command(flatten)]
    asker: Asker,
    /// Where the JSON is written.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Instead of the dossier the openings of these records, by the ids of their statements.
    #[arg(long = "open", value_name = "STATEMENT", conflicts_with = "html")]
    open: Vec<String>,
    /// Where the page is written, if it is wanted.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Fail> {
    private(path)?.write_all(bytes).map_err(|cause| Fail::file(path, cause))
}

/// Writes the openings of a case, as `naru audit --case` reads them.
fn openings(args: &Args, answer: &Answer, say: &Say) -> Result<Exit, Fail> {
    if answer.status != 200 {
        return Err(Fail::new("nothing was opened").why(answer.problem()).exit(Exit::Denied));
    }
    write(&args.out, &answer.body)?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let records = said.get("records").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let given = records.iter().filter(|one| one.get("evidence").is_some_and(Value::is_string)).count();
    let (all, written) = (records.len(), args.out.display());
    say.result(
        &json!({ "incident": args.incident, "case": args.out, "given": given, "asked": all }),
        &format!("{all}건 중 {given}건을 열어 {written} 에 썼습니다"),
        &format!("{given} of {all} records opened, written to {written}"),
    );
    Ok(Exit::Ok)
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let client = args.asker.client()?;
    if args.incident.len() != 32 || !args.incident.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Fail::usage(format!("`{}` is not 32 hex digits", args.incident)));
    }
    let token = args.asker.token(&client)?;
    let authorization = format!("Bearer {token}");
    let path = format!("v1/incidents/{}", args.incident);
    let headers = [("authorization", authorization.as_str())];
    if !args.open.is_empty() {
        let asked = json!({ "records": args.open }).to_string();
        let answer =
            client.post(&format!("{path}/openings"), "application/json", &headers, asked.as_bytes())?;
        return openings(args, &answer, say);
    }
    let answer = client.get_with(&format!("{path}/dossier"), &headers)?;
    if answer.status != 200 {
        return Err(Fail::new("no dossier was given").why(answer.problem()).exit(Exit::Denied));
    }
    let dossier: Value = serde_json::from_slice(&answer.body)
        .map_err(|error| Fail::new("the dossier is no JSON").why(error).exit(Exit::Tampered))?;
    write(&args.out, &answer.body)?;
    if let Some(html) = &args.html {
        write(html, page::render(&dossier).as_bytes())?;
    }
    let written = args.out.display();
    say.result(
        &json!({ "incident": args.incident, "dossier": args.out, "html": args.html }),
        &format!("사건 기록을 썼습니다: {written}"),
        &format!("the dossier is in {written}"),
    );
    Ok(Exit::Ok)
}

/// Checks a dossier offline: exit 6 unless every line it quotes is proven.
pub(in crate::cli) fn checked(
    document: &Value,
    file: &Path,
    log: &LogKey,
    grain_ms: Option<u64>,
    say: &Say,
) -> Result<Exit, Fail> {
    let tampered = |why: String| {
        Fail::new(format!("`{}` proves nothing", file.display()))
            .why(why)
            .next("compare log key and origin; if they are right, keep the file: it was altered or forged")
            .exit(Exit::Tampered)
    };
    let checked =
        dossier::verify(document, &log.keys, &log.origin, grain_ms).map_err(|e| tampered(e.to_string()))?;
    let finding = &checked.finding;
    if checked.unproven > 0 {
        return Err(tampered(format!("{} lines are quoted without evidence", checked.unproven)));
    }
    let strength = match finding.strength {
        Strength::D => "D",
        Strength::S => "S",
    };
    let (party, detector) = (&finding.party, finding.detector.as_str());
    let (proven, signed, operator) = (checked.proven, checked.signed, checked.operator);
    say.result(
        &json!({
            "proven": true, "incident": checked.incident, "party": party.as_str(), "detector": detector,
            "strength": strength, "lines": proven, "signed": signed,
            "operator": operator.to_string(), "witnessed": false,
            "accused": checked.accused.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        &format!(
            "증명됨: {party}, {detector} ({strength}), 줄 {proven}, 그중 기관이 서명한 것 {signed}\n\
             깃발과 묶음에 서명한 키 (운영자의 키와 비교하십시오): {operator}\nunwitnessed"
        ),
        &format!(
            "proven: {party}, {detector} ({strength}), {proven} lines, {signed} of them signed by the party\n\
             flag and batches are signed by (compare with the operator's key): {operator}\nunwitnessed"
        ),
    );
    Ok(Exit::Ok)
}
