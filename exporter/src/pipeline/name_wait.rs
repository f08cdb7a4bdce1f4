//! Flows and totals of endpoints that have just appeared, held until a provider names their endpoints.
//!
//! A container's first packets come before docker has reported its start. They are processed when the name is there, or
//! after [`PATIENCE`], in the order in which they came.

use std::collections::VecDeque;

use eyepiece_flow::event::Totals;
use eyepiece_flow::flow::Flow;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::enrich::TotalsEnds;
use crate::metadata::Snapshot;

/// How long the packets of a new endpoint wait, in ns: several times what docker needs to report a start.
const PATIENCE: u64 = 500_000_000;
/// Flows and totals that wait at a time, some 2 MiB. Further ones are processed at once, without the name.
pub(super) const MAX_WAITING: usize = 4096;

/// A flow, or totals with their ends.
#[derive(Debug)]
pub(super) enum Waiting {
    Flow(Box<Flow>),
    Totals(Totals, TotalsEnds),
}

/// The queue. Owned by the pipeline.
#[derive(Debug, Default)]
pub(super) struct NameWait {
    /// With the endpoints of both ends; 0 = none.
    queue: VecDeque<([u16; 2], Waiting)>,
    /// When each unnamed endpoint had its first packet, ns since the Unix epoch.
    first_seen: HashMap<u16, u64, RandomState>,
}

impl NameWait {
    /// Whether nothing waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether a flow or totals with an unnamed endpoint must wait for its name.
    #[cold]
    pub(super) fn must_wait(&mut self, endpoints: [u16; 2], names: &Snapshot, now: u64) -> bool {
        names.names_endpoints() && self.queue.len() < MAX_WAITING && self.has_new(endpoints, names, now)
    }

    /// Adds a flow or totals between these endpoints.
    pub(super) fn push(&mut self, endpoints: [u16; 2], waiting: Waiting) {
        self.queue.push_back((endpoints, waiting));
    }

    /// Takes the first one if its endpoints have names, or have waited long enough.
    pub(super) fn take_ready(&mut self, names: &Snapshot, now: u64) -> Option<Waiting> {
        let endpoints = self.queue.front()?.0;
        if self.has_new(endpoints, names, now) { None } else { self.take_first() }
    }

    /// Takes the first one.
    pub(super) fn take_first(&mut self) -> Option<Waiting> {
        self.queue.pop_front().map(|(_, waiting)| waiting)
    }

    /// Forgets endpoints that are gone: their numbers may be used again.
    pub(super) fn expire(&mut self, names: &Snapshot) {
        self.first_seen.retain(|&endpoint, _| names.links().has_endpoint(endpoint));
    }

    /// Whether one of the endpoints is unnamed and had its first packet less than [`PATIENCE`] ago. A clock that was set
    /// back ends the wait.
    fn has_new(&mut self, endpoints: [u16; 2], names: &Snapshot, now: u64) -> bool {
        let mut has_new = false;
        for endpoint in endpoints {
            if endpoint != 0 && names.entity_of_endpoint(endpoint).is_none() {
                let first = *self.first_seen.entry(endpoint).or_insert(now);
                has_new |= now.checked_sub(first).is_some_and(|age| age < PATIENCE);
            }
        }
        has_new
    }
}
