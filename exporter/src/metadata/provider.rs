//! The interface of metadata providers: entities, their keys, and changes of both.
//!
//! A provider has the entities of one origin: docker its containers, Kubernetes its pods. It sends
//! [`Change`]s; the receiver joins them by [`Key`], picks a winner by the precedence of [`Provider`], and publishes
//! snapshots. A provider never sees a flow.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use eyepiece_flow::lookup::{EndEntity, EntityFields};
use eyepiece_flow::metadata::{EndMetadata, PodContainer, Service};
use eyepiece_semconv::attribute;

/// The senders of changes, in the order of precedence: of several entities at one key the first provider's wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// The file of names.
    File,
    /// Kubernetes.
    Kubernetes,
    /// Docker, or podman by its compatible socket.
    Docker,
    /// A Cilium agent, by the events of its monitor.
    Cilium,
    /// This machine: control groups, and the units, containers, pods and processes in them.
    Local,
    /// The processes of this machine that connect or listen, by their commands.
    Process,
    /// DNS answers that were seen.
    Dns,
}

impl Provider {
    /// The name, as in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Kubernetes => "kubernetes",
            Self::Docker => "docker",
            Self::Cilium => "cilium",
            Self::Local => "cgroup",
            Self::Process => "process",
            Self::Dns => "dns",
        }
    }
}

/// The kind of an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EntityKind {
    /// A container of docker or podman.
    Container,
    /// A pod of Kubernetes.
    Pod,
    /// A unit of systemd.
    Unit,
    /// A process outside of any container and unit.
    Process,
    /// A service of Kubernetes.
    Service,
    /// A machine.
    Node,
    /// An entry of the file of names.
    #[default]
    Named,
    /// A name of DNS.
    DnsName,
}

impl EntityKind {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
            Self::Unit => "unit",
            Self::Process => "process",
            Self::Service => "service",
            Self::Node => "node",
            Self::Named => "named",
            Self::DnsName => "DNS name",
        }
    }
}

/// The owner of an end of flows, such as a pod. All its keys share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entity {
    /// Its kind.
    pub kind: EntityKind,
    /// One short readable name, as metrics have it: `shop/web-1`, `sshd.service`.
    pub name: String,
    /// Security identity; 0 = not known. That of a label set is [`super::identity_of_labels`].
    pub identity: u32,
    /// A pod's first IPv4 and IPv6 address, by which the processes in its control groups send.
    pub addresses: [Option<IpAddr>; 2],
    /// The name of its pod or container, which `metadata` does not have.
    pub pod_name: Box<str>,
    /// The other fields of Hubble's `flow.Endpoint`. The pods of a workload share them.
    pub metadata: Arc<EndMetadata>,
    /// The service that it is or belongs to.
    pub service: Option<Arc<Service>>,
    /// DNS names, without trailing dot.
    pub dns_names: Vec<String>,
    /// Further attributes by semantic conventions (`container.id`, `k8s.pod.uid`, `process.pid` …).
    pub attributes: Vec<(&'static str, Arc<str>)>,
}

impl Entity {
    /// An entity with these fields of Hubble's `flow.Endpoint` alone.
    pub fn of(mut metadata: EndMetadata) -> Self {
        let pod_name = std::mem::take(&mut metadata.pod_name).into();
        Self { pod_name, metadata: Arc::new(metadata), ..Self::default() }
    }
}

impl EntityFields for Entity {
    fn fields(&self) -> EndEntity<'_> {
        EndEntity {
            pod_name: &self.pod_name,
            service: self.service.as_deref(),
            dns_names: &self.dns_names,
            attributes: &self.attributes,
            ..EndEntity::of(&self.metadata)
        }
    }
}

/// An entity as a whole, or one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityRef {
    /// The entity.
    pub entity: Arc<Entity>,
    /// The container; `None` = the whole.
    pub container: Option<Arc<PodContainer>>,
}

impl EntityRef {
    /// Its further attributes by semantic conventions, those of the container included.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let of_container = self.container.iter().flat_map(|container| container_attributes(container));
        self.entity.attributes.iter().map(|(name, text)| (*name, text)).chain(of_container)
    }

    /// Its addresses in memory, which nothing else has as long as it is there.
    pub(super) fn memory_addresses(&self) -> (usize, usize) {
        let container = self.container.as_ref().map_or(0, |container| Arc::as_ptr(container).addr());
        (Arc::as_ptr(&self.entity).addr(), container)
    }
}

/// The attributes of a container by semantic conventions.
pub fn container_attributes(container: &PodContainer) -> [(&'static str, &Arc<str>); 2] {
    [(attribute::K8S_CONTAINER_NAME, &container.name), (attribute::CONTAINER_ID, &container.id)]
}

impl From<Arc<Entity>> for EntityRef {
    fn from(entity: Arc<Entity>) -> Self {
        Self { entity, container: None }
    }
}

impl EntityFields for EntityRef {
    fn fields(&self) -> EndEntity<'_> {
        EndEntity { container: self.container.as_deref(), ..self.entity.fields() }
    }
}

/// A key of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A network namespace, by its inode.
    Namespace(u32),
    /// A control group, by its id (the inode of its folder).
    ControlGroup(u64),
    /// A process of this machine, by its [`eyepiece_wire::process_id`].
    Process(u64),
    /// A container, by its full id: 64 hex digits.
    Container(Arc<str>),
    /// A pod of Kubernetes, by its uid, with dashes.
    Pod(Arc<str>),
    /// An address.
    Address(IpAddr),
    /// All addresses with a prefix: the address with zeros behind the prefix, and the length.
    Prefix(IpAddr, u8),
    /// A service's address.
    Service {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// IANA protocol number.
        protocol: u8,
    },
    /// A security identity that the datapath of the source gives its packets: an entity with labels.
    Identity(u32),
}

impl Key {
    /// The first key in the order of keys.
    pub(super) const FIRST: Self = Self::Namespace(0);
}

/// The target of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An entity.
    Entity(Arc<Entity>),
    /// A container of an entity.
    Container(Arc<Entity>, Arc<PodContainer>),
    /// Another key: that of the container whose processes are in a namespace or control group, whichever provider has
    /// the container. At most four such steps are followed.
    Key(Key),
}

impl Target {
    /// Returns the entity; `None` for a key.
    pub fn entity(&self) -> Option<EntityRef> {
        let (entity, container) = match self {
            Self::Entity(entity) => (entity, None),
            Self::Container(entity, container) => (entity, Some(Arc::clone(container))),
            Self::Key(_) => return None,
        };
        Some(EntityRef { entity: Arc::clone(entity), container })
    }
}

/// A change of a provider's entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds or replaces this provider's entry at a key.
    Set(Key, Target),
    /// Removes this provider's entry at a key.
    Remove(Key),
}

/// A provider's condition, for `eyepiece status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Not reached yet, with the last error if there was one.
    Connecting(Option<String>),
    /// Its entries are current.
    Current,
    /// Its entries are current, and this machine lacks others, with why.
    Limited(String),
    /// It cannot be reached since then: its last state stays and is stale.
    Stale {
        /// When it was last current.
        since: SystemTime,
        /// Why.
        error: String,
    },
    /// It cannot work on this machine, with why.
    Unavailable(String),
}

/// Receives what providers send. Called by one task per provider, never by the data path.
pub trait ChangeReceiver: Send + Sync + 'static {
    /// Applies changes in order, all at once.
    fn apply(&self, provider: Provider, changes: Vec<Change>);

    /// Replaces all entries of a provider: a full listing, at the start or after a gap.
    fn replace(&self, provider: Provider, entries: Vec<(Key, Target)>);

    /// Reports a provider's condition, and how many objects (containers, pods …) it has.
    fn report(&self, provider: Provider, condition: Condition, objects: usize);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::Key;

    #[test]
    fn first_key_precedes_all() {
        let address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        for key in [
            Key::Namespace(1),
            Key::ControlGroup(0),
            Key::Process(0),
            Key::Container("".into()),
            Key::Pod("".into()),
            Key::Address(address),
            Key::Prefix(address, 0),
            Key::Service { address, port: 0, protocol: 0 },
            Key::Identity(0),
        ] {
            assert!(Key::FIRST < key, "{key:?}");
        }
    }
}
