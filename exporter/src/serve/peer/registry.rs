//! The owner of the list of nodes: turns updates into notifications, kept once for all streams.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use eyepiece_config::Peer;
use eyepiece_hubble::proto::peer::{ChangeNotification, ChangeNotificationType, Tls};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::local_addresses::LocalAddresses;
use super::server_name::server_name;
use crate::support::incidents::Incidents;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Number;

/// Changes that are kept for all clients together. The stream of a client further behind ends, as in Hubble.
pub const CHANGE_QUEUE: usize = 65_536;
/// Nodes at most: three times the largest Kubernetes cluster. A change of all names fits the queue.
pub(super) const MAX_PEERS: usize = 16_384;
const _: () = assert!(2 * MAX_PEERS <= CHANGE_QUEUE);
/// The port to which clients connect if an address has none.
const DEFAULT_PORT: u16 = 4244;

/// An update of the registry.
#[derive(Debug)]
pub(super) enum PeerUpdate {
    /// This node's addresses.
    Local(LocalAddresses),
    /// The nodes of the file.
    File(Vec<Peer>),
    /// The addresses of the name with this index.
    Domain(usize, BTreeSet<SocketAddr>),
    /// A client subscribes.
    Subscribe(oneshot::Sender<Subscription>),
}

/// Notifications that clients share.
type Notification = Arc<ChangeNotification>;

/// One client's subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    /// The nodes at the subscription, this one first.
    pub(super) nodes: Arc<[Notification]>,
    /// The changes since.
    pub(super) changes: broadcast::Receiver<Notification>,
    pub(super) incidents: Incidents,
}

/// The list of nodes.
pub(super) struct PeerRegistry {
    name: String,
    tls: bool,
    local: LocalAddresses,
    configured: Vec<Peer>,
    file: Vec<Peer>,
    domains: Vec<BTreeSet<SocketAddr>>,
    /// The nodes that clients know, by name, as `PEER_ADDED` notifications.
    nodes: BTreeMap<String, Notification>,
    /// The same for new clients, this node first; `None` after a change.
    snapshot: Option<Arc<[Notification]>>,
    /// `Some` while a client is subscribed: the queue has its whole size from the start.
    changes: Option<broadcast::Sender<Notification>>,
    count: Number,
    is_full: bool,
}

impl PeerRegistry {
    /// Returns a registry with the configured nodes; `domains` is the number of names.
    pub(super) fn new(
        name: String,
        tls: bool,
        local: LocalAddresses,
        configured: Vec<Peer>,
        domains: usize,
        count: Number,
    ) -> Self {
        let mut registry = Self {
            name,
            tls,
            local,
            configured,
            file: Vec::new(),
            domains: vec![BTreeSet::new(); domains],
            nodes: BTreeMap::new(),
            snapshot: None,
            changes: None,
            count,
            is_full: false,
        };
        drop(registry.rebuild());
        registry
    }

    /// Sets the nodes of the file before the first subscription.
    pub(super) fn start_with(&mut self, file: Vec<Peer>) {
        self.file = file;
        drop(self.rebuild());
    }

    /// Applies updates until a shutdown.
    pub(super) async fn run(mut self, mut updates: mpsc::Receiver<PeerUpdate>, incidents: Incidents, mut stop: Stop) {
        loop {
            let next = tokio::select! {
                next = updates.recv() => next,
                _ = shutdown::requested(&mut stop) => None,
            };
            match next {
                None => return,
                Some(PeerUpdate::Local(local)) => self.local = local,
                Some(PeerUpdate::File(peers)) => self.file = peers,
                Some(PeerUpdate::Domain(index, found)) => {
                    if let Some(known) = self.domains.get_mut(index) {
                        *known = found;
                    }
                }
                Some(PeerUpdate::Subscribe(reply)) => {
                    self.subscribe(reply, &incidents);
                    continue;
                }
            }
            self.update(&incidents);
        }
    }

    fn subscribe(&mut self, reply: oneshot::Sender<Subscription>, incidents: &Incidents) {
        let nodes = self.snapshot.get_or_insert_with(|| {
            let own = self.nodes.get(&self.name);
            let others = self.nodes.iter().filter(|(name, _)| **name != self.name).map(|(_, node)| node);
            own.into_iter().chain(others).cloned().collect()
        });
        let changes = self.changes.get_or_insert_with(|| broadcast::Sender::new(CHANGE_QUEUE)).subscribe();
        let subscription = Subscription { nodes: Arc::clone(nodes), changes, incidents: incidents.clone() };
        // Fails if the client has disconnected.
        drop(reply.send(subscription));
    }

    /// Rebuilds the list and notifies clients of the changes.
    fn update(&mut self, incidents: &Incidents) {
        let was_full = self.is_full;
        let old = self.rebuild();
        if self.is_full && !was_full {
            tracing::warn!(limit = MAX_PEERS, "too many nodes: clients receive only a part of them");
            incidents.count("too_many");
        }
        self.changes.take_if(|changes| changes.receiver_count() == 0);
        let Some(changes) = &self.changes else { return };
        for change in self.changes(&old) {
            // Fails if the last client has disconnected.
            drop(changes.send(change));
        }
    }

    /// Rebuilds the list; returns the previous one. Unchanged nodes keep their allocation, which old snapshots share.
    fn rebuild(&mut self) -> BTreeMap<String, Notification> {
        let addresses = self.compute();
        let mut nodes = BTreeMap::new();
        for (name, address) in addresses {
            let known = self.nodes.get(&name).filter(|node| node.address == address).cloned();
            let node = known.unwrap_or_else(|| self.change(&name, &address, ChangeNotificationType::PeerAdded));
            nodes.insert(name, node);
        }
        self.count.set(nodes.len() as u64);
        let is_same = |(old, new): (&Notification, &Notification)| Arc::ptr_eq(old, new);
        if nodes.len() != self.nodes.len() || !self.nodes.values().zip(nodes.values()).all(is_same) {
            self.snapshot = None;
        }
        std::mem::replace(&mut self.nodes, nodes)
    }

    /// Returns the changes from the old list to the current one; deleted nodes first, so that no node is listed twice.
    fn changes(&self, old: &BTreeMap<String, Notification>) -> Vec<Notification> {
        let of = |kind| move |(name, node): (&String, &Notification)| self.change(name, &node.address, kind);
        let deleted = old.iter().filter(|(name, _)| !self.nodes.contains_key(*name));
        let updated =
            self.nodes.iter().filter(|(name, node)| old.get(*name).is_some_and(|old| old.address != node.address));
        let added = self.nodes.iter().filter(|(name, _)| !old.contains_key(*name)).map(|(_, node)| Arc::clone(node));
        deleted
            .map(of(ChangeNotificationType::PeerDeleted))
            .chain(updated.map(of(ChangeNotificationType::PeerUpdated)))
            .chain(added)
            .collect()
    }

    fn change(&self, name: &str, address: &str, kind: ChangeNotificationType) -> Notification {
        // Unix sockets have no TLS.
        let tls = self.tls && !address.is_empty() && !address.starts_with("unix://");
        Arc::new(ChangeNotification {
            name: name.to_owned(),
            address: address.to_owned(),
            r#type: kind.into(),
            tls: tls.then(|| Tls { server_name: server_name(name) }),
        })
    }

    /// Returns the address of each node: this one, then settings, file and DNS. The first source of a name wins.
    fn compute(&mut self) -> BTreeMap<String, String> {
        let named = || self.configured.iter().chain(&self.file);
        let own = named().find(|peer| peer.name == self.name).map_or(&self.local.advertised, |peer| &peer.address);
        let mut nodes = BTreeMap::from([(self.name.clone(), own.clone())]);
        for peer in named() {
            nodes.entry(peer.name.clone()).or_insert_with(|| peer.address.clone());
        }
        let known: BTreeSet<_> = nodes.values().map(|address| with_port(address)).collect();
        for address in self.domains.iter().flatten().filter(|address| !self.local.reachable.contains(address)) {
            let text = address.to_string();
            if !known.contains(&text) {
                nodes.entry(address.ip().to_canonical().to_string()).or_insert(text);
            }
        }
        self.is_full = nodes.len() > MAX_PEERS;
        if self.is_full {
            let own = nodes.remove_entry(&self.name);
            nodes = nodes.into_iter().take(MAX_PEERS - 1).chain(own).collect();
        }
        nodes
    }
}

/// Returns an address with a port, to compare it with resolved ones.
fn with_port(address: &str) -> String {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match bare.parse() {
        Ok(ip) => SocketAddr::new(ip, DEFAULT_PORT).to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests;
