//! Exporters of flows and metrics: OTLP, Prometheus and standard output.

pub mod otlp;
pub mod own_durations;
pub mod prometheus;
pub mod stdout;
pub mod text;
