//! The document of /status.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::support::capabilities::HeldCapabilities;
use crate::support::telemetry::{DurationSample, Key, Kind, Sample};

/// The state of the program. Fields may be added; readers ignore unknown ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Name of the node.
    pub node: String,
    /// Whole seconds since the start.
    pub uptime_seconds: u64,
    /// Whether /readyz answers 200; the endpoint sets it.
    pub ready: bool,
    /// Its process id.
    pub pid: u32,
    /// The source's kind.
    pub source: String,
    /// The exports, one per signal.
    pub exports: Vec<ExportStatus>,
    /// The interfaces of the datapath; `None` for other sources.
    pub interfaces: Option<InterfacesStatus>,
    /// Settings that explain the numbers, by key (`datapath.interval`); never secrets.
    pub settings: BTreeMap<String, String>,
    /// The connection to a Cilium agent or Hubble server; `None` for other sources.
    pub connection: Option<ConnectionStatus>,
    /// The providers of names.
    pub metadata: Vec<ProviderStatus>,
    /// The hooks of the datapath, attached or not.
    pub hooks: Vec<HookStatus>,
    /// Privileges of the process.
    pub privileges: PrivilegesStatus,
    /// The last undecodable event of each reason.
    pub undecodable: Vec<ExampleStatus>,
    /// All values of our own metrics.
    pub samples: Vec<SampleStatus>,
}

/// The export of one signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportStatus {
    /// `logs` or `metrics`.
    pub signal: String,
    /// Whether the last request failed.
    pub failing: bool,
    /// Whole seconds since the first failure in a row; 0 if the export works.
    pub since_seconds: u64,
    /// Failed requests in a row.
    pub attempts: u64,
    /// The last error, with the endpoint.
    pub error: Option<String>,
    /// Records that the receiver has not acknowledged.
    pub queued: u64,
}

/// Interfaces by their role in the datapath.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InterfacesStatus {
    /// Host sides of containers and pods.
    pub endpoints: u64,
    /// Interfaces where packets enter and leave the machine.
    pub uplinks: u64,
    /// Number of interfaces that are not watched, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Patterns that match no interface, each after its key: `datapath.interfaces.include "eth9"`.
    pub unmatched: Vec<String>,
}

/// The connection to an agent or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionStatus {
    /// The agent's socket, or the server's address.
    pub peer: String,
    /// Whether it is connected.
    pub connected: bool,
    /// The reason of a missing connection: `not_there`, `closed` …
    pub reason: Option<String>,
    /// Whole seconds since the last change.
    pub since_seconds: u64,
    /// Connections that have ended so far.
    pub interruptions: u64,
    /// Nodes behind a relay, from its last status; empty for other servers.
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
    /// Whole seconds since the last change.
    pub since_seconds: u64,
    /// The relay's message about the node, often empty.
    pub message: String,
}

/// A provider of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderStatus {
    /// `docker`, `kubernetes`, `file` …
    pub provider: String,
    /// `connecting`, `current`, `limited`, `stale`, `unavailable`.
    pub state: String,
    /// Containers, pods, entries …
    pub objects: u64,
    /// Whole seconds since the state is stale; 0 if it is not.
    pub stale_seconds: u64,
    /// The last error, or what this machine lacks.
    pub error: Option<String>,
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
    /// The kind of hook: `tcx`, `clsact`, `tp_btf`.
    pub by: String,
    /// The error of attaching it.
    pub error: Option<String>,
}

/// Privileges of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrivilegesStatus {
    /// Whether execve(2) grants no privileges.
    pub no_new_privs: bool,
    /// Whether other processes of its user can read its memory.
    pub dumpable: bool,
    /// Its threads, by capabilities.
    pub threads: Vec<ThreadsStatus>,
}

/// Threads with the same capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadsStatus {
    /// Names of the threads.
    pub names: Vec<String>,
    /// Capabilities, without `CAP_`.
    pub capabilities: Vec<String>,
}

impl From<HeldCapabilities> for PrivilegesStatus {
    fn from(held: HeldCapabilities) -> Self {
        let threads = held.threads.into_iter().map(|(capabilities, names)| ThreadsStatus {
            names: names.into_iter().collect(),
            capabilities: capabilities.names(),
        });
        Self { no_new_privs: held.no_new_privs, dumpable: held.is_dumpable, threads: threads.collect() }
    }
}

/// An undecodable event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExampleStatus {
    /// The reason, as in the counter of failed events.
    pub reason: String,
    /// Age in whole seconds.
    pub seconds_ago: u64,
    /// Length in bytes.
    pub length: u64,
    /// Its first `admin.example_bytes` bytes in hexadecimal digits; empty by default.
    pub bytes: String,
}

/// One value of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SampleStatus {
    /// Metric name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Attributes.
    pub attributes: BTreeMap<String, String>,
    /// The value; of a histogram, the number of durations.
    pub value: u64,
    /// The sum of a histogram's durations, ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum_ns: Option<u64>,
}

impl SampleStatus {
    fn new(key: Key, kind: &str, value: u64, sum_ns: Option<u64>) -> Self {
        let attributes = key.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { name: key.name.to_owned(), kind: kind.to_owned(), attributes, value, sum_ns }
    }
}

impl From<Sample> for SampleStatus {
    fn from(sample: Sample) -> Self {
        let Sample { key, kind, value } = sample;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        Self::new(key, kind, value, None)
    }
}

impl From<DurationSample> for SampleStatus {
    fn from(sample: DurationSample) -> Self {
        let DurationSample { key, durations, .. } = sample;
        Self::new(key, "histogram", durations.count(), Some(durations.sum_ns))
    }
}
