//! OTLP: what is counted and seen, as OpenTelemetry's protobuf messages.

pub mod metrics;
