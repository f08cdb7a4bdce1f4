//! Metrics: one aggregation of flows into series.
//!
//! [`Aggregation`] is owned by the pipeline's thread: counting packets takes no lock, does not allocate for known keys, and
//! uses no text; counting records of layer 7 does both. Exporters take a [`Snapshot`] of the numbers and convert it to names with a [`Resolver`].

mod aggregation;
mod context;
mod detail;
mod durations;
mod end_view;
mod ends;
mod ends_view;
mod exported_state;
mod handlers;
mod l7_metrics;
mod labels;
mod metric_contexts;
mod packet_metrics;
mod points;
mod resolve;
mod series;
mod series_key;
mod snapshot;
mod view;

pub use aggregation::{Aggregation, Config, GONE_EXPIRY, MAX_SERIES};
pub use context::{Context, Identifier};
pub use detail::{Port, TransportDetail};
pub use durations::{DURATION_BOUNDS, DURATION_BUCKETS, Durations, Exemplar};
pub use ends::{ContextLabels, Value};
pub use eyepiece_config::{FlowDetail, Naming};
pub use handlers::{DnsOptions, FlowsToWorldOptions, Handlers, HttpOptions};
pub use labels::{DropReason, IoDirection, Labels, PolicyMatch, TcpFlag};
pub use metric_contexts::{Contexts, EndContexts, LabelSet};
pub use resolve::{Attributes, DropReasonNames, HistogramValue, Resolved, Resolver, Series, SeriesValue, resolve};
pub use snapshot::{EndLabel, Identity, Metric, MetricKind, Occupancy, Point, PointNames, ReaderKind, Snapshot};
