//! From a source's events to batches and metrics.

mod capture;
mod handlers_and_sinks;
mod hubble_metrics;
mod resolved;
mod vectors;
mod world;
