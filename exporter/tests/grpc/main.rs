//! The gRPC transport and the Peer service on real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod life;
mod limits;
mod numbers;
mod peers;
mod pki;
mod support;
mod tls;
