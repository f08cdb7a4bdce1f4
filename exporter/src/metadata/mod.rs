//! Snapshots of endpoints, interfaces and addresses, and their publication to readers.

mod publish;
pub mod recorded;
mod retired_names;
mod tables;

pub use publish::{Publisher, Reader};
pub use retired_names::RetiredName;
pub use tables::{EndInfo, EndKind, IDENTITY_HOST, IDENTITY_WORLD, InterfaceInfo, Tables};
