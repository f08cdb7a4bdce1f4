//! A server with the Peer service, health and reflection, and its telemetry.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eyepiece::serve::grpc::health::Health;
use eyepiece::serve::grpc::{Address, Bind, Config, Limits};
use eyepiece::serve::peer;
use eyepiece::serve::tls::TlsFiles;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::Telemetry;
use eyepiece::support::unix_listener;
use eyepiece_hubble::node::Node;
use eyepiece_hubble::proto;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tonic::service::Routes;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::numbers;

/// Timeout of every wait on a busy machine; passing tests never wait that long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
/// The version that the server reports.
pub(crate) const VERSION: &str = "1.20.2+gtest";

/// A running server.
pub(crate) struct Server {
    pub(crate) addresses: Vec<Address>,
    pub(crate) telemetry: Telemetry,
    stop: tokio::sync::watch::Sender<Option<Instant>>,
    task: JoinHandle<()>,
    peers: JoinHandle<()>,
}

/// The served services and their settings.
pub(crate) struct Setup {
    pub(crate) listen: Vec<Bind>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) limits: Limits,
    pub(crate) peers_file: Option<PathBuf>,
    pub(crate) domains: Vec<String>,
    pub(crate) resolve: peer::Resolve,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            listen: vec![Bind::Tcp("127.0.0.1:0".parse().unwrap())],
            tls: None,
            limits: Limits::default(),
            peers_file: None,
            domains: Vec::new(),
            resolve: peer::system(),
        }
    }
}

pub(crate) fn unix(path: &Path) -> Bind {
    Bind::Unix(unix_listener::Config { path: path.to_owned(), mode: 0o660, group: None })
}

impl Setup {
    pub(crate) async fn start(self) -> Server {
        let telemetry = Telemetry::default();
        let tls = self.tls.is_some();
        let config = Config {
            listen: self.listen,
            tls: self.tls,
            limits: self.limits,
            version: VERSION.parse().unwrap(),
            telemetry: telemetry.clone(),
        };
        let bound = config.bind().await.unwrap();
        let addresses = bound.addresses();
        let peers = peer::Config {
            node: Node { name: "us".to_owned(), cluster: "default".to_owned() },
            addresses: addresses.clone(),
            tls,
            peers: Vec::new(),
            file: self.peers_file,
            domains: self.domains.iter().map(|domain| domain.parse().unwrap()).collect(),
            // Tests trigger each look-up in the scripted resolver.
            refresh: Duration::from_millis(20),
            resolve: self.resolve,
            telemetry: telemetry.clone(),
        };
        let peers = peers.build();
        let routes = Routes::new(peers.service.clone().server());
        let (health, routes) = Health::add_to(routes, proto::served()).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let peers = tokio::spawn(peers.run(stopped.clone()));
        let task = tokio::spawn(bound.serve(routes, Some(health), stopped));
        Server { addresses, telemetry, stop, task, peers }
    }
}

impl Server {
    pub(crate) fn tcp(&self) -> SocketAddr {
        let tcp = |address: &Address| if let Address::Tcp(address) = address { Some(*address) } else { None };
        self.addresses.iter().find_map(tcp).unwrap()
    }

    /// Returns a value of telemetry, or 0: by its name and, if any, its reason or outcome.
    pub(crate) fn number(&self, name: &str, reason: &str) -> u64 {
        numbers::number(&self.telemetry, name, reason)
    }

    /// Waits until a number is there.
    pub(crate) async fn until(&self, name: &str, reason: &str, expected: u64) {
        numbers::until(&self.telemetry, name, reason, expected, TIMEOUT).await;
    }

    pub(crate) async fn channel(&self) -> Channel {
        connect(&format!("http://{}", self.tcp()), None).await.unwrap()
    }

    pub(crate) async fn tls_channel(&self, tls: ClientTlsConfig) -> Result<Channel, tonic::transport::Error> {
        connect(&format!("https://{}", self.tcp()), Some(tls)).await
    }

    /// Asks it to end within a time.
    pub(crate) fn ask_to_end(&self, time: Duration) {
        self.stop.send_replace(Some(Instant::now() + time));
    }

    /// Waits until everything of it is gone, and checks that nothing is left.
    pub(crate) async fn ended(self) {
        let Self { telemetry, task, peers, .. } = self;
        timeout(TIMEOUT, task).await.unwrap().unwrap();
        timeout(TIMEOUT, peers).await.unwrap().unwrap();
        for name in ["eyepiece.hubble.connections", "eyepiece.hubble.streams"] {
            let left: u64 = telemetry.samples().iter().filter(|sample| sample.key.name == name).map(|s| s.value).sum();
            assert_eq!(left, 0, "{name}");
        }
    }
}

pub(crate) async fn connect(url: &str, tls: Option<ClientTlsConfig>) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    match tls {
        Some(tls) => endpoint.tls_config(tls)?,
        None => endpoint,
    }
    .connect()
    .await
}

/// The server's health.
pub(crate) async fn health(channel: Channel, service: &str) -> Result<i32, tonic::Status> {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.map(|answer| answer.into_inner().status)
}
