//! The memory of a pod of two containers: the provider's state with the entity, and the registry of names.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eyepiece::metadata::kubernetes::Kubernetes;
use eyepiece::metadata::provider::{Change, ChangeReceiver, Condition, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{Publisher, WantedTexts};
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::{Context, PodScope};
use eyepiece_flow::interner::Symbols;
use eyepiece_tests::kubeconfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::counting::held;

const PODS: usize = 2000;
const PAGE: usize = 100;
/// Keys of a pod: the pod, its address, its containers.
const KEYS: usize = 4;
/// Bytes of a pod in the provider. Its entity, which the registry shares, is a part of them.
const MAX_BYTES: isize = 1024;
/// Bytes of a pod in the provider and the registry.
const MAX_BYTES_WITH_REGISTRY: isize = 2560;

fn pod(number: usize) -> Value {
    let name = format!("checkout-7c9d5b6f4-{number:05}");
    let uid = format!("7e0f6a6c-0d6b-4d8e-9c53-{number:012}");
    let address = format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    let container = |name: &str, place: usize| {
        let id = format!("containerd://{place:032x}{number:032x}");
        json!({"name": name, "containerID": id, "state": {"running": {}}})
    };
    json!({
        "metadata": {"uid": uid, "name": name, "namespace": "shop", "resourceVersion": "4",
            "labels": {"app.kubernetes.io/component": "backend", "app.kubernetes.io/instance": "checkout-eu",
                "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "checkout",
                "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/version": "1.2.3",
                "helm.sh/chart": "checkout-1.2.3",
                "pod-template-hash": "7c9d5b6f4", "team": "payments", "topology.example/zone": "eu-1a"},
            "annotations": {"text": "x".repeat(500)},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-7c9d5b6f4",
                "uid": "5c1b7e9d-3f0a-4c55-8e21-000000000001", "controller": true}]},
        "spec": {"nodeName": "node-1", "serviceAccountName": "checkout",
            "containers": [{"name": "checkout"}, {"name": "envoy"}]},
        "status": {"phase": "Running", "podIP": address,
            "containerStatuses": [container("checkout", 1), container("envoy", 2)]},
    })
}

/// The first page from an object on.
fn page(collection: &str, from: usize, pods: usize) -> Value {
    let list = |items: Vec<Value>, more: Option<usize>| {
        let token = more.map(|next| next.to_string());
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "5", "continue": token}, "items": items})
    };
    let until = pods.min(from + PAGE);
    match collection {
        "pods" => list((from..until).map(pod).collect(), (until < pods).then_some(until)),
        "namespaces" => list(
            vec![json!({"metadata": {"uid": "n", "name": "shop", "labels": {"kubernetes.io/metadata.name": "shop"}}})],
            None,
        ),
        "endpointslices" => {
            let slice = |number: usize| {
                let ends: Vec<_> = (number * PAGE..pods.min((number + 1) * PAGE))
                    .map(|at| json!({"targetRef": {"kind": "Pod", "uid": pod(at)["metadata"]["uid"]}}))
                    .collect();
                json!({"metadata": {"uid": number.to_string(), "name": number.to_string(), "namespace": "shop",
                    "labels": {"kubernetes.io/service-name": "checkout"}}, "endpoints": ends})
            };
            list((0..pods.div_ceil(PAGE)).map(slice).collect(), None)
        }
        _ => list(Vec::new(), None),
    }
}

async fn answer(mut stream: TcpStream, pods: usize) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
    if query.contains("watch=") {
        return stream.read_u8().await.map(drop);
    }
    let from = query.split('&').find_map(|part| part.strip_prefix("continue=")).and_then(|from| from.parse().ok());
    let collection = path.rsplit('/').next().unwrap_or_default();
    stream.write_all(page(collection, from.unwrap_or(0), pods).to_string().as_bytes()).await
}

/// Counts the entries of a full listing.
#[derive(Default)]
struct Counter(AtomicUsize);

impl ChangeReceiver for Counter {
    fn apply(&self, _: Provider, _: Vec<Change>) {}

    fn replace(&self, _: Provider, entries: Vec<(Key, Target)>) {
        self.0.store(entries.len(), Ordering::Relaxed);
    }

    fn report(&self, _: Provider, _: Condition, _: usize) {}
}

/// The bytes that a provider of so many pods holds alone, and with a registry.
async fn bytes_of(pods: usize) -> (isize, isize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, pods));
        }
    });
    let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let text = kubeconfig::kubeconfig(&json!({"server": format!("http://{address}")}), &json!({}));
    std::fs::write(kubeconfig.path(), text).expect("a kubeconfig");
    let settings = eyepiece_config::Kubernetes {
        kubeconfig: Some(kubeconfig.path().to_owned()),
        scope: PodScope::Cluster,
        ..eyepiece_config::Kubernetes::default()
    };
    let counter = Arc::<Counter>::default();
    let receiver = Arc::<Counter>::clone(&counter);
    let alone = held_by(&settings, receiver, || counter.0.load(Ordering::Relaxed) >= KEYS * pods).await;
    let mut wanted = WantedTexts::default();
    wanted.add_contexts(&[Context::Workload, Context::App, Context::Pod]);
    let registry = Registry::new(Symbols::default(), Publisher::default(), wanted);
    let receiver = Arc::<Registry>::clone(&registry);
    let is_there = || {
        registry.publish();
        let conditions = registry.conditions();
        conditions
            .get(&Provider::Kubernetes)
            .is_some_and(|(state, objects)| *state == Condition::Current && *objects >= pods)
    };
    let with_registry = held_by(&settings, receiver, is_there).await;
    server.abort();
    (alone, with_registry)
}

/// The bytes that a provider and its receiver hold more, once the receiver has everything.
async fn held_by(
    settings: &eyepiece_config::Kubernetes,
    receiver: Arc<dyn ChangeReceiver>,
    is_there: impl Fn() -> bool,
) -> isize {
    let before = held();
    let provider = Kubernetes::new(settings, "node-1", "kind", receiver, &Telemetry::default()).expect("a provider");
    let (_stop, stopped) = shutdown::channel();
    let running = tokio::spawn(provider.run(stopped));
    while !is_there() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bytes = held() - before;
    running.abort();
    assert!(running.await.is_err(), "it runs until it is stopped");
    bytes
}

#[tokio::test]
async fn pod_costs_bounded_bytes() {
    // The first one pays for what is made once.
    bytes_of(1).await;
    let fixed = bytes_of(1).await;
    let many = bytes_of(PODS).await;
    let a_pod = |many: isize, fixed: isize| (many - fixed) / PODS.cast_signed();
    let (alone, with_registry) = (a_pod(many.0, fixed.0), a_pod(many.1, fixed.1));
    println!("{alone} bytes a pod, {with_registry} with the registry; {} bytes for one", fixed.0);
    assert!(alone <= MAX_BYTES, "{alone} bytes a pod");
    assert!(with_registry <= MAX_BYTES_WITH_REGISTRY, "{with_registry} bytes a pod with the registry");
}
