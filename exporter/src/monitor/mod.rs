//! Who wants events, and so whether they are read at all.

pub mod agent;
