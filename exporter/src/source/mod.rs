//! Where events come from. Every source feeds the same seam: `crate::event`.

pub mod datapath;
