//! Counts incidents of the Peer service.

use eyepiece_semconv::{attribute, metric};

use crate::support::telemetry::Telemetry;

/// Counts failures by reason; clones share the counters.
#[derive(Clone, Debug)]
pub(super) struct Incidents(pub(super) Telemetry);

impl Incidents {
    pub(super) fn count(&self, reason: &str) {
        let attributes = [(attribute::EYEPIECE_REASON, reason)];
        self.0.counter(metric::EYEPIECE_HUBBLE_PEER_INCIDENTS.name, &attributes).add(1);
    }
}
