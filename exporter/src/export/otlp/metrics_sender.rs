//! Sends metrics at an interval: what is due is asked for, so that a receiver that was away gets the newest values.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout_at};
use tracing::warn;

use super::config::Signal;
use super::delivery::{Counters, Reporter, Transport};
use super::retry::{Backoff, Outcome};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Pauses between the attempts to deliver the last values: the whole drain takes some seconds.
const LAST_BACKOFF: Backoff = Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(1) };

/// Why requests were given up, where none of them has failed.
pub(crate) const NO_ANSWER: &str = "no answer in time";

/// An encoded `ExportMetricsServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsRequest {
    /// The bytes; the receiver's bound of 4 MiB is the maker's to keep.
    pub body: Bytes,
    /// How many data points it holds; one without any is not sent.
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

/// What is to be sent now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// In this order.
    pub requests: Vec<MetricsRequest>,
    /// Data points that fit into no request.
    pub too_large: u64,
}

/// Sends what `produce` makes, every `interval` (at least a millisecond) and once more when told to stop.
///
/// Values are cumulative, so a request that failed is not kept: the next interval's has all of it and more. A pause
/// that the receiver asks for is kept. After the last values comes nothing, so they are sent until they are taken or
/// the deadline is there.
pub async fn run<T, P, F>(sender: Sender<T>, interval: Duration, mut produce: P, mut stop: Stop)
where
    T: Transport,
    P: FnMut() -> F,
    F: Future<Output = Due>,
{
    let interval = interval.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    let deadline = loop {
        tokio::select! {
            deadline = shutdown::requested(&mut stop) => break deadline,
            _ = ticks.tick() => {}
        }
        if Instant::now() < not_before {
            continue;
        }
        let work = async { sender.send_all(produce().await).await };
        tokio::select! {
            delay = work => not_before = Instant::now() + delay.unwrap_or_default(),
            // What was being sent is sent again below, with the newest values.
            deadline = shutdown::requested(&mut stop) => break deadline,
        }
    };
    let sent = match timeout_at(deadline, produce()).await {
        Ok(due) => {
            sender.counters.too_large.add(due.too_large);
            sender.send_last(due.requests, deadline).await
        }
        Err(_) => Err("no time was left to gather them".to_owned()),
    };
    if let Err(why) = sent {
        warn!("the last values of metrics were not delivered: {why}");
    }
}

/// A receiver that takes no request now.
struct Failure {
    /// The pause that it asks for.
    delay: Option<Duration>,
    message: String,
}

/// Sends single requests and keeps our numbers about them; for our own metrics too. Cloning shares everything, so that
/// a receiver's absence is told once.
#[derive(Clone, Debug)]
pub struct Sender<T> {
    transport: T,
    counters: Counters,
    reporter: Arc<Reporter>,
}

impl<T: Transport> Sender<T> {
    /// A sender over a transport.
    pub fn new(transport: T, telemetry: &Telemetry) -> Self {
        let counters = Counters::new(telemetry, Signal::Metrics);
        let reporter = Arc::new(Reporter::new(Signal::Metrics, &counters, telemetry));
        Self { transport, counters, reporter }
    }

    /// Why the last request failed; none where it was taken.
    pub(super) fn error(&self) -> Option<String> {
        self.reporter.error()
    }

    /// Sends one after the other until one fails; returns the pause that the receiver asked for.
    async fn send_all(&self, due: Due) -> Option<Duration> {
        self.counters.too_large.add(due.too_large);
        for request in due.requests {
            if let Err(failure) = self.send_once(&request).await {
                return failure.delay;
            }
        }
        None
    }

    /// Sends a request whose values the next interval's has too; an error is why it was not taken.
    pub(super) async fn send(&self, request: &MetricsRequest) -> Result<(), String> {
        self.send_once(request).await.map_err(|failure| failure.message)
    }

    async fn send_once(&self, request: &MetricsRequest) -> Result<(), Failure> {
        self.counters.io.add(request.body.len() as u64);
        let sent = self.attempt(request).await;
        if let Err(failure) = &sent {
            self.counters.requests_failed.add(1);
            self.reporter.failed(&failure.message);
        }
        sent
    }

    /// Sends requests after which there are no others, as often as it takes and the deadline lets us; an error is why
    /// not all of them were taken.
    pub(super) async fn send_last(&self, requests: Vec<MetricsRequest>, deadline: Instant) -> Result<(), String> {
        let mut left: usize = requests.iter().map(|request| request.data_points).sum();
        let all = async {
            for request in &requests {
                self.counters.io.add(request.body.len() as u64);
                let mut attempts = 0;
                while let Err(Failure { delay, message }) = self.attempt(request).await {
                    attempts += 1;
                    let pause = LAST_BACKOFF.pause(attempts, delay);
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
        Err(self.error().unwrap_or_else(|| NO_ANSWER.to_owned()))
    }

    /// Whether the receiver took it or refused it for good, rather than not answering or asking for a pause.
    async fn attempt(&self, request: &MetricsRequest) -> Result<(), Failure> {
        if request.data_points == 0 {
            return Ok(());
        }
        let points = request.data_points as u64;
        match self.transport.send(request.body.clone()).await {
            Outcome::Accepted => self.taken(points, 0),
            Outcome::Partial { rejected, message } => {
                let rejected = rejected.min(points);
                self.taken(points - rejected, rejected);
                self.reporter.partial(rejected, &message);
            }
            Outcome::Refused { message } => {
                self.counters.rejected.add(points);
                self.counters.requests_failed.add(1);
                self.reporter.refused(&message);
            }
            Outcome::Retry { delay, message } => return Err(Failure { delay, message }),
        }
        Ok(())
    }

    fn taken(&self, points: u64, rejected: u64) {
        self.counters.delivered.add(points);
        self.counters.partial_success.add(rejected);
        self.counters.requests_ok.add(1);
        self.reporter.taken();
    }
}
