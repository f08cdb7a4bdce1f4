//! Prints debug messages of the datapath.

use std::fmt::Write as _;

use eyepiece_hubble::proto::flow::{DebugEvent, DebugEventType, Endpoint};
use eyepiece_hubble::proto::observer::GetDebugEventsResponse;
use eyepiece_hubble::terminal::safe;

use super::form::{PrintConfig, PrintedRow, header};
use super::names::enum_name;

/// The texts of a message.
pub(super) struct Row {
    time: String,
    node: Option<String>,
    from: String,
    kind: String,
    mark: String,
    cpu: String,
    message: String,
}

impl Row {
    pub(super) fn new(response: &GetDebugEventsResponse, config: &PrintConfig) -> Self {
        let none = DebugEvent::default();
        let event = response.debug_event.as_ref().unwrap_or(&none);
        let missing = || "N/A".to_owned();
        Self {
            time: config.time.text(response.time.as_ref()),
            node: config.node_name.then(|| safe(&response.node_name).into_owned()),
            from: event.source.as_ref().map_or_else(missing, endpoint),
            kind: enum_name!(DebugEventType, event.r#type).into_owned(),
            mark: event.hash.map_or_else(missing, |hash| format!("{hash:#x}")),
            cpu: event.cpu.map_or_else(missing, |cpu| format!("{cpu:02}")),
            message: safe(&event.message).into_owned(),
        }
    }
}

impl PrintedRow for Row {
    fn header(&self) -> Vec<String> {
        // Hubble prints the empty column, too.
        let names = ["TIMESTAMP", "NODE", "FROM", "", "TYPE", "CPU/MARK", "MESSAGE"];
        header(&names).into_iter().filter(|name| self.node.is_some() || name != "NODE").collect()
    }

    fn cells(&self) -> Vec<String> {
        let processor = format!("{} {}", self.cpu, self.mark);
        let words = [&self.from, "", &self.kind, &processor, &self.message].map(ToOwned::to_owned);
        std::iter::once(&self.time).chain(&self.node).cloned().chain(words).collect()
    }

    fn dict(&self, out: &mut String) {
        let _ = writeln!(out, "  TIMESTAMP: {}", self.time);
        if let Some(node) = &self.node {
            let _ = writeln!(out, "       NODE: {node}");
        }
        let _ = writeln!(out, "       TYPE: {}\n       FROM: {}", self.kind, self.from);
        let _ = writeln!(out, "       MARK: {}\n        CPU: {}\n    MESSAGE: {}", self.mark, self.cpu, self.message);
    }

    fn compact(&self, out: &mut String) {
        out.push_str(&self.time);
        if let Some(node) = &self.node {
            let _ = write!(out, " [{node}]");
        }
        let Self { from, kind, mark, cpu, message, .. } = self;
        let _ = writeln!(out, ": {from} {kind} MARK: {mark} CPU: {cpu} ({message})");
    }
}

/// Pod or reserved label, and the endpoint's id.
fn endpoint(of: &Endpoint) -> String {
    let id = format!("ID: {}", of.id);
    match of.labels.as_slice() {
        _ if !of.namespace.is_empty() && !of.pod_name.is_empty() => {
            format!("{}/{} ({id})", safe(&of.namespace), safe(&of.pod_name))
        }
        [label] if label.starts_with("reserved:") => format!("{} ({id})", safe(label)),
        _ => id,
    }
}
