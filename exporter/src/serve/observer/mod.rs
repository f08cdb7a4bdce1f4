//! Hubble's observer: the latest flows and events, and the API with which clients read them.
//!
//! The pipeline writes batches into the [`ring`]. Each client reads from it at its own pace and receives the number of
//! entries that it was too slow for.

mod compile_pool;
mod message_cache;
pub mod metrics;
pub mod namespaces;
pub mod ring;
pub mod service;
mod shared;
mod start;
pub mod stream;
mod time_slice;

pub use shared::{Deps, Observer};

#[cfg(test)]
mod tests;
