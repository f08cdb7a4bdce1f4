//! Sends metrics at an interval. Each request has the current values, so a receiver that returns gets the newest ones.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eyepiece_config::Signal;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout_at};
use tracing::warn;

use super::counters::ExportCounters;
use super::delivery::{Reporter, Transport};
use super::retry::{Outcome, pause};
use super::sdk_metrics;
use super::sdk_metrics::{ExporterMetrics, FLOW_READER, Operation};
use crate::support::backoff::{Backoff, BackoffRange};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Pauses between attempts to deliver the last values: the whole drain takes some seconds.
const LAST_BACKOFF: BackoffRange = BackoffRange { initial: Duration::from_millis(200), max: Duration::from_secs(1) };

/// The error of requests that were given up without a failure.
pub(crate) const NO_ANSWER: &str = "no answer in time";

/// An encoded `ExportMetricsServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsRequest {
    /// The bytes, within the receiver's limit of 4 MiB.
    pub body: Bytes,
    /// The number of data points. A request without any is not sent.
    pub data_points: usize,
}

impl From<&ExportMetricsServiceRequest> for MetricsRequest {
    fn from(request: &ExportMetricsServiceRequest) -> Self {
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        let points = scopes.flat_map(|scope| &scope.metrics).map(|metric| match &metric.data {
            Some(Data::Gauge(data)) => data.data_points.len(),
            Some(Data::Sum(data)) => data.data_points.len(),
            Some(Data::Histogram(data)) => data.data_points.len(),
            Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
            Some(Data::Summary(data)) => data.data_points.len(),
            None => 0,
        });
        Self { data_points: points.sum(), body: request.encode_to_vec().into() }
    }
}

/// The requests of one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsRequests {
    /// Sent in this order.
    pub requests: Vec<MetricsRequest>,
    /// Data points that are too large for a request.
    pub too_large: u64,
    /// Data points of ended series for which there was no room until a receiver returned.
    pub dropped: u64,
}

/// The numbers of the last round's requests that the receiver accepted.
pub type Accepted = Vec<usize>;

/// Sends the requests of `produce` every `interval` (at least a millisecond) and once more at the stop.
///
/// A failed request is not sent again: the next round includes its values, as `produce` learns what was accepted. Rounds
/// during a pause that the receiver asked for are produced and not sent. The last values are sent until the receiver
/// accepts them or the deadline passes.
pub async fn run<T, P, F>(sender: MetricsSender<T>, interval: Duration, mut produce: P, mut stop: Stop)
where
    T: Transport,
    P: FnMut(Accepted) -> F,
    F: Future<Output = MetricsRequests>,
{
    let interval = interval.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    let mut accepted = Accepted::new();
    let deadline = loop {
        tokio::select! {
            deadline = shutdown::requested(&mut stop) => break deadline,
            _ = ticks.tick() => {}
        }
        let earliest = not_before;
        let work = async {
            let requests = sender.collect(produce(std::mem::take(&mut accepted))).await;
            match Instant::now() < earliest {
                true => None,
                false => Some(sender.send_all(requests, &mut accepted).await.unwrap_or_default()),
            }
        };
        tokio::pin!(work);
        tokio::select! {
            delay = &mut work => not_before = delay.map_or(earliest, |delay| Instant::now() + delay),
            deadline = shutdown::requested(&mut stop) => {
                // An answer decides what the last round has to include. A request without one is sent again, with the newest
                // values, for which half of the time remains.
                let now = Instant::now();
                drop(timeout_at(now + deadline.saturating_duration_since(now) / 2, work).await);
                break deadline;
            }
        }
    };
    let sent = match timeout_at(deadline, sender.collect(produce(accepted))).await {
        Ok(requests) => {
            sender.count_unsent(&requests);
            sender.send_last(requests.requests, deadline).await
        }
        Err(_) => Err("the deadline passed before they were collected".to_owned()),
    };
    if let Err(why) = sent {
        warn!("cannot deliver the last values of metrics: {why}");
    }
}

/// A request that may be sent again.
struct Failure {
    /// The pause that the receiver asked for.
    delay: Option<Duration>,
    message: String,
}

/// Sends single requests and counts them, for the flows' metrics and for our own. Clones share their state, so an
/// unreachable receiver is logged once.
#[derive(Clone, Debug)]
pub struct MetricsSender<T> {
    transport: T,
    counters: ExportCounters,
    telemetry: Telemetry,
    metrics: ExporterMetrics,
    /// Name of what collects the metrics.
    reader: &'static str,
    reporter: Arc<Reporter>,
}

impl<T: Transport> MetricsSender<T> {
    /// Creates a sender over a transport.
    pub fn new(transport: T, telemetry: &Telemetry) -> Self {
        let counters = ExportCounters::new(telemetry, Signal::Metrics);
        let metrics = ExporterMetrics::new(telemetry, Signal::Metrics, &transport.identity());
        let reporter = Arc::new(Reporter::new(Signal::Metrics, &counters, telemetry));
        Self { transport, counters, telemetry: telemetry.clone(), metrics, reader: FLOW_READER, reporter }
    }

    /// Sets the name of what collects the metrics.
    pub(super) fn with_reader(self, reader: &'static str) -> Self {
        Self { reader, ..self }
    }

    /// Waits for the metrics to be collected.
    async fn collect(&self, metrics: impl Future<Output = MetricsRequests>) -> MetricsRequests {
        let begun = Instant::now();
        let requests = metrics.await;
        sdk_metrics::observe_collection(&self.telemetry, self.reader, begun.elapsed());
        requests
    }

    fn count_unsent(&self, requests: &MetricsRequests) {
        self.counters.too_large.add(requests.too_large);
        self.counters.queue_full.add(requests.dropped);
    }

    /// Sends requests until one fails, and adds those that were accepted. Returns the pause that the receiver asked for.
    async fn send_all(&self, requests: MetricsRequests, accepted: &mut Accepted) -> Option<Duration> {
        self.count_unsent(&requests);
        for (number, request) in requests.requests.iter().enumerate() {
            self.counters.io.add(request.body.len() as u64);
            let mut operation = self.metrics.begin(request.data_points as u64);
            match self.attempt(request, &mut operation).await {
                Ok(is_accepted) => accepted.extend(is_accepted.then_some(number)),
                Err(Failure { delay, message }) => {
                    self.counters.requests_failed.add(1);
                    self.reporter.failed(&message);
                    return delay;
                }
            }
        }
        None
    }

    /// Sends the last requests, again and again until the deadline. The error is the reason why one was not accepted.
    async fn send_last(&self, requests: Vec<MetricsRequest>, deadline: Instant) -> Result<(), String> {
        let mut left: usize = requests.iter().map(|request| request.data_points).sum();
        let all = async {
            for request in &requests {
                self.counters.io.add(request.body.len() as u64);
                let mut backoff = Backoff::new(LAST_BACKOFF, fastrand::Rng::new());
                let mut operation = self.metrics.begin(request.data_points as u64);
                while let Err(Failure { delay, message }) = self.attempt(request, &mut operation).await {
                    let pause = pause(&mut backoff, delay);
                    self.reporter.failed(&message);
                    if Instant::now() + pause >= deadline {
                        return false;
                    }
                    self.counters.requests_retried.add(1);
                    sleep(pause).await;
                }
                left -= request.data_points;
            }
            true
        };
        if timeout_at(deadline, all).await.unwrap_or(false) {
            return Ok(());
        }
        self.counters.requests_failed.add(1);
        self.counters.shutdown.add(left as u64);
        Err(self.reporter.error().unwrap_or_else(|| NO_ANSWER.to_owned()))
    }

    /// Sends a request once; returns whether the receiver accepted it. It fails if it may be sent again.
    async fn attempt(&self, request: &MetricsRequest, operation: &mut Operation<'_>) -> Result<bool, Failure> {
        if request.data_points == 0 {
            return Ok(true);
        }
        let points = request.data_points as u64;
        match self.transport.send(request.body.clone()).await {
            Outcome::Accepted => self.accepted(points, 0, operation),
            Outcome::Partial { rejected, message } => {
                let rejected = rejected.min(points);
                self.accepted(points - rejected, rejected, operation);
                self.reporter.partial(rejected, &message);
            }
            Outcome::Refused { message, error_type } => {
                operation.failed(error_type);
                self.counters.rejected.add(points);
                self.counters.requests_failed.add(1);
                self.reporter.refused(&message);
                return Ok(false);
            }
            Outcome::Retry { delay, message, error_type } => {
                operation.failed(error_type);
                return Err(Failure { delay, message });
            }
        }
        Ok(true)
    }

    fn accepted(&self, points: u64, rejected: u64, operation: &mut Operation<'_>) {
        operation.accepted(rejected);
        self.counters.delivered.add(points);
        self.counters.partial_success.add(rejected);
        self.counters.requests_ok.add(1);
        self.reporter.accepted();
    }
}
