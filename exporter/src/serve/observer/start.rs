//! The position in the ring at which a response begins.

use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::Context;
use eyepiece_hubble::query::{Kind, Query};

use super::Observer;
use super::ring::Ring;
use super::time_slice::TimeSlice;

/// A known position, or the search for it.
#[derive(Debug)]
pub(super) enum Start {
    /// The position where the response begins.
    At(u64),
    /// The position depends on the ring's entries.
    Search(Search),
}

/// The progress of a search. It does not keep entries: they may be overwritten meanwhile.
///
/// Like Hubble (Cilium `pkg/hubble/observer/local_observer.go`) it goes back from the newest entry: with `since` to the
/// first older one, else until it has counted `number`. For flows it counts entries of any kind that match the filters,
/// so the response may have fewer flows than requested. For agent and debug events it counts only these, unlike Hubble.
#[derive(Debug)]
pub(super) struct Search {
    /// The number of the current block, plus one.
    blocks: u64,
    /// Entries of the current block that were examined, from its end.
    examined: usize,
    /// Entries that remain to be counted.
    left: u64,
}

impl Start {
    /// Returns the start of a response, from the current state of the ring.
    pub(super) fn of(query: &Query, ring: &Ring) -> Self {
        let (oldest, end) = (ring.oldest(), ring.end());
        if query.since.is_some() || (query.number != 0 && !query.first) {
            return Self::Search(Search { blocks: ring.blocks(), examined: 0, left: query.number });
        }
        Self::At(if query.follow && query.number == 0 { end.saturating_sub(1).max(oldest) } else { oldest })
    }
}

impl Search {
    /// Searches for one slice; returns the position once it is known.
    pub(super) fn advance(&mut self, query: &Query, observer: &Observer, slice: &mut TimeSlice) -> Option<u64> {
        let ring = observer.ring();
        while !slice.is_over() {
            let oldest = ring.oldest();
            let block = self.blocks.checked_sub(1).and_then(|number| ring.block(number));
            let Some(block) = block.filter(|block| block.end() > oldest) else { return Some(oldest) };
            let entries = block.from(oldest);
            let start = block.end() - entries.len() as u64;
            let rest = entries.len().saturating_sub(self.examined);
            let is_skipped = self.examined == 0
                && match query.since {
                    // The times suffice to skip most blocks.
                    Some(since) => block.times().0 >= since,
                    // Or the number of entries.
                    None => {
                        let is_whole = start == block.first() && query.filters.is_empty() && query.kind == Kind::Flows;
                        let count = entries.len() as u64 - u64::from(block.lost()).min(entries.len() as u64);
                        let is_skipped = is_whole && count < self.left;
                        self.left -= if is_skipped { count } else { 0 };
                        is_skipped
                    }
                };
            if is_skipped {
                slice.spend();
            } else {
                let names = observer.names_of(&block);
                let context = observer.context(&names);
                for (place, observed) in entries[..rest].iter().enumerate().rev() {
                    if slice.is_over() {
                        return None;
                    }
                    slice.spend();
                    self.examined += 1;
                    if let Some(offset) = self.ends(query, observed, &context) {
                        return Some(start + place as u64 + offset);
                    }
                }
            }
            self.blocks -= 1;
            self.examined = 0;
        }
        None
    }

    /// Returns the offset from this entry at which the response begins; `None` if the search continues.
    fn ends(&mut self, query: &Query, observed: &Observed, context: &Context<'_>) -> Option<u64> {
        match query.since {
            Some(since) => (observed.time() < since && query.counts_backwards(observed, context)).then_some(1),
            None => {
                self.left -= u64::from(query.counts_backwards(observed, context));
                (self.left == 0).then_some(0)
            }
        }
    }
}
