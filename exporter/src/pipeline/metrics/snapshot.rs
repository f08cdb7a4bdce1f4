//! What the aggregation holds at one moment: owned numbers, without texts.

use std::sync::Arc;

use super::context::Value;
use super::observed::Labels;

/// The metrics that are kept.
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
        }
    }
}

/// How a metric names one end of its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndLabel {
    /// Not at all.
    #[default]
    Absent,
    /// By its address and nothing else.
    Address,
    /// By a context.
    Name,
}

/// What tells a point's series apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The series of all that had no place of their own.
    Overflow,
    /// A series of its own.
    Series {
        /// The source; [`Value::None`] also where the metric has no label for it.
        source: Value,
        /// The destination, likewise.
        destination: Value,
        /// The rest.
        labels: Labels,
    },
}

/// One series' value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When the series was made, ns since the Unix epoch.
    pub start: u64,
    /// The sum since then, in the metric's unit.
    pub value: u64,
    /// Which series.
    pub identity: Identity,
}

/// One metric: a cumulative sum that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Which one.
    pub kind: MetricKind,
    /// How it names the source.
    pub source: EndLabel,
    /// How it names the destination.
    pub destination: EndLabel,
    /// Its series, in no order.
    pub points: Vec<Point>,
}

/// Shared by snapshots that are in use: as long as there is one, the names in it can be looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse(Arc<()>);

impl InUse {
    /// Whether a clone of it lives.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// All metrics at one moment; those without a series are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When, ns since the Unix epoch.
    pub time: u64,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// Keeps the names.
    pub in_use: InUse,
}

/// How full a metric's table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Which table; `hubble.flow.io` and `.packets` share one, as do the interfaces' two.
    pub kind: MetricKind,
    /// Series now, the overflow left out.
    pub series: usize,
    /// Times that something went to the overflow, since the start.
    pub overflowed: u64,
    /// Series that were removed because they were idle, since the start.
    pub expired: u64,
}
