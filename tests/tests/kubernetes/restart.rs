//! A server that is away and comes back, with versions that it no longer has.

use eyepiece::metadata::provider::Condition;
use eyepiece_config::PodScope;

use crate::cluster::{Cluster, needs_cluster, pod, pods};
use crate::provided::Provided;

#[test]
fn restarted_server_is_followed_again() {
    let programs = needs_cluster!();
    // Of its own: other tests need their server.
    let cluster = Cluster::start(&programs, None).expect("a cluster");
    let mut provided = Provided::start(cluster.kubeconfig("eyepiece"), PodScope::Cluster).expect("a provider");
    provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.namespace("away").await.expect("a namespace");
        for (name, address) in [("stays", "10.5.0.1"), ("goes", "10.5.0.2")] {
            admin.create(&pods("away"), &pod("away", name, address)).await.expect("a pod");
        }
    });
    provided.wait_for_name("10.5.0.1", Some("away/stays"));
    provided.wait_for_name("10.5.0.2", Some("away/goes"));
    provided.wait_until_current();

    cluster.kill_server().expect("a killed server");
    let is_stale = |condition: &Option<Condition>| matches!(condition, Some(Condition::Stale { .. }));
    provided.wait("not stale", |seen| is_stale(&seen.condition).then_some(()));
    provided.wait_for_name("10.5.0.2", Some("away/goes"));
    // The new server's history begins after this deletion: it refuses to continue from before.
    cluster.delete_in_etcd("/registry/pods/away/goes").expect("a deleted pod");
    cluster.start_server().expect("a server");
    provided.wait_for_name("10.5.0.2", None);
    provided.wait_for_name("10.5.0.1", Some("away/stays"));
    provided.wait_until_current();
    assert!(provided.failures("gone") > 0, "no version was refused");
    provided.block_on(async {
        let admin = cluster.admin().await.expect("an admin");
        admin.create(&pods("away"), &pod("away", "new", "10.5.0.2")).await.expect("a pod");
    });
    provided.wait_for_name("10.5.0.2", Some("away/new"));
    assert!(provided.stop() > 0, "what was sent stays");
}
