//! The Peer service: who else observes, from the settings, a file and DNS, and ourselves first.

mod domains;
mod file;
mod names;
mod own;
mod registry;
mod service;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{Peer, PeerDomain};
use eyepiece_semconv::{attribute, metric};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use domains::{Resolve, Resolving, system};
pub use names::server_name;
pub use registry::QUEUE;
pub use service::PeerService;

use eyepiece_hubble::node::Node;

use self::domains::Domain;
use self::file::File;
use self::own::Own;
use self::registry::{Roster, Told};
use crate::serve::grpc::Address;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Checks a file of other nodes.
///
/// # Errors
/// Why it cannot be used.
pub(crate) fn check_file(path: &Path) -> Result<(), String> {
    file::read(path).map(drop).map_err(|error| error.to_string())
}

/// What is told to the owner and waits for it: who tells waits too, so nothing is lost and one of each would do.
const TOLD: usize = 16;

/// Who we are, and where others are named.
pub struct Config {
    /// Who we are.
    pub node: Node,
    /// Where we listen.
    pub addresses: Vec<Address>,
    /// Whether our IP addresses, and so those of others, are behind TLS.
    pub tls: bool,
    /// Others.
    pub peers: Vec<Peer>,
    /// A file of others.
    pub file: Option<PathBuf>,
    /// Names whose addresses are others.
    pub domains: Vec<PeerDomain>,
    /// How often names and our own address are looked up.
    pub refresh: Duration,
    /// Looks names up; [`system`] outside tests.
    pub resolve: Resolve,
    /// Our own counters.
    pub telemetry: Telemetry,
}

/// The list of nodes, and what keeps it up to date.
pub struct Peers {
    /// For the routes.
    pub service: PeerService,
    task: Task,
}

struct Task {
    roster: Roster,
    told: mpsc::Receiver<Told>,
    sender: mpsc::Sender<Told>,
    own: Vec<Address>,
    file: Option<File>,
    domains: Vec<PeerDomain>,
    refresh: Duration,
    resolve: Resolve,
    incidents: Incidents,
}

impl Config {
    /// Reads the file for the first time; names are looked up once it runs.
    pub fn build(self) -> Peers {
        let Self { node, addresses, tls, peers, file, domains, refresh, resolve, telemetry } = self;
        let incidents = Incidents(telemetry.clone());
        let (sender, told) = mpsc::channel(TOLD);
        let own = Own::look(&addresses);
        let count = telemetry.gauge(metric::EYEPIECE_HUBBLE_PEER_COUNT.name, &[]);
        let mut roster = Roster::new(node.full_name(), tls, own, peers, domains.len(), count);
        let file = file.map(|path| {
            let (file, found) = File::new(path, &incidents);
            roster.start_with(found);
            file
        });
        let service = PeerService::new(sender.clone());
        let own = addresses;
        Peers { service, task: Task { roster, told, sender, own, file, domains, refresh, resolve, incidents } }
    }
}

impl Peers {
    /// Keeps the list up to date and tells clients, until told to stop; then their streams end.
    pub async fn run(self, mut stop: Stop) {
        let Task { roster, told, sender, own, file, domains, refresh, resolve, incidents } = self.task;
        let mut feeders = JoinSet::new();
        let mut ended = stop.clone();
        if let Some(file) = file {
            feeders.spawn(file.run(sender.clone(), incidents.clone()));
        }
        for (index, domain) in domains.into_iter().enumerate() {
            let (resolve, incidents) = (Arc::clone(&resolve), incidents.clone());
            feeders.spawn(Domain { index, domain, refresh, resolve, incidents }.run(sender.clone()));
        }
        feeders.spawn(follow_own(own, refresh, sender));
        tokio::select! {
            () = roster.run(told, incidents, stop.clone()) => {}
            // They wait for files and names: whatever they are at can be left.
            _ = shutdown::requested(&mut stop) => {}
        }
        shutdown::requested(&mut ended).await;
        feeders.shutdown().await;
    }
}

/// Tells our own address again and again: machines get new ones.
async fn follow_own(addresses: Vec<Address>, refresh: Duration, told: mpsc::Sender<Told>) {
    loop {
        sleep(refresh).await;
        if told.send(Told::Own(Own::look(&addresses))).await.is_err() {
            return;
        }
    }
}

/// Counts what went wrong.
#[derive(Clone, Debug)]
struct Incidents(Telemetry);

impl Incidents {
    fn count(&self, reason: &str) {
        let attributes = [(attribute::EYEPIECE_REASON, reason)];
        self.0.counter(metric::EYEPIECE_HUBBLE_PEER_INCIDENTS.name, &attributes).add(1);
    }
}
