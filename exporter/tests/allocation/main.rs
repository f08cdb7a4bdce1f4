//! Checks code that must not allocate, by the allocator of this test program.

mod counting;
mod decode;
mod filter_costs;
mod filters;
mod kubernetes;
mod metrics;
mod pipeline;
mod source;
