//! OTLP as receivers and the collector get it.

mod collector;
mod contexts;
mod hostile;
mod prometheus;
mod receivers;
mod schema;
