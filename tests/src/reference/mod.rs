//! The reference: payloads, what Cilium 1.20.2's own code made of them, and where we differ on purpose.

pub mod deviation;
pub mod json;
pub mod record;
pub mod vectors;
