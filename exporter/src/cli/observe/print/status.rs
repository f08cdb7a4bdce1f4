//! Prints a server's status, nodes, namespaces and peers.

use std::fmt::Write as _;

use eyepiece_hubble::json;
use eyepiece_hubble::proto::observer::{Namespace, Node, ServerStatusResponse};
use eyepiece_hubble::proto::peer::{ChangeNotification, ChangeNotificationType};
use eyepiece_hubble::proto::relay::NodeState;
use eyepiece_hubble::terminal::safe;
use prost::Name;

use super::form::{Output, header, line_of_json};
use super::names::enum_name;
use super::table::Table;
use crate::support::digits::grouped;

const NOT_AVAILABLE: &str = "N/A";

/// A server's status.
pub fn server(status: &ServerStatusResponse, output: Output) -> String {
    let mut out = String::new();
    match output {
        Output::Compact => compact(status, &mut out),
        Output::Json => line_of_json(status, &mut out),
        Output::Dict => {
            for (name, value) in fields(status) {
                let _ = writeln!(out, "{name:>19}: {value}");
            }
        }
        Output::Table => {
            let mut table = Table::default();
            let fields = fields(status);
            let names = fields.iter().map(|(name, _)| name.replace("UNAVAIL.", "UNAVAILABLE")).collect();
            table.push(names, &mut out);
            table.push(fields.into_iter().map(|(_, value)| value).collect(), &mut out);
            table.write(&mut out);
        }
    }
    out
}

fn fields(status: &ServerStatusResponse) -> [(&'static str, String); 8] {
    let number = |number: Option<u32>| number.map_or_else(|| NOT_AVAILABLE.to_owned(), |number| number.to_string());
    let rate = if status.flows_rate > 0.0 { format!("{:.2}", status.flows_rate) } else { NOT_AVAILABLE.to_owned() };
    [
        ("NUM FLOWS", grouped(status.num_flows)),
        ("MAX FLOWS", grouped(status.max_flows)),
        ("SEEN FLOWS", grouped(status.seen_flows)),
        ("FLOWS PER SECOND", rate),
        ("UPTIME", duration(status.uptime_ns)),
        ("NUM CONNECTED NODES", number(status.num_connected_nodes)),
        ("NUM UNAVAIL. NODES", number(status.num_unavailable_nodes)),
        ("VERSION", safe(&status.version).into_owned()),
    ]
}

fn compact(status: &ServerStatusResponse, out: &mut String) {
    let _ = write!(out, "Current/Max Flows: {}/{}", grouped(status.num_flows), grouped(status.max_flows));
    let _ = match status.max_flows {
        0 => writeln!(out),
        max => writeln!(out, " ({:.2}%)", status.num_flows as f64 / max as f64 * 100.0),
    };
    let rate = match status.uptime_ns {
        _ if status.flows_rate > 0.0 => format!("{:.2}", status.flows_rate),
        0 => NOT_AVAILABLE.to_owned(),
        // Servers before 1.14 report no rate.
        uptime => format!("{:.2}", status.seen_flows as f64 / (uptime as f64 / 1e9)),
    };
    let _ = writeln!(out, "Flows/s: {rate}");
    if let Some(connected) = status.num_connected_nodes {
        let _ = write!(out, "Connected Nodes: {connected}");
        let total = status.num_unavailable_nodes.map(|unavailable| unavailable.saturating_add(connected));
        let _ = match total {
            Some(total) => writeln!(out, "/{total}"),
            None => writeln!(out),
        };
    }
    if let Some(unavailable) = status.num_unavailable_nodes.filter(|&unavailable| unavailable > 0) {
        let _ = writeln!(out, "Unavailable Nodes: {unavailable}");
        let mut names: Vec<_> = status.unavailable_nodes.iter().map(|name| safe(name)).collect();
        names.sort();
        let unnamed = u64::from(unavailable).saturating_sub(names.len() as u64);
        if unnamed > 0 && !names.is_empty() {
            names.push(format!("and {unnamed} more...").into());
        }
        for name in names {
            let _ = writeln!(out, "  - {name}");
        }
    }
}

/// The nodes of a relay, by name; `wide` adds version, address and TLS.
pub fn nodes(nodes: &[Node], wide: bool) -> String {
    let mut sorted: Vec<_> = nodes.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let (mut table, mut out) = (Table::default(), String::new());
    let mut names = header(&["NAME", "STATUS", "AGE", "FLOWS/S", "CURRENT/MAX-FLOWS"]);
    if wide {
        names.extend(header(&["VERSION", "ADDRESS", "TLS"]));
    }
    table.push(names, &mut out);
    for node in sorted {
        table.push(row(node, wide), &mut out);
    }
    table.write(&mut out);
    out
}

fn row(node: &Node, wide: bool) -> Vec<String> {
    let state = match NodeState::try_from(node.state) {
        Ok(NodeState::NodeConnected) => "Connected",
        Ok(NodeState::NodeUnavailable) => "Unavailable",
        Ok(NodeState::NodeGone) => "Gone",
        Ok(NodeState::NodeError) => "Error",
        Ok(NodeState::UnknownNodeState) | Err(_) => "Unknown",
    };
    // To the nearest second.
    let seconds = node.uptime_ns / 1_000_000_000 + u64::from(node.uptime_ns % 1_000_000_000 >= 500_000_000);
    let (age, rate) = match seconds {
        0 => (NOT_AVAILABLE.to_owned(), NOT_AVAILABLE.to_owned()),
        seconds => {
            let age = duration(seconds.saturating_mul(1_000_000_000));
            (age, format!("{:.2}", node.seen_flows as f64 / seconds as f64))
        }
    };
    let ratio = match node.max_flows {
        0 => NOT_AVAILABLE.to_owned(),
        max => format!("{}/{max} ({:6.2}%)", node.num_flows, node.num_flows as f64 / max as f64 * 100.0),
    };
    let mut cells = vec![safe(&node.name).into_owned(), state.to_owned(), age, rate, ratio];
    if wide {
        let version = if node.version.is_empty() { NOT_AVAILABLE.into() } else { safe(&node.version) };
        let tls = match &node.tls {
            None => NOT_AVAILABLE,
            Some(tls) if tls.enabled => "Enabled",
            Some(_) => "Disabled",
        };
        cells.extend([version.into_owned(), safe(&node.address).into_owned(), tls.to_owned()]);
    }
    cells
}

/// Namespaces with recent flows; `wide` adds the cluster.
pub fn namespaces(namespaces: &[Namespace], wide: bool) -> String {
    let (mut table, mut out) = (Table::default(), String::new());
    table.push(if wide { header(&["NAMESPACE", "CLUSTER"]) } else { header(&["NAMESPACE"]) }, &mut out);
    for of in namespaces {
        let mut cells = vec![safe(&of.namespace).into_owned()];
        if wide && !of.cluster.is_empty() {
            cells.push(safe(&of.cluster).into_owned());
        }
        table.push(cells, &mut out);
    }
    table.write(&mut out);
    out
}

/// A list of messages as JSON, indented by two spaces.
pub fn json_list<M: Name>(messages: &[M]) -> String {
    let mut list = Vec::new();
    for message in messages {
        let mut text = String::new();
        if json::write(message, &mut text).is_ok()
            && let Ok(value) = serde_json::from_str::<serde_json::Value>(&text)
        {
            list.push(value);
        }
    }
    let text = serde_json::to_string_pretty(&list).unwrap_or_default();
    text + "\n"
}

/// A change of the nodes that serve flows.
pub fn peer(change: &ChangeNotification) -> String {
    let kind = enum_name!(ChangeNotificationType, change.r#type);
    let tls = change.tls.as_ref().map(|tls| format!(" (TLS.ServerName: {})", safe(&tls.server_name)));
    format!("{kind:<12} {} {}{}\n", safe(&change.address), safe(&change.name), tls.unwrap_or_default())
}

/// Nanoseconds as Go writes a duration: `1h2m3.5s`, and below a second in the largest unit that fits.
fn duration(nanoseconds: u64) -> String {
    // More than Go's type holds.
    if i64::try_from(nanoseconds).is_err() {
        return format!("{nanoseconds}ns");
    }
    let decimal = |value: u64, unit: u64, name: &str| {
        let digits = unit.ilog10() as usize;
        let fraction = format!("{:0digits$}", value % unit);
        let fraction = fraction.trim_end_matches('0');
        let dot = if unit == 1 || fraction.is_empty() { String::new() } else { format!(".{fraction}") };
        format!("{}{dot}{name}", value / unit)
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => decimal(nanoseconds, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(nanoseconds, 1_000_000, "ms"),
        _ => {
            let minutes = nanoseconds / 60_000_000_000;
            let seconds = decimal(nanoseconds % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}
