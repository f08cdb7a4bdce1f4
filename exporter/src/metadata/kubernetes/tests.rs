//! Faults of an API server: garbage, endless and slow answers, refusals, expired versions, absence.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece_tests::kubeconfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::{Kubernetes, Limits, Scope};
use crate::metadata::entry_recorder::EntryRecorder;
use crate::metadata::provider::{Condition, Key, Target};
use crate::support::backoff::BackoffRange;
use crate::support::shutdown;
use crate::support::telemetry::Telemetry;

/// An answer of the server.
enum Reply {
    /// A whole answer.
    Text(u16, String),
    /// The beginning of an answer; the connection stays open.
    Open(String),
    /// The beginning of an answer, and a part that is repeated without end.
    Endless(String, &'static str),
    /// Nothing at all.
    Silence,
}

/// Makes one answer.
type Answer = Box<dyn Fn() -> Reply + Send>;
type Handler = Arc<Mutex<Box<dyn FnMut(&str) -> Reply + Send>>>;

/// A server; `handler` gets path and query.
async fn serve(listener: TcpListener, handler: Handler) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&handler)));
    }
}

async fn answer(mut stream: TcpStream, handler: Handler) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = handler.lock().expect("a lock")(&target);
    let open = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    match reply {
        Reply::Text(status, text) => {
            let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            stream.write_all((head + &text).as_bytes()).await?;
        }
        Reply::Open(text) => {
            stream.write_all((open.to_owned() + &text).as_bytes()).await?;
            // Until the client closes.
            stream.read_u8().await?;
        }
        Reply::Endless(text, part) => {
            stream.write_all((open.to_owned() + &text).as_bytes()).await?;
            loop {
                stream.write_all(part.as_bytes()).await?;
            }
        }
        Reply::Silence => sleep(Duration::from_secs(60)).await,
    }
    Ok(())
}

fn list(items: &[Value]) -> Reply {
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "5"}, "items": items});
    Reply::Text(200, list.to_string())
}

fn pod(name: &str, address: &str) -> Value {
    json!({
        "metadata": {"uid": name, "name": name, "namespace": "shop", "resourceVersion": "4"},
        "status": {"phase": "Running", "podIP": address},
    })
}

fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message})
}

/// Returns the answer of a server that has one pod.
fn usual(target: &str) -> Reply {
    match target {
        _ if target.contains("watch=") => Reply::Open(String::new()),
        _ if target.starts_with("/api/v1/pods") => list(&[pod("web", "10.0.0.1")]),
        _ => list(&[]),
    }
}

/// A provider and its server, on this test's runtime.
struct Scene {
    recorder: Arc<EntryRecorder>,
    telemetry: Telemetry,
    handler: Handler,
    address: SocketAddr,
    server: JoinHandle<()>,
    _kubeconfig: tempfile::NamedTempFile,
    _stop: tokio::sync::watch::Sender<Option<tokio::time::Instant>>,
}

impl Scene {
    async fn start(handler: impl FnMut(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let handler: Handler = Arc::new(Mutex::new(Box::new(handler)));
        let server = tokio::spawn(serve(listener, Arc::clone(&handler)));
        let kubeconfig = tempfile::NamedTempFile::new().expect("a file");
        let text = kubeconfig::kubeconfig(&json!({"server": format!("http://{address}")}), &json!({}));
        std::fs::write(kubeconfig.path(), text).expect("a kubeconfig");
        let (recorder, telemetry) = (Arc::<EntryRecorder>::default(), Telemetry::default());
        let provider = Kubernetes {
            kubeconfig: Some(kubeconfig.path().to_owned()),
            scope: Scope { cluster: "kind".into(), node: "node-1".into(), is_own_only: false, max_objects: 100 },
            receiver: Arc::<EntryRecorder>::clone(&recorder),
            telemetry: telemetry.clone(),
            limits: limits(),
        };
        let (stop, stopped) = shutdown::channel();
        tokio::spawn(provider.run(stopped));
        Self { recorder, telemetry, handler, address, server, _kubeconfig: kubeconfig, _stop: stop }
    }

    fn answer_by(&self, handler: impl FnMut(&str) -> Reply + Send + 'static) {
        *self.handler.lock().expect("a lock") = Box::new(handler);
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&EntryRecorder) -> bool) {
        let until = async {
            while !is_so(&self.recorder) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let is_late = timeout(Duration::from_secs(20), until).await.is_err();
        assert!(!is_late, "not {what}: {:?}", self.recorder);
    }

    async fn wait_for_pod(&self, name: &str, address: &str) {
        let (key, pod) = (Key::Address(address.parse().expect("an address")), Target::Key(Key::Pod(name.into())));
        let is_so = |entries: HashMap<Key, Target>| entries.get(&key) == Some(&pod) && entries.len() == 2;
        self.wait(name, |recorder| is_so(recorder.entries())).await;
    }

    async fn wait_for_current(&self) {
        self.wait("current", |recorder| matches!(recorder.condition(), Some((Condition::Current, _)))).await;
    }

    /// Waits for a condition that is not current, whose text holds a text.
    async fn wait_for_error(&self, text: &str) {
        let holds = |recorder: &EntryRecorder| match recorder.condition() {
            Some((
                Condition::Connecting(Some(error)) | Condition::Stale { error, .. } | Condition::Unavailable(error),
                _,
            )) => error.contains(text),
            _ => false,
        };
        self.wait(text, holds).await;
    }
}

fn limits() -> Limits {
    let millis = Duration::from_millis;
    Limits {
        response: millis(300),
        list: millis(300),
        listing: millis(400),
        silence: millis(400),
        watch_pause: millis(20),
        list_bytes: 64 << 10,
        line_bytes: 16 << 10,
        backoff: BackoffRange { initial: millis(10), max: millis(50) },
        forbidden: millis(50),
        settle: millis(500),
        ..Limits::default()
    }
}

#[tokio::test]
async fn bad_lists_are_reported_and_repaired() {
    let pages = json!({"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [pod("a", "10.0.0.9")]});
    let cases: Vec<(&str, Answer)> = vec![
        ("cannot list pods: ", Box::new(|| Reply::Text(200, "\u{1}no JSON\n".repeat(50)))),
        ("cannot list pods: ", Box::new(|| Reply::Text(200, "{\"items\": 5}".to_owned()))),
        ("list of more than 65536 bytes", Box::new(|| Reply::Endless("{\"items\":[".to_owned(), "{\"metadata\":{}},"))),
        ("did not end within", Box::new(|| Reply::Open("{\"items\":[".to_owned()))),
        ("no response within", Box::new(|| Reply::Silence)),
        ("the list does not end", Box::new(move || Reply::Text(200, pages.to_string()))),
        ("cannot list pods: 500 broken", Box::new(|| Reply::Text(500, status(500, "broken").to_string()))),
        ("cannot list pods: 401 unknown", Box::new(|| Reply::Text(401, status(401, "unknown").to_string()))),
    ];
    for (error, bad) in cases {
        let scene = Scene::start(move |target| {
            if target.starts_with("/api/v1/pods") && !target.contains("watch=") { bad() } else { usual(target) }
        })
        .await;
        scene.wait_for_error(error).await;
        scene.answer_by(usual);
        scene.wait_for_pod("web", "10.0.0.1").await;
        scene.wait_for_current().await;
        assert!(scene.telemetry.samples().iter().any(|sample| sample.value > 0), "{error}");
    }
}

#[tokio::test]
async fn bad_watches_keep_last_state() {
    let line = |event: &Value| Reply::Open(format!("{event}\n"));
    let cases: Vec<(&str, Answer)> = vec![
        (
            "object of more than 16384 bytes",
            Box::new(|| Reply::Endless("{\"type\":\"ADDED\"".to_owned(), "          ")),
        ),
        ("cannot watch pods: ", Box::new(|| Reply::Endless(String::new(), "no JSON\n"))),
        (
            "cannot watch pods: 500 broken",
            Box::new(move || line(&json!({"type": "ERROR", "object": status(500, "broken")}))),
        ),
        ("cannot watch pods: 503 later", Box::new(|| Reply::Text(503, status(503, "later").to_string()))),
        ("no response within", Box::new(|| Reply::Silence)),
    ];
    for (error, bad) in cases {
        let scene = Scene::start(usual).await;
        scene.wait_for_pod("web", "10.0.0.1").await;
        scene.wait_for_current().await;
        scene.answer_by(move |target| {
            if target.starts_with("/api/v1/pods") && target.contains("watch=") { bad() } else { usual(target) }
        });
        // The open watch ends after its silence.
        scene.wait_for_error(error).await;
        scene.wait_for_pod("web", "10.0.0.1").await;
        scene.answer_by(usual);
        scene.wait_for_current().await;
    }
}

#[tokio::test]
async fn expired_watch_lists_again() {
    let event = json!({"type": "ERROR", "object": status(410, "too old resource version: 5")});
    let cases: [Answer; 2] = [
        Box::new(move || Reply::Text(200, format!("{event}\n"))),
        Box::new(|| Reply::Text(410, status(410, "Expired").to_string())),
    ];
    for gone in cases {
        let scene = Scene::start(usual).await;
        scene.wait_for_pod("web", "10.0.0.1").await;
        let mut lists = 0;
        scene.answer_by(move |target| match target.starts_with("/api/v1/pods") {
            true if !target.contains("watch=") => {
                lists += 1;
                list(&[pod("new", "10.0.0.2")])
            }
            true if lists == 0 => gone(),
            _ => usual(target),
        });
        scene.wait_for_pod("new", "10.0.0.2").await;
        scene.wait_for_current().await;
    }
}

#[tokio::test]
async fn missing_right_is_named() {
    let scene = Scene::start(|target| match target {
        _ if target.starts_with("/apis/discovery.k8s.io/v1/endpointslices") => {
            Reply::Text(403, status(403, "endpointslices is forbidden: User \"x\"").to_string())
        }
        _ if target.starts_with("/api/v1/nodes") && target.contains("watch=") => {
            Reply::Text(403, status(403, "nodes is forbidden").to_string())
        }
        _ => usual(target),
    })
    .await;
    for text in [
        "cannot list endpointslices.discovery.k8s.io: 403 endpointslices is forbidden: User \"x\"",
        "cannot watch nodes: 403",
        "docker/kubernetes/rbac.yaml",
    ] {
        scene.wait_for_error(text).await;
    }
    scene.wait_for_pod("web", "10.0.0.1").await;
    scene.answer_by(usual);
    scene.wait_for_current().await;
}

#[tokio::test]
async fn absent_server_leaves_stale_state() {
    let scene = Scene::start(usual).await;
    scene.wait_for_pod("web", "10.0.0.1").await;
    scene.wait_for_current().await;
    scene.server.abort();
    let is_stale = |recorder: &EntryRecorder| matches!(recorder.condition(), Some((Condition::Stale { .. }, _)));
    scene.wait("stale", is_stale).await;
    scene.wait_for_pod("web", "10.0.0.1").await;
    let listener = TcpListener::bind(scene.address).await.expect("the same address");
    let server = tokio::spawn(serve(listener, Arc::clone(&scene.handler)));
    scene.wait_for_current().await;
    server.abort();
}

#[tokio::test]
async fn ended_watches_begin_with_pauses() {
    let count = Arc::new(Mutex::new(0_u32));
    let counter = Arc::clone(&count);
    let scene = Scene::start(move |target| {
        if target.contains("watch=") {
            *counter.lock().expect("a lock") += 1;
            return Reply::Text(200, String::new());
        }
        usual(target)
    })
    .await;
    scene.wait_for_current().await;
    sleep(Duration::from_millis(400)).await;
    let count = *count.lock().expect("a lock");
    // Seven kinds, a watch each 20 ms, and some of them before this time began.
    assert!((1..1000).contains(&count), "{count} watches");
}

#[tokio::test]
async fn missing_kubeconfig_is_reported() {
    let (recorder, (stop, stopped)) = (Arc::<EntryRecorder>::default(), shutdown::channel());
    let settings = eyepiece_config::Kubernetes {
        kubeconfig: Some("/nonexistent/kubeconfig".into()),
        ..eyepiece_config::Kubernetes::default()
    };
    let receiver = Arc::<EntryRecorder>::clone(&recorder);
    let provider = Kubernetes::new(&settings, "node-1", "kind", receiver, &Telemetry::default()).expect("a provider");
    let running = tokio::spawn(provider.run(stopped));
    let is_reported = || {
        matches!(recorder.condition(),
        Some((Condition::Unavailable(error), _)) if error.contains("/nonexistent/kubeconfig"))
    };
    let until = async {
        while !is_reported() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), until).await.expect("a report");
    stop.send_replace(Some(tokio::time::Instant::now()));
    timeout(Duration::from_secs(20), running).await.expect("an end").expect("no panic");
}

#[test]
fn provider_is_off_outside_clusters() {
    let settings = |text| eyepiece_config::Kubernetes { enabled: text, ..eyepiece_config::Kubernetes::default() };
    for (enabled, runs) in [
        (eyepiece_config::Enabled::Off, false),
        (eyepiece_config::Enabled::On, true),
        (eyepiece_config::Enabled::Auto, super::client::is_in_cluster()),
    ] {
        let receiver = Arc::<EntryRecorder>::default();
        let provider = Kubernetes::new(&settings(enabled), "n", "c", receiver, &Telemetry::default());
        assert_eq!(provider.is_some(), runs, "{enabled}");
    }
}
