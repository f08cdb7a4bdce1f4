//! The series of one metric: slots of values by key, with a limit, an overflow slot and an expiry.

use std::hash::Hash;
use std::sync::Arc;

use eyepiece_flow::interner::Lease;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The slot of keys beyond the limit.
pub(super) const OVERFLOW: u32 = 0;
/// No slot: out of bounds of every table.
pub(super) const NONE: u32 = u32::MAX;
/// Start of an unused slot; no time is that late.
const UNUSED: u64 = u64::MAX;

/// The values of a series. Two, because packets and bytes always grow together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Flows, or packets.
    pub(super) first: u64,
    /// Bytes, if the metric has them.
    pub(super) second: u64,
    /// When it last grew, ns since the Unix epoch.
    pub(super) last: u64,
    /// When it was created, ns since the Unix epoch.
    pub(super) start: u64,
}

/// The names that a series' key refers to: of source and destination, of their labels, and of joined values; or of its
/// interface.
pub(super) type SeriesLeases = [Option<Arc<Lease>>; 5];

const EMPTY: Slot = Slot { first: 0, second: 0, last: 0, start: UNUSED };

/// The series of one metric.
#[derive(Debug)]
pub(super) struct Table<K> {
    index: HashMap<K, u32, RandomState>,
    slots: Vec<Slot>,
    /// Names of each slot's series.
    names: Vec<SeriesLeases>,
    free: Vec<u32>,
    max: usize,
    /// Number of additions to the overflow.
    overflowed: u64,
    /// Number of removed series.
    expired: u64,
}

impl<K: Copy + Eq + Hash> Table<K> {
    /// Creates a table of at most `max` series beside the overflow.
    pub(super) fn new(max: usize) -> Self {
        // Slot numbers are u32, two of which are reserved.
        let max = max.min(NONE as usize - 1);
        let names = vec![SeriesLeases::default()];
        Self { index: HashMap::default(), slots: vec![EMPTY], names, free: Vec::new(), max, overflowed: 0, expired: 0 }
    }

    /// Returns the slot of a key: its own, a new one with the names of `hold`, or the overflow.
    pub(super) fn place(&mut self, key: K, time: u64, hold: impl FnOnce() -> SeriesLeases) -> u32 {
        if let Some(&slot) = self.index.get(&key) {
            return slot;
        }
        if self.index.len() >= self.max {
            if let Some(overflow) = self.slots.first_mut()
                && overflow.start == UNUSED
            {
                overflow.start = time;
            }
            return OVERFLOW;
        }
        let made = Slot { start: time, last: time, ..EMPTY };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = made;
                self.names[slot as usize] = hold();
                slot
            }
            None => {
                self.slots.push(made);
                self.names.push(hold());
                // So that the expiry does not allocate on the pipeline's thread.
                self.free.reserve(self.slots.len());
                // The limit keeps it in range.
                (self.slots.len() - 1) as u32
            }
        };
        self.index.insert(key, slot);
        slot
    }

    /// Adds to a slot. [`NONE`] adds nothing.
    #[inline]
    pub(super) fn add(&mut self, slot: u32, first: u64, second: u64, time: u64) {
        self.overflowed += u64::from(slot == OVERFLOW);
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            // A source may send an implausible number; plausible sums never get that large.
            slot.first = slot.first.saturating_add(first);
            slot.second = slot.second.saturating_add(second);
            slot.last = slot.last.max(time);
        }
    }

    /// Returns whether nothing was added to a slot yet.
    pub(super) fn is_unused(&self, slot: u32) -> bool {
        self.slots.get(slot as usize).is_none_or(|slot| slot.first == 0)
    }

    /// Removes series that have not grown since `before`, and those that have not since `before_gone`, which is later, and
    /// whose subject is gone. Returns whether there were any.
    pub(super) fn expire(&mut self, before: u64, before_gone: u64, is_gone: impl Fn(K, &SeriesLeases) -> bool) -> bool {
        let (slots, names, free) = (&mut self.slots, &mut self.names, &mut self.free);
        let had = self.index.len();
        self.index.retain(|&key, &mut slot| {
            let (last, names) = (slots[slot as usize].last, &mut names[slot as usize]);
            let live = last >= before_gone || last >= before && !is_gone(key, names);
            if !live {
                slots[slot as usize] = EMPTY;
                *names = SeriesLeases::default();
                free.push(slot);
            }
            live
        });
        let overflow = &mut slots[OVERFLOW as usize];
        let spilled = overflow.start != UNUSED && overflow.last < before;
        if spilled {
            *overflow = EMPTY;
        }
        let gone = had - self.index.len() + usize::from(spilled);
        self.expired += gone as u64;
        gone > 0
    }

    /// Number of series beside the overflow.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Additions to the overflow and removed series since the start.
    pub(super) fn history(&self) -> (u64, u64) {
        (self.overflowed, self.expired)
    }

    /// The overflow series, if it is in use.
    pub(super) fn overflow(&self) -> Option<Slot> {
        self.slots.first().copied().filter(|slot| slot.start != UNUSED)
    }

    /// The names of all series, in the order of memory: the pipeline waits for a snapshot of them.
    pub(super) fn leases(&self) -> impl Iterator<Item = &Arc<Lease>> {
        self.names.iter().flatten().flatten()
    }

    /// The names of all series, by key.
    pub(super) fn names(&self) -> impl Iterator<Item = (K, &SeriesLeases)> + '_ {
        self.index.iter().map(|(&key, &slot)| (key, &self.names[slot as usize]))
    }

    /// Replaces names of series, by key.
    pub(super) fn update_names(&mut self, mut update: impl FnMut(K, &mut SeriesLeases)) {
        for (&key, &slot) in &self.index {
            update(key, &mut self.names[slot as usize]);
        }
    }

    /// All series but the overflow, with the numbers of their slots.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (K, u32, &Slot)> + '_ {
        self.index.iter().map(|(&key, &number)| (key, number, &self.slots[number as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::{NONE, OVERFLOW, SeriesLeases, Slot, Table};

    /// Removes idle series, whose subjects are all there.
    fn expire(table: &mut Table<u64>, before: u64) -> bool {
        table.expire(before, before, |_, _| panic!("not asked"))
    }

    /// All series but the overflow.
    fn series(table: &Table<u64>) -> impl Iterator<Item = (u64, Slot)> {
        table.numbered().map(|(key, _, slot)| (key, *slot))
    }

    fn add(table: &mut Table<u64>, key: u64, time: u64) -> u32 {
        let slot = table.place(key, time, SeriesLeases::default);
        table.add(slot, 1, 10, time);
        slot
    }

    #[test]
    fn keys_beyond_limit_overflow() {
        const N: u64 = 3;
        for (max, keys) in [(0, 0), (0, 1), (N, 0), (N, 1), (N, N - 1), (N, N), (N, N + 1), (N, N * 8)] {
            let mut table = Table::new(max as usize);
            for time in [100, 200] {
                for key in 0..keys {
                    add(&mut table, key, time);
                }
            }
            let own = max.min(keys);
            assert_eq!(table.len() as u64, own, "max {max}, keys {keys}");
            assert_eq!(series(&table).count() as u64, own);
            for (key, slot) in series(&table) {
                assert!(key < own);
                assert_eq!((slot.first, slot.second, slot.start, slot.last), (2, 20, 100, 200));
            }
            let spilled = keys - own;
            let overflow = table.overflow().map(|slot| (slot.first, slot.second, slot.start, slot.last));
            assert_eq!(table.history(), (2 * spilled, 0));
            assert_eq!(overflow, (spilled > 0).then_some((2 * spilled, 20 * spilled, 100, 200)));
        }
    }

    #[test]
    fn idle_series_return_with_new_start() {
        let mut table = Table::new(2);
        add(&mut table, 1, 100);
        add(&mut table, 2, 100);
        add(&mut table, 2, 150);
        assert!(!expire(&mut table, 100), "grew at 100, not before it");
        assert!(expire(&mut table, 101));
        assert_eq!(series(&table).map(|(key, _)| key).collect::<Vec<_>>(), [2]);
        assert!(!expire(&mut table, 101));
        add(&mut table, 1, 200);
        let back = series(&table).find(|&(key, _)| key == 1).expect("made again").1;
        assert_eq!((back.first, back.start), (1, 200));
        assert_eq!(table.history(), (0, 1));
        assert_eq!(table.slots.len(), 3, "its slot is reused");
    }

    #[test]
    fn gone_series_leave_earlier() {
        let mut table = Table::new(4);
        for (key, time) in [(1, 100), (2, 100), (3, 150), (4, 50)] {
            add(&mut table, key, time);
        }
        assert!(table.expire(60, 101, |key, _| key != 2));
        let mut left: Vec<_> = series(&table).map(|(key, _)| key).collect();
        left.sort_unstable();
        assert_eq!(left, [2, 3], "one whose subject is there, and one that grew since");
    }

    #[test]
    fn idle_overflow_is_removed() {
        let mut table = Table::new(0);
        assert_eq!(add(&mut table, 1, 100), OVERFLOW);
        assert!(!expire(&mut table, 100));
        assert!(expire(&mut table, 101));
        assert_eq!(table.overflow(), None);
        assert!(!expire(&mut table, 101));
        add(&mut table, 1, 300);
        assert_eq!(table.overflow().map(|slot| (slot.first, slot.start)), Some((1, 300)));
    }

    #[test]
    fn free_slot_goes_to_new_key() {
        let mut table = Table::new(1);
        add(&mut table, 1, 100);
        assert_eq!(add(&mut table, 2, 200), OVERFLOW);
        assert!(expire(&mut table, 150));
        assert_ne!(add(&mut table, 2, 300), OVERFLOW);
        assert_eq!(add(&mut table, 1, 300), OVERFLOW);
    }

    #[test]
    fn sums_saturate_times_never_fall() {
        let mut table = Table::new(1);
        let slot = add(&mut table, 1, 100);
        table.add(NONE, 1, 1, 500);
        table.add(slot, u64::MAX, 0, 50);
        let (_, slot) = series(&table).next().expect("one series");
        assert_eq!((slot.first, slot.second, slot.last), (u64::MAX, 10, 100));
    }
}
