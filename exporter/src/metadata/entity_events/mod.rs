//! Reports the entities of providers as OpenTelemetry's entity events: what came, changed, is still there, or went.
//!
//! `tracker` follows the entries of the registry and makes `event`s of what `describe` finds in their entities;
//! [`report`] sends them.

mod describe;
pub mod event;
pub mod report;
pub(super) mod tracker;
