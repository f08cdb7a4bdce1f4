//! The ids of containers that events named and that are still to be looked at.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::container::MAX_CONTAINERS;
use crate::support::lock::lock;

/// What is to be looked at.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Containers.
    pub(super) ids: HashSet<Arc<str>>,
    /// More than [`MAX_CONTAINERS`] were named: a listing finds the others.
    pub(super) is_incomplete: bool,
}

/// A set with one writer and one reader. The writer never waits, so that the server does not drop events.
#[derive(Debug, Default)]
pub(super) struct Pending {
    batch: Mutex<Batch>,
    is_filled: Notify,
}

impl Pending {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        lock(&self.batch)
    }

    pub(super) fn add(&self, id: Arc<str>) {
        let mut batch = self.batch();
        if batch.ids.len() < MAX_CONTAINERS {
            batch.ids.insert(id);
        } else {
            batch.is_incomplete = true;
        }
        drop(batch);
        self.is_filled.notify_one();
    }

    /// Waits for ids and takes all of them.
    pub(super) async fn take(&self) -> Batch {
        loop {
            self.is_filled.notified().await;
            let batch = std::mem::take(&mut *self.batch());
            if !batch.ids.is_empty() {
                return batch;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CONTAINERS, Pending};

    #[tokio::test]
    async fn capacity_edges_of_pending_ids() {
        let pending = Pending::default();
        for n in [1, 2, MAX_CONTAINERS - 1, MAX_CONTAINERS, MAX_CONTAINERS + 1] {
            (0..n).for_each(|number| pending.add(number.to_string().into()));
            pending.add("0".into());
            let batch = pending.take().await;
            assert_eq!(batch.ids.len(), n.min(MAX_CONTAINERS), "{n}");
            assert_eq!(batch.is_incomplete, n >= MAX_CONTAINERS, "{n}");
        }
    }
}
