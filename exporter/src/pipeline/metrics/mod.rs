//! Metrics: one aggregation of flows into series, read by OTLP and by Prometheus.
//!
//! [`Aggregation`] is owned by the pipeline's thread: counting takes no lock, allocates nothing for flows whose like
//! was met before, and knows no text. A [`Snapshot`] carries the numbers out; a [`Resolver`] turns them into names elsewhere.

mod aggregation;
mod context;
mod continuity;
mod detail;
mod observed;
mod resolve;
mod series;
mod snapshot;
mod view;

pub use aggregation::{Aggregation, Config, Contexts, MAX_SERIES, MetricContexts, Said};
pub use context::{Context, ContextError, Identifier, Value, reserved_name};
pub use detail::{Carrier, FlowDetail, Port};
pub use observed::{DropReason, IoDirection, Labels, TcpFlag};
pub use resolve::{Attributes, InterfaceNames, KernelNames, Names, Naming, Resolved, Resolver, Series, resolve};
pub use snapshot::{EndLabel, Identity, InUse, Metric, MetricKind, Occupancy, Point, Snapshot};
