//! Names, owners, services and nodes, as the server has them.

use anyhow::Result;
use eyepiece::metadata::identity_of_labels;
use eyepiece::metadata::provider::{EntityKind, Key};
use eyepiece_config::PodScope;
use serde_json::{Value, json};

use crate::cluster::{Admin, Cluster, needs_cluster, pod, pods};
use crate::provided::Provided;

/// Owner references to an object.
pub(crate) fn owned(kind: &str, owner: &Value, labels: &Value) -> Value {
    let group = if kind.ends_with("Job") { "batch/v1" } else { "apps/v1" };
    json!([{"apiVersion": group, "kind": kind, "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": labels.is_null()}])
}

/// A template of pods that never run.
pub(crate) fn template(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "none"}], "restartPolicy": "Never"}})
}

/// Creates workloads of each kind with a pod each, as their controllers would.
async fn workloads(admin: &Admin, namespace: &str) -> Result<()> {
    let labels = json!({"app": "web", "pod-template-hash": "5d4f"});
    let mut always = template(&labels);
    always["spec"]["restartPolicy"] = json!("Always");
    let spec = json!({"selector": {"matchLabels": labels}, "template": always, "serviceName": "web"});
    let apps = |plural: &str| format!("/apis/apps/v1/namespaces/{namespace}/{plural}");
    let batch = |plural: &str| format!("/apis/batch/v1/namespaces/{namespace}/{plural}");
    let object = |name: &str, spec: &Value| json!({"metadata": {"name": name, "labels": labels}, "spec": spec});

    let deployment = admin.create(&apps("deployments"), &object("web", &spec)).await?;
    let mut set = object("web-5d4f", &spec);
    set["metadata"]["ownerReferences"] = owned("Deployment", &deployment, &labels);
    let set = admin.create(&apps("replicasets"), &set).await?;
    let stateful = admin.create(&apps("statefulsets"), &object("db", &spec)).await?;
    let daemon = admin.create(&apps("daemonsets"), &object("agent", &spec)).await?;
    let job_spec = json!({"template": template(&json!({}))});
    let cron_spec = json!({"schedule": "0 0 * * *", "jobTemplate": {"spec": job_spec}});
    let cron = admin.create(&batch("cronjobs"), &object("backup", &cron_spec)).await?;
    let mut run = json!({"metadata": {"name": "by-hand"}, "spec": job_spec});
    run["metadata"]["ownerReferences"] = owned("CronJob", &cron, &labels);
    let run = admin.create(&batch("jobs"), &run).await?;
    let job = admin.create(&batch("jobs"), &json!({"metadata": {"name": "import"}, "spec": job_spec})).await?;

    let owners = [("ReplicaSet", set), ("StatefulSet", stateful), ("DaemonSet", daemon), ("Job", run), ("Job", job)];
    for (number, (kind, owner)) in owners.iter().enumerate() {
        let mut made = pod(namespace, &format!("p{number}"), &format!("10.1.0.{number}"));
        made["metadata"]["labels"] = labels.clone();
        made["metadata"]["ownerReferences"] = owned(kind, owner, &labels);
        let id = |name: &str| format!("containerd://{name}{number}");
        made["status"]["containerStatuses"] = json!([{"name": "main", "containerID": id("c"), "image": "none",
            "imageID": "none", "ready": true, "restartCount": 0, "state": {"running": {}}}]);
        admin.create(&pods(namespace), &made).await?;
    }
    Ok(())
}

/// Creates the service `web`, with a pod of a node behind it: its name, uid and address.
pub(crate) async fn service(admin: &Admin, namespace: &str, node: &str, pod: [&str; 3]) -> Result<()> {
    let spec = json!({"clusterIP": "10.96.7.7", "ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]});
    admin
        .create(
            &format!("/api/v1/namespaces/{namespace}/services"),
            &json!({"metadata": {"name": "web"}, "spec": spec}),
        )
        .await?;
    let [name, uid, address] = pod;
    let slice = json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "nodeName": node,
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": name, "uid": uid}}],
    });
    admin.create(&format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"), &slice).await?;
    Ok(())
}

#[test]
fn entities_match_objects_of_server() {
    let programs = needs_cluster!();
    let cluster = Cluster::shared(&programs).expect("a cluster");
    let provided = Provided::start(cluster.kubeconfig("eyepiece"), PodScope::Cluster).expect("a provider");
    provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.namespace("shop").await.expect("a namespace");
        workloads(&admin, "shop").await.expect("workloads");
        let first = admin.patch(&format!("{}/p0", pods("shop")), &json!({})).await.expect("the first pod");
        let uid = first["metadata"]["uid"].as_str().expect("a uid");
        service(&admin, "shop", "node-1", ["p0", uid, "10.1.0.0"]).await.expect("a service");
        for (name, address) in [("node-1", "192.0.2.1"), ("node-2", "192.0.2.2")] {
            let status = json!({"addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]});
            admin.create("/api/v1/nodes", &json!({"metadata": {"name": name}, "status": status})).await.expect("a node");
        }
        let mut host = pod("shop", "proxy", "192.0.2.1");
        host["spec"]["hostNetwork"] = json!(true);
        admin.create(&pods("shop"), &host).await.expect("a pod on the host's network");
    });
    for (number, workload) in
        ["Deployment web", "StatefulSet db", "DaemonSet agent", "CronJob backup", "Job import"].into_iter().enumerate()
    {
        provided.wait(workload, |seen| {
            let metadata = &seen.entity(&Key::Container(format!("c{number}").into()))?.metadata;
            let found = metadata.workloads.first()?;
            (format!("{} {}", found.kind, found.name) == workload).then_some(())
        });
    }
    check_first(&provided);
    check_addresses(&provided);
    drop(provided);
}

fn check_first(provided: &Provided) {
    provided.wait("no service of the pod", |seen| {
        let entity = seen.entity(&Key::Address([10, 1, 0, 0].into()))?;
        let service = entity.service.as_ref()?;
        assert_eq!((service.namespace.as_str(), service.name.as_str()), ("shop", "web"));
        assert_eq!((entity.kind, entity.name.as_str()), (EntityKind::Pod, "shop/p0"));
        assert_eq!((&*entity.metadata.cluster_name, &*entity.pod_name), ("kind", "p0"));
        let expected = [
            "k8s:app=web",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop",
            "k8s:io.cilium.k8s.namespace.labels.team=shop",
            "k8s:io.cilium.k8s.policy.cluster=kind",
            "k8s:io.cilium.k8s.policy.serviceaccount=default",
            "k8s:io.kubernetes.pod.namespace=shop",
        ];
        assert_eq!(entity.metadata.labels, expected);
        assert_eq!(entity.identity, identity_of_labels(expected));
        let uid = entity.attributes.iter().find(|(key, _)| *key == "k8s.pod.uid").map(|(_, uid)| &**uid)?;
        assert_eq!(seen.entity(&Key::Pod(uid.into())), Some(entity));
        Some(())
    });
}

fn check_addresses(provided: &Provided) {
    for (port, protocol) in [(80, 6), (53, 17)] {
        let key = Key::Service { address: [10, 96, 7, 7].into(), port, protocol };
        provided.wait("no service", |seen| (seen.entity(&key)?.kind == EntityKind::Service).then_some(()));
    }
    // The node's own pod does not take its address; the API server writes its own endpoint.
    for (address, name, identity) in
        [("192.0.2.1", "node-1", 1), ("192.0.2.2", "node-2", 6), ("192.0.2.100", "kube-apiserver", 7)]
    {
        provided.wait(name, |seen| {
            let entity = seen.entity(&Key::Address(address.parse().ok()?))?;
            ((entity.name.as_str(), entity.identity) == (name, identity)).then_some(())
        });
    }
    provided.wait("no pod of the host's network", |seen| {
        seen.keys
            .keys()
            .find(|key| matches!(key, Key::Pod(_)) && seen.entity(key).is_some_and(|pod| pod.name == "shop/proxy"))?;
        Some(())
    });
}

#[test]
fn node_scope_has_own_pods() {
    let programs = needs_cluster!();
    let cluster = Cluster::shared(&programs).expect("a cluster");
    let provided = Provided::start(cluster.kubeconfig("eyepiece"), PodScope::Node).expect("a provider");
    provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.namespace("scope").await.expect("a namespace");
        let mut other = pod("scope", "elsewhere", "10.2.0.1");
        other["spec"]["nodeName"] = json!("node-2");
        admin.create(&pods("scope"), &other).await.expect("a pod elsewhere");
        admin.create(&pods("scope"), &pod("scope", "here", "10.2.0.2")).await.expect("a pod here");
    });
    provided.wait_for_name("10.2.0.2", Some("scope/here"));
    provided.wait_for_name("10.2.0.1", None);
}
