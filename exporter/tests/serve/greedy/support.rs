//! A server of Hubble's API with a full ring, on separate threads as the command has them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eyepiece::serve::grpc;
use eyepiece::serve::grpc::{Address, Bind, Limits, MAX_MESSAGE_BYTES};
use eyepiece::serve::observer::namespaces::Namespaces;
use eyepiece::serve::observer::ring::{Ring, Writer};
use eyepiece::serve::observer::service::ObserverService;
use eyepiece::serve::observer::{Deps, Observer};
use eyepiece::services::observer::observer_client::ObserverClient;
use eyepiece::services::observer::observer_server::ObserverServer;
use eyepiece::support::telemetry::Telemetry;
use eyepiece::support::unix_listener;
use eyepiece::support::{server_runtime, shutdown};
use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::lookup::NoLookup;
use eyepiece_flow::metadata::Metadata;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto::observer::{ServerStatusRequest, ServerStatusResponse};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use crate::numbers;

/// Timeout of every wait on a busy machine; passing tests never wait that long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Server {
    pub(crate) tcp: SocketAddr,
    pub(crate) unix: PathBuf,
    pub(crate) telemetry: Telemetry,
    pub(crate) writer: Writer,
    stop: tokio::sync::watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
    /// None once it is gone.
    runtime: Option<Runtime>,
    _folder: tempfile::TempDir,
}

/// Flows with everything that filters may take long with.
fn flows(from: u64, count: u64) -> Batch {
    let flow = |number| {
        let mut metadata = Metadata::default();
        metadata.source.labels = (0..8).map(|label| format!("k8s:label{label}={number}")).collect();
        metadata.destination.labels = metadata.source.labels.clone();
        let event = EventType { kind: 4, subtype: 0 };
        let time = 1_700_000_000_000_000_000 + number;
        Observed::Flow(Flow { time, metadata: Some(Box::new(metadata)), ..Flow::empty(event) })
    };
    Batch::new((from..from + count).map(flow).collect())
}

impl Server {
    /// Starts a server whose ring has this many flows.
    pub(crate) async fn start(entries: u32, limits: Limits) -> Self {
        let (ring, mut writer) = Ring::new(entries.max(1));
        for first in (0..u64::from(entries)).step_by(500) {
            writer.write(&flows(first, 500));
        }
        let folder = tempfile::tempdir().unwrap();
        let unix = folder.path().join("hubble.sock");
        let telemetry = Telemetry::default();
        let (stop, stopped) = shutdown::channel();
        let observer = Observer::new(Deps {
            ring: Arc::clone(&ring),
            namespaces: Namespaces::default(),
            node: Node::default(),
            names: Arc::new(NoLookup),
            telemetry: telemetry.clone(),
            stop: stopped.clone(),
            now: || 1_700_000_100_000_000_000,
        });
        let socket = unix_listener::Config { path: unix.clone(), mode: 0o600, group: None };
        let config = grpc::Config {
            listen: vec![Bind::Tcp("127.0.0.1:0".parse().unwrap()), Bind::Unix(socket)],
            tls: None,
            limits,
            version: "1".parse().unwrap(),
            telemetry: telemetry.clone(),
        };
        let runtime = server_runtime::runtime().unwrap();
        let serve = async move {
            let bound = config.bind().await.unwrap();
            let Address::Tcp(tcp) = bound.addresses()[0] else { panic!("{:?}", bound.addresses()) };
            let service = ObserverServer::new(ObserverService(observer)).max_decoding_message_size(MAX_MESSAGE_BYTES);
            tokio::spawn(ring.wake_followers());
            (tcp, tokio::spawn(bound.serve(Routes::new(service), None, stopped)))
        };
        let (tcp, task) = runtime.spawn(serve).await.unwrap();
        Self { tcp, unix, telemetry, writer, stop, task, runtime: Some(runtime), _folder: folder }
    }

    pub(crate) async fn client(&self) -> ObserverClient<Channel> {
        connect(&format!("http://{}", self.tcp)).await
    }

    pub(crate) async fn unix_client(&self) -> ObserverClient<Channel> {
        connect(&format!("unix://{}", text(&self.unix))).await
    }

    /// Returns a value of telemetry, or 0: by its name and, if any, its reason.
    pub(crate) fn number(&self, name: &str, reason: &str) -> u64 {
        numbers::number(&self.telemetry, name, reason)
    }

    /// Waits until a number is there.
    pub(crate) async fn until(&self, name: &str, reason: &str, expected: u64) {
        numbers::until(&self.telemetry, name, reason, expected, TIMEOUT).await;
    }

    /// More flows come in.
    pub(crate) fn write(&mut self, count: u64) {
        self.writer.write(&flows(0, count));
    }

    /// Has it end within a time, and waits until it has.
    pub(crate) async fn end(mut self, drain: Duration) {
        self.stop.send_replace(Some(Instant::now() + drain));
        timeout(TIMEOUT, &mut self.task).await.expect("it ends").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn connect(url: &str) -> ObserverClient<Channel> {
    let channel = Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap();
    ObserverClient::new(channel).max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Sends the request of `hubble status`, which the server must answer whatever other clients do.
pub(crate) async fn status(client: &mut ObserverClient<Channel>) -> ServerStatusResponse {
    let answer = timeout(TIMEOUT, client.server_status(ServerStatusRequest::default()));
    answer.await.expect("others are served").unwrap().into_inner()
}
