//! Layer 7 of an access-log record: DNS, HTTP, Kafka or another protocol.

use crate::agent_event::Timestamp;

/// Layer 7 of a flow. Field meanings follow Hubble's `flow.Layer7`; fields of responses are empty in requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L7 {
    /// Request, response or sample.
    pub kind: L7Kind,
    /// Time from the request to this response, ns; 0 = unknown.
    pub latency_ns: u64,
    /// The fields of the protocol.
    pub record: L7Record,
    /// Trace id of the request's W3C trace context; all zero = none.
    pub trace_id: [u8; 16],
    /// Span id of that trace context.
    pub span_id: [u8; 8],
    /// Labels of the source's identity in the record, sorted: `source:key=value`.
    pub source_labels: Vec<String>,
    /// Labels of the destination's identity in the record.
    pub destination_labels: Vec<String>,
    /// Time of the record, by the proxy's clock.
    pub time: Option<Timestamp>,
}

impl L7 {
    /// Returns the trace id, if there is one.
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
    /// A response.
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

/// The fields of the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum L7Record {
    /// The record names no protocol.
    #[default]
    None,
    /// DNS.
    Dns(Dns),
    /// HTTP.
    Http(Http),
    /// Kafka (up to 1.19).
    Kafka(Kafka),
    /// Another protocol, parsed by a plugin of the proxy.
    Generic(Generic),
}

impl L7Record {
    /// The name in the `protocol` label of Hubble's metrics.
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
    /// The name in the question.
    pub query: String,
    /// Addresses of the answer, in Go's format.
    pub ips: Vec<String>,
    /// Time to live of the answer, s.
    pub ttl: u32,
    /// Canonical names in the answer.
    pub cnames: Vec<String>,
    /// The observer: `proxy`, `standalone-proxy`.
    pub observation_source: String,
    /// Response code.
    pub rcode: u32,
    /// Record types of the question.
    pub qtypes: Vec<u16>,
    /// Record types of the answer.
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
    /// Correlates a response with its request.
    pub correlation_id: i32,
    /// Topic.
    pub topic: String,
}

/// Another protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generic {
    /// Its name.
    pub protocol: String,
    /// The parsed fields, sorted by name.
    pub fields: Vec<(String, String)>,
}

/// Returns the cluster that the labels of an identity name.
pub fn cluster_name(labels: &[String]) -> Option<&str> {
    labels.iter().find_map(|label| label.strip_prefix("k8s:io.cilium.k8s.policy.cluster="))
}
