//! Prints the state of a relay's nodes, for standard error.

use std::fmt::Write as _;

use eyepiece_hubble::proto::observer::GetFlowsResponse;
use eyepiece_hubble::proto::relay::{NodeState, NodeStatusEvent};
use eyepiece_hubble::terminal::safe;

use super::names::enum_name;
use super::time::TimeFormat;

/// Bytes of node names in a line; at least one name is printed.
const MAX_NAMES: usize = 50;

/// Returns whether flows of a node are missing.
pub(super) fn is_failure(status: &NodeStatusEvent) -> bool {
    matches!(NodeState::try_from(status.state_change), Ok(NodeState::NodeError | NodeState::NodeUnavailable))
}

/// `KEY: VALUE` lines.
pub(super) fn dict(response: &GetFlowsResponse, status: &NodeStatusEvent, format: TimeFormat, err: &mut String) {
    let message = if status.message.is_empty() { "N/A".to_owned() } else { quoted(&status.message) };
    let _ = writeln!(err, "  TIMESTAMP: {}", format.text(response.time.as_ref()));
    let _ = writeln!(err, "      STATE: {}", enum_name!(NodeState, status.state_change));
    let _ = writeln!(err, "      NODES: {}\n    MESSAGE: {message}", names(status));
}

pub(super) fn line(response: &GetFlowsResponse, status: &NodeStatusEvent, format: TimeFormat, err: &mut String) {
    let (count, names) = (status.node_names.len(), names(status));
    let _ = write!(err, "{} [{}]: ", format.text(response.time.as_ref()), safe(&response.node_name));
    let _ = match NodeState::try_from(status.state_change) {
        Ok(NodeState::NodeConnected) => writeln!(err, "Receiving flows from {count} nodes: {names}"),
        Ok(NodeState::NodeUnavailable) => writeln!(err, "{count} nodes are unavailable: {names}"),
        Ok(NodeState::NodeGone) => writeln!(err, "{count} nodes removed from cluster: {names}"),
        Ok(NodeState::NodeError) => writeln!(err, "Error {} on {count} nodes: {names}", quoted(&status.message)),
        Ok(NodeState::UnknownNodeState) | Err(_) => {
            let state = enum_name!(NodeState, status.state_change);
            writeln!(err, "{state} of {count} nodes: {names}: {}", quoted(&status.message))
        }
    };
}

/// A text in quotes, escaped as by Go's %q.
fn quoted(text: &str) -> String {
    format!("\"{}\"", safe(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The first names, and how many more there are.
fn names(status: &NodeStatusEvent) -> String {
    let (mut text, mut length) = (String::new(), 0);
    for (at, name) in status.node_names.iter().enumerate() {
        length += name.len() + 2;
        if length > MAX_NAMES && at > 0 {
            let _ = write!(text, " (and {} more)", status.node_names.len() - at);
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&safe(name));
    }
    text
}
