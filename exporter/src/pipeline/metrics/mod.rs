//! Metrics: one aggregation of flows into series.
//!
//! [`Aggregation`] is owned by the pipeline's thread: counting takes no lock, does not allocate for known keys, and uses no
//! text. Exporters take a [`Snapshot`] of the numbers and convert it to names with a [`Resolver`].

mod aggregation;
mod context;
mod detail;
mod end_view;
mod ends;
mod exported_state;
mod labels;
mod metric_contexts;
mod resolve;
mod series;
mod snapshot;
mod view;

pub use aggregation::{Aggregation, Config, GONE_EXPIRY, MAX_SERIES};
pub use context::{Context, Identifier};
pub use detail::{Port, TransportDetail};
pub use ends::{ContextLabels, Value};
pub use eyepiece_config::{FlowDetail, Naming};
pub use labels::{DropReason, IoDirection, Labels, TcpFlag};
pub use metric_contexts::{Contexts, EndContexts, LabelSet, MetricContexts};
pub use resolve::{Attributes, DropReasonNames, Resolved, Resolver, Series, resolve};
pub use snapshot::{EndLabel, Identity, Metric, MetricKind, Occupancy, Point, PointNames, Snapshot};
