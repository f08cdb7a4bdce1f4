//! Hubble's gRPC API: messages, clients and servers generated from `exporter/proto`, and their descriptors.

mod encoded;
pub mod json;

use prost::Message;
use prost_types::FileDescriptorSet;

pub use encoded::Encoded;

/// Declares the generated modules, all with the same allowances.
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
            reason = "generated: the protobuf files are what is read, and their comments come along"
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
    /// Who else observes.
    peer
    /// The service that records packets.
    recorder
    /// What a relay tells of its nodes.
    relay
}

/// The `FileDescriptorSet` of all packages and of what they import, as bytes.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptors.bin");

/// The descriptors of what we serve: all but the package of Cilium's packet recorder.
pub fn served() -> FileDescriptorSet {
    let mut descriptors = descriptors();
    descriptors.file.retain(|file| file.package() != "recorder");
    descriptors
}

/// [`FILE_DESCRIPTOR_SET`], decoded.
///
/// It is part of the program and compared with the protobuf files by a test: an empty set cannot come.
pub fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default()
}
