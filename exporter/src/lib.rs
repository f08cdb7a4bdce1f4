//! eyepiece: network flows of the kernel, or of a running Cilium, as OpenTelemetry metrics and logs.

pub mod admin;
pub mod agent_event;
pub mod app;
pub mod cli;
pub mod debug_event;
pub mod demo;
pub mod details;
pub mod enrich;
pub mod event;
pub mod flow;
pub mod gob;
pub mod l7;
pub mod metrics;
pub mod monitor;
pub mod names;
pub mod observed;
pub mod otlp;
pub mod parser;
pub mod pipeline;
pub mod release;
pub mod source;
pub mod stop;
pub mod symbols;
pub mod telemetry;
mod uid;
pub mod undecodable;
pub mod unix_listener;
