//! Finds the request of a response by its id, for the response's latency and trace.

use std::collections::HashMap;

use crate::agent_event::Timestamp;

/// Requests that are kept until their response, as many as in Hubble's parser. The least recently used one is evicted.
pub const CAPACITY: usize = 10_000;
/// Bytes of a request id: Envoy's have 36. Bounds the memory at some 4 MB.
const MAX_ID: usize = 256;

/// Trace context of a request: trace id and span id.
pub type Trace = ([u8; 16], [u8; 8]);

/// Requests without a response so far, least recently used first. The pipeline owns it.
#[derive(Debug)]
pub struct Pairing {
    capacity: usize,
    slots: HashMap<String, usize>,
    /// Entries, linked by age.
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// Slot of the oldest entry.
    oldest: Option<usize>,
    newest: Option<usize>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    time: Timestamp,
    trace: Option<Trace>,
    older: Option<usize>,
    newer: Option<usize>,
}

/// The fields that a response gets from its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paired {
    /// Time from request to response, ns; 0 if there was no request, or the response's time is before it.
    pub latency_ns: u64,
    /// The request's trace context.
    pub trace: Option<Trace>,
}

impl Default for Pairing {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Pairing {
    /// Keeps at most so many requests.
    pub fn new(capacity: usize) -> Self {
        let (slots, entries, free) = (HashMap::new(), Vec::new(), Vec::new());
        Self { capacity, slots, entries, free, oldest: None, newest: None }
    }

    /// Number of requests without a response.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there is no such request.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a request. It replaces one with the same id, but keeps that one's trace if it has none.
    pub fn request(&mut self, id: &str, time: Timestamp, trace: Option<Trace>) {
        if id.is_empty() || id.len() > MAX_ID || self.capacity == 0 {
            return;
        }
        if let Some(&slot) = self.slots.get(id) {
            let entry = &mut self.entries[slot];
            entry.time = time;
            entry.trace = trace.or(entry.trace);
            self.unlink(slot);
            self.link(slot);
            return;
        }
        if self.slots.len() >= self.capacity
            && let Some(oldest) = self.oldest
        {
            self.remove(oldest);
        }
        let entry = Entry { id: id.to_owned(), time, trace, older: None, newer: None };
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot] = entry;
            slot
        } else {
            self.entries.push(entry);
            self.entries.len() - 1
        };
        self.slots.insert(id.to_owned(), slot);
        self.link(slot);
    }

    /// Takes the request of a response.
    pub fn response(&mut self, id: &str, time: Timestamp) -> Paired {
        let Some(&slot) = self.slots.get(id) else { return Paired::default() };
        let entry = &self.entries[slot];
        let paired = Paired { latency_ns: latency(entry.time, time), trace: entry.trace };
        self.remove(slot);
        paired
    }

    fn remove(&mut self, slot: usize) {
        self.unlink(slot);
        let id = std::mem::take(&mut self.entries[slot].id);
        self.slots.remove(&id);
        self.free.push(slot);
    }

    fn unlink(&mut self, slot: usize) {
        let (older, newer) = (self.entries[slot].older.take(), self.entries[slot].newer.take());
        match older {
            Some(older) => self.entries[older].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.entries[newer].older = older,
            None => self.newest = older,
        }
    }

    /// Makes an unlinked entry the newest.
    fn link(&mut self, slot: usize) {
        self.entries[slot].older = self.newest;
        match self.newest {
            Some(newest) => self.entries[newest].newer = Some(slot),
            None => self.oldest = Some(slot),
        }
        self.newest = Some(slot);
    }
}

/// Returns the latency, at most that of Go's durations: 2^63 - 1 ns.
fn latency(request: Timestamp, response: Timestamp) -> u64 {
    let ns = |time: Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    u64::try_from((ns(response) - ns(request)).clamp(0, i64::MAX.into())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{MAX_ID, Paired, Pairing};
    use crate::agent_event::Timestamp;

    fn at(ns: i64) -> Timestamp {
        Timestamp { seconds: ns.div_euclid(1_000_000_000), nanos: ns.rem_euclid(1_000_000_000) as u32 }
    }

    #[test]
    fn response_gets_request_once() {
        let mut pairing = Pairing::default();
        let trace = Some(([1; 16], [2; 8]));
        pairing.request("a", at(5), trace);
        pairing.request("b", at(1_999_999_999), None);
        assert_eq!(pairing.response("a", at(9)), Paired { latency_ns: 4, trace });
        assert_eq!(pairing.response("a", at(9)), Paired::default());
        assert_eq!(pairing.response("b", at(3_000_000_000)), Paired { latency_ns: 1_000_000_001, trace: None });
        assert!(pairing.is_empty());
        // Clocks that go backwards, and times that are far apart.
        pairing.request("c", at(5), None);
        assert_eq!(pairing.response("c", at(4)).latency_ns, 0);
        pairing.request("d", Timestamp { seconds: -62_135_596_800, nanos: 0 }, None);
        let last = Timestamp { seconds: 253_402_300_799, nanos: 0 };
        assert_eq!(pairing.response("d", last).latency_ns, i64::MAX as u64);
    }

    #[test]
    fn repeated_request_replaces_the_first() {
        let mut pairing = Pairing::default();
        let trace = Some(([1; 16], [2; 8]));
        pairing.request("a", at(5), trace);
        pairing.request("a", at(7), None);
        assert_eq!(pairing.len(), 1);
        assert_eq!(pairing.response("a", at(9)), Paired { latency_ns: 2, trace });
    }

    #[test]
    fn least_recently_used_is_evicted() {
        for capacity in [0, 1, 7, 8] {
            let mut pairing = Pairing::new(capacity);
            for number in 0..8 {
                pairing.request(&number.to_string(), at(number), None);
                // Used again: 0 becomes the newest each time.
                pairing.request("0", at(0), None);
            }
            assert_eq!(pairing.len(), capacity.min(8));
            let found: Vec<_> = (0..8).filter(|n| pairing.response(&n.to_string(), at(100)).latency_ns > 0).collect();
            let expected: &[i64] = match capacity {
                0 => &[],
                1 => &[0],
                7 => &[0, 2, 3, 4, 5, 6, 7],
                _ => &[0, 1, 2, 3, 4, 5, 6, 7],
            };
            assert_eq!(found, expected, "{capacity}");
            assert!(pairing.is_empty() && pairing.oldest.is_none() && pairing.newest.is_none());
            assert!(pairing.entries.len() <= capacity);
        }
    }

    #[test]
    fn empty_or_long_ids_are_ignored() {
        let mut pairing = Pairing::default();
        pairing.request("", at(1), None);
        pairing.request(&"x".repeat(MAX_ID + 1), at(1), None);
        assert!(pairing.is_empty());
        pairing.request(&"x".repeat(MAX_ID), at(1), None);
        assert_eq!(pairing.len(), 1);
    }
}
