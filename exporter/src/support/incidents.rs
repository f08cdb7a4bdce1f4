//! Counts incidents of one metric by reason.

use eyepiece_semconv::{Metric, attribute};

use crate::support::telemetry::{Number, Telemetry};

/// The incidents of a metric; clones share the counters.
#[derive(Clone, Debug)]
pub struct Incidents {
    telemetry: Telemetry,
    metric: &'static Metric,
}

impl Incidents {
    /// Incidents of a metric with the attribute `eyepiece.reason`.
    pub fn new(telemetry: &Telemetry, metric: &'static Metric) -> Self {
        Self { telemetry: telemetry.clone(), metric }
    }

    /// The counter of a reason, which shows from now on.
    pub fn number(&self, reason: &str) -> Number {
        self.telemetry.counter(self.metric.name, &[(attribute::EYEPIECE_REASON, reason)])
    }

    /// Counts an incident.
    pub fn count(&self, reason: &str) {
        self.number(reason).add(1);
    }
}
