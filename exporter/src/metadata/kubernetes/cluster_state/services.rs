//! Services and their endpoints: entities of their addresses and ports, and the service that a pod belongs to.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, Service};
use eyepiece_flow::protocol;
use eyepiece_semconv::attribute;

use super::claims::{Class, Rank};
use super::state::{ClusterState, Dropped, MAX_NAME, Names, ServiceRecord, Slice, check_limit};
use crate::metadata::kubernetes::objects::{self, EndpointSlice, Kind, SERVICE_NAME};
use crate::metadata::provider::{Entity, EntityKind, Key};

/// Addresses and ports of one service that are kept.
const MAX_KEYS: usize = 1024;
/// Endpoints of a slice; Kubernetes has no more.
const MAX_ENDPOINTS: usize = 1000;

/// The addresses and ports of a service.
fn keys(service: &objects::Service) -> Box<[Key]> {
    let Some(spec) = &service.spec else { return Box::default() };
    let single = spec.cluster_ip.as_slice();
    // The text "None" of a headless service is no address.
    let texts = spec.cluster_ips.as_deref().filter(|addresses| !addresses.is_empty()).unwrap_or(single);
    let addresses: Vec<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let mut keys = Vec::new();
    for port in spec.ports.as_deref().unwrap_or_default() {
        let protocol = match port.protocol.as_deref() {
            None | Some("" | "TCP") => protocol::TCP,
            Some("UDP") => protocol::UDP,
            Some("SCTP") => protocol::SCTP,
            Some(_) => continue,
        };
        keys.extend(addresses.iter().map(|&address| Key::Service { address, port: port.port, protocol }));
    }
    keys.truncate(MAX_KEYS);
    keys.into()
}

impl ClusterState {
    pub(super) fn set_service(&mut self, service: &objects::Service) -> Result<(), Dropped> {
        let Names { uid, name, namespace } = Names::of(&service.metadata).ok_or(Dropped::Invalid)?;
        let known = self.services.get(uid);
        check_limit(known.is_some(), self.services.len(), self.scope.max_objects)?;
        let (uid, keys) = (Arc::<str>::from(uid), keys(service));
        let gone = known.map(|known| known.keys.iter().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
        for key in gone.unwrap_or_default() {
            self.release(&key, &uid);
        }
        let (cluster_name, namespace) = (self.scope.cluster.clone(), namespace.to_owned());
        let entity = Arc::new(Entity {
            kind: EntityKind::Service,
            name: format!("{namespace}/{name}"),
            service: Some(Arc::new(Service { name: name.to_owned(), namespace: namespace.clone() })),
            attributes: vec![(attribute::K8S_SERVICE_UID, Arc::clone(&uid))],
            ..Entity::of(EndMetadata { cluster_name, namespace, ..EndMetadata::default() })
        });
        let created = service.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let rank = Rank { class: Class::Service, stays: service.metadata.deletion_timestamp.is_none(), created };
        for key in &keys {
            self.claim(key, &uid, rank, Some(&entity));
        }
        self.services.insert(uid, ServiceRecord { listing: self.listing(Kind::Services), keys });
        Ok(())
    }

    pub(super) fn remove_service(&mut self, uid: &str) {
        let Some(service) = self.services.remove(uid) else { return };
        for key in &service.keys {
            self.release(key, uid);
        }
    }

    pub(super) fn set_slice(&mut self, slice: &EndpointSlice) -> Result<(), Dropped> {
        let Names { uid, namespace, .. } = Names::of(&slice.metadata).ok_or(Dropped::Invalid)?;
        check_limit(self.slices.contains_key(uid), self.slices.len(), self.scope.max_objects)?;
        let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
        let Some(name) = service.filter(|name| name.len() <= MAX_NAME) else {
            // A slice without a service is of no use here.
            self.remove_slice(uid);
            return Ok(());
        };
        let service = Arc::new(Service { name: name.clone(), namespace: namespace.to_owned() });
        let pods = self.pods_of(slice);
        let addresses =
            slice.endpoints.iter().flatten().take(MAX_ENDPOINTS).flat_map(|end| end.addresses.iter().flatten());
        let is_api_server = (service.namespace.as_str(), service.name.as_str()) == ("default", "kubernetes");
        let addresses = addresses.filter(|_| is_api_server).filter_map(|text| text.parse().ok());
        let api_servers = addresses.take(MAX_ENDPOINTS).collect();
        let listing = self.listing(Kind::EndpointSlices);
        self.replace_slice(&uid.into(), Some(Slice { listing, service, pods, api_servers }));
        Ok(())
    }

    pub(super) fn remove_slice(&mut self, uid: &str) {
        self.replace_slice(&uid.into(), None);
    }

    /// The uids of the pods behind a slice, as far as they may be known here.
    fn pods_of(&self, slice: &EndpointSlice) -> Box<[Arc<str>]> {
        let is_elsewhere =
            |node: Option<&str>| self.scope.is_own_only && node.is_some_and(|node| node != self.scope.node);
        let ends = slice.endpoints.iter().flatten().take(MAX_ENDPOINTS);
        let ends = ends.filter(|end| !is_elsewhere(end.node_name.as_deref()));
        let targets = ends.filter_map(|end| end.target_ref.as_ref()).filter(|to| to.kind.as_deref() == Some("Pod"));
        let uids = targets.filter_map(|to| to.uid.as_deref()).filter(|uid| uid.len() <= MAX_NAME);
        let mut room = self.scope.max_objects.saturating_sub(self.memberships.len());
        let known = uids.filter_map(|uid| {
            let shared = self.pods.get_key_value(uid).map(|(uid, _)| uid);
            let shared = shared.or_else(|| self.memberships.get_key_value(uid).map(|(uid, _)| uid));
            shared.cloned().or_else(|| {
                room = room.checked_sub(1)?;
                Some(uid.into())
            })
        });
        known.collect()
    }

    fn replace_slice(&mut self, uid: &Arc<str>, new: Option<Slice>) {
        let old = self.slices.remove(uid);
        for pod in old.iter().flat_map(|slice| &slice.pods) {
            self.set_membership(pod, uid, false);
        }
        for pod in new.iter().flat_map(|slice| &slice.pods) {
            self.set_membership(pod, uid, true);
        }
        let api_servers =
            |slice: &Option<Slice>| slice.as_ref().map(|slice| slice.api_servers.clone()).unwrap_or_default();
        let (before, after) = (api_servers(&old), api_servers(&new));
        for address in before.iter().filter(|address| !after.contains(address)) {
            self.release(&Key::Address(*address), uid);
        }
        if let Some(slice) = new {
            let entity = self.api_server(&slice.service);
            for address in &after {
                let rank = Rank { class: Class::ApiServer, stays: true, created: 0 };
                self.claim(&Key::Address(*address), uid, rank, Some(&entity));
            }
            self.slices.insert(Arc::clone(uid), slice);
        }
        if before != after {
            self.api_servers = self.slices.values().flat_map(|slice| &slice.api_servers).copied().collect();
            self.stale.nodes = true;
        }
    }

    /// Sets whether a slice names a pod.
    fn set_membership(&mut self, pod: &Arc<str>, slice: &Arc<str>, is_named: bool) {
        let change = |slices: &[Arc<str>]| -> Box<[Arc<str>]> {
            slices.iter().filter(|known| *known != slice).chain(is_named.then_some(slice)).cloned().collect()
        };
        if let Some(record) = self.pods.get_mut(pod) {
            record.slices = change(&record.slices);
        } else {
            let slices = change(self.memberships.get(pod).map(|slices| &**slices).unwrap_or_default());
            if slices.is_empty() {
                self.memberships.remove(pod);
            } else {
                self.memberships.insert(Arc::clone(pod), slices);
            }
        }
        self.stale.pods.insert(Arc::clone(pod));
    }

    /// The service of a pod that slices name: of several the first by name.
    pub(super) fn service_of(&self, slices: &[Arc<str>]) -> Option<Arc<Service>> {
        let slices = slices.iter().filter_map(|uid| self.slices.get(uid));
        slices.map(|slice| &slice.service).min_by(|a, b| a.name.cmp(&b.name)).cloned()
    }
}
