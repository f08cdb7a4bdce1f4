//! Counts failed requests, interruptions, and what is left out.

use eyepiece_semconv::{attribute, metric};

use super::error::DockerError;
use crate::support::incidents::Incidents;
use crate::support::telemetry::{Number, Telemetry};

/// The provider's own metrics.
#[derive(Debug)]
pub(super) struct DockerMetrics {
    incidents: Incidents,
    containers: Number,
}

impl DockerMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let reason = [(attribute::EYEPIECE_REASON, "docker_containers")];
        let containers = telemetry.gauge(metric::EYEPIECE_METADATA_LEFT_OUT.name, &reason);
        Self { incidents: Incidents::new(telemetry, &metric::EYEPIECE_METADATA_INCIDENTS), containers }
    }

    /// A request failed, or the stream of events ended.
    pub(super) fn failed(&self, error: &DockerError) {
        self.count(error.reason(), 1);
    }

    /// Entries of a listing were invalid.
    pub(super) fn invalid(&self, entries: u64) {
        self.count("docker_entry", entries);
    }

    /// Labels were beyond the limits.
    pub(super) fn labels(&self, labels: u64) {
        self.count("docker_label", labels);
    }

    /// How many containers are beyond the limit now.
    pub(super) fn left_out(&self, containers: usize) {
        self.containers.set(containers as u64);
    }

    fn count(&self, reason: &'static str, n: u64) {
        if n > 0 {
            self.incidents.number(reason).add(n);
        }
    }
}
