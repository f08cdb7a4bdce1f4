//! Missing rights: each is named, and what may be read is provided.

use eyepiece::metadata::provider::Condition;
use eyepiece_config::PodScope;
use serde_json::json;

use crate::cluster::{Cluster, needs_cluster, pod, pods};
use crate::provided::{Provided, Seen};

#[test]
fn missing_rights_are_named() {
    let programs = needs_cluster!();
    let cluster = Cluster::shared(&programs).expect("a cluster");
    let provided = Provided::start(cluster.kubeconfig("limited"), PodScope::Cluster).expect("a provider");
    let all = "cannot list pods: 403";
    provided.wait("pods are not refused", |seen| error(seen).filter(|error| error.contains(all)));
    drop(provided);
    grant_some(&cluster);
    let provided = Provided::start(cluster.kubeconfig("limited"), PodScope::Cluster).expect("a provider");
    provided.wait_for_name("10.6.0.1", Some("rights/a"));
    for text in [
        "cannot watch nodes: 403",
        "cannot list endpointslices.discovery.k8s.io: 403",
        "cannot list replicasets.apps: 403",
        "cannot list jobs.batch: 403",
        "docker/kubernetes/rbac.yaml",
    ] {
        provided.wait(text, |seen| error(seen).filter(|error| error.contains(text)));
    }
}

/// The error of what is not reached.
fn error(seen: &Seen) -> Option<String> {
    match &seen.condition {
        Some(Condition::Connecting(Some(error))) => Some(error.clone()),
        _ => None,
    }
}

/// Gives the limited user some of the rights, and makes a pod.
fn grant_some(cluster: &Cluster) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        let rules = json!([{"apiGroups": [""], "resources": ["pods", "namespaces", "services"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]);
        let rbac = "/apis/rbac.authorization.k8s.io/v1";
        let role = json!({"metadata": {"name": "limited"}, "rules": rules});
        admin.create(&format!("{rbac}/clusterroles"), &role).await.expect("a role");
        let binding = json!({"metadata": {"name": "limited"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "limited"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}]});
        admin.create(&format!("{rbac}/clusterrolebindings"), &binding).await.expect("a binding");
        admin.namespace("rights").await.expect("a namespace");
        admin.create(&pods("rights"), &pod("rights", "a", "10.6.0.1")).await.expect("a pod");
    });
}
