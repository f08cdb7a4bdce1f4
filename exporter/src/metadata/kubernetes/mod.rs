//! The provider of names from a Kubernetes API server: pods, services and their endpoints, nodes, namespaces, owners.
//!
//! A task for each kind of objects lists and watches it (`follow`); the provider's task joins what they send in a
//! `cluster_state` and sends the receiver what has changed. The server may be away, slow, hostile or of few rights: the
//! last state stays, and whatever it costs has a limit (`limits`).

mod bounded;
mod client;
mod cluster_state;
mod failure;
mod follow;
mod health;
mod labels;
mod limits;
mod objects;
mod publish;

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eyepiece_config::{Enabled, PodScope};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

pub(crate) use self::client::check_kubeconfig;
use self::cluster_state::Scope;
use self::follow::{Follower, ObjectEvent};
use self::limits::Limits;
use self::objects::{EndpointSlice, Job, Kind, Namespace, Node, Pod, ReplicaSet, Service};
use self::publish::Publication;
use super::provider::ChangeReceiver;
use crate::support::backoff::Backoff;
use crate::support::shutdown::{Stop, requested};
use crate::support::telemetry::Telemetry;

/// Events that wait for the provider: about a page of each list. A full queue stops the reading of answers.
const QUEUE: usize = 256;
/// Events that are applied at once: all that wait.
const BATCH: usize = QUEUE;

/// Returns whether this machine is a node of the cluster by `node.name`: we run in a pod, or ask for that node's pods.
pub fn is_node(settings: &eyepiece_config::Kubernetes) -> bool {
    is_enabled(settings) && (client::is_in_cluster() || settings.scope == PodScope::Node)
}

fn is_enabled(settings: &eyepiece_config::Kubernetes) -> bool {
    match settings.enabled {
        Enabled::On => true,
        Enabled::Off => false,
        Enabled::Auto => settings.kubeconfig.is_some() || client::is_in_cluster(),
    }
}

/// The provider, not yet running.
pub struct Kubernetes {
    kubeconfig: Option<PathBuf>,
    scope: Scope,
    receiver: Arc<dyn ChangeReceiver>,
    telemetry: Telemetry,
    limits: Limits,
}

impl Kubernetes {
    /// A provider for the node of a name in the cluster of a name. Returns `None` if the settings turn it off, or are
    /// `auto` and no cluster is configured.
    pub fn new(
        settings: &eyepiece_config::Kubernetes,
        node: &str,
        cluster: &str,
        receiver: Arc<dyn ChangeReceiver>,
        telemetry: &Telemetry,
    ) -> Option<Self> {
        let limits = Limits::default();
        let scope = Scope {
            cluster: cluster.to_owned(),
            node: node.to_owned(),
            is_own_only: settings.scope == PodScope::Node,
            max_objects: limits.objects,
        };
        let (kubeconfig, telemetry) = (settings.kubeconfig.clone(), telemetry.clone());
        is_enabled(settings).then_some(Self { kubeconfig, scope, receiver, telemetry, limits })
    }

    /// Runs until the stop. What was sent to the receiver stays there.
    pub async fn run(self, mut stop: Stop) {
        tokio::select! {
            _ = requested(&mut stop) => {}
            () = self.provide() => {}
        }
    }

    async fn provide(self) {
        let mut publication = Publication::new(self.scope.clone(), Arc::clone(&self.receiver), &self.telemetry);
        let client = self.connect(&mut publication).await;
        let (out, mut events) = mpsc::channel(QUEUE);
        let mut followers = JoinSet::new();
        for kind in Kind::ALL {
            let fields =
                (kind == Kind::Pods && self.scope.is_own_only).then(|| format!("spec.nodeName={}", self.scope.node));
            let (client, out) = (client.clone(), out.clone());
            let follower = Follower { kind, client, fields, limits: self.limits, out };
            match kind {
                Kind::Namespaces => followers.spawn(follower.run::<Namespace>()),
                Kind::Nodes => followers.spawn(follower.run::<Node>()),
                Kind::ReplicaSets => followers.spawn(follower.run::<ReplicaSet>()),
                Kind::Jobs => followers.spawn(follower.run::<Job>()),
                Kind::Services => followers.spawn(follower.run::<Service>()),
                Kind::EndpointSlices => followers.spawn(follower.run::<EndpointSlice>()),
                Kind::Pods => followers.spawn(follower.run::<Pod>()),
            };
        }
        let settled_at = Instant::now() + self.limits.settle;
        let mut batch: Vec<(Kind, ObjectEvent)> = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                _ = events.recv_many(&mut batch, BATCH) => {}
                () = wait(publication.next_deadline()) => {}
                () = sleep_until(settled_at), if !publication.has_begun() && Instant::now() < settled_at => {}
            }
            for (kind, event) in batch.drain(..) {
                publication.apply(kind, event, SystemTime::now());
            }
            publication.publish(SystemTime::now(), Instant::now() >= settled_at);
        }
    }

    /// Waits until there is a client: a kubeconfig or a token may come later.
    async fn connect(&self, publication: &mut Publication) -> kube::Client {
        let mut backoff = Backoff::new(self.limits.backoff, fastrand::Rng::new());
        let mut last = None;
        loop {
            match client::connect(self.kubeconfig.as_deref()).await {
                Ok(client) => return client,
                Err(error) => {
                    if last.as_ref() != Some(&error) {
                        warn!("kubernetes: {error}");
                    }
                    publication.report_unavailable(&error);
                    last = Some(error);
                }
            }
            sleep(backoff.delay()).await;
        }
    }
}

/// Waits until a time, in seconds since 1970.
async fn wait(until: Option<i64>) {
    let Some(until) = until else { return pending().await };
    let until = UNIX_EPOCH + Duration::from_secs(u64::try_from(until).unwrap_or_default());
    // A deadline far ahead, or a clock that is set meanwhile, is looked at again.
    let left = until.duration_since(SystemTime::now()).unwrap_or_default().min(Duration::from_secs(60));
    sleep(left + Duration::from_millis(1)).await;
}

#[cfg(test)]
mod tests;
