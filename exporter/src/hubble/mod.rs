//! Hubble's messages: ours as they are sent and as they are read, and what a client needs, be it the command line or a
//! source: the connection, JSON, and texts for people.

pub mod address;
pub mod client;
pub mod decode;
pub mod encode;
pub mod extension;
pub mod json;
mod labels;
pub mod mask;
pub mod print;
mod raw;
mod tls;

pub use crate::grpc::health::OBSERVER as HEALTH_SERVICE;
pub use labels::reserved_label;
