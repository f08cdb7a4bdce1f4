//! Own counters of a source's connection: ends, attempts, time away, bytes that were of no use.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use eyepiece_semconv::{Metric, attribute, metric};

use crate::support::telemetry::{Number, Telemetry};

/// The counters.
pub(super) struct Numbers {
    telemetry: Telemetry,
    connected: Number,
    away: Number,
    by_reason: HashMap<(&'static str, &'static str), Number>,
    /// Time away, but for what goes on.
    away_before: Duration,
    /// Since when we are away; none while connected or stopped.
    away_since: Option<Instant>,
}

impl Numbers {
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

    /// Somebody wants events.
    pub(super) fn started(&mut self, now: Instant) {
        self.away_since = Some(now);
    }

    /// Nobody does any more.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.settle(now);
        self.connected.set(0);
    }

    pub(super) fn connected(&mut self, now: Instant) {
        self.settle(now);
        self.connected.set(1);
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_SOURCE_ATTEMPTS, reason).add(1);
    }

    /// The connection ended with bytes of no use.
    pub(super) fn ended(&mut self, reason: &'static str, bytes: usize, now: Instant) {
        self.connected.set(0);
        self.away_since = Some(now);
        self.by_reason(&metric::EYEPIECE_SOURCE_INTERRUPTIONS, reason).add(1);
        if bytes > 0 {
            self.by_reason(&metric::EYEPIECE_SOURCE_DISCARDED, reason).add(bytes as u64);
        }
    }

    /// An event that is left out.
    pub(super) fn skipped(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_EVENTS_SKIPPED, reason).add(1);
    }

    /// Events were missed, and nobody knows how many.
    pub(super) fn gap(&mut self, reason: &'static str) {
        self.by_reason(&metric::EYEPIECE_SOURCE_GAPS, reason).add(1);
    }

    /// Tells the time away, what goes on included.
    pub(super) fn away(&self, now: Instant) {
        let lasts = self.away_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.away.set((self.away_before + lasts).as_secs());
    }

    fn settle(&mut self, now: Instant) {
        self.away(now);
        let lasts = self.away_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.away_before += lasts;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Numbers;
    use crate::support::telemetry::Telemetry;

    #[test]
    fn time_away_adds_up_and_counts_while_it_lasts() {
        let telemetry = Telemetry::default();
        let mut numbers = Numbers::new(&telemetry);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let away = |numbers: &Numbers, now| {
            numbers.away(now);
            numbers.away.get()
        };
        assert_eq!(away(&numbers, at(5)), 0, "nobody wanted events");
        numbers.started(at(5));
        assert_eq!(away(&numbers, at(8)), 3);
        numbers.connected(at(9));
        assert_eq!(away(&numbers, at(100)), 4);
        numbers.ended("closed", 0, at(100));
        assert_eq!(away(&numbers, at(102)), 6);
        numbers.stopped(at(103));
        assert_eq!((away(&numbers, at(200)), numbers.connected.get()), (7, 0));
    }
}
