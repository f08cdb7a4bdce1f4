//! Hubble's filters for flows: compiled once per request, then matched against records without protobuf in between.
//!
//! They follow Cilium 1.20, with two intended differences: enums are closed in our record where `flow.Flow` has open
//! ones, and requests are bounded.

mod address;
mod cel;
mod compile;
mod context;
mod error;
mod expression;
mod filters;
mod http;
mod label;
mod matcher;
mod names;
mod pattern;
mod pattern_budget;
mod selector;

pub use compile::{MAX_ENTRIES, MAX_FILTERS};
pub use context::{Context, CpuClock, no_clock};
pub use error::FilterError;
pub use filters::Filters;
