//! Metrics and log lines about damage in a recording.

use std::collections::HashMap;

use eyepiece_flow::recording::format::Damage;
use eyepiece_semconv::{attribute, metric};

use crate::support::telemetry::{Number, Telemetry};

#[derive(Debug)]
pub(super) struct ReplayMetrics {
    telemetry: Telemetry,
    damaged: HashMap<Damage, Damaged>,
    pub(super) truncated: Number,
}

/// Counters of damaged places of one kind.
#[derive(Debug)]
struct Damaged {
    places: Number,
    bytes: Number,
    /// Places and bytes since the last log line.
    unreported: (u64, u64),
}

impl ReplayMetrics {
    pub(super) fn new(telemetry: Telemetry) -> Self {
        let truncated =
            telemetry.counter(metric::EYEPIECE_SOURCE_DISCARDED.name, &[(attribute::EYEPIECE_REASON, "truncated")]);
        Self { telemetry, damaged: HashMap::new(), truncated }
    }

    /// Counts a damaged place; logs the first of its kind.
    pub(super) fn damaged(&mut self, damage: Damage, size: usize) {
        let kind = self.damaged.entry(damage).or_insert_with(|| {
            let reason = [(attribute::EYEPIECE_REASON, damage.name())];
            tracing::warn!(reason = damage.name(), "the recording is damaged; its intact records are played");
            Damaged {
                places: self.telemetry.counter(metric::EYEPIECE_SOURCE_DAMAGED.name, &reason),
                bytes: self.telemetry.counter(metric::EYEPIECE_SOURCE_DISCARDED.name, &reason),
                unreported: (0, 0),
            }
        });
        kind.places.add(1);
        kind.bytes.add(size as u64);
        kind.unreported = (kind.unreported.0 + 1, kind.unreported.1 + size as u64);
    }

    /// Logs the totals of damaged places, once.
    pub(super) fn log_totals(&mut self, path: &str) {
        for (damage, kind) in &mut self.damaged {
            let (places, bytes) = std::mem::take(&mut kind.unreported);
            if places > 0 {
                tracing::warn!(reason = damage.name(), places, bytes, "{path}: skipped because of damage");
            }
        }
    }
}
