//! The entities of providers as a part of a snapshot: by address, prefix, service, endpoint, control group, process and
//! identity.
//!
//! Tables are split into shards behind `Arc`s. A change copies the shards that it meets, so a publication costs by its
//! changes and not by the size of the tables.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::interner::{Lease, Symbol};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::context_names::ContextNames;
use super::link_tables::address_bits;
use super::provider::{Entity, EntityKind, EntityRef, Key};

/// Shards of a table. A change of one of 100,000 entries copies 400, some 15 KiB.
const SHARDS: usize = 256;
/// The hash bit from which on a shard is chosen: a table itself uses the lowest bits and the highest seven.
const SHARD_SHIFT: u32 = 40;
/// Places of a shard for each entry, before it shrinks: more than an insertion leaves.
const MAX_PLACES_PER_ENTRY: usize = 8;
/// Entities of a chunk.
const CHUNK: usize = 64;

/// The result of a look-up; it is copied into flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntityLink {
    /// The entity's number in its snapshot; 0 = none.
    pub entity: u32,
    /// Its name.
    pub name: Symbol,
    /// Its security identity; 0 = not known.
    pub identity: u32,
}

/// An entity with its name.
#[derive(Clone, Debug)]
pub(super) struct NamedEntity {
    pub(super) owner: EntityRef,
    pub(super) name: Arc<Lease>,
    pub(super) contexts: ContextNames,
    /// Keeps the texts of `contexts`.
    pub(super) _texts: Arc<[Lease]>,
}

/// A hash table that shares what did not change with its copies.
#[derive(Clone, Debug)]
struct Sharded<K> {
    hasher: RandomState,
    shards: Vec<Arc<HashTable<(K, EntityLink)>>>,
    len: usize,
}

impl<K> Default for Sharded<K> {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: vec![Arc::default(); SHARDS], len: 0 }
    }
}

impl<K: Clone + Eq + Hash> Sharded<K> {
    #[inline]
    fn get(&self, key: &K) -> Option<EntityLink> {
        if self.len == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        self.shards[shard(hash)].find(hash, |(known, _)| known == key).map(|(_, link)| *link)
    }

    /// Sets or removes the entry of a key.
    fn set(&mut self, key: K, link: Option<EntityLink>) {
        let Self { hasher, shards, len } = self;
        let hash = hasher.hash_one(&key);
        let table = Arc::make_mut(&mut shards[shard(hash)]);
        let entry = table.entry(hash, |(known, _)| *known == key, |(known, _)| hasher.hash_one(known));
        match (entry, link) {
            (Entry::Occupied(mut known), Some(link)) => known.get_mut().1 = link,
            (Entry::Occupied(known), None) => {
                known.remove();
                *len -= 1;
            }
            (Entry::Vacant(free), Some(link)) => {
                free.insert((key, link));
                *len += 1;
            }
            (Entry::Vacant(_), None) => {}
        }
        // Returns the memory of a table that was large.
        if table.capacity() > MAX_PLACES_PER_ENTRY * table.len().max(1) {
            table.shrink_to_fit(|(known, _)| hasher.hash_one(known));
        }
    }
}

/// Truncation is intended.
const fn shard(hash: u64) -> usize {
    (hash >> SHARD_SHIFT) as usize % SHARDS
}

/// The entities and their keys. Cloning shares all of it.
#[derive(Clone, Debug, Default)]
pub struct Entities {
    addresses: Sharded<u128>,
    prefixes: Sharded<(IpAddr, u8)>,
    /// How many prefixes of each length there are, for each family; the longest first.
    prefix_lengths: [Vec<(u8, usize)>; 2],
    /// By address, port and protocol.
    services: Sharded<(u128, u16, u8)>,
    namespaces: Sharded<u32>,
    control_groups: Sharded<u64>,
    processes: Sharded<u64>,
    identities: Sharded<u32>,
    /// Whether a provider of endpoints' entities follows its source: docker its daemon, Kubernetes its server.
    pub(super) names_endpoints: bool,
    /// By number, less one.
    entities: Vec<Arc<Vec<Option<NamedEntity>>>>,
}

impl Entities {
    /// Whether no address, no control group, no process and no identity has an entity.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let sockets = self.control_groups.len + self.processes.len;
        self.addresses.len + self.prefixes.len + self.services.len + sockets + self.identities.len == 0
    }

    /// The entity at an address: that of the address, else of the service at `port`, else of the longest prefix. A service
    /// goes before a prefix, which is most often of many machines. One without an identity has that of the prefix.
    #[inline]
    pub fn at_address(&self, address: &IpAddr, port: Option<(u16, u8)>) -> Option<EntityLink> {
        let bits = address_bits(*address);
        let exact = self.addresses.get(&bits);
        match exact.or_else(|| self.services.get(&port.map(|(port, protocol)| (bits, port, protocol))?)) {
            Some(link) if link.identity != 0 || self.prefixes.len == 0 => Some(link),
            Some(link) => Some(EntityLink { identity: self.in_prefix(address).map_or(0, |net| net.identity), ..link }),
            None => self.in_prefix(address),
        }
    }

    /// The entity of the longest prefix of an address.
    pub fn in_prefix(&self, address: &IpAddr) -> Option<EntityLink> {
        let lengths = &self.prefix_lengths[usize::from(address.is_ipv6())];
        lengths.iter().find_map(|&(length, _)| self.prefixes.get(&(prefix(*address, length), length)))
    }

    /// The entity of an identity.
    #[inline]
    pub fn of_identity(&self, identity: u32) -> Option<EntityLink> {
        self.identities.get(&identity)
    }

    /// Whether the labels of any identity are known.
    #[inline]
    pub const fn has_identities(&self) -> bool {
        self.identities.len != 0
    }

    /// The entity whose processes are in a network namespace.
    pub fn in_namespace(&self, inode: u32) -> Option<EntityLink> {
        self.namespaces.get(&inode)
    }

    /// The entity whose processes are in a control group.
    pub fn in_control_group(&self, id: u64) -> Option<EntityLink> {
        self.control_groups.get(&id)
    }

    /// The entity of a process, by its [`eyepiece_wire::process_id`].
    pub fn of_process(&self, id: u64) -> Option<EntityLink> {
        self.processes.get(&id)
    }

    /// Whether an entity is only a process, outside of any container and unit.
    pub fn is_process(&self, number: u32) -> bool {
        self.get(number).is_some_and(|found| found.owner.entity.kind == EntityKind::Process)
    }

    /// The name of an entity.
    pub fn name(&self, number: u32) -> Option<&Arc<str>> {
        self.get(number).map(|found| found.name.text()).filter(|name| !name.is_empty())
    }

    /// The symbol of an entity's name; [`Symbol::EMPTY`] if it is unknown.
    pub(super) fn symbol(&self, number: u32) -> Symbol {
        self.get(number).map_or(Symbol::EMPTY, |found| found.name.symbol())
    }

    /// The texts by which metrics name an entity.
    #[inline]
    pub fn context_names(&self, number: u32) -> &ContextNames {
        self.get(number).map_or(ContextNames::NONE, |found| &found.contexts)
    }

    /// An entity by its number, to keep it.
    pub fn entity(&self, number: u32) -> Option<&Arc<Entity>> {
        self.owner(number).map(|owner| &owner.entity)
    }

    /// An entity by its number, or the container that has the number.
    pub(super) fn owner(&self, number: u32) -> Option<&EntityRef> {
        self.get(number).map(|found| &found.owner)
    }

    fn get(&self, number: u32) -> Option<&NamedEntity> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.entities.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    /// Sets or removes the entity of a number, which is at most one more than the highest so far.
    pub(super) fn set_entity(&mut self, number: u32, entity: Option<NamedEntity>) {
        let index = number.saturating_sub(1) as usize;
        if index / CHUNK >= self.entities.len() {
            self.entities.push(Arc::new(vec![None; CHUNK]));
        }
        if let Some(chunk) = self.entities.get_mut(index / CHUNK) {
            Arc::make_mut(chunk)[index % CHUNK] = entity;
        }
    }

    /// Sets or removes the entity of a key. Keys of containers and pods are targets of other keys only: no look-up uses
    /// them.
    pub(super) fn set(&mut self, key: &Key, link: Option<EntityLink>) {
        match *key {
            Key::Address(address) => self.addresses.set(address_bits(address), link),
            Key::Prefix(address, length) => self.set_prefix(address, length, link),
            Key::Service { address, port, protocol } => {
                self.services.set((address_bits(address), port, protocol), link);
            }
            Key::Namespace(inode) => self.namespaces.set(inode, link),
            Key::ControlGroup(id) => self.control_groups.set(id, link),
            Key::Process(id) => self.processes.set(id, link),
            Key::Identity(identity) => self.identities.set(identity, link),
            Key::Container(_) | Key::Pod(_) => {}
        }
    }

    /// A length beyond the address is cut to it.
    fn set_prefix(&mut self, address: IpAddr, length: u8, link: Option<EntityLink>) {
        let length = length.min(if address.is_ipv4() { 32 } else { 128 });
        let before = self.prefixes.len;
        self.prefixes.set((prefix(address, length), length), link);
        let lengths = &mut self.prefix_lengths[usize::from(address.is_ipv6())];
        let place = lengths.binary_search_by(|(known, _)| length.cmp(known));
        match (place, self.prefixes.len.cmp(&before)) {
            (Ok(place), std::cmp::Ordering::Greater) => lengths[place].1 += 1,
            (Err(place), std::cmp::Ordering::Greater) => lengths.insert(place, (length, 1)),
            (Ok(place), std::cmp::Ordering::Less) if lengths[place].1 > 1 => lengths[place].1 -= 1,
            (Ok(place), std::cmp::Ordering::Less) => {
                lengths.remove(place);
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
}

/// An address with zeros behind a prefix; a length beyond the address is cut to it.
pub(super) fn prefix(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}
