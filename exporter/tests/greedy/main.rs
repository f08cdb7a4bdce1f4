//! Clients that take all they can get, and what others are served beside them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod bodies;
#[path = "../grpc/numbers.rs"]
mod numbers;
mod support;
mod work;
