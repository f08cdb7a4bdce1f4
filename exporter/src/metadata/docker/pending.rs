//! Containers that events named: those that were created, and the ids of others, still to be looked at.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::container::{Container, MAX_CONTAINERS};
use crate::support::lock::lock;

/// The most new containers that wait. A later event of those beyond has them looked at.
const MAX_CREATED: usize = 1024;

/// The containers that events named.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// New containers.
    pub(super) created: Vec<Container>,
    /// Containers that have ended, to be looked at as well.
    pub(super) ended: HashSet<Arc<str>>,
    /// Containers to look at.
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

    pub(super) fn add_ended(&self, id: Arc<str>) {
        let mut batch = self.batch();
        if batch.ended.len() < MAX_CONTAINERS {
            batch.ended.insert(Arc::clone(&id));
        }
        drop(batch);
        self.add(id);
    }

    pub(super) fn add_created(&self, container: Container) {
        let mut batch = self.batch();
        if batch.created.len() < MAX_CREATED {
            batch.created.push(container);
        }
        drop(batch);
        self.is_filled.notify_one();
    }

    /// Waits for containers and takes all of them.
    pub(super) async fn take(&self) -> Batch {
        loop {
            self.is_filled.notified().await;
            let batch = std::mem::take(&mut *self.batch());
            if !batch.ids.is_empty() || !batch.created.is_empty() {
                return batch;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Container, MAX_CONTAINERS, MAX_CREATED, Pending};

    #[tokio::test]
    async fn capacity_edges_of_new_containers() {
        let pending = Pending::default();
        for n in [1, MAX_CREATED, MAX_CREATED + 1] {
            (0..n).for_each(|_| pending.add_created(Container::default()));
            let batch = pending.take().await;
            assert_eq!((batch.created.len(), batch.ids.len()), (n.min(MAX_CREATED), 0), "{n}");
        }
    }

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
