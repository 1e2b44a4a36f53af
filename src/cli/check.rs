//! `naru check`: a party asks "may I?".

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::asker::Asker;
use crate::cli::asker::Topic;
use crate::cli::asker::json_of;
use crate::cli::say::Fail;
use crate::cli::say::Say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Gets an access token by a client assertion signed with the party's key, then asks (AuthZEN 1.0).
Exit 0: permitted. Exit 5: denied; the reason is printed. Asking is recorded as a use.")]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    asker: Asker,
    /// The person, in the party's domain.
    #[arg(long, value_name = "PPID")]
    ppid: String,
    #[command(flatten)]
    topic: Topic,
    /// Name of this use, where a grant counts uses.
    #[arg(long, value_name = "TEXT")]
    use_id: Option<String>,
    /// Wait until the log has applied this index.
    #[arg(long, value_name = "INDEX")]
    min_index: Option<u64>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let client = args.asker.client()?;
    let token = args.asker.token(&client)?;
    let headers = [("authorization", format!("Bearer {token}")), ("accept", "application/json".into())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = question(args).to_string();
    let answer = client.post("access/v1/evaluation", "application/json", &headers, body.as_bytes())?;
    let decision = json_of(&answer, "the question was not answered")?;
    let permitted = decision
        .get("decision")
        .and_then(Value::as_bool)
        .ok_or_else(|| Fail::new("the answer holds no decision").why(&decision).exit(Exit::Tampered))?;
    let reason = reason_of(&decision);
    let words = if permitted { ("허용", "permit") } else { ("거부", "deny") };
    say.result(&decision, &format!("{} {reason}", words.0), &format!("{} {reason}", words.1));
    Ok(if permitted { Exit::Ok } else { Exit::Denied })
}

/// The question as AuthZEN 1.0 writes it.
fn question(args: &Args) -> Value {
    let mut action = json!({ "purpose": args.topic.purpose });
    let mut context = json!({});
    let put = |to: &mut Value, name: &str, value: Option<Value>| {
        if let (Some(object), Some(value)) = (to.as_object_mut(), value) {
            object.insert(name.to_owned(), value);
        }
    };
    put(&mut action, "recipient", args.topic.recipient.clone().map(Value::from));
    put(&mut action, "jurisdiction", args.topic.jurisdiction.clone().map(Value::from));
    put(&mut context, "use_id", args.use_id.clone().map(Value::from));
    put(&mut context, "min_index", args.min_index.map(Value::from));
    json!({
        "subject": { "type": "party", "id": args.asker.party },
        "resource": {
            "type": "person", "id": args.ppid,
            "properties": { "categories": args.topic.categories, "class": args.topic.class },
        },
        "action": { "name": args.topic.action, "properties": action },
        "context": context,
    })
}

/// The reason's word, wherever the answer's context carries it.
fn reason_of(decision: &Value) -> String {
    let context = decision.get("context");
    let words = ["reason", "reason_code", "code"].iter().find_map(|name| context.and_then(|c| c.get(name)));
    words.map_or_else(String::new, |word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
}
