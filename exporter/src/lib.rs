//! eyepiece: network flows of the kernel, or of a running Cilium, as OpenTelemetry metrics and logs.

pub mod enrich;
pub mod event;
pub mod flow;
pub mod parser;
pub mod source;
pub mod symbols;
pub mod telemetry;
