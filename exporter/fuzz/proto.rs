//! Hubble's messages without its services, which need a server around them: in the place of the program's `proto`.

#[allow(clippy::all, reason = "generated")]
#[rustfmt::skip]
#[path = "../src/proto/flow.rs"]
pub mod flow;
#[path = "../src/proto/json.rs"]
pub mod json;

/// What the messages are, as bytes.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../src/proto/descriptors.bin");
