//! The edge: HTTP over one running [`Node`]. All routes stand in [`ROUTES`].
//!
//! A handler does four things: extract, call one method of the node, map, answer.
//! Whatever may block goes to the blocking pool; a decision is looked for in memory
//! on the worker first. Lacks, on purpose: rules of consent, the store.
//!
//! Trusted: nothing that arrives. Body limits stand in the table.

mod arrival;
mod attachment;
mod authzen;
mod bound;
mod caller;
mod cohort;
mod decision;
mod deposit;
mod duty;
mod envelope;
mod events;
mod exception;
mod export;
mod gpc;
mod handover;
mod health;
mod incident;
mod introspect;
mod limit;
mod log;
mod message;
mod notice;
pub mod openapi;
mod outcome;
mod party;
pub mod problem;
mod range;
mod request;
mod route;
mod security;
mod sort;
mod statement;
mod subject;
mod tls;
mod token;
mod transfer;

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::dev::ServerHandle;
use actix_web::guard;
use actix_web::middleware::from_fn;
use actix_web::web;
use tokio::sync::watch;

use crate::node::Node;
use crate::telemetry::Metrics;

pub use events::Feeding;
pub use limit::Limits;
pub use problem::Problem;
pub use route::Dress;
pub use route::Meter;
pub use route::Method;
pub use route::Role;
pub use route::Route;
pub use security::Security;
pub use tls::Carrier;
pub use tls::Tls;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

use Role::Anyone;
use Role::Citizen;
use Role::Party;
use Role::Regulator;

/// Every route of this module. Addresses are tried in this order: what is asked most stands first.
pub const ROUTES: &[Route] = &[
    Route::post("/access/v1/evaluation", &[Party], 64 * KIB, |r| r.to(authzen::evaluation)).bare(),
    Route::post("/access/v1/evaluations", &[Party], MIB, |r| r.to(authzen::evaluations)).bare(),
    Route::post("/v1/statements", &[Anyone], 64 * KIB, |r| r.to(statement::submit)).taking(Meter::Statements),
    Route::post("/v1/statements:batch", &[Anyone], 8 * MIB, |r| r.to(statement::submit_batch))
        .taking(Meter::Statements),
    Route::get("/v1/statements/{id}", &[Anyone], |r| r.to(statement::place)),
    Route::get("/v1/statements/{id}/receipt", &[Anyone], |r| r.to(statement::receipt)),
    Route::get("/v1/statements/{id}/evidence", &[Anyone, Citizen, Party], |r| r.to(statement::evidence)),
    Route::post("/v1/attachments", &[Party], MIB, |r| r.to(attachment::store)),
    Route::get("/v1/decisions/{id}/evidence", &[Citizen, Party], |r| r.to(decision::evidence)),
    Route::get("/v1/subjects/me", &[Citizen], |r| r.to(subject::own)),
    Route::get("/v1/subjects/me/uses", &[Citizen], |r| r.to(decision::uses)),
    Route::get("/v1/subjects/me/ppids/{party}", &[Citizen], |r| r.to(subject::ppid)),
    Route::get("/v1/subjects/me/export", &[Citizen], |r| r.to(export::mine)),
    Route::post("/v1/subjects/me/export/links", &[Citizen], KIB, |r| r.to(export::link)),
    Route::get("/v1/exports/{id}", &[Anyone], |r| r.to(export::linked)),
    Route::get("/v1/subjects/me/deposits", &[Citizen], |r| r.to(deposit::mine)),
    Route::post("/v1/subjects/me/deposit-key", &[Citizen], 4 * KIB, |r| r.to(deposit::own_key)),
    Route::post("/v1/subjects/me/sources", &[Citizen], KIB, |r| r.to(deposit::pull)),
    Route::post("/v1/deposits", &[Party], 3 * MIB / 2, |r| r.to(deposit::bring)),
    Route::post("/v1/cohorts", &[Party], GIB, |r| r.to(cohort::begin)),
    Route::get("/v1/cohorts/{id}", &[Party], |r| r.to(cohort::status)),
    Route::get("/v1/cohorts/{id}/verdicts", &[Party], |r| r.to(cohort::verdicts)),
    Route::get("/v1/cohorts/{id}/summary", &[Party], |r| r.to(cohort::summary)),
    Route::get("/v1/subjects/me/exceptions", &[Citizen], |r| r.to(exception::mine)),
    Route::get("/v1/subjects/me/transfers", &[Citizen], |r| r.to(transfer::mine)),
    Route::get("/v1/transfers/{id}", &[Party], |r| r.to(transfer::half)),
    Route::get("/v1/subjects/me/expected", &[Citizen], |r| r.to(arrival::mine)),
    Route::post("/v1/subjects/me/arrivals", &[Citizen], KIB, |r| r.to(arrival::expect)),
    Route::put("/v1/transfers/{id}/runs/{run}/items/{item}", &[Role::Carrier], 4 * MIB, |r| {
        r.to(arrival::take)
    }),
    Route::post("/v1/transfers/{id}/runs/{run}/complete", &[Role::Carrier], KIB, |r| r.to(arrival::complete)),
    Route::post("/v1/transfers/{id}/runs/{run}/failed", &[Role::Carrier], KIB, |r| r.to(arrival::failed)),
    Route::post("/v1/transfers/{id}/ended", &[Role::Carrier], 4 * KIB, |r| r.to(arrival::ended)),
    Route::get("/v1/subjects/me/duties", &[Citizen], |r| r.to(duty::mine)),
    Route::get("/v1/subjects/me/rights", &[Citizen], |r| r.to(duty::my_rights)),
    Route::get("/v1/subjects/me/value", &[Citizen], |r| r.to(duty::my_value)),
    Route::get("/v1/duties", &[Party], |r| r.to(duty::own)),
    Route::get("/v1/incidents", &[Citizen, Party, Regulator], |r| r.to(incident::list)),
    Route::get("/v1/incidents/{id}", &[Party, Regulator], |r| r.to(incident::one)),
    Route::post("/v1/incidents/{id}/documents", &[Party, Regulator], MIB, |r| r.to(incident::keep)),
    Route::get("/v1/incidents/{id}/documents/{hash}", &[Party, Regulator], |r| r.to(incident::document)),
    Route::get("/v1/incidents/{id}/dossier", &[Regulator], |r| r.to(incident::dossier)),
    Route::post("/v1/incidents/{id}/openings", &[Regulator], 16 * KIB, |r| r.to(incident::openings)),
    Route::get("/v1/parties/{id}/exceptions", &[Regulator], |r| r.to(exception::of_party)),
    Route::get("/v1/parties/{id}/duties", &[Regulator], |r| r.to(duty::of_party)),
    Route::get("/v1/parties/{id}/jwks.json", &[Anyone], |r| r.to(party::keys)),
    Route::get("/v1/parties/{id}/notices", &[Anyone], |r| r.to(notice::of_party)),
    Route::get("/v1/requests/{id}", &[Anyone], |r| r.to(request::seen)),
    Route::get("/v1/requests/{id}/answer", &[Party], |r| r.to(request::answer)),
    Route::post("/v1/handovers", &[Party], 16 * KIB, |r| r.to(handover::hand_over)),
    Route::get("/v1/events", &[Party], |r| r.to(events::feed)),
    Route::post("/oauth/token", &[Anyone], 16 * KIB, |r| r.to(token::issue)),
    Route::post("/oauth/introspect", &[Party], 16 * KIB, |r| r.to(introspect::introspect)),
    Route::post("/access/v1/search/subject", &[Party], 64 * KIB, |r| r.to(authzen::search_subject)).bare(),
    Route::post("/access/v1/search/resource", &[Party], 64 * KIB, |r| r.to(authzen::search_resource)).bare(),
    Route::post("/access/v1/search/action", &[Party], 64 * KIB, |r| r.to(authzen::search_action)).bare(),
    Route::get("/.well-known/authzen-configuration", &[Anyone], |r| r.to(authzen::metadata)),
    Route::get("/.well-known/security.txt", &[Anyone], |r| r.to(security::text)),
    Route::get("/.well-known/gpc.json", &[Anyone], |r| r.to(gpc::support)),
    Route::get("/.well-known/naru-rebinds", &[Anyone], |r| r.to(health::rebinds)),
    Route::get("/openapi.json", &[Anyone], |r| r.to(openapi::serve)),
    Route::get("/log/checkpoint", &[Anyone], |r| r.to(log::checkpoint)).taking(Meter::Free),
    Route::get("/log/rotations", &[Anyone], |r| r.to(log::rotations)).taking(Meter::Free),
    Route::get("/log/tile/{path:.*}", &[Anyone], |r| r.to(log::tile)).taking(Meter::Free),
    Route::get("/log/attachments/{hash}", &[Anyone], |r| r.to(attachment::serve)).taking(Meter::Free),
    Route::get("/problems/{code}", &[Anyone], |r| r.to(problem::explain)),
    Route::get("/livez", &[Anyone], |r| r.to(health::live)).taking(Meter::Free),
    Route::get("/readyz", &[Anyone], |r| r.to(health::ready)).taking(Meter::Free),
    Route::get("/metrics", &[Anyone], |r| r.to(health::metrics)).taking(Meter::Free),
];

/// The routes for whoever runs it: `metrics.listen` serves them, and moves the last.
const OPERATING: [&str; 3] = ["/livez", "/readyz", METRICS];
const METRICS: &str = "/metrics";

/// How a server is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/metrics` is served instead, if anywhere; port 0 takes a free one.
    pub metrics: Option<SocketAddr>,
    /// Certificate and key, if the service speaks TLS itself.
    pub tls: Option<Tls>,
    /// Whether parties get only tokens that are bound to a key or a certificate.
    pub bound_tokens: bool,
    /// Logs that deliver here, each by its certificate.
    pub carriers: Vec<Carrier>,
    /// What `/.well-known/security.txt` says.
    pub security: Option<Security>,
    /// Worker threads; 0 means one a core.
    pub workers: usize,
    /// The URL callers use, without a slash at its end; empty means `http://`
    /// (or `https://`) and the bound address.
    pub base_url: String,
    /// Items in one batch of statements or evaluations, at most 1,024.
    pub batch_items: usize,
    /// How long `?wait=receipt` waits for a checkpoint.
    pub receipt_patience: Duration,
    /// How long a graceful stop waits for requests under way.
    pub stop_patience: Duration,
    /// How feeds of events are kept.
    pub feeding: Feeding,
    /// How much each caller may ask.
    pub limits: Limits,
    /// Whether SIGINT and SIGTERM stop the server.
    pub signals: Signals,
    /// Routes of other modules, registered after [`ROUTES`].
    pub more: &'static [Route],
}

/// Who stops a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// SIGINT, SIGTERM and SIGQUIT do.
    Obeyed,
    /// Only [`Running::stop`] does.
    Ignored,
}

impl Options {
    /// Safe defaults for one address; callers have no limits.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            metrics: None,
            tls: None,
            bound_tokens: false,
            carriers: Vec::new(),
            security: None,
            workers: 0,
            base_url: String::new(),
            batch_items: MAX_BATCH,
            receipt_patience: Duration::from_secs(30),
            stop_patience: Duration::from_secs(10),
            feeding: Feeding::default(),
            limits: Limits::default(),
            signals: Signals::Obeyed,
            more: &[],
        }
    }
}

/// Most items in one batch.
pub const MAX_BATCH: usize = 1_024;

/// What all handlers share.
#[derive(Debug)]
pub struct Shared {
    node: Arc<Node>,
    metrics: Metrics,
    base_url: String,
    bound_tokens: bool,
    carriers: Vec<Carrier>,
    security: Option<Security>,
    openapi: openapi::Document,
    /// The routes served, in the order in which answers are counted.
    routes: Vec<&'static Route>,
    batch_items: usize,
    receipt_patience: Duration,
    feeding: Feeding,
    listeners: Arc<events::Listeners>,
    /// Turns true when the server stops: then nobody is kept waiting for news.
    closing: watch::Receiver<bool>,
    ids: envelope::Ids,
    limiter: limit::Limiter,
    /// Answers in place of the ledger, if the node was started for it.
    fixture: Option<authzen::Fixture>,
}

impl Shared {
    /// The running instance.
    #[must_use]
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

/// A server under way. Dropping it stops it, without waiting for requests.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    metrics: Option<SocketAddr>,
    handle: ServerHandle,
    closing: watch::Sender<bool>,
    tls: Option<Arc<tls::Keeper>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    /// The bound address.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The bound address of `/metrics`, if it has one of its own.
    #[must_use]
    pub const fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads certificate and key again, for connections to come; so does SIGHUP.
    ///
    /// # Errors
    /// A file cannot be read, is no PEM, or the key is another certificate's; then nothing changes.
    pub fn reload(&self) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |keeper| keeper.reload())
    }

    /// Stops taking requests, answers those under way, and returns when all is quiet.
    ///
    /// # Errors
    /// What the server ended with.
    pub fn stop(mut self) -> io::Result<()> {
        self.closing.send_replace(true);
        // The command is sent at once; the thread's end is the answer.
        drop(self.handle.stop(true));
        self.join()
    }

    /// Waits until a signal stops the server.
    ///
    /// # Errors
    /// What the server ended with.
    pub fn wait(mut self) -> io::Result<()> {
        self.join()
    }

    fn join(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(end)) => end,
            Some(Err(_)) => Err(io::Error::other("the http thread panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            drop(self.handle.stop(false));
            if let Err(error) = self.join() {
                tracing::error!(cause = %error, "the http server ended badly");
            }
        }
    }
}

/// Binds and serves on threads of its own; returns once connections are taken.
///
/// # Errors
/// The address cannot be bound; a thread cannot be made.
pub fn serve(node: Arc<Node>, options: Options) -> io::Result<Running> {
    let (tell, told) = mpsc::sync_channel(1);
    let (closing, closes) = watch::channel(false);
    let tls = options.tls.as_ref().map(tls::Keeper::new).transpose()?.map(Arc::new);
    let keeper = tls.clone();
    let thread = thread::Builder::new().name("http".into()).spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let bound = match listen(node, &options, keeper.as_deref(), closes) {
                Ok(bound) => bound,
                Err(error) => {
                    // The starter waits for exactly this.
                    let _gone = tell.send(Err(error));
                    return Ok(());
                }
            };
            let operating = bound.operating.map(|(server, addr)| {
                let handle = server.handle();
                actix_web::rt::spawn(server);
                (handle, addr)
            });
            if let (Some(keeper), Signals::Obeyed) = (keeper, options.signals) {
                tls::reload_on_hangup(keeper)?;
            }
            let metrics = operating.as_ref().map(|(_, addr)| *addr);
            let _gone = tell.send(Ok((bound.addr, metrics, bound.server.handle())));
            let ended = bound.server.await;
            if let Some((handle, _)) = operating {
                handle.stop(false).await;
            }
            ended
        })
    })?;
    match told.recv() {
        Ok(Ok((addr, metrics, handle))) => {
            Ok(Running { addr, metrics, handle, closing, tls, thread: Some(thread) })
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the http thread ended before it was bound")),
    }
}

/// Servers that are bound and not yet polled.
struct Bound {
    server: Server,
    addr: SocketAddr,
    operating: Option<(Server, SocketAddr)>,
}

fn listen(
    node: Arc<Node>,
    options: &Options,
    tls: Option<&tls::Keeper>,
    closing: watch::Receiver<bool>,
) -> io::Result<Bound> {
    let listener = TcpListener::bind(options.listen)?;
    let addr = listener.local_addr()?;
    let operating = options.metrics.map(TcpListener::bind).transpose()?;
    let base_url = match options.base_url.trim_end_matches('/') {
        "" if tls.is_some() => format!("https://{addr}"),
        "" => format!("http://{addr}"),
        url => url.to_owned(),
    };
    let fixture = node.settings().authzen_fixture.then(authzen::Fixture::carried).transpose()?;
    let routes: Vec<&'static Route> = ROUTES.iter().chain(options.more).collect();
    let named = routes.iter().map(|route| format!("{} {}", route.method.as_str(), route.path));
    let limiter = limit::Limiter::new(&options.limits, node.steady());
    let shared = web::Data::new(Shared {
        fixture,
        limiter,
        node,
        metrics: Metrics::new(named).map_err(io::Error::other)?,
        base_url,
        bound_tokens: options.bound_tokens,
        carriers: options.carriers.clone(),
        security: options.security.clone(),
        openapi: openapi::Document::new(),
        routes: routes.clone(),
        batch_items: options.batch_items.min(MAX_BATCH),
        receipt_patience: options.receipt_patience,
        feeding: options.feeding,
        listeners: Arc::new(events::Listeners::new(options.feeding.per_party, options.feeding.listeners)),
        closing,
        ids: envelope::Ids::new().map_err(io::Error::other)?,
    });
    let moved = operating.is_some();
    let public = routes.iter().copied().filter(|route| !(moved && route.path == METRICS)).collect();
    let server = bind(listener, tls, &shared, public, options)?;
    let operating = operating.map(|listener| {
        let addr = listener.local_addr()?;
        let own = routes.into_iter().filter(|route| OPERATING.contains(&route.path)).collect();
        // It ends with the other, whoever stops that.
        let options = Options { workers: 1, signals: Signals::Ignored, ..options.clone() };
        Ok::<_, io::Error>((bind(listener, None, &shared, own, &options)?, addr))
    });
    Ok(Bound { server, addr, operating: operating.transpose()? })
}

fn bind(
    listener: TcpListener,
    tls: Option<&tls::Keeper>,
    shared: &web::Data<Shared>,
    routes: Vec<&'static Route>,
    options: &Options,
) -> io::Result<Server> {
    let shared = shared.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .configure(|config| register(config, &routes))
            .default_service(web::to(envelope::no_route))
    });
    let server = server.h1_write_buffer_size(WRITE_BUFFER).shutdown_timeout(options.stop_patience.as_secs());
    let server = if options.workers > 0 { server.workers(options.workers) } else { server };
    let server = match options.signals {
        Signals::Obeyed => server,
        Signals::Ignored => server.disable_signals(),
    };
    let server = match tls {
        Some(keeper) => server.on_connect(tls::note).listen_openssl(listener, keeper.acceptor()?)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// What a connection may keep of its write buffer, bytes: the answer to a batch of 256 fits.
const WRITE_BUFFER: usize = 256 * 1024;

fn register(config: &mut web::ServiceConfig, routes: &[&'static Route]) {
    for route in routes.iter().copied() {
        let guarded = match route.method {
            Method::Get => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
            Method::Post => web::route().guard(guard::Post()),
            Method::Put => web::route().guard(guard::Put()),
        };
        let resource = web::resource(route.path).app_data(route).route((route.bind)(guarded));
        match route.dress {
            Dress::Bare => config.service(resource.default_service(web::to(envelope::no_method_bare))),
            Dress::Envelope => config.service(
                resource.default_service(web::to(envelope::no_method)).wrap(from_fn(envelope::around)),
            ),
        };
    }
}
