//! Pods: their entities, and the keys of their addresses and containers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::metadata::EndMetadata;
use eyepiece_semconv::attribute;

use super::claims::{Class, Rank};
use super::owners;
use super::state::{ClusterState, Container, Dropped, MAX_ADDRESSES, MAX_NAME, Names, PodRecord, check_limit};
use crate::metadata::identity_of_labels;
use crate::metadata::kubernetes::labels;
use crate::metadata::kubernetes::objects::{CONFIG_HASH, ContainerStatus, Kind, Pod, PodSpec, PodStatus};
use crate::metadata::provider::{Change, Entity, EntityKind, Key, Target};

/// Containers of one pod that are kept.
const MAX_CONTAINERS: usize = 64;

fn containers(status: &PodStatus) -> Box<[Container]> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let all = lists.into_iter().flatten().flatten();
    let running = all.filter(|container| container.state.terminated.is_none() && container.name.len() <= MAX_NAME);
    let known = running.filter_map(|ContainerStatus { container_id, name, .. }| {
        // The runtime's name stands before the id: containerd://, cri-o://.
        let (_, id) = container_id.as_deref()?.rsplit_once("://")?;
        let is_valid = !id.is_empty() && id.len() <= MAX_NAME;
        is_valid.then(|| Container { id: id.into(), name: name.as_str().into() })
    });
    known.take(MAX_CONTAINERS).collect()
}

/// Returns whether a pod has one container in all: of several, only some may be reported or run.
fn has_one_container(spec: &PodSpec) -> bool {
    let lists = [&spec.containers, &spec.init_containers, &spec.ephemeral_containers];
    lists.into_iter().flatten().flatten().count() == 1
}

/// The addresses of a pod that are its own: not the node's, and not those of a pod that has ended.
fn addresses(pod: &Pod) -> Box<[IpAddr]> {
    let Some(status) = &pod.status else { return Box::default() };
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    if is_over || pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return Box::default();
    }
    let several = status.pod_ips.iter().flatten().filter_map(|entry| entry.ip.as_deref());
    let mut addresses: Vec<IpAddr> =
        several.chain(status.pod_ip.as_deref()).filter_map(|text| text.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MAX_ADDRESSES);
    addresses.into()
}

/// The keys of a pod without its addresses.
fn entries(uid: &Arc<str>, pod: &PodRecord) -> Vec<(Key, Target)> {
    let own = || Target::Key(Key::Pod(Arc::clone(uid)));
    let mut entries = vec![(Key::Pod(Arc::clone(uid)), Target::Entity(Arc::clone(&pod.entity)))];
    entries.extend(pod.static_uid.as_ref().map(|uid| (Key::Pod(Arc::clone(uid)), own())));
    if pod.has_one_container {
        entries.extend(pod.containers.iter().map(|container| (Key::Container(Arc::clone(&container.id)), own())));
        return entries;
    }
    for container in &pod.containers {
        let mut entity = Entity::clone(&pod.entity);
        add_container(&mut entity, container);
        entries.push((Key::Container(Arc::clone(&container.id)), Target::Entity(Arc::new(entity))));
    }
    entries
}

fn add_container(entity: &mut Entity, Container { id, name }: &Container) {
    let attributes = [(attribute::K8S_CONTAINER_NAME, name.to_string()), (attribute::CONTAINER_ID, id.to_string())];
    entity.attributes.reserve_exact(attributes.len());
    entity.attributes.extend(attributes);
}

/// The changes from one list of entries to another.
fn changes(before: &[(Key, Target)], after: Vec<(Key, Target)>) -> Vec<Change> {
    let gone = before.iter().filter(|(key, _)| !after.iter().any(|(kept, _)| kept == key));
    let mut changes: Vec<Change> = gone.map(|(key, _)| Change::Remove(key.clone())).collect();
    let new = after.into_iter().filter(|entry| !before.contains(entry));
    changes.extend(new.map(|(key, target)| Change::Set(key, target)));
    changes
}

impl ClusterState {
    pub(super) fn set_pod(&mut self, pod: &Pod, now: i64) -> Result<(), Dropped> {
        let names = Names::of(&pod.metadata).ok_or(Dropped::Invalid)?;
        check_limit(self.pods.contains_key(names.uid), self.pods.len(), self.scope.max_objects)?;
        let known = self.memberships.get_key_value(names.uid).map(|(uid, _)| Arc::clone(uid));
        let known = self.pods.get_key_value(names.uid).map(|(uid, _)| Arc::clone(uid)).or(known);
        let uid: Arc<str> = known.unwrap_or_else(|| names.uid.into());
        let former = self.pods.remove(&uid);
        let mut record = self.record(&uid, pod, &names);
        if let Some(former) = former.as_ref().filter(|former| former.entity == record.entity) {
            record.entity = Arc::clone(&former.entity);
        }
        let before = former.as_ref().map(|former| entries(&uid, former)).unwrap_or_default();
        self.changes.extend(changes(&before, entries(&uid, &record)));
        if record.deadline.is_some_and(|deadline| deadline <= now) {
            record.addresses = Box::default();
        }
        if let Some(PodRecord { addresses, lost, deadline, .. }) = former.map(|former| *former) {
            record.addresses = record.addresses.into_iter().filter(|address| !lost.contains(address)).collect();
            record.lost = lost;
            let gone: Vec<IpAddr> =
                addresses.into_iter().filter(|address| !record.addresses.contains(address)).collect();
            self.release_all(&uid, &gone);
            self.forget_deadline(&uid, deadline);
        }
        let created = pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        self.claim_addresses(&uid, &record, created);
        self.pods.insert(uid, Box::new(record));
        Ok(())
    }

    fn claim_addresses(&mut self, uid: &Arc<str>, record: &PodRecord, created: i64) {
        let rank = Rank { class: Class::Pod, stays: record.deadline.is_none(), created };
        for address in &record.addresses {
            self.claim(&Key::Address(*address), uid, rank, None);
        }
        if let Some(deadline) = record.deadline.filter(|_| !record.addresses.is_empty()) {
            self.deadlines.insert((deadline, Arc::clone(uid)));
        }
    }

    fn forget_deadline(&mut self, uid: &Arc<str>, deadline: Option<i64>) {
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, Arc::clone(uid)));
        }
    }

    fn record(&self, uid: &Arc<str>, pod: &Pod, names: &Names<'_>) -> PodRecord {
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let containers = status.map(containers).unwrap_or_default();
        let has_one_container = spec.is_some_and(has_one_container);
        let (workload, owner) = owners::of_pod(&pod.metadata);
        let account = spec.and_then(|spec| spec.service_account_name.as_deref());
        let none = BTreeMap::new();
        let own_labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let addresses = addresses(pod);
        let first = |is_wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(is_wanted);
        let mut entity = Entity {
            kind: EntityKind::Pod,
            name: format!("{}/{}", names.namespace, names.name),
            addresses: [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)],
            metadata: EndMetadata {
                cluster_name: self.scope.cluster.clone(),
                namespace: names.namespace.to_owned(),
                pod_name: names.name.to_owned(),
                labels: labels::of_pod(own_labels, &self.scope.cluster, names.namespace, account),
                workloads: workload.into_iter().collect(),
            },
            ..Entity::default()
        };
        entity.name.shrink_to_fit();
        entity.attributes.reserve_exact(2);
        entity.attributes.push((attribute::K8S_POD_UID, uid.to_string()));
        if let Some(node) = spec.and_then(|spec| spec.node_name.as_ref()).filter(|node| node.len() <= MAX_NAME) {
            entity.attributes.push((attribute::K8S_NODE_NAME, node.clone()));
        }
        if let [container] = &*containers
            && has_one_container
        {
            add_container(&mut entity, container);
        }
        let hash = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CONFIG_HASH));
        PodRecord {
            entity: Arc::new(self.complete(entity, uid, owner)),
            owner: owner.map(Into::into),
            addresses,
            lost: Box::default(),
            containers,
            has_one_container,
            static_uid: hash
                .filter(|hash| hash.len() <= MAX_NAME && hash.as_str() != &**uid)
                .map(|hash| hash.as_str().into()),
            deadline: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0.as_second()),
            listing: self.listing(Kind::Pods),
        }
    }

    /// Adds the fields of a pod that other objects have: its namespace's labels, its workload, its service.
    fn complete(&self, mut entity: Entity, uid: &str, owner: Option<&str>) -> Entity {
        let namespace = self.namespaces.get(entity.metadata.namespace.as_str());
        let of_namespace = namespace.map(|namespace| &*namespace.labels).unwrap_or_default();
        entity.metadata.labels = labels::replace_namespace(&entity.metadata.labels, of_namespace);
        entity.identity = identity_of_labels(entity.metadata.labels.iter().map(String::as_str));
        if let Some(owner) = owner.and_then(|owner| self.owners.get(owner)) {
            entity.metadata.workloads = vec![owner.workload.clone()];
        }
        entity.service = self.service_of(uid);
        entity
    }

    /// Completes a pod again after a change of another object.
    pub(super) fn refresh_pod(&mut self, uid: &Arc<str>) {
        let Some(mut record) = self.pods.remove(uid) else { return };
        let entity = self.complete(Entity::clone(&record.entity), uid, record.owner.as_deref());
        if entity != *record.entity {
            let before = entries(uid, &record);
            record.entity = Arc::new(entity);
            self.changes.extend(changes(&before, entries(uid, &record)));
        }
        self.pods.insert(Arc::clone(uid), record);
    }

    pub(super) fn remove_pod(&mut self, uid: &str) {
        let Some((uid, record)) = self.pods.remove_entry(uid) else { return };
        self.changes.extend(changes(&entries(&uid, &record), Vec::new()));
        self.release_all(&uid, &record.addresses);
        self.forget_deadline(&uid, record.deadline);
    }

    /// Releases the addresses of a pod whose time to end is over.
    pub(super) fn release_addresses(&mut self, uid: &str) {
        let Some(record) = self.pods.get_mut(uid) else { return };
        let addresses = std::mem::take(&mut record.addresses);
        self.release_all(uid, &addresses);
    }

    fn release_all(&mut self, uid: &str, addresses: &[IpAddr]) {
        for address in addresses {
            self.release(&Key::Address(*address), uid);
        }
    }
}
