//! OTLP as receivers and the collector get it.

mod collector;
mod receivers;
mod schema;
