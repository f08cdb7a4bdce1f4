//! Nodes, and the API servers that endpoint slices name: entities of their addresses.

use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, Service};
use eyepiece_flow::names::KUBE_APISERVER;
use eyepiece_semconv::attribute;

use super::claims::{Class, Rank};
use super::state::{ClusterState, Dropped, Names, NodeRecord, check_limit};
use crate::metadata::IDENTITY_HOST;
use crate::metadata::kubernetes::objects::{Kind, Node};
use crate::metadata::provider::{Entity, EntityKind, Key};

/// Identity of another node (Cilium `pkg/identity/numericidentity.go`).
const IDENTITY_REMOTE_NODE: u32 = 6;
/// Addresses of one node that are kept.
const MAX_ADDRESSES: usize = 16;

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("reserved:{name}")).collect()
}

impl ClusterState {
    pub(super) fn set_node(&mut self, node: &Node) -> Result<(), Dropped> {
        let Names { uid, name, .. } = Names::of(&node.metadata).ok_or(Dropped::Invalid)?;
        check_limit(self.nodes.contains_key(uid), self.nodes.len(), self.scope.max_objects)?;
        let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
        // Names stand among them.
        let addresses = addresses.iter().filter_map(|entry| entry.address.parse().ok()).take(MAX_ADDRESSES).collect();
        let created = node.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let record = NodeRecord { listing: self.listing(Kind::Nodes), name: name.into(), created, addresses };
        let uid: Arc<str> = uid.into();
        let former = self.nodes.get(&uid).map(|former| former.addresses.clone()).unwrap_or_default();
        for address in former.iter().filter(|address| !record.addresses.contains(address)) {
            self.release(&Key::Address(*address), &uid);
        }
        self.claim_node(&uid, &record);
        self.nodes.insert(uid, record);
        Ok(())
    }

    pub(super) fn remove_node(&mut self, uid: &str) {
        let Some(node) = self.nodes.remove(uid) else { return };
        for address in &node.addresses {
            self.release(&Key::Address(*address), uid);
        }
    }

    /// Gives nodes the identity that they have beside the API servers' present addresses.
    pub(super) fn refresh_nodes(&mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        for (uid, node) in &nodes {
            self.claim_node(uid, node);
        }
        self.nodes = nodes;
    }

    fn claim_node(&mut self, uid: &Arc<str>, node: &NodeRecord) {
        let entity = Arc::new(self.node_entity(uid, node));
        let rank = Rank { class: Class::Node, stays: true, created: node.created };
        for address in &node.addresses {
            self.claim(&Key::Address(*address), uid, rank, Some(&entity));
        }
    }

    /// The metadata of what has reserved identities.
    fn reserved(&self, names: &[&str]) -> EndMetadata {
        let cluster_name = self.scope.cluster.clone();
        EndMetadata { cluster_name, labels: labels(names), ..EndMetadata::default() }
    }

    fn node_entity(&self, uid: &str, node: &NodeRecord) -> Entity {
        let has_api_server = node.addresses.iter().any(|address| self.api_servers.contains(address));
        let (identity, names): (_, &[&str]) = match (*node.name == *self.scope.node, has_api_server) {
            (true, false) => (IDENTITY_HOST, &["host"]),
            (true, true) => (IDENTITY_HOST, &["host", "kube-apiserver"]),
            (false, true) => (KUBE_APISERVER, &["kube-apiserver", "remote-node"]),
            (false, false) => (IDENTITY_REMOTE_NODE, &["remote-node"]),
        };
        Entity {
            kind: EntityKind::Node,
            name: node.name.to_string(),
            identity,
            attributes: vec![(attribute::K8S_NODE_NAME, (&*node.name).into()), (attribute::K8S_NODE_UID, uid.into())],
            ..Entity::of(self.reserved(names))
        }
    }

    /// The entity of an API server at an address that no node has.
    pub(super) fn api_server(&self, service: &Arc<Service>) -> Arc<Entity> {
        Arc::new(Entity {
            kind: EntityKind::Node,
            name: "kube-apiserver".to_owned(),
            identity: KUBE_APISERVER,
            service: Some(Arc::clone(service)),
            ..Entity::of(self.reserved(&["kube-apiserver"]))
        })
    }
}
