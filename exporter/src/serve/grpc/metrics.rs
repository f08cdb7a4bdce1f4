//! Metrics of the gRPC server's connections and requests.

use eyepiece_semconv::{attribute, metric};

use super::refusal::RefusalReason;
use crate::support::grpc_calls::GrpcCalls;
use crate::support::telemetry::{Number, Telemetry};

/// The counters and gauges of one server.
#[derive(Clone, Debug)]
pub(super) struct ServerMetrics {
    telemetry: Telemetry,
    pub(super) accepted: Number,
    pub(super) connections: Number,
    pub(super) requests: Number,
    pub(super) streams: Number,
    pub(super) calls: GrpcCalls,
}

impl ServerMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            accepted: telemetry.counter(metric::EYEPIECE_HUBBLE_ACCEPTED.name, &[]),
            connections: telemetry.gauge(metric::EYEPIECE_HUBBLE_CONNECTIONS.name, &[]),
            requests: telemetry.counter(metric::EYEPIECE_HUBBLE_REQUESTS.name, &[]),
            streams: telemetry.gauge(metric::EYEPIECE_HUBBLE_STREAMS.name, &[]),
            calls: telemetry.calls().clone(),
            telemetry: telemetry.clone(),
        }
    }

    /// Counts a refused connection or request.
    pub(super) fn count_refused(&self, reason: RefusalReason) {
        self.count(metric::EYEPIECE_HUBBLE_REFUSED.name, attribute::EYEPIECE_REASON, reason.name());
    }

    /// Counts the end of a connection that was served.
    pub(super) fn count_ended(&self, reason: &'static str) {
        self.count(metric::EYEPIECE_HUBBLE_ENDED.name, attribute::EYEPIECE_REASON, reason);
    }

    /// Counts a change of the certificate files.
    pub(super) fn count_reload(&self, outcome: &'static str) {
        self.count(metric::EYEPIECE_HUBBLE_RELOADS.name, attribute::EYEPIECE_OUTCOME, outcome);
    }

    fn count(&self, metric: &'static str, attribute: &'static str, value: &str) {
        self.telemetry.counter(metric, &[(attribute, value)]).add(1);
    }
}

/// Adds one to a gauge until dropped.
#[derive(Debug)]
pub(super) struct GaugeGuard(Number);

impl GaugeGuard {
    pub(super) fn new(gauge: &Number) -> Self {
        gauge.add(1);
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}
