//! Where flows and metrics go: an OpenTelemetry collector, or standard output.

pub mod health;
pub mod otlp;
pub mod stdout;
