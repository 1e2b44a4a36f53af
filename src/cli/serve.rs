//! `naru serve`: one node and its HTTP service, until a signal.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::open;
use crate::cli::receive;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::config::Config;
use crate::http;
use crate::node::Node;
use crate::node::Readiness;
use crate::node::Stop;
use crate::node::clock::Clock;
use crate::outbound::Client;
use crate::outbound::Credentials;
use crate::telemetry;
use crate::web;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Writes one line to stdout once it takes requests: `listening on http://…` (or https), or a JSON document.
SIGTERM and SIGINT stop it: what is under way is answered, a last checkpoint is published.
SIGHUP has certificate and key read again; connections that stand keep what they have.
With `receive.party`, `.signer`, `.from` (and `.keys`) it takes what other logs deliver to it as a
receiver of transfers; the keys stand in the manual of the configuration.
Each key of the configuration may be overridden by NARU_…: `NARU_LISTEN`, `NARU_STORE_ENGINE`.
NARU_LOG chooses what is logged to stderr: `info`, or `naru=debug` for a line a request with its id.
Of engines and clients only warnings and errors are logged, whatever it says: their lines print keys.
Under --json each log line is one JSON object. `naru backup` asks over a socket in the data folder.")]
pub(in crate::cli) struct Args {
    /// Configuration; default: `NARU_CONFIG`, then ./naru.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Certificate to speak TLS 1.3 with (PEM); SIGHUP has it read again.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let named = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let flags = [
        ("listen", "listen", args.listen.clone()),
        ("tls-cert", "tls.cert", named(&args.tls_cert)),
        ("tls-key", "tls.key", named(&args.tls_key)),
    ];
    let config = open::config(args.config.as_deref(), &flags)?;
    let filter = std::env::var("NARU_LOG").unwrap_or_else(|_| "warn,naru=info".into());
    let format = if say.is_json() { telemetry::Format::Json } else { telemetry::Format::Text };
    telemetry::init(&filter, format).map_err(|error| Fail::usage("NARU_LOG").why(error))?;
    let listen = address("listen", &config.listen)?;
    let metrics = config.metrics_listen.as_deref().map(|at| address("metrics.listen", at)).transpose()?;
    let node = Arc::new(node(&config)?);
    if let Readiness::NotReady(stop) = node.readiness() {
        let way_out = match stop {
            Stop::Anchor | Stop::Mark => "naru restore DIR --log URL|DIR",
            Stop::Lost => "naru restore DIR --accept-lost",
            Stop::Fixture => "danger_authzen_fixture = false",
            Stop::Loading | Stop::Io | Stop::Disk | Stop::OtherLeader | Stop::Busy | Stop::Closing => {
                "/readyz"
            }
        };
        say.remark(
            &format!("쓰기를 거부합니다: {stop}. 읽기만 제공합니다. 다음: {way_out}"),
            &format!("writes are refused: {stop}; reads are served. Next: {way_out}"),
        );
    }
    if let Some(client) = outbound(&config)? {
        node.carry_with(Arc::new(client));
    }
    if let Some(receiving) = receive::receiving(&config)? {
        node.receive_with(receiving);
    }
    let control = control::listen(&node, &config.data);
    if let Err(cause) = &control {
        tracing::warn!(%cause, "no backups while serving: the control socket cannot be made");
    }
    let options = options(&config, listen, metrics)?;
    let running = http::serve(Arc::clone(&node), options).map_err(|cause| {
        let also = metrics.map_or_else(String::new, |at| format!(" or `{at}`"));
        Fail::new(format!("`{listen}`{also} cannot be listened on"))
            .why(cause)
            .next("stop what listens there, or choose another `listen`")
    })?;
    let scheme = if running.is_tls() { "https" } else { "http" };
    let url = format!("{scheme}://{}", running.addr());
    let document = json!({
        "listening": url, "origin": config.origin, "size": node.published().size,
        "metrics": running.metrics().map(|at| format!("http://{at}/metrics")),
    });
    say.result(&document, &format!("listening on {url}"), &format!("listening on {url}"));
    let ended = running.wait();
    drop(control);
    node.close();
    ended.map_err(|cause| Fail::new("the service ended badly").why(cause))?;
    Ok(Exit::Ok)
}

/// What the service is told, beside the node.
fn options(config: &Config, listen: SocketAddr, metrics: Option<SocketAddr>) -> Result<http::Options, Fail> {
    let tls = config.tls_cert.clone().zip(config.tls_key.clone());
    let tls =
        tls.map(|(certificate, key)| http::Tls { certificate, key, ask_clients: config.tls_ask_clients });
    if let Some(cause) = tls.as_ref().and_then(|tls| tls.check().err()) {
        let next = "`tls.cert` and `tls.key` are two PEM files; the key has no passphrase";
        return Err(Fail::new("the certificate and its key cannot be used").why(cause).next(next));
    }
    Ok(http::Options {
        metrics,
        tls,
        bound_tokens: config.bound_tokens,
        carriers: receive::carriers(config)?,
        security: (!config.security_contact.is_empty()).then(|| http::Security {
            contacts: config.security_contact.clone(),
            expires: config.security_expires.clone(),
        }),
        workers: config.workers,
        limits: http::Limits {
            party: config.limit_party,
            session: config.limit_session,
            address: config.limit_address,
            proxies: config.limit_proxies.clone(),
        },
        base_url: config.base_url.clone().unwrap_or_default(),
        more: web::ROUTES,
        ..http::Options::new(listen)
    })
}

/// Who calls parties, if the configuration names a certificate to show them.
fn outbound(config: &Config) -> Result<Option<Client>, Fail> {
    let Some((certificate, key)) = config.outbound_cert.as_ref().zip(config.outbound_key.as_ref()) else {
        return Ok(None);
    };
    let read = |path: &PathBuf| std::fs::read(path).map_err(|cause| Fail::file(path, cause));
    let authorities = config.outbound_ca.as_ref().map(read).transpose()?;
    let credentials = Credentials { identity: Some((read(certificate)?, read(key)?)), authorities };
    let wrong =
        |cause| Fail::new("parties cannot be called").why(cause).next("check `outbound.cert`, `.key`, `.ca`");
    Client::new(&credentials).map(Some).map_err(wrong)
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Fail> {
    let wrong = || Fail::usage(format!("`{key}`: `{text}` is no address and port"));
    let mut found = text.to_socket_addrs().map_err(|cause| wrong().why(cause))?;
    found.next().ok_or_else(wrong)
}

fn node(config: &Config) -> Result<Node, Fail> {
    let (store, vault, keys) = (open::store(config)?, open::vault(config)?, open::keys(config)?);
    let settings = open::settings(config, open::grain(store.as_ref())?);
    let clock = match config.danger_clock_ahead_ms {
        0 => Clock::System,
        ms => Clock::Ahead(ms),
    };
    Node::open(settings, store, vault, keys, clock)
        .map_err(|error| Fail::new("the log does not open").why(error).next("run `naru fsck`"))
}
