//! What clients of Hubble's observer ask for, found in what was observed.

pub mod filter;
pub mod node;
