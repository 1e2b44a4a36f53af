//! `naru demo`: a year in process, then a few live steps over HTTP.
//!
//! The year is drawn from a seed and counted in `summary.json`, equal in every
//! run; the bytes of the log may differ, since the vault draws its own keys. What
//! it leaves is laid out for foreign verifiers (`export`). Lacks anything a real
//! ledger should copy: every key of the demo follows from its seed.

mod act;
mod draw;
mod export;
mod live;
mod offer;
mod people;
mod seed;
mod story;
mod tally;
mod words;
mod world;
mod year;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::cli::control;
use crate::cli::demo::draw::Citizen;
use crate::cli::demo::seed::Seed;
use crate::cli::demo::tally::Summary;
use crate::cli::demo::words::Language;
use crate::cli::demo::words::Voice;
use crate::cli::demo::world::World;
use crate::node;
use crate::node::Node;
use crate::node::clock::Watch;

/// What `naru demo` is told.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Stop after the last step instead of serving on.
    #[arg(long)]
    once: bool,
    /// Where the log and everything else is left; an earlier demo there is replaced.
    #[arg(long, value_name = "DIR", default_value = "naru-demo")]
    out: PathBuf,
    /// Everything is drawn from this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 831)]
    seed: u64,
    /// Citizens of the year, the story's six among them.
    #[arg(long, value_name = "NUMBER", default_value_t = 200, conflicts_with = "people")]
    citizens: u64,
    /// A real population instead: UCI Adult, plain or gzip, one citizen a row.
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Address of the live part.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// What goes wrong in a demo.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Error {
    /// A file.
    #[error("file `{path}`: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The folder holds something else.
    #[error("`{path}` is not empty and no earlier demo; choose another folder with `--out`")]
    Folder {
        /// Which.
        path: PathBuf,
    },
    /// The population does not parse.
    #[error("row {row} of the population: {cause}")]
    Csv {
        /// Which row.
        row: u64,
        /// Why.
        cause: csv::Error,
    },
    /// A row is not one of UCI Adult.
    #[error("row {row} of the population does not have the 15 columns of UCI Adult")]
    Row {
        /// Which row.
        row: u64,
    },
    /// The node refused what it should take, or for another reason than it should.
    #[error("{step}: {refusal}")]
    Refused {
        /// Where.
        step: &'static str,
        /// Why.
        refusal: node::Refusal,
    },
    /// Something else came than the demo says must come.
    #[error("{step}: unexpectedly `{found}`")]
    Unexpected {
        /// Where.
        step: &'static str,
        /// What came.
        found: String,
    },
    /// The address of the live part is taken.
    #[error("cannot listen on {listen}: {cause}; choose another address with `--listen`")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The node does not write.
    #[error("the node does not write: {0}")]
    Stopped(node::Stop),
    /// The node.
    #[error(transparent)]
    Node(#[from] node::Error),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] crate::vault::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// Signing.
    #[error(transparent)]
    Identity(#[from] crate::identity::Error),
    /// A key as a file.
    #[error(transparent)]
    Key(#[from] crate::ledger::key::Error),
    /// The log's key as a line.
    #[error(transparent)]
    Note(#[from] crate::ledger::note::Error),
    /// A checkpoint of our own.
    #[error(transparent)]
    Checkpoint(#[from] crate::ledger::checkpoint::Error),
    /// A receipt of our own.
    #[error(transparent)]
    Receipt(#[from] crate::ledger::receipt::Error),
    /// Evidence of our own.
    #[error(transparent)]
    Evidence(#[from] crate::ledger::evidence::Error),
    /// Evidence of a decision of our own.
    #[error(transparent)]
    Decision(#[from] crate::audit::decision::Error),
    /// JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Error {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |cause| Self::File { path: path.to_owned(), cause }
    }
}

/// An empty log with parties and notices in a folder of its own: ground to measure on.
///
/// # Errors
/// The folder, the store.
pub(in crate::cli) fn scratch(dir: &Path) -> Result<Arc<Node>, Error> {
    fs::create_dir_all(dir).map_err(Error::at(dir))?;
    Ok(World::create(dir, Seed::new(1))?.node)
}

/// Runs the demo; what goes wrong is said on standard error.
#[must_use]
pub(in crate::cli) fn run(args: &Args) -> ExitCode {
    let voice = Voice(Language::of_environment());
    match demo(args, voice) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("naru demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &Args, voice: Voice) -> Result<(), Error> {
    clear(&args.out)?;
    let seed = Seed::new(args.seed);
    let (citizens, rule, people) = population(args, seed)?;
    if citizens.is_empty() {
        return Err(Error::Unexpected { step: "population", found: "nobody".into() });
    }
    let all = citizens.len() as u64 + story::CAST;
    let length = year::length(&citizens);
    voice.tell(words::YEAR, &[&all, &length, &args.seed]);

    let watch = Watch::start();
    let bar = progress(length);
    let mut world = World::create(&args.out, seed)?;
    let kept = year::play(&mut world, &citizens, &bar)?;
    bar.finish_and_clear();
    let ms = watch.elapsed().as_millis().max(1);
    let (made, refused) = (world.tally.statements(), world.tally.refusals());
    let rate = u128::from(made + refused) * 1000 / ms;
    let (checks, lines) = (world.tally.checks(), world.tally.use_lines());
    voice.tell(words::YEAR_DONE, &[&made, &refused, &checks, &lines, &seconds(watch), &rate]);

    let summary = Summary {
        seed: args.seed,
        rule,
        citizens: all,
        parties: offer::PARTIES.to_vec(),
        vocabulary: format!("DPV {}", world.node.vocabulary().version()),
        people,
        tally: world.tally.clone(),
    };
    let path = args.out.join("summary.json");
    export::write(&path, summary.to_json()?.as_bytes())?;
    export::operation(&world, &args.out)?;
    let mut evidence = export::decisions(&world, &args.out, &kept.decisions)?;
    let world = world.reopen(&args.out)?;
    // Lets `naru flag` ask; a path too long for a socket is no reason to stop.
    let control = control::listen(&world.node, &args.out.join("data")).ok();
    let running = live::serve(&world, args.listen)?;
    let watch = Watch::start();
    let elsewhere = live::play(&world, &args.out, &running, &kept.lives, voice)?;
    voice.tell(words::LIVE_DONE, &[&seconds(watch)]);

    let watch = Watch::start();
    export::settle(&world)?;
    evidence += export::evidence(&world, &args.out, &kept.samples)?;
    let size = export::log(&world, &args.out, &kept.old)?;
    export::secrets(&world, &args.out, &kept.lives)?;
    voice.tell(words::LEFT, &[&args.out.display(), &size, &evidence, &path.display(), &seconds(watch)]);
    let ended = if args.once {
        running.stop().map_err(Error::at(&args.out))
    } else {
        live::stay(world, &args.out, running, voice)
    };
    drop((control, elsewhere));
    ended
}

/// How long a part took, to a tenth of a second.
fn seconds(watch: Watch) -> String {
    format!("{:.1}", watch.elapsed().as_secs_f64())
}

/// Citizens, the rule they were drawn by, and figures of a real population.
type Population = (Vec<Citizen>, &'static str, Option<people::Figures>);

fn population(args: &Args, seed: Seed) -> Result<Population, Error> {
    let dice = |n: u64| seed.dice("life", n);
    if let Some(file) = &args.people {
        let (leanings, figures) = people::read(file)?;
        let draw = |(n, leaning): (u64, &draw::Leaning)| Citizen::draw(leaning, dice(n));
        return Ok(((0..).zip(&leanings).map(draw).collect(), people::RULE, Some(figures)));
    }
    let crowd = args.citizens.saturating_sub(story::CAST);
    let draw = |n| Citizen::draw(&draw::crowd(&mut seed.dice("leaning", n)), dice(n));
    Ok(((0..crowd).map(draw).collect(), draw::CROWD_RULE, None))
}

/// Makes room: an earlier demo goes, anything else stays and is refused.
fn clear(out: &Path) -> Result<(), Error> {
    let mark = out.join(MARK);
    if mark.exists() {
        fs::remove_dir_all(out).map_err(Error::at(out))?;
    } else if out.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Folder { path: out.to_owned() });
    }
    fs::create_dir_all(out).map_err(Error::at(out))?;
    export::write(&mark, b"Left by `naru demo`, which may delete this folder.\n")
}

fn progress(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = "  {bar:30} {pos}/{len}  {per_sec}  {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Stands in a folder that the demo may replace.
const MARK: &str = ".naru-demo";
