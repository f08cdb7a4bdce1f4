//! The state of links as a part of a snapshot: interfaces, endpoints, addresses and namespaces.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Reserved identity of the machine itself (Cilium `pkg/identity/numericidentity.go`).
pub const IDENTITY_HOST: u32 = 1;
/// Reserved identity of all unknown addresses.
pub const IDENTITY_WORLD: u32 = 2;

/// The kind of an address's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EndKind {
    /// An endpoint of this machine.
    Endpoint,
    /// The machine itself.
    Host,
    /// Any other machine.
    #[default]
    World,
}

/// Metadata of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndInfo {
    /// Endpoint id; 0 for all but endpoints.
    pub endpoint: u16,
    /// Security identity; 0 = not known, as for all endpoints.
    pub identity: u32,
    /// The endpoint's interface name, `host` or `world`.
    pub name: Symbol,
    /// The owner's kind.
    pub kind: EndKind,
    /// Several endpoints have this address: the observing interface decides.
    pub shared: bool,
    /// Learned from packets only; expires unless it is seen again.
    pub learned: bool,
    /// Its endpoint was removed; [`LinkTables::end_at`] knows when.
    pub is_retired: bool,
}

impl EndInfo {
    /// Whether the address is configured at one endpoint: only such an address names an endpoint, which may send from any.
    #[inline]
    pub const fn is_configured(&self) -> bool {
        self.endpoint != 0 && !self.learned && !self.shared
    }
}

/// Metadata of an interface.
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

/// The state of links. It keeps the names that it has interned.
#[derive(Clone, Debug, Default)]
pub struct LinkTables {
    symbols: Symbols,
    names: HashMap<Symbol, Arc<Lease>, RandomState>,
    ends: HashMap<u128, EndInfo, RandomState>,
    /// When the endpoints of retired addresses were removed, ns since the Unix epoch: apart, since each packet looks up two
    /// addresses, and hardly any is retired.
    retired: HashMap<u128, u64, RandomState>,
    interfaces: HashMap<u32, InterfaceInfo, RandomState>,
    /// Names by endpoint id.
    endpoints: HashMap<u16, Symbol, RandomState>,
    namespaces: HashMap<u32, u16, RandomState>,
    /// Inodes of the network namespaces of endpoints.
    endpoint_namespaces: HashMap<u16, u32, RandomState>,
    /// Generations of interfaces that are not 0, by index.
    generations: HashMap<u32, u32, RandomState>,
    host: Symbol,
    world: EndInfo,
}

impl LinkTables {
    /// An empty snapshot: every address is `world`.
    pub fn new(symbols: &Symbols) -> Self {
        let mut links = Self { symbols: symbols.clone(), ..Self::default() };
        links.host = links.intern("host");
        links.world = EndInfo { name: links.intern("world"), identity: IDENTITY_WORLD, ..EndInfo::default() };
        links
    }

    /// Returns the symbol of a name, which lives as long as this state.
    pub fn intern(&mut self, name: &str) -> Symbol {
        let lease = self.symbols.lease(name);
        let symbol = lease.symbol();
        self.names.entry(symbol).or_insert_with(|| Arc::new(lease));
        symbol
    }

    /// The lease of a name that this state keeps.
    pub fn name(&self, symbol: Symbol) -> Option<&Arc<Lease>> {
        self.names.get(&symbol)
    }

    /// Keeps a name that is interned already.
    fn hold(&mut self, symbol: Symbol) {
        if symbol != Symbol::EMPTY
            && !self.names.contains_key(&symbol)
            && let Some(lease) = self.symbols.hold(symbol)
        {
            self.names.insert(symbol, Arc::new(lease));
        }
    }

    /// Adds an interface, and its endpoint if it has one.
    pub fn add_interface(&mut self, ifindex: u32, info: InterfaceInfo) {
        self.hold(info.name);
        self.interfaces.insert(ifindex, info);
        if info.endpoint != 0 {
            self.endpoints.insert(info.endpoint, info.name);
        }
    }

    /// Sets the generation of an interface, which distinguishes it from earlier ones with its index.
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

    /// Adds an address of the machine.
    pub fn add_host(&mut self, address: IpAddr) {
        self.add(
            address,
            EndInfo { name: self.host, identity: IDENTITY_HOST, kind: EndKind::Host, ..EndInfo::default() },
        );
    }

    /// Adds an address of an endpoint that was added before. Of several owners the first one stays, but a configured
    /// address replaces a learned one.
    pub fn add_endpoint_address(&mut self, address: IpAddr, endpoint: u16, learned: bool) {
        let name = self.endpoint_name(endpoint);
        self.add(address, EndInfo { endpoint, name, kind: EndKind::Endpoint, learned, ..EndInfo::default() });
    }

    /// Adds an address of an endpoint that was removed, for events from before. An owner that is there stays, else the one
    /// that was removed last.
    pub fn add_retired_address(&mut self, address: IpAddr, endpoint: u16, retired: u64) {
        let (name, kind) = (self.endpoint_name(endpoint), EndKind::Endpoint);
        let info = EndInfo { endpoint, name, kind, learned: true, is_retired: true, ..EndInfo::default() };
        let bits = address_bits(address);
        let known = self.ends.entry(bits).or_insert(info);
        let last = self.retired.entry(bits).or_insert(retired);
        if known.is_retired && *last < retired {
            (*known, *last) = (info, retired);
        }
    }

    /// Adds a network namespace by its inode, with its only endpoint; 0 for none or several.
    pub fn add_namespace(&mut self, inode: u32, endpoint: u16) {
        if endpoint != 0 {
            self.endpoint_namespaces.insert(endpoint, inode);
        }
        let entry = self.namespaces.entry(inode).or_insert(endpoint);
        if *entry != endpoint {
            *entry = 0;
        }
    }

    fn add(&mut self, address: IpAddr, info: EndInfo) {
        let known = self.ends.entry(address_bits(address)).or_insert(info);
        if known.learned && !info.learned {
            *known = info;
        } else if (known.kind, known.endpoint) != (info.kind, info.endpoint) && known.learned == info.learned {
            known.shared = true;
        }
    }

    /// Metadata of an address; `world` if unknown.
    #[inline]
    pub fn end(&self, address: &IpAddr) -> EndInfo {
        self.ends.get(&address_bits(*address)).copied().unwrap_or(self.world)
    }

    /// Metadata of an address at a time, ns since the Unix epoch: that of a removed endpoint only for earlier events, for
    /// another endpoint may have the address by now.
    #[inline]
    pub fn end_at(&self, address: &IpAddr, time: u64) -> EndInfo {
        let info = self.end(address);
        if info.is_retired && self.retired_before(address, time) { self.world } else { info }
    }

    #[cold]
    fn retired_before(&self, address: &IpAddr, time: u64) -> bool {
        self.retired.get(&address_bits(*address)).is_some_and(|retired| *retired < time)
    }

    /// Metadata of unknown addresses.
    pub const fn world(&self) -> EndInfo {
        self.world
    }

    /// Metadata of an interface; [`InterfaceInfo::default`] if unknown.
    #[inline]
    pub fn interface(&self, ifindex: u32) -> InterfaceInfo {
        self.interfaces.get(&ifindex).copied().unwrap_or_default()
    }

    /// Returns whether an interface is known.
    pub fn has_interface(&self, ifindex: u32) -> bool {
        self.interfaces.contains_key(&ifindex)
    }

    /// The interface name of an endpoint; [`Symbol::EMPTY`] if unknown.
    #[inline]
    pub fn endpoint_name(&self, endpoint: u16) -> Symbol {
        self.endpoints.get(&endpoint).copied().unwrap_or_default()
    }

    /// Whether an endpoint is known.
    pub fn has_endpoint(&self, endpoint: u16) -> bool {
        self.endpoints.contains_key(&endpoint)
    }

    /// The endpoint of a network namespace by its inode; 0 = several or the machine's own, `None` = not watched.
    pub fn namespace(&self, inode: u32) -> Option<u16> {
        self.namespaces.get(&inode).copied()
    }

    /// All watched namespaces: inode, and endpoint id as in [`LinkTables::namespace`].
    pub fn namespaces(&self) -> impl Iterator<Item = (u32, u16)> {
        self.namespaces.iter().map(|(&inode, &endpoint)| (inode, endpoint))
    }

    /// The inode of an endpoint's network namespace; `None` if it is unknown, as after its end.
    pub fn endpoint_namespace(&self, endpoint: u16) -> Option<u32> {
        self.endpoint_namespaces.get(&endpoint).copied()
    }

    /// Endpoints with the inodes of their network namespaces. A namespace has several endpoints if it has several pairs.
    pub fn endpoint_namespaces(&self) -> impl Iterator<Item = (u16, u32)> {
        self.endpoint_namespaces.iter().map(|(&endpoint, &inode)| (endpoint, inode))
    }

    /// All interfaces that are known.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, InterfaceInfo)> {
        self.interfaces.iter().map(|(&ifindex, &info)| (ifindex, info))
    }

    /// All addresses that are known, IPv4 as IPv4-mapped IPv6.
    pub fn ends(&self) -> impl Iterator<Item = (u128, EndInfo)> {
        self.ends.iter().map(|(&address, &info)| (address, info))
    }

    /// Adds an entry of another snapshot's [`LinkTables::ends`].
    pub fn restore_end(&mut self, address: u128, info: EndInfo) {
        self.hold(info.name);
        self.ends.insert(address, info);
    }
}

/// One key for both families: IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), which means the same node.
#[inline]
pub(super) fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => 0xffff_0000_0000 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests;
