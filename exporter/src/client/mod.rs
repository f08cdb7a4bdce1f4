//! Clients of Hubble servers and of our own admin listener.

pub mod address;
pub mod admin;
pub mod hubble;
mod raw;
mod tls;
