//! What a party says on the command line to ask: where and as whom, and about what.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::client::Answer;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::keygen::draw;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::hex;
use crate::identity::login::Assertion;
use crate::identity::login::sign_jwt;
use crate::node::clock::Clock;

/// Where, and as whom.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Asker {
    /// `http[s]://` URL of the service.
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    reach: Reach,
    /// Name of the log: whom the assertion is for.
    #[arg(long)]
    pub(in crate::cli) origin: String,
    /// File of the party's private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The party that asks.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) party: String,
}

/// About what.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Topic {
    /// Purpose, such as `dpv:ServiceProvision`.
    #[arg(long)]
    pub(in crate::cli) purpose: String,
    /// Class of data: real-name, pseudonymous or anonymous.
    #[arg(long)]
    pub(in crate::cli) class: String,
    /// Action, such as `use` or `share`.
    #[arg(long)]
    pub(in crate::cli) action: String,
    /// Category of data; may be repeated.
    #[arg(long = "category", value_name = "CATEGORY")]
    pub(in crate::cli) categories: Vec<String>,
    /// Whom the data would go to.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) recipient: Option<String>,
    /// Where the data would go.
    #[arg(long, value_name = "COUNTRY")]
    pub(in crate::cli) jurisdiction: Option<String>,
}

impl Asker {
    /// A client of the service.
    pub(in crate::cli) fn client(&self) -> Result<Client, Fail> {
        Client::new(&self.url, &self.reach)
    }

    /// Access token for a fresh assertion. Source: RFC 7523.
    pub(in crate::cli) fn token(&self, client: &Client) -> Result<String, Fail> {
        let signer = open::signer(&self.key)?;
        let iat = Clock::System.now().0 / 1_000;
        let claims = Assertion {
            iss: self.party.clone(),
            sub: self.party.clone(),
            aud: self.origin.clone(),
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
}

/// The JSON of an answer, which must be 200.
pub(in crate::cli) fn json_of(answer: &Answer, what: &str) -> Result<Value, Fail> {
    if answer.status != 200 {
        let next = "compare party, key and origin with the registration";
        return Err(Fail::new(what).why(answer.problem()).next(next));
    }
    serde_json::from_slice(&answer.body).map_err(|error| Fail::new(what).why(error))
}
