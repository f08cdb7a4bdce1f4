//! What is known of endpoints, interfaces and addresses, and how readers get it.

mod retired_names;
mod tables;

pub use retired_names::RetiredName;
pub use tables::{EndInfo, EndKind, IDENTITY_HOST, IDENTITY_WORLD, InterfaceInfo, Publisher, Reader, Tables};
