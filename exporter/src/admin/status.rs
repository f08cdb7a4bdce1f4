//! What /status says: the document, and its form for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::telemetry::{Kind, Sample};

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
    /// The source's kind.
    pub source: String,
    /// Settings that explain the numbers, by key (`datapath.interval`); never secrets.
    pub settings: BTreeMap<String, String>,
    /// The connection to the agent that is read from; none from sources without one.
    pub connection: Option<ConnectionStatus>,
    /// The hooks of the datapath, attached or not.
    pub hooks: Vec<HookStatus>,
    /// The last events of each reason that could not be decoded.
    pub undecodable: Vec<ExampleStatus>,
    /// All numbers of the telemetry.
    pub samples: Vec<SampleStatus>,
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
        let uptime = eyepiece_config::format_duration(Duration::from_secs(self.uptime_seconds));
        let ready = if self.ready { "ready" } else { "not ready" };
        writeln!(f, "eyepiece {} on {}: {ready}, up {uptime}, source {}", self.version, self.node, self.source)?;
        let settings = self.settings.iter().map(|(key, value)| [key.clone(), value.clone()]);
        section(f, "Settings", settings.collect())?;
        section(f, "Connection", self.connection.iter().map(ConnectionStatus::row).collect())?;
        let nodes = self.connection.iter().flat_map(|connection| &connection.nodes);
        section(f, "Nodes", nodes.map(NodeStatus::row).collect())?;
        section(f, "Hooks", self.hooks.iter().map(HookStatus::row).collect())?;
        section(f, "Not decoded, the last of each reason", self.undecodable.iter().map(ExampleStatus::row).collect())?;
        let (gauges, counters): (Vec<_>, Vec<_>) = self.samples.iter().partition(|sample| sample.kind == "gauge");
        section(f, "Counted since the start", counters.into_iter().map(SampleStatus::row).collect())?;
        section(f, "Now", gauges.into_iter().map(SampleStatus::row).collect())
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

impl ExampleStatus {
    fn row(&self) -> [String; 4] {
        let ago = eyepiece_config::format_duration(Duration::from_secs(self.seconds_ago));
        [self.reason.clone(), format!("{ago} ago"), format!("{} bytes", self.length), self.bytes.clone()]
    }
}

impl SampleStatus {
    fn row(&self) -> [String; 3] {
        let attributes: Vec<_> = self.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        [self.name.clone(), self.value.to_string(), attributes.join(" ")]
    }
}

/// A heading and its rows in columns; nothing where there are no rows.
fn section<const N: usize>(f: &mut fmt::Formatter<'_>, heading: &str, rows: Vec<[String; N]>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| printable(&cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    writeln!(f, "\n{heading}")?;
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let number = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
            if number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// Names come from the network: no control character of theirs reaches a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{ConnectionStatus, ExampleStatus, HookStatus, NodeStatus, SampleStatus, Status};
    use crate::telemetry::Telemetry;

    #[test]
    fn a_report_for_people() {
        let telemetry = Telemetry::default();
        telemetry.counter("eyepiece.events.received", &[]).add(12345);
        telemetry.counter("eyepiece.events.lost", &[("cpu", "0")]).add(7);
        telemetry.gauge("eyepiece.queue.depth", &[("queue", "logs")]).set(3);
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
            source: "datapath".to_owned(),
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
            settings: [("datapath.interval".to_owned(), "5s".to_owned())].into(),
            hooks: vec![hook("from-endpoint", "veth\u{1b}1", None), hook("kfree_skb", "", Some("no BTF"))],
            samples: telemetry.samples().into_iter().map(SampleStatus::from).collect(),
        };
        let expected = "\
eyepiece 1.2.3 on host1: ready, up 1m30s, source datapath

Settings
  datapath.interval  5s

Connection
  /run/m.sock  not connected (not_there) for 1m1s  interrupted 2 times

Nodes
  node-1  unavailable for 3s  no route

Hooks
  veth\u{fffd}1           from-endpoint  tcx  attached
  (whole machine)  kfree_skb      tcx  not attached: no BTF

Not decoded, the last of each reason
  short  5s ago  3 bytes  040000

Counted since the start
  eyepiece.events.lost          7  cpu=0
  eyepiece.events.received  12345

Now
  eyepiece.queue.depth  3  queue=logs
";
        assert_eq!(status.to_string(), expected);
    }
}
