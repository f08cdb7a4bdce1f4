//! Sends metrics at an interval: what is due is asked for, so that a receiver that was away gets the newest values.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout_at};

use super::config::Signal;
use super::delivery::{Counters, Reporter, Transport};
use super::retry::Outcome;
use super::stop::{self, Stop};
use crate::telemetry::Telemetry;

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
/// that the receiver asks for is kept.
pub async fn run<T, P, F>(transport: T, interval: Duration, mut produce: P, telemetry: &Telemetry, mut stop: Stop)
where
    T: Transport,
    P: FnMut() -> F,
    F: Future<Output = Due>,
{
    let interval = interval.max(Duration::from_millis(1));
    let sender = Sender::new(transport, telemetry);
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut not_before = Instant::now();
    let deadline = loop {
        tokio::select! {
            deadline = stop::requested(&mut stop) => break deadline,
            _ = ticks.tick() => {}
        }
        if Instant::now() < not_before {
            continue;
        }
        let work = async { sender.send_all(produce().await).await };
        tokio::select! {
            delay = work => not_before = Instant::now() + delay.unwrap_or_default(),
            // What was being sent is sent again below, with the newest values.
            deadline = stop::requested(&mut stop) => break deadline,
        }
    };
    let last = async { sender.send_all(produce().await).await };
    if timeout_at(deadline, last).await.is_err() {
        sender.counters.requests_failed.add(1);
        sender.reporter.failed("no time left for the last values");
    }
}

/// Sends single requests and keeps our numbers about them; for our own metrics too.
pub(super) struct Sender<T> {
    transport: T,
    counters: Counters,
    reporter: Reporter,
}

impl<T: Transport> Sender<T> {
    pub(super) fn new(transport: T, telemetry: &Telemetry) -> Self {
        let counters = Counters::new(telemetry, Signal::Metrics);
        Self { transport, counters, reporter: Reporter::new(Signal::Metrics) }
    }

    /// Sends one after the other until one fails; returns the pause that the receiver asked for.
    async fn send_all(&self, due: Due) -> Option<Duration> {
        self.counters.too_large.add(due.too_large);
        for request in due.requests {
            if let Err(delay) = self.send(request).await {
                return delay;
            }
        }
        None
    }

    /// Whether the receiver took it or refused it for good, rather than not answering or asking for a pause.
    pub(super) async fn send(&self, request: MetricsRequest) -> Result<(), Option<Duration>> {
        if request.data_points == 0 {
            return Ok(());
        }
        let points = request.data_points as u64;
        self.counters.io.add(request.body.len() as u64);
        match self.transport.send(request.body).await {
            Outcome::Accepted => self.taken(points, 0),
            Outcome::Partial { rejected, message } => {
                let rejected = rejected.min(points);
                self.taken(points - rejected, rejected);
                self.reporter.partial(rejected, &message);
            }
            Outcome::Refused { message } => {
                self.counters.rejected.add(points);
                self.counters.requests_failed.add(1);
                self.reporter.answered();
                self.reporter.refused(request.data_points, &message);
            }
            Outcome::Retry { delay, message } => {
                self.counters.requests_failed.add(1);
                self.reporter.failed(&message);
                return Err(delay);
            }
        }
        Ok(())
    }

    fn taken(&self, points: u64, rejected: u64) {
        self.counters.delivered.add(points);
        self.counters.partial_success.add(rejected);
        self.counters.requests_ok.add(1);
        self.reporter.answered();
    }
}
