//! What /status says: the document, and its form for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::report;
use crate::support::capabilities::Held;
use crate::support::telemetry::{Kind, Sample};

/// How the program does. Fields may be added; readers ignore those that they don't know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Name of the node.
    pub node: String,
    /// Whole seconds since the start.
    pub uptime_seconds: u64,
    /// As /readyz says; the endpoint fills it in.
    pub ready: bool,
    /// Its process id.
    pub pid: u32,
    /// The source's kind.
    pub source: String,
    /// The exports, one for each signal.
    pub exports: Vec<ExportStatus>,
    /// The interfaces of the datapath; none from other sources.
    pub interfaces: Option<InterfacesStatus>,
    /// Settings that explain the numbers, by key (`datapath.interval`); never secrets.
    pub settings: BTreeMap<String, String>,
    /// The connection to the agent that is read from; none from sources without one.
    pub connection: Option<ConnectionStatus>,
    /// The hooks of the datapath, attached or not.
    pub hooks: Vec<HookStatus>,
    /// What the process may do.
    pub privileges: PrivilegesStatus,
    /// The last events of each reason that could not be decoded.
    pub undecodable: Vec<ExampleStatus>,
    /// All numbers of the telemetry.
    pub samples: Vec<SampleStatus>,
}

/// The export of a signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportStatus {
    /// `logs` or `metrics`.
    pub signal: String,
    /// Whether its last request was not taken.
    pub failing: bool,
    /// For how many whole seconds it has been failing; 0 where it is not.
    pub since_seconds: u64,
    /// Requests that failed in a row.
    pub attempts: u64,
    /// Why the last one did, with the endpoint.
    pub error: Option<String>,
    /// Records that wait for an answer.
    pub queued: u64,
}

/// Interfaces by what they are to the datapath.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfacesStatus {
    /// Host sides of containers and pods.
    pub endpoints: u64,
    /// Where packets enter and leave the machine.
    pub uplinks: u64,
    /// Interfaces that are not watched, by why.
    pub left_out: BTreeMap<String, u64>,
    /// Patterns that match no interface now, each with its key.
    pub unmatched: Vec<String>,
}

/// The connection to an agent or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionStatus {
    /// The agent's socket, or the server's address.
    pub peer: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Why there is none: `not_there`, `closed` …
    pub reason: Option<String>,
    /// For how many whole seconds it has been so.
    pub since_seconds: u64,
    /// Connections that have ended so far.
    pub interruptions: u64,
    /// Nodes behind a relay, as it told last; none behind others.
    pub nodes: Vec<NodeStatus>,
}

/// A node behind a relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `connected`, `unavailable`, `gone`, `error`, `unknown`.
    pub state: String,
    /// For how many whole seconds it has been so.
    pub since_seconds: u64,
    /// What the relay says about it; often nothing.
    pub message: String,
}

/// One hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HookStatus {
    /// The hook: `from-endpoint`, `to-network`, `kfree_skb` …
    pub hook: String,
    /// The interface's name; empty for a hook of the whole machine.
    pub interface: String,
    /// The interface's index; 0 for a hook of the whole machine.
    pub ifindex: u32,
    /// Whether it is attached.
    pub attached: bool,
    /// How: `tcx`, `clsact`, `tp_btf`.
    pub by: String,
    /// Why it is not attached.
    pub error: Option<String>,
}

/// What the process may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrivilegesStatus {
    /// Whether executing a program gives it no more.
    pub no_new_privs: bool,
    /// Whether other processes of its user can read its memory.
    pub dumpable: bool,
    /// Its threads, by what they hold.
    pub threads: Vec<ThreadsStatus>,
}

/// Threads that hold the same capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadsStatus {
    /// Their names.
    pub names: Vec<String>,
    /// The capabilities, without `CAP_`.
    pub capabilities: Vec<String>,
}

impl From<Held> for PrivilegesStatus {
    fn from(held: Held) -> Self {
        let threads = held.threads.into_iter().map(|(capabilities, names)| ThreadsStatus {
            names: names.into_iter().collect(),
            capabilities: capabilities.names(),
        });
        Self { no_new_privs: held.no_new_privs, dumpable: held.is_dumpable, threads: threads.collect() }
    }
}

/// An event that could not be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExampleStatus {
    /// Why, as in the counter of failed events.
    pub reason: String,
    /// How many whole seconds ago.
    pub seconds_ago: u64,
    /// How long it was, in bytes.
    pub length: u64,
    /// Its first bytes, in hexadecimal digits; as many as `admin.example_bytes` has, none by default.
    pub bytes: String,
}

/// One number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleStatus {
    /// Metric name.
    pub name: String,
    /// `counter` or `gauge`.
    pub kind: String,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// The value.
    pub value: u64,
}

impl From<Sample> for SampleStatus {
    fn from(sample: Sample) -> Self {
        let Sample { key, kind, value } = sample;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let attributes = key.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { name: key.name.to_owned(), kind: kind.to_owned(), attributes, value }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        report::alarms(f, self)?;
        let uptime = eyepiece_config::format_duration(Duration::from_secs(self.uptime_seconds));
        let ready = if self.ready { "ready" } else { "not ready" };
        writeln!(f, "eyepiece {} on {}: {ready}, up {uptime}, source {}", self.version, self.node, self.source)?;
        section(f, "In short", report::summary(self))?;
        section(f, "Connection", self.connection.iter().map(ConnectionStatus::row).collect())?;
        let nodes = self.connection.iter().flat_map(|connection| &connection.nodes);
        section(f, "Nodes", nodes.map(NodeStatus::row).collect())?;
        section(f, "Interfaces", self.interfaces.iter().flat_map(report::interfaces).collect())?;
        section(f, "Hooks", self.hooks.iter().map(HookStatus::row).collect())?;
        section(f, "Capabilities of threads", self.privileges.threads.iter().map(ThreadsStatus::row).collect())?;
        section(f, "Not decoded, the last of each reason", self.undecodable.iter().map(ExampleStatus::row).collect())?;
        let settings = self.settings.iter().filter(|(_, value)| !value.is_empty());
        section(f, "Settings", settings.map(|(key, value)| [key.clone(), value.clone()]).collect())?;
        let (shown, zeros): (Vec<_>, Vec<_>) = self.samples.iter().partition(|sample| sample.value > 0);
        let (gauges, counters): (Vec<_>, Vec<_>) = shown.into_iter().partition(|sample| sample.kind == "gauge");
        section(f, "Counted since the start", counters.into_iter().map(SampleStatus::row).collect())?;
        section(f, "Now", gauges.into_iter().map(SampleStatus::row).collect())?;
        report::zeros(f, zeros.len())
    }
}

impl ConnectionStatus {
    fn row(&self) -> [String; 3] {
        let state = match &self.reason {
            None if self.connected => "connected".to_owned(),
            Some(reason) => format!("not connected ({reason})"),
            None => "not connected".to_owned(),
        };
        let since = eyepiece_config::format_duration(Duration::from_secs(self.since_seconds));
        [self.peer.clone(), format!("{state} for {since}"), format!("interrupted {} times", self.interruptions)]
    }
}

impl NodeStatus {
    fn row(&self) -> [String; 3] {
        let since = eyepiece_config::format_duration(Duration::from_secs(self.since_seconds));
        [self.name.clone(), format!("{} for {since}", self.state), self.message.clone()]
    }
}

impl HookStatus {
    fn row(&self) -> [String; 4] {
        let state = match (&self.error, self.attached) {
            (Some(error), _) => format!("not attached: {error}"),
            (None, true) => "attached".to_owned(),
            (None, false) => "not attached".to_owned(),
        };
        let interface = if self.interface.is_empty() { "(whole machine)" } else { &self.interface };
        [interface.to_owned(), self.hook.clone(), self.by.clone(), state]
    }
}

impl ThreadsStatus {
    fn row(&self) -> [String; 2] {
        let capabilities = if self.capabilities.is_empty() { "none".to_owned() } else { self.capabilities.join(" ") };
        [capabilities, self.names.join(" ")]
    }
}

impl ExampleStatus {
    fn row(&self) -> [String; 4] {
        let ago = eyepiece_config::format_duration(Duration::from_secs(self.seconds_ago));
        [self.reason.clone(), format!("{ago} ago"), format!("{} bytes", self.length), self.bytes.clone()]
    }
}

impl SampleStatus {
    fn row(&self) -> [String; 3] {
        let attributes: Vec<_> = self.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [self.name.clone(), report::grouped(self.value), attributes.join(" ")]
    }
}

/// A heading and its rows in columns; nothing where there are no rows.
fn section<const N: usize>(f: &mut fmt::Formatter<'_>, heading: &str, rows: Vec<[String; N]>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| printable(&cell))).collect();
    let column = |column: usize| rows.iter().map(move |row| row[column].as_str());
    let widths: [usize; N] = std::array::from_fn(|at| column(at).map(|cell| cell.chars().count()).max().unwrap_or(0));
    // Where a text stands among numbers, all are texts.
    let are_numbers: [bool; N] = std::array::from_fn(|at| column(at).all(is_number));
    writeln!(f, "\n{heading}")?;
    for row in &rows {
        let cells = row.iter().zip(widths).zip(are_numbers).map(|((cell, width), is_number)| {
            if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Whether a cell has digits only, in groups or not; an empty one may stand among them.
fn is_number(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}

/// Names come from the network: no control character of theirs reaches a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        ConnectionStatus, ExampleStatus, ExportStatus, HookStatus, InterfacesStatus, NodeStatus, PrivilegesStatus,
        SampleStatus, Status,
    };
    use crate::support::telemetry::Telemetry;

    #[test]
    fn a_report_for_people() {
        let telemetry = Telemetry::default();
        telemetry.counter("eyepiece.events.received", &[]).add(12345);
        telemetry.counter("eyepiece.events.lost", &[("cpu", "0")]).add(7);
        telemetry.gauge("eyepiece.queue.depth", &[("queue", "logs")]).set(3);
        telemetry.counter("eyepiece.flows.failed", &[]);
        let logs = ("eyepiece.signal", "logs");
        telemetry.counter("eyepiece.export.records", &[logs, ("eyepiece.outcome", "delivered")]).add(1_234_567);
        telemetry.counter("eyepiece.export.records", &[logs, ("eyepiece.outcome", "dropped")]);
        let hook = |hook: &str, interface: &str, error: Option<&str>| HookStatus {
            hook: hook.to_owned(),
            interface: interface.to_owned(),
            attached: error.is_none(),
            by: "tcx".to_owned(),
            error: error.map(str::to_owned),
            ..HookStatus::default()
        };
        let status = Status {
            version: "1.2.3".to_owned(),
            node: "host1".to_owned(),
            uptime_seconds: 90,
            ready: true,
            privileges: PrivilegesStatus::default(),
            pid: 7,
            source: "datapath".to_owned(),
            exports: vec![
                ExportStatus {
                    signal: "logs".to_owned(),
                    failing: true,
                    since_seconds: 50,
                    attempts: 6,
                    error: Some("connection refused (http://127.0.0.1:4317)".to_owned()),
                    queued: 1307,
                },
                ExportStatus { signal: "metrics".to_owned(), ..ExportStatus::default() },
            ],
            interfaces: Some(InterfacesStatus {
                endpoints: 1,
                uplinks: 2,
                left_out: [("loopback".to_owned(), 1)].into(),
                unmatched: vec!["datapath.interfaces.include \"eth9\"".to_owned()],
            }),
            connection: Some(ConnectionStatus {
                peer: "/run/m.sock".to_owned(),
                reason: Some("not_there".to_owned()),
                since_seconds: 61,
                interruptions: 2,
                nodes: vec![NodeStatus {
                    name: "node-1".to_owned(),
                    state: "unavailable".to_owned(),
                    since_seconds: 3,
                    message: "no route".to_owned(),
                }],
                ..ConnectionStatus::default()
            }),
            undecodable: vec![ExampleStatus {
                reason: "short".to_owned(),
                seconds_ago: 5,
                length: 3,
                bytes: "040000".to_owned(),
            }],
            settings: [("datapath.capture_bytes", "128"), ("datapath.interval", "5s")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            hooks: vec![hook("from-endpoint", "veth\u{1b}1", None), hook("kfree_skb", "", Some("no BTF"))],
            samples: telemetry.samples().into_iter().map(SampleStatus::from).collect(),
        };
        let expected = "\
export of logs FAILING for 50 s: connection refused (http://127.0.0.1:4317); 1,307 queued
/run/m.sock not connected for 61 s: not_there
hook kfree_skb (whole machine) NOT ATTACHED: no BTF
datapath.interfaces.include \"eth9\" matches no interface

eyepiece 1.2.3 on host1: ready, up 1m30s, source datapath

In short
  events   received      12,345  lost     7
  logs     delivered  1,234,567  dropped  0  queued  1,307
  metrics  delivered          0  dropped  0

Connection
  /run/m.sock  not connected (not_there) for 1m1s  interrupted 2 times

Nodes
  node-1  unavailable for 3s  no route

Interfaces
  3 watched   1 endpoint, 2 uplinks
  1 left out  loopback

Hooks
  veth\u{fffd}1           from-endpoint  tcx  attached
  (whole machine)  kfree_skb      tcx  not attached: no BTF

Not decoded, the last of each reason
  short  5s ago  3 bytes  040000

Settings
  datapath.capture_bytes  128
  datapath.interval       5s

Counted since the start
  eyepiece.events.lost              7  cpu=0
  eyepiece.events.received     12,345
  eyepiece.export.records   1,234,567  eyepiece.outcome=delivered eyepiece.signal=logs

Now
  eyepiece.queue.depth  3  queue=logs

2 numbers are 0 and left out; --json has them
";
        assert_eq!(status.to_string(), expected);
    }
}
