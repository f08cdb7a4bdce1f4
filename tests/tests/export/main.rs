//! OTLP as receivers and the collector get it.

mod collector;
mod contexts;
mod dashboards;
mod hostile;
mod prometheus;
mod receivers;
mod schema;
mod temporality;
