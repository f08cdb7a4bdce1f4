//! Entities and keys that follow from objects.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{ClusterState, Dropped, Scope};
use crate::metadata::identity_of_labels;
use crate::metadata::kubernetes::objects::{
    EndpointSlice, Job, Kind, Namespace, Node, Object, Pod, ReplicaSet, Service,
};
use crate::metadata::provider::{Change, Entity, EntityKind, EntityRef, Key, Target};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("an object")
}

fn pod(value: Value) -> Object {
    read::<Pod>(value).into()
}

/// A state, and what a receiver has of it.
struct Scene {
    state: ClusterState,
    keys: HashMap<Key, Target>,
}

impl Scene {
    fn new() -> Self {
        Self::with(false, 1000)
    }

    fn with(is_own_only: bool, max_objects: usize) -> Self {
        let scope = Scope { cluster: "kind".into(), node: "node-1".into(), is_own_only, max_objects };
        Self { state: ClusterState::new(scope), keys: HashMap::new() }
    }

    fn set(&mut self, object: impl Into<Object>) {
        self.set_at(&object.into(), 0);
    }

    fn set_at(&mut self, object: &Object, now: i64) {
        self.state.set(object, now).expect("a kept object");
        self.follow();
    }

    fn follow(&mut self) -> usize {
        let changes = self.state.take_changes();
        let count = changes.len();
        for change in changes {
            match change {
                Change::Set(key, target) => drop(self.keys.insert(key, target)),
                Change::Remove(key) => assert!(self.keys.remove(&key).is_some(), "{key:?} was not there"),
            }
        }
        count
    }

    fn entity(&self, key: &Key) -> Option<&Entity> {
        match self.keys.get(key)? {
            Target::Entity(entity) | Target::Container(entity, _) => Some(entity),
            Target::Key(key) => self.entity(key),
        }
    }

    fn owner(&self, key: &Key) -> Option<EntityRef> {
        match self.keys.get(key)? {
            Target::Key(key) => self.owner(key),
            target => target.entity(),
        }
    }

    /// Whether the owner of a key has an attribute of this value.
    fn has(&self, key: &Key, name: &str, value: &str) -> bool {
        self.owner(key).expect("an entity").attributes().any(|(known, text)| (known, &**text) == (name, value))
    }

    fn name(&self, key: &Key) -> Option<&str> {
        self.entity(key).map(|entity| entity.name.as_str())
    }

    fn at(&self, address: &str) -> Option<&str> {
        self.name(&ip(address))
    }
}

fn ip(address: &str) -> Key {
    Key::Address(address.parse().expect("an address"))
}

fn web(uid: &str, name: &str, address: &str) -> Value {
    json!({
        "metadata": {"uid": uid, "name": name, "namespace": "shop", "resourceVersion": "7",
            "labels": {"app": "web", "pod-template-hash": "5d4f"},
            "managedFields": [{"manager": "kubelet"}],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f", "uid": "rs-1", "controller": true}],
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-1", "serviceAccountName": "default", "containers": [{"name": "nginx"}]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
            "containerStatuses": [{"name": "nginx", "containerID": "containerd://c1", "state": {"running": {}}}]},
    })
}

#[test]
fn pod_has_names_of_hubble() {
    let mut scene = Scene::new();
    scene.set(pod(web("u1", "web-1", "10.0.0.1")));
    scene.set(read::<Namespace>(json!({"metadata": {"uid": "n1", "name": "shop", "labels": {"team": "a"}}})));
    scene.set(read::<EndpointSlice>(json!({
        "metadata": {"uid": "s1", "name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "uid": "u1"}}, {"addresses": null}],
    })));
    let entity = scene.entity(&ip("10.0.0.1")).expect("an entity");
    let metadata = &entity.metadata;
    assert_eq!((entity.kind, entity.name.as_str()), (EntityKind::Pod, "shop/web-1"));
    assert_eq!((&*metadata.cluster_name, &*metadata.namespace, &*entity.pod_name), ("kind", "shop", "web-1"));
    assert_eq!(
        metadata.labels,
        [
            "k8s:app=web",
            "k8s:io.cilium.k8s.namespace.labels.team=a",
            "k8s:io.cilium.k8s.policy.cluster=kind",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            "k8s:io.kubernetes.pod.namespace=shop",
        ]
    );
    assert_eq!(entity.identity, identity_of_labels(metadata.labels.iter().map(String::as_str)));
    let workload = &metadata.workloads[0];
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Deployment", "web"));
    let service = entity.service.as_ref().expect("a service");
    assert_eq!((service.namespace.as_str(), service.name.as_str()), ("shop", "web"));
    for (name, value) in
        [("k8s.pod.uid", "u1"), ("k8s.node.name", "node-1"), ("k8s.container.name", "nginx"), ("container.id", "c1")]
    {
        assert!(scene.has(&ip("10.0.0.1"), name, value), "{name}");
    }
    assert_eq!(scene.name(&Key::Container("c1".into())), Some("shop/web-1"));
    scene.state.remove(&pod(web("u1", "web-1", "10.0.0.1")));
    scene.follow();
    assert_eq!(scene.keys.len(), 0, "{:?}", scene.keys);
}

#[test]
fn containers_of_pod_are_distinct() {
    let mut scene = Scene::new();
    let mut value = web("u1", "web-1", "10.0.0.1");
    value["spec"]["containers"] = json!([{"name": "nginx"}, {"name": "envoy"}, {"name": "done"}, {"name": "waiting"}]);
    value["status"]["containerStatuses"] = json!([
        {"name": "nginx", "containerID": "containerd://c1", "state": {"running": {}}},
        {"name": "envoy", "containerID": "cri-o://c2"},
        {"name": "done", "containerID": "containerd://c3", "state": {"terminated": {"exitCode": 0}}},
        {"name": "waiting", "state": {"waiting": {}}},
    ]);
    scene.set(pod(value.clone()));
    for (id, name) in [("c1", "nginx"), ("c2", "envoy")] {
        let key = Key::Container(id.into());
        assert!(scene.has(&key, "k8s.container.name", name), "{:?}", scene.owner(&key));
        let entity = scene.entity(&key).expect("a container");
        assert_eq!((entity.kind, entity.name.as_str()), (EntityKind::Pod, "shop/web-1"));
    }
    assert!(scene.entity(&Key::Container("c3".into())).is_none());
    assert_eq!(scene.keys.len(), 4);
    assert!(scene.owner(&ip("10.0.0.1")).expect("a pod").container.is_none());
    // The same object again changes nothing.
    scene.state.set(&pod(value), 0).expect("a kept pod");
    assert_eq!(scene.follow(), 0);
}

#[test]
fn pods_share_what_is_equal() {
    let mut scene = Scene::new();
    let slice = |uid: &str, pods: &[&str]| {
        let ends: Vec<_> = pods.iter().map(|pod| json!({"targetRef": {"kind": "Pod", "uid": pod}})).collect();
        read::<EndpointSlice>(json!({"endpoints": ends, "metadata": {
            "uid": uid, "name": uid, "namespace": "shop", "labels": {"kubernetes.io/service-name": uid}}}))
    };
    scene.set(slice("b", &["u1", "u2"]));
    for number in [1, 2] {
        let mut value = web(&format!("u{number}"), &format!("web-{number}"), &format!("10.0.0.{number}"));
        value["spec"]["containers"] = json!([{"name": "nginx"}, {"name": "envoy"}]);
        value["status"]["containerStatuses"] =
            json!([{"name": "nginx", "containerID": format!("containerd://c{number}")}]);
        scene.set(pod(value));
    }
    scene.set(read::<Namespace>(json!({"metadata": {"uid": "n1", "name": "shop", "labels": {"team": "a"}}})));
    let [one, two] = ["c1", "c2"].map(|id| scene.owner(&Key::Container(id.into())).expect("a container"));
    let whole = scene.owner(&ip("10.0.0.1")).expect("a pod");
    assert!(Arc::ptr_eq(&one.entity, &whole.entity), "a container and its pod");
    assert_eq!([&one, &two].map(|owner| &*owner.entity.pod_name), ["web-1", "web-2"]);
    assert!(Arc::ptr_eq(&one.entity.metadata, &two.entity.metadata));
    assert!(one.entity.service.is_some() && one.entity.metadata.labels.iter().any(|label| label.ends_with("team=a")));
    for (of_one, of_two) in one.entity.service.iter().zip(&two.entity.service) {
        assert!(Arc::ptr_eq(of_one, of_two));
    }
    let texts = |owner: &EntityRef| {
        let container = owner.container.as_ref().expect("a container");
        [Arc::clone(&container.name), Arc::clone(&owner.entity.attributes[1].1)]
    };
    assert!(texts(&one).iter().zip(&texts(&two)).all(|(one, two)| Arc::ptr_eq(one, two)), "name and node");
    // The slices of a pod that goes and comes again.
    scene.state.remove(&pod(web("u1", "web-1", "10.0.0.1")));
    scene.set(slice("a", &["u1"]));
    scene.set(pod(web("u1", "web-1", "10.0.0.1")));
    let service = |scene: &Scene| scene.entity(&ip("10.0.0.1"))?.service.as_ref().map(|service| service.name.clone());
    assert_eq!(service(&scene).as_deref(), Some("a"), "the first by name");
    scene.set(slice("a", &[]));
    assert_eq!(service(&scene).as_deref(), Some("b"));
    scene.set(slice("b", &[]));
    assert_eq!((service(&scene), scene.state.memberships.len()), (None, 0));
}

#[test]
fn first_container_names_no_other() {
    for (row, spec, is_of_pod) in [
        ("alone", json!({"containers": [{"name": "nginx"}]}), true),
        ("the other one starts, or has ended", json!({"containers": [{"name": "nginx"}, {"name": "envoy"}]}), false),
        ("before it", json!({"containers": [{"name": "nginx"}], "initContainers": [{"name": "init"}]}), false),
        ("into it", json!({"containers": [{"name": "nginx"}], "ephemeralContainers": [{"name": "debug"}]}), false),
    ] {
        let mut scene = Scene::new();
        let mut value = web("u1", "web-1", "10.0.0.1");
        value["spec"] = spec;
        scene.set(pod(value));
        let has = |key: &Key| scene.has(key, "k8s.container.name", "nginx");
        assert!(has(&Key::Container("c1".into())), "{row}");
        assert_eq!(has(&Key::Pod("u1".into())), is_of_pod, "{row}");
    }
}

#[test]
fn reused_address_names_new_pod() {
    let mut scene = Scene::new();
    let aged = |uid: &str, created: &str, edit: &dyn Fn(&mut Value)| {
        let mut value = web(uid, uid, "10.0.0.1");
        value["metadata"]["creationTimestamp"] = json!(created);
        value["status"]["containerStatuses"] = json!([]);
        edit(&mut value);
        pod(value)
    };
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z");
    let ends = |value: &mut Value| value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
    let over = |value: &mut Value| value["status"]["phase"] = json!("Succeeded");
    scene.set(aged("a", early, &|_| {}));
    scene.set(aged("b", late, &|_| {}));
    assert_eq!(scene.at("10.0.0.1"), Some("shop/b"));
    scene.set(aged("a", early, &|_| {}));
    assert_eq!(scene.at("10.0.0.1"), Some("shop/b"), "the former pod reports again");
    scene.set(aged("b", late, &over));
    scene.set(aged("a", early, &|_| {}));
    assert_eq!(scene.at("10.0.0.1"), None, "the former pod does not get it back");
    scene.set(aged("c", early, &|_| {}));
    assert_eq!(scene.at("10.0.0.1"), Some("shop/c"));
    scene.set(aged("c", early, &ends));
    assert_eq!(scene.at("10.0.0.1"), Some("shop/c"), "it is being deleted and still there");
    let deadline = scene.state.next_deadline().expect("a deadline");
    scene.state.expire(deadline - 1);
    assert_eq!(scene.follow(), 0);
    scene.state.expire(deadline);
    scene.follow();
    assert_eq!(scene.at("10.0.0.1"), None, "its time to end is over");
    scene.set_at(&aged("c", early, &ends), deadline + 1);
    assert_eq!(scene.at("10.0.0.1"), None, "a late report");
    assert_eq!(scene.state.next_deadline(), None);
}

#[test]
fn host_network_pod_has_no_address() {
    let mut scene = Scene::new();
    scene.set(read::<Node>(json!({"metadata": {"uid": "n1", "name": "node-1"}, "status": {"addresses": [
        {"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "node-1"}]}})));
    let mut value = web("u1", "proxy", "192.0.2.1");
    value["spec"]["hostNetwork"] = json!(true);
    value["metadata"]["annotations"] = json!({"kubernetes.io/config.hash": "0123456789abcdef", "other": "text"});
    scene.set(pod(value));
    assert_eq!(scene.at("192.0.2.1"), Some("node-1"));
    assert_eq!(scene.name(&Key::Pod("u1".into())), Some("shop/proxy"));
    assert_eq!(scene.name(&Key::Pod("0123456789abcdef".into())), Some("shop/proxy"), "a static pod's control group");
}

#[test]
fn nodes_have_reserved_identities() {
    let mut scene = Scene::new();
    for (name, address) in [("node-1", "192.0.2.1"), ("node-2", "192.0.2.2"), ("node-3", "192.0.2.3")] {
        scene.set(read::<Node>(json!({"metadata": {"uid": name, "name": name},
            "status": {"addresses": [{"address": address}]}})));
    }
    let slice = |addresses: &[&str]| {
        read::<EndpointSlice>(json!({
            "metadata": {"uid": "k", "name": "kubernetes", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "endpoints": [{"addresses": addresses}],
        }))
    };
    scene.set(slice(&["192.0.2.2", "192.0.2.9"]));
    let identity = |scene: &Scene, address| scene.entity(&ip(address)).map(|entity| entity.identity);
    for (address, expected) in
        [("192.0.2.1", Some(1)), ("192.0.2.2", Some(7)), ("192.0.2.3", Some(6)), ("192.0.2.9", Some(7))]
    {
        assert_eq!(identity(&scene, address), expected, "{address}");
    }
    assert_eq!(scene.at("192.0.2.2"), Some("node-2"));
    scene.set(slice(&["192.0.2.3"]));
    assert_eq!([identity(&scene, "192.0.2.2"), identity(&scene, "192.0.2.3")], [Some(6), Some(7)]);
    assert_eq!(identity(&scene, "192.0.2.9"), None);
}

#[test]
fn owners_lead_to_workloads() {
    let owned = |kind: &str, name: &str, uid: &str, labels: Value| {
        let mut value = web("u1", "x", "10.0.0.1");
        value["metadata"]["labels"] = labels;
        value["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
        pod(value)
    };
    let owner = |kind: &str, name: &str| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "o", "controller": true}]);
    let mut scene = Scene::new();
    scene.set(read::<ReplicaSet>(
        json!({"metadata": {"uid": "rs", "name": "odd", "ownerReferences": owner("Deployment", "api")}}),
    ));
    scene.set(read::<ReplicaSet>(json!({"metadata": {"uid": "lone", "name": "lone"}})));
    scene.set(read::<Job>(
        json!({"metadata": {"uid": "job", "name": "by-hand", "ownerReferences": owner("CronJob", "backup")}}),
    ));
    scene.set(read::<Job>(json!({"metadata": {"uid": "own", "name": "import-20260101"}})));
    for (kind, name, uid, labels, expected) in [
        ("ReplicaSet", "odd", "rs", json!({}), "Deployment api"),
        ("ReplicaSet", "lone", "lone", json!({}), "ReplicaSet lone"),
        ("ReplicaSet", "web-5d4f", "new", json!({"pod-template-hash": "5d4f"}), "Deployment web"),
        ("ReplicaSet", "web-5d4f", "new", json!({}), "ReplicaSet web-5d4f"),
        ("StatefulSet", "db", "sts", json!({}), "StatefulSet db"),
        ("DaemonSet", "agent", "ds", json!({}), "DaemonSet agent"),
        ("Job", "by-hand", "job", json!({}), "CronJob backup"),
        ("Job", "import-20260101", "own", json!({}), "Job import-20260101"),
        ("Job", "backup-28912345", "unknown", json!({}), "CronJob backup"),
        ("Node", "node-1", "node", json!({}), ""),
    ] {
        scene.set(owned(kind, name, uid, labels));
        let workloads = &scene.entity(&Key::Pod("u1".into())).expect("a pod").metadata.workloads;
        let text: Vec<_> = workloads.iter().map(|workload| format!("{} {}", workload.kind, workload.name)).collect();
        assert_eq!(text.join(", "), expected, "{kind} {name}");
    }
    // An owner that comes later.
    scene.set(owned("Job", "late", "late", json!({})));
    scene.set(read::<Job>(
        json!({"metadata": {"uid": "late", "name": "late", "ownerReferences": owner("CronJob", "x")}}),
    ));
    assert_eq!(scene.entity(&Key::Pod("u1".into())).expect("a pod").metadata.workloads[0].kind, "CronJob");
}

#[test]
fn services_have_addresses_and_ports() {
    let mut scene = Scene::new();
    let service = |ports: Value| {
        read::<Service>(json!({
            "metadata": {"uid": "s1", "name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"], "ports": ports},
        }))
    };
    scene.set(service(json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])));
    let key = |address: &str, port, protocol| Key::Service { address: address.parse().expect("an IP"), port, protocol };
    for (address, port, protocol) in
        [("10.96.0.1", 80, 6), ("fd00::1", 80, 6), ("10.96.0.1", 53, 17), ("fd00::1", 53, 17)]
    {
        assert_eq!(scene.name(&key(address, port, protocol)), Some("shop/web"), "{address} {port}");
    }
    scene.set(service(json!([{"port": 80}])));
    assert_eq!(scene.keys.len(), 2);
    scene.set(read::<Service>(json!({"metadata": {"uid": "s2", "name": "none", "namespace": "shop"},
        "spec": {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]}})));
    assert_eq!(scene.keys.len(), 2, "a headless service has no address");
    scene.state.begin(Kind::Services);
    scene.state.finish(Kind::Services);
    scene.follow();
    assert!(scene.keys.is_empty(), "the next list has none");
}

#[test]
fn listing_removes_missing_objects() {
    let mut scene = Scene::new();
    for (uid, address) in [("a", "10.0.0.1"), ("b", "10.0.0.2")] {
        scene.set(pod(web(uid, uid, address)));
    }
    scene.state.begin(Kind::Pods);
    scene.set(pod(web("b", "b", "10.0.0.2")));
    scene.set(pod(web("c", "c", "10.0.0.1")));
    scene.state.finish(Kind::Pods);
    scene.follow();
    assert_eq!((scene.at("10.0.0.1"), scene.at("10.0.0.2")), (Some("shop/c"), Some("shop/b")));
    assert_eq!(scene.state.objects(), 2);
}

#[test]
fn objects_beyond_limit_are_refused() {
    for max in [0, 1, 7, 8] {
        let mut scene = Scene::with(false, max);
        for number in 0..8 {
            let (uid, address) = (format!("u{number}"), format!("10.0.0.{number}"));
            let expected = if number < max { Ok(()) } else { Err(Dropped::Limit) };
            assert_eq!(scene.state.set(&pod(web(&uid, &uid, &address)), 0), expected, "{number} of {max}");
        }
        assert_eq!(scene.state.objects(), max.min(8));
        assert_eq!(scene.state.set(&pod(web("u0", "u0", "10.0.0.9")), 0).is_ok(), max > 0, "a known one changes");
    }
    let mut scene = Scene::new();
    for value in [json!({"metadata": {"name": "x"}}), json!({"metadata": {"uid": "u", "name": "n".repeat(254)}})] {
        assert_eq!(scene.state.set(&pod(value), 0), Err(Dropped::Invalid));
    }
}

#[test]
fn own_scope_skips_endpoints_elsewhere() {
    let mut scene = Scene::with(true, 1000);
    scene.set(read::<EndpointSlice>(json!({
        "metadata": {"uid": "s1", "name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [
            {"nodeName": "node-1", "targetRef": {"kind": "Pod", "uid": "u1"}},
            {"nodeName": "node-2", "targetRef": {"kind": "Pod", "uid": "u2"}},
        ],
    })));
    for (uid, has_service) in [("u1", true), ("u2", false)] {
        scene.set(pod(web(uid, uid, "10.0.0.1")));
        assert_eq!(scene.entity(&Key::Pod(uid.into())).expect("a pod").service.is_some(), has_service, "{uid}");
    }
}
