//! The observer's metrics, as `ServerStatus` reports them.

use eyepiece_flow::record::Observed;

use super::Observer;
use super::ring::Ring;

const SECOND: u64 = 1_000_000_000;
/// The time over which the rate of flows is computed, ns.
const MINUTE: u64 = 60 * SECOND;

/// Metrics of an observer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObserverMetrics {
    /// Entries in the ring, of all kinds.
    pub entries: u64,
    /// Capacity of the ring, in entries.
    pub capacity: u64,
    /// Flows since the start.
    pub flows: u64,
    /// Time since the start, ns.
    pub uptime: u64,
    /// Flows per second over the last minute.
    pub rate: f64,
}

impl Observer {
    /// The current metrics.
    pub fn metrics(&self) -> ObserverMetrics {
        let now = (self.now)();
        ObserverMetrics {
            entries: self.ring.len(),
            capacity: self.ring.capacity(),
            flows: self.ring.flows(),
            uptime: now.saturating_sub(self.started),
            rate: rate(&self.ring, now),
        }
    }
}

/// Flows of the last minute per second. If the ring does not reach back a minute: all its flows by the age of its
/// oldest entry (Cilium `pkg/hubble/observer/local_observer.go`).
fn rate(ring: &Ring, now: u64) -> f64 {
    let (since, oldest) = (now.saturating_sub(MINUTE), ring.oldest());
    let (mut flows, mut earliest) = (0_u64, now);
    for block in ring.newest_first() {
        let entries = block.from(oldest);
        let is_whole = entries.len() as u64 == block.end() - block.first();
        if is_whole && block.times().0 >= since {
            flows += u64::from(block.flows());
            earliest = earliest.min(block.times().0);
            continue;
        }
        let recent = entries.iter().filter_map(Observed::flow).filter(|flow| flow.time >= since);
        flows += recent.count() as u64;
        if let Some(time) = entries.iter().map(Observed::time).min() {
            earliest = earliest.min(time);
        }
        if block.times().0 < since {
            break;
        }
    }
    let age = now.saturating_sub(earliest.max(since));
    if age == 0 { 0.0 } else { flows as f64 * SECOND as f64 / age as f64 }
}
