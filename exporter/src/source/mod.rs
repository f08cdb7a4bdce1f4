//! Where events come from.

pub mod datapath;
