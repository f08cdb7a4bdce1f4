//! The names that the entries of a block refer to.
//!
//! A ring of slow traffic spans hours and thousands of snapshots. So a block keeps the names of its own entries, and shares
//! them with the block before if it needs no other.

use std::hash::Hash;
use std::ptr;
use std::sync::Arc;

use eyepiece_flow::flow::{End, Flow};
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::lookup::{BatchNames, EndEntity, EntityFields};
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// The names, as a part of their snapshot.
#[derive(Debug, Default)]
pub struct BlockNames {
    /// By their keys, ascending.
    ends: Box<[(EndKey, EndNames)]>,
    /// By index, ascending.
    interfaces: Box<[(u32, Arc<str>, InterfaceKind)]>,
}

/// Name, entity and identity of an end. The identity, by which labels may differ, counts away from endpoints only.
type EndKey = (Symbol, u32, u32);

#[derive(Debug)]
struct EndNames {
    name: Option<Arc<str>>,
    entity: Option<Arc<dyn EntityFields>>,
}

impl BlockNames {
    fn find(&self, end: &End) -> Option<&EndNames> {
        let found = self.ends.binary_search_by_key(&key(end), |(key, _)| *key).ok()?;
        self.ends.get(found).map(|(_, names)| names)
    }
}

impl BatchNames for BlockNames {
    fn end(&self, end: &End) -> Option<&Arc<str>> {
        self.find(end)?.name.as_ref()
    }

    fn interface(&self, ifindex: u32) -> Option<(&Arc<str>, InterfaceKind)> {
        let found = self.interfaces.binary_search_by_key(&ifindex, |(index, ..)| *index).ok()?;
        self.interfaces.get(found).map(|(_, name, kind)| (name, *kind))
    }

    fn entity(&self, end: &End) -> Option<EndEntity<'_>> {
        self.find(end)?.entity.as_ref().map(|entity| entity.fields())
    }

    fn shared_entity(&self, end: &End) -> Option<Arc<dyn EntityFields>> {
        self.find(end)?.entity.as_ref().map(Arc::clone)
    }
}

/// Collects the names of blocks. Owned by the ring's writer.
#[derive(Debug, Default)]
pub(super) struct NameCollector {
    /// The names that the last batch referred to.
    of_batch: Option<Arc<dyn BatchNames>>,
    /// The ends that the last block has, or for which its batch had no name.
    ends: KeySet<EndKey>,
    /// The interfaces.
    interfaces: KeySet<u32>,
    last: Arc<BlockNames>,
}

/// A set of keys with a direct-mapped cache before it: a look-up for each end of each flow is most of the ring's cost, and
/// flows of a batch have few ends.
#[derive(Debug)]
struct KeySet<K> {
    all: HashSet<K, RandomState>,
    cache: [Option<K>; CACHED],
}

/// Keys of the cache, a power of two.
const CACHED: usize = 64;

impl<K: Copy> Default for KeySet<K> {
    fn default() -> Self {
        Self { all: HashSet::default(), cache: [None; CACHED] }
    }
}

impl<K: Copy + Eq + Hash> KeySet<K> {
    /// `numbers` are two numbers of the key, for its place in the cache.
    #[inline]
    fn contains(&mut self, key: K, numbers: [u32; 2]) -> bool {
        // Fibonacci hashing: the numbers are often consecutive.
        let hash = (u64::from(numbers[0]) << 32 | u64::from(numbers[1])).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.cache[(hash >> (u64::BITS - CACHED.ilog2())) as usize];
        if *place == Some(key) {
            return true;
        }
        let is_known = self.all.contains(&key);
        if is_known {
            *place = Some(key);
        }
        is_known
    }

    fn clear(&mut self) {
        self.all.clear();
        self.cache = [None; CACHED];
    }
}

impl NameCollector {
    /// Returns the names that a batch's entries refer to.
    pub(super) fn names(&mut self, batch: &Batch) -> Arc<BlockNames> {
        let Some(names) = batch.names() else { return Arc::default() };
        let is_same = self.of_batch.as_ref().is_some_and(|last| ptr::addr_eq(Arc::as_ptr(last), Arc::as_ptr(names)));
        if !(is_same && batch.iter().all(|observed| self.has(observed))) {
            self.ends.clear();
            self.interfaces.clear();
            batch.iter().for_each(|observed| self.add(observed));
            self.last = Arc::new(self.collect(&**names));
            self.of_batch = Some(Arc::clone(names));
        }
        Arc::clone(&self.last)
    }

    fn has(&mut self, observed: &Observed) -> bool {
        match observed {
            Observed::Flow(flow) => {
                self.has_end(&flow.source)
                    && self.has_end(&flow.destination)
                    && interfaces(flow).into_iter().all(|index| self.interfaces.contains(index, [index, 0]))
            }
            Observed::Debug(event) => self.has_end(&event.source),
            Observed::Agent(_) | Observed::Lost(_) => true,
        }
    }

    #[inline]
    fn has_end(&mut self, end: &End) -> bool {
        self.ends.contains(key(end), [end.name.number(), end.entity])
    }

    fn add(&mut self, observed: &Observed) {
        match observed {
            Observed::Flow(flow) => {
                self.ends.all.extend([key(&flow.source), key(&flow.destination)]);
                self.interfaces.all.extend(interfaces(flow));
            }
            Observed::Debug(event) => {
                self.ends.all.insert(key(&event.source));
            }
            Observed::Agent(_) | Observed::Lost(_) => {}
        }
    }

    fn collect(&self, names: &dyn BatchNames) -> BlockNames {
        let end = |&(name, entity, identity): &EndKey| {
            let end = End { name, entity, identity, ..End::UNKNOWN };
            (
                (name, entity, identity),
                EndNames { name: names.end(&end).map(Arc::clone), entity: names.shared_entity(&end) },
            )
        };
        let interface = |ifindex: u32| {
            let (name, kind) = names.interface(ifindex)?;
            Some((ifindex, Arc::clone(name), kind))
        };
        let mut ends: Box<[_]> = self.ends.all.iter().map(end).collect();
        ends.sort_unstable_by_key(|(key, _)| *key);
        let mut interfaces: Box<[_]> = self.interfaces.all.iter().copied().filter_map(interface).collect();
        interfaces.sort_unstable_by_key(|(index, ..)| *index);
        BlockNames { ends, interfaces }
    }
}

const fn key(end: &End) -> EndKey {
    let has_labels_of_identity = end.endpoint == 0 && end.entity != 0;
    (end.name, end.entity, if has_labels_of_identity { end.identity } else { 0 })
}

/// The interfaces of a flow: where it was observed, and where the packet came in; 0 for none.
fn interfaces(flow: &Flow) -> [u32; 2] {
    [flow.ifindex, flow.traffic.map_or(0, |traffic| traffic.ingress_ifindex)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyepiece_flow::flow::{End, EventType, Flow};
    use eyepiece_flow::lookup::BatchNames;
    use eyepiece_flow::record::{Batch, Observed};

    use super::NameCollector;
    use crate::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
    use crate::metadata::registry::tests::Bench;
    use crate::metadata::{InterfaceInfo, LinkTables};

    impl Bench {
        /// Publishes an interface 7 and an entity at 10.0.0.1 with this name.
        fn publish(&self, name: &str) {
            let mut links = LinkTables::new(&self.symbols);
            let symbol = links.intern(name);
            links.add_interface(7, InterfaceInfo { name: symbol, ..InterfaceInfo::default() });
            self.publisher.publish(links);
            let entity = Target::Entity(Arc::new(Entity { name: name.to_owned(), ..Entity::default() }));
            self.registry.replace(Provider::File, vec![(Key::Address([10, 0, 0, 1].into()), entity)]);
            self.registry.publish();
        }

        /// A batch of one flow from 10.0.0.1 at an interface.
        fn batch(&self, ifindex: u32) -> (Batch, End) {
            let snapshot = Arc::clone(self.publisher.reader().snapshot());
            let found = snapshot.entity_at_address(&[10, 0, 0, 1].into(), None).unwrap();
            let source = End { name: found.name, entity: found.entity, ..End::default() };
            let flow = Flow { source, ifindex, ..Flow::empty(EventType::default()) };
            (Batch::with_names(vec![Observed::Flow(flow)], snapshot), source)
        }
    }

    #[test]
    fn block_names_outlive_snapshots() {
        let bench = Bench::new();
        let mut collector = NameCollector::default();
        bench.publish("first");
        let (batch, end) = bench.batch(7);
        let names = collector.names(&batch);
        drop(batch);
        for number in 0..100 {
            bench.publish(&format!("later {number}"));
            collector.names(&bench.batch(7).0);
        }
        let text = |text: Option<&Arc<str>>| text.map(ToString::to_string);
        assert_eq!(text(names.end(&end)).as_deref(), Some("first"));
        assert_eq!(text(names.interface(7).map(|(name, _)| name)).as_deref(), Some("first"));
        assert!(names.entity(&end).is_some() && names.shared_entity(&end).is_some());
        assert_eq!(names.end(&End::UNKNOWN), None);
        assert!(bench.symbols.count() < 10, "{} names: the block keeps texts, not snapshots", bench.symbols.count());
    }

    #[test]
    fn blocks_share_names_of_snapshot() {
        let bench = Bench::new();
        let mut collector = NameCollector::default();
        bench.publish("a");
        let (first, again, other) = (bench.batch(7).0, bench.batch(7).0, bench.batch(8).0);
        let names = [&first, &again, &other].map(|batch| collector.names(batch));
        assert!(Arc::ptr_eq(&names[0], &names[1]) && !Arc::ptr_eq(&names[0], &names[2]));
        bench.publish("b");
        let (batch, end) = bench.batch(7);
        assert_eq!(collector.names(&batch).end(&end).map(|text| &**text), Some("b"));
        assert!(collector.names(&Batch::default()).end(&end).is_none());
    }
}
