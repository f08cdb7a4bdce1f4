//! Own metrics about the export of one signal.

use eyepiece_config::Signal;
use eyepiece_semconv::{attribute, metric};

use crate::support::telemetry::{Number, Telemetry};

/// `eyepiece.queue.name` of the queue of log records.
pub const QUEUE_NAME: &str = "otlp_logs";

/// Counters and gauges of one signal. Each offered record is in exactly one of the counters of records once it has left
/// the queue and the requests in flight.
#[derive(Clone, Debug)]
pub struct ExportCounters {
    /// Records that the queue took; not exported.
    pub taken: Number,
    /// Records that were offered to the queue. This number and the next two are exported by `sdk_metrics`.
    pub created: Number,
    /// Records of requests that were sent, or were to be.
    pub passed: Number,
    /// Records that came to no request before the drain's deadline; `shutdown` includes them.
    pub already_shutdown: Number,
    /// Acknowledged by the receiver.
    pub delivered: Number,
    /// Dropped because the queue was full.
    pub queue_full: Number,
    /// In requests that the receiver refused permanently.
    pub rejected: Number,
    /// Rejected by the receiver out of a request that it accepted.
    pub partial_success: Number,
    /// Larger than a request may be.
    pub too_large: Number,
    /// Undelivered at the drain's deadline. The receiver may have accepted those in flight.
    pub shutdown: Number,
    /// Dropped because standard output was closed.
    pub closed: Number,
    /// Accepted requests.
    pub requests_ok: Number,
    /// Attempts that are retried.
    pub requests_retried: Number,
    /// Requests that were given up.
    pub requests_failed: Number,
    /// Bytes of requests before compression; a retried request counts once.
    pub io: Number,
    /// Queued records.
    pub queue_depth: Number,
    /// Records that the queue holds at most.
    pub queue_capacity: Number,
}

impl ExportCounters {
    /// Registers the metrics of a signal.
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
        // Only logs have a queue: metrics are collected when they are due.
        let queue = |name| match signal {
            Signal::Logs => telemetry.gauge(name, &[(attribute::EYEPIECE_QUEUE_NAME, QUEUE_NAME)]),
            Signal::Metrics => Number::default(),
        };
        let dropped_logs = |reason| match signal {
            Signal::Logs => dropped(reason),
            Signal::Metrics => Number::default(),
        };
        Self {
            taken: Number::default(),
            created: Number::default(),
            passed: Number::default(),
            already_shutdown: Number::default(),
            delivered: telemetry.counter(metric::EYEPIECE_EXPORT_RECORDS.name, &delivered),
            queue_full: dropped_logs("queue_full"),
            rejected: dropped("rejected"),
            partial_success: dropped("partial_success"),
            too_large: dropped("too_large"),
            shutdown: dropped("shutdown"),
            closed: dropped_logs("closed"),
            requests_ok: requests("ok"),
            requests_retried: requests("retried"),
            requests_failed: requests("failed"),
            io: telemetry.counter(metric::EYEPIECE_EXPORT_IO.name, &[signal_name]),
            queue_depth: queue(metric::EYEPIECE_QUEUE_DEPTH.name),
            queue_capacity: queue(metric::EYEPIECE_QUEUE_CAPACITY.name),
        }
    }

    /// Counts records that come to no request, since the exporter ends.
    pub(super) fn add_already_shutdown(&self, records: u64) {
        self.shutdown.add(records);
        self.already_shutdown.add(records);
    }

    /// Records that the queue took and that are neither delivered nor dropped yet.
    pub(super) fn queued(&self) -> u64 {
        let Self { delivered, rejected, partial_success, too_large, shutdown, closed, .. } = self;
        let settled = [delivered, rejected, partial_success, too_large, shutdown, closed].map(Number::get);
        self.taken.get().saturating_sub(settled.iter().sum())
    }
}
