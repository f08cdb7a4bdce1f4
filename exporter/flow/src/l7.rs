//! What an access-log record says beyond addresses and ports: DNS, HTTP, Kafka or another protocol at layer 7.

use crate::agent_event::Timestamp;

/// Layer 7 of a flow. Field meanings follow Hubble's `flow.Layer7`; a request's record has only what requests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L7 {
    /// Request, response or sample.
    pub kind: L7Kind,
    /// From the request to this response, ns; 0 = not known.
    pub latency_ns: u64,
    /// The protocol's own part.
    pub record: L7Record,
    /// Trace id of the request's W3C trace context; all zero = none.
    pub trace_id: [u8; 16],
    /// Span id beside it.
    pub span_id: [u8; 8],
    /// Labels of the source's identity, sorted, as the proxy knew them: `source:key=value`.
    pub source_labels: Vec<String>,
    /// Labels of the destination's identity.
    pub destination_labels: Vec<String>,
    /// When the proxy wrote it, by its own clock.
    pub time: Option<Timestamp>,
}

impl L7 {
    /// The trace id, where the flow carries one.
    pub fn trace(&self) -> Option<&[u8; 16]> {
        (self.trace_id != [0; 16]).then_some(&self.trace_id)
    }
}

/// Hubble's `flow.L7FlowType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum L7Kind {
    /// None of the others.
    #[default]
    Unknown = 0,
    /// A request.
    Request = 1,
    /// The answer.
    Response = 2,
    /// A sampled packet.
    Sample = 3,
}

impl L7Kind {
    /// The protobuf enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN_L7_TYPE",
            Self::Request => "REQUEST",
            Self::Response => "RESPONSE",
            Self::Sample => "SAMPLE",
        }
    }
}

/// The protocol's own part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum L7Record {
    /// The record names no protocol.
    #[default]
    None,
    /// DNS.
    Dns(Dns),
    /// HTTP.
    Http(Http),
    /// Kafka (1.19 and before).
    Kafka(Kafka),
    /// Another protocol, as a proxy's own parser tells it.
    Generic(Generic),
}

impl L7Record {
    /// What Hubble's metrics call it in their `protocol` label.
    pub const fn protocol_name(&self) -> &'static str {
        match self {
            Self::Dns(_) => "DNS",
            Self::Http(_) => "HTTP",
            Self::Kafka(_) => "Kafka",
            Self::None | Self::Generic(_) => "Unknown L7",
        }
    }
}

/// A DNS message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The name that was asked for.
    pub query: String,
    /// Addresses of the answer, as Go prints them.
    pub ips: Vec<String>,
    /// How long the answer holds, s.
    pub ttl: u32,
    /// Canonical names on the way to the addresses.
    pub cnames: Vec<String>,
    /// Who saw it: `proxy`, `standalone-proxy`.
    pub observation_source: String,
    /// Response code.
    pub rcode: u32,
    /// Types that were asked for.
    pub qtypes: Vec<u16>,
    /// Types of the answer's records.
    pub rrtypes: Vec<u16>,
}

/// An HTTP request or response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// Status code; 0 in requests.
    pub code: u32,
    /// Method.
    pub method: String,
    /// URL; a password in it is redacted.
    pub url: String,
    /// `HTTP/1.1`, `HTTP/2` …
    pub protocol: String,
    /// Headers, sorted by name.
    pub headers: Vec<(String, String)>,
}

/// A Kafka request or response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kafka {
    /// Error code; 0 in requests.
    pub error_code: i32,
    /// Version of the API.
    pub api_version: i32,
    /// Name of the API.
    pub api_key: String,
    /// What tells which response belongs to which request.
    pub correlation_id: i32,
    /// Topic.
    pub topic: String,
}

/// Another protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generic {
    /// Its name.
    pub protocol: String,
    /// What its parser told, sorted by name.
    pub fields: Vec<(String, String)>,
}

/// The cluster that labels of an identity name; none where they name none.
pub fn cluster_name(labels: &[String]) -> Option<&str> {
    labels.iter().find_map(|label| label.strip_prefix("k8s:io.cilium.k8s.policy.cluster="))
}
