//! Messages of Hubble's gRPC API, generated from `exporter/hubble/proto`, and their descriptors.

mod encoded;

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::FileDescriptorSet;

pub use encoded::Encoded;

/// Declares generated modules, here and in `eyepiece`, with the same lint levels.
#[doc(hidden)]
#[macro_export]
macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident)+) => {
        $($(#[$doc])*
        #[allow(
            missing_docs,
            non_camel_case_types,
            unreachable_pub,
            unused_qualifications,
            clippy::all,
            clippy::pedantic,
            clippy::restriction,
            reason = "generated, with the comments of the protobuf files"
        )]
        #[rustfmt::skip]
        pub mod $name;)+
    };
}

generated! {
    /// Flows, lost events, agent and debug events, and the filter for flows.
    flow
    /// The service that clients read flows and events from. Its server answers streams with [`Encoded`] messages.
    observer
    /// The service that lists the nodes that observe flows.
    peer
    /// The states of nodes that a relay reports.
    relay
}

/// The encoded `FileDescriptorSet` of all packages and their imports. A test compares it with the protobuf files, so it
/// always decodes.
const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptors.bin");

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap_or_default());

/// Returns the descriptor of a message of the API, by its full name: `flow.Flow`.
pub fn descriptor(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(name)
}

/// Returns the descriptors of the services that eyepiece serves: all but Cilium's packet recorder, whose messages have no
/// Rust code.
pub fn served() -> FileDescriptorSet {
    let mut descriptors = descriptors();
    descriptors.file.retain(|file| file.package() != "recorder");
    descriptors
}

/// Returns the descriptors of all packages and their imports.
pub fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default()
}
