//! Batches that are still in use, by the snapshot of names that their flows refer to.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use eyepiece_flow::record::{Batch, Observed};

/// Batches that trigger the removal of dropped ones: the queues of sinks usually hold fewer.
const PRUNE_THRESHOLD: usize = 1024;

/// Batches that were sent. Holds at most twice as many as are in use, or [`PRUNE_THRESHOLD`].
#[derive(Debug)]
pub(super) struct OutstandingBatches {
    /// By the number of the snapshot, in ascending order.
    batches: VecDeque<(u64, Weak<Vec<Observed>>)>,
    threshold: usize,
}

impl Default for OutstandingBatches {
    fn default() -> Self {
        Self { batches: VecDeque::new(), threshold: PRUNE_THRESHOLD }
    }
}

impl OutstandingBatches {
    /// Records a batch that is about to be sent.
    pub(super) fn add(&mut self, snapshot: u64, batch: &Batch) {
        if self.batches.len() >= self.threshold {
            self.prune();
            self.threshold = (self.batches.len() * 2).max(PRUNE_THRESHOLD);
        }
        self.batches.push_back((snapshot, Arc::downgrade(batch)));
    }

    /// Removes dropped batches.
    pub(super) fn prune(&mut self) {
        self.batches.retain(|(_, batch)| batch.strong_count() > 0);
    }

    /// Returns whether a batch of one of these snapshots is in use.
    pub(super) fn has(&self, (first, last): (u64, u64)) -> bool {
        let start = self.batches.partition_point(|(snapshot, _)| *snapshot < first);
        let mut of_these = self.batches.range(start..).take_while(|(snapshot, _)| *snapshot <= last);
        of_these.any(|(_, batch)| batch.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::record::Batch;

    use super::{OutstandingBatches, PRUNE_THRESHOLD};

    #[test]
    fn batch_counts_until_last_drop() {
        let mut outstanding = OutstandingBatches::default();
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
    fn memory_is_bounded_by_batches_in_use() {
        let mut outstanding = OutstandingBatches::default();
        let held: Vec<_> = (0..PRUNE_THRESHOLD as u64).map(|_| Batch::default()).collect();
        held.iter().for_each(|batch| outstanding.add(1, batch));
        for snapshot in 2..(PRUNE_THRESHOLD as u64 * 20) {
            outstanding.add(snapshot, &Batch::default());
            assert!(outstanding.batches.len() <= 2 * PRUNE_THRESHOLD, "{}", outstanding.batches.len());
        }
        assert!(outstanding.has((1, 1)));
        drop(held);
        (0..PRUNE_THRESHOLD * 2).for_each(|_| outstanding.add(u64::MAX, &Batch::default()));
        assert!(outstanding.batches.len() <= 2 * PRUNE_THRESHOLD && !outstanding.has((0, u64::MAX)));
    }
}
