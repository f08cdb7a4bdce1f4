//! What is known of a flow beyond what the datapath says: whose its ends are, and what another Hubble added to it.

use crate::flow::Flow;

/// Filled in only by who knows: a Hubble server's flow has them, one of our own datapath has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The node that observed it as Hubble names it: `name`, or `cluster/name`; empty = this one.
    pub node_name: String,
    /// Labels of that node, `key=value`, sorted.
    pub node_labels: Vec<String>,
    /// Who made the flow; empty = we did.
    pub emitter: Emitter,
    /// Whose the source is.
    pub source: EndMetadata,
    /// Whose the destination is.
    pub destination: EndMetadata,
    /// DNS names of the source, without trailing dot.
    pub source_names: Vec<String>,
    /// DNS names of the destination.
    pub destination_names: Vec<String>,
    /// The service that the source belongs to.
    pub source_service: Option<Service>,
    /// The service that the destination belongs to.
    pub destination_service: Option<Service>,
    /// Name of the interface [`Flow::ifindex`] on the node that observed it.
    pub interface_name: String,
    /// Hex trace id of the request that it belongs to (W3C Trace Context); an access-log record has its own.
    pub trace_id: String,
    /// The summary text where the flow came with one.
    pub summary: String,
    /// Name of the file that [`Flow::file`] numbers.
    pub file_name: String,
    /// The flow as another Hubble server sent it (`flow.Flow` of protobuf, every field, known or not); empty = ours.
    pub encoded: Box<[u8]>,
}

/// Who made a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emitter {
    /// `Hubble` of Cilium's.
    pub name: String,
    /// Its version, without `v`.
    pub version: String,
}

/// Whose one end of a flow is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndMetadata {
    /// Cluster.
    pub cluster_name: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod.
    pub pod_name: String,
    /// Labels of its identity: `source:key=value`, sorted.
    pub labels: Vec<String>,
    /// What the pod belongs to.
    pub workloads: Vec<Workload>,
}

/// What a pod belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Name.
    pub name: String,
    /// `Deployment`, `DaemonSet` …
    pub kind: String,
}

/// A Kubernetes service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Name.
    pub name: String,
    /// Kubernetes namespace.
    pub namespace: String,
}

impl Flow {
    /// Whose source and destination are, where that is known.
    pub fn end_metadata(&self) -> Option<(&EndMetadata, &EndMetadata)> {
        self.metadata.as_ref().map(|metadata| (&metadata.source, &metadata.destination))
    }
}
