//! Our own datapath: loads the kernel programs, attaches them, reads what they say. The only user of aya.

pub mod btf;
pub mod object;
pub mod sys;
