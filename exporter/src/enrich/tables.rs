//! A snapshot of what is known about addresses, interfaces and namespaces, and the cell that hands it over.
//!
//! A snapshot never changes. Who knows more makes a new one; the pipeline's thread notices by one atomic load a batch.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::symbols::{Symbol, Symbols};

/// Who is behind an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndKind {
    /// An endpoint of this machine.
    Endpoint,
    /// The machine itself.
    Host,
    /// Everybody else.
    #[default]
    World,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndInfo {
    /// Endpoint id; 0 for all but endpoints.
    pub endpoint: u16,
    /// The endpoint's interface name, `host` or `world`.
    pub name: Symbol,
    /// Who it is.
    pub kind: EndKind,
    /// Several have this address: where it is seen says who it was.
    pub shared: bool,
    /// Known from packets only; it ends unless it is seen again.
    pub learned: bool,
}

/// What is known of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceInfo {
    /// Its name.
    pub name: Symbol,
    /// Its kind in the once-per-node rule.
    pub kind: InterfaceKind,
    /// Endpoint id; 0 for all but endpoints.
    pub endpoint: u16,
}

impl Default for InterfaceInfo {
    fn default() -> Self {
        Self { name: Symbol::EMPTY, kind: InterfaceKind::Other, endpoint: 0 }
    }
}

/// The snapshot.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    ends: HashMap<u128, EndInfo, RandomState>,
    interfaces: HashMap<u32, InterfaceInfo, RandomState>,
    /// Names by endpoint id.
    endpoints: HashMap<u16, Symbol, RandomState>,
    namespaces: HashMap<u32, u16, RandomState>,
    host: Symbol,
    world: EndInfo,
}

impl Tables {
    /// A snapshot that knows nobody: all the world is `world`.
    pub fn new(symbols: &Symbols) -> Self {
        let world = EndInfo { name: symbols.intern("world"), ..EndInfo::default() };
        Self { host: symbols.intern("host"), world, ..Self::default() }
    }

    /// Adds an interface, and its endpoint where it is one.
    pub fn add_interface(&mut self, ifindex: u32, info: InterfaceInfo) {
        self.interfaces.insert(ifindex, info);
        if info.endpoint != 0 {
            self.endpoints.insert(info.endpoint, info.name);
        }
    }

    /// Adds an address of the machine.
    pub fn add_host(&mut self, address: IpAddr) {
        self.add(address, EndInfo { name: self.host, kind: EndKind::Host, ..EndInfo::default() });
    }

    /// Adds an address of an endpoint that was added before; what was added first stays where several have it, but a
    /// configured address replaces a learned one.
    pub fn add_endpoint_address(&mut self, address: IpAddr, endpoint: u16, learned: bool) {
        let name = self.endpoint_name(endpoint);
        self.add(address, EndInfo { endpoint, name, kind: EndKind::Endpoint, shared: false, learned });
    }

    /// Adds a network namespace by its inode: its only endpoint, 0 where there are several or none.
    pub fn add_namespace(&mut self, inode: u32, endpoint: u16) {
        let entry = self.namespaces.entry(inode).or_insert(endpoint);
        if *entry != endpoint {
            *entry = 0;
        }
    }

    fn add(&mut self, address: IpAddr, info: EndInfo) {
        let known = self.ends.entry(key(address)).or_insert(info);
        if known.learned && !info.learned {
            *known = info;
        } else if (known.kind, known.endpoint) != (info.kind, info.endpoint) && known.learned == info.learned {
            known.shared = true;
        }
    }

    /// Who is behind an address; `world` where nobody knows.
    #[inline]
    pub fn end(&self, address: &IpAddr) -> EndInfo {
        self.ends.get(&key(*address)).copied().unwrap_or(self.world)
    }

    /// What an interface is; [`InterfaceInfo::default`] where it is not known.
    #[inline]
    pub fn interface(&self, ifindex: u32) -> InterfaceInfo {
        self.interfaces.get(&ifindex).copied().unwrap_or_default()
    }

    /// The interface name of an endpoint; [`Symbol::EMPTY`] where it is not known.
    #[inline]
    pub fn endpoint_name(&self, endpoint: u16) -> Symbol {
        self.endpoints.get(&endpoint).copied().unwrap_or(Symbol::EMPTY)
    }

    /// The endpoint of a network namespace by its inode: 0 = several, or the machine's own; none = foreign.
    pub fn namespace(&self, inode: u32) -> Option<u16> {
        self.namespaces.get(&inode).copied()
    }

    /// All namespaces whose drops are ours to report: inode, and endpoint id as [`Tables::namespace`] says it.
    pub fn namespaces(&self) -> impl Iterator<Item = (u32, u16)> {
        self.namespaces.iter().map(|(&inode, &endpoint)| (inode, endpoint))
    }

    /// All interfaces that are known.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, InterfaceInfo)> {
        self.interfaces.iter().map(|(&ifindex, &info)| (ifindex, info))
    }

    /// All addresses that are known, IPv4 as IPv4-mapped IPv6.
    pub fn ends(&self) -> impl Iterator<Item = (u128, EndInfo)> {
        self.ends.iter().map(|(&address, &info)| (address, info))
    }

    /// Puts back what [`Tables::ends`] gave of another snapshot.
    pub fn restore_end(&mut self, address: u128, info: EndInfo) {
        self.ends.insert(address, info);
    }

    /// How many addresses are known.
    pub fn address_count(&self) -> usize {
        self.ends.len()
    }
}

/// One key for both families: IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), which means the same node anyway.
#[inline]
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => 0xffff_0000_0000 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[derive(Debug, Default)]
struct Cell {
    generation: AtomicU64,
    tables: Mutex<Arc<Tables>>,
}

/// Puts new snapshots in place.
#[derive(Clone, Debug, Default)]
pub struct Publisher(Arc<Cell>);

impl Publisher {
    /// A cell with a first snapshot in it.
    pub fn new(tables: Tables) -> Self {
        Self(Arc::new(Cell { generation: AtomicU64::new(0), tables: Mutex::new(Arc::new(tables)) }))
    }

    /// Replaces the snapshot; readers see it at their next [`Reader::refresh`].
    pub fn publish(&self, tables: Tables) {
        let tables = Arc::new(tables);
        let old = {
            let mut place = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *place, tables)
        };
        self.0.generation.fetch_add(1, Ordering::Release);
        // Outside of the lock: freeing a big snapshot takes time.
        drop(old);
    }

    /// The snapshot in place.
    pub fn current(&self) -> Arc<Tables> {
        Arc::clone(&self.0.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader of this cell, for one thread.
    pub fn reader(&self) -> Reader {
        let generation = self.0.generation.load(Ordering::Acquire);
        Reader { cell: Arc::clone(&self.0), generation, tables: self.current() }
    }
}

/// One thread's view: a snapshot that it owns until it asks for the newest.
#[derive(Clone, Debug)]
pub struct Reader {
    cell: Arc<Cell>,
    generation: u64,
    tables: Arc<Tables>,
}

impl Reader {
    /// The newest snapshot: one atomic load where it is the one at hand. Once per batch.
    #[inline]
    pub fn refresh(&mut self) -> &Tables {
        let generation = self.cell.generation.load(Ordering::Acquire);
        if generation != self.generation {
            // A snapshot newer than this generation may be taken; it is then only looked for once more.
            self.generation = generation;
            self.tables = Arc::clone(&self.cell.tables.lock().unwrap_or_else(PoisonError::into_inner));
        }
        &self.tables
    }

    /// The snapshot at hand.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use eyepiece_wire::InterfaceKind;

    use super::{EndKind, InterfaceInfo, Publisher, Tables};
    use crate::symbols::{Symbol, Symbols};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn sample(symbols: &Symbols) -> Tables {
        let mut tables = Tables::new(symbols);
        for (ifindex, endpoint, name) in [(7, 1, "veth7"), (8, 2, "veth8")] {
            let kind = InterfaceKind::Endpoint;
            tables.add_interface(ifindex, InterfaceInfo { name: symbols.intern(name), kind, endpoint });
        }
        tables.add_host(ip("192.0.2.1"));
        tables.add_host(ip("172.17.0.1"));
        tables.add_endpoint_address(ip("10.0.0.7"), 1, false);
        tables.add_endpoint_address(ip("fd00::7"), 1, false);
        tables.add_endpoint_address(ip("fe80::1"), 1, false);
        tables.add_endpoint_address(ip("fe80::1"), 2, false);
        tables.add_endpoint_address(ip("172.17.0.1"), 2, false);
        tables.add_endpoint_address(ip("10.0.0.7"), 2, true);
        tables.add_endpoint_address(ip("10.0.0.8"), 1, true);
        tables.add_endpoint_address(ip("10.0.0.8"), 2, false);
        tables.add_endpoint_address(ip("10.0.0.9"), 2, true);
        tables
    }

    #[test]
    fn ends() {
        let symbols = Symbols::default();
        let tables = sample(&symbols);
        for (address, endpoint, name, kind, shared, learned) in [
            ("192.0.2.1", 0, "host", EndKind::Host, false, false),
            ("10.0.0.7", 1, "veth7", EndKind::Endpoint, false, false),
            ("::ffff:10.0.0.7", 1, "veth7", EndKind::Endpoint, false, false),
            ("fd00::7", 1, "veth7", EndKind::Endpoint, false, false),
            ("fe80::1", 1, "veth7", EndKind::Endpoint, true, false),
            ("172.17.0.1", 0, "host", EndKind::Host, true, false),
            ("10.0.0.8", 2, "veth8", EndKind::Endpoint, false, false),
            ("10.0.0.9", 2, "veth8", EndKind::Endpoint, false, true),
            ("8.8.8.8", 0, "world", EndKind::World, false, false),
            ("::", 0, "world", EndKind::World, false, false),
            ("::10.0.0.7", 0, "world", EndKind::World, false, false),
        ] {
            let end = tables.end(&ip(address));
            assert_eq!((end.endpoint, &*symbols.text(end.name), end.kind), (endpoint, name, kind), "{address}");
            assert_eq!((end.shared, end.learned), (shared, learned), "{address}");
        }
    }

    #[test]
    fn interfaces_and_namespaces() {
        let symbols = Symbols::default();
        let mut tables = sample(&symbols);
        assert_eq!(tables.interface(7).endpoint, 1);
        assert_eq!(&*symbols.text(tables.interface(8).name), "veth8");
        assert_eq!(tables.interface(99), InterfaceInfo::default());
        assert_eq!((&*symbols.text(tables.endpoint_name(1)), tables.endpoint_name(9)), ("veth7", Symbol::EMPTY));
        for (inode, endpoint) in [(100, 1), (100, 1), (200, 1), (200, 2), (200, 2), (300, 0)] {
            tables.add_namespace(inode, endpoint);
        }
        let found = [100, 200, 300, 400].map(|inode| tables.namespace(inode));
        assert_eq!(found, [Some(1), Some(0), Some(0), None]);
    }

    #[test]
    fn a_reader_keeps_its_snapshot_until_it_asks() {
        let symbols = Symbols::default();
        let publisher = Publisher::new(Tables::new(&symbols));
        let mut reader = publisher.reader();
        publisher.publish(sample(&symbols));
        assert_eq!(reader.tables().address_count(), 0);
        assert_eq!(reader.refresh().address_count(), 7);
        publisher.publish(Tables::new(&symbols));
        publisher.publish(sample(&symbols));
        assert_eq!(reader.refresh().address_count(), 7);
        assert_eq!(publisher.reader().tables().address_count(), 7);
    }

    #[test]
    fn readers_see_the_last_one_of_many() {
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
            publisher.publish(sample(&symbols));
        });
        assert!(readers.iter().all(|reader| reader.tables().address_count() == 7));
    }
}
