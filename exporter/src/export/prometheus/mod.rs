//! Metrics as a page for Prometheus: Hubble's under Hubble's names, and our own as OpenTelemetry's specification
//! translates them.
//!
//! [`Page`] has all that a page shows and writes it in a [`Format`]. Families are in the order of their names, series
//! in that of the aggregation. Labels are in the order of their names, `le` last, as Go's client library prints them.

mod exposition;
mod format;
mod grpc_metrics;
mod help;
mod labels;
mod names;
mod numbers;
mod page;
mod request_metrics;

pub use format::Format;
pub use page::Page;
pub use request_metrics::RequestMetrics;
