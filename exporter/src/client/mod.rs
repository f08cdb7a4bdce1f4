//! Clients of Hubble servers and of our own admin endpoint.

pub mod address;
pub mod admin;
pub mod config;
pub mod error;
pub mod hubble;
mod raw;
mod tls;
