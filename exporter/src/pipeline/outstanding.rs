//! Which batches are still somewhere, and by which snapshot of names their flows were enriched.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use eyepiece_flow::record::{Batch, Observed};

/// Batches from which on those that are gone are looked for: the queues of sinks usually hold fewer.
const LOOK: usize = 1024;

/// Batches that were handed out. At most twice as many are remembered as are held somewhere, or [`LOOK`].
#[derive(Debug)]
pub(super) struct Outstanding {
    /// By the number of the snapshot, which never falls.
    batches: VecDeque<(u64, Weak<Vec<Observed>>)>,
    look: usize,
}

impl Default for Outstanding {
    fn default() -> Self {
        Self { batches: VecDeque::new(), look: LOOK }
    }
}

impl Outstanding {
    /// Notes a batch that is about to be handed out.
    pub(super) fn add(&mut self, snapshot: u64, batch: &Batch) {
        if self.batches.len() >= self.look {
            self.prune();
            self.look = (self.batches.len() * 2).max(LOOK);
        }
        self.batches.push_back((snapshot, Arc::downgrade(batch)));
    }

    /// Forgets those that nobody has any more.
    pub(super) fn prune(&mut self) {
        self.batches.retain(|(_, batch)| batch.strong_count() > 0);
    }

    /// Whether a batch with flows of one of these snapshots may be somewhere.
    pub(super) fn has(&self, (first, last): (u64, u64)) -> bool {
        let start = self.batches.partition_point(|(snapshot, _)| *snapshot < first);
        let mut of_these = self.batches.range(start..).take_while(|(snapshot, _)| *snapshot <= last);
        of_these.any(|(_, batch)| batch.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::record::Batch;

    use super::{LOOK, Outstanding};

    #[test]
    fn batches_count_until_the_last_one_lets_go() {
        let mut outstanding = Outstanding::default();
        let held: Vec<_> = [3, 3, 5].map(|snapshot| (snapshot, Batch::default())).into();
        held.iter().for_each(|(snapshot, batch)| outstanding.add(*snapshot, batch));
        let queued = Batch::clone(&held[0].1);
        for (range, found) in [((0, 2), false), ((0, 3), true), ((3, 3), true), ((4, 4), false), ((4, 9), true)] {
            assert_eq!(outstanding.has(range), found, "{range:?}");
        }
        drop(held);
        assert!(outstanding.has((3, 3)) && !outstanding.has((4, 9)));
        drop(queued);
        assert!(!outstanding.has((0, 9)));
        outstanding.prune();
        assert_eq!(outstanding.batches.len(), 0);
    }

    #[test]
    fn no_more_are_remembered_than_twice_those_that_are_held() {
        let mut outstanding = Outstanding::default();
        let held: Vec<_> = (0..LOOK as u64).map(|_| Batch::default()).collect();
        held.iter().for_each(|batch| outstanding.add(1, batch));
        for snapshot in 2..(LOOK as u64 * 20) {
            outstanding.add(snapshot, &Batch::default());
            assert!(outstanding.batches.len() <= 2 * LOOK, "{}", outstanding.batches.len());
        }
        assert!(outstanding.has((1, 1)));
        drop(held);
        (0..LOOK * 2).for_each(|_| outstanding.add(u64::MAX, &Batch::default()));
        assert!(outstanding.batches.len() <= 2 * LOOK && !outstanding.has((0, u64::MAX)));
    }
}
