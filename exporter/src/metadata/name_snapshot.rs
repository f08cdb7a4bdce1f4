//! The snapshot of names that a batch's flows refer to.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::flow::End;
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::lookup::{BatchNames, EndEntity, EntityFields};
use eyepiece_wire::InterfaceKind;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::context_names::ContextNames;
use super::entities::{Entities, EntityLink};
use super::link_tables::{InterfaceInfo, LinkTables};
use super::provider::{Entity, EntityRef};

/// The state of links and the entities of providers at one time. Snapshots share the parts that did not change.
#[derive(Clone, Debug, Default)]
pub struct NameSnapshot {
    links: Arc<LinkTables>,
    entities: Arc<Entities>,
    /// Entities of endpoints, by the network namespaces of both parts.
    endpoints: HashMap<u16, EntityLink, RandomState>,
    /// Whether there is any entity, and whether a provider of endpoints' entities follows its source: read for each flow.
    has_entities: bool,
    names_endpoints: bool,
}

impl NameSnapshot {
    /// Joins the state of links and the entities of providers. An endpoint that has ended keeps its entity of the snapshot
    /// before, as long as both are there: its number is not used again so soon, unlike that of its namespace.
    pub(super) fn new(links: Arc<LinkTables>, entities: Arc<Entities>, before: &Self) -> Self {
        let found = |(endpoint, inode)| Some((endpoint, entities.in_namespace(inode)?));
        let mut endpoints: HashMap<_, _, _> = links.endpoint_namespaces().filter_map(found).collect();
        for (&endpoint, &link) in &before.endpoints {
            let namespace = links.endpoint_namespace(endpoint);
            let is_there = links.endpoint_name(endpoint) != Symbol::EMPTY
                && (namespace.is_none() || namespace == before.links.endpoint_namespace(endpoint));
            let [old, new] = [&before.entities, &entities]
                .map(|entities| entities.owner(link.entity).map(EntityRef::memory_addresses));
            if is_there && old.is_some() && old == new {
                endpoints.entry(endpoint).or_insert(link);
            }
        }
        let has_entities = !(endpoints.is_empty() && entities.is_empty());
        let names_endpoints = entities.names_endpoints;
        Self { links, entities, endpoints, has_entities, names_endpoints }
    }

    /// The state of links.
    #[inline]
    pub const fn links(&self) -> &Arc<LinkTables> {
        &self.links
    }

    /// The entities of providers.
    pub const fn entities(&self) -> &Arc<Entities> {
        &self.entities
    }

    /// The texts by which metrics name an entity.
    #[inline]
    pub fn context_names(&self, entity: u32) -> &ContextNames {
        if entity == 0 { ContextNames::NONE } else { self.entities.context_names(entity) }
    }

    /// Whether there is no entity at all.
    #[inline]
    pub const fn has_no_entities(&self) -> bool {
        !self.has_entities
    }

    /// Whether a provider of endpoints' entities follows its source.
    #[inline]
    pub const fn names_endpoints(&self) -> bool {
        self.names_endpoints
    }

    /// The entity of an endpoint, by its network namespace.
    #[inline]
    pub fn entity_of_endpoint(&self, endpoint: u16) -> Option<EntityLink> {
        self.endpoints.get(&endpoint).copied()
    }

    /// The entity of a socket of the machine's own namespace: by its control group, else by the process that opened it. A
    /// group that is no more than a process's does not precede that process. 0 stands for an unknown one.
    #[inline]
    pub fn entity_of_socket(&self, control_group: u64, process: u64) -> Option<EntityLink> {
        let by_group = if control_group == 0 { None } else { self.entities.in_control_group(control_group) };
        match by_group {
            Some(link) if process == 0 || !self.entities.is_process(link.entity) => Some(link),
            _ if process == 0 => None,
            _ => self.entities.of_process(process).or(by_group),
        }
    }

    /// The address of IP version 4 or 6 by which the processes of a control group send.
    pub fn address_of_control_group(&self, id: u64, version: u8) -> Option<IpAddr> {
        let found = self.entities.in_control_group(id)?;
        self.entities.entity(found.entity)?.addresses[usize::from(version == 6)]
    }

    /// The entity at an address that is configured at an endpoint; `port` as in [`Self::entity_at_address`].
    #[inline]
    pub fn entity_at_address_of(&self, endpoint: u16, address: &IpAddr, port: Option<(u16, u8)>) -> Option<EntityLink> {
        let known = self.links.end(address);
        if known.endpoint == endpoint && known.is_configured() { self.entity_at_address(address, port) } else { None }
    }

    /// The entity of an identity that the source's datapath gave a packet.
    #[inline]
    pub fn entity_of_identity(&self, identity: u32) -> Option<EntityLink> {
        self.entities.of_identity(identity)
    }

    /// The entity of the longest prefix of an address.
    pub fn entity_in_prefix(&self, address: &IpAddr) -> Option<EntityLink> {
        self.entities.in_prefix(address)
    }

    /// The entity at an address; `port` are its port and protocol.
    #[inline]
    pub fn entity_at_address(&self, address: &IpAddr, port: Option<(u16, u8)>) -> Option<EntityLink> {
        self.entities.at_address(address, port)
    }
}

/// The source of an end's labels.
enum LabelSource<'a> {
    /// Those of its entity.
    Own,
    /// Those of its identity, which differ.
    OfIdentity(&'a Arc<Entity>),
    /// None: no provider knows its identity, which is not the entity's.
    Unknown,
}

/// An entity with the labels of an identity; `None` for one that no provider knows.
#[derive(Debug)]
struct Relabeled {
    owner: EntityRef,
    identity: Option<Arc<Entity>>,
}

impl EntityFields for Relabeled {
    fn fields(&self) -> EndEntity<'_> {
        let labels = self.identity.as_ref().map_or(&[][..], |identity| &identity.metadata.labels);
        self.owner.fields().with_labels(labels)
    }
}

impl NameSnapshot {
    /// The source of the labels of an end with an entity. An endpoint has its own. So has an entity whose identity no
    /// provider knows: its number may be of another provider's labels.
    fn label_source(&self, end: &End, entity: &Entity) -> LabelSource<'_> {
        if !self.entities.has_identities() || end.endpoint != 0 || end.identity == 0 {
            return LabelSource::Own;
        }
        let found = self.entities.of_identity(end.identity);
        match found.and_then(|found| self.entities.entity(found.entity)) {
            Some(identity) if identity.metadata.labels != entity.metadata.labels => LabelSource::OfIdentity(identity),
            None if end.identity != entity.identity && self.entities.of_identity(entity.identity).is_some() => {
                LabelSource::Unknown
            }
            Some(_) | None => LabelSource::Own,
        }
    }
}

impl From<LinkTables> for NameSnapshot {
    fn from(links: LinkTables) -> Self {
        Self::new(Arc::new(links), Arc::default(), &Self::default())
    }
}

impl BatchNames for NameSnapshot {
    fn end(&self, end: &End) -> Option<&Arc<str>> {
        let of_links = || self.links.name(end.name).map(|lease| lease.text());
        self.entities.name(end.entity).or_else(of_links)
    }

    fn interface(&self, ifindex: u32) -> Option<(&Arc<str>, InterfaceKind)> {
        let InterfaceInfo { name, kind, .. } = self.links.interface(ifindex);
        self.links.name(name).map(|lease| (lease.text(), kind))
    }

    fn entity(&self, end: &End) -> Option<EndEntity<'_>> {
        let owner = self.entities.owner(end.entity)?;
        Some(match self.label_source(end, &owner.entity) {
            LabelSource::Own => owner.fields(),
            LabelSource::OfIdentity(identity) => owner.fields().with_labels(&identity.metadata.labels),
            LabelSource::Unknown => owner.fields().with_labels(&[]),
        })
    }

    fn shared_entity(&self, end: &End) -> Option<Arc<dyn EntityFields>> {
        let owner = self.entities.owner(end.entity)?;
        let identity = match self.label_source(end, &owner.entity) {
            LabelSource::Own if owner.container.is_none() => return Some(Arc::<Entity>::clone(&owner.entity)),
            LabelSource::Own => return Some(Arc::new(owner.clone())),
            LabelSource::OfIdentity(identity) => Some(Arc::clone(identity)),
            LabelSource::Unknown => None,
        };
        Some(Arc::new(Relabeled { owner: owner.clone(), identity }))
    }
}
