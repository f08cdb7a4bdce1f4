//! The monitor socket in this process: real sockets, a real pipeline, and our own gob decoder as the client.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod clients;
mod end;
mod life;
mod support;
