//! The state that an agent's notifications give: the pods and identities of addresses, and the labels of identities.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::l7::cluster_name;
use eyepiece_flow::metadata::{EndMetadata, qualified_name};

use crate::metadata::provider::{Change, Entity, EntityKind, Key, Target};
use crate::metadata::{IDENTITY_HOST, IDENTITY_WORLD};

/// The most prefixes: Cilium's own limit of an ipcache (`pkg/maps/ipcache`, `MaxEntries`).
const MAX_PREFIXES: usize = 512_000;
/// The most endpoints of an agent: their ids are 16 bits.
const MAX_ENDPOINTS: usize = 65_535;
/// Reserved identity of other nodes (Cilium `pkg/identity/numericidentity.go`).
const IDENTITY_REMOTE_NODE: u32 = 6;

/// The lowest identity that is allocated for labels (Cilium `pkg/identity/numericidentity.go`).
const MIN_ALLOCATED_IDENTITY: u32 = 256;

/// Namespace and name of a pod.
type Pod = (String, String);

/// An entry of the ipcache.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    identity: u32,
    /// `None` if the agent names no pod.
    pod: Option<Pod>,
}

/// An identity that addresses have.
#[derive(Debug, Default)]
struct Identity {
    addresses: usize,
    /// Those of this node's pods with it, sorted; empty if there was none.
    labels: Vec<String>,
}

/// The pods and addresses.
#[derive(Debug, Default)]
pub(super) struct AgentState {
    addresses: HashMap<Key, Address>,
    /// Keys of each pod's addresses.
    keys: HashMap<Pod, HashSet<Key>>,
    /// Labels of this node's pods, sorted.
    labels: HashMap<Pod, Vec<String>>,
    endpoints: HashMap<u64, Pod>,
    /// The identities of addresses.
    identities: HashMap<u32, Identity>,
    /// Notifications that found no room.
    refused: u64,
}

impl AgentState {
    /// The number of addresses and prefixes.
    pub(super) fn count(&self) -> usize {
        self.addresses.len()
    }

    /// Returns how many notifications found no room since the last call.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Takes a notification and returns what changed.
    pub(super) fn observe(&mut self, event: &AgentEvent) -> Vec<Change> {
        match (&event.notification, event.kind) {
            (Notification::Endpoint { id, .. }, AgentEventKind::EndpointDeleted) => {
                let pod = self.endpoints.remove(id);
                // Another endpoint may have the pod's name by now.
                let pod = pod.filter(|pod| !self.endpoints.values().any(|other| other == pod));
                pod.map(|pod| self.set_labels(&pod, &[])).unwrap_or_default()
            }
            // Labels of a failed build may be incomplete.
            (Notification::Endpoint { .. }, AgentEventKind::EndpointRegenerateFailure) => Vec::new(),
            // Another eyepiece names the pod in every notification.
            (Notification::Endpoint { id, labels, pod_name, namespace, .. }, _) if !pod_name.is_empty() => {
                let pod = (namespace.clone(), pod_name.clone());
                if self.endpoints.len() >= MAX_ENDPOINTS && !self.endpoints.contains_key(id) {
                    self.refused += 1;
                    return Vec::new();
                }
                self.endpoints.insert(*id, pod.clone());
                self.set_labels(&pod, labels)
            }
            (Notification::Endpoint { id, labels, .. }, AgentEventKind::EndpointRegenerateSuccess) => {
                let Some(pod) = self.endpoints.get(id).cloned() else { return Vec::new() };
                let mut changes = self.set_labels(&pod, labels);
                changes.extend(self.label_identities(&pod));
                changes
            }
            (Notification::Ipcache { cidr, .. }, AgentEventKind::IpcacheDeleted) => {
                key(cidr).map(|key| self.remove(&key)).unwrap_or_default()
            }
            (Notification::Ipcache { cidr, identity, namespace, pod_name, .. }, _) => {
                let pod = (!pod_name.is_empty()).then(|| (namespace.clone(), pod_name.clone()));
                let address = Address { identity: *identity, pod };
                key(cidr).map(|key| self.insert(&key, address)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    fn set_labels(&mut self, pod: &Pod, labels: &[String]) -> Vec<Change> {
        let mut labels = labels.to_vec();
        labels.sort_unstable();
        let before = match labels.is_empty() {
            true => self.labels.remove(pod),
            false => self.labels.insert(pod.clone(), labels.clone()),
        };
        if before.unwrap_or_default() == labels {
            return Vec::new();
        }
        self.keys.get(pod).into_iter().flatten().filter_map(|key| self.change(key)).collect()
    }

    /// Gives a pod's labels to the identity of its addresses: pods of other nodes with that identity have them as well. The
    /// agent announces a new identity before the build with it. Another eyepiece's identities stand for fewer labels.
    fn label_identities(&mut self, pod: &Pod) -> Vec<Change> {
        let Some(labels) = self.labels.get(pod) else { return Vec::new() };
        let mut changes = Vec::new();
        for key in self.keys.get(pod).into_iter().flatten() {
            let Some(Address { identity, .. }) = self.addresses.get(key) else { continue };
            if let Some(known) = self.identities.get_mut(identity)
                && *identity >= MIN_ALLOCATED_IDENTITY
                && known.labels != *labels
            {
                known.labels.clone_from(labels);
                changes.push(Change::Set(Key::Identity(*identity), Target::Entity(identity_entity(*identity, labels))));
            }
        }
        changes
    }

    fn insert(&mut self, key: &Key, address: Address) -> Vec<Change> {
        if self.addresses.len() >= MAX_PREFIXES && !self.addresses.contains_key(key) {
            self.refused += 1;
            return Vec::new();
        }
        if self.addresses.get(key) == Some(&address) {
            return Vec::new();
        }
        // Before the former identity goes: it may be the same.
        self.identities.entry(address.identity).or_default().addresses += 1;
        let mut changes = self.unlink(key);
        if let Some(pod) = &address.pod {
            self.keys.entry(pod.clone()).or_default().insert(key.clone());
        }
        self.addresses.insert(key.clone(), address);
        changes.extend(self.change(key));
        changes
    }

    fn remove(&mut self, key: &Key) -> Vec<Change> {
        let mut changes = self.unlink(key);
        changes.extend(self.addresses.remove(key).map(|_| Change::Remove(key.clone())));
        changes
    }

    /// Removes an address from those of its pod and of its identity.
    fn unlink(&mut self, key: &Key) -> Vec<Change> {
        let Some(Address { identity, pod }) = self.addresses.get(key) else { return Vec::new() };
        if let Some(pod) = pod
            && let Some(keys) = self.keys.get_mut(pod)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(pod);
            }
        }
        let Some(known) = self.identities.get_mut(identity) else { return Vec::new() };
        known.addresses -= 1;
        if known.addresses > 0 {
            return Vec::new();
        }
        let is_labeled = !known.labels.is_empty();
        self.identities.remove(identity);
        if is_labeled { vec![Change::Remove(Key::Identity(*identity))] } else { Vec::new() }
    }

    fn change(&self, key: &Key) -> Option<Change> {
        let Address { identity, pod } = self.addresses.get(key)?;
        let entity = match pod {
            Some(pod) => self.pod(pod, *identity),
            None => without_pod(*identity),
        };
        Some(Change::Set(key.clone(), Target::Entity(Arc::new(entity))))
    }

    fn pod(&self, pod: &Pod, identity: u32) -> Entity {
        let (namespace, pod_name) = pod.clone();
        let labels = self.labels.get(pod).cloned().unwrap_or_default();
        let cluster_name = cluster_name(&labels).unwrap_or_default().to_owned();
        let name = qualified_name(&namespace, &pod_name).into_owned();
        let metadata = EndMetadata { cluster_name, namespace, pod_name, labels, ..EndMetadata::default() };
        Entity { kind: EntityKind::Pod, name, identity, ..Entity::of(metadata) }
    }
}

/// The entity of an identity: its labels alone.
fn identity_entity(identity: u32, labels: &[String]) -> Arc<Entity> {
    let cluster_name = cluster_name(labels).unwrap_or_default().to_owned();
    let metadata = EndMetadata { cluster_name, labels: labels.to_vec(), ..EndMetadata::default() };
    Arc::new(Entity { identity, ..Entity::of(metadata) })
}

/// An address of a node, or one of which only the identity is known.
fn without_pod(identity: u32) -> Entity {
    let (kind, name) = match identity {
        IDENTITY_HOST => (EntityKind::Node, "host"),
        IDENTITY_REMOTE_NODE => (EntityKind::Node, "remote-node"),
        IDENTITY_WORLD => (EntityKind::Named, "world"),
        _ => (EntityKind::Named, ""),
    };
    Entity { kind, name: name.to_owned(), identity, ..Entity::default() }
}

/// The key of `ADDRESS/LENGTH` or `ADDRESS`.
fn key(cidr: &str) -> Option<Key> {
    let (address, length) = cidr.split_once('/').unwrap_or((cidr, ""));
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length = if length.is_empty() { bits } else { length.parse().ok().filter(|length| *length <= bits)? };
    Some(if length == bits { Key::Address(address.to_canonical()) } else { Key::Prefix(address, length) })
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};

    use super::AgentState;
    use crate::metadata::provider::{Change, Key, Target};

    fn event(kind: AgentEventKind, notification: Notification) -> AgentEvent {
        AgentEvent { time: 0, uuid: [0; 16], kind, notification }
    }

    fn endpoint(kind: AgentEventKind, id: u64, pod: &str, labels: &[&str]) -> AgentEvent {
        let labels = labels.iter().map(ToString::to_string).collect();
        let (error, interface) = (String::new(), String::new());
        let (pod_name, namespace) = (pod.to_owned(), "shop".to_owned());
        event(kind, Notification::Endpoint { id, labels, error, pod_name, namespace, interface })
    }

    fn ipcache(kind: AgentEventKind, cidr: &str, identity: u32, pod: &str) -> AgentEvent {
        let notification = Notification::Ipcache {
            cidr: cidr.to_owned(),
            identity,
            old_identity: None,
            host_ip: String::new(),
            old_host_ip: String::new(),
            encrypt_key: 0,
            namespace: "shop".to_owned(),
            pod_name: pod.to_owned(),
        };
        event(kind, notification)
    }

    /// Changes as `KEY KIND NAME IDENTITY LABELS CLUSTER`, sorted.
    fn lines(changes: &[Change]) -> Vec<String> {
        let key = |key: &Key| match key {
            Key::Address(address) => address.to_string(),
            Key::Prefix(address, length) => format!("{address}/{length}"),
            Key::Identity(identity) => format!("identity {identity}"),
            key => panic!("{key:?}"),
        };
        let line = |change: &Change| match change {
            Change::Set(at, Target::Entity(entity)) => {
                let (kind, metadata) = (entity.kind, &entity.metadata);
                let labels = metadata.labels.join(" ");
                format!("{} {kind:?} {} {} [{labels}] {}", key(at), entity.name, entity.identity, metadata.cluster_name)
            }
            Change::Remove(at) => key(at),
            change => panic!("{change:?}"),
        };
        let mut lines: Vec<_> = changes.iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn events_give_pods_and_identities() {
        use AgentEventKind::{
            EndpointCreated, EndpointDeleted, EndpointRegenerateFailure, EndpointRegenerateSuccess, IpcacheDeleted,
            IpcacheUpserted,
        };
        let mut state = AgentState::default();
        let labels = ["k8s:io.cilium.k8s.policy.cluster=east", "k8s:app=web"];
        let sorted = "[k8s:app=web k8s:io.cilium.k8s.policy.cluster=east] east";
        for (row, event, expected) in [
            (
                "another node's pod",
                ipcache(IpcacheUpserted, "10.0.1.1/32", 300, "db"),
                vec!["10.0.1.1 Pod shop/db 300 [] ".to_owned()],
            ),
            ("again", ipcache(IpcacheUpserted, "10.0.1.1/32", 300, "db"), vec![]),
            (
                "another identity",
                ipcache(IpcacheUpserted, "10.0.1.1/32", 301, "db"),
                vec!["10.0.1.1 Pod shop/db 301 [] ".to_owned()],
            ),
            ("endpoint without address", endpoint(EndpointCreated, 7, "web", &labels), vec![]),
            (
                "its address",
                ipcache(IpcacheUpserted, "10.0.0.7", 400, "web"),
                vec![format!("10.0.0.7 Pod shop/web 400 {sorted}")],
            ),
            (
                "its other address",
                ipcache(IpcacheUpserted, "fd00::7/128", 400, "web"),
                vec![format!("fd00::7 Pod shop/web 400 {sorted}")],
            ),
            (
                "other labels",
                endpoint(EndpointRegenerateSuccess, 7, "", &["k8s:app=shop"]),
                vec![
                    "10.0.0.7 Pod shop/web 400 [k8s:app=shop] ".to_owned(),
                    "fd00::7 Pod shop/web 400 [k8s:app=shop] ".to_owned(),
                    "identity 400 Named  400 [k8s:app=shop] ".to_owned(),
                ],
            ),
            ("the same labels", endpoint(EndpointRegenerateSuccess, 7, "", &["k8s:app=shop"]), vec![]),
            ("unknown endpoint", endpoint(EndpointRegenerateSuccess, 8, "", &["k8s:app=shop"]), vec![]),
            ("failed build", endpoint(EndpointRegenerateFailure, 7, "web", &["k8s:app=other"]), vec![]),
            (
                "another eyepiece's endpoint is named",
                endpoint(EndpointRegenerateSuccess, 10, "db", &["k8s:app=db"]),
                vec!["10.0.1.1 Pod shop/db 301 [k8s:app=db] ".to_owned()],
            ),
            ("and gone", endpoint(EndpointDeleted, 10, "db", &[]), vec!["10.0.1.1 Pod shop/db 301 [] ".to_owned()]),
            ("host", ipcache(IpcacheUpserted, "192.0.2.1/32", 1, ""), vec!["192.0.2.1 Node host 1 [] ".to_owned()]),
            (
                "another node",
                ipcache(IpcacheUpserted, "192.0.2.2/32", 6, ""),
                vec!["192.0.2.2 Node remote-node 6 [] ".to_owned()],
            ),
            ("world", ipcache(IpcacheUpserted, "0.0.0.0/0", 2, ""), vec!["0.0.0.0/0 Named world 2 [] ".to_owned()]),
            (
                "prefix",
                ipcache(IpcacheUpserted, "198.51.100.0/24", 16_777_217, ""),
                vec!["198.51.100.0/24 Named  16777217 [] ".to_owned()],
            ),
            ("invalid address", ipcache(IpcacheUpserted, "x/24", 9, ""), vec![]),
            ("invalid prefix", ipcache(IpcacheUpserted, "10.0.0.0/33", 9, ""), vec![]),
            (
                "endpoint is gone",
                endpoint(EndpointDeleted, 7, "web", &[]),
                vec!["10.0.0.7 Pod shop/web 400 [] ".to_owned(), "fd00::7 Pod shop/web 400 [] ".to_owned()],
            ),
            ("unknown is gone", endpoint(EndpointDeleted, 7, "web", &[]), vec![]),
            ("address is gone", ipcache(IpcacheDeleted, "10.0.0.7/32", 400, "web"), vec!["10.0.0.7".to_owned()]),
            ("unknown address is gone", ipcache(IpcacheDeleted, "10.0.0.7/32", 400, "web"), vec![]),
            (
                "address moves, and its identity has no other",
                ipcache(IpcacheUpserted, "fd00::7/128", 300, "db"),
                vec!["fd00::7 Pod shop/db 300 [] ".to_owned(), "identity 400".to_owned()],
            ),
            ("former pod's labels", endpoint(EndpointCreated, 9, "web", &labels), vec![]),
        ] {
            assert_eq!(lines(&state.observe(&event)), expected, "{row}");
        }
        let start = event(AgentEventKind::AgentStarted, Notification::AgentStart { time: None });
        assert_eq!(state.observe(&start), []);
        assert_eq!((state.count(), state.keys.len(), state.take_refused()), (6, 1, 0));
    }

    #[test]
    fn endpoints_beyond_limit_are_refused() {
        let mut state = AgentState::default();
        for id in 0..super::MAX_ENDPOINTS as u64 + 2 {
            state.observe(&endpoint(AgentEventKind::EndpointCreated, id, "web", &[]));
        }
        assert_eq!((state.endpoints.len(), state.take_refused()), (super::MAX_ENDPOINTS, 2));
    }

    #[test]
    fn labels_stay_with_other_endpoint() {
        let mut state = AgentState::default();
        state.observe(&ipcache(AgentEventKind::IpcacheUpserted, "10.0.0.7/32", 400, "web"));
        state.observe(&endpoint(AgentEventKind::EndpointCreated, 7, "web", &["k8s:app=web"]));
        state.observe(&endpoint(AgentEventKind::EndpointCreated, 8, "web", &["k8s:app=web"]));
        assert_eq!(state.observe(&endpoint(AgentEventKind::EndpointDeleted, 7, "web", &[])), []);
        assert_eq!(state.observe(&endpoint(AgentEventKind::EndpointDeleted, 8, "web", &[])).len(), 1);
    }
}
