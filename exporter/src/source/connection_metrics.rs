//! Metrics of a source's connection: ends, failed attempts, time without a connection, discarded bytes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use eyepiece_semconv::{Metric, attribute, metric};

use crate::support::telemetry::{Number, Telemetry};

/// The metrics of one source.
pub(super) struct ConnectionMetrics {
    telemetry: Telemetry,
    connected: Number,
    away: Number,
    by_reason: HashMap<(&'static str, &'static str), Number>,
    /// Time without a connection, except the current interval.
    away_before: Duration,
    /// Start of the current interval without a connection. `None` while connected or stopped.
    away_since: Option<Instant>,
}

impl ConnectionMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            telemetry: telemetry.clone(),
            connected: telemetry.gauge(metric::EYEPIECE_SOURCE_CONNECTED.name, &[]),
            away: telemetry.counter(metric::EYEPIECE_SOURCE_AWAY.name, &[]),
            by_reason: HashMap::new(),
            away_before: Duration::ZERO,
            away_since: None,
        }
    }

    fn by_reason(&mut self, metric: &Metric, reason: &'static str) -> &Number {
        let telemetry = &self.telemetry;
        let make = || telemetry.counter(metric.name, &[(attribute::EYEPIECE_REASON, reason)]);
        self.by_reason.entry((metric.name, reason)).or_insert_with(make)
    }

    /// The source was started.
    pub(super) fn started(&mut self, now: Instant) {
        self.away_since = Some(now);
    }

    /// The source was stopped.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.settle(now);
        self.connected.set(0);
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.settle(now);
        self.connected.set(1);
    }

    /// An attempt to connect failed.
    pub(super) fn failed(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_SOURCE_ATTEMPTS, reason).add(1);
    }

    /// The connection ended, with `bytes` of an incomplete message.
    pub(super) fn ended(&mut self, reason: &'static str, bytes: usize, now: Instant) {
        self.connected.set(0);
        self.away_since = Some(now);
        self.by_reason(&metric::EYEPIECE_SOURCE_INTERRUPTIONS, reason).add(1);
        if bytes > 0 {
            self.by_reason(&metric::EYEPIECE_SOURCE_DISCARDED, reason).add(bytes as u64);
        }
    }

    /// An event was left out.
    pub(super) fn skipped(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_EVENTS_SKIPPED, reason).add(1);
    }

    /// Events were missed; their number is unknown.
    pub(super) fn gap(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_SOURCE_GAPS, reason).add(1);
    }

    /// Sets the counter of the time without a connection, the current interval included.
    pub(super) fn publish_away(&self, now: Instant) {
        self.away.set((self.away_before + self.current(now)).as_secs());
    }

    fn settle(&mut self, now: Instant) {
        self.publish_away(now);
        self.away_before += self.current(now);
        self.away_since = None;
    }

    fn current(&self, now: Instant) -> Duration {
        self.away_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::ConnectionMetrics;
    use crate::support::telemetry::Telemetry;

    #[test]
    fn away_time_adds_up() {
        let telemetry = Telemetry::default();
        let mut metrics = ConnectionMetrics::new(&telemetry);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let away = |metrics: &ConnectionMetrics, now| {
            metrics.publish_away(now);
            metrics.away.get()
        };
        assert_eq!(away(&metrics, at(5)), 0, "not started");
        metrics.started(at(5));
        assert_eq!(away(&metrics, at(8)), 3);
        metrics.connected(at(9));
        assert_eq!(away(&metrics, at(100)), 4);
        metrics.ended("closed", 0, at(100));
        assert_eq!(away(&metrics, at(102)), 6);
        metrics.stopped(at(103));
        assert_eq!((away(&metrics, at(200)), metrics.connected.get()), (7, 0));
    }
}
