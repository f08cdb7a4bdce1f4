//! Snapshots of endpoints, interfaces and addresses, their publication to readers, and the providers of names.

pub mod facts;
pub mod kubernetes;
mod label_identity;
pub mod provider;
mod publish;
mod retired_names;
mod tables;

pub use label_identity::identity_of_labels;
pub use publish::{Publisher, Reader};
pub use retired_names::RetiredName;
pub use tables::{EndInfo, EndKind, IDENTITY_HOST, IDENTITY_WORLD, InterfaceInfo, Tables};
