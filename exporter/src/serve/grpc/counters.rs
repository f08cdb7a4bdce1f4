//! Counts connections and requests in telemetry.

use eyepiece_semconv::{attribute, metric};

use super::reason::Reason;
use crate::support::telemetry::{Number, Telemetry};

/// The numbers of a server.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    telemetry: Telemetry,
    pub(super) accepted: Number,
    pub(super) connections: Number,
    pub(super) requests: Number,
    pub(super) streams: Number,
}

impl Counters {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            accepted: telemetry.counter(metric::EYEPIECE_HUBBLE_ACCEPTED.name, &[]),
            connections: telemetry.gauge(metric::EYEPIECE_HUBBLE_CONNECTIONS.name, &[]),
            requests: telemetry.counter(metric::EYEPIECE_HUBBLE_REQUESTS.name, &[]),
            streams: telemetry.gauge(metric::EYEPIECE_HUBBLE_STREAMS.name, &[]),
            telemetry: telemetry.clone(),
        }
    }

    /// A connection or a request that is turned away.
    pub(super) fn refused(&self, reason: Reason) {
        self.by_reason(metric::EYEPIECE_HUBBLE_REFUSED.name, reason.name());
    }

    /// A connection that was served and is gone.
    pub(super) fn ended(&self, reason: &'static str) {
        self.by_reason(metric::EYEPIECE_HUBBLE_ENDED.name, reason);
    }

    /// A change of the certificates' files.
    pub(super) fn reloaded(&self, outcome: &'static str) {
        let attributes = [(attribute::EYEPIECE_OUTCOME, outcome)];
        self.telemetry.counter(metric::EYEPIECE_HUBBLE_RELOADS.name, &attributes).add(1);
    }

    fn by_reason(&self, metric: &'static str, reason: &str) {
        self.telemetry.counter(metric, &[(attribute::EYEPIECE_REASON, reason)]).add(1);
    }
}

/// Counts one more for as long as it lives.
#[derive(Debug)]
pub(super) struct Present(Number);

impl Present {
    pub(super) fn new(gauge: &Number) -> Self {
        gauge.add(1);
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}
