//! Tests of the servers on real sockets: Hubble's API, the monitor socket, the admin and the Prometheus endpoint.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod admin;
mod greedy;
mod grpc;
mod monitor;
mod numbers;
mod prometheus;
