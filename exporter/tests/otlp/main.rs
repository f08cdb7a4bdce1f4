//! OTLP export against receivers in this process: what was sent is delivered or counted, always.

mod encode;
mod http;
mod logs;
mod metrics;
mod scripted;
mod support;
mod tls;
