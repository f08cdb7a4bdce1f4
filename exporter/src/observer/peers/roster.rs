//! The owner of the list: what is told of nodes becomes changes, and every stream gets each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eyepiece_config::Peer;
use tokio::sync::{mpsc, oneshot};

use super::Incidents;
use super::names::server_name;
use super::own::Own;
use crate::proto::peer::{ChangeNotification, ChangeNotificationType, Tls};
use crate::stop::{self, Stop};
use crate::telemetry::Number;

/// Changes that wait for a client; one that is further behind is ended, as Hubble does.
pub const QUEUE: usize = 65_536;
/// Nodes at most: three times the largest Kubernetes cluster. A new stream's queue has room for all of them.
pub(super) const MAX_PEERS: usize = 16_384;
const _: () = assert!(MAX_PEERS < QUEUE);
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

/// A client's queue.
pub(super) struct Subscription {
    pub(super) changes: mpsc::Receiver<Arc<ChangeNotification>>,
    /// Set when it has lost one: then it is ended.
    pub(super) is_behind: Arc<AtomicBool>,
}

struct Subscriber {
    changes: mpsc::Sender<Arc<ChangeNotification>>,
    is_behind: Arc<AtomicBool>,
}

/// The list of nodes.
pub(super) struct Roster {
    name: String,
    tls: bool,
    own: Own,
    fixed: Vec<Peer>,
    file: Vec<Peer>,
    domains: Vec<BTreeSet<SocketAddr>>,
    /// What clients know: addresses by name.
    nodes: BTreeMap<String, String>,
    subscribers: Vec<Subscriber>,
    count: Number,
    is_full: bool,
}

impl Roster {
    /// A list of what is known from the start.
    pub(super) fn new(name: String, tls: bool, own: Own, fixed: Vec<Peer>, domains: usize, count: Number) -> Self {
        let (domains, file, subscribers) = (vec![BTreeSet::new(); domains], Vec::new(), Vec::new());
        let nodes = BTreeMap::new();
        let mut roster = Self { name, tls, own, fixed, file, domains, nodes, subscribers, count, is_full: false };
        roster.nodes = roster.compute();
        roster.count.set(roster.nodes.len() as u64);
        roster
    }

    /// Takes what the file names before anybody listens.
    pub(super) fn start_with(&mut self, file: Vec<Peer>) {
        self.file = file;
        self.nodes = self.compute();
        self.count.set(self.nodes.len() as u64);
    }

    /// Keeps the list until told to stop.
    pub(super) async fn run(mut self, mut told: mpsc::Receiver<Told>, incidents: Incidents, mut stop: Stop) {
        loop {
            let next = tokio::select! {
                next = told.recv() => next,
                _ = stop::requested(&mut stop) => None,
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
                    self.subscribe(reply);
                    continue;
                }
            }
            self.update(&incidents);
        }
    }

    fn subscribe(&mut self, reply: oneshot::Sender<Subscription>) {
        self.subscribers.retain(|subscriber| !subscriber.changes.is_closed());
        let (sender, changes) = mpsc::channel(QUEUE);
        let is_behind = Arc::new(AtomicBool::new(false));
        let added = ChangeNotificationType::PeerAdded;
        // Ourselves first.
        let own = self.nodes.get_key_value(&self.name);
        let others = self.nodes.iter().filter(|(name, _)| **name != self.name);
        for (name, address) in own.into_iter().chain(others) {
            if sender.try_send(Arc::new(self.change(name, address, added))).is_err() {
                is_behind.store(true, Ordering::Release);
            }
        }
        let subscription = Subscription { changes, is_behind: Arc::clone(&is_behind) };
        // A client that has left meanwhile wants nothing.
        if reply.send(subscription).is_ok() {
            self.subscribers.push(Subscriber { changes: sender, is_behind });
        }
    }

    /// Tells what is different now.
    fn update(&mut self, incidents: &Incidents) {
        let (new, was_full) = (self.compute(), self.is_full);
        if self.is_full && !was_full {
            tracing::warn!(most = MAX_PEERS, "there are more nodes than clients are told of");
            incidents.count("too_many");
        }
        let old = std::mem::replace(&mut self.nodes, new);
        self.count.set(self.nodes.len() as u64);
        for change in self.changes(&old) {
            let change = Arc::new(change);
            self.subscribers.retain(|subscriber| match subscriber.changes.try_send(Arc::clone(&change)) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Closed(_)) => false,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    incidents.count("stream_behind");
                    subscriber.is_behind.store(true, Ordering::Release);
                    false
                }
            });
        }
    }

    /// From what clients know to what is: who is gone before who came, so that a node's new name is no second node.
    fn changes(&self, old: &BTreeMap<String, String>) -> Vec<ChangeNotification> {
        let of = |kind| move |(name, address): (&String, &String)| self.change(name, address, kind);
        let gone = old.iter().filter(|(name, _)| !self.nodes.contains_key(*name));
        let updated =
            self.nodes.iter().filter(|(name, address)| old.get(*name).is_some_and(|before| before != *address));
        let added = self.nodes.iter().filter(|(name, _)| !old.contains_key(*name));
        gone.map(of(ChangeNotificationType::PeerDeleted))
            .chain(updated.map(of(ChangeNotificationType::PeerUpdated)))
            .chain(added.map(of(ChangeNotificationType::PeerAdded)))
            .collect()
    }

    fn change(&self, name: &str, address: &str, kind: ChangeNotificationType) -> ChangeNotification {
        // Unix sockets are never encrypted.
        let tls = self.tls && !address.is_empty() && !address.starts_with("unix://");
        ChangeNotification {
            name: name.to_owned(),
            address: address.to_owned(),
            r#type: kind.into(),
            tls: tls.then(|| Tls { server_name: server_name(name) }),
        }
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
