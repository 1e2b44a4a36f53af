//! `naru sign`: a statement from fields, signed; or an endorsement.
//!
//! Signs statements of a known type and nothing else: never bytes that somebody
//! else chose. A `Sig_structure`, a login challenge, any other CBOR is refused.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::keygen::draw;
use crate::cli::open;
use crate::cli::readable;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::identity;
use crate::identity::item;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fields are given as NAME=VALUE, or as a JSON object; bytes are hex. `v`, `type`, `iat` and `nonce`
are filled in. Example:
  naru sign --key bank.pem --type consent.withdraw --field ppid=ppid_… --field controller=bank \\
    --field purpose=dpv:ServiceProvision --field class=real-name --out item.cbor
Only statements of a known type are signed: bytes that somebody else chose never are.")]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["kind", "statement", "endorse"]))]
pub(in crate::cli) struct Args {
    /// File of the private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Type of the statement, such as `consent.grant`.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "endorse")]
    kind: Option<String>,
    /// One field; a value in brackets, braces or quotes is read as JSON.
    #[arg(long = "field", value_name = "NAME=VALUE", conflicts_with = "endorse")]
    fields: Vec<String>,
    /// The statement's fields as a JSON object, or a whole statement as CBOR.
    #[arg(long, value_name = "FILE.json|FILE.cbor", conflicts_with = "endorse")]
    statement: Option<PathBuf>,
    /// Endorse this signed item instead.
    #[arg(long, value_name = "ITEM")]
    endorse: Option<PathBuf>,
    /// New file for the signed item.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let signed = match &args.endorse {
        Some(path) => endorse(path, &args.key)?,
        None => {
            let statement = statement(args)?;
            let signer = open::signer(&args.key)?;
            item::sign(&statement, signer.as_ref()).map_err(Fail::new)?
        }
    };
    // What leaves has passed what the log will ask first.
    let verified =
        identity::open(&signed).map_err(|error| Fail::new("the log would not take this item").why(error))?;
    // A public one names no natural person; any other names her, or is about her.
    let mode = if verified.value().kind().is_public() { Mode::Public } else { Mode::Secret };
    write_new(&args.out, &signed, mode)?;
    let id = verified.id().to_string();
    let kind = verified.value().kind().as_str();
    let document = json!({
        "id": id, "type": kind, "signer": verified.signer().to_string(),
        "endorsers": verified.signed().endorsers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "statement": readable::of_cbor(verified.statement()).map_err(Fail::new)?, "out": args.out,
    });
    let out = args.out.display();
    say.result(&document, &format!("{kind} 서명함\n{id}\n{out}"), &format!("signed {kind}\n{id}\n{out}"));
    Ok(Exit::Ok)
}

fn endorse(path: &Path, key: &Path) -> Result<Vec<u8>, Fail> {
    let bytes = read(path)?;
    // Only what is a signed statement already is endorsed.
    identity::open(&bytes).map_err(|error| refused(path, &error.to_string()))?;
    let signer = open::signer(key)?;
    cose::endorse(signer.as_ref(), &bytes).map_err(Fail::new)
}

fn read(path: &Path) -> Result<Vec<u8>, Fail> {
    std::fs::read(path).map_err(|cause| Fail::file(path, cause))
}

fn refused(path: &Path, why: &str) -> Fail {
    Fail::new(format!("`{}` is not signed", path.display()))
        .why(why)
        .next("sign only statements you built or read yourself; nobody needs you to sign other bytes")
        .exit(Exit::Denied)
}

/// The statement the arguments describe.
fn statement(args: &Args) -> Result<Statement, Fail> {
    let kind = args.kind.as_deref().map(known).transpose()?;
    let mut fields = Map::new();
    if let Some(path) = &args.statement {
        let bytes = read(path)?;
        let json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if !json {
            return whole(path, &bytes, kind, &args.fields);
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => fields = object,
            Ok(_) => return Err(refused(path, "it is not a JSON object")),
            Err(error) => return Err(refused(path, &format!("it is not JSON: {error}"))),
        }
    }
    for field in &args.fields {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| Fail::usage(format!("`--field {field}` is not NAME=VALUE")))?;
        fields.insert(name.to_owned(), value_of(value)?);
    }
    let named = fields.get("type").and_then(Value::as_str).map(known).transpose()?;
    if let (Some(kind), Some(named)) = (kind, named)
        && kind != named
    {
        return Err(Fail::usage(format!("`--type {}` contradicts `type` {}", kind.as_str(), named.as_str())));
    }
    let kind = kind.or(named).ok_or_else(|| {
        Fail::usage("the type of the statement is missing").next("give `--type`, or `type` in the file")
    })?;
    fields.insert("v".into(), 1.into());
    fields.insert("type".into(), kind.as_str().into());
    fields.entry("iat").or_insert(Clock::System.now().0.into());
    if !fields.contains_key("nonce") {
        fields.insert("nonce".into(), hex(&draw::<16>()?).into());
    }
    readable::statement(kind, Value::Object(fields)).map_err(|error| {
        Fail::usage(format!("this is no `{}`", kind.as_str()))
            .why(error)
            .next("compare its fields in schemas/naru.cddl")
    })
}

/// A whole statement as CBOR: taken only if it is exactly one of a known type.
fn whole(path: &Path, bytes: &[u8], kind: Option<Kind>, fields: &[String]) -> Result<Statement, Fail> {
    if !fields.is_empty() {
        return Err(Fail::usage("`--field` goes with JSON only").why("a CBOR statement is signed as it is"));
    }
    let statement = item::statement_from(bytes)
        .map_err(|error| refused(path, &format!("it is no statement of a known type: {error}")))?;
    let exact = cbor::encode(&statement).map_err(Fail::new)? == bytes;
    if !exact {
        return Err(refused(path, "it is not the one encoding of its statement"));
    }
    if kind.is_some_and(|kind| kind != statement.kind()) {
        return Err(refused(path, "it is of another type than `--type`"));
    }
    Ok(statement)
}

fn known(text: &str) -> Result<Kind, Fail> {
    Kind::parse(text).ok_or_else(|| {
        let served: Vec<&str> = Kind::ALL.iter().filter(|k| k.is_served()).map(|k| k.as_str()).collect();
        Fail::usage(format!("`{text}` is no type of statement"))
            .next(format!("one of: {}", served.join(", ")))
    })
}

/// A number, a JSON value, or plain text.
fn value_of(text: &str) -> Result<Value, Fail> {
    let json = text.starts_with(['[', '{', '"']) || matches!(text, "true" | "false" | "null");
    if json {
        return serde_json::from_str(text)
            .map_err(|error| Fail::usage(format!("`{text}` is not JSON")).why(error));
    }
    let number = text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    Ok(match text.parse::<u64>() {
        Ok(n) if number => n.into(),
        _ => text.into(),
    })
}
