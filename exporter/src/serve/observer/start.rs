//! Where in the ring an answer begins.

use eyepiece_flow::record::Observed;
use eyepiece_hubble::filter::Context;
use eyepiece_hubble::query::{Kind, Query};

use super::ring::Ring;
use super::turn::Turn;

/// What is found at once, or has to be searched for.
#[derive(Debug)]
pub(super) enum Start {
    /// The position where the answer begins.
    At(u64),
    /// Entries have to be looked at.
    Behind(Search),
}

/// A search as far as it has come. It keeps numbers only: what is overwritten meanwhile is not kept for it.
///
/// As Hubble's own (Cilium `pkg/hubble/observer/local_observer.go`) it goes back from the newest entry: with `since` to
/// the first one that is older, else until it has counted `number`. Entries that the filters let pass count there
/// whatever their kind, so that the answer may hold fewer flows than were asked for; those who ask for agent or debug
/// events are given theirs, which Hubble does not.
#[derive(Debug)]
pub(super) struct Search {
    /// The block behind the one that is looked at.
    blocks: u64,
    /// How many of that one's entries were looked at, from its end.
    looked: usize,
    /// Entries that are still to be counted.
    left: u64,
}

impl Start {
    /// Where the answer begins, by what the ring holds now.
    pub(super) fn of(query: &Query, ring: &Ring) -> Self {
        let (oldest, end) = (ring.oldest(), ring.end());
        if query.since.is_some() || (query.number != 0 && !query.first) {
            return Self::Behind(Search { blocks: ring.blocks(), looked: 0, left: query.number });
        }
        Self::At(if query.follow && query.number == 0 { end.saturating_sub(1).max(oldest) } else { oldest })
    }
}

impl Search {
    /// Goes on for a turn; the position once it is found.
    pub(super) fn go_on(&mut self, query: &Query, ring: &Ring, context: &Context<'_>, turn: &mut Turn) -> Option<u64> {
        while !turn.is_over() {
            let oldest = ring.oldest();
            let block = self.blocks.checked_sub(1).and_then(|number| ring.block(number));
            let Some(block) = block.filter(|block| block.end() > oldest) else { return Some(oldest) };
            let entries = block.from(oldest);
            let start = block.end() - entries.len() as u64;
            let rest = entries.len().saturating_sub(self.looked);
            let is_passed = self.looked == 0
                && match query.since {
                    // Nearly all blocks are passed by their times alone.
                    Some(since) => block.times().0 >= since,
                    // Or by their size.
                    None => {
                        let is_whole = start == block.first() && query.filters.is_empty() && query.kind == Kind::Flows;
                        let count = entries.len() as u64 - u64::from(block.lost()).min(entries.len() as u64);
                        let is_passed = is_whole && count < self.left;
                        self.left -= if is_passed { count } else { 0 };
                        is_passed
                    }
                };
            if is_passed {
                turn.spend();
            } else {
                for (place, observed) in entries[..rest].iter().enumerate().rev() {
                    if turn.is_over() {
                        return None;
                    }
                    turn.spend();
                    self.looked += 1;
                    if let Some(behind) = self.ends(query, observed, context) {
                        return Some(start + place as u64 + behind);
                    }
                }
            }
            self.blocks -= 1;
            self.looked = 0;
        }
        None
    }

    /// Whether the search ends with an entry: how far behind it the answer begins.
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
