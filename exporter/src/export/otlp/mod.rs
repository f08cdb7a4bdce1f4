//! OTLP exporter: flows as log records, metrics, and our own telemetry.
//!
//! The pipeline puts flows and events into a bounded [`queue`]. [`logs`] encodes them straight to OTLP's protobuf and
//! keeps several requests in flight. [`metrics_sender`] and [`self_telemetry`] use the same [`client`]; [`deltas`]
//! converts both. Undelivered records are counted by reason.

pub mod client;
pub mod config;
pub mod counters;
pub mod delivery;
pub mod deltas;
pub mod encode;
pub mod logs;
pub mod metrics;
pub mod metrics_sender;
pub mod queue;
pub mod resource;
pub mod retry;
pub mod sdk_metrics;
pub mod self_telemetry;
mod series_ids;
mod start_times;
mod typed;
