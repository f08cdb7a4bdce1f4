//! Names of removed interfaces, kept while a batch, a series or a sink may still refer to them.
//!
//! Snapshots are numbered. A name is in all snapshots from its `first` number up to the one before its `end`. So a
//! holder of flows that knows the numbers of their snapshots knows which names it may refer to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use eyepiece_flow::interner::{Lease, Symbol};

use super::tables::Tables;

/// Rounds of [`InterfaceNames::release`] for which a name stays in any case: late events refer to a removed interface
/// by its index, whatever snapshot enriches them.
const ROUNDS: u8 = 2;

/// An interface's index and generation: an index is reused.
type InterfaceId = (u32, u32);

/// A former name: of a removed interface, or of a renamed one.
#[derive(Debug)]
pub struct RetiredName {
    interface: InterfaceId,
    lease: Arc<Lease>,
    first: u64,
    last: u64,
    /// The number of the first snapshot without it.
    end: u64,
    rounds: u8,
    /// The interface has no later name.
    is_latest: bool,
}

impl RetiredName {
    /// Index and generation of the interface if it has no later name.
    pub fn interface(&self) -> Option<(u32, u32)> {
        self.is_latest.then_some(self.interface)
    }

    /// Its name.
    pub fn symbol(&self) -> Symbol {
        self.lease.symbol()
    }

    /// Numbers of the first and the last snapshot whose flows may refer to it.
    pub const fn snapshots(&self) -> (u64, u64) {
        (self.first, self.last)
    }
}

/// Names of present interfaces, and retired names.
#[derive(Debug, Default)]
pub(super) struct InterfaceNames {
    /// By interface and symbol, with the number of the first snapshot.
    present: HashMap<(InterfaceId, Symbol), (Arc<Lease>, u64)>,
    /// By interface, in the order of retirement.
    retired: BTreeMap<InterfaceId, Vec<RetiredName>>,
}

impl InterfaceNames {
    /// Applies a new snapshot with its number, which is greater than those before.
    pub(super) fn follow(&mut self, tables: &Tables, number: u64) {
        let mut here = HashSet::new();
        for (ifindex, lease) in tables.leases() {
            let key = ((*ifindex, tables.generation(*ifindex)), lease.symbol());
            here.insert(key);
            self.present.entry(key).or_insert_with(|| (Arc::clone(lease), number));
        }
        for ((interface, _), (lease, first)) in self.present.extract_if(|key, _| !here.contains(key)) {
            let gone = RetiredName {
                interface,
                lease,
                first,
                last: number.saturating_sub(1),
                end: number,
                rounds: 0,
                is_latest: false,
            };
            self.retired.entry(interface).or_default().push(gone);
        }
    }

    /// The last name of the last removed interface with this index.
    pub(super) fn text(&self, ifindex: u32) -> Option<Arc<str>> {
        let (_, list) = self.retired.range((ifindex, 0)..=(ifindex, u32::MAX)).next_back()?;
        list.last().map(|gone| Arc::clone(gone.lease.text()))
    }

    /// The last name of a removed interface.
    pub(super) fn former(&self, ifindex: u32, generation: u32) -> Option<Arc<str>> {
        self.retired.get(&(ifindex, generation))?.last().map(|gone| Arc::clone(gone.lease.text()))
    }

    /// Drops retired names that are no longer needed; `at_hand` is the number of the snapshot that flows are enriched
    /// with now. Returns whether there were any.
    pub(super) fn release(&mut self, at_hand: u64, is_needed: impl Fn(&RetiredName) -> bool) -> bool {
        let mut released = false;
        let present: HashSet<InterfaceId> = self.present.keys().map(|(interface, _)| *interface).collect();
        self.retired.retain(|interface, list| {
            let mut later = list.len();
            list.retain_mut(|gone| {
                later -= 1;
                gone.is_latest = later == 0 && !present.contains(interface);
                let mut stays = at_hand < gone.end;
                if !stays && gone.rounds < ROUNDS {
                    gone.rounds += 1;
                    gone.last = gone.last.max(at_hand);
                    stays = true;
                }
                stays = stays || is_needed(gone);
                released |= !stays;
                stays
            });
            !list.is_empty()
        });
        released
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::interner::Symbols;

    use super::{InterfaceNames, ROUNDS, RetiredName};
    use crate::metadata::Tables;

    fn tables(symbols: &Symbols, names: &[(u32, &str)]) -> Tables {
        let mut tables = Tables::new(symbols);
        names.iter().for_each(|&(ifindex, name)| tables.hold(ifindex, symbols.lease(name).into()));
        tables
    }

    const UNUSED: fn(&RetiredName) -> bool = |_| false;

    #[test]
    fn needed_name_is_kept() {
        let symbols = Symbols::default();
        let mut names = InterfaceNames::default();
        for (number, list) in [(1, &[(7, "a"), (8, "b")][..]), (2, &[(8, "b")]), (3, &[(8, "b")])] {
            names.follow(&tables(&symbols, list), number);
        }
        let text = |names: &InterfaceNames, ifindex| names.text(ifindex).map(|text| text.to_string());
        assert_eq!((text(&names, 7).as_deref(), text(&names, 8)), (Some("a"), None), "8 is still there");
        for _ in 0..=ROUNDS {
            assert!(!names.release(1, UNUSED), "its snapshot still enriches flows");
        }
        for _ in 0..ROUNDS {
            assert!(!names.release(3, UNUSED), "late events");
        }
        let needed = |gone: &RetiredName| {
            assert_eq!((gone.interface(), gone.snapshots()), (Some((7, 0)), (1, 3)));
            true
        };
        assert!(!names.release(3, needed));
        assert_eq!(&*symbols.text(symbols.lease("a").symbol()), "a");
        let before = symbols.count();
        assert!(names.release(3, UNUSED));
        assert_eq!((text(&names, 7), symbols.count()), (None, before - 1));
        assert!(!names.release(3, UNUSED));
    }

    #[test]
    fn former_name_is_not_its_indexs() {
        let symbols = Symbols::default();
        let mut names = InterfaceNames::default();
        for (number, name) in (1..).zip(["a", "b", "c"]) {
            names.follow(&tables(&symbols, &[(7, name)]), number);
        }
        names.follow(&tables(&symbols, &[]), 4);
        let seen = std::cell::RefCell::new(Vec::new());
        for _ in 0..=ROUNDS {
            names.release(4, |gone| {
                let ifindex = gone.interface().map(|(ifindex, _)| ifindex);
                seen.borrow_mut().push((symbols.text(gone.symbol()).to_string(), ifindex));
                ifindex.is_some()
            });
        }
        let expected = [("a", None), ("b", None), ("c", Some(7))].map(|(name, index)| (name.to_owned(), index));
        assert_eq!(seen.into_inner(), expected);
        assert_eq!((names.text(7).as_deref(), names.retired[&(7, 0)].len()), (Some("c"), 1));
    }

    #[test]
    fn churn_leaves_no_names() {
        let symbols = Symbols::default();
        let mut names = InterfaceNames::default();
        let before = symbols.count() + 2;
        for number in 1..=500_u32 {
            names.follow(&tables(&symbols, &[(number, &format!("veth{number}"))]), number.into());
        }
        assert_eq!((symbols.count(), names.retired.len()), (before + 500, 499));
        assert_eq!((0..=ROUNDS).filter(|_| names.release(500, UNUSED)).count(), 1);
        assert_eq!((symbols.count(), names.retired.len(), names.present.len()), (before + 1, 0, 1));
    }

    #[test]
    fn reused_index_has_own_name() {
        let symbols = Symbols::default();
        let mut names = InterfaceNames::default();
        for (number, list) in [(1, &[(7, "a")][..]), (2, &[(7, "b")]), (3, &[]), (4, &[(7, "b")])] {
            names.follow(&tables(&symbols, list), number);
        }
        assert_eq!(names.text(7).as_deref(), Some("b"));
        // The first `b` is no longer needed, the second one is present.
        let needed = |gone: &RetiredName| gone.snapshots().0 == 1;
        assert_eq!((0..=ROUNDS).filter(|_| names.release(4, needed)).count(), 1);
        assert_eq!(names.text(7).as_deref(), Some("a"));
        assert_eq!(&*symbols.text(symbols.lease("b").symbol()), "b");
    }

    #[test]
    fn generations_keep_their_names() {
        let symbols = Symbols::default();
        let mut names = InterfaceNames::default();
        names.follow(&tables(&symbols, &[(7, "a")]), 1);
        let mut later = tables(&symbols, &[(7, "b")]);
        later.set_generation(7, 3);
        names.follow(&later, 2);
        let text = |names: &InterfaceNames, generation| names.former(7, generation).map(|text| text.to_string());
        assert_eq!((text(&names, 0).as_deref(), text(&names, 3)), (Some("a"), None), "b is present");
        let needed = |gone: &RetiredName| gone.interface() == Some((7, 0));
        assert_eq!((0..9).filter(|_| names.release(2, needed)).count(), 0, "needed by a series");
        names.follow(&tables(&symbols, &[]), 3);
        assert_eq!((text(&names, 0).as_deref(), text(&names, 3).as_deref()), (Some("a"), Some("b")));
        assert_eq!(names.text(7).as_deref(), Some("b"));
    }
}
