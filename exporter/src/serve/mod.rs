//! The servers: Hubble's gRPC API, Cilium's monitor socket, the admin listener and the Prometheus endpoint.

pub mod admin;
pub mod grpc;
pub mod http;
pub mod monitor;
pub mod observer;
pub mod peer;
pub mod prometheus;
pub mod tls;
