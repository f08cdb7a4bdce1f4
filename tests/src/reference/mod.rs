//! The reference: payloads, the results of Cilium 1.20.2's own code, and our intended differences.

pub mod deviation;
pub mod json;
pub mod record;
pub mod vectors;
