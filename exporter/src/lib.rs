//! eyepiece: network flows of the kernel, or of a running Cilium, as OpenTelemetry metrics and logs.

pub mod admin;
pub mod app;
pub mod cli;
pub mod demo;
pub mod enrich;
pub mod event;
pub mod flow;
pub mod gob;
pub mod metrics;
pub mod monitor;
pub mod otlp;
pub mod parser;
pub mod pipeline;
pub mod source;
pub mod symbols;
pub mod telemetry;
pub mod undecodable;
