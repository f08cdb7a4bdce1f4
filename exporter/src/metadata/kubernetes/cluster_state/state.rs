//! The kept fields of objects, and their claims on keys.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, PodContainer, Service, Workload};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::claims::{Claims, Rank};
use super::shared_values::SharedValues;
use crate::metadata::kubernetes::objects::Kind;
use crate::metadata::provider::{Change, Entity, Key};

/// Longest name and uid that Kubernetes allows.
pub(super) const MAX_NAME: usize = 253;

/// Why an object was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// There are too many.
    Limit,
    /// It has no name or uid, or too long ones.
    Invalid,
}

/// The node and cluster of the provider, and the objects that it keeps.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The name of this node's Node object.
    pub(crate) node: String,
    /// Whether only this node's pods are known: the endpoints of others are left out.
    pub(crate) is_own_only: bool,
    /// Objects of each kind that are kept.
    pub(crate) max_objects: usize,
}

/// Everything that was listed and watched.
#[derive(Debug)]
pub(crate) struct ClusterState {
    pub(super) scope: Scope,
    /// The number of each kind's last listing.
    pub(super) listings: [u32; Kind::ALL.len()],
    pub(super) namespaces: HashMap<Box<str>, NamespaceRecord>,
    pub(super) nodes: HashMap<Arc<str>, NodeRecord>,
    pub(super) owners: HashMap<Box<str>, OwnerRecord>,
    pub(super) services: HashMap<Arc<str>, ServiceRecord>,
    pub(super) slices: HashMap<Arc<str>, Slice>,
    /// The addresses of API servers in slices.
    pub(super) api_servers: HashSet<IpAddr>,
    /// The slices that name a pod which is not known.
    pub(super) memberships: HashMap<Arc<str>, Box<[Arc<str>]>>,
    /// Boxed: a table has up to twice the room that it needs.
    pub(super) pods: HashMap<Arc<str>, Box<PodRecord>>,
    pub(super) claims: Claims,
    /// The metadata of pods, which those of a workload share.
    pub(super) metadata: SharedValues<EndMetadata>,
    /// Names of nodes and containers, uids of owners.
    pub(super) texts: SharedValues<str>,
    /// When pods that are being deleted lose their addresses, in seconds since 1970.
    pub(super) deadlines: BTreeSet<(i64, Arc<str>)>,
    pub(super) stale: Stale,
    pub(super) changes: Vec<Change>,
}

/// The objects that have changed since pods and nodes were last derived from them.
#[derive(Debug, Default)]
pub(super) struct Stale {
    pub(super) namespaces: HashSet<Box<str>>,
    pub(super) owners: HashSet<Box<str>>,
    pub(super) pods: HashSet<Arc<str>>,
    pub(super) nodes: bool,
}

/// A namespace, with the labels that its pods inherit.
#[derive(Debug)]
pub(super) struct NamespaceRecord {
    pub(super) listing: u32,
    pub(super) labels: Box<[String]>,
}

/// The names of an object, checked.
pub(super) struct Names<'a> {
    pub(super) uid: &'a str,
    pub(super) name: &'a str,
    /// Empty for what has none.
    pub(super) namespace: &'a str,
}

impl<'a> Names<'a> {
    pub(super) fn of(metadata: &'a ObjectMeta) -> Option<Self> {
        let (uid, name) = (metadata.uid.as_deref()?, metadata.name.as_deref()?);
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let is_valid = |text: &str| !text.is_empty() && text.len() <= MAX_NAME;
        (is_valid(uid) && is_valid(name) && namespace.len() <= MAX_NAME).then_some(Self { uid, name, namespace })
    }
}

/// A node.
#[derive(Debug)]
pub(super) struct NodeRecord {
    pub(super) listing: u32,
    pub(super) name: Box<str>,
    pub(super) created: i64,
    pub(super) addresses: Box<[IpAddr]>,
}

/// A replica set or job, with the workload that it belongs to: its owner, or itself.
#[derive(Debug)]
pub(super) struct OwnerRecord {
    pub(super) listing: u32,
    pub(super) kind: Kind,
    pub(super) workload: Workload,
}

/// A service.
#[derive(Debug)]
pub(super) struct ServiceRecord {
    pub(super) listing: u32,
    pub(super) keys: Box<[Key]>,
}

/// A part of a service's endpoints.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) listing: u32,
    pub(super) service: Arc<Service>,
    /// Uids.
    pub(super) pods: Box<[Arc<str>]>,
    /// Addresses, where the service is the API server's.
    pub(super) api_servers: Box<[IpAddr]>,
}

/// A pod. What its entity holds stands nowhere else.
#[derive(Debug)]
pub(super) struct PodRecord {
    pub(super) entity: Arc<Entity>,
    /// The uid of the replica set or job that owns it.
    pub(super) owner: Option<Arc<str>>,
    /// The slices that name it.
    pub(super) slices: Box<[Arc<str>]>,
    /// The addresses that it claims.
    pub(super) addresses: Box<[IpAddr]>,
    /// The running ones that the kubelet has reported.
    pub(super) containers: Box<[Arc<PodContainer>]>,
    /// It has one container in all, so that what it sends is that container's.
    pub(super) has_one_container: bool,
    pub(super) listing: u32,
    pub(super) rare: Option<Box<RareFields>>,
}

/// The fields that few pods have.
#[derive(Debug, Default)]
pub(super) struct RareFields {
    /// Addresses that another pod got after it.
    pub(super) lost: Box<[IpAddr]>,
    /// The uid in the control group of a static pod.
    pub(super) static_uid: Option<Arc<str>>,
    /// When it loses its addresses because it is being deleted.
    pub(super) deadline: Option<i64>,
}

/// Addresses of one pod: Kubernetes has one of each family.
pub(super) const MAX_ADDRESSES: usize = 4;

impl PodRecord {
    /// Drops an address that another pod has now.
    pub(super) fn lose(&mut self, address: IpAddr) {
        self.addresses = self.addresses.iter().copied().filter(|kept| *kept != address).collect();
        let lost = &mut self.rare.get_or_insert_default().lost;
        *lost = lost.iter().copied().chain([address]).take(MAX_ADDRESSES).collect();
    }

    pub(super) fn deadline(&self) -> Option<i64> {
        self.rare.as_ref()?.deadline
    }

    pub(super) fn static_uid(&self) -> Option<&Arc<str>> {
        self.rare.as_ref()?.static_uid.as_ref()
    }
}

impl ClusterState {
    /// An empty state.
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            listings: [0; Kind::ALL.len()],
            namespaces: HashMap::new(),
            nodes: HashMap::new(),
            owners: HashMap::new(),
            services: HashMap::new(),
            slices: HashMap::new(),
            api_servers: HashSet::new(),
            memberships: HashMap::new(),
            pods: HashMap::new(),
            claims: Claims::default(),
            metadata: SharedValues::new(),
            texts: SharedValues::new(),
            deadlines: BTreeSet::new(),
            stale: Stale::default(),
            changes: Vec::new(),
        }
    }

    /// The number of the last listing of a kind.
    pub(super) fn listing(&self, kind: Kind) -> u32 {
        self.listings.get(kind as usize).copied().unwrap_or_default()
    }

    /// Claims a key for an entity, or for the pod whose uid is `owner`.
    pub(super) fn claim(&mut self, key: &Key, owner: &Arc<str>, rank: Rank, entity: Option<&Arc<Entity>>) {
        let (change, lost) = self.claims.claim(key, owner, rank, entity);
        self.changes.extend(change);
        if let (Some(pod), Key::Address(address)) = (lost.and_then(|uid| self.pods.get_mut(&uid)), key) {
            pod.lose(*address);
        }
    }

    /// Drops the claim of an object.
    pub(super) fn release(&mut self, key: &Key, owner: &str) {
        let change = self.claims.release(key, owner);
        self.changes.extend(change);
    }
}

/// Checks that a new object has room.
pub(super) fn check_limit(is_known: bool, count: usize, max: usize) -> Result<(), Dropped> {
    if is_known || count < max { Ok(()) } else { Err(Dropped::Limit) }
}
