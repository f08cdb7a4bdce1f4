//! OTLP as receivers and the collector get it.

mod collector;
mod contexts;
mod dashboards;
mod prometheus;
mod receivers;
mod schema;
mod temporality;
