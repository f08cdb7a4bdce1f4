//! OTLP: flows as log records, metrics, and our own telemetry, to a collector or readable to standard output.
//!
//! Flows and events go from the pipeline into a bounded [`queue`]; [`logs`] encodes them straight to OTLP's protobuf and keeps
//! several requests in flight, [`stdout`] prints them instead. [`metrics_sender`] and [`self_telemetry`] use the same
//! [`client`]. What is not delivered is counted by reason.

pub mod client;
pub mod config;
pub mod delivery;
pub mod encode;
pub mod logs;
pub mod metrics;
pub mod metrics_sender;
pub mod queue;
pub mod resource;
pub mod retry;
pub mod self_telemetry;
mod starts;
mod typed;
pub mod wanted;
