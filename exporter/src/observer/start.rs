//! Where in the ring an answer begins.

use super::filter::Context;
use super::query::{Kind, Query};
use super::ring::Ring;
use crate::observed::Observed;

impl Query {
    /// The position where the answer begins.
    ///
    /// As Hubble's own (Cilium `pkg/hubble/observer/local_observer.go`) it goes back from the newest entry: with
    /// `since` to the first one that is older, else until it has counted `number`. Entries that the filters let pass
    /// count there whatever their kind, so that the answer may hold fewer flows than were asked for; those who ask for
    /// agent or debug events are given theirs, which Hubble does not.
    pub fn start(&self, ring: &Ring, context: &Context<'_>) -> u64 {
        let (oldest, end) = (ring.oldest(), ring.end());
        if self.first && self.since.is_none() {
            return oldest;
        }
        if self.follow && self.number == 0 && self.since.is_none() {
            return end.saturating_sub(1).max(oldest);
        }
        if self.number == 0 && self.since.is_none() {
            return oldest;
        }
        let mut left = self.number;
        for block in ring.newest_first() {
            let entries = block.from(oldest);
            let start = block.end() - entries.len() as u64;
            if let Some(since) = self.since {
                // Nearly all blocks are passed by their times alone.
                let is_older = |observed: &Observed| observed.time() < since && self.counts(observed, context);
                if block.times().0 < since
                    && let Some(place) = entries.iter().rposition(is_older)
                {
                    return start + place as u64 + 1;
                }
                continue;
            }
            // Or by their size.
            let is_whole = start == block.first() && self.filters.is_empty() && self.kind == Kind::Flows;
            let count = if is_whole {
                entries.len() as u64 - u64::from(block.lost())
            } else {
                entries.iter().filter(|observed| self.counts(observed, context)).count() as u64
            };
            if count < left {
                left -= count;
            } else if let Some(place) = self.nth_last(entries, left, context) {
                return start + place as u64;
            }
        }
        oldest
    }

    /// The place of the n-th entry from the end that counts.
    fn nth_last(&self, entries: &[Observed], n: u64, context: &Context<'_>) -> Option<usize> {
        let mut left = n;
        entries.iter().rposition(|observed| {
            left -= u64::from(self.counts(observed, context));
            left == 0
        })
    }

    /// Whether an entry counts on the way back.
    fn counts(&self, observed: &Observed, context: &Context<'_>) -> bool {
        match observed {
            Observed::Lost(_) => false,
            _ if self.kind != Kind::Flows => self.kind.has(observed),
            _ => self.filters.matches(observed, context),
        }
    }
}
