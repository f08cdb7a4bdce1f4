//! Durations in the buckets of Hubble's histograms, and exemplars.

use std::sync::Arc;

pub use crate::support::durations::{DURATION_BOUNDS, DURATION_BUCKETS, Durations};

/// A counted event that stands for its series or bucket: the latest one that has a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace, in hex.
    pub trace_id: Arc<str>,
    /// 1 in a counter, else the duration in s.
    pub value: f64,
    /// When it was counted, ns since the Unix epoch.
    pub time: u64,
}
