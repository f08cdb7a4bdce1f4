//! The settings as plain data, with their defaults. `keys.rs` documents each key.

mod alternatives;
mod hubble;
mod metadata;
mod monitor;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::choices::{
    Aggregation, Attach, Compression, Context, FlowDetail, LogFormat, LogLevel, Naming, Protocol, Readiness,
    SourceKind, Temporality, Transport,
};
use crate::handlers::Handler;
use crate::secret::Secret;
use crate::units::{duration, optional, optional_duration, optional_number, path, size};

pub use hubble::{Hubble, HubbleSource, ServerTls, SourceTls};
pub use metadata::{Docker, Kubernetes, Metadata, MetadataCgroup, MetadataDns, MetadataFile};
pub use monitor::{CiliumMonitor, Monitor, Replay};

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `[node]`
    pub node: Node,
    /// `[source]`
    pub source: Source,
    /// `[datapath]`
    pub datapath: Datapath,
    /// `[cilium_monitor]`
    pub cilium_monitor: CiliumMonitor,
    /// `[replay]`
    pub replay: Replay,
    /// `[hubble_source]`
    pub hubble_source: HubbleSource,
    /// `[monitor]`
    pub monitor: Monitor,
    /// `[hubble]`
    pub hubble: Hubble,
    /// `[metadata]`
    pub metadata: Metadata,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[otlp]`
    pub otlp: Otlp,
    /// `[prometheus]`
    pub prometheus: Prometheus,
    /// `[admin]`
    pub admin: Admin,
    /// `[log]`
    pub log: Log,
}

/// This machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The node's name; [`crate::load`] defaults it to the host's name.
    pub name: String,
    /// The cluster's name.
    pub cluster: String,
    /// Whether our own agent notifications are suppressed.
    pub dry_mode: bool,
    /// The longest time of a shutdown to deliver queued telemetry.
    #[serde(with = "duration")]
    pub drain: Duration,
}

impl Default for Node {
    fn default() -> Self {
        Self { name: String::new(), cluster: "default".to_owned(), dry_mode: false, drain: Duration::from_secs(5) }
    }
}

/// The source of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The kind of the source.
    pub kind: SourceKind,
}

/// The programs in the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datapath {
    /// The way to attach programs to interfaces.
    pub attach: Attach,
    /// The buffer that carries records to user space.
    pub transport: Transport,
    /// Bytes of the ring; see [`Datapath::buffer_bytes`].
    #[serde(with = "size")]
    pub buffer: u64,
    /// The aggregation of packets into events.
    pub aggregation: Aggregation,
    /// A live connection is reported at least this often, when aggregated.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Bytes of a packet that an event carries.
    pub capture_bytes: u32,
    /// Entries of the connection table, one for each connection and interface.
    pub max_connections: u32,
    /// Whether kernel drops are reported.
    pub drops: bool,
    /// Names of kernel drop reasons to ignore, beside the built-in list.
    pub drops_ignore: Vec<String>,
    /// Whether debug and capture notifications are emitted.
    pub debug: bool,
    /// The watched interfaces.
    pub interfaces: Interfaces,
    /// The longest idle times of connections.
    pub timeout: Timeouts,
}

impl Default for Datapath {
    fn default() -> Self {
        Self {
            attach: Attach::Auto,
            transport: Transport::Ring,
            // Some 40,000 records of 200 bytes: a third of a second at 120,000 events a second.
            buffer: 8 << 20,
            aggregation: Aggregation::Medium,
            interval: Duration::from_secs(5),
            capture_bytes: 128,
            max_connections: 131_072,
            drops: true,
            drops_ignore: Vec::new(),
            debug: false,
            interfaces: Interfaces::default(),
            timeout: Timeouts::default(),
        }
    }
}

impl Datapath {
    /// The ring's size: the next power of two of [`Datapath::buffer`] that is a multiple of the page size, as `bpf(2)`
    /// requires for `BPF_MAP_TYPE_RINGBUF`. Saturates at 2^31, the largest size that fits its u32.
    pub fn buffer_bytes(&self, page_size: u32) -> u32 {
        let wanted = self.buffer.max(u64::from(page_size)).min(1 << 31);
        u32::try_from(wanted.next_power_of_two()).unwrap_or(1 << 31)
    }
}

/// The interfaces to hook: an include pattern matches the name, and no exclude pattern does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interfaces {
    /// Patterns with `*` and `?`.
    pub include: Vec<String>,
    /// Patterns with `*` and `?`.
    pub exclude: Vec<String>,
}

impl Default for Interfaces {
    fn default() -> Self {
        Self { include: vec!["*".to_owned()], exclude: Vec::new() }
    }
}

/// The longest idle times before a connection leaves the table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// TCP, until a FIN or RST.
    #[serde(with = "duration")]
    pub tcp: Duration,
    /// UDP and the other protocols with ports.
    #[serde(with = "duration")]
    pub udp: Duration,
    /// Everything else, and TCP after a FIN or RST.
    #[serde(with = "duration")]
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { tcp: 10 * minute, udp: minute, other: minute }
    }
}

/// The series of metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The names of a flow's ends, in metrics whose handler is not listed in `hubble`.
    pub contexts: Contexts,
    /// The handlers of Hubble's metrics in use, each at most once, with the contexts of its options. Empty: `drop`, `flow`
    /// and `tcp` with `contexts`. `flow-io` is always in use.
    pub hubble: Vec<Handler>,
    /// The labels of packets and bytes besides the ends.
    pub flow_detail: FlowDetail,
    /// Series of one metric; further ones are counted in an overflow series.
    pub max_series: u32,
    /// Series that did not change for this long are dropped; zero = never.
    #[serde(with = "duration")]
    pub idle_expiry: Duration,
    /// Attribute names.
    pub naming: Naming,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            contexts: Contexts::default(),
            hubble: Vec::new(),
            flow_detail: FlowDetail::Ends,
            max_series: 10_000,
            idle_expiry: Duration::from_secs(300),
            naming: Naming::Semconv,
        }
    }
}

/// The names of the ends of a flow: the first that is not empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The source; never empty.
    #[serde(with = "alternatives")]
    pub source: Vec<Context>,
    /// The destination; never empty.
    #[serde(with = "alternatives")]
    pub destination: Vec<Context>,
}

impl Default for Contexts {
    fn default() -> Self {
        use Context::{App, Container, Dns, Name, Pod, Unit, Workload};
        let contexts = vec![Workload, App, Container, Pod, Unit, Dns, Name];
        Self { source: contexts.clone(), destination: contexts }
    }
}

/// The exports by OTLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Base URL of the receiver; see [`Otlp::export`].
    pub endpoint: String,
    /// The protocol.
    pub protocol: Protocol,
    /// Headers of every request, names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// Compression of requests.
    pub compression: Compression,
    /// Timeout of a request.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Certificates.
    pub tls: Tls,
    /// Resource attribute `service.name`.
    pub service_name: String,
    /// Further resource attributes.
    pub resource_attributes: BTreeMap<String, String>,
    /// `[otlp.metrics]`
    pub metrics: OtlpMetrics,
    /// `[otlp.logs]`
    pub logs: Logs,
}

/// The default endpoint for gRPC.
pub(crate) const GRPC_ENDPOINT: &str = "http://localhost:4317";
/// The default endpoint for HTTP.
pub(crate) const HTTP_ENDPOINT: &str = "http://localhost:4318";

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: GRPC_ENDPOINT.to_owned(),
            protocol: Protocol::Grpc,
            headers: BTreeMap::new(),
            compression: Compression::None,
            // The default of OpenTelemetry's exporter specification.
            timeout: Duration::from_secs(10),
            tls: Tls::default(),
            service_name: "eyepiece".to_owned(),
            resource_attributes: BTreeMap::new(),
            metrics: OtlpMetrics::default(),
            logs: Logs::default(),
        }
    }
}

/// Files with PEM certificates and keys; the client reads them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Authorities that the receiver's certificate is checked against, instead of the system's.
    #[serde(with = "path")]
    pub ca: Option<PathBuf>,
    /// Our client certificate.
    #[serde(with = "path")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(with = "path")]
    pub key: Option<PathBuf>,
}

/// A signal's own settings; `None` = those of `[otlp]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overrides {
    /// The signal's own URL, over HTTP used as it is.
    #[serde(with = "optional")]
    pub endpoint: Option<String>,
    /// The protocol.
    #[serde(with = "optional")]
    pub protocol: Option<Protocol>,
    /// Headers; if there are any, they replace the general ones.
    pub headers: BTreeMap<String, Secret>,
    /// Compression of requests.
    #[serde(with = "optional")]
    pub compression: Option<Compression>,
    /// Timeout of a request.
    #[serde(with = "optional_duration")]
    pub timeout: Option<Duration>,
    /// Certificates, file by file.
    pub tls: Tls,
}

/// Export of metrics. The table of keys refuses unknown keys: serde cannot, beside `flatten`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtlpMetrics {
    /// Whether metrics are exported.
    pub enabled: bool,
    /// Time between two exports.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// What values are since.
    pub temporality: Temporality,
    /// Whether the protocol `stdout` prints them as a table.
    pub table: bool,
    /// The settings that differ from `[otlp]`.
    #[serde(flatten)]
    pub overrides: Overrides,
}

impl Default for OtlpMetrics {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(10),
            temporality: Temporality::Cumulative,
            table: false,
            overrides: Overrides::default(),
        }
    }
}

/// Export of log records. The table of keys refuses unknown keys: serde cannot, beside `flatten`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// Whether log records are exported.
    pub enabled: bool,
    /// The exported kinds of records.
    pub events: LogEvents,
    /// The time between two reports of an unchanged entity; zero = never again.
    #[serde(with = "duration")]
    pub entity_interval: Duration,
    /// Records that wait for a request; further ones are dropped and counted.
    pub queue_records: u32,
    /// Records of one request.
    pub batch_records: u32,
    /// Bytes of one request, encoded and not compressed.
    #[serde(with = "size")]
    pub batch_bytes: u64,
    /// The longest wait of a record for its batch to fill.
    #[serde(with = "duration")]
    pub delay: Duration,
    /// Requests at the same time.
    pub in_flight: u32,
    /// Attributes of a record; further ones are dropped. `None` = no limit.
    #[serde(with = "optional_number")]
    pub attribute_count_limit: Option<u32>,
    /// Characters of an attribute's text; longer ones are cut. `None` = no limit.
    #[serde(with = "optional_number")]
    pub attribute_value_length_limit: Option<u32>,
    /// The settings that differ from `[otlp]`.
    #[serde(flatten)]
    pub overrides: Overrides,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            enabled: true,
            events: LogEvents::default(),
            // As the specification's examples: receivers give up an entity that is not reported for several intervals.
            entity_interval: Duration::from_secs(300),
            // 20 to 26 MiB when it is full: what 64 MiB of memory leave room for.
            queue_records: 65_536,
            batch_records: 4_096,
            // Under the 4 MiB that gRPC receivers take by default, with room for the resource.
            batch_bytes: 3 << 20,
            delay: Duration::from_secs(1),
            // Two keep the link busy while the receiver answers; more gained nothing.
            in_flight: 2,
            attribute_count_limit: None,
            attribute_value_length_limit: None,
            overrides: Overrides::default(),
        }
    }
}

/// Kinds of log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEvents {
    /// `hubble.flow`.
    pub flow: bool,
    /// `hubble.agent_event`.
    pub agent: bool,
    /// `hubble.lost_events`.
    pub lost: bool,
    /// `hubble.debug_event`.
    pub debug: bool,
    /// `entity.state` and `entity.delete`.
    pub entity: bool,
}

impl Default for LogEvents {
    fn default() -> Self {
        // Debug messages come several a packet, for troubleshooting. Entity events are for receivers that keep entities.
        Self { flow: true, agent: true, lost: true, debug: false, entity: false }
    }
}

/// The endpoint that Prometheus scrapes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// Its address; `None` = off.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Its certificates.
    pub tls: ServerTls,
}

/// Our own HTTP endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Its address; `None` = off.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Names in a request's `Host`, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Bytes that /status shows of an event that could not be decoded.
    pub example_bytes: u32,
    /// The condition for /readyz to answer 200.
    pub readiness: Readiness,
}

impl Default for Admin {
    fn default() -> Self {
        let listen = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9966));
        // Events hold payload: no byte of it is shown by default.
        Self { listen, hosts: Vec::new(), example_bytes: 0, readiness: Readiness::default() }
    }
}

/// Our own log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The least severe messages.
    pub level: LogLevel,
    /// Their form.
    pub format: LogFormat,
}

#[cfg(test)]
mod tests {
    use super::Datapath;

    #[test]
    fn ring_is_power_of_two_pages() {
        for (wanted, bytes) in [
            (0, 4096),
            (4095, 4096),
            (4096, 4096),
            (4097, 8192),
            (8 << 20, 8 << 20),
            ((8 << 20) + 1, 16 << 20),
            (1 << 31, 1 << 31),
            (u64::MAX, 1 << 31),
        ] {
            let datapath = Datapath { buffer: wanted, ..Datapath::default() };
            assert_eq!(datapath.buffer_bytes(4096), bytes, "{wanted}");
        }
    }
}
