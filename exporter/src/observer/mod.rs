//! Hubble's API as we serve it.

pub mod peers;
