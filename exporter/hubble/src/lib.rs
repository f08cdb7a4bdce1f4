//! Hubble's API as data: messages, their encoding and decoding, JSON, field masks and filters.
//!
//! Everything here is pure: no IO, no clock, no async runtime, no configuration.

#[doc(hidden)]
pub mod arbitrary;
pub mod decode;
pub mod encode;
pub mod extension;
pub mod field_mask;
pub mod filter;
pub mod json;
pub mod layout;
pub mod node;
pub mod proto;
pub mod query;
pub mod request;
pub mod terminal;
pub mod wire;
