//! What the end-to-end tests share: skips by name, and where the real peers are.

pub mod peer;
pub mod skip;
