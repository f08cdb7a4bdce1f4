//! Own metrics of the pipeline, counted within a read and published behind it.

use std::collections::HashMap;

use eyepiece_flow::event::Lost;
use eyepiece_semconv::{attribute, metric};

use super::enrich::Unnamed;
use crate::support::telemetry::{Number, Telemetry};

/// Reasons of lost events, in the order of [`eyepiece_flow::event::LostSource`].
const LOST_SOURCES: [&str; 3] = ["kernel_buffer", "observer_queue", "hubble_ring"];

/// Counts of one read.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) parsed: u64,
    pub(super) agent: u64,
    pub(super) debug: u64,
    pub(super) unknown_cgroup: u64,
    /// Local ends without a name, by [`Unnamed`].
    pub(super) unnamed: [u64; Unnamed::NAMES.len()],
    lost: [u64; LOST_SOURCES.len()],
    failed: HashMap<&'static str, u64>,
}

impl Counts {
    /// Counts a loss. The number comes from another program and may be any: the sum saturates.
    pub(super) const fn lost(&mut self, lost: &Lost) {
        let sum = &mut self.lost[lost.source as usize];
        *sum = sum.saturating_add(lost.count);
    }

    /// Counts an event that cannot be decoded.
    pub(super) fn failed(&mut self, reason: &'static str) {
        *self.failed.entry(reason).or_default() += 1;
    }
}

/// The published sums.
pub(super) struct PipelineMetrics {
    received: Number,
    parsed: Number,
    agent: Number,
    debug: Number,
    unknown_cgroup: Number,
    unnamed: [Number; Unnamed::NAMES.len()],
    lost: [Number; LOST_SOURCES.len()],
    failed: HashMap<&'static str, Number>,
    telemetry: Telemetry,
}

impl PipelineMetrics {
    pub(super) fn new(telemetry: &Telemetry, source: &str) -> Self {
        let kind = [(attribute::EYEPIECE_SOURCE_KIND, source)];
        let reason = |reason| [(attribute::EYEPIECE_REASON, reason)];
        let event = |kind| [(attribute::EYEPIECE_EVENT_KIND, kind)];
        Self {
            received: telemetry.counter(metric::EYEPIECE_EVENTS_RECEIVED.name, &kind),
            parsed: telemetry.counter(metric::EYEPIECE_FLOWS_PARSED.name, &[]),
            agent: telemetry.counter(metric::EYEPIECE_EVENTS_DECODED.name, &event("agent")),
            debug: telemetry.counter(metric::EYEPIECE_EVENTS_DECODED.name, &event("debug")),
            unknown_cgroup: telemetry.counter(metric::EYEPIECE_EVENTS_SKIPPED.name, &reason("unknown_cgroup")),
            unnamed: Unnamed::NAMES.map(|why| telemetry.counter(metric::EYEPIECE_ENDS_UNNAMED.name, &reason(why))),
            lost: LOST_SOURCES.map(|source| telemetry.counter(metric::EYEPIECE_EVENTS_LOST.name, &reason(source))),
            failed: HashMap::new(),
            telemetry: telemetry.clone(),
        }
    }

    /// Adds the counts of a read to the sums and clears them.
    pub(super) fn publish(&mut self, counts: &mut Counts) {
        for (number, count) in [
            (&self.received, &mut counts.received),
            (&self.parsed, &mut counts.parsed),
            (&self.agent, &mut counts.agent),
            (&self.debug, &mut counts.debug),
            (&self.unknown_cgroup, &mut counts.unknown_cgroup),
        ] {
            number.add(std::mem::take(count));
        }
        for (number, count) in self.unnamed.iter().zip(std::mem::take(&mut counts.unnamed)) {
            number.add(count);
        }
        for (number, count) in self.lost.iter().zip(std::mem::take(&mut counts.lost)) {
            number.saturating_add(count);
        }
        for (reason, count) in counts.failed.drain() {
            let number = self.failed.entry(reason).or_insert_with(|| {
                self.telemetry.counter(metric::EYEPIECE_FLOWS_FAILED.name, &[(attribute::EYEPIECE_REASON, reason)])
            });
            number.add(count);
        }
    }
}
