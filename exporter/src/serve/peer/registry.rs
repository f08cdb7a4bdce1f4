//! The owner of the list: what is told of nodes becomes changes, which are kept once for all streams.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use eyepiece_config::Peer;
use eyepiece_hubble::proto::peer::{ChangeNotification, ChangeNotificationType, Tls};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Incidents;
use super::names::server_name;
use super::own::Own;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Number;

/// Changes that are kept for all clients together; one that is further behind is ended, as Hubble does.
pub const QUEUE: usize = 65_536;
/// Nodes at most: three times the largest Kubernetes cluster. Should all of them change their names, it fits the queue.
pub(super) const MAX_PEERS: usize = 16_384;
const _: () = assert!(2 * MAX_PEERS <= QUEUE);
/// Where clients connect to where an address has no port.
const DEFAULT_PORT: u16 = 4244;

/// What the owner is told.
pub(super) enum Told {
    /// Our own address.
    Own(Own),
    /// What the file names.
    File(Vec<Peer>),
    /// What the name of this index leads to.
    Domain(usize, BTreeSet<SocketAddr>),
    /// A client wants to hear of changes, and of all nodes first.
    Subscribe(oneshot::Sender<Subscription>),
}

/// Notifications that clients share.
type Shared = Arc<ChangeNotification>;

/// What one client is told: a place in what all of them share.
pub(super) struct Subscription {
    /// The nodes of its beginning, ourselves first.
    pub(super) nodes: Arc<[Shared]>,
    /// What came later.
    pub(super) changes: broadcast::Receiver<Shared>,
    pub(super) incidents: Incidents,
}

/// The list of nodes.
pub(super) struct Roster {
    name: String,
    tls: bool,
    own: Own,
    fixed: Vec<Peer>,
    file: Vec<Peer>,
    domains: Vec<BTreeSet<SocketAddr>>,
    /// What clients know, by name, as it is told who is new.
    nodes: BTreeMap<String, Shared>,
    /// The same in the order in which it is told, for those who come before the next change.
    told: Option<Arc<[Shared]>>,
    /// There while a client listens: its queue is made as a whole.
    changes: Option<broadcast::Sender<Shared>>,
    count: Number,
    is_full: bool,
}

impl Roster {
    /// A list of what is known from the start.
    pub(super) fn new(name: String, tls: bool, own: Own, fixed: Vec<Peer>, domains: usize, count: Number) -> Self {
        let mut roster = Self {
            name,
            tls,
            own,
            fixed,
            file: Vec::new(),
            domains: vec![BTreeSet::new(); domains],
            nodes: BTreeMap::new(),
            told: None,
            changes: None,
            count,
            is_full: false,
        };
        drop(roster.renew());
        roster
    }

    /// Takes what the file names before anybody listens.
    pub(super) fn start_with(&mut self, file: Vec<Peer>) {
        self.file = file;
        drop(self.renew());
    }

    /// Keeps the list until told to stop.
    pub(super) async fn run(mut self, mut told: mpsc::Receiver<Told>, incidents: Incidents, mut stop: Stop) {
        loop {
            let next = tokio::select! {
                next = told.recv() => next,
                _ = shutdown::requested(&mut stop) => None,
            };
            match next {
                None => return,
                Some(Told::Own(own)) => self.own = own,
                Some(Told::File(peers)) => self.file = peers,
                Some(Told::Domain(index, found)) => {
                    if let Some(known) = self.domains.get_mut(index) {
                        *known = found;
                    }
                }
                Some(Told::Subscribe(reply)) => {
                    self.subscribe(reply, &incidents);
                    continue;
                }
            }
            self.update(&incidents);
        }
    }

    fn subscribe(&mut self, reply: oneshot::Sender<Subscription>, incidents: &Incidents) {
        let nodes = self.told.get_or_insert_with(|| {
            let own = self.nodes.get(&self.name);
            let others = self.nodes.iter().filter(|(name, _)| **name != self.name).map(|(_, node)| node);
            own.into_iter().chain(others).cloned().collect()
        });
        let changes = self.changes.get_or_insert_with(|| broadcast::Sender::new(QUEUE)).subscribe();
        let subscription = Subscription { nodes: Arc::clone(nodes), changes, incidents: incidents.clone() };
        // A client that has left meanwhile wants nothing.
        drop(reply.send(subscription));
    }

    /// Tells what is different now.
    fn update(&mut self, incidents: &Incidents) {
        let was_full = self.is_full;
        let old = self.renew();
        if self.is_full && !was_full {
            tracing::warn!(most = MAX_PEERS, "there are more nodes than clients are told of");
            incidents.count("too_many");
        }
        self.changes.take_if(|changes| changes.receiver_count() == 0);
        let Some(changes) = &self.changes else { return };
        for change in self.changes(&old) {
            // The last one has left meanwhile: it wants nothing.
            drop(changes.send(change));
        }
    }

    /// Takes what is known now; returns what was before. Nodes that stay the same stay the same in memory too: clients
    /// that do not read keep what was, and all of them the same.
    fn renew(&mut self) -> BTreeMap<String, Shared> {
        let addresses = self.compute();
        let mut nodes = BTreeMap::new();
        for (name, address) in addresses {
            let known = self.nodes.get(&name).filter(|node| node.address == address).cloned();
            let node = known.unwrap_or_else(|| self.change(&name, &address, ChangeNotificationType::PeerAdded));
            nodes.insert(name, node);
        }
        self.count.set(nodes.len() as u64);
        let is_same = |(old, new): (&Shared, &Shared)| Arc::ptr_eq(old, new);
        if nodes.len() != self.nodes.len() || !self.nodes.values().zip(nodes.values()).all(is_same) {
            self.told = None;
        }
        std::mem::replace(&mut self.nodes, nodes)
    }

    /// From what clients know to what is: who is gone before who came, so that a node's new name is no second node.
    fn changes(&self, old: &BTreeMap<String, Shared>) -> Vec<Shared> {
        let of = |kind| move |(name, node): (&String, &Shared)| self.change(name, &node.address, kind);
        let gone = old.iter().filter(|(name, _)| !self.nodes.contains_key(*name));
        let updated =
            self.nodes.iter().filter(|(name, node)| old.get(*name).is_some_and(|old| old.address != node.address));
        let added = self.nodes.iter().filter(|(name, _)| !old.contains_key(*name)).map(|(_, node)| Arc::clone(node));
        gone.map(of(ChangeNotificationType::PeerDeleted))
            .chain(updated.map(of(ChangeNotificationType::PeerUpdated)))
            .chain(added)
            .collect()
    }

    fn change(&self, name: &str, address: &str, kind: ChangeNotificationType) -> Shared {
        // Unix sockets are never encrypted.
        let tls = self.tls && !address.is_empty() && !address.starts_with("unix://");
        Arc::new(ChangeNotification {
            name: name.to_owned(),
            address: address.to_owned(),
            r#type: kind.into(),
            tls: tls.then(|| Tls { server_name: server_name(name) }),
        })
    }

    /// All nodes: ourselves, then whom the settings name, then the file, then DNS; who is first has the name.
    fn compute(&mut self) -> BTreeMap<String, String> {
        let named = || self.fixed.iter().chain(&self.file);
        let own = named().find(|peer| peer.name == self.name).map_or(&self.own.address, |peer| &peer.address);
        let mut nodes = BTreeMap::from([(self.name.clone(), own.clone())]);
        for peer in named() {
            nodes.entry(peer.name.clone()).or_insert_with(|| peer.address.clone());
        }
        let known: BTreeSet<_> = nodes.values().map(|address| with_port(address)).collect();
        for address in self.domains.iter().flatten().filter(|address| !self.own.ways.contains(address)) {
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

/// An address as clients take it, to compare it with those of DNS.
fn with_port(address: &str) -> String {
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match bare.parse() {
        Ok(ip) => SocketAddr::new(ip, DEFAULT_PORT).to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests;
