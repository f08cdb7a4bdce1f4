//! What a client of Hubble's API needs, be it the command line or a source: the connection, JSON, and texts for people.

pub mod address;
pub mod client;
pub mod json;
pub mod print;
mod tls;

/// Hubble's name for its service in gRPC's health protocol.
pub const HEALTH_SERVICE: &str = "hubble.server.Observer";
