//! Sends a request until it is acknowledged, refused for good, or the time is over; counts what became of it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eyepiece_semconv::{attribute, metric};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::client::Client;
use super::config::Signal;
use super::queue::QUEUE_NAME;
use super::retry::{Backoff, Outcome};
use crate::export::health::{ExportHealth, Fate};
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Number, Telemetry};

/// Who sends an encoded request once: the client, or a script in a test.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Sends it, and says what the receiver made of it.
    fn send(&self, request: Bytes) -> impl Future<Output = Outcome> + Send;
}

impl Transport for Client {
    fn send(&self, request: Bytes) -> impl Future<Output = Outcome> + Send {
        Self::send(self, request)
    }
}

/// Our numbers about the export of one signal. Every record that was offered is in exactly one of those about
/// records, once it has left the queue and the requests in flight.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Found room in the queue; not exported.
    pub taken: Number,
    /// Acknowledged by the receiver.
    pub delivered: Number,
    /// Found no room in the queue.
    pub queue_full: Number,
    /// Refused for good.
    pub rejected: Number,
    /// Not taken out of a request that was.
    pub partial_success: Number,
    /// Larger than a request may be.
    pub too_large: Number,
    /// Left when the time to drain was over. The receiver may have taken those that were just being sent.
    pub shutdown: Number,
    /// Standard output was closed.
    pub closed: Number,
    /// Requests that were taken.
    pub requests_ok: Number,
    /// Attempts that will be repeated.
    pub requests_retried: Number,
    /// Requests that were given up.
    pub requests_failed: Number,
    /// Bytes of requests before compression, each once.
    pub io: Number,
    /// Records that wait.
    pub queue_depth: Number,
    /// Records that may wait.
    pub queue_capacity: Number,
}

impl Counters {
    /// Registers the numbers of a signal.
    pub fn new(telemetry: &Telemetry, signal: Signal) -> Self {
        let signal_name = (attribute::EYEPIECE_SIGNAL, signal.name());
        let dropped = |reason| {
            let outcome = (attribute::EYEPIECE_OUTCOME, "dropped");
            let attributes = [signal_name, outcome, (attribute::EYEPIECE_REASON, reason)];
            telemetry.counter(metric::EYEPIECE_EXPORT_RECORDS.name, &attributes)
        };
        let requests = |outcome| {
            let attributes = [signal_name, (attribute::EYEPIECE_OUTCOME, outcome)];
            telemetry.counter(metric::EYEPIECE_EXPORT_REQUESTS.name, &attributes)
        };
        let delivered = [signal_name, (attribute::EYEPIECE_OUTCOME, "delivered")];
        // Only logs have a queue: metrics are asked for when they are due.
        let queue = |name| match signal {
            Signal::Logs => telemetry.gauge(name, &[(attribute::EYEPIECE_QUEUE_NAME, QUEUE_NAME)]),
            Signal::Metrics => Number::default(),
        };
        let of_logs = |reason| match signal {
            Signal::Logs => dropped(reason),
            Signal::Metrics => Number::default(),
        };
        Self {
            taken: Number::default(),
            delivered: telemetry.counter(metric::EYEPIECE_EXPORT_RECORDS.name, &delivered),
            queue_full: of_logs("queue_full"),
            rejected: dropped("rejected"),
            partial_success: dropped("partial_success"),
            too_large: dropped("too_large"),
            shutdown: dropped("shutdown"),
            closed: of_logs("closed"),
            requests_ok: requests("ok"),
            requests_retried: requests("retried"),
            requests_failed: requests("failed"),
            io: telemetry.counter(metric::EYEPIECE_EXPORT_IO.name, &[signal_name]),
            queue_depth: queue(metric::EYEPIECE_QUEUE_DEPTH.name),
            queue_capacity: queue(metric::EYEPIECE_QUEUE_CAPACITY.name),
        }
    }

    /// Records that found room in the queue and whose fate is not known yet.
    fn queued(&self) -> u64 {
        let Self { delivered, rejected, partial_success, too_large, shutdown, closed, .. } = self;
        let known = [delivered, rejected, partial_success, too_large, shutdown, closed].map(Number::get);
        self.taken.get().saturating_sub(known.iter().sum())
    }
}

/// Messages of one kind go to the log at most this often.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Lets a message through now and then, and tells how many it held back.
#[derive(Debug, Default)]
struct RateLimit(Mutex<(Option<Instant>, u64)>);

impl RateLimit {
    /// How many were held back since the last one, if this one may pass.
    fn pass(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.0.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

/// Reports what became of requests to the log and to the signal's health.
#[derive(Debug)]
pub(super) struct Reporter {
    signal: Signal,
    health: Arc<ExportHealth>,
    partial: RateLimit,
}

impl Reporter {
    pub(super) fn new(signal: Signal, counters: &Counters, telemetry: &Telemetry) -> Self {
        let counters = counters.clone();
        let health = telemetry.exports().add(signal.name(), move || counters.queued());
        Self { signal, health, partial: RateLimit::default() }
    }

    pub(super) fn failed(&self, message: &str) {
        self.health.failed(message, Fate::Retried);
    }

    pub(super) fn refused(&self, message: &str) {
        self.health.failed(message, Fate::Dropped);
    }

    pub(super) fn taken(&self) {
        self.health.worked();
    }

    pub(super) fn partial(&self, rejected: u64, message: &str) {
        if let Some(held_back) = self.partial.pass() {
            let signal = self.signal.name();
            warn!(signal, rejected, held_back, "OTLP receiver took a request in part: {message}");
        }
    }

    /// Why the last request failed; none where it was taken.
    pub(super) fn error(&self) -> Option<String> {
        self.health.error()
    }
}

/// Delivers requests over a transport.
pub(super) struct Delivery<T> {
    transport: T,
    backoff: Backoff,
    counters: Counters,
    reporter: Reporter,
}

/// Counts records as lost to shutdown, unless their fate was known before: also where a task is dropped.
struct Undecided<'a> {
    records: usize,
    counters: &'a Counters,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        if self.records > 0 {
            self.counters.shutdown.add(self.records as u64);
            self.counters.requests_failed.add(1);
        }
    }
}

impl<T: Transport> Delivery<T> {
    pub(super) fn new(transport: T, backoff: Backoff, counters: Counters, reporter: Reporter) -> Self {
        Self { transport, backoff, counters, reporter }
    }

    /// Returns when the fate of the request is known, at the deadline at the latest.
    pub(super) async fn deliver(&self, body: Bytes, records: usize, stop: Stop) {
        let mut undecided = Undecided { records, counters: &self.counters };
        self.counters.io.add(body.len() as u64);
        tokio::select! {
            () = self.attempts(body, records, stop.clone()) => undecided.records = 0,
            () = shutdown::deadline_passed(stop) => {}
        }
    }

    async fn attempts(&self, body: Bytes, records: usize, mut stop: Stop) {
        let mut attempt = 0;
        let mut hurried = false;
        loop {
            attempt += 1;
            let (delay, message) = match self.transport.send(body.clone()).await {
                Outcome::Retry { delay, message } => (delay, message),
                decided => return self.decided(decided, records),
            };
            self.counters.requests_retried.add(1);
            self.reporter.failed(&message);
            let pause = sleep(self.backoff.pause(attempt, delay));
            if hurried || delay.is_some() {
                pause.await;
                continue;
            }
            // One more attempt is worth it before we leave, if the receiver did not ask for a pause.
            tokio::select! {
                () = pause => {}
                _ = shutdown::requested(&mut stop) => hurried = true,
            }
        }
    }

    fn decided(&self, outcome: Outcome, records: usize) {
        let counters = &self.counters;
        match outcome {
            Outcome::Refused { message } => {
                counters.rejected.add(records as u64);
                counters.requests_failed.add(1);
                self.reporter.refused(&message);
            }
            Outcome::Partial { rejected, message } => {
                // A receiver that says more than it got would spoil the sum.
                let rejected = rejected.min(records as u64);
                counters.partial_success.add(rejected);
                counters.delivered.add(records as u64 - rejected);
                counters.requests_ok.add(1);
                self.reporter.taken();
                self.reporter.partial(rejected, &message);
            }
            Outcome::Accepted | Outcome::Retry { .. } => {
                counters.delivered.add(records as u64);
                counters.requests_ok.add(1);
                self.reporter.taken();
            }
        }
    }
}
