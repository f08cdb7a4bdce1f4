//! A snapshot of the aggregation: owned numbers, without texts.

use std::collections::HashMap;
use std::sync::Arc;

use eyepiece_flow::interner::Lease;

use super::durations::{Durations, Exemplar};
use super::ends::{ContextLabels, Value};
use super::labels::Labels;
use super::metric_contexts::LabelSet;

/// The aggregated metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricKind {
    /// `hubble.drop`.
    Drop,
    /// `hubble.flows_processed`.
    FlowsProcessed,
    /// `hubble.tcp_flags`.
    TcpFlags,
    /// `hubble.flow.io`.
    FlowIo,
    /// `hubble.flow.packets`.
    FlowPackets,
    /// `hubble.interface.io`.
    InterfaceIo,
    /// `hubble.interface.packets`.
    InterfacePackets,
    /// `hubble.lost_events`.
    LostEvents,
    /// `hubble.icmp`.
    Icmp,
    /// `hubble.port_distribution`.
    PortDistribution,
    /// `hubble.policy_verdicts`.
    PolicyVerdicts,
    /// `hubble.flows_to_world`.
    FlowsToWorld,
    /// `hubble.sctp_chunk_types`.
    SctpChunkTypes,
    /// `hubble.dns_queries`.
    DnsQueries,
    /// `hubble.dns_responses`.
    DnsResponses,
    /// `hubble.dns_response_types`.
    DnsResponseTypes,
    /// `hubble.http_requests`.
    HttpRequests,
    /// `hubble.http_responses`.
    HttpResponses,
    /// `hubble.http_request_duration`.
    HttpRequestDuration,
}

impl MetricKind {
    /// Name, unit and description, from the schema.
    pub const fn schema(self) -> &'static eyepiece_semconv::Metric {
        use eyepiece_semconv::metric;
        match self {
            Self::Drop => &metric::HUBBLE_DROP,
            Self::FlowsProcessed => &metric::HUBBLE_FLOWS_PROCESSED,
            Self::TcpFlags => &metric::HUBBLE_TCP_FLAGS,
            Self::FlowIo => &metric::HUBBLE_FLOW_IO,
            Self::FlowPackets => &metric::HUBBLE_FLOW_PACKETS,
            Self::InterfaceIo => &metric::HUBBLE_INTERFACE_IO,
            Self::InterfacePackets => &metric::HUBBLE_INTERFACE_PACKETS,
            Self::LostEvents => &metric::HUBBLE_LOST_EVENTS,
            Self::Icmp => &metric::HUBBLE_ICMP,
            Self::PortDistribution => &metric::HUBBLE_PORT_DISTRIBUTION,
            Self::PolicyVerdicts => &metric::HUBBLE_POLICY_VERDICTS,
            Self::FlowsToWorld => &metric::HUBBLE_FLOWS_TO_WORLD,
            Self::SctpChunkTypes => &metric::HUBBLE_SCTP_CHUNK_TYPES,
            Self::DnsQueries => &metric::HUBBLE_DNS_QUERIES,
            Self::DnsResponses => &metric::HUBBLE_DNS_RESPONSES,
            Self::DnsResponseTypes => &metric::HUBBLE_DNS_RESPONSE_TYPES,
            Self::HttpRequests => &metric::HUBBLE_HTTP_REQUESTS,
            Self::HttpResponses => &metric::HUBBLE_HTTP_RESPONSES,
            Self::HttpRequestDuration => &metric::HUBBLE_HTTP_REQUEST_DURATION,
        }
    }
}

/// The label of one end of a metric's flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndLabel {
    /// The end has no value.
    #[default]
    Absent,
    /// The address.
    Address,
    /// The value of a context.
    Name,
}

/// The series of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The series of keys beyond the limit.
    Overflow,
    /// A series of its own.
    Series {
        /// The source; [`Value::None`] also if the metric has no label for it.
        source: Value,
        /// The destination; [`Value::None`] also if the metric has no label for it.
        destination: Value,
        /// The labels by `labelsContext`.
        context: ContextLabels,
        /// The other labels.
        labels: Labels,
    },
}

/// The value of one series: a sum, or durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point<V = u64> {
    /// Start of the series, ns since the Unix epoch.
    pub start: u64,
    /// The value since then, in the metric's unit.
    pub value: V,
    /// The series.
    pub identity: Identity,
}

/// One metric, whose cumulative values only grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<V = u64> {
    /// The metric.
    pub kind: MetricKind,
    /// Label of the source.
    pub source: EndLabel,
    /// Label of the destination.
    pub destination: EndLabel,
    /// The labels by `labelsContext`.
    pub labels: LabelSet,
    /// Its series, without an order.
    pub points: Vec<Point<V>>,
    /// The exemplars of the series that have some.
    pub exemplars: HashMap<Identity, Vec<Exemplar>>,
}

/// The names that the points of a snapshot refer to, in any order and any number of times.
#[derive(Clone, Debug, Default)]
pub struct PointNames {
    /// The names of sources and destinations.
    pub ends: Vec<Arc<Lease>>,
    /// The names of interfaces, each with index and generation.
    pub interfaces: Vec<((u32, u32), Arc<Lease>)>,
}

/// All metrics with a series at one time.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time, ns since the Unix epoch.
    pub time: u64,
    /// The sums.
    pub metrics: Vec<Metric>,
    /// The histogram, if it is counted.
    pub durations: Option<Metric<Durations>>,
    /// The names of ends and interfaces.
    pub names: PointNames,
}

/// A kind of readers of snapshots. A series that is not read since it last grew stays for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKind {
    /// An exporter, at an interval. For it a series stays for twice the time of an idle one.
    Interval,
    /// An endpoint, for its scrapes. For it a series of what is gone stays as long as an idle one.
    Scrapes,
}

/// The occupancy of a metric's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// The table; `hubble.flow.io` and `.packets` share one, and the interfaces' metrics as well.
    pub kind: MetricKind,
    /// Series beside the overflow.
    pub series: usize,
    /// Additions to the overflow since the start.
    pub overflowed: u64,
    /// Series removed as idle since the start.
    pub expired: u64,
}
