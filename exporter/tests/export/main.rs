//! OTLP export against receivers in this process: what was sent is delivered or counted, always.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test that calls them")]

mod encode;
mod entities;
mod events;
mod http;
mod limits;
mod logs;
mod metrics;
mod mistakes;
mod schema;
mod scripted;
mod sdk_limits;
mod sdk_metrics;
mod support;
mod tls;
