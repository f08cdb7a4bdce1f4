//! Encodes the entities at a flow's ends, or another Hubble's metadata of it, as attributes: OpenTelemetry's names of
//! containers, processes and Kubernetes objects, with the end as prefix, since the resource is the exporter's own.

use eyepiece_flow::lookup::EndEntity;
use eyepiece_flow::metadata::{Metadata, Service, Workload};
use eyepiece_semconv::attribute;

use super::wire::{self, RECORD_ATTRIBUTES as FIELD, string_if_known, texts_if_known};
use crate::metadata::provider::container_attributes;

/// Field number of `LogRecord.trace_id`.
const TRACE_ID: u8 = 9;

/// Attribute names of one end.
struct PeerAttributes {
    cluster: &'static str,
    namespace: &'static str,
    pod: &'static str,
    /// By kind of workload.
    workloads: [(&'static str, &'static str); 6],
    other_workloads: &'static str,
    labels: &'static str,
    dns: &'static str,
    service: &'static str,
    service_namespace: &'static str,
}

const SOURCE: PeerAttributes = PeerAttributes {
    cluster: attribute::SOURCE_K8S_CLUSTER_NAME,
    namespace: attribute::SOURCE_K8S_NAMESPACE_NAME,
    pod: attribute::SOURCE_K8S_POD_NAME,
    workloads: [
        ("Deployment", attribute::SOURCE_K8S_DEPLOYMENT_NAME),
        ("StatefulSet", attribute::SOURCE_K8S_STATEFULSET_NAME),
        ("DaemonSet", attribute::SOURCE_K8S_DAEMONSET_NAME),
        ("ReplicaSet", attribute::SOURCE_K8S_REPLICASET_NAME),
        ("Job", attribute::SOURCE_K8S_JOB_NAME),
        ("CronJob", attribute::SOURCE_K8S_CRONJOB_NAME),
    ],
    other_workloads: attribute::HUBBLE_SOURCE_WORKLOADS,
    labels: attribute::HUBBLE_SOURCE_LABELS,
    dns: attribute::HUBBLE_SOURCE_DNS_NAMES,
    service: attribute::SOURCE_K8S_SERVICE_NAME,
    service_namespace: attribute::HUBBLE_SOURCE_SERVICE_NAMESPACE,
};

const DESTINATION: PeerAttributes = PeerAttributes {
    cluster: attribute::DESTINATION_K8S_CLUSTER_NAME,
    namespace: attribute::DESTINATION_K8S_NAMESPACE_NAME,
    pod: attribute::DESTINATION_K8S_POD_NAME,
    workloads: [
        ("Deployment", attribute::DESTINATION_K8S_DEPLOYMENT_NAME),
        ("StatefulSet", attribute::DESTINATION_K8S_STATEFULSET_NAME),
        ("DaemonSet", attribute::DESTINATION_K8S_DAEMONSET_NAME),
        ("ReplicaSet", attribute::DESTINATION_K8S_REPLICASET_NAME),
        ("Job", attribute::DESTINATION_K8S_JOB_NAME),
        ("CronJob", attribute::DESTINATION_K8S_CRONJOB_NAME),
    ],
    other_workloads: attribute::HUBBLE_DESTINATION_WORKLOADS,
    labels: attribute::HUBBLE_DESTINATION_LABELS,
    dns: attribute::HUBBLE_DESTINATION_DNS_NAMES,
    service: attribute::DESTINATION_K8S_SERVICE_NAME,
    service_namespace: attribute::HUBBLE_DESTINATION_SERVICE_NAMESPACE,
};

/// Further attributes of an entity, and their names at the source and the destination of a flow.
const OF_ENTITY: [[&str; 3]; 12] = [
    [attribute::CONTAINER_ID, attribute::SOURCE_CONTAINER_ID, attribute::DESTINATION_CONTAINER_ID],
    [attribute::CONTAINER_NAME, attribute::SOURCE_CONTAINER_NAME, attribute::DESTINATION_CONTAINER_NAME],
    [
        attribute::CONTAINER_IMAGE_NAME,
        attribute::SOURCE_CONTAINER_IMAGE_NAME,
        attribute::DESTINATION_CONTAINER_IMAGE_NAME,
    ],
    [
        attribute::CONTAINER_IMAGE_TAGS,
        attribute::SOURCE_CONTAINER_IMAGE_TAGS,
        attribute::DESTINATION_CONTAINER_IMAGE_TAGS,
    ],
    [
        attribute::CONTAINER_RUNTIME_NAME,
        attribute::SOURCE_CONTAINER_RUNTIME_NAME,
        attribute::DESTINATION_CONTAINER_RUNTIME_NAME,
    ],
    [attribute::SERVICE_NAME, attribute::SOURCE_SERVICE_NAME, attribute::DESTINATION_SERVICE_NAME],
    [attribute::SERVICE_NAMESPACE, attribute::SOURCE_SERVICE_NAMESPACE, attribute::DESTINATION_SERVICE_NAMESPACE],
    [attribute::PROCESS_PID, attribute::SOURCE_PROCESS_PID, attribute::DESTINATION_PROCESS_PID],
    [
        attribute::PROCESS_EXECUTABLE_NAME,
        attribute::SOURCE_PROCESS_EXECUTABLE_NAME,
        attribute::DESTINATION_PROCESS_EXECUTABLE_NAME,
    ],
    [attribute::K8S_CONTAINER_NAME, attribute::SOURCE_K8S_CONTAINER_NAME, attribute::DESTINATION_K8S_CONTAINER_NAME],
    [attribute::K8S_POD_UID, attribute::SOURCE_K8S_POD_UID, attribute::DESTINATION_K8S_POD_UID],
    [attribute::K8S_NODE_NAME, attribute::SOURCE_K8S_NODE_NAME, attribute::DESTINATION_K8S_NODE_NAME],
];

/// Appends the fields of a flow's ends.
pub(super) fn ends(source: Option<EndEntity<'_>>, destination: Option<EndEntity<'_>>, out: &mut Vec<u8>) {
    for (names, place, entity) in [(&SOURCE, 1, source), (&DESTINATION, 2, destination)] {
        if let Some(entity) = entity {
            end(names, entity, out);
            further(entity, place, out);
        }
    }
}

/// Appends an entity's further attributes under the names of one end.
fn further(entity: EndEntity<'_>, place: usize, out: &mut Vec<u8>) {
    let of_container = entity.container.into_iter().flat_map(container_attributes);
    for (own, text) in entity.attributes.iter().map(|(own, text)| (*own, text)).chain(of_container) {
        let Some(name) = OF_ENTITY.iter().find(|names| names[0] == own).map(|names| names[place]) else { continue };
        let pid = (own == attribute::PROCESS_PID).then(|| text.parse().ok()).flatten();
        match (own, pid) {
            (attribute::CONTAINER_IMAGE_TAGS, _) => wire::texts(out, FIELD, name, [&**text].into_iter()),
            (_, Some(pid)) => wire::signed(out, FIELD, name, pid),
            _ => wire::string(out, FIELD, name, text.as_bytes()),
        }
    }
}

/// Appends the metadata of a flow as a whole. `has_trace` is true if its trace id is written already.
pub(super) fn write(metadata: &Metadata, has_trace: bool, out: &mut Vec<u8>) {
    let (cluster, node) = metadata.node_name.split_once('/').unwrap_or(("", &metadata.node_name));
    string_if_known(out, attribute::K8S_CLUSTER_NAME, cluster);
    string_if_known(out, attribute::K8S_NODE_NAME, node);
    texts_if_known(out, attribute::HUBBLE_NODE_LABELS, &metadata.node_labels);
    string_if_known(out, attribute::HUBBLE_EMITTER_NAME, &metadata.emitter.name);
    string_if_known(out, attribute::HUBBLE_EMITTER_VERSION, &metadata.emitter.version);
    if let Some(id) = trace_id(&metadata.trace_id).filter(|_| !has_trace) {
        wire::bytes(out, TRACE_ID, &id);
    }
}

fn end(names: &PeerAttributes, entity: EndEntity<'_>, out: &mut Vec<u8>) {
    let EndEntity { metadata: end, pod_name, labels, cluster_name, service, dns_names: dns, .. } = entity;
    string_if_known(out, names.cluster, cluster_name);
    string_if_known(out, names.namespace, &end.namespace);
    string_if_known(out, names.pod, pod_name);
    let attribute = |kind: &str| names.workloads.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name);
    let mut others = Vec::new();
    for (place, Workload { name, kind }) in end.workloads.iter().enumerate() {
        // An attribute has one value: a second workload of a kind is among the others.
        let is_first = end.workloads[..place].iter().all(|before| before.kind != *kind);
        match attribute(kind).filter(|_| is_first && !name.is_empty()) {
            Some(attribute) => wire::string(out, FIELD, attribute, name.as_bytes()),
            None => others.push(format!("{kind}/{name}")),
        }
    }
    texts_if_known(out, names.other_workloads, &others);
    texts_if_known(out, names.labels, labels);
    texts_if_known(out, names.dns, dns);
    if let Some(Service { name, namespace }) = service {
        string_if_known(out, names.service, name);
        string_if_known(out, names.service_namespace, namespace);
    }
}

/// Parses a trace id in hex. Returns `None` for zero.
fn trace_id(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok().filter(|number| text.len() == 32 && *number != 0)?;
    Some(number.to_be_bytes())
}
