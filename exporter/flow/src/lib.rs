//! eyepiece's vocabulary and decoding: flows, events and losses as plain data, and the decoders of Cilium's monitor.
//!
//! Everything here is pure: no IO, no clock, no async runtime, no configuration.

pub mod agent_event;
pub mod cilium_release;
pub mod control_group;
pub mod debug_event;
pub mod debug_text;
pub mod decode;
pub mod dns_names;
pub mod endpoint;
pub mod event;
pub mod flow;
pub mod go_duration;
pub mod gob;
pub mod interner;
pub mod l7;
pub mod labels;
pub mod lookup;
pub mod loss;
pub mod metadata;
pub mod names;
pub mod node_dedup;
pub mod protocol;
pub mod record;
pub mod recording;
pub mod rfc3339;
pub mod summary;
pub mod text;
pub mod traffic_delta;
pub mod uuid;
