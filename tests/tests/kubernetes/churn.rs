//! Many pods that come and go, and addresses that are used again.

use std::collections::HashMap;
use std::time::Instant;

use eyepiece::metadata::provider::Key;
use eyepiece_config::PodScope;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cluster::{Admin, Cluster, needs_cluster, pod, pods};
use crate::provided::Provided;

const NAMESPACE: &str = "churn";
/// Pods in all, those at the same time, and requests at the same time.
const PODS: usize = 2000;
const ALIVE: usize = 500;
const CLIENTS: usize = 16;

/// The address of the pod of a number: that of an earlier one.
fn address(number: usize) -> String {
    let slot = number % ALIVE;
    format!("10.3.{}.{}", slot / 250, slot % 250 + 1)
}

/// Creates each pod with the address of the one that it takes the place of, which is deleted before.
async fn churn(admin: &Admin) {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let admin = admin.clone();
        clients.spawn(async move {
            // A client keeps to its addresses, so that each one's pods follow one another.
            for number in (0..PODS).filter(|number| number % ALIVE % CLIENTS == client) {
                if let Some(former) = number.checked_sub(ALIVE) {
                    admin.delete(&format!("{}/p{former}", pods(NAMESPACE)), 0).await.expect("a deleted pod");
                }
                let made = pod(NAMESPACE, &format!("p{number}"), &address(number));
                admin.create(&pods(NAMESPACE), &made).await.expect("a pod");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client without panic");
    }
}

#[test]
fn churn_of_pods_is_followed() {
    let programs = needs_cluster!();
    let cluster = Cluster::shared(&programs).expect("a cluster");
    let provided = Provided::start(cluster.kubeconfig("eyepiece"), PodScope::Cluster).expect("a provider");
    provided.wait_until_current();
    let start = Instant::now();
    provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.namespace(NAMESPACE).await.expect("a namespace");
        churn(&admin).await;
    });
    let written = start.elapsed();
    for number in PODS - ALIVE..PODS {
        provided.wait_for_name(&address(number), Some(&format!("{NAMESPACE}/p{number}")));
    }
    println!("{PODS} pods were written in {written:?} and known {:?} later", start.elapsed().saturating_sub(written));
    let of_churn = |name: &str| name.starts_with("churn/");
    let known = provided.wait("pods that are gone", |seen| {
        let pods = seen.keys.keys().filter(|key| matches!(key, Key::Pod(_)));
        let count = pods.filter(|key| seen.entity(key).is_some_and(|pod| of_churn(&pod.name))).count();
        (count == ALIVE).then_some(count)
    });
    assert_eq!(known, ALIVE);
    provided.wait("no history", |seen| {
        // No address led back to a pod that was followed by another.
        let mut last: HashMap<&Key, usize> = HashMap::new();
        for (key, target) in seen.history.iter().filter(|(key, _)| matches!(key, Key::Address(_))) {
            let Some(eyepiece::metadata::provider::Target::Key(to)) = target else { continue };
            let order = seen.history.iter().position(|(key, _)| key == to)?;
            assert!(last.insert(key, order).is_none_or(|before| before < order), "{key:?} went back");
        }
        Some(())
    });
}

#[test]
fn reused_address_names_new_pod() {
    let programs = needs_cluster!();
    let cluster = Cluster::shared(&programs).expect("a cluster");
    let provided = Provided::start(cluster.kubeconfig("eyepiece"), PodScope::Cluster).expect("a provider");
    let admin = provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.namespace("reuse").await.expect("a namespace");
        admin
    });
    let create = |name: &str| {
        let made = pod("reuse", name, "10.4.0.1");
        provided.block_on(admin.create(&pods("reuse"), &made)).expect("a pod");
        provided.wait_for_name("10.4.0.1", Some(&format!("reuse/{name}")));
    };
    create("a");
    // It is being deleted, and still has the address when the next one gets it.
    provided.block_on(admin.delete(&format!("{}/a", pods("reuse")), 30)).expect("a deleted pod");
    provided.wait_for_name("10.4.0.1", Some("reuse/a"));
    create("b");
    // It ends: the former pod, although it is still there, does not get the address back.
    let ended = json!({"status": {"phase": "Succeeded"}});
    provided.block_on(admin.patch(&format!("{}/b/status", pods("reuse")), &ended)).expect("an ended pod");
    provided.wait_for_name("10.4.0.1", None);
    create("c");
    provided.block_on(admin.delete(&format!("{}/a", pods("reuse")), 0)).expect("a deleted pod");
    provided.block_on(admin.delete(&format!("{}/c", pods("reuse")), 2)).expect("a deleted pod");
    // No kubelet confirms: the address is free when the time is over.
    provided.wait_for_name("10.4.0.1", None);
}
