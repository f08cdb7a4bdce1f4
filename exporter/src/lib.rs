//! eyepiece: network flows of the kernel, or of a running Cilium, as OpenTelemetry metrics and logs.

pub mod app;
pub mod cli;
pub mod client;
pub mod demo;
pub mod exit_code;
pub mod export;
pub mod metadata;
pub mod pipeline;
pub mod recording;
pub mod serve;
pub mod services;
pub mod source;
pub mod support;
