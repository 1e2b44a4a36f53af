//! What an operator sees: log lines on standard error, and figures for Prometheus.
//!
//! Lacks, on purpose, every label that could name a person, a statement or a key.
//! Decisions are counted by the reason that was *told*: whoever reads the figures
//! learns nothing that the asker was not told. Addresses are counted by their pattern.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus::Encoder;
use prometheus::Gauge;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::HistogramVec;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::IntGaugeVec;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;
use prometheus::proto;
use tracing::Dispatch;
use tracing::Level;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::model::decision::Reason;
use crate::model::statement::Kind;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// There is a subscriber already.
    #[error("logging has started already")]
    Started,
    /// A metric.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Crates that print what passes through them: engines their keys, which hold hashes of persons, a
/// database's client its parameters, an HTTP client where it calls and with what.
const TALKATIVE: [&str; 9] =
    ["fjall", "lsm_tree", "postgres", "sfa", "sled", "tokio_postgres", "ureq", "ureq_proto", "value_log"];

/// Whether a line may be written, whatever the operator asks to see: of [`TALKATIVE`] crates warnings and
/// errors, of all others everything.
fn may_be_written(line: &Metadata<'_>) -> bool {
    let of = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::WARN || !TALKATIVE.contains(&of)
}

/// What writes the lines that `filter` asks for, as far as they may be written. A filter
/// cannot ask for more: the cap is no directive that a narrower one would win over.
///
/// # Errors
/// A filter that does not parse.
pub fn listener<W>(filter: &str, format: Format, to: W) -> Result<Dispatch, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(to);
    let lines = match format {
        Format::Json => lines.json().boxed(),
        Format::Text => lines.boxed(),
    };
    let heard = tracing_subscriber::registry().with(lines).with(EnvFilter::try_new(filter)?);
    Ok(heard.with(filter_fn(may_be_written)).into())
}

/// Starts logging to standard error.
///
/// # Errors
/// A filter that does not parse; a second start.
pub fn init(filter: &str, format: Format) -> Result<(), Error> {
    listener(filter, format, std::io::stderr)?.try_init().map_err(|_| Error::Started)
}

/// What became of a submitted statement, as counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was here before.
    Duplicate,
    /// The bytes or the signature.
    Malformed,
    /// It would have no effect.
    Refused,
    /// Ours.
    Unavailable,
}

impl Fate {
    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The timed acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// One decision.
    Evaluation,
    /// A batch of decisions.
    Evaluations,
    /// One search.
    Search,
    /// One statement.
    Statement,
    /// A batch of statements.
    Statements,
}

impl Act {
    const ALL: [Self; 5] =
        [Self::Evaluation, Self::Evaluations, Self::Search, Self::Statement, Self::Statements];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Evaluations => "evaluations",
            Self::Search => "search",
            Self::Statement => "statement",
            Self::Statements => "statements",
        }
    }
}

/// How values are spread: bound and how many are not above it; all; their sum.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    /// Bound, and how many values are not above it.
    pub upto: Vec<(f64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// What a scrape reads from the node.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// Entries under the newest checkpoint.
    pub published: u64,
    /// Entries sequenced.
    pub sequenced: u64,
    /// Statements in flight, by lane: opening acts, closing acts.
    pub in_flight: [usize; 2],
    /// Since this process has served the newest checkpoint, ms.
    pub checkpoint_age_ms: u64,
    /// Entries in each commit.
    pub commit_entries: Spread,
    /// Seconds until each commit was durable.
    pub commit_seconds: Spread,
    /// Every reason not to write, and whether it holds.
    pub stops: Vec<(&'static str, bool)>,
    /// Bytes of the engine on disk.
    pub disk_bytes: u64,
    /// `key.rebind` applied in the month that ended last.
    pub rebinds_last_month: u64,
    /// Statements accepted since the start.
    pub accepted: BTreeMap<Kind, u64>,
}

/// Counters, gauges and stop watches of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// In the order of [`Reason::ALL`].
    decisions: Vec<IntCounter>,
    /// In the order of [`Act::ALL`].
    seconds: Vec<Histogram>,
    statements: IntCounterVec,
    /// Answers by address and class of status; the last is no address of ours.
    answers: Vec<(String, [AtomicU64; 5])>,
    stops: IntGaugeVec,
    checkpoint_age: Gauge,
    published: IntGauge,
    sequenced: IntGauge,
    in_flight: IntGaugeVec,
    disk_bytes: IntGauge,
    rebinds: IntGauge,
    /// One scrape at a time moves what is copied from the node.
    scraping: Mutex<()>,
}

impl Metrics {
    /// All figures at zero; `routes` are the addresses answers are counted by, as patterns.
    ///
    /// # Errors
    /// [`Error::Metrics`]: a defect of the build.
    pub fn new(routes: impl Iterator<Item = String>) -> Result<Self, Error> {
        let registry = Registry::new();
        let decisions = IntCounterVec::new(
            Opts::new("naru_decisions_total", "Decisions by the reason told."),
            &["decision", "reason"],
        )?;
        let statements = IntCounterVec::new(
            Opts::new("naru_statements_total", "Submitted statements by type and outcome."),
            &["type", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("naru_request_seconds", "Time from the request's head to its answer.")
                .buckets(vec![0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5]),
            &["act"],
        )?;
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let metrics = Self {
            decisions: Reason::ALL
                .iter()
                .map(|r| {
                    let decision = if r.permits() { "permit" } else { "deny" };
                    decisions.get_metric_with_label_values(&[decision, r.as_str()])
                })
                .collect::<Result<_, _>>()?,
            seconds: Act::ALL
                .iter()
                .map(|act| seconds.get_metric_with_label_values(&[act.as_str()]))
                .collect::<Result<_, _>>()?,
            published: gauge("naru_checkpoint_size", "Entries under the newest checkpoint.")?,
            sequenced: gauge("naru_sequenced", "Entries sequenced.")?,
            in_flight: IntGaugeVec::new(
                Opts::new("naru_in_flight", "Statements in flight, by lane."),
                &["lane"],
            )?,
            stops: IntGaugeVec::new(
                Opts::new("naru_stopped", "1 for each reason for which nothing is written now."),
                &["reason"],
            )?,
            checkpoint_age: Gauge::new(
                "naru_checkpoint_age_seconds",
                "Since this process has served the newest checkpoint.",
            )?,
            answers: routes.chain([String::from("none")]).map(|route| (route, Default::default())).collect(),
            disk_bytes: gauge("naru_disk_bytes", "Bytes of the engine on disk.")?,
            rebinds: gauge("naru_rebinds_last_month", "Rebinds in the month that ended last.")?,
            scraping: Mutex::new(()),
            statements,
            registry,
        };
        metrics.registry.register(Box::new(decisions))?;
        metrics.registry.register(Box::new(seconds))?;
        metrics.registry.register(Box::new(metrics.statements.clone()))?;
        metrics.registry.register(Box::new(metrics.in_flight.clone()))?;
        metrics.registry.register(Box::new(metrics.stops.clone()))?;
        metrics.registry.register(Box::new(metrics.checkpoint_age.clone()))?;
        for gauge in [&metrics.published, &metrics.sequenced, &metrics.disk_bytes, &metrics.rebinds] {
            metrics.registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
    }

    /// Counts one decision, by the reason told.
    pub fn decided(&self, told: Reason) {
        // INVARIANT: `Reason::ALL` stands in the order of the variants.
        if let Some(counter) = self.decisions.get(told as usize) {
            counter.inc();
        }
    }

    /// Counts a statement that was not newly accepted; those the node counts itself.
    pub fn turned_away(&self, kind: Option<Kind>, fate: Fate) {
        self.statements.with_label_values(&[kind.map_or("unknown", Kind::as_str), fate.as_str()]).inc();
    }

    /// Counts one answer: of which route (in the order given; beyond it none), and its status.
    pub fn answered(&self, route: usize, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        let route = self.answers.get(route).or_else(|| self.answers.last());
        if let Some(count) = route.and_then(|(_, classes)| classes.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes how long one act took.
    pub fn took(&self, act: Act, time: Duration) {
        if let Some(histogram) = self.seconds.get(act as usize) {
            histogram.observe(time.as_secs_f64());
        }
    }

    /// The Prometheus text.
    ///
    /// # Errors
    /// [`Error::Metrics`]: the encoder.
    pub fn text(&self, sizes: &Sizes) -> Result<Vec<u8>, Error> {
        let _one = self.scraping.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.published.set(whole(sizes.published));
        self.sequenced.set(whole(sizes.sequenced));
        for (lane, count) in ["open", "closing"].iter().zip(sizes.in_flight) {
            self.in_flight.with_label_values(&[lane]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for (reason, holds) in &sizes.stops {
            self.stops.with_label_values(&[reason]).set(i64::from(*holds));
        }
        self.checkpoint_age.set(Duration::from_millis(sizes.checkpoint_age_ms).as_secs_f64());
        self.disk_bytes.set(whole(sizes.disk_bytes));
        self.rebinds.set(whole(sizes.rebinds_last_month));
        for (kind, count) in &sizes.accepted {
            let counter = self.statements.with_label_values(&[kind.as_str(), "accepted"]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let mut out = Vec::with_capacity(4_096);
        let mut families = self.registry.gather();
        families.push(spread("naru_commit_entries", "Entries in one commit.", &sizes.commit_entries));
        let help = "Time until one commit was durable.";
        families.push(spread("naru_commit_seconds", help, &sizes.commit_seconds));
        families.extend(self.requests());
        TextEncoder::new().encode(&families, &mut out)?;
        Ok(out)
    }
}

impl Metrics {
    /// Answers that there were; an encoder takes no family without a line.
    fn requests(&self) -> Option<proto::MetricFamily> {
        let mut lines = Vec::new();
        for (route, classes) in &self.answers {
            for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(classes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    lines.push(line(&[("route", route), ("status", class)], count));
                }
            }
        }
        let mut family = family("naru_requests_total", "Answers by address and class of status.");
        family.set_field_type(proto::MetricType::COUNTER);
        let some = !lines.is_empty();
        family.set_metric(lines);
        some.then_some(family)
    }
}

fn family(name: &str, help: &str) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats; exact below 2^53")]
fn line(labels: &[(&str, &str)], count: u64) -> proto::Metric {
    let label = |(name, value): &(&str, &str)| {
        let mut label = proto::LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    };
    let mut counter = proto::Counter::default();
    counter.set_value(count as f64);
    let mut line = proto::Metric::from_label(labels.iter().map(label).collect());
    line.set_counter(counter);
    line
}

/// A histogram that was counted elsewhere.
fn spread(name: &str, help: &str, spread: &Spread) -> proto::MetricFamily {
    let bucket = |(bound, count): &(f64, u64)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(*count);
        bucket
    };
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(spread.upto.iter().map(bucket).collect());
    histogram.set_sample_count(spread.count);
    histogram.set_sample_sum(spread.sum);
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    let mut family = family(name, help);
    family.set_field_type(proto::MetricType::HISTOGRAM);
    family.set_metric(vec![metric]);
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a test's lines go.
    #[derive(Clone, Default)]
    struct Kept(std::sync::Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_is_asked_no_crate_that_prints_keys_is_heard_below_its_warnings() {
        for asked in
            ["trace", "trace,lsm_tree=trace", "lsm_tree::tree=trace,naru=trace", "[span]=trace,trace"]
        {
            let kept = Kept::default();
            let to = kept.clone();
            let listener = listener(asked, Format::Json, move || to.clone()).unwrap();
            tracing::dispatcher::with_default(&listener, || {
                tracing::trace!(target: "lsm_tree::tree", "low");
                tracing::debug!(target: "fjall", "low");
                tracing::info!(target: "sled::pagecache", "low");
                tracing::warn!(target: "lsm_tree::tree", "heard");
                tracing::error!(target: "fjall", "heard");
                tracing::debug!(target: "naru::node", "heard");
                tracing::debug!(target: "lsm_trees", "heard");
            });
            let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("low"), "{asked}: {text}");
            assert!(text.contains("lsm_tree::tree"), "{asked}: {text}");
            if asked == "trace" {
                assert_eq!(text.matches("heard").count(), 4, "{text}");
            }
        }
        assert!(matches!(listener("naru=loud", Format::Text, std::io::stderr), Err(Error::Filter(_))));
    }

    #[test]
    fn reasons_and_acts_stand_in_the_order_of_their_variants() {
        assert!(Reason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(Act::ALL.iter().enumerate().all(|(at, act)| *act as usize == at));
    }

    #[test]
    fn a_scrape_copies_the_accepted_of_the_node_once() {
        let metrics = Metrics::new(["GET /x/{id}".to_owned()].into_iter()).unwrap();
        metrics.answered(0, 200);
        metrics.answered(7, 404);
        metrics.decided(Reason::ConsentNotGiven);
        metrics.turned_away(None, Fate::Malformed);
        let sizes = Sizes {
            accepted: BTreeMap::from([(Kind::KeyCreate, 3)]),
            in_flight: [4, 5],
            checkpoint_age_ms: 1_500,
            commit_entries: Spread { upto: vec![(1.0, 2), (2.0, 2)], count: 3, sum: 12.0 },
            stops: vec![("io", false), ("anchor", true)],
            ..Sizes::default()
        };
        metrics.text(&sizes).unwrap();
        let text = String::from_utf8(metrics.text(&sizes).unwrap()).unwrap();
        for line in [
            r#"naru_decisions_total{decision="deny",reason="CONSENT_NOT_GIVEN"} 1"#,
            r#"naru_statements_total{outcome="accepted",type="key.create"} 3"#,
            r#"naru_statements_total{outcome="malformed",type="unknown"} 1"#,
            r#"naru_requests_total{route="GET /x/{id}",status="2xx"} 1"#,
            r#"naru_requests_total{route="none",status="4xx"} 1"#,
            r#"naru_commit_entries_bucket{le="2"} 2"#,
            r#"naru_commit_entries_bucket{le="+Inf"} 3"#,
            "naru_commit_entries_sum 12",
            r#"naru_in_flight{lane="closing"} 5"#,
            r#"naru_stopped{reason="anchor"} 1"#,
            "naru_checkpoint_age_seconds 1.5",
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }
}
