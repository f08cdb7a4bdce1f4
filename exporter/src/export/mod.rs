//! Exporters of flows and metrics: OTLP and standard output.

pub mod otlp;
pub mod stdout;
pub mod text;
