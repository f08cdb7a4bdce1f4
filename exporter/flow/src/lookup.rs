//! Lookup of names for numbers in flows.

use std::fmt;
use std::sync::Arc;

use eyepiece_wire::InterfaceKind;

pub use crate::endpoint::FlowEnd;
use crate::flow::{End, Flow};
use crate::l7::cluster_name;
use crate::metadata::{EndMetadata, PodContainer, Service};

/// Looks up names of this machine.
///
/// Encoders call it, the pipeline does not: an implementation may take a lock, but must not wait for IO.
pub trait NameLookup: Send + Sync {
    /// Appends the name of a network interface, or nothing if it is unknown.
    fn interface(&self, _ifindex: u32, _out: &mut String) {}

    /// Appends the kernel's name of an `enum skb_drop_reason` without its prefix (`NETFILTER_DROP`), or nothing if it is
    /// unknown. The upper 16 bits are the subsystem.
    fn kernel_reason(&self, _reason: u32, _out: &mut String) {}

    /// Appends symbol and offset of a kernel address (`nf_hook_slow+0x9c`), or nothing if it is unknown.
    fn kernel_symbol(&self, _address: u64, _out: &mut String) {}

    /// Appends the name of a flow's source or destination, or nothing if it is unknown.
    fn end(&self, _end: &End, _out: &mut String) {}

    /// Returns the kind of a network interface; `Other` if it is unknown.
    fn interface_kind(&self, _ifindex: u32) -> InterfaceKind {
        InterfaceKind::Other
    }

    /// Returns the fields of the entity at an end of a flow.
    fn entity(&self, _end: &End) -> Option<EndEntity<'_>> {
        None
    }
}

/// The fields of the entity at an end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndEntity<'a> {
    /// Its pod or container. The pod's name may be missing there: see `pod_name`.
    pub metadata: &'a EndMetadata,
    /// The name of its pod or container.
    pub pod_name: &'a str,
    /// The container of the pod.
    pub container: Option<&'a PodContainer>,
    /// The labels of its identity, which need not be those of `metadata`: see [`EndEntity::with_labels`].
    pub labels: &'a [String],
    /// The cluster of those labels.
    pub cluster_name: &'a str,
    /// The service that it is or belongs to.
    pub service: Option<&'a Service>,
    /// DNS names, without trailing dot.
    pub dns_names: &'a [String],
    /// Further attributes by semantic conventions.
    pub attributes: &'a [(&'static str, Arc<str>)],
}

impl<'a> EndEntity<'a> {
    /// The fields of a pod or container alone.
    pub fn of(metadata: &'a EndMetadata) -> Self {
        let EndMetadata { cluster_name, pod_name, labels, .. } = metadata;
        let (container, service) = (None, None);
        Self { metadata, pod_name, container, labels, cluster_name, service, dns_names: &[], attributes: &[] }
    }

    /// The labels of an identity alone.
    pub fn of_labels(labels: &'a [String]) -> Self {
        static NONE: EndMetadata = EndMetadata {
            cluster_name: String::new(),
            namespace: String::new(),
            pod_name: String::new(),
            labels: Vec::new(),
            workloads: Vec::new(),
        };
        Self::of(&NONE).with_labels(labels)
    }

    /// The same with the labels of an identity. A packet may carry an identity that its address had before, or has later. As
    /// in Hubble, labels then follow the identity, and names the address.
    pub fn with_labels(self, labels: &'a [String]) -> Self {
        Self { labels, cluster_name: cluster_name(labels).unwrap_or_default(), ..self }
    }
}

/// Returns the fields of an end of a flow: of the flow's own metadata, else of its entity.
#[inline]
pub fn end_entity<'a>(flow: &'a Flow, end: FlowEnd, names: &'a dyn NameLookup) -> Option<EndEntity<'a>> {
    let Some(metadata) = flow.metadata.as_deref() else {
        let end = flow.end(end);
        return if end.entity == 0 { None } else { names.entity(end) };
    };
    let (end, service, dns_names) = match end {
        FlowEnd::Source => (&metadata.source, &metadata.source_service, &metadata.source_names),
        FlowEnd::Destination => (&metadata.destination, &metadata.destination_service, &metadata.destination_names),
    };
    Some(EndEntity { service: service.as_ref(), dns_names, ..EndEntity::of(end) })
}

/// An entity that can be kept without its snapshot.
pub trait EntityFields: fmt::Debug + Send + Sync {
    /// The fields that flows show.
    fn fields(&self) -> EndEntity<'_>;
}

/// The names that the flows of a batch refer to. They never change, so reading them takes no lock.
pub trait BatchNames: fmt::Debug + Send + Sync {
    /// Returns the name of an end of a flow.
    fn end(&self, end: &End) -> Option<&Arc<str>>;

    /// Returns name and kind of a network interface.
    fn interface(&self, ifindex: u32) -> Option<(&Arc<str>, InterfaceKind)>;

    /// Returns the entity at an end of a flow.
    fn entity(&self, end: &End) -> Option<EndEntity<'_>>;

    /// The same, to keep it without the other names.
    fn shared_entity(&self, end: &End) -> Option<Arc<dyn EntityFields>>;
}

/// Looks up names in a batch first, then on this machine.
#[derive(Clone, Copy)]
pub struct BatchLookup<'a> {
    /// The names that the batch holds; `None` if it holds none.
    pub batch: Option<&'a dyn BatchNames>,
    /// The names of this machine, used if the batch lacks one.
    pub machine: &'a dyn NameLookup,
}

impl NameLookup for BatchLookup<'_> {
    fn interface(&self, ifindex: u32, out: &mut String) {
        match self.batch.and_then(|names| names.interface(ifindex)) {
            Some((name, _)) => out.push_str(name),
            None => self.machine.interface(ifindex, out),
        }
    }

    fn kernel_reason(&self, reason: u32, out: &mut String) {
        self.machine.kernel_reason(reason, out);
    }

    fn kernel_symbol(&self, address: u64, out: &mut String) {
        self.machine.kernel_symbol(address, out);
    }

    fn end(&self, end: &End, out: &mut String) {
        match self.batch.and_then(|names| names.end(end)) {
            Some(name) => out.push_str(name),
            None => self.machine.end(end, out),
        }
    }

    fn interface_kind(&self, ifindex: u32) -> InterfaceKind {
        let known = self.batch.and_then(|names| names.interface(ifindex));
        known.map_or_else(|| self.machine.interface_kind(ifindex), |(_, kind)| kind)
    }

    fn entity(&self, end: &End) -> Option<EndEntity<'_>> {
        self.batch.and_then(|names| names.entity(end)).or_else(|| self.machine.entity(end))
    }
}

/// A lookup without names, for sources other than this machine's kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl NameLookup for NoLookup {}
