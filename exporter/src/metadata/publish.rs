//! Publishes snapshots: writers replace them, readers notice by one atomic load per batch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::retired_names::{InterfaceNames, RetiredName};
use super::tables::Tables;

#[derive(Debug, Default)]
struct Cell {
    /// The number of the current snapshot.
    number: AtomicU64,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    tables: Arc<Tables>,
    number: u64,
    names: InterfaceNames,
}

impl Cell {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes snapshots to readers.
#[derive(Clone, Debug, Default)]
pub struct Publisher(Arc<Cell>);

impl Publisher {
    /// A publisher with a first snapshot.
    pub fn new(tables: Tables) -> Self {
        let publisher = Self::default();
        publisher.publish(tables);
        publisher
    }

    /// Replaces the snapshot; readers get it at their next [`Reader::refresh`].
    pub fn publish(&self, tables: Tables) {
        let tables = Arc::new(tables);
        let old = {
            let mut current = self.0.current();
            current.number += 1;
            let number = current.number;
            // In one step: a name is in the snapshot or among the retired ones.
            current.names.follow(&tables, number);
            self.0.number.store(number, Ordering::Release);
            std::mem::replace(&mut current.tables, tables)
        };
        // Outside of the lock: freeing a large snapshot takes time.
        drop(old);
    }

    /// The current snapshot.
    pub fn current(&self) -> Arc<Tables> {
        Arc::clone(&self.0.current().tables)
    }

    /// The last name of a removed interface with this index, while it is kept.
    pub fn retired_name(&self, ifindex: u32) -> Option<Arc<str>> {
        self.0.current().names.text(ifindex)
    }

    /// The last name of a removed interface, while it is kept.
    pub fn former_name(&self, ifindex: u32, generation: u32) -> Option<Arc<str>> {
        self.0.current().names.former(ifindex, generation)
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Reader {
        let current = self.0.current();
        Reader { cell: Arc::clone(&self.0), number: current.number, tables: Arc::clone(&current.tables) }
    }
}

/// One thread's view: holds a snapshot until [`Reader::refresh`].
#[derive(Clone, Debug)]
pub struct Reader {
    cell: Arc<Cell>,
    number: u64,
    tables: Arc<Tables>,
}

impl Reader {
    /// The newest snapshot; one atomic load if it is the one at hand. Called once per batch.
    #[inline]
    pub fn refresh(&mut self) -> &Tables {
        if self.cell.number.load(Ordering::Acquire) != self.number {
            let current = self.cell.current();
            self.number = current.number;
            let old = std::mem::replace(&mut self.tables, Arc::clone(&current.tables));
            drop(current);
            drop(old);
        }
        &self.tables
    }

    /// The snapshot at hand.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The number of the snapshot at hand: greater than those of all before it.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Drops retired names that are no longer needed. Called regularly by the one thread that enriches flows. Returns
    /// whether there were any.
    pub fn release_names(&self, is_needed: impl Fn(&RetiredName) -> bool) -> bool {
        self.cell.current().names.release(self.number, is_needed)
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::interner::Symbols;

    use super::{Publisher, Tables};

    fn with_host(symbols: &Symbols) -> Tables {
        let mut tables = Tables::new(symbols);
        tables.add_host([192, 0, 2, 1].into());
        tables
    }

    #[test]
    fn reader_keeps_snapshot_until_refresh() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let mut reader = publisher.reader();
        publisher.publish(with_host(&symbols));
        assert_eq!(reader.tables().address_count(), 0);
        assert_eq!(reader.refresh().address_count(), 1);
        publisher.publish(Tables::new(&symbols));
        publisher.publish(with_host(&symbols));
        assert_eq!(reader.refresh().address_count(), 1);
        assert_eq!(publisher.reader().tables().address_count(), 1);
    }

    #[test]
    fn all_readers_see_last_snapshot() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let mut readers: Vec<_> = (0..2).map(|_| publisher.reader()).collect();
        std::thread::scope(|scope| {
            for reader in &mut readers {
                scope.spawn(move || while reader.refresh().address_count() == 0 {});
            }
            for _ in 0..1000 {
                publisher.publish(Tables::new(&symbols));
            }
            publisher.publish(with_host(&symbols));
        });
        assert!(readers.iter().all(|reader| reader.tables().address_count() == 1));
    }
}
