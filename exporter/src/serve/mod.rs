//! The servers: Hubble's gRPC API, Cilium's monitor socket and the admin listener.

pub mod admin;
pub mod grpc;
pub mod monitor;
pub mod observer;
pub mod peer;
