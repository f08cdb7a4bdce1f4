//! The reasons why a connection has no answer, and their counters.

use eyepiece_semconv::attribute;

use crate::support::telemetry::Telemetry;

/// Why a connection has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalReason {
    /// The limit of connections is reached, and all of them have sent their requests.
    TooManyConnections,
    /// The same for one address.
    TooManyOfAddress,
    /// A newer connection took its place before its request was complete.
    Displaced,
    /// The TLS handshake failed.
    Tls,
    /// The handshake, the request or the answer took too long.
    Timeout,
    /// No HTTP, or an interruption. Usually caused by the client.
    Failed,
}

impl RefusalReason {
    /// The reason in telemetry.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyOfAddress => "too_many_of_address",
            Self::Displaced => "displaced",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
        }
    }
}

/// Counts the connections of a server that have no answer, by reason.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Option<(Telemetry, &'static str)>);

impl Refusals {
    /// Counts them in a metric of the schema with the attribute `eyepiece.reason`. The default counts nothing.
    pub fn new(telemetry: &Telemetry, metric: &'static str) -> Self {
        Self(Some((telemetry.clone(), metric)))
    }

    pub(super) fn count(&self, reason: RefusalReason) {
        if let Some((telemetry, metric)) = &self.0 {
            telemetry.counter(metric, &[(attribute::EYEPIECE_REASON, reason.name())]).add(1);
        }
    }
}
