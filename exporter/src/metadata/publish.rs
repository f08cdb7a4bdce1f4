//! Publishes snapshots: writers replace a part of them, readers notice by one atomic load per batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::entities::Entities;
use super::link_tables::LinkTables;
use super::name_snapshot::NameSnapshot;
use crate::support::lock::lock;

#[derive(Debug, Default)]
struct Cell {
    /// The number of the current snapshot.
    number: AtomicU64,
    current: Mutex<Arc<NameSnapshot>>,
    changed: Notify,
}

impl Cell {
    fn current(&self) -> MutexGuard<'_, Arc<NameSnapshot>> {
        lock(&self.current)
    }
}

/// Publishes snapshots to readers.
#[derive(Clone, Debug, Default)]
pub struct Publisher(Arc<Cell>);

impl Publisher {
    /// A publisher with a first snapshot of links.
    pub fn new(links: LinkTables) -> Self {
        let publisher = Self::default();
        publisher.publish(links);
        publisher
    }

    /// Replaces the state of links; readers get it at their next [`Reader::refresh`].
    pub fn publish(&self, links: LinkTables) {
        let links = Arc::new(links);
        self.replace(|current| NameSnapshot::new(links, Arc::clone(current.entities()), current));
    }

    /// Replaces the entities of providers.
    pub(super) fn publish_entities(&self, entities: Arc<Entities>) {
        self.replace(|current| NameSnapshot::new(Arc::clone(current.links()), entities, current));
    }

    fn replace(&self, change: impl FnOnce(&NameSnapshot) -> NameSnapshot) {
        let old = {
            let mut current = self.0.current();
            let new = Arc::new(change(&current));
            self.0.number.fetch_add(1, Ordering::Release);
            std::mem::replace(&mut *current, new)
        };
        // Outside of the lock: freeing a large snapshot takes time.
        drop(old);
        self.0.changed.notify_one();
    }

    /// Waits for a snapshot since the last call returned. For one task only.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Returns the current state of links.
    pub fn links(&self) -> Arc<LinkTables> {
        Arc::clone(self.0.current().links())
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Reader {
        let current = self.0.current();
        let number = self.0.number.load(Ordering::Acquire);
        Reader { cell: Arc::clone(&self.0), number, snapshot: Arc::clone(&current) }
    }
}

/// One thread's view: holds a snapshot until [`Reader::refresh`].
#[derive(Clone, Debug)]
pub struct Reader {
    cell: Arc<Cell>,
    number: u64,
    snapshot: Arc<NameSnapshot>,
}

impl Reader {
    /// The newest snapshot; one atomic load if it is the one at hand. Called once per batch.
    #[inline]
    pub fn refresh(&mut self) -> &Arc<NameSnapshot> {
        if self.cell.number.load(Ordering::Acquire) != self.number {
            let current = self.cell.current();
            self.number = self.cell.number.load(Ordering::Acquire);
            let old = std::mem::replace(&mut self.snapshot, Arc::clone(&current));
            drop(current);
            drop(old);
        }
        &self.snapshot
    }

    /// The snapshot at hand.
    pub const fn snapshot(&self) -> &Arc<NameSnapshot> {
        &self.snapshot
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::interner::Symbols;

    use super::{LinkTables, Publisher};

    fn with_host(symbols: &Symbols) -> LinkTables {
        let mut links = LinkTables::new(symbols);
        links.add_host([192, 0, 2, 1].into());
        links
    }

    #[test]
    fn reader_keeps_snapshot_until_refresh() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(LinkTables::new(&symbols));
        let mut reader = publisher.reader();
        publisher.publish(with_host(&symbols));
        assert_eq!(reader.snapshot().links().ends().count(), 0);
        assert_eq!(reader.refresh().links().ends().count(), 1);
        publisher.publish(LinkTables::new(&symbols));
        publisher.publish(with_host(&symbols));
        assert_eq!(reader.refresh().links().ends().count(), 1);
        assert_eq!(publisher.reader().snapshot().links().ends().count(), 1);
    }

    #[test]
    fn all_readers_see_last_snapshot() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(LinkTables::new(&symbols));
        let mut readers: Vec<_> = (0..2).map(|_| publisher.reader()).collect();
        std::thread::scope(|scope| {
            for reader in &mut readers {
                scope.spawn(move || while reader.refresh().links().ends().count() == 0 {});
            }
            for _ in 0..1000 {
                publisher.publish(LinkTables::new(&symbols));
            }
            publisher.publish(with_host(&symbols));
        });
        assert!(readers.iter().all(|reader| reader.snapshot().links().ends().count() == 1));
    }
}
