//! A snapshot of what is known about addresses, interfaces and namespaces, and the cell that hands it over.
//!
//! A snapshot never changes. Who knows more makes a new one; the pipeline's thread notices by one atomic load a batch.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::retired_names::{InterfaceNames, RetiredName};

/// Reserved identity of the machine itself (Cilium `pkg/identity/numericidentity.go`).
pub const IDENTITY_HOST: u32 = 1;
/// Reserved identity of everybody who is not known.
pub const IDENTITY_WORLD: u32 = 2;

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
    /// Security identity; 0 = not known.
    pub identity: u32,
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
    /// InterfaceNames and identities by endpoint id.
    endpoints: HashMap<u16, (Symbol, u32), RandomState>,
    /// Identities by prefix, as an ipcache has them: the address, what is behind the prefix being zero, and the length.
    prefixes: HashMap<(IpAddr, u8), u32, RandomState>,
    /// The lengths that occur in each family, the longest first.
    prefix_lengths: [Vec<u8>; 2],
    /// IPv4 and IPv6 address of a process's pod by the id of its control group.
    control_groups: HashMap<u64, [Option<IpAddr>; 2], RandomState>,
    namespaces: HashMap<u32, u16, RandomState>,
    /// InterfaceNames of interfaces that are leased, by index.
    leases: Vec<(u32, Arc<Lease>)>,
    /// Generations of interfaces that are not 0, by index.
    generations: HashMap<u32, u32, RandomState>,
    host: Symbol,
    world: EndInfo,
}

impl Tables {
    /// A snapshot that knows nobody: all the world is `world`.
    pub fn new(symbols: &Symbols) -> Self {
        let world = EndInfo { name: symbols.intern("world"), identity: IDENTITY_WORLD, ..EndInfo::default() };
        Self { host: symbols.intern("host"), world, ..Self::default() }
    }

    /// Adds an interface, and its endpoint where it is one.
    pub fn add_interface(&mut self, ifindex: u32, info: InterfaceInfo) {
        self.interfaces.insert(ifindex, info);
        if info.endpoint != 0 {
            self.endpoints.entry(info.endpoint).or_default().0 = info.name;
        }
    }

    /// Keeps the name of an interface as long as flows may say it that were enriched by this snapshot.
    pub fn hold(&mut self, ifindex: u32, lease: Arc<Lease>) {
        self.leases.push((ifindex, lease));
    }

    /// Sets the generation of an interface: another one where others had its index before.
    pub fn set_generation(&mut self, ifindex: u32, generation: u32) {
        if generation != 0 {
            self.generations.insert(ifindex, generation);
        }
    }

    /// The generation of an interface.
    pub fn generation(&self, ifindex: u32) -> u32 {
        self.generations.get(&ifindex).copied().unwrap_or(0)
    }

    /// The generations that are not 0, by index.
    pub const fn generations(&self) -> &HashMap<u32, u32, RandomState> {
        &self.generations
    }

    /// What [`Tables::hold`] was given.
    pub fn leases(&self) -> &[(u32, Arc<Lease>)] {
        &self.leases
    }

    /// Adds an address of the machine.
    pub fn add_host(&mut self, address: IpAddr) {
        self.add(
            address,
            EndInfo { name: self.host, identity: IDENTITY_HOST, kind: EndKind::Host, ..EndInfo::default() },
        );
    }

    /// Adds an address of an endpoint that was added before; what was added first stays where several have it, but a
    /// configured address replaces a learned one.
    pub fn add_endpoint_address(&mut self, address: IpAddr, endpoint: u16, learned: bool) {
        let (name, identity) = self.endpoints.get(&endpoint).copied().unwrap_or_default();
        self.add(address, EndInfo { endpoint, identity, name, kind: EndKind::Endpoint, shared: false, learned });
    }

    /// Sets the identity of an endpoint, whose addresses may have been added before or not.
    pub fn set_endpoint_identity(&mut self, endpoint: u16, identity: u32) {
        self.endpoints.entry(endpoint).or_default().1 = identity;
        for end in self.ends.values_mut().filter(|end| end.endpoint == endpoint) {
            end.identity = identity;
        }
    }

    /// Adds the identity of all addresses with a prefix. Lengths beyond the address count as all of it.
    pub fn add_prefix(&mut self, address: IpAddr, length: u8, identity: u32) {
        let length = length.min(if address.is_ipv4() { 32 } else { 128 });
        let lengths = &mut self.prefix_lengths[usize::from(address.is_ipv6())];
        if let Err(place) = lengths.binary_search_by(|known| length.cmp(known)) {
            lengths.insert(place, length);
        }
        self.prefixes.insert((prefix(address, length), length), identity);
    }

    /// Adds a control group: the first address of each family is that of its processes.
    pub fn add_control_group(&mut self, id: u64, addresses: impl IntoIterator<Item = IpAddr>) {
        let group = self.control_groups.entry(id).or_default();
        for address in addresses {
            group[usize::from(address.is_ipv6())].get_or_insert(address);
        }
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

    /// Everybody whose address is not known.
    pub const fn world(&self) -> EndInfo {
        self.world
    }

    /// Security identity of an address, `end` being who is behind it: the endpoint's, else that of the longest prefix;
    /// 0 where nobody knows.
    pub fn identity(&self, address: &IpAddr, end: EndInfo) -> u32 {
        if end.kind == EndKind::Endpoint {
            return end.identity;
        }
        let lengths = &self.prefix_lengths[usize::from(address.is_ipv6())];
        let found = lengths.iter().find_map(|&length| self.prefixes.get(&(prefix(*address, length), length)));
        match (found, end.kind) {
            (Some(&identity), _) => identity,
            (None, EndKind::Host) => end.identity,
            (None, _) => 0,
        }
    }

    /// Address of a control group's processes, of IP version 4 or 6.
    pub fn control_group(&self, id: u64, version: u8) -> Option<IpAddr> {
        self.control_groups.get(&id).and_then(|addresses| addresses[usize::from(version == 6)])
    }

    /// Security identity of an endpoint; 0 where it is not known.
    #[inline]
    pub fn endpoint_identity(&self, endpoint: u16) -> u32 {
        self.endpoints.get(&endpoint).map_or(0, |&(_, identity)| identity)
    }

    /// What an interface is; [`InterfaceInfo::default`] where it is not known.
    #[inline]
    pub fn interface(&self, ifindex: u32) -> InterfaceInfo {
        self.interfaces.get(&ifindex).copied().unwrap_or_default()
    }

    /// The interface name of an endpoint; [`Symbol::EMPTY`] where it is not known.
    #[inline]
    pub fn endpoint_name(&self, endpoint: u16) -> Symbol {
        self.endpoints.get(&endpoint).map_or(Symbol::EMPTY, |&(name, _)| name)
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

/// An address without the bits behind a prefix of a length within its family.
fn prefix(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[derive(Debug, Default)]
struct Cell {
    /// Of the snapshot in place.
    number: AtomicU64,
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
struct Place {
    tables: Arc<Tables>,
    number: u64,
    names: InterfaceNames,
}

impl Cell {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts new snapshots in place.
#[derive(Clone, Debug, Default)]
pub struct Publisher(Arc<Cell>);

impl Publisher {
    /// A cell with a first snapshot in it.
    pub fn new(tables: Tables) -> Self {
        let publisher = Self::default();
        publisher.publish(tables);
        publisher
    }

    /// Replaces the snapshot; readers see it at their next [`Reader::refresh`].
    pub fn publish(&self, tables: Tables) {
        let tables = Arc::new(tables);
        let old = {
            let mut place = self.0.place();
            place.number += 1;
            let number = place.number;
            // In one step: a name is in the snapshot, or among those that are gone.
            place.names.follow(&tables, number);
            self.0.number.store(number, Ordering::Release);
            std::mem::replace(&mut place.tables, tables)
        };
        // Outside of the lock: freeing a big snapshot takes time.
        drop(old);
    }

    /// The snapshot in place.
    pub fn current(&self) -> Arc<Tables> {
        Arc::clone(&self.0.place().tables)
    }

    /// The last name of an interface that is gone, where something may still say it.
    pub fn retired_name(&self, ifindex: u32) -> Option<Arc<str>> {
        self.0.place().names.text(ifindex)
    }

    /// The last name of an interface that had an index in a generation and is gone, where something may still say it.
    pub fn former_name(&self, ifindex: u32, generation: u32) -> Option<Arc<str>> {
        self.0.place().names.former(ifindex, generation)
    }

    /// A reader of this cell, for one thread.
    pub fn reader(&self) -> Reader {
        let place = self.0.place();
        Reader { cell: Arc::clone(&self.0), number: place.number, tables: Arc::clone(&place.tables) }
    }
}

/// One thread's view: a snapshot that it owns until it asks for the newest.
#[derive(Clone, Debug)]
pub struct Reader {
    cell: Arc<Cell>,
    number: u64,
    tables: Arc<Tables>,
}

impl Reader {
    /// The newest snapshot: one atomic load where it is the one at hand. Once per batch.
    #[inline]
    pub fn refresh(&mut self) -> &Tables {
        if self.cell.number.load(Ordering::Acquire) != self.number {
            let place = self.cell.place();
            self.number = place.number;
            let old = std::mem::replace(&mut self.tables, Arc::clone(&place.tables));
            drop(place);
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

    /// Lets go of names of gone interfaces that are needed no more; for the one thread that enriches flows, every now and
    /// then. Says whether there were any.
    pub fn release_names(&self, is_needed: impl Fn(&RetiredName) -> bool) -> bool {
        self.cell.place().names.release(self.number, is_needed)
    }
}

#[cfg(test)]
mod tests;
