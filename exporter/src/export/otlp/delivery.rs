//! Sends a request until it is acknowledged, permanently refused or past the deadline; counts the outcome.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eyepiece_config::Signal;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::client::Client;
use super::counters::ExportCounters;
use super::retry::{Outcome, pause};
use super::sdk_metrics::{ExporterIdentity, ExporterMetrics, Operation};
use crate::support::backoff::{Backoff, BackoffRange};
use crate::support::export_health::{ExportHealth, FailureOutcome};
use crate::support::log_limit::LogLimit;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Sends an encoded request once: the client, or a script in a test.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Sends a request and returns the receiver's answer.
    fn send(&self, request: Bytes) -> impl Future<Output = Outcome> + Send;

    /// How own metrics describe it.
    fn identity(&self) -> ExporterIdentity {
        ExporterIdentity::default()
    }
}

impl Transport for Client {
    fn send(&self, request: Bytes) -> impl Future<Output = Outcome> + Send {
        Self::send(self, request)
    }

    fn identity(&self) -> ExporterIdentity {
        Self::identity(self)
    }
}

/// Partial successes are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Reports the outcome of requests to the log and to the signal's health.
#[derive(Debug)]
pub(super) struct Reporter {
    signal: Signal,
    health: Arc<ExportHealth>,
    partial: LogLimit,
}

impl Reporter {
    pub(super) fn new(signal: Signal, counters: &ExportCounters, telemetry: &Telemetry) -> Self {
        let counters = counters.clone();
        let health = telemetry.exports().add(signal.name(), move || counters.queued());
        Self { signal, health, partial: LogLimit::repeated(LOG_INTERVAL, LOG_INTERVAL) }
    }

    pub(super) fn failed(&self, message: &str) {
        self.health.failed(message, FailureOutcome::Retried);
    }

    pub(super) fn refused(&self, message: &str) {
        self.health.failed(message, FailureOutcome::Dropped);
    }

    pub(super) fn accepted(&self) {
        self.health.succeeded();
    }

    pub(super) fn partial(&self, rejected: u64, message: &str) {
        if self.partial.allows(Instant::now().into_std()) {
            let (signal, held_back) = (self.signal.name(), self.partial.take_suppressed());
            warn!(signal, rejected, held_back, "OTLP receiver rejected a part of a request: {message}");
        }
    }

    /// The last request's error; `None` if it succeeded.
    pub(super) fn error(&self) -> Option<String> {
        self.health.error()
    }
}

/// Delivers requests over a transport.
pub(super) struct Delivery<T> {
    transport: T,
    backoff: BackoffRange,
    counters: ExportCounters,
    metrics: ExporterMetrics,
    reporter: Reporter,
}

/// Records of a request without an outcome. Dropping it, also with its task, counts them as lost to shutdown.
struct PendingRecords<'a> {
    records: usize,
    counters: &'a ExportCounters,
}

impl Drop for PendingRecords<'_> {
    fn drop(&mut self) {
        if self.records > 0 {
            self.counters.shutdown.add(self.records as u64);
            self.counters.requests_failed.add(1);
        }
    }
}

impl<T: Transport> Delivery<T> {
    pub(super) fn new(
        transport: T,
        backoff: BackoffRange,
        counters: ExportCounters,
        metrics: ExporterMetrics,
        reporter: Reporter,
    ) -> Self {
        Self { transport, backoff, counters, metrics, reporter }
    }

    /// Returns once the request has an outcome, at the deadline at the latest.
    pub(super) async fn deliver(&self, body: Bytes, records: usize, stop: Stop) {
        let mut pending = PendingRecords { records, counters: &self.counters };
        let mut operation = self.metrics.begin(records as u64);
        self.counters.passed.add(records as u64);
        self.counters.io.add(body.len() as u64);
        tokio::select! {
            outcome = self.attempt_until_settled(body, &mut operation, stop.clone()) => {
                pending.records = 0;
                self.settle(outcome, records, &mut operation);
            }
            () = shutdown::deadline_passed(stop) => {}
        }
    }

    /// Returns the first outcome that is not [`Outcome::Retry`].
    async fn attempt_until_settled(&self, body: Bytes, operation: &mut Operation<'_>, mut stop: Stop) -> Outcome {
        let mut backoff = Backoff::new(self.backoff, fastrand::Rng::new());
        let mut is_stopping = false;
        loop {
            let (delay, message) = match self.transport.send(body.clone()).await {
                Outcome::Retry { delay, message, error_type } => {
                    operation.failed(error_type);
                    (delay, message)
                }
                settled => return settled,
            };
            self.counters.requests_retried.add(1);
            self.reporter.failed(&message);
            let pause = sleep(pause(&mut backoff, delay));
            if is_stopping || delay.is_some() {
                pause.await;
                continue;
            }
            // A stop ends one pause early, for a last attempt, unless the receiver asked for that pause.
            tokio::select! {
                () = pause => {}
                _ = shutdown::requested(&mut stop) => is_stopping = true,
            }
        }
    }

    fn settle(&self, outcome: Outcome, records: usize, operation: &mut Operation<'_>) {
        let counters = &self.counters;
        match outcome {
            Outcome::Refused { message, error_type } => {
                operation.failed(error_type);
                counters.rejected.add(records as u64);
                counters.requests_failed.add(1);
                self.reporter.refused(&message);
            }
            Outcome::Partial { rejected, message } => {
                // An implausible number would spoil the sum.
                let rejected = rejected.min(records as u64);
                operation.accepted(rejected);
                counters.partial_success.add(rejected);
                counters.delivered.add(records as u64 - rejected);
                counters.requests_ok.add(1);
                self.reporter.accepted();
                self.reporter.partial(rejected, &message);
            }
            Outcome::Accepted | Outcome::Retry { .. } => {
                operation.accepted(0);
                counters.delivered.add(records as u64);
                counters.requests_ok.add(1);
                self.reporter.accepted();
            }
        }
    }
}
