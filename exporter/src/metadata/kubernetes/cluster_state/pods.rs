//! Pods: their entities, and the keys of their addresses and containers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::metadata::{EndMetadata, PodContainer, Workload};
use eyepiece_semconv::attribute;

use super::claims::{Class, Rank};
use super::owners;
use super::shared_values::SharedValues;
use super::state::{ClusterState, Dropped, MAX_ADDRESSES, MAX_NAME, Names, PodRecord, RareFields, check_limit};
use crate::metadata::identity_of_labels;
use crate::metadata::kubernetes::labels;
use crate::metadata::kubernetes::objects::{CONFIG_HASH, ContainerStatus, Kind, Pod, PodSpec, PodStatus};
use crate::metadata::provider::{Change, Entity, EntityKind, Key, Target};

/// Containers of one pod that are kept.
const MAX_CONTAINERS: usize = 64;

/// The running containers; those of the former state that are the same are kept.
fn containers(
    status: &PodStatus,
    former: &[Arc<PodContainer>],
    texts: &mut SharedValues<str>,
) -> Box<[Arc<PodContainer>]> {
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let all = lists.into_iter().flatten().flatten();
    let running = all.filter(|container| container.state.terminated.is_none() && container.name.len() <= MAX_NAME);
    let known = running.filter_map(|ContainerStatus { container_id, name, .. }| {
        // The runtime's name stands before the id: containerd://, cri-o://.
        let (_, id) = container_id.as_deref()?.rsplit_once("://")?;
        let same = former.iter().find(|known| *known.id == *id && *known.name == **name);
        let new = || Arc::new(PodContainer { id: id.into(), name: texts.share(name.as_str()) });
        let is_valid = !id.is_empty() && id.len() <= MAX_NAME;
        is_valid.then(|| same.map_or_else(new, Arc::clone))
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
    let of = |container: &Arc<PodContainer>| Target::Container(Arc::clone(&pod.entity), Arc::clone(container));
    let whole = match &*pod.containers {
        [container] if pod.has_one_container => of(container),
        _ => Target::Entity(Arc::clone(&pod.entity)),
    };
    let mut entries = vec![(Key::Pod(Arc::clone(uid)), whole)];
    entries.extend(pod.static_uid().map(|uid| (Key::Pod(Arc::clone(uid)), own())));
    entries.extend(pod.containers.iter().map(|container| {
        let target = if pod.has_one_container { own() } else { of(container) };
        (Key::Container(Arc::clone(&container.id)), target)
    }));
    entries
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
        let (uid, former) = self.take_pod(names.uid);
        let slices = match &former {
            Some(former) => former.slices.clone(),
            None => self.memberships.remove(&uid).unwrap_or_default(),
        };
        let mut record = self.record(&uid, pod, &names, former.as_deref(), slices);
        if let Some(former) = former.as_ref().filter(|former| former.entity == record.entity) {
            record.entity = Arc::clone(&former.entity);
        }
        let before = former.as_ref().map(|former| entries(&uid, former)).unwrap_or_default();
        self.changes.extend(changes(&before, entries(&uid, &record)));
        if record.deadline().is_some_and(|deadline| deadline <= now) {
            record.addresses = Box::default();
        }
        if let Some(PodRecord { addresses, rare, .. }) = former.map(|former| *former) {
            let RareFields { lost, deadline, .. } = rare.map(|rare| *rare).unwrap_or_default();
            record.addresses = record.addresses.into_iter().filter(|address| !lost.contains(address)).collect();
            if !lost.is_empty() {
                record.rare.get_or_insert_default().lost = lost;
            }
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

    /// Takes a pod out of the state, to put it back changed. A uid that is known is shared.
    fn take_pod(&mut self, uid: &str) -> (Arc<str>, Option<Box<PodRecord>>) {
        if let Some((uid, record)) = self.pods.remove_entry(uid) {
            return (uid, Some(record));
        }
        (self.memberships.get_key_value(uid).map_or_else(|| uid.into(), |(uid, _)| Arc::clone(uid)), None)
    }

    fn claim_addresses(&mut self, uid: &Arc<str>, record: &PodRecord, created: i64) {
        let rank = Rank { class: Class::Pod, stays: record.deadline().is_none(), created };
        for address in &record.addresses {
            self.claim(&Key::Address(*address), uid, rank, None);
        }
        if let Some(deadline) = record.deadline().filter(|_| !record.addresses.is_empty()) {
            self.deadlines.insert((deadline, Arc::clone(uid)));
        }
    }

    fn forget_deadline(&mut self, uid: &Arc<str>, deadline: Option<i64>) {
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, Arc::clone(uid)));
        }
    }

    fn record(
        &mut self,
        uid: &Arc<str>,
        pod: &Pod,
        names: &Names<'_>,
        former: Option<&PodRecord>,
        slices: Box<[Arc<str>]>,
    ) -> PodRecord {
        let former = former.map(|former| &*former.containers).unwrap_or_default();
        let containers = pod.status.as_ref().map(|status| containers(status, former, &mut self.texts));
        let addresses = addresses(pod);
        let (workload, owner) = owners::of_pod(&pod.metadata);
        let entity = self.own_entity(uid, pod, names, workload, &addresses);
        let hash = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(CONFIG_HASH));
        let hash = hash.filter(|hash| hash.len() <= MAX_NAME && hash.as_str() != &**uid);
        let rare = RareFields {
            lost: Box::default(),
            static_uid: hash.map(|hash| hash.as_str().into()),
            deadline: pod.metadata.deletion_timestamp.as_ref().map(|time| time.0.as_second()),
        };
        PodRecord {
            entity: Arc::new(self.complete(entity, &slices, owner)),
            owner: owner.map(|owner| self.texts.share(owner)),
            slices,
            addresses,
            containers: containers.unwrap_or_default(),
            has_one_container: pod.spec.as_ref().is_some_and(has_one_container),
            listing: self.listing(Kind::Pods),
            rare: (rare.static_uid.is_some() || rare.deadline.is_some()).then(|| Box::new(rare)),
        }
    }

    /// The entity of a pod, as its own object shows it.
    fn own_entity(
        &mut self,
        uid: &Arc<str>,
        pod: &Pod,
        names: &Names<'_>,
        workload: Option<Workload>,
        addresses: &[IpAddr],
    ) -> Entity {
        let spec = pod.spec.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.as_deref());
        let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| node.len() <= MAX_NAME);
        let node = node.map(|node| (attribute::K8S_NODE_NAME, self.texts.share(node)));
        let first = |is_wanted: fn(&IpAddr) -> bool| addresses.iter().copied().find(is_wanted);
        let none = BTreeMap::new();
        let own_labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let metadata = EndMetadata {
            cluster_name: self.scope.cluster.clone(),
            namespace: names.namespace.to_owned(),
            pod_name: names.name.to_owned(),
            labels: labels::of_pod(own_labels, &self.scope.cluster, names.namespace, account),
            workloads: workload.into_iter().collect(),
        };
        let mut name = format!("{}/{}", names.namespace, names.name);
        name.shrink_to_fit();
        Entity {
            kind: EntityKind::Pod,
            name,
            addresses: [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)],
            attributes: std::iter::once((attribute::K8S_POD_UID, Arc::clone(uid))).chain(node).collect(),
            ..Entity::of(metadata)
        }
    }

    /// Adds the fields of a pod that other objects have: its namespace's labels, its workload, its service.
    fn complete(&mut self, entity: Entity, slices: &[Arc<str>], owner: Option<&str>) -> Entity {
        let mut metadata = EndMetadata::clone(&entity.metadata);
        let namespace = self.namespaces.get(metadata.namespace.as_str());
        let of_namespace = namespace.map(|namespace| &*namespace.labels).unwrap_or_default();
        metadata.labels = labels::replace_namespace(&metadata.labels, of_namespace);
        let identity = identity_of_labels(metadata.labels.iter().map(String::as_str));
        if let Some(owner) = owner.and_then(|owner| self.owners.get(owner)) {
            metadata.workloads = vec![owner.workload.clone()];
        }
        Entity { identity, metadata: self.metadata.share(metadata), service: self.service_of(slices), ..entity }
    }

    /// Completes a pod again after a change of another object.
    pub(super) fn refresh_pod(&mut self, uid: &Arc<str>) {
        let Some(mut record) = self.pods.remove(uid) else { return };
        let entity = self.complete(Entity::clone(&record.entity), &record.slices, record.owner.as_deref());
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
        self.forget_deadline(&uid, record.deadline());
        if !record.slices.is_empty() {
            self.memberships.insert(uid, record.slices);
        }
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
