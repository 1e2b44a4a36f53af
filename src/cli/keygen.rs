//! `naru keygen`: a key pair for a party, a regulator or a person.

use std::path::Path;
use std::path::PathBuf;

use openssl::bn::BigNum;
use openssl::bn::BigNumContext;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::ec::EcPoint;
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use zeroize::Zeroizing;

use crate::cli::Exit;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::recovery;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::ledger::key::Ed25519Signer;
use crate::ledger::key::P256Signer;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::node::clock;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Signature algorithm.
    #[arg(long, value_enum, default_value_t = Alg::Ed25519)]
    alg: Alg,
    /// A recovery key to be kept on paper: FILE gets its code, nine groups of four and the same as 15 words, to
    /// be printed and removed.
    #[arg(long, conflicts_with_all = ["alg", "from_recovery"])]
    recovery: bool,
    /// Language of those words.
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = recovery::LANGUAGES.map(|(name, _)| name))]
    words: String,
    /// The private key of a recovery code: its groups or its words, read from this file.
    #[arg(long, value_name = "CODE", conflicts_with = "alg")]
    from_recovery: Option<PathBuf>,
    /// New file for the private key (PEM, mode 0600); the public key goes beside it as `.pub.pem`.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Alg {
    /// Ed25519: what a log and its operator use.
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    P256,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let (secret, public) = if args.recovery {
        recovery(&args.words)?
    } else if let Some(code) = &args.from_recovery {
        from_recovery(code)?
    } else {
        match args.alg {
            Alg::Ed25519 => ed25519()?,
            Alg::P256 => p256()?,
        }
    };
    write_new(&args.out, secret.as_bytes(), Mode::Secret)?;
    let beside = args.out.with_extension("pub.pem");
    write_new(&beside, public.to_pem().as_bytes(), Mode::Public)?;
    let hash = hex(&public.hash());
    let json = serde_json::json!({ "key_hash": hash, "private": args.out, "public": beside });
    let text = format!("{hash}\n{}\n{}", args.out.display(), beside.display());
    say.result(&json, &text, &text);
    Ok(Exit::Ok)
}

/// A fresh recovery key: its groups on one line, its words on the next, and its public half.
fn recovery(words: &str) -> Result<(Zeroizing<String>, PublicKey), Fail> {
    let secret = Zeroizing::new(draw::<{ recovery::ENTROPY }>()?);
    let known = recovery::LANGUAGES.into_iter().find(|(name, _)| *name == words);
    let (_, language) = known.ok_or_else(|| Fail::usage(format!("there are no words in `{words}`")))?;
    let (groups, words) = (recovery::code_of(&secret), recovery::words_of(&secret, language));
    let code = Zeroizing::new(format!("{}\n{}\n", groups.as_str(), words.as_str()));
    Ok((code, recovery::signer_of(&secret).public().clone()))
}

fn from_recovery(path: &Path) -> Result<(Zeroizing<String>, PublicKey), Fail> {
    let code = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|cause| Fail::file(path, cause))?;
    let secret = recovery::secret_in(&code).map_err(|error| {
        Fail::new(format!("`{}` holds no recovery code", path.display()))
            .why(error)
            .next("compare it with the paper, group by group or word by word")
    })?;
    let signer = recovery::signer_of(&secret);
    let pem = signer.to_pem().map_err(Fail::new)?;
    Ok((pem, signer.public().clone()))
}

/// A fresh Ed25519 key: PKCS#8 PEM and public half.
pub(in crate::cli) fn ed25519() -> Result<(Zeroizing<String>, PublicKey), Fail> {
    let seed = Zeroizing::new(draw::<32>()?);
    let signer = Ed25519Signer::from_seed(*seed);
    let pem = signer.to_pem().map_err(Fail::new)?;
    Ok((pem, signer.public().clone()))
}

fn p256() -> Result<(Zeroizing<String>, PublicKey), Fail> {
    let key = loop {
        // Almost every draw is a scalar below the order.
        if let Some(key) = p256_key(&Zeroizing::new(draw()?)).map_err(Fail::new)? {
            break key;
        }
    };
    let pem = key.private_key_to_pem_pkcs8().map(Zeroizing::new).map_err(Fail::new)?;
    let pem = Zeroizing::new(std::str::from_utf8(&pem).map_err(Fail::new)?.to_owned());
    let public = P256Signer::from_pem(&pem).map_err(Fail::new)?.public().clone();
    Ok((pem, public))
}

/// The key of a scalar; `None` if it is 0 or not below the order.
fn p256_key(scalar: &Zeroizing<[u8; 32]>) -> Result<Option<PKey<Private>>, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let (mut order, mut context) = (BigNum::new()?, BigNumContext::new()?);
    group.order(&mut order, &mut context)?;
    let scalar = BigNum::from_slice(scalar.as_slice())?;
    if scalar.num_bits() == 0 || scalar >= order {
        return Ok(None);
    }
    let mut point = EcPoint::new(&group)?;
    point.mul_generator2(&group, &scalar, &mut context)?;
    PKey::from_ec_key(EcKey::from_private_components(&group, &scalar, &point)?).map(Some)
}

/// Random bytes, or why there are none.
pub(in crate::cli) fn draw<const N: usize>() -> Result<[u8; N], Fail> {
    clock::random().map_err(|cause| Fail::new("the system gave no randomness").why(cause))
}
