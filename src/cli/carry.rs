//! `naru export`: a person's archive, fetched and checked; and what `naru verify` says of one.

use std::fs;
use std::fs::File;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use crate::audit::archive;
use crate::audit::archive::Also;
use crate::audit::archive::Proven;
use crate::cli::Exit;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::file::beside;
use crate::cli::file::private;
use crate::cli::file::put_in_place;
use crate::cli::open;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::identity::login;
use crate::identity::login::Login;
use crate::ledger::chain::LogKeys;
use crate::model::id::Nonce;
use crate::model::statement::V1;
use crate::node::Content;
use crate::node::Receiver;
use crate::node::Refused;
use crate::node::clock::Clock;

/// Life of the login, ms.
const LOGIN_MS: u64 = 55_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive is checked as `naru verify` checks it, and only then gets its name: FILE.part is what broke
off or does not hold. The same state at the same checkpoint is the same bytes.
It holds your statements with all that proves them: keep it as you keep your papers.
With a receiver it is checked first and then sealed here: FILE.part lies open on your disk meanwhile.
Open it with `age -d -i KEYFILE` or, of a passphrase, `age -d`; a JWE with any JOSE library; CMS with
`openssl cms -decrypt -binary -inform DER -in FILE -inkey KEY.pem -out ARCHIVE.zip`.
Exit 6 if it does not hold.")]
pub(in crate::cli) struct Args {
    /// `http[s]://` URL of the service.
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    trust: Trust,
    /// File of your private key (PEM): signs the login, and stays here.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the archive goes; must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Everything under an older checkpoint of this size.
    #[arg(long, value_name = "SIZE")]
    at: Option<u64>,
    /// Seal it for an age recipient, `age1...`.
    #[arg(long, value_name = "AGE1", group = "receiver")]
    age_recipient: Option<String>,
    /// Seal it under the passphrase in this file (its first line, at least 12 characters).
    #[arg(long, value_name = "FILE", group = "receiver")]
    passphrase_file: Option<PathBuf>,
    /// Seal it as a JWE (ECDH-ES, A256GCM) to the public P-256 key in this file (JWK).
    #[arg(long, value_name = "FILE", group = "receiver")]
    jwk: Option<PathBuf>,
    /// Seal it as CMS (RSAES-OAEP, AES-256-GCM) to the certificate in this file (PEM or DER).
    #[arg(long, value_name = "FILE", group = "receiver")]
    certificate: Option<PathBuf>,
    /// With --certificate: ARIA-256-GCM in place of AES.
    #[arg(long, requires = "certificate")]
    aria: bool,
}

impl Args {
    /// For whom it is sealed, if for anybody.
    fn receiver(&self) -> Result<Option<Receiver>, Fail> {
        let wrong = |refused: Refused| Fail::usage(refused.to_string());
        let read =
            |path: &PathBuf| fs::read(path).map(Zeroizing::new).map_err(|cause| Fail::file(path, cause));
        if let Some(recipient) = &self.age_recipient {
            return Receiver::age(recipient).map(Some).map_err(wrong);
        }
        if let Some(path) = &self.passphrase_file {
            let bytes = read(path)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| Fail::usage("the passphrase is not UTF-8"))?;
            return Receiver::passphrase(text.lines().next().unwrap_or_default()).map(Some).map_err(wrong);
        }
        if let Some(path) = &self.jwk {
            return Receiver::jwk(&read(path)?).map(Some).map_err(wrong);
        }
        let content = if self.aria { Content::Aria256Gcm } else { Content::Aes256Gcm };
        match &self.certificate {
            Some(path) => Receiver::certificate(&read(path)?, content).map(Some).map_err(wrong),
            None => Ok(None),
        }
    }
}

/// Seals a file that was checked; it has its name only when it is whole, and nothing lies open then.
fn seal(plain: &Path, out: &Path, receiver: &Receiver) -> Result<(), Fail> {
    let part = beside(out, "sealed");
    let failed = |cause| Fail::file(&part, cause);
    let mut file = BufWriter::new(private(&part)?);
    let mut sealing = receiver.begin(&mut file).map_err(failed)?;
    let mut open = File::open(plain).map_err(|cause| Fail::file(plain, cause))?;
    std::io::copy(&mut open, &mut sealing).map_err(failed)?;
    sealing.finish().map_err(failed)?;
    file.flush().map_err(failed)?;
    fs::remove_file(plain).map_err(|cause| Fail::file(plain, cause))?;
    put_in_place(&part, out)
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let log = args.trust.read()?;
    let receiver = args.receiver()?;
    if args.out.exists() {
        return Err(Fail::usage(format!("`{}` is there already", args.out.display()))
            .next("name another file, or move that one away"));
    }
    let client = Client::new(&args.url, &args.reach)?;
    let bearer = format!("Bearer {}", token(&client, &args.key, &log)?);
    let part = beside(&args.out, "part");
    // What an earlier run left may have been open to others.
    drop(fs::remove_file(&part));
    let mut file = BufWriter::new(private(&part)?);
    let path = match args.at {
        None => "v1/subjects/me/export".to_owned(),
        Some(size) => format!("v1/subjects/me/export?at={size}"),
    };
    let status = client.get_stream(&path, &[("authorization", &bearer)], &mut file)?;
    file.flush().map_err(|cause| Fail::file(&part, cause))?;
    if status != 200 {
        drop(fs::remove_file(&part));
        return Err(Fail::new("the service gives no archive")
            .why(format!("status {status}"))
            .next("429: another export of yours is under way; 400: no checkpoint of that size"));
    }
    let exit = tell(&part, &log, None, None, say)?;
    match &receiver {
        Some(receiver) => seal(&part, &args.out, receiver)?,
        None => put_in_place(&part, &args.out)?,
    }
    Ok(exit)
}

/// A session of the person who has the key: she signs a login of her own making.
pub(in crate::cli) fn token(client: &Client, key: &Path, log: &LogKey) -> Result<String, Fail> {
    let signer = open::signer(key)?;
    let iat = Clock::System.now();
    let nonce = Nonce(crate::cli::keygen::draw::<16>()?);
    let login = Login { v: V1, origin: log.origin.clone(), nonce, iat, exp: iat.plus_ms(LOGIN_MS) };
    let item = login::sign_login(&login, signer.as_ref()).map_err(Fail::new)?;
    let form = format!("grant_type=urn:naru:login&login={}", URL_SAFE_NO_PAD.encode(item));
    let answer = client.post("oauth/token", "application/x-www-form-urlencoded", &[], form.as_bytes())?;
    if answer.status != 200 {
        return Err(Fail::new("the login was not taken")
            .why(answer.problem())
            .next("is this key enrolled in this log?")
            .exit(Exit::Denied));
    }
    let json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let token = json.as_ref().and_then(|j| j.get("access_token")).and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| Fail::new("the answer holds no access token"))
}

/// Whether a file begins as a zip does.
pub(in crate::cli) fn is_archive(path: &Path) -> Result<bool, Fail> {
    let file = File::open(path).map_err(|cause| Fail::file(path, cause))?;
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start).map_err(|cause| Fail::file(path, cause))?;
    Ok(start == b"PK\x03\x04")
}

/// Checks an archive and says what it proves, and what not.
pub(in crate::cli) fn tell(
    path: &Path,
    log: &LogKey,
    grain_ms: Option<u64>,
    first: Option<&LogKey>,
    say: &Say,
) -> Result<Exit, Fail> {
    let file = File::open(path).map_err(|cause| Fail::file(path, cause))?;
    let first = first.map(|first| (&first.keys as &dyn LogKeys, first.origin.as_str()));
    let also = Also { first, hold: false };
    let proven = archive::verify_also(&mut BufReader::new(file), &log.keys, &log.origin, grain_ms, also);
    let (proven, _) = proven.map_err(|error| {
        Fail::new(format!("`{}` proves nothing", path.display()))
            .why(error)
            .next("fetch it again; if that does not help and key and origin are right, keep it: it was altered or forged")
            .exit(Exit::Tampered)
    })?;
    let Proven {
        head, files, statements, consents, uses, unproven_uses, incidents, complaints, sources, ..
    } = &proven;
    let (moved, moved_proven) = proven.moved;
    let signers: Vec<String> = proven.signers.iter().map(ToString::to_string).collect();
    let withheld: Vec<Value> =
        proven.withheld.iter().map(|(reason, what)| json!({ "reason": reason, "what": what })).collect();
    let document = json!({
        "proven": true, "size": head.size, "root": hex(&head.root), "files": files,
        "statements": statements, "consents": consents, "uses": uses, "unproven_uses": unproven_uses,
        "incidents": incidents, "complaints": complaints, "sources": sources,
        "moved": moved, "moved_proven": moved_proven,
        "batch_signers": signers, "withheld": withheld, "unknown": proven.unknown, "unread": proven.unread,
        "witnessed": false,
    });
    let (size, root, batches) = (head.size, hex(&head.root), signers.join("\n  "));
    let left: Vec<String> =
        proven.withheld.iter().map(|(reason, what)| format!("  {reason}: {what}")).collect();
    let left = left.join("\n");
    let odd: Vec<&str> = proven.unknown.iter().chain(&proven.unread).map(String::as_str).collect();
    let odd = odd.join(" ");
    let (mut ko_moved, mut en_moved) = (String::new(), String::new());
    if moved > 0 {
        ko_moved = format!(
            "다른 로그에서 옮겨 온 것이라는 진술 {moved}건, 그 로그의 키로 증명된 것 {moved_proven}건 (--moved-from)\n"
        );
        en_moved = format!(
            "{moved} statements say they came from another log, {moved_proven} of them are proven to (--moved-from)\n"
        );
    }
    say.result(
        &document,
        &format!(
            "증명됨: 파일 {files}개가 로그가 서명한 그대로임, 체크포인트 크기 {size}\n루트 {root}\n\
             진술 {statements}건, 동의 기록 {consents}건, 이용 기록 {uses}건 (증거 없는 것 {unproven_uses}건), 사건 {incidents}건, 신고 {complaints}건, 다른 곳에서 온 데이터 {sources}건\n{ko_moved}\
             이용 묶음에 서명한 키 (운영자의 키와 비교하십시오):\n  {batches}\n들어 있지 않은 것:\n{left}\n\
             뜻을 확인하지 않은 파일: {odd}\n증명하지 않음: 빠진 것이 없다는 것, 로그가 모두에게 같다는 것\nunwitnessed"
        ),
        &format!(
            "proven: {files} files are as the log signed them, checkpoint of {size}\nroot {root}\n\
             {statements} statements, {consents} consent records that follow from them, {uses} uses ({unproven_uses} more without proof), {incidents} incidents, {complaints} complaints, {sources} items that sources brought\n{en_moved}\
             use batches are signed by (compare with the operator's key):\n  {batches}\nnot inside:\n{left}\n\
             files whose meaning was not checked: {odd}\n\
             not proven: that nothing else was left out, that the log is the same for everybody\nunwitnessed"
        ),
    );
    Ok(Exit::Ok)
}
