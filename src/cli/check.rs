//! `naru check`: a party asks "may I?".

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::client::Answer;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::keygen::draw;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::identity::login::Assertion;
use crate::identity::login::sign_jwt;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Gets an access token by a client assertion signed with the party's key, then asks (AuthZEN 1.0).
Exit 0: permitted. Exit 5: denied; the reason is printed. Asking is recorded as a use.")]
pub(in crate::cli) struct Args {
    /// `http[s]://` URL of the service.
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    reach: Reach,
    /// Name of the log: whom the assertion is for.
    #[arg(long)]
    origin: String,
    /// File of the party's private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The party that asks.
    #[arg(long, value_name = "ID")]
    party: String,
    /// The person, in the party's domain.
    #[arg(long, value_name = "PPID")]
    ppid: String,
    /// Purpose, such as `dpv:ServiceProvision`.
    #[arg(long)]
    purpose: String,
    /// Class of data: real-name, pseudonymous or anonymous.
    #[arg(long)]
    class: String,
    /// Action, such as `use` or `share`.
    #[arg(long)]
    action: String,
    /// Category of data; may be repeated.
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<String>,
    /// Whom the data would go to.
    #[arg(long, value_name = "ID")]
    recipient: Option<String>,
    /// Where the data would go.
    #[arg(long, value_name = "COUNTRY")]
    jurisdiction: Option<String>,
    /// Name of this use, where a grant counts uses.
    #[arg(long, value_name = "TEXT")]
    use_id: Option<String>,
    /// Wait until the log has applied this index.
    #[arg(long, value_name = "INDEX")]
    min_index: Option<u64>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let client = Client::new(&args.url, &args.reach)?;
    let token = token(&client, &args.key, &args.party, &args.origin)?;
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

/// Access token for a fresh assertion. Source: RFC 7523.
pub(in crate::cli) fn token(client: &Client, key: &Path, party: &str, origin: &str) -> Result<String, Fail> {
    let signer = open::signer(key)?;
    let iat = Clock::System.now().0 / 1_000;
    let claims = Assertion {
        iss: party.to_owned(),
        sub: party.to_owned(),
        aud: origin.to_owned(),
        jti: hex(&draw::<16>()?),
        iat,
        exp: iat + 55,
    };
    let assertion = sign_jwt(&claims, "JWT", signer.as_ref()).map_err(Fail::new)?;
    let form = format!(
        "grant_type=client_credentials&client_assertion_type=\
         urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
    );
    let answer = client.post("oauth/token", "application/x-www-form-urlencoded", &[], form.as_bytes())?;
    let json = json_of(&answer, "no access token was given")?;
    let token = json.get("access_token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| Fail::new("the answer holds no access token"))
}

fn json_of(answer: &Answer, what: &str) -> Result<Value, Fail> {
    if answer.status != 200 {
        let next = "compare party, key and origin with the registration";
        return Err(Fail::new(what).why(answer.problem()).next(next));
    }
    serde_json::from_slice(&answer.body).map_err(|error| Fail::new(what).why(error))
}

/// The question as AuthZEN 1.0 writes it.
fn question(args: &Args) -> Value {
    let mut action = json!({ "purpose": args.purpose });
    let mut context = json!({});
    let put = |to: &mut Value, name: &str, value: Option<Value>| {
        if let (Some(object), Some(value)) = (to.as_object_mut(), value) {
            object.insert(name.to_owned(), value);
        }
    };
    put(&mut action, "recipient", args.recipient.clone().map(Value::from));
    put(&mut action, "jurisdiction", args.jurisdiction.clone().map(Value::from));
    put(&mut context, "use_id", args.use_id.clone().map(Value::from));
    put(&mut context, "min_index", args.min_index.map(Value::from));
    json!({
        "subject": { "type": "party", "id": args.party },
        "resource": {
            "type": "person", "id": args.ppid,
            "properties": { "categories": args.categories, "class": args.class },
        },
        "action": { "name": args.action, "properties": action },
        "context": context,
    })
}

/// The reason's word, wherever the answer's context carries it.
fn reason_of(decision: &Value) -> String {
    let context = decision.get("context");
    let words = ["reason", "reason_code", "code"].iter().find_map(|name| context.and_then(|c| c.get(name)));
    words.map_or_else(String::new, |word| word.as_str().map_or_else(|| word.to_string(), str::to_owned))
}
