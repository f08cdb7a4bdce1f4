//! The state that the API server reports, as the keys and entities that follow from it. Pure: no clock, no IO.

mod claims;
mod nodes;
mod owners;
mod pods;
mod services;
mod shared_values;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels;
use super::objects::{Kind, Namespace, Object};
use crate::metadata::provider::Change;

use self::state::{Names, NamespaceRecord, PodRecord, check_limit};

pub(super) use self::state::{ClusterState, Dropped, Scope};

impl ClusterState {
    /// Number of objects of all kinds.
    pub(super) fn objects(&self) -> usize {
        let sources = self.namespaces.len() + self.nodes.len() + self.owners.len();
        sources + self.services.len() + self.slices.len() + self.pods.len()
    }

    /// Returns whether the cluster has a Node object of this node's name.
    pub(super) fn knows_own_node(&self) -> bool {
        self.nodes.values().any(|node| *node.name == *self.scope.node)
    }

    /// Begins a listing: objects that it does not have are removed at its end.
    pub(super) fn begin(&mut self, kind: Kind) {
        if let Some(listing) = self.listings.get_mut(kind as usize) {
            *listing = listing.wrapping_add(1);
        }
    }

    /// Ends a listing.
    pub(super) fn finish(&mut self, kind: Kind) {
        fn unseen<K: Clone, V>(map: &HashMap<K, V>, is_unseen: impl Fn(&V) -> bool) -> Vec<K> {
            map.iter().filter(|(_, value)| is_unseen(value)).map(|(key, _)| key.clone()).collect()
        }
        let now = self.listing(kind);
        match kind {
            Kind::Namespaces => {
                for name in unseen(&self.namespaces, |record| record.listing != now) {
                    self.remove_namespace(&name);
                }
            }
            Kind::Nodes => {
                unseen(&self.nodes, |record| record.listing != now).iter().for_each(|uid| self.remove_node(uid));
            }
            Kind::ReplicaSets | Kind::Jobs => {
                self.owners.retain(|_, owner| owner.kind != kind || owner.listing == now);
            }
            Kind::Services => {
                unseen(&self.services, |record| record.listing != now).iter().for_each(|uid| self.remove_service(uid));
            }
            Kind::EndpointSlices => {
                unseen(&self.slices, |record| record.listing != now).iter().for_each(|uid| self.remove_slice(uid));
            }
            Kind::Pods => {
                unseen(&self.pods, |record| record.listing != now).iter().for_each(|uid| self.remove_pod(uid));
            }
        }
        // Slices may be listed before the pods that they name.
        self.memberships.shrink_to_fit();
    }

    /// Adds an object, or replaces it.
    ///
    /// # Errors
    /// It is left out; the former object of the same name stays.
    pub(super) fn set(&mut self, object: &Object, now: i64) -> Result<(), Dropped> {
        match object {
            Object::Namespace(namespace) => self.set_namespace(namespace),
            Object::Node(node) => self.set_node(node),
            Object::ReplicaSet(set) => self.set_owner(Kind::ReplicaSets, &set.metadata),
            Object::Job(job) => self.set_owner(Kind::Jobs, &job.metadata),
            Object::Service(service) => self.set_service(service),
            Object::EndpointSlice(slice) => self.set_slice(slice),
            Object::Pod(pod) => self.set_pod(pod, now),
        }
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, object: &Object) {
        let uid = |metadata: &ObjectMeta| metadata.uid.clone().unwrap_or_default();
        match object {
            Object::Namespace(namespace) => {
                self.remove_namespace(namespace.metadata.name.as_deref().unwrap_or_default());
            }
            Object::Node(node) => self.remove_node(&uid(&node.metadata)),
            // Pods that it owned keep the workload that they had.
            Object::ReplicaSet(set) => drop(self.owners.remove(uid(&set.metadata).as_str())),
            Object::Job(job) => drop(self.owners.remove(uid(&job.metadata).as_str())),
            Object::Service(service) => self.remove_service(&uid(&service.metadata)),
            Object::EndpointSlice(slice) => self.remove_slice(&uid(&slice.metadata)),
            Object::Pod(pod) => self.remove_pod(&uid(&pod.metadata)),
        }
    }

    /// When the next pod loses its addresses, in seconds since 1970.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Releases the addresses of pods whose time to end is over.
    pub(super) fn expire(&mut self, now: i64) {
        while let Some((_, uid)) = self.deadlines.first().filter(|(at, _)| *at <= now).cloned() {
            self.deadlines.pop_first();
            self.release_addresses(&uid);
        }
    }

    /// Returns what has changed since the last call, in order.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let stale = std::mem::take(&mut self.stale);
        if stale.nodes {
            self.refresh_nodes();
        }
        if !(stale.namespaces.is_empty() && stale.owners.is_empty() && stale.pods.is_empty()) {
            let is_stale = |uid: &Arc<str>, pod: &PodRecord| {
                stale.pods.contains(uid)
                    || stale.namespaces.contains(pod.entity.metadata.namespace.as_str())
                    || pod.owner.as_ref().is_some_and(|owner| stale.owners.contains(&**owner))
            };
            let pods = self.pods.iter().filter(|(uid, pod)| is_stale(uid, pod));
            let pods: Vec<_> = pods.map(|(uid, _)| Arc::clone(uid)).collect();
            pods.iter().for_each(|uid| self.refresh_pod(uid));
        }
        std::mem::take(&mut self.changes)
    }

    fn set_namespace(&mut self, namespace: &Namespace) -> Result<(), Dropped> {
        let Names { name, .. } = Names::of(&namespace.metadata).ok_or(Dropped::Invalid)?;
        let labels = namespace.metadata.labels.as_ref().map(labels::of_namespace).unwrap_or_default();
        let (listing, known) = (self.listing(Kind::Namespaces), self.namespaces.get(name));
        check_limit(known.is_some(), self.namespaces.len(), self.scope.max_objects)?;
        if known.is_none_or(|known| known.labels != labels) {
            self.stale.namespaces.insert(name.into());
        }
        self.namespaces.insert(name.into(), NamespaceRecord { listing, labels });
        Ok(())
    }

    fn remove_namespace(&mut self, name: &str) {
        if let Some((name, _)) = self.namespaces.remove_entry(name) {
            self.stale.namespaces.insert(name);
        }
    }
}

#[cfg(test)]
mod tests;
