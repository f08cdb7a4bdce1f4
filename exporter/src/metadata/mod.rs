//! Snapshots of endpoints, interfaces and addresses, their publication to readers, and the providers of names.

pub mod cilium;
pub mod context_names;
pub mod dns;
pub mod docker;
mod entities;
pub mod entity_events;
pub mod entity_labels;
#[cfg(test)]
mod entry_recorder;
pub mod file;
mod intake;
pub mod kubernetes;
mod label_identity;
mod link_tables;
pub mod local;
mod name_snapshot;
pub mod provider;
mod publish;
pub mod recorded;
#[cfg(test)]
mod recorder;
pub mod registry;

pub use context_names::WantedTexts;
pub use entities::{Entities, EntityLink};
pub use label_identity::identity_of_labels;
pub use link_tables::{EndInfo, EndKind, IDENTITY_HOST, IDENTITY_WORLD, InterfaceInfo, LinkTables};
pub use name_snapshot::NameSnapshot;
pub use publish::{Publisher, Reader};
