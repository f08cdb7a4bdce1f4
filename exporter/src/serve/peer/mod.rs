//! The Peer service: lists the observing nodes, this one first; the others come from settings, a file and DNS.

mod domains;
mod file;
mod local_addresses;
mod registry;
mod server_name;
mod service;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{Peer, PeerDomain};
use eyepiece_hubble::node::Node;
use eyepiece_semconv::metric;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use domains::{Lookup, Resolve, system};
pub use registry::CHANGE_QUEUE;
pub use server_name::server_name;
pub use service::PeerService;

use self::domains::DomainWatch;
use self::file::FileWatcher;
use self::local_addresses::LocalAddresses;
use self::registry::{PeerRegistry, PeerUpdate};
use crate::serve::grpc::Address;
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Checks a file of other nodes.
///
/// # Errors
/// The error of reading the file.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    file::read(path).map(drop).map_err(|error| error.to_string())
}

/// Updates that wait for the registry. Senders wait for room, so no update is lost and a short queue suffices.
const UPDATE_QUEUE: usize = 16;

/// The configuration of the Peer service.
pub struct Config {
    /// This node.
    pub node: Node,
    /// The addresses that this node's API listens on.
    pub addresses: Vec<Address>,
    /// Whether this node's IP addresses, and thus those of other nodes, use TLS.
    pub tls: bool,
    /// Other nodes.
    pub peers: Vec<Peer>,
    /// A file of other nodes.
    pub file: Option<PathBuf>,
    /// Names whose addresses are other nodes.
    pub domains: Vec<PeerDomain>,
    /// Interval of look-ups, of names and of this node's own address.
    pub refresh: Duration,
    /// Resolves names; [`system`] outside tests.
    pub resolve: Resolve,
    /// The registry of our own metrics.
    pub telemetry: Telemetry,
}

/// The Peer service and its sources of nodes.
pub struct Peers {
    /// The service, for the routes.
    pub service: PeerService,
    registry: PeerRegistry,
    updates: mpsc::Receiver<PeerUpdate>,
    sender: mpsc::Sender<PeerUpdate>,
    addresses: Vec<Address>,
    file: Option<FileWatcher>,
    domains: Vec<DomainWatch>,
    refresh: Duration,
    incidents: Incidents,
}

impl Config {
    /// Reads the file for the first time; names are resolved once the service runs.
    pub fn build(self) -> Peers {
        let Self { node, addresses, tls, peers, file, domains, refresh, resolve, telemetry } = self;
        let incidents = Incidents::new(&telemetry, &metric::EYEPIECE_HUBBLE_PEER_INCIDENTS);
        let (sender, updates) = mpsc::channel(UPDATE_QUEUE);
        let count = telemetry.gauge(metric::EYEPIECE_HUBBLE_PEER_ACTIVE.name, &[]);
        let local = LocalAddresses::find(&addresses);
        let mut registry = PeerRegistry::new(node.full_name(), tls, local, peers, domains.len(), count);
        let file = file.map(|path| {
            let (file, found) = FileWatcher::new(path, &incidents);
            registry.start_with(found);
            file
        });
        let domains = domains.into_iter().enumerate().map(|(index, domain)| {
            let (resolve, incidents) = (Arc::clone(&resolve), incidents.clone());
            DomainWatch { index, domain, refresh, resolve, incidents }
        });
        let domains = domains.collect();
        let service = PeerService::new(sender.clone());
        Peers { service, registry, updates, sender, addresses, file, domains, refresh, incidents }
    }
}

impl Peers {
    /// Updates the list and notifies clients until a shutdown; then their streams end.
    pub async fn run(self, mut stop: Stop) {
        let Self { service: _, registry, updates, sender, addresses, file, domains, refresh, incidents } = self;
        let mut sources = JoinSet::new();
        let mut stopped = stop.clone();
        if let Some(file) = file {
            sources.spawn(file.run(sender.clone(), incidents.clone()));
        }
        for domain in domains {
            sources.spawn(domain.run(sender.clone()));
        }
        sources.spawn(follow_local_addresses(addresses, refresh, sender));
        tokio::select! {
            () = registry.run(updates, incidents, stop.clone()) => {}
            _ = shutdown::requested(&mut stop) => {}
        }
        shutdown::requested(&mut stopped).await;
        // They wait for files and names: they can stop at any point.
        sources.shutdown().await;
    }
}

/// Sends this node's addresses periodically: they may change.
async fn follow_local_addresses(addresses: Vec<Address>, refresh: Duration, updates: mpsc::Sender<PeerUpdate>) {
    loop {
        sleep(refresh).await;
        if updates.send(PeerUpdate::Local(LocalAddresses::find(&addresses))).await.is_err() {
            return;
        }
    }
}
