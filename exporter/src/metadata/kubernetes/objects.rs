//! The parts of Kubernetes' objects that are read; everything else in an answer is skipped while it is parsed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// The annotation of a mirror pod that holds the uid by which the kubelet knows the static pod.
pub(super) const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// The label of an endpoint slice that names its service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Metadata without managed fields and annotations, which are most of an object's bytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slim {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.hash")]
    config_hash: Option<String>,
}

fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let slim = Slim::deserialize(deserializer)?;
    let config_hash = slim.annotations.and_then(|annotations| annotations.config_hash);
    Ok(ObjectMeta {
        name: slim.name,
        namespace: slim.namespace,
        uid: slim.uid,
        resource_version: slim.resource_version,
        labels: slim.labels,
        annotations: config_hash.map(|hash| BTreeMap::from([(CONFIG_HASH.to_owned(), hash)])),
        owner_references: slim.owner_references,
        creation_timestamp: slim.creation_timestamp,
        deletion_timestamp: slim.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// Defines an object by its API and its fields beside the metadata. With `metadata only` the server sends no others.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident, $group:literal, $plural:literal $(, $metadata_only:ident)? { $($field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize)]
        pub(super) struct $name {
            #[serde(deserialize_with = "slim")]
            pub(super) metadata: ObjectMeta,
            $(#[serde(default)]
            pub(super) $field: Option<$type>,)*
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = ClusterResourceScope;

            fn kind(_: &()) -> Cow<'_, str> {
                stringify!($name).into()
            }
            fn group(_: &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version(_: &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural(_: &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
            $(fn $metadata_only() -> bool {
                true
            })?
        }
    };
}

object! {
    /// A pod.
    Pod, "", "pods" { spec: PodSpec, status: PodStatus, }
}
object! {
    /// A service.
    Service, "", "services" { spec: ServiceSpec, }
}
object! {
    /// A part of a service's endpoints.
    EndpointSlice, "discovery.k8s.io", "endpointslices" { endpoints: Vec<Endpoint>, }
}
object! {
    /// A node.
    Node, "", "nodes" { status: NodeStatus, }
}
object! {
    /// A namespace.
    Namespace, "", "namespaces" {}
}
object! {
    /// A replica set: what owns it.
    ReplicaSet, "apps", "replicasets", metadata_api {}
}
object! {
    /// A job: what owns it.
    Job, "batch", "jobs", metadata_api {}
}

/// The specification of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    pub(super) host_network: Option<bool>,
    pub(super) service_account_name: Option<String>,
    pub(super) containers: Option<Vec<IgnoredAny>>,
    pub(super) init_containers: Option<Vec<IgnoredAny>>,
    pub(super) ephemeral_containers: Option<Vec<IgnoredAny>>,
}

/// The status of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<PodIp>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

/// An address of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PodIp {
    pub(super) ip: Option<String>,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    /// `containerd://` and the id.
    #[serde(rename = "containerID")]
    pub(super) container_id: Option<String>,
    #[serde(default)]
    pub(super) state: ContainerState,
}

/// Whether a container has ended.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ContainerState {
    pub(super) terminated: Option<IgnoredAny>,
}

/// Addresses and ports of a service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    /// `None` for a headless service.
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    pub(super) ports: Option<Vec<ServicePort>>,
}

/// A port of a service.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ServicePort {
    pub(super) port: u16,
    /// TCP where it is missing.
    pub(super) protocol: Option<String>,
}

/// An endpoint of a service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Vec<String>>,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<TargetRef>,
}

/// The target of an endpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TargetRef {
    pub(super) kind: Option<String>,
    pub(super) uid: Option<String>,
}

/// Addresses of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) addresses: Option<Vec<NodeAddress>>,
}

/// An address of a node: IP or name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeAddress {
    pub(super) address: String,
}

/// An object of any of the resources.
#[derive(Debug)]
pub(super) enum Object {
    Pod(Box<Pod>),
    Service(Service),
    EndpointSlice(EndpointSlice),
    Node(Node),
    Namespace(Namespace),
    ReplicaSet(ReplicaSet),
    Job(Job),
}

macro_rules! into_object {
    ($($name:ident),*) => {
        $(impl From<$name> for Object {
            fn from(object: $name) -> Self {
                Self::$name(object)
            }
        })*
    };
}

into_object!(Service, EndpointSlice, Node, Namespace, ReplicaSet, Job);

impl From<Pod> for Object {
    fn from(pod: Pod) -> Self {
        Self::Pod(Box::new(pod))
    }
}

/// The kinds of objects that are listed and watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Namespaces,
    Nodes,
    ReplicaSets,
    Jobs,
    Services,
    EndpointSlices,
    Pods,
}

impl Kind {
    /// All, in the order of their declaration.
    pub(super) const ALL: [Self; 7] = [
        Self::Namespaces,
        Self::Nodes,
        Self::ReplicaSets,
        Self::Jobs,
        Self::Services,
        Self::EndpointSlices,
        Self::Pods,
    ];

    /// Its name as rules of RBAC have it: resource and API group.
    pub(super) fn resource(self) -> String {
        fn name<K: Resource<DynamicType = ()>>() -> String {
            match K::group(&()) {
                group if group.is_empty() => K::plural(&()).into_owned(),
                group => format!("{}.{group}", K::plural(&())),
            }
        }
        match self {
            Self::Namespaces => name::<Namespace>(),
            Self::Nodes => name::<Node>(),
            Self::ReplicaSets => name::<ReplicaSet>(),
            Self::Jobs => name::<Job>(),
            Self::Services => name::<Service>(),
            Self::EndpointSlices => name::<EndpointSlice>(),
            Self::Pods => name::<Pod>(),
        }
    }
}
