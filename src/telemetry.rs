//! What an operator sees: log lines on standard error, and figures for Prometheus.
//!
//! Lacks, on purpose, every label that could name a person, a statement or a key.
//! Decisions are counted by the reason that was *told*: whoever reads the figures
//! learns nothing that the asker was not told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus::Encoder;
use prometheus::Histogram;
use prometheus::HistogramOpts;
use prometheus::HistogramVec;
use prometheus::IntCounter;
use prometheus::IntCounterVec;
use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;
use tracing_subscriber::EnvFilter;

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

/// Starts logging to standard error.
///
/// # Errors
/// A filter that does not parse; a second start.
pub fn init(filter: &str, format: Format) -> Result<(), Error> {
    let lines =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(std::io::stderr);
    match format {
        Format::Json => lines.json().try_init(),
        Format::Text => lines.try_init(),
    }
    .map_err(|_| Error::Started)
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

/// What a scrape reads from the node.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// Entries under the newest checkpoint.
    pub published: u64,
    /// Entries sequenced.
    pub sequenced: u64,
    /// Statements in flight.
    pub in_flight: usize,
    /// Bytes of the engine on disk.
    pub disk_bytes: u64,
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
    published: IntGauge,
    sequenced: IntGauge,
    in_flight: IntGauge,
    disk_bytes: IntGauge,
    /// One scrape at a time moves what is copied from the node.
    scraping: Mutex<()>,
}

impl Metrics {
    /// All figures at zero.
    ///
    /// # Errors
    /// [`Error::Metrics`]: a defect of the build.
    pub fn new() -> Result<Self, Error> {
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
            in_flight: gauge("naru_in_flight", "Statements in flight.")?,
            disk_bytes: gauge("naru_disk_bytes", "Bytes of the engine on disk.")?,
            scraping: Mutex::new(()),
            statements,
            registry,
        };
        metrics.registry.register(Box::new(decisions))?;
        metrics.registry.register(Box::new(seconds))?;
        metrics.registry.register(Box::new(metrics.statements.clone()))?;
        for gauge in [&metrics.published, &metrics.sequenced, &metrics.in_flight, &metrics.disk_bytes] {
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
        self.in_flight.set(i64::try_from(sizes.in_flight).unwrap_or(i64::MAX));
        self.disk_bytes.set(whole(sizes.disk_bytes));
        for (kind, count) in &sizes.accepted {
            let counter = self.statements.with_label_values(&[kind.as_str(), "accepted"]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let mut out = Vec::with_capacity(4_096);
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_acts_stand_in_the_order_of_their_variants() {
        assert!(Reason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(Act::ALL.iter().enumerate().all(|(at, act)| *act as usize == at));
    }

    #[test]
    fn a_scrape_copies_the_accepted_of_the_node_once() {
        let metrics = Metrics::new().unwrap();
        metrics.decided(Reason::ConsentNotGiven);
        metrics.turned_away(None, Fate::Malformed);
        let sizes = Sizes { accepted: BTreeMap::from([(Kind::KeyCreate, 3)]), ..Sizes::default() };
        metrics.text(&sizes).unwrap();
        let text = String::from_utf8(metrics.text(&sizes).unwrap()).unwrap();
        for line in [
            r#"naru_decisions_total{decision="deny",reason="CONSENT_NOT_GIVEN"} 1"#,
            r#"naru_statements_total{outcome="accepted",type="key.create"} 3"#,
            r#"naru_statements_total{outcome="malformed",type="unknown"} 1"#,
        ] {
            assert!(text.contains(line), "{line} not in\n{text}");
        }
    }
}
