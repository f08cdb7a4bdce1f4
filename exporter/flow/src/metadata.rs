//! The metadata of a flow: pods and services at its ends, and fields that another Hubble server added.

use std::borrow::Cow;
use std::sync::Arc;

/// The metadata of a flow; default unless a source or a provider fills it in. Flows of another Hubble server have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The node that observed the flow, as Hubble names it: `name`, or `cluster/name`; empty = this node.
    pub node_name: String,
    /// Labels of that node, `key=value`, sorted.
    pub node_labels: Vec<String>,
    /// The program that made the flow; empty = eyepiece.
    pub emitter: Emitter,
    /// The source's pod.
    pub source: EndMetadata,
    /// The destination's pod.
    pub destination: EndMetadata,
    /// DNS names of the source, without trailing dot.
    pub source_names: Vec<String>,
    /// DNS names of the destination, without trailing dot.
    pub destination_names: Vec<String>,
    /// The service that the source belongs to.
    pub source_service: Option<Service>,
    /// The service that the destination belongs to.
    pub destination_service: Option<Service>,
    /// Name of the interface `Flow::ifindex` on the node that observed the flow.
    pub interface_name: String,
    /// Hex trace id of the request that the flow belongs to (W3C Trace Context); access-log records have it in `Flow::l7`.
    pub trace_id: String,
    /// The summary text that came with the flow.
    pub summary: String,
    /// Name of the file that `Flow::file` numbers.
    pub file_name: String,
    /// The flow as another Hubble server sent it (`flow.Flow` of protobuf, unknown fields included); empty = made here.
    pub encoded: Box<[u8]>,
}

/// The program that made a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emitter {
    /// `Hubble` for Cilium's.
    pub name: String,
    /// Its version, without `v`.
    pub version: String,
}

/// The pod at one end of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct EndMetadata {
    /// Cluster.
    pub cluster_name: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod.
    pub pod_name: String,
    /// Labels of the identity: `source:key=value`, sorted.
    pub labels: Vec<String>,
    /// The workloads that the pod belongs to.
    pub workloads: Vec<Workload>,
}

/// A workload that a pod belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    /// Name.
    pub name: String,
    /// `Deployment`, `DaemonSet` …
    pub kind: String,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodContainer {
    /// Its full id.
    pub id: Arc<str>,
    /// Its name in the pod.
    pub name: Arc<str>,
}

/// A Kubernetes service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Name.
    pub name: String,
    /// Kubernetes namespace.
    pub namespace: String,
}

/// Returns `namespace/name`, or the name alone if the namespace is empty.
pub fn qualified_name<'a>(namespace: &str, name: &'a str) -> Cow<'a, str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}
