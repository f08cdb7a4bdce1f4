//! The connection to a Hubble server, and a relay's nodes, for status pages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use eyepiece_hubble::proto::relay::{NodeState, NodeStatusEvent};

use crate::support::lock::lock;

/// The most nodes shown: more than a cluster has.
const NODES: usize = 1 << 13;

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Time of its last change.
    pub since: Instant,
    /// The reason of a missing connection; `None` while connected.
    pub reason: Option<&'static str>,
    /// Connections that have ended so far.
    pub interruptions: u64,
    /// Nodes behind a relay, as last reported.
    pub nodes: BTreeMap<String, Node>,
}

/// A node behind a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `connected`, `unavailable`, `gone`, `error`, `unknown`.
    pub state: &'static str,
    /// Time of the last change of state.
    pub since: Instant,
    /// The relay's message; often empty.
    pub message: String,
}

/// A shared view of the connection's state.
#[derive(Clone, Debug)]
pub struct View(Arc<Mutex<Connection>>);

/// The reason while the source is stopped.
pub const NOT_STARTED: &str = "not_started";

impl View {
    pub(super) fn new() -> Self {
        let reason = Some(NOT_STARTED);
        let connection = Connection { since: Instant::now(), reason, interruptions: 0, nodes: BTreeMap::new() };
        Self(Arc::new(Mutex::new(connection)))
    }

    /// The current state.
    pub fn get(&self) -> Connection {
        lock(&self.0).clone()
    }

    /// Changes the state: once per attempt or end, never per event.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Connection) -> T) -> T {
        change(&mut lock(&self.0))
    }

    /// Applies a relay's report about nodes; returns the state's name.
    pub(super) fn nodes(&self, event: &NodeStatusEvent) -> &'static str {
        let state = match event.state_change() {
            NodeState::UnknownNodeState => "unknown",
            NodeState::NodeConnected => "connected",
            NodeState::NodeUnavailable => "unavailable",
            NodeState::NodeGone => "gone",
            NodeState::NodeError => "error",
        };
        self.change(|now| {
            for name in &event.node_names {
                if now.nodes.len() >= NODES && !now.nodes.contains_key(name) {
                    let gone = now.nodes.iter().find(|(_, node)| node.state == "gone").map(|(name, _)| name.clone());
                    let Some(gone) = gone else { continue };
                    now.nodes.remove(&gone);
                }
                let node = Node { state, since: Instant::now(), message: event.message.clone() };
                now.nodes.insert(name.clone(), node);
            }
        });
        state
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_hubble::proto::relay::{NodeState, NodeStatusEvent};

    use super::{NODES, View};

    #[test]
    fn gone_nodes_make_room_for_others() {
        let view = View::new();
        let report = |state: NodeState, names: std::ops::Range<usize>| {
            let node_names = names.map(|name| format!("node-{name:05}")).collect();
            view.nodes(&NodeStatusEvent { state_change: state.into(), node_names, message: String::new() })
        };
        assert_eq!(report(NodeState::NodeConnected, 0..NODES), "connected");
        report(NodeState::NodeConnected, NODES..NODES + 1);
        assert!(!view.get().nodes.contains_key(&format!("node-{NODES:05}")));
        assert_eq!(report(NodeState::NodeGone, 5..6), "gone");
        report(NodeState::NodeConnected, NODES..NODES + 1);
        let nodes = view.get().nodes;
        assert_eq!((nodes.len(), nodes.contains_key("node-00005")), (NODES, false));
        assert_eq!(nodes[&format!("node-{NODES:05}")].state, "connected");
    }
}
